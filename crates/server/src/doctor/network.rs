//! Whether what is advertised leads here: the addresses that browsers are given, against those of this machine, and a loop
//! through each by TCP and UDP. Listens itself where no server does.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::verdict::Verdict;
use crate::config::{Mode, Settings};
use crate::said::{Said, said};
use crate::webrtc::{cure, of_private};
use media::rtc::Server as Webrtc;
use streams::live;

/// How long a loop may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams that are sent: one may be lost.
const TRIES: usize = 3;

/// A port, and by what name it is advertised.
struct Advertised {
    /// What comes there.
    what: &'static str,
    /// The setting that says where it listens.
    setting: &'static str,
    listen: SocketAddr,
    /// `host:port`.
    at: Vec<String>,
}

/// What came of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Looped {
    /// It came.
    Came,
    /// It did not come.
    Lost,
    /// Another answered.
    Other,
    /// A program has the port that cannot be asked.
    Busy,
    /// It cannot be listened or sent there.
    Not(String),
}

/// Looks at all of it.
pub async fn look(settings: &Settings, webrtc: Option<&Webrtc>) -> Vec<Verdict> {
    let own = own_addresses();
    let mut found = Vec::new();
    // What the running server says is what it bound: with --lan, or where another had the port, not what is configured.
    let udp_at = match webrtc {
        Some(webrtc) => webrtc.advertised().0.to_vec(),
        None => at_port(&public(settings), settings.webrtc.listen.port()),
    };
    let listen = webrtc.map_or(settings.webrtc.listen, Webrtc::udp_addr);
    let public: Vec<IpAddr> = udp_at.iter().map(SocketAddr::ip).collect();
    if settings.webrtc.enabled {
        found.extend(public.iter().map(|address| judge_address(*address, &own, settings.mode)));
    }
    for one in advertised(settings, &public, webrtc) {
        found.extend(tcp(&one, &own).await);
    }
    if settings.webrtc.enabled {
        for to in udp_at {
            found.push(judge_udp(to, own.contains(&to.ip()), &udp(listen, to, webrtc).await));
        }
    }
    found
}

/// This machine's addresses.
fn own_addresses() -> BTreeSet<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter().map(|interface| interface.ip()).collect()
}

fn at_port(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
}

/// Where browsers are told to send media.
fn public(settings: &Settings) -> Vec<IpAddr> {
    let config = match settings.mode {
        Mode::Development => settings.webrtc.local_config(),
        Mode::Production => settings.webrtc.config(),
    };
    media::rtc::advertised(&config, settings.webrtc.listen)
}

fn judge_address(address: IpAddr, own: &BTreeSet<IpAddr>, mode: Mode) -> Verdict {
    const NAME: &str = "address";
    if mode == Mode::Development {
        return Verdict::ok(NAME, Said::plain(format!("{address}: development mode serves this machine")));
    }
    if address.is_loopback() {
        return Verdict::fail(
            NAME,
            said!("browsers are told to send to {address}, which is their own machine", address = address),
            cure(),
        );
    }
    if let Some([seen, cure]) = of_private(address) {
        return Verdict::warn(NAME, seen, cure);
    }
    if own.contains(&address) {
        return Verdict::ok(NAME, Said::plain(format!("{address} is this machine's")));
    }
    let seen = format!("{address} is on no interface here: a router or the cloud leads it to this machine");
    Verdict::ok(NAME, Said::plain(seen))
}

