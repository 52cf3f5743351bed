//! `bench mix`: what a mix of two streams costs the server and its ffmpeg together, beside the same ffmpeg command that reads the
//! same clip from files. Knows of a mix what the API says, and what command runs.

use crate::clip::Clip;
use crate::server::{Running, Setup, Usage, Workspace, on_core};
use crate::table::{line, median, note};
use crate::venue::{ROOM, Room, Venue};
use crate::{Failure, Outcome};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
/// From a start until what is measured: decoders and encoders are there, and the times of inputs have met.
const WARM: Duration = Duration::from_secs(3);
/// What a mix may cost, as part of the bare command's cost.
const RATIO: f64 = 1.05;

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Seconds that each of a round's three parts is measured: without a mix, with it, and the bare command.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=25))]
    seconds: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// What a round measured, in percent of a core.
struct Round {
    /// The server with two publishers, and what a mix adds to it.
    idle: f64,
    own: f64,
    /// The mix's ffmpeg, and the bare one.
    ffmpeg: f64,
    bare: f64,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let workspace = Workspace::new()?;
    let clip = Clip::make(&workspace)?;
    let fragments = clip.fragments()?;
    let (venue, _) = Venue::open(&options.setup, &workspace)?;
    let room = venue.room.as_ref().ok_or("no room")?;
    let guests = room.api.sessions(&room.keys, ["guest".to_owned()])?;
    let guest = guests.first().ok_or("no guest")?;
    let guest_url = room.api.texts([room.api.push_url(guest, ROOM)], "pushURL")?.remove(0);
    room.api.ask(&room.api.add_pusher(guest, ROOM, &guest_url))?;
    let _pushing = [clip.push(&workspace, &venue.push_url)?, clip.push(&workspace, &guest_url)?];

    let mixing = Mixing { room, streams: [stream_of(&venue.push_url), stream_of(&guest_url)] };
    let rounds = (0..options.rounds).map(|_| round(options, &venue, &mixing, &fragments, &workspace));
    let rounds = rounds.collect::<Result<Vec<_>, _>>()?;
    let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    note("server CPU with two publishers", format!("{:.1} %", middle(&|round| round.idle)));
    note("what a mix adds to it", format!("{:.1} %", middle(&|round| round.own)));
    note("CPU of the mix's ffmpeg", format!("{:.1} %", middle(&|round| round.ffmpeg)));
    note("CPU of the bare ffmpeg", format!("{:.1} %", middle(&|round| round.bare)));
    let ratio = middle(&|round| (round.own + round.ffmpeg) / round.bare);
    let good = ratio <= RATIO;
    let verdict = line("a mix beside the bare command", format!("{ratio:.3}"), &format!("<= {RATIO}"), good);
    Ok(options.setup.judge(verdict))
}

fn round(
    options: &Options,
    venue: &Venue,
    mixing: &Mixing<'_>,
    clip: &Path,
    workspace: &Workspace,
) -> Result<Round, Failure> {
    let time = Duration::from_secs(options.seconds);
    // Streams flow, and a mix before has ended.
    mixing.ask(false)?;
    until("no mix runs", || Ok(children(venue.pid)?.is_empty()))?;
    sleep(WARM);
    let [idle] = percents([venue.pid], time)?;
    mixing.ask(true)?;
    until("a mix runs", || Ok(!children(venue.pid)?.is_empty()))?;
    sleep(WARM);
    let child = *children(venue.pid)?.first().ok_or("the mix has ended")?;
    let command = command_of(child)?;
    let [with, ffmpeg] = percents([venue.pid, child], time)?;
    mixing.ask(false)?;
    until("the mix has ended", || Ok(children(venue.pid)?.is_empty()))?;

    let mut bare = on_core(options.setup.server_core, Path::new(command.first().ok_or("a command without a name")?));
    bare.args(bare_arguments(&command[1..], clip)?).stdin(Stdio::null());
    let mut bare = Running::start(&mut bare, &workspace.path().join("bare.out"))?;
    sleep(WARM);
    let [alone] = percents([bare.id()], time)?;
    if let Some(status) = bare.ended()? {
        let said = fs::read_to_string(workspace.path().join("bare.out"))?;
        return Err(format!("the bare command ended with {status}; it said:\n{said}").into());
    }
    Ok(Round { idle, own: with - idle, ffmpeg, bare: alone })
}

/// The mix of the room.
struct Mixing<'a> {
    room: &'a Room,
    /// The anchor's and the guest's.
    streams: [String; 2],
}

