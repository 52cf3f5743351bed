//! Fresh random values from the system's generator: secrets for first start and ids of sessions.

use crate::{Secret, hex};

/// 32 random bytes as 64 lower-case hexadecimal digits: the form of a Tencent version-2 key, good as
/// any other shared secret here too.
pub fn generate_secret() -> Secret {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    Secret::new(hex::encode(&bytes))
}

/// A random 64-bit number, for the id of a session.
pub fn fresh_id() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

pub(crate) fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("aws-lc aborts the process rather than fail to give random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_64_digits_and_differ() {
        let one = generate_secret();
        let two = generate_secret();
        assert_eq!(one.expose().len(), 64);
        assert!(one.expose().bytes().all(|c| hex::digit(c).is_some()));
        assert_ne!(one, two);
        assert_ne!(fresh_id(), fresh_id());
    }
}
