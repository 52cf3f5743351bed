//! What the hub does about what nodes say.

use std::sync::Arc;

use room::chat::{Direct, End, Epoch, Group, MAX_KEPT, Message};
use room::{Millis, RoomId, UserId};
use store::mends::{Mend, is_out};

use super::Hub;
use super::replica::Settled;
use crate::bus::{Heard, Listener, Loaded, Op, Sketch, Unsaid};
use crate::close::Close;
use crate::hub::groups::Slot;

impl Listener for Hub {
    fn heard(&self, heard: Heard) {
        let Some(nodes) = &self.nodes else { return };
        let own = heard.from == nodes.bus.node();
        match heard.op {
            Op::Direct { to, at, client_seq, said } => {
                if own && nodes.carried.lock().remove(&(nodes.bus.partition(to.as_str()), heard.nonce)) {
                    return;
                }
                self.deliver(Direct { to, seq: heard.number, at, client_seq, said });
            }
            Op::Handed { user, seq } if !own => self.part(&user).directory.lock().handed(&user, seq),
            Op::Login { user, session, at } if !own => self.end_older_poller(&user, session, at),
            Op::Ended { user, session: Some(session) } if !own => {
                self.end_where(&user, Close::SessionEnded, |link| link.session == session);
            }
            Op::Ended { user, session: None } if !own => self.end_where(&user, Close::Operator, |_| true),
            Op::Handed { .. } | Op::Login { .. } | Op::Ended { .. } => {}
            _ => {
                let Some(group) = heard.op.group().cloned() else { return };
                self.heard_of_group(&group, heard);
            }
        }
    }

    fn adrift(&self, unsaid: Vec<Unsaid>) {
        let Some(nodes) = &self.nodes else { return };
        for Unsaid { nonce, op, answer } in unsaid {
            let number = match &*op {
                Op::Message { group: id, at, content } => self.groups.within(id, |slot| {
                    let (Some(group), Some(replica)) = (&mut slot.group, &mut slot.replica) else { return Ok(0) };
                    replica.adrift.push_back(nonce);
                    let message = group.append(*at, content.clone());
                    self.fan_out(group, &message);
                    Ok(message.seq)
                }),
                Op::Direct { to, client_seq, said, .. } => {
                    nodes.carry_once(to, nonce);
                    self.send_direct_here(to, *client_seq, said.clone()).map(|(posted, _)| posted.message.seq)
                }
                _ => Ok(0),
            };
            // Who does not wait any more needs no answer.
            let _ = answer.send(number.unwrap_or(0));
        }
    }

    fn missed(self: Arc<Self>, partition: usize) {
        let Some(nodes) = &self.nodes else { return };
        tracing::warn!(partition, "this node was unreachable for too long: chat groups are loaded anew");
        let ids: Vec<RoomId> =
            self.groups.ids().into_iter().filter(|id| nodes.bus.partition(id.as_str()) == partition).collect();
        if !is_out(Mend::MissedComesFirst) {
            // What comes next waits for what was missed: after a gap nothing older is taken.
            ids.iter().for_each(|id| self.begin_reload(id));
        }
        tokio::spawn(async move {
            for id in ids {
                self.reload(&id).await;
            }
        });
    }

    fn nodes(&self, alive: &[u64]) {
        let Some(nodes) = &self.nodes else { return };
        alive.clone_into(&mut nodes.alive.lock());
        let now = self.now();
        for id in self.groups.ids() {
            let due = self.groups.within(&id, |slot| {
                let (Some(group), Some(replica)) = (&mut slot.group, &mut slot.replica) else { return Ok(None) };
                let before = replica.users.len();
                replica.users.retain(|(node, _)| alive.contains(node));
                Ok((replica.users.len() < before).then(|| group.recount(now)).flatten())
            });
            self.count(due.ok().flatten(), &id);
        }
    }
}

impl Hub {
    fn deliver(&self, direct: Direct) {
        let user = direct.to.clone();
        let mut directory = self.part(&user).directory.lock();
        // One for whom too much waits gets no more; its sender is at another node and cannot be told.
        let Ok(posted) = directory.accept(self.now(), direct) else { return };
        if posted.again || posted.waits {
            return;
        }
        self.carry_direct(&directory, &posted.message);
        drop(directory);
        self.tell(|| Op::Handed { user, seq: posted.message.seq });
    }

    fn heard_of_group(&self, id: &RoomId, heard: Heard) {
        if let Op::End { by, end, .. } = &heard.op {
            let by = by.clone();
            return self.heard_end(id, by.as_ref(), *end, heard);
        }
        let reloads = |slot: &mut Slot| {
            let waiting = slot.replica.as_mut().and_then(|replica| replica.loading.as_mut());
            slot.group.is_some() && waiting.is_some()
        };
        if self.groups.look(id, reloads).unwrap_or(false) {
            self.groups.look(id, |slot| self.settle(slot, heard));
        } else {
            self.take_of_group(id, heard);
        }
    }

