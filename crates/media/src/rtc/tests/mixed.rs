//! A mix over a stream in another codec: who may watch, and that a viewer stays while it comes and goes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::Rtc;
use str0m::format::Codec as RtcCodec;
use tokio_util::sync::CancellationToken;

use super::live::{Wired, World, what, world};
use super::*;
use crate::codec::vpx;
use crate::frame::{Codec as FrameCodec, Frame};
use crate::hub::{Origin, Publisher};
use crate::name::{Protocol, StreamName};
use crate::rtc::{Refused, h264};

/// A keyframe of VP8, and one that is none.
const KEY: &[u8] = &[0x10, 2, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0, 7, 7];
const DELTA: &[u8] = &[0x11, 2, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7];

fn origin() -> Origin {
    Origin { protocol: Protocol::Whip, peer: "127.0.0.1:1".parse().unwrap() }
}

/// Pushes a picture each 20 ms until `done`.
async fn push(publisher: Publisher, codec: FrameCodec, done: CancellationToken) {
    let config = match codec {
        FrameCodec::Vp8 => vpx::config(codec, KEY).unwrap(),
        _ => h264::Parameters::write(SPS, PPS).unwrap(),
    };
    publisher.push(Frame::config(codec, 0, config)).unwrap();
    let start = Instant::now();
    for n in 0u32.. {
        if done.is_cancelled() {
            return;
        }
        let key = n.is_multiple_of(10);
        let payload = match codec {
            FrameCodec::Vp8 => Bytes::from_static(if key { KEY } else { DELTA }),
            _ => {
                let nal = slice(n, key, 500);
                Bytes::from([&(nal.len() as u32).to_be_bytes()[..], &nal].concat())
            }
        };
        publisher.push(Frame::video(codec, i64::from(n) * 20_000, 0, key, payload)).unwrap();
        if n == 0 {
            publisher.show();
        }
        tokio::time::sleep_until((start + Duration::from_millis(20) * (n + 1)).into()).await;
    }
}

async fn viewer(world: &World, codecs: &[RtcCodec], query: &str) -> Result<Wired, Refused> {
    Wired::of(world, false, "s", query, |ask| {
        let builder = Rtc::builder().clear_codecs().enable_opus(true, false);
        let has = |codec| codecs.contains(&codec);
        let builder = builder.enable_vp8(has(RtcCodec::Vp8)).enable_h264(has(RtcCodec::H264));
        Client::of(builder.build(Instant::now()), false, None, ask)
    })
    .await
}

/// How many pictures came of VP8, and of H.264.
fn came(client: &Client) -> [usize; 2] {
    let vp8 = client.pictures.iter().filter(|(_, _, data)| data == KEY || data == DELTA).count();
    [vp8, client.pictures.len() - vp8]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_stays_while_a_mix_in_another_codec_comes_and_goes() {
    use RtcCodec::{H264, Vp8};
    let world = world(|_| {});
    let name = StreamName::new("s").unwrap();
    let over = CancellationToken::new();
    let home = world.hub.publish(&name, origin()).unwrap();
    let publishing = tokio::spawn(push(home, FrameCodec::Vp8, over.clone()));
    while !world.hub.info(&name).is_some_and(|info| info.live && info.video.is_some()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut both = viewer(&world, &[Vp8, H264], "").await.unwrap();
    let line = both.answer.lines().find(|line| line.starts_with("m=video")).unwrap().to_owned();
    let first = line.split(' ').nth(3).unwrap();
    assert!(both.answer.contains(&format!("a=rtpmap:{first} VP8/")), "what there is stands first: {}", both.answer);
    assert!(both.answer.contains(" H264/"), "and what may come is there: {}", both.answer);
    both.until("VP8", |c| came(c)[0] >= 10).await;

    let mix = world.hub.overlay(&name, origin()).unwrap();
    let gone = CancellationToken::new();
    let mixing = tokio::spawn(push(mix, FrameCodec::H264, gone.clone()));
    both.until("the mix", |c| came(c)[1] >= 10).await;
    // Who comes now is shown the mix, and needs its codec.
    let mut late = viewer(&world, &[H264], "").await.unwrap();
    late.until("the mix", |c| came(c)[1] >= 10).await;
    let lacks = viewer(&world, &[Vp8], "").await.err().unwrap();
    assert_eq!(lacks.to_string(), "not acceptable: the stream's video is h264, and the offer has VP8");

    gone.cancel();
    mixing.await.unwrap();
    let before = came(&both.client)[0];
    both.until("VP8 again", |c| came(c)[0] >= before + 10).await;
    assert!(both.client.rtc.is_alive());
    late.until("the end, for who has no VP8", |c| c.gone).await;
    assert!(world.server.play("v=0", what("s", "")).await.is_err());
    over.cancel();
    publishing.await.unwrap();
}
