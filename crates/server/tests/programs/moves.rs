//! Two nodes: what becomes of the viewers of one when the publisher, or the other node, goes; and clients whose requests come to
//! another node than the one that they began with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::kit::chat::Chat;
use crate::kit::pictures::Viewer;
use crate::kit::redis::{node, node_with};
use crate::kit::webrtc::Peer;
use crate::kit::{Running, Server, User, directory, ended, push, until};
use serde_json::{Value, json};
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};
use testkit::RedisServer;
use testkit::bounded::program;

fn signal(pid: u32, signal: &str) {
    assert!(program("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Those who watch a stream at a node, each in its way.
struct Audience<'a> {
    server: &'a Server,
    flv: Viewer,
    whep: Peer,
    hls: String,
}

impl<'a> Audience<'a> {
    /// Watches what `user` is told of the only pusher of the room `r`.
    fn watch(server: &'a Server, user: &User<'_>) -> Self {
        let seen = user.ok("get_pushers", json!({ "roomID": "r" }));
        let url = |name: &str| seen["pushers"][0][name].as_str().unwrap().to_owned();
        let flv = Viewer::watch(&url("flvURL"));
        until("pictures over FLV", || flv.pictures() > 5);
        let whep = Peer::play(server, &url("whepURL")).unwrap();
        until("sound over WebRTC", || heard(&whep) > 20);
        let hls = url("hlsURL");
        let audience = Self { server, flv, whep, hls: hls[hls.find("/live/").unwrap()..].to_owned() };
        until("segments over HLS", || audience.segment().is_some());
        audience
    }

    /// The number of the newest whole segment; none where there is none.
    fn segment(&self) -> Option<u64> {
        let list = self.list();
        let first = list.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))?.parse::<u64>().unwrap();
        match list.matches("#EXTINF:").count() as u64 {
            0 => None,
            count => Some(first + count - 1),
        }
    }

    /// The list of HLS, or the one that it leads to.
    fn list(&self) -> String {
        let text = |path: &str| {
            let (status, body) = self.server.request("GET", path, "");
            if status == 200 { String::from_utf8(body).unwrap() } else { String::new() }
        };
        let list = text(&self.hls);
        let inner = list.lines().find(|line| line.contains(".m3u8") && !line.starts_with('#'));
        inner.map_or(
            list.clone(),
            |inner| if inner.starts_with('/') { text(inner) } else { text(&format!("/live/{inner}")) },
        )
    }

    /// Checks that nobody was told of an end, and that everybody sees what comes from now on.
    #[track_caller]
    fn goes_on(&mut self) {
        let pictures = self.flv.pictures();
        let sound = heard(&self.whep);
        let segment = self.segment();
        until("more pictures over FLV", || self.flv.pictures() > pictures + 15);
        until("more sound over WebRTC", || heard(&self.whep) > sound + 50);
        until("more segments over HLS", || self.segment() > segment);
        self.is_there();
    }

    #[track_caller]
    fn is_there(&mut self) {
        assert!(self.flv.running(), "the response over FLV has no end");
        assert!(!self.whep.closed.load(std::sync::atomic::Ordering::Relaxed), "nobody says goodbye over WebRTC");
        assert!(!self.list().contains("#EXT-X-ENDLIST"), "HLS has no end");
    }
}

fn heard(peer: &Peer) -> usize {
    peer.heard.load(std::sync::atomic::Ordering::Relaxed)
}

/// Pushes until a server takes it: encoders try again.
fn push_until_let_in(url: &str) -> Running {
    let mut pushing = push(url);
    let mut refused = 0;
    let begun = std::time::Instant::now();
    until("the publisher is let in", || {
        if pushing.0.try_wait().unwrap().is_some() {
            refused += 1;
            pushing = push(url);
            return false;
        }
        // What is refused ends within a second.
        begun.elapsed() > Duration::from_secs(2) && is_steady(&mut pushing)
    });
    pushing
}

