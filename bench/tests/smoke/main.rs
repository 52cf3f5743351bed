//! The measurements that need streams, run for seconds on the build that tests have: that they measure, not what. Figures of such
//! a build say nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server of the same build. `cargo test --workspace` makes it.
fn server() -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("roomservice");
    assert!(server.exists(), "{} is not there: cargo build --workspace", server.display());
    server
}

/// Runs a measurement and gives what it printed.
fn bench(arguments: &[&str]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let generator = if cores > 1 { "1" } else { "0" };
    let mut command = Command::new("timeout");
    command.args(["180", env!("CARGO_BIN_EXE_bench")]).args(&arguments[..1]);
    command.args(["--generator-core", generator, "--bin"]).arg(server()).args(&arguments[1..]);
    let output = command.output().expect("`timeout` can be run");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}:\n{said}\n{printed}", output.status);
    printed
}

/// The number that stands behind a name.
#[track_caller]
fn value(printed: &str, name: &str) -> f64 {
    let rest = printed.lines().find_map(|line| line.strip_prefix(name));
    let first = rest.and_then(|rest| rest.split_whitespace().next());
    first.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{printed}"))
}

#[test]
fn viewers_open_what_was_pushed_and_lose_nothing() {
    let printed = bench(&["whep", "--viewers", "4", "--seconds", "2", "--late", "2", "--offers", "5"]);
    for name in ["packets lost", "pictures opened that are not", "viewers that lost the stream"] {
        assert_eq!(value(&printed, name), 0.0, "{name}:\n{printed}");
    }
    for name in [
        "server CPU of a core, a viewer",
        "packets",
        "least pictures of a viewer",
        "least sound of a viewer",
        "pictures opened that are the clip's",
        "frames of sound opened",
        "frames of which each viewer's time is known",
        "first frame of a late viewer, p50",
        "server CPU from offer to answer",
    ] {
        assert!(value(&printed, name) > 0.0, "{name}:\n{printed}");
    }
}

#[test]
fn a_mix_is_measured_beside_the_bare_command() {
    let printed = bench(&["mix", "--rounds", "1", "--seconds", "2"]);
    for name in ["CPU of the mix's ffmpeg", "CPU of the bare ffmpeg", "a mix beside the bare command"] {
        assert!(value(&printed, name) > 0.0, "{name}:\n{printed}");
    }
}

#[test]
fn two_builds_are_measured_in_turn() {
    let server = server();
    let other = server.to_str().unwrap();
    let printed = bench(&["all", "--compare", other, "--only", "memory", "--rounds", "2", "--", "--rooms", "100"]);
    let line = printed.lines().find(|line| line.starts_with("program file, MB")).unwrap();
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), 5, "{printed}");
    assert_eq!((numbers[0], numbers[2..].to_vec()), (numbers[1], vec![1.0; 3]), "the same file twice");
    assert!(printed.contains("start until HTTP answers, median, ms"), "{printed}");
}
