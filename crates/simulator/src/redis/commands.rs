//! The commands that the server uses, as Redis 7 has them.

mod hashes;
mod plain;
mod sorted;
pub mod streams;

use super::keys::Keys;
use super::resp::{Reply, Text};

/// What comes of a command; an error begins with its name.
pub type Answer = Result<Reply, String>;

/// A command's arguments, without its name.
pub type Arguments<'a> = &'a [Text];

/// A command.
#[derive(Clone, Copy)]
pub struct Command {
    /// Whether it may change something.
    pub writes: bool,
    /// How many arguments it has at least.
    least: usize,
    run: fn(&mut Keys, Arguments<'_>) -> Answer,
}

const SYNTAX: &str = "ERR syntax error";
const NO_NUMBER: &str = "ERR value is not an integer or out of range";

/// The command of this name.
///
/// # Errors
/// There is none here.
pub fn find(name: &[u8]) -> Result<Command, String> {
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let tables = [plain::TABLE, hashes::TABLE, sorted::TABLE, streams::TABLE];
    let found = tables.iter().flat_map(|table| table.iter()).find(|(known, ..)| *known == name);
    let (_, writes, least, run) = found.ok_or_else(|| format!("ERR unknown command '{name}'"))?;
    Ok(Command { writes: *writes, least: *least, run: *run })
}

/// Name, whether it writes, its least number of arguments, what it does.
type Table = &'static [(&'static str, bool, usize, fn(&mut Keys, Arguments<'_>) -> Answer)];

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// What Redis says.
    pub fn run(self, keys: &mut Keys, words: Arguments<'_>) -> Answer {
        let (name, arguments) = words.split_first().ok_or("ERR no command")?;
        if arguments.len() < self.least {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            return Err(format!("ERR wrong number of arguments for '{name}' command"));
        }
        (self.run)(keys, arguments)
    }
}

/// A number.
pub fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, String> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| NO_NUMBER.into())
}

/// Whether an argument is this word.
fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

/// A part of a list of this length, whose ends may be counted from behind.
fn part(from: i64, to: i64, length: usize) -> std::ops::Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at + length } else { at };
    let first = place(from).max(0);
    let end = (place(to) + 1).clamp(0, length);
    let of = |at: i64| usize::try_from(at).unwrap_or_default();
    of(first.min(end))..of(end)
}
