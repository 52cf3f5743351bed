//! Who was seen where, in Redis: for each partition the users at each node, and those who are away by the time until which they may come
//! back. Nodes that die are found by those that live.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use redis::AsyncCommands;
use room::presence::{Seen, Sign};
use room::{Millis, RoomId};

use super::keys::Keys;
use super::{ABREAST, Redis, scripts};
use crate::error::Error;
use crate::{Answer, Looked, Presences};

/// Users in one step.
const AT_ONCE: usize = 128;
/// Users whose time is up that are looked at in one step, and steps of one go; more go on at the next look.
const MOST_DUE: usize = 1_000;
const ROUNDS: usize = 20;
/// Most who are waited for in a partition; beyond it those who were to be looked at first are left in their audiences.
const MOST_AWAY: usize = 1_000_000;
/// Most who are put back of those taken out of a room, and for how long, in milliseconds.
const MOST_OUT: usize = 100_000;
const OUT_FOR: u64 = DAY;
/// A node's users are forgotten when it has said nothing for so long and no node looked either, in milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// For how long it is remembered when a service last spoke of a user, in milliseconds.
const REMEMBERED: u64 = 10 * 60_000;

impl Presences for Redis {
    fn seen<'a>(&'a self, node: Option<u64>, seen: &'a [Seen], now: Millis) -> Answer<'a, Vec<RoomId>> {
        Box::pin(async move {
            let mut rooms: HashMap<&RoomId, Vec<&Seen>> = HashMap::new();
            for one in seen {
                rooms.entry(&one.room).or_default().push(one);
            }
            let parts: Vec<(RoomId, Vec<Seen>)> = rooms
                .into_iter()
                .flat_map(|(room, seen)| {
                    let some = |some: &[&Seen]| (room.clone(), some.iter().copied().cloned().collect());
                    seen.chunks(AT_ONCE).map(some).collect::<Vec<_>>()
                })
                .collect();
            let said = stream::iter(parts).map(async |(room, seen)| {
                let changed = self.seen_in(&room, node, &seen, now).await?;
                Ok::<_, Error>(changed.then_some(room))
            });
            let changed: Vec<Option<RoomId>> = said.buffered(ABREAST).try_collect().await?;
            Ok(changed.into_iter().flatten().collect())
        })
    }

    fn begin<'a>(&'a self, node: u64, everybody: &'a [Seen], grace: u64, now: Millis) -> Answer<'a, Vec<RoomId>> {
        Box::pin(async move {
            for partition in 0..self.keys.partitions() {
                self.adopt(partition, node, grace).await?;
            }
            let changed = self.seen(Some(node), everybody, now).await?;
            // Only now it says whom it has: before that, no user is taken out.
            for partition in 0..self.keys.partitions() {
                let key = Keys::presences(partition);
                self.link.run(async |mut redis| redis.sadd::<_, _, ()>(&key, node).await).await?;
            }
            Ok(changed)
        })
    }

    fn look(&self, node: Option<u64>, grace: u64) -> Answer<'_, Looked> {
        Box::pin(async move {
            let mut looked = Looked::default();
            let mut alive: Vec<u64> = Vec::new();
            if let Some(node) = node {
                alive = self.link.run(async |mut redis| redis.zrange(Keys::NODES, 0, -1).await).await?;
                // It has not shown itself yet, or not for a while.
                if !alive.contains(&node) {
                    return Ok(looked);
                }
            }
            for partition in 0..self.keys.partitions() {
                self.look_at(partition, node, &alive, grace, &mut looked).await?;
            }
            Ok(looked)
        })
    }
}

impl Redis {
    async fn seen_in(&self, room: &RoomId, node: Option<u64>, seen: &[Seen], now: Millis) -> Result<bool, Error> {
        let keys = &self.keys;
        let partition = keys.partition(room);
        let mut script = scripts::SEEN.prepare_invoke();
        script.key(keys.room(room)).key(keys.listed(room)).key(keys.infos(room)).key(keys.others(room));
        script.key(Keys::totals(partition)).key(keys.out(room)).key(Keys::away(partition));
        script.key(Keys::present(partition, node.unwrap_or_default())).key(Keys::spoken(partition));
        script.arg(room.as_str()).arg(node.map_or_else(String::new, |node| node.to_string()));
        script.arg(self.rules.max_audiences).arg(MOST_AWAY).arg(DAY).arg(REMEMBERED);
        for one in seen {
            let (sign, left) = match one.sign {
                Sign::Here => ("here", 0),
                Sign::Quit => ("quit", 0),
                Sign::Gone => ("gone", 0),
                Sign::Away(until) => ("away", until.since(now)),
            };
            script.arg(sign).arg(one.user.as_str()).arg(left);
            script.arg(one.at.map_or_else(String::new, |at| at.0.to_string()));
        }
        self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await
    }

    /// Looks at one partition.
    async fn look_at(
        &self,
        partition: usize,
        node: Option<u64>,
        alive: &[u64],
        grace: u64,
        looked: &mut Looked,
    ) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let mut script = scripts::ABSENT.prepare_invoke();
            script.key(Keys::presences(partition)).key(Keys::away(partition));
            script.key(Keys::present(partition, node.unwrap_or_default())).arg(DAY).arg(MOST_DUE);
            let (nodes, due): (Vec<u64>, Vec<String>) =
                self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
            looked.begins |= node.is_some_and(|node| !nodes.contains(&node));
            if node.is_some() {
                for dead in nodes.iter().filter(|node| !alive.contains(node)) {
                    self.adopt(partition, *dead, grace).await?;
                }
            }
            // One of an older version, or one that is just beginning, may have them.
            if due.is_empty() || alive.iter().any(|node| !nodes.contains(node)) {
                return Ok(());
            }
            let mut rooms: HashMap<RoomId, Vec<&str>> = HashMap::new();
            for (room, user) in due.iter().filter_map(|who| who.split_once(' ')) {
                if let Ok(room) = RoomId::parse(room) {
                    rooms.entry(room).or_default().push(user);
                }
            }
            for (room, users) in rooms {
                let mut left = 0;
                for some in users.chunks(AT_ONCE) {
                    left += self.take_out(partition, &room, alive, some).await?.max(0);
                }
                if left > 0 {
                    looked.changed.push(room);
                }
            }
            if due.len() < MOST_DUE {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn take_out(&self, partition: usize, room: &RoomId, alive: &[u64], users: &[&str]) -> Result<i64, Error> {
        let keys = &self.keys;
        let mut script = scripts::TAKE_OUT.prepare_invoke();
        script.key(keys.listed(room)).key(keys.infos(room)).key(keys.others(room)).key(Keys::totals(partition));
        script.key(keys.out(room)).key(Keys::away(partition)).key(Keys::presences(partition));
        script.arg(room.as_str()).arg(MOST_OUT).arg(OUT_FOR).arg(alive.len());
        for node in alive {
            script.key(Keys::present(partition, *node)).arg(*node);
        }
        for user in users {
            script.arg(*user);
        }
        self.link.change(async |mut redis| script.invoke_async(&mut redis).await).await
    }

    /// Whom a node had is away from now on.
    async fn adopt(&self, partition: usize, node: u64, grace: u64) -> Result<(), Error> {
        loop {
            let mut script = scripts::ADOPT.prepare_invoke();
            script.key(Keys::presences(partition)).key(Keys::away(partition)).key(Keys::present(partition, node));
            script.arg(node).arg(grace).arg(AT_ONCE);
            let more: bool = self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
            if !more {
                return Ok(());
            }
        }
    }
}
