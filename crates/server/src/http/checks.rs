//! What is wrong with the settings: what they show by themselves, and what the services that they name say of them.

use std::sync::Arc;

use crate::config::Settings;
use streams::live::Live;
use tencent::clouds::Clouds;

/// What is looked at, and who is asked.
#[derive(Clone)]
pub struct Checks {
    /// What was configured.
    pub settings: Arc<Settings>,
    /// Services outside of this process, where they are configured.
    pub clouds: Arc<Clouds>,
    /// The live service.
    pub live: Arc<dyn Live>,
}

impl Checks {
    /// What can be seen to be wrong without asking a service.
    pub fn problems(&self) -> Vec<String> {
        let mut found = self.settings.problems();
        found.extend(self.settings.warnings());
        found.extend(self.live.lacks());
        found
    }

    /// The same, and what every configured service says of its settings.
    pub async fn ask(&self) -> Vec<String> {
        let mut found = self.problems();
        let said = self.clouds.check().await;
        let said = said.live.into_iter().chain(said.im);
        found.extend(said.map(|finding| format!("{}: {}", finding.setting, finding.why)));
        found
    }
}
