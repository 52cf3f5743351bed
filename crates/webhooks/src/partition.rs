//! Where a URL stands in one partition of the record. An event that is refused holds back its own room and no other, and a room
//! with very many events is told in turns, beside which the others are: how far these are notified, and from where on each room that
//! waits is not, is saved beside the place, and outlives a restart.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use room::{Millis, RoomId};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::body;
use super::hook::{ABREAST, BATCH, FIRST_WAIT, Hook, LONGEST_WAIT};
use super::progress::Behind;
use store::error::Error;
use store::mends::{Mend, is_out};
use store::{Entry, News};

/// For how long a node has a partition to itself.
const LEASE: Duration = Duration::from_secs(30);
/// Most rooms of a partition that are held back. One more holds up the partition, as all of them would if the URL were down.
pub(super) const MOST_HELD: usize = 64;
/// Most rooms of a partition that wait for their next turn. Of more, each is told to the end of the batch before anything else is.
const MOST_BUSY: usize = 64;
/// An event that is refused so often in a row holds back its room.
const TRIES: u32 = 3;
/// What was told of a batch is noted so long after the first event that is not, for all of them together.
const NOTED: Duration = Duration::from_millis(50);
/// A note takes no more than this part of the time: each makes a file durable, which a slow disk has other uses for.
const SPARED: u32 = 10;
/// Notes are no further apart, however slow the store is: what was told since the last one is told again after a kill.
const MAX_REST: Duration = Duration::from_secs(5);
/// For how long a room is told of its events before the others have their turn again, and these before that room has.
const TURN: Duration = Duration::from_millis(500);
/// Batches that are read for a room in a turn.
const READ: usize = 8;

/// Where a URL stands in a partition.
#[derive(Debug, Default)]
pub struct Partition {
    /// None until the partition is ours.
    ahead: Option<Ahead>,
    /// When it was ours for certain.
    ours: Option<Instant>,
}

/// How far the rooms are notified that nothing holds back, and those that something does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ahead {
    upto: String,
    held: BTreeMap<String, Held>,
    /// Of the events after `upto`, the last one of each room that was told: a batch that a restart interrupted is not told again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    told: BTreeMap<String, String>,
    /// This is newer than what is saved.
    #[serde(skip)]
    unsaved: bool,
}

/// What is told of a batch while it is told.
#[derive(Debug, Default)]
struct Told {
    rooms: Mutex<BTreeMap<String, String>>,
    /// There is something new, or the batch is done.
    news: Notify,
    done: AtomicBool,
}

impl Told {
    fn add(&self, room: &str, id: &str) {
        self.rooms.lock().insert(room.to_owned(), id.to_owned());
        self.news.notify_one();
    }

    fn has(&self, room: &str, id: &str) -> bool {
        self.rooms.lock().get(room).is_some_and(|last| id <= last.as_str())
    }

    fn done(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.news.notify_one();
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

/// A room that waits: to be tried again, or for its next turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    /// A place before its first event that is not accepted.
    from: String,
    /// That event, and when it happened.
    id: String,
    at: Millis,
    /// How many of its events were read and not sent.
    waiting: u64,
    #[serde(skip)]
    wrong: u32,
    #[serde(skip)]
    wait: Duration,
    /// When that event is tried again. None: it was not refused since the start, and is due.
    #[serde(skip)]
    next: Option<Instant>,
}

/// Places for rooms that are held back.
struct Free {
    refused: Semaphore,
    busy: Semaphore,
}

impl Free {
    fn beside(held: &BTreeMap<String, Held>) -> Self {
        let refused = held.values().filter(|held| held.next.is_some()).count();
        Free {
            refused: Semaphore::new(MOST_HELD.saturating_sub(refused)),
            // A busy room that is refused takes no place of those: then fewer may be busy.
            busy: Semaphore::new((MOST_HELD + MOST_BUSY).saturating_sub(held.len()).min(MOST_BUSY)),
        }
    }
}

/// An event with its id, and a place before it.
struct Item<'a> {
    before: &'a str,
    id: String,
    news: &'a News,
}

fn items<'a>(partition: usize, start: &'a str, entries: &'a [Entry]) -> impl Iterator<Item = Item<'a>> {
    let before = std::iter::once(start).chain(entries.iter().map(|entry| &*entry.place));
    entries.iter().zip(before).flat_map(move |(entry, before)| {
        let of = move |(n, news)| Item { before, id: body::id(partition, &entry.place, n), news };
        entry.news.iter().enumerate().map(of)
    })
}

