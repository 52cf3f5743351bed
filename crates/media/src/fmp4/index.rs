//! The index of a finished file (`sidx`): players learn from it where to jump to, and read no fragment for that. It has room
//! for so many places; of a longer file each stands for more.

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{boxed, full};
use super::measure::{Run, child, runs, tracks};

/// Most places.
const PLACES: usize = 1000;
/// `sidx` without its places.
const HEAD: usize = 40;
/// Bytes that one place takes.
const PLACE: usize = 12;
/// A place is of fewer bytes than this.
const LARGEST: u64 = 1 << 31;

/// Bytes that are kept free for an index.
pub const RESERVED: usize = HEAD + PLACE * PLACES + 8;

/// The bytes between a file's init segment and its first fragment, as long as there is no index.
#[must_use]
pub fn reserved() -> Bytes {
    let mut out = BytesMut::with_capacity(RESERVED);
    free(&mut out, RESERVED);
    out.freeze()
}

fn free(out: &mut BytesMut, size: usize) {
    boxed(out, b"free", |out| out.put_bytes(0, size - 8));
}

/// Where decoding may start, and how many bytes belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// In ticks of the track.
    start: u64,
    bytes: u64,
    /// Fragments that decoding may start with.
    starts: u32,
    /// Whether it begins with one.
    key: bool,
}

/// What becomes the index of a file.
#[derive(Debug)]
pub struct Index {
    /// All tracks, by number and ticks a second; the first one is what is indexed.
    tracks: Vec<(u32, u32)>,
    places: Vec<Place>,
    /// Fragments that decoding may start with, in each place.
    stride: u32,
    /// Where the newest fragment ends, in ticks of the track.
    end: u64,
    /// Where the newest fragment of any track ends, in milliseconds.
    end_ms: u64,
}

impl Index {
    /// Of a file that begins with this init segment.
    #[must_use]
    pub fn new(init: &[u8]) -> Self {
        Index::of(child(init, b"moov").unwrap_or_default())
    }

    /// Of a file with this `moov`.
    pub(super) fn of(moov: &[u8]) -> Self {
        Index { tracks: tracks(moov), places: Vec::new(), stride: 1, end: 0, end_ms: 0 }
    }

    pub(super) fn has_tracks(&self) -> bool {
        !self.tracks.is_empty()
    }

    /// How long all tracks play so far, in milliseconds.
    pub(super) fn end_ms(&self) -> u64 {
        self.end_ms
    }

    /// The file goes on with this fragment.
    pub fn add(&mut self, fragment: &[u8]) {
        let Some(moof) = child(fragment, b"moof") else { return };
        self.add_header(moof, fragment.len() as u64);
    }

    /// The file goes on with a fragment of so many bytes that has this header.
    pub(super) fn add_header(&mut self, moof: &[u8], bytes: u64) {
        let Some((track, _)) = self.tracks.first() else { return };
        for run in runs(moof) {
            let rate = self.tracks.iter().find(|(id, rate)| *id == run.track && *rate > 0).map(|(_, rate)| *rate);
            let ms = rate.map_or(0, |rate| u128::from(run.end()) * 1000 / u128::from(rate));
            self.end_ms = self.end_ms.max(u64::try_from(ms).unwrap_or(u64::MAX));
        }
        let run: Option<Run> = runs(moof).find(|run| run.track == *track);
        self.end = run.as_ref().map_or(self.end, Run::end).max(self.end);
        let key = run.as_ref().is_some_and(|run| run.key);
        match (self.places.last_mut(), run) {
            (Some(last), _) if !key || last.starts < self.stride => {
                last.bytes += bytes;
                last.starts += u32::from(key);
            }
            (_, Some(run)) => {
                self.places.push(Place { start: run.start, bytes, starts: u32::from(key), key });
            }
            // Nothing of the track yet: what comes first begins the file.
            (_, None) => self.places.push(Place { start: 0, bytes, starts: 0, key }),
        }
        if self.places.len() > PLACES {
            self.stride = self.stride.saturating_mul(2);
            let join = |pair: &[Place]| Place {
                bytes: pair.iter().map(|place| place.bytes).sum(),
                starts: pair.iter().map(|place| place.starts).sum(),
                ..pair[0]
            };
            self.places = self.places.chunks(2).map(join).collect();
        }
    }

