//! Traces for OpenTelemetry: a span for each call and chat request, in the trace that `traceparent` names (W3C Trace
//! Context), with its parts below it, sent as OTLP in JSON over HTTP. Written by hand: the usual crates bring a runtime of their own for what is one
//! request every other second. Nothing runs unless it is configured; a collector that is unavailable costs spans, never calls.

mod spans;

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::shown;
pub use spans::{Context, Kind, Root, Said, Span, committed, current_header, of, part};

/// Spans that wait; beyond it they are dropped and counted.
const WAITING: usize = 8_192;
/// Spans sent at once.
const BATCH: usize = 512;
/// How long a span waits for others.
const LINGER: Duration = Duration::from_secs(2);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// `[traces]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where spans are posted to, such as `http://127.0.0.1:4318/v1/traces`; empty: nowhere.
    #[serde(serialize_with = "shown::one")]
    pub endpoint: String,
    /// Of so many calls that no trace comes with, one is traced.
    pub one_of: u32,
    /// The service's name in traces.
    pub service: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { endpoint: String::new(), one_of: 100, service: "roomservice".into() }
    }
}

impl Settings {
    /// Appends what is wrong with these settings, a sentence each.
    pub fn problems(&self, found: &mut Vec<String>) {
        if !self.endpoint.is_empty() && !["http://", "https://"].iter().any(|scheme| self.endpoint.starts_with(scheme))
        {
            found.push(format!(
                "traces.endpoint = \"{}\" is no URL such as http://127.0.0.1:4318/v1/traces",
                shown::url(&self.endpoint)
            ));
        }
        if self.one_of == 0 {
            found.push("traces.one_of must be at least 1".into());
        }
    }
}

/// Posts spans to a collector.
pub trait Exporter: Send + Sync + 'static {
    /// Posts a JSON body to this URL within that time; says why where it cannot.
    fn post(
        &self,
        url: &str,
        body: Bytes,
        within: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

/// Where spans are put.
pub struct Traces {
    one_of: u32,
    calls: AtomicU32,
    to: mpsc::Sender<Span>,
    lost: AtomicU64,
}

/// A call that is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    trace: u128,
    parent: Option<u64>,
}

impl Traces {
    /// Traces, and what sends them; none where they go nowhere.
    #[must_use]
    pub fn new(settings: &Settings, exporter: Arc<dyn Exporter>) -> Option<(Arc<Self>, Sender)> {
        if settings.endpoint.is_empty() {
            return None;
        }
        let (to, spans) = mpsc::channel(WAITING);
        let traces = Self { one_of: settings.one_of, calls: AtomicU32::new(0), to, lost: AtomicU64::new(0) };
        Some((Arc::new(traces), Sender { settings: settings.clone(), exporter, spans }))
    }

    /// Whether a call with these headers is traced: as its caller decided, and else one of some.
    pub fn call(self: &Arc<Self>, headers: &HeaderMap) -> Option<Root> {
        Some(Root::new(self, self.decide(headers)?))
    }

    /// Whether what comes without headers is traced: one of some.
    pub fn request(self: &Arc<Self>) -> Option<Root> {
        Some(Root::new(self, self.turn()?))
    }

    fn decide(&self, headers: &HeaderMap) -> Option<Traced> {
        if let Some(parent) = headers.get("traceparent") {
            return parent.to_str().ok().and_then(parse).and_then(|(traced, sampled)| sampled.then_some(traced));
        }
        self.turn()
    }

    fn turn(&self) -> Option<Traced> {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_of);
        turn.then(|| Traced { trace: u128::from(fresh()) << 64 | u128::from(fresh()), parent: None })
    }

    fn put(&self, span: Span) {
        if self.to.try_send(span).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that were dropped, because the collector is slow or away.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// An id that is no zero, which would be none.
fn fresh() -> u64 {
    sign::fresh_id().max(1)
}

/// `00-TRACE-PARENT-FLAGS`; later versions may have more behind it.
fn parse(text: &str) -> Option<(Traced, bool)> {
    let mut parts = text.split('-');
    let version = parts.next()?;
    let trace = parts.next()?;
    let parent = parts.next()?;
    let flags = parts.next()?;
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex(version, 2) || version == "ff" || !hex(trace, 32) || !hex(parent, 16) || !hex(flags, 2) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok()?;
    let parent = u64::from_str_radix(parent, 16).ok()?;
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (trace != 0 && parent != 0).then_some((Traced { trace, parent: Some(parent) }, sampled))
}

/// Sends spans on.
pub struct Sender {
    settings: Settings,
    exporter: Arc<dyn Exporter>,
    spans: mpsc::Receiver<Span>,
}

impl Sender {
    /// Sends for ever.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        let mut well = true;
        while self.spans.recv_many(&mut batch, BATCH).await > 0 {
            let more = async { while batch.len() < BATCH && self.spans.recv_many(&mut batch, BATCH).await > 0 {} };
            // The time is up, or the batch is full.
            let _ = tokio::time::timeout(LINGER, more).await;
            let body = Bytes::from(otlp(&self.settings.service, &batch).to_string());
            let sent = self.exporter.post(&self.settings.endpoint, body, PATIENCE).await;
            if let Err(error) = &sent
                && well
            {
                tracing::warn!(target: "roomservice::traces", %error, spans = batch.len(), "traces cannot be sent; they are dropped until they can");
            }
            well = sent.is_ok();
            batch.clear();
        }
    }
}

