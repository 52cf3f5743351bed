//! Viewers who are gone from the embedded chat without a word. They have no heartbeat: what is known of them is their connection to
//! the room's chat.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Rooms;
use store::error::Error;

/// Milliseconds for which a viewer whose chat broke may come back: an app in the background, a tunnel.
pub const AWAY: u64 = 180_000;
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Rooms {
    /// Takes viewers out whose chat broke and did not come back, for as long as the server runs.
    pub async fn let_absent_go(self: Arc<Self>, hub: Arc<chat::Hub>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.take_absent_out(&hub).await {
                tracing::warn!(%error, "viewers that are gone could not be taken out");
            }
        }
    }

    /// Takes those out who are away for so long now.
    ///
    /// # Errors
    /// The store is away.
    pub async fn take_absent_out(&self, hub: &chat::Hub) -> Result<(), Error> {
        let mut failed = None;
        for (room, user) in hub.absent_for(AWAY) {
            failed = self.delete_viewer(&room, &user).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }
}
