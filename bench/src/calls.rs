//! `bench http`: requests per CPU second of the server for each call, beside the bare handler, in alternating
//! slices of the same run. Knows what is measured and what is asked for; the wire is `api`'s and `http`'s.

use crate::api::{Api, Keys, Session, UserSig};
use crate::http::{Load, Slice, fetch_all};
use crate::server::{Running, Server, Setup, Usage, Workspace};
use crate::table::{Verdict, figure, median};
use crate::{Failure, Outcome, bare};
use std::time::{Duration, Instant};

/// Slices that each call is measured in; the median ratio counts.
const ROUNDS: u32 = 5;
/// Distinct users of `login` and `get_login_info`, so that no cache of signatures helps.
const LOGINS: usize = 20_000;
const ROOMS: usize = 10_000;
const PAGE: usize = 20;
/// Half of the time after which a pusher is looked up (`heartBeatTimeout`, 20 s).
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Seconds per call; the bare handler gets the same again.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Only the calls whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=600.0).contains(&value) { Ok(value) } else { Err("must be 0.1 to 600".to_owned()) }
}

/// What is asked of a call.
#[derive(Clone, Copy)]
enum Target {
    /// Requests per CPU second.
    Rate(f64),
    /// The bare handler's rate times this.
    Ratio(f64),
    /// Nothing in particular.
    None,
}

impl Target {
    fn verdict(self, rate: f64, ratio: f64) -> Verdict {
        Verdict::of(match self {
            Target::Rate(least) => rate >= least,
            Target::Ratio(least) => ratio >= least,
            Target::None => true,
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Rate(least) => f.pad(&format!(">= {least:.0}/s")),
            Target::Ratio(least) => f.pad(&format!(">= {least:.1} of bare")),
            Target::None => f.pad("-"),
        }
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    target: Target,
    /// Requests in a row that belong together and stay on one connection.
    group: usize,
    requests: Vec<Vec<u8>>,
}

/// One side while it is measured.
struct Side<'a> {
    load: Load,
    process: &'a Running,
}

/// What slices of one side came to.
#[derive(Default)]
struct Measured {
    slice: Slice,
    cpu: f64,
    wall: f64,
    generator_cpu: f64,
}

impl Side<'_> {
    /// Runs a slice and gives its requests per CPU second.
    fn slice(&mut self, time: Duration, sum: &mut Measured) -> Result<f64, Failure> {
        let before = self.process.usage()?.cpu;
        let own = Usage::own()?.cpu;
        let began = Instant::now();
        let slice = self.load.run(time)?;
        let cpu = self.process.usage()?.cpu - before;
        sum.slice.answered += slice.answered;
        sum.slice.refused += slice.refused;
        sum.cpu += cpu;
        sum.wall += began.elapsed().as_secs_f64();
        sum.generator_cpu += Usage::own()?.cpu - own;
        // A slice too short for the kernel's clock counts as one tick rather than as free.
        Ok(slice.answered as f64 / cpu.max(0.01))
    }
}

/// Measures all calls and prints the table.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let workspace = Workspace::new()?;
    let keys = Keys::generate()?;
    let config = keys.write_config(&workspace)?;
    let bare = Server::bare(&options.setup, &workspace)?;
    let server = Server::roomservice(&options.setup, &workspace, Some(&config))?;
    let api = Api { address: server.http, kind: "multi_room" };

    eprintln!("making {ROOMS} rooms");
    let sessions = api.sessions(&keys, (0..ROOMS).map(|n| format!("user{n}")))?;
    api.enter_rooms(&sessions, room)?;
    let mut kept = Instant::now();
    let beats: Vec<Vec<u8>> = sessions.iter().enumerate().map(|(n, user)| api.heartbeat(user, &room(n))).collect();
    let bare_requests = || {
        let at_bare = Api { address: bare.http, ..api };
        let requests: Vec<_> = sessions.iter().enumerate().map(|(n, user)| at_bare.heartbeat(user, &room(n))).collect();
        debug_assert!(requests.iter().all(|request| request.starts_with(format!("POST {}?", bare::PATH).as_bytes())));
        requests
    };

    let connections = usize::from(options.connections);
    let time = Duration::from_secs_f64(options.seconds / f64::from(ROUNDS));
    let mut verdict = Verdict::Reached;
    println!(
        "{:<26} {:>10} {:>10} {:>6} {:>7} {:>7} {:>8}   {:<14} verdict",
        "call", "req/CPU-s", "bare", "ratio", "srv %", "gen %", "refused", "target"
    );
    let mut beside = Side { load: Load::new(bare.http, connections, bare_requests(), 1)?, process: &bare.process };
    for name in NAMES {
        if options.only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let row = match name {
            ITSELF => Row { name, target: Target::None, group: 1, requests: bare_requests() },
            _ => row(name, &api, &keys, &sessions)?,
        };
        let measured = if name == ITSELF { &bare } else { &server };
        let load = Load::new(measured.http, connections, row.requests, row.group)?;
        let mut side = Side { load, process: &measured.process };
        let mut slices = Slices::default();
        for _ in 0..ROUNDS {
            slices.bare_rates.push(beside.slice(time, &mut Measured::default())?);
            if kept.elapsed() > KEEP_ALIVE {
                fetch_all(server.http, connections, beats.iter().cloned(), |reply| reply.json().map(drop))?;
                kept = Instant::now();
            }
            slices.rates.push(side.slice(time, &mut slices.sum)?);
        }
        verdict = verdict.and(slices.print(row.name, &row.target));
    }
    println!("\nserver: {:.1} MB resident at the end", server.process.usage()?.megabytes());
    Ok(options.setup.judge(verdict))
}

