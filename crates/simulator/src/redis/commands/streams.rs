//! Streams. A read that waits is the connection's affair.

use super::{Answer, Arguments, SYNTAX, Table, is, number};
use crate::redis::keys::{Fields, Id, Keys, Stream};
use crate::redis::resp::{Reply, Text};

/// Entries in each of the pieces by which a stream is cut where that need not be exact.
const PIECE: usize = 100;

const NO_ID: &str = "ERR Invalid stream ID specified as stream command argument";

pub(super) const TABLE: Table = &[
    ("XADD", true, 4, add),
    ("XRANGE", false, 3, |keys, at| range(keys, &at[0], &at[1], &at[2], &at[3..], false)),
    ("XREVRANGE", false, 3, |keys, at| range(keys, &at[0], &at[2], &at[1], &at[3..], true)),
    ("XREAD", false, 3, read),
];

fn add(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    let now = keys.now;
    let mut most = None;
    let mut rest = &at[1..];
    if is(&rest[0], "MAXLEN") {
        let about = is(&rest[1], "~");
        let skip = if about { 2 } else { 1 };
        most = Some((number::<usize>(&rest[skip])?, about));
        rest = &rest[skip + 1..];
    }
    let (id, fields) = rest.split_first().ok_or(SYNTAX)?;
    if !is(id, "*") {
        return Err(NO_ID.into());
    }
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err("ERR wrong number of arguments for 'xadd' command".into());
    }
    let id = keys.change(&at[0], |stream: &mut Stream| {
        let id = if now > stream.last.0 { (now, 0) } else { (stream.last.0, stream.last.1 + 1) };
        stream.last = id;
        stream.entries.insert(id, fields.to_vec());
        while let Some((most, about)) = most
            && stream.entries.len() > most + if about { PIECE } else { 0 }
        {
            stream.entries.pop_first();
        }
        id
    })?;
    Ok(Reply::Text(shown(id)))
}

fn shown(id: Id) -> Text {
    format!("{}-{}", id.0, id.1).into()
}

fn parse(text: &[u8], without: u64) -> Result<Id, String> {
    match text {
        b"-" => return Ok((0, 0)),
        b"+" => return Ok((u64::MAX, u64::MAX)),
        _ => {}
    }
    let text = std::str::from_utf8(text).map_err(|_| NO_ID)?;
    let (ms, seq) = text.split_once('-').map_or((text, None), |(ms, seq)| (ms, Some(seq)));
    let seq = seq.map_or(Ok(without), str::parse).map_err(|_| NO_ID)?;
    Ok((ms.parse().map_err(|_| NO_ID)?, seq))
}

fn entry(id: Id, fields: &Fields) -> Reply {
    Reply::List(vec![Reply::Text(shown(id)), Reply::texts(fields.iter().cloned())])
}

fn range(keys: &mut Keys, key: &[u8], from: &[u8], to: &[u8], rest: Arguments<'_>, back: bool) -> Answer {
    let from = parse(from, 0)?;
    let to = parse(to, u64::MAX)?;
    let most = match rest {
        [] => usize::MAX,
        [count, most] if is(count, "COUNT") => number(most)?,
        _ => return Err(SYNTAX.into()),
    };
    if from > to {
        return Ok(Reply::List(Vec::new()));
    }
    keys.see(key, |stream: &Stream| {
        let found = stream.entries.range(from..=to).map(|(id, fields)| entry(*id, fields));
        Reply::List(if back { found.rev().take(most).collect() } else { found.take(most).collect() })
    })
}

fn read(keys: &mut Keys, at: Arguments<'_>) -> Answer {
    let mut most = usize::MAX;
    let mut options = at.iter();
    loop {
        let option = options.next().ok_or(SYNTAX)?;
        match option.to_ascii_uppercase().as_slice() {
            b"COUNT" => most = number(options.next().ok_or(SYNTAX)?)?,
            b"BLOCK" => _ = options.next(),
            b"STREAMS" => break,
            _ => return Err(SYNTAX.into()),
        }
    }
    let [key, after] = options.as_slice() else { return Err(SYNTAX.into()) };
    let after = parse(after, 0)?;
    let found: Vec<Reply> = keys.see(key, |stream: &Stream| {
        let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        stream.entries.range(range).take(most).map(|(id, fields)| entry(*id, fields)).collect()
    })?;
    if found.is_empty() {
        return Ok(Reply::NoList);
    }
    Ok(Reply::List(vec![Reply::List(vec![Reply::Text(key.clone()), Reply::List(found)])]))
}

/// How long a request waits for something to read, if it does: none where it comes at once.
pub fn waits(words: Arguments<'_>) -> Option<u64> {
    let at = words.iter().position(|word| is(word, "BLOCK"))?;
    (is(words.first()?, "XREAD")).then(|| words.get(at + 1).and_then(|ms| number(ms).ok())).flatten()
}
