//! Every room operation, in the order of its IO: the group is opened, the store decides, and what was
//! decided is carried to the neighbours. Knows no HTTP.

mod audiences;
mod change;
pub mod groups;
pub mod moderation;
pub mod once;
mod presence;
pub mod recordings;
mod stream_owners;
pub mod sweeper;
mod webrtc;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use room::custom::Operation;
use room::presence::Sign;
use room::pushers::{self, NewPusher, NewRoom};
use room::sanctions::{self, Sanction, Sanctions};
use room::{
    CloseReason, Event, Kind, LeaveReason, Millis, Refusal, Room, RoomId, Rules, StreamId, UserId, custom, sweep,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use chat::Chat;
use media::StreamName;
use media::record::Recorder;
use store::clock::Clock;
use store::error::Error;
use store::{See, Store, Viewers};
use telemetry::traces;

pub use audiences::Audiences;
pub use stream_owners::StreamOwner;
pub use webrtc::{NewCall, room_status, room_type, shown_id};

/// What stands where a room is to be made.
#[derive(Clone, Copy)]
enum Found {
    /// Nothing.
    Free,
    /// The same room of the same user: it is made again.
    Mine,
    /// Another room.
    Taken,
}

/// `[rooms]`, under the names that the first servers' configuration has. Times are in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Most pushers of a multi or live room.
    #[serde(rename = "maxMembers")]
    pub max_members: usize,
    /// Silence after which a pusher that does not push is removed.
    #[serde(rename = "heartBeatTimeout")]
    pub heartbeat_timeout: u64,
    /// For how long a room is kept that no pusher entered.
    #[serde(rename = "maxIdleDuration")]
    pub max_idle: u64,
    /// Whether double and multi rooms close when their creator leaves.
    #[serde(rename = "creatorCanDestroyRoom")]
    pub creator_can_destroy: bool,
    /// Most viewers that a room lists by name.
    #[serde(rename = "maxAudiencesLen")]
    pub max_audiences: usize,
    /// Whether `webrtc_room` answers every caller in production too, although its calls have no session.
    #[serde(rename = "openWebrtcRoom")]
    pub open_webrtc: bool,
    /// Whether clients of 2017 are answered, who have no sessions. In development only.
    pub generation0: bool,
    /// Whether members may mix streams of rooms that are kept elsewhere.
    #[serde(rename = "mixElsewhere")]
    pub mix_elsewhere: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            max_members: rules.max_members,
            heartbeat_timeout: rules.heartbeat_timeout / 1000,
            max_idle: rules.max_idle / 1000,
            creator_can_destroy: rules.creator_can_destroy,
            max_audiences: rules.max_audiences,
            open_webrtc: false,
            generation0: false,
            mix_elsewhere: false,
        }
    }
}

impl Settings {
    /// The rules that these settings make.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            max_members: self.max_members,
            heartbeat_timeout: self.heartbeat_timeout.saturating_mul(1000),
            max_idle: self.max_idle.saturating_mul(1000),
            creator_can_destroy: self.creator_can_destroy,
            max_audiences: self.max_audiences,
            ..Rules::default()
        }
    }

    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        let mut at_least_one = |name: &str, value: u64| {
            if value == 0 {
                found.push(format!("rooms.{name} must be at least 1"));
            }
        };
        at_least_one("maxMembers", self.max_members as u64);
        at_least_one("heartBeatTimeout", self.heartbeat_timeout);
        at_least_one("maxIdleDuration", self.max_idle);
        if self.max_members > 100 {
            found.push("rooms.maxMembers can be 100 at most: more than that are an audience".into());
        }
    }
}

/// The rooms of this server.
pub struct Rooms {
    store: Arc<dyn Store>,
    chat: Arc<dyn Chat>,
    clock: Arc<dyn Clock>,
    rules: Arc<Rules>,
    leaving: CancellationToken,
    audiences: Option<Arc<Audiences>>,
    presence: presence::Kept,
    recorder: Option<Recorder>,
    /// What is recorded here because its room is.
    by_room: Mutex<HashMap<StreamName, recordings::Asked>>,
    /// What the names of streams begin with.
    bizid: u32,
}

