//! Recordings as the operator sets them: whether there are any, where, how much. The writing is the media server's.

pub mod finished;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::record::{self, Empty, Recorder, Stopped};
use media::{Hub, StreamName};
use room::{Kind, RoomId};
use serde::{Deserialize, Serialize};

use crate::Rooms;
use store::error::Error;

/// `[record]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether streams may be recorded.
    pub enabled: bool,
    /// The directory; empty: `recordings` in `data_dir`.
    pub dir: PathBuf,
    /// Most bytes of all recordings.
    pub quota_bytes: u64,
    /// Longest recording, in seconds.
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
    /// Those, and everybody those of live rooms.
    Live,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
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
        let dir = if self.dir.as_os_str().is_empty() { data_dir.join("recordings") } else { self.dir.clone() };
        let longest = Duration::from_secs(self.max_seconds);
        Recorder::new(hub.clone(), record::Settings { dir, quota: self.quota_bytes, longest }).map(Some)
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

/// A stream whose recording was begun or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The stream.
    pub stream: StreamName,
    /// Its recording was ended before anything was recorded.
    pub empty: Option<Empty>,
}

/// Records (or stops recording) every stream of a room that is pushed now. Gives the streams for which that changed
/// something; none where recordings are not allowed.
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
    let begin = |stream: StreamName| {
        let begun = hub.info(&stream).is_some() && recorder.record(&stream);
        begun.then_some(Changed { stream, empty: None })
    };
    let end = |stream: StreamName| match recorder.stop(&stream)? {
        Stopped::Recorded => Some(Changed { stream, empty: None }),
        Stopped::Empty(empty) => Some(Changed { stream, empty: Some(empty) }),
    };
    let streams = streams.into_iter();
    Ok(if on { streams.filter_map(begin).collect() } else { streams.filter_map(end).collect() })
}
