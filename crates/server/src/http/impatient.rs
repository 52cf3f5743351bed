//! A socket whose peer must take something of what it is sent within a bounded time, or the connection ends: a peer that stops
//! reading would hold its place for ever. Knows no protocol.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes up to which head and body of an answer are gathered before they are written: copying them costs less than a
/// write of several pieces does in the kernel.
const SMALL: usize = 4096;

thread_local!(static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL)));

/// The socket. Costs a timer only while the peer keeps us waiting.
pub struct Impatient<S> {
    socket: S,
    /// Kept for as long as the socket is, also by what it becomes.
    _held: Box<dyn Send>,
    patience: Duration,
    /// Since a write could take nothing; until when something must be taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// Gives every write that can take nothing this long. What is `held` counts the connection: dropped with the socket, it stays
    /// with a connection that goes on as a WebSocket.
    pub fn new(socket: S, patience: Duration, held: impl Send + 'static) -> Self {
        Self { socket, _held: Box::new(held), patience, waiting: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let small = bufs.iter().map(|buf| buf.len()).sum::<usize>() <= SMALL;
        let written = if small {
            GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                bufs.iter().for_each(|buf| gathered.extend_from_slice(buf));
                Pin::new(&mut self.socket).poll_write(cx, gathered)
            })
        } else {
            Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
        };
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_now_and_then_is_waited_for_and_one_that_stopped_is_not() {
        let (ours, mut peer) = duplex(64);
        let mut ours = Impatient::new(ours, PATIENCE, ());
        let begun = Instant::now();
        let writing = tokio::spawn(async move { ours.write_all(&[7; 1000]).await });
        let mut some = [0; 64];
        for _ in 0..3 {
            sleep(PATIENCE * 9 / 10).await;
            peer.read_exact(&mut some).await.unwrap();
        }
        // Nothing is read any more.
        let failed = writing.await.unwrap().unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        let took = begun.elapsed();
        assert!(took >= PATIENCE * 36 / 10 && took < PATIENCE * 4, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_are_written_in_order_however_many_bytes_they_have() {
        for length in [0, 10, SMALL, SMALL + 1, 3 * SMALL] {
            let (ours, mut peer) = duplex(64 * 1024);
            let mut ours = Impatient::new(ours, PATIENCE, ());
            let pieces = [vec![1; length / 3], vec![2; length - length / 3]];
            let written = ours.write_vectored(&pieces.each_ref().map(|piece| IoSlice::new(piece))).await.unwrap();
            drop(ours);
            let mut read = Vec::new();
            peer.read_to_end(&mut read).await.unwrap();
            // A socket may take less than all of them.
            assert!(written == read.len() && pieces.concat().starts_with(&read), "{length}");
            assert!(length > SMALL || written == length, "{length}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_player_that_stops_reading_is_let_go() {
        use axum::body::{Body, Bytes};
        use futures_util::{StreamExt, stream};
        use hyper_util::rt::{TokioIo, TokioTimer};

        let (held, gone) = tokio::sync::oneshot::channel::<()>();
        let held = parking_lot::Mutex::new(Some(held));
        let service = hyper::service::service_fn(move |_| {
            // As a stream's reader is: held by the body, and gone with it.
            let held = held.lock().take();
            let blocks = stream::repeat_with(move || {
                let _ = &held;
                Ok::<_, io::Error>(Bytes::from_static(&[0; 4096]))
            });
            async { Ok::<_, io::Error>(axum::response::Response::new(Body::from_stream(blocks.boxed()))) }
        });
        let (ours, mut peer) = duplex(16 * 1024);
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new());
        let served = tokio::spawn(http.serve_connection(TokioIo::new(Impatient::new(ours, PATIENCE, ())), service));
        peer.write_all(b"GET /live/s.flv HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        peer.read_exact(&mut vec![0; 100_000]).await.unwrap();
        // The peer stays, and reads no more.
        assert!(tokio::time::timeout(PATIENCE + Duration::from_secs(1), served).await.unwrap().unwrap().is_err());
        assert!(gone.await.is_err(), "its reader is gone");
    }
}
