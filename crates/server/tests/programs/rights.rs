//! Who may do what: every cell of the table in SECURITY.md, tried on a running server in production mode; and that putting
//! somebody out ends what runs, on every protocol.

use crate::kit;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use media::rtmp::client::{Player, Publisher, Target};
use room::UserId;
use roomservice::config::{Mode, Settings};
use roomservice::start::Server;
use serde_json::{Value, json};
use sign::Secret;
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const TABLE: &str = include_str!("../../../../SECURITY.md");
const ACT: &str = "an operator's key, to act";
const READ: &str = "an operator's key, to look";
const APP: u64 = 1_400_000_000;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Sends a request. Gives the status, and the body if it has a length.
async fn http(at: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(at).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {}\r\n", body.len());
    if !key.is_empty() {
        head += &format!("Authorization: Bearer {key}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Type: {}\r\n", super::kit::content_type(path));
    }
    socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = vec![0; 65536];
    let end = loop {
        let n = timeout(PATIENCE, socket.read(&mut buffer)).await.expect("an answer").unwrap();
        answer.extend_from_slice(&buffer[..n]);
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(n, 0, "an answer without an end: {method} {path}");
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head[9..12].parse().unwrap();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let whole = end + length.unwrap_or(0usize);
    while answer.len() < whole {
        let n = socket.read(&mut buffer).await.unwrap();
        assert_ne!(n, 0, "a body without an end");
        answer.extend_from_slice(&buffer[..n]);
    }
    (status, String::from_utf8_lossy(&answer[end..whole]).into_owned())
}

/// Path and query of one of the server's own URLs.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

/// Somebody with a session.
#[derive(Clone, Default)]
struct User {
    id: String,
    sig: String,
    token: String,
    /// Of a stream of its own.
    push: HashMap<&'static str, String>,
    /// Of the creator's stream.
    play: HashMap<&'static str, String>,
}

struct World {
    server: Server,
    dir: PathBuf,
    users: HashMap<&'static str, User>,
}

impl World {
    async fn start() -> Self {
        let dir = kit::directory();
        let mut settings = Settings { mode: Mode::Production, data_dir: dir.join("data"), ..Settings::default() };
        for listen in [&mut settings.http.listen, &mut settings.rtmp.listen, &mut settings.webrtc.listen] {
            *listen = "127.0.0.1:0".parse().unwrap();
        }
        settings.im.sdk_app_id = APP;
        settings.im.secret_key = Secret::new("a secret of the tests");
        settings.sessions.secret = Secret::new("a secret of the tests");
        settings.live.push_secret_key = Secret::new("a secret of the tests");
        settings.operator.keys = vec![Secret::new(ACT)];
        settings.operator.read_keys = vec![Secret::new(READ)];
        settings.record.enabled = true;
        settings.logs.level = "warn".into();
        let server = Server::start(settings).await.unwrap();
        Self { server, dir, users: HashMap::new() }
    }

    /// With a creator and a guest of `hall` who push: alice and bob. Gives their publishers, too.
    async fn with_a_pair() -> (Self, kit::Running, kit::Running) {
        let mut world = World::start().await;
        for name in ["alice", "bob"] {
            world.user(name, "hall").await;
        }
        let [her_push, his_push] = ["alice", "bob"].map(|name| kit::push(&world.users[name].push["RTMP"]));
        for name in ["alice", "bob"] {
            let user = &world.users[name];
            let body = json!({ "roomID": "hall", "userID": name, "userName": "", "pushURL": user.push["RTMP"] });
            assert_eq!(world.call(user, "add_pusher", body).await["code"], 0);
        }
        world.look().await;
        let pushing = || world.server.app.hub.list().iter().filter(|stream| stream.frames > 0).count();
        world.until("both push", async || pushing() == 2).await;
        (world, her_push, his_push)
    }

    fn at(&self) -> SocketAddr {
        self.server.http
    }

    async fn call(&self, user: &User, call: &str, body: Value) -> Value {
        let path = format!("/weapp/live_room/{call}?userID={}&token={}", user.id, user.token);
        serde_json::from_str(&http(self.at(), "POST", &path, "", &body.to_string()).await.1).unwrap()
    }

    async fn api(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = http(self.at(), method, &format!("/api/v1{path}"), ACT, &body).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Logs in, and asks for URLs of an own stream in this room.
    async fn user(&mut self, name: &'static str, room: &str) {
        let app = &self.server.app;
        let sig = app.identity.sign(&UserId::parse(name).unwrap(), app.clock.now()).unwrap();
        let mut user = User { id: name.into(), sig, ..User::default() };
        let query = format!("sdkAppID={APP}&accountType=0&userID={name}&userSig={}", user.sig);
        let (_, reply) = http(self.at(), "POST", &format!("/weapp/live_room/login?{query}"), "", "").await;
        let reply: Value = serde_json::from_str(&reply).unwrap();
        user.token = reply["token"].as_str().unwrap_or_else(|| panic!("{reply}")).into();
        let urls = self.call(&user, "get_push_url", json!({ "userID": name, "roomID": room })).await;
        for (to, field) in [("RTMP", "pushURL"), ("WHIP", "whipURL")] {
            user.push.insert(to, urls[field].as_str().unwrap().into());
        }
        self.users.insert(name, user);
    }

    /// Everybody asks what there is to play in the room.
    async fn look(&mut self) {
        for name in self.users.keys().copied().collect::<Vec<_>>() {
            let seen = self.call(&self.users[name], "get_pushers", json!({ "roomID": "hall" })).await;
            let hers = &seen["pushers"][0];
            let urls = [
                ("RTMP", "accelerateURL"),
                ("WHEP", "whepURL"),
                ("FLV", "flvURL"),
                ("HLS", "hlsURL"),
                ("webrtc://", "webrtcURL"),
            ];
            let urls =
                urls.map(|(by, field)| (by, hers[field].as_str().unwrap_or_else(|| panic!("{seen}")).to_owned()));
            self.users.get_mut(name).unwrap().play = urls.into();
        }
    }

    async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !so().await {
            assert!(begun.elapsed() < PATIENCE, "still waiting: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn join(&self, user: &str, token: &str) -> Option<(Socket, Value)> {
        let url = format!("ws://{}/ws?userID={user}&token={token}", self.at());
        let (mut socket, _) = connect_async(url).await.ok()?;
        ask(&mut socket, json!({ "type": "join", "id": 1, "room": "hall" })).await.map(|answer| (socket, answer))
    }

    async fn stop(self) {
        self.server.stop().await;
        let _ = std::fs::remove_dir_all(self.dir);
    }
}

async fn ask(socket: &mut Socket, request: Value) -> Option<Value> {
    socket.send(Message::text(request.to_string())).await.ok()?;
    loop {
        let Message::Text(text) = timeout(PATIENCE, socket.next()).await.ok()??.ok()? else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["id"] == request["id"] {
            return Some(frame);
        }
    }
}

/// What a connection is told when its user is out of the room.
async fn out_of(socket: &mut Socket) -> Value {
    let out = async {
        loop {
            let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("the socket stays") };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "out" {
                return frame;
            }
        }
    };
    timeout(PATIENCE, out).await.unwrap()
}

/// What a browser offers.
fn offer(send: bool) -> String {
    let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).enable_opus(true, false).build(Instant::now());
    let direction = if send { Direction::SendOnly } else { Direction::RecvOnly };
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, direction, None, None, None);
    api.add_media(MediaKind::Video, direction, None, None, None);
    api.apply().unwrap().0.to_sdp_string()
}

