//! Encoders that send more, or other sound, than every player takes, on the real program: pictures go on everywhere, and
//! sound goes where it can.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::kit::pictures::{background, guest, merge, stream_of};
use crate::kit::whep;
use crate::kit::{self, PATIENCE, Running, Server, directory, ended, until};
use serde_json::json;
use testkit::bounded::program;

/// Pushes pictures and a tone with these encoders.
fn push(url: &str, codecs: &str) -> Running {
    let mut command = program("ffmpeg");
    command.args("-hide_banner -loglevel error -re -f lavfi -i testsrc=size=160x120:rate=15".split(' '));
    command.args("-f lavfi -i sine=frequency=440:sample_rate=48000 -threads 1".split(' '));
    command.args(codecs.split(' ')).args(["-f", "flv", url]);
    Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

const H264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 15 -pix_fmt yuv420p";

/// What a player decodes in two seconds of a stream: pictures, and the mean loudness of its sound in decibels.
fn decoded(url: &str) -> (usize, Option<f32>) {
    let mut command = program("ffmpeg");
    command.args("-hide_banner -nostats -probesize 200000 -analyzeduration 1500000 -i".split(' ')).arg(url);
    command.args("-t 2 -af volumedetect -f framemd5 -".split(' '));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let pictures = String::from_utf8(output.stdout).unwrap().lines().filter(|l| l.starts_with("0,")).count();
    let loud = said.split("mean_volume:").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    (pictures, loud)
}

/// The codecs that somebody is given who calls itself a browser.
fn in_browser(url: &str) -> Vec<String> {
    let mut command = program("ffprobe");
    command.args("-loglevel error -user_agent Mozilla/5.0 -show_entries stream=codec_name -of csv=p=0".split(' '));
    let output = command.arg(url).output().unwrap();
    let mut codecs: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    codecs.sort_unstable();
    codecs
}

/// A tone is at about -21 dB; silence, or noise from a wrong table, is far from it.
fn is_the_tone(loud: Option<f32>) -> bool {
    loud.is_some_and(|db| (-27.0..-15.0).contains(&db))
}

#[test]
fn sound_that_can_be_decoded_is_heard_everywhere() {
    let dir = directory();
    let kept = dir.join("kept");
    let variables = [("ROOMSERVICE_RECORD__ENABLED", "true"), ("ROOMSERVICE_RECORD__DIR", kept.to_str().unwrap())];
    let server = Server::with(dir, &variables);
    let sounds = [
        ("a", "pcm_alaw", "-c:a pcm_alaw -ar 8000 -ac 1", ["aac", "h264"]),
        ("u", "pcm_mulaw", "-c:a pcm_mulaw -ar 8000 -ac 1", ["aac", "h264"]),
        ("m", "mp3", "-c:a libmp3lame -ar 44100 -ac 2", ["h264", "mp3"]),
        ("l", "mp3", "-c:a libmp3lame -ar 22050 -ac 1", ["h264", "mp3"]),
    ];
    for (room, codec, options, in_flv) in sounds {
        let at = server.urls(room);
        let mut pushed = push(&format!("{}&record=1", at.push), &format!("{H264} {options}"));
        until("it is published", || !kit::probe(&at.play).is_empty());
        // RTMP as it came.
        assert_eq!(kit::probe(&at.play), ["h264", codec]);
        assert_eq!(kit::probe(&at.flv), in_flv);
        assert_eq!(in_browser(&at.flv), ["aac", "h264"]);
        for url in [&at.play, &at.flv, &at.hls] {
            // What begins on a busy machine may have more of one than of the other at first.
            let begun = Instant::now();
            let mut seen = decoded(url);
            while !(seen.0 > 20 && is_the_tone(seen.1)) && begun.elapsed() < PATIENCE {
                seen = decoded(url);
            }
            assert!(seen.0 > 20 && is_the_tone(seen.1), "{codec} at {url}: {} pictures, {:?} dB", seen.0, seen.1);
        }
        whep::play(&server, &at.whep, 20);
        let files = std::fs::read_dir(&kept).unwrap().map(|f| f.unwrap().path());
        let of_it = files.filter(|f| f.to_string_lossy().contains(&format!("_{room}."))).collect::<Vec<_>>();
        // Pictures that come before the first sound are a file of their own.
        let newest = of_it.iter().max().unwrap().to_str().unwrap();
        let _ = program("kill").args(["-INT", &pushed.pid().to_string()]).status();
        ended("the pusher", &mut pushed);
        until("the recording has sound", || is_the_tone(decoded(newest).1));
    }
}

#[test]
fn telephone_sound_is_heard_in_a_mix() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let bob = server.login("live_room", "bob");
    let hers = alice.push_url("r");
    let his = bob.push_url("r");
    let _her_push = push(&hers, &format!("{H264} -an"));
    let _his_push = push(&his, &format!("{H264} -c:a pcm_alaw -ar 8000 -ac 1"));
    for (user, url) in [(&alice, &hers), (&bob, &his)] {
        assert_eq!(user.enter("r", url)["code"], 0);
    }
    let name = stream_of(&hers);
    let reply = merge(&alice, "r", &name, vec![background(&name), guest(&stream_of(&his), 10, 10)]);
    assert_eq!(reply["merge_code"], 0, "{reply}");
    let seen = alice.ok("get_pushers", json!({ "roomID": "r" }));
    let mixed = seen["mixedPlayURL"].as_str().unwrap();
    until("the mix has his sound", || is_the_tone(decoded(mixed).1));
}

