//! A WHEP viewer's end of a stream: numbers and stamps the payloads that all viewers share. Knows no hub and no sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::bwe::Bitrate;
use str0m::media::{Mid, Pt};

use super::choice::Choice;
use super::congestion::Congestion;
use super::feed::{Media, Shared};
use super::offer::{Accepted, Track, best_format};
use super::pacer::{HEADS, Pacer, Waiting};
use super::payload::Format;
use super::sender::{Again, Line, Piece, Reported};
use super::sink::{Out, Sink};
use super::still::{APART, Still};

/// Sender reports are made anew when the stream's clock and ours are further apart than this.
const WANDER: Duration = Duration::from_secs(1);
/// How far in the past of sender reports a frame lies that came when it was due. str0m sends a report of time 0 for one
/// that lies in the future, and a browser takes that for lips and sound being hours apart.
const MARGIN: Duration = Duration::from_millis(500);

/// How long packets may wait for a slow network; pictures beyond are left out up to the next key picture.
const MOST_PACED: Duration = Duration::from_millis(700);

/// Most bytes of a group of pictures that a viewer whose network is not known yet begins with.
const MOST_PACED_BACKLOG: usize = 100_000;

/// A narrow viewer has a keyframe made for it at most this often, for however many such viewers.
const KEY_EVERY: Duration = Duration::from_secs(1);
/// It has one made when what waits has nearly gone.
const NEARLY_GONE: Duration = Duration::from_millis(200);
/// Over a path with at least this round trip, what is sent again is sent twice: losing that, too, is what stops pictures.
const FAR: Duration = Duration::from_millis(80);
/// Requests to send again belong to one loss, or to a path that loses packets, if they come so soon after each other.
const ONE_LOSS: Duration = Duration::from_millis(10);
const LOSES_AGAIN: Duration = Duration::from_secs(2);
/// A path that loses packets is taken to do so for this long.
const LOSSY_FOR: Duration = Duration::from_secs(30);
/// What a repair takes beyond the round trip: a loss is seen when the next packet comes.
const REPAIR: Duration = Duration::from_millis(100);
/// Pictures are not held back for longer.
const MOST_DELAY: Duration = Duration::from_millis(600);

/// What a viewer begins with ends so long before the stream's time: what comes next may be a little early.
const BEHIND: Duration = Duration::from_millis(200);

/// A player may ask for keyframes so often at once, and once more after each pause: every viewer of the stream is sent what it asks for.
const MOST_WISHES: u32 = 4;
const WISH_EVERY: Duration = Duration::from_secs(2);

/// What may be sent again, in proportion to what is sent.
struct Resends {
    left: u64,
}

impl Resends {
    /// Most at a time, and the part of what is sent that may be sent again: where no limit is known, and where one is.
    const MOST: [u64; 2] = [1_000_000, 16_000];
    const PART: [u64; 2] = [2, 8];

    fn earn(&mut self, bytes: u64, narrow: bool) {
        let kind = usize::from(narrow);
        self.left = (self.left + bytes / Self::PART[kind]).min(Self::MOST[kind]);
    }

