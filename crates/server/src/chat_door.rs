//! What chat's handlers work with, those of WebSockets and those of the old client's polls.

use std::sync::Arc;

use crate::web::Web;
use access::bans::Bans;
use access::identity::Identity;
use access::sessions::Sessions;
use rooms::Rooms;
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
