//! `bench chat`: many WebSocket connections, one big room among them; what a connection costs, how long a message
//! takes to reach everybody, and how many deliveries a CPU second of the server is good for.

use crate::api::{Api, Keys, Session};
use crate::server::{Server, Setup, Workspace};
use crate::table::{line, note};
use crate::{Failure, Outcome, frames, ws};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// Connections that are opened at the same time.
const AT_ONCE: usize = 32;
/// Members who speak in turn, so that no limit of one user's messages is measured.
const SPEAKERS: usize = 100;
const LATENCY_MESSAGES: u64 = 20;
const KEEP_ALIVE: Duration = Duration::from_secs(8);
const BIG_ROOM: &str = "bigroom";

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    setup: Setup,
    /// WebSocket connections; each side needs as many file descriptors (`ulimit -n`) and a few more.
    #[arg(long, default_value_t = 19_500, value_parser = clap::value_parser!(u32).range(2..=25_000))]
    connections: u32,
    /// Connections that join the big room; the others only stay connected.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=25_000))]
    room: u32,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(32..=4096))]
    bytes: u16,
    /// Seconds of messages one after the other.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Measures and prints.
pub fn run(options: &Options) -> Outcome {
    options.setup.pin_generator()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let verdict = runtime.block_on(measure(options))?;
    Ok(options.setup.judge(verdict))
}

/// A message has reached a connection.
struct Arrival {
    connection: usize,
    number: u64,
    at: Instant,
}

/// The big room, as the measurement sees it.
struct Room<'a> {
    options: &'a Options,
    api: Api,
    anchor: &'a Session,
    senders: Vec<ws::Sender>,
    arrivals: UnboundedReceiver<Arrival>,
    next: u64,
    kept: Instant,
}

async fn measure(options: &Options) -> Outcome {
    let workspace = Workspace::new()?;
    let keys = Keys::generate()?;
    let config = keys.write_config(&workspace)?;
    let server = Server::roomservice(&options.setup, &workspace, Some(&config))?;
    let api = Api { address: server.http, kind: "live_room" };
    let connections = options.connections as usize;
    let sessions = api.sessions(&keys, (0..connections).map(|n| format!("user{n}")))?;
    let anchor = sessions.get(..1).ok_or("no sessions")?;
    api.enter_rooms(anchor, |_| BIG_ROOM.to_owned())?;
    let anchor = anchor.first().ok_or("no anchor")?;

    sleep(Duration::from_secs(1)).await;
    let before = server.process.usage()?;
    let (report, arrivals) = unbounded_channel();
    let mut room = Room { options, api, anchor, senders: Vec::new(), arrivals, next: 0, kept: Instant::now() };
    let mut readers = JoinSet::new();
    let began = Instant::now();
    for some in sessions.chunks(AT_ONCE) {
        let first = room.senders.len();
        let joining: JoinSet<_> = some
            .iter()
            .enumerate()
            .map(|(n, session)| enter(api, session.clone(), first + n, first + n < options.room as usize))
            .collect();
        let mut entered = joining.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        entered.sort_by_key(|(connection, ..)| *connection);
        for (connection, sender, receiver) in entered {
            room.senders.push(sender);
            readers.spawn(listen(connection, receiver, report.clone()));
        }
        room.keep_alive()?;
    }
    let opening = began.elapsed();
    sleep(Duration::from_secs(2)).await;
    let full = server.process.usage()?;
    println!("{connections} WebSocket connections, {} of them in one room", room.members());
    note("connections opened and joined in", format!("{:.1} s", opening.as_secs_f64()));
    let each = full.rss.saturating_sub(before.rss) as f64 / connections as f64;
    let verdict = line("memory of a connection", format!("{each:.0} B"), "<= 10000 B", each <= 10_000.0);

    let verdict = verdict.and(latency(&mut room).await?);
    let cpu = server.process.usage()?.cpu;
    let began = Instant::now();
    let mut deliveries = 0;
    while began.elapsed() < Duration::from_secs(options.seconds) {
        deliveries += room.say_to_all().await?.len();
    }
    let used = (server.process.usage()?.cpu - cpu).max(0.01);
    let rate = deliveries as f64 / used;
    note("deliveries a second", format!("{:.0}", deliveries as f64 / began.elapsed().as_secs_f64()));
    let verdict =
        verdict.and(line("deliveries per server CPU second", format!("{rate:.0}"), ">= 100000", rate >= 100_000.0));
    let lost = std::iter::from_fn(|| readers.try_join_next()).count();
    Ok(verdict.and(line("connections that were lost", lost.to_string(), "0", lost == 0)))
}

