//! Where the stream's name, the application and the query stand in what an RTMP client says. They arrive in several
//! places, by client and by habit of its user.

use crate::flv::body::Form;
use crate::name::StreamName;
use crate::request::Query;

/// Longest application name and query taken, in bytes.
const MAX_APP: usize = 256;
const MAX_QUERY: usize = 4096;

/// What a client wants to publish or play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The stream.
    pub stream: StreamName,
    /// The application, without its query.
    pub app: String,
    /// The query: of the stream's name, or of the application, or of the tcUrl.
    pub query: Query,
    /// The client says that it can decode Opus (enhanced RTMP); others are given AAC.
    pub opus: bool,
    /// The client says that it understands several tracks (enhanced RTMP), or asks for them; others are given one of sound.
    pub multitrack: bool,
    /// How it asks for what it plays.
    pub form: Form,
}

impl Ask {
    /// Takes the `.flv` off the name of what is played: clients make RTMP URLs of HTTP ones by another scheme.
    pub(super) fn without_extension(&mut self) {
        if let Some(Ok(stream)) = self.stream.as_str().strip_suffix(".flv").map(StreamName::new) {
            self.stream = stream;
        }
    }
}

/// Finds them: `live` + `name?query`; `live?query` + `name`; `live/name?query` + nothing (everything typed into the
/// server field). The error says what is wrong, without the query.
pub(super) fn ask(app: &str, tc_url: &str, name: &str) -> Result<Ask, &'static str> {
    let (app, app_query) = cut(app);
    let (name, name_query) = cut(name);
    let (_, url_query) = cut(tc_url);
    let query = [name_query, app_query, url_query].into_iter().find(|q| !q.is_empty()).unwrap_or("");
    let app = app.trim_matches('/');
    let (app, stream) = match name.trim_matches('/') {
        "" => app.rsplit_once('/').ok_or("no stream name")?,
        name => (app, name),
    };
    if app.len() > MAX_APP {
        return Err("the application name is too long");
    }
    if query.len() > MAX_QUERY {
        return Err("the query is too long");
    }
    let stream =
        StreamName::new(stream).map_err(|_| "the stream name has characters that are not allowed, or is too long")?;
    let query = Query(query.into());
    let multitrack = query.is_for_all_tracks();
    let form = query.form();
    Ok(Ask { stream, app: app.into(), query, opus: false, multitrack, form })
}

fn cut(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_the_places() {
        fn got(app: &str, url: &str, name: &str) -> Result<(String, String, String), &'static str> {
            ask(app, url, name).map(|a| (a.app, a.stream.to_string(), a.query.0))
        }
        let want = || Ok(("live".to_string(), "s".to_string(), "a=1&b=?".to_string()));
        assert_eq!(got("live", "rtmp://h/live", "s?a=1&b=?"), want());
        assert_eq!(got("live?a=1&b=?", "rtmp://h/live", "s"), want());
        assert_eq!(got("live", "rtmp://h/live?a=1&b=?", "s"), want());
        assert_eq!(got("live/s?a=1&b=?", "", ""), want());
        assert_eq!(got("/live/", "", "/s?a=1&b=?"), want());
        let mut played = ask("live", "", "s.flv?a=1&ext=").unwrap();
        played.without_extension();
        assert_eq!((played.stream.as_str(), played.query.0.as_str()), ("s", "a=1&ext="));
        assert!(!played.multitrack && ask("live", "", "s?a=1&multitrack=1").unwrap().multitrack);
        assert_eq!(played.form, Form::Enhanced);
        assert_eq!(ask("live", "", "s?hevc=12&a=1").unwrap().form, Form::OldHevc);
        assert!(got("live", "", "").is_err());
        assert!(got("live", "", "a/../b").is_err());
        assert!(got("live", "", &format!("s?{}", "q".repeat(5000))).is_err());
        assert!(got(&"a".repeat(300), "", "s").is_err());
    }
}
