//! What stands in deploy/: a real nginx in front with the file as shipped, the systemd unit under systemd's own
//! checks, and the package.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::kit::{Running, Server, directory, probe, push, until};
use serde_json::Value;
use testkit::bounded::program;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A command's output; it must succeed.
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// nginx with the shipped file; only addresses and paths are those of the test.
struct Nginx {
    _running: Running,
    dir: PathBuf,
    plain: u16,
    tls: u16,
}

impl Nginx {
    fn before(server: &Server) -> Self {
        let dir = server.dir.join("nginx");
        let plain = free_port();
        let tls = free_port();
        std::fs::create_dir_all(&dir).unwrap();
        let cert = dir.join("cert.pem");
        let key = dir.join("key.pem");
        let mut openssl = program("openssl");
        openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1".split(' '));
        openssl.args(["-subj", "/CN=rooms.example.com", "-addext", "subjectAltName=DNS:rooms.example.com"]);
        output(openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert));
        let shipped = std::fs::read_to_string(deploy("nginx.conf")).unwrap();
        let ours = [
            ("127.0.0.1:5757", server.http.to_string()),
            ("listen 80;", format!("listen 127.0.0.1:{plain};")),
            ("listen 443 ssl http2;", format!("listen 127.0.0.1:{tls} ssl http2;")),
            ("    listen [::]:80;\n", String::new()),
            ("    listen [::]:443 ssl http2;\n", String::new()),
            ("/etc/ssl/roomservice/fullchain.pem", cert.display().to_string()),
            ("/etc/ssl/roomservice/privkey.pem", key.display().to_string()),
        ];
        let site = ours.iter().fold(shipped, |text, (shipped, ours)| {
            assert!(text.contains(shipped), "deploy/nginx.conf has no {shipped:?}");
            text.replace(shipped, ours)
        });
        let at = dir.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {at}/{what};\n"))
            .concat();
        let main = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\n\
             http {{ access_log {at}/access.log;\n{temporary}{site}}}\n"
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, main).unwrap();
        let command = || {
            let mut command = program("nginx");
            command.arg("-e").arg(dir.join("error.log")).arg("-p").arg(&dir).arg("-c").arg(&file);
            command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
            command
        };
        output(command().arg("-t"));
        let running = Running(command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", tls)).is_ok());
        Self { _running: running, dir, plain, tls }
    }

    /// curl as a client that knows the name only.
    fn curl(&self, arguments: &[&str], path: &str) -> Command {
        let mut curl = program("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"]).arg(self.dir.join("cert.pem"));
        curl.args(["--resolve", &format!("rooms.example.com:{}:127.0.0.1", self.tls)]).args(arguments);
        curl.arg(format!("https://rooms.example.com:{}{path}", self.tls));
        curl
    }

    fn call(&self, path: &str, body: &str) -> Value {
        let text = output(&mut self.curl(&["-d", body], path));
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }
}

