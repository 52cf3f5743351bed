//! The real program with streams and chat at Tencent, emulated on a port of this machine: what a crash left untold is
//! told, no log ever holds a secret, wrong settings are named, and an old server's settings can be moved over.

use std::path::Path;
use std::sync::Arc;

use crate::emulator::{APP, Emulator, Mood, SECRET, SECRET_ID, SECRET_KEY};
use crate::kit::{Server, directory, roomservice, until};
use serde_json::{Value, json};
use sign::{Secret, callback};
use store::clock::{Clock, System};
use testkit::bounded::program;

const PUSH_KEY: &str = "b63e54ac9a2ac4c3a5c3e6c37c9a1bb5";
const LIVE_KEY: &str = "8d1c0b9e2f7a4635live";
const CHAT_TOKEN: &str = "0f3e7d5a9b1c2846chat";
const NOTICE: &str = "send_group_system_notification";

/// Both services on a port.
struct Clouds {
    emulator: Arc<Emulator>,
    base: String,
    _runtime: tokio::runtime::Runtime,
}

impl Clouds {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let emulator = Emulator::new(|| System.now().secs());
        let base = runtime.block_on(emulator.listen());
        Self { emulator, base, _runtime: runtime }
    }

    /// The settings of a server that uses them.
    fn settings(&self) -> Vec<(&str, String)> {
        let text = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
        };
        text(&[
            ("ROOMSERVICE_CHAT__PROVIDER", "tencent"),
            ("ROOMSERVICE_CHAT__TENCENT__HOST", &self.base),
            ("ROOMSERVICE_CHAT__TENCENT__CALLBACKTOKEN", CHAT_TOKEN),
            ("ROOMSERVICE_IM__SDKAPPID", &APP.to_string()),
            ("ROOMSERVICE_IM__SECRETKEY", SECRET),
            ("ROOMSERVICE_LIVE__PROVIDER", "tencent"),
            ("ROOMSERVICE_LIVE__BIZID", "8525"),
            ("ROOMSERVICE_LIVE__PUSHSECRETKEY", PUSH_KEY),
            ("ROOMSERVICE_LIVE__TENCENT__HOST", &self.base),
            ("ROOMSERVICE_LIVE__TENCENT__SECRETID", SECRET_ID),
            ("ROOMSERVICE_LIVE__TENCENT__SECRETKEY", SECRET_KEY),
            ("ROOMSERVICE_LIVE__TENCENT__CALLBACKKEY", LIVE_KEY),
            ("ROOMSERVICE_LOGS__LEVEL", "trace"),
            ("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "60"),
        ])
    }

    fn server(&self, data: &Path) -> Server {
        let mut settings = self.settings();
        settings.push(("ROOMSERVICE_DATA_DIR", data.to_str().unwrap().to_owned()));
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Server::with(directory(), &settings)
    }

    /// How often a room's group was told of a change.
    fn notices(&self, room: &str) -> usize {
        self.emulator.of(room).iter().filter(|what| *what == NOTICE).count()
    }
}

#[test]
fn what_waited_to_be_told_survives_kill_9() {
    let clouds = Clouds::new();
    let data = tempfile::tempdir().unwrap();
    let server = clouds.server(data.path());
    let alice = server.login("live_room", "alice");
    let bob = server.login("live_room", "bob");
    let hers = alice.push_url("stays");
    let his = bob.push_url("closes");
    assert_eq!(
        (alice.enter("stays", &hers)["code"].as_i64(), bob.enter("closes", &his)["code"].as_i64()),
        (Some(0), Some(0))
    );
    until("both groups hear", || clouds.notices("stays") == 1 && clouds.notices("closes") == 1);
    clouds.emulator.mood(Mood::Fails);
    assert_eq!(bob.enter("stays", &bob.push_url("stays"))["code"], 0);
    bob.ok("delete_pusher", json!({ "roomID": "closes" }));
    // The answer came, so it is on disk; the service has heard nothing of it.
    drop(server);
    assert_eq!((clouds.notices("stays"), clouds.emulator.count("destroy_group")), (1, 0));
    clouds.emulator.mood(Mood::Well);
    let server = clouds.server(data.path());
    until("the rest is told", || {
        clouds.notices("stays") >= 2 && clouds.emulator.of("closes").last().is_some_and(|what| what == "destroy_group")
    });
    assert!(clouds.emulator.groups.lock().contains("stays") && !clouds.emulator.groups.lock().contains("closes"));
    assert_eq!(server.login("live_room", "carol").pushers("stays"), ["alice", "bob"]);
    clouds.emulator.faultless();
}

