//! What every store promises, as one test that each store runs.

use std::sync::Arc;

use room::pushers::{NewPusher, NewRoom, add_pusher, create_room, delete_pusher};
use room::{Kind, LeaveReason, Millis, Refusal, Room, RoomId, Rules, StreamId, UserId, What};
use tokio::sync::mpsc;

use super::{Agreement, Ban, History, Outbox, Row, Store, Table};
use crate::error::Error;

fn id(n: usize) -> RoomId {
    RoomId::parse(&format!("room{n}")).unwrap()
}
fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

async fn enter(store: &dyn Store, room: &RoomId, kind: Kind, who: &str, now: Millis) -> Result<(), Error> {
    let user = user(who);
    let stream = StreamId::parse(who).unwrap();
    let new = NewPusher { room, kind, user: &user, name: who, avatar: "", stream: &stream, info: None };
    store.update(room, &mut |slot| add_pusher(slot, now, &new, &Rules::default()).map(|j| j.events)).await
}
async fn leave(store: &dyn Store, room: &RoomId, who: &str) -> Result<(), Error> {
    let user = user(who);
    store.update(room, &mut |slot| delete_pusher(slot, Millis(1), &user, LeaveReason::Quit, &Rules::default())).await
}
async fn listed(store: &dyn Store, kind: Kind, index: usize, count: usize) -> Vec<RoomId> {
    let mut found = Vec::new();
    store.list(kind, index, count, &mut |room, _| found.push(room.id.clone())).await.unwrap();
    found
}

/// An unused store, and the events that it hands out.
type Fresh = (Arc<dyn Store>, mpsc::UnboundedReceiver<Vec<room::Event>>);

/// Runs the whole contract on fresh stores made by `make`.
pub async fn contract<S: Store>(make: impl AsyncFn(Arc<Rules>, Outbox) -> Arc<S>) {
    let fresh = async || {
        let (outbox, events) = mpsc::unbounded_channel();
        let store: Arc<dyn Store> = make(Arc::new(Rules::default()), outbox).await;
        (store, events)
    };
    rooms_are_kept_and_listed_oldest_first(fresh().await.0).await;
    refusals_change_nothing(fresh().await).await;
    what_is_made_may_be_there(fresh().await.0).await;
    deadlines_are_handed_out_once(fresh().await.0).await;
    viewers_are_a_set(fresh().await.0).await;
    events_leave_in_commit_order(fresh().await).await;
    bans_are_kept_until_they_end_or_are_lifted(fresh().await.0).await;
    what_is_there_is_counted(fresh().await.0).await;
    what_makes_no_event_is_kept_all_the_same(fresh().await.0).await;
    the_last_agreement_of_a_stream_holds(fresh().await.0).await;
    rows_are_kept_by_key_and_listed_greatest_first(fresh().await.0).await;
}

/// What a reader saves of its way through the record is there for the next process, which `again` makes.
pub async fn readers_go_on_where_they_were<H: History>(first: H, again: impl AsyncFnOnce(H) -> H) {
    assert_eq!(first.place("webhook-a", 0).await.unwrap(), None);
    assert_eq!(first.ahead("webhook-a", 0).await.unwrap(), None);
    for (place, ahead) in [("3", "{}"), ("7", "held: 房间 \n")] {
        first.save_ahead("webhook-a", 0, ahead).await.unwrap();
        first.save("webhook-a", 0, place).await.unwrap();
    }
    first.save("webhook-b", 0, "5").await.unwrap();
    let next = again(first).await;
    assert_eq!(next.place("webhook-a", 0).await.unwrap().as_deref(), Some("7"));
    assert_eq!(next.ahead("webhook-a", 0).await.unwrap().as_deref(), Some("held: 房间 \n"));
    assert_eq!(next.place("webhook-b", 0).await.unwrap().as_deref(), Some("5"));
    assert_eq!(next.ahead("webhook-b", 0).await.unwrap(), None);
    next.keep_readers("webhook-", &["webhook-a".into(), "webhook-b".into()]).await.unwrap();
    assert!(next.ahead("webhook-a", 0).await.unwrap().is_some());
}

