//! A WebSocket user and a user of the old web client share a room, from its making to its end.

use room::chat::Since;
use serde_json::{Value, json};

use super::World;
use super::client::{Old, Socket, post};

const CHANGED: &str = r#"{"cmd":"notifyPusherChange","data":""}"#;

async fn call(world: &World, who: (&str, &str), call: &str, body: Value) -> Value {
    let target = format!("/weapp/double_room/{call}?userID={}&token={}", who.0, who.1);
    let (status, said) = post(world.at, &target, &body).await;
    assert_eq!((status, &said["code"]), (200, &json!(0)), "{call}: {said}");
    said
}

async fn push(world: &World, who: (&str, &str), room: &str) {
    let url = call(world, who, "get_push_url", json!({"userID": who.0, "roomID": room})).await;
    let body = json!({"roomID": room, "userID": who.0, "userName": who.0, "userAvatar": "", "pushURL": url["pushURL"]});
    call(world, who, "add_pusher", body).await;
}

fn linkmic(kind: &str) -> String {
    json!({"cmd": "linkmic", "data": {"type": kind}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_everything_exactly_once() {
    let world = World::start().await;
    let ann_token = world.token("ann");
    let bob_token = world.token("bob");
    let ann_is = ("ann", &*ann_token);
    let bob_is = ("bob", &*bob_token);

    let room = call(&world, ann_is, "create_room", json!({"userID": "ann", "roomInfo": "talk"})).await;
    let room = room["roomID"].as_str().unwrap().to_owned();
    let mut ann = Old::login(&world, "ann").await;
    ann.join(&room).await;
    let mut bob = Socket::connect(&world, "bob", &bob_token, None).await;
    let joined = bob.ask(json!({"type": "join", "room": room})).await;
    assert_eq!((&joined["last"], &joined["users"]), (&json!(0), &json!(2)), "{joined}");

    // Each enters; each change is one notification.
    push(&world, ann_is, &room).await;
    let first = bob.event().await;
    let heard = ann.poll().await;
    assert_eq!((&first["notice"], &first["data"], &first["seq"]), (&json!("custom"), &json!(CHANGED), &json!(1)));
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((&heard[0]["Event"], &heard[0]["From_Account"]), (&json!(5), &json!("@TIM#SYSTEM")));
    assert_eq!(
        (&heard[0]["MsgBody"]["ReportType"], &heard[0]["MsgBody"]["UserDefinedField"]),
        (&json!(255), &json!(CHANGED))
    );
    push(&world, bob_is, &room).await;
    assert_eq!(bob.event().await["seq"], 2);
    assert_eq!(ann.poll().await[0]["MsgSeq"], 2);

    // Messages both ways; the sender hears itself, too. A poll that is held is answered.
    let (heard, sent) = tokio::join!(ann.poll(), async {
        let nick = bob.ask(json!({"type": "nick", "nick": "Bob"})).await;
        assert_eq!(nick["type"], "ack", "{nick}");
        bob.ask(json!({"type": "send", "room": room, "text": "hello"})).await
    });
    assert_eq!((sent["type"].as_str(), &sent["seq"]), (Some("ack"), &json!(3)));
    assert_eq!((heard.len(), &heard[0]["Event"]), (1, &json!(3)));
    let elements = &heard[0]["MsgBody"];
    let named = r#"{"cmd":"CustomTextMsg","data":{"nickName":"Bob","headPic":""}}"#;
    assert_eq!(elements[0]["MsgContent"]["Data"], named, "without it the page of 2018 stops listening: {elements}");
    assert_eq!(elements[1]["MsgContent"]["Text"], "hello");
    assert_eq!((&heard[0]["From_Account"], &heard[0]["GroupInfo"]["From_AccountNick"]), (&json!("bob"), &json!("Bob")));
    assert_eq!(bob.event().await["seq"], 3);
    let custom = json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": r#"{"cmd":"x","data":{}}"#, "Desc": "", "Ext": "e"}}]);
    let body = json!({"GroupId": room, "From_Account": "ann", "Random": 7, "MsgBody": custom, "MsgPriority": "COMMON"});
    let sent = ann.call("group_open_http_svc/send_group_msg", body.clone()).await;
    assert_eq!((&sent["ErrorCode"], &sent["MsgSeq"]), (&json!(0), &json!(4)), "{sent}");
    let again = ann.call("group_open_http_svc/send_group_msg", body).await;
    assert_eq!(again["MsgSeq"], 4, "the same one again is the first one");
    let said = bob.event().await;
    assert_eq!((&said["from"], &said["body"], &said["seq"]), (&json!("ann"), &custom, &json!(4)));
    assert_eq!(ann.poll().await[0]["MsgRandom"], 7);

    // Co-anchoring is asked for and granted in private.
    let asked = json!({"type": "direct", "to": "ann", "custom": {"data": linkmic("request")}, "random": 1});
    let (heard, ack) = tokio::join!(ann.poll_direct(), bob.ask(asked));
    assert_eq!(ack["waits"], false, "{ack}");
    assert_eq!((heard.len(), &heard[0]["From_Account"]), (1, &json!("bob")));
    assert_eq!(heard[0]["MsgBody"][0]["MsgContent"]["Data"], linkmic("request"));
    let content =
        json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": linkmic("response"), "Desc": "", "Ext": ""}}]);
    let answer = json!({"From_Account": "ann", "To_Account": "bob", "MsgTimeStamp": 1, "MsgSeq": 9, "MsgRandom": 8, "MsgBody": content});
    let sent = ann.call("openim/sendmsg", answer.clone()).await;
    assert!(sent["MsgTime"].is_u64(), "{sent}");
    ann.call("openim/sendmsg", answer).await;
    let granted = bob.event().await;
    assert_eq!((&granted["type"], &granted["body"]), (&json!("direct"), &content));

    // One leaves, then the other, which closes the room and its group.
    call(&world, bob_is, "delete_pusher", json!({"roomID": room, "userID": "bob"})).await;
    assert_eq!(bob.event().await["seq"], 5, "the private answer came once");
    assert_eq!(ann.poll().await[0]["MsgSeq"], 5);
    call(&world, ann_is, "delete_pusher", json!({"roomID": room, "userID": "ann"})).await;
    assert_eq!(bob.event().await["data"], CHANGED);
    let last = bob.event().await;
    assert_eq!((&last["notice"], &last["seq"]), (&json!("destroyed"), &json!(7)));
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(ann.poll().await);
    }
    assert_eq!((&heard[0]["MsgSeq"], &heard[1]["MsgSeq"]), (&json!(6), &json!(7)));
    assert_eq!(heard[1]["MsgBody"]["ReportType"], 5);
    let after = json!({"StartSeq": 8, "HoldTime": 60, "Key": ann.key()});
    assert_eq!(ann.call("group_open_long_polling_http_noauth_svc/get_msg", after).await["ErrorCode"], 10_010);
    let after = bob.ask(json!({"type": "send", "room": room, "text": "anybody?"})).await;
    assert_eq!(after["code"], "no_room");
    let since = Since { epoch: room::chat::Epoch(0), seq: 0 };
    assert!(world.server.app.chat.catch_up(&super::room(&room), since).is_err(), "the group is gone");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_out_is_told_to_stay_away() {
    let world = World::start().await;
    let token = world.token("bob");
    let mut bob = Socket::connect(&world, "bob", &token, None).await;
    let mut other = Socket::enter(&world, "bob").await;
    call(&world, ("bob", &token), "logout", json!({})).await;
    assert_eq!(bob.end().await, Some(4501));
    assert_eq!(other.ask(json!({"type": "ping"})).await["type"], "ack", "another login goes on");
    let target = format!("/ws/validate?userID=bob&token={token}");
    let (status, said) = super::client::request(world.at, "GET", &target, "").await;
    assert_eq!((status, &said["ok"], &said["code"]), (200, &json!(false), &json!("session_ended")));
    let stop = world.stop();
    let (_, code) = tokio::join!(stop, other.end());
    assert_eq!(code, Some(4000), "the server says that it stops");
}

/// The class room of 2018: chat with `Ext` TEXT, a board in custom messages; and a page of an app's own, whose group has no room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_not_of_rooms_with_streams_are_given_what_was_said() {
    let world = World::start().await;
    let make = json!({"userID": "annie", "roomInfo": "class"});
    let (_, class) = post(world.at, "/weapp/webrtc_room/create_room", &make).await;
    let class = class["roomID"].as_str().unwrap_or_else(|| panic!("{class}")).to_owned();
    for group in [&*class, "page"] {
        let mut ann = Old::login(&world, "annie").await;
        let made = json!({"GroupId": group, "Type": "ChatRoom", "Name": "n"});
        ann.call("group_open_http_svc/create_group", made).await;
        ann.join(group).await;
        let bob = Old::login(&world, "bobby").await;
        bob.call("group_open_http_svc/apply_join_group", json!({"GroupId": group})).await;
        let element = |data: &str, desc: &str, ext: &str| json!({"MsgType": "TIMCustomElem", "MsgContent": {"Data": data, "Desc": desc, "Ext": ext}});
        for (n, said) in [
            element("hello", r#"{"nickName":"Bob"}"#, "TEXT"),
            element(r#"{"boardId":"1","line":[1,2]}"#, "", "TXWhiteBoardExt"),
            json!({"MsgType": "TIMTextElem", "MsgContent": {"Text": "plain"}}),
        ]
        .into_iter()
        .enumerate()
        {
            let body = json!({"GroupId": group, "From_Account": "bobby", "Random": n + 1, "MsgBody": [said]});
            let sent = bob.call("group_open_http_svc/send_group_msg", body).await;
            assert_eq!(sent["ErrorCode"], 0, "{sent}");
            assert_eq!(ann.poll().await[0]["MsgBody"], json!([said]), "{group}");
            let body = json!({"From_Account": "bobby", "To_Account": "annie", "MsgSeq": n, "MsgRandom": group.len() * 10 + n, "MsgBody": [said]});
            let sent = bob.call("openim/sendmsg", body).await;
            assert_eq!(sent["ErrorCode"], 0, "{sent}");
            assert_eq!(ann.poll_direct().await[0]["MsgBody"], json!([said]), "{group}");
        }
        // They leave, and are in no group of the class when they come to the page.
        for who in [&ann, &bob] {
            who.call("group_open_http_svc/quit_group", json!({"GroupId": group})).await;
        }
    }
}
