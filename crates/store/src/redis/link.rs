//! A connection to Redis that comes back by itself: one server, a Sentinel's master, or a cluster. Every use is bounded in
//! time; a connection that failed is thrown away and the next use makes a new one. Knows no keys.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ConnectionAddr, ErrorKind, Pipeline, RedisError, RedisFuture, TlsCertificates, Value};
use tokio::time::{Instant, timeout};

use super::sentinel::{Address, FRESH, Sentinels};
use super::way::Way;
use crate::Counters;
use crate::error::Error;
use telemetry::traces;

/// How long a use may take, with connecting: calls answer within a second.
pub const PATIENCE: Duration = Duration::from_millis(800);
/// How long replicas may take for a change.
const REPLICAS: Duration = Duration::from_millis(500);

/// A host and its port.
type Host = (String, u16);
/// User and password, where a URL has them.
type Login = (Option<String>, Option<String>);

/// The hosts of a URL, separated by commas; one without a port has this one.
fn hosts(names: &str, default: u16) -> Result<Vec<Host>, String> {
    let host = |name: &str| match name.rsplit_once(':') {
        None => Ok((name.to_owned(), default)),
        Some((host, port)) => {
            port.parse().map(|port| (host.to_owned(), port)).map_err(|_| format!("{port} is not a port"))
        }
    };
    names.split(',').map(host).collect()
}

/// Where Redis is.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "there are a handful in a process")]
pub enum Target {
    /// One server.
    One(Way),
    /// The server that these Sentinels say is the master of this name.
    Sentinel(Arc<Sentinels>),
    /// A cluster, found through some of its nodes.
    Cluster(Box<ClusterClient>),
}

