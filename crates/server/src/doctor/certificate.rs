//! The certificate: what this server has, and what clients are shown at the address that they are given, be it by a proxy in
//! front.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::verdict::{Level, Verdict};
use crate::config::Settings;
use crate::said::{Said, said};
use edge::look::{Shown, shown};
use edge::tls::{Certificate, Term};
use store::clock::{Clock, System};
use streams::live::Provider;

const NAME: &str = "certificate";
const DAY: u64 = 24 * 60 * 60;
/// How long a connection and its handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at all of it.
pub async fn look(settings: &Settings) -> Vec<Verdict> {
    let tls = &settings.tls;
    if !tls.is_on() && !settings.http.tls_by_proxy {
        return vec![Verdict::ok(NAME, Said::plain("not used"))];
    }
    let mut found = Vec::new();
    if tls.is_on() {
        found.push(own(settings));
    }
    for (what, host, port) in addresses(settings) {
        let at = format!("{what}://{host}:{port}");
        match (seen(&host, port).await, tls.is_on()) {
            // Nobody serves while this looks at the settings of a server that does not run.
            (Seen::Nobody(why), true) => {
                let seen = format!("not looked at: {at} does not answer from here ({why})");
                found.push(Verdict::ok(NAME, Said::plain(seen)));
            }
            (Seen::Nobody(why), false) => found.push(Verdict::warn(
                NAME,
                said!("not looked at: {at} does not answer from here ({why})", at = at, why = why),
                said!(
                    "try from elsewhere: openssl s_client -connect {host}:{port} -servername {host}",
                    host = host,
                    port = port
                ),
            )),
            (Seen::NoTls(why), _) => found.push(Verdict::fail(
                NAME,
                said!("{at} answers, and not by TLS: {why}", at = at, why = why),
                said!("let what is in front do TLS at that port (deploy/nginx.conf does), or change the address"),
            )),
            (Seen::Shown(shown), _) => found.push(judge_shown(&at, &host, &shown, System.now().0 / 1000)),
        }
    }
    if found.is_empty() {
        let seen = "not looked at: no setting says by what name the proxy in front is reached (live.playHost)";
        found.push(Verdict::ok(NAME, Said::plain(seen)));
    }
    found
}

/// What clients are told to come to by TLS: scheme, host and port.
fn addresses(settings: &Settings) -> Vec<(&'static str, String, u16)> {
    if settings.live.provider != Provider::Embedded {
        return Vec::new();
    }
    let split = |host: &str, usual: u16| match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => Some((name.to_owned(), port.parse().ok()?)),
        _ => (!host.is_empty()).then(|| (host.to_owned(), usual)),
    };
    let own = if settings.tls.is_on() { settings.http.listen.port() } else { 443 };
    let front = if settings.http.tls_by_proxy { 443 } else { own };
    let https = split(&settings.live.play_host, front).map(|(host, port)| ("https", host, port));
    let rtmps = settings.tls.rtmps_listen.parse().ok().map(|listen: std::net::SocketAddr| listen.port());
    let rtmps = rtmps.and_then(|port| split(&settings.live.push_host, port)).map(|(host, port)| ("rtmps", host, port));
    https.into_iter().chain(rtmps).collect()
}

/// What came of a look.
enum Seen {
    /// A certificate.
    Shown(Shown),
    /// Something that speaks no TLS.
    NoTls(io::Error),
    /// Nothing.
    Nobody(io::Error),
}

async fn seen(host: &str, port: u16) -> Seen {
    let connected = timeout(PATIENCE, TcpStream::connect((host, port))).await;
    let socket = match connected.map_err(io::Error::from).and_then(|connected| connected) {
        Ok(socket) => socket,
        Err(why) => return Seen::Nobody(why),
    };
    match timeout(PATIENCE, shown(socket, host)).await.map_err(io::Error::from).and_then(|shown| shown) {
        Ok(shown) => Seen::Shown(shown),
        Err(why) => Seen::NoTls(why),
    }
}

