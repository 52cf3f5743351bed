//! Entering, leaving, capacity and who may close what.

use super::*;

fn id(text: &str) -> RoomId {
    RoomId::parse(text).unwrap()
}
fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

/// Enters `r` as `name` with stream `s_{name}`.
fn enter(slot: &mut Option<Room>, kind: Kind, name: &str) -> Result<Joined, Refusal> {
    let room = id("r");
    let who = user(name);
    let stream = StreamId::parse(&format!("s_{name}")).unwrap();
    let new =
        NewPusher { room: &room, kind, user: &who, name, avatar: "", stream: &stream, info: Some("made by entering") };
    add_pusher(slot, Millis(1000), &new, &Rules::default())
}
fn leave(slot: &mut Option<Room>, name: &str) -> Result<Vec<Event>, Refusal> {
    delete_pusher(slot, Millis(2000), &user(name), LeaveReason::Quit, &Rules::default())
}
fn whats(events: Vec<Event>) -> Vec<What> {
    events.into_iter().map(|e| e.what).collect()
}

#[test]
fn a_room_is_made_once() {
    let mut slot = None;
    let room = id("r");
    let by = user("alice");
    let new = NewRoom { id: &room, kind: Kind::Multi, info: "hello", by: &by };
    assert_eq!(create_room(&mut slot, Millis(5), &new).unwrap()[0].seq, 1);
    assert_eq!(create_room(&mut slot, Millis(5), &new), Err(Refusal::RoomExists));
    let made = slot.unwrap();
    assert!(!made.is_active() && made.creator.is_none() && made.created == Millis(5));
}

#[test]
fn long_info_is_refused_and_makes_nothing() {
    let mut slot = None;
    let room = id("r");
    let by = user("alice");
    let info = "x".repeat(MAX_ROOM_INFO + 1);
    let new = NewRoom { id: &room, kind: Kind::Multi, info: &info, by: &by };
    assert_eq!(
        create_room(&mut slot, Millis(5), &new),
        Err(Refusal::TooLong { field: "roomInfo", max: MAX_ROOM_INFO })
    );
    assert!(slot.is_none());
}

#[test]
fn entering_a_missing_room_makes_it_with_its_info() {
    let mut slot = None;
    let joined = enter(&mut slot, Kind::Live, "alice").unwrap();
    assert!(joined.made);
    assert_eq!(whats(joined.events), [What::Created { by: user("alice") }, What::Joined { user: user("alice") }]);
    let room = slot.unwrap();
    assert_eq!(&*room.info, "made by entering");
    assert!(room.is_creator(&user("alice")));
}

#[test]
fn entering_again_updates_and_says_so_only_on_a_change() {
    let mut slot = None;
    enter(&mut slot, Kind::Multi, "alice").unwrap();
    assert_eq!(enter(&mut slot, Kind::Multi, "alice").unwrap(), Joined { made: false, events: vec![] });
    let room = id("r");
    let who = user("alice");
    let stream = StreamId::parse("s_new").unwrap();
    let new = NewPusher {
        room: &room,
        kind: Kind::Multi,
        user: &who,
        name: "Alice",
        avatar: "a",
        stream: &stream,
        info: Some("ignored"),
    };
    let joined = add_pusher(&mut slot, Millis(9000), &new, &Rules::default()).unwrap();
    assert_eq!(whats(joined.events), [What::Updated { user: user("alice") }]);
    let room = slot.unwrap();
    assert_eq!((room.pushers.len(), room.pushers[0].seen), (1, Millis(9000)));
    assert_eq!(room.creator.unwrap().1, stream, "the mix follows the creator's stream");
    assert_eq!(&*room.info, "made by entering");
}

#[test]
fn capacity_is_two_or_four() {
    for (kind, capacity) in [(Kind::Double, 2), (Kind::Multi, 4), (Kind::Live, 4)] {
        let mut slot = None;
        for n in 0..capacity {
            enter(&mut slot, kind, &format!("u{n}")).unwrap();
        }
        assert_eq!(enter(&mut slot, kind, "late"), Err(Refusal::Full));
        assert!(enter(&mut slot, kind, "u0").is_ok(), "who is in already may enter again");
    }
}

#[test]
fn ids_are_unique_across_kinds() {
    let mut slot = None;
    enter(&mut slot, Kind::Double, "alice").unwrap();
    assert_eq!(enter(&mut slot, Kind::Live, "bob"), Err(Refusal::RoomExists));
}

