//! Play URLs. What those of one answer share, whoever the streams' pushers are, is made once; each URL is then a few pieces that
//! are written straight to where they go.

use std::borrow::Cow;
use std::fmt;

use room::{Millis, RoomId, StreamId, UserId};
use sign::push_url::tx_time;
use sign::stream_name::encode_part;

use super::super::base::{Base, Scheme};
use super::super::{holder, stream_name};
use super::{APP, Domains, Urls, recording_name};

/// Makes the play URLs of one answer: for one user, who reached us by one address, at one moment.
#[derive(Debug)]
pub struct Plays<'a> {
    urls: &'a Urls,
    /// Where streams are played over HTTP.
    base: Base<'a>,
    /// Whom they are for, as it stands in URLs. Nobody's belong to whoever has them.
    user: Option<Cow<'a, str>>,
    /// Until when a URL may be used, as it stands in it.
    tx_time: String,
    /// What stands before a stream's name: over HTTP, by WHEP, by RTMP, and for Tencent's players by WebRTC.
    http: String,
    whep: String,
    rtmp: String,
    webrtc: String,
}

impl Urls {
    /// What makes the play URLs of an answer. They name whom they are for, so that they end when that user is removed; without a
    /// user they belong to nobody.
    #[must_use]
    pub fn plays<'a>(&'a self, base: Base<'a>, user: Option<&'a UserId>, now: Millis) -> Plays<'a> {
        let host = self.play_host.as_str();
        let base = Base { authority: if host.is_empty() { base.authority } else { host }, ..base };
        let [http, whep, rtmp, webrtc] = match &self.tencent {
            Some(Domains { app, scheme, .. }) => {
                let at = |scheme: &str| [scheme, "://", host, "/", app, "/"].concat();
                [at(scheme), String::new(), at("rtmp"), at("webrtc")]
            }
            None => {
                let scheme = base.scheme.as_str();
                let [rtmp, name, colon, port] = self.rtmp(host, &base);
                [
                    [scheme, "://", base.authority, "/", APP, "/"].concat(),
                    [scheme, "://", base.authority, "/whep/"].concat(),
                    [rtmp, name, colon, port, "/", APP, "/"].concat(),
                    ["webrtc://", base.host(), "/", APP, "/"].concat(),
                ]
            }
        };
        let user = user.map(|user| encode_part(user.as_str()));
        Plays { urls: self, base, user, tx_time: tx_time(self.until(now)), http, whep, rtmp, webrtc }
    }
}

impl<'a> Plays<'a> {
    /// Permission to play a stream, in a room or in none, from which all its play URLs are made.
    #[must_use]
    pub fn of<'b>(&'b self, stream: &'b StreamId, room: Option<&RoomId>) -> Play<'b> {
        let keys = &self.urls.keys;
        let (signature, accelerate) = match &self.urls.tencent {
            None => (self.sign_for(stream.as_str(), room), None),
            // The service wants the push key in what co-anchors play (Tencent's "accelerated" play URLs).
            Some(Domains { signs_play, .. }) => (
                if *signs_play { keys.play.sign_at(stream.as_str(), &self.tx_time) } else { String::new() },
                Some(keys.push.sign_at(stream.as_str(), &self.tx_time)),
            ),
        };
        Play { plays: self, stream, signature, accelerate }
    }

    /// Where a recording of the recorder in this process is played, which was made in this room.
    #[must_use]
    pub fn recording(&self, file: &str, room: Option<&RoomId>) -> Option<String> {
        let signed = StreamId::parse(&recording_name(file)).ok()?;
        let Base { scheme, authority } = self.base;
        let signature = self.sign_for(signed.as_str(), room);
        Some(format!("{}://{authority}/{signed}?{signature}", scheme.as_str()))
    }

    fn sign_for(&self, name: &str, room: Option<&RoomId>) -> String {
        let Some(user) = &self.user else { return self.urls.keys.play.sign_at(name, &self.tx_time) };
        let untold = room.filter(|room| !stream_name::tells_room(self.urls.bizid, room, name));
        let room = untold.map_or(Cow::Borrowed(""), |room| encode_part(room.as_str()));
        let mut signature = self.urls.keys.play.sign_at(&holder::signed_name(name, user, &room), &self.tx_time);
        signature.reserve_exact(10 + user.len() + room.len());
        signature.push_str("&uid=");
        signature.push_str(user);
        if untold.is_some() {
            signature.push_str("&rid=");
            signature.push_str(&room);
        }
        signature
    }
}

