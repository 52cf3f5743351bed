//! The publishing end of a stream. Dropping it means the publisher vanished; ending it on purpose is [`Publisher::finish`].

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Inner;
use super::stream::Stream;
use crate::ended::Ended;
use crate::frame::Frame;
use crate::name::StreamName;

/// The only publisher of a stream.
pub struct Publisher {
    pub(super) hub: Arc<Inner>,
    pub(super) stream: Arc<Stream>,
    pub(super) id: u64,
    pub(super) stop: CancellationToken,
}

impl Publisher {
    /// The stream.
    pub fn name(&self) -> &StreamName {
        &self.stream.name
    }

    /// Its number, which no other publisher of this hub has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Appends a frame: counts it, places its timestamp on the stream's own clock, keeps configurations, wakes readers
    /// as their pace wants. Never waits. A configuration or description equal to the current one is not repeated.
    ///
    /// Errors: the stream was ended from elsewhere, or another publisher took it over.
    pub fn push(&self, frame: Frame) -> Result<(), Ended> {
        self.stream.push(self.id, frame, &self.hub.settings)
    }

    /// Says that the publisher is there though it pushes nothing, as one whose picture stands still.
    pub fn is_there(&self) {
        self.stream.heard(self.id);
    }

    /// Waits until the stream is ended from elsewhere and says why.
    pub async fn ended(&self) -> Ended {
        self.stop.cancelled().await;
        self.why().unwrap_or(Ended::TakenOver)
    }

    /// Why the stream was ended from elsewhere, if it was.
    pub fn why(&self) -> Option<Ended> {
        self.stop.is_cancelled().then(|| self.stream.ended().unwrap_or(Ended::TakenOver))
    }

    /// Waits until a reader wants a keyframe that has not come meanwhile. Wishes of many readers are one. Publishers that
    /// cannot make one when asked (RTMP) never call this; limits of the rate are the caller's.
    pub async fn key_wanted(&self) {
        self.stream.keys.wanted().await;
    }

    /// Says that this publisher makes a keyframe as soon as it is asked: readers that come in the middle of a long group
    /// of pictures begin with a new one ([`super::Start::Fresh`]).
    pub fn answers_wishes(&self) {
        self.stream.state.lock().set_answers(true);
    }

    /// Says whether this publisher has pictures, perhaps later on, before any come.
    pub fn says_pictures(&self, has: bool) {
        self.stream.state.lock().flows.video.said = Some(has);
    }

    /// Ends the stream now, without a resume window; its readers get what is left, then the end.
    pub fn finish(self, reason: Ended) {
        self.hub.finish(&self.stream, Some(self.id), reason);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.hub.vanish(&self.stream, self.id);
    }
}
