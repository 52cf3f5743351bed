//! Pages of lists: a cursor says after what the next page begins, so that nothing is left out or comes twice when things
//! come and go in between. Every text of a cursor's form is one.

use std::fmt::Write as _;

use room::{Kind, Room};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;

/// Most things on a page.
pub const MOST: usize = 200;
/// Things on a page, unless asked otherwise.
const USUAL: usize = 50;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// How many things, at most.
    #[param(minimum = 1, maximum = 200, required = false)]
    limit: Option<usize>,
    /// `next` of the page before; none: the first page.
    #[param(pattern = "^([0-9a-f]{2}){1,600}$", required = false)]
    cursor: Option<String>,
}

/// How many things a page has.
///
/// # Errors
/// None, or more than there may be.
pub fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Problem::malformed(format!("limit: 1 to {MOST}"))),
    }
}

/// Bytes in hexadecimal: in the order of the bytes.
pub fn hex(text: &str) -> String {
    text.bytes().fold(String::with_capacity(2 * text.len()), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn is_hex(text: &str, most: usize) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.len() <= 2 * most && text.len().is_multiple_of(2) && text.bytes().all(digit)
}

impl Asked {
    /// The page of things that have names, no two the same; and the cursor of the next one.
    ///
    /// # Errors
    /// Cursor or limit are none.
    pub fn page<T>(&self, items: Vec<T>, name: impl Fn(&T) -> String) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = limit(self.limit)?;
        let after = self.cursor.as_deref().unwrap_or_default();
        if self.cursor.is_some() && !is_hex(after, 600) {
            return Err(Problem::malformed("cursor: next of the page before"));
        }
        let mut named: Vec<(String, T)> = items.into_iter().map(|item| (hex(&name(&item)), item)).collect();
        named.retain(|(name, _)| name.as_str() > after);
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let next = named.get(limit).and_then(|_| named.get(limit - 1)).map(|(name, _)| name.clone());
        named.truncate(limit);
        Ok((named.into_iter().map(|(_, item)| item).collect(), next))
    }
}

/// A place in the list of rooms: after this room of this kind. The position is where it was; rooms before it can only have
/// gone since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind.
    pub kind: Kind,
    /// Positions before it, when it was looked.
    pub index: usize,
    created: u64,
    id: String,
}

impl Place {
    /// The beginning of the rooms of a kind.
    pub fn first(kind: Kind) -> Self {
        Self { kind, index: 0, created: 0, id: String::new() }
    }

    /// The place after a room that stands at this position.
    pub fn after(room: &Room, index: usize) -> Self {
        Self { kind: room.kind, index: index + 1, created: room.created.0, id: hex(room.id.as_str()) }
    }

    /// Whether a room comes after it.
    pub fn is_before(&self, room: &Room) -> bool {
        (self.created, &self.id) < (room.created.0, &hex(room.id.as_str()))
    }

    /// As text.
    pub fn write(&self) -> String {
        format!("{}-{}-{}-{}", self.kind.name(), self.index, self.created, self.id)
    }

    /// From text.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let kind = parts.next()?;
        let kind = Kind::ALL.into_iter().find(|k| k.name() == kind)?;
        let number = |text: &str, most: usize| {
            let good = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            good.then(|| text.parse::<u64>().ok()).flatten()
        };
        let index = number(parts.next()?, 9)?;
        let created = number(parts.next()?, 15)?;
        let id = parts.next().filter(|id| is_hex(id, 64))?.to_owned();
        let place = Self { kind, index: usize::try_from(index).ok()?, created, id };
        parts.next().is_none().then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_also_when_things_go() {
        let items = |n: std::ops::Range<u32>| n.map(|n| format!("{n:02}")).collect::<Vec<_>>();
        let asked = |cursor: Option<String>| Asked { limit: Some(3), cursor };
        let (first, next) = asked(None).page(items(0..8), String::clone).unwrap();
        assert_eq!(first, ["00", "01", "02"]);
        // What was seen is gone, and so is the last one of it.
        let (second, next) = asked(next).page(items(4..8), String::clone).unwrap();
        assert_eq!(second, ["04", "05", "06"]);
        let (third, next) = asked(next).page(items(4..8), String::clone).unwrap();
        assert_eq!((third.as_slice(), next), (&["07".to_owned()][..], None));
        assert!(asked(Some("xyz".into())).page(items(0..1), String::clone).is_err());
        assert!(Asked { limit: Some(0), cursor: None }.page(items(0..1), String::clone).is_err());
        assert!(Asked { limit: Some(201), cursor: None }.page(items(0..1), String::clone).is_err());
    }

    #[test]
    fn places_are_read_back() {
        let place = Place { kind: Kind::Live, index: 7, created: 1_795_446_000_000, id: hex("r/ä") };
        assert_eq!(Place::read(&place.write()), Some(place));
        for bad in
            ["", "live", "live-1-2-", "live-1-2-zz", "live-x-2-61", "none-1-2-61", "live-1-2-61-", "live-+1-2-61"]
        {
            assert_eq!(Place::read(bad), None, "{bad}");
        }
    }
}
