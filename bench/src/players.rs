//! `bench players`: many RTMP or HTTP-FLV players of one stream that ffmpeg pushes. The URLs come from the API,
//! as a client gets them. Knows what is measured; what a player says is `rtmp`'s and `flv`'s.

use crate::clip::{Clip, LATE_EVERY};
use crate::server::{Running, Setup, Usage, Workspace};
use crate::sweep::{Reader, Sweep};
use crate::table::{Verdict, line, median, note};
use crate::venue::{Peer, Venue, text};
use crate::{Failure, Outcome, flv, rtmp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(10);
/// Players that connect at the same time.
const AT_ONCE: usize = 32;
const LATE_PLAYERS: u32 = 20;

/// What the players speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// RTMP play.
    Rtmp,
    /// FLV in an HTTP reply.
    Flv,
}

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// What the players speak.
    #[arg(long, value_enum, default_value_t = Protocol::Rtmp)]
    protocol: Protocol,
    /// Players.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    count: u32,
    /// Seconds that are measured, once all players play.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Milliseconds between two looks of a player at its socket; 0: it is woken for every packet.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=1000))]
    read_every: u64,
    #[command(flatten)]
    peer: Peer,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdict = runtime.block_on(measure(options))?;
    Ok(options.setup.judge(verdict))
}

async fn measure(options: &Options) -> Outcome {
    let workspace = Workspace::new()?;
    let clip = Clip::make(&workspace)?;
    let clip_rate = clip.rate()?;
    let place = Place::of(options, &workspace)?;
    let venue = &place.venue;
    let play = Arc::new(place.play.clone());
    let mut pushing = clip.push(&workspace, &venue.push_url)?;
    wait_for_stream(&play, &mut pushing, &workspace).await?;

    let pushed = slice(venue.pid, Duration::from_secs(options.seconds.min(5)), &[]).await?;
    let crowd = Crowd::gather(options, &play).await?;
    // The bursts with which players begin are not what is measured.
    sleep(Duration::from_secs(2)).await;
    let full = slice(venue.pid, Duration::from_secs(options.seconds), &crowd.players).await?;
    let late = match &place.late {
        Some(address) => Some(late_players(address).await?),
        None => None,
    };
    if pushing.ended()?.is_some() {
        return Err("ffmpeg stopped pushing before the end".into());
    }
    Ok(report(options, clip_rate, venue, &pushed, &full, crowd.lost(), late))
}

/// Prints what was measured beside what is asked for.
fn report(
    options: &Options,
    clip_rate: f64,
    venue: &Venue,
    pushed: &Stretch,
    full: &Stretch,
    lost: u64,
    late: Option<f64>,
) -> Verdict {
    let count = options.count;
    println!("{count} {:?} players of a stream of {:.2} Mbit/s", options.protocol, clip_rate * 8.0 / 1e6);
    note("server CPU, publisher only", format!("{:.1} %", pushed.cpu));
    note("generator CPU", format!("{:.1} %", full.generator_cpu));
    let most = 9.0 * f64::from(count) / 1000.0;
    let mut verdict =
        line("server CPU of a core", format!("{:.1} %", full.cpu), &format!("<= {most:.1} %"), full.cpu <= most);
    note("memory at rest", format!("{:.1} MB", venue.idle.megabytes()));
    let above = full.usage.megabytes() - venue.idle.megabytes();
    let most = 40.0 * (f64::from(count) / 1000.0).max(1.0);
    verdict =
        verdict.and(line("memory above rest", format!("{above:.1} MB"), &format!("<= {most:.0} MB"), above <= most));
    let slowest = full.rates.iter().copied().fold(f64::INFINITY, f64::min);
    note("bit rate of the middle player", format!("{:.2} Mbit/s", median(full.rates.clone()) * 8.0 / 1e6));
    verdict = verdict.and(line(
        "bit rate of the slowest player",
        format!("{:.2} Mbit/s", slowest * 8.0 / 1e6),
        ">= 0.9 of it",
        slowest >= 0.9 * clip_rate,
    ));
    verdict = verdict.and(line("players that lost the stream", lost.to_string(), "0", lost == 0));
    if let Some(seconds) = late {
        let first = 1e3 * seconds;
        let name = "first frame of a late HTTP-FLV player";
        verdict = verdict.and(line(name, format!("{first:.0} ms"), "<= 200 ms", first <= 200.0));
    }
    verdict
}

/// Where the stream is played.
struct Place {
    venue: Venue,
    play: Play,
    /// Where late players are timed.
    late: Option<flv::Address>,
}

/// What the players ask for.
#[derive(Clone)]
enum Play {
    Rtmp(rtmp::Address),
    Flv(flv::Address),
}

impl Play {
    fn parse(protocol: Protocol, url: &str) -> Result<Self, Failure> {
        Ok(match protocol {
            Protocol::Rtmp => Play::Rtmp(rtmp::Address::parse(url)?),
            Protocol::Flv => Play::Flv(flv::Address::parse(url)?),
        })
    }
}

impl Place {
    fn of(options: &Options, workspace: &Workspace) -> Result<Self, Failure> {
        if let Some((venue, url)) = options.peer.venue()? {
            let play = Play::parse(options.protocol, &url)?;
            let late = match &play {
                Play::Flv(address) => Some(address.clone()),
                Play::Rtmp(_) => None,
            };
            return Ok(Place { venue, play, late });
        }
        let (venue, pushers) = Venue::open(&options.setup, workspace)?;
        let flv_url = text(&pushers, "/mixedPlayURL");
        let url = match options.protocol {
            Protocol::Rtmp => text(&pushers, "/pushers/0/accelerateURL"),
            Protocol::Flv => flv_url.clone(),
        };
        let late = Some(flv::Address::parse(&flv_url)?);
        Ok(Place { venue, play: Play::parse(options.protocol, &url)?, late })
    }
}

