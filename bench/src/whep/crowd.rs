//! All viewers, gone round by one thread without a poller, so that no wake-up of a reader is paid for by the server's process.

use super::delays::{Arrival, Delays};
use super::heads::Counts;
use super::signal::Endpoint;
use super::viewer::{Opened, Viewer};
use crate::Failure;
use crate::clip::Slices;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Viewers whose handshakes run at the same time.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(15);
/// While viewers come, they are looked at as often as this.
const EAGER: Duration = Duration::from_millis(1);

/// The viewers.
pub struct Crowd {
    viewers: Vec<Viewer>,
    endpoint: Endpoint,
    slices: Arc<Slices>,
    buffer: Vec<u8>,
    every: Duration,
    /// The longest time between two looks at one socket.
    pub longest: Duration,
    looked: Instant,
}

/// What a stretch of time brought to one viewer.
pub struct Seen {
    /// Of pictures and of sound.
    pub counts: [Counts; 2],
    /// Packets sent again.
    pub again: u64,
}

impl Crowd {
    /// Nobody yet. Sockets are looked at `every` so often.
    pub fn new(endpoint: Endpoint, slices: Arc<Slices>, every: Duration) -> Self {
        let buffer = vec![0; 4096];
        let looked = Instant::now();
        Crowd { viewers: Vec::new(), endpoint, slices, buffer, every, longest: Duration::ZERO, looked }
    }

    /// Lets viewers come, the whole ones first, until there are so many and all of them play.
    pub fn gather(&mut self, count: usize, whole: usize) -> Result<(), Failure> {
        let mut progress = Instant::now();
        let mut playing = 0;
        while playing < count {
            if self.viewers.len() < count && self.viewers.len() - playing < AT_ONCE {
                let slices = (self.viewers.len() < whole).then(|| self.slices.clone());
                self.viewers.push(Viewer::join(&self.endpoint, slices)?);
            } else {
                sleep(EAGER);
            }
            self.look();
            let now = self.viewers.iter().filter(|viewer| viewer.plays()).count();
            if now > playing {
                progress = Instant::now();
            }
            playing = now;
            if let Some(why) = self.viewers.iter().find_map(|viewer| viewer.failed.as_ref()) {
                return Err(format!("a viewer failed: {why}").into());
            }
            if progress.elapsed() > PATIENCE {
                return Err(format!("{playing} of {} viewers play, and no more", self.viewers.len()).into());
            }
        }
        Ok(())
    }

    /// Keeps looking.
    pub fn run(&mut self, time: Duration) {
        self.looked = Instant::now();
        self.longest = Duration::ZERO;
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look();
            sleep(self.every);
        }
    }

    /// Measures what comes within `time`. `during` is asked at its beginning and its end.
    pub fn measure<T>(
        &mut self,
        time: Duration,
        during: impl Fn() -> Result<T, Failure>,
    ) -> Result<([T; 2], Vec<Seen>), Failure> {
        self.look();
        let before: Vec<_> = self.viewers.iter().map(|viewer| (viewer.counts(), viewer.again)).collect();
        self.viewers.iter_mut().for_each(|viewer| viewer.arrivals = Some(Vec::new()));
        let start = during()?;
        self.run(time);
        let end = during()?;
        self.look();
        let seen = self.viewers.iter().zip(before).map(|(viewer, (counts, again))| {
            let [video, audio] = viewer.counts();
            Seen { counts: [video.since(counts[0]), audio.since(counts[1])], again: viewer.again - again }
        });
        Ok(([start, end], seen.collect()))
    }

    /// When frames came during the last measurement.
    pub fn delays(&self) -> Option<Delays> {
        let all: Vec<&[Arrival]> = self.viewers.iter().filter_map(|viewer| viewer.arrivals.as_deref()).collect();
        Delays::of(&all)
    }

    /// What the whole ones found so far, and how many they are.
    pub fn opened(&self) -> (usize, Opened) {
        let whole = self.viewers.iter().filter(|viewer| viewer.is_whole());
        let sum = whole.clone().fold(Opened::default(), |sum, viewer| Opened {
            good: sum.good + viewer.opened.good,
            wrong: sum.wrong + viewer.opened.wrong,
            sounds: sum.sounds + viewer.opened.sounds,
        });
        (whole.count(), sum)
    }

    /// Why viewers play no more.
    pub fn failures(&self) -> Vec<String> {
        self.viewers.iter().filter_map(|viewer| viewer.failed.clone()).collect()
    }

    /// One more viewer, who is waited for: the time from before its connection is made until its first keyframe is there
    /// whole. It leaves again.
    pub fn late(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut late = Viewer::join(&self.endpoint, Some(self.slices.clone()))?;
        let mut next = began + self.every;
        while !late.keyed {
            late.turn(&mut self.buffer, Instant::now());
            if let Some(why) = late.failed {
                return Err(format!("a late viewer failed: {why}").into());
            }
            if began.elapsed() > PATIENCE {
                return Err("a late viewer has no first frame".into());
            }
            if Instant::now() >= next {
                self.look();
                next = Instant::now() + self.every;
            } else if !late.keyed {
                late.wait(next)?;
            }
        }
        let time = began.elapsed();
        late.leave(&self.endpoint)?;
        Ok(time)
    }

    /// All leave.
    pub fn leave(self) -> Result<(), Failure> {
        let Crowd { viewers, endpoint, .. } = self;
        viewers.into_iter().filter(|viewer| viewer.failed.is_none()).try_for_each(|viewer| viewer.leave(&endpoint))
    }

    fn look(&mut self) {
        let now = Instant::now();
        self.longest = self.longest.max(now - self.looked);
        self.looked = now;
        for viewer in &mut self.viewers {
            viewer.turn(&mut self.buffer, now);
        }
    }
}
