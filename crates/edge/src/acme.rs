//! A certificate that the server fetches and renews itself, from an authority that speaks ACME (RFC 8555). Owns when it is
//! asked for and what happens when it is not given: whatever there is stays in use. Knows no handshakes.

mod directory;
mod kept;
mod order;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::tls::{self, Certificate, Term};
use kept::Kept;
use order::Failed;
use store::clock::Clock;

/// How long an order may take.
const ORDER: Duration = Duration::from_secs(180);
/// The longest that is slept at once: clocks are set, and machines are put to sleep.
const LOOK: Duration = Duration::from_secs(3600);
/// Names in a certificate; Let's Encrypt has the same bound.
const MOST_NAMES: usize = 100;

/// How an authority makes sure that a name leads here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// By a handshake with `http.listen`, which must be port 443 from outside (RFC 8737).
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By a request to `tls.redirect_listen`, which must be port 80 from outside.
    #[serde(rename = "http-01")]
    Http01,
}

/// `[tls.acme]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The names that the certificate is for. None: no certificate is fetched.
    pub domains: Vec<String>,
    /// Mail addresses that the authority may write to.
    pub contact: Vec<String>,
    /// Whether the authority's terms are agreed to.
    pub terms_agreed: bool,
    /// Where the authority's directory is.
    pub directory: String,
    /// PEM file of those who vouch for the directory's own certificate. Empty: the roots that Mozilla trusts.
    pub directory_ca: PathBuf,
    /// How the authority makes sure that the names lead here.
    pub challenge: Proof,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            contact: Vec::new(),
            terms_agreed: false,
            directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
            directory_ca: PathBuf::new(),
            challenge: Proof::default(),
        }
    }
}

impl Settings {
    /// Whether a certificate is fetched.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.domains.is_empty()
    }

    pub(super) fn problems(&self, redirects: bool, found: &mut Vec<String>) {
        if !self.is_on() {
            return;
        }
        if !self.terms_agreed {
            let terms = "read the authority's terms of service (its directory names them), then set it to true";
            found.push(format!("tls.acme.terms_agreed is not true: {terms}"));
        }
        if self.domains.len() > MOST_NAMES {
            found.push(format!("tls.acme.domains are more than {MOST_NAMES}"));
        }
        for domain in &self.domains {
            if domain.starts_with("*.") {
                found.push(format!("tls.acme.domains: \"{domain}\" can only be proved in the DNS, which this server does not do; use certbot"));
            } else if !is_name(domain) {
                found.push(format!("tls.acme.domains: \"{domain}\" is not a DNS name"));
            }
        }
        for contact in &self.contact {
            if !contact.contains('@') || contact.contains([':', ',', ' ']) {
                found.push(format!("tls.acme.contact: \"{contact}\" is not a mail address"));
            }
        }
        if !self.directory.starts_with("https://") {
            found.push(format!("tls.acme.directory = \"{}\" must begin with https://", self.directory));
        }
        if self.challenge == Proof::Http01 && !redirects {
            found.push("tls.acme.challenge = \"http-01\" needs tls.redirect_listen".into());
        }
    }

    /// The names as certificates have them, in order.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        names
    }
}

fn is_name(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(label)
        && domain.parse::<std::net::Ipv4Addr>().is_err()
}

/// What is answered to an authority's HTTP requests: a text for each token.
#[derive(Debug, Default)]
pub struct Answers(RwLock<HashMap<String, String>>);

impl Answers {
    /// The answer to this token.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<String> {
        self.0.read().get(token).cloned()
    }
}

/// Fetches certificates.
pub struct Acme {
    settings: Settings,
    kept: Kept,
    certificate: Arc<Certificate>,
    /// What `tls.redirect_listen` answers.
    pub answers: Arc<Answers>,
    /// Orders that brought a certificate, and those that failed.
    pub orders: [AtomicU64; 2],
    /// Whether the certificate in use came from the authority.
    given: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Acme {
    /// Takes the certificate that was kept, or makes one of its own until there is another.
    ///
    /// # Errors
    /// The data directory cannot be written, or `directory_ca` cannot be read.
    pub fn open(settings: &Settings, data_dir: &Path, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        // What can be wrong about it is wrong now, not at the first renewal.
        directory::Directory::new(settings)?;
        let kept = Kept::open(data_dir)?;
        let found = kept.certificate(&settings.directory);
        if let Err(error) = &found {
            tracing::warn!(%error, "the certificate that was kept cannot be used; another is ordered");
        }
        let found = found.ok().flatten();
        let given = AtomicU64::new(found.is_some().into());
        let current = found.map_or_else(|| stand_in(&settings.domains), Ok)?;
        Ok(Arc::new(Self {
            settings: settings.clone(),
            kept,
            certificate: Arc::new(Certificate::held(current)),
            answers: Arc::default(),
            orders: Default::default(),
            given,
            clock,
        }))
    }

    /// What handshakes are made with.
    #[must_use]
    pub fn certificate(&self) -> Arc<Certificate> {
        self.certificate.clone()
    }

    /// Whether the certificate in use came from the authority, and is not one of the server's own.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.given.load(Ordering::Relaxed) == 1
    }

