//! A viewer's packets that we number, seal and send ourselves: RTP, what is asked for again, and reports. What all viewers of a
//! stream share is made once; this adds a head and seals. str0m keeps ICE, DTLS and what comes in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use str0m::Rtc;
use str0m::config::CryptoProvider;
use str0m::media::Mid;
use str0m::rtp::Extension;
use str0m::rtp::rtcp::ReceptionReport;

use super::losses::Losses;
use super::outbox::{Destination, Outbox};
use super::redundancy::Redundancy;
use super::srtp::{Keys, Srtp};

/// Packets kept to be sent again, and for how long: those of a large keyframe, and for as long as one sent again helps.
const MOST_KEPT: usize = 4_000;
const KEPT_FOR: Duration = Duration::from_secs(1);
/// How often each track is reported. Browsers bring lips and sound in step once each track has reported twice.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Seconds between 1900 and 1970.
const NTP_UNIX: u64 = 2_208_988_800;
/// A round trip that is longer is none.
const LONGEST_TRIP: Duration = Duration::from_secs(60);

/// Why there is nothing to send on.
const NO_TRACK: &str = "one of its lines has no track to send on";

/// A packet without its number.
pub(super) struct Piece<'a> {
    pub payload: &'a Arc<[u8]>,
    pub pt: u8,
    /// By the track's clock.
    pub time: u32,
    /// The moment of that time.
    pub wall: Instant,
    /// The last one of a picture.
    pub marker: bool,
    /// How long the player is to hold pictures back.
    pub delay: Option<Duration>,
}

/// A line that a viewer is sent a track by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub mid: Mid,
    pub is_video: bool,
    /// The peer asks for what is lost.
    pub repeats: bool,
}

/// What a viewer reports of a track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported {
    pub mid: Mid,
    /// The part that was lost since that was last known.
    pub loss: Option<f32>,
    pub round_trip: Option<Duration>,
    /// The newest packet has arrived.
    pub all: bool,
}

/// A viewer's tracks.
pub(super) struct Sender {
    srtp: Srtp,
    tracks: Vec<Track>,
    /// Payload types, each with the one of what is sent again.
    resends: Vec<(u8, u8)>,
    /// The same moment by the clock that does not step, and by the wall's.
    began: (Instant, SystemTime),
    reported: Option<Instant>,
    name: String,
    scratch: Vec<u8>,
}

struct Track {
    mid: Mid,
    ssrc: u32,
    /// SSRC and next number of what is sent again.
    again: Option<(u32, u64)>,
    /// Numbers of head extensions: which line of the SDP it is of, and how long to hold pictures back.
    mid_extension: Option<u8>,
    delay_extension: Option<u8>,
    /// Ticks a second.
    clock: u32,
    next: u64,
    packets: u32,
    bytes: u32,
    /// Its newest time, and the moment of that.
    newest: Option<(u32, Instant)>,
    /// The peer has reported it, so it knows which line it is of.
    known: bool,
    /// What it sends is kept to be sent again.
    keeps: bool,
    kept: VecDeque<Kept>,
    losses: Losses,
    /// How sound is sent so that a lost packet is in the next, where the peer knows that.
    redundancy: Option<Redundancy>,
}

struct Kept {
    payload: Arc<[u8]>,
    shape: Shape,
    at: Instant,
    /// When it was last sent again.
    again: Option<Instant>,
}

/// What the head of a packet is made of.
#[derive(Clone, Copy)]
struct Shape {
    time: u32,
    pt: u8,
    marker: bool,
    /// It says which line of the SDP it is of.
    named: bool,
    /// How long to hold pictures back, in hundredths of a second.
    delay: Option<u16>,
}

/// How packets are sent again.
pub(super) struct Again<F> {
    /// Not so soon after the last time.
    pub pause: Duration,
    /// How often one of so many bytes is sent.
    pub copies: F,
}

