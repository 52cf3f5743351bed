//! Who may push and who may play: answers the media server's questions by the URL's signature, and by who is kept out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use media::hub::{Pace, Start};
use media::request::{Ask, Kick, PlayOptions, PublishOptions, Query, Request};
use media::{Protocol, StreamName};
use room::Millis;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::live::{Holder, Urls};
use crate::nodes::{self, Nodes, Taken};
use crate::recorded::Recorded;
use access::bans::Bans;
use access::limits::{Budget, Limits, Whose};
use store::clock::Clock;

/// The reason that a removed user is given.
const OUT: &str = "kept out by an operator";

/// What a play URL's query holds for who wants the stream itself rather than the mix that is shown in its place.
const RAW: &str = "raw=1";

/// How long a stream of another node takes to get here: nobody is told sooner that nobody publishes it.
const FROM_ANOTHER_NODE: Duration = Duration::from_secs(2);

/// `[rtmp]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether there is an RTMP server.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections begin with a header of the PROXY protocol, and come from `http.trusted_proxies` only.
    pub proxy_protocol: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1935)), proxy_protocol: false }
    }
}

fn has_mark(query: &Query, mark: &str) -> bool {
    query.0.split('&').any(|pair| pair == mark)
}

/// Whether a push URL's query asks for a recording: `record=1`, or formats as Windows names them (`mp4`, `mp4|flv`). Whatever
/// is named, what is written is this server's own format.
fn asks_to_record(query: &Query) -> bool {
    let said = query.0.split('&').find_map(|pair| pair.strip_prefix("record="));
    let said = said.unwrap_or_default().replace("%7C", "|").replace("%7c", "|");
    said.split('|').any(|format| matches!(format, "1" | "mp4" | "flv" | "hls"))
}

/// Decides who may push and who may play.
pub struct Gate {
    urls: Arc<Urls>,
    bans: Arc<Bans>,
    limits: Arc<Limits>,
    clock: Arc<dyn Clock>,
    nodes: Option<Arc<Nodes>>,
}

impl Gate {
    /// Puts the parts together.
    #[must_use]
    pub fn new(urls: Arc<Urls>, bans: Arc<Bans>, limits: Arc<Limits>, clock: Arc<dyn Clock>) -> Self {
        Self { urls, bans, limits, clock, nodes: None }
    }

    /// The same as one of several nodes.
    #[must_use]
    pub fn among(self, nodes: Option<Arc<Nodes>>) -> Self {
        Self { nodes, ..self }
    }

    /// Whom this query lets push this stream.
    ///
    /// # Errors
    /// Why no user, in words for the peer.
    pub fn may_push(&self, stream: &str, query: &str) -> Result<Holder, String> {
        self.here()?;
        let now = self.clock.now();
        let holder = self.urls.may_push(stream, query, now).map_err(|why| why.to_string())?;
        if self.bans.stream(stream, now).is_some() {
            return Err(OUT.into());
        }
        self.admit(holder, now)
    }

    /// Whom this query lets play this stream.
    ///
    /// # Errors
    /// Why no user, in words for the peer.
    pub fn may_play(&self, stream: &str, query: &str) -> Result<Holder, String> {
        self.here()?;
        let now = self.clock.now();
        let holder = self.urls.may_play(stream, query, now).map_err(|why| why.to_string())?;
        self.admit(holder, now)
    }

    /// Whether it is played by who is in the room's video too: by the mark in its query, or as the first clients do, whose co-anchors
    /// make their play URLs of push URLs.
    fn is_anchors(&self, what: &media::request::What) -> bool {
        let Query(query) = &what.query;
        has_mark(&what.query, RAW) || self.urls.is_pushers(what.stream.as_str(), query, self.clock.now())
    }

    /// Where streams are elsewhere, no viewer would ever look in this process for one.
    fn here(&self) -> Result<(), String> {
        self.urls.elsewhere().map_or(Ok(()), |host| Err(format!("streams are at {host}, not in this process")))
    }

    fn admit(&self, holder: Holder, now: Millis) -> Result<Holder, String> {
        let out = |user| self.bans.until(user, holder.room.as_ref(), now);
        if holder.user.as_ref().and_then(out).is_some() { Err(OUT.into()) } else { Ok(holder) }
    }

    /// Refuses a user who pushes and plays as much as may be.
    fn within(&self, holder: Holder) -> Result<Holder, String> {
        let most = self.limits.settings().user_streams;
        if holder.user.as_ref().is_some_and(|user| self.bans.running.count(user) >= most) {
            self.limits.note(Whose::User, Budget::Stream);
            return Err("too many streams of this user: end one, or come back later".into());
        }
        Ok(holder)
    }

