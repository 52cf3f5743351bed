//! Where rooms are: in shards with a lock each, found by their ids. An id stands in its room alone and not in a key beside it, which
//! a million rooms would pay for.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{HashTable, OccupiedEntry};
use parking_lot::RwLock;
use room::{Audience, Millis, Room, RoomId};

const SHARDS: usize = 64;

/// A room, and what is kept beside it.
pub(super) struct Slot {
    /// `Some`, but for the moment of a decision.
    pub room: Option<Room>,
    pub audience: Option<Box<Audience>>,
    /// The time under which the room stands in the index: never later than its true deadline.
    pub indexed: Millis,
}

/// Some of the rooms.
#[derive(Default)]
pub(super) struct Shard(HashTable<Box<Slot>>);

/// All of them.
pub(super) struct Shards {
    shards: Box<[RwLock<Shard>]>,
    hasher: DefaultHashBuilder,
}

/// A room's id, and its hash, which is reckoned once.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    id: &'a RoomId,
    hash: u64,
}

impl Key<'_> {
    fn is(&self, slot: &Slot) -> bool {
        slot.room.as_ref().is_some_and(|room| room.id == *self.id)
    }
}

impl Shards {
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), hasher: DefaultHashBuilder::default() }
    }

    pub fn key<'a>(&self, id: &'a RoomId) -> Key<'a> {
        Key { id, hash: self.hasher.hash_one(id) }
    }

    /// The shard in which the room is, or would be.
    pub fn of(&self, key: Key<'_>) -> &RwLock<Shard> {
        // The table inside uses the lowest bits and the highest.
        &self.shards[(key.hash >> 32) as usize % SHARDS]
    }

    pub fn iter(&self) -> impl Iterator<Item = &RwLock<Shard>> {
        self.shards.iter()
    }

    /// Puts a room in whose id is not there.
    pub fn insert(&self, shard: &mut Shard, key: Key<'_>, slot: Box<Slot>) {
        debug_assert!(shard.get(key).is_none(), "each id is there once");
        shard
            .0
            .insert_unique(key.hash, slot, |slot| slot.room.as_ref().map_or(0, |room| self.hasher.hash_one(&room.id)));
    }
}

impl Shard {
    pub fn get(&self, key: Key<'_>) -> Option<&Slot> {
        self.0.find(key.hash, |slot| key.is(slot)).map(|slot| &**slot)
    }

    pub fn get_mut(&mut self, key: Key<'_>) -> Option<&mut Slot> {
        self.0.find_mut(key.hash, |slot| key.is(slot)).map(|slot| &mut **slot)
    }

    /// The room's place in the table, which stays the same while the room is decided about.
    pub fn entry(&mut self, key: Key<'_>) -> Option<OccupiedEntry<'_, Box<Slot>>> {
        self.0.find_entry(key.hash, |slot| key.is(slot)).ok()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().map(|slot| &**slot)
    }

    pub fn ids(&self) -> impl Iterator<Item = &RoomId> {
        self.slots().filter_map(|slot| slot.room.as_ref()).map(|room| &room.id)
    }
}
