//! Mixes of two nodes, with real video: asked for anywhere, seen everywhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::kit::pictures::{Pair, Viewer, background, children, guest, merge, pair, push_color, stream_of, until_seen};
use crate::kit::redis::node;
use crate::kit::whep;
use crate::kit::{self, PATIENCE, Server, directory, probe, until};
use serde_json::{Value, json};
use sign::Secret;
use sign::push_url::{Algorithm, sign};
use testkit::RedisServer;
use testkit::bounded::program;

const SIZE: (usize, usize) = (360, 640);
const MOVED: [((usize, usize), &str); 2] = [((80, 120), "blue"), ((280, 430), "red")];
const ALONE: [((usize, usize), &str); 2] = [((80, 120), "red"), ((280, 430), "red")];

#[test]
fn a_mix_is_one_wherever_it_is_asked_for_and_seen() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let elsewhere = b.login("live_room", "alice");
    let Pair { alice, bob, hers, his, her_push: _her_push, his_push: _his_push } = pair(&a, &b);
    let mixed = |user: &kit::User<'_>| {
        let seen = user.ok("get_pushers", json!({ "roomID": "r" }));
        let url = |at: &Value| at.as_str().unwrap().to_owned();
        (url(&seen["mixedPlayURL"]), url(&seen["pushers"][0]["hlsURL"]), url(&seen["pushers"][0]["accelerateURL"]))
    };
    let (at_a, _, _) = mixed(&alice);
    let (at_b, hls_at_b, raw_at_b) = mixed(&bob);
    assert!(at_a.contains(&a.http.to_string()) && at_b.contains(&b.http.to_string()));
    let name = stream_of(&hers);
    let guests = stream_of(&his);
    let mut viewer = Viewer::watch(&at_b);
    until("the viewer sees the creator", || viewer.pictures() > 0);

    // Asked at the first node: the guest's stream comes from the second one, whose audience sees the mix, too. The answer
    // waits for that, so that it is a yes at once where the streams flow.
    let reply = merge(&alice, "r", &name, vec![background(&name), guest(&guests, 200, 310)]);
    assert_eq!(reply["merge_code"], 0, "{reply}");
    let placed = [((280, 430), "blue"), ((190, 430), "red")];
    until_seen(&at_a, SIZE, &placed);
    until_seen(&at_b, SIZE, &placed);
    until_seen(&hls_at_b, SIZE, &placed);
    until("a running viewer changes over", || viewer.configurations() >= 2);
    // Co-anchors get the creator's own, as they do at the node that mixes.
    until_seen(&raw_at_b, SIZE, &ALONE);
    assert_eq!((children(&a).len(), children(&b).len()), (1, 0));

    // Changed at the other node: the same mix, another layout.
    let reply = merge(&elsewhere, "r", &name, vec![background(&name), guest(&guests, 0, 0)]);
    assert_eq!(reply["merge_code"], 0, "{reply}");
    until_seen(&at_a, SIZE, &MOVED);
    until_seen(&at_b, SIZE, &MOVED);
    until("one process mixes", || (children(&a).len(), children(&b).len()) == (1, 0));
    // And ended there.
    merge(&elsewhere, "r", &name, vec![background(&name)]);
    until("nobody mixes", || children(&a).is_empty());
    until_seen(&at_b, SIZE, &ALONE);
    let before = viewer.pictures();
    until("the viewer is back", || viewer.pictures() > before + 10);
    assert!(viewer.running(), "one connection all along");
    let times = viewer.seen.lock().unwrap().times.clone();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "time never steps back: {times:?}");
}

