//! `bench whep`: many WebRTC viewers of one stream that ffmpeg pushes. The URL comes from the API, as a client gets it. Knows
//! what is measured; what a viewer does is `viewer`'s.

mod crowd;
mod delays;
mod heads;
mod reports;
mod signal;
mod viewer;

use crate::clip::{Clip, LATE_EVERY, PICTURES};
use crate::server::{Running, Setup, Usage, Workspace};
use crate::table::{Verdict, line, median, note, share};
use crate::venue::{Peer, Venue, text};
use crate::{Failure, Outcome};
use crowd::{Crowd, Seen};
use delays::Delays;
use signal::Endpoint;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use viewer::{Opened, Viewer};

/// Percent of a core for each viewer, of a stream of 0.6 Mbit/s.
const CPU: f64 = 0.053;
/// Kilobytes for each viewer.
const MEMORY: f64 = 120.0;
/// Milliseconds of the server's CPU for an answer.
const OFFER: f64 = 1.0;
/// Milliseconds that viewers may lie apart.
const DELAY: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(15);
/// From the first packet of a publisher until viewers come.
const PUBLISHED: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Viewers.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    viewers: u32,
    /// How many of them open all packets and compare the pictures with the clip.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    whole: u32,
    /// Seconds that are measured, once all viewers play.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Viewers that come one by one afterwards, whose first frame is timed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    late: u32,
    /// Offers whose answers' CPU is measured at the end.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    offers: u32,
    /// Milliseconds between two looks of a viewer at its socket.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    read_every: u64,
    #[command(flatten)]
    peer: Peer,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let verdict = report(options, &measure(options)?);
    Ok(options.setup.judge(verdict))
}

/// What was measured.
struct Figures {
    /// Bytes of the clip's pictures a second.
    rate: f64,
    /// With one viewer, and with all of them.
    alone: Stretch,
    full: Stretch,
    seen: Vec<Seen>,
    /// What the whole ones found meanwhile, and how many they are.
    opened: (usize, Opened),
    delays: Option<Delays>,
    /// The longest time between two looks at one socket.
    longest: Duration,
    /// Datagrams that found no room in a socket of this machine.
    dropped: u64,
    /// Times to the first frame, in milliseconds.
    late: Vec<f64>,
    /// Viewers that lost the stream, each with the reason.
    failed: Vec<String>,
    /// The server's CPU from an offer to its answer and the session's end, in milliseconds.
    offer: f64,
}

fn measure(options: &Options) -> Result<Figures, Failure> {
    let workspace = Workspace::new()?;
    let clip = Clip::make(&workspace)?;
    let slices = Arc::new(clip.slices()?);
    let (venue, endpoint) = match options.peer.venue()? {
        Some((venue, url)) => (venue, Endpoint::parse(&url)?),
        None => {
            let (venue, pushers) = Venue::open(&options.setup, &workspace)?;
            (venue, Endpoint::parse(&text(&pushers, "/pushers/0/whepURL"))?)
        }
    };
    let mut pushing = clip.push(&workspace, &venue.push_url)?;
    let every = Duration::from_millis(options.read_every);
    let mut crowd = Crowd::new(endpoint.clone(), slices.clone(), every);
    sleep(PUBLISHED);
    first_viewer(&mut crowd, &mut pushing, &workspace)?;
    crowd.run(Duration::from_secs(1));
    let some = Duration::from_secs(options.seconds.min(5));
    let (alone, _) = crowd.measure(some, || Moment::of(venue.pid))?;

    crowd.gather(options.viewers as usize, options.whole.min(options.viewers) as usize)?;
    // The bursts with which viewers begin are not what is measured.
    crowd.run(Duration::from_secs(2));
    let dropped = unreceived()?;
    let found = crowd.opened().1;
    let (full, seen) = crowd.measure(Duration::from_secs(options.seconds), || Moment::of(venue.pid))?;
    let (whole, opened) = crowd.opened();
    let longest = crowd.longest;
    let delays = crowd.delays();
    let dropped = unreceived()? - dropped;
    let late = (0..options.late).map(|_| {
        let time = crowd.late()?;
        crowd.run(LATE_EVERY);
        Ok(1e3 * time.as_secs_f64())
    });
    let late = late.collect::<Result<_, Failure>>()?;
    let failed = crowd.failures();
    crowd.leave()?;
    if pushing.ended()?.is_some() {
        return Err("ffmpeg stopped pushing before the end".into());
    }
    Ok(Figures {
        rate: slices.rate,
        alone: Stretch::of(alone),
        full: Stretch::of(full),
        seen,
        opened: (whole, opened.since(found)),
        delays,
        longest,
        dropped,
        late,
        failed,
        offer: offers(options, &endpoint, venue.pid)?,
    })
}

