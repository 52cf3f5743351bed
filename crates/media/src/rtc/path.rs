//! The path that a session sends on. str0m, as an ICE-lite agent, sends nothing but answers until the peer has nominated a
//! path; a peer that sends DTLS has one that works both ways, and is answered there at once. Of the paths that a peer has
//! nominated str0m takes the one with the highest priority for as long as it is checked; we take the last one, since a peer that
//! changes networks nominates the new one.

use std::net::{IpAddr, SocketAddr};

use str0m::net::Protocol;

use super::stun;

/// Most paths of which the last check is kept.
const MOST: usize = 8;
/// Most paths of which it is kept which of our addresses they lead to.
const MOST_KNOWN: usize = 16;

type Peer = (Protocol, SocketAddr);

/// What is known of a session's paths.
pub(super) struct Path {
    /// Our ICE password, which signs the peer's checks.
    password: String,
    /// The last check over each path, as long as none is nominated.
    checks: Vec<(Peer, Box<[u8]>)>,
    /// A path is nominated, by the peer or by [`Path::came`].
    settled: bool,
    /// The first path that is checked is taken for nominated: we have something to say as soon as we can.
    eager: bool,
    /// The path that was taken so.
    first: Option<Peer>,
    /// What came last: over which path, and to which of our addresses.
    came: Option<(Peer, Option<IpAddr>)>,
    /// A check that nominates came last.
    asked: bool,
    /// The path that the peer has nominated last.
    chosen: Option<Peer>,
    /// The path that str0m sends on.
    machine: Option<Peer>,
    /// Which of our addresses the paths lead to whose checks were answered.
    known: Vec<(Peer, Option<IpAddr>)>,
}

impl Path {
    /// No path yet. `eager`: the handshake is ours to begin.
    pub fn new(password: String, eager: bool) -> Self {
        Path {
            password,
            checks: Vec::new(),
            settled: false,
            eager,
            first: None,
            came: None,
            asked: false,
            chosen: None,
            machine: None,
            known: Vec::new(),
        }
    }

    /// ICE begins again. Media flows on until the peer nominates a path anew.
    pub fn restart(&mut self, password: String) {
        self.password = password;
        self.checks.clear();
        self.settled = false;
        self.asked = false;
    }

    /// A check that says nothing of its priority, as one that does: str0m drops such ones. Early releases of FFmpeg's WHIP send them.
    pub fn with_priority(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let lacks = bytes.first() == Some(&0) && stun::lacks_priority(bytes);
        lacks.then(|| stun::prioritised(bytes, &self.password)).flatten()
    }

    /// Looks at what came, to one of our addresses. Returns a check to be handled before it: the one that nominates the path
    /// over which DTLS comes, or the first of all paths, where the handshake is ours to begin.
    pub fn came(&mut self, peer: Peer, local: Option<IpAddr>, bytes: &[u8]) -> Option<Vec<u8>> {
        self.came = Some((peer, local));
        self.asked = bytes.first() == Some(&0) && stun::nominates(bytes);
        match bytes.first() {
            Some(0) if !self.settled && !self.asked && stun::is_check(bytes) => {
                self.checks.retain(|(known, _)| *known != peer);
                if self.checks.len() < MOST {
                    self.checks.push((peer, bytes.into()));
                }
                let made = stun::nominating(bytes, &self.password).filter(|_| self.eager)?;
                self.eager = false;
                self.first = Some(peer);
                Some(made)
            }
            Some(20..=63) if !self.settled => {
                let (_, check) = self.checks.iter().find(|(known, _)| *known == peer)?;
                let made = stun::nominating(check, &self.password)?;
                self.settle();
                if self.first.is_some_and(|first| first != peer) {
                    self.chosen = Some(peer);
                }
                Some(made).filter(|_| self.first != Some(peer))
            }
            _ => None,
        }
    }

