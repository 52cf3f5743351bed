//! The time within which a request's head must come, with one timer a connection. Hyper asks for a new one with each
//! request; to set and drop that in the runtime's wheel costs more than the rest of a small request's bookkeeping.
//! So the timer stays where it was set first, and looks when it fires whether it is time. Knows no request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use parking_lot::Mutex;
use tokio::time;

/// The timer of a connection.
#[derive(Default)]
pub struct Heads(Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>);

struct Head {
    until: time::Instant,
    timer: Heads,
}

impl Timer for Heads {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Head { until: deadline.into(), timer: Heads(self.0.clone()) })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }
}

impl Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.0.lock();
        let timer = timer.get_or_insert_with(|| Box::pin(time::sleep_until(self.until)));
        if timer.deadline() > self.until {
            timer.as_mut().reset(self.until);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= self.until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn serve() -> (DuplexStream, JoinHandle<hyper::Result<()>>) {
        let (ours, peer) = duplex(4096);
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(Heads::default()).header_read_timeout(PATIENCE);
        let answer = |_| async { Ok::<_, Infallible>(axum::response::Response::new(Body::empty())) };
        let connection = http.serve_connection(TokioIo::new(ours), hyper::service::service_fn(answer));
        (peer, tokio::spawn(connection))
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_time_and_one_that_does_not_come_ends_the_connection() {
        let (mut peer, served) = serve();
        let begun = time::Instant::now();
        for _ in 0..5 {
            // Late each time: together they take longer than one may.
            peer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            time::sleep(PATIENCE * 9 / 10).await;
            peer.write_all(b"\r\n").await.unwrap();
            assert!(peer.read(&mut [0; 1024]).await.unwrap() > 0);
        }
        peer.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        assert!(served.await.unwrap().is_err());
        assert_eq!(begun.elapsed().as_secs(), (PATIENCE * 9 / 10 * 5 + PATIENCE).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_ends_too() {
        let (_peer, served) = serve();
        let begun = time::Instant::now();
        let _ = served.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_end_is_kept_too() {
        let heads = Heads::default();
        let begun = time::Instant::now();
        let mut late = heads.sleep(PATIENCE);
        assert!(futures_util::poll!(&mut late).is_pending());
        heads.sleep(PATIENCE / 2).await;
        assert_eq!(begun.elapsed(), PATIENCE / 2);
        late.await;
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }
}
