//! `[live.tencent]`: what can be set about Tencent's live service, and what can be wrong about it.

use serde::{Deserialize, Serialize};

use sign::Secret;

/// Which API is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// API 3.0.
    #[default]
    #[serde(rename = "3.0")]
    New,
    /// The retired `common_access`.
    #[serde(rename = "2.0")]
    Old,
}

/// `[live.tencent]`. Domains and keys of URLs stand in `[live]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Who calls API 3.0.
    pub secret_id: String,
    /// Signs calls to API 3.0.
    pub secret_key: Secret,
    /// The host of API 3.0; `http://` before it means without TLS.
    pub host: String,
    /// Most calls in a second.
    pub rate: u32,
    /// The path before the stream's name in URLs.
    pub app_name: String,
    /// Whether play URLs are `https`.
    pub play_https: bool,
    /// The key that signs the service's event callbacks; empty: they are not accepted.
    pub callback_key: Secret,
    /// The last part of the callbacks' path.
    pub callback_path: String,
    /// `3.0` or `2.0`.
    pub api: Version,
    /// The live account's number, for API 2.0.
    #[serde(rename = "appID")]
    pub app_id: u64,
    /// Signs calls to API 2.0.
    #[serde(rename = "APIKey")]
    pub api_key: Secret,
    /// The host of API 2.0.
    pub old_host: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret_id: String::new(),
            secret_key: Secret::default(),
            host: "live.tencentcloudapi.com".into(),
            rate: 200,
            app_name: "live".into(),
            play_https: false,
            callback_key: Secret::default(),
            callback_path: "live".into(),
            api: Version::New,
            app_id: 0,
            api_key: Secret::default(),
            old_host: "http://fcgi.video.qcloud.com".into(),
        }
    }
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        let mut need = |good: bool, problem: &str| {
            if !good {
                found.push(format!("live.tencent.{problem}"));
            }
        };
        match self.api {
            Version::New => {
                need(!self.secret_id.is_empty(), "secretId must be set");
                need(!self.secret_key.is_empty(), "secretKey must be set");
                need(outbound::is_host(&self.host), "host must be a host, without a path");
            }
            Version::Old => {
                need(self.app_id != 0, "appID must be set");
                need(!self.api_key.is_empty(), "APIKey must be set");
                need(outbound::is_host(&self.old_host), "oldHost must be a host, without a path");
            }
        }
        need(self.rate != 0, "rate must be at least 1");
        need(outbound::is_path_part(&self.app_name), "appName must be letters, digits, '-' and '_'");
        need(outbound::is_path_part(&self.callback_path), "callbackPath must be letters, digits, '-' and '_'");
    }
}
