//! The list of finished recordings: what the live service tells of and what the recorder has, who may see which, and pages.

use sign::{Secret, callback};

use super::*;
use ::rooms::recordings::Listed;

const KEY: &str = "live callback key";
const NONE: [Value; 0] = [];

/// A callback about a file, with other members in place of the usual ones.
fn told(kit: &Kit, key: &str, change: &Value) -> Value {
    let now = kit.clock.now().secs();
    let t = now + 600;
    let mut body = json!({ "t": t, "sign": callback::sign_live(&Secret::from(key), t), "event_type": 100,
        "stream_id": "8525_r_alice", "channel_id": "8525_r_alice", "file_id": "5285890784246869930",
        "video_url": "https://vod.example.com/a/playlist.mp4", "file_format": "mp4", "file_size": 9_749_353_000u64,
        "start_time": now - 100, "end_time": now, "duration": 61, "appid": 1, "app": "8525.livepush.myqcloud.com",
        "appname": "live", "stream_param": "txSecret=abc" });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

impl Kit {
    async fn tell(&self, key: &str, change: Value) -> StatusCode {
        let body = told(self, key, &change);
        self.post("/weapp/callback/live", "application/json", body.to_string()).await.status
    }
}

impl Client<'_> {
    async fn records(&self, body: Value) -> Vec<Value> {
        let reply = self.call("get_record_list", body).await;
        assert_eq!(reply["code"], 0, "{reply}");
        reply["records"].as_array().unwrap().clone()
    }
}

async fn on_clouds(listed: Listed) -> Kit {
    let (kit, _) = Kit::on_clouds(|settings| settings.record.list = listed).await;
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    let url = alice.own("get_push_url", json!({ "roomID": "r" })).await["pushURL"].clone();
    let body = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url, "roomInfo": "Tea at five" });
    assert_eq!(alice.own("add_pusher", body).await["code"], 0);
    assert_eq!(alice.own("destroy_room", json!({ "roomID": "r" })).await["code"], 0);
    kit
}

