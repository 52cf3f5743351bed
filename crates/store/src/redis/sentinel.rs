//! Which server Sentinels say is the master: all of them are asked, twice a second and whenever one of them says that something
//! changes, and the one that knows the latest failover is believed. Between the moment when a failover begins and the moment
//! when the new master is known there is none: what would be written then would be lost. Knows no keys.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates};
use tokio::time::{Instant, timeout};

use super::way::Way;
use crate::mends::{Mend, is_out};

/// What was learnt longer ago is asked for again before it is believed.
pub const FRESH: Duration = Duration::from_secs(1);
/// How often Sentinels are asked anyway.
const ASKED: Duration = Duration::from_millis(400);
/// How long a Sentinel may take.
const PATIENCE: Duration = Duration::from_millis(300);
/// A failover that takes longer hangs: the old master is written to again, if it takes changes; not by who waits for replicas, because
/// the one that is promoted at last may be another than those that have a change.
const HANGS: Duration = Duration::from_secs(15);

/// A host and its port.
pub type Address = (String, u16);

/// The Sentinels of a master.
pub struct Sentinels {
    /// Where they are.
    pub addresses: Vec<ConnectionAddr>,
    /// The master's name.
    pub master: String,
    /// User and password at the master, if any.
    pub login: (Option<String>, Option<String>),
    /// The database.
    pub db: i64,
    /// Whom to trust, where both speak TLS.
    pub tls: Option<TlsCertificates>,
    known: Mutex<Known>,
    /// Connections to the Sentinels. Only who holds them asks.
    asking: tokio::sync::Mutex<Vec<Option<MultiplexedConnection>>>,
    /// How often a Sentinel said by itself that something changes.
    news: AtomicU64,
    followed: AtomicBool,
    /// The network, where it is not the machine's.
    #[cfg(feature = "simulation")]
    network: Option<Arc<dyn super::way::Network>>,
}

/// What is known of the master.
#[derive(Default)]
struct Known {
    at: Option<Instant>,
    master: Option<Address>,
    /// Since when a failover is under way.
    failing: Option<Instant>,
}

/// What one Sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    /// The master that it watches.
    watched: Address,
    /// The master that it names to clients: in a failover the promoted one, as soon as it is.
    named: Address,
    /// The latest failover that it knows.
    epoch: u64,
    /// Whether it leads one now.
    leads: bool,
}

/// What follows from what they say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Master(Address),
    /// Of these one will be the master no longer.
    Failing(Address),
}

fn judge(said: &[Said]) -> Option<Verdict> {
    if let Some(leader) = said.iter().filter(|said| said.leads).max_by_key(|said| said.epoch) {
        let promoted = leader.named != leader.watched;
        let named = leader.named.clone();
        return Some(if promoted { Verdict::Master(named) } else { Verdict::Failing(named) });
    }
    said.iter().max_by_key(|said| said.epoch).map(|said| Verdict::Master(said.named.clone()))
}

impl Sentinels {
    /// Has not asked yet.
    pub fn new(
        addresses: Vec<ConnectionAddr>,
        master: String,
        login: (Option<String>, Option<String>),
        db: i64,
        tls: Option<TlsCertificates>,
    ) -> Arc<Self> {
        Arc::new(Self::of(addresses, master, login, db, tls))
    }

    fn of(
        addresses: Vec<ConnectionAddr>,
        master: String,
        login: (Option<String>, Option<String>),
        db: i64,
        tls: Option<TlsCertificates>,
    ) -> Self {
        Self {
            #[cfg(feature = "simulation")]
            network: None,
            addresses,
            master,
            login,
            db,
            tls,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            news: AtomicU64::new(0),
            followed: AtomicBool::new(false),
        }
    }

    /// Those of a simulated network.
    #[cfg(feature = "simulation")]
    pub fn simulated(
        addresses: Vec<ConnectionAddr>,
        master: String,
        network: Arc<dyn super::way::Network>,
    ) -> Arc<Self> {
        let all = Self::of(addresses, master, (None, None), 0, None);
        Arc::new(Self { network: Some(network), ..all })
    }

