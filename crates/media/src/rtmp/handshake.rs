//! The RTMP handshake: plain as in the specification, and with digests as Flash players and encoders do it. Bytes in,
//! bytes out.

use aws_lc_rs::hmac;
use bytes::{BufMut, BytesMut};

use crate::ended::Ended;

/// Length of the packets C1, S1, C2 and S2.
pub const PACKET: usize = 1536;
const DIGEST: usize = 32;
const VERSION: u8 = 3;

const PLAYER: &[u8] = b"Genuine Adobe Flash Player 001";
const SERVER: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// What follows either name in the full keys.
const CRUD: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57, 0x6e, 0xec, 0x5d,
    0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Where a packet keeps its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// Digest in the first half.
    First,
    /// Key in the first half, digest in the second.
    Second,
}

impl Scheme {
    fn digest_at(self, packet: &[u8; PACKET]) -> usize {
        let base = match self {
            Scheme::First => 8,
            Scheme::Second => 772,
        };
        let sum: usize = packet[base..base + 4].iter().map(|&b| usize::from(b)).sum();
        base + 4 + sum % 728
    }

    /// The digest that `packet` should have, made with `key`, and where it stands.
    fn digest(self, packet: &[u8; PACKET], key: &[u8]) -> (usize, hmac::Tag) {
        let at = self.digest_at(packet);
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        context.update(&packet[..at]);
        context.update(&packet[at + DIGEST..]);
        (at, context.sign())
    }

    fn find(packet: &[u8; PACKET], key: &[u8]) -> Option<(Scheme, [u8; DIGEST])> {
        [Scheme::Second, Scheme::First].into_iter().find_map(|scheme| {
            let (at, digest) = scheme.digest(packet, key);
            let found = &packet[at..at + DIGEST] == digest.as_ref();
            found.then(|| (scheme, packet[at..at + DIGEST].try_into().expect("the range has that length")))
        })
    }
}

/// The server's side.
#[derive(Default)]
pub struct Server {
    buffer: BytesMut,
    answered: bool,
}

impl Server {
    /// Takes bytes off `input`, writes answers to `out`. Returns true when the handshake is done; what is left of
    /// `input` then are chunks.
    pub fn handle(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<bool, Ended> {
        let want = if self.answered { PACKET } else { 1 + PACKET };
        let (taken, rest) = input.split_at(input.len().min(want - self.buffer.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
        if !self.answered && self.buffer.first().is_some_and(|&version| version != VERSION) {
            return Err(Ended::Protocol("not RTMP: the first byte is no version 3".into()));
        }
        if self.buffer.len() < want {
            return Ok(false);
        }
        if self.answered {
            // C2 echoes S1 or signs it, or should: many clients do neither well, and nothing hangs on it.
            self.buffer = BytesMut::new();
            return Ok(true);
        }
        let c1: [u8; PACKET] = self.buffer[1..].try_into().expect("the buffer holds C0 and C1");
        answer(&c1, out);
        self.buffer.clear();
        self.answered = true;
        if input.is_empty() { Ok(false) } else { self.handle(input, out) }
    }
}

fn answer(c1: &[u8; PACKET], out: &mut BytesMut) {
    out.put_u8(VERSION);
    let digest = if c1[4..8] == [0; 4] { None } else { Scheme::find(c1, PLAYER) };
    let Some((scheme, digest)) = digest else {
        out.put_slice(&packet(0));
        out.put_slice(c1);
        return;
    };
    let mut s1 = packet(0x0405_0001);
    let (at, tag) = scheme.digest(&s1, SERVER);
    s1[at..at + DIGEST].copy_from_slice(tag.as_ref());
    out.put_slice(&s1);
    let mut s2 = packet(0x0405_0001);
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[SERVER, &CRUD].concat()), &digest);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), &s2[..PACKET - DIGEST]);
    s2[PACKET - DIGEST..].copy_from_slice(tag.as_ref());
    out.put_slice(&s2);
}

/// Time 0, a version, noise.
fn packet(version: u32) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[4..8].copy_from_slice(&version.to_be_bytes());
    // Without randomness from the system the packet is merely predictable, and it protects nothing.
    let _ = getrandom::fill(&mut packet[8..]);
    packet
}

/// The client's side, without digests: every server takes that.
#[derive(Default)]
pub struct Client {
    buffer: BytesMut,
}

impl Client {
    /// C0 and C1.
    pub fn start(out: &mut BytesMut) -> Self {
        out.put_u8(VERSION);
        out.put_slice(&packet(0));
        Client::default()
    }

