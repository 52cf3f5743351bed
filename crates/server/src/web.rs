//! What all HTTP handlers share: the settings of `[http]`, those of them that can change while the server runs, the
//! cross-origin headers, and what every request is measured and counted by. Knows no handler.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use access::limits::Limits;
use edge::proxies::Proxies;
use store::clock::Clock;
use telemetry::logs::Logs;
use telemetry::traces::Traces;

/// What every request needs, whatever it asks for.
pub struct Web {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Bounds of requests and connections, as they are now.
    pub bounds: Arc<Current>,
    /// Cross-origin headers.
    pub cors: Arc<Cors>,
    /// Bounds of addresses and users.
    pub limits: Arc<Limits>,
    /// Proxies in front.
    pub proxies: Arc<Proxies>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Traces, if they go anywhere.
    pub traces: Option<Arc<Traces>>,
    /// Log files.
    pub logs: Logs,
}

/// `[http]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may call from a browser: `*` or one origin; empty: no page from elsewhere.
    pub cors: String,
    /// Largest body of a call, in bytes.
    pub body_limit: usize,
    /// Most connections at a time, WebSockets among them.
    pub max_connections: usize,
    /// Seconds within which a request's head and body must have come.
    pub read_timeout: u64,
    /// Seconds within which a client must take something of what it is sent.
    pub write_timeout: u64,
    /// A proxy in front does TLS: `X-Forwarded-Proto` and `X-Forwarded-Host` are believed.
    pub tls_by_proxy: bool,
    /// Addresses and networks of proxies, whose `X-Forwarded-For` and PROXY protocol are believed.
    pub trusted_proxies: Vec<String>,
    /// Connections begin with a header of the PROXY protocol (version 1 or 2), and come from trusted proxies only.
    pub proxy_protocol: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5757)),
            cors: "*".into(),
            body_limit: 64 * 1024,
            max_connections: 100_000,
            read_timeout: 10,
            write_timeout: 30,
            tls_by_proxy: false,
            trusted_proxies: vec!["127.0.0.1".into(), "::1".into()],
            proxy_protocol: false,
        }
    }
}

/// Bounds of requests and connections.
#[derive(Debug)]
pub struct Current {
    max_connections: usize,
    body_limit: AtomicUsize,
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

impl Current {
    /// As in the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let Settings { max_connections, body_limit, read_timeout, write_timeout, .. } = settings;
        Self {
            max_connections: *max_connections,
            body_limit: AtomicUsize::new(*body_limit),
            read_timeout: AtomicU64::new(*read_timeout),
            write_timeout: AtomicU64::new(*write_timeout),
        }
    }

    /// Others from now on.
    pub fn set(&self, settings: &Settings) {
        self.body_limit.store(settings.body_limit, Relaxed);
        self.read_timeout.store(settings.read_timeout, Relaxed);
        self.write_timeout.store(settings.write_timeout, Relaxed);
    }

    /// Most connections at a time; set at the start.
    #[must_use]
    pub const fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Largest body of a call, in bytes.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.body_limit.load(Relaxed)
    }

    /// Within which a request must have come.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        Duration::from_secs(self.read_timeout.load(Relaxed))
    }

    /// Within which a client must take something; of connections that come from now on.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout.load(Relaxed))
    }
}

/// The headers that let a browser call from elsewhere.
#[derive(Debug)]
pub struct Cors(RwLock<Option<HeaderValue>>);

impl Cors {
    /// From the setting: `*`, an origin, or nothing.
    ///
    /// # Errors
    /// The setting cannot be a header.
    pub fn new(setting: &str) -> Result<Self, String> {
        let value = (!setting.is_empty()).then(|| HeaderValue::from_str(setting)).transpose();
        value.map(|value| Self(RwLock::new(value))).map_err(|_| "http.cors holds characters that no origin has".into())
    }

    /// Another from now on.
    pub fn set(&self, other: Self) {
        *self.0.write() = other.0.into_inner();
    }

    /// Adds them; more for an answer to a preflight.
    pub fn apply(&self, headers: &mut HeaderMap, preflight: bool) {
        const PREFLIGHT: [(HeaderName, &str); 3] = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE, OPTIONS"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "Content-Type, Authorization, X-Requested-With, If-Match, ETag, Prefer, Idempotency-Key",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        let Some(origin) = self.0.read().clone() else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if preflight {
            for (name, value) in PREFLIGHT {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }
}
