//! Rooms in Redis: any node serves any call. A decision runs on what was loaded and is committed by a script that compares
//! the version; on a conflict it runs again on the newest state. Events go into a stream in the same script, and every node
//! follows the streams: so its outbox hears all that any node did.
//!
//! While Redis is unavailable every call is answered so within a second and nothing is decided. No heartbeat can be kept in
//! that time, so the first look for what is due after a gap gives all members one heartbeat timeout to come back.

mod bans;
mod due;
mod history;
mod inspect;
pub mod keys;
pub mod link;
mod lost;
mod presence;
mod probe;
pub mod scripts;
pub mod sentinel;
mod tables;
pub mod tail;
#[cfg(test)]
pub mod tests;
mod totals;
pub mod way;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use redis::AsyncCommands;
use room::audience::Viewer;
use room::refusal::bounded;
use room::rules::MAX_USER_INFO;
use room::{Event, Kind, Millis, Refusal, Room, RoomId, Rules, StreamId, UserId, sweep};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::history::carry;
pub use self::inspect::{Inspected, inspect};
use self::keys::Keys;
use self::link::PATIENCE;
pub use self::link::{Link, Target};
use super::{
    Agreement, Answer, Ban, Counters, Decide, EndedBefore, Logouts, Outbox, Presences, Probed, Row, See, Store, Table,
    Totals, Viewers, agreements,
};
use crate::error::Error;

/// How often a decision is made again when others are faster.
const TRIES: u64 = 64;
/// Longest that is waited before another, in milliseconds.
const MOST_BACK: u64 = 16;
/// Most commits that are kept in a partition's stream of events, about.
pub const EVENTS: u64 = 200_000;
/// Rooms loaded at the same time for a list.
const ABREAST: usize = 32;

/// The store of several machines.
pub struct Redis {
    link: Link,
    keys: Keys,
    rules: Arc<Rules>,
    tell: Option<Tell>,
    /// How many rooms each partition had when it was last asked.
    counts: Vec<AtomicUsize>,
    known: totals::Known,
    /// How far the time that all nodes share is ahead of this node's, in milliseconds, in each partition.
    ahead: Vec<AtomicU64>,
    /// The partition that is looked at first for what is due.
    turn: AtomicUsize,
    /// This process among all that use this Redis.
    node: String,
    /// What is known of what Redis keeps.
    memory: Arc<lost::Memory>,
    _tails: DropGuard,
}

/// What is published to the group of a room of a change, in the commit itself: once, whatever happens to the node.
pub type Tell = fn(&[Event]) -> Vec<GroupCommand>;

/// One command for the chat group of a room, for the script that commits a change of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCommand {
    /// The command's name in [`scripts::SEND`].
    pub name: &'static str,
    /// What every node reads from the bus.
    pub text: String,
    /// The command's value; empty where it has none.
    pub value: String,
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    Done,
    /// Another node was faster.
    Slower,
    /// Redis lost what it had, or this node has not looked yet.
    OtherLife,
}

/// A room as this node's clock shows it.
struct Loaded {
    version: String,
    room: Option<Room>,
    viewers: usize,
    /// By how much the time that all nodes share was ahead of it.
    ahead: u64,
}

impl Redis {
    /// Connects, now or when Redis comes. Events that are committed from then on go to the outbox, whichever node
    /// committed them; `tell` makes what a room's chat group hears of them, if groups are kept in Redis, too.
    pub async fn open(target: Target, rules: Arc<Rules>, outbox: Outbox, tell: Option<Tell>) -> Self {
        let link = Link::new(target.clone());
        let keys = Keys::new(target.is_cluster());
        let stop = CancellationToken::new();
        let mut counts = Vec::new();
        let mut there = true;
        let memory = Arc::new(lost::Memory::new(keys.partitions()));
        for partition in 0..keys.partitions() {
            let key = Keys::events(partition);
            let deadlines = Keys::deadlines(partition);
            // One that is away now is followed from when it comes, and asked no more before.
            let last = if there { tail::last(&link, &key).await.ok() } else { None };
            there &= last.is_some();
            let rooms = if there { link.run(async |mut redis| redis.zcard(deadlines).await).await.ok() } else { None };
            counts.push(AtomicUsize::new(rooms.unwrap_or_default()));
            let from = tail::Cursor { last, known: CancellationToken::new() };
            tokio::spawn(tail::follow(target.clone(), key, from, stop.clone(), carry(outbox.clone(), memory.clone())));
        }
        let before = lost::load(Link::new(target), keys.clone(), memory.clone(), stop.clone());
        tokio::spawn(before);
        let node = format!("{:016x}", sign::fresh_id());
        let turn = AtomicUsize::new(0);
        let known = totals::Known::default();
        let ahead = (0..keys.partitions()).map(|_| AtomicU64::new(0)).collect();
        Self { link, keys, rules, tell, counts, known, ahead, turn, node, memory, _tails: stop.drop_guard() }
    }

