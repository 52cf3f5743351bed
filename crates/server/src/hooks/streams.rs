//! Writes the beginning and end of streams into the record of commits, so that webhooks tell of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use media::hub;
use media::name::{Protocol, StreamName};
use room::{Millis, RoomId};
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::clock::Clock;
use crate::live::{Owner, owner};
use crate::store::{History, Note};

/// How long after a failure the store is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Notes streams for as long as there are any. A pause within the time that a publisher has to come back is none.
pub async fn note(
    mut events: broadcast::Receiver<hub::Event>,
    history: Arc<dyn History>,
    clock: Arc<dyn Clock>,
    bizid: u32,
) {
    // What is pulled from another node begins and ends there.
    let mut pulled = HashSet::new();
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "streams began or ended unnoticed: the store was away for too long");
                continue;
            }
        };
        if !is_own(&event, &mut pulled) {
            continue;
        }
        let Some(note) = note_of(&event, bizid, clock.now()) else { continue };
        while let Err(error) = history.note(&note).await {
            tracing::debug!(%error, "a stream's beginning or end waits for the store");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Whether an event is one of a stream that is published at this node.
fn is_own(event: &hub::Event, pulled: &mut HashSet<StreamName>) -> bool {
    match event {
        hub::Event::Started { name, protocol, .. } | hub::Event::Resumed { name, protocol, .. } => {
            if *protocol == Protocol::Relay {
                pulled.insert(name.clone());
                return false;
            }
            // Its publisher came here, from the node that told of it.
            pulled.remove(name);
            true
        }
        hub::Event::Paused { .. } => true,
        hub::Event::Ended { name, .. } => !pulled.remove(name),
    }
}

fn note_of(event: &hub::Event, bizid: u32, at: Millis) -> Option<Note> {
    let (event, name, mut data) = match event {
        hub::Event::Started { name, protocol, .. } => {
            ("stream_started", name, json!({ "protocol": protocol.to_string() }))
        }
        hub::Event::Ended { name, reason } => ("stream_ended", name, json!({ "reason": reason.to_string() })),
        hub::Event::Paused { .. } | hub::Event::Resumed { .. } => return None,
    };
    if name.is_derived() {
        return None;
    }
    data["streamID"] = name.as_str().into();
    let room = match owner(bizid, name.as_str()) {
        Some(Owner::Member { room, user }) => {
            data["userID"] = user.into();
            RoomId::parse(&room).ok()
        }
        Some(Owner::User(user)) => {
            data["userID"] = user.into();
            None
        }
        None => None,
    };
    Some(Note { event: event.into(), room, at, data })
}

#[cfg(test)]
mod tests {
    use media::Ended;

    use super::*;

    #[test]
    fn what_is_pulled_is_told_by_the_node_that_has_it() {
        let (name, peer) = (StreamName::new("8525_room1_alice").unwrap(), ([127, 0, 0, 1], 1).into());
        let started = |protocol| hub::Event::Started { name: name.clone(), protocol, peer };
        let resumed = |protocol| hub::Event::Resumed { name: name.clone(), protocol, peer };
        let ended = hub::Event::Ended { name: name.clone(), reason: Ended::Finished };
        let mut pulled = HashSet::new();
        assert!(is_own(&started(Protocol::Rtmp), &mut pulled) && is_own(&ended, &mut pulled));
        assert!(!is_own(&started(Protocol::Relay), &mut pulled) && !is_own(&ended, &mut pulled));
        assert!(!is_own(&started(Protocol::Relay), &mut pulled) && is_own(&resumed(Protocol::Whip), &mut pulled));
        assert!(is_own(&ended, &mut pulled));
    }

    #[test]
    fn a_stream_is_its_rooms_and_users() {
        let name = StreamName::new("8525_room1_alice").unwrap();
        let peer = ([127, 0, 0, 1], 1).into();
        let started = hub::Event::Started { name: name.clone(), protocol: Protocol::Rtmp, peer };
        let note = note_of(&started, 8525, Millis(7)).unwrap();
        assert_eq!((&*note.event, note.room.unwrap().as_str(), note.at), ("stream_started", "room1", Millis(7)));
        assert_eq!(note.data["userID"], "alice");
        let ended = hub::Event::Ended { name: name.derived("aac"), reason: Ended::Busy };
        assert_eq!(note_of(&ended, 8525, Millis(7)), None, "what the server makes itself is nobody's");
        assert_eq!(note_of(&hub::Event::Paused { name }, 8525, Millis(7)), None);
    }
}
