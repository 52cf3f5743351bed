//! How viewers stand in a journal: who came to a room's audience and who left it, by frames that nobody waits for. What is lost with
//! a disk that is away is in the next snapshot; what is lost with the process is said again by those who watch.

use std::borrow::Cow;

use hashbrown::HashMap;
use room::{Audience, RoomId, UserId};
use serde::{Deserialize, Serialize};

use super::Journal;
use super::record::{Draft, Kind};
use crate::error::Error;

/// Viewers in one frame of a snapshot.
const AT_ONCE: usize = 256;

/// What a frame says of a room's audience.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Said<'a> {
    /// Who came, in order, and what the app says about them; none of who is counted alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    came: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    /// Who left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<Cow<'a, str>>,
}

/// The frame of a viewer who came.
fn came(room: &RoomId, user: &UserId, info: Option<&str>) -> Option<Draft> {
    draft(room, &Said { came: vec![(user.as_str().into(), info.map(Cow::from))], ..Said::default() })
}

/// The frame of a viewer who left.
fn gone(room: &RoomId, user: &UserId) -> Option<Draft> {
    draft(room, &Said { gone: vec![user.as_str().into()], ..Said::default() })
}

fn draft(room: &RoomId, said: &Said<'_>) -> Option<Draft> {
    Draft::new(Kind::Viewers, room.as_str(), &serde_json::to_vec(said).ok()?, &[])
}

/// The states of the frames that say all of an audience.
pub fn states(audience: &Audience) -> impl Iterator<Item = Vec<u8>> {
    let listed = audience.listed().iter().map(|viewer| (&viewer.user, Some(&*viewer.info)));
    let all: Vec<_> = listed.chain(audience.unlisted().map(|user| (user, None))).collect();
    let count = all.len().div_ceil(AT_ONCE);
    (0..count).filter_map(move |n| {
        let some = all.iter().skip(n * AT_ONCE).take(AT_ONCE);
        let came = some.map(|(user, info)| (user.as_str().into(), info.map(Cow::from))).collect();
        serde_json::to_vec(&Said { came, ..Said::default() }).ok()
    })
}

impl Journal {
    pub(super) fn enter(&self, id: &RoomId, user: &UserId, info: Option<&str>) -> Result<bool, Error> {
        self.kept.memory.enter(id, user, info, || self.append_viewer(came(id, user, info)))
    }

    pub(super) fn exit(&self, id: &RoomId, user: &UserId) -> bool {
        self.kept.memory.exit(id, user, || self.append_viewer(gone(id, user)))
    }

    /// Under the lock of the room: changes of its audience stand in the order in which they were made.
    fn append_viewer(&self, draft: Option<Draft>) {
        let log = self.log();
        if let Some(draft) = draft.filter(|_| log.ready().is_ok()) {
            drop(log.append(draft, Vec::new()));
        }
    }
}

/// Audiences as they are read forwards: users by room, each with its place in the order of coming.
#[derive(Default)]
pub struct Watching {
    rooms: HashMap<Box<str>, Users>,
    next: u64,
}

/// Users of one room: the place of each, and what the app says about it.
type Users = HashMap<Box<str>, (u64, Option<Box<str>>)>;

impl Watching {
    /// Takes a frame. Says whether it is understood.
    pub fn take(&mut self, room: &str, state: &[u8]) -> bool {
        let Ok(Said { came, gone }) = serde_json::from_slice(state) else { return false };
        let users = self.rooms.entry(room.into()).or_default();
        for (user, info) in came {
            self.next += 1;
            let place = users.get(&*user).map_or(self.next, |(place, _)| *place);
            users.insert(user.into(), (place, info.map(Box::from)));
        }
        for user in gone {
            users.remove(&*user);
        }
        true
    }

    /// A room is gone, with its audience.
    pub fn end(&mut self, room: &str) {
        self.rooms.remove(room);
    }

