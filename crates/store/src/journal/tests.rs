//! What is on disk is what was answered: over restarts, damage, full disks, and snapshots beside everything.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};

use proptest::prelude::*;
use room::custom::{Operation, set_custom_field};
use room::pushers::{NewPusher, NewRoom, add_pusher, create_room, delete_pusher};
use room::{LeaveReason, Refusal, StreamId};
use tokio::sync::mpsc;

use super::files::About;
use super::*;
use crate::History;
use crate::{ChatEntry, ChatRecord, KeptGroup};

type Events = mpsc::UnboundedReceiver<Vec<Event>>;

fn open(dir: &Path) -> (Journal, Events) {
    open_at(dir, Millis(0))
}

fn open_at(dir: &Path, now: Millis) -> (Journal, Events) {
    let (outbox, events) = mpsc::unbounded_channel();
    (Journal::open(dir, true, Arc::new(Rules::default()), outbox, now).unwrap(), events)
}

fn id(n: usize) -> RoomId {
    RoomId::parse(&format!("room{n}")).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

async fn enter(store: &Journal, n: usize, who: &str, now: Millis) -> Result<(), Error> {
    let room = id(n);
    let user = user(who);
    let stream = StreamId::parse(who).unwrap();
    let new = NewPusher {
        room: &room,
        kind: Kind::Multi,
        user: &user,
        name: "名字",
        avatar: "",
        stream: &stream,
        info: Some("{}"),
    };
    store.update(&room, &mut |slot| add_pusher(slot, now, &new, &Rules::default()).map(|j| j.events)).await
}

async fn leave(store: &Journal, n: usize, who: &str) -> Result<(), Error> {
    let user = user(who);
    let rules = Rules::default();
    store.update(&id(n), &mut |slot| delete_pusher(slot, Millis(1), &user, LeaveReason::Quit, &rules)).await
}

async fn set(store: &Journal, n: usize, name: &str, operation: Operation) -> Result<(), Error> {
    store.update(&id(n), &mut |slot| set_custom_field(slot, Millis(1), name, operation.clone())).await
}

fn rooms(store: &Journal) -> BTreeMap<RoomId, Room> {
    let mut rooms = BTreeMap::new();
    let see = |rooms: &mut BTreeMap<_, _>, room: &Room, _: Option<&room::Audience>| {
        rooms.insert(room.id.clone(), room.clone());
        Ok::<_, ()>(())
    };
    store.kept.memory.each(&mut rooms, see, |_| Ok(())).unwrap();
    rooms
}

#[tokio::test]
async fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let next = AtomicU8::new(0);
    crate::contract::contract(async |rules, outbox| {
        let dir = dir.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        Arc::new(Journal::open(&dir, true, rules, outbox, Millis(0)).unwrap())
    })
    .await;
}

#[tokio::test]
async fn readers_go_on_where_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let again = async |first: Journal| {
        drop(first);
        open(dir.path()).0
    };
    crate::contract::readers_go_on_where_they_were(open(dir.path()).0, again).await;
    // Of a reader that is no more nothing stays.
    let (last, _events) = open(dir.path());
    last.keep_readers("webhook-", &[]).await.unwrap();
    assert_eq!((last.place("webhook-a", 0).await.unwrap(), last.ahead("webhook-a", 0).await.unwrap()), (None, None));
}

