//! A redis-server of a test's own, which can be ended and started again with what it had.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::kit::{Server, directory, until};
use testkit::bounded::{end, pid_of, program};

/// One of several servers on this Redis.
pub fn node(redis: &Redis) -> Server {
    node_with(redis, &[])
}

/// The same with variables of its own.
pub fn node_with(redis: &Redis, more: &[(&str, &str)]) -> Server {
    let url = redis.url();
    let mut variables = vec![
        ("ROOMSERVICE_STORE__KIND", "redis"),
        ("ROOMSERVICE_STORE__REDIS", url.as_str()),
        ("ROOMSERVICE_SESSIONS__SECRET", "shared by all nodes"),
        ("ROOMSERVICE_LIVE__PUSHSECRETKEY", "shared by all nodes"),
        ("ROOMSERVICE_IM__SDKAPPID", "1400000000"),
        ("ROOMSERVICE_IM__SECRETKEY", "shared by all nodes"),
        ("ROOMSERVICE_WEBRTC__LISTEN", "127.0.0.1:0"),
    ];
    variables.extend(more);
    Server::with(directory(), &variables)
}

pub struct Redis {
    child: Option<Child>,
    port: u16,
    dir: PathBuf,
}

impl Redis {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Self { child: None, port, dir: directory() };
        redis.resume();
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        assert!(program("kill").arg(pid_of(&child).unwrap().to_string()).status().unwrap().success());
        child.wait().unwrap();
    }

    pub fn resume(&mut self) {
        let mut command = program(std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned()));
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(&self.dir);
        command.args(["--save", "", "--appendonly", "yes"]);
        self.child = Some(command.stdout(Stdio::null()).spawn().unwrap());
        until("redis answers", || self.cli(&["ping"]) == "PONG");
    }

    pub fn cli(&self, arguments: &[&str]) -> String {
        if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            return String::new();
        }
        let output = program("redis-cli").args(["-p", &self.port.to_string()]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
