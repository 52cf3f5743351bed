//! `/metrics`: writes the page that Prometheus reads: what was counted, and a look at what there is now. Asks no other service.

mod media;

use std::sync::atomic::Ordering;
use std::time::Duration;

use room::{Kind as RoomKind, Millis};

use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::usage::Usage;
use access::limits::{Budget, Limits, Whose};
use outbound::Counters;
use store::Store;
use telemetry::page::{Kind, Page};
use webhooks::Hooks;

/// The page.
#[must_use]
pub fn page(parts: &Parts) -> String {
    let mut page = Page::default();
    program(&mut page, parts);
    parts.metrics.report(&mut page);
    limits(&mut page, &parts.limits);
    rooms(&mut page, &*parts.store);
    chat(&mut page, &parts.chat);
    media::streams(&mut page, &parts.hub);
    media::flows(&mut page, &parts.hub);
    if let Some(webrtc) = &parts.webrtc {
        media::webrtc(&mut page, webrtc);
    }
    page.gauge("roomservice_hls_streams", "Streams that are being cut into segments.", parts.hls.len());
    page.gauge("roomservice_mixes", "Mixes that run.", parts.live.mixes());
    let recordings = parts.recorder.as_ref().map_or(0, |r| r.list().iter().filter(|r| r.running).count());
    page.gauge("roomservice_recordings", "Recordings that run.", recordings);
    store(&mut page, &*parts.store);
    outgoing(&mut page, &parts.metrics);
    webhooks(&mut page, parts.hooks.as_deref(), parts.clock.now());
    outgoing_seconds(&mut page, &parts.metrics);
    page.finish()
}

