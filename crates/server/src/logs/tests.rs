//! Which files the list shows and hands out.

use super::*;

#[test]
fn only_logs_are_handed_out() {
    let data = std::env::temp_dir().join(format!("roomservice-logs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    let logs = Logs::open(&Settings::default(), &data).unwrap();
    std::fs::write(data.join("logs/response/secret.toml"), "key").unwrap();
    std::fs::write(data.join("development-keys.toml"), "key").unwrap();
    std::os::unix::fs::symlink(data.join("development-keys.toml"), data.join("logs/error/error-2020-01-01-00.log"))
        .unwrap();
    let names: Vec<_> = logs.list().into_iter().map(|e| e.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        assert!(logs.path(name).is_some());
    }
    for bad in [
        "response/secret.toml",
        "response/../development-keys.toml",
        "../development-keys.toml",
        "error/../../development-keys.toml",
        "response/response-../../x-000.log",
        "error/error-2020-01-01-00.log",
        "/etc/passwd",
        "response/",
        "",
        "response",
        "response/response-2020-01-01-00.log",
    ] {
        assert_eq!(logs.path(bad), None, "{bad}");
    }
    drop(logs);
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn the_newest_lines_are_shown_and_searched() {
    let dir = std::env::temp_dir().join(format!("roomservice-tail-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let logs = Logs::open(&Settings::default(), &dir).unwrap();
    let mut tail = logs.tail();
    for i in 0..5u64 {
        logs.response(Millis(1_700_000_000_000 + i), format_args!("call {i} of Ada"));
    }
    let texts = |lines: Vec<Line>| lines.iter().map(|l| l.text.to_string()).collect::<Vec<_>>();
    assert_eq!(tail.try_recv().unwrap().text.as_ref(), "2023-11-14T22:13:20.000Z call 0 of Ada");
    assert_eq!(
        texts(logs.last(2)),
        ["2023-11-14T22:13:20.003Z call 3 of Ada", "2023-11-14T22:13:20.004Z call 4 of Ada"]
    );
    assert_eq!(texts(logs.search("CALL 3", 10)), ["2023-11-14T22:13:20.003Z call 3 of Ada"]);
    assert_eq!(logs.search("ada", 3).len(), 3);
    assert!(logs.search("nobody", 3).is_empty());
    drop(logs);
    std::fs::remove_dir_all(dir).unwrap();
}
