//! Plain HTTP beside HTTPS: every request is redirected, but for those of authorities that look whether a name leads
//! here before they sign for it. Knows nothing of what else is asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use edge::acme::Answers;

/// Sends everything to HTTPS at this port; answers authorities (RFC 8555, section 8.3).
pub fn router(port: u16, answers: Option<Arc<Answers>>) -> Router {
    let mut router = Router::new();
    if let Some(answers) = answers {
        let answer = async move |Path(token): Path<String>| {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            answers.get(&token).map(|answer| (kind, answer)).ok_or(StatusCode::NOT_FOUND)
        };
        router = router.route("/.well-known/acme-challenge/{token}", get(answer));
    }
    router.fallback(move |request: Request<axum::body::Body>| async move { elsewhere(&request, port) })
}

fn elsewhere<B>(request: &Request<B>, port: u16) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let is_host = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    match HeaderValue::from_str(&format!("https://{name}{port}{path}")) {
        // 308: what was posted is posted again.
        Ok(to) if is_host => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response(),
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_goes_to_the_same_place_by_https() {
        let to = |host: &str, path: &str, port| {
            let request = Request::get(path).header(header::HOST, host).body(()).unwrap();
            let response = elsewhere(&request, port);
            response.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned())
        };
        assert_eq!(to("a.example:80", "/x?y=1", 443).as_deref(), Some("https://a.example/x?y=1"));
        assert_eq!(to("[::1]", "/", 8443).as_deref(), Some("https://[::1]:8443/"));
        assert_eq!(to("a/b", "/", 443), None);
        assert_eq!(to("", "/", 443), None);
    }
}