#[test]
fn a_mix_is_made_again_after_a_restart_when_its_streams_are_back() {
    let mut server = Server::start(directory());
    let both = |server: &Server| {
        let Pair { alice, hers, his, her_push, his_push, .. } = pair(server, server);
        let mixed = alice.ok("get_pushers", json!({ "roomID": "r" }))["mixedPlayURL"].as_str().unwrap().to_owned();
        (mixed, stream_of(&hers), stream_of(&his), (her_push, his_push))
    };
    let (mixed, name, guests, pushes) = {
        let seen = both(&server);
        let alice = server.login("live_room", "alice");
        let reply = merge(&alice, "r", &seen.1, vec![background(&seen.1), guest(&seen.2, 0, 0)]);
        assert_eq!(reply["merge_code"], 0, "{reply}");
        seen
    };
    until_seen(&mixed, SIZE, &MOVED);
    drop(pushes);
    server.crash();

    // Nobody asks for it: the old clients do so only when a pusher comes or goes.
    let mut server = server.again(&[]);
    {
        let (mixed, again, _, _pushes) = both(&server);
        assert_eq!(again, name);
        until_seen(&mixed, SIZE, &MOVED);
        // What was ended does not come again.
        let alice = server.login("live_room", "alice");
        merge(&alice, "r", &name, vec![background(&name)]);
        until("no process is left", || children(&server).is_empty());
    }
    server.crash();
    let server = server.again(&[]);
    let (mixed, _, again, _pushes) = both(&server);
    assert_eq!(again, guests);
    until_seen(&mixed, SIZE, &ALONE);
    std::thread::sleep(Duration::from_secs(3));
    assert!(children(&server).is_empty());
}

/// Stopped, it gives nothing, takes nothing, and does not end.
#[test]
fn an_ffmpeg_that_hangs_is_replaced_and_the_audience_sees_the_creator_meanwhile() {
    let server = Server::start(directory());
    let Pair { alice, hers, his, her_push: _her_push, his_push: _his_push, .. } = pair(&server, &server);
    let mixed = alice.ok("get_pushers", json!({ "roomID": "r" }))["mixedPlayURL"].as_str().unwrap().to_owned();
    let name = stream_of(&hers);
    let reply = merge(&alice, "r", &name, vec![background(&name), guest(&stream_of(&his), 0, 0)]);
    assert_eq!(reply["merge_code"], 0, "{reply}");
    until_seen(&mixed, SIZE, &MOVED);
    let mut viewer = Viewer::watch(&mixed);
    until("the viewer sees the mix", || viewer.pictures() > 0);
    let [hung] = children(&server)[..] else { panic!("one process mixes") };
    let before = viewer.configurations();
    assert!(program("kill").args(["-STOP", &hung.to_string()]).status().unwrap().success());
    until("the creator is seen, and the mix again", || viewer.configurations() >= before + 2);
    until_seen(&mixed, SIZE, &MOVED);
    until("one process mixes, and it is another", || children(&server).len() == 1 && children(&server)[0] != hung);
    assert!(viewer.running(), "one connection all along");
    let written = server.written();
    assert!(written.contains("ffmpeg of a mix hangs") && written.contains("the audience sees the stream itself"));
}

#[test]
fn a_mix_of_its_own_is_played_from_everywhere_and_ends_with_its_node() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let Pair { alice, bob, hers, his, her_push: _her_push, his_push: _his_push } = pair(&a, &b);
    let name = stream_of(&hers);
    let guests = stream_of(&his);
    let own = format!("{name}_mixed");
    // At the guest's node: the creator's stream comes there.
    let ask = |user: &kit::User<'_>, session: &str, output: &str, kind: u8, x: u32| {
        let params = json!({
            "timestamp": 1, "eventId": 1,
            "interface": {"interfaceName": "Mix_StreamV2", "para": {
                "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
                "mix_stream_session_id": session, "output_stream_id": output, "output_stream_type": kind,
                "input_stream_list": [background(&name), guest(&guests, x, 0)],
            }},
        });
        let mut code = None;
        until("the inputs flow", || {
            let reply = user.ok("merge_stream", json!({ "roomID": "r", "mergeParams": params.to_string() }));
            code = reply["merge_code"].as_i64();
            !matches!(code, Some(-505 | -507))
        });
        code.unwrap()
    };
    assert_eq!(ask(&bob, "own", &own, 1, 0), 0);
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let query = sign(Algorithm::Md5, &Secret::new("shared by all nodes"), &own, expires);
    for server in [&b, &a] {
        let http = |form: &str| format!("http://{}/live/{own}{form}?{query}", server.http);
        until_seen(&http(".flv"), SIZE, &MOVED);
        until_seen(&format!("rtmp://{}/live/{own}?{query}", server.rtmp), SIZE, &MOVED);
        let mut hls = probe(&http(".m3u8"));
        hls.dedup();
        assert_eq!(hls, ["aac", "h264"]);
        whep::play(server, &format!("http://{}/whep/{own}?{query}", server.http), 20);
    }
    // Its name is taken at every node, also in another session.
    assert_eq!(ask(&alice, "other", &own, 1, 0), -300);

    // Two nodes are asked for one session at the same moment, over the creator's stream: one of them mixes it.
    let second = b.login("live_room", "alice");
    std::thread::scope(|scope| {
        let both = [&alice, &second].map(|user| scope.spawn(|| ask(user, "over", &name, 0, 0)));
        for asked in both {
            assert_eq!(asked.join().unwrap(), 0);
        }
    });
    let mixing = |server: &Server| children(server).len();
    until("two processes in all", || mixing(&a) + mixing(&b) == 2);
    assert_eq!(ask(&second, "third", &name, 0, 0), -508, "the output is another session's");

    // The node that mixes is killed: the audience elsewhere sees the stream itself again, and may mix anew at once.
    let seen = alice.ok("get_pushers", json!({ "roomID": "r" }));
    let at_a = seen["mixedPlayURL"].as_str().unwrap().to_owned();
    until_seen(&at_a, SIZE, &MOVED);
    drop(b);
    let _his_push = push_color(&his.replace(&bob_rtmp(&his), &a.rtmp.to_string()), "blue", "320x480");
    let begun = std::time::Instant::now();
    while ask(&alice, "over", &name, 0, 0) != 0 {
        assert!(begun.elapsed() < PATIENCE, "mixed anew");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    until_seen(&at_a, SIZE, &MOVED);
    assert_eq!(mixing(&a), 1);
}

