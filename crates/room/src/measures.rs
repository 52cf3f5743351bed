//! Who may not speak in a room's chat, or not be in it, and until when: kept with the room, so that it outlives a restart.
//! The chat group does the keeping out; this only remembers.

use serde::{Deserialize, Serialize};

use crate::chat::MAX_SANCTIONS;
use crate::id::UserId;
use crate::refusal::Refusal;
use crate::room::Room;
use crate::time::Millis;

/// A measure against a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Nothing that it sends is taken.
    Mute,
    /// It may not be in the group.
    Ban,
}

/// The measures of a room; most rooms have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measures(Box<[(Measure, UserId, Millis)]>);

impl Measures {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that hold now: what, whom, and until when.
    pub fn iter(&self, now: Millis) -> impl Iterator<Item = (Measure, &UserId, Millis)> {
        self.0.iter().filter(move |(.., until)| *until > now).map(|(measure, user, until)| (*measure, user, *until))
    }
}

/// Remembers a measure until then, in place of an older one; a time that is past lifts it. Tells nobody.
///
/// # Errors
/// [`Refusal::NoRoom`]. Of too many the one that ends first is forgotten: the group refuses them before.
pub fn measure(
    slot: &mut Option<Room>,
    now: Millis,
    measure: Measure,
    user: &UserId,
    until: Millis,
) -> Result<(), Refusal> {
    let room = slot.as_mut().ok_or(Refusal::NoRoom)?;
    let mut all = std::mem::take(&mut room.measures.0).into_vec();
    all.retain(|(what, whom, until)| *until > now && (*what, whom) != (measure, user));
    if until > now {
        all.push((measure, user.clone(), until));
    }
    if all.len() > 2 * MAX_SANCTIONS {
        let first = all.iter().enumerate().min_by_key(|(_, (.., until))| *until).map(|(at, _)| at);
        first.map(|at| all.remove(at));
    }
    room.measures = Measures(all.into_boxed_slice());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;
    use crate::room::Kind;

    #[test]
    fn measures_replace_each_other_end_and_are_lifted() {
        let [alice, bob] = ["alice", "bob"].map(|user| UserId::parse(user).unwrap());
        let mut slot = None;
        assert_eq!(measure(&mut slot, Millis(1), Measure::Mute, &bob, Millis(9)), Err(Refusal::NoRoom));
        slot = Some(Room::empty(RoomId::parse("r").unwrap(), Kind::Live, "", Millis(0)));
        let before = serde_json::to_string(&slot).unwrap();
        let mut set = |now: u64, what, user: &UserId, until: u64| {
            measure(&mut slot, Millis(now), what, user, Millis(until)).unwrap();
            let text = serde_json::to_string(&slot).unwrap();
            assert_eq!(serde_json::from_str::<Option<Room>>(&text).unwrap(), slot, "it is kept");
            let measures = slot.as_ref().unwrap().measures.iter(Millis(now));
            (measures.map(|(what, user, until)| (what, user.to_string(), until.0)).collect::<Vec<_>>(), text)
        };
        set(1, Measure::Mute, &bob, 10);
        set(1, Measure::Mute, &bob, 20);
        let (held, _) = set(1, Measure::Ban, &alice, 30);
        assert_eq!(held, [(Measure::Mute, "bob".into(), 20), (Measure::Ban, "alice".into(), 30)]);
        let (held, _) = set(20, Measure::Ban, &bob, 40);
        assert_eq!(held, [(Measure::Ban, "alice".into(), 30), (Measure::Ban, "bob".into(), 40)], "the mute is over");
        set(21, Measure::Ban, &bob, 0);
        let (held, text) = set(21, Measure::Ban, &alice, 0);
        assert_eq!((held.len(), text), (0, before), "nothing is left, and old files have nothing");
    }

    #[test]
    fn there_are_never_more_than_a_group_has() {
        let mut slot = Some(Room::empty(RoomId::parse("r").unwrap(), Kind::Live, "", Millis(0)));
        for n in 0..2 * MAX_SANCTIONS as u64 + 10 {
            let user = UserId::parse(&format!("user{n}")).unwrap();
            measure(&mut slot, Millis(0), Measure::Mute, &user, Millis(100 + n)).unwrap();
        }
        let kept: Vec<u64> = slot.unwrap().measures.iter(Millis(0)).map(|(.., until)| until.0).collect();
        assert_eq!((kept.len(), kept[0]), (2 * MAX_SANCTIONS, 110));
    }
}
