//! STUN for clients that want to know their own address (RFC 8489): answers binding requests that name no session. Sends little
//! more than it gets, and only so many a second, so that nobody is flooded through us. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

/// Answers a second, at most.
const MOST: u32 = 1_000;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const MESSAGE_INTEGRITY: u16 = 0x0008;
const USERNAME: u16 = 0x0006;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const ICE_CONTROLLED: u16 = 0x8029;
/// RFC 8445 §5.1.2.1, of a candidate that the peer finds by our check.
const HOST_PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;
const FINGERPRINT: u16 = 0x8028;
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

/// Whether this is a check with which the peer settles on a path.
pub(super) fn nominates(request: &[u8]) -> bool {
    is_check(request) && attribute(&request[20..], USE_CANDIDATE).is_some()
}

/// Whether this is a check of a path, with a user name.
pub(super) fn is_check(request: &[u8]) -> bool {
    let head = request.get(..20).filter(|head| head[..2] == BINDING_REQUEST && head[4..8] == COOKIE);
    head.is_some() && has_username(&request[20..])
}

/// Whether this is a check that says nothing of its candidate's priority, which it must (RFC 8445 §7.1.1).
pub(super) fn lacks_priority(request: &[u8]) -> bool {
    is_check(request) && attribute(&request[20..], PRIORITY).is_none()
}

/// The same check with a priority. `None`: it is none that `password` signs.
pub(super) fn prioritised(request: &[u8], password: &str) -> Option<Vec<u8>> {
    let [a, b] = PRIORITY.to_be_bytes();
    let [c, d, e, f] = HOST_PRIORITY.to_be_bytes();
    with(request, &[a, b, 0, 4, c, d, e, f], password)
}

/// The same check as one that nominates its path. `None`: it is none that `password` signs.
///
/// An ICE-lite agent sends nothing but answers before the peer has nominated a path, and browsers take several round trips for
/// that while they already send DTLS over the path that they will take.
pub(super) fn nominating(request: &[u8], password: &str) -> Option<Vec<u8>> {
    let [a, b] = USE_CANDIDATE.to_be_bytes();
    with(request, &[a, b, 0, 0], password)
}

/// A check with one attribute more, signed again if it was signed.
fn with(request: &[u8], more: &[u8], password: &str) -> Option<Vec<u8>> {
    let at = 20 + attribute(request.get(20..)?, MESSAGE_INTEGRITY)?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let mut signed = request[..at].to_vec();
    set_length(&mut signed, 24)?;
    hmac::verify(&key, &signed, request.get(at + 4..at + 24)?).ok()?;
    signed.extend_from_slice(more);
    sign(&mut signed, password)?;
    Some(signed)
}

/// A check of ours, as the peer's ICE agent answers it: `user` is its fragment and ours with a colon between, `password` its own.
pub(super) fn check(transaction: [u8; 12], user: &str, password: &str) -> Option<Vec<u8>> {
    let mut check = [&BINDING_REQUEST[..], &[0, 0], &COOKIE, &transaction].concat();
    let mut attribute = |kind: u16, value: &[u8]| {
        check.extend(kind.to_be_bytes());
        check.extend(u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
        check.extend_from_slice(value);
        check.resize(check.len().next_multiple_of(4), 0);
    };
    attribute(USERNAME, user.as_bytes());
    attribute(PRIORITY, &HOST_PRIORITY.to_be_bytes());
    attribute(ICE_CONTROLLED, &transaction[..8]);
    sign(&mut check, password)?;
    Some(check)
}

/// The transaction that is answered, whatever the answer says.
pub(super) fn answered(message: &[u8]) -> Option<&[u8; 12]> {
    let head = message.get(..20).filter(|head| matches!(head[..2], [1, 1 | 0x11]) && head[4..8] == COOKIE)?;
    head[8..].first_chunk()
}

/// Adds MESSAGE-INTEGRITY and FINGERPRINT.
fn sign(message: &mut Vec<u8>, password: &str) -> Option<()> {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    set_length(message, 24)?;
    let tag = hmac::sign(&key, message);
    message.extend([MESSAGE_INTEGRITY.to_be_bytes(), [0, 20]].concat());
    message.extend_from_slice(tag.as_ref());
    set_length(message, 8)?;
    let print = crc32fast::hash(message) ^ 0x5354_554e;
    message.extend([FINGERPRINT.to_be_bytes(), [0, 4]].concat());
    message.extend(print.to_be_bytes());
    Some(())
}

/// Makes the head say that `more` bytes of attributes follow those that are there.
fn set_length(message: &mut [u8], more: usize) -> Option<()> {
    let length = u16::try_from(message.len().checked_sub(20)? + more).ok()?;
    message.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// Where an attribute begins.
fn attribute(attributes: &[u8], wanted: u16) -> Option<usize> {
    let mut at = 0;
    while let Some((head, _)) = attributes.get(at..)?.split_first_chunk::<4>() {
        if u16::from_be_bytes([head[0], head[1]]) == wanted {
            return Some(at);
        }
        at += 4 + usize::from(u16::from_be_bytes([head[2], head[3]])).next_multiple_of(4);
    }
    None
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

    /// RFC 5769 §2.1: a check with its signature.
    const CHECK: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
        \x00\x06\x00\x09evtj:h6vY\x20\x20\x20\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\
        \xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    #[test]
    fn a_check_becomes_one_that_nominates() {
        assert!(is_check(CHECK) && !nominates(CHECK));
        let made = nominating(CHECK, PASSWORD).unwrap();
        assert!(nominates(&made));
        assert_eq!(made.len(), CHECK.len() + 4);
        // What was made is signed as what came was, and ends in a fingerprint that is right.
        assert!(nominating(&made, PASSWORD).is_some());
        assert_eq!(
            crc32fast::hash(&made[..made.len() - 8]) ^ 0x5354_554e,
            u32::from_be_bytes(*made.last_chunk().unwrap())
        );
        assert_eq!(nominating(CHECK, "another"), None);
        let mut forged = CHECK.to_vec();
        forged[41] ^= 1;
        assert_eq!(nominating(&forged, PASSWORD), None);
        for n in 0..CHECK.len() - 8 {
            assert_eq!(nominating(&CHECK[..n], PASSWORD), None, "cut at {n}");
        }
    }

    #[test]
    fn a_check_without_a_priority_is_given_one() {
        assert!(!lacks_priority(CHECK));
        let at = 20 + attribute(&CHECK[20..], PRIORITY).unwrap();
        let mut plain = [&CHECK[..at], &CHECK[at + 8..CHECK.len() - 32]].concat();
        sign(&mut plain, PASSWORD).unwrap();
        assert!(lacks_priority(&plain));
        let made = prioritised(&plain, PASSWORD).unwrap();
        assert!(!lacks_priority(&made) && is_check(&made));
        assert!(nominating(&made, PASSWORD).is_some(), "signed again");
        assert_eq!(prioritised(&plain, "another"), None);
        assert!(!lacks_priority(&request(&[])), "no check at all");
    }

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
