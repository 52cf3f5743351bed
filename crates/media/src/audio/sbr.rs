//! Spectral band replication in an access unit of HE-AAC: where it stands, and whether its header is with it. A decoder can do nothing
//! with it before a header came; what else is in the unit is plain AAC. Found from the end of the unit, where nothing but fill
//! elements stands: what is before is not read.

#[cfg(test)]
pub(super) mod tests;

/// Ids and types of ISO/IEC 14496-3 tables 4.85 and 4.121.
const ID_FIL: u32 = 6;
const ID_END: u32 = 7;
const EXT_FILL: u32 = 0;
const EXT_SBR_DATA: u32 = 0xd;
const EXT_SBR_DATA_CRC: u32 = 0xe;
/// Most bytes of a fill element.
const MOST: usize = 269;
/// Most fill elements behind the one that is looked for.
const DEPTH: usize = 3;

/// The replication of one access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sbr {
    /// The bit at which the type of its fill element stands.
    kind: usize,
    /// Whether its header is with it.
    pub has_header: bool,
}

impl Sbr {
    /// Finds it, if the unit has one.
    pub fn find(unit: &[u8]) -> Option<Self> {
        let last = *unit.last()?;
        if last == 0 {
            return None;
        }
        let end = (8 * unit.len()).checked_sub(last.trailing_zeros() as usize + 3)?;
        if bits(unit, end, 3)? != ID_END {
            return None;
        }
        Sbr::before(unit, end, DEPTH)
    }

    /// In the fill elements that end at this bit.
    fn before(unit: &[u8], end: usize, depth: usize) -> Option<Self> {
        let elements = || (1..=MOST).rev().filter_map(|bytes| element(unit, end, bytes));
        let found = elements().find_map(|(_, kind)| {
            let at = match bits(unit, kind, 4)? {
                EXT_SBR_DATA => kind + 4,
                // Behind ten bits of a checksum.
                EXT_SBR_DATA_CRC => kind + 14,
                _ => return None,
            };
            Some(Sbr { kind, has_header: bits(unit, at, 1)? == 1 })
        });
        let padding = || elements().find(|(_, kind)| bits(unit, *kind, 4) == Some(EXT_FILL));
        found.or_else(|| Sbr::before(unit, padding()?.0, depth.checked_sub(1)?))
    }

    /// The unit with something meaningless in its place.
    pub fn without(self, unit: &[u8]) -> Vec<u8> {
        let mut unit = unit.to_vec();
        for bit in self.kind..self.kind + 4 {
            unit[bit / 8] &= !(0x80 >> (bit % 8));
        }
        unit
    }
}

/// Where a fill element of so many bytes begins that ends at this bit, and where its type stands.
fn element(unit: &[u8], end: usize, bytes: usize) -> Option<(usize, usize)> {
    let kind = end.checked_sub(8 * bytes)?;
    let (count, escape) = if bytes < 15 { (bytes, 0) } else { (15, 8) };
    let begin = kind.checked_sub(7 + escape)?;
    let is_one = bits(unit, begin, 3)? == ID_FIL && bits(unit, begin + 3, 4)? as usize == count;
    let is_long = escape == 0 || bits(unit, begin + 7, 8)? as usize == bytes - 14;
    (is_one && is_long).then_some((begin, kind))
}

fn bits(unit: &[u8], at: usize, count: usize) -> Option<u32> {
    (at..at + count).try_fold(0, |n, bit| Some(n << 1 | u32::from(unit.get(bit / 8)? >> (7 - bit % 8) & 1)))
}
