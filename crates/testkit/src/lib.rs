//! What tests of several crates need: programs that end with the test, and Redis servers of a test's own.
//! Depends on none of our crates, so that all of them can use it.

// A test that cannot go on ends at once.
#![allow(clippy::unwrap_used)]

pub mod bounded;
pub mod redis;

pub use redis::RedisServer;
