//! Whether Redis takes changes: writes a key that means nothing, beside the rooms of every partition.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::keys::Keys;
use super::link::Link;
use crate::Trouble;

/// How long the key stays.
const STAYS: Duration = Duration::from_secs(60);

/// Writes to every partition, because a cluster may be whole in one and not in another.
pub(super) async fn write(link: &Link, keys: &Keys, node: &str) -> Result<(), Trouble> {
    try_join_all((0..keys.partitions()).map(|partition| write_to(link, partition, node))).await.map(drop)
}

async fn write_to(link: &Link, partition: usize, node: &str) -> Result<(), Trouble> {
    let mut set = redis::cmd("SET");
    set.arg(Keys::probe(partition)).arg(node).arg("PX").arg(STAYS.as_millis() as u64);
    let mut trouble = None;
    let written = link.run(async |mut redis| {
        let written = set.exec_async(&mut redis).await;
        trouble = written.as_ref().err().map(name);
        written
    });
    written.await.map_err(|_| trouble.unwrap_or(Trouble::RedisAway))
}

/// What Redis says is wrong, by the word that its errors begin with.
fn name(error: &RedisError) -> Trouble {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Trouble::RedisReplica,
        (_, Some("OOM")) => Trouble::RedisFull,
        (_, Some("NOREPLICAS")) => Trouble::RedisReplicas,
        (_, Some("MISCONF")) => Trouble::RedisDisk,
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => Trouble::Unwritable,
        _ => Trouble::RedisAway,
    }
}
