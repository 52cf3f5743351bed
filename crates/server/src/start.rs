//! Puts the server together, in one order, and runs it until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use media::Ended;
use media::hls::{self, Hls};
use media::hub::{self, Hub};
use media::rendition::Renditions;
use room::Millis;
use room::chat::Content;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::{Mode, Settings};
use crate::drain;
use crate::figures::{self, Figures};
use crate::http;
use crate::http::{Cors, Current};
use crate::keys;
use crate::metrics::Metrics;
use access::bans::Bans;
use access::identity::Identity;
use access::limits::Limits;
use access::operator::Operators;
use access::sessions::Sessions;
use chat::bus::{Bus, Op};
use chat::{self, Chat};
use edge::Door;
use edge::proxies::Proxies;
use edge::secure::Secure;
use rooms::sweeper::Sweeper;
use rooms::{self, Rooms};
use store::clock::{self, Clock};
use streams::gate::Gate;
use streams::live::{self, Live, Urls};
use streams::nodes::Nodes;
use telemetry::logs::Logs;
use telemetry::traces::Traces;
use tencent::clouds::Clouds;
use webhooks::Whom;

/// How long running work may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long WebRTC may take to say goodbye, from its own threads.
const GOODBYES: Duration = Duration::from_secs(1);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings do not fit; one line each.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// An address cannot be listened on.
    #[error("{setting} = {address}: {cause}")]
    Listen {
        /// The setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// Files cannot be read or written.
    #[error("{what}: {cause}")]
    Files {
        /// Which.
        what: &'static str,
        /// What the system said.
        cause: io::Error,
    },
}

/// A running server.
pub struct Server {
    /// Its parts.
    pub app: Arc<App>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it takes RTMP, if it does.
    pub rtmp: Option<SocketAddr>,
    /// Where it tells its figures, if it has an address for them alone.
    pub metrics: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// How long [`Server::stop`] takes at most, where disks answer.
    pub const LONGEST_STOP: Duration = Duration::from_secs(DRAIN.as_secs() + GOODBYES.as_secs());

    /// Starts a server. It runs until [`Server::stop`].
    ///
    /// # Errors
    /// [`Error`], naming the setting.
    pub async fn start(mut settings: Settings) -> Result<Self, Error> {
        // Settings and keys: what can be wrong before a socket is opened.
        keys::complete(&mut settings).map_err(|cause| Error::Files { what: "keys in data_dir", cause })?;
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(Error::Settings(problems));
        }
        // The log, so that what every other part has to say of its start is read.
        let logs = open_logs(&settings)?;
        logs.subscribe(&settings.logs);
        settings.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        // Sockets, so that what cannot be had is known before anything runs.
        let http_listener = listen("http.listen", settings.http.listen).await?;
        let http_address = http_listener.local_addr().unwrap_or(settings.http.listen);
        let rtmp_listener = match settings.rtmp.enabled {
            true => Some(listen("rtmp.listen", settings.rtmp.listen).await?),
            false => None,
        };
        let optional = async |setting, text: &str| match text.parse() {
            Ok(address) => listen(setting, address).await.map(Some),
            Err(_) => Ok(None),
        };
        let metrics_listener = optional("metrics.listen", &settings.metrics.listen).await?;
        let rtmps_listener = optional("tls.rtmps_listen", &settings.tls.rtmps_listen).await?;
        let redirect_listener = optional("tls.redirect_listen", &settings.tls.redirect_listen).await?;
        let nodes_listener = optional("nodes.listen", &settings.nodes.listen).await?;
        let metrics_address = metrics_listener.as_ref().and_then(|l| l.local_addr().ok());
        let unread = |cause| Error::Files { what: "TLS certificate", cause };
        let secure = Secure::open(&settings.tls, &settings.data_dir).map_err(unread)?;
        let tls = |of: fn(&Secure) -> _| secure.as_ref().map(of).transpose().map_err(unread);
        let (https, rtmps) = (tls(Secure::https)?, tls(Secure::rtmps)?);
        let rtmp_address = rtmp_listener.as_ref().and_then(|l| l.local_addr().ok());

