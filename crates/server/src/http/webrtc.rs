//! WHIP and WHEP (RFC 9725 and its draft for players), and the JSON calls that players and load tools of
//! another media server make. SDP goes through; what it says is the media server's affair.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::request::{Query, What};
use media::rtc::{Answer, Refused, Server};
use media::{Ended, Protocol, StreamName};
use room::Millis;
use serde::Deserialize;
use serde_json::json;

use super::rtc_session::{Outcome, Wish, status};
use super::streaming::{self, Media};
use sign::Secret;

/// What a query says with how many seconds a publisher is waited for.
const WAITS: &str = "wait=";
const PREFER: HeaderName = HeaderName::from_static("prefer");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const SDP: HeaderValue = HeaderValue::from_static("application/sdp");
const FRAGMENT: HeaderValue = HeaderValue::from_static("application/trickle-ice-sdpfrag");

/// Seconds for which credentials for TURN are good: longer than a session, which renews its allocation with them.
const TURN_LIFETIME: u64 = 24 * 3600;

type Peer = ConnectInfo<SocketAddr>;

/// The routes of WHIP (RFC 9725), WHEP (draft-ietf-wish-whep) and SRS's JSON. A page from elsewhere must be able to read every
/// answer, those of the router (404, 405, 413) too, and those of `others`.
pub fn routes(media: &Arc<Media>, others: Router<Arc<Media>>) -> Router<Arc<Media>> {
    let endpoint = |post: MethodRouter<Arc<Media>>| post.get(described).options(asked).fallback(no_method);
    let of_session = routing::patch(patch).delete(delete).get(session).options(preflight).fallback(no_method);
    let exposed = axum::middleware::map_response_with_state(Arc::clone(media), exposed);
    Router::new()
        .route("/whip/{stream}", endpoint(routing::post(whip)))
        .route("/whep/{stream}", endpoint(routing::post(whep)))
        .route("/rtc/session/{id}", of_session)
        .route("/rtc/v1/publish/", routing::post(json_publish).options(preflight).fallback(no_method))
        .route("/rtc/v1/play/", routing::post(json_play).options(preflight).fallback(no_method))
        .merge(others)
        .layer(exposed)
}

async fn exposed(State(media): State<Arc<Media>>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    // A preflight's answer has its own.
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        media.cors.apply(headers, false);
    }
    let names = "Location, ETag, Link, Accept-Patch, Accept-Post, Access-Control-Allow-Methods, Retry-After";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(names));
    response
}

/// `GET` and `HEAD` of an endpoint: it is there, and what it takes (RFC 9725 §4.2).
async fn described() -> Response {
    (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP)]).into_response()
}

/// `GET` of a session: there is one.
async fn session(State(media): State<Arc<Media>>, Path(id): Path<String>) -> Response {
    respond(media.sessions.run(&id, Wish::Find).await)
}

pub(super) async fn no_method() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

/// Whether a body is of `wanted`. One without a type is taken for it: many clients send none.
fn is_of(headers: &HeaderMap, wanted: &HeaderValue) -> bool {
    let Some(given) = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()) else { return true };
    let plain = given.split(';').next().unwrap_or_default().trim();
    wanted.to_str().is_ok_and(|wanted| plain.eq_ignore_ascii_case(wanted))
}

/// The query of the URL with what headers say besides: the URL's signature as a Bearer token (encoders have a field for
/// it), and how long an answer may be waited for (RFC 7240 §4.3), in place of what the URL says of that.
fn query_of(query: Option<String>, headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // Names of schemes may be written in any case (RFC 9110 §11.1).
    let scheme = text(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let bearer = scheme.filter(|(name, _)| name.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let wait = text(PREFER).into_iter().flat_map(|value| value.split([',', ';'])).map(str::trim);
    let wait = wait.into_iter().find(|part| part.starts_with(WAITS));
    let bearer = bearer.filter(|token| token.contains('='));
    let said =
        query.iter().flat_map(|query| query.split('&')).filter(|part| wait.is_none() || !part.starts_with(WAITS));
    said.chain(bearer).chain(wait).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&")
}

/// `POST /whip/{stream}`: an offer to push.
pub async fn whip(
    media: State<Arc<Media>>,
    peer: Peer,
    stream: Path<String>,
    query: RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    offer(&media, peer, &stream, query.0, &headers, &body, Protocol::Whip).await
}

/// `POST /whep/{stream}`: an offer to play.
pub async fn whep(
    media: State<Arc<Media>>,
    peer: Peer,
    stream: Path<String>,
    query: RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    offer(&media, peer, &stream, query.0, &headers, &body, Protocol::Whep).await
}

async fn offer(
    media: &Media,
    peer: Peer,
    stream: &str,
    query: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
    protocol: Protocol,
) -> Response {
    if !is_of(headers, &SDP) {
        let text = "an offer is application/sdp";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, [(ACCEPT_POST, SDP)], text).into_response();
    }
    match negotiate(media, peer.0, stream, query_of(query, headers), body, protocol).await {
        // Somebody may publish soon (draft-ietf-wish-whep §4.2).
        Err(Refused::Ended(Ended::NotFound)) if protocol == Protocol::Whep => {
            let text = "nobody publishes this stream at the moment";
            (StatusCode::CONFLICT, [(header::RETRY_AFTER, "2")], text).into_response()
        }
        Err(refused) => refusal(&refused),
        Ok(answer) => {
            let mut response = (StatusCode::CREATED, answer.sdp).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, SDP);
            headers.insert(ACCEPT_PATCH, FRAGMENT);
            set(headers, header::LOCATION, &format!("/rtc/session/{}", media.sessions.name(&answer.session)));
            set(headers, header::ETAG, &format!("\"{}\"", answer.etag));
            announce(media, stream, headers);
            response
        }
    }
}

