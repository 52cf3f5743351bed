//! One group: its members, its messages, its muted and banned users. Decides what is said and in which order.
//! Knows no receivers' queues: it hands out the message and the connections, and the caller carries.

mod shared;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counts::{Count, Tally};
use super::log::{CatchUp, Log, Since};
use super::message::{Content, Message, Notice, Said, System};
use super::refusal::bounded;
use super::roster::Roster;
use super::sanctions::Sanctions;
use super::{ConnectionId, Epoch, MAX_BODY, MAX_GROUP_NAME, MAX_LISTENERS, Refusal};
use crate::id::{RoomId, UserId};
use crate::time::Millis;

/// A chat group. Lives on without any member until it is destroyed.
#[derive(Clone, Debug)]
pub struct Group {
    id: RoomId,
    epoch: Epoch,
    owner: Option<UserId>,
    name: Box<str>,
    log: Log,
    roster: Roster,
    muted: Sanctions,
    banned: Sanctions,
    tally: Tally,
}

/// What a group is made from.
#[derive(Clone, Copy, Debug)]
pub struct NewGroup<'a> {
    /// Its id, the room's.
    pub id: &'a RoomId,
    /// Its life; on another node, the same as where it was made.
    pub epoch: Epoch,
    /// Who made it, if a user did.
    pub owner: Option<&'a UserId>,
    /// Its name, up to [`MAX_GROUP_NAME`] bytes.
    pub name: &'a str,
}

/// The group is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// It was there before, and nothing was changed.
    pub existed: bool,
    /// Who made it, if a user did.
    pub owner: Option<UserId>,
    /// Which life of it this is.
    pub epoch: Epoch,
}

/// How a group ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// With its room.
    Destroyed,
    /// By the operator.
    Revoked,
}

/// A group that is gone.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Its last message, for all that were in.
    pub message: Arc<Message>,
    /// Who was in, through which connections.
    pub members: Vec<(UserId, Vec<ConnectionId>)>,
}

/// A connection that is in the group now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// It was in before; the catch-up is given all the same.
    pub again: bool,
    /// Which life of the group this is.
    pub epoch: Epoch,
    /// Number of the newest message: the first one that comes has the next one.
    pub last: u64,
    /// Users that are in the group, this one included.
    pub users: usize,
    /// What was missed since the message that the client named; empty if it named none.
    pub catch_up: CatchUp,
    /// For [`Counts::mark`](super::Counts::mark).
    pub count_due: Option<Millis>,
}

/// A connection that is no longer in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quit {
    /// For [`Counts::mark`](super::Counts::mark).
    pub count_due: Option<Millis>,
}

/// A message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub seq: u64,
    /// Its time.
    pub at: Millis,
    /// The message, for each of [`Group::connections`]; none if the same was sent before and went out then.
    pub message: Option<Arc<Message>>,
}

/// Why a user was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutReason {
    /// And may come back.
    Kicked,
    /// And may not be in before then.
    Banned {
        /// The end of it; [`Millis::NEVER`] if there is none.
        until: Millis,
    },
}

/// A user that was removed from a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOut {
    /// Why; the connections are to be notified.
    pub reason: OutReason,
    /// Those that were in; none if the user was not.
    pub connections: Vec<ConnectionId>,
    /// For [`Counts::mark`](super::Counts::mark).
    pub count_due: Option<Millis>,
}

/// Makes a group in an empty slot. Making it twice is fine.
///
/// # Errors
/// [`Refusal::TooLong`].
pub fn create(slot: &mut Option<Group>, new: &NewGroup<'_>) -> Result<Created, Refusal> {
    let existed = slot.is_some();
    if !existed {
        *slot = Some(Group::new(new)?);
    }
    let group = slot.as_ref().ok_or(Refusal::NoGroup)?;
    Ok(Created { existed, owner: group.owner.clone(), epoch: group.epoch })
}

/// Ends the group in this slot, which is empty afterwards.
///
/// # Errors
/// [`Refusal::NoGroup`].
pub fn destroy(slot: &mut Option<Group>, now: Millis, by: Option<UserId>, end: End) -> Result<Closed, Refusal> {
    let mut group = slot.take().ok_or(Refusal::NoGroup)?;
    let notice = match end {
        End::Destroyed => Notice::Destroyed,
        End::Revoked => Notice::Revoked,
    };
    let message = group.log.append(&group.id, now, Content::System(System { by, notice }));
    Ok(Closed { message, members: group.roster.into_members().collect() })
}

