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
