//! What every store does: decisions on rooms, one after the other for each room, and what else outlives a process.

use std::future::Future;
use std::pin::Pin;

use room::audience::Viewer;
use room::{Event, Kind, Millis, Refusal, Room, RoomId, StreamId, UserId};
use tokio::sync::mpsc;

use crate::{Agreement, Ban, Counters, EndedBefore, Error, Logouts, Presences, Probed, Row, Table, Totals};

/// What a store answers, in time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A decision on a room's slot. It may run more than once, each time on the newest state, and must
/// leave the slot as it was when it refuses.
pub type Decide<'a> = dyn FnMut(&mut Option<Room>) -> Result<Vec<Event>, Refusal> + Send + 'a;

/// Looks at a room and at the number of its viewers.
pub type See<'a> = dyn FnMut(&Room, usize) + Send + 'a;

/// Where committed events go, in commit order for each room.
pub type Outbox = mpsc::UnboundedSender<Vec<Event>>;

/// What follows from these changes belongs to the trace of the call that made them.
pub fn note_trace(events: &[Event]) {
    telemetry::traces::committed(events.iter().map(|event| (event.room.as_str(), event.seq)));
}

/// How many viewers a room has, and the ones it lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    /// All of them.
    pub count: usize,
    /// The listed ones, in order of entering.
    pub listed: Vec<Viewer>,
}

/// A place for rooms. All calls are atomic for one room. None but `is_empty` has a body here: the journal would take it
/// over, and not write down what it changes.
pub trait Store: Send + Sync + 'static {
    /// Runs a decision on a room's slot and commits what it did.
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()>;

    /// The same for a room that was not there a moment ago: a store that is far away need not look once more first.
    fn make<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()>;

    /// The same for a change that makes no event, and is to outlive this process all the same.
    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> Answer<'a, ()>;

    /// Shows a room. Says whether there is one.
    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> Answer<'a, bool>;

    /// The sign of life of a pusher in a room of this kind. Gives the version of the list of pushers.
    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> Answer<'a, i64>;

    /// Shows the active rooms of a kind, oldest first, `count` of them from position `index`.
    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> Answer<'a, ()>;

    /// The rooms that need looking at by now, at most `limit`, each claimed for a moment: asked again
    /// at once, others come. Costs only what is due.
    fn due(&self, now: Millis, limit: usize) -> Answer<'_, Vec<RoomId>>;

    /// Counts a viewer of a live room, and lists it with what the app says about it while there are places; none: nothing is known of it,
    /// and it is counted alone. Says whether the count changed.
    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: Option<&'a str>) -> Answer<'a, bool>;

    /// Takes a viewer out. Says whether it was in.
    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> Answer<'a, bool>;

    /// All viewers of all rooms, where those of before a restart are there after it and no other process knows of them.
    fn watching(&self) -> Vec<(RoomId, UserId)>;

    /// Who was seen where, if several nodes share this store.
    fn presences(&self) -> Option<&dyn Presences>;

    /// The viewers of a room; none if there is no room.
    fn viewers<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Viewers>;

    /// The ids of all rooms, active or not, in no order: for those who must hear of what was there before them.
    fn ids(&self) -> Answer<'_, Vec<RoomId>>;

    /// Remembers that a session ended before its time `until`, for as long as that matters.
    fn revoke(&self, session: u64, until: Millis, now: Millis) -> Answer<'_, ()>;

    /// Remembers that all of a user's sessions of before a time ended, in place of those that it names.
    fn revoke_before<'a>(&'a self, before: &'a EndedBefore, now: Millis) -> Answer<'a, ()>;

    /// The sessions that ended early, at least those revoked `since` then.
    fn revoked(&self, since: Millis) -> Answer<'_, Logouts>;

    /// Keeps a ban, in place of an older one of the same user and room, until it ends or is lifted.
    fn ban<'a>(&'a self, ban: &'a Ban, now: Millis) -> Answer<'a, ()>;

    /// The bans that are kept, at least those that came or were lifted `since` then, older ones first where a user and
    /// a room come twice. Some may be over.
    fn bans(&self, since: Millis) -> Answer<'_, Vec<Ban>>;

    /// What the pusher of a stream agrees to from now on; `None`: to nothing. Holds for twelve hours; need not outlive the
    /// streams' server.
    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, now: Millis) -> Answer<'a, ()>;

    /// What the pusher of a stream agreed to.
    fn agreement<'a>(&'a self, stream: &'a StreamId, now: Millis) -> Answer<'a, Option<Agreement>>;

    /// Puts a row into a table, in place of an older one of its key only with `replace`. Says whether that changed anything.
    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> Answer<'a, bool>;

    /// Takes a row out of a table.
    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> Answer<'a, ()>;

    /// A row of a table.
    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> Answer<'a, Option<Row>>;

    /// Rows of a table with keys below this one, greatest first, at most `count`.
    fn rows<'a>(&'a self, table: Table, below: Option<&'a str>, count: usize, now: Millis) -> Answer<'a, Vec<Row>>;

    /// Makes a change that means nothing, to know whether changes can be made. Bounded in time.
    fn probe(&self) -> Probed<'_>;

    /// What it did, where there is more to it than memory.
    fn counters(&self) -> Option<&Counters>;

    /// What is in it, where that is known without asking.
    fn totals(&self) -> Option<Totals>;

    /// How many rooms there are, active or not.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
