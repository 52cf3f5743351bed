//! The loop that owns the HTTP socket: accepts, bounds, times out, and ends when told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::impatient::Impatient;
use super::{Settings, call, health, router};
use crate::app::App;
use crate::metrics::Metrics;

/// How long running answers may take after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, doors: Doors, stop: CancellationToken) {
    let settings: &Settings = &doors.app.settings.http;
    let places = Arc::new(Semaphore::new(settings.max_connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(settings.read_timeout))
        .max_buf_size(64 * 1024);
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
                let (http, doors, stop) = (http.clone(), doors.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(&http, socket, peer, doors, stop).await;
                    drop(place);
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

/// Where requests go.
#[derive(Clone)]
pub struct Doors {
    app: Arc<App>,
    router: Router,
    calls: bool,
}

impl Doors {
    /// To everything.
    #[must_use]
    pub fn all(app: &Arc<App>) -> Self {
        Self { router: router(app.clone()), app: app.clone(), calls: true }
    }

    /// To what those who watch over the server ask, and nothing else.
    #[must_use]
    pub fn watch(app: &Arc<App>) -> Self {
        Self { router: health::router(app.clone()), app: app.clone(), calls: false }
    }

    async fn answer(self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        let (app, route) = (self.app.clone(), Metrics::route(request.uri().path()));
        let response = self.hand_on(peer, request).await;
        app.metrics.answer(route, response.status().as_u16());
        response
    }

    async fn hand_on(self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        // What is asked most goes the shortest way; boxed, because its future would else be a part of each connection.
        if self.calls
            && let Some(found) = call::find(request.uri().path())
        {
            return Box::pin(super::answer(&self.app, Some(peer.ip()), Some(found), request)).await;
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        self.router.oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

async fn connection(http: &http1::Builder, socket: TcpStream, peer: SocketAddr, doors: Doors, stop: CancellationToken) {
    let _open = doors.app.metrics.connections.enter();
    let _ = socket.set_nodelay(true);
    let socket = Impatient::new(socket, Duration::from_secs(doors.app.settings.http.write_timeout));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let doors = doors.clone();
        async move { Ok::<_, Infallible>(doors.answer(peer, request).await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service).with_upgrades());
    // What goes wrong on one connection is that client's affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(GRACE, connection).await;
}
