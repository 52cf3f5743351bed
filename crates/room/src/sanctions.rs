//! The rule that sets and lifts a sanction of a room: a mute, or a ban from its chat.

use crate::id::UserId;
use crate::refusal::Refusal;
use crate::room::Room;
pub use crate::room::sanctions::{Sanction, Sanctions};
use crate::time::Millis;

/// Keeps a sanction until then, in place of an older one; a time that is past lifts it. Makes no event.
///
/// # Errors
/// [`Refusal::NoRoom`]. Of too many the one that ends first is forgotten: the group refuses them before.
pub fn sanction(
    slot: &mut Option<Room>,
    now: Millis,
    sanction: Sanction,
    user: &UserId,
    until: Millis,
) -> Result<(), Refusal> {
    let room = slot.as_mut().ok_or(Refusal::NoRoom)?;
    room.sanctions.set(now, sanction, user, until);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::MAX_SANCTIONS;
    use crate::id::RoomId;
    use crate::kind::Kind;

    #[test]
    fn sanctions_replace_each_other_end_and_are_lifted() {
        let [alice, bob] = ["alice", "bob"].map(|user| UserId::parse(user).unwrap());
        let mut slot = None;
        assert_eq!(sanction(&mut slot, Millis(1), Sanction::Mute, &bob, Millis(9)), Err(Refusal::NoRoom));
        slot = Some(Room::empty(RoomId::parse("r").unwrap(), Kind::Live, "", Millis(0)));
        let before = serde_json::to_string(&slot).unwrap();
        let mut set = |now: u64, what, user: &UserId, until: u64| {
            sanction(&mut slot, Millis(now), what, user, Millis(until)).unwrap();
            let text = serde_json::to_string(&slot).unwrap();
            assert_eq!(serde_json::from_str::<Option<Room>>(&text).unwrap(), slot, "it is kept");
            let sanctions = slot.as_ref().unwrap().sanctions.iter(Millis(now));
            (sanctions.map(|(what, user, until)| (what, user.to_string(), until.0)).collect::<Vec<_>>(), text)
        };
        set(1, Sanction::Mute, &bob, 10);
        set(1, Sanction::Mute, &bob, 20);
        let (held, _) = set(1, Sanction::Ban, &alice, 30);
        assert_eq!(held, [(Sanction::Mute, "bob".into(), 20), (Sanction::Ban, "alice".into(), 30)]);
        let (held, _) = set(20, Sanction::Ban, &bob, 40);
        assert_eq!(held, [(Sanction::Ban, "alice".into(), 30), (Sanction::Ban, "bob".into(), 40)], "the mute is over");
        set(21, Sanction::Ban, &bob, 0);
        let (held, text) = set(21, Sanction::Ban, &alice, 0);
        assert_eq!((held.len(), text), (0, before), "nothing is left, and old files have nothing");
    }

    #[test]
    fn there_are_never_more_than_a_group_has() {
        let mut slot = Some(Room::empty(RoomId::parse("r").unwrap(), Kind::Live, "", Millis(0)));
        for n in 0..2 * MAX_SANCTIONS as u64 + 10 {
            let user = UserId::parse(&format!("user{n}")).unwrap();
            sanction(&mut slot, Millis(0), Sanction::Mute, &user, Millis(100 + n)).unwrap();
        }
        let kept: Vec<u64> = slot.unwrap().sanctions.iter(Millis(0)).map(|(.., until)| until.0).collect();
        assert_eq!((kept.len(), kept[0]), (2 * MAX_SANCTIONS, 110));
    }
}
