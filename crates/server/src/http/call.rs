//! What is common to all calls: finding them by path, reading query and body, and whose session it is.

mod label;

use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use bytes::Bytes;
use futures_util::FutureExt;
use room::{Kind, Millis, RoomId, UserId};
use serde::Deserialize;
use sign::stream_url::Query;

use super::api::repeat;
use super::body::{self, Text};
use super::reply::{Fail, Reply, Sent};
use super::weapp::Weapp;
use super::{
    audience, bounded, custom, limited, login, mix, operators, pushers, records, rooms, urls, utils, webrtc_room,
};
use crate::web::Current;
use access::operator::Need;
use access::sessions::Session;
use streams::live::{Base, Scheme};

pub use label::{LABELS, UNKNOWN};

/// The number under which a request stands in the logs.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(u16, u32);

impl RequestId {
    /// The next number; the first part differs between starts of the server.
    pub fn next() -> Self {
        static START: OnceLock<u16> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let start = *START.get_or_init(|| (sign::fresh_id() & 0xffff) as u16);
        Self(start, NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}-{:06x}", self.0, self.1)
    }
}

/// Which call a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Login,
    Logout,
    GetPushUrl,
    CreateRoom,
    AddPusher,
    GetPushers,
    GetRoomList,
    GetRecordList,
    Heartbeat,
    DeletePusher,
    DestroyRoom,
    AddAudience,
    DeleteAudience,
    GetAudiences,
    SetCustomField,
    GetCustomInfo,
    MergeStream,
    GetLoginInfo,
    GetImLoginInfo,
    GetTestPushUrl,
    GetTestRtmpAccUrl,
    CheckConfig,
    LogFileList,
    GetLogFile,
    Report,
    Webrtc(webrtc_room::Name),
    Webexe(webrtc_room::Name),
}

impl Name {
    /// The methods by which the call is made. Room calls are posted, `utils` are got; those may be posted
    /// too, as some clients do.
    pub fn methods(self) -> &'static str {
        match self {
            Self::GetLoginInfo
            | Self::GetTestPushUrl
            | Self::GetTestRtmpAccUrl
            | Self::CheckConfig
            | Self::LogFileList
            | Self::GetLogFile
            | Self::Webexe(webrtc_room::Name::GetLoginInfo) => "GET, HEAD, POST, OPTIONS",
            _ => "POST, OPTIONS",
        }
    }

    /// Whether the call is made this way.
    pub fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}

/// The kind of room that a call is for, if it is for one, and which call it is.
pub type Found = (Option<Kind>, Name);

/// The call that a path names, and the kind of room in it. The whole table of the protocol.
pub fn find(path: &str) -> Option<Found> {
    // The first servers did not mind how a path is written, and a client of theirs asks for `get_custom_Info`.
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return find(&path.to_ascii_lowercase());
    }
    let (kind, call) = path.strip_prefix("/weapp/")?.split_once('/')?;
    let kind = match kind {
        "double_room" => Kind::Double,
        "multi_room" => Kind::Multi,
        "live_room" => Kind::Live,
        "utils" => return Some((None, find_util(call)?)),
        "webrtc_room" => {
            let call = webrtc_room::find(call).filter(|call| *call != webrtc_room::Name::Delete)?;
            return Some((None, Name::Webrtc(call)));
        }
        "webexe_room" => return Some((None, Name::Webexe(webrtc_room::find(call)?))),
        _ => return None,
    };
    let live = kind == Kind::Live;
    let name = match call {
        "login" => Name::Login,
        "logout" => Name::Logout,
        "get_im_login_info" => Name::GetImLoginInfo,
        "get_push_url" | "get_anchor_url" => Name::GetPushUrl,
        "create_room" => Name::CreateRoom,
        "add_pusher" | "add_anchor" => Name::AddPusher,
        "get_pushers" | "get_anchors" => Name::GetPushers,
        "get_room_list" => Name::GetRoomList,
        "get_record_list" => Name::GetRecordList,
        "pusher_heartbeat" | "anchor_heartbeat" => Name::Heartbeat,
        "delete_pusher" | "delete_anchor" => Name::DeletePusher,
        "destroy_room" => Name::DestroyRoom,
        "add_audience" if live => Name::AddAudience,
        "delete_audience" if live => Name::DeleteAudience,
        "get_audiences" if live => Name::GetAudiences,
        "set_custom_field" if live => Name::SetCustomField,
        "get_custom_info" if live => Name::GetCustomInfo,
        // Windows asks for it in every kind of room.
        "merge_stream" => Name::MergeStream,
        _ => return None,
    };
    Some((Some(kind), name))
}

