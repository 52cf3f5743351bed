//! Push URLs, made for the address that the client reached us by, and the check of push and play URLs. Calls no service.

mod keys;
mod node;
mod plays;

use std::ops::RangeInclusive;

use parking_lot::RwLock;
use room::{Millis, Refusal, RoomId, StreamId, UserId};
use sign::Invalid;
use sign::push_url;
use sign::stream_url::{Query, StreamUrl};

use super::base::Base;
use super::holder::{self, Holder};
use super::stream_name::{self, Naming};
use super::{Provider, Settings};
use keys::Keys;
pub use plays::{Play, Plays, Url};

/// Makes and checks URLs.
#[derive(Debug)]
pub struct Urls {
    bizid: u32,
    /// What stands between a stream's name and the signature in RTMP URLs.
    queries: Queries,
    /// Signs.
    keys: Keys,
    /// Accepted beside it. May be exchanged while the server runs.
    backup: RwLock<Keys>,
    /// Seconds.
    valid: u64,
    /// Seconds from now beyond which no URL's end may lie.
    longest: u64,
    push_host: String,
    play_host: String,
    /// Scheme and port of RTMP URLs; no port where it is the scheme's own.
    rtmp: (&'static str, String),
    /// Where URLs lead to Tencent's domains; hosts are never empty then.
    tencent: Option<Domains>,
    /// Whether WebRTC is served here.
    webrtc: bool,
}

/// Parameters of RTMP URLs, with the marks around them.
#[derive(Debug)]
struct Queries {
    /// Where a signature follows.
    plain: String,
    /// The same of the stream itself, never of a mix in its place.
    raw: String,
    /// Where none does.
    unsigned: String,
}

impl Queries {
    fn of(bizid: u32) -> Self {
        let unsigned = format!("?bizid={bizid}");
        Self { plain: format!("{unsigned}&"), raw: format!("{unsigned}&raw=1&"), unsigned }
    }
}

/// What URLs of Tencent's domains need more.
#[derive(Debug)]
struct Domains {
    /// The path before the stream's name.
    app: String,
    /// The domain that every business id had: it wants the id as a parameter.
    legacy: bool,
    /// Of play URLs over HTTP.
    scheme: &'static str,
    /// Play URLs are signed only where the domain asks for it.
    signs_play: bool,
}

/// The path of streams here.
const APP: &str = "live";

/// A port as URLs name it: not at all where it is the `usual` one.
fn own_port(port: u16, usual: u16) -> String {
    if port == usual { String::new() } else { port.to_string() }
}

impl Urls {
    /// Reads the settings; `rtmp_port` is where this process listens.
    #[must_use]
    pub fn new(settings: &Settings, rtmp_port: u16) -> Self {
        let tencent = (settings.provider == Provider::Tencent).then(|| Domains {
            app: settings.tencent.app_name.clone(),
            legacy: settings.push_host.is_empty() || settings.push_host.ends_with(".livepush.myqcloud.com"),
            scheme: if settings.tencent.play_https { "https" } else { "http" },
            signs_play: !settings.play_secret_key.is_empty(),
        });
        Self {
            bizid: settings.bizid,
            queries: Queries::of(settings.bizid),
            keys: Keys::of(&settings.push_secret_key, settings),
            backup: RwLock::new(Keys::of_backup(settings)),
            valid: settings.valid_time,
            longest: settings.valid_time.saturating_add(settings.valid_time_margin),
            push_host: if tencent.is_some() { settings.tencent_push_host() } else { settings.push_host.clone() },
            play_host: if tencent.is_some() { settings.tencent_play_host() } else { settings.play_host.clone() },
            rtmp: ("rtmp://", own_port(rtmp_port, 1935)),
            tencent,
            webrtc: true,
        }
    }

    /// The same where WebRTC is served here, or is not.
    #[must_use]
    pub fn with_webrtc(self, webrtc: bool) -> Self {
        Self { webrtc, ..self }
    }

    /// Accepts another backup key from now on, instead of the one before.
    pub fn set_backup(&self, settings: &Settings) {
        *self.backup.write() = Keys::of_backup(settings);
    }

