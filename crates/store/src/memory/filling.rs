//! Filling an empty store with rooms that were kept elsewhere. Each goes to its shard at once; what is sorted is sorted once, at
//! the end: a million rooms that come in no order cost more in sorted sets than in reading them.

use parking_lot::RwLock;
use room::{Kind, Room, sweep};

use super::{Memory, Slot, shape};
use crate::counts::counted;
use crate::deadlines::Deadlines;
use crate::listing::Listing;

impl Memory {
    fn each_slot(&self, mut see: impl FnMut(&Slot, &Room)) {
        for shard in self.shards.iter() {
            shard.read().slots().for_each(|slot| slot.room.iter().for_each(|room| see(slot, room)));
        }
    }
}

/// A store that is being filled. Several threads may put rooms in.
pub struct Filling(Memory);

impl Filling {
    /// Begins with an empty store.
    pub fn of(memory: Memory) -> Self {
        Self(memory)
    }

    /// Puts rooms in, no two of which have the same id.
    pub fn put(&self, rooms: Vec<Room>) {
        let Self(memory) = self;
        for mut room in rooms {
            room.compact();
            let id = room.id.clone();
            let key = memory.shards.key(&id);
            let indexed = sweep::deadline(&room, &memory.rules);
            memory.running.change(None, counted(Some(&room)));
            let slot = Box::new(Slot { room: Some(room), audience: None, indexed });
            memory.shards.insert(&mut memory.shards.of(key).write(), key, slot);
        }
    }

    /// The store with all of them.
    pub fn end(self) -> Memory {
        let Self(memory) = self;
        let count = memory.shards.iter().map(|shard| shard.read().len()).sum();
        // One after the other, and without growing: what they are made of is soon returned, and used again.
        let mut listed = Kind::ALL.map(|_| Vec::with_capacity(count));
        memory.each_slot(|_, room| {
            let (is_listed, kind, created) = shape(room);
            if is_listed && let Some(listed) = listed.get_mut(Memory::place(kind)) {
                listed.push((created, room.id.clone()));
            }
        });
        let listings = listed.map(|listed| RwLock::new(Listing::of(listed)));
        let mut due = Vec::with_capacity(count);
        memory.each_slot(|slot, room| due.push((slot.indexed, room.id.clone())));
        let deadlines = Deadlines::of(due);
        Memory { deadlines, listings, count: count.into(), ..memory }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use room::pushers::{self, NewPusher};
    use room::{Millis, RoomId, Rules, StreamId, UserId};

    use super::*;
    use crate::Store;

    fn active(n: u64) -> Room {
        let mut slot = None;
        let user = UserId::parse(&format!("user{n}")).unwrap();
        let stream = StreamId::parse(&format!("stream{n}")).unwrap();
        let id = RoomId::parse(&format!("room{n}")).unwrap();
        let kind = if n.is_multiple_of(2) { Kind::Multi } else { Kind::Live };
        let new =
            NewPusher { room: &id, kind, info: Some("info"), user: &user, name: "n", avatar: "a", stream: &stream };
        pushers::add_pusher(&mut slot, Millis(n), &new, &Rules::default()).unwrap();
        slot.unwrap()
    }

    #[tokio::test]
    async fn a_filled_store_is_as_one_that_was_told_room_by_room() {
        let rules = Arc::new(Rules::default());
        let filling = Filling::of(Memory::silent(rules.clone()));
        let told = Memory::silent(rules.clone());
        // In no order, more than a block of the list, some that nobody has entered.
        let mut rooms: Vec<Room> = (0..2_000).map(|n| n * 7 % 2_000).map(active).collect();
        rooms.extend(
            (0..10).map(|n| Room::empty(RoomId::parse(&format!("empty{n}")).unwrap(), Kind::Multi, "", Millis(n))),
        );
        for room in &rooms {
            told.restore(room.clone());
        }
        for some in rooms.chunks(300) {
            filling.put(some.to_vec());
        }
        let filled = filling.end();
        assert_eq!(filled.count.load(Ordering::Relaxed), 2_010);
        for kind in Kind::ALL {
            let all = |memory: &Memory| memory.listing(kind).read().page(0, 5_000);
            assert_eq!(all(&filled), all(&told));
        }
        let far = Millis(u64::MAX / 2);
        let all = |memory: &Memory| {
            let mut due = memory.deadlines.take(far, 5_000);
            due.sort();
            due
        };
        assert_eq!(all(&filled), all(&told));
        for room in &rooms {
            let mut same = false;
            filled.see(&room.id, &mut |found, _| same = found == room).await.unwrap();
            assert!(same, "{}", room.id);
        }
    }
}
