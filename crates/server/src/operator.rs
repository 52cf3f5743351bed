//! Operators: who may see logs and sign for users in production.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::config::{Hidden, Mode};

/// `[operator]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Keys of operators, at least 16 characters each. None: operator calls are closed in production.
    pub keys: Vec<Hidden>,
}

/// Decides who is an operator.
#[derive(Debug)]
pub struct Operators {
    keys: RwLock<Vec<Hidden>>,
    open: bool,
}

impl Operators {
    /// In development mode, which serves this machine only, everybody is one.
    #[must_use]
    pub fn new(settings: &Settings, mode: Mode) -> Self {
        Self { keys: RwLock::new(settings.keys.clone()), open: mode == Mode::Development }
    }

    /// Other keys from now on.
    pub fn set(&self, settings: &Settings) {
        self.keys.write().clone_from(&settings.keys);
    }

    /// Whether a call with this key is an operator's.
    #[must_use]
    pub fn admit(&self, key: Option<&str>) -> bool {
        let matches = |key: &str| {
            // Every key is compared, each in constant time: the time taken tells nothing.
            let keys = self.keys.read();
            keys.iter().filter(|k| verify_slices_are_equal(k.expose().as_bytes(), key.as_bytes()).is_ok()).count() > 0
        };
        self.open || key.is_some_and(matches)
    }
}
