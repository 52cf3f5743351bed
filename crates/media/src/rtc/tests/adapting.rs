//! A viewer of three layers over networks that carry more or less of them, in simulated time: how soon it is sent what
//! fits, and that it stays with that.

use str0m::Event;
use str0m::rtp::RawPacket;
use str0m::rtp::rtcp::Rtcp;

use super::bad_network::World;
use super::*;
use crate::frame::{Codec as FrameCodec, Frame};
use crate::rtc::choice::{Choice, LOOK_EVERY};
use crate::rtc::feed::{Maker, Shared};
use crate::rtc::h264;
use crate::rtc::losses::Losses;
use crate::rtc::offer::Way;
use crate::rtc::sink::Sink;
use crate::rtc::whep::Whep;

/// Bytes of a picture of each layer; key pictures are six times as large.
type Sizes = [usize; 3];
/// 0.12, 0.5 and 1.5 Mbit/s.
const SMALL: Sizes = [500, 2_000, 6_000];
/// 0.25, 1 and 4 Mbit/s.
const LARGE: Sizes = [1_000, 4_000, 16_000];

/// Bits a second of the layers.
fn rates(sizes: Sizes) -> [u64; 3] {
    sizes.map(|size| size as u64 * 240)
}

struct Viewer {
    world: World,
    whep: Whep,
    losses: Losses,
    sizes: Sizes,
    makers: [Maker; 3],
    /// Milliseconds since the start, and pictures so far.
    ms: u64,
    picture: u32,
    /// When the publisher sends a key picture of each layer that it was asked for.
    keys: [Option<u64>; 3],
    /// When another layer was chosen, and which.
    changes: Vec<(u64, usize)>,
    /// What came: when, and of which layer.
    seen: Vec<(u64, usize)>,
    /// Bytes of the largest whole picture that came.
    largest: usize,
}

impl Viewer {
    fn new(way: Way, sizes: Sizes, narrow: Option<u64>) -> Self {
        let mut world = World::new(way, 0, 5);
        world.network.narrow = narrow;
        world.network.ordered = Some([world.now; 2]);
        world.connect();
        let mut makers: [Maker; 3] = Default::default();
        let config = Frame::config(FrameCodec::H264, 0, h264::Parameters::write(SPS, PPS).unwrap());
        makers.iter_mut().for_each(|maker| assert!(maker.make(&config).unwrap().is_none()));
        let mut whep = Whep::new(&world.server, 7);
        if way == Way::Adapting {
            whep.begin_with(Choice::first(&rates(sizes)));
        }
        let keys = [Some(0); 3];
        let changes = Vec::new();
        let seen = Vec::new();
        let losses = Losses::default();
        Viewer { world, whep, losses, sizes, makers, ms: 0, picture: 0, keys, changes, seen, largest: 0 }
    }

    fn layer(&self) -> usize {
        self.whep.target.unwrap_or(2)
    }

    fn made(&mut self, layer: usize, key: bool) -> Shared {
        let size = if key { self.sizes[layer] * 6 } else { self.sizes[layer] };
        let nal = slice(self.picture, key, size);
        let payload = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
        let at = i64::from(self.picture) * 33_333;
        let frame = Frame::video(FrameCodec::H264, at, 0, key, payload.into());
        self.makers[layer].make(&frame).unwrap().unwrap()
    }

    fn pass(&mut self, seconds: f64) {
        let end = self.ms + (seconds * 1e3) as u64;
        while self.ms < end {
            if self.ms >= u64::from(self.picture) * 100 / 3 {
                for layer in 0..3 {
                    let asked = self.keys[layer].is_some_and(|at| at <= self.ms);
                    let key = asked || self.picture.is_multiple_of(300);
                    if key {
                        self.keys[layer] = None;
                    }
                    let shared = self.made(layer, key);
                    let now = self.world.now;
                    let number = (layer < 2).then_some(layer);
                    self.whep.take(&mut Sink::Machine(&mut self.world.server.rtc), number, &shared, now);
                }
                self.picture += 1;
            }
            if self.ms.is_multiple_of(LOOK_EVERY.as_millis() as u64) {
                self.look();
            }
            self.world.serve(&mut self.whep);
            self.world.step();
            self.ms += 1;
            for event in std::mem::take(&mut self.world.events) {
                self.hear(event);
            }
            for (_, _, data) in self.world.client.pictures.drain(..) {
                let size = h264::unit(&data).payload.len();
                let key = h264::unit(&data).key;
                let whole = h264::unit(&data).payload.get(4..).is_some_and(|nal| number(nal).is_some());
                self.largest = self.largest.max(if whole { size } else { 0 });
                let of = self.sizes.iter().rposition(|s| size >= if key { s * 6 } else { *s });
                self.seen.push((self.ms, of.unwrap_or(0)));
            }
        }
    }

