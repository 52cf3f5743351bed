//! Users and operators: what they do at random, and what they hold the server to.

mod chatter;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use room::custom::{Operation, Value};
use room::pushers::NewPusher;
use room::{Kind, LeaveReason, Refusal, RoomId, StreamId, UserId};
use rooms::moderation::{Code, Out};
use sign::token::Generation;
use store::Error;
use store::clock::Clock;
use tokio::time::{Instant, sleep};

use self::chatter::Chatter;
use crate::book::Banned;
use crate::dice::Dice;
use crate::process::Process;
use crate::world::World;

/// Rooms that there may be.
const ROOMS: u64 = 4;
/// A member says that it is there at least so often.
const BEAT: Duration = Duration::from_secs(7);

/// Why a call was not answered well.
#[derive(Clone, Debug, PartialEq)]
pub enum No {
    /// The session or a ban.
    Out,
    /// The rules.
    Rules(Refusal),
    /// It was not done.
    NotDone,
    /// It may be done.
    Unknown,
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::Rules(refusal),
            Error::NoGroup(_) | Error::Unavailable(_) | Error::Leaving => Self::NotDone,
            Error::Unknown(_) => Self::Unknown,
        }
    }
}

fn room(n: u64) -> RoomId {
    RoomId::parse(&format!("room{n}")).expect("letters and a digit")
}

fn user(n: u64) -> UserId {
    UserId::parse(&format!("user{n}")).expect("letters and a digit")
}

pub fn stream(id: &RoomId, user: &UserId) -> StreamId {
    StreamId::parse(&format!("{id}_{user}")).expect("letters, digits and a line")
}

/// Looks whether a user may, as every call does. Gives the session's number.
fn admit(process: &Process, user: &UserId, token: &str, room: Option<&RoomId>) -> Result<u64, No> {
    let now = process.clock.now();
    let session = process.sessions.check(user.as_str(), token, now).map_err(|_| No::Out)?;
    if process.bans.until(user, room, now).is_some() {
        return Err(No::Out);
    }
    let id = session.id;
    let wall = process.world().wall();
    process.world().book.with(|pages| {
        let bound = pages.bound();
        let late = |since: Instant| since.elapsed() >= bound;
        if pages.ended.get(&id).is_some_and(|since| late(*since)) {
            pages.broken("who logged out is out", format!("session {id} of {user} is let in"));
        }
        for of in [None, room.cloned()] {
            if let Some(ban) = pages.banned.get(&(user.clone(), of)).filter(|ban| ban.until > wall && late(ban.since)) {
                let why = format!("{user} is let into {room:?}, banned {:?} ago", ban.since.elapsed());
                pages.broken("a ban holds", why);
            }
        }
    });
    Ok(id)
}

/// A user.
pub struct User {
    world: Arc<World>,
    dice: Dice,
    id: UserId,
    number: u64,
    token: Option<String>,
    /// Where it thinks that it is, and when it last said so.
    at: Option<(RoomId, Instant)>,
    chatter: Chatter,
    count: u64,
}

impl User {
    /// One of this number.
    pub fn new(world: &Arc<World>, number: u64) -> Self {
        Self {
            world: world.clone(),
            dice: Dice::apart(world.seed, 100 + number),
            id: user(number),
            number,
            token: None,
            at: None,
            chatter: Chatter::new(user(number)),
            count: 0,
        }
    }

    /// Lives for ever.
    pub async fn run(mut self) {
        loop {
            sleep(Duration::from_millis(self.dice.from(200, 4_000))).await;
            self.chatter.read(&self.world);
            let Some(token) = self.token.clone() else {
                self.login().await;
                continue;
            };
            let quiet = self.world.quiet.load(std::sync::atomic::Ordering::SeqCst);
            match self.at.clone() {
                None if quiet => {}
                None => self.enter(&token).await,
                Some((room, seen)) if seen.elapsed() + Duration::from_secs(4) > BEAT => self.beat(&token, room).await,
                Some(_) if quiet => {}
                Some((room, _)) => self.act(&token, room).await,
            }
        }
    }

    async fn login(&mut self) {
        let id = self.id.clone();
        let token = self.world.ask(&mut self.dice, move |process| async move {
            let now = process.clock.now();
            if process.bans.until(&id, None, now).is_some() {
                return None;
            }
            process.sessions.open(&id, Generation::Second, now).ok()
        });
        self.token = token.await.flatten();
    }

