//! The operator API as others see it: the commands of docs/api.md, run as printed, and schemathesis, which sends each call what
//! the API's own document allows and forbids.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{self, Running, Server};
use testkit::bounded::{program, program_within};

const DOCUMENT: &str = include_str!("../../../../docs/api.md");
const KEY: &str = "an-operators-key-of-the-tests";
/// Much longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// In production mode, where operators need a key.
fn production() -> Server {
    let secret = "a secret of the tests";
    let dir = kit::directory();
    Server::with(
        dir,
        &[
            ("ROOMSERVICE_MODE", "production"),
            ("ROOMSERVICE_SESSIONS__SECRET", secret),
            ("ROOMSERVICE_LIVE__PUSHSECRETKEY", secret),
            ("ROOMSERVICE_IM__SECRETKEY", secret),
            ("ROOMSERVICE_IM__SDKAPPID", "1400000000"),
            ("ROOMSERVICE_OPERATOR__KEYS", KEY),
            ("ROOMSERVICE_WEBRTC__ENABLED", "false"),
            ("ROOMSERVICE_LOGS__LEVEL", "warn"),
        ],
    )
}

/// What a program says until it ends, and whether it ended well.
fn said(mut command: Command, dir: &Path) -> (String, bool) {
    let out = std::fs::File::create(dir.join("said")).unwrap();
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut running = Running(command.spawn().unwrap());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < TIMEOUT, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    (std::fs::read_to_string(dir.join("said")).unwrap(), status.success())
}

#[test]
fn the_documents_commands_work_as_printed() {
    as_printed(&production());
}

/// Where no key is configured and none is asked for.
#[test]
fn the_documents_commands_work_on_a_development_server() {
    as_printed(&Server::start(kit::directory()));
}

fn as_printed(server: &Server) {
    let blocks = DOCUMENT.split("<!-- run -->\n```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<&str> = blocks.collect();
    assert_eq!(blocks.len(), 8, "docs/api.md has another number of marked blocks");
    let script = format!("set -euo pipefail\n{}", blocks.join("echo\n"));
    let mut bash = program("bash");
    bash.args(["-c", &script.replace("localhost:5757", &server.http.to_string())]).env("KEY", KEY);
    let (said, well) = said(bash, &server.dir);
    assert!(well, "{said}");
    for part in [
        r#""roomID":"hall","kind":"live","info":"The evening show""#,
        r#""info":"The late show""#,
        r#"{"userID":"alice","token":""#,
        r#""userSig":""#,
        r#"{"rooms":[],"next":null}"#,
        r#"{"count":0,"viewers":[],"next":null}"#,
        r#""code":"forbidden""#,
        "not every room",
        r#"{"userID":"bob","roomID":null,"until":null"#,
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    // Clients are made of the document without a server, too.
    let printed = kit::roomservice(&server.dir).arg("openapi").output().unwrap().stdout;
    assert_eq!(server.request("GET", "/api/v1/openapi.json", "").1, printed.trim_ascii());
    assert_eq!(said.matches(r#"{"seq":1,"time":"#).count(), 2, "said once, answered twice:\n{said}");
    assert_eq!(said.matches("Good evening").count(), 1, "heard once:\n{said}");
}

#[test]
fn it_keeps_what_its_document_says_whatever_is_sent() {
    // Beside the programs: ./check puts it there.
    let target = Path::new(env!("CARGO_BIN_EXE_roomservice")).parent().unwrap().parent().unwrap();
    let schemathesis = target.join("schemathesis/bin/schemathesis");
    assert!(schemathesis.exists(), "{} is missing: ./check fetches it", schemathesis.display());
    let server = production();
    let mut command = program_within(schemathesis, Duration::from_secs(600));
    command.current_dir(&server.dir);
    command.args(["run", &format!("http://{}/api/v1/openapi.json", server.http)]);
    command.args(["-H", &format!("Authorization: Bearer {KEY}")]);
    // The same cases each time; links between calls are guesses that it makes from names.
    command.args(["--generation-deterministic", "--max-examples", "8", "--phases", "examples,coverage,fuzzing"]);
    command.args(["--continue-on-failure", "--workers", "1", "--warnings", "off", "--no-color"]);
    let (said, well) = said(command, &server.dir);
    assert!(well, "{said}");
    let tested = |line: &&str| line.trim_start().starts_with("Tested:");
    let line = said.lines().find(tested).unwrap_or_else(|| panic!("{said}"));
    let number: usize = line.split(':').nth(1).unwrap().trim().parse().unwrap();
    assert!(number >= 30, "{said}");
}
