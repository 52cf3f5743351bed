//! A WHEP viewer's end of a stream: numbers and stamps the payloads that all viewers share. Knows no hub and no sockets.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::bwe::Bitrate;
use str0m::media::{Mid, Pt};
use str0m::rtp::{RtpWrite, SeqNo, Ssrc, StreamTx};

use super::choice::Choice;
use super::feed::{Media, Shared};
use super::offer::{Accepted, Track, best_format};
use super::payload::Format;
use crate::frame::Codec;

/// Sender reports are made anew when the stream's clock and ours are further apart than this.
const WANDER: Duration = Duration::from_secs(1);
/// How far in the past of sender reports a frame lies that came when it was due. str0m sends a report of time 0 for one
/// that lies in the future, and a browser takes that for lips and sound being hours apart.
const MARGIN: Duration = Duration::from_millis(500);

/// How long packets may wait for a slow network; pictures beyond are left out up to the next key picture.
const MOST_PACED: Duration = Duration::from_millis(700);

/// Most bytes of a group of pictures that a viewer whose network is not known yet begins with.
const MOST_PACED_BACKLOG: usize = 100_000;

/// One outgoing track.
struct Out {
    track: Track,
    ssrc: Option<Ssrc>,
    next: u64,
}

/// The state of one viewer's tracks.
pub(super) struct Whep {
    video: Option<Out>,
    audio: Option<Out>,
    formats: Vec<(Pt, Format)>,
    /// What it is sent at the moment.
    format: Option<Format>,
    /// The stream has changed to a codec that was not agreed on.
    pub lacks: Option<Codec>,
    /// Delta pictures are of no use until a key picture comes.
    pub need_key: bool,
    /// Pictures and sound up to these stream times came with the backlog, in microseconds.
    sent: [i64; 2],
    /// The moment of stream time 0.
    epoch: Option<Instant>,
    /// What its network carries is estimated.
    pub adapts: bool,
    /// What its network carries.
    pub choice: Choice,
    /// The layer that it is sent, and the one that it is to be sent from that one's next key picture on. `None`: what the
    /// stream itself carries.
    showing: Option<usize>,
    /// See `showing`.
    pub target: Option<usize>,
    /// Time of the newest picture sent.
    newest: i64,
}

impl Whep {
    /// A viewer with the tracks that were agreed on. `seed` makes sequence numbers start anywhere below 32768.
    pub fn new(accepted: &Accepted, seed: u16) -> Self {
        let out = |track: Option<Track>| track.map(|track| Out { track, ssrc: None, next: u64::from(seed & 0x7fff) });
        Whep {
            video: out(accepted.video),
            audio: out(accepted.audio),
            formats: accepted.formats.clone(),
            format: None,
            lacks: None,
            need_key: true,
            sent: [i64::MIN; 2],
            epoch: None,
            adapts: accepted.adapts,
            choice: Choice::default(),
            showing: None,
            target: None,
            newest: i64::MIN,
        }
    }

    /// Begins with a layer of the stream.
    pub fn begin_with(&mut self, layer: usize) {
        (self.showing, self.target) = (Some(layer), Some(layer));
    }

    /// Sends what the current group of pictures holds so far, squeezed into the moments before now, so that the viewer
    /// has a picture at once and is not late for the rest.
    pub fn catch_up(&mut self, rtc: &mut Rtc, backlog: &[Shared], now: Instant) -> u64 {
        let picture = |s: &Shared| match &s.media {
            Media::Picture { picture, .. } => picture.bytes,
            Media::Sound(_) => 0,
        };
        // What is paced comes late if there is much of it: a key picture is there sooner.
        if self.adapts && backlog.iter().map(picture).sum::<usize>() > MOST_PACED_BACKLOG {
            return 0;
        }
        let latest = |video: bool| backlog.iter().filter(|s| s.is_picture() == video).map(|s| s.pts).max();
        self.sent = [true, false].map(|video| latest(video).unwrap_or(i64::MIN));
        let pictures: Vec<&Shared> = backlog.iter().filter(|s| s.is_picture()).collect();
        self.wall(self.sent[0], now);
        let mut bytes = 0;
        for (before, shared) in (0..pictures.len() as i64).rev().zip(&pictures) {
            // One millisecond each: a browser decodes them all and shows the last.
            let at = self.sent[0].saturating_sub(before.saturating_mul(1_000));
            bytes += self.send(rtc, shared, at, now);
        }
        bytes
    }

    /// Whether this is its track of pictures.
    pub fn is_video(&self, mid: Mid) -> bool {
        self.video.as_ref().is_some_and(|out| out.track.mid == mid)
    }

    /// Whether it is sent this layer, or is going to be.
    pub fn wants(&self, layer: Option<usize>) -> bool {
        self.showing == layer || self.target == layer
    }