/// What clients are shown at this address.
fn judge_shown(at: &str, host: &str, shown: &Shown, now: u64) -> Verdict {
    let renew =
        said!("renew it where TLS is done (certbot renew), and let that read it again (systemctl reload nginx)");
    let judged = match &shown.term {
        Some(term) => judge_certificate(term, &BTreeSet::from([host]), now, renew),
        None => Verdict::ok(NAME, said!("it cannot be read")),
    };
    let judged = match shown {
        _ if judged.level == Level::Fail => judged,
        Shown { wrong: Some(wrong), .. } => {
            let seen = said!("clients refuse it: {wrong}", wrong = wrong);
            Verdict::fail(NAME, seen, said!("order one for this name at an authority"))
        }
        Shown { known: false, .. } => Verdict::fail(
            NAME,
            said!("{seen}; no authority that browsers know has signed it").holding("seen", judged.seen),
            said!(
                "send the whole chain (fullchain.pem, not cert.pem), or order one at an authority, such as Let's Encrypt; all is well where every client was told of yours"
            ),
        ),
        Shown { .. } => judged,
    };
    Verdict { seen: said!("{at}: {seen}", at = at).holding("seen", judged.seen), ..judged }
}

/// The certificate of this server: its time and its names.
fn own(settings: &Settings) -> Verdict {
    let tls = &settings.tls;
    let now = System.now().0 / 1000;
    let hosts: BTreeSet<&str> = [&settings.live.play_host, &settings.live.push_host]
        .into_iter()
        .map(|host| host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name))
        .chain(tls.acme.domains.iter().map(String::as_str))
        .filter(|host| !host.is_empty())
        .collect();
    if tls.acme.is_on() {
        return match edge::acme::kept_term(&tls.acme, &settings.data_dir) {
            Ok(Some(term)) => {
                judge_certificate(&term, &hosts, now, said!("it renews itself: the log says why it does not"))
            }
            Ok(None) => Verdict::warn(
                NAME,
                said!("none is there yet for {names}", names = tls.acme.domains.join(", ")),
                said!(
                    "start the server; the names must lead to it, and port 443 or 80 (tls.redirect_listen) must be open to the authority"
                ),
            ),
            Err(why) => {
                let cure = said!("remove that file: another certificate is ordered at the start");
                Verdict::fail(NAME, said!("{why}", why = why), cure)
            }
        };
    }
    match Certificate::open(tls) {
        Err(why) => Verdict::fail(
            NAME,
            said!("{why}", why = why),
            said!("let tls.certificate and tls.key be PEM files that belong together, readable by the server's user"),
        ),
        Ok(open) => match open.term() {
            None => Verdict::warn(NAME, said!("its time and names cannot be read"), said!("make it anew")),
            Some(term) => {
                judge_certificate(&term, &hosts, now, said!("renew it; new files are taken without a restart"))
            }
        },
    }
}

