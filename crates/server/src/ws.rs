//! `GET /ws`: chat over WebSocket. Checks who comes before the upgrade; what is said then is in docs/chat.md.

mod connection;
mod requests;
#[cfg(fuzzing)]
pub(crate) use requests::read;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use room::chat::Connected;
use serde_json::json;
use sign::stream_url::Query;

use crate::chat_door::ChatDoor;
use access::sessions::Session;
use chat::hub::link::Login;
use chat::{render, say};

/// What the socket's own buffers hold. Small: there are many sockets, and most are silent.
const READ_BUFFER: usize = 1024;
/// Frames that are due together go to the kernel together, up to about this many bytes.
const WRITE_BUFFER: usize = 4096;

/// Why a client is not let in, as JSON and as status of a refused upgrade.
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn refused(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refused {
    Refused { status, code, message: message.into() }
}

/// Lets a client with a good session in.
pub async fn connect(State(door): State<Arc<ChatDoor>>, RawQuery(query): RawQuery, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &door).await;
    match open(&door, query.as_deref()) {
        Err(refused) => respond(&door, refused.status, &json!({"code": refused.code, "message": refused.message})),
        Ok((session, since)) => match upgrade {
            Err(_) => {
                let message = "this is a WebSocket: ask for an upgrade";
                respond(&door, StatusCode::UPGRADE_REQUIRED, &json!({"code": "not_websocket", "message": message}))
            }
            Ok(upgrade) => accept(door, upgrade, session, since, peer),
        },
    }
}

/// Says whether `GET /ws` with the same query would be let in: browsers cannot read why an upgrade failed.
pub async fn validate(State(door): State<Arc<ChatDoor>>, RawQuery(query): RawQuery) -> Response {
    let answer = match open(&door, query.as_deref()) {
        Ok((session, _)) => json!({"ok": true, "userID": session.user, "expires": session.expires}),
        Err(refused) => json!({"ok": false, "code": refused.code, "message": refused.message}),
    };
    respond(&door, StatusCode::OK, &answer)
}

fn open(door: &ChatDoor, query: Option<&str>) -> Result<(Session, Option<u64>), Refused> {
    if let Some(message) = door.elsewhere.clone() {
        return Err(refused(StatusCode::MISDIRECTED_REQUEST, "chat_elsewhere", message));
    }
    let bad = |message: String| refused(StatusCode::BAD_REQUEST, "bad_request", message);
    let query = Query::parse(query.unwrap_or_default()).map_err(|why| bad(why.to_string()))?;
    let (Some(user), Some(token)) = (query.get("userID"), query.get("token")) else {
        return Err(bad("userID and token are needed in the query".into()));
    };
    let since = query.get("since").map(str::parse).transpose();
    let since = since.map_err(|_| bad("since is the number of a point-to-point message".into()))?;
    let session = door
        .sessions
        .check(user, token, door.web.clock.now())
        .map_err(|why| refused(StatusCode::FORBIDDEN, "session_ended", format!("{why}: log in again")))?;
    if door.bans.until(&session.user, None, door.web.clock.now()).is_some() {
        return Err(refused(StatusCode::FORBIDDEN, "banned", "kept out by an operator"));
    }
    if say::reserved(session.user.as_str()) {
        return Err(refused(StatusCode::FORBIDDEN, "reserved", "the system's accounts do not chat"));
    }
    if door.chat.is_stopping() {
        return Err(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the server stops: connect again in a moment",
        ));
    }
    if door.chat.connections() >= door.chat.settings().max_connections {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many connections"));
    }
    Ok((session, since))
}

fn respond(door: &ChatDoor, status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    door.web.cors.apply(response.headers_mut(), false);
    response
}

fn accept(
    door: Arc<ChatDoor>,
    upgrade: WebSocketUpgrade,
    session: Session,
    since: Option<u64>,
    peer: Option<IpAddr>,
) -> Response {
    let settings = door.chat.settings();
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_frame_size(settings.max_frame)
        .max_message_size(settings.max_frame)
        .on_upgrade(move |socket| connection::serve(door, session, since, peer, socket))
}

fn welcome(door: &ChatDoor, session: &Session, connected: &Connected) -> bytes::Bytes {
    let settings = door.chat.settings();
    render::frame(&json!({
        "type": "welcome",
        "user": session.user,
        "time": door.web.clock.now(),
        "direct": connected.mark,
        "idle": settings.idle_timeout,
        "maxFrame": settings.max_frame,
        "rate": settings.rate,
        "burst": settings.burst,
    }))
}

fn login(session: &Session) -> Login<'_> {
    Login { user: &session.user, session: session.id, at: room::Millis(0), expires: session.expires }
}

#[cfg(test)]
pub(crate) mod tests;
