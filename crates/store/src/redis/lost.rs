//! What this node knows of what Redis keeps, for when Redis comes back without it: who was in which room, bans and logouts. Redis
//! has a life in each partition, a number that goes with the data: where it is another one, what belonged to the last life is gone.
//! Then the rooms' ends are published, once by one of the nodes that knew them, and bans and logouts are written again.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use redis::{AsyncCommands, Script};
use room::{CloseReason, Event, Kind, LeaveReason, Millis, Room, RoomId, UserId, What};
use tokio::time::Instant;

use super::keys::Keys;
use super::link::Link;
use super::scripts::WHOLE;
use crate::ban::Kept;
use crate::error::Error;
use crate::logouts;
use crate::mends::{Mend, is_out};
use crate::{Ban, Logouts};

/// Most rooms that are known, about 300 bytes each. The ends of more would not fit into what the streams of events keep.
const MOST: usize = 200_000;
/// How long the telling may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOKS: Duration = Duration::from_secs(1);
/// Rooms loaded at a time.
const PAGE: usize = 256;

/// Begins a life where there is none, with the time in seconds behind it, and publishes the ends of the rooms of the last one, unless
/// another node did. Keys: life, events, whether the ends of the last life were published. Arguments: a new life, most events kept, the last life,
/// then the ends of each room. Answers the life there is.
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    let begin = r"
    local life_key, events, published = KEYS[1], KEYS[2], KEYS[3]
    local new_life, most_events, last_life, first_end = ARGV[1], ARGV[2], ARGV[3], 4
    local life = redis.call('GET', life_key)
    if not life then
        life = new_life .. '@' .. redis.call('TIME')[1]
        redis.call('SET', life_key, life)
    end
    if last_life ~= '' and last_life ~= life and redis.call('SET', published, '1', 'NX', 'PX', 86400000) then
        for n = first_end, #ARGV do redis.call('XADD', events, 'MAXLEN', '~', most_events, '*', 'e', ARGV[n]) end
    end
    return life
    ";
    Script::new(&[WHOLE, begin].concat())
});

/// A room, as far as its end needs it.
#[derive(Debug)]
struct Known {
    kind: Kind,
    seq: u64,
    members: Vec<UserId>,
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Memory {
    rooms: Mutex<HashMap<RoomId, Known>>,
    /// Rooms that closed while those that were there before were loaded.
    closed: Mutex<Option<HashSet<RoomId>>>,
    bans: Kept,
    logouts: Mutex<logouts::Table>,
    /// Readers of the record that had a place in it.
    readers: Mutex<HashSet<(String, usize)>>,
    /// The life of each partition; empty: not known.
    lives: Mutex<Vec<String>>,
    looking: tokio::sync::Mutex<()>,
    /// The newest time that was seen, and when all partitions were looked at last.
    now: AtomicU64,
    looked: Mutex<Option<Instant>>,
}

impl Memory {
    pub fn new(partitions: usize) -> Self {
        let memory = Self::default();
        *memory.lives.lock() = vec![String::new(); partitions];
        *memory.closed.lock() = Some(HashSet::new());
        memory
    }

    /// The number of a room's last change, and how many are in it.
    #[cfg(test)]
    pub fn known(&self, id: &RoomId) -> Option<(u64, usize)> {
        self.rooms.lock().get(id).map(|known| (known.seq, known.members.len()))
    }

    /// The life that a partition had last.
    pub fn life(&self, partition: usize) -> String {
        self.lives.lock()[partition].clone()
    }

