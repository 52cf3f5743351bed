//! A user's chat: one connection, the groups that it is in, and what it must see there: one order for all, no gaps, nothing
//! that was acknowledged lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chat::hub::link::{Link, Login};
use room::chat::{Body, Epoch, Refusal, Since};
use room::{Millis, RoomId, UserId};
use rooms::groups::with_group;
use serde_json::{Value, json};
use store::clock::Clock;
use tokio::time::Instant;

use super::{No, admit};
use crate::book::Pages;
use crate::dice::Dice;
use crate::process::Process;
use crate::world::World;

/// A connection.
#[derive(Clone)]
struct Connection {
    process: Arc<Process>,
    link: Arc<Link>,
}

/// What a user has of a group.
#[derive(Clone, Copy, Debug)]
struct Has {
    since: Since,
    /// The room's life when that was.
    life: u64,
    /// Whether its connection is in the group.
    joined: bool,
    /// What came up to here may come once more: it was asked for again.
    again: u64,
    /// When that was known last.
    at: Instant,
    /// When its life was: it is another one where nodes numbered apart.
    entered: Instant,
}

/// A user's chat.
pub struct Chatter {
    id: UserId,
    connection: Option<Connection>,
    has: BTreeMap<RoomId, Has>,
    count: u64,
}

/// What the acknowledgement of a join says.
#[derive(Clone, Copy, Debug)]
struct In {
    epoch: u64,
    last: u64,
    anew: bool,
    gap: bool,
    /// The oldest message that is kept.
    first: u64,
}

impl Chatter {
    /// Nothing so far.
    pub const fn new(id: UserId) -> Self {
        Self { id, connection: None, has: BTreeMap::new(), count: 0 }
    }

    /// The connection is gone; what it has read is not.
    pub fn drop_link(&mut self) {
        if let Some(Connection { process, link }) = self.connection.take()
            && !process.is_dead()
        {
            process.hub.disconnect(&link);
        }
        self.has.values_mut().for_each(|has| has.joined = false);
    }

    /// Joins a room's group, with what it has.
    pub async fn join(&mut self, world: &Arc<World>, dice: &mut Dice, token: &str, id: &RoomId) {
        self.read(world);
        if self.connection.is_none() {
            self.connect(world, dice, token).await;
        }
        let Some(Connection { process, link }) = self.connection.clone() else { return };
        let me = self.id.clone();
        let text = token.to_owned();
        let to = id.clone();
        let before = self.has.get(id).copied();
        let since = before.map(|has| has.since);
        let mine = link.clone();
        let joined = world.ask_of(Some(process.clone()), dice, move |now| async move {
            if !Arc::ptr_eq(&now, &process) {
                return Err(No::Unknown);
            }
            admit(&now, &me, &text, Some(&to))?;
            if mine.ask(now.clock.steady()).is_err() {
                now.world().book.broken("nobody is too fast who is not", format!("{me} in {to}"));
            }
            // The first frame of what follows, as the program makes it.
            let ack = |joined: &room::chat::Joined| {
                now.world().book.with(|pages| still_said(pages, &to, joined));
                chat::render::frame(&json!({
                    "type": "in", "room": to.as_str(), "epoch": joined.epoch.0, "last": joined.last,
                    "anew": joined.catch_up.anew, "gap": joined.catch_up.gap,
                    "first": joined.catch_up.first,
                }))
            };
            with_group(&now.hub, &now.rooms, &to, || now.hub.join(&mine, &to, since, 0, ack))
                .await
                .map_err(|refusal| if refusal == Refusal::NoGroup { No::NotDone } else { No::Unknown })
        });
        let joined = joined.await;
        let has = since.map(|since| since.seq);
        world.book.note(format!("{} joins the chat of {id} with {has:?}: {joined:?}", self.id));
        if joined.is_none() {
            // It may be in, or not: it begins with a fresh connection.
            self.drop_link();
        }
        self.read(world);
    }