#[tokio::test]
async fn without_waiting_for_the_disk_it_keeps_the_contract_too() {
    let dir = tempfile::tempdir().unwrap();
    let next = AtomicU8::new(0);
    crate::contract::contract(async |rules, outbox| {
        let dir = dir.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        Arc::new(Journal::open(&dir, false, rules, outbox, Millis(0)).unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_restart_finds_everything_and_gives_members_time_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    enter(&store, 1, "alice", Millis(5)).await.unwrap();
    enter(&store, 1, "bob", Millis(6)).await.unwrap();
    enter(&store, 2, "carol", Millis(7)).await.unwrap();
    leave(&store, 2, "carol").await.unwrap();
    let empty = id(3);
    let by = user("dave");
    let new = NewRoom { id: &empty, kind: Kind::Live, info: "soon", by: &by };
    store.update(&empty, &mut |slot| create_room(slot, Millis(8), &new)).await.unwrap();
    for value in [0.1, 0.2, 1e-7, 0.30000000000000004] {
        set(&store, 1, "score", Operation::Set(Value::Float(value))).await.unwrap();
    }
    set(&store, 1, "likes", Operation::Add(3)).await.unwrap();
    set(&store, 1, "likes", Operation::Add(4)).await.unwrap();
    store.revoke(77, Millis(1_000_000), Millis(0)).await.unwrap();
    store.revoke(78, Millis(10), Millis(0)).await.unwrap();
    store.revoke(79, Millis(1_000_000), Millis(0)).await.unwrap();
    let many = EndedBefore { who: u64::MAX, at: Millis(7), until: Millis(2_000_000), ended: vec![79, 80] };
    store.revoke_before(&many, Millis(7)).await.unwrap();
    let answered = rooms(&store);
    let now = Millis(500_000);
    // As a kill leaves it; and then after a snapshot, twice.
    let copy = killed(dir.path());
    for round in 0..3 {
        let (again, _events) = open_at(copy.path(), now);
        let found = rooms(&again);
        assert_eq!(found.keys().collect::<Vec<_>>(), answered.keys().collect::<Vec<_>>(), "round {round}");
        let room = &found[&id(1)];
        assert!(room.pushers.iter().all(|p| p.seen == now), "the time counts from the restart");
        assert_eq!(timeless(room), timeless(&answered[&id(1)]));
        assert_eq!(room.custom.get("score"), Some(&Value::Float(0.30000000000000004)));
        assert_eq!(found[&id(3)].created, now, "an empty room waits for somebody anew");
        assert!(again.due(now.plus(19_999), 10).await.unwrap().is_empty());
        assert_eq!(again.due(now.plus(30_000), 10).await.unwrap().len(), 2);
        let revoked = again.revoked(Millis(0)).await.unwrap();
        assert_eq!(revoked.ended, [(77, Millis(1_000_000))]);
        assert_eq!(revoked.before, [EndedBefore { ended: Vec::new(), ..many.clone() }], "round {round}");
        again.snapshot().unwrap();
    }
    // Numbers go on where they were: nothing new hides behind something old.
    let (again, mut events) = open_at(copy.path(), now);
    set(&again, 1, "likes", Operation::Add(1)).await.unwrap();
    assert_eq!(events.recv().await.unwrap()[0].seq, answered[&id(1)].seq + 1);
    drop(again);
    assert_eq!(rooms(&open(copy.path()).0)[&id(1)].custom.get("likes"), Some(&Value::Int(8)));
}

/// The files as they are this moment: what is left after a kill.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

fn timeless(room: &Room) -> Room {
    come_back(room.clone(), Millis(0))
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _events) = open(dir.path());
    let second = Journal::open(dir.path(), true, Arc::default(), mpsc::unbounded_channel().0, Millis(0));
    let why = second.err().unwrap().to_string();
    assert!(why.contains("in use by another running server"), "{why}");
    drop(first);
    open(dir.path());
}

/// A journal of some changes, and the rooms after each of them by the length that the file had.
async fn recorded(dir: &Path) -> (std::path::PathBuf, Vec<(u64, BTreeMap<RoomId, Room>)>) {
    let (store, _events) = open(dir);
    let file = store.kept.dir.segment(1);
    let mut states = vec![(0, BTreeMap::new())];
    for n in 0..4 {
        enter(&store, n, "alice", Millis(9)).await.unwrap();
        states.push((fs::metadata(&file).unwrap().len(), rooms(&store)));
        set(&store, n, "likes", Operation::Add(1)).await.unwrap();
        states.push((fs::metadata(&file).unwrap().len(), rooms(&store)));
    }
    leave(&store, 0, "alice").await.unwrap();
    states.push((fs::metadata(&file).unwrap().len(), rooms(&store)));
    (file, states)
}

#[tokio::test]
async fn a_tail_cut_at_any_byte_costs_only_the_changes_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, states) = recorded(dir.path()).await;
    let bytes = fs::read(&file).unwrap();
    let first = states[states.len() - 4].0 as usize;
    for cut in first..=bytes.len() {
        fs::write(&file, &bytes[..cut]).unwrap();
        let (store, _events) = open(dir.path());
        let (sound, expected) = states.iter().rfind(|(length, _)| *length <= cut as u64).unwrap();
        let expected: Vec<_> = expected.values().map(timeless).collect();
        assert_eq!(rooms(&store).values().map(timeless).collect::<Vec<_>>(), expected, "cut at {cut}");
        assert_eq!(fs::metadata(&file).unwrap().len(), *sound, "the rest is cut off");
    }
}

/// Files that were put aside because of damage.
fn copies(dir: &Path) -> Vec<std::path::PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("damaged-")).collect()
}

#[tokio::test]
async fn damage_in_the_middle_costs_only_the_changes_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, states) = recorded(dir.path()).await;
    let bytes = fs::read(&file).unwrap();
    // The third change is room 1's making, the fourth a like in it: without that there is no like.
    for (at, likes) in [(states[2].0, None), (states[3].0, Some(false)), (states[5].0, Some(true))] {
        copies(dir.path()).iter().for_each(|copy| fs::remove_file(copy).unwrap());
        let mut bad = bytes.clone();
        bad[at as usize + 30] ^= 1;
        fs::write(&file, &bad).unwrap();
        for again in [false, true] {
            let (store, _events) = open(dir.path());
            let rooms = rooms(&store);
            assert!(!rooms.contains_key(&id(0)) && rooms.contains_key(&id(3)), "what comes after is kept: {again}");
            let liked = rooms.get(&id(1)).map(|room| room.custom.get("likes").is_some());
            assert_eq!(liked, likes, "damage at {at}, {again}");
        }
        // What was there is kept for people, once; the journal itself is sound.
        let kept = copies(dir.path());
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(&kept[0]).unwrap(), bad);
        let sound = fs::read(&file).unwrap();
        assert!(sound.len() < bad.len() && super::record::frames(&sound).count() == states.len() - 2);
    }
    // Whoever missed nothing so far is told what can still be told.
    let (store, _events) = open(dir.path());
    let told = store.after(0, "0", 100).await.unwrap();
    assert_eq!(told.iter().filter(|entry| !entry.news.is_empty()).count(), states.len() - 2);
}

