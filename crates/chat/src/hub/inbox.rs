//! What waits for a long-polling client: its groups' messages and its own, each kept until the client asks
//! for what comes after. Polls are held here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use room::chat::{Direct, Group, MAX_KEPT, MAX_MAIL, Message, Refusal};
use room::{Kind, Millis, RoomId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close::Close;

/// Groups that are remembered at most, ended ones included.
const MAX_PILES: usize = 32;

/// Polls of one client that are held for long at most. With more, each is held for a moment only; with very many, the newest ones are
/// told of nothing.
const MAX_HELD: usize = 8;
const VERY_MANY: usize = 64;
const MOMENT: Duration = Duration::from_secs(5);

/// So many polls are told at once that the client has just left: it may ask again before it hears that it has.
const AT_ONCE: u8 = 3;

/// A long-polling client's side of the hub.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<State>,
    changed: Notify,
    /// When it was made.
    pub since: Millis,
}

#[derive(Debug)]
struct State {
    piles: HashMap<RoomId, Pile>,
    direct: VecDeque<Arc<Direct>>,
    direct_turn: u64,
    end: Option<Close>,
    seen: Millis,
    held: usize,
    /// Polls that are still told at once that the client has left.
    at_once: u8,
}

/// One group's messages.
#[derive(Debug)]
struct Pile {
    name: Arc<str>,
    messages: VecDeque<Arc<Message>>,
    /// The number of the next message.
    next: u64,
    /// Numbers were given anew since the last answer: what the client asks for next is not one of them.
    renumbered: bool,
    /// Which poll is the newest: an older one that is still held gets nothing. It is not answered for that: a client that runs two
    /// asks again at once, and they would take turns without end.
    turn: u64,
    /// No more will come.
    over: Option<Refusal>,
    /// Of the room that the group is of, as far as that is known.
    kind: Option<Kind>,
}

impl Pile {
    /// What a client is to be given from, which asks for `start`: all, where that is no number of this life of the group.
    fn from(&self, start: u64) -> u64 {
        if self.renumbered || start > self.next { 0 } else { start }
    }
}

/// The answer to a poll of a group.
#[derive(Clone, Debug)]
pub struct Polled {
    /// The group's name.
    pub name: Arc<str>,
    /// The messages, oldest first; none if there were none in time.
    pub messages: Vec<Arc<Message>>,
    /// What to ask for next.
    pub next: u64,
}

/// Why there is no answer to a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing came in time.
    Timeout,
    /// The connection ended.
    Ended(Close),
    /// The group is not there, or the client is not in it.
    Refused(Refusal),
}

