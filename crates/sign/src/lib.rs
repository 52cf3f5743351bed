//! Signatures: bytes in, bytes out.
