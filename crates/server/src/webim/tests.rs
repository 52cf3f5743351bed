//! The old web client's calls: numbers of errors, and what needs no identity.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ws::tests::client::{Old, post, request};
use crate::ws::tests::{World, room};

const GET: &str = "group_open_long_polling_http_noauth_svc/get_msg";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_the_numbers_that_clients_know() {
    let world = World::start().await;
    let at = world.at;
    let (status, said) = post(at, "/v4/openim/login?identifier=ann&usersig=x&sdkappid=1400000000", &json!({})).await;
    assert_eq!((status, code(&said), &said["ActionStatus"]), (200, 70_001, &json!("FAIL")));
    for path in ["openim/longpolling", "openim/sendmsg", "group_open_http_svc/create_group"] {
        assert_eq!(code(&post(at, &format!("/v4/{path}?tinyid=1&a2=x"), &json!({})).await.1), 70_001, "{path}");
    }
    let (status, said) = post(at, "/v4/openim/nothing", &json!({})).await;
    assert_eq!((status, code(&said), &said["ActionStatus"]), (200, 10_003, &json!("FAIL")), "never without a body");

    let ann = Old::login(&world, "ann").await;
    let nothing = ann.call("openim/longpolling", json!({"Timeout": 0, "Cookie": {}})).await;
    assert_eq!(code(&nothing), 60_008);
    let make = json!({"GroupId": "g", "Type": "AVChatRoom", "Owner_Account": "ann", "Name": "G"});
    assert_eq!(ann.call("group_open_http_svc/create_group", make.clone()).await["GroupId"], "g");
    assert_eq!(code(&ann.call("group_open_http_svc/create_group", make.clone()).await), 0, "twice is fine");
    let bob = Old::login(&world, "bob").await;
    assert_eq!(code(&bob.call("group_open_http_svc/create_group", make).await), 10_021);
    assert_eq!(code(&bob.call("group_open_http_svc/apply_join_group", json!({"GroupId": "no"})).await), 10_010);
    let body = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": "x"}}]);
    let say = |group: &str| json!({"GroupId": group, "Random": 1, "MsgBody": body});
    assert_eq!(code(&bob.call("group_open_http_svc/send_group_msg", say("g")).await), 10_007);
    assert_eq!(code(&bob.call("group_open_http_svc/send_group_msg", say("no")).await), 10_010);
    world.enter(room::Kind::Multi, "r", "cat").await;
    assert_eq!(
        code(&bob.call("group_open_http_svc/send_group_msg", say("r")).await),
        10_007,
        "not in the room's group"
    );
    let take = json!({"GroupId": "r", "Type": "AVChatRoom", "Owner_Account": "bob"});
    assert_eq!(code(&bob.call("group_open_http_svc/create_group", take).await), 10_021, "a room's group is nobody's");
    let other = json!({"From_Account": "ann", "To_Account": "bob", "MsgBody": body});
    assert_eq!(code(&bob.call("openim/sendmsg", other).await), 60_010, "nobody speaks for another");
    let id = ann.call("openim/getlongpollingid", json!({})).await;
    assert!(id["LongPollingId"].is_string() && id["Timeout"].as_u64() <= Some(60), "{id}");
    assert_eq!(ann.call("profile/portrait_get", json!({})).await["UserProfileItem"], json!([]));
    assert_eq!(ann.call("openim/getmsg", json!({"Cookie": "", "SyncFlag": 0})).await["SyncFlag"], 2);

    assert_eq!(code(&ann.call("openim/logout", json!({})).await), 0);
    assert_eq!(code(&ann.call("openim/getlongpollingid", json!({})).await), 70_001);
    world.stop().await;
}

const CREATE: &str = "group_open_http_svc/create_group";
const DESTROY: &str = "group_open_http_svc/destroy_group";