async fn what_is_there_is_counted(store: Arc<dyn Store>) {
    let counted = async || {
        // Where others change what is there, it is counted when somebody looks for what is due.
        store.due(Millis(0), 1).await.unwrap();
        let totals = store.totals().unwrap();
        (totals.rooms, totals.members, totals.viewers)
    };
    for (n, kind, who) in [
        (0, Kind::Multi, "a"),
        (0, Kind::Multi, "b"),
        (1, Kind::Live, "a"),
        (2, Kind::Live, "a"),
        (2, Kind::Live, "b"),
        (3, Kind::Double, "a"),
    ] {
        enter(&*store, &id(n), kind, who, Millis(1_000)).await.unwrap();
    }
    for (n, who) in [(1, "v"), (1, "w"), (1, "v"), (2, "v")] {
        store.add_viewer(&id(n), &user(who), Some("")).await.unwrap();
    }
    // In the order of `Kind::ALL`.
    assert_eq!(counted().await, ([1, 1, 2, 0, 0], [1, 2, 3, 0, 0], 3));
    store.delete_viewer(&id(1), &user("v")).await.unwrap();
    store.delete_viewer(&id(1), &user("v")).await.unwrap();
    leave(&*store, &id(0), "b").await.unwrap();
    enter(&*store, &id(3), Kind::Double, "a", Millis(1_000)).await.unwrap();
    assert_eq!(counted().await, ([1, 1, 2, 0, 0], [1, 1, 3, 0, 0], 2), "who enters again is one");
    // Rooms that close take all their users along.
    leave(&*store, &id(1), "a").await.unwrap();
    store
        .update(&id(2), &mut |slot| room::pushers::close_room(slot, Millis(1_000), room::CloseReason::Operator))
        .await
        .unwrap();
    leave(&*store, &id(3), "a").await.unwrap();
    leave(&*store, &id(0), "a").await.unwrap();
    assert_eq!(counted().await, ([0; 5], [0; 5], 0));
}

async fn what_makes_no_event_is_kept_all_the_same(store: Arc<dyn Store>) {
    use room::sanctions::{Sanction, sanction};
    let now = Millis(1_000);
    let until = Millis(9_000);
    let bob = user("bob");
    let set = async || {
        let decide = &mut |slot: &mut Option<Room>| {
            sanction(slot, now, Sanction::Mute, &bob, until)?;
            Ok(Vec::new())
        };
        store.keep(&id(0), decide).await
    };
    assert!(matches!(set().await, Err(Error::Refused(Refusal::NoRoom))));
    enter(&*store, &id(0), Kind::Live, "alice", now).await.unwrap();
    set().await.unwrap();
    // Other changes leave it.
    enter(&*store, &id(0), Kind::Live, "carol", now).await.unwrap();
    let mut kept = 0;
    let see = &mut |room: &Room, _| {
        let sanctions = room.sanctions.iter(now);
        assert!(sanctions.eq([(Sanction::Mute, &bob, until)]));
        kept += room.pushers.len();
    };
    assert!(store.see(&id(0), see).await.unwrap());
    assert_eq!(kept, 2);
    // The creator's leave is the end of a live room.
    leave(&*store, &id(0), "alice").await.unwrap();
    assert!(!store.see(&id(0), &mut |_, _| panic!("gone with all that it kept")).await.unwrap());
}