    /// What every call has in common: the session or a ban ends it, and the client begins anew.
    fn heard<T>(&mut self, what: &str, answer: Option<Result<T, No>>) -> Option<Result<T, No>> {
        let text = match &answer {
            None => "no answer".to_owned(),
            Some(Ok(_)) => "done".to_owned(),
            Some(Err(no)) => format!("{no:?}"),
        };
        self.world.book.note(format!("{} {what}: {text}", self.id));
        if matches!(answer, Some(Err(No::Out))) {
            self.token = None;
            self.out();
        }
        answer
    }

    async fn enter(&mut self, token: &str) {
        let id = room(self.dice.below(ROOMS));
        if self.dice.yes(80) {
            // Somebody who asks for the chat before the room is there, and makes it.
            self.chatter.join(&self.world.clone(), &mut self.dice, token, &id).await;
            self.make_group(token, &id).await;
        }
        self.count += 1;
        let me = self.id.clone();
        let text = token.to_owned();
        let name = format!("name{}", self.count);
        let to = id.clone();
        let stream = stream(&id, &self.id);
        let pushes = self.dice.yes(200);
        let asked = Instant::now();
        let answer = self.world.ask(&mut self.dice, move |process| async move {
            admit(&process, &me, &text, Some(&to))?;
            let kind = Kind::Multi;
            let avatar = "";
            let info = Some("info");
            let new = NewPusher { room: &to, kind, user: &me, name: &name, avatar, stream: &stream, info };
            // Its sign of life is the call, however long the disk takes for the answer.
            let came = Instant::now();
            process.rooms.add_pusher(&new).await?;
            process.world().book.with(|pages| pages.seen_at(&to, &me, came));
            if pushes {
                process.world().live.pushed.lock().insert(stream.clone());
            }
            Ok(())
        });
        let answer = answer.await;
        if let Some(Ok(())) = self.heard(&format!("enters {id}"), answer) {
            self.must_be_in(&id, asked);
            self.at = Some((id.clone(), Instant::now()));
            self.chatter.join(&self.world.clone(), &mut self.dice, token, &id).await;
        }
    }

    /// Makes the group of a room that is not there, and keeps somebody out of it.
    async fn make_group(&mut self, token: &str, id: &RoomId) {
        let me = self.id.clone();
        let text = token.to_owned();
        let to = id.clone();
        let other = user(self.dice.below(ROOMS));
        let made = self.world.ask(&mut self.dice, move |process| async move {
            admit(&process, &me, &text, Some(&to))?;
            if !process.rooms.exists(&to).await && process.hub.found(&to, Some(&me), "mine").await.is_ok() {
                let _ = process.hub.ban(&to, &other, 60_000);
            }
            Ok(())
        });
        let made = made.await;
        self.heard(&format!("makes the group of {id}"), made);
    }

    /// An entry that was acknowledged is in the room, unless it has left since.
    fn must_be_in(&self, id: &RoomId, asked: Instant) {
        self.world.book.with(|pages| {
            pages.acknowledged(id, &self.id);
            let Some(room) = pages.rooms.get(id) else {
                if pages.lost_since(asked) {
                    return;
                }
                return pages.broken("what is acknowledged is committed", format!("there is no {id}"));
            };
            let left = room.left.get(&self.id).is_some_and(|at| *at >= asked);
            if !room.rotten && !room.members.contains(&self.id) && !left && !pages.lost_since(asked) {
                pages.broken("what is acknowledged is committed", format!("{} is not in {id}", self.id));
            }
        });
    }

    async fn beat(&mut self, token: &str, id: RoomId) {
        let me = self.id.clone();
        let text = token.to_owned();
        let to = id.clone();
        let answer = self.world.ask(&mut self.dice, move |process| async move {
            admit(&process, &me, &text, Some(&to))?;
            let came = Instant::now();
            process.rooms.heartbeat(Kind::Multi, &to, &me).await?;
            process.world().book.with(|pages| pages.seen_at(&to, &me, came));
            Ok(())
        });
        match answer.await {
            Some(Ok(())) => self.at = Some((id, Instant::now())),
            Some(Err(No::Rules(_))) => {
                self.world.book.note(format!("{} is not in {id} any more", self.id));
                self.out();
            }
            other => _ = self.heard("heartbeat", other),
        }
    }

