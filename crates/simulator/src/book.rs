//! What must be true, and the history that says why it is not: changes that were acknowledged, the record of commits, what
//! the app's backend and the members were told.

mod rooms;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use room::{Event, Millis, RoomId, UserId, What};
use store::{Entry, News};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

pub use self::rooms::Room;
use self::shared::Commit;
pub use self::shared::HEARD;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: &'static str,
    /// How.
    pub why: String,
}

/// A ban that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Banned {
    /// By the machine's wall.
    pub until: Millis,
    /// When it was acknowledged.
    pub since: Instant,
}

/// A message as all must see it: by room, life of the group and number.
pub type Place = (RoomId, u64, u64);

/// All that is known.
#[derive(Default)]
pub struct Book {
    pages: Mutex<Pages>,
    stop: Notify,
    over: AtomicBool,
}

/// What is written down.
pub struct Pages {
    begun: Instant,
    /// What happened, for people.
    pub history: Vec<String>,
    /// The first rule that was broken.
    pub broken: Option<Broken>,
    /// The rooms, as their events say.
    pub rooms: BTreeMap<RoomId, Room>,
    /// Events that were let out and not yet found in the record of commits.
    pub let_out: Vec<Event>,
    /// Up to where the record was read.
    pub place: String,
    /// When a member last gave a sign of life.
    pub seen: BTreeMap<(RoomId, UserId), Instant>,
    /// When it pushed a stream to it.
    pub pushed: BTreeMap<(RoomId, UserId), Instant>,
    /// Who is kept out, and out of what.
    pub banned: BTreeMap<(UserId, Option<RoomId>), Banned>,
    /// Sessions that logged out.
    pub ended: BTreeMap<u64, Instant>,
    /// What a user's custom field may hold: what was acknowledged last, and what nobody knows of since.
    pub fields: BTreeMap<(RoomId, u64, String), Vec<String>>,
    /// What stands in chat.
    pub said: BTreeMap<Place, String>,
    /// The newest message of each group that was acknowledged and is on disk.
    pub last_said: BTreeMap<(RoomId, u64), u64>,
    /// The newest message of each group when the process began.
    pub began: BTreeMap<(RoomId, u64), u64>,
    /// Some file has rotted.
    pub rot: bool,
    /// Ids of webhooks that were accepted.
    pub accepted: BTreeSet<String>,
    /// Webhooks that came again since the process began, and were not on the way when the last one ended.
    pub again: usize,
    /// They must be few: nothing was wrong with the disk when the last process ended.
    pub few_again: bool,
    /// Ids whose answer was lost: they come again.
    pub unanswered: BTreeSet<String>,
    /// Since when nothing is wrong with the machine.
    pub calm: Instant,
    /// Since when the disk is well.
    pub disk_well: Instant,
    /// The record may have lost one change.
    pub rotten: usize,
    /// How many calls were answered well.
    pub calls: u64,
    /// There are several nodes.
    pub shared: bool,
    /// What is acknowledged is at a replica.
    pub waits: bool,
    /// What is committed in Redis.
    pub commits: Vec<Commit>,
    /// How many of them were acknowledged.
    pub acknowledged: usize,
    /// When commits were lost last.
    pub lost: Option<Instant>,
    /// Groups of which nodes say different things, and since when.
    pub differ: BTreeMap<RoomId, Instant>,
}

impl Default for Pages {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            history: Vec::new(),
            broken: None,
            rooms: BTreeMap::new(),
            let_out: Vec::new(),
            place: "0".into(),
            seen: BTreeMap::new(),
            pushed: BTreeMap::new(),
            banned: BTreeMap::new(),
            ended: BTreeMap::new(),
            fields: BTreeMap::new(),
            said: BTreeMap::new(),
            last_said: BTreeMap::new(),
            began: BTreeMap::new(),
            rot: false,
            accepted: BTreeSet::new(),
            again: 0,
            few_again: true,
            unanswered: BTreeSet::new(),
            calm: now,
            disk_well: now,
            rotten: 0,
            calls: 0,
            shared: false,
            waits: false,
            commits: Vec::new(),
            acknowledged: 0,
            lost: None,
            differ: BTreeMap::new(),
        }
    }
}

impl Pages {
    /// Writes a line.
    pub fn note(&mut self, text: impl AsRef<str>) {
        let at = self.begun.elapsed().as_secs_f64();
        self.history.push(format!("{at:9.3} {}", text.as_ref()));
    }

    /// A rule is broken; the first one counts.
    pub fn broken(&mut self, rule: &'static str, why: impl Into<String>) {
        let why = why.into();
        self.note(format!("BROKEN {rule}: {why}"));
        self.broken.get_or_insert(Broken { rule, why });
    }

    /// A change was committed.
    pub fn committed(&mut self, event: &Event) {
        let now = Instant::now();
        if let What::Left { user, reason: room::LeaveReason::Timeout } = &event.what {
            self.timed_out(&event.room, user, now);
        }
        if let What::Joined { user } = &event.what
            && self.shared
        {
            // Before its node has the answer.
            self.seen.insert((event.room.clone(), user.clone()), now);
        }
        let tainted = self.rotten > 0;
        let room = self.rooms.entry(event.room.clone()).or_default();
        let done = room.apply(event, tainted);
        self.note(format!("  commit {} {} {:?}", event.room, event.seq, event.what));
        if let Err(why) = done {
            self.broken("one leave a join, numbers without gaps", format!("{}: {why}", event.room));
        }
    }

    /// A member gave a sign of life then.
    pub fn seen_at(&mut self, room: &RoomId, user: &UserId, at: Instant) {
        let seen = self.seen.entry((room.clone(), user.clone())).or_insert(at);
        *seen = at.max(*seen);
    }

