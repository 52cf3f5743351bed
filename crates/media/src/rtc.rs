//! WebRTC: WHIP publishes, WHEP plays. Owns SDP, ICE, DTLS-SRTP (by `str0m`), the one UDP port and the threads that serve
//! it. Knows no HTTP: routes hand it an offer and get an answer.

mod choice;
mod clock;
mod congestion;
mod connections;
mod dtls;
mod feed;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod h264;
mod losses;
mod net;
mod numbers;
mod offer;
mod outbox;
mod pacer;
mod packet;
mod pairs;
mod path;
mod payload;
mod rate;
mod reach;
mod redundancy;
mod registry;
mod sdp;
mod sender;
mod server;
mod session;
mod simulcast;
mod sink;
mod srtp;
mod still;
mod strangers;
mod stun;
mod tally;
mod tcp;
#[cfg(test)]
mod tests;
mod unfits;
mod unit;
mod whep;
mod whip;
mod worker;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

pub use offer::Fragment;
pub use reach::Tried;
pub use server::{Loop, Server, advertised};

use crate::ended::Ended;

/// Where WebRTC listens and what bounds it. Build one by `Default` and set fields: more will come.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The one UDP port of all sessions.
    pub udp: SocketAddr,
    /// ICE over TCP, for those whose network lets no UDP through. `None`: not offered.
    pub tcp: Option<SocketAddr>,
    /// Addresses put into answers, where browsers find this server. Empty: the one of the default route.
    pub public: Vec<IpAddr>,
    /// Only this machine is served, at its own addresses: `udp` is bound to all of them, and datagrams from elsewhere are
    /// dropped. Firefox sends nothing to 127.0.0.1.
    pub local_only: bool,
    /// A TCP port that is taken is done without.
    pub tcp_optional: bool,
    /// Threads that serve sessions. 0: one per core, at most 8.
    pub workers: usize,
    /// Most sessions at a time.
    pub max_sessions: usize,
    /// Most sessions at a time of one peer address that have an answer and are not connected yet.
    pub max_unconnected_per_peer: usize,
    /// Most requests at a time of one peer address that wait for a stream or for permission: a school may be behind it.
    pub max_waiting_per_peer: usize,
    /// What an address may send by UDP before a session answers it: a datagram each so many microseconds, and how many
    /// microseconds it may be ahead of that. `None`: any number.
    pub strangers: Option<(u64, u64)>,
    /// How streams with B-frames are made into renditions without for viewers. `None`: they are not, and such viewers are refused.
    pub renditions: Option<crate::in_order::Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            udp: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 8000),
            tcp: None,
            public: Vec::new(),
            local_only: false,
            tcp_optional: false,
            workers: 0,
            max_sessions: 20_000,
            max_unconnected_per_peer: 64,
            max_waiting_per_peer: 1_024,
            strangers: Some((1_000, 4_999_000)),
            renditions: None,
        }
    }
}

/// A session that was let in.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names the session in [`Server::patch`] and [`Server::delete`]: 32 hexadecimal digits that cannot be guessed.
    pub session: String,
    /// The SDP answer.
    pub sdp: String,
    /// The `ETag` of the ICE session (RFC 9725 §4.3.1), without quotes.
    pub etag: String,
}

/// A restarted ICE session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// The fragment to answer with (`application/trickle-ice-sdpfrag`).
    pub fragment: String,
    /// The new `ETag`, without quotes.
    pub etag: String,
}

/// Why an offer, or a change to a session, was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The SDP or fragment cannot be understood (HTTP 400).
    #[error("bad SDP: {0}")]
    Bad(String),
    /// It can, but there is nothing in it that can be served, or the stream is nothing that it can play (HTTP 406).
    #[error("not acceptable: {0}")]
    Unsupported(String),
    /// It can, but it asks for what makes no sense here: lines that go the wrong way, two of one kind (HTTP 422).
    #[error("unprocessable: {0}")]
    Unprocessable(String),
    /// Permission, publisher or stream; see [`Ended::Refused`] (403), [`Ended::NotFound`] (404), [`Ended::Busy`] (409).
    #[error("{0}")]
    Ended(#[from] Ended),
    /// No such session (HTTP 404).
    #[error("no such session")]
    NoSession,
    /// The fragment is for an ICE session that is no more (HTTP 412).
    #[error("the ICE session has changed")]
    Stale,
    /// A bound was reached; the text names it (HTTP 503).
    #[error("too many {0}")]
    TooMany(&'static str),
}

/// What came and went since the start; all grow only, except the two that say "now".
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions now.
    pub sessions: AtomicU64,
    /// Sessions now whose media can flow.
    pub connected: AtomicU64,
    /// Datagrams received.
    pub received: AtomicU64,
    /// Datagrams sent.
    pub sent: AtomicU64,
    /// Datagrams that are neither STUN nor DTLS nor RTP.
    pub garbage: AtomicU64,
    /// STUN requests for no session of ours, and everything else from addresses that no session vouches for.
    pub strangers: AtomicU64,
    /// Datagrams that were not looked at, because their address sent too many that no session answered.
    pub limited: AtomicU64,
    /// Datagrams dropped because a worker could not keep up.
    pub overrun: AtomicU64,
    /// Datagrams that the system did not take.
    pub unsent: AtomicU64,
    /// Datagrams that a TCP connection did not take because as many waited for it as may.
    pub tcp_full: AtomicU64,
    /// Sessions that never saw an ICE check: most likely a wrong public address or a closed port.
    pub unreached: AtomicU64,
    /// Round trip times that were measured, in microseconds, summed; [`Counters::rtts`] says how many.
    pub rtt_micros: AtomicU64,
    /// How many round trip times were measured: one of each connected session every few seconds.
    pub rtts: AtomicU64,
    /// Fractions of packets that were lost on the way, in millionths, summed; [`Counters::losses`] says how many.
    pub loss_ppm: AtomicU64,
    /// How many fractions were measured: one of each track of a connected session every few seconds.
    pub losses: AtomicU64,
    /// Requests to send packets again, from and to peers.
    pub nacks: AtomicU64,
    /// Key pictures that viewers asked for.
    pub key_requests: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
