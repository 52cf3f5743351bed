//! The door of the operator API: the parts that its calls work with.

use std::sync::Arc;

use ::rooms::Rooms;
use ::rooms::moderation::Moderation;
use ::streams::live::Live;
use ::webhooks::Hooks;
use access::identity::Identity;
use access::operator::Operators;
use access::sessions::Sessions;
use media::Hub;
use media::record::Recorder;

use super::repeat::Repeats;
use crate::figures::Figures;
use crate::web::Web;

/// What the operator API works with.
pub struct Api {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Who may call.
    pub operators: Arc<Operators>,
    /// Putting users out, mutes and notices.
    pub moderation: Moderation,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Chat in this process.
    pub chat: Arc<::chat::Hub>,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// The live service, which mixes.
    pub live: Arc<dyn Live>,
    /// Recordings, if the operator allows any.
    pub recorder: Option<Recorder>,
    /// Webhooks, where the store keeps a record.
    pub hooks: Option<Arc<Hooks>>,
    /// How much there is of everything.
    pub figures: Arc<Figures>,
    /// What logs users in.
    pub tokens: Tokens,
    /// Requests that come again.
    pub repeats: Arc<Repeats>,
}

/// What users are logged in with.
pub struct Tokens {
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Seconds for which those are good.
    pub lifetime: u64,
}
