//! Whether the addresses of the settings lead where they should: no two listeners at one place, and none that clients
//! are given and cannot reach. Looks at settings, and asks the system for its route.

use std::net::{IpAddr, SocketAddr};

use super::{Mode, Settings};
use crate::webrtc;

/// A listener: its setting, and where it listens.
pub(super) struct Listens {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    datagrams: bool,
}

/// Everything that listens with these settings.
pub(super) fn listeners(settings: &Settings) -> Vec<Listens> {
    let tcp = |name, address| Listens { name, address, datagrams: false };
    let mut all = vec![tcp("http.listen", settings.http.listen)];
    all.extend(settings.rtmp.enabled.then_some(tcp("rtmp.listen", settings.rtmp.listen)));
    let udp = Listens { name: "webrtc.listen", address: settings.webrtc.listen, datagrams: true };
    all.extend(settings.webrtc.enabled.then_some(udp));
    let more = [
        ("webrtc.listen_tcp", &settings.webrtc.listen_tcp),
        ("metrics.listen", &settings.metrics.listen),
        ("tls.rtmps_listen", &settings.tls.rtmps_listen),
        ("tls.redirect_listen", &settings.tls.redirect_listen),
        ("nodes.listen", &settings.nodes.listen),
    ];
    all.extend(more.into_iter().filter_map(|(name, listen)| Some(tcp(name, listen.parse().ok()?))));
    all
}

/// Pairs of listeners that cannot both listen. Port 0 is any that is free.
pub(super) fn collisions(listeners: &[Listens], found: &mut Vec<String>) {
    let meet = |a: &Listens, b: &Listens| {
        let everywhere = a.address.ip().is_unspecified() || b.address.ip().is_unspecified();
        let same = a.address.port() == b.address.port() && a.address.port() != 0;
        same && a.datagrams == b.datagrams && (everywhere || a.address.ip() == b.address.ip())
    };
    for (at, one) in listeners.iter().enumerate() {
        for other in listeners[at + 1..].iter().filter(|other| meet(one, other)) {
            let address = other.address;
            let free = other.address.port() ^ 1;
            found.push(format!(
                "{} = \"{address}\": {} has that port; give it another, such as \"{}:{free}\"",
                other.name,
                one.name,
                if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() }
            ));
        }
    }
}

/// What works and is hardly meant.
pub(super) fn warnings(settings: &Settings, found: &mut Vec<String>) {
    if settings.mode != Mode::Production || !settings.webrtc.enabled {
        return;
    }
    let public = media::rtc::advertised(&settings.webrtc.config(), settings.webrtc.listen);
    if public.iter().all(IpAddr::is_loopback) {
        found.push(format!(
            "webrtc: browsers elsewhere are told to send to {}, which is their own machine; set webrtc.listen = \"0.0.0.0:8000\" and webrtc.public = [\"203.0.113.7\"] with this server's address, or webrtc.enabled = false",
            public[0]
        ));
    } else if settings.webrtc.listen.ip().is_loopback() {
        found.push(format!(
            "webrtc.listen = \"{}\" is reached from this machine only; browsers elsewhere need \"0.0.0.0:{}\"",
            settings.webrtc.listen,
            settings.webrtc.listen.port()
        ));
    } else if settings.webrtc.public.is_empty()
        && let Some(told) = public.iter().map(|address| webrtc::of_private(*address)).collect::<Option<Vec<_>>>()
    {
        found.extend(told.into_iter().map(|[seen, cure]| format!("webrtc: {seen}; {cure}")));
    }
}
