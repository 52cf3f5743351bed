//! The same stream with its audio in another codec, made while it is read: `name#aac`, `name#opus`. Owns the tasks
//! that make them; the codecs are `audio`'s.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audio::{Law, Output, Source, Target, Transcoder, Unfit};
use crate::ended::Ended;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Expected, Fit, Form, Hub, Item, Origin, Pace, Publisher, Reader, Start, View, Want};
use crate::name::{Protocol, StreamName};

/// How long a new stream may take to tell whether it has audio before a reader is let in without.
const AUDIO_SHOWS: Duration = Duration::from_millis(1_500);
/// How long it is made without a reader.
const IDLE: Duration = Duration::from_secs(5);
/// Most frames handled at once.
const BATCH: usize = 64;
/// Sound of a group of pictures that is older than this is not made into Opus, in microseconds: viewers by WebRTC are sent the pictures
/// at once and hear from now on, and a minute of it would hold all of that up.
const OLD: i64 = 1_000_000;
/// Units of sound in a row that cannot be decoded before the log says so.
const FAILING: u32 = 25;

/// Opens streams in the form that a reader can take; cheap to clone.
#[derive(Clone)]
pub struct Renditions {
    hub: Hub,
}

impl Renditions {
    /// Renditions of the hub's streams, published in the same hub under derived names.
    pub fn new(hub: Hub) -> Self {
        Renditions { hub }
    }

