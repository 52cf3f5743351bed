//! Configurations of every codec, and what is made with them: HLS fragments, transcoded sound.
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::audio::{Source, Target, Transcoder};
use media::codec::{AudioInfo, VideoInfo};
use media::fmp4::Muxer;
use media::{Codec, Frame};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let (config, unit) = bytes.split_at(usize::from(first).min(bytes.len()));
    let owned = |b: &[u8]| Bytes::copy_from_slice(b);
    for codec in [Codec::H264, Codec::H265, Codec::Av1] {
        VideoInfo::of(codec, config);
        let video = Frame::config(codec, 0, owned(config));
        if let Some(mut muxer) = Muxer::new(Some(&video), None, 0) {
            muxer.init();
            muxer.push(&Frame::video(codec, 0, 0, true, owned(unit)).into());
            muxer.settle(None);
            muxer.cut();
        }
    }
    for codec in [Codec::Aac, Codec::Opus, Codec::Mp3] {
        AudioInfo::of(codec, config);
        let audio = Frame::config(codec, 0, owned(config));
        if let Some(mut muxer) = Muxer::new(None, Some(&audio), 0) {
            muxer.init();
            muxer.push(&Frame::audio(codec, 0, owned(unit)).into());
            muxer.cut();
        }
    }
    for (source, target) in [(Source::Aac, Target::Opus), (Source::Opus, Target::Aac)] {
        let mut transcoder = Transcoder::new(source, target);
        if transcoder.configure(config).is_ok() {
            let _ = transcoder.push(0, unit, &mut Vec::new());
        }
    }
});
