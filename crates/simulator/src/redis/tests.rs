//! The model against a real redis-server: the same answers to the same requests, and what every store promises.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Script, Value, cmd};
use room::{Millis, Rules};
use store::redis::scripts;
use store::redis::way::Way;
use store::{Error, Store, Target};
use testkit::redis::RedisServer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Redis;
use super::wire::{Socket, Wire};
use crate::dice::Dice;

fn clock() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn socket(seed: u64) -> Arc<Socket> {
    let redis = Redis::new(seed, 0, false, clock());
    Socket::new(redis, Wire::new(seed, 0, 0), CancellationToken::new())
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract_of_a_store() {
    store::contract::contract(async |rules, outbox| {
        let target = Target::simulated(socket(1), Redis::address(0));
        Arc::new(store::Redis::open(target, rules, outbox, None).await)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn keeps_it_where_sentinels_name_the_master_too() {
    store::contract::contract(async |rules, outbox| {
        let sentinels = (0..3).map(|n| (format!("sentinel{n}"), 26379)).collect();
        let target = Target::simulated_sentinels(socket(2), sentinels, super::sentinels::NAME);
        Arc::new(store::Redis::open(target, rules, outbox, None).await)
    })
    .await;
}

/// One request: its words.
type Request = Vec<String>;

fn words<const N: usize>(words: [&str; N]) -> Request {
    words.map(str::to_owned).to_vec()
}

/// A request at random, on a few keys of each kind and now and then of a wrong one.
fn request(dice: &mut Dice) -> Request {
    let kind = ["t", "h", "l", "s", "z", "x"][dice.below(6) as usize];
    let of = if dice.yes(950) { kind } else { "t" };
    let key = &format!("{of}{}", dice.below(2));
    let one = &format!("m{}", dice.below(5));
    let other = &format!("m{}", dice.below(5));
    let n = &(dice.below(12) as i64 - 4).to_string();
    let m = &(dice.below(12) as i64 - 4).to_string();
    let words = Words { key, one, other, n, m };
    match kind {
        "t" => text(&words, dice.below(12)),
        "h" => hash(&words, dice.below(12)),
        "l" => list(&words, dice.below(12)),
        "s" => set(&words, dice.below(12)),
        "z" => sorted(&words, dice.below(12)),
        _ => stream(&words, dice.below(12)),
    }
}

/// Words to choose from: a key, two names, two numbers.
struct Words<'a> {
    key: &'a str,
    one: &'a str,
    other: &'a str,
    n: &'a str,
    m: &'a str,
}

fn text(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, n, .. } = of;
    match choice {
        0 => words(["SET", key, n]),
        1 => words(["SET", key, one, "NX"]),
        2 => words(["SET", key, n, "PX", "1000000"]),
        3 => words(["SETEX", key, "1000", one]),
        4 | 5 => words(["INCR", key]),
        6 => words(["PSETEX", key, "1000000", n]),
        7 => words(["DEL", key, "t0"]),
        8 => words(["PEXPIRE", key, "1000000"]),
        9 => words(["PERSIST", key]),
        10 => words(["EXISTS", key, "h0", "l0"]),
        _ => words(["GET", key]),
    }
}

fn hash(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, other, n, m } = of;
    match choice {
        0 | 1 => words(["HSET", key, one, n, other, m]),
        2 => words(["HSET", key, one]),
        3 | 4 => words(["HDEL", key, one, other]),
        5 => words(["HINCRBY", key, one, n]),
        6 => words(["HMGET", key, one, other]),
        7 => words(["HLEN", key]),
        8 => words(["HEXISTS", key, one]),
        9 => words(["HKEYS", key]),
        10 => words(["HGET", key, one]),
        _ => words(["HGETALL", key]),
    }
}

fn list(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, n, m, .. } = of;
    match choice {
        0..=3 => words(["RPUSH", key, one, n]),
        4..=6 => words(["LPOP", key]),
        7 => words(["LLEN", key]),
        _ => words(["LRANGE", key, n, m]),
    }
}

