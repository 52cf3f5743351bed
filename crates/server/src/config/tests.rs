//! Files, variables, and what does not fit.

mod import;

use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("roomservice-config-{}-{n}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let loaded = Settings::load(Some(&path), variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    std::fs::remove_file(path).unwrap();
    loaded
}

#[test]
fn the_documented_file_is_the_default() {
    let documented: toml::Table = toml::from_str(DEFAULT_FILE).unwrap();
    let defaults = toml::Table::try_from(Settings::default()).unwrap();
    assert_eq!(documented, defaults, "roomservice.toml names every setting with its default");
    // Every setting has a comment above it.
    let mut before = "";
    for line in DEFAULT_FILE.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(before.starts_with('#'), "no comment above: {line}");
        }
        before = line;
    }
}

#[test]
fn mistakes_name_the_line_and_the_key() {
    let text = load("[rooms]\nmaxMembers = 4\nmaxMember = 5\n", &[]).unwrap_err().to_string();
    assert!(text.contains("line 3") && text.contains("maxMember"), "{text}");
    let text = load("[rooms]\nmaxMembers = \"four\"\n", &[]).unwrap_err().to_string();
    assert!(text.contains("line 2"), "{text}");
    let text = Settings::load(Some(Path::new("/no/such/file")), []).unwrap_err().to_string();
    assert!(text.contains("/no/such/file"), "{text}");
}

#[test]
fn variables_lie_over_the_file() {
    let variables = [
        ("ROOMSERVICE_HTTP__LISTEN", "127.0.0.1:9"),
        ("ROOMSERVICE_DATA_DIR", "/tmp/x"),
        ("ROOMSERVICE_LIVE__PUSHSECRETKEY", "from variable"),
        ("ROOMSERVICE_ROOMS__HEARTBEATTIMEOUT", "3"),
        ("ROOMSERVICE_ROOMS__creatorCanDestroyRoom", "true"),
        ("ROOMSERVICE_OPERATOR__KEYS", "a,b"),
        ("PATH", "not ours"),
    ];
    let settings = load("[live]\npushSecretKey = \"from file\"\nbizid = 8525\n", &variables).unwrap();
    assert_eq!(settings.http.listen.port(), 9);
    assert_eq!(settings.data_dir, Path::new("/tmp/x"));
    assert_eq!((settings.live.push_secret_key.expose(), settings.live.bizid), ("from variable", 8525));
    assert_eq!(settings.rooms.rules().heartbeat_timeout, 3000);
    assert!(settings.rooms.creator_can_destroy);
    assert_eq!(settings.operator.keys.len(), 2);
    for (name, value) in
        [("ROOMSERVICE_HTTP__LISTENS", "x"), ("ROOMSERVICE_HTTP", "x"), ("ROOMSERVICE_ROOMS__MAXMEMBERS", "x")]
    {
        let text = load("", &[(name, value)]).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
    }
}

/// What the kubelet gives each pod beside a Service named `roomservice`, and one named `roomservice-metrics`.
const OF_SERVICES: [(&str, &str); 12] = [
    ("ROOMSERVICE_SERVICE_HOST", "10.96.0.7"),
    ("ROOMSERVICE_SERVICE_PORT", "80"),
    ("ROOMSERVICE_SERVICE_PORT_HTTP", "80"),
    ("ROOMSERVICE_PORT", "tcp://10.96.0.7:80"),
    ("ROOMSERVICE_PORT_1935_TCP", "tcp://10.96.0.7:1935"),
    ("ROOMSERVICE_PORT_1935_TCP_PROTO", "tcp"),
    ("ROOMSERVICE_PORT_1935_TCP_PORT", "1935"),
    ("ROOMSERVICE_PORT_1935_TCP_ADDR", "10.96.0.7"),
    ("ROOMSERVICE_PORT_8000_UDP_ADDR", "10.96.0.7"),
    ("ROOMSERVICE_METRICS_SERVICE_HOST", "10.96.0.8"),
    ("ROOMSERVICE_METRICS_PORT_9464_TCP_ADDR", "10.96.0.8"),
    ("ROOMSERVICE_METRICS_PORT", "tcp://10.96.0.8:9464"),
];

