//! Whether everything around the server is as it should be: one list of checks for `roomservice doctor` and the console. Asks
//! nobody but what is configured. The order of the list is that of trouble: what keeps a server from starting comes first.

mod certificate;
mod machine;
mod neighbours;
mod network;
mod verdict;

pub use machine::{recordings, trouble_of};
pub use verdict::{Level, Problem, Verdict, page};

use crate::config::Settings;
use crate::said::Said;
use media::rtc::Server as Webrtc;
use tencent::clouds::Clouds;

/// The name of the check of settings.
const SETTINGS: &str = "settings";

/// What can be seen of the settings alone.
#[must_use]
pub fn of_settings(settings: &Settings) -> Vec<Verdict> {
    let cure = || Said::plain("change it in the configuration file; check-config says the same");
    let wrong = settings.problems().into_iter().map(|seen| Verdict::fail(SETTINGS, Said::plain(seen), cure()));
    let odd = settings.warnings().into_iter().map(|seen| Verdict::warn(SETTINGS, Said::plain(seen), cure()));
    wrong.chain(odd).collect()
}

/// Looks at everything. `webrtc`: of the server that runs in this process, if one does.
pub async fn examine(settings: &Settings, clouds: &Clouds, webrtc: Option<&Webrtc>) -> Vec<Verdict> {
    let mut found = of_settings(settings);
    if found.is_empty() {
        found.push(Verdict::ok(SETTINGS, Said::plain(format!("they fit, in {:?} mode", settings.mode))));
    }
    let (network, ffmpeg, disk, recordings, redis, webhooks, clouds) = tokio::join!(
        network::look(settings, webrtc),
        machine::ffmpeg(settings),
        machine::disk(settings),
        machine::recordings(settings),
        neighbours::redis(settings),
        neighbours::webhooks(settings),
        neighbours::clouds(clouds),
    );
    found.extend(network);
    // After the network, whose listeners are gone by now.
    found.extend(certificate::look(settings).await);
    found.push(ffmpeg);
    found.push(neighbours::clock(redis.ahead, webhooks.ahead));
    found.extend(disk);
    found.extend(recordings);
    found.push(machine::files(settings));
    found.extend(machine::connections(settings));
    found.extend(redis.verdicts);
    found.extend(webhooks.verdicts);
    found.extend(clouds);
    found
}
