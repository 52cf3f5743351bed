//! Where groups are: a slot for each, found in a divided table. A slot that left the table is marked, so that
//! a task that still holds it looks again.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::{Mutex, RwLock};
use room::RoomId;
use room::chat::{Group, Refusal};

use super::nodes::Replica;
use store::mends::{Mend, is_out};

const PARTS: usize = 16;

/// A place for a group.
#[derive(Default)]
pub(super) struct Slot {
    pub group: Option<Group>,
    /// A room stands behind it: it ends with the room only.
    pub room: bool,
    /// What is known of it as a replica, where several nodes have one.
    pub replica: Option<Box<Replica>>,
    /// Out of the table.
    gone: bool,
}

type Shared = Arc<Mutex<Slot>>;

#[derive(Default)]
pub(super) struct Groups {
    parts: [RwLock<HashMap<RoomId, Shared>>; PARTS],
    hash: DefaultHashBuilder,
}

impl Groups {
    fn part(&self, id: &RoomId) -> &RwLock<HashMap<RoomId, Shared>> {
        &self.parts[(self.hash.hash_one(id) % PARTS as u64) as usize]
    }

    /// Works on a group that is there.
    pub fn with<T>(&self, id: &RoomId, work: impl FnOnce(&mut Group) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.within(id, |slot| slot.group.as_mut().ok_or(Refusal::NoGroup).and_then(work))
    }

    /// Works on the slot of a group that is there.
    pub fn within<T>(&self, id: &RoomId, work: impl FnOnce(&mut Slot) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let slot = self.part(id).read().get(id).cloned().ok_or(Refusal::NoGroup)?;
        let mut slot = slot.lock();
        if slot.group.is_some() { work(&mut slot) } else { Err(Refusal::NoGroup) }
    }

    /// A room stands behind this group from now on, if it is there. Where none did before, it begins with the room, and `then` is
    /// done before anybody else works on it.
    pub fn adopt(&self, id: &RoomId, then: impl FnOnce()) {
        let slot = self.part(id).read().get(id).cloned();
        if let Some(slot) = slot {
            let mut slot = slot.lock();
            let Slot { group: Some(group), room, .. } = &mut *slot else { return };
            if !std::mem::replace(room, true) {
                if !is_out(Mend::GroupBeginsWithRoom) {
                    group.begin_with_room();
                }
                then();
            }
        }
    }

    /// Works on a slot, which is made if there is none and goes if it is empty afterwards.
    pub fn with_slot<T>(&self, id: &RoomId, work: impl FnOnce(&mut Slot) -> T) -> T {
        loop {
            let known = self.part(id).read().get(id).cloned();
            let slot = known.unwrap_or_else(|| self.part(id).write().entry(id.clone()).or_default().clone());
            let mut slot = slot.lock();
            if slot.gone {
                continue;
            }
            let done = work(&mut slot);
            if slot.group.is_none() && slot.replica.is_none() {
                slot.gone = true;
                self.part(id).write().remove(id);
            }
            return done;
        }
    }

    /// Whether there is this one.
    pub fn has(&self, id: &RoomId) -> bool {
        self.part(id).read().contains_key(id)
    }

    /// Works on a slot if there is one.
    pub fn look<T>(&self, id: &RoomId, work: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let known = self.part(id).read().contains_key(id);
        known.then(|| self.with_slot(id, work))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().len()).sum()
    }

    /// All ids, in no order.
    pub fn ids(&self) -> Vec<RoomId> {
        self.parts.iter().flat_map(|part| part.read().keys().cloned().collect::<Vec<_>>()).collect()
    }
}
