//! Moving over: the first servers' `config.js` made into our settings. Says what was not taken along;
//! knows which names mean what, but not how JavaScript is read.

mod js;

use std::collections::BTreeMap;

use toml::{Table, Value};

use js::Js;

/// Largest file that is read, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;

/// A configuration file in our words.
#[derive(Debug)]
pub struct Imported {
    /// The file.
    pub toml: String,
    /// How many settings were taken along.
    pub taken: usize,
    /// What the reader should know.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum As {
    Text,
    Number,
    Boolean,
}

/// Their names, whatever section they stand in, and ours.
const NAMES: [(&str, &str, &str, As); 21] = [
    ("bizid", "live", "bizid", As::Number),
    ("pushSecretKey", "live", "pushSecretKey", As::Text),
    ("backupPushSecretKey", "live", "backupPushSecretKey", As::Text),
    ("playSecretKey", "live", "playSecretKey", As::Text),
    ("validTime", "live", "validTime", As::Number),
    ("pushHost", "live", "pushHost", As::Text),
    ("playHost", "live", "playHost", As::Text),
    ("appID", "live.tencent", "appID", As::Number),
    ("APIKey", "live.tencent", "APIKey", As::Text),
    ("secretId", "live.tencent", "secretId", As::Text),
    ("sdkAppID", "im", "sdkAppID", As::Number),
    ("accountType", "im", "accountType", As::Text),
    ("accType", "im", "accountType", As::Text),
    ("administrator", "im", "administrator", As::Text),
    ("privateKey", "im", "privateKey", As::Text),
    ("publicKey", "im", "publicKey", As::Text),
    ("maxMembers", "rooms", "maxMembers", As::Number),
    ("heartBeatTimeout", "rooms", "heartBeatTimeout", As::Number),
    ("maxIdleDuration", "rooms", "maxIdleDuration", As::Number),
    ("creatorCanDestroyRoom", "rooms", "creatorCanDestroyRoom", As::Boolean),
    ("maxAudiencesLen", "rooms", "maxAudiencesLen", As::Number),
];

/// Reads a `config.js`: the object that it exports (or the first one that it assigns).
///
/// # Errors
/// Where it cannot be read, and why.
pub fn import(text: &str) -> Result<Imported, String> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(format!("is larger than {MAX_FILE} bytes: that is no configuration"));
    }
    let mut found = Found::default();
    found.look("", &js::read(text)?);
    Ok(found.write())
}

#[derive(Default)]
struct Found {
    sections: BTreeMap<&'static str, Table>,
    from: BTreeMap<(&'static str, &'static str), String>,
    notes: Vec<String>,
}

impl Found {
    fn look(&mut self, path: &str, value: &Js) {
        let Js::Object(members) = value else { return };
        for (name, value) in members {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                Js::Object(_) => self.look(&path, value),
                Js::Unreadable => self.notes.push(format!("{path}: not a plain value; set it by hand")),
                _ => self.take(&path, name, value),
            }
        }
    }

    fn take(&mut self, path: &str, name: &str, value: &Js) {
        if name == "port" {
            return match number(value).filter(|port| (1..=65535).contains(port)) {
                Some(port) => self.put("http", "listen", path, Value::String(format!("127.0.0.1:{port}"))),
                None => self.notes.push(format!("{path}: not a port")),
            };
        }
        // The cloud account's key has the name of a chat key of ours: the section tells them apart.
        let known = match (name, path.starts_with("im.")) {
            ("secretKey", true) => Some(&("secretKey", "im", "secretKey", As::Text)),
            ("secretKey", false) => Some(&("secretKey", "live.tencent", "secretKey", As::Text)),
            _ => NAMES.iter().find(|known| known.0 == name),
        };
        let Some((_, section, ours, kind)) = known else {
            self.notes.push(format!("{path}: has no counterpart here"));
            return;
        };
        let taken = match kind {
            As::Text => text(value).map(Value::String),
            As::Number => number(value).map(Value::Integer),
            As::Boolean => match value {
                Js::Boolean(b) => Some(Value::Boolean(*b)),
                _ => None,
            },
        };
        match taken {
            Some(taken) => self.put(section, ours, path, taken),
            None => self.notes.push(format!("{path}: its value does not fit {section}.{ours}")),
        }
    }

    fn put(&mut self, section: &'static str, ours: &'static str, path: &str, value: Value) {
        let table = self.sections.entry(section).or_default();
        match table.get(ours) {
            None => {
                table.insert(ours.into(), value);
                self.from.insert((section, ours), path.to_owned());
            }
            Some(before) if *before == value => {}
            Some(_) => {
                let first = self.from.get(&(section, ours)).map(String::as_str).unwrap_or_default();
                self.notes
                    .push(format!("{path}: differs from {first}, which is taken: {section}.{ours} is one for all"));
            }
        }
    }

    fn write(mut self) -> Imported {
        let taken = self.sections.values().map(Table::len).sum();
        let mut toml = String::from(
            "# Made from the first servers' config.js. Everything else has its default: roomservice default-config.\n\
             # Streams and chat are served by this process now. To leave them at Tencent Cloud:\n\
             #   [live] provider = \"tencent\" with [live.tencent] secretId and secretKey\n\
             #   [chat] provider = \"tencent\"\n",
        );
        for (section, table) in &self.sections {
            // Keys and texts are escaped by the writer; a table always has a text.
            let text = toml::to_string(table).unwrap_or_default();
            toml.push_str(&format!("\n[{section}]\n{text}"));
        }
        if taken == 0 {
            self.notes.push("nothing was found that has a counterpart here: is this the right file?".into());
        }
        Imported { toml, taken, notes: self.notes }
    }
}

fn number(value: &Js) -> Option<i64> {
    match value {
        #[allow(clippy::cast_possible_truncation)]
        Js::Number(n) if n.fract() == 0.0 && (0.0..9e15).contains(n) => Some(*n as i64),
        Js::Text(text) => text.trim().parse().ok().filter(|n| *n >= 0),
        _ => None,
    }
}

fn text(value: &Js) -> Option<String> {
    match value {
        Js::Text(text) => Some(text.clone()),
        Js::Number(_) => number(value).map(|n| n.to_string()),
        _ => None,
    }
}
