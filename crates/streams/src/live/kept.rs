//! Mixes over a restart: what clients asked of this process last is in a file, and is asked again when the process begins. Clients
//! ask only when a room's pushers change, so what they see would not be mixed any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::mix::{NOT_THERE_YET, SIZE_UNKNOWN};
use super::{Embedded, Mixable};

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
}

impl KeptMixes {
    /// Reads the file. One that cannot be read is told of, and begun anew.
    #[must_use]
    pub fn open(path: PathBuf) -> Arc<Self> {
        let wishes = read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "mixes of before the restart are not known: clients have to ask for them");
            Wishes::new()
        });
        Arc::new(KeptMixes { path, wishes: Mutex::new(wishes) })
    }

    /// Notes what was asked for and is mixed.
    fn put(self: &Arc<Self>, session: &str, params: &Value, streams: &Mixable) {
        let wish = Wish { params: params.clone(), streams: streams.clone() };
        let mut wishes = self.wishes.lock();
        if wishes.get(session) == Some(&wish) {
            return;
        }
        wishes.insert(session.to_owned(), wish);
        drop(wishes);
        self.save();
    }

    /// Forgets all but these.
    fn retain(self: &Arc<Self>, stays: impl Fn(&str) -> bool) {
        let mut wishes = self.wishes.lock();
        let before = wishes.len();
        wishes.retain(|session, _| stays(session));
        let changed = wishes.len() != before;
        drop(wishes);
        if changed {
            self.save();
        }
    }

    /// Writes the file beside the work of others. Whichever of two comes last writes what is true then.
    fn save(self: &Arc<Self>) {
        let kept = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let wishes = kept.wishes.lock();
            if let Err(error) = write(&kept.path, &wishes) {
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

fn write(path: &PathBuf, wishes: &Wishes) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(wishes)?)?;
    fs::rename(new, path)
}

impl Embedded {
    /// Notes a mix that was asked for.
    pub(super) fn keep(&self, session: &str, params: &Value, streams: &Mixable) {
        if let Some(kept) = &self.kept {
            kept.put(session, params, streams);
        }
    }

    /// Forgets a mix that a client has ended.
    pub(super) fn forget(&self, session: &str) {
        if let Some(kept) = &self.kept {
            kept.retain(|other| other != session);
        }
    }

    /// Asks for what was mixed before the restart, as its streams come back, and forgets what is not mixed any more. Goes on until
    /// the process is to end: what ends with it comes again.
    pub async fn resume(self, leaving: CancellationToken) {
        let Some(kept) = self.kept.clone() else { return };
        let mut waiting = kept.wishes.lock().clone();
        let until = Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(AGAIN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if leaving.run_until_cancelled(tick.tick()).await.is_none() {
                return;
            }
            let mut left = Wishes::new();
            for (session, wish) in std::mem::take(&mut waiting) {
                // A client was faster.
                if self.mixer.output(&session).is_some() {
                    continue;
                }
                let outcome = self.merge_here(&wish.params, &wish.streams).await.unwrap_or_else(|refused| refused);
                match outcome.code {
                    0 => tracing::info!(session, "mixed again, as before the restart"),
                    NOT_THERE_YET | SIZE_UNKNOWN if Instant::now() < until => {
                        left.insert(session, wish);
                    }
                    code => tracing::info!(session, code, outcome.message, "not mixed again"),
                }
            }
            waiting = left;
            kept.retain(|session| waiting.contains_key(session) || self.mixer.output(session).is_some());
        }
    }
}
