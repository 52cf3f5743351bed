//! FLV taken apart: bytes in, frames out. For relays, tests and tools.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::body::{self, NoFrame};
use super::{AUDIO, SCRIPT, VIDEO};
use crate::ended::Ended;
use crate::frame::Frame;

/// Longest tag taken, in bytes.
const MAX_TAG: usize = 8 << 20;

/// Takes FLV apart, however it is cut.
#[derive(Default)]
pub struct Demuxer {
    buffer: BytesMut,
    flags: Option<u8>,
    /// What the last tag held beside the frame that it gave.
    more: VecDeque<Frame>,
}

impl Demuxer {
    /// Appends bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What the file header promises, once it came: (audio, video).
    pub fn tracks(&self) -> Option<(bool, bool)> {
        self.flags.map(|f| (f & 4 != 0, f & 1 != 0))
    }

    /// The next frame; `None` when more bytes are needed. Tags that hold no frame we know are passed over.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Ended> {
        if self.flags.is_none() {
            let Some(head) = self.buffer.get(..13) else {
                return Ok(None);
            };
            if &head[..3] != b"FLV" {
                return Err(Ended::Protocol("not FLV".into()));
            }
            self.flags = Some(head[4]);
            self.buffer.advance(13);
        }
        loop {
            if let Some(frame) = self.more.pop_front() {
                return Ok(Some(frame));
            }
            let Some(head) = self.buffer.get(..11) else {
                return Ok(None);
            };
            let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            if length > MAX_TAG {
                return Err(Ended::Limit("FLV tag length"));
            }
            if self.buffer.len() < 11 + length + 4 {
                return Ok(None);
            }
            let head = self.buffer.split_to(11);
            let payload = self.buffer.split_to(length).freeze();
            self.buffer.advance(4);
            self.more.extend(others(&head, &payload).into_iter().flatten());
            if let Ok(frame) = tag(&head, payload) {
                return Ok(Some(frame));
            }
        }
    }
}

/// A frame out of a tag's 11-byte header and body.
pub(crate) fn tag(head: &[u8], payload: Bytes) -> Result<Frame, NoFrame> {
    let dts = dts(head);
    match head[0] & 0x1f {
        VIDEO => body::video(dts, payload),
        AUDIO => body::audio(dts, payload),
        SCRIPT if !payload.is_empty() => Ok(Frame::data(dts, payload)),
        _ => Err(NoFrame::Nothing),
    }
}

/// What a tag holds beside the frame that [`tag`] makes of it.
pub(crate) fn others(head: &[u8], payload: &Bytes) -> Vec<Result<Frame, NoFrame>> {
    if head[0] & 0x1f == AUDIO { body::other_sounds(dts(head), payload) } else { Vec::new() }
}

fn dts(head: &[u8]) -> i64 {
    i64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]])) * 1000
}
