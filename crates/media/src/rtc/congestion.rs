//! What a viewer's network carries, measured where nothing else is: checks that the peer answers (STUN) are sent behind media,
//! and an answer says that what was sent before it has passed, and how long it queued. What the peer reports as lost counts
//! where queues are too short to be seen. Pure: times are arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bits a second that a network without a known limit is sent at.
const OPEN: u64 = 120_000_000;
/// Beyond this a limit is none.
const WIDE: u64 = 50_000_000;
/// Bits a second: not less, whatever is measured.
const LEAST: u64 = 64_000;
/// Bytes that a network of which nothing is known is sent before it has answered.
const FIRST_WINDOW: u64 = 28_000;
/// What is sent beyond that each time nothing was heard for this long.
const UNHEARD: Duration = Duration::from_millis(250);
const FURTHER_WINDOW: u64 = 14_000;
/// A peer that has not answered by then does not answer at all.
const DEAF: Duration = Duration::from_millis(1_500);
/// One that has answered does no longer, if nothing came for this long and to this many checks.
const SILENT: Duration = Duration::from_secs(3);
const UNANSWERED: usize = 20;
/// Bytes between two answers that tell a rate.
const TRAIN: u64 = 14_000;
/// A queue this long at the beginning is a narrow network's; later, one that stays this long.
const QUEUED_FIRST: Duration = Duration::from_millis(30);
const QUEUED: Duration = Duration::from_millis(60);
/// One that is seen once and so long is one, if packets are lost.
const QUEUED_FAR: Duration = Duration::from_millis(150);
/// An answer that is so late makes it be looked more closely, too. Several are taken for a queue.
const OVERDUE: Duration = Duration::from_millis(100);
/// How long it is looked more closely at queues after a loss.
const SUSPECTED: Duration = Duration::from_millis(300);
/// A queue this short is none.
const CLEAR: Duration = Duration::from_millis(20);
/// What may be on its way to a narrow network beyond its round trip.
const SLACK: Duration = Duration::from_millis(200);
/// Answers that the queue is judged by, and for how long: the shortest counts, since networks delay single packets by chance.
const JUDGED: usize = 3;
const JUDGED_FOR: Duration = Duration::from_millis(400);
/// Answers that tell what is usual, and how many that is the mean of.
const USUAL_FROM: u32 = 8;
const USUAL_OF: u32 = 32;
/// How long the shortest round trip is remembered.
const BASE_FOR: Duration = Duration::from_secs(5);
/// A limit is thought of as near what was once measured for this long.
const REMEMBERED: Duration = Duration::from_secs(15);
/// A network that did not hold media up for this long is taken for one without a limit.
const HEALS: Duration = Duration::from_secs(10);
/// Parts lost beyond which a network is too narrow: where answers tell of queues, and where nothing else is known.
const LOSSES: [f32; 2] = [0.15, 0.08];
/// Parts lost below which more is tried where nothing else is known.
const FEW_LOST: f32 = 0.02;
/// How long after a loss it is reported at the latest.
const REPORTED_LATE: Duration = Duration::from_secs(3);
/// Loss that sending less does not lessen is what a radio does; it counts for nothing for so long.
const RADIO: Duration = Duration::from_secs(20);
/// Most checks without an answer that are kept.
const MOST_CHECKS: usize = 64;

/// A check on its way.
#[derive(Debug)]
struct Check {
    number: u32,
    at: Instant,
    /// Bytes that were sent before it.
    mark: u64,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
struct Answer {
    at: Instant,
    mark: u64,
    /// How long the check queued.
    queued: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is known: so many bytes may be on their way.
    Start(u64),
    /// No limit is known.
    Open,
    /// Bits a second that it is sent.
    Narrow(u64),
}

impl Default for State {
    fn default() -> Self {
        State::Start(FIRST_WINDOW)
    }
}

/// What is known of one viewer's network.
#[derive(Debug, Default)]
pub(super) struct Congestion {
    state: State,
    began: Option<Instant>,
    checks: VecDeque<Check>,
    number: u32,
    checked: Option<Instant>,
    /// Bytes sent since the last check.
    since_check: u64,
    sent: u64,
    heard: Option<Answer>,
    /// The first answer of the beginning.
    first: Option<Answer>,
    answers: VecDeque<Answer>,
    /// The shortest round trips of this period and of the one before.
    base: [Option<Duration>; 2],
    base_since: Option<Instant>,
    /// When the rate was last changed.
    changed: Option<Instant>,
    /// What was measured when it was last too much.
    seen: Option<(u64, Instant)>,
    /// When media last had to wait.
    held: Option<Instant>,
    /// Bytes sent by the last report, its time, and the loss that was answered by sending less.
    reported: Option<(u64, Instant)>,
    lost: Option<f32>,
    radio_until: Option<Instant>,
    /// The last report told of losses, and of many.
    loses: bool,
    much: bool,
    /// When something was last sent again.
    suspected: Option<Instant>,
    /// How long answers queue where no limit is known, in the mean, and of how many that is.
    usual: Duration,
    usual_of: u32,
}

impl Congestion {
    /// Bits a second that pictures may be sent at.
    pub fn rate(&self) -> u64 {
        match self.state {
            State::Narrow(rate) => rate,
            _ => OPEN,
        }
    }

