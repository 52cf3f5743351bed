//! What Redis does in one piece for chat. Each script touches keys of one partition only, which a cluster keeps together.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::partition::Line;
use store::redis::EVENTS;
use store::redis::keys::Keys;
use store::redis::scripts::{KEPT, SEND};

/// Says what a node has to say, as `prepare_say` gives it.
///
/// Answers a number for each; -1 for what was said before.
pub static SAY: LazyLock<Script> = LazyLock::new(|| {
    let say = r"
    local bus, said, direct, said_by, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
    local next_key, next_argument = 5, 0
    local function key()
        next_key = next_key + 1
        return KEYS[next_key]
    end
    local function take()
        next_argument = next_argument + 1
        return ARGV[next_argument]
    end
    local kept, node, most_events = take(), take(), take()
    local last = tonumber(redis.call('GET', said_by) or 0)
    local numbers = {}
    while next_argument < #ARGV do
        local group, log = key(), key()
        local nonce, command, text, a, b = tonumber(take()), take(), take(), take(), take()
        local known, life, before, after = tonumber(take()), take(), take(), take()
        local number = -1
        if nonce > last then
            last = nonce
            if known > 0 and redis.call('HGET', group, 'e') ~= life then known = 0 end
            number = send(bus, said, direct, group, log, kept, node, nonce, command, text, a, b, known)
            if number > 0 and before ~= '' then
                redis.call('XADD', events, 'MAXLEN', '~', most_events, '*', 'e', before .. string.format('%.0f', number) .. after)
            end
        end
        numbers[#numbers + 1] = number
    end
    redis.call('SET', said_by, last, 'PX', 86400000)
    return numbers
    ";
    Script::new(&[SEND, say].concat())
});

/// What [`SAY`] is given, in the order in which it takes it. Each line has its number among what the node says, the newest number that
/// the node knows and the life of the group that it is of, and the note of it (empty: none) before its number and after.
pub(super) fn prepare_say(keys: &Keys, partition: usize, node: u64, lines: &[Line]) -> ScriptInvocation<'static> {
    let mut script = SAY.prepare_invoke();
    script.key(Keys::bus(partition)).key(Keys::said(partition)).key(Keys::direct(partition));
    script.key(Keys::said_by(partition, node)).key(Keys::events(partition));
    script.arg(KEPT).arg(node).arg(EVENTS);
    for line in lines {
        match line.op.group() {
            Some(group) => script.key(keys.group(group)).key(keys.log(group)),
            // Of the same partition, and not used.
            None => script.key(Keys::bus(partition)).key(Keys::bus(partition)),
        };
        let (command, a, b) = line.op.command();
        script.arg(line.nonce).arg(command).arg(&*line.text).arg(a).arg(b).arg(line.known.number).arg(line.known.life);
        let (before, after) = line.note.as_ref().map_or(("", ""), |(before, after)| (&**before, *after));
        script.arg(before).arg(after);
    }
    script
}

/// Makes a group, which is kept for a while if there is no room behind it; where there is one, it has no owner. Keys: group, room. Arguments: life, owner
/// (empty: none), name. Answers whether it was there, its owner, its life.
pub static MAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
    local group, room = KEYS[1], KEYS[2]
    local life, owner, name = ARGV[1], ARGV[2], ARGV[3]
    local there = redis.call('EXISTS', group)
    if there == 0 then
        redis.call('HSET', group, 'e', life, 'm', '')
        if redis.call('EXISTS', room) == 1 then
            redis.call('HSET', group, 'r', 1)
        else
            redis.call('HSET', group, 'm', name)
            if owner ~= '' then redis.call('HSET', group, 'o', owner) end
            redis.call('PEXPIRE', group, 300000)
        end
    end
    return {there, redis.call('HGET', group, 'o') or '', redis.call('HGET', group, 'e') or '0'}
",
    )
});

/// A node's sign of life. Keys: nodes. Arguments: node, milliseconds for which it counts. Answers who is there.
pub static ALIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
    local nodes, node, counts_for = KEYS[1], ARGV[1], ARGV[2]
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', nodes, now + counts_for, node)
    redis.call('ZREMRANGEBYSCORE', nodes, '-inf', now - 1)
    return redis.call('ZRANGE', nodes, 0, -1)
",
    )
});
