//! Writes what begins and ends in the media server into the record of commits, so that webhooks publish it: streams, mixes,
//! recordings. What began and whose process is gone is ended here too, if no node goes on with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use media::hub::{self, Hub};
use media::mix::{self, Mixer};
use media::record::{self, Recorder};
use media::{Ended, Protocol, StreamName};
use parking_lot::Mutex;
use room::{Millis, RoomId};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::Hooks;
use store::{Note, Span};
use streams::live::{Owner, owner};

/// How long after a failure the store is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long beyond the time that a publisher has to come back the end of a lost stream is published.
const BEYOND: Duration = Duration::from_secs(5);
/// How long a recording of a process that is gone waits for the node that has its file, in milliseconds: a machine may be away
/// for a while.
const NOBODYS: u64 = 3_600_000;

/// A recording began.
const RECORD_STARTED: &str = "record_started";

/// Recordings whose files no node has shown so far, and since when.
type Unclaimed = Mutex<HashMap<String, Millis>>;

/// What is listened to.
pub struct Sources {
    /// Streams.
    pub hub: Hub,
    /// Mixes, where they are made here.
    pub mixer: Option<Mixer>,
    /// Recordings, if there are any.
    pub recorder: Option<Recorder>,
    /// The first part of every stream's name.
    pub bizid: u32,
}

impl Hooks {
    /// Notes what begins and ends for as long as there is anything. A pause within the time that a publisher has to come
    /// back is no end, and neither is a restart of the server.
    pub async fn note_media(self: Arc<Self>, sources: Sources) {
        let mut streams = sources.hub.events();
        let bizid = sources.bizid;
        let mut mixes = sources.mixer.as_ref().map(Mixer::events);
        let mut records = sources.recorder.as_ref().map(Recorder::events);
        let mut here = HashSet::new();
        let unclaimed = Unclaimed::default();
        let window = sources.hub.settings().resume_window + BEYOND;
        let mut look = tokio::time::interval_at(tokio::time::Instant::now() + window, window);
        loop {
            let notes = tokio::select! {
                event = streams.recv() => match event {
                    Ok(event) => self.of_stream(&event, &mut here, bizid).into_iter().collect(),
                    Err(RecvError::Closed) => return,
                    Err(RecvError::Lagged(_)) => self.compare(&sources.hub, &mut here, bizid),
                },
                Some(event) = next(&mut mixes) => self.of_mix(&event, bizid).into_iter().collect(),
                Some(event) = next(&mut records) => self.of_record(&event, bizid).into_iter().collect(),
                _ = look.tick() => self.of_lost(sources.recorder.as_ref(), &unclaimed).await,
            };
            if self.is_on() && !notes.is_empty() {
                self.note(&notes).await;
            }
        }
    }

    /// Ends all recordings, and notes those that are complete by that: another process would know nothing of their files.
    pub async fn end_recordings(&self, recorder: &Recorder, bizid: u32) {
        let mut events = recorder.events();
        let mut notes = Vec::new();
        let mut hear = |event: &record::Event| {
            if matches!(event, record::Event::Ready(_)) {
                notes.extend(self.of_record(event, bizid));
            }
        };
        let mut closing = std::pin::pin!(recorder.close());
        loop {
            tokio::select! {
                biased;
                event = events.recv() => event.iter().for_each(&mut hear),
                () = &mut closing => break,
            }
        }
        while let Ok(event) = events.try_recv() {
            hear(&event);
        }
        if self.is_on() {
            self.note(&notes).await;
        }
    }

    /// Writes notes, however long the store is away.
    pub(super) async fn note(&self, notes: &[Note]) {
        while let Err(error) = self.history.note(notes).await {
            tracing::debug!(%error, "what began or ended waits for the store");
            tokio::time::sleep(RETRY).await;
        }
    }

    fn of_stream(&self, event: &hub::Event, here: &mut HashSet<StreamName>, bizid: u32) -> Option<Note> {
        match change(event, here)? {
            Change::Begins(name, protocol) => self.started(name, protocol, bizid),
            Change::Ends(name, reason) => self.ended(name, reason, bizid),
        }
    }