impl Target {
    /// Reads `redis://[user:password@]host:port/db`, `redis-sentinel://[user:password@]host:port,host:port/master[/db]` or
    /// `redis-cluster://[user:password@]host:port,host:port`; and the same over TLS with `rediss`, `rediss-sentinel` and
    /// `rediss-cluster`.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        Self::with_authority(url, None)
    }

    /// The same, and over TLS with this authority (PEM) in place of those that the system trusts.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub fn with_authority(url: &str, authority: Option<Vec<u8>>) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("has no scheme, such as redis://")?;
        let tls = scheme.starts_with("rediss").then(|| {
            // The first one set is as good: all of this program use the same one.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            TlsCertificates { client_tls: None, root_cert: authority }
        });
        match (scheme, &tls) {
            ("redis" | "unix", _) => {
                return Client::open(url).map(Way::Socket).map(Self::One).map_err(|e| e.to_string());
            }
            ("rediss", Some(tls)) => {
                let client = Client::build_with_tls(url, tls.clone());
                return client.map(Way::Socket).map(Self::One).map_err(|e| e.to_string());
            }
            _ => {}
        }
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let some = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            (!text.is_empty()).then_some(text)
        };
        let login = (some(user), some(password));
        let (names, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = hosts(names, if scheme.ends_with("-sentinel") { 26379 } else { 6379 })?;
        match scheme {
            "redis-sentinel" | "rediss-sentinel" => Self::sentinels(hosts, path, login, tls),
            "redis-cluster" | "rediss-cluster" => Self::cluster(scheme, &hosts, login, tls),
            other => Err(format!(
                "{other}:// is none of redis://, redis-sentinel://, redis-cluster://, nor these with rediss for TLS"
            )),
        }
    }

    /// One server of a simulated network.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated(network: Arc<dyn super::way::Network>, server: Address) -> Self {
        Self::One(Way::Simulated(network, server))
    }

    /// The server that these Sentinels of a simulated network say is the master.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated_sentinels(network: Arc<dyn super::way::Network>, sentinels: Vec<Address>, master: &str) -> Self {
        let sentinels = sentinels.into_iter().map(|(host, port)| ConnectionAddr::Tcp(host, port)).collect();
        Self::Sentinel(Sentinels::simulated(sentinels, master.into(), network))
    }

    fn sentinels(hosts: Vec<Host>, path: &str, login: Login, tls: Option<TlsCertificates>) -> Result<Self, String> {
        let (master, db) = path.split_once('/').unwrap_or((path, "0"));
        if master.is_empty() {
            return Err("names no master: redis-sentinel://host:port,host:port/master".into());
        }
        let db = db.parse().map_err(|_| format!("{db} is not a database"))?;
        let address = |(host, port)| match tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let sentinels = hosts.into_iter().map(address).collect();
        Ok(Self::Sentinel(Sentinels::new(sentinels, master.into(), login, db, tls)))
    }

    fn cluster(scheme: &str, hosts: &[Host], login: Login, tls: Option<TlsCertificates>) -> Result<Self, String> {
        let scheme = scheme.replacen("-cluster", "", 1);
        let hosts = hosts.iter().map(|(host, port)| format!("{scheme}://{host}:{port}"));
        let mut builder = ClusterClientBuilder::new(hosts)
            .connection_timeout(PATIENCE)
            .response_timeout(Duration::from_secs(5))
            .retries(3)
            .max_retry_wait(100);
        if let Some(tls) = tls {
            // What authority there is: it says TLS, too.
            builder = builder.certs(tls);
        }
        if let Some(user) = login.0 {
            builder = builder.username(user);
        }
        if let Some(password) = login.1 {
            builder = builder.password(password);
        }
        builder.build().map(|client| Self::Cluster(Box::new(client))).map_err(|e| e.to_string())
    }

    /// Whether keys are spread over several servers.
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Connects; to this master, where Sentinels name one.
    async fn connect(&self, master: Option<&Address>) -> Result<Connection, RedisError> {
        match (self, master) {
            (Self::One(server), _) => server.connect(PATIENCE).await.map(Connection::One),
            (Self::Sentinel(sentinels), Some(master)) => {
                let server = sentinels.way_to(master.clone())?;
                let mut connection = Connection::One(server.connect(PATIENCE).await?);
                is_master(&mut connection).await?;
                Ok(connection)
            }
            (Self::Sentinel(_), None) => Err((ErrorKind::MasterNameNotFoundBySentinel, "no master is known").into()),
            (Self::Cluster(client), _) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

/// Refuses a server that is the replica of another: it may have been the master a moment ago.
async fn is_master(connection: &mut Connection) -> Result<(), RedisError> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
    let role = role.first().map(redis::from_redis_value_ref::<String>).transpose()?;
    if role.as_deref() == Some("master") {
        return Ok(());
    }
    Err((ErrorKind::MasterNameNotFoundBySentinel, "it is no master any more").into())
}

/// A connection of either sort.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To a cluster.
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// A connection that comes back.
pub struct Link {
    target: Target,
    /// The connection and its generation, so that only who saw it fail throws it away.
    held: Mutex<(u64, Option<Held>)>,
    connecting: tokio::sync::Mutex<()>,
    /// How many replicas must have a change before it is answered.
    replicas: usize,
    /// What was asked.
    pub counters: Counters,
}

/// A connection that is in use.
#[derive(Clone)]
struct Held {
    connection: Connection,
    /// The master that it leads to, where Sentinels say which.
    master: Option<Address>,
    /// When that master last said that it is one.
    checked: Instant,
    progress: Arc<Progress>,
}

/// Which changes of a connection replicas have. One question answers for all that were made before it.
#[derive(Default)]
struct Progress {
    made: AtomicU64,
    /// Up to which change replicas have them, and up to which it is not known.
    known: tokio::sync::Mutex<(u64, u64)>,
}

/// Why a use failed.
enum Failed {
    /// Nothing was sent, or Redis refused it: nothing was done.
    NotDone(String),
    /// It was sent, and no answer came.
    Lost(String),
}

impl Link {
    /// Connects when it is first used.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            held: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            replicas: 0,
            counters: Counters::default(),
        }
    }

    /// Answers a change only when so many replicas have it.
    #[must_use]
    pub fn with_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// Runs commands on the connection, within [`PATIENCE`].
    ///
    /// # Errors
    /// [`Error::Unavailable`]: Redis is away, slow, or does not like the command.
    pub async fn run<T, F>(&self, work: impl FnOnce(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        self.run_within(PATIENCE, work).await
    }

    /// The same within another time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn run_within<T, F>(&self, within: Duration, work: impl FnOnce(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let done = traces::part("redis", traces::Kind::Client, || None, self.exchange(within, false, work)).await;
        done.map(|(done, _)| done).map_err(|(Failed::NotDone(why) | Failed::Lost(why))| Error::Unavailable(why))
    }

    /// The same for a change, which a caller must know to be made or not.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it was not made; where replicas must have it, also in a failover that hangs. [`Error::Unknown`]: it was sent, and no answer came, or too few replicas have it.
    pub async fn change<T, F>(&self, work: impl FnOnce(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let waits = self.replicas > 0 && !self.target.is_cluster();
        let done = traces::part("redis", traces::Kind::Client, || None, self.exchange(PATIENCE, waits, work)).await;
        let (done, held) = done.map_err(|failed| match failed {
            Failed::NotDone(why) => Error::Unavailable(why),
            Failed::Lost(why) => Error::Unknown(why),
        })?;
        if waits {
            self.wait_for_replicas(held).await?;
        }
        Ok(done)
    }

    async fn wait_for_replicas(&self, held: Held) -> Result<(), Error> {
        let Held { mut connection, progress, master, .. } = held;
        let ours = progress.made.fetch_add(1, Ordering::AcqRel) + 1;
        let mut known = progress.known.lock().await;
        if known.0 < ours && known.1 < ours {
            let all = progress.made.load(Ordering::Acquire);
            let mut wait = redis::cmd("WAIT");
            wait.arg(self.replicas).arg(REPLICAS.as_millis() as u64);
            let have = timeout(PATIENCE, wait.query_async::<usize>(&mut connection)).await;
            let enough = have.is_ok_and(|have| have.is_ok_and(|have| have >= self.replicas));
            // Those may be others than the replica that is the next master, if a failover has begun.
            let kept = enough && self.is_still_master(master.as_ref()).await;
            if kept { known.0 = all } else { known.1 = all }
        }
        if known.0 >= ours {
            return Ok(());
        }
        Counters::add(&self.counters.failures, 1);
        let why = "replicas have a change within";
        Err(Error::Unknown(format!("redis: fewer than {} {why} {REPLICAS:?}, or a failover has begun", self.replicas)))
    }

    async fn is_still_master(&self, master: Option<&Address>) -> bool {
        match (&self.target, master) {
            (Target::Sentinel(sentinels), Some(master)) => sentinels.still_name(master).await,
            _ => true,
        }
    }

    async fn exchange<T, F>(
        &self,
        within: Duration,
        waits: bool,
        work: impl FnOnce(Connection) -> F,
    ) -> Result<(T, Held), Failed>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut used = None;
        let begun = Instant::now();
        let attempt = async {
            let (generation, held) = self.connection(waits).await?;
            used = Some(generation);
            work(held.connection.clone()).await.map(|done| (done, held))
        };
        let (why, lost) = match timeout(within, attempt).await {
            Ok(Ok(done)) => {
                self.counters.trips.add(begun.elapsed());
                return Ok(done);
            }
            Ok(Err(error)) => {
                let lost = used.is_some() && is_lost(&error);
                if !is_lasting(&error) {
                    used = None;
                }
                (format!("redis: {error}"), lost)
            }
            Err(_) => (format!("redis: no answer within {within:?}"), used.is_some()),
        };
        if let Some(generation) = used {
            self.forget(generation);
        }
        Counters::add(&self.counters.failures, 1);
        Err(if lost { Failed::Lost(why) } else { Failed::NotDone(why) })
    }

    fn forget(&self, generation: u64) {
        let mut held = self.held.lock();
        if held.0 == generation {
            held.1 = None;
        }
    }

    async fn connection(&self, waits: bool) -> Result<(u64, Held), RedisError> {
        let master = match &self.target {
            Target::Sentinel(sentinels) => Some(sentinels.master(waits).await?),
            _ => None,
        };
        if let Some(held) = self.trusted(master.as_ref()) {
            return Ok(held);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(held) = self.trusted(master.as_ref()) {
            return Ok(held);
        }
        let (generation, held) = self.held.lock().clone();
        if let Some(mut held) = held.filter(|held| held.master == master) {
            // It is a second old: its server may be a replica now.
            if timeout(PATIENCE / 2, is_master(&mut held.connection)).await.is_ok_and(|is| is.is_ok()) {
                held.checked = Instant::now();
                let mut now = self.held.lock();
                if now.0 == generation {
                    now.1 = Some(held.clone());
                }
                return Ok((generation, held));
            }
        }
        let connection = self.target.connect(master.as_ref()).await?;
        let new = Held { connection, master, checked: Instant::now(), progress: Arc::default() };
        let mut held = self.held.lock();
        *held = (held.0 + 1, Some(new.clone()));
        Ok((held.0, new))
    }

    /// The connection, if it leads to this master and the master was asked of late.
    fn trusted(&self, master: Option<&Address>) -> Option<(u64, Held)> {
        let held = self.held.lock();
        let (generation, Some(connection)) = &*held else { return None };
        let fresh = master.is_none() || connection.checked.elapsed() < FRESH;
        (connection.master.as_ref() == master && fresh).then(|| (*generation, connection.clone()))
    }
}

