//! Groups and the directory, rule by rule.

use super::*;
use crate::id::{RoomId, UserId};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn said(from: &str, random: Option<u64>, text: &str) -> Said {
    Said { from: user(from), nick: None, random, body: Body::new(text).unwrap() }
}

const C: [ConnectionId; 4] = [ConnectionId(1), ConnectionId(2), ConnectionId(3), ConnectionId(4)];
const T: Millis = Millis(1_700_000_000_000);

fn group() -> Group {
    let id = RoomId::parse("r").unwrap();
    Group::new(&NewGroup { id: &id, epoch: Epoch(7), owner: Some(&user("anna")), name: "show" }).unwrap()
}

fn seqs(catch_up: &CatchUp) -> Vec<u64> {
    catch_up.messages.iter().map(|m| m.seq).collect()
}

#[test]
fn making_a_group_twice_is_fine() {
    let id = RoomId::parse("r").unwrap();
    let anna = user("anna");
    let ben = user("ben");
    let mut slot = None;
    let new = NewGroup { id: &id, epoch: Epoch(1), owner: Some(&anna), name: "" };
    let made = create(&mut slot, &new).unwrap();
    assert_eq!(made, Created { existed: false, owner: Some(anna.clone()), epoch: Epoch(1) });
    let again = create(&mut slot, &NewGroup { epoch: Epoch(2), owner: Some(&ben), ..new }).unwrap();
    assert_eq!(again, Created { existed: true, owner: Some(anna.clone()), epoch: Epoch(1) });
    let mut slot = None;
    let long = "x".repeat(MAX_GROUP_NAME + 1);
    assert!(create(&mut slot, &NewGroup { name: &long, ..new }).is_err());
    assert!(slot.is_none());
}

#[test]
fn lives_of_a_room_id_differ() {
    assert!(Epoch::new(T, 0) < Epoch::new(T, 1));
    assert!(Epoch::new(T, u16::MAX) < Epoch::new(T.plus(1), 0));
    assert!(Epoch::new(T, u16::MAX).0 < 1 << 53);
}

#[test]
fn destroying_tells_everybody_who_was_in() {
    let mut slot = Some(group());
    let g = slot.as_mut().unwrap();
    g.join(T, &user("anna"), C[0], None).unwrap();
    g.join(T, &user("anna"), C[1], None).unwrap();
    g.join(T, &user("ben"), C[2], None).unwrap();
    g.send(T, said("ben", None, "[]")).unwrap();
    let mut closed = destroy(&mut slot, T, None, End::Destroyed).unwrap();
    closed.members.sort();
    assert_eq!(closed.members, [(user("anna"), vec![C[0], C[1]]), (user("ben"), vec![C[2]])]);
    assert_eq!(closed.message.seq, 2);
    assert_eq!(closed.message.content, Content::System(System { by: None, notice: Notice::Destroyed }));
    assert_eq!(destroy(&mut slot, T, None, End::Revoked).unwrap_err(), Refusal::NoGroup);
}

