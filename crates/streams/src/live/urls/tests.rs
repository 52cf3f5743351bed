//! URLs as clients get them, and the ones that are refused.

use super::super::base::Scheme;
use super::*;
use sign::Secret;
use sign::push_url::Algorithm;

const NOW: Millis = Millis(1_700_000_000_000);

fn urls(port: u16) -> Urls {
    let settings = Settings { bizid: 8525, push_secret_key: Secret::new("push key"), ..Settings::default() };
    Urls::new(&settings, port)
}
fn room(id: &str) -> RoomId {
    RoomId::parse(id).unwrap()
}
fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}
fn base(authority: &str) -> Base<'_> {
    Base { scheme: Scheme::Http, authority }
}
fn query(url: &str) -> &str {
    url.split_once('?').unwrap().1
}

#[test]
fn urls_lead_back_to_where_the_client_came_from() {
    let stream = StreamId::parse("8525_r_alice").unwrap();
    let push = urls(1935).push(&base("localhost:5757"), &stream, NOW);
    assert!(push.starts_with("rtmp://localhost/live/8525_r_alice?bizid=8525&txSecret="), "{push}");
    let push = urls(2935).push(&base("[::1]:5757"), &stream, NOW);
    assert!(push.starts_with("rtmp://[::1]:2935/live/"), "{push}");
    let flv = urls(1935).plays(base("localhost:5757"), None, NOW).of(&stream, None).flv().to_string();
    assert!(flv.starts_with("http://localhost:5757/live/8525_r_alice.flv?txSecret="), "{flv}");
    let at = base("localhost:5757");
    let play = urls(1935).plays(at, None, NOW).of(&stream, None).whep().to_string();
    assert!(play.starts_with("http://localhost:5757/whep/8525_r_alice?txSecret="), "{play}");
    assert!(urls(1935).may_play(stream.as_str(), query(&play), NOW).is_ok());
    let play = urls(1935).plays(at, None, NOW).of(&stream, None).webrtc().to_string();
    assert!(play.starts_with("webrtc://localhost/live/8525_r_alice?txSecret="), "no port: {play}");
    assert!(urls(1935).may_play(stream.as_str(), query(&play), NOW).is_ok());
    let whip = urls(1935).whip(&at, &stream, NOW);
    assert!(whip.starts_with("http://localhost:5757/whip/8525_r_alice?txSecret="), "{whip}");
    assert!(urls(1935).may_push(stream.as_str(), query(&whip), NOW).is_ok());
    let set = Settings {
        push_host: "push.example.com:443".into(),
        play_host: "play.example.com:444".into(),
        ..Settings::default()
    };
    let set = Urls::new(&set, 1935);
    let play = set.plays(base("x"), None, NOW).of(&stream, None).webrtc().to_string();
    assert!(play.starts_with("webrtc://play.example.com/live/"), "{play}");
    assert!(set.push(&base("x"), &stream, NOW).starts_with("rtmp://push.example.com:443/live/"));
    let accelerate = set.plays(base("x"), None, NOW).of(&stream, None).accelerate().to_string();
    assert!(accelerate.starts_with("rtmp://play.example.com:444/live/"), "{accelerate}");
}

#[test]
fn who_may_play_may_not_push() {
    let urls = urls(1935);
    let stream = StreamId::parse("8525_r_alice").unwrap();
    let push = urls.push(&base("h"), &stream, NOW);
    let play = urls.plays(base("h"), None, NOW).of(&stream, None).accelerate().to_string();
    assert!(urls.may_push(stream.as_str(), query(&push), NOW).is_ok());
    assert!(urls.may_play(stream.as_str(), query(&play), NOW).is_ok());
    assert!(urls.may_play(stream.as_str(), query(&push), NOW).is_ok(), "a pusher may see itself");
    assert_eq!(urls.may_push(stream.as_str(), query(&play), NOW), Err(Invalid::Signature));
    assert_eq!(urls.may_play("8525_r_bob", query(&play), NOW), Err(Invalid::Signature));
    assert_eq!(urls.may_push(stream.as_str(), query(&push), NOW.plus(8 * 24 * 3600 * 1000)), Err(Invalid::Expired));
}

