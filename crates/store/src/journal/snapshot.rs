//! Writing the whole state into one file, so that older segments can go. Runs beside everything: a snapshot may hold
//! rooms younger than its number, which the segments after it merely say again.

use std::fs;
use std::io::{self, BufWriter, Write};

use room::{Millis, RoomId};

use super::files::{Dir, create, sync_dir};
use super::history::{Spans, span_state};
use super::load::Foreign;
use super::log::Shared;
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

/// Writes a snapshot in the place of the last one. Returns its number, below which segments are no longer needed for the
/// state, and its size in bytes.
///
/// # Errors
/// The disk is full or away; the last snapshot is still there.
pub fn save(
    dir: &Dir,
    memory: &Memory,
    others: impl FnOnce() -> Others,
    foreign: &[Foreign],
    log: &Shared,
) -> io::Result<(u64, u64)> {
    let path = dir.snapshot();
    let new = path.with_extension("new");
    let written = write(&new, memory, others, foreign, log).and_then(|saved| {
        fs::rename(&new, &path)?;
        sync_dir(dir.path())?;
        Ok(saved)
    });
    if written.is_err() {
        // Half a snapshot only takes the room that the log needs.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(
    path: &std::path::Path,
    memory: &Memory,
    others: impl FnOnce() -> Others,
    foreign: &[Foreign],
    log: &Shared,
) -> io::Result<(u64, u64)> {
    // First the number, then the state: every change from the number on is in a segment that stays.
    let from = log.rotate();
    let mut file = BufWriter::with_capacity(1 << 18, create(path)?);
    let (mut frame, mut state, mut length, mut failed) = (Vec::new(), Vec::new(), 0, None);
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
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    // Rooms may have been seen before their change was durable: it must be before the snapshot counts.
    log.barrier().block().map_err(|error| io::Error::other(error.to_string()))?;
    Ok((from, length))
}
