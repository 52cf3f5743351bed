//! Development mode asks for no key: what it answers, it answers to this machine's own names and to no other site's page.

use super::*;

/// Calls that an operator makes, and what they say where they are made by right.
const CALLS: [&str; 7] = [
    "/weapp/utils/get_login_info?userID=alice",
    "/weapp/utils/get_test_pushurl",
    "/weapp/utils/check_config",
    "/weapp/utils/logfilelist",
    "/weapp/webrtc_room/get_login_info",
    "/weapp/webrtc_room/create_room",
    "/api/v1/rooms",
];

async fn refused(kit: &Kit, path: &str, headers: &[(&str, &str)]) -> bool {
    let post = path.contains("webrtc_room");
    let request = if post { axum::http::Request::post(path) } else { axum::http::Request::get(path) };
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = if post { json!({ "userID": "alice", "roomInfo": "call" }).to_string() } else { String::new() };
    let answer = kit.send(request.body(body.into()).unwrap()).await;
    let text = answer.text();
    text.contains("in development mode") || text.contains("only pages of this server")
}

#[tokio::test]
async fn other_sites_and_other_names_are_refused() {
    let kit = Kit::new().await;
    for path in CALLS {
        for headers in [
            &[("host", "evil.example:5757")][..],
            &[("host", "localhost:5757"), ("origin", "https://evil.example")],
            &[("host", "localhost:5757"), ("origin", "null")],
            &[("host", "127.0.0.1:5757"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(refused(&kit, path, headers).await, "{path} {headers:?}");
        }
        for headers in [
            &[("host", "localhost:5757")][..],
            &[("host", "192.168.1.7:5757")],
            &[("host", "localhost:5757"), ("origin", "http://localhost:5757"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(!refused(&kit, path, headers).await, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn clients_calls_are_answered_to_every_name_and_site() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let request = axum::http::Request::post(alice.path("get_push_url"))
        .header(header::HOST, "rooms.example.com")
        .header(header::ORIGIN, "https://app.example.com")
        .header("sec-fetch-site", "cross-site");
    let body = json!({ "userID": "alice" }).to_string();
    assert_eq!(kit.send(request.body(body.into()).unwrap()).await.json()["code"], 0);
}
