//! The path that a session sends on. str0m, as an ICE-lite agent, sends nothing but answers until the peer has nominated a
//! path; a peer that sends DTLS has one that works both ways, and is answered there at once.

use std::net::SocketAddr;

use str0m::net::Protocol;

use super::stun;

/// Most paths of which the last check is kept.
const MOST: usize = 8;

type Peer = (Protocol, SocketAddr);

/// What is known of a session's paths.
pub(super) struct Path {
    /// Our ICE password, which signs the peer's checks.
    password: String,
    /// The last check over each path, as long as none is nominated.
    checks: Vec<(Peer, Box<[u8]>)>,
    /// A path is nominated, by the peer or by [`Path::came`].
    settled: bool,
    /// A check that nominates came over this path, and has not been answered yet.
    asked: Option<Peer>,
    /// The path that the peer has nominated since we took one ourselves.
    chosen: Option<Peer>,
    /// We took one ourselves.
    early: bool,
    /// The paths that were nominated, and the one of them that is new.
    nominated: Vec<Peer>,
    fresh: Option<Peer>,
}

impl Path {
    /// No path yet.
    pub fn new(password: String) -> Self {
        Path {
            password,
            checks: Vec::new(),
            settled: false,
            asked: None,
            chosen: None,
            early: false,
            nominated: Vec::new(),
            fresh: None,
        }
    }

    /// Looks at what came. Returns a check to be handled before it: the one that nominates the path over which DTLS comes.
    pub fn came(&mut self, proto: Protocol, source: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let peer = (proto, source);
        match bytes.first() {
            Some(0) if stun::nominates(bytes) => {
                self.asked = Some(peer);
                self.settled = true;
                self.checks.clear();
                None
            }
            Some(0) if !self.settled && stun::is_check(bytes) => {
                self.checks.retain(|(known, _)| *known != peer);
                if self.checks.len() < MOST {
                    self.checks.push((peer, bytes.into()));
                }
                None
            }
            Some(20..=63) if !self.settled => {
                let (_, check) = self.checks.iter().find(|(known, _)| *known == peer)?;
                let made = stun::nominating(check, &self.password)?;
                self.settled = true;
                self.early = true;
                self.checks.clear();
                Some(made)
            }
            _ => None,
        }
    }

    /// Where a datagram goes that str0m sends to `to`: answers to checks go back where they came from, all else over the
    /// path that the peer has nominated last, if it is another than the one that we took before.
    pub fn of(&mut self, proto: Protocol, to: SocketAddr, bytes: &[u8]) -> Peer {
        let to = (proto, to);
        // STUN: an answer shows that the check was signed.
        if bytes.first().is_some_and(|first| *first < 4) {
            if self.asked == Some(to) {
                self.asked = None;
                self.chosen = if self.early { Some(to) } else { self.chosen };
                if !self.nominated.contains(&to) && self.nominated.len() < MOST {
                    self.nominated.push(to);
                    self.fresh = Some(to);
                }
            }
            return to;
        }
        self.chosen.unwrap_or(to)
    }

    /// A path that the peer has nominated for the first time since this was last asked: it has moved there.
    pub fn moved(&mut self) -> Option<Peer> {
        self.fresh.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// A binding request with a user name, and with USE-CANDIDATE if it nominates.
    fn check(nominates: bool) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, if nominates { 12 } else { 8 }, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend([7; 12]);
        bytes.extend(b"\0\x06\0\x03a:b\0");
        bytes.extend(if nominates { &b"\0\x25\0\0"[..] } else { &[] });
        bytes
    }

    #[test]
    fn what_the_peer_nominates_last_is_taken_once_it_is_answered() {
        let mut path = Path::new("password".into());
        path.early = true;
        assert_eq!(path.of(Protocol::Udp, peer(1), &[22]), (Protocol::Udp, peer(1)));
        path.came(Protocol::Udp, peer(2), &check(true));
        // A check that str0m does not answer is not the peer's.
        assert_eq!(path.of(Protocol::Udp, peer(1), &[0x80]), (Protocol::Udp, peer(1)));
        assert_eq!(path.of(Protocol::Udp, peer(2), &[1, 1]), (Protocol::Udp, peer(2)));
        assert_eq!(path.of(Protocol::Udp, peer(1), &[0x80]), (Protocol::Udp, peer(2)));
    }

    #[test]
    fn checks_that_are_not_signed_nominate_nothing() {
        let mut path = Path::new("password".into());
        assert_eq!(path.came(Protocol::Udp, peer(1), &check(false)), None);
        assert_eq!(path.came(Protocol::Udp, peer(1), &[22, 254, 253]), None);
        assert!(!path.settled);
        for port in 0..20 {
            path.came(Protocol::Udp, peer(port), &check(false));
        }
        assert!(path.checks.len() <= MOST);
    }
}
