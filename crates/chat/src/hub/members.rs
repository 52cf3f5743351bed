//! Groups: making and ending them, entering and leaving, what is said in them, and who may not.
//! Whose wish a sanction is, the caller has checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use room::chat::{
    self, CatchUp, Content, Created, End, Epoch, Group, Joined, MAX_BODY, Message, NewGroup, Notice, OutReason, PutOut,
    Refusal, Said, Sent, Since, System,
};
use room::presence::Sign;
use room::{Millis, RoomId, UserId};

use super::link::Link;
use super::nodes::{Passed, Submitted};
use super::{Counters, Hub};
use crate::bus::Op;
use crate::render;
use store::ChatEntry;

/// A group as one of its clients sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name, empty where none was given.
    pub name: Box<str>,
    /// Who made it, if a user did.
    pub owner: Option<UserId>,
    /// Users in it.
    pub users: usize,
    /// Number of its newest message.
    pub last: u64,
    /// For each of the users asked for, whether it is in.
    pub within: Vec<bool>,
}

/// A group for an operator to see.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its id.
    pub id: RoomId,
    /// Users in it, at any node.
    pub users: usize,
    /// Number of its newest message.
    pub last: u64,
    /// Its life: messages of another are numbered apart.
    pub epoch: Epoch,
    /// Who may not send, and until when.
    pub muted: Vec<(UserId, Millis)>,
    /// Who may not be in, and until when.
    pub banned: Vec<(UserId, Millis)>,
}

impl Hub {
    /// Makes a group; one that is there already is fine. Without a room behind it, it goes when it is empty for a while.
    ///
    /// # Errors
    /// [`Refusal::TooLong`]; [`Refusal::TooManyGroups`], [`Refusal::Overloaded`]: the owner, or all owners, have too many groups
    /// without rooms.
    pub fn create(&self, id: &RoomId, owner: Option<&UserId>, name: &str) -> Result<Created, Refusal> {
        static SALT: AtomicU16 = AtomicU16::new(0);
        let now = self.now();
        let epoch = Epoch::new(now, SALT.fetch_add(1, Ordering::Relaxed));
        let one_more = owner.map_or(Ok(()), |owner| self.pollers.lock().has_room_for(owner));
        self.groups.with_slot(id, |slot| {
            if slot.group.is_none() {
                one_more?;
            }
            let created = chat::create(&mut slot.group, &NewGroup { id, epoch, owner, name })?;
            if !created.existed {
                slot.group.iter().for_each(|group| self.note_group(group));
                self.pollers.lock().watch_group(id, owner, now);
            }
            Ok(created)
        })
    }

    /// A room stands behind this group, if it is still there: it lives as long as the room.
    pub fn adopt(&self, id: &RoomId) {
        self.groups.adopt(id, || drop(self.note(|| ChatEntry::Adopted { group: id.clone() })));
    }

