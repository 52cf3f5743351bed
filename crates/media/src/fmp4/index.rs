//! The index of a finished file (`sidx`, one for each track): players learn from it where to jump to, and read no fragment for that.
//! It has room for so many places; of a longer file each stands for more. Where sound had none of its own, ffmpeg 5.1 would look for
//! its time, in its ticks, among those of the pictures, and begin at half of the time that was asked for.

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::{boxed, full};
use super::measure::{child, runs, tracks};
use crate::frame::MOST_TRACKS;

/// Most tracks: pictures, and those of sound.
const TRACKS: usize = 1 + MOST_TRACKS as usize;
/// Room is kept for an index of this many at least: pictures and sound.
const USUAL: usize = 2;
/// Most places.
const PLACES: usize = 1000;
/// `sidx` without its places.
const HEAD: usize = 40;
/// Bytes that one place takes.
const PLACE: usize = 12;
/// A place is of fewer bytes than this.
const LARGEST: u64 = 1 << 31;

/// Bytes that are kept free for an index of so many tracks.
fn room(tracks: usize) -> usize {
    tracks.clamp(USUAL, TRACKS) * (HEAD + PLACE * PLACES) + 8
}

fn free(out: &mut BytesMut, size: usize) {
    boxed(out, b"free", |out| out.put_bytes(0, size - 8));
}

/// Where decoding may start, and how many bytes belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// In ticks of each track.
    start: [u64; TRACKS],
    bytes: u64,
    /// Fragments that decoding may start with.
    starts: u32,
    /// Whether it begins with one.
    key: bool,
}

/// What becomes the index of a file.
#[derive(Debug)]
pub struct Index {
    /// All tracks, by number and ticks a second; places are those of the first one.
    tracks: Vec<(u32, u32)>,
    places: Vec<Place>,
    /// Fragments that decoding may start with, in each place.
    stride: u32,
    /// Where the newest fragment ends, in ticks of each track.
    end: [u64; TRACKS],
    /// Where the newest fragment of any track ends, in milliseconds.
    end_ms: u64,
}

impl Index {
    /// Of a file that begins with this init segment.
    #[must_use]
    pub fn new(init: &[u8]) -> Self {
        Index::of(child(init, b"moov").unwrap_or_default())
    }

    /// How many bytes are kept free for it.
    pub(crate) fn room(&self) -> usize {
        room(self.tracks.len())
    }

