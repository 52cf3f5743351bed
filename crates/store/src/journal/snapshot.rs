//! Writing the whole state into one file, so that older segments can go. Runs beside everything: a snapshot may hold
//! rooms younger than its number, which the segments after it merely say again.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use room::{Millis, RoomId};

use super::files::{Dir, Sheet};
use super::history::{Spans, span_state};
use super::load::Foreign;
use super::log::{Shared, Waiting};
use super::record::{Draft, Kind};
use crate::{ChatEntry, Memory, Span};

/// What a snapshot holds beside rooms and bans.
pub struct Others {
    /// Sessions that ended early, and when they would have ended.
    pub revoked: Vec<(u64, Millis)>,
    /// What has begun and not ended.
    pub spans: Spans,
    /// What the hub said.
    pub chats: Vec<ChatEntry>,
}

/// A snapshot that stands beside the last one.
pub struct Written {
    /// Its number, below which segments are no longer needed for the state.
    pub from: u64,
    /// Its size in bytes.
    pub length: u64,
    /// Rooms may have been seen before their change was durable: it must be before the snapshot counts.
    pub seen: Waiting,
}

fn new(dir: &Dir) -> PathBuf {
    dir.snapshot().with_extension("new")
}

/// Takes half a snapshot away: it only takes the room that the log needs.
pub fn discard(dir: &Dir) {
    let _ = dir.disk().remove(&new(dir));
}

/// Puts what was written in the place of the last snapshot.
///
/// # Errors
/// The disk is away.
pub fn finish(dir: &Dir) -> io::Result<()> {
    dir.disk().rename(&new(dir), &dir.snapshot())?;
    dir.sync()
}

/// Writes a snapshot beside the last one.
///
/// # Errors
/// The disk is full or away; the last snapshot is still there.
pub fn write(
    dir: &Dir,
    memory: &Memory,
    others: impl FnOnce() -> Others,
    foreign: &[Foreign],
    log: &Shared,
) -> io::Result<Written> {
    // First the number, then the state: every change from the number on is in a segment that stays.
    let from = log.rotate();
    let mut file = BufWriter::with_capacity(1 << 18, Paper(dir.disk().make(&new(dir))?));
    let mut frame = Vec::new();
    let mut state = Vec::new();
    let mut length = 0;
    let mut failed = None;
    let mut put = |kind, key: &str, state: &[u8], events: &[u8], number| {
        frame.clear();
        if let Some(draft) = Draft::new(kind, key, state, events) {
            draft.append(number, &mut frame);
        }
        length += frame.len() as u64;
        file.write_all(&frame)
    };
    memory.each(|room| {
        state.clear();
        let written = serde_json::to_writer(&mut state, room).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| put(Kind::Put, room.id.as_str(), &state, &[], 0)) {
            failed.get_or_insert(error);
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let Others { revoked, spans, chats } = others();
    for (id, until) in revoked {
        put(Kind::Revoked, &id.to_string(), &until.0.to_le_bytes(), &[], 0)?;
    }
    for ban in memory.kept_bans().all() {
        put(Kind::Ban, "", &serde_json::to_vec(&ban)?, &[], 0)?;
    }
    for change in memory.tables().all() {
        put(Kind::Row, "", &serde_json::to_vec(&change)?, &[], 0)?;
    }
    for (name, begun) in spans {
        let note = serde_json::to_vec(&[begun.note])?;
        put(Kind::Note, "", &span_state(&Span::Begins(name)), &note, 0)?;
    }
    for entry in chats {
        put(Kind::Chat, "", &serde_json::to_vec(&entry)?, &[], 0)?;
    }
    // A room that was made anew has taken the place of one that was not understood.
    let made_anew = |key: &str| RoomId::parse(key).is_ok_and(|id| memory.holds(&id));
    let kept = foreign.iter().filter(|f| !matches!(f.kind, Kind::Put | Kind::Field) || !made_anew(&f.key));
    for Foreign { kind, key, state } in kept {
        put(*kind, key, state, &[], 0)?;
    }
    put(Kind::End, "", &[], &[], from)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.0.sync()?;
    Ok(Written { from, length, seen: log.barrier() })
}

/// A sheet that is written to.
struct Paper(Box<dyn Sheet>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
