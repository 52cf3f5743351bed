//! The server's side of an RTMP connection as a machine: bytes and the time in, bytes and events out. Knows no socket, no
//! hub, and nobody's permission: it asks by event and is told.

mod commands;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::amf0;
use super::chunk::{self, Message, Reader};
use super::handshake;
use super::message::{self, STREAM};
use crate::ended::Ended;
use crate::flv::body::{self, NoFrame};
use crate::flv::demux;
use crate::frame::{Frame, Kind};

pub use super::ask::Ask;

/// The acknowledgement window we announce, in bytes.
const WINDOW: u32 = 5_000_000;
/// We acknowledge at least this often, whatever window the peer announces.
const LEAST_WINDOW: u32 = 64 << 10;

/// Most parts of a stream that are told to be left out.
const MOST_LEFT_OUT: usize = 16;
/// How long a publisher may send nothing but what is left out before it is told so, and refused.
const NOTHING_CARRIED: Duration = Duration::from_secs(5);
/// Data messages that carry another track of sound (OBS before Enhanced RTMP), and what announces it.
const OTHER_MEDIA: [&str; 2] = ["additionalMedia", "onExpectAdditionalMedia"];

/// How long a connection may take for what.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For the handshake.
    pub handshake: Duration,
    /// From there to `connect`.
    pub connect: Duration,
    /// From there, and after each publishing or playing, to the next `publish` or `play`: an app may connect before its user
    /// begins.
    pub command: Duration,
    /// Between media messages of a publisher, before it is asked whether it is there: a screen that stands still gives no frames.
    pub idle_publisher: Duration,
    /// For its answer.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let s = Duration::from_secs;
        Timeouts { handshake: s(5), connect: s(10), command: s(60), idle_publisher: s(10), answer: s(5) }
    }
}

/// What the peer did.
#[derive(Debug)]
pub enum Event {
    /// It wants to publish: answer with [`Session::accept_publish`] or [`Session::reject`].
    Publish(Ask),
    /// It wants to play: answer with [`Session::accept_play`] or [`Session::reject`].
    Play(Ask),
    /// A frame of the stream it publishes.
    Frame(Frame),
    /// A part of what it publishes is left out, and why; once for each part.
    LeftOut(NoFrame),
    /// It publishes, and is there, though it sends no media.
    Alive,
    /// It ended, on purpose, what it published, played or asked for.
    Stopped,
    /// A player paused (true) or went on.
    Pause(bool),
    /// A player wants audio, or not.
    ReceiveAudio(bool),
    /// A player wants video, or not.
    ReceiveVideo(bool),
    /// A player, such as another node, cannot begin before a keyframe.
    KeyWanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// Before `connect`.
    Open,
    /// Connected; neither publishing nor playing.
    Idle,
    AskingPublish,
    AskingPlay,
    Publishing,
    Playing,
}

/// One connection.
pub struct Session {
    phase: Phase,
    handshake: Option<Box<handshake::Server>>,
    reader: Reader,
    out: BytesMut,
    app: String,
    tc_url: String,
    opus: bool,
    multitrack: bool,
    frames: VecDeque<Frame>,
    /// What is left out of what it publishes; the first `left_told` of them are told.
    left_out: Vec<NoFrame>,
    left_told: usize,
    /// Since when it publishes, while nothing came that is carried.
    bare_since: Option<Instant>,
    clock: Clock,
    timeouts: Timeouts,
    began: Instant,
    since: Instant,
    /// It publishes, was asked whether it is there, and has said nothing since.
    asked: bool,
    received: u32,
    acknowledged: u32,
    window: u32,
    reconnects: bool,
}

/// Timestamps of 32 bits unwrapped.
#[derive(Default)]
struct Clock {
    last: Option<i64>,
}

impl Clock {
    /// Microseconds of the wire's milliseconds.
    fn micros(&mut self, timestamp: u32) -> i64 {
        let ms = match self.last {
            None => i64::from(timestamp),
            Some(last) => last + i64::from(timestamp.wrapping_sub(last as u32) as i32),
        };
        self.last = Some(ms);
        ms * 1000
    }
}

