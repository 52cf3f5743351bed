//! Puts the parts together, in one order and without a single socket: tests of the whole router run on the same. One function
//! for each group of parts, each taking what was made before it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media::hls::{self, Hls};
use media::hub::{self, Hub};
use media::mix::Mixer;
use media::record::Recorder;
use media::rendition::Renditions;
use media::request::{Request, Requests};
use room::chat::Content;
use room::rules::Rules;
use room::{Event, Millis};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::config::{Mode, Settings};
use crate::figures::Figures;
use crate::http;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::usage::Space;
use crate::web::{Cors, Current};
use access::bans::Bans;
use access::identity::Identity;
use access::limits::Limits;
use access::operator::Operators;
use access::sessions::Sessions;
use chat::bus::{Bus, Noting, Op};
use chat::{self, Chat};
use edge::proxies::Proxies;
use edge::secure::Secure;
use rooms::sweeper::Sweeper;
use rooms::{self, Rooms};
use store::clock::Clock;
use store::{ChatRecord, History, Place, Probe, Store};
use streams::gate::Gate;
use streams::live::{self, Live, Urls};
use streams::nodes::Nodes;
use streams::recorded::Recorded;
use telemetry::logs::Logs;
use telemetry::traces::Traces;
use tencent::clouds::Clouds;
use tencent::im::rest::Rest;
use tencent::im::{ChatService, Follower};
use tencent::live::LiveService;
use webhooks::{Hooks, Whom};

/// Work that goes on behind the calls, until it is dropped.
pub(crate) type Background = Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>;

/// What all groups of parts are made of.
struct Ground {
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    /// Calls cloud services.
    client: outbound::Client,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
    logs: Logs,
    /// The certificate, where this process does TLS.
    secure: Option<Secure>,
    leaving: CancellationToken,
}

impl Ground {
    /// Whether nodes share one Redis.
    fn is_shared(&self) -> bool {
        self.settings.store.kind == Place::Redis
    }

    /// Whether they have the chat of their rooms together.
    fn shares_chat(&self) -> bool {
        self.is_shared() && self.settings.chat.provider == chat::Provider::Embedded
    }
}

fn one(problem: String) -> Error {
    Error::Settings(vec![problem])
}

fn no_store(cause: io::Error) -> Error {
    Error::Files { what: "store", cause }
}

fn unknown(cause: store::error::Error) -> Error {
    no_store(io::Error::other(cause))
}

/// What is there before the parts are put together.
pub(crate) struct Around {
    /// Calls services elsewhere.
    pub client: outbound::Client,
    /// Where RTMP is taken.
    pub rtmp_port: u16,
    /// The certificate, where this process does TLS.
    pub secure: Option<Secure>,
    /// Ends the server of WebRTC, which runs if the settings say so; none: there is none.
    pub webrtc: Option<CancellationToken>,
}

#[cfg(any(test, fuzzing))]
impl Around {
    /// Without a certificate and without WebRTC.
    pub const fn bare(client: outbound::Client) -> Self {
        Self { client, rtmp_port: 1935, secure: None, webrtc: None }
    }
}

