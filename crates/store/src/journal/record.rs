//! How a change stands in a journal file: one frame each, with its own length, checksum and number. Reading stops at
//! the first frame that is not whole ([`frames`]), or goes on behind it ([`salvage`]). Knows no files.
//!
//! Frame: length of the payload u32 · CRC-32 over payload and number u32 · number u64 · payload, all little-endian.
//! Payload: kind u8 · length of the key u8 · key · length of the state u32 · state · events. States and events are JSON, so
//! that a later version can add fields.

use std::ops::Range;

/// No damage is so large that more frames than this are lost in it.
const MOST_BETWEEN: u64 = 1 << 24;
/// Bytes before the payload.
pub const HEAD: usize = 16;
/// No payload is longer: a length above it is damage.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// What a frame says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The room is now this (a `Room`).
    Put,
    /// The room is gone.
    Gone,
    /// A custom field of the room was set (a [`Field`](super::Field)).
    Field,
    /// A session ended before its time; the key is its number, the state the time when it would have ended.
    Revoked,
    /// All of a user's sessions of before a time ended (an [`EndedBefore`](crate::EndedBefore)).
    Before,
    /// Something that concerns no state: only the events matter.
    Note,
    /// The last frame of a snapshot: it is whole.
    End,
    /// A user is kept out, or let in again (a [`Ban`](crate::Ban)).
    Ban,
    /// What a hub said or did (a [`ChatEntry`](crate::ChatEntry)).
    Chat,
    /// A row of a table came or went (a [`Change`](crate::tables::Change)).
    Row,
    /// Who came to a room's audience or left it ([`audience`](super::audience)).
    Viewers,
    /// What a later version says; it is kept as it is.
    Other(u8),
}

impl Kind {
    const fn from(byte: u8) -> Self {
        match byte {
            1 => Self::Put,
            2 => Self::Gone,
            3 => Self::Field,
            4 => Self::Revoked,
            5 => Self::Note,
            6 => Self::End,
            7 => Self::Ban,
            8 => Self::Chat,
            9 => Self::Row,
            10 => Self::Viewers,
            11 => Self::Before,
            other => Self::Other(other),
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Put => 1,
            Self::Gone => 2,
            Self::Field => 3,
            Self::Revoked => 4,
            Self::Note => 5,
            Self::End => 6,
            Self::Ban => 7,
            Self::Chat => 8,
            Self::Row => 9,
            Self::Viewers => 10,
            Self::Before => 11,
            Self::Other(byte) => byte,
        }
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
        bytes.push(kind.byte());
        bytes.push(u8::try_from(key.len()).ok()?);
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&u32::try_from(state.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(state);
        bytes.extend_from_slice(events);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[HEAD..]);
        Some(Self { bytes, crc })
    }

    /// How many bytes the frame has.
    pub const fn len(&self) -> usize {
        self.bytes.len()
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
    let record = Record { number, kind: Kind::from(kind), key: std::str::from_utf8(key).ok()?, state, events };
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

/// A part of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A sound frame, and where it stands.
    Frame(Record<'a>, Range<usize>),
    /// Bytes that are none.
    Damage(Range<usize>),
}

/// The sound frames of these bytes, and what is between them. Behind damage a frame counts if its number does: 0, as in
/// snapshots, or greater than those before by no more than there is room for.
pub fn salvage(bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut at = 0;
    let mut last = 0;
    std::iter::from_fn(move || {
        if at == bytes.len() {
            return None;
        }
        let begun = at;
        if let Some((record, length)) = read(&bytes[at..]) {
            at += length;
            last = last.max(record.number);
            return Some(Part::Frame(record, begun..at));
        }
        at = (begun + 1..bytes.len()).find(|at| is_frame(&bytes[*at..], last)).unwrap_or(bytes.len());
        Some(Part::Damage(begun..at))
    })
}

/// Whether a frame begins here that may follow one of this number. Nearly every place is refused by its first 18 bytes.
fn is_frame(bytes: &[u8], last: u64) -> bool {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return false };
    let [a, b, c, d, _, _, _, _, number @ ..] = head else { return false };
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    let number = number.try_into().map_or(0, u64::from_le_bytes);
    let follows = number == 0 || (last < number && (last == 0 || number - last <= MOST_BETWEEN));
    (6..=rest.len()).contains(&length) && follows && read(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
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

    #[test]
    fn what_stands_behind_damage_is_read() {
        let (bytes, ends) = three();
        let numbers = |bytes: &[u8]| -> Vec<u64> {
            let frame = |part: Part<'_>| match part {
                Part::Frame(record, _) => Some(record.number),
                Part::Damage(_) => None,
            };
            salvage(bytes).filter_map(frame).collect()
        };
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x41;
            let hit = ends.iter().filter(|end| **end <= at).count() as u64 + 1;
            let left: Vec<u64> = (1..=3).filter(|n| *n != hit).collect();
            assert_eq!(numbers(&bad), left, "byte {at}");
            // Bytes that are gone, and bytes that were never written.
            bad.remove(at);
            assert_eq!(numbers(&bad), left, "without byte {at}");
            bad.splice(at..at, [0; 5000]);
            assert_eq!(numbers(&bad), left, "zeros at byte {at}");
        }
        let zeros = vec![0; 16 << 20];
        assert_eq!(salvage(&zeros).collect::<Vec<_>>(), [Part::Damage(0..zeros.len())]);
    }

    #[test]
    fn kinds_of_later_versions_are_read_as_they_are() {
        let mut bytes = Vec::new();
        Draft::new(Kind::Other(99), "key", b"state", b"[]").unwrap().append(7, &mut bytes);
        let expected = Record { number: 7, kind: Kind::Other(99), key: "key", state: b"state", events: b"[]" };
        assert_eq!(read(&bytes), Some((expected, bytes.len())));
    }

    proptest! {
        #[test]
        fn anything_can_be_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let read = frames(&bytes).last().map_or(0, |(_, end)| end);
            prop_assert!(read <= bytes.len());
            let whole = salvage(&bytes).map(|part| match part { Part::Frame(_, at) | Part::Damage(at) => at.len() });
            prop_assert_eq!(whole.sum::<usize>(), bytes.len());
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
