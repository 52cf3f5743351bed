//! `[live.tencent]`: what can be set about Tencent's live service. The crate `tencent` says what can be wrong.

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
pub struct TencentSettings {
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

impl Default for TencentSettings {
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
