//! Bodies as the pages of clients that poll can read them. The pages of 2018 for live rooms and calls parse what they are told and
//! stop listening for good where that fails; those of 2020 look at the first element alone. All others take what was said.

use room::chat::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::say;

/// Which client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// webim 1.7, with the pages of 2018 for live rooms, calls and meetings.
    Webim,
    /// webim 1.7 with other pages: the class room, and an app's own.
    Other,
    /// The TIM web SDK, with the room pages of 2020.
    Tim,
}

/// What a client is given.
#[derive(Clone, Debug)]
pub enum Page {
    /// The body as it was said.
    AsSaid,
    /// Another one, which it can read.
    Instead(Box<RawValue>),
    /// Nothing: there is nothing in it for its pages.
    Nothing,
}

/// An element as it was said, and what a page makes of it.
struct Element<'a> {
    raw: &'a RawValue,
    part: Part,
}

enum Part {
    Text(String),
    Custom(String),
    Other,
}

fn elements(body: &Body) -> Vec<Element<'_>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Text {
        text: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Custom {
        data: String,
    }
    let part = |raw: &RawValue| -> Option<Part> {
        let said: say::Element<'_> = serde_json::from_str(raw.get()).ok()?;
        let content = said.msg_content.get();
        match &*said.msg_type {
            "TIMTextElem" => Some(Part::Text(serde_json::from_str::<Text>(content).ok()?.text)),
            "TIMCustomElem" => Some(Part::Custom(serde_json::from_str::<Custom>(content).ok()?.data)),
            _ => None,
        }
    };
    let raws: Vec<&RawValue> = serde_json::from_str(body.as_json()).unwrap_or_default();
    raws.into_iter().map(|raw| Element { raw, part: part(raw).unwrap_or(Part::Other) }).collect()
}

/// A message of a group for a client; `nick` is the name that its pages show.
pub fn of_group(client: Client, body: &Body, nick: &str) -> Page {
    match client {
        Client::Webim => webim_group(&elements(body), nick),
        Client::Other => Page::AsSaid,
        Client::Tim => tim_group(&elements(body)),
    }
}

/// A private message for a client. There is always one: an empty list would stop webim's polls.
pub fn of_private(client: Client, body: &Body, nick: &str) -> Page {
    match client {
        Client::Webim => webim_private(&elements(body), nick),
        Client::Other | Client::Tim => Page::AsSaid,
    }
}

