//! A publisher of three sizes, and viewers whose networks carry more or less of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use str0m::Input;
use str0m::media::SimulcastLayer;
use tokio_util::sync::CancellationToken;

use super::live::{Wired, world};
use super::*;
use crate::name::StreamName;
use crate::rtc::h264;

/// Name, parameter set (baseline, of pictures 180, 360 and 720 lines high), and bytes of a picture: 0.12, 0.5 and 1.5 Mbit/s.
const LAYERS: [(&str, &str, usize); 3] = [
    ("q", "6742c00dd901419f9f0110000003001000000303c0f142a480", 500),
    ("h", "6742c01ed900a02ff970110000030001000003003c0f162e48", 2_000),
    ("f", "6742c01fd9005005bb0110000003001000000303c0f1832480", 6_000),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Publishes `layers` of the three sizes until `done`.
async fn publish(mut wired: Wired, done: CancellationToken, layers: Arc<AtomicUsize>) {
    wired.until("connected", |c| c.connected).await;
    let start = Instant::now();
    for n in 0u32.. {
        if done.is_cancelled() {
            return;
        }
        let now = Instant::now();
        let asked = std::mem::take(&mut wired.client.asked_of);
        for (name, sps, size) in &LAYERS[..layers.load(Ordering::Relaxed)] {
            let key = n.is_multiple_of(90) || asked.contains(&Rid::from(*name));
            let mut picture = Vec::new();
            let sets: &[Vec<u8>] = if key { &[bytes(sps), PPS.to_vec()] } else { &[] };
            for nal in sets.iter().cloned().chain([slice(n, key, *size)]) {
                picture.extend([0, 0, 0, 1]);
                picture.extend(nal);
            }
            let writer = wired.client.rtc.writer(wired.client.video).unwrap();
            let h264 = writer.payload_params().find(|p| p.spec().codec == Codec::H264).unwrap().pt();
            let time = MediaTime::from_90khz(u64::from(n) * 3_000 + 7);
            writer.rid(Rid::from(*name)).write(h264, now, time, picture).unwrap();
        }
        wired.client.send_sound(n, now);
        wired.client.rtc.handle_input(Input::Timeout(now)).unwrap();
        let next = start + Duration::from_millis(33) * (n + 1);
        while Instant::now() < next {
            wired.turn(next).await;
        }
    }
}

/// The layer that each of the last `count` pictures is of.
fn shown(client: &Client, count: usize) -> Vec<usize> {
    let sizes = client.pictures.iter().rev().take(count).map(|(_, _, data)| h264::unit(data).payload.len());
    sizes.map(|size| LAYERS.iter().rposition(|(.., of)| size >= *of).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_sent_the_largest_layer_that_flows() {
    let world = world(|_| {});
    let name = StreamName::new("s").unwrap();
    let mut offered = Simulcast::new();
    LAYERS.iter().for_each(|(rid, ..)| offered.add_send_layer(SimulcastLayer::new(rid)));
    let publisher = Wired::layered(&world, true, "s", "", Some(offered)).await.unwrap();
    let done = CancellationToken::new();
    let layers = Arc::new(AtomicUsize::new(3));
    let publishing = tokio::spawn(publish(publisher, done.clone(), layers.clone()));
    // Who comes before the layers flow has a choice among them, too.
    let early = Wired::new(&world, false, "s", "").await.unwrap();
    assert!(early.answer.contains("transport-wide-cc"), "{}", early.answer);
    // All three are known with their rates, and the stream itself carries the largest.
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = world.hub.layers(&name);
        let info = world.hub.info(&name);
        let height = info.and_then(|info| info.video).map(|video| video.height);
        if found.len() == 3 && found.iter().all(|layer| layer.bitrate > 0) && height == Some(720) {
            assert!(found[0].bitrate * 2 < found[1].bitrate && found[1].bitrate * 2 < found[2].bitrate, "{found:?}");
            break;
        }
        assert!(Instant::now() < end, "three layers: {found:?}, height {height:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.hub.list().len(), 1, "layers are no streams of their own");

    let mut viewer = Wired::new(&world, false, "s", "").await.unwrap();
    viewer.until("the largest layer", |c| c.pictures.len() > 20 && shown(c, 10) == [2; 10]).await;
    // Times never went back, and sound is there all the time.
    let times: Vec<u64> = viewer.client.pictures.iter().map(|(time, ..)| time.numer()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The figures say which sizes flow, and who is sent which: both viewers the largest.
    let sizes = |layers: Vec<crate::hub::Layer>| -> Vec<(u32, u32, u32)> {
        layers.into_iter().map(|layer| (layer.width, layer.height, layer.viewers)).collect()
    };
    assert_eq!(sizes(world.hub.layers(&name)), [(320, 180, 0), (640, 360, 0), (1280, 720, 2)]);

    // The publisher itself has no bandwidth for the largest any more: everybody goes on with what there is.
    layers.store(2, Ordering::Relaxed);
    viewer.until("the middle layer", |c| shown(c, 20) == [1; 20]).await;
    // The stream itself, too: by way of a smaller one if that has a picture to begin with first.
    let end = Instant::now() + Duration::from_secs(20);
    while world.hub.info(&name).unwrap().video.unwrap().height != 360 {
        assert!(Instant::now() < end, "the stream itself carries the largest that is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done.cancel();
    publishing.await.unwrap();
}
