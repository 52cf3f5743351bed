//! Rooms that are recorded, with real video: who comes later, after a restart, and mixes that are streams of their own.

use std::path::PathBuf;

use crate::kit::pictures::{Pair, background, guest, pair, stream_of};
use crate::kit::{Server, directory, push, until};
use serde_json::json;
use testkit::bounded::program;

/// A server that may record, and where.
fn recording() -> (Server, PathBuf) {
    let dir = directory();
    let kept = dir.join("kept");
    (Server::with(dir, &settings(kept.to_str().unwrap())), kept)
}

fn settings(kept: &str) -> [(&str, &str); 3] {
    [
        ("ROOMSERVICE_RECORD__ENABLED", "true"),
        ("ROOMSERVICE_RECORD__DIR", kept),
        ("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "120"),
    ]
}

/// The files of a stream.
fn files(kept: &PathBuf, stream: &str) -> Vec<PathBuf> {
    let begins = format!("{stream}.");
    let all = std::fs::read_dir(kept).into_iter().flatten().map(|file| file.unwrap().path());
    let mut found: Vec<_> =
        all.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(&begins)).collect();
    found.sort();
    found
}

#[track_caller]
fn turn(server: &Server, method: &str) {
    let (status, body) = server.request(method, "/api/v1/rooms/r/recording", "");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}

#[test]
fn a_room_that_is_recorded_is_so_for_who_comes_later_and_after_a_crash() {
    let (mut server, kept) = recording();
    let alice = server.login("live_room", "alice");
    let bob = server.login("live_room", "bob");
    let hers = alice.push_url("r");
    let his = bob.push_url("r");
    let her_push = push(&hers);
    assert_eq!(alice.enter("r", &hers)["code"], 0);
    until("she pushes", || server.get("/api/v1/streams").to_string().contains("\"live\":true"));
    turn(&server, "PUT");
    let count = |url: &str| files(&kept, &stream_of(url)).len();
    until("who is there is recorded", || count(&hers) == 1);
    let his_push = push(&his);
    assert_eq!(bob.enter("r", &his)["code"], 0);
    until("who comes later is recorded", || count(&his) == 1);

    drop((her_push, his_push));
    server.crash();
    let server = server.again(&settings(kept.to_str().unwrap()));
    let alice = server.login("live_room", "alice");
    let bob = server.login("live_room", "bob");
    let _her_push = push(&alice.push_url("r"));
    until("she is recorded again", || count(&hers) == 2);

    // Players jump to where they are asked to, by the index of pictures and that of sound.
    let plays = || {
        let all = server.get("/api/v1/recordings")["recordings"].as_array().unwrap().clone();
        all.iter().filter(|file| file["running"] == true).filter_map(|file| file["duration"].as_u64()).max()
    };
    until("eight seconds are recorded", || plays() >= Some(8_000));
    turn(&server, "DELETE");
    let file = files(&kept, &stream_of(&hers)).pop().unwrap();
    let first = || {
        let mut probe = program("ffprobe");
        probe.args(
            "-v error -read_intervals 6%+0.1 -select_streams v -show_entries packet=pts_time -of csv=p=0".split(' '),
        );
        let text = String::from_utf8(probe.arg(&file).output().unwrap().stdout).unwrap();
        text.lines().next().and_then(|line| line.trim_end_matches(',').parse::<f64>().ok())
    };
    until("the file has its index", || first().is_some_and(|at| (3.5..=6.1).contains(&at)));
    let _his_push = push(&bob.push_url("r"));
    let stream = stream_of(&his);
    until("he pushes", || {
        let streams = server.get("/api/v1/streams");
        let all = streams["streams"].as_array().unwrap().clone();
        all.iter().any(|s| s["name"] == stream.as_str() && s["live"] == true)
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!((count(&hers), count(&his)), (2, 1), "nothing more is recorded");
}

#[test]
fn a_mix_of_its_own_is_recorded_with_its_room() {
    let (server, kept) = recording();
    let Pair { alice, bob: _, hers, his, her_push: _her_push, his_push: _his_push } = pair(&server, &server);
    turn(&server, "PUT");
    let name = stream_of(&hers);
    let own = format!("{name}_mixed");
    let params = json!({
        "timestamp": 1, "eventId": 1,
        "interface": {"interfaceName": "Mix_StreamV2", "para": {
            "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
            "mix_stream_session_id": "own", "output_stream_id": own, "output_stream_type": 1,
            "input_stream_list": [background(&name), guest(&stream_of(&his), 200, 310)],
        }},
    });
    until("it is mixed", || {
        let reply = alice.ok("merge_stream", json!({ "roomID": "r", "mergeParams": params.to_string() }));
        reply["merge_code"] == 0
    });
    until("a mix that begins is recorded", || files(&kept, &own).len() == 1);
    let first = files(&kept, &own)[0].clone();
    until("some of it is written", || first.metadata().unwrap().len() > 30_000);
    turn(&server, "DELETE");
    let probe = || {
        let mut command = program("ffprobe");
        command.args("-v error -show_entries format=duration:stream=width,height -of csv=p=0".split(' ')).arg(&first);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    until("its file is whole", || probe().lines().last().is_some_and(|d| d.parse::<f64>().is_ok_and(|d| d > 1.0)));
    assert!(probe().contains("360,640"), "{}", probe());
    turn(&server, "PUT");
    until("a mix that is there is recorded", || files(&kept, &own).len() == 2);
}

#[test]
fn publishers_ask_for_recordings_only_where_they_may() {
    let dir = directory();
    let kept = dir.join("kept");
    let mut all = settings(kept.to_str().unwrap()).to_vec();
    all.push(("ROOMSERVICE_RECORD__BY_PUBLISHERS", "false"));
    let server = Server::with(dir, &all);
    let alice = server.login("live_room", "alice");
    let hers = format!("{}&record=1", alice.push_url("r"));
    let _push = push(&hers);
    assert_eq!(alice.enter("r", &hers)["code"], 0);
    until("she pushes", || server.get("/api/v1/streams").to_string().contains("\"live\":true"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(files(&kept, &stream_of(&hers)).is_empty(), "it is passed over");
    turn(&server, "PUT");
    until("an operator records", || files(&kept, &stream_of(&hers)).len() == 1);
}
