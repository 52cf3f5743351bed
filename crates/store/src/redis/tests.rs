//! Against real redis-server processes, each started by the test that needs it on a port of its own.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use room::custom::{Operation, set_custom_field};
use room::pushers::{NewPusher, add_pusher, delete_pusher};
use room::{LeaveReason, StreamId, What};
use tokio::sync::mpsc;

use super::*;
use crate::{History, Trouble};
use testkit::bounded;
use testkit::redis::{RedisServer, cluster};

fn target(server: &RedisServer, database: i64) -> Target {
    Target::parse(&server.url(database)).unwrap()
}

type Events = mpsc::UnboundedReceiver<Vec<Event>>;

async fn open(target: Target) -> (Redis, Events) {
    let (outbox, events) = mpsc::unbounded_channel();
    (Redis::open(target, Arc::new(Rules::default()), outbox, None).await, events)
}

fn id(n: usize) -> RoomId {
    RoomId::parse(&format!("room{n}")).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

async fn enter(store: &Redis, n: usize, who: &str, now: Millis) -> Result<(), Error> {
    let room = id(n);
    let user = user(who);
    let stream = StreamId::parse(who).unwrap();
    let new =
        NewPusher { room: &room, kind: Kind::Live, user: &user, name: "名", avatar: "", stream: &stream, info: None };
    store.update(&room, &mut |slot| add_pusher(slot, now, &new, &Rules::default()).map(|j| j.events)).await
}

async fn leave(store: &Redis, n: usize, who: &str) -> Result<(), Error> {
    let user = user(who);
    let rules = Rules::default();
    store.update(&id(n), &mut |slot| delete_pusher(slot, Millis(1), &user, LeaveReason::Quit, &rules)).await
}

async fn like(store: &Redis, n: usize) -> Result<(), Error> {
    store.update(&id(n), &mut |slot| set_custom_field(slot, Millis(1), "likes", Operation::Add(1))).await
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let server = RedisServer::start(&[]);
    let next = AtomicI64::new(0);
    crate::contract::contract(async |rules, outbox| {
        let target = target(&server, next.fetch_add(1, Ordering::Relaxed));
        Arc::new(Redis::open(target, rules, outbox, None).await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_a_later_version_keeps_no_other_from_being_listed_or_swept() {
    let server = RedisServer::start(&[]);
    let (store, _events) = open(target(&server, 0)).await;
    for n in 0..3 {
        enter(&store, n, "alice", Millis(1)).await.unwrap();
    }
    let key = store.keys.room(&id(1));
    let later = server.cli(&["hget", &key, "j"]).replace("\"live\"", "\"theatre\"");
    assert!(later.contains("theatre"), "{later}");
    server.cli(&["hset", &key, "j", &later]);
    let mut listed = Vec::new();
    store.list(Kind::Live, 0, 10, &mut |room, _| listed.push(room.id.clone())).await.unwrap();
    assert_eq!(listed, [id(0), id(2)]);
    assert!(matches!(store.see(&id(1), &mut |_, _| {}).await, Err(Error::Unavailable(_))));
    // Their members fell silent. It takes a look or two until all that is due was claimed.
    let mut due = Vec::new();
    for look in 1..4 {
        due.extend(store.due(Millis(10_000_000 + look * 5_000), 10).await.unwrap());
    }
    due.sort();
    due.dedup();
    assert_eq!(due, [id(0), id(2)]);
}

/// A certificate that its own authority signed.
struct Tls {
    dir: tempfile::TempDir,
}

impl Tls {
    fn new() -> Self {
        let tls = Self { dir: tempfile::tempdir().unwrap() };
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
        let names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
        let key = tls.file("key.pem");
        let certificate = tls.file("certificate.pem");
        let mut openssl = bounded::program("openssl");
        openssl.args(request).args(names).args(["-keyout", &key, "-out", &certificate]);
        assert!(openssl.stderr(Stdio::null()).status().unwrap().success());
        tls
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.file("certificate.pem")).unwrap()
    }

    /// A free port, and what makes Redis speak TLS there.
    fn options(&self, more: &[&str]) -> (u16, Vec<String>) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let key = self.file("key.pem");
        let certificate = self.file("certificate.pem");
        let text = port.to_string();
        let mut options = vec!["--tls-port", &text, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        options.extend(["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"]);
        options.extend(more);
        (port, options.into_iter().map(str::to_owned).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speaks_tls_with_a_cluster() {
    let tls = Tls::new();
    let more = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1"];
    let (port, options) = tls.options(&more);
    let redis = RedisServer::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(redis.cli(&["cluster", "addslotsrange", "0", "16383"]), "OK");
    let begun = Instant::now();
    while !redis.cli(&["cluster", "info"]).contains("cluster_state:ok") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the cluster does not come together");
        std::thread::yield_now();
    }
    let url = format!("rediss-cluster://127.0.0.1:{port}");
    let (store, _) = open(Target::with_authority(&url, Some(tls.authority())).unwrap()).await;
    for n in 0..8 {
        enter(&store, n, "alice", Millis(0)).await.unwrap();
    }
    assert_eq!((store.len(), store.ids().await.unwrap().len()), (8, 8));
    let (stranger, _) = open(Target::parse(&url).unwrap()).await;
    assert!(stranger.probe().await.is_err(), "signed by nobody whom the system trusts");
    let plain = Target::parse(&format!("redis-cluster://127.0.0.1:{port}")).unwrap();
    assert!(open(plain).await.0.probe().await.is_err(), "there is no other way in");
}

#[tokio::test(flavor = "multi_thread")]
async fn speaks_tls_with_a_sentinel_and_its_master() {
    let tls = Tls::new();
    let (port, options) = tls.options(&[]);
    let master = RedisServer::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    let (watch, options) = tls.options(&["--tls-replication", "yes"]);
    let lines: Vec<String> = options.chunks(2).map(|pair| format!("{} {}\n", &pair[0][2..], pair[1])).collect();
    let monitor = format!("{}sentinel monitor main 127.0.0.1 {port} 1\n", lines.concat());
    let _sentinel = RedisServer::with(&[], Some(monitor));
    let url = format!("rediss-sentinel://127.0.0.1:{watch}/main");
    let target = || Target::with_authority(&url, Some(tls.authority())).unwrap();
    let (store, _) = open(target()).await;
    let begun = Instant::now();
    while enter(&store, 0, "alice", Millis(0)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the sentinel knows its master");
    }
    assert_eq!(master.cli(&["exists", "rs:{0}:room:room0"]), "1");
    let (stranger, _) = open(Target::parse(&url).unwrap()).await;
    assert!(stranger.probe().await.is_err(), "signed by nobody whom the system trusts");
}

/// A Redis that only speaks TLS, with a certificate of an authority of its own.
#[tokio::test(flavor = "multi_thread")]
async fn speaks_tls_with_who_was_signed_by_the_given_authority() {
    let tls = Tls::new();
    let (port, options) = tls.options(&[]);
    let _redis = RedisServer::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    let url = format!("rediss://localhost:{port}/0");
    let (store, _) = open(Target::with_authority(&url, Some(tls.authority())).unwrap()).await;
    enter(&store, 0, "alice", Millis(0)).await.unwrap();
    assert_eq!(store.len(), 1);
    store.probe().await.unwrap();
    let (stranger, _) = open(Target::parse(&url).unwrap()).await;
    assert!(enter(&stranger, 0, "bob", Millis(0)).await.is_err(), "signed by nobody whom the system trusts");
    assert!(stranger.probe().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_in_a_cluster() {
    let (nodes, url) = cluster();
    crate::contract::contract(async |rules, outbox| {
        for node in &nodes {
            assert_eq!(node.cli(&["flushall"]), "OK");
        }
        Arc::new(Redis::open(Target::parse(&url).unwrap(), rules, outbox, None).await)
    })
    .await;
    let (store, _events) = open(Target::parse(&url).unwrap()).await;
    for n in 0..64 {
        enter(&store, n, "alice", Millis(n as u64)).await.unwrap();
    }
    let mut page = Vec::new();
    store.list(Kind::Live, 30, 20, &mut |room, _| page.push(room.id.clone())).await.unwrap();
    assert_eq!(page, (30..50).map(id).collect::<Vec<_>>(), "one list over all partitions");
    assert_eq!((store.len(), store.ids().await.unwrap().len()), (64, 64));
    assert_eq!(store.due(Millis(100_000), 100).await.unwrap().len(), 64);
    let spread: Vec<String> = nodes.iter().map(|node| node.cli(&["dbsize"])).collect();
    assert!(spread.iter().all(|keys| keys != "0"), "every node has keys: {spread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_rooms_and_both_hear_everything_once() {
    let server = RedisServer::start(&[]);
    let (a, mut heard_a) = open(target(&server, 0)).await;
    let (b, mut heard_b) = open(target(&server, 0)).await;
    enter(&a, 0, "alice", Millis(1_000)).await.unwrap();
    let a = Arc::new(a);
    let b = Arc::new(b);
    let tasks: Vec<_> = [a.clone(), b.clone(), a.clone(), b.clone()]
        .into_iter()
        .map(|node| {
            tokio::spawn(async move {
                for _ in 0..50 {
                    like(&node, 0).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut likes = None;
    b.see(&id(0), &mut |room, _| likes = room.custom.get("likes").cloned()).await.unwrap();
    assert_eq!(likes, Some(room::custom::Value::Int(200)), "no count is lost between nodes");
    // A heartbeat at one node holds at the other, and a leave decided before it came does not happen.
    b.touch(&id(0), Millis(50_000), Kind::Live, &user("alice")).await.unwrap();
    assert!(a.due(Millis(50_000), 10).await.unwrap().is_empty());
    leave(&b, 0, "alice").await.unwrap();
    for heard in [&mut heard_a, &mut heard_b] {
        let mut seq = 0;
        let mut closed = false;
        while !closed {
            for event in heard.recv().await.unwrap() {
                seq += 1;
                assert_eq!(event.seq, seq);
                closed = matches!(event.what, What::Closed { .. });
            }
        }
        assert_eq!(seq, 2 + 200 + 2);
        assert!(heard.try_recv().is_err());
    }
    a.revoke(7, Millis(u64::MAX >> 12), Millis(0)).await.unwrap();
    a.revoke(8, Millis(u64::MAX >> 12), Millis(0)).await.unwrap();
    let many = EndedBefore { who: u64::MAX, at: Millis(3), until: Millis(u64::MAX >> 12), ended: vec![8, 9] };
    a.revoke_before(&many, Millis(0)).await.unwrap();
    let revoked = b.revoked(Millis(0)).await.unwrap();
    assert_eq!((revoked.ended.len(), &revoked.before), (2, &vec![many.clone()]));
    // A node of an earlier version reads what is a number, and no other field has been added.
    let read = server.cli(&["XRANGE", Keys::REVOKED, "-", "+"]);
    let fields = || read.lines().filter(|line| !line.contains('-'));
    assert!(fields().skip(1).step_by(2).all(|value| value.parse::<u64>().is_ok()), "{read}");
    assert_eq!(fields().step_by(2).collect::<String>(), "sususuwbee", "{read}");
    drop((a, b));
    assert!(server.cli(&["keys", "*room0*"]).is_empty(), "a closed room leaves no keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_beats_a_verdict_made_before_it() {
    let server = RedisServer::start(&[]);
    let (store, _events) = open(target(&server, 0)).await;
    enter(&store, 0, "alice", Millis(0)).await.unwrap();
    let store = Arc::new(store);
    let mut tries = 0;
    let said = [(user("alice"), sweep::Pushing::No)];
    let node = store.clone();
    store
        .update(&id(0), &mut |slot| {
            tries += 1;
            let events = sweep::sweep(slot, Millis(30_000), &said, &Rules::default());
            if tries == 1 {
                assert_eq!(events.len(), 2, "on what was loaded, alice is silent");
                wait(node.touch(&id(0), Millis(29_000), Kind::Live, &user("alice"))).unwrap();
            }
            Ok(events)
        })
        .await
        .unwrap();
    assert_eq!(tries, 2, "decided again");
    assert_eq!(store.len(), 1);
    let mut seen = None;
    store.see(&id(0), &mut |room, _| seen = Some(room.pushers[0].seen)).await.unwrap();
    assert_eq!(seen, Some(Millis(29_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_is_claimed_by_one_node() {
    let server = RedisServer::start(&[]);
    let (a, _) = open(target(&server, 0)).await;
    let (b, _) = open(target(&server, 0)).await;
    for n in 0..100 {
        enter(&a, n, "alice", Millis(0)).await.unwrap();
    }
    let mut claimed = 0;
    while claimed < 100 {
        let (of_a, of_b) = tokio::join!(a.due(Millis(20_000), 7), b.due(Millis(20_000), 7));
        let more = of_a.unwrap().len() + of_b.unwrap().len();
        assert!(more > 0);
        claimed += more;
    }
    assert_eq!(claimed, 100);
    assert!(a.due(Millis(20_000), 100).await.unwrap().is_empty());
}

/// The clock of a node that stood still for a minute shows what it showed then.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_heard_by_a_node_that_stood_still_stays() {
    let server = RedisServer::start(&[]);
    let (late, _events) = open(target(&server, 0)).await;
    let (other, _events) = open(target(&server, 0)).await;
    enter(&late, 0, "alice", Millis(100_000)).await.unwrap();
    // The others swept on, and heard alice meanwhile.
    for now in (100_000..160_000).step_by(1_000) {
        assert!(other.due(Millis(now), 10).await.unwrap().is_empty(), "{now}");
        other.touch(&id(0), Millis(now), Kind::Live, &user("alice")).await.unwrap();
    }
    // From here on the late one hears her alone, and whoever comes.
    enter(&late, 0, "bob", Millis(100_100)).await.unwrap();
    for passed in (0..40_000).step_by(1_000) {
        for who in ["alice", "bob"] {
            late.touch(&id(0), Millis(100_200 + passed), Kind::Live, &user(who)).await.unwrap();
        }
        assert!(late.due(Millis(100_200 + passed), 10).await.unwrap().is_empty(), "to itself: {passed}");
        let due = other.due(Millis(160_000 + passed), 10).await.unwrap();
        assert!(due.is_empty(), "to another: {passed}");
    }
    // Who comes at the late one before it has looked was seen now, too.
    let (later, _events) = open(target(&server, 0)).await;
    enter(&later, 1, "carol", Millis(100_300)).await.unwrap();
    assert!(other.due(Millis(200_500), 10).await.unwrap().is_empty());
    // The late one judges by the same time: alone from now on, it finds who is silent when that is so.
    let mut due = Vec::new();
    for passed in (0..25_000).step_by(1_000) {
        if !due.is_empty() {
            break;
        }
        late.touch(&id(0), Millis(140_700 + passed), Kind::Live, &user("alice")).await.unwrap();
        late.touch(&id(0), Millis(140_700 + passed), Kind::Live, &user("bob")).await.unwrap();
        server.cli(&["hincrby", &Keys::times(0), "here", "-1000"]);
        due.extend(late.due(Millis(140_700 + passed), 10).await.unwrap());
    }
    let number = |text: String| text.parse::<u64>().unwrap();
    let now = number(server.cli(&["hget", &Keys::times(0), "last"]));
    let heard = number(server.cli(&["hget", &late.keys.seen(&id(1)), "carol"]));
    assert_eq!(due, [id(1)]);
    assert!((199_000..now - 19_999).contains(&heard), "{heard} {now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_going_away_is_told_at_once_and_nobody_is_expired_for_it() {
    let mut server = RedisServer::start(&[]);
    let (store, mut events) = open(target(&server, 0)).await;
    enter(&store, 0, "alice", Millis(100_000)).await.unwrap();
    enter(&store, 2, "carol", Millis(100_000)).await.unwrap();
    assert!(store.due(Millis(101_000), 10).await.unwrap().is_empty());
    for frozen in [true, false] {
        if frozen {
            server.freeze(true);
        } else {
            server.stop();
        }
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(matches!(enter(&store, 1, "bob", Millis(102_000)).await, Err(Error::Unavailable(_))));
            assert!(matches!(store.due(Millis(102_000), 10).await, Err(Error::Unavailable(_))));
            assert!(begun.elapsed() < Duration::from_secs(2), "a second for each");
        }
        if frozen {
            server.freeze(false);
        } else {
            server.resume();
        }
        // Long after: everybody was silent, because nobody could be heard.
        let back = if frozen { 200_000 } else { 300_000 };
        let begun = Instant::now();
        let due = loop {
            assert!(begun.elapsed() < Duration::from_secs(5), "heals within a heartbeat");
            if let Ok(due) = store.due(Millis(back), 10).await {
                break due;
            }
        };
        assert!(due.is_empty(), "everybody has a heartbeat timeout to come back");
        store.touch(&id(0), Millis(back + 15_000), Kind::Live, &user("alice")).await.unwrap();
        let mut expired = Vec::new();
        for pass in (back..back + 30_000).step_by(1_000) {
            let due = store.due(Millis(pass), 10).await.unwrap();
            assert!(pass >= back + 20_000 || due.is_empty(), "too early: {pass}");
            expired.extend(due);
        }
        assert!(expired.contains(&id(2)) && !expired.contains(&id(0)), "who came back stays: {expired:?}");
    }
    // What was committed while the follower was away is heard once, in order.
    like(&store, 0).await.unwrap();
    let mut heard = Vec::new();
    while !heard.iter().any(|e: &Event| matches!(e.what, What::Custom { .. })) {
        heard.extend(events.recv().await.unwrap());
    }
    let seqs: Vec<u64> = heard.iter().filter(|e| e.room == id(0)).map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_leads_to_the_new_master() {
    let mut master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = RedisServer::sentinel(master.port);
    let begun = Instant::now();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::yield_now();
        }
    };
    until("the replica follows", &|| replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    until("the sentinel sees it", &|| sentinel.cli(&["sentinel", "replicas", "main"]).contains("slave"));
    let target = Target::parse(&format!("redis-sentinel://127.0.0.1:{}/main", sentinel.port)).unwrap();
    let (store, mut events) = open(target).await;
    enter(&store, 0, "alice", Millis(1_000)).await.unwrap();
    until("the room is at the replica", &|| replica.cli(&["exists", "rs:{0}:room:room0"]) == "1");
    master.stop();
    while like(&store, 0).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the replica takes over");
    }
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(events.recv().await.unwrap());
    }
    assert_eq!(heard.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3], "the follower moved over too");
}

/// What Redis refuses to write, readiness names, and only as long as it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_answers_and_takes_no_changes_is_named() {
    let server = RedisServer::start(&[]);
    let (store, _events) = open(target(&server, 0)).await;
    let mut rooms = 0..;
    let mut now = async |expected: Result<(), Trouble>| {
        assert_eq!(store.probe().await, expected);
        // What the probe says is what changes meet.
        let entered = enter(&store, rooms.next().unwrap(), "alice", Millis(1)).await;
        assert_eq!(entered.is_ok(), expected.is_ok(), "{entered:?}");
    };
    now(Ok(())).await;
    let set = |name: &str, value: &str| assert_eq!(server.cli(&["CONFIG", "SET", name, value]), "OK");
    set("maxmemory-policy", "noeviction");
    for (name, bad, good, trouble) in
        [("maxmemory", "1", "0", Trouble::RedisFull), ("min-replicas-to-write", "1", "0", Trouble::RedisReplicas)]
    {
        set(name, bad);
        now(Err(trouble)).await;
        set(name, good);
        now(Ok(())).await;
    }
    let other = RedisServer::start(&[]);
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    now(Err(Trouble::RedisReplica)).await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    now(Ok(())).await;
    server.freeze(true);
    assert_eq!(store.probe().await, Err(Trouble::RedisAway));
    server.freeze(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_where_they_were() {
    let server = RedisServer::start(&[]);
    let again = async |_| open(target(&server, 0)).await.0;
    crate::contract::readers_go_on_where_they_were(open(target(&server, 0)).await.0, again).await;
}

/// A way to Redis that can be cut after a change was sent and before its answer comes (1), or swallows answers (2).
fn way(server: &RedisServer, fault: &Arc<std::sync::atomic::AtomicU8>) -> u16 {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = server.port;
    let fault = fault.clone();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let mut from = client.try_clone().unwrap();
            let mut into = server.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            let mut client = client;
            let mut server = server;
            let fault = fault.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 65536];
                while let Ok(length @ 1..) = server.read(&mut bytes) {
                    // What a commit answers: done, and how many rooms there are.
                    let commit = bytes[..length].starts_with(b"*2\r\n:1\r\n");
                    match fault.load(Ordering::SeqCst) {
                        1 if commit => {
                            fault.store(0, Ordering::SeqCst);
                            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                        }
                        2 if commit => {}
                        _ => _ = client.write_all(&bytes[..length]),
                    }
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_is_lost_is_made_once_or_said_to_be_unknown() {
    let server = RedisServer::start(&[]);
    let fault = Arc::default();
    let port = way(&server, &fault);
    let (store, _events) = open(Target::parse(&format!("redis://127.0.0.1:{port}/0")).unwrap()).await;
    enter(&store, 0, "alice", Millis(1)).await.unwrap();
    let likes = async || {
        let mut likes = None;
        let (other, _events) = open(target(&server, 0)).await;
        other.see(&id(0), &mut |room, _| likes = room.custom.get("likes").cloned()).await.unwrap();
        likes
    };
    let count = |n| Some(room::custom::Value::Int(n));
    fault.store(1, Ordering::SeqCst);
    like(&store, 0).await.unwrap();
    assert_eq!((likes().await, fault.load(Ordering::SeqCst)), (count(1), 0), "sent twice, made once");
    fault.store(2, Ordering::SeqCst);
    let unknown = like(&store, 0).await;
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
    fault.store(0, Ordering::SeqCst);
    assert_eq!(likes().await, count(2), "it was made");
    like(&store, 0).await.unwrap();
    fault.store(1, Ordering::SeqCst);
    leave(&store, 0, "alice").await.unwrap();
    assert!(!store.see(&id(0), &mut |_, _| {}).await.unwrap(), "the room's end, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_redis_refuses_is_not_done_by_half() {
    let server = RedisServer::start(&[]);
    let (store, _events) = open(target(&server, 0)).await;
    let alice = user("alice");
    enter(&store, 0, "alice", Millis(1)).await.unwrap();
    store.add_viewer(&id(0), &alice, Some("")).await.unwrap();
    let ban = |until| Ban {
        user: alice.clone(),
        room: None,
        until,
        at: Millis(1),
        streams: Vec::new(),
        reason: Default::default(),
        kick: false,
    };
    store.ban(&ban(Millis::NEVER), Millis(1)).await.unwrap();
    let set = |name: &str, value: &str| assert_eq!(server.cli(&["CONFIG", "SET", name, value]), "OK");
    set("maxmemory-policy", "noeviction");
    set("maxmemory", "1");
    let refused = leave(&store, 0, "alice").await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(matches!(store.delete_viewer(&id(0), &alice).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.ban(&ban(Millis(0)), Millis(1)).await, Err(Error::Unavailable(_))));
    set("maxmemory", "0");
    let mut there = None;
    store.see(&id(0), &mut |room, viewers| there = Some((room.pushers.len(), viewers))).await.unwrap();
    assert_eq!(there, Some((1, 1)));
    assert_eq!(store.bans(Millis(0)).await.unwrap().len(), 1, "it holds");
}

/// The ends of rooms that a follower heard for lost ones: the numbers of all that left or closed.
async fn ends(events: &mut Events) -> Vec<(RoomId, u64, bool)> {
    let mut ends: Vec<(RoomId, u64, bool)> = Vec::new();
    while !ends.iter().any(|(.., closed)| *closed) {
        for event in events.recv().await.unwrap() {
            match event.what {
                What::Left { reason: LeaveReason::Lost, .. } => ends.push((event.room, event.seq, false)),
                What::Closed { reason: room::CloseReason::Lost } => ends.push((event.room, event.seq, true)),
                _ => {}
            }
        }
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_emptied_redis_lost_is_told_once_and_who_is_kept_out_stays_out() {
    let server = RedisServer::start(&[]);
    let (first, _events) = open(target(&server, 0)).await;
    enter(&first, 0, "alice", Millis(1)).await.unwrap();
    // It was there before the second one, and is known to it.
    let (second, mut events) = open(target(&server, 0)).await;
    assert_eq!(second.place("hook", 0).await.unwrap(), None);
    second.save("hook", 0, "1-0").await.unwrap();
    assert_eq!(second.place("hook", 0).await.unwrap().as_deref(), Some("1-0"));
    let bans = Ban {
        user: user("eve"),
        room: None,
        until: Millis::NEVER,
        at: Millis(1),
        streams: Vec::new(),
        reason: Default::default(),
        kick: false,
    };
    first.ban(&bans, bans.at).await.unwrap();
    first.revoke(7, Millis::NEVER, Millis(1)).await.unwrap();
    first.revoke(8, Millis::NEVER, Millis(1)).await.unwrap();
    let many = EndedBefore { who: 5, at: Millis(1), until: Millis::NEVER, ended: vec![8] };
    first.revoke_before(&many, Millis(1)).await.unwrap();
    assert_eq!(
        (second.bans(Millis(0)).await.unwrap().len(), second.revoked(Millis(0)).await.unwrap().before.len()),
        (1, 1)
    );
    enter(&second, 0, "bob", Millis(1)).await.unwrap();
    let begun = Instant::now();
    while second.memory.known(&id(0)) != Some((3, 2)) || first.memory.known(&id(0)) != Some((3, 2)) {
        assert!(begun.elapsed() < Duration::from_secs(10), "both know who is in");
        tokio::task::yield_now().await;
    }
    drop(first);
    server.cli(&["FLUSHALL"]);
    // The next change finds out, before it is made: ends come before what begins anew.
    enter(&second, 0, "carol", Millis(2)).await.unwrap();
    let told = ends(&mut events).await;
    assert_eq!(told, [(id(0), 4, false), (id(0), 5, false), (id(0), 6, true)]);
    assert_eq!(events.recv().await.unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2], "and then its new life");
    assert_eq!(
        second.place("hook", 0).await.unwrap().as_deref(),
        Some("0-0"),
        "who reads the record misses none of it"
    );
    let (third, _events) = open(target(&server, 0)).await;
    assert_eq!(third.bans(Millis(0)).await.unwrap(), [bans]);
    let revoked = third.revoked(Millis(0)).await.unwrap();
    assert_eq!(revoked.ended, [(7, Millis::NEVER)]);
    assert_eq!(revoked.before, [EndedBefore { ended: Vec::new(), ..many }], "what it stands for is not told again");
    // Nobody changes anything: the look at what is due finds out, too; several nodes tell it once.
    let (fourth, mut heard) = open(target(&server, 0)).await;
    while fourth.memory.known(&id(0)).is_none() || third.memory.known(&id(0)).is_none() {
        fourth.due(Millis(3), 1).await.unwrap();
        third.due(Millis(3), 1).await.unwrap();
    }
    server.cli(&["FLUSHALL"]);
    while !server.cli(&["EXISTS", &Keys::life(0)]).starts_with('1') {
        for store in [&second, &third, &fourth] {
            store.due(Millis(4), 1).await.unwrap();
        }
    }
    for store in [&second, &third, &fourth] {
        store.memory.look(&store.link, &store.keys, 0).await.unwrap();
    }
    assert_eq!(ends(&mut heard).await, [(id(0), 3, false), (id(0), 4, true)]);
    assert_eq!(server.cli(&["XLEN", &Keys::events(0)]), "1");
}

/// Changes go on while Sentinels move the master as an operator wishes; the old one is there all the time, and would take them.
#[tokio::test(flavor = "multi_thread")]
async fn a_planned_failover_loses_nothing_that_was_answered() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = RedisServer::sentinel(master.port);
    let begun = Instant::now();
    let until = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::yield_now();
        }
    };
    until("the replica follows", &|| replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    let (store, _events) =
        open(Target::parse(&format!("redis-sentinel://127.0.0.1:{}/main", sentinel.port)).unwrap()).await;
    enter(&store, 0, "alice", Millis(1)).await.unwrap();
    let mut answered = 0;
    let mut count = async || {
        assert!(begun.elapsed() < Duration::from_secs(60), "changes go on");
        let done = like(&store, 0).await;
        assert!(!matches!(done, Err(Error::Refused(_))), "{done:?}");
        answered += i64::from(done.is_ok());
        (done.is_ok(), answered)
    };
    while count().await.1 < 20 {}
    until("it begins", &|| sentinel.cli(&["sentinel", "failover", "main"]) == "OK");
    let port = replica.port.to_string();
    while !sentinel.cli(&["sentinel", "get-master-addr-by-name", "main"]).contains(&port) {
        count().await;
    }
    let mut after = 0;
    let answered = loop {
        let (done, answered) = count().await;
        after += i32::from(done);
        if after == 20 {
            break answered;
        }
    };
    let (direct, _events) = open(target(&replica, 0)).await;
    let mut likes = 0;
    let see = &mut |room: &Room, _| {
        if let Some(room::custom::Value::Int(n)) = room.custom.get("likes") {
            likes = *n;
        }
    };
    direct.see(&id(0), see).await.unwrap();
    assert!(likes >= answered, "{likes} of {answered} that were answered");
}
