//! The whole router without sockets: a server on a clock that is wound by hand, and its clients.

mod api;
mod apps_2019;
mod bad_input;
mod bounded;
mod clouds;
mod development;
mod faults;
mod first_server;
mod generation0;
mod golden;
mod random;
mod records;
mod reloaded;
mod secrets;
mod traced;
mod unknown;
mod webrtc;
mod windows;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use room::Millis;
use serde_json::{Value, json};
use sign::token::Generation;
use tower::ServiceExt;

use super::*;
use crate::emulator::{Emulator, Inside, SECRET_ID, SECRET_KEY};
use crate::parts::Parts;
use crate::start::{Around, Background, assemble, doors_of};
use sign::Secret;
use store::clock::{Clock, Manual};

/// 2026-11-23 15:00 UTC.
const START: Millis = Millis(1_795_446_000_000);
const HOST: &str = "rooms.example.com";

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("roomservice-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server without sockets.
struct Kit {
    app: Arc<Parts>,
    router: Router,
    clock: Arc<Manual>,
    directory: Directory,
}

impl Kit {
    async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// With other settings, and with parts exchanged.
    async fn with(set: impl FnOnce(&mut crate::config::Settings), exchange: impl FnOnce(&mut Parts)) -> Self {
        Self::put_together(Arc::new(Manual::at(START)), outbound::Client::default(), set, exchange).await
    }

    /// With streams and chat at Tencent, emulated.
    async fn on_clouds(set: impl FnOnce(&mut crate::config::Settings)) -> (Self, Arc<Emulator>) {
        let clock = Arc::new(Manual::at(START));
        let time = clock.clone();
        let emulator = Emulator::new(move || time.now().secs());
        let caller = outbound::Client::new(Inside(emulator.clone()));
        let set = |settings: &mut crate::config::Settings| {
            settings.chat.provider = chat::Provider::Tencent;
            settings.chat.tencent.callback_token = Secret::new("chat callback token");
            settings.live.provider = streams::live::Provider::Tencent;
            settings.live.play_secret_key = Secret::new("play key of the tests");
            settings.live.tencent.secret_id = SECRET_ID.into();
            settings.live.tencent.secret_key = Secret::new(SECRET_KEY);
            settings.live.tencent.callback_key = Secret::new("live callback key");
            *emulator.app.lock() = (settings.im.sdk_app_id, settings.im.secret_key.expose().to_owned());
            set(settings);
        };
        (Self::put_together(clock, caller, set, |_| {}).await, emulator)
    }

    async fn put_together(
        clock: Arc<Manual>,
        caller: outbound::Client,
        set: impl FnOnce(&mut crate::config::Settings),
        exchange: impl FnOnce(&mut Parts),
    ) -> Self {
        let directory = Directory::new();
        let mut settings = crate::config::Settings { data_dir: directory.0.clone(), ..Default::default() };
        settings.store.kind = store::Place::Memory;
        settings.live.bizid = 8525;
        settings.live.push_secret_key = Secret::new("push key of the tests");
        settings.im.sdk_app_id = 1_400_037_025;
        settings.im.account_type = "14418".into();
        settings.im.secret_key = Secret::new("userSig key of the tests");
        settings.sessions.secret = Secret::new("session key of the tests");
        set(&mut settings);
        let logs = crate::start::open_logs(&settings).unwrap();
        let (mut parts, background) = assemble(settings, logs, clock.clone(), Around::bare(caller)).await.unwrap();
        exchange(&mut parts);
        run(background);
        let app = Arc::new(parts);
        Self { router: router(&doors_of(&app)), app, clock, directory }
    }

    /// Sends a request through the whole router, from this machine if it does not say from where.
    async fn send(&self, mut request: axum::http::Request<Body>) -> Answer {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        request.extensions_mut().get_or_insert(ConnectInfo(peer));
        // What operators ask is asked by the machine's own name.
        let path = request.uri().path();
        let operators = path.starts_with("/weapp/utils/")
            || path.starts_with("/weapp/webrtc_room/")
            || path.starts_with("/weapp/webexe_room/");
        let host = if operators { "127.0.0.1:5757" } else { HOST };
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static(host));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends bytes of a content type.
    async fn post(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        let request = axum::http::Request::post(path).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(axum::http::Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Lets time pass: the clock first, then the sweeper's tick, which needs the runtime's time paused.
    async fn pass(&self, ms: u64) {
        self.clock.pass(ms);
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }

    /// Logs a user in, as clients of this generation do.
    async fn login(&self, kind: &str, user: &str, generation: Generation) -> Client<'_> {
        let info = self.get(&format!("/weapp/utils/get_login_info?userID={user}")).await.json();
        let of = |field: &str| info[field].as_str().unwrap_or_default().to_owned();
        let named = match generation {
            Generation::First => format!("accountType={}", of("accType")),
            Generation::Second => "platform=web".into(),
        };
        let query = format!("sdkAppID={}&{named}&userID={user}&userSig={}", info["sdkAppID"], of("userSig"));
        let reply = self.post(&format!("/weapp/{kind}/login?{query}"), "application/json", "").await.json();
        assert_eq!(reply["code"], 0, "{user} cannot log in: {reply}");
        let token = reply["token"].as_str().unwrap().to_owned();
        Client { kit: self, kind: kind.into(), user: user.into(), token }
    }
}

fn run(background: Background) {
    for work in background {
        tokio::spawn(work);
    }
}

/// Somebody who is logged in.
struct Client<'a> {
    kit: &'a Kit,
    kind: String,
    user: String,
    token: String,
}

impl Client<'_> {
    /// The path of a call with this session.
    fn path(&self, call: &str) -> String {
        format!("/weapp/{}/{call}?userID={}&token={}", self.kind, self.user, self.token)
    }

    async fn call(&self, call: &str, body: Value) -> Value {
        let answer = self.kit.post(&self.path(call), "application/json", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{call}: {}", answer.text());
        answer.json()
    }

    /// Calls with `userID` filled in.
    async fn own(&self, call: &str, mut body: Value) -> Value {
        body["userID"] = self.user.as_str().into();
        self.call(call, body).await
    }

    async fn push_url(&self) -> String {
        self.own("get_push_url", json!({})).await["pushURL"].as_str().unwrap().to_owned()
    }

    /// Enters a room with a fresh stream.
    async fn enter(&self, room: &str) -> Value {
        let url = self.push_url().await;
        self.own("add_pusher", json!({ "roomID": room, "userName": "", "userAvatar": "", "pushURL": url })).await
    }
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Status and wire code.
    #[track_caller]
    fn outcome(&self) -> (u16, i64) {
        (self.status.as_u16(), self.json()["code"].as_i64().unwrap())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

fn request(method: Method, path: &str) -> axum::http::Request<Body> {
    axum::http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}