/// Puts every part together. Tests say how services elsewhere are reached.
///
/// # Errors
/// [`Error`], naming the setting.
pub(crate) async fn assemble(
    settings: Settings,
    logs: Logs,
    clock: Arc<dyn Clock>,
    around: Around,
) -> Result<(Parts, Background), Error> {
    let metrics = Arc::new(Metrics::new(&http::LABELS, http::codes()));
    let client = around.client.counted(&metrics.cloud);
    let (traces, sender) = Traces::new(&settings.traces, Arc::new(outbound::Client::default())).unzip();
    let settings = Arc::new(settings);
    let leaving = CancellationToken::new();
    let ground = Ground { settings, clock, client, metrics, traces, logs, secure: around.secure, leaving };
    let mut background = Background::new();
    if let Some(sender) = sender {
        background.push(Box::pin(sender.run()));
    }
    let access = Access::new(&ground)?;
    let streams = Streams::new(&ground, &access, around.rtmp_port, around.webrtc.as_ref(), &mut background)?;
    let kept = Kept::open(&ground).await?;
    kept.restore(&ground, &access).await?;
    let hooks = hooks_of(&ground, &kept).await.map_err(one)?;
    let bus = bus_of(&ground, hooks.as_ref()).map_err(one)?;
    let talk = Talk::new(&ground, &kept, bus.as_ref(), &mut background)?;
    talk.groups.restore(&*kept.store).await.map_err(unknown)?;
    let audiences = Arc::new(rooms::Audiences::default());
    let rooms = Arc::new(rooms_of(&ground, &streams, &kept, &talk, &audiences));
    let parts = parts_of(&ground, access, &streams, &kept, &talk, rooms, hooks)?;
    if let Some(hooks) = &parts.hooks {
        let sources = webhooks::Sources {
            hub: parts.hub.clone(),
            mixer: streams.mixer,
            recorder: parts.recorder.clone(),
            bizid: parts.settings.live.bizid,
        };
        background.push(Box::pin(hooks.clone().note_media(sources)));
        background.push(Box::pin(hooks.clone().note_audiences(audiences, parts.store.clone())));
        background.push(Box::pin(hooks.clone().note_messages()));
        background.push(Box::pin(hooks.clone().run()));
    }
    let recorded = recorded_of(&parts, &mut background);
    background.push(Box::pin(parts.gate.clone().keep(streams.asked, recorded, ground.leaving.clone())));
    background.push(Box::pin(parts.rooms.clone().keep_titles()));
    background.push(Box::pin(parts.rooms.clone().record_rooms(parts.hub.clone())));
    let hub = (parts.settings.chat.provider == chat::Provider::Embedded).then(|| parts.chat.clone());
    background.push(Box::pin(parts.rooms.clone().keep_presence(hub)));
    background.push(Box::pin(rooms::carry(kept.committed, talk.chat)));
    background.push(Box::pin(Sweeper::new(kept.store, streams.live, ground.clock.clone(), kept.rules).run()));
    background.push(Box::pin(parts.figures.clone().keep()));
    if let Some(bus) = bus {
        background.push(Box::pin(bus.run(parts.chat.clone())));
    }
    if ground.is_shared() {
        follow(&parts, &mut background);
    }
    Ok((parts, background))
}

/// What publishers may ask to be recorded by, where they may.
fn recorded_of(parts: &Parts, background: &mut Background) -> Option<Arc<Recorded>> {
    let recorded = Arc::new(Recorded::new(parts.recorder.clone()?));
    let hub = parts.hub.clone();
    let follows = recorded.clone();
    background.push(Box::pin(async move { follows.follow(&hub).await }));
    Some(recorded).filter(|_| parts.settings.record.by_publishers)
}