    /// Answers until the media server is gone. Once the server is `leaving`, every request is refused but those of other nodes,
    /// where the viewers go by then: what is still pushed here is seen there.
    pub async fn keep(
        self: Arc<Self>,
        mut requests: mpsc::Receiver<Request>,
        recorded: Option<Arc<Recorded>>,
        leaving: CancellationToken,
    ) {
        while let Some(request) = requests.recv().await {
            if leaving.is_cancelled() && !self.is_of_node(&request) {
                request.turn_away();
                continue;
            }
            self.answer(request, recorded.as_ref(), &leaving);
        }
    }

    fn answer(&self, request: Request, recorded: Option<&Arc<Recorded>>, leaving: &CancellationToken) {
        let stream = request.what().stream.clone();
        let query = &request.what().query.0;
        if self.is_of_node(&request) {
            return self.answer_node(request);
        }
        let allowed = match &request {
            Request::Publish(_) => self.may_push(stream.as_str(), query),
            Request::Play(_) => self.may_play(stream.as_str(), query),
        };
        let allowed = allowed.and_then(|holder| self.within(holder));
        match (allowed, request) {
            (Ok(holder), Request::Publish(ask)) => {
                let mut options = PublishOptions::default();
                options.leaving = leaving.clone();
                // Who pushes may have it recorded, where the operator allows recordings at all.
                let recorded = recorded.filter(|_| asks_to_record(&ask.what.query)).cloned();
                options.record = recorded.is_some();
                self.watch(&holder, &options.kick);
                let accept = move |ask: Ask<PublishOptions>, stream: &StreamName| {
                    recorded.iter().for_each(|recorded| recorded.begin(stream));
                    ask.accept(options);
                };
                match self.nodes.clone() {
                    None => accept(ask, &stream),
                    // Other nodes are asked, which takes a moment; the asking session waits, no other.
                    Some(nodes) => drop(tokio::spawn(async move {
                        match nodes.claim(&stream).await {
                            Ok(()) => accept(ask, &stream),
                            Err(Taken) => ask.busy(),
                        }
                    })),
                }
            }
            (Ok(holder), Request::Play(ask)) => {
                let mut options = PlayOptions::default();
                options.leaving = leaving.clone();
                // Co-anchors see each other, not the mix that the audience sees in their place.
                options.raw = self.is_anchors(&ask.what);
                // HLS has no session: every request of it comes here by itself.
                if ask.what.protocol != Protocol::Hls {
                    self.watch(&holder, &options.kick);
                }
                if let Some(nodes) = &self.nodes {
                    nodes.want(&stream);
                    options.least_wait = FROM_ANOTHER_NODE;
                }
                ask.accept(options);
            }
            (Err(why), request) => request.reject(why),
        }
    }

    /// Whether another node asks, or says that it is one.
    fn is_of_node(&self, request: &Request) -> bool {
        self.nodes.is_some()
            && matches!(request, Request::Play(_))
            && matches!(&*request.what().app, nodes::APP | nodes::MIXED)
    }

    /// Another node pulls a stream for its players, whom it asks for permission itself.
    fn answer_node(&self, request: Request) {
        let stream = request.what().stream.clone();
        let query = &request.what().query.0;
        match (self.urls.may_pull(stream.as_str(), query, self.clock.now()), request) {
            (Ok(_), Request::Play(ask)) => {
                let mut options = PlayOptions::default();
                options.relay = true;
                options.pace = Pace::Realtime;
                if ask.what.app == nodes::MIXED {
                    // Its time goes on from where it is seen, so that nothing of before may come.
                    options.overlay = true;
                    options.start = Start::Next;
                }
                // It is here, or it is asked for where it is by now.
                options.wait = Some(Duration::from_secs(1));
                ask.accept(options);
            }
            (Ok(_), request) => request.reject("nodes only play"),
            (Err(why), request) => request.reject(why.to_string()),
        }
    }

    /// The session ends when its user is removed, at once where that happened since it was let in.
    fn watch(&self, holder: &Holder, kick: &Kick) {
        let Some(user) = &holder.user else { return };
        self.bans.running.watch(user, holder.room.as_ref(), kick);
        if self.bans.until(user, holder.room.as_ref(), self.clock.now()).is_some() {
            kick.kick(OUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_asked_for_by_a_mark_or_by_formats() {
        let asks = |query: &str| asks_to_record(&Query(query.into()));
        for query in
            ["record=1", "a=1&record=mp4&record_interval=7200", "record=mp4|flv", "record=x%7Chls", "record=flv"]
        {
            assert!(asks(query), "{query}");
        }
        for query in ["", "record=", "record=0", "record=aac", "norecord=mp4", "record_interval=7200", "recordmp4"] {
            assert!(!asks(query), "{query}");
        }
    }
}
