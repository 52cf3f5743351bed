//! H.264 between its three forms: avcC and length-prefixed NAL units (the hub), Annex B (str0m's frames), RTP payloads of
//! packetization mode 1 (RFC 6184). Pure; trusts no length.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// Most bytes of one RTP payload: with headers, extensions and SRTP it stays below 1232, which every path carries.
pub(super) const MAX_PAYLOAD: usize = 1_160;
/// Most payloads of one picture (4.6 MB); a larger one is not sent. Viewers keep as many to be sent again.
pub(super) const MAX_PAYLOADS: usize = 4_000;

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const AUD: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| b & 0x1f)
}

/// What avcC says: the parameter sets, and how long the lengths in access units are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameters {
    /// Bytes of each NAL unit's length, 1 to 4.
    pub length_size: usize,
    /// Sequence, then picture parameter sets, without start codes.
    pub sets: Vec<Bytes>,
    /// `profile_idc`, constraint flags, `level_idc`, as in `profile-level-id`.
    pub profile: [u8; 3],
}

impl Parameters {
    /// Reads avcC (ISO/IEC 14496-15 §5.3.3.1). `None` when it is cut short.
    pub fn read(avcc: &Bytes) -> Option<Self> {
        let &[_, profile, compat, level, lengths, ..] = avcc.as_ref() else { return None };
        let mut sets = Vec::new();
        let mut at = 5;
        for mask in [0x1f, 0xff] {
            let count = avcc.get(at)? & mask;
            at += 1;
            for _ in 0..count {
                let length = usize::from(u16::from_be_bytes([*avcc.get(at)?, *avcc.get(at + 1)?]));
                let end = at + 2 + length;
                avcc.get(at + 2..end)?;
                sets.push(avcc.slice(at + 2..end));
                at = end;
            }
        }
        let length_size = usize::from(lengths & 3) + 1;
        Some(Parameters { length_size, sets, profile: [profile, compat, level] })
    }

    /// Writes avcC for one sequence and one picture parameter set. `None` if they are none.
    pub fn write(sps: &[u8], pps: &[u8]) -> Option<Bytes> {
        let &[_, profile, compat, level, ..] = sps else { return None };
        let sps_len = u16::try_from(sps.len()).ok()?;
        let pps_len = u16::try_from(pps.len()).ok()?;
        let mut out = BytesMut::with_capacity(16 + sps.len() + pps.len());
        out.put_slice(&[1, profile, compat, level, 0xff, 0xe1]);
        out.put_u16(sps_len);
        out.put_slice(sps);
        out.put_u8(1);
        out.put_u16(pps_len);
        out.put_slice(pps);
        if matches!(profile, 100 | 110 | 122 | 144) {
            // 4:2:0 with 8 bits: no browser sends anything else.
            out.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
        }
        Some(out.freeze())
    }
}

