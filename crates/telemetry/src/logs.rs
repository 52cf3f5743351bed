//! Log files: what was answered in `response/`, what went wrong in `error/`, a file an hour, kept for
//! some days; and the console. Knows no secrets: lines are made of fields that hold none.

mod answered;
mod console;
mod file;
mod refused;
mod tail;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, reload};

pub use answered::Answered;
use console::Console;
pub use file::{Bounds, HourlyFile, Spare};
pub use tail::Line;

/// `[logs]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory; empty: `logs` in the data directory.
    pub dir: PathBuf,
    /// Days for which files are kept.
    pub days: u32,
    /// Most bytes of all files.
    pub max_bytes: u64,
    /// What goes to console and error log, as `tracing` filters: `info`, `roomservice=debug`…
    pub level: String,
    /// How lines look.
    pub format: Format,
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// A JSON object each, for programs.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dir: PathBuf::new(), days: 7, max_bytes: 4_000_000_000, level: "info".into(), format: Format::Text }
    }
}

/// Least that files may take: less would be gone before it is read.
const LEAST_BYTES: u64 = 10_000_000;

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        if self.max_bytes < LEAST_BYTES {
            found.push(format!("logs.max_bytes must be at least {LEAST_BYTES}"));
        }
    }
}

/// The two kinds of log files.
const KINDS: [&str; 2] = ["response", "error"];

/// HTTP's status for who asks for too much.
const TOO_MANY_REQUESTS: u16 = 429;

/// The log files of a running server.
#[derive(Clone, Debug)]
pub struct Logs {
    dir: PathBuf,
    format: Format,
    responses: Arc<HourlyFile>,
    errors: Arc<HourlyFile>,
    tail: broadcast::Sender<Line>,
    /// What was subscribed.
    subscribed: Arc<OnceLock<Subscribed>>,
}

/// The console and the level that it has.
struct Subscribed {
    console: Console,
    set_level: SetLevel,
}

impl fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribed")
    }
}

/// Gives console and tail another filter.
type SetLevel = Box<dyn Fn(&EnvFilter) + Send + Sync>;

/// A log file as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `response/response-2026-11-23-14.log`.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A filter for `level`. The DTLS library warns of every extension that it does not know, three times a handshake with a
/// browser: what matters of it is logged where the session is.
fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let quiet = if level.contains("rtc_dtls") { level.to_owned() } else { format!("{level},rtc_dtls=error") };
    EnvFilter::try_new(quiet)
}

