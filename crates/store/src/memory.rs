//! Rooms in this process's memory: sharded by id, made for a million of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use room::{Audience, Event, Kind, Millis, Room, RoomId, Rules, StreamId, UserId, pushers, sweep};

use super::agreements::Agreements;
use super::ban::Kept;
use super::counts::{Running, Totals, counted};
use super::deadlines::Deadlines;
use super::listing::Listing;
use super::tables::Tables;
pub(super) use filling::Filling;
use shards::{Shards, Slot};

use super::{
    Agreement, Answer, Ban, Counters, Decide, EndedBefore, Logouts, Outbox, Presences, Probed, Row, See, Store, Table,
    Viewers,
};
use crate::error::Error;

mod filling;
mod shards;

/// For how long a due room is left alone after it was handed out, in milliseconds.
const CLAIM: u64 = 1_000;

/// The store of one machine. Lock order: shard, then listing or deadlines; never two shards.
pub struct Memory {
    shards: Shards,
    listings: [RwLock<Listing>; Kind::ALL.len()],
    deadlines: Deadlines,
    count: AtomicUsize,
    bans: Kept,
    agreements: Agreements,
    tables: Tables,
    running: Running,
    rules: Arc<Rules>,
    outbox: Option<Outbox>,
}

impl Memory {
    /// An empty store. Events go to the outbox in commit order.
    #[must_use]
    pub fn new(rules: Arc<Rules>, outbox: Outbox) -> Self {
        Self { outbox: Some(outbox), ..Self::silent(rules) }
    }

    /// An empty store whose owner takes the events of each commit itself ([`Memory::commit`]).
    pub(super) fn silent(rules: Arc<Rules>) -> Self {
        Self {
            shards: Shards::new(),
            listings: Default::default(),
            deadlines: Deadlines::default(),
            count: AtomicUsize::new(0),
            bans: Kept::default(),
            agreements: Agreements::default(),
            tables: Tables::default(),
            running: Running::default(),
            rules,
            outbox: None,
        }
    }

    /// Puts a room in as it is; one of the same id gives way.
    #[cfg(test)]
    pub(super) fn restore(&self, room: Room) {
        let id = room.id.clone();
        let put = self.commit(
            &id,
            &mut |slot| {
                *slot = Some(room.clone());
                Ok(Vec::new())
            },
            |_, _| (),
        );
        debug_assert!(put.is_ok(), "nothing refuses here");
    }

    /// The bans.
    pub(super) fn kept_bans(&self) -> &Kept {
        &self.bans
    }

    /// The same with these tables.
    pub(super) fn with_tables(self, tables: Tables) -> Self {
        Self { tables, ..self }
    }

    /// The tables.
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Shows every room, a few at a time under the lock, so `see` must not wait; how far it has come it says without one.
    /// Rooms that come or go meanwhile may be missed or shown.
    ///
    /// # Errors
    /// Those of the caller, which end it.
    pub(super) fn each<T, E>(
        &self,
        to: &mut T,
        mut see: impl FnMut(&mut T, &Room, Option<&Audience>) -> Result<(), E>,
        mut pause: impl FnMut(&mut T) -> Result<(), E>,
    ) -> Result<(), E> {
        for shard in self.shards.iter() {
            let ids: Vec<RoomId> = shard.read().ids().cloned().collect();
            for some in ids.chunks(128) {
                let shard = shard.read();
                for slot in some.iter().filter_map(|id| shard.get(self.shards.key(id))) {
                    if let Some(room) = &slot.room {
                        see(to, room, slot.audience.as_deref())?;
                    }
                }
                drop(shard);
                pause(to)?;
            }
        }
        Ok(())
    }

    /// Whether there is such a room.
    pub(super) fn holds(&self, id: &RoomId) -> bool {
        let key = self.shards.key(id);
        self.shards.of(key).read().get(key).is_some()
    }

