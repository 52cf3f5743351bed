//! The journal as a record of what was committed: its segments are the queue of those who must miss nothing, and stay for
//! as long as these need them. A place is the number of a frame.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::timeout;

use super::record::{Draft, Kind, MAX_PAYLOAD, frames};
use super::{Journal, Kept};
use crate::error::Error;
use crate::store::Answer;
use crate::store::history::{Entry, History, News, Note, PATIENCE};

/// Read from a file at a time; more only where a single frame is larger.
const CHUNK: u64 = 1 << 20;
/// Segments that are kept for telling again what was accepted, and for what was not: 1 GiB and 4 GiB.
const KEEP: (usize, usize) = (64, 256);
/// Nobody wants to hear of what is older.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Files that say how far a reader has got begin with this.
const READER: &str = "reader-";

/// Where readers are.
#[derive(Debug, Default)]
pub struct Readers {
    places: HashMap<String, u64>,
    /// In which segment and where in it a place ends, for those who read on from there.
    hints: HashMap<u64, (u64, u64)>,
}

impl Readers {
    /// What is saved in this directory.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(dir: &std::path::Path) -> io::Result<Self> {
        let mut readers = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(reader) = name.to_str().and_then(|name| name.strip_prefix(READER)) else { continue };
            // Half a file cannot be: it is replaced as a whole.
            if let Some(place) = fs::read_to_string(entry.path()).ok().and_then(|text| text.trim().parse().ok()) {
                readers.places.insert(reader.to_owned(), place);
            }
        }
        Ok(readers)
    }

    /// The furthest place that any reader has got to.
    pub fn furthest(&self) -> u64 {
        self.places.values().copied().max().unwrap_or(0)
    }
}

impl Kept {
    /// From which frame on segments are needed, if a snapshot holds everything before `saved`.
    pub(super) fn needed_from(&self, saved: u64) -> io::Result<u64> {
        let slowest = self.readers.lock().places.values().copied().min();
        let Some(slowest) = slowest else { return Ok(saved) };
        let all = self.dir.segments()?;
        for (n, first) in all.iter().enumerate() {
            if *first >= saved {
                break;
            }
            let left = all.len() - n;
            let told = all.get(n + 1).is_some_and(|next| *next <= slowest + 1);
            let age = fs::metadata(self.dir.segment(*first))?.modified()?.elapsed().unwrap_or_default();
            if age < DAY && left <= if told { KEEP.0 } else { KEEP.1 } {
                return Ok(*first);
            }
            if !told {
                tracing::warn!(segment = first, "events that were never accepted are given up: too old or too many");
            }
        }
        Ok(saved)
    }

    fn read(&self, after: u64, upto: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let all = self.dir.segments()?;
        let known = self.readers.lock().hints.remove(&after);
        let by_number = all.partition_point(|first| *first <= after.saturating_add(1)).saturating_sub(1);
        // A hint to a segment that is gone is worth nothing.
        let (mut at, mut offset) =
            known.and_then(|(first, offset)| Some((all.binary_search(&first).ok()?, offset))).unwrap_or((by_number, 0));
        let (mut entries, mut last, mut here) = (Vec::new(), after, None);
        'files: while let Some(first) = all.get(at) {
            let mut file = File::open(self.dir.segment(*first))?;
            while let Some(bytes) = piece(&mut file, offset)? {
                let mut read = 0;
                for (record, end) in frames(&bytes) {
                    if record.number > upto || entries.len() >= limit {
                        break 'files;
                    }
                    read = end as u64;
                    if record.number > last {
                        last = record.number;
                        let news: Vec<News> = serde_json::from_slice(record.events).unwrap_or_default();
                        if !news.is_empty() {
                            entries.push(Entry { place: last.to_string(), news });
                        }
                    }
                    here = Some((*first, offset + read));
                }
                offset += read;
            }
            (at, offset) = (at + 1, 0);
        }
        // What holds no news moves the place too.
        if last > after && entries.last().is_none_or(|entry| entry.place != last.to_string()) {
            entries.push(Entry { place: last.to_string(), news: Vec::new() });
        }
        if let Some(here) = here.filter(|_| last > after) {
            let hints = &mut self.readers.lock().hints;
            if hints.len() > 64 {
                hints.clear();
            }
            hints.insert(last, here);
        }
        Ok(entries)
    }

    fn save_place(&self, reader: &str, place: u64) -> io::Result<()> {
        self.dir.replace(&format!("{READER}{reader}"), place.to_string().as_bytes())?;
        self.readers.lock().places.insert(reader.to_owned(), place);
        Ok(())
    }
}

/// Bytes from here on that begin with at least one sound frame; `None` at the end.
fn piece(file: &mut File, offset: u64) -> io::Result<Option<Vec<u8>>> {
    for most in [CHUNK, MAX_PAYLOAD as u64 + CHUNK] {
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        let read = file.take(most).read_to_end(&mut bytes)?;
        if frames(&bytes).next().is_some() {
            return Ok(Some(bytes));
        }
        if (read as u64) < most {
            break;
        }
    }
    Ok(None)
}

/// Work on files, away from the threads that everybody else runs on.
async fn on_files<T: Send + 'static>(
    kept: &Arc<Kept>,
    work: impl FnOnce(&Kept) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let kept = kept.clone();
    let done = tokio::task::spawn_blocking(move || work(&kept)).await;
    let done = done.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|error| Error::Unavailable(format!("the journal: {error}")))
}

impl History for Journal {
    fn lanes(&self) -> usize {
        1
    }

    fn end(&self, _: usize) -> Answer<'_, String> {
        Box::pin(async move { Ok(self.log().durable().borrow().to_string()) })
    }

    fn after<'a>(&'a self, _: usize, place: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        Box::pin(async move {
            let after: u64 = place.parse().unwrap_or(0);
            let mut durable = self.log().durable();
            let Ok(Ok(upto)) =
                timeout(PATIENCE, async { durable.wait_for(|last| *last > after).await.map(|last| *last) }).await
            else {
                return Ok(Vec::new());
            };
            on_files(&self.kept, move |kept| kept.read(after, upto, limit)).await
        })
    }

    fn place<'a>(&'a self, reader: &'a str, _: usize) -> Answer<'a, Option<String>> {
        Box::pin(async move { Ok(self.kept.readers.lock().places.get(reader).map(u64::to_string)) })
    }

    fn save<'a>(&'a self, reader: &'a str, _: usize, place: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let (reader, place) = (reader.to_owned(), place.parse().unwrap_or(0));
            on_files(&self.kept, move |kept| kept.save_place(&reader, place)).await
        })
    }

    fn hold<'a>(&'a self, _: &'a str, _: usize, _: Duration) -> Answer<'a, bool> {
        // The directory is this server's alone.
        Box::pin(async move { Ok(true) })
    }

    fn note<'a>(&'a self, note: &'a Note) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let news = serde_json::to_vec(&[note]).unwrap_or_default();
            let draft = Draft::new(Kind::Note, note.room.as_ref().map_or("", |room| room.as_str()), &[], &news);
            let draft = draft.ok_or_else(|| Error::Unavailable("a note is too large for the journal".into()))?;
            log.append(draft, Vec::new()).durable().await
        })
    }
}
