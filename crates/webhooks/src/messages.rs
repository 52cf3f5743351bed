//! What is said in chat: sent to the app's backend afterwards, or shown to it before, bounded in time. A backend that does
//! not answer decides nothing: the setting says what happens then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use room::chat::{Content, Direct, Message, Refusal, Said};
use room::{Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::{Answered, Hooks, Settings, body};
use outbound::Breaker;
use store::{Note, Span};

/// Which messages the backend hears of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Messages {
    /// None.
    #[default]
    None,
    /// All that were sent, as events.
    After,
    /// It is asked about each before it is sent.
    Before,
    /// Both.
    Both,
}

/// What happens to a message that the backend says nothing about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unanswered {
    /// It is sent.
    #[default]
    Allow,
    /// It is refused.
    Deny,
}

/// Messages that wait to be written into the record; who says more waits, too.
const WAITING: usize = 10_000;
/// Messages written at a time.
const BATCH: usize = 256;
/// How long a sender waits until its message is kept for the backend.
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// Questions at a time; others wait, for as long as they may.
const ABREAST: usize = 128;

/// A message to be written, and who waits for that.
type Waiting = (Note, oneshot::Sender<()>);

/// What the two directions keep.
pub(super) struct State {
    sender: mpsc::Sender<Waiting>,
    receiver: Mutex<Option<mpsc::Receiver<Waiting>>>,
    /// What is said is noted where it is numbered.
    elsewhere: AtomicBool,
    asking: Semaphore,
    breaker: Breaker,
}

impl Default for State {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            elsewhere: AtomicBool::new(false),
            asking: Semaphore::new(ABREAST),
            breaker: Breaker::new(5, Duration::from_secs(3)),
        }
    }
}

