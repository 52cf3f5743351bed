//! The program told to end, to begin again and to read its settings, with a call going on: nobody is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::kit::{self, PATIENCE, Running, Server, directory, push, roomservice, until};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use testkit::bounded::program;
use tokio_tungstenite::tungstenite::Message;

fn signal(pid: u32, name: &str) {
    assert!(program("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// A chat client that reconnects: joins a room from where it was, and says what it was told by then.
async fn chat(at: &str, user: &str, token: &str, since: Option<(u64, u64)>) -> (Socket, Value) {
    let url = format!("ws://{at}/ws?userID={user}&token={token}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let since = since.map(|(epoch, seq)| json!({"epoch": epoch, "seq": seq}));
    let join = json!({"type": "join", "id": 1, "room": "call", "since": since});
    socket.send(Message::text(join.to_string())).await.unwrap();
    loop {
        let frame = frame(&mut socket).await.unwrap();
        if frame["id"] == 1 {
            assert_eq!(frame["type"], "ack", "{frame}");
            return (socket, frame);
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// The next frame, or the code that the connection was closed with.
async fn frame(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(why)))) => return Err(why.code.into()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn closed_with(socket: &mut Socket) -> u16 {
    loop {
        if let Err(code) = frame(socket).await {
            return code;
        }
    }
}

fn post(at: &str, path: &str, body: &str) -> (String, String) {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(socket, "POST {path} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_call_goes_on_over_a_restart() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server =
        Server::with(directory(), &[("ROOMSERVICE_DRAIN_TIMEOUT", "6"), ("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "10")]);
    let at = server.http.to_string();
    let rtmp = server.rtmp.to_string();
    let alice = server.login("live_room", "alice");
    let url = alice.push_url("call");
    assert_eq!(alice.enter("call", &url)["code"], 0);
    let mut pushing = push(&url);
    let flv = alice.ok("get_pushers", json!({ "roomID": "call" }))["pushers"][0]["flvURL"].as_str().unwrap().to_owned();
    let mut playing = program("curl");
    playing.args(["-sN", "-o", "/dev/null", "-w", "%{http_code}", &flv]).stdout(Stdio::piped());
    let mut playing = Running(playing.spawn().unwrap());
    let (mut socket, joined) = runtime.block_on(chat(&at, "alice", &alice.token, None));
    let epoch = joined["epoch"].as_u64().unwrap();
    let token = alice.token.clone();
    until("the stream flows", || {
        server.request("GET", &flv[flv.find("/live/").unwrap()..].replace(".flv?", ".m3u8?"), "").0 == 200
    });

    // It drains: nobody new, what is there goes on.
    let begun = Instant::now();
    signal(server.pid(), "-TERM");
    let create = format!("/weapp/multi_room/create_room?userID=alice&token={token}");
    let mut refused = (String::new(), String::new());
    until("no new rooms are made", || {
        refused = post(&at, &create, r#"{"userID":"alice","roomInfo":"x"}"#);
        refused.0.starts_with("HTTP/1.1 503 ")
    });
    assert!(refused.0.to_lowercase().contains("retry-after: "), "{}", refused.0);
    assert_eq!((server.request("GET", "/healthz", "").0, server.request("GET", "/readyz", "").0), (200, 503));
    assert_eq!(alice.heartbeat("call")["code"], 0, "calls of rooms that are there go on");
    let second = alice.push_url("call2");
    assert!(!kit::ended("a new publisher is turned away", &mut push(&second)));
    assert_eq!(server.request("GET", &flv[flv.find("/live/").unwrap()..], "").0, 503, "a new player too");
    let said = json!({"type": "send", "id": 2, "room": "call", "text": "still here"}).to_string();
    runtime.block_on(async {
        socket.send(Message::text(said)).await.unwrap();
        while frame(&mut socket).await.unwrap()["id"] != 2 {}
    });
    // Time is up: everybody is told, and the process ends well.
    assert_eq!(runtime.block_on(closed_with(&mut socket)), 4000);
    drop(socket);
    let mut server = server;
    assert!(server.ended_well(), "status 0");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(20), "{took:?}");
    let mut status = String::new();
    until("the player's response ends", || playing.0.try_wait().unwrap().is_some());
    playing.0.stdout.take().unwrap().read_to_string(&mut status).unwrap();
    assert_eq!(
        (status.as_str(), playing.0.wait().unwrap().code()),
        ("200", Some(0)),
        "a whole response, not a cut one"
    );
    until("the encoder notices", || pushing.0.try_wait().unwrap().is_some());

    // The same address, the same data: everybody comes back to what was.
    let again = server.again(&[
        ("ROOMSERVICE_HTTP__LISTEN", &at),
        ("ROOMSERVICE_RTMP__LISTEN", &rtmp),
        ("ROOMSERVICE_DRAIN_TIMEOUT", "60"),
    ]);
    let room: Value = serde_json::from_str(
        &post(&at, &format!("/weapp/live_room/get_pushers?userID=alice&token={token}"), r#"{"roomID":"call"}"#).1,
    )
    .unwrap();
    assert_eq!((&room["code"], &room["pushers"][0]["userID"]), (&json!(0), &json!("alice")), "{room}");
    let _pushing = push(&url);
    until("the stream flows again", || kit::probe(&flv) == ["aac", "h264"]);
    let (mut socket, joined) = runtime.block_on(chat(&at, "alice", &token, Some((epoch, 1))));
    assert_eq!(joined["room"], "call");
    // A second signal ends it at once, and rooms are there all the same.
    signal(again.pid(), "-TERM");
    until("it drains", || post(&at, &create, r#"{"userID":"alice","roomInfo":"x"}"#).0.starts_with("HTTP/1.1 503 "));
    let begun = Instant::now();
    signal(again.pid(), "-TERM");
    let mut again = again;
    assert!(!again.ended_well(), "the second signal is not a good end");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let _ = runtime.block_on(socket.close(None));
    let last = again.again(&[("ROOMSERVICE_HTTP__LISTEN", &at), ("ROOMSERVICE_RTMP__LISTEN", &rtmp)]);
    let room = post(&at, &format!("/weapp/live_room/get_pushers?userID=alice&token={token}"), r#"{"roomID":"call"}"#).1;
    assert!(room.contains("\"alice\""), "{room}");
    // Ctrl-C does not wait for the publisher.
    let _pushing = push(&url);
    until("the stream flows once more", || kit::probe(&flv) == ["aac", "h264"]);
    let begun = Instant::now();
    signal(last.pid(), "-INT");
    let mut last = last;
    assert!(last.ended_well());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// Browsers are told when the server ends, come back to the next one, and the room was there all along.
#[test]
fn browsers_are_told_of_a_restart_and_come_back_to_their_room() {
    use crate::kit::webrtc::Peer;
    let variables = [
        ("ROOMSERVICE_DRAIN_TIMEOUT", "1"),
        ("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "15"),
        ("ROOMSERVICE_WEBRTC__LISTEN", "127.0.0.1:0"),
    ];
    let mut server = Server::with(directory(), &variables);
    let alice = server.login("multi_room", "alice");
    let urls = alice.ok("get_push_url", json!({ "roomID": "call" }));
    let push_url = urls["pushURL"].as_str().unwrap().to_owned();
    let whip = urls["whipURL"].as_str().unwrap().to_owned();
    assert_eq!(alice.enter("call", &push_url)["code"], 0);
    let whep =
        alice.ok("get_pushers", json!({ "roomID": "call" }))["pushers"][0]["whepURL"].as_str().unwrap().to_owned();
    let publisher = Peer::publish(&server, &whip).unwrap();
    let player = Peer::play(&server, &whep).unwrap();
    let hears = |player: &Peer| {
        let before = player.heard.load(Ordering::Relaxed);
        until("sound flows", || player.heard.load(Ordering::Relaxed) > before + 20);
    };
    hears(&player);

    signal(server.pid(), "-TERM");
    until("it drains", || server.request("GET", "/readyz", "").0 == 503);
    // Nobody new; who is there hears on until the time is over, and then a goodbye each.
    assert_eq!(Peer::publish(&server, &whip.replace("call", "other")).err(), Some(503));
    assert_eq!(Peer::play(&server, &whep).err(), Some(503));
    let closed = |peer: &Peer| peer.closed.load(Ordering::Relaxed);
    until("both are told", || closed(&publisher) && closed(&player));
    drop(alice);
    assert!(server.ended_well(), "status 0");

    let server = server.again(&variables);
    let alice = server.login("multi_room", "alice");
    assert_eq!(alice.pushers("call"), ["alice"], "the room did not vanish, nor did she leave it");
    // Their URLs are good for the server that they come back to.
    let _publisher = Peer::publish(&server, &whip).unwrap();
    let player = Peer::play(&server, &whep).unwrap();
    hears(&player);
    assert_eq!(alice.heartbeat("call")["code"], 0);
}

#[test]
fn where_other_nodes_are_chat_goes_there_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut redis = program("redis-server");
    redis.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"]).stdout(Stdio::null());
    let _redis = Running(redis.spawn().unwrap());
    until("redis answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let url = format!("redis://127.0.0.1:{port}/0");
    let variables = [
        ("ROOMSERVICE_DRAIN_TIMEOUT", "60"),
        ("ROOMSERVICE_STORE__KIND", "redis"),
        ("ROOMSERVICE_STORE__REDIS", url.as_str()),
    ];
    let mut server = Server::with(directory(), &variables);
    let alice = server.login("live_room", "alice");
    let push_url = alice.push_url("call");
    assert_eq!(alice.enter("call", &push_url)["code"], 0);
    let _pushing = push(&push_url);
    let room = || alice.ok("get_pushers", json!({ "roomID": "call" }))["pushers"][0]["accelerateURL"].clone();
    let play = room().as_str().unwrap().to_owned();
    until("the stream flows", || !kit::probe(&play).is_empty());
    let (mut socket, _) = runtime.block_on(chat(&server.http.to_string(), "alice", &alice.token, None));
    signal(server.pid(), "-TERM");
    assert_eq!(runtime.block_on(closed_with(&mut socket)), 4000);
    // Long before its time: the stream goes on here, and chat elsewhere.
    assert_eq!(alice.heartbeat("call")["code"], 0);
    let again = format!("/ws?userID=alice&token={}", alice.token);
    assert_eq!(server.request("GET", &again, "").0, 503);
    signal(server.pid(), "-INT");
    assert!(!server.ended_well());
}

/// A process whose manager listens at a socket.
fn managed(dir: &std::path::Path, file: &str) -> (Child, UnixDatagram) {
    let path = dir.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = roomservice(dir)
        .args(["--config", file])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000")
        .env("ROOMSERVICE_HTTP__LISTEN", "127.0.0.1:0")
        .env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    (child, manager)
}

fn heard(manager: &UnixDatagram) -> String {
    let mut text = [0; 512];
    let length = manager.recv(&mut text).unwrap();
    String::from_utf8(text[..length].to_vec()).unwrap()
}

/// The next state that is no sign of life.
fn state(manager: &UnixDatagram) -> String {
    loop {
        let text = heard(manager);
        if text != "WATCHDOG=1" {
            return text;
        }
    }
}

#[test]
fn settings_are_read_again_and_the_manager_is_told() {
    let dir = directory();
    let file = dir.join("roomservice.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("drain_timeout = 7\n[logs]\nlevel = \"warn\"\n");
    let (child, manager) = managed(&dir, file.to_str().unwrap());
    let mut running = Running(child);
    assert!(state(&manager).starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(heard(&manager), "WATCHDOG=1");
    }
    let log = || kit::said(&dir);
    let reload = |text: &str| {
        write(text);
        let before = log().len();
        signal(running.pid(), "-HUP");
        assert!(state(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert!(state(&manager).starts_with("READY=1"));
        log()[before..].to_owned()
    };
    // What can change does: the level first, or this would not be told.
    let said = reload(
        "drain_timeout = 5\n[logs]\nlevel = \"info\"\n[rooms]\nmaxMembers = 3\n[http]\ncors = \"\"\nmax_connections = 9\n",
    );
    assert!(said.contains("drain_timeout, http.cors, logs.level"), "{said}");
    assert!(
        said.contains("only a restart applies") && said.contains("http.max_connections, rooms.maxMembers"),
        "{said}"
    );
    // A file with a mistake changes nothing, whatever else stands in it.
    let said = reload("drain_timeout = 1\n[logs]\nlevel = \"error\"\n[rooms]\nmaxMember = 3\n");
    assert!(said.contains("nothing was changed") && said.contains("maxMember"), "{said}");
    let said = reload("[logs]\nlevel = \"info\"\n[operator]\nkeys = [\"a key of an operator\"]\n");
    assert!(said.contains("changed=\"drain_timeout, http.cors, operator.keys\""), "{said}");
    assert!(!said.contains("a key of"), "secrets are not told: {said}");
    signal(running.pid(), "-TERM");
    assert!(state(&manager).starts_with("STOPPING=1"));
    assert!(kit::ended("nothing flows, so it ends before its time", &mut running));
    std::fs::remove_dir_all(dir).unwrap();
}

/// A pipe that is full, and that nobody reads; both ends, of which the first keeps it a pipe.
fn unread() -> (std::io::PipeReader, std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn nobody_has_to_read_what_the_program_prints() {
    let dir = directory();
    let (_reader, writer) = unread();
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = roomservice(&dir);
    command.env("ROOMSERVICE_HTTP__LISTEN", &at).env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0");
    command.env("ROOMSERVICE_LOGS__LEVEL", "trace").env("ROOMSERVICE_DRAIN_TIMEOUT", "1");
    let mut running = Running(command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap());
    until("it listens", || TcpStream::connect(&at).is_ok());
    for _ in 0..100 {
        let (head, body) = post(&at, "/weapp/live_room/get_room_list", r#"{"index":0,"cnt":1}"#);
        assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("\"code\":7"), "nobody is logged in: {head} {body}");
    }
    let begun = Instant::now();
    signal(running.pid(), "-TERM");
    assert!(kit::ended("it ends all the same", &mut running), "status 0");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    std::fs::remove_dir_all(dir).unwrap();
}