#[test]
fn a_room_of_equals_outlives_its_creator_and_closes_with_the_last() {
    let mut slot = None;
    enter(&mut slot, Kind::Multi, "alice").unwrap();
    enter(&mut slot, Kind::Multi, "bob").unwrap();
    let left = leave(&mut slot, "alice").unwrap();
    assert_eq!(whats(left), [What::Left { user: user("alice"), reason: LeaveReason::Quit }]);
    assert!(slot.as_ref().unwrap().is_creator(&user("alice")));
    let left = whats(leave(&mut slot, "bob").unwrap());
    assert_eq!(left[1], What::Closed { reason: CloseReason::Empty });
    assert!(slot.is_none());
    assert_eq!(leave(&mut slot, "bob"), Err(Refusal::NotMember));
}

#[test]
fn a_live_room_closes_with_its_creator() {
    let mut slot = None;
    enter(&mut slot, Kind::Live, "alice").unwrap();
    enter(&mut slot, Kind::Live, "bob").unwrap();
    let left = leave(&mut slot, "alice").unwrap();
    assert_eq!(left.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(
        whats(left),
        [
            What::Left { user: user("alice"), reason: LeaveReason::Quit },
            What::Left { user: user("bob"), reason: LeaveReason::RoomClosed },
            What::Closed { reason: CloseReason::CreatorLeft },
        ]
    );
    assert!(slot.is_none());
}

#[test]
fn creator_can_destroy_makes_multi_rooms_close_with_their_creator() {
    let mut slot = None;
    enter(&mut slot, Kind::Multi, "alice").unwrap();
    enter(&mut slot, Kind::Multi, "bob").unwrap();
    let rules = Rules { creator_can_destroy: true, ..Rules::default() };
    delete_pusher(&mut slot, Millis(1), &user("alice"), LeaveReason::Quit, &rules).unwrap();
    assert!(slot.is_none());
}

#[test]
fn only_the_creator_destroys() {
    let mut slot = None;
    assert_eq!(destroy_room(&mut slot, Millis(1), &user("alice")), Err(Refusal::NoRoom));
    enter(&mut slot, Kind::Double, "alice").unwrap();
    enter(&mut slot, Kind::Double, "bob").unwrap();
    assert_eq!(destroy_room(&mut slot, Millis(1), &user("bob")), Err(Refusal::NotCreator));
    let events = destroy_room(&mut slot, Millis(1), &user("alice")).unwrap();
    assert_eq!(events.len(), 3);
    assert!(slot.is_none());
}

#[test]
fn a_heartbeat_never_makes_anybody_older() {
    let mut slot = None;
    enter(&mut slot, Kind::Double, "alice").unwrap();
    touch(slot.as_mut(), Millis(500), Kind::Double, &user("alice")).unwrap();
    assert_eq!(slot.as_ref().unwrap().pushers[0].seen, Millis(1000));
    assert_eq!(touch(slot.as_mut(), Millis(500), Kind::Double, &user("bob")), Err(Refusal::NotMember));
    assert_eq!(touch(slot.as_mut(), Millis(500), Kind::Multi, &user("alice")), Err(Refusal::NotMember), "another kind");
    assert_eq!(touch(None, Millis(500), Kind::Double, &user("bob")), Err(Refusal::NotMember));
}

#[test]
fn each_change_of_the_list_has_a_version_of_its_own() {
    let rules = Rules::default();
    let mut slot = None;
    let version = |slot: &Option<Room>| slot.as_ref().unwrap().status;
    enter(&mut slot, Kind::Multi, "alice").unwrap();
    let alone = version(&slot);
    enter(&mut slot, Kind::Multi, "bob").unwrap();
    let both = version(&slot);
    enter(&mut slot, Kind::Multi, "bob").unwrap();
    set_info(&mut slot, Millis(1), "new").unwrap();
    assert_eq!(version(&slot), both, "the list is the same");
    assert_eq!(touch(slot.as_mut(), Millis(2), Kind::Multi, &user("bob")), Ok(both));
    delete_pusher(&mut slot, Millis(3), &user("bob"), LeaveReason::Quit, &rules).unwrap();
    assert!(alone < both && both < version(&slot), "another list than the first, though the same people");

    slot.as_mut().unwrap().status = i64::from(i32::MAX);
    enter(&mut slot, Kind::Multi, "bob").unwrap();
    assert_eq!(version(&slot), 1, "clients' numbers have 32 bits");
}
