//! How long a fragmented file plays, by reading its fragments' headers: for files whose writing was cut short.

use std::io::{self, Read, Seek, SeekFrom};

use super::SYNC;
use super::index::Index;

/// Longest `moov` or `moof` that is read, in bytes.
const MAX_HEADER: u64 = 4 << 20;

/// What the headers of a file say.
pub struct Played {
    /// How long it plays, in milliseconds.
    pub ms: u64,
    /// How many of its bytes are whole fragments and what is before them.
    pub whole: u64,
    /// Where room is kept for its index.
    pub reserved_at: Option<u64>,
    /// What becomes its index.
    pub index: Index,
}

/// Reads the headers of a file of `size` bytes.
///
/// # Errors
/// It cannot be read, or is no file of ours.
pub fn played(file: &mut (impl Read + Seek), size: u64) -> io::Result<Played> {
    let mut at = 0;
    let mut played = Played { ms: 0, whole: 0, reserved_at: None, index: Index::new(b"") };
    let mut moof = Vec::new();
    while size - at >= 8 {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        if length < 8 || length > size - at {
            break;
        }
        if matches!(&kind, b"moov" | b"moof") {
            if length > MAX_HEADER {
                break;
            }
            let mut body = vec![0; length as usize - 8];
            file.read_exact(&mut body)?;
            match &kind {
                b"moov" => played.index = Index::of(&body),
                _ => moof = body,
            }
        }
        if &kind == b"free" && length == played.index.room() as u64 {
            played.reserved_at.get_or_insert(at);
        }
        at += length;
        if &kind != b"moof" {
            // With its media there, a fragment counts.
            if &kind == b"mdat" {
                let header = std::mem::take(&mut moof);
                played.index.add_header(&header, header.len() as u64 + 8 + length);
            }
            played.whole = at;
        }
    }
    if !played.index.has_tracks() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a fragmented MP4 file"));
    }
    played.ms = played.index.end_ms();
    Ok(played)
}

/// The boxes within a box.
pub(super) fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let inner = (u32::from_be_bytes(*length) as usize).checked_sub(8)?;
        let body = rest.get(..inner)?;
        bytes = rest.get(inner..)?;
        Some((*kind, body))
    })
}

pub(super) fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(k, _)| k == kind).map(|(_, body)| body)
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A track's number.
pub(super) fn id_of(trak: &[u8]) -> Option<u32> {
    word(child(trak, b"tkhd")?, 12)
}

/// Each track's number and ticks a second.
pub(super) fn tracks(moov: &[u8]) -> Vec<(u32, u32)> {
    let one = |trak| Some((id_of(trak)?, word(child(child(trak, b"mdia")?, b"mdhd")?, 12)?));
    children(moov).filter(|(kind, _)| kind == b"trak").filter_map(|(_, trak)| one(trak)).collect()
}

/// One track's part of a fragment, in the track's ticks.
pub(super) struct Run {
    pub track: u32,
    pub start: u64,
    pub length: u64,
    /// Whether decoding may start with it.
    pub key: bool,
}

impl Run {
    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// Each track's part of a fragment.
pub(super) fn runs(moof: &[u8]) -> impl Iterator<Item = Run> {
    let one = |traf| {
        let track = word(child(traf, b"tfhd")?, 4)?;
        let start = child(traf, b"tfdt")?.get(4..12)?.try_into().ok().map(u64::from_be_bytes)?;
        // Version and flags, count, offset; then four words a sample: duration, size, flags, composition offset.
        let samples = child(traf, b"trun")?.get(12..)?;
        let length = samples.chunks_exact(16).filter_map(|s| word(s, 0)).map(u64::from).sum();
        Some(Run { track, start, length, key: word(samples, 8) == Some(SYNC) })
    };
    children(moof).filter(|(kind, _)| kind == b"traf").filter_map(move |(_, traf)| one(traf))
}
