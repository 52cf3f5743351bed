//! The services outside of this process, as configured: what they notify us of is taken in
//! here, and here they are asked whether the settings are right. Knows no HTTP.

use std::sync::Arc;

use room::{Millis, RoomId, UserId};
use sign::stream_url::Query;
use sign::{Invalid, Secret};

use crate::im::webhook::{self, How, Seen};
use crate::live::events;
use crate::told::{Told, Whose};
use access::bans::Bans;
use access::identity;
use chat;
use outbound::Client;
use rooms;
use rooms::Rooms;
use rooms::recordings::finished::Elsewhere;
use store::error::Error;
use store::{History, Store};
use streams::live::{self, Owner, owner};

/// The services, where they are configured.
#[derive(Default)]
pub struct Clouds {
    /// Tencent's chat service.
    pub chat: Option<Arc<crate::im::ChatService>>,
    /// Tencent's live service.
    pub live: Option<Arc<crate::live::LiveService>>,
    chat_token: Secret,
    live_key: Secret,
    app: u64,
    bizid: u32,
    told: Option<Told>,
}

/// What became of a callback that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It need not come again.
    Done,
    /// It should come again: what it says could not be kept.
    Later,
    /// The service asked whether something may be done, and it may not.
    Refused,
}

/// A setting, and what its service says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting's name.
    pub setting: String,
    /// What is wrong.
    pub why: String,
}

/// What the services say of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Of `[live]`.
    pub live: Vec<Finding>,
    /// Of `[im]` and `[chat]`.
    pub im: Vec<Finding>,
}

/// The settings that speak of services elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    /// `[im]`.
    pub im: &'a identity::Settings,
    /// `[chat]`.
    pub chat: &'a chat::Settings,
    /// `[live]`.
    pub live: &'a live::Settings,
    /// `[rooms]`.
    pub rooms: &'a rooms::Settings,
}

/// What is answered where something was to be kept.
fn taken(otherwise: &'static str, kept: Result<(), Error>) -> Taken {
    kept.map_or_else(
        |error| {
            tracing::warn!(%error, "{otherwise}");
            Taken::Later
        },
        |()| Taken::Done,
    )
}

impl Clouds {
    /// Takes the services, and what their callbacks are checked with.
    #[must_use]
    pub fn new(
        settings: Sections<'_>,
        chat: Option<Arc<crate::im::ChatService>>,
        live: Option<Arc<crate::live::LiveService>>,
    ) -> Self {
        Self {
            chat,
            live,
            chat_token: settings.chat.tencent.callback_token.clone(),
            live_key: settings.live.tencent.callback_key.clone(),
            app: settings.im.sdk_app_id,
            bizid: settings.live.bizid,
            told: None,
        }
    }

    /// Writes what the live service says of streams into the record of commits.
    #[must_use]
    pub fn noting(self, history: Arc<dyn History>, store: Arc<dyn Store>) -> Self {
        Self { told: Some(Told { history, store }), ..self }
    }

