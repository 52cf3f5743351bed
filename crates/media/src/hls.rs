//! HLS on demand, from memory: a stream is cut while clients ask for it, and no longer. Knows the files of a stream;
//! HTTP, URLs and permission belong to the server.

mod further;
mod heads;
mod playlist;
mod segment;
mod segmenter;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ended::Ended;
use crate::frame::Codec;
use crate::hub::{Hub, Item, Pace, Reader, Start, Want};
use crate::name::{Protocol, StreamName};
use crate::rendition::Renditions;
use playlist::Names;
use segmenter::Segmenter;

pub use segment::Which;

/// Media type of a playlist.
pub const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
/// Media type of segments, parts and init segments.
pub const SEGMENT_TYPE: &str = "video/mp4";
/// Numbers of segments count half seconds from here (September 2024, Unix seconds), so that they never repeat while the server runs or
/// after a restart: whatever a cache kept of an earlier run has another name.
const NUMBERS_FROM: u64 = 1_725_000_000;

/// The audio that every HLS player takes; what publishers send otherwise (browsers: Opus) is made into it.
const AUDIO: &[Codec] = &[Codec::Aac];

/// Lengths and bounds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shortest segment; each ends before the first keyframe after that.
    pub segment: Duration,
    /// What segments are promised to be no longer than, in whole seconds: longer groups of pictures are cut within.
    pub longest: Duration,
    /// What parts are promised to be no longer than.
    pub part: Duration,
    /// Segments in a playlist.
    pub listed: usize,
    /// Segments that can be fetched; more than are listed, for players that are late.
    pub kept: usize,
    /// Most bytes kept of a stream.
    pub bytes: usize,
    /// A stream that no client asked for during this time is no longer cut.
    pub idle: Duration,
    /// How long a request for what is not there yet may wait.
    pub patience: Duration,
    /// How long a stream that its publisher ended is not said to be over: what begins anew meanwhile goes on in the same
    /// playlist. Players never come back from the end of one.
    pub returns: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            segment: Duration::from_secs(2),
            longest: Duration::from_secs(4),
            part: Duration::from_millis(500),
            listed: 7,
            kept: 12,
            bytes: 64 << 20,
            idle: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            returns: Duration::from_secs(5),
        }
    }
}

/// Why there is nothing to hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No such stream, or no such file of it (any more).
    #[error("no such file")]
    NotFound,
    /// The stream has as many viewers as it may.
    #[error("too many viewers")]
    Full,
    /// The request asks for something far ahead.
    #[error("that is too far ahead")]
    TooFar,
    /// It did not come in time.
    #[error("not there yet")]
    NotYet,
}

/// What a low-latency player waits for: the playlist that has this segment, or this part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reload {
    /// `_HLS_msn`.
    pub segment: Option<u64>,
    /// `_HLS_part`.
    pub part: Option<usize>,
}

/// A file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `{n}.init.mp4`.
    Init(u64),
    /// `{n}.m4s`.
    Segment(u64),
    /// `{n}.{part}.m4s`.
    Part(u64, usize),
}

/// A file, or some of its tracks: `{n}.v.m4s`, `{n}.a1.m4s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The file.
    pub file: File,
    /// What of it.
    pub which: Which,
}

impl From<File> for Wanted {
    fn from(file: File) -> Self {
        Wanted { file, which: Which::All }
    }
}

impl Wanted {
    /// Reads a file's name.
    pub fn parse(name: &str) -> Option<Self> {
        let init = name.strip_suffix(".init.mp4");
        let name = init.or_else(|| name.strip_suffix(".m4s"))?;
        let tagged = name.rsplit_once('.').and_then(|(rest, tag)| Some((rest, Which::parse(tag)?)));
        let (name, which) = tagged.unwrap_or((name, Which::All));
        let file = match name.split_once('.') {
            _ if init.is_some() => File::Init(name.parse().ok()?),
            None => File::Segment(name.parse().ok()?),
            Some((number, part)) => File::Part(number.parse().ok()?, part.parse().ok()?),
        };
        Some(Wanted { file, which })
    }
}

/// All streams that are played by HLS; cheap to clone.
#[derive(Clone)]
pub struct Hls {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    renditions: Renditions,
    settings: Settings,
    streams: Mutex<HashMap<StreamName, Arc<Cutting>>>,
}

/// One stream that is being cut.
struct Cutting {
    segmenter: Mutex<Segmenter>,
    asked: Mutex<Instant>,
    changed: watch::Sender<()>,
    /// Bytes handed out that the stream's figures do not hold yet.
    sent: AtomicU64,
}

impl Hls {
    /// Nothing is cut yet.
    pub fn new(hub: Hub, renditions: Renditions, settings: Settings) -> Self {
        Hls { inner: Arc::new(Inner { hub, renditions, settings, streams: Mutex::default() }) }
    }

