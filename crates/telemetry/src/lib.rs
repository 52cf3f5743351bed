//! What a process reports of itself: traces, logs, counters, histograms and the form of the metrics page. Owns what is shown
//! of a URL, because all of them show URLs. Knows no rooms, no settings but its own and no other service: whoever sends
//! traces on is handed to it.

mod counter;
mod histogram;
pub mod logs;
pub mod page;
pub mod shown;
pub mod traces;

pub use counter::ShardedCounters;
pub use histogram::{BOUNDS, BUCKETS, Histogram, bucket, micros};