    /// The same where RTMP is taken over TLS at this port.
    #[must_use]
    pub fn over_tls(self, port: Option<u16>) -> Self {
        match port {
            Some(port) => Self { rtmp: ("rtmps://", own_port(port, 443)), ..self },
            None => self,
        }
    }

    /// The beginning of RTMP URLs, in pieces: with the host that is configured, or the one that the client reached us by.
    fn rtmp<'a>(&'a self, host: &'a str, base: &Base<'a>) -> [&'a str; 4] {
        let scheme = self.rtmp.0;
        let port = self.rtmp.1.as_str();
        match host {
            "" if port.is_empty() => [scheme, base.host(), "", ""],
            "" => [scheme, base.host(), ":", port],
            host => [scheme, host, "", ""],
        }
    }

    /// The name of a user's stream: the stable one of a room, or a fresh one.
    ///
    /// # Errors
    /// The encoded ids are too long.
    pub fn stream(&self, room: Option<&RoomId>, user: &UserId, suffix: u16) -> Result<StreamId, Refusal> {
        match room {
            Some(room) => self.naming().member(room, user),
            None => self.naming().fresh(user, suffix),
        }
    }

    fn naming(&self) -> Naming {
        Naming { bizid: self.bizid, hosted: self.tencent.is_some() }
    }

    /// Where to push a stream.
    #[must_use]
    pub fn push(&self, base: &Base<'_>, stream: &StreamId, now: Millis) -> String {
        let signature = self.sign_push(stream, now);
        let Self { push_host, bizid, .. } = self;
        if let Some(Domains { app, legacy, .. }) = &self.tencent {
            let bizid = if *legacy { format!("bizid={bizid}&") } else { String::new() };
            return format!("rtmp://{push_host}/{app}/{stream}?{bizid}{signature}");
        }
        let [scheme, host, colon, port] = self.rtmp(push_host, base);
        format!("{scheme}{host}{colon}{port}/{APP}/{stream}?bizid={bizid}&{signature}")
    }

    /// Where encoders push to, with the port also where push URLs leave it out.
    #[must_use]
    pub fn push_to(&self, base: &Base<'_>) -> String {
        match &self.tencent {
            Some(Domains { app, .. }) => format!("rtmp://{}/{app}/", self.push_host),
            None if !self.push_host.is_empty() => format!("{}{}/{APP}/", self.rtmp.0, self.push_host),
            None => {
                let (scheme, port) = &self.rtmp;
                let usual = if *scheme == "rtmps://" { "443" } else { "1935" };
                format!("{scheme}{}:{}/{APP}/", base.host(), if port.is_empty() { usual } else { port })
            }
        }
    }

    /// Where streams are, if not in this process.
    #[must_use]
    pub fn elsewhere(&self) -> Option<&str> {
        self.tencent.as_ref().map(|_| self.push_host.as_str())
    }

    /// Where a browser publishes a stream: WHIP, at the address that it reached us by. Empty where streams are elsewhere, or WebRTC
    /// is switched off.
    #[must_use]
    pub fn whip(&self, base: &Base<'_>, stream: &StreamId, now: Millis) -> String {
        if self.tencent.is_some() || !self.webrtc {
            return String::new();
        }
        format!("{}://{}/whip/{stream}?{}", base.scheme.as_str(), base.authority, self.sign_push(stream, now))
    }

    /// Where to push a stream by WebRTC, at services that take it under this scheme.
    #[must_use]
    pub fn push_webrtc(&self, base: &Base<'_>, stream: &StreamId, now: Millis) -> Option<String> {
        self.tencent.as_ref()?;
        Some(self.push(base, stream, now).replacen("rtmp", "webrtc", 1))
    }

    /// Where to push a stream by SRT, at services that take it under this scheme.
    #[must_use]
    pub fn push_srt(&self, stream: &StreamId, now: Millis) -> Option<String> {
        let app = &self.tencent.as_ref()?.app;
        let host = self.push_host.rsplit_once(':').map_or(self.push_host.as_str(), |(host, _)| host);
        let signed = self.sign_push(stream, now).replace('&', ",");
        Some(format!("srt://{host}:9000?streamid=#!::h={host},r={app}/{stream},{signed}"))
    }

    /// The end of a URL that is made now.
    fn until(&self, now: Millis) -> u64 {
        now.secs().saturating_add(self.valid)
    }