/// Where something is said.
#[derive(Clone, Copy, Debug)]
pub enum Whom<'a> {
    /// To a room's group.
    Room(&'a RoomId),
    /// To a user.
    User(&'a UserId),
}

/// Whether the backend is asked before something is said.
fn asks(settings: &Settings) -> bool {
    !settings.urls.is_empty() && matches!(settings.messages, Messages::Before | Messages::Both)
}

impl Hooks {
    /// Whether the backend is asked before something is said.
    #[must_use]
    pub fn asks(&self) -> bool {
        asks(&self.settings.borrow())
    }

    /// Asks whether something may be said, if the settings want that.
    ///
    /// # Errors
    /// The backend's reason, or that there is none.
    pub async fn may_say(&self, whom: Whom<'_>, said: &Said) -> Result<(), String> {
        let settings = {
            let settings = self.settings.borrow();
            if !asks(&settings) {
                return Ok(());
            }
            settings.clone()
        };
        let state = &self.messages;
        if !state.breaker.admits() {
            return unanswered(&settings);
        }
        let within = Duration::from_millis(settings.ask_timeout_ms);
        let began = Instant::now();
        // To wait here, and to have little time left for the question, says nothing about the backend.
        let Ok(Ok(_one)) = timeout(within, state.asking.acquire()).await else { return unanswered(&settings) };
        let left = within.saturating_sub(began.elapsed());
        let verdict = match timeout(left, self.ask(&settings, whom, said, left)).await {
            Ok(Err(_)) | Err(_) if left < within / 2 => return unanswered(&settings),
            Ok(Ok(Answered { status: 200..300, body })) => verdict(&body),
            Ok(Ok(Answered { status, .. })) => Err(format!("HTTP status {status}")),
            Ok(Err(why)) => Err(why),
            Err(_) => Err("no answer in time".into()),
        };
        match verdict {
            Ok(verdict) => {
                if state.breaker.succeeded() {
                    tracing::info!("the backend answers about messages again");
                }
                verdict
            }
            Err(why) => {
                if state.breaker.failed() {
                    tracing::warn!(why, "the backend does not answer about messages; it is asked now and then");
                }
                unanswered(&settings)
            }
        }
    }

    async fn ask(
        &self,
        settings: &Settings,
        whom: Whom<'_>,
        said: &Said,
        within: Duration,
    ) -> Result<Answered, String> {
        const EVENT: &str = "message_before";
        let now = self.clock.now();
        let id = format!("ask-{:016x}", sign::fresh_id());
        let mut fields = Map::new();
        fields.extend([
            ("id".to_owned(), json!(id)),
            ("event".to_owned(), EVENT.into()),
            ("time".to_owned(), json!(now)),
        ]);
        if let Whom::Room(room) = whom {
            fields.insert("roomID".into(), json!(room));
        }
        fields.extend(data(whom, said));
        let body = serde_json::to_vec(&fields).map_err(|e| e.to_string())?;
        let headers = body::headers(&settings.secret, &id, EVENT, now, &body);
        let url = settings.urls.first().filter(|_| settings.ask_url.is_empty()).unwrap_or(&settings.ask_url);
        let posted = self.post.read().post(url, &headers, body.into(), within);
        posted.await
    }

    /// Publishes what was said in a group, if the settings want that. Returns when that would survive a crash: who is told
    /// that it was said may rely on it.
    ///
    /// # Errors
    /// [`Refusal::Away`]: the store takes nothing now. It is sent later, unless the server is killed before.
    pub async fn said(&self, message: &Message) -> Result<(), Refusal> {
        match &message.content {
            Content::Said(said) => self.tell_said(Whom::Room(&message.group), message.seq, message.at, said).await,
            Content::System(_) => Ok(()),
        }
    }

    /// The same for what was said to a user.
    ///
    /// # Errors
    /// As [`Hooks::said`].
    pub async fn said_directly(&self, message: &Direct) -> Result<(), Refusal> {
        self.tell_said(Whom::User(&message.to), message.seq, message.at, &message.said).await
    }

    /// From now on messages are noted where they are numbered, in one step with that, by [`Hooks::note_unnumbered`].
    pub fn are_noted_elsewhere(&self) {
        self.messages.elsewhere.store(true, Ordering::Relaxed);
    }

    /// The note of a message that has no number yet, if the settings want one: as text, before the number and after.
    #[must_use]
    pub fn note_unnumbered(&self, whom: Whom<'_>, at: Millis, said: &Said) -> Option<(String, &'static str)> {
        const END: &str = "}}]";
        let note = self.note_of(whom, at, said, None)?;
        // The data stands last and is never empty.
        let text = serde_json::to_string(&[note]).ok()?;
        Some((format!("{},\"messageSeq\":", text.strip_suffix(END)?), END))
    }

    fn note_of(&self, whom: Whom<'_>, at: Millis, said: &Said, seq: Option<u64>) -> Option<Note> {
        {
            let settings = self.settings.borrow();
            if settings.urls.is_empty() || !matches!(settings.messages, Messages::After | Messages::Both) {
                return None;
            }
        }
        let mut data = data(whom, said);
        if let Some(seq) = seq {
            data.insert("messageSeq".into(), seq.into());
        }
        let room = match whom {
            Whom::Room(room) => Some(room.clone()),
            Whom::User(_) => None,
        };
        Some(Note { event: "message".into(), room, at, data: data.into(), span: Span::None })
    }

    async fn tell_said(&self, whom: Whom<'_>, seq: u64, at: Millis, said: &Said) -> Result<(), Refusal> {
        if self.messages.elsewhere.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(note) = self.note_of(whom, at, said, Some(seq)) else { return Ok(()) };
        let (written, wait) = oneshot::channel();
        let kept = async {
            self.messages.sender.send((note, written)).await.map_err(drop)?;
            wait.await.map_err(drop)
        };
        timeout(KEPT_WITHIN, kept).await.ok().and_then(Result::ok).ok_or(Refusal::Away)
    }

    /// Writes what was said into the record, for ever.
    pub async fn note_messages(self: Arc<Self>) {
        let Some(mut waiting) = self.messages.receiver.lock().take() else { return };
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let (notes, written): (Vec<Note>, Vec<_>) = batch.drain(..).unzip();
            self.note(&notes).await;
            for written in written {
                // Who does not wait any more need not know.
                let _ = written.send(());
            }
        }
    }
}

fn data(whom: Whom<'_>, said: &Said) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("userID".into(), json!(said.from));
    if let Some(nick) = &said.nick {
        data.insert("nick".into(), nick.as_str().into());
    }
    if let Whom::User(user) = whom {
        data.insert("toUserID".into(), json!(user));
    }
    data.insert("body".into(), serde_json::from_str(said.body.as_json()).unwrap_or_default());
    data
}

/// What a backend's answer says: nothing is a yes. `Err`: it says nothing that can be understood.
fn verdict(body: &[u8]) -> Result<Result<(), String>, String> {
    #[derive(Deserialize)]
    struct Verdict {
        allow: bool,
        #[serde(default)]
        reason: String,
    }
    if body.is_empty() {
        return Ok(Ok(()));
    }
    let said: Verdict = serde_json::from_slice(body).map_err(|e| format!("not a verdict: {e}"))?;
    let reason = if said.reason.is_empty() { "not permitted" } else { said.reason.as_str() };
    let reason = reason.get(..reason.floor_char_boundary(200)).unwrap_or_default();
    Ok(if said.allow { Ok(()) } else { Err(reason.to_owned()) })
}

fn unanswered(settings: &Settings) -> Result<(), String> {
    match settings.ask_unanswered {
        Unanswered::Allow => Ok(()),
        Unanswered::Deny => Err("messages cannot be checked now: try again later".into()),
    }
}

#[cfg(test)]
mod tests;
