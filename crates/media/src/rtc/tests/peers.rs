//! Viewers' ends that do what browsers do now and then, and other programs always: reports with each loss, moves between
//! networks, lines that are of no use.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Instant, UNIX_EPOCH};

use str0m::Event;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, MediaTime};
use str0m::net::Protocol;
use str0m::rtp::Ssrc;
use str0m::rtp::rtcp::{Nack, NackEntry, ReceiverReport, ReceptionReport, Rtcp, SenderInfo, SenderReport};

use super::bad_network::{CLIENT, SERVER, World};
use super::narrow::{USUAL, Viewer};
use super::without_repairs;
use crate::rtc::net::Route;
use crate::rtc::offer::{self, Identity, Way};
use crate::rtc::session::Role;

const OTHER: &str = "203.0.113.9:6000";

fn pictures_ssrc(viewer: &mut Viewer) -> Ssrc {
    let mid = viewer.client.video;
    viewer.client.rtc.direct_api().stream_rx_by_mid(mid, None).unwrap().ssrc()
}

/// What a peer says that has lost so many packets of all up to the newest one.
fn report(viewer: &mut Viewer, lost: u32, fraction_lost: u8) -> ReceptionReport {
    let ssrc = pictures_ssrc(viewer);
    let max_seq = viewer.newest as u32;
    ReceptionReport { ssrc, fraction_lost, packets_lost: lost, max_seq, jitter: 0, last_sr_time: 0, last_sr_delay: 0 }
}

fn nack(viewer: &mut Viewer, pid: u16, blp: u16) -> Rtcp {
    let ssrc = pictures_ssrc(viewer);
    Rtcp::Nack(Nack { sender_ssrc: 1.into(), ssrc, reports: NackEntry { pid, blp }.into() })
}

fn is_narrow(viewer: &Viewer) -> bool {
    matches!(&viewer.session.role, Role::Play { whep, .. } if whep.congestion.is_narrow())
}

#[test]
fn a_burst_of_losses_that_is_reported_packet_by_packet_is_no_narrow_network() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(4);
    let begun = viewer.newest as u32;
    // Pictures are sent between some of them.
    for lost in 1..=20 {
        let mut one = report(&mut viewer, lost, 85);
        one.max_seq = begun + lost * 3;
        let now = viewer.now;
        let report = Rtcp::ReceiverReport(ReceiverReport { sender_ssrc: 1.into(), reports: one.into() });
        let newest = viewer.newest as u16;
        let again = nack(&mut viewer, newest, 0);
        viewer.session.feedback(&report, &mut viewer.outbox, now);
        viewer.session.feedback(&again, &mut viewer.outbox, now);
        assert!(!is_narrow(&viewer), "after {lost} reports");
        (0..5).for_each(|_| viewer.step(true));
    }
    let seen = viewer.pass(6);
    assert!(seen.a_second(10.0) >= 24.5, "{}", seen.a_second(10.0));
}

#[test]
fn losses_that_last_are_a_narrow_network_whoever_reports_them() {
    // By sender reports, as those peers do that send something too.
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(4);
    let begun = viewer.newest as u32;
    for n in 0..3_000 {
        // A third of all, ten times a second.
        if n % 100 == 0 {
            let lost = (viewer.newest as u32 - begun) / 3;
            let one = report(&mut viewer, lost, 85);
            let time = MediaTime::from_90khz(0);
            let info = SenderInfo {
                ssrc: 1.into(),
                ntp_time: UNIX_EPOCH,
                rtp_time: time,
                sender_packet_count: 0,
                sender_octet_count: 0,
            };
            let report = Rtcp::SenderReport(SenderReport { sender_info: info, reports: one.into() });
            let now = viewer.now;
            viewer.session.feedback(&report, &mut viewer.outbox, now);
        }
        viewer.step(true);
        if is_narrow(&viewer) {
            assert!(n > 500, "not by the first");
            assert!(viewer.counters.losses.load(Ordering::Relaxed) > 0);
            return;
        }
    }
    panic!("not within 3 s");
}

