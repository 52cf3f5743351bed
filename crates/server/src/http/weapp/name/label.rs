//! The calls as metrics name them: a dense number for counting, a label for showing.

use super::{EntryCall, ListedCall, Name, RoomCall, UtilCall};

/// The labels of a table, and the number of its first one.
struct Labels(usize, &'static [&'static str]);

impl Labels {
    const fn after(before: &Self, labels: &'static [&'static str]) -> Self {
        Self(before.0 + before.1.len(), labels)
    }
}

const ENTRY: Labels = Labels(0, EntryCall::LABELS);
const ROOM: Labels = Labels::after(&ENTRY, RoomCall::LABELS);
const UTIL: Labels = Labels::after(&ROOM, UtilCall::LABELS);
// All but the last, which `webexe_room` has alone.
const WEBRTC: Labels = Labels::after(&UTIL, ListedCall::OF_WEBRTC.split_last().expect("it has calls").1);
const WEBEXE: Labels = Labels::after(&WEBRTC, ListedCall::OF_WEBEXE);

/// The index of what is no call.
pub const UNKNOWN: usize = WEBEXE.0 + WEBEXE.1.len();

/// The labels, by `Name::index`; the last one is for paths that name no call.
pub const LABELS: [&str; UNKNOWN + 1] = {
    let mut all = ["unknown"; UNKNOWN + 1];
    let tables = [ENTRY, ROOM, UTIL, WEBRTC, WEBEXE];
    let mut table = 0;
    while table < tables.len() {
        let Labels(first, labels) = &tables[table];
        all.split_at_mut(*first).1.split_at_mut(labels.len()).0.copy_from_slice(labels);
        table += 1;
    }
    all
};

impl Name {
    /// Where its figures stand.
    pub const fn index(self) -> usize {
        match self {
            Self::Entry(call) => ENTRY.0 + call as usize,
            Self::Room(_, call) => ROOM.0 + call as usize,
            Self::Util(call) => UTIL.0 + call as usize,
            Self::Webrtc(call) => WEBRTC.0 + call as usize,
            Self::Webexe(call) => WEBEXE.0 + call as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{find, paths};
    use super::*;

    #[test]
    fn labels_are_the_names_in_paths() {
        for (index, label) in LABELS.iter().enumerate().take(UNKNOWN) {
            let places = ["live_room/", "utils/", ""];
            let found = places.iter().find_map(|place| find(&format!("/weapp/{place}{label}")));
            assert_eq!(found.map(Name::index), Some(index), "{label}");
        }
    }

    #[test]
    fn every_path_has_its_label() {
        let (rooms, others) = paths();
        let mut seen =
            [rooms, others].concat().iter().filter_map(|path| find(path)).map(Name::index).collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..UNKNOWN).collect::<Vec<_>>());
    }
}
