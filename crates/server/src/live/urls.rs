//! Push and play URLs: made for whoever reached us, and checked. Asks nobody.

use std::fmt;

use room::{Millis, Refusal, RoomId, StreamId, UserId};
use sign::push_url::{self, Algorithm};
use sign::stream_url::{Query, StreamUrl};
use sign::{Invalid, Secret};

use super::stream_name::{self, Owner, owner};
use super::{Algorithm as Setting, Settings};

/// Whether a client reached us over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS, here or at a proxy.
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The address that a client reached us by.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// `host` or `host:port`, as the client wrote it.
    pub authority: &'a str,
}

impl<'a> Base<'a> {
    fn host(&self) -> &'a str {
        // An IPv6 address has colons of its own, inside brackets.
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
            _ => self.authority,
        }
    }
}

/// Makes and checks URLs.
#[derive(Debug)]
pub struct Urls {
    bizid: u32,
    push: Secret,
    backup: Secret,
    play: Secret,
    algorithm: Algorithm,
    /// Seconds.
    valid: u64,
    push_host: String,
    play_host: String,
    rtmp_port: u16,
}

const APP: &str = "live";

impl Urls {
    /// Reads the settings; `rtmp_port` is where this process listens.
    #[must_use]
    pub fn new(settings: &Settings, rtmp_port: u16) -> Self {
        let push = settings.push_secret_key.secret();
        let play = if settings.play_secret_key.is_empty() {
            // Not the push key itself: who may see a stream must not be able to push it.
            Secret::new(push_url::tx_secret(Algorithm::Sha256, &push, "roomservice play key", ""))
        } else {
            settings.play_secret_key.secret()
        };
        Self {
            bizid: settings.bizid,
            push,
            backup: settings.backup_push_secret_key.secret(),
            play,
            algorithm: match settings.algorithm {
                Setting::Md5 => Algorithm::Md5,
                Setting::Sha256 => Algorithm::Sha256,
            },
            valid: settings.valid_time,
            push_host: settings.push_host.clone(),
            play_host: settings.play_host.clone(),
            rtmp_port,
        }
    }

    /// The name of a user's stream: the stable one of a room, or a fresh one.
    ///
    /// # Errors
    /// The encoded ids are too long.
    pub fn stream(&self, room: Option<&RoomId>, user: &UserId, suffix: u16) -> Result<StreamId, Refusal> {
        match room {
            Some(room) => stream_name::member(self.bizid, room, user),
            None => stream_name::fresh(self.bizid, user, suffix),
        }
    }

    /// Where to push a stream.
    #[must_use]
    pub fn push(&self, base: &Base<'_>, stream: &StreamId, now: Millis) -> String {
        let signature = self.sign(&self.push, stream, now);
        let Self { push_host, bizid, .. } = self;
        format!("rtmp://{}/{APP}/{stream}?bizid={bizid}&{signature}", Rtmp(push_host, base, self.rtmp_port))
    }

    /// Where a browser publishes a stream: WHIP, at the address that it reached us by.
    #[must_use]
    pub fn whip(&self, base: &Base<'_>, stream: &StreamId, now: Millis) -> String {
        format!("{}://{}/whip/{stream}?{}", base.scheme.as_str(), base.authority, self.sign(&self.push, stream, now))
    }

    /// Permission to play a stream, from which all its play URLs are made.
    #[must_use]
    pub fn play<'a>(&'a self, base: Base<'a>, stream: &'a StreamId, now: Millis) -> Play<'a> {
        Play { urls: self, base, stream, signature: self.sign(&self.play, stream, now) }
    }

    fn sign(&self, key: &Secret, stream: &StreamId, now: Millis) -> String {
        push_url::sign(self.algorithm, key, stream.as_str(), now.secs().saturating_add(self.valid))
    }

    /// Whether this query permits pushing this stream.
    ///
    /// # Errors
    /// Why not.
    pub fn may_push(&self, stream: &str, query: &str, now: Millis) -> Result<u64, Invalid> {
        push_url::verify(stream, &Query::parse(query)?, &[&self.push, &self.backup], now.secs())
    }

    /// Whether this query permits playing this stream. Who may push it may see it.
    ///
    /// # Errors
    /// Why not.
    pub fn may_play(&self, stream: &str, query: &str, now: Millis) -> Result<u64, Invalid> {
        push_url::verify(stream, &Query::parse(query)?, &[&self.play, &self.push, &self.backup], now.secs())
    }

    /// The stream of a push URL that a user brings into a room: signed by us or with our key, in time,
    /// and not somebody else's.
    ///
    /// # Errors
    /// Why not.
    pub fn check_push_url(&self, url: &str, room: &RoomId, user: &UserId, now: Millis) -> Result<StreamId, Invalid> {
        let url = StreamUrl::parse(url)?;
        push_url::verify(&url.stream, &url.query, &[&self.push, &self.backup], now.secs())?;
        // The app's own backend may have made the name, in the first servers' manner.
        let first_servers = format!("{}_{room}_{user}", self.bizid);
        let mine = url.stream == first_servers
            || match owner(self.bizid, &url.stream) {
                None => true,
                Some(Owner::User(id)) => id == user.as_str(),
                Some(Owner::Member { room: in_room, user: id }) => id == user.as_str() && in_room == room.as_str(),
            };
        if !mine {
            return Err(Invalid::Mismatch("stream name"));
        }
        StreamId::parse(&url.stream).map_err(|_| Invalid::Malformed("stream name"))
    }
}

/// The host of RTMP URLs: the configured one, or the one that the client reached us by.
struct Rtmp<'a>(&'a str, &'a Base<'a>, u16);

impl fmt::Display for Rtmp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self("", base, 1935) => f.write_str(base.host()),
            Self("", base, port) => write!(f, "{}:{port}", base.host()),
            Self(host, ..) => f.write_str(host),
        }
    }
}

/// A stream's play URLs. They share one signature, and are written straight to where they go.
#[derive(Debug)]
pub struct Play<'a> {
    urls: &'a Urls,
    base: Base<'a>,
    stream: &'a StreamId,
    signature: String,
}

impl Play<'_> {
    /// Where co-anchors play it with little delay.
    pub fn accelerate(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            let Self { urls, base, stream, signature } = self;
            let host = Rtmp(&urls.play_host, base, urls.rtmp_port);
            write!(f, "rtmp://{host}/{APP}/{stream}?bizid={}&{signature}", urls.bizid)
        })
    }

    /// Where an audience plays it over HTTP; `extension` is `flv` or `m3u8`.
    pub fn http<'b>(&'b self, extension: &'b str) -> impl fmt::Display + 'b {
        self.over_http(APP, ".", extension)
    }

    /// Where a browser plays it with little delay: WHEP.
    pub fn whep(&self) -> impl fmt::Display + '_ {
        self.over_http("whep", "", "")
    }

    fn over_http<'b>(&'b self, path: &'b str, dot: &'b str, extension: &'b str) -> impl fmt::Display + 'b {
        fmt::from_fn(move |f| {
            let Self { urls, base, stream, signature } = self;
            let host = if urls.play_host.is_empty() { base.authority } else { &urls.play_host };
            write!(f, "{}://{host}/{path}/{stream}{dot}{extension}?{signature}", base.scheme.as_str())
        })
    }
}

#[cfg(test)]
mod tests;