#[test]
fn a_play_url_says_whom_it_is_for_and_cannot_be_made_anybody_elses() {
    let urls = urls(1935);
    let alice = user("alice b&c".replace(' ', "_").as_str());
    let r = room("r");
    let holder = |user: &UserId, room: Option<&RoomId>| Holder { user: Some(user.clone()), room: room.cloned() };
    let stream = urls.stream(Some(&r), &user("bob"), 0).unwrap();
    let play = |stream: &StreamId, room: Option<&RoomId>| {
        let url = urls.plays(base("h"), Some(&alice), NOW).of(stream, room).hls().to_string();
        query(&url).to_owned()
    };
    let named = play(&stream, Some(&r));
    assert!(named.ends_with("&uid=alice_b~26c"), "the stream's name tells the room: {named}");
    assert_eq!(urls.may_play(stream.as_str(), &named, NOW), Ok(holder(&alice, Some(&r))));
    // Neither without the name, nor with another one, in another room, for another stream or at another time.
    let bare = named.split("&uid").next().unwrap();
    let other = named.replace("alice", "carol");
    let elsewhere = format!("{named}&rid=q");
    for bad in [bare, &other, &elsewhere, &named.replace("txTime=6", "txTime=7"), &named.replace("&uid=", "&uid=~zz")] {
        assert!(urls.may_play(stream.as_str(), bad, NOW).is_err(), "{bad}");
    }
    assert!(urls.may_play("8525_r_eve", &named, NOW).is_err());
    assert!(urls.may_push(stream.as_str(), &named, NOW).is_err());
    // A name that tells no room, or might tell another one, is told the room.
    let fresh = urls.stream(None, &user("r_x"), 0xabcd).unwrap();
    assert_eq!(fresh.as_str(), "8525_r_x_abcd");
    let told = play(&fresh, Some(&r));
    assert!(told.ends_with("&rid=r"), "{told}");
    assert_eq!(urls.may_play(fresh.as_str(), &told, NOW), Ok(holder(&alice, Some(&r))));
    assert!(urls.may_play(fresh.as_str(), told.strip_suffix("&rid=r").unwrap(), NOW).is_err());
    assert_eq!(urls.may_play(fresh.as_str(), &play(&fresh, None), NOW), Ok(holder(&alice, None)));
    // What was signed by the app's backend is anybody's; what may push is its user's.
    let anybodys = urls.plays(base("h"), None, NOW).of(&stream, None).flv().to_string();
    assert_eq!(urls.may_play(stream.as_str(), query(&anybodys), NOW), Ok(Holder::default()));
    let push = urls.push(&base("h"), &stream, NOW);
    assert_eq!(urls.may_play(stream.as_str(), query(&push), NOW), Ok(holder(&user("bob"), Some(&r))));
    assert_eq!(urls.names_in(&room("a_b"), &user("c")).len(), 2);
}

#[test]
fn a_pusher_brings_its_own_url() {
    let urls = urls(1935);
    let now = NOW;
    let stream = urls.stream(Some(&room("r")), &user("alice"), 0).unwrap();
    let url = urls.push(&base("h"), &stream, now);
    assert_eq!(urls.check_push_url(&url, &room("r"), &user("alice"), now), Ok(stream));
    assert_eq!(urls.check_push_url(&url, &room("r"), &user("bob"), now), Err(Invalid::Mismatch("stream name")));
    assert_eq!(urls.check_push_url(&url, &room("q"), &user("alice"), now), Err(Invalid::Mismatch("stream name")));
    let fresh = urls.stream(None, &user("alice"), 0xabcd).unwrap();
    let url = urls.push(&base("h"), &fresh, now);
    assert!(urls.check_push_url(&url, &room("any"), &user("alice"), now).is_ok());
    assert!(urls.check_push_url(&url, &room("any"), &user("alice2"), now).is_err());
    for bad in ["", "x", "rtmp://h/live/s", "rtmp://h/live/8525_r_alice?txSecret=00&txTime=zz", "http://p/a.png?v=1"] {
        assert!(urls.check_push_url(bad, &room("r"), &user("alice"), now).is_err(), "{bad}");
    }
}

#[test]
fn the_apps_own_backend_may_sign_with_the_same_key() {
    let urls = urls(1935);
    let sign = |stream: &str| {
        let query = push_url::sign(Algorithm::Md5, &Secret::new("push key"), stream, NOW.secs() + 60);
        format!("rtmp://8525.livepush.example.com/live/{stream}?bizid=8525&{query}")
    };
    let made = urls.check_push_url(&sign("8525_my_room_al_ice"), &room("my_room"), &user("al_ice"), NOW);
    assert_eq!(made.unwrap().as_str(), "8525_my_room_al_ice");
    assert!(urls.check_push_url(&sign("own-name"), &room("r"), &user("alice"), NOW).is_ok());
}