    /// The shortest silence for which anybody is removed: 20 s at one and a half times the speed.
    const SHORTEST: Duration = Duration::from_millis(13_000);

    fn timed_out(&mut self, room: &RoomId, user: &UserId, now: Instant) {
        let seen = self.seen.get(&(room.clone(), user.clone())).copied().unwrap_or(self.begun);
        let silent = now.saturating_duration_since(seen);
        if silent < Self::SHORTEST {
            self.broken("who gives signs of life stays", format!("{user} in {room} was silent for {silent:?} only"));
        }
    }

    /// Looks what takes too long where nothing is wrong; `wall` is what the machine shows. Who `pushes` a stream is not silent.
    pub fn look(&mut self, wall: Millis, pushes: impl Fn(&RoomId, &UserId) -> bool) {
        let now = Instant::now();
        for (id, room) in &self.rooms {
            for user in room.members.iter().filter(|user| pushes(id, user)) {
                self.pushed.insert((id.clone(), user.clone()), now);
            }
        }
        let calm = now.saturating_duration_since(self.calm);
        if calm < LONGEST {
            return;
        }
        let mut wrong = Vec::new();
        for (id, room) in self.rooms.iter().filter(|(_, room)| !room.rotten) {
            for user in &room.members {
                let of_it = (id.clone(), user.clone());
                let seen = [&self.seen, &self.pushed].into_iter().filter_map(|at| at.get(&of_it)).max().copied();
                let seen = seen.unwrap_or(self.begun);
                let silent = now.saturating_duration_since(seen);
                if silent > LONGEST {
                    wrong.push(("who is silent goes", format!("{user} in {id} was silent for {silent:?}")));
                }
                for of in [None, Some(id.clone())] {
                    if let Some(ban) = self.banned.get(&(user.clone(), of))
                        && ban.until > wall
                        && now.saturating_duration_since(ban.since) > LONGEST
                    {
                        wrong.push(("a ban holds", format!("{user} is in {id}")));
                    }
                }
            }
        }
        for (rule, why) in wrong {
            self.broken(rule, why);
        }
    }
}

/// The longest silence for which somebody stays, and the longest time in which things heal that need no one else: 20 s at half
/// the speed, five more if the live service did not know, and some for the work itself.
pub const LONGEST: Duration = Duration::from_secs(55);

impl Book {
    /// Works on it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Pages) -> T) -> T {
        let mut pages = self.pages.lock();
        let done = work(&mut pages);
        if pages.broken.is_some() && !self.over.swap(true, Ordering::SeqCst) {
            self.stop.notify_one();
        }
        done
    }

    /// Writes a line.
    pub fn note(&self, text: impl AsRef<str>) {
        self.with(|pages| pages.note(text));
    }

    /// A rule is broken.
    pub fn broken(&self, rule: &'static str, why: impl Into<String>) {
        self.with(|pages| pages.broken(rule, why));
    }

    /// Returns when a rule is broken.
    pub async fn wait(&self) {
        self.stop.notified().await;
    }

    /// An event was let out.
    pub fn let_out(&self, events: &[Event]) {
        self.with(|pages| {
            for event in events {
                pages.committed(event);
                pages.let_out.push(event.clone());
            }
        });
    }

    /// Compares the record of commits with what was let out; at a start, what is more was committed and not let out.
    pub fn record(&self, entries: Vec<Entry>, start: bool) {
        self.with(|pages| {
            for Entry { place, news } in entries {
                let events: Vec<Event> = news.into_iter().filter_map(News::into_event).collect();
                if !start && events.len() > pages.let_out.len() {
                    // It is just being let out.
                    return;
                }
                pages.place = place;
                events.into_iter().for_each(|event| pages.recorded(event));
            }
            if start && !pages.let_out.is_empty() {
                let lost: Vec<Event> = pages.let_out.drain(..).collect();
                pages.lost(&lost);
            }
        });
    }
}

impl Pages {
    /// Something is lost. One thing may be, where a file has rotted.
    pub fn lost_one(&mut self, why: String) {
        if self.rotten == 0 {
            return self.broken("nothing acknowledged is lost", why);
        }
        self.rotten -= 1;
        self.note(format!("rotten: {why}"));
    }

    /// The same of a room, of which nothing is held to be true any more.
    pub fn lost_room(&mut self, id: &RoomId, why: String) {
        self.lost_one(why);
        if let Some(room) = self.rooms.get_mut(id) {
            room.rotten = true;
        }
    }

    fn recorded(&mut self, event: Event) {
        let Some(at) = self.let_out.iter().position(|out| *out == event) else {
            if let Some(next) = self.let_out.first() {
                // Unless that rotted, and this was written by a process that did not live to let it out.
                if self.rotten == 0 {
                    let text = format!("let out {} {}, recorded {} {}", next.room, next.seq, event.room, event.seq);
                    return self.broken("nothing acknowledged is lost", text);
                }
                let lost: Vec<Event> = self.let_out.drain(..).collect();
                self.lost(&lost);
            }
            return self.committed(&event);
        };
        let lost: Vec<Event> = self.let_out.drain(..=at).take(at).collect();
        self.lost(&lost);
    }

    /// The record lacks these. One change may be, where a file has rotted.
    fn lost(&mut self, events: &[Event]) {
        let Some(first) = events.first() else { return };
        let text = format!("the record lacks {} changes from {} {} on", events.len(), first.room, first.seq);
        // The events of one change.
        if events.iter().any(|event| event.room != first.room) || events.len() > 8 {
            return self.broken("nothing acknowledged is lost", text);
        }
        self.lost_room(&first.room.clone(), text);
    }
}
