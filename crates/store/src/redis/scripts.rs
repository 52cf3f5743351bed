//! What Redis does in one piece. Each script touches keys of one partition only, which a cluster keeps together.

mod commit;

use std::sync::LazyLock;

use redis::Script;

pub(super) use commit::Commit;

/// Entries that are kept of each partition of chat, about.
pub const KEPT: u64 = 50_000;

/// What the commit of a room and the scripts of chat have in common. `send` does one command and answers its number: 0 if
/// there is no such group.
pub const SEND: &str = r"
    local function pass(bus, count, kept, number, node, nonce, op, life)
        local at = redis.call('INCR', count)
        redis.call('XADD', bus, 'MAXLEN', '~', kept, '*', 'i', at, 's', number, 'n', node, 'k', nonce, 'o', op, 'e', life)
    end
    local function next_of(group, known)
        local number = tonumber(redis.call('HGET', group, 'n') or 0)
        if known > number then number = known end
        redis.call('HSET', group, 'n', number + 1)
        return number + 1
    end
    local function send(bus, count, direct, group, log, kept, node, nonce, command, op, a, b, known)
        local number, life = 0, ''
        -- Who hears it late may have the group's next life by then. What is told of no group has another key there.
        if command ~= 'direct' and (command ~= 'tell' or a ~= '') then life = redis.call('HGET', group, 'e') or '' end
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
                if tonumber(redis.call('HGET', group, 'e') or 0) < tonumber(a) then
                    redis.call('HSET', group, 'e', a)
                    life = a
                end
            end
            if command ~= 'end' and redis.call('HEXISTS', group, 'r') == 0 then
                redis.call('PEXPIRE', group, 300000)
                redis.call('PEXPIRE', log, 300000)
            end
            if command == 'keep' then return 0 end
        end
        pass(bus, count, kept, number, node, nonce, op, life)
        return number
    end
";

/// Stands before a script that is refused as a whole where Redis is full, a replica, or without its replicas; without it such a
/// script fails in the middle, at the first command that is refused.
pub const WHOLE: &str = "#!lua\n";

/// What all scripts do that ask when a member was seen. The time of nodes differs where one of them stood still or its machine's
/// clock was set; so all of them are held to that of the one that is ahead, which goes on by Redis' clock when no node says more.
/// `time` is what the asking node says. Answers the time that counts, that of the last look at what is due, and Redis' own.
pub(super) const CLOCK: &str = r"
    local function shared_time(times, time)
        local parts = redis.call('TIME')
        local here = parts[1] * 1000 + math.floor(parts[2] / 1000)
        local known = redis.call('HMGET', times, 'last', 'here')
        local last = tonumber(known[1] or time)
        local passed = here - tonumber(known[2] or here)
        -- Redis' clock was set, or nobody looked for so long that nothing is known to have passed.
        if passed < 0 or passed > 3000 then passed = 0 end
        return math.max(tonumber(time), last + passed), last, here
    end
";