/// All of them, as the rest of the server has them.
fn parts_of(
    ground: &Ground,
    access: Access,
    streams: &Streams,
    kept: &Kept,
    talk: &Talk,
    rooms: Arc<Rooms>,
    hooks: Option<Arc<Hooks>>,
) -> Result<Parts, Error> {
    let settings = &ground.settings;
    let clouds = Clouds::new(settings.clouds(), talk.cloud.clone(), streams.cloud.clone());
    let clouds = match &kept.history {
        Some(history) => clouds.noting(history.clone(), kept.store.clone()),
        None => clouds,
    };
    Ok(Parts {
        figures: Arc::new(Figures::new(streams.hub.clone(), rooms.clone(), talk.groups.clone(), ground.clock.clone())),
        hls: Hls::new(streams.hub.clone(), streams.renditions.clone(), hls::Settings::default()),
        proxies: streams.proxies.clone(),
        cors: Arc::new(Cors::new(&settings.http.cors).map_err(one)?),
        http: Arc::new(Current::new(&settings.http)),
        probe: Arc::new(Probe::new(kept.store.clone())),
        disk: Arc::new(Space::of(&settings.data_dir)),
        clouds: Arc::new(clouds),
        identity: access.identity,
        sessions: access.sessions,
        operators: access.operators,
        bans: access.bans,
        limits: access.limits,
        gate: streams.gate.clone(),
        urls: streams.urls.clone(),
        live: streams.live.clone(),
        hub: streams.hub.clone(),
        renditions: streams.renditions.clone(),
        recorder: streams.recorder.clone(),
        requests: streams.requests.clone(),
        webrtc: streams.webrtc.clone(),
        nodes: streams.nodes.clone(),
        secure: ground.secure.clone(),
        chat: talk.groups.clone(),
        store: kept.store.clone(),
        settings: settings.clone(),
        clock: ground.clock.clone(),
        metrics: ground.metrics.clone(),
        traces: ground.traces.clone(),
        logs: ground.logs.clone(),
        leaving: ground.leaving.clone(),
        rooms,
        hooks,
    })
}

/// Who may do what, in memory.
struct Access {
    identity: Arc<Identity>,
    sessions: Arc<Sessions>,
    operators: Arc<Operators>,
    bans: Arc<Bans>,
    limits: Arc<Limits>,
}

impl Access {
    fn new(ground: &Ground) -> Result<Self, Error> {
        let settings = &ground.settings;
        Ok(Self {
            identity: Arc::new(Identity::new(settings.im.clone()).map_err(one)?),
            sessions: Arc::new(Sessions::new(&settings.sessions).map_err(one)?),
            operators: Arc::new(Operators::new(&settings.operator, settings.mode == Mode::Development)),
            bans: Arc::default(),
            limits: Arc::new(Limits::new(&settings.limits)),
        })
    }
}

/// The media server, the gate that answers its questions, and the other nodes' media.
struct Streams {
    hub: Hub,
    requests: Requests,
    asked: mpsc::Receiver<Request>,
    urls: Arc<Urls>,
    gate: Arc<Gate>,
    proxies: Arc<Proxies>,
    live: Arc<dyn Live>,
    /// The live service elsewhere, where there is one.
    cloud: Option<Arc<LiveService>>,
    /// Mixes, where they are made here.
    mixer: Option<Mixer>,
    renditions: Renditions,
    recorder: Option<Recorder>,
    nodes: Option<Arc<Nodes>>,
    /// WebRTC, if it runs.
    webrtc: Option<media::rtc::Server>,
}

