//! What clients may say: reads message bodies and numbers of their choice. Knows no groups.

mod sound;

use room::chat::{Body, Refusal};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Most elements of a message.
const MAX_ELEMENTS: usize = 16;

/// One element; its content passes through as it is, once every reader is known to find the same in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Element<'a> {
    #[serde(borrow)]
    pub msg_type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    pub msg_content: &'a RawValue,
}

/// Why a body is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Not a list of elements.
    Malformed,
    /// The chat refuses it.
    Refused(Refusal),
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A body as the old web client sends it: a list of `{MsgType, MsgContent}`.
pub fn list(json: &RawValue) -> Result<Body, Unfit> {
    // The length first: what is too long need not be read.
    let body = Body::new(json.get())?;
    let elements: Vec<Element<'_>> = serde_json::from_str(json.get()).map_err(|_| Unfit::Malformed)?;
    // The app's backend judges what it reads, the room gets what was written: they must be the same.
    sound::check(json.get()).map_err(|_| Unfit::Malformed)?;
    let object = |e: &Element<'_>| !e.msg_type.is_empty() && e.msg_content.get().starts_with('{');
    if elements.is_empty() || elements.len() > MAX_ELEMENTS || !elements.iter().all(object) {
        return Err(Unfit::Malformed);
    }
    Ok(body)
}

/// A body of one text.
pub fn text(text: &str) -> Result<Body, Unfit> {
    if text.is_empty() {
        return Err(Refusal::Empty { field: "text" }.into());
    }
    let json = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}]);
    Ok(Body::new(&json.to_string())?)
}

/// A body of one custom element: data of the application's, as text.
pub fn custom(data: &str, desc: &str, ext: &str) -> Result<Body, Unfit> {
    let json = json!([{"MsgType": "TIMCustomElem", "MsgContent": {"Data": data, "Desc": desc, "Ext": ext}}]);
    Ok(Body::new(&json.to_string())?)
}

/// Whether an account's name is one of the system's own: no user speaks under such a name.
pub fn reserved(account: &str) -> bool {
    account.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("@TIM#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Body, Unfit> {
        let text = format!(r#"[{{"MsgType":"TIMTextElem","MsgContent":{content}}}]"#);
        list(&RawValue::from_string(text).unwrap())
    }

    #[test]
    fn what_readers_might_read_in_two_ways_is_refused() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        for content in [
            r#"{"Text":"\ud800"}"#,
            r#"{"Text":"\udc00 alone"}"#,
            r#"{"\ud800":1}"#,
            r#"{"Text":"x","n":1e999}"#,
            r#"{"Text":"x","n":[-1e400]}"#,
            r#"{"Text":"one","Text":"other"}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            &deep(100),
            &deep(140),
        ] {
            assert_eq!(read(content), Err(Unfit::Malformed), "{content}");
        }
        for content in [
            r#"{"Text":"\ud83d\ude00 and a \u0001"}"#,
            r#"{"Data":"","n":[1,-2,1.5e300,18446744073709551615,true,null,{}]}"#,
            r#"{"a":{"b":1},"c":{"b":2}}"#,
            &deep(40),
        ] {
            let body = read(content).unwrap();
            assert!(body.as_json().contains(content), "it passes through as it is");
            assert!(serde_json::from_str::<serde_json::Value>(body.as_json()).is_ok());
        }
        let twice = r#"[{"MsgType":"TIMTextElem","MsgContent":{"Text":"x"},"more":1,"more":2}]"#;
        assert_eq!(list(&RawValue::from_string(twice.into()).unwrap()), Err(Unfit::Malformed));
    }
}