    /// Whether the network is known to carry less than is wished.
    pub fn is_narrow(&self) -> bool {
        matches!(self.state, State::Narrow(_))
    }

    /// The shortest round trip of late, if any is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.base()
    }

    /// Bytes that may be sent at once after a pause.
    pub fn burst(&self) -> i64 {
        match self.state {
            State::Narrow(rate) => i64::try_from(rate / 8 / 200).unwrap_or(0).clamp(1_200, 32_000),
            _ => 32_000,
        }
    }

    /// Bytes of pictures that may go on their way now; more where nothing limits them.
    pub fn room(&self, now: Instant) -> u64 {
        let flying = self.sent.saturating_sub(self.heard.map_or(0, |answer| answer.mark));
        let window = match self.state {
            State::Open => return u64::MAX,
            State::Start(window) => {
                let last = self.heard.map(|answer| answer.at).max(self.began).unwrap_or(now);
                let pauses = now.saturating_duration_since(last).as_millis() / UNHEARD.as_millis();
                window + pauses as u64 * FURTHER_WINDOW
            }
            // Who answers nothing is known by what it loses.
            State::Narrow(_) if self.is_deaf(now) => return u64::MAX,
            State::Narrow(rate) => 4_000 + bytes(rate, self.base().unwrap_or_default() + SLACK),
        };
        window.saturating_sub(flying)
    }

    /// Whether the peer answers no checks: none ever, or none for so long that it has stopped to.
    fn is_deaf(&self, now: Instant) -> bool {
        let silent = |at: Instant| now.saturating_duration_since(at) > SILENT && self.checks.len() >= UNANSWERED;
        self.heard.is_none_or(|answer| silent(answer.at))
    }