    /// Ends a group: the last message goes to all that are in.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn destroy(&self, id: &RoomId, by: Option<&UserId>, end: End) -> Result<(), Refusal> {
        if self.is_shared() {
            self.submit_elsewhere(Op::End { group: id.clone(), at: self.wall(), by: by.cloned(), end });
            return Ok(());
        }
        self.destroy_here(id, by, end)
    }

    /// Ends a group at this node.
    pub(super) fn destroy_here(&self, id: &RoomId, by: Option<&UserId>, end: End) -> Result<(), Refusal> {
        self.groups.with_slot(id, |slot| {
            slot.replica = None;
            let closed = chat::destroy(&mut slot.group, self.wall(), by.cloned(), end)?;
            self.note_end(id);
            let frame = render::event(&closed.message);
            for (user, ids) in closed.members {
                let mut directory = self.part(&user).directory.lock();
                for id in &ids {
                    directory.leave(&user, *id, &closed.message.group);
                }
                drop(directory);
                // Alone, nothing follows from it: the room is gone with its audience.
                if self.is_shared() {
                    self.note_sign(id, &user, Sign::Quit);
                }
                for id in ids {
                    self.with_link(id, |link| match link.inbox() {
                        Some(inbox) => inbox.close(&closed.message),
                        None => link.message(&closed.message, &frame),
                    });
                }
            }
            Ok(())
        })
    }

    /// Puts a connection into a group. `acknowledge` makes the first frame; what was missed since `since` follows it,
    /// and then all that comes. `before` more messages than that are for clients that count on a few older ones.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::Banned`], [`Refusal::GroupFull`], [`Refusal::TooManyGroups`].
    pub fn join(
        &self,
        link: &Link,
        id: &RoomId,
        since: Option<Since>,
        before: usize,
        acknowledge: impl FnOnce(&Joined) -> Bytes,
    ) -> Result<(), Refusal> {
        self.groups.within(id, |slot| {
            let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
            let part = self.part(&link.user);
            let new = part.directory.lock().enter(&link.user, link.id, group.id())?;
            let mut joined = match group.join(self.now(), &link.user, link.id, since) {
                Ok(joined) => joined,
                Err(refusal) => {
                    if new {
                        part.directory.lock().leave(&link.user, link.id, id);
                    }
                    return Err(self.refused(refusal));
                }
            };
            joined.users = joined.users.saturating_add(slot.elsewhere());
            link.frame(|| acknowledge(&joined));
            let missed = match since {
                Some(_) => std::mem::take(&mut joined.catch_up).messages,
                None if before > 0 => {
                    slot.group.as_ref().map_or_else(Vec::new, |group| group.history(u64::MAX, before))
                }
                None => Vec::new(),
            };
            if let Some(group) = &slot.group {
                link.entered(group, missed);
            }
            self.note_sign(id, &link.user, Sign::Here);
            self.count(joined.count_due, id);
            Ok(())
        })
    }

    /// Takes a connection out of a group.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::NotMember`].
    pub fn quit(&self, link: &Link, id: &RoomId) -> Result<(), Refusal> {
        self.groups.with(id, |group| {
            let quit = group.quit(self.now(), &link.user, link.id).ok_or(Refusal::NotMember)?;
            self.part(&link.user).directory.lock().leave(&link.user, link.id, id);
            link.left(id);
            if !group.has(&link.user) {
                self.note_sign(id, &link.user, Sign::Quit);
            }
            self.count(quit.count_due, id);
            Ok(())
        })
    }

    /// The part of [`Hub::quit`] that is left after the directory has forgotten the connection.
    pub(super) fn take_out(&self, id: &RoomId, link: &Link) {
        // A group that is gone has removed all members itself.
        let _ = self.groups.with(id, |group| {
            if let Some(quit) = group.quit(self.now(), &link.user, link.id) {
                self.count(quit.count_due, id);
                if !group.has(&link.user) {
                    self.note_away(id, &link.user);
                }
            }
            Ok(())
        });
    }

    pub(super) fn count(&self, due: Option<Millis>, id: &RoomId) {
        if let Some(due) = due {
            self.counts.lock().mark(due, id);
        }
    }

    /// Sends a member's message to all that are in.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::NotMember`], [`Refusal::Muted`], [`Refusal::Banned`], [`Refusal::Overloaded`].
    pub async fn send(&self, id: &RoomId, said: Said) -> Result<Sent, Refusal> {
        let sent = self.groups.within(id, |slot| {
            let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
            match group.admit(self.now(), &said).map_err(|refusal| self.refused(refusal))? {
                Some(sent) => Ok(Submitted::Done(sent)),
                None => self.submit(slot, id, Content::Said(said), true),
            }
        });
        sent?.number().await
    }

    /// Whether a member may say this now; what it was given if the same was sent before.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::NotMember`], [`Refusal::Muted`], [`Refusal::Banned`].
    pub fn may_send(&self, id: &RoomId, said: &Said) -> Result<Option<Sent>, Refusal> {
        self.groups.with(id, |group| group.admit(self.now(), said)).map_err(|refusal| self.refused(refusal))
    }

    /// Sends a message of the operator's or the backend's, who need not be in.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::Overloaded`].
    pub async fn post(&self, id: &RoomId, said: Said) -> Result<Sent, Refusal> {
        if self.is_shared() {
            self.fetch(id).await?;
        }
        self.groups.within(id, |slot| self.submit(slot, id, Content::Said(said), false))?.number().await
    }

    /// Sends a system notification with a text of the application's.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::TooLong`], [`Refusal::Overloaded`].
    pub fn notify(&self, id: &RoomId, by: Option<UserId>, text: &str) -> Result<(), Refusal> {
        if text.len() > MAX_BODY {
            return Err(Refusal::TooLong { field: "notice", max: MAX_BODY });
        }
        let content = Content::System(System { by, notice: Notice::Custom(text.into()) });
        if self.is_shared() && self.groups.with(id, |_| Ok(())).is_err() {
            // It has no member at this node.
            self.submit_elsewhere(Op::Message { group: id.clone(), at: self.wall(), content });
            return Ok(());
        }
        self.groups.within(id, |slot| self.submit(slot, id, content, false)).map(drop)
    }

    /// Puts a message into every member's queue, while the group is locked: all get the same order.
    pub(super) fn fan_out(&self, group: &Group, message: &Arc<Message>) {
        let frame = render::event(message);
        let mut receivers = 0;
        for id in group.connections() {
            receivers += 1;
            self.with_link(*id, |link| link.message(message, &frame));
        }
        Counters::add(&self.counters.messages, 1);
        Counters::add(&self.counters.deliveries, receivers);
    }

    /// Tells WebSocket members how many users are in, if that is due; and other nodes.
    pub(super) fn tell_count(&self, id: &RoomId) {
        self.tell_users(id);
        let _ = self.groups.within(id, |slot| {
            let elsewhere = slot.elsewhere();
            let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
            if let Some(count) = group.poll_count(self.now(), elsewhere) {
                let frame = render::count_event(&count);
                for id in group.connections() {
                    self.with_link(*id, |link| link.frame(|| frame.clone()));
                }
            }
            Ok(())
        });
    }

    /// The newest `count` kept messages before number `before`, oldest first, for a member.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::NotMember`].
    pub fn history(&self, user: &UserId, id: &RoomId, before: u64, count: usize) -> Result<Vec<Arc<Message>>, Refusal> {
        self.groups.with(id, |group| {
            if !group.has(user) {
                return Err(Refusal::NotMember);
            }
            Ok(group.history(before, count))
        })
    }

    /// The newest `count` kept messages before number `before`, oldest first, for an operator.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn kept(&self, id: &RoomId, before: u64, count: usize) -> Result<Vec<Arc<Message>>, Refusal> {
        self.groups.with(id, |group| Ok(group.history(before, count)))
    }

    /// What a member misses who has everything up to `since`.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn catch_up(&self, id: &RoomId, since: Since) -> Result<CatchUp, Refusal> {
        self.groups.with(id, |group| Ok(group.catch_up(Some(since))))
    }

    /// Who made a group, if a user did.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn owner(&self, id: &RoomId) -> Result<Option<UserId>, Refusal> {
        self.groups.with(id, |group| Ok(group.owner().cloned()))
    }

    /// What a client may know of a group, and which of some users are in it.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn see(&self, id: &RoomId, users: &[UserId]) -> Result<Seen, Refusal> {
        self.groups.within(id, |slot| {
            let elsewhere = slot.elsewhere();
            let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
            Ok(Seen {
                name: group.name().into(),
                owner: group.owner().cloned(),
                users: group.users().saturating_add(elsewhere),
                last: group.last(),
                within: users.iter().map(|user| group.has(user)).collect(),
            })
        })
    }

    /// Lets a user send nothing for so long; 0 lifts it.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::TooManySanctions`], [`Refusal::Overloaded`].
    pub fn mute(&self, id: &RoomId, user: &UserId, ms: u64) -> Result<Passed, Refusal> {
        let until = self.until(ms);
        let here = || self.groups.with(id, |group| group.mute(self.now(), user, until));
        self.everywhere(id, until, here, || Op::Mute { group: id.clone(), user: user.clone(), until })
    }

    /// Keeps a user out for so long and puts it out if it is in; 0 lifts it.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::TooManySanctions`], [`Refusal::Overloaded`].
    pub fn ban(&self, id: &RoomId, user: &UserId, ms: u64) -> Result<Passed, Refusal> {
        let until = self.until(ms);
        let here = || self.keep_out_here(id, user, until, false);
        self.everywhere(id, until, here, || Op::Ban { group: id.clone(), user: user.clone(), until, kick: false })
    }

    /// Carries out a ban, or its end, whether or not it can be passed on now: all nodes follow bans by themselves. `kick`: whom it concerns
    /// is told that it was kicked.
    pub fn follow_ban(&self, id: &RoomId, user: &UserId, ms: u64, kick: bool) {
        let until = self.until(ms);
        let here = self.keep_out_here(id, user, until, kick);
        let _ = self.and_elsewhere(here, || Op::Ban { group: id.clone(), user: user.clone(), until, kick });
    }

    pub(super) fn keep_out_here(&self, id: &RoomId, user: &UserId, until: Millis, kick: bool) -> Result<(), Refusal> {
        self.groups.with(id, |group| {
            let now = self.now();
            let out = if kick { group.kick_until(now, user, until) } else { group.ban(now, user, until) }?;
            self.put_out(id, user, out);
            Ok(())
        })
    }

    /// Puts a user out; it may come back.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`], [`Refusal::NotMember`]; neither where it may be at another node.
    pub fn kick(&self, id: &RoomId, user: &UserId) -> Result<(), Refusal> {
        let here = self.kick_here(id, user);
        self.and_elsewhere(here, || Op::Kick { group: id.clone(), user: user.clone() })
    }

    pub(super) fn kick_here(&self, id: &RoomId, user: &UserId) -> Result<(), Refusal> {
        self.groups.with(id, |group| {
            let out = group.kick(self.now(), user);
            if out.connections.is_empty() {
                return Err(Refusal::NotMember);
            }
            self.put_out(id, user, out);
            Ok(())
        })
    }

    /// The end of a sanction that lasts so long from now; the beginning of time for none.
    fn until(&self, ms: u64) -> Millis {
        if ms == 0 { Millis(0) } else { self.now().plus(ms) }
    }

    fn put_out(&self, id: &RoomId, user: &UserId, out: PutOut) {
        let reason = match out.reason {
            OutReason::Banned { until } => OutReason::Banned { until: self.shown(until) },
            OutReason::Kicked => OutReason::Kicked,
        };
        let mut directory = self.part(user).directory.lock();
        for connection in &out.connections {
            directory.leave(user, *connection, id);
        }
        drop(directory);
        self.note_sign(id, user, Sign::Quit);
        for connection in out.connections {
            self.with_link(connection, |link| {
                link.frame(|| render::out_event(id, reason));
                link.left(id);
            });
        }
        self.count(out.count_due, id);
    }

    /// Shows a group to an operator.
    ///
    /// # Errors
    /// [`Refusal::NoGroup`].
    pub fn show(&self, id: &RoomId) -> Result<Shown, Refusal> {
        let now = self.now();
        let owned = |(user, until): (&UserId, Millis)| (user.clone(), self.shown(until));
        self.groups.within(id, |slot| {
            let elsewhere = slot.elsewhere();
            let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
            Ok(Shown {
                id: id.clone(),
                users: group.users().saturating_add(elsewhere),
                last: group.last(),
                epoch: group.epoch(),
                muted: group.muted(now).map(owned).collect(),
                banned: group.banned(now).map(owned).collect(),
            })
        })
    }

    /// Whether there is such a group.
    #[must_use]
    pub fn has(&self, id: &RoomId) -> bool {
        self.groups.has(id)
    }

    /// The ids of all groups, in no order.
    #[must_use]
    pub fn ids(&self) -> Vec<RoomId> {
        self.groups.ids()
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
