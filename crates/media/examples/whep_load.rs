//! Measures what a WHEP viewer costs. `whep_load serve 127.0.0.1:9100` runs the server with a made-up stream of 0.6
//! Mbit/s; `whep_load view 127.0.0.1:9100 200 20` connects 200 viewers to it for 20 s and prints the server's figures.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use media::frame::{Codec, Frame};
use media::hub::{Hub, Origin, Settings};
use media::name::{Protocol, StreamName};
use media::request::{PlayOptions, Query, Request, What};
use media::rtc::{Config, Server};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol as Transport, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let address: SocketAddr = args.get(2).ok_or("serve|view ADDRESS [VIEWERS SECONDS]")?.parse()?;
    match args[1].as_str() {
        "serve" => serve(address).await,
        _ => {
            let number = |i: usize, or: u64| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(or);
            view(address, number(3, 100), Duration::from_secs(number(4, 20))).await
        }
    }
}

async fn serve(address: SocketAddr) -> Result<(), Failure> {
    let hub = Hub::new(Settings::default());
    let (requests, mut inbox) = media::request::channel(64, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            if let Request::Play(ask) = request {
                ask.accept(PlayOptions::default());
            }
        }
    });
    let mut config = Config::default();
    config.udp = (Ipv4Addr::LOCALHOST, 0).into();
    config.max_unconnected_per_peer = 10_000;
    let server = Server::start(config, hub.clone(), requests, CancellationToken::new())?;
    tokio::spawn(publish(hub));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (mut stream, peer) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move {
            while let Ok(ask) = read(&mut stream).await {
                let reply = if ask == "usage" {
                    let (cpu, rss) = usage();
                    format!("{cpu} {rss} {:?}", server.counters())
                } else {
                    let what = What {
                        stream: StreamName::new("load").expect("a plain name"),
                        app: "live".into(),
                        query: Query::default(),
                        protocol: Protocol::Whep,
                        peer,
                    };
                    server.play(&ask, what).await.map_or_else(|e| e.to_string(), |a| a.sdp)
                };
                if write(&mut stream, &reply).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// 30 pictures a second of 2 kB, a key picture each 2 s, and 50 Opus packets a second of 120 bytes.
async fn publish(hub: Hub) {
    let origin = Origin { protocol: Protocol::Rtmp, peer: (Ipv4Addr::LOCALHOST, 1).into() };
    let name = StreamName::new("load").expect("a plain name");
    let Ok(publisher) = hub.publish(&name, origin) else { return };
    let avcc = b"\x01\x42\xe0\x1f\xff\xe1\x00\x04\x67\x42\xe0\x1f\x01\x00\x03\x68\xce\x3c".to_vec();
    let _ = publisher.push(Frame::config(Codec::H264, 0, avcc.into()));
    let _ = publisher.push(Frame::config(Codec::Opus, 0, media::audio::opus_head(2)));
    let start = Instant::now();
    for tick in 0i64.. {
        // 600 ticks a second hold 30 pictures and 50 packets exactly.
        let at = tick * 1_000_000 / 300;
        tokio::time::sleep_until((start + Duration::from_micros(at as u64)).into()).await;
        if tick % 10 == 0 {
            let key = (tick / 10) % 60 == 0;
            let size: u32 = if key { 10_000 } else { 1_900 };
            let mut payload = size.to_be_bytes().to_vec();
            payload.push(if key { 0x65 } else { 0x41 });
            payload.resize(size as usize + 4, 0x55);
            let _ = publisher.push(Frame::video(Codec::H264, at, 0, key, payload.into()));
        }
        if tick % 6 == 0 {
            let _ = publisher.push(Frame::audio(Codec::Opus, at, vec![0xf8; 120].into()));
        }
    }
}

async fn view(address: SocketAddr, viewers: u64, time: Duration) -> Result<(), Failure> {
    let before = figures(address).await?;
    let stop = CancellationToken::new();
    let mut tasks = Vec::new();
    for _ in 0..viewers {
        tasks.push(tokio::spawn(viewer(address, stop.clone())));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    let first = figures(address).await?;
    tokio::time::sleep(time).await;
    let elapsed = start.elapsed().as_secs_f64();
    let last = figures(address).await?;
    stop.cancel();
    let mut packets = 0;
    let mut bytes = 0;
    let mut connected = 0;
    for task in tasks {
        let (p, b) = task.await??;
        connected += u64::from(p > 0);
        packets += p;
        bytes += b;
    }
    let whole = elapsed + 5.0;
    println!(
        "viewers {connected} of {viewers}, {:.0} packets/s and {:.2} Mbit/s each (roughly)",
        packets as f64 / viewers as f64 / whole,
        bytes as f64 * 8.0 / viewers as f64 / whole / 1e6
    );
    println!(
        "server CPU {:.1} % of a core, {:.3} % a viewer",
        (last.0 - first.0) / elapsed * 100.0,
        (last.0 - first.0) / elapsed * 100.0 / viewers as f64
    );
    println!("server RSS {} kB, {} kB a viewer", last.1, (last.1.saturating_sub(before.1)) / viewers.max(1));
    println!("{}", last.2);
    Ok(())
}

async fn viewer(address: SocketAddr, stop: CancellationToken) -> Result<(u64, u64), Failure> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let local = socket.local_addr()?;
    let mut rtc = Rtc::builder()
        .clear_codecs()
        .enable_h264(true)
        .enable_opus(true, false)
        .set_rtp_mode(true)
        .build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp")?);
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().ok_or("an offer")?;
    let answer = {
        let mut control = TcpStream::connect(address).await?;
        write(&mut control, &offer.to_sdp_string()).await?;
        read(&mut control).await?
    };
    rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer)?)?;
    let mut packets = 0;
    let mut bytes = 0;
    let mut buffer = vec![0; 2_000];
    loop {
        let deadline = match rtc.poll_output()? {
            Output::Timeout(at) => at,
            Output::Transmit(t) => {
                let _ = socket.send_to(&t.contents, t.destination).await;
                continue;
            }
            Output::Event(Event::RtpPacket(p)) => {
                packets += 1;
                bytes += p.payload.len() as u64;
                continue;
            }
            Output::Event(_) => continue,
        };
        tokio::select! {
            got = socket.recv_from(&mut buffer) => {
                let (n, from) = got?;
                if let Ok(receive) = Receive::new(Transport::Udp, from, local, &buffer[..n]) {
                    rtc.handle_input(Input::Receive(Instant::now(), receive))?;
                }
            }
            () = tokio::time::sleep_until(deadline.into()) => rtc.handle_input(Input::Timeout(Instant::now()))?,
            () = stop.cancelled() => return Ok((packets, bytes)),
        }
    }
}

async fn figures(address: SocketAddr) -> Result<(f64, u64, String), Failure> {
    let mut control = TcpStream::connect(address).await?;
    write(&mut control, "usage").await?;
    let text = read(&mut control).await?;
    let mut parts = text.splitn(3, ' ');
    let mut next = || parts.next().ok_or("a figure");
    Ok((next()?.parse()?, next()?.parse()?, next()?.to_owned()))
}

async fn write(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.write_u32(text.len() as u32).await?;
    stream.write_all(text.as_bytes()).await
}

async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = vec![0; stream.read_u32().await?.min(1 << 20) as usize];
    stream.read_exact(&mut bytes).await?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// CPU seconds (user and system) and resident kilobytes of this process, as Linux tells.
fn usage() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let rss = rss.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    (ticks as f64 / 100.0, rss)
}
