//! Which files the list shows and hands out.

use super::*;

#[test]
fn only_logs_are_handed_out() {
    let data = std::env::temp_dir().join(format!("roomservice-logs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    let logs = Logs::open(&Settings::default(), &data, None).unwrap();
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
    let logs = Logs::open(&Settings::default(), &dir, None).unwrap();
    let mut tail = logs.tail();
    for i in 0..5u64 {
        let answered = Answered {
            request: &i,
            method: "POST",
            path: "/weapp/live_room/login",
            status: 200,
            code: 0,
            user: Some("Ada"),
            peer: None,
            ms: u128::from(i),
        };
        logs.answered(1_700_000_000_000 + i, &answered);
    }
    let line = |i| format!("2023-11-14T22:13:20.00{i}Z {i} POST /weapp/live_room/login 200 0 user=Ada peer=- {i}ms");
    let texts = |lines: Vec<Line>| lines.iter().map(|l| l.text.to_string()).collect::<Vec<_>>();
    assert_eq!(tail.try_recv().unwrap().text.as_ref(), line(0));
    assert_eq!(texts(logs.last(2)), [line(3), line(4)]);
    assert_eq!(texts(logs.search("PEER=- 3", 10)), [line(3)]);
    assert_eq!(logs.search("ada", 3).len(), 3);
    assert!(logs.search("nobody", 3).is_empty());
    drop(logs);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn answers_can_be_json() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(&Settings { format: Format::Json, ..Settings::default() }, data.path(), None).unwrap();
    let answered = Answered {
        request: &"0001-000002",
        method: "POST",
        path: "/weapp/live_room/login",
        status: 200,
        code: 7,
        user: Some("a\\b"),
        peer: Some([203, 0, 113, 9].into()),
        ms: 3,
    };
    logs.answered(1_700_000_000_000, &answered);
    logs.flush();
    let entry = logs.list().into_iter().find(|entry| entry.name.starts_with("response/")).unwrap();
    let text = std::fs::read_to_string(logs.path(&entry.name).unwrap()).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["time"], 1_700_000_000_000_u64);
    assert_eq!(
        (&line["user"], &line["peer"], &line["request"]),
        (&"a\\b".into(), &"203.0.113.9".into(), &"0001-000002".into())
    );
    let mut line = Vec::new();
    answered.append_to(&mut line);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "0001-000002 POST /weapp/live_room/login 200 7 user=a\\b peer=203.0.113.9 3ms"
    );
}

#[test]
fn a_flood_of_refused_calls_has_a_line_a_second() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(&Settings { format: Format::Json, ..Settings::default() }, data.path(), None).unwrap();
    let mut tail = logs.tail();
    let answered = |status| Answered {
        request: &1,
        method: "POST",
        path: "/weapp/live_room/login",
        status,
        code: i32::from(status),
        user: None,
        peer: Some([203, 0, 113, 9].into()),
        ms: 0,
    };
    for _ in 0..10_000 {
        logs.answered(1_700_000_000_000, &answered(429));
    }
    logs.answered(1_700_000_000_000, &answered(200));
    logs.end();
    let entry = logs.list().into_iter().find(|entry| entry.name.starts_with("response/")).unwrap();
    let text = std::fs::read_to_string(logs.path(&entry.name).unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() <= 5, "{text}");
    let refused: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
    assert_eq!(refused, 10_000, "{text}");
    assert_eq!(lines.iter().filter(|line| line["status"] == 200).count(), 1, "{text}");
    let shown: Vec<_> = std::iter::from_fn(|| tail.try_recv().ok()).collect();
    assert!(shown.iter().any(|line| line.text.contains("refused with 429: peer=203.0.113.9 ")), "{shown:?}");
}
