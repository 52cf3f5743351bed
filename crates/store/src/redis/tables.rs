//! Small tables in Redis: a hash of rows, and two orders of their keys, by text and by end.

use redis::AsyncCommands;
use room::Millis;

use super::keys::Keys;
use super::link::Link;
use super::scripts;
use crate::error::Error;
use crate::tables::MOST;
use crate::{Row, Table};

/// Puts a row in. Says whether that changed anything.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Unknown`].
pub async fn put(link: &Link, table: Table, row: &Row, replace: bool, now: Millis) -> Result<bool, Error> {
    let text = serde_json::to_string(row).map_err(|e| Error::Unavailable(format!("a row cannot be written: {e}")))?;
    let mut script = scripts::PUT_ROW.prepare_invoke();
    let [rows, order, ends] = Keys::table(table);
    script.key(rows).key(order).key(ends).arg(&*row.key).arg(text).arg(row.until.0.min(1 << 53));
    script.arg(u8::from(replace)).arg(now.0).arg(MOST);
    link.change(async |mut redis| script.invoke_async(&mut redis).await).await
}

/// Takes a row out.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Unknown`].
pub async fn take(link: &Link, table: Table, key: &str) -> Result<(), Error> {
    let mut script = scripts::TAKE_ROW.prepare_invoke();
    let [rows, order, ends] = Keys::table(table);
    script.key(rows).key(order).key(ends).arg(key);
    link.change(async |mut redis| script.invoke_async::<()>(&mut redis).await).await
}

/// A row.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn get(link: &Link, table: Table, key: &str, now: Millis) -> Result<Option<Row>, Error> {
    let [rows, _, _] = Keys::table(table);
    let text: Option<String> = link.run(async |mut redis| redis.hget(rows, key).await).await?;
    Ok(text.as_deref().and_then(parse).filter(|row| row.until > now))
}

/// Rows with keys below this one, greatest first.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn below(
    link: &Link,
    table: Table,
    below: Option<&str>,
    count: usize,
    now: Millis,
) -> Result<Vec<Row>, Error> {
    let mut script = scripts::ROWS.prepare_invoke();
    let [rows, order, _] = Keys::table(table);
    let from = below.map_or_else(|| "+".to_owned(), |key| format!("({key}"));
    script.key(rows).key(order).arg(from).arg(count.min(MOST));
    let texts: Vec<String> = link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
    Ok(texts.iter().filter_map(|text| parse(text)).filter(|row| row.until > now).collect())
}

fn parse(text: &str) -> Option<Row> {
    let row = serde_json::from_str(text);
    row.inspect_err(|why| tracing::warn!(%why, "a row in redis cannot be understood and is left out")).ok()
}
