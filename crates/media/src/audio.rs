//! AAC ⇄ Opus, and MP3 and G.711 into either: [`Transcoder`] is a machine without IO that takes access units with their times and gives access units
//! with theirs. Knows codecs only through [`Decode`] and [`Encode`]; knows no streams, tasks or clocks.

mod aac;
mod g711;
mod mp3;
mod opus;
mod resample;
mod sbr;
mod timeline;

pub use aac::{AacDecoder, AacEncoder};
pub use g711::{G711Decoder, Law};
pub use mp3::Mp3Decoder;
pub use opus::{OpusDecoder, OpusEncoder, is_plain, opus_head, packet_samples};
pub use resample::Resampler;

use bytes::Bytes;
use timeline::Timeline;

/// The rate everything is encoded at: Opus knows no other, and AAC is as good at it as at any.
pub const RATE: u32 = 48_000;

/// Why a piece of audio cannot be handled. None of them ends a transcoder: what was broken becomes silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The configuration describes something this server cannot decode; the text says what.
    #[error("audio configuration not supported: {0}")]
    Config(String),
    /// The packet is no valid unit of its codec.
    #[error("broken audio packet: {0}")]
    Packet(String),
}

/// Decoded audio: interleaved samples, nominally within ±1.0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pcm {
    /// Samples a second and channel.
    pub rate: u32,
    /// 1 or 2.
    pub channels: usize,
    /// `channels` values for each moment.
    pub samples: Vec<f32>,
}

impl Pcm {
    /// Moments held: samples per channel.
    pub fn len(&self) -> usize {
        self.samples.len() / self.channels.max(1)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

/// A decoder of one codec, configured for one stream.
pub trait Decode: Send {
    /// Decodes one access unit into `out`, replacing what it held. After an error the decoder is ready for the next.
    fn decode(&mut self, unit: &[u8], out: &mut Pcm) -> Result<(), Unfit>;

    /// Fills `out` with what most likely stood in a lost unit of `samples` moments. Returns whether it could.
    fn conceal(&mut self, samples: usize, out: &mut Pcm) -> bool;
}

/// An encoder of one codec for audio at [`RATE`].
pub trait Encode: Send {
    /// Moments in one access unit.
    fn unit(&self) -> usize;
    /// Moments by which the decoded signal lags behind the one put in.
    fn delay(&self) -> usize;
    /// Channels it takes, 1 or 2.
    fn channels(&self) -> usize;
    /// The codec configuration, in the form of [`Output::Config`].
    fn config(&self) -> Bytes;
    /// Encodes exactly [`Encode::unit`] interleaved moments within ±1.0 into one access unit.
    fn encode(&mut self, samples: &[f32]) -> Result<Bytes, Unfit>;
}

/// What to make of the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// AAC-LC at 48 kHz, 1024 moments a unit, 64 kbit/s a channel.
    Aac,
    /// Opus, 20 ms a packet, 48 kbit/s a channel.
    Opus,
}

/// What comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// AAC; configured by an `AudioSpecificConfig`.
    Aac,
    /// Opus; configured by an `OpusHead`, or by nothing (then stereo).
    Opus,
    /// G.711; not configured. A unit is what FLV has for one, whose first byte tells of channels.
    G711(Law),
    /// MP3; not configured.
    Mp3,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Configuration of what follows: an `AudioSpecificConfig` or an `OpusHead`. Always before the first unit.
    Config(Bytes),
    /// One access unit and its time in microseconds, on the clock of the input.
    Unit(i64, Bytes),
}

/// Longest loss that is concealed rather than silent, in moments at [`RATE`] (100 ms).
const MOST_CONCEALED: i64 = 4_800;

/// Audio of one codec in, of the other out, continuous in time.
///
/// Times are microseconds. Gaps of more than 40 ms become silence, overlaps of more than 40 ms are cut, and a clock that
/// runs a little fast or slow is followed by stretching (up to 0.1 %), so that audio stays with the pictures for days.
pub struct Transcoder {
    source: Source,
    target: Target,
    decoder: Option<Box<dyn Decode>>,
    encoder: Option<Box<dyn Encode>>,
    resampler: Option<Resampler>,
    timeline: Timeline,
    decoded: Pcm,
    /// Interleaved moments at [`RATE`] in the encoder's channels.
    block: Vec<f32>,
    queue: Vec<f32>,
    announced: bool,
    broken: u64,
    /// Why nothing can be decoded until another configuration comes.
    unfit: Option<Unfit>,
    /// Units in a row that could not be decoded.
    failing: u32,
}

impl Transcoder {
    /// A transcoder that has seen nothing yet. AAC says nothing without its configuration, so units before
    /// [`Transcoder::configure`] are dropped; others need none.
    pub fn new(source: Source, target: Target) -> Self {
        Transcoder {
            source,
            target,
            decoder: None,
            encoder: None,
            resampler: None,
            timeline: Timeline::default(),
            decoded: Pcm::default(),
            block: Vec::new(),
            queue: Vec::new(),
            announced: false,
            broken: 0,
            unfit: None,
            failing: 0,
        }
    }

