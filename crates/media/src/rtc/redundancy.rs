//! Sound of which each packet holds the one before as well (RED, RFC 2198), for viewers who lose packets: browsers do not ask for
//! sound again. Knows no RTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::h264::MAX_PAYLOAD;

/// A viewer that lost this part of its sound is sent it twice.
pub(super) const LOSSY: f32 = 0.01;
/// For this long after it was last seen to lose some.
const PROTECTED_FOR: Duration = Duration::from_secs(30);
/// What the fields of a block's head hold: how long ago it was, and its bytes.
const MOST_AGO: u32 = 0x3fff;
const MOST_BYTES: usize = 0x3ff;

/// The state of one viewer's sound.
pub(super) struct Redundancy {
    /// The payload type of such packets.
    pub pt: u8,
    until: Option<Instant>,
    /// The last packet, while each holds the one before.
    before: Option<(u32, Arc<[u8]>)>,
}

impl Redundancy {
    /// Nothing is sent twice so far.
    pub fn new(pt: u8) -> Self {
        Redundancy { pt, until: None, before: None }
    }

    /// Packets are lost.
    pub fn protect(&mut self, now: Instant) {
        self.until = Some(now + PROTECTED_FOR);
    }

    /// Writes a packet (its payload type, time and payload) with the one before into `out`. False: it goes by itself.
    pub fn write(&mut self, packet: (u8, u32, &Arc<[u8]>), out: &mut Vec<u8>, now: Instant) -> bool {
        if self.until.is_none() {
            return false;
        }
        if self.until.take_if(|until| *until <= now).is_some() {
            self.before = None;
            return false;
        }
        let (pt, time, payload) = packet;
        let Some((then, before)) = self.before.replace((time, Arc::clone(payload))) else { return false };
        let ago = time.wrapping_sub(then);
        let bytes = before.len();
        if !(1..=MOST_AGO).contains(&ago) || bytes > MOST_BYTES || bytes + payload.len() + 5 > MAX_PAYLOAD {
            return false;
        }
        out.clear();
        out.push(0x80 | pt);
        out.extend(&(ago << 10 | bytes as u32).to_be_bytes()[1..]);
        out.push(pt);
        out.extend_from_slice(&before);
        out.extend_from_slice(payload);
        true
    }
}

#[cfg(test)]
mod tests {
    use str0m::rtp::RedDecoder;

    use super::*;

    /// What goes out for packets with these times and sizes, one each 20 ms.
    fn written(redundancy: &mut Redundancy, packets: &[(u32, usize)], start: Instant) -> Vec<Option<Vec<u8>>> {
        let made = packets.iter().zip(0..).map(|(&(time, size), n)| {
            let payload: Arc<[u8]> = Arc::from(vec![n as u8; size]);
            let mut out = Vec::new();
            let now = start + Duration::from_millis(20) * n;
            redundancy.write((111, time, &payload), &mut out, now).then_some(out)
        });
        made.collect()
    }

    #[test]
    fn a_packet_holds_the_one_before_while_some_are_lost() {
        let start = Instant::now();
        let mut redundancy = Redundancy::new(63);
        assert_eq!(written(&mut redundancy, &[(0, 9), (960, 9)], start), [None, None], "nothing is lost");
        redundancy.protect(start);
        let packets = [(u32::MAX - 959, 80), (0, 90), (960, 100)];
        let out = written(&mut redundancy, &packets, start);
        assert_eq!(out[0], None, "there is none before it");
        for n in 1..3 {
            let blocks = RedDecoder::decode(out[n].as_ref().unwrap()).unwrap();
            let found: Vec<_> =
                blocks.iter().map(|b| (b.pt, b.timestamp_offset, b.payload.len(), b.payload[0])).collect();
            assert_eq!(found, [(111, 960, packets[n - 1].1, n as u8 - 1), (111, 0, packets[n].1, n as u8)]);
        }
        let later = start + PROTECTED_FOR;
        assert_eq!(written(&mut redundancy, &[(1_920, 9), (2_880, 9)], later), [None, None]);
        redundancy.protect(later);
        assert_eq!(written(&mut redundancy, &[(90_000, 9)], later), [None], "what it held is of the past");
    }

    #[test]
    fn what_does_not_fit_goes_by_itself() {
        let start = Instant::now();
        let mut redundancy = Redundancy::new(63);
        redundancy.protect(start);
        // After a pause, at the same time, before a large one, after a large one, and together too large.
        let packets = [(0, 9), (0x4000, 9), (0x4000, 9), (0x43c0, 1_024), (0x4780, 9), (0x4b40, 600), (0x4f00, 600)];
        let whole: Vec<bool> = written(&mut redundancy, &packets, start).iter().map(Option::is_some).collect();
        assert_eq!(whole, [false, false, false, true, false, true, false]);
    }
}
