//! Measures what a stream that nobody watches costs in memory: `stream_memory 1000` publishes so many over RTMP, first
//! without a picture, then with 0.6 Mbit/s each and a key picture a second. What a viewer costs, `bench whep` prints.

use std::net::Ipv4Addr;
use std::time::Duration;

use media::frame::{Codec, Frame};
use media::hub::{Hub, Settings};
use media::request::{PublishOptions, Request};
use media::rtmp::client::{Publisher, Target};
use media::rtmp::{self, Limits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const AVCC: &[u8] = b"\x01\x42\xe0\x1f\xff\xe1\x00\x04\x67\x42\xe0\x1f\x01\x00\x03\x68\xce\x3c";
/// Pictures of a second, and bytes of one: 0.6 Mbit/s.
const PICTURES: i64 = 30;
const PICTURE_BYTES: usize = 2_500;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).map_or(Ok(500), |n| n.parse())?;
    let hub = Hub::new(Settings::default());
    let (requests, mut inbox) = media::request::channel(64, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            if let Request::Publish(ask) = request {
                ask.accept(PublishOptions::default());
            }
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let limits = Limits { connections: count + 10, per_address: count + 10, ..Limits::default() };
    tokio::spawn(rtmp::serve(listener, hub.clone(), requests, limits, CancellationToken::new()));

    let before = resident();
    let mut publishers = Vec::new();
    for i in 0..count {
        let target = Target::parse(&format!("rtmp://{address}/live/s{i}")).ok_or("an RTMP URL")?;
        let mut publisher = Publisher::connect(&target).await?;
        publisher.send(&Frame::config(Codec::H264, 0, AVCC.into())).await?;
        publishers.push(publisher);
    }
    let idle = resident();
    for at in 0..3 * PICTURES {
        for publisher in &mut publishers {
            let time = at * 1_000_000 / PICTURES;
            let key = at % PICTURES == 0;
            publisher.send(&Frame::video(Codec::H264, time, 0, key, vec![0x55; PICTURE_BYTES].into())).await?;
        }
        tokio::time::sleep(Duration::from_micros(1_000_000 / PICTURES as u64)).await;
    }
    let flowing = resident();
    let each = |kilobytes: u64| kilobytes.saturating_sub(before) / count as u64;
    // The publishing ends are in this process too, with a socket and buffers of their own.
    println!("{} streams: {} kB each without pictures, {} kB with 0.6 Mbit/s", hub.len(), each(idle), each(flowing));
    Ok(())
}

/// Resident kilobytes of this process, as Linux tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    rss.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
