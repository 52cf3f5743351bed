//! Clients of 2017, who have no sessions, in development mode; and apps that come only to mix.

use super::*;

async fn kit(on: bool) -> Kit {
    Kit::with(|settings| settings.rooms.generation0 = on, |_| {}).await
}

/// A call without a session, at this host.
async fn call_at(kit: &Kit, host: &'static str, path: &str, body: &Value) -> Value {
    let asked = axum::http::Request::post(path).header(header::HOST, host);
    kit.send(asked.body(Body::from(body.to_string())).unwrap()).await.json()
}

async fn call(kit: &Kit, path: &str, body: Value) -> Value {
    call_at(kit, "127.0.0.1:5757", &format!("/weapp/{path}"), &body).await
}

/// As the apps do: an id, a push URL, a room with the stream in it, somebody who enters, and both leave.
#[tokio::test(start_paused = true)]
async fn a_call_of_2017_from_the_first_question_to_the_last() {
    let kit = kit(true).await;
    for kind in ["double_room", "multi_room", "live_room"] {
        let of = |name: &str| format!("{kind}/{name}");
        let mut users = Vec::new();
        for prefix in ["android", "IE(ActiveX)"] {
            let info = call(&kit, &of("get_im_login_info"), json!({ "userIDPrefix": prefix })).await;
            let user = info["userID"].as_str().unwrap().to_owned();
            assert!(user.starts_with(&prefix.replace(['(', ')'], "")) && !user.contains('_'), "{info}");
            for (field, is) in [("sdkAppID", 1_400_037_025.into()), ("accType", json!("14418")), ("code", json!(0))] {
                assert_eq!(info[field], is, "{info}");
            }
            // The signature is good at the chat, and for a login of the first generation.
            let sig = info["userSig"].as_str().unwrap();
            let query = format!("sdkAppID=1400037025&accountType=14418&userID={user}&userSig={sig}");
            assert_eq!(call(&kit, &format!("{kind}/login?{query}"), json!({})).await["code"], 0);
            users.push(user);
        }
        let mut urls = Vec::new();
        for user in &users {
            let given = call(&kit, &of("get_push_url"), json!({ "userID": user })).await;
            urls.push(given["pushURL"].clone());
        }
        let new =
            json!({ "userID": users[0], "roomName": "客服", "userName": "A", "userAvatar": "a", "pushURL": urls[0] });
        let made = call(&kit, &of("create_room"), new).await;
        assert_eq!(made["code"], 0, "{made}");
        let listed = call(&kit, &of("get_room_list"), json!({ "cnt": 20, "index": 0 })).await;
        let room = &listed["rooms"][0];
        assert_eq!((&room["roomID"], &room["roomInfo"]), (&made["roomID"], &json!("客服")), "listed: it is entered");
        assert_eq!(room["pushers"][0]["userName"], "A");
        let enter = json!({ "roomID": made["roomID"], "userID": users[1], "userName": "B", "userAvatar": "b", "pushURL": urls[1] });
        assert_eq!(call(&kit, &of("add_pusher"), enter).await["code"], 0);
        let theirs = json!({ "roomID": made["roomID"], "userID": users[1], "userName": "", "userAvatar": "", "pushURL": urls[0] });
        assert_eq!(call(&kit, &of("add_pusher"), theirs).await["code"], 1, "another's stream is another's here too");
        let pushers = call(&kit, &of("get_pushers"), json!({ "roomID": made["roomID"] })).await;
        assert_eq!(pushers["pushers"].as_array().map(Vec::len), Some(2));
        for user in &users {
            let body = json!({ "roomID": made["roomID"], "userID": user });
            assert_eq!(call(&kit, &of("pusher_heartbeat"), body).await["code"], 0);
        }
        for user in users.iter().rev() {
            let body = json!({ "roomID": made["roomID"], "userID": user });
            assert_eq!(call(&kit, &of("delete_pusher"), body).await["code"], 0);
        }
        assert_eq!(call(&kit, &of("logout"), json!({})).await["code"], 0);
    }
}

