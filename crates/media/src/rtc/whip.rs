//! A WHIP publisher's media: what str0m received becomes frames. Knows no hub: it gives frames and says when it needs a
//! key picture.

use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::format::Codec as RtcCodec;
use str0m::media::{MediaData, Rid};

use super::clock::{AUDIO, Clock, Report};
use super::unit::Units;
use crate::audio::opus_head;
use crate::frame::{Codec, Frame};
use crate::hub::MOST_LAYERS;

/// A lost picture is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The state of one publisher's tracks.
pub(super) struct Whip {
    clock: Clock,
    layers: Vec<Layer>,
    opus: bool,
    /// Pictures not passed on for want of a key picture.
    pub dropped: u64,
}

/// Pictures of one size; all there are, if there is no simulcast.
struct Layer {
    rid: Option<Rid>,
    /// It was asked whether it is new.
    known: bool,
    units: Units,
    /// Delta pictures are of no use until a key picture comes.
    need_key: bool,
    asked: Option<Instant>,
}

impl Whip {
    /// A publisher whose stream time starts now.
    pub fn new(now: Instant) -> Self {
        Whip { clock: Clock::new(now), layers: Vec::new(), opus: false, dropped: 0 }
    }

    /// Takes a picture or an Opus packet and appends the frames it makes to `out`. Returns the number of the layer they are
    /// of, 0 where there is no simulcast; none for sound.
    pub fn take(&mut self, data: &MediaData, out: &mut Vec<Frame>) -> Option<usize> {
        let codec = codec_of(data.params.spec().codec)?;
        let layer = if codec.is_video() { Some(self.layer(data.rid)?) } else { None };
        let report = data.last_sender_info.as_ref();
        let report = report.map(|r| Report { wall: r.ntp_time, rtp: micros(r.rtp_time) });
        let track = layer.map_or(AUDIO, |layer| layer + 1);
        let at = self.clock.place(track, micros(data.time), data.network_time, report);
        match layer.and_then(|layer| self.layers.get_mut(layer)) {
            Some(layer) => self.dropped += u64::from(!layer.picture(codec, data, at, out)),
            None => self.sound(data, at, out),
        }
        layer
    }

    /// The number of a layer; a new one, if there are not too many.
    fn layer(&mut self, rid: Option<Rid>) -> Option<usize> {
        let known = self.layers.iter().position(|layer| layer.rid == rid);
        if known.is_none() && self.layers.len() < MOST_LAYERS {
            self.layers.push(Layer { rid, known: false, units: Units::default(), need_key: true, asked: None });
            return Some(self.layers.len() - 1);
        }
        known
    }

    /// Whether a layer has sent nothing before. It is asked once.
    pub fn is_new(&mut self, layer: usize) -> bool {
        self.layers.get_mut(layer).is_some_and(|layer| !std::mem::replace(&mut layer.known, true))
    }

    /// The RID of a layer.
    pub fn rid(&self, layer: usize) -> Option<Rid> {
        self.layers.get(layer)?.rid
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

    /// Whether a key picture of a layer is to be asked for now. Saying yes counts as having asked.
    pub fn wants_key(&mut self, layer: usize, now: Instant) -> bool {
        let Some(layer) = self.layers.get_mut(layer) else { return false };
        let due = layer.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_AGAIN);
        let wants = layer.need_key && due;
        if wants {
            layer.asked = Some(now);
        }
        wants
    }
}

impl Layer {
    /// Takes a picture. False: it is not passed on for want of a key picture.
    fn picture(&mut self, codec: Codec, data: &MediaData, at: i64, out: &mut Vec<Frame>) -> bool {
        let unit = self.units.take(codec, &data.data);
        out.extend(unit.config.map(|config| Frame::config(codec, at, config)));
        // A picture that builds on a lost one would smear: the last good one stands until the next key picture.
        self.need_key |= !data.contiguous;
        if unit.key && self.units.is_configured() {
            self.need_key = false;
        }
        if self.need_key || unit.payload.is_empty() {
            return !self.need_key;
        }
        out.push(Frame::video(codec, at, 0, unit.key, unit.payload));
        true
    }
}

/// The hub's name for a codec, if it carries it.
fn codec_of(codec: RtcCodec) -> Option<Codec> {
    Some(match codec {
        RtcCodec::H264 => Codec::H264,
        RtcCodec::H265 => Codec::H265,
        RtcCodec::Av1 => Codec::Av1,
        RtcCodec::Vp8 => Codec::Vp8,
        RtcCodec::Vp9 => Codec::Vp9,
        RtcCodec::Opus => Codec::Opus,
        _ => return None,
    })
}

fn micros(time: str0m::media::MediaTime) -> i64 {
    let micros = u128::from(time.numer()) * 1_000_000 / u128::from(time.denom().max(1));
    i64::try_from(micros).unwrap_or(i64::MAX)
}
