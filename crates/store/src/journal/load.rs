//! Reading a journal at the start: the snapshot, the segments after it, the last word on each room. Damage is cut out, said
//! and copied, costs what stands in it, and is never a reason not to start. What cannot be understood, because a later
//! version wrote it, is kept as it is.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::thread;

use hashbrown::{HashMap, HashSet};
use room::custom::{Operation, set_custom_field};
use room::{Millis, Room};
use serde::Deserialize;

use super::Field;
use super::audience::Watching;
use super::files::Dir;
use super::history::{Spans, apply_span};
use super::mend;
use super::record::{HEAD, Kind, MAX_PAYLOAD, Part, Record, salvage};
use crate::Ban;
use crate::chats::Chats;
use crate::logouts;
use crate::mends::{Mend, is_out};
use crate::tables::{Change, Tables};

/// Rooms that are put at once.
const AT_ONCE: usize = 512;
/// Bytes of the longest frame.
const LONGEST: usize = HEAD + MAX_PAYLOAD;

/// What a journal holds.
#[derive(Default)]
pub struct Loaded {
    /// The sessions that ended early.
    pub revoked: logouts::Table,
    /// Who was kept out, oldest first; later ones take the place of earlier ones.
    pub bans: Vec<Ban>,
    /// The tables.
    pub tables: Tables,
    /// What had begun and not ended.
    pub spans: Spans,
    /// What the hub said.
    pub chats: Chats,
    /// Who watched.
    pub watching: Watching,
    /// What this version does not understand.
    pub foreign: Vec<Foreign>,
    /// The number after the last one.
    pub next: u64,
    /// Bytes that the snapshot has.
    pub snapshot: u64,
    /// Bytes of frames that stand in no snapshot.
    pub unsaved: u64,
}

/// A frame that this version does not understand.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// What it is, as a number where this version has no name for it.
    pub kind: Kind,
    /// Of which room, or whatever it is.
    pub key: String,
    /// What it says.
    pub state: Vec<u8>,
}

impl Foreign {
    fn new(kind: Kind, key: &str, state: &[u8]) -> Self {
        Self { kind, key: key.into(), state: state.into() }
    }
}

/// Where rooms go, some at a time, from several threads: no two of the same id.
pub type Put<'a> = &'a (dyn Fn(Vec<Room>) + Sync);

/// Reads everything. The rooms, as they were committed last, are put where `put` says.
///
/// All but rooms is read forwards, in the order of the changes. Rooms are read backwards, because only the last word on each counts:
/// so no more than one segment, or a page of the snapshot, is in memory at a time beside what was made of it.
///
/// # Errors
/// Files cannot be read at all.
pub fn load(dir: &Dir, now: Millis, put: Put<'_>) -> io::Result<Loaded> {
    let mut read = Read::default();
    let from = read.snapshot(dir, now)?;
    let mut last = from.saturating_sub(1);
    let mut unsaved = 0;
    // Each with the number that is the last before it.
    let mut segments = Vec::new();
    for first in segments_from(dir, from)? {
        let bytes = dir.disk().read(&dir.segment(first))?;
        let mut damage = Vec::new();
        let before = last;
        changes(&bytes, before, &mut damage, |record| {
            if record.number > last + 1 && (last > 0 || !segments.is_empty()) {
                tracing::warn!(from = last + 1, to = record.number - 1, "changes are missing in the journal");
            }
            last = record.number;
            read.take(record, now);
        });
        unsaved += bytes.len() as u64;
        let is_bare = damage.iter().map(Range::len).sum::<usize>() == bytes.len();
        if !damage.is_empty() && !mend::segment(dir, first, &bytes, &damage) {
            // A new file never takes the place of one that could not be mended.
            last = last.max(first);
        } else if is_bare && !is_out(Mend::EmptyFilesGo) {
            if remove_empty(dir, first) {
                continue;
            }
            // Then the next file has this name.
            last = last.max(first.saturating_sub(1));
        }
        segments.push((first, before));
    }
    if !is_out(Mend::ReadIsDurable) {
        make_durable(dir, &segments);
    }
    let mut rooms = Rooms::new(put);
    for (first, before) in segments.into_iter().rev() {
        rooms.segment(&dir.disk().read(&dir.segment(first))?, before);
    }
    rooms.older(std::mem::take(&mut read.fields));
    pages(dir, |records| rooms.page(records))?;
    let loaded = read.whole(rooms.foreign);
    if !loaded.foreign.is_empty() {
        tracing::warn!(
            frames = loaded.foreign.len(),
            "the journal holds what this version does not understand: it is kept as it is"
        );
    }
    let snapshot = dir.about(&dir.snapshot())?.map_or(0, |about| about.length);
    Ok(Loaded { next: last + 1, snapshot, unsaved, ..loaded })
}

