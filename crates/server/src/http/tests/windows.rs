//! What Windows' programs send and make of the answers: the portal's list of rooms, a mix before there is a room, and the RTMP
//! URL that they cut out of `mixedPlayURL`.

use room::StreamId;

use super::*;

async fn list(kit: &Kit, call: &str, body: Value) -> Value {
    kit.post(&format!("/weapp/webexe_room/{call}"), "application/json", body.to_string()).await.json()
}

#[tokio::test]
async fn the_portals_list_from_the_first_room_to_the_last() {
    let kit = Kit::new().await;
    let info = kit.get("/weapp/webexe_room/get_login_info?userID=WinUser_Cpp_7").await.json();
    assert_eq!((&info["code"], &info["userID"], info["sdkAppID"].is_u64()), (&json!(0), &json!("WinUser_Cpp_7"), true));
    let new = json!({ "userID": "WinUser_Cpp_7", "nickName": "n", "roomID": "", "roomInfo": "maths", "roomType": "webexe_liveroom" });
    let made = list(&kit, "create_room", new.clone()).await;
    let id = made["roomID"].as_str().unwrap().to_owned();
    assert!(id.parse::<i32>().unwrap() > 0 && !made["privateMapKey"].as_str().unwrap().is_empty(), "{made}");

    // The room itself is made under the same id, and is another one.
    let alice = kit.login("live_room", "alice", Generation::First).await;
    assert_eq!(alice.own("create_room", json!({ "roomID": id, "roomInfo": "x" })).await["code"], 0);
    assert_eq!(alice.enter(&id).await["code"], 0);

    // Who chose an id that is taken is given another.
    let mut again = new.clone();
    again["roomID"] = id.as_str().into();
    again["roomType"] = "webexe_doubleroom".into();
    let other = list(&kit, "create_room", again).await;
    assert!(other["code"] == 0 && other["roomID"] != made["roomID"], "{other}");

    let entered =
        list(&kit, "enter_room", json!({ "userID": "pupil", "nickName": "p", "roomID": id, "status": 1 })).await;
    assert_eq!((&entered["code"], &entered["roomID"]), (&json!(0), &made["roomID"]));
    let rooms = list(&kit, "get_room_list", json!({ "index": 0, "count": 20, "roomType": "webexe_liveroom" })).await;
    let room = &rooms["rooms"][0];
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 1);
    assert_eq!((&room["roomID"], &room["roomInfo"]), (&made["roomID"], &json!("maths")));
    assert_eq!((&room["roomCreator"], &room["roomType"]), (&json!("WinUser_Cpp_7"), &json!("webexe_liveroom")));
    assert_eq!((&room["status"], room["members"].as_array().unwrap().len()), (&json!(1), 2));
    let all = list(&kit, "get_room_list", json!({ "index": 0, "count": 20 })).await;
    assert_eq!(all["rooms"].as_array().unwrap().len(), 2);
    let calls = kit.post("/weapp/webrtc_room/get_room_list", "application/json", "{}").await.json();
    assert_eq!(calls["rooms"], json!([]), "calls are another list");

    let members = list(&kit, "get_room_members", json!({ "roomID": id })).await;
    assert_eq!(members["members"][1], json!({ "userID": "pupil", "nickName": "p" }));
    for (call, user, expected) in [("heartbeat", "pupil", 0), ("heartbeat", "stranger", 0), ("quit_room", "pupil", 0)] {
        assert_eq!(list(&kit, call, json!({ "userID": user, "roomID": id })).await["code"], expected, "{call} {user}");
    }
    for call in ["heartbeat", "quit_room", "enter_room", "get_room_members"] {
        assert_eq!(list(&kit, call, json!({ "userID": "pupil", "roomID": "none" })).await["code"], 3, "{call}");
        assert_eq!(list(&kit, call, json!({ "userID": "pupil" })).await["code"], 2, "{call}");
    }
    assert_eq!(list(&kit, "delete_room", json!({})).await["code"], 2);
    for _ in 0..2 {
        assert_eq!(list(&kit, "delete_room", json!({ "roomID": id })).await["code"], 0);
    }
    assert_eq!(list(&kit, "get_room_members", json!({ "roomID": id })).await["code"], 3);
    let live = alice.call("get_pushers", json!({ "roomID": id })).await;
    assert_eq!(live["code"], 0, "the list reaches no room: {live}");
    assert_eq!(
        kit.post("/weapp/webrtc_room/delete_room", "application/json", "{}").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn listed_rooms_go_by_heartbeats_unless_they_need_none() {
    let kit = Kit::new().await;
    for (n, needed) in [json!(1), json!("0"), json!(0), json!(false), Value::Null].into_iter().enumerate() {
        let user = format!("user_{n}");
        let new = json!({ "userID": user, "roomID": user, "roomInfo": "x", "needHeartBeat": needed });
        assert_eq!(list(&kit, "create_room", new).await["code"], 0);
    }
    kit.pass(21_000).await;
    let rooms = list(&kit, "get_room_list", json!({ "index": 0, "count": 20 })).await;
    let ids: Vec<&str> = rooms["rooms"].as_array().unwrap().iter().map(|r| r["roomID"].as_str().unwrap()).collect();
    assert_eq!(ids, ["user_1", "user_2", "user_3"]);
}

#[tokio::test]
async fn numbers_of_rooms_fit_into_an_int_and_signatures_are_made_for_odd_ids() {
    let kit = Kit::new().await;
    for n in 0..64 {
        let new = json!({ "userID": format!("user_{n}"), "roomInfo": "x" });
        let made = kit.post("/weapp/webrtc_room/create_room", "application/json", new.to_string()).await.json();
        assert!(made["roomID"].as_str().unwrap().parse::<i32>().unwrap() > 0, "{made}");
    }
    for (user, code) in [("86-138", 0), ("1", 0), ("administrator", 7), ("a b", 1)] {
        let body = json!({ "userID": user }).to_string();
        let info = kit.post("/weapp/webrtc_room/get_login_info", "application/json", body).await.json();
        assert_eq!(info["code"], code, "{user}: {info}");
    }
}

fn over_a_canvas(streams: &[&str]) -> Value {
    let mut inputs = vec![json!({ "input_stream_id": "canvas1",
        "layout_params": { "image_layer": 1, "input_type": 3, "image_width": 960, "image_height": 540 } })];
    inputs.extend(streams.iter().enumerate().map(|(n, stream)| {
        json!({ "input_stream_id": stream, "layout_params": { "image_layer": n + 2, "image_width": 96, "image_height": 54 } })
    }));
    json!({ "interface": { "interfaceName": "Mix_StreamV2", "para": { "app_id": "1",
        "interface": "mix_streamv2.start_mix_stream_advanced", "mix_stream_session_id": streams[0],
        "output_stream_id": streams[0], "input_stream_list": inputs } } })
}

#[tokio::test]
async fn a_mix_before_there_is_a_room_is_of_own_streams_only() {
    let kit = Kit::new().await;
    for kind in ["live_room", "double_room", "multi_room"] {
        let alice = kit.login(kind, "alice", Generation::First).await;
        let mallory = kit.login(kind, "mallory", Generation::First).await;
        let name = |url: String| url.split("/live/").nth(1).unwrap().split('?').next().unwrap().to_owned();
        let hers = name(alice.push_url().await);
        let other = name(mallory.push_url().await);
        let ask = async |who: &Client<'_>, streams: &[&str]| {
            let reply = who.own("merge_stream", json!({ "roomID": "", "mergeParams": over_a_canvas(streams) })).await;
            assert_eq!((&reply["code"], &reply["merge_message"]), (&json!(0), &reply["merge_msg"]), "{reply}");
            assert_eq!(reply["result"]["code"], reply["merge_code"]);
            reply["merge_code"].as_i64().unwrap()
        };
        // Nothing is pushed in this test: that is all that is wrong with it.
        assert_eq!(ask(&alice, &[&hers]).await, -505, "{kind}");
        assert_eq!(ask(&mallory, &[&hers]).await, -4, "{kind}");
        // Nor after both asked, as pushers of two rooms do.
        for _ in 0..2 {
            assert_eq!(ask(&alice, &[&hers, &other]).await, -505, "{kind}");
            assert_eq!(ask(&mallory, &[&other, &hers]).await, -505, "{kind}");
        }
        // A room that is named must be one in which the caller pushes.
        let reply = alice.own("merge_stream", json!({ "roomID": "r", "mergeParams": over_a_canvas(&[&hers]) })).await;
        assert_eq!(reply["code"], 3);
        let reply = alice.own("merge_stream", json!({ "mergeParams": over_a_canvas(&[&hers]) })).await;
        assert_eq!(reply["code"], 1);
    }
}

