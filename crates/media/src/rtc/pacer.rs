//! Pictures on their way to one viewer: sent no faster than its network takes them, and left out where they would come too
//! late. Sound does not wait here. Pure: times are arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::feed::{Media, Shared};

/// What a packet is longer than its payload by: IP, UDP, RTP with its extension, SRTP's tag.
pub(super) const HEADS: usize = 60;
/// How long pictures may wait; what comes beyond is left out up to the next keyframe.
const LONGEST: Duration = Duration::from_millis(700);
/// Pictures may follow a keyframe that alone takes longer for this much longer.
const GRACE: Duration = Duration::from_millis(250);
/// Pictures that nothing depends on are left out where others wait this long.
const DISPENSABLE: Duration = Duration::from_millis(80);
/// A keyframe takes the place of what waits longer than this.
const OVERTAKES: Duration = Duration::from_millis(300);

/// A picture that waits.
pub(super) struct Waiting {
    pub shared: Shared,
    /// Its time in the stream, in microseconds.
    pub at: i64,
    /// The same as sender reports tell it.
    pub wall: Instant,
    /// The next of its payloads.
    pub next: usize,
}

impl Waiting {
    /// Bytes of it that are not sent yet, with all heads.
    pub fn left(&self) -> usize {
        match &self.shared.media {
            Media::Picture { picture, .. } if self.next == 0 => picture.bytes + picture.payloads.len() * HEADS,
            Media::Picture { picture, .. } => {
                picture.payloads.iter().skip(self.next).map(|payload| payload.len() + HEADS).sum()
            }
            Media::Sound(_) => 0,
        }
    }
}

/// The pictures of one viewer.
#[derive(Default)]
pub(super) struct Pacer {
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Bytes that may be sent; less than none if too many were.
    credit: i64,
    filled: Option<Instant>,
    /// How long pictures may wait behind a keyframe that takes longer than usual.
    longest: Duration,
}

impl Pacer {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How long what waits takes at `rate`, in bits a second.
    pub fn wait(&self, rate: u64) -> Duration {
        Duration::from_micros(self.bytes as u64 * 8_000_000 / rate.max(1))
    }

    /// Takes a picture. False: it is left out.
    pub fn offer(&mut self, waiting: Waiting, rate: u64) -> bool {
        let Media::Picture { key, disposable, .. } = waiting.shared.media else { return false };
        let bytes = waiting.left();
        if key {
            if self.wait(rate) > OVERTAKES {
                self.forget();
            }
            if self.wait(rate) > LONGEST {
                return false;
            }
            let own = Duration::from_micros((self.bytes + bytes) as u64 * 8_000_000 / rate.max(1));
            self.longest = LONGEST.max(own + GRACE);
        } else if self.wait(rate) > if disposable { DISPENSABLE } else { self.longest.max(LONGEST) } {
            return false;
        }
        self.bytes += bytes;
        self.queue.push_back(waiting);
        true
    }

    /// Drops what has not begun to be sent.
    fn forget(&mut self) {
        let begun = self.queue.front().is_some_and(|first| first.next > 0);
        self.queue.truncate(usize::from(begun));
        self.bytes = self.queue.front().map_or(0, Waiting::left);
    }

    /// Leaves out what would come too late at `rate`, the newest first, but nothing that a keyframe begins. True: something
    /// was left out, and what follows it is of no use.
    pub fn trim(&mut self, rate: u64) -> bool {
        let mut trimmed = false;
        while self.wait(rate) > self.longest.max(LONGEST) && self.queue.len() > 1 {
            let is_needless = |waiting: &mut Waiting| !matches!(waiting.shared.media, Media::Picture { key: true, .. });
            let Some(last) = self.queue.pop_back_if(is_needless) else { break };
            self.bytes -= last.left();
            trimmed |= !matches!(last.shared.media, Media::Picture { disposable: true, .. });
        }
        trimmed
    }

