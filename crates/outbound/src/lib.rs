//! Calls to HTTP services of others: connections that are kept, time limits, bounded answers,
//! no redirects. Owns how we wait, try again and hold back; knows no service and never logs a URL or
//! a header, which carry signatures.

mod breaker;
mod dial;
mod limiter;
mod retry;

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{self, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use telemetry::{Histogram, traces};

pub use breaker::Breaker;
pub use dial::{Connecting, Dial, Internet, Socket};
pub use limiter::Limiter;
pub use retry::Retry;

/// Who calls.
const AGENT: &str = concat!("roomservice/", env!("CARGO_PKG_VERSION"));
/// Largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Idle connections kept to each host.
const IDLE: usize = 32;

/// Why a call has no usable answer. Never holds any part of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// No answer within the time given.
    #[error("no answer in time")]
    Timeout,
    /// The connection could not be made or broke; says how.
    #[error("connection: {0}")]
    Connection(String),
    /// A status other than the one that is wanted.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer is larger than [`MAX_ANSWER`].
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is not JSON, whatever it calls itself.
    #[error("the answer is not JSON")]
    NotJson,
    /// What was to be sent cannot be: a setting holds characters that no URL or header has.
    #[error("cannot be sent: {0}")]
    Unsendable(&'static str),
}

impl Failed {
    /// Whether the same call may go better later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Timeout | Self::Connection(_) | Self::NotJson => true,
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::TooLarge | Self::Unsendable(_) => false,
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// `POST` or `GET`.
    pub method: Method,
    /// The whole URL, `http` or `https`. A user and a password in it are sent as Basic authorization (RFC 7617).
    pub url: String,
    /// Headers, sent byte for byte. `Host` and `User-Agent` are made unless they are given.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: Bytes,
    /// The longest that this call may take, connecting included.
    pub within: Duration,
}

/// Makes calls. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<dial::Dialer, Full<Bytes>>,
    counters: Arc<Counters>,
    /// What its calls are in traces, and whether they take the trace along.
    traced: (&'static str, bool),
}

/// What came of a client's calls.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls by outcome: answered, and the ways to fail in the order of [`Counters::OUTCOMES`].
    pub outcomes: [AtomicU64; Counters::OUTCOMES.len()],
    /// How long they took, whatever came of them.
    pub took: Histogram,
}

impl Counters {
    /// The names of outcomes.
    pub const OUTCOMES: [&str; 6] = ["ok", "timeout", "connection", "status", "bad_answer", "unsendable"];

    fn note<T>(&self, outcome: &Result<T, Failed>, took: Duration) {
        let at = match outcome {
            Ok(_) => 0,
            Err(Failed::Timeout) => 1,
            Err(Failed::Connection(_)) => 2,
            Err(Failed::Status(_)) => 3,
            Err(Failed::TooLarge | Failed::NotJson) => 4,
            Err(Failed::Unsendable(_)) => 5,
        };
        self.outcomes[at].fetch_add(1, Ordering::Relaxed);
        self.took.add(took);
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Internet::default())
    }
}

impl Client {
    /// A client that connects in this way.
    #[must_use]
    pub fn new(dial: impl Dial) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(IDLE)
            .pool_timer(TokioTimer::new())
            // A kept connection that the other side has closed meanwhile is not worth a failure.
            .retry_canceled_requests(true)
            .build(dial::Dialer::new(dial));
        Self { http: client, counters: Arc::default(), traced: ("cloud", false) }
    }

    /// The same client, whose calls are counted there.
    #[must_use]
    pub fn counted(self, counters: &Arc<Counters>) -> Self {
        Self { counters: counters.clone(), ..self }
    }

    /// The same client for webhooks: their receiver may go on with the trace.
    #[must_use]
    pub fn for_webhooks(self) -> Self {
        Self { traced: ("webhook", true), ..self }
    }

    /// Makes a call and gives the bytes of its answer, which must be a 200.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn send(&self, call: Call) -> Result<Bytes, Failed> {
        match self.accepted(call).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(Failed::Status(status.as_u16())),
        }
    }

    /// Makes a call that any 2xx says yes to, and gives status and bytes of its answer.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn accepted(&self, call: Call) -> Result<(StatusCode, Bytes), Failed> {
        let begun = Instant::now();
        let (name, takes_along) = self.traced;
        let host = call.url.clone();
        let host = || host.parse::<Uri>().ok()?.host().map(str::to_owned);
        let exchange = async {
            let mut call = call;
            if let Some(parent) = traces::current_header().filter(|_| takes_along) {
                call.headers.push((HeaderName::from_static("traceparent"), parent));
            }
            self.exchange(call).await
        };
        let outcome = traces::part(name, traces::Kind::Client, host, exchange).await;
        self.counters.note(&outcome, begun.elapsed());
        outcome
    }

    async fn exchange(&self, call: Call) -> Result<(StatusCode, Bytes), Failed> {
        let within = call.within;
        let request = request(call)?;
        let work = async {
            let mut request = request;
            let connection = capture_connection(&mut request);
            let answer = self.http.request(request).await.map_err(|e| Failed::Connection(cause(&e)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|e| match e.downcast::<http_body_util::LengthLimitError>() {
                Ok(_) => Failed::TooLarge,
                Err(e) => Failed::Connection(e.to_string()),
            });
            if body.is_err() {
                // What is left of such an answer would be read as the next one's beginning.
                if let Some(connected) = &*connection.connection_metadata() {
                    connected.poison();
                }
            }
            if status.is_success() { Ok((status, body?.to_bytes())) } else { Err(Failed::Status(status.as_u16())) }
        };
        tokio::time::timeout(within, work).await.unwrap_or(Err(Failed::Timeout))
    }

    /// Whether a server answers there, which is asked to do nothing: the status, and the time that the answer says.
    ///
    /// # Errors
    /// [`Failed`]; any status is an answer.
    pub async fn head(&self, url: &str, within: Duration) -> Result<(u16, Option<String>), Failed> {
        let call = Call { method: Method::HEAD, url: url.to_owned(), headers: Vec::new(), body: Bytes::new(), within };
        let request = request(call)?;
        let answer = tokio::time::timeout(within, self.http.request(request)).await.map_err(|_| Failed::Timeout)?;
        let answer = answer.map_err(|e| Failed::Connection(cause(&e)))?;
        let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((answer.status().as_u16(), date))
    }

    /// Makes a call whose answer is a JSON object.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn json(&self, call: Call) -> Result<Value, Failed> {
        let body = self.send(call).await?;
        serde_json::from_slice(&body).ok().filter(Value::is_object).ok_or(Failed::NotJson)
    }
}

