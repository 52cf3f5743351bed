//! The commit of a decision: its script, and what it is given. Each is read beside the other, and knows nothing of how often one is tried.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};
use room::{Kind, Pusher, Room, RoomId};

use super::super::keys::Keys;
use super::super::{EVENTS, GroupCommand};
use super::{CLOCK, KEPT, SEND, WHOLE};

/// Commits a decision if no other node committed since it was loaded.
///
/// Answers whether it was done (-1: the partition has another life), now or when the same number came before, and how many rooms the partition has.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    let commit = r"
    local room, seen, listed, infos, others = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
    local deadlines, list, events, versions = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
    local group, log, bus, said = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
    local totals, life, out, times = KEYS[14], KEYS[15], KEYS[16], KEYS[17]
    -- In the order of `Commit::prepare`.
    local next_argument = 0
    local function take()
        next_argument = next_argument + 1
        return ARGV[next_argument]
    end
    local version, state, place, id, deadline = take(), take(), take(), take(), take()
    local told_events, most_events = take(), take()
    local kind, status, nonce, known_life = take(), take(), take(), take()
    local function pairs_of()
        local all = {}
        for n = 1, tonumber(take()) do
            local user = take()
            all[n] = {user = user, heard = take()}
        end
        return all
    end
    local members, gone = pairs_of(), pairs_of()
    local kept = take()

    if known_life == '' or redis.call('GET', life) ~= known_life then return {-1, 0} end
    local held = redis.call('HMGET', room, 'v', 'o')
    if held[2] == nonce then return {1, redis.call('ZCARD', deadlines)} end
    if (held[1] or '') ~= version then return {0, 0} end
    for _, left in ipairs(gone) do
        local heard = redis.call('HGET', seen, left.user)
        if heard and tonumber(heard) > tonumber(left.heard) then return {0, 0} end
    end
    local rooms, had = version == '' and 0 or 1, redis.call('HLEN', seen)
    local function count(field, change)
        if change ~= 0 then redis.call('HINCRBY', totals, field, change) end
    end
    if state == '' then
        count('v', -redis.call('ZCARD', listed) - redis.call('SCARD', others))
        redis.call('UNLINK', room, seen, listed, infos, others, out)
        redis.call('ZREM', deadlines, id)
        redis.call('ZREM', list, id)
    else
        local active = 0
        if place == '' then
            redis.call('ZREM', list, id)
        else
            active = 1
            redis.call('ZADD', list, place, id)
        end
        redis.call('HSET', room, 'v', redis.call('INCR', versions), 'j', state, 'k', kind, 's', status, 'a', active, 'o', nonce)
        redis.call('ZADD', deadlines, deadline, id)
        for _, member in ipairs(members) do
            local heard = redis.call('HGET', seen, member.user)
            if not heard then
                -- Who has just come was seen now, whatever a node's clock says that stood still.
                redis.call('HSET', seen, member.user, (shared_time(times, member.heard)))
            elseif tonumber(heard) < tonumber(member.heard) then
                redis.call('HSET', seen, member.user, member.heard)
            end
        end
        for _, left in ipairs(gone) do redis.call('HDEL', seen, left.user) end
    end
    count('r:' .. kind, (state == '' and 0 or 1) - rooms)
    count('m:' .. kind, redis.call('HLEN', seen) - had)
    if told_events ~= '' then redis.call('XADD', events, 'MAXLEN', '~', most_events, '*', 'e', told_events) end
    while next_argument < #ARGV do
        local command, text, value = take(), take(), take()
        send(bus, said, '', group, log, kept, 0, 0, command, text, value, '', 0)
    end
    return {1, redis.call('ZCARD', deadlines)}
    ";
    Script::new(&[WHOLE, SEND, CLOCK, commit].concat())
});

/// What is committed.
pub struct Commit<'a> {
    /// The room.
    pub id: &'a RoomId,
    /// Its kind, before or after.
    pub kind: Kind,
    /// The version that was loaded; empty: there was no room.
    pub version: &'a str,
    /// The room as it is from now on; none: it is gone.
    pub room: Option<&'a Room>,
    /// The same as JSON; empty: it is gone.
    pub state: String,
    /// When it is to be looked at, by the time that all nodes share.
    pub deadline: u64,
    /// By how much that is ahead of this node's.
    pub ahead: u64,
    /// The events as JSON; empty: none.
    pub events: String,
    /// The number of this commit.
    pub nonce: u64,
    /// The life that the partition is taken to have.
    pub life: String,
    /// Who left, with the sign of life that this was decided on.
    pub gone: Vec<&'a Pusher>,
    /// What the chat group is told.
    pub told: Vec<GroupCommand>,
}

impl Commit<'_> {
    /// The script with all that it is given, in the order in which it takes it.
    pub fn prepare(&self, keys: &Keys) -> ScriptInvocation<'static> {
        let Self { id, kind, room, .. } = self;
        let partition = keys.partition(id);
        let mut script = SCRIPT.prepare_invoke();
        script.key(keys.room(id)).key(keys.seen(id)).key(keys.listed(id)).key(keys.infos(id)).key(keys.others(id));
        script.key(Keys::deadlines(partition)).key(Keys::list(partition, *kind)).key(Keys::events(partition));
        script.key(Keys::versions(partition)).key(keys.group(id)).key(keys.log(id));
        script
            .key(Keys::bus(partition))
            .key(Keys::said(partition))
            .key(Keys::totals(partition))
            .key(Keys::life(partition));
        script.key(keys.out(id)).key(super::super::due::times(partition));
        // Its place in the list; empty: it is in none.
        let place = room.filter(|room| room.is_active()).map_or_else(String::new, |room| room.created.0.to_string());
        script.arg(self.version).arg(&self.state).arg(place).arg(id.as_str()).arg(self.deadline);
        script.arg(&self.events).arg(EVENTS);
        script
            .arg(kind.name())
            .arg(room.map_or(0, |room| room.status))
            .arg(format!("{:x}", self.nonce))
            .arg(&self.life);
        let members = room.map_or(&[][..], |room| &room.pushers);
        script.arg(members.len());
        for pusher in members {
            script.arg(pusher.user.as_str()).arg(pusher.seen.plus(self.ahead).0);
        }
        script.arg(self.gone.len());
        for pusher in &self.gone {
            script.arg(pusher.user.as_str()).arg(pusher.seen.plus(self.ahead).0);
        }
        script.arg(KEPT);
        for command in &self.told {
            script.arg(command.name).arg(&command.text).arg(&command.value);
        }
        script
    }
}
