//! The hub as one of several nodes. Each node with members in a group has a replica of it; Redis numbers what is said, and
//! every node takes it from the bus, the one that said it too. While Redis is unavailable a node numbers by itself, and what its
//! members said goes to the others later: under the same numbers if no other node numbered meanwhile. Otherwise the group
//! begins another life, and who has the old numbers is asked to come back.

mod listener;
mod replica;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;
use room::chat::{self, Content, Created, Direct, Epoch, Group, Message, NewGroup, Posted, Refusal, Said, Sent};
use room::sanctions::{Sanction, Sanctions};
use room::{Millis, RoomId, UserId};
use tokio::sync::oneshot;

use super::Hub;
use super::groups::Slot;
use super::kept::{Kept, kept};
use crate::bus::{Bus, Known, Loaded, Number, Op, Sending, Sketch};

pub(super) use replica::Replica;

/// Groups loaded at the same time.
const ABREAST: usize = 16;

/// The other nodes.
pub(super) struct Nodes {
    bus: Arc<Bus>,
    /// Held while a group is loaded, so that it is loaded once.
    loading: [tokio::sync::Mutex<()>; ABREAST],
    /// Point-to-point messages that were carried here before Redis took them: partition and number.
    carried: Mutex<HashSet<(usize, u64)>>,
    /// Who is there.
    alive: Mutex<Vec<u64>>,
}

impl Nodes {
    pub fn new(bus: Arc<Bus>) -> Self {
        Self { bus, loading: Default::default(), carried: Mutex::default(), alive: Mutex::default() }
    }
}

/// A message on its way to its number.
pub(super) enum Submitted {
    /// It has one.
    Done(Sent),
    /// It has one, and is about to be kept.
    Kept(Sent, Kept),
    /// It gets one, in this group, at that time.
    Waits { group: RoomId, at: Millis, content: Content, answer: oneshot::Receiver<Number> },
}

impl Submitted {
    pub async fn number(self) -> Result<Sent, Refusal> {
        let (group, at, content, answer) = match self {
            Self::Done(sent) => return Ok(sent),
            Self::Kept(sent, noted) => {
                kept(Some(noted)).await;
                return Ok(sent);
            }
            Self::Waits { group, at, content, answer } => (group, at, content, answer),
        };
        match answer.await {
            Ok(0) => Err(Refusal::NoGroup),
            Ok(seq) => Ok(Sent { seq, at, message: Some(Arc::new(Message::new(group, seq, at, content))) }),
            // Only when the server ends.
            Err(_) => Err(Refusal::Away),
        }
    }
}

/// A sanction that was taken here and is on its way to other nodes.
#[derive(Debug)]
pub struct Passed {
    /// Until when it holds.
    pub until: Millis,
    taken: Option<oneshot::Receiver<Number>>,
}

impl Passed {
    /// Waits until no node can miss it; not where Redis is unavailable: then it is published later.
    pub async fn everywhere(self) {
        if let Some(taken) = self.taken {
            // Only when the server ends there is no answer.
            let _ = taken.await;
        }
    }
}

