//! Cuts one stream into segments and parts and keeps a bounded window of them. Pure: frames in, pieces out; knows no URLs,
//! no requests and no time but that of the frames.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::further::Further;
use super::segment::{self, Init, Part, Segment, Which};
use super::{Settings, heads};
use crate::black::Black;
use crate::filler::{Filler, Verdict};
use crate::fmp4::{Fragment, Muxer};
use crate::frame::{Codec, Frame, Kind, is_same};
use crate::hub::{Expected, Tracks};
use heads::Heads;

mod window;

/// Pictures that were announced and stay away for this long do not hold the beginning back. Microseconds.
const VIDEO_SILENT: i64 = 1_000_000;
/// Sound that is ahead of the pictures by this much more than before ends parts in their place. Microseconds.
const LATE: i64 = 300_000;
/// How many segments are cut early: Chromium's own player fails on a playlist of fewer.
pub(super) const EARLY: usize = 3;
/// How long these are at most, with or without a keyframe, so that players start early. Microseconds.
const EARLY_LONGEST: i64 = 400_000;
/// How long the first segment of another init segment is at most: it is told of together with the next. Microseconds.
const FIRST_OF_INIT: i64 = 100_000;
/// How much longer than the target a segment may be: less than what rounds to another second (RFC 8216 §4.3.3.1).
/// Microseconds.
const OVER: i64 = 400_000;
/// A keyframe ends a segment that did not begin with one if that is at least this long. Microseconds.
const SHORTEST: i64 = 200_000;
/// A part that is neither independent nor the last of its segment has at least this much of its target, in percent
/// (rfc8216bis §4.4.4.9).
const FULL: i64 = 85;
/// How long before a segment is long enough a keyframe is asked for, in microseconds.
const ASKS_BEFORE: i64 = 100_000;

/// The sound of a stream that has none yet: players take no track that comes later. AAC, 48 kHz, two channels.
const SILENT: &[u8] = &[0x11, 0x90];

/// The segment that is being made.
struct Open {
    discontinuity: bool,
    /// It begins with a keyframe, or needs none.
    independent: bool,
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
    further: Further,
    filler: Filler,
    /// What is shown is the picture of a stream that has none yet.
    black: Option<Black>,
    /// What is to be expected of pictures of which nothing is known.
    expected: Expected,
    /// Sound that came while that was not decided.
    held: Vec<Arc<Frame>>,
    /// What was cut so far has pictures.
    pictured: bool,
    /// Number of the segment with which pictures came, where sound was alone before.
    appeared: Option<u64>,
    /// Pictures have another configuration, and no keyframe of it came.
    renewed: bool,
    /// What comes next has pictures, and goes on with the sound as it was.
    goes_on: bool,
    muxer: Option<Muxer>,
    /// Ticks a second of the sound, for as long as the playlist lives.
    sound_ticks: Option<u32>,
    inits: VecDeque<Init>,
    segments: VecDeque<Segment>,
    open: Option<Open>,
    /// Number of the segment that is being made, or is made next.
    next: u64,
    /// Number of the next init segment; never used twice either.
    next_init: u64,
    /// The next segment continues nothing.
    broken: bool,
    /// Time of the first sound since the last picture, if nothing could begin a segment for want of a key picture.
    waits: Option<i64>,
    heads: Heads,
    /// Where the last segment ended, if the next one continues it.
    from: Option<i64>,
    /// What Unix time is ahead of the frames' time, in microseconds, since the last break.
    clock: Option<i64>,
    bytes: usize,
    made: usize,
    discontinuities: u64,
    /// The stream's time that is 0 in the segments, and where the last one of them ended, in microseconds.
    origin: i64,
    written: i64,
    /// The stream began anew: its first frame belongs where what was written ends.
    anew: bool,
    ending: bool,
    ended: bool,
}

impl Segmenter {
    /// An empty window whose first segment gets the number `first`.
    pub fn new(settings: Settings, first: u64) -> Self {
        Segmenter {
            settings,
            video: None,
            audio: None,
            further: Further::default(),
            filler: Filler::new(None, false),
            black: None,
            expected: Expected::Known,
            held: Vec::new(),
            pictured: false,
            appeared: None,
            renewed: false,
            goes_on: false,
            muxer: None,
            sound_ticks: None,
            inits: VecDeque::new(),
            segments: VecDeque::new(),
            open: None,
            next: first,
            next_init: first,
            broken: false,
            waits: None,
            heads: Heads::default(),
            from: None,
            clock: None,
            bytes: 0,
            made: 0,
            discontinuities: 0,
            origin: 0,
            written: 0,
            anew: false,
            ending: false,
            ended: false,
        }
    }