fn find_util(call: &str) -> Option<Name> {
    Some(match call {
        "get_login_info" => Name::GetLoginInfo,
        "get_test_pushurl" => Name::GetTestPushUrl,
        "get_test_rtmpaccurl" => Name::GetTestRtmpAccUrl,
        "check_config" => Name::CheckConfig,
        "logfilelist" => Name::LogFileList,
        "getlogfile" => Name::GetLogFile,
        "report" => Name::Report,
        _ => return None,
    })
}

/// A path as it may stand in a log: up to what no path of ours has, where a client's mistake may have put
/// a token.
pub fn loggable(path: &str) -> &str {
    let ours = |b: u8| b.is_ascii_alphanumeric() || b"/_-.".contains(&b);
    let end = path.bytes().take(64).take_while(|b| ours(*b)).count();
    &path[..end]
}

/// Reads the body, bounded in size and time.
pub async fn read<B>(bounds: &Current, parts: &Parts, body: B) -> Result<Bytes, StatusCode>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let limit = bounds.body_limit();
    let declared = bounded::declared(&parts.headers);
    let most = bounded::most(&parts.headers, limit);
    if declared.is_some_and(|n| n > limit) {
        if most > 0 {
            let _ = tokio::time::timeout(bounds.read_timeout(), bounded::take(body, 0, most)).await;
        }
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if declared == Some(0) || parts.method == Method::GET && declared.is_none() {
        return Ok(Bytes::new());
    }
    let mut whole = pin!(bounded::take(body, limit, most));
    // Nearly always the body came with the head: no timer then.
    let read = match whole.as_mut().now_or_never() {
        Some(read) => Ok(read),
        None => tokio::time::timeout(bounds.read_timeout(), whole).await,
    };
    match read {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// A request that came over TLS that ends here.
#[derive(Clone, Copy, Debug)]
pub struct Secure;

/// One call with everything it came with.
pub struct Call<'a> {
    /// What it works with.
    pub weapp: &'a Weapp,
    /// Its number in the logs.
    pub id: RequestId,
    /// When it came.
    pub now: Millis,
    kind: Option<Kind>,
    name: Name,
    peer: Option<IpAddr>,
    parts: &'a Parts,
    body: Result<Bytes, Fail>,
}

/// What a call that needs a session works with.
pub struct Member<'a> {
    /// The call.
    pub call: &'a Call<'a>,
    /// The kind of room in its path.
    pub kind: Kind,
    /// Who calls.
    pub session: Session,
}

/// The fields that nearly every body has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ids<'a> {
    #[serde(rename = "userID", borrow, default)]
    user: Option<Text<'a>>,
}

impl<'a> Call<'a> {
    /// Takes it together.
    pub fn new(
        weapp: &'a Weapp,
        id: RequestId,
        kind: Option<Kind>,
        name: Name,
        parts: &'a Parts,
        body: Bytes,
        now: Millis,
    ) -> Self {
        Self { weapp, id, now, kind, name, peer: None, parts, body: body::to_json(&parts.headers, body) }
    }

