//! Which profiles are agreed on, and what a viewer hears that cannot decode its stream.

use std::time::Instant;

use str0m::Rtc;
use str0m::format::{CodecConfig, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind};

use super::*;
use crate::codec::VideoInfo;
use crate::frame::Codec as FrameCodec;
use crate::rtc::Refused;
use crate::rtc::offer::{self, Accepted, Identity, Way, best_format};
use crate::rtc::payload::Format;

/// What a viewer offers that decodes these.
fn offer(add: impl FnOnce(&mut CodecConfig)) -> String {
    let mut config = Rtc::builder().clear_codecs().enable_opus(true, false);
    add(config.codec_config());
    let mut rtc = config.build(Instant::now());
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    api.apply().unwrap().0.to_sdp_string()
}

fn answer(offer: &str, stream: &[Format]) -> Result<Accepted, Refused> {
    let identity = Identity::new(vec!["192.0.2.1:9".parse().unwrap()], Vec::new());
    offer::accept(offer, Way::Out, stream, &identity, Instant::now())
}

fn format(codec: FrameCodec, profile: [u8; 3]) -> Format {
    Format { codec, profile }
}

fn h264(profiles: &[u32]) -> String {
    offer(|codecs| {
        for (pt, profile) in (100..).step_by(2).zip(profiles) {
            codecs.add_h264(pt.into(), Some((pt + 1).into()), true, *profile);
        }
    })
}

fn h265(profiles: &[u8]) -> String {
    offer(|codecs| {
        for (pt, profile) in (100..).step_by(2).zip(profiles) {
            codecs.add_h265(pt.into(), Some((pt + 1).into()), *profile, 0, 93);
        }
    })
}

fn of(codec: Codec, formats: &[FormatParams]) -> String {
    offer(|codecs| {
        for (pt, format) in (100..).step_by(2).zip(formats) {
            codecs.add_config(pt.into(), Some((pt + 1).into()), codec, Frequency::NINETY_KHZ, None, *format);
        }
    })
}

fn vp9(profiles: &[u32]) -> String {
    let formats = profiles.iter().map(|profile| FormatParams { profile_id: Some(*profile), ..Default::default() });
    of(Codec::Vp9, &formats.collect::<Vec<_>>())
}

fn av1(profiles: &[u8]) -> String {
    let formats = profiles.iter().map(|profile| FormatParams { profile: Some(*profile), ..Default::default() });
    of(Codec::Av1, &formats.collect::<Vec<_>>())
}

