//! WebRTC as browsers do it: a session that publishes sound or plays it, in a thread of its own, and knows how it ended.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::Server;

/// A packet of sound each.
const STEP: Duration = Duration::from_millis(20);

/// A running session.
pub struct Peer {
    /// Pieces of sound that it played.
    pub heard: Arc<AtomicUsize>,
    /// The server said goodbye.
    pub closed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Peer {
    /// A session at a WHIP URL, or the status that it was refused with.
    pub fn publish(server: &Server, url: &str) -> Result<Self, u16> {
        Self::start(server, &url[url.find("/whip/").unwrap()..], Direction::SendOnly)
    }

    /// A session at a WHEP URL, or the status that it was refused with.
    pub fn play(server: &Server, url: &str) -> Result<Self, u16> {
        Self::start(server, &url[url.find("/whep/").unwrap()..], Direction::RecvOnly)
    }

    fn start(server: &Server, path: &str, direction: Direction) -> Result<Self, u16> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder().clear_codecs().enable_opus(true, false).build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let stream = (direction == Direction::SendOnly).then(|| "stream".to_owned());
        let mid = api.add_media(MediaKind::Audio, direction, stream, None, None);
        let (offer, pending) = api.apply().unwrap();
        let (status, answer) = server.request("POST", path, &offer.to_sdp_string());
        if status != 201 {
            return Err(status);
        }
        let answer = String::from_utf8(answer).unwrap();
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
        let peer = Self { heard: Arc::default(), closed: Arc::default(), stop: Arc::default() };
        let heard = peer.heard.clone();
        let closed = peer.closed.clone();
        let stop = peer.stop.clone();
        let sends = (direction == Direction::SendOnly).then_some(mid);
        std::thread::spawn(move || run(rtc, &socket, sends, &heard, &closed, &stop));
        Ok(peer)
    }
}

fn run(
    mut rtc: Rtc,
    socket: &UdpSocket,
    sends: Option<Mid>,
    heard: &AtomicUsize,
    closed: &AtomicBool,
    stop: &AtomicBool,
) {
    let local = socket.local_addr().unwrap();
    let mut buffer = vec![0; 2_000];
    let mut connected = false;
    let mut next = Instant::now();
    let mut sent = 0u64;
    while rtc.is_alive() && !stop.load(Ordering::Relaxed) {
        let deadline = match rtc.poll_output().unwrap() {
            Output::Timeout(at) => at.min(next),
            Output::Transmit(out) => {
                let _ = socket.send_to(&out.contents, out.destination);
                continue;
            }
            Output::Event(event) => {
                match event {
                    Event::Connected => connected = true,
                    Event::MediaData(_) => drop(heard.fetch_add(1, Ordering::Relaxed)),
                    Event::Closed => closed.store(true, Ordering::Relaxed),
                    _ => {}
                }
                continue;
            }
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
        if next <= Instant::now() {
            next += STEP;
            if let Some(mid) = sends.filter(|_| connected && rtc.is_alive()) {
                let writer = rtc.writer(mid).unwrap();
                let opus = writer.payload_params().next().unwrap().pt();
                // Silence, as encoders send it.
                let time = MediaTime::new(sent * 960, Frequency::FORTY_EIGHT_KHZ);
                writer.write(opus, Instant::now(), time, vec![0xf8, 0xff, 0xfe]).unwrap();
                sent += 1;
            }
        }
    }
}