    async fn act(&mut self, token: &str, id: RoomId) {
        match self.dice.below(100) {
            0..=39 => self.chatter.send(&self.world.clone(), &mut self.dice, token, &id).await,
            40..=59 => self.set(token, &id).await,
            60..=71 => self.leave(token, &id).await,
            72..=77 => self.vanish().await,
            78..=81 => self.logout(token).await,
            82..=86 => self.chatter.join(&self.world.clone(), &mut self.dice, token, &id).await,
            87..=89 => self.chatter.drop_link(),
            _ => {}
        }
    }

    async fn leave(&mut self, token: &str, id: &RoomId) {
        let me = self.id.clone();
        let text = token.to_owned();
        let from = id.clone();
        let asked = Instant::now();
        let answer = self.world.ask(&mut self.dice, move |process| async move {
            admit(&process, &me, &text, Some(&from))?;
            process.world().live.pushed.lock().remove(&stream(&from, &me));
            Ok(process.rooms.delete_pusher(Kind::Multi, &from, &me, LeaveReason::Quit).await?)
        });
        let answer = answer.await;
        if let Some(Ok(())) = self.heard(&format!("leaves {id}"), answer) {
            self.world.book.with(|pages| {
                pages.acknowledged(id, &self.id);
                let Some(room) = pages.rooms.get(id) else { return };
                let lost = pages.lost_since(asked);
                if !room.rotten && room.left.get(&self.id).is_none_or(|at| *at < asked) && !lost {
                    pages.broken("what is acknowledged is committed", format!("{} has not left {id}", self.id));
                }
            });
        }
        // Whatever the answer was, it does not come back for a while.
        self.out();
    }

    /// Sets a field of its own: what it holds later says which of its changes were made.
    async fn set(&mut self, token: &str, id: &RoomId) {
        self.count += 1;
        let name = format!("f{}", self.number);
        let value = format!("v{}", self.count);
        let Some(life) = self.world.book.with(|pages| pages.rooms.get(id).map(|room| room.life)) else { return };
        let key = (id.clone(), life, name.clone());
        self.world.book.with(|pages| {
            // Before the first answer it may also hold nothing.
            pages.fields.entry(key.clone()).or_insert_with(|| vec![String::new()]).push(value.clone());
        });
        let me = self.id.clone();
        let text = token.to_owned();
        let to = id.clone();
        let set = value.clone();
        let answer = self.world.ask(&mut self.dice, move |process| async move {
            admit(&process, &me, &text, Some(&to))?;
            let operation = Operation::Set(Value::Text(set.into()));
            Ok(process.rooms.set_custom(Kind::Multi, &to, &name, operation).await?)
        });
        let answer = answer.await;
        let answer = self.heard(&format!("sets {} of {id} to {value}", key.2), answer);
        self.world.book.with(|pages| {
            let Some(may) = pages.fields.get_mut(&key) else { return };
            match answer {
                Some(Ok(())) => *may = vec![value],
                Some(Err(No::Unknown)) | None => {}
                Some(Err(_)) => may.retain(|other| *other != value),
            }
        });
    }

    /// Is gone without a word, and comes back later.
    async fn vanish(&mut self) {
        self.world.book.note(format!("{} vanishes", self.id));
        self.chatter.drop_link();
        self.out();
        sleep(Duration::from_millis(self.dice.from(500, 70_000))).await;
    }

    async fn logout(&mut self, token: &str) {
        let me = self.id.clone();
        let text = token.to_owned();
        let answer = self.world.ask(&mut self.dice, move |process| async move {
            let now = process.clock.now();
            let session = process.sessions.check(me.as_str(), &text, now).map_err(|_| No::Out)?;
            let many = process.sessions.close(&session, now);
            process.hub.end_session(&session.user, session.id);
            process.store.revoke(session.id, session.expires, now).await?;
            if let Some(many) = many {
                process.store.revoke_before(&many, now).await?;
            }
            Ok(session.id)
        });
        let answer = answer.await;
        if let Some(Ok(session)) = self.heard("logs out", answer) {
            self.world.book.with(|pages| _ = pages.ended.insert(session, Instant::now()));
        }
        self.token = None;
        self.out();
    }

