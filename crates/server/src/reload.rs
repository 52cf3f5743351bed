//! Reading the settings again while the server runs: what can change without a restart changes, and the log names what
//! cannot. Settings that do not fit change nothing.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::config::{self, Settings};
use crate::drain::Patience;
use crate::keys;
use crate::parts::Parts;

/// What can change: settings, or whole sections that end with a dot. `roomservice.toml` says the same of each.
pub const RELOADABLE: [&str; 20] = [
    "drain_timeout",
    "http.cors",
    "http.body_limit",
    "http.read_timeout",
    "http.write_timeout",
    "http.trusted_proxies",
    "limits.",
    "logs.level",
    "webhooks.",
    "operator.keys",
    "operator.read_keys",
    "live.backupPushSecretKey",
    "chat.max_connections",
    "chat.address_listeners",
    "chat.max_frame",
    "chat.rate",
    "chat.burst",
    "chat.queue",
    "chat.queue_bytes",
    "chat.idle_timeout",
];

/// Where the settings come from, and what they were.
#[derive(Debug)]
pub struct Reload {
    file: Option<PathBuf>,
    variables: Vec<(String, String)>,
    table: Table,
    /// For how long sessions may go on at the end, as set last.
    pub drain_timeout: Patience,
}

impl Reload {
    /// Reads the settings for the first time.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load(file: Option<PathBuf>, variables: Vec<(String, String)>) -> Result<(Settings, Self), config::Error> {
        let (settings, table) = Settings::read(file.as_deref(), variables.iter().cloned())?;
        let drain_timeout = settings.drain_timeout;
        Ok((settings, Self { file, variables, table, drain_timeout }))
    }

    /// Reads the settings again and applies what can be applied. Says in the log what was done.
    pub fn read_again(&mut self, parts: &Parts) {
        match self.try_again(parts) {
            Err(why) => tracing::error!(why, "the settings do not fit and nothing was changed"),
            Ok(Changed { applied, later }) => {
                tracing::info!(changed = applied.join(", "), "the settings were read again");
                if !later.is_empty() {
                    tracing::warn!(settings = later.join(", "), "changed in the file, but only a restart applies them");
                }
            }
        }
    }

    fn try_again(&mut self, parts: &Parts) -> Result<Changed, String> {
        let read = Settings::read(self.file.as_deref(), self.variables.iter().cloned());
        let (mut settings, table) = read.map_err(|e| e.to_string())?;
        keys::complete(&mut settings).map_err(|e| e.to_string())?;
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        settings.notes.iter().for_each(|note| tracing::warn!("{note}"));
        parts.apply(&settings)?;
        let mut names = Vec::new();
        differing("", &self.table, &table, &mut names);
        let (applied, later) = names.into_iter().partition(|name| can_change(name));
        // What waits for a restart is named again at the next reload, unless it was taken back.
        self.drain_timeout = settings.drain_timeout;
        let changed = Changed { applied, later };
        self.remember(&table, &changed.applied);
        Ok(changed)
    }

    fn remember(&mut self, table: &Table, applied: &[String]) {
        for name in applied {
            set(&mut self.table, table, name);
        }
    }
}

/// Names of settings that are not what they were.
#[derive(Debug, PartialEq, Eq)]
struct Changed {
    applied: Vec<String>,
    later: Vec<String>,
}

fn can_change(name: &str) -> bool {
    RELOADABLE.iter().any(|one| if one.ends_with('.') { name.starts_with(one) } else { name == *one })
}

/// Adds the full names of what differs. Values are compared and never shown: some are secrets.
fn differing(prefix: &str, old: &Table, new: &Table, names: &mut Vec<String>) {
    let empty = Table::new();
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                differing(&format!("{prefix}{key}."), old, new, names)
            }
            (Some(Value::Table(old)), None) => differing(&format!("{prefix}{key}."), old, &empty, names),
            (None, Some(Value::Table(new))) => differing(&format!("{prefix}{key}."), &empty, new, names),
            (old, new) if old != new => names.push(format!("{prefix}{key}")),
            _ => {}
        }
    }
}

/// Gives one setting the value that it has elsewhere, or none.
fn set(table: &mut Table, from: &Table, name: &str) {
    match name.split_once('.') {
        None => match from.get(name) {
            Some(value) => _ = table.insert(name.to_owned(), value.clone()),
            None => _ = table.remove(name),
        },
        Some((section, rest)) => {
            let empty = Table::new();
            let inner = from.get(section).and_then(Value::as_table).unwrap_or(&empty);
            if let Value::Table(section) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                set(section, inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn what_differs_is_named_and_secrets_are_not_shown() {
        let old = table("mode = 'development'\n[http]\nlisten = 'a'\n[live]\nbackupPushSecretKey = 'x'\n");
        let new =
            table("mode = 'development'\n[live]\nbackupPushSecretKey = 'y'\n[chat]\nrate = 3\n[chat.tencent]\na = 1");
        let mut names = Vec::new();
        differing("", &old, &new, &mut names);
        assert_eq!(names, ["chat.rate", "chat.tencent.a", "http.listen", "live.backupPushSecretKey"]);
        let (applied, later): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| can_change(name));
        assert_eq!(applied, ["chat.rate", "live.backupPushSecretKey"]);
        assert_eq!(later, ["chat.tencent.a", "http.listen"]);
        let mut kept = old.clone();
        for name in &applied {
            set(&mut kept, &new, name);
        }
        let mut names = Vec::new();
        differing("", &kept, &new, &mut names);
        assert_eq!(names, later, "what only a restart applies is named again");
    }

    #[test]
    fn every_reloadable_setting_exists() {
        let known = Table::try_from(Settings::default()).unwrap();
        for name in RELOADABLE {
            let mut at = &known;
            for part in name.trim_end_matches('.').split('.') {
                match at.get(part).unwrap_or_else(|| panic!("there is no {name}")) {
                    Value::Table(inner) => at = inner,
                    _ => break,
                }
            }
        }
    }

    #[test]
    fn the_documentation_marks_what_is_reloaded() {
        let mut section = String::new();
        let mut comment = String::new();
        let mut marked = Vec::new();
        for line in crate::config::DEFAULT_FILE.lines().skip_while(|line| !line.starts_with("mode = ")) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{name}.");
            } else if line.starts_with('#') {
                comment += line.trim_start_matches('#');
            } else if let Some((name, _)) = line.split_once(" = ")
                && std::mem::take(&mut comment).contains("Reloaded by SIGHUP")
            {
                marked.push(format!("{section}{name}"));
            }
        }
        let mut documented = RELOADABLE.map(|name| match name {
            // The mark stands once, at the first of a whole section.
            "webhooks." => "webhooks.urls",
            "limits." => "limits.address_calls",
            name => name,
        });
        documented.sort_unstable();
        marked.sort_unstable();
        assert_eq!(marked, documented);
    }
}
