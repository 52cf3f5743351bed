//! Reading a journal at the start: the snapshot, the segments after it, the last word on each room. Damage is cut out with
//! a warning and never a reason not to start.

use std::fs::{self, OpenOptions};
use std::io;
use std::num::NonZero;
use std::thread;

use hashbrown::HashMap;
use room::custom::{Operation, set_custom_field};
use room::{Millis, Room};

use super::Field;
use super::files::Dir;
use super::history::{Spans, apply_span};
use super::record::{Kind, Record, frames};
use crate::store::Ban;

/// What a journal holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The rooms, as they were committed last.
    pub rooms: Vec<Room>,
    /// The sessions that ended early, and when they would have ended.
    pub revoked: Vec<(u64, Millis)>,
    /// Who was kept out, oldest first; later ones take the place of earlier ones.
    pub bans: Vec<Ban>,
    /// What had begun and not ended.
    pub spans: Spans,
    /// The number after the last one.
    pub next: u64,
    /// Bytes that the snapshot has.
    pub snapshot: u64,
    /// Bytes of frames that stand in no snapshot.
    pub unsaved: u64,
}

/// The last word on a key.
#[derive(Default)]
struct Last<'a> {
    state: Option<&'a [u8]>,
    fields: Vec<&'a [u8]>,
}

/// Reads everything.
///
/// # Errors
/// Files cannot be read at all, or damage cannot be cut off.
pub fn load(dir: &Dir) -> io::Result<Loaded> {
    let snapshot = read_or_nothing(&dir.snapshot())?;
    let mut files: Vec<(u64, Vec<u8>)> = Vec::new();
    let (mut from, mut whole) = (0, snapshot.is_empty());
    let (mut rooms, mut revoked, mut bans) = (HashMap::new(), HashMap::new(), Vec::new());
    let mut spans = Spans::default();
    for (record, _) in frames(&snapshot) {
        match record.kind {
            Kind::End => (from, whole) = (record.number, true),
            Kind::Note => apply_span(record.state, record.events, &mut spans),
            _ => apply(record, &mut rooms, &mut revoked, &mut bans),
        }
    }
    if !whole {
        tracing::warn!(file = %dir.snapshot().display(), "the snapshot is damaged: what can be read of it is used");
    }
    let all = dir.segments()?;
    // What the snapshot holds need not be read.
    let first = all.windows(2).take_while(|pair| pair[1] <= from).count();
    for number in &all[first..] {
        files.push((*number, fs::read(dir.segment(*number))?));
    }
    let (mut last, mut unsaved) = (from.saturating_sub(1), 0);
    for (at, (first, bytes)) in files.iter().enumerate() {
        let mut sound = 0;
        for (record, end) in frames(bytes) {
            sound = end;
            // A number seen before: the file before this one was given up after the frame was written.
            if record.number <= last {
                continue;
            }
            if record.number > last + 1 && (last > 0 || at > 0) {
                tracing::warn!(from = last + 1, to = record.number - 1, "changes are missing in the journal");
            }
            last = record.number;
            match record.kind {
                Kind::Note => apply_span(record.state, record.events, &mut spans),
                _ => apply(record, &mut rooms, &mut revoked, &mut bans),
            }
        }
        unsaved += sound as u64;
        if sound < bytes.len() {
            let (path, lost) = (dir.segment(*first), bytes.len() - sound);
            tracing::warn!(file = %path.display(), at = sound, bytes = lost, "a damaged tail of the journal is cut off");
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(sound as u64)?;
            file.sync_all()?;
        }
    }
    let lasts: Vec<(&str, Last<'_>)> = rooms.into_iter().collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(8);
    let rooms = thread::scope(|scope| {
        let share = lasts.len().div_ceil(cores).max(1);
        let parts: Vec<_> = lasts.chunks(share).map(|part| scope.spawn(|| parse(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    });
    let revoked = revoked.into_iter().collect();
    let (next, snapshot) = (last + 1, snapshot.len() as u64);
    Ok(Loaded { rooms, revoked, bans, spans, next, snapshot, unsaved })
}

fn read_or_nothing(path: &std::path::Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn apply<'a>(
    record: Record<'a>,
    rooms: &mut HashMap<&'a str, Last<'a>>,
    revoked: &mut HashMap<u64, Millis>,
    bans: &mut Vec<Ban>,
) {
    match record.kind {
        Kind::Put => *rooms.entry(record.key).or_default() = Last { state: Some(record.state), fields: Vec::new() },
        Kind::Gone => _ = rooms.remove(record.key),
        Kind::Field => {
            if let Some(last) = rooms.get_mut(record.key) {
                last.fields.push(record.state);
            }
        }
        Kind::Revoked => {
            if let (Ok(id), Ok(until)) = (record.key.parse(), <[u8; 8]>::try_from(record.state)) {
                revoked.insert(id, Millis(u64::from_le_bytes(until)));
            }
        }
        Kind::Ban => match serde_json::from_slice(record.state) {
            Ok(ban) => bans.push(ban),
            Err(why) => tracing::warn!(%why, "a ban in the journal cannot be understood and is left out"),
        },
        Kind::Note | Kind::End => {}
    }
}

fn parse(lasts: &[(&str, Last<'_>)]) -> Vec<Room> {
    lasts.iter().filter_map(|(id, last)| restore(last).inspect_err(|why| unreadable(id, why)).ok()).collect()
}

fn unreadable(id: &str, why: &serde_json::Error) {
    tracing::warn!(room = id, %why, "a room in the journal cannot be understood and is left out");
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
