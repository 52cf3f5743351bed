//! Keys and their ends, texts, lists, sets.

use std::collections::{BTreeSet, VecDeque};

use super::{Answer, Arguments, SYNTAX, Table, is, number, part};
use crate::redis::keys::{Keys, Value};
use crate::redis::resp::{Reply, Text};

pub(super) const TABLE: Table = &[
    ("PING", false, 0, |_, _| Ok(Reply::Word("PONG"))),
    ("TIME", false, 0, |keys, _| {
        let micros = (keys.now % 1_000) * 1_000;
        Ok(Reply::texts([(keys.now / 1_000).to_string().into(), micros.to_string().into()]))
    }),
    ("FLUSHALL", true, 0, |keys, _| {
        keys.clear();
        Ok(Reply::Word("OK"))
    }),
    ("EXISTS", false, 1, |keys, at| Ok(Reply::count(at.iter().filter(|key| keys.has(key)).count()))),
    ("DEL", true, 1, remove),
    ("UNLINK", true, 1, remove),
    ("PERSIST", true, 1, |keys, at| {
        let had = keys.end(&at[0]).is_some_and(|end| end.take().is_some());
        Ok(Reply::Number(had.into()))
    }),
    ("PEXPIRE", true, 2, |keys, at| {
        let until = keys.now + number::<u64>(&at[1])?;
        let Some(end) = keys.end(&at[0]) else { return Ok(Reply::Number(0)) };
        *end = Some(until);
        Ok(Reply::Number(1))
    }),
    ("PTTL", false, 1, |keys, at| {
        let now = keys.now;
        let left = |until: u64| i64::try_from(until - now).unwrap_or(i64::MAX);
        Ok(Reply::Number(keys.end(&at[0]).map_or(-2, |end| end.map_or(-1, left))))
    }),
    ("GET", false, 1, get),
    ("SET", true, 2, set),
    ("SETEX", true, 3, |keys, at| {
        let until = keys.now + 1_000 * number::<u64>(&at[1])?;
        keys.put(&at[0], Value::Text(at[2].clone()), Some(until));
        Ok(Reply::Word("OK"))
    }),
    ("PSETEX", true, 3, |keys, at| {
        let until = keys.now + number::<u64>(&at[1])?;
        keys.put(&at[0], Value::Text(at[2].clone()), Some(until));
        Ok(Reply::Word("OK"))
    }),
    ("INCR", true, 1, |keys, at| {
        let now = keys.see(&at[0], |text: &Text| if text.is_empty() { Ok(0) } else { number::<i64>(text) })??;
        keys.change(&at[0], |text: &mut Text| *text = (now + 1).to_string().into())?;
        Ok(Reply::Number(now + 1))
    }),
    ("RPUSH", true, 2, |keys, at| {
        let more = at[1..].iter().cloned();
        keys.change(&at[0], |list: &mut VecDeque<Text>| {
            list.extend(more);
            Reply::count(list.len())
        })
    }),
    ("LPOP", true, 1, |keys, at| Ok(Reply::of(keys.change(&at[0], VecDeque::<Text>::pop_front)?))),
    ("LLEN", false, 1, |keys, at| Ok(Reply::count(keys.see(&at[0], VecDeque::<Text>::len)?))),
    ("LRANGE", false, 3, |keys, at| {
        let from = number(&at[1])?;
        let to = number(&at[2])?;
        keys.see(&at[0], |list: &VecDeque<Text>| {
            Reply::texts(part(from, to, list.len()).filter_map(|n| list.get(n).cloned()))
        })
    }),
    ("SADD", true, 2, |keys, at| {
        let new = |set: &mut BTreeSet<Text>| at[1..].iter().filter(|one| set.insert((*one).clone())).count();
        Ok(Reply::count(keys.change(&at[0], new)?))
    }),
    ("SREM", true, 2, |keys, at| {
        let gone = |set: &mut BTreeSet<Text>| at[1..].iter().filter(|one| set.remove(*one)).count();
        Ok(Reply::count(keys.change(&at[0], gone)?))
    }),
    ("SCARD", false, 1, |keys, at| Ok(Reply::count(keys.see(&at[0], BTreeSet::<Text>::len)?))),
];

fn remove(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    Ok(Reply::count(at.iter().filter(|key| keys.remove(key)).count()))
}

fn get(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    if !keys.has(&at[0]) {
        return Ok(Reply::Nothing);
    }
    keys.see(&at[0], |text: &Text| Reply::Text(text.clone()))
}

fn set(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    let mut only_new = false;
    let mut until = None;
    let mut options = at[2..].iter();
    while let Some(option) = options.next() {
        if is(option, "NX") {
            only_new = true;
        } else if is(option, "PX") || is(option, "EX") {
            let each = if is(option, "EX") { 1_000 } else { 1 };
            until = Some(keys.now + each * number::<u64>(options.next().ok_or(SYNTAX)?)?);
        } else {
            return Err(SYNTAX.into());
        }
    }
    if only_new && keys.has(&at[0]) {
        return Ok(Reply::Nothing);
    }
    keys.put(&at[0], Value::Text(at[1].clone()), until);
    Ok(Reply::Word("OK"))
}
