//! What Redis does in one piece. Each script touches keys of one bucket only, which a cluster keeps together.

use std::sync::LazyLock;

use redis::Script;

/// Entries that are kept of each partition of chat, about.
pub const KEPT: u64 = 50_000;

/// What the commit of a room and the scripts of chat have in common. `send` does one command and answers its number: 0 if
/// there is no such group.
pub const SEND: &str = r"
    local function pass(bus, count, kept, number, node, nonce, op)
        local at = redis.call('INCR', count)
        redis.call('XADD', bus, 'MAXLEN', '~', kept, '*', 'i', at, 's', number, 'n', node, 'k', nonce, 'o', op)
    end
    local function next_of(group, known)
        local number = tonumber(redis.call('HGET', group, 'n') or 0)
        if known > number then number = known end
        redis.call('HSET', group, 'n', number + 1)
        return number + 1
    end
    local function send(bus, count, direct, group, log, kept, node, nonce, command, op, a, b, known)
        local number = 0
        if command == 'adopt' then
            -- Where no room stood behind it, it begins with this one: what its maker brought is forgotten, numbers go on.
            if redis.call('EXISTS', group) == 0 or redis.call('HEXISTS', group, 'r') == 1 then return 0 end
            redis.call('HSET', group, 'r', 1)
            redis.call('PERSIST', group)
            redis.call('PERSIST', log)
            if redis.call('HEXISTS', group, 'o') == 0 then return 0 end
            redis.call('HSET', group, 'm', '', 'b', 0)
            redis.call('HDEL', group, 'o')
            redis.call('UNLINK', log)
            for _, field in ipairs(redis.call('HKEYS', group)) do
                if string.sub(field, 1, 5) == 'mute:' or string.sub(field, 1, 4) == 'ban:' then redis.call('HDEL', group, field) end
            end
        elseif command == 'direct' then
            number = tonumber(redis.call('GET', direct) or 0) + 1
            if tonumber(a) > number then number = tonumber(a) end
            redis.call('SET', direct, number)
        elseif command ~= 'tell' then
            if redis.call('EXISTS', group) == 0 then return 0 end
            if command == 'say' then
                number = next_of(group, known)
                redis.call('RPUSH', log, number .. ' ' .. op)
                local bytes = redis.call('HINCRBY', group, 'b', #op)
                local length = redis.call('LLEN', log)
                while length > 1 and (length > 200 or bytes > 262144) do
                    local old = redis.call('LPOP', log)
                    bytes = redis.call('HINCRBY', group, 'b', string.find(old, ' ', 1, true) - #old)
                    length = length - 1
                end
            elseif command == 'end' then
                number = next_of(group, known)
                redis.call('UNLINK', group, log)
            elseif command == 'set' then
                if b == '' then redis.call('HDEL', group, a) else redis.call('HSET', group, a, b) end
            elseif command == 'life' then
                if tonumber(redis.call('HGET', group, 'e') or 0) < tonumber(a) then redis.call('HSET', group, 'e', a) end
            end
            if command ~= 'end' and redis.call('HEXISTS', group, 'r') == 0 then
                redis.call('PEXPIRE', group, 300000)
                redis.call('PEXPIRE', log, 300000)
            end
            if command == 'keep' then return 0 end
        end
        pass(bus, count, kept, number, node, nonce, op)
        return number
    end
";

/// Stands before a script that is refused as a whole where Redis is full, a replica, or without its replicas; without it such a
/// script fails in the middle, at the first command that is refused.
pub const WHOLE: &str = "#!lua\n";

macro_rules! script {
    ($(#[$doc:meta])* whole $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[WHOLE, $code].concat()));
    };
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new($code));
    };
}

/// Commits a decision if no other node committed since it was loaded.
///
/// Keys: room, seen, listed viewers, their infos, other viewers, deadlines, list of the kind, events, versions.
/// Arguments: version loaded (empty: no room), room (empty: none any more), place in the list (empty: none), id,
/// deadline, events (empty: none), most events kept, kind, status, the number of this commit, the life that the bucket
/// is taken to have, then a number and that many pairs of member and last
/// sign of life, then a number and that many pairs of who left and the sign of life that this was decided on, then what
/// the chat group is told: most kept, and for each command, text and a value. More keys for that: group, its log, bus, its
/// count. The last keys are the totals, the life, and who was taken out of the audience.
///
/// Answers whether it was done (-1: the bucket has another life), now or when the same number came before, and how many rooms the bucket has.
pub static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    let commit = r"
    local at = 13
    local members = tonumber(ARGV[12])
    local gone = tonumber(ARGV[at + 2 * members])
    if ARGV[11] == '' or redis.call('GET', KEYS[15]) ~= ARGV[11] then return {-1, 0} end
    local held = redis.call('HMGET', KEYS[1], 'v', 'o')
    if held[2] == ARGV[10] then return {1, redis.call('ZCARD', KEYS[6])} end
    if (held[1] or '') ~= ARGV[1] then return {0, 0} end
    for n = 0, gone - 1 do
        local heard = redis.call('HGET', KEYS[2], ARGV[at + 2 * members + 1 + 2 * n])
        if heard and tonumber(heard) > tonumber(ARGV[at + 2 * members + 2 + 2 * n]) then return {0, 0} end
    end
    local rooms, had = ARGV[1] == '' and 0 or 1, redis.call('HLEN', KEYS[2])
    local function count(field, change)
        if change ~= 0 then redis.call('HINCRBY', KEYS[14], field, change) end
    end
    if ARGV[2] == '' then
        count('v', -redis.call('ZCARD', KEYS[3]) - redis.call('SCARD', KEYS[5]))
        redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[16])
        redis.call('ZREM', KEYS[6], ARGV[4])
        redis.call('ZREM', KEYS[7], ARGV[4])
    else
        local active = 0
        if ARGV[3] == '' then
            redis.call('ZREM', KEYS[7], ARGV[4])
        else
            active = 1
            redis.call('ZADD', KEYS[7], ARGV[3], ARGV[4])
        end
        redis.call('HSET', KEYS[1], 'v', redis.call('INCR', KEYS[9]), 'j', ARGV[2], 'k', ARGV[8], 's', ARGV[9], 'a', active, 'o', ARGV[10])
        redis.call('ZADD', KEYS[6], ARGV[5], ARGV[4])
        for n = 0, members - 1 do
            local heard = redis.call('HGET', KEYS[2], ARGV[at + 2 * n])
            if not heard or tonumber(heard) < tonumber(ARGV[at + 1 + 2 * n]) then
                redis.call('HSET', KEYS[2], ARGV[at + 2 * n], ARGV[at + 1 + 2 * n])
            end
        end
        for n = 0, gone - 1 do
            redis.call('HDEL', KEYS[2], ARGV[at + 2 * members + 1 + 2 * n])
        end
    end
    count('r:' .. ARGV[8], (ARGV[2] == '' and 0 or 1) - rooms)
    count('m:' .. ARGV[8], redis.call('HLEN', KEYS[2]) - had)
    if ARGV[6] ~= '' then redis.call('XADD', KEYS[8], 'MAXLEN', '~', ARGV[7], '*', 'e', ARGV[6]) end
    local told = at + 2 * members + 1 + 2 * gone
    for n = told + 1, #ARGV, 3 do
        send(KEYS[12], KEYS[13], '', KEYS[10], KEYS[11], ARGV[told], 0, 0, ARGV[n], ARGV[n + 1], ARGV[n + 2], '', 0)
    end
    return {1, redis.call('ZCARD', KEYS[6])}
    ";
    Script::new(&[WHOLE, SEND, commit].concat())
});

