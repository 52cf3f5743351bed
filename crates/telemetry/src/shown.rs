//! URLs as they are shown: without what in them may be a secret. Settings keep the whole URL.

use serde::{Serialize, Serializer};

/// The URL without a password or user, and without the values of its query: the places where secrets are put.
#[must_use]
pub fn url(url: &str) -> String {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (before, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let start = before.find("://").map_or(0, |at| at + 3);
    let end = before[start..].find('/').map_or(before.len(), |at| start + at);
    // A password may hold an `@` of its own: the last one counts.
    let host = before[start..end].rfind('@').map_or(start, |at| start + at);
    let user = if host > start { "***" } else { "" };
    let query = if query.len() > 1 { "?***" } else { query };
    let fragment = if fragment.len() > 1 { "#***" } else { fragment };
    format!("{}{user}{}{query}{fragment}", &before[..start], &before[host..])
}

/// For `serialize_with`.
///
/// # Errors
/// The serialiser's.
pub fn one<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&url(text))
}

/// For `serialize_with`, of a list.
///
/// # Errors
/// The serialiser's.
pub fn all<S: Serializer>(urls: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    urls.iter().map(|text| url(text)).collect::<Vec<_>>().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        for (whole, shown) in [
            ("https://app.example.com/hook", "https://app.example.com/hook"),
            ("https://user:hunter2@app.example.com:8443/hook", "https://***@app.example.com:8443/hook"),
            ("https://user:hun@ter2@app.example.com", "https://***@app.example.com"),
            ("https://app.example.com/hook?key=hunter2#hunter2", "https://app.example.com/hook?***#***"),
            ("https://app.example.com/a@b", "https://app.example.com/a@b"),
            ("user:hunter2@app.example.com", "***@app.example.com"),
            ("", ""),
            ("?", "?"),
            ("é://ü:ß@ö/?ä", "é://***@ö/?***"),
        ] {
            assert_eq!(url(whole), shown);
        }
    }
}
