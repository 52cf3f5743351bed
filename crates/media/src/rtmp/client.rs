//! The other side of RTMP: publishes to or plays from a server. For relays between nodes, for load generators and tests.
//! Owns its socket; every wait is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::amf0::{self, Value};
use super::chunk::{self, Header, Message, Reader};
use super::handshake;
use super::message::{self, CHUNK};
use super::mux;
pub use super::target::Target;
use crate::ended::Ended;
use crate::flv::body;
use crate::frame::{Frame, Kind};

/// Longest wait for the server while setting up.
const SETUP: Duration = Duration::from_secs(15);
/// Longest wait for media before the server is asked whether it is there, for its answer, and for it to take some.
const MEDIA: Duration = Duration::from_secs(15);

struct Client {
    socket: TcpStream,
    reader: Reader,
    buffer: BytesMut,
    out: BytesMut,
    stream: u32,
    window: u32,
    received: u32,
    acknowledged: u32,
}

impl Client {
    /// Connects up to the point where `publish` or `play` comes.
    async fn connect(target: &Target, publish: bool) -> Result<Client, Ended> {
        let socket = TcpStream::connect(&target.address).await?;
        socket.set_nodelay(true)?;
        let mut client = Client {
            socket,
            reader: Reader::default(),
            buffer: BytesMut::new(),
            out: BytesMut::new(),
            stream: 0,
            window: u32::MAX,
            received: 0,
            acknowledged: 0,
        };
        let mut handshake = handshake::Client::start(&mut client.out);
        loop {
            client.flush().await?;
            client.fill().await?;
            let mut input = &client.buffer[..];
            let done = handshake.handle(&mut input, &mut client.out)?;
            let left = input.len();
            let _ = client.buffer.split_to(client.buffer.len() - left);
            if done {
                break;
            }
        }
        message::number(&mut client.out, message::SET_CHUNK_SIZE, CHUNK as u32);
        let name = target.stream.split('?').next().unwrap_or("");
        let app = [
            ("app", Value::from(target.app.as_str())),
            ("type", "nonprivate".into()),
            ("flashVer", "FMLE/3.0 (compatible; RoomService)".into()),
            // Streams are passed on as they are.
            ("fourCcList", Value::Array(vec!["*".into()])),
            ("tcUrl", format!("rtmp://{}/{}", target.address, target.app).as_str().into()),
        ];
        client.call(0, &["connect".into(), 1.0.into(), app.into()]);
        client.answer(1.0).await?;
        if publish {
            client.call(0, &["releaseStream".into(), 2.0.into(), Value::Null, name.into()]);
            client.call(0, &["FCPublish".into(), 3.0.into(), Value::Null, name.into()]);
        }
        client.call(0, &["createStream".into(), 4.0.into(), Value::Null]);
        let id = client.answer(4.0).await?.get(3).and_then(Value::as_f64).unwrap_or(1.0);
        client.stream = id as u32;
        let stream = target.stream.as_str().into();
        let last = if publish { Value::from("live") } else { (-2000.0).into() };
        let name = if publish { "publish" } else { "play" };
        client.call(client.stream, &[name.into(), 5.0.into(), Value::Null, stream, last]);
        client.started(if publish { "NetStream.Publish.Start" } else { "NetStream.Play.Start" }).await?;
        Ok(client)
    }

    fn call(&mut self, stream: u32, values: &[Value]) {
        message::command(&mut self.out, stream, CHUNK, values);
    }

    /// Waits for the `_result` of a call.
    async fn answer(&mut self, transaction: f64) -> Result<Vec<Value>, Ended> {
        loop {
            let values = self.next_command().await?;
            match values.first().and_then(Value::as_str) {
                Some("_result") if values.get(1).and_then(Value::as_f64) == Some(transaction) => {
                    return Ok(values);
                }
                Some("_error") => {
                    return Err(Ended::Refused("the server answered with an error".into()));
                }
                _ => {}
            }
        }
    }

    /// Waits for `onStatus` with this code.
    async fn started(&mut self, code: &str) -> Result<(), Ended> {
        loop {
            let values = self.next_command().await?;
            let Some((level, found)) = status(&values) else {
                continue;
            };
            match found {
                _ if found == code => return Ok(()),
                "NetStream.Publish.BadName" => return Err(Ended::Busy),
                "NetStream.Play.StreamNotFound" => return Err(Ended::NotFound),
                _ if level == "error" => return Err(Ended::Refused(found.into())),
                _ => {}
            }
        }
    }