async fn rows_are_kept_by_key_and_listed_greatest_first(store: Arc<dyn Store>) {
    let now = Millis(1_000);
    let row = |key: &str, value: u64, until: u64| Row { key: key.into(), value: value.into(), until: Millis(until) };
    let put = async |row: &Row, replace| store.put_row(Table::Recordings, row, replace, now).await.unwrap();
    for n in [3u64, 1, 5, 2, 4] {
        assert!(put(&row(&format!("k{n}"), n, 9_000), false).await);
    }
    assert!(!put(&row("k3", 33, 9_000), false).await, "there already");
    assert!(!put(&row("k3", 3, 9_000), true).await, "nothing new");
    assert!(put(&row("k4", 44, 9_000), true).await);
    store.take_row(Table::Recordings, "k2").await.unwrap();
    store.take_row(Table::Recordings, "k2").await.unwrap();
    let values = async |below, count, now| -> Vec<u64> {
        let rows = store.rows(Table::Recordings, below, count, now).await.unwrap();
        rows.iter().filter_map(|row| row.value.as_u64()).collect()
    };
    assert_eq!(values(None, 2, now).await, [5, 44]);
    assert_eq!(values(Some("k4"), 10, now).await, [3, 1]);
    assert!(put(&row("k6", 6, 2_000), false).await);
    assert_eq!(values(None, 1, now).await, [6]);
    let later = Millis(2_000);
    assert_eq!(store.row(Table::Recordings, "k6", now).await.unwrap(), Some(row("k6", 6, 2_000)));
    assert_eq!(store.row(Table::Recordings, "k6", later).await.unwrap(), None, "over");
    assert!(
        store.put_row(Table::Recordings, &row("k6", 7, 9_000), false, later).await.unwrap(),
        "as if it were not there"
    );
    assert_eq!(store.row(Table::Streams, "k5", now).await.unwrap(), None, "tables are apart");
}

async fn the_last_agreement_of_a_stream_holds(store: Arc<dyn Store>) {
    let now = Millis(1_000);
    let [a, b, c] = ["a", "b", "c"].map(|name| StreamId::parse(name).unwrap());
    let with = |with: &[&StreamId]| Agreement {
        room: id(1),
        joined: Millis(7),
        with: with.iter().map(|stream| (*stream).clone()).collect(),
    };
    for said in [Some(with(&[&b, &c])), Some(with(&[&c])), None, Some(with(&[&b]))] {
        store.agree(&a, said.as_ref(), now).await.unwrap();
        assert_eq!(store.agreement(&a, now).await.unwrap(), said);
        assert_eq!(store.agreement(&b, now).await.unwrap(), None, "nobody agrees for another");
    }
}

async fn bans_are_kept_until_they_end_or_are_lifted(store: Arc<dyn Store>) {
    // Stores elsewhere number what changes by their own clock.
    let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Millis(begun.as_millis() as u64);
    let ban = |who: &str, room: Option<usize>, at: Millis, until: Millis| Ban {
        user: user(who),
        room: room.map(id),
        until,
        at,
        streams: vec![StreamId::parse("s").unwrap()],
        reason: "because".into(),
        kick: false,
    };
    let first = ban("a", None, now, Millis::NEVER);
    let here = ban("a", Some(1), now, now.plus(60_000));
    let longer = ban("a", Some(1), now.plus(1), now.plus(90_000));
    for said in [&first, &here, &longer, &ban("b", Some(1), now, now.plus(60_000))] {
        store.ban(said, now).await.unwrap();
    }
    store.ban(&ban("b", Some(1), now.plus(2), Millis(0)), now).await.unwrap();
    let mut all = store.bans(Millis(0)).await.unwrap();
    all.sort_by(|a, b| a.room.cmp(&b.room));
    assert_eq!(all, [first.clone(), longer.clone()], "the newest of each, and what was lifted is gone");
    let news = store.bans(now).await.unwrap();
    let last = |who: &str, room| news.iter().rfind(|ban| ban.user == user(who) && ban.room == room).cloned();
    assert_eq!((last("a", None), last("a", Some(id(1)))), (Some(first), Some(longer)));
    assert!(last("b", Some(id(1))).is_none_or(|ban| ban.lifts()));
}

