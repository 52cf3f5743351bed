//! What operators' tools see: the figures are clean, closed to strangers, and answer every question of the Grafana board.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::kit::{self, Running, Server, directory, push, until};
use serde_json::{Value, json};
use testkit::bounded::program;

/// A port that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Asks once; status and body.
fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Every query of the board, with its variables filled in.
fn queries() -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana.json");
    let mut found = Vec::new();
    walk(&serde_json::from_str(&std::fs::read_to_string(board).unwrap()).unwrap(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    found.iter().map(|query| query.replace("$__rate_interval", "1m").replace("$instance", ".*")).collect()
}

fn in_query(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[test]
fn prometheus_reads_the_figures_and_the_board_finds_all_of_its_own() {
    let server = Server::start(directory());
    let alice = server.login("live_room", "alice");
    let url = alice.push_url("r");
    assert_eq!(alice.enter("r", &url)["code"], 0);
    assert_eq!(alice.call("get_pushers", json!({ "roomID": "none" }))["code"], 3);
    let _pushing = push(&url);

    // As promtool reads it: clean, and with nothing of rooms or users in it.
    let (status, page) = get(server.http, "/metrics", "");
    assert_eq!(status, 200);
    assert!(!page.contains("alice"), "{page}");
    assert!(page.contains("roomservice_calls_total{call=\"get_pushers\",code=\"3\"} 1\n"), "{page}");
    // Alarms look at increases: what has not failed yet has a line too.
    assert!(page.contains("roomservice_calls_total{call=\"merge_stream\",code=\"-1\"} 0\n"), "{page}");
    assert!(page.contains("roomservice_members{kind=\"live\"} 1\n"), "{page}");
    let mut promtool = program("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "{page}");

    // As Prometheus keeps it: every query of the board has an answer.
    let dir: PathBuf = server.dir.join("prometheus");
    std::fs::create_dir_all(&dir).unwrap();
    let scrape = json!({
        "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms" },
        "scrape_configs": [{ "job_name": "r", "static_configs": [{ "targets": [server.http.to_string()] }] }],
    });
    // JSON is YAML.
    std::fs::write(dir.join("config.yml"), scrape.to_string()).unwrap();
    let prometheus = free();
    let _prometheus = Running(
        program("prometheus")
            .arg(format!("--config.file={}", dir.join("config.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={prometheus}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until("prometheus listens", || TcpStream::connect_timeout(&prometheus, Duration::from_secs(1)).is_ok());
    // Those of TLS are there where the server does it itself (acme.rs): here they only have to be understood.
    let has_tls = |query: &String| query.contains("roomservice_tls_") || query.contains("roomservice_acme_");
    let (tls, mut open): (Vec<_>, Vec<_>) = queries().into_iter().partition(has_tls);
    assert_eq!(tls.len(), 2, "{tls:?}");
    until("every query of the board is answered", || {
        open.retain(|query| {
            let (_, body) = get(prometheus, &format!("/api/v1/query?query={}", in_query(query)), "");
            // Long answers come in chunks, whose sizes stand between the braces.
            let body = body.find('{').and_then(|from| Some(&body[from..=body.rfind('}')?])).unwrap_or_default();
            assert!(!body.contains("\"status\":\"error\""), "{query}: {body}");
            !body.contains("\"value\":[")
        });
        if !open.is_empty() {
            std::thread::sleep(Duration::from_millis(300));
        }
        open.is_empty()
    });
    for query in tls {
        let (status, body) = get(prometheus, &format!("/api/v1/query?query={}", in_query(&query)), "");
        assert_eq!(status, 200, "{query}: {body}");
    }
}

#[test]
fn in_production_strangers_see_no_figures() {
    let key = "an operator's key of the test";
    let apart = free();
    let listen = apart.to_string();
    let production = [
        ("ROOMSERVICE_MODE", "production"),
        ("ROOMSERVICE_SESSIONS__SECRET", "a session secret of the test"),
        ("ROOMSERVICE_LIVE__PUSHSECRETKEY", "a push key of the test"),
        ("ROOMSERVICE_OPERATOR__KEYS", key),
        ("ROOMSERVICE_IM__SDKAPPID", "1400000001"),
        ("ROOMSERVICE_IM__SECRETKEY", "a signing key of the test"),
        ("ROOMSERVICE_WEBRTC__ENABLED", "false"),
        ("ROOMSERVICE_METRICS__LISTEN", &listen),
    ];
    let server = Server::with(directory(), &production);
    // A proxy on this machine brings strangers from a local address.
    assert_eq!(get(server.http, "/metrics", "").0, 401);
    assert_eq!(get(server.http, "/metrics", "Authorization: Bearer a wrong key, long enough\r\n").0, 401);
    let (status, page) = get(server.http, "/metrics", &format!("Authorization: Bearer {key}\r\n"));
    assert!(status == 200 && page.contains("mode=\"production\""), "{page}");
    // The address of its own serves nothing else.
    assert_eq!(get(apart, "/metrics", "").0, 200);
    assert_eq!(get(apart, "/weapp/utils/check_config", "").0, 404);
    for address in [server.http, apart] {
        assert_eq!(get(address, "/healthz", ""), (200, "ok\n".into()));
        let (status, body) = get(address, "/readyz", "");
        let ready: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &ready["ready"]), (200, &json!(true)), "{body}");
        let store = json!({ "name": "store", "ok": true, "needed": true });
        assert!(ready["checks"].as_array().unwrap().contains(&store), "{body}");
    }
}