    /// As [`Server::handle`].
    pub fn handle(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<bool, Ended> {
        let want = 1 + 2 * PACKET;
        let (taken, rest) = input.split_at(input.len().min(want - self.buffer.len()));
        self.buffer.extend_from_slice(taken);
        *input = rest;
        if self.buffer.first().is_some_and(|&version| version != VERSION) {
            return Err(Ended::Protocol("not RTMP: the first byte is no version 3".into()));
        }
        if self.buffer.len() < want {
            return Ok(false);
        }
        out.put_slice(&self.buffer[1..1 + PACKET]);
        self.buffer = BytesMut::new();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(server: &mut Server, bytes: &[u8], step: usize) -> (Vec<u8>, Result<bool, Ended>) {
        let mut out = BytesMut::new();
        let mut done = Ok(false);
        for part in bytes.chunks(step) {
            done = server.handle(&mut &part[..], &mut out);
        }
        (out.to_vec(), done)
    }

    fn array(bytes: &[u8]) -> &[u8; PACKET] {
        bytes.try_into().unwrap()
    }

    /// C1 as a player makes it.
    fn signed(scheme: Scheme) -> [u8; PACKET] {
        let mut c1 = packet(0x8000_0702);
        let (at, tag) = scheme.digest(&c1, PLAYER);
        c1[at..at + DIGEST].copy_from_slice(tag.as_ref());
        c1
    }

    #[test]
    fn plain_handshake_echoes_at_any_split() {
        for step in [1, 7, 1536, 1537, 4000] {
            let c1 = packet(0);
            let mut input = vec![3];
            input.extend(c1);
            let mut server = Server::default();
            let (out, done) = run(&mut server, &input, step);
            assert_eq!((out.len(), done), (1 + 2 * PACKET, Ok(false)));
            assert_eq!(out[1 + PACKET..], c1);
            let (rest, done) = run(&mut server, &[0; PACKET], step);
            assert_eq!((rest.len(), done), (0, Ok(true)));
        }
    }

    #[test]
    fn both_digest_schemes_are_answered_with_digests() {
        for scheme in [Scheme::First, Scheme::Second] {
            let c1 = signed(scheme);
            let mut input = vec![3];
            input.extend(c1);
            let (out, _) = run(&mut Server::default(), &input, 999);
            let s1 = array(&out[1..=PACKET]);
            let s2 = array(&out[1 + PACKET..]);
            // S1 is signed by the scheme that the client used.
            let (at, tag) = scheme.digest(s1, SERVER);
            assert_eq!(&s1[at..at + DIGEST], tag.as_ref());
            // S2 is signed with the client's digest, under the server's full key.
            let at = scheme.digest_at(&c1);
            let full = [SERVER, &CRUD].concat();
            let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &full), &c1[at..at + DIGEST]);
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
            hmac::verify(&key, &s2[..PACKET - DIGEST], &s2[PACKET - DIGEST..]).unwrap();
        }
    }

    #[test]
    fn a_wrong_digest_falls_back_to_the_echo() {
        let mut c1 = signed(Scheme::First);
        c1[1500] ^= 1;
        let mut input = vec![3];
        input.extend(c1);
        let (out, _) = run(&mut Server::default(), &input, 5000);
        assert_eq!(out[1 + PACKET..], c1);
    }

    #[test]
    fn chunks_behind_the_handshake_are_left_alone() {
        let mut input = vec![3];
        input.extend(packet(0));
        input.extend([0; PACKET]);
        input.extend(*b"chunks");
        let mut rest = &input[..];
        let mut out = BytesMut::new();
        assert_eq!(Server::default().handle(&mut rest, &mut out), Ok(true));
        assert_eq!(rest, b"chunks");
    }

    #[test]
    fn other_protocols_are_turned_away_at_the_first_byte() {
        for start in [&b"GET / HTTP/1.1"[..], b"\x16\x03\x01", b"\x06"] {
            assert!(matches!(run(&mut Server::default(), start, 99).1, Err(Ended::Protocol(_))));
        }
    }

    #[test]
    fn client_and_server_agree() {
        let mut to_server = BytesMut::new();
        let mut to_client = BytesMut::new();
        let mut client = Client::start(&mut to_server);
        let mut server = Server::default();
        assert_eq!(server.handle(&mut &to_server.split()[..], &mut to_client), Ok(false));
        assert_eq!(client.handle(&mut &to_client.split()[..], &mut to_server), Ok(true));
        assert_eq!(server.handle(&mut &to_server.split()[..], &mut to_client), Ok(true));
    }
}
