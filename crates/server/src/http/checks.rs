//! What is wrong with the settings: what they show by themselves, and what the services that they name say of them.

use std::sync::Arc;

use crate::config::Settings;
use crate::doctor::{self, Problem, Verdict};
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
    /// WebRTC, if it runs.
    pub webrtc: Option<media::rtc::Server>,
}

impl Checks {
    /// What can be seen to be wrong without asking a service.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found: Vec<_> = doctor::of_settings(&self.settings).iter().filter_map(Verdict::problem).collect();
        found.extend(self.live.lacks().into_iter().map(Problem::of_settings));
        found
    }

    /// What the doctor says, who asks every configured service: what is not well of it.
    /// One at a time.
    pub async fn ask(&self) -> Vec<Problem> {
        static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _alone = ALONE.lock().await;
        let found = doctor::examine(&self.settings, &self.clouds, self.webrtc.as_ref()).await;
        found.iter().filter_map(Verdict::problem).collect()
    }
}