#[tokio::test(start_paused = true)]
async fn what_the_live_service_recorded_is_listed_once_with_title_and_owner() {
    let kit = on_clouds(Listed::Live).await;
    let now = kit.clock.now().secs();
    // Forged, late: refused. Of nobody here, with an address that is none: thanked for, and not listed.
    assert_eq!(kit.tell("another key", json!({})).await, StatusCode::FORBIDDEN);
    assert_eq!(kit.tell(KEY, json!({ "t": now - 1 })).await, StatusCode::FORBIDDEN);
    for change in [
        json!({ "stream_id": "somebody_elses" }),
        json!({ "stream_id": "8525__0123456789abcdef0123456789abcdef0123456789abcdef01234567_mh" }),
        json!({ "video_url": "javascript:alert(1)" }),
        json!({ "video_url": "https://v/\"><script>" }),
        json!({ "video_url": format!("https://v/{}", "x".repeat(3000)) }),
        json!({ "video_url": 7 }),
        json!({ "duration": "long" }),
        json!({ "file_id": "x".repeat(200) }),
        json!({ "file_id": null }),
    ] {
        assert_eq!(kit.tell(KEY, change.clone()).await, StatusCode::OK, "{change}");
    }
    let bob = kit.login("live_room", "bob", Generation::First).await;
    assert_eq!(bob.records(json!({})).await, NONE);

    // The room is gone by the time the file is whole. The same again changes nothing, whatever else it says.
    for change in [json!({}), json!({}), json!({ "video_url": "https://evil.example.com/", "duration": 61 })] {
        assert_eq!(kit.tell(KEY, change).await, StatusCode::OK);
    }
    let expected = json!({ "recordID": format!("{:013}-5285890784246869930", (now - 61) * 1000), "roomID": "r",
        "roomType": "live_room", "title": "Tea at five", "userID": "alice", "startTime": now - 61, "duration": 61,
        "fileSize": 9_749_353_000u64, "playURL": "https://vod.example.com/a/playlist.mp4" });
    assert_eq!(bob.records(json!({})).await, std::slice::from_ref(&expected));
    assert_eq!(bob.records(json!({ "roomID": "r", "ownerID": "alice", "cnt": "1" })).await, [expected]);
    assert_eq!(bob.records(json!({ "ownerID": "bob" })).await, NONE);
    assert_eq!(bob.records(json!({ "roomID": "other" })).await, NONE);
    // Another kind's list is another list.
    let multi = kit.login("multi_room", "alice", Generation::First).await;
    assert_eq!(multi.records(json!({})).await, NONE);
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_and_bad_questions_have_clear_codes() {
    let kit = on_clouds(Listed::Own).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    for n in 0..450u32 {
        let end = kit.clock.now().secs() - u64::from(n / 2);
        assert_eq!(kit.tell(KEY, json!({ "file_id": format!("f{n}"), "end_time": end })).await, StatusCode::OK);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = alice.call("get_record_list", json!({ "cnt": 99, "cursor": cursor })).await;
        let page = reply["records"].as_array().unwrap();
        seen.extend(page.iter().map(|record| record["recordID"].as_str().unwrap().to_owned()));
        cursor = reply["cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
        assert_eq!(page.len(), 99);
    }
    assert_eq!(seen.len(), 450);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
    assert_eq!(alice.records(json!({ "cnt": 100_000 })).await.len(), 200);
    assert_eq!(alice.records(json!({})).await.len(), 20);
    for (body, code) in [
        (json!({ "cnt": 0 }), 1),
        (json!({ "cnt": -1 }), 1),
        (json!({ "cnt": "x" }), 1),
        (json!({ "cursor": "房间" }), 1),
        (json!({ "cursor": "x".repeat(601) }), 1),
        (json!({ "cursor": {} }), 1),
        (json!({ "roomID": "a b" }), 1),
        (json!({ "ownerID": "x".repeat(65) }), 1),
        (json!({ "userID": "bob" }), 7),
    ] {
        let reply = alice.call("get_record_list", body.clone()).await;
        assert_eq!(reply["code"], code, "{body}: {reply}");
    }
    assert_eq!(alice.records(json!({ "cursor": "0" })).await, NONE);
}

#[tokio::test(start_paused = true)]
async fn who_may_list_what_is_a_setting_and_who_is_kept_out_sees_nothing_of_the_room() {
    for (listed, own, others) in [(Listed::Off, 0, 0), (Listed::Own, 1, 0), (Listed::Live, 1, 1)] {
        let kit = on_clouds(listed).await;
        kit.tell(KEY, json!({})).await;
        let alice = kit.login("live_room", "alice", Generation::First).await;
        let bob = kit.login("live_room", "bob", Generation::First).await;
        let seen = (alice.records(json!({})).await.len(), bob.records(json!({})).await.len());
        assert_eq!(seen, (own, others), "{listed:?}");
        let path = format!("/weapp/live_room/get_record_list?userID=bob&token={}", alice.token);
        assert_eq!(kit.post(&path, "application/json", "{}").await.json()["code"], 7, "no session of bob's");
        let user = room::UserId::parse("bob").unwrap();
        let room = room::RoomId::parse("r").unwrap();
        let out = ::rooms::moderation::Out { user: &user, room: Some(&room), seconds: None, reason: "", kick: false };
        let _ = kit.app.moderation().put_out(out).await;
        assert_eq!(bob.records(json!({})).await, NONE);
    }
}

#[tokio::test(start_paused = true)]
async fn operators_list_and_take_out_what_clients_see() {
    let kit = on_clouds(Listed::Live).await;
    kit.tell(KEY, json!({})).await;
    let at = |method: Method, path: &str| {
        let mut asked = request(method, &format!("/api/v1{path}"));
        asked.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:5757"));
        asked
    };
    let list = kit.send(at(Method::GET, "/records?room=r&user=alice")).await.json();
    let record = &list["records"][0];
    assert_eq!((record["title"].as_str(), record["kind"].as_str()), (Some("Tea at five"), Some("live")), "{list}");
    assert_eq!((record["duration"].as_u64(), record["file"].is_null()), (Some(61_000), true));
    let path = format!("/records/{}", record["recordID"].as_str().unwrap());
    assert_eq!(kit.send(at(Method::GET, &path)).await.json(), *record);
    for bad in ["/records?limit=0", "/records?cursor=%20", "/records?room=%20", "/records?what=1"] {
        assert_eq!(kit.send(at(Method::GET, bad)).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(kit.send(at(Method::DELETE, &path)).await.status, StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(kit.send(at(method, &path)).await.status, StatusCode::NOT_FOUND);
    }
    let bob = kit.login("live_room", "bob", Generation::First).await;
    assert_eq!(bob.records(json!({})).await, NONE);
}

/// A file of so many bytes that says, as the recorder's do, how long it plays.
fn film(directory: &Directory, name: &str, bytes: u32) -> Vec<u8> {
    let dir = directory.0.join("films");
    std::fs::create_dir_all(&dir).unwrap();
    let said = [b"mehd\0\0\0\0".as_slice(), &61_500u32.to_be_bytes()].concat();
    let film: Vec<u8> = said.into_iter().chain((12..bytes).map(|n| n as u8)).collect();
    std::fs::write(dir.join(name), &film).unwrap();
    film
}

#[tokio::test]
async fn the_recorders_files_are_listed_and_play_by_signed_urls() {
    let films = Directory::new();
    let bytes = film(&films, "8525_r_alice.1795445000000.mp4", 200_000);
    film(&films, "8525_bob_1873.1795445900000.mp4", 100);
    let with = |settings: &mut crate::config::Settings| {
        settings.record.enabled = true;
        settings.record.dir = films.0.join("films");
    };
    let kit = Kit::with(with, |_| {}).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let records = alice.records(json!({})).await;
    assert_eq!(records.len(), 1, "bob's is bob's: {records:?}");
    assert_eq!((records[0]["userID"].as_str(), records[0]["roomID"].as_str()), (Some("alice"), Some("r")));
    let of = |field: &str| records[0][field].as_u64().unwrap();
    assert_eq!((of("fileSize"), of("startTime"), of("duration")), (200_000, 1_795_445_000, 62));
    let url = records[0]["playURL"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{HOST}")).unwrap();
    let get = async |path: &str, range: Option<&str>| {
        let mut asked = request(Method::GET, path);
        if let Some(range) = range {
            asked.headers_mut().insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        }
        kit.send(asked).await
    };
    let whole = get(path, None).await;
    assert!(whole.status == StatusCode::OK && whole.body == bytes, "{}", whole.status);
    assert_eq!((whole.header("content-type"), whole.header("access-control-allow-origin")), ("video/mp4", "*"));
    let part = get(path, Some("bytes=150003-150007")).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &bytes[150_003..150_008]));
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 150003-150007/200000", "5"));
    assert_eq!(part.header("etag"), "\"8525_r_alice.1795445000000.mp4-200000\"");
    assert_eq!(get(path, Some("bytes=900000-")).await.status, StatusCode::RANGE_NOT_SATISFIABLE);
    // Another file, another user, no signature, too late.
    for bad in [
        path.replace("8525_r_alice.1795445000000", "8525_bob_1873.1795445900000"),
        path.replace("uid=alice", "uid=bob"),
        path.split('?').next().unwrap().to_owned(),
        path.replace("/recordings/", "/recordings/..%2F"),
    ] {
        assert_eq!(get(&bad, None).await.status, StatusCode::FORBIDDEN, "{bad}");
    }
    let user = room::UserId::parse("alice").unwrap();
    let room = room::RoomId::parse("r").unwrap();
    let out = ::rooms::moderation::Out { user: &user, room: Some(&room), seconds: None, reason: "", kick: false };
    let _ = kit.app.moderation().put_out(out).await;
    assert_eq!(get(path, None).await.status, StatusCode::FORBIDDEN, "kept out of the room");
    let bob = kit.login("multi_room", "bob", Generation::First).await;
    assert_eq!(bob.records(json!({})).await.len(), 1, "of no kind that is known: in every list");
    kit.clock.pass(9 * 24 * 3600 * 1000);
    assert_eq!(get(path, None).await.status, StatusCode::FORBIDDEN, "over");
}

#[tokio::test]
async fn operators_fetch_files_by_parts_and_the_console_plays_them() {
    let films = Directory::new();
    let name = "8525_r_alice.1795445000000.mp4";
    let bytes = film(&films, name, 200_000);
    let with = |settings: &mut crate::config::Settings| {
        settings.record.enabled = true;
        settings.record.dir = films.0.join("films");
    };
    let kit = Kit::with(with, |_| {}).await;
    let get = async |path: &str, more: &[(header::HeaderName, &str)]| {
        let mut asked = request(Method::GET, path);
        asked.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:5757"));
        for (name, value) in more {
            asked.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        kit.send(asked).await
    };
    let rest = (header::RANGE, "bytes=150000-");
    for path in [format!("/api/v1/recordings/{name}"), format!("/console/recordings/{name}")] {
        let whole = get(&path, &[]).await;
        assert!(whole.status == StatusCode::OK && whole.body == bytes, "{path}: {}", whole.status);
        assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), ("200000", "bytes"), "{path}");
        let tag = whole.header("etag").to_owned();
        let part = get(&path, &[rest.clone(), (header::IF_RANGE, &tag)]).await;
        assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &bytes[150_000..]), "{path}");
        let other = get(&path, &[rest.clone(), (header::IF_RANGE, "\"another\"")]).await;
        assert!(other.status == StatusCode::OK && other.body == bytes, "{path}");
        let none = get(&path.replace("alice", "bob"), &[]).await;
        assert_eq!(none.status, StatusCode::NOT_FOUND, "{path}");
    }
    // As an element of the page plays it, which sends no key.
    let play = async |file: &str| {
        let mut asked = request(Method::POST, "/console/act");
        asked.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:5757"));
        asked.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *asked.body_mut() = Body::from(json!({ "action": "play", "file": file }).to_string());
        kit.send(asked).await
    };
    assert_eq!(play("8525_r_bob.1.mp4").await.status, StatusCode::CONFLICT);
    let reply = play(name).await.json();
    let url = reply["playURL"].as_str().unwrap_or_else(|| panic!("{reply}"));
    let path = url.strip_prefix("http://localhost").unwrap();
    let part = get(path, &[rest]).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &bytes[150_000..]));
    assert_eq!(get(&path.replace(name, "8525_r_bob.1.mp4"), &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_room_goes_on_being_recorded() {
    let films = Directory::new();
    let with = |settings: &mut crate::config::Settings| {
        settings.record.enabled = true;
        settings.record.dir = films.0.join("films");
    };
    let kit = Kit::with(with, |_| {}).await;
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    let url = alice.own("get_push_url", json!({ "roomID": "r" })).await["pushURL"].as_str().unwrap().to_owned();
    let body = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
    assert_eq!(alice.own("add_pusher", body).await["code"], 0);
    let stream = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    let stream = media::StreamName::new(stream).unwrap();
    let origin = media::hub::Origin { protocol: media::Protocol::Rtmp, peer: ([127, 0, 0, 1], 1).into() };
    let _publisher = kit.app.hub.publish(&stream, origin).unwrap();
    let recorder = kit.app.recorder.clone().unwrap();
    let turn = async |method: Method| {
        let mut asked = request(method, "/api/v1/rooms/r/recording");
        asked.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:5757"));
        let reply = kit.send(asked).await;
        assert_eq!(reply.status, StatusCode::OK);
        reply.json()["streams"].clone()
    };
    let ticks = || tokio::time::sleep(std::time::Duration::from_secs(25));
    // It is recorded already: by its push URL, say.
    assert!(recorder.record(&stream));
    ticks().await;
    assert_eq!(turn(Method::PUT).await, json!([]));
    for _ in 0..2 {
        ticks().await;
        assert!(recorder.stop(&stream).is_some(), "it is recorded no more");
    }
    ticks().await;
    assert_eq!(turn(Method::DELETE).await, json!([stream.as_str()]));
    ticks().await;
    assert_eq!(recorder.stop(&stream), None, "it is recorded after the room's recording was ended");
}

/// A ban that was said while the clock was ahead, and lifted: the next one is as long as it says.
#[tokio::test]
async fn a_ban_after_the_clock_was_set_right_is_as_long_as_it_says() {
    let kit = Kit::new().await;
    let eve = room::UserId::parse("eve").unwrap();
    let ban = async || {
        let out = ::rooms::moderation::Out { user: &eve, room: None, seconds: Some(60), reason: "", kick: false };
        kit.app.moderation().put_out(out).await.unwrap()
    };
    kit.clock.step(86_400_000);
    ban().await;
    kit.clock.step(-86_400_000);
    kit.app.moderation().let_in(&eve, None).await.unwrap();
    let until = ban().await.until;
    assert_eq!(until, kit.clock.now().plus(60_000));
    assert!(kit.app.moderation().let_in(&eve, None).await.unwrap(), "it held");
    ban().await;
    kit.clock.pass(60_001);
    assert!(!kit.app.moderation().let_in(&eve, None).await.unwrap(), "it was over after a minute");
}
