//! Time passing over rooms, by hand.

use super::*;
use crate::event::What;
use crate::id::RoomId;
use crate::kind::Kind;
use crate::pushers::{NewPusher, NewRoom, add_pusher, create_room, touch};

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}
fn enter(slot: &mut Option<Room>, kind: Kind, name: &str, now: u64) {
    let room = RoomId::parse("r").unwrap();
    let who = user(name);
    let stream = StreamId::parse(name).unwrap();
    let new = NewPusher { room: &room, kind, user: &who, name, avatar: "", stream: &stream, info: None };
    add_pusher(slot, Millis(now), &new, &Rules::default()).unwrap();
}

#[test]
fn a_room_nobody_enters_is_reclaimed_after_its_idle_time() {
    let rules = Rules::default();
    let mut slot = None;
    let id = RoomId::parse("r").unwrap();
    let by = user("alice");
    create_room(&mut slot, Millis(0), &NewRoom { id: &id, kind: Kind::Multi, info: "", by: &by }).unwrap();
    assert_eq!(deadline(slot.as_ref().unwrap(), &rules), Millis(30_000));
    assert!(sweep(&mut slot, Millis(29_999), &[], &rules).is_empty());
    assert_eq!(sweep(&mut slot, Millis(30_000), &[], &rules)[0].what, What::Closed { reason: CloseReason::Idle });
    assert!(slot.is_none());
}

#[test]
fn the_live_service_decides_about_the_silent() {
    let rules = Rules::default();
    let mut slot = None;
    for name in ["yes", "no", "unknown", "heard"] {
        enter(&mut slot, Kind::Multi, name, 0);
    }
    let now = Millis(20_000);
    let room = slot.as_ref().unwrap();
    assert_eq!(deadline(room, &rules), now);
    assert_eq!(silent(room, Millis(19_999), &rules).count(), 0);
    assert_eq!(silent(room, now, &rules).count(), 4);
    // While the service was asked, one of them sent a heartbeat: what was said of it is old.
    touch(slot.as_mut(), Millis(19_999), Kind::Multi, &user("heard")).unwrap();
    let said = [
        (user("yes"), Pushing::Yes),
        (user("no"), Pushing::No),
        (user("unknown"), Pushing::Unknown),
        (user("heard"), Pushing::No),
        (user("stranger"), Pushing::No),
    ];
    let events = sweep(&mut slot, now, &said, &rules);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].what, What::Left { user: user("no"), reason: LeaveReason::Timeout });
    let room = slot.as_ref().unwrap();
    assert_eq!(room.pusher(&user("yes")).unwrap().seen, now);
    assert_eq!(deadline(room, &rules), Millis(25_000), "the unknown one is asked about again");
    assert_eq!(silent(room, Millis(24_999), &rules).count(), 0);
    assert_eq!(silent(room, Millis(25_000), &rules).count(), 1);
}

#[test]
fn everybody_gone_closes_the_room_with_one_leave_each() {
    let rules = Rules::default();
    let mut slot = None;
    enter(&mut slot, Kind::Live, "alice", 0);
    enter(&mut slot, Kind::Live, "bob", 0);
    let said = [(user("alice"), Pushing::No), (user("bob"), Pushing::No)];
    let events = sweep(&mut slot, Millis(20_000), &said, &rules);
    let leaves = events.iter().filter(|e| matches!(e.what, What::Left { .. })).count();
    assert_eq!((leaves, events.len()), (2, 3));
    assert!(slot.is_none());
}

#[test]
fn media_counts_as_a_heartbeat_of_the_time_it_last_flowed() {
    let rules = Rules::default();
    let mut slot = None;
    enter(&mut slot, Kind::Multi, "alice", 0);
    let until = |last| [(user("alice"), Pushing::Until(Millis(last)))];
    assert!(sweep(&mut slot, Millis(20_000), &until(15_000), &rules).is_empty());
    assert_eq!(deadline(slot.as_ref().unwrap(), &rules), Millis(35_000));
    let events = sweep(&mut slot, Millis(35_000), &until(15_000), &rules);
    assert_eq!(events[0].what, What::Left { user: user("alice"), reason: LeaveReason::Timeout });
    assert!(slot.is_none());
}

#[test]
fn who_was_seen_to_vanish_is_asked_about_at_once() {
    let rules = Rules::default();
    let mut slot = None;
    enter(&mut slot, Kind::Multi, "alice", 30_000);
    let now = Millis(31_000);
    suspect(slot.as_mut(), now, &user("alice"), Millis(29_999), &rules);
    assert_eq!(silent(slot.as_ref().unwrap(), now, &rules).count(), 0, "heard of since");
    suspect(slot.as_mut(), now, &user("bob"), now, &rules);
    suspect(slot.as_mut(), now, &user("alice"), now, &rules);
    assert_eq!(silent(slot.as_ref().unwrap(), now, &rules).count(), 1);
    assert_eq!(deadline(slot.as_ref().unwrap(), &rules), now);
    let events = sweep(&mut slot, now, &[(user("alice"), Pushing::No)], &rules);
    assert_eq!(events[0].what, What::Left { user: user("alice"), reason: LeaveReason::Timeout });
}

#[test]
fn members_of_a_call_go_by_heartbeats_alone() {
    let rules = Rules::default();
    let mut slot = None;
    for name in ["alice", "bob"] {
        enter(&mut slot, Kind::Webrtc, name, 0);
    }
    touch(slot.as_mut(), Millis(10_000), Kind::Webrtc, &user("bob")).unwrap();
    assert_eq!(silent(slot.as_ref().unwrap(), Millis(20_000), &rules).count(), 0, "nobody is asked");
    let events = sweep(&mut slot, Millis(20_000), &[], &rules);
    assert_eq!(events.len(), 1, "the creator left, and the room stays");
    assert!(sweep(&mut slot, Millis(29_999), &[], &rules).is_empty());
    assert_eq!(sweep(&mut slot, Millis(30_000), &[], &rules).len(), 2);
    assert!(slot.is_none(), "an empty one does not");
}

#[test]
fn members_without_heartbeats_stay_for_a_day() {
    let rules = Rules::default();
    let mut slot = None;
    enter(&mut slot, Kind::Webexe, "alice", 0);
    slot.as_mut().unwrap().lasting = true;
    assert_eq!(deadline(slot.as_ref().unwrap(), &rules), Millis(LASTING));
    assert!(sweep(&mut slot, Millis(LASTING - 1), &[], &rules).is_empty());
    assert_eq!(sweep(&mut slot, Millis(LASTING), &[], &rules).len(), 2);
    assert!(slot.is_none());
}