/// Waits until the stream can be played, with the first viewer.
fn first_viewer(crowd: &mut Crowd, pushing: &mut Running, workspace: &Workspace) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let Err(why) = crowd.gather(1, 1) else { return Ok(()) };
        if pushing.ended()?.is_some() || began.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(workspace.path().join("ffmpeg.out")).unwrap_or_default();
            return Err(format!("the stream cannot be played: {why}; ffmpeg said:\n{said}").into());
        }
        sleep(Duration::from_millis(100));
    }
}

/// What offers cost the server, in milliseconds each: from the offer to the answer, and the end of a session that was never
/// connected.
fn offers(options: &Options, endpoint: &Endpoint, pid: u32) -> Result<f64, Failure> {
    // What those who left have left to do.
    sleep(Duration::from_secs(2));
    let before = Moment::of(pid)?;
    sleep(Duration::from_secs(options.seconds.min(5)));
    let idle = Moment::of(pid)?;
    for _ in 0..options.offers {
        let offer = Viewer::offer()?;
        endpoint.leave(&endpoint.offer(&offer)?)?;
    }
    let end = Moment::of(pid)?;
    let usual = Stretch::of([before, idle]).cpu() / 100.0;
    let own = end.server.cpu - idle.server.cpu - usual * (end.at - idle.at).as_secs_f64();
    Ok(1e3 * own.max(0.0) / f64::from(options.offers))
}

/// What the processes have used up to a moment.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    server: Usage,
    own: Usage,
}

impl Moment {
    fn of(pid: u32) -> Result<Self, Failure> {
        Ok(Moment { at: Instant::now(), server: Usage::of(pid)?, own: Usage::own()? })
    }
}

/// What was used between two moments, in percent of a core.
struct Stretch {
    user: f64,
    system: f64,
    generator: f64,
    seconds: f64,
    /// Resident at the end, in bytes.
    rss: u64,
}

impl Stretch {
    fn of([start, end]: [Moment; 2]) -> Self {
        let seconds = (end.at - start.at).as_secs_f64();
        let percent = |after: f64, before: f64| 100.0 * (after - before) / seconds;
        let system = percent(end.server.system, start.server.system);
        let user = percent(end.server.cpu, start.server.cpu) - system;
        let generator = percent(end.own.cpu, start.own.cpu);
        Stretch { user, system, generator, seconds, rss: end.server.rss }
    }

    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Datagrams so far that came to a full socket, of all processes of this machine.
fn unreceived() -> Result<u64, Failure> {
    let all = std::fs::read_to_string("/proc/net/snmp")?;
    let mut lines = all.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names = lines.next().ok_or("no UDP in /proc/net/snmp")?;
    let values = lines.next().ok_or("no UDP in /proc/net/snmp")?;
    let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "RcvbufErrors");
    Ok(found.ok_or("no RcvbufErrors in /proc/net/snmp")?.1.parse()?)
}

