//! `bench memory`: what the server needs before and beside any load: start time, size of the program, memory
//! at rest and for each room.

use crate::api::{Api, Keys};
use crate::server::{Server, Setup, Workspace};
use crate::table::{line, median, note};
use crate::{Failure, Outcome};
use std::thread;
use std::time::Duration;

const STARTS: usize = 11;
/// The allocator gives pages back a while after a burst.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Rooms to make, each with one pusher.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rooms: u32,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    let setup = &options.setup;
    setup.pin_generator()?;
    let size = std::fs::metadata(&setup.bin).map_err(|why| format!("{}: {why}", setup.bin.display()))?.len();
    let megabytes = size as f64 / 1e6;
    let mut verdict = line("program file", format!("{megabytes:.1} MB"), "<= 30 MB", megabytes <= 30.0);

    let workspace = Workspace::new()?;
    let first = Server::roomservice(setup, &workspace, None)?.started_in;
    note("first start, which makes the keys", milliseconds(first));
    let starts = (0..STARTS).map(|_| Ok(Server::roomservice(setup, &workspace, None)?.started_in.as_secs_f64()));
    let start = Duration::from_secs_f64(median(starts.collect::<Result<_, Failure>>()?));
    verdict =
        verdict.and(line("start until HTTP answers, median", milliseconds(start), "<= 50 ms", start.as_millis() <= 50));

    let keys = Keys::generate()?;
    let config = keys.write_config(&workspace)?;
    let server = Server::roomservice(setup, &workspace, Some(&config))?;
    thread::sleep(SETTLE);
    let idle = server.process.usage()?;
    verdict = verdict.and(line(
        "memory at rest",
        format!("{:.1} MB", idle.megabytes()),
        "<= 15 MB",
        idle.megabytes() <= 15.0,
    ));

    // A few thousand rooms first, so that what the first connections need is not put on the rooms' account.
    let api = Api { address: server.http, kind: "multi_room" };
    let warm = make(&api, &keys, "warm", options.rooms / 20 + 1).and_then(|()| server.process.usage())?;
    make(&api, &keys, "room", options.rooms)?;
    let full = server.process.usage()?;
    // What was counted must still be there: making the rooms may not take longer than a heartbeat may.
    let witness = api.sessions(&keys, ["witness".to_owned()])?;
    let witness = witness.first().ok_or("no witness")?;
    for n in [0, options.rooms - 1] {
        api.ask(&api.get_pushers(witness, &format!("room{n}")))?;
    }
    let per_room = full.rss.saturating_sub(warm.rss) as f64 / f64::from(options.rooms);
    note(&format!("memory with {} rooms of one pusher", options.rooms), format!("{:.1} MB", full.megabytes()));
    verdict = verdict.and(line(
        "memory of a room with one pusher",
        format!("{per_room:.0} B"),
        "<= 1000 B",
        per_room <= 1000.0,
    ));
    Ok(options.setup.judge(verdict))
}

/// Makes rooms in bites, so that this process need not hold everybody's tokens and URLs at once.
pub fn make(api: &Api, keys: &Keys, prefix: &str, rooms: u32) -> Result<(), Failure> {
    const BITE: u32 = 5_000;
    for start in (0..rooms).step_by(BITE as usize) {
        let end = start.saturating_add(BITE).min(rooms);
        let sessions = api.sessions(keys, (start..end).map(|n| format!("{prefix}user{n}")))?;
        api.enter_rooms(&sessions, |n| format!("{prefix}{}", start as usize + n))?;
    }
    Ok(())
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