/// How long messages take to all members of the room.
async fn latency(room: &mut Room<'_>) -> Outcome {
    let mut delays = Vec::new();
    for _ in 0..LATENCY_MESSAGES {
        delays.extend(room.say_to_all().await?);
        sleep(Duration::from_millis(50)).await;
    }
    delays.sort_unstable();
    let at = |part: f64| {
        let index = (delays.len().saturating_sub(1)) as f64 * part;
        delays.get(index as usize).map_or(0.0, |delay| delay.as_secs_f64() * 1e3)
    };
    note("a message to all members, middle receiver", format!("{:.0} ms", at(0.5)));
    let late = at(0.99);
    let verdict = line("the same, 99 of 100", format!("{late:.0} ms"), "<= 150 ms", late <= 150.0);
    note("the same, last receiver", format!("{:.0} ms", at(1.0)));
    Ok(verdict)
}

/// Connects a session, and lets it join the big room if it is to.
async fn enter(
    api: Api,
    session: Session,
    connection: usize,
    joins: bool,
) -> Result<(usize, ws::Sender, ws::Receiver), Failure> {
    let entering = async {
        let (sender, mut receiver) = ws::connect(api.address, &format!("/ws?{}", session.query())).await?;
        if joins {
            sender.text(&frames::join(1, BIG_ROOM)).await?;
            loop {
                let frame = receiver.next().await?.ok_or("closed while joining")?;
                if let Some(answer) = frames::answer(frame, 1) {
                    answer?;
                    break;
                }
            }
        }
        Ok((connection, sender, receiver))
    };
    timeout(PATIENCE, entering).await.map_err(|_| "a connection waited 20 s")?
}

/// Reports every delivery until the connection ends.
async fn listen(connection: usize, mut receiver: ws::Receiver, report: UnboundedSender<Arrival>) {
    while let Ok(Some(frame)) = receiver.next().await {
        if let Some(number) = frames::delivered(frame)
            && report.send(Arrival { connection, number, at: Instant::now() }).is_err()
        {
            return;
        }
    }
}

impl Room<'_> {
    fn members(&self) -> usize {
        self.senders.len().min(self.options.room as usize)
    }

    /// One member speaks; gives how long each other member waited for it.
    async fn say_to_all(&mut self) -> Result<Vec<Duration>, Failure> {
        self.keep_alive()?;
        let number = self.next;
        let members = self.members();
        self.next += 1;
        let speaker = number as usize % SPEAKERS.min(members);
        let said = Instant::now();
        let text = frames::send(number + 2, BIG_ROOM, number, usize::from(self.options.bytes));
        self.senders.get(speaker).ok_or("nobody to speak")?.text(&text).await?;
        let mut delays = Vec::with_capacity(members);
        while delays.len() + 1 < members {
            let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
            let arrival = arrival.map_err(|_| format!("{} of {members} got the message", delays.len()))?;
            let arrival = arrival.ok_or("all connections are gone")?;
            // The speaker may hear itself; that is no delivery.
            if arrival.number == number && arrival.connection != speaker {
                delays.push(arrival.at.duration_since(said));
            }
        }
        Ok(delays)
    }

    fn keep_alive(&mut self) -> Result<(), Failure> {
        if self.kept.elapsed() > KEEP_ALIVE {
            self.api.ask(&self.api.heartbeat(self.anchor, BIG_ROOM))?;
            self.kept = Instant::now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
