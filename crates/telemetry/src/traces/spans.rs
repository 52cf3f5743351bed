//! The parts of what is traced: who is traced is known to the task (a call's future carries it), and what happens later because
//! of a traced call finds its trace by the room's change. Where nothing is traced, a part costs one look at the task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::{Traced, Traces, fresh};

tokio::task_local! {
    static CURRENT: Context;
}

/// Changes whose traces are remembered; beyond it the oldest are forgotten.
const REMEMBERED: usize = 1024;

/// What kind of span, in OpenTelemetry's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work in this process.
    Internal = 1,
    /// An answer to a caller.
    Server = 2,
    /// A call to another service.
    Client = 3,
}

/// A thing that is said about a span.
#[derive(Clone, Debug)]
pub enum Said {
    /// A text.
    Text(&'static str, String),
    /// A number.
    Number(&'static str, i64),
}

/// A finished span.
#[derive(Debug)]
pub struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) begun: SystemTime,
    pub(super) took: Duration,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) failed: bool,
    pub(super) said: Vec<Said>,
}

/// Where spans of a trace hang.
#[derive(Clone)]
pub struct Context {
    traces: Arc<Traces>,
    trace: u128,
    parent: u64,
}

impl Context {
    /// Does work whose parts hang here.
    pub async fn within<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    fn tell(&self, id: u64, name: &'static str, kind: Kind, begun: Instant, failed: bool, said: Vec<Said>) {
        let took = begun.elapsed();
        let parent = Some(self.parent);
        let begun = SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH);
        self.traces.put(Span { trace: self.trace, id, parent, begun, took, name, kind, failed, said });
    }

    /// A part that does not wait.
    pub fn note<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.tell(fresh(), name, Kind::Internal, begun, false, Vec::new());
        done
    }

    /// The header that takes the trace along (W3C Trace Context).
    fn header(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.parent)
    }
}

/// What is traced from its beginning: a call, or a chat request.
pub struct Root {
    traced: Traced,
    id: u64,
    begun: Instant,
    traces: Arc<Traces>,
}

impl Root {
    pub(super) fn new(traces: &Arc<Traces>, traced: Traced) -> Self {
        Self { traced, id: fresh(), begun: Instant::now(), traces: traces.clone() }
    }

    /// Does work whose parts hang here.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        let traces = self.traces.clone();
        let trace = self.traced.trace;
        let parent = self.id;
        Context { traces, trace, parent }.within(work).await
    }

    /// It is done.
    pub fn end(self, name: &'static str, failed: bool, said: Vec<Said>) {
        let Self { traced: Traced { trace, parent }, id, begun, traces } = self;
        let took = begun.elapsed();
        let begun = SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH);
        traces.put(Span { trace, id, parent, begun, took, name, kind: Kind::Server, failed, said });
    }
}

/// Does a part of what is traced now, if anything is. `to` says whom is asked.
///
/// # Errors
/// Those of the work.
pub async fn part<T, E>(
    name: &'static str,
    kind: Kind,
    to: impl FnOnce() -> Option<String>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Ok(context) = CURRENT.try_with(Context::clone) else { return work.await };
    let id = fresh();
    let begun = Instant::now();
    let done = CURRENT.scope(Context { parent: id, ..context.clone() }, work).await;
    let said = to().map(|to| Said::Text("server.address", to));
    context.tell(id, name, kind, begun, done.is_err(), said.into_iter().collect());
    done
}

/// The header that takes the trace along to the service that is called now.
#[must_use]
pub fn current_header() -> Option<String> {
    CURRENT.try_with(Context::header).ok()
}

/// Traces of changes, by room and number. Of the whole process, because stores, neighbours and webhooks share nothing else.
static CHANGES: Mutex<Option<Changes>> = Mutex::new(None);
/// How many are in it: who finds none asks no further.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A room and the number of its change.
type Change = (Box<str>, u64);

#[derive(Default)]
struct Changes {
    of: HashMap<Change, Context>,
    order: VecDeque<Change>,
}

/// What is traced now has changed rooms, each with the number of the change: what follows from it belongs to the trace.
pub fn committed<'a>(changed: impl IntoIterator<Item = (&'a str, u64)>) {
    let Ok(context) = CURRENT.try_with(Context::clone) else { return };
    let mut changes = CHANGES.lock();
    let changes = changes.get_or_insert_default();
    for (room, number) in changed {
        let key: Change = (room.into(), number);
        if changes.of.insert(key.clone(), context.clone()).is_none() {
            changes.order.push_back(key);
        }
        if changes.order.len() > REMEMBERED
            && let Some(oldest) = changes.order.pop_front()
        {
            changes.of.remove(&oldest);
        }
    }
    COUNT.store(changes.order.len(), Ordering::Release);
}

/// The trace that a change belongs to, if it has one.
#[must_use]
pub fn of(room: &str, number: u64) -> Option<Context> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    CHANGES.lock().as_ref()?.of.get(&(room.into(), number)).cloned()
}
