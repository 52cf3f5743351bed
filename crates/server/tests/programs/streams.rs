//! What is made of streams, on the real program with real video: HLS, mixes, recordings, a publisher that comes back.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::kit::pictures::{
    Pair, Viewer, background, children, guest, merge, pair, path, push_color, stream_of, until_seen,
};
use crate::kit::{self, PATIENCE, Server, directory, ended, open_websocket, push, until};
use serde_json::json;
use testkit::bounded::program;

#[test]
fn hls_is_played_by_others_and_permitted_by_the_query() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let urls = alice.ok("get_push_url", json!({ "roomID": "r" }));
    let url = urls["pushURL"].as_str().unwrap();
    let hls = urls["hlsURL"].as_str().unwrap();
    let _push = push(url);

    // Another program plays it: both codecs, and pictures that decode.
    let mut codecs = kit::probe(hls);
    // Listed once as streams and once as those of the programme.
    codecs.dedup();
    assert_eq!(codecs, ["aac", "h264"]);
    let mut play = program("ffmpeg");
    let play = play.args(["-hide_banner", "-loglevel", "error", "-i", hls, "-frames:v", "20", "-f", "framemd5", "-"]);
    let played = play.output().unwrap();
    let frames = String::from_utf8(played.stdout).unwrap().lines().filter(|l| l.starts_with("0,")).count();
    assert!(frames >= 20, "{frames} frames; {}", String::from_utf8_lossy(&played.stderr));

    // The playlist hands the signature on, and of the rest of the query what is safe in it.
    let (status, text) = server.request("GET", &format!("{}&token=a.b&x=evil'", path(hls)), "");
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    assert!(text.starts_with("#EXTM3U") && text.contains("&token=a.b") && !text.contains("evil"), "{text}");
    let segment = text.lines().find(|l| l.contains(".m4s?txSecret=") && !l.starts_with('#')).expect("a segment");
    let segment = format!("/live/{segment}");
    let (status, bytes) = server.request("GET", &segment, "");
    assert_eq!((status, &bytes[4..8]), (200, &b"moof"[..]));

    // Without it, with a wrong one, after its time: nothing.
    let bare = |path: &str| path.split('?').next().unwrap().to_owned();
    for refused in [
        bare(path(hls)),
        bare(&segment),
        path(hls).replace("txTime=", "txTime=1"),
        segment.replace("txSecret=", "txSecret=0"),
    ] {
        assert_eq!(server.request("GET", &refused, "").0, 403, "{refused}");
    }
    assert_eq!(server.request("GET", &segment.replace(".m4s", ".mp4"), "").0, 404);

    // A low-latency player is answered when what it asks for is there.
    let number: u64 = text.lines().find_map(|l| l.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")).unwrap().parse().unwrap();
    let listed = text.lines().filter(|l| l.starts_with("#EXTINF")).count() as u64;
    let next = number + listed;
    let (status, text) = server.request("GET", &format!("{}&_HLS_msn={next}&_HLS_part=1", path(hls)), "");
    assert_eq!(status, 200);
    assert!(String::from_utf8(text).unwrap().contains(&format!("/{next}.1.m4s")));
    assert_eq!(server.request("GET", &format!("{}&_HLS_msn={}", path(hls), next + 50), "").0, 400);
    assert_eq!(server.request("GET", &format!("{}&_HLS_msn=x", path(hls)), "").0, 400);
}

