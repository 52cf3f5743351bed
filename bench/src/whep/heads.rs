//! What the heads of RTP packets tell, which are in clear: what was lost, how much came, when a frame was complete. Knows
//! neither sockets nor keys.

/// What a datagram of a WebRTC session is, by its first bytes (RFC 7983).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// ICE checks, the handshake, and whatever else there may be.
    Session,
    Rtp,
    Rtcp,
}

/// Tells datagrams apart.
pub fn sort(datagram: &[u8]) -> Sort {
    match datagram {
        [128..=191, 192..=223, ..] => Sort::Rtcp,
        [128..=191, ..] => Sort::Rtp,
        _ => Sort::Session,
    }
}

/// The head of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub payload_type: u8,
    /// The last one of a frame.
    pub marker: bool,
    pub number: u16,
    pub time: u32,
    pub ssrc: u32,
    /// Bytes behind the head and its extensions, with the tag that seals them.
    pub payload: usize,
}

impl Head {
    /// Reads it (RFC 3550 §5.1).
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<12>()?;
        let sources = 4 * usize::from(fixed[0] & 0x0f);
        let extensions = match fixed[0] & 0x10 {
            0 => 0,
            _ => {
                let length = rest.get(sources + 2..sources + 4)?;
                4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]))
            }
        };
        Some(Head {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            number: u16::from_be_bytes([fixed[2], fixed[3]]),
            time: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: rest.len().checked_sub(sources + extensions)?,
        })
    }
}

/// What came of one track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Track {
    pub ssrc: u32,
    /// The first number, and the highest one with the times that it came round above its 16 bits.
    first: u64,
    newest: u64,
    received: u64,
    bytes: u64,
}

impl Track {
    /// Counts a packet. A source that changes begins anew.
    pub fn take(&mut self, head: Head) {
        if self.received == 0 || self.ssrc != head.ssrc {
            // Those that were overtaken by the first one lie below it.
            let first = u64::from(head.number) + (1 << 16);
            *self = Track { ssrc: head.ssrc, first, newest: first, ..Track::default() };
        }
        let step = head.number.wrapping_sub(self.newest as u16).cast_signed();
        let number = self.newest.saturating_add_signed(i64::from(step));
        self.first = self.first.min(number);
        self.newest = self.newest.max(number);
        self.received += 1;
        self.bytes += head.payload as u64;
    }

    /// The highest number as reports have it (RFC 3550 §6.4.1).
    pub fn highest(&self) -> u32 {
        // The times that it came round are counted from the first packet on.
        let rounds = (self.newest >> 16) - (self.first >> 16);
        (rounds as u32) << 16 | (self.newest as u32 & 0xffff)
    }

    /// What was sent of it, as far as is seen, and what came.
    pub fn counts(&self) -> Counts {
        let sent = if self.received == 0 { 0 } else { self.newest - self.first + 1 };
        Counts { sent, received: self.received, bytes: self.bytes }
    }
}

/// Packets of a track, and bytes of their payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    pub bytes: u64,
}

impl Counts {
    /// What came since then.
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            sent: self.sent.saturating_sub(before.sent),
            received: self.received.saturating_sub(before.received),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }

    /// Packets that did not come.
    pub fn lost(self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u16) -> Head {
        Head { payload_type: 96, marker: false, number, time: 0, ssrc: 7, payload: 100 }
    }

    #[test]
    fn heads_are_read_past_sources_and_extensions() {
        let mut packet = vec![0x91, 0x80 | 96, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        packet.extend([0; 4]);
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0x30, 0, 0]);
        packet.extend([9; 20]);
        let wanted = Head { payload_type: 96, marker: true, number: 0x102, time: 3, ssrc: 4, payload: 20 };
        assert_eq!(Head::read(&packet), Some(wanted));
        assert_eq!(Head::read(&packet[..18]), None);
        assert_eq!(Head::read(&packet[..11]), None);
        assert_eq!(sort(&packet), Sort::Rtp);
        assert_eq!(sort(&[0x81, 201, 0, 1]), Sort::Rtcp);
        assert_eq!(sort(&[0, 1, 0, 0]), Sort::Session);
        assert_eq!(sort(&[22, 254, 253]), Sort::Session);
    }

    #[test]
    fn what_is_missing_between_numbers_was_lost() {
        let mut track = Track::default();
        for number in [65_534, 65_535, 1, 0, 3] {
            track.take(head(number));
        }
        let counts = track.counts();
        assert_eq!((counts.sent, counts.received, counts.lost()), (6, 5, 1), "the one with number 2");
        assert_eq!(track.highest(), 1 << 16 | 3);
        track.take(head(4));
        assert_eq!(track.counts().since(counts), Counts { sent: 1, received: 1, bytes: 100 });
    }

    #[test]
    fn a_first_packet_may_have_been_overtaken_and_sources_may_change() {
        let mut track = Track::default();
        track.take(head(1));
        track.take(head(0));
        assert_eq!(track.counts(), Counts { sent: 2, received: 2, bytes: 200 });
        track.take(Head { ssrc: 8, ..head(900) });
        assert_eq!((track.counts().sent, track.highest()), (1, 900));
        assert_eq!(Track::default().counts(), Counts::default());
    }
}