impl Session {
    /// A connection that was just accepted.
    pub fn new(timeouts: Timeouts, now: Instant) -> Self {
        Session {
            phase: Phase::Handshake,
            handshake: Some(Box::default()),
            reader: Reader::new(chunk::MOST_BEFORE),
            out: BytesMut::new(),
            app: String::new(),
            tc_url: String::new(),
            opus: false,
            multitrack: false,
            frames: VecDeque::new(),
            left_out: Vec::new(),
            left_told: 0,
            bare_since: None,
            clock: Clock::default(),
            timeouts,
            began: now,
            since: now,
            asked: false,
            received: 0,
            acknowledged: 0,
            window: WINDOW,
            reconnects: false,
        }
    }

    /// Takes bytes off `input` up to the next event. `None`: all of it is used up. After [`Event::Publish`] or
    /// [`Event::Play`], answer before what is left of `input` is handed in.
    pub fn handle(&mut self, input: &mut &[u8], now: Instant) -> Result<Option<Event>, Ended> {
        let before = input.len();
        let result = self.step(input, now);
        let taken = before - input.len();
        self.received = self.received.wrapping_add(taken as u32);
        if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            message::number(&mut self.out, message::ACKNOWLEDGEMENT, self.received);
        }
        result
    }

    fn step(&mut self, input: &mut &[u8], now: Instant) -> Result<Option<Event>, Ended> {
        if let Some(handshake) = &mut self.handshake {
            if !handshake.handle(input, &mut self.out)? {
                return Ok(None);
            }
            self.handshake = None;
            self.enter(Phase::Open, now);
        }
        if self.asked && !input.is_empty() {
            self.heard(now);
            return Ok(Some(Event::Alive));
        }
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(Event::Frame(frame)));
            }
            if let Some(why) = self.left_out.get(self.left_told) {
                self.left_told += 1;
                return Ok(Some(Event::LeftOut(*why)));
            }
            let Some(message) = self.reader.read(input)? else {
                return Ok(None);
            };
            if let Some(event) = self.message(message, now)? {
                return Ok(Some(event));
            }
        }
    }

    /// Bytes for the peer, gathered since they were last taken. Always whole messages.
    pub fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.out).freeze()
    }

    /// When the peer must have done what it is waited for; see [`Session::overdue`].
    pub fn deadline(&self) -> Option<Instant> {
        let allowed = match self.phase {
            Phase::Handshake => self.timeouts.handshake,
            Phase::Open => self.timeouts.connect,
            Phase::Idle => self.timeouts.command,
            Phase::Publishing if self.asked => self.timeouts.answer,
            Phase::Publishing => self.timeouts.idle_publisher,
            Phase::AskingPublish | Phase::AskingPlay | Phase::Playing => return None,
        };
        Some(self.since + allowed)
    }

    /// The deadline has passed. Errors: what the peer did not do in time. A publisher is asked first whether it is there.
    pub fn overdue(&mut self, now: Instant) -> Result<(), Ended> {
        let missed = match self.phase {
            Phase::Publishing if !self.asked => {
                let time = now.saturating_duration_since(self.began).as_millis();
                message::user_control(&mut self.out, message::PING, time as u32);
                self.asked = true;
                self.since = now;
                return Ok(());
            }
            Phase::Handshake => "the handshake",
            Phase::Open => "connect",
            Phase::Publishing => "media",
            _ => "publish or play",
        };
        Err(Ended::Timeout(missed))
    }

    /// Says that publishing has started. `false` if the peer has given up meanwhile.
    pub fn accept_publish(&mut self, now: Instant) -> bool {
        if self.phase != Phase::AskingPublish {
            return false;
        }
        self.enter(Phase::Publishing, now);
        self.reader.set_most(chunk::MOST);
        self.clock = Clock::default();
        self.left_out.clear();
        self.left_told = 0;
        self.bare_since = Some(now);
        message::user_control(&mut self.out, message::STREAM_BEGIN, STREAM);
        message::status(&mut self.out, "status", "NetStream.Publish.Start", "publishing");
        true
    }

    /// Says that playing has started; whole media messages may follow. `false` if the peer has given up meanwhile.
    pub fn accept_play(&mut self, now: Instant) -> bool {
        if self.phase != Phase::AskingPlay {
            return false;
        }
        self.enter(Phase::Playing, now);
        message::user_control(&mut self.out, message::STREAM_BEGIN, STREAM);
        message::status(&mut self.out, "status", "NetStream.Play.Reset", "playing from the start");
        message::status(&mut self.out, "status", "NetStream.Play.Start", "playing");
        message::sample_access(&mut self.out);
        true
    }

    /// Says no to what the peer asked for, and why.
    pub fn reject(&mut self, why: &Ended, now: Instant) {
        let code = match (self.phase, why) {
            (Phase::AskingPublish, Ended::Busy) => "NetStream.Publish.BadName",
            (Phase::AskingPublish, _) => "NetStream.Publish.Denied",
            (Phase::AskingPlay, Ended::NotFound) => "NetStream.Play.StreamNotFound",
            (Phase::AskingPlay, _) => "NetStream.Play.Failed",
            _ => return,
        };
        message::status(&mut self.out, "error", code, &why.to_string());
        self.enter(Phase::Idle, now);
    }

    /// Whether the peer said that it understands [`Session::ask_to_reconnect`].
    pub fn reconnects(&self) -> bool {
        self.reconnects
    }

    /// Asks the peer to connect again, elsewhere if there is an elsewhere, when it suits it; media goes on until then.
    /// A peer that did not say that it understands is asked nothing.
    pub fn ask_to_reconnect(&mut self) {
        if self.reconnects {
            message::connection_status(
                &mut self.out,
                "status",
                "NetConnection.Connect.ReconnectRequest",
                "the server stops",
            );
        }
    }

    /// Says that the server ends; the connection will be closed. Not to players, whose bytes may stand half written.
    pub fn stopping(&mut self) {
        if self.phase == Phase::Publishing {
            message::connection_status(&mut self.out, "error", "NetConnection.Connect.AppShutdown", "the server stops");
        }
    }

    /// Says why what the peer publishes ends here; the connection will be closed.
    pub fn publish_failed(&mut self, why: &Ended) {
        let code = match why {
            Ended::Closed | Ended::Finished | Ended::Io(_) => return,
            Ended::Kicked(_) | Ended::Refused(_) => "NetStream.Publish.Denied",
            Ended::TakenOver | Ended::Busy => "NetStream.Publish.BadName",
            _ => "NetStream.Publish.Failed",
        };
        if self.phase == Phase::Publishing {
            message::status(&mut self.out, "error", code, &why.to_string());
        }
    }

    /// Says that the stream played has ended.
    pub fn play_ended(&mut self, now: Instant) {
        if self.phase == Phase::Playing {
            message::status(&mut self.out, "status", "NetStream.Play.UnpublishNotify", "the stream ended");
            message::user_control(&mut self.out, message::STREAM_EOF, STREAM);
            self.enter(Phase::Idle, now);
        }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.heard(now);
    }

    /// Begins to wait anew for what comes next.
    fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = false;
    }

    fn message(&mut self, message: Message, now: Instant) -> Result<Option<Event>, Ended> {
        let Message { kind, timestamp, payload, .. } = message;
        let number = || payload.first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
        match kind {
            message::SET_CHUNK_SIZE => self.reader.set_chunk_size(number().unwrap_or(0))?,
            message::ABORT => self.reader.abort(number().unwrap_or(0)),
            message::WINDOW_SIZE => self.window = number().unwrap_or(WINDOW).clamp(LEAST_WINDOW, WINDOW),
            message::USER_CONTROL => {
                if let Some(&[0, event, a, b, c, d]) = payload.first_chunk::<6>()
                    && u16::from(event) == message::PING
                {
                    message::user_control(&mut self.out, message::PONG, u32::from_be_bytes([a, b, c, d]));
                }
            }
            message::COMMAND => return self.command(&payload, now),
            message::COMMAND_AMF3 => return self.command(payload.get(1..).unwrap_or_default(), now),
            _ if self.phase == Phase::Publishing => {
                self.media(kind, timestamp, payload, now);
                self.refuse_bare(now)?;
            }
            // Media that was not asked for, acknowledgements, bandwidth: nothing to do.
            _ => {}
        }
        Ok(None)
    }

    fn media(&mut self, kind: u8, timestamp: u32, payload: Bytes, now: Instant) {
        if kind == message::VIDEO
            && let Some(track) = body::other_pictures(&payload)
        {
            self.leave_out(NoFrame::Track(track));
        }
        if kind == message::AUDIO {
            let dts = self.clock.micros(timestamp);
            let others = body::other_sounds(dts, &payload);
            self.keep(body::audio(dts, payload), now);
            others.into_iter().for_each(|frame| self.keep(frame, now));
            return;
        }
        let frame = match kind {
            message::VIDEO => body::video(self.clock.micros(timestamp), payload),
            message::DATA => data(self.clock.last.unwrap_or(0) * 1000, payload),
            message::DATA_AMF3 => data(self.clock.last.unwrap_or(0) * 1000, payload.slice(payload.len().min(1)..)),
            message::AGGREGATE => return self.aggregate(timestamp, payload, now),
            _ => return,
        };
        self.keep(frame, now);
    }

    /// Keeps a frame. What is none that we carry, or is cut short, is left out, and never the stream with it.
    fn keep(&mut self, frame: Result<Frame, NoFrame>, now: Instant) {
        match frame {
            Ok(frame) => {
                if matches!(frame.kind, Kind::Video | Kind::Audio) {
                    self.bare_since = None;
                }
                self.frames.push_back(frame);
            }
            Err(NoFrame::Nothing) => return,
            Err(why) => self.leave_out(why),
        }
        self.heard(now);
    }

    /// Errors: nothing that it sends is carried, and it had time to send something else.
    fn refuse_bare(&self, now: Instant) -> Result<(), Ended> {
        let long = self.bare_since.is_some_and(|since| now.saturating_duration_since(since) >= NOTHING_CARRIED);
        match self.left_out.first() {
            Some(why) if long => Err(Ended::Protocol(why.to_string())),
            _ => Ok(()),
        }
    }

    fn leave_out(&mut self, why: NoFrame) {
        if self.left_out.len() < MOST_LEFT_OUT && !self.left_out.contains(&why) {
            self.left_out.push(why);
        }
    }

    /// FLV tags in one message; their times count from the first one's.
    fn aggregate(&mut self, timestamp: u32, mut payload: Bytes, now: Instant) {
        let mut first = None;
        while payload.len() >= 11 {
            let head = payload.split_to(11);
            let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
            if payload.len() < length {
                return self.leave_out(NoFrame::Short);
            }
            let time = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
            let first = *first.get_or_insert(time);
            let dts = self.clock.micros(timestamp.wrapping_add(time.wrapping_sub(first)));
            let body = payload.split_to(length);
            let others = demux::others(&head, &body);
            for frame in std::iter::once(demux::tag(&head, body)).chain(others) {
                self.keep(frame.map(|f| f.at(dts)), now);
            }
            payload = payload.slice(payload.len().min(4)..);
        }
    }
}

/// A data message without the `@setDataFrame` that encoders put before what they want kept.
fn data(dts: i64, payload: Bytes) -> Result<Frame, NoFrame> {
    let payload = match amf0::leading_str(&payload) {
        Some(("@setDataFrame", rest)) => payload.slice_ref(rest),
        Some(("@clearDataFrame", _)) | None => return Err(NoFrame::Nothing),
        Some(_) => payload,
    };
    if amf0::leading_str(&payload).is_some_and(|(name, _)| OTHER_MEDIA.contains(&name)) {
        return Err(NoFrame::Track(1));
    }
    if payload.is_empty() { Err(NoFrame::Nothing) } else { Ok(Frame::data(dts, payload)) }
}
