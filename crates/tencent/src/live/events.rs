//! What the live service notifies us of: checked, and kept in the right
//! order, though it comes late, twice and mixed up.

use hashbrown::HashMap;
use parking_lot::Mutex;
use room::Millis;
use rooms::recordings::finished::Elsewhere;
use serde_json::Value;
use sign::{Invalid, Secret, callback};

/// Most streams that are remembered.
const MAX_STREAMS: usize = 100_000;
/// For how long, in milliseconds, at least.
const KEPT: u64 = 10 * 60 * 1000;

/// Longest reason for the end of a stream, in characters.
const MAX_REASON: usize = 200;

/// Something that happened to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// Its name.
    pub stream: String,
    /// Pushing began (or ended).
    pub began: bool,
    /// When, to the second.
    pub at: Millis,
    /// The same for the begin and the end of one push.
    pub sequence: String,
    /// Why it ended, in the service's words.
    pub reason: String,
}

/// What one callback says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A stream began or ended.
    Stream(StreamEvent),
    /// A recording is whole.
    Recorded(Elsewhere),
}

/// Checks and reads one callback; `None` if it is about something else.
///
/// # Errors
/// Why it is not believed.
pub fn read(body: &[u8], key: &Secret, now: Millis) -> Result<Option<Said>, Invalid> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Invalid::Malformed("body"))?;
    let text = |name: &'static str| match &body[name] {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Invalid::Malformed(name)),
    };
    callback::verify_live(key, &text("t")?, &text("sign")?, now.secs())?;
    let began = match text("event_type")?.as_str() {
        "1" => true,
        "0" => false,
        // What cannot be read is thanked for all the same, or it would be sent again as it is.
        "100" => {
            let file = recorded(text, now).inspect_err(|why| tracing::warn!(%why, "a recording that was told of"));
            return Ok(file.ok().map(Said::Recorded));
        }
        _ => return Ok(None),
    };
    let stream = text("stream_id").or_else(|_| text("channel_id"))?;
    let seconds: u64 = text("event_time")?.parse().map_err(|_| Invalid::Malformed("event_time"))?;
    let at = Millis(seconds.saturating_mul(1000)).min(now);
    if stream.len() > room::id::MAX_STREAM {
        return Err(Invalid::Malformed("stream_id"));
    }
    let sequence = text("sequence").unwrap_or_default();
    if sequence.len() > 64 {
        return Err(Invalid::Malformed("sequence"));
    }
    let reason = match (text("errmsg"), text("errcode")) {
        _ if began => String::new(),
        (Ok(words), _) if !words.is_empty() => words.chars().take(MAX_REASON).collect(),
        (_, Ok(code)) => format!("errcode {}", code.chars().take(MAX_REASON).collect::<String>()),
        _ => "the push ended".to_owned(),
    };
    Ok(Some(Said::Stream(StreamEvent { stream, began, at, sequence, reason })))
}

