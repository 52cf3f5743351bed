//! `get_push_url`.

use serde::{Deserialize, Serialize};

use super::body::Text;
use super::call::Member;
use super::reply::{Sent, success};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "userID", borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(rename = "roomID", borrow, default)]
    room_id: Option<Text<'a>>,
}

#[derive(Serialize)]
struct PushUrl {
    #[serde(rename = "pushURL")]
    push_url: String,
    #[serde(rename = "accelerateURL")]
    accelerate_url: String,
    #[serde(rename = "whipURL")]
    whip_url: String,
    #[serde(rename = "whepURL")]
    whep_url: String,
    #[serde(rename = "flvURL")]
    flv_url: String,
    #[serde(rename = "hlsURL")]
    hls_url: String,
    #[serde(rename = "webrtcURL")]
    webrtc_url: String,
    /// At services that take WebRTC and SRT under a scheme of their own.
    #[serde(rename = "webrtcPushURL", skip_serializing_if = "Option::is_none")]
    webrtc_push_url: Option<String>,
    #[serde(rename = "srtPushURL", skip_serializing_if = "Option::is_none")]
    srt_push_url: Option<String>,
}

/// A signed push URL, of the user's stable stream in a room or of a fresh one, and where that stream is then played.
pub fn get_push_url(member: &Member<'_>) -> Sent {
    let body: Body<'_> = member.call.body()?;
    let user = member.actor(body.user_id.as_ref())?;
    let room = body.room_id.filter(|id| !id.as_str().is_empty()).map(|id| member.room(Some(&id))).transpose()?;
    let urls = &member.call.weapp.urls;
    let now = member.call.now;
    let base = member.call.base();
    let stream = urls.stream(room.as_ref(), user, (sign::fresh_id() & 0xffff) as u16)?;
    let plays = urls.plays(base, Some(user), now);
    let play = plays.of(&stream, room.as_ref());
    success(&PushUrl {
        push_url: urls.push(&base, &stream, now),
        accelerate_url: play.accelerate().to_string(),
        whip_url: urls.whip(&base, &stream, now),
        whep_url: play.whep().to_string(),
        flv_url: play.flv().to_string(),
        hls_url: play.hls().to_string(),
        webrtc_url: play.webrtc().to_string(),
        webrtc_push_url: urls.push_webrtc(&base, &stream, now),
        srt_push_url: urls.push_srt(&stream, now),
    })
}
