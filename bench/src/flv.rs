//! An HTTP-FLV player: asks for the stream, then counts bytes and throws them away, or looks for the first frame.
//! Knows FLV's tag heads and nothing of codecs but which byte says "key frame".

use crate::Failure;
use memchr::memmem;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VIDEO: u8 = 9;
const MAX_BUFFERED: usize = 4 << 20;

/// A play URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port.
    pub host: String,
    /// Path and query.
    pub target: String,
}

impl Address {
    /// Reads `http://host[:port]/path`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let rest = url.strip_prefix("http://").ok_or_else(|| format!("not a plain HTTP URL: {url}"))?;
        let (host, path) = rest.split_once('/').ok_or_else(|| format!("a URL without path: {url}"))?;
        let port = if host.contains(':') { "" } else { ":80" };
        Ok(Address { host: format!("{host}{port}"), target: format!("/{path}") })
    }
}

/// A player whose request was granted.
pub struct Player {
    stream: TcpStream,
    /// What came with the reply's head.
    early: Vec<u8>,
    chunked: bool,
}

impl Player {
    /// Connects and asks; returns once the reply's head is there.
    pub async fn play(address: &Address) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(&address.host).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", address.target, address.host);
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::with_capacity(4096);
        let end = loop {
            if let Some(end) = memmem::find(&reply, b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut reply).await? == 0 || reply.len() > 64 << 10 {
                return Err("no reply to the request for the stream".into());
            }
        };
        let early = reply.split_off(end + 4);
        let head = String::from_utf8_lossy(&reply).to_ascii_lowercase();
        let first = head.lines().next().unwrap_or_default();
        if first.split(' ').nth(1) != Some("200") {
            return Err(format!("refused: {first}").into());
        }
        let chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
        Ok(Player { stream, early, chunked })
    }

    /// The bare socket, non-blocking, for a reader of another kind.
    pub fn into_socket(self) -> Result<std::net::TcpStream, Failure> {
        Ok(self.stream.into_std()?)
    }

    /// Waits for more bytes, throws them away and gives their number; 0 when the server has ended the stream.
    pub async fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if !self.early.is_empty() {
            return Ok(std::mem::take(&mut self.early).len());
        }
        Ok(self.stream.read(buffer).await?)
    }

    /// Reads up to and including the first picture.
    async fn until_first_frame(mut self) -> Result<(), Failure> {
        let mut raw = std::mem::take(&mut self.early);
        let mut body = Vec::new();
        loop {
            if self.chunked {
                dechunk(&mut raw, &mut body)?;
            } else {
                body.append(&mut raw);
            }
            if has_key_frame(&body)? {
                return Ok(());
            }
            if body.len().max(raw.len()) > MAX_BUFFERED || self.stream.read_buf(&mut raw).await? == 0 {
                return Err("the stream ended before its first picture".into());
            }
        }
    }
}

/// The time from before the connection is made until the first key frame has arrived whole.
pub async fn first_frame(address: &Address) -> Result<Duration, Failure> {
    let began = Instant::now();
    Player::play(address).await?.until_first_frame().await?;
    Ok(began.elapsed())
}

/// Moves the payload of all whole chunks of `raw` to `body`.
fn dechunk(raw: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), Failure> {
    let mut done = 0;
    while let Some(rest) = raw.get(done..)
        && let Some(line) = memmem::find(rest, b"\r\n")
    {
        let size = std::str::from_utf8(rest.get(..line).unwrap_or_default())?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        let end = size.checked_add(line + 2).ok_or("a chunk without end")?;
        // The chunk's own line end follows its payload.
        if rest.len() < end.saturating_add(2) {
            break;
        }
        body.extend_from_slice(rest.get(line + 2..end).unwrap_or_default());
        done += end + 2;
    }
    raw.drain(..done);
    Ok(())
}

/// Whether an FLV file that begins so holds a whole key frame that is a picture, not a decoder's configuration.
fn has_key_frame(flv: &[u8]) -> Result<bool, Failure> {
    const HEADER: usize = 9 + 4;
    if flv.len() >= 3 && !flv.starts_with(b"FLV") {
        return Err("not an FLV stream".into());
    }
    let mut rest = flv.get(HEADER..).unwrap_or_default();
    while let Some((&[kind, high, middle, low, ..], after)) = rest.split_first_chunk::<11>() {
        let size = u32::from_be_bytes([0, high, middle, low]) as usize;
        let Some((tag, after)) = after.split_at_checked(size) else { break };
        // 0x17 0x01: key frame, AVC, NAL units.
        if kind & 0x1f == VIDEO && tag.starts_with(&[0x17, 1]) {
            return Ok(true);
        }
        rest = after.get(4..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn tag(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, payload.len() as u8, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&(payload.len() as u32 + 11).to_be_bytes());
        bytes
    }

    fn stream() -> Vec<u8> {
        let header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        [header, tag(18, b"onMetaData"), tag(9, &[0x17, 0, 1]), tag(8, &[0xaf, 1]), tag(9, &[0x17, 1, 2, 3])].concat()
    }

    #[test]
    fn the_first_picture_is_found_where_it_ends() {
        let flv = stream();
        let ends = flv.len() - 4;
        for cut in 0..=flv.len() {
            assert_eq!(has_key_frame(&flv[..cut]).unwrap(), cut >= ends, "{cut}");
        }
        assert!(has_key_frame(b"<html>").is_err());
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let coded = b"5;x=y\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n";
        for cut in 0..coded.len() {
            let mut raw = coded[..cut].to_vec();
            let mut body = Vec::new();
            dechunk(&mut raw, &mut body).unwrap();
            raw.extend_from_slice(&coded[cut..]);
            dechunk(&mut raw, &mut body).unwrap();
            assert_eq!((body.as_slice(), raw.len()), (&b"hello, world"[..], 0), "{cut}");
        }
        assert!(dechunk(&mut b"zz\r\n".to_vec(), &mut Vec::new()).is_err());
    }

    #[tokio::test]
    async fn first_frame_over_the_wire_chunked_or_not() {
        for chunked in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/live/s.flv?a=b", listener.local_addr().unwrap());
            let server = tokio::spawn(async move {
                let (mut stream_, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                stream_.read_buf(&mut request).await.unwrap();
                assert!(request.starts_with(b"GET /live/s.flv?a=b HTTP/1.1\r\n"));
                let flv = stream();
                let reply = if chunked {
                    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", flv.len());
                    [head.as_bytes(), &flv, b"\r\n"].concat()
                } else {
                    [&b"HTTP/1.1 200 OK\r\ncontent-type: video/x-flv\r\n\r\n"[..], &flv].concat()
                };
                stream_.write_all(&reply).await.unwrap();
                stream_
            });
            assert!(first_frame(&Address::parse(&url).unwrap()).await.unwrap() > Duration::ZERO);
            drop(server.await.unwrap());
        }
    }
}