impl Sender {
    /// The tracks of `rtc` by these lines.
    ///
    /// # Errors
    /// What was not agreed on.
    pub fn new(
        rtc: &mut Rtc,
        crypto: &CryptoProvider,
        keys: &Keys,
        lines: &[Line],
        now: Instant,
    ) -> Result<Self, &'static str> {
        let srtp = Srtp::new(crypto, keys).ok_or("no keys to send with were agreed on")?;
        let resends = rtc.codec_config().params().iter();
        let resends = resends.filter_map(|params| Some((*params.pt(), *params.resend()?))).collect();
        let red = rtc.codec_config().params().iter().find_map(|params| params.red()).map(|pt| *pt);
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|_| "the system has no random numbers")?;
        let [a, b, name @ ..] = random;
        // Not so high that the first packet of all, lost, makes a peer count the rounds wrongly (RFC 3711 §3.3.1).
        let next = u64::from(u16::from_be_bytes([a, b]) & 0x7fff);
        let mut tracks = Vec::new();
        for &Line { mid, is_video, repeats } in lines {
            let extensions = rtc.media(mid).ok_or(NO_TRACK)?.remote_extmap();
            // Heads of one byte have no other numbers (RFC 8285 §4.2).
            let number = |extension| extensions.id_of(extension).filter(|number| (1..=14).contains(number));
            let mid_extension = number(Extension::RtpMid);
            let delay_extension = number(Extension::PlayoutDelay);
            let mut direct = rtc.direct_api();
            let stream = direct.stream_tx_by_mid(mid, None).ok_or(NO_TRACK)?;
            tracks.push(Track {
                mid,
                ssrc: *stream.ssrc(),
                again: stream.rtx().map(|ssrc| (*ssrc, next)),
                mid_extension,
                delay_extension,
                clock: if is_video { 90_000 } else { 48_000 },
                next,
                packets: 0,
                bytes: 0,
                newest: None,
                known: false,
                keeps: repeats,
                kept: VecDeque::new(),
                losses: Losses::default(),
                redundancy: red.filter(|_| !is_video).map(Redundancy::new),
            });
        }
        Ok(Sender {
            srtp,
            tracks,
            resends,
            began: (now, SystemTime::now()),
            reported: None,
            name: format!("{:016x}", u64::from_be_bytes(name)),
            scratch: Vec::new(),
        })
    }

    /// Sends one packet of a track.
    pub fn send(&mut self, outbox: &mut Outbox, to: Destination, mid: Mid, piece: &Piece<'_>, now: Instant) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.mid == mid) else { return };
        let index = track.next;
        track.next += 1;
        track.packets = track.packets.wrapping_add(1);
        track.bytes = track.bytes.wrapping_add(piece.payload.len() as u32);
        track.newest = Some((piece.time, piece.wall));
        let Piece { payload, pt, time, marker, delay, .. } = *piece;
        let mut shape = Shape { time, pt, marker, named: !track.known, delay: delay.map(hundredths) };
        if let Some(redundancy) = &mut track.redundancy
            && redundancy.write((pt, time, payload), &mut self.scratch, now)
        {
            shape.pt = redundancy.pt;
            track.put(&mut self.srtp, outbox, to, shape, &self.scratch, index);
            if track.keeps {
                track.keep(Kept { payload: self.scratch.as_slice().into(), shape, at: now, again: None });
            }
            return;
        }
        track.put(&mut self.srtp, outbox, to, shape, payload, index);
        if track.keeps {
            track.keep(Kept { payload: Arc::clone(payload), shape, at: now, again: None });
        }
    }

    /// Sends a packet again that is asked for. Nothing, where it is kept no longer or has just been sent again. False: no more
    /// may be sent now.
    pub fn resend(
        &mut self,
        outbox: &mut Outbox,
        to: Destination,
        mid: Mid,
        number: u16,
        again: Again<impl FnOnce(usize) -> usize>,
        now: Instant,
    ) -> bool {
        let Some(track) = self.tracks.iter_mut().find(|track| track.mid == mid) else { return true };
        let repair = track.again;
        let Some((index, kept)) = track.kept(number) else { return true };
        let resend = self.resends.iter().find(|(of, _)| *of == kept.shape.pt);
        if kept.again.is_some_and(|at| now.saturating_duration_since(at) < again.pause) {
            return true;
        }
        let copies = (again.copies)(kept.payload.len() + 2);
        if copies == 0 {
            return false;
        }
        kept.again = Some(now);
        let payload = Arc::clone(&kept.payload);
        let shape = kept.shape;
        let Some(((ssrc, next), (_, pt))) = repair.zip(resend) else {
            // The peer has no format for it, and takes the packet as it was: the same head, number and payload, so the same bytes.
            (0..copies).for_each(|_| track.put(&mut self.srtp, outbox, to, shape, &payload, index));
            return true;
        };
        // RFC 4588 §4: the number that it had, then what it held.
        self.scratch.clear();
        self.scratch.extend_from_slice(&number.to_be_bytes());
        self.scratch.extend_from_slice(&payload);
        track.again = Some((ssrc, next + copies as u64));
        let mid = track.mid_extension.map(|number| (number, track.mid));
        for index in (next..).take(copies) {
            outbox.push_with(to, |out| {
                let start = out.len();
                let Shape { time, marker, .. } = shape;
                head(out, Head { pt: *pt, marker, index, time, ssrc, mid, delay: None });
                self.srtp.seal(out, start, &self.scratch, ssrc, index);
            });
        }
        true
    }

    /// When the next reports are due, if there is anything to report.
    pub fn report_due(&self) -> Option<Instant> {
        let any = self.tracks.iter().any(|track| track.newest.is_some());
        any.then(|| self.reported.unwrap_or(self.began.0) + REPORT_EVERY)
    }

    /// Sends a report of each track that has sent something, if they are due.
    pub fn report(&mut self, outbox: &mut Outbox, to: Destination, now: Instant) {
        let Some(due) = self.report_due() else { return };
        let all = self.reported.is_none() && self.tracks.iter().all(|track| track.newest.is_some());
        if now < due && !all {
            return;
        }
        self.reported = Some(now);
        let ntp = self.ntp(now);
        // Each in a datagram of its own: some peers (GStreamer) take all that is in one to be of the track that it begins with.
        for packets in self.tracks.iter().filter_map(|track| track.report(ntp, &self.name, now)) {
            let srtp = &mut self.srtp;
            outbox.push_with(to, |out| srtp.seal_rtcp(&packets, out));
        }
    }

    /// Says that nothing follows.
    pub fn goodbye(&mut self, outbox: &mut Outbox, to: Destination) {
        let count = self.tracks.len() as u8;
        let mut packet = vec![0x80 | count, 203, 0, count];
        packet.extend(self.tracks.iter().flat_map(|track| track.ssrc.to_be_bytes()));
        outbox.push_with(to, |out| self.srtp.seal_rtcp(&packet, out));
    }

    /// What a peer's report means for us, if it is of one of our tracks. Nothing in it is trusted to be sensible.
    pub fn reported(&mut self, report: &ReceptionReport, now: Instant) -> Option<Reported> {
        let middle = (self.ntp(now) >> 16) as u32;
        let track = self.tracks.iter_mut().find(|track| track.ssrc == *report.ssrc)?;
        track.known = true;
        let trip = middle.wrapping_sub(report.last_sr_time).wrapping_sub(report.last_sr_delay);
        let trip = Duration::from_micros((u64::from(trip) * 1_000_000) >> 16);
        let round_trip = (report.last_sr_time != 0 && trip < LONGEST_TRIP).then_some(trip);
        let loss = track.losses.reported(report.max_seq, report.packets_lost, now);
        let all = report.max_seq as u16 == track.next.wrapping_sub(1) as u16;
        Some(Reported { mid: track.mid, loss, round_trip, all })
    }

    /// A track loses packets: where it can, each holds the one before as well for a while.
    pub fn protect(&mut self, mid: Mid, now: Instant) {
        let track = self.tracks.iter_mut().find(|track| track.mid == mid);
        if let Some(redundancy) = track.and_then(|track| track.redundancy.as_mut()) {
            redundancy.protect(now);
        }
    }

    /// The track that an SSRC is of.
    pub fn track_of(&self, ssrc: u32) -> Option<Mid> {
        self.tracks.iter().find(|track| track.ssrc == ssrc).map(|track| track.mid)
    }

    /// The wall's time as NTP counts it, in 1/2³² seconds.
    fn ntp(&self, now: Instant) -> u64 {
        let wall = self.began.1 + now.saturating_duration_since(self.began.0);
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        (since.as_secs() + NTP_UNIX) << 32 | fraction
    }
}

