//! One mix: its processes, one after the other, and what is published of them. A new process takes over at a key frame, so
//! that viewers see a change of layout and nothing else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixListener;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::feed::{Clock, Feed, Memory};
use super::{Layout, Output, Settings, graph, program};
use crate::ended::Ended;
use crate::flv::demux::Demuxer;
use crate::frame::{Frame, Kind};
use crate::hub::{Hub, Origin, Publisher, SinceKey};
use crate::name::Protocol;

/// Processes that fail one after the other, before a mix is given up.
const TRIES: u32 = 6;
/// A process that gave pictures at so many looks in a row has not failed.
const STEADY: u32 = 40;
/// Looks without a picture that are none of a process that gives pictures.
const PAUSE: u32 = 4;
/// How long a mix that is told to end waits for a keyframe of what it lies over, so that the audience goes back without a gap.
const HANDS_BACK: Duration = Duration::from_millis(800);
/// How long it goes on at most after that, so that its own last keyframe is not its last picture.
const ENDS: Duration = Duration::from_millis(300);
/// How long a new mix waits for the end of the one before it.
const GIVES_WAY: Duration = Duration::from_secs(3);
/// A new process takes over when its pictures are this fresh, in microseconds,
const FRESH: i64 = 1_000_000;
/// or when it had this long to become so.
const SETTLES: Duration = Duration::from_secs(3);
/// How often is looked at what time brings.
const LOOK: Duration = Duration::from_millis(250);
/// A process that gave pictures and gives no more for so many looks hangs: what stays away of its inputs is filled in, so that
/// none of them is waited for. Looks are counted, not time: where this process stood still, ffmpeg is not to blame.
const HANGS: u32 = 20;

pub(super) struct Run {
    hub: Hub,
    settings: Settings,
    program: PathBuf,
    output: Output,
    clock: Clock,
    memory: Memory,
    publisher: Option<Publisher>,
    /// Times of the newest picture and sound published.
    last: (i64, i64),
    /// Whether another configuration may follow what was published.
    since_key: SinceKey,
    /// The configuration of its pictures that was published last.
    video: Option<Bytes>,
    current: Option<Process>,
    next: Option<Process>,
    starting: Option<JoinHandle<io::Result<Process>>>,
    failures: u32,
    /// At how many looks in a row the process that is seen gave pictures.
    steady: u32,
    retry: Option<Instant>,
    alone: Option<Instant>,
    /// How often was looked since a picture was published.
    still: u32,
}

impl Run {
    pub fn new(hub: Hub, settings: Settings, program: PathBuf, output: Output) -> Self {
        Run {
            hub,
            settings,
            program,
            output,
            clock: Clock::start(),
            memory: Memory::default(),
            publisher: None,
            last: (0, 0),
            since_key: SinceKey::default(),
            video: None,
            current: None,
            next: None,
            starting: None,
            failures: 0,
            steady: 0,
            retry: None,
            alone: None,
            still: 0,
        }
    }

