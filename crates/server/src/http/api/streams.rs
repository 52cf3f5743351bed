//! Streams of the media server in this process, and mixes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use media::StreamName;
use media::hub::{Hub, Layer, StreamInfo};
use room::{Room, StreamId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::door::Api;
use super::page::Asked;
use super::problem::Problem;
use super::request::{Answer, Caller, Done, Json, Path, Query};
use access::operator::Need;
use streams::live::{self, MixOutcome, Mixable};

/// A stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stream)]
pub struct StreamView {
    /// Its name.
    name: String,
    /// How it is pushed.
    protocol: String,
    /// From where.
    peer: String,
    /// Whether its publisher has vanished and may still come back.
    paused: bool,
    /// Whether frames flow.
    live: bool,
    /// Milliseconds since it began.
    age: u64,
    /// The picture.
    video: Option<Video>,
    /// The sound.
    audio: Option<Audio>,
    /// Payload bits a second from the publisher.
    bits_in: u64,
    /// Bits a second to players.
    bits_out: u64,
    /// Pictures a second.
    frame_rate: f32,
    /// Milliseconds between the last two key frames.
    gop: Option<u64>,
    /// Frames that slow players were skipped over.
    skipped: u64,
    /// Players now.
    viewers: u32,
    /// The same by protocol, with those of the server itself.
    readers: BTreeMap<String, u32>,
    /// The sizes of a publisher that sends several (simulcast) which flow now, the smallest first; none of any other.
    layers: Vec<LayerView>,
}

/// One of the sizes that a publisher sends of the same picture.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Layer)]
pub struct LayerView {
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
    /// Payload bits a second from the publisher.
    bits_in: u64,
    /// Pictures a second.
    frame_rate: f32,
    /// WebRTC players that are sent it now.
    viewers: u32,
}

impl From<Layer> for LayerView {
    fn from(layer: Layer) -> Self {
        let Layer { width, height, frame_rate, viewers, bitrate, .. } = layer;
        Self { width, height, bits_in: bitrate, frame_rate, viewers }
    }
}

/// A picture.
#[derive(Serialize, ToSchema)]
pub struct Video {
    /// Its codec.
    codec: String,
    /// The codec as browsers name it.
    mime: String,
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
}

/// A sound.
#[derive(Serialize, ToSchema)]
pub struct Audio {
    /// Its codec.
    codec: String,
    /// The codec as browsers name it.
    mime: String,
    /// Samples a second.
    rate: u32,
    /// Channels.
    channels: u8,
}

impl StreamView {
    /// What the hub knows of a stream.
    pub fn of(hub: &Hub, info: &StreamInfo) -> Self {
        let layers = if hub.is_layered(&info.name) { hub.layers(&info.name) } else { Vec::new() };
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: info.name.as_str().to_owned(),
            protocol: info.protocol.to_string(),
            peer: info.peer.to_string(),
            paused: info.paused,
            live: info.live,
            age: millis(info.age),
            video: info.video.as_ref().map(|v| Video {
                codec: v.codec.as_str().to_owned(),
                mime: v.mime.clone(),
                width: v.width,
                height: v.height,
            }),
            audio: info.audio.as_ref().map(|a| Audio {
                codec: a.codec.as_str().to_owned(),
                mime: a.mime.clone(),
                rate: a.sample_rate,
                channels: a.channels,
            }),
            bits_in: info.bitrate_in,
            bits_out: info.bitrate_out,
            frame_rate: info.frame_rate,
            gop: info.gop.map(millis),
            skipped: info.skipped,
            viewers: info.viewers(),
            readers: info.readers.iter().map(|(protocol, n)| (protocol.to_string(), *n)).collect(),
            layers: layers.into_iter().map(LayerView::from).collect(),
        }
    }
}

/// A page of streams.
#[derive(Serialize, ToSchema)]
pub struct StreamPage {
    /// The streams, by name.
    streams: Vec<StreamView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

/// The streams that are pushed here.
#[utoipa::path(get, operation_id = "listStreams", path = "/streams", tag = "streams", params(Asked),
    responses((status = 200, description = "A page of streams", body = StreamPage)))]
pub async fn list(State(api): State<Arc<Api>>, caller: Caller, Query(asked): Query<Asked>) -> Answer<StreamPage> {
    caller.may(Need::Look)?;
    let (streams, next) = asked.page(api.hub.list(), |info: &StreamInfo| info.name.as_str().to_owned())?;
    Ok(axum::Json(StreamPage { streams: streams.iter().map(|info| StreamView::of(&api.hub, info)).collect(), next }))
}

/// A stream: how it is pushed, its codecs, who plays it.
#[utoipa::path(get, operation_id = "getStream", path = "/streams/{stream}", tag = "streams", params(("stream" = String, Path)),
    responses((status = 200, description = "The stream", body = StreamView)))]