impl Rooms {
    /// Puts the parts together.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, chat: Arc<dyn Chat>, clock: Arc<dyn Clock>, rules: Arc<Rules>) -> Self {
        Self {
            store,
            chat,
            clock,
            rules,
            leaving: CancellationToken::new(),
            audiences: None,
            presence: presence::Kept::default(),
            recorder: None,
            by_room: Mutex::default(),
            bizid: 0,
        }
    }

    /// Lists what this recorder, if there is one, and live services recorded; names of streams begin with `bizid`.
    #[must_use]
    pub fn recording(self, recorder: Option<Recorder>, bizid: u32) -> Self {
        Self { recorder, bizid, ..self }
    }

    /// Says which rooms' audiences change.
    #[must_use]
    pub fn telling(self, audiences: Arc<Audiences>) -> Self {
        Self { audiences: Some(audiences), ..self }
    }

    fn audience_changed(&self, id: &RoomId) {
        if let Some(audiences) = &self.audiences {
            audiences.changed(id);
        }
    }

    /// Makes no rooms once `leaving` is cancelled.
    #[must_use]
    pub fn until(self, leaving: CancellationToken) -> Self {
        Self { leaving, ..self }
    }

    fn may_make(&self) -> Result<(), Error> {
        if self.leaving.is_cancelled() { Err(Error::Leaving) } else { Ok(()) }
    }

    /// Makes an empty room; without an id, with a fresh one.
    ///
    /// # Errors
    /// See [`pushers::create_room`]; [`Error::NoGroup`], [`Error::Leaving`].
    pub async fn create(&self, kind: Kind, id: Option<&RoomId>, info: &str, by: &UserId) -> Result<RoomId, Error> {
        self.may_make()?;
        let id = id.cloned().map_or_else(fresh_id, Ok)?;
        let mut found = Found::Free;
        let now = self.clock.steady();
        let new = NewRoom { id: &id, kind, info, by };
        // The rules first on an empty slot: what they refuse anyway needs no group.
        pushers::create_room(&mut None, now, &new)?;
        let look = &mut |room: &Room, _| {
            let is_mine = room.is_live_of(kind, by) || once::name().is_some_and(|name| room.done.has(name));
            found = if is_mine { Found::Mine } else { Found::Taken };
        };
        self.store.see(&id, look).await?;
        match found {
            Found::Taken => return Err(Refusal::RoomExists.into()),
            Found::Mine => {}
            Found::Free => self.chat.open(&id).await?,
        }
        self.decide_new(&id, &mut |slot| pushers::create_room(slot, now, &new)).await?;
        Ok(id)
    }

    /// Enters a room, making it where it does not exist. Says whether it was made.
    ///
    /// # Errors
    /// See [`pushers::add_pusher`]; [`Error::NoGroup`], [`Error::Leaving`].
    pub async fn add_pusher(&self, new: &NewPusher<'_>) -> Result<bool, Error> {
        let there = self.store.see(new.room, &mut |_, _| {}).await?;
        if !there {
            // As in `create`: what the rules refuse anyway needs no group.
            pushers::add_pusher(&mut None, self.clock.steady(), new, &self.rules)?;
            self.may_make()?;
            self.chat.open(new.room).await?;
        }
        let now = self.clock.steady();
        let mut made = false;
        let mut recorded = false;
        let decide = &mut |slot: &mut Option<Room>| {
            let joined = pushers::add_pusher(slot, now, new, &self.rules)?;
            made = joined.made;
            recorded = slot.as_ref().is_some_and(|room| room.recorded);
            Ok(joined.events)
        };
        if there {
            self.decide(new.room, decide).await?;
        } else {
            self.decide_new(new.room, decide).await?;
        }
        // A stream whose name does not speak of the room is the room's from now on.
        if let (true, Some(recorder), Ok(stream)) = (recorded, &self.recorder, StreamName::new(new.stream.as_str())) {
            self.record_for_room(recorder, &stream, new.room);
        }
        Ok(made)
    }

    /// Takes a pusher out.
    ///
    /// # Errors
    /// [`Refusal::NotMember`].
    pub async fn delete_pusher(
        &self,
        kind: Kind,
        id: &RoomId,
        user: &UserId,
        reason: LeaveReason,
    ) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, kind, Refusal::NotMember)?;
            pushers::delete_pusher(slot, now, user, reason, &self.rules)
        };
        self.decide(id, decide).await
    }

    /// Closes a room at its creator's wish.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], [`Refusal::NotCreator`].
    pub async fn destroy(&self, kind: Kind, id: &RoomId, user: &UserId) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, kind, Refusal::NoRoom)?;
            pushers::destroy_room(slot, now, user)
        };
        self.decide(id, decide).await
    }

    /// Closes a room of any kind at the operator's wish.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub async fn close(&self, id: &RoomId) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| pushers::close_room(slot, now, CloseReason::Operator);
        self.decide(id, decide).await
    }

    /// Puts a pusher out of a room of any kind. Returns its stream; `None` if it just left by itself.
    ///
    /// # Errors
    /// [`Refusal::NotMember`].
    pub async fn kick(&self, id: &RoomId, user: &UserId, reason: LeaveReason) -> Result<Option<StreamId>, Error> {
        let now = self.clock.steady();
        let mut stream = None;
        let decide = &mut |slot: &mut Option<Room>| {
            stream = slot.as_ref().and_then(|room| room.pusher(user)).map(|pusher| pusher.stream.clone());
            pushers::delete_pusher(slot, now, user, reason, &self.rules)
        };
        self.decide(id, decide).await?;
        Ok(stream)
    }

    /// A pusher's heartbeat. Gives the version of the list of pushers.
    ///
    /// # Errors
    /// [`Refusal::NotMember`].
    pub async fn heartbeat(&self, kind: Kind, id: &RoomId, user: &UserId) -> Result<i64, Error> {
        self.store.touch(id, self.clock.steady(), kind, user).await
    }

    /// Sets or counts a custom field.
    ///
    /// # Errors
    /// See [`custom::set_custom_field`].
    pub async fn set_custom(&self, kind: Kind, id: &RoomId, name: &str, operation: Operation) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            of_kind(slot, kind, Refusal::NoRoom)?;
            custom::set_custom_field(slot, now, name, operation.clone())
        };
        self.decide(id, decide).await
    }

    /// Shows an active room of this kind.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`], also if no pusher ever entered.
    pub async fn see(&self, kind: Kind, id: &RoomId, see: &mut See<'_>) -> Result<(), Error> {
        let mut shown = false;
        let filter = &mut |room: &Room, viewers: usize| {
            if room.kind == kind && room.is_active() {
                shown = true;
                see(room, viewers);
            }
        };
        self.store.see(id, filter).await?;
        if shown { Ok(()) } else { Err(Refusal::NoRoom.into()) }
    }

    /// Shows a room of any kind, entered or not. Says whether there is one.
    ///
    /// # Errors
    /// The store is away.
    pub async fn see_any(&self, id: &RoomId, see: &mut See<'_>) -> Result<bool, Error> {
        self.store.see(id, see).await
    }

    /// Shows a page of the active rooms of a kind, oldest first.
    ///
    /// # Errors
    /// The store is away.
    pub async fn list(&self, kind: Kind, index: usize, count: usize, see: &mut See<'_>) -> Result<(), Error> {
        self.store.list(kind, index, count, see).await
    }

    /// Whether there is such a room, of any kind, entered or not. A store that is away knows of none.
    pub async fn exists(&self, id: &RoomId) -> bool {
        self.store.see(id, &mut |_, _| {}).await.unwrap_or(false)
    }

    /// The kind of a room, if there is one. A store that is away knows of none.
    pub async fn kind(&self, id: &RoomId) -> Option<Kind> {
        let mut kind = None;
        self.store.see(id, &mut |room, _| kind = Some(room.kind)).await.ok()?;
        kind
    }

    /// Remembers who is muted or kept out of a room's chat, until then.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub async fn sanction(&self, id: &RoomId, what: Sanction, user: &UserId, until: Millis) -> Result<(), Error> {
        let now = self.clock.steady();
        let decide = &mut |slot: &mut Option<Room>| {
            sanctions::sanction(slot, now, what, user, until)?;
            Ok(Vec::new())
        };
        self.store.keep(id, decide).await
    }

    /// Who is muted or kept out of a room's chat; none if there is no such room, as far as that is known.
    pub async fn sanctions(&self, id: &RoomId) -> Option<Sanctions> {
        let mut found = None;
        let see = &mut |room: &Room, _| found = Some(room.sanctions.clone());
        self.store.see(id, see).await.ok()?;
        found
    }

    /// Who a room's creator is; none before a pusher entered.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub async fn creator(&self, id: &RoomId) -> Result<Option<UserId>, Error> {
        let mut creator = None;
        let look = &mut |room: &Room, _| creator = room.creator.as_ref().map(|(user, _)| user.clone());
        if self.store.see(id, look).await? { Ok(creator) } else { Err(Refusal::NoRoom.into()) }
    }

    /// Most pushers of a room of this kind.
    #[must_use]
    pub fn capacity(&self, kind: Kind) -> usize {
        self.rules.capacity(kind)
    }

    /// How many rooms there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.store.len()
    }

    /// Counts a viewer of a live room.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`]; [`Refusal::AudienceListFull`], counted all the same.
    pub async fn add_viewer(&self, id: &RoomId, user: &UserId, info: &str) -> Result<(), Error> {
        self.see(Kind::Live, id, &mut |_, _| {}).await?;
        let added = self.store.add_viewer(id, user, Some(info)).await;
        if !matches!(added, Ok(false)) {
            self.audience_changed(id);
        }
        self.says_it_watches(id, user).await;
        added.map(drop)
    }

    /// Takes a viewer out; one that is not in is fine.
    ///
    /// # Errors
    /// The store is away.
    pub async fn delete_viewer(&self, id: &RoomId, user: &UserId) -> Result<(), Error> {
        self.presence.forget(id, user);
        if self.store.delete_viewer(id, user).await? {
            self.audience_changed(id);
        }
        Ok(())
    }

    /// A service reports that a user vanished from a room at this time: a viewer is taken out, of a pusher the
    /// live service is asked at once, unless it was seen since.
    ///
    /// # Errors
    /// The store is away.
    pub async fn vanished(&self, id: &RoomId, user: &UserId, at: Millis) -> Result<(), Error> {
        if self.suspect(id, user, at).await? {
            return Ok(());
        }
        self.service_saw(id, user, Sign::Gone, at).await
    }

    /// A service cannot reach a user since then: as [`Rooms::vanished`], but a viewer has a moment to be back.
    ///
    /// # Errors
    /// The store is away.
    pub async fn unreachable(&self, id: &RoomId, user: &UserId, at: Millis) -> Result<(), Error> {
        if self.suspect(id, user, at).await? {
            return Ok(());
        }
        let until = self.clock.steady().plus(presence::UNREACHABLE);
        self.service_saw(id, user, Sign::Away(until), at).await
    }

    /// A service can reach a user again since then: one who was taken out is a viewer again.
    ///
    /// # Errors
    /// The store is away.
    pub async fn reachable(&self, id: &RoomId, user: &UserId, at: Millis) -> Result<(), Error> {
        self.service_saw(id, user, Sign::Here, at).await
    }

    /// Of a pusher who is thought gone the live service is asked at once. Says whether it is one.
    async fn suspect(&self, id: &RoomId, user: &UserId, at: Millis) -> Result<bool, Error> {
        let now = self.clock.steady();
        let mut pushes = false;
        self.store.see(id, &mut |room, _| pushes = room.pusher(user).is_some()).await?;
        if pushes {
            let decide = &mut |slot: &mut Option<Room>| {
                sweep::suspect(slot.as_mut(), now, user, at, &self.rules);
                Ok(Vec::new())
            };
            self.store.update(id, decide).await?;
        }
        Ok(pushes)
    }

    /// The viewers of a room.
    ///
    /// # Errors
    /// The store is away.
    pub async fn viewers(&self, id: &RoomId) -> Result<Viewers, Error> {
        self.store.viewers(id).await
    }
}

/// Takes a committed change to the neighbours, for as long as there are changes: the one place that
/// says who is notified of what.
pub async fn carry(mut committed: mpsc::UnboundedReceiver<Vec<Event>>, chat: Arc<dyn Chat>) {
    while let Some(events) = committed.recv().await {
        for event in &events {
            tracing::debug!(room = %event.room, seq = event.seq, what = ?event.what, "room changed");
            // Calls have no group.
            if !event.kind.is_elsewhere() {
                match traces::of(event.room.as_str(), event.seq) {
                    None => chat.carry(event),
                    Some(context) => context.note("chat.notify", || chat.carry(event)),
                }
            }
        }
    }
}

/// A room of another kind is as good as none.
fn of_kind(slot: &Option<Room>, kind: Kind, refusal: Refusal) -> Result<(), Refusal> {
    if slot.as_ref().is_none_or(|room| room.kind == kind) { Ok(()) } else { Err(refusal) }
}

fn fresh_id() -> Result<RoomId, Refusal> {
    // The same for the same request, which may come again.
    let n = once::name().unwrap_or_else(sign::fresh_id);
    RoomId::parse(&format!("room{:08x}{:04x}", n >> 32, n & 0xffff))
}
