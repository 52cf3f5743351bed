//! Boxes: the frame of every part of an MP4 file, and the sample entries that carry codec configurations.

use bytes::{BufMut, Bytes, BytesMut};

/// A box around what `fill` writes.
pub(super) fn boxed(out: &mut BytesMut, kind: &[u8; 4], fill: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    fill(out);
    let size = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// A box with version and flags.
pub(super) fn full(out: &mut BytesMut, kind: &[u8; 4], version: u8, flags: u32, fill: impl FnOnce(&mut BytesMut)) {
    boxed(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        fill(out);
    });
}

/// `VisualSampleEntry` with the codec's configuration in a box of its own.
pub(super) fn visual(kind: &[u8; 4], size: (u16, u16), inner: &[u8; 4], config: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(config.len() + 128);
    boxed(&mut out, kind, |out| {
        // Reserved, then the number of the data reference.
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_bytes(0, 16);
        out.put_u16(size.0);
        out.put_u16(size.1);
        // 72 dots an inch both ways, one frame a sample, no compressor name, 24 bits deep.
        out.put_slice(&[0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_bytes(0, 32);
        out.put_slice(&[0, 0x18, 0xff, 0xff]);
        boxed(out, inner, |out| out.put_slice(config));
    });
    out.freeze()
}

fn audio(kind: &[u8; 4], channels: u8, rate: u32, inner: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    boxed(&mut out, kind, |out| {
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        out.put_bytes(0, 8);
        out.put_u16(u16::from(channels.max(1)));
        out.put_slice(&[0, 16, 0, 0, 0, 0]);
        // 16.16: what does not fit stands in the codec's own configuration.
        out.put_u32(if rate > 0xffff { 0 } else { rate << 16 });
        inner(out);
    });
    out.freeze()
}

/// `mp4a` with an `esds` (ISO/IEC 14496-14 §5.6) around the AudioSpecificConfig.
pub(super) fn aac(config: &[u8], channels: u8, rate: u32) -> Bytes {
    /// Descriptors say their length in up to four bytes; four always.
    fn descriptor(out: &mut BytesMut, tag: u8, length: usize) {
        out.put_u8(tag);
        let seven = |shift: usize| (length >> shift & 0x7f) as u8;
        out.put_slice(&[0x80 | seven(21), 0x80 | seven(14), 0x80 | seven(7), seven(0)]);
    }
    audio(b"mp4a", channels, rate, |out| {
        full(out, b"esds", 0, 0, |out| {
            let specific = 5 + config.len();
            let decoder = 5 + 13 + specific;
            descriptor(out, 3, 3 + decoder + 6);
            out.put_slice(&[0, 0, 0]);
            descriptor(out, 4, 13 + specific);
            // MPEG-4 audio, an audio stream; buffer size and bit rates unknown.
            out.put_slice(&[0x40, 0x15]);
            out.put_bytes(0, 11);
            descriptor(out, 5, config.len());
            out.put_slice(config);
            descriptor(out, 6, 1);
            out.put_u8(2);
        });
    })
}

/// `Opus` with a `dOps`: an OpusHead in the other byte order ("Encapsulation of Opus in ISO Base Media", §4.3.2).
pub(super) fn opus(head: &[u8]) -> Option<Bytes> {
    let fields = head.strip_prefix(b"OpusHead")?;
    let &[_, channels, skip0, skip1, r0, r1, r2, r3, gain0, gain1, ref mapping @ ..] = fields else {
        return None;
    };
    Some(audio(b"Opus", channels, 48_000, |out| {
        boxed(out, b"dOps", |out| {
            out.put_slice(&[0, channels, skip1, skip0, r3, r2, r1, r0, gain1, gain0]);
            out.put_slice(if mapping.is_empty() { &[0] } else { mapping });
        });
    }))
}
