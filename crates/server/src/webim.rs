//! `POST /{v4|v1}/{service}/{command}`: the chat calls of the 2018 web and mini-program client (webim) and of the TIM web SDK
//! up to 2.7, which poll over HTTP, on the same hub as the WebSockets. Who calls and how it is answered stands here; the calls stand in files below.

mod calls;
mod polls;
mod views;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use room::chat::Refusal;
use room::{Millis, RoomId, UserId};
use serde::{Deserialize, Serialize};
use sign::stream_url::Query;

use crate::chat_door::ChatDoor;
use access::sessions::ChatLogin;
use chat::close::Close;
use chat::hub::link::{Link, Login};
use chat::hub::nameless;
use chat::pages::Client;
use chat::say::{self, Unfit};
use rooms::groups::with_group;
use telemetry::traces::Said;

/// Why a call failed: the number and the text that the client gets.
#[derive(Debug)]
pub struct Fail(u32, Cow<'static, str>);

type Answer = Result<Vec<u8>, Fail>;

const UNAUTHORISED: u32 = 70_001;
const BAD_JSON: u32 = 60_003;
const NOBODY_ELSE: u32 = 60_010;
const NOTHING_CAME: u32 = 60_008;
const REPLACED: u32 = 91_101;
const EXISTS: u32 = 10_021;
const NO_SUCH_COMMAND: u32 = 10_003;
const BAD_BODY: u32 = 10_004;
const NOT_ALLOWED: u32 = 10_007;
const TOO_FAST: u32 = 10_023;
const ELSEWHERE: u32 = 60_009;
const FILTERED: u32 = 80_001;
/// What the service says when it cannot answer in time: ask again.
const AWAY: u32 = 60_008;

fn fail(code: u32, text: impl Into<Cow<'static, str>>) -> Fail {
    Fail(code, text.into())
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        let (code, text) = match refusal {
            Refusal::NoGroup => (10_010, "no such group"),
            Refusal::NotMember => (10_007, "not a member of the group"),
            Refusal::Muted { .. } => (10_017, "muted in the group"),
            Refusal::Banned { .. } => (10_016, "banned from the group"),
            Refusal::Empty { .. } => (BAD_BODY, "empty"),
            Refusal::TooLong { .. } => (80_002, "too long"),
            Refusal::TooManyGroups { .. } => (10_038, "in too many groups"),
            Refusal::GroupFull { .. } => (10_014, "the group is full"),
            Refusal::TooManySanctions { .. } => (BAD_BODY, "too many muted or banned users"),
            Refusal::MailboxFull => (20_005, "the receiver is away, and as much waits as may"),
            Refusal::TooManyConnections { .. } | Refusal::Overloaded => (60_006, "too much load"),
            Refusal::Away => (AWAY, "try again"),
            Refusal::NoConnection => (REPLACED, "a newer login took this one's place"),
        };
        fail(code, text)
    }
}

impl From<Unfit> for Fail {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed => fail(BAD_BODY, "MsgBody is a list of {MsgType, MsgContent}"),
            Unfit::Refused(refusal) => refusal.into(),
        }
    }
}

/// One call with what it came with.
struct Call<'a> {
    door: &'a ChatDoor,
    now: Millis,
    query: Query<'a>,
    body: &'a str,
    /// From where.
    peer: Option<IpAddr>,
    /// Its service answers callers without identity too.
    open: bool,
}

/// What every reply begins with.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    action_status: &'static str,
    error_code: u32,
    error_info: Cow<'static, str>,
}

/// A reply: its head, and fields of its own.
#[derive(Serialize)]
struct Reply<T> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    more: T,
}

const OK: Head = Head { action_status: "OK", error_code: 0, error_info: Cow::Borrowed("") };

fn ok(more: impl Serialize) -> Answer {
    serde_json::to_vec(&Reply { head: OK, more }).map_err(|_| fail(10_002, "internal error"))
}

