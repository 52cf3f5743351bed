//! The shape of the repository: what CONTRIBUTING.md promises about files, names and documents, held
//! by looking at the files. Runs no part of the server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines that are not tests.
const MAX_LINES: usize = 600;
/// Longest function, in lines.
const MAX_FUNCTION: usize = 60;
/// Most lines of the paragraph that a source file opens with.
const MAX_OPENING: usize = 5;
/// Names that say nothing about what is inside. `crates/server/src/http/weapp/utils.rs` answers the protocol's own `utils` calls.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "common", "helpers", "manager"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// Every text file of the repository: its path from the root, and what it holds.
fn files() -> Vec<(String, String)> {
    let texts = every_file().into_iter().filter_map(|(path, bytes)| Some((path, String::from_utf8(bytes).ok()?)));
    let found: Vec<_> = texts.collect();
    assert!(found.len() > 100, "only {} files were found: the walk is broken", found.len());
    found
}

/// Every file of the repository, that nothing generated.
fn every_file() -> Vec<(String, Vec<u8>)> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).expect("a directory can be listed").flatten() {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap_or_default();
            let generated = ["node_modules", "__pycache__"].contains(&name.as_str())
                || dir == root && ["target", "data", "logs"].contains(&name.as_str());
            let generated =
                generated || dir == root.join("fuzz") && ["target", "corpus", "crashes"].contains(&name.as_str());
            let hidden = name.starts_with('.') && name != ".ci" && name != ".gitignore";
            if generated || hidden {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else if let Ok(bytes) = fs::read(&path) {
                let path = path.strip_prefix(root).expect("walked from the root");
                found.push((path.to_string_lossy().into_owned(), bytes));
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found
}

pub fn sources() -> Vec<(String, String)> {
    files().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// Our crates, by their directories.
pub fn crates() -> BTreeSet<String> {
    let there = fs::read_dir(root().join("crates")).expect("there are crates").flatten();
    there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Files that hold nothing but tests: by place, by name, or because their module is declared for tests only.
pub fn test_files(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (path, text) in sources {
        if path.ends_with("/tests.rs")
            || path.starts_with("crates/testkit/")
            || path.split('/').any(|part| part == "tests")
        {
            tests.insert(path.clone());
        }
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            // The simulator has some tests' parts, too.
            if line != "#[cfg(test)]" && line != "#[cfg(any(test, feature = \"simulation\"))]" {
                continue;
            }
            let module = lines.find(|l| !l.starts_with("#[")).map(|l| l.strip_prefix("pub ").unwrap_or(l));
            let Some(module) = module.and_then(|l| l.strip_prefix("mod ")?.strip_suffix(';')) else { continue };
            let parent = Path::new(path);
            let dir = match parent.file_stem().and_then(|s| s.to_str()) {
                Some("lib" | "main" | "mod") | None => parent.parent().unwrap_or(Path::new("")).to_path_buf(),
                Some(_) => parent.with_extension(""),
            };
            tests.insert(dir.join(format!("{module}.rs")).to_string_lossy().into_owned());
        }
    }
    tests
}

/// A source without its test module, which stands at the end.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at])
}

/// Says all of it at once: whoever has to mend things wants the whole list.
pub fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn source_files_are_short() {
    let sources = sources();
    let tests = test_files(&sources);
    let long = sources.iter().filter(|(path, _)| !tests.contains(path)).filter_map(|(path, text)| {
        let lines = without_tests(text).lines().count();
        (lines > MAX_LINES).then(|| format!("{path}: {lines} lines without tests, {MAX_LINES} are allowed"))
    });
    none("files that are too long", &long.collect::<Vec<_>>());
}

/// Functions of a source, each with its lines.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else { continue };
        let words = ["pub", "const", "async", "unsafe", "extern", "\"C\""];
        let head = |word: &str| words.contains(&word) || word.starts_with("pub(");
        if !before.split_whitespace().all(head) || code.ends_with('}') || code.ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let count = lines[first..].iter().position(|line| line.starts_with(&end) || *line == "}").map_or(0, |n| n + 1);
        found.push((after.split(['(', '<']).next().unwrap_or_default().to_owned(), count));
    }
    found
}

