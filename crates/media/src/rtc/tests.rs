//! Publishers and viewers made of str0m itself: first in memory, on simulated time, over a bad network; then against the
//! real server on loopback.

mod adapting;
mod bad_network;
mod browsers;
mod live;
mod mixed;
mod narrow;
mod peers;
mod profiles;
mod simulcast;
mod still;
mod tcp;

use std::time::Instant;

use str0m::change::SdpAnswer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, MediaTime, Mid, Rid, Simulcast};
use str0m::{Event, IceConnectionState, Rtc};

/// SPS and PPS that look real enough for everything but a decoder.
pub(super) const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f, 0xda, 0x02, 0x80, 0xf6, 0x84];
pub(super) const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

/// The slice of picture `n`: its number and a pattern, free of start codes.
pub(super) fn slice(n: u32, key: bool, size: usize) -> Vec<u8> {
    let mut nal = vec![if key { 0x65 } else { 0x41 }];
    nal.extend(n.to_be_bytes().map(|b| b ^ 0xa5));
    nal.extend((0..size).map(|i| (i % 199) as u8 + 1));
    nal
}

/// The number of a picture's slice, if all of it is there.
pub(super) fn number(slice: &[u8]) -> Option<u32> {
    let (head, pattern) = slice.get(1..)?.split_first_chunk::<4>()?;
    let whole = pattern.iter().enumerate().all(|(i, b)| *b == (i % 199) as u8 + 1);
    whole.then(|| u32::from_be_bytes(head.map(|b| b ^ 0xa5)))
}

/// Picture `n` in Annex B, with parameter sets if it is a key picture.
pub(super) fn annex_b(n: u32, key: bool, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let sets: &[&[u8]] = if key { &[SPS, PPS] } else { &[] };
    for nal in sets.iter().map(|s| s.to_vec()).chain([slice(n, key, size)]) {
        out.extend([0, 0, 0, 1]);
        out.extend(nal);
    }
    out
}

/// An offer of a peer that has no format for what is sent again.
pub(super) fn without_repairs(offer: &str) -> String {
    let mut gone: Vec<&str> = Vec::new();
    let repairs = offer.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(" rtx/"));
    gone.extend(repairs.map(|(pt, _)| pt));
    let is_gone = |line: &str| {
        let of = |prefix| line.strip_prefix(prefix).and_then(|rest| rest.split([' ', ':']).next());
        let pt = of("a=rtpmap:").or(of("a=fmtp:")).or(of("a=rtcp-fb:"));
        pt.is_some_and(|pt| gone.contains(&pt))
    };
    let groups = offer.lines().filter_map(|line| line.strip_prefix("a=ssrc-group:FID "));
    let ssrcs: Vec<String> = groups.filter_map(|group| Some(format!("a=ssrc:{} ", group.split_once(' ')?.1))).collect();
    let kept = offer.lines().filter(|line| {
        !is_gone(line) && !line.starts_with("a=ssrc-group:") && !ssrcs.iter().any(|ssrc| line.starts_with(ssrc))
    });
    let words = |line: &str| line.split(' ').filter(|word| !gone.contains(word)).collect::<Vec<_>>().join(" ");
    kept.map(|line| if line.starts_with("m=") { words(line) } else { line.to_owned() } + "\r\n").collect()
}

/// A browser of sorts.
pub(super) struct Client {
    pub rtc: Rtc,
    pub video: Mid,
    pub audio: Mid,
    pub connected: bool,
    pub gone: bool,
    /// Pictures received, Annex B, with their times and whether nothing was missing before.
    pub pictures: Vec<(MediaTime, bool, Vec<u8>)>,
    pub sounds: Vec<(MediaTime, Vec<u8>)>,
    /// Of audio and video, the last report: wall clock minus stream time, in microseconds.
    pub reports: [Option<i128>; 2],
    /// Key pictures asked of us.
    pub asked: u32,
    /// The same, by layer.
    pub asked_of: Vec<Rid>,
}

impl Client {
    /// Makes an offer in a direction and takes the answer that `answer` gives to it.
    pub fn connect<E>(now: Instant, send: bool, answer: impl FnOnce(&str) -> Result<String, E>) -> Result<Self, E> {
        Self::layered(now, send, None, answer)
    }

    /// As [`Client::connect`]; pictures are sent in several sizes.
    pub fn layered<E>(
        now: Instant,
        send: bool,
        layers: Option<Simulcast>,
        answer: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let rtc = Rtc::builder()
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false)
            .enable_raw_packets(true)
            .build(now);
        Self::of(rtc, send, layers, answer)
    }

    /// As [`Client::layered`], with a machine of its own.
    pub fn of<E>(
        mut rtc: Rtc,
        send: bool,
        layers: Option<Simulcast>,
        answer: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let direction = if send { Direction::SendOnly } else { Direction::RecvOnly };
        let mut api = rtc.sdp_api();
        let audio = api.add_media(MediaKind::Audio, direction, None, None, None);
        let video = api.add_media(MediaKind::Video, direction, None, None, layers);
        let (offer, pending) = api.apply().unwrap();
        let answer = SdpAnswer::from_sdp_string(&answer(&offer.to_sdp_string())?).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();
        Ok(Client {
            rtc,
            video,
            audio,
            connected: false,
            gone: false,
            pictures: Vec::new(),
            sounds: Vec::new(),
            reports: [None; 2],
            asked: 0,
            asked_of: Vec::new(),
        })
    }

    pub fn event(&mut self, event: Event) {
        if let Event::MediaData(data) = &event
            && let Some(report) = &data.last_sender_info
        {
            let wall = report.ntp_time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i128;
            let stream = i128::from(report.rtp_time.numer()) * 1_000_000 / i128::from(report.rtp_time.denom());
            self.reports[usize::from(data.mid == self.video)] = Some(wall - stream);
        }
        match event {
            Event::Connected => self.connected = true,
            Event::Closed => self.gone = true,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.gone = true,
            Event::KeyframeRequest(request) => {
                self.asked += 1;
                self.asked_of.extend(request.rid);
            }
            Event::MediaData(data) if data.mid == self.video => {
                self.pictures.push((data.time, data.contiguous, data.data.to_vec()));
            }
            Event::MediaData(data) => self.sounds.push((data.time, data.data.to_vec())),
            _ => {}
        }
    }

    /// Sends picture `n` of 30 a second.
    pub fn send_picture(&mut self, n: u32, key: bool, size: usize, now: Instant) {
        let writer = self.rtc.writer(self.video).unwrap();
        let h264 = writer.payload_params().find(|p| p.spec().codec == Codec::H264).unwrap().pt();
        let time = MediaTime::from_90khz(u64::from(n) * 3_000 + 1_234_567);
        writer.write(h264, now, time, annex_b(n, key, size)).unwrap();
    }

    /// Sends sound packet `n` of 50 a second.
    pub fn send_sound(&mut self, n: u32, now: Instant) {
        let writer = self.rtc.writer(self.audio).unwrap();
        let opus = writer.payload_params().find(|p| p.spec().codec == Codec::Opus).unwrap().pt();
        let time = MediaTime::new(u64::from(n) * 960 + 99_999, str0m::media::Frequency::FORTY_EIGHT_KHZ);
        let mut packet = vec![0xf8];
        packet.extend(n.to_be_bytes());
        writer.write(opus, now, time, packet).unwrap();
    }
}