script!(
    /// A sign of life. Keys: room, seen. Arguments: user, time, kind. Answers the list's version; nothing if the user is
    /// not a member of a room of this kind.
    TOUCH,
    r"
    local room = redis.call('HMGET', KEYS[1], 'k', 's')
    local heard = redis.call('HGET', KEYS[2], ARGV[1])
    if not heard or room[1] ~= ARGV[3] then return nil end
    if tonumber(ARGV[2]) > tonumber(heard) then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
    return room[2]
"
);

script!(
    /// Claims what is due. Keys: deadlines, times, totals. Arguments: now, most rooms, when claimed ones are due again, the gap
    /// that means that nobody could be heard, and how long members then have to come back.
    ///
    /// Answers how many rooms the bucket has, the claimed ones, and the totals.
    DUE,
    r"
    local now = tonumber(ARGV[1])
    local last = tonumber(redis.call('HGET', KEYS[2], 'last') or now)
    if now - last > tonumber(ARGV[4]) then redis.call('HSET', KEYS[2], 'patient', now + tonumber(ARGV[5])) end
    if now >= last then redis.call('HSET', KEYS[2], 'last', ARGV[1]) end
    local rooms = redis.call('ZCARD', KEYS[1])
    if now < tonumber(redis.call('HGET', KEYS[2], 'patient') or 0) then return {rooms, {}, redis.call('HGETALL', KEYS[3])} end
    local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])
    for _, room in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[3], room) end
    return {rooms, due, redis.call('HGETALL', KEYS[3])}