    fn spend(&mut self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// Sends one of a picture's payloads; the first one tells how long the player is to hold pictures back.
fn send_of_picture(
    sink: &mut Sink<'_>,
    out: &mut Out,
    waiting: &Waiting,
    payloads: &[Arc<[u8]>],
    delay: Option<Duration>,
    now: Instant,
) {
    let i = waiting.next;
    let piece = Piece {
        payload: &payloads[i],
        pt: *out.track.pt,
        time: ticks(waiting.at, 90_000),
        wall: waiting.wall,
        marker: i + 1 == payloads.len(),
        delay: delay.filter(|_| i == 0),
    };
    sink.send(out, &piece, now);
}

/// The state of one viewer's tracks.
pub(super) struct Whep {
    video: Option<Out>,
    audio: Option<Out>,
    formats: Vec<(Pt, Format)>,
    /// Its peer asks for lost sound again.
    repeats_sound: bool,
    /// Its peer wants sound in packets of less than 40 ms.
    pub short_sound: bool,
    /// What it is sent at the moment.
    format: Option<Format>,
    /// The stream has changed to what was not agreed on.
    pub lacks: Option<Format>,
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
    /// What its network is seen to carry, where it is not estimated from feedback.
    pub congestion: Congestion,
    pacer: Pacer,
    resends: Resends,
    /// When the stream last had a keyframe, and when this viewer last had one made.
    key_came: Option<Instant>,
    key_asked: Option<Instant>,
    /// Pictures were left out since it was last asked for.
    left_out: bool,
    /// When something was last sent again over a long path, and until when that is taken for what the path does.
    resent: Option<Instant>,
    lossy_until: Option<Instant>,
    still: Option<Still>,
    /// When its player may ask for as many keyframes at once as ever.
    wishes: Option<Instant>,
}

impl Whep {
    /// A viewer with the tracks that were agreed on. `seed` makes sequence numbers start anywhere below 32768.
    pub fn new(accepted: &Accepted, seed: u16) -> Self {
        Whep {
            video: accepted.video.map(|track| Out::new(track, seed)),
            audio: accepted.audio.map(|track| Out::new(track, seed)),
            formats: accepted.formats.clone(),
            repeats_sound: accepted.repeats_sound,
            short_sound: accepted.short_sound,
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
            congestion: Congestion::default(),
            pacer: Pacer::default(),
            resends: Resends { left: 64_000 },
            key_came: None,
            key_asked: None,
            left_out: false,
            resent: None,
            lossy_until: None,
            still: None,
            wishes: None,
        }
    }

    /// Begins with a layer of the stream.
    pub fn begin_with(&mut self, layer: usize) {
        self.showing = Some(layer);
        self.target = Some(layer);
    }

    /// Sends what the current group of pictures holds so far, squeezed into the moments before the stream's time `clock`, so that the
    /// viewer has a picture at once and is not late for the rest: a player that was told an older time holds back what comes next.
    pub fn catch_up(&mut self, sink: &mut Sink<'_>, backlog: &[Shared], clock: i64, now: Instant) -> u64 {
        // What is paced comes late if there is much of it: a key picture is there sooner.
        if self.adapts && backlog.iter().map(Shared::picture_bytes).sum::<usize>() > MOST_PACED_BACKLOG {
            return 0;
        }
        let latest = |video: bool| backlog.iter().filter(|s| s.is_picture() == video).map(|s| s.pts).max();
        self.sent = [true, false].map(|video| latest(video).unwrap_or(i64::MIN));
        let pictures: Vec<&Shared> = backlog.iter().filter(|s| s.is_picture()).collect();
        let end = self.sent[0].max(clock.saturating_sub(BEHIND.as_micros() as i64));
        self.wall(end, now);
        let mut bytes = 0;
        for (before, shared) in (0..pictures.len() as i64).rev().zip(&pictures) {
            bytes += self.send(sink, shared, end.saturating_sub(before.saturating_mul(APART)), now);
        }
        let repeats = bytes > 0 && !self.adapts;
        self.still = repeats.then(|| Still::new(pictures.into_iter().cloned().collect(), end, now));
        bytes
    }

    /// Sends the group that it began with again, if that is due.
    fn repeat(&mut self, sink: &mut Sink<'_>, now: Instant) -> u64 {
        let Some(mut still) = self.still.take_if(|still| still.due().is_some_and(|due| due <= now)) else { return 0 };
        let mut bytes = 0;
        if self.pacer.is_empty() {
            for (shared, at) in still.pictures(now) {
                bytes += self.send(sink, shared, at.max(self.newest.saturating_add(APART)), now);
            }
            still.went(now);
        } else {
            still.waits(now);
        }
        self.still = Some(still);
        bytes
    }

    /// What it reports of its pictures.
    pub fn reported(&mut self, one: Reported, now: Instant) {
        if let Some(loss) = one.loss {
            self.choice.lost(loss);
            self.congestion.lost(loss, now);
        }
        // What waits here has not been sent, and is not among what has arrived.
        if let Some(still) = self.still.as_mut().filter(|_| one.all && self.pacer.is_empty()) {
            still.arrived();
        }
    }

    /// The lines that it is sent tracks by.
    pub fn lines(&self) -> Vec<Line> {
        let tracks = [&self.video, &self.audio].into_iter().flatten().map(|out| &out.track);
        let line = |track: &Track| Line {
            mid: track.mid,
            is_video: track.is_video,
            repeats: track.is_video || self.repeats_sound,
        };
        tracks.map(line).collect()
    }

    /// Whether this is its track of pictures.
    pub fn is_video(&self, mid: Mid) -> bool {
        self.video.as_ref().is_some_and(|out| out.track.mid == mid)
    }

    /// The layer that it is sent; none: what the stream itself carries.
    pub fn showing(&self) -> Option<usize> {
        self.showing
    }

    /// Whether it is sent this layer, or is going to be.
    pub fn wants(&self, layer: Option<usize>) -> bool {
        self.showing == layer || self.target == layer
    }

    /// A layer is gone: who was sent it goes on with the stream, from its next key picture on.
    pub fn lose(&mut self, layer: usize) {
        if self.wants(Some(layer)) {
            self.need_key |= self.showing == Some(layer);
            self.showing = None;
            self.target = None;
        }
    }

    /// Sends one frame of the stream, or of a layer of it. Returns its payload bytes; 0 when it was not for this viewer.
    pub fn take(&mut self, sink: &mut Sink<'_>, layer: Option<usize>, shared: &Shared, now: Instant) -> u64 {
        if let Media::Picture { key, .. } = shared.media {
            if key && layer == self.target {
                self.showing = layer;
            }
            if layer != self.showing {
                return 0;
            }
            // The first picture of another layer may be a little older than the last of the one before.
            let at = shared.pts.max(self.newest.saturating_add(1_000));
            if shared.pts <= self.sent[0] {
                return 0;
            }
            self.still = None;
            return self.send(sink, shared, at, now);
        }
        if shared.pts <= self.sent[usize::from(!shared.is_picture())] {
            return 0;
        }
        self.send(sink, shared, shared.pts, now)
    }

    /// Which of the layers (bits a second, growing) it is to be sent, now that it is sent `current`; tells the estimator what
    /// to look for.
    pub fn choose(&mut self, rtc: &mut Rtc, rates: &[u64], current: usize, now: Instant) -> usize {
        if std::mem::take(&mut self.left_out) && !self.adapts {
            self.choice.lost(1.0);
        }
        let waits = self.video.as_ref().map_or(Duration::ZERO, |out| Sink::Machine(rtc).waits(out, now));
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

    fn send(&mut self, sink: &mut Sink<'_>, shared: &Shared, at: i64, now: Instant) -> u64 {
        let wall = self.wall(at, now);
        match &shared.media {
            Media::Sound(sound) => self.sound(sink, sound, (at, wall), now),
            Media::Picture { key, format, .. } => {
                self.key_came = if *key { Some(now) } else { self.key_came };
                if !self.is_of_use(*key, *format) {
                    return 0;
                }
                self.newest = self.newest.max(at);
                let waiting = Waiting { shared: shared.clone(), at, wall, next: 0 };
                if self.adapts { self.hand_over(sink, waiting, now) } else { self.picture(sink, waiting, now) }
            }
        }
    }

    /// Sound waits for nothing.
    fn sound(&mut self, sink: &mut Sink<'_>, sound: &Arc<[u8]>, at: (i64, Instant), now: Instant) -> u64 {
        let Some(out) = &mut self.audio else { return 0 };
        let pt = *out.track.pt;
        let time = ticks(at.0, 48_000);
        sink.send(out, &Piece { payload: sound, pt, time, wall: at.1, marker: false, delay: None }, now);
        self.pacer.charge(sound.len() + HEADS);
        self.went(sound.len() + HEADS);
        sound.len() as u64
    }

    /// Whether a picture can be shown by this viewer, whose track then is what it needs.
    fn is_of_use(&mut self, key: bool, format: Format) -> bool {
        self.need_key &= !key;
        if self.need_key {
            return false;
        }
        if key && self.format != Some(format) {
            self.format = Some(format);
            match (&mut self.video, best_format(&self.formats, format)) {
                (Some(out), Some(pt)) => out.track.pt = pt,
                (Some(_), None) => self.lacks = Some(format),
                (None, _) => {}
            }
        }
        self.lacks.is_none() && self.video.is_some()
    }

    /// Gives a picture to the machine, which paces it by what it estimates.
    fn hand_over(&mut self, sink: &mut Sink<'_>, waiting: Waiting, now: Instant) -> u64 {
        if self.video.as_ref().map(|out| sink.waits(out, now)) > Some(MOST_PACED) {
            self.need_key = true;
            return 0;
        }
        self.write(sink, waiting, None, now)
    }

    /// Sends all packets of a picture.
    fn write(&mut self, sink: &mut Sink<'_>, mut waiting: Waiting, delay: Option<Duration>, now: Instant) -> u64 {
        let Some(out) = &mut self.video else { return 0 };
        let Media::Picture { picture, .. } = &waiting.shared.media else { return 0 };
        let picture = Arc::clone(picture);
        while waiting.next < picture.payloads.len() {
            send_of_picture(sink, out, &waiting, &picture.payloads, delay, now);
            waiting.next += 1;
        }
        picture.bytes as u64
    }

    /// Sends a picture as soon as the network takes it, or leaves it out.
    fn picture(&mut self, sink: &mut Sink<'_>, waiting: Waiting, now: Instant) -> u64 {
        let Media::Picture { disposable, .. } = waiting.shared.media else { return 0 };
        self.pacer.fill(self.congestion.rate(), self.congestion.burst(), now);
        let bytes = waiting.left();
        if self.pacer.is_empty() && self.pacer.affords(bytes) && self.congestion.room(now) >= bytes as u64 {
            self.pacer.charge(bytes);
            self.went(bytes);
            return self.write(sink, waiting, self.delay(now), now);
        }
        if !self.pacer.offer(waiting, self.congestion.rate()) {
            self.need_key = !disposable;
            self.left_out = true;
        }
        self.pour(sink, now)
    }

    /// Sends what is due of what waits, and of what is to be sent again. Returns its payload bytes.
    pub fn pump(&mut self, sink: &mut Sink<'_>, now: Instant) -> u64 {
        self.pour(sink, now) + self.repeat(sink, now)
    }

    /// Sends of what waits as much as may be sent now. Returns its payload bytes.
    fn pour(&mut self, sink: &mut Sink<'_>, now: Instant) -> u64 {
        self.pacer.fill(self.congestion.rate(), self.congestion.burst(), now);
        if self.pacer.trim(self.congestion.rate()) {
            self.need_key = true;
            self.left_out = true;
        }
        let delay = self.delay(now);
        let Some(out) = &mut self.video else { return 0 };
        let mut room = self.congestion.room(now);
        let mut bytes = 0;
        let mut sent = 0;
        while let Some(waiting) = self.pacer.next().filter(|_| room > 0) {
            let Media::Picture { picture, .. } = &waiting.shared.media else { break };
            let Some(payload) = picture.payloads.get(waiting.next) else { break };
            let length = payload.len();
            send_of_picture(sink, out, waiting, &picture.payloads, delay, now);
            waiting.next += 1;
            let last = waiting.next == picture.payloads.len();
            bytes += length as u64;
            room = room.saturating_sub((length + HEADS) as u64);
            sent += length + HEADS;
            self.pacer.went(length, last);
        }
        self.went(sent);
        if self.pacer.wait(self.congestion.rate()) > HELD {
            self.congestion.holds(now);
        }
        bytes
    }

    /// How long the player is to hold pictures back, if it was ever told: over a path that is far and loses packets, so long
    /// that what is sent again comes in time. Players find that out by themselves, but only by standing still.
    fn delay(&self, now: Instant) -> Option<Duration> {
        let lossy = self.lossy_until?;
        let trip = self.congestion.round_trip().filter(|_| now < lossy);
        Some(trip.map_or(Duration::ZERO, |trip| (trip + REPAIR).min(MOST_DELAY)))
    }

    /// So many bytes of media are on their way.
    fn went(&mut self, bytes: usize) {
        self.congestion.sent(bytes as u64);
        self.resends.earn(bytes as u64, self.congestion.is_narrow());
    }

    /// When [`Whep::pump`] is due, if it has anything to do.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = self.pacer.due(self.congestion.rate(), now);
        let waiting =
            waiting.map(|due| if self.congestion.room(now) == 0 { due.max(self.congestion.due(now)) } else { due });
        let repeated = self.still.as_ref().and_then(|still| still.due());
        waiting.into_iter().chain(repeated).min()
    }

    /// Whether pictures wait.
    pub fn has_waiting(&self) -> bool {
        !self.pacer.is_empty()
    }

    /// The number of a check of the network that is to be sent now.
    pub fn check(&mut self, now: Instant) -> Option<u32> {
        if self.adapts || self.video.is_none() { None } else { self.congestion.check(self.has_waiting(), now) }
    }

    /// Takes the answer to a check.
    pub fn answered(&mut self, number: u32, now: Instant) {
        self.congestion.answered(number, !self.pacer.is_empty(), now);
    }

    /// Sends again what the peer asks for of a track: pictures once, twice over a long path, and not at all beyond what the network
    /// takes; sound, which is small, once.
    pub fn asked(&mut self, sink: &mut Sink<'_>, mid: Mid, numbers: &[u16], now: Instant) {
        let is_video = self.is_video(mid);
        let Some(out) = (if is_video { self.video.take() } else { self.audio.take() }) else { return };
        // Who asks sooner cannot have seen that it was sent again already.
        let pause = self.congestion.round_trip().unwrap_or_default() / 4 * 3;
        for number in numbers {
            let copies = |payload| {
                let bytes = payload + HEADS;
                if is_video { self.copies(bytes, now) } else { usize::from(self.spend(bytes, 1)) }
            };
            if !sink.resend(&out, *number, Again { pause, copies }, now) {
                break;
            }
        }
        *(if is_video { &mut self.video } else { &mut self.audio }) = Some(out);
    }

    /// Whether so many copies of a packet may be sent again, which are then on their way.
    fn spend(&mut self, bytes: usize, copies: u64) -> bool {
        let all = bytes as u64 * copies;
        let may = self.resends.spend(all);
        if may {
            self.congestion.sent(all);
            self.pacer.charge(bytes);
        }
        may
    }

    fn copies(&mut self, bytes: usize, now: Instant) -> usize {
        self.congestion.suspects(now);
        let narrow = self.congestion.is_narrow();
        let copies = 1 + u64::from(!narrow && self.congestion.round_trip().is_some_and(|trip| trip > FAR));
        if !self.spend(bytes, copies) {
            return 0;
        }
        if copies > 1 {
            let before = self.resent.replace(now).map(|at| now.saturating_duration_since(at));
            // Once is chance, and what is asked for in one go is one loss.
            if before.is_some_and(|passed| passed > ONE_LOSS && passed < LOSES_AGAIN) {
                self.lossy_until = Some(now + LOSSY_FOR);
            }
        }
        copies as usize
    }

    /// Counts a keyframe that the player asks for, if it may have one.
    fn may_wish(&mut self, now: Instant) -> bool {
        let full = self.wishes.map_or(now, |full| full.max(now));
        let may = full.saturating_duration_since(now) <= WISH_EVERY * (MOST_WISHES - 1);
        if may {
            self.wishes = Some(full + WISH_EVERY);
        }
        may
    }

    /// Whether a keyframe is to be asked for now, because this viewer cannot go on without one, or because its player asks.
    pub fn asks_key(&mut self, player: bool, now: Instant) -> bool {
        let narrow = self.congestion.is_narrow();
        if let Some(still) = self.still.as_mut().filter(|_| player) {
            still.asked(now);
        }
        if player && !narrow {
            return self.may_wish(now);
        }
        let since = |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= KEY_EVERY);
        let wants = player || self.need_key && !self.adapts;
        let asks = wants
            && since(self.key_came)
            && since(self.key_asked)
            && self.pacer.wait(self.congestion.rate()) < NEARLY_GONE;
        if asks {
            self.key_asked = Some(now);
        }
        asks
    }
}

/// Pictures that wait longer than this are held up by the network.
const HELD: Duration = Duration::from_millis(30);

/// A stream time as a track's clock counts it.
fn ticks(micros: i64, rate: i128) -> u32 {
    (i128::from(micros) * rate / 1_000_000) as u32
}
