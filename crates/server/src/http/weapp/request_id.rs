//! The number under which a request stands in the logs and in the answer to one that failed inside.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number under which a request stands in the logs.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(u16, u32);

impl RequestId {
    /// The next number; the first part differs between starts of the server.
    pub fn next() -> Self {
        static START: OnceLock<u16> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let start = *START.get_or_init(|| (sign::fresh_id() & 0xffff) as u16);
        Self(start, NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}-{:06x}", self.0, self.1)
    }
}
