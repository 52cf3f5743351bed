//! Units without the header of their replication, and bytes that are no unit.

use super::*;
use proptest::prelude::*;

/// The unit as an encoder makes it that sends its header now and then: this one is without. 16 bits of a header without extras.
pub fn headless(unit: &[u8]) -> Vec<u8> {
    let sbr = Sbr::find(unit).unwrap();
    assert!(sbr.has_header);
    // Another fill element may stand behind it.
    let bytes = (1..=MOST).find(|bytes| element(unit, sbr.kind + 8 * bytes, *bytes).is_some()).unwrap();
    let begin = sbr.kind - if bytes < 15 { 7 } else { 15 };
    let mut out: Vec<bool> = (0..begin).map(|at| bits(unit, at, 1) == Some(1)).collect();
    let mut put = |value: usize, count: usize| out.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    put(ID_FIL as usize, 3);
    if bytes - 2 < 15 {
        put(bytes - 2, 4)
    } else {
        put(15 << 8 | (bytes - 2 - 14), 12)
    }
    put(EXT_SBR_DATA as usize, 4);
    put(0, 1);
    for at in sbr.kind + 5 + 16..sbr.kind + 8 * bytes {
        put(bits(unit, at, 1).unwrap() as usize, 1);
    }
    for at in sbr.kind + 8 * bytes..8 * unit.len() - unit.last().unwrap().trailing_zeros() as usize {
        put(bits(unit, at, 1).unwrap() as usize, 1);
    }
    // What was rounded up to bytes stays so.
    let tail = (8 - out.len() % 8) % 8;
    out.extend(vec![false; tail]);
    out.chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | u8::from(*bit))).collect()
}

proptest! {
    #[test]
    fn whatever_comes_is_looked_at(unit in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some(sbr) = Sbr::find(&unit) {
            prop_assert_eq!(sbr.without(&unit).len(), unit.len());
        }
    }
}
