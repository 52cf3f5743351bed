//! A running server of its own for each test, and what its clients need: HTTP, ffmpeg, patience.

pub mod backend;
pub mod chat;
pub mod pictures;
pub mod redis;
pub mod webrtc;
pub mod whep;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::bounded::{end, pid_of, program, program_within};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long a test's server lives at most.
const LIFE: Duration = Duration::from_secs(600);

/// A server in a directory of its own, on ports that the system chose.
pub struct Server {
    child: Child,
    pub http: SocketAddr,
    pub rtmp: SocketAddr,
    pub dir: PathBuf,
}

/// Where a stream is pushed to and played from.
pub struct Urls {
    pub push: String,
    pub play: String,
    pub flv: String,
    pub hls: String,
    pub whep: String,
}

/// The program with its data in this directory.
pub fn roomservice(dir: &Path) -> Command {
    let mut command = program_within(env!("CARGO_BIN_EXE_roomservice"), LIFE);
    command.current_dir(dir).env("ROOMSERVICE_DATA_DIR", dir.join("data"));
    command
}

pub fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("roomservice-story-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl Server {
    pub fn start(dir: PathBuf) -> Self {
        Self::with(dir, &[])
    }

    /// With variables of its own.
    pub fn with(dir: PathBuf, variables: &[(&str, &str)]) -> Self {
        let mut child = roomservice(&dir)
            .env("ROOMSERVICE_HTTP__LISTEN", "127.0.0.1:0")
            .env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0")
            .env("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "3")
            .env("ROOMSERVICE_LOGS__LEVEL", "debug")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut http = None;
        let mut rtmp = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let address = |scheme: &str| line.split(scheme).nth(1)?.split('/').next()?.parse().ok();
            http = http.or_else(|| address("http://"));
            rtmp = rtmp.or_else(|| address("rtmp://"));
            if line.trim_start().starts_with("data ") {
                break;
            }
        }
        let http = http.expect("the greeting names HTTP");
        let rtmp = rtmp.expect("the greeting names RTMP");
        Self { child, http, rtmp, dir }
    }

    /// Waits until the process has ended, and says whether it ended well. Its directory stays.
    #[track_caller]
    pub fn ended_well(&mut self) -> bool {
        let mut success = false;
        until("the server ends", || match self.child.try_wait().unwrap() {
            Some(status) => {
                success = status.success();
                true
            }
            None => false,
        });
        success
    }

    /// The next server on the same data, after this one has ended.
    pub fn again(mut self, variables: &[(&str, &str)]) -> Self {
        assert!(self.child.try_wait().unwrap().is_some(), "one server at a time");
        let next = Self::with(std::mem::take(&mut self.dir), variables);
        drop(self);
        next
    }

    /// Ends the process at once, as a crash would.
    pub fn crash(&mut self) {
        end(&mut self.child);
    }

    pub fn pid(&self) -> u32 {
        pid_of(&self.child).expect("the server runs")
    }

    /// Sends a request and reads the whole answer: status and body.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
        let mut socket = TcpStream::connect(self.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.http,
            content_type(path)
        )
        .unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    pub fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.request("GET", path, "").1).unwrap()
    }

    pub fn login(&self, kind: &str, user: &str) -> User<'_> {
        let info = self.get(&format!("/weapp/utils/get_login_info?userID={user}"));
        self.login_with(kind, user, info["userSig"].as_str().unwrap())
    }

    /// The URLs of a user's stream in a live room of its own, both named `room`.
    pub fn urls(&self, room: &str) -> Urls {
        let user = self.login("live_room", room);
        let urls = user.ok("get_push_url", json!({ "roomID": room }));
        let url = |name: &str| urls[name].as_str().unwrap().to_owned();
        let push = url("pushURL");
        assert_eq!(user.enter(room, &push)["code"], 0);
        let seen = user.ok("get_pushers", json!({ "roomID": room }));
        let play = seen["pushers"][0]["accelerateURL"].as_str().unwrap().to_owned();
        Urls { push, play, flv: url("flvURL"), hls: url("hlsURL"), whep: url("whepURL") }
    }

    pub fn login_with(&self, kind: &str, user: &str, sig: &str) -> User<'_> {
        let path = format!("/weapp/{kind}/login?sdkAppID=1400000000&accountType=0&userID={user}&userSig={sig}");
        let reply: Value = serde_json::from_slice(&self.request("POST", &path, "").1).unwrap();
        assert_eq!(reply["code"], 0, "{user}: {reply}");
        User { server: self, kind: kind.into(), id: user.into(), token: reply["token"].as_str().unwrap().into() }
    }

    /// Everything that the server wrote about what happened.
    pub fn written(&self) -> String {
        let (_, list) = self.request("GET", "/weapp/utils/logfilelist", "");
        let list = String::from_utf8(list).unwrap();
        let mut text = said(&self.dir);
        for link in list.split("href=\"").skip(1) {
            let path = format!("/weapp/utils/{}", link.split('"').next().unwrap());
            text += &String::from_utf8(self.request("GET", &path, "").1).unwrap();
        }
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let before = self.child.try_wait();
        end(&mut self.child);
        if std::thread::panicking() && !self.dir.as_os_str().is_empty() {
            let said = std::fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(30).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            eprintln!("the server ({before:?}) said last:\n{}", last.join("\n"));
        }
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Somebody who is logged in.
pub struct User<'a> {
    server: &'a Server,
    kind: String,
    pub id: String,
    pub token: String,
}

