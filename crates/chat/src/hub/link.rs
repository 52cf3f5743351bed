//! One connection as the hub sees it: where what is for it waits. Bounded; no sender waits for a receiver.
//! Knows no groups' rules and no sockets.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use room::chat::{ConnectionId, Direct, Group, Message, Transport};
use room::{Millis, RoomId, UserId};

use super::inbox::Inbox;
use crate::Settings;
use crate::close::Close;

/// A connection of a user.
#[derive(Debug)]
pub struct Link {
    /// Its number.
    pub id: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// The login behind it.
    pub session: u64,
    /// When that was: of two long-polling logins, the newer one is served.
    pub at: Millis,
    /// Until when it is good.
    pub expires: Millis,
    /// Where it polls from, as far as that is told.
    pub(super) from: Option<IpAddr>,
    pace: Pace,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Socket(Queue),
    Poller(Box<Inbox>),
}

impl Link {
    /// A WebSocket's.
    pub(super) fn socket(id: ConnectionId, login: &Login<'_>, settings: &Settings) -> Self {
        let queue = Queue { most: settings.queue, most_bytes: settings.queue_bytes, state: Mutex::default() };
        Self::new(id, login, None, settings, Sink::Socket(queue))
    }

    /// A long-polling client's.
    pub(super) fn poller(
        id: ConnectionId,
        login: &Login<'_>,
        from: Option<IpAddr>,
        settings: &Settings,
        now: Millis,
    ) -> Self {
        Self::new(id, login, from, settings, Sink::Poller(Box::new(Inbox::new(now))))
    }

    fn new(id: ConnectionId, login: &Login<'_>, from: Option<IpAddr>, settings: &Settings, sink: Sink) -> Self {
        let pace =
            Pace { every: 1_000_000 / u64::from(settings.rate.max(1)), burst: settings.burst, free: AtomicU64::new(0) };
        let Login { user, session, at, expires } = *login;
        Self { id, user: user.clone(), session, at, expires, from, pace, sink }
    }

    /// How it is served.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.sink {
            Sink::Socket(_) => Transport::Socket,
            Sink::Poller(_) => Transport::Poller,
        }
    }

    /// Whether it may make one more request now.
    ///
    /// # Errors
    /// Milliseconds after which it may.
    pub fn ask(&self, now: Millis) -> Result<(), u64> {
        self.pace.ask(now)
    }

    /// What waits for a WebSocket.
    #[must_use]
    pub const fn queue(&self) -> Option<&Queue> {
        match &self.sink {
            Sink::Socket(queue) => Some(queue),
            Sink::Poller(_) => None,
        }
    }

    /// What waits for a long-polling client.
    #[must_use]
    pub fn inbox(&self) -> Option<&Inbox> {
        match &self.sink {
            Sink::Socket(_) => None,
            Sink::Poller(inbox) => Some(inbox),
        }
    }

    /// Ends it; what waits is sent first where that can be.
    pub fn end(&self, why: Close) {
        match &self.sink {
            Sink::Socket(queue) => queue.end(why),
            Sink::Poller(inbox) => inbox.end(why),
        }
    }

    /// A frame for a WebSocket; long-polling clients have no such.
    pub fn frame(&self, frame: impl FnOnce() -> Bytes) {
        if let Sink::Socket(queue) = &self.sink {
            queue.push(frame());
        }
    }

    /// A message of a group; `frame` is it as a WebSocket gets it.
    pub(super) fn message(&self, message: &Arc<Message>, frame: &Bytes) {
        match &self.sink {
            Sink::Socket(queue) => queue.push(frame.clone()),
            Sink::Poller(inbox) => inbox.message(message),
        }
    }

    /// A point-to-point message.
    pub(super) fn direct(&self, message: &Arc<Direct>, frame: &Bytes) {
        match &self.sink {
            Sink::Socket(queue) => queue.push(frame.clone()),
            Sink::Poller(inbox) => inbox.direct(message),
        }
    }

    /// Point-to-point messages that came while it was away.
    pub(super) fn waited(&self, messages: &[Arc<Direct>]) {
        match &self.sink {
            Sink::Socket(queue) => queue.extend(messages.iter().map(|m| crate::render::direct_event(m))),
            Sink::Poller(inbox) => messages.iter().for_each(|m| inbox.direct(m)),
        }
    }

    /// It is in a group; `messages` are what it missed.
    pub(super) fn entered(&self, group: &Group, messages: Vec<Arc<Message>>) {
        match &self.sink {
            Sink::Socket(queue) => queue.extend(messages.iter().map(crate::render::event)),
            Sink::Poller(inbox) => inbox.enter(group, messages),
        }
    }

    /// Numbers of a group after `certain` were given anew, to these messages: a WebSocket's client comes again.
    pub(super) fn renumber(&self, group: &Group, certain: u64, messages: &[Arc<Message>]) {
        match &self.sink {
            Sink::Socket(queue) => queue.end(Close::Renumbered),
            Sink::Poller(inbox) => inbox.renumber(group, certain, messages),
        }
    }

    /// It is not in a group any more.
    pub(super) fn left(&self, group: &RoomId) {
        if let Sink::Poller(inbox) = &self.sink {
            inbox.leave(group);
        }
    }
}

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The number of the login.
    pub session: u64,
    /// When that was.
    pub at: Millis,
    /// Until when it is good.
    pub expires: Millis,
}

