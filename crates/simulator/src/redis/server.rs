//! One Redis: what it keeps, the scripts that it knows, and what it answers to a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commands;
use super::keys::Keys;
use super::resp::{Reply, Text};
use super::scripts::{Engine, Ran};

/// A change, as replicas make it again: when it was made, and by what request.
#[derive(Clone, Debug)]
pub struct Change {
    /// Redis' time.
    pub at: u64,
    /// The request, with the text of its script.
    pub words: Vec<Text>,
}

/// A server.
pub struct Server {
    /// All that it keeps.
    pub keys: Keys,
    engine: Arc<Engine>,
    /// Scripts by the hash of their text, until it ends.
    scripts: BTreeMap<Text, Text>,
    /// Why it takes no changes now.
    pub refuses: Option<&'static str>,
    /// The changes that it made, for its replicas.
    pub made: Vec<Change>,
}

impl Server {
    /// An empty one.
    pub const fn new(engine: Arc<Engine>, keys: Keys) -> Self {
        Self { keys, engine, scripts: BTreeMap::new(), refuses: None, made: Vec::new() }
    }

    /// Answers a request at this time.
    pub fn answer(&mut self, now: u64, words: &[Text]) -> Reply {
        self.keys.now = now;
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let done = match (name.as_slice(), words.get(1..).unwrap_or_default()) {
            (b"CLIENT" | b"SELECT", _) => Ok(Reply::Word("OK")),
            (b"SCRIPT", [_, code]) => Ok(Reply::Text(self.know(code))),
            (b"EVALSHA", [hash, rest @ ..]) => match self.scripts.get(hash).cloned() {
                Some(code) => Ok(self.script(&code, rest)),
                None => Err("NOSCRIPT No matching script. Please use EVAL.".into()),
            },
            (b"EVAL", [code, rest @ ..]) => {
                self.know(code);
                Ok(self.script(code, rest))
            }
            _ => self.command(words),
        };
        done.unwrap_or_else(Reply::Error)
    }

    fn know(&mut self, code: &[u8]) -> Text {
        let hash = redis::Script::new(&String::from_utf8_lossy(code)).get_hash().as_bytes().to_vec();
        self.scripts.insert(hash.clone(), code.to_vec());
        hash
    }

    fn script(&mut self, code: &[u8], words: &[Text]) -> Reply {
        let Ran { reply, wrote } = self.engine.run(code, words, &mut self.keys, self.refuses);
        if wrote {
            let request = [b"EVAL".to_vec(), code.to_vec()].into_iter().chain(words.iter().cloned());
            self.made.push(Change { at: self.keys.now, words: request.collect() });
        }
        reply
    }

    fn command(&mut self, words: &[Text]) -> Result<Reply, String> {
        let command = commands::find(&words[0])?;
        if command.writes
            && let Some(why) = self.refuses
        {
            return Err(why.into());
        }
        let done = command.run(&mut self.keys, words);
        if command.writes {
            self.made.push(Change { at: self.keys.now, words: words.to_vec() });
        }
        done
    }
}
