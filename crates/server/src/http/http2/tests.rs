//! Clients of HTTP/2 that keep a connection without using it, made of raw frames, on a clock that is wound.

use axum::body::Body;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

const BOUNDS: Bounds =
    Bounds { read: Duration::from_secs(10), write: Duration::from_secs(30), grace: Duration::from_secs(5) };
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
/// Both ends of the headers and of the stream.
const WHOLE: u8 = 5;
/// `GET https://x/`, by the static table.
const GET: &[u8] = b"\x82\x84\x87\x41\x01x";

struct Peer {
    socket: DuplexStream,
    served: JoinHandle<()>,
    begun: Instant,
}

impl Peer {
    fn new<F>(answer: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (ours, socket) = duplex(1 << 20);
        let serving = serve(ours, BOUNDS, move |_| answer(), CancellationToken::new());
        Self { socket, served: tokio::spawn(serving), begun: Instant::now() }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        // It may be gone: what was said until then counts.
        let _ = self.socket.write_all(&[&head, payload].concat()).await;
    }

    /// Begins, with this much of a window for each answer.
    async fn begin(&mut self, window: u32) {
        self.socket.write_all(PREFACE).await.unwrap();
        self.send(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()).await;
    }

    /// The next frame: kind, flags, and length of its payload; none at the end.
    async fn frame(&mut self) -> Option<(u8, u8, usize)> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.socket.read_exact(&mut payload).await.ok()?;
        if head[3] == PING && head[4] == 0 {
            self.send(PING, 1, 0, &payload).await;
        }
        Some((head[3], head[4], length))
    }

    async fn until(&mut self, kind: u8) {
        while self.frame().await.expect("the connection goes on").0 != kind {}
    }

    /// Lets time pass, and answers pings meanwhile.
    async fn pass(&mut self, time: Duration) {
        let reading = async { while self.frame().await.is_some() {} };
        assert!(timeout(time, reading).await.is_err(), "the connection goes on");
    }

    async fn end(mut self) -> Duration {
        while self.frame().await.is_some() {}
        self.served.await.unwrap();
        self.begun.elapsed()
    }
}

async fn nothing() -> Response<Body> {
    Response::new(Body::empty())
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_ends_whatever_else_it_says() {
    let most = BOUNDS.read + BOUNDS.grace + Duration::from_secs(1);
    let silent = Peer::new(nothing);
    assert!(silent.end().await <= most, "no preface");

    let mut half = Peer::new(nothing);
    half.socket.write_all(&PREFACE[..10]).await.unwrap();
    assert!(half.end().await <= most, "half a preface");

    let mut pinging = Peer::new(nothing);
    pinging.begin(65_535).await;
    while !pinging.served.is_finished() {
        pinging.send(PING, 0, 0, &[7; 8]).await;
        // Its answer, or the end: a second a ping, and the clock goes on.
        let _ = timeout(Duration::from_secs(1), pinging.until_pong()).await;
        sleep(Duration::from_secs(1)).await;
        assert!(pinging.begun.elapsed() <= most, "pings only");
    }
}

impl Peer {
    async fn until_pong(&mut self) {
        while let Some((kind, flags, _)) = self.frame().await {
            if (kind, flags) == (PING, 1) {
                return;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_requests_goes_on() {
    let mut peer = Peer::new(nothing);
    peer.begin(65_535).await;
    for n in 0..10 {
        sleep(BOUNDS.read * 9 / 10).await;
        peer.send(HEADERS, WHOLE, 2 * n + 1, GET).await;
        peer.until(HEADERS).await;
    }
    let used = peer.begun.elapsed();
    assert!(peer.end().await - used <= BOUNDS.read + BOUNDS.grace, "and ends when they do");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_its_time_is_waited_for() {
    let mut peer = Peer::new(|| async {
        sleep(BOUNDS.write * 3).await;
        let slow = stream::iter([1, 2]).then(|n| async move {
            sleep(BOUNDS.write * 3).await;
            Ok::<_, Infallible>(Bytes::from(vec![n; 10]))
        });
        Response::new(Body::from_stream(slow))
    });
    peer.begin(65_535).await;
    peer.send(HEADERS, WHOLE, 1, GET).await;
    peer.until(HEADERS).await;
    peer.until(DATA).await;
    peer.until(DATA).await;
    assert!(peer.begun.elapsed() >= BOUNDS.write * 9);
}

/// An answer without end, and what is dropped with it.
fn endless() -> (impl Fn() -> std::future::Ready<Response<Body>> + Send + 'static, std::sync::Weak<()>) {
    let held = Arc::new(());
    let watch = Arc::downgrade(&held);
    let held = Mutex::new(Some(held));
    let answer = move || {
        let held = held.lock().take();
        let blocks = stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(Bytes::from_static(&[0; 4096]))
        });
        std::future::ready(Response::new(Body::from_stream(blocks)))
    };
    (answer, watch)
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_window_is_let_go_and_one_that_is_read_slowly_is_not() {
    let (answer, held) = endless();
    let mut peer = Peer::new(answer);
    peer.begin(0).await;
    peer.send(HEADERS, WHOLE, 1, GET).await;
    peer.until(HEADERS).await;
    for _ in 0..5 {
        peer.pass(BOUNDS.write * 9 / 10).await;
        peer.send(WINDOW, 0, 1, &4096_u32.to_be_bytes()).await;
        peer.until(DATA).await;
    }
    let read = Instant::now();
    peer.until(RESET).await;
    assert!(read.elapsed() <= BOUNDS.write + Duration::from_secs(1), "{:?}", read.elapsed());
    assert_eq!(held.strong_count(), 0, "what it played is gone");
    assert!(peer.end().await >= BOUNDS.write * 45 / 10);
}

#[tokio::test(start_paused = true)]
async fn the_last_piece_of_an_answer_keeps_no_connection_that_does_not_take_it() {
    let mut peer = Peer::new(|| async { Response::new(Body::from(vec![7; 40_000])) });
    peer.begin(1).await;
    peer.send(HEADERS, WHOLE, 1, GET).await;
    let most = BOUNDS.write + BOUNDS.read + BOUNDS.grace;
    assert!(peer.end().await <= most + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_arrives_whole() {
    let mut peer = Peer::new(|| async { Response::new(Body::from(vec![7; 50_000])) });
    peer.begin(65_535).await;
    peer.send(HEADERS, WHOLE, 1, GET).await;
    peer.until(HEADERS).await;
    let mut whole = 0;
    loop {
        match peer.frame().await.unwrap() {
            (DATA, flags, length) => {
                whole += length;
                if flags & 1 == 1 {
                    break;
                }
            }
            (RESET, ..) => panic!("reset after {whole}"),
            _ => {}
        }
    }
    assert_eq!(whole, 50_000);
}

#[test]
fn data_is_told_from_pings_however_the_bytes_come() {
    let frame = |kind: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, 1], payload].concat()
    };
    let pings = [frame(PING, &[0; 8]), frame(SETTINGS, &[]), frame(PING, &[0; 8])].concat();
    let data = frame(DATA, &[0; 20]);
    for step in [1, 3, 9, 1000] {
        let mut frames = Frames::default();
        // All of them: each call goes on where the last one ended.
        let mut found = |bytes: &[u8]| bytes.chunks(step).filter(|bytes| frames.carry_data(bytes)).count();
        assert_eq!(found(&pings), 0, "{step}");
        assert!(found(&data) > 0, "{step}");
        assert_eq!(found(&pings), 0, "{step}");
    }
}
