//! Whether a node is gone: so surely that what it had may be taken at once. One that is only slow keeps what it has.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::places::{self, Place};
use super::{Nodes, TELL};

/// How long a node may take to take a connection: its kernel does.
const PROBE: Duration = Duration::from_millis(500);

/// What came of a connection to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// It is there.
    Answers,
    /// Its machine says that it is not.
    Refused,
    /// Nothing.
    Silence,
}

async fn probe(address: &str) -> Probe {
    match timeout(PROBE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Probe::Answers,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Probe::Refused,
        Ok(Err(_)) | Err(_) => Probe::Silence,
    }
}

impl Nodes {
    /// Whether nothing listens where a node was, or another node does by now.
    pub(super) async fn is_gone(&self, place: &Place) -> bool {
        self.look(place).await.1
    }

    /// The same of a node that said so long ago that it has a stream: one that neither answers nor says anything is lost,
    /// too.
    pub(super) async fn is_lost(&self, place: &Place, told: Duration) -> bool {
        let (probe, gone) = self.look(place).await;
        gone || (probe == Some(Probe::Silence) && told > TELL * 5 / 2)
    }

    async fn look(&self, place: &Place) -> (Option<Probe>, bool) {
        // One that others do not reach cannot be looked at.
        if place.address.is_empty() {
            return (None, false);
        }
        let other = places::resident(&self.link, &place.address).await;
        if other.is_ok_and(|other| other.is_some_and(|other| other != place.node)) {
            return (None, true);
        }
        let probe = probe(&place.address).await;
        (Some(probe), probe == Probe::Refused)
    }

    /// Says that this node is at its address.
    pub(super) async fn settle(self: &Arc<Self>, settled: &mut bool) {
        if self.me.address.is_empty() {
            return;
        }
        match places::settle(&self.link, &self.me).await {
            Ok(Some(other)) if other != self.me.node && *settled => {
                let address = &self.me.address;
                tracing::error!(address, "another node says that it is here: nodes.address must be each node's own");
            }
            Ok(_) => *settled = true,
            // Said the next time.
            Err(_) => {}
        }
    }
}