/// Removes a segment of a process that ended before anything was in it. The one that is begun now may have a lower number and grow past its
/// name: who reads on from there would look for changes in the empty one. Says whether it is gone.
fn remove_empty(dir: &Dir, first: u64) -> bool {
    let removed = dir.disk().remove(&dir.segment(first));
    if let Err(error) = &removed {
        tracing::warn!(%error, segment = first, "an empty file of the journal cannot be removed");
    }
    removed.is_ok()
}

/// Has what was read on the disk before anybody is told of it. A process that was killed may have left frames that the kernel alone has:
/// power that fails later would take them, and leave those that lean on them.
fn make_durable(dir: &Dir, segments: &[(u64, u64)]) {
    let files = segments.iter().map(|(first, _)| dir.disk().sync(&dir.segment(*first)));
    // All are tried, whatever becomes of one.
    let failed: Vec<io::Error> = files.chain([dir.sync()]).filter_map(Result::err).collect();
    if let Some(error) = failed.first() {
        tracing::warn!(%error, "what the journal holds may not survive a loss of power: the disk does not say that it has it");
    }
}

/// The segments with frames from this number on, each by the number that it begins with. What the snapshot holds need not be
/// read.
fn segments_from(dir: &Dir, from: u64) -> io::Result<Vec<u64>> {
    let mut all = dir.segments()?;
    let needless = all.windows(2).take_while(|pair| pair[1] <= from).count();
    Ok(all.split_off(needless))
}

/// Shows the changes of a segment that follow a number, and says what is damaged.
fn changes<'a>(bytes: &'a [u8], mut last: u64, damage: &mut Vec<Range<usize>>, mut see: impl FnMut(Record<'a>)) {
    for part in salvage(bytes) {
        match part {
            // A number seen before: the file before this one was given up after the frame was written.
            Part::Frame(record, _) if record.number <= last => {}
            Part::Frame(record, _) => {
                last = record.number;
                see(record);
            }
            Part::Damage(range) if is_out(Mend::DamageIsSkipped) => {
                damage.push(range.start..bytes.len());
                return;
            }
            Part::Damage(range) => damage.push(range),
        }
    }
}

