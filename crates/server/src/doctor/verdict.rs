//! What one check found, and what to do about it. Knows no checks.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use crate::said::Said;

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
    #[serde(serialize_with = "in_english")]
    pub seen: Said,
    /// What to do about it.
    #[serde(serialize_with = "in_english_if_any", skip_serializing_if = "Option::is_none")]
    pub cure: Option<Said>,
}

fn in_english<S: Serializer>(said: &Said, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(said)
}

fn in_english_if_any<S: Serializer>(said: &Option<Said>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&said.as_ref().map(Said::to_string).unwrap_or_default())
}

/// What is not well, for a page that says it in its reader's language.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// What was looked at.
    check: &'static str,
    /// What was seen.
    seen: Said,
    /// What to do about it; nothing where what was seen says it.
    cure: Option<Said>,
}

impl Problem {
    /// Something about the settings, which say themselves what they should be.
    #[must_use]
    pub fn of_settings(seen: String) -> Self {
        Self { check: super::SETTINGS, seen: Said::plain(seen), cure: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cure {
            Some(cure) => write!(f, "{}: {}; {cure}", self.check, self.seen),
            None => self.seen.fmt(f),
        }
    }
}

impl Verdict {
    /// All is well.
    pub fn ok(check: &'static str, seen: Said) -> Self {
        Self { check, level: Level::Ok, seen, cure: None }
    }

    /// It works for now.
    pub fn warn(check: &'static str, seen: Said, cure: Said) -> Self {
        Self { check, level: Level::Warn, seen, cure: Some(cure) }
    }

    /// It does not work.
    pub fn fail(check: &'static str, seen: Said, cure: Said) -> Self {
        Self { level: Level::Fail, ..Self::warn(check, seen, cure) }
    }

    /// What is not well; nothing where all is.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let cure = self.cure.clone()?;
        // Settings say themselves which they are, and what they should be.
        let cure = Some(cure).filter(|_| self.check != super::SETTINGS);
        Some(Problem { check: self.check, seen: self.seen.clone(), cure })
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
    assert!(verdict.seen.to_string().contains(seen), "{verdict:?}");
    let said = verdict.cure.as_ref().map(Said::to_string).unwrap_or_default();
    assert!(said.contains(cure), "{verdict:?}");
}
