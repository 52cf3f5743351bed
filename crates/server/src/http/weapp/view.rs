//! Rooms as clients see them.

use room::custom::Value;
use room::{Custom, Kind, Millis, Pusher, Room, UserId};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use streams::live::{Base, Play, Url, Urls, Viewer};

/// What the same room looks like differs by who asks, and how they reached us.
#[derive(Clone, Copy)]
pub struct Lens<'a> {
    /// Makes the URLs.
    pub urls: &'a Urls,
    /// Where the client came from.
    pub base: Base<'a>,
    /// Who asks: the URLs are theirs.
    pub user: &'a UserId,
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
    /// As `get_pushers` has it, which clients ask before they enter: with `roomStatusCode`, and with what co-anchors play. A list
    /// has that for those alone who push in the room.
    pub detailed: bool,
}

impl RoomView<'_> {
    /// Appends the room's fields as JSON, without the braces. Written by hand because lists of rooms are mostly
    /// URLs, and those hold nothing that JSON would escape.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { room, lens, .. } = self;
        let creator = room.creator.as_ref();
        let viewer = Viewer::new(lens.user, Some(&room.id));
        let play = |stream| lens.urls.play(lens.base, stream, Some(&viewer), lens.now);
        let mixed = creator.map(|(_, stream)| play(stream));
        out.extend_from_slice(b"\"roomID\":");
        json(out, room.id.as_str());
        field(out, "roomInfo");
        json(out, &*room.info);
        field(out, "roomCreator");
        json(out, creator.map_or("", |(user, _)| user.as_str()));
        // The creator's stream is signed and written once; where it stands again, it is copied.
        let mut written = 0..0;
        match &mixed {
            Some(play) => {
                url(out, "mixedPlayURL", play.mixed());
                let from = out.len();
                play_urls(out, play);
                written = from..out.len();
            }
            None => out.extend_from_slice(
                b",\"mixedPlayURL\":\"\",\"flvURL\":\"\",\"hlsURL\":\"\",\"whepURL\":\"\",\"webrtcURL\":\"\"",
            ),
        }
        if !self.detailed {
            field(out, "roomType");
            json(out, room.kind.path());
        }
        field(out, "custom");
        custom(out, room);
        if self.detailed {
            field(out, "roomStatusCode");
            json(out, &room.status);
        }
        if room.kind == Kind::Live {
            field(out, "audienceCount");
            json(out, &self.viewers);
        }
        field(out, "pushers");
        let co_anchor = self.detailed || room.pushers.iter().any(|pusher| pusher.user == *lens.user);
        list(out, &room.pushers, |out, pusher| {
            match mixed.as_ref().filter(|_| creator.is_some_and(|(_, stream)| *stream == pusher.stream)) {
                Some(play) => {
                    pusher_fields(out, pusher, play, co_anchor);
                    out.extend_from_within(written.clone());
                }
                None => {
                    let play = play(&pusher.stream);
                    pusher_fields(out, pusher, &play, co_anchor);
                    play_urls(out, &play);
                }
            }
        });
    }
}

/// A text for every generation: the second one's room classes hold a text too, and one field of another type fails the whole
/// list.
fn custom(out: &mut Vec<u8>, room: &Room) {
    if room.custom.is_empty() {
        out.extend_from_slice(b"\"{}\"");
    } else {
        json(out, &custom_text(&room.custom));
    }
}

/// The list of pushers and its version, as a heartbeat answers them.
pub struct Members<'a> {
    /// The room.
    pub room: &'a Room,
    /// How to look at it.
    pub lens: Lens<'a>,
}

impl Members<'_> {
    /// Appends the fields as JSON, without the braces.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { room, lens } = self;
        let viewer = Viewer::new(lens.user, Some(&room.id));
        out.extend_from_slice(b"\"roomStatusCode\":");
        json(out, &room.status);
        field(out, "pushers");
        list(out, &room.pushers, |out, pusher| {
            let play = lens.urls.play(lens.base, &pusher.stream, Some(&viewer), lens.now);
            // Whoever sends heartbeats pushes here.
            pusher_fields(out, pusher, &play, true);
            play_urls(out, &play);
        });
    }
}

/// Pushers as a JSON list of objects, each opened by [`pusher_fields`].
fn list<'a>(out: &mut Vec<u8>, pushers: &'a [Pusher], mut each: impl FnMut(&mut Vec<u8>, &'a Pusher)) {
    out.push(b'[');
    for (n, pusher) in pushers.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        each(out, pusher);
        out.push(b'}');
    }
    out.push(b']');
}

/// A pusher up to what the audience plays.
fn pusher_fields(out: &mut Vec<u8>, pusher: &Pusher, play: &Play<'_>, co_anchor: bool) {
    out.extend_from_slice(b"{\"userID\":");
    json(out, pusher.user.as_str());
    field(out, "userName");
    json(out, &*pusher.name);
    field(out, "userAvatar");
    json(out, &*pusher.avatar);
    url(out, "accelerateURL", play.accelerate_for(co_anchor));
}

fn play_urls(out: &mut Vec<u8>, play: &Play<'_>) {
    url(out, "flvURL", play.http("flv"));
    url(out, "hlsURL", play.http("m3u8"));
    url(out, "whepURL", play.whep());
    url(out, "webrtcURL", play.webrtc());
}

fn field(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing to memory cannot fail, and these values are no maps with odd keys.
    let _ = serde_json::to_writer(out, value);
}

/// A URL made here: its hosts, paths and names are checked to hold nothing that JSON escapes.
fn url(out: &mut Vec<u8>, name: &str, url: Url<'_>) {
    field(out, name);
    out.push(b'"');
    url.append_to(out);
    out.push(b'"');
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
