//! The parts of a running server, as calls see them.

use std::sync::{Arc, OnceLock};

use media::hls::Hls;
use media::hub::Hub;
use media::record::Recorder;
use media::rendition::Renditions;
use media::request::Requests;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::figures::Figures;
use crate::http::{Cors, Current};
use crate::metrics::Metrics;
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
use telemetry::logs::Logs;
use telemetry::traces::Traces;
use tencent::clouds::Clouds;
use webhooks::Hooks;

/// The whole server.
pub struct App {
    /// What was configured.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// User signatures.
    pub identity: Identity,
    /// Session tokens.
    pub sessions: Sessions,
    /// Operators.
    pub operators: Operators,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Who may push and play.
    pub gate: Arc<Gate>,
    /// Push and play URLs.
    pub urls: Arc<Urls>,
    /// The live service.
    pub live: Arc<dyn Live>,
    /// Services outside of this process, where they are configured.
    pub clouds: Clouds,
    /// Chat in this process.
    pub chat: Arc<chat::Hub>,
    /// Where rooms and ended sessions are kept.
    pub store: Arc<dyn Store>,
    /// Whether the store takes changes.
    pub probe: Probe,
    /// Rooms.
    pub rooms: Rooms,
    /// Streams of the media server in this process.
    pub hub: Hub,
    /// WebRTC, once it runs; never, if it is switched off.
    pub webrtc: OnceLock<media::rtc::Server>,
    /// The certificate, where this process does TLS.
    pub secure: OnceLock<Secure>,
    /// Streams of it that are played by HLS.
    pub hls: Hls,
    /// Streams of it with their audio in another codec.
    pub renditions: Renditions,
    /// Recordings of them, if the operator allows any.
    pub recorder: Option<Recorder>,
    /// Asks the gate for permission to play.
    pub requests: Requests,
    /// Webhooks, where the store keeps a record; they tell nobody while no URL is set.
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
    pub figures: Figures,
    /// Cross-origin headers.
    pub cors: Cors,
    /// Bounds of requests, as they are now.
    pub http: Current,
    /// Cancelled once the server is about to end: it is not ready, and begins nothing new.
    pub leaving: CancellationToken,
}

impl App {
    /// What moderation works with.
    #[must_use]
    pub fn moderation(&self) -> Moderation<'_> {
        Moderation {
            store: &*self.store,
            bans: &self.bans,
            rooms: &self.rooms,
            chat: &self.chat,
            cloud: self.clouds.chat.as_deref().map(|chat| chat as &dyn chat::Remote),
            live: &*self.live,
            urls: &self.urls,
            hub: &self.hub,
            clock: &*self.clock,
        }
    }
}
