//! What this process counts: calls, answers and connections here, everything else where it happens. Counting on the way of
//! a call is an index and a few relaxed additions to a part of its own for each thread: nothing is formatted, hashed or
//! locked until they are read. Bounded by the number of calls, codes and protocols; rooms, users and streams are no labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use telemetry::page::{Kind, Page};
use telemetry::{BUCKETS, ShardedCounters, bucket, micros};

/// The codes of calls.
#[derive(Clone, Debug)]
pub struct Codes {
    /// Those that are distinguished; all others are counted together, such as those of mixes.
    pub known: Vec<i32>,
    /// That of a call that failed inside.
    pub failed: i32,
}

impl Codes {
    /// Columns of a call: its buckets, the sum of its times, its codes, and one for all other codes.
    const fn width(&self) -> usize {
        BUCKETS + 1 + self.known.len() + 1
    }
}

/// What an HTTP request was for, by the first part of its path.
const ROUTES: [&str; 9] = ["weapp", "live", "webrtc", "ws", "webim", "api", "console", "pages", "ops"];
/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(usize);
/// First digits of statuses.
const CLASSES: usize = 5;

/// `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// An address that serves the figures alone, to private networks without a key; empty: none.
    pub listen: String,
}

impl Settings {
    pub(crate) fn problems(&self, found: &mut Vec<String>) {
        if !self.listen.is_empty() && self.listen.parse::<std::net::SocketAddr>().is_err() {
            found.push(format!(
                "metrics.listen = \"{}\" must be address:port, such as \"127.0.0.1:9090\", or empty",
                self.listen
            ));
        }
    }
}

/// The counters of a server.
pub struct Metrics {
    /// When it started.
    begun: Instant,
    labels: &'static [&'static str],
    codes: Codes,
    calls: ShardedCounters,
    answers: ShardedCounters,
    /// HTTP connections.
    pub connections: Arc<Gauge>,
    /// Calls to cloud services.
    pub cloud: Arc<outbound::Counters>,
    /// Webhooks that were posted.
    pub webhooks: Arc<outbound::Counters>,
}

/// Things that come and go.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    total: AtomicU64,
}

impl Gauge {
    /// Counts one for as long as what is returned is kept.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Entered {
        self.now.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }

    /// How many there are now, and how many came since the start.
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        (self.now.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// One that is counted.
#[derive(Debug)]
pub struct Entered(Arc<Gauge>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Nothing was counted yet. `labels` are the names of the calls, by their index.
    #[must_use]
    pub fn new(labels: &'static [&'static str], codes: Codes) -> Self {
        Self {
            begun: Instant::now(),
            labels,
            calls: ShardedCounters::new(labels.len() * codes.width()),
            codes,
            answers: ShardedCounters::new(ROUTES.len() * CLASSES),
            connections: Arc::default(),
            cloud: Arc::default(),
            webhooks: Arc::default(),
        }
    }

    /// Counts a call that was answered with a code.
    pub fn call(&self, index: usize, code: i32, took: Duration) {
        let micros = micros(took);
        let known = &self.codes.known;
        let code = known.iter().position(|known| *known == code).unwrap_or(known.len());
        let columns = [(bucket(micros), 1), (BUCKETS, micros), (BUCKETS + 1 + code, 1)];
        self.calls.add(columns.map(|(column, n)| (index * self.codes.width() + column, n)));
    }

    /// Counts an answer to any HTTP request.
    pub fn answer(&self, Route(route): Route, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        self.answers.add([(route * CLASSES + class, 1)]);
    }

    /// What a path is for.
    #[must_use]
    pub fn route(path: &str) -> Route {
        let first = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
        Route(match first {
            "weapp" => 0,
            "live" => 1,
            "whip" | "whep" | "rtc" => 2,
            "ws" => 3,
            "v1" | "v4" => 4,
            "api" => 5,
            "console" => 6,
            "metrics" | "healthz" | "readyz" => 8,
            _ => 7,
        })
    }
}

impl Metrics {
    /// How long the server has run.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Writes what was counted.
    pub fn report(&self, page: &mut Page) {
        let called: Vec<(usize, &str)> = self.labels.iter().copied().enumerate().collect();
        let row = |call: usize, column: usize| self.calls.sum(call * self.codes.width() + column);
        let Codes { known, failed } = &self.codes;
        let codes = known.iter().map(ToString::to_string).chain(["other".to_owned()]).collect::<Vec<_>>();
        let mut family = page.family("roomservice_calls_total", Kind::Counter, "Calls of the room protocol answered.");
        for (call, label) in &called {
            for (n, code) in codes.iter().enumerate() {
                let count = row(*call, BUCKETS + 1 + n);
                // A counter that begins with its first failure has no rate for it, and no alarm fires.
                if count > 0 || known.get(n) == Some(failed) {
                    family.sample(&[("call", label), ("code", code)], count);
                }
            }
        }
        let mut family = page.family("roomservice_call_seconds", Kind::Histogram, "Time until a call was answered.");
        for (call, label) in called {
            let buckets: [u64; BUCKETS] = std::array::from_fn(|n| row(call, n));
            if buckets.iter().any(|n| *n > 0) {
                family.histogram(&[("call", label)], (buckets, row(call, BUCKETS)));
            }
        }
        let help = "HTTP answers of all kinds, by what was asked and the status's first digit.";
        let mut family = page.family("roomservice_http_answers_total", Kind::Counter, help);
        for (n, route) in ROUTES.iter().enumerate() {
            for (class, label) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().enumerate() {
                let count = self.answers.sum(n * CLASSES + class);
                if count > 0 {
                    family.sample(&[("route", route), ("status", label)], count);
                }
            }
        }
        let (now, total) = self.connections.read();
        page.gauge("roomservice_http_connections", "HTTP connections open, WebSockets among them.", now);
        page.counter("roomservice_http_connections_total", "HTTP connections accepted.", total);
    }
}

#[cfg(test)]
mod tests;
