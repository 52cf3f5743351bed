//! What operators see of a stream: counters and rates, bounded in size. Pure: the time is an argument.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::codec::{AudioInfo, VideoInfo};
use crate::frame::{Frame, Kind};
use crate::name::{Protocol, StreamName};

/// A snapshot of one stream.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// The stream's name.
    pub name: StreamName,
    /// How it is (or, while paused, was) published.
    pub protocol: Protocol,
    /// Where its publisher is.
    pub peer: SocketAddr,
    /// Whether its publisher has vanished and may still come back.
    pub paused: bool,
    /// Whether frames flowed within [`super::Settings::live_within`].
    pub live: bool,
    /// Time since the stream started.
    pub age: Duration,
    /// Time since its last frame (since the start, if none came yet).
    pub silent: Duration,
    /// Time since its publisher gave a sign of life: a frame, or another one where it has no frames to send.
    pub unheard: Duration,
    /// The video track, once its configuration came.
    pub video: Option<VideoInfo>,
    /// The audio track, once its configuration (or first frame) came.
    pub audio: Option<AudioInfo>,
    /// Payload bits a second, averaged over the last window of about two seconds.
    pub bitrate_in: u64,
    /// Bits a second written to all readers, as they reported them, over the same window.
    pub bitrate_out: u64,
    /// Payload bytes that came, in all.
    pub bytes_in: u64,
    /// Bytes written to readers, in all.
    pub bytes_out: u64,
    /// Pictures a second over the same window.
    pub frame_rate: f32,
    /// Stream time between the last two key frames.
    pub gop: Option<Duration>,
    /// Frames that came, in all.
    pub frames: u64,
    /// Frames that slow readers were skipped over, in all.
    pub skipped: u64,
    /// Readers now, by protocol; protocols without readers are left out.
    pub readers: Vec<(Protocol, u32)>,
    /// Viewers that joined since the start ([`Protocol::Internal`] readers are no viewers).
    pub joined: u64,
    /// Viewers that left since the start.
    pub left: u64,
}

impl StreamInfo {
    /// Viewers now.
    pub fn viewers(&self) -> u32 {
        let views = |p: Protocol| !matches!(p, Protocol::Internal | Protocol::Relay);
        self.readers.iter().filter(|(p, _)| views(*p)).map(|(_, n)| n).sum()
    }
}

const WINDOW: Duration = Duration::from_secs(2);
/// The first window is shorter, so that there is a figure soon.
const FIRST_WINDOW: Duration = Duration::from_secs(1);

/// Counts what flows and makes rates of it, window by window.
pub(super) struct Meter {
    pub bytes_in: u64,
    pub frames: u64,
    pub last_frame: Option<Instant>,
    /// When the publisher last showed that it is there, otherwise than by a frame.
    pub last_sign: Option<Instant>,
    pub last_video: Option<Instant>,
    pub gop: Option<Duration>,
    last_key: Option<i64>,
    window: Window,
    rate: Rate,
}

struct Window {
    since: Instant,
    bytes_in: u64,
    bytes_out_before: u64,
    pictures: u32,
}

/// Rates over one window, and when it ended.
#[derive(Clone, Copy, Default)]
pub(super) struct Rate {
    pub bits_in: u64,
    pub bits_out: u64,
    pub pictures: f32,
    measured: bool,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Meter {
            bytes_in: 0,
            frames: 0,
            last_frame: None,
            last_sign: None,
            last_video: None,
            gop: None,
            last_key: None,
            window: Window { since: now, bytes_in: 0, bytes_out_before: 0, pictures: 0 },
            rate: Rate::default(),
        }
    }

    /// Counts a frame that came; `bytes_out` is the running total of what readers wrote.
    pub fn count(&mut self, frame: &Frame, now: Instant, bytes_out: u64) {
        self.roll(now, bytes_out);
        let bytes = frame.payload.len() as u64;
        self.bytes_in = self.bytes_in.saturating_add(bytes);
        self.frames += 1;
        if !frame.kind.is_config() {
            self.last_frame = Some(now);
        }
        self.window.bytes_in += bytes;
        if frame.kind == Kind::Video {
            self.window.pictures += 1;
            self.last_video = Some(now);
        }
        if frame.key {
            let before = self.last_key.replace(frame.dts);
            self.gop = before.map(|b| Duration::from_micros(frame.dts.saturating_sub(b).max(0).unsigned_abs()));
        }
    }

    /// Rates as of `now`; zero once nothing came for a few windows.
    pub fn rate(&mut self, now: Instant, bytes_out: u64) -> Rate {
        self.roll(now, bytes_out);
        self.rate
    }

    fn roll(&mut self, now: Instant, bytes_out: u64) {
        let passed = now.saturating_duration_since(self.window.since);
        if passed < if self.rate.measured { WINDOW } else { FIRST_WINDOW } {
            return;
        }
        let seconds = passed.as_secs_f64();
        let per_second = |n: u64| (n as f64 / seconds) as u64;
        self.rate = Rate {
            bits_in: per_second(self.window.bytes_in.saturating_mul(8)),
            bits_out: per_second(bytes_out.saturating_sub(self.window.bytes_out_before).saturating_mul(8)),
            pictures: (f64::from(self.window.pictures) / seconds) as f32,
            measured: true,
        };
        self.window = Window { since: now, bytes_in: 0, bytes_out_before: bytes_out, pictures: 0 };
    }
}
