//! Where a stream is pushed to and played from: a room of a server that is started for it, or a media server of another make
//! that runs already. Knows no protocol of players.

use crate::Failure;
use crate::api::{Api, Keys, Session};
use crate::server::{Server, Setup, Usage, Workspace};
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// The room that a stream is pushed to.
pub const ROOM: &str = "bench";
/// A port that is free, for a server beside another.
const SETTINGS: &str = "[webrtc]\nlisten = \"127.0.0.1:0\"\n";

/// A media server of another make, for comparison under the same load.
#[derive(clap::Args)]
pub struct Peer {
    /// Measure a media server of another make that already runs, for comparison: its process.
    #[arg(long, requires_all = ["peer_push", "peer_play"])]
    peer_pid: Option<u32>,
    /// Where to push the stream to at that server.
    #[arg(long, requires = "peer_pid")]
    peer_push: Option<String>,
    /// Where to play it there.
    #[arg(long, requires = "peer_pid")]
    peer_play: Option<String>,
}

impl Peer {
    /// The server that was named, and where it is played; none, where none was.
    pub fn venue(&self) -> Result<Option<(Venue, String)>, Failure> {
        let (Some(pid), Some(push), Some(play)) = (self.peer_pid, &self.peer_push, &self.peer_play) else {
            return Ok(None);
        };
        let venue = Venue { pid, idle: Usage::of(pid)?, push_url: push.clone(), room: None };
        Ok(Some((venue, play.clone())))
    }
}

/// Where the stream is pushed.
pub struct Venue {
    /// The server's process.
    pub pid: u32,
    /// Before the first request.
    pub idle: Usage,
    /// Where a publisher goes.
    pub push_url: String,
    /// None at a server of another make.
    pub room: Option<Room>,
}

/// The room of a server that ends with the measurement.
pub struct Room {
    /// Its API.
    pub api: Api,
    /// Who made it.
    pub anchor: Session,
    /// The app's keys.
    pub keys: Keys,
    _server: Server,
}

impl Venue {
    /// Starts a server and enters a room of its, as a client does. Gives what `get_pushers` says of the room, too.
    pub fn open(setup: &Setup, workspace: &Workspace) -> Result<(Self, Value), Failure> {
        let keys = Keys::generate()?;
        let config = keys.write_config_with(workspace, SETTINGS)?;
        let server = Server::roomservice(setup, workspace, Some(&config))?;
        sleep(Duration::from_secs(1));
        let idle = server.process.usage()?;
        let pid = server.process.id();
        let api = Api { address: server.http, kind: "live_room" };
        let sessions = api.sessions(&keys, ["anchor".to_owned()])?;
        let urls = api.enter_rooms(&sessions, |_| ROOM.to_owned())?;
        let anchor = sessions.into_iter().next().ok_or("nobody is logged in")?;
        let push_url = urls.into_iter().next().ok_or("no push URL")?;
        let pushers = api.ask(&api.get_pushers(&anchor, ROOM))?;
        let room = Room { api, anchor, keys, _server: server };
        Ok((Venue { pid, idle, push_url, room: Some(room) }, pushers))
    }
}

/// A text in an answer; empty, where there is none.
pub fn text(answer: &Value, pointer: &str) -> String {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
