//! What operators may do to rooms and users: the console and the operator API both come here. Owns the order in which
//! a user is removed; who the operator is, the caller has checked.

pub mod creator;
mod refused;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use media::{Hub, StreamName};
use room::sanctions::Sanction;
use room::{Kind, LeaveReason, Millis, Room, RoomId, StreamId, UserId};
use serde_json::json;

use crate::Rooms;
use crate::groups::{self, with_group};
use access::bans::{Bans, MOST};
use chat;
use store::clock::Clock;
use store::error::Error;
use store::mends::{Mend, is_out};
use store::{Ban, Store};
use streams::live::{Live, Urls};

use refused::unknown;
pub use refused::{Code, Refused, refused};

/// For how many seconds who is kicked may not come back, unless the call says otherwise.
pub const KICKED: u64 = 60;
/// How often the store is asked whom other nodes removed.
const FOLLOW: Duration = Duration::from_millis(250);
/// Rooms looked at at a time.
const PAGE: usize = 200;
/// Questions to the store at a time.
const ABREAST: usize = 16;

/// A user to be removed.
#[derive(Clone, Copy, Debug)]
pub struct Out<'a> {
    /// Who.
    pub user: &'a UserId,
    /// Out of this room; none: out of everything.
    pub room: Option<&'a RoomId>,
    /// For so many seconds; none: until it is taken back.
    pub seconds: Option<u64>,
    /// Why, for other operators.
    pub reason: &'a str,
    /// A kick: the live service breaks streams off, and does not forbid them.
    pub kick: bool,
}

