//! Who is connected, in which groups each connection is, nick names, and point-to-point messages.
//! Everything stands under a user, so that a server may divide users among several directories.
//! Knows no group's members and no receivers' queues.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use super::mailbox::Mailbox;
use super::message::{Direct, Nick, Said};
use super::{AWAY, ConnectionId, MAX_ALL_MAIL_BYTES, MAX_CONNECTIONS, MAX_GROUPS, Refusal, Transport};
use crate::id::{RoomId, UserId};
use crate::time::Millis;

#[derive(Clone, Debug)]
struct Connection {
    id: ConnectionId,
    transport: Transport,
    groups: Vec<RoomId>,
}

/// What most listeners never have, apart so that they stay small.
#[derive(Clone, Debug, Default)]
struct More {
    nick: Option<Nick>,
    mailbox: Mailbox,
    /// When the last connection went.
    away: Option<Millis>,
    /// It stands in the queue of deadlines, once.
    queued: bool,
}

#[derive(Clone, Debug, Default)]
struct User {
    connections: Vec<Connection>,
    more: Option<Box<More>>,
}

impl User {
    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.id == id)
    }
}

/// The users of this server, or of a part of it.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: HashMap<UserId, User>,
    /// When to look at whom; a user stands here once.
    due: BinaryHeap<Reverse<(Millis, UserId)>>,
    /// Bytes of all mailboxes.
    mail: usize,
}

/// A connection that is in the directory now.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Point-to-point messages for it, oldest first.
    pub waiting: Vec<Arc<Direct>>,
    /// Number after which the next point-to-point message comes: what a client that got nothing names as `since`
    /// when it comes back.
    pub mark: u64,
    /// The long-polling connection whose place it took.
    pub replaced: Option<(ConnectionId, Gone)>,
}

/// A connection that is no longer in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The groups that it was in: take it out of each.
    pub groups: Vec<RoomId>,
    /// The user has no other.
    pub last: bool,
}

/// A point-to-point message was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// It; for each of the receiver's connections, unless `again`.
    pub message: Arc<Direct>,
    /// The same was sent before, and was carried then.
    pub again: bool,
    /// The receiver is away: it waits.
    pub waits: bool,
}

impl Directory {
    /// Puts a connection in. `since` is the number of the last point-to-point message that the client has:
    /// all kept ones after it are handed over; without it, those that never were handed to any connection.
    ///
    /// # Errors
    /// [`Refusal::TooManyConnections`].
    pub fn connect(
        &mut self,
        now: Millis,
        user: &UserId,
        id: ConnectionId,
        transport: Transport,
        since: Option<u64>,
    ) -> Result<Connected, Refusal> {
        let known = self.users.get(user).map_or(&[][..], |u| &u.connections);
        let old = known.iter().find(|c| c.transport == Transport::Poller && c.id != id).map(|c| c.id);
        let old = old.filter(|_| transport == Transport::Poller);
        if known.len() >= MAX_CONNECTIONS && old.is_none() && known.iter().all(|c| c.id != id) {
            return Err(Refusal::TooManyConnections { max: MAX_CONNECTIONS });
        }
        if !self.users.contains_key(user) {
            self.users.insert(user.clone(), User::default());
        }
        let entry = self.users.get_mut(user).ok_or(Refusal::NoConnection)?;
        if entry.connection(id).is_none() {
            // Nearly every user has one: no room for more until there are more.
            entry.connections.reserve_exact(1);
            entry.connections.push(Connection { id, transport, groups: Vec::new() });
        }
        let mut waiting = Vec::new();
        let mut mark = Mailbox::default().mark(now);
        if let Some(more) = &mut entry.more {
            more.away = None;
            let before = more.mailbox.bytes();
            more.mailbox.expire(now);
            self.mail -= before - more.mailbox.bytes();
            waiting = more.mailbox.hand(since);
            // What is handed over comes after it.
            mark = waiting.first().map_or_else(|| more.mailbox.mark(now), |first| first.seq.saturating_sub(1));
        }
        let replaced = old.and_then(|old| Some((old, self.disconnect(now, user, old)?)));
        Ok(Connected { waiting, mark, replaced })
    }