    /// The bytes between a file's init segment and its first fragment, as long as there is no index.
    #[must_use]
    pub fn reserved(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.room());
        free(&mut out, self.room());
        out.freeze()
    }

    /// Of a file with this `moov`.
    pub(super) fn of(moov: &[u8]) -> Self {
        Index { tracks: tracks(moov), places: Vec::new(), stride: 1, end: [0; TRACKS], end_ms: 0 }
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
        let key = runs(moof).find(|run| run.track == *track).map(|run| run.key);
        let mut start = self.end;
        for ((id, _), (start, end)) in self.tracks.iter().zip(start.iter_mut().zip(&mut self.end)) {
            if let Some(run) = runs(moof).find(|run| run.track == *id) {
                *start = run.start;
                *end = run.end().max(*end);
            }
        }
        match (self.places.last_mut(), key) {
            (Some(last), key) if key != Some(true) || last.starts < self.stride => {
                last.bytes += bytes;
                last.starts += u32::from(key == Some(true));
            }
            (_, Some(key)) => self.places.push(Place { start, bytes, starts: u32::from(key), key }),
            // Nothing of the track yet: what comes first begins the file.
            (_, None) => self.places.push(Place { start: [0; TRACKS], bytes, starts: 0, key: false }),
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

    /// What stands in the place of [`Index::reserved`] in the finished file.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        if self.places.is_empty() || self.places.iter().any(|place| place.bytes >= LARGEST) {
            return self.reserved();
        }
        let tracks = &self.tracks[..self.tracks.len().min(TRACKS)];
        let size = HEAD + PLACE * self.places.len();
        let mut out = BytesMut::with_capacity(self.room());
        // The index directly before the first fragment: ffmpeg 9 and Chromium pay no regard to one with something between.
        free(&mut out, self.room() - tracks.len() * size);
        for (n, (track, rate)) in tracks.iter().enumerate() {
            let behind = (tracks.len() - 1 - n) * size;
            full(&mut out, b"sidx", 1, 0, |out| {
                out.put_u32(*track);
                out.put_u32(*rate);
                out.put_u64(self.places.first().map_or(0, |place| place.start[n]));
                out.put_u64(behind as u64);
                self.put_places(out, n, *rate);
            });
        }
        out.freeze()
    }

    fn put_places(&self, out: &mut BytesMut, track: usize, rate: u32) {
        out.put_u16(0);
        out.put_u16(self.places.len() as u16);
        // Players take what is indexed for all there is: where pictures end before the sound, they go on to its end.
        let all = u128::from(self.end_ms) * u128::from(rate) / 1000;
        let end = self.end[track].max(u64::try_from(all).unwrap_or(u64::MAX));
        let next = self.places.iter().skip(1).map(|place| place.start[track]).chain([end]);
        for (place, next) in self.places.iter().zip(next) {
            out.put_u32(place.bytes as u32);
            out.put_u32(u32::try_from(next.saturating_sub(place.start[track])).unwrap_or(u32::MAX));
            // It starts with a stream access point of type 1, or it is not known to. Sound may begin anywhere.
            let starts = u32::from(place.key || track > 0);
            out.put_u32(starts << 31 | starts << 28);
        }
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
        assert_eq!(bytes.len(), room(1));
        let free = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert_eq!(&bytes[4..8], b"free");
        let words = words(&bytes[free..]);
        assert_eq!((words[0] as usize, words[8]), (room(1) - free, 0), "right before the first fragment");
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
    fn sound_has_an_index_of_its_own_and_may_be_longer_than_the_pictures() {
        let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x04\x67\x64\x00\x1e\x01\x00\x01\x68";
        let video = Frame::config(Codec::H264, 0, Bytes::from_static(avcc));
        let audio = Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]));
        let mut muxer = Muxer::new(Some(&video), Some(&audio), 0).unwrap();
        let mut index = Index::new(&muxer.init());
        for second in 0..10i64 {
            if second < 4 {
                muxer.push(&Arc::new(Frame::video(Codec::H264, second * 1_000_000, 0, true, vec![7; 10].into())));
            }
            // 1024 samples of 48,000 a second.
            for at in (0..47).map(|n| second * 1_000_000 + n * 64_000 / 3) {
                muxer.push(&Arc::new(Frame::audio(Codec::Aac, at, vec![1; 8].into())));
            }
            muxer.settle(Some((second + 1) * 1_000_000));
            index.add(&muxer.cut().unwrap().bytes);
        }
        let bytes = index.bytes();
        let free = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let words = words(&bytes[free..]);
        let (pictures, sound) = words.split_at(words[0] as usize / 4);
        assert_eq!((pictures[3], pictures[4], pictures[8] as usize), (1, 90_000, sound.len() * 4), "over the other");
        assert_eq!((sound[3], sound[4], sound[8]), (2, 48_000, 0), "right before the first fragment");
        let places = |words: &[u32]| words[10..].as_chunks::<3>().0.to_vec();
        let sizes = |words: &[u32]| places(words).iter().map(|[bytes, ..]| *bytes).collect::<Vec<_>>();
        assert_eq!((sizes(pictures).len(), sizes(pictures)), (4, sizes(sound)));
        let length = |words: &[u32]| places(words).iter().map(|[_, ticks, _]| *ticks).sum::<u32>();
        assert!(length(pictures) / 90_000 >= 9 && length(sound) / 48_000 >= 9, "all of the time, by both");
        assert!(places(sound).iter().all(|[_, _, sap]| *sap == 0x9000_0000));
    }

    #[test]
    fn a_file_without_fragments_has_no_index() {
        let index = Index::new(b"");
        assert_eq!(index.bytes(), index.reserved());
    }
}