#[tokio::test]
async fn damage_that_comes_later_costs_readers_only_what_stands_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, states) = recorded(dir.path()).await;
    let (store, _events) = open(dir.path());
    let mut bad = fs::read(&file).unwrap();
    bad[states[2].0 as usize + 30] ^= 1;
    fs::write(&file, &bad).unwrap();
    let told = store.after(0, "0", 100).await.unwrap();
    assert_eq!(told.iter().filter(|entry| !entry.news.is_empty()).count(), states.len() - 2);
    let last = told.last().unwrap().place.clone();
    assert_eq!(last, store.end(0).await.unwrap(), "readers get to the end");
}

#[tokio::test]
async fn a_file_without_a_change_of_a_process_that_was_killed_hides_nothing_from_readers() {
    // What it had queued before was lost with it; power that failed leaves zeros.
    for left in [&b""[..], &[0; 100]] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _events) = open(dir.path());
        enter(&store, 1, "alice", Millis(0)).await.unwrap();
        drop(store);
        fs::write(dir.path().join(format!("{:020}.log", 4)), left).unwrap();
        let (store, _events) = open(dir.path());
        for n in 2..8 {
            enter(&store, n, "alice", Millis(0)).await.unwrap();
        }
        let told = store.after(0, "5", 100).await.unwrap();
        assert_eq!(told.iter().map(|entry| &*entry.place).collect::<Vec<_>>(), ["6", "7"], "{left:?}");
    }
}

#[tokio::test]
async fn of_a_commit_of_a_later_version_readers_get_what_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    enter(&store, 1, "alice", Millis(9)).await.unwrap();
    let file = store.kept.dir.segment(1);
    drop((store, _events));
    let mut bytes = Vec::new();
    for (record, _) in super::record::frames(&fs::read(&file).unwrap()) {
        let mut events: Vec<serde_json::Value> = serde_json::from_slice(record.events).unwrap();
        events.push(serde_json::json!({ "what": "of a later version" }));
        let events = serde_json::to_vec(&events).unwrap();
        let draft = super::record::Draft::new(record.kind, record.key, record.state, &events);
        draft.unwrap().append(record.number, &mut bytes);
    }
    fs::write(&file, &bytes).unwrap();
    let (store, _events) = open(dir.path());
    let told = store.after(0, "0", 100).await.unwrap();
    let events: usize = told.iter().map(|entry| entry.news.len()).sum();
    assert_eq!(events, 2, "the room was made, and alice entered");
}

#[tokio::test]
async fn rows_outlive_restarts_and_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let now = Millis(1_000);
    let row = |key: &str, until: u64| Row { key: key.into(), value: "x".into(), until: Millis(until) };
    let (store, _events) = open_at(dir.path(), now);
    for (key, until) in [("a", 9_000), ("b", 9_000), ("c", 9_000)] {
        assert!(store.put_row(Table::Streams, &row(key, until), false, now).await.unwrap());
    }
    store.take_row(Table::Streams, "b").await.unwrap();
    drop(store);
    for _ in 0..2 {
        let (store, _events) = open_at(dir.path(), now);
        let kept = store.rows(Table::Streams, None, 9, now).await.unwrap();
        assert_eq!(kept, [row("c", 9_000), row("a", 9_000)]);
        store.snapshot().unwrap();
    }
}

#[tokio::test]
async fn a_damaged_snapshot_costs_what_stands_in_the_damage_and_a_copy_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    for n in 0..20 {
        enter(&store, n, "alice", Millis(9)).await.unwrap();
    }
    store.snapshot().unwrap();
    let file = store.kept.dir.snapshot();
    drop((store, _events));
    for segment in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if segment.extension().is_some_and(|extension| extension == "log") {
            fs::remove_file(segment).unwrap();
        }
    }
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].copy_from_slice(b"????");
    fs::write(&file, &bytes).unwrap();
    for _ in 0..2 {
        let (store, _events) = open(dir.path());
        assert_eq!(rooms(&store).len(), 19);
    }
    assert_eq!(copies(dir.path()).len(), 1);
}