impl Track {
    /// Seals a packet and sends it.
    fn put(&self, srtp: &mut Srtp, outbox: &mut Outbox, to: Destination, shape: Shape, payload: &[u8], index: u64) {
        let ssrc = self.ssrc;
        let Shape { pt, marker, time, named, delay } = shape;
        outbox.push_with(to, |out| {
            let start = out.len();
            let mid = self.mid_extension.filter(|_| named).map(|number| (number, self.mid));
            let delay = self.delay_extension.zip(delay);
            head(out, Head { pt, marker, index, time, ssrc, mid, delay });
            srtp.seal(out, start, payload, ssrc, index);
        });
    }

    fn keep(&mut self, packet: Kept) {
        let old = |kept: &Kept| packet.at.saturating_duration_since(kept.at) > KEPT_FOR;
        while self.kept.len() >= MOST_KEPT || self.kept.front().is_some_and(old) {
            self.kept.pop_front();
        }
        self.kept.push_back(packet);
    }

    /// The newest packet with this number, if it is kept, and its number with the times that it came round.
    fn kept(&mut self, number: u16) -> Option<(u64, &mut Kept)> {
        let back = (self.next.wrapping_sub(1) as u16).wrapping_sub(number);
        let place = self.kept.len().checked_sub(usize::from(back) + 1)?;
        let index = self.next.checked_sub(u64::from(back) + 1)?;
        Some((index, self.kept.get_mut(place)?))
    }