/// What a stretch of time came to.
struct Stretch {
    /// Percent of a core.
    cpu: f64,
    generator_cpu: f64,
    /// The server's at the end.
    usage: Usage,
    /// Bytes a second of each player.
    rates: Vec<f64>,
}

async fn slice(pid: u32, time: Duration, players: &[Arc<AtomicU64>]) -> Result<Stretch, Failure> {
    let count = || players.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let began = Instant::now();
    let before = Usage::of(pid)?;
    let own = Usage::own()?;
    let counted = count();
    sleep(time).await;
    let usage = Usage::of(pid)?;
    let own_after = Usage::own()?;
    let counted_after = count();
    let seconds = began.elapsed().as_secs_f64();
    let rates = counted.iter().zip(&counted_after).map(|(a, b)| b.saturating_sub(*a) as f64 / seconds).collect();
    Ok(Stretch {
        cpu: 100.0 * (usage.cpu - before.cpu) / seconds,
        generator_cpu: 100.0 * (own_after.cpu - own.cpu) / seconds,
        usage,
        rates,
    })
}

/// The players: one task and one count of bytes each.
struct Crowd {
    players: Vec<Arc<AtomicU64>>,
    ended: Arc<AtomicU64>,
    leaving: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    _sweep: Option<Sweep>,
}

enum Player {
    Rtmp(rtmp::Player),
    Flv(flv::Player),
}

impl Player {
    async fn play(play: Arc<Play>) -> Result<Self, Failure> {
        let playing = async {
            Ok::<_, Failure>(match &*play {
                Play::Rtmp(address) => Player::Rtmp(rtmp::Player::play(address).await?),
                Play::Flv(address) => Player::Flv(flv::Player::play(address).await?),
            })
        };
        timeout(PATIENCE, playing).await.map_err(|_| "a player waited 10 s for the stream")?
    }

    fn into_socket(self) -> Result<std::net::TcpStream, Failure> {
        match self {
            Player::Rtmp(player) => player.into_socket(),
            Player::Flv(player) => player.into_socket(),
        }
    }

    async fn discard(&mut self, buffer: &mut [u8]) -> usize {
        let n = match self {
            Player::Rtmp(player) => player.discard(buffer).await,
            Player::Flv(player) => player.discard(buffer).await,
        };
        n.unwrap_or(0)
    }
}

impl Crowd {
    /// Connects all players, some at once.
    async fn gather(options: &Options, play: &Arc<Play>) -> Result<Self, Failure> {
        let mut crowd = Crowd {
            players: Vec::new(),
            ended: Arc::default(),
            leaving: Arc::default(),
            tasks: JoinSet::new(),
            _sweep: None,
        };
        let mut patient = Vec::new();
        let count = options.count as usize;
        while crowd.players.len() < count {
            let some = AT_ONCE.min(count - crowd.players.len());
            let joining: JoinSet<_> = (0..some).map(|_| Player::play(play.clone())).collect();
            for player in joining.join_all().await {
                let bytes = Arc::new(AtomicU64::new(0));
                crowd.players.push(bytes.clone());
                match options.read_every {
                    0 => crowd.add(player?, bytes),
                    _ => patient.push(Reader { stream: player?.into_socket()?, bytes }),
                }
            }
        }
        if !patient.is_empty() {
            let pause = Duration::from_millis(options.read_every);
            crowd._sweep = Some(Sweep::start(patient, pause, crowd.ended.clone()));
        }
        Ok(crowd)
    }

    fn add(&mut self, mut player: Player, bytes: Arc<AtomicU64>) {
        let ended = self.ended.clone();
        let leaving = self.leaving.clone();
        self.tasks.spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match player.discard(&mut buffer).await {
                    0 => break,
                    n => bytes.fetch_add(n as u64, Ordering::Relaxed),
                };
            }
            if !leaving.load(Ordering::Relaxed) {
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Players whose stream has ended. The others leave with this.
    fn lost(mut self) -> u64 {
        self.leaving.store(true, Ordering::Relaxed);
        self.tasks.abort_all();
        self.ended.load(Ordering::Relaxed)
    }
}

/// The middle one of some players' times to the first frame, in seconds.
async fn late_players(address: &flv::Address) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..LATE_PLAYERS {
        let time = timeout(PATIENCE, flv::first_frame(address)).await.map_err(|_| "no first frame in 10 s")??;
        times.push(time.as_secs_f64());
        sleep(LATE_EVERY).await;
    }
    Ok(median(times))
}

async fn wait_for_stream(play: &Arc<Play>, pushing: &mut Running, workspace: &Workspace) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let tried = timeout(Duration::from_secs(2), async {
            let mut player = Player::play(play.clone()).await?;
            match player.discard(&mut [0; 4096]).await {
                0 => Err("the stream ended at once".into()),
                _ => Ok::<_, Failure>(()),
            }
        })
        .await;
        if matches!(tried, Ok(Ok(()))) {
            return Ok(());
        }
        if pushing.ended()?.is_some() || began.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(workspace.path().join("ffmpeg.out")).unwrap_or_default();
            return Err(format!("the stream cannot be played: {tried:?}; ffmpeg said:\n{said}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