    /// The tracks as they are now. One that was there stays for as long as the playlist lives, filled in if it has to be:
    /// players stop for good where a track ends or comes.
    pub fn tracks(&mut self, tracks: &Tracks) {
        let video = tracks.video.as_ref().or(self.video.as_ref());
        let audio = tracks.audio.as_ref().or(self.audio.as_ref());
        self.change(video.cloned(), audio.cloned());
        tracks.further.iter().for_each(|config| self.configure_further(config));
    }

    /// What is to be expected of pictures by now: the beginning waits for them, or has a black one in their place.
    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    fn change(&mut self, video: Option<Arc<Frame>>, audio: Option<Arc<Frame>>) {
        let same_video = is_same(self.video.as_deref(), video.as_deref());
        let same_audio = is_same(self.audio.as_deref(), audio.as_deref());
        if !same_video || !same_audio {
            // What is shown and heard goes on until there is a keyframe of the new ones.
            if same_audio && self.muxer.is_some() {
                self.renewed = true;
            } else {
                self.interrupt();
            }
            self.held.clear();
            self.video = video;
            self.audio = audio;
            self.filler.promise(self.audio.as_deref(), self.video.is_some());
        }
    }

    fn configure_further(&mut self, config: &Arc<Frame>) {
        if self.further.configure(config) {
            self.interrupt();
        }
        if self.muxer.is_some() {
            self.begin_further();
        }
    }

    /// Begins the further tracks that are not written yet.
    fn begin_further(&mut self) {
        let Some(of_sound) = self.inits.back().map(|init| init.of_sound) else { return };
        let begun = self.further.begin(self.origin);
        // Who listens reads them with the one from before pictures came.
        for init in self.inits.iter_mut().rev().take_while(|init| init.number >= of_sound) {
            init.add_further(&begun);
        }
    }

    /// The configurations: of pictures, of sound, of its further tracks.
    pub fn video(&self) -> Option<&Frame> {
        self.video.as_deref().or(self.black.as_ref().map(|black| &black.config))
    }

    /// See [`Segmenter::video`].
    pub fn sounds(&self) -> impl Iterator<Item = (u8, &Frame)> {
        self.audio.as_deref().map(|config| (0, config)).into_iter().chain(self.further.numbers())
    }

    /// Takes the stream's next frame. Says whether something new can be fetched.
    pub fn push(&mut self, frame: &Arc<Frame>) -> bool {
        let before = (self.next, self.parts());
        match frame.kind {
            Kind::AudioConfig if frame.is_further() => self.configure_further(frame),
            Kind::Audio if frame.is_further() => self.further.push(frame),
            Kind::VideoConfig => self.change(Some(Arc::clone(frame)), self.audio.clone()),
            Kind::AudioConfig => self.change(self.video.clone(), Some(Arc::clone(frame))),
            Kind::Video if self.is_outdated() && !frame.key => {}
            Kind::Video | Kind::Audio => {
                let turns = frame.kind == Kind::Video && self.is_outdated();
                if turns {
                    self.filler.forget_picture();
                }
                let mut filled = Vec::new();
                let verdict = self.filler.pass(frame, &mut filled);
                // Silence begins nothing.
                filled.retain(|frame| frame.key || self.muxer.is_some());
                filled.iter().for_each(|frame| self.media(frame));
                if turns {
                    self.turn(frame);
                }
                if verdict == Verdict::Pass {
                    self.media(frame);
                }
            }
            Kind::Data => {}
        }
        before != (self.next, self.parts())
    }

    /// Nothing follows: what is left becomes the last part. Players learn of it before the playlist ends, because some
    /// (hls.js) load no parts any more once it has.
    pub fn begin_end(&mut self) {
        self.close_last(None);
        self.ending = true;
    }

    /// The stream is over: what is left becomes the last segment.
    pub fn finish(&mut self) {
        self.interrupt();
        self.ended = true;
    }