    fn listing(&self, kind: Kind) -> &RwLock<Listing> {
        &self.listings[Self::place(kind)]
    }

    fn place(kind: Kind) -> usize {
        Kind::ALL.iter().position(|k| *k == kind).expect("ALL holds every kind")
    }

    /// Decides and commits. `take` gets what came of it under the room's lock: so what it does happens in the order
    /// of the room's commits. It must not wait.
    pub(super) fn commit<T>(
        &self,
        id: &RoomId,
        decide: &mut Decide<'_>,
        take: impl FnOnce(Option<&Room>, Vec<Event>) -> T,
    ) -> Result<T, Error> {
        let key = self.shards.key(id);
        let mut shard = self.shards.of(key).write();
        let mut vacant = None;
        let mut entry = shard.entry(key);
        let slot = entry.as_mut().map(|entry| &mut **entry.get_mut());
        let old = slot.as_ref().map(|slot| slot.indexed);
        let held = slot.map_or(&mut vacant, |slot| &mut slot.room);
        let before = held.as_ref().map(shape);
        let had = counted(held.as_ref());
        let decided = decide(held);
        let after = held.as_ref().map(shape);
        self.relist(id, before, after);
        self.running.change(had, counted(held.as_ref()));

        // A deadline that moved away is left where it stands in the index and corrected when it comes up.
        let deadline = held.as_ref().map(|room| sweep::deadline(room, &self.rules));
        let at = deadline.map(|new| old.map_or(new, |old| old.min(new)));
        self.deadlines.set(id, old, at);
        match (entry, at) {
            (Some(mut entry), Some(at)) => entry.get_mut().indexed = at,
            (Some(entry), None) => self.running.viewers_gone(viewers_of(&entry.remove().0)),
            (None, Some(indexed)) => {
                let slot = Box::new(Slot { room: vacant, audience: None, indexed });
                self.shards.insert(&mut shard, key, slot);
            }
            (None, None) => {}
        }
        let events = decided?;
        crate::store::note_trace(&events);
        Ok(take(shard.get(key).and_then(|slot| slot.room.as_ref()), events))
    }

    fn send(&self, events: Vec<Event>) {
        if let Some(outbox) = self.outbox.as_ref().filter(|_| !events.is_empty()) {
            // A closed outbox means that the server is going down.
            let _ = outbox.send(events);
        }
    }

