//! Leaving in good order: no new session is let in, those that are there are notified or may go on for a while. Knows no
//! signals; that rooms outlive the process is the store's affair.

use std::sync::atomic::Ordering;
use std::time::Duration;

use media::Hub;
use media::rtc::Server;
use tokio::time::{Instant, interval, timeout_at};

/// How often is looked whether all sessions have gone.
const LOOK: Duration = Duration::from_millis(100);

/// Returns when no media flows, after `patience` at the latest.
///
/// Where other nodes serve the same rooms, chat clients are sent there at once. A server that is alone keeps them to the
/// end: they have nowhere to go, and a call in its last seconds still wants to talk.
pub async fn leave(hub: &Hub, chat: &chat::Hub, alone: bool, patience: Duration) {
    let deadline = Instant::now() + patience;
    if !alone {
        chat.end_all();
    }
    let gone = async {
        let mut look = interval(LOOK);
        loop {
            look.tick().await;
            if !media_flows(hub) && (alone || chat.connections() == 0) {
                return;
            }
        }
    };
    if timeout_at(deadline, gone).await.is_err() && !patience.is_zero() {
        let streams = hub.len();
        let chat = chat.connections();
        tracing::info!(streams, chat, "time is up: who is still here is disconnected, to come back after the restart");
    }
}

fn media_flows(hub: &Hub) -> bool {
    hub.list().iter().any(|stream| !stream.paused && !stream.name.is_derived())
}

/// Waits until WebRTC has notified its peers that the server ends: its threads would end with the process, wherever they are.
pub(crate) async fn goodbyes(webrtc: &Server) {
    let counters = webrtc.counters();
    if counters.sessions.load(Ordering::Relaxed) == 0 {
        return;
    }
    while counters.sessions.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The last datagrams leave right after their sessions are no longer counted.
    tokio::time::sleep(Duration::from_millis(20)).await;
}
