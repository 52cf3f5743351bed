//! Sound of a large audience: two Opus packets go as one, so that each viewer costs every second call less and its heads. The first
//! waits for the second, for 30 ms at most. Knows no viewers.

use std::time::{Duration, Instant};

use opus_pure::{Repacketizer, packet};

use super::feed::{Media, Shared};
use super::h264::MAX_PAYLOAD;

/// Viewers of one feed from which on that is worth the wait.
pub(super) const MANY: usize = 50;
/// What a packet of a pair holds at most, and what its parts may be off by, in microseconds.
const LONGEST: i64 = 20_000;
const OFF: i64 = 5_000;
/// How long a packet waits: a little longer than it sounds. Where nobody speaks nothing follows (DTX).
const PATIENCE: Duration = Duration::from_millis(30);

/// Whether an offer asks for packets of less than 40 ms (RFC 8866 §6.4, RFC 7587 §6.1).
pub(super) fn are_unwanted(offer: &str) -> bool {
    let values = offer.lines().filter_map(|line| line.strip_prefix("a=maxptime:").or(line.strip_prefix("a=ptime:")));
    values.filter_map(|value| value.trim().parse::<f32>().ok()).any(|ms| ms < 40.0)
}

/// The pairs of one feed.
#[derive(Default)]
pub(super) struct Pairs {
    first: Option<Waiting>,
}

/// What waits for the second half of its pair.
struct Waiting {
    shared: Shared,
    /// How long it sounds, in microseconds.
    sounds: i64,
    until: Instant,
}

impl Pairs {
    /// Leaves in `made` what goes now, with what waited. Where there are not `many` viewers everything goes as it is.
    pub fn take(&mut self, made: &mut Vec<Shared>, many: bool, now: Instant) {
        if self.first.is_none() && (!many || made.iter().all(Shared::is_picture)) {
            return;
        }
        for shared in std::mem::take(made) {
            let Media::Sound(sound) = &shared.media else {
                made.push(shared);
                continue;
            };
            let length = packet::samples_48k(sound).map_or(LONGEST + 1, |samples| samples as i64 * 1_000 / 48);
            if let Some(first) = self.first.take() {
                if let Some(pair) = joined(&first.shared, first.sounds, &shared) {
                    made.push(pair);
                    continue;
                }
                made.push(first.shared);
            }
            if many && length <= LONGEST {
                self.first = Some(Waiting { shared, sounds: length, until: now + PATIENCE });
            } else {
                made.push(shared);
            }
        }
    }

    /// Until when something waits.
    pub fn due(&self) -> Option<Instant> {
        self.first.as_ref().map(|first| first.until)
    }

    /// What waits, which goes by itself.
    pub fn rest(&mut self) -> Option<Shared> {
        self.first.take().map(|first| first.shared)
    }
}

