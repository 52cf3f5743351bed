//! Tencent's two services as far as they are called: chat (REST) and live (API 3.0). They check every
//! signature with the algorithm of the vectors and note any deviation as a fault, and they can be slow,
//! broken or away. A test ends with [`Emulator::faultless`].
#![allow(dead_code)]

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use outbound::{Connecting, Dial};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sign::stream_url::Query;
use sign::usersig::{self, Expected, Keys, v2};
use sign::{Secret, callback, tc3};
use tokio::io::AsyncReadExt;

pub const APP: u64 = 1_400_000_000;
pub const ADMINISTRATOR: &str = "administrator";
pub const SECRET: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
pub const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
pub const SECRET_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
/// The live account's number and key, of the old API.
pub const APP_ID: u64 = 1_252_463_788;
pub const API_KEY: &str = "5d41402abc4b2a76b9719d911017c592";

/// How a service misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As documented.
    Well,
    /// Answers after so long.
    Slow(Duration),
    /// Cuts the connection instead of answering.
    Resets,
    /// Answers 500.
    Fails,
    /// Answers JSON of another kind.
    WrongJson,
    /// Answers a page.
    Html,
    /// Answers half of its JSON and cuts the connection.
    Partial,
    /// Says that there are too many calls.
    Limited,
    /// Says that the signature is wrong.
    Disbelieves,
    /// Cannot be reached.
    Down,
}

/// Both services.
pub struct Emulator {
    mood: Mutex<Mood>,
    /// Its clock, in Unix seconds.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Seconds by which its clock is wrong.
    pub skew: AtomicU64,
    /// Groups that exist.
    pub groups: Mutex<HashSet<String>>,
    /// Groups of somebody else.
    pub taken: Mutex<HashSet<String>>,
    /// What was carried out: command and group (or action and stream).
    pub done: Mutex<Vec<(String, String)>>,
    /// Bodies of what was carried out.
    pub bodies: Mutex<Vec<Value>>,
    /// Streams and their states; others are inactive.
    pub streams: Mutex<HashMap<String, String>>,
    /// Says this error, once for each, before anything else.
    pub errors: Mutex<Vec<(&'static str, &'static str)>>,
    /// The chat app and the secret of its user signatures.
    pub app: Mutex<(u64, String)>,
    /// The push domains of the account; none: all are.
    pub domains: Mutex<Vec<String>>,
    /// Deviations.
    pub faults: Mutex<Vec<String>>,
    /// Calls that came, whatever became of them.
    pub calls: AtomicUsize,
    now: AtomicUsize,
    /// Most calls at a time.
    pub most: AtomicUsize,
    /// Connections that were made.
    pub connections: AtomicUsize,
}

