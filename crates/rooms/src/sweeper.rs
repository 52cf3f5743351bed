//! Time passing over rooms: takes what is due from the store, asks the live service about silent
//! pushers, and lets the rules judge. Knows no rule itself.

use std::sync::Arc;
use std::time::Duration;

use room::sweep::{self, Pushing};
use room::{Room, RoomId, Rules, StreamId, UserId};

use crate::once::timed;
use store::Store;
use store::clock::Clock;
use store::error::Error;
use streams::live::Live;

/// How often the index is looked at; what is due is at most this late.
const TICK: Duration = Duration::from_millis(250);
/// Rooms taken from the index at a time.
const BATCH: usize = 256;

/// Sweeps rooms until it is dropped.
pub struct Sweeper {
    store: Arc<dyn Store>,
    live: Arc<dyn Live>,
    clock: Arc<dyn Clock>,
    rules: Arc<Rules>,
}

impl Sweeper {
    /// Puts the parts together.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, live: Arc<dyn Live>, clock: Arc<dyn Clock>, rules: Arc<Rules>) -> Self {
        Self { store, live, clock, rules }
    }

    /// Runs for ever.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tick.tick().await;
            match self.sweep().await {
                Ok(()) => failing = false,
                // Said once, not four times a second for as long as it lasts.
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "rooms cannot be swept; trying again");
                }
                Err(_) => {}
            }
        }
    }

    /// Deals with everything that is due now.
    ///
    /// # Errors
    /// The store is away.
    pub async fn sweep(&self) -> Result<(), Error> {
        loop {
            let due = self.store.due(self.clock.steady(), BATCH).await?;
            if due.is_empty() {
                return Ok(());
            }
            self.judge(&due).await?;
            // A great many rooms due at once must not keep calls waiting.
            tokio::task::yield_now().await;
        }
    }

    async fn judge(&self, due: &[RoomId]) -> Result<(), Error> {
        let now = self.clock.steady();
        let mut silent: Vec<(usize, UserId)> = Vec::new();
        let mut streams: Vec<StreamId> = Vec::new();
        for (at, id) in due.iter().enumerate() {
            let see = &mut |room: &Room, _| {
                for (user, stream) in sweep::silent(room, now, &self.rules) {
                    silent.push((at, user.clone()));
                    streams.push(stream.clone());
                }
            };
            self.store.see(id, see).await?;
        }
        let said = self.ask(&streams).await;
        let mut verdicts = vec![Vec::new(); due.len()];
        for ((at, user), pushing) in silent.into_iter().zip(said) {
            verdicts[at].push((user, pushing));
        }
        for (id, verdicts) in due.iter().zip(&verdicts) {
            let now = self.clock.steady();
            let at = self.clock.now();
            let sweep = &mut |slot: &mut Option<Room>| Ok(timed(sweep::sweep(slot, now, verdicts, &self.rules), at));
            self.store.update(id, sweep).await?;
        }
        Ok(())
    }

    async fn ask(&self, streams: &[StreamId]) -> Vec<Pushing> {
        if streams.is_empty() {
            return Vec::new();
        }
        match self.live.pushing(streams, self.clock.now()).await {
            Ok(said) if said.len() == streams.len() => said,
            Ok(_) => vec![Pushing::Unknown; streams.len()],
            Err(error) => {
                tracing::warn!(%error, "the live service could not be asked; nobody is removed for that");
                vec![Pushing::Unknown; streams.len()]
            }
        }
    }
}

#[cfg(test)]
mod tests;
