//! A reload: every setting that is said to be reloadable reaches its part.

use std::net::IpAddr;

use room::{RoomId, UserId};

use super::*;
use crate::config::Settings;
use crate::drain::Patience;
use crate::reload::{RELOADABLE, Reload};
use streams::live::{Base, Scheme, Urls};

const BACKUP: &str = "backup key of the tests";
const KEY: &str = "an operator's key of the tests";

fn change(settings: &mut Settings, name: &str) {
    match name {
        "http.cors" => settings.http.cors = "https://app.example.com".into(),
        "http.body_limit" => settings.http.body_limit += 1,
        "http.read_timeout" => settings.http.read_timeout += 1,
        "http.write_timeout" => settings.http.write_timeout += 1,
        "http.trusted_proxies" => settings.http.trusted_proxies = vec!["192.0.2.1".into()],
        "limits." => settings.limits.user_streams += 1,
        "webhooks." => settings.webhooks.urls = vec!["http://127.0.0.1:1/hook".into()],
        "operator.keys" => settings.operator.keys = vec![Secret::new(KEY)],
        "operator.read_keys" => settings.operator.read_keys = vec![Secret::new(KEY)],
        "live.backupPushSecretKey" => settings.live.backup_push_secret_key = Secret::new(BACKUP),
        "chat.max_connections" => settings.chat.max_connections += 1,
        "chat.address_listeners" => settings.chat.address_listeners += 1,
        "chat.max_frame" => settings.chat.max_frame += 1,
        "chat.rate" => settings.chat.rate += 1,
        "chat.burst" => settings.chat.burst += 1,
        "chat.queue" => settings.chat.queue += 1,
        "chat.queue_bytes" => settings.chat.queue_bytes += 1,
        "chat.idle_timeout" => settings.chat.idle_timeout += 1,
        other => panic!("{other}: nothing here changes it"),
    }
}

/// What the part that a setting is for goes by now.
fn held(parts: &Parts, name: &str) -> String {
    let now = parts.clock.now();
    match name {
        "http.cors" => {
            let mut headers = HeaderMap::new();
            parts.cors.apply(&mut headers, false);
            format!("{headers:?}")
        }
        "http.body_limit" => parts.http.body_limit().to_string(),
        "http.read_timeout" => format!("{:?}", parts.http.read_timeout()),
        "http.write_timeout" => format!("{:?}", parts.http.write_timeout()),
        "http.trusted_proxies" => parts.proxies.trusts(IpAddr::from([192, 0, 2, 1])).to_string(),
        "limits." => format!("{:?}", parts.limits.settings()),
        "webhooks." => parts.hooks.as_ref().expect("the journal keeps a record").is_on().to_string(),
        "operator.keys" | "operator.read_keys" => parts.operators.admit(Some(KEY), now).is_some().to_string(),
        "live.backupPushSecretKey" => {
            let live = streams::live::Settings { push_secret_key: Secret::new(BACKUP), ..parts.settings.live.clone() };
            let others = Urls::new(&live, 1935);
            let room = RoomId::parse("r").unwrap();
            let stream = others.stream(Some(&room), &UserId::parse("alice").unwrap(), 0).unwrap();
            let url = others.push(&Base { scheme: Scheme::Http, authority: HOST }, &stream, now);
            let query = url.split_once('?').unwrap().1;
            parts.urls.may_push(stream.as_str(), query, now).is_ok().to_string()
        }
        "chat.max_connections" => parts.chat.settings().max_connections.to_string(),
        "chat.address_listeners" => parts.chat.settings().address_listeners.to_string(),
        "chat.max_frame" => parts.chat.settings().max_frame.to_string(),
        "chat.rate" => parts.chat.settings().rate.to_string(),
        "chat.burst" => parts.chat.settings().burst.to_string(),
        "chat.queue" => parts.chat.settings().queue.to_string(),
        "chat.queue_bytes" => parts.chat.settings().queue_bytes.to_string(),
        "chat.idle_timeout" => parts.chat.settings().idle_timeout.to_string(),
        other => panic!("{other}: nothing here reads it back"),
    }
}

#[tokio::test]
async fn every_reloadable_setting_reaches_its_part() {
    let set = |settings: &mut Settings| {
        settings.store.kind = store::Place::Journal;
        // In development mode everybody is an operator.
        settings.mode = crate::config::Mode::Production;
    };
    let kit = Kit::with(set, |_| {}).await;
    for name in RELOADABLE.into_iter().filter(|name| !["drain_timeout", "logs.level"].contains(name)) {
        let before = held(&kit.app, name);
        let mut settings = (*kit.app.settings).clone();
        change(&mut settings, name);
        kit.app.apply(&settings).unwrap();
        assert_ne!(held(&kit.app, name), before, "{name}");
        kit.app.apply(&kit.app.settings).unwrap();
        assert_eq!(held(&kit.app, name), before, "{name}");
    }
    // A second server of a process does not set the first one's log: that it is asked is seen by what it refuses.
    let mut settings = (*kit.app.settings).clone();
    settings.logs.level = "roomservice=[".into();
    assert!(kit.app.apply(&settings).unwrap_err().contains("logs.level"));
}

#[tokio::test]
async fn a_reload_sets_how_long_sessions_may_go_on() {
    let kit = Kit::new().await;
    let file = kit.directory.0.join("roomservice.toml");
    let write = |seconds: u64| {
        let text = format!("drain_timeout = {seconds}\ndata_dir = {:?}\n", kit.directory.0);
        std::fs::write(&file, text).unwrap();
    };
    write(5);
    let (_, mut reload) = Reload::load(Some(file.clone()), Vec::new()).unwrap();
    write(7);
    reload.read_again(&kit.app);
    assert_eq!(reload.drain_timeout, Patience::Seconds(7));
}
