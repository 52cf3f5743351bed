//! The first server's `multi_room`, as it was recorded, beside ours: where both are right, clients find the
//! same codes, and every field they know in the type they know.

use super::*;

/// Steps at which the first server was wrong (the list in section 10 of the protocol) or made up what it lacks.
const ITS_FAULTS: [&str; 4] = [
    "add_pusher (room does not exist)",
    "get_pushers (after add_pusher to new room)",
    "logout",
    "get_room_list after logout",
];

const RECORDED: &str = include_str!("../../../tests/golden/first_server_multi_room.json");

/// Whether `ours` has everything that `theirs` has.
fn covers(at: &str, theirs: &Value, ours: &Value, missing: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                match ours.get(name) {
                    Some(our) => covers(&format!("{at}.{name}"), value, our, missing),
                    None => missing.push(format!("{at}.{name} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(their), Some(our)) = (theirs.first(), ours.first()) {
                covers(&format!("{at}[]"), their, our, missing);
            }
        }
        _ if std::mem::discriminant(theirs) == std::mem::discriminant(ours) => {}
        _ => missing.push(format!("{at} is {ours}, theirs {theirs}")),
    }
}

#[test]
fn a_missing_field_and_another_type_are_seen() {
    let mut missing = Vec::new();
    covers("x", &json!({ "a": 1, "b": [{ "c": "" }] }), &json!({ "a": "1", "b": [{}] }), &mut missing);
    assert_eq!(missing, ["x.a is \"1\", theirs 1", "x.b[].c is missing"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_first_server_was_right_we_answer_as_it_did() {
    let theirs: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let ours = golden::transcript("multi_room", Generation::First).await;
    let mut compared = Vec::new();
    let mut wrong = Vec::new();
    for their in &theirs {
        let step = their["step"].as_str().unwrap().replace("_multi_room", "");
        // Calls that it does not have in multi_room it answers with a success that says nothing.
        let fault = their["reply"]["data"].is_object() || ITS_FAULTS.contains(&step.as_str());
        let Some(our) = ours.iter().find(|our| our["step"] == step.as_str()).filter(|_| !fault) else { continue };
        if step == "get_room_list cnt=0 index=0" || (step == "add_pusher fourth" && our["reply"]["code"] != 0) {
            continue;
        }
        if their["reply"]["code"] != our["reply"]["code"] {
            wrong.push(format!("{step}: code {}, theirs {}", our["reply"]["code"], their["reply"]["code"]));
        }
        covers(&step, &their["reply"], &our["reply"], &mut wrong);
        compared.push(step);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared.len() >= 25, "only {} steps are compared: {compared:?}", compared.len());
}
