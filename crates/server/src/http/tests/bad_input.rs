//! What clients should not send, one test each: a clear answer, and nobody else notices.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;

use super::*;

const JSON: &str = "application/json";

async fn alice(kit: &Kit) -> Client<'_> {
    kit.login("multi_room", "alice", Generation::First).await
}

impl Client<'_> {
    /// Sends this body as it is.
    async fn raw(&self, call: &str, body: impl Into<Body>) -> Answer {
        self.kit.post(&self.path(call), JSON, body).await
    }
}

/// The answer's code, after a check that its message names this.
#[track_caller]
fn code(reply: &Value, names: &str) -> i64 {
    assert!(reply["message"].as_str().unwrap().contains(names), "{names} is not named: {reply}");
    reply["code"].as_i64().unwrap()
}

#[tokio::test]
async fn malformed_json() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    for body in ["{", "{\"userID\":", "nonsense", "[]", "\"text\"", "7", "null", "{}}", "{\"userID\":\"\\ud800\"}"] {
        for call in ["create_room", "add_pusher", "get_pushers", "get_room_list", "pusher_heartbeat", "get_push_url"] {
            let answer = alice.raw(call, body).await;
            assert_eq!(answer.outcome(), (200, 1), "{call} with {body}: {}", answer.text());
        }
    }
    let answer = alice.raw("create_room", vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']).await;
    assert_eq!(answer.outcome(), (200, 1));
}

#[tokio::test]
async fn huge_bodies_are_413_declared_or_not() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    let limit = kit.app.http.body_limit();
    let of = |size: usize| format!("{{\"userID\":\"alice\",\"roomInfo\":\"\",\"more\":\"{}\"}}", "x".repeat(size));
    assert_eq!(alice.raw("create_room", of(limit)).await.outcome(), (413, 1));
    assert_eq!(alice.raw("create_room", of(limit / 2)).await.outcome(), (200, 0));
    // Nothing says how long this one gets; it would go on for ever.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1024]));
    assert_eq!(alice.raw("create_room", Body::from_stream(endless)).await.outcome(), (413, 1));
    // And this one says so before it is read.
    let mut declared = axum::http::Request::post(alice.path("create_room")).body(Body::empty()).unwrap();
    declared.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("99999999999"));
    assert_eq!(kit.send(declared).await.outcome(), (413, 1));
}

#[tokio::test]
async fn deep_nesting() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    alice.enter("r").await;
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    for depth in [100, 200, 10_000] {
        for field in ["userID", "mergeParams", "value", "unknown"] {
            let body = format!("{{\"{field}\":{}}}", deep(depth));
            for call in ["merge_stream", "set_custom_field", "get_room_list", "login"] {
                let answer = alice.raw(call, body.clone()).await;
                assert!(matches!(answer.outcome(), (200, 1 | 4)), "{call} {field} {depth}: {}", answer.text());
            }
        }
    }
    let text = json!({ "roomID": "r", "mergeParams": deep(10_000) });
    assert_eq!(alice.own("merge_stream", text).await["code"], 10);
    // What is accepted is also given back, to everybody.
    let set = format!(r#"{{"roomID":"r","fieldName":"f","operation":"set","value":{}}}"#, deep(100));
    assert_eq!(alice.raw("set_custom_field", set).await.outcome(), (200, 0));
    assert_eq!(alice.raw("get_anchors", r#"{"roomID":"r"}"#).await.outcome(), (200, 0));
}

#[tokio::test]
async fn mistyped_fields_are_named() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    for (call, field) in [
        ("get_push_url", "userID"),
        ("get_push_url", "roomID"),
        ("create_room", "roomInfo"),
        ("create_room", "roomID"),
        ("add_pusher", "userName"),
        ("add_pusher", "userAvatar"),
        ("add_pusher", "pushURL"),
        ("get_pushers", "roomID"),
        ("get_room_list", "cnt"),
        ("get_room_list", "index"),
        ("pusher_heartbeat", "roomStatusCode"),
        ("delete_pusher", "roomID"),
        ("destroy_room", "roomID"),
        ("add_audience", "userInfo"),
        ("set_custom_field", "fieldName"),
        ("set_custom_field", "operation"),
        ("merge_stream", "roomID"),
    ] {
        for wrong in [json!({ "a": 1 }), json!([1]), json!(true), json!({})] {
            let reply = alice.call(call, json!({ field: wrong })).await;
            assert_eq!(code(&reply, field), 1, "{call} with {field} = {wrong}");
        }
    }
    for wrong in [json!(1.5), json!(1e300), json!("1x"), json!(u64::MAX)] {
        let reply = alice.call("get_room_list", json!({ "cnt": 1, "index": wrong })).await;
        assert_eq!(code(&reply, "index"), 1, "{wrong}");
    }
}

#[tokio::test]
async fn bounds_are_told_by_field() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let url = alice.push_url().await;
    alice.enter("r").await;
    let long = |n: usize| "长".repeat(n / 3 + 1);
    let add = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
    for (call, field, value, expected) in [
        ("create_room", "roomInfo", long(1024), 10),
        ("create_room", "roomID", "x".repeat(65), 1),
        ("add_pusher", "userName", long(256), 10),
        ("add_pusher", "userAvatar", long(4096), 10),
        ("add_pusher", "roomID", "a\"b".into(), 1),
        ("add_audience", "userInfo", long(4096), 10),
        ("set_custom_field", "fieldName", long(64), 10),
        ("set_custom_field", "value", long(1024), 10),
    ] {
        let mut body = add.clone();
        body["fieldName"] = "f".into();
        body["operation"] = "set".into();
        body["value"] = "v".into();
        body["roomInfo"] = "".into();
        body[field] = value.into();
        let reply = alice.own(call, body).await;
        assert_eq!(code(&reply, field), expected, "{call} {field}");
    }
    for n in 0..64 {
        let body = json!({ "roomID": "r", "fieldName": format!("f{n}"), "operation": "inc" });
        assert_eq!(alice.own("set_custom_field", body).await["code"], 0);
    }
    let body = json!({ "roomID": "r", "fieldName": "f64", "operation": "inc" });
    assert_eq!(code(&alice.own("set_custom_field", body).await, "64"), 10);
}

