//! Time passing over the chat: counts to publish, mail that is too old, long-polling clients that went away, groups
//! that no room wanted. Costs only for what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use room::chat::{ConnectionId, End, Refusal, Transport};
use room::{Millis, RoomId, UserId};
use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::close::Close;

/// How often is looked; what is due is at most this late.
const TICK: Duration = Duration::from_millis(200);
/// Milliseconds without a poll after which a long-polling client is gone.
pub const POLLER_AWAY: u64 = 45_000;
/// Milliseconds for which a group without room and without members is kept.
pub const ROOMLESS: u64 = 60_000;
/// Most groups that clients have made and no room stands behind.
const MAX_ROOMLESS: usize = 10_000;
/// Most of them that one user has made: others need some, too.
const MAX_OF_OWNER: usize = 16;
/// How long WebSockets may take to close when the server stops.
const DRAIN: Duration = Duration::from_secs(3);

/// When to look at whom.
#[derive(Default)]
pub(super) struct Pollers {
    due: BinaryHeap<Reverse<(Millis, ConnectionId)>>,
    /// With whose wish it was, if it was a client's.
    roomless: BinaryHeap<Reverse<(Millis, RoomId, Option<UserId>)>>,
    by_clients: HashMap<UserId, usize>,
    all_by_clients: usize,
}

impl Pollers {
    pub fn watch(&mut self, id: ConnectionId, now: Millis) {
        self.due.push(Reverse((now.plus(POLLER_AWAY), id)));
    }

    pub fn watch_group(&mut self, id: &RoomId, owner: Option<&UserId>, now: Millis) {
        if let Some(owner) = owner {
            *self.by_clients.entry(owner.clone()).or_default() += 1;
            self.all_by_clients += 1;
        }
        self.roomless.push(Reverse((now.plus(ROOMLESS), id.clone(), owner.cloned())));
    }

    /// Whether a client may have one more group without a room.
    ///
    /// # Errors
    /// [`Refusal::TooManyGroups`]: it has enough; [`Refusal::Overloaded`]: all together have.
    pub fn has_room_for(&self, owner: &UserId) -> Result<(), Refusal> {
        if self.by_clients.get(owner).is_some_and(|count| *count >= MAX_OF_OWNER) {
            return Err(Refusal::TooManyGroups { max: MAX_OF_OWNER });
        }
        if self.all_by_clients >= MAX_ROOMLESS { Err(Refusal::Overloaded) } else { Ok(()) }
    }

    fn poller(&mut self, now: Millis) -> Option<ConnectionId> {
        self.due.peek().filter(|Reverse((due, _))| *due <= now)?;
        self.due.pop().map(|Reverse((_, id))| id)
    }

    fn group(&mut self, now: Millis) -> Option<(RoomId, Option<UserId>)> {
        self.roomless.peek().filter(|Reverse((due, ..))| *due <= now)?;
        let Reverse((_, id, owner)) = self.roomless.pop()?;
        if let Some(owner) = &owner {
            self.all_by_clients -= 1;
            let count = self.by_clients.get_mut(owner).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if count == 0 {
                self.by_clients.remove(owner);
            }
        }
        Some((id, owner))
    }
}

impl Hub {
    /// Lets time pass until `stop`; then ends all connections and waits, bounded, until they are gone.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.tick();
        }
        self.end_all();
        let drained = async {
            while self.connections() > 0 {
                tick.tick().await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::info!(connections = self.connections(), "chat connections did not close in time");
        }
    }

    /// Does what is due now.
    pub fn tick(&self) {
        let now = self.now();
        loop {
            // Apart, so that the lock is not held while the group is worked on.
            let due = self.counts.lock().poll(now);
            let Some(group) = due else { break };
            self.tell_count(&group);
        }
        for part in &self.directory {
            part.directory.lock().expire(now);
        }
        loop {
            let due = self.pollers.lock().poller(now);
            let Some(id) = due else { break };
            self.look_at(id, now);
        }
        loop {
            let due = self.pollers.lock().group(now);
            let Some((id, owner)) = due else { break };
            self.look_at_group(&id, owner.as_ref(), now);
        }
    }

    fn look_at(&self, id: ConnectionId, now: Millis) {
        let Some(link) = self.link(id) else { return };
        let Some(inbox) = link.inbox() else { return };
        let seen = inbox.last_seen(now);
        if seen.plus(POLLER_AWAY) > now {
            self.pollers.lock().watch(id, seen);
        } else {
            self.disconnect(&link);
        }
    }

    fn look_at_group(&self, id: &RoomId, owner: Option<&UserId>, now: Millis) {
        if self.is_shared() {
            // A client's wish was only counted.
            if owner.is_none() && self.look_at_replica(id) {
                self.pollers.lock().watch_group(id, None, now);
            }
            return;
        }
        let keep = self.groups.with_slot(id, |slot| match &slot.group {
            Some(group) if !slot.room && group.users() > 0 => true,
            Some(_) if !slot.room => {
                // It has no member, so there is none to notify.
                slot.group = None;
                self.note_end(id);
                false
            }
            _ => false,
        });
        if keep {
            self.pollers.lock().watch_group(id, owner, now);
        }
    }

    /// Ends all connections, because the server stops, and lets no connection in any more.
    pub fn end_all(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let links: Vec<_> =
            self.links.iter().flat_map(|part| part.read().values().cloned().collect::<Vec<_>>()).collect();
        for link in links {
            link.end(Close::Stopping);
            if link.transport() == Transport::Poller {
                self.disconnect(&link);
            }
        }
    }

    /// Ends a group at an operator's wish.
    ///
    /// # Errors
    /// [`room::chat::Refusal::NoGroup`].
    pub fn revoke(&self, id: &RoomId) -> Result<(), room::chat::Refusal> {
        self.destroy(id, None, End::Revoked)
    }
}