    fn relist(&self, id: &RoomId, before: Option<Shape>, after: Option<Shape>) {
        if before == after {
            return;
        }
        if let Some((true, kind, created)) = before {
            self.listing(kind).write().remove(created, id);
        }
        if let Some((true, kind, created)) = after {
            self.listing(kind).write().insert(created, id);
        }
        match (before, after) {
            (None, Some(_)) => _ = self.count.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => _ = self.count.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    fn claim(&self, now: Millis, limit: usize) -> Vec<RoomId> {
        let mut due = Vec::new();
        // Where heartbeats moved all that was taken, the next ones are looked at: the index never falls behind.
        while due.is_empty() && self.claim_some(now, limit, &mut due) {}
        due
    }

    /// Looks at the first `limit` of the index. Says whether there were any.
    fn claim_some(&self, now: Millis, limit: usize, due: &mut Vec<RoomId>) -> bool {
        let taken = self.deadlines.take(now, limit);
        let any = !taken.is_empty();
        for (at, id) in taken {
            let key = self.shards.key(&id);
            let mut shard = self.shards.of(key).write();
            // Gone or moved while the index was not locked: what did it has set the index right.
            let Some(slot) = shard.get_mut(key).filter(|slot| slot.indexed == at) else { continue };
            let Some(room) = &slot.room else { continue };
            let deadline = sweep::deadline(room, &self.rules);
            let is_due = deadline <= now;
            slot.indexed = if is_due { now.plus(CLAIM) } else { deadline };
            self.deadlines.set(&id, None, Some(slot.indexed));
            drop(shard);
            if is_due {
                due.push(id);
            }
        }
        any
    }

    fn with_audience<T>(&self, id: &RoomId, run: impl FnOnce(&mut Audience) -> T) -> Result<T, Error> {
        let key = self.shards.key(id);
        let mut shard = self.shards.of(key).write();
        let active = |slot: &&mut Slot| slot.room.as_ref().is_some_and(Room::is_active);
        let slot = shard.get_mut(key).filter(active).ok_or(room::Refusal::NoRoom)?;
        Ok(run(slot.audience.get_or_insert_default()))
    }

    /// Counts a viewer. `changed` is called under the room's lock if that changes anything; it must not wait.
    pub(super) fn enter(
        &self,
        id: &RoomId,
        user: &UserId,
        info: Option<&str>,
        changed: impl FnOnce(),
    ) -> Result<bool, Error> {
        self.with_audience(id, |audience| {
            let Some(info) = info else {
                let new = audience.count_only(user);
                self.running.viewers_came(new.into());
                if new {
                    changed();
                }
                return Ok(new);
            };
            let max = self.rules.max_audiences;
            let known = audience.knows(user, info, max);
            let before = audience.count();
            let added = audience.add(user, info, max);
            self.running.viewers_came(audience.count() - before);
            if !known && !matches!(added, Err(room::Refusal::TooLong { .. })) {
                changed();
            }
            Ok::<_, Error>(added?)
        })?
    }

    /// Takes a viewer out, and says whether it was in. `changed` as for [`Memory::enter`].
    pub(super) fn exit(&self, id: &RoomId, user: &UserId, changed: impl FnOnce()) -> bool {
        let exit = |audience: &mut Audience| {
            let was = audience.delete(user);
            self.running.viewers_gone(was.into());
            if was {
                changed();
            }
            was
        };
        self.with_audience(id, exit).unwrap_or(false)
    }

    /// Gives a room its audience of before.
    pub(super) fn restore_audience(&self, id: &RoomId, audience: Audience) {
        let count = audience.count();
        let restored = self.with_audience(id, |there| *there = audience);
        self.running.viewers_came(restored.map_or(0, |()| count));
    }
}

/// What decides whether and where a room is listed: active, kind, age.
type Shape = (bool, Kind, Millis);

fn shape(room: &Room) -> Shape {
    (room.is_active(), room.kind, room.created)
}

fn viewers_of(slot: &Slot) -> usize {
    slot.audience.as_ref().map_or(0, |a| a.count())
}

/// Memory never waits: the work is done when the future is first asked.
macro_rules! at_once {
    ($work:expr) => {
        Box::pin(async move { $work })
    };
}

impl Store for Memory {
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        at_once!(self.commit(id, decide, |_, events| self.send(events)))
    }

    fn make<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        self.update(id, decide)
    }

    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        self.update(id, decide)
    }

    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> Answer<'a, bool> {
        at_once!({
            let key = self.shards.key(id);
            let shard = self.shards.of(key).read();
            let found = shard.get(key).and_then(|slot| Some((slot.room.as_ref()?, viewers_of(slot))));
            if let Some((room, viewers)) = found {
                see(room, viewers);
            }
            Ok(found.is_some())
        })
    }

    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> Answer<'a, i64> {
        at_once!({
            let key = self.shards.key(id);
            let mut shard = self.shards.of(key).write();
            Ok(pushers::touch(shard.get_mut(key).and_then(|slot| slot.room.as_mut()), now, kind, user)?)
        })
    }

    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> Answer<'a, ()> {
        at_once!({
            let page = self.listing(kind).read().page(index, count);
            for id in page {
                let key = self.shards.key(&id);
                let shard = self.shards.of(key).read();
                // Between the index and here the room may have closed: then it is no longer listed.
                let found = shard.get(key).and_then(|slot| Some((slot.room.as_ref()?, viewers_of(slot))));
                if let Some((room, viewers)) = found.filter(|(room, _)| room.is_active()) {
                    see(room, viewers);
                }
            }
            Ok(())
        })
    }

    fn due(&self, now: Millis, limit: usize) -> Answer<'_, Vec<RoomId>> {
        at_once!(Ok(self.claim(now, limit)))
    }

    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: Option<&'a str>) -> Answer<'a, bool> {
        at_once!(self.enter(id, user, info, || ()))
    }

    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> Answer<'a, bool> {
        at_once!(Ok(self.exit(id, user, || ())))
    }

    fn watching(&self) -> Vec<(RoomId, UserId)> {
        let mut all = Vec::new();
        let see = |all: &mut Vec<_>, room: &Room, audience: Option<&Audience>| {
            all.extend(audience.into_iter().flat_map(Audience::users).map(|user| (room.id.clone(), user.clone())));
            Ok::<_, Error>(())
        };
        // Nothing here fails.
        let _ = self.each(&mut all, see, |_| Ok(()));
        all
    }

    fn viewers<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Viewers> {
        at_once!({
            let key = self.shards.key(id);
            let shard = self.shards.of(key).read();
            let audience = shard.get(key).and_then(|slot| slot.audience.as_ref());
            Ok(audience.map_or_else(Viewers::default, |a| Viewers { count: a.count(), listed: a.listed().to_vec() }))
        })
    }

    fn ids(&self) -> Answer<'_, Vec<RoomId>> {
        at_once!(Ok(self.shards.iter().flat_map(|shard| shard.read().ids().cloned().collect::<Vec<_>>()).collect()))
    }

    fn revoke(&self, _: u64, _: Millis, _: Millis) -> Answer<'_, ()> {
        // The sessions of this process know it themselves, and it ends with them.
        at_once!(Ok(()))
    }

    fn revoke_before<'a>(&'a self, _: &'a EndedBefore, _: Millis) -> Answer<'a, ()> {
        at_once!(Ok(()))
    }

    fn revoked(&self, _: Millis) -> Answer<'_, Logouts> {
        at_once!(Ok(Logouts::default()))
    }

    fn ban<'a>(&'a self, ban: &'a Ban, now: Millis) -> Answer<'a, ()> {
        at_once!({
            self.bans.put(ban, now, || ());
            Ok(())
        })
    }

    fn bans(&self, _: Millis) -> Answer<'_, Vec<Ban>> {
        at_once!(Ok(self.bans.all()))
    }

    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, now: Millis) -> Answer<'a, ()> {
        at_once!({
            self.agreements.set(stream, to, now);
            Ok(())
        })
    }

    fn agreement<'a>(&'a self, stream: &'a StreamId, now: Millis) -> Answer<'a, Option<Agreement>> {
        at_once!(Ok(self.agreements.get(stream, now)))
    }

    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> Answer<'a, bool> {
        at_once!(Ok(self.tables.put(table, row, replace, now, || ()).is_some()))
    }

    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> Answer<'a, ()> {
        at_once!({
            self.tables.take(table, key, || ());
            Ok(())
        })
    }

    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> Answer<'a, Option<Row>> {
        at_once!(Ok(self.tables.get(table, key, now)))
    }

    fn rows<'a>(&'a self, table: Table, below: Option<&'a str>, count: usize, now: Millis) -> Answer<'a, Vec<Row>> {
        at_once!(Ok(self.tables.below(table, below, count, now)))
    }

    fn presences(&self) -> Option<&dyn Presences> {
        None
    }

    fn probe(&self) -> Probed<'_> {
        Box::pin(async { Ok(()) })
    }

    fn counters(&self) -> Option<&Counters> {
        None
    }

    fn totals(&self) -> Option<Totals> {
        Some(self.running.read())
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        crate::contract::contract(async |rules, outbox| Arc::new(Memory::new(rules, outbox))).await;
    }
}