fn code(said: &Value) -> u64 {
    said["ErrorCode"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_makes_a_room_makes_its_group_too() {
    let world = World::start().await;
    let rooms = &world.server.app.rooms;
    let made = rooms.create(room::Kind::Live, Some(&room("r")), "", &crate::ws::tests::user("ann")).await.unwrap();
    let make = json!({"GroupId": made, "Type": "AVChatRoom", "Owner_Account": "ann", "Name": "r"});
    let ann = Old::login(&world, "ann").await;
    let said = ann.call(CREATE, make.clone()).await;
    assert_eq!((code(&said), &said["GroupId"]), (0, &json!("r")), "before the room has a creator: {said}");
    let key = said["LongPollingKey"].as_str().unwrap().to_owned();
    world.enter(room::Kind::Live, "r", "ann").await;
    assert_eq!(code(&ann.call(CREATE, make.clone()).await), 0, "as its creator");
    let bob = Old::login(&world, "bob").await;
    assert_eq!(code(&bob.call(CREATE, make).await), 10_021);
    assert_eq!(code(&bob.call(DESTROY, json!({"GroupId": "r"})).await), 10_007);
    assert_eq!(code(&ann.call(DESTROY, json!({"GroupId": "r"})).await), 0);
    world.server.app.chat.notify(&room("r"), None, "still there").unwrap();
    let polled = ann.call(GET, json!({"StartSeq": 0, "HoldTime": 0, "Key": key})).await;
    let told = polled["RspMsgList"].as_array().unwrap().iter().any(|m| m.to_string().contains("still there"));
    assert!(told, "the key is good, and the group goes with its room alone: {polled}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_without_a_room_is_ended_by_who_made_it() {
    let world = World::start().await;
    let ann = Old::login(&world, "ann").await;
    let bob = Old::login(&world, "bob").await;
    let made = ann.call(CREATE, json!({"GroupId": "g", "Type": "ChatRoom"})).await;
    assert_eq!((code(&made), made.get("LongPollingKey")), (0, None));
    assert_eq!(code(&bob.call(DESTROY, json!({"GroupId": "g"})).await), 10_007);
    assert_eq!(code(&ann.call(DESTROY, json!({"GroupId": "g"})).await), 0);
    assert_eq!(code(&ann.call(DESTROY, json!({"GroupId": "g"})).await), 10_010);
    world.stop().await;
}

/// Those of version 1.7 of the client that mean nothing here, and those that find nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_an_answer() {
    let world = World::start().await;
    let ann = Old::login(&world, "ann").await;
    let commands = [
        ("group_open_http_svc/get_group_info", 0),
        ("group_open_http_svc/get_group_member_info", 10_010),
        ("group_open_http_svc/group_msg_get", 10_003),
        ("group_open_http_svc/modify_group_base_info", 10_003),
        ("group_open_http_svc/forbid_send_msg", 10_003),
        ("sns/black_list_add", 10_003),
        ("recentcontact/get", 0),
        ("openim/getroammsg", 0),
    ];
    for (command, expected) in commands {
        let said = ann.call(command, json!({"GroupId": "g"})).await;
        let status = if expected == 0 { "OK" } else { "FAIL" };
        assert_eq!((code(&said), said["ActionStatus"].as_str()), (expected, Some(status)), "{command}: {said}");
    }
    let (status, said) = request(world.at, "GET", "/v4/openim/login", "").await;
    assert_eq!((status, &said["ActionStatus"]), (405, &json!("FAIL")));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_login_ends_the_older_ones_poll() {
    let world = World::start().await;
    let mut old = Old::login(&world, "ann").await;
    let held = async { old.call("openim/longpolling", json!({"Timeout": 60, "Cookie": {}})).await };
    let newer = async {
        // Until the poll is held, so that it is what ends.
        let ann = crate::ws::tests::user("ann");
        while world.server.app.chat.poller_of(&ann).is_none_or(|first| Arc::strong_count(&first) < 3) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Old::login(&world, "ann").await
    };
    let (held, mut newer) = tokio::join!(held, newer);
    assert_eq!(held["ErrorCode"], 91_101, "{held}");
    assert_eq!(old.call("openim/longpolling", json!({"Timeout": 60, "Cookie": {}})).await["ErrorCode"], 91_101);
    world.server.app.chat.create(&room("g"), None, "").unwrap();
    newer.join("g").await;
    old = newer;
    old.call("group_open_http_svc/quit_group", json!({"GroupId": "g"})).await;
    let gone = json!({"StartSeq": 0, "HoldTime": 60, "Key": old.key()});
    assert_eq!(old.call(GET, gone).await["ErrorCode"], 10_007);
    world.stop().await;
}

/// A mini-program asks again at once after every answer, and acts on every message as on one that is said now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mini_program_hears_what_is_said_from_now_on_and_is_answered_slowly_where_it_may_not() {
    let world = World::start().await;
    let group = room("g");
    world.server.app.chat.create(&group, None, "Group").unwrap();
    let mut ann = Old::login(&world, "ann").await;
    world.server.app.chat.notify(&group, None, "before").unwrap();
    ann.join("g").await;
    world.server.app.chat.notify(&group, None, "since").unwrap();
    let polled = ann.call(GET, json!({"StartSeq": 0, "HoldTime": 90, "Key": ann.key()})).await;
    assert!(polled["HoldTime"].as_u64().unwrap() <= 60, "WeChat hangs up after a minute: {polled}");
    let heard: Vec<_> =
        polled["RspMsgList"].as_array().unwrap().iter().map(|m| &m["MsgBody"]["UserDefinedField"]).collect();
    assert_eq!(heard, [&json!("since")], "{polled}");
    // Who leaves hears so at once: its client, told later, would ask in the room that it is in by then. Who asks on waits.
    let held = async { ann.call(GET, json!({"StartSeq": 3, "HoldTime": 60, "Key": ann.key()})).await };
    let quits = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        ann.call("group_open_http_svc/quit_group", json!({"GroupId": "g"})).await;
    };
    let began = Instant::now();
    assert_eq!(code(&tokio::join!(held, quits).0), 10_007);
    let again = async || ann.call(GET, json!({"StartSeq": 0, "HoldTime": 60, "Key": ann.key()})).await;
    assert_eq!((code(&again().await), began.elapsed() < Duration::from_secs(3)), (10_007, true));
    for _ in 0..3 {
        assert_eq!(code(&again().await), 10_007);
    }
    assert!(began.elapsed() > Duration::from_secs(4), "{:?}", began.elapsed());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_name_may_listen() {
    let world = World::start().await;
    world.server.app.chat.create(&room("g"), None, "Group").unwrap();
    let (_, said) = post(world.at, "/v1/group_open_http_noauth_svc/apply_join_group", &json!({"GroupId": "g"})).await;
    let key = said["LongPollingKey"].as_str().unwrap();
    world.server.app.chat.notify(&room("g"), None, "{}").unwrap();
    let (_, said) = post(world.at, &format!("/v1/{GET}"), &json!({"StartSeq": 0, "HoldTime": 60, "Key": key})).await;
    assert_eq!((&said["NextSeq"], &said["RspMsgList"][0]["GroupInfo"]["GroupName"]), (&json!(2), &json!("Group")));
    let (_, said) = post(world.at, &format!("/v1/{GET}"), &json!({"StartSeq": 0, "Key": "forged"})).await;
    assert_eq!(said["ErrorCode"], 70_001);
    world.stop().await;
}

/// What the TIM web SDK waits for before it is ready, and before it sends anything to a group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tim_web_sdk_is_answered() {
    let world = World::start().await;
    for command in
        ["webim/accesslayer", "openim/authkey", "imopenstat/tim_web_report", "group_open_http_svc/get_pendency"]
    {
        let (_, said) = post(world.at, &format!("/v4/{command}?platform=10"), &json!({})).await;
        assert_eq!(code(&said), 0, "{command} is asked without identity: {said}");
    }
    let ann = Old::login(&world, "ann").await;
    let sdk = async |command: &str, body: Value| {
        ann.call(&format!("{command}?contentType=json&v=1.7.3&platform=10"), body).await
    };
    assert_eq!(sdk("webim/accesslayer", json!({})).await["WebImAccessLayer"], 3, "1 sends it to another host");
    assert_eq!(sdk("recentcontact/page_get", json!({})).await["CompleteFlag"], 1, "or it asks on and on");
    let synced = sdk("openim/getmsg", json!({"Cookie": "", "SyncFlag": 0})).await;
    assert_ne!(synced["Cookie"], "", "without one it hears no private messages");
    let idle = sdk("openim/longpolling", json!({"Timeout": 0, "Cookie": {}})).await;
    assert_eq!((code(&idle), &idle["EventArray"]), (0, &json!([])), "no error that its app would be told");
    let polls = "openim/longpolling?websdkappid=537048168&v=1.7.3&platform=10&accounttype=0&contentType=json";
    assert_eq!(code(&ann.call(polls, json!({"Timeout": 0, "Cookie": {}})).await), 0, "its polls say more");
    // webim 1.7.2 of mini-programs has a platform, too.
    let webim = "openim/longpolling?v=1.7.2&platform=10&accounttype=0&contenttype=json";
    assert_ne!(code(&ann.call(webim, json!({"Timeout": 0, "Cookie": {}})).await), 0, "it asks again by itself");

    let nick = json!({"ProfileItem": [{"Tag": "Tag_Profile_IM_Nick", "Value": "Ann"}]});
    sdk("profile/portrait_set", nick.clone()).await;
    let asked = json!({"UserItem": [{"To_Account": "ann"}, {"To_Account": "nobody"}]});
    let profiles = sdk("profile/portrait_get_all", asked).await;
    assert_eq!(profiles["UserProfileItem"][0]["ProfileItem"], nick["ProfileItem"]);
    assert_eq!(profiles["UserProfileItem"][1], json!({"To_Account": "nobody", "ProfileItem": []}));
    let many: Vec<_> = (0..101).map(|n| json!({"To_Account": format!("u{n}")})).collect();
    assert_eq!(code(&sdk("profile/portrait_get_all", json!({"UserItem": many})).await), 10_004);
    let read = sdk("openim/get_peer_read_time", json!({"To_Account": ["ann", "bob"]})).await;
    assert_eq!(read["ReadTime"], json!([0, 0]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tim_web_sdk_sees_groups_and_their_members() {
    const MEMBERS: &str = "group_open_http_svc/get_specified_group_member_info";
    let world = World::start().await;
    let ann = Old::login(&world, "ann").await;
    let mut bob = Old::login(&world, "bob").await;
    ann.call(CREATE, json!({"GroupId": "g", "Type": "AVChatRoom", "Name": "Group"})).await;
    world.enter(room::Kind::Live, "r", "cat").await;
    let shown = bob.call("group_open_http_svc/get_group_info", json!({"GroupIdList": ["g", "r", "none"]})).await;
    let shown = shown["GroupInfo"].as_array().unwrap();
    let fields = |group: &Value| (group["Name"].clone(), group["Owner_Account"].clone(), group["MemberNum"].clone());
    assert_eq!(fields(&shown[0]), (json!("Group"), json!("ann"), json!(1)));
    assert_eq!(
        (&shown[1]["Type"], &shown[1]["Owner_Account"]),
        (&json!("AVChatRoom"), &json!("cat")),
        "the room's creator"
    );
    assert_eq!((code(&shown[2]), &shown[2]["GroupId"]), (10_010, &json!("none")));
    let many: Vec<String> = (0..21).map(|n| format!("g{n}")).collect();
    assert_ne!(code(&bob.call("group_open_http_svc/get_group_info", json!({"GroupIdList": many})).await), 0);

    let asked = json!({"GroupId": "g", "Member_List_Account": ["ann", "bob"]});
    let roles = async |of: &Old| of.call(MEMBERS, asked.clone()).await["MemberList"].clone();
    let is = |role: &str| json!([{"Member_Account": "ann", "Role": "Owner"}, {"Member_Account": "bob", "Role": role}]);
    assert_eq!(roles(&bob).await, is("NotMember"));
    bob.join("g").await;
    assert_eq!(roles(&bob).await, is("Member"));
    let all = bob.call("group_open_http_svc/get_group_member_info", json!({"GroupId": "g", "Limit": 30})).await;
    assert_eq!((&all["MemberNum"], &all["MemberList"][0]["Member_Account"]), (&json!(2), &json!("bob")));
    assert_eq!(code(&bob.call(MEMBERS, json!({"GroupId": "none"})).await), 10_010);

    ann.call(DESTROY, json!({"GroupId": "g"})).await;
    let notice = &bob.poll().await[0];
    let told = (&notice["MsgBody"]["ReportType"], &notice["GroupInfo"]["GroupId"]);
    assert_eq!(told, (&json!(5), &json!("g")), "which group it has to forget");
    assert_eq!(code(&bob.call("openim/longpollinglogout", json!({})).await), 0);
    assert_eq!(code(&bob.call("openim/getlongpollingid", json!({})).await), 70_001, "it has logged out");
    world.stop().await;
}

const JOIN: &str = "/v4/group_open_http_noauth_svc/apply_join_group?contenttype=json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_without_a_name_leave_places_for_others() {
    let world = World::with(|settings| settings.chat.max_connections = 4).await;
    let app = &world.server.app;
    for _ in 0..4 {
        assert_eq!(code(&post(world.at, JOIN, &json!({"GroupId": "nowhere"})).await.1), 10_010);
    }
    assert_eq!(app.chat.connections(), 0, "where there is nothing to listen to, nobody takes a place");
    world.enter(room::Kind::Live, "r", "cat").await;
    for expected in [0, 0, 60_006, 60_006] {
        assert_eq!(code(&post(world.at, JOIN, &json!({"GroupId": "r"})).await.1), expected);
    }
    let mut ann = Old::login(&world, "ann").await;
    ann.join("r").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_is_kept_for_other_nodes_and_restarts() {
    let world = World::with(|settings| settings.store.kind = store::Place::Journal).await;
    let ann = Old::login(&world, "ann").await;
    assert_eq!(code(&ann.call("openim/logout", json!({})).await), 0);
    let kept = world.server.app.store.revoked(room::Millis(0)).await.unwrap();
    assert_eq!(kept.ended.len(), 1, "{kept:?}");
    world.stop().await;
}
