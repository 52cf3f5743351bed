//! The keys of URLs: one that is set, and what is made of it. Whoever has a made one cannot find the one that is set.

use sign::Secret;
use sign::push_url::{self, Algorithm, Signer};

use super::super::Settings;

/// A key, and what signs with it.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) secret: Secret,
    signer: Signer,
}

impl Key {
    fn new(secret: Secret, settings: &Settings) -> Self {
        Self { signer: Signer::new(settings.algorithm.into(), &secret), secret }
    }

    /// The signature of a stream's name, until that time.
    pub(super) fn sign_at(&self, name: &str, tx_time: &str) -> String {
        self.signer.sign(name, tx_time)
    }

    /// The same, until these Unix seconds.
    pub(super) fn sign(&self, name: &str, until: u64) -> String {
        self.sign_at(name, &push_url::tx_time(until))
    }
}

/// A key of push URLs, and the two that are made of it.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) push: Key,
    /// Signs play URLs: who may see a stream must not be able to push it.
    pub(super) play: Key,
    /// Signs what nodes of one installation ask of each other.
    pub(super) node: Key,
}

impl Keys {
    /// All three, by the key of push URLs.
    pub(super) fn of(push: &Secret, settings: &Settings) -> Self {
        let made = |what| Secret::new(push_url::tx_secret(Algorithm::Sha256, push, what, ""));
        let set = &settings.play_secret_key;
        let play = if set.is_empty() { made("roomservice play key") } else { set.clone() };
        let key = |secret| Key::new(secret, settings);
        Self { push: key(push.clone()), play: key(play), node: key(made("roomservice node key")) }
    }

    /// Those that are accepted beside the main ones. Without a backup key there are none: what is made of an empty key anyone
    /// can make.
    pub(super) fn of_backup(settings: &Settings) -> Self {
        let backup = &settings.backup_push_secret_key;
        if !backup.is_empty() {
            return Self::of(backup, settings);
        }
        let none = || Key::new(Secret::default(), settings);
        Self { push: none(), play: none(), node: none() }
    }
}
