//! What is written is read back, box by box.

use std::sync::Arc;

use super::*;
use crate::frame::Kind;

fn avcc() -> Frame {
    let avcc = b"\x01\x64\x00\x1e\xff\xe1\x00\x04\x67\x64\x00\x1e\x01\x00\x01\x68";
    Frame::config(Codec::H264, 0, Bytes::from_static(avcc))
}

fn asc() -> Frame {
    Frame::config(Codec::Aac, 0, Bytes::from_static(&[0x12, 0x10]))
}

/// All boxes of this path, with what they hold.
fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Vec<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else {
        return vec![bytes];
    };
    let mut at = 0;
    let mut found = Vec::new();
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert!(size >= 8 && at + size <= bytes.len(), "boxes tile what holds them");
        if &bytes[at + 4..at + 8] == *first {
            found.extend(find(&bytes[at + 8..at + size], rest));
        }
        at += size;
    }
    found
}

fn words_of(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect()
}

/// Start and samples (duration, size, flags, cts) of each track in a fragment.
fn runs(fragment: &[u8]) -> Vec<(u32, u64, Vec<[u32; 4]>)> {
    let mut runs = Vec::new();
    for traf in find(fragment, &[b"moof", b"traf"]) {
        let id = words_of(find(traf, &[b"tfhd"])[0])[1];
        let at = find(traf, &[b"tfdt"])[0];
        let trun = words_of(find(traf, &[b"trun"])[0]);
        let samples: Vec<[u32; 4]> = trun[3..].as_chunks::<4>().0.to_vec();
        assert_eq!(samples.len(), trun[1] as usize);
        let offset = trun[2] as usize;
        let first = fragment[offset];
        assert_eq!(u32::from(first), id, "payloads start with their track's number");
        runs.push((id, u64::from_be_bytes(at[4..].try_into().unwrap()), samples));
    }
    runs
}

fn picture(ms: i64, cts_ms: i32, key: bool, size: usize) -> Arc<Frame> {
    Arc::new(Frame::video(Codec::H264, ms * 1000, cts_ms * 1000, key, vec![1; size].into()))
}

fn sound(us: i64) -> Arc<Frame> {
    Arc::new(Frame::audio(Codec::Aac, us, vec![2; 10].into()))
}

#[test]
fn an_init_segment_describes_its_tracks() {
    let muxer = Muxer::new(Some(&avcc()), Some(&asc()), 0).unwrap();
    let init = muxer.init();
    assert_eq!(find(&init, &[b"moov", b"trak"]).len(), 2);
    let stsd = find(&init, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"]);
    let video = find(&stsd[0][8..], &[b"avc1"])[0];
    assert_eq!(find(&video[78..], &[b"avcC"]), [&avcc().payload[..]]);
    let audio = find(&stsd[1][8..], &[b"mp4a"])[0];
    assert_eq!(u32::from_be_bytes(audio[24..28].try_into().unwrap()), 44_100 << 16);
    let esds = find(&audio[28..], &[b"esds"])[0];
    assert!(esds.windows(7).any(|w| w == [5, 0x80, 0x80, 0x80, 2, 0x12, 0x10]), "the AudioSpecificConfig");
    let at = duration_at(&init).unwrap();
    assert_eq!(find(&init, &[b"moov", b"mvex", b"mehd"])[0], &init[at - 4..at + 4]);

    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let opus = Muxer::new(None, Some(&Frame::config(Codec::Opus, 0, Bytes::from_static(head))), 0).unwrap();
    assert!(!opus.has_video());
    let init = opus.init();
    assert!(init.windows(11).any(|w| w == [0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]), "dOps in network order");
}

#[test]
fn configurations_cut_short_are_no_tracks() {
    for bytes in [&b""[..], b"\x01", b"\x01\x64", b"OpusHead", b"OpusHead\x01\x02"] {
        for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Aac, Codec::Opus, Codec::Mp3] {
            let config = Frame::config(codec, 0, Bytes::from_static(bytes));
            let (video, audio) = if codec.is_video() { (Some(&config), None) } else { (None, Some(&config)) };
            let muxer = Muxer::new(video, audio, 0);
            // Whatever is taken can be written.
            muxer.map(|m| find(&m.init(), &[b"moov", b"trak", b"mdia"]).len());
        }
    }
    assert!(Muxer::new(None, None, 0).is_none());
}