fn is_steady(pushing: &mut Running) -> bool {
    std::thread::sleep(Duration::from_millis(1_500));
    pushing.0.try_wait().unwrap().is_none()
}

/// Alice pushes to a node that is about to be ended; the other one. She may push there, too, by the second URL.
struct Leaving<'a> {
    a: &'a mut Server,
    b: &'a Server,
    pushing: Running,
    other: String,
}

impl<'a> Leaving<'a> {
    fn begin(a: &'a mut Server, b: &'a Server) -> Self {
        let alice = a.login("multi_room", "alice");
        let url = alice.push_url("r");
        let pushing = push(&url);
        assert_eq!(alice.enter("r", &url)["code"], 0);
        let other = b.login("multi_room", "alice").push_url("r");
        Self { a, b, pushing, other }
    }

    /// Waits for the end of the node. Those who watch at the other one wait for the publisher, and see her there.
    fn ends(mut self, mut audience: Audience<'_>) {
        assert!(self.a.ended_well());
        until("the encoder notices", || self.pushing.0.try_wait().unwrap().is_some());
        audience.is_there();
        let _pushing = push(&self.other);
        audience.goes_on();
    }
}

/// While a node drains, viewers are sent to the other one, and see what is still pushed to the first.
#[test]
fn a_node_that_drains_gives_its_streams_to_others() {
    let redis = RedisServer::start(&[]);
    let mut a = node_with(&redis, &[("ROOMSERVICE_DRAIN_TIMEOUT", "15")]);
    let b = node(&redis);
    let bob = b.login("multi_room", "bob");
    let leaving = Leaving::begin(&mut a, &b);
    until("the stream is known", || redis.cli(&["--scan", "--pattern", "rs:stream:*"]).contains("alice"));
    signal(leaving.a.pid(), "-TERM");
    until("it drains", || leaving.a.request("GET", "/readyz", "").0 == 503);
    let audience = Audience::watch(leaving.b, &bob);
    leaving.ends(audience);
}

/// The end of a node is not the end of what was pushed to it.
#[test]
fn a_node_that_ends_takes_no_viewer_of_another_with_it() {
    let redis = RedisServer::start(&[]);
    let mut a = node_with(&redis, &[("ROOMSERVICE_DRAIN_TIMEOUT", "1")]);
    let b = node(&redis);
    let bob = b.login("multi_room", "bob");
    let leaving = Leaving::begin(&mut a, &b);
    let audience = Audience::watch(leaving.b, &bob);
    signal(leaving.a.pid(), "-TERM");
    leaving.ends(audience);
}

/// A host changes its network: the connection that it had is open, and nothing comes by it. It comes back to another node.
#[test]
fn a_publisher_who_comes_back_to_another_node_keeps_the_viewers_of_the_first() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let alice = a.login("multi_room", "alice");
    let elsewhere = b.login("multi_room", "alice");
    let bob = a.login("multi_room", "bob");
    let url = alice.push_url("r");
    let other = elsewhere.push_url("r");
    let silent = push(&url);
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let mut audience = Audience::watch(&a, &bob);
    assert!(!ended("a second publisher", &mut push(&other)), "the first one is heard");

    signal(silent.pid(), "-STOP");
    let _second = push_until_let_in(&other);
    audience.goes_on();
    let said = crate::kit::said(&a.dir);
    assert!(said.contains("its publisher here ends"), "it was taken from the silent one, not from a closed connection");
}

/// An offer to play sound, as the JSON calls take it.
fn offer(stream: &str) -> String {
    let mut rtc = Rtc::builder().build(std::time::Instant::now());
    let address = "127.0.0.1:9".parse().unwrap();
    rtc.add_local_candidate(str0m::Candidate::host(address, "udp").unwrap());
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    let (offer, _) = api.apply().unwrap();
    json!({ "streamurl": stream, "sdp": offer.to_sdp_string() }).to_string()
}