impl User<'_> {
    /// A call with the user's id in the body.
    pub fn call(&self, call: &str, mut body: Value) -> Value {
        body["userID"] = self.id.as_str().into();
        let path = format!("/weapp/{}/{call}?userID={}&token={}", self.kind, self.id, self.token);
        let (status, reply) = self.server.request("POST", &path, &body.to_string());
        assert_eq!(status, 200, "{call}");
        serde_json::from_slice(&reply).unwrap()
    }

    #[track_caller]
    pub fn ok(&self, call: &str, body: Value) -> Value {
        let reply = self.call(call, body);
        assert_eq!(reply["code"], 0, "{call} by {}: {reply}", self.id);
        reply
    }

    pub fn push_url(&self, room: &str) -> String {
        self.ok("get_push_url", json!({ "roomID": room }))["pushURL"].as_str().unwrap().into()
    }

    pub fn enter(&self, room: &str, url: &str) -> Value {
        self.call("add_pusher", json!({ "roomID": room, "userName": self.id, "userAvatar": "", "pushURL": url }))
    }

    pub fn heartbeat(&self, room: &str) -> Value {
        self.call("pusher_heartbeat", json!({ "roomID": room }))
    }

    /// Who pushes in a room, by id; empty if there is no room.
    pub fn pushers(&self, room: &str) -> Vec<String> {
        let reply = self.call("get_pushers", json!({ "roomID": room }));
        let pushers = reply["pushers"].as_array().cloned().unwrap_or_default();
        pushers.iter().map(|p| p["userID"].as_str().unwrap().to_owned()).collect()
    }
}

/// A process that ends with its test.
pub struct Running(pub Child);

impl Running {
    /// The program's own id, for signals.
    pub fn pid(&self) -> u32 {
        pid_of(&self.0).expect("the program runs")
    }

    pub fn kill(&mut self) {
        end(&mut self.0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Pushes a real picture and a real tone, in real time.
pub fn push(url: &str) -> Running {
    let mut command = program("ffmpeg");
    command.args("-hide_banner -loglevel error -re -f lavfi -i testsrc=size=320x240:rate=15".split(' '));
    command.args("-f lavfi -i sine=frequency=440:sample_rate=44100".split(' '));
    command
        .args("-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 15 -pix_fmt yuv420p".split(' '));
    command.args("-threads 1 -c:a aac -b:a 64k -ac 1 -f flv".split(' ')).arg(url);
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// What a server in this directory has printed, whose console has a thread of its own.
pub fn said(dir: &Path) -> String {
    std::thread::sleep(Duration::from_millis(200));
    std::fs::read_to_string(dir.join("stderr")).unwrap()
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Waits until a process has ended, and says whether it ended well.
#[track_caller]
pub fn ended(what: &str, running: &mut Running) -> bool {
    let mut success = false;
    until(what, || match running.0.try_wait().unwrap() {
        Some(status) => {
            success = status.success();
            true
        }
        None => false,
    });
    success
}

fn ffprobe() -> Command {
    let mut command = program("ffprobe");
    let options = "-v error -analyzeduration 1500000 -probesize 500000 -show_entries stream=codec_name -of csv=p=0";
    command.args(options.split(' '));
    command
}

fn codecs(output: std::process::Output) -> Vec<String> {
    let mut names: Vec<_> = String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect();
    names.sort();
    names
}

/// The codecs that a player finds at a URL; nothing if it is refused.
pub fn probe(url: &str) -> Vec<String> {
    codecs(ffprobe().arg("-rw_timeout").arg("15000000").arg(url).output().unwrap())
}

/// The codecs in some bytes of FLV.
pub fn probe_bytes(flv: &[u8]) -> Vec<String> {
    let mut child =
        ffprobe().args(["-f", "flv", "pipe:0"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // A player that has seen enough closes its end.
    let _ = child.stdin.take().unwrap().write_all(flv);
    codecs(child.wait_with_output().unwrap())
}

/// The first bytes of a stream over WebSocket, without its framing.
pub fn over_websocket(server: &Server, url: &str, bytes: usize) -> Vec<u8> {
    let mut reader = open_websocket(server, url);
    let mut flv = Vec::new();
    while flv.len() < bytes {
        let mut first = [0; 2];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(first[0], 0x82, "whole binary messages, one after the other");
        let size = match first[1] {
            126 => {
                let mut size = [0; 2];
                reader.read_exact(&mut size).unwrap();
                u64::from(u16::from_be_bytes(size))
            }
            127 => {
                let mut size = [0; 8];
                reader.read_exact(&mut size).unwrap();
                u64::from_be_bytes(size)
            }
            size => u64::from(size),
        };
        let mut payload = vec![0; usize::try_from(size).unwrap()];
        reader.read_exact(&mut payload).unwrap();
        flv.extend(payload);
    }
    flv
}

/// A WebSocket to this URL, which plays from now on.
pub fn open_websocket(server: &Server, url: &str) -> BufReader<TcpStream> {
    let path = url.split_once(&server.http.to_string()).unwrap().1;
    let mut socket = TcpStream::connect(server.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.http
    )
    .unwrap();
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    reader
}

/// What the body of a request to `path` is.
pub fn content_type(path: &str) -> &'static str {
    if path.starts_with("/whip/") || path.starts_with("/whep/") { "application/sdp" } else { "application/json" }
}
