//! H.265 (RFC 7798): small NAL units together, large ones in fragments.

use std::sync::Arc;

use bytes::Bytes;

use super::{payload, pieces};
use crate::codec::hevc::{AUD, FILLER, SPS, kind};
use crate::rtc::h264::{MAX_PAYLOAD, units};

const AGGREGATE: u8 = 48;
const FRAGMENT: u8 = 49;
/// Types below are slices.
const FIRST_NO_SLICE: u8 = 32;

/// The payloads of an access unit. A keyframe gets the parameter sets before it unless it brings its own.
pub(super) fn payloads(unit: &[u8], key: bool, sets: &[Bytes], length_size: usize) -> Vec<Arc<[u8]>> {
    let own = units(unit, length_size).any(|nal| kind(nal) == SPS);
    let sets = if key && !own { sets } else { &[] };
    let nals = units(unit, length_size).filter(|nal| !matches!(kind(nal), AUD | FILLER));
    let mut out = Vec::new();
    let mut small: Vec<&[u8]> = Vec::new();
    for nal in sets.iter().map(|set| set.as_ref()).chain(nals).filter(|nal| nal.len() > 2) {
        let together = 2 + small.iter().map(|nal| nal.len() + 2).sum::<usize>() + nal.len() + 2;
        if together > MAX_PAYLOAD {
            aggregate(&mut small, &mut out);
        }
        if nal.len() > MAX_PAYLOAD {
            fragments(nal, &mut out);
        } else {
            small.push(nal);
        }
    }
    aggregate(&mut small, &mut out);
    out
}

fn aggregate(small: &mut Vec<&[u8]>, out: &mut Vec<Arc<[u8]>>) {
    match small.as_slice() {
        [] => {}
        [one] => out.push(Arc::from(*one)),
        many => {
            // §4.4.2: the lowest layer and temporal id of what is inside. All of one access unit have the same.
            let mut whole = vec![many[0][0] & 0x81 | AGGREGATE << 1, many[0][1]];
            for nal in many {
                whole.extend_from_slice(&u16::try_from(nal.len()).unwrap_or(0).to_be_bytes());
                whole.extend_from_slice(nal);
            }
            out.push(Arc::from(whole));
        }
    }
    small.clear();
}

fn fragments(nal: &[u8], out: &mut Vec<Arc<[u8]>>) {
    let (head, body) = nal.split_at(2);
    let pieces = pieces(body, 3);
    let count = pieces.len();
    for (i, piece) in pieces.enumerate() {
        let ends = u8::from(i == 0) << 7 | u8::from(i + 1 == count) << 6;
        out.push(payload(&[head[0] & 0x81 | FRAGMENT << 1, head[1], ends | kind(nal)], piece));
    }
}

/// Whether all slices are of types that no picture of the same temporal layer refers to (ITU-T H.265 §7.4.2.2), in the highest
/// layer that was seen, which is kept in `top`: pictures of higher ones may refer to them.
pub(super) fn is_disposable(unit: &[u8], length_size: usize, top: &mut u8) -> bool {
    let layer = |nal: &[u8]| (nal.get(1).map_or(1, |byte| byte & 7)).saturating_sub(1);
    let mut slices = units(unit, length_size).filter(|nal| kind(nal) < FIRST_NO_SLICE).peekable();
    let Some(first) = slices.peek() else { return false };
    let at = layer(first);
    *top = at.max(*top);
    at == *top && slices.all(|nal| kind(nal) < 16 && kind(nal).is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixed(nals: &[Vec<u8>]) -> Vec<u8> {
        nals.iter().flat_map(|n| [&(n.len() as u32).to_be_bytes()[..], n].concat()).collect()
    }

    /// What a receiver makes of payloads, written from the receiving side.
    fn reassemble(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for p in payloads {
            match kind(p) {
                AGGREGATE => {
                    let mut rest = &p[2..];
                    while let Some((length, after)) = rest.split_first_chunk::<2>() {
                        let (nal, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
                        nals.push(nal.to_vec());
                        rest = after;
                    }
                }
                FRAGMENT => {
                    if p[2] & 0x80 != 0 {
                        nals.push(vec![p[0] & 0x81 | (p[2] & 0x3f) << 1, p[1]]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&p[3..]);
                }
                _ => nals.push(p.to_vec()),
            }
        }
        nals
    }

    #[test]
    fn keyframes_bring_parameter_sets_once() {
        let sets: Vec<Bytes> = [32u8, 33, 34].iter().map(|k| vec![k << 1, 1, 5].into()).collect();
        let slice = vec![19 << 1, 1, 9, 9];
        let delimiter = vec![35 << 1, 1, 0x50];
        let made = payloads(&prefixed(&[delimiter, slice.clone()]), true, &sets, 4);
        assert_eq!(reassemble(&made).len(), 4);
        assert_eq!(reassemble(&made).last(), Some(&slice));
        let own = prefixed(&[vec![33 << 1, 1, 5], slice]);
        assert_eq!(reassemble(&payloads(&own, true, &sets, 4)).len(), 2);
    }

    #[test]
    fn pictures_that_nothing_refers_to_are_known() {
        assert!(is_disposable(&prefixed(&[vec![0, 1, 1]]), 4, &mut 0));
        assert!(!is_disposable(&prefixed(&[vec![1 << 1, 1, 1]]), 4, &mut 0));
        assert!(!is_disposable(&prefixed(&[vec![39 << 1, 1, 1]]), 4, &mut 0));
        // TSA_N of the middle of three temporal layers: the third refers to it.
        let mut top = 2;
        assert!(!is_disposable(&prefixed(&[vec![2 << 1, 2, 1]]), 4, &mut top));
        assert!(is_disposable(&prefixed(&[vec![2 << 1, 3, 1]]), 4, &mut top));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 3..4_000), 0..10)) {
            let nals: Vec<Vec<u8>> = nals.into_iter().map(|mut n| { n[0] = 1 << 1; n[1] = 1; n }).collect();
            let made = payloads(&prefixed(&nals), false, &[], 4);
            prop_assert!(made.iter().all(|p| p.len() <= MAX_PAYLOAD));
            prop_assert_eq!(reassemble(&made), nals);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 0usize..5) {
            payloads(&bytes, true, &[bytes.clone().into()], size);
            is_disposable(&bytes, size, &mut 0);
        }
    }
}