    fn heard_end(&self, id: &RoomId, by: Option<&UserId>, end: End, heard: Heard) {
        let ends = |slot: &mut Slot| {
            let waiting = slot.replica.as_mut().and_then(|replica| replica.loading.as_mut());
            if let (None, Some(waiting)) = (&slot.group, waiting) {
                // What is being loaded may be the next group of that name already.
                waiting.push(heard);
                return false;
            }
            !slot.is_past(&heard)
        };
        if self.groups.look(id, ends).unwrap_or(false) {
            // Gone meanwhile is as good.
            let _ = self.destroy_here(id, by, end);
        }
    }

    fn take_of_group(&self, id: &RoomId, heard: Heard) {
        if self.groups.look(id, |slot| slot.is_past(&heard)).unwrap_or(false) || self.holds_here(id, &heard) {
            return;
        }
        match &heard.op {
            Op::Ban { user, until, kick, .. } if self.keep_out_here(id, user, *until, *kick).is_ok() => {}
            Op::Kick { user, .. } => drop(self.kick_here(id, user)),
            _ => drop(self.groups.look(id, |slot| self.settle(slot, heard))),
        }
    }

    /// Whether this is what this node said itself, and holds here since then. Of a sanction that is not sure: the last one that all
    /// hear counts, and another node's may have come before it, or the group may have begun with its room. Only where this node has
    /// said something later of the same user, that one is waited for.
    fn holds_here(&self, id: &RoomId, heard: &Heard) -> bool {
        let Some(nodes) = self.nodes.as_ref().filter(|nodes| nodes.bus.node() == heard.from) else { return false };
        match &heard.op {
            Op::Message { .. } | Op::Epoch { .. } => false,
            Op::Mute { .. } | Op::Ban { .. } if is_out(Mend::OwnWordIsTaken) => true,
            Op::Mute { .. } => nodes.bus.says_later(heard),
            Op::Ban { user, until, .. } => nodes.bus.says_later(heard) || self.is_banned_so(id, user, *until),
            _ => true,
        }
    }

    /// Whether a ban holds as it is, so that nobody is put out by it once more: a kick may be over, and its user back.
    fn is_banned_so(&self, id: &RoomId, user: &UserId, until: Millis) -> bool {
        let now = self.now();
        let until = Some(until).filter(|until| *until > now);
        let held = |group: &mut Group| Ok(group.banned(now).find(|(who, _)| *who == user).map(|(_, until)| until));
        self.groups.with(id, held).is_ok_and(|held| held == until)
    }

    /// Takes what was received of a group into its replica.
    pub(super) fn settle(&self, slot: &mut Slot, heard: Heard) {
        if let Some(waiting) = slot.replica.as_mut().and_then(|replica| replica.loading.as_mut()) {
            waiting.push(heard);
            return;
        }
        if slot.is_past(&heard) {
            return;
        }
        let (Some(nodes), Some(replica)) = (&self.nodes, &mut slot.replica) else { return };
        let Some(group) = &mut slot.group else { return };
        let now = self.now();
        match heard.op {
            Op::Message { group: id, at, content } => {
                let message = Arc::new(Message::new(id.clone(), heard.number, at, content));
                let own = (heard.from == nodes.bus.node()).then_some(heard.nonce);
                let confirmed = replica.confirmed(group);
                match replica.settle(group, message.clone(), own) {
                    Settled::Known => {}
                    Settled::New => self.fan_out(group, &message),
                    Settled::Forked(epoch) => {
                        tracing::info!(room = %id, "a room talked at several nodes while redis was unavailable: numbered anew");
                        nodes.bus.tell(Op::Epoch { group: id, epoch });
                        self.renumber(group, confirmed);
                    }
                }
            }
            Op::Adopt { .. } => {
                group.begin_with_room();
                // What was loaded may be of after this already, and sanctions of before it be heard since. Those of after it come yet.
                if !is_out(Mend::LateSanctionsAreLifted) {
                    group.lift_all();
                }
                slot.room = true;
            }
            Op::Epoch { epoch, .. } => {
                group.renew(epoch);
                replica.life = replica.life.max(epoch.0);
            }
            Op::Mute { user, until, .. } => drop(group.mute(now, &user, until)),
            Op::Ban { user, until, .. } => drop(group.ban(now, &user, until)),
            Op::Count { group: id, node, users } => {
                replica.users.retain(|(known, _)| *known != node);
                if users.users > 0 {
                    replica.users.push((node, users));
                }
                let due = group.recount(now);
                self.count(due, &id);
            }
            _ => {}
        }
    }