"
);

script!(
    /// Moves the deadline of a claimed room that heartbeats have moved. Keys: deadlines. Arguments: id, claim, deadline.
    LATER,
    r"
    if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) == tonumber(ARGV[2]) then
        redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    end
"
);

/// What all scripts do that bring a viewer into an audience, or take it out. `enter` answers -1 without an active room, 0 or 1 for
/// what the count grew by, 2 where the list is full; without an info it counts alone. `leave` answers whether it was in.
const AUDIENCES: &str = r"
    local function enter(room, listed, infos, others, totals, user, info, most)
        if redis.call('HGET', room, 'a') ~= '1' then return -1 end
        if redis.call('ZSCORE', listed, user) then
            if info then redis.call('HSET', infos, user, info) end
            return 0
        end
        if info and redis.call('ZCARD', listed) < tonumber(most) then
            local new = 1 - redis.call('SREM', others, user)
            redis.call('ZADD', listed, redis.call('HINCRBY', room, 'n', 1), user)
            redis.call('HSET', infos, user, info)
            redis.call('HINCRBY', totals, 'v', new)
            return new
        end
        local new = redis.call('SADD', others, user)
        redis.call('HINCRBY', totals, 'v', new)
        return info and 2 or new
    end
    local function leave(listed, infos, others, totals, user)
        redis.call('HDEL', infos, user)
        local was = redis.call('ZREM', listed, user) + redis.call('SREM', others, user)
        if was > 0 then redis.call('HINCRBY', totals, 'v', -was) end
        return was
    end
    local function time()
        local time = redis.call('TIME')
        return time[1] * 1000 + math.floor(time[2] / 1000)
    end
";

macro_rules! of_audiences {
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[WHOLE, AUDIENCES, $code].concat()));
    };
}

of_audiences!(
    /// Counts a viewer. Keys: room, listed viewers, their infos, other viewers, totals, who was taken out, who is away. Arguments:
    /// user, info, most listed ones (-1: there is no info), room. Answers what `enter` does.
    ENTER,
    r"
    local info = tonumber(ARGV[3]) >= 0 and ARGV[2]
    local entered = enter(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1], info, ARGV[3])
    if entered >= 0 then
        redis.call('HDEL', KEYS[6], ARGV[1])
        redis.call('ZREM', KEYS[7], ARGV[4] .. ' ' .. ARGV[1])
    end
    return entered
"
);

of_audiences!(
    /// Takes a viewer out at its wish. Keys: listed viewers, their infos, other viewers, totals, who was taken out, who is away.
    /// Arguments: user, room. Answers whether it was in.
    EXIT,
    r"
    redis.call('HDEL', KEYS[5], ARGV[1])
    redis.call('ZREM', KEYS[6], ARGV[2] .. ' ' .. ARGV[1])
    return leave(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1])
"
);

