//! What can be wrong with the settings of Tencent's services. Looks at the settings of services in use only.

use chat::Provider as ChatProvider;
use outbound::{is_host, is_path_part};
use streams::live::{Provider as LiveProvider, Version};

use crate::clouds::Sections;

impl Sections<'_> {
    /// Adds what is wrong with the settings of the services that are in use.
    pub fn problems(&self, found: &mut Vec<String>) {
        if self.live.provider == LiveProvider::Tencent {
            found.extend(live_problems(&self.live.tencent).map(|problem| format!("live.tencent.{problem}")));
        }
        if self.chat.provider == ChatProvider::Tencent {
            found.extend(chat_problems(&self.chat.tencent).map(|problem| format!("chat.tencent.{problem}")));
        }
    }
}

fn chat_problems(settings: &chat::TencentSettings) -> impl Iterator<Item = String> {
    let host = format!("host = \"{}\" must be a host, without a path", settings.host);
    let checks = [
        (settings.rate != 0, "rate must be at least 1".to_owned()),
        (is_host(&settings.host), host),
        (is_path_part(&settings.callback_path), "callbackPath must be letters, digits, '-' and '_'".to_owned()),
    ];
    checks.into_iter().filter(|(good, _)| !good).map(|(_, problem)| problem)
}

fn live_problems(settings: &streams::live::TencentSettings) -> impl Iterator<Item = &'static str> {
    let of_the_api = match settings.api {
        Version::New => [
            (!settings.secret_id.is_empty(), "secretId must be set"),
            (!settings.secret_key.is_empty(), "secretKey must be set"),
            (is_host(&settings.host), "host must be a host, without a path"),
        ],
        Version::Old => [
            (settings.app_id != 0, "appID must be set"),
            (!settings.api_key.is_empty(), "APIKey must be set"),
            (is_host(&settings.old_host), "oldHost must be a host, without a path"),
        ],
    };
    let of_both = [
        (settings.rate != 0, "rate must be at least 1"),
        (is_path_part(&settings.app_name), "appName must be letters, digits, '-' and '_'"),
        (is_path_part(&settings.callback_path), "callbackPath must be letters, digits, '-' and '_'"),
    ];
    of_the_api.into_iter().chain(of_both).filter(|(good, _)| !good).map(|(_, problem)| problem)
}
