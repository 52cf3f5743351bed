//! Calls through the whole router, without sockets: `webrtc_room`, callbacks, `check_config`, and a room
//! of the second generation with both services at Tencent.

use std::sync::Arc;
use std::time::Duration;

use crate::emulator::{APP, Emulator, Mood, SECRET, SECRET_ID, SECRET_KEY};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use roomservice::config::Settings;
use roomservice::http;
use roomservice::start::Server;
use serde_json::{Value, json};
use sign::room_key::{self, Room};
use sign::usersig::{Expected, Keys, v1, v2};
use sign::{Secret, callback};
use store::clock::{Clock, System};
use streams::live;
use tower::ServiceExt;

struct Site {
    server: Server,
    dir: std::path::PathBuf,
}

impl Site {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = std::env::temp_dir().join(format!("roomservice-test-{:016x}", sign::fresh_id()));
        let mut settings = Settings { data_dir: dir.clone(), ..Settings::default() };
        settings.http.listen = "127.0.0.1:0".parse().unwrap();
        settings.rtmp.enabled = false;
        settings.webrtc.enabled = false;
        settings.im.sdk_app_id = APP;
        settings.im.secret_key = Secret::new(SECRET);
        change(&mut settings);
        Self { server: Server::start(settings).await.unwrap(), dir }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:5757");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::router(&self.server.doors()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn webrtc(&self, call: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", &format!("/weapp/webrtc_room/{call}"), &body).await;
        assert_eq!(status, StatusCode::OK);
        answer
    }

    async fn stop(self) {
        self.server.stop().await;
        std::fs::remove_dir_all(self.dir).unwrap();
    }
}

fn code(answer: &Value) -> i64 {
    answer["code"].as_i64().unwrap()
}

#[tokio::test]
async fn a_call_from_its_first_member_to_its_last() {
    let site = Site::start(|_| {}).await;
    let made = site
        .webrtc("create_room", json!({ "userID": "alice", "roomInfo": "hello", "nickName": "A", "roomType": "1v1" }))
        .await;
    assert_eq!((code(&made), &made["roomInfo"], &made["userID"]), (0, &json!("hello"), &json!("alice")));
    let id = made["roomID"].as_str().unwrap().to_owned();
    let number: u32 = id.parse().unwrap();
    let keys = || Keys::new(None, None, Some(v2::Key::new(&Secret::from(SECRET)).unwrap())).unwrap();
    let expected = |user_id| Expected { sdk_app_id: APP, user_id, account_type: None, now: System.now().secs() };
    let key = room_key::verify(made["privateMapKey"].as_str().unwrap(), &keys(), &expected("alice")).unwrap();
    assert_eq!((key.room, key.privileges), (Room::Number(number), 255));
    // A room key opens a room, not an account.
    let login = format!(
        "/weapp/live_room/login?sdkAppID={APP}&accountType=0&userID=alice&userSig={}",
        made["privateMapKey"].as_str().unwrap()
    );
    assert_eq!(code(&site.ask("POST", &login, &Value::Null).await.1), 7);

    for who in ["bobby", "carol", "david"] {
        let entered = site.webrtc("enter_room", json!({ "userID": who, "roomID": number, "nickName": who })).await;
        assert_eq!((code(&entered), &entered["roomID"]), (0, &json!(id)));
    }
    assert_eq!(code(&site.webrtc("enter_room", json!({ "userID": "edgar", "roomID": id })).await), 5001);
    let members = site.webrtc("get_room_members", json!({ "roomID": id })).await;
    assert_eq!(members["members"][0], json!({ "userID": "alice", "nickName": "A" }));
    assert_eq!(members["members"].as_array().unwrap().len(), 4);

    let text = site.webrtc("create_room", json!({ "userID": "zoe1", "roomInfo": "x", "roomID": "my-room" })).await;
    let key = room_key::verify(text["privateMapKey"].as_str().unwrap(), &keys(), &expected("zoe1")).unwrap();
    assert_eq!(key.room, Room::Text("my-room".into()));
    let list = site.webrtc("get_room_list", json!({ "index": 0, "count": 10, "roomType": "1v1" })).await;
    assert_eq!(list["rooms"].as_array().unwrap().len(), 1);
    let first = &list["rooms"][0];
    assert_eq!(
        (&first["roomID"], &first["roomType"], &first["roomCreator"]),
        (&json!(id), &json!("1v1"), &json!("alice"))
    );
    let list = site.webrtc("get_room_list", json!({ "index": 0, "count": 10 })).await;
    assert_eq!(list["rooms"].as_array().unwrap().len(), 2);

    assert_eq!(code(&site.webrtc("heartbeat", json!({ "userID": "bobby", "roomID": id })).await), 0);
    assert_eq!(code(&site.webrtc("heartbeat", json!({ "userID": "edgar", "roomID": id })).await), 3);
    for who in ["alice", "bobby", "carol", "david"] {
        assert_eq!(code(&site.webrtc("quit_room", json!({ "userID": who, "roomID": id })).await), 0, "{who}");
    }
    assert_eq!(code(&site.webrtc("get_room_members", json!({ "roomID": id })).await), 3, "an empty room disappears");
    for (call, body, expected) in [
        ("create_room", json!({ "userID": "alice" }), 2),
        ("create_room", json!({ "roomInfo": "x" }), 2),
        ("create_room", json!({ "userID": "1abc", "roomInfo": "x" }), 7),
        ("create_room", json!({ "userID": "abc", "roomInfo": "x" }), 7),
        ("create_room", json!({ "userID": "administrator", "roomInfo": "x" }), 7),
        ("create_room", json!({ "userID": "alice", "roomInfo": "x".repeat(1025) }), 11),
        ("create_room", json!({ "userID": "alice", "roomInfo": "x", "roomID": "my-room" }), 11),
        ("enter_room", json!({ "userID": "alice", "roomID": "none" }), 3),
        ("enter_room", json!({ "userID": "alice" }), 2),
        ("quit_room", json!({ "userID": "alice", "roomID": "none" }), 3),
    ] {
        assert_eq!(code(&site.webrtc(call, body.clone()).await), expected, "{call} {body}");
    }
    let info = site.webrtc("get_login_info", json!({ "userID": "" })).await;
    let login = format!(
        "/weapp/live_room/login?sdkAppID={}&accountType=0&userID={}&userSig={}",
        info["sdkAppID"],
        info["userID"].as_str().unwrap(),
        info["userSig"].as_str().unwrap()
    );
    assert_eq!(code(&site.ask("POST", &login, &Value::Null).await.1), 0);
    site.stop().await;
}

