//! Puts the server together, in one order, and runs it until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media::hub::{self, Hub};
use room::Millis;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::chat::{self, Chat};
use crate::clock::{self, Clock};
use crate::config::Settings;
use crate::http::Cors;
use crate::identity::Identity;
use crate::live::{self, Live, Urls};
use crate::logs::Logs;
use crate::operator::Operators;
use crate::rooms::{self, Rooms};
use crate::sessions::Sessions;
use crate::store;
use crate::sweeper::Sweeper;
use crate::{cloud, gate, hooks, http, keys};

/// How long running work may take after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

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
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts a server. It runs until [`Server::stop`].
    ///
    /// # Errors
    /// [`Error`], naming the setting.
    pub async fn start(mut settings: Settings) -> Result<Self, Error> {
        // Settings, keys, logs: everything that can be wrong before a socket is opened.
        keys::complete(&mut settings).map_err(|cause| Error::Files { what: "keys in data_dir", cause })?;
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(Error::Settings(problems));
        }
        let one = |problem: String| Error::Settings(vec![problem]);
        let identity = Identity::new(settings.im.clone()).map_err(one)?;
        let sessions = Sessions::new(&settings.sessions).map_err(one)?;
        let cors = Cors::new(&settings.http.cors).map_err(one)?;
        let logs =
            Logs::open(&settings.logs, &settings.data_dir).map_err(|cause| Error::Files { what: "logs", cause })?;
        logs.subscribe(&settings.logs);

        // Sockets, so that what cannot be had is known before anything runs.
        let http_listener = listen("http.listen", settings.http.listen).await?;
        let http_address = http_listener.local_addr().unwrap_or(settings.http.listen);
        let rtmp_listener = match settings.rtmp.enabled {
            true => Some(listen("rtmp.listen", settings.rtmp.listen).await?),
            false => None,
        };
        let rtmp_address = rtmp_listener.as_ref().and_then(|l| l.local_addr().ok());

        // The media server, and the gate that answers its questions.
        let clock: Arc<dyn Clock> = Arc::new(clock::System);
        let hub = Hub::new(hub::Settings::default());
        let (requests, asked) = media::request::channel(1024, Duration::from_secs(5));
        let urls = Arc::new(Urls::new(&settings.live, rtmp_address.map_or(1935, |a| a.port())));
        let live: Arc<dyn Live> = match settings.live.provider {
            live::Provider::Embedded => Arc::new(live::Embedded(hub.clone())),
        };

        // Rooms: the store commits, the carrier tells the neighbours, the sweeper lets time pass.
        let rules = Arc::new(settings.rooms.rules());
        let (outbox, committed) = mpsc::unbounded_channel();
        let opened = store::open(&settings.store, &settings.data_dir, rules.clone(), outbox, clock.now());
        let store::Opened { store, history } = opened.await.map_err(|cause| Error::Files { what: "store", cause })?;
        let known = |cause: crate::error::Error| Error::Files { what: "store", cause: io::Error::other(cause) };
        sessions.refuse(&store.revoked(Millis(0)).await.map_err(known)?, clock.now());
        let chat: Arc<dyn Chat> = match settings.chat.provider {
            chat::Provider::Embedded => Arc::new(chat::Embedded::default()),
        };
        // Rooms that were there before have their groups again before anybody can ask for them.
        for room in store.ids().await.map_err(known)? {
            chat.open(&room).await.map_err(known)?;
        }
        let rooms = Rooms::new(store.clone(), chat.clone(), clock.clone(), rules.clone());
        let sweeper = Sweeper::new(store.clone(), live.clone(), clock.clone(), rules);

        let app = Arc::new(App {
            operators: Operators::new(&settings.operator, settings.mode),
            identity,
            sessions,
            urls: urls.clone(),
            live,
            store,
            rooms,
            hub: hub.clone(),
            requests: requests.clone(),
            logs,
            cors,
            clock: clock.clone(),
            settings,
        });

        // And everything runs. Background work is dropped at the end; servers are told and waited for.
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let background = |work| {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(work).await });
        };
        background(boxed(gate::keep(asked, urls, clock)));
        background(boxed(rooms::carry(committed, chat)));
        background(boxed(sweeper.run()));
        if let Some(history) = history.filter(|_| !app.settings.webhooks.urls.is_empty()) {
            let post: Arc<dyn hooks::Post> = Arc::new(cloud::Client::default());
            let bizid = app.settings.live.bizid;
            background(boxed(hooks::note(hub.events(), history.clone(), app.clock.clone(), bizid)));
            for hook in hooks::Hook::all(&app.settings.webhooks, &post, &history, &app.clock) {
                background(boxed(hook.run()));
            }
        }
        if app.settings.store.kind == store::Place::Redis {
            // Who logged out at another node is logged out here too.
            let app = app.clone();
            background(boxed(async move { app.sessions.follow(&*app.store, &*app.clock).await }));
        }
        if let Some(listener) = rtmp_listener {
            tasks.spawn(media::rtmp::serve(listener, hub, requests, media::rtmp::Limits::default(), stop.clone()));
        }
        let (router, http_settings, stopped) = (http::router(app.clone()), app.settings.http.clone(), stop.clone());
        tasks.spawn(async move { http::serve(http_listener, router, &http_settings, stopped).await });
        tasks.close();
        Ok(Self { app, http: http_address, rtmp: rtmp_address, stop, tasks })
    }

    /// Stops accepting, lets running answers end, and returns; bounded in time.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end in time and is dropped");
        }
        self.app.logs.flush();
    }
}

fn boxed(work: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(work)
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|cause| Error::Listen { setting, address, cause })
}
