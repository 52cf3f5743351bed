//! AV1 (AV1 RTP specification 1.0): units without their sizes, several in a payload, the last one going on in the next.

use std::sync::Arc;

use crate::codec::av1::{Obu, SEQUENCE_HEADER, units};
use crate::rtc::h264::MAX_PAYLOAD;

/// Aggregation header: the first element goes on from the payload before; the last goes on in the next; a coded video
/// sequence begins.
const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;
/// Bytes of a length below 16,384.
const MOST_LENGTH: usize = 2;

/// The payloads of a temporal unit. A keyframe without a sequence header gets the one of the configuration, `head`.
pub(super) fn payloads(unit: &[u8], key: bool, head: &[u8]) -> Vec<Arc<[u8]>> {
    let own = units(unit).any(|obu| obu.kind == SEQUENCE_HEADER);
    let head = if key && !own { head } else { &[] };
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut open: Vec<u8> = vec![0];
    for obu in units(head).chain(units(unit)).filter(Obu::is_sent) {
        let bytes = element(&obu);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // Less than this is not worth a piece of its own.
            if MAX_PAYLOAD - open.len() < MOST_LENGTH + rest.len().min(16) {
                out.push(std::mem::replace(&mut open, vec![0]));
            }
            let (piece, after) = rest.split_at(rest.len().min(MAX_PAYLOAD - open.len() - MOST_LENGTH));
            length(&mut open, piece.len());
            open.extend_from_slice(piece);
            rest = after;
            if !rest.is_empty() {
                open[0] |= GOES_ON;
                out.push(std::mem::replace(&mut open, vec![CONTINUES]));
            }
        }
    }
    if open.len() > 1 {
        out.push(open);
    }
    if let Some(first) = out.first_mut().filter(|_| key) {
        first[0] |= NEW_SEQUENCE;
    }
    out.into_iter().map(Arc::from).collect()
}

/// The lowest temporal layer of what a temporal unit holds.
pub(super) fn temporal_layer(unit: &[u8]) -> u8 {
    units(unit)
        .filter(|obu| obu.is_sent() && obu.kind != SEQUENCE_HEADER)
        .map(|obu| obu.temporal_layer())
        .min()
        .unwrap_or(0)
}

/// A unit as payloads hold it.
fn element(obu: &Obu<'_>) -> Vec<u8> {
    [&obu.header[..obu.header_length], obu.payload].concat()
}

/// Writes a length below 16,384 as leb128.
fn length(out: &mut Vec<u8>, n: usize) {
    if n >= 0x80 {
        out.push(n as u8 | 0x80);
        out.push((n >> 7) as u8);
    } else {
        out.push(n as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a receiver makes of payloads, written from the receiving side: elements put together.
    fn reassemble(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            let mut rest = &payload[1..];
            let mut continues = payload[0] & CONTINUES != 0;
            while let [first, after @ ..] = rest {
                let (n, after) = match first & 0x80 {
                    0 => (usize::from(*first), after),
                    _ => (usize::from(first & 0x7f) | usize::from(after[0]) << 7, &after[1..]),
                };
                let (piece, after) = after.split_at(n);
                match units.last_mut().filter(|_| continues) {
                    Some(unit) => unit.extend_from_slice(piece),
                    None => units.push(piece.to_vec()),
                }
                rest = after;
                continues = false;
            }
        }
        units
    }

    fn obu(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind << 3 | 2];
        let n = body.len();
        out.extend([n as u8 & 0x7f | 0x80, (n >> 7) as u8 & 0x7f | 0x80, (n >> 14) as u8]);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn delimiters_stay_behind_and_keyframes_bring_their_header() {
        let frame = [obu(2, &[]), obu(6, &[1; 3_000])].concat();
        let made = payloads(&frame, true, &obu(1, &[7; 11]));
        assert_eq!(reassemble(&made), [[&[8][..], &[7; 11]].concat(), [&[0x30][..], &[1; 3_000]].concat()]);
        assert_eq!(made[0][0], NEW_SEQUENCE | GOES_ON);
        assert_eq!(made[1][0], CONTINUES | GOES_ON);
        assert_eq!(made.last().unwrap()[0], CONTINUES);
        // Its own header is not doubled.
        let own = [obu(1, &[7; 11]), obu(6, &[1; 30])].concat();
        assert_eq!(reassemble(&payloads(&own, true, &obu(1, &[7; 11]))).len(), 2);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(sizes in prop::collection::vec(1usize..4_000, 0..8)) {
            let bodies: Vec<Vec<u8>> = sizes.iter().map(|n| vec![*n as u8; *n]).collect();
            let unit: Vec<u8> = bodies.iter().flat_map(|body| obu(6, body)).collect();
            let made = payloads(&unit, false, &[]);
            prop_assert!(made.iter().all(|p| p.len() <= MAX_PAYLOAD));
            let whole: Vec<Vec<u8>> = bodies.iter().map(|body| [&[0x30][..], body].concat()).collect();
            prop_assert_eq!(reassemble(&made), whole);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            payloads(&bytes, true, &bytes);
        }
    }
}