async fn rooms_are_kept_and_listed_oldest_first(store: Arc<dyn Store>) {
    for n in [3, 1, 2, 0] {
        enter(&*store, &id(n), Kind::Multi, "alice", Millis(n as u64)).await.unwrap();
    }
    enter(&*store, &id(9), Kind::Live, "alice", Millis(9)).await.unwrap();
    let by = user("alice");
    let empty = id(8);
    let new = NewRoom { id: &empty, kind: Kind::Multi, info: "", by: &by };
    store.update(&empty, &mut |slot| create_room(slot, Millis(0), &new)).await.unwrap();
    assert_eq!(listed(&*store, Kind::Multi, 0, 10).await, [id(0), id(1), id(2), id(3)], "an empty room is not listed");
    assert_eq!(listed(&*store, Kind::Multi, 2, 1).await, [id(2)]);
    assert_eq!(listed(&*store, Kind::Live, 0, 10).await, [id(9)]);
    leave(&*store, &id(1), "alice").await.unwrap();
    assert_eq!(listed(&*store, Kind::Multi, 0, 10).await, [id(0), id(2), id(3)]);
    assert_eq!(store.len(), 5);
    let mut seen = None::<Room>;
    assert!(store.see(&id(2), &mut |room, _| seen = Some(room.clone())).await.unwrap());
    assert_eq!(seen.unwrap().pushers[0].user, by);
    assert!(!store.see(&id(1), &mut |_, _| panic!("there is no such room")).await.unwrap());
}

async fn what_is_made_may_be_there(store: Arc<dyn Store>) {
    let room = id(0);
    let rules = Rules::default();
    for who in ["a", "b"] {
        let user = user(who);
        let stream = StreamId::parse(who).unwrap();
        let kind = Kind::Multi;
        let new = NewPusher { room: &room, kind, user: &user, name: who, avatar: "", stream: &stream, info: None };
        let add = &mut |slot: &mut Option<Room>| add_pusher(slot, Millis(1), &new, &rules).map(|joined| joined.events);
        store.make(&room, add).await.unwrap();
    }
    let mut members = 0;
    assert!(store.see(&room, &mut |room, _| members = room.pushers.len()).await.unwrap());
    assert_eq!(members, 2, "who came first is still there");
    let by = user("c");
    let new = NewRoom { id: &room, kind: Kind::Multi, info: "", by: &by };
    let made = store.make(&room, &mut |slot| create_room(slot, Millis(2), &new)).await;
    assert!(matches!(made, Err(Error::Refused(Refusal::RoomExists))), "{made:?}");
    // What would be refused of a room that is not there is decided on the one that is.
    let leaver = user("a");
    let leave = &mut |slot: &mut Option<Room>| delete_pusher(slot, Millis(3), &leaver, LeaveReason::Quit, &rules);
    store.make(&room, leave).await.unwrap();
}

async fn refusals_change_nothing(fresh: Fresh) {
    let (store, mut events) = fresh;
    for who in ["a", "b"] {
        enter(&*store, &id(0), Kind::Double, who, Millis(0)).await.unwrap();
        events.recv().await.unwrap();
    }
    let refused = enter(&*store, &id(0), Kind::Double, "c", Millis(0)).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Full))));
    assert!(matches!(
        store.touch(&id(0), Millis(5), Kind::Double, &user("c")).await,
        Err(Error::Refused(Refusal::NotMember))
    ));
    assert!(matches!(
        store.touch(&id(7), Millis(5), Kind::Double, &user("a")).await,
        Err(Error::Refused(Refusal::NotMember))
    ));
    let other = store.touch(&id(0), Millis(5), Kind::Multi, &user("a")).await;
    assert!(matches!(other, Err(Error::Refused(Refusal::NotMember))), "a room of another kind is as good as none");
    assert!(events.try_recv().is_err());
    let mut members = 0;
    store.see(&id(0), &mut |room, _| members = room.pushers.len()).await.unwrap();
    assert_eq!(members, 2);
}

