//! Counts of audiences, sent a little after they change: many viewers who come are some events and not as many.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use room::RoomId;
use serde_json::json;

use super::Hooks;
use rooms::Audiences;
use store::{Note, Span, Store};

/// A count is sent at most this often, and at most this late.
const COALESCE: Duration = Duration::from_secs(2);

/// So many counts are remembered before those of closed rooms are looked for.
const MANY: usize = 1024;

impl Hooks {
    /// What is to be sent of changes of audiences, for as long as there are any.
    pub async fn note_audiences(self: Arc<Self>, audiences: Arc<Audiences>, store: Arc<dyn Store>) {
        let mut told: HashMap<RoomId, usize> = HashMap::new();
        let mut most = MANY;
        loop {
            audiences.wait().await;
            tokio::time::sleep(COALESCE).await;
            let changed = audiences.take();
            if !self.is_on() {
                told.clear();
                continue;
            }
            let mut notes = Vec::new();
            for room in changed {
                let at = self.clock.now();
                let data = json!({ "count": 0 });
                let span = Span::None;
                let mut note = Note { event: "audience_count".into(), room: Some(room.clone()), at, data, span };
                match self.history.note_audience(&note).await {
                    Ok(false) => {}
                    Ok(true) => continue,
                    Err(_) => {
                        audiences.changed(&room);
                        continue;
                    }
                }
                let mut count = None;
                if store.see(&room, &mut |_, viewers| count = Some(viewers)).await.is_err() {
                    audiences.changed(&room);
                    continue;
                }
                // A room that is gone has no audience, and its end is told as such.
                let Some(count) = count else {
                    told.remove(&room);
                    continue;
                };
                let before = if count == 0 { told.remove(&room) } else { told.insert(room.clone(), count) };
                if before.unwrap_or(0) != count {
                    note.data = json!({ "count": count });
                    notes.push(note);
                }
            }
            if !notes.is_empty() {
                self.note(&notes).await;
            }
            // Rooms that closed with an audience in them change no more.
            if told.len() >= most {
                forget_closed(&mut told, &*store).await;
                most = MANY.max(told.len().saturating_mul(2));
            }
        }
    }
}

async fn forget_closed(told: &mut HashMap<RoomId, usize>, store: &dyn Store) {
    let mut closed = Vec::new();
    for room in told.keys() {
        // A store that is away says nothing about a room.
        if let Ok(false) = store.see(room, &mut |_, _| {}).await {
            closed.push(room.clone());
        }
    }
    for room in closed {
        told.remove(&room);
    }
}
