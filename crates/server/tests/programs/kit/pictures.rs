//! Real pictures: pushed in one colour, watched, and looked at; and mixes of them as clients ask for them.

use std::io::Read;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use media::flv::demux::Demuxer;
use media::frame::Kind;
use serde_json::{Value, json};

use super::{PATIENCE, Running, Server, User, until};
use testkit::bounded::program;

/// Path and query of one of the server's own URLs.
pub fn path(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

/// Pushes one colour and a tone.
pub fn push_color(url: &str, color: &str, size: &str) -> Running {
    let mut command = program("ffmpeg");
    let picture = format!("color=c={color}:size={size}:rate=10");
    command.args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &picture]);
    command.args("-f lavfi -i sine=frequency=440:sample_rate=44100".split(' '));
    command.args("-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p".split(' '));
    command.args("-threads 1 -c:a aac -b:a 64k -ac 1 -f flv".split(' ')).arg(url);
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A creator and a guest of the room `r`, and what they push.
pub struct Pair<'a, 'b> {
    pub alice: User<'a>,
    pub bob: User<'b>,
    pub hers: String,
    pub his: String,
    pub her_push: Running,
    pub his_push: Running,
}

/// The creator pushes red to `a`, the guest blue to `b`.
pub fn pair<'a, 'b>(a: &'a Server, b: &'b Server) -> Pair<'a, 'b> {
    let alice = a.login("live_room", "alice");
    let bob = b.login("live_room", "bob");
    let hers = alice.push_url("r");
    let his = bob.push_url("r");
    let her_push = push_color(&hers, "red", "360x640");
    let his_push = push_color(&his, "blue", "320x480");
    assert_eq!(alice.enter("r", &hers)["code"], 0);
    assert_eq!(bob.enter("r", &his)["code"], 0);
    Pair { alice, bob, hers, his, her_push, his_push }
}

/// A viewer of HTTP-FLV that goes on: what it has seen so far.
#[derive(Default)]
pub struct Seen {
    /// Times of pictures, in milliseconds.
    pub times: Vec<i64>,
    pub configurations: usize,
    /// Everything since the last configuration, as it came.
    pub bytes: Vec<u8>,
}

pub struct Viewer {
    pub curl: Running,
    pub seen: Arc<Mutex<Seen>>,
}

impl Viewer {
    pub fn watch(url: &str) -> Self {
        let mut command = program("curl");
        let mut child = command.args(["-sN", url]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let keep = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut demuxer = Demuxer::default();
            let mut buffer = vec![0; 65536];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                demuxer.push(&buffer[..n]);
                while let Some(frame) = demuxer.next_frame().unwrap() {
                    let mut seen = keep.lock().unwrap();
                    match frame.kind {
                        Kind::Video => seen.times.push(frame.dts / 1000),
                        Kind::VideoConfig => seen.configurations += 1,
                        _ => {}
                    }
                }
                keep.lock().unwrap().bytes.extend_from_slice(&buffer[..n]);
            }
        });
        Viewer { curl: Running(child), seen }
    }

    pub fn pictures(&self) -> usize {
        self.seen.lock().unwrap().times.len()
    }

    pub fn configurations(&self) -> usize {
        self.seen.lock().unwrap().configurations
    }

    pub fn running(&mut self) -> bool {
        self.curl.0.try_wait().unwrap().is_none()
    }
}

/// The last picture of a stream within some seconds: width, height, and the colour at each of these points.
pub fn colours(url: &str, size: (usize, usize), points: &[(usize, usize)]) -> Option<Vec<[u8; 3]>> {
    let mut command = program("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-rw_timeout", "15000000", "-probesize", "200000"]);
    command.args(["-analyzeduration", "500000", "-i", url, "-map", "0:v", "-frames:v", "8"]);
    let output = command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]).output().unwrap();
    let length = size.0 * size.1 * 3;
    if output.stdout.is_empty() || !output.stdout.len().is_multiple_of(length) {
        return None;
    }
    let last = &output.stdout[output.stdout.len() - length..];
    Some(points.iter().map(|(x, y)| std::array::from_fn(|c| last[(y * size.0 + x) * 3 + c])).collect())
}

pub fn is(colour: [u8; 3], name: &str) -> bool {
    let [r, g, b] = colour.map(|c| c > 140);
    match name {
        "red" => r && !g && !b,
        "blue" => b && !r && !g,
        "black" => colour.iter().all(|c| *c < 60),
        other => panic!("{other}"),
    }
}

/// Waits until these points of a stream have these colours.
#[track_caller]
pub fn until_seen(url: &str, size: (usize, usize), wanted: &[((usize, usize), &str)]) {
    let points: Vec<_> = wanted.iter().map(|(point, _)| *point).collect();
    let mut last = None;
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        last = colours(url, size, &points);
        if last.as_ref().is_some_and(|seen| seen.iter().zip(wanted).all(|(colour, (_, name))| is(*colour, name))) {
            return;
        }
    }
    panic!("never saw {wanted:?}, but {last:?}");
}

pub fn stream_of(url: &str) -> String {
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    name.split('.').next().unwrap().to_owned()
}

/// `merge_stream` as the clients send it: the parameters as a text. Tried until the inputs flow.
pub fn merge(user: &User<'_>, room: &str, creator: &str, inputs: Vec<Value>) -> Value {
    let params = json!({
        "timestamp": 1, "eventId": 1,
        "interface": {"interfaceName": "Mix_StreamV2", "para": {
            "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
            "mix_stream_session_id": creator, "output_stream_id": creator, "input_stream_list": inputs,
        }},
    });
    let mut reply = Value::Null;
    until("the inputs flow", || {
        reply = user.ok("merge_stream", json!({ "roomID": room, "mergeParams": params.to_string() }));
        !matches!(reply["merge_code"].as_i64(), Some(-505 | -507))
    });
    reply
}

pub fn background(stream: &str) -> Value {
    json!({"input_stream_id": stream, "layout_params": {"image_layer": 1}})
}

pub fn guest(stream: &str, x: u32, y: u32) -> Value {
    let place = json!({"image_layer": 2, "image_width": 160, "image_height": 240, "location_x": x, "location_y": y});
    json!({"input_stream_id": stream, "layout_params": place})
}

/// ffmpeg processes whose parent is this server.
pub fn children(server: &Server) -> Vec<u32> {
    let pid = server.pid().to_string();
    let listed = program("ps").args(["-o", "pid=", "--ppid", &pid]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