/// The room of an event; those that concern none are held to be of one.
fn room(news: &News) -> &str {
    news.room().map_or("", RoomId::as_str)
}

impl Ahead {
    /// The place before which everything is sent.
    fn place(&self, partition: usize) -> &str {
        let held = self.held.values().map(|held| &held.from);
        held.chain([&self.upto]).min_by_key(|place| body::id(partition, place, 0)).unwrap_or(&self.upto)
    }

    /// Whether a room waits for its turn alone.
    fn is_busy(&self) -> bool {
        self.held.values().any(|held| held.next.is_none())
    }
}

impl Hook {
    /// Tells a partition's next events, and those that are to be tried again. Returns when each is accepted, given up, or held
    /// back with its room.
    ///
    /// # Errors
    /// The store is away; nothing is skipped.
    pub async fn pass(&self, partition: usize, at: &mut Partition) -> Result<(), Error> {
        let history = &self.history;
        let begun = Instant::now();
        if !history.hold(self.reader(), partition, LEASE).await? {
            at.ahead = None;
            sleep(LEASE / 10).await;
            return Ok(());
        }
        // For so long another node may have had it, and gone further.
        if at.ours.is_none_or(|ours| begun.duration_since(ours) >= LEASE) {
            at.ahead = None;
        }
        let ours = Mutex::new(begun);
        let ahead = match &mut at.ahead {
            Some(ahead) => ahead,
            none => none.insert(self.restore(partition).await?),
        };
        // However long it takes, the partition stays ours.
        let keep = async {
            loop {
                sleep(LEASE / 3).await;
                let asked = Instant::now();
                match history.hold(self.reader(), partition, LEASE).await {
                    Ok(true) => *ours.lock() = asked,
                    Ok(false) => return,
                    // A store that answers nobody gives it to no other node. One that answers others has by then.
                    Err(_) if ours.lock().elapsed() >= LEASE => return,
                    Err(_) => {}
                }
            }
        };
        let done = tokio::select! {
            done = self.advance(partition, ahead) => Some(done),
            () = keep => None,
        };
        at.ours = Some(*ours.lock()).filter(|_| !is_out(Mend::ToldIsKnown));
        // Where something could not be saved, it is still known here what was told.
        done.unwrap_or_else(|| {
            at.ahead = None;
            Err(Error::Unavailable("another node may have taken the partition over".into()))
        })
    }

    /// What is saved of the partition.
    async fn restore(&self, partition: usize) -> Result<Ahead, Error> {
        let place = self.begin(partition).await?;
        let saved = self.history.ahead(self.reader(), partition).await?;
        let saved = saved.and_then(|text| serde_json::from_str::<Ahead>(&text).ok());
        // Both are saved one after the other: the place may be the newer one, and what was noted of a batch is of an older one.
        let fits = |ahead: &Ahead| body::id(partition, &ahead.upto, 0) >= body::id(partition, &place, 0);
        Ok(saved.filter(fits).unwrap_or_else(|| Ahead { upto: place, ..Ahead::default() }))
    }

    async fn advance(&self, partition: usize, ahead: &mut Ahead) -> Result<(), Error> {
        let waited = !ahead.held.is_empty();
        if waited {
            self.try_again_noting(partition, ahead).await?;
        }
        ahead.unsaved |= waited;
        let begun = Instant::now();
        loop {
            let entries = self.read(partition, ahead).await?;
            if entries.is_empty() {
                break;
            }
            let told = self.tell_noting(partition, ahead, &entries).await;
            // Who waits for a turn gives one to the others, however many of its own events are among theirs.
            if !ahead.is_busy() || begun.elapsed() >= TURN {
                break;
            }
            // What only waits is read again after a kill.
            if told {
                self.save(partition, ahead, waited).await?;
            }
        }
        self.show(partition, ahead, &[]);
        self.save(partition, ahead, waited).await
    }

    /// The next new events. They are not waited for where a room can be told meanwhile.
    async fn read(&self, partition: usize, ahead: &Ahead) -> Result<Vec<Entry>, Error> {
        if ahead.is_busy() {
            let end = self.history.end(partition).await?;
            if body::id(partition, &end, 0) <= body::id(partition, &ahead.upto, 0) {
                return Ok(Vec::new());
            }
        }
        let reading = self.history.after(partition, &ahead.upto, BATCH);
        match ahead.held.values().filter_map(|held| held.next).min() {
            Some(next) if !ahead.is_busy() => timeout_at(next, reading).await.unwrap_or(Ok(Vec::new())),
            _ => reading.await,
        }
    }