        let clock: Arc<dyn Clock> = Arc::new(clock::System);
        let rtmp_port = rtmp_address.map_or(1935, |a| a.port());
        let (app, background) = assemble(settings, logs, clock, Clouds::client(), rtmp_port, |_| {}).await?;
        secure.iter().for_each(|secure| _ = app.secure.set(secure.clone()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if app.settings.webrtc.enabled {
            let _ = app.webrtc.set(webrtc(&app, &stop)?);
        }

        // And everything runs. Background work is dropped at the end; servers are told and waited for.
        for work in background {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(work).await });
        }
        tasks.spawn(app.chat.clone().run(stop.clone()));
        let door = |proxy_protocol, tls| {
            let (limits, proxies) = (app.limits.clone(), app.proxies.clone());
            Door { limits, proxies, proxy_protocol, tls }
        };
        let (guests, come) = mpsc::channel(64);
        for (listener, tls) in [(rtmp_listener, None), (rtmps_listener, rtmps)] {
            let Some(listener) = listener else { continue };
            let door = door(app.settings.rtmp.proxy_protocol, tls);
            tasks.spawn(door.hand_on(listener, guests.clone(), stop.clone()));
        }
        if let Some(listener) = nodes_listener {
            tasks.spawn(Door::of_nodes(&app.limits).hand_on(listener, guests.clone(), stop.clone()));
        }
        // How many an address may have is the door's affair.
        let limits = media::rtmp::Limits { per_address: usize::MAX, ..Default::default() };
        tasks.spawn(media::rtmp::serve_each(come, app.hub.clone(), app.requests.clone(), limits, stop.clone()));
        let https = door(app.settings.http.proxy_protocol, https);
        tasks.spawn(http::serve(http_listener, https, http::Doors::all(&app), stop.clone()));
        if let Some(listener) = metrics_listener {
            tasks.spawn(http::serve(listener, door(false, None), http::Doors::watch(&app), stop.clone()));
        }
        if let Some(listener) = redirect_listener {
            let doors = http::Doors::redirect(&app, http_address.port());
            tasks.spawn(http::serve(listener, door(app.settings.http.proxy_protocol, None), doors, stop.clone()));
        }
        if let Some(secure) = secure {
            tasks.spawn(stop.clone().run_until_cancelled_owned(secure.keep()));
        }
        tasks.close();
        Ok(Self { app, http: http_address, rtmp: rtmp_address, metrics: metrics_address, stop, tasks })
    }

    /// Lets nobody in any more, and returns when those who are here have gone or `patience` is over; see [`drain::leave`].
    pub async fn drain(&self, patience: Duration) {
        drain::leave(&self.app, patience).await;
    }

    /// Stops accepting, tells who is still here, lets running answers end, and returns; bounded in time.
    pub async fn stop(self) {
        self.app.leaving.cancel();
        self.stop.cancel();
        // Players and publishers are told that it is over; nobody notes that as the end of a stream, which may well be
        // pushed on after a restart.
        for stream in self.app.hub.list() {
            self.app.hub.end(&stream.name, Ended::Shutdown);
        }
        let _ = tokio::time::timeout(GOODBYES, drain::goodbyes(&self.app)).await;
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end in time and is dropped");
        }
        self.app.logs.flush();
    }
}

/// Work that goes on behind the calls, until it is dropped.
pub(crate) type Background = Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Opens the log files.
///
/// # Errors
/// [`Error`], naming the directory's setting.
pub(crate) fn open_logs(settings: &Settings) -> Result<Logs, Error> {
    Logs::open(&settings.logs, &settings.data_dir).map_err(|cause| Error::Files { what: "logs", cause })
}

