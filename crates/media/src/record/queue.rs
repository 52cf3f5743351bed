//! The queue between a recording and its disk. It never makes the recording wait: what does not fit is left out, up to the
//! next fragment that decoding may start with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use super::Outcome;
use super::file::Output;
use crate::fmp4::Fragment;
use crate::name::StreamName;

/// Fragments that wait for the disk: some 16 seconds.
const DEPTH: usize = 8;

/// A fragment, and what the file is with it.
pub(super) struct Piece {
    pub bytes: Bytes,
    /// How long it plays, in milliseconds.
    pub until: u64,
    /// Its pictures have changed what they are.
    pub varies: bool,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    Skipped,
}

pub(super) struct Queue {
    sender: SyncSender<Piece>,
    /// Something was left out: what follows is of no use before the next start.
    broken: bool,
    varies: bool,
    failed: Arc<AtomicBool>,
}

impl Queue {
    /// A queue with a thread of its own that writes a new file; the thread ends with the queue. `again`: after a file that
    /// could not be written.
    pub fn start(outcome: &Arc<Outcome>, stream: &StreamName, started: u64, init: Bytes, again: bool) -> Self {
        let (queue, pieces) = Self::bare();
        let stream = stream.to_string();
        let failed = Arc::clone(&queue.failed);
        let outcome = Arc::clone(outcome);
        outcome.attempt.begins();
        let write = move || {
            let created = Output::create(&outcome.inner.index, &stream, started, &init, again);
            outcome.attempt.begun(created.is_ok());
            let written = created.and_then(|mut output| {
                let appended = pieces.iter().try_for_each(|piece| output.append(&piece));
                // What is there plays, whatever did not fit.
                output.finish().and(appended)
            });
            if let Err(why) = written {
                tracing::error!(stream, %why, "a recording cannot be written; it is tried again");
                failed.store(true, Ordering::Relaxed);
            }
        };
        if let Err(why) = std::thread::Builder::new().name("record".into()).spawn(write) {
            tracing::error!(%why, "no thread for a recording");
            queue.failed.store(true, Ordering::Relaxed);
        }
        queue
    }

    pub(super) fn bare() -> (Self, Receiver<Piece>) {
        let (sender, pieces) = sync_channel(DEPTH);
        (Queue { sender, broken: false, varies: false, failed: Arc::default() }, pieces)
    }

    /// Whether nothing can be written any more.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Pictures are of another size, or otherwise not what the file's beginning says, from now on.
    pub fn vary(&mut self) {
        self.varies = true;
    }

    /// Hands a fragment on, if there is room and it is of use.
    pub fn offer(&mut self, fragment: Fragment, until: u64) -> Offer {
        if self.broken && !fragment.independent {
            return Offer::Skipped;
        }
        let piece = Piece { bytes: fragment.bytes, until, varies: self.varies };
        self.broken = self.sender.try_send(piece).is_err();
        if self.broken { Offer::Skipped } else { Offer::Taken }
    }
}
