//! Streams over HTTP: the routes of FLV, HLS and WebRTC, and what all three work with.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use media::hls::Hls;
use media::record::Recorder;
use media::rendition::Renditions;
use media::request::Requests;
use media::rtc::Server;

use super::rtc_session::Sessions;
use super::{hls, pullstream, recorded, webrtc};
use crate::web::Cors;
use store::clock::Clock;
use streams::gate::Gate;

/// What players and publishers over HTTP work with.
pub struct Media {
    /// Asks the gate for permission to play.
    pub requests: Requests,
    /// Who may play, asked at once.
    pub gate: Arc<Gate>,
    /// Streams with their audio in another codec.
    pub renditions: Renditions,
    /// Streams that are played by HLS.
    pub hls: Hls,
    /// WebRTC, if it runs.
    pub webrtc: Option<Server>,
    /// Its sessions as clients name them.
    pub sessions: Sessions,
    /// The recorder, if there is one.
    pub recorder: Option<Recorder>,
    /// The STUN and TURN servers that browsers are given.
    pub ice: crate::webrtc::Settings,
    /// Cross-origin headers.
    pub cors: Arc<Cors>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The routes.
pub fn routes(media: Arc<Media>) -> Router {
    Router::new()
        .route("/live/{file}", get(hls::or_flv).options(preflight))
        .route("/live/{stream}/{file}", get(hls::file).options(preflight))
        .route("/recordings/{file}", get(recorded::play).options(preflight))
        .merge(webrtc::routes(&media, pullstream::routes()))
        .layer(axum::middleware::map_response(retry_after))
        .with_state(media)
}

/// The answer to the preflight of a player on another origin, whatever headers its page or the device adds to what it asks for.
async fn preflight(State(media): State<Arc<Media>>, asked: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    allow(&media, &asked, headers);
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    response
}

/// Lets a page of another origin, where any may, ask with the headers that its preflight names.
pub(super) fn allow(media: &Media, asked: &HeaderMap, headers: &mut HeaderMap) {
    media.cors.apply(headers, true);
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        if let Some(named) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, named.clone());
        }
    }
}

/// A client that is to come later is told when.
async fn retry_after(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    response
}
