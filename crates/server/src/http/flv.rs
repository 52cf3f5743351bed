//! `GET /live/{stream}.flv`, plain or over WebSocket: an HTTP-FLV player.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, FromRequestParts, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use media::flv::{self, Player};
use media::request::{Kick, Query, What};
use media::{Codec, Ended, Protocol, StreamName};

use super::streaming::Media;
use access::limits::Chatter;

/// Plays a stream, if the query permits it.
pub async fn play(
    State(media): State<Arc<Media>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = if parts.headers.contains_key(header::UPGRADE) {
        WebSocketUpgrade::from_request_parts(&mut parts, &media).await.ok()
    } else {
        None
    };
    let mut response = match open(&media, peer, &file, query, upgrade.is_some(), takes(&parts.headers)).await {
        Err(status) => (status, status.canonical_reason().unwrap_or_default()).into_response(),
        Ok((player, kick)) => match upgrade {
            Some(upgrade) => upgrade.on_upgrade(move |socket| over_websocket(socket, player, kick)),
            None => stream(player, kick),
        },
    };
    media.cors.apply(response.headers_mut(), false);
    // Whom a cache must not take for another.
    response.headers_mut().append(header::VARY, HeaderValue::from_static("user-agent"));
    response
}

/// The sound that a player takes. All browsers call themselves Mozilla.
fn takes(headers: &HeaderMap) -> &'static [Codec] {
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    if agent.starts_with(b"Mozilla/") { flv::IN_BROWSERS } else { flv::IN_PROGRAMS }
}

async fn open(
    media: &Media,
    peer: SocketAddr,
    file: &str,
    query: Option<String>,
    ws: bool,
    takes: &'static [Codec],
) -> Result<(Player, Kick), StatusCode> {
    let stream = file.strip_suffix(".flv").ok_or(StatusCode::NOT_FOUND)?;
    let stream = StreamName::new(stream).map_err(|_| StatusCode::NOT_FOUND)?;
    let protocol = if ws { Protocol::WsFlv } else { Protocol::HttpFlv };
    let query = Query(query.unwrap_or_default());
    let further = query.is_for_all_tracks();
    let form = query.form();
    let what = What { stream: stream.clone(), app: "live".into(), query, protocol, peer };
    let options = media.requests.play(what).await.map_err(|why| match why {
        Ended::Timeout(_) | Ended::Shutdown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    })?;
    let reader = media.renditions.open(&stream, options.want(protocol).with_further(further), takes, options.wait);
    let reader = tokio::select! {
        reader = reader => reader.map_err(|why| match why {
            Ended::Limit(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::NOT_FOUND,
        })?,
        _ = options.kick.kicked() => return Err(StatusCode::FORBIDDEN),
    };
    Ok((Player::new(reader).in_form(form).strictly(takes == flv::IN_BROWSERS), options.kick))
}

fn stream(player: Player, kick: Kick) -> Response {
    let kicked = Box::pin(async move { drop(kick.kicked().await) });
    let mut response = Response::new(Body::new(FlvBody { player, kicked }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(flv::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx in front must hand it on at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct FlvBody {
    player: Player,
    /// Done when the viewer is removed. Asked as often as the player, which is a few times a second.
    kicked: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl hyper::body::Body for FlvBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.kicked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.player.poll_next(cx).map(|block| block.map(|bytes| Ok(Frame::data(bytes))))
    }
}

async fn over_websocket(mut socket: WebSocket, mut player: Player, kick: Kick) {
    let mut chatter = Chatter::default();
    loop {
        tokio::select! {
            block = player.next() => match block {
                Some(bytes) => if socket.send(Message::Binary(bytes)).await.is_err() { return },
                None => break,
            },
            _ = kick.kicked() => break,
            // A player has nothing to say but that it is there.
            said = socket.recv() => if !matches!(said, Some(Ok(_))) || !chatter.hear() { return },
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}