fn set(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, other, .. } = of;
    match choice {
        0..=4 => words(["SADD", key, one, other]),
        5..=9 => words(["SREM", key, one, other]),
        _ => words(["SCARD", key]),
    }
}

fn sorted(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, other, n, m } = of;
    match choice {
        0..=2 => words(["ZADD", key, n, one, m, other]),
        3 => words(["ZADD", "y0", "0", one]),
        4 => words(["ZREM", key, one, other]),
        5 => words(["ZSCORE", key, one]),
        6 => words(["ZCARD", key]),
        7 => words(["ZRANGE", key, n, m, "WITHSCORES"]),
        8 => words(["ZRANGE", key, "-inf", n, "BYSCORE", "LIMIT", "0", "2"]),
        9 => words(["ZRANGE", "y0", "+", "-", "BYLEX", "REV", "LIMIT", "0", "3"]),
        10 => words(["ZRANGE", "y0", &format!("({one}"), "-", "BYLEX", "REV", "LIMIT", "0", "3"]),
        _ => words(["ZREMRANGEBYSCORE", key, "-inf", n]),
    }
}

fn stream(of: &Words<'_>, choice: u64) -> Request {
    let Words { key, one, n, m, .. } = of;
    match choice {
        0..=4 => words(["XADD", key, "MAXLEN", "~", "1000", "*", "f", n, one, m]),
        5 => words(["XADD", key, "MAXLEN", "3", "*", "f", one]),
        6 => words(["XRANGE", key, "0", "+"]),
        7 => words(["XREVRANGE", key, "+", "-", "COUNT", "1"]),
        8 => words(["XREAD", "COUNT", "2", "STREAMS", key, "0-0"]),
        9 => words(["XREAD", "COUNT", "2", "BLOCK", "1", "STREAMS", key, "99999999999999-0"]),
        10 => words(["UNLINK", key]),
        _ => words(["UNHEARD", key]),
    }
}

/// A script of the server at random.
fn script(dice: &mut Dice) -> (&'static Script, Vec<String>, Vec<String>) {
    let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let key = format!("m{}", dice.below(5));
    let n = dice.below(8).to_string();
    match dice.below(11) {
        0 => (&scripts::PUT_ROW, text(&["r:h", "r:z1", "r:z2"]), text(&[&key, &n, &n, "1", "3", "3"])),
        1 => (&scripts::PUT_ROW, text(&["r:h", "r:z1", "r:z2"]), text(&[&key, &n, "9", "0", "3", "3"])),
        2 => (&scripts::TAKE_ROW, text(&["r:h", "r:z1", "r:z2"]), text(&[&key])),
        3 => (&scripts::ROWS, text(&["r:h", "r:z1"]), text(&["+", "4"])),
        4 => (
            &chat::bus::scripts::MAKE,
            text(&["g:h", "room"]),
            text(&[&n, if dice.yes(500) { "" } else { &key }, "name"]),
        ),
        5 => (&scripts::LATER, text(&["d:z"]), text(&[&key, "9", &n])),
        6 => (&scripts::BAN, text(&["b:h", "b:x"]), text(&[&key, &format!("{{\"until\":{n}}}"), "0", "1000"])),
        7 => (&scripts::BANS, text(&["b:h"]), Vec::new()),
        _ => {
            let command =
                ["say", "say", "say", "keep", "adopt", "end", "set", "life", "direct", "tell"][dice.below(10) as usize];
            let field = ["mute:a", "ban:b", "u:7", "1"][dice.below(4) as usize];
            let value = if command == "direct" || command == "life" { n.clone() } else { field.to_owned() };
            let keys = text(&["s:x", "s:n", "s:d", "s:of", "s:e", "g:h", "g:l"]);
            let nonce = dice.below(5_000).to_string();
            let arguments =
                [["1000", "7", "1000"].as_slice(), &[&nonce, command, "text", &value, &n, &n, &n], &["{", "}"]];
            (&chat::bus::scripts::SAY, keys, text(&arguments.concat()))
        }
    }
}

