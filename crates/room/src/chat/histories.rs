//! Random histories of chat against a model of what each client has seen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::{RoomId, UserId};

const USERS: u8 = 4;
/// Each user's clients; a client is one connection at a time.
const CLIENTS: u8 = 8;

fn user(n: u8) -> UserId {
    UserId::parse(&format!("u{}", n % USERS)).unwrap()
}

fn said(from: u8, random: Option<u64>, size: usize) -> Said {
    Said { from: user(from), nick: None, random, body: Body::new(&"x".repeat(size)).unwrap() }
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8, bool),
    Drop(u8),
    Quit(u8),
    Send(u8, u8, bool),
    Burst(u8, usize),
    Mute(u8, u64),
    Ban(u8, u64),
    Kick(u8),
    NewLife,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), prop::bool::weighted(0.9)).prop_map(|(c, since)| Step::Join(c, since)),
        3 => client().prop_map(Step::Drop),
        1 => client().prop_map(Step::Quit),
        8 => (0..USERS, any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(u, r, big)| Step::Send(u, r, big)),
        1 => (1..150u8, prop::sample::select(vec![1, 40, 7_000])).prop_map(|(n, size)| Step::Burst(n, size)),
        1 => (0..USERS, 0..3_000u64).prop_map(|(u, ms)| Step::Mute(u, ms)),
        1 => (0..USERS, 0..3_000u64).prop_map(|(u, ms)| Step::Ban(u, ms)),
        1 => (0..USERS).prop_map(Step::Kick),
        1 => Just(Step::NewLife),
        4 => (0..1_500u64).prop_map(Step::Pass),
    ]
}

/// What a client believes; it checks whatever it gets.
#[derive(Default)]
struct Client {
    connection: Option<ConnectionId>,
    /// Life and number of the last message it has.
    seen: Option<Since>,
}

impl Client {
    fn hear(&mut self, message: &Message, world: &World) {
        let seen = self.seen.as_mut().expect("it joined before it hears");
        assert_eq!(message.seq, seen.seq + 1, "none lost, none twice, in order");
        assert_eq!(*message, *world.said[&(seen.epoch, message.seq)], "and the very message");
        seen.seq = message.seq;
    }
}

/// Everything that was ever said.
#[derive(Default)]
struct World {
    said: HashMap<(Epoch, u64), Arc<Message>>,
}

struct Harness {
    slot: Option<Group>,
    counts: Counts,
    clients: Vec<Client>,
    world: World,
    now: Millis,
    lives: u16,
    connections: u64,
    muted: HashMap<UserId, Millis>,
    banned: HashMap<UserId, Millis>,
    sends: HashMap<(UserId, u64), u64>,
    told: (usize, Option<Millis>),
}