#[test]
fn a_url_is_no_permission_for_a_stream_whose_name_is_shorter_or_longer() {
    let urls = urls(1935);
    // The id of one user is the other's with hexadecimal digits after it.
    let stream = urls.stream(Some(&room("r")), &user("alice00"), 0).unwrap();
    let push = urls.push(&base("h"), &stream, NOW);
    let viewer = user("alice00");
    let play = urls.plays(base("h"), Some(&viewer), NOW).of(&stream, None).accelerate().to_string();
    for url in [&push, &play] {
        let (before, time) = query(url).split_once("txTime=").unwrap();
        let (time, after) = time.split_at(8);
        let whole = format!("{stream}{time}");
        for cut in 1..whole.len() {
            let (name, time) = whole.split_at(cut);
            let moved = format!("{before}txTime={time}{after}");
            let allowed = urls.may_push(name, &moved, NOW).is_ok() || urls.may_play(name, &moved, NOW).is_ok();
            assert_eq!(allowed, name == stream.as_str(), "{name}?{moved}");
        }
    }
}

#[test]
fn no_url_is_good_for_longer_than_the_settings_say() {
    let settings = Settings { push_secret_key: Secret::new("push key"), ..Settings::default() };
    let urls = Urls::new(&settings, 1935);
    let last = NOW.secs() + 8 * 24 * 3600;
    let query = |until| push_url::sign(Algorithm::Md5, &Secret::new("push key"), "s", until);
    assert!(urls.may_push("s", &query(last), NOW).is_ok());
    assert_eq!(urls.may_push("s", &query(last + 1), NOW), Err(Invalid::TooLong));
    assert_eq!(urls.may_play("s", &query(last + 1), NOW), Err(Invalid::TooLong));
    assert!(urls.may_push("s", &query(last + 1), NOW.plus(1000)).is_ok());
}

#[test]
fn keys_that_begin_with_each_other_are_no_two_keys() {
    let problems = |push: &str, backup: &str, play: &str| {
        let mut found = Vec::new();
        let [push_secret_key, backup_push_secret_key, play_secret_key] = [push, backup, play].map(Secret::new);
        Settings { push_secret_key, backup_push_secret_key, play_secret_key, ..Settings::default() }
            .problems(&mut found);
        found
    };
    for (push, backup, play) in [("push", "", ""), ("push", "old", "play"), ("push", "push", "")] {
        assert!(problems(push, backup, play).is_empty(), "{push} {backup} {play}");
    }
    for (push, backup, play) in
        [("push", "push2", ""), ("push", "", "push"), ("pushed", "", "push"), ("a", "old", "older")]
    {
        let found = problems(push, backup, play);
        assert!(matches!(&found[..], [one] if one.contains("another key than")), "{found:?}");
    }
}

#[test]
fn tencent_urls_have_the_forms_that_its_domains_know() {
    let settings = |push_host: &str, play_host: &str, play_key: &str| Settings {
        provider: Provider::Tencent,
        bizid: 5000,
        push_secret_key: Secret::new("b63e54ac9a2ac4c3a5c3e6c37c9a1bb5"),
        play_secret_key: Secret::new(play_key),
        push_host: push_host.into(),
        play_host: play_host.into(),
        valid_time: 86_400,
        ..Settings::default()
    };
    let stream = StreamId::parse("5000_room1_user1").unwrap();
    let base = base("ignored:1");
    // What Tencent signs at 1700086400.
    let signed = "txSecret=ba18eeba3fc9d304ab31b1cffc63888a&txTime=65554280";
    let legacy = Urls::new(&settings("", "", ""), 1935);
    let path = "live/5000_room1_user1";
    assert_eq!(
        legacy.push(&base, &stream, NOW),
        format!("rtmp://5000.livepush.myqcloud.com/{path}?bizid=5000&{signed}")
    );
    assert_eq!(
        legacy.plays(base, None, NOW).of(&stream, None).accelerate().to_string(),
        format!("rtmp://5000.liveplay.myqcloud.com/{path}?bizid=5000&{signed}"),
        "the play host, with the push key"
    );
    assert_eq!(
        legacy.plays(base, None, NOW).of(&stream, None).flv().to_string(),
        format!("http://5000.liveplay.myqcloud.com/{path}.flv")
    );
    let own = Urls::new(&settings("push.example.com", "play.example.com", "another key"), 1935);
    assert_eq!(own.push(&base, &stream, NOW), format!("rtmp://push.example.com/{path}?{signed}"));
    assert_eq!(own.push_webrtc(&base, &stream, NOW).unwrap(), format!("webrtc://push.example.com/{path}?{signed}"));
    let srt =
        format!("srt://push.example.com:9000?streamid=#!::h=push.example.com,r={path},{}", signed.replace('&', ","));
    assert_eq!(own.push_srt(&stream, NOW).unwrap(), srt);
    let hls = own.plays(base, None, NOW).of(&stream, None).hls().to_string();
    assert!(
        hls.starts_with(&format!("http://play.example.com/{path}.m3u8?txSecret=")) && !hls.contains(signed),
        "{hls}"
    );
    assert!(
        own.plays(base, None, NOW)
            .of(&stream, None)
            .webrtc()
            .to_string()
            .starts_with("webrtc://play.example.com/live/")
    );
    // What we hand out, and what the app's backend made with the backup key, is taken.
    for url in [own.push(&base, &stream, NOW), own.push_webrtc(&base, &stream, NOW).unwrap(), srt] {
        assert_eq!(own.check_push_url(&url, &room("room1"), &user("user1"), NOW), Ok(stream.clone()), "{url}");
    }
    let backup = Settings {
        backup_push_secret_key: Secret::new("b63e54ac9a2ac4c3a5c3e6c37c9a1bb5"),
        push_secret_key: Secret::new("new"),
        ..settings("", "", "")
    };
    let url = legacy.push(&base, &stream, NOW);
    assert!(Urls::new(&backup, 1).check_push_url(&url, &room("room1"), &user("user1"), NOW).is_ok());
    let long = Settings { algorithm: super::super::Algorithm::Sha256, ..settings("", "", "") };
    let url = Urls::new(&long, 1).push(&base, &stream, NOW);
    assert!(url.contains("txSecret=") && url.split("txSecret=").nth(1).unwrap().find('&') == Some(64), "{url}");
}

