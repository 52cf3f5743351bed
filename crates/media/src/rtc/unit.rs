//! What str0m puts together of a publisher's packets, as the hub has it: the form of the payload, whether decoding may start
//! there, and the configuration where the stream brings it in band.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::h264::{self, Parameters, annex_b};
use crate::codec::{av1, hevc, vpx};
use crate::frame::Codec;

/// One picture as the hub has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// A configuration that is not the one before.
    pub config: Option<Bytes>,
    /// Empty: there is no picture in it.
    pub payload: Bytes,
    /// Whether decoding may start here.
    pub key: bool,
}

/// Turns the pictures of one track into the hub's form.
#[derive(Default)]
pub(super) struct Units {
    /// Parameter sets, of H.265 VPS first.
    sets: [Option<Bytes>; 3],
    config: Option<Bytes>,
}

impl Units {
    /// Whether readers can be told what the stream is.
    pub fn is_configured(&self) -> bool {
        self.config.is_some()
    }

    /// Takes one picture.
    pub fn take(&mut self, codec: Codec, data: &Arc<[u8]>) -> Unit {
        match codec {
            Codec::H264 => self.h264(data),
            Codec::H265 => self.h265(data),
            Codec::Av1 => self.av1(data),
            _ => {
                let config = vpx::config(codec, data);
                let key = config.is_some();
                let config = self.changed(config);
                Unit { config, payload: Bytes::from_owner(Arc::clone(data)), key }
            }
        }
    }

    fn h264(&mut self, data: &[u8]) -> Unit {
        let unit = h264::unit(data);
        let [_, sps, pps] = &mut self.sets;
        *sps = unit.sps.or(sps.take());
        *pps = unit.pps.or(pps.take());
        let config = sps.as_ref().zip(pps.as_ref()).and_then(|(sps, pps)| Parameters::write(sps, pps));
        Unit { config: self.changed(config), payload: unit.payload, key: unit.key }
    }

    fn h265(&mut self, data: &[u8]) -> Unit {
        let mut payload = BytesMut::with_capacity(data.len() + 16);
        let mut key = false;
        for nal in annex_b(data) {
            match hevc::kind(nal) {
                kind @ hevc::VPS..=hevc::PPS => {
                    self.sets[usize::from(kind - hevc::VPS)] = Some(Bytes::copy_from_slice(nal))
                }
                hevc::AUD | hevc::FILLER => {}
                kind => {
                    key |= hevc::is_key(kind);
                    payload.put_u32(u32::try_from(nal.len()).unwrap_or(0));
                    payload.put_slice(nal);
                }
            }
        }
        let config = match &self.sets {
            [Some(vps), Some(sps), Some(pps)] if key => hevc::config(vps, sps, pps),
            _ => None,
        };
        Unit { config: self.changed(config), payload: payload.freeze(), key }
    }

    fn av1(&mut self, data: &[u8]) -> Unit {
        let config = av1::config(data);
        let key = config.is_some();
        let mut payload = BytesMut::with_capacity(data.len());
        av1::units(data).filter(av1::Obu::is_sent).for_each(|obu| payload.put_slice(obu.whole));
        Unit { config: self.changed(config), payload: payload.freeze(), key }
    }

    fn changed(&mut self, config: Option<Bytes>) -> Option<Bytes> {
        let config = config.filter(|config| self.config.as_ref() != Some(config))?;
        self.config = Some(config.clone());
        Some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_told_when_they_change() {
        let mut units = Units::default();
        let stream: Arc<[u8]> =
            [&b"\0\0\0\x01\x67\x42\xe0\x1f\x01"[..], b"\0\0\0\x01\x68\xce\x09", b"\0\0\0\x01\x65\x01\x02"]
                .concat()
                .into();
        assert!(!units.is_configured());
        let first = units.take(Codec::H264, &stream);
        assert!(first.config.is_some() && first.key);
        assert_eq!(&first.payload[..], b"\0\0\0\x03\x65\x01\x02");
        assert_eq!(units.take(Codec::H264, &stream).config, None);
        assert!(units.is_configured());
    }

    #[test]
    fn a_keyframe_of_vp8_says_how_large_it_is() {
        let mut units = Units::default();
        let key: Arc<[u8]> = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x41][..].into();
        let unit = units.take(Codec::Vp8, &key);
        let info = crate::codec::VideoInfo::of(Codec::Vp8, &unit.config.unwrap());
        assert_eq!((unit.key, info.width, info.height), (true, 640, 360));
        let delta: Arc<[u8]> = [0x11, 0x02, 0x00][..].into();
        assert_eq!(units.take(Codec::Vp8, &delta), Unit { config: None, payload: delta.to_vec().into(), key: false });
    }

    #[test]
    fn av1_starts_with_a_sequence_header() {
        let mut units = Units::default();
        let key: Arc<[u8]> = b"\x12\x00\x0a\x0b\x02\x00\x00\x05\x21\xe7\xfd\xe3\x57\xcc\x02\x32\x01\x10"[..].into();
        let unit = units.take(Codec::Av1, &key);
        assert!(unit.key && unit.config.is_some());
        assert_eq!(&unit.payload[..], &key[2..], "without the delimiter");
        let delta: Arc<[u8]> = b"\x32\x01\x30"[..].into();
        assert_eq!(units.take(Codec::Av1, &delta), Unit { config: None, payload: delta.to_vec().into(), key: false });
    }
}