    async fn connect(&mut self, world: &Arc<World>, dice: &mut Dice, token: &str) {
        let me = self.id.clone();
        let text = token.to_owned();
        let connected = world.ask(dice, move |process| async move {
            let session = admit(&process, &me, &text, None)?;
            let login = Login { user: &me, session, at: process.clock.now(), expires: Millis::NEVER };
            let welcome = |_: &_| chat::render::frame(&json!({"type": "welcome"}));
            let link = process.hub.connect(&login, None, welcome).map_err(|_| No::NotDone)?;
            Ok::<_, No>(Connection { process, link })
        });
        self.connection = connected.await.and_then(Result::ok);
    }

    /// Says something in a room.
    pub async fn send(&mut self, world: &Arc<World>, dice: &mut Dice, token: &str, id: &RoomId) {
        self.read(world);
        if self.connection.is_none() || !self.has.get(id).is_some_and(|has| has.joined) {
            return self.join(world, dice, token, id).await;
        }
        let (Some(Connection { process, link }), Some(has)) = (self.connection.clone(), self.has.get(id)) else {
            return;
        };
        self.count += 1;
        let text = format!("[\"{} {}\"]", self.id, self.count);
        let to = id.clone();
        let me = self.id.clone();
        let say = text.clone();
        let epoch = has.since.epoch.0;
        let sent = world.ask_of(Some(process.clone()), dice, move |now| async move {
            if !Arc::ptr_eq(&now, &process) {
                return None;
            }
            let troubled = now.world().is_troubled();
            if link.ask(now.clock.steady()).is_err() {
                now.world().book.broken("nobody is too fast who is not", format!("{me} in {to}"));
            }
            let body = Body::new(&say).ok()?;
            let sent = now.hub.send(&to, now.hub.said(&me, None, body)).await.ok()?;
            Some((sent.seq, troubled || now.world().is_troubled()))
        });
        let sent = sent.await.flatten();
        world.book.with(|pages| {
            pages.note(format!("{} says {text} in {id}: {sent:?}", self.id));
            if let Some((seq, troubled)) = sent {
                said(pages, (id.clone(), epoch, seq), &text);
                // While the disk is away chat goes on without it.
                if !troubled && !pages.unsure() {
                    let last = pages.last_said.entry((id.clone(), epoch)).or_default();
                    *last = seq.max(*last);
                }
            }
        });
        self.read(world);
    }