#[test]
fn no_log_holds_a_key_a_signature_or_a_token() {
    let clouds = Clouds::new();
    let data = tempfile::tempdir().unwrap();
    let server = clouds.server(data.path());
    let alice = server.login("live_room", "alice");
    let info = server.get("/weapp/utils/get_login_info?userID=bob");
    let sig = info["userSig"].as_str().unwrap().to_owned();
    let url = alice.push_url("r");
    assert_eq!(alice.enter("r", &url)["code"], 0);
    until("the group hears", || clouds.notices("r") == 1);
    let now = System.now().secs();
    let live_sign = callback::sign_live(&Secret::from(LIVE_KEY), now + 600);
    let chat_sign = callback::sign_webhook(&Secret::from(CHAT_TOKEN), now);
    let moods =
        [Mood::Well, Mood::Disbelieves, Mood::Limited, Mood::Html, Mood::WrongJson, Mood::Partial, Mood::Resets];
    for mood in moods {
        clouds.emulator.mood(mood);
        alice.call("create_room", json!({ "roomInfo": "" }));
        let streams = [&url, &url].map(|url| json!({ "input_stream_id": url, "layout_params": { "image_layer": 1 } }));
        let stream = url.split("/live/").nth(1).unwrap().split('?').next().unwrap();
        let params = json!({ "interface": { "para": { "app_id": "1", "output_stream_id": stream,
            "mix_stream_session_id": stream, "interface": "mix_streamv2.cancel_mix_stream", "input_stream_list": streams } } });
        alice.call("merge_stream", json!({ "roomID": "r", "mergeParams": params }));
        server.get("/weapp/utils/check_config");
        for sign in [live_sign.as_str(), "00"] {
            let event = json!({ "t": now + 600, "sign": sign, "event_type": 0, "stream_id": stream, "event_time": now,
                "sequence": format!("{mood:?}"), "stream_param": url.split('?').nth(1) });
            server.request("POST", "/weapp/callback/live", &event.to_string());
            let body = json!({ "CallbackCommand": "State.StateChange", "EventTime": now * 1000,
                "Info": { "Action": "Disconnect", "To_Account": "alice", "Reason": "TimeOut" } });
            let query =
                format!("SdkAppid={APP}&CallbackCommand=State.StateChange&RequestTime={now}&Sign={sign}{chat_sign}");
            server.request("POST", &format!("/weapp/callback/im?{query}"), &body.to_string());
        }
        let query = format!("SdkAppid={APP}&CallbackCommand=State.StateChange&RequestTime={now}&Sign={chat_sign}");
        server.request("POST", &format!("/weapp/callback/im?{query}"), "{");
    }
    // Wrong in every place where a client can put a secret.
    server.request("POST", &format!("/weapp/live_room/login?sdkAppID=1&accountType=0&userID=bob&userSig={sig}"), "");
    server.request("POST", &format!("/weapp/live_room/no_such/{sig}"), "");
    server.request("GET", &format!("/ws?userID=alice&token={}", alice.token), "");
    server.request("POST", &format!("/v4/openim/login?usersig={sig}&a2={}", alice.token), &sig);
    server.request("GET", url.split_once("myqcloud.com").unwrap().1, "");
    let log = server.written();
    assert!(log.len() > 2_000 && log.contains("create_room") && log.contains("not believed"), "{log}");
    let secret_of_url = url.split("txSecret=").nth(1).unwrap().split('&').next().unwrap();
    let secrets = [
        ("im.secretKey", SECRET),
        ("live.tencent.secretKey", SECRET_KEY),
        ("live.pushSecretKey", PUSH_KEY),
        ("live.tencent.callbackKey", LIVE_KEY),
        ("chat.tencent.callbackToken", CHAT_TOKEN),
        ("userSig", &sig[..40]),
        ("session token", &alice.token[..24]),
        ("txSecret", secret_of_url),
        ("sign of a live callback", &live_sign),
        ("sign of a chat callback", &chat_sign[..32]),
        ("TC3 signature", "Signature="),
        ("TC3 credential", "TC3-HMAC-SHA256"),
        ("the administrator's userSig", "usersig="),
    ];
    for (what, secret) in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a log holds {what}");
    }
}

