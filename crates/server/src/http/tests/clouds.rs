//! Streams and chat at Tencent, through the whole router: callbacks that are forged, late or repeated, and the doors of
//! this process that are closed then.

use sign::{Secret, callback};

use super::*;

const LIVE: &str = "live callback key";
const CHAT: &str = "chat callback token";

impl Kit {
    /// The live service says that a push began (1) or ended (0).
    async fn live_says(&self, stream: &str, event: u8, sequence: &str, key: &str, t: u64) -> Answer {
        let body = json!({ "t": t, "sign": callback::sign_live(&Secret::from(key), t), "event_type": event,
            "stream_id": stream, "channel_id": stream, "event_time": self.clock.now().secs(), "sequence": sequence,
            "appid": 1, "app": "8525.livepush.myqcloud.com", "appname": "live", "stream_param": "txSecret=abc" });
        self.post("/weapp/callback/live", "application/json", body.to_string()).await
    }

    /// The chat service says that somebody left a group.
    async fn chat_says_gone(&self, room: &str, who: &str, token: &str, at: u64) -> Answer {
        let body = json!({ "CallbackCommand": "Group.CallbackAfterMemberExit", "GroupId": room, "ExitType": "Quit",
            "ExitMemberList": [{ "Member_Account": who }], "EventTime": self.clock.now().0.to_string() });
        let sign = callback::sign_webhook(&Secret::from(token), at);
        let query = format!(
            "SdkAppid=1400037025&CallbackCommand=Group.CallbackAfterMemberExit&contenttype=json&ClientIP=127.0.0.1\
             &OptPlatform=Web&RequestTime={at}&Sign={sign}"
        );
        self.post(&format!("/weapp/callback/im?{query}"), "application/json", body.to_string()).await
    }

