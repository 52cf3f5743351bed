//! Mixes: several streams made into one picture by the system's ffmpeg, one supervised process a mix. What a layout looks
//! like is decided elsewhere; this knows streams, places and the process.

mod feed;
mod graph;
mod program;
mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::name::StreamName;

pub use program::find;

/// How mixes are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program: a path, or a name to be found in `PATH`.
    pub ffmpeg: PathBuf,
    /// Most mixes at a time.
    pub most: usize,
    /// How much the processes give way to others: 0 to 19.
    pub nice: u8,
    /// How long a process may take to its first picture.
    pub start: Duration,
    /// A mix ends when none of its streams is there for this long, or the stream that it is shown in place of.
    pub deserted: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ffmpeg: "ffmpeg".into(),
            most: 4,
            nice: 10,
            start: Duration::from_secs(15),
            deserted: Duration::from_secs(60),
        }
    }
}

/// What a mix looks and sounds like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Width and height in pixels; even.
    pub size: (u32, u32),
    /// What is seen where no picture is: `0xRRGGBB`.
    pub color: u32,
    /// The streams, the lowest layer first.
    pub inputs: Vec<Input>,
    /// Bits a second of the picture; `None`: by its size.
    pub bitrate: Option<u32>,
    /// Pictures a second.
    pub rate: u32,
    /// The sound of the only input is passed on as it is, where it is AAC.
    pub passes_sound: bool,
}

/// Pictures a second of what is made of several streams.
pub const RATE: u32 = 25;

/// One stream of a mix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The stream.
    pub stream: StreamName,
    /// Where its picture is; `None`: it is only heard.
    pub place: Option<Place>,
    /// Whether it is heard.
    pub heard: bool,
}

/// Where a picture is, in pixels of the mix. It fills its place; what stands out is cut off evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// The part of the stream's picture that is shown; `None`: all.
    pub crop: Option<Crop>,
}

/// A part of a picture, in pixels of a picture of one size. Of one that comes in another size, the same part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Width and height of the whole picture.
    pub of: (u32, u32),
}

/// Where a mix is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The audience of this stream sees it in the stream's place ([`Hub::overlay`]).
    Over(StreamName),
    /// As a stream of its own, or, by a derived name, as a rendition of another one ([`Hub::publish_within`]).
    Own(StreamName),
}

impl Output {
    /// The stream that it is published as, or in the place of.
    pub fn name(&self) -> &StreamName {
        match self {
            Output::Over(name) | Output::Own(name) => name,
        }
    }
}

/// A mix that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its session.
    pub session: String,
    /// Where it goes.
    pub output: Output,
    /// Streams in it.
    pub inputs: usize,
}

/// Why a mix does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The program is not installed.
    #[error("ffmpeg is not installed")]
    NoProgram,
    /// There are [`Settings::most`] mixes.
    #[error("too many mixes")]
    TooMany,
    /// The session mixes into another stream.
    #[error("the session has another output")]
    OtherOutput,
    /// Another session mixes into that stream.
    #[error("the output is another session's")]
    Taken,
}

/// What became of a mix, in order for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was begun; it is seen a little later.
    Started {
        /// Its session.
        session: String,
        /// Where it is seen.
        output: Output,
    },
    /// It is over.
    Ended {
        /// Its session.
        session: String,
        /// Where it was seen.
        output: Output,
        /// Why.
        reason: &'static str,
    },
}

/// All mixes; cheap to clone. Dropping the last clone ends them.
#[derive(Clone)]
pub struct Mixer {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    settings: Settings,
    mixes: Arc<Mutex<HashMap<String, Mix>>>,
    stop: CancellationToken,
    events: broadcast::Sender<Event>,
}

