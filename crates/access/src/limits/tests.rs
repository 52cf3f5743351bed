//! Every bound by itself, on a time of the test.

use super::*;

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn limits(set: impl FnOnce(&mut Settings)) -> Limits {
    let mut settings = Settings::default();
    set(&mut settings);
    Limits::new(&settings)
}

#[test]
fn every_bound_holds_by_itself() {
    let limits = limits(|s| {
        s.address_logins = Rate::per_second(1, 2);
        s.user_creates = Rate::per_second(1, 1);
        s.all_calls = Rate::per_second(1, 6);
    });
    let one = at("203.0.113.1");
    let two = at("203.0.113.2");
    let now = 1_000_000_000;
    let alice = UserId::parse("alice").unwrap();
    assert_eq!([(); 3].map(|()| limits.address_at(one, Budget::Login, now).is_ok()), [true, true, false]);
    assert_eq!(limits.address_at(one, Budget::Login, now), Err(TooMuch(1)));
    assert_eq!(limits.address_at(two, Budget::Login, now), Ok(()), "another address");
    assert_eq!(limits.address_at(one, Budget::Call, now), Ok(()), "another kind");
    assert_eq!([(); 2].map(|()| limits.user_at(&alice, Budget::Create, now).is_ok()), [true, false]);
    assert_eq!(limits.user_at(&alice, Budget::Join, now), Ok(()));
    assert_eq!([(); 3].map(|()| limits.address_at(two, Budget::Call, now).is_ok()), [true, true, false]);
    let logins = [(); 61].map(|()| limits.user_at(&alice, Budget::Login, now).is_ok());
    assert_eq!(logins.iter().filter(|may| **may).count(), 60, "by the default of a user's logins");
    assert_eq!(limits.user_at(&alice, Budget::Login, now + 1_000_000), Ok(()), "one a second");
    assert_eq!(limits.refused(Whose::Address, Budget::Login), 2);
    assert_eq!(limits.refused(Whose::User, Budget::Create), 1);
    assert_eq!(limits.refused(Whose::All, Budget::Call), 1);
}

#[test]
fn connections_are_counted_while_they_last() {
    let limits = limits(|s| s.address_connections = 2);
    let one = at("2001:db8::1");
    let neighbour = at("2001:db8::2");
    let first = limits.connect(one).unwrap();
    let _second = limits.connect(neighbour).unwrap();
    assert!(limits.connect(one).is_err(), "the network has two already");
    assert!(limits.connect(at("2001:db8:0:1::1")).is_ok(), "another network");
    drop(first);
    assert!(limits.connect(one).is_ok());
    assert!(limits.held.iter().map(|held| held.lock().values().sum::<usize>()).sum::<usize>() == 1);
}

#[test]
fn this_machine_is_not_limited() {
    let limits = limits(|s| {
        s.address_calls = Rate::per_second(1, 1);
        s.user_calls = Rate::per_second(1, 1);
        s.address_connections = 1;
    });
    let alice = UserId::parse("alice").unwrap();
    for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(at) {
        let places: Vec<_> = (0..3).map(|_| limits.connect(local).unwrap()).collect();
        assert!((0..3).all(|_| limits.address(local, Budget::Login).is_ok()));
        assert!((0..3).all(|_| limits.user(&alice, Some(local), Budget::Call).is_ok()));
        drop(places);
    }
    let far = at("198.51.100.1");
    assert_eq!([(); 2].map(|()| limits.user(&alice, Some(far), Budget::Call).is_ok()), [true, false]);
}
