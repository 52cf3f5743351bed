//! Opus by the `opus-pure` crate, and the little of RFC 6716 and RFC 7845 that others need: a packet's length in time and
//! the `OpusHead`. Knows no RTP.

use bytes::{BufMut, Bytes, BytesMut};
use opus_pure::{Application, MAX_PACKET_SAMPLES, packet};

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

/// Channels (1 or 2) that an `OpusHead` names. More, and mapping families other than 0, are not supported.
pub(super) fn head_channels(head: &[u8]) -> Result<usize, Unfit> {
    let fits = head.len() >= 19 && head.starts_with(b"OpusHead");
    match (fits, head.get(9), head.get(18)) {
        (true, Some(&n @ (1 | 2)), Some(0)) => Ok(usize::from(n)),
        (true, Some(n), _) => Err(Unfit::Config(format!("Opus with {n} channels or a channel mapping"))),
        _ => Err(Unfit::Config("not an OpusHead".into())),
    }
}

/// Moments at 48 kHz that an Opus packet lasts (RFC 6716 §3.1, §3.2); `None` if it is no Opus packet.
pub fn packet_samples(bytes: &[u8]) -> Option<u32> {
    packet::samples_48k(bytes).ok().and_then(|n| u32::try_from(n).ok())
}

/// Decodes Opus packets at 48 kHz.
pub struct OpusDecoder {
    inner: opus_pure::OpusDecoder,
    channels: usize,
}

impl OpusDecoder {
    /// Giving 1 or 2 channels, whatever the packets hold.
    pub fn new(channels: usize) -> Result<Self, Unfit> {
        let channels = channels.clamp(1, 2);
        let inner = opus_pure::OpusDecoder::new(RATE as i32, channels).map_err(|e| Unfit::Config(e.to_string()))?;
        Ok(OpusDecoder { inner, channels })
    }

    fn run(&mut self, bytes: &[u8], samples: usize, out: &mut Pcm) -> Result<(), Unfit> {
        out.rate = RATE;
        out.channels = self.channels;
        out.samples.clear();
        out.samples.resize(samples * self.channels, 0.0);
        let decoded = self.inner.decode(bytes, samples, &mut out.samples);
        let n = decoded.map_err(|e| Unfit::Packet(e.to_string()))?;
        out.samples.truncate(n * self.channels);
        Ok(())
    }
}

impl Decode for OpusDecoder {
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit> {
        if unit.is_empty() || unit.len() > MAX_PACKET {
            return Err(Unfit::Packet(format!("{} bytes", unit.len())));
        }
        let samples = packet::samples_48k(unit).map_err(|e| Unfit::Packet(e.to_string()))?;
        if samples == 0 || samples > MAX_PACKET_SAMPLES {
            return Err(Unfit::Packet(format!("{samples} samples")));
        }
        self.run(unit, samples, out)
    }

    fn conceal(&mut self, samples: usize, out: &mut Pcm) -> bool {
        self.run(&[], samples.min(MAX_PACKET_SAMPLES), out).is_ok()
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