impl Inbox {
    pub(super) fn new(now: Millis) -> Self {
        let state = State {
            piles: HashMap::new(),
            direct: VecDeque::new(),
            direct_turn: 0,
            end: None,
            seen: now,
            held: 0,
            at_once: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), since: now }
    }

    /// A sign of life.
    pub fn seen(&self, now: Millis) {
        let mut state = self.state.lock();
        state.seen = state.seen.max(now);
    }

    /// When the client was last seen; now, while it polls.
    pub(super) fn last_seen(&self, now: Millis) -> Millis {
        let state = self.state.lock();
        if state.held > 0 { now } else { state.seen }
    }

    pub(super) fn end(&self, why: Close) {
        self.state.lock().end.get_or_insert(why);
        self.changed.notify_waiters();
    }

    pub(super) fn enter(&self, group: &Group, messages: Vec<Arc<Message>>) {
        let mut state = self.state.lock();
        if state.piles.get(group.id()).is_some_and(|pile| pile.over.is_none()) {
            return;
        }
        if state.piles.len() >= MAX_PILES {
            state.piles.retain(|_, pile| pile.over.is_none());
        }
        let pile = Pile {
            name: group.name().into(),
            messages: messages.into(),
            next: group.last().saturating_add(1),
            renumbered: false,
            turn: 0,
            over: None,
            kind: None,
        };
        state.piles.insert(group.id().clone(), pile);
    }

    pub(super) fn message(&self, message: &Arc<Message>) {
        let mut state = self.state.lock();
        let Some(pile) = state.piles.get_mut(&message.group).filter(|pile| pile.over.is_none()) else { return };
        if pile.messages.len() >= MAX_KEPT {
            pile.messages.pop_front();
        }
        pile.next = message.seq.saturating_add(1);
        pile.messages.push_back(message.clone());
        drop(state);
        self.changed.notify_waiters();
    }

    /// Numbers of a group after `certain` were given anew, to these messages.
    pub(super) fn renumber(&self, group: &Group, certain: u64, messages: &[Arc<Message>]) {
        let mut state = self.state.lock();
        let Some(pile) = state.piles.get_mut(group.id()).filter(|pile| pile.over.is_none()) else { return };
        pile.name = group.name().into();
        pile.messages.retain(|m| m.seq <= certain);
        pile.messages.extend(messages.iter().cloned());
        pile.next = group.last().saturating_add(1);
        pile.renumbered = true;
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn direct(&self, message: &Arc<Direct>) {
        let mut state = self.state.lock();
        if state.direct.len() >= MAX_MAIL {
            state.direct.pop_front();
        }
        state.direct.push_back(message.clone());
        drop(state);
        self.changed.notify_waiters();
    }

    /// The last message of a group that ends.
    pub(super) fn close(&self, message: &Arc<Message>) {
        self.message(message);
        if let Some(pile) = self.state.lock().piles.get_mut(&message.group) {
            pile.over = Some(Refusal::NoGroup);
        }
        self.changed.notify_waiters();
    }

    pub(super) fn leave(&self, group: &RoomId) {
        let mut state = self.state.lock();
        state.piles.remove(group);
        state.at_once = AT_ONCE;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether a poll of a group that the client is not in is to be told so at once, because it has only just left one.
    pub fn has_just_left(&self) -> bool {
        let mut state = self.state.lock();
        let left = state.at_once.checked_sub(1);
        state.at_once = left.unwrap_or_default();
        left.is_some()
    }

    /// Forgets what was said in a group before a time, for a client whose `start` does not say what it has.
    pub fn skip(&self, group: &RoomId, start: u64, before: Millis) {
        if let Some(pile) = self.state.lock().piles.get_mut(group)
            && pile.from(start) == 0
        {
            pile.messages.retain(|message| message.at >= before);
        }
    }

    /// Whether it may poll this group.
    #[must_use]
    pub fn is_in(&self, group: &RoomId) -> bool {
        self.state.lock().piles.contains_key(group)
    }

    /// The kind of a group's room, as far as it was noted.
    pub fn kind(&self, group: &RoomId) -> Option<Kind> {
        self.state.lock().piles.get(group)?.kind
    }

    /// Notes the kind of a group's room, which outlives the room here.
    pub fn note_kind(&self, group: &RoomId, kind: Kind) {
        if let Some(pile) = self.state.lock().piles.get_mut(group) {
            pile.kind = Some(kind);
        }
    }

    /// Whether the client is in a group of a room that has its streams here, or in none yet.
    pub fn is_of_rooms(&self) -> bool {
        let piles = &self.state.lock().piles;
        piles.is_empty() || piles.values().filter_map(|pile| pile.kind).any(|kind| !kind.is_elsewhere())
    }

    /// The messages of a group from number `start` on, 0 for all that wait; held until there are some.
    ///
    /// # Errors
    /// [`Unanswered`], but for a timeout: then there are no messages.
    pub async fn poll(&self, group: &RoomId, start: u64, hold: Duration) -> Result<Polled, Unanswered> {
        let mut turn = None;
        let look = |late: bool| {
            let mut state = self.state.lock();
            if let Some(why) = state.end {
                return Some(Err(Unanswered::Ended(why)));
            }
            let Some(pile) = state.piles.get_mut(group) else {
                return Some(Err(Unanswered::Refused(Refusal::NotMember)));
            };
            let newest = turn.is_none_or(|turn| turn == pile.turn);
            if turn.is_none() {
                pile.turn += 1;
                turn = Some(pile.turn);
                let start = pile.from(start);
                pile.messages.retain(|m| m.seq >= start);
            }
            if newest
                && pile.messages.is_empty()
                && let Some(why) = pile.over
            {
                state.piles.remove(group);
                return Some(Err(Unanswered::Refused(why)));
            }
            let messages: Vec<_> = if newest { pile.messages.iter().cloned().collect() } else { Vec::new() };
            (late || !messages.is_empty()).then(|| {
                pile.renumbered &= !newest;
                // One that gets nothing says nothing of what waits for the newest.
                let next = if newest { pile.next } else { pile.messages.front().map_or(pile.next, |first| first.seq) };
                Ok(Polled { name: pile.name.clone(), messages, next })
            })
        };
        self.hold(hold, look).await
    }

    /// The point-to-point messages after number `since`; held until there are some.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn poll_direct(&self, since: u64, hold: Duration) -> Result<Vec<Arc<Direct>>, Unanswered> {
        let mut turn = None;
        let look = |late: bool| {
            let mut state = self.state.lock();
            if let Some(why) = state.end {
                return Some(Err(Unanswered::Ended(why)));
            }
            let newest = turn.is_none_or(|turn| turn == state.direct_turn);
            if turn.is_none() {
                state.direct_turn += 1;
                turn = Some(state.direct_turn);
                state.direct.retain(|m| m.seq > since);
            }
            if newest && !state.direct.is_empty() {
                return Some(Ok(state.direct.iter().cloned().collect()));
            }
            late.then_some(Err(Unanswered::Timeout))
        };
        self.hold(hold, look).await
    }

    /// Looks now, at each change and at the end of the time; the last look always gives an answer.
    async fn hold<T>(
        &self,
        hold: Duration,
        mut look: impl FnMut(bool) -> Option<Result<T, Unanswered>>,
    ) -> Result<T, Unanswered> {
        let held = Held::new(self);
        let began = Instant::now();
        if held.before >= VERY_MANY {
            tokio::time::sleep(hold.min(MOMENT)).await;
            return look(true).unwrap_or(Err(Unanswered::Timeout));
        }
        if held.before == MAX_HELD {
            // For a moment only, from now on.
            self.changed.notify_waiters();
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before looking, so that no change comes between.
            changed.as_mut().enable();
            if let Some(answer) = look(false) {
                return answer;
            }
            let crowded = self.state.lock().held > MAX_HELD;
            let hold = if crowded { hold.min(MOMENT) } else { hold };
            if tokio::time::timeout_at(began + hold, changed).await.is_err() {
                return look(true).unwrap_or(Err(Unanswered::Timeout));
            }
        }
    }
}

