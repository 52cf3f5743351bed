//! What is wrong with the settings: what they show by themselves, and what the services that they name say of them.

use std::sync::Arc;

use crate::config::Settings;
use crate::doctor::{self, Datagrams, Verdict};
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
    /// What WebRTC counts, if it runs.
    pub datagrams: Option<Datagrams>,
}

impl Checks {
    /// What can be seen to be wrong without asking a service.
    pub fn problems(&self) -> Vec<String> {
        let mut found: Vec<_> = doctor::of_settings(&self.settings).iter().filter_map(Verdict::problem).collect();
        found.extend(self.live.lacks());
        found
    }

    /// What the doctor says, who asks every configured service: what is not well of it.
    pub async fn ask(&self) -> Vec<String> {
        let found = doctor::examine(&self.settings, &self.clouds, self.datagrams.as_ref()).await;
        found.iter().filter_map(Verdict::problem).collect()
    }
}
