//! Puts the server together, in one order, and runs it until it is stopped.

mod assemble;
mod doors;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::Ended;
use media::hub::Hub;
use media::request::Requests;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Mode, Settings};
use crate::doctor::{self, Level};
use crate::drain;
use crate::http::{self, Doors, Routes};
use crate::keys;
use crate::parts::Parts;
use crate::usage;
use edge::Door;
use edge::secure::Secure;
use edge::tls::Tls;
use store::clock::{self, Clock};
use telemetry::logs::{Logs, Spare};
use tencent::clouds::Clouds;

#[cfg(test)]
pub(crate) use assemble::Background;
pub(crate) use assemble::{Around, assemble};
#[cfg(any(test, fuzzing))]
pub(crate) use doors::open as doors_of;

/// Connections that wait to be accepted; the kernel's own bound (net.core.somaxconn) holds too.
const QUEUE: u32 = 4096;
/// How long running work may take after the server was stopped.
const DRAIN: Duration = Duration::from_secs(10);
/// How much of that it may take until recordings are complete, and told.
const FILES: Duration = Duration::from_secs(5);
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
    pub app: Arc<Parts>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it takes RTMP, if it does.
    pub rtmp: Option<SocketAddr>,
    /// Where it serves its metrics, if it has an address for them alone.
    pub metrics: Option<SocketAddr>,
    /// Where a private network reaches it by HTTPS, if it does.
    pub lan: Option<SocketAddr>,
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
        if let Some(found) = doctor::recordings(&settings).await {
            match (found.level, found.problem()) {
                (_, None) => {}
                (Level::Fail, Some(problem)) => tracing::error!("{problem}"),
                (_, Some(problem)) => tracing::warn!("{problem}"),
            }
        }
        // Sockets, so that what cannot be had is known before anything runs.
        let sockets = Sockets::open(&settings).await?;
        let http = sockets.http_address;
        let rtmp = at(sockets.rtmp.as_ref());
        let metrics = at(sockets.metrics.as_ref());
        let lan = sockets.lan.as_ref().and_then(|lan| at(Some(&lan.http)));
        let secure = Secure::open(&settings.tls, &settings.data_dir).map_err(unread)?;
        let tls = |of: fn(&Secure) -> _| secure.as_ref().map(of).transpose().map_err(unread);
        let https = tls(Secure::https)?;
        let rtmps = tls(Secure::rtmps)?;
        let clock: Arc<dyn Clock> = Arc::new(clock::System);
        let rtmp_port = rtmp.map_or(1935, |a| a.port());
        let stop = CancellationToken::new();
        let begun = stop.clone().drop_guard();
        let around = Around { client: Clouds::client(), rtmp_port, secure, webrtc: Some(stop.clone()) };
        let (parts, background) = assemble(settings, logs, clock, around).await?;
        // From here on it is ended by `stop` alone.
        begun.disarm();
        let tasks = TaskTracker::new();
        // And everything runs. Background work is dropped at the end; servers are told and waited for.
        let server = Self { app: Arc::new(parts), http, rtmp, metrics, lan, stop, tasks };
        for work in background {
            let stop = server.stop.clone();
            server.tasks.spawn(async move { stop.run_until_cancelled(work).await });
        }
        server.tasks.spawn(server.app.chat.clone().run(server.stop.clone()));
        server.serve(sockets, https, rtmps);
        server.tasks.close();
        Ok(server)
    }

    /// Accepts at every socket.
    fn serve(&self, sockets: Sockets, https: Option<Tls>, rtmps: Option<Tls>) {
        let parts = &self.app;
        let stop = &self.stop;
        let tasks = &self.tasks;
        let door = |proxy_protocol, tls| Door {
            limits: parts.limits.clone(),
            proxies: parts.proxies.clone(),
            proxy_protocol,
            tls,
        };
        let (guests, come) = mpsc::channel(64);
        let mut lan = sockets.lan;
        let lan_rtmp = lan.as_mut().and_then(|lan| lan.rtmp.take());
        for (listener, tls) in [(sockets.rtmp, None), (sockets.rtmps, rtmps), (lan_rtmp, None)] {
            let Some(listener) = listener else { continue };
            let door = door(parts.settings.rtmp.proxy_protocol, tls);
            tasks.spawn(door.hand_on(listener, guests.clone(), stop.clone()));
        }
        if let Some(listener) = sockets.nodes {
            tasks.spawn(Door::of_nodes(&parts.limits).hand_on(listener, guests.clone(), stop.clone()));
        }
        // How many an address may have is the door's affair.
        let limits = media::rtmp::Limits { per_address: usize::MAX, ..Default::default() };
        tasks.spawn(media::rtmp::serve_each(come, parts.hub.clone(), parts.requests.clone(), limits, stop.clone()));
        let doors = self.doors();
        let https = door(parts.settings.http.proxy_protocol, https);
        tasks.spawn(http::serve(sockets.http, https, Routes::all(&doors), stop.clone()));
        if let Some(lan) = lan {
            let routes = Routes::lan(&doors, lan.authority);
            tasks.spawn(http::serve(lan.http, door(false, Some(lan.tls)), routes, stop.clone()));
        }
        if let Some(listener) = sockets.metrics {
            tasks.spawn(http::serve(listener, door(false, None), Routes::watch(&doors), stop.clone()));
        }
        if let Some(listener) = sockets.redirect {
            let answers = parts.secure.as_ref().and_then(Secure::answers);
            let routes = Routes::redirect(&doors.web, self.http.port(), answers);
            tasks.spawn(http::serve(listener, door(parts.settings.http.proxy_protocol, None), routes, stop.clone()));
        }
        if let Some(secure) = parts.secure.clone() {
            tasks.spawn(stop.clone().run_until_cancelled_owned(secure.keep()));
        }
    }

    /// What each group of handlers works with.
    #[must_use]
    pub fn doors(&self) -> Doors {
        doors::open(&self.app)
    }

    /// Lets no session in any more, and returns when those that are here have gone or `patience` is over; see [`drain::leave`].
    pub async fn drain(&self, patience: Duration) {
        self.app.leaving.cancel();
        drain::leave(&self.app.hub, &self.app.chat, self.is_alone(), patience).await;
    }

    /// Whether no other node has the same rooms.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.app.settings.store.kind != store::Place::Redis
    }

    /// Ends recordings, while there is somebody to tell of it.
    async fn end_recordings(&self) {
        let Some(recorder) = &self.app.recorder else { return };
        let end = async {
            match &self.app.hooks {
                Some(hooks) => hooks.end_recordings(recorder, self.app.settings.live.bizid).await,
                None => recorder.close().await,
            }
        };
        if tokio::time::timeout(FILES, end).await.is_err() {
            tracing::warn!("recordings did not end in time: they are complete after the next start");
        }
    }

    /// Stops accepting, notifies sessions that are still here, lets running answers end, and returns; bounded in time.
    pub async fn stop(self) {
        self.app.leaving.cancel();
        let begun = Instant::now();
        self.end_recordings().await;
        self.stop.cancel();
        // Players and publishers are notified that it is over; nothing notes that as the end of a stream, which may well be
        // pushed on after a restart.
        for stream in self.app.hub.list() {
            self.app.hub.end(&stream.name, Ended::Shutdown);
        }
        if let Some(webrtc) = &self.app.webrtc {
            let _ = tokio::time::timeout(GOODBYES, drain::goodbyes(webrtc)).await;
        }
        if tokio::time::timeout(DRAIN.saturating_sub(begun.elapsed()), self.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end in time and is dropped");
        }
        self.app.logs.flush();
    }
}