    /// The services that the settings speak of, only to be asked whether they admit us.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn of(settings: Sections<'_>) -> Result<Self, String> {
        let client = Self::client();
        let clock = Arc::new(store::clock::System);
        let live = (settings.live.provider == live::Provider::Tencent)
            .then(|| Arc::new(crate::live::LiveService::new(settings.live, client.clone(), clock.clone())));
        let chat = match settings.chat.provider {
            chat::Provider::Embedded => None,
            chat::Provider::Tencent => {
                let rest = crate::im::rest::Rest::of(settings.im, &settings.chat.tencent, client, clock)?;
                let (outbox, _) = tokio::sync::mpsc::unbounded_channel();
                let store = store::Memory::new(Arc::new(settings.rooms.rules()), outbox);
                // Nothing is carried: its background work is not run.
                Some(crate::im::ChatService::new(rest, Arc::new(store), false).0)
            }
        };
        Ok(Self::new(settings, chat, live))
    }

    /// The client that they share.
    #[must_use]
    pub fn client() -> Client {
        Client::default()
    }

    /// Takes in a callback of the chat service.
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn chat_called(
        &self,
        query: &Query<'_>,
        body: &[u8],
        rooms: &Rooms,
        bans: &Bans,
        now: Millis,
    ) -> Result<Taken, Invalid> {
        let noted = |room: &RoomId, user: &UserId, done: Result<(), Error>| {
            if let Err(error) = done {
                tracing::debug!(%room, %user, %error, "a member who vanished or came back could not be looked at");
            }
        };
        match webhook::read(query, body, self.app, &self.chat_token, now)? {
            Seen::Members { how, room, users, at } => {
                for user in &users {
                    let done = match how {
                        How::Left => rooms.vanished(&room, user, at).await,
                        How::Offline => rooms.unreachable(&room, user, at).await,
                        How::Online => rooms.reachable(&room, user, at).await,
                    };
                    noted(&room, user, done);
                }
            }
            Seen::Disconnected { user, at } => {
                let of = self.chat.as_ref().map(|chat| chat.rooms_of(&user)).unwrap_or_default();
                for room in of {
                    noted(&room, &user, rooms.vanished(&room, &user, at).await);
                }
            }
            Seen::Asked { user, room } if bans.until(&user, room.as_ref(), now).is_some() => {
                return Ok(Taken::Refused);
            }
            Seen::Asked { .. } | Seen::Other => {}
        }
        Ok(Taken::Done)
    }

    /// Takes in a callback of the live service.
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn live_called(&self, body: &[u8], rooms: &Rooms, now: Millis) -> Result<Taken, Invalid> {
        let (Some(said), Some(live)) = (events::read(body, &self.live_key, now)?, &self.live) else {
            return Ok(Taken::Done);
        };
        let event = match said {
            events::Said::Stream(event) => event,
            events::Said::Recorded(file) => return Ok(self.recorded(&file, rooms, now).await),
        };
        let news = live.events().note(&event, now);
        let Some((user, of)) = self.owner(&event.stream, rooms).await else { return Ok(Taken::Done) };
        if news && !event.began {
            // Who stopped pushing is asked about at once; the answer decides, not this event.
            let seen = || self.chat.as_ref().map(|chat| chat.rooms_of(&user)).unwrap_or_default();
            for room in if of.is_empty() { seen() } else { of.clone() } {
                if let Err(error) = rooms.vanished(&room, &user, event.at).await {
                    tracing::debug!(%room, %user, %error, "a stopped pusher could not be looked at");
                }
            }
        }
        let Some(told) = &self.told else { return Ok(Taken::Done) };
        let noted = told.stream(&event, &Whose { user, room: of.into_iter().next() }, now).await;
        Ok(taken("what became of a stream could not be noted; the service will tell of it again", noted))
    }

    /// Takes in that a recording is whole. Sent again, as the service does where it is not thanked, it is the same row.
    async fn recorded(&self, file: &Elsewhere, rooms: &Rooms, now: Millis) -> Taken {
        let mut done = rooms.recorded_elsewhere(file).await.map(drop);
        if done.is_ok()
            && file.is_sound()
            && let Some(told) = &self.told
            && let Some((user, of)) = self.owner(&file.stream, rooms).await
        {
            done = told.recording(file, &Whose { user, room: of.into_iter().next() }, now).await;
        }
        taken("a recording could not be listed; the service will tell of it again", done)
    }

    /// Whose a stream is, and in which room where that is known.
    async fn owner(&self, stream: &str, rooms: &Rooms) -> Option<(UserId, Vec<RoomId>)> {
        let named = owner(self.bizid, stream);
        if let Some(Owner::Member { room, user }) = &named {
            return Some((UserId::parse(user).ok()?, vec![RoomId::parse(room).ok()?]));
        }
        if let Some(kept) = rooms.owner_of(stream).await {
            return Some((kept.user, vec![kept.room]));
        }
        match named {
            Some(Owner::User(user)) => Some((UserId::parse(&user).ok()?, Vec::new())),
            _ => None,
        }
    }

    /// Asks every service whether it admits us with these settings. Bounded in time.
    pub async fn check(&self) -> Findings {
        let finding = |(setting, why): (&str, String)| Finding { setting: setting.to_owned(), why };
        let live = async {
            match &self.live {
                Some(live) => live.check().await.map(finding),
                None => None,
            }
        };
        let im = async {
            match &self.chat {
                Some(chat) => chat.check().await.map(finding),
                None => None,
            }
        };
        let (live, im) = tokio::join!(live, im);
        Findings { live: live.into_iter().collect(), im: im.into_iter().collect() }
    }
}