/// A text in the encoding of user signatures: zlib, then base64 with other signs.
fn user_sig(text: impl Iterator<Item = u8>) -> String {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let bytes: Vec<u8> = text.collect();
    zlib.write_all(&bytes).unwrap();
    STANDARD.encode(zlib.finish().unwrap()).replace('+', "*").replace('/', "-").replace('=', "_")
}

#[tokio::test]
async fn zlib_bombs_in_user_sig() {
    let kit = Kit::new().await;
    let query = "/weapp/multi_room/login?sdkAppID=1400037025&accountType=0&userID=alice";
    let bomb = user_sig(std::iter::repeat_n(b' ', 2 << 20));
    assert!(bomb.len() < 4000);
    let reply = kit.post(&format!("{query}&userSig={bomb}"), JSON, "").await.json();
    assert_eq!(code(&reply, "userSig (1)"), 7);
    // In the body there is room for 30 times as much.
    let bomb = user_sig(std::iter::repeat_n(b'7', 40 << 20));
    let reply = kit.post(query, JSON, json!({ "userSig": bomb }).to_string()).await.json();
    assert_eq!(code(&reply, "userSig (1)"), 7);
    for sig in ["%00", "eJw", "________", "*-_*-_", "é"] {
        let reply = kit.post(&format!("{query}&userSig={sig}"), JSON, "").await.json();
        assert_eq!(code(&reply, "userSig (1)"), 7, "{sig}");
    }
    let nothing = user_sig(b"{}".iter().copied());
    assert_eq!(kit.post(&format!("{query}&userSig={nothing}"), JSON, "").await.json()["code"], 7);
}

#[tokio::test]
async fn the_four_checks_of_a_login_give_their_number() {
    let kit = Kit::new().await;
    let sig = kit.get("/weapp/utils/get_login_info?userID=alice").await.json()["userSig"].clone();
    let sig = sig.as_str().unwrap();
    let stranger = Kit::with(|s| s.im.secret_key = Secret::new("another key"), |_| {}).await;
    let foreign = stranger.get("/weapp/utils/get_login_info?userID=alice").await.json()["userSig"].clone();
    let login = |app: &str, user: &str, sig: &str| {
        format!("/weapp/multi_room/login?sdkAppID={app}&accountType=0&userID={user}&userSig={sig}")
    };
    let good = login("1400037025", "alice", sig);
    assert_eq!(kit.post(&good, JSON, "").await.outcome(), (200, 0));
    for (path, step) in [
        (login("1400037025", "alice", &sig[..40]), "(1)"),
        (login("1400000001", "alice", sig), "(2)"),
        (login("1400037025", "bob", sig), "(2)"),
        (login("1400037025", "alice", foreign.as_str().unwrap()), "(4)"),
    ] {
        assert_eq!(code(&kit.post(&path, JSON, "").await.json(), step), 7, "{path}");
    }
    kit.clock.pass(31 * 24 * 3600 * 1000);
    assert_eq!(code(&kit.post(&good, JSON, "").await.json(), "(3)"), 7);
}