    fn sign_push(&self, stream: &StreamId, now: Millis) -> String {
        self.keys.push.sign(stream.as_str(), self.until(now))
    }

    /// The ends that a URL may have which is good now.
    fn ends(&self, now: Millis) -> RangeInclusive<u64> {
        now.secs()..=now.secs().saturating_add(self.longest)
    }

    /// Whom this query permits to push this stream.
    ///
    /// # Errors
    /// Why not.
    pub fn may_push(&self, stream: &str, query: &str, now: Millis) -> Result<Holder, Invalid> {
        self.push_holder(stream, &Query::parse(query)?, now)
    }

    /// Whom this query permits to play this stream. Who may push it may see it.
    ///
    /// # Errors
    /// Why not.
    pub fn may_play(&self, stream: &str, query: &str, now: Millis) -> Result<Holder, Invalid> {
        let query = Query::parse(query)?;
        if let Some(user) = query.get("uid") {
            let room = query.get("rid").unwrap_or_default();
            let holder = Holder::named(self.bizid, stream, user, room)?;
            let name = holder::signed_name(stream, user, room);
            return self.verify_play(&name, &query, now).map(|_| holder);
        }
        match self.verify_play(stream, &query, now) {
            Ok(_) => Ok(Holder::default()),
            Err(_) => self.push_holder(stream, &query, now),
        }
    }

    /// Whether what it may be played with is its pusher's: the first clients' co-anchors make play URLs of their push URLs.
    #[must_use]
    pub fn is_pushers(&self, stream: &str, query: &str, now: Millis) -> bool {
        Query::parse(query)
            .is_ok_and(|query| query.get("uid").is_none() && self.push_holder(stream, &query, now).is_ok())
    }

    fn push_holder(&self, stream: &str, query: &Query<'_>, now: Millis) -> Result<Holder, Invalid> {
        self.verify_push(stream, query, now)?;
        Ok(Holder::of_stream(self.bizid, stream))
    }

    fn verify_push(&self, stream: &str, query: &Query<'_>, now: Millis) -> Result<u64, Invalid> {
        push_url::verify(stream, query, &[&self.keys.push.secret, &self.backup.read().push.secret], self.ends(now))
    }

    fn verify_play(&self, name: &str, query: &Query<'_>, now: Millis) -> Result<u64, Invalid> {
        push_url::verify(name, query, &[&self.keys.play.secret, &self.backup.read().play.secret], self.ends(now))
    }

    /// The names that a user's stream in a room may have without being told: ours, those of before, the first servers'.
    #[must_use]
    pub fn names_in(&self, room: &RoomId, user: &UserId) -> Vec<StreamId> {
        let first_servers = StreamId::parse(&format!("{}_{room}_{user}", self.bizid));
        // Where names are escaped for the service, pushers of before an upgrade still have the other ones.
        let plain = Naming { hosted: false, ..self.naming() }.member(room, user);
        let mut names: Vec<_> =
            [self.naming().member(room, user), plain, first_servers].into_iter().flatten().collect();
        names.dedup();
        names
    }

    /// Whose stream a name speaks of, if it was made here.
    #[must_use]
    pub fn holder(&self, stream: &str) -> Holder {
        Holder::of_stream(self.bizid, stream)
    }

    /// The stream of a push URL that a user brings into a room: signed by us or with our key, in time,
    /// and not another user's.
    ///
    /// # Errors
    /// Why not.
    pub fn check_push_url(&self, url: &str, room: &RoomId, user: &UserId, now: Millis) -> Result<StreamId, Invalid> {
        let url = StreamUrl::parse(url)?;
        self.verify_push(&url.stream, &url.query, now)?;
        // The app's own backend may have made the name, in the first servers' manner.
        let first_servers = format!("{}_{room}_{user}", self.bizid);
        let mine = url.stream == first_servers || stream_name::may_be_of(self.bizid, &url.stream, room, user);
        if !mine {
            return Err(Invalid::Mismatch("stream name"));
        }
        StreamId::parse(&url.stream).map_err(|_| Invalid::Malformed("stream name"))
    }
}

/// What is signed for a recording: no stream has a slash in its name.
#[must_use]
pub fn recording_name(file: &str) -> String {
    format!("recordings/{file}")
}

#[cfg(test)]
mod tests;