    /// A sender report and its name (RFC 3550 §6.4.1, §6.5), if it has sent something. All tracks of a session have one name:
    /// they belong together.
    fn report(&self, ntp: u64, name: &str, now: Instant) -> Option<Vec<u8>> {
        let (time, wall) = self.newest?;
        let passed = now.saturating_duration_since(wall).as_micros() * u128::from(self.clock) / 1_000_000;
        let mut packets = Vec::with_capacity(64);
        packets.extend([0x80, 200, 0, 6]);
        packets.extend(self.ssrc.to_be_bytes());
        packets.extend(ntp.to_be_bytes());
        packets.extend(time.wrapping_add(passed as u32).to_be_bytes());
        packets.extend(self.packets.to_be_bytes());
        packets.extend(self.bytes.to_be_bytes());
        let item = 4 + 2 + name.len();
        let chunk = item + 4 - item % 4;
        packets.extend([0x81, 202, 0, (chunk / 4) as u8]);
        packets.extend(self.ssrc.to_be_bytes());
        packets.extend([1, name.len() as u8]);
        packets.extend(name.as_bytes());
        packets.extend(std::iter::repeat_n(0, chunk - item));
        Some(packets)
    }
}

/// The head of an RTP packet.
struct Head {
    pt: u8,
    marker: bool,
    index: u64,
    time: u32,
    ssrc: u32,
    mid: Option<(u8, Mid)>,
    delay: Option<(u8, u16)>,
}

/// Appends it (RFC 3550 §5.1, RFC 8285 §4.2).
fn head(out: &mut Vec<u8>, head: Head) {
    let extends = head.mid.is_some() || head.delay.is_some();
    out.extend([0x80 | u8::from(extends) << 4, u8::from(head.marker) << 7 | head.pt]);
    out.extend((head.index as u16).to_be_bytes());
    out.extend(head.time.to_be_bytes());
    out.extend(head.ssrc.to_be_bytes());
    if !extends {
        return;
    }
    out.extend([0xbe, 0xde, 0, 0]);
    let start = out.len();
    if let Some((number, mid)) = head.mid {
        let mid = mid.as_bytes();
        out.push(number << 4 | (mid.len().clamp(1, 16) - 1) as u8);
        out.extend(&mid[..mid.len().min(16)]);
    }
    if let Some((number, delay)) = head.delay {
        // Twelve bits each: at least, and at most.
        out.push(number << 4 | 2);
        out.extend(&(u32::from(delay) << 12 | u32::from(MOST_DELAY)).to_be_bytes()[1..]);
    }
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    out[start - 1] = ((out.len() - start) / 4) as u8;
}

/// How long a player may hold pictures back, in hundredths of a second.
const MOST_DELAY: u16 = 1_000;

/// A delay as heads have it.
fn hundredths(delay: Duration) -> u16 {
    u16::try_from(delay.as_millis() / 10).unwrap_or(MOST_DELAY).min(MOST_DELAY)
}