/// Names the STUN and TURN servers.
fn announce(media: &Media, stream: &str, headers: &mut HeaderMap) {
    for url in &media.ice.ice_servers {
        let link = ice_server(url, &media.ice.turn_secret, stream, media.clock.now());
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.append(header::LINK, link);
        }
    }
}

/// A STUN or TURN server as RFC 9725 §4.6 announces it. Credentials for TURN are those of its REST interface, as coturn
/// checks them: a user name that begins with the time of its end, and the HMAC-SHA1 of it as password.
fn ice_server(url: &str, secret: &Secret, stream: &str, now: Millis) -> String {
    let link = format!("<{url}>; rel=\"ice-server\"");
    // What stands within the quotes must not end them.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~@".contains(&b);
    if secret.is_empty() || url.starts_with("stun") || !stream.bytes().all(plain) {
        return link;
    }
    let user = format!("{}:{stream}", now.secs().saturating_add(TURN_LIFETIME));
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
    let password = STANDARD.encode(hmac::sign(&key, user.as_bytes()));
    format!("{link}; username=\"{user}\"; credential=\"{password}\"; credential-type=\"password\"")
}

/// Answers an offer.
pub(super) async fn negotiate(
    media: &Media,
    peer: SocketAddr,
    stream: &str,
    query: String,
    body: &[u8],
    protocol: Protocol,
) -> Result<Answer, Refused> {
    let server = server(media)?;
    let stream = StreamName::new(stream).map_err(|_| Refused::Ended(Ended::NotFound))?;
    let sdp = std::str::from_utf8(body).map_err(|_| Refused::Bad("not UTF-8".into()))?;
    let what = What { stream, app: "live".into(), query: Query(query), protocol, peer };
    match protocol {
        Protocol::Whip => server.publish(sdp, what).await,
        _ => server.play(sdp, what).await,
    }
}

fn server(media: &Media) -> Result<&Server, Refused> {
    media.webrtc.as_ref().ok_or_else(|| Refused::Unsupported("WebRTC is switched off here".into()))
}

/// `PATCH /rtc/session/{id}`: more ICE candidates, or an ICE restart.
pub async fn patch(
    State(media): State<Arc<Media>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !is_of(&headers, &FRAGMENT) {
        let text = "a change of a session is application/trickle-ice-sdpfrag";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, [(ACCEPT_PATCH, FRAGMENT)], text).into_response();
    }
    // Without one the change is taken for one of the session as it is: clients in the field send none.
    let tags = headers.get(header::IF_MATCH).and_then(|v| v.to_str().ok());
    let tags = tags.map(|list| list.split(',').map(|given| tag(given).to_owned()).collect());
    respond(media.sessions.run(&id, Wish::Patch { fragment: body, tags }).await)
}

fn respond(outcome: Outcome) -> Response {
    let mut response = StatusCode::into_response(outcome.status());
    if !outcome.body.is_empty() {
        response = (outcome.status(), outcome.body).into_response();
    }
    if let Some(etag) = outcome.etag {
        set(response.headers_mut(), header::ETAG, &format!("\"{etag}\""));
        if response.status() == StatusCode::OK {
            response.headers_mut().insert(header::CONTENT_TYPE, FRAGMENT);
        }
    }
    response
}

/// An entity tag without its quotes. A weak one is none of ours; it still names the session.
fn tag(given: &str) -> &str {
    given.trim().trim_start_matches("W/").trim_matches('"')
}

/// `DELETE /rtc/session/{id}`: the end of a session; its id cannot be guessed. One that has ended already, by itself or by the
/// connection's end, is what the client wants, and no error for its console to show.
pub async fn delete(State(media): State<Arc<Media>>, Path(id): Path<String>) -> Response {
    respond(media.sessions.run(&id, Wish::End).await)
}

/// `OPTIONS` of an endpoint: a browser's preflight, or a client that asks for STUN and TURN servers before it makes its offer
/// (RFC 9725 §4.6). These are told to who may play the stream, as who may push it may.
async fn asked(
    State(media): State<Arc<Media>>,
    ConnectInfo(peer): Peer,
    Path(stream): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = preflight(State(Arc::clone(&media)), headers.clone()).await;
    if !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && let (Some(server), Ok(name)) = (&media.webrtc, StreamName::new(&stream))
    {
        let query = Query(query_of(query, &headers));
        // One without a session.
        let what = What { stream: name, app: "live".into(), query, protocol: Protocol::Hls, peer };
        if server.lets_play(what).await {
            announce(&media, &stream, response.headers_mut());
        }
    }
    response
}

