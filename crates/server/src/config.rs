//! Settings: one TOML file, `ROOMSERVICE_SECTION__KEY` variables over it, `ROOMSERVICE_DEFAULT__…` and the defaults under it.
//! Each section's struct stands beside its consumer; this file only puts them together and checks them.

mod env;
mod reach;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use sign::Secret;
use tencent::clouds::Sections;

/// How much a server trusts its surroundings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Loopback only, keys made on first start, demo pages and `get_login_info` open.
    #[default]
    Development,
    /// Own secrets, TLS here or at a proxy, operator calls behind operator keys.
    Production,
}

/// Everything that can be set. Unknown keys are errors that name the line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `development` or `production`.
    pub mode: Mode,
    /// Where generated keys, logs and state are kept.
    pub data_dir: PathBuf,
    /// For how long sessions may go on after SIGTERM.
    pub drain_timeout: crate::drain::Patience,
    /// The HTTP server.
    pub http: crate::web::Settings,
    /// The RTMP server.
    pub rtmp: streams::gate::Settings,
    /// WebRTC.
    pub webrtc: crate::webrtc::Settings,
    /// Push and play URLs.
    pub live: streams::live::Settings,
    /// Mixes of streams.
    pub mix: streams::live::mix::Settings,
    /// Recordings of streams.
    pub record: rooms::recordings::Settings,
    /// User signatures.
    pub im: access::identity::Settings,
    /// Chat.
    pub chat: chat::Settings,
    /// Rules of rooms.
    pub rooms: rooms::Settings,
    /// Where rooms are kept.
    pub store: store::Settings,
    /// Several servers as one.
    pub nodes: streams::nodes::Settings,
    /// Session tokens.
    pub sessions: access::sessions::Settings,
    /// What the app's backend is notified of.
    pub webhooks: webhooks::Settings,
    /// Operators.
    pub operator: access::operator::Settings,
    /// Log files.
    pub logs: telemetry::logs::Settings,
    /// Bounds of addresses and users.
    pub limits: access::limits::Settings,
    /// TLS.
    pub tls: edge::tls::Settings,
    /// Traces.
    pub traces: telemetry::traces::Settings,
    /// Figures for Prometheus.
    pub metrics: crate::metrics::Settings,
    /// Where development mode serves a private network too (`--lan`); in no file, so that nobody forgets it there.
    #[serde(skip)]
    pub lan: Option<IpAddr>,
    /// What is odd about the variables that these settings were made with, one line each.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Development,
            data_dir: "./data".into(),
            drain_timeout: Default::default(),
            http: Default::default(),
            rtmp: Default::default(),
            webrtc: Default::default(),
            live: Default::default(),
            mix: Default::default(),
            record: Default::default(),
            im: Default::default(),
            chat: Default::default(),
            rooms: Default::default(),
            store: Default::default(),
            nodes: Default::default(),
            sessions: Default::default(),
            webhooks: Default::default(),
            operator: Default::default(),
            logs: Default::default(),
            limits: Default::default(),
            tls: Default::default(),
            traces: Default::default(),
            metrics: Default::default(),
            lan: None,
            notes: Vec::new(),
        }
    }
}

/// The file that documents every setting with its default.
pub const DEFAULT_FILE: &str = include_str!("../../../roomservice.toml");

/// Why there are no settings to start with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not TOML, or has unknown or mistyped settings. The text names line and key.
    #[error("{path}: {text}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        text: String,
    },
    /// A variable names no setting or its value has the wrong type.
    #[error("environment variable {name}: {text}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        text: String,
    },
    /// The settings contradict each other or the mode. One line each.
    #[error("{}", .0.join("\n"))]
    Unfit(Vec<String>),
}

