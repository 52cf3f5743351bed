//! The app's backend: hears webhooks, is slow, away or in error at times, and holds what it hears against the book.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use room::RoomId;
use serde_json::Value;
use webhooks::{Answered, Post, Posted};

use crate::book::{Book, Pages};
use crate::dice::Dice;

/// Most webhooks that come again after a restart: those that were on the way, and those of the moment before.
const MOST_AGAIN: usize = 16;

/// The backend.
pub struct Backend {
    book: Arc<Book>,
    dice: Mutex<Dice>,
    /// It answers nothing, or with errors.
    pub away: Mutex<bool>,
}

impl Backend {
    /// One that is well.
    pub fn new(seed: u64, book: Arc<Book>) -> Self {
        Self { book, dice: Mutex::new(Dice::apart(seed, 3)), away: Mutex::new(false) }
    }
}

impl Post for Backend {
    fn post(&self, _: &str, _: &[(&'static str, String)], body: Bytes, within: Duration) -> Posted {
        let (takes, lost, how) = {
            let mut dice = self.dice.lock();
            (Duration::from_millis(dice.from(1, 40)), dice.yes(5), dice.below(3))
        };
        let book = self.book.clone();
        let away = *self.away.lock();
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            match how {
                _ if !away => {}
                0 => return Ok(Answered { status: 500, body: Bytes::new() }),
                1 => return Err("refused".into()),
                _ => {
                    tokio::time::sleep(within.saturating_sub(takes)).await;
                    return Err("no answer in time".into());
                }
            }
            let said: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
            book.with(|pages| hear(pages, &said, lost));
            tokio::time::sleep(takes).await;
            if lost { Err("the answer is lost".into()) } else { Ok(Answered { status: 200, body: Bytes::new() }) }
        })
    }
}

/// Takes in what a webhook says.
fn hear(pages: &mut Pages, said: &Value, lost: bool) {
    let (Some(id), Some(room), Some(seq)) = (said["id"].as_str(), said["roomID"].as_str(), said["seq"].as_u64()) else {
        return;
    };
    let asked_for = if lost { pages.unanswered.insert(id.to_owned()) } else { pages.unanswered.remove(id) };
    if !pages.accepted.insert(id.to_owned()) {
        pages.again += usize::from(!asked_for);
        if pages.again > MOST_AGAIN && pages.few_again {
            pages.broken("webhooks: few come again", format!("{} since the process began", pages.again));
        }
        return;
    }
    let Ok(id) = RoomId::parse(room) else { return };
    let known = pages.rooms.entry(id).or_default();
    let next = known.untold.pop_front();
    // What rotted before it was told is not told.
    known.rotten |= pages.rot && next != Some(seq);
    if known.unheard {
        return;
    }
    if next != Some(seq) && !known.rotten {
        let why = format!("{room}: {} with number {seq} where {next:?} is next", said["event"]);
        pages.broken("webhooks: each in its order", why);
    }
}
