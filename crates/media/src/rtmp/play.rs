//! The socket of an RTMP player: bursts out, the few commands of a player in. One poll function and no futures made per
//! wake, because a server has thousands of these.

use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::amf0::Value;
use super::link::Link;
use super::message;
use super::mux;
use super::session::Event;
use crate::black::{Patience, Placeholder};
use crate::ended::Ended;
use crate::flv::{self, Form};
use crate::frame::{Frame, Kind, Span};
use crate::hub::{Item, Reader, Tracks};

/// Most pieces taken from the hub, and written with one call, at a time.
const PIECES: usize = 32;

/// How playing came to its end, the connection being fine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The stream ended.
    Stream,
    /// The player stopped it.
    Player,
}

pub(super) struct Playing<'a> {
    link: &'a mut Link,
    reader: Reader,
    queue: VecDeque<Bytes>,
    tracks: Option<Tracks>,
    /// Configuration of sound that this player was not promised.
    owed: Option<Arc<Frame>>,
    /// It is not known yet whether there are pictures to begin with.
    undecided: bool,
    patience: Patience,
    /// Shown in the place of pictures that have not come.
    placeholder: Option<Placeholder>,
    form: Form,
    /// What another node was told of the publisher's pictures.
    said: Option<bool>,
    /// What its time counts from: where it began. Nodes count from the stream's beginning, so that a mix fits its stream.
    span: Option<Span>,
    paused: bool,
    audio: bool,
    video: bool,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Until a player that understands it is asked to connect again; others need no waker for that.
    leaving: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<'a> Playing<'a> {
    pub fn new(
        link: &'a mut Link,
        reader: Reader,
        form: Form,
        write_timeout: Duration,
        leaving: CancellationToken,
    ) -> Self {
        let leaving = link.session.reconnects().then(|| Box::pin(leaving.cancelled_owned()));
        Playing {
            link,
            queue: VecDeque::new(),
            tracks: None,
            span: reader.is_relay().then(Span::default),
            undecided: !reader.is_relay(),
            reader,
            patience: Patience::default(),
            owed: None,
            placeholder: None,
            form,
            said: None,
            paused: false,
            audio: true,
            video: true,
            write_timeout,
            stalled: None,
            leaving,
        }
    }

    /// Plays until the stream or the player ends it. Errors end the connection.
    pub async fn run(mut self) -> Result<Over, Ended> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Over, Ended>> {
        if let Poll::Ready(over) = self.poll_commands(cx)? {
            return Poll::Ready(Ok(over));
        }
        loop {
            if self.poll_write(cx)?.is_pending() {
                return Poll::Pending;
            }
            match self.refill(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(self.over()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// What the end of the stream is to this player. Another node that pulls it must not take the end of this server for that of
    /// the stream: its connection is closed, and it looks where the publisher goes.
    fn over(&self) -> Result<Over, Ended> {
        match self.reader.ended() {
            Some(Ended::Shutdown) if self.reader.is_relay() => Err(Ended::Shutdown),
            _ => Ok(Over::Stream),
        }
    }

    /// Takes what the hub has, when nothing waits to be written. False: the stream has ended.
    fn refill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.paused {
            return Poll::Pending;
        }
        while self.queue.len() < PIECES {
            match self.reader.poll_next(cx) {
                Poll::Ready(Some(item)) => self.take(item),
                Poll::Ready(None) if self.queue.is_empty() => return Poll::Ready(false),
                Poll::Pending if self.queue.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(true)
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Tracks(tracks) => self.tracks = Some(tracks),
            Item::Frame(frame) => {
                let span = *self.span.get_or_insert(frame.span());
                let frames = std::slice::from_ref(&frame);
                if self.prepare(frames, span) {
                    self.show(frames, span);
                }
            }
            Item::Burst(burst) => {
                let span = *self.span.get_or_insert(burst.span());
                let is_shown = self.prepare(&burst.frames, span);
                let is_own = self.placeholder.is_some() || self.form != Form::Enhanced;
                if is_shown && self.audio && self.video && !is_own {
                    self.queue.push_back(mux::burst(&burst, span));
                } else if is_shown {
                    self.show(&burst.frames, span);
                }
            }
        }
    }

    /// Queues what goes before frames. False: the frames are not shown.
    fn prepare(&mut self, frames: &[Arc<Frame>], span: Span) -> bool {
        let timestamp = frames.first().map_or(0, |f| f.dts_since(span));
        if self.reader.is_relay() {
            self.say();
        } else if self.undecided && !self.decide(frames) {
            // The configurations that are among them.
            self.tracks = Some(self.reader.tracks());
            return false;
        }
        self.introduce(timestamp);
        self.pay(frames, span);
        true
    }

    /// Tells another node what the publisher said beforehand.
    fn say(&mut self) {
        if let Some(has) = self.reader.says_pictures()
            && self.said.replace(has) != Some(has)
        {
            let mut out = BytesMut::new();
            let said = [message::SAYS_PICTURES.into(), 0.0.into(), Value::Null, Value::Bool(has)];
            message::command(&mut out, message::STREAM, message::CHUNK, &said);
            self.queue.push_back(out.freeze());
        }
    }

    /// Finds out whether a player that is given sound first is to see black until pictures come: many take no track that comes
    /// after the others. False: that is not known yet, and pictures are about to come.
    fn decide(&mut self, frames: &[Arc<Frame>]) -> bool {
        let is_seen = frames.iter().any(|f| f.kind == Kind::Video);
        let is_heard = frames.iter().any(|f| f.kind == Kind::Audio);
        let expected = self.reader.expected();
        let flowing = self.reader.flowing();
        if self.patience.lasts(is_heard) && !is_seen && expected.is_about_to_be(flowing) {
            return !(is_heard || frames.iter().any(|f| f.kind.is_config()));
        }
        self.undecided = !(is_seen || is_heard);
        if is_seen || !is_heard {
            return true;
        }
        let tracks = self.reader.tracks();
        self.placeholder = Placeholder::instead(expected, flowing, &tracks);
        if self.placeholder.is_some() {
            self.tracks = Some(tracks);
        }
        true
    }

    fn show(&mut self, frames: &[Arc<Frame>], span: Span) {
        let shown = Placeholder::show(&mut self.placeholder, frames, &self.reader);
        shown.as_deref().unwrap_or(frames).iter().for_each(|frame| self.take_wanted(frame, span));
    }

    fn take_wanted(&mut self, frame: &Arc<Frame>, span: Span) {
        let wanted = match frame.kind {
            Kind::Video => self.video,
            Kind::Audio => self.audio,
            _ => true,
        };
        if !wanted {
            return;
        }
        if self.form == Form::Enhanced {
            self.queue.push_back(mux::frame(frame, span));
        } else {
            let mut out = BytesMut::new();
            mux::write_in(self.form, &mut out, frame, frame.dts_since(span));
            self.queue.push_back(out.freeze());
        }
    }

    fn introduce(&mut self, timestamp: u32) {
        if let Some(tracks) = self.tracks.take() {
            // A silent track is not promised; its configuration goes before its first frame.
            let flowing = self.reader.flowing();
            let (tracks, flowing) = Placeholder::introduce(&mut self.placeholder, tracks, flowing);
            let metadata = match &tracks.metadata {
                // A node is told what the publisher said, and nothing else.
                metadata if self.reader.is_relay() => metadata.clone(),
                Some(metadata) => flv::describe(metadata, flowing),
                None => flv::description(&tracks, flowing),
            };
            let metadata = metadata.map(|m| if self.form == Form::OldHevc { flv::in_old_numbers(&m) } else { m });
            let audio = tracks.audio.clone().filter(|_| flowing.audio);
            self.owed = if flowing.audio { None } else { tracks.audio.clone() };
            let bytes = mux::tracks(self.form, &Tracks { metadata, audio, ..tracks }, timestamp);
            if !bytes.is_empty() {
                self.queue.push_back(bytes);
            }
        }
    }

    /// Queues the configuration of sound that comes after all.
    fn pay(&mut self, frames: &[Arc<Frame>], span: Span) {
        let Some(config) = &self.owed else { return };
        if let Some(first) =
            frames.iter().find(|f| matches!(f.kind, Kind::Audio | Kind::AudioConfig) && !f.is_further())
        {
            let tracks = Tracks { audio: Some(Arc::clone(config)), ..Tracks::default() };
            self.queue.push_back(mux::tracks(self.form, &tracks, first.dts_since(span)));
            self.owed = None;
        }
    }

    /// Writes what waits. Pending: the socket takes no more now.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Ended> {
        while let Some(first) = self.queue.front() {
            let socket = Pin::new(&mut self.link.socket);
            // One piece is the rule, and a plain write is the cheaper call.
            let written = if self.queue.len() == 1 {
                socket.poll_write(cx, first)
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let count = self.queue.len().min(PIECES);
                for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                    *slice = IoSlice::new(bytes);
                }
                socket.poll_write_vectored(cx, &slices[..count])
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(Ok(written)) => {
                    self.stalled = None;
                    self.reader.count_sent(written as u64);
                    self.advance(written);
                }
                Poll::Ready(Err(e)) => return Err(e.into()),
                Poll::Pending => {
                    let until = Instant::now() + self.write_timeout;
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                    return match stalled.as_mut().poll(cx) {
                        Poll::Ready(()) => Err(Ended::TooSlow),
                        Poll::Pending => Ok(Poll::Pending),
                    };
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }

    /// Reads what the player says. Ready: it stopped playing.
    fn poll_commands(&mut self, cx: &mut Context<'_>) -> Result<Poll<Over>, Ended> {
        loop {
            while let Some(event) = self.link.buffered_event()? {
                match event {
                    Event::Stopped => return Ok(Poll::Ready(Over::Player)),
                    Event::Pause(paused) => self.paused = paused,
                    Event::ReceiveAudio(wanted) => self.audio = wanted,
                    Event::ReceiveVideo(wanted) => self.video = wanted,
                    Event::KeyWanted => self.reader.request_key(),
                    Event::Publish(_) | Event::Play(_) | Event::Frame(_) | Event::LeftOut(_) | Event::Alive => {}
                }
            }
            if self.leaving.as_mut().is_some_and(|leaving| leaving.as_mut().poll(cx).is_ready()) {
                self.leaving = None;
                self.link.session.ask_to_reconnect();
            }
            let answer = self.link.session.take_output();
            if !answer.is_empty() {
                // A player that asks and asks and does not read would pile up answers here.
                if self.queue.len() >= 2 * PIECES {
                    return Err(Ended::TooSlow);
                }
                self.queue.push_back(answer);
            }
            let mut buffer = ReadBuf::new(&mut self.link.buffer);
            match Pin::new(&mut self.link.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Err(Ended::Closed),
                Poll::Ready(Ok(())) => (self.link.start, self.link.end) = (0, buffer.filled().len()),
                Poll::Ready(Err(e)) => return Err(e.into()),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }
}
