//! The chat service: a group for each room, in which the room's changes are published. One trait, one file per provider;
//! who comes in by WebSocket or by long polls is the program's affair.

pub mod bus;
pub mod close;
pub mod hub;
pub mod pages;
pub mod render;
pub mod say;
mod tencent_settings;

use std::future::Future;
use std::pin::Pin;

use room::{Event, Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};

use store::Answer;

pub use hub::Hub;
pub use tencent_settings::TencentSettings;

/// Who carries chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The hub in this process.
    #[default]
    Embedded,
    /// Tencent's chat service, by its REST interface.
    Tencent,
}

/// `[chat]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who carries chat.
    pub provider: Provider,
    /// Most chat connections at a time, WebSockets and long-polling clients together.
    pub max_connections: usize,
    /// Most connections of an address at a time that listen without a name; all of those together may be half of `max_connections`.
    pub address_listeners: usize,
    /// Largest frame of a WebSocket client, in bytes.
    pub max_frame: usize,
    /// Requests a second that a connection may make in the long run.
    pub rate: u32,
    /// Requests that it may make at once.
    pub burst: u32,
    /// Frames that wait for a slow receiver before it is disconnected.
    pub queue: usize,
    /// Bytes of them.
    pub queue_bytes: usize,
    /// Seconds of silence after which a WebSocket is taken for dead; it is pinged after half of them.
    pub idle_timeout: u64,
    /// Tencent's chat service; used if `provider` says so.
    pub tencent: TencentSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider: Provider::Embedded,
            max_connections: 50_000,
            address_listeners: 2000,
            max_frame: 16 * 1024,
            rate: 20,
            burst: 100,
            queue: 256,
            queue_bytes: 256 * 1024,
            idle_timeout: 60,
            tencent: TencentSettings::default(),
        }
    }
}

impl Settings {
    /// The answer to a client that looks for chat in this process where it is carried elsewhere.
    #[must_use]
    pub fn elsewhere(&self, sdk_app_id: u64) -> Option<String> {
        let text = || format!("chat is Tencent's chat service: use its client, with sdkAppID {sdk_app_id} and userSig");
        (self.provider == Provider::Tencent).then(text)
    }

    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        let least: [(&str, u64, u64); 6] = [
            ("address_listeners", self.address_listeners as u64, 1),
            ("rate", self.rate.into(), 1),
            ("burst", self.burst.into(), 1),
            ("queue", self.queue as u64, 8),
            ("max_frame", self.max_frame as u64, 1024),
            ("idle_timeout", self.idle_timeout, 2),
        ];
        for (name, value, least) in least {
            if value < least {
                found.push(format!("chat.{name} must be at least {least}"));
            }
        }
    }
}

/// What operators ask of a chat service elsewhere. Each call is bounded in time.
pub trait Remote: Send + Sync + 'static {
    /// Lets a user say nothing in a room's group for so many seconds; none: for ever; 0 takes it back.
    fn mute<'a>(&'a self, room: &'a RoomId, user: &'a UserId, seconds: Option<u64>) -> RemoteAnswer<'a>;

    /// Lets a user who is kept out of a room say nothing in its group until then; 0 takes it back. In the background, again until it
    /// is done.
    fn silence(&self, room: &RoomId, user: &UserId, until: Millis);

    /// Says something to a room's group as the system.
    fn notify<'a>(&'a self, room: &'a RoomId, text: &'a str) -> RemoteAnswer<'a>;
}

/// What comes of a call to a chat service elsewhere.
pub type RemoteAnswer<'a> = Pin<Box<dyn Future<Output = Result<(), RemoteError>> + Send + 'a>>;

/// Why a chat service elsewhere did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It knows no such group.
    #[error("the chat service knows no such room")]
    NoGroup,
    /// It did not answer, or something else was wrong.
    #[error("the chat service: {0}")]
    Failed(String),
}

/// What rooms ask of the chat service.
pub trait Chat: Send + Sync + 'static {
    /// Makes the group of a room that is about to be made; one that exists already is fine. Bounded in time.
    fn open<'a>(&'a self, room: &'a RoomId) -> Answer<'a, ()>;

    /// Takes in a change, in order for each room. Never waits: what cannot be published at once is published later.
    fn carry(&self, event: &Event);
}
