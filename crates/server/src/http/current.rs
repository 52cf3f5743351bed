//! Settings of HTTP that can change while it runs: each request, or each new connection, looks at what they are now. Knows
//! neither files nor signals.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::RwLock;

use super::Settings;

/// Bounds of requests and connections.
#[derive(Debug)]
pub struct Current {
    body_limit: AtomicUsize,
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

impl Current {
    /// As in the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let Settings { body_limit, read_timeout, write_timeout, .. } = settings;
        Self {
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
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Authorization, X-Requested-With, If-Match"),
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
