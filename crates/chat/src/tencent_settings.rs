//! `[chat.tencent]`: what can be set about Tencent's chat service. The crate `tencent` says what can be wrong.

use serde::{Deserialize, Serialize};

use sign::Secret;

/// `[chat.tencent]`. App, administrator and keys stand in `[im]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TencentSettings {
    /// The host of the REST interface, in the app's region; `http://` before it means without TLS.
    pub host: String,
    /// Most calls of one command in a second.
    pub rate: u32,
    /// The token that signs the service's callbacks; empty: they are not accepted.
    #[serde(rename = "callbackToken")]
    pub callback_token: Secret,
    /// The last part of the callbacks' path.
    #[serde(rename = "callbackPath")]
    pub callback_path: String,
}

impl Default for TencentSettings {
    fn default() -> Self {
        Self {
            host: "console.tim.qq.com".into(),
            rate: 200,
            callback_token: Secret::default(),
            callback_path: "im".into(),
        }
    }
}