#[test]
fn only_members_send_and_all_share_one_sequence() {
    let mut g = group();
    assert_eq!(g.send(T, said("ben", None, "[]")), Err(Refusal::NotMember));
    assert_eq!(g.post(T, said("operator", None, "[]")).seq, 1);
    g.join(T, &user("ben"), C[0], None).unwrap();
    assert_eq!(g.notify(T, None, r#"{"cmd":"notifyPusherChange","data":""}"#).unwrap().seq, 2);
    let sent = g.send(T.plus(5), said("ben", Some(9), "[]")).unwrap();
    assert_eq!((sent.seq, sent.at), (3, T.plus(5)));
    assert!(g.quit(T, &user("anna"), C[0]).is_none(), "somebody else's connection");
    assert!(g.quit(T, &user("ben"), C[0]).is_some());
    assert!(g.quit(T, &user("ben"), C[0]).is_none());
    assert_eq!(g.send(T, said("ben", None, "[]")), Err(Refusal::NotMember));
    // The answer to the first try was lost with the connection: the second try is not a second message.
    let again = g.send(T.plus(9), said("ben", Some(9), "[]")).unwrap();
    assert_eq!((again.seq, again.at, again.message), (3, T.plus(5), None));
}

#[test]
fn the_same_number_by_another_sender_is_another_message() {
    let mut g = group();
    for (n, name) in ["a", "b"].iter().enumerate() {
        g.join(T, &user(name), C[n], None).unwrap();
        assert!(g.send(T, said(name, Some(1), "[]")).unwrap().message.is_some());
    }
    // Remembered for so many sends, and no longer.
    for n in 0..MAX_RECENT as u64 {
        assert!(g.send(T, said("a", Some(n + 2), "[]")).unwrap().message.is_some());
    }
    assert!(g.send(T, said("b", Some(1), "[]")).unwrap().message.is_some());
}

#[test]
fn catching_up_says_what_is_lost() {
    let mut g = group();
    let since = |seq| Some(Since { epoch: Epoch(7), seq });
    assert_eq!(g.catch_up(since(0)), CatchUp { first: 1, ..CatchUp::default() });
    for _ in 0..250 {
        g.notify(T, None, "x").unwrap();
    }
    let all: Vec<u64> = (51..=250).collect();
    assert_eq!(g.kept(), (200, 200));
    let missed = g.join(T, &user("a"), C[0], since(248)).unwrap().catch_up;
    assert_eq!((seqs(&missed), missed.gap, missed.anew), (vec![249, 250], false, false));
    let missed = g.catch_up(since(50));
    assert_eq!((seqs(&missed), missed.gap), (all.clone(), false));
    let missed = g.catch_up(since(49));
    assert_eq!((seqs(&missed), missed.gap, missed.first), (all.clone(), true, 51));
    let other = g.catch_up(Some(Since { epoch: Epoch(6), seq: 249 }));
    assert_eq!((seqs(&other), other.gap, other.anew), (all.clone(), true, true));
    for never_given in [251, u64::MAX] {
        let missed = g.catch_up(since(never_given));
        assert_eq!((seqs(&missed), missed.anew), (all.clone(), true));
    }
    let none = g.catch_up(None);
    assert_eq!((seqs(&none), none.gap, none.anew, none.first), (vec![], false, false, 51));
}

#[test]
fn history_goes_back_page_by_page() {
    let mut g = group();
    for _ in 0..5 {
        g.notify(T, None, "x").unwrap();
    }
    let page = |before, count| g.history(before, count).iter().map(|m| m.seq).collect::<Vec<_>>();
    assert_eq!(page(u64::MAX, 2), [4, 5]);
    assert_eq!(page(4, 2), [2, 3]);
    assert_eq!(page(2, 2), [1]);
    assert_eq!(page(1, 2), [0; 0]);
    assert_eq!(page(0, 2), [0; 0]);
}

#[test]
fn what_is_kept_is_bounded_in_bytes_too() {
    let mut g = group();
    let big = "x".repeat(MAX_BODY);
    for _ in 0..100 {
        g.post(T, said("a", None, &big));
    }
    let (count, bytes) = g.kept();
    assert!(bytes <= MAX_KEPT_BYTES && bytes + MAX_BODY > MAX_KEPT_BYTES && count == MAX_KEPT_BYTES / MAX_BODY);
    assert_eq!(g.notify(T, None, &"x".repeat(MAX_BODY + 1)), Err(Refusal::TooLong { field: "notice", max: MAX_BODY }));
}

#[test]
fn texts_are_bounded() {
    assert_eq!(Body::new(""), Err(Refusal::Empty { field: "body" }));
    assert!(Body::new(&"x".repeat(MAX_BODY)).is_ok());
    assert_eq!(Body::new(&"x".repeat(MAX_BODY + 1)), Err(Refusal::TooLong { field: "body", max: MAX_BODY }));
    assert_eq!(Nick::parse(""), Err(Refusal::Empty { field: "nick" }));
    assert!(Nick::parse(&"é".repeat(32)).is_ok());
    assert_eq!(Nick::parse(&"é".repeat(33)), Err(Refusal::TooLong { field: "nick", max: MAX_NICK }));
}

#[test]
fn a_muted_user_hears_but_cannot_send() {
    let mut g = group();
    g.join(T, &user("a"), C[0], None).unwrap();
    g.mute(T, &user("a"), T.plus(10)).unwrap();
    assert_eq!(g.send(T.plus(9), said("a", None, "[]")), Err(Refusal::Muted { until: T.plus(10) }));
    assert_eq!(g.connections(), [C[0]]);
    assert_eq!(g.muted(T).collect::<Vec<_>>(), [(&user("a"), T.plus(10))]);
    assert_eq!(g.send(T.plus(10), said("a", None, "[]")).unwrap().seq, 1);
    g.mute(T, &user("a"), Millis::NEVER).unwrap();
    g.mute(T, &user("a"), Millis(0)).unwrap();
    assert_eq!(g.send(T, said("a", None, "[]")).unwrap().seq, 2);
}

#[test]
fn a_banned_user_is_put_out_and_stays_out() {
    let mut g = group();
    g.join(T, &user("a"), C[0], None).unwrap();
    g.join(T, &user("a"), C[1], None).unwrap();
    g.join(T, &user("b"), C[2], None).unwrap();
    assert!(g.poll_count(T, 0).is_some());
    let out = g.ban(T, &user("a"), T.plus(10)).unwrap();
    assert_eq!((out.reason, out.connections), (OutReason::Banned { until: T.plus(10) }, vec![C[0], C[1]]));
    assert_eq!(out.count_due, Some(T.plus(COUNT_EVERY)));
    assert_eq!((g.connections(), g.users()), (&C[2..3], 1));
    assert_eq!(g.join(T, &user("a"), C[0], None), Err(Refusal::Banned { until: T.plus(10) }));
    assert_eq!(g.send(T, said("a", None, "[]")), Err(Refusal::Banned { until: T.plus(10) }));
    assert!(g.join(T.plus(10), &user("a"), C[0], None).is_ok());
    assert_eq!(g.kick(T, &user("a")).connections, [C[0]]);
    assert!(g.join(T.plus(10), &user("a"), C[0], None).is_ok());
    let out = g.kick_until(T.plus(10), &user("a"), T.plus(20)).unwrap();
    assert_eq!((out.reason, out.connections), (OutReason::Kicked, vec![C[0]]));
    assert_eq!(g.join(T.plus(19), &user("a"), C[0], None), Err(Refusal::Banned { until: T.plus(20) }));
    assert!(g.join(T.plus(20), &user("a"), C[0], None).is_ok());
    // Lifting a ban puts nobody out.
    assert_eq!(g.ban(T, &user("a"), T).unwrap().connections, []);
}

#[test]
fn sanctions_are_bounded_and_make_room_when_over() {
    let mut g = group();
    for n in 0..MAX_SANCTIONS {
        g.mute(T, &user(&format!("u{n}")), T.plus(10)).unwrap();
    }
    let full = Err(Refusal::TooManySanctions { max: MAX_SANCTIONS });
    assert_eq!(g.mute(T, &user("a"), T.plus(10)), full);
    assert_eq!(g.mute(T, &user("u0"), T.plus(20)), Ok(()), "who is muted can be muted longer");
    assert_eq!(g.mute(T.plus(10), &user("a"), T.plus(30)), Ok(()));
    assert_eq!(g.muted(T.plus(10)).count(), 2);
}

#[test]
fn counts_are_told_once_a_second() {
    let mut g = group();
    let mut counts = Counts::default();
    assert_eq!(counts.deadline(), Millis::NEVER);
    for n in 0..1000u64 {
        if let Some(due) = g.join(T, &user(&format!("u{n}")), ConnectionId(n), None).unwrap().count_due {
            counts.mark(due, g.id());
        }
    }
    assert_eq!(counts.poll(T), Some(g.id().clone()));
    assert_eq!(counts.poll(T), None);
    assert_eq!(g.poll_count(T, 0).unwrap().users, 1000);
    let due = g.quit(T.plus(1), &user("u0"), ConnectionId(0)).unwrap().count_due.unwrap();
    assert_eq!(due, T.plus(COUNT_EVERY));
    assert_eq!(g.quit(T.plus(2), &user("u1"), ConnectionId(1)).unwrap().count_due, None, "marked already");
    counts.mark(due, g.id());
    assert_eq!((counts.deadline(), counts.poll(T.plus(COUNT_EVERY - 1))), (due, None));
    assert_eq!(g.poll_count(T.plus(COUNT_EVERY - 1), 0), None);
    assert_eq!(counts.poll(due), Some(g.id().clone()));
    assert_eq!(g.poll_count(due, 0).unwrap().users, 998);
    // Another connection of a user who is in, or one who comes and goes, is no news.
    assert_eq!(g.join(due, &user("u2"), ConnectionId(1000), None).unwrap().count_due, None);
    assert!(g.join(due, &user("x"), ConnectionId(1001), None).unwrap().count_due.is_some());
    g.quit(due, &user("x"), ConnectionId(1001)).unwrap();
    assert_eq!(g.poll_count(due.plus(COUNT_EVERY), 0), None);
}

#[test]
fn another_node_follows() {
    let mut home = group();
    let mut other = group();
    let messages: Vec<_> = (0..5).map(|n| home.post(T, said("a", Some(n), "[]")).message.unwrap()).collect();
    assert!(other.accept(messages[0].clone()));
    assert!(!other.accept(messages[0].clone()));
    assert!(other.accept(messages[1].clone()));
    assert!(other.accept(messages[3].clone()));
    assert!(!other.accept(messages[2].clone()), "too late: the receivers have had a later one");
    let missed = other.catch_up(Some(Since { epoch: Epoch(7), seq: 2 }));
    assert_eq!((seqs(&missed), missed.gap, missed.first), (vec![4], true, 4));
    assert_eq!(other.post(T, said("a", Some(3), "[]")).message, None, "it knows the sends of the first node");
    assert_eq!(other.post(T, said("b", None, "[]")).seq, 5, "and can number on");
}

#[test]
fn a_form_is_made_once() {
    let mut g = group();
    let message = g.notify(T, None, "x").unwrap();
    let first = message.form(Form::Socket, |_| "made".into());
    let second = message.form(Form::Socket, |_| unreachable!("made already"));
    assert_eq!((first.as_ptr(), &second[..]), (second.as_ptr(), &b"made"[..]));
    assert_eq!(message.form(Form::Webim, |m| m.seq.to_string().into()), "1");
    let copy: Message = serde_json::from_str(&serde_json::to_string(&*message).unwrap()).unwrap();
    assert_eq!(copy, *message);
}

#[test]
fn direct_messages_wait_a_minute() {
    let mut d = Directory::default();
    let anna = user("anna");
    let sent = d.send(T, T, &anna, Some(1), said("ben", Some(2), "[]")).unwrap();
    assert!(sent.waits && !sent.again);
    let again = d.send(T.plus(5), T.plus(5), &anna, Some(1), said("ben", Some(2), "[]")).unwrap();
    assert!(again.again && again.message.seq == sent.message.seq);
    assert!(d.send(T, T, &anna, None, said("ben", Some(2), "[]")).unwrap().message.seq > sent.message.seq);
    assert_eq!((d.deadline(), d.users()), (T.plus(AWAY), 1));
    let back = d.clone().connect(T.plus(AWAY - 1), &anna, C[0], Transport::Socket, None).unwrap();
    assert_eq!(back.waiting.len(), 2);
    assert!(back.mark < back.waiting[0].seq, "what follows is new to a client that begins at the mark");
    let ahead = Some(sent.message.seq + 3_600_000);
    let back = d.clone().connect(T.plus(1), &anna, C[0], Transport::Socket, ahead).unwrap();
    assert_eq!(back.waiting.len(), 2, "the clock was set back: a number that was not given yet hides nothing");
    let late = d.clone().connect(T.plus(AWAY), &anna, C[0], Transport::Socket, None).unwrap();
    assert_eq!(late.waiting, []);
    d.expire(T.plus(AWAY));
    assert_eq!((d.deadline(), d.users(), d.mail_bytes()), (Millis::NEVER, 0, 0));
}

#[test]
fn a_dead_connection_loses_nothing() {
    let mut d = Directory::default();
    let anna = user("anna");
    let first = d.connect(T, &anna, C[0], Transport::Socket, None).unwrap();
    // Handed to a connection that nobody reads any more.
    let sent = d.send(T, T, &anna, None, said("ben", None, "[]")).unwrap();
    assert!(!sent.waits);
    assert!(sent.message.seq > first.mark);
    assert!(d.disconnect(T.plus(1), &anna, C[0]).unwrap().last);
    let back = d.connect(T.plus(2), &anna, C[1], Transport::Socket, Some(first.mark)).unwrap();
    assert_eq!(back.waiting, std::slice::from_ref(&sent.message));
    let tab = d.connect(T.plus(2), &anna, C[2], Transport::Socket, Some(sent.message.seq)).unwrap();
    assert_eq!(tab.waiting, []);
    let fresh = d.connect(T.plus(2), &anna, C[3], Transport::Socket, None).unwrap();
    assert_eq!((fresh.waiting.len(), d.after(&anna, first.mark).count()), (0, 1));
    d.expire(T.plus(AWAY));
    assert_eq!(d.mail_bytes(), 0);
}

#[test]
fn mail_waits_by_the_clock_that_does_not_step() {
    let mut d = Directory::default();
    let anna = user("anna");
    let shown = |by: u64| Millis(T.0.wrapping_add(by));
    let hour = 3_600_000_u64;
    for (n, at) in [shown(hour), shown(hour.wrapping_neg())].into_iter().enumerate() {
        let sent = d.send(T, at, &anna, None, said("ben", Some(n as u64), "[]")).unwrap();
        assert_eq!(sent.message.at, at, "it shows the wall's time");
    }
    d.expire(T.plus(AWAY - 1));
    assert_eq!(d.after(&anna, 0).count(), 2, "a wall that was set back takes nothing away");
    d.expire(T.plus(AWAY));
    assert_eq!(d.after(&anna, 0).count(), 0, "nor does one that was set forward keep it");
}

#[test]
fn mail_is_bounded() {
    let mut d = Directory::default();
    let anna = user("anna");
    let big = "x".repeat(MAX_BODY);
    for _ in 0..MAX_MAIL {
        d.send(T, T, &anna, None, said("ben", None, "[]")).unwrap();
    }
    assert_eq!(d.send(T, T, &anna, None, said("ben", None, "[]")), Err(Refusal::MailboxFull));
    // Who is present is served, and the oldest that it had makes place.
    d.connect(T, &anna, C[0], Transport::Socket, None).unwrap();
    for _ in 0..MAX_MAIL {
        assert!(!d.send(T, T, &anna, None, said("ben", None, &big)).unwrap().waits);
        assert!(d.after(&anna, 0).count() <= MAX_MAIL && d.mail_bytes() <= MAX_MAIL_BYTES);
    }
    let refusal = (0..)
        .find_map(|n| (0..20).find_map(|_| d.send(T, T, &user(&format!("u{n}")), None, said("ben", None, &big)).err()));
    assert_eq!(refusal, Some(Refusal::Overloaded));
    assert!(d.mail_bytes() <= MAX_ALL_MAIL_BYTES);
    assert!(
        !d.send(T, T, &user("anna"), None, said("ben", None, &big)).unwrap().waits,
        "who is present does not notice"
    );
    d.expire(T.plus(AWAY));
    assert_eq!((d.mail_bytes(), d.users()), (0, 1));
}

#[test]
fn connections_and_their_groups_are_bounded() {
    let mut d = Directory::default();
    let anna = user("anna");
    let room = |n: usize| RoomId::parse(&format!("r{n}")).unwrap();
    for n in 0..MAX_CONNECTIONS as u64 {
        d.connect(T, &anna, ConnectionId(n), Transport::Socket, None).unwrap();
    }
    let refusal = d.connect(T, &anna, ConnectionId(99), Transport::Socket, None).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyConnections { max: MAX_CONNECTIONS });
    for n in 0..MAX_GROUPS {
        assert_eq!(d.enter(&anna, C[0], &room(n)), Ok(true));
    }
    assert_eq!(d.enter(&anna, C[0], &room(0)), Ok(false));
    assert_eq!(d.enter(&anna, C[0], &room(99)), Err(Refusal::TooManyGroups { max: MAX_GROUPS }));
    assert_eq!(d.enter(&user("ben"), C[0], &room(0)), Err(Refusal::NoConnection));
    assert!(d.leave(&anna, C[0], &room(1)) && !d.leave(&anna, C[0], &room(1)));
    assert_eq!(d.groups(&anna, C[0]).len(), MAX_GROUPS - 1);
    assert_eq!(d.disconnect(T, &anna, C[0]).unwrap().groups.len(), MAX_GROUPS - 1);
    assert_eq!(d.disconnect(T, &anna, C[0]), None);
    assert_eq!(d.connections(&anna).count(), MAX_CONNECTIONS - 1);
}

#[test]
fn a_newer_poller_takes_the_older_ones_place() {
    let mut d = Directory::default();
    let anna = user("anna");
    let room = RoomId::parse("r").unwrap();
    d.connect(T, &anna, C[0], Transport::Socket, None).unwrap();
    d.connect(T, &anna, C[1], Transport::Poller, None).unwrap();
    d.enter(&anna, C[1], &room).unwrap();
    let newer = d.connect(T, &anna, C[2], Transport::Poller, None).unwrap();
    assert_eq!(newer.replaced, Some((C[1], Gone { groups: vec![room], last: false })));
    let all: Vec<_> = d.connections(&anna).collect();
    assert_eq!(all, [(C[0], Transport::Socket), (C[2], Transport::Poller)]);
}

#[test]
fn nicks_outlive_a_short_absence() {
    let mut d = Directory::default();
    let anna = user("anna");
    let nick = Nick::parse("Anna 🎤").unwrap();
    assert_eq!(d.set_nick(&anna, Some(nick.clone())), Err(Refusal::NoConnection));
    d.connect(T, &anna, C[0], Transport::Socket, None).unwrap();
    d.set_nick(&anna, Some(nick.clone())).unwrap();
    d.disconnect(T, &anna, C[0]);
    d.connect(T.plus(10), &anna, C[1], Transport::Socket, None).unwrap();
    d.expire(T.plus(AWAY));
    assert_eq!(d.nick(&anna), Some(nick), "it came back in time");
    d.disconnect(T.plus(20), &anna, C[1]);
    assert_eq!(d.set_nick(&anna, None), Err(Refusal::NoConnection));
    let due = d.deadline();
    d.expire(due.max(T.plus(20 + AWAY)));
    assert_eq!((d.nick(&anna), d.users()), (None, 0));
}

#[test]
fn a_full_room_forgets_its_size() {
    let mut g = group();
    for n in 0..10_000u64 {
        g.join(T, &user(&format!("u{n}")), ConnectionId(n), None).unwrap();
    }
    for n in (0..10_000u64).filter(|n| n % 1000 != 7) {
        g.quit(T, &user(&format!("u{n}")), ConnectionId(n)).unwrap();
    }
    let mut left: Vec<u64> = g.connections().iter().map(|c| c.0).collect();
    left.sort_unstable();
    assert_eq!(left, (0..10).map(|n| n * 1000 + 7).collect::<Vec<_>>());
    assert!((0..10u64).all(|n| g.has(&user(&format!("u{}", n * 1000 + 7)))));
}

/// Two copies of a group, numbered apart while they could not hear each other, come together again.
#[test]
fn a_copy_that_numbered_on_its_own_gives_way() {
    let said = |text: &str| Content::Said(said("alice", None, text));
    let mut here = group();
    for text in ["one", "two"] {
        here.append(T, said(text));
    }
    let mut there = group();
    there.resume(2);
    assert_eq!((there.last(), there.catch_up(Some(Since { epoch: there.epoch(), seq: 0 })).gap), (2, true));
    let first = there.append(T, said("three there"));
    here.append(T, said("three here"));
    let before = here.epoch();
    here.fork(2, Epoch(before.0 + 1));
    assert_eq!((here.last(), here.history(u64::MAX, 9).len()), (2, 2));
    assert!(here.accept(first));
    let caught = here.catch_up(Some(Since { epoch: before, seq: 3 }));
    assert!(caught.anew && caught.messages.len() == 3, "who has the forgotten ones begins anew");
    here.renew(before);
    assert_eq!(here.epoch(), Epoch(before.0 + 1), "the newest life counts");
}

#[test]
fn direct_messages_that_were_numbered_elsewhere_never_step_back() {
    let mut directory = Directory::default();
    let direct =
        |seq, random| Direct { to: user("bob"), seq, at: T, client_seq: None, said: said("alice", Some(random), "hi") };
    let first = directory.accept(T, direct(T.0 + 50, 1)).unwrap();
    assert_eq!((first.message.seq, first.waits), (T.0 + 50, true));
    assert!(directory.accept(T, direct(T.0 + 50, 1)).unwrap().again);
    assert_eq!(directory.accept(T, direct(T.0 + 50, 2)).unwrap().message.seq, T.0 + 51);
    directory.handed(&user("bob"), T.0 + 50);
    let waiting = directory.connect(T, &user("bob"), ConnectionId(1), Transport::Socket, None).unwrap().waiting;
    assert_eq!(waiting.len(), 1, "what was handed over at another node is not handed over again");
}
