//! Cuts one stream into segments and parts and keeps a bounded window of them. Pure: frames in, pieces out; knows no URLs,
//! no requests and no time but that of the frames.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Settings, black};
use crate::filler::{Filler, Verdict};
use crate::fmp4::Muxer;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::Tracks;

/// A step in the timestamps beyond this is a break: the publisher was away. Microseconds.
const BREAK: i64 = 1_500_000;
/// Pictures that stay away for this long do not hold the cutting back. Microseconds.
const VIDEO_SILENT: i64 = 1_000_000;
/// The first segments may be this short, so that players start early. Microseconds.
const SHORTEST: i64 = 500_000;
/// How many segments are cut that early.
const EARLY: usize = 3;
/// Segments longer than this many targets are cut even without a key frame.
const LONGEST: i64 = 5;
/// How long before a segment is long enough a keyframe is asked for, in microseconds.
const ASKS_BEFORE: i64 = 100_000;

/// The sound of a stream that has none yet: players take no track that comes later. AAC, 48 kHz, two channels.
const SILENT: &[u8] = &[0x11, 0x90];

/// A piece of a segment, fetched ahead of the rest.
#[derive(Clone)]
pub struct Part {
    /// The fragment.
    pub bytes: Bytes,
    /// How long it plays, in microseconds.
    pub duration: i64,
    /// Whether decoding may start with it.
    pub independent: bool,
}

/// What players load at a time.
pub struct Segment {
    /// Its number; these only grow, also over restarts.
    pub number: u64,
    /// How long it plays, in microseconds.
    pub duration: i64,
    /// It does not continue what was before: timestamps or codecs changed.
    pub discontinuity: bool,
    /// The number of the init segment that it needs.
    pub init: u64,
    /// All of it.
    pub bytes: Bytes,
    /// Its parts, slices of `bytes`.
    pub parts: Vec<Part>,
}

/// The segment that is being made.
struct Open {
    discontinuity: bool,
    /// Microseconds.
    start: i64,
    part_start: i64,
    parts: Vec<Part>,
}

/// One stream as segments.
pub struct Segmenter {
    settings: Settings,
    video: Option<Arc<Frame>>,
    audio: Option<Arc<Frame>>,
    filler: Filler,
    /// What is shown is the picture of a stream that has none yet.
    black: bool,
    muxer: Option<Muxer>,
    inits: VecDeque<(u64, Bytes)>,
    segments: VecDeque<Segment>,
    open: Option<Open>,
    /// Number of the segment that is being made, or is made next.
    next: u64,
    /// Number of the next init segment; never used twice either.
    next_init: u64,
    /// The next segment continues nothing.
    broken: bool,
    /// The pictures were of another kind before.
    changed: bool,
    /// Time of the last picture, else of the first frame, that could not begin a segment for want of a key picture.
    waits: Option<i64>,
    last: Option<i64>,
    last_video: Option<i64>,
    bytes: usize,
    made: usize,
    discontinuities: u64,
    longest: i64,
    longest_part: i64,
    ended: bool,
}

impl Segmenter {
    /// An empty window whose first segment gets the number `first`.
    pub fn new(settings: Settings, first: u64) -> Self {
        Segmenter {
            settings,
            video: None,
            audio: None,
            filler: Filler::new(None, false),
            black: false,
            muxer: None,
            inits: VecDeque::new(),
            segments: VecDeque::new(),
            open: None,
            next: first,
            next_init: first,
            broken: false,
            changed: false,
            waits: None,
            last: None,
            last_video: None,
            bytes: 0,
            made: 0,
            discontinuities: 0,
            longest: 0,
            longest_part: 0,
            ended: false,
        }
    }

    /// The tracks as they are now. One that was there stays for as long as the playlist lives, filled in if it has to be:
    /// players stop for good where a track ends or comes.
    pub fn tracks(&mut self, tracks: &Tracks) {
        let video = tracks.video.as_ref().or(self.video.as_ref());
        let audio = tracks.audio.as_ref().or(self.audio.as_ref());
        self.change(&Tracks { video: video.cloned(), audio: audio.cloned(), metadata: None });
    }

    fn change(&mut self, tracks: &Tracks) {
        let changed = |old: &Option<Arc<Frame>>, new: &Option<Arc<Frame>>| match (old, new) {
            (Some(a), Some(b)) => a.codec != b.codec || a.payload != b.payload,
            (a, b) => a.is_some() != b.is_some(),
        };
        if changed(&self.video, &tracks.video) || changed(&self.audio, &tracks.audio) {
            self.interrupt();
            self.changed |= self.made > 0 && changed(&self.video, &tracks.video);
            self.video.clone_from(&tracks.video);
            self.audio.clone_from(&tracks.audio);
            self.filler.promise(self.audio.as_deref(), self.video.is_some());
        }
    }