#[test]
fn functions_are_short() {
    let long = "fn f() {\n    pub async fn g(\n        a: u8,\n    ) {\n        h();\n    }\n}\n";
    assert_eq!(functions(long), [("f".to_owned(), 7), ("g".to_owned(), 5)]);
    let sources = sources();
    let tests = test_files(&sources);
    let mut long = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !tests.contains(path)) {
        let functions = functions(without_tests(text)).into_iter().filter(|(_, lines)| *lines > MAX_FUNCTION);
        long.extend(
            functions.map(|(name, lines)| format!("{path}: {name} has {lines} lines, {MAX_FUNCTION} are allowed")),
        );
    }
    none("functions that are too long", &long);
}

#[test]
fn source_files_open_with_what_they_own() {
    let sources = sources();
    let wrong = sources.iter().filter_map(|(path, text)| {
        let opening = text.lines().take_while(|l| l.starts_with("//! ")).count();
        (!(1..=MAX_OPENING).contains(&opening))
            .then(|| format!("{path}: opens with a `//!` paragraph of {opening} lines, 1 to {MAX_OPENING} are wanted"))
    });
    none("files without an opening", &wrong.collect::<Vec<_>>());
}

/// Each crate, and which of ours it may depend on. The program alone may use all of them; `testkit` is for tests.
const CRATES: [(&str, &[&str]); 16] = [
    ("room", &[]),
    ("sign", &[]),
    ("testkit", &[]),
    ("telemetry", &["sign"]),
    ("media", &["sign"]),
    ("outbound", &["sign", "telemetry"]),
    ("store", &["room", "sign", "telemetry"]),
    ("access", &["media", "room", "sign", "store"]),
    ("chat", &["room", "sign", "store"]),
    ("streams", &["access", "media", "room", "sign", "store"]),
    ("rooms", &["access", "chat", "media", "room", "sign", "store", "streams", "telemetry"]),
    ("edge", &["access", "media", "sign", "store"]),
    ("webhooks", &["media", "outbound", "room", "rooms", "sign", "store", "streams", "telemetry"]),
    ("tencent", &["access", "chat", "outbound", "room", "rooms", "sign", "store", "streams"]),
    ("simulator", &["access", "chat", "media", "room", "rooms", "sign", "store", "streams", "webhooks"]),
    ("server", &[]),
];

#[test]
fn crates_depend_only_on_what_they_may() {
    let there = crates();
    let known: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, known, "the crates that are there, and those in CRATES");
    let mut wrong = Vec::new();
    for (name, may) in CRATES.iter().filter(|(name, _)| *name != "server") {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        let needed = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let needed = needed.split("[dev-dependencies]").next().unwrap_or_default();
        for line in needed.lines() {
            let needs = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if known.contains(needs) && !may.contains(&needs) {
                wrong.push(format!("{name}: {needs}"));
            }
            if needs == "axum" {
                wrong.push(format!("{name}: axum, which is the program's alone"));
            }
        }
    }
    none("dependencies against the order of the house", &wrong);
}

/// Most parts of a door.
const MAX_PARTS: usize = 12;
/// The doors, each with its file: what groups of handlers are given of the server's parts.
const DOORS: [(&str, &str); 8] = [
    ("Web", "web.rs"),
    ("ChatDoor", "chat_door.rs"),
    ("Weapp", "http/weapp/door.rs"),
    ("Callbacks", "http/callback.rs"),
    ("Media", "http/streaming.rs"),
    ("Api", "http/api/door.rs"),
    ("Console", "http/console.rs"),
    ("Health", "http/health.rs"),
];

#[test]
fn handlers_take_doors_and_doors_are_small() {
    let mut wrong = Vec::new();
    for (door, file) in DOORS {
        let text = read(&format!("crates/server/src/{file}"));
        let fields = text.split(&format!("pub struct {door} {{\n")).nth(1).and_then(|rest| rest.split("\n}").next());
        let fields = fields.unwrap_or_else(|| panic!("{file} has no {door}"));
        let parts = fields.lines().filter(|line| line.trim_start().starts_with("pub ")).count();
        if !(1..=MAX_PARTS).contains(&parts) {
            wrong.push(format!("{file}: {door} has {parts} parts, 1 to {MAX_PARTS} are wanted"));
        }
    }
    let sources = sources();
    let tests = test_files(&sources);
    let handlers = ["http", "ws", "webim"].map(|dir| format!("crates/server/src/{dir}"));
    for (path, text) in sources.iter().filter(|(path, _)| !tests.contains(path)) {
        let handles = handlers.iter().any(|dir| path.starts_with(&format!("{dir}/")) || *path == format!("{dir}.rs"));
        if handles && without_tests(text).contains("crate::parts") {
            wrong.push(format!("{path}: takes all parts instead of a door"));
        }
    }
    none("doors", &wrong);
}

