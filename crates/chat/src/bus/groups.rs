//! Groups as Redis keeps them: made there, and loaded by a node that has its first member.

use std::collections::HashMap;
use std::sync::Arc;

use redis::AsyncCommands;
use room::chat::{Epoch, Message};
use room::{Millis, RoomId, UserId};

use super::{Bus, Op, Sketch, scripts};
use store::error::Error;
use store::redis::keys::Keys;
use store::redis::link::PATIENCE;

/// A group that was made, or was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// It was there.
    pub existed: bool,
    /// Who made it, if a user did.
    pub owner: Option<UserId>,
    /// Its life.
    pub epoch: Epoch,
}

/// All that Redis keeps of a group.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Its life.
    pub epoch: u64,
    /// Who made it, if a user did.
    pub owner: Option<UserId>,
    /// Its name.
    pub name: String,
    /// Whether a room stands behind it.
    pub room: bool,
    /// Number of its newest message.
    pub last: u64,
    /// The newest messages, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// Who may not send, and until when.
    pub muted: Vec<(UserId, Millis)>,
    /// Who may not be in, and until when.
    pub banned: Vec<(UserId, Millis)>,
    /// Users at each node.
    pub users: Vec<(u64, Sketch)>,
}

impl Bus {
    /// Makes a group, unless it is there. Without a room it is kept for a while only.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn make(&self, id: &RoomId, owner: Option<&UserId>, name: &str, epoch: Epoch) -> Result<Made, Error> {
        let mut script = scripts::MAKE.prepare_invoke();
        script
            .key(self.keys.group(id))
            .key(self.keys.room(id))
            .arg(epoch.0)
            .arg(owner.map_or("", UserId::as_str))
            .arg(name);
        let (existed, owner, epoch): (bool, String, u64) =
            self.link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
        Ok(Made { existed, owner: UserId::parse(&owner).ok(), epoch: Epoch(epoch) })
    }

    /// All of a group; none if there is no such. What is said in it after that is received.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn load(&self, id: &RoomId) -> Result<Option<Loaded>, Error> {
        let listening = self.listening[self.partition(id.as_str())].cancelled();
        if tokio::time::timeout(PATIENCE, listening).await.is_err() {
            return Err(Error::Unavailable("redis was never reached".into()));
        }
        let mut pipe = redis::pipe();
        pipe.atomic().hgetall(self.keys.group(id)).lrange(self.keys.log(id), 0, -1);
        let (fields, log): (HashMap<String, String>, Vec<String>) =
            self.link.run(async |mut redis| pipe.query_async(&mut redis).await).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let alive = self.alive().await?;
        let mut loaded =
            Loaded { messages: log.iter().filter_map(|line| message(line)).collect(), ..Loaded::default() };
        for (name, value) in fields {
            let number = || value.parse().unwrap_or_default();
            match name.split_once(':') {
                Some(("mute", user)) => loaded.muted.extend(UserId::parse(user).map(|user| (user, Millis(number())))),
                Some(("ban", user)) => loaded.banned.extend(UserId::parse(user).map(|user| (user, Millis(number())))),
                Some(("u", node)) => {
                    loaded.users.extend(node.parse().map(|node| (node, Sketch::parse(&value))));
                }
                _ => match name.as_str() {
                    "e" => loaded.epoch = number(),
                    "n" => loaded.last = number(),
                    "o" => loaded.owner = UserId::parse(&value).ok(),
                    "m" => loaded.name = value,
                    "r" => loaded.room = true,
                    _ => {}
                },
            }
        }
        // A node that crashed has not taken back what it said of its users.
        loaded.users.retain(|(node, _)| alive.is_empty() || alive.contains(node));
        Ok(Some(loaded))
    }

    /// The nodes that are there; none where Redis has lost them.
    async fn alive(&self) -> Result<Vec<u64>, Error> {
        self.link.run(async |mut redis| redis.zrange(Keys::NODES, 0, -1).await).await
    }
}

fn message(line: &str) -> Option<Arc<Message>> {
    let (number, op) = line.split_once(' ')?;
    match serde_json::from_str(op).ok()? {
        Op::Message { group, at, content } => Some(Arc::new(Message::new(group, number.parse().ok()?, at, content))),
        _ => None,
    }
}