/// One who tries: the names that it goes by, and what it has.
struct Actor<'a> {
    /// Whom it says to be.
    name: &'a str,
    /// Whose session and URLs it has.
    has: Option<&'a User>,
    /// What it puts into `Authorization`.
    bearer: &'a str,
}

fn actor<'a>(world: &'a World, column: &str) -> Actor<'a> {
    let with = |name: &'a str, has: &'static str| {
        let user = &world.users[has];
        Actor { name, has: Some(user), bearer: &user.token }
    };
    match column {
        "anonymous" => Actor { name: "nobody", has: None, bearer: "" },
        "user" => with("bob", "bob"),
        "other user" => with("bob", "eve"),
        "creator" => with("alice", "alice"),
        "operator, reading" => Actor { name: "bob", has: None, bearer: READ },
        "operator, acting" => Actor { name: "bob", has: None, bearer: ACT },
        "kicked" => with("carol", "carol"),
        "banned" => with("dave", "dave"),
        other => panic!("no such column: {other}"),
    }
}

/// A URL of one's own; of somebody else's thing, it has the signature of one's own.
fn url(world: &World, actor: &Actor<'_>, of: impl Fn(&User) -> String) -> String {
    let meant = of(world.users.get(actor.name).unwrap_or(&world.users["bob"]));
    let bare = meant.split('?').next().unwrap().to_owned();
    match actor.has {
        None => bare,
        Some(user) if user.id == actor.name => meant,
        Some(user) => format!("{bare}?{}", of(user).split_once('?').unwrap().1.replace(&user.id, actor.name)),
    }
}