    /// It is in no room, and pushes nothing.
    fn out(&mut self) {
        let of_it = format!("_{}", self.id);
        self.world.live.pushed.lock().retain(|stream| !stream.as_str().ends_with(&of_it));
        self.at = None;
    }
}

/// An operator: kicks, bans and lets in again, now and then.
pub async fn operate(world: Arc<World>, users: u64) {
    let mut dice = Dice::apart(world.seed, 50);
    let mut out: BTreeMap<(UserId, Option<RoomId>), ()> = BTreeMap::new();
    loop {
        sleep(Duration::from_millis(dice.from(3_000, 25_000))).await;
        if world.quiet.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let who = user(dice.below(users));
        let of = dice.yes(600).then(|| room(dice.below(ROOMS)));
        match dice.below(6) {
            0..=2 => {
                let seconds = dice.yes(700).then(|| dice.from(20, 200));
                if ban(&world, &mut dice, &who, of.as_ref(), seconds).await {
                    out.insert((who, of), ());
                }
            }
            3 | 4 => {
                let Some((who, of)) = out.pop_first().map(|(key, ())| key) else { continue };
                let_in(&world, &mut dice, who, of).await;
            }
            5 => {
                let Some(of) = of else { continue };
                let text = format!("the operator closes {of}");
                let closed =
                    world.ask(&mut dice, |process| async move { process.rooms.close(&of).await.map_err(No::from) });
                let closed = closed.await;
                world.book.note(format!("{text}: {closed:?}"));
            }
            _ => {}
        }
    }
}

async fn ban(world: &Arc<World>, dice: &mut Dice, who: &UserId, of: Option<&RoomId>, seconds: Option<u64>) -> bool {
    let user = who.clone();
    let room = of.cloned();
    let first = seconds.map(|seconds| world.wall().plus(seconds * 1_000));
    // From when it is asked for until the answer, and for good if that never comes, it may hold in place of an older one.
    let before = world.book.with(|pages| {
        let ban = pages.banned.get_mut(&(who.clone(), of.cloned()))?;
        let before = *ban;
        ban.until = first.map_or(ban.until, |first| ban.until.min(first));
        Some(before)
    });
    let banned = world.ask(dice, move |process| async move {
        let out = Out { user: &user, room: room.as_ref(), seconds, reason: "", kick: false };
        let banned = process.moderation.put_out(out).await;
        banned.map(|ban| ban.until).map_err(|refused| refused.code)
    });
    let banned = banned.await;
    world.book.with(|pages| {
        pages.note(format!("the operator bans {who} in {of:?} for {seconds:?}: {banned:?}"));
        if let Some(Ok(until)) = banned {
            let ban = Banned { until, since: Instant::now() };
            pages.banned.insert((who.clone(), of.cloned()), ban);
        }
        let is_refused = matches!(&banned, Some(Err(code)) if *code != Code::Unknown);
        if let Some(ban) = pages.banned.get_mut(&(who.clone(), of.cloned())).filter(|_| is_refused) {
            *ban = before.unwrap_or(*ban);
        }
    });
    // Where the answer is lost the ban may hold all the same.
    matches!(banned, Some(Ok(_)) | None)
}

/// An operator who mutes and lets speak again, by dice of its own. One node keeps who is muted nowhere else, and has none.
pub async fn mute(world: Arc<World>, users: u64) {
    let mut dice = Dice::apart(world.seed, 51);
    loop {
        sleep(Duration::from_millis(dice.from(3_000, 25_000))).await;
        if world.quiet.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let who = user(dice.below(users));
        let of = room(dice.below(ROOMS));
        let seconds = if dice.yes(700) { None } else { Some(0) };
        let text = format!("the operator mutes {who} in {of} for {seconds:?}");
        let muted = world.ask(&mut dice, |process| async move { process.moderation.mute(&of, &who, seconds).await });
        let muted = muted.await.map(|muted| muted.map_err(|refused| refused.code));
        world.book.note(format!("{text}: {muted:?}"));
    }
}

async fn let_in(world: &Arc<World>, dice: &mut Dice, who: UserId, of: Option<RoomId>) {
    world.book.with(|pages| _ = pages.banned.remove(&(who.clone(), of.clone())));
    world.book.note(format!("the operator lets {who} into {of:?}"));
    let _ = world
        .ask(dice, |process| async move { process.moderation.let_in(&who, of.as_ref()).await.map_err(|r| r.code) })
        .await;
}
