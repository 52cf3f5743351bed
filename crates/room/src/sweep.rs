//! What time does to rooms: silent pushers and rooms that no pusher entered.
//! The live service is asked by others; its answer comes in as a value.

use crate::event::{CloseReason, Event, LeaveReason};
use crate::id::{StreamId, UserId};
use crate::pushers::{close_room, delete_pusher};
use crate::refusal::Refusal;
use crate::room::Room;
use crate::rules::{LASTING, Rules};
use crate::time::Millis;

/// What the live service says about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushing {
    /// It is being pushed: counts as a heartbeat.
    Yes,
    /// It was pushed until then: counts as a heartbeat of that time.
    Until(Millis),
    /// It is not.
    No,
    /// The service does not know. No pusher is removed for that.
    Unknown,
}

/// For how long a pusher of this room may be silent.
const fn patience(room: &Room, rules: &Rules) -> u64 {
    if room.lasting { LASTING } else { rules.heartbeat_timeout }
}

/// When this room needs looking at next, if nothing happens before.
#[must_use]
pub fn deadline(room: &Room, rules: &Rules) -> Millis {
    if room.pushers.is_empty() {
        return room.created.plus(rules.max_idle);
    }
    let patience = patience(room, rules);
    room.pushers.iter().map(|p| p.seen.plus(patience).max(p.ask_after)).min().unwrap_or(Millis::NEVER)
}

/// The pushers of whom the live service has to be asked now.
pub fn silent<'a>(room: &'a Room, now: Millis, rules: &'a Rules) -> impl Iterator<Item = (&'a UserId, &'a StreamId)> {
    let asks = !room.kind.is_elsewhere();
    room.pushers
        .iter()
        .filter(move |p| asks && p.seen.plus(rules.heartbeat_timeout) <= now && p.ask_after <= now)
        .map(|p| (&p.user, &p.stream))
}

/// A pusher was reported to have vanished at this time. Unless it was seen since, its silence counts as over
/// now, so that the live service is asked at once.
pub fn suspect(room: Option<&mut Room>, now: Millis, user: &UserId, at: Millis, rules: &Rules) {
    let Some(pusher) = room.and_then(|r| r.pushers.iter_mut().find(|p| p.user == *user)) else { return };
    if pusher.seen <= at {
        pusher.seen = pusher.seen.min(Millis(now.0.saturating_sub(rules.heartbeat_timeout)));
        pusher.ask_after = pusher.ask_after.min(now);
    }
}

/// Carries out what time asks for: reclaims a room that no pusher entered; judges silent pushers by what
/// the live service said of them. A pusher that was seen in the meantime stays whatever was said.
pub fn sweep(slot: &mut Option<Room>, now: Millis, said: &[(UserId, Pushing)], rules: &Rules) -> Vec<Event> {
    let mut events = Vec::new();
    let Some(room) = slot.as_mut() else { return events };
    if room.pushers.is_empty() {
        if room.created.plus(rules.max_idle) <= now {
            events.extend(close_room(slot, now, CloseReason::Idle).unwrap_or_default());
        }
        return events;
    }
    let mut gone = Vec::new();
    for (user, pushing) in said {
        let Some(pusher) = room.pushers.iter_mut().find(|p| p.user == *user) else { continue };
        if pusher.seen.plus(rules.heartbeat_timeout) > now {
            continue;
        }
        match pushing {
            Pushing::Yes => pusher.seen = now,
            Pushing::Until(last) if last.plus(rules.heartbeat_timeout) > now => pusher.seen = *last,
            Pushing::Unknown => pusher.ask_after = now.plus(rules.ask_again),
            Pushing::No | Pushing::Until(_) => gone.push(user.clone()),
        }
    }
    if room.kind.is_elsewhere() {
        // There is no service to ask: silence is all there is.
        let patience = patience(room, rules);
        let silent = room.pushers.iter().filter(|p| p.seen.plus(patience) <= now);
        gone = silent.map(|p| p.user.clone()).collect();
    }
    for user in &gone {
        match delete_pusher(slot, now, user, LeaveReason::Timeout, rules) {
            Ok(more) => events.extend(more),
            // The room closed with a pusher before this one, and took it along.
            Err(Refusal::NotMember) => break,
            Err(_) => {}
        }
    }
    events
}

#[cfg(test)]
mod tests;