impl Emulator {
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Well),
            clock: Arc::new(clock),
            skew: AtomicU64::new(0),
            groups: Mutex::default(),
            taken: Mutex::default(),
            done: Mutex::default(),
            bodies: Mutex::default(),
            streams: Mutex::default(),
            errors: Mutex::default(),
            app: Mutex::new((APP, SECRET.into())),
            domains: Mutex::default(),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    pub fn mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// What was done with this group or stream, in order.
    pub fn of(&self, id: &str) -> Vec<String> {
        self.done.lock().iter().filter(|(_, of)| of == id).map(|(what, _)| what.clone()).collect()
    }

    /// What was done, whatever it was about, as often as it was.
    pub fn count(&self, what: &str) -> usize {
        self.done.lock().iter().filter(|(done, _)| done == what).count()
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Nothing deviated from what the services document.
    pub fn faultless(&self) {
        assert_eq!(*self.faults.lock(), Vec::<String>::new());
    }

    fn now(&self) -> u64 {
        (self.clock)() + self.skew.load(Ordering::SeqCst)
    }

    fn fault(&self, what: impl Into<String>) {
        self.faults.lock().push(what.into());
    }

    /// Serves one connection, over whatever carries bytes.
    async fn serve(
        self: Arc<Self>,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    ) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let emulator = self.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let emulator = emulator.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                emulator.answer(&parts.method, &parts.uri, &parts.headers, &body).await
            }
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    /// Serves on a TCP port of this machine, for whoever needs an address. Stops with the runtime.
    pub async fn listen(self: &Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let emulator = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(emulator.clone().serve(stream));
            }
        });
        format!("http://{address}")
    }

    async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> io::Result<hyper::Response<Cut>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let answer = self.answer_as_in_the_mood(method, uri, headers, body).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    async fn answer_as_in_the_mood(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> io::Result<hyper::Response<Cut>> {
        let mood = *self.mood.lock();
        let live = uri.path() == "/";
        let old = uri.path() == "/common_access";
        let text = match mood {
            Mood::Down | Mood::Resets => return Err(io::ErrorKind::ConnectionReset.into()),
            Mood::Fails => return Ok(status(hyper::StatusCode::INTERNAL_SERVER_ERROR)),
            Mood::WrongJson => r#"{"hello":["world"]}"#.to_owned(),
            Mood::Html => "<html><body>Bad gateway, but politely</body></html>".to_owned(),
            Mood::Limited if old => r#"{"ret":10007,"code":-10031,"message":"too many"}"#.to_owned(),
            Mood::Disbelieves if old => return Ok(status(hyper::StatusCode::FORBIDDEN)),
            Mood::Limited if live => error("RequestLimitExceeded", "too many"),
            Mood::Limited => code(60007),
            Mood::Disbelieves if live => error("AuthFailure.SignatureFailure", "wrong"),
            Mood::Disbelieves => code(70009),
            Mood::Slow(_) | Mood::Partial | Mood::Well => {
                if let Mood::Slow(after) = mood {
                    tokio::time::sleep(after).await;
                }
                match uri.path() {
                    "/" => self.live(method, headers, body),
                    "/common_access" => match self.old(method, uri, body) {
                        Ok(text) => text,
                        Err(why) => return Ok(status(why)),
                    },
                    _ => self.chat(method, uri, headers, body),
                }
            }
        };
        Ok(hyper::Response::new(if mood == Mood::Partial { Cut::half(&text) } else { Cut::whole(&text) }))
    }

    fn chat(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
        if method != Method::POST || headers.get(header::HOST).is_none() {
            self.fault(format!("{method} without host"));
        }
        let query = Query::parse(uri.query().unwrap_or_default()).unwrap();
        let get = |name: &str| query.get(name).unwrap_or_default();
        if get("contenttype") != "json" || get("random").parse::<u32>().is_err() {
            self.fault("contenttype or random");
        }
        let (app, secret) = self.app.lock().clone();
        if get("sdkappid") != app.to_string() {
            return code(60006);
        }
        let key = v2::Key::new(&Secret::from(secret.as_str())).unwrap();
        let keys = Keys::new(None, None, Some(key)).unwrap();
        let expected = Expected { sdk_app_id: app, user_id: get("identifier"), account_type: None, now: self.now() };
        match usersig::verify(get("usersig"), &keys, &expected) {
            Ok(_) => {}
            Err(sign::Invalid::Expired) => return code(70001),
            Err(sign::Invalid::Mismatch(_)) => return code(70013),
            Err(_) => return code(70009),
        }
        if get("identifier") != ADMINISTRATOR {
            return code(60010);
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            self.fault("a body that is not JSON");
            return code(60003);
        };
        let command = uri.path().strip_prefix("/v4/").unwrap_or_default();
        let group = body["GroupId"].as_str().unwrap_or_default().to_owned();
        let mut groups = self.groups.lock();
        let need_group = || if groups.contains(&group) { 0 } else { 10010 };
        let result = match command {
            "group_open_http_svc/create_group" => {
                let name = body["Name"].as_str().unwrap_or_default();
                if group.is_empty() || group.len() > 48 || name.is_empty() || name.len() > 30 {
                    self.fault(format!("create_group {body}"));
                }
                if body["Type"] != "AVChatRoom" || body.get("MemberList").is_some() {
                    self.fault(format!("create_group {body}"));
                }
                if self.taken.lock().contains(&group) {
                    10021
                } else if groups.insert(group.clone()) {
                    0
                } else {
                    10025
                }
            }
            "group_open_http_svc/destroy_group" => {
                if groups.remove(&group) {
                    0
                } else {
                    10010
                }
            }
            "group_open_http_svc/send_group_system_notification" => {
                let content: Value =
                    serde_json::from_str(body["Content"].as_str().unwrap_or_default()).unwrap_or_default();
                let change = body["Content"] == r#"{"cmd":"notifyPusherChange","data":""}"#;
                if !change && (content["cmd"] != "notice" || !content["data"].is_string()) {
                    self.fault(format!("notification {body}"));
                }
                need_group()
            }
            "group_open_http_svc/send_group_msg" => {
                if body["Random"].as_u64().is_none() || body["MsgBody"][0]["MsgType"].as_str().is_none() {
                    self.fault(format!("send_group_msg {body}"));
                }
                need_group()
            }
            "openim/sendmsg" => {
                if body["MsgRandom"].as_u64().is_none() || body["To_Account"].as_str().is_none() {
                    self.fault(format!("sendmsg {body}"));
                }
                0
            }
            "group_open_http_svc/forbid_send_msg" => {
                if body["Members_Account"][0].as_str().is_none() || body["MuteTime"].as_u64().is_none() {
                    self.fault(format!("forbid_send_msg {body}"));
                }
                need_group()
            }
            "group_open_http_svc/get_online_member_num" => need_group(),
            "im_open_login_svc/account_check" => 0,
            other => {
                self.fault(format!("unknown command {other}"));
                10003
            }
        };
        drop(groups);
        if result == 0 {
            let name = command.rsplit('/').next().unwrap_or_default();
            self.done.lock().push((name.to_owned(), group.clone()));
            self.bodies.lock().push(body);
        }
        let mut answer: Value = serde_json::from_str(&code(result)).unwrap();
        if result == 0 && command.ends_with("online_member_num") {
            answer["OnlineMemberNum"] = 7.into();
        }
        answer.to_string()
    }

    /// API 2.0: what is wrong with who calls is a status there.
    fn old(&self, method: &Method, uri: &Uri, body: &[u8]) -> Result<String, hyper::StatusCode> {
        let query = Query::parse(uri.query().unwrap_or_default()).unwrap();
        let get = |name: &str| query.get(name).unwrap_or_default();
        let until: u64 = get("t").parse().map_err(|_| hyper::StatusCode::NOT_FOUND)?;
        let signed = callback::sign_live(&Secret::from(API_KEY), until);
        if get("sign") != signed || until < self.now() {
            return Err(hyper::StatusCode::FORBIDDEN);
        }
        if get("appid") != APP_ID.to_string() {
            return Ok("appid is invalid".into());
        }
        if let Some((code, message)) = self.errors.lock().pop() {
            let code: i64 = code.parse().unwrap();
            return Ok(json!({ "ret": code, "code": code, "message": message }).to_string());
        }
        let interface = get("interface");
        let channel = get("Param.s.channel_id").to_owned();
        let by = if interface == "Mix_StreamV2" { Method::POST } else { Method::GET };
        if *method != by || (by == Method::GET && channel.is_empty()) {
            self.fault(format!("{method} {interface}"));
        }
        let ok = json!({ "ret": 0, "retcode": 0, "message": "", "errmsg": "" });
        let mut streams = self.streams.lock();
        let answer = match interface {
            "Live_Channel_GetStatus" => match streams.get(&channel).map(String::as_str) {
                None => json!({ "ret": 20601, "message": "no such stream", "output": null }),
                Some(state) => {
                    let status = u8::from(state == "active") + 3 * u8::from(state == "forbid");
                    let mut answer = ok;
                    answer["output"] = json!([{ "rate_type": 0, "recv_type": 1, "status": status }]);
                    answer
                }
            },
            "Live_Channel_SetStatus" => {
                match get("Param.n.status") {
                    "1" | "2" => _ = streams.remove(&channel),
                    other => self.fault(format!("{interface} {other}")),
                }
                ok
            }
            "channel_manager" => {
                let until: u64 = get("Param.n.abstime_end").parse().unwrap_or_default();
                if get("Param.s.action") != "forbid" || until < self.now() {
                    self.fault(format!("{interface} {uri}"));
                }
                streams.insert(channel.clone(), "forbid".into());
                ok
            }
            "Mix_StreamV2" => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let para = &body["interface"]["para"];
                if para["app_id"] != APP_ID || !para["mix_stream_session_id"].is_string() {
                    self.fault(format!("{interface} {body}"));
                }
                self.bodies.lock().push(body);
                json!({ "code": 0, "message": "Success!", "event_id": 1, "timestamp": 1 })
            }
            other => {
                self.fault(format!("unknown interface {other}"));
                ok
            }
        };
        self.done.lock().push((interface.to_owned(), channel));
        Ok(answer.to_string())
    }

    fn live(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> String {
        let get = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if get("x-tc-version") != "2018-08-01" || get("content-type") != tc3::JSON {
            self.fault("version or content type");
        }
        let action = get("x-tc-action");
        let timestamp = get("x-tc-timestamp").parse().unwrap_or_default();
        let call = tc3::Call {
            method: method.as_str(),
            host: get("host"),
            query: "",
            content_type: get("content-type"),
            signed_action: Some(action),
            body,
            timestamp,
        };
        let secret = |id: &str| (id == SECRET_ID).then(|| Secret::from(SECRET_KEY));
        match tc3::verify(get("authorization"), &call, "live", secret, self.now()) {
            Ok(_) => {}
            Err(sign::Invalid::Expired) => return error("AuthFailure.SignatureExpire", "clock"),
            Err(sign::Invalid::NoKey(_)) => return error("AuthFailure.SecretIdNotFound", "no such id"),
            Err(_) => return error("AuthFailure.SignatureFailure", "wrong"),
        }
        let planned = {
            let mut errors = self.errors.lock();
            (!errors.is_empty()).then(|| errors.remove(0))
        };
        if let Some((code, message)) = planned {
            return error(code, message);
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            self.fault("a body that is not JSON");
            return error("InvalidParameter", "body");
        };
        let stream = body["StreamName"].as_str().or(body["MixStreamSessionId"].as_str()).unwrap_or_default().to_owned();
        if matches!(action, "DescribeLiveStreamState" | "DropLiveStream" | "ForbidLiveStream" | "ResumeLiveStream")
            && (body["AppName"] != "live" || body["DomainName"].as_str().is_none_or(str::is_empty) || stream.is_empty())
        {
            self.fault(format!("{action} {body}"));
        }
        let domain = body["DomainName"].as_str().unwrap_or_default();
        let ours = self.domains.lock();
        if !domain.is_empty() && !ours.is_empty() && !ours.iter().any(|of| of == domain) {
            return error("ResourceNotFound.DomainNotExist", "no such domain");
        }
        drop(ours);
        let mut response = json!({ "RequestId": "3c140219-cfe9-470e-b241-907877d6fb03" });
        match action {
            "DescribeLiveStreamState" => {
                let streams = self.streams.lock();
                response["StreamState"] = streams.get(&stream).map_or("inactive", String::as_str).into();
            }
            "DescribeLiveStreamOnlineList" => {
                if body["DomainName"].is_null() || body["AppName"] != "live" || body["PageNum"] != 1 {
                    self.fault(format!("{action} {body}"));
                }
                let size = body["PageSize"].as_u64().unwrap_or(10);
                if !(10..=300_000).contains(&size) {
                    self.fault(format!("{action} {body}"));
                }
                let streams = self.streams.lock();
                let active = streams.iter().filter(|(_, state)| *state == "active");
                let all: Vec<Value> = active
                    .map(|(name, _)| {
                        json!({ "StreamName": name, "AppName": "live", "DomainName": body["DomainName"],
                        "PublishTimeList": [{ "PublishTime": "2026-11-23T15:00:00Z" }], "PushToDelay": 0 })
                    })
                    .collect();
                let size = usize::try_from(size).unwrap();
                response["TotalNum"] = all.len().into();
                response["TotalPage"] = all.len().div_ceil(size).into();
                response["PageNum"] = 1.into();
                response["PageSize"] = size.into();
                response["OnlineInfo"] = all.into_iter().take(size).collect();
            }
            "DropLiveStream" => _ = self.streams.lock().remove(&stream),
            "ForbidLiveStream" => _ = self.streams.lock().insert(stream.clone(), "forbid".into()),
            "ResumeLiveStream" | "CreateCommonMixStream" | "CancelCommonMixStream" => {}
            other => self.fault(format!("unknown action {other}")),
        }
        self.done.lock().push((action.to_owned(), stream));
        self.bodies.lock().push(body);
        json!({ "Response": response }).to_string()
    }
}

