//! Random bodies and queries at every call: an answer of the protocol, always, and never a defect.

use proptest::prelude::{Just, Strategy, TestCaseError, any as prop_any, prop, prop_assert, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::*;

const FIELDS: [&str; 22] = [
    "userID",
    "roomID",
    "roomInfo",
    "roomName",
    "userName",
    "userAvatar",
    "pushURL",
    "cnt",
    "index",
    "roomStatusCode",
    "userInfo",
    "fieldName",
    "operation",
    "value",
    "mergeParams",
    "sdkAppID",
    "accountType",
    "platform",
    "userSig",
    "reportID",
    "data",
    "__proto__",
];

fn path() -> impl Strategy<Value = String> {
    let (rooms, others) = weapp::paths();
    let room = prop::sample::select(rooms);
    let other = prop::sample::select(others);
    let wild =
        "/weapp/[a-z_]{0,6}/?[a-z_%2fe.]{0,8}".prop_filter("not a URL", |path| path.parse::<axum::http::Uri>().is_ok());
    prop_oneof![20 => room, 6 => other, 1 => wild]
}

/// Values that are often right, so that calls get somewhere; and any others.
fn value(push_url: String) -> impl Strategy<Value = Value> {
    let likely = prop::sample::select(vec![
        json!("alice"),
        json!("bob"),
        json!("r"),
        json!("room 1"),
        json!("set"),
        json!("inc"),
        json!("dec"),
        json!("{\"interface\":{\"para\":{\"input_stream_list\":[1,2]}}}"),
        json!(push_url),
        json!(0),
        json!(1),
        json!("20"),
    ]);
    let leaf = prop_oneof![
        4 => likely,
        1 => Just(Value::Null),
        1 => prop_any::<bool>().prop_map(Value::from),
        1 => prop_any::<i64>().prop_map(Value::from),
        1 => prop_any::<f64>().prop_map(Value::from),
        2 => "\\PC{0,40}".prop_map(Value::from),
        1 => prop_any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((field(), inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(&FIELDS[..]).prop_map(str::to_owned), 1 => prop_any::<String>()]
}

fn body(push_url: String) -> impl Strategy<Value = Vec<u8>> {
    let object = prop::collection::vec((field(), value(push_url.clone())), 0..8)
        .prop_map(|fields| fields.into_iter().collect::<Value>().to_string().into_bytes());
    // Nearly right, so that calls get to their rooms: two users, two rooms, and a few fields gone astray.
    let users = vec!["alice", "alice", "bob"];
    let rooms = vec!["r", "r", "s"];
    let operations = vec!["set", "inc", "dec", "mul"];
    let astray = prop::collection::vec((field(), value(push_url.clone())), 0..3);
    let sensible = (prop::sample::select(users), prop::sample::select(rooms), prop::sample::select(operations), astray);
    let url = push_url.clone();
    let sensible = sensible.prop_map(move |(user, room, operation, astray)| {
        let mut body = json!({ "userID": user, "roomID": room, "roomInfo": "", "userName": user, "userAvatar": "",
            "pushURL": url, "cnt": 20, "index": 0, "fieldName": "f", "operation": operation, "value": "1",
            "mergeParams": "{}", "userInfo": "" });
        for (name, value) in astray {
            body[name] = value;
        }
        body.to_string().into_bytes()
    });
    let form = prop::collection::vec((field(), "[ -~]{0,12}"), 0..4)
        .prop_map(|fields| fields.iter().map(|(k, v)| format!("{k}={v}&")).collect::<String>().into_bytes());
    let any_json = value(push_url).prop_map(|v| v.to_string().into_bytes());
    let huge = (65_000_usize..67_000).prop_map(|n| vec![b'['; n]);
    prop_oneof![
        12 => sensible,
        6 => object,
        2 => form,
        2 => any_json,
        2 => prop::collection::vec(prop_any::<u8>(), 0..64),
        1 => huge,
    ]
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn every_call_answers_in_the_protocol() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let kit = runtime.block_on(Kit::new());
    let log_in = || {
        runtime.block_on(async {
            let first = kit.login("live_room", "alice", Generation::First).await;
            (first.push_url().await, first.token, kit.login("live_room", "bob", Generation::Second).await.token)
        })
    };
    let (url, first, second) = log_in();
    let tokens = std::cell::RefCell::new([first, second]);
    let session = prop_oneof![
        5 => Just("userID=alice&token=<0>".to_owned()),
        5 => Just("userID=bob&token=<1>".to_owned()),
        1 => Just("userID=bob&token=<0>".to_owned()),
        1 => prop::collection::vec((field(), prop_any::<String>()), 0..4).prop_map(|fields| {
            fields.iter().map(|(k, v)| format!("{}={}&", escaped(k), escaped(v))).collect()
        }),
        1 => "[!$&-;=?-Z_a-z~%]{0,60}",
    ];
    let types = prop::sample::select(&["application/json", "text/xml", "application/x-www-form-urlencoded", "x"][..]);
    let methods = prop::sample::select(vec![Method::POST, Method::POST, Method::POST, Method::GET, Method::PUT]);
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let mut reached = std::collections::BTreeSet::new();
    let again = std::cell::RefCell::new(None);
    let seen = std::cell::RefCell::new(&mut reached);
    let cases = (methods, path(), session, types, body(url));
    runner
        .run(&cases, |(method, path, query, content_type, body)| {
            if let Some(fresh) = again.borrow_mut().take() {
                *tokens.borrow_mut() = fresh;
            }
            let [first, second] = &*tokens.borrow();
            let query = query.replace("<0>", first).replace("<1>", second);
            let asked = axum::http::Request::builder().method(method).uri(format!("{path}?{query}"));
            let asked = asked.header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
            let answer = runtime.block_on(kit.send(asked));
            let status = answer.status.as_u16();
            prop_assert!(matches!(status, 200 | 404 | 405 | 413), "{} {}", status, answer.text());
            if path.starts_with("/weapp/utils/") && status == 200 && !answer.header("content-type").contains("json") {
                return Ok(());
            }
            let reply: Value = match serde_json::from_slice(&answer.body) {
                Ok(reply) => reply,
                Err(e) => return Err(TestCaseError::fail(format!("{e}: {}", answer.text()))),
            };
            let code = reply["code"].as_i64();
            let listed = path.starts_with("/weapp/webrtc_room/") || path.starts_with("/weapp/webexe_room/");
            let ours = matches!(code, Some(0 | 1 | 3 | 4 | 5 | 7 | 10 | 11 | 5001)) || listed && code == Some(2);
            prop_assert!(ours, "{}", reply);
            prop_assert!(reply["message"].is_string(), "{}", reply);
            if status == 200 {
                seen.borrow_mut().insert(code);
            }
            if path.ends_with("/logout") && code == Some(0) {
                let (_, first, second) = log_in();
                *again.borrow_mut() = Some([first, second]);
            }
            Ok(())
        })
        .unwrap();
    assert!(
        [0, 1, 3, 4, 5, 7].iter().all(|code| reached.contains(&Some(*code))),
        "the cases reach too little: only codes {reached:?}"
    );
}
