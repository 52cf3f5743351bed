//! The names of everything in Redis. All keys of a room, and the indexes that change with it, carry the hash tag of the
//! room's partition: so one script can change them together, also in a cluster. Without a cluster there is one partition.

use room::{Kind, RoomId, StreamId};

use crate::Table;

/// Partitions of a cluster. Changing it moves rooms to other keys: only with an empty Redis.
pub const PARTITIONS: usize = 16;

/// The names of one installation's keys.
#[derive(Clone, Debug)]
pub struct Keys {
    partitions: usize,
}

impl Keys {
    /// For a cluster, or for one server.
    pub const fn new(cluster: bool) -> Self {
        Self { partitions: if cluster { PARTITIONS } else { 1 } }
    }

    /// How many partitions there are.
    pub const fn partitions(&self) -> usize {
        self.partitions
    }

    /// The partition of a room: the same on every node and in every version.
    pub fn partition(&self, room: &RoomId) -> usize {
        self.partition_of(room.as_str())
    }

    /// The partition of anything that is distinguished by a text.
    pub fn partition_of(&self, text: &str) -> usize {
        crc32fast::hash(text.as_bytes()) as usize % self.partitions
    }

    fn of_room(&self, what: &str, room: &RoomId) -> String {
        format!("rs:{{{}}}:{what}:{room}", self.partition(room))
    }

    /// Hash: version `v`, room `j`, its kind `k` and status `s`, whether it is active `a`, number of the last listed viewer `n`,
    /// the audience that webhooks sent last `c`, number of the last commit `o`.
    pub fn room(&self, room: &RoomId) -> String {
        self.of_room("room", room)
    }

    /// Hash: each member's last sign of life.
    pub fn seen(&self, room: &RoomId) -> String {
        self.of_room("seen", room)
    }

    /// Sorted set: listed viewers in order of entering.
    pub fn listed(&self, room: &RoomId) -> String {
        self.of_room("listed", room)
    }

    /// Hash: what the app says about them.
    pub fn infos(&self, room: &RoomId) -> String {
        self.of_room("infos", room)
    }

    /// Set: viewers beyond the list.
    pub fn others(&self, room: &RoomId) -> String {
        self.of_room("others", room)
    }

    /// Hash: what the app said about viewers who were taken out because they were away.
    pub fn out(&self, room: &RoomId) -> String {
        self.of_room("out", room)
    }

    /// Sorted set: users who are away, each after its room and a space, by the time until which they may come back.
    pub fn away(partition: usize) -> String {
        format!("rs:{{{partition}}}:away")
    }

    /// Sorted set: the same by when a chat service elsewhere last spoke of them.
    pub fn spoken(partition: usize) -> String {
        format!("rs:{{{partition}}}:spoken")
    }

    /// Set: nodes that say which users they have.
    pub fn presences(partition: usize) -> String {
        format!("rs:{{{partition}}}:presences")
    }

    /// Set: users in groups at a node, each after its room and a space.
    pub fn present(partition: usize, node: u64) -> String {
        format!("rs:{{{partition}}}:present:{node:016x}")
    }

    /// Sorted set: every room by when it needs looking at.
    pub fn deadlines(partition: usize) -> String {
        format!("rs:{{{partition}}}:deadlines")
    }

    /// Hash: when a node last looked for what is due, and until when no member is held to be silent.
    pub fn times(partition: usize) -> String {
        format!("rs:{{{partition}}}:times")
    }

    /// Sorted set: active rooms of a kind by age.
    pub fn list(partition: usize, kind: Kind) -> String {
        format!("rs:{{{partition}}}:list:{}", kind.name())
    }

    /// Stream: committed events, in order for each room.
    pub fn events(partition: usize) -> String {
        format!("rs:{{{partition}}}:events")
    }

    /// Hash: how far each reader of the events has got.
    pub fn readers(partition: usize) -> String {
        format!("rs:{{{partition}}}:readers")
    }

    /// Hash: what each has read beyond that.
    pub fn ahead(partition: usize) -> String {
        format!("rs:{{{partition}}}:ahead")
    }

    /// Which node reads for a reader, as long as it says so.
    pub fn reading(partition: usize, reader: &str) -> String {
        format!("rs:{{{partition}}}:reading:{reader}")
    }

