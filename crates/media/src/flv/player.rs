//! One viewer: what it is promised, and how that is kept.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep};

use super::parting::{PAUSE, Parting, SELDOM};
use super::{Form, burst, frame, header, in_old_numbers, write_in};
use crate::black::{Patience, Placeholder};
use crate::ended::Ended;
use crate::filler::{Filler, Verdict};
use crate::frame::{Frame, Kind, Span};
use crate::hub::{Flowing, Item, Reader, Tracks};

/// One viewer: blocks of FLV, to be written as they come. Dropping it ends the viewing.
///
/// A body that is polled only when its connection can take more is skipped forward when it lags, as every reader is; a
/// connection that takes nothing at all is for its owner to time out.
///
/// The file header promises what flows ([`Reader::flowing`]). Browsers' players stop where a track of it ends, so what stays
/// away is filled in: silence, or the last keyframe once more. None of them takes a track that comes later: sound that comes
/// first waits for pictures as long as they may be about to come ([`Reader::expected`]), and where they may come at any time
/// there is a black one until they do.
pub struct Player {
    reader: Reader,
    /// What the file header promised, and what came since with a configuration of its own; `None` before the header.
    promised: Option<Flowing>,
    /// What its time counts from: where it began.
    span: Option<Span>,
    filler: Filler,
    /// Shown in the place of pictures that have not come.
    placeholder: Option<Placeholder>,
    form: Form,
    /// It fails where a track comes that it was not promised.
    strict: bool,
    /// What it is shown before pictures change, where it needs that.
    parting: Option<Parting>,
    /// Configurations that go before the next block, which tells their time.
    tracks: Option<Tracks>,
    /// Sound that came while it was not known whether there are pictures.
    held: Vec<Arc<Frame>>,
    patience: Patience,
    /// Blocks that wait for the one before them.
    next: VecDeque<Block>,
    /// How long the next one waits.
    pause: Option<Pin<Box<Sleep>>>,
    /// When one waited last.
    paused: Option<Instant>,
    filled: Vec<Arc<Frame>>,
}

/// What is written at a time.
enum Block {
    Tags(Bytes),
    /// Nothing for a while: what is before is read by itself.
    Pause,
}

impl Player {
    /// Plays what `reader` reads.
    pub fn new(reader: Reader) -> Self {
        Player {
            reader,
            promised: None,
            span: None,
            filler: Filler::new(None, false),
            placeholder: None,
            form: Form::default(),
            strict: false,
            parting: None,
            tracks: None,
            held: Vec::new(),
            patience: Patience::default(),
            next: VecDeque::new(),
            pause: None,
            paused: None,
            filled: Vec::new(),
        }
    }

    /// The same in a form that the player asked for: then nothing is shared with other viewers.
    pub fn in_form(self, form: Form) -> Self {
        Player { form, ..self }
    }

    /// The same as players in browsers take it: without tracks that come after all, where they fail and had better play on; and
    /// with what they need before pictures change.
    pub fn strictly(self, strict: bool) -> Self {
        Player { strict, parting: strict.then(Parting::default), ..self }
    }

