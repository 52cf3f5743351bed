//! TLS in this process, as browsers, players and operators meet it: HTTPS with HTTP/2, RTMPS, renewed certificates.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::kit::{Running, directory, probe, push, roomservice, until};
use serde_json::{Value, json};
use testkit::bounded::program;

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A certificate for this machine that nobody else has signed.
fn certificate(dir: &Path, name: &str) {
    let made = program("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split(' '))
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(dir.join(format!("{name}.key")))
        .arg("-out")
        .arg(dir.join(format!("{name}.pem")))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
}

/// What curl gets: what `-w` says, and the body.
fn curl(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = program("curl")
        .args(["-sS", "--max-time", "15", "--cacert"])
        .arg(dir.join("a.pem"))
        .args(["-w", "\n%{http_version} %{response_code} %header{strict-transport-security} %header{location}"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, said) = text.rsplit_once('\n').unwrap();
    (said.trim().to_owned(), body.to_owned())
}

fn start(dir: &Path, ports: [SocketAddr; 4]) -> Child {
    let [http, rtmp, rtmps, redirect] = ports.map(|port| port.to_string());
    let child = roomservice(dir)
        .env("ROOMSERVICE_HTTP__LISTEN", &http)
        .env("ROOMSERVICE_RTMP__LISTEN", rtmp)
        .env("ROOMSERVICE_WEBRTC__LISTEN", "127.0.0.1:0")
        .env("ROOMSERVICE_TLS__CERTIFICATE", dir.join("a.pem"))
        .env("ROOMSERVICE_TLS__KEY", dir.join("a.key"))
        .env("ROOMSERVICE_TLS__RTMPS_LISTEN", rtmps)
        .env("ROOMSERVICE_TLS__REDIRECT_LISTEN", redirect)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || TcpStream::connect_timeout(&ports[0], Duration::from_secs(1)).is_ok());
    child
}

#[test]
fn everything_is_served_over_tls() {
    let dir = directory();
    certificate(&dir, "a");
    let ports = [free(), free(), free(), free()];
    let _server = Running(start(&dir, ports));
    let [http, _, rtmps, redirect] = ports;
    let base = format!("https://localhost:{}", http.port());

    let (said, _) = curl(&dir, &["--http2", &format!("{base}/healthz")]);
    assert_eq!(said, "2 200 max-age=31536000");
    let (said, _) = curl(&dir, &["--http1.1", &format!("{base}/")]);
    assert_eq!(said, "1.1 200 max-age=31536000");
    let (said, _) = curl(&dir, &["-o", "/dev/null", &format!("http://localhost:{}/console?x=1", redirect.port())]);
    assert_eq!(said, format!("1.1 308  {base}/console?x=1"));
    // Who speaks no TLS is let go.
    let plain = program("curl").args(["-s", "--max-time", "5", &format!("http://{http}/")]).output().unwrap();
    assert!(!plain.status.success());

    // A call over HTTP/2, and the URLs that it gives: all of them over TLS.
    let call = |path: &str, body: &Value| -> Value {
        let json =
            ["--http2", "-H", "Content-Type: application/json", "-d", &body.to_string(), &format!("{base}{path}")]
                .map(str::to_owned);
        serde_json::from_str(&curl(&dir, &json.each_ref().map(String::as_str)).1).unwrap()
    };
    let info: Value =
        serde_json::from_str(&curl(&dir, &[&format!("{base}/weapp/utils/get_login_info?userID=alice")]).1).unwrap();
    let query = format!(
        "sdkAppID={}&platform=web&userID=alice&userSig={}",
        info["sdkAppID"],
        info["userSig"].as_str().unwrap()
    );
    let token = call(&format!("/weapp/live_room/login?{query}"), &json!({}))["token"].as_str().unwrap().to_owned();
    let session = format!("userID=alice&token={token}");
    let asked = json!({ "userID": "alice", "roomID": "r" });
    let url = call(&format!("/weapp/live_room/get_push_url?{session}"), &asked)["pushURL"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("rtmps://localhost:{}/live/", rtmps.port())), "{url}");
    let body = json!({ "userID": "alice", "roomID": "r", "userName": "", "userAvatar": "", "pushURL": url });
    assert_eq!(call(&format!("/weapp/live_room/add_pusher?{session}"), &body)["code"], 0);
    let _pushing = push(&url);
    let room = call(&format!("/weapp/live_room/get_pushers?{session}"), &json!({ "roomID": "r" }));
    let pusher = &room["pushers"][0];
    for (field, scheme) in
        [("accelerateURL", "rtmps://"), ("flvURL", "https://"), ("hlsURL", "https://"), ("whepURL", "https://")]
    {
        assert!(pusher[field].as_str().unwrap().starts_with(scheme), "{field}: {pusher}");
    }
    for field in ["accelerateURL", "flvURL"] {
        let url = pusher[field].as_str().unwrap();
        until(&format!("{field} plays"), || probe(url) == ["aac", "h264"]);
    }
}
