//! Rooms as clients see them.

use room::custom::Value;
use room::{Custom, Kind, Pusher, Room, UserId};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use streams::live::{Play, Plays, Url};

/// What the same room looks like differs by who asks, and how they reached us.
pub struct Lens<'a> {
    /// Makes the URLs.
    pub plays: Plays<'a>,
    /// Who asks: the URLs are theirs.
    pub user: &'a UserId,
}

/// A room, in `rooms` and as the answer of `get_pushers`.
pub struct RoomView<'a> {
    /// The room.
    pub room: &'a Room,
    /// How many viewers it has.
    pub viewers: usize,
    /// How to look at it.
    pub lens: &'a Lens<'a>,
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
        let play = |stream| lens.plays.of(stream, Some(&room.id));
        let mixed = creator.map(|(_, stream)| play(stream));
        out.extend_from_slice(b"\"roomID\":");
        text(out, room.id.as_str());
        out.extend_from_slice(b",\"roomInfo\":");
        text(out, &room.info);
        out.extend_from_slice(b",\"roomCreator\":");
        text(out, creator.map_or("", |(user, _)| user.as_str()));
        // The creator's stream is signed and written once; where it stands again, it is copied.
        let mut written = 0..0;
        match &mixed {
            Some(play) => {
                url(out, b",\"mixedPlayURL\":\"", play.mixed());
                let from = out.len();
                play_urls(out, play);
                written = from..out.len();
            }
            None => out.extend_from_slice(
                b",\"mixedPlayURL\":\"\",\"flvURL\":\"\",\"hlsURL\":\"\",\"whepURL\":\"\",\"webrtcURL\":\"\"",
            ),
        }
        if !self.detailed {
            out.extend_from_slice(b",\"roomType\":");
            text(out, room.kind.path());
        }
        out.extend_from_slice(b",\"custom\":");
        custom(out, room);
        if self.detailed {
            out.extend_from_slice(b",\"roomStatusCode\":");
            json(out, &room.status);
        }
        if room.kind == Kind::Live {
            out.extend_from_slice(b",\"audienceCount\":");
            json(out, &self.viewers);
        }
        out.extend_from_slice(b",\"pushers\":");
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
        text(out, &custom_text(&room.custom));
    }
}

/// The list of pushers and its version, as a heartbeat answers them.
pub struct Members<'a> {
    /// The room.
    pub room: &'a Room,
    /// How to look at it.
    pub lens: &'a Lens<'a>,
}

impl Members<'_> {
    /// Appends the fields as JSON, without the braces.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { room, lens } = self;
        out.extend_from_slice(b"\"roomStatusCode\":");
        json(out, &room.status);
        out.extend_from_slice(b",\"pushers\":");
        list(out, &room.pushers, |out, pusher| {
            let play = lens.plays.of(&pusher.stream, Some(&room.id));
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
    text(out, pusher.user.as_str());
    out.extend_from_slice(b",\"userName\":");
    text(out, &pusher.name);
    out.extend_from_slice(b",\"userAvatar\":");
    text(out, &pusher.avatar);
    url(out, b",\"accelerateURL\":\"", play.accelerate_for(co_anchor));
}

fn play_urls(out: &mut Vec<u8>, play: &Play<'_>) {
    url(out, b",\"flvURL\":\"", play.flv());
    url(out, b",\"hlsURL\":\"", play.hls());
    url(out, b",\"whepURL\":\"", play.whep());
    url(out, b",\"webrtcURL\":\"", play.webrtc());
}

fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing to memory cannot fail, and these values are no maps with odd keys.
    let _ = serde_json::to_writer(out, value);
}

/// A text as JSON. Most hold nothing to escape, which is seen at many bytes a time.
fn text(out: &mut Vec<u8>, text: &str) {
    let escapes = text.bytes().fold(false, |found, b| found | (b < b' ') | (b == b'"') | (b == b'\\'));
    if escapes {
        return json(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A field that is a URL made here: its hosts, paths and names are checked to hold nothing that JSON escapes.
fn url(out: &mut Vec<u8>, field: &[u8], url: Url<'_>) {
    out.extend_from_slice(field);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_written_as_serde_writes_them(text in "[ -~\\x00-\\x1f\\x7f一-丠]{0,40}|[a-z]{0,20}[\"\\\\]?") {
            let mut out = Vec::new();
            super::text(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