    /// Answers a change only when so many replicas have it.
    #[must_use]
    pub fn with_replicas(self, replicas: usize) -> Self {
        Self { link: self.link.with_replicas(replicas), ..self }
    }

    async fn load(&self, id: &RoomId) -> Result<Loaded, Error> {
        self.fetch(id).await?.read(id)
    }

    /// The same, where a room that cannot be understood, of a later version perhaps, is passed over.
    async fn load_known(&self, id: &RoomId) -> Result<Option<Loaded>, Error> {
        let read = self.fetch(id).await?.read(id);
        Ok(read.inspect_err(|error| tracing::warn!(%error, "a room is passed over")).ok())
    }

    async fn fetch(&self, id: &RoomId) -> Result<Fetched, Error> {
        let mut pipe = redis::pipe();
        pipe.hmget(self.keys.room(id), &["v", "j"]).hgetall(self.keys.seen(id));
        pipe.zcard(self.keys.listed(id)).scard(self.keys.others(id));
        type Answer = ((Option<String>, Option<String>), Vec<(String, u64)>, usize, usize);
        let ((version, room), seen, listed, others): Answer =
            self.link.run(async |mut redis| pipe.query_async(&mut redis).await).await?;
        Ok(Fetched { version, room, seen, viewers: listed + others, ahead: self.ahead(self.keys.partition(id)) })
    }

    /// `first`: what is most likely true of the room. It is looked at where that is not so.
    async fn decide(&self, id: &RoomId, mut first: Option<Loaded>, decide: &mut Decide<'_>) -> Result<(), Error> {
        for lost in 0..TRIES {
            // Who lost twice steps back: of nodes that go in step the same one would be faster every time.
            if lost > 1 {
                tokio::time::sleep(Duration::from_millis(lost.min(MOST_BACK))).await;
            }
            let assumed = first.take();
            let sure = assumed.is_none();
            let known = match assumed {
                Some(known) => known,
                None => self.load(id).await?,
            };
            let Loaded { version, room: before, ahead, .. } = known;
            let mut after = before.clone();
            let events = match decide(&mut after) {
                Err(_) if !sure => continue,
                decided => decided?,
            };
            if events.is_empty() && before == after {
                return Ok(());
            }
            let states = States { version, before, after, ahead };
            if self.settle(id, &states, &events).await? {
                crate::store::note_trace(&events);
                return Ok(());
            }
        }
        Err(Error::Unavailable(format!("redis: room {id} changes too fast")))
    }

    /// Commits, unless another node was faster. Where the connection breaks before the answer, it is sent once more under the same
    /// number: so it is not made twice, and mostly known to be made.
    async fn settle(&self, id: &RoomId, states: &States, events: &[Event]) -> Result<bool, Error> {
        let nonce = sign::fresh_id();
        let begun = Instant::now();
        let mut done = self.commit(id, states, events, nonce).await;
        if let Ok(Committed::OtherLife) = done {
            self.memory.look(&self.link, &self.keys, self.keys.partition(id)).await?;
            done = Ok(Committed::Slower);
        }
        let done = done.map(|done| done == Committed::Done);
        if !matches!(done, Err(Error::Unknown(_))) || begun.elapsed() > PATIENCE / 2 {
            return done;
        }
        match self.commit(id, states, events, nonce).await {
            Ok(Committed::Done) => Ok(true),
            // A room that is gone remembers no number; that it is gone is what was wanted.
            Ok(Committed::Slower)
                if states.after.is_none() && self.load(id).await.is_ok_and(|now| now.room.is_none()) =>
            {
                Ok(true)
            }
            _ => done,
        }
    }

