//! What nodes say to each other: each message reaches every node, the sender too, in one order for each topic. Chat
//! goes this way. One trait, one file per carrier; knows nothing of what is said.

mod memory;
mod redis;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::store::Answer;

pub use self::memory::Memory;
pub use self::redis::Redis;

/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Messages that wait for a listener; then the carrier waits with reading on.
pub const WAITING: usize = 1024;

/// What a node hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Said {
        /// What it is about.
        topic: Box<str>,
        /// The node that sent it.
        from: u64,
        /// The message.
        body: Bytes,
    },
    /// Messages may have been lost: this node was away for longer than they are kept.
    Missed,
}

/// Where a node hears it.
pub type Ear = mpsc::Receiver<Heard>;

/// Carries messages between nodes.
pub trait Bus: Send + Sync + 'static {
    /// This node's number, as others see it in [`Heard::Said`].
    fn node(&self) -> u64;

    /// Sends a message of at most [`MAX_MESSAGE`] bytes. Returns when it is certain to reach every node that listens, or
    /// will again within some minutes.
    fn send<'a>(&'a self, topic: &'a str, body: Bytes) -> Answer<'a, ()>;
}

#[cfg(test)]
mod tests;