#[test]
fn names_say_something() {
    let empty = files().into_iter().map(|(path, _)| path).filter(|path| {
        let stem = |part: &str| part.split('.').next().unwrap_or_default().to_owned();
        path.split('/').any(|part| EMPTY_NAMES.contains(&stem(part).as_str()))
            && path != "crates/server/src/http/weapp/utils.rs"
    });
    none("names that say nothing", &empty.collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_to_do_or_to_chance() {
    let sources = sources();
    let tests = test_files(&sources);
    let calls = ["todo!(", "unimplemented!(", ".unwrap()", "dbg!("];
    let mut found = Vec::new();
    // Examples measure, and may stop at what is unexpected.
    let code = sources.iter().filter(|(path, _)| !tests.contains(path) && !path.contains("/examples/"));
    for (path, text) in code {
        for (number, line) in without_tests(text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(call) = calls.iter().find(|call| code.contains(**call)) {
                found.push(format!("{path}:{}: {call}", number + 1));
            }
        }
    }
    none("calls that must not be in code", &found);
}

#[test]
fn no_merge_is_left_half_done() {
    // Put together here, so that this file has none. A line of seven `=` alone is a heading in some documents.
    let markers = ["<", "|", ">"].map(|sign| sign.repeat(7));
    let mut found = Vec::new();
    for (path, text) in files() {
        for (number, line) in text.lines().enumerate() {
            let rest = markers.iter().find_map(|marker| line.strip_prefix(marker.as_str()));
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) || line == "=".repeat(7) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    none("marks of a merge that was not finished", &found);
}

#[test]
fn tests_bound_what_they_start() {
    let sources = sources();
    let tests = test_files(&sources);
    let mut found = Vec::new();
    for (path, text) in &sources {
        let text = if tests.contains(path) { text.as_str() } else { &text[without_tests(text).len()..] };
        let unbounded = |line: &&str| line.contains("Command::new(") && !line.contains("\"Command");
        // The bench ends what it starts by itself, and is no test.
        if path != "crates/testkit/src/bounded.rs" && !path.starts_with("bench/") {
            found.extend(text.lines().filter(unbounded).map(|line| format!("{path}: {}", line.trim())));
        }
    }
    none("programs that a test starts without `testkit::bounded::program`, which bounds and ends them", &found);
}

/// Files that are no text, what makes each, and how large it may be. Seeds of fuzzing are bytes by their nature.
const NO_TEXTS: [(&str, &str, usize); 1] = [("docs/pictures/call.webp", "docs/pictures/film", 1_200_000)];

#[test]
fn files_that_are_no_text_are_few_and_can_be_made_anew() {
    let mut wrong = Vec::new();
    let bytes = every_file()
        .into_iter()
        .filter(|(path, bytes)| !path.starts_with("fuzz/seeds/") && std::str::from_utf8(bytes).is_err());
    for (path, bytes) in bytes {
        match NO_TEXTS.iter().find(|(named, ..)| *named == path) {
            None => wrong.push(format!("{path}: nothing says what makes it")),
            Some((_, _, most)) if bytes.len() > *most => wrong.push(format!("{path}: more than {most} bytes")),
            Some((_, maker, _)) if !root().join(maker).exists() => wrong.push(format!("{path}: there is no {maker}")),
            Some(_) => {}
        }
    }
    none("files that are no text, and no exceptions", &wrong);
}

#[test]
fn no_file_knows_whose_machine_it_was_written_on() {
    // Put together here, so that this file does not name them.
    let places = ["work", "home", "root", "Users"].map(|dir| format!("/{dir}/"));
    let mut found = Vec::new();
    for (path, text) in files() {
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || ".-_/}~$".contains(c));
                if line.match_indices(place.as_str()).any(|(at, _)| begins(at)) {
                    found.push(format!("{path}:{}: {place}", number + 1));
                }
            }
        }
    }
    none("paths of somebody's machine", &found);
}

/// The variants of an enum, as its source has them.
fn variants<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let body = text.split(&format!("enum {name} {{\n")).nth(1).and_then(|rest| rest.split("\n}").next());
    let lines = body.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    variants.map(|line| line.split([',', ' ', '(', '{']).next().unwrap_or_default()).collect()
}

