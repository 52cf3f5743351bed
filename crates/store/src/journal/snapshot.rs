//! Writing the whole state into one file, so that older segments can go. Runs beside everything: a snapshot may hold
//! rooms younger than its number, which the segments after it merely say again.

use std::io;
use std::path::PathBuf;

use room::{Audience, Room, RoomId};

use super::audience;
use super::files::{Dir, Sheet};
use super::history::{Spans, span_state};
use super::load::Foreign;
use super::log::{Shared, Waiting};
use super::record::{Draft, Kind};
use crate::{ChatEntry, Logouts, Memory, Span};

/// What a snapshot holds beside rooms and bans.
pub struct Others {
    /// Sessions that ended early.
    pub revoked: Logouts,
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

/// Bytes that are written at a time.
const PAGE: usize = 1 << 18;

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
    let mut page = Page { sheet: dir.disk().make(&new(dir))?, bytes: Vec::new(), length: 0 };
    let see = |page: &mut Page, room: &Room, audience: Option<&Audience>| {
        page.add(Kind::Put, room.id.as_str(), &serde_json::to_vec(room)?, &[], 0);
        for state in audience.into_iter().flat_map(audience::states) {
            page.add(Kind::Viewers, room.id.as_str(), &state, &[], 0);
        }
        Ok::<_, io::Error>(())
    };
    memory.each(&mut page, see, Page::turn)?;
    let Others { revoked, spans, chats } = others();
    for (id, until) in revoked.ended {
        page.put(Kind::Revoked, &id.to_string(), &until.0.to_le_bytes(), &[])?;
    }
    for before in revoked.before {
        page.put(Kind::Before, "", &serde_json::to_vec(&before)?, &[])?;
    }
    for ban in memory.kept_bans().all() {
        page.put(Kind::Ban, "", &serde_json::to_vec(&ban)?, &[])?;
    }
    for change in memory.tables().all() {
        page.put(Kind::Row, "", &serde_json::to_vec(&change)?, &[])?;
    }
    for (name, begun) in spans {
        let note = serde_json::to_vec(&[begun.note])?;
        page.put(Kind::Note, "", &span_state(&Span::Begins(name)), &note)?;
    }
    for entry in chats {
        page.put(Kind::Chat, "", &serde_json::to_vec(&entry)?, &[])?;
    }
    // A room that was made anew has taken the place of one that was not understood.
    let made_anew = |key: &str| RoomId::parse(key).is_ok_and(|id| memory.holds(&id));
    let kept = foreign.iter().filter(|f| !matches!(f.kind, Kind::Put | Kind::Field) || !made_anew(&f.key));
    for Foreign { kind, key, state } in kept {
        page.put(*kind, key, state, &[])?;
    }
    page.add(Kind::End, "", &[], &[], from);
    Ok(Written { from, length: page.end()?, seen: log.barrier() })
}

/// Frames on their way to a sheet.
struct Page {
    sheet: Box<dyn Sheet>,
    bytes: Vec<u8>,
    /// Bytes on the sheet.
    length: u64,
}

impl Page {
    /// Takes a frame. It does not wait for the disk, and may be called under a lock.
    fn add(&mut self, kind: Kind, key: &str, state: &[u8], events: &[u8], number: u64) {
        if let Some(draft) = Draft::new(kind, key, state, events) {
            draft.append(number, &mut self.bytes);
        }
    }

    /// Takes a frame, and writes if it is time to.
    fn put(&mut self, kind: Kind, key: &str, state: &[u8], events: &[u8]) -> io::Result<()> {
        self.add(kind, key, state, events, 0);
        self.turn()
    }

    /// Writes if there is enough.
    fn turn(&mut self) -> io::Result<()> {
        if self.bytes.len() < PAGE {
            return Ok(());
        }
        self.sheet.append(&self.bytes)?;
        self.length += self.bytes.len() as u64;
        self.bytes.clear();
        self.bytes.shrink_to(2 * PAGE);
        Ok(())
    }

    /// Writes the rest and makes all of it durable. Says how long it became.
    fn end(mut self) -> io::Result<u64> {
        self.sheet.append(&self.bytes)?;
        self.sheet.sync()?;
        Ok(self.length + self.bytes.len() as u64)
    }
}