/// What webim's pages get: texts and data one after the other, with what it takes for HTML replaced. None where there is an element
/// that is neither.
fn shown(elements: &[Element<'_>]) -> Option<String> {
    let mut shown = String::new();
    for element in elements {
        match &element.part {
            Part::Text(text) | Part::Custom(text) => shown.push_str(text),
            Part::Other => return None,
        }
    }
    Some(shown.replace("&nbsp;", " ").replace("<br/>", "\n"))
}

fn texts(elements: &[Element<'_>]) -> String {
    elements.iter().filter_map(|e| if let Part::Text(text) = &e.part { Some(&**text) } else { None }).collect()
}

/// Whether a page that branches on `cmd` and then looks into `data` gets through.
fn harmless(command: &Value, looked_into: &[&str]) -> bool {
    let Value::Object(fields) = command else { return !command.is_null() };
    match fields.get("cmd") {
        Some(Value::String(cmd)) if !looked_into.contains(&&**cmd) => true,
        None | Some(Value::Null) => true,
        Some(_) => fields.get("data").is_some_and(|data| !data.is_null()),
    }
}

/// The 2018 pages parse a message up to its first `}}` as a command.
fn webim_group(elements: &[Element<'_>], nick: &str) -> Page {
    let reads = |shown: String| {
        let head = format!("{}}}}}", shown.split("}}").next().unwrap_or_default());
        shown.is_empty()
            || serde_json::from_str(&head).is_ok_and(|head| harmless(&head, &["CustomTextMsg", "CustomCmdMsg"]))
    };
    if shown(elements).is_some_and(reads) {
        return Page::AsSaid;
    }
    let text = texts(elements);
    if text.is_empty() {
        return Page::Nothing;
    }
    let command = format!(r#"{{"cmd":"CustomTextMsg","data":{{"nickName":{},"headPic":""}}}}"#, plain(nick));
    instead(&json!([custom(&command), {"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}]))
}

/// They parse the whole of a private one.
fn webim_private(elements: &[Element<'_>], nick: &str) -> Page {
    let reads = |shown: String| serde_json::from_str(&shown).is_ok_and(|said| harmless(&said, &["linkmic", "pk"]));
    if shown(elements).is_some_and(reads) {
        return Page::AsSaid;
    }
    let text = plain(&texts(elements));
    let command =
        format!(r#"{{"cmd":"CustomTextMsg","data":{{"nickName":{},"headPic":"","text":{text}}}}}"#, plain(nick));
    instead(&json!([custom(&command)]))
}

/// The 2020 pages take a message for what its first element is, and show texts.
fn tim_group(elements: &[Element<'_>]) -> Page {
    let named = |data: &str| {
        serde_json::from_str::<Value>(data).is_ok_and(|command| command.get("cmd") == Some(&"CustomTextMsg".into()))
    };
    let text = |e: &&Element<'_>| matches!(e.part, Part::Text(_));
    match elements.first() {
        Some(Element { part: Part::Custom(data), .. }) if named(data) && elements.iter().any(|e| text(&e)) => {
            let (texts, others): (Vec<_>, Vec<_>) = elements.iter().partition(text);
            instead(&texts.into_iter().chain(others).map(|e| e.raw).collect::<Vec<_>>())
        }
        _ => Page::AsSaid,
    }
}

fn custom(data: &str) -> Value {
    json!({"MsgType": "TIMCustomElem", "MsgContent": {"Data": data, "Desc": "", "Ext": ""}})
}

/// A text in JSON without what pages look for in the whole of it: its end, and what webim takes for HTML.
fn plain(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.replace('}', "\\u007d").replace('<', "\\u003c").replace('&', "\\u0026")
}

fn instead(list: &impl serde::Serialize) -> Page {
    serde_json::value::to_raw_value(list).map_or(Page::Nothing, Page::Instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(elements: &Value) -> Body {
        Body::new(&elements.to_string()).unwrap()
    }

    fn text(text: &str) -> Value {
        json!({"MsgType": "TIMTextElem", "MsgContent": {"Text": text}})
    }

    /// What `receiveMsg` of the 2018 page does with a body: its command and what follows it, or none where it throws.
    fn received(list: &str) -> Option<(Value, String)> {
        let list: Vec<Value> = serde_json::from_str(list).unwrap();
        let of = |e: &Value| e["MsgContent"]["Data"].as_str().or(e["MsgContent"]["Text"].as_str()).unwrap().to_owned();
        let content = list.iter().map(of).collect::<String>().replace("&nbsp;", " ").replace("<br/>", "\n");
        let (head, rest) = content.split_once("}}").unwrap_or((&content, ""));
        let command: Value = serde_json::from_str(&format!("{head}}}}}")).ok()?;
        let looked = ["CustomTextMsg", "CustomCmdMsg"].iter().any(|cmd| command["cmd"] == **cmd);
        (!looked || !command["data"].is_null()).then(|| (command, rest.to_owned()))
    }

    #[test]
    fn pages_of_2018_hear_every_text_and_choke_on_nothing() {
        for said in [
            "welcome",
            "a}}b",
            "{",
            "{\"cmd\":\"CustomTextMsg\"}}x",
            "null",
            "<br/>&nbsp;",
            "5",
            "{\"a\":{\"b\":\"<br/>\"}}",
        ] {
            let page = of_group(Client::Webim, &body(&json!([text(said)])), "An}}n<br/>&nbsp;\"");
            let Page::Instead(list) = page else { panic!("{said}: {page:?}") };
            let (command, rest) = received(list.get()).unwrap_or_else(|| panic!("{said} ends the polls: {list}"));
            assert_eq!(command["cmd"], "CustomTextMsg");
            assert_eq!(command["data"]["nickName"], "An}}n<br/>&nbsp;\"");
            assert_eq!(rest, said.replace("&nbsp;", " ").replace("<br/>", "\n"));
        }
    }

    #[test]
    fn what_pages_of_2018_read_stays_as_it_is() {
        let named = |data: &str| body(&json!([custom(data), text("hi }} there")]));
        for data in [
            r#"{"cmd":"CustomTextMsg","data":{"nickName":"Ann","headPic":""}}"#,
            r#"{"cmd":"CustomCmdMsg","data":{"nickName":"Ann","headPic":"","cmd":"like","msg":"1"}}"#,
            r#"{"cmd":"more","data":{}}"#,
        ] {
            assert!(matches!(of_group(Client::Webim, &named(data), "Ann"), Page::AsSaid), "{data}");
        }
        assert!(
            matches!(of_group(Client::Webim, &body(&json!([custom("")])), "Ann"), Page::AsSaid),
            "the SDK's own commands"
        );
    }

    #[test]
    fn what_pages_of_2018_cannot_read_is_left_out() {
        for data in
            ["x", r#"{"a":1}"#, r#"{"cmd":["CustomTextMsg"],"x":{}}"#, r#"{"cmd":"CustomCmdMsg","data":null,"x":{}}"#]
        {
            assert!(matches!(of_group(Client::Webim, &body(&json!([custom(data)])), "Ann"), Page::Nothing), "{data}");
        }
        let image = json!([{"MsgType": "TIMImageElem", "MsgContent": {"UUID": "1"}}]);
        assert!(matches!(of_group(Client::Webim, &body(&image), "Ann"), Page::Nothing));
        let odd = json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": 5}}]);
        assert!(matches!(of_group(Client::Webim, &body(&odd), "Ann"), Page::Nothing));
    }

    #[test]
    fn private_messages_parse_as_a_whole() {
        let linkmic = json!([custom(r#"{"cmd":"linkmic","data":{"type":"request"}}"#)]);
        assert!(matches!(of_private(Client::Webim, &body(&linkmic), "Ann"), Page::AsSaid));
        let empty = custom(r#"{"cmd":"linkmic"}"#);
        for said in
            [text("hello <br/> }}"), text(""), custom(""), empty, json!({"MsgType": "TIMFaceElem", "MsgContent": {}})]
        {
            let page = of_private(Client::Webim, &body(&json!([said])), "Ann");
            let Page::Instead(list) = page else { panic!("{said}: {page:?}") };
            let list: Vec<Value> = serde_json::from_str(list.get()).unwrap();
            let data = list[0]["MsgContent"]["Data"].as_str().unwrap().replace("<br/>", "\n");
            let parsed: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(parsed["data"]["text"], said["MsgContent"]["Text"].as_str().unwrap_or_default());
            assert_eq!(list.len(), 1);
        }
    }

    #[test]
    fn pages_of_2020_see_the_text_first() {
        let name = custom(r#"{"cmd":"CustomTextMsg","data":{"nickName":"Ann","headPic":""}}"#);
        let page = of_group(Client::Tim, &body(&json!([name, text("hi")])), "Ann");
        let Page::Instead(list) = page else { panic!("{page:?}") };
        assert_eq!(serde_json::from_str::<Value>(list.get()).unwrap(), json!([text("hi"), name]));
        let command = custom(r#"{"cmd":"CustomCmdMsg","data":{}}"#);
        for said in [json!([command, text("hi")]), json!([text("hi"), name]), json!([name])] {
            assert!(matches!(of_group(Client::Tim, &body(&said), "Ann"), Page::AsSaid), "{said}");
        }
    }
}