/// PK as the apps of the second generation do it: each anchor mixes the other's stream beside its own, over its own.
#[test]
fn anchors_of_two_rooms_are_mixed_once_both_ask() {
    let redis = RedisServer::start(&[]);
    let a = node(&redis);
    let b = node(&redis);
    let alice = a.login("live_room", "alice");
    let bob = b.login("live_room", "bob");
    let carol = a.login("live_room", "carol");
    let hers = alice.push_url("r");
    let his = bob.push_url("s");
    let third = carol.push_url("t");
    let _pushes =
        [(&hers, "red"), (&his, "blue"), (&third, "green")].map(|(url, color)| push_color(url, color, "360x640"));
    for (user, room, url) in [(&alice, "r", &hers), (&bob, "s", &his), (&carol, "t", &third)] {
        assert_eq!(user.enter(room, url)["code"], 0);
    }
    let played = |user: &kit::User<'_>, room: &str| {
        let seen = user.ok("get_pushers", json!({ "roomID": room }));
        seen["mixedPlayURL"].as_str().unwrap().to_owned()
    };
    let at_a = played(&alice, "r");
    let at_b = played(&bob, "s");
    let her_stream = stream_of(&hers);
    let his_stream = stream_of(&his);
    let third_stream = stream_of(&third);
    until_seen(&at_a, SIZE, &ALONE);
    until_seen(&at_b, SIZE, &[((80, 120), "blue")]);

    // Who asks first is told to try again: nobody is shown beside whom it does not know.
    let beside = |own: &str, other: &str| {
        let at = |stream: &str, layer: u32, x: u32| {
            let place = json!({"image_layer": layer, "image_width": 360, "image_height": 640, "location_x": x});
            json!({"input_stream_id": stream, "layout_params": place})
        };
        let canvas = json!({"image_layer": 1, "input_type": 3, "image_width": 720, "image_height": 640});
        json!([{"input_stream_id": own, "layout_params": canvas}, at(own, 2, 0), at(other, 3, 360)])
    };
    let ask = |user: &kit::User<'_>, room: &str, own: &str, inputs: Value| {
        let para = json!({
            "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
            "mix_stream_session_id": own, "output_stream_id": own, "input_stream_list": inputs,
        });
        let params = json!({"interface": {"interfaceName": "Mix_StreamV2", "para": para}});
        user.ok("merge_stream", json!({ "roomID": room, "mergeParams": params.to_string() }))
    };
    let hers_with_his = || ask(&alice, "r", &her_stream, beside(&her_stream, &his_stream));
    let refused = hers_with_his();
    assert_eq!(refused["merge_code"], -505, "{refused}");
    assert!(refused["merge_msg"].as_str().unwrap().contains(&his_stream), "{refused}");
    assert_eq!(ask(&carol, "t", &third_stream, beside(&third_stream, &his_stream))["merge_code"], -505);
    // A request that is no mix says nothing.
    let unsound = json!([background(&his_stream), {"input_stream_id": her_stream}]);
    assert_eq!(ask(&bob, "s", &his_stream, unsound)["merge_code"], -11);
    assert_eq!(hers_with_his()["merge_code"], -505);
    // Nor does one that ends a mix, whatever it names.
    ask(&bob, "s", &his_stream, json!([background(&her_stream)]));
    assert_eq!(hers_with_his()["merge_code"], -505);
    let reply = ask(&bob, "s", &his_stream, beside(&his_stream, &her_stream));
    assert_eq!(reply["merge_code"], 0, "{reply}");
    let reply = hers_with_his();
    assert_eq!(reply["merge_code"], 0, "{reply}");

    // Each room's audience sees both, its own anchor on the left.
    const WIDE: (usize, usize) = (720, 640);
    until_seen(&at_a, WIDE, &[((180, 320), "red"), ((540, 320), "blue")]);
    until_seen(&at_b, WIDE, &[((180, 320), "blue"), ((540, 320), "red")]);
    // No third one gets in, and neither ends or replaces the other's mix.
    assert_eq!(ask(&carol, "t", &third_stream, beside(&third_stream, &his_stream))["merge_code"], -505);
    assert_eq!(ask(&alice, "r", &his_stream, beside(&his_stream, &her_stream))["merge_code"], -111);
    assert_eq!(ask(&alice, "r", &his_stream, json!([background(&his_stream)]))["merge_code"], -31001);

    // He leaves it: his own audience sees him alone; hers does once she asks again.
    let alone = |user: &kit::User<'_>, room: &str, own: &str| ask(user, room, own, json!([background(own)]));
    assert_eq!(alone(&bob, "s", &his_stream)["merge_code"], 0);
    until_seen(&at_b, SIZE, &[((80, 120), "blue")]);
    assert_eq!(hers_with_his()["merge_code"], -505, "he does not agree any more");
    assert_eq!(alone(&alice, "r", &her_stream)["merge_code"], 0);
    until_seen(&at_a, SIZE, &ALONE);

    // What was agreed ends with the stay in the room.
    assert_eq!(hers_with_his()["merge_code"], -505);
    assert_eq!(ask(&bob, "s", &his_stream, beside(&his_stream, &her_stream))["merge_code"], 0);
    assert_eq!(bob.call("delete_pusher", json!({ "roomID": "s" }))["code"], 0);
    assert_eq!(hers_with_his()["merge_code"], -505, "he is in no room");
    assert_eq!(bob.enter("s", &his)["code"], 0);
    assert_eq!(hers_with_his()["merge_code"], -505, "he has asked for nothing since he came back");
}

