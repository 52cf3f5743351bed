//! Frames as RTMP chunks: made once, shared by every player of the stream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::chunk::{self, Header};
use super::message::{AUDIO, CHUNK, DATA, STREAM, VIDEO};
use crate::flv::{Form, body};
use crate::frame::{Burst, Frame, Kind, Span};
use crate::hub::Tracks;

const AUDIO_CHANNEL: u8 = 4;
const DATA_CHANNEL: u8 = 5;
const VIDEO_CHANNEL: u8 = 6;

/// Appends one frame, stamped with `timestamp` milliseconds.
pub fn write(out: &mut BytesMut, frame: &Frame, timestamp: u32) {
    write_to(out, frame, timestamp, STREAM);
}

/// As [`write()`], in a form that the player asked for.
pub fn write_in(form: Form, out: &mut BytesMut, frame: &Frame, timestamp: u32) {
    write_form(form, out, frame, timestamp, STREAM);
}

/// As [`write`], on a message stream of the caller's.
pub(super) fn write_to(out: &mut BytesMut, frame: &Frame, timestamp: u32, stream: u32) {
    write_form(Form::Enhanced, out, frame, timestamp, stream);
}

fn write_form(form: Form, out: &mut BytesMut, frame: &Frame, timestamp: u32, stream: u32) {
    let (channel, kind) = match frame.kind {
        Kind::Video | Kind::VideoConfig => (VIDEO_CHANNEL, VIDEO),
        Kind::Audio | Kind::AudioConfig => (AUDIO_CHANNEL, AUDIO),
        Kind::Data => (DATA_CHANNEL, DATA),
    };
    let header = Header { kind, stream, timestamp: frame.stamp(timestamp) };
    chunk::write(out, channel, header, &form.head(frame), body::payload(frame), CHUNK);
}

fn room(frame: &Frame) -> usize {
    frame.payload.len() + 32 + frame.payload.len() / CHUNK * 5
}

/// The frame's chunks, for players of this span.
pub fn frame(frame: &Frame, span: Span) -> Bytes {
    frame.rtmp(span, |f| {
        let mut out = BytesMut::with_capacity(room(f));
        write(&mut out, f, f.dts_since(span));
        out.freeze()
    })
}

/// The burst's chunks, in one piece.
pub fn burst(burst: &Burst, span: Span) -> Bytes {
    burst.rtmp(span, |frames: &[Arc<Frame>]| {
        let mut out = BytesMut::with_capacity(frames.iter().map(|f| room(f)).sum());
        for f in frames {
            write(&mut out, f, f.dts_since(span));
        }
        out.freeze()
    })
}

/// Description and configurations, for a player that joins at `timestamp` milliseconds.
pub fn tracks(form: Form, tracks: &Tracks, timestamp: u32) -> Bytes {
    let mut out = BytesMut::new();
    for f in [&tracks.metadata, &tracks.video, &tracks.audio].into_iter().flatten().chain(&tracks.further) {
        write_in(form, &mut out, f, timestamp);
    }
    out.freeze()
}