impl Mixing<'_> {
    /// Begins the mix, or ends it.
    fn ask(&self, mix: bool) -> Result<(), Failure> {
        let [anchor, guest] = &self.streams;
        let mut inputs = vec![json!({"input_stream_id": anchor, "layout_params": {"image_layer": 1}})];
        if mix {
            let place =
                json!({"image_layer": 2, "image_width": 160, "image_height": 240, "location_x": 400, "location_y": 60});
            inputs.push(json!({"input_stream_id": guest, "layout_params": place}));
        }
        let params = json!({"timestamp": 1, "eventId": 1, "interface": {"interfaceName": "Mix_StreamV2", "para": {
            "app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced",
            "mix_stream_session_id": anchor, "output_stream_id": anchor, "input_stream_list": inputs,
        }}});
        let body = json!({"roomID": ROOM, "userID": self.room.anchor.user, "mergeParams": params.to_string()});
        let mut said = Value::Null;
        let asked = until("the streams can be mixed", || {
            said = self.room.api.ask(&self.room.api.call(&self.room.anchor, "merge_stream", &body))?;
            Ok(said.get("merge_code").and_then(Value::as_i64) == Some(0))
        });
        asked.map_err(|why| format!("{why}; the server said {said}").into())
    }
}

/// What processes take within a stretch of time, in percent of a core.
fn percents<const N: usize>(ids: [u32; N], time: Duration) -> Result<[f64; N], Failure> {
    let used = || ids.iter().map(|id| Ok(Usage::of(*id)?.cpu)).collect::<Result<Vec<_>, Failure>>();
    let before = used()?;
    let began = Instant::now();
    sleep(time);
    let after = used()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(std::array::from_fn(|n| 100.0 * (after[n] - before[n]) / seconds))
}

fn until(what: &str, mut done: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while !done()? {
        if began.elapsed() > PATIENCE {
            return Err(format!("waited in vain until {what}").into());
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Processes that a process has started and that run.
fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let mut all = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended meanwhile.
        let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    Ok(all)
}

fn command_of(pid: u32) -> Result<Vec<String>, Failure> {
    let line = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = line.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    Ok(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// The mix's arguments with the clip in place of each input, at the speed at which it is played, from time 0 on, and nowhere to go.
fn bare_arguments(arguments: &[String], clip: &Path) -> Result<Vec<String>, Failure> {
    let mut bare = vec!["-y".to_owned()];
    let mut inputs = 0;
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-copyts" => {}
            "-i" => {
                inputs += 1;
                words.next().ok_or("an input without a name")?;
                bare.extend(["-re", "-stream_loop", "-1", "-i"].map(str::to_owned));
                bare.push(clip.display().to_string());
            }
            "-filter_complex" => {
                bare.push(word.clone());
                bare.push(from_zero(words.next().ok_or("no graph of filters")?));
            }
            "pipe:1" => bare.push("/dev/null".to_owned()),
            _ => bare.push(word.clone()),
        }
    }
    if inputs != 2 { Err(format!("a mix of {inputs} inputs: {arguments:?}").into()) } else { Ok(bare) }
}

/// The graph with its start at 0.
fn from_zero(graph: &str) -> String {
    let zero = |graph: &str, before: &str, to: &str| {
        let mut parts = graph.split(before);
        let mut made = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(part.len());
            made.extend([before, to, &part[end..]]);
        }
        made
    };
    zero(&zero(graph, "setpts=PTS+", "0"), "first_pts=", "0")
}

/// The stream that a push URL names.
fn stream_of(url: &str) -> String {
    let path = url.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_command_differs_in_where_it_reads_and_writes() {
        let own = "-loglevel error -copyts -f mp4 -i unix:/t/0 -f mp4 -i unix:/t/1 -filter_complex \
                   color=c=0x0:r=25,setpts=PTS+12.500000/TB[b0];[0:a]aresample=48000:first_pts=600000[a0] -c:v libx264 -f flv pipe:1";
        let own: Vec<String> = own.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let bare = bare_arguments(&own, Path::new("clip.mp4")).unwrap().join(" ");
        let input = "-f mp4 -re -stream_loop -1 -i clip.mp4";
        let graph = "color=c=0x0:r=25,setpts=PTS+0/TB[b0];[0:a]aresample=48000:first_pts=0[a0]";
        let wanted =
            format!("-y -loglevel error {input} {input} -filter_complex {graph} -c:v libx264 -f flv /dev/null");
        assert_eq!(bare, wanted);
        assert!(bare_arguments(&own[7..], Path::new("clip.mp4")).is_err(), "a mix of one");
    }
}
