//! The chat of a journal's rooms: what is said is in memory at once, and on disk when that goes. Knows no rooms.

use std::sync::Arc;

use room::Millis;
use room::chat::Direct;

use super::record::Draft;
use super::{Journal, missed};
use crate::error::Error;
use crate::{Answer, ChatEntry, ChatRecord, KeptGroup};

impl ChatRecord for Journal {
    fn note(&self, entry: ChatEntry, now: Millis) -> Answer<'static, ()> {
        let log = self.log();
        // Outside of the lock: nearly always it is all that is written.
        let alone = missed::draft(&entry);
        let mut chats = self.kept.chats.lock();
        chats.apply(entry.clone(), now);
        // While the disk is away chat goes on; what was said meanwhile is written with what comes after it, or when the disk is back.
        let waiting = match log.ready() {
            Err(error) => {
                if chats.miss(&entry) {
                    log.owe();
                }
                Err(error)
            }
            Ok(()) => {
                let append = |draft: Option<Draft>| Some(log.append(draft?, Vec::new()));
                let queued = match chats.missing(&entry).filter(|missing| !missing.is_empty()) {
                    None => append(alone),
                    Some(missing) => missing.iter().fold(None, |_, entry| append(missed::draft(entry))),
                };
                queued.ok_or_else(|| Error::Unavailable("a message is too large for the journal".into()))
            }
        };
        drop(chats);
        Box::pin(async move { waiting?.durable().await })
    }

    fn groups(&self) -> Vec<KeptGroup> {
        self.kept.chats.lock().groups()
    }

    fn mail(&self) -> Vec<(Arc<Direct>, bool)> {
        self.kept.chats.lock().mail()
    }
}
