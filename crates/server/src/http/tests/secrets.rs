//! What logs never hold.

use super::*;

/// All log files of a server, one after the other.
pub fn logs(kit: &Kit) -> String {
    kit.app.logs.flush();
    let paths = kit.app.logs.list().into_iter().filter_map(|entry| kit.app.logs.path(&entry.name));
    paths.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn logs_hold_every_call_and_no_secret() {
    let kit = Kit::new();
    let info = kit.get("/weapp/utils/get_login_info?userID=alice").await.json();
    let user_sig = info["userSig"].as_str().unwrap();
    let alice = kit.login("live_room", "alice", Generation::First).await;
    let url = alice.push_url().await;
    let secret = url.split("txSecret=").nth(1).unwrap().split('&').next().unwrap();
    alice.enter("r").await;
    // Mistakes too: a signature that fails, a forged URL, a token in the wrong place.
    let login = format!("/weapp/live_room/login?sdkAppID=1&accountType=0&userID=alice&userSig={user_sig}");
    assert_eq!(kit.post(&login, "application/json", "").await.outcome(), (200, 7));
    let forged = url.replace("txTime=6", "txTime=7");
    let body = json!({ "roomID": "r", "userName": "", "userAvatar": "", "pushURL": forged });
    assert_eq!(alice.own("add_pusher", body).await["code"], 1);
    kit.post(&alice.path("no_such_call"), "text/xml", alice.token.clone()).await;
    kit.get(&format!("/weapp/utils/getlogfile?file={}", alice.token)).await;
    let smuggled = format!("/weapp/live_room/get_pushers%26userID=alice%26token={}", alice.token);
    kit.post(&smuggled, "application/json", "{}").await;
    alice.own("logout", json!({})).await;
    let log = logs(&kit);
    for call in ["login 200 0 user=alice", "add_pusher 200 1 user=alice", "logout 200 0 user=alice", "peer=127.0.0.1"] {
        assert!(log.contains(call), "{call} is not in the log:\n{log}");
    }
    assert!(log.contains("404"), "{log}");
    for (what, secret) in [("token", alice.token.as_str()), ("userSig", user_sig), ("txSecret", secret)] {
        let part = &secret[..secret.len().min(24)];
        assert!(!log.contains(part), "a {what} is in the log:\n{log}");
    }
    let names = std::fs::read_dir(kit.directory.0.join("logs")).unwrap().count();
    assert_eq!(names, 2, "response and error");
}
