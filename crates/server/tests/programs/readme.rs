//! The commands of README.md that stand after `<!-- run -->`, run as printed against a server of this
//! test's own: only the addresses are changed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use roomservice::config::Settings;
use roomservice::start::Server;
use tokio::process::Command;

const README: &str = include_str!("../../../../README.md");
/// Much longer than the commands need; a player that gets nothing would wait for ever.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A directory that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("roomservice-readme-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The marked blocks, in their order.
fn commands() -> Vec<&'static str> {
    let marked = README.split("<!-- run -->\n```sh\n").skip(1);
    marked.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_commands_work_as_printed() {
    let scratch = Scratch::new();
    let mut settings = Settings { data_dir: scratch.0.join("data"), ..Settings::default() };
    settings.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.rtmp.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.logs.level = "warn".into();
    let server = Server::start(settings).await.expect("a server with default settings starts");

    let blocks = commands();
    assert_eq!(blocks.len(), 5, "README.md has another number of marked blocks");
    let begin = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
    let script = format!("{begin}{}", blocks.join("echo\n"))
        .replace("localhost:5757", &format!("localhost:{}", server.http.port()))
        .replace("target/release/roomservice", env!("CARGO_BIN_EXE_roomservice"));
    let bash = Command::from(testkit::bounded::program("bash"))
        .args(["-c", &script])
        .current_dir(&scratch.0)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, bash).await.expect("the commands end").expect("there is a bash");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let all = format!("{said}\n--- errors:\n{complained}");
    assert!(output.status.success(), "{all}");

    assert_eq!(said.matches("h264,640,360").count(), 2, "RTMP and FLV show the same picture: {all}");
    assert!(said.contains(r#""roomCreator":"alice""#), "the room is listed: {all}");
    assert!(said.contains("# The settings fit."), "the production settings fit: {all}");
    assert!(!said.contains("BEGIN"), "no key is printed: {all}");
    assert_eq!(server.app.rooms.count(), 0, "the room closed with its last pusher: {all}");
    server.stop().await;
}
