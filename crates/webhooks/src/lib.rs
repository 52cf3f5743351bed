//! Webhooks: notifies the app's backend of what happened, each event until it is accepted, in order for each room. Reads the
//! store's record of commits from where it stopped, so that a restart, a dead backend or a slow one loses nothing and
//! costs nothing. Knows no HTTP client: who carries a request is passed in.

mod audience;
mod body;
mod complaints;
mod hook;
mod messages;
mod partition;
mod post;
mod progress;
mod replay;
mod streams;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashSet;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use sign::Secret;
use store::History;
use store::clock::Clock;
use telemetry::shown;

pub use body::{EVENTS, signature};
pub use hook::Hook;
pub use messages::{Messages, Unanswered, Whom};
pub use progress::{Behind, Progress};
pub use replay::{Cursor, NotReplayed, Replayed};
pub use streams::Sources;

/// `[webhooks]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where events are posted to; each URL gets all of them.
    #[serde(serialize_with = "shown::all")]
    pub urls: Vec<String>,
    /// Signs the requests.
    pub secret: Secret,
    /// A PEM file with authorities whose certificates are trusted beside those of Mozilla's list; empty: none.
    pub ca: PathBuf,
    /// Names of the events that are sent; empty: all.
    pub events: Vec<String>,
    /// Whether it hears what is said in chat, or is asked before.
    pub messages: Messages,
    /// Who is asked before; empty: the first of `urls`.
    #[serde(serialize_with = "shown::one")]
    pub ask_url: String,
    /// Milliseconds within which it must have answered.
    pub ask_timeout_ms: u64,
    /// What happens to a message when it has not.
    pub ask_unanswered: Unanswered,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            secret: Secret::default(),
            ca: PathBuf::new(),
            events: Vec::new(),
            messages: Messages::default(),
            ask_url: String::new(),
            ask_timeout_ms: 1000,
            ask_unanswered: Unanswered::default(),
        }
    }
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        for url in self.urls.iter().chain(Some(&self.ask_url).filter(|url| !url.is_empty())) {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                found.push(format!(
                    "webhooks.urls: \"{}\" is no URL such as https://app.example.com/hook",
                    shown::url(url)
                ));
            }
        }
        if !self.urls.is_empty() && self.secret.expose().len() < 16 {
            found.push("webhooks.secret must have at least 16 characters: the receiver checks who calls by it (`openssl rand -hex 32` makes one)".into());
        }
        found.extend(self.client().err());
        if !(10..=10_000).contains(&self.ask_timeout_ms) {
            found.push("webhooks.ask_timeout_ms must be from 10 to 10000: somebody waits to send a message".into());
        }
        for event in self.events.iter().filter(|event| !EVENTS.contains(&event.as_str())) {
            found.push(format!("webhooks.events: there is no \"{event}\"; there are {}", EVENTS.join(", ")));
        }
    }
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body; empty unless the status is a 2xx.
    pub body: Bytes,
}

/// What came of a request: an answer, or why there is none.
pub type Posted = Pin<Box<dyn Future<Output = Result<Answered, String>> + Send>>;

/// Carries requests.
pub trait Post: Send + Sync + 'static {
    /// Posts a JSON body with these headers; has an answer, or none, `within` that time.
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes, within: Duration) -> Posted;
}

/// All that the app's backend is notified of.
pub struct Hooks {
    settings: watch::Sender<Settings>,
    post: RwLock<Arc<dyn Post>>,
    history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
    /// The readers of URLs that are sent something again.
    replaying: Mutex<HashSet<String>>,
    progress: Arc<Progress>,
    messages: messages::State,
}

impl Hooks {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        settings: &Settings,
        post: Arc<dyn Post>,
        history: Arc<dyn History>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let settings = watch::channel(settings.clone()).0;
        Arc::new(Self {
            settings,
            post: RwLock::new(post),
            history,
            clock,
            replaying: Mutex::default(),
            progress: Arc::default(),
            messages: messages::State::default(),
        })
    }

    /// Other settings from now on. A URL that is new hears what happens from now on; one that stays goes on where it
    /// stopped; one that is gone is forgotten.
    pub fn set(&self, settings: &Settings) {
        self.settings.send_if_modified(|old| {
            let new = old != settings;
            if new {
                old.clone_from(settings);
            }
            new
        });
    }

    /// The same, with a `Post` that carries requests as these settings say: it is changed where they speak of a file, which may
    /// have changed itself.
    pub fn reload(&self, settings: &Settings, post: Arc<dyn Post>) {
        let has_file = |settings: &Settings| !settings.ca.as_os_str().is_empty();
        if !has_file(settings) && !has_file(&self.settings.borrow()) {
            return self.set(settings);
        }
        *self.post.write() = post;
        self.settings.send_modify(|old| old.clone_from(settings));
    }

    /// Whether any URL is notified.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.settings.borrow().urls.is_empty()
    }

    /// How far behind each URL is.
    #[must_use]
    pub fn behind(&self) -> Vec<Behind> {
        self.progress.all()
    }

    /// Notes from where on new URLs are notified, before anything can happen. A store that is unavailable is asked again later.
    pub async fn begin(&self) {
        for hook in self.hooks(&self.settings.borrow().clone()) {
            for partition in 0..self.history.partitions() {
                if let Err(error) = hook.begin(partition).await {
                    tracing::warn!(%error, "webhooks begin when the store is back");
                    return;
                }
            }
        }
    }

    /// Tells everything, for ever, as the settings say.
    pub async fn run(self: Arc<Self>) {
        let mut changes = self.settings.subscribe();
        loop {
            let settings = changes.borrow_and_update().clone();
            let hooks = self.hooks(&settings);
            let readers: Vec<String> = hooks.iter().map(|hook| hook.reader().to_owned()).collect();
            self.progress.keep(&readers);
            if let Err(error) = self.history.keep_readers(hook::READERS, &readers).await {
                tracing::warn!(%error, "what webhooks of old URLs have not heard is kept a while longer");
            }
            let telling = futures_util::future::join_all(hooks.into_iter().map(|hook| async move {
                hook.run().await;
            }));
            tokio::select! {
                // What was being told is told again by the next ones: nothing was saved of it.
                changed = changes.changed() => if changed.is_err() { return },
                () = async { telling.await; std::future::pending().await } => {}
            }
        }
    }

    fn hooks(&self, settings: &Settings) -> Vec<Arc<Hook>> {
        Hook::all(settings, &self.post.read(), &self.history, &self.clock, &self.progress)
    }
}