    /// Commits, unless another node was faster.
    async fn commit(&self, id: &RoomId, states: &States, events: &[Event], nonce: u64) -> Result<Committed, Error> {
        let before = states.before.as_ref();
        let after = states.after.as_ref();
        let Some(kind) = after.or(before).map(|room| room.kind) else { return Ok(Committed::Done) };
        let partition = self.keys.partition(id);
        let told = self.tell.map_or_else(Vec::new, |tell| tell(events));
        let text = |events: &[Event]| serde_json::to_string(events);
        let state = after.map(serde_json::to_string).transpose();
        let events = if events.is_empty() { Ok(String::new()) } else { text(events) };
        let (Ok(state), Ok(events)) = (state, events) else {
            return Err(Error::Unavailable(format!("room {id} cannot be written")));
        };
        let stays = |user: &UserId| after.is_some_and(|room| room.pushers.iter().any(|p| p.user == *user));
        let commit = scripts::Commit {
            deadline: after.map_or(0, |room| sweep::deadline(room, &self.rules).plus(states.ahead).0.min(1 << 53)),
            ahead: states.ahead,
            gone: before.into_iter().flat_map(|room| &room.pushers).filter(|p| !stays(&p.user)).collect(),
            life: self.memory.life(partition),
            state: state.unwrap_or_default(),
            room: after,
            id,
            kind,
            version: &states.version,
            events,
            nonce,
            told,
        };
        let script = commit.prepare(&self.keys);
        let (done, rooms): (i8, usize) =
            self.link.change(async |mut redis| script.invoke_async(&mut redis).await).await?;
        let done = match done {
            1 => Committed::Done,
            0 => Committed::Slower,
            _ => Committed::OtherLife,
        };
        if done == Committed::Done {
            Counters::add(&self.link.counters.changes, 1);
            self.counts[partition].store(rooms, Ordering::Relaxed);
        }
        Ok(done)
    }

    /// The ids of a page. In a cluster each partition gives what it could have of it.
    async fn page(&self, kind: Kind, index: usize, count: usize) -> Result<Vec<RoomId>, Error> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let to_score = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
        let partitions = self.keys.partitions();
        let end = index.saturating_add(count);
        let from = if partitions == 1 { index } else { 0 };
        let mut found: Vec<(u64, String)> = Vec::new();
        for partition in 0..partitions {
            let key = Keys::list(partition, kind);
            let last = to_score(end - 1);
            let part: Vec<(String, u64)> =
                self.link.run(async |mut redis| redis.zrange_withscores(key, to_score(from), last).await).await?;
            found.extend(part.into_iter().map(|(id, created)| (created, id)));
        }
        found.sort_unstable();
        let page = found.into_iter().skip(index - from).take(count);
        Ok(page.filter_map(|(_, id)| RoomId::parse(&id).ok()).collect())
    }

    async fn add(&self, id: &RoomId, user: &UserId, info: Option<&str>) -> Result<bool, Error> {
        bounded("userInfo", info.unwrap_or_default(), MAX_USER_INFO)?;
        let most = if info.is_some() { i64::try_from(self.rules.max_audiences).unwrap_or(i64::MAX) } else { -1 };
        let mut script = scripts::ENTER.prepare_invoke();
        script.key(self.keys.room(id)).key(self.keys.listed(id)).key(self.keys.infos(id)).key(self.keys.others(id));
        script
            .key(Keys::totals(self.keys.partition(id)))
            .key(self.keys.out(id))
            .key(Keys::away(self.keys.partition(id)));
        script.arg(user.as_str()).arg(info.unwrap_or_default()).arg(most).arg(id.as_str());
        match self.link.change(async |mut redis| script.invoke_async::<i64>(&mut redis).await).await? {
            -1 => Err(Refusal::NoRoom.into()),
            2 => Err(Refusal::AudienceListFull.into()),
            grown => Ok(grown == 1),
        }
    }
}