/// Puts every part together, without a single socket: what tests of the whole router run on. They say how
/// services elsewhere are reached, and may `exchange` parts before anything holds on to them.
///
/// # Errors
/// [`Error`], naming the setting.
pub(crate) async fn assemble(
    settings: Settings,
    logs: Logs,
    clock: Arc<dyn Clock>,
    client: outbound::Client,
    rtmp_port: u16,
    exchange: impl FnOnce(&mut App),
) -> Result<(Arc<App>, Background), Error> {
    let one = |problem: String| Error::Settings(vec![problem]);
    let identity = Identity::new(settings.im.clone()).map_err(one)?;
    let sessions = Sessions::new(&settings.sessions).map_err(one)?;
    let cors = Cors::new(&settings.http.cors).map_err(one)?;

    // The media server, and the gate that answers its questions.
    let hub = Hub::new(hub::Settings { max_viewers: settings.limits.stream_viewers, ..Default::default() });
    let (requests, asked) = media::request::channel(1024, Duration::from_secs(5));
    let rtmps = settings.tls.rtmps_listen.parse().ok().map(|address: SocketAddr| address.port());
    let urls = Arc::new(Urls::new(&settings.live, rtmp_port).over_tls(rtmps));
    let limits = Arc::new(Limits::new(&settings.limits));
    let (traces, sender) = Traces::new(&settings.traces, Arc::new(outbound::Client::default())).unzip();
    let proxies = Arc::new(Proxies::new(&settings.http.trusted_proxies).map_err(one)?);
    let metrics = Arc::new(Metrics::new(&http::LABELS));
    let client = client.counted(&metrics.cloud);
    let shared = settings.store.kind == store::Place::Redis;
    let node = |target| Nodes::new(target, hub.clone(), urls.clone(), clock.clone(), settings.address(rtmp_port));
    let nodes = shared.then(|| settings.store.target().map(node)).transpose().map_err(one)?;
    let (mut mixer, mut work): (_, Background) = (None, Vec::new());
    let (live, live_cloud): (Arc<dyn Live>, _) = match settings.live.provider {
        live::Provider::Embedded => {
            let mixer = mixer.insert(settings.mix.mixer(&hub)).clone();
            let live = live::Embedded::new(hub.clone(), mixer).among(nodes.clone());
            work.push(Box::pin(live.clone().share()));
            (Arc::new(live), None)
        }
        live::Provider::Tencent => {
            let live = Arc::new(tencent::live::LiveService::new(&settings.live, client.clone(), clock.clone()));
            (live.clone(), Some(live))
        }
    };
    let bans = Arc::new(Bans::default());
    let gate = Gate::new(urls.clone(), bans.clone(), limits.clone(), clock.clone());
    let gate = Arc::new(gate.among(nodes.clone()));
    let renditions = Renditions::new(hub.clone());
    let recorder = settings.record.recorder(&hub, &settings.data_dir);
    let recorder = recorder.map_err(|cause| Error::Files { what: "record.dir", cause })?;

    // Rooms: the store commits, the carrier tells the neighbours, the sweeper lets time pass.
    let rules = Arc::new(settings.rooms.rules());
    let (outbox, committed) = mpsc::unbounded_channel();
    // Where Redis keeps rooms, it also keeps their chat groups, which hear of changes in the commit.
    let bus = (shared && settings.chat.provider == chat::Provider::Embedded).then(|| Bus::open(&settings.store));
    let bus = bus.transpose().map_err(one)?;
    let tell = bus.as_ref().map(|_| chat::hub::told as store::redis::Tell);
    let opened = store::open(&settings.store, &settings.data_dir, rules.clone(), outbox, clock.now(), tell);
    let store::Opened { store, history, chats } =
        opened.await.map_err(|cause| Error::Files { what: "store", cause })?;
    let known = |cause: store::error::Error| Error::Files { what: "store", cause: io::Error::other(cause) };
    match store.revoked(Millis(0)).await {
        Ok(revoked) => {
            sessions.refuse(&revoked, clock.now());
            bans.take(store.bans(Millis(0)).await.map_err(known)?, clock.now());
        }
        // What is shared may come later; then it is asked again.
        Err(error) if shared => tracing::warn!(%error, "starting without redis: not ready until it is there"),
        Err(error) => return Err(known(error)),
    }
    let groups = Arc::new(match &bus {
        None => {
            let hub = chat::Hub::new(&settings.chat, clock.clone());
            let kept = chats.filter(|_| settings.chat.provider == chat::Provider::Embedded);
            kept.into_iter().fold(hub, chat::Hub::recorded)
        }
        Some(bus) => chat::Hub::shared(&settings.chat, clock.clone(), bus.clone()),
    });
    groups.restore(&*store).await.map_err(known)?;
    let (chat, chat_cloud): (Arc<dyn Chat>, _) = match settings.chat.provider {
        chat::Provider::Embedded => (groups.clone(), None),
        chat::Provider::Tencent => {
            let rest = tencent::im::rest::Rest::of(&settings.im, &settings.chat.tencent, client, clock.clone())
                .map_err(one)?;
            // What is to be told is read from the record of commits, where there is one.
            let (chat, telling) = tencent::im::ChatService::new(rest, store.clone(), history.is_some());
            work.push(Box::pin(telling.run()));
            if let Some(history) = &history {
                let follower = tencent::im::Follower::new(chat.clone(), history.clone(), clock.clone());
                work.push(Box::pin(follower.run()));
            }
            (chat.clone(), Some(chat))
        }
    };
    let clouds = Clouds::new(settings.clouds(), chat_cloud, live_cloud);
    let leaving = CancellationToken::new();
    let audiences = Arc::new(rooms::Audiences::default());
    let rooms = Rooms::new(store.clone(), chat.clone(), clock.clone(), rules.clone());
    let mut rooms = rooms.until(leaving.clone());
    if history.is_some() {
        rooms = rooms.telling(audiences.clone());
    }
    let sweeper = Sweeper::new(store.clone(), live.clone(), clock.clone(), rules);

    // What the app's backend is told of all this.
    let hooks = history.map(|history| {
        let post: Arc<dyn webhooks::Post> =
            Arc::new(outbound::Client::default().counted(&metrics.webhooks).for_webhooks());
        let hooks = webhooks::Hooks::new(&settings.webhooks, post, history, clock.clone());
        bus.iter().for_each(|bus| note_messages_of(bus, &hooks));
        hooks
    });
    futures_util::future::OptionFuture::from(hooks.as_ref().map(|hooks| hooks.begin())).await;
    let mut app = App {
        hooks: hooks.clone(),
        leaving: leaving.clone(),
        operators: Operators::new(&settings.operator, settings.mode == Mode::Development),
        identity,
        sessions,
        bans: bans.clone(),
        gate: gate.clone(),
        urls,
        live,
        clouds,
        chat: groups,
        probe: store::Probe::new(store.clone()),
        store,
        rooms,
        hls: Hls::new(hub.clone(), renditions.clone(), hls::Settings::default()),
        renditions,
        recorder: recorder.clone(),
        hub,
        webrtc: OnceLock::new(),
        secure: OnceLock::new(),
        requests,
        logs,
        limits,
        proxies,
        traces,
        metrics,
        figures: Figures::default(),
        cors,
        http: Current::new(&settings.http),
        clock: clock.clone(),
        settings,
    };
    exchange(&mut app);
    let app = Arc::new(app);
    let mut background: Background = vec![
        Box::pin(gate.keep(asked, recorder, leaving)),
        Box::pin(rooms::carry(committed, chat)),
        Box::pin(sweeper.run()),
        Box::pin(figures::keep(app.clone())),
    ];
    background.append(&mut work);
    if let Some(sender) = sender {
        background.push(Box::pin(sender.run()));
    }
    if let Some(hooks) = hooks {
        let (hub, recorder, bizid) = (app.hub.clone(), app.recorder.clone(), app.settings.live.bizid);
        background.push(Box::pin(hooks.clone().note_media(webhooks::Sources { hub, mixer, recorder, bizid })));
        background.push(Box::pin(hooks.clone().note_audiences(audiences, app.store.clone())));
        background.push(Box::pin(hooks.clone().note_messages()));
        background.push(Box::pin(hooks.run()));
    }
    if let Some(bus) = bus {
        background.push(Box::pin(bus.run(app.chat.clone())));
    }
    if let Some(nodes) = nodes {
        background.push(Box::pin(nodes.run()));
    }
    if shared {
        // Who logged out or was put out at another node is so here too.
        let (first, second) = (app.clone(), app.clone());
        background.push(Box::pin(async move { first.sessions.follow(&*first.store, &*first.clock).await }));
        background.push(Box::pin(async move { second.moderation().follow().await }));
    }
    Ok((app, background))
}