#[tokio::test]
async fn what_a_later_version_wrote_is_kept_for_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    for n in 0..3 {
        enter(&store, n, "alice", Millis(9)).await.unwrap();
    }
    let file = store.kept.dir.segment(1);
    drop((store, _events));
    let mut bytes = Vec::new();
    let before = fs::read(&file).unwrap();
    for (record, _) in super::record::frames(&before) {
        let state = String::from_utf8(record.state.to_vec()).unwrap();
        // Room 1 is of a kind that is not known here, and room 2 has a field that is not.
        let state = match record.number {
            2 => state.replace("\"multi\"", "\"theatre\""),
            3 => state.replacen('{', "{\"later\":1,", 1),
            _ => state,
        };
        let draft = super::record::Draft::new(record.kind, record.key, state.as_bytes(), record.events);
        draft.unwrap().append(record.number, &mut bytes);
    }
    let later = super::record::Draft::new(super::record::Kind::Other(42), "key", b"later", b"");
    later.unwrap().append(4, &mut bytes);
    fs::write(&file, &bytes).unwrap();
    for round in 0..3 {
        let (store, _events) = open(dir.path());
        assert_eq!(rooms(&store).into_keys().collect::<Vec<_>>(), [id(0), id(2)], "round {round}");
        let foreign = |kind| store.kept.foreign.iter().filter(move |foreign| foreign.kind == kind);
        let other: Vec<_> = foreign(super::record::Kind::Other(42)).map(|f| (&*f.key, &*f.state)).collect();
        assert_eq!(other, [("key", &b"later"[..])], "round {round}");
        let theatre: Vec<_> = foreign(super::record::Kind::Put).map(|f| f.key.clone()).collect();
        assert_eq!(theatre, [id(1).as_str()], "round {round}");
        if round < 2 {
            store.snapshot().unwrap();
        }
        assert!(copies(dir.path()).is_empty());
    }
    // Made anew, it is this version's.
    let (store, _events) = open(dir.path());
    enter(&store, 1, "bob", Millis(9)).await.unwrap();
    store.snapshot().unwrap();
    drop((store, _events));
    let (store, _events) = open(dir.path());
    assert_eq!((rooms(&store).len(), store.kept.foreign.len()), (3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_to_the_files_it_starts(
        at in 0..2000usize, with in prop::collection::vec(any::<u8>(), 1..64), snapshot: bool, cut: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let (mut file, _) = recorded(dir.path()).await;
            if snapshot {
                let (store, _events) = open(dir.path());
                store.snapshot().unwrap();
                file = store.kept.dir.snapshot();
            }
            let mut bytes = fs::read(&file).unwrap();
            let at = at % bytes.len();
            let end = (at + with.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&with[..end - at]);
            if cut {
                bytes.truncate(end);
            }
            fs::write(&file, &bytes).unwrap();
            let (store, _events) = open(dir.path());
            enter(&store, 9, "late", Millis(9)).await.unwrap();
            drop(store);
            let (store, _events) = open(dir.path());
            prop_assert!(rooms(&store).contains_key(&id(9)), "what comes after the damage is kept");
            Ok(())
        })?;
    }
}

/// The machine's file system, but for files whose names end so.
struct Instead<F>(&'static str, F);

impl<F: Fn(&Path) -> io::Result<Box<dyn Sheet>> + Send + Sync> Disk for Instead<F> {
    fn make(&self, path: &Path) -> io::Result<Box<dyn Sheet>> {
        if path.to_str().unwrap().ends_with(self.0) { (self.1)(path) } else { OnDisk.make(path) }
    }
    fn hold(&self, dir: &Path) -> io::Result<Box<dyn std::any::Any + Send + Sync>> {
        OnDisk.hold(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        OnDisk.list(dir)
    }
    fn about(&self, path: &Path) -> io::Result<About> {
        OnDisk.about(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        OnDisk.read(path)
    }
    fn read_at(&self, path: &Path, from: u64, most: u64) -> io::Result<Vec<u8>> {
        OnDisk.read_at(path, from, most)
    }
    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        OnDisk.cut(path, length)
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        OnDisk.sync(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OnDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OnDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OnDisk.sync_dir(dir)
    }
}

/// A disk that can be made to fail: 1 half-written and no room, 2 not synced, 3 cannot even be cut.
struct Faulty(std::fs::File, Arc<AtomicU8>);

impl Sheet for Faulty {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) % 2 == 1 {
            self.0.append(&bytes[..bytes.len() / 2])?;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.0.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        match self.1.load(Ordering::SeqCst) {
            2 => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => self.0.sync(),
        }
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self.1.load(Ordering::SeqCst) {
            3 => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => self.0.cut(length),
        }
    }
}

#[tokio::test]
async fn a_failing_disk_refuses_changes_loses_nothing_and_heals() {
    for fault in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(AtomicU8::new(0));
        let seen = state.clone();
        let (outbox, mut events) = mpsc::unbounded_channel();
        let disk = Instead("log", move |path: &Path| -> io::Result<Box<dyn Sheet>> {
            let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
            file.set_len(0)?;
            Ok(Box::new(Faulty(file, seen.clone())))
        });
        let ground = Ground { disk: Arc::new(disk), ..Ground::default() };
        let store = Journal::open_on(ground, dir.path(), true, Arc::default(), outbox, Millis(0)).unwrap();
        enter(&store, 1, "alice", Millis(0)).await.unwrap();
        assert!(events.try_recv().is_ok());
        state.store(fault, Ordering::SeqCst);
        let undecided = enter(&store, 2, "alice", Millis(0)).await;
        assert!(matches!(undecided, Err(Error::Unknown(_))), "it is made later, so it is not refused: {undecided:?}");
        for n in 3..6 {
            let refused = enter(&store, n, "alice", Millis(0)).await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
            assert!(!store.see(&id(n), &mut |_, _| {}).await.unwrap(), "refused before anything was changed");
        }
        assert!(store.see(&id(1), &mut |_, _| {}).await.unwrap(), "reads go on");
        store.touch(&id(1), Millis(9), Kind::Multi, &user("alice")).await.unwrap();
        assert!(events.try_recv().is_err(), "nothing is told that is not durable");
        let saved = std::thread::scope(|scope| scope.spawn(|| store.snapshot()).join().unwrap());
        assert!(saved.is_err(), "no snapshot of what is not durable");
        state.store(0, Ordering::SeqCst);
        // The next event comes when the disk has taken what it owed.
        let healed = events.recv().await.unwrap();
        assert_eq!(healed[0].room, id(2));
        // The answer may still be "no" for the moment between the two.
        while enter(&store, 6, "alice", Millis(0)).await.is_err() {
            tokio::task::yield_now().await;
        }
        let answered = rooms(&store);
        assert_eq!(answered.len(), 3);
        let (again, _events) = open(killed(dir.path()).path());
        assert_eq!(rooms(&again).keys().collect::<Vec<_>>(), answered.keys().collect::<Vec<_>>(), "fault {fault}");
    }
}

/// A file whose syncs do not come back before they are let.
struct Hanging(fs::File, Arc<Mutex<()>>);

impl Sheet for Hanging {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        let _answers = self.1.lock();
        self.0.sync()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "the disk hangs for as long as the lock is held")]
