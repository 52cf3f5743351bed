//! Writes into the record of commits what the live service says of streams and recordings, so that webhooks publish it: once,
//! however often the service says it, at whichever node, and over restarts.

use std::sync::Arc;

use room::{Millis, RoomId, UserId};
use serde_json::json;

use crate::live::events::StreamEvent;
use rooms::recordings::finished::Elsewhere;
use store::error::Error;
use store::{History, Note, Row, Span, Store, Table};

/// For how long, in milliseconds, it is known what was written: the service tries for twelve minutes.
const KEPT: u64 = 60 * 60_000;

/// Whose a stream is.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub user: UserId,
    /// Where that is known.
    pub room: Option<RoomId>,
}

/// Writes notes.
pub(super) struct Told {
    pub history: Arc<dyn History>,
    pub store: Arc<dyn Store>,
}

impl Told {
    /// Notes that a stream began or ended.
    ///
    /// # Errors
    /// The store is away: the service should say it again.
    pub async fn stream(&self, event: &StreamEvent, whose: &Whose, now: Millis) -> Result<(), Error> {
        let sequence: String = event.sequence.chars().filter(char::is_ascii_graphic).collect();
        let push = if sequence.is_empty() { event.at.secs().to_string() } else { sequence };
        let ended = format!("ended {} {push}", event.stream);
        if !event.began {
            let note = note("stream_ended", &event.stream, whose, event.at, json!({ "reason": event.reason }));
            return self.once(ended, note, now).await;
        }
        // A beginning that comes after its end is no news.
        if self.store.row(Table::Marks, &ended, now).await?.is_some() {
            return Ok(());
        }
        let note = note("stream_started", &event.stream, whose, event.at, json!({}));
        self.once(format!("began {} {push}", event.stream), note, now).await
    }

    /// Notes that a recording is whole.
    ///
    /// # Errors
    /// As [`Told::stream`].
    pub async fn recording(&self, file: &Elsewhere, whose: &Whose, now: Millis) -> Result<(), Error> {
        let seconds = file.duration as f64 / 1000.0;
        let data = json!({ "url": file.url, "started": file.started, "size": file.size, "seconds": seconds });
        let note = note("record_ready", &file.stream, whose, now, data);
        self.once(format!("recorded {} {}", file.stream, file.id), note, now).await
    }

    async fn once(&self, name: String, note: Note, now: Millis) -> Result<(), Error> {
        if self.store.row(Table::Marks, &name, now).await?.is_some() {
            return Ok(());
        }
        // First the note: a crash in between says it twice, and never not at all.
        self.history.note(&[note]).await?;
        let row = Row { key: name.into(), value: true.into(), until: now.plus(KEPT) };
        if let Err(error) = self.store.put_row(Table::Marks, &row, true, now).await {
            tracing::debug!(%error, "what the live service says again is published again");
        }
        Ok(())
    }
}

fn note(event: &str, stream: &str, whose: &Whose, at: Millis, mut data: serde_json::Value) -> Note {
    data["streamID"] = stream.into();
    data["userID"] = whose.user.as_str().into();
    Note { event: event.into(), room: whose.room.clone(), at, data, span: Span::None }
}