    /// The stream began anew after its end: its time is another, and goes on here where the segments end.
    pub fn resume(&mut self) {
        self.interrupt();
        self.filler = Filler::new(self.audio.as_deref(), self.video.is_some());
        self.further.resume();
        self.anew = true;
        self.ending = false;
    }

    /// Whether no frame will follow.
    pub fn ending(&self) -> bool {
        self.ending || self.ended
    }

    /// Whether it is not known when frames came. It is not after a break.
    pub fn wants_clock(&self) -> bool {
        self.clock.is_none()
    }

    /// Says by what Unix time is ahead of the frames' time, in microseconds. Where nothing was made yet, the segments' time is
    /// that of day: what is cut of a stream later, after a restart or a pause or by another node, goes on in the same time, and
    /// players that stayed go on with it.
    pub fn set_clock(&mut self, ahead: i64) {
        self.clock = Some(ahead);
        if self.made == 0 && self.muxer.is_none() {
            self.origin = -heads::in_step(ahead);
        }
    }

    /// Whether nothing will follow.
    pub fn ended(&self) -> bool {
        self.ended
    }

    fn parts(&self) -> usize {
        self.open.as_ref().map_or(0, |o| o.parts.len())
    }

    fn media(&mut self, frame: &Arc<Frame>) {
        let in_steps = heads::in_milliseconds(frame);
        let frame = in_steps.as_ref().unwrap_or(frame);
        if self.heads.is_break(frame) {
            self.interrupt();
        }
        if self.holds(frame) {
            return self.held.push(Arc::clone(frame));
        }
        let held = std::mem::take(&mut self.held);
        if frame.kind == Kind::Audio {
            self.blacken(held.first().unwrap_or(frame));
            // Sound alone, or below a black picture: none of it is lost.
            held.iter().for_each(|frame| self.media(frame));
        }
        if !self.ready(frame) {
            return;
        }
        let has_video = self.muxer.as_ref().is_some_and(Muxer::has_video);
        if frame.kind == Kind::Video || !has_video {
            self.cut_before(frame, has_video);
        } else if self.heads.audio.is_some() {
            self.cut_until(frame.dts - self.heads.ahead - LATE);
        }
        if self.open.is_none() {
            let discontinuity = std::mem::take(&mut self.broken);
            let start = self.from.take().unwrap_or(frame.dts);
            let independent = frame.key || !has_video;
            self.open = Some(Open { discontinuity, independent, start, part_start: start, parts: Vec::new() });
        }
        if let Some(muxer) = &mut self.muxer {
            muxer.push(frame);
        }
        if frame.kind == Kind::Video {
            self.further.push(frame);
        }
        self.heads.met(frame);
    }

    /// Ends what ends before a frame of the track that says where to cut.
    fn cut_before(&mut self, frame: &Frame, has_video: bool) {
        let dts = frame.dts;
        self.cut_until(dts);
        let (Some(open), Some((end, last))) = (&self.open, self.ends()) else { return };
        let settled = (frame.kind == Kind::Video).then_some(dts);
        let long = dts - open.start;
        let length = dts - open.part_start;
        let group = self.heads.group.unwrap_or(0);
        let enough = long >= self.enough() || long.saturating_add(group) > self.longest();
        let anew = frame.key && long >= SHORTEST && (enough || !open.independent);
        let step = self.heads.step(frame);
        // Where a picture ends: shaka 5.2 moves what follows in time by what a length says too much, and loses some of it.
        let is_begun = settled.is_some() && self.is_first_of_init() && long > 0 && long + step > FIRST_OF_INIT;
        if anew || is_begun || (!has_video && long >= self.enough()) {
            self.close_part(settled, dts);
            self.close_segment(dts);
            return;
        }
        // A part must not be longer than its target: it ends before the frame that would make it so. Where frames come
        // far apart, so that it would be too short, it ends at its target, when the next frame comes.
        if length > 0 && dts + step > end && self.is_full(length, last) {
            self.close_part(settled, dts);
            if last {
                self.close_segment(dts);
            }
        }
    }