impl telemetry::traces::Exporter for Client {
    fn post(
        &self,
        url: &str,
        body: Bytes,
        within: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
        let call = Call { method: Method::POST, url: url.to_owned(), headers, body, within };
        let client = self.clone();
        Box::pin(async move { client.accepted(call).await.map(drop).map_err(|failed| failed.to_string()) })
    }
}

fn request(call: Call) -> Result<Request<Full<Bytes>>, Failed> {
    let (uri, authorization) = target(&call.url)?;
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization);
    }
    for (name, value) in call.headers {
        let value = HeaderValue::from_str(&value).map_err(|_| Failed::Unsendable("header"))?;
        request.headers_mut().insert(name, value);
    }
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(call.body.len()));
    Ok(request)
}

/// Where a URL leads, without the user and the password in it, and the header that says them.
fn target(url: &str) -> Result<(Uri, Option<HeaderValue>), Failed> {
    let unsendable = || Failed::Unsendable("URL");
    let uri: Uri = url.parse().map_err(|_| unsendable())?;
    let Some((who, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Ok((uri, None));
    };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let user: Vec<u8> = percent_decode_str(user).collect();
    let password: Vec<u8> = percent_decode_str(password).collect();
    let basic = format!("Basic {}", STANDARD.encode([&user[..], b":", &password[..]].concat()));
    let mut basic = HeaderValue::from_str(&basic).map_err(|_| unsendable())?;
    basic.set_sensitive(true);
    let host: Authority = host.parse().map_err(|_| unsendable())?;
    let mut parts = uri.into_parts();
    parts.authority = Some(host);
    Ok((Uri::from_parts(parts).map_err(|_| unsendable())?, Some(basic)))
}

/// The innermost cause: the outer ones only say that something failed.
fn cause(error: &legacy::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let _ = error.source();
    cause.to_string()
}

/// Whether this is a host, perhaps with a port and with `http://` or `https://` before it.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

/// The beginning of URLs that lead to a configured host: with TLS unless it says otherwise.
#[must_use]
pub fn base_of(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("https://{host}") }
}

/// Whether this can be one part of a path without escaping.
#[must_use]
pub fn is_path_part(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_a_header_and_never_part_of_where_it_leads() {
        let of = |url: &str| {
            let call = Call {
                method: Method::POST,
                url: url.to_owned(),
                headers: Vec::new(),
                body: Bytes::new(),
                within: Duration::from_secs(1),
            };
            let request = request(call).unwrap();
            let said = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            assert!(!format!("{request:?}").contains("aGlkZGVu"), "{request:?}");
            (request.uri().to_string(), said)
        };
        let there = "https://app.example.com:8443/hook?a=b".to_owned();
        assert_eq!(of(&there), (there.clone(), None));
        let basic = |text: &str| Some(format!("Basic {text}"));
        assert_eq!(of("https://hidden:word@app.example.com:8443/hook?a=b"), (there.clone(), basic("aGlkZGVuOndvcmQ=")));
        assert_eq!(of("https://u:p%40ss%3A@app.example.com:8443/hook?a=b"), (there.clone(), basic("dTpwQHNzOg==")));
        assert_eq!(of("https://u@app.example.com:8443/hook?a=b"), (there, basic("dTo=")));
    }
}
