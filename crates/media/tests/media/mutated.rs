//! What a real ffmpeg says to an RTMP server, damaged in many ways: no damage may panic.

use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Instant;

use media::rtmp::session::{Event, Session, Timeouts};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

/// Lets everything in. Returns how many frames came.
fn answer(session: &mut Session, mut input: &[u8], now: Instant) -> Result<usize, media::Ended> {
    let mut frames = 0;
    while let Some(event) = session.handle(&mut input, now)? {
        match event {
            Event::Publish(_) => drop(session.accept_publish(now)),
            Event::Play(_) => drop(session.accept_play(now)),
            Event::Frame(_) => frames += 1,
            _ => {}
        }
    }
    Ok(frames)
}

/// The bytes of one short publishing.
async fn record() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/s?txSecret=1", listener.local_addr().unwrap());
    let args = [
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=160x120:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine",
        "-t",
        "1",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-c:a",
        "aac",
        "-f",
        "flv",
        &url,
    ];
    let mut ffmpeg = Command::from(testkit::bounded::program("ffmpeg"))
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed");
    let (mut socket, _) = listener.accept().await.unwrap();
    let now = Instant::now();
    let mut session = Session::new(Timeouts::default(), now);
    let mut all = Vec::new();
    let mut frames = 0;
    let mut buffer = vec![0; 4096];
    loop {
        let count = socket.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
        frames += answer(&mut session, &buffer[..count], now).unwrap();
        socket.write_all(&session.take_output()).await.unwrap();
    }
    assert!(ffmpeg.wait().await.unwrap().success());
    // 25 pictures, some 43 pieces of sound, two configurations, the description.
    assert!(frames >= 60, "{frames}");
    all
}

fn recorded() -> &'static [u8] {
    static RECORDED: OnceLock<Vec<u8>> = OnceLock::new();
    RECORDED.get_or_init(|| tokio::runtime::Runtime::new().unwrap().block_on(record()))
}

#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<prop::sample::Index>;
    let one = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        1 => (at(), 1usize..2000).prop_map(|(i, n)| Damage::Cut(i, n)),
        1 => (at(), 1usize..2000).prop_map(|(i, n)| Damage::Double(i, n)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(i, b)| Damage::Insert(i, b)),
    ];
    prop::collection::vec(one, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Damage anywhere behind the handshake, or (`early`) among the commands right behind it.
    #[test]
    fn damaged_publishing_does_not_panic(damages in damages(), early in any::<bool>(), step in 1usize..5000) {
        let mut bytes = recorded().to_vec();
        for damage in damages {
            let commands = 3073..4000.min(bytes.len());
            let place = |i: prop::sample::Index| {
                let damaged = if early { commands.len() } else { bytes.len() - commands.start };
                commands.start + i.index(damaged)
            };
            match damage {
                Damage::Set(i, byte) => { let at = place(i); bytes[at] = byte; }
                Damage::Cut(i, n) => { let at = place(i); let end = (at + n).min(bytes.len()); bytes.drain(at..end); }
                Damage::Double(i, n) => {
                    let at = place(i);
                    let piece = bytes[at..(at + n).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                Damage::Insert(i, piece) => { let at = place(i); bytes.splice(at..at, piece); }
            }
            if bytes.len() < 4000 {
                break;
            }
        }
        let now = Instant::now();
        let mut session = Session::new(Timeouts::default(), now);
        for part in bytes.chunks(step) {
            if answer(&mut session, part, now).is_err() {
                break;
            }
            let _ = session.take_output();
        }
    }

    /// The recording itself is good at any split.
    #[test]
    fn the_recording_is_good_at_any_split(step in 1usize..10_000) {
        let now = Instant::now();
        let mut session = Session::new(Timeouts::default(), now);
        let frames: usize = recorded().chunks(step).map(|part| answer(&mut session, part, now).unwrap()).sum();
        prop_assert!(frames >= 60);
    }
}
