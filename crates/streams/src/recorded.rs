//! Recordings that push URLs ask for. The node that a stream is pushed to makes them: where the publisher moves on, so does
//! its recording.

use std::collections::HashSet;

use media::hub::Event;
use media::record::Recorder;
use media::{Hub, Protocol, StreamName};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;

/// Recordings that push URLs ask for.
pub struct Recorded {
    recorder: Recorder,
    /// What is recorded because its push URL asked for it.
    begun: Mutex<HashSet<StreamName>>,
}

impl Recorded {
    /// None yet.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, begun: Mutex::default() }
    }

    /// Records a stream whose publisher is let in.
    pub fn begin(&self, stream: &StreamName) {
        if self.recorder.record(stream) {
            self.begun.lock().insert(stream.clone());
        }
    }

    /// Ends the recordings of streams that are pulled from another node by now, until the hub is gone. A recording that
    /// was asked for here goes on: no other node makes it.
    pub async fn follow(&self, hub: &Hub) {
        let mut events = hub.events();
        loop {
            match events.recv().await {
                Ok(Event::Resumed { name, protocol: Protocol::Relay, .. }) => {
                    // Its publisher may have come back since.
                    if hub.info(&name).is_some_and(|info| info.protocol == Protocol::Relay)
                        && self.begun.lock().remove(&name)
                    {
                        self.recorder.stop(&name);
                    }
                }
                Ok(Event::Ended { name, .. }) => drop(self.begun.lock().remove(&name)),
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(_)) => self.begun.lock().retain(|name| hub.info(name).is_some()),
                Ok(_) => {}
            }
        }
    }
}
