//! The live service: where streams are pushed to and played from. One trait, one file per provider.

mod base;
mod embedded;
mod holder;
mod kept;
pub mod mix;
mod mixing;
mod stream_name;
mod tencent_settings;
mod urls;

use room::sweep::Pushing;
use room::{Millis, StreamId};
use serde::{Deserialize, Serialize};

use sign::Secret;
use store::Answer;

pub use base::{Base, Scheme};
pub use embedded::Embedded;
pub use holder::Holder;
pub use kept::KeptMixes;
pub use stream_name::{Owner, is_mix_of, is_of, owner};
pub use tencent_settings::{TencentSettings, Version};
pub use urls::{Play, Plays, Url, Urls, recording_name};

/// Who serves streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The media server in this process.
    #[default]
    Embedded,
    /// Tencent's live service.
    Tencent,
}

/// The hash in signed URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 32 hexadecimal digits.
    #[default]
    Md5,
    /// 64 hexadecimal digits.
    Sha256,
}

impl From<Algorithm> for sign::push_url::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5,
            Algorithm::Sha256 => Self::Sha256,
        }
    }
}

/// `[live]`, under the names that the first servers' configuration has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who serves streams.
    pub provider: Provider,
    /// The business id: the first part of every stream's name.
    pub bizid: u32,
    /// Signs push URLs.
    #[serde(rename = "pushSecretKey")]
    pub push_secret_key: Secret,
    /// A second key that push URLs may be signed with, while keys are exchanged.
    #[serde(rename = "backupPushSecretKey")]
    pub backup_push_secret_key: Secret,
    /// Signs play URLs; derived from `pushSecretKey` if empty.
    #[serde(rename = "playSecretKey")]
    pub play_secret_key: Secret,
    /// Seconds for which a URL is good.
    #[serde(rename = "validTime")]
    pub valid_time: u64,
    /// Seconds by which a URL that the app's backend signed may be good for longer than `validTime`.
    #[serde(rename = "validTimeMargin")]
    pub valid_time_margin: u64,
    /// Host of push URLs, with a port if it is not 1935; empty: the one that the client reached us by.
    #[serde(rename = "pushHost")]
    pub push_host: String,
    /// Host of play URLs; empty: the one that the client reached us by.
    #[serde(rename = "playHost")]
    pub play_host: String,
    /// The hash in URLs: `md5` or `sha256`.
    pub algorithm: Algorithm,
    /// Tencent's live service; used if `provider` says so.
    pub tencent: TencentSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider: Provider::Embedded,
            bizid: 1000,
            push_secret_key: Secret::default(),
            backup_push_secret_key: Secret::default(),
            play_secret_key: Secret::default(),
            valid_time: 7 * 24 * 3600,
            valid_time_margin: 24 * 3600,
            push_host: String::new(),
            play_host: String::new(),
            algorithm: Algorithm::Md5,
            tencent: TencentSettings::default(),
        }
    }
}

impl Settings {
    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        for (name, host) in [("live.pushHost", &self.push_host), ("live.playHost", &self.play_host)] {
            if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
                found.push(format!("{name} = \"{host}\" must be a host, or host:port, without scheme and path, such as \"live.example.com\""));
            }
        }
        if self.valid_time == 0 {
            found.push("live.validTime must be at least one second".into());
        }
        self.key_problems(found);
    }

    /// A signature is a hash of key and name without a mark between them: where one key begins with another, what is
    /// signed with the one for one stream is signed with the other for another stream.
    fn key_problems(&self, found: &mut Vec<String>) {
        let push = ("live.pushSecretKey", &self.push_secret_key);
        let backup = ("live.backupPushSecretKey", &self.backup_push_secret_key);
        let play = ("live.playSecretKey", &self.play_secret_key);
        for [(one, a), (other, b)] in [[&push, &backup], [&push, &play], [&backup, &play]] {
            let a = a.expose();
            let b = b.expose();
            if a.is_empty() || b.is_empty() {
                continue;
            }
            // A backup that is the same says nothing new; a play key that is the same lets all who see a stream push it.
            let same = a == b && (*other == "live.backupPushSecretKey" || self.provider == Provider::Tencent);
            if !same && (a.starts_with(b) || b.starts_with(a)) {
                found.push(format!("{other} must be another key than {one}, and neither may begin with the other"));
            }
        }
    }

    /// The push domain at Tencent: the account's own, or the one that every business id had.
    pub fn tencent_push_host(&self) -> String {
        match self.push_host.as_str() {
            "" => format!("{}.livepush.myqcloud.com", self.bizid),
            host => host.to_owned(),
        }
    }

    /// The play domain at Tencent.
    pub fn tencent_play_host(&self) -> String {
        match self.play_host.as_str() {
            "" => format!("{}.liveplay.myqcloud.com", self.bizid),
            host => host.to_owned(),
        }
    }
}

/// What rooms ask of the live service.
pub trait Live: Send + Sync + 'static {
    /// Which of these streams are being pushed, in their order. Bounded in time; what cannot be found
    /// out is [`Pushing::Unknown`].
    fn pushing<'a>(&'a self, streams: &'a [StreamId], now: Millis) -> Answer<'a, Vec<Pushing>>;

    /// Starts, changes or stops a mix, as clients ask for it (`merge_stream` in docs/protocol.md), of these streams and no others.
    fn mix<'a>(&'a self, params: &'a serde_json::Value, streams: &'a Mixable) -> Answer<'a, MixOutcome>;

    /// Ends a stream at an operator's wish, for its pusher and its viewers. With `forbid` it may not be pushed for so many
    /// seconds; else its pusher may come back. One without a pusher is fine. Says whether there was one, as far as
    /// that is known.
    fn stop<'a>(&'a self, stream: &'a StreamId, forbid: Option<u64>) -> Answer<'a, bool>;

    /// Takes back what [`Live::stop`] forbade.
    fn allow<'a>(&'a self, stream: &'a StreamId) -> Answer<'a, ()>;

    /// Mixes that run in this process.
    fn mixes(&self) -> usize {
        0
    }

    /// Whether it does not answer just now.
    fn is_away(&self) -> bool {
        false
    }

    /// The mixes that are made in this process.
    fn list_mixes(&self) -> Vec<media::mix::Running> {
        Vec::new()
    }

    /// Ends a mix that is made in this process. Says whether there was one.
    fn end_mix(&self, _session: &str) -> bool {
        false
    }

    /// What it cannot do as it is set up, one line each, for the configuration check.
    fn lacks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The streams that a mix may be made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mixable {
    /// Those of the room: inputs, and what the mix is seen in place of.
    pub room: Vec<StreamId>,
    /// Those of other rooms whose pushers agreed (PK): inputs only.
    #[serde(default)]
    pub partners: Vec<StreamId>,
}

impl Mixable {
    /// Whether a stream is one of the room.
    #[must_use]
    pub fn in_room(&self, stream: &str) -> bool {
        self.room.iter().any(|ours| ours.as_str() == stream)
    }

    /// Whether a stream may be an input.
    #[must_use]
    pub fn may_mix(&self, stream: &str) -> bool {
        self.in_room(stream) || self.partners.iter().any(|partner| partner.as_str() == stream)
    }

    /// Whether a name begins with that of a stream of the room and `_`, as that of a mix of its own does.
    #[must_use]
    pub fn name_own(&self, stream: &str) -> bool {
        self.room.iter().any(|ours| is_mix_of(stream, ours.as_str()))
    }
}

/// What the live service said of a mix, in the numbers that clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixOutcome {
    /// 0, or what went wrong.
    pub code: i32,
    /// In words.
    pub message: String,
}