    /// A layer is gone: who was sent it goes on with the stream, from its next key picture on.
    pub fn lose(&mut self, layer: usize) {
        if self.wants(Some(layer)) {
            self.need_key |= self.showing == Some(layer);
            (self.showing, self.target) = (None, None);
        }
    }

    /// Sends one frame of the stream, or of a layer of it. Returns its payload bytes; 0 when it was not for this viewer.
    pub fn take(&mut self, rtc: &mut Rtc, layer: Option<usize>, shared: &Shared, now: Instant) -> u64 {
        if let Media::Picture { key, .. } = shared.media {
            if key && layer == self.target {
                self.showing = layer;
            }
            if layer != self.showing {
                return 0;
            }
            // The first picture of another layer may be a little older than the last of the one before.
            let at = shared.pts.max(self.newest.saturating_add(1_000));
            return if shared.pts <= self.sent[0] { 0 } else { self.send(rtc, shared, at, now) };
        }
        if shared.pts <= self.sent[usize::from(!shared.is_picture())] {
            return 0;
        }
        self.send(rtc, shared, shared.pts, now)
    }

    /// Which of the layers (bits a second, growing) it is to be sent, now that it is sent `current`; tells the estimator what
    /// to look for.
    pub fn choose(&mut self, rtc: &mut Rtc, rates: &[u64], current: usize, now: Instant) -> usize {
        let ssrc = self.video.as_ref().and_then(|out| out.ssrc);
        let waits = ssrc.and_then(|ssrc| Some(waits(rtc.direct_api().stream_tx(&ssrc)?, now))).unwrap_or_default();
        let wanted = self.choice.of(rates, current, waits, now);
        // Nothing more goes into a queue that is too long.
        self.need_key |= wanted < current;
        if self.adapts {
            rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(Choice::goal(rates)));
            if let Some(estimate) = self.choice.anew(rates, wanted, now) {
                rtc.bwe().reset(Bitrate::bps(estimate));
            }
        }
        wanted
    }

    /// The moment of stream time `at` in sender reports. Both tracks are stamped by the stream's clock, so reports tie them
    /// together exactly.
    fn wall(&mut self, at: i64, now: Instant) -> Instant {
        let at = Duration::from_micros(at.max(0).unsigned_abs());
        let known = self.epoch.and_then(|epoch| epoch.checked_add(at));
        let wall = known.filter(|wall| *wall <= now && *wall + MARGIN + WANDER >= now);
        wall.unwrap_or_else(|| {
            let wall = now.checked_sub(MARGIN).unwrap_or(now);
            self.epoch = wall.checked_sub(at);
            wall
        })
    }

    fn send(&mut self, rtc: &mut Rtc, shared: &Shared, at: i64, now: Instant) -> u64 {
        let Shared { media, .. } = shared;
        let wall = self.wall(at, now);
        let (out, rate) = match media {
            Media::Picture { key, format, .. } => {
                self.need_key &= !key;
                if self.need_key {
                    return 0;
                }
                self.newest = self.newest.max(at);
                if *key && self.format != Some(*format) {
                    self.format = Some(*format);
                    match (&mut self.video, best_format(&self.formats, *format)) {
                        (Some(out), Some(pt)) => out.track.pt = pt,
                        (Some(_), None) => self.lacks = Some(format.codec),
                        (None, _) => {}
                    }
                }
                if self.lacks.is_some() {
                    return 0;
                }
                (&mut self.video, 90_000)
            }
            Media::Sound(_) => (&mut self.audio, 48_000),
        };
        let Some(out) = out else { return 0 };
        let time = (i128::from(at) * rate / 1_000_000) as u32;
        let mut direct = rtc.direct_api();
        let stream = match out.ssrc {
            Some(ssrc) => direct.stream_tx(&ssrc),
            None => direct.stream_tx_by_mid(out.track.mid, None),
        };
        let Some(stream) = stream else { return 0 };
        out.ssrc = Some(stream.ssrc());
        if let Media::Picture { .. } = media
            && waits(stream, now) > MOST_PACED
        {
            self.need_key = true;
            return 0;
        }
        let (payloads, video) = match media {
            Media::Picture { picture, .. } => (picture.payloads.as_slice(), true),
            Media::Sound(sound) => (std::slice::from_ref(sound), false),
        };
        let last = payloads.len().saturating_sub(1);
        for (i, payload) in payloads.iter().enumerate() {
            let number: SeqNo = out.next.into();
            out.next += 1;
            let packet = RtpWrite::new(out.track.pt, number, time, wall, std::sync::Arc::clone(payload))
                .marker(video && i == last)
                .nackable(video);
            stream.write_rtp(packet);
        }
        payloads.iter().map(|p| p.len() as u64).sum()
    }
}

/// How long the oldest packet waits to be sent.
fn waits(stream: &StreamTx, now: Instant) -> Duration {
    let first = stream.queue_info().and_then(|queue| queue.first_unsent());
    first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
}
