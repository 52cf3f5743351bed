//! Rooms that come and go leave nothing behind: memory, files, tasks and what stores keep are afterwards what they were.
//! `bench leaks` does the same with a hundred thousand of them against a release build.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use media::rtmp::client::{Publisher, Target};
use room::{Kind, LeaveReason, NewPusher, StreamId, UserId};
use roomservice::config::Settings;
use roomservice::start::Server;
use serde_json::{Value, json};
use sign::Secret;
use sign::token::Generation;
use store::Place;
use testkit::RedisServer;
use testkit::bounded::program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Callers at the same time.
const ABREAST: usize = 64;
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(change: impl FnOnce(&mut Settings)) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings { data_dir: dir.path().into(), ..Settings::default() };
    settings.http.listen = any;
    settings.rtmp.listen = any;
    settings.logs.level = "error".into();
    change(&mut settings);
    (Server::start(settings).await.unwrap(), dir)
}

/// Rooms made, entered, watched and left, without sockets.
async fn rooms(server: &Server, count: usize) {
    let parts = (0..ABREAST).map(|part| {
        let app = server.app.clone();
        tokio::spawn(async move {
            let user = UserId::parse(&format!("user{part}")).unwrap();
            let stream = StreamId::parse(&format!("1000_user{part}")).unwrap();
            for _ in (part..count).step_by(ABREAST) {
                let room = app.rooms.create(Kind::Live, None, "a room", &user).await.unwrap();
                let name = "a name";
                let avatar = "";
                let info = None;
                let new = NewPusher { room: &room, kind: Kind::Live, user: &user, name, avatar, stream: &stream, info };
                app.rooms.add_pusher(&new).await.unwrap();
                app.rooms.add_viewer(&room, &user, "").await.unwrap();
                app.rooms.heartbeat(Kind::Live, &room, &user).await.unwrap();
                app.rooms.delete_viewer(&room, &user).await.unwrap();
                app.rooms.delete_pusher(Kind::Live, &room, &user, LeaveReason::Quit).await.unwrap();
            }
        })
    });
    for part in parts.collect::<Vec<_>>() {
        part.await.unwrap();
    }
}

/// The same as clients do it: calls over HTTP, a chat connection, a stream.
async fn clients(server: &Server, count: usize) {
    for n in 0..count {
        let user = format!("client{}", n % 10);
        let id = UserId::parse(&user).unwrap();
        let token = server.app.sessions.open(&id, Generation::Second, server.app.clock.now()).unwrap();
        let query = format!("userID={user}&token={token}");
        let call = async |name: &str, mut body: Value| {
            body["userID"] = user.as_str().into();
            let answer = post(server.http, &format!("/weapp/multi_room/{name}?{query}"), &body).await;
            assert_eq!(answer["code"], 0, "{name}: {answer}");
            answer
        };
        let room = call("create_room", json!({ "roomInfo": "x" })).await["roomID"].as_str().unwrap().to_owned();
        let url = call("get_push_url", json!({ "roomID": room })).await["pushURL"].as_str().unwrap().to_owned();
        call("add_pusher", json!({ "roomID": room, "userName": "x", "userAvatar": "", "pushURL": url })).await;
        let at = format!("ws://{}/ws?{query}", server.http);
        let (mut chat, _) = tokio_tungstenite::connect_async(at).await.unwrap();
        for frame in [
            json!({"type": "join", "id": 1, "room": room}),
            json!({"type": "send", "id": 2, "room": room, "text": "x"}),
        ] {
            chat.send(Message::text(frame.to_string())).await.unwrap();
        }
        while !matches!(chat.next().await, Some(Ok(Message::Text(text))) if text.contains("\"id\":2")) {}
        let host = format!("rtmp://{}", server.rtmp.unwrap());
        let target = Target::parse(&format!("{host}{}", &url[url.find("/live").unwrap()..])).unwrap();
        Publisher::connect(&target).await.unwrap().finish().await.unwrap();
        call("delete_pusher", json!({ "roomID": room })).await;
        let _ = chat.close(None).await;
        while let Some(Ok(_)) = chat.next().await {}
    }
}

async fn post(at: SocketAddr, target: &str, body: &Value) -> Value {
    let mut socket = TcpStream::connect(at).await.unwrap();
    let body = body.to_string();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// What a server holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    files: usize,
    tasks: usize,
    rooms: usize,
    groups: usize,
    chat: usize,
    streams: usize,
}

fn held(server: &Server) -> Held {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    let app = &server.app;
    Held {
        bytes: kilobytes * 1024,
        files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        rooms: app.store.len(),
        groups: app.chat.len(),
        chat: app.chat.connections(),
        streams: app.hub.len(),
    }
}

/// What is still held that was not before, or too much of it.
fn left(before: Held, now: Held) -> Vec<String> {
    let mut left = Vec::new();
    let mut bound = |what: &str, before: u64, now: u64| {
        if now > before + before / 20 {
            left.push(format!("{what}: {before}, now {now}"));
        }
    };
    bound("bytes", before.bytes, now.bytes);
    bound("files", before.files as u64, now.files as u64);
    bound("tasks", before.tasks as u64, now.tasks as u64);
    bound("rooms", before.rooms as u64, now.rooms as u64);
    bound("groups", before.groups as u64, now.groups as u64);
    bound("chat connections", before.chat as u64, now.chat as u64);
    bound("streams", before.streams as u64, now.streams as u64);
    left
}

/// Waits for connections to close and the like, which nobody waits for.
async fn settled(server: &Server) -> Held {
    let begun = Instant::now();
    loop {
        let now = held(server);
        if now.rooms + now.groups + now.chat + now.streams == 0 || begun.elapsed() > PATIENCE {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Other tests of this program hold memory and files too, so the measuring test runs in a process of its own.
#[test]
fn rooms_that_come_and_go_leave_nothing() {
    let itself = std::env::current_exe().unwrap();
    let output = program(itself).args(["--exact", "leaks::measured", "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "rooms_that_come_and_go_leave_nothing runs it, alone in a process"]
async fn measured() {
    let (server, _dir) = start(|_| ()).await;
    // What is made once and kept comes first: buffers, threads, pools.
    rooms(&server, 50_000).await;
    clients(&server, 60).await;
    let before = settled(&server).await;
    let begun = Instant::now();
    rooms(&server, 50_000).await;
    clients(&server, 60).await;
    let mut now = settled(&server).await;
    while !left(before, now).is_empty() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        now = held(&server);
    }
    println!("{before:?}\n{now:?} in {:?}", begun.elapsed());
    assert_eq!(left(before, now), [""; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_leave_no_keys_in_redis() {
    let redis = RedisServer::start(&["--appendonly", "no"]);
    let (server, _dir) = start(|settings| {
        settings.store.kind = Place::Redis;
        settings.store.redis = Secret::new(redis.url(0));
    })
    .await;
    // Three keys for who is at which node, and who is away, come and go.
    let own = |key: &&str| key.starts_with("rs:{0}:presen") || *key == "rs:{0}:away";
    let keys = async || redis.cli(&["--scan"]).lines().filter(|key| !own(key)).count();
    // What the service itself needs in Redis is there after the first of each.
    rooms(&server, 100).await;
    clients(&server, 5).await;
    let before = keys().await;
    rooms(&server, 500).await;
    clients(&server, 20).await;
    let begun = Instant::now();
    while keys().await > before + before / 20 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(keys().await <= before + before / 20, "{} keys were {before}", keys().await);
    server.stop().await;
}