/// What two servers say alike: numbers of entries are times, hashes have no order, and of an error its name counts.
fn plain(value: &Value, unordered: bool) -> String {
    match value {
        Value::BulkString(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            let is_id =
                |text: &str| text.len() > 10 && text.split_once('-').is_some_and(|(ms, _)| ms.parse::<u64>().is_ok());
            if is_id(&text) { "an entry".into() } else { format!("{text:?}") }
        }
        Value::Array(list) => {
            let mut each: Vec<String> = list.iter().map(|one| plain(one, false)).collect();
            if unordered {
                each.sort();
            }
            format!("{each:?}")
        }
        Value::ServerError(error) => format!("error {}", error.code()),
        other => format!("{other:?}"),
    }
}

async fn ask(connection: &mut MultiplexedConnection, request: &Request) -> String {
    let mut command = cmd(&request[0]);
    command.arg(&request[1..]);
    let answer = command.query_async::<Value>(connection).await;
    let unordered = matches!(request[0].as_str(), "HGETALL" | "HKEYS");
    // Times pass.
    let answer = answer.map(|value| if request[0] == "PTTL" { Value::Okay } else { value });
    answer.map_or_else(|why| format!("error {:?}", why.code()), |value| plain(&value, unordered))
}

/// All that is kept under the keys of these tests.
async fn kept(connection: &mut MultiplexedConnection) -> Vec<(Request, String)> {
    let mut all = Vec::new();
    let keys = [
        "t0", "t1", "h0", "h1", "l0", "l1", "s0", "s1", "z0", "z1", "y0", "x0", "x1", "r:h", "r:z1", "r:z2", "g:h",
        "g:l",
    ];
    let more = ["d:z", "d:h", "b:h", "b:x", "s:x", "s:n", "s:d", "s:of", "s:e"];
    for key in keys.iter().chain(&more) {
        let looks = [
            words(["GET", key]),
            words(["HGETALL", key]),
            words(["LRANGE", key, "0", "-1"]),
            words(["SCARD", key]),
            words(["ZRANGE", key, "0", "-1", "WITHSCORES"]),
            words(["XRANGE", key, "-", "+"]),
        ];
        for look in looks {
            let found = ask(connection, &look).await;
            all.push((look, found));
        }
        let ends = cmd("PTTL").arg(key).query_async::<i64>(connection).await.unwrap();
        all.push((words(["PTTL", key]), ends.signum().to_string()));
    }
    all
}

