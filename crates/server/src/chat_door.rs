//! What chat's handlers work with, those of WebSockets and those of the old client's polls.

use std::sync::Arc;

use crate::web::Web;
use access::bans::Bans;
use access::identity::Identity;
use access::sessions::Sessions;
use room::RoomId;
use room::chat::{Refusal, Said, Sent};
use rooms::Rooms;
use rooms::groups::may_send;
use rooms::moderation::Moderation;
use store::Store;
use webhooks::Hooks;

/// The parts.
pub struct ChatDoor {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Chat in this process.
    pub chat: Arc<chat::Hub>,
    /// The answer to a client that asks for chat where another service has it.
    pub elsewhere: Option<String>,
    /// Rooms, which groups belong to.
    pub rooms: Arc<Rooms>,
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Where other nodes hear of logouts, and a restart.
    pub store: Arc<dyn Store>,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Puts users out of rooms, for a room's creator.
    pub moderation: Moderation,
    /// The app's backend, which is notified of messages and may be asked before.
    pub hooks: Option<Arc<Hooks>>,
}

impl ChatDoor {
    /// The backend is not asked about what a group would refuse, nor about what it took before: what that was given. Where no
    /// backend is asked, sending says both.
    ///
    /// # Errors
    /// As [`may_send`].
    pub async fn sent_before_asking(&self, room: &RoomId, said: &Said) -> Result<Option<Sent>, Refusal> {
        if !self.hooks.as_ref().is_some_and(|hooks| hooks.asks()) {
            return Ok(None);
        }
        may_send(&self.chat, &self.rooms, room, said).await
    }
}
