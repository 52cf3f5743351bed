//! The operator API through the whole router: every route is described and guarded, lists have pages, what comes again is
//! done once, and who is put out stays out, on every node.

use std::collections::BTreeSet;

use super::*;
use crate::config::Settings;
use access::operator::Operators;
use store::Place;

const KEY: &str = "a key that may do everything";
const READ: &str = "a key that may look only";

fn keys(settings: &mut Settings) {
    settings.operator.keys = vec![Secret::new(KEY)];
    settings.operator.read_keys = vec![Secret::new(READ)];
}

/// A server whose operators need keys, as in production.
async fn closed() -> Kit {
    Kit::with(keys, |app| {
        app.operators = Operators::new(&app.settings.operator, false).into();
    })
    .await
}

impl Kit {
    async fn api(&self, key: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.api_named(key, method, path, body, None).await
    }

    async fn api_named(&self, key: &str, method: &str, path: &str, body: &Value, name: Option<&str>) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(format!("/api/v1{path}"));
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(name) = name {
            request = request.header("idempotency-key", name);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

/// Every call of the document: method, path and whether it needs a body.
async fn calls(kit: &Kit) -> Vec<(String, String)> {
    let document = kit.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let item = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|m| (m.to_uppercase(), path.clone())).collect();
        methods
    };
    document["paths"].as_object().unwrap().iter().flat_map(item).collect()
}

fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_is_in_the_document_and_needs_a_key() {
    let kit = closed().await;
    let calls = calls(&kit).await;
    // The routes as the source has them: each name within routes!(…) is a call.
    let source = include_str!("../api.rs");
    let routed: usize =
        source.split("routes!(").skip(1).map(|rest| rest.split(')').next().unwrap().split(',').count()).sum();
    assert_eq!(calls.len(), routed, "a route is missing in the document");
    assert!(!source.contains(".route("), "a route beside the document");
    for (method, path) in &calls {
        let path = filled(path);
        for nobody in ["", "wrong", "a.b.c"] {
            let answer = kit.api(nobody, method, &path, &Value::Null).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} with {nobody:?}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        let reading = kit.api(READ, method, &path, &Value::Null).await;
        match method.as_str() {
            "GET" => assert_ne!(reading.status, StatusCode::FORBIDDEN, "GET {path}"),
            // What is wrong with the request may be said first; done it is not.
            _ => assert!(
                [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&reading.status),
                "{method} {path}: {}",
                reading.text()
            ),
        }
        let acting = kit.api(KEY, method, &path, &Value::Null).await.status;
        assert!(
            acting != StatusCode::FORBIDDEN && acting != StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}: {acting}"
        );
        assert!(!acting.is_server_error(), "{method} {path}: {acting}");
    }
    let unknown = kit.api(KEY, "GET", "/nothing", &Value::Null).await;
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (StatusCode::NOT_FOUND, Some("no_such_path")));
    let wrong = kit.api(KEY, "PUT", "/rooms", &Value::Null).await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD,POST"));
}

