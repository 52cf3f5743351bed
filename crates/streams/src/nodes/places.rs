//! Where each stream is published, as Redis knows it: the node, its address, and when a frame last came. Whoever says
//! nothing for a while is forgotten.

use std::sync::LazyLock;
use std::time::Duration;

use media::StreamName;
use media::hub::StreamInfo;
use redis::Script;

use store::error::Error;
use store::redis::Link;
use store::redis::keys::Keys;

/// For how long a place counts without being refreshed.
const KEPT: Duration = Duration::from_secs(15);

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub node: String,
    /// Where others reach it; empty: they do not.
    pub address: String,
}

/// Where a stream was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The node that has it.
    pub place: Place,
    /// Milliseconds since its publisher gave a sign of life.
    pub unheard: u64,
}

/// The time by Redis' clock, in milliseconds.
pub(super) const NOW: &str = r"
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

fn script(code: &str) -> Script {
    Script::new(&[NOW, code].concat())
}

/// Keys: stream. Arguments: node, address, milliseconds of silence after which others may take it, and for which it is
/// kept, and a node that is gone. Fields: node `n`, address `a`, last frame `t`, last sign of life `h`, when that was said `w`,
/// whether its publisher is gone and may come back `p`, whether it is to end `x`.
///
/// What a node has that was at the same address is taken over: two cannot be there. Answers nothing if it is ours now,
/// or else whose it is: node, address, milliseconds since it said so.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
    local stream, node, address, silence, kept, gone = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
    local held = redis.call('HMGET', stream, 'n', 't', 'p', 'a', 'w')
    local theirs = held[1] and held[1] ~= node and held[1] ~= gone and (held[4] ~= address or address == '')
    if theirs and held[3] ~= '1' and now - tonumber(held[2]) < tonumber(silence) then
        return {held[1], held[4], tostring(math.max(0, now - tonumber(held[5] or held[2])))}
    end
    redis.call('HSET', stream, 'n', node, 'a', address, 't', now, 'w', now, 'p', 0)
    redis.call('HDEL', stream, 'x')
    redis.call('PEXPIRE', stream, kept)
    return {}
",
    )
});

/// Keys: stream. Arguments: node, address, milliseconds since the last frame, whether it is paused, how long it is kept, and
/// milliseconds since the last sign of life. Answers 0 if it is another node's, 2 if it is to end.
static TELL: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
    local stream, node, address, since_frame, paused, kept, since_sign = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
    local held = redis.call('HMGET', stream, 'n', 'x')
    if held[1] and held[1] ~= node then return 0 end
    if held[2] then redis.call('UNLINK', stream) return 2 end
    redis.call('HSET', stream, 'n', node, 'a', address, 't', now - since_frame, 'h', now - since_sign, 'w', now, 'p', paused)
    redis.call('PEXPIRE', stream, kept)
    return 1
",
    )
});

/// Keys: stream. Answers whether a node publishes it, which is asked to end it.
static END: LazyLock<Script> = LazyLock::new(|| {
    script("if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end redis.call('HSET', KEYS[1], 'x', now) return 1")
});

/// Keys: stream. Arguments: node.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    script("if redis.call('HGET', KEYS[1], 'n') == ARGV[1] then redis.call('UNLINK', KEYS[1]) end return now")
});

/// Keys: stream. Answers node, address and milliseconds since the last sign of life; nothing if no node publishes it.
static FIND: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
    local stream = KEYS[1]
    local held = redis.call('HMGET', stream, 'n', 'a', 't', 'h')
    if not held[1] then return {} end
    local heard = math.max(tonumber(held[3]), tonumber(held[4] or 0))
    return {held[1], held[2], tostring(math.max(0, now - heard))}
",
    )
});

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 12)
}

/// Claims a stream, also from a node that is gone. Otherwise whose it is, and how long ago that node said so.
pub async fn claim(
    link: &Link,
    stream: &StreamName,
    me: &Place,
    takeover: Duration,
    gone: &str,
) -> Result<Option<(Place, Duration)>, Error> {
    let mut script = CLAIM.prepare_invoke();
    script.key(Keys::stream(stream.as_str())).arg(&me.node).arg(&me.address);
    script.arg(millis(takeover)).arg(millis(KEPT)).arg(gone);
    let held: Vec<String> = link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
    let [node, address, told] = &held[..] else { return Ok(None) };
    let place = Place { node: node.clone(), address: address.clone() };
    Ok(Some((place, Duration::from_millis(told.parse().unwrap_or_default()))))
}

/// Says who is at an address, and gives who was before.
pub async fn settle(link: &Link, me: &Place) -> Result<Option<String>, Error> {
    let mut set = redis::cmd("SET");
    set.arg(Keys::at(&me.address)).arg(&me.node).arg("GET").arg("EX").arg(60);
    link.run(async |mut redis| set.query_async(&mut redis).await).await
}

/// Who is at an address, as far as is known.
pub async fn resident(link: &Link, address: &str) -> Result<Option<String>, Error> {
    let key = Keys::at(address);
    link.run(async |mut redis| redis::AsyncCommands::get(&mut redis, key).await).await
}

/// What is known of a stream that is published here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It goes on.
    Ours,
    /// It is published at another node by now.
    Theirs,
    /// An operator ended it, at another node.
    ToEnd,
}

/// Says that a stream is published here.
pub async fn tell(link: &Link, info: &StreamInfo, me: &Place) -> Result<Told, Error> {
    let mut script = TELL.prepare_invoke();
    script.key(Keys::stream(info.name.as_str())).arg(&me.node).arg(&me.address);
    script.arg(millis(info.silent)).arg(u8::from(info.paused)).arg(millis(KEPT)).arg(millis(info.unheard));
    Ok(match link.run(async |mut redis| script.invoke_async::<u8>(&mut redis).await).await? {
        0 => Told::Theirs,
        2 => Told::ToEnd,
        _ => Told::Ours,
    })
}

/// Has the node that publishes a stream end it; false: no node does.
pub async fn end(link: &Link, stream: &StreamName) -> Result<bool, Error> {
    let mut script = END.prepare_invoke();
    script.key(Keys::stream(stream.as_str()));
    link.run(async |mut redis| script.invoke_async(&mut redis).await).await
}

/// A stream has ended here.
pub async fn release(link: &Link, stream: &StreamName, me: &Place) -> Result<(), Error> {
    let mut script = RELEASE.prepare_invoke();
    script.key(Keys::stream(stream.as_str())).arg(&me.node);
    link.run(async |mut redis| script.invoke_async::<u64>(&mut redis).await).await.map(drop)
}

/// Where a stream is published.
pub async fn find(link: &Link, stream: &StreamName) -> Result<Option<Found>, Error> {
    let mut script = FIND.prepare_invoke();
    script.key(Keys::stream(stream.as_str()));
    let found: Vec<String> = link.run(async |mut redis| script.invoke_async(&mut redis).await).await?;
    let [node, address, unheard] = &found[..] else { return Ok(None) };
    let place = Place { node: node.clone(), address: address.clone() };
    Ok(Some(Found { place, unheard: unheard.parse().unwrap_or_default() }))
}
