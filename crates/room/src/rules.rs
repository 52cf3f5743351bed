//! The numbers that the rules go by. Where they come from is the server's business.

use crate::kind::Kind;

/// Longest `userName` in bytes.
pub const MAX_NAME: usize = 256;
/// Longest `userAvatar` in bytes.
pub const MAX_AVATAR: usize = 4096;
/// Longest `roomInfo` in bytes.
pub const MAX_ROOM_INFO: usize = 1024;
/// Longest `userInfo` of a viewer in bytes.
pub const MAX_USER_INFO: usize = 4096;
/// Most custom fields of a room.
pub const MAX_CUSTOM_FIELDS: usize = 64;
/// Longest name of a custom field in bytes.
pub const MAX_FIELD_NAME: usize = 64;
/// Longest value of a custom field in bytes, as JSON.
pub const MAX_FIELD_VALUE: usize = 1024;
/// Most bytes of a room's custom fields together, as JSON.
pub const MAX_CUSTOM: usize = 8192;
/// Most members of a `webrtc_room`.
pub const MAX_WEBRTC_MEMBERS: usize = 4;

/// Milliseconds for which a member of a room without heartbeats stays: everything has an end.
pub const LASTING: u64 = 24 * 3600 * 1000;

/// Capacities, times and rights; one set for the whole server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Most pushers of a multi or live room.
    pub max_members: usize,
    /// Silence of a pusher, in milliseconds, after which the live service is asked about it.
    pub heartbeat_timeout: u64,
    /// Milliseconds that a room is kept which no pusher entered.
    pub max_idle: u64,
    /// Whether double and multi rooms close when their creator leaves.
    pub creator_can_destroy: bool,
    /// Most viewers that a room lists by name; more are counted.
    pub max_audiences: usize,
    /// Milliseconds until the live service is asked again about a pusher that it knew nothing of.
    pub ask_again: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_members: 4,
            heartbeat_timeout: 20_000,
            max_idle: 30_000,
            creator_can_destroy: false,
            max_audiences: 30,
            ask_again: 5_000,
        }
    }
}

impl Rules {
    /// Most pushers of a room of this kind.
    #[must_use]
    pub const fn capacity(&self, kind: Kind) -> usize {
        match kind {
            Kind::Double => 2,
            Kind::Multi | Kind::Live | Kind::Webexe => self.max_members,
            Kind::Webrtc => MAX_WEBRTC_MEMBERS,
        }
    }

    /// Whether a room of this kind closes when its creator leaves.
    #[must_use]
    pub const fn closes_with_creator(&self, kind: Kind) -> bool {
        match kind {
            Kind::Live => true,
            Kind::Double | Kind::Multi => self.creator_can_destroy,
            Kind::Webrtc | Kind::Webexe => false,
        }
    }
}
