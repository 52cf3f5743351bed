//! How a viewer asks for a stream: an offer by WHEP, or by the JSON call of SRS, which others answer too. Knows no media.

use crate::Failure;
use crate::http::{self, Connection};
use serde_json::{Value, json};
use std::net::{SocketAddr, ToSocketAddrs};

/// Where offers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `http://HOST:PORT/…`: WHEP.
    Whep { address: SocketAddr, target: String },
    /// `webrtc://HOST:PORT/app/stream`, where the port is that of the API: `POST /rtc/v1/play/`.
    Json { address: SocketAddr, url: String },
}

/// What came back.
pub struct Answer {
    /// The answer itself.
    pub sdp: String,
    /// Where the session is ended by WHEP.
    session: Option<String>,
}

impl Endpoint {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = || format!("{url}: expected http://HOST:PORT/PATH or webrtc://HOST:PORT/APP/STREAM");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
        let address = host.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)?;
        match scheme {
            "http" => Ok(Endpoint::Whep { address, target: format!("/{path}") }),
            "webrtc" => Ok(Endpoint::Json { address, url: url.to_owned() }),
            _ => Err(wrong().into()),
        }
    }

    /// Sends an offer. Each goes over a connection of its own, as viewers' do.
    pub fn offer(&self, sdp: &str) -> Result<Answer, Failure> {
        match self {
            Endpoint::Whep { address, target } => {
                let mut connection = Connection::open(*address)?;
                connection.send(&http::post_as("application/sdp", *address, target, sdp))?;
                let reply = connection.receive()?;
                let text = std::str::from_utf8(reply.body)?;
                if reply.status != 201 {
                    return Err(format!("an offer was answered with status {}: {}", reply.status, text.trim()).into());
                }
                Ok(Answer { sdp: text.to_owned(), session: reply.header("location").map(path_of) })
            }
            Endpoint::Json { address, url } => {
                let mut connection = Connection::open(*address)?;
                let api = format!("http://{address}/rtc/v1/play/");
                let body = json!({ "api": api, "streamurl": url, "clientip": null, "sdp": sdp });
                connection.send(&http::post(*address, "/rtc/v1/play/", &body.to_string()))?;
                let value = connection.receive()?.json()?;
                let sdp = value.get("sdp").and_then(Value::as_str).ok_or("an answer without SDP")?;
                Ok(Answer { sdp: sdp.to_owned(), session: None })
            }
        }
    }

    /// Ends the session of an answer, where there is a call for that.
    pub fn leave(&self, answer: &Answer) -> Result<(), Failure> {
        if let (Endpoint::Whep { address, .. }, Some(session)) = (self, &answer.session) {
            let mut connection = Connection::open(*address)?;
            connection.send(&http::delete(*address, session))?;
            connection.receive()?;
        }
        Ok(())
    }
}

/// The path of a URL, which may be one already.
fn path_of(url: &str) -> String {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_how_offers_are_sent() {
        let address = "127.0.0.1:1985".parse().unwrap();
        let whep = Endpoint::Whep { address, target: "/whep/s?a=b".to_owned() };
        assert_eq!(Endpoint::parse("http://127.0.0.1:1985/whep/s?a=b").unwrap(), whep);
        let url = "webrtc://127.0.0.1:1985/live/s";
        assert_eq!(Endpoint::parse(url).unwrap(), Endpoint::Json { address, url: url.to_owned() });
        for wrong in ["rtmp://127.0.0.1:1985/live/s", "http://127.0.0.1:1985", "127.0.0.1:1985/s", "http://127.0.0.1/s"]
        {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(path_of("http://h:1/rtc/session/1"), "/rtc/session/1");
        assert_eq!(path_of("/rtc/session/1"), "/rtc/session/1");
    }
}