/// Serves a call.
pub async fn serve(
    State(door): State<Arc<ChatDoor>>,
    Path((service, command)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let status = match *request.method() {
        Method::OPTIONS => return respond(&door, StatusCode::NO_CONTENT, Vec::new()),
        Method::POST => None,
        _ => Some(StatusCode::METHOD_NOT_ALLOWED),
    };
    if let Some(status) = status {
        return respond(&door, status, refused(60_002, "calls are posted"));
    }
    let name = calls::find(&service, &command);
    let traced = door.web.traces.as_ref().and_then(|traces| traces.call(request.headers()));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let body = match read(&door, request).await {
        Ok(body) => body,
        Err(status) => return respond(&door, status, refused(60_002, "the body is too large, or came too slowly")),
    };
    let answering = answer(&door, peer, &service, name, query.as_deref().unwrap_or_default(), &body);
    let answer = match traced {
        None => answering.await,
        Some(traced) => {
            let answer = Box::pin(traced.within(answering)).await;
            let code = answer.as_ref().map_or_else(|Fail(code, _)| i64::from(*code), |_| 0);
            traced.end("webim", false, vec![Said::Number("roomservice.code", code)]);
            answer
        }
    };
    let body = answer.unwrap_or_else(|Fail(code, text)| refused(code, text));
    respond(&door, StatusCode::OK, body)
}

/// The body of a refusal. Clients read `ActionStatus` of every answer, and stop with an exception where there is none.
fn refused(code: u32, text: impl Into<Cow<'static, str>>) -> Vec<u8> {
    let head = Head { action_status: "FAIL", error_code: code, error_info: text.into() };
    // A number and a text: it cannot fail.
    serde_json::to_vec(&head).unwrap_or_default()
}

async fn answer(
    door: &ChatDoor,
    peer: Option<IpAddr>,
    service: &str,
    name: calls::Name,
    query: &str,
    body: &[u8],
) -> Answer {
    if let Some(message) = door.elsewhere.clone() {
        return Err(fail(ELSEWHERE, message));
    }
    let query = Query::parse(query).map_err(|why| fail(60_002, why.to_string()))?;
    let body = std::str::from_utf8(body).map_err(|_| fail(BAD_JSON, "the body is not UTF-8"))?;
    let open = service.ends_with("noauth_svc");
    calls::run(&Call { door, now: door.web.clock.now(), query, body, peer, open }, name).await
}

async fn read(door: &ChatDoor, request: Request) -> Result<Bytes, StatusCode> {
    let read = axum::body::to_bytes(request.into_body(), door.web.bounds.body_limit());
    match tokio::time::timeout(door.web.bounds.read_timeout(), read).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn respond(door: &ChatDoor, status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    }
    door.web.cors.apply(headers, status == StatusCode::NO_CONTENT);
    response
}

impl<'a> Call<'a> {
    /// The body's fields. An empty body has none.
    fn body<T: Deserialize<'a>>(&self) -> Result<T, Fail> {
        let body = if self.body.trim().is_empty() { "{}" } else { self.body };
        serde_json::from_str(body).map_err(|why| fail(BAD_JSON, why.to_string()))
    }

    /// What calls. The TIM web SDK says its platform with every call; webim 1.7.2 of mini-programs does so, too, but writes
    /// `contenttype`, as every webim does. Of webim's pages some read as rooms' pages do.
    fn client(&self, is_of_rooms: bool) -> Client {
        if self.is_tim() {
            Client::Tim
        } else if is_of_rooms {
            Client::Webim
        } else {
            Client::Other
        }
    }

    fn is_tim(&self) -> bool {
        self.query.get("platform").is_some() && self.query.get("contenttype").is_none()
    }

    /// Who calls.
    fn login(&self) -> Result<ChatLogin, Fail> {
        let (Some(tiny_id), Some(a2)) = (self.query.get("tinyid"), self.query.get("a2")) else {
            return Err(fail(UNAUTHORISED, "tinyid and a2 are needed: log in"));
        };
        let login = self.door.sessions.check_chat(tiny_id, a2, self.now);
        let login = login.map_err(|why| fail(UNAUTHORISED, why.to_string()))?;
        self.admit(&login.user)?;
        Ok(login)
    }

    /// Refuses who is kept out of everything by an operator.
    fn admit(&self, user: &UserId) -> Result<(), Fail> {
        match self.door.bans.until(user, None, self.now) {
            None => Ok(()),
            Some(_) => Err(fail(UNAUTHORISED, "kept out by an operator")),
        }
    }

    /// The caller's connection, made again if it was away for long.
    fn link(&self) -> Result<Arc<Link>, Fail> {
        let login = self.login()?;
        Ok(self.door.chat.poller(&place(&login))?)
    }

    /// Whether the caller has no name, where its service allows that.
    fn is_nameless(&self) -> bool {
        self.open && self.query.get("a2").is_none_or(str::is_empty)
    }

    /// The caller's connection; without a name, one of a client that only listens to this group.
    async fn listener(&self, group: &RoomId) -> Result<Arc<Link>, Fail> {
        if !self.is_nameless() {
            return self.link();
        }
        // Who says no name costs a connection only where there is something to listen to.
        let chat = &self.door.chat;
        with_group(chat, &self.door.rooms, group, || chat.owner(group).map(drop)).await?;
        let session = sign::fresh_id();
        let nobody = nameless::name(session).ok_or_else(|| fail(10_002, "internal error"))?;
        let login = Login { user: &nobody, session, at: self.now, expires: Millis::NEVER };
        Ok(chat.poller_from(&login, self.peer)?)
    }
}

fn place(login: &ChatLogin) -> Login<'_> {
    Login { user: &login.user, session: login.id, at: login.at, expires: login.expires }
}

/// A group's id in a body.
fn group(text: &str) -> Result<RoomId, Fail> {
    RoomId::parse(text).map_err(|_| fail(10_015, "GroupId is malformed"))
}

/// What the end of a connection is to a client that polls.
fn ended(why: Close) -> Fail {
    match why {
        Close::Replaced => Refusal::NoConnection.into(),
        Close::SessionEnded | Close::Operator => fail(UNAUTHORISED, why.reason()),
        _ => fail(NOTHING_CAME, why.reason()),
    }
}

/// Refuses an account in a body that is not the caller's.
fn own(named: Option<&str>, me: &UserId) -> Result<(), Fail> {
    match named {
        Some(named) if !named.is_empty() && named != me.as_str() => {
            Err(fail(NOBODY_ELSE, "From_Account is not the one that is logged in"))
        }
        _ => Ok(()),
    }
}

fn checked_account(text: &str) -> Result<UserId, Fail> {
    match UserId::parse(text) {
        Ok(user) if !say::reserved(text) => Ok(user),
        _ => Err(fail(20_003, "no such account")),
    }
}

#[cfg(test)]
mod tests;