/// The answer to a browser's preflight.
pub async fn preflight(State(media): State<Arc<Media>>, asked: HeaderMap) -> Response {
    let mut response = (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP), (ACCEPT_PATCH, FRAGMENT)]).into_response();
    streaming::allow(&media, &asked, response.headers_mut());
    response
}

/// What `POST /rtc/v1/publish/` and `/rtc/v1/play/` take.
#[derive(Deserialize)]
pub struct JsonOffer {
    streamurl: String,
    sdp: String,
}

/// `POST /rtc/v1/publish/`.
pub async fn json_publish(media: State<Arc<Media>>, peer: Peer, body: Bytes) -> Response {
    json_offer(&media, peer, &body, Protocol::Whip).await
}

/// `POST /rtc/v1/play/`.
pub async fn json_play(media: State<Arc<Media>>, peer: Peer, body: Bytes) -> Response {
    json_offer(&media, peer, &body, Protocol::Whep).await
}

/// The body is JSON whatever its content type says: load tools send none.
async fn json_offer(media: &Media, peer: Peer, body: &[u8], protocol: Protocol) -> Response {
    let answer = match serde_json::from_slice(body) {
        Err(why) => Err(Refused::Bad(format!("the body must be JSON with streamurl and sdp: {why}"))),
        Ok(JsonOffer { streamurl, sdp }) => {
            let (stream, query) = address(&streamurl);
            // SRS answers players who come before their publisher, too.
            negotiate(media, peer.0, stream, waiting(query, "wait=9"), sdp.as_bytes(), protocol).await
        }
    };
    let body = match answer {
        Ok(answer) => {
            let session = media.sessions.name(&answer.session);
            json!({ "code": 0, "sdp": answer.sdp, "sessionid": session, "server": "roomservice" })
        }
        Err(refused) => json!({ "code": status(&refused).as_u16(), "message": refused.to_string() }),
    };
    Json(body).into_response()
}

/// The stream and the query of a URL of WebRTC; host and application are whatever they are.
pub(super) fn address(url: &str) -> (&str, &str) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    (path.rsplit('/').next().unwrap_or_default(), query)
}

/// A query that says how long to wait for a publisher: what it says itself, or this.
pub(super) fn waiting(query: &str, unless: &str) -> String {
    let says = query.split('&').any(|part| part.starts_with(WAITS));
    if says { query.to_owned() } else { format!("{query}&{unless}") }
}

fn refusal(refused: &Refused) -> Response {
    (status(refused), refused.to_string()).into_response()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_takes_what_headers_say() {
        let mut headers = HeaderMap::new();
        assert_eq!(query_of(Some("a=1".into()), &headers), "a=1");
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer txSecret=5&txTime=6"));
        headers.insert(PREFER, HeaderValue::from_static("respond-async, wait=3"));
        assert_eq!(query_of(None, &headers), "txSecret=5&txTime=6&wait=3");
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  txSecret=5"));
        assert_eq!(query_of(None, &headers), "txSecret=5&wait=3");
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer word"));
        assert_eq!(query_of(Some("a=1".into()), &headers), "a=1&wait=3");
        assert_eq!(query_of(Some("a=1&wait=9&b=2".into()), &headers), "a=1&b=2&wait=3", "no word twice");
    }

    #[test]
    fn content_types_are_compared_without_their_parameters() {
        let mut headers = HeaderMap::new();
        assert!(is_of(&headers, &SDP));
        for (given, taken) in [("Application/SDP; charset=utf-8", true), ("text/plain", false)] {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(given));
            assert_eq!(is_of(&headers, &SDP), taken);
        }
        assert_eq!((tag(" W/\"a\""), tag("\"*\""), tag("b")), ("a", "*", "b"));
    }

    #[test]
    fn turn_credentials_are_what_coturn_checks() {
        let secret = Secret::new("north");
        let now = Millis(1_795_446_000_000);
        let link = ice_server("turn:turn.example:3478?transport=udp", &secret, "1000_r_alice", now);
        // printf 1795532400:1000_r_alice | openssl dgst -sha1 -hmac north -binary | base64
        let credentials = "username=\"1795532400:1000_r_alice\"; credential=\"/u8CiY+zIrgFDTKYmOlfpw5ShwE=\"; credential-type=\"password\"";
        assert_eq!(link, format!("<turn:turn.example:3478?transport=udp>; rel=\"ice-server\"; {credentials}"));
        for (url, secret) in [("stun:stun.example:3478", secret), ("turn:turn.example", Secret::default())] {
            assert_eq!(ice_server(url, &secret, "s", now), format!("<{url}>; rel=\"ice-server\""));
        }
    }
}
