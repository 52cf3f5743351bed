//! Random histories of a room: whatever is asked in whatever order, the invariants hold.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::audience::Audience;
use crate::custom::{Operation, Value, set_custom_field};
use crate::event::{Event, LeaveReason, What};
use crate::id::{RoomId, StreamId, UserId};
use crate::kind::Kind;
use crate::pushers::{NewPusher, NewRoom, add_pusher, create_room, delete_pusher, destroy_room, touch};
use crate::room::Room;
use crate::rules::Rules;
use crate::sweep::{Pushing, deadline, silent, sweep};
use crate::time::Millis;

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Enter(u8, u8),
    Leave(u8),
    Destroy(u8),
    Beat(u8),
    Custom(bool),
    Pass(u64),
    Sweep([u8; 8]),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..8u8).prop_map(Step::Create),
        6 => (0..8u8, 0..3u8).prop_map(|(u, s)| Step::Enter(u, s)),
        3 => (0..8u8).prop_map(Step::Leave),
        1 => (0..8u8).prop_map(Step::Destroy),
        3 => (0..8u8).prop_map(Step::Beat),
        1 => any::<bool>().prop_map(Step::Custom),
        2 => (0..40_000u64).prop_map(Step::Pass),
        3 => any::<[u8; 8]>().prop_map(Step::Sweep),
    ]
}

fn user(n: u8) -> UserId {
    UserId::parse(&format!("u{n}")).unwrap()
}

/// Follows the events as a listener would and holds them against the room.
#[derive(Default)]
struct Listener {
    open: bool,
    seq: u64,
    inside: HashMap<UserId, u32>,
}

impl Listener {
    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            if !self.open {
                assert!(matches!(event.what, What::Created { .. }), "a life begins with Created: {event:?}");
                self.open = true;
                self.seq = 0;
            }
            self.seq += 1;
            assert_eq!(event.seq, self.seq, "no gaps");
            match event.what {
                What::Created { .. } => assert_eq!(event.seq, 1),
                What::Joined { user } => assert!(self.inside.insert(user, 1).is_none(), "joined twice"),
                What::Left { user, .. } => assert!(self.inside.remove(&user).is_some(), "left without having joined"),
                What::Updated { user } => assert!(self.inside.contains_key(&user)),
                What::Closed { .. } => {
                    assert!(self.inside.is_empty(), "everybody left before the close");
                    self.open = false;
                }
                What::Info | What::Custom { .. } => {}
            }
        }
    }
}

/// What clients see of the pushers.
fn list(room: &Room) -> Vec<(&UserId, &str, &str, &StreamId)> {
    room.pushers.iter().map(|p| (&p.user, &*p.name, &*p.avatar, &p.stream)).collect()
}

fn check(slot: Option<&Room>, listener: &Listener, rules: &Rules, entered: bool) {
    assert_eq!(slot.is_some(), listener.open);
    let Some(room) = slot else { return };
    assert!(room.pushers.len() <= rules.capacity(room.kind), "capacity");
    let mut ids: Vec<_> = room.pushers.iter().map(|p| p.user.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), room.pushers.len(), "unique members");
    assert_eq!(ids.len(), listener.inside.len());
    assert_eq!(room.creator.is_some(), entered, "exactly one creator once somebody entered");
    assert!(!entered || room.is_active(), "a room that emptied is closed");
    if rules.closes_with_creator(room.kind) && room.is_active() {
        assert!(room.pushers.iter().any(|p| room.is_creator(&p.user)), "its creator is in");
    }
}

proptest! {
    #[test]
    fn histories_keep_the_invariants(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        creator_can_destroy: bool,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let rules = Rules { creator_can_destroy, ..Rules::default() };
        let room = RoomId::parse("r").unwrap();
        let mut slot = None::<Room>;
        let mut now = Millis(0);
        let mut listener = Listener::default();
        let mut entered = false;
        for step in steps {
            let before = slot.clone();
            let result = match &step {
                Step::Create(u) => create_room(&mut slot, now, &NewRoom { id: &room, kind, info: "", by: &user(*u) }),
                Step::Enter(u, s) => {
                    let stream = StreamId::parse(&format!("s{s}")).unwrap();
                    let who = user(*u);
                    let new = NewPusher { room: &room, kind, user: &who, name: "", avatar: "", stream: &stream, info: None };
                    add_pusher(&mut slot, now, &new, &rules).map(|j| { entered = true; j.events })
                }
                Step::Leave(u) => delete_pusher(&mut slot, now, &user(*u), LeaveReason::Quit, &rules),
                Step::Destroy(u) => destroy_room(&mut slot, now, &user(*u)),
                Step::Beat(u) => touch(slot.as_mut(), now, kind, &user(*u)).map(|_| vec![]),
                Step::Custom(set) => {
                    let op = if *set { Operation::Set(Value::Text("x".into())) } else { Operation::Add(1) };
                    set_custom_field(&mut slot, now, "f", op)
                }
                Step::Pass(ms) => { now = now.plus(*ms); Ok(vec![]) }
                Step::Sweep(answers) => {
                    let asked: Vec<_> = slot.as_ref().map(|r| silent(r, now, &rules).map(|(u, _)| u.clone()).collect()).unwrap_or_default();
                    let said: Vec<_> = asked.into_iter().zip(answers).map(|(u, a)| (u, match a % 4 {
                        0 => Pushing::Yes, 1 => Pushing::No, 2 => Pushing::Until(now), _ => Pushing::Unknown,
                    })).collect();
                    let events = sweep(&mut slot, now, &said, &rules);
                    // Every pusher was judged, so nothing is due at once: the sweeper cannot spin.
                    if let Some(r) = &slot { prop_assert!(deadline(r, &rules) > now || said.len() > answers.len()); }
                    Ok(events)
                }
            };
            match result {
                Ok(events) => listener.hear(events),
                Err(refusal) => prop_assert_eq!(&slot, &before, "a refusal changes nothing: {:?}", refusal),
            }
            if slot.is_none() { entered = false; }
            check(slot.as_ref(), &listener, &rules, entered);
            if let (Some(before), Some(after)) = (&before, &slot) {
                prop_assert_eq!(before.status == after.status, list(before) == list(after), "a version is one list");
            }
        }
    }

    #[test]
    fn audience_is_a_set(steps in prop::collection::vec((any::<bool>(), 0..12u8), 0..200)) {
        let mut audience = Audience::default();
        let mut model = std::collections::HashSet::new();
        for (add, n) in steps {
            if add {
                let _ = audience.add(&user(n), "", 5);
                model.insert(n);
            } else {
                prop_assert_eq!(audience.delete(&user(n)), model.remove(&n));
            }
            prop_assert_eq!(audience.count(), model.len());
            prop_assert!(audience.listed().len() <= 5);
        }
    }
}