macro_rules! script {
    ($(#[$doc:meta])* timed $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[CLOCK, $code].concat()));
    };
    ($(#[$doc:meta])* whole $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[WHOLE, $code].concat()));
    };
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> = LazyLock::new(|| Script::new($code));
    };
}

script!(
    /// A sign of life. Keys: room, seen, times. Arguments: user, time, kind. Answers the list's version; nothing if the user is
    /// not a member of a room of this kind.
    timed TOUCH,
    r"
    local room, seen, times = KEYS[1], KEYS[2], KEYS[3]
    local user, time, kind = ARGV[1], ARGV[2], ARGV[3]
    local known = redis.call('HMGET', room, 'k', 's')
    local heard = redis.call('HGET', seen, user)
    if not heard or known[1] ~= kind then return nil end
    local now = shared_time(times, time)
    if now > tonumber(heard) then redis.call('HSET', seen, user, now) end
    return known[2]
"
);

script!(
    /// Claims what is due. Keys: deadlines, times, totals. Arguments: the time, most rooms, how long claimed ones are left alone, the
    /// gap that means that nobody could be heard, and how long members then have to come back.
    ///
    /// Answers how many rooms the partition has, the claimed ones, the totals, and the time that counts.
    timed DUE,
    r"
    local deadlines, times, totals = KEYS[1], KEYS[2], KEYS[3]
    local time, most, alone, gap, grace = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
    local now, last, here = shared_time(times, time)
    if now - last > gap then redis.call('HSET', times, 'patient', now + grace) end
    redis.call('HSET', times, 'last', now, 'here', here)
    local rooms = redis.call('ZCARD', deadlines)
    local due = {}
    if now >= tonumber(redis.call('HGET', times, 'patient') or 0) then
        due = redis.call('ZRANGE', deadlines, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
    end
    for _, id in ipairs(due) do redis.call('ZADD', deadlines, now + alone, id) end
    return {rooms, due, redis.call('HGETALL', totals), now}
"
);

script!(
    /// Moves the deadline of a claimed room that heartbeats have moved. Keys: deadlines. Arguments: id, claim, deadline.
    LATER,
    r"
    local deadlines = KEYS[1]
    local id, claim, deadline = ARGV[1], ARGV[2], ARGV[3]
    if tonumber(redis.call('ZSCORE', deadlines, id) or -1) == tonumber(claim) then
        redis.call('ZADD', deadlines, deadline, id)
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
    local room, listed, infos, others, totals, out, away = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
    local user, text, most, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
    local info = tonumber(most) >= 0 and text
    local entered = enter(room, listed, infos, others, totals, user, info, most)
    if entered >= 0 then
        redis.call('HDEL', out, user)
        redis.call('ZREM', away, id .. ' ' .. user)
    end
    return entered
"
);

of_audiences!(
    /// Takes a viewer out at its wish. Keys: listed viewers, their infos, other viewers, totals, who was taken out, who is away.
    /// Arguments: user, room. Answers whether it was in.
    EXIT,
    r"
    local listed, infos, others, totals, out, away = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
    local user, id = ARGV[1], ARGV[2]
    redis.call('HDEL', out, user)
    redis.call('ZREM', away, id .. ' ' .. user)
    return leave(listed, infos, others, totals, user)
"
);

of_audiences!(
    /// Takes what was seen of users of a room. Keys: room, listed viewers, their infos, other viewers, totals, who was taken out, who is
    /// away, users at the node, when a service last spoke of them. Arguments: room, node (empty: a service says it), most listed ones,
    /// most who are away, how long a node's users and what a service said are kept; then for each: sign, user, for how long it may be
    /// away, and when a service says that it was (empty: seen now). Answers whether the audience changed.
    SEEN,
    r"
    local room, listed, infos, others, totals, out, away, present, noted = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
    local id, node, most, most_away, kept_for, noted_for = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
    local now = time()
    local changed = 0
    for n = 7, #ARGV, 4 do
        local sign, user, at = ARGV[n], ARGV[n + 1], ARGV[n + 3]
        local who = id .. ' ' .. user
        if at == '' or tonumber(redis.call('ZSCORE', noted, who) or 0) <= tonumber(at) then
            if at ~= '' then redis.call('ZADD', noted, at, who) end
            if node ~= '' then redis.call(sign == 'here' and 'SADD' or 'SREM', present, who) end
            if sign == 'away' then
                -- A service says the same again; what is seen here is another break.
                if at == '' or not redis.call('ZSCORE', away, who) then
                    redis.call('ZADD', away, now + ARGV[n + 2], who)
                end
            else
                redis.call('ZREM', away, who)
            end
            if sign == 'here' then
                local info = redis.call('HGET', out, user)
                if info then
                    redis.call('HDEL', out, user)
                    -- Of one who was not listed nothing is known.
                    info = string.sub(info, 1, 1) == '+' and string.sub(info, 2)
                    if enter(room, listed, infos, others, totals, user, info, most) > 0 then changed = 1 end
                end
            elseif sign == 'gone' and leave(listed, infos, others, totals, user) > 0 then
                changed = 1
            end
        end
    end
    if node ~= '' then
        redis.call('PEXPIRE', present, kept_for)
    else
        redis.call('ZREMRANGEBYSCORE', noted, '-inf', now - noted_for)
        redis.call('PEXPIRE', noted, noted_for)
    end
    local beyond = redis.call('ZCARD', away) - most_away
    if beyond > 0 then
        for _, who in ipairs(redis.call('ZRANGE', away, 0, beyond - 1)) do redis.call('ZREM', away, who) end
    end
    return changed
"
);

of_audiences!(
    /// Who is to be looked at. Keys: nodes that say whom they have, who is away, users at this node. Arguments: how long those are
    /// kept, most. Answers the nodes, and users whose time is up.
    ABSENT,
    r"
    local nodes, away, present = KEYS[1], KEYS[2], KEYS[3]
    local kept_for, most = ARGV[1], ARGV[2]
    redis.call('PEXPIRE', present, kept_for)
    local due = redis.call('ZRANGE', away, '-inf', time(), 'BYSCORE', 'LIMIT', 0, most)
    return {redis.call('SMEMBERS', nodes), due}
"
);

of_audiences!(
    /// Takes those of some users of a room out of the audience who are still away, whose time is up, and who are at no node. Keys: listed
    /// viewers, their infos, other viewers, totals, who was taken out, who is away, nodes that say whom they have, then the users at each
    /// node. Arguments: room, most who are remembered, for how long, how many nodes, they, the users. Answers how many left; -1 if a
    /// node does not say whom it has.
    TAKE_OUT,
    r"
    local listed, infos, others, totals, out, away, nodes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
    local id, most, kept_for, count = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
    local first_present, first_node, first_user = 8, 5, 5 + count
    local now, left = time(), 0
    for n = first_node, first_user - 1 do
        if redis.call('SISMEMBER', nodes, ARGV[n]) == 0 then return -1 end
    end
    for n = first_user, #ARGV do
        local user = ARGV[n]
        local who = id .. ' ' .. user
        local due = redis.call('ZSCORE', away, who)
        if due and tonumber(due) <= now then
            redis.call('ZREM', away, who)
            local there = false
            for present = first_present, #KEYS do there = there or redis.call('SISMEMBER', KEYS[present], who) == 1 end
            local info = redis.call('HGET', infos, user)
            if not there and leave(listed, infos, others, totals, user) > 0 then
                left = left + 1
                if redis.call('HLEN', out) < most then
                    redis.call('HSET', out, user, info and '+' .. info or '-')
                    redis.call('PEXPIRE', out, kept_for)
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
    local nodes, away, present = KEYS[1], KEYS[2], KEYS[3]
    local node, away_for, most = ARGV[1], ARGV[2], ARGV[3]
    local back_by = time() + away_for
    local some = redis.call('SRANDMEMBER', present, most)
    for _, who in ipairs(some) do
        redis.call('SREM', present, who)
        redis.call('ZADD', away, back_by, who)
    end
    if redis.call('SCARD', present) > 0 then return 1 end
    redis.call('SREM', nodes, node)
    return 0
"
);

script!(
    /// Whether the life of a partition is so many seconds old at most. Keys: life. Arguments: seconds.
    IS_YOUNG,
    r"
    local life = redis.call('GET', KEYS[1])
    if not life then return 1 end
    -- Those of earlier versions have no time.
    local begun = tonumber(string.match(life, '@(%d+)$') or 0)
    return redis.call('TIME')[1] - begun <= tonumber(ARGV[1]) and 1 or 0
    "
);

script!(
    /// Takes or keeps a lease. Keys: lease. Arguments: who, milliseconds. Answers whether it is theirs.
    HOLD,
    r"
    local lease = KEYS[1]
    local who, milliseconds = ARGV[1], ARGV[2]
    local holder = redis.call('GET', lease)
    if holder and holder ~= who then return 0 end
    redis.call('SET', lease, who, 'PX', milliseconds)
    return 1
"
);

script!(
    /// Keeps a ban, or lifts one. Keys: bans, their stream. Arguments: its field, the ban (JSON), whether it lifts, most
    /// entries of the stream.
    whole BAN,
    r"
    local bans, stream = KEYS[1], KEYS[2]
    local field, ban, lifts, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
    if lifts == '1' then redis.call('HDEL', bans, field) else redis.call('HSET', bans, field, ban) end
    redis.call('XADD', stream, 'MAXLEN', '~', most, '*', 'b', ban)
"
);

script!(
    /// Drops the bans that were over a minute ago by Redis' clock. Keys: bans. Answers the others.
    BANS,
    r"
    local bans = KEYS[1]
    local kept = {}
    local over = redis.call('TIME')[1] * 1000 - 60000
    local all = redis.call('HGETALL', bans)
    for n = 1, #all, 2 do
        if cjson.decode(all[n + 1])['until'] <= over then
            redis.call('HDEL', bans, all[n])
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
    local events, spans = KEYS[1], KEYS[2]
    local note, most, sign, name, node = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
    if sign ~= '' then
        local span = redis.call('HGET', spans, name)
        local at = span and string.find(span, ' ', 1, true)
        if sign == '+' then
            redis.call('HSET', spans, name, node .. ' ' .. (at and string.sub(span, at + 1) or note))
            if span then return 0 end
        else
            if not at or string.sub(span, 1, at - 1) ~= node then return 0 end
            redis.call('HDEL', spans, name)
        end
    end
    redis.call('XADD', events, 'MAXLEN', '~', most, '*', 'e', note)
    return 1
"
);

script!(
    /// Notes the audience of a room, if it is not what was noted last. Keys: room, listed viewers, others, events.
    /// Arguments: the note before the count, after it, most events kept.
    whole AUDIENCE,
    r"
    local room, listed, others, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
    local before, after, most = ARGV[1], ARGV[2], ARGV[3]
    if redis.call('EXISTS', room) == 0 then return 0 end
    local count = redis.call('ZCARD', listed) + redis.call('SCARD', others)
    if tonumber(redis.call('HGET', room, 'c') or 0) == count then return 0 end
    redis.call('HSET', room, 'c', count)
    redis.call('XADD', events, 'MAXLEN', '~', most, '*', 'e', before .. count .. after)
    return 1
"
);

script!(
    /// Takes something over from a node that is gone. Keys: spans. Arguments: its name, what is known of it, what shall be.
    /// Answers whether it was still so.
    TAKE_OVER,
    r"
    local spans = KEYS[1]
    local name, known, taken = ARGV[1], ARGV[2], ARGV[3]
    if redis.call('HGET', spans, name) ~= known then return 0 end
    redis.call('HSET', spans, name, taken)
    return 1
"
);

script!(
    /// Puts a row in. Keys: rows, their order, their ends. Arguments: key, row, its end, whether it takes the place of an older
    /// one, the time, most rows. Answers whether that changed anything.
    whole PUT_ROW,
    r"
    local rows, order, ends = KEYS[1], KEYS[2], KEYS[3]
    local key, row, row_ends, replaces, now, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
    local old = redis.call('HGET', rows, key)
    if old == row then return 0 end
    if old and replaces == '0' and tonumber(redis.call('ZSCORE', ends, key) or 0) > tonumber(now) then return 0 end
    redis.call('HSET', rows, key, row)
    redis.call('ZADD', order, 0, key)
    redis.call('ZADD', ends, row_ends, key)
    local over = redis.call('ZRANGE', ends, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
    local beyond = redis.call('ZCARD', ends) - #over - tonumber(most)
    if beyond > 0 then over = redis.call('ZRANGE', ends, 0, #over + math.min(beyond, 100) - 1) end
    for _, old_key in ipairs(over) do
        redis.call('HDEL', rows, old_key)
        redis.call('ZREM', order, old_key)
        redis.call('ZREM', ends, old_key)
    end
    return 1
"
);

script!(
    /// Takes a row out. Keys: rows, their order, their ends. Arguments: key.
    whole TAKE_ROW,
    r"
    local rows, order, ends = KEYS[1], KEYS[2], KEYS[3]
    local key = ARGV[1]
    redis.call('HDEL', rows, key)
    redis.call('ZREM', order, key)
    redis.call('ZREM', ends, key)
"
);

script!(
    /// Rows below a key, greatest first. Keys: rows, their order. Arguments: the key as a bound, most of them.
    ROWS,
    r"
    local rows, order = KEYS[1], KEYS[2]
    local below, most = ARGV[1], ARGV[2]
    local keys = redis.call('ZRANGE', order, below, '-', 'BYLEX', 'REV', 'LIMIT', 0, most)
    local found = {}
    for _, key in ipairs(keys) do found[#found + 1] = redis.call('HGET', rows, key) or '' end
    return found
"
);