    /// Tells a batch of new events, and notes what it told. Whether there was anything to tell.
    async fn tell_noting(&self, partition: usize, ahead: &mut Ahead, entries: &[Entry]) -> bool {
        self.show(partition, ahead, entries);
        let told = Told { rooms: Mutex::new(std::mem::take(&mut ahead.told)), ..Told::default() };
        let before = Ahead { upto: ahead.upto.clone(), held: ahead.held.clone(), ..Ahead::default() };
        let telling = async {
            let any = self.tell(partition, &before.upto, entries, &mut ahead.held, &told).await;
            told.done();
            any
        };
        let (any, ()) = tokio::join!(telling, self.keep_told(partition, &before, &told));
        if let Some(last) = entries.last() {
            ahead.upto.clone_from(&last.place);
        }
        ahead.unsaved = true;
        any
    }

    /// Saves where the URL stands, unless that is saved.
    async fn save(&self, partition: usize, ahead: &mut Ahead, waited: bool) -> Result<(), Error> {
        if !ahead.unsaved {
            return Ok(());
        }
        if waited || !ahead.held.is_empty() {
            let text = serde_json::to_string(ahead).unwrap_or_default();
            self.history.save_ahead(self.reader(), partition, &text).await?;
        }
        self.history.save(self.reader(), partition, ahead.place(partition)).await?;
        ahead.unsaved = false;
        Ok(())
    }

    /// Notes what is told of a batch, until it is done.
    async fn keep_told(&self, partition: usize, before: &Ahead, told: &Told) {
        if is_out(Mend::ToldIsNoted) {
            return;
        }
        let mut rest = NOTED;
        loop {
            told.news.notified().await;
            // Others are told meanwhile. A batch that is done soon is noted as a whole.
            let _ = timeout(rest, async {
                while !told.is_done() {
                    told.news.notified().await;
                }
            })
            .await;
            if told.is_done() {
                return;
            }
            let rooms = told.rooms.lock().clone();
            let now = Ahead { upto: before.upto.clone(), held: before.held.clone(), told: rooms, unsaved: false };
            let text = serde_json::to_string(&now).unwrap_or_default();
            let begun = Instant::now();
            let saved = self.history.save_ahead(self.reader(), partition, &text).await;
            rest = (begun.elapsed() * SPARED).clamp(NOTED, MAX_REST);
            if let Err(error) = saved {
                tracing::debug!(%error, "what a webhook was told is not noted; after a restart it is told again");
            }
        }
    }

    /// Tells new events, room by room; rooms that are held back, or are now, are left for later. Whether there was a room to tell.
    async fn tell(
        &self,
        partition: usize,
        start: &str,
        entries: &[Entry],
        held: &mut BTreeMap<String, Held>,
        told: &Told,
    ) -> bool {
        let mut rooms: BTreeMap<&str, Vec<Item<'_>>> = BTreeMap::new();
        for item in items(partition, start, entries) {
            if told.has(room(item.news), &item.id) {
                continue;
            }
            match held.get_mut(room(item.news)) {
                Some(held) => held.waiting += 1,
                None => rooms.entry(room(item.news)).or_default().push(item),
            }
        }
        let any = !rooms.is_empty();
        let free = Free::beside(held);
        let mut telling = Vec::new();
        for (name, all) in rooms {
            telling.push(self.tell_room(name, all, &free, told).boxed());
        }
        let waiting: Vec<_> = stream::iter(telling).buffer_unordered(ABREAST).collect().await;
        held.extend(waiting.into_iter().flatten());
        any
    }