impl Harness {
    fn new() -> Self {
        let mut harness = Self {
            slot: None,
            counts: Counts::default(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            world: World::default(),
            now: Millis(1_000_000),
            lives: 0,
            connections: 0,
            muted: HashMap::new(),
            banned: HashMap::new(),
            sends: HashMap::new(),
            told: (0, None),
        };
        harness.new_life();
        harness
    }

    fn group(&mut self) -> &mut Group {
        self.slot.as_mut().unwrap()
    }

    fn deliver(&mut self, message: Arc<Message>) {
        let epoch = self.group().epoch();
        assert!(self.world.said.insert((epoch, message.seq), message.clone()).is_none(), "a number is given once");
        let receivers: HashSet<_> = self.slot.as_ref().unwrap().connections().iter().copied().collect();
        assert_eq!(receivers.len(), self.slot.as_ref().unwrap().connections().len(), "each receiver once");
        let mut reached = 0;
        for client in self.clients.iter_mut().filter(|c| c.connection.is_some_and(|id| receivers.contains(&id))) {
            client.hear(&message, &self.world);
            reached += 1;
        }
        assert_eq!(reached, receivers.len(), "nobody else is a receiver");
    }

    fn new_life(&mut self) {
        if self.slot.is_some() {
            let last = self.group().last();
            let epoch = self.group().epoch();
            let closed = destroy(&mut self.slot, self.now, None, End::Destroyed).unwrap();
            assert_eq!(closed.message.seq, last + 1);
            self.world.said.insert((epoch, last + 1), closed.message.clone());
            let told: HashSet<_> = closed.members.iter().flat_map(|(_, ids)| ids).copied().collect();
            for client in &mut self.clients {
                assert_eq!(client.connection.is_some_and(|id| told.contains(&id)), client.connection.is_some());
                if client.connection.take().is_some() {
                    client.hear(&closed.message, &self.world);
                }
            }
        }
        self.lives += 1;
        let id = RoomId::parse("r").unwrap();
        let epoch = Epoch::new(self.now, self.lives);
        create(&mut self.slot, &NewGroup { id: &id, epoch, owner: None, name: "" }).unwrap();
        (self.muted, self.banned, self.sends) = Default::default();
        self.told = (0, None);
        self.counts = Counts::default();
    }

    fn mark(&mut self, due: Option<Millis>) {
        if let Some(due) = due {
            assert!(due >= self.now);
            let id = self.group().id().clone();
            self.counts.mark(due, &id);
        }
    }

    fn join(&mut self, client: u8, with_since: bool) {
        let now = self.now;
        let who = user(client);
        let place = usize::from(client);
        self.connections += 1;
        let connection = self.clients[place].connection.unwrap_or(ConnectionId(self.connections));
        let since = self.clients[place].seen.filter(|_| with_since);
        let joined = match self.group().join(now, &who, connection, since) {
            Ok(joined) => joined,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Banned { until: self.banned[&who] });
                assert!(self.banned[&who] > now);
                return;
            }
        };
        assert!(self.banned.get(&who).is_none_or(|until| *until <= now));
        self.mark(joined.count_due);
        assert_eq!(joined.again, self.clients[place].connection.is_some());
        let catch_up = &joined.catch_up;
        let (kept, bytes) = self.group().kept();
        assert!(kept <= MAX_KEPT && bytes <= MAX_KEPT_BYTES);
        let first = joined.last + 1 - kept as u64;
        assert_eq!(catch_up.first, first);
        let begin = match since {
            None => joined.last,
            Some(since) => {
                assert_eq!(catch_up.anew, since.epoch != joined.epoch);
                let has = if catch_up.anew { 0 } else { since.seq };
                assert_eq!(catch_up.gap, has + 1 < first, "a gap is told if and only if there is one");
                has.max(first - 1)
            }
        };
        let me = &mut self.clients[place];
        me.connection = Some(connection);
        me.seen = Some(Since { epoch: joined.epoch, seq: begin });
        for message in &catch_up.messages {
            me.hear(message, &self.world);
        }
        assert_eq!(me.seen.map(|s| s.seq), Some(joined.last), "up to the newest");
    }

    fn send(&mut self, from: u8, random: u8, size: usize) {
        let now = self.now;
        let who = user(from);
        let random = (random < 200).then_some(u64::from(random) % 20);
        let member = (0..CLIENTS).any(|c| user(c) == who && self.clients[usize::from(c)].connection.is_some());
        let last = self.group().last();
        let before = random.and_then(|r| self.sends.get(&(who.clone(), r)).copied());
        match self.group().send(now, said(from, random, size)) {
            Ok(Sent { message: None, seq, .. }) => assert_eq!(Some(seq), before, "a repeated send"),
            Ok(Sent { message: Some(message), seq, at }) => {
                assert!(member, "only members send");
                assert!(self.muted.get(&who).is_none_or(|until| *until <= now), "muted cannot send");
                assert_eq!((seq, at, message.seq), (last + 1, now, last + 1));
                if let Some(random) = random {
                    // Forgotten at the earliest after so many others.
                    assert!(before.is_none_or(|b| last - b >= MAX_RECENT as u64));
                    self.sends.insert((who, random), seq);
                }
                self.deliver(message);
            }
            Err(refusal) => {
                assert_eq!(self.group().last(), last);
                match refusal {
                    Refusal::Muted { until } => assert!(until > now && self.muted[&who] == until),
                    Refusal::Banned { until } => assert!(until > now && self.banned[&who] == until && !member),
                    Refusal::NotMember => assert!(!member),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn put_out(&mut self, who: &UserId, out: PutOut) {
        self.mark(out.count_due);
        let mut expected = Vec::new();
        for client in (0..CLIENTS).filter(|c| user(*c) == *who) {
            expected.extend(self.clients[usize::from(client)].connection.take());
        }
        let mut put_out = out.connections;
        put_out.sort();
        expected.sort();
        assert_eq!(put_out, expected, "all of the user's connections, and no others");
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Join(client, since) => self.join(client, since),
            Step::Drop(client) | Step::Quit(client) => {
                let place = usize::from(client);
                if let Some(id) = self.clients[place].connection.take() {
                    let quit = self.group().quit(now, &user(client), id).unwrap();
                    self.mark(quit.count_due);
                    assert_eq!(self.group().quit(now, &user(client), id), None);
                }
                if matches!(step, Step::Quit(_)) {
                    self.clients[place].seen = None;
                }
            }
            Step::Send(from, random, big) => self.send(from, random, if big { MAX_BODY } else { 20 }),
            Step::Burst(count, size) => {
                for _ in 0..count {
                    let message = self.group().notify(now, None, &"x".repeat(size)).unwrap();
                    self.deliver(message);
                }
            }
            Step::Mute(who, ms) => {
                self.group().mute(now, &user(who), now.plus(ms)).unwrap();
                self.muted.insert(user(who), now.plus(ms));
            }
            Step::Ban(who, ms) => {
                let out = self.group().ban(now, &user(who), now.plus(ms)).unwrap();
                self.banned.insert(user(who), now.plus(ms));
                if ms > 0 {
                    self.put_out(&user(who), out);
                }
            }
            Step::Kick(who) => {
                let out = self.group().kick(now, &user(who));
                self.put_out(&user(who), out);
            }
            Step::NewLife => self.new_life(),
            Step::Pass(ms) => self.now = now.plus(ms),
        }
        self.poll_counts();
        let inside: HashSet<UserId> =
            (0..CLIENTS).filter(|c| self.clients[usize::from(*c)].connection.is_some()).map(user).collect();
        assert_eq!(self.group().users(), inside.len(), "users are counted, not connections");
        if self.told.1.is_none_or(|at| self.now.since(at) >= COUNT_EVERY) {
            assert_eq!(self.told.0, inside.len(), "what was told is never older than a second");
        }
    }

    fn poll_counts(&mut self) {
        let mut polled = 0;
        while let Some(id) = self.counts.poll(self.now) {
            polled += 1;
            let now = self.now;
            assert_eq!(id, *self.group().id());
            if let Some(count) = self.group().poll_count(now, 0) {
                let (users, at) = std::mem::replace(&mut self.told, (count.users, Some(now)));
                assert_ne!(users, count.users, "no news is not told");
                assert!(at.is_none_or(|at| now.since(at) >= COUNT_EVERY), "at most once a second");
            }
        }
        assert!(polled <= 1, "a group is marked once");
    }
}

#[derive(Clone, Debug)]
enum Mail {
    Connect(u8, bool),
    Drop(u8),
    Send(u8, u8),
    Flood(u8, u8),
    Pass(u64),
    Expire,
}

fn mail() -> impl Strategy<Value = Mail> {
    prop_oneof![
        4 => (0..USERS, prop::bool::weighted(0.8)).prop_map(|(u, alive)| Mail::Connect(u, alive)),
        3 => (0..USERS).prop_map(Mail::Drop),
        8 => (0..USERS, any::<u8>()).prop_map(|(u, r)| Mail::Send(u, r)),
        1 => (0..USERS, 1..130u8).prop_map(|(u, n)| Mail::Flood(u, n)),
        4 => (0..20_000u64).prop_map(Mail::Pass),
        2 => Just(Mail::Expire),
    ]
}

/// A receiver with one connection, which may be dead without anybody knowing.
#[derive(Default)]
struct Receiver {
    connection: Option<(ConnectionId, bool)>,
    since: Option<u64>,
    /// Taken for it and not seen by it: number and time.
    owed: BTreeMap<u64, Millis>,
    newest: u64,
}

impl Receiver {
    fn hear(&mut self, seq: u64) {
        assert!(self.owed.remove(&seq).is_some(), "none twice, and none that was not sent");
        assert!(self.since.is_none_or(|since| seq > since), "in order");
        self.since = Some(seq);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn nobody_loses_a_message_or_hears_one_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut harness = Harness::new();
        for step in &steps {
            harness.step(step);
        }
        harness.step(&Step::Pass(COUNT_EVERY));
    }

    #[test]
    fn mail_reaches_who_comes_back_in_time(steps in prop::collection::vec(mail(), 1..150)) {
        let mut d = Directory::default();
        let mut now = Millis(1_000_000);
        let mut ids = 0;
        let mut all: Vec<Receiver> = (0..USERS).map(|_| Receiver::default()).collect();
        for step in steps {
            match step {
                Mail::Connect(n, alive) => {
                    let me = &mut all[usize::from(n)];
                    if me.connection.is_some() { continue }
                    ids += 1;
                    let got = d.connect(now, &user(n), ConnectionId(ids), Transport::Socket, me.since).unwrap();
                    me.owed.retain(|_, at| at.plus(AWAY) > now);
                    prop_assert!(got.waiting.iter().all(|m| m.seq > got.mark), "what is handed over comes after it");
                    let mark = got.waiting.last().map_or(got.mark, |last| last.seq);
                    prop_assert!(mark >= me.newest, "later ones have higher numbers");
                    let given: Vec<u64> = got.waiting.iter().map(|m| m.seq).collect();
                    let owed: Vec<u64> = me.owed.keys().copied().collect();
                    prop_assert_eq!(given, owed);
                    me.connection = Some((ConnectionId(ids), alive));
                    if alive {
                        for m in &got.waiting { me.hear(m.seq) }
                        me.owed.clear();
                        me.since = Some(mark);
                    } else if me.since.is_none() {
                        // It died before it heard anything, the mark included: what it was handed counts as handed.
                        me.owed.clear();
                    }
                }
                Mail::Drop(n) => {
                    if let Some((id, _)) = all[usize::from(n)].connection.take() {
                        prop_assert!(d.disconnect(now, &user(n), id).unwrap().last);
                    }
                }
                Mail::Send(n, _) | Mail::Flood(n, _) => {
                    let (times, random) = match step {
                        Mail::Flood(_, times) => (times, None),
                        Mail::Send(_, r) => (1, (r < 128).then_some(u64::from(r) % 8)),
                        _ => unreachable!(),
                    };
                    for _ in 0..times {
                        let me = &mut all[usize::from(n)];
                        match d.send(now, now, &user(n), None, said(0, random, 20)) {
                            Ok(posted) if posted.again => prop_assert!(posted.message.seq <= me.newest),
                            Ok(posted) => {
                                let seq = posted.message.seq;
                                prop_assert!(seq > me.newest, "numbers grow");
                                prop_assert_eq!(posted.waits, me.connection.is_none());
                                me.newest = seq;
                                me.owed.insert(seq, now);
                                match me.connection {
                                    Some((_, true)) => me.hear(seq),
                                    // Only the newest are kept for who is thought to be present.
                                    Some((_, false)) => while me.owed.len() > MAX_MAIL { me.owed.pop_first(); },
                                    None => {}
                                }
                                if me.since.is_none() && me.connection.is_some() { me.owed.clear() }
                            }
                            Err(refusal) => {
                                prop_assert_eq!(refusal, Refusal::MailboxFull);
                                prop_assert!(me.connection.is_none() && d.after(&user(n), 0).count() == MAX_MAIL);
                            }
                        }
                        // What was handed to a dead connection makes place for what waits.
                        let kept: HashSet<u64> = d.after(&user(n), 0).map(|m| m.seq).collect();
                        prop_assert!(kept.len() <= MAX_MAIL);
                        if kept.len() == MAX_MAIL { all[usize::from(n)].owed.retain(|seq, _| kept.contains(seq)) }
                    }
                }
                Mail::Pass(ms) => now = now.plus(ms),
                Mail::Expire => {
                    d.expire(now);
                    prop_assert!(d.deadline() > now, "nothing is due at once again");
                }
            }
            prop_assert!(d.mail_bytes() <= MAX_MAIL_BYTES * usize::from(USERS));
        }
        now = now.plus(AWAY);
        d.expire(now);
        prop_assert_eq!((d.deadline(), d.mail_bytes()), (Millis::NEVER, 0));
        prop_assert_eq!(d.users(), all.iter().filter(|r| r.connection.is_some()).count(), "everything has an end");
    }
}
