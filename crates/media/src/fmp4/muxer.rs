//! Frames into fragments. A picture's duration is known when the next one comes, so the last picture always waits; audio
//! is laid end to end as long as its timestamps only jitter.

use std::sync::Arc;

use bytes::Bytes;

use super::{Place, Run, Sample, Track, VIDEO_RATE, fragment, init};
use crate::codec::{AudioInfo, vpx};
use crate::frame::{Codec, Frame, Kind};
use crate::rtc::h264::Parameters;

/// Timestamps of audio that are off by less than this are taken for jitter (many publishers stamp whole milliseconds), in
/// microseconds.
const JITTER: i64 = 60_000;
/// The duration of a picture that nothing followed.
const LAST_PICTURE: u32 = VIDEO_RATE / 25;

/// A piece of a file that can be appended to what came before.
pub struct Fragment {
    /// `moof` and `mdat`.
    pub bytes: Bytes,
    /// Whether decoding may start with it.
    pub independent: bool,
    /// Whether it holds pictures, and sound of the first track.
    pub has_video: bool,
    /// See `has_video`.
    pub has_audio: bool,
}

/// Makes one stream's fragments. Frames of codecs that the container is not written with are left out.
pub struct Muxer {
    video: Option<Video>,
    audio: Option<Audio>,
    /// Further tracks of sound.
    further: Vec<Audio>,
    /// The stream's time that is 0 in the file, in microseconds.
    origin: i64,
    sequence: u32,
}

struct Video {
    track: Track,
    codec: Codec,
    /// The last picture and its time.
    waiting: Option<(u64, Arc<Frame>)>,
    start: u64,
    samples: Vec<Sample>,
}

struct Audio {
    /// Among those of sound.
    number: u8,
    track: Track,
    codec: Codec,
    /// Where the next sample belongs if audio goes on without a gap, in ticks.
    next: Option<u64>,
    start: u64,
    samples: Vec<Sample>,
    /// Samples of one AAC access unit.
    unit: u32,
    /// Samples a second, of which the track's ticks may be others.
    rate: u32,
    /// What of a tick was left over, in parts of `rate`.
    rest: u64,
}

impl Muxer {
    /// A muxer for the tracks that these configurations describe, whose time 0 is the stream's `origin` (microseconds).
    /// `None` if there is nothing to write.
    pub fn new(video: Option<&Frame>, audio: Option<&Frame>, origin: i64) -> Option<Self> {
        let video = video.and_then(|config| {
            let track = Track::new(1, config)?;
            Some(Video { track, codec: config.codec, waiting: None, start: 0, samples: Vec::new() })
        });
        let audio = audio.and_then(|config| Audio::new(0, config));
        let is_something = video.is_some() || audio.is_some();
        is_something.then_some(Muxer { video, audio, further: Vec::new(), origin, sequence: 0 })
    }

    /// The same with further tracks of sound, beside which players take the first one.
    pub fn with_further(mut self, configs: &[Arc<Frame>]) -> Self {
        self.further = configs.iter().filter_map(|config| Audio::new(config.track, config)).collect();
        if !self.further.is_empty() {
            self.sounds()
                .for_each(|audio| audio.track.place = if audio.number > 0 { Place::Other } else { Place::First });
        }
        self
    }

    /// The same, counting the first track of sound in so many ticks a second. FFmpeg's players keep those of the first init segment
    /// that they saw, whatever later ones say.
    pub fn with_sound_ticks(mut self, ticks: Option<u32>) -> Self {
        if let (Some(audio), Some(ticks)) = (&mut self.audio, ticks) {
            audio.track.rate = ticks;
        }
        self
    }

    /// Ticks a second of the first track of sound.
    pub fn sound_ticks(&self) -> Option<u32> {
        self.audio.as_ref().map(|audio| audio.track.rate)
    }

    fn sounds(&mut self) -> impl Iterator<Item = &mut Audio> {
        self.audio.iter_mut().chain(&mut self.further)
    }

    /// The init segment that all fragments need.
    pub fn init(&self) -> Bytes {
        let tracks: Vec<&Track> = self
            .video
            .iter()
            .map(|v| &v.track)
            .chain(self.audio.iter().chain(&self.further).map(|a| &a.track))
            .collect();
        init(&tracks)
    }

    /// Whether sound is written.
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Whether pictures that this configures can follow those of another in one file: with parameter sets before each key
    /// picture, or because pictures say themselves what they are.
    pub fn may_follow(old: &Frame, new: &Frame) -> bool {
        let length = |config: &Frame| Parameters::read(&config.payload).map(|read| read.length_size);
        old.codec == new.codec
            && match new.codec {
                Codec::H264 => length(new).is_some_and(|size| length(old) == Some(size)),
                Codec::Vp8 | Codec::Vp9 => vpx::record(&old.payload) == vpx::record(&new.payload),
                _ => false,
            }
    }

    /// Whether pictures are written.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Takes a frame. Configurations and data are none of its business.
    pub fn push(&mut self, frame: &Arc<Frame>) {
        let dts = frame.dts.saturating_sub(self.origin);
        match (frame.kind, &mut self.video) {
            (Kind::Video, Some(video)) if video.codec == frame.codec => {
                let at = ticks(dts, VIDEO_RATE);
                video.settle(at);
                video.waiting = Some((at, Arc::clone(frame)));
            }
            (Kind::Audio, _) => {
                let mut sounds = self.sounds();
                if let Some(audio) = sounds.find(|a| a.number == frame.track && a.codec == frame.codec) {
                    audio.push(frame, dts);
                }
            }
            _ => {}
        }
    }