    fn started(&self, name: &StreamName, protocol: Protocol, bizid: u32) -> Option<Note> {
        let span = Span::Begins(format!("stream:{name}"));
        note_of("stream_started", name, json!({ "protocol": protocol.to_string() }), span, bizid, self.clock.now())
    }

    fn ended(&self, name: &StreamName, reason: &Ended, bizid: u32) -> Option<Note> {
        let span = Span::Ends(format!("stream:{name}"));
        note_of("stream_ended", name, json!({ "reason": reason.to_string() }), span, bizid, self.clock.now())
    }

    /// Too much happened at once to hear all of it: what is there now is compared with what was.
    fn compare(&self, hub: &Hub, here: &mut HashSet<StreamName>, bizid: u32) -> Vec<Note> {
        let mut list = hub.list();
        list.retain(|stream| stream.protocol != Protocol::Relay);
        let now: HashSet<StreamName> = list.iter().map(|stream| stream.name.clone()).collect();
        let ended = here.difference(&now).filter_map(|name| self.ended(name, &Ended::Finished, bizid));
        let started = list.iter().filter(|stream| !here.contains(&stream.name));
        let started = started.filter_map(|stream| self.started(&stream.name, stream.protocol, bizid));
        let notes = ended.chain(started).collect();
        *here = now;
        notes
    }

    fn of_mix(&self, event: &mix::Event, bizid: u32) -> Option<Note> {
        let now = self.clock.now();
        match event {
            mix::Event::Started { session, output } => {
                let span = Span::Begins(format!("mix:{session}"));
                note_of("mix_started", output.name(), json!({ "sessionID": session }), span, bizid, now)
            }
            mix::Event::Ended { session, output, reason } => {
                let span = Span::Ends(format!("mix:{session}"));
                let data = json!({ "sessionID": session, "reason": reason });
                note_of("mix_ended", output.name(), data, span, bizid, now)
            }
        }
    }

    fn of_record(&self, event: &record::Event, bizid: u32) -> Option<Note> {
        let now = self.clock.now();
        let span = |recording: &record::Recording| format!("record:{}", recording.file);
        match event {
            record::Event::Started(recording) => {
                let name = StreamName::new(&recording.stream).ok()?;
                note_of(RECORD_STARTED, &name, recorded(recording, false), Span::Begins(span(recording)), bizid, now)
            }
            record::Event::Ready(recording) => {
                let name = StreamName::new(&recording.stream).ok()?;
                note_of("record_ready", &name, recorded(recording, true), Span::Ends(span(recording)), bizid, now)
            }
            record::Event::Empty(empty) => {
                let name = StreamName::new(&empty.stream).ok()?;
                let data = json!({ "asked": empty.asked, "waited": empty.waited.as_secs_f64() });
                note_of("record_empty", &name, data, Span::None, bizid, now)
            }
        }
    }

    /// What began in a process that is gone, and what no node has gone on with since. A recording is ended by the node that has its
    /// file.
    async fn of_lost(&self, recorder: Option<&Recorder>, unclaimed: &Unclaimed) -> Vec<Note> {
        let recordings = recorder.map(Recorder::list).unwrap_or_default();
        let file_of = |note: &Note| {
            let name = note.data.get("file").and_then(Value::as_str)?;
            recordings.iter().find(|recording| recording.file == name)
        };
        let now = self.clock.now();
        let before = std::mem::take(&mut *unclaimed.lock());
        let takes = |span: &str, note: &Note| {
            if &*note.event != RECORD_STARTED || file_of(note).is_some() {
                return true;
            }
            let since = before.get(span).copied().unwrap_or(now);
            unclaimed.lock().insert(span.to_owned(), since);
            now.0.saturating_sub(since.0) >= NOBODYS
        };
        let lost = match self.history.unfinished(&takes).await {
            Ok(lost) => lost,
            Err(_) => {
                let mut unclaimed = unclaimed.lock();
                for (span, since) in before {
                    unclaimed.entry(span).or_insert(since);
                }
                return Vec::new();
            }
        };
        let end = |(span, mut note): (String, Note)| {
            note.at = now;
            note.span = Span::Ends(span);
            let event = note.event.strip_suffix("_started")?;
            if &*note.event != RECORD_STARTED {
                note.event = format!("{event}_ended").into();
                merge(&mut note.data, json!({ "reason": "the server was restarted and nobody went on" }));
            } else if let Some(recording) = file_of(&note) {
                // A file that was cut short plays.
                merge(&mut note.data, recorded(recording, true));
                note.event = "record_ready".into();
            } else {
                let asked = note.data.get("started").cloned().unwrap_or_default();
                merge(&mut note.data, json!({ "asked": asked, "waited": 0.0 }));
                note.event = "record_empty".into();
            }
            Some(note)
        };
        lost.into_iter().filter_map(end).collect()
    }
}

