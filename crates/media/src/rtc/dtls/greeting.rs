//! When a client of DTLS says its first word: once the peer can be reached, and again until it is heard of. str0m says nothing to its
//! handshake before a peer does, so a session tells it by a [`Link`].

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How soon a greeting is sent again that nothing was heard for, then after twice as long each time, and how often: libraries drop what
/// comes before they are ready, which is a moment after our answer to their check.
pub(super) const GREET_AGAIN: Duration = Duration::from_millis(50);
const MOST_GREETINGS: u8 = 4;

/// What a session tells its handshake past str0m, which says nothing to it before a peer does.
#[derive(Debug, Default, Clone)]
pub struct Link(Arc<Mutex<Heard>>);

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Heard {
    /// When the peer was last told that it can be reached.
    pub reached: Option<Instant>,
    /// It settles on a path: what came before may have been dropped.
    pub settled: bool,
}

impl Link {
    /// The peer's check is being answered: what follows the answer reaches it. `settles`: it has settled on a path with it.
    pub fn reach(&self, settles: bool, now: Instant) {
        let mut heard = self.0.lock();
        heard.reached = Some(now);
        heard.settled |= settles;
    }

    /// What there is to know since this was last asked.
    pub(super) fn take(&self) -> Heard {
        std::mem::take(&mut self.0.lock())
    }
}

/// The link of the handshake that was made last on this thread, once.
pub fn made() -> Link {
    MADE.take().unwrap_or_default()
}

thread_local! {
    /// See [`made`].
    static MADE: Cell<Option<Link>> = const { Cell::new(None) };
}

/// A link for the handshake that is being made on this thread, which [`made`] gives out.
pub(super) fn make() -> Link {
    let link = Link::default();
    MADE.set(Some(link.clone()));
    link
}

/// The first message of a client, which may find no peer that takes it.
#[derive(Default)]
pub(super) enum Greeting {
    /// It is not the client, or the peer was heard: the handshake sends again what it has to.
    #[default]
    Done,
    /// It is sent when the peer can be reached.
    Waits,
    /// It was sent so often, and is due again.
    Sent { bytes: Vec<u8>, count: u8, due: Instant, again: bool },
}

impl Greeting {
    /// When it is to be sent again.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Greeting::Sent { count, due, .. } if *count < MOST_GREETINGS => Some(*due),
            _ => None,
        }
    }

    /// Has it sent again if that is due.
    pub fn tick(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now)
            && let Greeting::Sent { count, due, again, .. } = self
        {
            *count += 1;
            *due = now + GREET_AGAIN * (1 << *count);
            *again = true;
        }
    }

    /// It, if it is to be sent again now. The same bytes: who has it drops them.
    pub fn again(&mut self) -> Option<&[u8]> {
        match self {
            Greeting::Sent { bytes, again, .. } => std::mem::take(again).then_some(bytes),
            _ => None,
        }
    }
}
