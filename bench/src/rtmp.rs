//! An RTMP player as small as can be: handshake, connect, createStream, play, then bytes counted and thrown
//! away. Knows enough of chunks to be told whether it may play, and nothing of media.

use crate::Failure;
use memchr::memmem;
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HANDSHAKE: usize = 1536;
/// The chunk size that we send with; every message of ours fits into one chunk.
const OUR_CHUNK: u32 = 16 << 10;
const MAX_MESSAGE: usize = 1 << 20;
const SET_CHUNK_SIZE: u8 = 1;
const ACKNOWLEDGEMENT: u8 = 3;
const WINDOW_SIZE: u8 = 5;
const COMMAND: u8 = 20;

/// A play URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port as written.
    pub host: String,
    /// The first segment of the path.
    pub app: String,
    /// The rest, with its query.
    pub stream: String,
}

impl Address {
    /// Reads `rtmp://host[:port]/app/stream[?query]`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let rest = url.strip_prefix("rtmp://").ok_or_else(|| format!("not an RTMP URL: {url}"))?;
        let mut parts = rest.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(host), Some(app), Some(stream)) if !stream.is_empty() => {
                let port = if host.contains(':') { "" } else { ":1935" };
                Ok(Address { host: format!("{host}{port}"), app: app.to_owned(), stream: stream.to_owned() })
            }
            _ => Err(format!("an RTMP URL without app and stream: {url}").into()),
        }
    }
}

/// A player whose stream has begun.
pub struct Player {
    stream: TcpStream,
    window: u64,
    received: u64,
    acknowledged: u64,
}

impl Player {
    /// Connects and plays; returns once the server has said that the stream plays.
    pub async fn play(address: &Address) -> Result<Self, Failure> {
        let peer: SocketAddr = tokio::net::lookup_host(&address.host).await?.next().ok_or("unknown host")?;
        let mut stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        handshake(&mut stream).await?;

        let mut chunks = Chunks::new(stream);
        let tc_url = format!("rtmp://{}/{}", address.host, address.app);
        chunks.stream.write_all(&message(2, SET_CHUNK_SIZE, 0, &OUR_CHUNK.to_be_bytes())).await?;
        chunks.stream.write_all(&message(3, COMMAND, 0, &connect(&address.app, &tc_url))).await?;
        chunks.result_of(1.0).await?;
        chunks.stream.write_all(&message(3, COMMAND, 0, &create_stream())).await?;
        let reply = chunks.result_of(2.0).await?;
        let id = stream_id(&reply).ok_or("createStream was answered without a stream")?;
        chunks.stream.write_all(&message(8, COMMAND, id, &play(&address.stream))).await?;
        loop {
            let (kind, payload) = chunks.next().await?;
            let says = |text: &[u8]| memmem::find(&payload, text).is_some();
            if kind == COMMAND && says(b"onStatus") {
                if says(b"NetStream.Play.Start") {
                    break;
                }
                if says(b"error") {
                    return Err(format!("refused: {}", printable(&payload)).into());
                }
            }
        }
        Ok(Player { stream: chunks.stream, window: chunks.window, received: chunks.received, acknowledged: 0 })
    }

    /// The bare socket, non-blocking, for a reader of another kind. Acknowledgements end here: no server waits for them.
    pub fn into_socket(self) -> Result<std::net::TcpStream, Failure> {
        Ok(self.stream.into_std()?)
    }

    /// Waits for more bytes, throws them away and gives their number; 0 when the server has ended the stream.
    pub async fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let n = self.stream.read(buffer).await?;
        self.received += n as u64;
        if self.window > 0 && self.received - self.acknowledged >= self.window {
            self.acknowledged = self.received;
            // The sequence number wraps by design.
            let sequence = (self.received & u64::from(u32::MAX)) as u32;
            self.stream.write_all(&message(2, ACKNOWLEDGEMENT, 0, &sequence.to_be_bytes())).await?;
        }
        Ok(n)
    }
}

async fn handshake(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut hello = vec![0; 1 + HANDSHAKE];
    if let Some(version) = hello.first_mut() {
        *version = 3;
    }
    stream.write_all(&hello).await?;
    let mut answer = vec![0; 1 + HANDSHAKE + HANDSHAKE];
    stream.read_exact(&mut answer).await?;
    // The simple handshake: C2 is S1 again.
    stream.write_all(answer.get(1..=HANDSHAKE).unwrap_or_default()).await?;
    Ok(())
}

