//! How many frames a WebSocket client may send that ask for nothing: pings, each of which is answered, pongs, and whatever a
//! player says. Knows no sockets.

use std::time::Duration;

use tokio::time::Instant;

/// One frame in so long, on average: real clients ping every few seconds at most.
const EVERY: Duration = Duration::from_secs(1);
/// As many may come at once, as after a pause of the network.
const BURST: u32 = 60;

/// What one client has sent, kept as the time at which it may send as many as ever again.
#[derive(Debug)]
pub struct Chatter(Instant);

impl Default for Chatter {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Chatter {
    /// Counts a frame. False: it is one too many, and its client is not worth a connection.
    pub fn hear(&mut self) -> bool {
        let now = Instant::now();
        self.0 = self.0.max(now) + EVERY;
        self.0 - now <= EVERY * BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_too_much_and_a_steady_pace_is_not() {
        let mut steady = Chatter::default();
        for _ in 0..10 * BURST {
            assert!(steady.hear());
            tokio::time::advance(EVERY).await;
        }
        let mut flood = Chatter::default();
        let heard = (0..10 * BURST).take_while(|_| flood.hear()).count();
        assert_eq!(heard, BURST as usize);
    }
}