/// Both in one packet, if the second follows the first and is coded alike.
fn joined(first: &Shared, sounds: i64, second: &Shared) -> Option<Shared> {
    let (Media::Sound(a), Media::Sound(b)) = (&first.media, &second.media) else { return None };
    if (second.pts - first.pts - sounds).abs() > OFF {
        return None;
    }
    let mut both = Repacketizer::new();
    both.cat(a).ok()?;
    both.cat(b).ok()?;
    let packet = both.out().ok().filter(|packet| packet.len() <= MAX_PAYLOAD)?;
    Some(Shared { pts: first.pts, media: Media::Sound(packet.into()) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A packet of 20 ms: what its head says, `fill`.
    fn sound(pts: i64, head: u8, fill: u8) -> Shared {
        Shared { pts, media: Media::Sound(Arc::from(vec![head, fill, fill])) }
    }

    /// What goes of these at once, as times and frames of each packet.
    fn goes(pairs: &mut Pairs, many: bool, these: &[Shared]) -> Vec<(i64, usize)> {
        let mut made = these.to_vec();
        pairs.take(&mut made, many, Instant::now());
        let told = |shared: &Shared| match &shared.media {
            Media::Sound(sound) => (shared.pts, packet::frame_count(sound).unwrap()),
            Media::Picture { .. } => (shared.pts, 0),
        };
        made.iter().map(told).collect()
    }

    fn picture(pts: i64) -> Shared {
        let payloader = super::super::payload::Payloader::new(crate::frame::Codec::Vp8, &Vec::new().into()).unwrap();
        let frame =
            crate::frame::Frame::video(crate::frame::Codec::Vp8, 0, 0, true, vec![0x10, 0, 0, 0x9d, 1, 0x2a].into());
        let media = Media::Picture {
            picture: Arc::new(payloader.picture(&frame)),
            key: true,
            format: payloader.format(),
            disposable: false,
        };
        Shared { pts, media }
    }

    #[test]
    fn offers_may_want_none() {
        assert!(!are_unwanted("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=maxptime:60\r\na=fmtp:111 minptime=10\r\n"));
        assert!(are_unwanted("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=maxptime:20\r\n"));
        assert!(are_unwanted("a=ptime:20\n"));
        assert!(!are_unwanted("a=ptime:long\n"));
    }

    /// CELT, 20 ms, the whole band, one frame; and the same in stereo.
    const HEAD: u8 = 31 << 3;
    const STEREO: u8 = HEAD | 4;

    #[test]
    fn two_go_as_one_for_many() {
        let mut pairs = Pairs::default();
        assert_eq!(goes(&mut pairs, false, &[sound(0, HEAD, 1)]), [(0, 1)]);
        assert_eq!(goes(&mut pairs, true, &[sound(20_000, HEAD, 2)]), []);
        assert_eq!(goes(&mut pairs, true, &[picture(30_000)]), [(30_000, 0)]);
        let mut made = vec![sound(40_000, HEAD, 3)];
        pairs.take(&mut made, true, Instant::now());
        let [Shared { pts: 20_000, media: Media::Sound(both) }] = &made[..] else { panic!("one packet") };
        let mut apart = Repacketizer::new();
        apart.cat(both).unwrap();
        assert_eq!(apart.out_range(0, 1).unwrap(), [HEAD, 2, 2]);
        assert_eq!(apart.out_range(1, 2).unwrap(), [HEAD, 3, 3]);
        // Fewer again: what waits goes with what comes.
        assert_eq!(goes(&mut pairs, true, &[sound(60_000, HEAD, 4)]), []);
        assert_eq!(goes(&mut pairs, false, &[sound(80_000, HEAD, 5)]), [(60_000, 2)]);
        assert_eq!(goes(&mut pairs, false, &[sound(100_000, HEAD, 5)]), [(100_000, 1)]);
    }

    #[test]
    fn what_does_not_follow_or_is_not_alike_goes_by_itself() {
        let mut pairs = Pairs::default();
        assert_eq!(goes(&mut pairs, true, &[sound(0, HEAD, 1), sound(20_000, STEREO, 2)]), [(0, 1)]);
        assert_eq!(goes(&mut pairs, true, &[sound(80_000, STEREO, 3)]), [(20_000, 1)], "something is missing between");
        assert_eq!(goes(&mut pairs, true, &[sound(100_000, STEREO, 4)]), [(80_000, 2)]);
        // Sound stops: pictures pass what waits, which goes when it is due.
        assert_eq!(goes(&mut pairs, true, &[sound(120_000, STEREO, 5)]), []);
        assert_eq!(goes(&mut pairs, true, &[picture(150_000)]), [(150_000, 0)]);
        assert!(pairs.due().is_some_and(|due| due <= Instant::now() + PATIENCE));
        assert!(pairs.rest().is_some_and(|shared| shared.pts == 120_000) && pairs.due().is_none());
        // Longer ones, empty ones and nonsense pass.
        let sixty = sound(200_000, 11 << 3, 1);
        assert_eq!(goes(&mut pairs, true, &[sixty]), [(200_000, 1)]);
        let mut made = vec![Shared { pts: 300_000, media: Media::Sound(Arc::from([])) }];
        pairs.take(&mut made, true, Instant::now());
        assert_eq!(made.len(), 1);
        // Too large together.
        let large = |pts| Shared { pts, media: Media::Sound(Arc::from([&[HEAD][..], &[7; 700]].concat())) };
        assert_eq!(
            goes(&mut pairs, true, &[large(400_000), large(420_000), large(440_000)]),
            [(400_000, 1), (420_000, 1)]
        );
    }
}
