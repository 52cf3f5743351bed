//! Small tables beside the rooms, for what outlives them: whose a stream is, what was recorded. Each has a most, and each row
//! an end. Knows what no row means.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;
use room::Millis;
use serde::{Deserialize, Serialize};

/// Most rows of a table. Beyond it those go that end first.
pub const MOST: usize = 100_000;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Whose a stream is whose name does not say it, by its name.
    Streams,
    /// What was recorded, by time and name: later ones have greater keys.
    Recordings,
    /// What is known for minutes: that a viewer is waited for, that something was said already. By a word and names.
    Marks,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Streams, Self::Recordings, Self::Marks];

    /// Its name in keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Recordings => "recordings",
            Self::Marks => "marks",
        }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What it is found by: printable ASCII.
    pub key: Box<str>,
    /// What it says.
    pub value: serde_json::Value,
    /// Until when it is kept at most.
    pub until: Millis,
}

/// A row that comes, or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub table: Table,
    pub row: Row,
    /// It goes.
    #[serde(default)]
    pub gone: bool,
}

/// The tables of a store in memory.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<[BTreeMap<Box<str>, Row>; Table::ALL.len()]>);

impl Tables {
    /// Puts a row in, in place of an older one only with `replace`; `then` happens in the order of the changes, and only if
    /// something changes. It must not wait.
    pub fn put<T>(&self, table: Table, row: &Row, replace: bool, now: Millis, then: impl FnOnce() -> T) -> Option<T> {
        let mut tables = self.0.lock();
        let rows = &mut tables[table as usize];
        if let Some(old) = rows.get(&row.key).filter(|old| old.until > now)
            && (!replace || old == row)
        {
            return None;
        }
        if rows.len() >= MOST {
            make_room(rows, now);
        }
        rows.insert(row.key.clone(), row.clone());
        Some(then())
    }

    /// Takes a row out; as in [`Tables::put`].
    pub fn take<T>(&self, table: Table, key: &str, then: impl FnOnce() -> T) -> Option<T> {
        self.0.lock()[table as usize].remove(key).map(|_| then())
    }

    /// A row.
    pub fn get(&self, table: Table, key: &str, now: Millis) -> Option<Row> {
        self.0.lock()[table as usize].get(key).filter(|row| row.until > now).cloned()
    }

    /// Rows with keys below this one, greatest first.
    pub fn below(&self, table: Table, below: Option<&str>, count: usize, now: Millis) -> Vec<Row> {
        let tables = self.0.lock();
        let all = &tables[table as usize];
        let end = below.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = all.range::<str, _>((Bound::Unbounded, end));
        rows.rev().map(|(_, row)| row).filter(|row| row.until > now).take(count).cloned().collect()
    }

    /// Everything that is kept, as changes that make it.
    pub fn all(&self) -> Vec<Change> {
        let tables = self.0.lock();
        let of = |table: Table| {
            let change = move |row: &Row| Change { table, row: row.clone(), gone: false };
            tables[table as usize].values().map(change)
        };
        Table::ALL.into_iter().flat_map(of).collect()
    }

    /// Does what a change says.
    pub fn apply(&self, change: &Change, now: Millis) {
        if change.gone {
            self.take(change.table, &change.row.key, || ());
        } else {
            self.put(change.table, &change.row, true, now, || ());
        }
    }
}

/// Drops what is over, and of the others a sixteenth, if there is still no room.
fn make_room(rows: &mut BTreeMap<Box<str>, Row>, now: Millis) {
    rows.retain(|_, row| row.until > now);
    if rows.len() >= MOST {
        let mut ends: Vec<Millis> = rows.values().map(|row| row.until).collect();
        let (_, last, _) = ends.select_nth_unstable(MOST / 16);
        let last = *last;
        rows.retain(|_, row| row.until > last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_loses_what_ends_first() {
        let tables = Tables::default();
        let now = Millis(1_000);
        let row = |n: usize| Row {
            key: format!("{n:06}").into(),
            value: n.into(),
            until: Millis(2_000 + (n as u64 * 7919) % 100_000),
        };
        for n in 0..=MOST {
            tables.put(Table::Streams, &row(n), false, now, || ()).unwrap();
        }
        let kept = tables.below(Table::Streams, None, usize::MAX, now);
        assert!(kept.len() < MOST && kept.len() > MOST - MOST / 8, "{}", kept.len());
        assert_eq!(tables.get(Table::Streams, "000000", now), None, "it ended first");
        assert!(tables.get(Table::Streams, &format!("{MOST:06}"), now).is_some());
    }
}