impl Streams {
    fn new(
        ground: &Ground,
        access: &Access,
        rtmp_port: u16,
        webrtc: Option<&CancellationToken>,
        background: &mut Background,
    ) -> Result<Self, Error> {
        let settings = &ground.settings;
        let clock = &ground.clock;
        let most = hub::Settings { max_viewers: settings.limits.stream_viewers, ..Default::default() };
        let hub = Hub::new(most);
        let (requests, asked) = media::request::channel(1024, Duration::from_secs(5));
        let rtmps = settings.tls.rtmps_listen.parse().ok().map(|address: SocketAddr| address.port());
        let urls = Urls::new(&settings.live, rtmp_port).over_tls(rtmps);
        let urls = Arc::new(urls.with_webrtc(settings.webrtc.enabled));
        let address = settings.address(rtmp_port);
        let node = |target| Nodes::new(target, hub.clone(), urls.clone(), clock.clone(), address);
        let nodes = ground.is_shared().then(|| settings.store.target().map(node)).transpose().map_err(one)?;
        let mut mixer = None;
        let (live, cloud): (Arc<dyn Live>, _) = match settings.live.provider {
            live::Provider::Embedded => {
                let mixer = mixer.insert(settings.mix.mixer(&hub)).clone();
                // Without rooms of before there are no mixes of before.
                let lasts = settings.store.kind != Place::Memory;
                let kept = lasts.then(|| live::KeptMixes::open(settings.data_dir.join("mixes.json")));
                let live = live::Embedded::new(hub.clone(), mixer).among(nodes.clone()).keeping(kept);
                background.push(Box::pin(live.clone().resume(ground.leaving.clone())));
                background.push(Box::pin(live.clone().share()));
                (Arc::new(live), None)
            }
            live::Provider::Tencent => {
                let live = Arc::new(LiveService::new(&settings.live, ground.client.clone(), clock.clone()));
                (live.clone(), Some(live))
            }
        };
        let gate = Gate::new(urls.clone(), access.bans.clone(), access.limits.clone(), clock.clone());
        let proxies = Arc::new(Proxies::new(&settings.http.trusted_proxies).map_err(one)?);
        let tells = settings.rtmp.proxy_protocol;
        let carriers = Arc::clone(&proxies);
        let gate = gate.behind(move |address| !tells && carriers.trusts(address));
        let gate = Arc::new(gate.among(nodes.clone()));
        if let Some(nodes) = nodes.clone() {
            background.push(Box::pin(nodes.run()));
        }
        let recorder = settings.record.recorder(&hub, &settings.data_dir);
        let recorder = recorder.map_err(|cause| Error::Files { what: "record.dir", cause })?;
        let renditions = Renditions::new(hub.clone());
        let webrtc = webrtc.filter(|_| settings.webrtc.enabled);
        let webrtc = webrtc.map(|stop| super::webrtc(settings, &hub, &requests, stop)).transpose()?;
        if let (Some(nodes), Some(server)) = (nodes.clone(), webrtc.clone()) {
            background.push(Box::pin(http::answer_of_sessions(nodes, server)));
        }
        Ok(Self { hub, requests, asked, urls, gate, proxies, live, cloud, mixer, renditions, recorder, nodes, webrtc })
    }
}

/// The store, what it commits, and what nodes publish to each other through it.
struct Kept {
    store: Arc<dyn Store>,
    history: Option<Arc<dyn History>>,
    /// Where chat of this process is kept over a restart.
    chats: Option<Arc<dyn ChatRecord>>,
    committed: mpsc::UnboundedReceiver<Vec<Event>>,
    rules: Arc<Rules>,
}

impl Kept {
    async fn open(ground: &Ground) -> Result<Self, Error> {
        let settings = &ground.settings;
        let rules = Arc::new(settings.rooms.rules());
        let (outbox, committed) = mpsc::unbounded_channel();
        let here = settings.chat.provider == chat::Provider::Embedded;
        let tell = ground.shares_chat().then_some(chat::hub::told as store::redis::Tell);
        let now = ground.clock.now();
        let opened = store::open(&settings.store, &settings.data_dir, rules.clone(), outbox, now, tell);
        let store::Opened { store, history, chats } = opened.await.map_err(no_store)?;
        Ok(Self { store, history, chats: chats.filter(|_| here), committed, rules })
    }

    /// Who had logged out, and who was kept out, before the start.
    async fn restore(&self, ground: &Ground, access: &Access) -> Result<(), Error> {
        let now = ground.clock.now();
        match self.store.revoked(Millis(0)).await {
            Ok(revoked) => {
                access.sessions.refuse(&revoked, now);
                access.bans.take(self.store.bans(Millis(0)).await.map_err(unknown)?, now);
                Ok(())
            }
            // What is shared may come later; then it is asked again.
            Err(error) if ground.is_shared() => {
                tracing::warn!(%error, "starting without redis: not ready until it is there");
                Ok(())
            }
            Err(error) => Err(unknown(error)),
        }
    }
}

/// Chat: in this process, and at another service where that has it.
struct Talk {
    groups: Arc<chat::Hub>,
    chat: Arc<dyn Chat>,
    /// The chat service elsewhere, where there is one.
    cloud: Option<Arc<ChatService>>,
}

