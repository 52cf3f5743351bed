//! Neighbours that fail, and defects of ours: what clients are told, and that nothing else happens.

use room::sweep::Pushing;
use room::{Event, Refusal, RoomId, Rules, StreamId};

use super::*;
use ::rooms::Rooms;
use chat::Chat;
use store::Memory;
use store::error::Error;
use streams::live::{Live, MixOutcome, Mixable};

/// A chat service that makes no groups.
struct NoGroups;

impl Chat for NoGroups {
    fn open<'a>(&'a self, _: &'a RoomId) -> store::Answer<'a, ()> {
        Box::pin(async { Err(Error::NoGroup("the service said 10021".into())) })
    }
    fn carry(&self, _: &Event) {}
}

/// A live service whose mixing is broken in the way that the first field says.
struct Broken;

impl Live for Broken {
    fn pushing<'a>(&'a self, streams: &'a [StreamId], _: Millis) -> store::Answer<'a, Vec<Pushing>> {
        Box::pin(async { Ok(vec![Pushing::Unknown; streams.len()]) })
    }
    fn mix<'a>(&'a self, params: &'a Value, _: &'a Mixable) -> store::Answer<'a, MixOutcome> {
        Box::pin(async move {
            assert!(params["panic"].is_null(), "a defect that a test asked for");
            Err(Error::Unavailable("connection refused".into()))
        })
    }
    fn stop<'a>(&'a self, _: &'a StreamId, _: Option<u64>) -> store::Answer<'a, bool> {
        Box::pin(async { Ok(false) })
    }
    fn allow<'a>(&'a self, _: &'a StreamId) -> store::Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn without_a_chat_group_there_is_no_room() {
    let kit = Kit::with(
        |_| {},
        |app| {
            let rules = Arc::new(Rules::default());
            let (outbox, _) = tokio::sync::mpsc::unbounded_channel();
            let store = Arc::new(Memory::new(rules.clone(), outbox));
            app.rooms = Arc::new(Rooms::new(store, Arc::new(NoGroups), app.clock.clone(), rules));
        },
    )
    .await;
    let alice = kit.login("multi_room", "alice", Generation::First).await;
    for reply in [alice.own("create_room", json!({ "roomInfo": "r", "roomID": "r" })).await, alice.enter("r").await] {
        assert_eq!(reply["code"], 6, "{reply}");
        assert!(!reply.to_string().contains("10021"), "the cause is the log's: {reply}");
    }
    assert_eq!(kit.app.rooms.count(), 0);
}

#[tokio::test]
async fn a_defect_costs_one_call_and_gives_its_number() {
    let kit = Kit::with(|_| {}, |app| app.live = Arc::new(Broken)).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let reply = alice.own("merge_stream", json!({ "roomID": "r", "mergeParams": { "panic": true } })).await;
    assert_eq!(reply["code"], -1);
    let message = reply["message"].as_str().unwrap();
    let id = message.split(['(', ')']).nth(1).unwrap();
    kit.app.logs.flush();
    let log = secrets::logs(&kit);
    assert!(log.lines().any(|l| l.contains(id) && l.contains("merge_stream")), "{id} is not in the log:\n{log}");
    assert_eq!(alice.call("get_pushers", json!({ "roomID": "r" })).await["code"], 0, "the next call works");
}

#[tokio::test]
async fn a_neighbour_that_is_away_is_told_apart_from_a_defect() {
    let kit = Kit::with(|_| {}, |app| app.live = Arc::new(Broken)).await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let body = json!({ "userID": "alice", "roomID": "r", "mergeParams": {} }).to_string();
    let answer = kit.post(&alice.path("merge_stream"), "application/json", body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.text().contains("refused"), "{}", answer.text());
}

/// The cases of all refusals: one that has none does not compile.
macro_rules! cases {
    ($($name:ident: $refusal:expr => $code:literal, $names:literal;)*) => {{
        #[allow(unreachable_patterns)]
        let _ = |refusal: Refusal| match refusal {
            $(Refusal::$name { .. } => {})*
        };
        [$(($refusal, $code, $names)),*]
    }};
}

/// Every refusal of the rules has a code of its own in the protocol, and the text names the field.
#[test]
fn every_refusal_has_its_code() {
    let cases = cases![
        Missing: Refusal::Missing { field: "roomInfo" } => 1, "roomInfo";
        TooLong: Refusal::TooLong { field: "roomID", max: 64 } => 1, "roomID";
        TooLong: Refusal::TooLong { field: "roomInfo", max: 1024 } => 10, "roomInfo";
        BadCharacter: Refusal::BadCharacter { field: "userID" } => 1, "userID";
        NotANumber: Refusal::NotANumber => 1, "value";
        TooManyFields: Refusal::TooManyFields { max: 64 } => 10, "64";
        NoRoom: Refusal::NoRoom => 3, "";
        NotCreator: Refusal::NotCreator => 3, "";
        NotMember: Refusal::NotMember => 5, "";
        RoomExists: Refusal::RoomExists => 11, "";
        Full: Refusal::Full => 5001, "";
        AudienceListFull: Refusal::AudienceListFull => 5001, "";
    ];
    for (refusal, code, names) in cases {
        let told = format!("{refusal:?}");
        let fail = weapp::Fail::from(refusal);
        assert_eq!(fail.code, code, "{told}");
        assert!(fail.message.contains(names), "{told}: {}", fail.message);
    }
}