/// Whether an error leaves open what became of what was sent.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() || error.is_timeout()
}

/// Whether an error says that the connection is of no more use: broken, or to a server that is no longer the master.
fn is_lasting(error: &RedisError) -> bool {
    use redis::ServerErrorKind as Server;
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(Server::ReadOnly | Server::MasterDown) | ErrorKind::MasterNameNotFoundBySentinel
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds_of_addresses() {
        assert!(matches!(Target::parse("redis://:secret@127.0.0.1:7000/1"), Ok(Target::One(_))));
        assert!(Target::parse("redis-cluster://a:1,b:2").unwrap().is_cluster());
        let Ok(Target::Sentinel(all)) = Target::parse("redis-sentinel://me:p%40ss@a,b:7/mymaster/3") else { panic!() };
        assert_eq!((all.addresses.len(), &*all.master, all.db, all.tls.is_none()), (2, "mymaster", 3, true));
        assert_eq!(all.addresses[1], ConnectionAddr::Tcp("b".into(), 7));
        assert_eq!(all.login, (Some("me".into()), Some("p@ss".into())));
        assert!(matches!(Target::parse("rediss://a/0"), Ok(Target::One(_))));
        assert!(Target::parse("rediss-cluster://me:p%40ss@a:1,b").unwrap().is_cluster());
        let Ok(Target::Sentinel(all)) = Target::parse("rediss-sentinel://a,b:7/mymaster") else { panic!() };
        assert!(all.tls.is_some());
        assert!(matches!(&all.addresses[0], ConnectionAddr::TcpTls { port: 26379, insecure: false, .. }));
        assert!(Target::with_authority("rediss://a", Some(b"-----BEGIN CERTIFICATE-----\nx".to_vec())).is_err());
        for bad in ["127.0.0.1", "http://a", "redis-sentinel://a:1", "redis-cluster://a:b", "redis://"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        for bad in ["redissx://a", "rediss-cluster://a:b", "rediss-sentinel://a:1"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
