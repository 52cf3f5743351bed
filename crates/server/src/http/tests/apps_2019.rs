//! What the second generation's apps of 2019 send otherwise than those that came later, and what an app that was killed sends.

use super::*;

#[tokio::test]
async fn fields_are_read_and_counted_by_the_apps_of_2019() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    alice.enter("r").await;
    let change = async |operation: &str, value: Value| {
        let body = json!({ "roomID": "r", "fieldName": "praise", "operation": operation, "value": value });
        alice.own("set_custom_field", body).await
    };
    // iOS sets numbers as text, and Android counts down by another word.
    assert_eq!(change("set", json!("0")).await["code"], 0);
    assert_eq!(change("inc", json!(3)).await["custom"]["praise"], 3);
    assert_eq!(change("del", json!(1)).await["custom"]["praise"], 2);
    assert_eq!(change("set", json!("many")).await["code"], 0);
    assert_eq!(change("inc", json!(1)).await["code"], 1);
    assert_eq!(change("set", json!(2)).await["code"], 0);

    // Who writes the call with a capital letter reads text.
    let old = alice.own("get_custom_Info", json!({ "roomID": "r" })).await;
    assert_eq!((&old["code"], &old["custom"]), (&json!(0), &json!(r#"{"praise":2}"#)));
    let new = alice.own("get_custom_info", json!({ "roomID": "r" })).await;
    assert_eq!(new["custom"], json!({ "praise": 2 }));
}

#[tokio::test]
async fn a_creator_whose_app_was_killed_makes_its_room_again() {
    let kit = Kit::new().await;
    let alice = kit.login("live_room", "alice", Generation::Second).await;
    let eve = kit.login("live_room", "eve", Generation::Second).await;
    // `roomInfo` may be left out, as the clients' headers say.
    let ask = json!({ "roomID": "alice" });
    assert_eq!(alice.own("create_room", ask.clone()).await["code"], 0);
    assert_eq!(alice.own("create_room", ask.clone()).await["code"], 11, "nobody is its creator yet");
    alice.enter("alice").await;
    let again = alice.own("create_room", ask.clone()).await;
    assert_eq!((&again["code"], &again["roomID"]), (&json!(0), &json!("alice")));
    assert_eq!(alice.enter("alice").await["code"], 0);
    assert_eq!(eve.own("create_room", ask.clone()).await["code"], 11);
    // A room of equals has nobody that it belongs to.
    let bob = kit.login("multi_room", "bob", Generation::Second).await;
    bob.enter("bob").await;
    assert_eq!(bob.own("create_room", json!({ "roomID": "bob" })).await["code"], 11);
    assert_eq!(bob.own("create_room", ask).await["code"], 11, "of another kind");
}