#[tokio::test]
async fn repeated_query_parameters() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    let bob = kit.login("multi_room", "bob", Generation::First).await;
    for more in ["userID=alice", "userID=bob", &format!("token={}", bob.token), "user%49D=bob"] {
        let answer = kit.post(&format!("{}&{more}", alice.path("get_room_list")), JSON, "{}").await;
        assert_eq!(answer.outcome(), (200, 1), "{more}");
    }
    let many: String = (0..100).map(|n| format!("&p{n}=1")).collect();
    assert_eq!(kit.post(&(alice.path("get_room_list") + &many), JSON, "{}").await.outcome(), (200, 1));
    let long = format!("{}&p={}", alice.path("get_room_list"), "x".repeat(5000));
    assert_eq!(kit.post(&long, JSON, "{}").await.outcome(), (200, 1));
}

#[tokio::test]
async fn names_that_mean_something_elsewhere_are_just_names() {
    let kit = Kit::new().await;
    for name in ["__proto__", "constructor", "hasOwnProperty", "../../etc/passwd", "a&b=c#d?e/%2e", "*"] {
        let escaped = name.replace('%', "%25").replace('&', "%26").replace('#', "%23").replace('?', "%3f");
        let sig = kit.get(&format!("/weapp/utils/get_login_info?userID={escaped}")).await.json();
        assert_eq!(sig["userID"], name, "{sig}");
        let user = kit.login("live_room", &escaped, Generation::Second).await;
        let own = |mut body: Value| {
            body["userID"] = name.into();
            body
        };
        let url = user.call("get_anchor_url", own(json!({ "roomID": name }))).await["pushURL"].clone();
        let add = own(json!({ "roomID": name, "userName": name, "userAvatar": name, "pushURL": url,
            "__proto__": { "code": 7 }, "constructor": { "prototype": { "code": 7 } } }));
        assert_eq!(user.call("add_anchor", add).await, json!({ "code": 0, "message": "请求成功", "roomID": name }));
        let set = own(json!({ "roomID": name, "fieldName": name, "operation": "set", "value": { "__proto__": 1 } }));
        let custom = user.call("set_custom_field", set).await["custom"].clone();
        assert_eq!(custom, json!({ name: { "__proto__": 1 } }));
        let room = user.call("get_anchors", json!({ "roomID": name })).await;
        assert_eq!((&room["roomCreator"], &room["pushers"][0]["userName"]), (&name.into(), &name.into()));
        assert_eq!(user.call("delete_anchor", own(json!({ "roomID": name }))).await["code"], 0);
    }
    assert_eq!(kit.app.rooms.count(), 0);
}