    /// All of them, with at most so many listed viewers each.
    pub fn audiences(self, max: usize) -> impl Iterator<Item = (RoomId, Audience)> {
        self.rooms.into_iter().filter_map(move |(room, users)| {
            let mut users: Vec<_> = users.into_iter().collect();
            users.sort_unstable_by_key(|(_, (place, _))| *place);
            let mut audience = Audience::default();
            for (user, (_, info)) in users {
                match (UserId::parse(&user), info) {
                    // One for whom there is no place is counted.
                    (Ok(user), Some(info)) => drop(audience.add(&user, &info, max)),
                    (Ok(user), None) => drop(audience.count_only(&user)),
                    (Err(_), _) => {}
                }
            }
            Some((RoomId::parse(&room).ok()?, audience)).filter(|(_, audience)| audience.count() > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use room::pushers::{self, NewPusher};
    use room::{Kind, LeaveReason, Millis, Rules, StreamId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Store, Viewers};

    fn rules() -> Arc<Rules> {
        Arc::new(Rules { max_audiences: 2, ..Rules::default() })
    }

    fn open(dir: &Path) -> Journal {
        let (outbox, _) = mpsc::unbounded_channel();
        Journal::open(dir, true, rules(), outbox, Millis(0)).unwrap()
    }

    fn room(name: &str) -> RoomId {
        RoomId::parse(name).unwrap()
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    async fn make(journal: &Journal, name: &str) {
        let id = room(name);
        let ann = user("ann");
        let stream = StreamId::parse("ann").unwrap();
        let new =
            NewPusher { room: &id, kind: Kind::Live, user: &ann, name: "", avatar: "", stream: &stream, info: None };
        let decide = &mut |slot: &mut Option<room::Room>| {
            pushers::add_pusher(slot, Millis(1), &new, &rules()).map(|joined| joined.events)
        };
        journal.update(&id, decide).await.unwrap();
    }

    async fn end(journal: &Journal, name: &str) {
        let decide = &mut |slot: &mut Option<room::Room>| {
            pushers::delete_pusher(slot, Millis(1), &user("ann"), LeaveReason::Quit, &rules())
        };
        journal.update(&room(name), decide).await.unwrap();
    }

    async fn watch(journal: &Journal, name: &str, who: &str, info: &str) {
        let _ = journal.add_viewer(&room(name), &user(who), Some(info)).await;
    }

    async fn shown(journal: &Journal, name: &str) -> (usize, Vec<String>) {
        let Viewers { count, listed } = journal.viewers(&room(name)).await.unwrap();
        (count, listed.iter().map(|viewer| format!("{} {}", viewer.user, viewer.info)).collect())
    }

    /// Waits until all that was queued is on the disk, and goes without a word.
    async fn reopened(journal: Journal, dir: &Path) -> Journal {
        journal.probe().await.unwrap();
        drop(journal);
        open(dir)
    }

    #[tokio::test]
    async fn audiences_outlive_restarts_and_snapshots() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        make(&journal, "r").await;
        make(&journal, "old").await;
        for who in ["v1", "v2", "v3", "v4"] {
            watch(&journal, "r", who, who).await;
        }
        watch(&journal, "old", "v1", "").await;
        journal.delete_viewer(&room("r"), &user("v1")).await.unwrap();
        watch(&journal, "r", "v2", "renewed").await;
        end(&journal, "old").await;
        make(&journal, "old").await;
        let wanted = (3, vec!["v2 renewed".to_owned(), "v3 v3".to_owned()]);
        for snapshot in [false, true, true] {
            journal = reopened(journal, dir.path()).await;
            assert_eq!(shown(&journal, "r").await, wanted);
            assert_eq!(shown(&journal, "old").await, (0, vec![]), "they watched an older room of this name");
            assert_eq!(journal.totals().unwrap().viewers, 3);
            if snapshot {
                journal.snapshot().unwrap();
            }
        }
        let mut watching: Vec<String> = journal.watching().iter().map(|(_, user)| user.to_string()).collect();
        watching.sort();
        assert_eq!(watching, ["v2", "v3", "v4"]);
        // After a snapshot, too, who leaves is gone.
        journal.delete_viewer(&room("r"), &user("v4")).await.unwrap();
        let mut journal = reopened(journal, dir.path()).await;
        assert_eq!(shown(&journal, "r").await, (2, wanted.1));
        // Whose name a snapshot does not know is not listed in a free place.
        watch(&journal, "r", "v5", "v5").await;
        journal = reopened(journal, dir.path()).await;
        journal.snapshot().unwrap();
        journal.delete_viewer(&room("r"), &user("v2")).await.unwrap();
        let _ = journal.add_viewer(&room("r"), &user("v6"), None).await;
        for _ in 0..2 {
            journal = reopened(journal, dir.path()).await;
            assert_eq!(shown(&journal, "r").await, (3, vec!["v3 v3".to_owned()]));
            journal.snapshot().unwrap();
        }
        watch(&journal, "r", "v5", "v5").await;
        assert_eq!(shown(&journal, "r").await, (3, vec!["v3 v3".to_owned(), "v5 v5".to_owned()]));
    }

    #[tokio::test]
    async fn who_says_again_that_it_watches_costs_nothing_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path());
        make(&journal, "r").await;
        for who in ["v1", "v2", "v3"] {
            watch(&journal, "r", who, "").await;
        }
        let length = async || {
            journal.probe().await.unwrap();
            let sizes = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
            sizes.sum::<u64>()
        };
        let probed = length().await;
        let probe = length().await - probed;
        for _ in 0..100 {
            for who in ["v1", "v2", "v3"] {
                watch(&journal, "r", who, "").await;
            }
        }
        assert_eq!(length().await - probed, 2 * probe);
    }
}
