//! A thread that serves its share of the sessions: datagrams in, frames out, deadlines. All viewers of one stream on one
//! worker are fed by one reader. Blocks on nothing but its own queue and clock.

mod viewers;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::choice::LOOK_EVERY;
use super::feed::Shared;
use super::net::{Datagram, Table};
use super::numbers::OwnNumbers;
use super::offer::{Fragment, Identity};
use super::outbox::Outbox;
use super::reach::Reach;
use super::registry::{Left, Registry};
use super::session::{Role, Session, Signal, Start};
use super::unfits::Unfits;
use super::{Counters, Refused};
use crate::ended::Ended;
use crate::hub::{Hub, Item};
use crate::in_order::InOrder;
use crate::name::StreamName;
use crate::request::Kick;
use viewers::{Feed, Source};

/// Items that wait between a stream and its viewers before the hub skips the reader forward.
const FEED_QUEUE: usize = 64;
/// Messages handled before frames and deadlines get their turn.
const MESSAGES: usize = 256;
/// Key pictures are asked of a publisher at most this often, for however many viewers.
const KEY_EVERY: Duration = Duration::from_millis(500);
/// Deadlines closer together than this are met together.
const GRAIN: Duration = Duration::from_millis(1);

/// What a worker is told.
pub(super) enum ToWorker {
    /// Serve a session.
    Start(u64, Start, Kick),
    /// A datagram for one.
    Datagram(Datagram),
    /// Trickle ICE for one.
    Patch(u64, Fragment, tokio::sync::oneshot::Sender<Result<Option<String>, Refused>>),
    /// End one.
    End(u64, Ended),
    /// Ask a session's publisher for a key picture.
    Key(u64),
    /// Something for the viewers of a stream; `None`: it is over. The number tells feeds of the same stream apart.
    Fed(Source, u64, Option<Item>),
    /// Nothing can be made for the viewers of a stream that WebRTC does not carry as it is.
    Unfed(Source, u64, Ended),
}

/// What all workers share.
pub(super) struct Common {
    pub hub: Hub,
    pub table: Arc<Table>,
    pub identity: Arc<Identity>,
    pub counters: Arc<Counters>,
    pub registry: Arc<Registry>,
    pub reach: Reach,
    pub unfits: Unfits,
    pub in_order: Option<InOrder>,
}

impl Common {
    /// Whether a rendition without B-frames is made of a published stream, or about to be.
    pub fn is_put_in_order(&self, stream: &StreamName) -> bool {
        self.in_order.as_ref().is_some_and(|in_order| in_order.is_made(stream))
    }
}

pub(super) struct Worker {
    common: Arc<Common>,
    inbox: mpsc::Receiver<ToWorker>,
    /// Where local tasks (feeds, watchers) send; has its own bound.
    own: mpsc::Sender<ToWorker>,
    fed: mpsc::Receiver<ToWorker>,
    sessions: HashMap<u64, Session, BuildHasherDefault<OwnNumbers>>,
    watchers: HashMap<u64, AbortHandle>,
    feeds: HashMap<Source, Feed>,
    deadlines: BTreeSet<(Instant, u64)>,
    outbox: Outbox,
    feed_numbers: u64,
    scratch: Vec<Shared>,
    /// Sound that waits for its pair, by when it goes by itself, and the feed that it is of.
    unpaired: VecDeque<(Instant, Source)>,
}

impl Worker {
    pub fn new(common: Arc<Common>, inbox: mpsc::Receiver<ToWorker>, outbox: Outbox) -> Self {
        let (own, fed) = mpsc::channel(FEED_QUEUE);
        Worker {
            common,
            inbox,
            own,
            fed,
            sessions: HashMap::default(),
            watchers: HashMap::new(),
            feeds: HashMap::new(),
            deadlines: BTreeSet::new(),
            outbox,
            feed_numbers: 0,
            scratch: Vec::new(),
            unpaired: VecDeque::new(),
        }
    }