/// Tables are as long as these lists, and a variant stands in them where its number says: one that is forgotten would be a panic.
#[test]
fn lists_of_all_variants_are_whole_and_in_order() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in sources() {
        let code = without_tests(&text);
        for line in code.lines() {
            // An item of an impl: lists of other things stand elsewhere.
            let item = line.strip_prefix("    ").map(|item| item.strip_prefix("pub ").unwrap_or(item));
            if !item.is_some_and(|item| item.starts_with("const ALL: [")) {
                continue;
            }
            let at = line.as_ptr().addr() - text.as_ptr().addr();
            let (_, rest) = text[..at].rsplit_once("\nimpl ").expect("a list of all is the enum's");
            let name = rest.split([' ', '{']).next().unwrap_or_default();
            let list = text[at..].split("];").next().unwrap_or_default();
            let of = [format!("{name}::"), "Self::".to_owned()];
            let items = list.split(['[', ',']).map(str::trim);
            let items: Vec<&str> =
                items.filter_map(|item| of.iter().find_map(|of| item.strip_prefix(of.as_str()))).collect();
            seen += 1;
            if items.is_empty() || items != variants(&text, name) {
                wrong.push(format!("{path}: {name}::ALL has {items:?}, {name} has {:?}", variants(&text, name)));
            }
        }
    }
    assert!(seen >= 7, "only {seen} lists were found");
    none("lists that are not all", &wrong);
}

/// What stands between backticks and is a path: it has a slash or a file's ending, and nothing that a path has not.
fn paths_in(text: &str) -> Vec<String> {
    let endings = [".rs", ".md", ".toml", ".sh", ".js", ".html", ".conf", ".json"];
    let mut prose = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let spans = prose.split('`').skip(1).step_by(2);
    let is_path = |s: &&str| {
        let plain = s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) && !s.starts_with('/');
        plain && (endings.iter().any(|e| s.ends_with(e)) || s.contains('/') && !s.contains("//"))
    };
    spans.filter(is_path).map(str::to_owned).collect()
}

#[test]
fn named_paths_exist() {
    let mut missing = Vec::new();
    let documents = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/README.md"];
    let names_paths = |path: &str| documents.contains(&path) || path.starts_with("docs/decisions/0");
    for (document, text) in files().into_iter().filter(|(path, _)| names_paths(path)) {
        let named = paths_in(&text);
        assert!(!named.is_empty(), "{document} names no path: the search is broken");
        missing.extend(named.into_iter().filter(|p| !root().join(p).exists()).map(|p| format!("{document}: {p}")));
    }
    none("paths that do not exist", &missing);
}

/// Files of ours that comments of a source name: by their endings, with or without a directory.
fn files_in_comments(text: &str) -> Vec<&str> {
    let comments = text.lines().filter_map(|line| line.split_once("//"));
    let comments = comments.filter(|(code, _)| !code.ends_with(':')).map(|(_, comment)| comment);
    let words = comments.filter(|comment| !comment.contains("://")).flat_map(|comment| {
        comment.split(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c)).map(|word| word.trim_matches('.'))
    });
    let named = |word: &&str| [".rs", ".md", ".sh"].iter().any(|end| word.len() > end.len() && word.ends_with(end));
    words.filter(named).filter(|word| !word.starts_with('/')).collect()
}

#[test]
fn files_that_comments_name_exist() {
    assert_eq!(
        files_in_comments("let a = 1; // docs/no.md, and `b.rs`.\n//! See https://a.example/c.md"),
        ["docs/no.md", "b.rs"]
    );
    let mut missing = Vec::new();
    let mut seen = 0;
    for (path, text) in sources() {
        let file = root().join(&path);
        // From the root, beside the file, or in the directory of its module.
        let places = [root(), file.parent().expect("it is in a directory").to_owned(), file.with_extension("")];
        for named in files_in_comments(&text) {
            seen += 1;
            if !places.iter().any(|place| place.join(named).exists()) {
                missing.push(format!("{path}: {named}"));
            }
        }
    }
    assert!(seen > 20, "only {seen} were found: the search is broken");
    none("files that comments name and that do not exist", &missing);
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/decisions/README.md");
    let all = files()
        .into_iter()
        .filter_map(|(path, _)| path.strip_prefix("docs/decisions/0").map(|name| format!("0{name}")));
    let all: Vec<String> = all.collect();
    assert!(all.len() > 30, "the decisions were not found");
    let missing: Vec<String> = all.into_iter().filter(|name| !index.contains(&format!("({name})"))).collect();
    none("decisions that docs/decisions/README.md does not have", &missing);
}

