//! Reading a journal at the start: the snapshot, the segments after it, the last word on each room. Damage is cut out, said
//! and copied, costs what stands in it, and is never a reason not to start. What cannot be understood, because a later
//! version wrote it, is kept as it is.

use std::io;
use std::num::NonZero;
use std::thread;

use hashbrown::HashMap;
use room::custom::{Operation, set_custom_field};
use room::{Millis, Room};

use super::Field;
use super::files::Dir;
use super::history::{Spans, apply_span};
use super::mend;
use super::record::{Kind, Part, Record, salvage};
use crate::Ban;
use crate::chats::Chats;
use crate::mends::{Mend, is_out};
use crate::tables::{Change, Tables};

/// Rooms that are put at once.
const AT_ONCE: usize = 512;

/// What a journal holds.
#[derive(Default)]
pub struct Loaded {
    /// The sessions that ended early, and when they would have ended.
    pub revoked: Vec<(u64, Millis)>,
    /// Who was kept out, oldest first; later ones take the place of earlier ones.
    pub bans: Vec<Ban>,
    /// The tables.
    pub tables: Tables,
    /// What had begun and not ended.
    pub spans: Spans,
    /// What the hub said.
    pub chats: Chats,
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

/// The last word on a key.
#[derive(Default)]
struct Last<'a> {
    state: Option<&'a [u8]>,
    fields: Vec<&'a [u8]>,
}

/// Where rooms go, some at a time, from several threads: no two of the same id.
pub type Put<'a> = &'a (dyn Fn(Vec<Room>) + Sync);

/// Reads everything. The rooms, as they were committed last, are put where `put` says.
///
/// # Errors
/// Files cannot be read at all.
pub fn load(dir: &Dir, now: Millis, put: Put<'_>) -> io::Result<Loaded> {
    let snapshot = dir.read(&dir.snapshot())?.unwrap_or_default();
    #[allow(clippy::needless_late_init, reason = "what is read borrows from the files, and ends before them")]
    let files;
    let mut read = Read::default();
    let from = read.snapshot(dir, &snapshot, now);
    files = segments(dir, from)?;
    let mut last = from.saturating_sub(1);
    let mut unsaved = 0;
    for (at, (first, bytes)) in files.iter().enumerate() {
        let mut damage = Vec::new();
        for part in salvage(bytes) {
            let record = match part {
                Part::Frame(record, _) => record,
                Part::Damage(range) if is_out(Mend::DamageIsSkipped) => {
                    damage.push(range.start..bytes.len());
                    break;
                }
                Part::Damage(range) => {
                    damage.push(range);
                    continue;
                }
            };
            // A number seen before: the file before this one was given up after the frame was written.
            if record.number <= last {
                continue;
            }
            if record.number > last + 1 && (last > 0 || at > 0) {
                tracing::warn!(from = last + 1, to = record.number - 1, "changes are missing in the journal");
            }
            last = record.number;
            read.take(record, now);
        }
        unsaved += bytes.len() as u64;
        if !damage.is_empty() && !mend::segment(dir, *first, bytes, &damage) {
            // A new file never takes the place of one that could not be mended.
            last = last.max(*first);
        }
    }
    let loaded = read.whole(put);
    if !loaded.foreign.is_empty() {
        tracing::warn!(
            frames = loaded.foreign.len(),
            "the journal holds what this version does not understand: it is kept as it is"
        );
    }
    Ok(Loaded { next: last + 1, snapshot: snapshot.len() as u64, unsaved, ..loaded })
}

/// The segments with frames from this number on, each with the number that it begins with. What the snapshot holds need not
/// be read.
fn segments(dir: &Dir, from: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let all = dir.segments()?;
    let first = all.windows(2).take_while(|pair| pair[1] <= from).count();
    all[first..].iter().map(|number| Ok((*number, dir.disk().read(&dir.segment(*number))?))).collect()
}

/// What was read so far: the last word on everything.
#[derive(Default)]
struct Read<'a> {
    rooms: HashMap<&'a str, Last<'a>>,
    revoked: HashMap<u64, Millis>,
    bans: Vec<&'a [u8]>,
    tables: Tables,
    spans: Spans,
    chats: Chats,
    foreign: Vec<Foreign>,
}

