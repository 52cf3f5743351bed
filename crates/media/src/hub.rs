//! One publisher, many readers, by stream name. Knows no protocol and asks nobody for permission.
//!
//! A publisher pushes frames and never waits. Readers of [`Pace::Realtime`] are woken per frame; readers of
//! [`Pace::Audience`] all together, once per merge interval, and share the bytes of that burst. Needs a tokio runtime.

mod clean;
mod cursor;
mod figures;
mod flow;
mod info;
mod item;
mod keys;
mod layers;
mod overlay;
mod publisher;
mod reader;
mod readers;
mod ring;
mod since_key;
mod slices;
mod squeeze;
mod stream;
#[cfg(test)]
mod tests;
mod timeline;
mod waiting;
mod wakers;
mod want;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ended::Ended;
use crate::name::{Protocol, StreamName};
use stream::{Again, Stream};
use timeline::Timeline;
use waiting::Place;

pub use figures::{Figures, Traffic};
pub use info::StreamInfo;
pub use item::{Expected, Flowing, Item, Tracks};
pub use layers::{Layer, MOST_LAYERS};
pub(crate) use overlay::in_order;
pub use publisher::Publisher;
pub use reader::Reader;
pub(crate) use reader::{Fit, Form};
pub(crate) use since_key::SinceKey;
pub use want::{Pace, Start, View, Want};

/// Bounds and intervals of a hub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long frames are gathered before a large audience gets them in one piece: so long for up to `many` players, and for
    /// more in proportion, up to three times as long. Each piece costs a call of the kernel for each player.
    pub merge: Duration,
    /// See `merge`.
    pub many: usize,
    /// Readers of a stream who are served each frame as it comes, because it costs little for so few: this many RTMP
    /// players (co-anchors play by RTMP) whatever the rest of the audience, and an audience that is no larger.
    pub few: usize,
    /// Most payload bytes (with some overhead) kept of one stream; a longer group of pictures is not kept for joiners.
    pub gop_bytes: usize,
    /// Most frames kept of one stream; likewise.
    pub gop_frames: usize,
    /// How long a stream whose publisher vanished waits for it to come back. Zero: not at all.
    pub resume_window: Duration,
    /// A publisher silent for this long gives way to a new one of the same stream.
    pub takeover_after: Duration,
    /// A stream is live when a frame came within this time.
    pub live_within: Duration,
    /// How long [`Hub::wait`] waits for a publisher unless told otherwise.
    pub wait: Duration,
    /// Most streams at a time.
    pub max_streams: usize,
    /// Most viewers of a stream at a time, over all protocols; all that HLS serves are one.
    pub max_viewers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            merge: Duration::from_millis(100),
            many: 250,
            few: 8,
            gop_bytes: 8 << 20,
            gop_frames: 8_192,
            resume_window: Duration::from_secs(15),
            takeover_after: Duration::from_secs(5),
            live_within: Duration::from_secs(10),
            wait: Duration::from_secs(10),
            max_streams: 100_000,
            max_viewers: usize::MAX,
        }
    }
}

/// How a publisher came.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its address.
    pub peer: SocketAddr,
}

/// Why a stream cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// It has an active publisher.
    #[error("the stream already has a publisher")]
    Taken,
    /// There are [`Settings::max_streams`] streams.
    #[error("too many streams")]
    Full,
}

impl From<Busy> for Ended {
    fn from(busy: Busy) -> Ended {
        match busy {
            Busy::Taken => Ended::Busy,
            Busy::Full => Ended::Limit("streams"),
        }
    }
}

/// What happened to a stream, in order per stream.
#[derive(Debug, Clone)]
pub enum Event {
    /// Its first publisher came.
    Started {
        /// The stream.
        name: StreamName,
        /// How it is published.
        protocol: Protocol,
        /// From where.
        peer: SocketAddr,
    },
    /// Its publisher vanished and may come back.
    Paused {
        /// The stream.
        name: StreamName,
    },
    /// A publisher came back to it.
    Resumed {
        /// The stream.
        name: StreamName,
        /// How it is published now.
        protocol: Protocol,
        /// From where.
        peer: SocketAddr,
    },
    /// It is over.
    Ended {
        /// The stream.
        name: StreamName,
        /// Why.
        reason: Ended,
    },
}

/// The hub; cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    streams: RwLock<HashMap<StreamName, Arc<Stream>>>,
    /// Readers that came before their publisher.
    waiting: Mutex<HashMap<StreamName, Arc<Notify>>>,
    ids: AtomicU64,
    tally: Arc<figures::Tally>,
    /// Renditions that are being made, or about to be.
    making: Mutex<HashSet<StreamName>>,
    events: broadcast::Sender<Event>,
}