pub async fn show(State(api): State<Arc<Api>>, caller: Caller, Path(stream): Path<String>) -> Answer<StreamView> {
    caller.may_stream(&api, &stream, true)?;
    let info = StreamName::new(&stream).ok().and_then(|name| api.hub.info(&name));
    let info = info.ok_or_else(|| Problem::missing("no_stream", "there is no such stream here"))?;
    Ok(axum::Json(StreamView::of(&api.hub, &info)))
}

/// Ends a stream: its publisher and all viewers. The publisher may come back; a ban keeps it out.
#[utoipa::path(delete, operation_id = "endStream", path = "/streams/{stream}", tag = "streams", params(("stream" = String, Path)),
    responses((status = 204, description = "It has ended")))]
pub async fn end(State(api): State<Arc<Api>>, caller: Caller, Path(stream): Path<String>) -> Done {
    caller.may_stream(&api, &stream, false)?;
    api.moderation.end_stream(&stream).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Caller {
    /// Whoever administers the room that a stream's name tells may act on the stream.
    fn may_stream(&self, api: &Api, stream: &str, look: bool) -> Result<(), Problem> {
        match api.moderation.urls.holder(stream).room {
            Some(room) if look => self.may(Need::LookAt(&room)),
            Some(room) => self.may(Need::Room(&room)),
            None if look => self.may(Need::Look),
            None => self.may(Need::Server),
        }
    }
}

/// A mix.
#[derive(Serialize, ToSchema)]
#[schema(as = Mix)]
pub struct MixView {
    /// What the room calls it.
    session: String,
    /// The stream that it is played as.
    stream: String,
    /// Whether it is seen in place of that stream, which is also its main input.
    over: bool,
    /// Pictures in it.
    inputs: usize,
}

/// A page of mixes.
#[derive(Serialize, ToSchema)]
pub struct MixPage {
    /// The mixes, by session.
    mixes: Vec<MixView>,
    /// The cursor of the next page; none: this was the last.
    next: Option<String>,
}

/// The mixes that are made here. Those of a cloud service are not known.
#[utoipa::path(get, operation_id = "listMixes", path = "/mixes", tag = "streams", params(Asked),
    responses((status = 200, description = "A page of mixes", body = MixPage)))]
pub async fn mixes(State(api): State<Arc<Api>>, caller: Caller, Query(asked): Query<Asked>) -> Answer<MixPage> {
    caller.may(Need::Look)?;
    let mixes = api.live.list_mixes().into_iter();
    let view = |m: media::mix::Running| MixView {
        over: matches!(m.output, media::mix::Output::Over(_)),
        stream: m.output.name().as_str().to_owned(),
        session: m.session,
        inputs: m.inputs,
    };
    let (mixes, next) = asked.page(mixes.map(view).collect(), |mix| mix.session.clone())?;
    Ok(axum::Json(MixPage { mixes, next }))
}

/// Ends a mix: the audience goes back to the stream itself.
#[utoipa::path(delete, operation_id = "endMix", path = "/mixes/{session}", tag = "streams", params(("session" = String, Path)),
    responses((status = 204, description = "It has ended")))]
pub async fn end_mix(State(api): State<Arc<Api>>, caller: Caller, Path(session): Path<String>) -> Done {
    caller.may(Need::Server)?;
    if api.live.end_mix(&session) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::missing("no_mix", "there is no such mix here"))
}

/// A mix to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMix {
    /// As clients give it to `merge_stream`.
    #[schema(value_type = Object)]
    merge_params: Map<String, Value>,
}

/// What the live service said.
#[derive(Serialize, ToSchema)]
pub struct Mixed {
    /// 0, or the number that clients of `merge_stream` know.
    code: i32,
    /// In words.
    message: String,
}

/// Starts, changes or stops a mix of a room's streams, as `merge_stream` does for clients; with streams of other rooms that
/// the operator administers, too.
#[utoipa::path(post, operation_id = "mixStreams", path = "/rooms/{room}/mixes", tag = "streams", params(("room" = String, Path)),
    request_body = NewMix, responses((status = 200, description = "What the live service said", body = Mixed)))]
pub async fn mix(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(room): Path<String>,
    Json(new): Json<NewMix>,
) -> Answer<Mixed> {
    let room = caller.room(&room)?;
    let mut found: Option<Vec<StreamId>> = None;
    let see = &mut |room: &Room, _: usize| found = Some(room.pushers.iter().map(|p| p.stream.clone()).collect());
    api.rooms.see_any(&room, see).await?;
    let mut streams = Mixable { room: found.ok_or(room::Refusal::NoRoom)?, partners: Vec::new() };
    let params = Value::Object(new.merge_params);
    let others = live::mix::streams(&params).into_iter().filter(|stream| !streams.in_room(stream));
    let allowed = others.filter(|stream| caller.may_stream(&api, stream, false).is_ok());
    streams.partners = allowed.filter_map(|stream| StreamId::parse(&stream).ok()).collect();
    let MixOutcome { code, message } = api.live.mix(&params, &streams).await?;
    Ok(axum::Json(Mixed { code, message }))
}