    /// Takes the stream's next frame. Says whether something new can be fetched.
    pub fn push(&mut self, frame: &Arc<Frame>) -> bool {
        let before = (self.next, self.parts());
        match frame.kind {
            Kind::VideoConfig => {
                let now = Tracks { video: Some(frame.clone()), audio: self.audio.clone(), metadata: None };
                self.tracks(&now);
            }
            Kind::AudioConfig => {
                let now = Tracks { video: self.video.clone(), audio: Some(frame.clone()), metadata: None };
                self.tracks(&now);
            }
            Kind::Video | Kind::Audio => {
                let mut filled = Vec::new();
                let verdict = self.filler.pass(frame, &mut filled);
                filled.iter().for_each(|frame| self.media(frame));
                if verdict == Verdict::Pass {
                    self.media(frame);
                }
            }
            Kind::Data => {}
        }
        before != (self.next, self.parts())
    }

    /// The stream is over: what is left becomes the last segment.
    pub fn finish(&mut self) {
        self.interrupt();
        self.ended = true;
    }

    /// Whether nothing will follow.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Complete segments that can be fetched, oldest first.
    pub fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Number of the segment that is being made, its parts so far, and whether it starts anew.
    pub fn current(&self) -> (u64, &[Part], bool) {
        self.open.as_ref().map_or((self.next, &[], false), |o| (self.next, &o.parts, o.discontinuity))
    }

    /// How many discontinuities have left the window.
    pub fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// The longest segment so far or the configured target, in whole seconds.
    pub fn target(&self) -> i64 {
        // Rounded to the nearest, as RFC 8216 §4.3.3.1 compares it.
        let longest = (self.longest + 500_000) / 1_000_000;
        longest.max((self.settings.segment.as_micros() as i64 + 999_999) / 1_000_000)
    }

    /// The longest part so far or the configured target, in microseconds.
    pub fn part_target(&self) -> i64 {
        self.longest_part.max(self.settings.part.as_micros() as i64)
    }

    /// The init segment that the segment being made needs.
    pub fn current_init(&self) -> Option<u64> {
        self.inits.back().map(|(number, _)| *number)
    }