/// Opens the log files.
///
/// # Errors
/// [`Error`], naming the directory's setting.
pub(crate) fn open_logs(settings: &Settings) -> Result<Logs, Error> {
    // Of a disk that recordings may be on, too, as much stays free as they leave.
    let spare = Spare { disk: usage::disk, of: media::record::spare };
    Logs::open(&settings.logs, &settings.data_dir, Some(spare)).map_err(|cause| Error::Files { what: "logs", cause })
}

/// Browsers get the port in every answer, so in development a second server takes whatever is free.
fn webrtc(
    settings: &Settings,
    hub: &Hub,
    requests: &Requests,
    stop: &CancellationToken,
) -> Result<media::rtc::Server, Error> {
    let start = |config| media::rtc::Server::start(config, hub.clone(), requests.clone(), stop.clone());
    let mut config = match settings.mode {
        Mode::Development => match settings.lan {
            Some(address) => settings.webrtc.lan_config(address),
            None => settings.webrtc.local_config(),
        },
        Mode::Production => settings.webrtc.config(),
    };
    config.strangers = settings.limits.address_datagrams.pace();
    let most = settings.webrtc.renditions;
    config.renditions = (most > 0).then(|| settings.mix.making(most));
    let started = match start(config.clone()) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && settings.mode == Mode::Development => {
            config.udp.set_port(0);
            config.tcp = config.tcp.map(|address| SocketAddr::new(address.ip(), 0));
            start(config)
        }
        other => other,
    };
    started.map_err(|cause| Error::Listen { setting: "webrtc.listen", address: settings.webrtc.listen, cause })
}

