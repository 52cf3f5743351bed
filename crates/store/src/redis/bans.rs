//! Bans in Redis: a hash of those that hold, and a stream by which the other nodes hear of what changes.

use redis::AsyncCommands;
use room::Millis;

use super::keys::Keys;
use super::link::Link;
use super::scripts;
use crate::error::Error;
use crate::{Ban, EndedBefore, Logouts};

/// Most changes that are kept, about: other nodes read them within a second.
const CHANGES: u64 = 100_000;
/// Most logouts that are kept, about.
const LOGOUTS: u64 = 200_000;

/// Keeps one, or lifts it.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Unknown`].
pub async fn put(link: &Link, ban: &Ban) -> Result<(), Error> {
    let text = serde_json::to_string(ban).map_err(|e| Error::Unavailable(format!("a ban cannot be written: {e}")))?;
    let mut script = scripts::BAN.prepare_invoke();
    script.key(Keys::BANS).key(Keys::BANNED);
    // Neither id holds a space.
    script.arg(format!("{} {}", ban.user, ban.room.as_ref().map_or("", |room| room.as_str())));
    script.arg(text).arg(u8::from(ban.lifts())).arg(CHANGES);
    link.change(async |mut redis| script.invoke_async::<()>(&mut redis).await).await
}

/// Ends a session before its time.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Unknown`].
pub async fn revoke(link: &Link, session: u64, until: Millis) -> Result<(), Error> {
    let mut add = redis::cmd("XADD");
    add.arg(Keys::REVOKED).arg("MAXLEN").arg("~").arg(LOGOUTS).arg("*");
    add.arg("s").arg(session).arg("u").arg(until.0);
    link.change(async |mut redis| add.exec_async(&mut redis).await).await
}

/// Ends all of a user's sessions of before a time. Every field is a number, and the first two are those of a session, which
/// nobody has: nodes of earlier versions read no others.
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Unknown`].
pub async fn revoke_before(link: &Link, before: &EndedBefore) -> Result<(), Error> {
    let mut add = redis::cmd("XADD");
    add.arg(Keys::REVOKED).arg("MAXLEN").arg("~").arg(LOGOUTS).arg("*");
    add.arg("s").arg(sign::fresh_id()).arg("u").arg(before.until.0);
    add.arg("w").arg(before.who).arg("b").arg(before.at.0);
    for session in &before.ended {
        add.arg("e").arg(session);
    }
    link.change(async |mut redis| add.exec_async(&mut redis).await).await
}

/// Logouts from a time of Redis' clock on.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn revoked(link: &Link, from: u64) -> Result<Logouts, Error> {
    type Entry = (String, Vec<(String, u64)>);
    let read: Vec<Entry> = link.run(async |mut redis| redis.xrange(Keys::REVOKED, from, "+").await).await?;
    let mut found = Logouts::default();
    for (_, fields) in read {
        let of = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let Some((session, until)) = of("s").zip(of("u").map(Millis)) else { continue };
        match of("w").zip(of("b").map(Millis)) {
            None => found.ended.push((session, until)),
            Some((who, at)) => {
                let ended = fields.iter().filter(|(name, _)| name == "e").map(|(_, session)| *session).collect();
                found.before.push(EndedBefore { who, at, until, ended });
            }
        }
    }
    Ok(found)
}

/// All that hold, and what changed since then.
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn since(link: &Link, since: Millis) -> Result<Vec<Ban>, Error> {
    let texts: Vec<String> = if since == Millis(0) {
        let mut script = scripts::BANS.prepare_invoke();
        script.key(Keys::BANS);
        link.run(async |mut redis| script.invoke_async(&mut redis).await).await?
    } else {
        // Entries are numbered by Redis' clock, which need not be ours to the second.
        let from = since.0.saturating_sub(60_000);
        type Entry = (String, Vec<(String, String)>);
        let read: Vec<Entry> = link.run(async |mut redis| redis.xrange(Keys::BANNED, from, "+").await).await?;
        read.into_iter().flat_map(|(_, fields)| fields).map(|(_, text)| text).collect()
    };
    let parse = |text: &String| {
        let ban = serde_json::from_str(text);
        ban.inspect_err(|why| tracing::warn!(%why, "a ban in redis cannot be understood and is left out")).ok()
    };
    Ok(texts.iter().filter_map(parse).collect())
}
