//! Finished recordings, those of this machine's recorder and those that a live service told of, in one list: newest first. What
//! a recording was called, and whose it is, is kept when it is whole, since its room may close. Who may see what is the
//! caller's to say.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use media::record::{Event, Recorder, Recording};
use room::{Kind, Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use crate::{Rooms, StreamOwner};
use store::error::Error;
use store::{Row, Table};
use streams::live::{Owner, owner};

/// For how long a recording stands in the list, in milliseconds: a year.
const KEPT: u64 = 365 * 24 * 3600 * 1000;
/// Rows that are looked at together.
const WINDOW: usize = 200;
/// Most windows of one page: what is beyond is on the next one.
const WINDOWS: usize = 10;
/// Longest URL.
const MAX_URL: usize = 2048;
/// Longest id.
const MAX_ID: usize = 600;

/// Where a recording is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A file of the recorder.
    File(String),
    /// Elsewhere.
    Url(String),
}

/// A finished recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// What was recorded.
    pub stream: String,
    /// The room, where it is known.
    pub room: Option<RoomId>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Who pushed.
    pub user: Option<UserId>,
    /// What the room said of itself.
    pub title: String,
    /// When it began.
    pub started: Millis,
    /// Milliseconds that it plays.
    pub duration: u64,
    /// Bytes.
    pub size: u64,
    /// Where it is.
    pub place: Place,
}

/// What a live service says of a recording that it finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// What was recorded.
    pub stream: String,
    /// Its name there.
    pub id: String,
    /// Where it plays.
    pub url: String,
    /// When it began.
    pub started: Millis,
    /// Milliseconds that it plays.
    pub duration: u64,
    /// Bytes.
    pub size: u64,
}

/// A page of the list.
#[derive(Debug, Default)]
pub struct Page {
    /// Ids and recordings.
    pub records: Vec<(String, Finished)>,
    /// The id after which the next page begins; none: this was the last.
    pub next: Option<String>,
}

fn id_of(started: Millis, name: &str) -> String {
    format!("{:013}-{name}", started.0)
}

/// Whether a text can be an id of a recording.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl Elsewhere {
    /// Whether it can be shown: an address that a player can open, and nothing that could break out of where it stands.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let address = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"'<>\\`".contains(&b);
        address.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && self.url.len() <= MAX_URL
            && self.url.bytes().all(plain)
            && self.id.len() <= 128
            && is_id(&self.id)
    }
}

impl Rooms {
    pub(super) async fn whose(&self, stream: &str) -> (Option<StreamOwner>, Option<UserId>, Option<RoomId>) {
        let kept = self.owner_of(stream).await;
        let (user, room) = match owner(self.bizid, stream) {
            Some(Owner::Member { room, user }) => (UserId::parse(&user).ok(), RoomId::parse(&room).ok()),
            Some(Owner::User(user)) => (UserId::parse(&user).ok(), None),
            None => (None, None),
        };
        let user = kept.as_ref().map(|kept| kept.user.clone()).or(user);
        let room = kept.as_ref().map(|kept| kept.room.clone()).or(room);
        (kept, user, room)
    }

    async fn finished(&self, stream: &str, started: Millis, place: Place) -> Finished {
        let (kept, user, room) = self.whose(stream).await;
        let (mut kind, mut title) = kept.map_or_else(Default::default, |kept| (kept.kind, kept.title));
        if let Some(room) = &room {
            let look = &mut |room: &room::Room, _| (kind, title) = (Some(room.kind), room.info.to_string());
            // One that is gone is called what it was when its pusher entered.
            let _ = self.store.see(room, look).await;
        }
        Finished { stream: stream.into(), room, kind, user, title, started, duration: 0, size: 0, place }
    }

    async fn list_record(&self, id: String, record: &Finished) -> Result<bool, Error> {
        let now = self.clock.now();
        let value = serde_json::to_value(record).map_err(|e| Error::Unavailable(e.to_string()))?;
        let row = Row { key: id.into(), value, until: now.plus(KEPT) };
        self.store.put_row(Table::Recordings, &row, false, now).await
    }

    /// Lists a recording that a live service finished; only once, and only one of a stream that is a user's here. Says
    /// whether it is new.
    ///
    /// # Errors
    /// The store is away.
    pub async fn recorded_elsewhere(&self, said: &Elsewhere) -> Result<bool, Error> {
        if !said.is_sound() {
            return Ok(false);
        }
        let place = Place::Url(said.url.clone());
        let mut record = self.finished(&said.stream, said.started, place).await;
        if record.user.is_none() {
            tracing::debug!(stream = said.stream, "a recording of a stream of nobody here is not listed");
            return Ok(false);
        }
        record.duration = said.duration;
        record.size = said.size;
        self.list_record(id_of(said.started, &said.id), &record).await
    }