    /// Whether the peer has nominated a path, or sends DTLS over one.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    fn settle(&mut self) {
        self.settled = true;
        self.eager = false;
        self.checks.clear();
    }

    /// Where a datagram goes that str0m sends to `to`: answers to checks go back where they came from, all else over the
    /// path that the peer has nominated last, unless str0m has left its own since.
    pub fn of(&mut self, proto: Protocol, to: SocketAddr, bytes: &[u8]) -> Peer {
        let to = (proto, to);
        // STUN: an answer shows that the check was signed.
        if bytes.first().is_some_and(|first| *first < 4) {
            if let Some((_, local)) = self.came.filter(|(peer, _)| *peer == to) {
                self.remember(to, local);
                if std::mem::take(&mut self.asked) {
                    self.settle();
                    self.chosen = Some(to);
                }
            }
            return to;
        }
        if self.machine.replace(to).is_some_and(|before| before != to) {
            self.chosen = None;
        }
        self.chosen.unwrap_or(to)
    }

    fn remember(&mut self, peer: Peer, local: Option<IpAddr>) {
        match self.known.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, known)) => *known = local,
            None => {
                if self.known.len() == MOST_KNOWN {
                    let old =
                        self.known.iter().position(|(known, _)| ![self.chosen, self.machine].contains(&Some(*known)));
                    self.known.remove(old.unwrap_or(0));
                }
                self.known.push((peer, local));
            }
        }
    }

    /// The path that media goes over, if there is one.
    pub fn taken(&self) -> Option<Peer> {
        self.chosen.or(self.machine)
    }

    /// Which of our addresses a path leads to, where that is known.
    pub fn local(&self, peer: Peer) -> Option<IpAddr> {
        self.known.iter().find(|(known, _)| *known == peer).and_then(|(_, local)| *local)
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

    const UDP: Protocol = Protocol::Udp;

    #[test]
    fn what_the_peer_nominates_last_is_taken_once_it_is_answered() {
        let mut path = Path::new("password".into(), false);
        assert_eq!(path.of(UDP, peer(1), &[22]), (UDP, peer(1)));
        path.came((UDP, peer(2)), None, &check(true));
        // A check that str0m does not answer is not the peer's, and another's answer is not its.
        assert_eq!(path.of(UDP, peer(1), &[0x80]), (UDP, peer(1)));
        path.came((UDP, peer(2)), None, &check(false));
        assert_eq!(path.of(UDP, peer(2), &[1, 1]), (UDP, peer(2)));
        assert_eq!(path.taken(), Some((UDP, peer(1))));
        path.came((UDP, peer(2)), None, &check(true));
        assert_eq!(path.of(UDP, peer(2), &[1, 1]), (UDP, peer(2)));
        assert_eq!(path.of(UDP, peer(1), &[0x80]), (UDP, peer(2)));
        assert_eq!(path.taken(), Some((UDP, peer(2))));
    }

    /// [`check`] with its signature.
    fn signed(number: u8) -> Vec<u8> {
        stun::check([number; 12], "a:b", "password").unwrap()
    }

    #[test]
    fn the_first_path_is_taken_where_we_have_something_to_say() {
        let mut path = Path::new("password".into(), true);
        assert_eq!(path.came((UDP, peer(1)), None, &check(false)), None, "not signed");
        assert!(stun::nominates(&path.came((UDP, peer(2)), None, &signed(2)).unwrap()));
        assert_eq!(path.came((UDP, peer(3)), None, &signed(3)), None, "only the first");
        assert_eq!(path.of(UDP, peer(2), &[22]), (UDP, peer(2)));
        // The peer answers over another, which it has checked as well.
        assert!(path.came((UDP, peer(3)), None, &[22, 254, 253]).is_some());
        assert_eq!(path.of(UDP, peer(2), &[22]), (UDP, peer(3)));
        let mut same = Path::new("password".into(), true);
        same.came((UDP, peer(2)), None, &signed(2)).unwrap();
        assert_eq!(same.came((UDP, peer(2)), None, &[22, 254, 253]), None, "it is nominated already");
        assert!(same.is_settled());
    }

    #[test]
    fn a_peer_may_move_as_often_as_it_likes_and_back() {
        let mut path = Path::new("password".into(), false);
        path.of(UDP, peer(0), &[22]);
        for port in (1..30).chain([3, 1, 3, 1]) {
            path.came((UDP, peer(port)), None, &check(true));
            path.of(UDP, peer(port), &[1, 1]);
            assert_eq!(path.taken(), Some((UDP, peer(port))));
            // str0m sends over the one with the highest priority, as ever.
            assert_eq!(path.of(UDP, peer(0), &[0x80]), (UDP, peer(port)));
        }
        assert_eq!(path.of(UDP, peer(9), &[0x80]), (UDP, peer(9)), "it has left that one");
        path.restart("another".into());
        assert_eq!(path.taken(), Some((UDP, peer(9))));
    }

    #[test]
    fn each_path_leads_to_an_address_of_ours() {
        let mut path = Path::new("password".into(), false);
        let ours = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        for (port, local) in [(1, ours[0]), (2, ours[1])] {
            path.came((UDP, peer(port)), Some(local), &check(false));
            path.of(UDP, peer(port), &[1, 1]);
        }
        // A check without an answer changes nothing.
        path.came((UDP, peer(1)), Some(ours[1]), &[0x80]);
        path.came((UDP, peer(3)), Some(ours[1]), &check(true));
        assert_eq!([1, 2, 3].map(|port| path.local((UDP, peer(port)))), [Some(ours[0]), Some(ours[1]), None]);
        for port in 4..60 {
            path.came((UDP, peer(port)), None, &check(false));
            path.of(UDP, peer(port), &[1, 1]);
        }
        assert_eq!(path.known.len(), MOST_KNOWN);
    }

    #[test]
    fn checks_that_are_not_signed_nominate_nothing() {
        let mut path = Path::new("password".into(), false);
        assert_eq!(path.came((UDP, peer(1)), None, &check(false)), None);
        assert_eq!(path.came((UDP, peer(1)), None, &[22, 254, 253]), None);
        assert!(!path.settled);
        for port in 0..20 {
            path.came((UDP, peer(port)), None, &check(false));
        }
        assert!(path.checks.len() <= MOST);
        path.came((UDP, peer(1)), None, &check(true));
        assert!(!path.settled, "until it is answered");
    }
}
