//! Files as people have them.

use proptest::prelude::*;

use crate::config::Settings;
use tencent::import::*;

const FILE: &str = r#"
// 配置
const CONF = {
    port: '5757',
    /* 需要开通云直播服务: { not an object } */
    live: {
        bizid: 8525, // "comment"
        pushSecretKey: 'b63e54ac9a2ac4c3a5c3e6c37c9a1bb5',
        validTime: 3600*24*7,
        playHost: "www.yourcomp.com",
        appID: 1252463788, APIKey: '5d41402abc4b2a76b9719d911017c592',
    },
    im: {
        sdkAppID: "1400042982", accountType: 17802,
        administrator: `admin`,
        privateKey: "-----BEGIN PRIVATE KEY-----\r\n" +
            'AAAA\n' +
            "-----END PRIVATE KEY-----\r\n",
        fromEnvironment: process.env.KEY || 'x',
    },
    multi_room: { heartBeatTimeout: 20, maxMembers: 4, creatorCanDestroyRoom: true, maxIdleDuration: 30 },
    live_room: { heartBeatTimeout: 25, maxMembers: 4, maxAudiencesLen: 30, merge() { return { a: 1 } }, ...others },
    list: [1, 2, { b: 3 }],
    qcloudAppId: null,
}
function helper(a) { return a; }
module.exports = CONF;
"#;

#[test]
fn the_first_servers_file_becomes_ours() {
    let imported = import(FILE).unwrap();
    let settings: Settings = toml::from_str(&imported.toml).unwrap_or_else(|e| panic!("{e}\n{}", imported.toml));
    assert_eq!(settings.http.listen.port(), 5757);
    assert_eq!((settings.live.bizid, settings.live.valid_time), (8525, 604_800));
    assert_eq!(settings.live.push_secret_key.expose(), "b63e54ac9a2ac4c3a5c3e6c37c9a1bb5");
    assert_eq!(settings.live.play_host, "www.yourcomp.com");
    assert_eq!(settings.live.tencent.app_id, 1_252_463_788);
    assert_eq!((settings.im.sdk_app_id, settings.im.account_type.as_str()), (1_400_042_982, "17802"));
    assert_eq!(settings.im.administrator, "admin");
    assert_eq!(settings.im.private_key.expose(), "-----BEGIN PRIVATE KEY-----\r\nAAAA\n-----END PRIVATE KEY-----\r\n");
    assert!(settings.rooms.creator_can_destroy);
    assert_eq!(settings.rooms.heartbeat_timeout, 20);
    assert_eq!(imported.taken, 16);
    let notes = imported.notes.join("\n");
    for name in ["im.fromEnvironment", "live_room.heartBeatTimeout", "list", "qcloudAppId"] {
        assert!(notes.contains(name), "{name} in {notes}");
    }
    assert!(!notes.contains("5d41402a") && !notes.contains("BEGIN"), "no key is repeated");
}

#[test]
fn other_ways_to_export_are_found() {
    for file in [
        "module.exports = { live: { bizid: 1 } };",
        "var other = { live: { bizid: 2 } }; module.exports = { live: { bizid: 1 } }",
        "export default { live: { bizid: 1 } }",
        "{ \"live\": { \"bizid\": 1 } }",
        "const path = require('path');\nconst c = { live: { bizid: 1 } }\nmodule.exports = process.env.X ? c : Object.assign(c)",
    ] {
        let imported = import(file).unwrap();
        assert!(imported.toml.contains("bizid = 1"), "{file}\n{}", imported.toml);
    }
}

#[test]
fn mistakes_name_the_line() {
    assert!(import("module.exports = {\n live: {\n bizid: 1\n pushSecretKey: 'x' } }").is_ok(), "passed over");
    assert!(import("module.exports = {\n live: {\n key: 'never ends\n } }").unwrap_err().starts_with("line 3"));
    assert!(import("nothing here").is_err());
    assert!(import(&"{a:".repeat(100)).is_err());
    assert!(import(&" ".repeat(300_000)).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "(module.exports|=|\\{|\\}|[a-z:,'\"`+*/\\\\(){}\\[\\] \n0-9$.é-]){0,60}") {
        if let Ok(imported) = import(&text) {
            prop_assert!(imported.toml.parse::<toml::Table>().is_ok());
        }
    }
}