    /// What is received of a group waits until it is loaded.
    fn begin_reload(&self, id: &RoomId) {
        self.groups.look(id, |slot| {
            if let (Some(_), Some(replica)) = (&slot.group, &mut slot.replica) {
                replica.loading.get_or_insert_default();
            }
        });
    }

    /// Takes what was missed of a group from what Redis keeps. What is heard meanwhile is newer, and comes after it.
    async fn reload(&self, id: &RoomId) {
        let Some(nodes) = &self.nodes else { return };
        self.begin_reload(id);
        let loaded = loop {
            match nodes.bus.load(id).await {
                Ok(loaded) => break loaded,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        };
        let Some(loaded) = loaded else {
            let _ = self.destroy_here(id, None, End::Destroyed);
            return;
        };
        let done = self.groups.look(id, |slot| {
            slot.group.as_ref()?;
            let waiting = slot.replica.as_mut()?.loading.take()?;
            Some((self.make_good(slot, loaded), waiting))
        });
        let Some((banned, waiting)) = done.flatten() else { return };
        for (user, until) in banned {
            // Who is in by now goes.
            let _ = self.keep_out_here(id, &user, until, false);
        }
        waiting.into_iter().for_each(|heard| self.take_of_group(id, heard));
    }

    /// Makes a group of which something was missed what Redis keeps of it. Gives who may not be in.
    fn make_good(&self, slot: &mut Slot, loaded: Loaded) -> Vec<(UserId, Millis)> {
        let Some(group) = &mut slot.group else { return Vec::new() };
        let whole = !is_out(Mend::MissedIsLoadedWhole);
        if let Some(replica) = &mut slot.replica {
            replica.life = loaded.epoch;
        }
        let epoch = Epoch(loaded.epoch);
        if epoch > group.epoch() && !is_out(Mend::MissedLifeIsTaken) {
            self.begin_again(slot, &loaded);
        } else {
            if whole && loaded.owner.is_none() {
                // Before its messages, which were said since.
                group.begin_with_room();
            }
            group.renew(epoch);
            let id = group.id().clone();
            for message in &loaded.messages {
                let number = message.seq;
                let op = Op::Message { group: id.clone(), at: message.at, content: message.content.clone() };
                self.settle(slot, Heard { number, from: 0, nonce: 0, life: None, op });
            }
        }
        if whole { self.replace(slot, loaded) } else { Vec::new() }
    }

    /// The group ended and began again, or was numbered anew, and this node missed it: nothing of its last life stays but who is
    /// in.
    fn begin_again(&self, slot: &mut Slot, loaded: &Loaded) {
        let (Some(group), Some(replica)) = (&mut slot.group, &mut slot.replica) else { return };
        // What is kept was taken before: its name is not too long.
        let Ok(next) = self.group_of(group.id(), loaded) else { return };
        tracing::info!(room = %group.id(), "a chat group began another life while this node was unreachable");
        group.give_way(next);
        replica.adrift.clear();
        // The new life knows no user of this node.
        replica.told = Sketch::default();
        self.renumber(group, 0);
    }

    /// Another life of a group has begun, or other numbers count after this one: its members begin anew there.
    fn renumber(&self, group: &Group, certain: u64) {
        let after = |message: &Arc<Message>| message.seq > certain;
        let mut messages = group.history(u64::MAX, MAX_KEPT);
        messages.retain(after);
        for connection in group.connections() {
            self.with_link(*connection, |link| link.renumber(group, certain, &messages));
        }
    }

    /// Takes what is true of a group besides its messages from what Redis keeps: whether it is the room's, who is under a
    /// sanction, who is at other nodes. Gives who may not be in.
    fn replace(&self, slot: &mut Slot, loaded: Loaded) -> Vec<(UserId, Millis)> {
        let (Some(nodes), Some(replica)) = (&self.nodes, &mut slot.replica) else { return Vec::new() };
        let Some(group) = &mut slot.group else { return Vec::new() };
        let now = self.now();
        slot.room = loaded.room;
        let lifted = |user: &UserId, kept: &[(UserId, Millis)]| !kept.iter().any(|(known, _)| known == user);
        let unmuted: Vec<UserId> = group.muted(now).map(|(user, _)| user.clone()).collect();
        for user in unmuted.iter().filter(|user| lifted(user, &loaded.muted)) {
            let _ = group.mute(now, user, Millis(0));
        }
        let let_in: Vec<UserId> = group.banned(now).map(|(user, _)| user.clone()).collect();
        for user in let_in.iter().filter(|user| lifted(user, &loaded.banned)) {
            let _ = group.ban(now, user, Millis(0));
        }
        for (user, until) in &loaded.muted {
            let _ = group.mute(now, user, *until);
        }
        let me = nodes.bus.node();
        replica.users = loaded.users.into_iter().filter(|(node, _)| *node != me).collect();
        let due = group.recount(now);
        let id = group.id().clone();
        self.count(due, &id);
        loaded.banned
    }
}
