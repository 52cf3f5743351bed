//! Examples for the OpenAPI document, made of its own schemas, so that each has what its schema wants: this file has the values,
//! by the names of properties and parameters. Knows no calls.

use serde_json::{Map, Value, json};

/// A moment of the examples, in Unix milliseconds.
const MOMENT: u64 = 1_790_000_000_000;
const STREAM: &str = "1000_tea_ada";

/// Values of whole schemas whose properties exclude each other or are not described.
fn of_schema(name: &str) -> Option<Value> {
    Some(match name {
        "Begin" => json!({ "time": MOMENT }),
        "Grants" => json!({ "roomList": true, "roomAdmin": true, "room": "tea" }),
        "Problem" => json!({ "type": "urn:roomservice:no_room", "title": "Not Found", "status": 404, "code": "no_room",
            "detail": "there is no such room" }),
        _ => return None,
    })
}

/// Values of properties and parameters.
fn of_name(name: &str) -> Option<Value> {
    Some(match name {
        "userID" | "user" | "creator" => "ada".into(),
        "roomID" | "room" => "tea".into(),
        "kind" => "multi".into(),
        "info" | "title" => "Tea at five".into(),
        "name" => "Ada".into(),
        "avatar" => "https://app.example.com/ada.png".into(),
        "text" => "Hello, Ada!".into(),
        "reason" => "spam".into(),
        "message" => "done".into(),
        "stream" => STREAM.into(),
        "file" => format!("{STREAM}.{MOMENT}.mp4").into(),
        "recordID" | "record" => format!("{STREAM}.{MOMENT}").into(),
        "session" => "tea".into(),
        "token" => "eyJhIjoxfQ.c2lnbmF0dXJl".into(),
        "userSig" => "eJyrVgrxCdYrSy1SslIy0jNQ0gHz".into(),
        "sdkAppID" => 1_400_000_000.into(),
        "accountType" => "0".into(),
        "version" => env!("CARGO_PKG_VERSION").into(),
        "protocol" => "rtmp".into(),
        "peer" => "203.0.113.20:51000".into(),
        "at" | "created" | "joined" | "seen" | "started" | "asked" | "time" | "until" | "expires" => MOMENT.into(),
        "seconds" => 600.into(),
        "duration" | "age" => 61_500.into(),
        "size" => 4_200_000.into(),
        "bitsIn" | "bitsOut" => 1_200_000.into(),
        "gop" => 2000.into(),
        "frameRate" => 25.0.into(),
        "width" => 1280.into(),
        "height" => 720.into(),
        "channels" => 2.into(),
        "rate" => 48_000.into(),
        "live" | "running" | "over" => true.into(),
        "paused" => false.into(),
        "code" | "skipped" | "status" => 0.into(),
        "custom" => json!({ "score": 3 }),
        "readers" => json!({ "flv": 3 }),
        "video" => json!({ "codec": "h264", "mime": "avc1.64001f", "width": 1280, "height": 720 }),
        "audio" => json!({ "codec": "aac", "mime": "mp4a.40.2", "rate": 48_000, "channels": 2 }),
        "layers" => json!([{ "width": 640, "height": 360, "bitsIn": 300_000, "frameRate": 25.0, "viewers": 1 }]),
        "muted" => json!(["eve"]),
        "messages" => json!([{ "seq": 1, "time": MOMENT, "from": "ada",
            "body": [{ "MsgType": "TIMTextElem", "MsgContent": { "Text": "Hello!" } }] }]),
        "mergeParams" => merge(),
        "limit" | "count" => 20.into(),
        "before" => 100.into(),
        "Idempotency-Key" => "5f0c2a7e".into(),
        _ => return None,
    })
}

/// A mix of two streams beside each other, as clients ask for it (docs/protocol.md).
fn merge() -> Value {
    let input = |id: &str, layer: u8, x: u16| {
        json!({ "input_stream_id": id, "layout_params": { "image_layer": layer, "image_width": 320, "image_height": 480,
            "location_x": x, "location_y": 0 } })
    };
    json!({ "interface": { "interfaceName": "Mix_StreamV2", "para": {
        "interface": "mix_streamv2.start_mix_stream_advanced", "mix_stream_session_id": "tea",
        "output_stream_id": STREAM, "output_stream_type": 0,
        "input_stream_list": [input(STREAM, 1, 0), input("1000_tea_bob", 2, 320)] } } })
}

/// An example of this schema; properties that may be missing and have no value here are left out.
fn of(schemas: &Value, schema: &Value, name: &str) -> Option<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return of_schema(name).or_else(|| of(schemas, &schemas[name], name));
    }
    if let Some(first) = schema["oneOf"].get(0) {
        return of_name(name).or_else(|| of(schemas, first, name));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str()).unwrap_or_default();
    match kind {
        "object" if schema["properties"].is_object() => {
            let required =
                |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
            let mut made = Map::new();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if required(name) || of_name(name).is_some() {
                    made.insert(name.clone(), of(schemas, property, name)?);
                }
            }
            Some(made.into())
        }
        "array" => of_name(name).filter(Value::is_array).or_else(|| {
            let singular = if name == "streams" { "stream" } else { name };
            Some(json!([of(schemas, &schema["items"], singular)?]))
        }),
        "integer" | "number" => of_name(name).filter(Value::is_number).or(Some(1.into())),
        "boolean" => of_name(name).filter(Value::is_boolean).or(Some(true.into())),
        "string" => of_name(name).filter(Value::is_string).or_else(|| schema["enum"].get(0).cloned()),
        _ => of_name(name).or(Some(json!({}))),
    }
}

/// Gives each parameter, body and answer of the document's calls an example.
pub fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let fill = |content: &mut Value| {
        for (_, media) in content.as_object_mut().into_iter().flatten().filter(|(kind, _)| kind.ends_with("json")) {
            // Each problem has its own.
            if media["example"].is_null()
                && let Some(example) = of(&schemas, &media["schema"], "")
            {
                media["example"] = example;
            }
        }
    };
    for (_, response) in document["components"]["responses"].as_object_mut().into_iter().flatten() {
        fill(&mut response["content"]);
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, call) in paths.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten()) {
        for parameter in call["parameters"].as_array_mut().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if let Some(example) = of_name(&name) {
                parameter["example"] = example;
            }
        }
        if call["requestBody"].is_object() {
            fill(&mut call["requestBody"]["content"]);
        }
        for (_, response) in call["responses"].as_object_mut().into_iter().flatten() {
            if response["content"].is_object() {
                fill(&mut response["content"]);
            }
        }
    }
}