    /// Notes what was sent, in bytes with all heads.
    pub fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        self.since_check += bytes;
    }

    /// Notes that pictures have to wait.
    pub fn holds(&mut self, now: Instant) {
        self.held = Some(now);
    }

    /// How long after the last check the next one is due. `waiting`: pictures wait to be sent.
    fn pause(&self, waiting: bool, now: Instant) -> Duration {
        let ms = Duration::from_millis;
        let judging = self.answers.back().is_some_and(|answer| answer.queued > QUEUED);
        match self.state {
            State::Start(_) if self.since_check >= FIRST_WINDOW / 2 => Duration::ZERO,
            State::Start(_) => ms(50),
            State::Open if waiting => ms(10),
            State::Open if judging || self.is_suspected(now) || self.overdue(now) > OVERDUE => ms(40),
            State::Open => ms(4_000),
            State::Narrow(_) if waiting || judging => ms(50),
            State::Narrow(_) if self.held.is_some_and(|at| now.saturating_duration_since(at) < ms(1_000)) => ms(100),
            State::Narrow(_) => ms(500),
        }
    }

    /// How much later than usual the answer to the oldest check is.
    fn overdue(&self, now: Instant) -> Duration {
        let Some((oldest, base)) = self.checks.front().zip(self.base()) else { return Duration::ZERO };
        now.saturating_duration_since(oldest.at).saturating_sub(base)
    }

    /// The number of a check that is to be sent now, behind everything that was sent so far.
    pub fn check(&mut self, waiting: bool, now: Instant) -> Option<u32> {
        let began = *self.began.get_or_insert(now);
        if self.heard.is_none() && now.saturating_duration_since(began) > DEAF {
            if let State::Start(_) = self.state {
                self.state = State::Open;
            }
            // Now and then all the same: it may have been far away.
            if self.checked.is_some_and(|at| now.saturating_duration_since(at) < DEAF) {
                return None;
            }
        }
        if self.checked.is_some_and(|at| now < at + self.pause(waiting, now)) {
            return None;
        }
        let third = self.checks.get(JUDGED - 1).zip(self.base());
        if self.state == State::Open
            && third.is_some_and(|(check, base)| check.at + base + self.most_queued(now).max(QUEUED) < now)
        {
            // Several are late, and loss does not take several in a row: what is queued has to leave.
            let (mark, at) = self.heard.map_or((0, began), |answer| (answer.mark, answer.at));
            let sent = rate(self.sent - mark, now.saturating_duration_since(at).max(OVERDUE));
            self.narrow(sent, sent / 2, now);
        }
        self.checked = Some(now);
        self.since_check = 0;
        self.number = self.number.wrapping_add(1);
        if self.checks.len() == MOST_CHECKS {
            self.checks.pop_front();
        }
        self.checks.push_back(Check { number: self.number, at: now, mark: self.sent });
        Some(self.number)
    }

    /// When the next check is due, if pictures wait for its answer.
    pub fn due(&self, now: Instant) -> Instant {
        self.checked.map_or(now, |at| at + self.pause(true, now))
    }

    /// Takes the answer to a check.
    pub fn answered(&mut self, number: u32, waiting: bool, now: Instant) {
        let Some(place) = self.checks.iter().position(|check| check.number == number) else { return };
        let Some(check) = self.checks.drain(..=place).next_back() else { return };
        let trip = now.saturating_duration_since(check.at);
        self.remember(trip, now);
        let queued = trip.saturating_sub(self.base().unwrap_or(trip));
        let answer = Answer { at: now, mark: check.mark, queued };
        self.heard = Some(answer);
        if self.state == State::Open {
            self.usual_of = (self.usual_of + 1).min(USUAL_OF);
            self.usual = (self.usual * (self.usual_of - 1) + queued.min(QUEUED_FAR)) / self.usual_of;
        }
        let first = *self.first.get_or_insert(answer);
        self.answers.push_back(answer);
        while self.answers.len() > JUDGED && self.answers.front().is_some_and(|a| a.at + JUDGED_FOR < now) {
            self.answers.pop_front();
        }
        match self.state {
            State::Start(window) => self.begin(window, first, answer, now),
            State::Open => self.watch(now),
            State::Narrow(rate) => self.follow(rate, waiting, now),
        }
    }

    fn base(&self) -> Option<Duration> {
        self.base.iter().flatten().min().copied()
    }

    fn remember(&mut self, trip: Duration, now: Instant) {
        let since = *self.base_since.get_or_insert(now);
        if now.saturating_duration_since(since) > BASE_FOR {
            self.base = [None, self.base[0]];
            self.base_since = Some(now);
        }
        self.base[0] = Some(self.base[0].map_or(trip, |base| base.min(trip)));
    }

    /// The beginning: what is on its way doubles until it queues, or passes as fast as anything needs.
    fn begin(&mut self, window: u64, first: Answer, answer: Answer, now: Instant) {
        let passed = answer.mark.saturating_sub(first.mark);
        let took = answer.at.saturating_duration_since(first.at).max(Duration::from_millis(1));
        // Of packets that were not sent at once it cannot be told how fast they could pass.
        if answer.queued > QUEUED_FIRST && passed >= TRAIN && answer.queued * 2 > took {
            let rate = rate(passed, took);
            return self.narrow(rate, rate / 10 * 9, now);
        }
        let long = self.began.is_some_and(|began| now.saturating_duration_since(began) > Duration::from_secs(2));
        if passed >= TRAIN && rate(passed, answer.queued.max(Duration::from_millis(2))) >= WIDE || long {
            self.state = State::Open;
        } else if passed >= window / 2 {
            self.state = State::Start(window * 2);
            self.first = Some(answer);
        }
    }

    /// Something had to be sent again: it is looked at once whether packets queue.
    pub fn suspects(&mut self, now: Instant) {
        if self.suspected.is_none_or(|at| now.saturating_duration_since(at) > SUSPECTED / 2) {
            self.suspected = Some(now);
        }
    }

    fn is_suspected(&self, now: Instant) -> bool {
        self.suspected.is_some_and(|at| now.saturating_duration_since(at) < SUSPECTED)
    }

    /// Without a known limit: is there one now?
    fn watch(&mut self, now: Instant) {
        let Some(last) = self.answers.back().copied() else { return };
        if last.queued > QUEUED_FAR && self.is_suspected(now) {
            // Packets are lost and queue for long: there is no time for a measurement.
            let before = self.answers.iter().rev().nth(1).copied().unwrap_or(last);
            let took = last.at.saturating_duration_since(before.at).max(Duration::from_millis(20));
            let sent = rate(last.mark.saturating_sub(before.mark), took);
            return self.narrow(sent, sent / 2, now);
        }
        if let (Some(queued), Some(rate)) = (self.queued(), self.passes())
            && queued > self.most_queued(now)
        {
            self.narrow(rate, rate / 100 * 85, now);
        }
    }

    /// With a limit: is it too high or too low?
    fn follow(&mut self, current: u64, waiting: bool, now: Instant) {
        let Some(queued) = self.queued() else { return };
        let settled = Duration::from_millis(100).max(self.base().unwrap_or_default());
        if self.changed.is_some_and(|at| now.saturating_duration_since(at) < settled) {
            return;
        }
        if queued > self.most_queued(now) {
            let rate = self.passes().unwrap_or(current);
            // What waits has to leave, too.
            let part = if queued > 3 * QUEUED { 60 } else { 85 };
            return self.narrow(rate, current.min(rate / 100 * part), now);
        }
        if queued < CLEAR && waiting {
            let known = self.seen.filter(|(_, at)| now.saturating_duration_since(*at) < REMEMBERED);
            let percent = match known {
                _ if self.loses || self.is_suspected(now) => 101,
                Some((seen, _)) if current >= seen / 100 * 90 => 103,
                Some(_) => 115,
                None => 150,
            };
            self.state = State::Narrow((current / 100).saturating_mul(percent));
            self.changed = Some(now);
            if self.rate() >= WIDE {
                self.state = State::Open;
            }
        }
        if self.held.max(self.changed).is_some_and(|at| now.saturating_duration_since(at) > HEALS) {
            self.state = State::Open;
        }
    }

    /// How long packets may queue; hardly at all where some are lost. A radio delays each as it likes: what is usual there is no
    /// queue.
    fn most_queued(&self, now: Instant) -> Duration {
        let usual = (self.usual * 2).min(QUEUED_FAR);
        if self.is_suspected(now) && self.usual_of >= USUAL_FROM { usual.max(CLEAR) } else { usual.max(QUEUED) }
    }

    /// How long packets queue: the shortest of the last answers.
    fn queued(&self) -> Option<Duration> {
        let last = self.answers.iter().rev().take(JUDGED).map(|answer| answer.queued);
        if self.answers.len() < JUDGED { None } else { last.min() }
    }

    /// Bits a second that passed between the answers that are judged.
    fn passes(&self) -> Option<u64> {
        let first = self.answers.front()?;
        let last = self.answers.back()?;
        let took = last.at.saturating_duration_since(first.at);
        (took >= Duration::from_millis(20)).then(|| rate(last.mark.saturating_sub(first.mark), took))
    }

    fn narrow(&mut self, seen: u64, rate: u64, now: Instant) {
        self.state = State::Narrow(rate.max(LEAST));
        self.seen = Some((seen, now));
        self.changed = Some(now);
        self.held = Some(now);
    }

    /// Takes the part of the packets that was lost since the last time, half a second ago or more.
    pub fn lost(&mut self, part: f32, now: Instant) {
        let before = self.reported.replace((self.sent, now));
        let Some((sent, since)) = before else { return };
        let all = rate(self.sent - sent, now.saturating_duration_since(since).max(Duration::from_millis(1)));
        let deaf = self.is_deaf(now);
        // What was lost before the last change is old.
        let old = self.seen.is_some_and(|(_, at)| now.saturating_duration_since(at) < REPORTED_LATE);
        self.loses = part > FEW_LOST;
        if !deaf && self.is_narrow() && old && part > FEW_LOST {
            return;
        }
        let much = part > LOSSES[usize::from(deaf)];
        // One report may be of few packets.
        if !std::mem::replace(&mut self.much, much) && much && !deaf {
            return;
        }
        if much {
            if self.radio_until.is_some_and(|until| now < until) {
                return;
            }
            if self.lost.is_some_and(|lost| part > lost * 0.7) && self.is_narrow() && !deaf {
                self.radio_until = Some(now + RADIO);
                return;
            }
            // What is hardly sent is not too much.
            if all < LEAST {
                return;
            }
            self.lost = Some(part);
            let passed = (all as f64 * f64::from(1.0 - part.min(1.0))) as u64;
            let passed = passed.min(self.rate());
            self.narrow(passed, passed / 100 * 90, now);
        } else {
            self.lost = None;
            if let State::Narrow(rate) = self.state
                && deaf
                && part < FEW_LOST
            {
                let grown = rate / 100 * 108;
                let needless = self.held.is_some_and(|at| now.saturating_duration_since(at) > HEALS);
                self.state = if needless || grown > WIDE { State::Open } else { State::Narrow(grown) };
            }
        }
    }
}