/// From now on what clients say is noted for the app's backend in the step that numbers it.
fn note_messages_of(bus: &Bus, hooks: &Arc<webhooks::Hooks>) {
    hooks.are_noted_elsewhere();
    let hooks = hooks.clone();
    bus.note(Box::new(move |op| {
        let (whom, at, said) = match op {
            Op::Message { group, at, content: Content::Said(said) } => (Whom::Room(group), *at, said),
            Op::Direct { to, at, said, .. } => (Whom::User(to), *at, said),
            _ => return None,
        };
        hooks.note_unnumbered(whom, at, said)
    }));
}

/// Browsers are told the port in every answer, so in development a second server takes whatever is free.
fn webrtc(app: &App, stop: &CancellationToken) -> Result<media::rtc::Server, Error> {
    let start = |config| media::rtc::Server::start(config, app.hub.clone(), app.requests.clone(), stop.clone());
    let settings = &app.settings;
    let mut config = settings.webrtc.config();
    config.strangers = settings.limits.address_datagrams.pace();
    let started = match start(config.clone()) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && settings.mode == Mode::Development => {
            config.udp.set_port(0);
            start(config)
        }
        other => other,
    };
    started.map_err(|cause| Error::Listen { setting: "webrtc.listen", address: settings.webrtc.listen, cause })
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|cause| Error::Listen { setting, address, cause })
}

#[cfg(test)]
mod tests;
