//! What nodes say to each other about chat, in one order for each room: Redis numbers it, keeps it for those who come
//! later, and takes each thing once. While Redis is unavailable, what is to be published waits here, and its sender is answered
//! so.
//! Knows no members and no sockets: who listens is passed in.

mod groups;
mod op;
mod partition;
mod run;
pub mod scripts;
mod sketch;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use partition::Partition;
use store::redis::keys::Keys;
use store::redis::{Link, Target};

pub use self::groups::{Loaded, Made};
pub use self::op::Op;
pub use self::sketch::Sketch;

/// What came of saying something: its number, 0 if there is no such group.
pub type Number = u64;

/// The newest message of a group that a node knows: numbers of that life never go back behind it, whatever Redis has lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The group's life.
    pub life: u64,
    /// Its number; 0 if none is known.
    pub number: u64,
}

/// Something that a node said, as every node hears it, in the same order for each room.
#[derive(Debug)]
pub struct Heard {
    /// Its number, for what is numbered.
    pub number: Number,
    /// The node that said it; 0: a change of a room.
    pub from: u64,
    /// Its number among what that node said here.
    pub nonce: u64,
    /// The life that its group had in Redis then, and of an end the life that ended; none: it is of no group, or a node of an
    /// earlier version said it.
    pub life: Option<u64>,
    /// What.
    pub op: Op,
}

/// Something that could not be said so far: Redis is away. It waits, and is said later.
#[derive(Debug)]
pub struct Unsaid {
    /// Its number among what this node says.
    pub nonce: u64,
    /// What.
    pub op: Arc<Op>,
    /// Who waits for its number.
    pub answer: oneshot::Sender<Number>,
}

/// Whether something can be said now.
#[derive(Debug)]
pub enum Sending {
    /// Its number comes here.
    Waits(oneshot::Receiver<Number>),
    /// Redis is away: it is said later, under this number among what this node says.
    Adrift(u64),
    /// Too much waits already.
    Full,
}

/// Who listens. Called in order for each partition; must not wait.
pub trait Listener: Send + Sync + 'static {
    /// A node said something; this one hears itself, too.
    fn heard(&self, heard: Heard);

    /// Redis is away: what was to be said and waits for an answer, in order.
    fn adrift(&self, unsaid: Vec<Unsaid>);

    /// Something on this partition was missed: this node was away for longer than it is kept.
    fn missed(self: Arc<Self>, partition: usize);

    /// The nodes that are there now, this one too.
    fn nodes(&self, alive: &[u64]);
}

/// The way between the nodes.
pub struct Bus {
    node: u64,
    target: Target,
    link: Link,
    keys: Keys,
    partitions: Box<[Partition]>,
    /// Cancelled when a partition is listened to.
    listening: Box<[CancellationToken]>,
    /// What is noted of what is said.
    noting: Option<Noting>,
}

/// Makes the note of something that is said, which is kept in the same step: its text before the number and after.
pub type Noting = Box<dyn Fn(&Op) -> Option<(String, &'static str)> + Send + Sync>;

impl Bus {
    /// A node on this Redis, which need not be there yet. `noting` makes notes of what clients say.
    #[must_use]
    pub fn new(target: Target, noting: Option<Noting>) -> Self {
        let keys = Keys::new(target.is_cluster());
        let partitions = (0..keys.partitions()).map(|_| Partition::default()).collect();
        let listening = (0..keys.partitions()).map(|_| CancellationToken::new()).collect();
        let node = sign::fresh_id().max(1);
        let link = Link::new(target.clone());
        Self { node, link, target, keys, partitions, listening, noting }
    }

    /// A node on the Redis of these settings.
    ///
    /// # Errors
    /// What is wrong with its address.
    pub fn open(settings: &store::Settings, noting: Option<Noting>) -> Result<Arc<Self>, String> {
        settings.target().map(|target| Arc::new(Self::new(target, noting)))
    }

    /// This node's number.
    #[must_use]
    pub const fn node(&self) -> u64 {
        self.node
    }

    /// The partition of everything about a room, or a user.
    #[must_use]
    pub fn partition(&self, topic: &str) -> usize {
        self.keys.partition_of(topic)
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Whether a sanction in this group can be said now.
    #[must_use]
    pub fn takes_sanctions(&self, group: &room::RoomId) -> bool {
        self.partitions[self.partition(group.as_str())].takes_sanctions()
    }

    /// Says something. `known` is the newest message of its group that this node knows.
    pub fn send(&self, op: Op, known: Known) -> Sending {
        self.send_noted(op, known, None)
    }

    /// The same for what a client says, which the app's backend may want to hear.
    pub fn say_for(&self, op: Op, known: Known) -> Sending {
        let note = self.noting.as_ref().and_then(|noting| noting(&op));
        self.send_noted(op, known, note)
    }

    fn send_noted(&self, op: Op, known: Known, note: Option<(String, &'static str)>) -> Sending {
        let (answer, answered) = oneshot::channel();
        match self.partitions[self.partition(op.topic())].push(op, known, note, Some(answer)) {
            None => Sending::Full,
            Some((nonce, true)) => Sending::Adrift(nonce),
            Some((_, false)) => Sending::Waits(answered),
        }
    }

    /// Publishes something that no caller waits for. It is dropped where too much waits already.
    pub fn tell(&self, op: Op) {
        if self.partitions[self.partition(op.topic())].push(op, Known::default(), None, None).is_none() {
            tracing::warn!("redis is unavailable for so long that something is not published to other nodes");
        }
    }

    /// Whether this node, which hears a sanction of its own, has said another one of the same user since, and not heard it so far.
    #[must_use]
    pub fn says_later(&self, heard: &Heard) -> bool {
        self.partitions[self.partition(heard.op.topic())].says_later(heard.nonce, &heard.op)
    }

    /// Whether Redis is away as far as this topic is concerned.
    #[must_use]
    pub fn is_adrift(&self, topic: &str) -> bool {
        self.partitions[self.partition(topic)].is_adrift()
    }
}

#[cfg(test)]
mod tests;
