//! The record of what was committed, read from any place in it: for those who must miss nothing, over restarts and
//! while others were unavailable. What stands in it besides events of rooms are notes of other parts of the server.

use std::time::Duration;

use room::{Event, Millis, RoomId};
use serde::{Deserialize, Serialize};

use super::Answer;

/// How long a read waits for something to come.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum News {
    /// A room changed.
    Room(Event),
    /// Something else happened.
    Note(Note),
}

/// What one commit told. Of what only a later version understands the rest is told, and a line says so.
pub(crate) fn understand(text: &[u8], place: &str) -> Vec<News> {
    if text.is_empty() {
        return Vec::new();
    }
    serde_json::from_slice(text).unwrap_or_else(|error| {
        tracing::warn!(%error, place, "events cannot be understood and are left out");
        let each: Vec<serde_json::Value> = serde_json::from_slice(text).unwrap_or_default();
        each.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect()
    })
}

impl News {
    /// The room's change, if it is one.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        match self {
            Self::Room(event) => Some(event),
            Self::Note(_) => None,
        }
    }

    /// The room's change, to look at.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Room(event) => Some(event),
            Self::Note(_) => None,
        }
    }

    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Millis {
        match self {
            Self::Room(event) => event.at,
            Self::Note(note) => note.at,
        }
    }

    /// The number of the change in its room; notes have none.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Room(event) => Some(event.seq),
            Self::Note(_) => None,
        }
    }

    /// The room that it concerns. Order is kept for each.
    #[must_use]
    pub fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Room(event) => Some(&event.room),
            Self::Note(note) => note.room.as_ref(),
        }
    }
}

/// Whether a note stands for itself, or is one end of something that lasts. Names of what lasts are their writer's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// For itself.
    #[default]
    None,
    /// Something of this name begins. If it has begun already and not ended, it just goes on: nothing is noted.
    Begins(String),
    /// Something of this name ends. If it has not begun, or another node has gone on with it, nothing is noted.
    Ends(String),
}

/// Something that happened outside of the rules of rooms: a stream, a mix, a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The event's name, as webhooks have it.
    pub event: Box<str>,
    /// The room that it concerns, if any.
    pub room: Option<RoomId>,
    /// When.
    pub at: Millis,
    /// What there is to say.
    pub data: serde_json::Value,
    /// What it is one end of. Not a part of what is published.
    #[serde(skip)]
    pub span: Span,
}

/// One commit as it stands in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands: read on from here. The same for every reader, and after a restart.
    pub place: String,
    /// What happened, in order. May be empty.
    pub news: Vec<News>,
}

/// Whether a node ends what another has begun: its name, and the note of its beginning.
pub type Takes<'a> = dyn Fn(&str, &Note) -> bool + Send + Sync + 'a;

/// A record of commits, in partitions: order is kept in each, and all of a room is in one.
pub trait History: Send + Sync + 'static {
    /// How many partitions there are.
    fn partitions(&self) -> usize;

    /// The place after which everything is new.
    fn end(&self, partition: usize) -> Answer<'_, String>;

    /// After which place a reader reads that has none: that after which everything is new, but where a place may have been lost.
    fn beginning(&self, partition: usize) -> Answer<'_, String> {
        self.end(partition)
    }

    /// About `limit` entries after a place; waits up to `PATIENCE` if there are none. From a place that is no longer
    /// kept it goes on with the oldest that is.
    fn after<'a>(&'a self, partition: usize, place: &'a str, limit: usize) -> Answer<'a, Vec<Entry>>;

    /// How far a reader has got, as it saved it.
    fn place<'a>(&'a self, reader: &'a str, partition: usize) -> Answer<'a, Option<String>>;

    /// Saves how far a reader has got.
    fn save<'a>(&'a self, reader: &'a str, partition: usize, place: &'a str) -> Answer<'a, ()>;

    /// What a reader has read beyond its place, in its own words, as it saved it.
    fn ahead<'a>(&'a self, reader: &'a str, partition: usize) -> Answer<'a, Option<String>>;

    /// Saves that.
    fn save_ahead<'a>(&'a self, reader: &'a str, partition: usize, text: &'a str) -> Answer<'a, ()>;

    /// Forgets the places of readers whose names begin with `prefix`, but for these: nothing reads for them any more. Where
    /// places keep nothing else from being thrown away, they may stay.
    fn keep_readers<'a>(&'a self, prefix: &'a str, readers: &'a [String]) -> Answer<'a, ()>;

    /// Takes hold of a partition for a reader for as long as `lease`, and says whether it is ours: of several nodes one reads.
    fn hold<'a>(&'a self, reader: &'a str, partition: usize, lease: Duration) -> Answer<'a, bool>;

    /// Adds notes, in their order.
    fn note<'a>(&'a self, notes: &'a [Note]) -> Answer<'a, ()>;

    /// Adds a note of how large the audience of its room is now, as `count` in its data, unless that was noted last.
    /// `false`: the store compares nothing, because no other node notes; then the caller does.
    fn note_audience<'a>(&'a self, _note: &'a Note) -> Answer<'a, bool> {
        Box::pin(async { Ok(false) })
    }

    /// What began and has not ended, and whose process is gone: names, and the notes of the beginnings. Of several nodes that ask,
    /// the first one that `takes` something has it.
    fn unfinished<'a>(&'a self, takes: &'a Takes<'a>) -> Answer<'a, Vec<(String, Note)>>;
}
