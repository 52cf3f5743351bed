//! RTMP chunks: messages cut into interleaved pieces (specification §5.3). Bounded by what a peer may keep unfinished,
//! not by what it declares.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::ended::Ended;

/// Chunk size both sides start with.
pub const INITIAL: usize = 128;
/// Chunks are no longer than this, whatever larger size a peer declares: no message is longer (specification §5.4.1).
const MAX_CHUNK: u32 = 0xff_ffff;
/// Most chunk streams of one connection.
const MAX_STREAMS: usize = 64;
/// Most messages that are begun and not finished.
const MAX_PARTIAL: usize = 16;
/// Room made for a message before its bytes come.
const FIRST_ROOM: usize = 16 << 10;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Type id.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Milliseconds, wrapping.
    pub timestamp: u32,
    /// The bytes.
    pub payload: Bytes,
}

/// Longest payload taken of each kind of message, in bytes.
fn bound(kind: u8) -> usize {
    match kind {
        super::kind::VIDEO | super::kind::AGGREGATE => 8 << 20,
        super::kind::AUDIO => 1 << 20,
        super::kind::DATA | super::kind::DATA_AMF3 => 256 << 10,
        _ => 64 << 10,
    }
}

#[derive(Default)]
struct Channel {
    begun: bool,
    kind: u8,
    stream: u32,
    timestamp: u32,
    /// What the last header said: a delta, or the time itself (which then serves as delta, §5.3.1.2.4).
    delta: u32,
    extended: bool,
    length: usize,
    buffer: Vec<u8>,
}

impl Channel {
    /// Bytes of the message that are still to come.
    fn left(&self) -> usize {
        self.length - self.buffer.len()
    }

    /// Whether four bytes of a chunk of format 3 may be an extended timestamp. The specification repeats it there; some
    /// encoders do not, and their last piece of a message may be shorter.
    fn may_repeat(&self, repeats: Option<bool>) -> bool {
        self.extended && (repeats != Some(false) || self.left() >= 4)
    }

    /// Takes what a chunk's head has in this format. Gives the bytes of it that are payload after all. Keeps in `repeats`
    /// whether the peer repeats extended timestamps, where that can be told.
    fn read<'a>(&mut self, format: u8, fields: &'a [u8], repeats: &mut Option<bool>) -> &'a [u8] {
        let extended = |at: usize| fields.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let u24 = |at: usize| u32::from_be_bytes([0, fields[at], fields[at + 1], fields[at + 2]]);
        if format == 3 {
            let Some(found) = extended(0) else { return &[] };
            // What is not the timestamp is payload. Where a message begins, only a peer that is known tells.
            let tells = self.left() >= 4 && (self.begun || *repeats == Some(false));
            if found == self.delta {
                *repeats = Some(true);
            } else if tells {
                *repeats = Some(false);
            }
            return if found != self.delta && tells { fields } else { &[] };
        }
        self.delta = u24(0);
        self.extended = self.delta == 0xff_ffff;
        let plain = [11, 7, 3][usize::from(format)];
        if self.extended
            && let Some(wide) = extended(plain)
        {
            self.delta = wide;
        }
        if format <= 1 {
            self.length = u24(3) as usize;
            self.kind = fields[6];
        }
        if format == 0 {
            self.stream = u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]);
        }
        &[]
    }
}

/// Takes chunks apart.
pub struct Reader {
    chunk_size: usize,
    channels: HashMap<u32, Channel>,
    head: Head,
    /// Chunk stream and bytes that the current chunk still brings.
    body: Option<(u32, usize)>,
    partial: usize,
    partial_bytes: usize,
    most_bytes: usize,
    /// Whether the peer repeats extended timestamps in chunks of format 3, once that is known.
    repeats: Option<bool>,
}

/// Bytes of a header that is not complete yet: basic header 3, message header 11, extended timestamp 4.
#[derive(Default)]
struct Head {
    bytes: [u8; 18],
    len: usize,
}

