//! Writes what begins and ends in the media server into the record of commits, so that webhooks publish it: streams, mixes,
//! recordings. What began and whose process is gone is ended here too, if no node goes on with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use media::hub::{self, Hub};
use media::mix::{self, Mixer};
use media::record::{self, Recorder};
use media::{Ended, Protocol, StreamName};
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
                _ = look.tick() => self.of_lost(sources.recorder.as_ref()).await,
            };
            if self.is_on() && !notes.is_empty() {
                self.note(&notes).await;
            }
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
                note_of("record_started", &name, recorded(recording, false), Span::Begins(span(recording)), bizid, now)
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

    /// What began in a process that is gone, and what no node has gone on with since.
    async fn of_lost(&self, recorder: Option<&Recorder>) -> Vec<Note> {
        let Ok(lost) = self.history.unfinished().await else { return Vec::new() };
        let recordings = recorder.map(Recorder::list).unwrap_or_default();
        let end = |(span, mut note): (String, Note)| {
            note.at = self.clock.now();
            note.span = Span::Ends(span);
            let event = note.event.strip_suffix("_started")?;
            if event == "record" {
                // A file that was cut short plays; one that is gone is not ready.
                let file = note.data.get("file")?.as_str()?;
                let known = recordings.iter().find(|r| r.file == file);
                merge(&mut note.data, known.map_or(json!({ "size": 0, "seconds": 0.0 }), |r| recorded(r, true)));
                note.event = "record_ready".into();
            } else {
                note.event = format!("{event}_ended").into();
                merge(&mut note.data, json!({ "reason": "the server was restarted and nobody went on" }));
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
