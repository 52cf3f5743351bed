//! What of a stream that is cut can be fetched, and what may still come. Looks only.

use std::collections::VecDeque;

use super::{ASKS_BEFORE, EARLY, EARLY_LONGEST, FIRST_OF_INIT, FULL, LATE, OVER, SHORTEST, Segmenter};
use crate::fmp4::Muxer;
use crate::hls::heads::in_step;
use crate::hls::segment::{Kept, Part, Segment, Which};

impl Segmenter {
    /// Complete segments that can be fetched, oldest first.
    pub fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Those of them that hold these tracks, or as many as there are. Pictures are listed from where they came: players fail where
    /// they come later.
    pub fn with(&self, which: Which) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator + Clone {
        let from = self.appeared.filter(|_| !matches!(which, Which::Sound(_))).unwrap_or(0);
        let until = self.segments.len() - usize::from(self.is_held());
        self.segments.range(self.segments.partition_point(|segment| segment.number < from).min(until)..until)
    }

    /// Whether the newest segment is not listed yet, because it is the first that its init segment is for and nothing follows it.
    /// Players are told of both at once: video.js 8.24 puts an init segment before all parts up to the second one of a playlist, and
    /// Media Source Extensions drop pictures behind it that lean on others.
    fn is_held(&self) -> bool {
        let mut newest = self.segments.iter().rev().map(|segment| segment.init_of_sound);
        let last = newest.next();
        let before = newest.next();
        before.is_some() && last != before && self.parts() == 0 && !self.ending()
    }

    /// Whether what can be fetched and what comes next has no pictures.
    pub fn is_sound_alone(&self) -> bool {
        let is_seen = self.segments.iter().any(|segment| segment.has(Which::Pictures));
        !is_seen && self.made > 0 && !self.muxer.as_ref().is_some_and(Muxer::has_video)
    }

    /// Number of the segment that is being made, or comes next, its parts so far, and whether it starts anew.
    pub fn current(&self) -> (u64, &[Part], bool) {
        if let Some(held) = self.segments.back().filter(|_| self.is_held()) {
            return (held.number, &[], held.discontinuity);
        }
        self.open.as_ref().map_or((self.next, &[], self.broken), |o| (self.next, &o.parts, o.discontinuity))
    }

    /// How many discontinuities have left the window.
    pub fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// What no segment is longer than, rounded to whole seconds; the same for as long as the playlist lives (RFC 8216
    /// §6.2.1).
    pub fn target(&self) -> i64 {
        (self.settings.longest.as_micros() as i64 + 999_999) / 1_000_000
    }

    /// What no part is longer than, in microseconds; the same for as long as the playlist lives.
    pub fn part_target(&self) -> i64 {
        self.settings.part.as_micros() as i64
    }

    /// The init segment that the segment being made needs.
    pub fn current_init(&self, which: Which) -> Option<u64> {
        let init = self.inits.back()?;
        Some(if matches!(which, Which::Sound(_)) { init.of_sound } else { init.number })
    }

    /// An init segment by its number.
    pub fn init(&self, number: u64, which: Which) -> Option<Kept> {
        self.inits.iter().find(|init| init.number == number)?.get(which)
    }

