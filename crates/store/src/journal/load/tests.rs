//! Rooms are read backwards and the snapshot in pages: what comes of it is what was there.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use room::custom::Value;
use room::pushers::{NewPusher, add_pusher};
use room::{Kind as RoomKind, RoomId, Rules, StreamId, UserId};

use super::super::files::OnDisk;
use super::super::record::Draft;
use super::*;

fn dir(path: &Path) -> Dir {
    Dir::hold(Arc::new(OnDisk), path).unwrap()
}

fn frame(number: u64, kind: Kind, key: &str, state: &[u8], to: &mut Vec<u8>) {
    Draft::new(kind, key, state, b"").unwrap().append(number, to);
}

#[test]
fn a_frame_that_a_page_cuts_is_read_whole_with_the_next() {
    let path = tempfile::tempdir().unwrap();
    let dir = dir(path.path());
    let mut bytes = Vec::new();
    let mut begins = Vec::new();
    for n in 0..300 {
        begins.push(bytes.len());
        frame(0, Kind::Put, &format!("room{n}"), &vec![b'x'; n * 7 % 150], &mut bytes);
    }
    let read = |bytes: &[u8]| {
        fs::write(dir.snapshot(), bytes).unwrap();
        let mut seen = Vec::new();
        let damaged = pages_of(&dir, 200, |records| seen.extend(records.iter().map(|r| r.key.to_owned()))).unwrap();
        (seen, damaged)
    };
    let all: Vec<String> = (0..300).map(|n| format!("room{n}")).collect();
    assert_eq!(read(&bytes), (all.clone(), false));
    // One that is damaged costs itself, wherever in its page it stands.
    for (n, at) in begins.iter().enumerate() {
        let mut bad = bytes.clone();
        bad[at + 20] ^= 1;
        let mut left = all.clone();
        left.remove(n);
        assert_eq!(read(&bad), (left, true), "frame {n}");
    }
    // So does an end that is not there.
    assert_eq!(read(&bytes[..bytes.len() - 1]), (all[..299].to_vec(), true));
}

#[derive(Clone, Debug)]
enum Step {
    Put,
    Field(i64),
    Gone,
    /// A new segment.
    Turn,
    /// What there is becomes the snapshot; segments begin anew.
    Save,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Put),
        4 => (0..100i64).prop_map(Step::Field),
        1 => Just(Step::Gone),
        2 => Just(Step::Turn),
        1 => Just(Step::Save),
    ];
    prop::collection::vec((0..4usize, step), 0..60)
}

/// The files of a history, and the rooms that are there at its end.
#[derive(Default)]
struct Written {
    rooms: Vec<Option<Room>>,
    snapshot: Vec<u8>,
    segments: Vec<(u64, Vec<u8>)>,
    number: u64,
}

impl Written {
    fn put(&mut self, kind: Kind, key: &str, state: &[u8]) {
        self.number += 1;
        if self.segments.is_empty() {
            self.segments.push((self.number, Vec::new()));
        }
        if let Some((_, segment)) = self.segments.last_mut() {
            frame(self.number, kind, key, state, segment);
        }
    }

