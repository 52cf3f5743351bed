//! What fuzzing reaches of this module: parsers that are nobody else's to call.

use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;

use super::h264::{Parameters, Picture, disposable, unit};
use super::offer::{self, Fragment, Identity, Way};

/// Sorts a datagram.
pub fn datagram(bytes: &[u8]) {
    super::packet::classify(bytes);
}

/// Answers an offer of either way and reads it as a fragment.
pub fn offer(text: &str) {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let address = || vec![std::net::SocketAddr::from(([127, 0, 0, 1], 8000))];
    let identity = IDENTITY.get_or_init(|| Identity::new(address(), address()));
    for way in [Way::In, Way::Out] {
        if let Ok(accepted) = offer::accept(text, way, &[], identity, Instant::now()) {
            assert!(accepted.video.is_some() || accepted.audio.is_some());
            let again = offer::with_credentials(&accepted.offer, "abcd", "0123456789012345678901");
            let _ = offer::accept(&again, way, &[], identity, Instant::now());
        }
    }
    let _ = Fragment::read(text);
}

/// Reads a configuration and makes payloads of what follows it.
pub fn h264(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (config, rest) = bytes.split_at(usize::from(first).min(bytes.len()));
    let parameters = Parameters::read(&Bytes::copy_from_slice(config)).unwrap_or_default();
    let taken = unit(rest);
    if let (Some(sps), Some(pps)) = (&taken.sps, &taken.pps)
        && let Some(written) = Parameters::write(sps, pps)
    {
        let read = Parameters::read(&written).map(|p| p.sets);
        assert_eq!(read, Some(vec![sps.clone(), pps.clone()]));
    }
    for payload in [rest, &taken.payload] {
        Picture::new(payload, true, &parameters);
        disposable(payload, parameters.length_size);
    }
}