/// The time as Prometheus has it: seconds, with a fraction.
fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn program(page: &mut Page, parts: &Parts) {
    let mut info = page.family("roomservice_build_info", Kind::Gauge, "Always 1; its labels say what runs.");
    let mode = match parts.settings.mode {
        crate::config::Mode::Development => "development",
        crate::config::Mode::Production => "production",
    };
    info.sample(&[("version", env!("CARGO_PKG_VERSION")), ("mode", mode)], 1);
    let begun = parts.clock.now().0 as f64 / 1000.0 - seconds(parts.metrics.age());
    let process = Usage::now();
    page.gauge("process_start_time_seconds", "When the process started, in Unix seconds.", begun);
    if let Some(cpu) = process.cpu {
        page.counter("process_cpu_seconds_total", "Processor time taken.", cpu);
    }
    if let Some(resident) = process.resident {
        page.gauge("process_resident_memory_bytes", "Memory that the process holds.", resident);
    }
    if let Some((open, most)) = process.descriptors {
        page.gauge("process_open_fds", "Open file descriptors.", open);
        page.gauge("process_max_fds", "Most file descriptors that may be open.", most);
    }
    if let Some(threads) = process.threads {
        page.gauge("process_threads", "Threads.", threads);
    }
    if let Some((free, all)) = parts.disk.last() {
        page.gauge("roomservice_data_free_bytes", "Free room on the disk of data_dir.", free);
        page.gauge("roomservice_data_size_bytes", "Size of the disk of data_dir.", all);
    }
    page.counter(
        "roomservice_log_lines_lost_total",
        "Log lines dropped because the disk was full or slow, or nobody read stderr.",
        parts.logs.lost(),
    );
    if let Some(secure) = parts.secure.as_ref() {
        let help = "When the TLS certificate ends, in Unix seconds; 0: it is one that nobody trusts.";
        page.gauge("roomservice_tls_certificate_end_time_seconds", help, secure.ends());
    }
    if let Some(acme) = parts.secure.as_ref().and_then(|secure| secure.acme.as_ref()) {
        let help = "Orders at tls.acme.directory, by what came of them.";
        let mut family = page.family("roomservice_acme_orders_total", Kind::Counter, help);
        for (outcome, count) in ["issued", "failed"].iter().zip(&acme.orders) {
            family.sample(&[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
    }
    if let Some(traces) = &parts.traces {
        page.counter("roomservice_spans_lost_total", "Spans that the collector did not take in time.", traces.lost());
    }
}

fn limits(page: &mut Page, limits: &Limits) {
    let help = "Refused because more was asked for than [limits] allows, by who was held back.";
    let mut family = page.family("roomservice_limited_total", Kind::Counter, help);
    for whose in Whose::ALL {
        for what in Budget::ALL {
            family.sample(&[("who", whose.label()), ("what", what.label())], limits.refused(whose, what));
        }
    }
}

fn rooms(page: &mut Page, store: &dyn Store) {
    let mut family = page.family("roomservice_rooms", Kind::Gauge, "Rooms, entered or not.");
    let Some(totals) = store.totals() else {
        // Redis was not reached so far.
        family.sample(&[("kind", "any")], store.len());
        return;
    };
    for (kind, count) in RoomKind::ALL.iter().zip(totals.rooms) {
        family.sample(&[("kind", kind.name())], count);
    }
    let mut family = page.family("roomservice_members", Kind::Gauge, "Pushers in rooms.");
    for (kind, count) in RoomKind::ALL.iter().zip(totals.members) {
        family.sample(&[("kind", kind.name())], count);
    }
    page.gauge("roomservice_audience", "Viewers that entered live rooms.", totals.viewers);
}

fn chat(page: &mut Page, chat: &chat::Hub) {
    let counters = &chat.counters;
    page.gauge("roomservice_chat_connections", "Chat connections, WebSockets and long polls.", chat.connections());
    page.gauge("roomservice_chat_groups", "Chat groups.", chat.len());
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("roomservice_chat_connections_total", "Chat connections let in.", of(&counters.connected));
    let mut family = page.family("roomservice_chat_messages_total", Kind::Counter, "Messages taken, by where they go.");
    family.sample(&[("to", "group")], of(&counters.messages));
    family.sample(&[("to", "user")], of(&counters.direct));
    let help = "Messages put into receivers' queues.";
    page.counter("roomservice_chat_deliveries_total", help, of(&counters.deliveries));
    let help = "Requests of chat clients refused because they came too fast.";
    page.counter("roomservice_chat_too_fast_total", help, of(&counters.hurried));
    let help = "WebSockets ended, by close code (docs/chat.md); 0: by the client or the network.";
    let mut family = page.family("roomservice_chat_closed_total", Kind::Counter, help);
    for (code, count) in counters.ends() {
        family.sample(&[("code", &code.to_string())], count);
    }
}

fn store(page: &mut Page, store: &dyn Store) {
    let Some(counters) = store.counters() else { return };
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    page.counter("roomservice_store_changes_total", "Changes of rooms committed by this node.", of(&counters.changes));
    let help = "Time of one durable write of the journal (of all that waited), or of one exchange with Redis.";
    page.family("roomservice_store_seconds", Kind::Histogram, help).histogram(&[], counters.trips.read());
    page.counter("roomservice_store_failures_total", "Those that failed.", of(&counters.failures));
}

/// What goes out: to cloud services and to webhooks.
fn outgoing_counters(metrics: &Metrics) -> [(&'static str, &Counters); 2] {
    [("cloud", &metrics.cloud), ("webhook", &metrics.webhooks)]
}

fn outgoing(page: &mut Page, metrics: &Metrics) {
    let help = "Calls to cloud services, and webhooks posted, by outcome; each try counts.";
    let mut family = page.family("roomservice_outgoing_total", Kind::Counter, help);
    for (to, counters) in outgoing_counters(metrics) {
        for (outcome, count) in Counters::OUTCOMES.iter().zip(&counters.outcomes) {
            family.sample(&[("to", to), ("outcome", outcome)], count.load(Ordering::Relaxed));
        }
    }
}

fn outgoing_seconds(page: &mut Page, metrics: &Metrics) {
    let help = "How long they took, whatever came of them.";
    let mut family = page.family("roomservice_outgoing_seconds", Kind::Histogram, help);
    for (to, counters) in outgoing_counters(metrics) {
        family.histogram(&[("to", to)], counters.took.read());
    }
}

fn webhooks(page: &mut Page, hooks: Option<&Hooks>, now: Millis) {
    let behind = hooks.map(Hooks::behind).unwrap_or_default();
    let help = "Events that were read for a webhook URL and are not accepted yet; more may stand behind them.";
    let mut family = page.family("roomservice_webhook_waiting", Kind::Gauge, help);
    behind.iter().for_each(|url| family.sample(&[("url", &url.url)], url.events));
    let help = "Rooms whose events wait because a webhook URL refuses one of them.";
    let mut family = page.family("roomservice_webhook_rooms_held", Kind::Gauge, help);
    behind.iter().for_each(|url| family.sample(&[("url", &url.url)], url.rooms));
    let help = "Age of the oldest event that a webhook URL has not accepted; 0: there is none.";
    let mut family = page.family("roomservice_webhook_oldest_seconds", Kind::Gauge, help);
    for url in &behind {
        let age = url.oldest.map_or(0, |oldest| now.since(oldest));
        family.sample(&[("url", &url.url)], age as f64 / 1000.0);
    }
}