async fn a_disk_that_does_not_answer_keeps_nobody_waiting_and_loses_nothing() {
    for durable in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let hangs = Arc::new(Mutex::new(()));
        let (outbox, _events) = mpsc::unbounded_channel();
        let seen = hangs.clone();
        let disk = Instead("log", move |path: &Path| -> io::Result<Box<dyn Sheet>> {
            let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
            let held = seen.clone();
            // Without waiting for the disk nothing is synced: then making a file hangs.
            drop((!durable).then(|| held.lock()));
            Ok(Box::new(Hanging(file, held)))
        });
        let ground = Ground { disk: Arc::new(disk), patience: Duration::from_millis(20), ..Ground::default() };
        let store = Journal::open_on(ground, dir.path(), durable, Arc::default(), outbox, Millis(0)).unwrap();
        let held = hangs.lock();
        // These are taken, and told when the time of the disk is over; without waiting, at once.
        let first = tokio::join!(enter(&store, 1, "alice", Millis(0)), enter(&store, 2, "alice", Millis(0)));
        assert_eq!((first.0.is_err(), first.1.is_err()), (durable, durable), "{first:?}");
        while store.probe().await != Err(Trouble::DiskHangs) {
            tokio::task::yield_now().await;
        }
        let refused = enter(&store, 3, "alice", Millis(0)).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        store.touch(&id(1), Millis(9), Kind::Multi, &user("alice")).await.unwrap();
        assert_eq!(store.counters().unwrap().failures.load(Ordering::Relaxed), 1, "one write that failed");
        drop(held);
        // It answers again: what was taken stands, and changes go on.
        while store.probe().await.is_err() {
            tokio::task::yield_now().await;
        }
        enter(&store, 4, "alice", Millis(0)).await.unwrap();
        drop(store);
        let found = rooms(&open(dir.path()).0);
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), [id(1), id(2), id(4)]);
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "the disk hangs for as long as the lock is held")]
async fn a_snapshot_on_a_disk_that_does_not_answer_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let hangs = Arc::new(Mutex::new(()));
    let came = Arc::new(AtomicU8::new(0));
    let seen = (hangs.clone(), came.clone());
    let disk = Instead("new", move |path: &Path| -> io::Result<Box<dyn Sheet>> {
        Ok(Box::new(Stuck(OnDisk.make(path)?, seen.0.clone(), seen.1.clone())))
    });
    let (outbox, _events) = mpsc::unbounded_channel();
    let ground = Ground { disk: Arc::new(disk), ..Ground::default() };
    let store = Journal::open_on(ground, dir.path(), true, Arc::default(), outbox, Millis(0)).unwrap();
    // More than is written at a time, in every shard.
    for n in 0..4_000 {
        store.kept.memory.restore(Room::empty(id(n), Kind::Multi, &"x".repeat(1_000), Millis(0)));
    }
    enter(&store, 0, "alice", Millis(0)).await.unwrap();
    let held = hangs.lock();
    let store = Arc::new(store);
    let saving = store.clone();
    let saver = std::thread::spawn(move || saving.snapshot());
    while came.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // On a thread of its own: one that waits for a lock is told by nothing else.
    let asked = store.clone();
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for n in 0..4_000 {
                let seen = asked.see(&id(n), &mut |_, _| {}).await.unwrap();
                assert!(seen);
                // It locks every room, though only one has this user.
                let _ = asked.touch(&id(n), Millis(9), Kind::Multi, &user("alice")).await;
                if n % 100 == 0 {
                    enter(&asked, n, "bob", Millis(0)).await.unwrap();
                }
            }
        });
    });
    let begun = std::time::Instant::now();
    while !asking.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(60), "calls wait for the disk of the snapshot");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asking.join().unwrap();
    assert!(!saver.is_finished());
    drop(held);
    saver.join().unwrap().unwrap();
    drop(store);
    assert_eq!(rooms(&open(dir.path()).0).len(), 4_000);
}

