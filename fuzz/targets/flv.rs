//! FLV as a file or a stream from elsewhere.
#![no_main]
use libfuzzer_sys::fuzz_target;
use media::flv::demux::Demuxer;

fuzz_target!(|bytes: &[u8]| {
    let mut demuxer = Demuxer::default();
    for piece in bytes.chunks(97) {
        demuxer.push(piece);
        while let Ok(Some(frame)) = demuxer.next_frame() {
            media::flv::body::head(&frame);
        }
    }
});
