//! A WebSocket client as small as can be (RFC 6455): text out, whole frames in, pings answered.
//! Knows nothing of what the frames say.

use crate::Failure;
use memchr::memmem;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MAX_FRAME: usize = 1 << 20;

/// The sending side; clones share the connection.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<OwnedWriteHalf>>);

impl Sender {
    /// Sends one text frame.
    pub async fn text(&self, text: &str) -> Result<(), Failure> {
        self.frame(TEXT, text.as_bytes()).await
    }

    async fn frame(&self, kind: u8, payload: &[u8]) -> Result<(), Failure> {
        Ok(self.0.lock().await.write_all(&frame(kind, payload)).await?)
    }
}

/// The receiving side.
pub struct Receiver {
    stream: OwnedReadHalf,
    sender: Sender,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that belong to the frame given last.
    used: usize,
}

/// Opens a connection with `target` as path and query.
pub async fn connect(address: SocketAddr, target: &str) -> Result<(Sender, Receiver), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // The key may be any 16 bytes in base64; nothing between us and the server could mix replies up.
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = memmem::find(&buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if buffer.len() > 64 << 10 || stream.read_buf(&mut buffer).await? == 0 {
            return Err("no reply to the WebSocket request".into());
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 101") {
        return Err(format!("refused: {}", String::from_utf8_lossy(&buffer).trim()).into());
    }
    let (reading, writing) = stream.into_split();
    let sender = Sender(Arc::new(Mutex::new(writing)));
    Ok((sender.clone(), Receiver { stream: reading, sender, buffer, used: end }))
}

impl Receiver {
    /// The payload of the next text or binary frame; none after the server has closed. Parts of a fragmented
    /// message are given as they come.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            self.buffer.drain(..self.used);
            self.used = 0;
            let (kind, start, end) = loop {
                if let Some(found) = parse(&self.buffer)? {
                    break found;
                }
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Ok(None);
                }
            };
            self.used = end;
            let payload = self.buffer.get(start..end).unwrap_or_default();
            match kind {
                PING => self.sender.frame(PONG, payload).await?,
                CLOSE => return Ok(None),
                PONG => {}
                // Lent again, because the borrow checker does not see that the loop ends here.
                _ => return Ok(Some(self.buffer.get(start..end).unwrap_or_default())),
            }
        }
    }
}

/// Kind, start and end of the payload of the frame at the front, if it is there whole.
fn parse(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Failure> {
    let Some(&[first, second]) = bytes.first_chunk::<2>() else { return Ok(None) };
    let (length, start) = match second {
        126 => match bytes.first_chunk::<4>() {
            Some(&[_, _, a, b]) => (usize::from(u16::from_be_bytes([a, b])), 4),
            None => return Ok(None),
        },
        127 => match bytes.first_chunk::<10>() {
            Some(&[_, _, 0, 0, 0, 0, a, b, c, d]) => (u32::from_be_bytes([a, b, c, d]) as usize, 10),
            Some(_) => return Err("a frame over 4 GB".into()),
            None => return Ok(None),
        },
        short if short < 126 => (usize::from(short), 2),
        _ => return Err("a masked frame from a server".into()),
    };
    if length > MAX_FRAME {
        return Err("a frame over 1 MiB".into());
    }
    let end = start + length;
    Ok((bytes.len() >= end).then_some((first & 0x0f, start, end)))
}

/// A whole frame as clients send it: masked, with a mask of zeroes, which leaves the payload as it is.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | kind];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
        (_, Ok(middle)) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn frames_of_all_lengths_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut bytes = frame(TEXT, &payload);
            // As a server would send it: without mask.
            bytes[1] &= 0x7f;
            let head = bytes.len() - length - 4;
            bytes.drain(head..head + 4);
            assert_eq!(parse(&bytes).unwrap(), Some((TEXT, head, head + length)), "{length}");
            assert_eq!(parse(&bytes[..bytes.len() - 1]).unwrap(), None, "{length}");
        }
        assert!(parse(&[0x81, 0x80]).is_err());
        assert!(parse(&[0x81, 127, 0, 0, 0, 0, 0xff, 0, 0, 0]).is_err());
        assert!(parse(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[tokio::test]
    async fn a_conversation_with_axum() {
        use axum::extract::ws::{Message, WebSocketUpgrade};
        let router = axum::Router::new().route(
            "/ws",
            axum::routing::get(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|mut socket| async move {
                    socket.send(Message::Ping("are you there".into())).await.unwrap();
                    let mut pongs = 0;
                    while let Some(Ok(message)) = socket.recv().await {
                        match message {
                            Message::Text(text) => {
                                let text = format!("{text} after {pongs} pong");
                                socket.send(Message::Text(text.into())).await.unwrap();
                                socket.send(Message::Text("and more".into())).await.unwrap();
                                socket.send(Message::Close(None)).await.unwrap();
                            }
                            Message::Pong(_) => pongs += 1,
                            _ => {}
                        }
                    }
                })
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let (sender, mut receiver) = connect(address, "/ws?userID=u").await.unwrap();
        let hello = tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Some(frame) = receiver.next().await.unwrap() {
                heard.push(String::from_utf8(frame.to_vec()).unwrap());
            }
            heard
        });
        sender.text("hello").await.unwrap();
        let heard = hello.await.unwrap();
        assert!(heard[0].starts_with("hello after"), "{heard:?}");
        assert_eq!(heard[1..], ["and more"]);
        assert!(connect(address, "/elsewhere").await.is_err());
    }
}
