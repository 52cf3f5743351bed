//! The journal as a record of what was committed: its segments are the queue of those who must miss nothing, and stay for
//! as long as these need them. A place is the number of a frame.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::timeout;

use super::files::{Dir, Disk};
use super::log::{Log, Waiting};
use super::record::{Draft, Kind, MAX_PAYLOAD, Part, frames, salvage};
use super::{Journal, Kept};
use crate::Answer;
use crate::error::Error;
use crate::history::{self, Entry, History, Note, PATIENCE, Span, Takes};

/// Read from a file at a time; more only where a single frame is larger.
const CHUNK: u64 = 1 << 20;
/// Bytes of segments that are kept for telling again what was accepted, and for what was not.
const KEEP_TOLD: u64 = 1 << 30;
const KEEP_UNTOLD: u64 = 4 << 30;
/// And no more files than this: each is looked at when a reader goes on.
const FILES: usize = 4_096;
/// No reader wants what is older.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Files that say how far a reader has got begin with this.
const READER: &str = "reader-";
/// And those that say what it has read beyond that.
const AHEAD: &str = "ahead-";

/// Something that has begun and not ended.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The note of its beginning.
    pub note: Note,
    /// Whether it began, or went on, in this process.
    pub ours: bool,
}

/// What has begun and not ended, by name.
pub type Spans = HashMap<String, Begun>;

/// Queues a note, unless what it says of something that lasts is known already.
fn append(log: &Log, spans: &mut Spans, note: &Note) -> Option<Waiting> {
    let news = serde_json::to_vec(&[note]).ok()?;
    let state = span_state(&note.span);
    match &note.span {
        Span::None => {}
        Span::Begins(name) => {
            if let Some(span) = spans.get_mut(name) {
                span.ours = true;
                return None;
            }
            spans.insert(name.clone(), Begun { note: note.clone(), ours: true });
        }
        Span::Ends(name) => _ = spans.remove(name)?,
    }
    let draft = Draft::new(Kind::Note, note.room.as_ref().map_or("", |room| room.as_str()), &state, &news);
    if draft.is_none() {
        tracing::warn!(event = note.event, "a note is too large for the journal and is left out");
    }
    Some(log.append(draft?, Vec::new()))
}

/// What a frame says of something that lasts: a sign and its name, or nothing.
pub fn span_state(span: &Span) -> Vec<u8> {
    match span {
        Span::None => Vec::new(),
        Span::Begins(name) => format!("+{name}").into_bytes(),
        Span::Ends(name) => format!("-{name}").into_bytes(),
    }
}