/// An answer that is only a status.
fn status(status: hyper::StatusCode) -> hyper::Response<Cut> {
    let mut answer = hyper::Response::new(Cut::whole("oops"));
    *answer.status_mut() = status;
    answer
}

fn code(code: i64) -> String {
    let status = if code == 0 { "OK" } else { "FAIL" };
    json!({ "ActionStatus": status, "ErrorInfo": "", "ErrorCode": code }).to_string()
}

fn error(code: &str, message: &str) -> String {
    json!({ "Response": { "Error": { "Code": code, "Message": message }, "RequestId": "r" } }).to_string()
}

/// A body that may end before it should.
pub struct Cut(Option<Bytes>, bool);

impl Cut {
    fn whole(text: &str) -> Self {
        Self(Some(Bytes::copy_from_slice(text.as_bytes())), false)
    }
    fn half(text: &str) -> Self {
        Self(Some(Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2])), true)
    }
}

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<io::Result<hyper::body::Frame<Bytes>>>> {
        let next = match (self.0.take(), self.1) {
            (Some(bytes), _) => Some(Ok(hyper::body::Frame::data(bytes))),
            (None, true) => Some(Err(io::ErrorKind::ConnectionReset.into())),
            (None, false) => None,
        };
        std::task::Poll::Ready(next)
    }
}

/// Leads every call to an emulator in this process, so that time can be wound while they talk.
pub struct Inside(pub Arc<Emulator>);

impl Dial for Inside {
    fn dial(&self, _: &Uri) -> Connecting {
        let emulator = self.0.clone();
        Box::pin(async move {
            if *emulator.mood.lock() == Mood::Down {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(emulator.serve(theirs));
            Ok(Box::new(TokioIo::new(ours)) as Box<dyn outbound::Socket>)
        })
    }
}

/// A service that takes connections and never says a word.
pub struct Silent;

impl Dial for Silent {
    fn dial(&self, _: &Uri) -> Connecting {
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while theirs.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
            });
            Ok(Box::new(TokioIo::new(ours)) as Box<dyn outbound::Socket>)
        })
    }
}

/// So that tests can name the body type of answers of their own.
pub type Whole = Full<Bytes>;