#[test]
fn two_streams_are_mixed_and_outlive_a_guest_and_a_crash() {
    let server = Server::start(directory());
    let Pair { alice, bob: _, hers, his, her_push: _her_push, mut his_push } = pair(&server, &server);
    let seen = alice.ok("get_pushers", json!({ "roomID": "r" }));
    let mixed = seen["mixedPlayURL"].as_str().unwrap().to_owned();
    let raw = seen["pushers"][0]["accelerateURL"].as_str().unwrap().to_owned();
    let a = stream_of(&hers);
    let b = stream_of(&his);
    let size = (360, 640);

    // Before: the creator's own picture. A viewer stays from here to the end.
    let mut viewer = Viewer::watch(&mixed);
    until("the viewer sees the creator", || viewer.pictures() > 0);
    until_seen(&mixed, size, &[((280, 430), "red")]);

    let reply = merge(&alice, "r", &a, vec![background(&a), guest(&b, 200, 310)]);
    assert_eq!((&reply["merge_code"], &reply["result"]["code"]), (&json!(0), &json!(0)), "{reply}");
    // The guest is where the layout says, to its edges, and the creator around it.
    until_seen(
        &mixed,
        size,
        &[((280, 430), "blue"), ((210, 320), "blue"), ((350, 540), "blue"), ((190, 430), "red"), ((280, 300), "red")],
    );
    until("the viewer changes over", || viewer.configurations() >= 2);
    assert_eq!(kit::probe(&mixed), ["aac", "h264"]);
    // Co-anchors still get the creator's own.
    until_seen(&raw, size, &[((280, 430), "red")]);

    // Another layout: the guest moves.
    let before = viewer.pictures();
    merge(&alice, "r", &a, vec![background(&a), guest(&b, 0, 0)]);
    until_seen(&mixed, size, &[((80, 120), "blue"), ((280, 430), "red")]);
    until("the old process is gone", || children(&server).len() == 1);
    let times = viewer.seen.lock().unwrap().times[before - 1..].to_vec();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap < 1_000, "the change is seamless, not {gap} ms: {times:?}");

    // The process is killed: another one goes on.
    let killed = children(&server)[0];
    assert!(program("kill").args(["-9", &killed.to_string()]).status().unwrap().success());
    until("another process", || children(&server).iter().any(|pid| *pid != killed));
    let before = viewer.pictures();
    until("the viewer goes on", || viewer.pictures() > before + 20);
    until_seen(&mixed, size, &[((80, 120), "blue"), ((280, 430), "red")]);

    // The guest's publisher is cut off: the mix goes on with what was last seen of it.
    his_push.kill();
    let before = viewer.pictures();
    until("the mix does not wait for the guest", || viewer.pictures() > before + 40);
    until_seen(&mixed, size, &[((80, 120), "blue"), ((280, 430), "red")]);

    // He is back, and in the mix again.
    let _back = push_color(&his, "black", "320x480");
    until_seen(&mixed, size, &[((80, 120), "black"), ((280, 430), "red")]);

    // One input alone: no more mixing, and the creator is seen again.
    merge(&alice, "r", &a, vec![background(&a)]);
    until("no process is left", || children(&server).is_empty());
    until_seen(&mixed, size, &[((80, 120), "red"), ((280, 430), "red")]);
    let before = viewer.pictures();
    until("the viewer is back", || viewer.pictures() > before + 10 && viewer.configurations() >= 3);
    assert!(viewer.running(), "one connection all along");
    let times = viewer.seen.lock().unwrap().times.clone();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "time never steps back: {times:?}");

    // A stream that is none of this server's is refused; of another room: mixes.rs.
    let other = merge(&alice, "r", &a, vec![background(&a), guest("9_other_eve", 0, 0)]);
    assert_eq!(other["merge_code"], -4, "{other}");
}

#[test]
fn mixes_do_not_outlive_the_server() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let url = alice.push_url("r");
    let _push = push_color(&url, "red", "160x120");
    assert_eq!(alice.enter("r", &url)["code"], 0);
    let a = stream_of(&url);
    let canvas = json!({"input_stream_id": "canvas1", "layout_params": {"image_layer": 1, "input_type": 3, "image_width": 320, "image_height": 240}});
    let inset = json!({"input_stream_id": a, "layout_params": {"image_layer": 2, "image_width": 0.5, "image_height": 0.5, "location_x": 0.5, "location_y": 0.5}});
    assert_eq!(merge(&alice, "r", &a, vec![canvas, inset])["merge_code"], 0);
    let mixed = alice.ok("get_pushers", json!({ "roomID": "r" }))["mixedPlayURL"].as_str().unwrap().to_owned();
    until_seen(&mixed, (320, 240), &[((80, 60), "black"), ((240, 180), "red"), ((150, 180), "black")]);
    let left = children(&server);
    assert_eq!(left.len(), 1);
    // Killed, it has no time to clean up.
    drop(server);
    until("the process is gone", || {
        !std::path::Path::new(&format!("/proc/{}/cmdline", left[0])).exists() || {
            std::fs::read(format!("/proc/{}/cmdline", left[0])).unwrap_or_default().is_empty()
        }
    });
}

