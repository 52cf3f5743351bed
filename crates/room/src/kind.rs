//! The kinds of rooms. What differs between them is said by the rules.

use serde::{Deserialize, Serialize};

/// The kinds of rooms; each has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two people.
    Double,
    /// Several people.
    Multi,
    /// One anchor, co-anchors, and an audience.
    Live,
    /// People in a call whose media goes elsewhere: no service here sees their streams, so only heartbeats count.
    Webrtc,
    /// An entry of a list of rooms that are held elsewhere, or here under another kind: as with calls, only heartbeats count.
    Webexe,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Double, Self::Multi, Self::Live, Self::Webrtc, Self::Webexe];

    /// Its name, in keys of Redis, cursors and metrics: it stays.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Multi => "multi",
            Self::Live => "live",
            Self::Webrtc => "webrtc",
            Self::Webexe => "webexe",
        }
    }

    /// What paths of calls and clients call it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Double => "double_room",
            Self::Multi => "multi_room",
            Self::Live => "live_room",
            Self::Webrtc => "webrtc_room",
            Self::Webexe => "webexe_room",
        }
    }

    /// Whether rooms of this kind have neither streams nor a chat group here.
    #[must_use]
    pub const fn is_elsewhere(self) -> bool {
        matches!(self, Self::Webrtc | Self::Webexe)
    }
}
