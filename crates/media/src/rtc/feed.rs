//! One stream as the viewers of one worker get it: frames made into RTP payloads once, in an order that WebRTC can carry.
//! Knows no sessions.

use std::sync::Arc;

use bytes::Bytes;

use super::h264::Picture;
use super::payload::{Format, Payloader};
use crate::audio::is_plain;
use crate::frame::{Codec, Frame, Kind};
use crate::hub::{Item, Reader};

/// Most pictures and payload bytes of a group that a joining viewer is sent at once.
const MOST_PICTURES: usize = 300;
const MOST_BYTES: usize = 4_000_000;

/// Packets of a picture that Chromium puts together.
const BROWSERS: usize = 2_047;

/// What is sent of one frame.
#[derive(Clone)]
pub(super) enum Media {
    /// A picture.
    Picture {
        /// Its payloads.
        picture: Arc<Picture>,
        /// Whether decoding may start here.
        key: bool,
        /// What a decoder must be able to take.
        format: Format,
        /// Whether nothing depends on it, so that it can be left out.
        disposable: bool,
    },
    /// An Opus packet.
    Sound(Arc<[u8]>),
}

/// A frame ready to be sent, shared by all viewers.
#[derive(Clone)]
pub(super) struct Shared {
    /// Presentation time in microseconds.
    pub pts: i64,
    /// What to send.
    pub media: Media,
}

impl Shared {
    /// Bytes of a picture's payloads; none of sound.
    pub fn picture_bytes(&self) -> usize {
        match &self.media {
            Media::Picture { picture, .. } => picture.bytes,
            Media::Sound(_) => 0,
        }
    }

    /// Whether it is a picture rather than sound.
    pub fn is_picture(&self) -> bool {
        matches!(self.media, Media::Picture { .. })
    }
}

/// Why a stream cannot be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// Its pictures are not in presentation order and cannot be left out.
    #[error(
        "the stream has B-frames on which other pictures depend; WebRTC cannot carry them: publish with B-frames off"
    )]
    Reordered,
}

/// Makes frames into payloads.
#[derive(Default)]
pub(super) struct Maker {
    config: Option<(Codec, Bytes)>,
    payloader: Option<Payloader>,
    /// Latest presentation time of a picture.
    latest: Option<i64>,
    /// The highest temporal layer seen.
    top: u8,
    /// Pictures left out because they were out of order.
    pub skipped: u64,
    /// The log says that there are pictures that are too large.
    warned: bool,
    /// The sound is of more streams than RTP carries in a packet.
    surround: bool,
}

impl Maker {
    /// Makes what is to be sent of `frame`, if anything is.
    pub fn make(&mut self, frame: &Frame) -> Result<Option<Shared>, Unfit> {
        let media = match (frame.kind, frame.codec) {
            (Kind::VideoConfig, codec) => {
                self.configure(codec, &frame.payload);
                return Ok(None);
            }
            (Kind::Video, codec) => {
                let Some(payloader) = self.payloader.as_ref().filter(|p| p.format().codec == codec) else {
                    return Ok(None);
                };
                // After a keyframe everything is later than all before it.
                if !frame.key && self.latest.is_some_and(|latest| frame.pts() < latest) {
                    if !payloader.is_disposable(&frame.payload, &mut self.top) {
                        return Err(Unfit::Reordered);
                    }
                    self.skipped += 1;
                    return Ok(None);
                }
                self.latest = Some(frame.pts());
                let picture = frame.derived(|frame| payloader.picture(frame));
                let large =
                    picture.payloads.len() > BROWSERS || picture.payloads.is_empty() && !frame.payload.is_empty();
                if large && !std::mem::replace(&mut self.warned, true) {
                    let bytes = frame.payload.len();
                    let sent = !picture.payloads.is_empty();
                    tracing::warn!(
                        bytes,
                        sent,
                        "a picture of this stream is larger than browsers take by WebRTC (2.3 MB): publish with a lower bitrate"
                    );
                }
                if picture.payloads.is_empty() {
                    return Ok(None);
                }
                let disposable = !frame.key && payloader.is_disposable(&frame.payload, &mut self.top);
                Media::Picture { picture, key: frame.key, format: payloader.format(), disposable }
            }
            (Kind::AudioConfig, Codec::Opus) => {
                let surround = !is_plain(&frame.payload);
                if surround && !std::mem::replace(&mut self.surround, surround) {
                    tracing::warn!("the sound is left out for viewers by WebRTC: Opus of more than two channels");
                }
                self.surround = surround;
                return Ok(None);
            }
            (Kind::Audio, Codec::Opus) if self.surround => return Ok(None),
            (Kind::Audio, Codec::Opus) => {
                let sound = frame.derived(|f| -> Arc<[u8]> { Arc::from(f.payload.as_ref()) });
                Media::Sound(Arc::clone(&sound))
            }
            _ => return Ok(None),
        };
        Ok(Some(Shared { pts: frame.pts(), media }))
    }

