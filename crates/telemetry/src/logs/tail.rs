//! The newest log lines for who watches, and a search through the files. Without a watcher it costs nothing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast;

use super::{KINDS, Logs, file};

/// Lines that wait for a slow watcher; beyond, the oldest are missed and it is notified.
const WAITING: usize = 1024;
/// Bytes of a file's end that are read at once.
const END: u64 = 128 * 1024;
/// Most bytes that a search reads.
const SEARCHED: u64 = 256 * 1024 * 1024;
/// Longest part of a line that is shown, in bytes.
const LONGEST: usize = 2000;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// `response`, `error`, or `log` for what the program says.
    pub kind: &'static str,
    /// It, with its time.
    pub text: Arc<str>,
}

impl Line {
    fn new(kind: &'static str, text: &str) -> Self {
        let text = text.trim_end();
        let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST).unwrap_or(text.len());
        Self { kind, text: text[..end].into() }
    }

    pub(super) fn response(now: u64, line: &str) -> Self {
        Self::new(KINDS[0], &format!("{}.{:03}Z {line}", file::stamp(now), now % 1000))
    }

    /// Says that lines were missed.
    #[must_use]
    pub fn missed(count: u64) -> Self {
        Self::new("log", &format!("({count} lines came faster than they could be shown)"))
    }
}

pub(super) fn channel() -> broadcast::Sender<Line> {
    broadcast::channel(WAITING).0
}

/// Hands what the program says to who watches.
pub(super) struct Writer(pub broadcast::Sender<Line>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.receiver_count() > 0 {
            let _ = self.0.send(Line::new("log", &String::from_utf8_lossy(bytes)));
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logs {
    /// All lines from now on.
    #[must_use]
    pub fn tail(&self) -> broadcast::Receiver<Line> {
        self.tail.subscribe()
    }

    /// The last lines of the newest files, oldest first. Reads files.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Line> {
        self.flush();
        let mut lines = Vec::new();
        for kind in KINDS {
            let newest = self.list().into_iter().find(|entry| entry.name.starts_with(kind));
            let text = newest.and_then(|entry| end_of(&self.path(&entry.name)?, END).ok()).unwrap_or_default();
            lines.extend(text.lines().map(|line| Line::new(kind, line)));
        }
        // Lines begin with their times.
        lines.sort_by(|a, b| a.text.cmp(&b.text));
        lines.split_off(lines.len().saturating_sub(count))
    }

    /// Lines that hold a text (small and capital letters are the same), newest first. Reads files, newest first.
    #[must_use]
    pub fn search(&self, text: &str, most: usize) -> Vec<Line> {
        self.flush();
        let needle = text.to_lowercase();
        let mut found = Vec::new();
        let mut left = SEARCHED;
        for entry in self.list() {
            let (Some(path), Some(kind)) = (self.path(&entry.name), KINDS.iter().find(|k| entry.name.starts_with(**k)))
            else {
                continue;
            };
            let Ok(read) = end_of(&path, left.min(16 * 1024 * 1024)) else { continue };
            left = left.saturating_sub(read.len() as u64);
            let hits = read.lines().rev().filter(|line| line.to_lowercase().contains(&needle));
            found.extend(hits.take(most).map(|line| Line::new(kind, line)));
            if left == 0 {
                break;
            }
        }
        found.sort_by(|a, b| b.text.cmp(&a.text));
        found.truncate(most);
        found
    }
}

/// The end of a file, from the beginning of a line.
fn end_of(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let skipped = size.saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, whole)) if skipped > 0 => whole.to_owned(),
        _ => text,
    })
}
