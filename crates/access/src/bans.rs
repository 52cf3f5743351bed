//! Who is kept out of what, as this node knows it, and the sessions that end with it. Knows no HTTP; who bans,
//! and what else then happens, stands in `crates/rooms/src/moderation.rs`.

mod running;

use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use room::{Millis, RoomId, UserId};

use store::Ban;

pub use running::Running;

/// Most bans at a time.
pub const MOST: usize = 100_000;
/// For so long, in milliseconds, a lifted ban is remembered: the news of its beginning may come once more.
const REMEMBERED: u64 = 10 * 60_000;

/// How often what is over is forgotten, in milliseconds.
const CLEANED: u64 = 60_000;

/// The bans in force. Asked on every call: costs nothing while there are none.
#[derive(Debug, Default)]
pub struct Bans {
    table: RwLock<Table>,
    count: AtomicUsize,
    /// Sessions that are let in.
    pub running: Running,
}

/// By whose ban of what a stream is refused, and until when.
type Held = (UserId, Option<RoomId>, Millis);

#[derive(Debug, Default)]
struct Table {
    by_user: HashMap<UserId, Vec<Ban>>,
    /// Streams that may not be pushed, and by whose ban of what until when.
    streams: HashMap<Box<str>, Vec<Held>>,
    /// How many bans there are.
    count: usize,
    /// When what is over was last forgotten.
    cleaned: Millis,
}

impl Bans {
    /// Takes bans in, older ones first. Gives those that were news here.
    pub fn take(&self, bans: Vec<Ban>, now: Millis) -> Vec<Ban> {
        if bans.is_empty() {
            return bans;
        }
        let mut table = self.table.write();
        let news: Vec<Ban> = bans.into_iter().filter(|ban| table.put(ban)).collect();
        if news.is_empty() {
            return news;
        }
        // Every call reads the table: what a ban costs must not grow with all that there are.
        if now.since(table.cleaned) >= CLEANED {
            table.clean(now);
        }
        self.count.store(table.count, Ordering::Release);
        news
    }

    /// Until when a user is kept out of everything, or of this room.
    #[must_use]
    pub fn until(&self, user: &UserId, room: Option<&RoomId>, now: Millis) -> Option<Millis> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let table = self.table.read();
        let bans = table.by_user.get(user)?.iter();
        let here = |ban: &&Ban| ban.until > now && (ban.room.is_none() || ban.room.as_ref() == room);
        bans.filter(here).map(|ban| ban.until).max()
    }

    /// Until when a stream of this name is refused.
    #[must_use]
    pub fn stream(&self, name: &str, now: Millis) -> Option<Millis> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let table = self.table.read();
        let until = table.streams.get(name)?.iter().map(|(.., until)| *until).max();
        until.filter(|until| *until > now)
    }

    /// The ban of a user in a room, or of everything.
    #[must_use]
    pub fn get(&self, user: &UserId, room: Option<&RoomId>, now: Millis) -> Option<Ban> {
        let table = self.table.read();
        let mut bans = table.by_user.get(user)?.iter();
        bans.find(|ban| ban.room.as_ref() == room && ban.until > now).cloned()
    }

    /// When a ban of this user and room was last said or lifted.
    #[must_use]
    pub fn last_said(&self, user: &UserId, room: Option<&RoomId>) -> Option<Millis> {
        let table = self.table.read();
        table.by_user.get(user)?.iter().find(|ban| ban.room.as_ref() == room).map(|ban| ban.at)
    }

    /// Those in force: by user, then by room, those of everything first.
    #[must_use]
    pub fn list(&self, now: Millis) -> Vec<Ban> {
        let table = self.table.read();
        let mut bans: Vec<Ban> = table.by_user.values().flatten().filter(|ban| ban.until > now).cloned().collect();
        bans.sort_by(|a, b| (&a.user, &a.room).cmp(&(&b.user, &b.room)));
        bans
    }

    /// How many there are, with those that were lifted of late.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    /// Says whether it was news.
    fn put(&mut self, ban: &Ban) -> bool {
        let bans = self.by_user.entry(ban.user.clone()).or_default();
        match bans.iter_mut().find(|old| old.room == ban.room) {
            Some(old) if old.at >= ban.at => return false,
            Some(old) => {
                let before = std::mem::replace(old, ban.clone());
                self.open(&before);
            }
            None => {
                bans.push(ban.clone());
                self.count += 1;
            }
        }
        if !ban.lifts() {
            for stream in &ban.streams {
                let of = (ban.user.clone(), ban.room.clone(), ban.until);
                self.streams.entry(stream.as_str().into()).or_default().push(of);
            }
        }
        true
    }

    /// Lets the streams of a ban go.
    fn open(&mut self, ban: &Ban) {
        for stream in &ban.streams {
            if let Some(held) = self.streams.get_mut(stream.as_str()) {
                held.retain(|(user, room, _)| (user, room) != (&ban.user, &ban.room));
                if held.is_empty() {
                    self.streams.remove(stream.as_str());
                }
            }
        }
    }

    /// Forgets what is over.
    fn clean(&mut self, now: Millis) {
        self.by_user.retain(|_, bans| {
            bans.retain(|ban| ban.until > now || ban.at.plus(REMEMBERED) > now);
            !bans.is_empty()
        });
        self.streams.retain(|_, held| {
            held.retain(|(.., until)| *until > now);
            !held.is_empty()
        });
        self.count = self.by_user.values().map(Vec::len).sum();
        self.cleaned = now;
    }
}