/// A file whose writing does not come back before it is let; counts what came.
struct Stuck(Box<dyn Sheet>, Arc<Mutex<()>>, Arc<AtomicU8>);

impl Sheet for Stuck {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.2.fetch_add(1, Ordering::SeqCst);
        let _answers = self.1.lock();
        self.0.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}

/// A journal on a disk that can be made to fail, with how many snapshots were begun.
fn flapping(dir: &Path) -> (Journal, Arc<AtomicU8>, Arc<AtomicU8>) {
    let state = Arc::new(AtomicU8::new(0));
    let begun = Arc::new(AtomicU8::new(0));
    let seen = (state.clone(), begun.clone());
    let disk = Instead("", move |path: &Path| -> io::Result<Box<dyn Sheet>> {
        if path.ends_with("snapshot.new") {
            seen.1.fetch_add(1, Ordering::SeqCst);
        } else if path.extension().is_some_and(|end| end == "log") {
            let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
            file.set_len(0)?;
            return Ok(Box::new(Faulty(file, seen.0.clone())));
        }
        OnDisk.make(path)
    });
    let ground = Ground { disk: Arc::new(disk), ..Ground::default() };
    let outbox = mpsc::unbounded_channel().0;
    (Journal::open_on(ground, dir, true, Arc::default(), outbox, Millis(0)).unwrap(), state, begun)
}

fn said(n: u64) -> ChatEntry {
    let said =
        room::chat::Said { from: user("ann"), nick: None, random: Some(n), body: room::chat::Body::new("[]").unwrap() };
    let content = room::chat::Content::Said(said);
    ChatEntry::Message(Arc::new(room::chat::Message::new(id(1), n, Millis(n), content)))
}

#[tokio::test]
async fn what_was_said_while_the_disk_came_and_went_is_in_its_files_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (store, state, begun) = flapping(dir.path());
    let epoch = room::chat::Epoch(1);
    let group = ChatEntry::Group { id: id(1), epoch, owner: None, name: String::new(), last: 0 };
    ChatRecord::note(&store, group, Millis(0)).await.unwrap();
    let mut number = 0;
    let mut fail = async |says: bool| {
        state.store(2, Ordering::SeqCst);
        until(async || store.probe().await.is_err()).await;
        for _ in 0..if says { 3 } else { 0 } {
            number += 1;
            assert!(ChatRecord::note(&store, said(number), Millis(0)).await.is_err());
        }
        state.store(0, Ordering::SeqCst);
        until(async || store.probe().await.is_ok()).await;
    };
    fail(false).await;
    for _ in 0..3 {
        fail(true).await;
    }
    // No later message brings them.
    let all: Vec<_> = (1..=9).collect();
    until(async || numbers(&open(killed(dir.path()).path()).0) == all).await;
    ChatRecord::note(&store, said(10), Millis(0)).await.unwrap();
    assert_eq!(numbers(&open(killed(dir.path()).path()).0), (1..=10).collect::<Vec<_>>());
    assert_eq!(begun.load(Ordering::SeqCst), 0, "a disk that comes and goes is asked for no snapshots");
}

/// The numbers of the messages that the only group has.
fn numbers(store: &Journal) -> Vec<u64> {
    let groups = store.groups();
    let [KeptGroup { group, .. }] = &*groups else { panic!("{} groups", groups.len()) };
    group.history(u64::MAX, usize::MAX).iter().map(|message| message.seq).collect()
}

async fn until(so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_is_in_no_file_is_written_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    let epoch = room::chat::Epoch(1);
    for n in [1, 2] {
        let group = ChatEntry::Group { id: id(n), epoch, owner: None, name: String::new(), last: 0 };
        ChatRecord::note(&store, group, Millis(0)).await.unwrap();
    }
    ChatRecord::note(&store, said(1), Millis(0)).await.unwrap();
    // The disk was away when it was told of these, and nobody said that it is back.
    for entry in [said(2), said(3), ChatEntry::Ended { group: id(2) }] {
        let mut chats = store.kept.chats.lock();
        chats.apply(entry.clone(), Millis(0));
        assert!(chats.miss(&entry));
    }
    drop(store);
    assert_eq!(numbers(&open(dir.path()).0), [1, 2, 3]);
}

/// Notes how long each piece is that is written.
struct Pieces(Box<dyn Sheet>, Arc<Mutex<Vec<usize>>>, Arc<Mutex<()>>);