impl Talk {
    fn new(ground: &Ground, kept: &Kept, bus: Option<&Arc<Bus>>, background: &mut Background) -> Result<Self, Error> {
        let settings = &ground.settings;
        let clock = &ground.clock;
        let groups = Arc::new(match bus {
            None => kept.chats.iter().fold(chat::Hub::new(&settings.chat, clock.clone()), chat::Hub::recorded),
            Some(bus) => chat::Hub::shared(&settings.chat, clock.clone(), bus.clone()),
        });
        if settings.chat.provider == chat::Provider::Embedded {
            return Ok(Self { chat: groups.clone(), groups, cloud: None });
        }
        let client = ground.client.clone();
        let rest = Rest::of(&settings.im, &settings.chat.tencent, client, clock.clone()).map_err(one)?;
        // What is to be told is read from the record of commits, where there is one.
        let (cloud, telling) = ChatService::new(rest, kept.store.clone(), kept.history.is_some());
        background.push(Box::pin(telling.run()));
        if let Some(history) = &kept.history {
            let follower = Follower::new(cloud.clone(), history.clone(), clock.clone());
            background.push(Box::pin(follower.run()));
        }
        Ok(Self { groups, chat: cloud.clone(), cloud: Some(cloud) })
    }
}

fn rooms_of(ground: &Ground, streams: &Streams, kept: &Kept, talk: &Talk, audiences: &Arc<rooms::Audiences>) -> Rooms {
    let rooms = Rooms::new(kept.store.clone(), talk.chat.clone(), ground.clock.clone(), kept.rules.clone());
    let rooms = rooms.until(ground.leaving.clone()).recording(streams.recorder.clone(), ground.settings.live.bizid);
    let rooms = if kept.history.is_some() { rooms.telling(audiences.clone()) } else { rooms };
    // A chat service elsewhere says of viewers that they vanish.
    if talk.cloud.is_some() { rooms.with_chat_elsewhere() } else { rooms }
}

/// What the app's backend is notified of, where the store keeps a record.
async fn hooks_of(ground: &Ground, kept: &Kept) -> Result<Option<Arc<Hooks>>, String> {
    let Some(history) = kept.history.clone() else { return Ok(None) };
    let client = ground.settings.webhooks.client()?.counted(&ground.metrics.webhooks);
    let post: Arc<dyn webhooks::Post> = Arc::new(client.for_webhooks());
    let hooks = Hooks::new(&ground.settings.webhooks, post, history, ground.clock.clone());
    hooks.begin().await;
    Ok(Some(hooks))
}

/// The way between nodes that have the chat together. What clients say is noted for the app's backend in the step that numbers it.
fn bus_of(ground: &Ground, hooks: Option<&Arc<Hooks>>) -> Result<Option<Arc<Bus>>, String> {
    if !ground.shares_chat() {
        return Ok(None);
    }
    let noting = hooks.map(|hooks| {
        hooks.are_noted_elsewhere();
        let hooks = hooks.clone();
        let noting: Noting = Box::new(move |op| {
            let (whom, at, said) = match op {
                Op::Message { group, at, content: Content::Said(said) } => (Whom::Room(group), *at, said),
                Op::Direct { to, at, said, .. } => (Whom::User(to), *at, said),
                _ => return None,
            };
            hooks.note_unnumbered(whom, at, said)
        });
        noting
    });
    Bus::open(&ground.settings.store, noting).map(Some)
}

/// A user who logged out or was removed at another node is so here too.
fn follow(parts: &Parts, background: &mut Background) {
    let sessions = parts.sessions.clone();
    let store = parts.store.clone();
    let clock = parts.clock.clone();
    background.push(Box::pin(async move { sessions.follow(&*store, &*clock).await }));
    let moderation = parts.moderation();
    background.push(Box::pin(async move { moderation.follow().await }));
}
