//! The calls of Tencent's web player (`tcplayer.js`), which takes `webrtc://` and posts JSON to the host that its page names.
//! SDP goes the way of WHEP, with the same rights.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use media::rtc::Refused;
use media::{Ended, Protocol, StreamName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::rtc_session::{Wish, status};
use super::streaming::Media;
use super::webrtc;

/// Seconds that a publisher is waited for. The player breaks a call off after three.
const WAIT: &str = "wait=2";

/// The routes; headers for pages from elsewhere are put on by who takes them.
pub fn routes() -> Router<Arc<Media>> {
    let call = |post: routing::MethodRouter<Arc<Media>>| post.options(webrtc::preflight).fallback(webrtc::no_method);
    Router::new()
        .route("/webrtc/v1/pullstream", call(routing::post(pull)))
        .route("/webrtc/v1/stopstream", call(routing::post(stop)))
}

#[derive(Deserialize)]
struct Pull {
    streamurl: String,
    localsdp: Description,
}

#[derive(Deserialize)]
struct Description {
    sdp: String,
}

#[derive(Deserialize)]
struct Stop {
    svrsig: String,
}

/// `POST /webrtc/v1/pullstream`: an offer to play.
async fn pull(State(media): State<Arc<Media>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, body: Bytes) -> Response {
    let answer = match read::<Pull>(&body, "streamurl and localsdp") {
        Err(refused) => Err(refused),
        Ok(Pull { streamurl, localsdp }) => {
            let (stream, query) = webrtc::address(&streamurl);
            if StreamName::new(stream).is_err() {
                return refusal(&Refused::Bad("streamurl names no stream".into()));
            }
            let query = webrtc::waiting(query, WAIT);
            webrtc::negotiate(&media, peer, stream, query, localsdp.sdp.as_bytes(), Protocol::Whep).await
        }
    };
    match answer {
        Ok(answer) => {
            let description = json!({ "type": "answer", "sdp": answer.sdp });
            let body = json!({
                "errcode": 0, "errmsg": "success", "remotesdp": description, "svrsig": media.sessions.name(&answer.session)
            });
            Json(body).into_response()
        }
        Err(refused) => refusal(&refused),
    }
}

/// `POST /webrtc/v1/stopstream`: the end of a session, by the `svrsig` that nobody can guess.
async fn stop(State(media): State<Arc<Media>>, body: Bytes) -> Response {
    let svrsig = match read::<Stop>(&body, "svrsig") {
        Err(refused) => return refusal(&refused),
        Ok(Stop { svrsig }) => svrsig,
    };
    let outcome = media.sessions.run(&svrsig, Wish::End).await;
    match outcome.status() {
        StatusCode::OK => Json(json!({ "errcode": 0, "errmsg": "success" })).into_response(),
        other => failure(other, &outcome.body),
    }
}

/// The body is JSON whatever its content type says: the player calls it plain text, so that browsers ask no permission first.
fn read<T: DeserializeOwned>(body: &[u8], fields: &str) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|why| Refused::Bad(format!("the body must be JSON with {fields}: {why}")))
}

/// The player gives up on an `errcode`, and connects again by itself, as often as its page says, on a status other than 200:
/// so what may pass has one.
fn refusal(refused: &Refused) -> Response {
    let (code, message) = match refused {
        Refused::Ended(Ended::NotFound) => (StatusCode::CONFLICT, "nobody publishes this stream at the moment".into()),
        _ => (status(refused), refused.to_string()),
    };
    failure(code, &message)
}

fn failure(code: StatusCode, message: &str) -> Response {
    let passes = matches!(code, StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE);
    let body = Json(json!({ "errcode": code.as_u16(), "errmsg": message }));
    let mut response = (if passes { code } else { StatusCode::OK }, body).into_response();
    if passes {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