/// One message as one chunk with a full header.
fn message(chunk_stream: u8, kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![chunk_stream, 0, 0, 0];
    bytes.extend_from_slice(length.get(1..).unwrap_or_default());
    bytes.push(kind);
    bytes.extend_from_slice(&stream.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn connect(app: &str, tc_url: &str) -> Vec<u8> {
    let mut amf = Amf::default().text("connect").number(1.0);
    amf.0.push(3);
    for (name, value) in [("app", app), ("flashVer", "LNX 9,0,124,2"), ("tcUrl", tc_url)] {
        amf = amf.key(name).text(value);
    }
    amf.0.extend_from_slice(&[0, 0, 9]);
    amf.0
}

fn create_stream() -> Vec<u8> {
    Amf::default().text("createStream").number(2.0).null().0
}

fn play(stream: &str) -> Vec<u8> {
    // -2: live if there is such a stream, else a recording.
    Amf::default().text("play").number(3.0).null().text(stream).number(-2.0).0
}

/// AMF0, written.
#[derive(Default)]
struct Amf(Vec<u8>);

impl Amf {
    fn key(mut self, text: &str) -> Self {
        self.0.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.push(2);
        self.key(text)
    }

    fn number(mut self, number: f64) -> Self {
        self.0.push(0);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn null(mut self) -> Self {
        self.0.push(5);
        self
    }
}

/// The number in an AMF0 value, if it is one, and what follows it.
fn number(bytes: &[u8]) -> Option<(f64, &[u8])> {
    let (&[0, a, b, c, d, e, f, g, h], rest) = bytes.split_first_chunk::<9>()? else { return None };
    Some((f64::from_be_bytes([a, b, c, d, e, f, g, h]), rest))
}

/// Name and transaction of a command, and its arguments.
fn command(payload: &[u8]) -> Option<(&[u8], f64, &[u8])> {
    let (&[2, high, low], rest) = payload.split_first_chunk::<3>()? else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    let (transaction, arguments) = number(rest)?;
    Some((name, transaction, arguments))
}

/// The stream that a `_result` of createStream gives: after a null, a number.
fn stream_id(payload: &[u8]) -> Option<u32> {
    let (_, _, arguments) = command(payload)?;
    let (id, _) = number(arguments.strip_prefix(&[5])?)?;
    (id >= 0.0 && id <= f64::from(u32::MAX)).then_some(id as u32)
}

fn printable(payload: &[u8]) -> String {
    payload.iter().map(|&b| if (b' '..=b'~').contains(&b) { char::from(b) } else { ' ' }).collect()
}

/// The messages in a stream of chunks.
struct Chunks {
    stream: TcpStream,
    size: usize,
    window: u64,
    received: u64,
    open: HashMap<u8, Partial>,
}

#[derive(Default)]
struct Partial {
    length: usize,
    kind: u8,
    extended: bool,
    payload: Vec<u8>,
}

impl Chunks {
    fn new(stream: TcpStream) -> Self {
        Chunks { stream, size: 128, window: 0, received: 0, open: HashMap::new() }
    }

    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await?;
        self.received += N as u64;
        Ok(bytes)
    }

    /// The `_result` of a transaction; `_error` is a [`Failure`].
    async fn result_of(&mut self, transaction: f64) -> Result<Vec<u8>, Failure> {
        loop {
            let (kind, payload) = self.next().await?;
            match command(&payload) {
                Some((b"_result", t, _)) if kind == COMMAND && t == transaction => return Ok(payload),
                Some((b"_error", t, _)) if kind == COMMAND && t == transaction => {
                    return Err(format!("refused: {}", printable(&payload)).into());
                }
                _ => {}
            }
        }
    }

    /// The next whole message; chunk sizes and windows are heeded on the way.
    async fn next(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        loop {
            let [first] = self.take().await?;
            let id = first & 0x3f;
            if id < 2 {
                return Err("a chunk stream that small servers do not use".into());
            }
            let mut partial = self.open.remove(&id).unwrap_or_default();
            match first >> 6 {
                3 => {}
                2 => partial.extended = self.take::<3>().await? == [0xff; 3],
                format => {
                    let [t0, t1, t2, high, middle, low, kind] = self.take().await?;
                    partial.extended = [t0, t1, t2] == [0xff; 3];
                    partial.length = u32::from_be_bytes([0, high, middle, low]) as usize;
                    partial.kind = kind;
                    if format == 0 {
                        self.take::<4>().await?;
                    }
                }
            }
            if partial.extended {
                self.take::<4>().await?;
            }
            if partial.length > MAX_MESSAGE {
                return Err("a message over 1 MiB".into());
            }
            let start = partial.payload.len();
            let part = partial.length.saturating_sub(start).min(self.size);
            partial.payload.resize(start + part, 0);
            self.stream.read_exact(partial.payload.get_mut(start..).unwrap_or_default()).await?;
            self.received += part as u64;
            let payload = (partial.payload.len() == partial.length).then(|| std::mem::take(&mut partial.payload));
            let kind = partial.kind;
            self.open.insert(id, partial);
            let Some(payload) = payload else { continue };
            let value = payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
            match (kind, value) {
                (SET_CHUNK_SIZE, Some(size)) => self.size = (size & 0x7fff_ffff).max(1) as usize,
                (WINDOW_SIZE, Some(window)) => self.window = u64::from(window),
                _ => return Ok((kind, payload)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
