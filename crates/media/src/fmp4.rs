//! Fragmented MP4 (ISO/IEC 14496-12): the init segment of a stream's tracks, and fragments that can each be appended to
//! what was written before. Knows no playlist and no file.

mod boxes;
mod index;
mod measure;
mod muxer;
mod only;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{AudioInfo, VideoInfo, vpx};
use crate::frame::{Codec, Frame};
use boxes::{boxed, full};

pub use index::Index;
pub use measure::{Played, played};
pub use muxer::{Fragment, Muxer};
pub use only::{PICTURES, SOUND, only, only_init};

/// Ticks a second of video tracks.
const VIDEO_RATE: u32 = 90_000;
/// Width, height, rotation: none of them.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `sample_flags`: depends on nothing.
const SYNC: u32 = 0x0200_0000;
/// `sample_flags`: depends on others, no place to start.
const DELTA: u32 = 0x0101_0000;

/// One track of a file.
struct Track {
    id: u32,
    video: bool,
    /// Ticks a second: [`VIDEO_RATE`], or the sample rate of audio.
    rate: u32,
    /// 0 by 0 for audio.
    size: (u16, u16),
    place: Place,
    /// The entry of the sample table that tells a decoder all it needs.
    entry: Bytes,
}

/// What a track is among those of its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The only one.
    Only,
    /// The one that is played unless another is chosen.
    First,
    /// One that can be chosen.
    Other,
}

/// One unit of a track, in the track's ticks.
struct Sample {
    duration: u32,
    cts: i32,
    key: bool,
    payload: Bytes,
}

/// Consecutive samples of one track.
struct Run<'a> {
    track: &'a Track,
    start: u64,
    samples: &'a [Sample],
}

impl Track {
    /// The track that a configuration describes. `None` for codecs that this container is not written with (sound that
    /// is only passed on) and for configurations cut short.
    fn new(id: u32, config: &Frame) -> Option<Self> {
        let payload = &config.payload[..];
        match config.codec {
            Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Vp8 | Codec::Vp9 => {
                let info = VideoInfo::of(config.codec, payload);
                let size = (u16::try_from(info.width).ok()?, u16::try_from(info.height).ok()?);
                let (entry, inner, record) = match config.codec {
                    Codec::H264 => (b"avc1", b"avcC", payload),
                    Codec::H265 => (b"hvc1", b"hvcC", payload),
                    Codec::Vp8 => (b"vp08", b"vpcC", vpx::record(payload)),
                    Codec::Vp9 => (b"vp09", b"vpcC", vpx::record(payload)),
                    _ => (b"av01", b"av1C", payload),
                };
                let entry = boxes::visual(entry, size, inner, record);
                (!info.mime.is_empty()).then_some(Track {
                    id,
                    video: true,
                    rate: VIDEO_RATE,
                    size,
                    place: Place::Only,
                    entry,
                })
            }
            Codec::Aac | Codec::Opus => {
                let info = AudioInfo::of(config.codec, payload);
                let entry = match config.codec {
                    Codec::Opus => boxes::opus(payload)?,
                    _ => boxes::aac(payload, info.channels, info.sample_rate),
                };
                let known = info.sample_rate > 0;
                let track = Track { id, video: false, rate: info.sample_rate, size: (0, 0), place: Place::Only, entry };
                known.then_some(track)
            }
            _ => None,
        }
    }
}

/// `ftyp` and `moov`; the latter holds a duration of 0, which [`set_duration`] can write over.
fn init(tracks: &[&Track]) -> Bytes {
    let mut out = BytesMut::with_capacity(1536);
    boxed(&mut out, b"ftyp", |out| out.put_slice(b"iso6\0\0\0\x01iso6cmfcmp41"));
    boxed(&mut out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            words(out, &[0, 0, 1000, 0, 0x1_0000, 0x0100_0000, 0, 0]);
            words(out, &MATRIX);
            words(out, &[0; 6]);
            out.put_u32(tracks.iter().map(|t| t.id + 1).max().unwrap_or(1));
        });
        for track in tracks {
            boxed(out, b"trak", |out| trak(out, track));
        }
        boxed(out, b"mvex", |out| {
            full(out, b"mehd", 0, 0, |out| out.put_u32(0));
            for track in tracks {
                full(out, b"trex", 0, 0, |out| words(out, &[track.id, 1, 0, 0, 0]));
            }
        });
    });
    out.freeze()
}

