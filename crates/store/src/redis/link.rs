//! A connection to Redis that comes back by itself: one server, a Sentinel's master, or a cluster. Every use is bounded in
//! time; a connection that failed is thrown away and the next use makes a new one. Knows no keys.

use std::future::Future;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, Pipeline, RedisError, RedisFuture, TlsCertificates,
    TlsMode, Value,
};
use tokio::time::timeout;

use crate::Counters;
use crate::error::Error;
use telemetry::traces;

/// How long a use may take, with connecting: calls answer within a second.
pub const PATIENCE: Duration = Duration::from_millis(800);

/// Where Redis is.
#[derive(Clone)]
pub enum Target {
    /// One server.
    One(Client),
    /// Whichever server these Sentinels say is the master of this name.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<ConnectionAddr>,
        /// The master's name.
        master: String,
        /// User and password at the master, if any.
        login: (Option<String>, Option<String>),
        /// The database.
        db: i64,
        /// Whom to trust, where both speak TLS.
        tls: Option<TlsCertificates>,
    },
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
            // Whoever was first is as good: all of this program use the same one.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            TlsCertificates { client_tls: None, root_cert: authority }
        });
        match (scheme, &tls) {
            ("redis" | "unix", _) => return Client::open(url).map(Self::One).map_err(|e| e.to_string()),
            ("rediss", Some(tls)) => {
                return Client::build_with_tls(url, tls.clone()).map(Self::One).map_err(|e| e.to_string());
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
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let default = if scheme.ends_with("-sentinel") { 26379 } else { 6379 };
        let hosts: Vec<(String, u16)> = hosts
            .split(',')
            .map(|host| match host.rsplit_once(':') {
                None => Ok((host.to_owned(), default)),
                Some((host, port)) => {
                    port.parse().map(|port| (host.to_owned(), port)).map_err(|_| format!("{port} is not a port"))
                }
            })
            .collect::<Result<_, String>>()?;
        match scheme {
            "redis-sentinel" | "rediss-sentinel" => {
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
                Ok(Self::Sentinel { sentinels, master: master.into(), login, db, tls })
            }
            "redis-cluster" | "rediss-cluster" => {
                let hosts: Vec<String> = hosts.iter().map(|(host, port)| format!("{scheme}://{host}:{port}")).collect();
                let hosts = hosts.iter().map(|host| host.replacen("-cluster", "", 1));
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
            other => Err(format!(
                "{other}:// is none of redis://, redis-sentinel://, redis-cluster://, nor these with rediss for TLS"
            )),
        }
    }

    /// Whether keys are spread over several servers.
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        // Uses bound themselves; one that blocks for long has a connection of its own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(None);
        match self {
            Self::One(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
            }
            Self::Sentinel { sentinels, master, login, db, tls } => {
                let mut builder =
                    SentinelClientBuilder::new(sentinels.iter().cloned(), master, SentinelServerType::Master)?
                        .set_client_to_redis_db(*db);
                if let Some(tls) = tls {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_redis_certificates(tls.clone())
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_certificates(tls.clone());
                }
                if let Some(user) = &login.0 {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = &login.1 {
                    builder = builder.set_client_to_redis_password(password);
                }
                builder.build()?.get_async_connection_with_config(&config).await.map(Connection::One)
            }
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
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
    held: Mutex<(u64, Option<Connection>)>,
    connecting: tokio::sync::Mutex<()>,
    /// What was asked.
    pub counters: Counters,
}

impl Link {
    /// Connects when it is first used.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            held: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            counters: Counters::default(),
        }
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
        traces::part("redis", traces::Kind::Client, || None, self.exchange(within, work)).await
    }

    async fn exchange<T, F>(&self, within: Duration, work: impl FnOnce(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let (mut used, begun) = (None, Instant::now());
        let attempt = async {
            let (generation, connection) = self.connection().await?;
            used = Some(generation);
            work(connection).await
        };
        let why = match timeout(within, attempt).await {
            Ok(Ok(done)) => {
                self.counters.trips.add(begun.elapsed());
                return Ok(done);
            }
            Ok(Err(error)) => {
                if !is_lasting(&error) {
                    used = None;
                }
                format!("redis: {error}")
            }
            Err(_) => format!("redis: no answer within {within:?}"),
        };
        if let Some(generation) = used {
            let mut held = self.held.lock();
            if held.0 == generation {
                held.1 = None;
            }
        }
        Counters::add(&self.counters.failures, 1);
        Err(Error::Unavailable(why))
    }

    async fn connection(&self) -> Result<(u64, Connection), RedisError> {
        if let (generation, Some(connection)) = &*self.held.lock() {
            return Ok((*generation, connection.clone()));
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let (generation, Some(connection)) = &*self.held.lock() {
            return Ok((*generation, connection.clone()));
        }
        let connection = self.target.connect().await?;
        let mut held = self.held.lock();
        *held = (held.0 + 1, Some(connection.clone()));
        Ok((held.0, connection))
    }
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
        let Ok(Target::Sentinel { sentinels, master, login, db, tls: None }) =
            Target::parse("redis-sentinel://me:p%40ss@a,b:7/mymaster/3")
        else {
            panic!()
        };
        assert_eq!((sentinels.len(), &*master, db), (2, "mymaster", 3));
        assert_eq!(sentinels[1], ConnectionAddr::Tcp("b".into(), 7));
        assert_eq!(login, (Some("me".into()), Some("p@ss".into())));
        assert!(matches!(Target::parse("rediss://a/0"), Ok(Target::One(_))));
        assert!(Target::parse("rediss-cluster://me:p%40ss@a:1,b").unwrap().is_cluster());
        let Ok(Target::Sentinel { sentinels, tls: Some(_), .. }) = Target::parse("rediss-sentinel://a,b:7/mymaster")
        else {
            panic!()
        };
        assert!(matches!(&sentinels[0], ConnectionAddr::TcpTls { port: 26379, insecure: false, .. }));
        assert!(Target::with_authority("rediss://a", Some(b"-----BEGIN CERTIFICATE-----\nx".to_vec())).is_err());
        for bad in ["127.0.0.1", "http://a", "redis-sentinel://a:1", "redis-cluster://a:b", "redis://"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        for bad in ["redissx://a", "rediss-cluster://a:b", "rediss-sentinel://a:1"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
