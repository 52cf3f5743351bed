//! Pictures whose slices came in messages of their own, as some cameras send them, put together again: players decode each message as
//! a picture. Pure.

use bytes::{Bytes, BytesMut};

use crate::frame::Frame;

/// Most bytes of a picture, and most messages that it comes in: what follows is left out.
const MOST_BYTES: usize = 8 << 20;
const MOST_MESSAGES: usize = 1_024;

/// One publisher's pictures.
#[derive(Default)]
pub(super) struct Slices {
    /// When the last message was due, in microseconds.
    last: Option<i64>,
    /// Slices do come by themselves: each picture waits for the next one, which tells that it is whole.
    apart: bool,
    held: Option<Held>,
}

/// A picture that may have more slices. They are put together once, when it goes on.
struct Held {
    first: Frame,
    rest: Vec<Bytes>,
    bytes: usize,
}

impl Held {
    fn new(first: Frame) -> Self {
        Held { bytes: first.payload.len(), first, rest: Vec::new() }
    }

    fn whole(self) -> Frame {
        let Held { mut first, rest, bytes } = self;
        if !rest.is_empty() {
            let mut joined = BytesMut::with_capacity(bytes);
            joined.extend_from_slice(&first.payload);
            rest.iter().for_each(|slice| joined.extend_from_slice(slice));
            first.payload = joined.freeze();
        }
        first
    }
}

impl Slices {
    /// Takes a message with slices. `is_rest`: its first slice is not the first of its picture. Gives a whole picture.
    pub fn join(&mut self, frame: Frame, is_rest: impl FnOnce(&Frame) -> bool) -> Option<Frame> {
        let continues = self.last.replace(frame.dts) == Some(frame.dts) && is_rest(&frame);
        if !self.apart {
            self.apart = continues;
            // The first slice of this one went on alone.
            return (!continues).then_some(frame);
        }
        match &mut self.held {
            Some(held) if continues && held.bytes < MOST_BYTES && held.rest.len() < MOST_MESSAGES => {
                held.bytes += frame.payload.len();
                held.rest.push(frame.payload);
                None
            }
            _ if continues => None,
            held => held.replace(Held::new(frame)).map(Held::whole),
        }
    }

    /// What follows is decoded in another way: what was held does not go before it any more.
    pub fn forget(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;
    use bytes::Bytes;

    /// Which bytes went on, of messages at these milliseconds; a message in lower case is the rest of a picture.
    fn joined(messages: &[(i64, &'static str)]) -> Vec<(i64, String)> {
        let mut slices = Slices::default();
        let is_rest = |frame: &Frame| frame.payload[0].is_ascii_lowercase();
        let pass = |(ms, text): &(i64, &'static str)| {
            let frame = Frame::video(Codec::H264, ms * 1000, 0, *ms == 0, Bytes::from_static(text.as_bytes()));
            slices.join(frame, is_rest)
        };
        let on = messages.iter().filter_map(pass);
        on.map(|frame| (frame.dts / 1000, String::from_utf8(frame.payload.to_vec()).unwrap())).collect()
    }

    #[test]
    fn slices_of_one_moment_become_one_picture() {
        let whole = [(0, "A"), (40, "B"), (40, "C"), (80, "D")];
        let as_they_came: Vec<_> = whole.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
        assert_eq!(joined(&whole), as_they_came, "nothing waits where nothing is missing");
        // What is known only afterwards is lost of the first picture.
        let apart = [(0, "A"), (0, "a"), (0, "b"), (40, "B"), (40, "c"), (40, "d"), (80, "C"), (80, "e"), (120, "D")];
        let expected = [(0, "A"), (40, "Bcd"), (80, "Ce")].map(|(at, text)| (at, text.to_owned()));
        assert_eq!(joined(&apart), expected);
    }
}