/// The NAL units of a length-prefixed access unit, up to the first length that lies; none where lengths have no bytes.
pub(super) fn units(mut bytes: &[u8], length_size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (prefix, rest) = bytes.split_at_checked(length_size).filter(|_| length_size > 0)?;
            let length = prefix.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            let (nal, rest) = rest.split_at_checked(length)?;
            bytes = rest;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// The NAL units of an Annex B byte stream.
pub(super) fn annex_b(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start = |from: usize| {
        let at = from + memchr::memmem::find(bytes.get(from..)?, &[0, 0, 1])?;
        Some((at, at + 3))
    };
    let mut next = start(0);
    std::iter::from_fn(move || {
        loop {
            let (_, from) = next?;
            next = start(from);
            let mut nal = &bytes[from..next.map_or(bytes.len(), |(at, _)| at)];
            // Zeros before a start code are its own or trailing ones; no NAL unit ends in one.
            while let [head @ .., 0] = nal {
                nal = head;
            }
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// An access unit from the wire, taken apart.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// Length-prefixed (4 bytes) NAL units without parameter sets and delimiters.
    pub payload: Bytes,
    /// Whether decoding may start here.
    pub key: bool,
    /// A parameter set that came with it.
    pub sps: Option<Bytes>,
    /// The other.
    pub pps: Option<Bytes>,
}

/// Takes an Annex B access unit apart.
pub(super) fn unit(bytes: &[u8]) -> Unit {
    let mut unit = Unit::default();
    let mut payload = BytesMut::with_capacity(bytes.len() + 16);
    for nal in annex_b(bytes) {
        match kind(nal) {
            SPS => unit.sps = Some(Bytes::copy_from_slice(nal)),
            PPS => unit.pps = Some(Bytes::copy_from_slice(nal)),
            AUD | FILLER => {}
            kind => {
                unit.key |= kind == IDR;
                payload.put_u32(u32::try_from(nal.len()).unwrap_or(0));
                payload.put_slice(nal);
            }
        }
    }
    unit.payload = payload.freeze();
    unit
}

/// Whether no other picture depends on this one (all its slices have `nal_ref_idc` 0).
pub(super) fn disposable(payload: &[u8], length_size: usize) -> bool {
    let mut slices = units(payload, length_size).filter(|nal| (SLICE..=IDR).contains(&kind(nal))).peekable();
    slices.peek().is_some() && slices.all(|nal| nal.first().is_some_and(|b| b & 0x60 == 0))
}

/// RTP payloads of one picture, made once for all viewers; the last one bears the marker.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Payloads in order.
    pub payloads: Vec<Arc<[u8]>>,
    /// Their bytes.
    pub bytes: usize,
}

impl Picture {
    /// Cuts an access unit into payloads. A key picture gets the parameter sets before it unless it brings its own.
    pub fn new(payload: &[u8], key: bool, parameters: &Parameters) -> Self {
        let own = |k: u8| units(payload, parameters.length_size).any(|nal| kind(nal) == k);
        let sets: &[Bytes] = if key && !own(SPS) { &parameters.sets } else { &[] };
        let nals = units(payload, parameters.length_size).filter(|nal| !matches!(kind(nal), AUD | FILLER));
        let mut picture = Picture::default();
        let mut small: Vec<&[u8]> = Vec::new();
        for nal in sets.iter().map(|s| s.as_ref()).filter(|s| !s.is_empty()).chain(nals) {
            if nal.len() > MAX_PAYLOAD {
                picture.aggregate(&mut small);
                picture.fragment(nal);
                continue;
            }
            if 1 + small.iter().map(|n| n.len() + 2).sum::<usize>() + nal.len() + 2 > MAX_PAYLOAD {
                picture.aggregate(&mut small);
            }
            small.push(nal);
        }
        picture.aggregate(&mut small);
        Picture::of(picture.payloads)
    }

    /// A picture of these payloads; none if they are too many.
    pub fn of(payloads: Vec<Arc<[u8]>>) -> Self {
        if payloads.len() > MAX_PAYLOADS {
            return Picture::default();
        }
        let bytes = payloads.iter().map(|payload| payload.len()).sum();
        Picture { payloads, bytes }
    }

    fn aggregate(&mut self, small: &mut Vec<&[u8]>) {
        match small.as_slice() {
            [] => {}
            [one] => self.payloads.push(Arc::from(*one)),
            many => {
                // The header bears the highest reference value of what is inside (§5.7).
                let importance = many.iter().filter_map(|n| n.first()).map(|b| b & 0x60).max().unwrap_or(0);
                let mut out = Vec::with_capacity(MAX_PAYLOAD);
                out.push(importance | STAP_A);
                for nal in many {
                    out.extend_from_slice(&u16::try_from(nal.len()).unwrap_or(0).to_be_bytes());
                    out.extend_from_slice(nal);
                }
                self.payloads.push(Arc::from(out));
            }
        }
        small.clear();
    }

    /// Fragments of equal size, so that the kernel can be given them in one piece.
    fn fragment(&mut self, nal: &[u8]) {
        let Some((&header, body)) = nal.split_first() else { return };
        let room = MAX_PAYLOAD - 2;
        let size = body.len().div_ceil(body.len().div_ceil(room).max(1)).max(1);
        let count = body.len().div_ceil(size);
        for (i, piece) in body.chunks(size).enumerate() {
            let start = u8::from(i == 0) << 7;
            let end = u8::from(i + 1 == count) << 6;
            let head = [header & 0x60 | FU_A, start | end | header & 0x1f];
            self.payloads.push(head.iter().chain(piece).copied().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS_BYTES: &[u8] = &[0x67, 0x42, 0xe0, 0x1f, 1, 2, 3];
    const PPS_BYTES: &[u8] = &[0x68, 0xce, 9];

    fn avcc(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|n| [&(n.len() as u32).to_be_bytes()[..], n].concat()).collect()
    }

    /// What a receiver makes of payloads (RFC 6184 §5), written from the receiving side.
    fn reassemble(picture: &Picture) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for p in &picture.payloads {
            match kind(p) {
                STAP_A => {
                    let mut rest = &p[1..];
                    while let Some((length, after)) = rest.split_first_chunk::<2>() {
                        let (nal, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
                        nals.push(nal.to_vec());
                        rest = after;
                    }
                }
                FU_A => {
                    if p[1] & 0x80 != 0 {
                        nals.push(vec![p[0] & 0x60 | p[1] & 0x1f]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&p[2..]);
                }
                _ => nals.push(p.to_vec()),
            }
        }
        nals
    }

    #[test]
    fn avcc_round_trips() {
        let config = Parameters::write(SPS_BYTES, PPS_BYTES).unwrap();
        let read = Parameters::read(&config).unwrap();
        assert_eq!((read.length_size, read.profile), (4, [0x42, 0xe0, 0x1f]));
        assert_eq!(read.sets, [Bytes::from_static(SPS_BYTES), Bytes::from_static(PPS_BYTES)]);
        for n in 0..config.len() {
            assert_eq!(Parameters::read(&config.slice(..n)), None, "cut at {n}");
        }
        let high = Parameters::write(&[0x67, 100, 0, 40, 1], PPS_BYTES).unwrap();
        assert!(high.ends_with(&[0xfd, 0xf8, 0xf8, 0]));
    }

    #[test]
    fn annex_b_is_taken_apart() {
        let bytes =
            [&[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1][..], SPS_BYTES, &[0, 0, 1], PPS_BYTES, &[0, 0, 0, 1, 0x65, 1, 0, 2]];
        let unit = unit(&bytes.concat());
        assert!(unit.key);
        assert_eq!((unit.sps.as_deref(), unit.pps.as_deref()), (Some(SPS_BYTES), Some(PPS_BYTES)));
        assert_eq!(unit.payload[..], avcc(&[&[0x65, 1, 0, 2]]));
        assert_eq!(annex_b(b"no start code").count(), 0);
    }

    #[test]
    fn key_pictures_carry_their_parameter_sets_and_fragments_are_equal() {
        let parameters = Parameters::read(&Parameters::write(SPS_BYTES, PPS_BYTES).unwrap()).unwrap();
        let slice: Vec<u8> = std::iter::once(0x65).chain((0..9_999).map(|i| (i % 251) as u8)).collect();
        let picture = Picture::new(&avcc(&[&[9, 0xf0], &slice]), true, &parameters);
        assert_eq!(reassemble(&picture), [SPS_BYTES.to_vec(), PPS_BYTES.to_vec(), slice.clone()]);
        let sizes: Vec<usize> = picture.payloads[1..].iter().map(|p| p.len()).collect();
        assert!(sizes.windows(2).all(|w| w[0] == w[1] || w[1] < w[0]) && sizes[0] == sizes[sizes.len() - 2]);
        // Its own sets are not doubled, and delta pictures get none.
        let own = Picture::new(&avcc(&[SPS_BYTES, PPS_BYTES, &[0x65, 1]]), true, &parameters);
        assert_eq!(reassemble(&own).len(), 3);
        assert_eq!(reassemble(&Picture::new(&avcc(&[&[0x41, 1]]), false, &parameters)), [vec![0x41, 1]]);
    }

    #[test]
    fn lengths_of_no_bytes_have_an_end() {
        // Found by fuzzing: a picture before any configuration.
        let parameters = Parameters::default();
        assert_eq!(units(&avcc(&[&[0x65, 1, 2, 3]]), parameters.length_size).count(), 0);
        assert!(Picture::new(&[0, 0, 0, 4, 0x65, 1, 2, 3], true, &parameters).payloads.is_empty());
    }

    #[test]
    fn disposable_pictures_are_known() {
        assert!(disposable(&avcc(&[&[6, 1], &[0x01, 1], &[0x01, 2]]), 4));
        assert!(!disposable(&avcc(&[&[0x01, 1], &[0x41, 2]]), 4));
        assert!(!disposable(&avcc(&[&[6, 1]]), 4));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..4000), 0..12)) {
            let nals: Vec<Vec<u8>> = nals.into_iter().map(|mut n| { n[0] = 0x61; n }).collect();
            let refs: Vec<&[u8]> = nals.iter().map(|n| n.as_slice()).collect();
            let picture = Picture::new(&avcc(&refs), false, &Parameters { length_size: 4, ..Default::default() });
            prop_assert!(picture.payloads.iter().all(|p| p.len() <= MAX_PAYLOAD));
            prop_assert_eq!(reassemble(&picture), nals);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), size in 1usize..5, key in any::<bool>()) {
            let owned = Bytes::from(bytes.clone());
            let parameters = Parameters::read(&owned).unwrap_or(Parameters { length_size: size, ..Default::default() });
            Picture::new(&bytes, key, &parameters);
            unit(&bytes);
            disposable(&bytes, size);
        }
    }
}
