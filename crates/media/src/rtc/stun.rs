//! STUN for whoever wants to know its own address (RFC 8489): answers binding requests that name no session. Sends little
//! more than it gets, and only so many a second, so that nobody is flooded through us. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Answers a second, at most.
const MOST: u32 = 1_000;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
/// Longest request that is answered: what browsers send has at most a SOFTWARE and a FINGERPRINT.
const LONGEST: usize = 128;

/// The answer to a request without a user name that came from `source`; none to anything else.
pub(super) fn answer(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (head, attributes) = request.split_first_chunk::<20>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let fits = head[..2] == BINDING_REQUEST && head[4..8] == COOKIE && length == attributes.len();
    // With a user name it is an ICE check of a session that is not ours (any more): that is no question to answer.
    if !fits || request.len() > LONGEST || has_username(attributes) {
        return None;
    }
    let mut answer = Vec::with_capacity(44);
    answer.extend(BINDING_SUCCESS);
    answer.extend(if source.is_ipv4() { [0, 12] } else { [0, 24] });
    answer.extend(&head[4..20]);
    answer.extend(XOR_MAPPED_ADDRESS);
    answer.extend(if source.is_ipv4() { [0, 8, 0, 1] } else { [0, 20, 0, 2] });
    let xor = |bytes: &mut Vec<u8>, plain: &[u8]| {
        let mask = &head[4..20];
        bytes.extend(plain.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    };
    xor(&mut answer, &source.port().to_be_bytes());
    match source.ip() {
        IpAddr::V4(ip) => xor(&mut answer, &ip.octets()),
        IpAddr::V6(ip) => xor(&mut answer, &ip.octets()),
    }
    Some(answer)
}

fn has_username(mut attributes: &[u8]) -> bool {
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        if head[..2] == [0, 6] {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(rest) = rest.get(length.next_multiple_of(4)..) else { return false };
        attributes = rest;
    }
    false
}

/// How many answers are left in this second.
#[derive(Debug)]
pub(super) struct Budget {
    since: Instant,
    left: u32,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self { since: now, left: MOST }
    }

    /// Takes one.
    pub fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The request of RFC 5769 §2.1 has a user name; this is one without, with its transaction.
    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut request = vec![0, 1, 0, u8::try_from(attributes.len()).unwrap()];
        request.extend(COOKIE);
        request.extend([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        request.extend(attributes);
        request
    }

    #[test]
    fn addresses_are_told_as_rfc_5769_has_them() {
        let v4 = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[4..20], request(&[])[4..20]);
        assert_eq!(v4[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43], "§2.2");
        let v6 = answer(&request(&[]), "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()).unwrap();
        let told = [
            0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5,
            0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(v6[20..], told, "§2.3");
    }

    #[test]
    fn only_plain_questions_are_answered() {
        let from = "192.0.2.1:1".parse().unwrap();
        assert!(answer(&request(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]), from).is_some(), "SOFTWARE is fine");
        assert!(answer(&request(&[0, 6, 0, 3, b'a', b':', b'b', 0]), from).is_none(), "an ICE check");
        let mut response = request(&[]);
        response[0] = 1;
        assert!(answer(&response, from).is_none());
        assert!(answer(&request(&[])[..19], from).is_none());
        assert!(answer(&request(&[0; 120]), from).is_none(), "too long");
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert_eq!((0..5_000).filter(|_| budget.take(now)).count(), MOST as usize);
        assert!(budget.take(now + Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn answers_are_hardly_longer_than_questions(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if bytes.len() >= 20 {
                let length = u16::try_from(bytes.len() - 20).unwrap().to_be_bytes();
                bytes[..4].copy_from_slice(&[0, 1, length[0], length[1]]);
                bytes[4..8].copy_from_slice(&COOKIE);
            }
            if let Some(answer) = answer(&bytes, "192.0.2.1:1".parse().unwrap()) {
                prop_assert!(answer.len() <= bytes.len() + 12);
            }
        }
    }
}