    /// Mixes until told to stop, or it cannot go on; says why.
    pub async fn run(mut self, mut layouts: watch::Receiver<Layout>, stop: &CancellationToken) -> &'static str {
        self.launch(&layouts.borrow_and_update().clone());
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending: Option<Instant> = None;
        let why = loop {
            let over = tokio::select! {
                () = stop.cancelled(), if ending.is_none() => {
                    ending = Some(self.end());
                    None
                }
                changed = layouts.changed(), if ending.is_none() => {
                    match changed {
                        Ok(()) => self.launch(&layouts.borrow_and_update().clone()),
                        // Off the list: it was stopped.
                        Err(_) => ending = Some(self.end()),
                    }
                    None
                }
                started = settled(&mut self.starting) => self.started(started),
                frame = next(&mut self.current) => self.current_gave(frame),
                frame = next(&mut self.next) => self.next_gave(frame),
                _ = tick.tick() => self.look(&layouts.borrow().clone()),
            };
            if let Some(why) = over {
                break why;
            }
            if ending.is_some_and(|since| self.is_handed_back(since)) {
                break "stopped";
            }
        };
        if let Some(starting) = self.starting.take() {
            starting.abort();
        }
        if let Some(publisher) = self.publisher.take() {
            publisher.finish(Ended::Finished);
        }
        why
    }

    /// Begins to end: asks what the mix lies over for a keyframe.
    fn end(&self) -> Instant {
        if let Output::Over(home) = &self.output {
            self.hub.request_key(home);
        }
        Instant::now()
    }

    /// Whether the audience can go back to what the mix lies over: that has a keyframe of after the end, or none can be had
    /// in time, and the mix's own last keyframe is not its last picture.
    fn is_handed_back(&self, since: Instant) -> bool {
        match &self.output {
            Output::Over(home) if self.publisher.is_some() => {
                let waited = since.elapsed();
                let begins = !self.hub.answers_wishes(home) || self.hub.has_group_since(home, since);
                (begins || waited >= HANDS_BACK) && (self.since_key.may_change() || waited >= HANDS_BACK + ENDS)
            }
            _ => true,
        }
    }

    /// Starts a process for this layout; one that was starting for another is dropped.
    fn launch(&mut self, layout: &Layout) {
        self.next = None;
        self.retry = None;
        if let Some(starting) = self.starting.take() {
            starting.abort();
        }
        let hub = self.hub.clone();
        let settings = self.settings.clone();
        let program = self.program.clone();
        let layout = layout.clone();
        let memory = self.memory.clone();
        let clock = self.clock;
        let start = async move { Process::start(&hub, &settings, &program, &layout, &memory, clock).await };
        self.starting = Some(tokio::spawn(start));
    }

    fn started(&mut self, started: io::Result<Process>) -> Option<&'static str> {
        match started {
            Ok(process) => {
                self.next = Some(process);
                None
            }
            Err(why) => {
                tracing::warn!(%why, "ffmpeg cannot be started");
                self.failed()
            }
        }
    }

    fn failed(&mut self) -> Option<&'static str> {
        self.failures += 1;
        let wait = Duration::from_millis(250 << self.failures.min(5));
        self.retry = Some(Instant::now() + wait);
        (self.failures >= TRIES).then_some("ffmpeg keeps failing")
    }

    fn current_gave(&mut self, frame: Option<Frame>) -> Option<&'static str> {
        let Some(frame) = frame else {
            tracing::warn!("ffmpeg of a mix ended; starting another");
            return self.lost();
        };
        self.publish(frame)
    }

    /// The process that was seen is no more; another one is to come.
    fn lost(&mut self) -> Option<&'static str> {
        self.current = None;
        if self.next.is_some() || self.starting.is_some() { None } else { self.failed() }
    }

    fn next_gave(&mut self, frame: Option<Frame>) -> Option<&'static str> {
        let Some(process) = &mut self.next else {
            return None;
        };
        let Some(frame) = frame else {
            self.next = None;
            return self.failed();
        };
        if frame.kind == Kind::Video {
            process.silent = 0;
        }
        match frame.kind {
            Kind::VideoConfig => process.video = Some(frame),
            Kind::AudioConfig => process.audio = Some(frame),
            Kind::Video if frame.key => {
                let first = *process.first.get_or_insert_with(Instant::now);
                let is_ready = self.clock.now() - frame.dts < FRESH || first.elapsed() > SETTLES;
                let is_same = process.video.as_ref().map(|config| &config.payload) == self.video.as_ref();
                let may_follow = is_same || self.current.is_none() || self.since_key.may_change();
                if is_ready && (may_follow || first.elapsed() > SETTLES) {
                    return self.take_over(frame);
                }
            }
            _ => {}
        }
        None
    }

    fn take_over(&mut self, key: Frame) -> Option<&'static str> {
        if self.publisher.is_none() {
            let peer = SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
            let origin = Origin { protocol: Protocol::Internal, peer };
            let published = match &self.output {
                Output::Over(home) => self.hub.overlay(home, origin),
                Output::Own(name) if name.is_derived() => self.hub.publish_within(name, origin),
                Output::Own(name) => self.hub.publish(name, origin),
            };
            match published {
                Ok(publisher) => self.publisher = Some(publisher),
                // A mix of before that is about to end: its place is free at a later keyframe.
                Err(_) if self.next.as_ref()?.first?.elapsed() < GIVES_WAY => return None,
                Err(_) => return Some("somebody else publishes its output"),
            }
        }
        let mut process = self.next.take()?;
        let configurations = [process.video.take(), process.audio.take()];
        // One that lags more than the one before would never catch up: its time is moved instead.
        let after = self.last.0.max(self.last.1).saturating_add(1_000_000 / i64::from(super::RATE));
        process.shift = after.saturating_sub(key.dts).max(0);
        let took = process.began.elapsed();
        let lag = self.clock.now() - key.dts;
        tracing::info!(output = %self.output.name(), ?took, lag_ms = lag / 1000, "a mix is seen");
        // The old one ends here.
        self.current = Some(process);
        self.steady = 0;
        for frame in configurations.into_iter().flatten().chain([key]) {
            let over = self.publish(frame);
            if over.is_some() {
                return over;
            }
        }
        if let Some(publisher) = &self.publisher {
            publisher.show();
        }
        None
    }

    fn publish(&mut self, frame: Frame) -> Option<&'static str> {
        let shift = self.current.as_mut().map_or(0, |process| {
            if frame.kind == Kind::Video {
                process.silent = 0;
            }
            process.shift
        });
        let frame = frame.at(frame.dts.saturating_add(shift));
        let last = match frame.kind {
            Kind::Video => Some(&mut self.last.0),
            Kind::Audio => Some(&mut self.last.1),
            _ => None,
        };
        if let Some(last) = last {
            if frame.dts <= *last {
                return None;
            }
            *last = frame.dts;
        }
        if frame.kind == Kind::VideoConfig {
            self.video = Some(frame.payload.clone());
        }
        if frame.kind == Kind::Video {
            self.still = 0;
            self.since_key.count(std::iter::once(frame.key));
        }
        // The description speaks of one process, not of the stream.
        let pushed = match &self.publisher {
            Some(publisher) if frame.kind != Kind::Data => publisher.push(frame),
            _ => Ok(()),
        };
        pushed.is_err().then_some("its output was ended from elsewhere")
    }

    /// What time brings: processes that do not come up or hang, inputs that changed or are all gone.
    fn look(&mut self, layout: &Layout) -> Option<&'static str> {
        let now = Instant::now();
        if let Some(why) = self.look_at_processes(now) {
            return Some(why);
        }
        self.uncover();
        let newest = self.next.as_ref().or(self.current.as_ref());
        let missing = |p: &Process| p.missing.iter().any(|s| self.hub.info(s).is_some_and(|i| i.frames > 0));
        let stale = newest.is_some_and(|p| p.stale.is_cancelled() || missing(p));
        let due = self.retry.is_some_and(|at| at <= now);
        if self.starting.is_none() && (stale || due) {
            self.launch(layout);
        }
        let gone = layout.inputs.iter().all(|input| self.hub.info(&input.stream).is_none())
            || matches!(&self.output, Output::Over(home) if self.hub.info(home).is_none());
        if !gone {
            self.alone = None;
            return None;
        }
        let since = *self.alone.get_or_insert(now);
        (now.saturating_duration_since(since) >= self.settings.deserted).then_some("its streams are gone")
    }

    /// Drops processes that give no pictures: such a one may hang for ever.
    fn look_at_processes(&mut self, now: Instant) -> Option<&'static str> {
        [&mut self.current, &mut self.next].into_iter().flatten().for_each(|process| process.silent += 1);
        let gives = self.current.as_ref().is_some_and(|process| process.silent <= PAUSE);
        self.steady = if gives { self.steady.saturating_add(1) } else { 0 };
        if self.steady > STEADY {
            self.failures = 0;
        }
        let start = self.settings.start;
        let is_late = |process: &Process| match process.first {
            None => process.began + start < now,
            Some(_) => process.silent > HANGS,
        };
        if self.next.as_ref().is_some_and(is_late) {
            tracing::warn!("ffmpeg of a mix gave no picture in time");
            self.next = None;
            if let Some(why) = self.failed() {
                return Some(why);
            }
        }
        if self.current.as_ref().is_some_and(|process| process.silent > HANGS) {
            tracing::warn!(output = %self.output.name(), "ffmpeg of a mix hangs: it gives no more pictures; starting another");
            return self.lost();
        }
        None
    }

    /// The audience is shown what the mix lies over, rather than a picture that stands still.
    fn uncover(&mut self) {
        self.still += 1;
        let Output::Over(home) = &self.output else { return };
        if self.still > HANGS
            && let Some(publisher) = self.publisher.take()
        {
            self.hub.request_key(home);
            publisher.finish(Ended::Finished);
            tracing::warn!(stream = %home, "the audience sees the stream itself until the mix has pictures again");
        }
    }
}

