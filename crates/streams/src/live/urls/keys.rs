//! The keys of URLs: one that is set, and what is made of it. Whoever has a made one cannot find the one that is set.

use sign::Secret;
use sign::push_url::{self, Algorithm};

use super::super::Settings;

/// A key of push URLs, and the two that are made of it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) push: Secret,
    /// Signs play URLs: who may see a stream must not be able to push it.
    pub(super) play: Secret,
    /// Signs what nodes of one installation ask of each other.
    pub(super) node: Secret,
}

impl Keys {
    /// All three, by the key of push URLs.
    pub(super) fn of(push: &Secret, settings: &Settings) -> Self {
        let made = |what| Secret::new(push_url::tx_secret(Algorithm::Sha256, push, what, ""));
        let set = &settings.play_secret_key;
        let play = if set.is_empty() { made("roomservice play key") } else { set.clone() };
        Self { push: push.clone(), play, node: made("roomservice node key") }
    }

    /// Those that are accepted beside the main ones. Without a backup key there are none: what is made of an empty key anyone
    /// can make.
    pub(super) fn of_backup(settings: &Settings) -> Self {
        let backup = &settings.backup_push_secret_key;
        if backup.is_empty() { Self::default() } else { Self::of(backup, settings) }
    }
}
