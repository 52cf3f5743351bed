//! What players load: segments, their parts, and the tracks of them that they can have apart.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::fmp4::{PICTURES, SOUND, only, only_init};

/// What of a stream a file or a playlist holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Pictures and the first track of sound, which most players are given.
    All,
    /// Pictures alone.
    Pictures,
    /// One track of sound.
    Sound(u8),
}

impl Which {
    /// What stands for it in the name of a file, before its extension.
    pub(super) fn tag(self) -> String {
        match self {
            Which::All => String::new(),
            Which::Pictures => ".v".into(),
            Which::Sound(track) => format!(".a{track}"),
        }
    }

    /// Reads a tag without its dot.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        match tag.strip_prefix('a') {
            Some(track) => track.parse().ok().map(Which::Sound),
            None => (tag == "v").then_some(Which::Pictures),
        }
    }

    /// The name of its playlist, without the extension.
    pub(super) fn playlist(self) -> String {
        match self {
            Which::All => "all".into(),
            Which::Pictures => "pictures".into(),
            Which::Sound(track) => format!("sound{track}"),
        }
    }

    /// Reads the name of a playlist, without its extension, that a multivariant playlist names.
    pub fn of_playlist(name: &str) -> Option<Self> {
        match name.strip_prefix("sound") {
            Some(track) => track.parse().ok().map(Which::Sound),
            None => (name == "pictures").then_some(Which::Pictures),
        }
    }
}

/// What belongs to each further track of sound, by its number.
pub(super) type Further = Vec<(u8, Bytes)>;

fn of_track(further: &Further, track: u8) -> Option<&Bytes> {
    further.iter().find(|(number, _)| *number == track).map(|(_, bytes)| bytes)
}

fn length(further: &Further) -> usize {
    further.iter().map(|(_, bytes)| bytes.len()).sum()
}

/// A piece of a segment, fetched ahead of the rest.
#[derive(Clone)]
pub struct Part {
    /// The fragment.
    pub bytes: Bytes,
    /// How long it plays, in microseconds.
    pub duration: i64,
    /// Whether decoding may start with it.
    pub independent: bool,
    pub(super) has_video: bool,
    pub(super) has_audio: bool,
    pub(super) further: Further,
}

impl Part {
    /// What it counts against the bound.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + length(&self.further)
    }

    pub(super) fn has(&self, which: Which) -> bool {
        match which {
            Which::All => true,
            Which::Pictures => self.has_video,
            Which::Sound(0) => self.has_audio,
            Which::Sound(track) => of_track(&self.further, track).is_some(),
        }
    }

    /// These tracks of it.
    pub(super) fn get(&self, which: Which) -> Option<Kept> {
        Kept::of(&self.bytes, &self.further, which, only)
    }
}

/// What players load at a time.
pub struct Segment {
    /// Its number; these only grow, also over restarts.
    pub number: u64,
    /// How long it plays, in microseconds.
    pub duration: i64,
    /// It does not continue what was before: timestamps or codecs changed.
    pub discontinuity: bool,
    /// When its first frame came, in microseconds of Unix time, if that is known.
    pub came: Option<i64>,
    /// The number of the init segment that it needs, and that of the one that its sound goes on with where it is alone.
    pub init: u64,
    /// See `init`.
    pub init_of_sound: u64,
    /// All of it.
    pub bytes: Bytes,
    /// Its parts, slices of `bytes`.
    pub parts: Vec<Part>,
    pub(super) further: Further,
}

impl Segment {
    /// What it counts against the bound.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + length(&self.further)
    }

    pub(super) fn has(&self, which: Which) -> bool {
        self.parts.iter().any(|part| part.has(which))
    }

    /// These tracks of it.
    pub(super) fn get(&self, which: Which) -> Option<Kept> {
        Kept::of(&self.bytes, &self.further, which, only)
    }
}

/// Takes one track out of a file.
type Cut = fn(&[u8], u32) -> Bytes;

/// A file as it is kept, and how the tracks that are wanted are taken out of it.
pub(super) struct Kept {
    bytes: Bytes,
    only: Option<(u32, Cut)>,
}

impl Kept {
    fn of(bytes: &Bytes, further: &Further, which: Which, only: Cut) -> Option<Self> {
        let bytes = bytes.clone();
        match which {
            Which::All => Some(Kept { bytes, only: None }),
            Which::Pictures => Some(Kept { bytes, only: Some((PICTURES, only)) }),
            Which::Sound(0) => Some(Kept { bytes, only: Some((SOUND, only)) }),
            Which::Sound(track) => Some(Kept { bytes: of_track(further, track)?.clone(), only: None }),
        }
    }

    /// The file, unless it holds none of these tracks. Copies: not for under a lock.
    pub fn bytes(self) -> Option<Bytes> {
        let Some((track, only)) = self.only else { return Some(self.bytes) };
        Some(only(&self.bytes, track)).filter(|bytes| !bytes.is_empty())
    }
}

/// What segments are read with.
pub(super) struct Init {
    pub number: u64,
    /// Number of the one that whoever listens alone needs: it does not change when pictures come.
    pub of_sound: u64,
    pub bytes: Bytes,
    pub further: Further,
}

impl Init {
    /// Further tracks begin; what one was read with that was there before stays.
    pub fn add_further(&mut self, begun: &Further) {
        let is_new = |(track, _): &&(u8, Bytes)| of_track(&self.further, *track).is_none();
        let new: Further = begun.iter().filter(is_new).cloned().collect();
        self.further.extend(new);
    }

    /// What these tracks of them are read with.
    pub fn get(&self, which: Which) -> Option<Kept> {
        Kept::of(&self.bytes, &self.further, which, only_init)
    }
}

/// The bytes of a segment of these parts, which become slices of it, and those of its further tracks.
pub(super) fn join(parts: &mut [Part]) -> (Bytes, Further) {
    let bytes = in_one(parts.iter_mut().map(|part| &mut part.bytes));
    let mut tracks: Vec<u8> = parts.iter().flat_map(|part| &part.further).map(|(track, _)| *track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let mut further = Vec::with_capacity(tracks.len());
    for track in tracks {
        let pieces = parts.iter_mut().flat_map(|part| &mut part.further).filter(|(number, _)| *number == track);
        further.push((track, in_one(pieces.map(|(_, bytes)| bytes))));
    }
    (bytes, further)
}

/// Pieces behind each other; they become slices of that.
fn in_one<'a>(pieces: impl Iterator<Item = &'a mut Bytes>) -> Bytes {
    let mut pieces: Vec<&mut Bytes> = pieces.collect();
    let mut all = BytesMut::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    let all = all.freeze();
    let mut at = 0;
    for piece in &mut pieces {
        let length = piece.len();
        **piece = all.slice(at..at + length);
        at += length;
    }
    all
}

/// Whether the oldest segment is surplus: there are more than so many, and the others last for this long, in microseconds.
pub fn has_surplus(segments: &VecDeque<Segment>, kept: usize, span: i64) -> bool {
    segments.len() > kept && segments.iter().skip(1).map(|segment| segment.duration).sum::<i64>() >= span
}
