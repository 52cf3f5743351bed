//! A sentence for people as a value: its English with blanks, and what fills them, so that a page can say the same in another
//! language. Knows no other language: `web/console/said.js` has the Chinese of each.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A sentence with blanks such as `{url}`, and what stands in each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The English.
    text: Cow<'static, str>,
    /// By the names of the blanks.
    with: Vec<(&'static str, Blank)>,
}

/// What stands in a blank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Blank {
    /// The same in all languages.
    Plain(String),
    /// Another sentence.
    Said(Said),
}

impl Said {
    /// What is said in English alone.
    pub fn plain(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), with: Vec::new() }
    }

    /// Fills a blank.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.with.push((name, Blank::Plain(value.to_string())));
        self
    }

    /// Fills a blank with a sentence.
    #[must_use]
    pub fn holding(mut self, name: &'static str, said: Said) -> Self {
        self.with.push((name, Blank::Said(said)));
        self
    }
}

/// `said!("{url} answers {status}", url = url, status = 500)`. The Chinese of each of these is in `web/console/said.js`.
macro_rules! said {
    ($text:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::said::Said::plain($text)$(.with(stringify!($name), &$value))*
    };
}
pub(crate) use said;

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &*self.text;
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(before)?;
            let Some((name, behind)) = after.split_once('}') else {
                rest = &rest[before.len()..];
                break;
            };
            match self.with.iter().find(|(blank, _)| *blank == name) {
                Some((_, Blank::Plain(value))) => f.write_str(value)?,
                Some((_, Blank::Said(said))) => said.fmt(f)?,
                None => write!(f, "{{{name}}}")?,
            }
            rest = behind;
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn blanks_are_filled_once() {
        let said = said!("{url} answers {status} for {url}", url = "http://{status}", status = 500);
        assert_eq!(said.to_string(), "http://{status} answers 500 for http://{status}");
        let outer = said!("{at}: {seen}", at = "here").holding("seen", said);
        assert_eq!(outer.to_string(), "here: http://{status} answers 500 for http://{status}");
        let json = serde_json::to_value(said!("{a} and {b}", a = 1)).unwrap();
        assert_eq!(json, serde_json::json!({ "text": "{a} and {b}", "with": [["a", "1"]] }));
        assert_eq!(said!("{a} and {b}, {", a = 1).to_string(), "1 and {b}, {");
    }

    fn blanks(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    /// The literals behind each `before` in a source.
    fn literals(source: &str, before: &str) -> Vec<String> {
        let behind = source.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        let literal = |rest: &str| {
            let end = rest.char_indices().find(|(at, c)| *c == '"' && !rest[..*at].ends_with('\\'))?.0;
            Some(rest[..end].replace("\\\"", "\""))
        };
        behind.filter_map(literal).collect()
    }

    /// Every sentence of the checks has its Chinese with the same blanks, and there is none of a sentence that is no more.
    #[test]
    fn every_sentence_has_its_chinese() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let doctor = ["certificate", "machine", "neighbours", "network"].map(|file| format!("doctor/{file}.rs"));
        let files = doctor.into_iter().chain(["doctor.rs", "http/health.rs", "webrtc.rs", "cli.rs"].map(String::from));
        let mut english: Vec<String> =
            files.flat_map(|file| literals(&read(&format!("crates/server/src/{file}")), "said!(")).collect();
        english.extend(literals(&read("crates/store/src/probe.rs"), "#[error("));
        assert!(english.len() > 60, "{english:?}");
        let page = read("web/console/said.js");
        let table = page.split_once("const ZH = {").unwrap().1.split_once("\n};").unwrap().0;
        // A key, a colon and its Chinese, each in quotes; keys of two lines begin the next line.
        let quoted: Vec<String> = quotes(table);
        let known: Vec<(&str, &str)> = quoted.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        for text in &english {
            let chinese = known.iter().find(|(key, _)| key == text).map(|(_, chinese)| *chinese);
            let chinese = chinese.unwrap_or_else(|| panic!("web/console/said.js has no Chinese of {text:?}"));
            assert_eq!(blanks(text), blanks(chinese), "{text}");
        }
        for (key, _) in &known {
            assert!(english.iter().any(|text| text == key), "nobody says {key:?}");
        }
    }

    /// What stands in quotes, in JavaScript's own three kinds.
    fn quotes(script: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut chars = script.chars();
        while let Some(quote) = chars.by_ref().find(|c| ['\'', '"', '`'].contains(c)) {
            let mut text = String::new();
            while let Some(c) = chars.next().filter(|c| *c != quote) {
                text.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            found.push(text);
        }
        found
    }
}