    /// Serves until `stop`, then says goodbye to all. Must run in a `LocalSet`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut adapt = tokio::time::interval(LOOK_EVERY);
        adapt.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let unpaired = self.unpaired_due();
            let next = self.deadlines.first().map(|(at, _)| *at + GRAIN).into_iter().chain(unpaired).min();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(message) = self.inbox.recv() => self.handle(message, Instant::now()),
                Some(message) = self.fed.recv() => self.handle(message, Instant::now()),
                () = due => {}
                _ = adapt.tick(), if !self.feeds.is_empty() => self.adapt(Instant::now()),
                () = stop.cancelled() => break,
            }
            let now = Instant::now();
            for _ in 0..MESSAGES {
                let Ok(message) = self.fed.try_recv().or_else(|_| self.inbox.try_recv()) else { break };
                self.handle(message, now);
                if self.outbox.is_full() {
                    self.outbox.flush().await;
                }
            }
            let now = Instant::now();
            self.meet_deadlines(now);
            self.send_unpaired(now);
            self.outbox.flush().await;
        }
        let all: Vec<u64> = self.sessions.keys().copied().collect();
        for key in all {
            self.end(key, Ended::Shutdown, Instant::now());
        }
        self.outbox.flush().await;
    }

    fn handle(&mut self, message: ToWorker, now: Instant) {
        match message {
            ToWorker::Start(key, start, kick) => self.start(key, start, kick, now),
            ToWorker::Datagram(datagram) => {
                let Some(session) = self.sessions.get_mut(&datagram.key) else { return };
                match session.receive(&datagram, &self.common.identity, &mut self.outbox, now) {
                    Ok(()) => self.drain(datagram.key, now),
                    Err(ended) => self.end(datagram.key, ended, now),
                }
            }
            ToWorker::Patch(key, fragment, reply) => {
                let result = self.patch(key, fragment);
                self.drain(key, now);
                let _ = reply.send(result);
            }
            ToWorker::End(key, reason) => self.end(key, reason, now),
            ToWorker::Key(key) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.ask_key();
                    self.tick(key, now);
                }
            }
            ToWorker::Fed(source, number, item) => self.feed(&source, number, item, now),
            ToWorker::Unfed(source, number, reason) => self.unfed(&source, number, &reason, now),
        }
    }

    fn start(&mut self, key: u64, start: Start, kick: Kick, now: Instant) {
        let worker = self.common.registry.worker_of(key);
        let session = Session::new(super::net::Route { worker, key }, start, Arc::clone(&self.common.counters), now);
        let own = self.own.clone();
        let publisher = match &session.role {
            Role::Publish { publisher, .. } => Some(Arc::clone(publisher)),
            Role::Play { .. } => None,
        };
        // Waits for an end of the session from elsewhere, and passes on wishes for key pictures, merged.
        let watch = spawn_local(async move {
            let Some(publisher) = publisher else {
                let ended = kick.kicked().await;
                let _ = own.send(ToWorker::End(key, ended)).await;
                return;
            };
            loop {
                let ended = tokio::select! {
                    ended = kick.kicked() => ended,
                    ended = publisher.ended() => ended,
                    () = publisher.key_wanted() => {
                        let _ = own.send(ToWorker::Key(key)).await;
                        tokio::time::sleep(KEY_EVERY).await;
                        continue;
                    }
                };
                let _ = own.send(ToWorker::End(key, ended)).await;
                return;
            }
        });
        self.watchers.insert(key, watch.abort_handle());
        self.deadlines.insert((session.deadline, key));
        self.sessions.insert(key, session);
        self.drain(key, now);
    }

    /// Tells a session the time and moves out what it has to say.
    fn tick(&mut self, key: u64, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        match session.tick(now, &mut self.outbox) {
            Ok(()) => self.drain(key, now),
            Err(ended) => self.end(key, ended, now),
        }
    }

    fn drain(&mut self, key: u64, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let before = session.deadline;
        let signal = session.drain(now, &self.common.table, &mut self.outbox);
        self.reschedule(key, before);
        match signal {
            Some(Signal::Connected) => self.connected(key, now),
            Some(Signal::Ended(reason)) => self.end(key, reason, now),
            None => {}
        }
    }

    /// A session's deadline may be another than it was.
    fn reschedule(&mut self, key: u64, before: Instant) {
        let Some(session) = self.sessions.get(&key).filter(|session| session.deadline != before) else { return };
        self.deadlines.remove(&(before, key));
        self.deadlines.insert((session.deadline, key));
    }

    fn connected(&mut self, key: u64, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        Counters::add(&self.common.counters.connected, 1);
        self.common.registry.connected(&session.id);
        self.common.reach.note(session.peer.ip(), true, now);
        tracing::info!(session = %session.id, stream = %session.stream, peer = %session.peer, "WebRTC session connected");
        if matches!(session.role, Role::Play { .. }) {
            self.joined(key, now);
        }
    }

    fn meet_deadlines(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.deadlines.first() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            let common = &self.common;
            let overdue = session.overdue(now, |session| {
                Counters::add(&common.counters.unreached, 1);
                common.reach.note(session.peer.ip(), false, now);
                let udp = &common.identity.udp;
                let tcp = &common.identity.tcp;
                tracing::warn!(
                    session = %session.id, stream = %session.stream, peer = %session.peer, advertised = ?udp, tcp = ?tcp,
                    "no ICE check has come in 5 s: the peer most likely cannot reach the advertised addresses; set \
                     the public address under which browsers find this server, and open its UDP port"
                );
            });
            if let Some(reason) = overdue {
                self.end(key, reason, now);
                continue;
            }
            // Popped above: drain must put it back even if it is the same.
            session.deadline = now + Duration::from_secs(3600);
            self.deadlines.insert((session.deadline, key));
            self.tick(key, now);
        }
    }

    fn patch(&mut self, key: u64, fragment: Fragment) -> Result<Option<String>, Refused> {
        let session = self.sessions.get_mut(&key).ok_or(Refused::NoSession)?;
        // An ICE-lite agent needs none of the peer's candidates: the peer finds us, and is answered where it asks from.
        let Some((ufrag, password)) = fragment.creds else { return Ok(None) };
        if session.remote_ufrag == ufrag {
            return Ok(None);
        }
        let ours = session.restart_ice(ufrag, &password, &self.common.table)?;
        Ok(Some(Fragment::write(&session.restart, &ours, &self.common.identity.candidates())))
    }

    /// Notes that a publisher hung up, so that it can say afterwards that it meant it.
    fn leave(&self, session: &Session, now: Instant) {
        let Role::Publish { publisher, .. } = &session.role else { return };
        if publisher.why().is_none() {
            let until = now + self.common.hub.settings().resume_window;
            let left = Left {
                until,
                id: session.id.clone(),
                key: session.route.key,
                stream: publisher.name().clone(),
                publisher: publisher.id(),
            };
            self.common.registry.leave(left, now);
        }
    }

    /// Ends the stream of a publisher whose session is over, if it still waits for that one.
    fn end_left(&self, key: u64, reason: Ended, now: Instant) {
        if let Some(left) = self.common.registry.left(|left| left.key == key, now) {
            self.common.hub.end_of(&left.stream, left.publisher, reason);
        }
    }

    fn end(&mut self, key: u64, reason: Ended, now: Instant) {
        let Some(mut session) = self.sessions.remove(&key) else {
            if reason == Ended::Finished {
                self.end_left(key, reason, now);
            }
            return;
        };
        self.deadlines.remove(&(session.deadline, key));
        if let Some(watch) = self.watchers.remove(&key) {
            watch.abort();
        }
        session.close(now, &self.common.table, &mut self.outbox);
        self.common.table.forget(session.route, &session.ufrag, &session.sources);
        if reason == Ended::Closed {
            self.leave(&session, now);
        }
        self.common.registry.remove(&session.id);
        if session.connected {
            self.common.counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
        tracing::info!(session = %session.id, stream = %session.stream, peer = %session.peer, %reason, "WebRTC session ended");
        match session.role {
            Role::Publish { publisher, simulcast, .. } => {
                if let Some(mut simulcast) = simulcast {
                    simulcast.finish(&reason);
                }
                // On purpose: the stream is over. Otherwise the publisher may come back within the resume window.
                if matches!(reason, Ended::Finished | Ended::Kicked(_)) && publisher.why().is_none() {
                    self.common.hub.end(&session.stream, reason);
                }
            }
            Role::Play { ticket, .. } => self.left(key, ticket.name()),
        }
    }
}