    async fn next_command(&mut self) -> Result<Vec<Value>, Ended> {
        loop {
            let message = self.next_message().await?;
            if message.kind == message::COMMAND {
                return amf0::read_all(&message.payload);
            }
        }
    }

    /// The next message that is not the protocol's own business.
    async fn next_message(&mut self) -> Result<Message, Ended> {
        loop {
            if let Some(message) = self.buffered_message()? {
                return Ok(message);
            }
            self.flush().await?;
            self.fill().await?;
        }
    }

    fn buffered_message(&mut self) -> Result<Option<Message>, Ended> {
        loop {
            let mut input = &self.buffer[..];
            let message = self.reader.read(&mut input)?;
            let taken = self.buffer.len() - input.len();
            let _ = self.buffer.split_to(taken);
            self.received = self.received.wrapping_add(taken as u32);
            if self.received.wrapping_sub(self.acknowledged) >= self.window {
                self.acknowledged = self.received;
                message::number(&mut self.out, message::ACKNOWLEDGEMENT, self.received);
            }
            let Some(message) = message else {
                return Ok(None);
            };
            let number =
                |at: usize| message.payload.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            match message.kind {
                message::SET_CHUNK_SIZE => self.reader.set_chunk_size(number(0).unwrap_or(0))?,
                message::ABORT => self.reader.abort(number(0).unwrap_or(0)),
                message::WINDOW_SIZE => self.window = number(0).unwrap_or(u32::MAX).max(64 << 10),
                message::USER_CONTROL if message.payload.starts_with(&message::PING.to_be_bytes()) => {
                    message::user_control(&mut self.out, message::PONG, number(2).unwrap_or(0));
                }
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads what comes. A server that has nothing to send is asked whether it is there: a picture may stand still.
    async fn fill(&mut self) -> Result<(), Ended> {
        self.buffer.reserve(16 << 10);
        let mut read = tokio::time::timeout(MEDIA, self.socket.read_buf(&mut self.buffer)).await;
        if read.is_err() {
            message::user_control(&mut self.out, message::PING, self.received);
            self.flush().await?;
            read = tokio::time::timeout(MEDIA, self.socket.read_buf(&mut self.buffer)).await;
        }
        match read {
            Err(_) => Err(Ended::Timeout("the server")),
            Ok(Ok(0)) => Err(Ended::Closed),
            Ok(read) => Ok(read.map(|_| ())?),
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        // In a way that can be given up in the middle and taken up again.
        while !self.out.is_empty() {
            let written = tokio::time::timeout(MEDIA, self.socket.write_buf(&mut self.out)).await;
            if written.map_err(|_| Ended::Timeout("the server to read"))?? == 0 {
                return Err(Ended::Closed);
            }
        }
        Ok(())
    }
}

/// Level and code of an `onStatus`.
fn status(values: &[Value]) -> Option<(&str, &str)> {
    let is_status = values.first().and_then(Value::as_str) == Some("onStatus");
    let info = values.get(3).filter(|_| is_status)?;
    let text = |name| info.get(name).and_then(Value::as_str).unwrap_or("");
    Some((text("level"), text("code")))
}

async fn bounded(target: &Target, publish: bool) -> Result<Client, Ended> {
    match tokio::time::timeout(SETUP, Client::connect(target, publish)).await {
        Ok(client) => client,
        Err(_) => Err(Ended::Timeout("the server")),
    }
}

/// A stream played from a server.
pub struct Player {
    client: Client,
    /// What the last message held beside the frame that it gave.
    more: VecDeque<Frame>,
    /// What a node said that was not taken yet.
    pictures: Option<bool>,
}

impl Player {
    /// Connects and asks to play. Errors: [`Ended::NotFound`], [`Ended::Refused`], and what sockets do.
    pub async fn connect(target: &Target) -> Result<Player, Ended> {
        Ok(Player { client: bounded(target, false).await?, more: VecDeque::new(), pictures: None })
    }

    /// Asks a server of this kind for a keyframe, which it asks the publisher for. Others do not mind.
    pub async fn request_key(&mut self) -> Result<(), Ended> {
        let stream = self.client.stream;
        self.client.call(stream, &[message::REQUEST_KEY.into(), 0.0.into(), Value::Null]);
        self.client.flush().await
    }

    /// The next frame, configurations and descriptions included; `None` when the stream has ended. Timestamps are the
    /// server's, 32 bits of milliseconds wide. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Frame>, Ended> {
        loop {
            if let Some(frame) = self.more.pop_front() {
                return Ok(Some(frame));
            }
            let message = self.client.next_message().await?;
            let dts = i64::from(message.timestamp) * 1000;
            let frame = match message.kind {
                message::VIDEO => body::video(dts, message.payload),
                message::AUDIO => {
                    self.more.extend(body::other_sounds(dts, &message.payload).into_iter().flatten());
                    body::audio(dts, message.payload)
                }
                message::DATA => return Ok(Some(Frame::data(dts, message.payload))),
                message::COMMAND => {
                    let values = amf0::read_all(&message.payload)?;
                    if let Some((_, "NetStream.Play.UnpublishNotify" | "NetStream.Play.Stop")) = status(&values) {
                        return Ok(None);
                    }
                    if values.first().and_then(Value::as_str) == Some(message::SAYS_PICTURES)
                        && let Some(Value::Bool(has)) = values.get(3)
                    {
                        self.pictures = Some(*has);
                    }
                    continue;
                }
                message::USER_CONTROL if message.payload.starts_with(&message::STREAM_EOF.to_be_bytes()) => {
                    return Ok(None);
                }
                _ => continue,
            };
            if let Ok(frame) = frame {
                return Ok(Some(frame));
            }
        }
    }

    /// What another node said since this was last asked, before the frame that came last: whether the publisher has pictures,
    /// perhaps later on.
    pub fn says_pictures(&mut self) -> Option<bool> {
        self.pictures.take()
    }

    /// The bare socket, for load generators that only count bytes: what was read and not handed out yet is lost.
    pub fn into_socket(self) -> TcpStream {
        self.client.socket
    }
}

/// A stream published to a server.
pub struct Publisher {
    client: Client,
}

impl Publisher {
    /// Connects and asks to publish. Errors: [`Ended::Busy`], [`Ended::Refused`], and what sockets do.
    pub async fn connect(target: &Target) -> Result<Publisher, Ended> {
        Ok(Publisher { client: bounded(target, true).await? })
    }

    /// Sends a frame (configurations first, before frames that need them). Waits for the server to take it.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), Ended> {
        let client = &mut self.client;
        match frame.kind {
            Kind::Data => {
                let mut name = BytesMut::new();
                if frame.is_metadata() {
                    Value::from("@setDataFrame").write(&mut name);
                }
                let header = Header { kind: message::DATA, stream: client.stream, timestamp: frame.dts_ms() };
                chunk::write(&mut client.out, 5, header, &name, &frame.payload, CHUNK);
            }
            _ => mux::write_to(&mut client.out, frame, frame.dts_ms(), client.stream),
        }
        client.flush().await?;
        self.listen()
    }

    /// Sends bytes as they are, for tests and load generators.
    pub async fn send_raw(&mut self, chunks: Bytes) -> Result<(), Ended> {
        self.client.out.put_slice(&chunks);
        self.client.flush().await?;
        self.listen()
    }

    /// Reads what the server said meanwhile, so that neither side waits for the other. Errors when it ended the stream.
    fn listen(&mut self) -> Result<(), Ended> {
        let client = &mut self.client;
        loop {
            client.buffer.reserve(4096);
            match client.socket.try_read_buf(&mut client.buffer) {
                Ok(0) => return Err(Ended::Closed),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            }
            while let Some(message) = client.buffered_message()? {
                if message.kind == message::COMMAND
                    && let Some(("error", code)) = status(&amf0::read_all(&message.payload)?)
                {
                    return Err(Ended::Refused(code.into()));
                }
            }
        }
    }

    /// Ends the stream on purpose.
    pub async fn finish(mut self) -> Result<(), Ended> {
        let stream = f64::from(self.client.stream);
        self.client.call(0, &["deleteStream".into(), 6.0.into(), Value::Null, stream.into()]);
        self.client.flush().await?;
        Ok(self.client.socket.shutdown().await?)
    }
}