#[test]
fn named_tests_exist() {
    let sources = sources();
    let document = read("docs/protocol.md");
    let named: Vec<&str> = document.split("`").filter(|s| s.contains("::")).collect();
    assert!(!named.is_empty(), "docs/protocol.md names no test: the search is broken");
    let missing = named.into_iter().filter_map(|name| {
        let (file, test) = name.rsplit_once("::")?;
        let text = sources.iter().find(|(path, _)| path == file).map(|(_, text)| text.as_str()).unwrap_or_default();
        (!text.contains(&format!("fn {test}("))).then(|| name.to_owned())
    });
    none("tests that docs/protocol.md names and that do not exist", &missing.collect::<Vec<_>>());
}

#[test]
fn every_call_and_code_is_documented() {
    let table = read("crates/server/src/http/weapp/name.rs");
    let (_, tables) = table.split_once("\ncalls! {").expect("the tables of calls");
    let lines = tables.lines().filter(|line| line.ends_with("\";") && line.contains(", \""));
    let calls: Vec<&str> = lines.flat_map(|l| l.split('"').skip(1).step_by(2)).collect();
    assert!(calls.len() > 35, "the tables of calls were not found");

    let replies = read("crates/server/src/http/weapp/reply.rs");
    let table =
        replies.split("\ncodes! {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("the table of codes");
    let code = |line: &str| Some(line.split_once(" = ")?.1.trim_end_matches(',').to_owned());
    let codes: Vec<String> = table.lines().filter_map(code).collect();
    assert!(codes.len() > 10, "the codes were not found");
    for path in ["docs/protocol.md", "docs/protocol.zh-CN.md"] {
        let document = read(path);
        let call = calls.iter().filter(|call| !document.contains(&format!("`{call}`")));
        let mut missing: Vec<String> = call.map(|call| format!("{path}: {call}")).collect();
        let code = codes.iter().filter(|code| !document.contains(&format!("| {code} |")));
        missing.extend(code.map(|code| format!("{path}: {code}")));
        none("calls and codes that a document does not have", &missing);
    }
}

#[test]
fn every_figure_is_documented() {
    let sources = ["crates/server/src/report.rs", "crates/server/src/report/media.rs", "crates/server/src/metrics.rs"];
    let text: String = sources.iter().map(|path| read(path)).collect();
    let is_figure = |s: &&str| {
        let name = s.strip_prefix("roomservice_").or(s.strip_prefix("process_")).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let figures: BTreeSet<&str> = text.split('"').filter(is_figure).collect();
    assert!(figures.len() > 50, "only {} figures were found: the search is broken", figures.len());
    let mut wrong = Vec::new();
    for path in ["docs/metrics.md", "docs/metrics.zh-CN.md"] {
        let document = read(path);
        let named: BTreeSet<&str> = document.split('`').filter(is_figure).collect();
        wrong.extend(figures.difference(&named).map(|name| format!("{path} has not {name}")));
        wrong.extend(named.difference(&figures).map(|name| format!("{path}: there is no {name}")));
    }
    none("figures of /metrics and their document", &wrong);
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in files().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let dir = root().join(&path).parent().expect("a file is in a directory").to_path_buf();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.contains(' ') && !dir.join(target).exists() {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    none("links that lead nowhere", &broken);
}

fn headings(text: &str) -> Vec<usize> {
    let mut fenced = false;
    let level = |line: &str| {
        fenced ^= line.starts_with("```");
        (!fenced && line.starts_with('#')).then(|| line.bytes().take_while(|b| *b == b'#').count())
    };
    text.lines().filter_map(level).collect()
}

fn blocks(text: &str) -> Vec<&str> {
    text.split("\n```").skip(1).step_by(2).collect()
}

#[test]
fn both_readmes_say_the_same() {
    let english = read("README.md");
    let chinese = read("README.zh-CN.md");
    assert_eq!(headings(&english), headings(&chinese), "the headings differ");
    assert!(blocks(&english).len() > 3, "too few blocks: the search is broken");
    assert_eq!(blocks(&english), blocks(&chinese), "the commands differ");
    let rows = |text: &str| text.lines().filter(|l| l.starts_with('|')).count();
    assert_eq!(rows(&english), rows(&chinese), "the tables differ");
}
