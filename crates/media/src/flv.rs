//! FLV: the file header and tags, made once per burst for all viewers, and [`Player`], the body of an HTTP or WebSocket
//! answer. HTTP itself belongs to the server.

pub mod body;
pub mod demux;
mod parting;
mod player;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::VideoInfo;
use crate::frame::{Burst, Codec, Frame, Kind, Span};
use crate::hub::{Flowing, Tracks};
use crate::rtmp::amf0::{self, Value};

pub use body::Form;
pub use player::Player;

/// Sound that every player in browsers knows. Beside other sound some show no pictures either; MP3 is not heard with all.
pub const IN_BROWSERS: &[Codec] = &[Codec::Aac];
/// Sound that other programs are given over HTTP as it is.
pub const IN_PROGRAMS: &[Codec] = &[
    Codec::Aac,
    Codec::Mp3,
    Codec::Pcm,
    Codec::Speex,
    Codec::Nellymoser,
    Codec::Adpcm,
    Codec::Ac3,
    Codec::Eac3,
    Codec::Flac,
];
/// Sound that RTMP players are given as it is: G.711 besides.
pub const OVER_RTMP: &[Codec] = &joined::<{ 2 + IN_PROGRAMS.len() }>(&[Codec::Pcma, Codec::Pcmu], IN_PROGRAMS);
/// All sound that RTMP and FLV have a place for: Opus besides, for those who say that they take it.
pub const SOUNDS: &[Codec] = &joined::<{ 1 + OVER_RTMP.len() }>(&[Codec::Opus], OVER_RTMP);

const fn joined<const N: usize>(first: &[Codec], then: &[Codec]) -> [Codec; N] {
    let mut all = [Codec::Aac; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { then[at - first.len()] };
        at += 1;
    }
    all
}

/// Media type of an FLV answer.
pub const CONTENT_TYPE: &str = "video/x-flv";

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;
/// Tag header and the tag length that follows each tag.
const AROUND: usize = 11 + 4;

/// The file header with its first "previous tag size".
pub fn header(audio: bool, video: bool) -> [u8; 13] {
    let flags = u8::from(audio) << 2 | u8::from(video);
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// Appends one frame as a tag, stamped with `timestamp` milliseconds.
pub fn write(out: &mut BytesMut, frame: &Frame, timestamp: u32) {
    write_in(Form::Enhanced, out, frame, timestamp);
}

/// As [`write`], in a form that the player asked for.
fn write_in(form: Form, out: &mut BytesMut, frame: &Frame, timestamp: u32) {
    let kind = match frame.kind {
        Kind::Video | Kind::VideoConfig => VIDEO,
        Kind::Audio | Kind::AudioConfig => AUDIO,
        Kind::Data => SCRIPT,
    };
    let head = form.head(frame);
    let payload = body::payload(frame);
    let length = head.len() + payload.len();
    let [wide, time @ ..] = frame.stamp(timestamp).to_be_bytes();
    out.reserve(length + AROUND);
    out.put_u8(kind);
    out.put_uint(length as u64, 3);
    out.put_slice(&time);
    out.put_slice(&[wide, 0, 0, 0]);
    out.put_slice(&head);
    out.put_slice(payload);
    out.put_u32((length + 11) as u32);
}

/// The frame's tag, for players of this span.
pub fn frame(frame: &Frame, span: Span) -> Bytes {
    frame.flv(span, |f| {
        let mut out = BytesMut::with_capacity(f.payload.len() + 8 + AROUND);
        write(&mut out, f, f.dts_since(span));
        out.freeze()
    })
}

/// The burst's tags, in one piece.
pub fn burst(burst: &Burst, span: Span) -> Bytes {
    burst.flv(span, |frames: &[Arc<Frame>]| {
        let mut out = BytesMut::with_capacity(frames.iter().map(|f| f.payload.len() + 8 + AROUND).sum());
        for f in frames {
            write(&mut out, f, f.dts_since(span));
        }
        out.freeze()
    })
}

/// The description of a stream whose publisher gave none, as browsers do. librtmp makes the head of what it reads from the first
/// message alone, unless a description names both tracks: its player would have pictures and no sound.
pub(crate) fn description(tracks: &Tracks, flowing: Flowing) -> Option<Arc<Frame>> {
    let mut said: Vec<(&str, Value)> = Vec::new();
    if let Some(video) = tracks.video.as_deref().filter(|_| flowing.video) {
        let info = VideoInfo::of(video.codec, &video.payload);
        if info.width > 0 && info.height > 0 {
            said.push(("width", f64::from(info.width).into()));
            said.push(("height", f64::from(info.height).into()));
        }
        let head = body::head(video);
        said.push(("videocodecid", codec_id(&head, head[0] & 0x80 != 0, head[0] & 0x0f)));
    }
    if let Some(audio) = tracks.audio.as_deref().filter(|_| flowing.audio) {
        let head = body::head(audio);
        said.push(("audiocodecid", codec_id(&head, head[0] >> 4 == 9, head[0] >> 4)));
    }
    let first = tracks.video.as_deref().or(tracks.audio.as_deref()).filter(|_| !said.is_empty())?;
    let mut out = BytesMut::new();
    Value::from("onMetaData").write(&mut out);
    let said = said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(said).write(&mut out);
    Some(Arc::new(Frame::data(first.dts, out.freeze())))
}

/// A description as [`Form::OldHevc`] has it: FFmpeg before 6.1 takes the codec from there.
pub(crate) fn in_old_numbers(metadata: &Arc<Frame>) -> Arc<Frame> {
    let Ok(mut values) = amf0::read_all(&metadata.payload) else { return Arc::clone(metadata) };
    let hevc = Value::from(f64::from(u32::from_be_bytes(*b"hvc1")));
    for value in &mut values {
        let Value::Object(properties) = value else { continue };
        for (_, said) in properties.iter_mut().filter(|(name, said)| name == "videocodecid" && *said == hevc) {
            *said = f64::from(body::HEVC).into();
        }
    }
    let mut out = BytesMut::new();
    values.iter().for_each(|value| value.write(&mut out));
    Arc::new(Frame::data(metadata.dts, out.freeze()))
}

/// How descriptions number a codec: by the old number, or by its four characters (Enhanced RTMP).
fn codec_id(head: &[u8], by_characters: bool, old: u8) -> Value {
    match head.get(1..5) {
        Some(&[a, b, c, d]) if by_characters => f64::from(u32::from_be_bytes([a, b, c, d])).into(),
        _ => f64::from(old).into(),
    }
}

/// What of a stream's description may be said where only these tracks flow: players wait for what it names. Nothing is left
/// of one that cannot be read.
pub(crate) fn describe(metadata: &Arc<Frame>, flowing: Flowing) -> Option<Arc<Frame>> {
    if flowing.audio && flowing.video {
        return Some(Arc::clone(metadata));
    }
    let is_said = |name: &str| {
        let name = name.to_ascii_lowercase();
        let of = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        (flowing.audio || !of(&["audio", "stereo"]))
            && (flowing.video || !(of(&["video", "framerate"]) || matches!(&*name, "width" | "height")))
    };
    let mut values = amf0::read_all(&metadata.payload).ok()?;
    for value in &mut values {
        if let Value::Object(properties) = value {
            properties.retain(|(name, _)| is_said(name));
        }
    }
    let mut out = BytesMut::new();
    values.iter().for_each(|value| value.write(&mut out));
    Some(Arc::new(Frame::data(metadata.dts, out.freeze())))
}