    /// The same from this address.
    pub fn from(self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self }
    }

    /// Answers it; under the name that the caller gave it, if it has one.
    pub async fn answer(&self) -> Reply {
        match self.mark() {
            Ok(None) => self.run().await,
            Ok(Some(mark)) => ::rooms::once::named(mark, self.run()).await,
            Err(fail) => Reply::from_sent(Err(fail), None),
        }
    }

    /// The number that stands for a request with an `Idempotency-Key`: made of the key, the user, the call and the body.
    fn mark(&self) -> Result<Option<u64>, Fail> {
        let Some(key) = self.parts.headers.get(repeat::HEADER) else { return Ok(None) };
        let key = key.to_str().ok().filter(|key| repeat::is_name(key));
        let key = key.ok_or_else(|| Fail::malformed("Idempotency-Key: 1 to 255 letters, digits, '-' and '_'"))?;
        let query = self.query()?;
        let user = query.get("userID").unwrap_or_default();
        let path = self.parts.uri.path().to_ascii_lowercase();
        let body = self.body.as_deref().unwrap_or_default();
        Ok(Some(repeat::mark(&[key.as_bytes(), user.as_bytes(), path.as_bytes(), body])))
    }

    async fn run(&self) -> Reply {
        match self.kind {
            None => match self.name {
                Name::Webrtc(name) => Reply::from_sent(webrtc_room::run(self, Kind::Webrtc, name).await, None),
                Name::Webexe(name) => Reply::from_sent(webrtc_room::run(self, Kind::Webexe, name).await, None),
                name => Reply::from_sent(utils::run(self, name).await, None),
            },
            Some(kind) if self.name == Name::Login => {
                let _ = kind;
                login::login(self)
            }
            Some(_) if self.name == Name::GetImLoginInfo => Reply::from_sent(utils::get_im_login_info(self), None),
            Some(kind) => match self.session() {
                Err(fail) => Reply::from_sent(Err(fail), None),
                Ok(session) => {
                    let user = session.user.clone();
                    let member = Member { call: self, kind, session };
                    Reply::from_sent(member.run(self.name).await, Some(user))
                }
            },
        }
    }

    /// The query, each name once.
    pub fn query(&self) -> Result<Query<'_>, Fail> {
        Query::parse(self.parts.uri.query().unwrap_or_default()).map_err(|e| Fail::malformed(&e))
    }

    /// The body's fields, whichever way they are encoded.
    pub fn body<'b, T: Deserialize<'b>>(&'b self) -> Result<T, Fail> {
        body::parse(self.body.as_ref().map_err(Fail::clone)?)
    }

    /// The address that the client reached us by.
    pub fn base(&self) -> Base<'_> {
        base(self.weapp.choices.tls_by_proxy, self.parts)
    }

    fn session(&self) -> Result<Session, Fail> {
        let query = self.query()?;
        if self.weapp.choices.generation0 && query.get("token").is_none() {
            return self.tokenless(&query);
        }
        let (Some(user), Some(token)) = (query.get("userID"), query.get("token")) else {
            return Err(Fail::unauthorised("userID and token are needed in the query"));
        };
        let session = self.weapp.sessions.check(user, token, self.now);
        let session = session.map_err(|why| Fail::unauthorised(&why.to_string()))?;
        self.admit(&session.user, None)?;
        self.weapp.web.limits.user(&session.user, self.peer, limited::what(self.name)).map_err(Fail::too_much)?;
        Ok(session)
    }

    /// The session of a client of 2017, which has none: on this machine it is who it says.
    fn tokenless(&self, query: &Query<'_>) -> Result<Session, Fail> {
        self.this_machine()?;
        let named = self.body::<Ids<'_>>()?.user;
        let user = query.get("userID").or(named.as_ref().map(Text::as_str)).filter(|id| !id.is_empty());
        let user = UserId::parse(user.unwrap_or("guest"))?;
        if self.weapp.identity.is_administrator(user.as_str()) {
            return Err(Fail::unauthorised("nobody is the administrator"));
        }
        self.admit(&user, None)?;
        self.weapp.web.limits.user(&user, self.peer, limited::what(self.name)).map_err(Fail::too_much)?;
        Ok(Session { user, generation: sign::token::Generation::First, id: 0, expires: self.now })
    }

    /// Refuses, in development mode, what does not name this machine, and other sites' pages.
    pub fn this_machine(&self) -> Result<(), Fail> {
        let host = self.parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| self.parts.uri.authority().map(|authority| authority.as_str()));
        operators::at_this_machine(host, &self.parts.headers).map_err(|r| Fail::unauthorised(r.message))
    }

    /// Refuses who is kept out of everything, or of this room.
    pub fn admit(&self, user: &UserId, room: Option<&RoomId>) -> Result<(), Fail> {
        match self.weapp.bans.until(user, room, self.now) {
            None => Ok(()),
            Some(until) => Err(Fail::banned(until, self.now)),
        }
    }

    /// Lets an operator in who may do this, by `Authorization: Bearer KEY`; in development mode what names this machine
    /// and is no other site's page.
    ///
    /// # Errors
    /// It is no operator's; `hint` is said to that.
    pub fn operator(&self, need: Need<'_>, hint: &str) -> Result<(), Fail> {
        if self.weapp.operators.is_open() {
            self.this_machine()?;
        }
        let bearer = |h: &'a axum::http::HeaderValue| h.to_str().ok()?.strip_prefix("Bearer ");
        let bearer = self.parts.headers.get(header::AUTHORIZATION).and_then(bearer);
        let operator = self.weapp.operators.admit(bearer, self.now);
        if operator.is_some_and(|operator| operator.may(need)) { Ok(()) } else { Err(Fail::unauthorised(hint)) }
    }
}