impl Hub {
    /// An empty hub.
    pub fn new(settings: Settings) -> Self {
        let (events, _) = broadcast::channel(4096);
        let inner = Inner {
            settings,
            streams: RwLock::default(),
            waiting: Mutex::default(),
            ids: AtomicU64::new(1),
            tally: Arc::default(),
            making: Mutex::default(),
            events,
        };
        Hub { inner: Arc::new(inner) }
    }

    /// The bounds and intervals it works with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Starts the stream, or continues one whose publisher vanished. At most one publisher at a time: one that comes while
    /// another is active is refused. Must be called within a tokio runtime.
    pub fn publish(&self, name: &StreamName, origin: Origin) -> Result<Publisher, Busy> {
        self.publish_from(name, origin, Timeline::default())
    }

    /// As [`Hub::publish`]; a stream that starts has this timeline.
    fn publish_from(&self, name: &StreamName, origin: Origin, timeline: Timeline) -> Result<Publisher, Busy> {
        let inner = &self.inner;
        let stop = CancellationToken::new();
        let mut streams = inner.streams.write();
        // Under the lock: who sees a new number there finds its stream here.
        let id = inner.ids.fetch_add(1, Ordering::AcqRel);
        if let Some(stream) = streams.get(name) {
            match stream.republish(id, &stop, origin, &inner.settings) {
                Again::Busy => return Err(Busy::Taken),
                Again::Resumed => {
                    let Origin { protocol, peer } = origin;
                    inner.tell(Event::Resumed { name: name.clone(), protocol, peer });
                    return Ok(Publisher { hub: Arc::clone(inner), stream: Arc::clone(stream), id, stop });
                }
                Again::Ended => {}
            }
        }
        if streams.len() >= inner.settings.max_streams {
            return Err(Busy::Full);
        }
        let over = overlay::of(&streams, name);
        // A stream that begins anew below its overlay goes on in that one's time, so that those who come back from the
        // overlay do not step back.
        let timeline = match &over {
            Some(over) => timeline.not_before(over.state.lock().clock()),
            None => timeline,
        };
        let stream = Stream::new(name.clone(), id, stop.clone(), origin, timeline, Arc::clone(&inner.tally));
        stream.state.lock().overlay = over;
        streams.insert(name.clone(), Arc::clone(&stream));
        inner.tell(Event::Started { name: name.clone(), protocol: origin.protocol, peer: origin.peer });
        drop(streams);
        tokio::spawn(Arc::clone(&stream).keep(Arc::downgrade(inner), inner.settings.clone()));
        if let Some(waiting) = inner.waiting.lock().remove(name) {
            waiting.notify_waiters();
        }
        Ok(Publisher { hub: Arc::clone(inner), stream, id, stop })
    }

    /// Reads a stream that exists; [`Ended::NotFound`] otherwise, and [`Ended::Limit`] if too many do. Where there is an
    /// overlay ([`Hub::overlay`]), the audience gets that.
    pub fn subscribe(&self, name: &StreamName, want: Want) -> Result<Reader, Ended> {
        let instead = || (want.view == View::Shown).then(|| self.get(&overlay::name(name))).flatten();
        let stream = self.get(name).or_else(instead).ok_or(Ended::NotFound)?;
        // A viewer of a rendition watches the stream that it was made of.
        let original = name.home().and_then(|home| self.get(&home));
        Reader::new(&self.inner, &stream, original, want)
    }

    /// Reads a stream, waiting up to `wait` for its publisher (`None`: [`Settings::wait`]); then [`Ended::NotFound`].
    /// Cancel safe.
    pub async fn wait(&self, name: &StreamName, want: Want, wait: Option<Duration>) -> Result<Reader, Ended> {
        let deadline = Instant::now() + wait.unwrap_or(self.inner.settings.wait);
        loop {
            let place = Place::take(&self.inner, name);
            let published = place.notify.notified();
            tokio::pin!(published);
            // Registered before the look, so that no publisher slips in between.
            published.as_mut().enable();
            match self.subscribe(name, want) {
                Err(Ended::NotFound) => {}
                found => return found,
            }
            if tokio::time::timeout_at(deadline, published).await.is_err() {
                return Err(Ended::NotFound);
            }
        }
    }

    /// Ends a stream at once: its publisher and all its readers. Returns false if there is none.
    pub fn end(&self, name: &StreamName, reason: Ended) -> bool {
        self.get(name).is_some_and(|stream| self.inner.finish(&stream, None, reason))
    }

    /// Ends a stream at once, if it has this publisher ([`Publisher::id`]) or waits for it to come back. Returns whether it did.
    pub fn end_of(&self, name: &StreamName, publisher: u64, reason: Ended) -> bool {
        self.get(name).is_some_and(|stream| self.inner.finish(&stream, Some(publisher), reason))
    }