#[tokio::test]
async fn room_keys_of_version_one_and_strangers_in_production() {
    let pair = v1::PrivateKey::generate_p256();
    let pem = pair.private_pem.expose().to_owned();
    let site = Site::start(|settings| {
        settings.im.secret_key = Secret::default();
        settings.im.private_key = Secret::new(pem);
        settings.im.account_type = "116".into();
    })
    .await;
    let made = site.webrtc("create_room", json!({ "userID": "alice", "roomInfo": "x", "roomID": "7" })).await;
    let public = v1::PublicKey::from_pem(&pair.public_pem).unwrap();
    let keys = Keys::new(None, Some(public), None).unwrap();
    let now = System.now().secs();
    let expected = Expected { sdk_app_id: APP, user_id: "alice", account_type: Some("116"), now };
    let key = room_key::verify(made["privateMapKey"].as_str().unwrap(), &keys, &expected).unwrap();
    assert_eq!((key.room, key.account_type), (Room::Number(7), 116));
    site.stop().await;

    let production = |open| {
        move |settings: &mut Settings| {
            settings.mode = roomservice::config::Mode::Production;
            settings.sessions.secret = Secret::new("0123456789abcdef");
            settings.live.push_secret_key = Secret::new("0123456789abcdef");
            settings.rooms.open_webrtc = open;
        }
    };
    for (open, expected) in [(false, 7), (true, 0)] {
        let site = Site::start(production(open)).await;
        let made = site.webrtc("create_room", json!({ "userID": "alice", "roomInfo": "x" })).await;
        assert_eq!(code(&made), expected);
        site.stop().await;
    }
}

/// A site whose services are emulated.
async fn at_tencent(emulator: &Arc<Emulator>) -> Site {
    let base = emulator.listen().await;
    Site::start(|settings| {
        settings.chat.provider = chat::Provider::Tencent;
        settings.chat.tencent.host = base.clone();
        settings.chat.tencent.callback_token = Secret::new("callback token");
        settings.chat.tencent.callback_path = "im-a8c3".into();
        settings.live.provider = live::Provider::Tencent;
        settings.live.bizid = 8525;
        settings.live.tencent.host = base;
        settings.live.tencent.secret_id = SECRET_ID.into();
        settings.live.tencent.secret_key = Secret::new(SECRET_KEY);
        settings.live.tencent.callback_key = Secret::new("callback key");
    })
    .await
}