#[tokio::test]
async fn what_windows_cuts_out_of_the_mixed_url_plays_and_is_signed() {
    let kit = Kit::with(|settings| settings.http.tls_by_proxy = true, |_| {}).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let viewer = kit.login("live_room", "viewer", Generation::First).await;
    alice.enter("r").await;
    let rooms = async |scheme: &'static str| {
        let request = axum::http::Request::post(viewer.path("get_room_list")).header("x-forwarded-proto", scheme);
        kit.send(request.body(Body::from(r#"{"cnt":9,"index":0}"#)).unwrap()).await.json()["rooms"][0].clone()
    };
    let room = rooms("https").await;
    assert_eq!(room["roomType"], "live_room");
    let url = room["mixedPlayURL"].as_str().unwrap();
    assert!(url.starts_with("https://") && url.ends_with(".flv"), "{url}");
    let cut = format!("rtmp{}", &url[5..url.len() - 4]);
    let (name, query) = cut.strip_prefix("rtmp://rooms.example.com/live/").unwrap().split_once('?').unwrap();
    let stream = name.strip_suffix(".flv").unwrap();
    let holder = kit.app.gate.may_play(stream, query).unwrap();
    assert_eq!(holder.user.unwrap().as_str(), "viewer");
    // The whole URL is one for HTTP players still.
    let whole = url.split_once('?').unwrap().1;
    assert!(kit.app.gate.may_play(stream, whole).is_ok());
    let other = StreamId::parse("8525_mallory_1873").unwrap();
    let bare = query.replace("uid=viewer", "uid=mallory");
    for (stream, query) in [(other.as_str(), query), (stream, bare.as_str()), (stream, ""), (stream, "ext=")] {
        assert!(kit.app.gate.may_play(stream, query).is_err(), "{stream} {query}");
    }
    let plain = rooms("http").await;
    assert_eq!(plain["mixedPlayURL"], plain["pushers"][0]["flvURL"]);
}
