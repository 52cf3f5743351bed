//! What decoder configurations and payloads say, and that no bytes do harm.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn aac_configurations() {
    let info = |h| AudioInfo::of(Codec::Aac, &hex(h));
    assert_eq!((info("1210").sample_rate, info("1210").channels, info("1210").mime), (44_100, 2, "mp4a.40.2".into()));
    assert_eq!((info("1188").sample_rate, info("1188").channels), (48_000, 1));
    assert_eq!(info("").sample_rate, 0);
    // Plain; 960 samples; low delay with 512 and 480; enhanced low delay; band replication, and that with 960.
    let kinds = ["1210", "1214", "b988", "b98c", "f8e620", "2b920800", "2b920a00"];
    assert_eq!(kinds.map(|h| info(h).samples), [1024, 960, 512, 480, 512, 2048, 1920]);
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    assert_eq!(AudioInfo::of(Codec::Opus, head).channels, 2);
}

#[test]
fn mp3_says_its_rate_in_each_frame() {
    let of = |bytes: [u8; 4]| {
        let info = AudioInfo::of(Codec::Mp3, &bytes);
        (info.sample_rate, info.channels)
    };
    assert_eq!(of([0xff, 0xfb, 0x90, 0x64]), (44_100, 2));
    assert_eq!(of([0xff, 0xfb, 0x94, 0xc4]), (48_000, 1));
    assert_eq!(of([0xff, 0xf3, 0x80, 0xc4]), (22_050, 1));
    assert_eq!(of([0xff, 0xe3, 0x88, 0x00]), (8_000, 2));
    assert_eq!(of([0xff, 0xfb, 0x9c, 0x00]), (0, 0), "no such rate");
    assert_eq!(of(*b"ID3\x03"), (0, 0));
}

proptest! {
    #[test]
    fn no_configuration_panics(config in prop::collection::vec(any::<u8>(), 0..200)) {
        for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Mp3] {
            VideoInfo::of(codec, &config);
        }
        for codec in [Codec::Aac, Codec::Opus, Codec::Mp3] {
            AudioInfo::of(codec, &config);
        }
        h264_size(&config);
        h265_size(&config);
        av1::sequence(&config);
    }
}
