//! What a Redis says of itself: version, role, what it keeps and what it throws away. Changes nothing and knows no keys.

use std::time::Duration;

use redis::Value;

use super::link::{Link, Target};
use crate::error::Error;

/// How long it may take with connecting: nobody's call waits for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a Redis says of itself; a cluster, what one of its nodes says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Its version.
    pub version: String,
    /// `master` or `slave`.
    pub role: String,
    /// Replicas that are connected.
    pub replicas: usize,
    /// The most memory that it takes, in bytes; 0: as much as there is.
    pub maxmemory: u64,
    /// What it throws away then.
    pub policy: String,
    /// Whether it notes every change on its disk (`appendonly`).
    pub appends: bool,
    /// Whether it writes snapshots at times; nothing where that may not be asked.
    pub saves: Option<bool>,
    /// By how many milliseconds its clock is ahead.
    pub ahead: i64,
}

/// Asks it. `now` in Unix milliseconds.
///
/// # Errors
/// [`Error::Unavailable`]: it is away, or does not let us in.
pub async fn inspect(target: Target, now: impl Fn() -> u64) -> Result<Inspected, Error> {
    let link = Link::new(target);
    link.run_within(PATIENCE, async |mut redis| {
        let info: Value = redis::cmd("INFO").query_async(&mut redis).await?;
        let begun = now();
        let time: Value = redis::cmd("TIME").query_async(&mut redis).await?;
        let time = redis::from_redis_value::<(u64, u64)>(one(time))?;
        let ended = now();
        // Services that run Redis for others forbid it.
        let saves: Result<Value, _> = redis::cmd("CONFIG").arg("GET").arg("save").query_async(&mut redis).await;
        let saves = saves.ok().and_then(|saves| redis::from_redis_value::<Vec<(String, String)>>(one(saves)).ok());
        let mut found = read(&redis::from_redis_value::<String>(one(info))?);
        found.saves = saves.and_then(|saves| saves.first().map(|(_, when)| !when.is_empty()));
        let theirs = time.0 * 1000 + time.1 / 1000;
        found.ahead =
            i64::try_from(theirs).unwrap_or_default() - i64::try_from(begun.midpoint(ended)).unwrap_or_default();
        Ok(found)
    })
    .await
}

/// A cluster answers with what each node says: one of them.
fn one(value: Value) -> Value {
    match value {
        Value::Map(mut nodes) if matches!(nodes.first(), Some((_, Value::BulkString(text))) if text.len() > 64) => {
            nodes.swap_remove(0).1
        }
        Value::Map(mut nodes) if matches!(nodes.first(), Some((_, Value::Array(_) | Value::Map(_)))) => {
            nodes.swap_remove(0).1
        }
        other => other,
    }
}

fn read(info: &str) -> Inspected {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    };
    Inspected {
        version: field("redis_version").to_owned(),
        role: field("role").to_owned(),
        replicas: field("connected_slaves").parse().unwrap_or_default(),
        maxmemory: field("maxmemory").parse().unwrap_or_default(),
        policy: field("maxmemory_policy").to_owned(),
        appends: field("aof_enabled") == "1",
        ..Inspected::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::redis::RedisServer;

    #[tokio::test]
    async fn settings_are_read_from_a_real_one() {
        let server = RedisServer::start(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
        let target = Target::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let found = inspect(target.clone(), now).await.unwrap();
        assert!(found.version.starts_with(|c: char| c.is_ascii_digit()), "{found:?}");
        assert_eq!((found.role.as_str(), found.replicas), ("master", 0));
        assert_eq!((found.maxmemory, found.policy.as_str()), (64 << 20, "allkeys-lru"));
        assert_eq!((found.appends, found.saves), (true, Some(false)));
        assert!(found.ahead.abs() < 2000, "{found:?}");
        let late = inspect(target.clone(), || now() - 60_000).await.unwrap();
        assert!((58_000..62_000).contains(&late.ahead), "{late:?}");
        drop(server);
        assert!(inspect(target, now).await.is_err());
    }
}
