//! Who is let in to the operator API, and what is done with a request that comes again.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::{self, Body};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::door::Api;
use super::problem::Problem;
use super::repeat::{self, Given, Seen};
use super::request::read;
use crate::http::operators;

/// Lets an operator in, and sees to requests that come again.
pub async fn enter(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let operator = match operators::admit(&api.operators, api.web.clock.now(), peer, request.headers()) {
        Ok(operator) => operator,
        Err(refused) => return Problem::new(refused.status, refused.code, refused.message).into_response(),
    };
    let mark = operator.mark();
    request.extensions_mut().insert(operator);
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    if changes {
        tracing::info!(?peer, method = %request.method(), path = request.uri().path(), "an operator acts");
    }
    let name = request.headers().get(repeat::HEADER).filter(|_| changes).cloned();
    let mut response = match name {
        None => next.run(request).await,
        Some(name) => match name.to_str() {
            Ok(name) if repeat::is_name(name) => once(&api, &mark, name, request, next).await,
            _ => Problem::malformed("Idempotency-Key: 1 to 255 letters, digits, '-' and '_'").into_response(),
        },
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Does a request that has a name, unless it was done.
async fn once(api: &Api, mark: &str, name: &str, request: Request, next: Next) -> Response {
    let (parts, content) = request.into_parts();
    let content = match read(&api.web.bounds, content).await {
        Ok(content) => content,
        Err(problem) => return problem.into_response(),
    };
    let asked = digest::digest(&digest::SHA256, &content).as_ref().try_into().unwrap_or([0; 32]);
    // A name is its operator's and its call's: no operator gets an answer to another who may do something else.
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let name = format!("{name} {} {path} {mark}", parts.method);
    let seen = match api.repeats.begin(&name, asked, api.web.clock.now()).await {
        Ok(seen) => seen,
        Err(error) => return Problem::from(error).into_response(),
    };
    match seen {
        Seen::New => {}
        Seen::Running => {
            let detail = "the first request of this Idempotency-Key is still being done";
            return Problem::new(StatusCode::CONFLICT, "running", detail).into_response();
        }
        Seen::Other => {
            let detail = "this Idempotency-Key was given to another request";
            return Problem::new(StatusCode::CONFLICT, "key_reused", detail).into_response();
        }
        Seen::Done(Given { status, headers, body }) => {
            let mut response = (status, body).into_response();
            *response.headers_mut() = headers;
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            return response;
        }
    }
    let limit = api.web.bounds.body_limit();
    let repeats = api.repeats.clone();
    let mark = repeat::mark(&[name.as_bytes(), &asked]);
    // What has begun is brought to its end, also when the client goes away: it will ask what came of it.
    let work = tokio::spawn(async move {
        let request = Request::from_parts(parts, Body::from(content));
        let response = ::rooms::once::named(mark, next.run(request)).await;
        let (parts, content) = response.into_parts();
        let kept = body::to_bytes(content, limit.max(1 << 20)).await.unwrap_or_default();
        let given = Given { status: parts.status, headers: parts.headers.clone(), body: kept.clone() };
        repeats.end(&name, Some(given).filter(|given| !given.status.is_server_error())).await;
        Response::from_parts(parts, Body::from(kept))
    });
    work.await.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a defect of ours; the log says more")
            .into_response()
    })
}
