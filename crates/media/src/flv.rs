//! FLV: the file header and tags, made once per burst for all viewers, and [`Player`], the body of an HTTP or WebSocket
//! answer. HTTP itself belongs to the server.

pub mod body;
pub mod demux;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};

use crate::ended::Ended;
use crate::frame::{Burst, Frame, Kind};
use crate::hub::{Item, Reader, Tracks};

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
    let kind = match frame.kind {
        Kind::Video | Kind::VideoConfig => VIDEO,
        Kind::Audio | Kind::AudioConfig => AUDIO,
        Kind::Data => SCRIPT,
    };
    let head = body::head(frame);
    let length = head.len() + frame.payload.len();
    let [wide, time @ ..] = frame.stamp(timestamp).to_be_bytes();
    out.reserve(length + AROUND);
    out.put_u8(kind);
    out.put_uint(length as u64, 3);
    out.put_slice(&time);
    out.put_slice(&[wide, 0, 0, 0]);
    out.put_slice(&head);
    out.put_slice(&frame.payload);
    out.put_u32((length + 11) as u32);
}

/// The frame's tag.
pub fn frame(frame: &Frame) -> Bytes {
    frame.flv(|f| {
        let mut out = BytesMut::with_capacity(f.payload.len() + 8 + AROUND);
        write(&mut out, f, f.dts_ms());
        out.freeze()
    })
}

/// The burst's tags, in one piece.
pub fn burst(burst: &Burst) -> Bytes {
    burst.flv(|frames: &[Arc<Frame>]| {
        let mut out = BytesMut::with_capacity(frames.iter().map(|f| f.payload.len() + 8 + AROUND).sum());
        for f in frames {
            write(&mut out, f, f.dts_ms());
        }
        out.freeze()
    })
}

/// One viewer: blocks of FLV, to be written as they come. Dropping it ends the viewing.
///
/// A body that is polled only when its connection can take more is skipped forward when it lags, as every reader is; a
/// connection that takes nothing at all is for its owner to time out.
pub struct Player {
    reader: Reader,
    started: bool,
    /// Configurations that go before the next block, which tells their time.
    tracks: Option<Tracks>,
    /// The block that they were put before.
    next: Option<Bytes>,
}

impl Player {
    /// Plays what `reader` reads.
    pub fn new(reader: Reader) -> Self {
        Player { reader, started: false, tracks: None, next: None }
    }

    /// The next block: first the file header and configurations; then a frame or a burst each time, as the reader's pace
    /// is. `None` when the stream has ended. Shaped for `http_body::Body::poll_frame`: what viewers share is not copied.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(block) = self.next.take() {
            return Poll::Ready(Some(block));
        }
        loop {
            let (first, block) = match std::task::ready!(self.reader.poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Item::Tracks(tracks)) => {
                    self.tracks = Some(tracks);
                    continue;
                }
                Some(Item::Frame(f)) => (f.dts_ms(), frame(&f)),
                Some(Item::Burst(b)) => (b.frames.first().map_or(0, |f| f.dts_ms()), burst(&b)),
            };
            self.reader.count_sent(block.len() as u64);
            if self.started && self.tracks.is_none() {
                return Poll::Ready(Some(block));
            }
            self.next = Some(block);
            return Poll::Ready(Some(self.introduce(first)));
        }
    }

    /// As [`Player::poll_next`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Why the stream ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.reader.ended()
    }

    /// The file header (once) and the configurations that go before a block that starts at `timestamp`.
    fn introduce(&mut self, timestamp: u32) -> Bytes {
        let tracks = self.tracks.take().unwrap_or_default();
        let mut out = BytesMut::with_capacity(1024);
        if !self.started {
            self.started = true;
            // What came meanwhile counts too: players take the flags for a promise.
            out.put_slice(&header(self.reader.has_audio(), self.reader.tracks().video.is_some()));
        }
        for f in [&tracks.metadata, &tracks.video, &tracks.audio].into_iter().flatten() {
            write(&mut out, f, timestamp);
        }
        self.reader.count_sent(out.len() as u64);
        out.freeze()
    }
}
