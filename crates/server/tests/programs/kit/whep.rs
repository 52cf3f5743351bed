//! A WebRTC player: one offer over HTTP, then media over UDP.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::{PATIENCE, Server};

/// Plays until so many packets of video have come.
#[track_caller]
pub fn play(server: &Server, url: &str, packets: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr().unwrap();
    let builder = Rtc::builder().clear_codecs().enable_h264(true).enable_opus(true, false).set_rtp_mode(true);
    let mut rtc = builder.build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    let video = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    let path = &url[url.find("/whep/").unwrap()..];
    let (status, answer) = server.request("POST", path, &offer.to_sdp_string());
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 201, "{answer}");
    rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
    let begun = Instant::now();
    let mut seen = 0;
    let mut buffer = vec![0; 2_000];
    while seen < packets {
        assert!(begun.elapsed() < PATIENCE, "{seen} packets of video");
        let deadline = match rtc.poll_output().unwrap() {
            Output::Timeout(at) => at,
            Output::Transmit(out) => {
                let _ = socket.send_to(&out.contents, out.destination);
                continue;
            }
            Output::Event(Event::RtpPacket(packet)) => {
                seen += usize::from(
                    rtc.direct_api().stream_rx_by_mid(video, None).is_some_and(|rx| rx.ssrc() == packet.header.ssrc),
                );
                continue;
            }
            Output::Event(_) => continue,
        };
        let wait = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).unwrap();
        match socket.recv_from(&mut buffer) {
            Ok((count, from)) => {
                if let Ok(receive) = Receive::new(Protocol::Udp, from, local, &buffer[..count]) {
                    rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                }
            }
            Err(_) => rtc.handle_input(Input::Timeout(Instant::now())).unwrap(),
        }
    }
}