/// The next frame of a process; waits for ever where there is none.
async fn next(process: &mut Option<Process>) -> Option<Frame> {
    match process {
        Some(process) => process.frames.recv().await,
        None => std::future::pending().await,
    }
}

async fn settled(starting: &mut Option<JoinHandle<io::Result<Process>>>) -> io::Result<Process> {
    let Some(handle) = starting else {
        return std::future::pending().await;
    };
    let done = handle.await;
    *starting = None;
    done.unwrap_or_else(|why| Err(io::Error::other(why)))
}

/// One ffmpeg with its inputs. Dropping it kills it.
struct Process {
    frames: mpsc::Receiver<Frame>,
    stale: CancellationToken,
    /// Streams that it was started without.
    missing: Vec<crate::name::StreamName>,
    began: Instant,
    first: Option<Instant>,
    /// How often was looked since its newest picture.
    silent: u32,
    video: Option<Frame>,
    audio: Option<Frame>,
    /// What is added to its times, in microseconds.
    shift: i64,
    // Dropped in this order: the process first.
    _child: Child,
    _tasks: JoinSet<()>,
    _dir: Dir,
}

impl Process {
    async fn start(
        hub: &Hub,
        settings: &Settings,
        program: &Path,
        layout: &Layout,
        memory: &Memory,
        clock: Clock,
    ) -> io::Result<Self> {
        let stale = CancellationToken::new();
        let mut preparing = JoinSet::new();
        for (n, input) in layout.inputs.iter().cloned().enumerate() {
            let hub = hub.clone();
            let memory = memory.clone();
            let stale = stale.clone();
            preparing.spawn(async move { (n, Feed::prepare(&hub, &input, &memory, clock, stale).await) });
        }
        let mut feeds = preparing.join_all().await;
        feeds.sort_by_key(|(n, _)| *n);
        let feeds: Vec<Feed> = feeds.into_iter().map(|(_, feed)| feed).collect();
        let has: Vec<_> = feeds.iter().map(Feed::has).collect();
        let missing = layout.inputs.iter().zip(&has).filter(|(_, has)| !has.video && !has.audio);
        let missing = missing.map(|(input, _)| input.stream.clone()).collect();
        let dir = Dir::new()?;
        let mut tasks = JoinSet::new();
        for (n, feed) in feeds.into_iter().enumerate().filter(|(n, _)| has[*n].video || has[*n].audio) {
            let listener = UnixListener::bind(dir.0.join(n.to_string()))?;
            tasks.spawn(feed.run(listener, settings.start));
        }
        let arguments = graph::arguments(layout, &has, &dir.0, clock.now());
        let mut child = program::command(program, settings.nice).args(&arguments).spawn()?;
        let (sender, frames) = mpsc::channel(256);
        let (Some(out), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        tasks.spawn(read(out, sender));
        tasks.spawn(log(errors));
        let began = Instant::now();
        Ok(Process {
            frames,
            stale,
            missing,
            began,
            first: None,
            silent: 0,
            video: None,
            audio: None,
            shift: 0,
            _child: child,
            _tasks: tasks,
            _dir: dir,
        })
    }
}

async fn log(errors: tokio::process::ChildStderr) {
    let mut lines = BufReader::new(errors).lines();
    let mut said = 0;
    // A process that says too much is still read, or it would stand still.
    while let Ok(Some(line)) = lines.next_line().await {
        said += 1;
        if said <= 10 {
            tracing::warn!(line = line.get(..200).unwrap_or(&line), "ffmpeg of a mix");
        }
    }
}

async fn read(mut out: tokio::process::ChildStdout, frames: mpsc::Sender<Frame>) {
    let mut demuxer = Demuxer::default();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = out.read(&mut buffer).await {
        demuxer.push(&buffer[..n]);
        loop {
            match demuxer.next_frame() {
                Ok(Some(frame)) => {
                    if frames.send(frame).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(why) => return tracing::warn!(%why, "ffmpeg of a mix wrote nonsense"),
            }
        }
    }
}

/// A directory for sockets that no other user of the machine can open, gone when it is dropped.
struct Dir(PathBuf);

impl Dir {
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("roomservice-mix-{}-{number}-{:016x}", std::process::id(), u64::from_ne_bytes(random));
        let dir = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Dir(dir))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