    /// Hash: what has begun and not ended; the node that has it, a space, the note of its beginning.
    pub fn spans(partition: usize) -> String {
        format!("rs:{{{partition}}}:spans")
    }

    /// There as long as a node is.
    pub fn alive(node: &str) -> String {
        format!("rs:{{0}}:alive:{node}")
    }

    /// Hash: the chat group of a room: life `e`, number of the newest message `n`, bytes of the kept ones `b`, owner `o`,
    /// name `m`, whether a room stands behind it `r`; who is `mute:` or `ban:` until when, users at each node `u:`.
    pub fn group(&self, room: &RoomId) -> String {
        self.of_room("group", room)
    }

    /// List: its newest messages, each after its number and a space.
    pub fn log(&self, room: &RoomId) -> String {
        self.of_room("log", room)
    }

    /// What the pusher of a stream agreed to.
    pub fn agreement(&self, stream: &StreamId) -> String {
        format!("rs:{{{}}}:agreement:{stream}", self.partition_of(stream.as_str()))
    }

    /// A small table: hash of its rows, sorted sets of their keys by text and by end.
    pub fn table(table: Table) -> [String; 3] {
        ["rows", "order", "ends"].map(|what| format!("rs:{{0}}:table:{}:{what}", table.name()))
    }

    /// Stream: what nodes say to each other.
    pub fn bus(partition: usize) -> String {
        format!("rs:{{{partition}}}:bus")
    }

    /// Counter: entries of that stream.
    pub fn said(partition: usize) -> String {
        format!("rs:{{{partition}}}:bus:count")
    }

    /// Number of the last thing that a node said there.
    pub fn said_by(partition: usize, node: u64) -> String {
        format!("rs:{{{partition}}}:bus:of:{node:016x}")
    }

    /// Number of the last point-to-point message there.
    pub fn direct(partition: usize) -> String {
        format!("rs:{{{partition}}}:bus:direct")
    }

    /// Sorted set: nodes by the time until which they are taken to be there.
    pub const NODES: &'static str = "rs:{0}:nodes";

    /// Where a stream is published.
    pub fn stream(name: &str) -> String {
        format!("rs:stream:{name}")
    }

    /// Which node is at an address where nodes give streams to each other.
    pub fn at(address: &str) -> String {
        format!("rs:at:{address}")
    }

    /// Hash: the mixes of all nodes by session: when its node last said so, the node, `over` or `own`, the stream that it
    /// is seen as, how many are in it, the node's address.
    pub const MIXES: &'static str = "rs:mixes";

    /// Stream: what other nodes ask a node to do.
    pub fn asks(node: &str) -> String {
        format!("rs:asks:{node}")
    }

    /// Stream: what other nodes ask about WebRTC sessions of a node.
    pub fn session_asks(node: &str) -> String {
        format!("rs:asks:{node}:sessions")
    }

    /// There as long as a node is that streams are published at.
    pub fn node(node: &str) -> String {
        format!("rs:node:{node}")
    }

    /// What a node answered.
    pub fn answer(id: &str) -> String {
        format!("rs:answer:{id}")
    }

    /// Hash: a request of an operator that may come again.
    pub fn request(name: &str) -> String {
        format!("rs:request:{name}")
    }

    /// Hash: how many rooms of each kind there are (`r:`), pushers in them (`m:`), viewers `v`.
    pub fn totals(partition: usize) -> String {
        format!("rs:{{{partition}}}:totals")
    }

    /// The life of what a partition holds: gone with it, and another one afterwards.
    pub fn life(partition: usize) -> String {
        format!("rs:{{{partition}}}:life")
    }

    /// There when the ends of the rooms of a life were published.
    pub fn mourned(partition: usize, life: &str) -> String {
        format!("rs:{{{partition}}}:told:{life}")
    }

    /// Written only to see whether it can be.
    pub fn probe(partition: usize) -> String {
        format!("rs:{{{partition}}}:probe")
    }

    /// Counter: versions of rooms.
    pub fn versions(partition: usize) -> String {
        format!("rs:{{{partition}}}:versions")
    }

    /// Hash: bans, by user and room.
    pub const BANS: &'static str = "rs:{0}:bans";

    /// Stream: bans as they come and are lifted.
    pub const BANNED: &'static str = "rs:{0}:banned";

    /// Stream: sessions that ended early.
    pub const REVOKED: &'static str = "rs:{0}:revoked";
}