/// The sockets that the settings ask for.
struct Sockets {
    http: TcpListener,
    http_address: SocketAddr,
    rtmp: Option<TcpListener>,
    rtmps: Option<TcpListener>,
    redirect: Option<TcpListener>,
    metrics: Option<TcpListener>,
    nodes: Option<TcpListener>,
    lan: Option<Lan>,
}

/// What a private network is served by, at the port numbers of this machine's own.
struct Lan {
    http: TcpListener,
    tls: Tls,
    /// Who signed the certificate, as PEM.
    authority: String,
    rtmp: Option<TcpListener>,
}

impl Lan {
    async fn open(settings: &Settings, http: SocketAddr, rtmp: Option<SocketAddr>) -> Result<Option<Self>, Error> {
        let Some(address) = settings.lan else { return Ok(None) };
        let files = edge::lan::Lan::of(address, &settings.data_dir);
        let now = clock::System.now().0 / 1000;
        let (certificate, authority) = files.open(address, now.try_into().unwrap_or(i64::MAX)).map_err(unread)?;
        let rtmp = match rtmp {
            Some(rtmp) => Some(listen("--lan", SocketAddr::new(address, rtmp.port())).await?),
            None => None,
        };
        let http = listen("--lan", SocketAddr::new(address, http.port())).await?;
        let tls = Tls::new(&certificate, &[b"h2", b"http/1.1"]).map_err(unread)?;
        Ok(Some(Self { http, tls, authority, rtmp }))
    }
}

impl Sockets {
    async fn open(settings: &Settings) -> Result<Self, Error> {
        let optional = async |setting, text: &str| match text.parse() {
            Ok(address) => listen(setting, address).await.map(Some),
            Err(_) => Ok(None),
        };
        let http = listen("http.listen", settings.http.listen).await?;
        let http_address = http.local_addr().unwrap_or(settings.http.listen);
        let rtmp = if settings.rtmp.enabled { Some(listen("rtmp.listen", settings.rtmp.listen).await?) } else { None };
        Ok(Self {
            lan: Lan::open(settings, http_address, at(rtmp.as_ref())).await?,
            metrics: optional("metrics.listen", &settings.metrics.listen).await?,
            rtmps: optional("tls.rtmps_listen", &settings.tls.rtmps_listen).await?,
            redirect: optional("tls.redirect_listen", &settings.tls.redirect_listen).await?,
            nodes: optional("nodes.listen", &settings.nodes.listen).await?,
            http,
            http_address,
            rtmp,
        })
    }
}

/// Where a listener is, if there is one.
fn at(listener: Option<&TcpListener>) -> Option<SocketAddr> {
    listener.and_then(|listener| listener.local_addr().ok())
}

fn unread(cause: io::Error) -> Error {
    Error::Files { what: "TLS certificate", cause }
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(QUEUE)
    };
    open().map_err(|cause| Error::Listen { setting, address, cause })
}

#[cfg(test)]
mod tests;