of_audiences!(
    /// Takes what was seen of users of a room. Keys: room, listed viewers, their infos, other viewers, totals, who was taken out, who is
    /// away, users at the node, when a service last spoke of them. Arguments: room, node (empty: a service says it), most listed ones,
    /// most who are away, how long a node's users and what a service said are kept; then for each: sign, user, for how long it may be
    /// away, and when a service says that it was (empty: seen now). Answers whether the audience changed.
    SEEN,
    r"
    local room, node, most, now = ARGV[1], ARGV[2], ARGV[3], time()
    local changed = 0
    for n = 7, #ARGV, 4 do
        local sign, user, at = ARGV[n], ARGV[n + 1], ARGV[n + 3]
        local who = room .. ' ' .. user
        if at == '' or tonumber(redis.call('ZSCORE', KEYS[9], who) or 0) <= tonumber(at) then
            if at ~= '' then redis.call('ZADD', KEYS[9], at, who) end
            if node ~= '' then redis.call(sign == 'here' and 'SADD' or 'SREM', KEYS[8], who) end
            if sign == 'away' then
                -- A service says the same again; what is seen here is another break.
                if at == '' or not redis.call('ZSCORE', KEYS[7], who) then
                    redis.call('ZADD', KEYS[7], now + ARGV[n + 2], who)
                end
            else
                redis.call('ZREM', KEYS[7], who)
            end
            if sign == 'here' then
                local info = redis.call('HGET', KEYS[6], user)
                if info then
                    redis.call('HDEL', KEYS[6], user)
                    -- Of one who was not listed nothing is known.
                    info = string.sub(info, 1, 1) == '+' and string.sub(info, 2)
                    if enter(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], user, info, most) > 0 then changed = 1 end
                end
            elseif sign == 'gone' and leave(KEYS[2], KEYS[3], KEYS[4], KEYS[5], user) > 0 then
                changed = 1
            end
        end
    end
    if node ~= '' then
        redis.call('PEXPIRE', KEYS[8], ARGV[5])
    else
        redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', now - ARGV[6])
        redis.call('PEXPIRE', KEYS[9], ARGV[6])
    end
    local beyond = redis.call('ZCARD', KEYS[7]) - ARGV[4]
    if beyond > 0 then
        for _, who in ipairs(redis.call('ZRANGE', KEYS[7], 0, beyond - 1)) do redis.call('ZREM', KEYS[7], who) end
    end
    return changed
"
);

of_audiences!(
    /// Who is to be looked at. Keys: nodes that say whom they have, who is away, users at this node. Arguments: how long those are
    /// kept, most. Answers the nodes, and users whose time is up.
    ABSENT,
    r"
    redis.call('PEXPIRE', KEYS[3], ARGV[1])
    local due = redis.call('ZRANGE', KEYS[2], '-inf', time(), 'BYSCORE', 'LIMIT', 0, ARGV[2])
    return {redis.call('SMEMBERS', KEYS[1]), due}
"
);

of_audiences!(
    /// Takes those of some users of a room out of the audience who are still away, whose time is up, and who are at no node. Keys: listed
    /// viewers, their infos, other viewers, totals, who was taken out, who is away, nodes that say whom they have, then the users at each
    /// node. Arguments: room, most who are remembered, for how long, how many nodes, they, the users. Answers how many left; -1 if a
    /// node does not say whom it has.
    TAKE_OUT,
    r"
    local now, nodes, left = time(), tonumber(ARGV[4]), 0
    for n = 1, nodes do
        if redis.call('SISMEMBER', KEYS[7], ARGV[4 + n]) == 0 then return -1 end
    end
    for n = 5 + nodes, #ARGV do
        local user = ARGV[n]
        local who = ARGV[1] .. ' ' .. user
        local due = redis.call('ZSCORE', KEYS[6], who)
        if due and tonumber(due) <= now then
            redis.call('ZREM', KEYS[6], who)
            local there = false
            for m = 1, nodes do there = there or redis.call('SISMEMBER', KEYS[7 + m], who) == 1 end
            local info = redis.call('HGET', KEYS[2], user)
            if not there and leave(KEYS[1], KEYS[2], KEYS[3], KEYS[4], user) > 0 then
                left = left + 1
                if redis.call('HLEN', KEYS[5]) < tonumber(ARGV[2]) then
                    redis.call('HSET', KEYS[5], user, info and '+' .. info or '-')
                    redis.call('PEXPIRE', KEYS[5], ARGV[3])
                end
            end
        end
    end
    return left
"
);

of_audiences!(
    /// Some of those whom a node had are away. Keys: nodes that say whom they have, who is away, users at that node. Arguments: the
    /// node, for how long they may be away, most. Answers whether there are more; the last of them gone, the node is forgotten.
    ADOPT,
    r"
    local away = time() + ARGV[2]
    local some = redis.call('SRANDMEMBER', KEYS[3], ARGV[3])
    for _, who in ipairs(some) do
        redis.call('SREM', KEYS[3], who)
        redis.call('ZADD', KEYS[2], away, who)
    end
    if redis.call('SCARD', KEYS[3]) > 0 then return 1 end
    redis.call('SREM', KEYS[1], ARGV[1])
    return 0
"
);