/// A balancer knows nothing of sessions: whichever node it sends a client's wish to does it.
#[test]
fn a_webrtc_session_is_changed_and_ended_by_way_of_any_node() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let alice = a.login("multi_room", "alice");
    let bob = a.login("multi_room", "bob");
    let url = alice.push_url("r");
    let _pushing = push(&url);
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let seen = bob.ok("get_pushers", json!({ "roomID": "r" }));
    let whep = seen["pushers"][0]["whepURL"].as_str().unwrap();
    let begin = || {
        let mut session = String::new();
        until("the stream is there", || {
            let (_, answer) = a.request("POST", "/rtc/v1/play/", &offer(whep));
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            session = answer["sessionid"].as_str().unwrap_or_default().to_owned();
            !session.is_empty()
        });
        format!("/rtc/session/{session}")
    };
    let session = begin();
    assert_eq!(b.request("GET", &session, "").0, 204);
    let restart = "a=ice-ufrag:abcdefgh\r\na=ice-pwd:0123456789abcdefghijklmn\r\n";
    let patch = |server: &Server, session: &str| {
        let mut command = program("curl");
        command.args(["-s", "-w", "%{http_code} %{header_json}", "-X", "PATCH", "-d", restart]);
        command.args(["-H", "Content-Type: application/trickle-ice-sdpfrag"]);
        let output = command.arg(format!("http://{}{session}", server.http)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer = patch(&b, &session);
    assert!(answer.starts_with("a=ice-lite\r\n") || answer.contains("a=ice-ufrag:"), "a new ICE session: {answer}");
    assert!(answer.contains("200 {") && answer.contains("\"etag\":"), "{answer}");
    assert!(answer.contains("application/trickle-ice-sdpfrag"), "{answer}");
    assert_eq!(b.request("DELETE", &session, "").0, 200);
    until("it is over where it was", || a.request("GET", &session, "").0 == 404);
    assert_eq!((a.request("DELETE", &session, "").0, b.request("DELETE", &session, "").0), (200, 200), "over is over");
    assert!(patch(&b, &session).contains("404 {"));

    // Its node is gone: so is the session, which is what the client wanted, and nothing to change.
    let session = begin();
    drop(a);
    until("the node is given up", || b.request("DELETE", &session, "").0 == 200);
    assert!(patch(&b, &session).contains("404 {"));
    // No node has this name.
    let nowhere = format!("{}00000000000000aa", &session[..session.len() - 16]);
    assert_eq!((b.request("DELETE", &nowhere, "").0, b.request("GET", &nowhere, "").0), (200, 404));
}

/// The old web client logs in at any node, and polls where a balancer sends it by what the login gave it.
#[test]
fn what_waits_for_a_client_that_polls_comes_where_it_polls() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let bob = b.login("multi_room", "bob");
    let mut chat = Chat::connect(&b, &bob);
    let posted = chat.ask(json!({"type": "direct", "to": "carol", "text": "psst"}));
    assert_eq!(posted["type"], "ack", "{posted}");
    let post = |server: &Server, path: &str, body: Value| -> Value {
        let (status, answer) = server.request("POST", path, &body.to_string());
        assert_eq!(status, 200);
        serde_json::from_slice(&answer).unwrap()
    };
    let sig = a.get("/weapp/utils/get_login_info?userID=carol")["userSig"].as_str().unwrap().to_owned();
    let login = format!("/v4/openim/login?identifier=carol&usersig={sig}&sdkappid=1400000000&accounttype=0");
    let said = post(&a, &login, json!({"State": "Online"}));
    let identity = format!("tinyid={}&a2={}", said["TinyId"].as_str().unwrap(), said["A2Key"].as_str().unwrap());
    // Long enough for whatever the login tells the other node.
    std::thread::sleep(Duration::from_millis(500));
    let polled = post(&b, &format!("/v4/openim/longpolling?{identity}"), json!({"Timeout": 1, "Cookie": {}}));
    assert!(polled["EventArray"].to_string().contains("psst"), "{polled}");
}

