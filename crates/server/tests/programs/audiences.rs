//! Audiences when the server, or one of several, is killed.

use crate::kit::chat::Chat;
use crate::kit::redis::node_with;
use crate::kit::{Server, User, directory, until};
use serde_json::{Value, json};
use testkit::RedisServer;

/// Nobody is removed for silence while this goes on.
const PATIENT: [(&str, &str); 1] = [("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "120")];

fn make(server: &Server) {
    let anchor = server.login("live_room", "anchor");
    assert_eq!(anchor.enter("r", &anchor.push_url("r"))["code"], 0);
}

fn watch(user: &User<'_>) {
    user.ok("add_audience", json!({ "roomID": "r", "userInfo": format!("of {}", user.id) }));
}

fn audience(server: &Server) -> Value {
    let reply = server.login("live_room", "anchor").ok("get_audiences", json!({ "roomID": "r" }));
    json!([reply["audienceCount"], reply["audiences"]])
}

#[test]
fn the_audience_is_there_after_the_server_was_killed() {
    let mut server = Server::with(directory(), &PATIENT);
    make(&server);
    for who in ["v1", "v2", "v3"] {
        watch(&server.login("live_room", who));
    }
    server.login("live_room", "v2").ok("delete_audience", json!({ "roomID": "r" }));
    // Durable, and so is all that was before it.
    let field = json!({ "roomID": "r", "fieldName": "likes", "operation": "inc", "value": 1 });
    server.login("live_room", "anchor").ok("set_custom_field", field);
    let wanted = json!([2, [{ "userID": "v1", "userInfo": "of v1" }, { "userID": "v3", "userInfo": "of v3" }]]);
    assert_eq!(audience(&server), wanted);
    for _ in 0..2 {
        server.crash();
        server = server.again(&PATIENT);
        assert_eq!(audience(&server), wanted);
    }
}

#[test]
fn viewers_of_a_node_that_was_killed_leave_unless_another_node_sees_them() {
    let redis = RedisServer::start(&[]);
    let a = node_with(&redis, &PATIENT);
    let mut b = node_with(&redis, &PATIENT);
    make(&a);
    let [lost, moved] = ["lost", "moved"].map(|who| {
        let user = b.login("live_room", who);
        let mut chat = Chat::connect(&b, &user);
        chat.ask(json!({"type": "join", "room": "r"}));
        watch(&user);
        chat
    });
    let keys = || redis.cli(&["--scan", "--pattern", "rs:{0}:present:*"]).lines().count();
    until("the node says whom it has", || keys() == 1);
    let away = |who: &str| !redis.cli(&["zscore", "rs:{0}:away", &format!("r {who}")]).trim().is_empty();
    assert!(!away("lost"));
    b.crash();
    drop((lost, moved));
    until("the other node waits for them", || away("lost") && away("moved"));
    let user = a.login("live_room", "moved");
    let mut moved = Chat::connect(&a, &user);
    moved.ask(json!({"type": "join", "room": "r"}));
    until("one is back", || !away("moved"));
    assert_eq!(audience(&a)[0], 2);
    // Three minutes later.
    redis.cli(&["zadd", "rs:{0}:away", "1", "r lost"]);
    let wanted = json!([1, [{ "userID": "moved", "userInfo": "of moved" }]]);
    until("the other has left", || audience(&a) == wanted);
    // Clients of before only join the chat again.
    let user = a.login("live_room", "lost");
    let mut lost = Chat::connect(&a, &user);
    lost.ask(json!({"type": "join", "room": "r"}));
    until("it is counted again", || audience(&a)[0] == 2);
}