struct Basic {
    format: u8,
    channel: u32,
    len: usize,
}

impl Head {
    fn basic(&self) -> Option<Basic> {
        let head = &self.bytes[..self.len];
        let first = *head.first()?;
        let (channel, len) = match first & 0x3f {
            0 => (64 + u32::from(*head.get(1)?), 2),
            1 => (64 + u32::from(*head.get(1)?) + 256 * u32::from(*head.get(2)?), 3),
            id => (u32::from(id), 1),
        };
        Some(Basic { format: first >> 6, channel, len })
    }
}

/// Most bytes of unfinished messages of a peer that may say what it likes.
pub const MOST: usize = 12 << 20;
/// The same of a peer that was permitted nothing yet: all that it says until then are commands.
pub const MOST_BEFORE: usize = 256 << 10;

impl Default for Reader {
    fn default() -> Self {
        Reader::new(MOST)
    }
}

impl Reader {
    /// A reader that keeps at most `most_bytes` of unfinished messages.
    pub fn new(most_bytes: usize) -> Self {
        Reader {
            chunk_size: INITIAL,
            channels: HashMap::new(),
            head: Head::default(),
            body: None,
            partial: 0,
            partial_bytes: 0,
            most_bytes,
            repeats: None,
        }
    }

    /// Keeps at most so many bytes of unfinished messages from now on.
    pub fn set_most(&mut self, most_bytes: usize) {
        self.most_bytes = most_bytes;
    }

