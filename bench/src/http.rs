//! HTTP as a load generator speaks it: request bytes made beforehand, blocking sockets in a ring, replies
//! told apart by Content-Length. Knows no call of the protocol, only its `"code":0`.
//!
//! The ring costs two system calls a request and no poller: while it waits for one socket, all others have
//! a request under way, so a slower server always has work and the generator stays the cheaper side.

use crate::Failure;
use memchr::memmem;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A reply longer than this is not one of this protocol's.
const MAX_REPLY: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// One keep-alive connection with at most one request under way.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back: borrowed from the connection until its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status of the first line.
    pub status: u16,
    head: &'a [u8],
    /// The body, whole.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// Whether the call did what it was asked: status 200 and code 0.
    pub fn is_ok(&self) -> bool {
        self.status == 200 && memmem::find(self.body, b"\"code\":0").is_some()
    }

    /// What stands behind a name in the head, which is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(std::str::from_utf8(self.head).ok()?, name)
    }

    /// The body as JSON; anything but success is a [`Failure`] that holds the answer.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        if !self.is_ok() {
            let text = String::from_utf8_lossy(self.body);
            return Err(format!("refused with status {}: {}", self.status, text.trim()).into());
        }
        Ok(serde_json::from_slice(self.body)?)
    }
}

impl Connection {
    /// Opens a connection to a server on this machine.
    pub fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, buffer: vec![0; 32 << 10] })
    }

    /// Sends a whole request.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(request)?)
    }

    /// Waits for the whole reply to the request under way.
    pub fn receive(&mut self) -> Result<Reply<'_>, Failure> {
        let mut filled = 0;
        let head = loop {
            filled += self.read_more(filled)?;
            let known = self.buffer.get(..filled).unwrap_or_default();
            if let Some(end) = memmem::find(known, b"\r\n\r\n") {
                break parse_head(known, end)?;
            }
        };
        let whole = head.body_at.checked_add(head.length).filter(|&n| n <= MAX_REPLY).ok_or("reply too long")?;
        if self.buffer.len() < whole {
            self.buffer.resize(whole, 0);
        }
        while filled < whole {
            filled += self.read_more(filled)?;
        }
        if filled > whole {
            return Err("more came back than one reply".into());
        }
        let known = self.buffer.get(..whole).unwrap_or_default();
        let parts = known.split_at_checked(head.body_at).ok_or("a reply without an end of its head")?;
        Ok(Reply { status: head.status, head: parts.0, body: parts.1 })
    }

    fn read_more(&mut self, filled: usize) -> Result<usize, Failure> {
        let free = self.buffer.get_mut(filled..).filter(|free| !free.is_empty()).ok_or("reply head too long")?;
        match self.stream.read(free)? {
            0 => Err("the server closed the connection".into()),
            n => Ok(n),
        }
    }
}

struct Head {
    status: u16,
    length: usize,
    body_at: usize,
}

fn parse_head(reply: &[u8], end: usize) -> Result<Head, Failure> {
    let head = std::str::from_utf8(reply.get(..end).unwrap_or_default())?;
    let first = head.split("\r\n").next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("not an HTTP reply")?;
    let length = match status {
        // Has no body, and need not say so.
        204 => 0,
        _ => header(head, "content-length")
            .and_then(|value| value.parse().ok())
            .ok_or("a reply without Content-Length")?,
    };
    Ok(Head { status, length, body_at: end + 4 })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
    Some(found.1.trim())
}

/// The bytes of a POST with a JSON body.
pub fn post(host: SocketAddr, target: &str, body: &str) -> Vec<u8> {
    post_as("application/json", host, target, body)
}

/// The bytes of a POST with a body of this type.
pub fn post_as(kind: &str, host: SocketAddr, target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The bytes of a DELETE.
pub fn delete(host: SocketAddr, target: &str) -> Vec<u8> {
    format!("DELETE {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// The bytes of a GET.
pub fn get(host: SocketAddr, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// A repeatable load: each lane is a connection that goes round its own requests.
pub struct Load {
    lanes: Vec<Lane>,
}

struct Lane {
    connection: Connection,
    requests: Vec<Vec<u8>>,
    next: usize,
}

/// What one slice of load came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Requests that were answered.
    pub answered: u64,
    /// Those of them that were not answered with status 200 and code 0.
    pub refused: u64,
}

impl Load {
    /// Deals `requests` out to `connections` lanes. `group` requests in a row stay on one lane, in order:
    /// an add and the delete that follows it.
    pub fn new(address: SocketAddr, connections: usize, requests: Vec<Vec<u8>>, group: usize) -> Result<Self, Failure> {
        let groups = requests.len() / group.max(1);
        let count = connections.min(groups).max(1);
        let mut dealt: Vec<Vec<Vec<u8>>> = (0..count).map(|_| Vec::new()).collect();
        for (n, request) in requests.into_iter().enumerate() {
            if let Some(lane) = dealt.get_mut((n / group.max(1)) % count) {
                lane.push(request);
            }
        }
        let lanes = dealt
            .into_iter()
            .map(|requests| Ok(Lane { connection: Connection::open(address)?, requests, next: 0 }))
            .collect::<Result<_, Failure>>()?;
        Ok(Load { lanes })
    }

    /// Keeps every lane busy for `time`, then waits for what is under way. Going on later continues
    /// where each lane stopped. The first refusal of a slice is written to stderr.
    pub fn run(&mut self, time: Duration) -> Result<Slice, Failure> {
        let end = Instant::now() + time;
        let mut slice = Slice::default();
        for lane in &mut self.lanes {
            lane.send_next()?;
        }
        loop {
            let more = Instant::now() < end;
            for lane in &mut self.lanes {
                let reply = lane.connection.receive()?;
                slice.answered += 1;
                if !reply.is_ok() {
                    if slice.refused == 0 {
                        eprintln!("refused ({}): {}", reply.status, String::from_utf8_lossy(reply.body).trim());
                    }
                    slice.refused += 1;
                }
                if more {
                    lane.send_next()?;
                }
            }
            if !more {
                return Ok(slice);
            }
        }
    }
}

impl Lane {
    fn send_next(&mut self) -> Result<(), Failure> {
        let request = self.requests.get(self.next).ok_or("a lane without requests")?;
        self.next = (self.next + 1) % self.requests.len();
        self.connection.send(request)
    }
}

/// Sends every request once over `connections` sockets and hands each reply to `take`, in order.
pub fn fetch_all(
    address: SocketAddr,
    connections: usize,
    requests: impl IntoIterator<Item = Vec<u8>>,
    mut take: impl FnMut(Reply<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut ring = (0..connections.max(1)).map(|_| Connection::open(address)).collect::<Result<Vec<_>, _>>()?;
    let mut requests = requests.into_iter();
    let mut busy = 0;
    for connection in &mut ring {
        let Some(request) = requests.next() else { break };
        connection.send(&request)?;
        busy += 1;
    }
    ring.truncate(busy);
    let mut at = 0;
    while busy > 0 {
        // Once the requests run out, the lanes fall idle in the order in which they stand.
        let connection = ring.get_mut(at).ok_or("the ring is empty")?;
        take(connection.receive()?)?;
        match requests.next() {
            Some(request) => connection.send(&request)?,
            None => busy -= 1,
        }
        at = (at + 1) % ring.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