/// The address that a client reached us by; a proxy that does TLS says it.
fn base<'a>(proxied: bool, parts: &'a Parts) -> Base<'a> {
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let forwarded = |name: &str| proxied.then(|| text(name)).flatten();
    let authority =
        forwarded("x-forwarded-host").or_else(|| text("host")).or_else(|| parts.uri.authority().map(|a| a.as_str()));
    // What is put into URLs must be a host: anything else could break out of them.
    let is_host = |h: &&str| h.len() <= 255 && h.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let secure = forwarded("x-forwarded-proto") == Some("https") || parts.extensions.get::<Secure>().is_some();
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    Base { scheme, authority: authority.filter(is_host).filter(|h| !h.is_empty()).unwrap_or("localhost") }
}

impl Member<'_> {
    async fn run(&self, name: Name) -> Sent {
        match name {
            Name::Logout => login::logout(self).await,
            Name::GetPushUrl => urls::get_push_url(self),
            Name::CreateRoom => rooms::create_room(self).await,
            Name::DestroyRoom => rooms::destroy_room(self).await,
            Name::GetRoomList => rooms::get_room_list(self).await,
            Name::GetRecordList => records::get_record_list(self).await,
            Name::AddPusher => pushers::add_pusher(self).await,
            Name::GetPushers => pushers::get_pushers(self).await,
            Name::DeletePusher => pushers::delete_pusher(self).await,
            Name::Heartbeat => pushers::heartbeat(self).await,
            Name::AddAudience => audience::add_audience(self).await,
            Name::DeleteAudience => audience::delete_audience(self).await,
            Name::GetAudiences => audience::get_audiences(self).await,
            Name::SetCustomField => custom::set_custom_field(self).await,
            Name::GetCustomInfo => custom::get_custom_info(self).await,
            Name::MergeStream => mix::merge_stream(self).await,
            _ => Err(Fail::malformed("not a room call")),
        }
    }

    /// The caller, who must also be the `userID` that the body names.
    pub fn actor(&self, named: Option<&Text<'_>>) -> Result<&UserId, Fail> {
        let named = named.ok_or_else(|| Fail::missing("userID"))?;
        if named.as_str() == self.session.user.as_str() {
            return Ok(&self.session.user);
        }
        // Malformed before unauthorised: the message should name what is wrong.
        UserId::parse(named.as_str())?;
        Err(Fail::unauthorised("userID of the body is not the session's user"))
    }

    /// A room id of the body, of a room that the caller is not kept out of.
    pub fn room(&self, named: Option<&Text<'_>>) -> Result<RoomId, Fail> {
        let room = RoomId::parse(named.map(Text::as_str).unwrap_or_default())?;
        self.call.admit(&self.session.user, Some(&room))?;
        Ok(room)
    }

    /// Refuses a body that names another user, where naming one is optional.
    pub fn no_other(&self) -> Result<(), Fail> {
        let ids: Ids<'_> = self.call.body()?;
        ids.user.map_or(Ok(()), |user| self.actor(Some(&user)).map(drop))
    }
}