/// The nginx of docs/nodes.md in front of two nodes.
fn nginx(dir: &std::path::Path, nodes: [SocketAddr; 2]) -> (Running, u16) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/nodes.md")).unwrap();
    let mut blocks = page.split("```nginx").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.next().unwrap();
    let beside = blocks.next().unwrap();
    let there = ["10.0.0.11:5757", "10.0.0.12:5757"];
    let block = there.iter().zip(nodes).fold(block.to_owned(), |block, (there, node)| {
        assert!(block.contains(there), "docs/nodes.md has no {there}");
        block.replace(there, &node.to_string())
    });
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("{what}_temp_path {at}/{what};\n")).concat();
    let server =
        format!("server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://roomservice; {beside} }} }}");
    let whole = format!(
        "daemon off; pid {at}/pid; error_log {at}/error; events {{}}\nhttp {{ access_log off;\n{temporary}{block}{server}}}"
    );
    std::fs::write(dir.join("nginx.conf"), whole).unwrap();
    let mut command = program("nginx");
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command.arg("-c").arg(dir.join("nginx.conf")).arg("-e").arg(dir.join("error"));
    let running = Running(command.spawn().unwrap());
    until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (running, port)
}

/// Nodes behind one name, as docs/nodes.md says: what a list names is where the list came from.
#[test]
fn hls_behind_one_name_finds_its_files() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let (_nginx, port) = nginx(&a.dir, [a.http, b.http]);
    let alice = a.login("multi_room", "alice");
    let url = alice.push_url("r");
    let _pushing = push(&url);
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let seen = b.login("multi_room", "bob").ok("get_pushers", json!({ "roomID": "r" }));
    let hls = seen["pushers"][0]["hlsURL"].as_str().unwrap();
    let list = format!("http://127.0.0.1:{port}{}", &hls[hls.find("/live/").unwrap()..]);
    let get = |url: &str| {
        let output = program("curl").args(["-s", "-w", "\n%{http_code}", url]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    };
    let mut files = 0;
    until("many files", || {
        let (status, text) = get(&list);
        assert_eq!(status, "200", "{text}");
        for file in text.lines().filter(|line| line.contains(".m4s") && !line.starts_with('#')) {
            assert_eq!(get(&format!("http://127.0.0.1:{port}/live/{file}")).0, "200", "{file} of\n{text}");
            files += 1;
        }
        files > 20
    });
}

/// A node that answers every request with this status, and counts them.
fn answering(status: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.ends_with(b"{}") {
                match socket.read(&mut part) {
                    Ok(n) if n > 0 => request.extend_from_slice(&part[..n]),
                    _ => break,
                }
            }
            if !request.is_empty() {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let _ = write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (at, asked)
}

/// Calls are POSTs: where a node drains, nginx takes them to the next one; what may have been done is not done again.
#[test]
fn calls_that_a_draining_node_refuses_go_to_the_next_one() {
    let dir = directory();
    for (refusal, passed_on) in [("503 Leaving", true), ("504 Unknown", false)] {
        let (refusing, refused) = answering(refusal);
        let (well, done) = answering("200 OK");
        let at = dir.join(&refusal[..3]);
        std::fs::create_dir_all(&at).unwrap();
        let (_nginx, port) = nginx(&at, [refusing, well]);
        let call = || {
            let mut curl = program("curl");
            curl.args(["-s", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}"]);
            let said = curl.arg(format!("http://127.0.0.1:{port}/weapp/live_room/get_pushers")).output().unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        let said: Vec<String> = (0..30).map(|_| call()).collect();
        let wanted = if passed_on { &["200"][..] } else { &["200", &refusal[..3]] };
        assert!(said.iter().all(|status| wanted.contains(&status.as_str())), "{refusal}: {said:?}");
        let [refused, done] = [refused, done].map(|asked| asked.load(Ordering::Relaxed));
        assert!(refused > 0, "{refusal}: both nodes are asked");
        assert_eq!(done, if passed_on { 30 } else { 30 - refused }, "{refusal}: each call is done once");
    }
    std::fs::remove_dir_all(dir).unwrap();
}
