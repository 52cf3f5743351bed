//! Why a session stopped. One value per session, logged once; it never reaches beyond that session.

use std::io;

/// Why a session (a publisher, a player, a connection) stopped. `Display` says it plainly, for the operator's log;
/// none of the texts holds a query or another secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The peer closed the connection without saying goodbye.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer ended the stream on purpose (deleteStream, FCUnpublish, WHIP DELETE).
    #[error("the peer ended the stream")]
    Finished,
    /// The publisher vanished and did not come back within the resume window.
    #[error("the publisher vanished and did not come back")]
    Deserted,
    /// A new publisher of the same stream took over from a silent one.
    #[error("a new publisher took the stream over from this silent one")]
    TakenOver,
    /// Nothing came for too long; the text names what was waited for.
    #[error("timed out waiting for {0}")]
    Timeout(&'static str),
    /// The peer broke the protocol; the text names the rule.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// A bound on bytes, counts or rates was exceeded; the text names the bound.
    #[error("limit exceeded: {0}")]
    Limit(&'static str),
    /// Permission to publish or play was refused; the text is the reason given to the peer.
    #[error("refused: {0}")]
    Refused(String),
    /// That stream is not published.
    #[error("no such stream")]
    NotFound,
    /// Another publisher has that stream.
    #[error("the stream already has a publisher")]
    Busy,
    /// The operator or the application ended it.
    #[error("ended by the server: {0}")]
    Kicked(String),
    /// The player stopped reading and was dropped.
    #[error("the player stopped reading")]
    TooSlow,
    /// The socket failed.
    #[error("socket error: {0}")]
    Io(io::ErrorKind),
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Shutdown,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ended::Closed,
            kind => Ended::Io(kind),
        }
    }
}