#[test]
fn nginx_in_front_serves_calls_streams_and_chat_under_its_own_name() {
    let server = Server::with(directory(), &[("ROOMSERVICE_HTTP__TLS_BY_PROXY", "true")]);
    let nginx = Nginx::before(&server);
    let name = format!("rooms.example.com:{}", nginx.tls);

    // In development mode this machine is handed signatures, and by its own name alone: not who comes by the proxy's.
    let path = "/weapp/utils/get_login_info?userID=alice";
    let refused: Value = serde_json::from_str(&output(&mut nginx.curl(&[], path))).unwrap();
    assert_eq!(refused["code"], 7, "{refused}");
    let info: Value = serde_json::from_slice(&server.request("GET", path, "").1).unwrap();
    let sig = info["userSig"].as_str().unwrap();
    let login =
        nginx.call(&format!("/weapp/live_room/login?sdkAppID=1400000000&accountType=0&userID=alice&userSig={sig}"), "");
    let session = format!("userID=alice&token={}", login["token"].as_str().unwrap());
    let minted = nginx.call(&format!("/weapp/live_room/get_push_url?{session}"), r#"{"userID":"alice","roomID":"r"}"#);
    let push_url = minted["pushURL"].as_str().unwrap();
    let entered =
        serde_json::json!({"userID": "alice", "roomID": "r", "userName": "", "userAvatar": "", "pushURL": push_url});
    assert_eq!(nginx.call(&format!("/weapp/live_room/add_pusher?{session}"), &entered.to_string())["code"], 0);
    let room = nginx.call(&format!("/weapp/live_room/get_pushers?{session}"), r#"{"roomID":"r"}"#);
    let url = |field: &str| room["pushers"][0][field].as_str().unwrap_or_default().to_owned();
    for field in ["flvURL", "hlsURL", "whepURL"] {
        assert!(url(field).starts_with(&format!("https://{name}/")), "{field} is {}", url(field));
    }

    // RTMP does not pass nginx; the address in the URL is the name without a port of ours here.
    let pushed = push_url.replacen("rooms.example.com", "127.0.0.1", 1);
    let _pushing = push(&pushed);
    let path = url("flvURL").split_once(&name).unwrap().1.to_owned();
    let played = url("flvURL").replacen("rooms.example.com", "127.0.0.1", 1);
    until("the stream plays through nginx", || probe(&played) == ["aac", "h264"]);
    // A buffering proxy would hold back so little video for long.
    let begun = Instant::now();
    let taken = nginx.dir.join("taken.flv");
    let file = taken.display().to_string();
    let _playing = Running(nginx.curl(&["-N", "-o", &file], &path).stderr(Stdio::null()).spawn().unwrap());
    until("video comes", || std::fs::metadata(&taken).is_ok_and(|file| file.len() > 2_000));
    assert!(begun.elapsed().as_secs() < 5, "buffered for {:?}", begun.elapsed());

    let upgrade = ["-i", "--http1.1", "--max-time", "1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket"];
    let key = ["-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    let socket = nginx.curl(&[&upgrade[..], &key[..]].concat(), &format!("/ws?{session}")).output().unwrap();
    let socket = String::from_utf8_lossy(&socket.stdout).into_owned();
    assert!(socket.starts_with("HTTP/1.1 101 ") && socket.contains("welcome"), "{socket}");

    assert!(output(&mut nginx.curl(&["-o", "/dev/null", "-w", "%{http_version}"], "/")).starts_with('2'));
    let old = nginx.curl(&["--tls-max", "1.1"], "/").output().unwrap();
    assert!(!old.status.success(), "TLS 1.1 is accepted");
    assert_eq!(output(&mut nginx.curl(&["-o", "/dev/null", "-w", "%{http_code}"], "/metrics")), "404");
    let plain = format!("http://127.0.0.1:{}/x?y=1", nginx.plain);
    let moved = output(program("curl").args(["-sS", "-o", "/dev/null", "-w", "%{redirect_url}", &plain]));
    assert!(moved.starts_with("https://") && moved.ends_with("/x?y=1"), "{moved}");
}

/// A balancer in front of nginx says who comes through it; whoever comes to nginx itself cannot say to be somebody else.
#[test]
fn nginx_behind_a_balancer_hands_on_who_comes() {
    let server = Server::with(directory(), &[("ROOMSERVICE_HTTP__TLS_BY_PROXY", "true")]);
    let nginx = Nginx::before(&server);
    let said = ["-d", "{}", "-H", "X-Forwarded-For: 198.51.100.1, 203.0.113.9", "-o", "/dev/null"];
    output(&mut nginx.curl(&said, "/weapp/live_room/get_pushers"));
    output(&mut nginx.curl(&[&said[..], &["--interface", "127.0.0.2"]].concat(), "/weapp/live_room/get_room_list"));
    for (call, who) in [("get_pushers", "203.0.113.9"), ("get_room_list", "127.0.0.2")] {
        let mut line = String::new();
        until("the call is in the log", || {
            let written = server.written();
            let found = written.lines().find(|line| line.contains(&format!("/weapp/live_room/{call} ")));
            found.inspect(|found| line = (*found).to_owned()).is_some()
        });
        assert!(line.contains(&format!(" peer={who} ")), "{line}");
    }
}

/// The settings that a program finds with these variables and this file.
fn checked(variables: &[(String, String)], file: &Path, dir: &Path) -> toml::Table {
    let mut command = program(env!("CARGO_BIN_EXE_roomservice"));
    command.current_dir(dir).envs(variables.iter().map(|(name, value)| (name, value)));
    output(command.arg("--config").arg(file).arg("check-config")).parse().unwrap()
}

/// Lines or words of a deploy file that set a variable of ours.
fn variables(file: &str, between: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(deploy(file)).unwrap();
    let lines = text.lines().map(|line| line.trim().trim_start_matches("ENV ").trim_start_matches("Environment="));
    let set = lines.filter_map(|line| line.trim_end_matches('\\').trim_end().split_once(between));
    let ours = set.filter(|(name, _)| name.starts_with("ROOMSERVICE_") && *name != "ROOMSERVICE_SETUP");
    ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn containers_start_as_compose_says_and_the_operators_file_decides() {
    let dir = directory();
    let file = dir.join("roomservice.toml");
    output(program(env!("CARGO_BIN_EXE_roomservice")).arg("setup").arg(&file));
    let image = variables("Dockerfile", "=");
    let composed = [image.clone(), variables("compose.yaml", ": ")].concat();
    assert!(image.len() == 4 && composed.len() == 7, "{composed:?}");
    let settings = checked(&composed, &file, &dir);
    assert_eq!(settings["store"]["kind"].as_str(), Some("redis"));
    assert_eq!(settings["rtmp"]["listen"].as_str(), Some("0.0.0.0:1935"));
    assert_eq!(settings["data_dir"].as_str(), Some("/data"));
    let keys = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{keys}http.listen = \"127.0.0.1:5757\"\ndata_dir = \"/srv/rooms\"\n")).unwrap();
    let settings = checked(&image, &file, &dir);
    assert_eq!(settings["http"]["listen"].as_str(), Some("127.0.0.1:5757"));
    std::fs::write(&file, format!("{keys}nodes.address = \"10.0.0.11:1935\"\n")).unwrap();
    assert_eq!(checked(&composed, &file, &dir)["nodes"]["address"].as_str(), Some("10.0.0.11:1935"));
    std::fs::write(&file, format!("{keys}data_dir = \"/srv/rooms\"\n")).unwrap();
    let settings = checked(&image, &file, &dir);
    assert_eq!(settings["rtmp"]["listen"].as_str(), Some("0.0.0.0:1935"));
    assert_eq!(settings["data_dir"].as_str(), Some("/srv/rooms"));
    std::fs::remove_dir_all(dir).unwrap();
}

/// The package's first file names the directory of data; one of before, which does not, keeps it by the unit.
#[test]
fn whoever_reads_the_packages_file_finds_its_data() {
    let dir = directory();
    let file = dir.join("roomservice.toml");
    let script = std::fs::read_to_string(deploy("package")).unwrap();
    let setup = script.lines().find(|line| line.contains("/usr/bin/roomservice setup ")).unwrap();
    let setup = setup.replace("/usr/bin/roomservice", env!("CARGO_BIN_EXE_roomservice"));
    output(program("sh").args(["-c", &setup.replace("$config", &file.display().to_string())]));
    assert_eq!(checked(&[], &file, &dir)["data_dir"].as_str(), Some("/var/lib/roomservice"));
    let text = std::fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("data_dir")).map(|line| format!("{line}\n")).collect();
    assert_ne!(text, without);
    std::fs::write(&file, &without).unwrap();
    let unit = variables("roomservice.service", "=");
    assert_eq!(checked(&unit, &file, &dir)["data_dir"].as_str(), Some("/var/lib/roomservice"));
    std::fs::write(&file, format!("{without}data_dir = \"/srv/rooms\"\n")).unwrap();
    assert_eq!(checked(&unit, &file, &dir)["data_dir"].as_str(), Some("/srv/rooms"));
    std::fs::remove_dir_all(dir).unwrap();
}

/// What cannot be recorded is known at the start, and not when somebody looks for the first recording.
#[test]
fn a_start_tells_where_recordings_cannot_be_written() {
    let lost = [("ROOMSERVICE_RECORD__ENABLED", "true"), ("ROOMSERVICE_RECORD__DIR", "/proc")];
    let server = Server::with(directory(), &lost);
    let said = "/proc cannot be written, so every recording is lost";
    until("the log says so", || server.written().contains(said));
    assert!(server.written().contains("systemctl edit roomservice"), "and names the cure");
}

#[test]
fn the_unit_is_what_systemd_expects_and_hardened() {
    let dir = directory();
    let shipped = std::fs::read_to_string(deploy("roomservice.service")).unwrap();
    // A start that fails is tried again without end: not many times a second.
    let pause = shipped.lines().find_map(|line| line.strip_prefix("RestartSec=")).unwrap();
    assert!(
        pause.strip_suffix('s').is_some_and(|seconds| seconds.parse().is_ok_and(|seconds: u32| seconds >= 1)),
        "{pause}"
    );
    let unit = dir.join("roomservice.service");
    assert!(shipped.contains("ExecStart=/usr/bin/roomservice --config"));
    std::fs::write(&unit, shipped.replace("/usr/bin/roomservice", env!("CARGO_BIN_EXE_roomservice"))).unwrap();
    let said = output(program("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("roomservice")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    // 0 is a locked box, 10 an open door; most units of a distribution are beyond 9.
    output(program("systemd-analyze").args(["security", "--offline=true", "--threshold=30"]).arg(&unit));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_package_holds_a_program_that_runs() {
    let dir = directory();
    let made = output(program(deploy("package")).args(["--binary", env!("CARGO_BIN_EXE_roomservice")]).arg(&dir));
    let files: Vec<&str> = made.lines().collect();
    let [package, tarball] = files[..] else { panic!("{made}") };
    let control = output(program("dpkg-deb").args(["-f", package]));
    assert!(control.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))), "{control}");
    let tree = dir.join("tree");
    output(program("dpkg-deb").args(["-x", package]).arg(&tree));
    assert!(output(program(tree.join("usr/bin/roomservice")).arg("--version")).starts_with("roomservice "));
    for file in [
        "lib/systemd/system/roomservice.service",
        "lib/sysusers.d/roomservice.conf",
        "share/doc/roomservice/nginx.conf",
        "share/man/man1/roomservice.1.gz",
        "share/bash-completion/completions/roomservice",
    ] {
        assert!(tree.join("usr").join(file).is_file(), "{file}");
    }
    // The documents in it show their pictures.
    let docs = tree.join("usr/share/doc/roomservice");
    let mut shown = 0;
    for file in ["README.md", "README.zh-CN.md", "docs/recipes/mixing.md", "docs/recipes/mixing.zh-CN.md"] {
        let text = std::fs::read_to_string(docs.join(file)).unwrap();
        for picture in text.split("![").skip(1).filter_map(|rest| rest.split("](").nth(1)?.split(')').next()) {
            let at = docs.join(file).parent().unwrap().join(picture);
            assert!(at.is_file(), "{file} shows {picture}");
            shown += 1;
        }
    }
    assert_eq!(shown, 6);
    let listed = output(program("tar").args(["-tzf", tarball]));
    assert!(listed.lines().any(|line| line == "usr/bin/roomservice"), "{listed}");
    installs_what_it_verified(&dir, Path::new(tarball));
    std::fs::remove_dir_all(dir).unwrap();
}

/// `deploy/install.sh` with a release of this tarball: as it is, and changed on its way.
fn installs_what_it_verified(dir: &Path, tarball: &Path) {
    let name = tarball.file_name().unwrap();
    std::fs::write(dir.join("SHA256SUMS"), output(program("sha256sum").current_dir(dir).arg(name))).unwrap();
    let install = |to: &Path| {
        let mut install = program("sh");
        install.arg(deploy("install.sh")).stdin(Stdio::null());
        install.env("ROOMSERVICE_FROM", format!("file://{}", dir.display())).env("ROOMSERVICE_TO", to);
        let output = install.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let to = dir.join("bin");
    let (well, said) = install(&to);
    assert!(well && said.contains("the checksum of roomservice_"), "{said}");
    assert!(output(program(to.join("roomservice")).arg("--version")).starts_with("roomservice "));
    let mut changed = std::fs::read(tarball).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(tarball, changed).unwrap();
    let elsewhere = dir.join("other");
    let (well, said) = install(&elsewhere);
    assert!(!well && said.contains("is not what SHA256SUMS says; nothing was installed"), "{said}");
    assert!(!elsewhere.exists());
}