    /// The peer declared another chunk size. Errors: zero, or more than 31 bits.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Ended> {
        if size == 0 || size > i32::MAX as u32 {
            return Err(Ended::Protocol(format!("chunk size {size}")));
        }
        self.chunk_size = size.min(MAX_CHUNK) as usize;
        Ok(())
    }

    /// The peer gave up a message that it had begun.
    pub fn abort(&mut self, channel: u32) {
        if let Some(channel) = self.channels.get_mut(&channel)
            && channel.begun
        {
            channel.begun = false;
            self.partial -= 1;
            self.partial_bytes -= channel.buffer.len();
            channel.buffer = Vec::new();
        }
    }

    /// Takes bytes off `input` up to the end of the next message. `None`: `input` is used up.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Ended> {
        loop {
            let (id, left) = match self.body {
                Some(body) => body,
                None => match self.read_head(input)? {
                    Some(body) => body,
                    None => return Ok(None),
                },
            };
            let (taken, rest) = input.split_at(left.min(input.len()));
            *input = rest;
            let left = left - taken.len();
            self.body = (left > 0).then_some((id, left));
            if let Some(message) = self.append(id, taken)? {
                return Ok(Some(message));
            }
            if left > 0 {
                return Ok(None);
            }
        }
    }

    fn append(&mut self, id: u32, bytes: &[u8]) -> Result<Option<Message>, Ended> {
        if self.partial_bytes + bytes.len() > self.most_bytes {
            return Err(Ended::Limit("bytes of unfinished messages"));
        }
        let channel = self.channels.entry(id).or_default();
        let have = channel.buffer.len();
        let room = channel.buffer.capacity();
        if room < have + bytes.len() {
            // Room doubles as bytes come, and never exceeds the message: the hub keeps this very allocation.
            let more = bytes.len().max(have).min(channel.length - have);
            channel.buffer.reserve_exact(more);
        }
        channel.buffer.extend_from_slice(bytes);
        self.partial_bytes += bytes.len();
        if channel.buffer.len() < channel.length {
            return Ok(None);
        }
        channel.begun = false;
        self.partial -= 1;
        self.partial_bytes -= channel.buffer.len();
        Ok(Some(Message {
            kind: channel.kind,
            stream: channel.stream,
            timestamp: channel.timestamp,
            payload: std::mem::take(&mut channel.buffer).into(),
        }))
    }

    /// Reads a chunk header. Returns its chunk stream and how many bytes of payload follow.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<(u32, usize)>, Ended> {
        loop {
            if let Some(basic) = self.head.basic() {
                let want = self.head_len(&basic);
                if self.head.len >= want {
                    return self.begin(&basic, want).map(Some);
                }
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.head.bytes[self.head.len] = byte;
            self.head.len += 1;
            *input = rest;
        }
    }

    /// Length of the header, as far as can be told by now.
    fn head_len(&self, basic: &Basic) -> usize {
        let fields = [11, 7, 3, 0][usize::from(basic.format)];
        let plain = basic.len + fields;
        let extended = match basic.format {
            3 => self.channels.get(&basic.channel).is_some_and(|c| c.may_repeat(self.repeats)),
            _ => self.head.len >= plain && self.head.bytes[basic.len..basic.len + 3] == [0xff; 3],
        };
        plain + if extended { 4 } else { 0 }
    }

    fn begin(&mut self, basic: &Basic, len: usize) -> Result<(u32, usize), Ended> {
        let head = std::mem::take(&mut self.head).bytes;
        let fields = &head[basic.len..len];
        if !self.channels.contains_key(&basic.channel) {
            if basic.format > 1 {
                // A first header without length and type: nothing to go by.
                return Err(Ended::Protocol("a chunk stream starts without a full header".into()));
            }
            if self.channels.len() >= MAX_STREAMS {
                return Err(Ended::Limit("chunk streams"));
            }
        }
        let channel = self.channels.entry(basic.channel).or_default();
        if basic.format < 3 && channel.begun {
            return Err(Ended::Protocol("a message starts inside another of its chunk stream".into()));
        }
        let early = channel.read(basic.format, fields, &mut self.repeats);
        if !channel.begun {
            if channel.length > bound(channel.kind) {
                return Err(Ended::Limit("message length"));
            }
            if self.partial >= MAX_PARTIAL {
                return Err(Ended::Limit("unfinished messages"));
            }
            channel.timestamp = match basic.format {
                0 => channel.delta,
                _ => channel.timestamp.wrapping_add(channel.delta),
            };
            channel.begun = true;
            channel.buffer = Vec::with_capacity(channel.length.min(FIRST_ROOM));
            self.partial += 1;
        }
        let chunk = (channel.length - channel.buffer.len()).min(self.chunk_size);
        let early = &early[..early.len().min(chunk)];
        channel.buffer.extend_from_slice(early);
        self.partial_bytes += early.len();
        Ok((basic.channel, chunk - early.len()))
    }
}

/// Writes one message as chunks with a full header: it stands for itself, whatever was sent before, so that the same
/// bytes suit every receiver. `channel` is a chunk stream id of 2 to 63; the payload is `head` then `payload`.
pub fn write(out: &mut BytesMut, channel: u8, message: Header, head: &[u8], payload: &[u8], chunk_size: usize) {
    let length = head.len() + payload.len();
    let chunks = length.div_ceil(chunk_size).max(1);
    out.reserve(16 + length + chunks * 5);
    let wide = (message.timestamp >= 0xff_ffff).then_some(message.timestamp);
    out.put_u8(channel);
    out.put_uint(u64::from(message.timestamp.min(0xff_ffff)), 3);
    out.put_uint(length as u64, 3);
    out.put_u8(message.kind);
    out.put_u32_le(message.stream);
    if let Some(wide) = wide {
        out.put_u32(wide);
    }
    let mut room = chunk_size;
    for mut part in [head, payload] {
        while !part.is_empty() {
            if room == 0 {
                out.put_u8(0xc0 | channel);
                if let Some(wide) = wide {
                    out.put_u32(wide);
                }
                room = chunk_size;
            }
            let (now, later) = part.split_at(part.len().min(room));
            out.put_slice(now);
            room -= now.len();
            part = later;
        }
    }
}

/// What stands in a message header beside the length.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Type id.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Milliseconds, wrapping.
    pub timestamp: u32,
}