/// A poll that is held; gone also when the client hangs up.
struct Held<'a> {
    inbox: &'a Inbox,
    /// How many were held before it.
    before: usize,
}

impl<'a> Held<'a> {
    fn new(inbox: &'a Inbox) -> Self {
        let mut state = inbox.state.lock();
        let before = state.held;
        state.held += 1;
        drop(state);
        Self { inbox, before }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.inbox.state.lock().held -= 1;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use room::chat::{Content, Epoch, NewGroup, Notice, System};

    use super::*;

    const HOLD: Duration = Duration::from_secs(45);

    fn inbox() -> (Inbox, RoomId) {
        let inbox = Inbox::new(Millis(0));
        let id = RoomId::parse("g").unwrap();
        let new = NewGroup { id: &id, owner: None, name: "Group", epoch: Epoch(1) };
        inbox.enter(&Group::new(&new).unwrap(), Vec::new());
        (inbox, id)
    }

    #[tokio::test(start_paused = true)]
    async fn two_polls_of_a_client_do_not_take_turns() {
        let (inbox, group) = inbox();
        let began = Instant::now();
        let of_group = async {
            for _ in 0..2 {
                inbox.poll(&group, 0, HOLD).await.unwrap();
            }
        };
        let own = async {
            for _ in 0..2 {
                inbox.poll_direct(0, HOLD).await.unwrap_err();
            }
        };
        let others = async {
            let both = tokio::join!(inbox.poll(&group, 0, HOLD), inbox.poll_direct(0, HOLD));
            assert!(both.0.is_ok() && both.1.is_err());
        };
        tokio::join!(of_group, own, others);
        assert_eq!(began.elapsed(), 2 * HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn many_polls_of_a_client_are_held_for_a_moment_each() {
        let (inbox, group) = inbox();
        let began = Instant::now();
        // Each asks again at once, as clients do.
        let chain = async |_| {
            let mut times = 0;
            while began.elapsed() < HOLD {
                inbox.poll(&group, 0, HOLD).await.unwrap();
                times += 1;
            }
            times
        };
        let times = join_all((0..100).map(chain)).await;
        assert!(times.iter().all(|times| (1..=10).contains(times)), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_gets_nothing_does_not_pass_over_what_another_gets() {
        let (inbox, group) = inbox();
        let said = |seq| {
            let system = System { by: None, notice: Notice::Custom("x".into()) };
            Arc::new(Message::new(group.clone(), seq, Millis(1), Content::System(system)))
        };
        let older = inbox.poll(&group, 0, MOMENT);
        let newer = async {
            tokio::task::yield_now().await;
            // Its answer is lost, as where a phone changes networks.
            let lost = inbox.poll(&group, 0, HOLD).await.unwrap();
            assert_eq!((lost.messages.len(), lost.next), (1, 2));
        };
        let says = async {
            tokio::time::sleep(MOMENT / 2).await;
            inbox.message(&said(1));
        };
        let (older, ..) = tokio::join!(older, newer, says);
        let older = older.unwrap();
        assert_eq!((older.messages.len(), older.next), (0, 1));
        let again = inbox.poll(&group, older.next, HOLD).await.unwrap();
        assert_eq!(again.messages.len(), 1, "it comes once more");
    }
}
