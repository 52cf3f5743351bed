//! How long a fragmented file plays, by reading its fragments' headers: for files whose writing was cut short.

use std::io::{self, Read, Seek, SeekFrom};

/// Longest `moov` or `moof` that is read, in bytes.
const MAX_HEADER: u64 = 4 << 20;

/// How long a file of `size` bytes plays, in milliseconds, and how many of its bytes are whole fragments.
///
/// # Errors
/// It cannot be read, or is no file of ours.
pub fn played(file: &mut (impl Read + Seek), size: u64) -> io::Result<(u64, u64)> {
    let mut at = 0;
    let mut whole = 0;
    let mut longest = 0;
    let mut rates = Vec::new();
    let mut ends = Vec::new();
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
                b"moov" => rates = tracks(&body),
                _ => ends = run_ends(&body, &rates),
            }
        }
        at += length;
        if &kind != b"moof" {
            // With its media there, a fragment counts.
            longest = ends.drain(..).fold(longest, u64::max);
            whole = at;
        }
    }
    if rates.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a fragmented MP4 file"));
    }
    Ok((longest, whole))
}

/// The boxes within a box.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let inner = (u32::from_be_bytes(*length) as usize).checked_sub(8)?;
        let body = rest.get(..inner)?;
        bytes = rest.get(inner..)?;
        Some((*kind, body))
    })
}

fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(k, _)| k == kind).map(|(_, body)| body)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Each track's number and ticks a second.
fn tracks(moov: &[u8]) -> Vec<(u32, u32)> {
    let one = |trak| Some((word(child(trak, b"tkhd")?, 12)?, word(child(child(trak, b"mdia")?, b"mdhd")?, 12)?));
    children(moov).filter(|(kind, _)| kind == b"trak").filter_map(|(_, trak)| one(trak)).collect()
}

/// When each track's part of a fragment ends, in milliseconds.
fn run_ends(moof: &[u8], rates: &[(u32, u32)]) -> Vec<u64> {
    let one = |traf| {
        let track = word(child(traf, b"tfhd")?, 4)?;
        let start = child(traf, b"tfdt")?.get(4..12)?.try_into().ok().map(u64::from_be_bytes)?;
        let (_, rate) = rates.iter().find(|(id, rate)| *id == track && *rate > 0)?;
        // Version and flags, count, offset; then four words a sample, the first of which is its duration.
        let samples = child(traf, b"trun")?.get(12..)?;
        let length: u64 = samples.chunks_exact(16).filter_map(|s| word(s, 0)).map(u64::from).sum();
        u64::try_from(u128::from(start.saturating_add(length)) * 1000 / u128::from(*rate)).ok()
    };
    children(moof).filter(|(kind, _)| kind == b"traf").filter_map(|(_, traf)| one(traf)).collect()
}
