//! Recordings as the operator sets them: whether there are any, where, how much. The writing is the media server's.

pub mod finished;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use media::record::{self, Empty, Recorder, Stopped};
use media::{Hub, Protocol, StreamName, hub};
use room::{Kind, RoomId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::Rooms;
use store::error::Error;
use streams::live::{Owner, is_mix_of, owner};

/// `[record]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether streams may be recorded.
    pub enabled: bool,
    /// Whether publishers may ask for it, by `record=1`; operators always may.
    pub by_publishers: bool,
    /// The directory; empty: `recordings` in `data_dir`.
    pub dir: PathBuf,
    /// Most bytes of all recordings. Some of the disk stays free, too.
    pub quota_bytes: u64,
    /// Longest file, in seconds, unless it is large before; the next one begins where it ends.
    pub max_seconds: u64,
    /// Which finished recordings clients may list.
    pub list: Listed,
}

/// Which finished recordings clients may list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listed {
    /// None.
    Off,
    /// A user those of its own streams.
    #[default]
    Own,
    /// Those, and every user those of live rooms.
    Live,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            by_publishers: true,
            dir: PathBuf::new(),
            quota_bytes: 10 << 30,
            max_seconds: 4 * 3600,
            list: Listed::default(),
        }
    }
}

impl Settings {
    /// The recorder that these settings make; `None` if streams may not be recorded. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn recorder(&self, hub: &Hub, data_dir: &Path) -> io::Result<Option<Recorder>> {
        if !self.enabled {
            return Ok(None);
        }
        let dir = self.directory(data_dir);
        let longest = Duration::from_secs(self.max_seconds);
        Recorder::new(hub.clone(), record::Settings { dir, quota: self.quota_bytes, longest }).map(Some)
    }

    /// Where they go.
    #[must_use]
    pub fn directory(&self, data_dir: &Path) -> PathBuf {
        if self.dir.as_os_str().is_empty() { data_dir.join("recordings") } else { self.dir.clone() }
    }

    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        if self.enabled && self.quota_bytes < 1 << 20 {
            found.push("record.quota_bytes must be a megabyte at least".into());
        }
        if self.enabled && self.max_seconds == 0 {
            found.push("record.max_seconds must be at least 1".into());
        }
    }
}

/// How often it is looked at whether rooms are recorded.
const AGAIN: Duration = Duration::from_secs(10);

/// A stream that was to be recorded for its room.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    room: RoomId,
    /// No other wish had begun it before.
    begun: bool,
}

/// A stream whose recording was begun or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The stream.
    pub stream: StreamName,
    /// Its recording was ended before anything was recorded.
    pub empty: Option<Empty>,
}

/// Records (or stops recording) every stream of a room: what is pushed now, mixes of the room that are streams of their own, and
/// what comes as long as the room is there ([`Rooms::record_rooms`]). Gives the streams for which that changed something; none
/// where recordings are not allowed.
///
/// # Errors
/// No such room; the store is away.
pub async fn room(
    rooms: &Rooms,
    hub: &Hub,
    recorder: Option<&Recorder>,
    kind: Kind,
    id: &RoomId,
    on: bool,
) -> Result<Vec<Changed>, Error> {
    let mut streams = Vec::new();
    let see = &mut |room: &room::Room, _| {
        streams = room.pushers.iter().filter_map(|p| StreamName::new(p.stream.as_str()).ok()).collect();
    };
    rooms.see(kind, id, see).await?;
    let Some(recorder) = recorder else {
        return Ok(Vec::new());
    };
    let decide = &mut |slot: &mut Option<room::Room>| {
        room::recorded::set_recorded(slot, on)?;
        Ok(Vec::new())
    };
    rooms.store.keep(id, decide).await?;
    // Mixes, and who has not entered yet.
    let speaks_of_it = |name: &StreamName| matches!(owner(rooms.bizid, name.as_str()), Some(Owner::Member { room, .. }) if room == id.as_str());
    let others = hub.list().into_iter().filter(|stream| stream.protocol != Protocol::Relay).map(|stream| stream.name);
    let others = others.filter(|name| !streams.contains(name));
    let others: Vec<StreamName> = others
        .filter(|name| speaks_of_it(name) || streams.iter().any(|of| is_mix_of(name.as_str(), of.as_str())))
        .collect();
    let begin =
        |stream: StreamName| rooms.record_for_room(recorder, &stream, id).then_some(Changed { stream, empty: None });
    let end = |stream: StreamName| match rooms.stop_recording(recorder, &stream)? {
        Stopped::Recorded => Some(Changed { stream, empty: None }),
        Stopped::Empty(empty) => Some(Changed { stream, empty: Some(empty) }),
    };
    let streams = streams.into_iter().chain(others);
    Ok(if on { streams.filter_map(begin).collect() } else { streams.filter_map(end).collect() })
}