    /// Takes a connection out; none if it was not in.
    pub fn disconnect(&mut self, now: Millis, user: &UserId, id: ConnectionId) -> Option<Gone> {
        let entry = self.users.get_mut(user)?;
        let place = entry.connections.iter().position(|c| c.id == id)?;
        let groups = entry.connections.remove(place).groups;
        let last = entry.connections.is_empty();
        if last {
            match &mut entry.more {
                None => drop(self.users.remove(user)),
                Some(more) => {
                    more.away = Some(now);
                    queue(&mut self.due, user, more, now.plus(AWAY));
                }
            }
        }
        Some(Gone { groups, last })
    }

    /// Notes that a connection is in a group; true if it was not.
    ///
    /// # Errors
    /// [`Refusal::NoConnection`], [`Refusal::TooManyGroups`].
    pub fn enter(&mut self, user: &UserId, id: ConnectionId, group: &RoomId) -> Result<bool, Refusal> {
        let connection = self.users.get_mut(user).and_then(|u| u.connection(id)).ok_or(Refusal::NoConnection)?;
        if connection.groups.contains(group) {
            return Ok(false);
        }
        if connection.groups.len() >= MAX_GROUPS {
            return Err(Refusal::TooManyGroups { max: MAX_GROUPS });
        }
        connection.groups.reserve_exact(1);
        connection.groups.push(group.clone());
        Ok(true)
    }

    /// Notes that a connection is no longer in a group; true if it was.
    pub fn leave(&mut self, user: &UserId, id: ConnectionId, group: &RoomId) -> bool {
        let Some(connection) = self.users.get_mut(user).and_then(|u| u.connection(id)) else { return false };
        let before = connection.groups.len();
        connection.groups.retain(|g| g != group);
        connection.groups.len() < before
    }

    /// A user's connections.
    pub fn connections(&self, user: &UserId) -> impl Iterator<Item = (ConnectionId, Transport)> {
        self.users.get(user).into_iter().flat_map(|u| &u.connections).map(|c| (c.id, c.transport))
    }

    /// The groups that a connection is in.
    #[must_use]
    pub fn groups(&self, user: &UserId, id: ConnectionId) -> &[RoomId] {
        let connection = self.users.get(user).and_then(|u| u.connections.iter().find(|c| c.id == id));
        connection.map_or(&[], |c| &c.groups)
    }

    /// How many users are known: connected, or away with something that waits for them.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Bytes of all kept point-to-point messages.
    #[must_use]
    pub const fn mail_bytes(&self) -> usize {
        self.mail
    }

    /// Sets or takes back the nick name of a connected user.
    ///
    /// # Errors
    /// [`Refusal::NoConnection`].
    pub fn set_nick(&mut self, user: &UserId, nick: Option<Nick>) -> Result<(), Refusal> {
        let entry = self.users.get_mut(user).filter(|u| !u.connections.is_empty()).ok_or(Refusal::NoConnection)?;
        if nick.is_some() || entry.more.is_some() {
            entry.more.get_or_insert_default().nick = nick;
        }
        Ok(())
    }

    /// A user's nick name, known until a minute after its last connection went.
    #[must_use]
    pub fn nick(&self, user: &UserId) -> Option<Nick> {
        self.users.get(user)?.more.as_ref()?.nick.clone()
    }

    /// Takes a message to a user, which shows the time `at`; queue it for each of [`Directory::connections`] under the same lock. The
    /// same one again is recognised while the first is kept.
    ///
    /// # Errors
    /// The receiver is away, and [`Refusal::MailboxFull`] or [`Refusal::Overloaded`].
    pub fn send(
        &mut self,
        now: Millis,
        at: Millis,
        to: &UserId,
        client_seq: Option<u64>,
        said: Said,
    ) -> Result<Posted, Refusal> {
        self.take(now, to, client_seq, said, None, at)
    }

    /// Takes over a message that was numbered elsewhere, under the same rules; it keeps its number unless that would be
    /// a step back here.
    ///
    /// # Errors
    /// As [`Directory::send`].
    pub fn accept(&mut self, now: Millis, direct: Direct) -> Result<Posted, Refusal> {
        let Direct { to, seq, at, client_seq, said } = direct;
        self.take(now, &to, client_seq, said, Some(seq), at)
    }