/// Whether somebody may do something.
async fn may(world: &World, action: &str, over: &str, actor: &Actor<'_>) -> bool {
    let at = world.at();
    let name = actor.name;
    let has = actor.has;
    let (token, sig) = has.map_or(("none", "none"), |user| (&user.token, &user.sig));
    let weapp = async |call: &str, body: Value| {
        let path = format!("/weapp/{call}?userID={name}&token={token}");
        let (_, reply) = http(at, "POST", &path, actor.bearer, &body.to_string()).await;
        serde_json::from_str::<Value>(&reply).unwrap()["code"] == 0
    };
    let webim = async |path: String, body: Value| {
        let (_, reply) = http(at, "POST", &path, "", &body.to_string()).await;
        serde_json::from_str::<Value>(&reply).unwrap()
    };
    let in_webim = async || {
        let query = format!("identifier={name}&usersig={sig}&sdkappid={APP}&accounttype=0&contenttype=json");
        webim(format!("/v4/openim/login?{query}"), json!({ "State": "Online" })).await
    };
    let ws = format!("ws://{at}/ws?userID={name}&token={token}");
    match (over, action) {
        ("client calls", "log in") => {
            let query = format!("sdkAppID={APP}&accountType=0&userID={name}&userSig={sig}");
            let (_, reply) = http(at, "POST", &format!("/weapp/live_room/login?{query}"), actor.bearer, "").await;
            serde_json::from_str::<Value>(&reply).unwrap()["code"] == 0
        }
        ("client calls", "list rooms") => weapp("live_room/get_room_list", json!({ "cnt": 1, "index": 0 })).await,
        ("client calls", "see who pushes in the room") => {
            weapp("live_room/get_pushers", json!({ "roomID": "hall" })).await
        }
        ("client calls", "enter the room with a stream") => {
            // Whoever created it is in with a stream of this room.
            let push = match name {
                "alice" => world.users["alice"].push["hall"].clone(),
                _ => url(world, actor, |user| user.push["RTMP"].clone()),
            };
            weapp("live_room/add_pusher", json!({ "roomID": "hall", "userID": name, "userName": "", "pushURL": push }))
                .await
        }
        ("client calls", "be counted as a viewer") => {
            weapp("live_room/add_audience", json!({ "roomID": "hall", "userID": name, "userInfo": "" })).await
        }
        ("client calls", "set a field of the room") => {
            let field = json!({ "roomID": "hall", "fieldName": "like", "operation": "inc" });
            weapp("live_room/set_custom_field", field).await
        }
        ("client calls", "close a room that the creator made") => {
            let alice = &world.users["alice"];
            let body = json!({ "roomID": "second", "userID": "alice", "userName": "", "pushURL": alice.push["RTMP"] });
            assert_eq!(world.call(alice, "add_pusher", body).await["code"], 0);
            weapp("live_room/destroy_room", json!({ "roomID": "second", "userID": name })).await
        }
        ("WebSocket", "connect") => connect_async(ws).await.is_ok(),
        ("WebSocket", "join the room's chat") => {
            world.join(name, token).await.is_some_and(|(_, answer)| answer["type"] == "ack")
        }
        ("WebSocket", "mute somebody in the room") => match connect_async(ws).await {
            Err(_) => false,
            Ok((mut socket, _)) => {
                let mute = json!({ "type": "mute", "id": 1, "room": "hall", "user": "frank", "seconds": 1 });
                ask(&mut socket, mute).await.unwrap()["type"] == "ack"
            }
        },
        ("WebSocket", "put somebody out of the room") => match connect_async(ws).await {
            Err(_) => false,
            Ok((mut socket, _)) => {
                let ban = json!({ "type": "ban", "id": 1, "room": "hall", "user": "frank", "seconds": 1 });
                ask(&mut socket, ban).await.unwrap()["type"] == "ack"
            }
        },
        ("webim", "log in") => in_webim().await["ErrorCode"] == 0,
        ("webim", "join the room's chat") => {
            let login = in_webim().await;
            let of = |field: &str| login[field].as_str().unwrap_or("0").to_owned();
            let path = format!("/v4/group_open_http_svc/apply_join_group?tinyid={}&a2={}", of("TinyId"), of("A2Key"));
            webim(path, json!({ "GroupId": "hall" })).await["ErrorCode"] == 0
        }
        ("webim", "listen without a name") => {
            let path = "/v4/group_open_http_noauth_svc/apply_join_group?contenttype=json".to_owned();
            webim(path, json!({ "GroupId": "hall" })).await["ErrorCode"] == 0
        }
        ("RTMP", "publish an own stream") => {
            let target = Target::parse(&url(world, actor, |user| user.push["RTMP"].clone())).unwrap();
            match Publisher::connect(&target).await {
                Ok(publisher) => publisher.finish().await.is_ok(),
                Err(_) => false,
            }
        }
        ("RTMP", "play a stream of the room") => {
            let target = Target::parse(&url(world, actor, |user| user.play["RTMP"].clone())).unwrap();
            Player::connect(&target).await.is_ok()
        }
        ("WHIP", "publish an own stream") | ("WHEP", "play a stream of the room") => {
            let send = over == "WHIP";
            let url = url(world, actor, |user| if send { &user.push["WHIP"] } else { &user.play["WHEP"] }.clone());
            let (status, why) = http(at, "POST", path(&url), "", &offer(send)).await;
            assert!(matches!(status, 201 | 403), "{over}: {status} {why}");
            status == 201
        }
        ("webrtc://", "play a stream of the room") => {
            let streamurl = url(world, actor, |user| user.play[over].clone());
            let body = json!({ "streamurl": streamurl, "localsdp": { "type": "offer", "sdp": offer(false) } });
            let (_, answer) = http(at, "POST", "/webrtc/v1/pullstream", "", &body.to_string()).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert!(answer["errcode"] == 0 || answer["errcode"] == 403, "{answer}");
            answer["errcode"] == 0
        }
        ("FLV" | "HLS", "play a stream of the room") => {
            let url = url(world, actor, |user| user.play[over].clone());
            let (status, why) = http(at, "GET", path(&url), "", "").await;
            assert!(matches!(status, 200 | 403), "{over}: {status} {why}");
            status == 200
        }
        ("operator API", "look") => http(at, "GET", "/api/v1/rooms/hall", actor.bearer, "").await.0 == 200,
        ("operator API", "act") => {
            http(at, "PATCH", "/api/v1/rooms/hall", actor.bearer, r#"{"info":"changed"}"#).await.0 == 200
        }
        ("operator API", "log a user in") => {
            http(at, "POST", "/api/v1/tokens/session", actor.bearer, r#"{"userID":"frank"}"#).await.0 == 201
        }
        ("console", "look") => http(at, "GET", "/console/events", actor.bearer, "").await.0 == 200,
        ("console", "act") => {
            let act = json!({ "action": "notice", "roomID": "hall", "text": "hello" }).to_string();
            http(at, "POST", "/console/act", actor.bearer, &act).await.0 == 200
        }
        ("getlogfile", "read a log file") => {
            let (_, list) = http(at, "GET", "/weapp/utils/logfilelist", ACT, "").await;
            let file = list.split("file=").nth(1).unwrap_or_else(|| panic!("{list}")).split('"').next().unwrap();
            let (status, text) =
                http(at, "GET", &format!("/weapp/utils/getlogfile?file={file}"), actor.bearer, "").await;
            status == 200 && !text.contains("\"code\":7")
        }
        ("get_login_info", "sign for a user") => {
            let (_, reply) = http(at, "GET", "/weapp/utils/get_login_info?userID=bob", actor.bearer, "").await;
            serde_json::from_str::<Value>(&reply).unwrap()["code"] == 0
        }
        ("webrtc_room", "make a call's room") => {
            weapp("webrtc_room/create_room", json!({ "userID": "user_of_a_call", "roomInfo": "x" })).await
        }
        ("recordings", "fetch a recording") => {
            let file = world.server.app.recorder.as_ref().unwrap().list()[0].file.clone();
            let api = http(at, "GET", &format!("/api/v1/recordings/{file}"), actor.bearer, "").await.0 == 200;
            let console = http(at, "GET", &format!("/console/recordings/{file}"), actor.bearer, "").await.0 == 200;
            assert_eq!(api, console);
            api
        }
        _ => panic!("the test does not know how to {action} over {over}"),
    }
}

/// The rows of the table: cells between bars.
fn rows() -> Vec<Vec<&'static str>> {
    let table = TABLE.split("<!-- rights -->\n").nth(1).expect("the table is marked");
    let lines = table.lines().take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_security_md_says_and_nothing_else() {
    let mut world = World::start().await;
    for (name, room) in [("alice", "second"), ("bob", "hall"), ("eve", "hall"), ("carol", "hall"), ("dave", "hall")] {
        world.user(name, room).await;
    }
    let alice = world.users["alice"].clone();
    let hers = world.call(&alice, "get_push_url", json!({ "userID": "alice", "roomID": "hall" })).await;
    let hers = format!("{}&record=1", hers["pushURL"].as_str().unwrap());
    let _push = kit::push(&hers);
    let body = json!({ "roomID": "hall", "userID": "alice", "userName": "", "pushURL": hers });
    assert_eq!(world.call(&alice, "add_pusher", body).await["code"], 0);
    world.users.get_mut("alice").unwrap().push.insert("hall", hers);
    world.look().await;
    let hls = world.users["bob"].play["HLS"].clone();
    world.until("HLS is cut", async || http(world.at(), "GET", path(&hls), "", "").await.0 == 200).await;
    let recorder = world.server.app.recorder.clone().unwrap();
    world.until("it is recorded", async || !recorder.list().is_empty()).await;
    let carol = world.users["carol"].clone();
    let watch = json!({ "roomID": "hall", "userID": "carol", "userInfo": "" });
    assert_eq!(world.call(&carol, "add_audience", watch).await["code"], 0);
    assert_eq!(world.api("DELETE", "/rooms/hall/members/carol?seconds=3600", Value::Null).await.0, 204);
    assert_eq!(world.api("PUT", "/bans/dave", json!({})).await.0, 200);

    let rows = rows();
    let head = &rows[0];
    let rows = &rows[2..];
    assert!(rows.len() >= 27 && head.len() == 10, "the table was not found");
    let mut wrong = Vec::new();
    for row in rows {
        for (column, expected) in head.iter().zip(row).skip(2) {
            assert!(matches!(*expected, "yes" | "no"), "{row:?}");
            let found = may(&world, row[0], row[1], &actor(&world, column)).await;
            if found != (*expected == "yes") {
                wrong.push(format!("{} over {}: {column} may: {found}, the table says {expected}", row[0], row[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.stop().await;
}

/// Reads until the other side ends it.
async fn until_over(mut socket: TcpStream) {
    let mut buffer = vec![0; 65536];
    let read = async { while !matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    timeout(PATIENCE, read).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_word_ends_all_that_somebody_does_and_a_restart_does_not_help() {
    let (world, _her_push, mut his_push) = World::with_a_pair().await;
    let his = world.users["bob"].push["RTMP"].clone();
    let bob = world.users["bob"].clone();

    // All that he does in the room, at once.
    let (mut socket, joined) = world.join("bob", &bob.token).await.unwrap();
    assert_eq!(joined["type"], "ack", "{joined}");
    let mut flv = TcpStream::connect(world.at()).await.unwrap();
    let get = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", path(&bob.play["FLV"]), world.at());
    flv.write_all(get.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    flv.read_exact(&mut first).await.unwrap();
    assert_eq!(&first[9..12], b"200");
    let mut player = Player::connect(&Target::parse(&bob.play["RTMP"]).unwrap()).await.unwrap();
    assert!(player.next().await.unwrap().is_some());
    let (status, playlist) = http(world.at(), "GET", path(&bob.play["HLS"]), "", "").await;
    assert_eq!(status, 200, "{playlist}");
    let segment = playlist
        .lines()
        .rfind(|line| !line.starts_with('#') && line.contains(".m4s?"))
        .unwrap_or_else(|| panic!("{playlist}"));
    let segment = format!("/live/{segment}");
    let (status, _) = http(world.at(), "GET", &segment, "", "").await;
    assert_eq!(status, 200, "{segment}");

    assert_eq!(world.api("DELETE", "/rooms/hall/members/bob?seconds=3600", Value::Null).await.0, 204);
    assert_eq!(out_of(&mut socket).await["reason"], "kicked");
    until_over(flv).await;
    let played = async { while matches!(player.next().await, Ok(Some(_))) {} };
    timeout(PATIENCE, played).await.expect("RTMP playing ends");
    for url in [path(&bob.play["HLS"]), &segment] {
        assert_eq!(http(world.at(), "GET", url, "", "").await.0, 403, "{url}");
    }
    let his_process = tokio::task::spawn_blocking(move || kit::ended("his publisher", &mut his_push));
    assert!(!his_process.await.unwrap(), "ffmpeg is told that it is over");
    assert!(Publisher::connect(&Target::parse(&his).unwrap()).await.is_err());
    let seen = world.call(&world.users["alice"], "get_pushers", json!({ "roomID": "hall" })).await;
    assert_eq!(seen["pushers"].as_array().unwrap().len(), 1);

    // Out of everything: the socket too, and the session.
    assert_eq!(world.api("PUT", "/bans/bob", json!({ "seconds": 3600, "reason": "spam" })).await.0, 200);
    let close = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return u16::from(frame.unwrap().code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(timeout(PATIENCE, close).await.unwrap(), 4505);
    let refused = world.call(&bob, "get_room_list", json!({ "cnt": 1, "index": 0 })).await;
    assert_eq!(refused["code"], 12, "{refused}");

    // Another process with the same data.
    let World { server, dir, mut users } = world;
    let settings = (*server.app.settings).clone();
    server.stop().await;
    drop((socket, player));
    // What still ends holds the directory for a moment.
    let begun = Instant::now();
    let server = loop {
        match Server::start(settings.clone()).await {
            Ok(server) => break server,
            Err(why) => assert!(begun.elapsed() < PATIENCE, "{why}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let world = World { server, dir, users: std::mem::take(&mut users) };
    assert_eq!(world.call(&bob, "get_room_list", json!({ "cnt": 1, "index": 0 })).await["code"], 12);
    let (_, bans) = world.api("GET", "/bans", Value::Null).await;
    assert_eq!(bans["bans"].as_array().unwrap().len(), 2, "{bans}");
    assert_eq!(world.api("DELETE", "/bans/bob", Value::Null).await.0, 204);
    assert_eq!(world.call(&bob, "get_room_list", json!({ "cnt": 1, "index": 0 })).await["code"], 0);
    let still = world.call(&bob, "get_pushers", json!({ "roomID": "hall" })).await;
    assert_eq!(still["code"], 12, "out of the room he stays: {still}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creators_kick_ends_streams_too_and_is_no_operators_word() {
    let (world, _her_push, mut his_push) = World::with_a_pair().await;
    let his = world.users["bob"].push["RTMP"].clone();
    let alice = world.users["alice"].clone();
    let bob = world.users["bob"].clone();
    let (mut hers, _) = world.join("alice", &alice.token).await.unwrap();
    let (mut his_socket, _) = world.join("bob", &bob.token).await.unwrap();
    let mut player = Player::connect(&Target::parse(&bob.play["RTMP"]).unwrap()).await.unwrap();
    assert!(player.next().await.unwrap().is_some());

    // Who is nowhere in the room cannot be kicked, and nobody but the creator kicks.
    let kick = |user: &str| json!({ "type": "kick", "id": 7, "room": "hall", "user": user });
    assert_eq!(ask(&mut hers, kick("frank")).await.unwrap()["code"], "not_member");
    assert_eq!(ask(&mut his_socket, kick("alice")).await.unwrap()["code"], "not_creator");
    assert_eq!(ask(&mut hers, kick("bob")).await.unwrap()["type"], "ack");
    assert_eq!(out_of(&mut his_socket).await["reason"], "kicked");
    let played = async { while matches!(player.next().await, Ok(Some(_))) {} };
    timeout(PATIENCE, played).await.expect("playing ends");
    let his_process = tokio::task::spawn_blocking(move || kit::ended("his publisher", &mut his_push));
    assert!(!his_process.await.unwrap(), "ffmpeg is told that it is over");
    let seen = world.call(&alice, "get_pushers", json!({ "roomID": "hall" })).await;
    assert_eq!(seen["pushers"].as_array().unwrap().len(), 1, "{seen}");
    assert!(Publisher::connect(&Target::parse(&his).unwrap()).await.is_err());
    let join = json!({ "type": "join", "id": 8, "room": "hall" });
    assert_eq!(ask(&mut his_socket, join.clone()).await.unwrap()["code"], "banned");
    let (_, bans) = world.api("GET", "/bans", Value::Null).await;
    assert_eq!(bans["bans"][0]["reason"], "the room's creator", "{bans}");

    // The creator takes its own word back, and no operator's.
    let again = json!({ "type": "ban", "id": 9, "room": "hall", "user": "bob", "seconds": 0 });
    assert_eq!(ask(&mut hers, again.clone()).await.unwrap()["type"], "ack");
    assert_eq!(ask(&mut his_socket, join.clone()).await.unwrap()["type"], "ack");
    assert_eq!(world.api("DELETE", "/rooms/hall/members/bob?seconds=3600", Value::Null).await.0, 204);
    assert_eq!(
        ask(&mut hers, json!({ "type": "ban", "id": 10, "room": "hall", "user": "bob" })).await.unwrap()["type"],
        "ack"
    );
    assert_eq!(ask(&mut hers, again).await.unwrap()["type"], "ack");
    assert_eq!(ask(&mut his_socket, join).await.unwrap()["code"], "banned");
    drop((hers, his_socket, player));
    world.stop().await;
}