/// What a decision was made on, and what came of it.
struct States {
    version: String,
    before: Option<Room>,
    after: Option<Room>,
    ahead: u64,
}

/// A room as it stands in Redis.
struct Fetched {
    version: Option<String>,
    room: Option<String>,
    seen: Vec<(String, u64)>,
    viewers: usize,
    ahead: u64,
}

impl Fetched {
    fn read(self, id: &RoomId) -> Result<Loaded, Error> {
        let parse = |text: String| serde_json::from_str(&text);
        let unknown = |error| Error::Unavailable(format!("redis: room {id} cannot be understood: {error}"));
        let mut room: Option<Room> = self.room.map(parse).transpose().map_err(unknown)?;
        for pusher in room.iter_mut().flat_map(|room| &mut room.pushers) {
            if let Some((_, seen)) = self.seen.iter().find(|(user, _)| user == pusher.user.as_str()) {
                pusher.seen = Millis(seen.saturating_sub(self.ahead));
            }
        }
        Ok(Loaded { version: self.version.unwrap_or_default(), room, viewers: self.viewers, ahead: self.ahead })
    }
}

fn traced<'a>(commit: impl Future<Output = Result<(), Error>> + Send + 'a) -> Answer<'a, ()> {
    Box::pin(telemetry::traces::part("store.commit", telemetry::traces::Kind::Internal, || None, commit))
}

