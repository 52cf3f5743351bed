//! What is due, and by which time: members' signs of life are kept and judged by one that all nodes share (`CLOCK` in
//! `scripts.rs`). This node's own may be behind it: its process or its machine stood still. What is read is put into this node's
//! time, and what is written into the shared one.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};
use room::{Millis, RoomId, sweep};

use super::keys::Keys;
use super::{ABREAST, Loaded, Redis, scripts};
use crate::error::Error;
use crate::mends::{Mend, is_out};

/// For how long a due room is left alone after it was handed out, in milliseconds.
const CLAIM: u64 = 1_000;
/// For how long a room that cannot be understood is left alone, in milliseconds.
const UNKNOWN: u64 = 60_000;
/// No node looked for what is due for this long, in milliseconds: so no heartbeat could be kept either.
const GAP: u64 = 3_000;
/// So long, in milliseconds, may pass between two looks at what is due anyway.
const TICKS: u64 = 1_000;

/// Where the time of signs of life is; nowhere, and each node's own counts, without that mend.
pub(super) fn times(partition: usize) -> String {
    if is_out(Mend::TimeIsShared) { Keys::life(partition) + ":none" } else { Keys::times(partition) }
}

impl Redis {
    /// How far the time that all nodes share is ahead of this node's, as it was at the last look at what is due.
    pub(super) fn ahead(&self, partition: usize) -> u64 {
        if is_out(Mend::TimeIsShared) { 0 } else { self.ahead[partition].load(Ordering::Relaxed) }
    }

    pub(super) async fn claim(&self, now: Millis, limit: usize) -> Result<Vec<RoomId>, Error> {
        if self.memory.is_time(now) {
            for partition in 0..self.keys.partitions() {
                self.memory.look(&self.link, &self.keys, partition).await?;
            }
        }
        let mut due = Vec::new();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for n in 0..self.keys.partitions() {
            let partition = first.wrapping_add(n) % self.keys.partitions();
            // Where heartbeats moved all that was claimed, the next ones are looked at: the index never falls behind.
            while due.len() < limit {
                let (claimed, any) = self.claim_some(partition, now, limit - due.len()).await?;
                let found = !claimed.is_empty();
                due.extend(claimed);
                if found || !any {
                    break;
                }
            }
        }
        Ok(due)
    }

    async fn claim_some(&self, partition: usize, now: Millis, limit: usize) -> Result<(Vec<RoomId>, bool), Error> {
        let mut script = scripts::DUE.prepare_invoke();
        script.key(Keys::deadlines(partition)).key(Keys::times(partition)).key(Keys::totals(partition));
        let timeout = self.rules.heartbeat_timeout;
        script.arg(now.0).arg(limit).arg(CLAIM).arg(GAP.min(timeout / 2).max(TICKS)).arg(timeout);
        type Due = (usize, Vec<String>, std::collections::HashMap<String, i64>, u64);
        let (rooms, claimed, totals, shared): Due =
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
        self.counts[partition].store(rooms, Ordering::Relaxed);
        self.known.take(partition, &totals);
        self.ahead[partition].store(Millis(shared).since(now), Ordering::Relaxed);
        let any = !claimed.is_empty();
        let ids: Vec<RoomId> = claimed.iter().filter_map(|id| RoomId::parse(id).ok()).collect();
        let claim = Millis(shared).plus(CLAIM);
        let looked = stream::iter(ids).map(async |id| self.is_due(id, partition, now, claim).await).buffered(ABREAST);
        let due: Vec<_> = looked.collect::<Vec<_>>().await.into_iter().collect::<Result<_, Error>>()?;
        Ok((due.into_iter().flatten().collect(), any))
    }

    async fn is_due(&self, id: RoomId, partition: usize, now: Millis, claim: Millis) -> Result<Option<RoomId>, Error> {
        let (deadline, ahead) = match self.load_known(&id).await? {
            Some(Loaded { room: Some(room), ahead, .. }) => (sweep::deadline(&room, &self.rules), ahead),
            Some(Loaded { room: None, .. }) => return Ok(None),
            None => (now.plus(UNKNOWN), self.ahead(partition)),
        };
        if deadline <= now {
            return Ok(Some(id));
        }
        let mut script = scripts::LATER.prepare_invoke();
        let deadline = deadline.plus(ahead).0.min(1 << 53);
        script.key(Keys::deadlines(partition)).arg(id.as_str()).arg(claim.0).arg(deadline);
        self.link.run(async |mut redis| script.invoke_async::<()>(&mut redis).await).await?;
        Ok(None)
    }
}