    /// Takes the time. Says whether the partitions are to be looked at again.
    pub fn is_time(&self, now: Millis) -> bool {
        self.now.fetch_max(now.0, Ordering::Relaxed);
        let mut looked = self.looked.lock();
        let due = looked.is_none_or(|at| at.elapsed() >= LOOKS);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    /// Where a reader goes on of whom Redis says this: after a loss all that there is is new.
    pub fn place(&self, reader: &str, partition: usize, found: Option<String>) -> Option<String> {
        let key = (reader.to_owned(), partition);
        let mut readers = self.readers.lock();
        match found {
            None => readers.contains(&key).then(|| "0-0".to_owned()),
            Some(place) => {
                readers.insert(key);
                Some(place)
            }
        }
    }

    /// Takes what any node committed.
    pub fn heard(&self, events: &[Event]) {
        let mut rooms = self.rooms.lock();
        for event in events {
            if let What::Closed { .. } = event.what {
                rooms.remove(&event.room);
                if let Some(closed) = &mut *self.closed.lock() {
                    closed.insert(event.room.clone());
                }
                continue;
            }
            if !rooms.contains_key(&event.room) && rooms.len() >= MOST {
                continue;
            }
            let new = || Known { kind: event.kind, seq: 0, members: Vec::new() };
            let known = rooms.entry(event.room.clone()).or_insert_with(new);
            known.seq = event.seq;
            match &event.what {
                What::Joined { user } if !known.members.contains(user) => known.members.push(user.clone()),
                What::Left { user, .. } => known.members.retain(|member| member != user),
                _ => {}
            }
        }
    }

    /// Takes a room that was there before this node.
    pub fn found(&self, room: &Room) {
        let mut rooms = self.rooms.lock();
        let closed = self.closed.lock().as_ref().is_some_and(|closed| closed.contains(&room.id));
        if closed || rooms.len() >= MOST || rooms.get(&room.id).is_some_and(|known| known.seq > room.seq) {
            return;
        }
        let members = room.pushers.iter().map(|pusher| pusher.user.clone()).collect();
        rooms.insert(room.id.clone(), Known { kind: room.kind, seq: room.seq, members });
    }

    /// All that were there before are known.
    pub fn complete(&self) {
        *self.closed.lock() = None;
    }

    /// Takes bans that were kept or lifted.
    pub fn banned(&self, bans: &[Ban], now: Millis) {
        for ban in bans {
            self.bans.put(ban, now, || ());
        }
    }

    /// Takes logouts.
    pub fn logged_out(&self, logouts: &Logouts, now: Millis) {
        let mut known = self.logouts.lock();
        known.take(logouts);
        known.clean(now);
    }

    /// The ends of the rooms of a partition, as the record has them.
    fn ends(&self, keys: &Keys, partition: usize, now: Millis) -> Vec<String> {
        let rooms = self.rooms.lock();
        let end = |(id, known): (&RoomId, &Known)| {
            let left = known.members.iter().map(|user| What::Left { user: user.clone(), reason: LeaveReason::Lost });
            let all = left.chain([What::Closed { reason: CloseReason::Lost }]).zip(known.seq + 1..);
            let event = |(what, seq)| Event { room: id.clone(), kind: known.kind, seq, at: now, what };
            serde_json::to_string(&all.map(event).collect::<Vec<_>>()).ok()
        };
        rooms.iter().filter(|(id, _)| keys.partition(id) == partition).filter_map(end).collect()
    }

    /// Looks whether a partition has the life that it had; sees to what follows where it has another.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn look(&self, link: &Link, keys: &Keys, partition: usize) -> Result<(), Error> {
        let _one = self.looking.lock().await;
        let now = Millis(self.now.load(Ordering::Relaxed));
        let key = Keys::life(partition);
        let last = self.life(partition);
        let life: Option<String> = link.run(async |mut redis| redis.get(&key).await).await?;
        if let Some(life) = life
            && life == last
        {
            return Ok(());
        }
        let ends =
            if last.is_empty() || is_out(Mend::LostRoomsEnd) { Vec::new() } else { self.ends(keys, partition, now) };
        let mut script = BEGIN.prepare_invoke();
        script.key(key).key(Keys::events(partition)).key(Keys::mourned(partition, &last));
        script.arg(format!("{:016x}", sign::fresh_id())).arg(super::EVENTS).arg(&last);
        for end in &ends {
            script.arg(end);
        }
        let life: String = link.run_within(PATIENCE, async |mut redis| script.invoke_async(&mut redis).await).await?;
        if !last.is_empty() && last != life {
            let rooms = ends.len();
            tracing::error!(
                partition,
                rooms,
                "redis has lost what it kept: its rooms are closed; bans and logouts are written again"
            );
            if partition == 0 && !is_out(Mend::LostIsWrittenAgain) {
                self.write_again(link, now).await?;
            }
        }
        self.lives.lock()[partition] = life;
        Ok(())
    }

    async fn write_again(&self, link: &Link, now: Millis) -> Result<(), Error> {
        self.bans.forget(now);
        for ban in self.bans.all() {
            super::bans::put(link, &ban).await?;
        }
        let Logouts { ended, before } = self.logouts.lock().all();
        for (session, until) in ended.into_iter().filter(|(_, until)| *until > now) {
            super::bans::revoke(link, session, until).await?;
        }
        for before in before.iter().filter(|before| before.until > now) {
            super::bans::revoke_before(link, before).await?;
        }
        Ok(())
    }
}

/// Loads what was there before this node; again while Redis is away.
pub(super) async fn load(
    link: Link,
    keys: Keys,
    memory: std::sync::Arc<Memory>,
    stop: tokio_util::sync::CancellationToken,
) {
    while !stop.is_cancelled() {
        match load_all(&link, &keys, &memory).await {
            Ok(()) => return memory.complete(),
            Err(_) => _ = stop.run_until_cancelled(tokio::time::sleep(LOOKS)).await,
        }
    }
}

async fn load_all(link: &Link, keys: &Keys, memory: &Memory) -> Result<(), Error> {
    for partition in 0..keys.partitions() {
        let key = Keys::deadlines(partition);
        let most = isize::try_from(MOST).unwrap_or(isize::MAX);
        let ids: Vec<String> = link.run(async |mut redis| redis.zrange(key, 0, most).await).await?;
        let ids: Vec<RoomId> = ids.iter().filter_map(|id| RoomId::parse(id).ok()).collect();
        for page in ids.chunks(PAGE) {
            let mut pipe = redis::pipe();
            for id in page {
                pipe.hget(keys.room(id), "j");
            }
            let texts: Vec<Option<String>> = link.run(async |mut redis| pipe.query_async(&mut redis).await).await?;
            for room in texts.iter().flatten().filter_map(|text| serde_json::from_str::<Room>(text).ok()) {
                memory.found(&room);
            }
        }
    }
    Ok(())
}
