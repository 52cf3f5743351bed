//! The things that nodes say, and what each of them does in Redis.

use super::Sketch;
use room::chat::{Content, End, Epoch, Said};
use room::{Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};

use store::redis::GroupCommand;

/// Something that a node says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A message to a group. Numbered and kept.
    Message {
        /// The group.
        group: RoomId,
        /// When it was taken.
        at: Millis,
        /// What it says.
        content: Content,
    },
    /// A room stands behind the group from now on, if it is there. Passed on where it begins anew.
    Adopt {
        /// The group.
        group: RoomId,
    },
    /// The end of a group. Numbered as its last message.
    End {
        /// The group.
        group: RoomId,
        /// When.
        at: Millis,
        /// On whose behalf.
        by: Option<UserId>,
        /// How.
        end: End,
    },
    /// A group without a room is still wanted. Not passed on.
    Keep {
        /// The group.
        group: RoomId,
    },
    /// A group began another life, because messages were numbered apart.
    Epoch {
        /// The group.
        group: RoomId,
        /// The life.
        epoch: Epoch,
    },
    /// Which users of a group are at the node.
    Count {
        /// The group.
        group: RoomId,
        /// The node.
        node: u64,
        /// They.
        users: Sketch,
    },
    /// Who may send nothing until then.
    Mute {
        /// The group.
        group: RoomId,
        /// Who.
        user: UserId,
        /// Until when; a time that is past lifts it.
        until: Millis,
    },
    /// Who may not be in until then.
    Ban {
        /// The group.
        group: RoomId,
        /// Who.
        user: UserId,
        /// Until when; a time that is past lifts it.
        until: Millis,
        /// A kick, and the user is told so.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kick: bool,
    },
    /// A user who is removed, and may come back.
    Kick {
        /// The group.
        group: RoomId,
        /// Who.
        user: UserId,
    },
    /// A point-to-point message. Numbered.
    Direct {
        /// The receiver.
        to: UserId,
        /// When it was taken.
        at: Millis,
        /// A number of the sender's.
        client_seq: Option<u64>,
        /// What it says.
        said: Said,
    },
    /// A user got all of its point-to-point messages up to this one.
    Handed {
        /// Who.
        user: UserId,
        /// Its number.
        seq: u64,
    },
    /// A long-polling client logged in: an older one of the same user gives way.
    Login {
        /// Who.
        user: UserId,
        /// The login.
        session: u64,
        /// When that was.
        at: Millis,
    },
    /// A login ended: so do its connections.
    Ended {
        /// Who.
        user: UserId,
        /// The login; none: all of this user's connections, at an operator's wish.
        session: Option<u64>,
    },
}

impl Op {
    /// The group that it is about, if it is about one.
    #[must_use]
    pub const fn group(&self) -> Option<&RoomId> {
        match self {
            Self::Message { group, .. }
            | Self::Adopt { group }
            | Self::End { group, .. }
            | Self::Keep { group }
            | Self::Epoch { group, .. }
            | Self::Count { group, .. }
            | Self::Mute { group, .. }
            | Self::Ban { group, .. }
            | Self::Kick { group, .. } => Some(group),
            Self::Direct { .. } | Self::Handed { .. } | Self::Login { .. } | Self::Ended { .. } => None,
        }
    }

    /// What decides about its partition: its group or its user.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            Self::Direct { to: user, .. }
            | Self::Handed { user, .. }
            | Self::Login { user, .. }
            | Self::Ended { user, .. } => user.as_str(),
            other => other.group().map_or("", RoomId::as_str),
        }
    }

    /// Whether it mutes or bans somebody, or lifts that.
    pub(super) const fn is_sanction(&self) -> bool {
        matches!(self, Self::Mute { .. } | Self::Ban { .. })
    }

    /// Whether it takes the place of another sanction: of the same kind, user and group.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mute { group, user, .. }, Self::Mute { group: of, user: who, .. })
            | (Self::Ban { group, user, .. }, Self::Ban { group: of, user: who, .. }) => group == of && user == who,
            _ => false,
        }
    }

    /// The same as a part of the commit of a room.
    #[must_use]
    pub fn for_commit(&self) -> GroupCommand {
        let (name, value, _) = self.command();
        // Ids, times and texts: it can be written.
        GroupCommand { name, text: serde_json::to_string(self).unwrap_or_default(), value }
    }

    /// What the script does with it, and with which two values.
    pub(super) fn command(&self) -> (&'static str, String, String) {
        let until = |until: &Millis| if *until == Millis(0) { String::new() } else { until.0.to_string() };
        match self {
            Self::Message { .. } => ("say", String::new(), String::new()),
            Self::Adopt { .. } => ("adopt", String::new(), String::new()),
            Self::End { .. } => ("end", String::new(), String::new()),
            Self::Keep { .. } => ("keep", String::new(), String::new()),
            Self::Epoch { epoch, .. } => ("life", epoch.0.to_string(), String::new()),
            Self::Count { node, users, .. } => ("set", format!("u:{node}"), users.text()),
            Self::Mute { user, until: end, .. } => ("set", format!("mute:{user}"), until(end)),
            Self::Ban { user, until: end, .. } => ("set", format!("ban:{user}"), until(end)),
            Self::Direct { at, .. } => ("direct", at.0.to_string(), String::new()),
            Self::Kick { .. } => ("tell", "group".into(), String::new()),
            Self::Handed { .. } | Self::Login { .. } | Self::Ended { .. } => ("tell", String::new(), String::new()),
        }
    }
}