impl Logs {
    /// Opens this hour's files and starts writing. Answers are noted as long as `spare` bytes of the disk are free.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(settings: &Settings, data_dir: &Path, spare: Option<Spare>) -> io::Result<Self> {
        let dir = if settings.dir.as_os_str().is_empty() { data_dir.join("logs") } else { settings.dir.clone() };
        let tail = tail::channel();
        let Settings { format, days, max_bytes, .. } = *settings;
        let open = |kind: &str, bytes: u64, spare: Option<Spare>| {
            let bounds = Bounds { format, days, bytes, spare, tail: tail.clone() };
            HourlyFile::open(dir.join(kind), kind, bounds).map(Arc::new)
        };
        // Who floods one of them does not push out the other.
        let of_errors = max_bytes / 4;
        Ok(Self {
            responses: open(KINDS[0], max_bytes - of_errors, spare)?,
            errors: open(KINDS[1], of_errors, None)?,
            tail,
            format: settings.format,
            subscribed: Arc::default(),
            dir,
        })
    }

    /// Sends what the program says to the console, and warnings and errors also to the error log.
    pub fn subscribe(&self, settings: &Settings) {
        let level = || filter(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let (of_console, set_console) = reload::Layer::new(level());
        let (of_tail, set_tail) = reload::Layer::new(level());
        let (writer, opened) = console::open(io::stderr());
        let console = tracing_subscriber::fmt::layer().with_writer(writer);
        let error_log = self.errors.clone();
        let errors = tracing_subscriber::fmt::layer().with_writer(move || ErrorLog(error_log.clone()));
        let (console, errors) = match settings.format {
            Format::Text => (console.with_ansi(io::stderr().is_terminal()).boxed(), errors.with_ansi(false).boxed()),
            Format::Json => (console.json().flatten_event(true).boxed(), errors.json().flatten_event(true).boxed()),
        };
        let console = console.with_filter(of_console);
        let errors = errors.with_filter(filter("warn").unwrap_or_else(|_| EnvFilter::new("warn")));
        let lines = self.tail.clone();
        let tail = tracing_subscriber::fmt::layer()
            .with_writer(move || tail::Writer(lines.clone()))
            .with_ansi(false)
            .with_filter(of_tail);
        // A second server in one process (tests) keeps the first one's console.
        if tracing_subscriber::registry().with(console).with(errors).with(tail).try_init().is_ok() {
            let set = move |filter: &EnvFilter| {
                // They fail only when nothing is subscribed any more.
                let _ = set_console.reload(filter.clone());
                let _ = set_tail.reload(filter.clone());
            };
            let _ = self.subscribed.set(Subscribed { console: opened, set_level: Box::new(set) });
        }
    }

    /// Another level from now on.
    ///
    /// # Errors
    /// It is no filter; nothing was changed.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        let filter = filter(level).map_err(|e| format!("logs.level = \"{level}\": {e}"))?;
        if let Some(subscribed) = self.subscribed.get() {
            (subscribed.set_level)(&filter);
        }
        Ok(())
    }

    /// Notes an answer. Cheap: the line is formatted into a buffer that another thread writes out.
    /// One of those that were refused because their callers ask for too much has no line of its own.
    pub fn answered(&self, now: u64, answered: &Answered<'_>) {
        if answered.status == TOO_MANY_REQUESTS {
            self.responses.refused(answered.peer);
            return;
        }
        match self.format {
            Format::Text => self.responses.line(now, |line| answered.append_to(line)),
            Format::Json => {
                #[derive(Serialize)]
                struct Timed<'a> {
                    /// Unix milliseconds.
                    time: u64,
                    #[serde(flatten)]
                    answered: &'a Answered<'a>,
                }
                let mut line = serde_json::to_vec(&Timed { time: now, answered }).unwrap_or_default();
                line.push(b'\n');
                self.responses.raw(&line);
            }
        }
        // For consoles that are open.
        if self.tail.receiver_count() > 0 {
            let mut line = Vec::new();
            answered.append_to(&mut line);
            let _ = self.tail.send(Line::response(now, &String::from_utf8_lossy(&line)));
        }
    }

    /// Lines that were dropped since the start, because the disk was full or too slow for them, or nobody read the console.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let console = self.subscribed.get().map_or(0, |subscribed| subscribed.console.lost());
        self.responses.lost().saturating_add(self.errors.lost()).saturating_add(console)
    }

    /// Writes out everything noted so far. The console is closed with it, which waits for who reads it for a second at most.
    pub fn end(&self) {
        if let Some(subscribed) = self.subscribed.get() {
            subscribed.console.end();
        }
        self.flush();
    }

    /// Writes out everything noted so far.
    pub fn flush(&self) {
        self.responses.flush();
        self.errors.flush();
    }

    /// The files there are, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let mut found = Vec::new();
        for kind in KINDS {
            let Ok(dir) = std::fs::read_dir(self.dir.join(kind)) else { continue };
            for file in dir.flatten() {
                let (Ok(name), Ok(meta)) = (file.file_name().into_string(), file.metadata()) else { continue };
                if meta.is_file() && is_log(kind, &name) {
                    found.push(Entry { name: format!("{kind}/{name}"), size: meta.len() });
                }
            }
        }
        found.sort_by(|a, b| b.name.cmp(&a.name));
        found
    }

    /// The path of a listed file; `None` for every other name.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let (kind, file) = name.split_once('/')?;
        let kind = KINDS.into_iter().find(|k| *k == kind)?;
        let path = self.dir.join(kind).join(file);
        // A link with a log's name could lead anywhere.
        let plain = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        (is_log(kind, file) && plain).then_some(path)
    }
}

/// Whether this is a name that we give: `{kind}-YYYY-MM-DD-HH.log`, or `…-HH_0001.log`.
fn is_log(kind: &str, name: &str) -> bool {
    let time = name.strip_prefix(kind).and_then(|n| n.strip_prefix('-')).and_then(|n| n.strip_suffix(".log"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_hour = |hour: &str| hour.len() == 13 && hour.split('-').all(digits);
    time.is_some_and(|time| match time.split_once('_') {
        None => is_hour(time),
        Some((hour, part)) => is_hour(hour) && part.len() >= 4 && digits(part),
    })
}

struct ErrorLog(Arc<HourlyFile>);

impl Write for ErrorLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.raw(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
