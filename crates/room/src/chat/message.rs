//! What is said in chat. Bodies are opaque JSON text that passes through unchanged; what they mean is the clients'.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::refusal::bounded;
use super::{MAX_BODY, MAX_NICK, Refusal};
use crate::id::{RoomId, UserId};
use crate::time::Millis;

/// The content of a message: the JSON text of a list of `{MsgType, MsgContent}`, as the old web client sends and
/// expects it. The caller vouches that it is JSON; a text or custom message of ours is one with a single element.
/// Deserialising, which is for messages between our own nodes, does not check the length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(Box<str>);

impl Body {
    /// Takes a JSON text.
    ///
    /// # Errors
    /// [`Refusal::Empty`], [`Refusal::TooLong`].
    pub fn new(json: &str) -> Result<Self, Refusal> {
        if json.is_empty() {
            return Err(Refusal::Empty { field: "body" });
        }
        bounded("body", json, MAX_BODY)?;
        Ok(Self(json.into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// A display name: 1 to [`MAX_NICK`] bytes of any text.
/// Deserialising, which is for messages between our own nodes, does not check the length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nick(Arc<str>);

impl Nick {
    /// Checks the length.
    ///
    /// # Errors
    /// [`Refusal::Empty`], [`Refusal::TooLong`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::Empty { field: "nick" });
        }
        bounded("nick", text, MAX_NICK)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a user says, to a group or to another user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The sender.
    pub from: UserId,
    /// Its display name at that time.
    pub nick: Option<Nick>,
    /// A number of the sender's choice: a second message with the same one is the first one sent again.
    pub random: Option<u64>,
    /// What it says.
    pub body: Body,
}

/// What the system says to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// On whose behalf.
    pub by: Option<UserId>,
    /// What.
    pub notice: Notice,
}

/// The system notifications; the numbers on the wire are the server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The group was destroyed; its last message.
    Destroyed,
    /// The group was taken back by the operator; its last message.
    Revoked,
    /// A text of the application's, e.g. `{"cmd":"notifyPusherChange","data":""}`.
    Custom(Box<str>),
}

/// Either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// By a user.
    Said(Said),
    /// By the system.
    System(System),
}

/// The forms in which a message goes out; each is made once and shared by all receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A WebSocket event.
    Socket,
    /// An element of a long-polling reply to webim 1.7.
    Webim,
    /// The same to the TIM web SDK.
    Tim,
}

/// A message of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The group.
    pub group: RoomId,
    /// Its place in the group's life: from 1, without gaps.
    pub seq: u64,
    /// When it was taken.
    pub at: Millis,
    /// What it says.
    pub content: Content,
    /// Filled by the first who asks; never part of what the message is.
    #[serde(skip)]
    forms: [OnceLock<Bytes>; 3],
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        (&self.group, self.seq, self.at, &self.content) == (&other.group, other.seq, other.at, &other.content)
    }
}

impl Eq for Message {}

impl Message {
    /// A message with the number that it was given, here or where several nodes have them numbered.
    #[must_use]
    pub const fn new(group: RoomId, seq: u64, at: Millis, content: Content) -> Self {
        Self { group, seq, at, content, forms: [const { OnceLock::new() }; 3] }
    }

    /// The message in one of its forms, made by `render` the first time. A clone shares the bytes.
    pub fn form(&self, form: Form, render: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.forms[form as usize].get_or_init(|| render(self)).clone()
    }

    /// Bytes of its content, for the bounds on what is kept.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Said(said) => said.body.0.len(),
            Content::System(System { notice: Notice::Custom(text), .. }) => text.len(),
            Content::System(_) => 0,
        }
    }
}

/// A point-to-point message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// The receiver.
    pub to: UserId,
    /// Its place among all that this receiver gets: growing, with gaps. Near the time in milliseconds, so that it
    /// goes on growing when the receiver was forgotten in between.
    pub seq: u64,
    /// When it was taken.
    pub at: Millis,
    /// A number of the sender's, handed on.
    pub client_seq: Option<u64>,
    /// What it says.
    pub said: Said,
}

impl Direct {
    /// What keeping it is taken to cost: the body, and a fixed part for everything else.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.said.body.0.len() + 256
    }
}
