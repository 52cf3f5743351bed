//! One track out of what was written with several: the same samples at the same times.

use bytes::{BufMut, Bytes, BytesMut};

use super::boxes::boxed;
use super::measure::{child, children, id_of, word};

/// The number of the track of pictures.
pub const PICTURES: u32 = 1;
/// The number of the first track of sound.
pub const SOUND: u32 = 2;

/// Of an init segment what one track needs.
#[must_use]
pub fn only_init(init: &[u8], track: u32) -> Bytes {
    let mut out = BytesMut::with_capacity(init.len());
    for (kind, body) in children(init) {
        boxed(&mut out, &kind, |out| match &kind {
            b"moov" => {
                children(body).filter(|(kind, inner)| kind != b"trak" || id_of(inner) == Some(track)).for_each(
                    |(kind, inner)| {
                        boxed(out, &kind, |out| {
                            if &kind == b"mvex" { defaults(out, inner, track) } else { out.put_slice(inner) }
                        })
                    },
                )
            }
            _ => out.put_slice(body),
        });
    }
    out.freeze()
}

fn defaults(out: &mut BytesMut, mvex: &[u8], track: u32) {
    for (kind, inner) in children(mvex).filter(|(kind, inner)| kind != b"trex" || word(inner, 4) == Some(track)) {
        boxed(out, &kind, |out| out.put_slice(inner));
    }
}

/// Of fragments what is of one track: nothing if they hold none of it.
#[must_use]
pub fn only(fragments: &[u8], track: u32) -> Bytes {
    let mut out = BytesMut::with_capacity(fragments.len());
    let mut rest = fragments;
    while let Some((kind, body)) = children(rest).next() {
        if &kind == b"moof" {
            write_only(&mut out, rest, body, track);
        }
        rest = rest.get(body.len() + 8..).unwrap_or_default();
    }
    out.freeze()
}

/// The track's part of the fragment with this header, at which `from` begins.
fn write_only(out: &mut BytesMut, from: &[u8], moof: &[u8], track: u32) -> Option<()> {
    let of_track = |traf: &&[u8]| child(traf, b"tfhd").and_then(|head| word(head, 4)) == Some(track);
    let (_, traf) = children(moof).find(|(kind, traf)| kind == b"traf" && of_track(traf))?;
    let trun = child(traf, b"trun")?;
    // Version and flags, count, offset; then four words a sample, the second of which is its size.
    let sizes = trun.get(12..)?.chunks_exact(16).filter_map(|sample| word(sample, 4));
    let start = word(trun, 8)? as usize;
    let samples = from.get(start..start + sizes.map(|size| size as usize).sum::<usize>())?;
    let at = out.len();
    let mut offset = 0;
    boxed(out, b"moof", |out| {
        boxed(out, b"mfhd", |out| out.put_slice(child(moof, b"mfhd").unwrap_or_default()));
        boxed(out, b"traf", |out| {
            for (kind, inner) in children(traf) {
                boxed(out, &kind, |out| {
                    if &kind == b"trun" {
                        offset = out.len() + 8;
                    }
                    out.put_slice(inner);
                });
            }
        });
    });
    let behind = (out.len() - at + 8) as u32;
    out[offset..offset + 4].copy_from_slice(&behind.to_be_bytes());
    boxed(out, b"mdat", |out| out.put_slice(samples));
    Some(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fmp4::Muxer;
    use crate::frame::{Codec, Frame};

    fn frames(n: i64) -> Vec<Arc<Frame>> {
        let picture =
            |at: i64| Frame::video(Codec::H264, at, 0, at % 200_000 == 0, vec![7; 30 + at as usize / 40_000].into());
        let sound = |at: i64| Frame::audio(Codec::Aac, at, vec![1; 8].into());
        let times = || (0..n).map(|n| n * 40_000);
        times().flat_map(|at| [Arc::new(picture(at)), Arc::new(sound(at))]).collect()
    }

    #[test]
    fn a_track_is_what_a_muxer_of_it_alone_writes() {
        let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x04\x67\x64\x00\x1e\x01\x00\x01\x68";
        let video = Frame::config(Codec::H264, 0, Bytes::from_static(avcc));
        let audio = Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x11, 0x90]));
        let write = |video: Option<&Frame>, audio: Option<&Frame>| {
            let mut muxer = Muxer::new(video, audio, 0).unwrap();
            let mut fragments = Vec::new();
            for (n, frame) in frames(40).iter().enumerate() {
                muxer.push(frame);
                if n % 20 == 19 {
                    muxer.settle(None);
                    fragments.extend_from_slice(&muxer.cut().unwrap().bytes);
                }
            }
            (muxer.init(), fragments)
        };
        let (init, both) = write(Some(&video), Some(&audio));
        let (pictures_init, pictures) = write(Some(&video), None);
        let (sound_init, sound) = write(None, Some(&audio));
        assert!(both.len() > pictures.len() && pictures.len() > 1000);
        assert_eq!(only(&both, PICTURES), pictures);
        assert_eq!(only(&both, SOUND), sound);
        assert_eq!((only(&sound, PICTURES), only(b"\0\0\0\x09moofx", SOUND)), (Bytes::new(), Bytes::new()));
        // The number of the next track stands in it, too, and is not less.
        let next = |init: &[u8]| init.windows(4).position(|w| w == b"mvhd").map(|at| at + 100..at + 104).unwrap();
        let apart = |mut init: Vec<u8>| {
            let next = next(&init);
            init[next].fill(0);
            init
        };
        assert_eq!(apart(only_init(&init, PICTURES).to_vec()), apart(pictures_init.to_vec()));
        assert_eq!(apart(only_init(&init, SOUND).to_vec()), apart(sound_init.to_vec()));
    }
}