/// Runs a command with these settings; whether it succeeded, and everything that it said.
fn command(dir: &Path, settings: &[(&str, String)], arguments: &[&str]) -> (bool, String) {
    let mut command = roomservice(dir);
    command.args(arguments).envs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn check_config_online_names_what_a_service_refuses() {
    let clouds = Clouds::new();
    let dir = tempfile::tempdir().unwrap();
    clouds.emulator.domains.lock().push("8525.livepush.myqcloud.com".into());
    let check = |name: &'static str, value: &str| {
        let mut settings = clouds.settings();
        settings.retain(|(of, _)| *of != name);
        settings.push((name, value.into()));
        command(dir.path(), &settings, &["check-config", "--online"])
    };
    let (well, said) = check("ROOMSERVICE_LOGS__LEVEL", "info");
    assert!(well && said.matches("admits us").count() == 2, "{said}");
    for (variable, wrong, named) in [
        ("ROOMSERVICE_IM__SDKAPPID", "1400000007", "im.sdkAppID"),
        ("ROOMSERVICE_IM__ADMINISTRATOR", "alice", "im.administrator"),
        ("ROOMSERVICE_IM__SECRETKEY", "a secret of somebody else", "im.secretKey"),
        ("ROOMSERVICE_LIVE__PUSHHOST", "push.example.com", "live.pushHost"),
        ("ROOMSERVICE_LIVE__TENCENT__SECRETID", "AKIDnobody", "live.tencent.secretId"),
        ("ROOMSERVICE_LIVE__TENCENT__SECRETKEY", "of somebody else", "live.tencent.secretKey"),
        ("ROOMSERVICE_LIVE__TENCENT__HOST", "http://127.0.0.1:1", "live.tencent.host"),
        ("ROOMSERVICE_CHAT__TENCENT__HOST", "http://127.0.0.1:1", "chat.tencent.host"),
    ] {
        let (well, said) = check(variable, wrong);
        let line = said.lines().find(|line| line.starts_with("# ") && line.contains(named));
        assert!(!well && line.is_some(), "{named}: {said}");
        assert!(!said.contains(SECRET) && !said.contains(SECRET_KEY), "{said}");
    }
    // The server's own call gives the same in the old shape.
    let server = {
        let mut settings = clouds.settings();
        settings.retain(|(name, _)| *name != "ROOMSERVICE_IM__ADMINISTRATOR");
        settings.push(("ROOMSERVICE_IM__ADMINISTRATOR", "alice".into()));
        settings.push(("ROOMSERVICE_LIVE__TENCENT__SECRETID", "AKIDnobody".into()));
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Server::with(directory(), &settings)
    };
    let said: Value = server.get("/weapp/utils/check_config");
    assert_eq!(said["result"], "检查失败");
    assert!(said["live"]["live.tencent.secretId"].is_string() && said["im"]["im.administrator"].is_string(), "{said}");
}

/// A `config.js` as the first Node server had it, filled in by somebody who has accounts.
const OLD: &str = include_str!("../moving/config.js");

#[test]
fn an_old_servers_settings_move_over_and_serve() {
    let clouds = Clouds::new();
    let dir = directory();
    std::fs::write(dir.join("config.js"), OLD).unwrap();
    let (well, said) = command(&dir, &[], &["import-config", "config.js", "--out", "roomservice.toml"]);
    assert!(well && said.contains("roomservice.toml is written, with 16 settings"), "{said}");
    assert!(said.contains("live_room.heartBeatTimeout"), "where kinds of rooms differ, it says so: {said}");
    assert!(!said.contains("b63e54ac") && !said.contains("PRIVATE KEY"), "keys are not repeated: {said}");
    let (well, said) = command(&dir, &[], &["import-config", "config.js", "--out", "roomservice.toml"]);
    assert!(!well && said.contains("exists"), "never over a file: {said}");
    let (well, said) = command(&dir, &[], &["--config", "roomservice.toml", "check-config"]);
    assert!(well, "{said}");
    // It starts with them, embedded and at Tencent; only the keys of API 3.0 are new.
    let config = dir.join("roomservice.toml");
    let mut settings = vec![("ROOMSERVICE_CONFIG", config.to_str().unwrap().to_owned())];
    for at_tencent in [false, true] {
        if at_tencent {
            let of_clouds = clouds.settings().into_iter();
            settings.extend(of_clouds.filter(|(name, _)| name.contains("TENCENT") || name.contains("PROVIDER")));
        }
        let pairs: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::with(directory(), &pairs);
        let info = server.get("/weapp/utils/get_login_info?userID=alice");
        assert_eq!((&info["sdkAppID"], &info["accType"]), (&json!(1_400_042_982), &json!("17802")), "{info}");
        let query =
            format!("sdkAppID=1400042982&accountType=17802&userID=alice&userSig={}", info["userSig"].as_str().unwrap());
        let (_, reply) = server.request("POST", &format!("/weapp/multi_room/login?{query}"), "");
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["code"], 0, "{reply}");
    }
    until("the directory is free", || std::fs::remove_dir_all(&dir).is_ok());
}