struct Mix {
    output: Output,
    layout: watch::Sender<Layout>,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mixer {
    /// No mixes yet.
    pub fn new(hub: Hub, settings: Settings) -> Self {
        let mixes = Arc::default();
        let stop = CancellationToken::new();
        let (events, _) = broadcast::channel(256);
        Mixer { inner: Arc::new(Inner { hub, settings, mixes, stop, events }) }
    }

    /// Starts the mix of a session, or changes its layout: viewers go on with the old one until the new one has its first
    /// picture. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn start(&self, session: &str, output: Output, layout: Layout) -> Result<(), Refused> {
        let Inner { hub, settings, mixes, stop, events } = &*self.inner;
        let program = find(&settings.ffmpeg).ok_or(Refused::NoProgram)?;
        let mut running = mixes.lock();
        if let Some(mix) = running.get(session) {
            if mix.output != output {
                return Err(Refused::OtherOutput);
            }
            mix.layout.send_if_modified(|old| {
                *old != layout && {
                    *old = layout;
                    true
                }
            });
            return Ok(());
        }
        if running.values().any(|mix| mix.output.name() == output.name()) {
            return Err(Refused::Taken);
        }
        if running.len() >= settings.most {
            return Err(Refused::TooMany);
        }
        let (layout, changes) = watch::channel(layout);
        let stop = stop.child_token();
        running.insert(session.into(), Mix { output: output.clone(), layout, stop: stop.clone() });
        // Nobody listening is fine.
        let _ = events.send(Event::Started { session: session.into(), output: output.clone() });
        drop(running);
        let place = Held { mixes: Arc::clone(mixes), session: session.into(), stop: stop.clone() };
        let events = events.clone();
        let run = run::Run::new(hub.clone(), settings.clone(), program, output.clone());
        tokio::spawn(async move {
            let why = run.run(changes, &stop).await;
            tracing::info!(session = place.session, why, "mix ended");
            let session = place.session.clone();
            drop(place);
            let _ = events.send(Event::Ended { session, output, reason: why });
        });
        Ok(())
    }

    /// Ends the mix of a session. Returns false if there is none.
    pub fn stop(&self, session: &str) -> bool {
        let mix = self.inner.mixes.lock().remove(session);
        mix.map(|mix| mix.stop.cancel()).is_some()
    }

    /// Ends the mix that is published as this stream, or in its place. Returns false if there is none.
    pub fn stop_output(&self, name: &StreamName) -> bool {
        let mut mixes = self.inner.mixes.lock();
        let session = mixes.iter().find(|(_, mix)| mix.output.name() == name).map(|(session, _)| session.clone());
        session.and_then(|session| mixes.remove(&session)).map(|mix| mix.stop.cancel()).is_some()
    }

    /// The output of a session's mix.
    pub fn output(&self, session: &str) -> Option<Output> {
        self.inner.mixes.lock().get(session).map(|mix| mix.output.clone())
    }

    /// What becomes of mixes from now on. A receiver that lags by more than 256 events loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// All mixes, in no order.
    pub fn list(&self) -> Vec<Running> {
        let mixes = self.inner.mixes.lock();
        let running = |(session, mix): (&String, &Mix)| Running {
            session: session.clone(),
            output: mix.output.clone(),
            inputs: mix.layout.borrow().inputs.len(),
        };
        mixes.iter().map(running).collect()
    }

    /// The streams of a session's mix, also those that are away; none where there is no mix.
    pub fn inputs_of(&self, session: &str) -> Vec<StreamName> {
        let mixes = self.inner.mixes.lock();
        let inputs = |mix: &Mix| mix.layout.borrow().inputs.iter().map(|i| i.stream.clone()).collect();
        mixes.get(session).map(inputs).unwrap_or_default()
    }

    /// The streams that are mixed, in no order; some may come twice.
    pub fn inputs(&self) -> Vec<StreamName> {
        let mixes = self.inner.mixes.lock();
        let inputs = |mix: &Mix| mix.layout.borrow().inputs.iter().map(|i| i.stream.clone()).collect::<Vec<_>>();
        mixes.values().flat_map(inputs).collect()
    }

    /// Mixes now.
    pub fn len(&self) -> usize {
        self.inner.mixes.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the program is; `None`: mixes cannot be made.
    pub fn program(&self) -> Option<PathBuf> {
        find(&self.inner.settings.ffmpeg)
    }
}

/// Takes a mix off the list when its task ends; not its successor under the same session.
struct Held {
    mixes: Arc<Mutex<HashMap<String, Mix>>>,
    session: String,
    stop: CancellationToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        // A mix that was stopped is off the list already, and its session may have begun another.
        if !self.stop.is_cancelled() {
            self.mixes.lock().remove(&self.session);
        }
    }
}