    /// Whether a client plays this stream already, and its publisher is there. While one that went may come back, who asks is
    /// to ask for the stream again: it may come from elsewhere.
    pub fn is_running(&self, name: &StreamName) -> bool {
        self.inner.streams.lock().get(name).is_some_and(|c| {
            let segmenter = c.segmenter.lock();
            !segmenter.ended() && !segmenter.ending()
        })
    }

    /// Streams that are being cut now.
    pub fn len(&self) -> usize {
        self.inner.streams.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The playlist of a stream, once it has what `reload` asks for; the first request starts the cutting and gets its
    /// answer with the first three segments. URIs in it are relative: `{stem}/{file}{query}`; `query` is empty or starts with
    /// `?`. `wait` is how long to wait for a publisher (`None`: the hub's setting). Of sound alone it is a multivariant one.
    pub async fn playlist(
        &self,
        name: &StreamName,
        wait: Option<Duration>,
        reload: Reload,
        stem: &str,
        query: &str,
    ) -> Result<String, Missing> {
        let write = |segmenter: &Segmenter, settings: &Settings| {
            if segmenter.is_sound_alone() && reload == Reload::default() {
                return playlist::write_sound(segmenter, stem, query);
            }
            playlist::write(segmenter, settings, stem, query)
        };
        self.answer(name, wait, reload, Which::All, write).await
    }

    /// The playlist of some of a stream's tracks, as [`Hls::playlist`]; URIs in it are `{file}{query}`.
    pub async fn playlist_of(
        &self,
        name: &StreamName,
        wait: Option<Duration>,
        reload: Reload,
        which: Which,
        query: &str,
    ) -> Result<String, Missing> {
        let names = Names { before: String::new(), which, query };
        let write = |segmenter: &Segmenter, settings: &Settings| playlist::write_of(segmenter, settings, &names);
        self.answer(name, wait, reload, which, write).await
    }

    /// The multivariant playlist of a stream, as [`Hls::playlist`]: pictures, and each track of sound that there is by then.
    /// URIs in it are `{stem}/{playlist}{query}`; [`Which::of_playlist`] reads them.
    pub async fn tracks(
        &self,
        name: &StreamName,
        wait: Option<Duration>,
        stem: &str,
        query: &str,
    ) -> Result<String, Missing> {
        let write = |segmenter: &Segmenter, _: &Settings| playlist::write_tracks(segmenter, stem, query);
        self.answer(name, wait, Reload::default(), Which::All, write).await
    }

    async fn answer(
        &self,
        name: &StreamName,
        wait: Option<Duration>,
        reload: Reload,
        which: Which,
        write: impl Fn(&Segmenter, &Settings) -> String,
    ) -> Result<String, Missing> {
        let cutting = self.open(name, wait).await?;
        if let Some(segment) = reload.segment {
            // RFC 8216bis §6.2.5.2: no further ahead than the one after the next.
            if segment > cutting.segmenter.lock().current().0.saturating_add(2) {
                return Err(Missing::TooFar);
            }
        }
        let there = |s: &Segmenter| match reload.segment {
            // One of before a restart is reached by numbers that begin later, and there is nothing yet.
            Some(segment) => s.reached(segment, reload.part) && (s.with(which).len() > 0 || s.ended()),
            None => s.with(which).len() >= segmenter::EARLY || s.ended(),
        };
        let found = cutting.when(self.inner.settings.patience, |s| there(s).then_some(())).await;
        let segmenter = cutting.segmenter.lock();
        // No answer comes before what was asked for (rfc8216bis §6.2.5.2).
        if found.is_none() && (reload.segment.is_some() || segmenter.with(which).len() == 0) {
            return Err(Missing::NotYet);
        }
        let text = write(&segmenter, &self.inner.settings);
        cutting.sent.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(text)
    }

    /// A file of a stream that is being cut. One that comes next is waited for.
    pub async fn file(&self, name: &StreamName, wanted: impl Into<Wanted>) -> Result<Bytes, Missing> {
        let Wanted { file, which } = wanted.into();
        let cutting = self.inner.streams.lock().get(name).cloned().ok_or(Missing::NotFound)?;
        cutting.touch();
        let get = |s: &Segmenter| match file {
            File::Init(number) => s.init(number, which),
            File::Segment(number) => s.segment(number).and_then(|segment| segment.get(which)),
            File::Part(number, part) => s.part(number, part).and_then(|part| part.get(which)),
        };
        let look = |s: &Segmenter| match (get(s), file) {
            (Some(kept), _) => Some(Ok(kept)),
            (None, File::Part(number, part)) if s.may_come(number, part) => None,
            _ => Some(Err(Missing::NotFound)),
        };
        let found = cutting.when(self.inner.settings.patience, look).await.unwrap_or(Err(Missing::NotYet));
        let found = found.and_then(|kept| kept.bytes().ok_or(Missing::NotFound));
        let sent = found.as_ref().map_or(0, |bytes| bytes.len() as u64);
        cutting.sent.fetch_add(sent, Ordering::Relaxed);
        found
    }

    async fn open(&self, name: &StreamName, wait: Option<Duration>) -> Result<Arc<Cutting>, Missing> {
        let existing = |hub: &Hub| {
            let found = self.inner.streams.lock().get(name).cloned()?;
            // An ended one is kept for those who still read it; a stream that began anew replaces it.
            let over = found.segmenter.lock().ended() && hub.info(name).is_some();
            (!over).then_some(found)
        };
        if let Some(found) = existing(&self.inner.hub) {
            found.touch();
            return Ok(found);
        }
        let reader = self.inner.reader(name, wait).await.map_err(|why| match why {
            Ended::Limit(_) => Missing::Full,
            _ => Missing::NotFound,
        })?;
        let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64 / 500);
        let cutting = Arc::new(Cutting {
            segmenter: Mutex::new(Segmenter::new(self.inner.settings.clone(), first.saturating_sub(2 * NUMBERS_FROM))),
            asked: Mutex::new(Instant::now()),
            changed: watch::Sender::new(()),
            sent: AtomicU64::new(0),
        });
        {
            let mut streams = self.inner.streams.lock();
            if let Some(other) = streams.get(name).filter(|c| !c.segmenter.lock().ended()) {
                return Ok(Arc::clone(other));
            }
            streams.insert(name.clone(), Arc::clone(&cutting));
        }
        tokio::spawn(cut(Arc::clone(&self.inner), name.clone(), Arc::clone(&cutting), reader));
        Ok(cutting)
    }
}

