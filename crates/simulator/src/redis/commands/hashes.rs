//! Hashes.

use std::collections::BTreeMap;

use super::{Table, number};
use crate::redis::resp::{Reply, Text};

type Hash = BTreeMap<Text, Text>;

pub(super) const TABLE: Table = &[
    ("HGET", false, 2, |keys, at| keys.see(&at[0], |hash: &Hash| Reply::of(hash.get(&at[1]).cloned()))),
    ("HMGET", false, 2, |keys, at| {
        let each = |hash: &Hash| at[1..].iter().map(|field| Reply::of(hash.get(field).cloned())).collect();
        Ok(Reply::List(keys.see(&at[0], each)?))
    }),
    ("HEXISTS", false, 2, |keys, at| keys.see(&at[0], |hash: &Hash| Reply::Number(hash.contains_key(&at[1]).into()))),
    ("HLEN", false, 1, |keys, at| Ok(Reply::count(keys.see(&at[0], Hash::len)?))),
    ("HKEYS", false, 1, |keys, at| keys.see(&at[0], |hash: &Hash| Reply::texts(hash.keys().cloned()))),
    ("HGETALL", false, 1, |keys, at| {
        let both = |hash: &Hash| Reply::texts(hash.iter().flat_map(|(field, value)| [field.clone(), value.clone()]));
        keys.see(&at[0], both)
    }),
    ("HSET", true, 3, |keys, at| {
        if at.len().is_multiple_of(2) {
            return Err("ERR wrong number of arguments for 'hset' command".into());
        }
        let new = |hash: &mut Hash| {
            at[1..].chunks_exact(2).filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none()).count()
        };
        Ok(Reply::count(keys.change(&at[0], new)?))
    }),
    ("HDEL", true, 2, |keys, at| {
        let gone = |hash: &mut Hash| at[1..].iter().filter(|field| hash.remove(*field).is_some()).count();
        Ok(Reply::count(keys.change(&at[0], gone)?))
    }),
    ("HINCRBY", true, 3, |keys, at| {
        let by: i64 = number(&at[2])?;
        let no_number = |_| "ERR hash value is not an integer".to_owned();
        let now = keys.see(&at[0], |hash: &Hash| hash.get(&at[1]).map_or(Ok(0), |text| number::<i64>(text)))?;
        let next = now.map_err(no_number)? + by;
        keys.change(&at[0], |hash: &mut Hash| hash.insert(at[1].clone(), next.to_string().into()))?;
        Ok(Reply::Number(next))
    }),
];