    /// What waited is complete: a picture follows at `dts`, or (`None`) nothing does.
    pub fn settle(&mut self, dts: Option<i64>) {
        if let Some(video) = &mut self.video {
            match dts {
                Some(dts) => video.settle(ticks(dts.saturating_sub(self.origin), VIDEO_RATE)),
                None => video.last(),
            }
        }
    }

    /// Everything complete so far, as one fragment.
    pub fn cut(&mut self) -> Option<Fragment> {
        self.cut_sound_until(i64::MAX)
    }

    /// Every complete picture, and the sound that begins before `until`.
    pub fn cut_sound_until(&mut self, until: i64) -> Option<Fragment> {
        let until = until.saturating_sub(self.origin);
        let later: Vec<_> = self.sounds().map(|audio| audio.split_at(until)).collect();
        let fragment = self.cut_all();
        for (audio, (start, later)) in self.sounds().zip(later) {
            audio.start = start;
            audio.samples = later;
        }
        fragment
    }

    fn cut_all(&mut self) -> Option<Fragment> {
        let mut runs = Vec::with_capacity(2);
        let mut independent = true;
        if let Some(v) = self.video.as_ref().filter(|v| !v.samples.is_empty()) {
            independent = v.samples[0].key;
            runs.push(Run { track: &v.track, start: v.start, samples: &v.samples });
        } else if self.video.is_some() {
            independent = false;
        }
        let has_video = !runs.is_empty();
        for a in self.audio.iter().chain(&self.further).filter(|a| !a.samples.is_empty()) {
            runs.push(Run { track: &a.track, start: a.start, samples: &a.samples });
        }
        if runs.is_empty() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = fragment(self.sequence, &runs);
        if let Some(video) = &mut self.video {
            video.samples.clear();
        }
        let has_audio = self.audio.as_ref().is_some_and(|audio| !audio.samples.is_empty());
        self.sounds().for_each(|audio| audio.samples.clear());
        Some(Fragment { bytes, independent, has_video, has_audio })
    }
}

impl Video {
    fn settle(&mut self, next: u64) {
        if let Some((at, frame)) = self.waiting.take() {
            self.add(&frame, at, u32::try_from(next.saturating_sub(at)).unwrap_or(LAST_PICTURE));
        }
    }

    fn last(&mut self) {
        if let Some((at, frame)) = self.waiting.take() {
            self.add(&frame, at, LAST_PICTURE);
        }
    }

    fn add(&mut self, frame: &Frame, at: u64, duration: u32) {
        if self.samples.is_empty() {
            self.start = at;
        }
        let cts = i64::from(frame.cts) * i64::from(VIDEO_RATE) / 1_000_000;
        let cts = i32::try_from(cts).unwrap_or(0);
        self.samples.push(Sample { duration, cts, key: frame.key, payload: frame.payload.clone() });
    }
}

impl Audio {
    fn new(number: u8, config: &Frame) -> Option<Self> {
        let track = Track::new(2 + u32::from(number), config)?;
        let unit = AudioInfo::of(config.codec, &config.payload).samples;
        let rate = track.rate;
        Some(Audio {
            number,
            track,
            codec: config.codec,
            next: None,
            start: 0,
            samples: Vec::new(),
            unit,
            rate,
            rest: 0,
        })
    }

    /// Takes away what begins at `dts` or later: where that begins, and its samples.
    fn split_at(&mut self, dts: i64) -> (u64, Vec<Sample>) {
        let until = ticks(dts, self.track.rate);
        let mut at = self.start;
        let mut count = 0;
        for sample in &self.samples {
            if at >= until {
                break;
            }
            at += u64::from(sample.duration);
            count += 1;
        }
        (at, self.samples.split_off(count))
    }

    fn push(&mut self, frame: &Frame, dts: i64) {
        let rate = self.track.rate;
        let stamped = ticks(dts, rate);
        let jitter = ticks(JITTER, rate);
        let at = match self.next {
            Some(next) if next.abs_diff(stamped) < jitter => next,
            // A gap cannot stand within a run: the sample before it fills it.
            Some(next) if stamped > next => {
                if let Some(last) = self.samples.last_mut() {
                    let gap = u32::try_from(stamped - next).unwrap_or(0);
                    last.duration = last.duration.saturating_add(gap);
                }
                stamped
            }
            // Far behind what was written: it would be heard twice.
            Some(_) => return,
            None => stamped,
        };
        if self.samples.is_empty() {
            self.start = at;
        }
        let samples = match self.codec {
            Codec::Opus => opus_samples(&frame.payload),
            _ => self.unit,
        };
        let parts = u64::from(samples) * u64::from(rate) + self.rest;
        self.rest = parts % u64::from(self.rate);
        let duration = u32::try_from(parts / u64::from(self.rate)).unwrap_or(samples);
        self.samples.push(Sample { duration, cts: 0, key: true, payload: frame.payload.clone() });
        self.next = Some(at + u64::from(duration));
    }
}

/// Microseconds as ticks of `rate`.
fn ticks(micros: i64, rate: u32) -> u64 {
    let ticks = i128::from(micros.max(0)) * i128::from(rate) / 1_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}

/// Samples at 48 kHz of an Opus packet, by its first bytes (RFC 6716 §3.1).
fn opus_samples(packet: &[u8]) -> u32 {
    let Some(toc) = packet.first() else {
        return 960;
    };
    let config = toc >> 3;
    let frame = match (config, config & 3) {
        (0..12, 0) => 480,
        (0..12, 1) => 960,
        (0..12, 2) => 1920,
        (0..12, _) => 2880,
        (12..16, n) if n & 1 == 0 => 480,
        (12..16, _) => 960,
        (_, n) => 120 << n,
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).map_or(1, |b| b & 0x3f)),
    };
    // At most 120 ms in a packet.
    (frame * count).min(5760)
}