#[tokio::test(start_paused = true)]
async fn only_where_it_is_set_only_on_this_machine_and_never_as_the_administrator() {
    let body = json!({ "userID": "alice", "roomInfo": "x" });
    let off = kit(false).await;
    for name in ["get_im_login_info", "create_room", "get_room_list"] {
        assert_eq!(call(&off, &format!("live_room/{name}"), body.clone()).await["code"], 7, "{name}");
    }
    let on = kit(true).await;
    for host in ["rooms.example.com", "evil.example:5757"] {
        for name in ["get_im_login_info", "create_room"] {
            assert_eq!(call_at(&on, host, &format!("/weapp/live_room/{name}"), &body).await["code"], 7, "{host}");
        }
    }
    // A token that is given has to be good, and a session is its user's.
    assert_eq!(call(&on, "live_room/create_room?userID=alice&token=x", body.clone()).await["code"], 7);
    assert_eq!(call(&on, "live_room/create_room?userID=bob", body.clone()).await["code"], 7);
    let administrator = on.app.settings.im.administrator.clone();
    for name in ["get_im_login_info", "create_room"] {
        let body = json!({ "userID": administrator, "roomInfo": "x" });
        assert_eq!(call(&on, &format!("live_room/{name}"), body).await["code"], 7);
    }
    for (body, code) in [
        (json!({ "userIDPrefix": {} }), 1),
        (json!({ "userID": "a b" }), 1),
        (json!({ "userIDPrefix": "x".repeat(9000) }), 0),
    ] {
        assert_eq!(call(&on, "live_room/get_im_login_info", body.clone()).await["code"], code, "{body}");
    }
    let production = crate::config::Settings {
        mode: crate::config::Mode::Production,
        rooms: ::rooms::Settings { generation0: true, ..Default::default() },
        ..Default::default()
    };
    assert!(production.problems().iter().any(|problem| problem.starts_with("rooms.generation0")));
}

fn mix(output: &str, inputs: &[&str]) -> Value {
    let input =
        |(layer, id): (usize, &&str)| json!({ "input_stream_id": id, "layout_params": { "image_layer": layer + 1 } });
    let inputs: Vec<Value> = inputs.iter().enumerate().map(input).collect();
    json!({ "interface": { "interfaceName": "Mix_StreamV2", "para": { "interface": "mix_streamv2.start_mix_stream_advanced",
        "mix_stream_session_id": output, "output_stream_id": output, "mix_stream_template_id": 10, "input_stream_list": inputs } } })
}

#[tokio::test(start_paused = true)]
async fn apps_that_come_only_to_mix_are_let_where_it_is_set() {
    for on in [false, true] {
        let (kit, emulator) = Kit::on_clouds(|settings| settings.rooms.mix_elsewhere = on).await;
        let alice = kit.login("live_room", "alice", Generation::First).await;
        let bob = kit.login("live_room", "bob", Generation::First).await;
        let made = bob.own("create_room", json!({ "roomInfo": "", "roomID": "ours" })).await;
        assert_eq!(made["code"], 0);
        let ask = async |room: &str, params: Value| {
            alice.own("merge_stream", json!({ "roomID": room, "mergeParams": params })).await
        };
        let theirs = mix("live_1001", &["live_1001", "live_1002"]);
        let done = ask("their_room", theirs.clone()).await;
        if !on {
            assert_eq!(done["code"], 3, "{done}");
            continue;
        }
        assert_eq!((done["code"].as_i64(), done["result"]["code"].as_i64()), (Some(0), Some(0)), "{done}");
        assert_eq!(emulator.count("CreateCommonMixStream"), 1);
        let ended = ask("their_room", mix("live_1001", &["live_1001"])).await;
        assert_eq!(ended["result"]["code"], 0, "{ended}");
        assert_eq!(emulator.count("CancelCommonMixStream"), 1);
        // Users' streams of this server are theirs, and rooms that are here are for those who push in them.
        let stolen = ask("their_room", mix("live_1001", &["live_1001", "8525_r_bob"])).await;
        assert_eq!(stolen["result"]["code"], -2, "{stolen}");
        let replaced = ask("their_room", mix("8525_bob_1873", &["live_1001", "live_1002"])).await;
        assert_eq!(replaced["result"]["code"], -111, "{replaced}");
        assert_eq!(ask("ours", theirs).await["code"], 3);
        assert_eq!(emulator.count("CreateCommonMixStream"), 1);
    }
}
