//! Real redis-server processes, each on a port of its own; they end with the test.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::bounded;

/// A redis-server that ends with the test.
pub struct RedisServer {
    child: Option<Child>,
    /// Where it listens.
    pub port: u16,
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    sentinel: Option<String>,
}

impl RedisServer {
    /// A server with more arguments.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, None)
    }

    /// A Sentinel over a master that it calls `main`.
    #[must_use]
    pub fn sentinel(master: u16) -> Self {
        let monitor = format!("sentinel monitor main 127.0.0.1 {master} 1\n");
        let fast = "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n";
        Self::with(&[], Some(monitor + fast))
    }

    /// A server with more arguments, or the Sentinel of this configuration.
    #[must_use]
    pub fn with(arguments: &[&str], sentinel: Option<String>) -> Self {
        let port = loop {
            // Below those that the system gives to connections: who tries again and again to reach a server that is away may be
            // given its port, and reaches itself. A cluster's bus takes the port 10,000 above.
            let port = 12_000 + (RandomState::new().hash_one(()) % 10_000) as u16;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                break port;
            }
        };
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let mut process = Self { child: None, port, dir: tempfile::tempdir().unwrap(), arguments, sentinel };
        process.resume();
        process
    }

    /// Starts it again, with what it had on disk.
    pub fn resume(&mut self) {
        let mut command = bounded::program(program());
        match &self.sentinel {
            None => {
                command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(self.dir.path());
                command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]).args(&self.arguments);
            }
            Some(sentinel) => {
                let file = self.dir.path().join("sentinel.conf");
                std::fs::write(&file, format!("port {}\nbind 127.0.0.1\n{sentinel}", self.port)).unwrap();
                command.arg(file).arg("--sentinel");
            }
        }
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, or what REDIS_SERVER names, is installed wherever these tests run");
        self.child = Some(child);
        let begun = Instant::now();
        while self.cli(&["ping"]) != "PONG" {
            assert!(begun.elapsed() < Duration::from_secs(20), "redis-server does not answer");
            std::thread::yield_now();
        }
    }

    /// Ends it, as an operator does.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        signal(&child, libc::SIGTERM);
        child.wait().unwrap();
    }

    /// Lets it stand still, or go on.
    pub fn freeze(&self, frozen: bool) {
        signal(self.child.as_ref().unwrap(), if frozen { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// What `redis-cli` prints; nothing where the server is away.
    pub fn cli(&self, arguments: &[&str]) -> String {
        if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            return String::new();
        }
        let output =
            bounded::program("redis-cli").args(["-p", &self.port.to_string()]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The address of one of its databases.
    #[must_use]
    pub fn url(&self, database: i64) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }
}

/// Another server of the same protocol can be tested with.
fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

fn signal(child: &Child, signal: i32) {
    let program = bounded::pid_of(child).unwrap().to_string();
    let done = bounded::program("kill").args([format!("-{signal}"), program]).status().unwrap();
    assert!(done.success());
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            bounded::end(&mut child);
        }
    }
}

/// A cluster of three, and its address.
#[must_use]
pub fn cluster() -> (Vec<RedisServer>, String) {
    let nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::start(&["--cluster-enabled", "yes"])).collect();
    for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
        assert_eq!(node.cli(&["cluster", "addslotsrange", slots[0], slots[1]]), "OK");
        assert_eq!(node.cli(&["cluster", "meet", "127.0.0.1", &nodes[0].port.to_string()]), "OK");
    }
    let begun = Instant::now();
    while !nodes.iter().all(|node| node.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the cluster does not come together");
        std::thread::yield_now();
    }
    let url = format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    (nodes, url)
}
