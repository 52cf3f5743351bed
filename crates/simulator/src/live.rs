//! The live service as the sweeper sees it: who pushes, and times in which it knows nothing.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use room::sweep::Pushing;
use room::{Millis, StreamId};
use serde_json::Value;
use store::Answer;
use streams::live::{self, MixOutcome, Mixable};

/// The live service.
#[derive(Default)]
pub struct Live {
    /// What is pushed.
    pub pushed: Mutex<BTreeSet<StreamId>>,
    /// It knows nothing.
    pub away: Mutex<bool>,
}

impl live::Live for Live {
    fn pushing<'a>(&'a self, streams: &'a [StreamId], _: Millis) -> Answer<'a, Vec<Pushing>> {
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            let pushed = self.pushed.lock();
            let away = *self.away.lock();
            let one = |stream| {
                if away {
                    Pushing::Unknown
                } else if pushed.contains(stream) {
                    Pushing::Yes
                } else {
                    Pushing::No
                }
            };
            Ok(streams.iter().map(one).collect())
        })
    }

    fn mix<'a>(&'a self, _: &'a Value, _: &'a Mixable) -> Answer<'a, MixOutcome> {
        Box::pin(async { Ok(MixOutcome { code: 0, message: String::new() }) })
    }

    fn stop<'a>(&'a self, stream: &'a StreamId, _: Option<u64>) -> Answer<'a, bool> {
        Box::pin(async { Ok(self.pushed.lock().remove(stream)) })
    }

    fn allow<'a>(&'a self, _: &'a StreamId) -> Answer<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
