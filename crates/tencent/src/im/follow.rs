//! Reads from the store's record of commits what is to be published to the chat service, and remembers there how far it
//! was: a crash loses nothing, and of several nodes one publishes. Knows no calls; the delivery does what is read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use room::{Event, Millis};
use tokio::time::{Instant, sleep};

use super::delivery::Task;
use super::{ChatService, task_of};
use store::History;
use store::clock::Clock;
use store::error::Error;

/// Its name among the readers of the record.
const READER: &str = "chat-tencent";
/// Commits read at a time.
const BATCH: usize = 256;
/// For how long a node has a partition to itself.
const LEASE: Duration = Duration::from_secs(30);
/// At most this often it is noted how far was published. A crash repeats what was published since: clients look twice.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long after a failure the store is tried again, and for how long reading rests while too many rooms wait.
const REST: Duration = Duration::from_secs(1);
/// Places remembered while rooms wait. Fewer only mean that more is repeated.
const MARKS: usize = 64;
/// After this long, in milliseconds, a notification has no use: clients have looked by themselves since.
const NOTIFY_FOR: u64 = 60 * 60 * 1000;
/// After this long a group that was not removed is left to its service; the record is not kept for longer either.
const DESTROY_FOR: u64 = 24 * 60 * 60 * 1000;

/// Follows the record.
pub struct Follower {
    chat: Arc<ChatService>,
    history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
}

/// Where it is in a partition.
#[derive(Debug, Default)]
struct Partition {
    /// After which commit it reads on; none before the partition is ours.
    place: Option<String>,
    /// When everything up to a place had been handed to the delivery.
    marks: VecDeque<(Instant, String)>,
    saved: Option<Instant>,
}

impl Follower {
    /// Puts the parts together.
    #[must_use]
    pub fn new(chat: Arc<ChatService>, history: Arc<dyn History>, clock: Arc<dyn Clock>) -> Self {
        Self { chat, history, clock }
    }

    /// Runs for ever.
    pub async fn run(self) {
        let partitions = (0..self.history.partitions()).map(|number| {
            let follower = &self;
            async move {
                let mut partition = Partition::default();
                loop {
                    if let Err(error) = follower.pass(number, &mut partition).await {
                        tracing::warn!(%error, partition = number, "the chat service waits for the store");
                        sleep(REST).await;
                    }
                }
            }
        });
        futures_util::future::join_all(partitions).await;
    }

    /// Reads on, waiting a bounded time for something to come.
    async fn pass(&self, number: usize, partition: &mut Partition) -> Result<(), Error> {
        let history = &self.history;
        if !history.hold(READER, number, LEASE).await? {
            *partition = Partition::default();
            sleep(LEASE / 10).await;
            return Ok(());
        }
        let place = match partition.place.take() {
            Some(place) => place,
            None => match history.place(READER, number).await? {
                Some(place) => place,
                // The first time, what is over is over.
                None => {
                    let end = history.end(number).await?;
                    history.save(READER, number, &end).await?;
                    end
                }
            },
        };
        partition.place = Some(place.clone());
        if self.chat.delivery.is_full() {
            sleep(REST).await;
        } else {
            let entries = history.after(number, &place, BATCH).await?;
            let now = self.clock.now();
            for event in entries.iter().flat_map(|entry| &entry.news).filter_map(|news| news.event()) {
                self.take(event, now);
            }
            if let Some(last) = entries.into_iter().next_back() {
                partition.marks.push_back((Instant::now(), last.place.clone()));
                partition.place = Some(last.place);
            }
        }
        self.remember(number, partition).await
    }

    fn take(&self, event: &Event, now: Millis) {
        // Calls have no group.
        let Some(task) = task_of(event).filter(|_| !event.kind.is_elsewhere()) else { return };
        let good_for = if task == Task::Notify { NOTIFY_FOR } else { DESTROY_FOR };
        if now.since(event.at) <= good_for {
            self.chat.delivery.add(&event.room, task);
        }
    }

    /// Notes how far everything is published: up to the last mark that is older than whatever still waits.
    async fn remember(&self, number: usize, partition: &mut Partition) -> Result<(), Error> {
        if partition.saved.is_some_and(|at| at.elapsed() < SAVE_EVERY) {
            return Ok(());
        }
        let oldest = self.chat.delivery.oldest();
        let told = partition.marks.iter().take_while(|(at, _)| oldest.is_none_or(|oldest| *at < oldest)).count();
        if let Some((_, place)) = partition.marks.drain(..told).next_back() {
            self.history.save(READER, number, &place).await?;
            partition.saved = Some(Instant::now());
        }
        if partition.marks.len() > MARKS {
            // The newest stays: it counts once nothing waits any more.
            let newest = partition.marks.split_off(partition.marks.len() - MARKS / 2);
            partition.marks = newest;
        }
        Ok(())
    }
}
