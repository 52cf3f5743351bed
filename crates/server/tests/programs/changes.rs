//! A publisher that comes back with other pictures and another sound, on the real program: whoever plays goes on decoding.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use crate::kit::{self, Running, Server, directory, until};
use testkit::bounded::program;

/// Path and query of one of the server's own URLs.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

/// One colour in pictures of a size, and a tone of so many hertz in so many channels, sampled so often a second.
struct Shown {
    color: &'static str,
    size: &'static str,
    hertz: u32,
    rate: u32,
    channels: u32,
}

const RED: Shown = Shown { color: "red", size: "320x240", hertz: 440, rate: 44_100, channels: 1 };

fn push(url: &str, shown: &Shown, codec: &[&str]) -> Running {
    let Shown { color, size, hertz, rate, channels } = shown;
    let mut command = program("ffmpeg");
    let picture = format!("color=c={color}:size={size}:rate=10");
    let sound = format!("sine=frequency={hertz}:sample_rate={rate}");
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &picture]);
    command.args(["-f", "lavfi", "-i", &sound]);
    command.args("-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p -threads 1".split(' '));
    command.args(codec).args(["-ac", &channels.to_string(), "-f", "flv", url]);
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

const AAC: &[&str] = &["-c:a", "aac", "-b:a", "64k"];

/// What every player makes of pictures: small ones, three bytes a pixel.
const SIZE: usize = 16 * 16 * 3;

/// A player, ffmpeg, that decodes until it is stopped: how many pictures of each colour and how much sound it had.
struct Player {
    ffmpeg: Running,
    /// Red ones and blue ones.
    pictures: Arc<Mutex<[usize; 2]>>,
    sound: std::path::PathBuf,
}

impl Player {
    fn watch(url: &str, name: &str, dir: &Path) -> Self {
        let sound = dir.join(format!("{name}.s16"));
        let mut command = program("ffmpeg");
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-y",
            "-probesize",
            "100000",
            "-analyzeduration",
            "500000",
        ]);
        command.args(["-i", url, "-map", "0:v", "-vf", "scale=16:16", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
        command.args(["-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le", "-flush_packets", "1"]).arg(&sound);
        let log = std::fs::File::create(dir.join(format!("{name}.log"))).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let pictures = Arc::new(Mutex::new([0; 2]));
        let seen = Arc::clone(&pictures);
        std::thread::spawn(move || {
            let mut picture = [0; SIZE];
            while out.read_exact(&mut picture).is_ok() {
                let [r, g, b] = [0, 1, 2].map(|c| picture[SIZE / 2 + c] > 140);
                match (r, g, b) {
                    (true, false, false) => seen.lock().unwrap()[0] += 1,
                    (false, false, true) => seen.lock().unwrap()[1] += 1,
                    _ => {}
                }
            }
        });
        Player { ffmpeg: Running(child), pictures, sound }
    }

    fn pictures(&self) -> [usize; 2] {
        *self.pictures.lock().unwrap()
    }

    /// Hertz of the last half second of sound, by its zero crossings.
    fn tone(&self) -> usize {
        let bytes = std::fs::read(&self.sound).unwrap_or_default();
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        let last = &samples[samples.len().saturating_sub(4_000)..];
        last.windows(2).filter(|w| (w[0] < 0) != (w[1] < 0)).count()
    }
}

