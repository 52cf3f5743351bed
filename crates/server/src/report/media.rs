//! The media server's part of the page: streams, viewers, what flows between them, and WebRTC's network.

use std::sync::atomic::{AtomicU64, Ordering};

use media::Protocol;
use media::hub::{Hub, Traffic};
use media::rtc::Server;

use crate::figures::Streams;
use telemetry::page::{Kind, Page};

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(super) fn streams(page: &mut Page, hub: &Hub) {
    let streams = Streams::of(hub);
    let mut family = page.family("roomservice_streams", Kind::Gauge, "Streams, by how they are published.");
    for protocol in Protocol::ALL {
        family.sample(&[("protocol", protocol.as_str())], streams.by[protocol.index()]);
    }
    page.gauge("roomservice_streams_paused", "Streams whose publisher vanished and may come back.", streams.paused);
    let help = "WebRTC viewers of publishers that send several sizes (simulcast), by the size that they are sent.";
    let mut family = page.family("roomservice_simulcast_viewers", Kind::Gauge, help);
    for (size, viewers) in [("largest", streams.largest), ("smaller", streams.smaller)] {
        family.sample(&[("size", size)], viewers);
    }
    page.gauge("roomservice_simulcast_streams", "Streams whose publisher sends several sizes.", streams.layered);
    page.gauge("roomservice_media_in_bytes_per_second", "Payload that publishers send.", streams.bits_in / 8);
    page.gauge("roomservice_media_out_bytes_per_second", "Media written to viewers.", streams.bits_out / 8);
}

pub(super) fn flows(page: &mut Page, hub: &Hub) {
    type Row = (&'static str, Kind, &'static str, fn(Traffic) -> u64);
    let rows: [Row; 4] = [
        ("roomservice_viewers", Kind::Gauge, "Viewers of streams.", |t| t.viewers),
        ("roomservice_joined_total", Kind::Counter, "Viewers that came.", |t| t.joined),
        ("roomservice_media_in_bytes_total", Kind::Counter, "Payload from publishers.", |t| t.bytes_in),
        ("roomservice_media_out_bytes_total", Kind::Counter, "Media written to viewers.", |t| t.bytes_out),
    ];
    let figures = hub.figures();
    for (name, kind, help, figure) in rows {
        let mut family = page.family(name, kind, help);
        for protocol in Protocol::ALL {
            family.sample(&[("protocol", protocol.as_str())], figure(figures.of(protocol)));
        }
    }
    page.counter("roomservice_frames_in_total", "Frames from publishers.", figures.frames);
    page.counter("roomservice_skips_total", "Times that a viewer was too slow and was skipped forward.", figures.skips);
    page.counter("roomservice_frames_skipped_total", "Frames that slow viewers did not get.", figures.dropped);
    let help = "Viewers refused, because their stream had as many as it may (limits.stream_viewers).";
    page.counter("roomservice_viewers_refused_total", help, figures.refused);
    let help = "Viewers that had to wait for the next key frame.";
    page.counter("roomservice_gop_waits_total", help, figures.gop_waits);
}

pub(super) fn webrtc(page: &mut Page, server: &Server) {
    let counters = server.counters();
    page.gauge("roomservice_webrtc_sessions", "WebRTC sessions.", of(&counters.sessions));
    page.gauge("roomservice_webrtc_connected", "WebRTC sessions whose media can flow.", of(&counters.connected));
    let help = "WebRTC sessions that never saw an ICE check: most likely a wrong public address or a closed port.";
    page.counter("roomservice_webrtc_unreached_total", help, of(&counters.unreached));
    let help = "Renditions that are made of streams with B-frames for viewers by WebRTC.";
    page.gauge("roomservice_webrtc_renditions", help, server.renditions().unwrap_or(0));
    let help = "Datagrams of WebRTC, by what became of them.";
    let mut family = page.family("roomservice_webrtc_datagrams_total", Kind::Counter, help);
    for (what, counter) in [
        ("received", &counters.received),
        ("sent", &counters.sent),
        ("garbage", &counters.garbage),
        ("stranger", &counters.strangers),
        ("limited", &counters.limited),
        ("overrun", &counters.overrun),
        ("unsent", &counters.unsent),
        ("tcp_full", &counters.tcp_full),
    ] {
        family.sample(&[("what", what)], of(counter));
    }
    page.counter("roomservice_webrtc_nacks_total", "Requests to send packets again.", of(&counters.nacks));
    page.counter(
        "roomservice_webrtc_key_requests_total",
        "Key frames that viewers asked for.",
        of(&counters.key_requests),
    );
    let help = "Round trips to WebRTC peers: one of each session every few seconds.";
    page.family("roomservice_webrtc_rtt_seconds", Kind::Summary, help)
        .mean(of(&counters.rtt_micros), of(&counters.rtts));
    let help = "Share of packets lost: one of each track every few seconds.";
    page.family("roomservice_webrtc_loss_ratio", Kind::Summary, help)
        .mean(of(&counters.loss_ppm), of(&counters.losses));
}
