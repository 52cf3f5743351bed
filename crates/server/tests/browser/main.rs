//! The pages and the SDK, tried by what runs them: real Chromium and node. Each script in tests/web starts the real
//! server on free ports and may kill it. Screenshots are left in target/screenshots for people to look at.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::time::Duration;

use testkit::bounded::program_within;

/// What drives the browser, the HLS and FLV players of most pages, and what the SDK's packages are built and used with.
const PACKAGES: [&str; 7] = [
    "playwright-core@1.56.1",
    "hls.js@1.7.4",
    "mpegts.js@1.8.2",
    "esbuild@0.25.12",
    "react@18.3.1",
    "react-dom@18.3.1",
    "vue@3.5.13",
];

/// What a script, and fetching the packages, may take.
const BOUND: Duration = Duration::from_secs(600);

/// One browser at a time: several would make each other slow, and slow looks like broken.
static ALONE: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port().to_string()
}

fn free_udp_port() -> String {
    UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port").port().to_string()
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The directory with the packages in it; fetched once.
fn packages() -> PathBuf {
    let dir = root().join("target/web-tests");
    let there = |package: &&str| {
        let (name, version) = package.rsplit_once('@').expect("a version is given");
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

fn run(script: &str) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let data = std::env::temp_dir().join(format!("roomservice-web-{script}-{}", std::process::id()));
    let output = program_within("node", BOUND)
        .arg(root().join("tests/web").join(script).with_extension("mjs"))
        .env("NODE_MODULES", packages())
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
    assert!(output.status.success(), "{script}:\n{}", told(&output));
    // Figures, for who asks to see them.
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_sdk_does_what_its_tests_say() {
    let tests = root().join("sdk/js/test");
    let output = program_within("node", BOUND).arg("--test").arg(&tests).output().expect("node is there");
    let said = told(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("# tests 0"), "no test was run:\n{said}");
}

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
fn rooms_in_chromium() {
    run("rooms");
}

#[test]
fn the_console_in_chromium() {
    run("console");
}

#[test]
fn every_page_in_every_look_in_chromium() {
    run("looks");
}

#[test]
fn production_in_chromium() {
    run("production");
}

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
fn tracks_that_come_and_go_in_chromium() {
    run("tracks");
}

#[test]
fn co_anchors_of_the_demo_in_chromium() {
    run("mixed");
}

#[test]
fn lips_colours_and_tones_in_chromium() {
    run("senses");
}