/// What is said of a file that is whole.
fn recorded(text: impl Fn(&'static str) -> Result<String, Invalid>, now: Millis) -> Result<Elsewhere, Invalid> {
    let number = |name| {
        let whole = text(name)?;
        // Some editions write 12.0.
        let whole = whole.split('.').next().unwrap_or_default();
        whole.parse::<u64>().map_err(|_| Invalid::Malformed(name))
    };
    let stream = text("stream_id").or_else(|_| text("channel_id"))?;
    let id = text("file_id").or_else(|_| text("video_id"))?;
    if stream.len() > room::id::MAX_STREAM || id.is_empty() || id.len() > 128 {
        return Err(Invalid::Malformed("file_id"));
    }
    let seconds = number("duration")?;
    let end = number("end_time")?;
    // `start_time` is when recording began; a file of a long recording begins later.
    let started = Millis(end.saturating_sub(seconds).saturating_mul(1000)).min(now);
    let size = number("file_size").unwrap_or_default();
    let url = text("video_url")?;
    let duration = seconds.saturating_mul(1000);
    Ok(Elsewhere { stream, id, url, started, duration, size })
}

#[derive(Debug)]
struct Last {
    sequence: String,
    at: Millis,
    began: bool,
    heard: Millis,
}

/// The last event of each stream.
#[derive(Debug, Default)]
pub struct Events(Mutex<HashMap<String, Last>>);

impl Events {
    /// Takes in an event. Says whether it is news: not a repetition, and not overtaken by a later one.
    pub fn note(&self, event: &StreamEvent, now: Millis) -> bool {
        let mut known = self.0.lock();
        let new = || Last { sequence: event.sequence.clone(), at: event.at, began: event.began, heard: now };
        if let Some(last) = known.get_mut(&event.stream) {
            let same = last.sequence == event.sequence && !event.sequence.is_empty();
            let news = if same {
                // Of one push, the end is the last word.
                last.began && !event.began
            } else {
                // A push that began in the second in which another ended, came after it.
                event.at > last.at || event.at == last.at && event.began && !last.began
            };
            if news {
                *last = new();
            }
            return news;
        }
        if known.len() >= MAX_STREAMS {
            known.retain(|_, last| now.since(last.heard) < KEPT);
        }
        if known.len() < MAX_STREAMS {
            known.insert(event.stream.clone(), new());
        }
        true
    }

    /// When a stream began, if no end of it is known.
    #[must_use]
    pub fn began(&self, stream: &str) -> Option<Millis> {
        self.0.lock().get(stream).filter(|last| last.began).map(|last| last.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: &str, began: bool, at: u64) -> StreamEvent {
        StreamEvent { stream: "s".into(), began, at: Millis(at), sequence: sequence.into(), reason: String::new() }
    }

    #[test]
    fn order_is_that_of_the_pushes_not_of_arrival() {
        let events = Events::default();
        let now = Millis(100_000);
        assert!(events.note(&event("1", false, 5_000), now), "the end came first");
        assert!(!events.note(&event("1", true, 1_000), now), "its begin is old by then");
        assert_eq!(events.began("s"), None);
        assert!(events.note(&event("2", true, 5_000), now), "a new push in the same second");
        assert!(!events.note(&event("1", false, 5_000), now), "sent again");
        assert_eq!(events.began("s"), Some(Millis(5_000)));
        assert!(!events.note(&event("2", true, 5_000), now), "sent again");
        assert!(events.note(&event("2", false, 9_000), now));
        assert!(!events.note(&event("2", false, 9_000), now), "sent again");
        assert_eq!(events.began("s"), None);
    }

    #[test]
    fn only_signed_and_timely_ones_are_read() {
        let key = Secret::from("callback key");
        let body = |t: u64, sign: &str| {
            format!(
                r#"{{"t":{t},"sign":"{sign}","event_type":0,"stream_id":"8525_r_alice","event_time":1700000000,
                "sequence":"77","appid":1,"stream_param":"txSecret=x"}}"#
            )
        };
        let now = Millis(1_700_000_001_000);
        let t = 1_700_000_600;
        let good = body(t, &callback::sign_live(&key, t));
        let read_at = |text: &str, now| read(text.as_bytes(), &key, now);
        let Some(Said::Stream(event)) = read_at(&good, now).unwrap() else { panic!("a stream's") };
        assert_eq!((event.stream.as_str(), event.began, event.at), ("8525_r_alice", false, Millis(1_700_000_000_000)));
        assert_eq!(read_at(&good, Millis((t + 1) * 1000)), Err(Invalid::Expired), "replayed late");
        assert_eq!(read_at(&good.replace("1700000600", "1700000601"), now), Err(Invalid::Signature));
        assert_eq!(read_at(&body(t, "00"), now), Err(Invalid::Malformed("sign")));
        assert_eq!(read_at(&good.replace(r#""event_type":0"#, r#""event_type":200"#), now), Ok(None));
        let file = r#""event_type":100,"file_id":"5285","video_url":"https://v/x.mp4","duration":"61","end_time":1700000000,"file_size":9"#;
        let file = good.replace(r#""event_type":0"#, file);
        let Some(Said::Recorded(told)) = read_at(&file, now).unwrap() else { panic!("a recording's") };
        assert_eq!((told.id.as_str(), told.started, told.duration), ("5285", Millis(1_699_999_939_000), 61_000));
        assert_eq!(read_at(&file.replace("video_url", "url"), now), Ok(None), "thanked for");
        assert_eq!(read_at(&file.replace(r#""61""#, r#""x""#), now), Ok(None));
        assert_eq!(read(good.as_bytes(), &Secret::from(""), now), Err(Invalid::NoKey("live callback")));
        assert_eq!(read_at("[", now), Err(Invalid::Malformed("body")));
    }
}