impl Sheet for Pieces {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.lock().push(bytes.len());
        self.0.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        let _answers = self.2.lock();
        self.0.sync()
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "the disk hangs for as long as the lock is held")]
async fn what_waited_for_the_disk_is_written_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let hangs = Arc::new(Mutex::new(()));
    let seen = (pieces.clone(), hangs.clone());
    let disk = Instead("log", move |path: &Path| -> io::Result<Box<dyn Sheet>> {
        Ok(Box::new(Pieces(OnDisk.make(path)?, seen.0.clone(), seen.1.clone())))
    });
    let ground = Ground { disk: Arc::new(disk), patience: Duration::from_secs(60), ..Ground::default() };
    let outbox = mpsc::unbounded_channel().0;
    let store = Journal::open_on(ground, dir.path(), true, Arc::default(), outbox, Millis(0)).unwrap();
    let held = hangs.lock();
    let rows: Vec<_> = (0..30)
        .map(|n| Row { key: n.to_string().into(), value: "x".repeat(1 << 20).into(), until: Millis(1_000) })
        .collect();
    let all =
        futures_util::future::join_all(rows.iter().map(|row| store.put_row(Table::Streams, row, false, Millis(0))));
    let mut all = Box::pin(all);
    assert!(futures_util::poll!(&mut all).is_pending());
    drop(held);
    assert!(all.await.into_iter().all(|put| matches!(put, Ok(true))));
    let written = std::mem::take(&mut *pieces.lock());
    assert!(written.iter().sum::<usize>() > 30 << 20);
    assert!(written.iter().all(|piece| *piece < 10 << 20), "{written:?}");
    drop(store);
    let (store, _events) = open(dir.path());
    assert_eq!(store.rows(Table::Streams, None, 99, Millis(0)).await.unwrap().len(), 30);
}

#[tokio::test]
async fn files_that_go_while_it_looks_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    enter(&store, 1, "alice", Millis(0)).await.unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                store.kept.save_place("a", 1).unwrap();
            }
        });
        let looked = (0..3_000).try_for_each(|_| {
            store.kept.read(0, 9, 9)?;
            store.kept.needed_from(1).map(|_| ())
        });
        stop.store(true, Ordering::SeqCst);
        looked.unwrap();
    });
}

#[tokio::test]
async fn changes_that_were_not_told_are_kept_by_their_size_and_not_by_the_number_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    store.save("webhook-a", 0, "0").await.unwrap();
    for n in 1..=600 {
        fs::write(store.kept.dir.segment(n), b"few").unwrap();
    }
    assert_eq!(store.kept.needed_from(600).unwrap(), 1, "small ones");
    for n in 1..=5 {
        fs::File::create(store.kept.dir.segment(n)).unwrap().set_len(1 << 30).unwrap();
    }
    assert_eq!(store.kept.needed_from(600).unwrap(), 3, "no more than 4 GiB");
    store.save("webhook-a", 0, "4").await.unwrap();
    assert_eq!(store.kept.needed_from(600).unwrap(), 5, "and 1 GiB of what was told");
}

#[tokio::test]
async fn snapshots_beside_changes_keep_all_and_bound_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut events) = open(dir.path());
    let store = Arc::new(store);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let saver = {
        let store = store.clone();
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut saves = 0;
            while !stop.load(Ordering::SeqCst) {
                store.snapshot().unwrap();
                saves += 1;
            }
            saves
        })
    };
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..30 {
                    let n = task * 8 + turn % 8;
                    enter(&store, n, "alice", Millis(0)).await.unwrap();
                    set(&store, n, "turn", Operation::Set(Value::Int(turn as i64))).await.unwrap();
                    if turn % 3 == 0 {
                        leave(&store, n, "alice").await.unwrap();
                    }
                    store.revoke((task * 100 + turn) as u64, Millis(99), Millis(0)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    assert!(saver.join().unwrap() > 1);
    let copy = killed(dir.path());
    store.snapshot().unwrap();
    assert!(store.kept.dir.segments().unwrap().len() <= 2, "what a snapshot holds is removed");
    let answered: Vec<_> = rooms(&store).values().map(timeless).collect();
    for path in [copy.path(), killed(dir.path()).path()] {
        let (again, _events) = open(path);
        assert_eq!(rooms(&again).values().map(timeless).collect::<Vec<_>>(), answered);
        assert_eq!(again.revoked(Millis(0)).await.unwrap().ended.len(), 16 * 30);
    }
    // Every join has exactly one leave or is still in.
    let mut joined = 0;
    let mut left = 0;
    while let Ok(batch) = events.try_recv() {
        joined += batch.iter().filter(|e| matches!(e.what, What::Joined { .. })).count();
        left += batch.iter().filter(|e| matches!(e.what, What::Left { .. })).count();
    }
    assert_eq!(joined, left + answered.len());
}

/// A copy in the order that docs/operate.md tells: changes first, the snapshot last. Files may go meanwhile.
fn backup(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.retain(|name| name.to_str().unwrap().ends_with(".log"));
    names.sort();
    for name in names.into_iter().chain(["snapshot".into()]) {
        // As on a slow disk: time for files to go.
        std::thread::sleep(std::time::Duration::from_millis(2));
        if let Err(error) = fs::copy(dir.join(&name), copy.path().join(&name)) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_running_servers_files_has_all_that_was_answered_before() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    let store = Arc::new(store);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let saver = {
        let store = store.clone();
        let stop = stop.clone();
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                store.snapshot().unwrap();
            }
        })
    };
    for n in 0..4 {
        enter(&store, n, "alice", Millis(0)).await.unwrap();
    }
    // Of each room, what was answered.
    let answered: Arc<[std::sync::atomic::AtomicI64; 4]> = Arc::default();
    let setters: Vec<_> = (0..4)
        .map(|n| {
            let store = store.clone();
            let answered = answered.clone();
            let stop = stop.clone();
            tokio::spawn(async move {
                for turn in 1.. {
                    set(&store, n, "turn", Operation::Set(Value::Int(turn))).await.unwrap();
                    answered[n].store(turn, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                }
            })
        })
        .collect();
    for _ in 0..60 {
        let before: Vec<_> = answered.iter().map(|turn| turn.load(Ordering::SeqCst)).collect();
        let path = dir.path().to_owned();
        let copy = tokio::task::spawn_blocking(move || backup(&path)).await.unwrap();
        let (again, _events) = open(copy.path());
        let found = rooms(&again);
        for (n, before) in before.into_iter().enumerate() {
            let turn = found[&id(n)].custom.get("turn");
            assert!(
                before == 0 || matches!(turn, Some(Value::Int(turn)) if *turn >= before),
                "{turn:?} after {before}"
            );
        }
    }
    stop.store(true, Ordering::SeqCst);
    for setter in setters {
        setter.await.unwrap();
    }
    saver.join().unwrap();
}

