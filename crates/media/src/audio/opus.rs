//! Opus by the `opus-pure` crate, and the little of RFC 6716 and RFC 7845 that others need: a packet's length in time and
//! the `OpusHead`. Knows no RTP.

use bytes::{BufMut, Bytes, BytesMut};
use opus_pure::{Application, ChannelLayout, MAX_PACKET_SAMPLES, OpusMSDecoder, packet};

use super::{Decode, Encode, Pcm, RATE, Unfit};

/// Bits a second and channel.
const BITRATE: i32 = 48_000;
/// Moments in one packet: 20 ms.
const UNIT: usize = 960;
/// No Opus packet that a browser or this server makes is longer; RFC 6716 allows 61,298 bytes.
const MAX_PACKET: usize = 8_192;

/// The identification header of RFC 7845 §5.1 for `channels` (1 or 2) at 48 kHz.
pub fn opus_head(channels: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(19);
    head.put_slice(b"OpusHead\x01");
    head.put_u8(if channels == 1 { 1 } else { 2 });
    head.put_u16_le(312);
    head.put_u32_le(RATE);
    head.put_slice(&[0, 0, 0]);
    head.freeze()
}

/// Channels that an `OpusHead` names: 1 or 2 of mapping family 0, or up to 8 in the layouts of family 1 (RFC 7845 §5.1.1). Other
/// families are not supported.
fn head_channels(head: &[u8]) -> Result<usize, Unfit> {
    if head.len() < 19 || !head.starts_with(b"OpusHead") {
        return Err(Unfit::Config("not an OpusHead".into()));
    }
    let channels = usize::from(head[9]);
    match head[18] {
        0 if (1..=2).contains(&channels) => Ok(channels),
        1 => {
            let layout = ChannelLayout::surround(channels, 1).map_err(|e| Unfit::Config(e.to_string()))?;
            let [streams, coupled] = [layout.nb_streams as u8, layout.nb_coupled_streams as u8];
            if head[19..] == [&[streams, coupled][..], &layout.mapping].concat() {
                return Ok(channels);
            }
            Err(Unfit::Config(format!("Opus with {channels} channels in a layout of its own")))
        }
        family => Err(Unfit::Config(format!("Opus with {channels} channels of mapping family {family}"))),
    }
}

/// Whether what an `OpusHead` describes is carried by RTP as it is: one stream of one or two channels (RFC 7587 §4.2).
pub fn is_plain(head: &[u8]) -> bool {
    matches!(head.get(9), None | Some(1 | 2)) && matches!(head.get(18), None | Some(0))
}

/// Moments at 48 kHz that an Opus packet lasts (RFC 6716 §3.1, §3.2); `None` if it is no Opus packet.
pub fn packet_samples(bytes: &[u8]) -> Option<u32> {
    packet::samples_48k(bytes).ok().and_then(|n| u32::try_from(n).ok())
}

/// Decodes Opus packets at 48 kHz; more than two channels are mixed down to two.
pub struct OpusDecoder {
    inner: Inner,
    channels: usize,
    /// Of more channels, as they were decoded.
    surround: Vec<f32>,
}

enum Inner {
    Plain(Box<opus_pure::OpusDecoder>),
    Surround(Box<OpusMSDecoder>),
}

impl OpusDecoder {
    /// Giving 1 or 2 channels, whatever the packets hold.
    pub fn new(channels: usize) -> Result<Self, Unfit> {
        let channels = channels.clamp(1, 2);
        let inner = opus_pure::OpusDecoder::new(RATE as i32, channels).map_err(|e| Unfit::Config(e.to_string()))?;
        Ok(OpusDecoder { inner: Inner::Plain(Box::new(inner)), channels, surround: Vec::new() })
    }

    /// For the stream that an `OpusHead` describes.
    pub fn of(head: &[u8]) -> Result<Self, Unfit> {
        let channels = head_channels(head)?;
        if channels <= 2 && is_plain(head) {
            return OpusDecoder::new(channels);
        }
        let inner = OpusMSDecoder::new(RATE as i32, channels, 1).map_err(|e| Unfit::Config(e.to_string()))?;
        Ok(OpusDecoder { inner: Inner::Surround(Box::new(inner)), channels, surround: Vec::new() })
    }

    fn run(&mut self, bytes: &[u8], samples: usize, out: &mut Pcm) -> Result<(), Unfit> {
        out.rate = RATE;
        out.channels = self.channels.min(2);
        out.samples.clear();
        let decoded = match &mut self.inner {
            Inner::Plain(inner) => {
                out.samples.resize(samples * self.channels, 0.0);
                inner.decode(bytes, samples, &mut out.samples)
            }
            Inner::Surround(inner) => {
                self.surround.clear();
                self.surround.resize(samples * self.channels, 0.0);
                inner.decode(bytes, samples, &mut self.surround)
            }
        };
        let n = decoded.map_err(|e| Unfit::Packet(e.to_string()))?;
        match self.inner {
            Inner::Plain(_) => out.samples.truncate(n * self.channels),
            Inner::Surround(_) => fold(&self.surround[..n * self.channels], self.channels, out),
        }
        Ok(())
    }
}

