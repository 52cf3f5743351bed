//! Rooms as clients see them.

use room::custom::Value;
use room::{Custom, Kind, Millis, Pusher, Room};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use sign::token::Generation;

use crate::live::{Base, Urls};

/// What the same room looks like differs by who asks, and how they reached us.
#[derive(Clone, Copy)]
pub struct Lens<'a> {
    /// Makes the URLs.
    pub urls: &'a Urls,
    /// Where the client came from.
    pub base: Base<'a>,
    /// What shape `custom` has.
    pub generation: Generation,
    /// Now.
    pub now: Millis,
}

/// A room, in `rooms` and as the answer of `get_pushers`.
pub struct RoomView<'a> {
    /// The room.
    pub room: &'a Room,
    /// How many viewers it has.
    pub viewers: usize,
    /// How to look at it.
    pub lens: Lens<'a>,
    /// With `roomStatusCode`, as `get_pushers` has it.
    pub detailed: bool,
}

impl Serialize for RoomView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { room, lens, .. } = self;
        let creator = room.creator.as_ref();
        let mixed = creator.map(|(_, stream)| lens.urls.play(lens.base, stream, lens.now));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("roomID", &room.id)?;
        map.serialize_entry("roomInfo", &room.info)?;
        map.serialize_entry("roomCreator", creator.map_or("", |(user, _)| user.as_str()))?;
        match &mixed {
            Some(play) => {
                map.serialize_entry("mixedPlayURL", &format_args!("{}", play.http("flv")))?;
                map.serialize_entry("flvURL", &format_args!("{}", play.http("flv")))?;
                map.serialize_entry("hlsURL", &format_args!("{}", play.http("m3u8")))?;
                map.serialize_entry("whepURL", &format_args!("{}", play.whep()))?;
            }
            None => {
                for name in ["mixedPlayURL", "flvURL", "hlsURL", "whepURL"] {
                    map.serialize_entry(name, "")?;
                }
            }
        }
        match lens.generation {
            Generation::First => map.serialize_entry("custom", &custom_text(&room.custom))?,
            Generation::Second => map.serialize_entry("custom", &CustomView(&room.custom))?,
        }
        if self.detailed {
            map.serialize_entry("roomStatusCode", &room.status)?;
        }
        if room.kind == Kind::Live {
            map.serialize_entry("audienceCount", &self.viewers)?;
        }
        map.serialize_entry("pushers", &PushersView(&room.pushers, *lens))?;
        map.end()
    }
}

struct PushersView<'a>(&'a [Pusher], Lens<'a>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PusherView<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    user_name: &'a str,
    user_avatar: &'a str,
    #[serde(rename = "accelerateURL")]
    accelerate_url: std::fmt::Arguments<'a>,
    #[serde(rename = "flvURL")]
    flv_url: std::fmt::Arguments<'a>,
    #[serde(rename = "hlsURL")]
    hls_url: std::fmt::Arguments<'a>,
    #[serde(rename = "whepURL")]
    whep_url: std::fmt::Arguments<'a>,
}

impl Serialize for PushersView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(pushers, lens) = self;
        let mut seq = serializer.serialize_seq(Some(pushers.len()))?;
        for pusher in *pushers {
            let play = lens.urls.play(lens.base, &pusher.stream, lens.now);
            seq.serialize_element(&PusherView {
                user_id: pusher.user.as_str(),
                user_name: &pusher.name,
                user_avatar: &pusher.avatar,
                accelerate_url: format_args!("{}", play.accelerate()),
                flv_url: format_args!("{}", play.http("flv")),
                hls_url: format_args!("{}", play.http("m3u8")),
                whep_url: format_args!("{}", play.whep()),
            })?;
        }
        seq.end()
    }
}

/// Custom fields as a JSON object.
pub struct CustomView<'a>(pub &'a Custom);

impl Serialize for CustomView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter() {
            match value {
                Value::Int(n) => map.serialize_entry(name, n)?,
                Value::Float(n) => map.serialize_entry(name, n)?,
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                    Ok(raw) => map.serialize_entry(name, raw)?,
                    Err(_) => map.serialize_entry(name, text)?,
                },
            }
        }
        map.end()
    }
}

/// Custom fields as a JSON text.
pub fn custom_text(custom: &Custom) -> String {
    serde_json::to_string(&CustomView(custom)).unwrap_or_else(|_| "{}".into())
}