    async fn pushers(&self, by: &Client<'_>, room: &str) -> usize {
        let reply = by.call("get_pushers", json!({ "roomID": room })).await;
        reply["pushers"].as_array().map_or(0, Vec::len)
    }
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_believed_only_if_signed_and_in_time() {
    let (kit, emulator) = Kit::on_clouds(|_| {}).await;
    let alice = kit.login("multi_room", "alice", Generation::First).await;
    let bob = kit.login("multi_room", "bob", Generation::First).await;
    let mut streams = Vec::new();
    for client in [&alice, &bob] {
        let url = client.own("get_push_url", json!({ "roomID": "r" })).await["pushURL"].as_str().unwrap().to_owned();
        streams.push(url.split("/live/").nth(1).unwrap().split('?').next().unwrap().to_owned());
        let body = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
        assert_eq!(client.own("add_pusher", body).await["code"], 0);
    }
    emulator.streams.lock().insert(streams[0].clone(), "active".into());
    let now = || kit.clock.now().secs();
    let asked = || emulator.count("DescribeLiveStreamState");

    // Forged, late, or not what it says: refused, and nobody is asked about.
    kit.pass(2_000).await;
    assert_eq!(kit.live_says(&streams[1], 0, "1", "another key", now() + 600).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kit.live_says(&streams[1], 0, "1", LIVE, now() - 1).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kit.chat_says_gone("r", "bob", "another token", now()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kit.chat_says_gone("r", "bob", CHAT, now() - 3_600).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kit.chat_says_gone("r", "bob", CHAT, now() + 3_600).await.status, StatusCode::FORBIDDEN);
    for (path, body) in [("live", "<html>"), ("live", "[1]"), ("im?Sign=1&RequestTime=x", "{}"), ("im", "")] {
        let answer = kit.post(&format!("/weapp/callback/{path}"), "application/json", body).await;
        assert!(answer.status.is_client_error(), "{path} {body}: {}", answer.status);
    }
    kit.pass(1_000).await;
    assert_eq!((asked(), kit.pushers(&alice, "r").await), (0, 2));

    // Signed: the service is asked, and its answer decides.
    let ended = kit.live_says(&streams[0], 0, "2", LIVE, now() + 600).await;
    assert_eq!((ended.status, ended.text().as_str()), (StatusCode::OK, r#"{"code":0}"#));
    kit.pass(1_000).await;
    assert_eq!((asked(), kit.pushers(&alice, "r").await), (1, 2), "who still pushes stays");
    // The same again, as the service sends it when it heard no answer, or as somebody who overheard it does.
    for _ in 0..20 {
        assert_eq!(kit.live_says(&streams[0], 0, "2", LIVE, now() + 600).await.status, StatusCode::OK);
    }
    kit.pass(1_000).await;
    assert_eq!((asked(), kit.pushers(&alice, "r").await), (1, 2), "a repetition asks nobody");
    let gone = kit.chat_says_gone("r", "bob", CHAT, now()).await;
    assert_eq!((gone.status, gone.json()["ErrorCode"].as_i64()), (StatusCode::OK, Some(0)));
    kit.pass(1_000).await;
    assert_eq!(kit.pushers(&alice, "r").await, 1, "bob pushes nothing");
    // Events that nobody here knows are thanked for, or they would be sent for ever.
    assert_eq!(kit.live_says(&streams[0], 100, "3", LIVE, now() + 600).await.status, StatusCode::OK);
    emulator.faultless();
}

#[tokio::test(start_paused = true)]
async fn the_chat_service_asks_whether_a_user_may_speak() {
    use ::rooms::moderation::Out;
    let (kit, _) = Kit::on_clouds(|_| {}).await;
    let asks = async |who: &str| {
        let at = kit.clock.now().secs();
        let sign = callback::sign_webhook(&Secret::from(CHAT), at);
        let body = json!({ "CallbackCommand": "Group.CallbackBeforeSendMsg", "GroupId": "r", "Type": "AVChatRoom",
            "From_Account": who, "Operator_Account": who, "MsgBody": [] });
        let path = format!(
            "/weapp/callback/im?SdkAppid=1400037025&CallbackCommand=Group.CallbackBeforeSendMsg&contenttype=json\
             &RequestTime={at}&Sign={sign}"
        );
        let answer = kit.post(&path, "application/json", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let answer = answer.json();
        assert_eq!(answer["ActionStatus"], "OK");
        answer["ErrorCode"].as_i64().unwrap()
    };
    assert_eq!(asks("eve").await, 0);
    let eve = room::UserId::parse("eve").unwrap();
    let out = Out { user: &eve, room: None, seconds: Some(60), reason: "", kick: false };
    kit.app.moderation().put_out(out).await.unwrap();
    assert_eq!((asks("eve").await, asks("alice").await), (1, 0));
    kit.app.moderation().let_in(&eve, None).await.unwrap();
    assert_eq!(asks("eve").await, 0);
}

#[tokio::test(start_paused = true)]
async fn callbacks_without_a_key_or_a_service_are_not_taken() {
    let (kit, _) = Kit::on_clouds(|settings| {
        settings.live.tencent.callback_key = Secret::default();
        settings.chat.tencent.callback_path = "a-secret-word".into();
    })
    .await;
    let t = kit.clock.now().secs() + 600;
    assert_eq!(kit.live_says("8525_r_alice", 0, "1", "", t).await.status, StatusCode::FORBIDDEN);
    assert_eq!(kit.chat_says_gone("r", "a", CHAT, t - 600).await.status, StatusCode::NOT_FOUND, "another path");
    let embedded = Kit::new().await;
    assert_eq!(embedded.live_says("8525_r_alice", 0, "1", "", t).await.status, StatusCode::NOT_FOUND);
    assert_eq!(embedded.chat_says_gone("r", "a", "", t).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn who_looks_here_for_what_is_elsewhere_is_told_where_it_is() {
    let (kit, _) = Kit::on_clouds(|_| {}).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let answer = kit.get(&format!("/ws?userID=alice&token={}", alice.token)).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(answer.json()["code"], "chat_elsewhere");
    assert!(answer.text().contains("Tencent") && answer.text().contains("1400037025"), "{}", answer.text());
    let asked = kit.get(&format!("/ws/validate?userID=alice&token={}", alice.token)).await.json();
    assert_eq!((asked["ok"].as_bool(), asked["code"].as_str()), (Some(false), Some("chat_elsewhere")));
    let polled = kit.post("/v4/openim/login?sdkappid=1400037025", "application/json", "{}").await.json();
    assert_eq!((polled["ActionStatus"].as_str(), polled["ErrorCode"].as_i64()), (Some("FAIL"), Some(60_009)));
    assert!(polled["ErrorInfo"].as_str().unwrap().contains("Tencent"), "{polled}");
    // Streams: nobody here would look for them.
    let url = alice.push_url().await;
    let (stream, query) = url.split("/live/").nth(1).unwrap().split_once('?').unwrap();
    let here = Kit::new().await;
    let path = format!("/live/{stream}.flv?{query}");
    assert_eq!(kit.get(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(here.get(&path).await.status, StatusCode::NOT_FOUND, "permitted, but not pushed");
}

#[tokio::test(start_paused = true)]
async fn operators_acts_reach_the_services() {
    use ::rooms::moderation::Out;
    let (kit, emulator) = Kit::on_clouds(|_| {}).await;
    let alice_id = room::UserId::parse("alice").unwrap();
    let room = room::RoomId::parse("r").unwrap();
    let alice = kit.login("multi_room", "alice", Generation::First).await;
    let bob = kit.login("multi_room", "bob", Generation::First).await;
    let url = alice.own("get_push_url", json!({ "roomID": "r" })).await["pushURL"].clone();
    let body = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
    assert_eq!(alice.own("add_pusher", body.clone()).await["code"], 0);
    bob.enter("r").await;
    emulator.streams.lock().insert("8525_r_alice".into(), "active".into());

    // What a service was asked last that has this in it.
    let last = |name: &str| emulator.bodies.lock().iter().rfind(|body| body.get(name).is_some()).cloned().unwrap();
    // A ban of a room is a mute in the room's chat, which nobody can be put out of.
    let silenced = async |times: usize, seconds: u32| {
        let heard = async {
            while emulator.count("forbid_send_msg") < times {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), heard).await.expect("the chat hears of it");
        let said = last("MuteTime");
        assert_eq!((&said["GroupId"], &said["Members_Account"]), (&json!("r"), &json!(["alice"])));
        assert_eq!((emulator.count("forbid_send_msg"), &said["MuteTime"]), (times, &json!(seconds)));
    };

    // A kick breaks the stream off, a ban forbids it; taken back, it is allowed.
    let out = Out { user: &alice_id, room: Some(&room), seconds: Some(60), reason: "", kick: true };
    kit.app.moderation().put_out(out).await.unwrap();
    assert_eq!(emulator.of("8525_r_alice").last().map(String::as_str), Some("DropLiveStream"));
    silenced(1, 60).await;
    assert_eq!(kit.pushers(&bob, "r").await, 1);
    assert_eq!(alice.own("add_pusher", body).await["code"], 12, "for a minute");
    kit.pass(1_000).await;
    let out = Out { seconds: Some(3600), kick: false, ..out };
    kit.app.moderation().put_out(out).await.unwrap();
    assert_eq!(emulator.of("8525_r_alice").last().map(String::as_str), Some("ForbidLiveStream"));
    assert!(last("ResumeTime")["ResumeTime"].as_str().unwrap().starts_with("2026-11-23T16:0"));
    silenced(2, 3600).await;
    assert!(kit.app.moderation().let_in(&alice_id, Some(&room)).await.unwrap());
    assert_eq!(emulator.of("8525_r_alice").last().map(String::as_str), Some("ResumeLiveStream"));
    silenced(3, 0).await;
    // For ever is as long as the service knows.
    let out = Out { seconds: None, ..out };
    kit.app.moderation().put_out(out).await.unwrap();
    assert!(last("ResumeTime")["ResumeTime"].as_str().unwrap().starts_with("2027-02-21T"));
    silenced(4, u32::MAX).await;

    // Notices and mutes go to the chat that the users are in.
    assert_eq!(kit.app.moderation().notice(None, "tea at five").await.unwrap(), 1);
    let told = emulator.bodies.lock().last().unwrap()["Content"].as_str().unwrap().to_owned();
    assert!(told.contains("tea at five"), "{told}");
    let bob_id = room::UserId::parse("bob").unwrap();
    kit.app.moderation().mute(&room, &bob_id, None).await.unwrap();
    assert_eq!(emulator.bodies.lock().last().unwrap()["MuteTime"], u32::MAX);
    let nowhere = room::RoomId::parse("nowhere").unwrap();
    assert_eq!(kit.app.moderation().mute(&nowhere, &bob_id, Some(60)).await.unwrap_err().code.text(), "no_room");
    // A service that is away: the room is right all the same, and the operator hears of it.
    emulator.mood(crate::emulator::Mood::Down);
    let out = Out { user: &bob_id, ..out };
    assert_eq!(
        kit.app.moderation().put_out(out).await.unwrap_err().code.text(),
        "unknown",
        "it is put out here, and not everywhere"
    );
    assert_eq!(kit.app.moderation().notice(Some(&room), "hello").await.unwrap_err().code.text(), "unavailable");
    emulator.mood(crate::emulator::Mood::Well);
    assert_eq!(kit.app.rooms.count(), 0);
    emulator.faultless();
}

// The journal has a thread of its own, which paused time does not wait for.
#[tokio::test]
async fn streams_have_names_that_the_service_takes_and_are_found_by_them_after_a_restart() {
    let with = |settings: &mut crate::config::Settings| settings.store.kind = store::Place::Journal;
    let ids = [
        ("room_1a2b3c4d_77aa".to_owned(), "alice".to_owned()),
        ("r".into(), "user_77_4414".into()),
        ("r-".repeat(20), "bob.".repeat(14)),
    ];
    let (kit, _) = Kit::on_clouds(with).await;
    let mut streams = Vec::new();
    for (room, user) in &ids {
        let client = kit.login("multi_room", user, Generation::First).await;
        for given in [json!({ "roomID": room }), json!({})] {
            let url = client.own("get_push_url", given).await["pushURL"].as_str().unwrap().to_owned();
            let stream = url.split("/live/").nth(1).unwrap().split('?').next().unwrap().to_owned();
            assert!(stream.len() <= 80 && stream.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{stream}");
            let body = json!({ "roomID": room, "userName": "", "userAvatar": "", "pushURL": url });
            assert_eq!(client.own("add_pusher", body.clone()).await["code"], 0, "{stream}");
            let carol = kit.login("multi_room", "carol", Generation::First).await;
            assert_eq!(carol.own("add_pusher", body).await["code"], 1, "{stream} is another's");
            streams.push((room.clone(), stream));
        }
    }
    let made = kit.login("multi_room", "dave", Generation::First).await;
    let made = made.own("create_room", json!({ "roomInfo": "" })).await;
    assert!(!made["roomID"].as_str().unwrap().contains('_'), "{made}");

    // As after a kill: what is on the disk is all there is.
    let after = Directory::new();
    std::fs::create_dir(after.0.join("journal")).unwrap();
    for file in std::fs::read_dir(kit.directory.0.join("journal")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), after.0.join("journal").join(file.file_name())).unwrap();
    }
    let (kit, emulator) = Kit::on_clouds(|settings| {
        with(settings);
        settings.data_dir = after.0.clone();
    })
    .await;
    for (n, (_, stream)) in streams.iter().enumerate() {
        // Of each room, the stream that its pusher has now.
        if n % 2 == 1 {
            let t = kit.clock.now().secs() + 600;
            kit.clock.pass(5_000);
            assert_eq!(kit.live_says(stream, 0, &n.to_string(), LIVE, t).await.status, StatusCode::OK);
        }
    }
    for _ in 0..3 {
        kit.pass(1_000).await;
    }
    let judge = kit.login("multi_room", "judge", Generation::First).await;
    for (room, stream) in streams {
        assert_eq!(kit.pushers(&judge, &room).await, 0, "{stream}: its room was found, and nobody pushes there");
    }
    assert_eq!(emulator.count("DescribeLiveStreamState"), ids.len());
}

/// What co-anchors play at Tencent is signed with the key of push URLs: a list has it for co-anchors alone.
#[tokio::test(start_paused = true)]
async fn a_list_hands_nobody_what_others_push_with() {
    let (kit, _) = Kit::on_clouds(|_| {}).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let bob = kit.login("live_room", "bob", Generation::First).await;
    alice.enter("r").await;
    let pushes = |url: &Value| {
        let (url, query) = url.as_str().unwrap().split_once('?').unwrap();
        assert!(url.starts_with("rtmp://"), "{url}");
        kit.app.urls.may_push(url.rsplit('/').next().unwrap(), query, kit.clock.now()).is_ok()
    };
    let listed = async |who: &Client<'_>| {
        let list = who.own("get_room_list", json!({ "cnt": 10, "index": 0 })).await;
        list["rooms"][0]["pushers"][0]["accelerateURL"].clone()
    };
    assert!(!pushes(&listed(&bob).await));
    assert!(pushes(&listed(&alice).await), "it is her own");
    let seen = bob.own("get_pushers", json!({ "roomID": "r" })).await;
    assert!(pushes(&seen["pushers"][0]["accelerateURL"]), "clients ask before they enter, and play it then");
}
