//! The users of a group at one node, as other nodes know them: how many, and a sample by which a user who is at several
//! nodes is found. Exact for sketches that are as small as the sample. Pure.

use room::chat::Group;
use serde::{Deserialize, Serialize};

/// Users in a sample.
const SAMPLE: usize = 64;

/// The users of a group at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// So many.
    pub users: usize,
    /// The smallest hashes of their names, in order: all of them, if they are few.
    #[serde(default)]
    some: Vec<u32>,
}

impl Sketch {
    /// Those who are in a group here.
    #[must_use]
    pub fn of(group: &Group) -> Self {
        let mut some: Vec<u32> = group.names().map(|user| crc32fast::hash(user.as_str().as_bytes())).collect();
        if some.len() > SAMPLE {
            some.select_nth_unstable(SAMPLE);
            some.truncate(SAMPLE);
        }
        some.sort_unstable();
        Self { users: group.users(), some }
    }

    /// Whether the count is exact.
    #[must_use]
    pub const fn is_small(users: usize) -> bool {
        users <= SAMPLE
    }

    /// As Redis keeps it; empty for no users.
    #[must_use]
    pub fn text(&self) -> String {
        if self.users == 0 {
            return String::new();
        }
        let some: Vec<String> = self.some.iter().map(u32::to_string).collect();
        format!("{} {}", self.users, some.join(" "))
    }

    /// Reads that.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(' ');
        let users = parts.next().and_then(|users| users.parse().ok()).unwrap_or_default();
        let mut some: Vec<u32> = parts.filter_map(|hash| hash.parse().ok()).take(SAMPLE).collect();
        some.sort_unstable();
        Self { users, some }
    }

    /// Up to which hash all users are in the sample.
    fn known(&self) -> u32 {
        self.some.last().filter(|_| self.some.len() < self.users).copied().unwrap_or(u32::MAX)
    }

    /// How many users more there are with these others, each counted once.
    #[must_use]
    pub fn beyond<'a>(&'a self, others: impl IntoIterator<Item = &'a Self>) -> usize {
        let mut met = vec![self];
        let mut more = 0usize;
        for other in others {
            let known = met.iter().map(|sketch| sketch.known()).fold(other.known(), u32::min);
            let sample: Vec<u32> = other.some.iter().copied().take_while(|hash| *hash <= known).collect();
            let again = |hash: &&u32| met.iter().any(|sketch| sketch.some.binary_search(hash).is_ok());
            let twice = sample.iter().filter(again).count();
            // Of all as of the sample; the sample is all where they are few.
            let twice = other.users.saturating_mul(twice).checked_div(sample.len()).unwrap_or(0);
            more = more.saturating_add(other.users.saturating_sub(twice));
            met.push(other);
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(names: std::ops::Range<u32>) -> Sketch {
        let mut some: Vec<u32> = names.map(|n| crc32fast::hash(format!("user{n}").as_bytes())).collect();
        some.sort_unstable();
        let users = some.len();
        some.truncate(SAMPLE);
        Sketch { users, some }
    }

    #[test]
    fn few_are_counted_exactly() {
        let one = sketch(0..30);
        let two = sketch(20..50);
        let three = sketch(45..60);
        assert_eq!((one.beyond([&two]), one.beyond([&two, &three]), one.beyond([&one])), (20, 30, 0));
        assert_eq!((Sketch::default().beyond([&two, &two]), one.beyond([])), (30, 0));
    }

    #[test]
    fn many_are_counted_closely_and_exactly_where_nobody_is_twice() {
        assert_eq!(sketch(0..5_000).beyond([&sketch(5_000..9_000), &sketch(9_000..9_010)]), 4_010);
        let more = sketch(0..5_000).beyond([&sketch(2_500..7_500)]);
        assert!((1_500..3_500).contains(&more), "{more} instead of 2500");
        assert!(sketch(0..5_000).beyond([&sketch(0..5_000)]) == 0, "the same ones");
    }

    #[test]
    fn what_redis_keeps_is_read_again_and_nonsense_is_nobody() {
        for sketch in [sketch(0..3), sketch(0..1_000), Sketch::default()] {
            assert_eq!(Sketch::parse(&sketch.text()), sketch);
        }
        assert_eq!(Sketch::parse("7"), Sketch { users: 7, some: Vec::new() }, "as older nodes say it");
        assert_eq!(Sketch::parse("x y"), Sketch::default());
        assert_eq!(sketch(0..3).beyond([&Sketch::parse("7")]), 7);
    }
}
