//! The settings of `[webrtc]`: what can be wrong about them, and what the media server is started with. Knows no calls.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use sign::Secret;

use crate::lan::is_private;
use crate::said::{Said, said};

/// `[webrtc]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether browsers can push and play by WebRTC.
    pub enabled: bool,
    /// The one UDP port of all sessions.
    pub listen: SocketAddr,
    /// ICE over TCP, for networks that let no UDP through: an address, `same` for that of `listen`, or empty for none.
    pub listen_tcp: String,
    /// Addresses that browsers find this server at; empty: the one of the default route.
    pub public: Vec<IpAddr>,
    /// STUN and TURN servers that browsers are given, as URLs.
    pub ice_servers: Vec<String>,
    /// The secret that the TURN servers share (`static-auth-secret` of coturn): clients are given credentials for a day.
    pub turn_secret: Secret,
    /// Most streams with B-frames at a time that are made into renditions without for viewers by WebRTC; 0: none.
    pub renditions: usize,
}

/// `webrtc.listen_tcp`: the address and port number of `webrtc.listen`.
const SAME: &str = "same";

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            listen_tcp: SAME.into(),
            public: Vec::new(),
            ice_servers: Vec::new(),
            turn_secret: Secret::default(),
            renditions: 0,
        }
    }
}

impl Settings {
    pub(crate) fn problems(&self, found: &mut Vec<String>) {
        if !["", SAME].contains(&&*self.listen_tcp) && self.listen_tcp.parse::<SocketAddr>().is_err() {
            found.push(format!(
                "webrtc.listen_tcp = \"{}\" must be address:port, such as \"0.0.0.0:8000\", or \"same\", or empty",
                self.listen_tcp
            ));
        }
        for address in self.public.iter().filter(|address| leads_nowhere(address)) {
            found.push(format!(
                "webrtc.public: {address} is no address that a browser can send to, such as \"203.0.113.7\" is"
            ));
        }
        for url in self.ice_servers.iter().filter(|u| !["stun:", "turn:", "turns:"].iter().any(|s| u.starts_with(s))) {
            found.push(format!("webrtc.ice_servers: \"{url}\" must begin with stun:, turn: or turns:, such as \"stun:stun.example.com:3478\""));
        }
    }

    /// What the media server is started with.
    #[must_use]
    pub fn config(&self) -> media::rtc::Config {
        let mut config = media::rtc::Config::default();
        config.udp = self.listen;
        config.tcp_optional = self.listen_tcp == SAME;
        config.tcp = if config.tcp_optional { Some(self.listen) } else { self.listen_tcp.parse().ok() };
        config.public.clone_from(&self.public);
        if config.public.is_empty() && !self.listen.ip().is_unspecified() {
            config.public.push(self.listen.ip());
        }
        config
    }

    /// The same in development, where only this machine is served: also at an address that Firefox sends to.
    #[must_use]
    pub fn local_config(&self) -> media::rtc::Config {
        let mut config = self.config();
        if self.public.is_empty() && self.listen.ip() == Ipv4Addr::LOCALHOST {
            config.local_only = true;
            config.udp.set_ip(Ipv4Addr::UNSPECIFIED.into());
            config.public.clear();
        }
        config
    }

    /// The same for a private network, at the address that this machine has in it, and at no other.
    #[must_use]
    pub fn lan_config(&self, address: IpAddr) -> media::rtc::Config {
        let mut config = self.config();
        config.udp.set_ip(address);
        config.tcp = config.tcp.map(|tcp| SocketAddr::new(address, tcp.port()));
        config.public = vec![address];
        config
    }
}

/// What to do about an address that browsers are told and do not reach.
pub(crate) fn cure() -> Said {
    said!("set webrtc.public to the address at which clients reach this machine, such as [\"203.0.113.7\"]")
}

/// What there is to say of an address of a private network that browsers are told, and the cure. A machine whose address the
/// cloud or a bridge translates has no other.
pub(crate) fn of_private(address: IpAddr) -> Option<[Said; 2]> {
    is_private(address).then(|| {
        let seen =
            said!("{address} is of a private network: browsers on the internet do not reach it", address = address);
        [seen, said!("{cure}, unless all clients are in that network").holding("cure", cure())]
    })
}

/// An address that no client can send anything to.
fn leads_nowhere(address: &IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast() || *address == IpAddr::from([255, 255, 255, 255])
}