/// Bits a second.
fn rate(bytes: u64, time: Duration) -> u64 {
    bytes.saturating_mul(8_000_000) / u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Bytes that pass in a time.
fn bytes(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate.saturating_mul(micros) / 8_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network of some bits a second with a round trip of 40 ms, that answers every check.
    struct Line {
        congestion: Congestion,
        now: Instant,
        rate: u64,
        /// When what was sent has passed.
        free: Instant,
        answers: VecDeque<(Instant, u32)>,
    }

    impl Line {
        fn new(rate: u64) -> Self {
            let now = Instant::now();
            Line { congestion: Congestion::default(), now, rate, free: now, answers: VecDeque::new() }
        }

        /// Sends `wanted` bits a second, if it may, for some time.
        fn pass(&mut self, wanted: u64, ms: u64) {
            let mut owed = 0;
            for _ in 0..ms {
                self.now += Duration::from_millis(1);
                owed = (owed + wanted / 8_000).min(100_000);
                let may = self.congestion.rate().min(wanted) / 8_000;
                let sent = may.min(self.congestion.room(self.now)).min(owed);
                owed -= sent;
                self.congestion.sent(sent);
                self.free = self.free.max(self.now) + Duration::from_micros(sent * 8_000_000 / self.rate);
                let waiting = owed > wanted / 4_000;
                if waiting {
                    self.congestion.holds(self.now);
                }
                if let Some(number) = self.congestion.check(waiting, self.now) {
                    self.answers.push_back((self.free + Duration::from_millis(40), number));
                }
                while let Some((_, number)) = self.answers.pop_front_if(|(at, _)| *at <= self.now) {
                    self.congestion.answered(number, waiting, self.now);
                }
            }
        }

        fn queue(&self) -> Duration {
            self.free.saturating_duration_since(self.now)
        }
    }

    #[test]
    fn a_wide_network_has_no_limit_and_is_hardly_looked_at() {
        let mut line = Line::new(100_000_000);
        line.pass(2_000_000, 3_000);
        assert!(!line.congestion.is_narrow());
        let before = line.congestion.number;
        line.pass(2_000_000, 10_000);
        assert!(line.congestion.number - before <= 3, "{}", line.congestion.number - before);
    }

    #[test]
    fn a_narrow_network_is_filled_and_not_flooded() {
        for rate in [300_000, 1_000_000, 4_000_000] {
            let mut line = Line::new(rate);
            line.pass(rate * 2, 3_000);
            let mut longest = Duration::ZERO;
            let mut sent = line.congestion.sent;
            for _ in 0..200 {
                line.pass(rate * 2, 100);
                longest = longest.max(line.queue());
            }
            sent = line.congestion.sent - sent;
            assert!(longest < Duration::from_millis(250), "{longest:?} at {rate}");
            assert!(sent * 8 / 20 > rate / 100 * 75, "{} of {rate}", sent * 8 / 20);
        }
    }

    #[test]
    fn a_network_that_heals_is_used_again() {
        let mut line = Line::new(500_000);
        line.pass(2_000_000, 5_000);
        assert!(line.congestion.rate() < 600_000);
        line.rate = 50_000_000;
        line.pass(2_000_000, 8_000);
        assert!(line.congestion.rate() > 2_000_000, "{}", line.congestion.rate());
        line.pass(500_000, 15_000);
        assert!(!line.congestion.is_narrow());
    }

    #[test]
    fn who_answers_nothing_is_known_by_what_it_loses() {
        let mut congestion = Congestion::default();
        let mut now = Instant::now();
        let mut second = |congestion: &mut Congestion, loss: f32| {
            for _ in 0..10 {
                now += Duration::from_millis(100);
                congestion.sent(congestion.rate().min(1_500_000) / 80);
                congestion.check(false, now);
            }
            congestion.lost(loss, now);
        };
        (0..3).for_each(|_| second(&mut congestion, 0.0));
        assert!(!congestion.is_narrow() && congestion.heard.is_none());
        (0..2).for_each(|_| second(&mut congestion, 0.3));
        assert!((500_000..1_000_000).contains(&congestion.rate()), "{}", congestion.rate());
        let narrow = congestion.rate();
        (0..5).for_each(|_| second(&mut congestion, 0.0));
        assert!(congestion.rate() > narrow);
    }

    #[test]
    fn loss_that_sending_less_does_not_lessen_is_left_alone() {
        let mut line = Line::new(50_000_000);
        line.pass(1_500_000, 3_000);
        for _ in 0..20 {
            line.pass(1_500_000, 1_000);
            line.congestion.lost(0.3, line.now);
        }
        assert!(line.congestion.rate() > 600_000, "{}", line.congestion.rate());
    }
}