#[test]
fn who_is_put_out_is_seen_in_no_mix() {
    let server = Server::start(directory());
    let Pair { alice, bob: _, hers, his, her_push: _her_push, his_push } = pair(&server, &server);
    let name = stream_of(&hers);
    let guests = stream_of(&his);
    let inputs = || vec![background(&name), guest(&guests, 0, 0)];
    assert_eq!(merge(&alice, "r", &name, inputs())["merge_code"], 0);
    let seen = alice.ok("get_pushers", json!({ "roomID": "r" }));
    let audience = seen["mixedPlayURL"].as_str().unwrap();
    until_seen(audience, SIZE, &MOVED);
    // The guest: the mix goes on without it, though another one would stand still in it.
    assert_eq!(server.request("DELETE", &format!("/api/v1/streams/{guests}?forbid=60"), "").0, 204);
    until_seen(audience, SIZE, &ALONE);
    drop(his_push);
    // The creator: what its audience saw of it ends, too.
    assert_eq!(server.request("DELETE", &format!("/api/v1/streams/{name}?forbid=60"), "").0, 204);
    until("nobody mixes", || children(&server).is_empty());
}

/// `host:port` in a push URL.
fn bob_rtmp(url: &str) -> String {
    url.split_once("://").unwrap().1.split('/').next().unwrap().to_owned()
}