fn judge_certificate(term: &Term, hosts: &BTreeSet<&str>, now: u64, renew: Said) -> Verdict {
    if term.until <= now {
        return Verdict::fail(NAME, said!("it ended {days} days ago", days = (now - term.until) / DAY), renew);
    }
    if term.from > now {
        return Verdict::fail(NAME, said!("its time has not begun"), said!("set this machine's clock, or wait"));
    }
    let covered = |host: &str| {
        let wild = host.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        host.parse::<std::net::IpAddr>().is_ok()
            || term.names.iter().any(|name| name.eq_ignore_ascii_case(host) || Some(name) == wild.as_ref())
    };
    let missing: Vec<_> = hosts.iter().copied().filter(|host| !covered(host)).collect();
    let names = if term.names.is_empty() { "–".to_owned() } else { term.names.join(", ") };
    if !missing.is_empty() {
        let seen = said!("it is for {names}, and not for {missing}", names = names, missing = missing.join(", "));
        return Verdict::fail(NAME, seen, said!("order one with all names, or change live.playHost and live.pushHost"));
    }
    let days = (term.until - now) / DAY;
    let seen = said!("for {names} and {days} days", names = names, days = days);
    if days < 14 { Verdict::warn(NAME, seen, renew) } else { Verdict::ok(NAME, seen) }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::is;
    use super::*;

    #[test]
    fn certificates_that_end_or_are_for_others_are_told() {
        let now = 1_800_000_000;
        let term = |from, until| Term { from, until, names: vec!["a.example.com".into(), "*.b.example.com".into()] };
        let judge = |from, until, hosts: &[&str]| {
            judge_certificate(&term(from, until), &hosts.iter().copied().collect(), now, Said::plain("renew it"))
        };
        is(&judge(0, now + 90 * DAY, &["a.example.com", "x.b.example.com", "192.0.2.1"]), Level::Ok, "90 days", "");
        is(&judge(0, now + 3 * DAY, &[]), Level::Warn, "3 days", "renew it");
        is(&judge(0, now - DAY, &[]), Level::Fail, "ended 1 days ago", "renew it");
        is(&judge(now + DAY, now + 9 * DAY, &[]), Level::Fail, "not begun", "clock");
        is(&judge(0, now + 90 * DAY, &["x.y.b.example.com"]), Level::Fail, "not for x.y.b.example.com", "all names");
        let mut settings = Settings::default();
        settings.tls.certificate = "/no such file".into();
        is(&own(&settings), Level::Fail, "/no such file", "PEM files");
        settings.tls = Default::default();
        settings.tls.acme.domains = vec!["rooms.example.com".into()];
        settings.data_dir = "/no such directory".into();
        is(&own(&settings), Level::Warn, "none is there yet for rooms.example.com", "port 443");
    }

    #[test]
    fn what_clients_are_shown_is_judged() {
        let now = 1_800_000_000;
        let term = |until| Some(Term { from: 0, until, names: vec!["a.example.com".into()] });
        let judge = |shown: &Shown, host| judge_shown("https://a.example.com:443", host, shown, now);
        let good = Shown { term: term(now + 90 * DAY), known: true, wrong: None };
        let seen = judge(&good, "a.example.com");
        is(&seen, Level::Ok, "https://a.example.com:443: for a.example.com and 90 days", "");
        is(&judge(&good, "b.example.com"), Level::Fail, "not for b.example.com", "all names");
        let ends = Shown { term: term(now + 3 * DAY), ..good.clone() };
        is(&judge(&ends, "a.example.com"), Level::Warn, "3 days", "certbot renew");
        let alone = Shown { known: false, ..ends };
        is(&judge(&alone, "a.example.com"), Level::Fail, "no authority that browsers know", "fullchain.pem");
        let odd = Shown { wrong: Some("certificate revoked".into()), ..good };
        is(&judge(&odd, "a.example.com"), Level::Fail, "clients refuse it: certificate revoked", "order one");
    }

    #[tokio::test]
    async fn what_is_in_front_is_looked_at_or_that_is_said() {
        let mut settings = Settings::default();
        is(&look(&settings).await[0], Level::Ok, "not used", "");
        settings.http.tls_by_proxy = true;
        is(&look(&settings).await[0], Level::Ok, "not looked at: no setting says", "");
        // A port where nobody listens, one that speaks something else, and one that does TLS.
        settings.live.play_host = "127.0.0.1:1".into();
        is(&look(&settings).await[0], Level::Warn, "not looked at: https://127.0.0.1:1", "openssl s_client");
        let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        settings.live.play_host = plain.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = plain.accept().await.unwrap();
                let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        is(&look(&settings).await[0], Level::Fail, "answers, and not by TLS", "deploy/nginx.conf");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        settings.live.play_host = format!("localhost:{}", listener.local_addr().unwrap().port());
        let file = |name: &str| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moving/").to_owned() + name;
        let tls = edge::tls::Settings {
            certificate: file("cert.pem").into(),
            key: file("key.pem").into(),
            ..Default::default()
        };
        let tls = edge::tls::Tls::new(&Certificate::open(&tls).unwrap(), &[]).unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let _ = tls.accept(socket).await;
            }
        });
        let found = look(&settings).await;
        assert_eq!((found.len(), found[0].level), (1, Level::Fail), "{found:?}");
        assert!(found[0].seen.to_string().starts_with(&format!("https://{}: ", settings.live.play_host)), "{found:?}");
        assert!(!found[0].seen.to_string().contains("not by TLS"), "{found:?}");
    }
}