    /// Takes a recording out of the list, and a file of the recorder off the disk. Says whether there was one.
    ///
    /// # Errors
    /// The store is away.
    pub async fn unlist(&self, id: &str) -> Result<bool, Error> {
        let row = self.store.row(Table::Recordings, id, self.clock.now()).await?;
        let file = id.split_once('-').map(|(_, name)| name.to_owned());
        let gone = self.recorder.as_ref().zip(file).is_some_and(|(recorder, file)| recorder.delete(&file));
        if row.is_some() {
            self.store.take_row(Table::Recordings, id).await?;
        }
        Ok(gone || row.is_some())
    }

    /// A finished recording.
    ///
    /// # Errors
    /// The store is away.
    pub async fn recorded(&self, id: &str) -> Result<Option<Finished>, Error> {
        let row = self.store.row(Table::Recordings, id, self.clock.now()).await?;
        let files = self.recorder.as_ref().map(Recorder::list).unwrap_or_default();
        let file = files.iter().find(|file| !file.running && id_of(Millis(file.started), &file.file) == id);
        Ok(self.record(id, file, row.as_ref()).await)
    }

    /// A page of the finished recordings, newest first: those after this id that `sees` says yes to.
    ///
    /// # Errors
    /// The store is away.
    pub async fn records(
        &self,
        after: Option<&str>,
        count: usize,
        sees: &(dyn Fn(&Finished) -> bool + Sync),
    ) -> Result<Page, Error> {
        let files: BTreeMap<String, Recording> = self
            .recorder
            .as_ref()
            .map(Recorder::list)
            .unwrap_or_default()
            .into_iter()
            .filter(|file| !file.running)
            .map(|file| (id_of(Millis(file.started), &file.file), file))
            .collect();
        let mut page = Page::default();
        let mut above = after.map(str::to_owned);
        for _ in 0..WINDOWS {
            let rows = self.store.rows(Table::Recordings, above.as_deref(), WINDOW, self.clock.now()).await?;
            let rows: BTreeMap<String, Row> = rows.into_iter().map(|row| (row.key.to_string(), row)).collect();
            let below = rows.keys().next().cloned();
            let range = (
                below.as_deref().map_or(Bound::Unbounded, Bound::Included),
                above.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
            );
            let mut ids: Vec<&String> = rows.keys().chain(files.range::<str, _>(range).map(|(id, _)| id)).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids.into_iter().rev() {
                let Some(record) = self.record(id, files.get(id), rows.get(id)).await else { continue };
                if !sees(&record) {
                    continue;
                }
                if page.records.len() == count {
                    page.next = page.records.last().map(|(id, _)| id.clone());
                    return Ok(page);
                }
                page.records.push((id.clone(), record));
            }
            if below.is_none() {
                return Ok(page);
            }
            above = below;
        }
        page.next = above;
        Ok(page)
    }

    /// What is to be shown of a file, or of a row without one.
    async fn record(&self, id: &str, file: Option<&Recording>, row: Option<&Row>) -> Option<Finished> {
        let known = row.and_then(|row| {
            let read = serde_json::from_value::<Finished>(row.value.clone());
            read.inspect_err(|why| tracing::warn!(id, %why, "a recording's row cannot be understood")).ok()
        });
        let Some(file) = file else {
            // A file that is gone, or another node's, is none.
            return known.filter(|known| matches!(known.place, Place::Url(_)));
        };
        let mut record = match known {
            Some(known) => known,
            None => {
                let place = Place::File(file.file.clone());
                self.finished(&file.stream, Millis(file.started), place).await
            }
        };
        record.duration = u64::try_from(file.duration.as_millis()).unwrap_or(u64::MAX);
        record.size = file.size;
        Some(record)
    }

    /// Keeps what recordings are called as they become whole, for as long as there is a recorder.
    pub async fn keep_titles(self: Arc<Self>) {
        let Some(mut events) = self.recorder.as_ref().map(Recorder::events) else { return };
        loop {
            let file = match events.recv().await {
                Ok(Event::Ready(file)) => file,
                // What is missed is called what its room is called when it is asked for.
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let started = Millis(file.started);
            let place = Place::File(file.file.clone());
            let record = self.finished(&file.stream, started, place).await;
            if let Err(error) = self.list_record(id_of(started, &file.file), &record).await {
                tracing::warn!(file = file.file, %error, "what a recording is called could not be kept");
            }
        }
    }
}