    /// The master, as of the last second; for who waits for replicas only one that is not about to be another.
    ///
    /// # Errors
    /// A failover is under way; no Sentinel ever answered.
    pub async fn master(self: &Arc<Self>, waits: bool) -> Result<Address, RedisError> {
        if !self.followed.swap(true, Ordering::Relaxed) {
            self.follow();
        }
        if let Some(known) = self.fresh(waits) {
            return known;
        }
        self.ask().await;
        self.fresh(waits).unwrap_or_else(|| Err(away("no Sentinel answers")))
    }

    /// Asks them all now: whether this one is the master, and no failover has begun. One that begins after their answer finds the
    /// promoted replica with all that others had by then: Sentinels take a tenth of a second for each of its steps.
    pub async fn still_name(&self, master: &Address) -> bool {
        let begun = Instant::now();
        // Where one of them has news meanwhile, nothing is learnt.
        for _ in 0..2 {
            self.ask().await;
            let known = self.known.lock();
            if known.at.is_some_and(|at| at >= begun) {
                return known.failing.is_none() && known.master.as_ref() == Some(master);
            }
        }
        false
    }

    fn fresh(&self, waits: bool) -> Option<Result<Address, RedisError>> {
        let known = self.known.lock();
        known.at.filter(|at| at.elapsed() < FRESH)?;
        if known.failing.is_some_and(|since| waits || since.elapsed() < HANGS) {
            return Some(Err(away("a failover is under way")));
        }
        known.master.clone().map(Ok)
    }

    async fn ask(&self) {
        let begun = Instant::now();
        let mut connections = self.asking.lock().await;
        if self.known.lock().at.is_some_and(|at| at >= begun) {
            return;
        }
        let news = self.news.load(Ordering::Acquire);
        connections.resize(self.addresses.len(), None);
        let each = self.addresses.iter().zip(connections.iter_mut());
        let said: Vec<Said> =
            join_all(each.map(|(address, held)| self.ask_one(address, held))).await.into_iter().flatten().collect();
        let mut known = self.known.lock();
        if news != self.news.load(Ordering::Acquire) {
            // Something changed meanwhile: the next caller asks again.
            return;
        }
        // Where no Sentinel answers, what is known goes on: the master itself is asked whether it still is one.
        if said.is_empty() && known.master.is_none() {
            return;
        }
        known.at = Some(begun);
        match judge(&said) {
            Some(Verdict::Failing(master)) if !is_out(Mend::FailoverIsWaitedFor) => {
                known.failing.get_or_insert(begun);
                known.master = Some(master);
            }
            Some(Verdict::Master(master) | Verdict::Failing(master)) => {
                if known.master.as_ref().is_some_and(|before| *before != master) {
                    tracing::info!(host = master.0, port = master.1, "Redis has another master");
                }
                known.master = Some(master);
                known.failing = None;
            }
            None => known.failing = None,
        }
    }

    async fn ask_one(&self, address: &ConnectionAddr, held: &mut Option<MultiplexedConnection>) -> Option<Said> {
        let asked = timeout(PATIENCE, async {
            let mut connection = match held.take() {
                Some(connection) => connection,
                None => self.way(address, None)?.connect(PATIENCE).await?,
            };
            let mut pipe = redis::pipe();
            pipe.cmd("SENTINEL").arg("MASTER").arg(&self.master);
            pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
            let said: (HashMap<String, String>, Option<Address>) = pipe.query_async(&mut connection).await?;
            *held = Some(connection);
            Ok::<_, RedisError>(said)
        });
        let (watched, named) = asked.await.ok()?.ok()?;
        let of = |name: &str| watched.get(name).map(String::as_str).unwrap_or_default();
        Some(Said {
            watched: (of("ip").to_owned(), of("port").parse().ok()?),
            named: named?,
            epoch: of("config-epoch").parse().unwrap_or_default(),
            leads: of("flags").split(',').any(|flag| flag == "failover_in_progress"),
        })
    }

