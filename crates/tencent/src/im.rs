//! Tencent's chat service: a room's group is made before the room, everything else is done in the
//! background, in order for each room, and again until it is done. No room waits or fails for that.

pub mod code;
mod delivery;
mod follow;
pub mod rest;
pub mod webhook;
mod whereabouts;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use room::event::LeaveReason;
use room::{Event, Millis, Refusal, RoomId, UserId, What};
use tokio::time::Instant;

use chat::{Chat, Remote, RemoteAnswer, RemoteError};
use code::Meaning;
use delivery::{Delivery, Outcome, Task, Woken};
pub use follow::Follower;
use outbound::Retry;
use rest::{NOTICE, Rest, Trouble};
use store::error::Error;
use store::{Answer, Store};
use whereabouts::Whereabouts;

/// How long a room that is being made waits for its group.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// How long one call in the background may take; the service itself gives up after 3 s.
const CALL_WITHIN: Duration = Duration::from_secs(4);
/// How long a call of an operator's may take.
const OPERATOR_WITHIN: Duration = Duration::from_secs(4);
/// After which time a group whose room never came to be is removed.
const ORPHAN_AFTER: Duration = Duration::from_secs(5);
/// Tries of a call that a caller waits for.
const PATIENCE: Retry = Retry { tries: 3, first: Duration::from_millis(200), most: Duration::from_secs(1) };
/// How often one kind of trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The chat service for rooms.
pub struct ChatService {
    rest: Rest,
    delivery: Delivery,
    store: Arc<dyn Store>,
    /// A [`Follower`] reads what is to be published; nothing else adds to it.
    followed: bool,
    whereabouts: Mutex<Whereabouts>,
    logged: Mutex<Option<Instant>>,
}

impl ChatService {
    /// Puts the parts together. What comes second is for the background: `run` it. Who has a record of commits
    /// runs a [`Follower`] too and says so; without one, what waits to be published is gone with the process.
    #[must_use]
    pub fn new(rest: Rest, store: Arc<dyn Store>, followed: bool) -> (Arc<Self>, Background) {
        let (delivery, woken) = Delivery::new();
        let whereabouts = Mutex::default();
        let logged = Mutex::default();
        let chat = Arc::new(Self { rest, delivery, store, followed, whereabouts, logged });
        (chat.clone(), Background(chat, woken))
    }

    /// The calls themselves.
    #[must_use]
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// The rooms in which a user pushes, as far as this process has seen.
    #[must_use]
    pub fn rooms_of(&self, user: &UserId) -> Vec<RoomId> {
        self.whereabouts.lock().of(user)
    }

    /// Asks something that changes nothing: which setting is wrong, and why; `None` if none is.
    pub async fn check(&self) -> Option<(&'static str, String)> {
        let trouble = self.rest.check(CALL_WITHIN).await.err()?;
        let setting = match trouble.meaning() {
            Meaning::Setting(setting) => setting,
            _ if matches!(trouble, Trouble::Away(_)) => code::Setting::Host,
            // The service is busy, or wants this question put otherwise: it admits us.
            _ => return None,
        };
        let (name, why) = setting.explain();
        Some((name, format!("{why} ({trouble})")))
    }

