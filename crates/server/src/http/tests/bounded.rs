//! A body that never ends costs its sender the request, whatever it was for.

use std::convert::Infallible;

use futures_util::{StreamExt, stream};

use axum::body::Bytes;

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
        ("POST", "/webrtc/v1/pullstream"),
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
        assert_eq!(answer.text().contains("\"code\":\"too_slow\""), path.starts_with("/api/"), "{}", answer.text());
    }
}

/// A body of blocks, and how many of its bytes were taken.
fn counted(bytes: usize) -> (Body, Arc<AtomicU32>) {
    let taken = Arc::new(AtomicU32::new(0));
    let count = taken.clone();
    let blocks = stream::iter((0..bytes / 1000).map(move |_| {
        count.fetch_add(1000, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000]))
    }));
    (Body::from_stream(blocks), taken)
}

#[tokio::test]
async fn too_much_is_read_to_its_end_up_to_a_bound_before_it_is_refused() {
    let kit = Kit::new().await;
    let bound = u32::try_from(crate::http::bounded::DROPPED).unwrap();
    for path in ["/weapp/live_room/login", "/v4/openim/login", "/api/v1/tokens/user"] {
        for (size, declared, asks, least, most) in [
            (1_000_000, false, false, 1_000_000, 1_000_000),
            (1_000_000, true, false, 1_000_000, 1_000_000),
            (1_000_000, true, true, 0, 0),
            (20_000_000, true, false, 0, 0),
            (20_000_000, false, false, bound, bound + 100_000),
        ] {
            let mut request = axum::http::Request::post(path).header(header::HOST, "localhost");
            if declared {
                request = request.header(header::CONTENT_LENGTH, size);
            }
            if asks {
                request = request.header(header::EXPECT, "100-continue");
            }
            let (body, taken) = counted(size);
            let answer = kit.send(request.body(body).unwrap()).await;
            let taken = taken.load(Ordering::Relaxed);
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path} {size}");
            assert_eq!(
                answer.text().contains("\"code\":\"too_large\""),
                path.starts_with("/api/"),
                "{}",
                answer.text()
            );
            assert!((least..=most).contains(&taken), "{path} {size} {declared} {asks}: {taken}");
        }
    }
}

fn from_elsewhere(request: axum::http::request::Builder, body: String) -> axum::http::Request<Body> {
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    request.extension(ConnectInfo(peer)).body(body.into()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_users_logins_and_an_addresss_reports_are_limited() {
    let kit = Kit::new().await;
    let info = kit.get("/weapp/utils/get_login_info?userID=alice").await.json();
    let sig = info["userSig"].as_str().unwrap().to_owned();
    let login = async |user: &str, sig: &str| {
        let query = format!("sdkAppID={}&platform=web&userID={user}&userSig={sig}", info["sdkAppID"]);
        let path = format!("/weapp/live_room/login?{query}");
        kit.send(from_elsewhere(axum::http::Request::post(path), String::new())).await
    };
    for _ in 0..70 {
        assert_eq!(login("alice", "forged").await.json()["code"], 7, "others cannot use up her logins");
    }
    for _ in 0..60 {
        assert_eq!(login("alice", &sig).await.json()["code"], 0);
    }
    assert_eq!(login("alice", &sig).await.status, StatusCode::TOO_MANY_REQUESTS);

    let report = async |id: &str| {
        let request = axum::http::Request::post("/weapp/utils/report").header(header::CONTENT_TYPE, "application/json");
        let body = json!({ "reportID": id, "data": "x" }).to_string();
        kit.send(from_elsewhere(request, body)).await.status
    };
    let long = "é".repeat(1000);
    for _ in 0..60 {
        assert_eq!(report(&long).await, StatusCode::OK);
    }
    assert_eq!(report("1").await, StatusCode::TOO_MANY_REQUESTS);
}
