//! One call of the room protocol: its query and body, whose session it is, and what that one may do.

use std::net::IpAddr;

use access::operator::Need;
use access::sessions::Session;
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use room::{Kind, Millis, RoomId, UserId};
use serde::Deserialize;
use sign::stream_url::Query;
use streams::live::{Base, Scheme};

use super::body::{self, Text};
use super::door::Weapp;
use super::name::Name;
use super::reply::Fail;
use super::request_id::RequestId;
use crate::http::operators;
use crate::lan;

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
    /// Which call it is.
    pub name: Name,
    peer: Option<IpAddr>,
    /// The head of its request.
    pub parts: &'a Parts,
    /// Its body as JSON.
    pub body: Result<Bytes, Fail>,
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
    pub fn new(weapp: &'a Weapp, id: RequestId, name: Name, parts: &'a Parts, body: Bytes, now: Millis) -> Self {
        Self { weapp, id, now, name, peer: None, parts, body: body::to_json(&parts.headers, body) }
    }

    /// The same from this address.
    pub fn from(self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self }
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

    /// Whose session it is made in.
    ///
    /// # Errors
    /// There is none, it has ended, or its user is kept out or asks for too much.
    pub fn session(&self) -> Result<Session, Fail> {
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
        self.limit(&session.user)?;
        Ok(session)
    }

    /// Refuses a user who asks for too much.
    pub fn limit(&self, user: &UserId) -> Result<(), Fail> {
        self.weapp.web.limits.user(user, self.peer, self.name.asks_for()).map_err(Fail::too_much)
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
        self.weapp.web.limits.user(&user, self.peer, self.name.asks_for()).map_err(Fail::too_much)?;
        Ok(Session { user, generation: sign::token::Generation::First, id: 0, expires: self.now })
    }

    /// Refuses, in development mode, what does not come from this machine or does not name it, and other sites' pages.
    pub fn this_machine(&self) -> Result<(), Fail> {
        // Unless others are served as well, who comes is of this machine or has a proxy there.
        if self.weapp.choices.lan && !self.peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
            return Err(Fail::unauthorised("in development mode this is asked from the server's own machine"));
        }
        self.names_this_machine()
    }

    /// Whether it comes from a private network that development mode was told to serve, and from no other site's page.
    pub fn of_the_lan(&self) -> bool {
        let near = self.peer.is_some_and(lan::is_private);
        self.weapp.choices.lan && near && self.names_this_machine().is_ok()
    }

    fn names_this_machine(&self) -> Result<(), Fail> {
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