impl Store for Redis {
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        traced(self.decide(id, None, decide))
    }

    fn make<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        let ahead = self.ahead(self.keys.partition(id));
        let nothing = Loaded { version: String::new(), room: None, viewers: 0, ahead };
        traced(self.decide(id, Some(nothing), decide))
    }

    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()> {
        self.update(id, decide)
    }

    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> Answer<'a, bool> {
        Box::pin(async move {
            let loaded = self.load(id).await?;
            if let Some(room) = &loaded.room {
                see(room, loaded.viewers);
            }
            Ok(loaded.room.is_some())
        })
    }

    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> Answer<'a, i64> {
        Box::pin(async move {
            let mut script = scripts::TOUCH.prepare_invoke();
            script.key(self.keys.room(id)).key(self.keys.seen(id)).key(due::times(self.keys.partition(id)));
            script.arg(user.as_str()).arg(now.0).arg(kind.name());
            let status: Option<i64> = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
            status.ok_or_else(|| Refusal::NotMember.into())
        })
    }

    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let page = self.page(kind, index, count).await?;
            let mut rooms = stream::iter(page).map(|id| async move { self.load_known(&id).await }).buffered(ABREAST);
            while let Some(loaded) = rooms.next().await {
                let Some(Loaded { room, viewers, .. }) = loaded? else { continue };
                if let Some(room) = room.filter(Room::is_active) {
                    see(&room, viewers);
                }
            }
            Ok(())
        })
    }

    fn due(&self, now: Millis, limit: usize) -> Answer<'_, Vec<RoomId>> {
        Box::pin(self.claim(now, limit))
    }

    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: Option<&'a str>) -> Answer<'a, bool> {
        Box::pin(self.add(id, user, info))
    }

    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut script = scripts::EXIT.prepare_invoke();
            script.key(self.keys.listed(id)).key(self.keys.infos(id)).key(self.keys.others(id));
            script
                .key(Keys::totals(self.keys.partition(id)))
                .key(self.keys.out(id))
                .key(Keys::away(self.keys.partition(id)));
            script.arg(user.as_str()).arg(id.as_str());
            self.link.change(async |mut redis| script.invoke_async(&mut redis).await).await
        })
    }

    fn watching(&self) -> Vec<(RoomId, UserId)> {
        Vec::new()
    }

    fn presences(&self) -> Option<&dyn Presences> {
        Some(self)
    }

    fn viewers<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Viewers> {
        Box::pin(async move {
            let mut pipe = redis::pipe();
            pipe.zrange(self.keys.listed(id), 0, -1).hgetall(self.keys.infos(id)).scard(self.keys.others(id));
            let (users, infos, others): (Vec<String>, std::collections::HashMap<String, String>, usize) =
                self.link.run(async |mut redis| pipe.query_async(&mut redis).await).await?;
            let count = users.len() + others;
            let viewer = |user: &String| {
                let info = infos.get(user).map(String::as_str).unwrap_or_default();
                Some(Viewer { user: UserId::parse(user).ok()?, info: info.into() })
            };
            Ok(Viewers { count, listed: users.iter().filter_map(viewer).collect() })
        })
    }

    fn ids(&self) -> Answer<'_, Vec<RoomId>> {
        Box::pin(async move {
            let mut ids = Vec::new();
            for partition in 0..self.keys.partitions() {
                let key = Keys::deadlines(partition);
                let part: Vec<String> = self.link.run(async |mut redis| redis.zrange(key, 0, -1).await).await?;
                ids.extend(part.iter().filter_map(|id| RoomId::parse(id).ok()));
            }
            Ok(ids)
        })
    }

    fn revoke(&self, session: u64, until: Millis, now: Millis) -> Answer<'_, ()> {
        Box::pin(async move {
            self.memory.logged_out(&Logouts { ended: vec![(session, until)], before: Vec::new() }, now);
            bans::revoke(&self.link, session, until).await
        })
    }

    fn revoke_before<'a>(&'a self, before: &'a EndedBefore, now: Millis) -> Answer<'a, ()> {
        Box::pin(async move {
            self.memory.logged_out(&Logouts { ended: Vec::new(), before: vec![before.clone()] }, now);
            bans::revoke_before(&self.link, before).await
        })
    }

    fn revoked(&self, since: Millis) -> Answer<'_, Logouts> {
        Box::pin(async move {
            // Entries are numbered by Redis' clock, which need not be ours to the second.
            let from = since.0.saturating_sub(60_000);
            let found = bans::revoked(&self.link, from).await?;
            self.memory.logged_out(&found, since);
            Ok(found)
        })
    }

    fn ban<'a>(&'a self, ban: &'a Ban, now: Millis) -> Answer<'a, ()> {
        Box::pin(async move {
            bans::put(&self.link, ban).await?;
            self.memory.banned(std::slice::from_ref(ban), now);
            Ok(())
        })
    }

    fn bans(&self, since: Millis) -> Answer<'_, Vec<Ban>> {
        Box::pin(async move {
            let found = bans::since(&self.link, since).await?;
            self.memory.banned(&found, since);
            Ok(found)
        })
    }

    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, _: Millis) -> Answer<'a, ()> {
        Box::pin(async move {
            let key = self.keys.agreement(stream);
            let Some(said) = to.and_then(|to| serde_json::to_string(to).ok()) else {
                return self.link.change(async |mut redis| redis.del::<_, ()>(&key).await).await;
            };
            self.link.change(async |mut redis| redis.pset_ex::<_, _, ()>(&key, &said, agreements::HOLDS).await).await
        })
    }

    fn agreement<'a>(&'a self, stream: &'a StreamId, _: Millis) -> Answer<'a, Option<Agreement>> {
        Box::pin(async move {
            let key = self.keys.agreement(stream);
            let said: Option<String> = self.link.run(async |mut redis| redis.get(&key).await).await?;
            Ok(said.and_then(|said| serde_json::from_str(&said).ok()))
        })
    }

    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> Answer<'a, bool> {
        Box::pin(tables::put(&self.link, table, row, replace, now))
    }

    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> Answer<'a, ()> {
        Box::pin(tables::take(&self.link, table, key))
    }

    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> Answer<'a, Option<Row>> {
        Box::pin(tables::get(&self.link, table, key, now))
    }

    fn rows<'a>(&'a self, table: Table, below: Option<&'a str>, count: usize, now: Millis) -> Answer<'a, Vec<Row>> {
        Box::pin(tables::below(&self.link, table, below, count, now))
    }

    fn probe(&self) -> Probed<'_> {
        Box::pin(probe::write(&self.link, &self.keys, &self.node))
    }

    fn counters(&self) -> Option<&Counters> {
        Some(&self.link.counters)
    }

    fn totals(&self) -> Option<Totals> {
        self.known.read(self.keys.partitions())
    }

    fn len(&self) -> usize {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