#[cfg(test)]
mod tests {
    use room::StreamId;

    use super::*;

    fn ban(user: &str, room: Option<&str>, at: u64, until: u64) -> Ban {
        Ban {
            user: UserId::parse(user).unwrap(),
            room: room.map(|room| RoomId::parse(room).unwrap()),
            until: Millis(until),
            at: Millis(at),
            streams: vec![StreamId::parse("fresh").unwrap()],
            reason: "".into(),
            kick: false,
        }
    }

    #[test]
    fn a_ban_holds_where_it_says_and_until_then() {
        let bans = Bans::default();
        let bob = UserId::parse("bob").unwrap();
        let now = Millis(10);
        let here = RoomId::parse("here").unwrap();
        let there = RoomId::parse("there").unwrap();
        assert_eq!(bans.take(vec![ban("bob", Some("here"), 10, 50)], now).len(), 1);
        assert_eq!(bans.until(&bob, Some(&here), now), Some(Millis(50)));
        assert_eq!(bans.until(&bob, Some(&there), now), None);
        assert_eq!(bans.until(&bob, None, now), None);
        assert_eq!(bans.until(&UserId::parse("bobby").unwrap(), Some(&here), now), None);
        assert_eq!(bans.stream("fresh", now), Some(Millis(50)));
        assert_eq!((bans.until(&bob, Some(&here), Millis(50)), bans.stream("fresh", Millis(50))), (None, None));
        bans.take(vec![ban("bob", None, 11, 90)], now);
        assert_eq!(bans.until(&bob, Some(&there), now), Some(Millis(90)));
        assert_eq!(bans.list(now).len(), 2);
    }

    #[test]
    fn a_stream_is_open_again_when_the_last_ban_that_names_it_is_lifted() {
        let bans = Bans::default();
        let now = Millis(20);
        bans.take(vec![ban("bob", None, 10, 90), ban("bob", Some("here"), 10, 50), ban("bob", None, 12, 70)], now);
        assert_eq!(bans.stream("fresh", now), Some(Millis(70)), "the newest word about everything");
        bans.take(vec![ban("bob", None, 15, 0)], now);
        assert_eq!((bans.stream("fresh", now), bans.len()), (Some(Millis(50)), 2));
        bans.take(vec![ban("bob", Some("here"), 16, 0)], now);
        assert_eq!(bans.stream("fresh", now), None);
        assert!(bans.table.read().streams.is_empty());
    }

    /// One more costs the same, however many there are: ten thousand into a table of many are a matter of moments.
    #[test]
    fn a_ban_costs_the_same_however_many_there_are() {
        let bans = Bans::default();
        let now = Millis(70_000);
        let all = (0..100_000).map(|n| Ban { streams: Vec::new(), ..ban(&format!("u{n}"), None, 1, u64::MAX) });
        bans.take(all.collect(), now);
        let begun = std::time::Instant::now();
        for n in 0..10_000 {
            bans.take(vec![ban(&format!("v{n}"), None, 1, u64::MAX)], now);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(bans.len(), 110_000);
    }

    #[test]
    fn the_newest_word_counts_in_whatever_order_it_comes() {
        let bans = Bans::default();
        let bob = UserId::parse("bob").unwrap();
        let now = Millis(20);
        bans.take(vec![ban("bob", None, 10, 90)], now);
        assert_eq!(bans.take(vec![ban("bob", None, 15, 0)], now).len(), 1, "lifted");
        assert_eq!(bans.until(&bob, None, now), None);
        assert!(bans.take(vec![ban("bob", None, 10, 90), ban("bob", None, 15, 0)], now).is_empty(), "heard again");
        assert_eq!((bans.until(&bob, None, now), bans.stream("fresh", now)), (None, None));
        let later = Millis(15 + REMEMBERED);
        bans.take(vec![ban("eve", None, later.0, u64::MAX)], later);
        assert_eq!(bans.len(), 1, "what is over is forgotten");
    }
}