impl Inner {
    async fn reader(&self, name: &StreamName, wait: Option<Duration>) -> Result<Reader, Ended> {
        let want = Want::new(Protocol::Hls, Pace::Audience, Start::Fresh).with_further(true);
        self.renditions.open(name, want, AUDIO, wait).await
    }
}

/// Cuts until the stream ends or no client asks any more; what it made stays for a while after the end.
async fn cut(inner: Arc<Inner>, name: StreamName, cutting: Arc<Cutting>, reader: Reader) {
    let idle = inner.settings.idle;
    let mut reading = Some(reader);
    while let Some(reader) = reading.take() {
        let back = match read(&inner, &cutting, reader).await {
            None => break,
            Some(Ended::Finished) => inner.reader(&name, Some(inner.settings.returns)).await,
            Some(other) => {
                tokio::time::sleep(inner.settings.part).await;
                Err(other)
            }
        };
        if back.is_ok() {
            cutting.segmenter.lock().resume();
        }
        reading = back.ok();
    }
    if cutting.segmenter.lock().ending() {
        cutting.segmenter.lock().finish();
        cutting.changed.send_replace(());
    }
    loop {
        let deadline = *cutting.asked.lock() + idle;
        if Instant::now() >= deadline || !cutting.segmenter.lock().ended() {
            break;
        }
        tokio::time::sleep_until(deadline).await;
    }
    let mut streams = inner.streams.lock();
    if streams.get(&name).is_some_and(|c| Arc::ptr_eq(c, &cutting)) {
        streams.remove(&name);
    }
}

/// Takes what a reader gives, up to the stream's end: why it ended. `None`: no client asks any more.
async fn read(inner: &Inner, cutting: &Cutting, mut reader: Reader) -> Option<Ended> {
    let idle = inner.settings.idle;
    loop {
        let deadline = *cutting.asked.lock() + idle;
        tokio::select! {
            item = reader.next() => {
                let over = item.is_none();
                reader.count_sent(cutting.sent.swap(0, Ordering::Relaxed));
                let is_new = cutting.take(item, &reader);
                if cutting.segmenter.lock().wants_key() {
                    reader.request_key();
                }
                if is_new {
                    cutting.changed.send_replace(());
                }
                if over {
                    return Some(reader.ended().unwrap_or(Ended::Finished));
                }
            }
            () = tokio::time::sleep_until(deadline) => {
                if Instant::now() >= *cutting.asked.lock() + idle {
                    return None;
                }
            }
        }
    }
}

impl Cutting {
    fn touch(&self) {
        *self.asked.lock() = Instant::now();
    }

    /// Takes what the reader gave; says whether there is something new.
    fn take(&self, item: Option<Item>, reader: &Reader) -> bool {
        let newest = reader.newest();
        let mut segmenter = self.segmenter.lock();
        segmenter.expect(reader.expected());
        if segmenter.wants_clock() && matches!(item, Some(Item::Frame(_) | Item::Burst(_))) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
            segmenter.set_clock(now - newest);
        }
        match item {
            None => {
                segmenter.begin_end();
                true
            }
            Some(Item::Tracks(tracks)) => {
                segmenter.tracks(&tracks);
                true
            }
            Some(Item::Frame(frame)) => segmenter.push(&frame),
            Some(Item::Burst(burst)) => burst.frames.iter().filter(|frame| segmenter.push(frame)).count() > 0,
        }
    }

    /// Waits, bounded, until `look` finds something.
    async fn when<T>(&self, patience: Duration, look: impl Fn(&Segmenter) -> Option<T>) -> Option<T> {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(&self.segmenter.lock()) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, wait).await.ok().flatten()
    }
}