impl Settings {
    /// What speaks of services elsewhere.
    #[must_use]
    pub const fn clouds(&self) -> Sections<'_> {
        Sections { im: &self.im, chat: &self.chat, live: &self.live, rooms: &self.rooms }
    }

    /// Where other nodes reach the media of this one, which listens for RTMP on this port; empty: they do not.
    #[must_use]
    pub fn address(&self, rtmp_port: u16) -> String {
        match self.nodes.address.as_str() {
            "" if !self.nodes.listen.is_empty() => self.nodes.listen.clone(),
            _ if !self.rtmp.enabled && self.nodes.listen.is_empty() => String::new(),
            "" => SocketAddr::new(self.rtmp.listen.ip(), rtmp_port).to_string(),
            given => given.to_owned(),
        }
    }

    /// Reads the file (none: defaults) and the variables.
    ///
    /// # Errors
    /// [`Error`], naming file and line or the variable.
    pub fn load(file: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        Self::read(file, variables).map(|(settings, _)| settings)
    }

    /// As [`Settings::load`], and what was set there, the variables laid over the file.
    ///
    /// # Errors
    /// [`Error`], naming file and line or the variable.
    pub fn read(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Self, toml::Table), Error> {
        let text = match file {
            None => String::new(),
            Some(path) => {
                std::fs::read_to_string(path).map_err(|cause| Error::Unreadable { path: path.to_path_buf(), cause })?
            }
        };
        let path = file.unwrap_or(Path::new("(defaults)"));
        let wrong = |e: toml::de::Error| Error::Wrong { path: path.to_path_buf(), text: such_as(&e.to_string()) };
        let settings: Self = toml::from_str(&text).map_err(wrong)?;
        let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
        env::apply(settings, table, variables)
    }

    /// What keeps a server from starting with these settings, one line each; empty if nothing does.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let listeners = reach::listeners(self);
        reach::collisions(&listeners, &mut found);
        match self.mode {
            Mode::Development => {
                for reach::Listens { name, address, .. } in listeners.iter().filter(|l| !l.address.ip().is_loopback()) {
                    found.push(format!(
                        "{name} = \"{address}\": development mode serves this machine only; use a loopback address, or mode = \"production\""
                    ));
                }
            }
            Mode::Production => {
                if self.lan.is_some() {
                    found.push(crate::lan::NOT_HERE.into());
                }
                self.production(&mut found);
            }
        }
        self.rooms.problems(&mut found);
        self.live.problems(&mut found);
        self.record.problems(&mut found);
        self.webrtc.problems(&mut found);
        self.chat.problems(&mut found);
        self.clouds().problems(&mut found);
        self.store.problems(&mut found);
        self.traces.problems(&mut found);
        self.metrics.problems(&mut found);
        if self.store.kind == store::Place::Redis {
            self.nodes.problems(&self.rtmp, &mut found);
        }
        self.limits.problems(&mut found);
        self.logs.problems(&mut found);
        self.tls.problems(&mut found);
        if let Err(why) = edge::proxies::Proxies::new(&self.http.trusted_proxies) {
            found.push(format!("http.trusted_proxies: {why}"));
        }
        self.webhooks.problems(&mut found);
        if !self.webhooks.urls.is_empty() && self.store.kind == store::Place::Memory {
            found.push("webhooks.urls needs store.kind = \"journal\" or \"redis\": events are kept there until they are accepted".into());
        }
        found
    }

    /// What lets a server start with these settings and is hardly meant, one line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut found = self.notes.clone();
        reach::warnings(self, &mut found);
        found
    }

    fn production(&self, found: &mut Vec<String>) {
        if !self.http.tls_by_proxy && !self.tls.is_on() && !self.http.listen.ip().is_loopback() {
            found.push(
                "http.listen is reachable from other machines without TLS: set tls.certificate and tls.key, or tls.acme.domains, or let a proxy do TLS and set http.tls_by_proxy = true"
                    .into(),
            );
        }
        if self.rooms.generation0 {
            found.push(
                "rooms.generation0 is for development: its calls have no session, and whoever calls is who it says"
                    .into(),
            );
        }
        let mut secret = |name: &str, value: &Secret| {
            if value.expose().len() < 16 {
                found.push(format!(
                    "{name} must be a secret of your own of at least 16 characters (`roomservice keygen` makes one)"
                ));
            }
        };
        secret("sessions.secret", &self.sessions.secret);
        secret("live.pushSecretKey", &self.live.push_secret_key);
        for key in &self.operator.keys {
            secret("operator.keys", key);
        }
        for key in &self.operator.read_keys {
            secret("operator.read_keys", key);
        }
        if self.im.secret_key.is_empty() && self.im.private_key.is_empty() && self.im.public_key.is_empty() {
            found.push("im.secretKey or im.privateKey/im.publicKey must be set: without one nobody can log in (`roomservice keygen` makes them)".into());
        }
        if self.im.sdk_app_id == 0 {
            found.push(
                "im.sdkAppID must be set: the number that clients name when they log in, such as 1400000001".into(),
            );
        }
    }
}

/// A complaint about a value, with one that would do where the complaint does not say it.
fn such_as(complaint: &str) -> String {
    let examples = [
        ("invalid socket address syntax", "an address and a port, such as \"0.0.0.0:5757\""),
        ("invalid IP address syntax", "an address in numbers, such as \"203.0.113.7\""),
        ("expected a boolean", "true or false, without quotes"),
        ("expected u", "a whole number, such as 10, without quotes"),
        (
            "duplicate key",
            "each section once: where live.x = … stands above (keygen writes so), write live.y = … there, and no [live]",
        ),
        ("expected a sequence", "a list, such as [\"one\", \"two\"]"),
    ];
    let example = examples.iter().find(|(says, _)| complaint.contains(says));
    let complaint = complaint.trim_end();
    example.map_or_else(|| complaint.to_owned(), |(_, example)| format!("{complaint}: wanted is {example}"))
}

#[cfg(test)]
mod tests;
