//! Looks whether a process is what the book says: after a start, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use room::custom::Value;
use room::{Millis, RoomId};

use crate::process::Process;
use crate::world::World;

/// What was loaded is what was committed.
pub async fn loaded(process: &Process) {
    let book = &process.world().book;
    let ids: Vec<RoomId> = book.with(|pages| pages.rooms.keys().cloned().collect());
    for id in &ids {
        let mut found = None;
        let see = &mut |room: &room::Room, _: usize| found = Some(room.clone());
        if process.store.see(id, see).await.is_err() {
            continue;
        }
        book.with(|pages| {
            let Some(room) = pages.rooms.get(id).filter(|room| !room.rotten).cloned() else { return };
            let there = found.as_ref().map(|found| (found.seq, found.pushers.iter().map(|p| p.user.clone()).collect()));
            let should = room.there.then(|| (room.seq, room.members.clone()));
            if there != should {
                pages.lost_room(id, format!("{id} is {there:?} and should be {should:?}"));
                // One loss, however much of the room it shows in.
                return;
            }
            let Some(found) = found else { return };
            let fields: Vec<_> =
                pages.fields.iter().filter(|((of, life, _), _)| of == id && *life == room.life).collect();
            let wrong = fields.iter().find_map(|((_, _, name), may)| {
                let has = found.custom.get(name).map(|value| match value {
                    Value::Text(text) => text.to_string(),
                    other => format!("{other:?}"),
                });
                let fits = has.as_ref().is_some_and(|has| may.contains(has)) || may.iter().any(String::is_empty);
                (!fits).then(|| format!("{name} of {id} is {has:?} and may be {may:?}"))
            });
            if let Some(why) = wrong {
                pages.lost_room(id, why);
            }
        });
    }
    if !process.is_shared() {
        groups(process);
    }
    let found: Vec<RoomId> = process.store.ids().await.unwrap_or_default();
    book.with(|pages| {
        for id in found.iter().filter(|id| !pages.rooms.contains_key(*id)).cloned().collect::<Vec<_>>() {
            pages.broken("nothing comes from nowhere", format!("{id}"));
        }
    });
    kept_out(process).await;
}

/// Bans and logouts that were acknowledged are there.
async fn kept_out(process: &Process) {
    let bans = process.store.bans(Millis(0)).await.unwrap_or_default();
    let ended = process.store.revoked(Millis(0)).await.unwrap_or_default();
    let wall = process.world().wall();
    process.world().book.with(|pages| {
        let lost = pages.banned.iter().find(|((user, room), ban)| {
            ban.until > wall
                && !bans.iter().any(|kept| kept.user == *user && kept.room == *room && kept.until >= ban.until)
        });
        if let Some(((user, room), _)) = lost {
            let why = format!("the ban of {user} in {room:?}");
            let key = (user.clone(), room.clone());
            pages.lost_one(why);
            pages.banned.remove(&key);
        }
        // A mark of a user's stands for many; whose a session was, the book does not know.
        let is_kept = |id: &u64| !ended.before.is_empty() || ended.ended.iter().any(|(kept, _)| kept == id);
        let lost = pages.ended.keys().find(|id| !is_kept(id)).copied();
        if let Some(id) = lost {
            pages.lost_one(format!("the logout of session {id}"));
            pages.ended.remove(&id);
        }
        // What was damaged has shown by now.
        pages.rotten = 0;
    });
}

/// Groups have all messages that were acknowledged. What some have heard and nobody was told to be kept may be gone, and its
/// number is given again.
fn groups(process: &Process) {
    for id in process.hub.ids() {
        let Ok(shown) = process.hub.show(&id) else { continue };
        let key = (id.clone(), shown.epoch.0);
        process.world().book.with(|pages| {
            let said = pages.last_said.get(&key).copied().unwrap_or_default();
            if said > shown.last && !pages.rot {
                let why = format!("{said} was said in {id}, and the last is {}", shown.last);
                pages.broken("chat outlives the process", why);
            }
            pages.said.retain(|(room, epoch, seq), _| *room != id || *epoch != shown.epoch.0 || *seq <= shown.last);
            pages.began.insert(key, shown.last);
        });
    }
}