#[tokio::test]
async fn the_second_generation_finds_what_it_looks_for() {
    let emulator = Emulator::new(|| System.now().secs());
    let site = at_tencent(&emulator).await;
    let info = site.ask("GET", "/weapp/utils/get_login_info?userID=alice", &Value::Null).await.1;
    let login = format!(
        "/weapp/live_room/login?sdkAppID={}&userID=alice&platform=iOS&userSig={}",
        info["sdkAppID"],
        info["userSig"].as_str().unwrap()
    );
    let session = site.ask("POST", &login, &Value::Null).await.1;
    assert!(session["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let token = session["token"].as_str().unwrap();
    let call = |name: &str, body: Value| {
        let path = format!("/weapp/live_room/{name}?userID=alice&token={token}");
        let site = &site;
        async move {
            let answer = site.ask("POST", &path, &body).await.1;
            assert_eq!(code(&answer), 0, "{path}: {answer}");
            answer
        }
    };
    let made = call("create_room", json!({ "userID": "alice", "roomName": "hello" })).await;
    let room = made["roomID"].as_str().unwrap();
    let url = call("get_anchor_url", json!({ "userID": "alice", "roomID": room })).await;
    let push = url["pushURL"].as_str().unwrap();
    assert!(push.starts_with("rtmp://8525.livepush.myqcloud.com/live/8525_"), "{push}");
    assert!(url["accelerateURL"].as_str().unwrap().starts_with("rtmp://8525.liveplay.myqcloud.com/live/8525_"));
    let add = json!({ "roomID": room, "userID": "alice", "userName": "A", "userAvatar": "", "pushURL": push });
    call("add_anchor", add).await;
    call("set_custom_field", json!({ "roomID": room, "fieldName": "like", "operation": "inc" })).await;
    let beat = json!({ "roomID": room, "userID": "alice", "roomStatusCode": 0 });
    let newer = call("anchor_heartbeat", beat).await;
    assert_eq!((&newer["roomStatusCode"], &newer["pushers"][0]["userID"]), (&json!(1), &json!("alice")));
    let anchors = call("get_anchors", json!({ "roomID": room })).await;
    assert_eq!(anchors["custom"], json!("{\"like\":1}"), "a text, whichever the client");
    assert_eq!((&anchors["roomStatusCode"], &anchors["roomInfo"]), (&json!(1), &json!("hello")));
    assert!(anchors["pushers"][0]["accelerateURL"].is_string());
    let name = push.rsplit('/').next().unwrap().split('?').next().unwrap();
    let merge = json!({ "interface": { "para": { "app_id": "1400000000",
        "interface": "mix_streamv2.start_mix_stream_advanced", "mix_stream_session_id": name,
        "output_stream_id": name, "input_stream_list": [{ "input_stream_id": name, "layout_params": { "image_layer": 1 } }] } } });
    let merged =
        call("merge_stream", json!({ "roomID": room, "userID": "alice", "mergeParams": merge.to_string() })).await;
    assert_eq!((&merged["merge_code"], &merged["result"]["code"]), (&json!(0), &json!(0)));
    let report = json!({ "reportID": "1", "data": { "fps": 15 } });
    assert_eq!(code(&site.ask("POST", "/weapp/utils/report", &report).await.1), 0);
    call("delete_anchor", json!({ "roomID": room, "userID": "alice" })).await;
    // What follows happens in the background: waited for, not slept for.
    let told = async {
        while emulator.of(room).last().map(String::as_str) != Some("destroy_group") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert_eq!(emulator.of(room)[0], "create_group");
    emulator.faultless();
    site.stop().await;
}

#[tokio::test]
async fn callbacks_come_to_their_own_path_and_settings_are_checked() {
    let emulator = Emulator::new(|| System.now().secs());
    let site = at_tencent(&emulator).await;
    let t = System.now().secs();
    let sign = callback::sign_webhook(&Secret::from("callback token"), t);
    let query = |sign: &str| {
        format!("SdkAppid={APP}&CallbackCommand=State.StateChange&contenttype=json&Sign={sign}&RequestTime={t}")
    };
    let body = json!({ "CallbackCommand": "State.StateChange", "Info": { "Action": "Login" } });
    let post = async |path: String, body: &Value| site.ask("POST", &path, body).await;
    let (status, answer) = post(format!("/weapp/callback/im-a8c3?{}", query(&sign)), &body).await;
    assert_eq!((status, &answer["ErrorCode"]), (StatusCode::OK, &json!(0)));
    let forged = sign.replace(['a', 'b'], "c");
    assert_eq!(post(format!("/weapp/callback/im-a8c3?{}", query(&forged)), &body).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post("/weapp/callback/im-a8c3?SdkAppid=1".into(), &body).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(format!("/weapp/callback/im?{}", query(&sign)), &body).await.0, StatusCode::NOT_FOUND);
    let t = t + 600;
    let live = json!({ "t": t, "sign": callback::sign_live(&Secret::from("callback key"), t), "event_type": 100 });
    assert_eq!(post("/weapp/callback/live".into(), &live).await, (StatusCode::OK, json!({ "code": 0 })));

    let check = async || site.ask("GET", "/weapp/utils/check_config", &Value::Null).await.1;
    assert_eq!(check().await["result"], "检查正确");
    emulator.mood(Mood::Disbelieves);
    let wrong = check().await;
    assert_eq!(wrong["result"], "检查失败");
    assert!(wrong["live"]["live.tencent.secretKey"].is_string() && wrong["im"]["im.secretKey"].is_string(), "{wrong}");
    site.stop().await;
}
