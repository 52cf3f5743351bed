//! Which streams may be mixed with which of other rooms, as their pushers said, in this process's memory. Bounded; an
//! agreement ends by itself.

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::{Millis, RoomId, StreamId};
use serde::{Deserialize, Serialize};

/// For how long an agreement holds, in milliseconds.
pub const HOLDS: u64 = 12 * 3600 * 1000;
/// Most streams for which there is one.
const MOST: usize = 100_000;

/// What the pusher of a stream said. It holds while the same stay in the same room lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The room that it pushes in.
    pub room: RoomId,
    /// Since when it is in that room.
    pub joined: Millis,
    /// The streams of other rooms that its own may be mixed with.
    pub with: Vec<StreamId>,
}

#[derive(Default)]
pub struct Agreements(Mutex<HashMap<StreamId, (Agreement, Millis)>>);

impl Agreements {
    /// What holds for a stream from now on; `None`: nothing.
    pub fn set(&self, stream: &StreamId, agreement: Option<&Agreement>, now: Millis) {
        let mut all = self.0.lock();
        let known = all.remove(stream).is_some();
        let Some(agreement) = agreement else { return };
        if !known && all.len() >= MOST {
            all.retain(|_, (_, until)| *until > now);
        }
        // Who is not remembered is asked to try again, as one whose partner has not agreed yet.
        if all.len() < MOST {
            all.insert(stream.clone(), (agreement.clone(), now.plus(HOLDS)));
        }
    }

    /// What holds for a stream.
    pub fn get(&self, stream: &StreamId, now: Millis) -> Option<Agreement> {
        self.0.lock().get(stream).filter(|(_, until)| *until > now).map(|(agreement, _)| agreement.clone())
    }
}