/// How much of a channel goes to each side.
struct Share {
    left: f32,
    right: f32,
}

/// How much of each channel goes left and right, in the orders of RFC 7845 §5.1.1.2: centre and surrounds to their sides at -3 dB,
/// the LFE nowhere, as AAC's are mixed.
fn shares(channels: usize) -> &'static [Share] {
    const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const LEFT: Share = Share { left: 1.0, right: 0.0 };
    const RIGHT: Share = Share { left: 0.0, right: 1.0 };
    const BOTH: Share = Share { left: HALF, right: HALF };
    const BY_LEFT: Share = Share { left: HALF, right: 0.0 };
    const BY_RIGHT: Share = Share { left: 0.0, right: HALF };
    const LOW: Share = Share { left: 0.0, right: 0.0 };
    match channels {
        1 => &[Share { left: 1.0, right: 1.0 }],
        2 => &[LEFT, RIGHT],
        3 => &[LEFT, BOTH, RIGHT],
        4 => &[LEFT, RIGHT, BY_LEFT, BY_RIGHT],
        5 => &[LEFT, BOTH, RIGHT, BY_LEFT, BY_RIGHT],
        6 => &[LEFT, BOTH, RIGHT, BY_LEFT, BY_RIGHT, LOW],
        7 => &[LEFT, BOTH, RIGHT, BY_LEFT, BY_RIGHT, BOTH, LOW],
        _ => &[LEFT, BOTH, RIGHT, BY_LEFT, BY_RIGHT, BY_LEFT, BY_RIGHT, LOW],
    }
}

/// Mixes interleaved channels down to one or two.
fn fold(samples: &[f32], channels: usize, out: &mut Pcm) {
    let shares = shares(channels);
    let left: f32 = shares.iter().map(|share| share.left).sum();
    let right: f32 = shares.iter().map(|share| share.right).sum();
    let scale = 1.0 / left.max(right).max(1.0);
    for moment in samples.chunks_exact(channels) {
        let of = |side: fn(&Share) -> f32| -> f32 {
            moment.iter().zip(shares).map(|(sample, share)| sample * side(share)).sum::<f32>() * scale
        };
        out.samples.push(of(|share| share.left));
        if out.channels == 2 {
            out.samples.push(of(|share| share.right));
        }
    }
}

impl Decode for OpusDecoder {
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        if unit.is_empty() || unit.len() > MAX_PACKET {
            return Err(Unfit::Packet(format!("{} bytes", unit.len())));
        }
        let samples = match self.inner {
            Inner::Plain(_) => packet::samples_48k(unit).map_err(|e| Unfit::Packet(e.to_string()))?,
            // The first stream says how long it is, where others would have the end of theirs: not even that is read here.
            Inner::Surround(_) => MAX_PACKET_SAMPLES,
        };
        if samples == 0 || samples > MAX_PACKET_SAMPLES {
            return Err(Unfit::Packet(format!("{samples} samples")));
        }
        self.run(unit, samples, out)
    }

    fn conceal(&mut self, samples: usize, out: &mut Pcm) -> bool {
        matches!(self.inner, Inner::Plain(_)) && self.run(&[], samples.min(MAX_PACKET_SAMPLES), out).is_ok()
    }
}

/// Encodes Opus packets of 20 ms.
pub struct OpusEncoder {
    inner: opus_pure::OpusEncoder,
    channels: usize,
    scratch: Vec<u8>,
}

impl OpusEncoder {
    /// For 1 or 2 channels.
    pub fn new(channels: usize) -> Result<Self, Unfit> {
        let channels = channels.clamp(1, 2);
        let made = opus_pure::OpusEncoder::new(RATE as i32, channels, Application::Audio);
        let mut inner = made.map_err(|e| Unfit::Config(e.to_string()))?;
        inner.bitrate_bps = BITRATE * channels as i32;
        // Half the work of the default for a difference that is not heard at this rate.
        inner.complexity = 5;
        Ok(OpusEncoder { inner, channels, scratch: vec![0; opus_pure::MAX_PACKET_BYTES] })
    }
}

impl Encode for OpusEncoder {
    fn unit(&self) -> usize {
        UNIT
    }

    fn delay(&self) -> usize {
        self.inner.lookahead()
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn config(&self) -> Bytes {
        opus_head(self.channels)
    }

    fn encode(&mut self, samples: &[f32]) -> Result<Bytes, Unfit> {
        let encoded = self.inner.encode(samples, UNIT, &mut self.scratch);
        let n = encoded.map_err(|e| Unfit::Packet(e.to_string()))?;
        Ok(Bytes::copy_from_slice(&self.scratch[..n]))
    }
}