/// What slices of a call measured, each beside one of the bare handler.
#[derive(Default)]
struct Slices {
    rates: Vec<f64>,
    bare_rates: Vec<f64>,
    sum: Measured,
}

impl Slices {
    /// Prints the call's line. Says whether it reached its target.
    fn print(self, name: &str, target: &Target) -> Verdict {
        let Self { rates, bare_rates, sum } = self;
        let ratio = median(rates.iter().zip(&bare_rates).map(|(rate, bare)| rate / bare).collect());
        let rate = median(rates);
        let good = target.verdict(rate, ratio).and(Verdict::of(sum.slice.refused == 0));
        let asked = !matches!(target, Target::None) || good == Verdict::Short;
        figure(&format!("{name}, ratio"), ratio);
        figure(&format!("{name}, requests per CPU second"), rate);
        let shown = if asked { good.to_string() } else { "-".to_owned() };
        println!(
            "{name:<26} {rate:>10.0} {:>10.0} {ratio:>6.2} {:>7.0} {:>7.0} {:>8}   {target:<14} {shown}",
            median(bare_rates),
            100.0 * sum.cpu / sum.wall,
            100.0 * sum.generator_cpu / sum.wall,
            sum.slice.refused,
        );
        good
    }
}

/// The bare handler beside itself: how far from 1.00 its ratio is, so far is any other ratio to be believed.
const ITSELF: &str = "(bare beside itself)";

/// The calls in the order in which they are measured: those that change what there is come last.
const NAMES: [&str; 12] = [
    ITSELF,
    "pusher_heartbeat",
    "get_pushers",
    "login, userSig 1 (P-256)",
    "login, userSig 2",
    "get_login_info",
    "get_room_list, first page",
    "get_room_list, last page",
    "get_push_url",
    "add+delete_pusher (call)",
    "create_room",
    "pusher_heartbeat, again",
];

fn row(name: &'static str, api: &Api, keys: &Keys, sessions: &[Session]) -> Result<Row, Failure> {
    let each = |request: &dyn Fn(&Session, &str) -> Vec<u8>| -> Vec<Vec<u8>> {
        sessions.iter().enumerate().map(|(n, session)| request(session, &room(n))).collect()
    };
    let logins = |version| -> Result<Vec<Vec<u8>>, Failure> {
        (0..LOGINS).map(|n| api.login(keys, &format!("user{n}"), version)).collect()
    };
    let (target, requests) = match name {
        "get_pushers" => (Target::Ratio(0.8), each(&|session, room| api.get_pushers(session, room))),
        "login, userSig 1 (P-256)" => (Target::Rate(10_000.0), logins(UserSig::V1)?),
        "login, userSig 2" => (Target::Rate(40_000.0), logins(UserSig::V2)?),
        "get_login_info" => {
            (Target::Rate(20_000.0), (0..LOGINS).map(|n| api.login_info(&format!("user{n}"))).collect())
        }
        "get_room_list, first page" => (Target::Rate(30_000.0), each(&|session, _| api.room_list(session, PAGE, 0))),
        "get_room_list, last page" => {
            (Target::Rate(30_000.0), each(&|session, _| api.room_list(session, PAGE, ROOMS - PAGE)))
        }
        "get_push_url" => (Target::None, each(&|session, room| api.push_url(session, room))),
        "add+delete_pusher (call)" => return guests(name, api, keys),
        "create_room" => (Target::Ratio(0.5), each(&|session, _| api.create_room(session))),
        _ => (Target::Ratio(0.8), each(&|session, room| api.heartbeat(session, room))),
    };
    Ok(Row { name, target, group: 1, requests })
}

/// Guests who enter the first rooms as second pushers and leave again, each on one connection.
fn guests(name: &'static str, api: &Api, keys: &Keys) -> Result<Row, Failure> {
    let guests = api.sessions(keys, (0..ROOMS / 10).map(|n| format!("guest{n}")))?;
    let asked = guests.iter().enumerate().map(|(n, guest)| api.push_url(guest, &room(n)));
    let urls = api.texts(asked, "pushURL")?;
    let pairs = guests.iter().zip(&urls).enumerate();
    let requests = pairs
        .flat_map(|(n, (guest, url))| [api.add_pusher(guest, &room(n), url), api.delete_pusher(guest, &room(n))])
        .collect();
    Ok(Row { name, target: Target::Ratio(0.5), group: 2, requests })
}

fn room(n: usize) -> String {
    format!("room{n}")
}
