//! Mixes over a restart: what clients asked of this process last is in a file, and is asked again when the process begins. Clients
//! ask only when a room's pushers change, so what they see would not be mixed any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::mixing::{GONE, MOVED};
use super::{Embedded, Mixable};

/// Mixes that are asked for at the same time.
const ABREAST: usize = 16;
/// How often it is asked again for what is not pushed yet.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long: publishers have come back by then, or are gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wish {
    params: Value,
    streams: Mixable,
}

/// By session.
type Wishes = BTreeMap<String, Wish>;

/// The file, and what is in it.
pub struct KeptMixes {
    path: PathBuf,
    wishes: Mutex<Wishes>,
    /// One writes at a time, and the last one writes what is true then.
    writing: Mutex<()>,
}

impl KeptMixes {
    /// Reads the file. One that cannot be read is told of, and begun anew.
    #[must_use]
    pub fn open(path: PathBuf) -> Arc<Self> {
        let wishes = read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "mixes of before the restart are not known: clients have to ask for them");
            Wishes::new()
        });
        Arc::new(KeptMixes { path, wishes: Mutex::new(wishes), writing: Mutex::new(()) })
    }

    /// Notes what was asked for and is mixed.
    fn put(self: &Arc<Self>, session: &str, params: &Value, streams: &Mixable) {
        let wish = Wish { params: params.clone(), streams: streams.clone() };
        let old = self.wishes.lock().insert(session.to_owned(), wish.clone());
        if old != Some(wish) {
            self.save();
        }
    }

    fn has(&self, session: &str, wish: &Wish) -> bool {
        self.wishes.lock().get(session) == Some(wish)
    }

    /// Forgets all but these.
    fn retain(self: &Arc<Self>, mut stays: impl FnMut(&str, &Wish) -> bool) {
        let mut wishes = self.wishes.lock();
        let before = wishes.len();
        wishes.retain(|session, wish| stays(session, wish));
        let changed = wishes.len() != before;
        drop(wishes);
        if changed {
            self.save();
        }
    }

    /// Writes the file beside the work of others.
    fn save(self: &Arc<Self>) {
        let kept = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _one = kept.writing.lock();
            let bytes = serde_json::to_vec(&*kept.wishes.lock());
            let written = bytes.map_err(io::Error::from).and_then(|bytes| write(&kept.path, &bytes));
            if let Err(error) = written {
                tracing::warn!(path = %kept.path.display(), %error, "mixes are not kept over a restart");
            }
        });
    }
}

fn read(path: &PathBuf) -> io::Result<Wishes> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Wishes::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &PathBuf, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(new, path)
}

impl Embedded {
    /// Notes a mix that was asked for.
    pub(super) fn keep(&self, session: &str, params: &Value, streams: &Mixable) {
        if let Some(kept) = &self.kept {
            kept.put(session, params, streams);
        }
    }

    /// Forgets a mix of this room that a client has ended, begun or not.
    pub(super) fn forget(&self, session: &str, streams: &Mixable) {
        let of_room = |wish: &Wish| wish.streams.room.iter().any(|stream| streams.in_room(stream.as_str()));
        if let Some(kept) = &self.kept {
            kept.retain(|other, wish| other != session || !of_room(wish));
        }
    }

    /// Forgets a mix that an operator has ended, begun or not.
    pub(super) fn forget_session(&self, session: &str) {
        if let Some(kept) = &self.kept {
            kept.retain(|other, _| other != session);
        }
    }

    /// Asks for what was mixed before the restart, as its streams come back, and forgets what is not mixed any more. Goes on until
    /// the process is to end: what ends with it comes again.
    pub async fn resume(self, leaving: CancellationToken) {
        let Some(kept) = self.kept.clone() else { return };
        let waiting = Mutex::new(kept.wishes.lock().clone());
        let until = Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(AGAIN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if leaving.run_until_cancelled(tick.tick()).await.is_none() {
                return;
            }
            // Beside each other: what is to come from other nodes is waited for.
            let wishes = waiting.lock().clone();
            let ask = async |(session, wish): (String, Wish)| {
                if !self.is_resumed(&kept, &session, &wish, until).await {
                    return;
                }
                waiting.lock().remove(&session);
            };
            futures_util::stream::iter(wishes).for_each_concurrent(ABREAST, ask).await;
            if leaving.is_cancelled() {
                return;
            }
            let waiting = waiting.lock();
            kept.retain(|session, _| waiting.contains_key(session) || self.mixer.output(session).is_some());
        }
    }

    /// Asks once. Says whether that is all: it is mixed, it is wanted no more, or it was tried for long enough.
    async fn is_resumed(&self, kept: &KeptMixes, session: &str, wish: &Wish, until: Instant) -> bool {
        // A client may have asked for it since, or for its end.
        let still = || kept.has(session, wish) && self.mixer.output(session).is_none();
        if !still() {
            return true;
        }
        let outcome = self.merge_here(&wish.params, &wish.streams, &still).await.unwrap_or_else(|refused| refused);
        match outcome.code {
            0 => tracing::info!(session, "mixed again, as before the restart"),
            GONE | MOVED => {}
            // Streams are not back yet, or what this node had before is not given up by the others yet.
            _ if Instant::now() < until => return false,
            code => tracing::info!(session, code, outcome.message, "not mixed again"),
        }
        true
    }
}