    /// Ends the parts and segments that have their full length before `until`. The last picture still waits: it begins the next
    /// part, and says where this one ends if that is long enough then.
    fn cut_until(&mut self, until: i64) {
        while let Some((latest, last)) = self.ends().filter(|(end, _)| until > *end) {
            let end = self.before_picture(latest, last).unwrap_or(latest);
            let fragment = self.muxer.as_mut().and_then(|muxer| muxer.cut_sound_until(end + self.heads.ahead));
            self.add_part(fragment, end, end + self.heads.ahead);
            if last {
                self.continue_at(end);
            }
        }
    }

    /// Ends the segment within a group of pictures; the next one goes on there.
    fn continue_at(&mut self, end: i64) {
        self.close_segment(end);
        let start = end;
        // Whether the picture that waits begins it, and is a keyframe.
        let independent = !self.muxer.as_ref().is_some_and(Muxer::has_video) || self.heads.key == Some(start);
        let discontinuity = std::mem::take(&mut self.broken);
        self.open = Some(Open { discontinuity, independent, start, part_start: start, parts: Vec::new() });
    }

    /// Whether this frame waits until it is known what the playlist begins with.
    fn holds(&self, frame: &Frame) -> bool {
        let undecided = self.muxer.is_none() && self.made == 0 && self.video.is_none();
        undecided && frame.kind == Kind::Audio && self.expected == Expected::Soon
    }

    /// Begins with a black picture at this sound, where pictures were announced, or had their place so far, or may come at any
    /// time: players take none later where they began without.
    fn blacken(&mut self, sound: &Frame) {
        if self.muxer.is_some() || (self.made > 0 && !self.pictured) || self.filler.has_picture() {
            return;
        }
        let any = self.expected == Expected::AnyTime;
        let late = any || self.waits.is_some_and(|since| sound.dts - since > VIDEO_SILENT);
        let Some(black) = Black::instead(self.video.as_deref(), late, any || (late && self.pictured)) else { return };
        let key = Arc::new(black.at(sound.dts));
        self.black = Some(black);
        self.filler.begin_with(Arc::clone(&key));
        self.media(&key);
    }

    /// Whether what is being made is sound alone.
    fn is_without_pictures(&self) -> bool {
        self.muxer.as_ref().is_some_and(|muxer| !muxer.has_video())
    }

    /// Whether pictures have no place in what is being made: they have another configuration, or it has none, or a black one.
    fn is_outdated(&self) -> bool {
        self.renewed || self.black.is_some() || (self.video.is_some() && self.is_without_pictures())
    }

    /// Begins anew with this keyframe, in the same time. Where sound was alone, nothing breaks off: those who listen hear on, and
    /// others find a beginning here.
    fn turn(&mut self, key: &Frame) {
        if self.heads.is_break(key) {
            self.interrupt();
        } else {
            let broken = self.broken;
            let clock = self.clock;
            let appears = self.is_without_pictures();
            let near = self.heads.end().is_some_and(|end| (key.dts - end).abs() < VIDEO_SILENT);
            self.interrupt_at(near.then_some(heads::in_step(key.dts)));
            self.clock = clock;
            if appears {
                self.broken = broken;
                self.goes_on = true;
            }
        }
        self.black = None;
    }

    /// Whether a muxer is there; it starts with a key frame where there are pictures.
    fn ready(&mut self, frame: &Frame) -> bool {
        if self.muxer.is_some() {
            return true;
        }
        // A publisher that came back without pictures is heard all the same.
        self.waits = self.waits.or(Some(frame.dts)).filter(|_| frame.kind == Kind::Audio);
        let heard = self.waits.is_some_and(|since| frame.dts - since > VIDEO_SILENT);
        if self.audio.is_none() && frame.key {
            let silent = Arc::new(Frame::config(Codec::Aac, 0, Bytes::from_static(SILENT)));
            self.filler.promise(Some(&silent), false);
            self.audio = Some(silent);
        }
        // A playlist that had pictures has them, the last one or a black one at least.
        let without = heard && !(self.pictured && self.filler.has_picture());
        let video = self.video.as_deref().filter(|_| !without);
        let video = self.black.as_ref().map(|black| &black.config).or(video);
        let origin = if self.anew { heads::in_step(frame.dts - self.written) } else { self.origin };
        let Some(muxer) = Muxer::new(video, self.audio.as_deref(), origin) else {
            return false;
        };
        let muxer = muxer.with_sound_ticks(self.sound_ticks);
        if muxer.has_video() && !frame.key {
            return false;
        }
        self.waits = None;
        self.origin = origin;
        self.anew = false;
        if muxer.has_video() && !self.pictured && self.made > 0 {
            self.appeared = Some(self.next);
        }
        self.pictured |= muxer.has_video();
        let number = self.next_init;
        let before = self.inits.back().filter(|_| std::mem::take(&mut self.goes_on)).map(|init| init.of_sound);
        self.inits.push_back(Init {
            number,
            of_sound: before.unwrap_or(number),
            bytes: muxer.init(),
            further: Vec::new(),
        });
        self.next_init += 1;
        self.begin_further();
        self.sound_ticks = self.sound_ticks.or(muxer.sound_ticks());
        self.muxer = Some(muxer);
        true
    }