#[tokio::test]
async fn getlogfile_leads_nowhere_else() {
    let kit = Kit::new().await;
    let list = kit.get("/weapp/utils/logfilelist").await;
    let link = list.text().split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(kit.get(&format!("/weapp/utils/{link}")).await.status, StatusCode::OK, "{link}");
    let name = link.strip_prefix("getlogfile?file=").unwrap();
    std::fs::write(kit.directory.0.join("secret"), "the secret").unwrap();
    let linked = "response-2026-01-01-00.log";
    std::os::unix::fs::symlink(kit.directory.0.join("secret"), kit.directory.0.join("logs/response").join(linked))
        .unwrap();
    for file in [
        "",
        "secret",
        "../secret",
        "..%2fsecret",
        "../../secret",
        "response/../../secret",
        "response/..%2f..%2fsecret",
        "response%2f../../secret",
        "response/..\\..\\secret",
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "response/",
        "response",
        ".",
        "response/.",
        "error/response-2026-01-01-00.log",
        "response/response-2026-01-01-00.log",
        "response/response-....-..-..-...log",
        "response/response-2026-01-01-00.log%00",
        &format!("{name}%00"),
        &format!("./{name}"),
        &format!("x/../{name}"),
        &format!("{name}/../../../secret"),
    ] {
        let answer = kit.get(&format!("/weapp/utils/getlogfile?file={file}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{file}: {}", answer.text());
    }
    assert_eq!(kit.get("/weapp/utils/getlogfile").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn operators_calls_are_closed_in_production() {
    let kit = Kit::with(
        |settings| {
            settings.mode = crate::config::Mode::Production;
            settings.operator.keys = vec![Secret::new("an operator's key")];
        },
        |_| {},
    )
    .await;
    for call in ["get_login_info", "logfilelist", "getlogfile?file=x", "get_test_pushurl", "get_test_rtmpaccurl"] {
        let path = format!("/weapp/utils/{call}");
        assert_eq!(kit.get(&path).await.outcome(), (200, 7), "{call}");
        for (key, admitted) in
            [("Bearer an operator's kez", false), ("Bearer ", false), ("Bearer an operator's key", true)]
        {
            let mut asked = request(Method::GET, &path);
            asked.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(key));
            let answer = kit.send(asked).await;
            assert_eq!(!answer.text().contains("鉴权失败"), admitted, "{call} with {key}: {}", answer.text());
        }
    }
    let asked = axum::http::Request::get("/weapp/utils/get_login_info?userID=administrator")
        .header(header::AUTHORIZATION, "Bearer an operator's key");
    assert_eq!(kit.send(asked.body(Body::empty()).unwrap()).await.outcome(), (200, 7), "not even operators");
}

#[tokio::test]
async fn push_urls_forged_expired_and_of_others() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    let mallory = kit.login("multi_room", "mallory", Generation::First).await;
    let with = |url: &str| json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
    let url = mallory.push_url().await;
    let (before, rest) = url.split_once("txSecret=").unwrap();
    let (secret, time) = rest.split_once('&').unwrap();
    let elsewhere = mallory.own("get_push_url", json!({ "roomID": "other" })).await["pushURL"].clone();
    for (what, url) in [
        ("empty", String::new()),
        ("no query", url.split('?').next().unwrap().to_owned()),
        ("no secret", format!("{before}{time}")),
        ("other secret", format!("{before}txSecret={}&{time}", "0".repeat(32))),
        ("short secret", format!("{before}txSecret={}&{time}", &secret[..31])),
        ("later time", format!("{before}txSecret={secret}&txTime=7FFFFFFF")),
        ("time twice", format!("{url}&{time}")),
        ("other stream", url.replace("8525_mallory", "8525_mallary")),
        ("of alice", alice.push_url().await),
        ("of another room", elsewhere.as_str().unwrap().to_owned()),
        ("a play URL", kit.get("/weapp/utils/get_test_rtmpaccurl").await.json()["url_rtmpacc"].to_string()),
        ("another scheme", url.replace("rtmp:", "javascript:")),
        ("long", format!("{url}&x={}", "y".repeat(5000))),
    ] {
        let reply = mallory.own("add_pusher", with(&url)).await;
        assert_eq!(code(&reply, "pushURL"), 1, "{what}");
    }
    assert_eq!(mallory.own("add_pusher", with(&url)).await["code"], 0);
    kit.clock.pass(kit.app.settings.live.valid_time * 1000 + 2000);
    let mallory = kit.login("multi_room", "mallory", Generation::First).await;
    assert_eq!(code(&mallory.own("add_pusher", with(&url)).await, "pushURL"), 1, "expired");
}

#[tokio::test]
async fn nobody_acts_as_somebody_else() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let mallory = kit.login("live_room", "mallory", Generation::First).await;
    alice.enter("r").await;
    let url = mallory.push_url().await;
    for call in [
        "get_push_url",
        "create_room",
        "add_pusher",
        "pusher_heartbeat",
        "delete_pusher",
        "destroy_room",
        "add_audience",
        "delete_audience",
        "set_custom_field",
        "merge_stream",
    ] {
        let body = json!({ "userID": "alice", "roomID": "r", "roomInfo": "", "pushURL": url, "userInfo": "",
            "fieldName": "f", "operation": "inc", "mergeParams": {} });
        assert_eq!(mallory.call(call, body).await["code"], 7, "{call}");
    }
    // Nor by somebody else's token, or half of one's own.
    for (user, token) in [("alice", mallory.token.as_str()), ("mallory", &mallory.token[1..]), ("mallory", "")] {
        let path = format!("/weapp/live_room/get_room_list?userID={user}&token={token}");
        assert_eq!(kit.post(&path, JSON, "{}").await.outcome(), (200, 7), "{user} {token}");
    }
    let room = alice.call("get_pushers", json!({ "roomID": "r" })).await;
    assert_eq!((room["pushers"].as_array().unwrap().len(), &room["custom"]), (1, &"{}".into()));
}