    /// How many rooms have something that the service was not notified of yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.delivery.len()
    }

    async fn open_group(&self, room: &RoomId) -> Result<(), Error> {
        let id = room.as_str();
        if id.len() > rest::MAX_GROUP_ID {
            return Err(Refusal::TooLong { field: "roomID", max: rest::MAX_GROUP_ID }.into());
        }
        if id.starts_with("@TGS#") {
            return Err(Refusal::BadCharacter { field: "roomID" }.into());
        }
        let deadline = Instant::now() + OPEN_WITHIN;
        // Whatever becomes of this: a group without a room is found and removed.
        let orphan = Orphan(self, room);
        let work = async {
            let hold = self.delivery.hold(room).await;
            // An earlier room of this id may still have to be taken leave of.
            while let Some(task) = hold.next() {
                match self.work(room, task).await {
                    Outcome::Over => hold.over(),
                    Outcome::Again => return Err(Error::NoGroup("the chat service is away".into())),
                }
            }
            let mut failures = 0;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.rest.create_group(id, left).await {
                    Ok(()) => {
                        self.delivery.heard(true);
                        return Ok(());
                    }
                    Err(trouble) => {
                        failures += 1;
                        self.note("create_group", room, &trouble);
                        let wait = PATIENCE.after(failures).filter(|_| trouble.meaning() == Meaning::Busy);
                        match (trouble.meaning(), wait) {
                            (Meaning::Taken, _) => return Err(Refusal::RoomExists.into()),
                            (_, Some(wait)) => tokio::time::sleep(wait).await,
                            (_, None) => return Err(Error::NoGroup(trouble.to_string())),
                        }
                    }
                }
            }
        };
        let opened = tokio::time::timeout_at(deadline, work).await;
        drop(orphan);
        opened.unwrap_or_else(|_| Err(Error::NoGroup("no answer in time".into())))
    }

    async fn work(&self, room: &RoomId, task: Task) -> Outcome {
        let id = room.as_str();
        let (what, done) = match task {
            Task::Notify => {
                let mut done = self.rest.notify(id, NOTICE, CALL_WITHIN).await;
                if done.as_ref().is_err_and(|t| t.meaning() == Meaning::Gone) {
                    // The group was lost: a user who comes back finds one.
                    done = self.rest.create_group(id, CALL_WITHIN).await;
                    if done.is_ok() {
                        done = self.rest.notify(id, NOTICE, CALL_WITHIN).await;
                    }
                }
                ("send_group_system_notification", done)
            }
            Task::Silence(user, until) => {
                let now = self.rest.now();
                if until != Millis(0) && until <= now {
                    return Outcome::Over;
                }
                let seconds = (until != Millis::NEVER).then(|| until.since(now).div_ceil(1000));
                ("forbid_send_msg", self.rest.mute(id, &user, seconds, CALL_WITHIN).await)
            }
            Task::Destroy | Task::Check => match self.store.see(room, &mut |_, _| {}).await {
                // It is there (again): its group stays.
                Ok(true) => return Outcome::Over,
                Ok(false) => ("destroy_group", self.rest.destroy_group(id, CALL_WITHIN).await),
                Err(_) => return Outcome::Again,
            },
        };
        let Err(trouble) = done else { return Outcome::Over };
        self.note(what, room, &trouble);
        match trouble.meaning() {
            Meaning::Busy | Meaning::Setting(_) => Outcome::Again,
            Meaning::Ours | Meaning::Gone => Outcome::Over,
            Meaning::Taken | Meaning::Refused => {
                tracing::warn!(%room, %trouble, "{what}: refused for good");
                Outcome::Over
            }
        }
    }

    /// Logs trouble, but not the same for every room.
    fn note(&self, what: &str, room: &RoomId, trouble: &Trouble) {
        let now = Instant::now();
        let mut logged = self.logged.lock();
        if logged.is_some_and(|at| now - at < LOG_EVERY) {
            tracing::debug!(%room, %trouble, "{what}");
            return;
        }
        *logged = Some(now);
        drop(logged);
        if let Meaning::Setting(setting) = trouble.meaning() {
            let (name, why) = setting.explain();
            tracing::error!(%room, %trouble, setting = name, "{what}: {why}");
        } else {
            tracing::warn!(%room, %trouble, "{what}");
        }
    }
}

/// Sees to a group for which there may be no room in the end.
struct Orphan<'a>(&'a ChatService, &'a RoomId);

impl Drop for Orphan<'_> {
    fn drop(&mut self) {
        self.0.delivery.check_at(self.1, Instant::now() + ORPHAN_AFTER);
    }
}

/// The work in the background, to be run once.
pub struct Background(Arc<ChatService>, Woken);

impl Background {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let Self(chat, woken) = self;
        let work = |room: RoomId, task| {
            let chat = chat.clone();
            async move { chat.work(&room, task).await }
        };
        chat.delivery.run(woken, work).await;
    }
}

impl Chat for ChatService {
    fn open<'a>(&'a self, room: &'a RoomId) -> Answer<'a, ()> {
        Box::pin(self.open_group(room))
    }

    fn carry(&self, event: &Event) {
        let room = &event.room;
        match &event.what {
            What::Joined { user } => self.whereabouts.lock().entered(user, room),
            What::Left { user, .. } => self.whereabouts.lock().left(user, room),
            _ => {}
        }
        if !self.followed
            && let Some(task) = task_of(event)
        {
            self.delivery.add(room, task);
        }
    }
}

/// What is to be published to the service of a change.
fn task_of(event: &Event) -> Option<Task> {
    match &event.what {
        What::Joined { .. } | What::Updated { .. } => Some(Task::Notify),
        // Who is put out with the room hears of that.
        What::Left { reason, .. } => (*reason != LeaveReason::RoomClosed).then_some(Task::Notify),
        What::Closed { .. } => Some(Task::Destroy),
        // Clients of this service ask for these when they want them.
        What::Created { .. } | What::Info | What::Custom { .. } => None,
    }
}

impl Remote for ChatService {
    fn mute<'a>(&'a self, room: &'a RoomId, user: &'a UserId, seconds: Option<u64>) -> RemoteAnswer<'a> {
        Box::pin(async move { Ok(self.rest.mute(room.as_str(), user, seconds, OPERATOR_WITHIN).await?) })
    }

    fn silence(&self, room: &RoomId, user: &UserId, until: Millis) {
        self.delivery.add(room, Task::Silence(user.clone(), until));
    }

    fn notify<'a>(&'a self, room: &'a RoomId, text: &'a str) -> RemoteAnswer<'a> {
        Box::pin(async move { Ok(self.rest.notify(room.as_str(), text, OPERATOR_WITHIN).await?) })
    }
}

impl From<Trouble> for RemoteError {
    fn from(trouble: Trouble) -> Self {
        match trouble.meaning() {
            Meaning::Gone => Self::NoGroup,
            _ => Self::Failed(trouble.to_string()),
        }
    }
}