/// Shows the frames of the snapshot, a page of it at a time. Says whether anything of it is damaged.
fn pages(dir: &Dir, see: impl FnMut(&[Record<'_>])) -> io::Result<bool> {
    pages_of(dir, LONGEST, see)
}

/// The same with pages of twice the longest frame.
fn pages_of(dir: &Dir, longest: usize, mut see: impl FnMut(&[Record<'_>])) -> io::Result<bool> {
    let path = dir.snapshot();
    let page = 2 * longest;
    let mut damaged = false;
    let mut at = 0;
    if dir.about(&path)?.is_none() {
        return Ok(false);
    }
    loop {
        let bytes = dir.disk().read_at(&path, at, page as u64)?;
        let is_last = bytes.len() < page;
        let mut records = Vec::new();
        let mut used = 0;
        for part in salvage(&bytes) {
            match part {
                Part::Frame(record, range) => {
                    used = range.end;
                    records.push(record);
                }
                // Its end may be a frame that the page cuts: the next page begins before that.
                Part::Damage(range) if !is_last && range.end == bytes.len() => {
                    let may_be_cut = bytes.len().saturating_sub(longest - 1);
                    damaged |= range.start < may_be_cut;
                    used = range.start.max(may_be_cut);
                }
                Part::Damage(range) => {
                    used = range.end;
                    damaged = true;
                }
            }
        }
        see(&records);
        if is_last {
            return Ok(damaged);
        }
        at += used as u64;
    }
}

/// What was read forwards so far: the last word on everything but rooms.
#[derive(Default)]
struct Read {
    revoked: logouts::Table,
    bans: Vec<Vec<u8>>,
    tables: Tables,
    spans: Spans,
    chats: Chats,
    watching: Watching,
    foreign: Vec<Foreign>,
    /// Fields that stand in the snapshot: of rooms that another version did not understand.
    fields: Vec<(String, Vec<u8>)>,
}

impl Read {
    /// Takes the snapshot, and says from which number on changes are not in it.
    fn snapshot(&mut self, dir: &Dir, now: Millis) -> io::Result<u64> {
        let mut from = None;
        let mut any = false;
        let damaged = pages(dir, |records| {
            for record in records {
                any = true;
                if record.kind == Kind::End {
                    from = Some(record.number);
                }
                if record.kind == Kind::Field {
                    self.fields.push((record.key.into(), record.state.into()));
                }
                self.take(*record, now);
            }
        })?;
        if damaged || (any && from.is_none()) {
            mend::snapshot(dir, &dir.read(&dir.snapshot())?.unwrap_or_default());
        }
        Ok(from.unwrap_or(0))
    }

    fn take(&mut self, record: Record<'_>, now: Millis) {
        match record.kind {
            Kind::Revoked => {
                if let (Ok(id), Ok(until)) = (record.key.parse(), <[u8; 8]>::try_from(record.state)) {
                    self.revoked.end(id, Millis(u64::from_le_bytes(until)));
                }
            }
            Kind::Before => match serde_json::from_slice(record.state) {
                Ok(before) => self.revoked.end_before(&before),
                Err(_) => self.foreign.push(Foreign::new(record.kind, record.key, record.state)),
            },
            Kind::Ban => self.bans.push(record.state.into()),
            Kind::Note => apply_span(record.state, record.events, &mut self.spans),
            Kind::Chat => apply_chat(record, now, &mut self.chats, &mut self.foreign),
            Kind::Row => apply_row(record, now, &self.tables, &mut self.foreign),
            Kind::Viewers => {
                if !self.watching.take(record.key, record.state) {
                    self.foreign.push(Foreign::new(record.kind, record.key, record.state));
                }
            }
            Kind::Gone => self.watching.end(record.key),
            Kind::Other(_) => self.foreign.push(Foreign::new(record.kind, record.key, record.state)),
            Kind::Put | Kind::Field | Kind::End => {}
        }
    }

    /// All of it, understood.
    fn whole(self, of_rooms: Vec<Foreign>) -> Loaded {
        let Self { revoked, bans, tables, spans, chats, watching, mut foreign, .. } = self;
        foreign.extend(of_rooms);
        let bans = bans.iter().filter_map(|state| ban(state, &mut foreign)).collect();
        Loaded { revoked, bans, tables, spans, chats: chats.read(), watching, foreign, ..Loaded::default() }
    }
}

/// What one file says of a room at last.
#[derive(Default)]
struct Last<'a> {
    state: State<'a>,
    /// Fields that were set after it, oldest first.
    fields: Vec<Cow<'a, [u8]>>,
}

#[derive(Default)]
enum State<'a> {
    /// Only fields were set.
    #[default]
    Unsaid,
    Gone,
    Put(&'a [u8]),
}

/// Fields of a room by name, or as they are where they have none: the newest value, which is the one that counts, and when the first
/// was set, as the number of those read backwards until then. A room that is liked a million times has one.
type Newer = HashMap<Box<[u8]>, (Box<[u8]>, u64)>;

/// Of a [`Field`] its name.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Rooms, read backwards.
struct Rooms<'a> {
    put: Put<'a>,
    /// Of these the last word was read.
    known: HashSet<Box<str>>,
    /// Fields that were set after what was not read yet.
    fields: HashMap<Box<str>, Newer>,
    /// Fields that were read backwards so far.
    back: u64,
    foreign: Vec<Foreign>,
    cores: usize,
}

impl<'a> Rooms<'a> {
    fn new(put: Put<'a>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(8);
        Self { put, known: HashSet::new(), fields: HashMap::new(), back: 0, foreign: Vec::new(), cores }
    }

    /// Takes a segment, all of whose successors were taken: the changes in it that follow a number.
    fn segment(&mut self, bytes: &[u8], before: u64) {
        let mut here: HashMap<&str, Last<'_>> = HashMap::new();
        changes(bytes, before, &mut Vec::new(), |record| match record.kind {
            Kind::Put => _ = here.insert(record.key, Last { state: State::Put(record.state), fields: Vec::new() }),
            Kind::Gone => _ = here.insert(record.key, Last { state: State::Gone, fields: Vec::new() }),
            Kind::Field => here.entry(record.key).or_default().fields.push(record.state.into()),
            _ => {}
        });
        let mut ready = Vec::new();
        for (key, mut last) in here {
            if self.known.contains(key) {
                continue;
            }
            match last.state {
                State::Unsaid => self.older(last.fields.into_iter().map(|field| (key.into(), field.into())).collect()),
                State::Gone => {
                    self.fields.remove(key);
                    self.known.insert(key.into());
                }
                State::Put(state) => {
                    last.fields.extend(self.newer(key));
                    self.known.insert(key.into());
                    ready.push((key, state, last.fields));
                }
            }
        }
        self.understand(&ready);
    }

    /// Takes fields that were set before those that are known, oldest first.
    fn older(&mut self, fields: Vec<(String, Vec<u8>)>) {
        for (key, field) in fields.into_iter().rev() {
            if self.known.contains(&*key) {
                continue;
            }
            self.back += 1;
            let named =
                serde_json::from_slice(&field).map_or_else(|_| field.clone(), |Named { name }| name.into_bytes());
            let of_room = self.fields.entry(key.into()).or_default();
            of_room.entry(named.into()).and_modify(|(_, back)| *back = self.back).or_insert((field.into(), self.back));
        }
    }

    /// Those fields in the order of their first setting.
    fn newer<'b>(&mut self, key: &str) -> impl Iterator<Item = Cow<'b, [u8]>> + use<'b> {
        let mut newer: Vec<_> = self.fields.remove(key).into_iter().flat_map(HashMap::into_values).collect();
        newer.sort_unstable_by_key(|(_, back)| Reverse(*back));
        newer.into_iter().map(|(field, _)| Cow::Owned(field.into_vec()))
    }

    /// Takes a page of the snapshot, after all segments.
    fn page(&mut self, records: &[Record<'_>]) {
        let mut ready = Vec::new();
        for record in records.iter().filter(|record| record.kind == Kind::Put) {
            if !self.known.contains(record.key) {
                ready.push((record.key, record.state, self.newer(record.key).collect()));
            }
        }
        self.understand(&ready);
    }

    /// Puts rooms where they go, from several threads.
    fn understand(&mut self, rooms: &[Said<'_>]) {
        let share = rooms.len().div_ceil(self.cores).max(AT_ONCE);
        let put = self.put;
        let not = thread::scope(|scope| {
            let mut shares = rooms.chunks(share);
            let own = shares.next();
            let others: Vec<_> = shares.map(|part| scope.spawn(|| parse(part, put))).collect();
            let mut not = own.map(|part| parse(part, put)).unwrap_or_default();
            not.extend(others.into_iter().filter_map(|part| part.join().ok()).flatten());
            not
        });
        self.foreign.extend(not);
    }
}

/// What is said of a room: its id, its state, and fields that were set after it.
type Said<'a> = (&'a str, &'a [u8], Vec<Cow<'a, [u8]>>);

fn apply_chat(record: Record<'_>, now: Millis, chats: &mut Chats, foreign: &mut Vec<Foreign>) {
    match serde_json::from_slice(record.state) {
        Ok(entry) => chats.apply(entry, now),
        Err(_) => foreign.push(Foreign::new(record.kind, record.key, record.state)),
    }
}

fn apply_row(record: Record<'_>, now: Millis, tables: &Tables, foreign: &mut Vec<Foreign>) {
    match serde_json::from_slice::<Change>(record.state) {
        Ok(change) => tables.apply(&change, now),
        Err(_) => foreign.push(Foreign::new(record.kind, record.key, record.state)),
    }
}

fn ban(state: &[u8], foreign: &mut Vec<Foreign>) -> Option<Ban> {
    let read = serde_json::from_slice(state);
    if let Err(why) = &read {
        tracing::warn!(%why, "a ban in the journal cannot be understood and does not hold");
        foreign.push(Foreign::new(Kind::Ban, "", state));
    }
    read.ok()
}

/// Puts the rooms of these where they go, and gives back what of them cannot be understood.
fn parse(all: &[Said<'_>], put: Put<'_>) -> Vec<Foreign> {
    let mut foreign = Vec::new();
    for some in all.chunks(AT_ONCE) {
        let mut rooms = Vec::with_capacity(some.len());
        for (id, state, fields) in some {
            match restore(state, fields) {
                Ok(room) => rooms.push(room),
                Err(why) => {
                    tracing::warn!(room = id, %why, "a room in the journal cannot be understood and is not served");
                    foreign.push(Foreign::new(Kind::Put, id, state));
                    foreign.extend(fields.iter().map(|field| Foreign::new(Kind::Field, id, field)));
                }
            }
        }
        put(rooms);
    }
    foreign
}

fn restore(state: &[u8], fields: &[Cow<'_, [u8]>]) -> serde_json::Result<Room> {
    let room: Room = serde_json::from_slice(state)?;
    // Fields are not in the order of their last setting.
    let mut newest = room.seq;
    let mut slot = Some(room);
    for field in fields {
        let Field { seq, name, value } = serde_json::from_slice(field)?;
        // The rule refused nothing when the field was set, and does not now.
        let _ = set_custom_field(&mut slot, Millis(0), &name, Operation::Set(value));
        newest = newest.max(seq);
    }
    let mut room = slot.ok_or_else(|| serde::de::Error::custom("no room"))?;
    room.seq = newest;
    Ok(room)
}

#[cfg(test)]
mod tests;
