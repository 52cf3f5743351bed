//! Ids inside stream names: any id becomes characters that every URL, player and recorder takes, and
//! can be read back. Knows no rooms; two ids joined with `_` are the caller's business.
//!
//! Plain ids stay as they are, because first-generation servers put them into stream names so. The
//! escape is `~hh`: unreserved in URLs (RFC 3986), and not `.`, since mini-program clients cut the
//! stream id out of a URL at the first dot. Tencent's mixing takes only 80 bytes of `[A-Za-z0-9_]`:
//! names of streams there are escaped otherwise.

use crate::hex;
use std::borrow::Cow;

/// The longest stream name, in bytes (Tencent's limit; ours too).
pub const MAX_LEN: usize = 255;

/// The id itself when it holds only `[A-Za-z0-9_-]`; else every other byte as `~` and two lower-case
/// hexadecimal digits. Different ids always give different parts.
pub fn encode_part(id: &str) -> Cow<'_, str> {
    if id.bytes().all(is_plain) {
        return Cow::Borrowed(id);
    }
    let mut part = String::with_capacity(id.len() * 3);
    for byte in id.bytes() {
        if is_plain(byte) {
            part.push(char::from(byte));
        } else {
            part.push('~');
            hex::push(&mut part, byte);
        }
    }
    Cow::Owned(part)
}

/// The id that [`encode_part`] made this part from; `None` for anything it never makes.
pub fn decode_part(part: &str) -> Option<Cow<'_, str>> {
    if part.bytes().all(is_plain) {
        return Some(Cow::Borrowed(part));
    }
    let mut id = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if is_plain(byte) {
            id.push(byte);
        } else if byte == b'~' {
            let high = bytes.next()?;
            let low = bytes.next()?;
            id.push(hex::digit(high)? << 4 | hex::digit(low)?);
        } else {
            return None;
        }
    }
    let id = String::from_utf8(id).ok()?;
    // Only one spelling per id, or two streams could belong to one user.
    (encode_part(&id) == part).then_some(Cow::Owned(id))
}

/// Whether this may be a stream's name: 1 to [`MAX_LEN`] bytes of `[A-Za-z0-9_.~-]`, and no `..`, so
/// that it is safe in a path too.
pub fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_LEN
        && name.bytes().all(|c| is_plain(c) || matches!(c, b'.' | b'~'))
        && !name.starts_with('.')
        && !name.contains("..")
}

fn is_plain(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_ids_stay() {
        for id in ["", "room_253c12e3_4cb2", "oABC-x_Y9"] {
            assert_eq!(encode_part(id), id);
            assert_eq!(decode_part(id).unwrap(), id);
        }
    }

    #[test]
    fn other_bytes_are_escaped() {
        assert_eq!(encode_part("a.b~c/d?e"), "a~2eb~7ec~2fd~3fe");
        assert_eq!(encode_part("8525_m&interface=Evil#"), "8525_m~26interface~3dEvil~23");
        assert_eq!(encode_part("房"), "~e6~88~bf");
    }

    #[test]
    fn other_spellings_are_refused() {
        for part in ["~41", "~2E", "~", "~2", "~zz", "a.b", "a b", "~ff", "a%2e"] {
            assert_eq!(decode_part(part), None, "{part}");
        }
    }

    #[test]
    fn names() {
        for good in ["a", "5000_room1_user1", "a.b~2e-_", &"x".repeat(255)] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "a\\b", "a?b", "..", "a..b", ".hidden", "ä", "a%41", &"x".repeat(256)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(id in any::<String>()) {
            let part = encode_part(&id);
            prop_assert!(part.bytes().all(|c| is_plain(c) || c == b'~'));
            let back = decode_part(&part);
            prop_assert_eq!(back.as_deref(), Some(id.as_str()));
        }

        #[test]
        fn one_spelling_per_id(part in "[a-e0-9~_.-]{0,12}") {
            if let Some(id) = decode_part(&part) {
                let again = encode_part(&id);
                prop_assert_eq!(again.as_ref(), part.as_str());
            }
        }
    }
}
