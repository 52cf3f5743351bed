//! The program itself: its commands, and that what they print works on the running server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::kit::{self, Running, Server, directory, probe, push, roomservice, until};
use serde_json::json;
use testkit::bounded::{program, program_within};

/// What a command prints; it must succeed.
fn run(dir: &Path, arguments: &[&str]) -> String {
    let output = roomservice(dir).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// What a command complains of; it must fail.
fn fail(dir: &Path, arguments: &[&str]) -> String {
    let output = roomservice(dir).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(output.stdout.is_empty(), "complaints go to stderr");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn printed_signatures_log_in_and_printed_urls_are_pushed_to() {
    let server = Server::start(directory());
    let sig = run(&server.dir, &["usersig", "--user", "alice"]);
    let alice = server.login_with("live_room", "alice", sig.trim());
    let port = server.rtmp.port().to_string();
    let args = ["push-url", "--user", "alice", "--room", "r", "--host", "127.0.0.1"];
    let mut command = roomservice(&server.dir);
    let output = command.args(args).env("ROOMSERVICE_RTMP__LISTEN", format!("127.0.0.1:{port}")).output().unwrap();
    let url = String::from_utf8(output.stdout).unwrap();
    let _pushing = push(url.trim());
    assert_eq!(alice.enter("r", url.trim())["code"], 0);
    let room = alice.ok("get_pushers", json!({ "roomID": "r" }));
    let play = room["pushers"][0]["accelerateURL"].as_str().unwrap();
    until("the stream plays", || probe(play) == ["aac", "h264"]);
}

#[test]
fn every_command_says_what_it_does() {
    let dir = directory();
    let help = run(&dir, &["--help"]);
    for command in [
        "serve",
        "check-config",
        "doctor",
        "load",
        "openapi",
        "default-config",
        "keygen",
        "setup",
        "usersig",
        "push-url",
    ] {
        assert!(help.contains(command), "{help}");
        assert!(run(&dir, &[command, "--help"]).contains("Usage: roomservice"), "{command}");
    }
    let version = run(&dir, &["--version"]);
    assert_eq!(version.lines().next(), Some(concat!("roomservice ", env!("CARGO_PKG_VERSION"))));
    for word in ["commit ", "machine ", "features "] {
        assert!(version.lines().any(|line| line.starts_with(word)), "{version}");
    }
    assert!(run(&dir, &["man"]).contains(".TH roomservice 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&dir, &["completions", shell]).contains("check-config"), "{shell}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn commands_end_without_a_word_where_nobody_reads() {
    let dir = directory();
    std::fs::write(dir.join("config.js"), include_str!("../moving/config.js")).unwrap();
    let key = ("ROOMSERVICE_OPERATOR__KEYS", "a key that may do everything");
    for arguments in [
        "default-config",
        "keygen",
        "openapi",
        "man",
        "completions bash",
        "setup s.toml",
        "import-config config.js --out moved.toml",
        "check-config",
        "check-config --online",
        "doctor",
        "doctor --json",
        "plan --viewers 3000",
        "plan --viewers 3000 --json",
        "usersig --user alice",
        "operator-token --grant roomList",
        "push-url --user alice",
        "--help",
        "--version",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = roomservice(&dir);
        command.args(arguments.split(' ')).env(key.0, key.1).stdout(writer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments}");
    }
    // What cannot be printed for another reason is said.
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = roomservice(&dir).arg("keygen").stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot be printed: No space left") && output.status.code() == Some(1), "{said}");
    // And where nobody reads complaints either.
    let (_, writer) = std::io::pipe().unwrap();
    let status = roomservice(&dir).args(["usersig", "--user", "a b"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(1));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_server_serves_whether_or_not_its_greeting_is_read() {
    let dir = directory();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    let (_, writer) = std::io::pipe().unwrap();
    let mut command = roomservice(&dir);
    command.env("ROOMSERVICE_HTTP__LISTEN", &at).env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0");
    let mut running = Running(command.stdout(writer).stderr(Stdio::null()).spawn().unwrap());
    until("the server answers", || TcpStream::connect(&at).is_ok());
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(&at).is_ok() && running.0.try_wait().unwrap().is_none());
    drop(running);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_first_start_without_settings_makes_keys_and_the_next_keeps_them() {
    let dir = directory();
    let file = dir.join("volume/roomservice.toml");
    let start = || roomservice(&dir).arg("check-config").env("ROOMSERVICE_SETUP", &file).output().unwrap();
    let first = start();
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(first.status.success() && said.contains("fresh keys are in"), "{said}");
    assert!(String::from_utf8_lossy(&first.stdout).contains("mode = \"production\""));
    let keys = std::fs::read(&file).unwrap();
    assert!(start().stderr.is_empty(), "the second start is silent");
    assert_eq!(std::fs::read(&file).unwrap(), keys);
    // A file that was named must be there, whatever a first start would do.
    let mut named = roomservice(&dir);
    named.args(["--config", "absent.toml", "check-config"]).env("ROOMSERVICE_SETUP", &file);
    let named = named.output().unwrap();
    assert!(String::from_utf8_lossy(&named.stderr).contains("cannot read absent.toml"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn printed_settings_and_keys_make_a_configuration() {
    let dir = directory();
    let file = dir.join("roomservice.toml");
    std::fs::write(&file, run(&dir, &["default-config"])).unwrap();
    let file = file.to_str().unwrap();
    assert!(run(&dir, &["check-config", "--config", file]).contains("# The settings fit"));

    let keys = run(&dir, &["keygen"]);
    assert_ne!(keys, run(&dir, &["keygen"]), "keys are fresh each time");
    let others = "webrtc.listen = \"0.0.0.0:8000\"\nwebrtc.public = [\"203.0.113.7\"]";
    let production = format!("mode = \"production\"\nim.sdkAppID = 1400000001\n{others}\n{keys}");
    std::fs::write(file, &production).unwrap();
    let printed = run(&dir, &["check-config", "--config", file]);
    assert!(printed.contains("The settings fit."), "{printed}");
    for secret in keys.lines().filter_map(|line| line.split('"').nth(1)).filter(|s| s.len() >= 16) {
        assert!(!printed.contains(secret), "a secret is printed: {printed}");
    }
    assert!(!run(&dir, &["usersig", "--config", file, "--user", "alice"]).trim().is_empty());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_is_wrong_is_named() {
    let dir = directory();
    let file = dir.join("wrong.toml");
    let of = |text: &str| {
        std::fs::write(&file, text).unwrap();
        fail(&dir, &["check-config", "--config", file.to_str().unwrap()])
    };
    assert!(of("[rooms]\nmaxMember = 3\n").contains("maxMember"));
    assert!(of("[rooms]\n\nmaxMembers = \"three\"\n").contains("line 3"));
    assert!(of("[rooms]\nheartBeatTimeout = 0\n").contains("rooms.heartBeatTimeout"));
    assert!(of("mode = \"production\"\n").contains("live.pushSecretKey"));
    assert!(of("[http]\nlisten = \"0.0.0.0:5757\"\n").contains("development mode serves this machine only"));
    assert!(fail(&dir, &["check-config", "--config", "nowhere.toml"]).contains("nowhere.toml"));
    assert!(fail(&dir, &["usersig", "--user", "a b"]).contains("--user"));
    assert!(fail(&dir, &["usersig"]).contains("--user"));
    let output = roomservice(&dir).env("ROOMSERVICE_HTTP__LISTENN", "x").arg("check-config").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("ROOMSERVICE_HTTP__LISTENN"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_taken_port_is_named_and_an_end_is_orderly() {
    let server = Server::start(directory());
    let taken = roomservice(&server.dir)
        .env("ROOMSERVICE_HTTP__LISTEN", server.http.to_string())
        .env("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert!(!taken.status.success());
    let complaint = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(complaint.contains("http.listen") && complaint.contains(&server.http.to_string()), "{complaint}");
    // The one that runs does not mind, and ends when asked to, with its lines on disk.
    let (status, page) = server.request("GET", "/weapp/utils/logfilelist", "");
    assert_eq!(status, 200);
    assert!(String::from_utf8(page).unwrap().contains("getlogfile?file=response/response-"));
    let begun = Instant::now();
    let kill = program("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap();
    assert!(kill.success());
    until("the server ends", || TcpStream::connect(server.http).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn half_requests_end_and_keep_nobody_waiting() {
    let server = Server::with(directory(), &[("ROOMSERVICE_HTTP__READ_TIMEOUT", "4")]);
    let half = |text: &str| {
        let mut socket = TcpStream::connect(server.http).unwrap();
        socket.write_all(text.as_bytes()).unwrap();
        socket.set_read_timeout(Some(kit::PATIENCE)).unwrap();
        socket
    };
    let begun = Instant::now();
    let head = "POST /weapp/multi_room/login HTTP/1.1\r\nHost: x\r\n";
    let body = format!("{head}Content-Length: 100\r\n\r\n{{\"userID\":");
    let sockets: Vec<_> = (0..300).map(|n| half(["", head, &body][n % 3])).collect();
    // Garbage is answered or dropped at once.
    for text in ["\0\x01\x02\r\n\r\n", "GET\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000))] {
        let mut socket = TcpStream::connect(server.http).unwrap();
        let _ = socket.write_all(text.as_bytes());
        socket.set_read_timeout(Some(kit::PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    server.login("multi_room", "alice").ok("get_room_list", json!({ "cnt": 20, "index": 0 }));
    assert!(begun.elapsed() < Duration::from_secs(4), "others waited for {:?}", begun.elapsed());
    for mut socket in sockets {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(begun.elapsed() < Duration::from_secs(12), "half requests were kept for {:?}", begun.elapsed());
}

#[test]
fn what_a_test_starts_ends_with_its_bound_or_with_its_test() {
    let script = "sleep 1000 & echo $!; exec sleep 1000";
    let grandchild = |child: &mut std::process::Child| {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().parse::<u32>().unwrap()
    };
    let runs = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains("(sleep)") && !stat.contains(") Z")
    };
    let start = |bound| {
        let mut command = program_within("sh", bound);
        command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap()
    };

    let mut bounded = start(Duration::from_millis(500));
    let below = grandchild(&mut bounded);
    assert_eq!(bounded.wait().unwrap().code(), Some(124), "timeout's own result");
    until("what it started is gone", || !runs(below));

    let mut dropped = Running(start(Duration::from_secs(600)));
    let below = grandchild(&mut dropped.0);
    until("both run", || runs(below) && runs(dropped.pid()));
    let itself = dropped.pid();
    drop(dropped);
    assert!(!runs(itself));
    until("what it started is gone", || !runs(below));

    // The thread that started it is a test's.
    let below = std::thread::spawn(move || {
        let mut forgotten = start(Duration::from_secs(600));
        grandchild(&mut forgotten)
    });
    let below = below.join().unwrap();
    until("what a test forgot is gone", || !runs(below));
}

/// The checks of `/readyz` that are not well, each with its reason.
fn troubles(server: &Server) -> (u16, Vec<(String, String)>) {
    let (status, body) = server.request("GET", "/readyz", "");
    let ready: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let text = |check: &serde_json::Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let bad = ready["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    (status, bad.map(|check| (text(check, "name"), text(check, "reason"))).collect())
}

/// A journal whose next file is a pipe that nobody reads: opening it does not come back, as on a disk that hangs.
#[test]
fn a_disk_that_hangs_keeps_no_call_waiting_and_the_process_no_longer_than_it_is_told() {
    let mut server = Server::start(directory());
    let alice = server.login("multi_room", "alice");
    let file = server.dir.join("data/journal/00000000000000000001.log");
    assert!(program("mkfifo").arg(&file).status().unwrap().success());
    let begun = Instant::now();
    let path = format!("/weapp/multi_room/create_room?userID=alice&token={}", alice.token);
    let (status, _) = server.request("POST", &path, r#"{"userID":"alice","roomID":"r","roomInfo":"x"}"#);
    assert_eq!(status, 504, "it will be made when the disk answers");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(troubles(&server), (503, vec![("store".into(), "the journal's disk does not answer".into())]));
    let (_, figures) = server.request("GET", "/metrics", "");
    assert!(String::from_utf8(figures).unwrap().contains("roomservice_store_failures_total 1\n"));
    let pid = server.pid().to_string();
    let told = Instant::now();
    let tell = || assert!(program("kill").args(["-TERM", &pid]).status().unwrap().success());
    tell();
    until("it lets nobody in any more", || TcpStream::connect(server.http).is_err());
    tell();
    assert!(!server.ended_well(), "a second signal ends it with status 1");
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

/// What the start finds is to be seen wherever an operator looks: in the file of errors and on the console.
#[test]
fn damage_that_the_start_finds_is_in_the_log_and_on_the_console() {
    let mut server = Server::start(directory());
    for name in ["r1", "r2", "r3", "r4"] {
        let alice = server.login("multi_room", "alice");
        let path = format!("/weapp/multi_room/create_room?userID=alice&token={}", alice.token);
        let room = json!({ "userID": "alice", "roomID": name, "roomInfo": "x" }).to_string();
        assert_eq!(server.request("POST", &path, &room).0, 200);
    }
    server.crash();
    let file = server.dir.join("data/journal/00000000000000000001.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let server = server.again(&[]);
    let said = "the journal was damaged";
    let errors = server.dir.join("data/logs/error");
    let in_file = || {
        let files = std::fs::read_dir(&errors).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).any(|text| text.contains(said))
    };
    until("the file of errors has it", in_file);
    let mut console = TcpStream::connect(server.http).unwrap();
    console.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(console, "GET /console/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.http).unwrap();
    let hello = BufReader::new(console).lines().map_while(Result::ok).find(|line| line.starts_with("data: "));
    assert!(hello.unwrap().contains(said));
}

#[test]
fn the_doctor_has_a_cure_for_what_it_finds() {
    let dir = directory();
    let examine = |variables: &[(&str, &str)], json: bool| {
        let mut command = roomservice(&dir);
        for part in ["HTTP", "RTMP", "WEBRTC"] {
            command.env(format!("ROOMSERVICE_{part}__LISTEN"), "127.0.0.1:0");
        }
        let output =
            command.arg("doctor").args(json.then_some("--json")).envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let wrong = [("ROOMSERVICE_STORE__KIND", "redis"), ("ROOMSERVICE_STORE__REDIS", "redis://:hunter2@127.0.0.1:1")];
    let (code, said) = examine(&wrong, true);
    let found: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
    let redis = found.iter().find(|one| one["check"] == "redis").unwrap();
    assert_eq!((code, redis["level"].as_str()), (Some(1), Some("fail")), "{said}");
    assert!(redis["cure"].as_str().unwrap().contains("start Redis") && !said.contains("hunter2"), "{said}");
    let (_, page) = examine(&[("ROOMSERVICE_MIX__FFMPEG", "/no/ffmpeg")], false);
    assert!(page.contains("WARN  ffmpeg") && page.contains("-> install it (apt-get install ffmpeg)"), "{page}");
    assert!(page.lines().any(|line| line.starts_with("ok    settings")), "{page}");
    // It looks, and leaves nothing behind.
    assert!(!dir.join("data").exists());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn phones_are_let_in_by_development_mode_alone() {
    let dir = directory();
    assert!(fail(&dir, &["--lan", "203.0.113.7"]).contains("does not have that address"));
    assert!(fail(&dir, &["--lan", "127.0.0.1"]).contains("no address of a private network"));
    assert!(fail(&dir, &["--lan", "10.9.9.9", "keygen"]).contains("no other command"));
    std::fs::write(dir.join("p.toml"), "mode = \"production\"\n").unwrap();
    assert!(fail(&dir, &["--lan", "10.9.9.9", "--config", "p.toml"]).contains("--lan is for development mode"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_load_is_for_a_server_that_is_named_and_says_how_it_goes() {
    let server = Server::start(directory());
    assert!(fail(&server.dir, &["load"]).contains("<URL>"), "it assumes no server");
    let urls = server.get("/weapp/utils/get_test_pushurl");
    let url = |name: &str| urls[name].as_str().unwrap().to_owned();
    let mut pushing = push(&url("url_push"));
    until("the stream plays", || probe(&url("url_play_flv")) == ["aac", "h264"]);
    let at = format!("http://{}", server.http);
    let play = [url("url_play_flv"), url("url_play_rtmp")];
    let load = |more: &[&str]| {
        let output = roomservice(&server.dir).arg("load").args(&play).args(more).output().unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), summary, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (well, summary, shown) = load(&[&at, "--viewers", "10", "--calls", "10", "--seconds", "2", "--json"]);
    assert!(well, "{summary} {shown}");
    assert_eq!((&summary["playing"], &summary["ended"], &summary["failed_calls"]), (&json!(10), &json!(0), &json!(0)));
    assert!(summary["bits_per_viewer"].as_u64().unwrap() > 50_000, "{summary}");
    assert!(summary["calls"].as_u64().unwrap() >= 10 && summary["first_frame_ms"][1].as_f64().is_some(), "{summary}");
    assert!(shown.contains("10 of 10 play"), "{shown}");
    // A stream that is not there any more.
    pushing.kill();
    let (well, summary, shown) = load(&["--viewers", "2", "--seconds", "20", "--json"]);
    assert!(!well && shown.contains("did not go well"), "{summary} {shown}");
}
