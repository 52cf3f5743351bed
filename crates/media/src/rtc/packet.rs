//! What a datagram is, from its first bytes (RFC 7983), and which session a STUN request means. Pure; trusts nothing.

/// Kinds of datagrams on a WebRTC port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class<'a> {
    /// A STUN message with, if it names one, the receiver's part of the user name.
    Stun(Option<&'a str>),
    /// DTLS, RTP or RTCP: for the session that vouches for its source.
    Media,
    /// Nothing of ours.
    Garbage,
}

const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;

/// Says what `bytes` are.
pub(super) fn classify(bytes: &[u8]) -> Class<'_> {
    match bytes.first() {
        Some(0..=3) if bytes.len() >= 20 && bytes[4..8] == STUN_COOKIE => {
            let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            match bytes.get(20..20 + length) {
                Some(attributes) if length % 4 == 0 => Class::Stun(local_ufrag(attributes)),
                _ => Class::Garbage,
            }
        }
        Some(20..=63) if bytes.len() >= 13 => Class::Media,
        Some(128..=191) if bytes.len() >= 12 => Class::Media,
        _ => Class::Garbage,
    }
}

/// The part of USERNAME before the colon: the fragment that the receiver chose (RFC 8445 §7.2.2).
fn local_ufrag(mut attributes: &[u8]) -> Option<&str> {
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if kind == USERNAME {
            let (local, _) = std::str::from_utf8(rest.get(..length)?).ok()?.split_once(':')?;
            return (4..=256).contains(&local.len()).then_some(local);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stun(attributes: &[u8]) -> Vec<u8> {
        let mut m = vec![0, 1];
        m.extend((attributes.len() as u16).to_be_bytes());
        m.extend(STUN_COOKIE);
        m.extend([7; 12]);
        m.extend(attributes);
        m
    }

    #[test]
    fn tells_kinds_apart() {
        let named = stun(b"\x80\x22\0\x03abc\0\0\x06\0\x09ours:them\0\0\0");
        assert_eq!(classify(&named), Class::Stun(Some("ours")));
        assert_eq!(classify(&stun(b"")), Class::Stun(None));
        assert_eq!(classify(&stun(b"\0\x06\0\x40ours:them")), Class::Garbage, "not a multiple of four");
        assert_eq!(classify(&stun(b"\0\x06\0\x40ours:the")), Class::Stun(None), "longer than the message");
        assert_eq!(classify(&[22; 13]), Class::Media);
        assert_eq!(classify(&[0x80; 12]), Class::Media);
        for garbage in [&b""[..], b"\0", &[0x80], &[22; 12], b"GET / HTTP/1.1\r\n", &[0; 20], &[0xff; 100]] {
            assert_eq!(classify(garbage), Class::Garbage, "{garbage:?}");
        }
        let mut cut = named.clone();
        cut.truncate(30);
        assert_eq!(classify(&cut), Class::Garbage);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = classify(&bytes);
            let _ = classify(&stun(&bytes));
        }
    }
}