#[test]
fn what_has_just_been_sent_again_is_not_sent_again() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(4);
    let newest = viewer.newest as u16;
    let ask = |viewer: &mut Viewer| {
        let now = viewer.now;
        let asked = nack(viewer, newest.wrapping_sub(2), 0b11);
        viewer.session.feedback(&asked, &mut viewer.outbox, now);
        viewer.outbox.take().len()
    };
    assert_eq!(ask(&mut viewer), 3);
    (0..10).for_each(|_| viewer.step(false));
    assert_eq!(ask(&mut viewer), 0);
    (0..40).for_each(|_| viewer.step(false));
    assert_eq!(ask(&mut viewer), 3, "it may be lost as well");
    assert_eq!(viewer.counters.nacks.load(Ordering::Relaxed), 9);
}

#[test]
fn a_viewer_without_a_format_for_repairs_is_sent_the_same_packets_again() {
    let mut viewer = Viewer::of(USUAL, without_repairs, |_| ());
    viewer.pass(4);
    viewer.went.clear();
    viewer.step(true);
    (0..60).for_each(|_| viewer.step(true));
    let sent: Vec<Vec<u8>> = viewer.went.iter().map(|(_, bytes)| bytes.to_vec()).collect();
    let newest = viewer.newest as u16;
    let now = viewer.now;
    let asked = nack(&mut viewer, newest.wrapping_sub(1), 0b1);
    viewer.session.feedback(&asked, &mut viewer.outbox, now);
    let again = viewer.outbox.take();
    assert_eq!(again.len(), 2);
    for (_, bytes) in &again {
        assert!(sent.iter().any(|one| one == bytes), "byte for byte what was sent");
    }
    // Nothing is sealed anew: what comes twice is dropped by the peer, and all goes on.
    let before = viewer.client.pictures.len();
    viewer.pass(1);
    assert!(viewer.client.pictures.len() >= before + 24);
}

/// All media goes there for two seconds, within a few seconds from now.
fn goes_to(viewer: &mut Viewer, to: SocketAddr) {
    let elsewhere = |viewer: &mut Viewer| {
        let went = std::mem::take(&mut viewer.went);
        went.iter().filter(|(_, bytes)| bytes[0] >= 128).any(|(at, _)| *at != to)
    };
    for _ in 0..6_000 {
        viewer.step(true);
        if viewer.went.iter().any(|(at, bytes)| *at == to && bytes[0] >= 128) {
            viewer.went.clear();
            (0..2_500).for_each(|_| viewer.step(true));
            assert!(!elsewhere(viewer), "it goes on to where it went before {to}");
            return;
        }
        viewer.went.clear();
    }
    panic!("nothing goes to {to}");
}

#[test]
fn a_viewer_that_moves_without_an_ice_restart_is_followed_there_and_back() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(1);
    for address in [OTHER, CLIENT, OTHER, CLIENT] {
        viewer.source = address.parse().unwrap();
        let to = viewer.source;
        goes_to(&mut viewer, to);
    }
}

#[test]
fn a_viewer_with_many_addresses_is_heard_at_the_newest() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(1);
    let first = viewer.source;
    let route = viewer.table.known(Protocol::Udp, first);
    assert!(route.is_some());
    for n in 1..=40 {
        viewer.source = SocketAddr::from(([198, 51, 100, n], 5_000));
        let to = viewer.source;
        goes_to(&mut viewer, to);
        assert_eq!(viewer.table.known(Protocol::Udp, to), route, "after {n} moves");
    }
    assert_eq!(viewer.table.known(Protocol::Udp, first), None, "addresses of long ago are forgotten");
    // Another session was given its address meanwhile.
    let other = Route { worker: 0, key: 99 };
    viewer.table.vouch(Protocol::Udp, viewer.source, other);
    viewer.pass(4);
    assert_eq!(viewer.table.known(Protocol::Udp, viewer.source), route, "its own by its next check");
}

#[test]
fn a_player_that_asks_for_keyframes_all_the_time_has_few_made_for_everybody() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.pass(1);
    let now = viewer.now;
    let Role::Play { whep, .. } = &mut viewer.session.role else { panic!("it plays") };
    let made = (0..100).filter(|n| whep.asks_key(true, now + std::time::Duration::from_millis(100 * n))).count();
    assert_eq!(made, 4 + 4, "four at once, and one each two seconds of ten");
}