impl<'a> Read<'a> {
    /// Takes a snapshot, and says from which number on changes are not in it.
    fn snapshot(&mut self, dir: &Dir, snapshot: &'a [u8], now: Millis) -> u64 {
        let mut from = 0;
        let mut whole = snapshot.is_empty();
        let mut damaged = false;
        for part in salvage(snapshot) {
            let Part::Frame(record, _) = part else {
                damaged = true;
                continue;
            };
            if record.kind == Kind::End {
                from = record.number;
                whole = true;
            }
            self.take(record, now);
        }
        if damaged || !whole {
            mend::snapshot(dir, snapshot);
        }
        from
    }

    fn take(&mut self, record: Record<'a>, now: Millis) {
        match record.kind {
            Kind::Put => {
                *self.rooms.entry(record.key).or_default() = Last { state: Some(record.state), fields: Vec::new() };
            }
            Kind::Gone => _ = self.rooms.remove(record.key),
            Kind::Field => {
                if let Some(last) = self.rooms.get_mut(record.key) {
                    last.fields.push(record.state);
                }
            }
            Kind::Revoked => {
                if let (Ok(id), Ok(until)) = (record.key.parse(), <[u8; 8]>::try_from(record.state)) {
                    self.revoked.insert(id, Millis(u64::from_le_bytes(until)));
                }
            }
            Kind::Ban => self.bans.push(record.state),
            Kind::Note => apply_span(record.state, record.events, &mut self.spans),
            Kind::Chat => apply_chat(record, now, &mut self.chats, &mut self.foreign),
            Kind::Row => apply_row(record, now, &self.tables, &mut self.foreign),
            Kind::Other(_) => self.foreign.push(Foreign::new(record.kind, record.key, record.state)),
            Kind::End => {}
        }
    }

    /// All of it, understood. Rooms are read by several threads.
    fn whole(self, put: Put<'_>) -> Loaded {
        let Self { rooms, revoked, bans, tables, spans, chats, mut foreign } = self;
        let bans = bans.into_iter().filter_map(|state| ban(state, &mut foreign)).collect();
        let lasts: Vec<(&str, Last<'_>)> = rooms.into_iter().collect();
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(8);
        thread::scope(|scope| {
            let share = lasts.len().div_ceil(cores).max(1);
            let parts: Vec<_> = lasts.chunks(share).map(|part| scope.spawn(|| parse(part, put))).collect();
            for not in parts.into_iter().filter_map(|part| part.join().ok()) {
                foreign.extend(not);
            }
        });
        let revoked = revoked.into_iter().collect();
        Loaded { revoked, bans, tables, spans, chats: chats.read(), foreign, ..Loaded::default() }
    }
}

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
fn parse(lasts: &[(&str, Last<'_>)], put: Put<'_>) -> Vec<Foreign> {
    let mut foreign = Vec::new();
    for some in lasts.chunks(AT_ONCE) {
        let mut rooms = Vec::with_capacity(some.len());
        for (id, last) in some {
            match restore(last) {
                Ok(room) => rooms.push(room),
                Err(why) => {
                    tracing::warn!(room = id, %why, "a room in the journal cannot be understood and is not served");
                    foreign.push(Foreign::new(Kind::Put, id, last.state.unwrap_or_default()));
                    foreign.extend(last.fields.iter().map(|field| Foreign::new(Kind::Field, id, field)));
                }
            }
        }
        put(rooms);
    }
    foreign
}

fn restore(last: &Last<'_>) -> serde_json::Result<Room> {
    let room: Room = serde_json::from_slice(last.state.unwrap_or_default())?;
    let mut slot = Some(room);
    for field in &last.fields {
        let Field { seq, name, value } = serde_json::from_slice(field)?;
        // The rule refused nothing when the field was set, and does not now.
        let _ = set_custom_field(&mut slot, Millis(0), &name, Operation::Set(value));
        if let Some(room) = &mut slot {
            room.seq = seq;
        }
    }
    slot.ok_or_else(|| serde::de::Error::custom("no room"))
}