    /// Reads what has come.
    pub fn read(&mut self, world: &World) {
        let Some(Connection { process, link }) = self.connection.clone() else { return };
        if process.is_dead() {
            return self.drop_link();
        }
        let Some(queue) = link.queue() else { return };
        loop {
            match queue.poll_take(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(frames)) => {
                    for frame in frames {
                        let frame: Value = serde_json::from_slice(&frame).unwrap_or_default();
                        self.take(world, &frame);
                    }
                }
                Poll::Ready(Err(_)) => return self.drop_link(),
                Poll::Pending => return,
            }
        }
    }

    fn take(&mut self, world: &World, frame: &Value) {
        let Some(id) = frame["room"].as_str().and_then(|room| RoomId::parse(room).ok()) else { return };
        match frame["type"].as_str() {
            Some("in") => {
                let number = |name: &str| frame[name].as_u64().unwrap_or_default();
                let flag = |name: &str| frame[name].as_bool().unwrap_or_default();
                let now = In {
                    epoch: number("epoch"),
                    last: number("last"),
                    anew: flag("anew"),
                    gap: flag("gap"),
                    first: number("first"),
                };
                world.book.with(|pages| self.entered(pages, &id, now));
            }
            Some("out") => _ = self.has.get_mut(&id).map(|has| has.joined = false),
            Some("message" | "system") => {
                let seq = frame["seq"].as_u64().unwrap_or_default();
                let text = frame["body"].to_string();
                let over = frame["notice"] == "destroyed";
                let Some(has) = self.has.get_mut(&id) else { return };
                world.book.with(|pages| {
                    let again = seq <= has.since.seq && seq <= has.again;
                    if has.joined && !again && seq != has.since.seq + 1 && !pages.unsure() {
                        let why = format!("{} has {} of {id} and hears {seq}", self.id, has.since.seq);
                        pages.broken("chat: no gaps, one order", why);
                    }
                    let text = if frame["type"] == "message" { text } else { frame["data"].to_string() };
                    said(pages, (id.clone(), has.since.epoch.0, seq), &text);
                });
                has.since.seq = seq.max(has.since.seq);
                has.at = Instant::now();
                if over {
                    let life = world.shared.as_ref().and_then(|shared| shared.redis.life_of(&id));
                    let goes_on = life == Some(has.since.epoch.0);
                    world.book.with(|pages| {
                        // A failover may have taken back the end.
                        if goes_on && !pages.lost_since(has.entered) {
                            let why = format!("{} hears that {id} ended, which goes on", self.id);
                            pages.broken("a group ends once", why);
                        }
                    });
                    self.has.remove(&id);
                }
            }
            _ => {}
        }
    }

    fn entered(&mut self, pages: &mut Pages, id: &RoomId, now: In) {
        let room = pages.rooms.get(id).cloned().unwrap_or_default();
        if let Some(before) = self.has.get(id).copied() {
            let key = (id.clone(), before.since.epoch.0);
            // What it heard last may be gone, if nobody was told that it is kept.
            let gone = match pages.began.get(&key) {
                Some(last) => before.since.seq > *last,
                None => !pages.last_said.contains_key(&key),
            };
            let sure = !pages.shared || pages.calm + crate::book::HEARD < before.at;
            let same = sure && room.there && before.life == room.life && room.life > 0 && !pages.rot && !gone;
            // Members learn of a new life of the group when they come again.
            let one_life = !pages.shared || pages.calm + crate::book::HEARD < before.entered;
            if now.anew && same && one_life {
                let why = format!("{} begins {id} anew, which has been there all the time", self.id);
                pages.broken("chat outlives the process", why);
            }
            if now.gap && !pages.rot && sure {
                let why = format!(
                    "{} has {} of {id} and is told of a gap: the first that is kept is {}, the last {}",
                    self.id, before.since.seq, now.first, now.last
                );
                pages.broken("chat: no gaps, one order", why);
            }
            if !now.anew && now.last < before.since.seq && sure {
                let why = format!("{} has {} of {id}, and the last is {}", self.id, before.since.seq, now.last);
                pages.broken("chat outlives the process", why);
            }
        }
        let begins = match self.has.get(id) {
            Some(_) if now.anew || now.gap => now.first.saturating_sub(1),
            Some(before) => before.since.seq,
            None => now.last,
        };
        // What was missed follows, up to the last.
        let since = Since { epoch: Epoch(now.epoch), seq: begins };
        let at = Instant::now();
        self.has.insert(id.clone(), Has { since, life: room.life, joined: true, again: now.last, at, entered: at });
    }
}

/// Who comes finds all that was acknowledged.
fn still_said(pages: &mut Pages, id: &RoomId, joined: &room::chat::Joined) {
    let last = pages.last_said.get(&(id.clone(), joined.epoch.0)).copied().unwrap_or_default();
    if joined.last < last && !pages.rot && !pages.unsure() {
        pages.broken("chat outlives the process", format!("{last} was said in {id}, and the last is {}", joined.last));
    }
}

/// Everybody sees the same under the same number.
fn said(pages: &mut Pages, place: (RoomId, u64, u64), text: &str) {
    if pages.unsure() {
        // Nodes may number apart for a while.
        pages.said.remove(&place);
        return;
    }
    let text = text.to_owned();
    let first = pages.said.entry(place.clone()).or_insert_with(|| text.clone());
    if *first != text {
        let why = format!("{place:?} is {first} and {text}");
        pages.broken("chat: no gaps, one order", why);
    }
}