#[test]
fn each_track_that_has_sent_something_is_reported_also_while_nothing_flows() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    let reports = |viewer: &mut Viewer| {
        let went = std::mem::take(&mut viewer.went);
        let of =
            |bytes: &[u8]| matches!(bytes[..2], [0x80..=0xbf, 200 | 202]).then(|| (bytes[4..8].to_vec(), bytes.len()));
        went.iter().filter_map(|(_, bytes)| of(bytes)).collect::<Vec<_>>()
    };
    (0..2_500).for_each(|_| viewer.step(false));
    assert_eq!(reports(&mut viewer), [], "there is nothing to report");
    viewer.pass(1);
    reports(&mut viewer);
    (0..5_000).for_each(|_| viewer.step(false));
    let told = reports(&mut viewer);
    let ssrcs: std::collections::BTreeSet<_> = told.iter().map(|(ssrc, _)| ssrc).collect();
    assert_eq!(ssrcs.len(), 2, "each in a datagram of its own");
    assert!((8..=10).contains(&told.len()), "{}", told.len());
    // SR, SDES with a name of sixteen letters, index and tag.
    assert!(told.iter().all(|(_, length)| *length <= 28 + 32 + 4 + 16), "{told:?}");
}

#[test]
fn str0m_keeps_no_figures_of_what_it_does_not_send() {
    let mut world = World::new(Way::Out, 0, 0);
    world.connect();
    (0..3_000).for_each(|_| world.step());
    let figures = |event: &Event| matches!(event, Event::PeerStats(_) | Event::MediaEgressStats(_));
    assert!(!world.events.iter().any(figures));
}

#[test]
fn a_line_that_is_not_in_use_is_passed_over() {
    let now = Instant::now();
    let identity = Identity::new(vec![SERVER.parse().unwrap()], Vec::new());
    let mut client = str0m::Rtc::builder().clear_codecs().enable_h264(true).enable_opus(true, false).build(now);
    let mut api = client.sdp_api();
    let idle = api.add_media(MediaKind::Video, Direction::Inactive, None, None, None);
    let video = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    let audio = api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    let mut accepted = offer::accept(&offer.to_sdp_string(), Way::Out, &[], &identity, now).unwrap();
    client.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&accepted.sdp).unwrap()).unwrap();
    assert_eq!(accepted.video.map(|track| track.mid), Some(video));
    assert_eq!(accepted.audio.map(|track| track.mid), Some(audio));
    let mut direct = accepted.rtc.direct_api();
    assert!(direct.stream_tx_by_mid(video, None).is_some() && direct.stream_tx_by_mid(idle, None).is_none());
}

/// The offer of a peer that asks for lost sound, as applications do that write it themselves.
fn asking_for_sound(offer: &str) -> String {
    let opus = offer.lines().find_map(|line| line.strip_prefix("a=rtpmap:")?.strip_suffix(" opus/48000/2")).unwrap();
    let line = format!("a=rtpmap:{opus} opus/48000/2\r\n");
    offer.replacen(&line, &format!("{line}a=rtcp-fb:{opus} nack\r\n"), 1)
}

/// Asks for the newest packet of sound, and says which came again.
fn sound_again(viewer: &mut Viewer) -> Vec<Vec<u8>> {
    viewer.pass(2);
    viewer.went.clear();
    (0..60).for_each(|_| viewer.step(true));
    let mid = viewer.client.audio;
    let ssrc = viewer.client.rtc.direct_api().stream_rx_by_mid(mid, None).unwrap().ssrc();
    let of_sound = |bytes: &&Vec<u8>| bytes.len() > 12 && bytes[8..12] == ssrc.to_be_bytes();
    let newest = viewer.went.iter().map(|(_, bytes)| bytes).rfind(of_sound).unwrap().clone();
    let pid = u16::from_be_bytes([newest[2], newest[3]]);
    let asked = Rtcp::Nack(Nack { sender_ssrc: 1.into(), ssrc, reports: NackEntry { pid, blp: 0 }.into() });
    let now = viewer.now;
    viewer.session.feedback(&asked, &mut viewer.outbox, now);
    let again: Vec<Vec<u8>> = viewer.outbox.take().into_iter().map(|(_, bytes)| bytes.to_vec()).collect();
    assert!(again.iter().all(|bytes| *bytes == newest), "byte for byte what was sent");
    again
}

#[test]
fn sound_is_sent_again_to_who_offers_to_ask_for_it() {
    assert_eq!(sound_again(&mut Viewer::of(USUAL, asking_for_sound, |_| ())).len(), 1);
    assert_eq!(sound_again(&mut Viewer::new(USUAL, |_| ())).len(), 0, "it was not agreed on");
}
