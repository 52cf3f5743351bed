//! Changes of which nobody knows what became: they are told apart from those that were not made, and a key makes it safe to ask
//! for them once more.

use room::{Event, Kind, Millis, RoomId, Rules, StreamId, UserId};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use ::rooms::Rooms;
use store::error::Error;
use store::{Agreement, Ban, Counters, Decide, Memory, Presences, Probed, Row, See, Store, Table, Totals, Viewers};

/// A chat service that is content.
struct Quiet;

impl chat::Chat for Quiet {
    fn open<'a>(&'a self, _: &'a RoomId) -> store::Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
    fn carry(&self, _: &Event) {}
}

/// A store that makes changes and at times cannot say so.
struct Mute(Memory, AtomicBool);

impl Mute {
    fn answer(&self) -> Result<(), Error> {
        if self.1.load(Ordering::SeqCst) { Err(Error::Unknown("no answer in time".into())) } else { Ok(()) }
    }
}

impl Store for Mute {
    fn update<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> store::Answer<'a, ()> {
        Box::pin(async move {
            self.0.update(id, decide).await?;
            self.answer()
        })
    }
    fn make<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> store::Answer<'a, ()> {
        self.update(id, decide)
    }
    fn keep<'a>(&'a self, id: &'a RoomId, decide: &'a mut Decide<'a>) -> store::Answer<'a, ()> {
        self.update(id, decide)
    }
    fn see<'a>(&'a self, id: &'a RoomId, see: &'a mut See<'a>) -> store::Answer<'a, bool> {
        self.0.see(id, see)
    }
    fn touch<'a>(&'a self, id: &'a RoomId, now: Millis, kind: Kind, user: &'a UserId) -> store::Answer<'a, i64> {
        self.0.touch(id, now, kind, user)
    }
    fn list<'a>(&'a self, kind: Kind, index: usize, count: usize, see: &'a mut See<'a>) -> store::Answer<'a, ()> {
        self.0.list(kind, index, count, see)
    }
    fn due(&self, now: Millis, limit: usize) -> store::Answer<'_, Vec<RoomId>> {
        self.0.due(now, limit)
    }
    fn add_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId, info: Option<&'a str>) -> store::Answer<'a, bool> {
        self.0.add_viewer(id, user, info)
    }
    fn delete_viewer<'a>(&'a self, id: &'a RoomId, user: &'a UserId) -> store::Answer<'a, bool> {
        self.0.delete_viewer(id, user)
    }
    fn viewers<'a>(&'a self, id: &'a RoomId) -> store::Answer<'a, Viewers> {
        self.0.viewers(id)
    }
    fn ids(&self) -> store::Answer<'_, Vec<RoomId>> {
        self.0.ids()
    }
    fn revoke(&self, session: u64, until: Millis, now: Millis) -> store::Answer<'_, ()> {
        self.0.revoke(session, until, now)
    }
    fn revoke_before<'a>(&'a self, before: &'a store::EndedBefore, now: Millis) -> store::Answer<'a, ()> {
        self.0.revoke_before(before, now)
    }
    fn revoked(&self, since: Millis) -> store::Answer<'_, store::Logouts> {
        self.0.revoked(since)
    }
    fn ban<'a>(&'a self, ban: &'a Ban, now: Millis) -> store::Answer<'a, ()> {
        self.0.ban(ban, now)
    }
    fn bans(&self, since: Millis) -> store::Answer<'_, Vec<Ban>> {
        self.0.bans(since)
    }
    fn agree<'a>(&'a self, stream: &'a StreamId, to: Option<&'a Agreement>, now: Millis) -> store::Answer<'a, ()> {
        self.0.agree(stream, to, now)
    }
    fn agreement<'a>(&'a self, stream: &'a StreamId, now: Millis) -> store::Answer<'a, Option<Agreement>> {
        self.0.agreement(stream, now)
    }
    fn put_row<'a>(&'a self, table: Table, row: &'a Row, replace: bool, now: Millis) -> store::Answer<'a, bool> {
        self.0.put_row(table, row, replace, now)
    }
    fn take_row<'a>(&'a self, table: Table, key: &'a str) -> store::Answer<'a, ()> {
        self.0.take_row(table, key)
    }
    fn row<'a>(&'a self, table: Table, key: &'a str, now: Millis) -> store::Answer<'a, Option<Row>> {
        self.0.row(table, key, now)
    }
    fn rows<'a>(
        &'a self,
        table: Table,
        below: Option<&'a str>,
        count: usize,
        now: Millis,
    ) -> store::Answer<'a, Vec<Row>> {
        self.0.rows(table, below, count, now)
    }
    fn watching(&self) -> Vec<(RoomId, UserId)> {
        self.0.watching()
    }
    fn presences(&self) -> Option<&dyn Presences> {
        self.0.presences()
    }
    fn probe(&self) -> Probed<'_> {
        self.0.probe()
    }
    fn counters(&self) -> Option<&Counters> {
        self.0.counters()
    }
    fn totals(&self) -> Option<Totals> {
        self.0.totals()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

async fn kit() -> (Kit, Arc<Mute>) {
    let rules = Arc::new(Rules::default());
    let (outbox, _) = tokio::sync::mpsc::unbounded_channel::<Vec<Event>>();
    let store = Arc::new(Mute(Memory::new(rules.clone(), outbox), AtomicBool::new(false)));
    let held = store.clone();
    let kit =
        Kit::with(|_| {}, move |app| app.rooms = Arc::new(Rooms::new(held, Arc::new(Quiet), app.clock.clone(), rules)))
            .await;
    (kit, store)
}

async fn named(kit: &Kit, path: &str, body: &Value, key: &str) -> (StatusCode, Value) {
    let request = axum::http::Request::post(path).header("idempotency-key", key);
    let answer = kit.send(request.body(Body::from(body.to_string())).unwrap()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn what_may_have_been_done_is_said_to_be_unknown_and_done_once_under_its_key() {
    let (kit, store) = kit().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let likes = |reply: &Value| serde_json::from_str::<Value>(reply["custom"].as_str().unwrap()).unwrap()["n"].clone();
    let path = alice.path("set_custom_field");
    let body = json!({ "roomID": "r", "fieldName": "n", "operation": "inc" });
    store.1.store(true, Ordering::SeqCst);
    let (status, reply) = named(&kit, &path, &body, "one").await;
    assert_eq!((status.as_u16(), &reply["code"]), (504, &json!(504)), "{reply}");
    store.1.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let (status, reply) = named(&kit, &path, &body, "one").await;
        assert_eq!((status.as_u16(), likes(&reply)), (200, json!(1)), "the same request, whatever became of it");
    }
    assert_eq!(likes(&named(&kit, &path, &body, "two").await.1), 2, "another");
    assert_eq!(
        likes(&kit.post(&path, "application/json", body.to_string()).await.json()),
        3,
        "without a key each counts"
    );
    assert_eq!(named(&kit, &path, &body, "no spaces").await.1["code"], 1);
}

#[tokio::test]
async fn a_room_whose_id_was_never_heard_is_made_once() {
    let (kit, store) = kit().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let path = alice.path("create_room");
    let body = json!({ "userID": "alice", "roomInfo": "x" });
    store.1.store(true, Ordering::SeqCst);
    assert_eq!(named(&kit, &path, &body, "k").await.0.as_u16(), 504);
    store.1.store(false, Ordering::SeqCst);
    let first = named(&kit, &path, &body, "k").await.1;
    assert_eq!((&first["code"], store.len()), (&json!(0), 1), "{first}");
    assert_eq!(named(&kit, &path, &body, "k").await.1["roomID"], first["roomID"]);
    assert_ne!(named(&kit, &path, &body, "l").await.1["roomID"], first["roomID"]);
    let call = json!({ "userID": "alice", "roomInfo": "x" });
    let made: Vec<Value> = [
        named(&kit, "/weapp/webrtc_room/create_room", &call, "k").await.1,
        named(&kit, "/weapp/webrtc_room/create_room", &call, "k").await.1,
    ]
    .map(|reply| reply["roomID"].clone())
    .into();
    assert_eq!(made[0], made[1]);
}

#[tokio::test]
async fn operators_hear_it_too() {
    let (kit, store) = kit().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let ask = async |key: &str| {
        let request = axum::http::Request::patch("/api/v1/rooms/r").header("idempotency-key", key);
        let request = request.header("content-type", "application/json").header("host", "127.0.0.1");
        kit.send(request.body(Body::from(r#"{"custom":{"n":1}}"#)).unwrap()).await
    };
    store.1.store(true, Ordering::SeqCst);
    let unknown = ask("one").await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["code"]), (504, &json!("unknown")), "{}", unknown.text());
    store.1.store(false, Ordering::SeqCst);
    let events = async || {
        let mut events = 0;
        store.see(&RoomId::parse("r").unwrap(), &mut |room, _| events = room.seq).await.unwrap();
        events
    };
    let once = events().await;
    assert_eq!((ask("one").await.status.as_u16(), events().await), (200, once), "its members are not told again");
    assert_eq!((ask("two").await.status.as_u16(), events().await), (200, once + 1));
}

#[tokio::test]
async fn a_mute_that_the_room_could_not_keep_is_not_called_refused() {
    let (kit, store) = kit().await;
    let alice = kit.login("live_room", "alice", Generation::First).await;
    alice.enter("r").await;
    let mute = async || {
        let request = axum::http::Request::put("/api/v1/rooms/r/mutes/bob").header("host", "127.0.0.1");
        kit.send(request.header("content-type", "application/json").body(Body::from("{}")).unwrap()).await
    };
    store.1.store(true, Ordering::SeqCst);
    let unknown = mute().await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["code"]), (504, &json!("unknown")), "{}", unknown.text());
    store.1.store(false, Ordering::SeqCst);
    assert!(mute().await.status.is_success());
}