impl Group {
    /// A group without members and messages.
    ///
    /// # Errors
    /// [`Refusal::TooLong`].
    pub fn new(new: &NewGroup<'_>) -> Result<Self, Refusal> {
        bounded("name", new.name, MAX_GROUP_NAME)?;
        Ok(Self {
            id: new.id.clone(),
            epoch: new.epoch,
            owner: new.owner.cloned(),
            name: new.name.into(),
            log: Log::default(),
            roster: Roster::default(),
            muted: Sanctions::default(),
            banned: Sanctions::default(),
            tally: Tally::default(),
        })
    }

    /// A room stands behind it from now on. What a user brought who made the group before the room is forgotten: its name, what
    /// was said, who was muted or kept out. Who is in stays, and numbers go on.
    pub fn begin_with_room(&mut self) {
        if self.owner.take().is_none() {
            return;
        }
        self.name = "".into();
        self.log.forget();
        self.lift_all();
    }

    /// Nobody is muted or kept out any more.
    pub fn lift_all(&mut self) {
        self.muted = Sanctions::default();
        self.banned = Sanctions::default();
    }

    /// Its id. Clones of it share the text: give these to [`Directory::enter`](super::Directory::enter).
    #[must_use]
    pub const fn id(&self) -> &RoomId {
        &self.id
    }

    /// Which life of the group this is.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who made it, if a user did.
    #[must_use]
    pub const fn owner(&self) -> Option<&UserId> {
        self.owner.as_ref()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of the newest message, 0 before the first.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.log.last()
    }

    /// The receivers of what is sent to the group, in no order.
    #[must_use]
    pub fn connections(&self) -> &[ConnectionId] {
        self.roster.connections()
    }

    /// How many users are in it.
    #[must_use]
    pub fn users(&self) -> usize {
        self.roster.users()
    }

    /// Whether a user is in it.
    #[must_use]
    pub fn has(&self, user: &UserId) -> bool {
        self.roster.has_user(user)
    }

    /// Puts a connection in, and says what it missed if `since` says what it has.
    ///
    /// # Errors
    /// [`Refusal::Banned`], [`Refusal::GroupFull`].
    pub fn join(
        &mut self,
        now: Millis,
        user: &UserId,
        connection: ConnectionId,
        since: Option<Since>,
    ) -> Result<Joined, Refusal> {
        if let Some(until) = self.banned.until(now, user) {
            return Err(Refusal::Banned { until });
        }
        let again = self.roster.has(user, connection);
        if !again && self.connections().len() >= MAX_LISTENERS {
            return Err(Refusal::GroupFull { max: MAX_LISTENERS });
        }
        let before = self.users();
        self.roster.add(user, connection);
        Ok(Joined {
            again,
            epoch: self.epoch,
            last: self.log.last(),
            users: self.users(),
            catch_up: self.catch_up(since),
            count_due: self.count_changed(now, before),
        })
    }

    /// Takes a connection out; none if it was not in.
    pub fn quit(&mut self, now: Millis, user: &UserId, connection: ConnectionId) -> Option<Quit> {
        let before = self.users();
        self.roster.remove(user, connection).then(|| Quit { count_due: self.count_changed(now, before) })
    }

    /// Takes a member's message. The same one again is answered with what it was given the first time,
    /// also if the sender may no longer send.
    ///
    /// # Errors
    /// [`Refusal::Banned`], [`Refusal::NotMember`], [`Refusal::Muted`].
    pub fn send(&mut self, now: Millis, said: Said) -> Result<Sent, Refusal> {
        let before = self.admit(now, &said)?;
        Ok(before.unwrap_or_else(|| self.post(now, said)))
    }

    /// Whether a member may say this; what it was given if the same was sent before.
    ///
    /// # Errors
    /// [`Refusal::Banned`], [`Refusal::NotMember`], [`Refusal::Muted`].
    pub fn admit(&self, now: Millis, said: &Said) -> Result<Option<Sent>, Refusal> {
        if let Some(sent) = self.sent_before(said) {
            return Ok(Some(sent));
        }
        if let Some(until) = self.banned.until(now, &said.from) {
            return Err(Refusal::Banned { until });
        }
        if !self.has(&said.from) {
            return Err(Refusal::NotMember);
        }
        if let Some(until) = self.muted.until(now, &said.from) {
            return Err(Refusal::Muted { until });
        }
        Ok(None)
    }