#[test]
fn pictures_go_on_beside_sound_that_is_only_passed_on() {
    let server = Server::start(directory());
    let sounds = [
        ("speex", "-c:a libspeex -ar 16000 -ac 1"),
        ("nellymoser", "-c:a nellymoser -ar 22050 -ac 1"),
        ("adpcm_swf", "-c:a adpcm_swf -ar 22050 -ac 1"),
        ("pcm_s16le", "-c:a pcm_s16le -ar 44100"),
    ];
    for (codec, options) in sounds {
        let at = server.urls(&codec.replace('_', ""));
        let mut pushed = push(&at.push, &format!("{H264} {options}"));
        until("it is published", || !kit::probe(&at.play).is_empty());
        for url in [&at.play, &at.flv] {
            let mut both = ["h264", codec];
            both.sort_unstable();
            assert_eq!(kit::probe(url), both, "{url}");
            let (pictures, loud) = decoded(url);
            assert!(pictures > 20 && is_the_tone(loud), "{codec} at {url}: {pictures} pictures, {loud:?} dB");
        }
        // Players in browsers show no pictures beside sound that they do not know.
        assert_eq!(in_browser(&at.flv), ["h264"]);
        let mut in_hls = kit::probe(&at.hls);
        in_hls.dedup();
        assert_eq!(in_hls, ["aac", "h264"], "silence stands for the sound");
        assert!(decoded(&at.hls).0 > 20, "{codec} by HLS");
        whep::play(&server, &at.whep, 20);
        assert!(pushed.0.try_wait().unwrap().is_none(), "the encoder goes on");
        pushed.kill();
    }
    let said = server.written();
    let named = |text: &str, codec: &str| said.lines().any(|line| line.contains(text) && line.contains(codec));
    for codec in ["speex", "nellymoser", "adpcm", "pcm"] {
        assert!(named("as it is, and nowhere else", codec), "{codec}: {said}");
        assert!(named("the sound is left out", codec), "{codec}: {said}");
    }
}

#[test]
fn an_encoder_hears_why_its_pictures_are_refused() {
    let server = Server::start(directory());
    let at = server.urls("r");
    let mut command = program("ffmpeg");
    command.args("-hide_banner -loglevel error -re -f lavfi -i testsrc=size=160x120:rate=15 -c:v flv1".split(' '));
    let begun = Instant::now();
    let output = command.args(["-f", "flv", &at.push]).output().unwrap();
    assert!(begun.elapsed() < PATIENCE.min(Duration::from_secs(30)) && !output.status.success());
    let why = "video in Sorenson H.263 (codec id 2) is not supported";
    let heard = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(heard.contains(why), "{heard}");
    assert!(server.written().contains(why));
}