#[test]
fn variables_of_kubernetes_and_of_the_installer_are_passed_over() {
    let settings = load("", &OF_SERVICES).unwrap();
    let warned = settings.warnings().join("\n");
    for (name, _) in OF_SERVICES {
        assert!(warned.contains(name), "{name} in {warned}");
    }
    assert!(warned.contains("enableServiceLinks: false") && settings.warnings().len() == 1, "{warned}");
    let installer = load("", &[("ROOMSERVICE_FROM", "https://h"), ("ROOMSERVICE_TO", "/opt")]).unwrap().warnings();
    assert!(installer.len() == 2 && installer[0].contains("install.sh"), "{installer:?}");
    // What is meant for the server and written wrong stays an error.
    for name in [
        "ROOMSERVICE_HTTP__PORT",
        "ROOMSERVICE_HTTP_PORT",
        "ROOMSERVICE_PORT",
        "ROOMSERVICE_PORTS",
        "ROOMSERVICE_RTMP__SERVICE_HOST",
        "ROOMSERVICE_PORT_X_TCP",
    ] {
        let text = load("", &[(name, "1")]).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn variables_of_images_and_units_lie_under_the_file() {
    let variables = [
        ("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:7"),
        ("ROOMSERVICE_DEFAULT__HTTP__LISTEN", "0.0.0.0:5757"),
        ("ROOMSERVICE_DEFAULT__RTMP__LISTEN", "0.0.0.0:1935"),
        ("ROOMSERVICE_DEFAULT__DATA_DIR", "/var/lib/roomservice"),
    ];
    let silent = load("", &variables).unwrap();
    assert_eq!(silent.http.listen.to_string(), "0.0.0.0:5757");
    assert_eq!(silent.rtmp.listen.to_string(), "127.0.0.1:7", "a variable of the operator lies over it");
    assert_eq!(silent.data_dir, Path::new("/var/lib/roomservice"));
    let says = load("data_dir = \"/srv/rooms\"\nhttp.listen = \"127.0.0.1:5757\"\n", &variables).unwrap();
    assert_eq!(says.http.listen.to_string(), "127.0.0.1:5757");
    assert_eq!(says.data_dir, Path::new("/srv/rooms"));
    assert_eq!([silent.notes, says.notes], [const { Vec::<String>::new() }; 2]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    let before = dir.path().to_str().unwrap();
    let noted = load("data_dir = \"/srv/other\"\n", &[("ROOMSERVICE_DEFAULT__DATA_DIR", before)]).unwrap().notes;
    assert!(noted.len() == 1 && noted[0].contains(before) && noted[0].contains("/srv/other"), "{noted:?}");
    let text = load("", &[("ROOMSERVICE_DEFAULT__HTTP__LISTENS", "x")]).unwrap_err().to_string();
    assert!(text.contains("ROOMSERVICE_DEFAULT__HTTP__LISTENS"), "{text}");
}

#[test]
fn a_variable_that_replaces_what_the_file_says_is_told() {
    let file = "im.secretKey = \"hunter2\"\nhttp.listen = \"127.0.0.1:8\"\n";
    let variables = [
        ("ROOMSERVICE_HTTP__LISTEN", "127.0.0.1:9"),
        ("ROOMSERVICE_IM__SECRETKEY", "hunter3"),
        ("ROOMSERVICE_RTMP__LISTEN", "127.0.0.1:9"),
    ];
    let warned = load(file, &variables).unwrap().warnings();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].contains("ROOMSERVICE_HTTP__LISTEN is used") && warned[0].contains("http.listen"), "{warned:?}");
    assert!(!warned[1].contains("hunter"), "{warned:?}");
    let same = load(file, &[("ROOMSERVICE_HTTP__LISTEN", "127.0.0.1:8")]).unwrap().warnings();
    assert!(same.is_empty(), "{same:?}");
}

#[test]
fn an_address_that_is_translated_on_the_way_is_told() {
    let warned = |webrtc: &str| load(&format!("mode = \"production\"\n{webrtc}"), &[]).unwrap().warnings();
    let private = warned("webrtc.listen = \"10.0.0.4:8000\"");
    assert!(private.len() == 1 && private[0].contains("10.0.0.4 is of a private network"), "{private:?}");
    assert!(private[0].contains("set webrtc.public"), "{private:?}");
    assert_eq!(warned("webrtc.listen = \"203.0.113.7:8000\""), Vec::<String>::new());
    // Whoever names it means it.
    let named = "webrtc.listen = \"0.0.0.0:8000\"\nwebrtc.public = [\"10.0.0.4\"]";
    assert_eq!(warned(named), Vec::<String>::new());
    // Where the address is that of the route, it is told as the doctor tells it.
    let mut settings = Settings { mode: Mode::Production, ..Settings::default() };
    settings.webrtc.listen = "0.0.0.0:8000".parse().unwrap();
    let routed = media::rtc::advertised(&settings.webrtc.config(), settings.webrtc.listen);
    let reached = routed.iter().any(|ip| !ip.is_loopback() && !crate::lan::is_private(*ip));
    assert_eq!(settings.warnings().is_empty(), reached, "{:?}", settings.warnings());
}

#[test]
fn development_stays_on_this_machine() {
    let settings = load("[http]\nlisten = \"0.0.0.0:5757\"\n", &[]).unwrap();
    assert!(settings.problems()[0].contains("http.listen"), "{:?}", settings.problems());
    assert!(Settings::default().problems().is_empty());
    let mut lan = Settings { lan: Some([192, 168, 1, 5].into()), ..Settings::default() };
    assert!(lan.problems().is_empty());
    lan.mode = Mode::Production;
    assert!(lan.problems().iter().any(|problem| problem.contains("--lan is for development mode")));
}

#[test]
fn production_wants_secrets_of_its_own() {
    let problems = load("mode = \"production\"\nhttp.listen = \"0.0.0.0:80\"\n", &[]).unwrap().problems().join("\n");
    for name in ["sessions.secret", "live.pushSecretKey", "im.secretKey", "im.sdkAppID", "tls_by_proxy"] {
        assert!(problems.contains(name), "{name} in {problems}");
    }
    let good = "mode = \"production\"\nhttp = { listen = \"0.0.0.0:80\", tls_by_proxy = true }\nsessions.secret = \"0123456789abcdef\"\n\
        live.pushSecretKey = \"0123456789abcdef\"\nim = { sdkAppID = 1, secretKey = \"0123456789abcdef\" }\n";
    assert_eq!(load(good, &[]).unwrap().problems(), Vec::<String>::new());
}

#[test]
fn secrets_are_not_printed() {
    let settings = load("[im]\nsecretKey = \"hunter2\"\n[operator]\nkeys = [\"hunter2\"]\n", &[]).unwrap();
    let shown = format!("{settings:?}{}", toml::to_string(&settings).unwrap());
    assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
}

#[test]
fn passwords_in_urls_are_not_printed() {
    let text = "webhooks = { urls = [\"https://a:hunter2@h/x?k=hunter2\"], ask_url = \"https://a:hunter2@h\" }\n\
        traces.endpoint = \"http://a:hunter2@h/v1/traces\"\nstore.redis = \"redis://a:hunter2@h/0\"\n";
    let settings = load(text, &[]).unwrap();
    let shown = toml::to_string(&settings).unwrap();
    assert!(!shown.contains("hunter2") && shown.contains("https://***@h/x?***"), "{shown}");
    assert!(settings.webhooks.urls[0].contains("hunter2"), "the setting itself is whole");
    let wrong = load("webhooks.urls = [\"ftp://a:hunter2@h\"]\ntraces.endpoint = \"a:hunter2@h\"", &[]).unwrap();
    let problems = wrong.problems().join("\n");
    assert!(problems.contains("webhooks.urls") && problems.contains("traces.endpoint"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn listeners_do_not_share_a_port() {
    let problems = |text: &str| load(text, &[]).unwrap().problems().join("\n");
    let same = problems("rtmp.listen = \"127.0.0.1:5757\"\nmetrics.listen = \"127.0.0.1:5757\"\n");
    for pair in ["rtmp.listen = \"127.0.0.1:5757\": http.listen", "metrics.listen", "such as \"127.0.0.1:5756\""] {
        assert!(same.contains(pair), "{pair} in {same}");
    }
    for fine in [
        "webrtc.listen = \"127.0.0.1:5757\"",
        "rtmp.listen = \"127.0.0.2:5757\"",
        "rtmp.listen = \"127.0.0.1:0\"\nhttp.listen = \"127.0.0.1:0\"",
        "rtmp = { enabled = false, listen = \"127.0.0.1:5757\" }",
    ] {
        assert_eq!(problems(fine), "", "{fine}");
    }
}

#[test]
fn addresses_that_lead_nowhere_are_told() {
    let settings = load("webrtc.public = [\"0.0.0.0\"]\n", &[]).unwrap();
    assert!(settings.problems()[0].contains("webrtc.public: 0.0.0.0 is no address"), "{:?}", settings.problems());
    let warned = |webrtc: &str| load(&format!("mode = \"production\"\n{webrtc}"), &[]).unwrap().warnings();
    assert!(warned("")[0].contains("127.0.0.1, which is their own machine"), "{:?}", warned(""));
    assert!(warned("webrtc.public = [\"203.0.113.7\"]")[0].contains("webrtc.listen"), "only half of it");
    for fine in ["webrtc.enabled = false", "webrtc = { listen = \"0.0.0.0:8000\", public = [\"203.0.113.7\"] }"] {
        assert_eq!(warned(fine), Vec::<String>::new(), "{fine}");
    }
    assert!(Settings::default().warnings().is_empty(), "development serves this machine only");
}

#[test]
fn files_that_are_missing_are_told() {
    let text = "tls = { certificate = \"/no/such/cert.pem\", key = \"/no/such/key.pem\" }";
    let problems = load(text, &[]).unwrap().problems().join("\n");
    assert!(problems.contains("tls.certificate = \"/no/such/cert.pem\" cannot be read"), "{problems}");
    assert!(problems.contains("tls.key"), "{problems}");
}

#[test]
fn complaints_have_an_example() {
    for (text, example) in [
        ("http.listen = \"5757\"", "0.0.0.0:5757"),
        ("webrtc.public = [\"push.example.com\"]", "203.0.113.7"),
        ("webhooks.urls = \"https://h\"", "[\"one\", \"two\"]"),
    ] {
        let said = load(text, &[]).unwrap_err().to_string();
        assert!(said.contains(example), "{said}");
    }
    let said = load("", &[("ROOMSERVICE_HTTP__LISTEN", "here")]).unwrap_err().to_string();
    assert!(said.contains("ROOMSERVICE_HTTP__LISTEN") && said.contains("0.0.0.0:5757"), "{said}");
}