    /// How long until a certificate should be ordered.
    fn due_in(&self) -> Duration {
        let Some(term) = self.certificate.term().filter(|_| self.is_given()) else { return Duration::ZERO };
        if term.names != self.settings.names() {
            return Duration::ZERO;
        }
        Duration::from_secs(renewal(&term).saturating_sub(self.clock.now().secs()))
    }

    /// Orders whenever it is time, for ever.
    pub async fn keep(self: Arc<Self>) {
        let mut failures = Failures::default();
        loop {
            let wait = self.due_in();
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK)).await;
                continue;
            }
            let outcome = tokio::time::timeout(ORDER, self.order()).await;
            match outcome.unwrap_or_else(|_| Err(Failed::Away("the authority takes too long".into()))) {
                Ok(()) => {
                    failures = Failures::default();
                    self.orders[0].fetch_add(1, Ordering::Relaxed);
                    let until = self.certificate.term().map_or(0, |term| term.until);
                    tracing::info!(domains = self.settings.domains.join(", "), until, "a TLS certificate was issued");
                }
                Err(failed) => {
                    self.orders[1].fetch_add(1, Ordering::Relaxed);
                    let pause = failures.pause(&failed);
                    let uses = if self.is_given() { "the one before" } else { "one that nobody trusts" };
                    let why = failed.to_string();
                    let seconds = pause.as_secs();
                    tracing::warn!(why, again_in = seconds, uses, "no TLS certificate was issued");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn order(&self) -> Result<(), Failed> {
        let pem = order::order(self).await?;
        let new = kept::parse(pem.as_bytes()).map_err(|e| Failed::Refused(e.to_string()))?;
        let term = new.cert.first().and_then(Term::of);
        let now = self.clock.now().secs();
        // Else it would be asked for again at once, and again.
        if !term.is_some_and(|term| term.names == self.settings.names() && renewal(&term) > now) {
            return Err(Failed::Refused("the certificate is for other names or another time".into()));
        }
        self.certificate.set(new);
        self.given.store(1, Ordering::Relaxed);
        self.kept.keep_certificate(&self.settings.directory, &pem).map_err(|e| Failed::Refused(e.to_string()))
    }
}

/// When a third of a certificate's time is left, in Unix seconds.
fn renewal(term: &Term) -> u64 {
    term.until - term.until.saturating_sub(term.from) / 3
}

/// The time and names of the certificate that is kept, if there is one. Makes and orders nothing.
///
/// # Errors
/// It cannot be read. The text names the file.
pub fn kept_term(settings: &Settings, data_dir: &Path) -> io::Result<Option<Term>> {
    let kept = Kept::there(data_dir).certificate(&settings.directory)?;
    Ok(kept.and_then(|kept| Term::of(kept.cert.first()?)))
}

/// A certificate that no client trusts, so that the server can begin.
fn stand_in(domains: &[String]) -> io::Result<Arc<CertifiedKey>> {
    let made = rcgen::generate_simple_self_signed(domains).map_err(io::Error::other)?;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    tls::certified(vec![made.cert.der().clone()], key.into()).map_err(io::Error::other)
}

/// How often it failed in a row.
#[derive(Debug, Default)]
struct Failures {
    away: u32,
    refused: u32,
}

impl Failures {
    /// How long to wait now. An authority that cannot be reached is tried again soon; one that says no counts how
    /// often it is asked (Let's Encrypt: five times an hour for a name).
    fn pause(&mut self, failed: &Failed) -> Duration {
        let (count, first, longest) = match failed {
            Failed::Away(_) => (&mut self.away, 2, 600),
            Failed::Refused(_) => (&mut self.refused, 300, 6 * 3600),
        };
        let seconds = (first << (*count).min(12)).min(longest);
        *count = count.saturating_add(1);
        // Servers that failed together do not come back together.
        Duration::from_millis(seconds * 1000 + sign::fresh_id() % (seconds * 125))
    }
}

#[cfg(test)]
mod tests;
