//! `bench restart`: a server that is killed with very many rooms and comes back, and how long a change of a room takes while
//! the journal writes a snapshot of all of them.

use crate::api::{Api, Keys, Session};
use crate::http::{Connection, Load};
use crate::memory::{make, milliseconds};
use crate::server::{Server, Setup, Workspace};
use crate::table::{line, note};
use crate::{Failure, Outcome};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody leaves for silence while rooms are counted.
const CALM: &str = "[rooms]\nheartBeatTimeout = 3600\nmaxIdleDuration = 3600\n";
/// Guests whose coming and going fills the journal, on so many connections.
const GUESTS: usize = 2_000;
const CONNECTIONS: usize = 16;
/// How often a change is timed.
const EVERY: Duration = Duration::from_millis(5);
/// Longest that a snapshot is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Rooms to make, each with one pusher.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    rooms: u32,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    let setup = &options.setup;
    setup.pin_generator()?;
    let workspace = Workspace::new()?;
    let keys = Keys::generate()?;
    let config = keys.write_config_with(&workspace, CALM)?;
    let rooms = options.rooms;
    let server = Server::roomservice(setup, &workspace, Some(&config))?;
    let api = Api { address: server.http, kind: "multi_room" };
    let began = Instant::now();
    make(&api, &keys, "room", rooms)?;
    note("rooms, made in", format!("{rooms}, {:.0} s", began.elapsed().as_secs_f64()));
    note("memory with them", format!("{:.0} MB", server.process.usage()?.megabytes()));
    let data = workspace.path().join("data");
    note("their files", format!("{:.0} MB", size(&data)? as f64 / 1e6));
    // Killed: nothing is put in order before the end.
    drop(server);

    let server = Server::roomservice(setup, &workspace, Some(&config))?;
    let usage = server.process.usage()?;
    let api = Api { address: server.http, kind: "multi_room" };
    let witness = api.sessions(&keys, ["witness".to_owned()])?.into_iter().next().ok_or("no witness")?;
    for n in [0, rooms / 2, rooms - 1] {
        api.ask(&api.get_pushers(&witness, &format!("room{n}")))?;
    }
    note("most memory while it started", format!("{:.0} MB", usage.peak as f64 / 1e6));
    let part = f64::from(rooms) / 1e6;
    let most = (4.0 * part).max(0.1);
    let took = server.started_in;
    let mut verdict = line(
        "start after a kill, until HTTP answers",
        milliseconds(took),
        &format!("<= {most:.1} s"),
        took.as_secs_f64() <= most,
    );
    let most = 30.0 + 570.0 * part;
    verdict = verdict.and(line(
        "memory after it",
        format!("{:.0} MB", usage.megabytes()),
        &format!("<= {most:.0} MB"),
        usage.megabytes() <= most,
    ));
    verdict = verdict.and(changes(&api, &keys, &witness, &data)?);
    Ok(options.setup.judge(verdict))
}

/// Bytes of the files in a directory and below.
fn size(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { size(&entry.path())? } else { data.len() };
    }
    Ok(bytes)
}

/// Whether a snapshot is being written somewhere below.
fn writes_snapshot(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        path.file_name().is_some_and(|name| name == "snapshot.new") || path.is_dir() && writes_snapshot(&path)
    })
}

/// Times changes beside a load of others, until a whole snapshot was written meanwhile.
fn changes(api: &Api, keys: &Keys, witness: &Session, data: &Path) -> Outcome {
    let guests = api.sessions(keys, (0..GUESTS).map(|n| format!("guest{n}")))?;
    let room = |n: usize| format!("room{n}");
    let url = |(n, guest): (usize, &Session)| api.push_url(guest, &room(n));
    let urls = api.texts(guests.iter().enumerate().map(url), "pushURL")?;
    let pairs = guests.iter().zip(&urls).enumerate();
    let requests: Vec<_> = pairs
        .flat_map(|(n, (guest, url))| [api.add_pusher(guest, &room(n), url), api.delete_pusher(guest, &room(n))])
        .collect();
    let own_url = api.texts([api.push_url(witness, "room7")], "pushURL")?;
    let own = [api.add_pusher(witness, "room7", own_url.first().ok_or("no URL")?), api.delete_pusher(witness, "room7")];
    let over = AtomicBool::new(false);
    let mut load = Load::new(api.address, CONNECTIONS, requests, 2)?;
    let (quiet, busy) = thread::scope(|scope| {
        let probe = scope.spawn(|| probe(api, &own, data, &over));
        let began = Instant::now();
        while !over.load(Ordering::Relaxed) && began.elapsed() < PATIENCE {
            load.run(Duration::from_millis(500))?;
        }
        over.store(true, Ordering::Relaxed);
        probe.join().map_err(|_| "the probe panicked")?
    })?;
    note("changes timed without and with a snapshot", format!("{} and {}", quiet.len(), busy.len()));
    if busy.is_empty() {
        return Err("no snapshot was written".into());
    }
    let [without, with] = [quiet, busy].map(|times| hundredth(times).as_secs_f64() * 1e3);
    let good = without <= 5.0;
    let verdict = line("99 of 100 changes, without a snapshot", format!("{without:.1} ms"), "<= 5 ms", good);
    Ok(verdict.and(line("99 of 100 changes, during one", format!("{with:.1} ms"), "<= 20 ms", with <= 20.0)))
}

/// Makes changes one after the other until a snapshot came and went: the times of those outside of it, and of those in it.
fn probe(
    api: &Api,
    requests: &[Vec<u8>],
    data: &Path,
    over: &AtomicBool,
) -> Result<(Vec<Duration>, Vec<Duration>), Failure> {
    let mut connection = Connection::open(api.address)?;
    let mut quiet = Vec::new();
    let mut busy = Vec::new();
    // A snapshot may be under way from the start: its first part is not seen, but it counts.
    for request in requests.iter().cycle() {
        let began = Instant::now();
        connection.send(request)?;
        connection.receive()?.json()?;
        let took = began.elapsed();
        if writes_snapshot(data) {
            busy.push(took);
        } else {
            quiet.push(took);
            if busy.len() > 100 && quiet.len() > 1_000 {
                over.store(true, Ordering::Relaxed);
            }
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep(EVERY);
    }
    Ok((quiet, busy))
}

/// What 99 of 100 are not above.
fn hundredth(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred() {
        let times = |count: u64| (1..=count).rev().map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(hundredth(times(100)), Duration::from_millis(100));
        assert_eq!(hundredth(times(1_000)), Duration::from_millis(991));
        assert_eq!(hundredth(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn a_snapshot_under_way_is_seen_wherever_it_is() {
        let workspace = Workspace::new().unwrap();
        let below = workspace.path().join("data/journal");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("snapshot"), "12345").unwrap();
        assert!(!writes_snapshot(workspace.path()));
        assert_eq!(size(workspace.path()).unwrap(), 5);
        fs::write(below.join("snapshot.new"), "123").unwrap();
        assert!(writes_snapshot(workspace.path()));
        assert_eq!(size(workspace.path()).unwrap(), 8);
        assert!(!writes_snapshot(&workspace.path().join("nowhere")));
    }
}
