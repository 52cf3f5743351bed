//! The door of the room protocol: the parts that its calls work with, and the settings that they look at.

use std::sync::Arc;

use access::bans::Bans;
use access::identity::Identity;
use access::operator::Operators;
use access::sessions::Sessions;
use rooms::Rooms;
use rooms::recordings::Listed;
use store::Store;
use streams::live::{Live, Urls};

use crate::http::checks::Checks;
use crate::web::Web;

/// What calls of the room protocol work with.
pub struct Weapp {
    /// What every request needs.
    pub web: Arc<Web>,
    /// Rooms.
    pub rooms: Arc<Rooms>,
    /// Push and play URLs.
    pub urls: Arc<Urls>,
    /// The live service, which mixes.
    pub live: Arc<dyn Live>,
    /// User signatures.
    pub identity: Arc<Identity>,
    /// Session tokens.
    pub sessions: Arc<Sessions>,
    /// Who is kept out.
    pub bans: Arc<Bans>,
    /// Operators, whom `utils` answers.
    pub operators: Arc<Operators>,
    /// Where sessions that ended are kept, and who agreed to be mixed with whom.
    pub store: Arc<dyn Store>,
    /// Chat in this process, which ends with a session.
    pub chat: Arc<chat::Hub>,
    /// What `check_config` asks.
    pub checks: Checks,
    /// Settings that calls look at.
    pub choices: Choices,
}

/// Settings that calls of the room protocol look at.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    /// A proxy in front does TLS, and what it says of the client's request is believed.
    pub tls_by_proxy: bool,
    /// Every caller may call `webrtc_room`.
    pub open_webrtc: bool,
    /// The number that names of streams begin with.
    pub bizid: u32,
    /// Whose a stream is, is kept: somebody may tell of it, or record it.
    pub keep_owners: bool,
    /// Which finished recordings members may list.
    pub listed: Listed,
    /// Clients of 2017 are answered, on this machine.
    pub generation0: bool,
    /// Development mode also serves a private network.
    pub lan: bool,
    /// Members may mix streams of rooms that are kept elsewhere.
    pub mix_elsewhere: bool,
}