/// What moderation works with; cheap to clone.
#[derive(Clone)]
pub struct Moderation {
    /// Rooms, and who is kept out, where all nodes keep them.
    pub store: Arc<dyn Store>,
    /// Who is kept out here.
    pub bans: Arc<Bans>,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Chat in this process.
    pub chat: Arc<chat::Hub>,
    /// The chat service elsewhere, where there is one.
    pub cloud: Option<Arc<dyn chat::Remote>>,
    /// The live service.
    pub live: Arc<dyn Live>,
    /// Push and play URLs.
    pub urls: Arc<Urls>,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Moderation {
    /// Puts a user out and keeps it out: session, chat, streams that it pushes and plays, and every URL that it was given.
    ///
    /// # Errors
    /// There are too many bans; a neighbour is away. `unknown`: the ban holds or may hold, all that could be done is done, and it
    /// may be said again.
    pub async fn put_out(&self, out: Out<'_>) -> Result<Ban, Refused> {
        let Out { user, room, seconds, .. } = out;
        if self.bans.len() >= MOST && self.bans.get(user, room, self.clock.now()).is_none() {
            return Err(refused(Code::TooMany, format!("{MOST} users are kept out already")));
        }
        let mut streams = room.map_or_else(|| self.pushed_by(user), |room| self.urls.names_in(room, user));
        // Who is put out again has no streams by now: those of the first time stay refused.
        streams.extend(self.bans.get(user, room, self.clock.now()).map(|ban| ban.streams).unwrap_or_default());
        streams.sort_unstable();
        streams.dedup();
        let at = self.said_at(user, room);
        let now = self.clock.now();
        // What was said last may bear a time of a clock that was ahead: it orders, and is no time to count from.
        let until = seconds.map_or(Millis::NEVER, |s| now.plus(s.saturating_mul(1000)));
        let Out { reason, kick, .. } = out;
        let mut ban = Ban { user: user.clone(), room: room.cloned(), until, at, streams, reason: reason.into(), kick };
        // First the user is not let in any more, then what it has is ended. To find that may take long: all rooms are looked
        // through for who is put out of everything.
        self.begin_ban(&ban, now).await?;
        self.silence(&ban);
        let mut failed = self.out_of_rooms(&mut ban, now).await.err();
        if let Err(error) = self.leave_audience(user, room).await {
            failed = Some(error);
        }
        let forbid = (!kick).then(|| until.since(now).div_ceil(1000));
        for stream in &ban.streams {
            if let Err(error) = self.live.stop(stream, forbid).await {
                failed = Some(error);
            }
        }
        let partly = |error| {
            tracing::warn!(%error, %user, "who is kept out could not be put out everywhere");
            unknown()
        };
        failed.map_or(Ok(ban), |error| Err(partly(error)))
    }

    /// From now on it holds, on all nodes, and streams that it names end here.
    async fn begin_ban(&self, ban: &Ban, now: Millis) -> Result<(), Error> {
        self.store.ban(ban, now).await?;
        self.bans.take(vec![ban.clone()], now);
        self.end_here(ban);
        Ok(())
    }

    /// Takes the user out of the rooms where it pushes. The ban refuses those streams, too, from now on.
    async fn out_of_rooms(&self, ban: &mut Ban, now: Millis) -> Result<(), Error> {
        let rooms = self.rooms_with(&ban.user, ban.room.as_ref()).await?;
        let more: Vec<_> = rooms.iter().map(|(_, s)| s).filter(|s| !ban.streams.contains(s)).cloned().collect();
        let mut done = Ok(());
        if !more.is_empty() {
            ban.streams.extend(more);
            // Of two words the later one holds.
            ban.at = self.said_at(&ban.user, ban.room.as_ref());
            done = self.begin_ban(ban, now).await;
        }
        for (room, _) in &rooms {
            match self.rooms.kick(room, &ban.user, LeaveReason::Kicked).await {
                // It may have left by itself.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => done = Err(error),
            }
        }
        done
    }

    /// Puts a user out of a room, who may come back after so many seconds. One who is kept out for longer already stays so.
    ///
    /// # Errors
    /// `not_member`: the user is not there. Otherwise as [`Moderation::put_out`].
    pub async fn kick(&self, room: &RoomId, user: &UserId, seconds: u64) -> Result<Ban, Refused> {
        if !self.may_be_in(room, user).await? {
            return Err(refused(Code::NotMember, "the user is not in this room: a ban keeps out who is not there"));
        }
        let now = self.clock.now();
        let until = now.plus(seconds.saturating_mul(1000));
        if let Some(longer) = self.bans.get(user, Some(room), now).filter(|ban| ban.until > until) {
            // An operator's word is not replaced by a shorter one.
            return Ok(longer);
        }
        self.put_out(Out { user, room: Some(room), seconds: Some(seconds), reason: "kicked", kick: true }).await
    }

    /// Whether a user pushes, watches or chats in a room, or is kept out of it already. Where other nodes or another service have
    /// members of its chat, that is not known here, and anyone may be in.
    async fn may_be_in(&self, room: &RoomId, user: &UserId) -> Result<bool, Refused> {
        if self.cloud.is_some() || self.chat.is_shared() || creator::is_in(self, room, user).await {
            return Ok(true);
        }
        let chats = self.chat.see(room, std::slice::from_ref(user)).is_ok_and(|seen| seen.within == [true]);
        if chats || self.bans.until(user, Some(room), self.clock.now()).is_some() {
            return Ok(true);
        }
        let viewers = self.store.viewers(room).await?;
        // A room lists some of its viewers only.
        Ok(viewers.count > viewers.listed.len() || viewers.listed.iter().any(|viewer| viewer.user == *user))
    }

    /// Lets a user in again. Says whether it was kept out.
    ///
    /// # Errors
    /// A neighbour is away.
    pub async fn let_in(&self, user: &UserId, room: Option<&RoomId>) -> Result<bool, Refused> {
        let known = self.bans.get(user, room, self.clock.now());
        let at = self.said_at(user, room);
        let lifted = Ban {
            user: user.clone(),
            room: room.cloned(),
            until: Millis(0),
            at,
            streams: Vec::new(),
            reason: Default::default(),
            kick: false,
        };
        let now = if is_out(Mend::BansEndByTheWall) { at } else { self.clock.now() };
        self.store.ban(&lifted, now).await?;
        self.bans.take(vec![lifted.clone()], now);
        self.end_here(&lifted);
        if known.is_some() {
            self.silence(&lifted);
        }
        for stream in known.iter().flat_map(|ban| &ban.streams) {
            if let Err(error) = self.live.allow(stream).await {
                tracing::warn!(%error, %user, "who is let in again may not push everywhere");
                return Err(unknown());
            }
        }
        Ok(known.is_some())
    }

    /// Clocks of nodes differ: what is said now is newer than what was said before.
    fn said_at(&self, user: &UserId, room: Option<&RoomId>) -> Millis {
        let before = self.bans.last_said(user, room).map_or(Millis(0), |at| at.plus(1));
        self.clock.now().max(before)
    }

    /// What a ban of a room, or its end, means for the room's chat elsewhere, which nobody can be put out of. One of everything holds
    /// there by the service's questions alone.
    fn silence(&self, ban: &Ban) {
        if let (Some(chat), Some(room)) = (&self.cloud, &ban.room) {
            chat.silence(room, &ban.user, ban.until);
        }
    }

    /// What a ban, or its end, means for what runs in this process.
    fn end_here(&self, ban: &Ban) {
        let user = &ban.user;
        let room = ban.room.as_ref();
        if let Some(room) = room.filter(|_| &*ban.reason != creator::REASON) {
            // The chat first: it tells the client why, before the room's news tells it that it is out. A room whose chat is
            // elsewhere, or that is not there yet, has no group here.
            let ms = if ban.lifts() { 0 } else { ban.until.since(self.clock.now()).max(1) };
            self.chat.follow_ban(room, user, ms, ban.kick);
        }
        if ban.lifts() {
            return;
        }
        if room.is_none() {
            self.chat.end_user(user);
        }
        self.bans.running.end(user, room, "an operator");
        let named = ban.streams.iter().filter_map(|stream| StreamName::new(stream.as_str()).ok());
        for name in named {
            self.hub.end(&name, media::Ended::Kicked("an operator".into()));
        }
    }

    /// The rooms in which a user pushes, and its stream there.
    async fn rooms_with(&self, user: &UserId, room: Option<&RoomId>) -> Result<Vec<(RoomId, StreamId)>, Error> {
        let mut found = Vec::new();
        if let Some(id) = room {
            let see = &mut |room: &Room, _| found.extend(room.pusher(user).map(|p| (id.clone(), p.stream.clone())));
            self.store.see(id, see).await?;
            return Ok(found);
        }
        for kind in Kind::ALL {
            let mut index = 0;
            loop {
                let mut seen = 0;
                let see = &mut |room: &Room, _: usize| {
                    seen += 1;
                    found.extend(room.pusher(user).map(|p| (room.id.clone(), p.stream.clone())));
                };
                self.rooms.list(kind, index, PAGE, see).await?;
                if seen < PAGE {
                    break;
                }
                index += PAGE;
            }
        }
        Ok(found)
    }

    /// The streams in this process that a user pushes, by their names.
    fn pushed_by(&self, user: &UserId) -> Vec<StreamId> {
        let of = |name: &StreamName| self.urls.holder(name.as_str()).user.as_ref() == Some(user);
        let streams = self.hub.list().into_iter().filter(|info| of(&info.name));
        streams.filter_map(|info| StreamId::parse(info.name.as_str()).ok()).collect()
    }

    async fn leave_audience(&self, user: &UserId, room: Option<&RoomId>) -> Result<(), Error> {
        let rooms = match room {
            Some(room) => vec![room.clone()],
            None => self.store.ids().await?,
        };
        let mut left = stream::iter(rooms).map(|room| async move { self.rooms.delete_viewer(&room, user).await });
        let mut left = left.by_ref().buffer_unordered(ABREAST);
        while let Some(done) = left.next().await {
            done?;
        }
        Ok(())
    }

    /// Lets a user say nothing in a room for so many seconds (none: for as long as the room is there); 0 takes it back.
    ///
    /// # Errors
    /// No such room; too many are muted.
    pub async fn mute(&self, room: &RoomId, user: &UserId, seconds: Option<u64>) -> Result<(), Refused> {
        if let Some(chat) = &self.cloud {
            return chat.mute(room, user, seconds).await.map_err(Refused::from);
        }
        let ms = seconds.map_or(u64::MAX, |s| s.saturating_mul(1000));
        Ok(groups::sanction(&self.chat, &self.rooms, room, Sanction::Mute, user, ms).await?)
    }

    /// Ends a stream: its publisher and all viewers. The publisher may come back.
    ///
    /// # Errors
    /// No such stream.
    pub async fn end_stream(&self, stream: &str) -> Result<(), Refused> {
        let none = || refused(Code::NoStream, "there is no such stream");
        let id = StreamId::parse(stream).map_err(|_| none())?;
        if self.live.stop(&id, None).await? { Ok(()) } else { Err(none()) }
    }

    /// Says something to a room, or to all of them, as the system. Returns how many rooms were notified.
    ///
    /// # Errors
    /// No such room; the text is empty or too long.
    pub async fn notice(&self, room: Option<&RoomId>, text: &str) -> Result<usize, Refused> {
        if text.trim().is_empty() {
            return Err(refused(Code::BadRequest, "a notice needs a text"));
        }
        let field = json!({ "cmd": "notice", "data": text }).to_string();
        if let Some(chat) = &self.cloud {
            let rooms = match room {
                Some(room) => vec![room.clone()],
                None => self.store.ids().await?,
            };
            let tell = |id: RoomId| {
                let field = field.clone();
                async move { chat.notify(&id, &field).await }
            };
            let told: Vec<_> = stream::iter(rooms).map(tell).buffer_unordered(ABREAST).collect().await;
            let well = told.iter().filter(|told| told.is_ok()).count();
            return match told.into_iter().find_map(Result::err) {
                Some(trouble) if well == 0 => Err(trouble.into()),
                _ => Ok(well),
            };
        }
        let rooms = match room {
            Some(room) => vec![room.clone()],
            // Here are only the groups with members at this node.
            None if self.chat.is_shared() => self.store.ids().await?,
            None => self.chat.ids(),
        };
        let mut told = 0;
        for id in &rooms {
            let sent = if room.is_none() && self.chat.is_shared() {
                // A node without the group has no member to notify; none is fetched for it.
                self.chat.notify(id, None, &field)
            } else {
                with_group(&self.chat, &self.rooms, id, || self.chat.notify(id, None, &field)).await
            };
            match sent {
                Ok(()) => told += 1,
                // One that closed meanwhile is no failure where all are told.
                Err(room::chat::Refusal::NoGroup) if room.is_none() => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Ok(told)
    }

    /// Removes here whom other nodes removed, for ever.
    pub async fn follow(&self) {
        // All that is kept at first: the store may have been away when this node started.
        let mut since = Millis(0);
        loop {
            tokio::time::sleep(FOLLOW).await;
            let now = self.clock.now();
            // While the store is unavailable no ban is known; then what was missed is asked for.
            if let Ok(bans) = self.store.bans(since).await {
                for ban in self.bans.take(bans, now) {
                    self.end_here(&ban);
                }
                since = now;
            }
        }
    }
}