#[tokio::test]
async fn how_many_may_push_is_said_to_who_asks() {
    let kit = Kit::new().await;
    for (kind, room, most) in [("double_room", "d", 2), ("multi_room", "m", 4), ("live_room", "l", 4)] {
        let alice = kit.login(kind, "alice", Generation::Second).await;
        alice.enter(room).await;
        let seen = alice.call("get_pushers", json!({ "roomID": room, "limits": "1" })).await;
        assert_eq!(seen["maxMembers"], most, "{kind}");
        let seen = alice.call("get_pushers", json!({ "roomID": room })).await;
        assert!(seen["maxMembers"].is_null(), "{kind}: clients of others are told nothing new");
    }
}

#[tokio::test]
async fn a_room_is_of_one_kind() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let elsewhere = kit.login("multi_room", "alice", Generation::First).await;
    let r = || json!({ "roomID": "r", "roomInfo": "" });
    for (call, expected) in [("get_pushers", 3), ("delete_pusher", 5), ("destroy_room", 3), ("create_room", 11)] {
        assert_eq!(elsewhere.own(call, r()).await["code"], expected, "{call}");
    }
    assert_eq!(elsewhere.enter("r").await["code"], 11);
    assert_eq!(elsewhere.call("get_room_list", json!({ "cnt": 9, "index": 0 })).await["rooms"], json!([]));
    // Nor do calls of live rooms reach others.
    elsewhere.enter("m").await;
    for (call, expected) in [("add_audience", 3), ("set_custom_field", 3), ("get_custom_info", 3), ("merge_stream", 3)]
    {
        let body = json!({ "roomID": "m", "fieldName": "f", "operation": "inc", "mergeParams": {} });
        assert_eq!(alice.own(call, body).await["code"], expected, "{call}");
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let kit = Kit::new().await;
    for path in [
        "/weapp",
        "/weapp/",
        "/weapp/multi_room",
        "/weapp/multi_room/",
        "/weapp/multi_room/login/",
        "/weapp/multi_room/login/x",
        "/weapp//multi_room/login",
        "/weapp/x/multi_room/login",
        "/weapp/multi_room/add_audience",
        "/weapp/triple_room/login",
        "/weapp/multi_room/..%2flive_room/add_audience",
        "/weapp/utils/login",
        "/weapp/utils/",
        "/nothing",
        "/live/",
        "/live/x.mp4",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = kit.send(request(method.clone(), path)).await;
            let expected = if path.starts_with("/live/x") && method == Method::POST { 405 } else { 404 };
            assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {}", answer.text());
        }
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
        let answer = kit.send(request(method.clone(), "/weapp/multi_room/login")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST, OPTIONS"), "{method}");
    }
    let answer = kit.send(request(Method::DELETE, "/weapp/utils/logfilelist")).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD, POST, OPTIONS"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    let silent = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let slow = alice.raw("create_room", Body::from_stream(silent));
    let (slow, quick) = tokio::join!(slow, alice.raw("get_room_list", r#"{"cnt":1,"index":0}"#));
    assert_eq!(slow.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(quick.outcome(), (200, 0));
    // A byte now and then does not help.
    let drip = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(vec![b' ']), ()))
    });
    assert_eq!(alice.raw("create_room", Body::from_stream(Box::pin(drip))).await.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_host_header_cannot_break_out_of_urls() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    for (host, expected) in [
        ("h.example.com", "rtmp://h.example.com/"),
        ("h.example.com:8080", "rtmp://h.example.com/"),
        ("[::1]:5757", "rtmp://[::1]/"),
        ("evil/x?y=", "rtmp://localhost/"),
        ("user@evil", "rtmp://localhost/"),
        ("a b", "rtmp://localhost/"),
    ] {
        let body = json!({ "userID": "alice" }).to_string();
        let asked = axum::http::Request::post(alice.path("get_push_url")).header(header::HOST, host);
        let reply = kit.send(asked.body(body.into()).unwrap()).await.json();
        assert!(reply["pushURL"].as_str().unwrap().starts_with(expected), "{host}: {reply}");
    }
}