    /// Reads `name` for a reader that `takes` these audio codecs: the stream itself if its audio is one of them (or it
    /// has none), else its rendition in the first of them that can be made, which is without sound if that cannot be decoded.
    /// Waits up to `wait` for the publisher, as [`Hub::wait`]. Cancel safe.
    ///
    /// Should the stream's audio change to a codec that the reader does not take, as when another publisher goes on with it,
    /// the reader goes over to the rendition by itself, at the next key frame.
    pub async fn open(
        &self,
        name: &StreamName,
        want: Want,
        takes: &'static [Codec],
        wait: Option<Duration>,
    ) -> Result<Reader, Ended> {
        let reader = self.hub.wait(name, want, wait).await?;
        let Some(has) = self.audio_of(name).await else { return Ok(self.fit(reader, takes)) };
        if takes.contains(&has) {
            return Ok(self.fit(reader, takes));
        }
        let target = takes.iter().find_map(|codec| target(*codec));
        let Some(target) = target else { return Ok(self.fit(reader, takes)) };
        reader.withdraw();
        let derived = name.derived(tag(target));
        for _ in 0..50 {
            self.ensure(name, &derived, target)?;
            match self.hub.subscribe(&derived, want) {
                Err(Ended::NotFound) => {}
                found => {
                    let reader = found?;
                    // Players of FLV and HLS take no sound that comes after they were told what there is.
                    if source(has).is_some() && want.protocol != Protocol::Whep {
                        self.audio_of(&derived).await;
                    }
                    return Ok(self.fit(reader, takes));
                }
            }
            // The one before was just ending: its place is free in a moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Ended::NotFound)
    }

    /// Reads a stream that exists, as a part of this server that takes these audio codecs; otherwise as [`Renditions::open`].
    pub(crate) fn read(&self, name: &StreamName, view: View, takes: &'static [Codec]) -> Result<Reader, Ended> {
        self.join(name, Want::internal(Pace::Realtime, Start::Group).with_view(view), takes)
    }

    /// The same with what is wanted; who begins while there is no rendition yet gets the stream itself until there is.
    pub(crate) fn join(&self, name: &StreamName, want: Want, takes: &'static [Codec]) -> Result<Reader, Ended> {
        Ok(self.fit(self.hub.subscribe(name, want)?, takes))
    }

    /// Reads a stream to record it, from its publisher's first moment on: as it is if its audio is one of these codecs, else
    /// in its rendition as soon as there is one.
    pub(crate) async fn record(&self, name: &StreamName, want: Want, takes: &'static [Codec]) -> Result<Reader, Ended> {
        Ok(self.fit(self.hub.wait(name, want, None).await?, takes))
    }

    /// Has a reader go over to what it takes.
    fn fit(&self, reader: Reader, takes: &'static [Codec]) -> Reader {
        reader.with_form(Box::new(Takes { renditions: self.clone(), takes }))
    }

    /// Whether a stream of this name is published to this process, not pulled from another node.
    pub(crate) fn is_published(&self, name: &StreamName) -> bool {
        self.hub.info(name).is_some_and(|info| info.protocol != Protocol::Relay)
    }

    /// The stream's audio codec, waiting a little while the stream is too young to tell.
    async fn audio_of(&self, name: &StreamName) -> Option<Codec> {
        let deadline = Instant::now() + AUDIO_SHOWS;
        loop {
            let info = self.hub.info(name)?;
            match info.audio {
                Some(audio) => return Some(audio.codec),
                None if info.age >= AUDIO_SHOWS || Instant::now() >= deadline => return None,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Starts making `derived` unless that is done already.
    fn ensure(&self, name: &StreamName, derived: &StreamName, target: Target) -> Result<(), Ended> {
        if !self.hub.making().lock().insert(derived.clone()) {
            return Ok(());
        }
        let running = Running { hub: self.hub.clone(), name: derived.clone() };
        let info = self.hub.info(name).ok_or(Ended::NotFound)?;
        let want = Want::internal(Pace::Realtime, Start::Fresh).with_further(true);
        let reader = self.hub.subscribe(name, want)?;
        let origin = Origin { protocol: info.protocol, peer: info.peer };
        let publisher = self.hub.publish_beside(derived, origin)?;
        if self.hub.answers_wishes(name) {
            publisher.answers_wishes();
        }
        let nothing = self.hub.expected(name) == Some(Expected::Nothing);
        if let Some(has) = self.hub.says_pictures(name).or(nothing.then_some(false)) {
            publisher.says_pictures(has);
        }
        let hub = self.hub.clone();
        let derived = derived.clone();
        tokio::spawn(async move {
            tracing::info!(stream = %derived, "transcoding starts");
            let mut maker = Maker::new(target);
            let ended = maker.run(&hub, &derived, reader, &publisher).await;
            tracing::info!(stream = %derived, reason = %ended, "transcoding ends");
            // In this order: a reader that comes now finds either the stream or a free place to start it anew.
            publisher.finish(ended);
            drop(running);
        });
        Ok(())
    }
}

/// A reader of a stream that takes these audio codecs.
struct Takes {
    renditions: Renditions,
    takes: &'static [Codec],
}

impl Form for Takes {
    fn takes(&self, audio: Codec) -> bool {
        self.takes.contains(&audio)
    }

    fn of(&self, name: &StreamName, audio: Codec) -> Fit {
        if self.takes.contains(&audio) {
            return Fit::AsItIs;
        }
        let Some(target) = self.takes.iter().find_map(|codec| target(*codec)) else { return Fit::AsItIs };
        let derived = name.derived(tag(target));
        if self.renditions.ensure(name, &derived, target).is_err() {
            return Fit::NotYet;
        }
        let want = Want::internal(Pace::Realtime, Start::Next);
        self.renditions.hub.subscribe(&derived, want).map_or(Fit::NotYet, |reader| Fit::Instead(Box::new(reader)))
    }
}

struct Running {
    hub: Hub,
    name: StreamName,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hub.making().lock().remove(&self.name);
    }
}

struct Maker {
    target: Target,
    source: Option<Source>,
    transcoder: Option<Transcoder>,
    /// What it was given so far is too old to be heard.
    behind: bool,
    /// What was told to be left out.
    left_out: Vec<Codec>,
    /// The log says that its sound fails to decode.
    told: bool,
    /// What the publisher said of pictures.
    pictures: Option<bool>,
}

impl Maker {
    fn new(target: Target) -> Self {
        let behind = target == Target::Opus;
        Maker { target, source: None, transcoder: None, behind, left_out: Vec::new(), told: false, pictures: None }
    }

    async fn run(&mut self, hub: &Hub, derived: &StreamName, mut reader: Reader, publisher: &Publisher) -> Ended {
        let mut idle_since: Option<Instant> = None;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                item = reader.next() => {
                    let Some(item) = item else { return reader.ended().unwrap_or(Ended::Finished) };
                    if let Some(has) = reader.says_pictures()
                        && self.pictures.replace(has) != Some(has)
                    {
                        publisher.says_pictures(has);
                    }
                    let mut frames = Vec::new();
                    flatten(item, &mut frames);
                    while frames.len() < BATCH && let Some(item) = reader.try_next() {
                        flatten(item, &mut frames);
                    }
                    self.leave_old(&mut frames, reader.newest());
                    if let Err(ended) = self.pass(frames, publisher).await {
                        return ended;
                    }
                }
                () = publisher.key_wanted() => reader.request_key(),
                ended = publisher.ended() => return ended,
                _ = check.tick() => {
                    let read = hub.info(derived).is_some_and(|info| info.readers.iter().any(|(_, n)| *n > 0));
                    match idle_since {
                        _ if read => idle_since = None,
                        None => idle_since = Some(Instant::now()),
                        Some(since) if since.elapsed() >= IDLE => return Ended::Finished,
                        Some(_) => {}
                    }
                }
            }
        }
    }

    /// Leaves out what nobody will hear, up to the first sound of now.
    fn leave_old(&mut self, frames: &mut Vec<Arc<Frame>>, now: i64) {
        frames.retain(|frame| {
            let is_sound = frame.kind == Kind::Audio && !frame.is_further();
            self.behind &= !is_sound || frame.dts < now - OLD;
            !(is_sound && self.behind)
        });
    }

    /// Publishes frames, audio transcoded. Audio is worked on away from the runtime's own threads, one batch at a time,
    /// so that at most one batch is in flight. One picture goes ahead of the work; where more wait, as on a busy machine, they keep
    /// their places beside the sound: a player that is shown a long run of pictures first takes the sound for missing.
    async fn pass(&mut self, frames: Vec<Arc<Frame>>, publisher: &Publisher) -> Result<(), Ended> {
        let mut audio = Vec::new();
        let mut others = Vec::new();
        for frame in frames {
            match frame.kind {
                Kind::Audio | Kind::AudioConfig if !frame.is_further() => audio.push(frame),
                _ => others.push(frame.at(frame.dts)),
            }
        }
        let ahead = others.iter().filter(|frame| frame.kind == Kind::Video).count() <= 1;
        if ahead {
            publish(others.drain(..), publisher)?;
        }
        let sound = self.sound(audio, publisher).await?;
        publish(in_order(others, sound).into_iter(), publisher)
    }

    /// What becomes of these frames of sound.
    async fn sound(&mut self, frames: Vec<Arc<Frame>>, publisher: &Publisher) -> Result<Vec<Frame>, Ended> {
        let mut sound = Vec::new();
        let mut work = Vec::new();
        for frame in frames {
            let source = source(frame.codec);
            if source.is_none() || target(frame.codec) == Some(self.target) {
                // Another publisher took over whose audio needs nothing done, or nothing can be done with.
                if source.is_some() {
                    sound.push(frame.at(frame.dts));
                } else if !self.left_out.contains(&frame.codec) {
                    self.left_out.push(frame.codec);
                    tracing::warn!(stream = %publisher.name(), sound = frame.codec.as_str(), "the sound is left out: it cannot be decoded");
                }
                continue;
            }
            if self.source != source {
                self.source = source;
                self.transcoder = source.map(|s| Transcoder::new(s, self.target));
            }
            work.push(frame);
        }
        if work.is_empty() {
            return Ok(sound);
        }
        let Some(transcoder) = self.transcoder.take() else { return Ok(sound) };
        let done = tokio::task::spawn_blocking(move || transcode(transcoder, &work)).await;
        let Ok((transcoder, made, failed)) = done else {
            return Err(Ended::Protocol("the audio codec failed".into()));
        };
        if let Some(error) = failed.filter(|_| transcoder.failing() >= FAILING && !self.told) {
            self.told = true;
            tracing::warn!(stream = %publisher.name(), %error, "the sound is left out: it cannot be decoded");
        }
        self.transcoder = Some(transcoder);
        let codec = match self.target {
            Target::Aac => Codec::Aac,
            Target::Opus => Codec::Opus,
        };
        sound.extend(made.into_iter().map(|output| match output {
            Output::Config(bytes) => Frame::config(codec, 0, bytes),
            Output::Unit(at, bytes) => Frame::audio(codec, at, bytes),
        }));
        Ok(sound)
    }
}

/// The transcoder, what came out of it, and why the last one of these frames did not that could not be decoded.
fn transcode(mut transcoder: Transcoder, frames: &[Arc<Frame>]) -> (Transcoder, Vec<Output>, Option<Unfit>) {
    let mut out = Vec::new();
    let mut failed = None;
    for frame in frames {
        let result = match frame.kind {
            Kind::AudioConfig => transcoder.configure(&frame.payload),
            _ => transcoder.push(frame.dts, &frame.payload, &mut out),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "audio not transcoded");
            failed = Some(error);
        }
    }
    (transcoder, out, failed)
}

