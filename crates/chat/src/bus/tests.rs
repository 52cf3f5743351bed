//! What is said is heard by every node, in one order and once, also by one that was cut off.

use parking_lot::Mutex;
use room::{RoomId, UserId};

use super::*;
use testkit::RedisServer;

#[derive(Default)]
struct Notes {
    heard: Mutex<Vec<(u64, u64)>>,
    lives: Mutex<Vec<(&'static str, Option<u64>)>>,
    missed: Mutex<Vec<usize>>,
}

impl Listener for Notes {
    fn heard(&self, heard: Heard) {
        self.heard.lock().push((heard.from, heard.nonce));
        self.lives.lock().push((heard.op.command().0, heard.life));
    }

    fn adrift(&self, unsaid: Vec<Unsaid>) {
        for unsaid in unsaid {
            let _ = unsaid.answer.send(7);
        }
    }

    fn missed(self: Arc<Self>, partition: usize) {
        self.missed.lock().push(partition);
    }

    fn nodes(&self, _: &[u64]) {}
}

fn kick(n: usize) -> Op {
    Op::Kick { group: RoomId::parse("r").unwrap(), user: UserId::parse(&format!("user{n}")).unwrap() }
}

#[tokio::test]
async fn there_is_room_for_sanctions_where_too_many_messages_wait() {
    let bus = Bus::new(Target::parse("redis://127.0.0.1:1").unwrap(), None);
    let group = RoomId::parse("r").unwrap();
    let user = UserId::parse("user").unwrap();
    let mute = || Op::Mute { group: group.clone(), user: user.clone(), until: room::Millis(9) };
    let takes = |op| !matches!(bus.send(op, Known::default()), Sending::Full);
    while takes(kick(1)) {}
    let mut muted = 0;
    while bus.takes_sanctions(&group) {
        assert!(takes(mute()));
        muted += 1;
    }
    assert!(muted > 1_000, "{muted}");
    assert!(takes(mute()), "who asked at the same time has room");
    assert!(!takes(kick(1)));
}

async fn node(redis: &RedisServer) -> (Arc<Bus>, Arc<Notes>) {
    let bus = Arc::new(Bus::new(Target::parse(&redis.url(0)).unwrap(), None));
    let notes = Arc::new(Notes::default());
    tokio::spawn(bus.clone().run(notes.clone()));
    bus.listening[0].cancelled().await;
    (bus, notes)
}

async fn until(so: impl Fn() -> bool) {
    let waited = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_hear_the_same_in_the_same_order_over_an_outage() {
    let mut redis = RedisServer::start(&[]);
    let (a, heard_a) = node(&redis).await;
    let (b, heard_b) = node(&redis).await;
    for n in 0..100 {
        a.tell(kick(n));
        b.tell(kick(n));
    }
    until(|| heard_a.heard.lock().len() == 200 && heard_b.heard.lock().len() == 200).await;
    redis.stop();
    let Sending::Waits(answer) = a.send(kick(100), Known::default()) else { panic!("nobody knows yet") };
    assert_eq!(answer.await, Ok(7), "the listener is told, and answers");
    assert!(a.is_adrift("r"));
    assert!(matches!(a.send(kick(101), Known::default()), Sending::Adrift(102)));
    b.tell(kick(100));
    redis.resume();
    until(|| heard_a.heard.lock().len() >= 203 && heard_b.heard.lock().len() >= 203).await;
    until(|| !a.is_adrift("r")).await;
    let all = heard_a.heard.lock().clone();
    assert_eq!(all, *heard_b.heard.lock());
    for (bus, count) in [(&a, 102), (&b, 101)] {
        let own: Vec<u64> = all.iter().filter(|(from, _)| *from == bus.node()).map(|(_, nonce)| *nonce).collect();
        assert_eq!(own, (1..=count).collect::<Vec<_>>(), "each once, in order");
    }
}

/// Redis may have done what it never answered to: said again, it is not done again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_twice() {
    let redis = RedisServer::start(&[]);
    let (a, heard) = node(&redis).await;
    for round in 1..=20 {
        a.tell(kick(round));
        // The connection breaks under it, before or after the answer.
        redis.cli(&["client", "kill", "type", "normal", "skipme", "yes"]);
        until(|| heard.heard.lock().len() == round).await;
    }
    let nonces: Vec<u64> = heard.heard.lock().iter().map(|(_, nonce)| *nonce).collect();
    assert_eq!(nonces, (1..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_is_told_so() {
    let redis = RedisServer::start(&[]);
    let (a, heard) = node(&redis).await;
    a.tell(kick(1));
    until(|| heard.heard.lock().len() == 1).await;
    redis.cli(&["incrby", "rs:{0}:bus:count", "3"]);
    a.tell(kick(2));
    until(|| heard.heard.lock().len() == 2).await;
    assert_eq!(*heard.missed.lock(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_later_version_says_is_left_out_and_nothing_counts_as_missed() {
    let redis = RedisServer::start(&[]);
    let (a, heard) = node(&redis).await;
    a.tell(kick(1));
    until(|| heard.heard.lock().len() == 1).await;
    redis.cli(&["incr", "rs:{0}:bus:count"]);
    let unknown = r#"{"wave":{"group":"r"}}"#;
    redis.cli(&["xadd", "rs:{0}:bus", "*", "i", "2", "s", "0", "n", "7", "k", "1", "o", unknown]);
    a.tell(kick(2));
    until(|| heard.heard.lock().len() == 2).await;
    assert_eq!(*heard.missed.lock(), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_a_group_names_the_life_that_it_had() {
    let redis = RedisServer::start(&[]);
    let (a, heard) = node(&redis).await;
    let group = RoomId::parse("r").unwrap();
    let user = UserId::parse("anna").unwrap();
    let at = room::Millis(1);
    for life in [40, 50] {
        a.make(&group, None, "", room::chat::Epoch(life)).await.unwrap();
        a.tell(kick(1));
        a.tell(Op::Mute { group: group.clone(), user: user.clone(), until: room::Millis(9) });
        a.tell(Op::Epoch { group: group.clone(), epoch: room::chat::Epoch(life + 1) });
        let Sending::Waits(number) =
            a.send(Op::End { group: group.clone(), at, by: None, end: room::chat::End::Destroyed }, Known::default())
        else {
            panic!("redis is there")
        };
        number.await.unwrap();
    }
    a.tell(Op::Handed { user, seq: 1 });
    until(|| heard.lives.lock().len() == 9).await;
    let lives = heard.lives.lock().clone();
    let of = |life: u64| [("tell", Some(life)), ("set", Some(life)), ("life", Some(life + 1)), ("end", Some(life + 1))];
    assert_eq!(lives[..8], [of(40), of(50)].concat());
    assert_eq!(lives[8], ("tell", None), "it is of no group");
}