/// A port that nobody has now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx, until the test ends.
struct Nginx(std::process::Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        testkit::bounded::end(&mut self.0);
    }
}

#[test]
fn the_proxy_of_the_guide_to_moving_works() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate.md")).unwrap();
    let file = guide.split("```nginx").nth(1).unwrap().split("```").next().unwrap();
    let server = Server::with(directory(), &[("ROOMSERVICE_HTTP__TLS_BY_PROXY", "true")]);
    let dir = directory();
    let moving = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moving");
    let plain = free_port();
    let tls = free_port();
    // Only what differs from machine to machine is exchanged.
    let file = [
        ("127.0.0.1:5757", server.http.to_string()),
        ("listen 80;", format!("listen 127.0.0.1:{plain};")),
        ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;")),
        ("/data/release/nginx/rooms.example.com.crt", format!("{moving}/cert.pem")),
        ("/data/release/nginx/rooms.example.com.key", format!("{moving}/key.pem")),
    ]
    .into_iter()
    .fold(file.to_owned(), |file, (there, here)| {
        assert!(file.contains(there), "{there} is not in the guide");
        file.replace(there, &here)
    });
    let here = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {here}/{what};\n"))
        .concat();
    let whole = format!(
        "daemon off; pid {here}/pid; error_log {here}/error; events {{}}\nhttp {{ access_log off;\n{temporary}{file}}}"
    );
    std::fs::write(dir.join("nginx.conf"), whole).unwrap();
    let mut nginx = program("nginx");
    nginx.arg("-c").arg(dir.join("nginx.conf")).arg("-e").arg(dir.join("error"));
    let nginx = Nginx(nginx.spawn().unwrap());
    let ask = |url: &str, arguments: &[&str]| {
        let mut curl = program("curl");
        curl.args(["-sk", "--max-time", "10", "-w", "\n%{http_code} %{redirect_url}", "--noproxy", "*"]);
        for port in [plain, tls] {
            curl.arg("--resolve").arg(format!("rooms.example.com:{port}:127.0.0.1"));
        }
        String::from_utf8(curl.args(arguments).arg(url).output().unwrap().stdout).unwrap()
    };
    let get = |url: &str| ask(url, &[]);
    let calls = format!("https://rooms.example.com:{tls}/weapp");
    until("nginx serves", || get(&format!("{calls}/utils/check_config")).ends_with("200 "));
    let session = format!("userID=alice&token={}", server.login("live_room", "alice").token);
    let urls = ask(&format!("{calls}/live_room/get_push_url?{session}"), &["-d", r#"{"userID":"alice"}"#]);
    assert!(
        urls.contains(&format!("\"https://rooms.example.com:{tls}/live/")),
        "URLs have the name that clients know: {urls}"
    );
    let sent = get(&format!("http://rooms.example.com:{plain}/console"));
    assert!(sent.ends_with("301 https://rooms.example.com/console"), "{sent}");
    // What a client writes itself into the header does not make it somebody else.
    let forged = ["-H", "X-Forwarded-For: 203.0.113.9", "--interface", "127.0.0.2", "-d", "{}"];
    ask(&format!("{calls}/live_room/get_room_list"), &forged);
    let mut line = String::new();
    until("the call is in the log", || {
        let written = server.written();
        let found = written.lines().find(|line| line.contains("/weapp/live_room/get_room_list "));
        found.inspect(|found| line = (*found).to_owned()).is_some()
    });
    assert!(line.contains(" peer=127.0.0.2 "), "{line}");
    drop(nginx);
    let _ = std::fs::remove_dir_all(dir);
}
