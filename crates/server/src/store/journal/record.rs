//! How a change stands in a journal file: one frame each, with its own length, checksum and number. Reading stops at
//! the first frame that is not whole. Knows no files.
//!
//! Frame: length of the payload u32 · CRC-32 over payload and number u32 · number u64 · payload, all little-endian.
//! Payload: kind u8 · length of the key u8 · key · length of the state u32 · state · events. States and events are JSON, so
//! that a later version can add fields.

/// Bytes before the payload.
const HEAD: usize = 16;
/// No payload is longer: a length above it is damage.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// What a frame says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The room is now this (a `Room`).
    Put = 1,
    /// The room is gone.
    Gone = 2,
    /// A custom field of the room was set (a [`Field`](super::Field)).
    Field = 3,
    /// A session ended before its time; the key is its number, the state the time when it would have ended.
    Revoked = 4,
    /// Something that concerns no state: only the events matter.
    Note = 5,
    /// The last frame of a snapshot: it is whole.
    End = 6,
    /// Somebody is kept out, or let in again (a [`Ban`](crate::store::Ban)).
    Ban = 7,
}

impl Kind {
    const fn from(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Put,
            2 => Self::Gone,
            3 => Self::Field,
            4 => Self::Revoked,
            5 => Self::Note,
            6 => Self::End,
            7 => Self::Ban,
            _ => return None,
        })
    }
}

/// A frame as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number: one more than that of the frame before, through all files.
    pub number: u64,
    /// What it says.
    pub kind: Kind,
    /// Of which room (or session).
    pub key: &'a str,
    /// The new state, by kind.
    pub state: &'a [u8],
    /// The events of the change, as a JSON list; empty if there are none.
    pub events: &'a [u8],
}

/// A frame that has no number yet: built outside of any lock.
#[derive(Debug)]
pub struct Draft {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
}

impl Draft {
    /// Lays out a payload. `None`: it would be longer than [`MAX_PAYLOAD`], or the key longer than 255 bytes.
    pub fn new(kind: Kind, key: &str, state: &[u8], events: &[u8]) -> Option<Self> {
        let length = 6 + key.len() + state.len() + events.len();
        if length > MAX_PAYLOAD {
            return None;
        }
        let mut bytes = Vec::with_capacity(HEAD + length);
        bytes.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        bytes.extend_from_slice(&[0; HEAD - 4]);
        bytes.push(kind as u8);
        bytes.push(u8::try_from(key.len()).ok()?);
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&u32::try_from(state.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(state);
        bytes.extend_from_slice(events);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[HEAD..]);
        Some(Self { bytes, crc })
    }

    /// Appends the frame with its number.
    pub fn append(mut self, number: u64, to: &mut Vec<u8>) {
        self.crc.update(&number.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&self.crc.finalize().to_le_bytes());
        self.bytes[8..16].copy_from_slice(&number.to_le_bytes());
        to.extend_from_slice(&self.bytes);
    }
}

/// The first frame of these bytes and how long it is; `None` if it is not whole and sound.
pub fn read(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    if length > MAX_PAYLOAD {
        return None;
    }
    let payload = rest.get(..length)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(payload);
    crc.update(&head[8..16]);
    if crc.finalize().to_le_bytes() != head[4..8] {
        return None;
    }
    let number = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let (&[kind, key], rest) = payload.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(key))?;
    let (state, rest) = rest.split_first_chunk::<4>()?;
    let (state, events) = rest.split_at_checked(u32::from_le_bytes(*state) as usize)?;
    let record = Record { number, kind: Kind::from(kind)?, key: std::str::from_utf8(key).ok()?, state, events };
    Some((record, HEAD + length))
}

/// The sound frames at the beginning of these bytes, each with where it ends.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = (Record<'_>, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (record, length) = read(&bytes[at..])?;
        at += length;
        Some((record, at))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for n in 1..=3u64 {
            let state = vec![b'x'; n as usize * 7];
            Draft::new(Kind::Put, &format!("room{n}"), &state, b"[]").unwrap().append(n, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_whole_frames_before_it() {
        let (bytes, ends) = three();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(frames(&bytes[..cut]).count(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_bit_ends_the_reading_before_its_frame() {
        let (bytes, ends) = three();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let before = ends.iter().filter(|end| **end <= at).count();
                assert_eq!(frames(&bad).count(), before, "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let read = frames(&bytes).last().map_or(0, |(_, end)| end);
            prop_assert!(read <= bytes.len());
        }

        #[test]
        fn what_was_written_is_read(
            key in "[a-z0-9]{0,64}", state in prop::collection::vec(any::<u8>(), 0..500), number: u64,
            events in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = Vec::new();
            Draft::new(Kind::Gone, &key, &state, &events).unwrap().append(number, &mut bytes);
            let (record, length) = read(&bytes).unwrap();
            let expected = Record { number, kind: Kind::Gone, key: &key, state: &state, events: &events };
            prop_assert_eq!((record, length), (expected, bytes.len()));
        }
    }
}