/// What this node has to publish of a stream.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    /// It is published here from now on.
    Begins(&'a StreamName, Protocol),
    /// No more.
    Ends(&'a StreamName, &'a Ended),
}

/// What an event changes about the streams that are published here. What is pulled from another node begins and ends there.
fn change<'a>(event: &'a hub::Event, here: &mut HashSet<StreamName>) -> Option<Change<'a>> {
    match event {
        hub::Event::Started { name, protocol, .. } | hub::Event::Resumed { name, protocol, .. } => {
            if *protocol == Protocol::Relay {
                here.remove(name);
                return None;
            }
            here.insert(name.clone()).then_some(Change::Begins(name, *protocol))
        }
        hub::Event::Paused { .. } => None,
        hub::Event::Ended { name, reason } => here.remove(name).then_some(Change::Ends(name, reason)),
    }
}

async fn next<T: Clone>(events: &mut Option<broadcast::Receiver<T>>) -> Option<T> {
    let Some(events) = events else { return std::future::pending().await };
    loop {
        match events.recv().await {
            Ok(event) => return Some(event),
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "webhooks missed what began or ended"),
            // What made them is gone with the server.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn recorded(recording: &record::Recording, ready: bool) -> Value {
    let mut data = json!({ "file": recording.file, "started": recording.started });
    if ready {
        merge(&mut data, json!({ "size": recording.size, "seconds": recording.duration.as_secs_f64() }));
    }
    data
}

fn merge(data: &mut Value, more: Value) {
    if let (Value::Object(data), Value::Object(more)) = (data, more) {
        data.extend(more);
    }
}

/// The note of what happened to a stream; none for what the server makes of streams itself.
fn note_of(event: &str, name: &StreamName, mut data: Value, span: Span, bizid: u32, at: Millis) -> Option<Note> {
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
    Some(Note { event: event.into(), room, at, data, span })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pulled_is_told_by_the_node_that_has_it() {
        let name = StreamName::new("8525_room1_alice").unwrap();
        let peer = ([127, 0, 0, 1], 1).into();
        let started = |protocol| hub::Event::Started { name: name.clone(), protocol, peer };
        let resumed = |protocol| hub::Event::Resumed { name: name.clone(), protocol, peer };
        let ended = hub::Event::Ended { name: name.clone(), reason: Ended::Finished };
        let mut here = HashSet::new();
        assert_eq!(change(&started(Protocol::Rtmp), &mut here), Some(Change::Begins(&name, Protocol::Rtmp)));
        assert_eq!(change(&resumed(Protocol::Rtmp), &mut here), None, "it only came back");
        assert_eq!(change(&ended, &mut here), Some(Change::Ends(&name, &Ended::Finished)));
        for event in [started(Protocol::Relay), ended.clone()] {
            assert_eq!(change(&event, &mut here), None);
        }
        // Its publisher comes here from another node, and goes there again.
        change(&started(Protocol::Relay), &mut here);
        assert_eq!(change(&resumed(Protocol::Whip), &mut here), Some(Change::Begins(&name, Protocol::Whip)));
        assert_eq!(change(&resumed(Protocol::Relay), &mut here), None);
        assert_eq!(change(&ended, &mut here), None);
    }

    #[test]
    fn a_stream_is_its_rooms_and_users() {
        let name = StreamName::new("8525_room1_alice").unwrap();
        let of =
            |name: &StreamName| note_of("stream_ended", name, json!({ "reason": "x" }), Span::None, 8525, Millis(7));
        let note = of(&name).unwrap();
        assert_eq!((&*note.event, note.room.unwrap().as_str(), note.at), ("stream_ended", "room1", Millis(7)));
        assert_eq!(note.data["userID"], "alice");
        assert_eq!(of(&name.derived("aac")), None, "what the server makes itself is nobody's");
    }
}
