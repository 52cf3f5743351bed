//! What ffmpeg is told: its inputs, the graph of filters, the encoders. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::{Crop, Layout};

/// Samples a second.
const SOUND: u32 = 48_000;

/// What of an input is used and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Has {
    pub video: bool,
    pub audio: bool,
    /// Its sound is AAC.
    pub aac: bool,
}

/// How the mix is encoded, but for its bitrate and its keyframes.
const VIDEO: [&str; 18] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-tune",
    "zerolatency",
    "-profile:v",
    "main",
    "-pix_fmt",
    "yuv420p",
    "-threads",
    "2",
    "-bf",
    "0",
    "-keyint_min",
    "1",
    "-sc_threshold",
    "0",
];
/// How it comes out: FLV whose frames are passed on one by one.
const OUTPUT: [&str; 9] = [
    "-max_interleave_delta",
    "500000",
    "-flush_packets",
    "1",
    "-flvflags",
    "no_duration_filesize",
    "-f",
    "flv",
    "pipe:1",
];

/// The arguments for a mix whose inputs are read from the sockets `dir/{n}`, and whose video starts at `start`
/// microseconds of the inputs' time.
pub(super) fn arguments(layout: &Layout, has: &[Has], dir: &Path, start: i64) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["-hide_banner", "-nostdin", "-loglevel", "error", "-copyts"].map(Into::into).into();
    let mut numbers = vec![None; has.len()];
    let used = has.iter().enumerate().filter(|(_, h)| h.video || h.audio);
    for (count, (at, _)) in used.enumerate() {
        let source = format!("unix:{}", dir.join(at.to_string()).display());
        let input =
            ["-thread_queue_size", "1024", "-probesize", "500000", "-analyzeduration", "300000", "-fpsprobesize", "0"];
        arguments.extend(input.map(Into::into));
        // A decoder with threads holds one frame back for each: on a large machine most of a second.
        arguments.extend(["-threads", "1"].map(Into::into));
        // ffmpeg takes such a socket for a file that can be wound, and would read it to its end for an index. With `nobuffer` it
        // would drop what it looks at before it begins: the only keyframe that a browser may send for minutes.
        arguments.extend(["-fflags", "+ignidx", "-f", "mp4", "-i"].map(Into::into));
        arguments.push(source);
        numbers[at] = Some(count);
    }
    let passed = layout.passes_sound.then(|| has.iter().position(|has| has.aac)).flatten().and_then(|at| numbers[at]);
    let mixed = |has: &Has| Has { audio: has.audio && passed.is_none(), ..*has };
    let mixed: Vec<Has> = has.iter().map(mixed).collect();
    let (graph, sound) = graph(layout, &mixed, &numbers, start);
    arguments.extend(["-filter_complex".into(), graph, "-map".into(), "[picture]".into()]);
    let (width, height) = layout.size;
    let bitrate = layout.bitrate.unwrap_or_else(|| bitrate(width, height));
    arguments.extend(VIDEO.map(Into::into));
    arguments.extend(keyframes(layout.rate.max(2)));
    arguments.extend(["-b:v".into(), bitrate.to_string(), "-maxrate".into(), bitrate.to_string()]);
    arguments.extend(["-bufsize".into(), bitrate.to_string()]);
    if sound {
        let encoder = ["-map", "[sound]", "-c:a", "aac", "-b:a", "96k", "-ac", "2"];
        arguments.extend(encoder.map(Into::into));
    }
    if let Some(n) = passed {
        arguments.extend(["-map".into(), format!("{n}:a"), "-c:a".into(), "copy".into()]);
    }
    arguments.extend(OUTPUT.map(Into::into));
    arguments
}

/// Where keyframes are: every half second at first, so that a new layout is seen soon; then every two seconds.
fn keyframes(rate: u32) -> [String; 4] {
    let half = rate / 2;
    let group = 2 * rate;
    let expression = format!("expr:if(lt(n,{}),not(mod(n,{half})),not(mod(n,{group})))", 10 * rate);
    ["-g".into(), group.to_string(), "-force_key_frames".into(), expression]
}

fn graph(layout: &Layout, has: &[Has], numbers: &[Option<usize>], start: i64) -> (String, bool) {
    let mut graph = String::new();
    let (width, height) = layout.size;
    let rate = layout.rate;
    let seconds = start as f64 / 1e6;
    let _ = write!(
        graph,
        "color=c=0x{:06x}:s={width}x{height}:r={rate},setpts=PTS+{seconds:.6}/TB,format=yuv420p[b0]",
        layout.color
    );
    let mut below = 0;
    let mut sounds = 0;
    for ((input, has), number) in layout.inputs.iter().zip(has).zip(numbers) {
        let Some(n) = number else { continue };
        if let Some(p) = input.place.filter(|_| has.video) {
            let _ = write!(graph, ";[{n}:v]");
            if let Some(crop) = p.crop {
                graph.push_str(&cut(crop));
            }
            let x = p.x;
            let y = p.y;
            let w = p.width;
            let h = p.height;
            let above = below + 1;
            let _ = write!(
                graph,
                "scale={w}:{h}:force_original_aspect_ratio=increase,crop={w}:{h},setsar=1[v{n}];\
                 [b{below}][v{n}]overlay={x}:{y}:eof_action=repeat[b{above}]"
            );
            below = above;
        }
        if has.audio {
            // Each from the same moment on, with silence where it has gaps, or they would not stay together. The rate is
            // changed before: `first_pts` counts in the rate of what comes in (ffmpeg 5.1 and 9.0).
            let first = i128::from(start) * i128::from(SOUND) / 1_000_000;
            let _ =
                write!(graph, ";[{n}:a]aresample={SOUND},aresample={SOUND}:async=1000:first_pts={first}[a{sounds}]");
            sounds += 1;
        }
    }
    let _ = write!(graph, ";[b{below}]null[picture]");
    if sounds > 0 {
        let inputs: String = (0..sounds).map(|n| format!("[a{n}]")).collect();
        // No input ends before the process does, so that each is divided by their number all the time: what `normalize=0` says to
        // ffmpeg 4.4 and later, and to older ones nothing.
        let _ = write!(graph, ";{inputs}amix=inputs={sounds}:dropout_transition=0,volume={sounds}[sound]");
    }
    (graph, sounds > 0)
}

/// The filter that leaves a part of a picture. Browsers change their size to what the network takes, and phones are turned: what
/// was asked for in pixels is a part of whatever comes.
fn cut(Crop { x, y, width, height, of: (across, down) }: Crop) -> String {
    let across = across.max(1);
    let down = down.max(1);
    format!(
        "crop=w='clip(iw*{width}/{across},min(2,iw),iw)':h='clip(ih*{height}/{down},min(2,ih),ih)'\
         :x='iw*{x}/{across}':y='ih*{y}/{down}',"
    )
}

/// Bits a second that a picture of this size deserves: 800 kbit/s for 360 by 640, and so on.
fn bitrate(width: u32, height: u32) -> u32 {
    let pixels = u64::from(width) * u64::from(height);
    u32::try_from(pixels * 7 / 2).unwrap_or(u32::MAX).clamp(300_000, 6_000_000)
}
