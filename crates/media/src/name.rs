//! Stream names and protocol labels: small values that every other file speaks. Knows no URLs.

use std::fmt;
use std::sync::Arc;

/// Longest stream name, in bytes.
pub const MAX_NAME: usize = 256;

/// The name under which a stream is published and played: 1 to [`MAX_NAME`] bytes of `A-Z a-z 0-9 - _ . ~ @ : + = ,`,
/// not starting with a dot. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// The text is no [`StreamName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a stream name")]
pub struct BadName;

impl StreamName {
    /// Checks and keeps `text`.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let fits = !text.is_empty() && text.len() <= MAX_NAME && !text.starts_with('.');
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~@:+=,".contains(&b)) {
            Ok(StreamName(text.into()))
        } else {
            Err(BadName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a stream made from this one by the server itself (`name#aac`: the same stream with its audio as AAC).
    /// No peer can ask for such a name, because [`StreamName::new`] refuses the `#`.
    pub fn derived(&self, tag: &str) -> Self {
        StreamName(format!("{}#{tag}", self.0).into())
    }

    /// The name that this one was derived from.
    pub fn home(&self) -> Option<Self> {
        self.0.rsplit_once('#').map(|(home, _)| StreamName(home.into()))
    }

    /// Whether this is a [`StreamName::derived`] name.
    pub fn is_derived(&self) -> bool {
        self.0.contains('#')
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for StreamName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        StreamName::new(text)
    }
}

/// How a publisher or a reader reaches the hub: a label for requests, events and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RTMP, publish or play.
    Rtmp,
    /// FLV over an HTTP response.
    HttpFlv,
    /// FLV over WebSocket.
    WsFlv,
    /// HLS, plain or low-latency.
    Hls,
    /// WebRTC publish.
    Whip,
    /// WebRTC play.
    Whep,
    /// Pulled from or pushed to another server.
    Relay,
    /// A part of this server: recorder, mixer, transcoder. Not counted as a viewer.
    Internal,
}

impl Protocol {
    /// Every protocol, in the order of [`Protocol::index`].
    pub const ALL: [Protocol; 8] = [
        Protocol::Rtmp,
        Protocol::HttpFlv,
        Protocol::WsFlv,
        Protocol::Hls,
        Protocol::Whip,
        Protocol::Whep,
        Protocol::Relay,
        Protocol::Internal,
    ];

    /// A small dense number, for tables of counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Rtmp => "rtmp",
            Protocol::HttpFlv => "http-flv",
            Protocol::WsFlv => "ws-flv",
            Protocol::Hls => "hls",
            Protocol::Whip => "whip",
            Protocol::Whep => "whep",
            Protocol::Relay => "relay",
            Protocol::Internal => "internal",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for good in ["a", "8525_room_1", "x.flv-1~@:+=,", &"n".repeat(MAX_NAME)] {
            assert_eq!(StreamName::new(good).map(|n| n.to_string()), Ok(good.to_string()));
        }
        for bad in
            ["", ".", "..", ".a", "a/b", "a b", "a?b", "a#b", "a%2f", "ü", "a\0", "\"", &"n".repeat(MAX_NAME + 1)]
        {
            assert_eq!(StreamName::new(bad), Err(BadName), "{bad:?}");
        }
    }

    #[test]
    fn derived_names_cannot_be_asked_for() {
        let aac = StreamName::new("s").unwrap().derived("aac");
        assert!(aac.is_derived());
        assert_eq!((aac.home(), aac.home().unwrap().home()), (StreamName::new("s").ok(), None));
        assert!(StreamName::new(aac.as_str()).is_err());
    }

    #[test]
    fn protocol_indices_are_dense() {
        for (i, p) in Protocol::ALL.iter().enumerate() {
            assert_eq!(p.index(), i);
        }
    }
}
