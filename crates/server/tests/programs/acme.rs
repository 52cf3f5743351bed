//! Certificates that the server fetches itself, from a real authority that looks for real whether the names lead here: Pebble.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::kit::{Running, directory, roomservice, until};
use serde_json::json;
use testkit::bounded::program;

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// An authority, and a name server to which all names are this machine.
struct Authority {
    dir: PathBuf,
    directory: SocketAddr,
    management: SocketAddr,
    dns: u16,
}

impl Authority {
    /// Looks for proof at these ports, and gives certificates for so many seconds.
    fn configure(dir: &Path, [https, http]: [u16; 2], seconds: u32) -> Self {
        let directory = free();
        let management = free();
        let made = program("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority".split(' '))
            .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args([Path::new("-keyout"), &dir.join("directory.key"), Path::new("-out"), &dir.join("directory.pem")])
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let config = json!({ "pebble": {
            "listenAddress": directory.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": dir.join("directory.pem"),
            "privateKey": dir.join("directory.key"),
            "httpPort": http,
            "tlsPort": https,
            "certificateValidityPeriod": seconds,
        } });
        std::fs::write(dir.join("pebble.json"), config.to_string()).unwrap();
        Self { dir: dir.to_owned(), directory, management, dns: free().port() }
    }

    fn start(&self) -> [Running; 2] {
        let dns = format!("127.0.0.1:{}", self.dns);
        let names = program("pebble-challtestsrv")
            .args(["-dns01", &dns, "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .args(["-management", &free().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let authority = program("pebble")
            .args(["-strict", "-dnsserver", &dns, "-config"])
            .arg(self.dir.join("pebble.json"))
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_AUTHZREUSE", "0")])
            .stdout(std::fs::File::create(self.dir.join("pebble.out")).unwrap())
            .stderr(Stdio::null())
            .spawn();
        let running = [Running(names.unwrap()), Running(authority.unwrap())];
        until("the authority listens", || TcpStream::connect(self.management).is_ok());
        let root = program("curl").args(["-sSk", &format!("https://{}/roots/0", self.management)]).output();
        std::fs::write(self.dir.join("root.pem"), root.unwrap().stdout).unwrap();
        running
    }
}

/// Where a server listens.
struct Ports {
    https: SocketAddr,
    redirect: SocketAddr,
    metrics: SocketAddr,
}

impl Ports {
    fn new() -> Self {
        Self { https: free(), redirect: free(), metrics: free() }
    }

    fn proofs(&self) -> [u16; 2] {
        [self.https.port(), self.redirect.port()]
    }

    fn server(&self, dir: &Path, authority: &Authority, domains: &str, challenge: &str) -> Running {
        let child: Child = roomservice(dir)
            .env("ROOMSERVICE_HTTP__LISTEN", self.https.to_string())
            .env("ROOMSERVICE_METRICS__LISTEN", self.metrics.to_string())
            .env("ROOMSERVICE_RTMP__ENABLED", "false")
            .env("ROOMSERVICE_WEBRTC__ENABLED", "false")
            .env("ROOMSERVICE_TLS__REDIRECT_LISTEN", self.redirect.to_string())
            .env("ROOMSERVICE_TLS__ACME__DOMAINS", domains)
            .env("ROOMSERVICE_TLS__ACME__CONTACT", "operator@example.org")
            .env("ROOMSERVICE_TLS__ACME__TERMS_AGREED", "true")
            .env("ROOMSERVICE_TLS__ACME__DIRECTORY", format!("https://{}/dir", authority.directory))
            .env("ROOMSERVICE_TLS__ACME__DIRECTORY_CA", dir.join("directory.pem"))
            .env("ROOMSERVICE_TLS__ACME__CHALLENGE", challenge)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        until("it listens", || TcpStream::connect_timeout(&self.metrics, Duration::from_secs(1)).is_ok());
        Running(child)
    }

    /// Whether somebody who trusts the authority (or `trusting` nobody in particular) is served by this name.
    fn serves(&self, dir: &Path, name: &str, trusting: bool) -> bool {
        let port = self.https.port();
        let mut curl = program("curl");
        curl.args(["-s", "--max-time", "10", "--resolve", &format!("{name}:{port}:127.0.0.1")]);
        if trusting {
            curl.arg("--cacert").arg(dir.join("root.pem"));
        } else {
            curl.arg("-k");
        }
        let output = curl.arg(format!("https://{name}:{port}/healthz")).output().unwrap();
        output.status.success()
    }

    fn metric(&self, name: &str) -> u64 {
        let page = program("curl").args(["-s", &format!("http://{}/metrics", self.metrics)]).output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {page}")).parse().unwrap()
    }
}

const UNTIL: &str = "roomservice_tls_certificate_end_time_seconds";
const ISSUED: &str = "roomservice_acme_orders_total{outcome=\"issued\"}";
const FAILED: &str = "roomservice_acme_orders_total{outcome=\"failed\"}";

#[test]
fn a_certificate_comes_when_the_authority_does_and_is_renewed() {
    let dir = directory();
    let ports = Ports::new();
    let authority = Authority::configure(&dir, ports.proofs(), 12);
    let _server = ports.server(&dir, &authority, "live.example.org", "tls-alpn-01");
    // The authority is away: the server serves, with a certificate of its own.
    until("the first order fails", || ports.metric(FAILED) > 0);
    assert!(ports.serves(&dir, "live.example.org", false));
    assert_eq!((ports.metric(UNTIL), ports.metric(ISSUED)), (0, 0));
    let said = crate::kit::said(&dir);
    assert!(said.contains("no TLS certificate was issued") && said.contains("cannot be reached"), "{said}");

    let _authority = authority.start();
    until("the first certificate", || ports.metric(ISSUED) > 0);
    assert!(ports.serves(&dir, "live.example.org", true));
    let first = ports.metric(UNTIL);
    until("the second certificate", || ports.metric(UNTIL) > first);
    assert!(ports.serves(&dir, "live.example.org", true));
    assert!(!ports.serves(&dir, "other.example.org", true), "for this name only");

    // Who asks for a proof when none is due gets no handshake, and who asks for none gets no proof.
    let asks = |alpn: &str| {
        program("openssl")
            .args(["s_client", "-connect", &ports.https.to_string(), "-servername", "live.example.org", "-alpn", alpn])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let refused = asks("acme-tls/1");
    assert!(!String::from_utf8_lossy(&refused.stdout).contains("BEGIN CERTIFICATE"));
    let served = asks("acme-tls/1,http/1.1");
    assert!(String::from_utf8_lossy(&served.stdout).contains("ALPN protocol: http/1.1"));
}

#[test]
fn a_certificate_by_http_is_kept_over_a_restart() {
    let dir = directory();
    let ports = Ports::new();
    let authority = Authority::configure(&dir, ports.proofs(), 90 * 24 * 3600);
    let _authority = authority.start();
    let names = "live.example.org,Chat.example.org";
    let server = ports.server(&dir, &authority, names, "http-01");
    until("the certificate", || ports.metric(ISSUED) > 0);
    for name in ["live.example.org", "chat.example.org"] {
        assert!(ports.serves(&dir, name, true), "{name}");
    }
    let until_then = ports.metric(UNTIL);
    for (file, mode) in [("account.json", 0o600), ("certificate.pem", 0o600), ("", 0o700)] {
        let found = std::fs::metadata(dir.join("data/acme").join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    drop(server);
    let server = ports.server(&dir, &authority, names, "http-01");
    assert!(ports.serves(&dir, "live.example.org", true));
    assert_eq!((ports.metric(UNTIL), ports.metric(ISSUED), ports.metric(FAILED)), (until_then, 0, 0));
    drop(server);
    // Another name is another certificate, from the account of before.
    let account = || std::fs::read(dir.join("data/acme/account.json")).unwrap();
    let before = account();
    let _server = ports.server(&dir, &authority, "live.example.org", "http-01");
    until("the other certificate", || ports.metric(ISSUED) > 0);
    assert!(ports.serves(&dir, "live.example.org", true) && !ports.serves(&dir, "chat.example.org", true));
    assert_eq!(account(), before);
}

#[test]
fn an_authority_that_finds_no_proof_stops_nothing_and_the_log_says_why() {
    let dir = directory();
    let ports = Ports::new();
    // It looks for the proof where nobody listens.
    let authority = Authority::configure(&dir, [free().port(), free().port()], 3600);
    let _authority = authority.start();
    let _server = ports.server(&dir, &authority, "live.example.org", "tls-alpn-01");
    until("the order fails", || ports.metric(FAILED) > 0);
    assert!(ports.serves(&dir, "live.example.org", false));
    assert_eq!(ports.metric(UNTIL), 0);
    let said = crate::kit::said(&dir);
    assert!(said.contains("live.example.org: ") && said.contains("for the tls-alpn-01 challenge"), "{said}");
}
