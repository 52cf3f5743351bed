//! How a reader wants a stream: how promptly, from where on, and what it sees of it.

use tokio::time::Instant;

use crate::name::Protocol;

/// How promptly a reader gets frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Each frame as it comes: co-anchors, WebRTC.
    Realtime,
    /// In bursts of one merge interval: cheap for many.
    #[default]
    Audience,
}

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With a keyframe of now, where the publisher makes one when asked; else, or if it does not, with the current group of
    /// pictures.
    #[default]
    Fresh,
    /// With the current group of pictures: a picture at once, a little late.
    Group,
    /// With the next keyframe: no backlog.
    Next,
    /// With the current group of pictures if it began at this moment or later, else with the next keyframe.
    Since(Instant),
}

/// What a reader sees of a stream that has an overlay ([`super::Hub::overlay`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// The overlay, as long as there is one: the audience.
    Shown,
    /// The stream itself: co-anchors, and parts of this server.
    Raw,
}

/// How a reader wants a stream.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// How it came.
    pub protocol: Protocol,
    /// How promptly it gets frames.
    pub pace: Pace,
    /// Where it starts.
    pub start: Start,
    /// Whether it sees overlays.
    pub view: View,
    /// Whether it is given further tracks of sound.
    pub further: bool,
}

impl Want {
    /// Viewers see overlays; other nodes and parts of this server do not.
    pub fn new(protocol: Protocol, pace: Pace, start: Start) -> Self {
        let view = if matches!(protocol, Protocol::Internal | Protocol::Relay) { View::Raw } else { View::Shown };
        Want { protocol, pace, start, view, further: false }
    }

    /// A part of this server.
    pub fn internal(pace: Pace, start: Start) -> Self {
        Want::new(Protocol::Internal, pace, start)
    }

    /// The same with another view.
    pub fn with_view(self, view: View) -> Self {
        Want { view, ..self }
    }

    /// The same with further tracks of sound, or without.
    pub fn with_further(self, further: bool) -> Self {
        Want { further, ..self }
    }
}