    /// An init segment by its number.
    pub fn init(&self, number: u64) -> Option<&Bytes> {
        self.inits.iter().find(|(n, _)| *n == number).map(|(_, bytes)| bytes)
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

    /// Whether the playlist names this segment, or this part of it, or something later.
    pub fn reached(&self, number: u64, part: Option<usize>) -> bool {
        if self.ended {
            return true;
        }
        match part {
            None => number < self.next,
            Some(part) => number < self.next || (number == self.next && part < self.parts()),
        }
    }

    fn parts(&self) -> usize {
        self.open.as_ref().map_or(0, |o| o.parts.len())
    }

    /// Whether a keyframe would be of use by now: the segment being made is long enough. Publishers that make none by
    /// themselves, such as browsers, are asked.
    pub fn wants_key(&self) -> bool {
        let (Some(open), Some(last)) = (&self.open, self.last_video) else { return false };
        self.muxer.as_ref().is_some_and(Muxer::has_video) && last - open.start >= self.enough() - ASKS_BEFORE
    }

    /// How long a segment is at least, in microseconds.
    fn enough(&self) -> i64 {
        let target = self.settings.segment.as_micros() as i64;
        // Nearly the target is the target: 50 pictures of 40 ms, stamped in odd milliseconds.
        if self.made < EARLY { SHORTEST } else { target - target / 20 }
    }

    fn media(&mut self, frame: &Arc<Frame>) {
        let dts = frame.dts;
        if self.last.is_some_and(|last| (dts - last).abs() > BREAK) {
            self.interrupt();
        }
        let appears = self.video.is_some() && self.muxer.as_ref().is_some_and(|muxer| !muxer.has_video());
        if frame.key && (appears || (self.black && frame.payload != black::KEY)) {
            self.interrupt();
            self.changed |= self.made > 0;
            self.black = false;
        }
        if !self.ready(frame) {
            return;
        }
        let has_video = self.muxer.as_ref().is_some_and(Muxer::has_video);
        let video = frame.kind == Kind::Video;
        let silent = self.last_video.is_none_or(|last| dts - last > VIDEO_SILENT);
        if let Some(open) = &self.open
            && (video || !has_video || silent)
        {
            let target = self.settings.segment.as_micros() as i64;
            let enough = self.enough();
            let (long, length) = (dts - open.start, dts - open.part_start);
            let may = frame.key || !has_video || long >= target.saturating_mul(LONGEST);
            let large = self.bytes_open() > self.settings.bytes / 4;
            if large || (long >= enough && may) {
                self.close_part(video.then_some(dts), dts);
                self.close_segment(dts);
            } else {
                // A part must not be longer than its target: it ends before the frame that would make it so.
                let step = self.last.map_or(0, |last| (dts - last).max(0));
                if length > 0 && length + step.max(if video { 20_000 } else { 0 }) > self.part_target() {
                    self.close_part(video.then_some(dts), dts);
                }
            }
        }
        if self.open.is_none() {
            let discontinuity = std::mem::take(&mut self.broken);
            self.open = Some(Open { discontinuity, start: dts, part_start: dts, parts: Vec::new() });
        }
        if let Some(muxer) = &mut self.muxer {
            muxer.push(frame);
        }
        self.last = Some(self.last.map_or(dts, |last| last.max(dts)));
        if video {
            self.last_video = Some(dts);
        }
    }

    /// Whether a muxer is there; it starts with a key frame where there are pictures.
    fn ready(&mut self, frame: &Frame) -> bool {
        if self.muxer.is_some() {
            return true;
        }
        // A publisher that came back without pictures is heard all the same.
        if frame.kind == Kind::Video {
            self.waits = Some(frame.dts);
        }
        let since = *self.waits.get_or_insert(frame.dts);
        let heard = frame.kind == Kind::Audio && frame.dts - since > VIDEO_SILENT;
        if self.audio.is_none() && frame.key {
            let silent = Arc::new(Frame::config(Codec::Aac, 0, Bytes::from_static(SILENT)));
            self.filler.promise(Some(&silent), false);
            self.audio = Some(silent);
        }
        // Pictures that were announced and do not come: players take none later where they began without.
        if heard && !self.black && self.made == 0 && self.video.as_ref().is_some_and(|v| v.codec == Codec::H264) {
            self.black = true;
            let key = Frame::video(Codec::H264, frame.dts, 0, true, Bytes::from_static(black::KEY));
            self.filler.begin_with(Arc::new(key));
        }
        let black = self.black.then(|| Frame::config(Codec::H264, 0, Bytes::from_static(black::CONFIG)));
        let video = self.video.as_deref().filter(|_| !heard);
        let video = black.as_ref().or(video);
        let Some(mut muxer) = Muxer::new(video, self.audio.as_deref(), 0) else {
            return false;
        };
        if let Some(video) = self.video.as_deref().filter(|_| self.changed && !self.black) {
            muxer.repeat_parameters(video);
        }
        if muxer.has_video() && !frame.key {
            return false;
        }
        self.waits = None;
        self.inits.push_back((self.next_init, muxer.init()));
        self.next_init += 1;
        self.muxer = Some(muxer);
        true
    }

    /// Ends the open segment where it is; what follows does not continue it.
    fn interrupt(&mut self) {
        if let Some(muxer) = &mut self.muxer {
            muxer.settle(None);
        }
        if self.open.is_some() {
            let end = self.last.unwrap_or(0).saturating_add(40_000);
            self.close_part(None, end);
            self.close_segment(end);
        }
        self.broken |= self.made > 0;
        self.muxer = None;
        self.waits = None;
        self.last = None;
        self.last_video = None;
    }

    fn bytes_open(&self) -> usize {
        self.open.as_ref().map_or(0, |o| o.parts.iter().map(|p| p.bytes.len()).sum())
    }

    /// Ends the part at `end`; `settled` is the time of the picture that follows the last one.
    fn close_part(&mut self, settled: Option<i64>, end: i64) {
        let (Some(open), Some(muxer)) = (&mut self.open, &mut self.muxer) else {
            return;
        };
        if settled.is_some() {
            muxer.settle(settled);
        }
        if let Some(fragment) = muxer.cut() {
            let duration = (end - open.part_start).max(1_000);
            self.longest_part = self.longest_part.max(duration);
            open.parts.push(Part { bytes: fragment.bytes, duration, independent: fragment.independent });
            open.part_start = end;
        }
    }

    fn close_segment(&mut self, end: i64) {
        let Some(open) = self.open.take() else {
            return;
        };
        if open.parts.is_empty() {
            // Nothing came of it: what it was to begin, the next one begins.
            self.broken |= open.discontinuity;
            return;
        }
        let mut bytes = BytesMut::with_capacity(open.parts.iter().map(|p| p.bytes.len()).sum());
        for part in &open.parts {
            bytes.extend_from_slice(&part.bytes);
        }
        let (bytes, mut parts, mut at) = (bytes.freeze(), open.parts, 0);
        for part in &mut parts {
            let length = part.bytes.len();
            part.bytes = bytes.slice(at..at + length);
            at += length;
        }
        let duration = (end - open.start).max(1_000);
        self.longest = self.longest.max(duration);
        self.bytes += bytes.len();
        let init = self.current_init().unwrap_or_default();
        let discontinuity = open.discontinuity;
        self.segments.push_back(Segment { number: self.next, duration, discontinuity, init, bytes, parts });
        self.next += 1;
        self.made += 1;
        self.trim();
    }

    fn trim(&mut self) {
        while self.segments.len() > self.settings.kept || (self.bytes > self.settings.bytes && self.segments.len() > 1)
        {
            let Some(old) = self.segments.pop_front() else {
                break;
            };
            self.bytes -= old.bytes.len();
            self.discontinuities += u64::from(old.discontinuity);
        }
        let oldest = self.segments.front().map_or(self.next, |s| s.init);
        while self.inits.len() > 1 && self.inits.front().is_some_and(|(n, _)| *n < oldest) {
            self.inits.pop_front();
        }
    }
}