    /// A complete segment by its number.
    pub fn segment(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// A part by its segment's number and its own.
    pub fn part(&self, number: u64, part: usize) -> Option<&Part> {
        if number == self.next {
            return self.open.as_ref()?.parts.get(part);
        }
        self.segment(number)?.parts.get(part)
    }

    /// Whether the playlist names this segment, or this part of it, or something later. A part beyond the last one of its
    /// segment is the first one of the next (rfc8216bis §6.2.5.2).
    pub fn reached(&self, number: u64, part: Option<usize>) -> bool {
        if self.ended {
            return true;
        }
        if self.is_held() && number + 1 >= self.next {
            return false;
        }
        match part {
            None => number < self.next,
            Some(part) if number < self.next => {
                number + 1 < self.next || self.parts() > 0 || self.segment(number).is_none_or(|s| part < s.parts.len())
            }
            Some(part) => number == self.next && part < self.parts(),
        }
    }

    /// Whether this part may still come.
    pub fn may_come(&self, number: u64, part: usize) -> bool {
        !self.ended && (number == self.next + 1 || (number == self.next && part >= self.parts()))
    }

    /// Whether the segment being made is the first that its init segment is for. See [`Segmenter::is_held`].
    pub(super) fn is_first_of_init(&self) -> bool {
        self.segments.back().is_some_and(|before| Some(before.init_of_sound) != self.current_init(Which::Sound(0)))
    }

    /// How long a segment is at least that could go on to another keyframe, in microseconds.
    pub(super) fn enough(&self) -> i64 {
        let target = self.settings.segment.as_micros() as i64;
        // Nearly the target is the target: 50 pictures of 40 ms, stamped in odd milliseconds.
        if self.is_early() { EARLY_LONGEST / 2 } else { target - target / 20 }
    }

    /// How long the segment being made may become, in microseconds. Longer groups of pictures are cut too, evenly where
    /// their length is known: segments that begin without a keyframe are allowed, for the playlist does not claim
    /// EXT-X-INDEPENDENT-SEGMENTS, and a promise that is broken stops Apple's player for good.
    pub(super) fn longest(&self) -> i64 {
        let most = self.target() * 1_000_000 + OVER;
        match self.heads.group {
            _ if self.is_first_of_init() && self.is_without_pictures() => FIRST_OF_INIT,
            _ if self.is_first_of_init() || self.is_early() => EARLY_LONGEST,
            Some(group) if group > most => in_step(group / (1 + group / most) + LATE / 3).min(most),
            _ => most,
        }
    }

    /// Where the part being made has to end, and whether its segment does.
    pub(super) fn ends(&self) -> Option<(i64, bool)> {
        let open = self.open.as_ref()?;
        let part = open.part_start + self.part_target();
        let segment = open.start + self.longest();
        // The bytes of one segment are bounded, too.
        let large = self.bytes_open() > self.settings.bytes / 4;
        Some((part.min(segment).max(open.part_start), segment <= part || large))
    }

    fn bytes_open(&self) -> usize {
        self.open.as_ref().map_or(0, |o| o.parts.iter().map(Part::size).sum())
    }

    /// Where the picture begins that waits, if the part being made can end there: no later than at `latest`.
    pub(super) fn before_picture(&self, latest: i64, last: bool) -> Option<i64> {
        let length = |picture: &i64| self.open.as_ref().map_or(0, |open| picture - open.part_start);
        let picture = self.heads.video.filter(|picture| *picture <= latest && length(picture) > 0)?;
        let is_long = length(&picture) >= SHORTEST;
        (!self.is_without_pictures() && self.is_full(length(&picture), last && is_long)).then_some(picture)
    }

    /// Whether a part of this length may go out.
    pub(super) fn is_full(&self, length: i64, last: bool) -> bool {
        last || 100 * length >= FULL * self.part_target()
    }

    /// Whether a keyframe would be of use by now: the segment being made is long enough, or began without one. Publishers
    /// that make none by themselves, such as browsers, are asked.
    pub fn wants_key(&self) -> bool {
        let (Some(open), Some(last)) = (&self.open, self.heads.video) else { return false };
        let due = self.enough() - ASKS_BEFORE;
        let is_old = self.heads.key.is_none_or(|key| last - key >= due);
        let is_due = (!open.independent && is_old) || last - open.start >= due;
        !self.is_early() && is_due && self.muxer.as_ref().is_some_and(Muxer::has_video)
    }

    /// Whether players wait for the first segments.
    pub(super) fn is_early(&self) -> bool {
        self.made < EARLY || self.appeared.is_some_and(|from| self.next < from + EARLY as u64)
    }
}
