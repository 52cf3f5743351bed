//! What the console shows beside rooms and streams: mixes, webhooks and WebRTC's network.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::Console;

/// The mixes that are made here, by the stream that each is seen as; null where another service makes them.
pub fn mixes(console: &Console) -> Value {
    if console.moderation.urls.elsewhere().is_some() {
        return Value::Null;
    }
    let mut all = console.live.list_mixes();
    all.sort_unstable_by(|a, b| a.output.name().as_str().cmp(b.output.name().as_str()));
    let view = |mix: &media::mix::Running| {
        let own = matches!(mix.output, media::mix::Output::Own(_));
        json!({ "session": mix.session, "output": mix.output.name().as_str(), "own": own, "inputs": mix.inputs })
    };
    all.iter().map(view).collect()
}

/// How far behind each URL of the webhooks is; the age of its oldest event in seconds.
pub fn webhooks(console: &Console) -> Value {
    let now = console.web.clock.now();
    let behind = console.hooks.as_ref().map(|hooks| hooks.behind()).unwrap_or_default();
    let view = |url: &webhooks::Behind| {
        let oldest = url.oldest.map(|oldest| now.since(oldest) / 1000);
        json!({ "url": url.url, "rooms": url.rooms, "events": url.events, "oldest": oldest })
    };
    behind.iter().map(view).collect()
}

/// The counters that `/metrics` has too; null where WebRTC is off. Round trips in milliseconds.
pub fn webrtc(console: &Console) -> Value {
    let Some(server) = &console.webrtc else { return Value::Null };
    let all = server.counters();
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    // As JavaScript has numbers; sums of a server's life do not get so large that it matters.
    let mean = |sum: &AtomicU64, count: &AtomicU64, unit: f64| {
        let n = of(count);
        if n == 0 { Value::Null } else { json!(of(sum) as f64 / n as f64 / unit) }
    };
    json!({
        "sessions": of(&all.sessions),
        "connected": of(&all.connected),
        "unreached": of(&all.unreached),
        "received": of(&all.received),
        "sent": of(&all.sent),
        "garbage": of(&all.garbage),
        "strangers": of(&all.strangers),
        "overrun": of(&all.overrun),
        "unsent": of(&all.unsent),
        "nacks": of(&all.nacks),
        "keyRequests": of(&all.key_requests),
        "rtt": mean(&all.rtt_micros, &all.rtts, 1_000.0),
        "loss": mean(&all.loss_ppm, &all.losses, 1_000_000.0),
    })
}
