//! The pages and the SDK, tried by what runs them: real Chromium and node. Each script in tests/web starts the real
//! server on free ports and may kill it. Screenshots are left in target/screenshots for people to look at.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use testkit::bounded::program_within;

/// What drives the browser and finds barriers in pages, the HLS and FLV players of most pages, and what the SDK's packages are
/// built and used with.
const PACKAGES: [&str; 9] = [
    "playwright-core@1.56.1",
    "axe-core@4.14.1",
    "hls.js@1.7.4",
    "hls.js-older@npm:hls.js@1.6.15",
    "mpegts.js@1.8.2",
    "esbuild@0.25.12",
    "react@18.3.1",
    "react-dom@18.3.1",
    "vue@3.5.13",
];

/// What a script, and fetching the packages, may take.
const BOUND: Duration = Duration::from_secs(600);

/// Scripts run beside each other, as many as the harness has threads; one that failed has the machine to itself the second time.
static MACHINE: RwLock<()> = RwLock::new(());

/// The packages of the pages, which are fetched once.
static FETCHED: OnceLock<PathBuf> = OnceLock::new();

/// Ports that are given to a script: another's must be others, though nobody listens on these yet.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// A port that nobody has, found by binding it.
fn free<T>(bind: impl Fn() -> io::Result<T>, address: impl Fn(&T) -> io::Result<SocketAddr>) -> String {
    loop {
        let port = bind().and_then(|socket| address(&socket)).expect("a free port").port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port.to_string();
        }
    }
}

fn free_port() -> String {
    free(|| TcpListener::bind("127.0.0.1:0"), TcpListener::local_addr)
}

fn free_udp_port() -> String {
    free(|| UdpSocket::bind("127.0.0.1:0"), UdpSocket::local_addr)
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Fetches the packages, unless they are there. Gives the directory with them.
fn packages() -> PathBuf {
    let dir = root().join("target/web-tests");
    let there = |package: &&str| {
        let (name, version) = package.rsplit_once('@').expect("a version is given");
        let name = name.split_once("@npm:").map_or(name, |(alias, _)| alias);
        let file = dir.join("node_modules").join(name).join("package.json");
        std::fs::read_to_string(file).unwrap_or_default().contains(&format!("\"version\": \"{version}\""))
    };
    if !PACKAGES.iter().all(there) {
        std::fs::create_dir_all(&dir).expect("target can be written");
        let output = program_within("npm", BOUND)
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix"])
            .arg(&dir)
            .args(PACKAGES)
            .output()
            .expect("npm is there: apt-get install npm");
        assert!(output.status.success(), "npm cannot install {PACKAGES:?}:\n{}", told(&output));
    }
    dir
}

/// Runs a script. One that fails is run once more, alone: what a machine that draws with its processor is late for beside others is
/// there the second time, and what is broken fails again.
fn run(script: &str) {
    let beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let first = tried(script);
    drop(beside);
    let Err(first) = first else { return };
    // Past what keeps the words of tests that pass: a first failure is worth a look, too.
    let _ = writeln!(std::io::stderr(), "{script} failed, and is run once more:\n{first}");
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    if let Err(again) = tried(script) {
        panic!("{script} failed twice, at last with:\n{again}");
    }
}

fn tried(script: &str) -> Result<(), String> {
    let data = std::env::temp_dir().join(format!("roomservice-web-{script}-{}", std::process::id()));
    let output = program_within("node", BOUND)
        .arg(root().join("tests/web").join(script).with_extension("mjs"))
        .env("NODE_MODULES", FETCHED.get_or_init(packages))
        .env("SCREENSHOTS", root().join("target/screenshots"))
        .env("SERVER", env!("CARGO_BIN_EXE_roomservice"))
        .env("HTTP_PORT", free_port())
        .env("RTMP_PORT", free_port())
        .env("RTC_PORT", free_udp_port())
        .env("RTC_TCP_PORT", free_port())
        .env("REDIS_PORT", free_port())
        .env("HTTP_PORT_B", free_port())
        .env("RTMP_PORT_B", free_port())
        .env("RTC_PORT_B", free_udp_port())
        .env("DATA_DIR", &data)
        .output()
        .expect("node is there");
    let _ = std::fs::remove_dir_all(&data);
    if !output.status.success() {
        return Err(told(&output));
    }
    // Figures, for who asks to see them.
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn the_sdk_does_what_its_tests_say() {
    let _beside = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let tests = root().join("sdk/js/test");
    let output = program_within("node", BOUND).arg("--test").arg(&tests).output().expect("node is there");
    let said = told(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("# tests 0"), "no test was run:\n{said}");
}

/// What is seen and heard, and when.
mod pictures {
    use super::run;

    #[test]
    fn video_in_chromium() {
        run("video");
    }

    #[test]
    fn the_age_of_pictures_in_chromium() {
        run("clock");
    }

    #[test]
    fn latecomers_and_mixes_in_chromium() {
        run("late");
    }

    #[test]
    fn hls_players_after_breaks_in_chromium() {
        run("returns");
    }

    #[test]
    fn tracks_that_come_and_go_in_chromium() {
        run("tracks");
    }

    #[test]
    fn co_anchors_of_the_demo_in_chromium() {
        run("mixed");
    }

    #[test]
    fn layers_of_pages_in_chromium() {
        run("simulcast");
    }

    #[test]
    fn lips_colours_and_tones_in_chromium() {
        run("senses");
    }
}

/// What people do on the pages, and apps with the SDK.
mod pages {
    use super::run;

    #[test]
    fn the_sdk_in_chromium() {
        run("sdk");
    }

    #[test]
    fn the_packages_in_chromium() {
        run("packages");
    }

    #[test]
    fn what_people_do_in_the_demo_in_chromium() {
        run("demo");
    }

    #[test]
    fn ways_into_the_demo_in_chromium() {
        run("entrance");
    }

    #[test]
    fn a_stream_that_browsers_cannot_play_in_chromium() {
        run("unfit");
    }

    #[test]
    fn a_stream_with_b_frames_is_made_into_a_rendition_without_in_chromium() {
        run("bframes");
    }

    #[test]
    fn codecs_that_not_all_browsers_have_in_chromium() {
        run("codecs");
    }

    #[test]
    fn rooms_in_chromium() {
        run("rooms");
    }

    #[test]
    fn the_console_in_chromium() {
        run("console");
    }

    #[test]
    fn the_console_of_a_busy_server_in_chromium() {
        run("desk");
    }

    #[test]
    fn every_page_in_every_look_in_chromium() {
        run("looks");
    }

    #[test]
    fn phones_in_the_same_network_in_chromium() {
        run("lan");
    }

    #[test]
    fn production_in_chromium() {
        run("production");
    }
}
