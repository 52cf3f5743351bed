//! What one node has to say on one partition: waits in order until Redis has taken it, each thing once. Bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{Known, Number, Op, Unsaid};

/// Bytes that wait at most.
const MOST: usize = 8 << 20;
/// And of sanctions so many more: a node that is too busy for messages still mutes and bans who disturbs.
const MOST_OF_SANCTIONS: usize = 256 << 10;
/// Things said at once.
const BATCH: usize = 64;
/// Sanctions that are remembered until they are heard. Where an older one is forgotten, one before it is taken when it is heard, and
/// then this one.
const SANCTIONS: usize = 4096;

/// The queue of a partition.
#[derive(Default)]
pub(super) struct Partition {
    state: Mutex<State>,
    pub wake: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: VecDeque<Entry>,
    bytes: usize,
    /// Said, but what came of it is only known when it is received.
    unheard: VecDeque<(u64, oneshot::Sender<Number>)>,
    /// Sanctions that were said and not heard so far.
    sanctions: VecDeque<(u64, Arc<Op>)>,
    adrift: bool,
}

struct Entry {
    line: Line,
    answer: Option<oneshot::Sender<Number>>,
}

/// One thing to say.
#[derive(Clone)]
pub(super) struct Line {
    pub nonce: u64,
    pub op: Arc<Op>,
    pub text: Arc<str>,
    pub known: Known,
    /// What is noted of it: the text before its number and after.
    pub note: Option<(Arc<str>, &'static str)>,
}

impl Line {
    fn bytes(&self) -> usize {
        self.text.len() + self.note.as_ref().map_or(0, |(before, _)| before.len())
    }
}

impl Partition {
    /// Has something said: its number among what this node says, and whether Redis is unavailable, so that no caller is answered
    /// soon. `None`: too much waits.
    pub fn push(
        &self,
        op: Op,
        known: Known,
        note: Option<(String, &'static str)>,
        answer: Option<oneshot::Sender<Number>>,
    ) -> Option<(u64, bool)> {
        let text: Arc<str> = serde_json::to_string(&op).ok()?.into();
        let note = note.map(|(before, after)| (Arc::from(before), after));
        let mut state = self.state.lock();
        let line = Line { nonce: 0, op: Arc::new(op), text, known, note };
        let most = if line.op.is_sanction() { MOST + MOST_OF_SANCTIONS } else { MOST };
        while state.bytes + line.bytes() > most {
            // While Redis is unavailable no caller waits for what is oldest: it was said at this node and stays here.
            if !state.adrift || answer.is_none() {
                return None;
            }
            let dropped = state.waiting.pop_front()?;
            state.bytes -= dropped.line.bytes();
            if dropped.line.op.is_sanction() {
                state.sanctions.retain(|(nonce, _)| *nonce != dropped.line.nonce);
            }
        }
        state.next += 1;
        state.bytes += line.bytes();
        let nonce = state.next;
        let adrift = state.adrift;
        let answer = answer.filter(|_| !adrift);
        if line.op.is_sanction() {
            if state.sanctions.len() == SANCTIONS {
                state.sanctions.pop_front();
            }
            state.sanctions.push_back((nonce, line.op.clone()));
        }
        state.waiting.push_back(Entry { line: Line { nonce, ..line }, answer });
        drop(state);
        self.wake.notify_one();
        Some((nonce, adrift))
    }

    /// Whether a sanction will be taken: whoever asks carries it out here first. Of the room for sanctions half is left for those who
    /// asked at the same time.
    pub fn takes_sanctions(&self) -> bool {
        let state = self.state.lock();
        state.adrift || state.bytes < MOST + MOST_OF_SANCTIONS / 2
    }

    /// What is to be said next.
    pub fn batch(&self) -> Vec<Line> {
        self.state.lock().waiting.iter().take(BATCH).map(|entry| entry.line.clone()).collect()
    }

    /// A batch was taken: callers that wait get their numbers; those that are not known (-1) when they are received.
    pub fn taken(&self, batch: &[Line], numbers: &[i64]) {
        let mut state = self.state.lock();
        for (line, number) in batch.iter().zip(numbers) {
            // What was heard before this answer came is gone already.
            if state.waiting.front().is_none_or(|entry| entry.line.nonce != line.nonce) {
                continue;
            }
            let Some(entry) = state.waiting.pop_front() else { return };
            state.bytes -= entry.line.bytes();
            match (u64::try_from(*number), entry.answer) {
                (Ok(number), Some(answer)) => drop(answer.send(number)),
                (Err(_), Some(answer)) => state.unheard.push_back((line.nonce, answer)),
                (_, None) => {}
            }
        }
        state.adrift &= !state.waiting.is_empty();
    }

    /// This node received what it published itself.
    pub fn heard(&self, nonce: u64, number: Number) {
        let mut state = self.state.lock();
        while state.sanctions.front().is_some_and(|(said, _)| *said <= nonce) {
            state.sanctions.pop_front();
        }
        while state.unheard.front().is_some_and(|(said, _)| *said <= nonce) {
            if let Some((said, answer)) = state.unheard.pop_front()
                && said == nonce
            {
                // Who does not wait any more needs no answer.
                let _ = answer.send(number);
            }
        }
        while state.waiting.front().is_some_and(|entry| entry.line.nonce <= nonce) {
            let Some(entry) = state.waiting.pop_front() else { return };
            state.bytes -= entry.line.bytes();
            match entry.answer {
                Some(answer) if entry.line.nonce == nonce => drop(answer.send(number)),
                // Said in the same piece and not heard yet.
                Some(answer) => state.unheard.push_back((entry.line.nonce, answer)),
                None => {}
            }
        }
    }

    /// Whether something that takes the place of this sanction was said after it, and not heard so far.
    pub fn says_later(&self, nonce: u64, sanction: &Op) -> bool {
        self.state.lock().sanctions.iter().any(|(said, later)| *said > nonce && later.replaces(sanction))
    }

    /// Redis is unavailable: no caller waits for an answer any more.
    pub fn set_adrift(&self) -> Vec<Unsaid> {
        let mut state = self.state.lock();
        state.adrift = true;
        let unsaid = |entry: &mut Entry| {
            let answer = entry.answer.take()?;
            Some(Unsaid { nonce: entry.line.nonce, op: entry.line.op.clone(), answer })
        };
        state.waiting.iter_mut().filter_map(unsaid).collect()
    }

    pub fn is_adrift(&self) -> bool {
        self.state.lock().adrift
    }
}