async fn deadlines_are_handed_out_once(store: Arc<dyn Store>) {
    for n in 0..5 {
        enter(&*store, &id(n), Kind::Multi, "alice", Millis(0)).await.unwrap();
    }
    assert!(store.due(Millis(19_999), 100).await.unwrap().is_empty());
    // A heartbeat moves a room's deadline without touching the index.
    store.touch(&id(3), Millis(15_000), Kind::Multi, &user("alice")).await.unwrap();
    let mut due = store.due(Millis(20_000), 100).await.unwrap();
    due.sort();
    assert_eq!(due, [id(0), id(1), id(2), id(4)]);
    assert!(store.due(Millis(20_000), 100).await.unwrap().is_empty(), "each is handed out once");
    assert_eq!(store.due(Millis(22_500), 2).await.unwrap().len(), 2, "and again when nobody dealt with it");
    leave(&*store, &id(3), "alice").await.unwrap();
    let left = store.due(Millis(60_000), 100).await.unwrap();
    assert!(!left.contains(&id(3)), "a closed room is never due");
}

async fn viewers_are_a_set(store: Arc<dyn Store>) {
    let room = id(0);
    let nobody = store.add_viewer(&room, &user("v"), Some("")).await;
    assert!(matches!(nobody, Err(Error::Refused(Refusal::NoRoom))));
    enter(&*store, &room, Kind::Live, "alice", Millis(0)).await.unwrap();
    assert!(store.add_viewer(&room, &user("v"), Some("info")).await.unwrap());
    assert!(!store.add_viewer(&room, &user("v"), Some("info")).await.unwrap());
    for n in 1..30 {
        store.add_viewer(&room, &user(&format!("v{n}")), Some("")).await.unwrap();
    }
    let full = store.add_viewer(&room, &user("late"), Some("")).await;
    assert!(matches!(full, Err(Error::Refused(Refusal::AudienceListFull))));
    let viewers = store.viewers(&room).await.unwrap();
    assert_eq!((viewers.count, viewers.listed.len(), &*viewers.listed[0].info), (31, 30, "info"));
    assert!(store.delete_viewer(&room, &user("v")).await.unwrap());
    assert!(!store.delete_viewer(&room, &user("v")).await.unwrap());
    // Of whom nothing is known is counted, and takes nobody's place or name.
    assert!(store.add_viewer(&room, &user("anybody"), None).await.unwrap());
    assert!(!store.add_viewer(&room, &user("anybody"), None).await.unwrap());
    assert!(!store.add_viewer(&room, &user("v1"), None).await.unwrap());
    let viewers = store.viewers(&room).await.unwrap();
    assert_eq!((viewers.count, viewers.listed.len()), (31, 29));
    assert!(store.delete_viewer(&room, &user("anybody")).await.unwrap());
    let mut counted = 0;
    store.list(Kind::Live, 0, 1, &mut |_, viewers| counted = viewers).await.unwrap();
    assert_eq!(counted, 30);
    leave(&*store, &room, "alice").await.unwrap();
    enter(&*store, &room, Kind::Live, "alice", Millis(0)).await.unwrap();
    assert_eq!(store.viewers(&room).await.unwrap().count, 0, "viewers are gone with the room");
}

async fn events_leave_in_commit_order(fresh: Fresh) {
    let (store, mut events) = fresh;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    enter(&*store, &id(0), Kind::Multi, &format!("u{n}"), Millis(0)).await.unwrap();
                    leave(&*store, &id(0), &format!("u{n}")).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(store);
    let mut seq = 0;
    let mut joins = 0;
    let mut leaves = 0;
    while let Some(batch) = events.recv().await {
        for event in batch {
            seq += 1;
            assert_eq!(event.seq, seq);
            match event.what {
                What::Joined { .. } => joins += 1,
                What::Left { .. } => leaves += 1,
                What::Closed { .. } => seq = 0,
                _ => {}
            }
        }
    }
    assert_eq!((joins, leaves), (200, 200));
}