/// Prints what was measured beside what is asked for.
fn report(options: &Options, figures: &Figures) -> Verdict {
    let Figures { alone, full, seen, .. } = figures;
    let viewers = seen.len() as f64;
    let megabits = |bytes: f64| format!("{:.3} Mbit/s", bytes * 8.0 / 1e6);
    println!("{} viewers of a stream with {} of pictures", seen.len(), megabits(figures.rate));
    let each = full.cpu() / viewers;
    let mut verdict =
        line("server CPU of a core, a viewer", format!("{each:.4} %"), &format!("<= {CPU} %"), each <= CPU);
    note("of it in user mode", format!("{:.4} %", full.user / viewers));
    note("of it in the kernel", format!("{:.4} %", full.system / viewers));
    note("of it for each further viewer", format!("{:.4} %", (full.cpu() - alone.cpu()) / (viewers - 1.0)));
    note("server CPU of a core", format!("{:.1} %", full.cpu()));
    note("server CPU with one viewer", format!("{:.1} %", alone.cpu()));
    note("generator CPU", format!("{:.1} %", full.generator));
    let memory = full.rss.saturating_sub(alone.rss) as f64 / (viewers - 1.0) / 1e3;
    verdict = verdict.and(line(
        "memory of a viewer",
        format!("{memory:.0} kB"),
        &format!("<= {MEMORY} kB"),
        memory <= MEMORY,
    ));
    verdict = verdict.and(received(options, figures));
    if let Some(delays) = figures.delays {
        let [middle, most] = delays.spread;
        note("frames of which each viewer's time is known", delays.frames.to_string());
        note("99 of 100 viewers behind the first, p50", format!("{middle:.2} ms"));
        let good = most <= DELAY;
        verdict =
            verdict.and(line("the same, p99 of frames", format!("{most:.2} ms"), &format!("<= {DELAY} ms"), good));
        note("jitter that a viewer sees, p50", format!("{:.3} ms", delays.jitter[0]));
        note("jitter that a viewer sees, p99", format!("{:.3} ms", delays.jitter[1]));
    } else {
        note("jitter", "none: each viewer has a time of its own".to_owned());
    }
    note("first frame of a late viewer, p50", format!("{:.1} ms", median(figures.late.clone())));
    note("first frame of a late viewer, p99", format!("{:.1} ms", share(figures.late.clone(), 0.99)));
    let offer = figures.offer;
    verdict.and(line(
        "server CPU from offer to answer",
        format!("{offer:.2} ms"),
        &format!("<= {OFFER} ms"),
        offer <= OFFER,
    ))
}

/// Prints what came.
fn received(options: &Options, figures: &Figures) -> Verdict {
    let seconds = figures.full.seconds;
    let rate = |seen: &Seen, track: usize| seen.counts[track].bytes as f64 / seconds;
    let least = |track: usize| figures.seen.iter().map(|seen| rate(seen, track)).fold(f64::INFINITY, f64::min);
    let megabits = |bytes: f64| format!("{:.3} Mbit/s", bytes * 8.0 / 1e6);
    let slowest = least(0);
    let target = format!(">= {}", megabits(0.9 * figures.rate));
    let mut verdict = line("least pictures of a viewer", megabits(slowest), &target, slowest >= 0.9 * figures.rate);
    verdict = verdict.and(line("least sound of a viewer", megabits(least(1)), "> 0", least(1) > 0.0));
    let sum = |of: &dyn Fn(&Seen) -> u64| figures.seen.iter().map(of).sum::<u64>();
    let lost = sum(&|seen| seen.counts.iter().map(|counts| counts.lost()).sum());
    note("packets", sum(&|seen| seen.counts.iter().map(|counts| counts.received).sum()).to_string());
    verdict = verdict.and(line("packets lost", lost.to_string(), "0", lost == 0));
    note("packets sent again", sum(&|seen| seen.again).to_string());
    note("datagrams that this machine dropped", figures.dropped.to_string());
    let longest = figures.longest.saturating_sub(Duration::from_millis(options.read_every));
    note("longest delay of a look at the sockets", format!("{:.1} ms", 1e3 * longest.as_secs_f64()));
    let (whole, opened) = figures.opened;
    let due = whole as f64 * seconds * f64::from(PICTURES);
    let good = opened.good as f64 >= 0.95 * due;
    verdict = verdict.and(line(
        "pictures opened that are the clip's",
        opened.good.to_string(),
        &format!(">= {:.0}", 0.95 * due),
        good,
    ));
    verdict = verdict.and(line("pictures opened that are not", opened.wrong.to_string(), "0", opened.wrong == 0));
    note("frames of sound opened", opened.sounds.to_string());
    for why in &figures.failed {
        eprintln!("a viewer lost the stream: {why}");
    }
    let failed = figures.failed.len();
    verdict.and(line("viewers that lost the stream", failed.to_string(), "0", failed == 0))
}
