//! Players that read like a far-away client whose packets are gathered on the way: one thread goes round all
//! sockets every so often, without a poller, so that no wake-up of a reader is paid for by the server's process.

use crate::Failure;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A socket and the count of what came from it.
pub struct Reader {
    /// Non-blocking.
    pub stream: TcpStream,
    /// Bytes so far.
    pub bytes: Arc<AtomicU64>,
}

/// The thread; it ends with this value.
pub struct Sweep {
    leaving: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sweep {
    /// Reads everything there is from all `readers` every `pause`. Those whose stream ends are counted in `ended`.
    pub fn start(mut readers: Vec<Reader>, pause: Duration, ended: Arc<AtomicU64>) -> Self {
        let leaving = Arc::new(AtomicBool::new(false));
        let told = leaving.clone();
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            while !told.load(Ordering::Relaxed) {
                readers.retain_mut(|reader| {
                    let stays = reader.drain(&mut buffer).is_ok();
                    ended.fetch_add(u64::from(!stays), Ordering::Relaxed);
                    stays
                });
                thread::sleep(pause);
            }
        });
        Sweep { leaving, thread: Some(thread) }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

impl Reader {
    /// Reads until there is nothing left; the end of the stream is a [`Failure`].
    fn drain(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("ended".into()),
                Ok(n) => {
                    self.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    if n < buffer.len() {
                        return Ok(());
                    }
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn everything_is_counted_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let bytes = Arc::new(AtomicU64::new(0));
        let ended = Arc::new(AtomicU64::new(0));
        let readers = vec![Reader { stream, bytes: bytes.clone() }];
        let sweep = Sweep::start(readers, Duration::ZERO, ended.clone());
        peer.write_all(&vec![1; 1_000_000]).unwrap();
        drop(peer);
        while ended.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        drop(sweep);
        assert_eq!((bytes.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)), (1_000_000, 1));
    }
}