#[test]
fn fragments_hold_times_sizes_and_order() {
    let mut muxer = Muxer::new(Some(&avcc()), Some(&asc()), 0).unwrap();
    for frame in [picture(1000, 80, true, 100), sound(1_000_000), picture(1040, 0, false, 50), sound(1_023_000)] {
        muxer.push(&frame);
    }
    muxer.settle(Some(1_080_000));
    let fragment = muxer.cut().unwrap();
    assert!(fragment.independent);
    let got = runs(&fragment.bytes);
    assert_eq!(got[0], (1, 90_000, vec![[3600, 100, SYNC, 7200], [3600, 50, DELTA, 0]]));
    // Stamped 23 ms apart, laid end to end: 1024 samples.
    assert_eq!(got[1], (2, 44_100, vec![[1024, 10, SYNC, 0]; 2]));
    assert_eq!(find(&fragment.bytes, &[b"mdat"])[0].len(), 170);
    assert!(muxer.cut().is_none(), "nothing twice");

    muxer.push(&picture(1080, -40, false, 7));
    assert!(muxer.cut().is_none(), "how long the last picture stands is not known yet");
    muxer.push(&sound(1_046_000));
    muxer.settle(None);
    let fragment = muxer.cut().unwrap();
    assert!(!fragment.independent);
    let got = runs(&fragment.bytes);
    assert_eq!((got[0].1, got[0].2[0][0], got[0].2[0][3] as i32), (97_200, 3600, -3600));
    assert_eq!(got[1].1, 44_100 + 2048, "audio goes on where it ended");
    let sequence = |f: &[u8]| words_of(find(f, &[b"moof", b"mfhd"])[0])[1];
    assert_eq!(sequence(&fragment.bytes), 2);
}

#[test]
fn frames_of_aac_are_as_long_as_their_configuration_says() {
    for (config, samples) in [([0x12, 0x10], 1024), ([0x12, 0x14], 960), ([0xba, 0x10], 512), ([0xba, 0x14], 480)] {
        let config = Frame::config(Codec::Aac, 0, config.to_vec().into());
        let mut muxer = Muxer::new(None, Some(&config), 0).unwrap();
        let us = |n: i64| n * i64::from(samples) * 1_000_000 / 44_100;
        (0..100).for_each(|n| muxer.push(&sound(us(n))));
        let fragment = muxer.cut().unwrap();
        let got = &runs(&fragment.bytes)[0].2;
        assert!(got.len() == 100 && got.iter().all(|s| s[0] == samples), "{samples}: {got:?}");
        let silent = crate::silence::frame(&config).unwrap().1;
        assert_eq!(silent, us(1), "silence is as long");
    }
}

#[test]
fn sound_may_be_counted_in_ticks_of_another_rate() {
    // 44.1 kHz, counted in 48,000 a second.
    let mut muxer = Muxer::new(None, Some(&asc()), 0).unwrap().with_sound_ticks(Some(48_000));
    let mdhd = find(&muxer.init(), &[b"moov", b"trak", b"mdia", b"mdhd"]).concat();
    assert_eq!(words_of(&mdhd)[3], 48_000);
    (0..4_410).for_each(|n| muxer.push(&sound(n * 1_024_000_000 / 44_100)));
    let fragment = muxer.cut().unwrap();
    let (_, start, samples) = runs(&fragment.bytes).remove(0);
    assert_eq!((start, samples.iter().map(|s| u64::from(s[0])).sum::<u64>()), (0, 1_024 * 4_800));
    assert!(samples.iter().all(|s| (1_114..=1_115).contains(&s[0])), "one as long as the other");
}

#[test]
fn gaps_in_audio_stay_and_repetitions_go() {
    let mut muxer = Muxer::new(None, Some(&asc()), 0).unwrap();
    for us in [0, 23_000, 1_000_000, 20_000] {
        muxer.push(&sound(us));
    }
    let fragment = muxer.cut().unwrap();
    let got = runs(&fragment.bytes);
    assert_eq!(got[0].2.iter().map(|s| s[0]).collect::<Vec<_>>(), [1024, 44_100 - 1024, 1024]);
}

#[test]
fn opus_packets_say_how_long_they_are() {
    let opus = |packet: &[u8]| {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        let mut muxer = Muxer::new(None, Some(&Frame::config(Codec::Opus, 0, Bytes::from_static(head))), 0).unwrap();
        let packet = [packet, &[2; 4]].concat();
        muxer.push(&Arc::new(Frame::audio(Codec::Opus, 0, packet.into())));
        let fragment = muxer.cut().unwrap();
        words_of(find(&fragment.bytes, &[b"moof", b"traf", b"trun"])[0])[3]
    };
    assert_eq!(opus(&[31 << 3]), 960, "CELT, 20 ms");
    assert_eq!(opus(&[28 << 3 | 1]), 240, "CELT, twice 2.5 ms");
    assert_eq!(opus(&[3 << 3]), 2880, "SILK, 60 ms");
    assert_eq!(opus(&[13 << 3 | 3, 3]), 2880, "hybrid, three times 20 ms");
}

#[test]
fn other_codecs_and_kinds_are_left_out() {
    let mut muxer = Muxer::new(Some(&avcc()), None, 0).unwrap();
    muxer.push(&sound(0));
    muxer.push(&Arc::new(Frame::video(Codec::H265, 0, 0, true, Bytes::from_static(b"x"))));
    muxer.push(&Arc::new(avcc()));
    muxer.settle(None);
    assert!(muxer.cut().is_none());
    assert_eq!(avcc().kind, Kind::VideoConfig);
}
