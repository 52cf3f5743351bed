//! What one check found, and what to do about it. Knows no checks.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be, or not in use.
    Ok,
    /// It works, and not as well or as surely as it could.
    Warn,
    /// Something does not work.
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Verdict {
    /// All is well.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, seen: seen.into(), cure: None }
    }

    /// It works for now.
    pub fn warn(check: &'static str, seen: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, seen: seen.into(), cure: Some(cure.into()) }
    }

    /// It does not work.
    pub fn fail(check: &'static str, seen: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::warn(check, seen, cure) }
    }

    /// The same in one line; nothing where all is well.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let cure = self.cure.as_ref()?;
        // Settings say themselves which they are, and what they should be.
        if self.check == super::SETTINGS {
            return Some(self.seen.clone());
        }
        Some(format!("{}: {}; {cure}", self.check, self.seen))
    }
}

/// All of them for people: a line each, and the cure below it.
#[must_use]
pub fn page(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for Verdict { check, level, seen, cure } in verdicts {
        let level = match level {
            Level::Ok => "ok  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        let _ = writeln!(text, "{level}  {check:<12} {seen}");
        if let Some(cure) = cure {
            let _ = writeln!(text, "                   -> {cure}");
        }
    }
    text
}

/// What a test asks of a verdict: its level, and words of what was seen and of the cure.
#[cfg(test)]
#[track_caller]
pub fn is(verdict: &Verdict, level: Level, seen: &str, cure: &str) {
    assert_eq!(verdict.level, level, "{verdict:?}");
    assert!(verdict.seen.contains(seen), "{verdict:?}");
    assert!(verdict.cure.as_deref().unwrap_or_default().contains(cure), "{verdict:?}");
}
