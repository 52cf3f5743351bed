//! One WHEP viewer: str0m for ICE and DTLS, heads of packets counted as they come, by the kernel's stamps. A whole one gives its
//! packets to str0m too, which opens them, and compares what comes out with the clip; a light one reports by itself.

use super::delays::Arrival;
use super::heads::{Counts, Head, Sort, Track, sort};
use super::reports::{Keys, Reporter, agreed, crypto};
use super::signal::{Answer, Endpoint};
use crate::Failure;
use crate::clip::{Slices, is_key};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaData, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// How often a light viewer reports: a browser reports pictures as often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// What a socket is to hold while nobody looks at it.
const ROOM: usize = 4 << 20;

/// What a payload type is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Video,
    Audio,
    /// Sent again, or nothing that was agreed on.
    Other,
}

/// What a whole viewer found in its packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opened {
    /// Pictures that are the clip's, and those that are not or came with a gap before them.
    pub good: u64,
    pub wrong: u64,
    /// Frames of sound.
    pub sounds: u64,
}

impl Opened {
    /// What was found since then.
    pub fn since(self, before: Opened) -> Opened {
        Opened { good: self.good - before.good, wrong: self.wrong - before.wrong, sounds: self.sounds - before.sounds }
    }
}

/// One viewer.
pub struct Viewer {
    socket: UdpSocket,
    local: SocketAddr,
    rtc: Rtc,
    answer: Answer,
    due: Instant,
    kinds: [Kind; 128],
    video: Track,
    audio: Track,
    /// Packets that were sent again.
    pub again: u64,
    /// When its pictures came, while that is asked for.
    pub arrivals: Option<Vec<Arrival>>,
    /// Where media comes from.
    peer: Option<SocketAddr>,
    reporter: Option<Reporter>,
    report_at: Instant,
    /// A whole one's.
    slices: Option<Arc<Slices>>,
    /// What it found.
    pub opened: Opened,
    /// Its first keyframe has come.
    pub keyed: bool,
    /// Why it plays no more.
    pub failed: Option<String>,
}

