//! Streams that WebRTC cannot carry: told to the operator once a stream, and to each viewer who asks again, also while there is
//! no picture yet from which it could be seen. Knows no sessions.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::feed::Unfit;
use crate::hub::Hub;
use crate::name::StreamName;

/// For how long viewers who ask for such a stream are refused. Its encoder may be set right meanwhile.
const HOLDS: Duration = Duration::from_secs(20);

struct Seen {
    unfit: Unfit,
    first: Instant,
    last: Instant,
}

/// Which streams those are.
pub(super) struct Unfits {
    table: Mutex<HashMap<StreamName, Seen>>,
    /// Renditions of them are made that it can carry.
    cured: bool,
}

impl Unfits {
    /// None seen yet.
    pub fn new(cured: bool) -> Self {
        Unfits { table: Mutex::default(), cured }
    }

    /// Notes that a stream, or what is made of it, cannot be carried.
    pub fn note(&self, hub: &Hub, name: &StreamName, unfit: Unfit) {
        let home = name.home();
        let name = home.as_ref().unwrap_or(name);
        let now = Instant::now();
        let mut table = self.table.lock();
        table.retain(|name, seen| is_of(hub, name, seen.first, now));
        if let Some(seen) = table.get_mut(name) {
            seen.last = now;
            return;
        }
        table.insert(name.clone(), Seen { unfit, first: now, last: now });
        drop(table);
        if self.cured {
            return;
        }
        tracing::warn!(
            stream = %name,
            "browsers cannot play this stream: it has B-frames, which WebRTC does not carry. Set bframes=0 in its encoder \
             (OBS: Output, Advanced, x264 options; ffmpeg: -bf 0), or profile baseline, or let the server make a \
             rendition without them (webrtc.renditions); RTMP, FLV and HLS play it as it is"
        );
    }

    /// Why a stream is not carried, if that was seen a moment ago.
    pub fn of(&self, hub: &Hub, name: &StreamName) -> Option<Unfit> {
        let now = Instant::now();
        let table = self.table.lock();
        let seen = table.get(name).filter(|seen| now - seen.last < HOLDS)?;
        is_of(hub, name, seen.first, now).then_some(seen.unfit)
    }
}

/// Whether what was seen then was seen of the stream that there is now.
fn is_of(hub: &Hub, name: &StreamName, seen: Instant, now: Instant) -> bool {
    hub.info(name).is_some_and(|info| now - seen < info.age)
}
