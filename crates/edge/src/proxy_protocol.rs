//! The header of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a proxy says in it whom it
//! brings. Reads exactly the header, whatever follows.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, with its end.
const LINE: usize = 107;
/// Longest part after the head of version 2: addresses, and more that is not looked at.
const REST: usize = 2048;

/// Reads the header. `None`: the proxy speaks for itself, as in its health checks.
///
/// # Errors
/// There is no such header, or it is malformed.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; 12];
    from.read_exact(&mut begin).await?;
    if begin == SIGNATURE {
        let mut head = [0; 4];
        from.read_exact(&mut head).await?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length > REST {
            return Err(bad("a header of version 2 that is too long"));
        }
        let mut rest = vec![0; length];
        from.read_exact(&mut rest).await?;
        return version_2(head[0], head[1], &rest).ok_or_else(|| bad("a malformed header of version 2"));
    }
    if !begin.starts_with(b"PROXY ") {
        return Err(bad("no header"));
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE {
            return Err(bad("a header of version 1 that is too long"));
        }
        line.push(from.read_u8().await?);
    }
    version_1(&line).ok_or_else(|| bad("a malformed header of version 1"))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn version_1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let mut words = std::str::from_utf8(line).ok()?.trim_end().split(' ').skip(1);
    match words.next()? {
        "UNKNOWN" => Some(None),
        family @ ("TCP4" | "TCP6") => {
            let source = words.next()?;
            let _destination = words.next()?;
            let port = words.next()?;
            let source: IpAddr = source.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == (family == "TCP4"))?;
            Some(Some(SocketAddr::new(source, port.parse().ok()?)))
        }
        _ => None,
    }
}

fn version_2(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match command {
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    let port = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    Some(match family {
        0x11 => {
            let source: [u8; 4] = rest.get(..4)?.try_into().ok()?;
            Some(SocketAddr::new(source.into(), port(8)?))
        }
        0x21 => {
            let source: [u8; 16] = rest.get(..16)?.try_into().ok()?;
            Some(SocketAddr::new(source.into(), port(32)?))
        }
        // Families that have no addresses of ours.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn said(bytes: &[u8]) -> Result<Option<String>, String> {
        let with_more = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        let mut from = &with_more[..];
        let said = read(&mut from).await.map_err(|e| e.to_string())?;
        assert_eq!(from, b"GET / HTTP/1.1\r\n", "nothing more is taken");
        Ok(said.map(|address| address.to_string()))
    }

    #[tokio::test]
    async fn both_versions_are_understood() {
        let ok = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(said(b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n").await, ok("203.0.113.9:4711"));
        assert_eq!(said(b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n").await, ok("[2001:db8::1]:4711"));
        assert_eq!(said(b"PROXY UNKNOWN\r\n").await, Ok(None));
        let v2 = |command: u8, family: u8, rest: &[u8]| {
            let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
            [&SIGNATURE[..], &[command, family], &length, rest].concat()
        };
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 1, 187, /* more */ 3, 0, 1, 0];
        assert_eq!(said(&v2(0x21, 0x11, &v4)).await, ok("203.0.113.9:4711"));
        let mut v6 = [0; 36];
        v6[0] = 0xfd;
        v6[15] = 1;
        v6[32] = 0x12;
        v6[33] = 0x67;
        assert_eq!(said(&v2(0x21, 0x21, &v6)).await, ok("[fd00::1]:4711"));
        assert_eq!(said(&v2(0x20, 0, &[])).await, Ok(None));
        for malformed in [v2(0x31, 0x11, &v4), v2(0x21, 0x11, &v4[..8]), b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec()] {
            assert!(said(&malformed).await.is_err(), "{malformed:?}");
        }
        assert!(said(b"GET /weapp/ HTTP/1.1\r\n\r\n").await.is_err());
        assert!(said(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 500]].concat()).await.is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..300), signed in any::<bool>()) {
            let bytes = if signed { [&SIGNATURE[..], &bytes].concat() } else { bytes };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read(&mut &bytes[..]));
        }
    }
}