#[tokio::test]
async fn json_offers_are_read_whatever_their_type_is_said_to_be() {
    let kit = Kit::new().await;
    let offer = json!({ "streamurl": "webrtc://h/live/s?a=b", "sdp": "v=0" }).to_string();
    for path in ["/rtc/v1/play/", "/rtc/v1/publish/"] {
        let plain = axum::http::Request::post(path).body(offer.clone().into()).unwrap();
        let typed = axum::http::Request::post(path).header(header::CONTENT_TYPE, "text/plain");
        for request in [plain, typed.body(offer.clone().into()).unwrap()] {
            let reply = kit.send(request).await.json();
            assert_eq!(reply["message"], "not acceptable: WebRTC is switched off here", "it was understood");
        }
        for (body, named) in
            [("{}", "missing field `streamurl`"), ("{\"streamurl\":\"s\"}", "missing field `sdp`"), ("a=b", "line 1")]
        {
            let reply = kit.post(path, "application/json", body).await.json();
            assert!(reply["code"] == 400 && reply["message"].as_str().unwrap().contains(named), "{reply}");
        }
    }
}

#[tokio::test]
async fn fields_are_counted_by_the_step_that_is_given() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    assert_eq!(alice.enter("r").await["code"], 0);
    let count = async |operation: &str, value: Value| {
        let body = json!({ "roomID": "r", "fieldName": "like", "operation": operation, "value": value });
        alice.own("set_custom_field", body).await
    };
    for (operation, value, expected) in [
        ("set", json!(10), 10),
        ("inc", json!(5), 15),
        ("dec", json!("3"), 12),
        ("inc", json!(""), 13),
        ("inc", Value::Null, 14),
        ("dec", json!(i64::MIN), i64::MAX),
    ] {
        let reply = count(operation, value.clone()).await;
        assert_eq!(reply["customInfo"], format!("{{\"like\":{expected}}}"), "{operation} {value}");
    }
    for value in [json!(1.5), json!("many"), json!([1]), json!({})] {
        assert_eq!(code(&count("inc", value).await, "value"), 1);
    }
}

#[tokio::test]
async fn paths_are_found_however_they_are_written() {
    let kit = Kit::new().await;
    let alice = alice(&kit).await;
    for call in ["get_room_list", "Get_Room_List", "GET_ROOM_LIST"] {
        assert_eq!(alice.own(call, json!({ "cnt": 1, "index": 0 })).await["code"], 0, "{call}");
    }
    assert_eq!(kit.get("/weapp/utils/Get_Login_Info").await.json()["code"], 0);
}

#[tokio::test(start_paused = true)]
async fn messages_are_english_for_who_asks_for_that() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let ask = async |call: &str, language: &str, body: Value| {
        let asked = axum::http::Request::post(alice.path(call)).header(header::ACCEPT_LANGUAGE, language);
        kit.send(asked.body(Body::from(body.to_string())).unwrap()).await.json()
    };
    let list = json!({ "cnt": 20, "index": 0 });
    for (language, message) in [("en-US,en;q=0.9", "OK"), ("zh-CN,zh;q=0.9,en;q=0.8", "请求成功"), ("*", "请求成功")]
    {
        let expected = json!({ "code": 0, "message": message, "rooms": [] });
        assert_eq!(ask("get_room_list", language, list.clone()).await, expected, "{language}");
    }
    let missing = ask("create_room", "en", json!({ "userID": "alice" })).await;
    assert_eq!(missing, json!({ "code": 1, "message": "Missing parameter: roomInfo" }));
    let exists = json!({ "userID": "alice", "roomInfo": "房间已经存在", "roomID": "r" });
    assert_eq!(ask("create_room", "en", exists.clone()).await["code"], 0);
    let exists = ask("create_room", "en", exists).await;
    assert_eq!(exists, json!({ "code": 11, "message": "The room exists already", "roomID": "r" }));
    alice.enter("r").await;
    let room = ask("get_pushers", "en", json!({ "roomID": "r" })).await;
    assert_eq!(room["roomInfo"], "房间已经存在", "what users say stays as it is");
}