    /// What stands in the place of [`reserved`] in the finished file.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let known = self.tracks.first().filter(|_| !self.places.is_empty());
        let Some((track, rate)) = known.filter(|_| self.places.iter().all(|place| place.bytes < LARGEST)) else {
            return reserved();
        };
        let mut out = BytesMut::with_capacity(RESERVED);
        // The index directly before the first fragment: ffmpeg 9 and Chromium pay no regard to one with something between.
        free(&mut out, RESERVED - HEAD - PLACE * self.places.len());
        full(&mut out, b"sidx", 1, 0, |out| {
            out.put_u32(*track);
            out.put_u32(*rate);
            out.put_u64(self.places.first().map_or(0, |place| place.start));
            out.put_u64(0);
            out.put_u16(0);
            out.put_u16(self.places.len() as u16);
            let next = self.places.iter().skip(1).map(|place| place.start).chain([self.end]);
            for (place, next) in self.places.iter().zip(next) {
                out.put_u32(place.bytes as u32);
                out.put_u32(u32::try_from(next.saturating_sub(place.start)).unwrap_or(u32::MAX));
                // It starts with a stream access point of type 1, or it is not known to.
                out.put_u32(u32::from(place.key) << 31 | u32::from(place.key) << 28);
            }
        });
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fmp4::Muxer;
    use crate::frame::{Codec, Frame};

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.chunks_exact(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect()
    }

    /// A file of so many fragments of a second, each of which begins with a keyframe if `key` says so.
    fn indexed(fragments: u32, key: impl Fn(u32) -> bool) -> (Vec<u32>, u64) {
        let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x04\x67\x64\x00\x1e\x01\x00\x01\x68";
        let config = Frame::config(Codec::H264, 0, Bytes::from_static(avcc));
        let mut muxer = Muxer::new(Some(&config), None, 0).unwrap();
        let mut index = Index::new(&muxer.init());
        let mut media = 0;
        for n in 0..fragments {
            let at = i64::from(n) * 1_000_000;
            muxer.push(&Arc::new(Frame::video(Codec::H264, at, 0, key(n), vec![7; 10].into())));
            muxer.settle(Some(at + 1_000_000));
            let fragment = muxer.cut().unwrap().bytes;
            media += fragment.len() as u64;
            index.add(&fragment);
        }
        let bytes = index.bytes();
        assert_eq!(bytes.len(), RESERVED);
        let free = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert_eq!(&bytes[4..8], b"free");
        let words = words(&bytes[free..]);
        assert_eq!((words[0] as usize, words[8]), (RESERVED - free, 0), "right before the first fragment");
        (words, media)
    }

    #[test]
    fn every_place_begins_with_a_keyframe_and_all_bytes_are_of_one() {
        let (words, media) = indexed(60, |n| n % 4 == 0);
        let places = words[10..].as_chunks::<3>().0;
        assert_eq!((words[3], words[4], words[9] as usize, places.len()), (1, 90_000, 15, 15));
        assert!(places.iter().all(|[_, ticks, sap]| (*ticks, *sap) == (4 * 90_000, 0x9000_0000)), "{places:?}");
        assert_eq!(places.iter().map(|[bytes, ..]| u64::from(*bytes)).sum::<u64>(), media);
    }

    #[test]
    fn a_long_file_has_fewer_places_than_fragments_and_all_of_its_time() {
        let (words, media) = indexed(5000, |_| true);
        let places = words[10..].as_chunks::<3>().0;
        assert!(places.len() > PLACES / 2 && places.len() <= PLACES, "{}", places.len());
        let longest = places.iter().map(|[_, ticks, _]| ticks / 90_000).max().unwrap();
        assert_eq!(longest, 8, "evenly");
        assert_eq!(places.iter().map(|[_, ticks, _]| u64::from(*ticks)).sum::<u64>(), 5000 * 90_000);
        assert_eq!(places.iter().map(|[bytes, ..]| u64::from(*bytes)).sum::<u64>(), media);
    }

    #[test]
    fn a_file_without_fragments_has_no_index() {
        let index = Index::new(b"");
        assert_eq!(index.bytes(), reserved());
    }
}