/// Where in an init segment the duration in milliseconds stands (32 bits, `mehd`).
pub(crate) fn duration_at(init: &[u8]) -> Option<usize> {
    init.windows(4).position(|w| w == b"mehd").map(|at| at + 8)
}

/// Where in an init segment the kind of an H.264 track's entry stands, if it has one.
pub(crate) fn avc_at(init: &[u8]) -> Option<usize> {
    init.windows(4).position(|w| w == b"avc1")
}

fn trak(out: &mut BytesMut, track: &Track) {
    let video = track.video;
    // Enabled, in the movie, in the preview. Players that know nothing of alternate groups play all that are enabled.
    let flags = if track.place == Place::Other { 6 } else { 7 };
    full(out, b"tkhd", 0, flags, |out| {
        let group = u32::from(track.place != Place::Only);
        words(out, &[0, 0, track.id, 0, 0, 0, 0, group]);
        out.put_u32(if video { 0 } else { 0x0100_0000 });
        words(out, &MATRIX);
        words(out, &[u32::from(track.size.0) << 16, u32::from(track.size.1) << 16]);
    });
    boxed(out, b"mdia", |out| {
        // Language "und".
        full(out, b"mdhd", 0, 0, |out| words(out, &[0, 0, track.rate, 0, 0x55c4_0000]));
        full(out, b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.put_slice(if video { b"vide" } else { b"soun" });
            words(out, &[0; 3]);
            out.put_slice(if video { b"video\0" } else { b"audio\0" });
        });
        boxed(out, b"minf", |out| {
            if video {
                full(out, b"vmhd", 0, 1, |out| words(out, &[0, 0]))
            } else {
                full(out, b"smhd", 0, 0, |out| words(out, &[0]))
            }
            boxed(out, b"dinf", |out| {
                full(out, b"dref", 0, 0, |out| {
                    out.put_u32(1);
                    full(out, b"url ", 0, 1, |_| {});
                });
            });
            boxed(out, b"stbl", |out| {
                full(out, b"stsd", 0, 0, |out| {
                    out.put_u32(1);
                    out.put_slice(&track.entry);
                });
                full(out, b"stts", 0, 0, |out| words(out, &[0]));
                full(out, b"stsc", 0, 0, |out| words(out, &[0]));
                full(out, b"stsz", 0, 0, |out| words(out, &[0, 0]));
                full(out, b"stco", 0, 0, |out| words(out, &[0]));
            });
        });
    });
}

/// `moof` and `mdat`.
fn fragment(sequence: u32, runs: &[Run<'_>]) -> Bytes {
    let payload: usize = runs.iter().flat_map(|r| r.samples).map(|s| s.payload.len()).sum();
    let count: usize = runs.iter().map(|r| r.samples.len()).sum();
    let mut out = BytesMut::with_capacity(payload + 16 * count + 256);
    let mut offsets = Vec::with_capacity(runs.len());
    boxed(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for run in runs {
            boxed(out, b"traf", |out| {
                // Offsets count from the start of this moof.
                full(out, b"tfhd", 0, 0x2_0000, |out| out.put_u32(run.track.id));
                full(out, b"tfdt", 1, 0, |out| out.put_u64(run.start));
                // Data offset; each sample's duration, size, flags and (signed) composition offset.
                full(out, b"trun", 1, 0xf01, |out| {
                    out.put_u32(run.samples.len() as u32);
                    offsets.push(out.len());
                    out.put_u32(0);
                    for s in run.samples {
                        let flags = if s.key { SYNC } else { DELTA };
                        words(out, &[s.duration, s.payload.len() as u32, flags]);
                        out.put_i32(s.cts);
                    }
                });
            });
        }
    });
    let mut at = out.len() + 8;
    for (run, place) in runs.iter().zip(offsets) {
        out[place..place + 4].copy_from_slice(&(at as u32).to_be_bytes());
        at += run.samples.iter().map(|s| s.payload.len()).sum::<usize>();
    }
    boxed(&mut out, b"mdat", |out| {
        for sample in runs.iter().flat_map(|r| r.samples) {
            out.put_slice(&sample.payload);
        }
    });
    out.freeze()
}

fn words(out: &mut BytesMut, words: &[u32]) {
    for word in words {
        out.put_u32(*word);
    }
}
