//! A body that never ends costs its sender the request, whatever it was for.

use std::convert::Infallible;

use futures_util::{StreamExt, stream};

use super::*;

/// The first bytes of a body, and then nothing.
fn endless() -> Body {
    let begun = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"v=0\r\n"))]);
    Body::from_stream(begun.chain(stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn no_body_is_waited_for_without_end() {
    let kit = Kit::new().await;
    for (method, path) in [
        ("POST", "/whip/s?txSecret=x"),
        ("POST", "/whep/s"),
        ("PATCH", "/rtc/session/0123456789abcdef0123456789abcdef"),
        ("DELETE", "/rtc/session/0123456789abcdef0123456789abcdef"),
        ("POST", "/rtc/v1/play/"),
        ("POST", "/rtc/v1/publish/"),
        ("POST", "/console/act"),
        ("POST", "/v4/openim/login"),
        ("POST", "/weapp/callback/live"),
        ("POST", "/weapp/live_room/login"),
        ("POST", "/api/v1/tokens/user"),
    ] {
        let request = axum::http::Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let begun = tokio::time::Instant::now();
        let answer = kit.send(request.body(endless()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{method} {path}: {}", answer.text());
        assert_eq!(begun.elapsed().as_secs(), kit.app.settings.http.read_timeout, "{method} {path}");
    }
}
