//! An RTMP connection as the server sees it: handshake, chunks, commands, media.
#![no_main]
use libfuzzer_sys::fuzz_target;
use media::rtmp::session::{Event, Session, Timeouts};

fuzz_target!(|bytes: &[u8]| {
    let now = std::time::Instant::now();
    let mut session = Session::new(Timeouts::default(), now);
    // The first byte says in which pieces the rest arrives, and whether the handshake is spared the fuzzer.
    let Some((&first, bytes)) = bytes.split_first() else { return };
    if first & 1 == 1 {
        let mut hello = vec![3; 1 + 2 * 1536];
        hello[1..9].fill(0);
        let _ = session.handle(&mut hello.as_slice(), now);
    }
    for mut piece in bytes.chunks(usize::from(first >> 1) * 8 + 1) {
        while let Ok(Some(event)) = session.handle(&mut piece, now) {
            match event {
                Event::Publish(_) => drop(session.accept_publish(now)),
                Event::Play(_) => drop(session.accept_play(now)),
                _ => {}
            }
        }
        session.take_output();
    }
});
