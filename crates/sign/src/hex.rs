//! Hexadecimal text: the few directions the signatures here need.

const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits per byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    append(&mut text, bytes);
    text
}

/// Appends two lower-case digits per byte.
pub(crate) fn append(text: &mut String, bytes: &[u8]) {
    let mut digits = [0; 64];
    for part in bytes.chunks(32) {
        for (pair, byte) in digits.chunks_exact_mut(2).zip(part) {
            pair[0] = LOWER[usize::from(byte >> 4)];
            pair[1] = LOWER[usize::from(byte & 15)];
        }
        text.push_str(std::str::from_utf8(&digits[..part.len() * 2]).expect("digits are ASCII"));
    }
}

/// Appends the two lower-case digits of one byte.
pub(crate) fn push(text: &mut String, byte: u8) {
    text.push(char::from(LOWER[usize::from(byte >> 4)]));
    text.push(char::from(LOWER[usize::from(byte & 15)]));
}

/// Reads exactly `N` bytes from `2 N` digits of either case.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The value of one digit of either case.
pub(crate) fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        assert_eq!(encode(&[0, 0x9f, 0xab]), "009fab");
        assert_eq!(encode(&[0x5c; 75]), "5c".repeat(75));
        assert_eq!(decode::<3>("009FaB"), Some([0, 0x9f, 0xab]));
        assert_eq!(decode::<3>("009fa"), None);
        assert_eq!(decode::<1>("+1"), None);
    }
}