    fn configure(&mut self, codec: Codec, config: &Bytes) {
        if self.config.as_ref().is_none_or(|(known, bytes)| *known != codec || bytes != config)
            && let Some(payloader) = Payloader::new(codec, config)
        {
            self.config = Some((codec, config.clone()));
            self.payloader = Some(payloader);
        }
    }

    /// Takes one item of a reader and appends what is to be sent to `out`.
    pub fn item(&mut self, item: &Item, out: &mut Vec<Shared>) -> Result<(), Unfit> {
        match item {
            Item::Tracks(tracks) => {
                for config in [&tracks.video, &tracks.audio].into_iter().flatten() {
                    self.make(config)?;
                }
            }
            Item::Frame(frame) => out.extend(self.make(frame)?),
            Item::Burst(burst) => {
                for frame in &burst.frames {
                    out.extend(self.make(frame)?);
                }
            }
        }
        Ok(())
    }
}

/// What a reader that started with the group of pictures finds there: from the key picture on, if it is not too much.
/// Otherwise empty: the viewer starts with the next key picture.
pub(super) fn backlog(reader: &mut Reader) -> Result<Vec<Shared>, Unfit> {
    let mut maker = Maker::default();
    let mut found = Vec::new();
    while let Some(item) = reader.try_next() {
        maker.item(&item, &mut found)?;
    }
    let count = found.iter().filter(|shared| shared.is_picture()).count();
    let bytes: usize = found.iter().map(Shared::picture_bytes).sum();
    let starts = found.iter().find_map(|s| match s.media {
        Media::Picture { key, .. } => Some(key),
        Media::Sound(_) => None,
    });
    if count > MOST_PICTURES || bytes > MOST_BYTES || starts != Some(true) {
        found.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVCC: &[u8] = b"\x01\x4d\x40\x1f\xff\xe1\x00\x04\x67\x4d\x40\x1f\x01\x00\x03\x68\xce\x3c";

    /// A picture: decoded at, shown later by, key, and the first byte of its slice.
    fn picture(dts: i64, cts: i32, key: bool, head: u8) -> Frame {
        Frame::video(Codec::H264, dts, cts, key, vec![0, 0, 0, 3, head, 1, 2].into())
    }

    fn made(frames: impl IntoIterator<Item = Frame>) -> Result<Vec<i64>, Unfit> {
        let mut maker = Maker::default();
        maker.make(&Frame::config(Codec::H264, 0, Bytes::from_static(AVCC)))?;
        let mut times = Vec::new();
        for frame in frames {
            times.extend(maker.make(&frame)?.map(|shared| shared.pts));
        }
        Ok(times)
    }

    #[test]
    fn pictures_between_others_are_left_out_where_nothing_depends_on_them() {
        // I P b P b: in the order of decoding, the Bs shown before the P that came first.
        let stream = [
            picture(0, 40, true, 0x65),
            picture(40, 80, false, 0x41),
            picture(80, 0, false, 0x01),
            picture(120, 80, false, 0x41),
            picture(160, 0, false, 0x01),
        ];
        assert_eq!(made(stream), Ok(vec![40, 120, 200]));
    }

    #[test]
    fn opus_of_more_than_two_channels_is_left_out() {
        let mut maker = Maker::default();
        let head = |channels: u8, family: u8| {
            let head = [&b"OpusHead\x01"[..], &[channels, 0, 0, 0, 0, 0, 0, 0, 0, family]].concat();
            Frame::config(Codec::Opus, 0, head.into())
        };
        let mut heard = |config: Frame| {
            maker.make(&config).unwrap();
            maker.make(&Frame::audio(Codec::Opus, 0, Bytes::from_static(b"\xf8\xff\xfe"))).unwrap().is_some()
        };
        assert!(heard(head(2, 0)) && !heard(head(6, 1)) && heard(head(1, 0)));
    }

    #[test]
    fn pictures_between_others_that_others_depend_on_are_refused_with_a_reason() {
        let stream = [picture(0, 80, true, 0x65), picture(40, 160, false, 0x61), picture(80, 40, false, 0x41)];
        let unfit = made(stream).unwrap_err();
        assert_eq!(unfit, Unfit::Reordered);
        assert!(unfit.to_string().contains("publish with B-frames off"), "{unfit}");
    }
}
