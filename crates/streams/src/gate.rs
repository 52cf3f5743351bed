//! Who may push and who may play: answers the media server's questions by the URL's signature, and by who is kept out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use media::hub::{Pace, Start};
use media::request::{Ask, Kick, PlayOptions, PublishOptions, Query, Request, What};
use media::{Protocol, StreamName};
use room::Millis;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::live::{Holder, Urls};
use crate::nodes::{self, Nodes, Taken};
use crate::recorded::Recorded;
use access::bans::Bans;
use access::limits::{Budget, Limits, TooMuch, Whose};
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

fn too_much(TooMuch(seconds): TooMuch) -> String {
    format!("too many pushes and plays: come back in {seconds} s")
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
    carries: Carries,
}

/// Whether connections from this address are those of many clients.
type Carries = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl Gate {
    /// Puts the parts together.
    #[must_use]
    pub fn new(urls: Arc<Urls>, bans: Arc<Bans>, limits: Arc<Limits>, clock: Arc<dyn Clock>) -> Self {
        Self { urls, bans, limits, clock, nodes: None, carries: Box::new(|_| false) }
    }

    /// The same where proxies carry the connections of many and do not say whose: such an address is not counted.
    #[must_use]
    pub fn behind(self, carries: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { carries: Box::new(carries), ..self }
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
    fn is_anchors(&self, what: &What) -> bool {
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

    /// Refuses an RTMP client of an address that pushes and plays too much. What comes by HTTP was counted when its request came.
    fn within_address(&self, what: &What) -> Result<(), String> {
        if what.protocol != Protocol::Rtmp || (self.carries)(what.peer.ip()) {
            return Ok(());
        }
        self.limits.address(what.peer.ip(), Budget::Join).map_err(too_much)
    }

    /// The same of a user. Who plays by a URL that was made of a push URL is somebody else.
    fn within_user(&self, holder: Holder, request: &Request) -> Result<Holder, String> {
        let what = request.what();
        if what.protocol != Protocol::Rtmp {
            return Ok(holder);
        }
        let is_others = || {
            matches!(request, Request::Play(_))
                && self.urls.is_pushers(what.stream.as_str(), &what.query.0, self.clock.now())
        };
        if let Some(user) = holder.user.as_ref().filter(|_| !is_others()) {
            self.limits.user(user, Some(what.peer.ip()), Budget::Join).map_err(too_much)?;
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
        let allowed = self.within_address(request.what()).and_then(|()| match &request {
            Request::Publish(_) => self.may_push(stream.as_str(), query),
            Request::Play(_) => self.may_play(stream.as_str(), query),
        });
        let allowed =
            allowed.and_then(|holder| self.within(holder)).and_then(|holder| self.within_user(holder, &request));
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
    use access::limits::Rate;
    use media::Ended;
    use media::request::Requests;
    use room::StreamId;
    use sign::Secret;
    use store::clock::Manual;

    use super::*;
    use crate::live::{Base, Scheme, Settings as LiveSettings};

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

    const NOW: Millis = Millis(1_700_000_000_000);

    /// A gate with these limits, and what asks it.
    fn gate(limits: &access::limits::Settings) -> (Requests, Arc<Urls>, Arc<Limits>) {
        let settings = LiveSettings { bizid: 1000, push_secret_key: Secret::new("push key"), ..Default::default() };
        let urls = Arc::new(Urls::new(&settings, 1935));
        let limits = Arc::new(Limits::new(limits));
        let gate = Gate::new(urls.clone(), Arc::default(), limits.clone(), Arc::new(Manual::at(NOW)));
        let gate = gate.behind(|address| address == Ipv4Addr::new(198, 51, 100, 1));
        let (requests, asked) = media::request::channel(16, Duration::from_secs(5));
        tokio::spawn(Arc::new(gate).keep(asked, None, CancellationToken::new()));
        (requests, urls, limits)
    }

    fn what(stream: &str, url: &str, peer: &str, protocol: Protocol) -> What {
        let query = Query(url.split_once('?').unwrap().1.to_owned());
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        What { stream: StreamName::new(stream).unwrap(), app: "live".into(), query, protocol, peer }
    }

    #[tokio::test]
    async fn rtmp_pushes_and_plays_are_counted_by_address_and_user() {
        let rates = access::limits::Settings {
            address_joins: Rate::per_minute(1, 6),
            user_joins: Rate::per_minute(1, 3),
            ..Default::default()
        };
        let (requests, urls, limits) = gate(&rates);
        let base = Base { scheme: Scheme::Http, authority: "live.example.com" };
        let stream = StreamId::parse("1000_r_alice").unwrap();
        let name = stream.as_str();
        let push = urls.push(&base, &stream, NOW);
        let play = urls.plays(base, None, NOW).of(&stream, None).flv().to_string();
        // One connection, or many: what counts is who it is, and from where.
        for n in 0..5 {
            let said = requests.publish(what(name, &push, "192.0.2.1", Protocol::Rtmp)).await;
            match said {
                Ok(_) => assert!(n < 3, "push {n}"),
                Err(Ended::Refused(why)) => {
                    assert!(n >= 3 && why.starts_with("too many pushes and plays: come back in "), "{n}: {why}");
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(limits.refused(Whose::User, Budget::Join), 2);
        // Nobody knows who plays, unless the URL says so, but from where.
        requests.play(what(name, &play, "192.0.2.1", Protocol::Rtmp)).await.unwrap();
        let refused = requests.play(what(name, &play, "192.0.2.1", Protocol::Rtmp)).await.unwrap_err();
        assert!(matches!(refused, Ended::Refused(_)), "{refused}");
        assert_eq!(limits.refused(Whose::Address, Budget::Join), 1);
        for n in 0..20 {
            let said = requests.play(what(name, &play, "198.51.100.1", Protocol::Rtmp)).await;
            assert!(said.is_ok(), "{n}: a proxy carries many");
        }
        // What is not signed counts too; others, this machine and what HTTP has counted go on. Who plays by a push URL is not the
        // user whose it is.
        for peer in ["192.0.2.2", "127.0.0.1"] {
            requests.play(what(name, "?txSecret=0&txTime=0", peer, Protocol::Rtmp)).await.unwrap_err();
            for _ in 0..5 {
                requests.play(what(name, &push, peer, Protocol::Rtmp)).await.unwrap();
            }
        }
        requests.play(what(name, &play, "192.0.2.2", Protocol::Rtmp)).await.unwrap_err();
        for _ in 0..10 {
            requests.play(what(name, &play, "192.0.2.1", Protocol::HttpFlv)).await.unwrap();
            requests.publish(what(name, &push, "127.0.0.1", Protocol::Rtmp)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_thousand_players_behind_one_address_are_let_in() {
        let (requests, urls, _) = gate(&access::limits::Settings::default());
        let base = Base { scheme: Scheme::Http, authority: "live.example.com" };
        let stream = StreamId::parse("1000_r_alice").unwrap();
        let play = urls.plays(base, None, NOW).of(&stream, None).flv().to_string();
        for _ in 0..1000 {
            requests.play(what(stream.as_str(), &play, "192.0.2.1", Protocol::Rtmp)).await.unwrap();
        }
    }
}
