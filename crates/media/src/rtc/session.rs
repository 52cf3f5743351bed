//! One session: its `str0m` machine, its deadlines, and what role it plays. Moves datagrams in and out; decides nothing
//! about other sessions.

mod feedback;

#[cfg(test)]
pub(super) use feedback::numbers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{KeyframeRequestKind, MediaData, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RawPacket;
use str0m::{Event, IceConnectionState, IceCreds, Input, Output, Rtc};

use super::dtls;
use super::net::{Datagram, Route, Table};
use super::offer::{self, Identity};
use super::outbox::{Destination, Outbox};
use super::path::Path;
use super::rate::Rate;
use super::sender::{Reported, Sender};
use super::simulcast::Simulcast;
use super::sink::Sink;
use super::srtp::Keys;
use super::stun;
use super::tally::Tally;
use super::whep::Whep;
use super::whip::Whip;
use super::{Counters, Refused};
use crate::ended::Ended;
use crate::frame::Frame;
use crate::hub::{Publisher, Reader};
use crate::name::StreamName;

/// No check has come by then: the advertised address is told to the operator.
const DIAGNOSE: Duration = Duration::from_secs(5);
/// Media must be able to flow by then.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a peer that fell silent may come back.
const RETURN: Duration = Duration::from_secs(10);
/// Most source addresses of one session.
const MOST_SOURCES: usize = 16;

/// What is to be sent this soon is sent now: probes of a network are packets a fraction of a millisecond apart, and timers
/// are coarser than that. They would measure the timer.
pub(super) const AHEAD: Duration = Duration::from_millis(1);
/// Most packets sent so in one go.
const MOST_AHEAD: u32 = 64;

/// What a session is for.
pub(super) enum Role {
    /// It publishes.
    Publish {
        /// Its tracks.
        whip: Box<Whip>,
        /// Its place in the hub.
        publisher: Arc<Publisher>,
        /// The video track.
        video: Option<Mid>,
        /// Its layers, if it sends several.
        simulcast: Option<Box<Simulcast>>,
        /// It sends lost pictures again as they were.
        repeats: bool,
    },
    /// It plays.
    Play {
        /// Its tracks.
        whep: Box<Whep>,
        /// Counts it among the stream's readers, and asks for key pictures.
        ticket: Box<Reader>,
    },
}

/// What the worker has to do about a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Media can flow now.
    Connected,
    /// It is over.
    Ended(Ended),
}

/// One session.
pub(super) struct Session {
    /// Its place.
    pub route: Route,
    /// Its public name.
    pub id: String,
    /// Its stream.
    pub stream: StreamName,
    /// Its machine.
    pub rtc: Box<Rtc>,
    /// What it is for.
    pub role: Role,
    /// Who asked for it.
    pub peer: SocketAddr,
    /// Our ICE fragment.
    pub ufrag: String,
    /// The peer's.
    pub remote_ufrag: String,
    /// Its offer, for ICE restarts, and what the answers to those begin with.
    offer: Box<str>,
    /// See `offer`.
    pub restart: Box<str>,
    /// Whether media can flow.
    pub connected: bool,
    /// When it wants [`Session::tick`].
    pub deadline: Instant,
    created: Instant,
    diagnosed: bool,
    lost: Option<Instant>,
    /// Which of the paths that the peer has checked is sent on.
    path: Path,
    /// Source addresses whose requests were answered.
    pub sources: Vec<(Protocol, SocketAddr)>,
    /// Where media goes.
    to: Option<(Protocol, SocketAddr)>,
    /// What the handshake agreed on, until a sender is made of it.
    keys: Option<Keys>,
    /// Sends a viewer's packets, where str0m does not.
    sender: Option<Box<Sender>>,
    /// When str0m wants to be told the time.
    machine_due: Instant,
    /// The peer's ICE password, and what our own checks are known by.
    remote_password: String,
    checks: [u8; 8],
    /// The machine panicked.
    broken: bool,
    link: dtls::Link,
    rate: Rate,
    tally: Tally,
}

/// What a new session starts with.
pub(super) struct Start {
    pub id: String,
    pub stream: StreamName,
    pub rtc: Box<Rtc>,
    pub role: Role,
    pub peer: SocketAddr,
    pub creds: IceCreds,
    pub remote_ufrag: String,
    pub offer: Box<str>,
    /// What answers to ICE restarts begin with.
    pub restart: Box<str>,
    pub link: dtls::Link,
    pub max_bitrate: Option<u64>,
}