    /// Tells events of a room for as long as its turn is. Gives the room where it is held back.
    async fn tell_room(&self, name: &str, all: Vec<Item<'_>>, free: &Free, told: &Told) -> Option<(String, Held)> {
        let begun = Instant::now();
        for (n, Item { before, id, news }) in all.iter().enumerate() {
            let hold = |wrong, wait, next| {
                let waiting = (all.len() - n) as u64;
                let held =
                    Held { from: (*before).to_owned(), id: id.clone(), at: news.at(), waiting, wrong, wait, next };
                Some((name.to_owned(), held))
            };
            if n > 0
                && begun.elapsed() >= TURN
                && let Ok(place) = free.busy.try_acquire()
            {
                place.forget();
                return hold(0, Duration::ZERO, None);
            }
            let mut wrong = 0;
            let mut wait = FIRST_WAIT;
            let mut tries = 0;
            while let Err(why) = self.try_one(id, news, &mut wrong).await {
                tries += 1;
                if tries >= TRIES
                    && let Ok(place) = free.refused.try_acquire()
                {
                    place.forget();
                    self.complaints.tell(name, id, &why);
                    return hold(wrong, wait, Some(Instant::now() + wait));
                }
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            told.add(name, id);
        }
        None
    }

    /// Tries the rooms again whose time has come, and notes what they are told.
    async fn try_again_noting(&self, partition: usize, ahead: &mut Ahead) -> Result<(), Error> {
        let told = Told { rooms: Mutex::new(ahead.told.clone()), ..Told::default() };
        let before = ahead.clone();
        let trying = async {
            let tried = self.try_again(partition, ahead, &told).await;
            told.done();
            tried
        };
        let (tried, ()) = tokio::join!(trying, self.keep_told(partition, &before, &told));
        tried?;
        // From here on the rooms themselves say how far they are.
        ahead.told.retain(|room, _| !before.held.contains_key(room));
        if *told.rooms.lock() != before.told {
            let text = serde_json::to_string(ahead).unwrap_or_default();
            self.history.save_ahead(self.reader(), partition, &text).await?;
        }
        Ok(())
    }

    /// Tries the rooms again whose time has come, and lets those go that have caught up.
    async fn try_again(&self, partition: usize, ahead: &mut Ahead, told: &Told) -> Result<(), Error> {
        let now = Instant::now();
        let upto = ahead.upto.clone();
        let mut trying = Vec::new();
        for (name, held) in &mut ahead.held {
            if held.next.is_none_or(|next| next <= now) {
                trying.push(self.catch_up(partition, &upto, name, held, told).boxed());
            }
        }
        let done: Vec<_> = stream::iter(trying).buffer_unordered(ABREAST).collect().await;
        for name in done {
            if let Some(name) = name? {
                ahead.held.remove(&name);
            }
        }
        Ok(())
    }

    /// Tells what a room has missed, until it is refused again or its turn is over. Gives its name when nothing is left.
    async fn catch_up(
        &self,
        partition: usize,
        upto: &str,
        name: &str,
        held: &mut Held,
        told: &Told,
    ) -> Result<Option<String>, Error> {
        let last = body::id(partition, upto, 0);
        let begun = Instant::now();
        let mut tried = false;
        // The others have their turn where that ends with more to tell.
        let is_over = |tried: bool| tried && begun.elapsed() >= TURN;
        for _ in 0..READ {
            if body::id(partition, &held.from, 0) >= last {
                return Ok(Some(name.to_owned()));
            }
            let start = held.from.clone();
            let mut entries = self.history.after(partition, &start, BATCH).await?;
            entries.retain(|entry| body::id(partition, &entry.place, 0) <= last);
            let Some(newest) = entries.last() else { return Ok(Some(name.to_owned())) };
            let all: Vec<Item<'_>> = items(partition, &start, &entries).collect();
            for Item { before, id, news } in all {
                if room(news) != name || id < held.id || told.has(name, &id) {
                    continue;
                }
                if id != held.id {
                    held.from = before.to_owned();
                    held.id = id.clone();
                    held.at = news.at();
                    held.wrong = 0;
                    held.wait = Duration::ZERO;
                }
                if is_over(tried) {
                    held.next = None;
                    return Ok(None);
                }
                tried = true;
                if let Err(why) = self.try_one(&id, news, &mut held.wrong).await {
                    held.wait = (held.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                    held.next = Some(Instant::now() + held.wait);
                    if held.wait == LONGEST_WAIT {
                        self.complaints.tell(name, &id, &why);
                    }
                    return Ok(None);
                }
                if !std::mem::take(&mut held.wait).is_zero() {
                    tracing::info!(room = name, "webhooks of a room that waited are sent again");
                }
                held.waiting = held.waiting.saturating_sub(1);
                told.add(name, &id);
            }
            held.from.clone_from(&newest.place);
            if is_over(tried) {
                break;
            }
        }
        held.next = None;
        Ok(None)
    }

    /// Says how far behind the URL is, with a batch in hand.
    fn show(&self, partition: usize, ahead: &Ahead, entries: &[Entry]) {
        let news = || entries.iter().flat_map(|entry| &entry.news);
        let held = ahead.held.values();
        let refused = held.clone().filter(|held| held.next.is_some()).count();
        let behind = Behind {
            url: self.url.clone(),
            rooms: refused,
            events: news().count() as u64 + held.clone().map(|held| held.waiting).sum::<u64>(),
            oldest: held.map(|held| held.at).chain(news().map(News::at)).min(),
        };
        self.progress.set(self.reader(), partition, behind);
    }
}
