//! What is in Redis, as its scripts count it with every change, and as it was when this node last looked for what is due:
//! so that figures ask for nothing.

use std::collections::HashMap;

use parking_lot::Mutex;
use room::Kind;

use crate::Totals;

/// The totals of each partition; none where it was never read.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<usize, Totals>>);

impl Known {
    /// Takes in what a partition has.
    pub fn take(&self, partition: usize, fields: &HashMap<String, i64>) {
        // What Redis lost is not counted twice: never below nothing.
        let field = |name: &str| fields.get(name).map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        let of = |sign: &str| Kind::ALL.map(|kind| field(&format!("{sign}:{}", kind.name())));
        self.0.lock().insert(partition, Totals { rooms: of("r"), members: of("m"), viewers: field("v") });
    }

    /// That of all partitions; none before each was read.
    pub fn read(&self, partitions: usize) -> Option<Totals> {
        let known = self.0.lock();
        (known.len() == partitions).then(|| {
            known.values().fold(Totals::default(), |all, part| Totals {
                rooms: std::array::from_fn(|n| all.rooms[n] + part.rooms[n]),
                members: std::array::from_fn(|n| all.members[n] + part.members[n]),
                viewers: all.viewers + part.viewers,
            })
        })
    }
}
