//! One HTTP/2 connection within bounds that hyper does not set: a connection without requests ends after a while, whatever
//! else its client says, and so does an answer for which the client opens no window. Knows no paths.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Most bytes that are given to hyper at a time: it takes a piece whole when the window opens by a single byte.
const PIECE: usize = 16 * 1024;
/// Between two questions whether a client is still there.
const ASKED: Duration = Duration::from_secs(30);

/// For how long a client may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a request, from the first byte on and after the last answer.
    pub read: Duration,
    /// For taking a piece of an answer.
    pub write: Duration,
    /// For what still runs when the connection is to end.
    pub grace: Duration,
}

/// Serves a connection until it ends, is without requests for too long, or `stop`.
pub async fn serve<S, A, F, B>(socket: S, bounds: Bounds, answer: A, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let busy = Arc::new(Busy::new());
    let service = hyper::service::service_fn(move |request| {
        let answer = Box::pin(answer(request));
        async move { Ok::<_, Infallible>(Marked(answer).await.map(Pieces::new)) }
    });
    let mut http = Builder::new(Streams { busy: busy.clone(), patience: bounds.write });
    http.timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(64 * 1024)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(ASKED)
        .keep_alive_timeout(bounds.read);
    let socket = Watched { socket, busy: busy.clone(), frames: Frames::default() };
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        // What goes wrong on one connection is that client's affair.
        _ = connection.as_mut() => return,
        () = busy.idle(bounds.read) => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(bounds.grace, connection).await;
}

/// Whether a connection has requests, and when something of an answer went out last.
struct Busy(Mutex<(usize, Instant)>);

impl Busy {
    fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    fn moved(&self) {
        self.0.lock().1 = Instant::now();
    }

    /// Done when there was no request for this long, and nothing of an answer was written.
    async fn idle(&self, patience: Duration) {
        loop {
            let (streams, last) = *self.0.lock();
            let since = if streams == 0 { last } else { Instant::now() };
            let until = since + patience;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// A request that is being answered, counted.
struct Open(Arc<Busy>);

impl Open {
    fn new(busy: &Arc<Busy>) -> Self {
        let mut state = busy.0.lock();
        *state = (state.0 + 1, Instant::now());
        drop(state);
        Self(busy.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        *state = (state.0.saturating_sub(1), Instant::now());
    }
}

/// What the handler and the body of a stream said while the stream was polled last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// They were not asked: hyper waits for the client.
    Nothing,
    /// They gave something.
    Ready,
    /// They are what is waited for.
    Pending,
}

thread_local!(static SAID: Cell<Said> = const { Cell::new(Said::Nothing) });

fn mark<T>(poll: Poll<T>) -> Poll<T> {
    SAID.set(if poll.is_ready() { Said::Ready } else { Said::Pending });
    poll
}

/// Runs the streams of a connection, and lets go those whose client takes nothing.
#[derive(Clone)]
struct Streams {
    busy: Arc<Busy>,
    patience: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let open = Open::new(&self.busy);
        tokio::spawn(Stream { stream: Box::pin(stream), patience: self.patience, waiting: None, _open: open });
    }
}

struct Stream<F> {
    stream: Pin<Box<F>>,
    patience: Duration,
    /// Until when the client must take something, if it is what is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    _open: Open,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        SAID.set(Said::Nothing);
        if self.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let said = SAID.get();
        if said != Said::Nothing {
            self.waiting = None;
        }
        if said == Said::Pending {
            return Poll::Pending;
        }
        let patience = self.patience;
        // Dropped with what it holds, the stream is reset.
        self.waiting.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx)
    }
}

/// A handler that says when it is waited for.
struct Marked<F>(Pin<Box<F>>);

impl<F: Future> Future for Marked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        mark(self.0.as_mut().poll(cx))
    }
}

/// A body in pieces, which says when it is waited for.
struct Pieces<B> {
    body: B,
    rest: Bytes,
}

impl<B> Pieces<B> {
    const fn new(body: B) -> Self {
        Self { body, rest: Bytes::new() }
    }

    fn piece(&mut self) -> Bytes {
        self.rest.split_to(self.rest.len().min(PIECE))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let frame = ready!(mark(Pin::new(&mut self.body).poll_frame(cx)));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => self.rest = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.piece();
        mark(Poll::Ready(Some(Ok(Frame::data(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// Finds what answers are made of among the frames that are written (RFC 9113, section 4.1).
#[derive(Default)]
struct Frames {
    head: [u8; 9],
    /// Bytes of the head that are known.
    have: usize,
    /// Bytes of the payload that are to come.
    left: usize,
}

impl Frames {
    /// Whether these bytes, which follow the last ones, hold payload of a DATA frame.
    fn carry_data(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                found |= self.head[3] == 0;
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            self.head[self.have] = *first;
            self.have += 1;
            bytes = rest;
            if self.have == self.head.len() {
                self.have = 0;
                self.left =
                    usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            }
        }
        found
    }
}

/// A socket that notes when something of an answer was written: pings and their answers keep no connection.
struct Watched<S> {
    socket: S,
    busy: Arc<Busy>,
    frames: Frames,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let taken = left.min(buf.len());
            left -= taken;
            if self.frames.carry_data(&buf[..taken]) {
                self.busy.moved();
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