/// How often requests may come: a bucket that is kept as the time at which it is full again.
#[derive(Debug)]
struct Pace {
    /// Microseconds that a request costs.
    every: u64,
    burst: u32,
    free: AtomicU64,
}

impl Pace {
    fn ask(&self, now: Millis) -> Result<(), u64> {
        let now = now.0.saturating_mul(1000);
        let most = self.every.saturating_mul(u64::from(self.burst).saturating_sub(1));
        let mut wait = 0;
        let take = |free: u64| {
            let free = free.max(now);
            wait = (free - now).saturating_sub(most);
            (wait == 0).then(|| free.saturating_add(self.every))
        };
        match self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(wait.div_ceil(1000)),
        }
    }
}

/// Frames that wait for a WebSocket. One task takes them.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    most_bytes: usize,
    state: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Close>,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&self, frame: Bytes) {
        self.extend(std::iter::once(frame));
    }

    /// All or none: what begins below the bound may go over it, so that a catch-up is never cut.
    fn extend(&self, frames: impl Iterator<Item = Bytes>) {
        let mut frames = frames.peekable();
        if frames.peek().is_none() {
            return;
        }
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        if state.frames.len() >= self.most || state.bytes >= self.most_bytes {
            // What waits is let go: the client gets it when it comes back and names what it has.
            state.frames = VecDeque::new();
            state.end = Some(Close::TooSlow);
        } else {
            for frame in frames {
                state.bytes += frame.len();
                state.frames.push_back(frame);
            }
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn end(&self, why: Close) {
        let mut state = self.state.lock();
        state.end.get_or_insert(why);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Everything that waits; after that, the end.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Result<VecDeque<Bytes>, Close>> {
        let mut state = self.state.lock();
        if !state.frames.is_empty() {
            state.bytes = 0;
            return Poll::Ready(Ok(std::mem::take(&mut state.frames)));
        }
        match state.end {
            Some(why) => Poll::Ready(Err(why)),
            None => {
                wait(&mut state, context);
                Poll::Pending
            }
        }
    }

    /// The end, whatever waits before it.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<Close> {
        let mut state = self.state.lock();
        match state.end {
            Some(why) => Poll::Ready(why),
            None => {
                wait(&mut state, context);
                Poll::Pending
            }
        }
    }
}

fn wait(state: &mut Waiting, context: &Context<'_>) {
    match &mut state.waker {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}