/// The offer, the stream's profile, and the profile that is sent as; or what is said.
type Case = (String, FrameCodec, [u8; 3], Result<u8, &'static str>);

#[test]
fn a_viewer_is_answered_where_it_decodes_the_streams_profile_and_told_which_it_lacks_otherwise() {
    use FrameCodec::{Av1, H264, H265, Vp9};
    let cases: [Case; 19] = [
        (h264(&[0x42_e0_1f]), H264, [77, 0, 40], Ok(0x42)),
        (h264(&[0x42_e0_1f, 0x64_00_1f]), H264, [100, 0, 40], Ok(0x64)),
        (h264(&[0x42_e0_1f, 0x64_00_1f]), H264, [110, 0, 40], Err("h264, profile High 10,")),
        (h264(&[0x42_e0_1f]), H264, [122, 0, 40], Err("h264, profile High 4:2:2,")),
        (h264(&[0x42_e0_1f]), H264, [244, 0, 40], Err("h264, profile High 4:4:4,")),
        (h264(&[0x42_e0_1f, 0xf4_00_1f]), H264, [244, 0, 40], Ok(0xf4)),
        (h264(&[0x42_e0_1f, 0xf4_00_1f]), H264, [110, 0, 40], Ok(0xf4)),
        (h265(&[1]), H265, [1, 0, 0], Ok(1)),
        (h265(&[1]), H265, [2, 0, 0], Err("h265, profile Main 10,")),
        (h265(&[1, 2]), H265, [2, 0, 0], Ok(2)),
        (h265(&[2]), H265, [1, 0, 0], Ok(2)),
        (h265(&[1, 2]), H265, [4, 0, 0], Err("h265, profile of H.265's extensions")),
        (vp9(&[0]), Vp9, [2, 0, 0], Err("vp9, profile 2 (10 and 12 bits),")),
        (vp9(&[0, 2]), Vp9, [2, 0, 0], Ok(2)),
        (vp9(&[0, 1, 2, 3]), Vp9, [3, 0, 0], Ok(3)),
        (av1(&[0]), Av1, [0, 0, 0], Ok(0)),
        (av1(&[0]), Av1, [1, 0, 0], Err("av1, profile High (4:4:4),")),
        (av1(&[0, 1]), Av1, [1, 0, 0], Ok(1)),
        (av1(&[1]), Av1, [0, 0, 0], Ok(1)),
    ];
    for (offer, codec, profile, wanted) in cases {
        let stream = format(codec, profile);
        match (answer(&offer, &[stream]), wanted) {
            (Ok(accepted), Ok(wanted)) => {
                let pt = best_format(&accepted.formats, stream).unwrap();
                let found = accepted.formats.iter().find(|(other, _)| *other == pt).unwrap().1;
                assert_eq!((found.codec, found.profile[0]), (codec, wanted), "{stream}: {}", accepted.sdp);
            }
            (Err(Refused::Unsupported(why)), Err(words)) => {
                assert!(why.contains(words) && why.contains("publish in 8 bits, 4:2:0"), "{why}");
            }
            (other, wanted) => panic!("{stream}: {:?}, wanted {wanted:?}", other.map(|accepted| accepted.sdp)),
        }
    }
}

#[test]
fn a_streams_profile_is_read_from_its_configuration() {
    let avcc = [1, 0x7a, 0x10, 0x28, 0xff];
    let of = |codec, config: &[u8]| Format::of(&VideoInfo::of(codec, config));
    assert_eq!(of(FrameCodec::H264, &avcc), format(FrameCodec::H264, [0x7a, 0x10, 0x28]));
    assert_eq!(of(FrameCodec::H264, &[]).profile, [0; 3]);
    assert_eq!(of(FrameCodec::Av1, &[0x81, 0x24, 0x40, 0]).profile[0], 1);
}

/// Who offers H.264 with and without fragments is sent fragments as what may hold them, whichever stands first.
#[test]
fn fragments_are_sent_where_they_are_offered() {
    for modes in [[false, true], [true, false]] {
        let offer = offer(|codecs| {
            for (pt, mode) in [100, 102].into_iter().zip(modes) {
                codecs.add_h264(pt.into(), Some((pt + 1).into()), mode, 0x42_e0_1f);
            }
        });
        let stream = format(FrameCodec::H264, [0x42, 0xe0, 0x1f]);
        let accepted = answer(&offer, &[stream]).unwrap();
        let pt = best_format(&accepted.formats, stream).unwrap();
        let fmtp = accepted.sdp.lines().find(|line| line.starts_with(&format!("a=fmtp:{} ", *pt))).unwrap();
        assert!(fmtp.contains("packetization-mode=1"), "{fmtp}");
    }
}

/// Browsers offer AV1 in profiles that have 10 bits, and decode 8.
#[test]
fn a_browser_is_told_that_it_decodes_no_av1_in_10_bits() {
    let plain = av1(&[0, 1]);
    let origin = plain.lines().find(|line| line.starts_with("o=")).unwrap();
    let firefox = plain.replacen(origin, "o=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0", 1);
    let deep = format(FrameCodec::Av1, [0, 1, 0]);
    assert!(best_format(&answer(&plain, &[deep]).unwrap().formats, deep).is_some(), "others may");
    assert!(answer(&firefox, &[format(FrameCodec::Av1, [0; 3])]).is_ok());
    let Err(Refused::Unsupported(why)) = answer(&firefox, &[deep]) else { panic!("taken") };
    assert!(why.contains("av1, profile Main in 10 bits,") && why.contains("publish in 8 bits"), "{why}");
    // A configuration says it by a flag of its own.
    let of = |config: &[u8]| Format::of(&VideoInfo::of(FrameCodec::Av1, config)).profile[1];
    assert_eq!((of(&[0x81, 0x04, 0x0c, 0]), of(&[0x81, 0x04, 0x4c, 0])), (0, 1));
}