/// Takes in what a frame says of something that lasts.
pub fn apply_span(state: &[u8], events: &[u8], spans: &mut Spans) {
    let Some((sign, name)) = std::str::from_utf8(state).ok().and_then(|state| state.split_at_checked(1)) else {
        return;
    };
    if sign == "-" {
        spans.remove(name);
    } else if let Ok([note]) = serde_json::from_slice::<[Note; 1]>(events) {
        spans.insert(name.to_owned(), Begun { note, ours: false });
    }
}

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
    pub fn load(dir: &Dir) -> io::Result<Self> {
        let mut readers = Self::default();
        for name in dir.list()? {
            let Some(reader) = name.strip_prefix(READER) else { continue };
            let text = dir.disk().read(&dir.path().join(&name)).ok().and_then(|text| String::from_utf8(text).ok());
            // Half a file cannot be: it is replaced as a whole.
            if let Some(place) = text.and_then(|text| text.trim().parse().ok()) {
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

impl Journal {
    /// How many spans have begun and not ended.
    #[must_use]
    pub fn kept_spans(&self) -> usize {
        self.kept.spans.lock().len()
    }
}

impl Kept {
    /// From which frame on segments are needed, if a snapshot holds everything before `saved`.
    pub(super) fn needed_from(&self, saved: u64) -> io::Result<u64> {
        let slowest = self.readers.lock().places.values().copied().min();
        let Some(slowest) = slowest else { return Ok(saved) };
        let all = self.dir.segments()?;
        let mut about = Vec::with_capacity(all.len());
        for first in &all {
            about.push(self.dir.about(&self.dir.segment(*first))?);
        }
        let mut bytes: u64 = about.iter().flatten().map(|about| about.length).sum();
        for (n, (first, about)) in all.iter().zip(about).enumerate() {
            if *first >= saved {
                break;
            }
            let Some(about) = about else { continue };
            let told = all.get(n + 1).is_some_and(|next| *next <= slowest + 1);
            let few = bytes <= if told { KEEP_TOLD } else { KEEP_UNTOLD } && all.len() - n <= FILES;
            // No file was waiting here for longer than this process, however far the machine's clock was set forward.
            let age = about.modified.elapsed().unwrap_or_default().min(self.begun.elapsed());
            if few && age < DAY {
                return Ok(*first);
            }
            bytes -= about.length;
            if !told {
                tracing::warn!(segment = first, "events that were never accepted are given up: too old or too many");
            }
        }
        Ok(saved)
    }

    pub(super) fn read(&self, after: u64, upto: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let all = self.dir.segments()?;
        let known = self.readers.lock().hints.remove(&after);
        let by_number = all.partition_point(|first| *first <= after.saturating_add(1)).saturating_sub(1);
        // A hint to a segment that is gone is worth nothing.
        let (mut at, mut offset) =
            known.and_then(|(first, offset)| Some((all.binary_search(&first).ok()?, offset))).unwrap_or((by_number, 0));
        let mut entries = Vec::new();
        let mut last = after;
        let mut here = None;
        'files: while let Some(first) = all.get(at) {
            let path = self.dir.segment(*first);
            while let Some(bytes) = match piece(self.dir.disk(), &path, offset)? {
                // What is written is sound; behind it may be a part of what is being written.
                None if last < upto => behind_damage(self.dir.disk(), &path, &mut offset)?,
                found => found,
            } {
                let mut read = 0;
                for (record, end) in frames(&bytes) {
                    if record.number > upto || entries.len() >= limit {
                        break 'files;
                    }
                    read = end as u64;
                    if record.number > last {
                        last = record.number;
                        let news = history::understand(record.events, &last.to_string());
                        if !news.is_empty() {
                            entries.push(Entry { place: last.to_string(), news });
                        }
                    }
                    here = Some((*first, offset + read));
                }
                offset += read;
            }
            at += 1;
            offset = 0;
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

    fn keep_readers(&self, prefix: &str, readers: &[String]) -> io::Result<()> {
        let gone: Vec<String> = {
            let known = self.readers.lock();
            let gone = known.places.keys().filter(|name| name.starts_with(prefix) && !readers.contains(name));
            gone.cloned().collect()
        };
        for name in gone {
            self.dir.disk().remove(&self.dir.path().join(format!("{READER}{name}")))?;
            match self.dir.disk().remove(&self.dir.path().join(format!("{AHEAD}{name}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.readers.lock().places.remove(&name);
        }
        Ok(())
    }

    pub(super) fn save_place(&self, reader: &str, place: u64) -> io::Result<()> {
        self.dir.replace(&format!("{READER}{reader}"), place.to_string().as_bytes())?;
        self.readers.lock().places.insert(reader.to_owned(), place);
        Ok(())
    }
}

/// Bytes from here on that begin with at least one sound frame; `None` at the end.
fn piece(disk: &dyn Disk, path: &Path, offset: u64) -> io::Result<Option<Vec<u8>>> {
    for most in [CHUNK, MAX_PAYLOAD as u64 + CHUNK] {
        let bytes = disk.read_at(path, offset, most)?;
        if frames(&bytes).next().is_some() {
            return Ok(Some(bytes));
        }
        if (bytes.len() as u64) < most {
            break;
        }
    }
    Ok(None)
}

/// The same behind what cannot be read here, if there is a sound frame; `offset` goes on to it.
fn behind_damage(disk: &dyn Disk, path: &Path, offset: &mut u64) -> io::Result<Option<Vec<u8>>> {
    let length = disk.about(path)?.length;
    let rest = disk.read_at(path, *offset, length.saturating_sub(*offset))?;
    let sound = salvage(&rest).find_map(|part| match part {
        Part::Frame(_, place) => Some(place.start),
        Part::Damage(_) => None,
    });
    let Some(sound) = sound else { return Ok(None) };
    tracing::error!(file = %path.display(), at = *offset, bytes = sound, "events in the journal cannot be read and are passed over");
    *offset += sound as u64;
    piece(disk, path, *offset)
}

/// Work on files, away from the threads that all else runs on.
async fn on_files<T: Send + 'static>(
    kept: &Arc<Kept>,
    work: impl FnOnce(&Kept) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    if let Some(pace) = &kept.pace {
        pace.pause().await;
        return work(kept).map_err(|error| Error::Unavailable(format!("the journal: {error}")));
    }
    let kept = kept.clone();
    let done = tokio::task::spawn_blocking(move || work(&kept)).await;
    let done = done.map_err(io::Error::other).and_then(|done| done);
    done.map_err(|error| Error::Unavailable(format!("the journal: {error}")))
}

impl History for Journal {
    fn partitions(&self) -> usize {
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
            let reader = reader.to_owned();
            let place = place.parse().unwrap_or(0);
            on_files(&self.kept, move |kept| kept.save_place(&reader, place)).await
        })
    }

    fn ahead<'a>(&'a self, reader: &'a str, _: usize) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let name = format!("{AHEAD}{reader}");
            let read = move |kept: &Kept| {
                let text = kept.dir.read(&kept.dir.path().join(name))?;
                text.map(|text| String::from_utf8(text).map_err(io::Error::other)).transpose()
            };
            on_files(&self.kept, read).await
        })
    }

    fn save_ahead<'a>(&'a self, reader: &'a str, _: usize, text: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = format!("{AHEAD}{reader}");
            let text = text.to_owned();
            on_files(&self.kept, move |kept| kept.dir.replace(&name, text.as_bytes())).await
        })
    }

    fn keep_readers<'a>(&'a self, prefix: &'a str, readers: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async move {
            let prefix = prefix.to_owned();
            let readers = readers.to_vec();
            on_files(&self.kept, move |kept| kept.keep_readers(&prefix, &readers)).await
        })
    }

    fn hold<'a>(&'a self, _: &'a str, _: usize, _: Duration) -> Answer<'a, bool> {
        // The directory is this server's alone.
        Box::pin(async move { Ok(true) })
    }

    fn note<'a>(&'a self, notes: &'a [Note]) -> Answer<'a, ()> {
        Box::pin(async move {
            let log = self.log();
            log.ready()?;
            let waiting = {
                // Held while they are queued: the order of ends and beginnings is that of the frames.
                let mut spans = self.kept.spans.lock();
                let queued: Vec<_> = notes.iter().filter_map(|note| append(log, &mut spans, note)).collect();
                queued.into_iter().last().unwrap_or_else(|| log.barrier())
            };
            waiting.durable().await
        })
    }

    fn unfinished<'a>(&'a self, takes: &'a Takes<'a>) -> Answer<'a, Vec<(String, Note)>> {
        Box::pin(async move {
            let spans = self.kept.spans.lock();
            let lost = spans.iter().filter(|(name, span)| !span.ours && takes(name, &span.note));
            Ok(lost.map(|(name, span)| (name.clone(), span.note.clone())).collect())
        })
    }
}
