//! What the hub of a single node keeps over a restart: its groups with their newest messages, and what waits for users.
//! Connections and members are not kept: clients come back and say what they have.

use std::sync::Arc;

use room::Room;
use room::chat::{AWAY, Direct, Group, Message};
use room::{RoomId, UserId};
use store::{Answer, ChatEntry, ChatRecord, KeptGroup, Store};

use super::Hub;

/// Says when a message is kept.
pub(super) type Kept = Answer<'static, ()>;

impl Hub {
    /// The same hub, which notes what it says in this record.
    #[must_use]
    pub fn recorded(self, record: &Arc<dyn ChatRecord>) -> Self {
        Self { record: Some(Arc::downgrade(record)), ..self }
    }

    /// Brings back what was kept. Groups of rooms that are there live on with them; those that never had a room for as long
    /// as a group without members lives.
    ///
    /// # Errors
    /// The store is away.
    pub async fn restore(&self, store: &dyn Store) -> Result<(), store::Error> {
        let Some(record) = self.record() else { return Ok(()) };
        for KeptGroup { mut group, room } in record.groups() {
            let id = group.id().clone();
            let mut sanctions = None;
            let there = store.see(&id, &mut |room: &Room, _| sanctions = Some(room.sanctions.clone())).await?;
            if room && !there {
                // The room was closed while no node could end its group.
                self.note_end(&id);
                continue;
            }
            if there && !room {
                // The process ended between the room's beginning and the group's news of it.
                group.begin_with_room();
                drop(self.note(|| ChatEntry::Adopted { group: id.clone() }));
            }
            let owner = group.owner().cloned();
            self.groups.with_slot(&id, |slot| {
                if slot.group.is_none() {
                    slot.group = Some(group);
                    slot.room = there;
                }
            });
            if let Some(sanctions) = sanctions {
                self.hold(&id, &sanctions);
            }
            if !there {
                self.pollers.lock().watch_group(&id, owner.as_ref(), self.now());
            }
        }
        let now = self.now();
        for (message, handed) in record.mail().into_iter().filter(|(mail, _)| mail.at.plus(AWAY) > self.wall()) {
            let mut directory = self.part(&message.to).directory.lock();
            // What is too old, or too much, is let go as it would have been.
            if directory.accept(now, Direct::clone(&message)).is_ok() && handed {
                directory.handed(&message.to, message.seq);
            }
        }
        Ok(())
    }

    /// Notes something that no caller waits for.
    pub(super) fn note(&self, entry: impl FnOnce() -> ChatEntry) -> Option<Kept> {
        Some(self.record()?.note(entry(), self.wall()))
    }

    fn record(&self) -> Option<Arc<dyn ChatRecord>> {
        self.record.as_ref()?.upgrade()
    }

    pub(super) fn note_group(&self, group: &Group) {
        let entry = || ChatEntry::Group {
            id: group.id().clone(),
            epoch: group.epoch(),
            owner: group.owner().cloned(),
            name: group.name().to_owned(),
            last: group.last(),
        };
        drop(self.note(entry));
    }

    pub(super) fn note_message(&self, message: &Arc<Message>) -> Option<Kept> {
        self.note(|| ChatEntry::Message(message.clone()))
    }

    pub(super) fn note_end(&self, group: &RoomId) {
        drop(self.note(|| ChatEntry::Ended { group: group.clone() }));
    }

    pub(super) fn note_handed(&self, user: &UserId, seq: u64) {
        drop(self.note(|| ChatEntry::Handed { user: user.clone(), seq }));
    }
}

/// Waits until something is kept. Where the disk is away, chat goes on without: the store says so.
pub(super) async fn kept(kept: Option<Kept>) {
    if let Some(kept) = kept
        && let Err(error) = kept.await
    {
        tracing::debug!(%error, "a message is not on disk");
    }
}
