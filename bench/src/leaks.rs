//! `bench leaks`: rooms are made, entered, talked in and left, many times over; what the server holds afterwards is compared
//! with what it held before.

use crate::api::{Api, Keys, Session};
use crate::http::fetch_all;
use crate::server::{Server, Setup, Workspace};
use crate::table::{line, note};
use crate::{Failure, Outcome, frames, ws};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// Rooms that are there at the same time.
const BITE: u32 = 2_000;
/// Chat connections in each bite.
const TALKERS: usize = 50;
/// Sockets that calls go over.
const CONNECTIONS: usize = 32;
/// The allocator gives pages back a while after a burst.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Rooms that come and go.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(BITE as i64..=10_000_000))]
    cycles: u32,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    let setup = &options.setup;
    setup.pin_generator()?;
    let workspace = Workspace::new()?;
    let keys = Keys::generate()?;
    let config = keys.write_config(&workspace)?;
    let server = Server::roomservice(setup, &workspace, Some(&config))?;
    let api = Api { address: server.http, kind: "multi_room" };
    let sessions = api.sessions(&keys, (0..BITE).map(|n| format!("user{n}")))?;
    let urls = api.texts(sessions.iter().enumerate().map(|(n, s)| api.push_url(s, &room(n))), "pushURL")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cycle = || -> Result<(), Failure> {
        come_and_go(&api, &sessions, &urls)?;
        runtime.block_on(talk(&api, sessions.get(..TALKERS).unwrap_or_default()))
    };
    // What is made once and kept is none: buffers, threads, pools, the journal's first snapshot.
    for _ in 0..(options.cycles / BITE / 5).max(2) {
        cycle()?;
    }
    thread::sleep(SETTLE);
    let before = server.process.usage()?;
    let open = files(server.process.id())?;
    let began = Instant::now();
    for _ in 0..options.cycles.div_ceil(BITE) {
        cycle()?;
    }
    note(
        "rooms made, entered and left a second",
        format!("{:.0}", f64::from(options.cycles) / began.elapsed().as_secs_f64()),
    );
    thread::sleep(SETTLE);
    let after = server.process.usage()?;
    let still_open = files(server.process.id())?;
    let within = |before: f64, after: f64| after <= before * 1.05;
    let memory = format!("{:.1} MB, was {:.1} MB", after.megabytes(), before.megabytes());
    let verdict = line("memory afterwards", memory, "<= 105 %", within(before.megabytes(), after.megabytes()));
    let counted = format!("{still_open}, were {open}");
    let verdict =
        verdict.and(line("open files afterwards", counted, "<= 105 %", within(open as f64, still_open as f64)));
    let list = api.ask(&api.room_list(sessions.first().ok_or("no session")?, 20, 0))?;
    let rooms = list["rooms"].as_array().map_or(0, Vec::len);
    let verdict = verdict.and(line("rooms afterwards", rooms.to_string(), "0", rooms == 0));
    Ok(options.setup.judge(verdict))
}

fn room(n: usize) -> String {
    format!("room{n}")
}

/// Every session makes its room, enters it and leaves it.
fn come_and_go(api: &Api, sessions: &[Session], urls: &[String]) -> Result<(), Failure> {
    let numbered = || sessions.iter().enumerate();
    let create = |(n, session): (usize, &Session)| {
        let body = json!({"userID": session.user, "roomInfo": "a room of the bench", "roomID": room(n)});
        api.call(session, "create_room", &body)
    };
    fetch_all(api.address, CONNECTIONS, numbered().map(create), |reply| reply.json().map(drop))?;
    let enter = numbered().zip(urls).map(|((n, session), url)| api.add_pusher(session, &room(n), url));
    fetch_all(api.address, CONNECTIONS, enter, |reply| reply.json().map(drop))?;
    let leave = numbered().map(|(n, session)| api.delete_pusher(session, &room(n)));
    fetch_all(api.address, CONNECTIONS, leave, |reply| reply.json().map(drop))
}

/// Some of them talk in a room of their own, which the first one makes and leaves.
async fn talk(api: &Api, sessions: &[Session]) -> Result<(), Failure> {
    let first = sessions.first().ok_or("nobody talks")?;
    let url = api.ask(&api.push_url(first, "talk"))?;
    let url = url["pushURL"].as_str().ok_or("no push URL")?;
    api.ask(&api.add_pusher(first, "talk", url))?;
    let mut open = Vec::new();
    for session in sessions {
        let (sender, mut receiver) = ws::connect(api.address, &format!("/ws?{}", session.query())).await?;
        sender.text(&frames::join(1, "talk")).await?;
        sender.text(&frames::send(2, "talk", 0, 64)).await?;
        while frames::answer(receiver.next().await?.ok_or("the connection ended")?, 2).is_none() {}
        open.push((sender, receiver));
    }
    drop(open);
    api.ask(&api.delete_pusher(first, "talk")).map(drop)
}

fn files(process: u32) -> Result<usize, Failure> {
    Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
