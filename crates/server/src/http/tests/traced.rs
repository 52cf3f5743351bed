//! Calls that are traced, from the header to the collector.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_call_goes_into_its_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let kit = Kit::with(|settings| settings.traces.endpoint = endpoint, |_| {}).await;
    let request = axum::http::Request::get("/weapp/utils/get_login_info?userID=alice")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(kit.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    let told = told(&collector).await;
    let span = &spans(&told)[0];
    assert_eq!((&span["name"], &span["parentSpanId"]), (&json!("get_login_info"), &json!(PARENT)));
    assert_eq!(span["traceId"], TRACE);
    assert!(!told.contains("alice"), "{told}");
}

/// What is posted to this collector next; it is answered.
async fn told(collector: &TcpListener) -> String {
    let (mut socket, _) = collector.accept().await.unwrap();
    let mut told = Vec::new();
    while !told.ends_with(b"]}]}") {
        assert!(socket.read_buf(&mut told).await.unwrap() > 0, "{}", String::from_utf8_lossy(&told));
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    socket.write_all(answer).await.unwrap();
    String::from_utf8(told).unwrap()
}

fn spans(told: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_trace_shows_what_a_call_waits_for_and_what_it_sets_off() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let hook = format!("http://{}/hook", backend.local_addr().unwrap());
    let set = |settings: &mut crate::config::Settings| {
        settings.traces.endpoint = endpoint;
        settings.traces.one_of = u32::MAX;
        settings.store.kind = store::Place::Journal;
        settings.webhooks.urls = vec![hook];
        settings.webhooks.secret = Secret::new("a secret of the tests");
        settings.webhooks.events = vec!["room_created".into()];
    };
    let kit = Kit::with(set, |_| {}).await;
    // The first of very many calls is traced by itself; it is not what this looks at.
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    let create = async |n: u32| {
        let path = format!("/weapp/live_room/create_room?userID=alice&token={}", alice.token);
        let request = axum::http::Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        let body = json!({ "userID": "alice", "roomID": format!("traced-{n}"), "roomInfo": "x" }).to_string();
        assert_eq!(kit.send(request.body(Body::from(body)).unwrap()).await.status, StatusCode::OK);
    };
    // A URL that is new is told what happens from when it was seen, which is soon.
    let creating = async {
        for n in 0u32.. {
            create(n).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };

    let hooked = async {
        let (mut socket, _) = backend.accept().await.unwrap();
        let mut posted = Vec::new();
        while !posted.ends_with(b"}") {
            assert!(socket.read_buf(&mut posted).await.unwrap() > 0);
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        (String::from_utf8(posted).unwrap(), socket)
    };
    let gathered = async {
        let mut all: Vec<Value> = Vec::new();
        while !all.iter().any(|span| span["name"] == "webhook") {
            all.extend(spans(&told(&collector).await).into_iter().filter(|span| span["traceId"] == TRACE));
        }
        all
    };
    let ((posted, _socket), all) = tokio::select! {
        both = async { tokio::join!(hooked, gathered) } => both,
        () = creating => unreachable!("it creates for ever"),
    };
    let named = |name: &str, is: &dyn Fn(&Value) -> bool| {
        let found = all.iter().find(|span| span["name"] == name && is(span));
        found.unwrap_or_else(|| panic!("{name}: {all:?}"))
    };
    let webhook = named("webhook", &|_| true);
    assert_eq!(webhook["status"]["code"], 0, "204 is a yes");
    // The commit is what both were set off by.
    let commit = named("store.commit", &|span| span["spanId"] == webhook["parentSpanId"]);
    named("chat.notify", &|span| span["parentSpanId"] == commit["spanId"]);
    let call = named("create_room", &|span| span["spanId"] == commit["parentSpanId"]);
    assert_eq!(call["parentSpanId"], PARENT);
    let header = format!("traceparent: 00-{TRACE}-{}-01\r\n", webhook["spanId"].as_str().unwrap());
    assert!(posted.contains(&header), "{posted}");
}