fn publish(mut frames: impl Iterator<Item = Frame>, publisher: &Publisher) -> Result<(), Ended> {
    frames.try_for_each(|frame| publisher.push(frame))
}

/// Sound among other frames, each in its own order; sound before what is not earlier.
fn in_order(others: Vec<Frame>, sound: Vec<Frame>) -> Vec<Frame> {
    let mut out = Vec::with_capacity(others.len() + sound.len());
    let mut sound = sound.into_iter().peekable();
    for frame in others {
        while let Some(before) = sound.next_if(|s| s.dts <= frame.dts || s.kind == Kind::AudioConfig) {
            out.push(before);
        }
        out.push(frame);
    }
    out.extend(sound);
    out
}

fn flatten(item: Item, frames: &mut Vec<Arc<Frame>>) {
    match item {
        Item::Tracks(tracks) => {
            frames.extend([tracks.video, tracks.audio, tracks.metadata].into_iter().flatten());
            frames.extend(tracks.further);
        }
        Item::Frame(frame) => frames.push(frame),
        Item::Burst(burst) => frames.extend(burst.frames.iter().cloned()),
    }
}

fn source(codec: Codec) -> Option<Source> {
    match codec {
        Codec::Aac => Some(Source::Aac),
        Codec::Opus => Some(Source::Opus),
        Codec::Pcma => Some(Source::G711(Law::A)),
        Codec::Pcmu => Some(Source::G711(Law::Mu)),
        Codec::Mp3 => Some(Source::Mp3),
        _ => None,
    }
}

fn target(codec: Codec) -> Option<Target> {
    match codec {
        Codec::Aac => Some(Target::Aac),
        Codec::Opus => Some(Target::Opus),
        _ => None,
    }
}

fn tag(target: Target) -> &'static str {
    match target {
        Target::Aac => "aac",
        Target::Opus => "opus",
    }
}

#[cfg(test)]
mod tests;
