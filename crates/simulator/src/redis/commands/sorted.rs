//! Sorted sets.

use std::collections::BTreeMap;

use super::{Answer, Arguments, SYNTAX, Table, number, part};
use crate::redis::keys::Keys;
use crate::redis::resp::{Reply, Text};

type Sorted = BTreeMap<Text, f64>;

pub(super) const TABLE: Table = &[
    ("ZADD", true, 3, |keys, at| {
        let pairs: Vec<(f64, &Text)> =
            at[1..].chunks_exact(2).map(|pair| Ok((score(&pair[0])?, &pair[1]))).collect::<Result<_, String>>()?;
        let new = |set: &mut Sorted| {
            pairs.into_iter().filter(|(score, member)| set.insert((*member).clone(), *score).is_none()).count()
        };
        Ok(Reply::count(keys.change(&at[0], new)?))
    }),
    ("ZREM", true, 2, |keys, at| {
        let gone = |set: &mut Sorted| at[1..].iter().filter(|member| set.remove(*member).is_some()).count();
        Ok(Reply::count(keys.change(&at[0], gone)?))
    }),
    ("ZCARD", false, 1, |keys, at| Ok(Reply::count(keys.see(&at[0], Sorted::len)?))),
    ("ZSCORE", false, 2, |keys, at| {
        keys.see(&at[0], |set: &Sorted| Reply::of(set.get(&at[1]).map(|score| shown(*score))))
    }),
    ("ZREMRANGEBYSCORE", true, 3, |keys, at| {
        let from = score(&at[1])?;
        let to = score(&at[2])?;
        keys.change(&at[0], |set: &mut Sorted| {
            let before = set.len();
            set.retain(|_, score| *score < from || *score > to);
            Reply::count(before - set.len())
        })
    }),
    ("ZRANGE", false, 3, range),
];

fn score(text: &[u8]) -> Result<f64, String> {
    match text {
        b"-inf" => Ok(f64::NEG_INFINITY),
        b"+inf" | b"inf" => Ok(f64::INFINITY),
        _ => number(text).map_err(|_| "ERR value is not a valid float".into()),
    }
}

/// Whole numbers are all that the server has for scores.
fn shown(score: f64) -> Text {
    format!("{score}").into()
}

/// Who is between two texts: `-` and `+` are before and after all, `(` leaves the text itself out.
fn between(from: &[u8], to: &[u8]) -> Result<impl Fn(&Text) -> bool + use<>, String> {
    let bad = || "ERR min or max not valid string range item".to_owned();
    let bound = |text: &[u8]| match text {
        b"-" | b"+" => Ok((text[0], Vec::new())),
        [kind @ (b'(' | b'['), rest @ ..] => Ok((*kind, rest.to_vec())),
        _ => Err(bad()),
    };
    let first = bound(from)?;
    let last = bound(to)?;
    Ok(move |member: &Text| {
        let after = match first.0 {
            b'-' => true,
            b'(' => *member > first.1,
            b'[' => *member >= first.1,
            _ => false,
        };
        let before = match last.0 {
            b'+' => true,
            b'(' => *member < last.1,
            b'[' => *member <= last.1,
            _ => false,
        };
        after && before
    })
}

fn range(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    let mut by = "";
    let mut reverse = false;
    let mut with_scores = false;
    let mut limit = None;
    let mut options = at[3..].iter();
    while let Some(option) = options.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"BYSCORE" => by = "score",
            b"BYLEX" => by = "text",
            b"REV" => reverse = true,
            b"WITHSCORES" => with_scores = true,
            b"LIMIT" => {
                let skip: usize = number(options.next().ok_or(SYNTAX)?)?;
                let most: i64 = number(options.next().ok_or(SYNTAX)?)?;
                limit = Some((skip, usize::try_from(most).unwrap_or(usize::MAX)));
            }
            _ => return Err(SYNTAX.into()),
        }
    }
    let mut all: Vec<(Text, f64)> = keys.see(&at[0], |set: &Sorted| set.clone().into_iter().collect())?;
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    if reverse {
        all.reverse();
    }
    let (low, high) = if reverse { (&at[2], &at[1]) } else { (&at[1], &at[2]) };
    match by {
        "score" => {
            let from = score(low)?;
            let to = score(high)?;
            all.retain(|(_, score)| (from..=to).contains(score));
        }
        "text" => {
            let inside = between(low, high)?;
            all.retain(|(member, _)| inside(member));
        }
        _ => all = all[part(number(&at[1])?, number(&at[2])?, all.len())].to_vec(),
    }
    let (skip, most) = limit.unwrap_or((0, usize::MAX));
    let found = all.into_iter().skip(skip).take(most);
    let each = |(member, score): (Text, f64)| if with_scores { vec![member, shown(score)] } else { vec![member] };
    Ok(Reply::texts(found.flat_map(each)))
}