#[tokio::test]
async fn answers_as_a_real_one_does() {
    let real = RedisServer::start(&[]);
    let client = redis::Client::open(real.url(0)).unwrap();
    let patience = std::time::Duration::from_secs(5);
    let mut real = Way::Socket(client).connect(patience).await.unwrap();
    for seed in 1..=2 {
        let mut model = Way::Simulated(socket(seed), Redis::address(0)).connect(patience).await.unwrap();
        let mut dice = Dice::apart(seed, 1);
        ask(&mut real, &words(["FLUSHALL"])).await;
        let mut before = Vec::new();
        for n in 0..700 {
            let said = if dice.yes(700) {
                let request = request(&mut dice);
                let answers = tokio::join!(ask(&mut real, &request), ask(&mut model, &request));
                (format!("{request:?}"), answers)
            } else {
                let (script, keys, arguments) = script(&mut dice);
                let mut call = script.prepare_invoke();
                keys.iter().for_each(|key| _ = call.key(key));
                arguments.iter().for_each(|argument| _ = call.arg(argument));
                let shown = |answer: Result<Value, redis::RedisError>| {
                    // What a hash or a set has no order for.
                    answer.map_or_else(|why| format!("error {:?}", why.code()), |value| plain(&value, true))
                };
                let answers = tokio::join!(call.invoke_async(&mut real), call.invoke_async(&mut model));
                (format!("a script on {keys:?} {arguments:?}"), (shown(answers.0), shown(answers.1)))
            };
            let (what, (theirs, ours)) = said;
            before.push(what);
            let last = &before[before.len().saturating_sub(40)..];
            assert_eq!(ours, theirs, "seed {seed}, request {n}: {last:#?}");
        }
        let theirs = kept(&mut real).await;
        assert_eq!(kept(&mut model).await, theirs, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_a_time_ends_then() {
    let socket = socket(1);
    let way = Way::Simulated(socket, Redis::address(0));
    let mut model = way.connect(std::time::Duration::from_secs(5)).await.unwrap();
    ask(&mut model, &words(["SET", "t", "1", "PX", "500"])).await;
    assert_eq!(ask(&mut model, &words(["GET", "t"])).await, "\"1\"");
    tokio::time::sleep(std::time::Duration::from_millis(501)).await;
    assert_eq!(ask(&mut model, &words(["GET", "t"])).await, "nil");
}

#[tokio::test(start_paused = true)]
async fn a_failover_loses_what_had_not_come_to_a_replica_and_waiting_says_what_has() {
    let redis = Redis::new(3, 1, false, 1_000_000);
    let socket = Socket::new(redis.clone(), Wire::new(3, 0, 3_000), CancellationToken::new());
    let patience = std::time::Duration::from_secs(5);
    let way = |host| Way::Simulated(socket.clone(), Redis::address(host));
    let mut old = way(0).connect(patience).await.unwrap();
    ask(&mut old, &words(["SET", "t", "kept"])).await;
    assert_eq!(ask(&mut old, &words(["WAIT", "1", "500"])).await, "int(1)");
    assert!(redis.fail_over(0, 0, 50).await);
    // The old one has not heard of it.
    let mut new = way(1).connect(patience).await.unwrap();
    assert_eq!(ask(&mut new, &words(["GET", "t"])).await, "\"kept\"");
    assert!(ask(&mut old, &words(["GET", "t"])).await.starts_with("error"), "its connections broke");
    let mut old = way(0).connect(patience).await.unwrap();
    assert_eq!(ask(&mut old, &words(["SET", "t", "x"])).await, "error Some(\"READONLY\")");
    let (outbox, _events) = mpsc::unbounded_channel();
    let sentinels = (0..3).map(|n| (format!("sentinel{n}"), 26379)).collect();
    let target = Target::simulated_sentinels(socket, sentinels, super::sentinels::NAME);
    let store = store::Redis::open(target, Arc::new(Rules::default()), outbox, None).await.with_replicas(1);
    assert!(store.probe().await.is_ok(), "the new master is found");
}

/// After a while the old master is written to again; not by who waits for replicas, and would not know what became of it.
#[tokio::test(start_paused = true)]
async fn in_a_failover_that_hangs_nothing_is_begun_that_replicas_must_have() {
    let redis = Redis::new(4, 2, true, 1_000_000);
    let socket = Socket::new(redis.clone(), Wire::new(4, 0, 0), CancellationToken::new());
    let open = async |replicas| {
        let (outbox, _) = mpsc::unbounded_channel();
        let sentinels = (0..3).map(|n| (format!("sentinel{n}"), 26379)).collect();
        let target = Target::simulated_sentinels(socket.clone(), sentinels, super::sentinels::NAME);
        store::Redis::open(target, Arc::new(Rules::default()), outbox, None).await.with_replicas(replicas)
    };
    let bold = open(0).await;
    let careful = open(1).await;
    let logs_out = async |store: &store::Redis, session| store.revoke(session, Millis::NEVER, Millis(0)).await;
    logs_out(&careful, 1).await.unwrap();
    let seconds = |seconds| tokio::time::sleep(std::time::Duration::from_secs(seconds));
    let hanging = redis.clone();
    let failover = tokio::spawn(async move { hanging.fail_over(0, 60_000, 50).await });
    seconds(5).await;
    for store in [&bold, &careful] {
        assert!(matches!(logs_out(store, 2).await, Err(Error::Unavailable(_))));
    }
    seconds(15).await;
    for session in 3..9 {
        let refused = logs_out(&careful, session).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    logs_out(&bold, 9).await.unwrap();
    assert!(failover.await.unwrap());
    seconds(2).await;
    logs_out(&careful, 10).await.unwrap();
    let kept: Vec<u64> = bold.revoked(Millis(0)).await.unwrap().ended.into_iter().map(|(session, _)| session).collect();
    assert_eq!(kept, [1, 9, 10], "what was refused was not done");
}
