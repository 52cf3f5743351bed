//! What readers of a stream are given: frames, and what its tracks are.

use std::sync::Arc;

use crate::frame::{Burst, Frame, is_same};

/// What a reader gets.
#[derive(Clone)]
pub enum Item {
    /// The stream as it is now: before the first frame, and again after a skip over a change.
    Tracks(Tracks),
    /// One frame ([`Pace::Realtime`](super::Pace::Realtime)). Changed configurations come as frames of their own, in order.
    Frame(Arc<Frame>),
    /// Frames of one merge interval ([`Pace::Audience`](super::Pace::Audience)), changed configurations among them.
    Burst(Arc<Burst>),
}

/// Configuration and description of a stream's tracks.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    /// Configuration of the video track.
    pub video: Option<Arc<Frame>>,
    /// Configuration of the audio track; `None` also for codecs that need none.
    pub audio: Option<Arc<Frame>>,
    /// Configurations of further tracks of sound, for readers that asked for them.
    pub further: Vec<Arc<Frame>>,
    /// The last `onMetaData`.
    pub metadata: Option<Arc<Frame>>,
}

impl Tracks {
    /// Puts a configuration among those of further tracks, which are in the order of their numbers. Says whether it tells something new.
    pub(crate) fn put_further(further: &mut Vec<Arc<Frame>>, config: &Arc<Frame>) -> bool {
        match further.binary_search_by_key(&config.track, |known| known.track) {
            Ok(at) if is_same(Some(&further[at]), Some(config)) => return false,
            Ok(at) => further[at] = Arc::clone(config),
            Err(at) => further.insert(at, Arc::clone(config)),
        }
        true
    }

    /// What a reader gets that asks for further tracks, or does not.
    pub(super) fn with(&self, further: bool) -> Tracks {
        let rest = if further { self.further.clone() } else { Vec::new() };
        let Tracks { video, audio, metadata, .. } = self;
        Tracks { video: video.clone(), audio: audio.clone(), metadata: metadata.clone(), further: rest }
    }
}

/// What is to be expected of a stream's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// They came: the tracks tell.
    Known,
    /// None: their publisher said so, or sound has been alone for a second.
    Nothing,
    /// They may be about to come: sound comes first, or nothing did.
    Soon,
    /// They may come at any time: their publisher can turn a camera on, or has announced them.
    AnyTime,
}

impl Expected {
    /// Whether a reader that has had none so far had better wait for pictures: they may be about to come, or came and are on their
    /// way to it.
    pub(crate) fn is_about_to_be(self, flowing: Flowing) -> bool {
        self == Expected::Soon || (self == Expected::Known && flowing.video)
    }
}

/// Which tracks have frames, also those of codecs without configuration. One is left out that has had none for five
/// seconds while the other has, or for one second from the start if nothing can stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flowing {
    /// Video.
    pub video: bool,
    /// Audio.
    pub audio: bool,
}