    /// The next block: first the file header and configurations; then a frame or a burst each time, as the reader's pace
    /// is. `None` when the stream has ended. Shaped for `http_body::Body::poll_frame`: what viewers share is not copied.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.next.pop_front() {
                Some(Block::Tags(tags)) if tags.is_empty() => continue,
                Some(Block::Tags(tags)) => {
                    self.reader.count_sent(tags.len() as u64);
                    return Poll::Ready(Some(tags));
                }
                Some(Block::Pause) => {
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                    continue;
                }
                None => {}
            }
            match std::task::ready!(self.reader.poll_next(cx)) {
                None if self.held.is_empty() => return Poll::Ready(None),
                None => self.release(),
                Some(Item::Tracks(tracks)) => self.tracks = Some(tracks),
                Some(Item::Frame(f)) => self.take(std::slice::from_ref(&f), |frames, span| frame(&frames[0], span)),
                Some(Item::Burst(b)) => self.take(&b.frames, |_, span| burst(&b, span)),
            }
        }
    }

    /// As [`Player::poll_next`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Why the stream ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        self.reader.ended()
    }

    /// Queues frames; `shared` makes the bytes of all of them, where nothing is missing.
    fn take(&mut self, frames: &[Arc<Frame>], shared: impl FnOnce(&[Arc<Frame>], Span) -> Bytes) {
        if let Some(promised) = self.promised.filter(|promised| self.strict && !(promised.video && promised.audio)) {
            let is_promised = |f: &&Arc<Frame>| match f.kind {
                Kind::Video | Kind::VideoConfig => promised.video,
                Kind::Audio | Kind::AudioConfig => promised.audio,
                Kind::Data => true,
            };
            let kept: Vec<_> = frames.iter().filter(is_promised).cloned().collect();
            if kept.len() < frames.len() {
                let form = self.form;
                return self.queue(&kept, |frames, span| each(form, frames, span));
            }
        }
        let is_seen = frames.iter().any(|f| f.kind == Kind::Video);
        if self.promised.is_none() && !is_seen && self.placeholder.is_none() {
            let is_heard = !self.held.is_empty() || frames.iter().any(|f| f.kind == Kind::Audio);
            let is_announced = frames.iter().any(|f| f.kind.is_config());
            let expected = self.reader.expected();
            let flowing = self.reader.flowing();
            let waits = self.patience.lasts(is_heard);
            if (is_heard && waits && expected.is_about_to_be(flowing)) || (!is_heard && is_announced) {
                self.held.extend(frames.iter().filter(|f| f.kind == Kind::Audio).cloned());
                // The configurations that were among them.
                self.tracks = Some(self.reader.tracks());
                return;
            }
            if is_heard {
                let strict = self.strict;
                let placeholder = Placeholder::instead(expected, flowing, &self.reader.tracks());
                self.placeholder = placeholder.and_then(|one| if strict { one.for_browsers() } else { Some(one) });
            }
        }
        // Players begin where all tracks do: older sound is of no use beside pictures.
        if is_seen {
            self.held.clear();
        }
        self.release();
        self.queue(frames, shared);
    }

    /// Queues sound that was held back.
    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        let form = self.form;
        self.queue(&held, |frames, span| each(form, frames, span));
    }

    fn queue(&mut self, frames: &[Arc<Frame>], shared: impl FnOnce(&[Arc<Frame>], Span) -> Bytes) {
        let Some(first) = frames.first() else { return };
        let span = *self.span.get_or_insert(first.span().of_flv());
        self.introduce(frames, span);
        let form = self.form;
        if let Some(shown) = Placeholder::show(&mut self.placeholder, frames, &self.reader) {
            self.fill(&shown, span, |frames, span| each(form, frames, span));
        } else if form == Form::Enhanced {
            self.fill(frames, span, shared);
        } else {
            self.fill(frames, span, |frames, span| each(form, frames, span));
        }
    }

    /// Queues frames, and what is missing between them.
    fn fill(&mut self, frames: &[Arc<Frame>], span: Span, shared: impl FnOnce(&[Arc<Frame>], Span) -> Bytes) {
        let form = self.form;
        let mut own: Option<BytesMut> = None;
        for (n, f) in frames.iter().enumerate() {
            if f.kind == Kind::AudioConfig && !f.is_further() {
                self.filler.promise(Some(f), false);
            }
            let verdict = self.filler.pass(f, &mut self.filled);
            let parting = self.part(f, &frames[n..]);
            if let Some(parting) = &mut self.parting {
                self.filled.iter().chain((verdict == Verdict::Pass).then_some(f)).for_each(|f| parting.pass(f));
            }
            if own.is_none() && self.filled.is_empty() && parting.is_none() && verdict == Verdict::Pass {
                continue;
            }
            let out = own.get_or_insert_with(|| {
                let mut out = BytesMut::new();
                frames[..n].iter().for_each(|f| write_in(form, &mut out, f, f.dts_since(span)));
                out
            });
            self.filled.drain(..).for_each(|f| write_in(form, out, &f, f.dts_since(span)));
            if let Some(parting) = parting {
                self.part_from(out, &parting, span);
            }
            match verdict {
                Verdict::Pass => write_in(form, out, f, f.dts_since(span)),
                // Only a keyframe goes on from a still picture.
                Verdict::Drop if f.kind == Kind::Video => self.reader.request_key(),
                Verdict::Drop => {}
            }
        }
        match own {
            None if frames.is_empty() => {}
            None => self.next.push_back(Block::Tags(shared(frames, span))),
            Some(out) => self.next.push_back(Block::Tags(out.freeze())),
        }
    }

    /// Queues what was written so far and what is shown before another configuration, to be read by themselves.
    fn part_from(&mut self, out: &mut BytesMut, parting: &[Frame], span: Span) {
        parting.iter().for_each(|f| write_in(self.form, out, f, f.dts_since(span)));
        self.next.push_back(Block::Tags(out.split().freeze()));
        if self.paused.is_none_or(|at| at.elapsed() >= SELDOM) {
            self.paused = Some(Instant::now());
            self.next.push_back(Block::Pause);
        }
    }

    /// What goes before this frame where it is another configuration of pictures; `frames`: those from there on.
    fn part(&mut self, config: &Arc<Frame>, frames: &[Arc<Frame>]) -> Option<Vec<Frame>> {
        let parting = self.parting.as_mut().filter(|_| config.kind == Kind::VideoConfig)?;
        let next = frames.iter().find(|f| f.kind == Kind::Video);
        parting.before(config, next.map(|f| f.dts), self.form)
    }

    /// Queues what goes before frames: the file header, once; the configurations of changed tracks, and of a track that was
    /// not promised and has frames now.
    fn introduce(&mut self, frames: &[Arc<Frame>], span: Span) {
        let has = |kind| frames.iter().any(|f| f.kind == kind && !f.is_further());
        let come = Flowing { video: has(Kind::Video), audio: has(Kind::Audio) };
        let missed = match self.promised {
            None => true,
            Some(promised) => (come.video && !promised.video) || (come.audio && !promised.audio),
        };
        let tracks = self.tracks.take();
        if tracks.is_none() && !missed {
            return;
        }
        let tracks = tracks.unwrap_or_else(|| self.reader.tracks());
        let mut out = BytesMut::with_capacity(1024);
        let flowing = self.reader.flowing();
        let (tracks, flowing) = Placeholder::introduce(&mut self.placeholder, tracks, flowing);
        let before = self.promised.unwrap_or(flowing);
        let promised = Flowing { video: before.video | come.video, audio: before.audio | come.audio };
        if self.promised.replace(promised).is_none() {
            // What came meanwhile counts too: players take the flags for a promise.
            out.put_slice(&header(promised.audio, promised.video));
        }
        let metadata = tracks.metadata.as_ref().and_then(|metadata| super::describe(metadata, promised));
        let metadata = metadata.map(|m| if self.form == Form::OldHevc { in_old_numbers(&m) } else { m });
        let video = tracks.video.filter(|_| promised.video);
        let audio = tracks.audio.filter(|_| promised.audio);
        self.filler.promise(audio.as_deref(), promised.video);
        if let Some(parting) = video.as_ref().and_then(|config| self.part(config, frames)) {
            self.part_from(&mut out, &parting, span);
        }
        let timestamp = frames.first().map_or(0, |f| f.dts_since(span));
        for f in [&metadata, &video, &audio].into_iter().flatten().chain(&tracks.further) {
            write_in(self.form, &mut out, f, timestamp);
        }
        self.next.push_back(Block::Tags(out.freeze()));
    }
}

/// Each frame's tag, made for one viewer.
fn each(form: Form, frames: &[Arc<Frame>], span: Span) -> Bytes {
    let mut out = BytesMut::new();
    frames.iter().for_each(|f| write_in(form, &mut out, f, f.dts_since(span)));
    out.freeze()
}
