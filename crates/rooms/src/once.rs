//! Changes with a name: what a caller asks for once more, because it never received the answer, is not done again. The room
//! remembers the names; here is how one comes from a call to the decision.

use room::{Event, Millis, Refusal, Room, RoomId, once};
use store::error::Error;

use super::Rooms;

tokio::task_local! {
    static NAME: u64;
}

/// Does this under a name: each room that it changes is changed once under it.
pub async fn named<T>(name: u64, work: impl Future<Output = T>) -> T {
    NAME.scope(name, work).await
}

/// The name of what is being done, if it has one.
pub(super) fn name() -> Option<u64> {
    NAME.try_with(|name| *name).ok()
}

/// These events, as they happened at this time.
pub(super) fn timed(mut events: Vec<Event>, at: Millis) -> Vec<Event> {
    events.iter_mut().for_each(|event| event.at = at);
    events
}

impl Rooms {
    /// Decides on a room, unless it remembers that this was done.
    #[allow(clippy::type_complexity, reason = "what every decision is")]
    pub(super) async fn decide(
        &self,
        id: &RoomId,
        decide: &mut (dyn FnMut(&mut Option<Room>) -> Result<Vec<Event>, Refusal> + Send),
    ) -> Result<(), Error> {
        let name = name();
        self.store.update(id, &mut |slot| Ok(self.timed(once::once(slot, name, &mut *decide)?))).await
    }

    /// The same for a room that was not there a moment ago.
    #[allow(clippy::type_complexity, reason = "what every decision is")]
    pub(super) async fn decide_new(
        &self,
        id: &RoomId,
        decide: &mut (dyn FnMut(&mut Option<Room>) -> Result<Vec<Event>, Refusal> + Send),
    ) -> Result<(), Error> {
        let name = name();
        self.store.make(id, &mut |slot| Ok(self.timed(once::once(slot, name, &mut *decide)?))).await
    }

    /// Rules wait by a clock that does not step. When something happened is told by the wall's.
    fn timed(&self, events: Vec<Event>) -> Vec<Event> {
        timed(events, self.clock.now())
    }
}