impl Hub {
    /// Whether there may be other nodes.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.nodes.is_some()
    }

    /// This node's number among them, if there may be some.
    #[must_use]
    pub fn node(&self) -> Option<u64> {
        self.nodes.as_ref().map(|nodes| nodes.bus.node())
    }

    /// Tells other nodes something, if there may be some.
    pub(super) fn tell(&self, op: impl FnOnce() -> Op) {
        if let Some(nodes) = &self.nodes {
            nodes.bus.tell(op());
        }
    }

    /// Says something to a group that has no member here.
    pub(super) fn submit_elsewhere(&self, op: Op) {
        if let Some(nodes) = &self.nodes {
            // No caller here waits for its number.
            let _ = nodes.bus.send(op, Known::default());
        }
    }

    /// What was done here is also done elsewhere, where the group may be although it is not here.
    pub(super) fn and_elsewhere(&self, here: Result<(), Refusal>, op: impl FnOnce() -> Op) -> Result<(), Refusal> {
        if let Err(refusal) = here
            && !(self.is_shared() && matches!(refusal, Refusal::NoGroup | Refusal::NotMember))
        {
            return Err(refusal);
        }
        self.tell(op);
        Ok(())
    }

    /// The same for a sanction until then, which others must not miss: nothing is done here that cannot be passed on.
    pub(super) fn everywhere(
        &self,
        group: &RoomId,
        until: Millis,
        here: impl FnOnce() -> Result<(), Refusal>,
        op: impl FnOnce() -> Op,
    ) -> Result<Passed, Refusal> {
        let Some(nodes) = &self.nodes else { return here().map(|()| Passed { until, taken: None }) };
        if !nodes.bus.takes_sanctions(group) {
            return Err(Refusal::Overloaded);
        }
        if let Err(refusal) = here()
            && !matches!(refusal, Refusal::NoGroup | Refusal::NotMember)
        {
            return Err(refusal);
        }
        match nodes.bus.send(op(), Known::default()) {
            Sending::Waits(taken) => Ok(Passed { until, taken: Some(taken) }),
            // It waits, and is said when Redis is back.
            Sending::Adrift(_) => Ok(Passed { until, taken: None }),
            Sending::Full => Err(Refusal::Overloaded),
        }
    }

    /// Takes the sanctions of a room into its group, at every node, where it does not know them: the group is new, or it was told
    /// of them when Redis was away.
    pub fn hold(&self, id: &RoomId, sanctions: &Sanctions) {
        let now = self.now();
        let _ = self.groups.with(id, |group| {
            for (what, user, until) in sanctions.iter(now) {
                let held = (user, until);
                match what {
                    Sanction::Mute if group.muted(now).any(|known| known == held) => continue,
                    Sanction::Ban if group.banned(now).any(|known| known == held) => continue,
                    Sanction::Mute => group.mute(now, user, until)?,
                    Sanction::Ban => drop(group.ban(now, user, until)?),
                }
                let group = id.clone();
                let user = user.clone();
                self.tell(|| match what {
                    Sanction::Mute => Op::Mute { group, user, until },
                    Sanction::Ban => Op::Ban { group, user, until, kick: false },
                });
            }
            Ok(())
        });
    }

    /// Has a message numbered: here, or by Redis. The app's backend may want to hear what `clients` say.
    pub(super) fn submit(
        &self,
        slot: &mut Slot,
        id: &RoomId,
        content: Content,
        clients: bool,
    ) -> Result<Submitted, Refusal> {
        let at = self.wall();
        let group = slot.group.as_mut().ok_or(Refusal::NoGroup)?;
        if let Some(nodes) = &self.nodes
            && let Some(replica) = &mut slot.replica
        {
            let op = Op::Message { group: id.clone(), at, content: content.clone() };
            let known = Known { life: group.epoch().0, number: replica.confirmed(group) };
            match if clients { nodes.bus.say_for(op, known) } else { nodes.bus.send(op, known) } {
                Sending::Waits(answer) => return Ok(Submitted::Waits { group: id.clone(), at, content, answer }),
                Sending::Full => return Err(Refusal::Overloaded),
                Sending::Adrift(nonce) => replica.adrift.push_back(nonce),
            }
        }
        let message = group.append(at, content);
        let noted = self.note_message(&message);
        self.fan_out(group, &message);
        let sent = Sent { seq: message.seq, at, message: Some(message) };
        Ok(match noted {
            None => Submitted::Done(sent),
            Some(noted) => Submitted::Kept(sent, noted),
        })
    }

    /// Takes a point-to-point message to all connections of a user; it waits for one who is briefly away. With several
    /// nodes, `waits` only says that the receiver is not at this one.
    ///
    /// # Errors
    /// [`Refusal::MailboxFull`], [`Refusal::Overloaded`].
    pub async fn send_direct(&self, to: &UserId, client_seq: Option<u64>, said: Said) -> Result<Posted, Refusal> {
        let Some(nodes) = &self.nodes else {
            let (posted, noted) = self.send_direct_here(to, client_seq, said)?;
            kept(noted).await;
            return Ok(posted);
        };
        let (before, present) = {
            let directory = self.part(to).directory.lock();
            (directory.sent_before(to, client_seq, &said), directory.connections(to).next().is_some())
        };
        if let Some(message) = before {
            return Ok(Posted { message, again: true, waits: !present });
        }
        let at = self.wall();
        let op = Op::Direct { to: to.clone(), at, client_seq, said: said.clone() };
        match nodes.bus.say_for(op, Known::default()) {
            Sending::Full => Err(Refusal::Overloaded),
            Sending::Adrift(nonce) => {
                nodes.carry_once(to, nonce);
                self.send_direct_here(to, client_seq, said).map(|(posted, _)| posted)
            }
            Sending::Waits(answer) => {
                let seq = answer.await.map_err(|_| Refusal::Away)?;
                let message = Arc::new(Direct { to: to.clone(), seq, at, client_seq, said });
                Ok(Posted { message, again: false, waits: !present })
            }
        }
    }

    /// Makes a group wherever groups are made; one that is there already is fine.
    ///
    /// # Errors
    /// As [`Hub::create`]; [`Refusal::Away`].
    pub async fn found(&self, id: &RoomId, owner: Option<&UserId>, name: &str) -> Result<Created, Refusal> {
        static SALT: AtomicU16 = AtomicU16::new(0);
        let Some(nodes) = &self.nodes else { return self.create(id, owner, name) };
        if name.len() > chat::MAX_GROUP_NAME {
            return Err(Refusal::TooLong { field: "name", max: chat::MAX_GROUP_NAME });
        }
        let now = self.now();
        if let Some(owner) = owner {
            let mut pollers = self.pollers.lock();
            pollers.has_room_for(owner)?;
            pollers.watch_group(id, Some(owner), now);
        }
        let epoch = Epoch::new(now, SALT.fetch_add(1, Ordering::Relaxed));
        let made = nodes.bus.make(id, owner, name, epoch).await.map_err(|why| away(&why))?;
        Ok(Created { existed: made.existed, owner: made.owner, epoch: made.epoch })
    }

    /// Sees to it that there is a replica of a group here, if there is such a group. Nothing where there is one node.
    ///
    /// # Errors
    /// [`Refusal::Away`].
    pub async fn fetch(&self, id: &RoomId) -> Result<(), Refusal> {
        let Some(nodes) = &self.nodes else { return Ok(()) };
        let there = || self.groups.with(id, |_| Ok(())).is_ok();
        if there() {
            return Ok(());
        }
        // The remainder is below ABREAST.
        let _one = nodes.loading[crc32fast::hash(id.as_str().as_bytes()) as usize % ABREAST].lock().await;
        if there() {
            return Ok(());
        }
        // What is received from here on is kept, also if the caller goes away meanwhile.
        self.groups.with_slot(id, |slot| slot.replica = Some(Box::new(Replica::loading())));
        let _unloaded = Unloaded { hub: self, id };
        let Some(loaded) = nodes.bus.load(id).await.map_err(|why| away(&why))? else { return Ok(()) };
        self.groups.with_slot(id, |slot| self.install(slot, id, loaded))?;
        self.pollers.lock().watch_group(id, None, self.now());
        Ok(())
    }

    fn install(&self, slot: &mut Slot, id: &RoomId, loaded: Loaded) -> Result<(), Refusal> {
        let me = self.nodes.as_ref().map_or(0, |nodes| nodes.bus.node());
        let Some(replica) = &mut slot.replica else { return Ok(()) };
        let heard = replica.loading.take().unwrap_or_default();
        let group = self.group_of(id, &loaded)?;
        replica.life = loaded.epoch;
        replica.users = loaded.users.into_iter().filter(|(node, _)| *node != me).collect();
        slot.group = Some(group);
        slot.room = loaded.room;
        for heard in heard {
            if matches!(heard.op, Op::End { .. }) && !slot.is_past(&heard) {
                // It has no member so far.
                slot.group = None;
                slot.replica = None;
                break;
            }
            self.settle(slot, heard);
        }
        Ok(())
    }

    /// A group as Redis keeps it, without members.
    fn group_of(&self, id: &RoomId, loaded: &Loaded) -> Result<Group, Refusal> {
        let now = self.now();
        let owner = loaded.owner.as_ref();
        let mut group = Group::new(&NewGroup { id, epoch: Epoch(loaded.epoch), owner, name: &loaded.name })?;
        // Those before the first kept one are gone; without any, the next one comes after the last.
        group.resume(loaded.messages.first().map_or(loaded.last, |first| first.seq.saturating_sub(1)));
        for message in &loaded.messages {
            group.accept(message.clone());
        }
        for (user, until) in &loaded.muted {
            group.mute(now, user, *until)?;
        }
        for (user, until) in &loaded.banned {
            group.ban(now, user, *until)?;
        }
        Ok(group)
    }

    /// Looks at a replica that was loaded a minute ago: one without members here goes.
    pub(super) fn look_at_replica(&self, id: &RoomId) -> bool {
        let keep = self.groups.look(id, |slot| {
            let (Some(group), Some(replica)) = (&slot.group, &slot.replica) else { return None };
            if group.users() > 0 || replica.told.users > 0 || !replica.adrift.is_empty() {
                return Some(slot.room);
            }
            slot.group = None;
            slot.replica = None;
            None
        });
        if keep.flatten() == Some(false) {
            self.tell(|| Op::Keep { group: id.clone() });
        }
        keep.flatten().is_some()
    }

    /// Tells other nodes how many users are here, if that is not what they know.
    pub(super) fn tell_users(&self, id: &RoomId) {
        let Some(nodes) = &self.nodes else { return };
        let _ = self.groups.within(id, |slot| {
            let users = slot.group.as_ref().map(Sketch::of).unwrap_or_default();
            if let Some(replica) = &mut slot.replica
                && replica.told != users
            {
                replica.told.clone_from(&users);
                nodes.bus.tell(Op::Count { group: id.clone(), node: nodes.bus.node(), users });
            }
            Ok(())
        });
    }
}

impl Nodes {
    /// Notes that a message was carried at this node already.
    fn carry_once(&self, to: &UserId, nonce: u64) {
        let mut carried = self.carried.lock();
        if carried.len() > 100_000 {
            // So many are never heard any more: they were let go while Redis was away.
            carried.clear();
        }
        carried.insert((self.bus.partition(to.as_str()), nonce));
    }
}

fn away(why: &store::error::Error) -> Refusal {
    tracing::debug!(%why, "a group cannot be had");
    Refusal::Away
}

/// Takes a replica that never came out again.
struct Unloaded<'a> {
    hub: &'a Hub,
    id: &'a RoomId,
}

impl Drop for Unloaded<'_> {
    fn drop(&mut self) {
        self.hub.groups.look(self.id, |slot| {
            if slot.group.is_none() {
                slot.replica = None;
            }
        });
    }
}