    /// Ends the open segment where it is; what follows does not continue it.
    fn interrupt(&mut self) {
        self.interrupt_at(None);
    }

    /// The same at the time of what follows, if that is of the same time.
    fn interrupt_at(&mut self, next: Option<i64>) {
        self.close_last(next);
        if let Some(end) = self.open.as_ref().map(|open| open.part_start) {
            self.close_segment(end);
        }
        self.broken |= self.made > 0;
        self.goes_on = false;
        self.renewed = false;
        self.muxer = None;
        self.further.interrupt();
        self.waits = None;
        self.heads.interrupt();
        self.from = None;
        self.clock = None;
    }

    /// Ends the part being made with all that came: at the time of what follows, if anything does.
    fn close_last(&mut self, next: Option<i64>) {
        let Some(end) = next.or(self.heads.end()) else { return };
        self.cut_until(end);
        let Some(muxer) = &mut self.muxer else { return };
        muxer.settle(next);
        let end = self.open.as_ref().map_or(end, |open| end.max(open.part_start));
        self.close_part(None, end);
    }

    /// Ends the part at `end`; `settled` is the time of the picture that follows the last one.
    fn close_part(&mut self, settled: Option<i64>, end: i64) {
        let Some(muxer) = &mut self.muxer else { return };
        if settled.is_some() {
            muxer.settle(settled);
        }
        let fragment = muxer.cut();
        self.add_part(fragment, end, i64::MAX);
    }

    /// Of further tracks what begins before `until` belongs to it.
    fn add_part(&mut self, fragment: Option<Fragment>, end: i64, until: i64) {
        let Some(open) = &mut self.open else { return };
        if let Some(fragment) = fragment {
            let duration = (end - open.part_start).max(1_000);
            let Fragment { bytes, independent, has_video, has_audio } = fragment;
            let further = self.further.cut(until);
            open.parts.push(Part { bytes, duration, independent, has_video, has_audio, further });
        }
        // Where nothing came, neither sound nor pictures, no part stands for that time.
        open.part_start = end;
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
        let mut parts = open.parts;
        let (bytes, further) = segment::join(&mut parts);
        let duration = (end - open.start).max(1_000);
        self.from = Some(end);
        self.written = end - self.origin;
        let init = self.current_init(Which::All).unwrap_or_default();
        let init_of_sound = self.current_init(Which::Sound(0)).unwrap_or_default();
        let discontinuity = open.discontinuity;
        let came = self.clock.map(|ahead| open.start + ahead);
        let number = self.next;
        let segment = Segment { number, duration, discontinuity, came, init, init_of_sound, bytes, parts, further };
        self.bytes += segment.size();
        self.segments.push_back(segment);
        self.next += 1;
        self.made += 1;
        self.trim();
    }

    fn trim(&mut self) {
        // What is no longer listed is still fetched for a while.
        let span = 5 * 1_000_000 * self.target();
        while segment::has_surplus(&self.segments, self.settings.kept, span)
            || (self.bytes > self.settings.bytes && self.segments.len() > 1)
        {
            let Some(old) = self.segments.pop_front() else { break };
            self.bytes -= old.size();
            self.discontinuities += u64::from(old.discontinuity);
        }
        let oldest = self.segments.front().map_or(self.next, |s| s.init_of_sound);
        while self.inits.len() > 1 && self.inits.front().is_some_and(|init| init.number < oldest) {
            self.inits.pop_front();
        }
    }
}
