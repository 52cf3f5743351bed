//! Setting, counting and the bounds of custom fields.

use super::*;
use crate::id::{RoomId, StreamId, UserId};
use crate::kind::Kind;
use crate::pushers::{NewPusher, add_pusher};
use crate::rules::{MAX_CUSTOM_FIELDS, Rules};

fn active() -> Option<Room> {
    let mut slot = None;
    let room = RoomId::parse("r").unwrap();
    let user = UserId::parse("alice").unwrap();
    let stream = StreamId::parse("s").unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &user, name: "", avatar: "", stream: &stream, info: None };
    add_pusher(&mut slot, Millis(1), &new, &Rules::default()).unwrap();
    slot
}
fn run(slot: &mut Option<Room>, name: &str, operation: Operation) -> Result<Vec<Event>, Refusal> {
    set_custom_field(slot, Millis(2), name, operation)
}

#[test]
fn counts_up_and_down_from_nothing() {
    let mut slot = active();
    run(&mut slot, "like", Operation::Add(1)).unwrap();
    run(&mut slot, "like", Operation::Add(1)).unwrap();
    let events = run(&mut slot, "like", Operation::Add(-1)).unwrap();
    assert_eq!(events[0].what, What::Custom { name: "like".into() });
    assert_eq!(slot.as_ref().unwrap().custom.get("like"), Some(&Value::Int(1)));
    run(&mut slot, "max", Operation::Set(Value::Int(i64::MAX))).unwrap();
    run(&mut slot, "max", Operation::Add(1)).unwrap();
    assert_eq!(slot.unwrap().custom.get("max"), Some(&Value::Int(i64::MAX)));
}

#[test]
fn text_cannot_be_counted() {
    let mut slot = active();
    run(&mut slot, "name", Operation::Set(Value::Text("x".into()))).unwrap();
    assert_eq!(run(&mut slot, "name", Operation::Add(1)), Err(Refusal::NotANumber));
    assert_eq!(slot.unwrap().custom.get("name"), Some(&Value::Text("x".into())));
}

#[test]
fn bounds() {
    let mut slot = active();
    for n in 0..MAX_CUSTOM_FIELDS {
        run(&mut slot, &format!("f{n}"), Operation::Add(1)).unwrap();
    }
    assert_eq!(run(&mut slot, "one_more", Operation::Add(1)), Err(Refusal::TooManyFields { max: 64 }));
    assert!(run(&mut slot, "f0", Operation::Add(1)).is_ok());
    let long = "x".repeat(1025);
    assert_eq!(
        run(&mut slot, "f0", Operation::Set(Value::Text(long.as_str().into()))),
        Err(Refusal::TooLong { field: "value", max: 1024 })
    );
    assert_eq!(run(&mut slot, &long, Operation::Add(1)), Err(Refusal::TooLong { field: "fieldName", max: 64 }));
    assert_eq!(run(&mut slot, "", Operation::Add(1)), Err(Refusal::Missing { field: "fieldName" }));
    assert_eq!(run(&mut None, "f0", Operation::Add(1)), Err(Refusal::NoRoom));
}

#[test]
fn values_and_all_fields_together_are_bounded_as_json() {
    let mut slot = active();
    let text = |byte: &str, n: usize| Operation::Set(Value::Text(byte.repeat(n).into()));
    let too_long = |field, max| Err(Refusal::TooLong { field, max });
    assert!(run(&mut slot, "a", text("x", 1024)).is_ok());
    assert!(run(&mut slot, "a", text("\u{1}", 170)).is_ok());
    assert_eq!(run(&mut slot, "a", text("\u{1}", 171)), too_long("value", 1024));
    assert_eq!(run(&mut slot, "a", text("\"", 513)), too_long("value", 1024));
    assert!(run(&mut slot, "a", text("\u{e9}", 512)).is_ok(), "what JSON does not escape counts as it is");
    let mut last = Ok(Vec::new());
    let mut n = 0;
    while last.is_ok() {
        last = run(&mut slot, &format!("f{n}"), text("\\", 500));
        n += 1;
    }
    assert_eq!(last, too_long("custom", 8192));
    assert_eq!(n, 8, "the eighth is too much: {} bytes are there", written(&slot).len());
    let mut n = 8192 - written(&slot).len() - r#","t":"""#.len();
    assert!(run(&mut slot, "t", text("y", n)).is_ok());
    assert_eq!(written(&slot).len(), 8192);
    assert!(run(&mut slot, "t", text("y", n + 1)).is_err());
    n -= 1;
    assert!(run(&mut slot, "t", text("z", n)).is_ok());
    assert_eq!(run(&mut slot, "like", Operation::Add(1)), too_long("custom", 8192));
    assert_eq!(slot.unwrap().custom.get("like"), None);
}

/// All fields as JSON.
fn written(slot: &Option<Room>) -> String {
    let all = slot.as_ref().unwrap().custom.iter();
    let fields: serde_json::Map<_, _> = all
        .map(|(name, value)| match value {
            Value::Int(n) => (name.to_owned(), serde_json::json!(n)),
            Value::Text(text) => (name.to_owned(), serde_json::json!(text)),
            other => panic!("{other:?}"),
        })
        .collect();
    serde_json::to_string(&fields).unwrap()
}