    fn step(&mut self, n: usize, step: &Step) {
        let id = RoomId::parse(&format!("room{n}")).unwrap();
        self.rooms.resize(4, None);
        let mut slot = self.rooms[n].take();
        match step {
            Step::Put => {
                let user = UserId::parse(&format!("user{}", self.number)).unwrap();
                let stream = StreamId::parse("stream").unwrap();
                let kind = RoomKind::Multi;
                let new = NewPusher { room: &id, kind, user: &user, name: "", avatar: "", stream: &stream, info: None };
                let rules = Rules::default();
                let entered = add_pusher(&mut slot, Millis(self.number), &new, &rules);
                if entered.is_err() {
                    slot = None;
                    add_pusher(&mut slot, Millis(self.number), &new, &rules).unwrap();
                }
                self.put(Kind::Put, id.as_str(), &serde_json::to_vec(&slot).unwrap());
            }
            Step::Field(value) if slot.is_some() => {
                let name = format!("likes{}", value % 3);
                let value = Value::Int(*value);
                set_custom_field(&mut slot, Millis(0), &name, Operation::Set(value.clone())).unwrap();
                let seq = slot.as_ref().unwrap().seq;
                let field = serde_json::to_vec(&Field { seq, name: name.into(), value }).unwrap();
                self.put(Kind::Field, id.as_str(), &field);
            }
            Step::Gone if slot.is_some() => {
                slot = None;
                self.put(Kind::Gone, id.as_str(), b"");
            }
            Step::Field(_) | Step::Gone => {}
            Step::Turn if self.segments.last().is_some_and(|(_, bytes)| !bytes.is_empty()) => {
                self.segments.push((self.number + 1, Vec::new()));
            }
            Step::Turn => {}
            Step::Save => {
                self.snapshot.clear();
                for room in self.rooms.iter().flatten().chain(&slot) {
                    frame(0, Kind::Put, room.id.as_str(), &serde_json::to_vec(room).unwrap(), &mut self.snapshot);
                }
                frame(self.number + 1, Kind::End, "", b"", &mut self.snapshot);
                self.segments.clear();
            }
        }
        self.rooms[n] = slot;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_last_word_on_each_room_is_found(steps in steps()) {
        let mut written = Written::default();
        steps.iter().for_each(|(n, step)| written.step(*n, step));
        let path = tempfile::tempdir().unwrap();
        let dir = dir(path.path());
        fs::write(dir.snapshot(), &written.snapshot).unwrap();
        for (first, bytes) in &written.segments {
            fs::write(dir.segment(*first), bytes).unwrap();
        }
        let found = Mutex::new(Vec::new());
        let loaded = load(&dir, Millis(0), &|rooms| found.lock().extend(rooms)).unwrap();
        let mut found = found.into_inner();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let expected: Vec<Room> = written.rooms.into_iter().flatten().collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(loaded.next, written.number + 1);
        prop_assert!(loaded.foreign.is_empty());
    }
}

#[test]
fn a_room_that_was_liked_very_often_is_read_soon_and_needs_little() {
    let path = tempfile::tempdir().unwrap();
    let dir = dir(path.path());
    let mut written = Written::default();
    written.step(0, &Step::Put);
    written.step(0, &Step::Save);
    for value in 0..120_000 {
        written.step(0, &Step::Field(value));
        if value % 40_000 == 0 {
            written.step(0, &Step::Turn);
        }
    }
    fs::write(dir.snapshot(), &written.snapshot).unwrap();
    let mut rooms = Rooms::new(&|_| ());
    for (first, bytes) in written.segments.iter().rev() {
        fs::write(dir.segment(*first), bytes).unwrap();
        rooms.segment(bytes, 0);
        assert_eq!(rooms.fields.values().map(HashMap::len).sum::<usize>(), 3);
    }
    let found = Mutex::new(Vec::new());
    load(&dir, Millis(0), &|rooms| found.lock().extend(rooms)).unwrap();
    assert_eq!(found.into_inner(), written.rooms.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn what_another_version_said_of_a_room_is_kept_in_its_order() {
    let path = tempfile::tempdir().unwrap();
    let dir = dir(path.path());
    let mut snapshot = Vec::new();
    frame(0, Kind::Put, "strange", b"{\"id\":7}", &mut snapshot);
    frame(0, Kind::Field, "strange", b"first", &mut snapshot);
    frame(1, Kind::End, "", b"", &mut snapshot);
    fs::write(dir.snapshot(), snapshot).unwrap();
    for number in 1..=2 {
        let mut segment = Vec::new();
        frame(number, Kind::Field, "strange", format!("{number}").as_bytes(), &mut segment);
        fs::write(dir.segment(number), segment).unwrap();
    }
    let loaded = load(&dir, Millis(0), &|rooms| assert!(rooms.is_empty())).unwrap();
    let kept: Vec<(Kind, &[u8])> = loaded.foreign.iter().map(|f| (f.kind, &*f.state)).collect();
    let expected: [(Kind, &[u8]); 4] =
        [(Kind::Put, b"{\"id\":7}"), (Kind::Field, b"first"), (Kind::Field, b"1"), (Kind::Field, b"2")];
    assert_eq!(kept, expected);
}
