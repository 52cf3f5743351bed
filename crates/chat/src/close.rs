//! Why a chat connection ends, and the numbers by which a WebSocket client knows what to do about it.

/// The end of a connection. Codes from 4000 to 4499 mean: connect again; from 4500 on: do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server stops; another one, or the same, will be there soon.
    Stopping,
    /// The client does not read as fast as its rooms talk. Connect again and catch up.
    TooSlow,
    /// Nothing came from the client, not even a pong.
    Idle,
    /// There are as many connections as there may be, of this user or of all.
    Overloaded,
    /// Messages of one of its rooms were numbered at several nodes, and others' numbers count.
    Renumbered,
    /// The client sent what is not a frame of this protocol.
    Protocol,
    /// The session ended: logged out, expired or revoked.
    SessionEnded,
    /// The client went on sending faster than it may.
    TooFast,
    /// A frame was larger than the bound.
    TooLarge,
    /// A newer login of the same user took this connection's place (long polling only).
    Replaced,
    /// An operator ended it.
    Operator,
}

impl Close {
    /// The WebSocket close code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Stopping => 4000,
            Self::TooSlow => 4001,
            Self::Idle => 4002,
            Self::Overloaded => 4003,
            Self::Renumbered => 4004,
            Self::Protocol => 4500,
            Self::SessionEnded => 4501,
            Self::TooFast => 4502,
            Self::TooLarge => 4503,
            Self::Replaced => 4504,
            Self::Operator => 4505,
        }
    }

    /// The WebSocket close reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stopping => "the server stops: reconnect and catch up",
            Self::TooSlow => "too slow: reconnect and catch up",
            Self::Idle => "no sign of life: reconnect and catch up",
            Self::Overloaded => "too many connections: reconnect later",
            Self::Renumbered => "numbered anew: reconnect and catch up",
            Self::Protocol => "not a frame of this protocol",
            Self::SessionEnded => "the session ended: log in again",
            Self::TooFast => "too many requests",
            Self::TooLarge => "a frame is too large",
            Self::Replaced => "a newer login took this one's place",
            Self::Operator => "ended by an operator",
        }
    }

    /// All of them, for the documentation's test.
    pub const ALL: [Self; 11] = [
        Self::Stopping,
        Self::TooSlow,
        Self::Idle,
        Self::Overloaded,
        Self::Renumbered,
        Self::Protocol,
        Self::SessionEnded,
        Self::TooFast,
        Self::TooLarge,
        Self::Replaced,
        Self::Operator,
    ];
}