    /// Time passes: at `rate` bits a second more may be sent, but no more than `burst` bytes at once.
    pub fn fill(&mut self, rate: u64, burst: i64, now: Instant) {
        let Some(since) = self.filled.replace(now) else {
            self.credit = burst;
            return;
        };
        let micros = u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX).min(1_000_000);
        let more = i64::try_from(rate.saturating_mul(micros) / 8_000_000).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(more).min(burst);
    }

    /// Something was sent: a packet of a picture, or one that did not wait.
    pub fn charge(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX)).max(-100_000);
    }

    /// Whether so many bytes may be sent at once.
    pub fn affords(&self, bytes: usize) -> bool {
        self.credit > i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// The picture of which a packet may be sent now.
    pub fn next(&mut self) -> Option<&mut Waiting> {
        if self.credit > 0 { self.queue.front_mut() } else { None }
    }

    /// A payload of the first picture was sent, the last one of it or not.
    pub fn went(&mut self, payload: usize, last: bool) {
        self.bytes = self.bytes.saturating_sub(payload + HEADS);
        self.charge(payload + HEADS);
        if last {
            self.queue.pop_front();
        }
    }

    /// When more may be sent, if something waits.
    pub fn due(&self, rate: u64, now: Instant) -> Option<Instant> {
        if self.queue.is_empty() {
            return None;
        }
        let owed = u64::try_from(1 - self.credit).unwrap_or(0);
        Some(now + Duration::from_micros(owed * 8_000_000 / rate.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::Codec;
    use crate::rtc::h264::Picture;
    use crate::rtc::payload::Format;

    const RATE: u64 = 800_000;

    fn picture(bytes: usize, key: bool, disposable: bool) -> Waiting {
        let payloads: Vec<Arc<[u8]>> = vec![0u8; bytes].chunks(1_000).map(Arc::from).collect();
        let format = Format { codec: Codec::H264, profile: [0; 3] };
        let media = Media::Picture { picture: Arc::new(Picture::of(payloads)), key, format, disposable };
        Waiting { shared: Shared { pts: 0, media }, at: 0, wall: Instant::now(), next: 0 }
    }

    fn send(pacer: &mut Pacer) -> usize {
        let mut sent = 0;
        while let Some(waiting) = pacer.next() {
            waiting.next += 1;
            let last = waiting.left() == 0;
            pacer.went(1_000, last);
            sent += 1;
        }
        sent
    }

    #[test]
    fn packets_leave_no_faster_than_the_network_takes_them() {
        let mut pacer = Pacer::default();
        let mut now = Instant::now();
        pacer.fill(RATE, 2_000, now);
        assert!(pacer.offer(picture(40_000, true, false), RATE));
        let mut sent = send(&mut pacer);
        for _ in 0..100 {
            now = pacer.due(RATE, now).unwrap().max(now + Duration::from_millis(1));
            pacer.fill(RATE, 2_000, now);
            sent += send(&mut pacer);
            if pacer.is_empty() {
                break;
            }
        }
        assert_eq!((sent, pacer.bytes), (40, 0));
    }

    #[test]
    fn what_nothing_depends_on_goes_first_and_then_all_up_to_a_keyframe() {
        let mut pacer = Pacer::default();
        assert!(pacer.offer(picture(10_000, true, false), RATE));
        assert!(!pacer.offer(picture(5_000, false, true), RATE));
        let taken = (0..30).take_while(|_| pacer.offer(picture(5_000, false, false), RATE)).count();
        assert!((10..15).contains(&taken), "{taken}");
        // A keyframe does not wait behind what is late.
        assert!(pacer.offer(picture(10_000, true, false), RATE));
        assert_eq!(pacer.queue.len(), 1);
    }

    #[test]
    fn a_keyframe_that_takes_long_is_followed_by_some_pictures() {
        let mut pacer = Pacer::default();
        assert!(pacer.offer(picture(150_000, true, false), RATE));
        assert!(pacer.offer(picture(5_000, false, false), RATE));
        assert!(pacer.offer(picture(150_000, true, false), RATE), "it was not begun");
        assert_eq!(pacer.queue.len(), 1);
        pacer.fill(RATE, 2_000, Instant::now());
        send(&mut pacer);
        assert!(!pacer.offer(picture(150_000, true, false), RATE), "one that has begun goes on");
        assert!(pacer.trim(RATE / 4) || pacer.queue.len() == 1);
    }
}