impl Viewer {
    /// Asks for the stream. A whole viewer has slices to compare with.
    pub fn join(endpoint: &Endpoint, slices: Option<Arc<Slices>>) -> Result<Self, Failure> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // As much as there may be; which datagrams found no room is counted by the kernel.
        if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
        }
        let local = socket.local_addr()?;
        let now = Instant::now();
        let mut rtc = machine(local, now)?;
        let (offer, pending) = offer(&mut rtc)?;
        let answer = endpoint.offer(&offer)?;
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp)?)?;
        let kinds = kinds(&answer.sdp);
        let mut viewer = Viewer {
            socket,
            local,
            rtc,
            answer,
            due: now,
            kinds,
            video: Track::default(),
            audio: Track::default(),
            again: 0,
            arrivals: None,
            peer: None,
            reporter: None,
            report_at: now,
            slices,
            opened: Opened::default(),
            keyed: false,
            failed: None,
        };
        viewer.drive(Instant::now())?;
        Ok(viewer)
    }

    /// An offer as viewers make it, of one that never comes.
    pub fn offer() -> Result<String, Failure> {
        let mut rtc = machine((Ipv4Addr::LOCALHOST, 9).into(), Instant::now())?;
        Ok(offer(&mut rtc)?.0)
    }

    /// What came of pictures, and of sound.
    pub fn counts(&self) -> [Counts; 2] {
        [self.video.counts(), self.audio.counts()]
    }

    /// Whether media flows.
    pub fn plays(&self) -> bool {
        self.video.counts().received > 0 && (self.slices.is_none() || self.keyed)
    }

    /// Whether its packets are opened.
    pub fn is_whole(&self) -> bool {
        self.slices.is_some()
    }

    /// Takes all that has come, and does what is due.
    pub fn turn(&mut self, buffer: &mut [u8], now: Instant) {
        if self.failed.is_some() {
            return;
        }
        if let Err(why) = self.receive(buffer, now).and_then(|()| self.advance(now)) {
            self.failed = Some(why.to_string());
        }
    }

    /// Waits until something comes, something is due, or this moment.
    pub fn wait(&self, until: Instant) -> Result<(), Failure> {
        let time = until.min(self.due).saturating_duration_since(Instant::now()).max(Duration::from_micros(100));
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(time))?;
        // Its time being up is no failure, and a real one shows when the datagram is taken.
        let _ = self.socket.peek(&mut [0; 1]);
        Ok(self.socket.set_nonblocking(true)?)
    }

    /// Ends the session.
    pub fn leave(mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.rtc.close()?;
        self.drive(Instant::now())?;
        endpoint.leave(&self.answer)
    }

    fn receive(&mut self, buffer: &mut [u8], now: Instant) -> Result<(), Failure> {
        let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
        loop {
            let mut slices = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let got = match recvmsg::<SockaddrIn>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Ok(got) => got,
                Err(nix::errno::Errno::EAGAIN) => return Ok(()),
                // The peer's port is closed: it shows itself by its silence.
                Err(nix::errno::Errno::ECONNREFUSED) => return Ok(()),
                Err(why) => return Err(why.into()),
            };
            let length = got.bytes;
            let from = got.address.map(|from| SocketAddr::V4(SocketAddrV4::new(from.ip(), from.port())));
            let from = from.ok_or("a datagram from nowhere")?;
            let stamp = got.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at).as_nanos() as u64),
                _ => None,
            });
            let datagram = buffer.get(..length).unwrap_or_default();
            self.take(datagram, from, stamp.ok_or("the kernel does not say when datagrams came")?, now)?;
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr, stamp: u64, now: Instant) -> Result<(), Failure> {
        let sort = sort(datagram);
        if sort == Sort::Rtp {
            self.peer = Some(from);
            self.count(datagram, stamp);
        }
        if sort != Sort::Session && !self.is_whole() {
            return Ok(());
        }
        // What str0m cannot read is none of its own.
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, datagram) {
            self.rtc.handle_input(Input::Receive(now, receive))?;
            self.drive(now)?;
        }
        Ok(())
    }

    fn count(&mut self, packet: &[u8], stamp: u64) {
        let Some(head) = Head::read(packet) else { return };
        match self.kinds[usize::from(head.payload_type)] {
            Kind::Video => {
                self.video.take(head);
                if head.marker
                    && let Some(arrivals) = &mut self.arrivals
                {
                    arrivals.push((head.time, stamp));
                }
            }
            Kind::Audio => self.audio.take(head),
            Kind::Other => self.again += 1,
        }
    }

    fn advance(&mut self, now: Instant) -> Result<(), Failure> {
        if now >= self.due {
            self.rtc.handle_input(Input::Timeout(now))?;
            self.drive(now)?;
        }
        if now >= self.report_at
            && let (Some(reporter), Some(peer)) = (&mut self.reporter, self.peer)
        {
            self.report_at = now + REPORT_EVERY;
            let tracks: Vec<Track> = [self.video, self.audio].into_iter().filter(|t| t.counts().sent > 0).collect();
            let report = reporter.report(&tracks).ok_or("a report could not be sealed")?;
            self.socket.send_to(&report, peer)?;
        }
        Ok(())
    }

    /// Lets str0m say what it has to say.
    fn drive(&mut self, now: Instant) -> Result<(), Failure> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.due = at;
                    // A handshake that has ended since the last call is this viewer's.
                    return agreed().map_or(Ok(()), |keys| self.begin_reports(&keys, now));
                }
                Output::Transmit(out) => {
                    // str0m knows of nothing that it was not given: a light viewer's reports are its own.
                    if sort(&out.contents) == Sort::Session || self.is_whole() {
                        let _ = self.socket.send_to(&out.contents, out.destination);
                    }
                }
                Output::Event(Event::MediaData(data)) => self.opened(&data),
                Output::Event(Event::Closed) => return Err("the server ended the session".into()),
                Output::Event(_) => {}
            }
            if !self.rtc.is_alive() {
                return Ok(());
            }
        }
    }

    fn begin_reports(&mut self, keys: &Keys, now: Instant) -> Result<(), Failure> {
        if !self.is_whole() {
            // Any number that is no track's; the port makes it another for each.
            let reporter = Reporter::new(keys, 0x5eed_0000 | u32::from(self.local.port()));
            self.reporter = Some(reporter.ok_or("keys of a profile that is not known")?);
            self.report_at = now + REPORT_EVERY;
        }
        Ok(())
    }

    fn opened(&mut self, data: &MediaData) {
        let Some(slices) = &self.slices else { return };
        if data.params.spec().codec.is_audio() {
            self.opened.sounds += 1;
            return;
        }
        self.keyed |= is_key(&data.data);
        if slices.hold(&data.data) && data.contiguous {
            self.opened.good += 1;
        } else {
            self.opened.wrong += 1;
        }
    }
}

fn machine(local: SocketAddr, now: Instant) -> Result<Rtc, Failure> {
    let builder = Rtc::builder().set_crypto_provider(Arc::new(crypto())).clear_codecs();
    let mut rtc = builder.enable_h264(true).enable_opus(true, false).build(now);
    rtc.add_local_candidate(Candidate::host(local, "udp")?);
    Ok(rtc)
}

fn offer(rtc: &mut Rtc) -> Result<(String, SdpPendingOffer), Failure> {
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().ok_or("no offer")?;
    Ok((offer.to_sdp_string(), pending))
}

/// What each payload type of an answer is of.
fn kinds(sdp: &str) -> [Kind; 128] {
    let mut kinds = [Kind::Other; 128];
    let maps = sdp.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.trim().split_once(' '));
    for (number, codec) in maps {
        let kind = match codec.split('/').next() {
            Some("H264") => Kind::Video,
            Some("opus" | "OPUS") => Kind::Audio,
            _ => Kind::Other,
        };
        if let Some(place) = number.parse().ok().and_then(|number: usize| kinds.get_mut(number)) {
            *place = kind;
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_payload_types_are_of() {
        let kinds = kinds(
            "m=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:96 H264/90000\r\na=rtpmap:97 rtx/90000\r\n",
        );
        assert_eq!([kinds[111], kinds[96], kinds[97], kinds[0]], [Kind::Audio, Kind::Video, Kind::Other, Kind::Other]);
    }
}