/// A room's group has no owner, whoever made it before.
pub fn owners(process: &Process) {
    // While the disk is away a room may have ended for the process and not for the record.
    if process.world().is_troubled() {
        return;
    }
    for id in process.hub.ids() {
        let Ok(Some(owner)) = process.hub.owner(&id) else { continue };
        process.world().book.with(|pages| {
            // What the process did while the disk was away, or a node, is in the record soon after.
            if pages.calm.elapsed() < crate::book::HEARD {
                return;
            }
            let stands = |room: &crate::book::Room| {
                // Whether one is there that a rotten file may have lost is not known.
                let is_known = room.there && !room.rotten;
                is_known && room.made.is_some_and(|made| made.elapsed() > std::time::Duration::from_secs(1))
            };
            if pages.rooms.get(&id).is_some_and(stands) {
                pages.broken("a group begins with its room", format!("{owner} has that of {id}"));
            }
        });
    }
}

/// The life of a group, its owner and who is under a sanction are the same at all nodes that have it.
pub fn agree(world: &World) {
    if world.machines.len() < 2 {
        return;
    }
    // Who asks one that stands still lets its clock go on.
    let all = world.machines.iter().filter_map(|machine| machine.lock().clone());
    let processes: Vec<Arc<Process>> = all.filter(|process| process.stands().is_none()).collect();
    let mut seen: BTreeMap<RoomId, BTreeSet<String>> = BTreeMap::new();
    for process in &processes {
        for id in process.hub.ids() {
            let Ok(shown) = process.hub.show(&id) else { continue };
            let owner = process.hub.owner(&id).ok().flatten();
            let out: BTreeSet<_> = shown.banned.into_iter().map(|(user, _)| user).collect();
            let muted: BTreeSet<_> = shown.muted.into_iter().map(|(user, _)| user).collect();
            let said = format!("epoch {}, owner {owner:?}, without {out:?}, {muted:?} muted", shown.epoch.0);
            seen.entry(id).or_default().insert(said);
        }
    }
    seen.retain(|_, said| said.len() > 1);
    world.book.with(|pages| pages.differ(seen));
}

/// At the end everything is as it should be: nothing waits, nothing is left over.
pub async fn healed(process: &Arc<Process>) {
    let world = process.world().clone();
    let book = &world.book;
    if let Err(trouble) = process.store.probe().await {
        book.broken("everything heals", format!("the store takes no changes: {trouble}"));
    }
    loaded(process).await;
    let mut groups = Vec::new();
    for id in process.hub.ids() {
        // Who is in one keeps it; of several nodes none is left that says so of others.
        let is_used = !process.is_shared() && process.hub.show(&id).is_ok_and(|shown| shown.users > 0);
        if !is_used && !process.rooms.exists(&id).await {
            groups.push(id);
        }
    }
    let spans = process.journal.as_ref().map_or(0, |journal| journal.kept_spans());
    let used = world.disk.used();
    let segments = process.history.end(0).await.unwrap_or_default();
    book.with(|pages| {
        let untold: usize = pages.rooms.values().filter(|room| !room.rotten).map(|room| room.untold.len()).sum();
        if untold > 0 && !pages.rot {
            pages.broken("webhooks: everything is told", format!("{untold} events are not"));
        }
        if !groups.is_empty() {
            pages.broken("memory is bounded", format!("groups without rooms: {groups:?}"));
        }
        if spans > 0 {
            pages.broken("memory is bounded", format!("{spans} spans"));
        }
        if used > MOST {
            pages.broken("the disk is bounded", format!("{used} bytes at change {segments}"));
        }
    });
}

/// Most bytes on the disk when all is told: a snapshot, another one's worth of changes, and copies of damage.
const MOST: usize = 1 << 20;
