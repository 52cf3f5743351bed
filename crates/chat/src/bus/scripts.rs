//! What Redis does in one piece for chat. Each script touches keys of one bucket only, which a cluster keeps together.

use std::sync::LazyLock;

use redis::Script;

use store::redis::scripts::SEND;

/// Says what a node has to say. Keys: bus, its count, number of the last direct message, of the last thing that this
/// node said, the record of events, then group and log for each. Arguments: most kept, node, most events kept, then for
/// each: its number among what the node says, command, text, two values, the newest number that the node knows and the life of the
/// group that it is of, and the note of it (empty: none) before its number and after.
///
/// Answers a number for each; -1 for what was said before.
pub static SAY: LazyLock<Script> = LazyLock::new(|| {
    let say = r"
    local kept, node = ARGV[1], ARGV[2]
    local last = tonumber(redis.call('GET', KEYS[4]) or 0)
    local numbers = {}
    for n = 0, (#ARGV - 3) / 9 - 1 do
        local at = 4 + 9 * n
        local nonce = tonumber(ARGV[at])
        local number = -1
        if nonce > last then
            last = nonce
            local known = tonumber(ARGV[at + 5])
            if known > 0 and redis.call('HGET', KEYS[6 + 2 * n], 'e') ~= ARGV[at + 6] then known = 0 end
            number = send(KEYS[1], KEYS[2], KEYS[3], KEYS[6 + 2 * n], KEYS[7 + 2 * n], kept, node, nonce,
                ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], known)
            if number > 0 and ARGV[at + 7] ~= '' then
                redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[at + 7] .. string.format('%.0f', number) .. ARGV[at + 8])
            end
        end
        numbers[n + 1] = number
    end
    redis.call('SET', KEYS[4], last, 'PX', 86400000)
    return numbers
    ";
    Script::new(&[SEND, say].concat())
});

/// Makes a group, which is kept for a while if there is no room behind it; where there is one, it is nobody's. Keys: group, room. Arguments: life, owner
/// (empty: none), name. Answers whether it was there, its owner, its life.
pub static MAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
    local there = redis.call('EXISTS', KEYS[1])
    if there == 0 then
        redis.call('HSET', KEYS[1], 'e', ARGV[1], 'm', '')
        if redis.call('EXISTS', KEYS[2]) == 1 then
            redis.call('HSET', KEYS[1], 'r', 1)
        else
            redis.call('HSET', KEYS[1], 'm', ARGV[3])
            if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'o', ARGV[2]) end
            redis.call('PEXPIRE', KEYS[1], 300000)
        end
    end
    return {there, redis.call('HGET', KEYS[1], 'o') or '', redis.call('HGET', KEYS[1], 'e') or '0'}
",
    )
});

/// A node's sign of life. Keys: nodes. Arguments: node, milliseconds for which it counts. Answers who is there.
pub static ALIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 1)
    return redis.call('ZRANGE', KEYS[1], 0, -1)
",
    )
});