#[tokio::test]
async fn a_hundred_thousand_rooms_are_back_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    for n in 0..100_000 {
        let mut room = Room::empty(id(n), Kind::Multi, "a room like many others", Millis(n as u64));
        room.creator = Some((user("alice"), StreamId::parse("1000_alice").unwrap()));
        store.kept.memory.restore(room);
    }
    store.snapshot().unwrap();
    drop(store);
    let begun = processor_time();
    assert_eq!(open(dir.path()).0.len(), 100_000);
    // A second is the aim of a release build (`--example journal`). This one takes half of it to a whole one: the time of
    // other tests of this process is counted, too.
    let took = processor_time() - begun;
    println!("{took} hundredths of a second");
    assert!(took < 400, "{took} hundredths of a second");
}

/// What this thread took so far, in hundredths of a second (proc(5): `utime` and `stime`).
fn processor_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name of the thread may hold anything but a closing bracket after this one.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_refusal_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _events) = open(dir.path());
    assert!(matches!(leave(&store, 1, "alice").await, Err(Error::Refused(Refusal::NotMember))));
    assert!(store.kept.dir.segments().unwrap().is_empty());
}

#[tokio::test]
async fn bans_outlive_restarts_and_snapshots_and_end_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let ban = |who: &str, until: u64| Ban {
        user: user(who),
        room: Some(id(1)),
        until: Millis(until),
        at: Millis(5),
        streams: vec![StreamId::parse("s").unwrap()],
        reason: "".into(),
        kick: false,
    };
    {
        let (store, _events) = open(dir.path());
        store.ban(&ban("a", 100), Millis(1)).await.unwrap();
        store.snapshot().unwrap();
        for said in [ban("b", 100), ban("c", 10), ban("d", 100), ban("d", 0)] {
            store.ban(&said, said.at).await.unwrap();
        }
    }
    let names = |store: &Journal| {
        let mut names: Vec<_> =
            store.kept.memory.kept_bans().all().into_iter().map(|ban| ban.user.to_string()).collect();
        names.sort();
        names
    };
    {
        let (store, _events) = open_at(dir.path(), Millis(50));
        assert_eq!(names(&store), ["a", "b"]);
        assert_eq!(store.bans(Millis(0)).await.unwrap().iter().find(|b| b.user == user("b")), Some(&ban("b", 100)));
        store.snapshot().unwrap();
    }
    let (store, _events) = open_at(dir.path(), Millis(60));
    assert_eq!(names(&store), ["a", "b"], "from the snapshot alone");
}

#[tokio::test]
async fn nobody_else_on_the_machine_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (store, _events) = open(dir.path());
    enter(&store, 1, "alice", Millis(0)).await.unwrap();
    let store = Arc::new(store);
    let saving = store.clone();
    std::thread::spawn(move || saving.snapshot().unwrap()).join().unwrap();
    enter(&store, 2, "alice", Millis(0)).await.unwrap();
    drop(store);
    let files = || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert!(files().len() > 2 && files().iter().all(|file| mode(file) == 0o600), "{:?}", files());
    assert_eq!(mode(dir.path()), 0o700);
    // What an earlier version left open is closed.
    for file in files() {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    drop(open(dir.path()));
    assert!(files().iter().all(|file| mode(file) == 0o600));
}
