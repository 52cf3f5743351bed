//! The parts of a running server: what is put together at the start, and what takes other settings at a reload. Handlers
//! never see it; each group of them has a door with the parts that it needs.

use std::sync::Arc;

use media::hls::Hls;
use media::hub::Hub;
use media::record::Recorder;
use media::rendition::Renditions;
use media::request::Requests;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::figures::Figures;
use crate::metrics::Metrics;
use crate::usage::Space;
use crate::web::{Cors, Current, Web};
use access::bans::Bans;
use access::identity::Identity;
use access::limits::Limits;
use access::operator::Operators;
use access::sessions::Sessions;
use edge::proxies::Proxies;
use edge::secure::Secure;
use rooms::Rooms;
use rooms::moderation::Moderation;
use store::clock::Clock;
use store::{Probe, Store};
use streams::gate::Gate;
use streams::live::{Live, Urls};
use streams::nodes::Nodes;
use telemetry::logs::Logs;
use telemetry::traces::Traces;
use tencent::clouds::Clouds;
use webhooks::Hooks;

/// The whole server.
pub struct Parts {
    /// What was configured.
    pub settings: Arc<Settings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Operators.
    pub operators: Arc<Operators>,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Who may push and play.
    pub gate: Arc<Gate>,
    /// Push and play URLs.
    pub urls: Arc<Urls>,
    /// The live service.
    pub live: Arc<dyn Live>,
    /// Services outside of this process, where they are configured.
    pub clouds: Arc<Clouds>,
    /// Chat in this process.
    pub chat: Arc<chat::Hub>,
    /// Where rooms and ended sessions are kept.
    pub store: Arc<dyn Store>,
    /// Whether the store takes changes.
    pub probe: Arc<Probe>,
    /// Room on the disk of `data_dir`.
    pub disk: Arc<Space>,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// WebRTC, if it runs.
    pub webrtc: Option<media::rtc::Server>,
    /// The other nodes' streams, where there may be some.
    pub nodes: Option<Arc<Nodes>>,
    /// The certificate, where this process does TLS.
    pub secure: Option<Secure>,
    /// Streams of it that are played by HLS.
    pub hls: Hls,
    /// Streams of it with their audio in another codec.
    pub renditions: Renditions,
    /// Recordings of them, if the operator allows any.
    pub recorder: Option<Recorder>,
    /// Asks the gate for permission to play.
    pub requests: Requests,
    /// Webhooks, where the store keeps a record; they do nothing while no URL is set.
    pub hooks: Option<Arc<Hooks>>,
    /// Log files.
    pub logs: Logs,
    /// Bounds of addresses and users.
    pub limits: Arc<Limits>,
    /// Proxies in front.
    pub proxies: Arc<Proxies>,
    /// Traces, if they go anywhere.
    pub traces: Option<Arc<Traces>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What happened in the last hour.
    pub figures: Arc<Figures>,
    /// Cross-origin headers.
    pub cors: Arc<Cors>,
    /// Bounds of requests, as they are now.
    pub http: Arc<Current>,
    /// Cancelled once the server is about to end: it is not ready, and begins nothing new.
    pub leaving: CancellationToken,
}

impl Parts {
    /// What moderation works with.
    #[must_use]
    pub fn moderation(&self) -> Moderation {
        Moderation {
            store: self.store.clone(),
            bans: self.bans.clone(),
            rooms: self.rooms.clone(),
            chat: self.chat.clone(),
            cloud: self.clouds.chat.clone().map(|chat| chat as Arc<dyn chat::Remote>),
            live: self.live.clone(),
            urls: self.urls.clone(),
            hub: self.hub.clone(),
            clock: self.clock.clone(),
        }
    }

    /// What every HTTP request needs.
    #[must_use]
    pub fn web(&self) -> Web {
        Web {
            clock: self.clock.clone(),
            bounds: self.http.clone(),
            cors: self.cors.clone(),
            limits: self.limits.clone(),
            proxies: self.proxies.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            logs: self.logs.clone(),
        }
    }

    /// Gives every part that can change while it runs its settings of now.
    ///
    /// # Errors
    /// A setting that does not fit; then nothing was changed.
    pub fn apply(&self, settings: &Settings) -> Result<(), String> {
        let cors = Cors::new(&settings.http.cors)?;
        let proxies = Proxies::new(&settings.http.trusted_proxies)?;
        let client = settings.webhooks.client()?.counted(&self.metrics.webhooks).for_webhooks();
        self.logs.set_level(&settings.logs.level)?;
        // Nothing below fails.
        self.cors.set(cors);
        self.proxies.set(proxies);
        self.http.set(&settings.http);
        self.limits.set(&settings.limits);
        self.operators.set(&settings.operator);
        self.urls.set_backup(&settings.live);
        self.chat.set_settings(&settings.chat);
        if let Some(hooks) = &self.hooks {
            hooks.reload(&settings.webhooks, Arc::new(client));
        }
        Ok(())
    }
}
