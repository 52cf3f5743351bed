//! A WHIP publisher's media: what str0m received becomes frames. Knows no hub: it gives frames and says when it needs a
//! key picture.

use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::format::Codec as RtcCodec;
use str0m::media::MediaData;

use super::clock::{Clock, Report};
use super::h264::{self, Parameters};
use crate::audio::opus_head;
use crate::frame::{Codec, Frame};

/// A lost picture is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The state of one publisher's tracks.
pub(super) struct Whip {
    clock: Clock,
    sps: Option<Bytes>,
    pps: Option<Bytes>,
    /// The configuration that readers have.
    config: Option<Bytes>,
    opus: bool,
    /// Delta pictures are of no use until a key picture comes.
    need_key: bool,
    asked: Option<Instant>,
    /// Pictures not passed on for want of a key picture.
    pub dropped: u64,
}

impl Whip {
    /// A publisher whose stream time starts now.
    pub fn new(now: Instant) -> Self {
        Whip {
            clock: Clock::new(now),
            sps: None,
            pps: None,
            config: None,
            opus: false,
            need_key: true,
            asked: None,
            dropped: 0,
        }
    }

    /// Takes a picture or an Opus packet and appends the frames it makes to `out`.
    pub fn take(&mut self, data: &MediaData, out: &mut Vec<Frame>) {
        let video = match data.params.spec().codec {
            RtcCodec::H264 => true,
            RtcCodec::Opus => false,
            _ => return,
        };
        let report = data.last_sender_info.as_ref();
        let report = report.map(|r| Report { wall: r.ntp_time, rtp: micros(r.rtp_time) });
        let at = self.clock.place(video, micros(data.time), data.network_time, report);
        match video {
            true => self.picture(data, at, out),
            false => self.sound(data, at, out),
        }
    }

    fn sound(&mut self, data: &MediaData, at: i64, out: &mut Vec<Frame>) {
        // An empty packet is padding that a probing sender makes.
        if data.data.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.opus, true) {
            out.push(Frame::config(Codec::Opus, at, opus_head(2)));
        }
        out.push(Frame::audio(Codec::Opus, at, Bytes::from_owner(std::sync::Arc::clone(&data.data))));
    }

    fn picture(&mut self, data: &MediaData, at: i64, out: &mut Vec<Frame>) {
        let unit = h264::unit(&data.data);
        let changed = unit.sps.is_some() || unit.pps.is_some();
        self.sps = unit.sps.or(self.sps.take());
        self.pps = unit.pps.or(self.pps.take());
        if changed && let (Some(sps), Some(pps)) = (&self.sps, &self.pps) {
            let config = Parameters::write(sps, pps);
            if config.is_some() && config != self.config {
                self.config.clone_from(&config);
                out.extend(config.map(|c| Frame::config(Codec::H264, at, c)));
            }
        }
        // A picture that builds on a lost one would smear: the last good one stands until the next key picture.
        self.need_key |= !data.contiguous;
        if unit.key && self.config.is_some() {
            self.need_key = false;
        }
        if self.need_key || unit.payload.is_empty() {
            self.dropped += u64::from(self.need_key);
            return;
        }
        out.push(Frame::video(Codec::H264, at, 0, unit.key, unit.payload));
    }

    /// Whether a key picture is to be asked for now. Saying yes counts as having asked.
    pub fn wants_key(&mut self, now: Instant) -> bool {
        let due = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN);
        let wants = self.need_key && due;
        if wants {
            self.asked = Some(now);
        }
        wants
    }
}

fn micros(time: str0m::media::MediaTime) -> i64 {
    let micros = u128::from(time.numer()) * 1_000_000 / u128::from(time.denom().max(1));
    i64::try_from(micros).unwrap_or(i64::MAX)
}