impl Session {
    /// A session that no peer has connected to yet.
    pub fn new(route: Route, start: Start, counters: Arc<Counters>, now: Instant) -> Self {
        let Start { id, stream, rtc, role, peer, creds, remote_ufrag, offer, restart, link, max_bitrate } = start;
        let begins = offer::is_ours_to_begin(&offer);
        let password = offer.lines().find_map(|line| line.strip_prefix("a=ice-pwd:")).unwrap_or_default().to_owned();
        let mut checks = [0; 8];
        let _ = getrandom::fill(&mut checks);
        Session {
            route,
            id,
            stream,
            rtc,
            role,
            peer,
            path: Path::new(creds.pass, begins),
            ufrag: creds.ufrag,
            remote_ufrag,
            offer,
            restart,
            connected: false,
            deadline: now,
            created: now,
            diagnosed: false,
            lost: None,
            sources: Vec::new(),
            to: None,
            keys: None,
            sender: None,
            machine_due: now,
            remote_password: password,
            checks,
            broken: false,
            link,
            rate: Rate::new(max_bitrate, now),
            tally: Tally::new(counters),
        }
    }

    /// Takes a datagram. What str0m cannot read is dropped; what it cannot stand ends the session.
    pub fn receive(
        &mut self,
        datagram: &Datagram,
        identity: &Identity,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Result<(), Ended> {
        let Datagram { proto, source, local, bytes, .. } = datagram;
        let advertised = if *proto == Protocol::Udp { &identity.udp } else { &identity.tcp };
        // str0m knows our addresses as we advertised them, whatever the network between made of them.
        let same = |a: &&SocketAddr| Some(a.ip()) == *local;
        let family = |a: &&SocketAddr| a.is_ipv4() == source.is_ipv4();
        let found = advertised.iter().find(same).or_else(|| advertised.iter().find(family)).or(advertised.first());
        let Some(destination) = found else { return Ok(()) };
        if let Some(&[ref head @ .., a, b, c, d]) = stun::answered(bytes)
            && *head == self.checks
            && let Role::Play { whep, .. } = &mut self.role
        {
            let before = whep.congestion.is_narrow();
            whep.answered(u32::from_be_bytes([a, b, c, d]), now);
            if before != whep.congestion.is_narrow() {
                let bits = whep.congestion.rate();
                tracing::debug!(session = %self.id, stream = %self.stream, bits, "what a viewer is sent changes");
            }
            return if whep.has_waiting() { self.tick(now, outbox) } else { Ok(()) };
        }
        let prioritised = self.path.with_priority(bytes);
        let bytes = prioritised.as_deref().unwrap_or(bytes);
        if let Some(check) = self.path.came((*proto, *source), *local, bytes)
            && let Ok(receive) = Receive::new(*proto, *source, *destination, &check)
        {
            self.guarded(|session| session.rtc.handle_input(Input::Receive(now, receive)).map_err(protocol))?;
            if stun::is_check(bytes) {
                // It was this one, and is answered once.
                return Ok(());
            }
        }
        let Ok(receive) = Receive::new(*proto, *source, *destination, bytes) else { return Ok(()) };
        self.guarded(|session| {
            let input = Input::Receive(now, receive);
            if !session.rtc.accepts(&input) {
                return Ok(());
            }
            session.rtc.handle_input(input).map_err(protocol)
        })
    }

    /// What peers send reaches code that is not ours and asserts much: should it panic, it takes this session with it and
    /// no other. The machine is not touched again.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, Ended>) -> Result<T, Ended> {
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(self)));
        let agreed = dtls::agreed();
        if self.awaits_keys() {
            self.keys = agreed.or(self.keys.take());
        }
        acted.unwrap_or_else(|_| {
            self.broken = true;
            Err(Ended::Protocol("the WebRTC machine failed on what the peer sent".into()))
        })
    }

    /// It is a viewer whose packets are going to be ours to send.
    fn awaits_keys(&self) -> bool {
        matches!(&self.role, Role::Play { whep, .. } if !whep.adapts) && self.sender.is_none()
    }

    /// Where what is sent to the peer goes.
    fn destination(&self) -> Option<Destination> {
        self.to.map(|peer| Destination { proto: peer.0, to: peer.1, from: self.path.local(peer) })
    }

    /// Tells the machine the time, and sends what waited and may be sent now.
    pub fn tick(&mut self, now: Instant, outbox: &mut Outbox) -> Result<(), Ended> {
        if let Role::Play { whep, .. } = &self.role
            && whep.due(now).is_some()
        {
            let sent = self.play(outbox, now, |whep, sink| whep.pump(sink, now)).unwrap_or(0);
            if let Role::Play { ticket, .. } = &self.role {
                ticket.count_sent(sent);
            }
        }
        if let (Some(to), Some(sender)) = (self.destination(), &mut self.sender) {
            sender.report(outbox, to, now);
        }
        self.guarded(|session| session.rtc.handle_input(Input::Timeout(now)).map_err(protocol))
    }

    /// Has a viewer's tracks send something. None: it is not a viewer, or nothing can be sent to it yet.
    pub fn play<T>(
        &mut self,
        outbox: &mut Outbox,
        now: Instant,
        act: impl FnOnce(&mut Whep, &mut Sink<'_>) -> T,
    ) -> Option<T> {
        let to = self.destination();
        let Session { role: Role::Play { whep, .. }, rtc, sender, .. } = self else { return None };
        if whep.adapts {
            return Some(act(whep, &mut Sink::Machine(rtc)));
        }
        let sender = sender.as_mut()?;
        let to = to?;
        let done = act(whep, &mut Sink::Own(sender, outbox, to));
        sender.report(outbox, to, now);
        Some(done)
    }

    /// After [`Session::play`]: what else is due now, and the next deadline. False: str0m has to be asked for it
    /// ([`Session::drain`]), because packets went through it.
    pub fn settle(&mut self, now: Instant, outbox: &mut Outbox) -> bool {
        if self.sender.is_none() {
            return false;
        }
        self.check(now, outbox);
        self.set_deadline(now);
        true
    }

    fn set_deadline(&mut self, now: Instant) {
        let next = self.own_deadline(now).map_or(self.machine_due, |own| own.min(self.machine_due));
        // Never in the past: a machine that keeps saying "now" is asked again in a moment, not forever.
        self.deadline = next.max(now + Duration::from_millis(1));
    }

    /// From now on its packets are ours to send, unless str0m paces them.
    ///
    /// # Errors
    /// The handshake did not agree on what that takes.
    fn begin_sending(&mut self, now: Instant) -> Result<(), Ended> {
        if !self.awaits_keys() {
            return Ok(());
        }
        let Session { role: Role::Play { whep, .. }, rtc, keys, sender, .. } = self else { return Ok(()) };
        let keys = dtls::agreed().or(keys.take()).ok_or("the handshake told no keys to send with");
        let made = keys.and_then(|keys| Sender::new(rtc, &dtls::crypto(), &keys, &whep.lines(), now));
        *sender = Some(Box::new(made.map_err(|why| Ended::Protocol(why.into()))?));
        Ok(())
    }

    /// Says goodbye to the peer, if there is one: RTCP BYE and DTLS close_notify.
    pub fn close(&mut self, now: Instant, table: &Table, outbox: &mut Outbox) {
        if let (Some(to), Some(sender)) = (self.destination(), &mut self.sender) {
            sender.goodbye(outbox, to);
        }
        if !self.broken && self.rtc.is_alive() && self.rtc.close().is_ok() {
            let _ = self.drain(now, table, outbox);
        }
    }

    /// Moves everything out of the machine: datagrams to `outbox`, frames to the hub. Sets the next deadline.
    pub fn drain(&mut self, now: Instant, table: &Table, outbox: &mut Outbox) -> Option<Signal> {
        self.guarded(|session| Ok(session.pour(now, table, outbox))).unwrap_or_else(|ended| Some(Signal::Ended(ended)))
    }

    fn pour(&mut self, now: Instant, table: &Table, outbox: &mut Outbox) -> Option<Signal> {
        let mut signal = None;
        let mut ahead = if self.is_paced() { MOST_AHEAD } else { 0 };
        let next = loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) if ahead > 0 && at <= now + AHEAD => {
                    ahead -= 1;
                    if let Err(error) = self.rtc.handle_input(Input::Timeout(at.max(now))) {
                        return Some(Signal::Ended(protocol(error)));
                    }
                }
                Ok(Output::Timeout(at)) => break at,
                Ok(Output::Transmit(transmit)) => self.transmit(&transmit, table, outbox, now),
                Ok(Output::Event(event)) => match self.event(event, outbox, now) {
                    None => {}
                    Some(Signal::Connected) => signal = Some(Signal::Connected),
                    ended => return ended,
                },
                Err(error) => return Some(Signal::Ended(protocol(error))),
            }
        };
        if !self.rtc.is_alive() {
            return Some(Signal::Ended(Ended::Closed));
        }
        self.check(now, outbox);
        self.machine_due = next;
        self.set_deadline(now);
        signal
    }

    /// Passes on what the machine sends.
    fn transmit(&mut self, transmit: &Transmit, table: &Table, outbox: &mut Outbox, now: Instant) {
        let unsettled = !self.path.is_settled();
        let (proto, to) = self.path.of(transmit.proto, transmit.destination, &transmit.contents);
        let first = transmit.contents.first().copied().unwrap_or_default();
        if first < 4 && !self.connected {
            self.link.reach(unsettled && self.path.is_settled(), now);
        }
        self.answered((transmit.proto, transmit.destination), first < 4, table);
        self.to = self.path.taken().or(self.to);
        // RTCP of the machine's would bear numbers that our own reports have.
        if self.sender.is_some() && (128..=191).contains(&first) {
            return;
        }
        outbox.push(Destination { proto, to, from: self.path.local((proto, to)) }, &transmit.contents);
    }

    /// Asks a viewer's end how long the network takes, where that is due.
    pub fn check(&mut self, now: Instant, outbox: &mut Outbox) {
        let to = self.destination();
        if let Role::Play { whep, .. } = &mut self.role
            && self.connected
            && let Some(to) = to
            && let Some(number) = whep.check(now)
        {
            let [a, b, c, d, e, f, g, h] = self.checks;
            let [i, j, k, l] = number.to_be_bytes();
            let user = format!("{}:{}", self.remote_ufrag, self.ufrag);
            if let Some(check) = stun::check([a, b, c, d, e, f, g, h, i, j, k, l], &user, &self.remote_password) {
                outbox.push(to, &check);
            }
        }
    }

    fn is_paced(&self) -> bool {
        matches!(&self.role, Role::Play { whep, .. } if whep.adapts)
    }

    /// The machine sends something to `peer`, so that sent a request with the right password: from now on its datagrams are ours, also
    /// where they were another session's before. `request`: it is an answer to one. Of many addresses the newest count, and the one
    /// that media goes to.
    fn answered(&mut self, peer: (Protocol, SocketAddr), request: bool, table: &Table) {
        let known = self.sources.contains(&peer);
        if known && !(request && table.known(peer.0, peer.1) != Some(self.route)) {
            return;
        }
        if !known {
            if self.sources.len() == MOST_SOURCES {
                let taken = self.path.taken();
                let oldest = self.sources.iter().position(|source| Some(*source) != taken).unwrap_or(0);
                let oldest = self.sources.remove(oldest);
                table.forget(self.route, "", &[oldest]);
            }
            self.sources.push(peer);
        }
        table.vouch(peer.0, peer.1, self.route);
    }

    fn own_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.connected {
            let is_unreached = self.sources.is_empty() && !self.diagnosed;
            return Some(self.created + if is_unreached { DIAGNOSE } else { CONNECT });
        }
        let pump = match &self.role {
            Role::Play { whep, .. } => whep.due(now),
            Role::Publish { .. } => None,
        };
        let report = self.sender.as_ref().and_then(|sender| sender.report_due());
        let due = pump.into_iter().chain(report).min();
        let lost = self.lost.map(|since| since + RETURN);
        due.into_iter().chain(lost).min()
    }

    /// What its own deadlines say at `now`. `unreached` is called once if no peer has found us.
    pub fn overdue(&mut self, now: Instant, unreached: impl FnOnce(&Self)) -> Option<Ended> {
        if self.connected {
            let lost = self.lost.is_some_and(|since| now >= since + RETURN);
            return lost.then_some(Ended::Timeout("the peer, whose ICE checks stopped"));
        }
        if self.sources.is_empty() && !self.diagnosed && now >= self.created + DIAGNOSE {
            self.diagnosed = true;
            unreached(self);
        }
        (now >= self.created + CONNECT).then_some(Ended::Timeout("ICE and DTLS"))
    }

    fn event(&mut self, event: Event, outbox: &mut Outbox, now: Instant) -> Option<Signal> {
        match event {
            Event::Connected => {
                self.connected = true;
                Some(self.begin_sending(now).map_or_else(Signal::Ended, |()| Signal::Connected))
            }
            Event::IceConnectionStateChange(state) => {
                self.lost = (state == IceConnectionState::Disconnected).then_some(now);
                None
            }
            Event::MediaEgressStats(s) => {
                self.reported(Reported { mid: s.mid, loss: s.loss, round_trip: s.rtt, all: false }, now);
                self.tally.all_nacks((s.mid, s.rid), s.nacks);
                None
            }
            Event::MediaIngressStats(s) => {
                self.tally.round_trip(s.rtt);
                self.tally.loss(s.loss);
                self.tally.all_nacks((s.mid, s.rid), s.nacks);
                None
            }
            Event::KeyframeRequest(_) => {
                self.tally.key_request();
                if let Role::Play { ticket, whep } = &mut self.role
                    && whep.asks_key(true, now)
                {
                    ticket.request_key();
                }
                None
            }
            Event::MediaData(data) => self.published(&data, now).err().map(Signal::Ended),
            // Its newest figure; what str0m tells of by itself is the mean of three seconds.
            Event::PeerStats(stats) => {
                if let (Role::Play { whep, .. }, Some(estimate)) = (&mut self.role, stats.bwe_tx) {
                    whep.choice.estimated(estimate.as_u64());
                }
                None
            }
            Event::RawPacket(packet) => {
                if let RawPacket::RtcpRx(feedback) = *packet {
                    self.feedback(&feedback, outbox, now);
                }
                None
            }
            Event::Closed => Some(Signal::Ended(Ended::Closed)),
            _ => None,
        }
    }

    /// What a publisher sent of a track.
    ///
    /// # Errors
    /// Why the publisher has to go.
    fn published(&mut self, data: &MediaData, now: Instant) -> Result<(), Ended> {
        let Role::Publish { whip, publisher, simulcast, repeats, .. } = &mut self.role else { return Ok(()) };
        if !self.rate.count(data.data.len(), now) {
            return Err(Ended::Limit("bits a second"));
        }
        let mut frames: Vec<Frame> = Vec::new();
        let layer = whip.take(data, &mut frames);
        if *repeats && layer.is_some_and(|layer| whip.is_new(layer)) {
            offer::ask_for_losses(&mut self.rtc, data.mid, data.rid);
        }
        for frame in frames {
            match (simulcast.as_mut(), layer) {
                (Some(simulcast), Some(layer)) => simulcast.push(layer, frame, publisher, now),
                _ => publisher.push(frame),
            }?;
        }
        let mut keys = simulcast.as_mut().map_or(Vec::new(), |s| s.wanted_keys(now));
        keys.extend(layer.filter(|layer| whip.wants_key(*layer, now)));
        keys.into_iter().for_each(|layer| self.ask_key_of(layer));
        Ok(())
    }

    /// Restarts ICE with the peer's new credentials (RFC 8445 §9): as if its offer came again with them. Media flows on
    /// over the old path until a request comes over a new one. Returns our new credentials.
    pub fn restart_ice(&mut self, ufrag: String, password: &str, table: &Table) -> Result<IceCreds, Refused> {
        let again = offer::with_credentials(&self.offer, &ufrag, password);
        let parsed = SdpOffer::from_sdp_string(&again).map_err(|_| Refused::Bad(offer::unreadable(&again)))?;
        self.rtc.sdp_api().accept_offer(parsed).map_err(|_| Refused::Bad(offer::UNANSWERABLE.into()))?;
        let ours = self.rtc.direct_api().local_ice_credentials();
        table.forget(self.route, &self.ufrag, &[]);
        table.expect(&ours.ufrag, self.route);
        self.ufrag = ours.ufrag.clone();
        self.remote_ufrag = ufrag;
        self.remote_password = password.to_owned();
        self.path.restart(ours.pass.clone());
        Ok(ours)
    }

    /// Asks the publisher for a key picture of what its stream carries.
    pub fn ask_key(&mut self) {
        if let Role::Publish { simulcast, .. } = &self.role {
            let shown = simulcast.as_ref().and_then(|s| s.shown()).unwrap_or(0);
            self.ask_key_of(shown);
        }
    }

    fn ask_key_of(&mut self, layer: usize) {
        let Role::Publish { video: Some(mid), whip, .. } = &self.role else { return };
        let mid = *mid;
        let rid = whip.rid(layer);
        if let Some(mut writer) = self.rtc.writer(mid) {
            // Not receiving yet is no error: the first picture is a key picture anyway.
            let _ = writer.request_keyframe(rid, KeyframeRequestKind::Pli);
        }
    }
}

fn protocol(error: str0m::RtcError) -> Ended {
    Ended::Protocol(error.to_string())
}
