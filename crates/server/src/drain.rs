//! Leaving in good order: no new session is let in, those that are there are notified or may go on for a while. Knows no
//! signals; that rooms outlive the process is the store's affair.

use std::sync::atomic::Ordering;
use std::time::Duration;

use media::Hub;
use media::rtc::Server;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::{Instant, interval, timeout_at};

/// How often is looked whether all sessions have gone.
const LOOK: Duration = Duration::from_millis(100);

/// For how long sessions may go on after SIGTERM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// For as long as it helps them: other nodes can take them meanwhile, and from a server that is alone no session can go anywhere,
    /// while it lets no session in.
    #[default]
    Auto,
    /// So many seconds.
    Seconds(u64),
}

impl Patience {
    /// The time of a server that is `alone`, or has other nodes beside it.
    #[must_use]
    pub const fn time(self, alone: bool) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::Auto if alone => Duration::from_secs(2),
            Self::Auto => Duration::from_secs(30),
        }
    }
}

impl Serialize for Patience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Seconds(seconds) => serializer.serialize_u64(*seconds),
        }
    }
}

impl<'de> Deserialize<'de> for Patience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;
        impl Visitor<'_> for Given {
            type Value = Patience;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\" or seconds")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Patience, E> {
                Ok(Patience::Seconds(seconds))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Patience, E> {
                let seconds =
                    u64::try_from(seconds).map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
                Ok(Patience::Seconds(seconds))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Patience, E> {
                if text == "auto" {
                    return Ok(Patience::Auto);
                }
                // A variable of the environment.
                let seconds = text.trim().parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(Patience::Seconds(seconds))
            }
        }
        deserializer.deserialize_any(Given)
    }
}

/// Returns when no media flows, after `patience` at the latest.
///
/// Where other nodes serve the same rooms, chat clients are sent there at once. A server that is alone keeps them to the
/// end: they have nowhere to go, and a call in its last seconds still wants to talk.
pub async fn leave(hub: &Hub, chat: &chat::Hub, alone: bool, patience: Duration) {
    let deadline = Instant::now() + patience;
    if !alone {
        chat.end_all();
    }
    let gone = async {
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            if !media_flows(hub) && (alone || chat.connections() == 0) {
                return;
            }
        }
    };
    if timeout_at(deadline, gone).await.is_err() && !patience.is_zero() {
        let streams = hub.len();
        let chat = chat.connections();
        tracing::info!(streams, chat, "time is up: who is still here is disconnected, to come back after the restart");
    }
}

fn media_flows(hub: &Hub) -> bool {
    hub.list().iter().any(|stream| !stream.paused && !stream.name.is_derived())
}

/// Waits until WebRTC has notified its peers that the server ends: its threads would end with the process, wherever they are.
pub(crate) async fn goodbyes(webrtc: &Server) {
    let counters = webrtc.counters();
    if counters.sessions.load(Ordering::Relaxed) == 0 {
        return;
    }
    while counters.sessions.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The last datagrams leave right after their sessions are no longer counted.
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_alone_waits_long_only_where_it_is_told_to() {
        #[derive(Deserialize)]
        struct Of {
            drain_timeout: Patience,
        }
        let read = |text: &str| toml::from_str::<Of>(&format!("drain_timeout = {text}")).map(|of| of.drain_timeout);
        let auto = read("\"auto\"").unwrap();
        assert_eq!((auto.time(true), auto.time(false)), (Duration::from_secs(2), Duration::from_secs(30)));
        assert_eq!(read("60").unwrap().time(true), Duration::from_secs(60));
        assert_eq!(read("\"0\"").unwrap().time(false), Duration::ZERO, "as variables are");
        for wrong in ["-1", "\"long\"", "1.5", "true"] {
            assert!(read(wrong).unwrap_err().to_string().contains("\"auto\" or seconds"), "{wrong}");
        }
    }
}