    /// A kept message that is the same send as this one.
    #[must_use]
    pub fn sent_before(&self, to: &UserId, client_seq: Option<u64>, said: &Said) -> Option<Arc<Direct>> {
        self.users.get(to)?.more.as_ref()?.mailbox.sent_before(client_seq, said).cloned()
    }

    /// A user's messages up to this number were handed to a connection at another node.
    pub fn handed(&mut self, user: &UserId, seq: u64) {
        if let Some(more) = self.users.get_mut(user).and_then(|u| u.more.as_mut()) {
            more.mailbox.handed(seq);
        }
    }

    fn take(
        &mut self,
        now: Millis,
        to: &UserId,
        client_seq: Option<u64>,
        said: Said,
        seq: Option<u64>,
        at: Millis,
    ) -> Result<Posted, Refusal> {
        let entry = self.users.get_mut(to);
        let present = entry.as_ref().is_some_and(|u| !u.connections.is_empty());
        let mut fresh = Box::default();
        let more: &mut Box<More> = match entry {
            Some(user) => user.more.get_or_insert_default(),
            None => &mut fresh,
        };
        let before = more.mailbox.bytes();
        more.mailbox.expire(now);
        self.mail -= before - more.mailbox.bytes();
        if let Some(first) = more.mailbox.sent_before(client_seq, &said) {
            return Ok(Posted { message: first.clone(), again: true, waits: !present });
        }
        let seq = match seq {
            None => more.mailbox.next(now),
            Some(seq) => more.mailbox.next(Millis(seq)),
        };
        let message = Arc::new(Direct { to: to.clone(), seq, at, client_seq, said });
        let room = self.mail + message.cost() <= MAX_ALL_MAIL_BYTES;
        if !room && !present {
            return Err(Refusal::Overloaded);
        }
        let before = more.mailbox.bytes();
        let keep = room && more.mailbox.make_place(message.cost());
        self.mail -= before - more.mailbox.bytes();
        if !keep && !present {
            return Err(Refusal::MailboxFull);
        }
        // Who is present gets it even where it cannot be kept for a second time.
        more.mailbox.put(now, &message, keep, present);
        if keep {
            self.mail += message.cost();
            queue(&mut self.due, to, more, now.plus(AWAY));
        }
        if !self.users.contains_key(to) {
            self.users.insert(to.clone(), User { connections: Vec::new(), more: Some(fresh) });
        }
        Ok(Posted { message, again: false, waits: !present })
    }

    /// The kept point-to-point messages after number `since`, oldest first: for a client that polls.
    pub fn after(&self, user: &UserId, since: u64) -> impl Iterator<Item = &Arc<Direct>> {
        self.users.get(user).and_then(|u| u.more.as_ref()).into_iter().flat_map(move |m| m.mailbox.after(since))
    }

    /// When [`Directory::expire`] has something to do; [`Millis::NEVER`] if nothing waits.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        self.due.peek().map_or(Millis::NEVER, |Reverse((due, _))| *due)
    }

    /// Lets go of what waited too long. Costs only for what is due.
    pub fn expire(&mut self, now: Millis) {
        while self.deadline() <= now {
            let Some(Reverse((_, user))) = self.due.pop() else { return };
            let Some(entry) = self.users.get_mut(&user) else { continue };
            let Some(more) = &mut entry.more else { continue };
            more.queued = false;
            let before = more.mailbox.bytes();
            let mail_due = more.mailbox.expire(now);
            self.mail -= before - more.mailbox.bytes();
            let away_due = more.away.map(|away| away.plus(AWAY)).filter(|due| *due > now);
            match mail_due.into_iter().chain(away_due).min() {
                Some(next) => queue(&mut self.due, &user, more, next),
                None if entry.connections.is_empty() => drop(self.users.remove(&user)),
                None if more.nick.is_none() => entry.more = None,
                None => {}
            }
        }
    }
}

/// Has a user looked at, unless that stands there already. What is asked for later is always later,
/// because everything is kept equally long.
fn queue(due: &mut BinaryHeap<Reverse<(Millis, UserId)>>, user: &UserId, more: &mut More, at: Millis) {
    if !std::mem::replace(&mut more.queued, true) {
        due.push(Reverse((at, user.clone())));
    }
}