#[test]
fn recordings_are_made_when_allowed_and_play_when_cut() {
    let dir = directory();
    let kept = dir.join("kept");
    let server = Server::with(
        dir,
        &[("ROOMSERVICE_RECORD__ENABLED", "true"), ("ROOMSERVICE_RECORD__DIR", kept.to_str().unwrap())],
    );
    let alice = server.login("live_room", "alice");
    let wanted = alice.push_url("r");
    let other = alice.push_url("s");
    let mut push_wanted = push(&format!("{wanted}&record=1"));
    let _push_other = push(&other);
    let files = || std::fs::read_dir(&kept).unwrap().map(|f| f.unwrap().path()).collect::<Vec<_>>();
    until("three seconds are written", || files().first().is_some_and(|f| f.metadata().unwrap().len() > 100_000));
    assert_eq!(files().len(), 1, "the other one did not ask");
    let name = files()[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with(&stream_of(&wanted)), "{name}");

    // As a killed server leaves it: in the middle of something.
    let bytes = std::fs::read(&files()[0]).unwrap();
    let cut = server.dir.join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() - 1000]).unwrap();
    assert_eq!(kit::probe(cut.to_str().unwrap()), ["aac", "h264"]);
    let mut decode = program("ffmpeg");
    let decoded = decode.args(["-v", "error", "-i", cut.to_str().unwrap(), "-f", "framemd5", "-"]).output().unwrap();
    assert!(String::from_utf8(decoded.stdout).unwrap().lines().filter(|l| l.starts_with("0,")).count() > 10);

    // One that ends by itself knows how long it is.
    let _ = program("kill").args(["-INT", &push_wanted.pid().to_string()]).status();
    ended("the pusher", &mut push_wanted);
    let duration = || {
        let mut probe = program("ffprobe");
        let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
        let output = probe.args(args).arg(&files()[0]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap_or(0.0)
    };
    until("it knows its duration", || duration() > 2.0);
}

#[test]
fn a_running_player_outlives_its_publisher() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let urls = alice.ok("get_push_url", json!({ "roomID": "r" }));
    let url = urls["pushURL"].as_str().unwrap();
    let flv = urls["flvURL"].as_str().unwrap();
    let mut first = push(url);
    let mut viewer = Viewer::watch(flv);
    until("pictures", || viewer.pictures() > 15);
    // Cut off without a word, and back within the time that a stream waits.
    first.kill();
    let before = viewer.pictures();
    let _second = push(url);
    until("the same player goes on", || viewer.pictures() > before + 20);
    assert!(viewer.running());
    let times = viewer.seen.lock().unwrap().times.clone();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "time never steps back: {times:?}");
}

#[test]
fn a_player_that_floods_with_pings_is_let_go_and_one_that_pings_is_not() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let urls = alice.ok("get_push_url", json!({ "roomID": "r" }));
    let _push = push(urls["pushURL"].as_str().unwrap());
    // Whether the server ends it within this time, although the stream goes on.
    let ends = |pings: usize, within: Duration| {
        let mut player = open_websocket(&server, urls["flvURL"].as_str().unwrap());
        for _ in 0..pings {
            // Near the end the server has closed, and writing fails.
            let _ = player.get_mut().write_all(&[0x89, 0x80, 0, 0, 0, 0]);
        }
        let begun = Instant::now();
        let mut bytes = [0; 4096];
        while begun.elapsed() < within {
            if player.read(&mut bytes).unwrap_or(0) == 0 {
                return true;
            }
        }
        false
    };
    assert!(ends(500, PATIENCE));
    assert!(!ends(20, Duration::from_secs(2)));
}