impl Rooms {
    /// Records what begins to be pushed, or mixed, in rooms that are recorded, for as long as there is a recorder. What a room says
    /// of that is kept with it, so that it holds after a restart. All streams are looked at now and then: rooms end, and another node
    /// may be told what a room says.
    pub async fn record_rooms(self: Arc<Self>, hub: Hub) {
        let Some(recorder) = self.recorder.clone() else { return };
        let mut events = hub.events();
        let look = |streams: Vec<StreamName>| {
            let rooms = self.clone();
            let recorder = recorder.clone();
            let hub = hub.clone();
            tokio::spawn(async move {
                for name in streams.into_iter().filter(|name| !name.is_derived()) {
                    rooms.follow(&hub, &recorder, &name).await;
                }
            })
        };
        let mut tick = tokio::time::interval(AGAIN);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut at_all: Option<JoinHandle<()>> = None;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(hub::Event::Started { name, .. } | hub::Event::Resumed { name, .. }) => drop(look(vec![name])),
                    Ok(hub::Event::Ended { name, .. }) => drop(self.by_room.lock().remove(&name)),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => self.by_room.lock().retain(|name, _| hub.info(name).is_some()),
                    Err(RecvError::Closed) => return,
                },
                // One look after another, however long the store takes.
                _ = tick.tick() => if at_all.as_ref().is_none_or(JoinHandle::is_finished) {
                    at_all = Some(look(hub.list().into_iter().map(|stream| stream.name).collect()));
                },
            }
        }
    }

    /// Begins the recording of a stream whose room is recorded, again where that has ended. Ends one that was begun for its room, where the room is not any
    /// more, has ended, or where the stream is pushed to another node by now, which records it.
    async fn follow(&self, hub: &Hub, recorder: &Recorder, name: &StreamName) {
        let here = hub.info(name).map(|info| info.protocol).filter(|protocol| *protocol != Protocol::Relay);
        let known = self.by_room.lock().get(name).map(|asked| asked.room.clone());
        let Some(room) = known else {
            if let Some(protocol) = here
                && let Some(room) = self.recorded_room(name, protocol).await
            {
                let begun = recorder.record_present(name);
                self.by_room.lock().entry(name.clone()).or_insert(Asked { room, begun });
            }
            return;
        };
        let wanted = self.is_recorded(&room).await;
        if here.is_some() && wanted == Some(true) {
            // Held, so that whoever takes the wish back ends what begins here.
            if let Some(asked) = self.by_room.lock().get_mut(name) {
                asked.begun |= recorder.record_present(name);
            }
        } else if here.is_none() || wanted == Some(false) {
            let asked = self.by_room.lock().remove(name);
            if asked.is_some_and(|asked| asked.begun) {
                recorder.stop(name);
            }
        }
    }

    /// Records a stream for its room, if it is there.
    pub(crate) fn record_for_room(&self, recorder: &Recorder, stream: &StreamName, room: &RoomId) -> bool {
        let begun = recorder.record_present(stream);
        if begun {
            self.by_room.lock().insert(stream.clone(), Asked { room: room.clone(), begun });
        }
        begun
    }

    fn stop_recording(&self, recorder: &Recorder, stream: &StreamName) -> Option<Stopped> {
        self.by_room.lock().remove(stream);
        recorder.stop(stream)
    }

    /// Whether a room is there and recorded; `None` where that cannot be told now.
    async fn is_recorded(&self, id: &RoomId) -> Option<bool> {
        let mut records = false;
        self.store.see(id, &mut |room, _| records = room.recorded).await.ok()?;
        Some(records)
    }

    /// The room of this stream, or of the one that a mix is named after, if it is recorded.
    async fn recorded_room(&self, name: &StreamName, protocol: Protocol) -> Option<RoomId> {
        let text = name.as_str();
        let shorter = text.match_indices('_').map(|(at, _)| &text[..at]);
        let is_mix = protocol == Protocol::Internal;
        for stream in std::iter::once(text).chain(shorter.filter(|_| is_mix)) {
            let (_, _, Some(id)) = self.whose(stream).await else { continue };
            let mut records = false;
            let look = &mut |room: &room::Room, _| {
                // Who is not in the room yet has a name that speaks of it, and so has nobody else.
                let is_in = room.pushers.iter().any(|pusher| pusher.stream.as_str() == stream);
                let is_named = matches!(owner(self.bizid, stream), Some(Owner::Member { .. }));
                records = room.recorded && (is_in || is_named);
            };
            if self.store.see(&id, look).await.is_ok() && records {
                return Some(id);
            }
        }
        None
    }
}