    /// Ends a stream's publisher, and not the stream, which waits for another one to continue it. The publisher hears that it
    /// was taken over. Returns false if there is none.
    pub fn unseat(&self, name: &StreamName) -> bool {
        let Some(stream) = self.get(name) else { return false };
        let id = stream.publisher();
        let had = self.inner.vanish(&stream, id);
        if had {
            stream.unseat(id);
        }
        had
    }

    /// Whether frames of the stream flowed within [`Settings::live_within`].
    pub fn is_live(&self, name: &StreamName) -> bool {
        let now = Instant::now();
        self.get(name).is_some_and(|stream| stream.state.lock().is_live(now, &self.inner.settings))
    }

    /// A snapshot of one stream.
    pub fn info(&self, name: &StreamName) -> Option<StreamInfo> {
        Some(self.get(name)?.info(&self.inner.settings))
    }

    /// A snapshot of all streams, by name; without those that this server makes of others, whose viewers count there.
    pub fn list(&self) -> Vec<StreamInfo> {
        let streams: Vec<_> = self.inner.streams.read().values().filter(|s| !s.name.is_derived()).cloned().collect();
        let mut list: Vec<_> = streams.iter().map(|s| s.info(&self.inner.settings)).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// What the hub did since its start, over all streams.
    pub fn figures(&self) -> Figures {
        let streams = self.inner.streams.read().keys().filter(|name| !name.is_derived()).count();
        self.inner.tally.snapshot(streams as u64)
    }

    /// Asks a stream's publisher for a key frame, where it can make one.
    pub fn request_key(&self, name: &StreamName) {
        if let Some(stream) = self.get(name) {
            stream.keys.ask();
        }
    }

    /// Whether a stream has a group of pictures that began at this moment or later.
    pub(crate) fn has_group_since(&self, name: &StreamName, moment: Instant) -> bool {
        self.get(name).is_some_and(|stream| stream.state.lock().ring.group_began().is_some_and(|at| at >= moment))
    }

    /// Whether a stream's publisher vanished and may come back.
    pub(crate) fn is_paused(&self, name: &StreamName) -> bool {
        self.get(name).is_some_and(|stream| stream.state.lock().is_paused())
    }

    /// What is to be expected of a stream's pictures.
    pub(crate) fn expected(&self, name: &StreamName) -> Option<Expected> {
        Some(self.get(name)?.state.lock().flows.video.expected(Instant::now()))
    }

    /// What a stream's publisher said beforehand, if anything: whether there are pictures.
    pub(crate) fn says_pictures(&self, name: &StreamName) -> Option<bool> {
        self.get(name)?.state.lock().flows.video.said
    }

    /// Whether a stream's publisher makes a keyframe as soon as it is asked.
    pub fn answers_wishes(&self, name: &StreamName) -> bool {
        self.get(name).is_some_and(|stream| stream.state.lock().answers())
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.inner.streams.read().len()
    }

    /// Whether there are no streams.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events from now on. A receiver that lags by more than 4096 loses the oldest, is told so, and can look at
    /// [`Hub::list`].
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The names of renditions that are made of this hub's streams, so that each is made once.
    pub(crate) fn making(&self) -> &Mutex<HashSet<StreamName>> {
        &self.inner.making
    }

    fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.inner.streams.read().get(name).cloned()
    }
}

// Lock order: `streams`, then a stream's `state`. Events are told under `streams`, so that they are in order.
impl Inner {
    fn tell(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn finish(&self, stream: &Arc<Stream>, id: Option<u64>, reason: Ended) -> bool {
        let mut streams = self.streams.write();
        if !stream.end(id, reason.clone()) {
            return false;
        }
        if streams.get(&stream.name).is_some_and(|s| Arc::ptr_eq(s, stream)) {
            streams.remove(&stream.name);
        }
        overlay::lift(&streams, stream);
        self.tell(Event::Ended { name: stream.name.clone(), reason });
        true
    }

    /// Notes that a publisher is gone; false: it was so before.
    fn vanish(&self, stream: &Arc<Stream>, id: u64) -> bool {
        let streams = self.streams.write();
        match stream.vanish(id, &self.settings) {
            Gone::Stale => return false,
            Gone::Paused => self.tell(Event::Paused { name: stream.name.clone() }),
            Gone::Over => {
                drop(streams);
                self.finish(stream, Some(id), Ended::Deserted);
            }
        }
        true
    }
}

/// What a publisher's disappearance did to its stream.
enum Gone {
    /// Nothing: the stream is over or another publisher's.
    Stale,
    /// It waits for the publisher to come back.
    Paused,
    /// It must be ended: there is no resume window.
    Over,
}