    fn hear(&mut self, event: Event) {
        let now = self.world.now;
        let mut lost = None;
        match event {
            Event::PeerStats(stats) => {
                if let Some(estimate) = stats.bwe_tx {
                    self.whep.choice.estimated(estimate.as_u64());
                }
            }
            Event::MediaEgressStats(stats) if self.whep.is_video(stats.mid) => lost = stats.loss,
            Event::RawPacket(packet) => {
                let mid = self.world.server.video.unwrap().mid;
                let ssrc = self.world.server.rtc.direct_api().stream_tx_by_mid(mid, None).unwrap().ssrc();
                if let RawPacket::RtcpRx(Rtcp::ReceiverReport(report)) = &*packet {
                    let of_pictures = report.reports.iter().filter(|report| report.ssrc == ssrc);
                    lost = of_pictures.filter_map(|r| self.losses.reported(r.max_seq, r.packets_lost, now)).last();
                }
            }
            _ => {}
        }
        if let Some(loss) = lost {
            self.whep.choice.lost(loss);
            self.whep.congestion.lost(loss, now);
        }
    }

    fn look(&mut self) {
        let before = self.layer();
        let now = self.world.now;
        let wanted = self.whep.choose(&mut self.world.server.rtc, &rates(self.sizes), before, now);
        self.whep.target = (wanted < 2).then_some(wanted);
        if wanted != before || self.whep.need_key {
            self.keys[wanted].get_or_insert(self.ms + 60);
        }
        if wanted != before {
            self.changes.push((self.ms, wanted));
        }
    }

    /// Of the last `seconds`: which layers came.
    fn came(&self, seconds: f64) -> [usize; 3] {
        let since = self.ms.saturating_sub((seconds * 1e3) as u64);
        let mut came = [0; 3];
        self.seen.iter().filter(|(at, _)| *at >= since).for_each(|(_, layer)| came[*layer] += 1);
        came
    }
}

#[test]
fn a_good_network_is_sent_the_largest_layer_within_a_second_and_then_always() {
    for sizes in [SMALL, LARGE] {
        let mut viewer = Viewer::new(Way::Adapting, sizes, None);
        viewer.pass(1.5);
        assert!(viewer.came(0.4)[2] >= 10, "{:?}", viewer.changes);
        viewer.pass(60.0);
        assert_eq!(viewer.changes.len(), 1, "{:?}", viewer.changes);
        assert_eq!(viewer.came(60.0)[..2], [0, 0]);
    }
}

#[test]
fn a_network_that_narrows_is_sent_less_within_two_seconds_and_all_again_when_it_heals() {
    for sizes in [SMALL, LARGE] {
        let mut viewer = Viewer::new(Way::Adapting, sizes, None);
        viewer.pass(5.0);
        viewer.world.network.narrow = Some(rates(sizes)[1] * 5 / 3);
        viewer.pass(10.0);
        let first = viewer.changes[1];
        assert!(first.0 <= 6_750 && first.1 == 1, "{:?}", viewer.changes);
        assert!(viewer.changes.iter().skip(1).all(|(_, layer)| *layer < 2), "{:?}", viewer.changes);
        let came = viewer.came(6.0);
        assert!(came[2] == 0 && came[0] + came[1] >= 100, "{came:?}");
        viewer.world.network.narrow = None;
        viewer.pass(6.0);
        assert!(viewer.came(1.0)[2] >= 28, "{:?}", viewer.changes);
    }
}

#[test]
fn a_large_keyframe_is_repaired_over_a_long_path() {
    let mut viewer = Viewer::new(Way::Adapting, LARGE, None);
    viewer.world.network.delay = 150;
    viewer.pass(10.0);
    assert_eq!(viewer.layer(), 2);
    viewer.sizes[2] = 140_000;
    viewer.keys[2] = Some(viewer.ms);
    viewer.world.network.loss = 200;
    viewer.pass(0.04);
    viewer.sizes = LARGE;
    viewer.world.network.loss = 0;
    viewer.pass(3.0);
    assert!(viewer.largest > 840_000, "{}", viewer.largest);
}

#[test]
fn a_viewer_stays_with_what_its_network_carries() {
    // Room for the middle layer with its key pictures, and not for the largest.
    let mut viewer = Viewer::new(Way::Adapting, SMALL, Some(900_000));
    viewer.pass(60.0);
    let changes = &viewer.changes;
    assert!(changes.len() <= 6, "{changes:?}");
    assert!(changes.iter().all(|(_, layer)| *layer < 2), "{changes:?}");
    let came = viewer.came(60.0);
    assert!(came[1] > 1_400, "{came:?}");
}

#[test]
fn a_viewer_from_before_the_layers_is_moved_by_what_it_loses() {
    let mut viewer = Viewer::new(Way::Out, SMALL, None);
    viewer.pass(20.0);
    assert_eq!(viewer.changes, [], "nothing is lost");
    viewer.world.network.narrow = Some(900_000);
    viewer.pass(10.0);
    assert_eq!(viewer.changes.first().map(|(_, layer)| *layer), Some(1));
    assert!(viewer.changes[0].0 < 25_000, "two reports: {:?}", viewer.changes);
    assert!(viewer.came(3.0)[2] == 0, "{:?}", viewer.came(3.0));
    viewer.world.network.narrow = None;
    viewer.pass(25.0);
    assert!(viewer.came(1.0)[2] >= 28, "{:?}", viewer.changes);
}