/// Spans as an `ExportTraceServiceRequest` in JSON (opentelemetry-proto): ids in hexadecimal, times as text.
fn otlp(service: &str, spans: &[Span]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let number = |key: &str, value: i64| json!({ "key": key, "value": { "intValue": value.to_string() } });
    let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let span = |span: &Span| {
        let mut parent = String::new();
        if let Some(id) = span.parent {
            // Writing to a string does not fail.
            let _ = write!(parent, "{id:016x}");
        }
        let said = span.said.iter().map(|said| match said {
            Said::Text(key, value) => text(key, value),
            Said::Number(key, value) => number(key, *value),
        });
        json!({
            "traceId": format!("{:032x}", span.trace),
            "spanId": format!("{:016x}", span.id),
            "parentSpanId": parent,
            "name": span.name,
            "kind": span.kind as u8,
            "startTimeUnixNano": nanos(span.begun),
            "endTimeUnixNano": nanos(span.begun + span.took),
            "attributes": said.collect::<Vec<_>>(),
            "status": { "code": if span.failed { 2 } else { 0 } },
        })
    };
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", service)] },
        "scopeSpans": [{
            "scope": { "name": "roomservice", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// What was posted, and where.
    #[derive(Default)]
    struct Collector(Mutex<Vec<(String, Bytes)>>);

    impl Exporter for Collector {
        fn post(
            &self,
            url: &str,
            body: Bytes,
            _: Duration,
        ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            self.0.lock().push((url.into(), body));
            Box::pin(std::future::ready(Ok(())))
        }
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn asking(parent: &str) -> HeaderMap {
        HeaderMap::from_iter([("traceparent".parse().unwrap(), parent.parse().unwrap())])
    }

    #[test]
    fn callers_decide_for_their_traces() {
        let settings = Settings { endpoint: "http://127.0.0.1:1/v1/traces".into(), one_of: 3, ..Settings::default() };
        let (traces, _sender) = Traces::new(&settings, Arc::new(Collector::default())).unwrap();
        let traced = traces.decide(&asking(&format!("00-{TRACE}-00f067aa0ba902b7-01"))).unwrap();
        assert_eq!(
            (traced.trace, traced.parent),
            (u128::from_str_radix(TRACE, 16).unwrap(), Some(0x00f0_67aa_0ba9_02b7))
        );
        assert!(traces.decide(&asking(&format!("01-{TRACE}-00f067aa0ba902b7-03-more"))).is_some());
        for other in
            ["00-0-0-01", &format!("00-{TRACE}-00f067aa0ba902b7-00"), &format!("00-{TRACE}-0000000000000000-01")]
        {
            assert_eq!(traces.decide(&asking(other)), None, "{other}");
        }
        let some = (0..9).filter(|_| traces.decide(&HeaderMap::new()).is_some()).count();
        assert_eq!(some, 3, "of those that nobody decided for, one of three");
        assert!(Traces::new(&Settings::default(), Arc::new(Collector::default())).is_none());
    }

    #[tokio::test]
    async fn a_collector_gets_what_happened() {
        let endpoint = "http://collector.example/v1/traces".to_owned();
        let collector = Arc::new(Collector::default());
        let settings = Settings { endpoint: endpoint.clone(), one_of: 1, ..Settings::default() };
        let (traces, sender) = Traces::new(&settings, collector.clone()).unwrap();
        let traced = traces.decide(&asking(&format!("00-{TRACE}-00f067aa0ba902b7-01"))).unwrap();
        let root = Root::new(&traces, traced);
        root.within(async {
            let asked = part("cloud", Kind::Client, || Some("cloud.example".into()), async {
                let header = current_header().unwrap();
                assert!(header.starts_with(&format!("00-{TRACE}-")) && header.ends_with("-01"), "{header}");
                Err::<(), _>(header[36..52].to_owned())
            });
            asked.await.unwrap_err()
        })
        .await;
        assert!(current_header().is_none(), "nothing is traced here");
        root.end("login", false, vec![Said::Number("roomservice.code", 7)]);
        // All that were told are sent, also when nobody will tell more.
        drop(traces);
        sender.run().await;
        let posted = collector.0.lock();
        let [(url, body)] = &posted[..] else { panic!("one request: {posted:?}") };
        assert_eq!(*url, endpoint);
        let body: Value = serde_json::from_slice(body).unwrap();
        let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        // Parts are over before the whole.
        let asked = &spans[0];
        let call = &spans[1];
        assert_eq!((&asked["traceId"], &call["traceId"]), (&json!(TRACE), &json!(TRACE)));
        assert_eq!(
            (&call["parentSpanId"], &call["name"], &call["kind"]),
            (&json!("00f067aa0ba902b7"), &json!("login"), &json!(2))
        );
        assert_eq!(
            (&asked["parentSpanId"], &asked["name"], &asked["kind"]),
            (&call["spanId"], &json!("cloud"), &json!(3))
        );
        assert_eq!((&asked["status"]["code"], &call["status"]["code"]), (&json!(2), &json!(0)));
        assert_eq!(asked["attributes"][0]["value"]["stringValue"], "cloud.example");
        assert_eq!(call["attributes"][0]["value"]["intValue"], "7");
        let nanos = |field: &str| call[field].as_str().unwrap().parse::<u128>().unwrap();
        assert!(nanos("startTimeUnixNano") > 1_700_000_000_000_000_000);
        assert!(nanos("endTimeUnixNano") >= nanos("startTimeUnixNano"));
    }
}