#[test]
fn players_go_on_decoding_when_the_publisher_comes_back_with_other_sizes() {
    let dir = directory();
    let kept = dir.join("kept");
    let kept_name = kept.to_str().unwrap().to_owned();
    let server =
        Server::with(dir.clone(), &[("ROOMSERVICE_RECORD__ENABLED", "true"), ("ROOMSERVICE_RECORD__DIR", &kept_name)]);
    let alice = server.login("live_room", "alice");
    let urls = alice.ok("get_push_url", serde_json::json!({ "roomID": "r" }));
    let url = |name: &str| urls[name].as_str().unwrap().to_owned();
    let push_url = format!("{}&record=1", url("pushURL"));
    let mut first = push(&push_url, &RED, AAC);
    until("the stream flows", || server.request("GET", path(&url("hlsURL")), "").0 == 200);
    assert_eq!(alice.enter("r", &url("pushURL"))["code"], 0);
    let pushers = alice.ok("get_pushers", serde_json::json!({ "roomID": "r" }));
    let rtmp = pushers["pushers"][0]["accelerateURL"].as_str().unwrap().to_owned();
    let mut players = ["rtmp", "flv", "hls"].map(|name| {
        let from = match name {
            "rtmp" => rtmp.clone(),
            "flv" => url("flvURL"),
            _ => url("hlsURL"),
        };
        (name, Player::watch(&from, name, &server.dir))
    });
    for (name, player) in &players {
        until(&format!("{name} decodes"), || player.pictures()[0] > 10 && (400..480).contains(&player.tone()));
    }
    // Another size, another rate of sound, two channels instead of one.
    first.kill();
    let other = Shown { color: "blue", size: "640x352", hertz: 880, rate: 48_000, channels: 2 };
    let _second = push(&push_url, &other, AAC);
    for (name, player) in &mut players {
        // ffmpeg keeps the sound of the first init segment of a playlist: 880 Hz of 48 kHz are 808 of 44.1.
        let tone = if *name == "hls" { 780..960 } else { 840..960 };
        until(&format!("{name} goes on"), || player.pictures()[1] > 15 && tone.contains(&player.tone()));
        assert!(player.ffmpeg.0.try_wait().unwrap().is_none(), "{name} plays on");
        let said = std::fs::read_to_string(server.dir.join(format!("{name}.log"))).unwrap();
        assert!(!said.contains("error while decoding"), "{name}: {said}");
    }
    // A player that takes the new init segment, as browsers do, has all of the new stream.
    let (_, playlist) = server.request("GET", path(&url("hlsURL")), "");
    let playlist = String::from_utf8(playlist).unwrap();
    let part = |line: &str| server.request("GET", &format!("/live/{line}"), "").1;
    let init = playlist.lines().rev().find_map(|l| l.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"')).unwrap();
    let segment = playlist.lines().rev().find(|l| l.contains(".m4s?") && !l.starts_with('#')).unwrap();
    let whole = server.dir.join("whole.mp4");
    std::fs::write(&whole, [part(init), part(segment)].concat()).unwrap();
    let new = ["640,352", "48000,2"];
    assert_eq!(tracks(&whole), new, "{playlist}");
    // Each of the two is a file of its own, and plays.
    let mut files: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(tracks(&files[0]), ["320,240", "44100,1"]);
    until("the second file has pictures", || tracks(&files[1]) == new);
    let mut decode = program("ffmpeg");
    let decoded = decode.args(["-v", "error", "-i"]).arg(&files[0]).args(["-f", "null", "-"]).output().unwrap();
    assert_eq!(String::from_utf8(decoded.stderr).unwrap(), "");
}

/// Size of a file's pictures; rate and channels of its sound.
fn tracks(file: &Path) -> Vec<String> {
    let mut probe = program("ffprobe");
    let what = "stream=width,height,sample_rate,channels";
    let output = probe.args(["-v", "error", "-show_entries", what, "-of", "csv=p=0"]).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn players_go_on_when_the_publisher_comes_back_with_another_codec_of_sound() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let urls = alice.ok("get_push_url", serde_json::json!({ "roomID": "r" }));
    let url = |name: &str| urls[name].as_str().unwrap().to_owned();
    let mut first = push(&url("pushURL"), &RED, AAC);
    until("the stream flows", || server.request("GET", path(&url("hlsURL")), "").0 == 200);
    let mut flv = Player::watch(&url("flvURL"), "flv", &server.dir);
    until("it decodes", || flv.pictures()[0] > 10 && (400..480).contains(&flv.tone()));
    let mut hls = Player::watch(&url("hlsURL"), "hls", &server.dir);
    until("HLS decodes", || hls.pictures()[0] > 10 && (400..480).contains(&hls.tone()));
    first.kill();
    // ffmpeg's decoder of the first sound is kept by ffmpeg; its pictures must go on.
    let mp3 = ["-c:a", "libmp3lame", "-b:a", "64k"];
    let other = Shown { color: "blue", hertz: 880, ..RED };
    let _second = push(&url("pushURL"), &other, &mp3);
    until("pictures go on", || flv.pictures()[1] > 15);
    assert!(flv.ffmpeg.0.try_wait().unwrap().is_none());
    let mut codecs = kit::probe(&url("flvURL"));
    codecs.dedup();
    assert_eq!(codecs, ["h264", "mp3"], "who comes now gets the new sound");
    // HLS has no MP3: its sound goes on as silence.
    until("HLS goes on", || hls.pictures()[1] > 15);
    assert!(hls.ffmpeg.0.try_wait().unwrap().is_none());
}
