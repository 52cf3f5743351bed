//! Reading bit fields and Exp-Golomb numbers out of codec headers; running out of bits is `None`.

pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Bits { bytes, at: 0 }
    }

    /// `count` bits, at most 32.
    pub fn u(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    pub fn skip(&mut self, count: u32) -> Option<()> {
        self.at = self.at.checked_add(count as usize)?;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// How many bits were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Exp-Golomb, unsigned (ITU-T H.264 §9.1).
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.u(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// Exp-Golomb, signed.
    pub fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 };
        i32::try_from(value).ok()
    }

    /// AV1's variable-length number (AV1 §4.10.3): as `ue`, with 32 zeros allowed.
    pub fn uvlc(&mut self) -> Option<u32> {
        self.ue()
    }
}

/// Takes emulation prevention bytes out of a NAL unit (`00 00 03` → `00 00`).
pub(super) fn unescape(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// Writes `count` bits at a place that was read.
pub(super) fn set(bytes: &mut [u8], at: usize, count: u32, value: u32) {
    for (n, at) in (at..at + count as usize).rev().enumerate() {
        let bit = 0x80 >> (at % 8);
        let is_one = value >> n & 1 == 1;
        bytes[at / 8] = if is_one { bytes[at / 8] | bit } else { bytes[at / 8] & !bit };
    }
}

/// Puts emulation prevention bytes into what `unescape` gave.
pub(super) fn escape(plain: &[u8]) -> Vec<u8> {
    let mut unit = Vec::with_capacity(plain.len() + 8);
    let mut zeros = 0;
    for &byte in plain {
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}
