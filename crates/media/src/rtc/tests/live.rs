//! The real server on loopback, with clients that come over UDP.
