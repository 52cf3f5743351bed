//! Bounds of what a peer sends for its handshake.

/// Counts what a peer sends for its handshake. `rtc-dtls` keeps fragments and early records as long as a handshake is not at its
/// end, looks at all of them for each that comes, and puts them together by a call within a call.
#[derive(Default)]
pub(super) struct Guard {
    records: usize,
    bytes: usize,
}

impl Guard {
    /// Records of handshakes, with what is sent again over a bad network: a handshake has about ten.
    const MOST_RECORDS: usize = 256;
    const MOST_BYTES: usize = 128 << 10;
    /// Bytes of a record's head (RFC 6347 §4.1), and the type of handshake messages in it.
    const HEAD: usize = 13;
    const HANDSHAKE: u8 = 22;

    /// Whether a datagram may be looked at. What is no handshake is not counted once there are keys: it is dropped unless it
    /// is signed with them.
    pub fn lets_in(&mut self, mut datagram: &[u8], established: bool) -> bool {
        while let Some((head, rest)) = datagram.split_first_chunk::<{ Guard::HEAD }>() {
            let length = usize::from(u16::from_be_bytes([head[11], head[12]]));
            if !established || head[0] == Guard::HANDSHAKE {
                self.records += 1;
                self.bytes += length;
            }
            datagram = rest.get(length..).unwrap_or_default();
        }
        self.records <= Guard::MOST_RECORDS && self.bytes <= Guard::MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram of empty handshake records.
    fn records(n: usize, kind: u8, length: u16) -> Vec<u8> {
        let mut record = vec![kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend(length.to_be_bytes());
        record.extend(vec![0; usize::from(length)]);
        record.repeat(n)
    }

    #[test]
    fn a_handshake_has_bounds_and_what_is_no_handshake_has_none_after_it() {
        let mut guard = Guard::default();
        assert!((0..Guard::MOST_RECORDS / 8).all(|_| guard.lets_in(&records(8, 22, 0), false)));
        assert!(!guard.lets_in(&records(1, 22, 0), false));
        let mut large = Guard::default();
        assert!(!(0..200).all(|_| large.lets_in(&records(1, 23, 1_000), false)));
        let mut after = Guard::default();
        assert!((0..10_000).all(|_| after.lets_in(&records(1, 23, 100), true)));
        assert!(!(0..1_000).all(|_| after.lets_in(&records(1, 22, 0), true)));
        // Cut short, or none at all.
        assert!(Guard::default().lets_in(&[22; 5], false));
    }
}