    /// Numbers a message of any sender.
    pub fn append(&mut self, now: Millis, content: Content) -> Arc<Message> {
        self.log.append(&self.id, now, content)
    }

    /// Takes a message of a sender who need not be in the group: the operator's, or the backend's.
    pub fn post(&mut self, now: Millis, said: Said) -> Sent {
        if let Some(sent) = self.sent_before(&said) {
            return sent;
        }
        let message = self.log.append(&self.id, now, Content::Said(said));
        Sent { seq: message.seq, at: now, message: Some(message) }
    }

    /// Sends a system notification with a text of the application's, in sequence with the messages.
    ///
    /// # Errors
    /// [`Refusal::TooLong`].
    pub fn notify(&mut self, now: Millis, by: Option<UserId>, text: &str) -> Result<Arc<Message>, Refusal> {
        bounded("notice", text, MAX_BODY)?;
        let system = System { by, notice: Notice::Custom(text.into()) };
        Ok(self.log.append(&self.id, now, Content::System(system)))
    }

    /// What a client misses that has everything up to `since`; nothing if it has named none.
    #[must_use]
    pub fn catch_up(&self, since: Option<Since>) -> CatchUp {
        match since {
            None => self.log.after(self.log.last()),
            Some(since) if since.epoch == self.epoch => self.log.after(since.seq),
            Some(_) => CatchUp { anew: true, ..self.log.after(0) },
        }
    }

    /// The newest `count` kept messages with a number below `before`, oldest first.
    #[must_use]
    pub fn history(&self, before: u64, count: usize) -> Vec<Arc<Message>> {
        self.log.page(before, count)
    }

    /// Lets a user send nothing until then; a time that is not in the future lifts it.
    ///
    /// # Errors
    /// [`Refusal::TooManySanctions`].
    pub fn mute(&mut self, now: Millis, user: &UserId, until: Millis) -> Result<(), Refusal> {
        self.muted.set(now, user, until)
    }

    /// Keeps a user out until then, and puts it out if it is in; a time that is not in the future lifts it.
    ///
    /// # Errors
    /// [`Refusal::TooManySanctions`].
    pub fn ban(&mut self, now: Millis, user: &UserId, until: Millis) -> Result<PutOut, Refusal> {
        self.banned.set(now, user, until)?;
        let reason = OutReason::Banned { until };
        if until <= now {
            return Ok(PutOut { reason, connections: Vec::new(), count_due: None });
        }
        Ok(self.put_out(now, user, reason))
    }

    /// As [`Group::ban`], for a user who is told that it was kicked: it may come back then.
    ///
    /// # Errors
    /// [`Refusal::TooManySanctions`].
    pub fn kick_until(&mut self, now: Millis, user: &UserId, until: Millis) -> Result<PutOut, Refusal> {
        self.banned.set(now, user, until)?;
        Ok(self.kick(now, user))
    }

    /// Puts a user out; it may come back.
    pub fn kick(&mut self, now: Millis, user: &UserId) -> PutOut {
        self.put_out(now, user, OutReason::Kicked)
    }

    /// Who may not send, and until when.
    pub fn muted(&self, now: Millis) -> impl Iterator<Item = (&UserId, Millis)> {
        self.muted.iter(now)
    }

    /// Who may not be in, and until when.
    pub fn banned(&self, now: Millis) -> impl Iterator<Item = (&UserId, Millis)> {
        self.banned.iter(now)
    }

    /// The count notice, if one is due; `elsewhere` are the users at other nodes.
    pub fn poll_count(&mut self, now: Millis, elsewhere: usize) -> Option<Count> {
        let users = self.users().saturating_add(elsewhere);
        self.tally.poll(now, users).map(|users| Count { group: self.id.clone(), users })
    }

    /// Messages kept for catching up, and their bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let all = self.history(u64::MAX, usize::MAX);
        (all.len(), all.iter().map(|m| m.size()).sum())
    }

    fn put_out(&mut self, now: Millis, user: &UserId, reason: OutReason) -> PutOut {
        let before = self.users();
        let connections = self.roster.remove_user(user);
        PutOut { reason, connections, count_due: self.count_changed(now, before) }
    }

    fn count_changed(&mut self, now: Millis, before: usize) -> Option<Millis> {
        if self.users() == before { None } else { self.tally.changed(now) }
    }

    fn sent_before(&self, said: &Said) -> Option<Sent> {
        let (seq, at) = self.log.sent_before(&said.from, said.random?)?;
        Some(Sent { seq, at, message: None })
    }
}
