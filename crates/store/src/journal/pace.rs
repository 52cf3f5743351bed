//! What a disk is that takes its time by the runtime's clock and not by the machine's: for tests that wind the clock. The
//! journal's work on files is done by tasks then, and never by threads.

use std::pin::Pin;

/// Where a disk takes its time.
pub trait Pace: Send + Sync {
    /// As long as its next work takes.
    fn pause(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