/// What is advertised besides UDP.
fn advertised(settings: &Settings, public: &[IpAddr], webrtc: Option<&Webrtc>) -> Vec<Advertised> {
    let named = |host: &str, port: u16| {
        let has_port = host.parse::<SocketAddr>().is_ok()
            || host.rsplit_once(':').is_some_and(|(name, port)| !name.contains(':') && port.parse::<u16>().is_ok());
        if has_port { host.to_owned() } else { format!("{host}:{port}") }
    };
    // A client that comes by another name is given that one: here nothing but the listener can be looked at.
    let here = |listen: SocketAddr| {
        let ip = if listen.ip().is_unspecified() { public.first().copied() } else { Some(listen.ip()) };
        ip.map_or_else(Vec::new, |ip| vec![SocketAddr::new(ip, listen.port()).to_string()])
    };
    let embedded = settings.live.provider == live::Provider::Embedded;
    let mut all = Vec::new();
    let https = settings.tls.is_on() || settings.http.tls_by_proxy;
    let http = &settings.http.listen;
    let front = if settings.http.tls_by_proxy { 443 } else { http.port() };
    all.push(Advertised {
        what: if https { "https" } else { "http" },
        setting: "http.listen",
        listen: *http,
        at: match settings.live.play_host.as_str() {
            host if embedded && !host.is_empty() => vec![named(host, front)],
            _ => here(*http),
        },
    });
    if settings.rtmp.enabled && embedded {
        let listen = settings.rtmp.listen;
        let host = &settings.live.push_host;
        let at = if host.is_empty() { here(listen) } else { vec![named(host, listen.port())] };
        all.push(Advertised { what: "rtmp", setting: "rtmp.listen", listen, at });
    }
    let over_tcp = match webrtc {
        Some(webrtc) => webrtc.tcp_addr().map(|listen| (listen, webrtc.advertised().1.to_vec())),
        None => {
            let listen = settings.webrtc.config().tcp.filter(|_| settings.webrtc.enabled);
            listen.map(|listen| (listen, at_port(public, listen.port())))
        }
    };
    if let Some((listen, at)) = over_tcp {
        let at = at.iter().map(SocketAddr::to_string).collect();
        all.push(Advertised { what: "webrtc", setting: "webrtc.listen_tcp", listen, at });
    }
    all
}