script!(
    /// Takes or keeps a lease. Keys: lease. Arguments: who, milliseconds. Answers whether it is theirs.
    HOLD,
    r"
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
"
);

script!(
    /// Keeps a ban, or lifts one. Keys: bans, their stream. Arguments: its field, the ban (JSON), whether it lifts, most
    /// entries of the stream.
    whole BAN,
    r"
    if ARGV[3] == '1' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'b', ARGV[2])
"
);

script!(
    /// Drops the bans that were over a minute ago by Redis' clock. Keys: bans. Answers the others.
    BANS,
    r"
    local kept = {}
    local over = redis.call('TIME')[1] * 1000 - 60000
    local all = redis.call('HGETALL', KEYS[1])
    for n = 1, #all, 2 do
        if cjson.decode(all[n + 1])['until'] <= over then
            redis.call('HDEL', KEYS[1], all[n])
        else
            kept[#kept + 1] = all[n + 1]
        end
    end
    return kept
"
);

script!(
    /// Adds a note. Keys: events, spans. Arguments: note, most events kept, `+` for a beginning, `-` for an end, or
    /// nothing; the name of what begins or ends, the node.
    ///
    /// What has begun already just goes on, at this node; what this node does not have does not end.
    whole NOTE,
    r"
    if ARGV[3] ~= '' then
        local span = redis.call('HGET', KEYS[2], ARGV[4])
        local at = span and string.find(span, ' ', 1, true)
        if ARGV[3] == '+' then
            redis.call('HSET', KEYS[2], ARGV[4], ARGV[5] .. ' ' .. (at and string.sub(span, at + 1) or ARGV[1]))
            if span then return 0 end
        else
            if not at or string.sub(span, 1, at - 1) ~= ARGV[5] then return 0 end
            redis.call('HDEL', KEYS[2], ARGV[4])
        end
    end
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'e', ARGV[1])
    return 1
"
);

script!(
    /// Notes the audience of a room, if it is not what was noted last. Keys: room, listed viewers, others, events.
    /// Arguments: the note before the count, after it, most events kept.
    whole AUDIENCE,
    r"
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    local count = redis.call('ZCARD', KEYS[2]) + redis.call('SCARD', KEYS[3])
    if tonumber(redis.call('HGET', KEYS[1], 'c') or 0) == count then return 0 end
    redis.call('HSET', KEYS[1], 'c', count)
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[1] .. count .. ARGV[2])
    return 1
"
);

script!(
    /// Takes something over from a node that is gone. Keys: spans. Arguments: its name, what is known of it, what shall be.
    /// Answers whether it was still so.
    TAKE_OVER,
    r"
    if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    return 1
"
);

script!(
    /// Puts a row in. Keys: rows, their order, their ends. Arguments: key, row, its end, whether it takes the place of an older
    /// one, the time, most rows. Answers whether that changed anything.
    whole PUT_ROW,
    r"
    local old = redis.call('HGET', KEYS[1], ARGV[1])
    if old == ARGV[2] then return 0 end
    if old and ARGV[4] == '0' and tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or 0) > tonumber(ARGV[5]) then return 0 end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[2], 0, ARGV[1])
    redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
    local over = redis.call('ZRANGE', KEYS[3], '-inf', ARGV[5], 'BYSCORE', 'LIMIT', 0, 100)
    local beyond = redis.call('ZCARD', KEYS[3]) - #over - tonumber(ARGV[6])
    if beyond > 0 then over = redis.call('ZRANGE', KEYS[3], 0, #over + math.min(beyond, 100) - 1) end
    for _, key in ipairs(over) do
        redis.call('HDEL', KEYS[1], key)
        redis.call('ZREM', KEYS[2], key)
        redis.call('ZREM', KEYS[3], key)
    end
    return 1
"
);

script!(
    /// Takes a row out. Keys: rows, their order, their ends. Arguments: key.
    whole TAKE_ROW,
    r"
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
"
);

script!(
    /// Rows below a key, greatest first. Keys: rows, their order. Arguments: the key as a bound, most of them.
    ROWS,
    r"
    local keys = redis.call('ZRANGE', KEYS[2], ARGV[1], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[2])
    local rows = {}
    for _, key in ipairs(keys) do rows[#rows + 1] = redis.call('HGET', KEYS[1], key) or '' end
    return rows
"
);