/// A stream's play URLs, which share one signature.
#[derive(Debug)]
pub struct Play<'a> {
    plays: &'a Plays<'a>,
    stream: &'a StreamId,
    /// Empty where play URLs are not signed.
    signature: String,
    /// Of what co-anchors play, where that has a signature of its own.
    accelerate: Option<String>,
}

impl Play<'_> {
    fn url<'b>(&'b self, before: &'b str, after: &'b str, signature: &'b str) -> Url<'b> {
        Url([before, self.stream.as_str(), after, signature, ""])
    }

    /// Where co-anchors play it with little delay, and never see the mix in its place.
    #[must_use]
    pub fn accelerate(&self) -> Url<'_> {
        let queries = &self.plays.urls.queries;
        match &self.accelerate {
            Some(signature) => self.url(&self.plays.rtmp, &queries.plain, signature),
            None => self.url(&self.plays.rtmp, &queries.raw, &self.signature),
        }
    }

    /// The same for somebody who is no co-anchor: where it is signed with the key of push URLs, the audience's URL.
    #[must_use]
    pub fn accelerate_for(&self, co_anchor: bool) -> Url<'_> {
        let queries = &self.plays.urls.queries;
        match &self.accelerate {
            Some(_) if co_anchor => self.accelerate(),
            Some(_) if self.signature.is_empty() => self.url(&self.plays.rtmp, &queries.unsigned, ""),
            Some(_) => self.url(&self.plays.rtmp, &queries.plain, &self.signature),
            None => self.accelerate(),
        }
    }

    /// Where an audience plays it by RTMP.
    #[must_use]
    pub fn rtmp(&self) -> Url<'_> {
        match self.plays.urls.tencent {
            None => self.url(&self.plays.rtmp, &self.plays.urls.queries.plain, &self.signature),
            Some(_) => self.url(&self.plays.rtmp, self.mark(), &self.signature),
        }
    }

    /// Where an audience plays it over HTTP as FLV.
    #[must_use]
    pub fn flv(&self) -> Url<'_> {
        self.url(&self.plays.http, if self.signature.is_empty() { ".flv" } else { ".flv?" }, &self.signature)
    }

    /// Where an audience plays it over HTTP as HLS.
    #[must_use]
    pub fn hls(&self) -> Url<'_> {
        self.url(&self.plays.http, if self.signature.is_empty() { ".m3u8" } else { ".m3u8?" }, &self.signature)
    }

    /// Where an audience plays it, or the mix in its place, over HTTP. Windows cuts `https` off the front and `.flv` off the
    /// end, puts `rtmp` before the rest and plays that by RTMP: so a signed URL ends in a parameter that may lose its value.
    #[must_use]
    pub fn mixed(&self) -> Url<'_> {
        let mut url = self.flv();
        if self.plays.urls.tencent.is_none() && self.plays.base.scheme == Scheme::Https {
            url.0[4] = "&ext=.flv";
        }
        url
    }

    /// Where a browser plays it with little delay: WHEP. Empty where streams are elsewhere, or WebRTC is switched off.
    #[must_use]
    pub fn whep(&self) -> Url<'_> {
        if self.plays.urls.tencent.is_some() || !self.plays.urls.webrtc {
            return Url::default();
        }
        let mut url = self.url(&self.plays.whep, "?", &self.signature);
        // Who was given it came for somebody, who may be about to publish.
        url.0[4] = "&wait=9";
        url
    }

    /// Where Tencent's players play it by WebRTC: they take no port in such a URL, and are told elsewhere whom to ask.
    #[must_use]
    pub fn webrtc(&self) -> Url<'_> {
        if self.plays.urls.tencent.is_none() && !self.plays.urls.webrtc {
            return Url::default();
        }
        self.url(&self.plays.webrtc, self.mark(), &self.signature)
    }

    fn mark(&self) -> &'static str {
        if self.signature.is_empty() { "" } else { "?" }
    }
}

/// A URL in pieces. Room lists are mostly URLs: appending the pieces is many times as fast as formatting them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Url<'a>([&'a str; 5]);

impl Url<'_> {
    /// Appends the URL.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.0.iter().map(|piece| piece.len()).sum());
        self.0.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    }
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| f.write_str(piece))
    }
}