/// Whether a server has the address at which this program must not listen. Whoever may not have a port below 1024 is told so
/// before the system looks whether the port is free.
async fn is_held(why: &io::Error, listen: SocketAddr) -> bool {
    if why.kind() != io::ErrorKind::PermissionDenied {
        return why.kind() == io::ErrorKind::AddrInUse;
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    matches!(timeout(PATIENCE, TcpStream::connect((ip, listen.port()))).await, Ok(Ok(_)))
}

/// Loops through each of its names.
async fn tcp(one: &Advertised, own: &BTreeSet<IpAddr>) -> Vec<Verdict> {
    // Where a server runs, it answers.
    let held = match TcpListener::bind(one.listen).await {
        Ok(listener) => Some(listener),
        Err(why) if is_held(&why, one.listen).await => None,
        Err(why) => return vec![judge_tcp(one, &one.listen.to_string(), true, &Looped::Not(why.to_string()))],
    };
    let ours = held.is_some();
    let accepted = AtomicUsize::new(0);
    let accepting = async {
        match &held {
            Some(listener) => loop {
                let _ = listener.accept().await;
                accepted.fetch_add(1, Ordering::Relaxed);
            },
            None => std::future::pending::<()>().await,
        }
    };
    let asking = async {
        let mut found = Vec::new();
        for at in &one.at {
            let named = timeout(PATIENCE, tokio::net::lookup_host(at)).await.map_err(io::Error::from);
            let (own, looped) = match named.and_then(|found| found).map(|mut found| found.next()) {
                Ok(Some(to)) => {
                    let before = accepted.load(Ordering::Relaxed);
                    let connected = timeout(PATIENCE, TcpStream::connect(to)).await;
                    let came = async {
                        while accepted.load(Ordering::Relaxed) == before {
                            tokio::time::sleep(PATIENCE / 100).await;
                        }
                    };
                    let looped = match connected {
                        // A proxy in front has a port of its own.
                        Ok(Ok(_))
                            if ours && to.port() == one.listen.port() && timeout(PATIENCE / 4, came).await.is_err() =>
                        {
                            Looped::Other
                        }
                        Ok(Ok(_)) => Looped::Came,
                        _ => Looped::Lost,
                    };
                    (own.contains(&to.ip()), looped)
                }
                Ok(None) => (false, Looped::Not("the name leads nowhere".into())),
                Err(why) => (false, Looped::Not(format!("the name is not found: {why}"))),
            };
            found.push(judge_tcp(one, at, own, &looped));
        }
        found
    };
    tokio::select! {
        found = asking => found,
        () = accepting => Vec::new(),
    }
}

fn judge_tcp(one: &Advertised, at: &str, own: bool, looped: &Looped) -> Verdict {
    const NAME: &str = "tcp";
    let Advertised { what, setting, listen, .. } = one;
    let port = at.rsplit(':').next().unwrap_or_default();
    match looped {
        Looped::Came => Verdict::ok(NAME, Said::plain(format!("{what}: {at} answers"))),
        Looped::Not(why) if at == listen.to_string() => Verdict::fail(
            NAME,
            said!("{what}: {at} cannot be listened at: {why}", what = what, at = at, why = why),
            said!(
                "give {setting} an address of this machine; below 1024 a program needs AmbientCapabilities=CAP_NET_BIND_SERVICE",
                setting = setting
            ),
        ),
        Looped::Not(why) => Verdict::fail(
            NAME,
            said!("{what}: {at}: {why}", what = what, at = at, why = why),
            said!("let the name's DNS record lead to this machine, or change live.pushHost and live.playHost"),
        ),
        Looped::Other => Verdict::warn(
            NAME,
            said!(
                "{what}: something else answers at {at}: what is sent there does not come here",
                what = what,
                at = at
            ),
            said!(
                "let the router, the cloud or the proxy at that address lead TCP {port} to this machine, or change the address",
                port = port
            ),
        ),
        _ if own => Verdict::fail(
            NAME,
            said!("{what}: {at} does not answer, and it is this machine's", what = what, at = at),
            said!(
                "open TCP {port} in this machine's firewall (nft list ruleset), or listen there: {setting} is {listen}",
                port = port,
                setting = setting,
                listen = listen
            ),
        ),
        _ => Verdict::warn(
            NAME,
            said!("{what}: {at} does not answer from here", what = what, at = at),
            said!(
                "let the router or the cloud lead TCP {port} to this machine. Some lead nothing back that comes from inside: then try from elsewhere, nc -vz {at}",
                port = port,
                at = at.replace(':', " ")
            ),
        ),
    }
}

/// Sends through an advertised address, and looks whether it comes.
async fn udp(listen: SocketAddr, to: SocketAddr, webrtc: Option<&Webrtc>) -> Looped {
    let here: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let sends = async |request: &[u8]| UdpSocket::bind((here, 0)).await?.send_to(request, to).await;
    if let Some(webrtc) = webrtc {
        let own = webrtc.look_out(sign::fresh_id());
        for _ in 0..TRIES {
            if let Err(why) = sends(&own.request()).await {
                return Looped::Not(why.to_string());
            }
            tokio::time::sleep(PATIENCE / 8).await;
            if own.came() {
                return Looped::Came;
            }
        }
        return Looped::Lost;
    }
    let socket = match UdpSocket::bind(listen).await {
        Ok(socket) => socket,
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => return Looped::Busy,
        Err(why) => return Looped::Not(why.to_string()),
    };
    for _ in 0..TRIES {
        let sent = sign::fresh_id().to_be_bytes();
        if let Err(why) = sends(&sent).await {
            return Looped::Not(why.to_string());
        }
        let comes = async {
            let mut buffer = [0; 256];
            while !socket.recv(&mut buffer).await.is_ok_and(|n| buffer[..n] == sent) {}
        };
        if timeout(PATIENCE / 4, comes).await.is_ok() {
            return Looped::Came;
        }
    }
    Looped::Lost
}

fn judge_udp(to: SocketAddr, own: bool, looped: &Looped) -> Verdict {
    const NAME: &str = "udp";
    let port = to.port();
    match looped {
        Looped::Came => Verdict::ok(NAME, Said::plain(format!("webrtc: what is sent to {to} comes"))),
        Looped::Busy => Verdict::ok(
            NAME,
            Said::plain(format!(
                "webrtc: UDP {port} is in use, by the running server most likely; its console tries the loop"
            )),
        ),
        Looped::Not(why) => Verdict::fail(
            NAME,
            said!("{what}: {at}: {why}", what = "webrtc", at = to, why = why),
            said!("give webrtc.listen an address of this machine, and webrtc.public one that it reaches"),
        ),
        Looped::Lost if own => Verdict::fail(
            NAME,
            said!("webrtc: what is sent to {to} does not come, and it is this machine's", to = to),
            said!(
                "open UDP {port} in this machine's firewall (nft list ruleset), or let webrtc.listen be 0.0.0.0:{port}",
                port = port
            ),
        ),
        Looped::Lost | Looped::Other => Verdict::warn(
            NAME,
            said!("webrtc: what is sent to {to} does not come back", to = to),
            said!(
                "let the router or the cloud lead UDP {port} to this machine. Some lead nothing back that comes from inside: then try a call from elsewhere",
                port = port
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::{Level, is};
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_lead_nowhere_are_told() {
        let own = BTreeSet::from([ip("203.0.113.7"), ip("10.0.0.4"), ip("127.0.0.1")]);
        let judge = |address| judge_address(ip(address), &own, Mode::Production);
        is(&judge("203.0.113.7"), Level::Ok, "is this machine's", "");
        is(&judge("198.51.100.1"), Level::Ok, "on no interface here", "");
        is(&judge("10.0.0.4"), Level::Warn, "private network", "set webrtc.public");
        is(&judge("127.0.0.1"), Level::Fail, "their own machine", "set webrtc.public");
    }

    #[tokio::test]
    async fn what_does_not_come_by_tcp_has_a_cure() {
        let own = BTreeSet::from([ip("127.0.0.1"), ip("127.0.0.2")]);
        let one = |at: String| Advertised {
            what: "rtmp",
            setting: "rtmp.listen",
            listen: "127.0.0.1:0".parse().unwrap(),
            at: vec![at],
        };
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        is(&tcp(&one(at.to_string()), &own).await[0], Level::Ok, "answers", "");
        let elsewhere = SocketAddr::new(ip("127.0.0.2"), at.port()).to_string();
        is(
            &tcp(&one(elsewhere.clone()), &own).await[0],
            Level::Fail,
            "does not answer",
            &format!("open TCP {}", at.port()),
        );
        is(&judge_tcp(&one(elsewhere.clone()), &elsewhere, false, &Looped::Lost), Level::Warn, "from here", "nc -vz");
        let of_another = Advertised { listen: SocketAddr::new(ip("127.0.0.2"), at.port()), ..one(at.to_string()) };
        is(&tcp(&of_another, &own).await[0], Level::Warn, "something else answers", "lead TCP");
        is(&tcp(&one("no-such-name.invalid:1935".into()), &own).await[0], Level::Fail, "not found", "DNS record");
        let foreign = Advertised { listen: "203.0.113.7:1935".parse().unwrap(), ..one(String::new()) };
        is(&tcp(&foreign, &own).await[0], Level::Fail, "cannot be listened at", "rtmp.listen");
    }

    #[tokio::test]
    async fn a_port_that_only_others_may_have_is_in_use_where_it_answers() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        for listen in [at, SocketAddr::new(ip("0.0.0.0"), at.port())] {
            assert!(is_held(&refused, listen).await, "{listen}");
        }
        drop(server);
        assert!(!is_held(&refused, at).await);
        assert!(is_held(&io::ErrorKind::AddrInUse.into(), at).await);
        assert!(!is_held(&io::ErrorKind::AddrNotAvailable.into(), at).await);
    }

    fn running() -> (tokio_util::sync::CancellationToken, Webrtc) {
        let udp = "127.0.0.1:0".parse().unwrap();
        let mut config = media::rtc::Config::default();
        config.udp = udp;
        config.tcp = None;
        config.workers = 1;
        let hub = media::Hub::new(media::hub::Settings::default());
        let (requests, _) = media::request::channel(1, PATIENCE);
        let stop = tokio_util::sync::CancellationToken::new();
        (stop.clone(), Webrtc::start(config, hub, requests, stop).unwrap())
    }

    #[tokio::test]
    async fn what_does_not_come_by_udp_has_a_cure() {
        let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(udp(free, free, None).await, Looped::Came);
        let elsewhere = SocketAddr::new(ip("127.0.0.2"), free.port());
        let lost = udp(free, elsewhere, None).await;
        is(&judge_udp(elsewhere, true, &lost), Level::Fail, "does not come", "0.0.0.0");
        is(&judge_udp(elsewhere, false, &lost), Level::Warn, "does not come back", "lead UDP");
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        is(&judge_udp(at, true, &udp(at, at, None).await), Level::Ok, "its console tries", "");
        let (stop, webrtc) = running();
        let bound = webrtc.udp_addr();
        assert_eq!(udp(bound, bound, Some(&webrtc)).await, Looped::Came);
        // What strangers send meanwhile says nothing of the way through the advertised address.
        let noise = async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            loop {
                socket.send_to(b"\0\x01\0\0\x21\x12\xa4\x42twelve bytes", bound).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            looped = udp(bound, at, Some(&webrtc)) => assert_eq!(looped, Looped::Lost),
            () = noise => {}
        }
        assert!(webrtc.counters().strangers.load(Ordering::Relaxed) > 10);
        // Where it listens is what it says, and not what is configured.
        let mut settings = Settings::default();
        settings.webrtc.listen = elsewhere;
        let found = look(&settings, Some(&webrtc)).await;
        let said: Vec<_> = found.iter().filter(|verdict| verdict.check == "udp").collect();
        assert!(
            matches!(said[..], [one] if one.seen.to_string().contains(&bound.to_string()) && one.level == Level::Ok),
            "{said:?}"
        );
        stop.cancel();
        let foreign = "203.0.113.7:8000".parse().unwrap();
        is(&judge_udp(foreign, true, &udp(foreign, foreign, None).await), Level::Fail, "203.0.113.7", "webrtc.listen");
    }
}