    /// Takes a codec configuration; may come again in mid-stream, the output goes on as it was. On an error nothing
    /// can be decoded until a better one comes.
    pub fn configure(&mut self, config: &[u8]) -> Result<(), Unfit> {
        let made: Result<Box<dyn Decode>, Unfit> = match self.source {
            Source::Aac => AacDecoder::new(config).map(|decoder| Box::new(decoder) as _),
            Source::Opus => OpusDecoder::of(config).map(|decoder| Box::new(decoder) as _),
            Source::G711(law) => Ok(Box::new(G711Decoder::new(law))),
            Source::Mp3 => Ok(Box::new(Mp3Decoder::default())),
        };
        self.unfit = made.as_ref().err().cloned();
        self.decoder = made.ok();
        self.unfit.clone().map_or(Ok(()), Err)
    }

    /// Takes one access unit with its time and appends what is complete to `out`. An error tells of the unit, whose
    /// place is filled with silence.
    pub fn push(&mut self, at: i64, unit: &[u8], out: &mut Vec<Output>) -> Result<(), Unfit> {
        let result = self.unit(at, unit, out);
        self.failing = if result.is_ok() { 0 } else { self.failing.saturating_add(1) };
        result
    }

    /// How many units in a row could not be decoded.
    pub fn failing(&self) -> u32 {
        self.failing
    }

    fn unit(&mut self, at: i64, unit: &[u8], out: &mut Vec<Output>) -> Result<(), Unfit> {
        if let Some(unfit) = &self.unfit {
            return Err(unfit.clone());
        }
        if self.decoder.is_none() {
            self.decoder = match self.source {
                Source::Aac => None,
                Source::Opus => Some(Box::new(OpusDecoder::new(2)?)),
                Source::G711(law) => Some(Box::new(G711Decoder::new(law))),
                Source::Mp3 => Some(Box::new(Mp3Decoder::default())),
            };
        }
        let Some(decoder) = self.decoder.as_mut() else {
            return Err(Unfit::Config("none came before the first unit".into()));
        };
        let missing = self.timeline.missing(at);
        if self.source == Source::Opus && (480..=MOST_CONCEALED).contains(&missing) {
            let samples = usize::try_from(missing).unwrap_or(0) / 480 * 480;
            if decoder.conceal(samples, &mut self.decoded) {
                let lost = i64::try_from(self.decoded.len()).unwrap_or(0) * 1_000_000 / i64::from(RATE);
                self.take(at.saturating_sub(lost), out);
            }
        }
        let Some(decoder) = self.decoder.as_mut() else { return Ok(()) };
        let result = decoder.decode(unit, &mut self.decoded);
        if result.is_err() {
            self.broken = self.broken.saturating_add(1);
            // The last unit's length is the best guess at this one's.
            self.decoded.samples.iter_mut().for_each(|s| *s = 0.0);
        }
        self.take(at, out);
        result
    }

    /// Units that could not be decoded so far.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// Brings what was decoded to the encoder's form and place in time, and encodes what is complete.
    fn take(&mut self, at: i64, out: &mut Vec<Output>) {
        if self.decoded.is_empty() {
            return;
        }
        let encoder = match self.encoder.as_mut() {
            Some(encoder) => encoder,
            None => match new_encoder(self.target, self.decoded.channels) {
                Ok(encoder) => self.encoder.insert(encoder),
                Err(_) => return,
            },
        };
        let channels = encoder.channels();
        rechannel(&mut self.decoded, channels);
        self.block.clear();
        if self.decoded.rate == RATE {
            self.block.extend_from_slice(&self.decoded.samples);
        } else {
            let fits = |r: &Resampler| r.from() == self.decoded.rate && r.channels() == channels;
            if !self.resampler.as_ref().is_some_and(fits) {
                self.resampler = Resampler::new(self.decoded.rate, RATE, channels);
            }
            let Some(resampler) = self.resampler.as_mut() else { return };
            resampler.push(&self.decoded.samples, &mut self.block);
        }
        if !self.announced {
            self.announced = true;
            out.push(Output::Config(encoder.config()));
        }
        let unit = encoder.unit() * channels;
        self.timeline.place(at, channels, &mut self.block, &mut self.queue);
        let mut done = 0;
        while self.queue.len() - done >= unit {
            let piece = &mut self.queue[done..done + unit];
            for sample in piece.iter_mut() {
                *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            }
            let at = self.timeline.taken(encoder.unit(), encoder.delay());
            match encoder.encode(piece) {
                Ok(bytes) => out.push(Output::Unit(at, bytes)),
                // An encoder that failed once may fail for good: the next unit gets a fresh one.
                Err(_) => {
                    self.broken = self.broken.saturating_add(1);
                    if let Ok(fresh) = new_encoder(self.target, channels) {
                        *encoder = fresh;
                    }
                }
            }
            done += unit;
        }
        self.queue.drain(..done);
    }
}

fn new_encoder(target: Target, channels: usize) -> Result<Box<dyn Encode>, Unfit> {
    Ok(match target {
        Target::Aac => Box::new(AacEncoder::new(channels)?),
        Target::Opus => Box::new(OpusEncoder::new(channels)?),
    })
}

/// Mono to stereo by doubling, stereo to mono by the mean.
fn rechannel(pcm: &mut Pcm, channels: usize) {
    if pcm.channels == channels {
        return;
    }
    pcm.samples = match channels {
        1 => pcm.samples.chunks_exact(2).map(|s| (s[0] + s[1]) * 0.5).collect(),
        _ => pcm.samples.iter().flat_map(|&s| [s, s]).collect(),
    };
    pcm.channels = channels;
}

#[cfg(test)]
mod tests;
