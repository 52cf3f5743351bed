//! What clients may say: reads message bodies and numbers of their choice. Knows no groups.

use room::chat::{Body, Refusal};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Most elements of a message.
const MAX_ELEMENTS: usize = 16;

/// One element; its content passes through unread.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Element<'a> {
    #[serde(borrow)]
    msg_type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    msg_content: &'a RawValue,
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