    /// The way to a Sentinel, or to a server with its settings.
    fn way(&self, address: &ConnectionAddr, settings: Option<RedisConnectionInfo>) -> Result<Way, RedisError> {
        #[cfg(feature = "simulation")]
        if let Some(network) = &self.network
            && let ConnectionAddr::Tcp(host, port) = address
        {
            return Ok(Way::Simulated(network.clone(), (host.clone(), *port)));
        }
        let info = address.clone().into_connection_info()?;
        let info = match settings {
            None => info,
            Some(settings) => info.set_redis_settings(settings),
        };
        let client = match &self.tls {
            None => Client::open(info),
            Some(tls) => Client::build_with_tls(info, tls.clone()),
        };
        client.map(Way::Socket)
    }

    /// The way to the master at this address.
    ///
    /// # Errors
    /// The address cannot be one.
    pub fn way_to(&self, master: Address) -> Result<Way, RedisError> {
        let (host, port) = master;
        let address = match self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let mut settings = address.clone().into_connection_info()?.redis_settings().clone().set_db(self.db);
        if let Some(user) = &self.login.0 {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.login.1 {
            settings = settings.set_password(password);
        }
        self.way(&address, Some(settings))
    }

    /// Asks now and then, and hears what Sentinels say by themselves, for as long as this is held.
    fn follow(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(sentinels) = weak.upgrade() {
                sentinels.ask().await;
                drop(sentinels);
                tokio::time::sleep(ASKED).await;
            }
        });
        for n in 0..self.addresses.len() {
            tokio::spawn(listen(Arc::downgrade(self), n));
        }
    }
}

/// Hears what one Sentinel says of failovers, again after each break.
async fn listen(weak: Weak<Sentinels>, n: usize) {
    while let Some(sentinels) = weak.upgrade() {
        let way = sentinels.way(&sentinels.addresses[n], None);
        drop(sentinels);
        if let Ok(way) = way {
            // A Sentinel that is away is asked again soon; that none of them answers, who asks is told.
            let _ = hear(&weak, &way).await;
        }
        tokio::time::sleep(ASKED).await;
    }
}

async fn hear(weak: &Weak<Sentinels>, way: &Way) -> Result<(), RedisError> {
    let mut heard = way.listen().await?;
    heard.psubscribe("*failover*").await?;
    heard.subscribe("+switch-master").await?;
    let mut messages = heard.on_message();
    loop {
        let message = timeout(Duration::from_secs(5), messages.next()).await;
        let Some(sentinels) = weak.upgrade() else { return Ok(()) };
        match message {
            Ok(None) => return Ok(()),
            Err(_) => {}
            Ok(Some(message)) => {
                let said: String = message.get_payload().unwrap_or_default();
                if said.split(' ').any(|word| word == sentinels.master) {
                    sentinels.news.fetch_add(1, Ordering::AcqRel);
                    sentinels.known.lock().at = None;
                    sentinels.ask().await;
                }
            }
        }
    }
}

fn away(why: &'static str) -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(watched: u16, named: u16, epoch: u64, leads: bool) -> Said {
        let address = |port| ("10.0.0.1".to_owned(), port);
        Said { watched: address(watched), named: address(named), epoch, leads }
    }

    #[test]
    fn the_latest_failover_is_believed_and_in_the_middle_of_one_nobody_is_the_master() {
        let address = |port| ("10.0.0.1".to_owned(), port);
        let master = |port| Some(Verdict::Master(address(port)));
        assert_eq!(judge(&[]), None);
        assert_eq!(judge(&[said(1, 1, 0, false), said(1, 1, 0, false)]), master(1));
        let begun = [said(1, 1, 0, false), said(1, 1, 0, true)];
        assert_eq!(judge(&begun), Some(Verdict::Failing(address(1))));
        assert_eq!(judge(&[said(1, 1, 0, false), said(1, 2, 0, true)]), master(2), "it is promoted");
        assert_eq!(judge(&[said(1, 1, 0, false), said(2, 2, 1, false)]), master(2), "the other has not heard of it");
    }
}