#[test]
fn no_url_of_webrtc_is_given_where_it_is_switched_off() {
    let stream = StreamId::parse("5000_room1_user1").unwrap();
    for on in [true, false] {
        let urls = Urls::new(&Settings::default(), 1935).with_webrtc(on);
        let plays = urls.plays(base("h:1"), None, NOW);
        let play = plays.of(&stream, None);
        let given = [urls.whip(&base("h:1"), &stream, NOW), play.whep().to_string(), play.webrtc().to_string()];
        assert!(given.iter().all(|url| url.is_empty() != on), "{given:?}");
        assert!(!play.flv().to_string().is_empty());
    }
}

/// The steps of docs/operate.md: at any moment two servers that stand at neighbouring steps take each other's URLs.
#[test]
fn the_push_key_is_exchanged_without_a_gap() {
    let at = |push: &str, backup: &str| Settings {
        bizid: 8525,
        push_secret_key: Secret::new(push),
        backup_push_secret_key: Secret::new(backup),
        ..Settings::default()
    };
    let steps = [at("old", ""), at("old", "new"), at("new", "old"), at("new", "")];
    let stream = StreamId::parse("8525_r_alice").unwrap();
    let viewer = user("bob");
    let takes = |from: &Urls, to: &Urls| {
        let name = stream.as_str();
        let play = |viewer| from.plays(base("h"), viewer, NOW).of(&stream, None).flv().to_string();
        [
            to.may_push(name, query(&from.push(&base("h"), &stream, NOW)), NOW).is_ok(),
            to.may_play(name, query(&play(None)), NOW).is_ok(),
            to.may_play(name, query(&play(Some(&viewer))), NOW).is_ok(),
            to.may_pull(name, &from.pull_query(name, NOW), NOW).is_ok(),
        ]
    };
    for pair in steps.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|settings| Urls::new(settings, 1935));
        assert_eq!(takes(&before, &after), [true; 4], "{pair:?}");
        assert_eq!(takes(&after, &before), [true; 4], "{pair:?}");
    }
    let [first, last] = [&steps[0], &steps[3]].map(|settings| Urls::new(settings, 1935));
    assert_eq!(takes(&first, &last), [false; 4], "an exchanged key opens nothing");
    // The backup key comes and goes while the server runs.
    last.set_backup(&steps[2]);
    assert_eq!(takes(&first, &last), [true; 4]);
    last.set_backup(&steps[3]);
    assert_eq!(takes(&first, &last), [false; 4]);
    // Without a backup key, what is made of an empty one opens nothing.
    assert_eq!(takes(&Urls::new(&at("", ""), 1935), &last), [false; 4]);
    // A key of play URLs that is set stays what it is.
    let apart = |push: &str, backup: &str| Settings { play_secret_key: Secret::new("play"), ..at(push, backup) };
    let [before, after] = [apart("old", ""), apart("new", "")].map(|settings| Urls::new(&settings, 1935));
    assert_eq!(takes(&before, &after), [false, true, true, false]);
}
