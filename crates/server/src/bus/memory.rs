//! One node: what it says it hears itself.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Bus, Ear, Heard, MAX_MESSAGE, WAITING};
use crate::error::Error;
use crate::store::Answer;

/// The bus of one machine.
pub struct Memory {
    node: u64,
    ear: mpsc::Sender<Heard>,
}

impl Memory {
    /// A bus and its only listener.
    #[must_use]
    pub fn new() -> (Self, Ear) {
        let (sender, ear) = mpsc::channel(WAITING);
        (Self { node: sign::fresh_id(), ear: sender }, ear)
    }
}

impl Bus for Memory {
    fn node(&self) -> u64 {
        self.node
    }

    fn send<'a>(&'a self, topic: &'a str, body: Bytes) -> Answer<'a, ()> {
        Box::pin(async move {
            if body.len() > MAX_MESSAGE {
                return Err(Error::Unavailable("a message is too long for the bus".into()));
            }
            let said = Heard::Said { topic: topic.into(), from: self.node, body };
            self.ear.send(said).await.map_err(|_| Error::Unavailable("nobody listens any more".into()))
        })
    }
}
