//! The network between a node and Redis: how long it takes, and whether it is cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use store::redis::sentinel::Address;
use store::redis::way::{Dialled, Network};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Redis;
use super::serve;
use crate::dice::Dice;

/// Bytes on their way that nobody reads.
const BUFFER: usize = 1 << 20;

/// The network of one machine. It outlives the machine's processes.
pub struct Wire {
    dice: Mutex<Dice>,
    /// Most microseconds that each way takes.
    most: u64,
    cut: watch::Sender<bool>,
    /// Milliseconds that each way takes longer.
    slow: AtomicU64,
    /// Milliseconds that what it waits for takes longer: its other connections are well.
    late: AtomicU64,
}

impl Wire {
    /// One on which all is well, and each way takes so many microseconds at most.
    pub fn new(seed: u64, number: u64, most: u64) -> Arc<Self> {
        let dice = Mutex::new(Dice::apart(seed, 200 + number));
        Arc::new(Self { dice, most, cut: watch::Sender::new(false), slow: AtomicU64::new(0), late: AtomicU64::new(0) })
    }

    /// Nothing comes through, or does again: what was on its way then arrives, if anyone waits for it.
    pub fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Each way takes so many milliseconds longer.
    pub fn slow(&self, by: u64) {
        self.slow.store(by, Ordering::SeqCst);
    }

    /// What a connection waits for comes so many milliseconds later than what others ask for.
    pub fn late(&self, by: u64) {
        self.late.store(by, Ordering::SeqCst);
    }

    /// Takes that time.
    pub async fn dawdles(&self) {
        sleep(Duration::from_millis(self.late.load(Ordering::SeqCst))).await;
    }

    /// Whether something is wrong with it.
    pub fn is_troubled(&self) -> bool {
        *self.cut.borrow() || [&self.slow, &self.late].iter().any(|longer| longer.load(Ordering::SeqCst) > 0)
    }

    /// When something that is sent now arrives, after what was sent before.
    pub fn arrives(&self, before: &mut Instant) -> Instant {
        let takes = self.dice.lock().from(0, self.most) + 1_000 * self.slow.load(Ordering::SeqCst);
        *before = (*before).max(Instant::now() + Duration::from_micros(takes));
        *before
    }

    /// Waits until it is not cut.
    pub async fn passes(&self) {
        let mut cut = self.cut.subscribe();
        // The sender is held here.
        let _ = cut.wait_for(|cut| !*cut).await;
    }
}

/// The network as a process has it.
pub struct Socket {
    redis: Arc<Redis>,
    wire: Arc<Wire>,
    /// Cancelled when the process has ended.
    over: CancellationToken,
}

impl Socket {
    /// For a process that lives until then.
    pub fn new(redis: Arc<Redis>, wire: Arc<Wire>, over: CancellationToken) -> Arc<Self> {
        Arc::new(Self { redis, wire, over })
    }
}

impl Network for Socket {
    fn dial(&self, server: &Address) -> Dialled {
        let redis = self.redis.clone();
        let wire = self.wire.clone();
        let over = self.over.clone();
        let server = server.clone();
        Box::pin(async move {
            let mut now = Instant::now();
            sleep(wire.arrives(&mut now) - Instant::now()).await;
            wire.passes().await;
            if over.is_cancelled() {
                return Err(io::ErrorKind::NetworkDown.into());
            }
            let (near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(BUFFER);
            serve::serve(redis, &server, far, wire, over).map(|()| near)
        })
    }
}
