//! The loop that owns the HTTP socket: accepts, bounds, times out, and ends with the server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::heads::Heads;
use super::http2::{self, Bounds};
use super::impatient::Impatient;
use super::weapp::{self, Reply, Secure, Weapp};
use super::{Doors, health, limited, router};
use crate::metrics::Metrics;
use crate::web::Web;
use edge::acme::Answers;
use edge::{self, Door, Guest, Wire};

/// Most bytes of a request's head.
const HEAD: usize = 64 * 1024;
/// How long running answers may take after the server was stopped.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, door: Door, routes: Routes, stop: CancellationToken) {
    let routes = Arc::new(routes);
    let places = Arc::new(Semaphore::new(routes.web.bounds.max_connections()));
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD);
    loop {
        // A place first: beyond the bound, connections wait in the kernel's queue instead of here.
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            () = stop.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let mut http = http.clone();
                let door = door.clone();
                let patience = routes.web.bounds.read_timeout();
                http.timer(Heads::default()).header_read_timeout(patience);
                let routes = routes.clone();
                let stop = stop.clone();
                tokio::spawn(async move {
                    // Boxed: what the door needs is not a part of each connection for as long as that lasts.
                    let guest = Box::pin(door.enter(socket, peer)).await;
                    drop(door);
                    match guest {
                        Some(guest) if edge::is_http2(&guest.wire) => {
                            Box::pin(over_http2(guest, place, routes, stop)).await;
                        }
                        Some(guest) => connection(&http, guest, place, routes, stop).await,
                        None => drop(place),
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: those that are open go on.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// An answer, of a call or of anything else.
type Answer = axum::http::Response<Either<Full<Bytes>, Body>>;

/// Where requests go.
#[derive(Clone)]
pub struct Routes {
    web: Arc<Web>,
    router: Router,
    /// Calls of the room protocol go past the router.
    weapp: Option<Arc<Weapp>>,
}

impl Routes {
    /// To everything.
    #[must_use]
    pub fn all(doors: &Doors) -> Self {
        Self { web: doors.web.clone(), router: router(doors), weapp: Some(doors.weapp.clone()) }
    }

    /// To everything, and to the certificate's authority, which a phone may be told to trust.
    #[must_use]
    pub fn lan(doors: &Doors, authority: String) -> Self {
        let routes = Self::all(doors);
        Self { router: routes.router.merge(super::pages::authority(authority)), ..routes }
    }

    /// Nowhere but to HTTPS at this port, unless an authority asks for what it was promised.
    #[must_use]
    pub fn redirect(web: &Arc<Web>, port: u16, answers: Option<Arc<Answers>>) -> Self {
        Self { web: web.clone(), router: super::redirect::router(port, answers), weapp: None }
    }

    /// To what those who watch over the server ask, and nothing else.
    #[must_use]
    pub fn watch(doors: &Doors) -> Self {
        Self { web: doors.web.clone(), router: health::apart(doors.health.clone()), weapp: None }
    }

    async fn answer(&self, peer: SocketAddr, secure: bool, mut request: Request<Incoming>) -> Answer {
        let route = Metrics::route(request.uri().path());
        if let Some(status) = refuse(&request) {
            self.web.metrics.answer(route, status.as_u16());
            return weapp::respond(&self.web.cors, request.uri().path(), Reply::status(status)).map(Either::Left);
        }
        let peer = self.web.proxies.client(peer, request.headers());
        if secure {
            request.extensions_mut().insert(Secure);
        }
        let mut response = self.hand_on(peer, request).await;
        self.web.metrics.answer(route, response.status().as_u16());
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        response
    }

    async fn hand_on(&self, peer: SocketAddr, request: Request<Incoming>) -> Answer {
        // What is asked most goes the shortest way; boxed, because its future would else be a part of each connection.
        if let Some(weapp) = &self.weapp
            && let Some(found) = weapp::find(request.uri().path())
        {
            return Box::pin(weapp::answer(weapp, Some(peer.ip()), Some(found), request)).await.map(Either::Left);
        }
        if let Some(refused) = limited::refuse(&self.web, peer.ip(), request.uri().path()) {
            return refused.map(Either::Left);
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        response.map(Either::Right)
    }
}

/// Refuses a head that is larger than the server says, and one that names two hosts: a proxy in front may believe the other.
fn refuse<B>(request: &Request<B>) -> Option<StatusCode> {
    let headers = request.headers();
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if uri + size > HEAD {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    (headers.get_all(header::HOST).iter().count() > 1).then_some(StatusCode::BAD_REQUEST)
}

async fn connection(
    http: &http1::Builder,
    guest: Guest,
    one: OwnedSemaphorePermit,
    routes: Arc<Routes>,
    stop: CancellationToken,
) {
    let secure = edge::is_secure(&guest.wire);
    let (peer, socket) = counted(guest, one, &routes.web);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.answer(peer, secure, request).await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service).with_upgrades());
    // What goes wrong on one connection is that client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(GRACE, connection).await;
}

/// A connection's socket, which is one of all and one of its address' for as long as it is there.
fn counted(guest: Guest, one: OwnedSemaphorePermit, web: &Web) -> (SocketAddr, Impatient<Wire>) {
    let Guest { wire, peer, place } = guest;
    let held = (web.metrics.connections.enter(), place, one);
    (peer, Impatient::new(wire, web.bounds.write_timeout(), held))
}

async fn over_http2(guest: Guest, one: OwnedSemaphorePermit, routes: Arc<Routes>, stop: CancellationToken) {
    let (peer, socket) = counted(guest, one, &routes.web);
    let limits = &routes.web.bounds;
    let bounds = Bounds { read: limits.read_timeout(), write: limits.write_timeout(), grace: GRACE };
    let answer = move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move { routes.answer(peer, true, request).await }
    };
    http2::serve(socket, bounds, answer, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_one_host_and_a_bound() {
        let request = |headers: &[(&str, &str)]| {
            let all =
                headers.iter().fold(Request::get("/weapp"), |request, (name, value)| request.header(*name, *value));
            refuse(&all.body(()).unwrap()).map(|status| status.as_u16())
        };
        assert_eq!(request(&[("host", "a"), ("cookie", "x"), ("cookie", "y")]), None);
        assert_eq!(request(&[("host", "a"), ("host", "a")]), Some(400));
        assert_eq!(request(&[("x", &"y".repeat(HEAD))]), Some(431));
    }
}
