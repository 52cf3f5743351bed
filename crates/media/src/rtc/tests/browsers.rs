//! What Chromium's offers have and others do not: a handshake that we begin, RED, pauses in the sound, and lines with odd names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::{Input, Rtc};
use tokio_util::sync::CancellationToken;

use super::Client;
use super::live::{Wired, World, world};
use crate::name::StreamName;
use crate::rtc::dtls;

/// Longer than str0m's names, and of what it cannot hold.
const NAME: &str = "{video-track+0000000001}";
/// Sound comes so often where nobody speaks (`usedtx=1`).
const PAUSE: Duration = Duration::from_millis(400);

/// A client whose offer is a browser's in what tells one from others.
async fn browser(world: &World, send: bool) -> Wired {
    let made = Wired::of(world, send, "s", "", |ask| {
        let builder = Rtc::builder().set_crypto_provider(Arc::new(dtls::crypto())).clear_codecs();
        let rtc = builder.enable_h264(true).enable_opus(true, true).build(Instant::now());
        Client::of(rtc, send, None, |offer| {
            let line = |prefix: &str| offer.lines().rfind(|line| line.starts_with(prefix)).unwrap();
            let fmtp = line("a=fmtp:111 ");
            let changed = offer
                .replace(line("o="), "o=- 4611731400430051336 2 IN IP4 127.0.0.1")
                .replace(line("t="), "t=0 0\r\na=msid-semantic: WMS")
                .replace(line("a=mid:"), &format!("a=mid:{NAME}"))
                .replace(fmtp, &format!("{fmtp};usedtx=1"));
            let answer = ask(&changed)?;
            for wanted in ["a=setup:active", "usedtx=1", "red/48000/2", &format!("a=mid:{NAME}\r\n")] {
                assert!(answer.contains(wanted), "{wanted} in {answer}");
            }
            Ok(answer.replace(NAME, line("a=mid:").trim_start_matches("a=mid:")))
        })
    });
    made.await.unwrap()
}

/// Sends pictures and, where nobody speaks, hardly any sound.
async fn publish(mut publisher: Wired, done: CancellationToken) {
    publisher.until("connected", |c| c.connected).await;
    let start = Instant::now();
    let mut sounds = 0;
    for n in 0.. {
        if done.is_cancelled() {
            return;
        }
        let now = Instant::now();
        publisher.client.send_picture(n, n.is_multiple_of(30), 2_000, now);
        if now >= start + PAUSE * sounds {
            publisher.client.send_sound(sounds * 20, now);
            sounds += 1;
        }
        publisher.client.rtc.handle_input(Input::Timeout(now)).unwrap();
        let next = start + Duration::from_millis(33) * (n + 1);
        while Instant::now() < next {
            publisher.turn(next).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_served_as_it_asks_and_pauses_of_its_sound_stay_pauses() {
    let world = world(|_| {});
    let done = CancellationToken::new();
    let publishing = tokio::spawn(publish(browser(&world, true).await, done.clone()));
    let name = StreamName::new("s").unwrap();
    while !world.hub.info(&name).is_some_and(|info| info.live && info.audio.is_some()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut viewer = browser(&world, false).await;
    viewer.until("sound and pictures", |c| c.sounds.len() >= 4 && c.pictures.len() >= 30).await;
    let times: Vec<f64> = viewer.client.sounds.iter().map(|(time, _)| time.as_seconds()).collect();
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| (pause - PAUSE.as_secs_f64()).abs() < 0.005), "{pauses:?}");
    // RED was taken apart: what is heard is Opus, packet by packet.
    let sizes: Vec<usize> = viewer.client.sounds.iter().map(|(_, packet)| packet.len()).collect();
    assert!(sizes.iter().all(|size| *size == 5), "{sizes:?}");
    done.cancel();
    publishing.await.unwrap();
}