#[tokio::test]
async fn another_sites_page_may_not_speak_for_an_operator() {
    let kit = Kit::new().await;
    let ask = |host: &'static str, site: &'static str| {
        let request = axum::http::Request::get("/api/v1/rooms").header("host", host).header("sec-fetch-site", site);
        kit.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("localhost:5757", "same-origin").await.status, StatusCode::OK);
    assert_eq!(ask("localhost:5757", "cross-site").await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask("evil.example", "same-origin").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_does_what_it_grants() {
    let kit = closed().await;
    let alice = kit.login_signed("live_room", "alice").await;
    for room in ["hall", "other"] {
        assert_eq!(alice.enter(room).await["code"], 0);
    }
    let ask = json!({ "seconds": 600, "grants": { "roomAdmin": true, "room": "hall" } });
    let made = kit.api(KEY, "POST", "/tokens/operator", &ask).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let change = json!({ "info": "changed", "custom": { "likes": 3, "title": "hello" } });
    let changed = kit.api(&token, "PATCH", "/rooms/hall", &change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    let room = changed.json();
    assert_eq!((&room["info"], &room["custom"]["likes"]), (&json!("changed"), &json!(3)));
    for (method, path) in
        [("PATCH", "/rooms/other"), ("GET", "/rooms"), ("PUT", "/bans/bob"), ("DELETE", "/rooms/other")]
    {
        let refused = kit.api(&token, method, path, &json!({})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(kit.api(READ, "POST", "/tokens/operator", &ask).await.status, StatusCode::FORBIDDEN);
    kit.clock.pass(600_000);
    assert_eq!(kit.api(&token, "GET", "/rooms/hall", &Value::Null).await.status, StatusCode::UNAUTHORIZED);
    // All of a change, or nothing.
    let half = json!({ "info": "again", "custom": { "": 1 } });
    assert_eq!(kit.api(KEY, "PATCH", "/rooms/hall", &half).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(kit.api(KEY, "GET", "/rooms/hall", &Value::Null).await.json()["info"], "changed");
}

impl Kit {
    /// Logs a user in where get_login_info is closed.
    async fn login_signed(&self, kind: &str, user: &str) -> Client<'_> {
        let made = self.api(KEY, "POST", "/tokens/session", &json!({ "userID": user })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        let token = made.json()["token"].as_str().unwrap().to_owned();
        Client { kit: self, kind: kind.into(), user: user.into(), token }
    }
}

#[tokio::test]
async fn pages_show_each_room_once_though_some_close_in_between() {
    let kit = closed().await;
    let alice = kit.login_signed("live_room", "alice").await;
    for n in 0..12 {
        kit.clock.pass(1);
        assert_eq!(alice.enter(&format!("room{n:02}")).await["code"], 0);
    }
    let calls = kit.login_signed("multi_room", "alice").await;
    assert_eq!(calls.enter("multi").await["code"], 0);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for page in 0..10 {
        let answer = kit.api(READ, "GET", &format!("/rooms?limit=3{cursor}"), &Value::Null).await.json();
        for room in answer["rooms"].as_array().unwrap() {
            seen.push(room["roomID"].as_str().unwrap().to_owned());
        }
        if page == 1 {
            // What was seen closes, the last one of it too, and one that was not.
            for gone in ["room00", "room01", "room04", "room08"] {
                assert_eq!(kit.api(KEY, "DELETE", &format!("/rooms/{gone}"), &Value::Null).await.status, 204);
            }
        }
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "twice: {seen:?}");
    let expected: Vec<String> =
        (0..12).filter(|n| *n != 8).map(|n| format!("room{n:02}")).chain(["multi".to_owned()]).collect();
    let mut sorted: Vec<String> = seen;
    sorted.sort_by_key(|id| (id == "multi", id.clone()));
    assert_eq!(sorted, expected);
    let bad = kit.api(READ, "GET", "/rooms?cursor=nonsense", &Value::Null).await;
    assert_eq!((bad.status, bad.json()["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_request")));
}

#[tokio::test]
async fn what_comes_again_is_done_once() {
    let kit = closed().await;
    let alice = kit.login_signed("live_room", "alice").await;
    assert_eq!(alice.enter("hall").await["code"], 0);
    let say = |text: &str| json!({ "userID": "alice", "text": text });
    let first = kit.api_named(KEY, "POST", "/rooms/hall/messages", &say("hello"), Some("one")).await;
    assert_eq!((first.status, first.json()["seq"].as_u64()), (StatusCode::CREATED, Some(1)));
    let again = kit.api_named(KEY, "POST", "/rooms/hall/messages", &say("hello"), Some("one")).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = kit.api_named(KEY, "POST", "/rooms/hall/messages", &say("bye"), Some("one")).await;
    assert_eq!((other.status, other.json()["code"].as_str()), (StatusCode::CONFLICT, Some("key_reused")));
    // Nobody else hears what was answered, whose key is the same and may do less.
    let who = json!({ "userID": "bob" });
    let first = kit.api_named(KEY, "POST", "/tokens/session", &who, Some("login")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let grants = json!({ "seconds": 60, "grants": { "roomAdmin": true, "room": "hall" } });
    let token = kit.api(KEY, "POST", "/tokens/operator", &grants).await.json()["token"].as_str().unwrap().to_owned();
    let other = kit.api_named(&token, "POST", "/tokens/session", &who, Some("login")).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN, "{}", other.text());
    let heard = kit.api(READ, "GET", "/rooms/hall/messages", &Value::Null).await.json();
    assert_eq!(heard["messages"].as_array().unwrap().len(), 1, "{heard}");
    let bad = kit.api_named(KEY, "POST", "/rooms/hall/messages", &say("x"), Some("no spaces")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_is_kept_out_is_told_so_and_comes_back_in_time() {
    let kit = closed().await;
    let alice = kit.login_signed("live_room", "alice").await;
    let bob = kit.login_signed("live_room", "bob").await;
    assert_eq!(alice.enter("hall").await["code"], 0);
    let url = bob.push_url().await;
    let enter = json!({ "roomID": "hall", "userName": "", "userAvatar": "", "pushURL": url });
    assert_eq!(bob.own("add_pusher", enter.clone()).await["code"], 0);
    let stream = url.split("/live/").nth(1).unwrap();
    let (name, query) = stream.split_once('?').unwrap();
    assert!(kit.app.gate.may_push(name, query).is_ok());
    let absent = kit.api(KEY, "DELETE", "/rooms/hall/members/bobby", &Value::Null).await;
    assert_eq!((absent.status.as_u16(), &absent.json()["code"]), (404, &json!("not_member")));
    assert!(kit.api(READ, "GET", "/bans", &Value::Null).await.json()["bans"].as_array().unwrap().is_empty());
    assert_eq!(kit.api(KEY, "DELETE", "/rooms/hall/members/bob?seconds=20", &Value::Null).await.status, 204);
    kit.clock.pass(1);
    assert_eq!(kit.api(KEY, "DELETE", "/rooms/hall/members/bob?seconds=30", &Value::Null).await.status, 204, "longer");
    assert_eq!(
        kit.api(KEY, "DELETE", "/rooms/hall/members/bob?seconds=10", &Value::Null).await.status,
        204,
        "not shorter"
    );
    let members = kit.api(READ, "GET", "/rooms/hall/members", &Value::Null).await.json();
    assert_eq!(members.as_array().unwrap().len(), 1);
    // Of a name that tells no room, the stream itself is refused.
    assert!(kit.app.gate.may_push(name, query).is_err());
    let refused = bob.own("add_pusher", enter.clone()).await;
    assert_eq!(refused["code"], 12);
    assert!(refused["message"].as_str().unwrap().contains("30"), "{refused}");
    assert_eq!(bob.call("get_room_list", json!({ "cnt": 1, "index": 0 })).await["code"], 0, "of this room only");
    let bans = kit.api(READ, "GET", "/bans", &Value::Null).await.json();
    assert_eq!((&bans["bans"][0]["roomID"], &bans["bans"][0]["reason"]), (&json!("hall"), &json!("kicked")));
    kit.clock.pass(30_000);
    assert_eq!(bob.own("add_pusher", enter).await["code"], 0);

    let ban = json!({ "reason": "spam" });
    assert_eq!(kit.api(KEY, "PUT", "/bans/bob", &ban).await.status, StatusCode::OK);
    assert_eq!(bob.call("get_room_list", json!({ "cnt": 1, "index": 0 })).await["code"], 12);
    let none = kit.api(KEY, "POST", "/tokens/session", &json!({ "userID": "bob" })).await;
    assert_eq!(none.json()["code"], "banned");
    let members = kit.api(READ, "GET", "/rooms/hall/members", &Value::Null).await.json();
    assert_eq!(members.as_array().unwrap().len(), 1, "out of every room");
    assert_eq!(kit.api(KEY, "DELETE", "/bans/bob", &Value::Null).await.status, 204);
    assert_eq!(bob.call("get_room_list", json!({ "cnt": 1, "index": 0 })).await["code"], 0);
}

#[tokio::test]
async fn bans_hold_on_every_node() {
    let redis = testkit::RedisServer::start(&[]);
    let at = format!("redis://127.0.0.1:{}/0", redis.port);
    let node = || {
        let at = at.clone();
        Kit::with(
            move |settings| {
                keys(settings);
                settings.store.kind = Place::Redis;
                settings.store.redis = Secret::new(at);
            },
            |app| {
                app.operators = Operators::new(&app.settings.operator, false).into();
            },
        )
    };
    let here = node().await;
    let there = node().await;
    let bob = there.login_signed("live_room", "bob").await;
    let list = || bob.call("get_room_list", json!({ "cnt": 1, "index": 0 }));
    assert_eq!(list().await["code"], 0);
    assert_eq!(here.api(KEY, "PUT", "/bans/bob", &json!({})).await.status, StatusCode::OK);
    until(async || list().await["code"] == 12).await;
    let young = node().await;
    let known = young.api(READ, "GET", "/bans", &Value::Null).await.json();
    assert_eq!(known["bans"][0]["userID"], "bob", "a node that starts later knows it");
    assert_eq!(there.api(KEY, "DELETE", "/bans/bob", &Value::Null).await.status, 204);
    assert_eq!(list().await["code"], 0);
    until(async || here.api(READ, "GET", "/bans", &Value::Null).await.json()["bans"].as_array().unwrap().is_empty())
        .await;
}

/// Waits for what another node does by itself.
async fn until(so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !so().await {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it never was so");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A backend that takes what it is told, and the bodies of it.
async fn backend() -> (String, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = socket.read(&mut buffer).await {
                    all.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&all).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.to_lowercase().split("content-length: ").nth(1).map(|rest| rest.to_owned());
                    let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok()).unwrap();
                    if body.len() >= length {
                        let _ = told.send(serde_json::from_str(body).unwrap());
                        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                        all.clear();
                    }
                }
            });
        }
    });
    (url, heard)
}

#[tokio::test]
async fn webhooks_are_told_again_on_demand() {
    let (url, mut heard) = backend().await;
    let kit = Kit::with(
        |settings| {
            keys(settings);
            settings.store.kind = Place::Journal;
            settings.webhooks.urls = vec![url];
            settings.webhooks.secret = Secret::new("a secret of the tests");
        },
        |app| {
            app.operators = Operators::new(&app.settings.operator, false).into();
        },
    )
    .await;
    let new = json!({ "kind": "live", "roomID": "hall" });
    assert_eq!(kit.api(KEY, "POST", "/rooms", &new).await.status, StatusCode::CREATED);
    let patience = std::time::Duration::from_secs(20);
    let first = tokio::time::timeout(patience, heard.recv()).await.unwrap().unwrap();
    assert_eq!(first["event"], "room_created", "{first}");
    let ask = json!({ "from": { "seq": 1 }, "roomID": "hall" });
    let told = kit.api(KEY, "POST", "/webhooks/replay", &ask).await;
    assert_eq!((told.status, told.json()), (StatusCode::ACCEPTED, json!({ "events": 1, "leftOut": 0 })));
    let again = tokio::time::timeout(patience, heard.recv()).await.unwrap().unwrap();
    assert_eq!(again["id"], first["id"]);
    for bad in [json!({ "from": {} }), json!({ "from": { "seq": 1 } }), json!({ "from": { "id": "a", "time": 1 } })] {
        assert_eq!(kit.api(KEY, "POST", "/webhooks/replay", &bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let closed = closed().await;
    let none = closed.api(KEY, "POST", "/webhooks/replay", &ask).await;
    assert_eq!((none.status, none.json()["code"].as_str()), (StatusCode::CONFLICT, Some("no_webhooks")));
}

/// What generators of clients need: names of their own, words for all answers, and examples.
#[tokio::test]
async fn every_call_of_the_document_is_named_described_and_has_examples() {
    let kit = closed().await;
    let document = kit.get("/api/v1/openapi.json").await.json();
    let at = |value: &Value| match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    };
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let mut lacks = |what: String| wrong.push(format!("{method} {path}: {what}"));
            let name = call["operationId"].as_str().unwrap_or_default();
            if name.is_empty() || !names.insert(name.to_owned()) {
                lacks(format!("operationId {name:?} is missing or another's"));
            }
            if call["summary"].as_str().is_none_or(str::is_empty) {
                lacks("no summary".into());
            }
            for parameter in call["parameters"].as_array().unwrap() {
                let optional = parameter["in"] == "query";
                if parameter["example"].is_null() && !optional {
                    lacks(format!("no example of {}", parameter["name"]));
                }
            }
            let responses = call["responses"].as_object().unwrap();
            for (status, response) in responses.iter().map(|(status, response)| (status, at(response))) {
                if response["description"].as_str().is_none_or(str::is_empty) {
                    lacks(format!("{status} without description"));
                }
                for (kind, media) in response["content"].as_object().into_iter().flatten() {
                    if kind.ends_with("json") && media["example"].is_null() {
                        lacks(format!("{status} without example"));
                    }
                }
            }
            let body = &call["requestBody"];
            if body.is_object() && body["content"]["application/json"]["example"].is_null() {
                lacks("a body without example".into());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Who reads the document sees what comes with each status, and after how long to come back.
#[tokio::test]
async fn every_problem_of_the_document_has_an_example_of_its_own() {
    let kit = closed().await;
    let document = kit.get("/api/v1/openapi.json").await.json();
    let responses = document["components"]["responses"].as_object().unwrap();
    let mut codes = BTreeSet::new();
    for (name, response) in responses {
        let example = &response["content"]["application/problem+json"]["example"];
        assert_eq!(name, &format!("Problem{}", example["status"]), "{example}");
        let code = example["code"].as_str().unwrap();
        assert_eq!(example["type"], format!("urn:roomservice:{code}"));
        assert!(codes.insert(code.to_owned()), "{code} is the example of two");
        let waits = ["Problem429", "Problem503", "Problem504"].contains(&name.as_str());
        assert_eq!(response["headers"]["Retry-After"].is_object(), waits, "{name}");
    }
    assert_eq!(codes.len(), 11);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            assert!(call["responses"]["429"].is_object(), "{method} {path} does not say 429");
        }
    }
}

/// Examples are what the calls take: nothing of them is malformed.
#[tokio::test]
async fn examples_of_the_document_are_understood() {
    let kit = closed().await;
    let document = kit.get("/api/v1/openapi.json").await.json();
    let mut done = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let mut to = path.clone();
            let mut query = Vec::new();
            for parameter in call["parameters"].as_array().unwrap() {
                let name = parameter["name"].as_str().unwrap();
                let example = &parameter["example"];
                let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                match parameter["in"].as_str().unwrap() {
                    "path" => to = to.replace(&format!("{{{name}}}"), &text),
                    "query" if !example.is_null() => query.push(format!("{name}={text}")),
                    _ => {}
                }
            }
            let to = format!("{to}?{}", query.join("&"));
            let body = &call["requestBody"]["content"]["application/json"]["example"];
            let answer = kit.api(KEY, &method.to_uppercase(), &to, body).await;
            assert!(
                ![400, 405, 413, 415, 500].contains(&answer.status.as_u16()),
                "{method} {to} {body}: {}",
                answer.text()
            );
            done += usize::from(answer.status.is_success());
        }
    }
    assert!(done > 10, "only {done} calls went well");
}

#[tokio::test]
async fn an_open_console_ends_with_the_token_that_opened_it() {
    use http_body_util::BodyExt;
    let kit = closed().await;
    let ask = json!({ "seconds": 60, "grants": { "roomRecord": true } });
    let token = kit.api(KEY, "POST", "/tokens/operator", &ask).await.json()["token"].as_str().unwrap().to_owned();
    let request = axum::http::Request::get("/console/events")
        .header(header::HOST, "127.0.0.1:5757")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000))))
        .body(Body::empty())
        .unwrap();
    let response = kit.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    for _ in 0..2 {
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    }
    kit.clock.pass(120_000);
    let rest = async { while body.frame().await.is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), rest).await.expect("it ends");
}

/// Each call's future is made, moved to the heap and freed: of a size that all calls share, that of the largest.
#[tokio::test]
async fn the_future_of_a_call_is_small() {
    let kit = Kit::new().await;
    let request = axum::http::Request::new(http_body_util::Full::<axum::body::Bytes>::default());
    let doors = doors_of(&kit.app);
    let size = size_of_val(&crate::http::weapp::answer(&doors.weapp, None, None, request));
    assert!(
        size <= 4096,
        "{size} bytes: what is large and seldom asked is boxed (crates/server/src/http/weapp/run.rs)"
    );
}
