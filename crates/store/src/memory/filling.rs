//! Filling an empty store with rooms that were kept elsewhere. Each goes to its shard at once; what is sorted is sorted once, at
//! the end: a million rooms that come in no order cost more in sorted sets than in reading them.

use parking_lot::Mutex;
use room::{Kind, Millis, Room, RoomId, sweep};

use super::{Memory, Slot, shape};
use crate::counts::counted;
use crate::deadlines::Deadlines;
use crate::listing::Listing;

/// A store that is being filled. Several threads may put rooms in.
pub struct Filling {
    memory: Memory,
    unsorted: Mutex<Unsorted>,
}

#[derive(Default)]
struct Unsorted {
    listed: [Vec<(Millis, RoomId)>; Kind::ALL.len()],
    due: Vec<(Millis, RoomId)>,
}

impl Filling {
    /// Begins with an empty store.
    pub fn of(memory: Memory) -> Self {
        Self { memory, unsorted: Mutex::default() }
    }

    /// Puts rooms in, no two of which have the same id.
    pub fn put(&self, rooms: Vec<Room>) {
        let mut seen = Vec::with_capacity(rooms.len());
        for mut room in rooms {
            room.compact();
            let id = room.id.clone();
            let indexed = sweep::deadline(&room, &self.memory.rules);
            self.memory.running.change(None, counted(Some(&room)));
            seen.push((shape(&room), indexed, id.clone()));
            let slot = Box::new(Slot { room: Some(room), audience: None, indexed });
            let gave_way = self.memory.shard(&id).write().insert(id, slot);
            debug_assert!(gave_way.is_none(), "each id is there once");
        }
        let mut unsorted = self.unsorted.lock();
        for ((is_listed, kind, created), indexed, id) in seen {
            if is_listed && let Some(listed) = unsorted.listed.get_mut(Memory::place(kind)) {
                listed.push((created, id.clone()));
            }
            unsorted.due.push((indexed, id));
        }
    }

    /// The store with all of them.
    pub fn end(self) -> Memory {
        let Self { mut memory, unsorted } = self;
        let Unsorted { listed, due } = unsorted.into_inner();
        *memory.count.get_mut() = due.len();
        for (listing, listed) in memory.listings.iter_mut().zip(listed) {
            *listing.get_mut() = Listing::of(listed);
        }
        memory.deadlines = Deadlines::of(due);
        memory
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use room::pushers::{self, NewPusher};
    use room::{Rules, StreamId, UserId};

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
