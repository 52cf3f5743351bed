//! Mixes as old clients ask for them (`merge_stream` in docs/protocol.md; `Mix_StreamV2` of Tencent's API 2.0), put into the words
//! of API 3.0, and that API's complaints put back into the old numbers. Calls no service.

use serde_json::{Map, Value, json};

use super::api::Trouble;
use streams::live::{MixOutcome, Mixable};

/// An input is not being pushed yet.
pub const NOT_PUSHED_YET: i32 = -505;
/// The size of an input is not known yet.
const NO_SIZE_YET: i32 = -507;
/// The service could not just now.
pub const TRIGGER_FAILED: i32 = -10031;
/// There is no such mix.
pub const NO_SESSION: i32 = -30300;

const MAX_INPUTS: usize = 16;
const MAX_ID: usize = 80;
/// Largest size and position of API 3.0, in pixels; the old API had 3000.
const MAX_PIXELS: f64 = 2000.0;
/// Largest bitrate of API 3.0; the old API had 50000.
const MAX_BITRATE: f64 = 10_000.0;

/// What is to be asked of the service.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// `CreateCommonMixStream` with this body.
    Start(Value),
    /// `CancelCommonMixStream` with this body. `implied`: the client asked for a mix of one.
    Cancel {
        /// The body.
        body: Value,
        /// A mix that does not exist is fine.
        implied: bool,
    },
}

impl Order {
    /// The session that it is about, which the room may use.
    #[must_use]
    pub fn session(&self) -> &str {
        let (Self::Start(body) | Self::Cancel { body, .. }) = self;
        body["MixStreamSessionId"].as_str().unwrap_or_default()
    }
}

fn refuse<T>(code: i32, message: &str) -> Result<T, MixOutcome> {
    Err(MixOutcome { code, message: message.into() })
}

fn done() -> MixOutcome {
    MixOutcome { code: 0, message: "Success!".into() }
}

/// Clients write numbers as numbers or as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite())
}

fn id(value: &Value) -> Option<&str> {
    let good = |id: &&str| !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic());
    value.as_str().filter(good)
}

/// A number as JSON without a needless fraction.
fn plain(n: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)]
    if n.fract() == 0.0 && n.abs() < 1e9 { json!(n as i64) } else { json!(n) }
}

/// Reads what a client asks for. No other streams than these may be mixed, and only those of the room replaced or
/// have their mix ended, whatever ids the client gives.
///
/// # Errors
/// What to answer without asking the service: the old API's number for what is wrong.
pub fn translate(params: &Value, streams: &Mixable) -> Result<Order, MixOutcome> {
    let para = &params["interface"]["para"];
    let Some(interface) = para["interface"].as_str() else { return refuse(-1, "para.interface is missing") };
    let ours = |id: &str| streams.in_room(id);
    let Some(output) = id(&para["output_stream_id"]) else { return refuse(-2, "output_stream_id") };
    let fresh = number(&para["output_stream_type"]).unwrap_or_default() == 1.0;
    let named_after_ours = streams.room.iter().any(|s| output.starts_with(s.as_str()));
    if !(ours(output) || fresh && named_after_ours) {
        if para["input_stream_list"].as_array().is_some_and(|inputs| inputs.len() == 1) {
            // Clients say so whenever they are alone, mixed or not: of this room there is no such mix.
            return Err(done());
        }
        return refuse(-111, "output_stream_id is no stream of this room");
    }
    // Sessions belong to the whole account: one that is not named after a stream of the room is.
    let session = id(&para["mix_stream_session_id"]).filter(|id| ours(id)).unwrap_or(output);
    let cancel = |implied| Ok(Order::Cancel { body: json!({ "MixStreamSessionId": session }), implied });
    if interface == "mix_streamv2.cancel_mix_stream" {
        return cancel(false);
    }
    if interface != "mix_streamv2.start_mix_stream_advanced" {
        return refuse(-2, "para.interface");
    }
    let Some(inputs) = para["input_stream_list"].as_array() else { return refuse(-2, "input_stream_list") };
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return refuse(-3, "1 to 16 inputs");
    }
    if inputs.len() == 1 {
        return cancel(true);
    }
    let scale = scale(inputs);
    let inputs = inputs.iter().map(|i| input(i, streams, scale)).collect::<Result<Vec<_>, _>>()?;
    let template = number(&para["mix_stream_template_id"]).unwrap_or_default();
    let mut out = json!({ "OutputStreamName": output, "OutputStreamType": u8::from(fresh) });
    if let Some(bitrate) = number(&para["output_stream_bitrate"]) {
        if bitrate < 1.0 {
            return refuse(-31004, "output_stream_bitrate");
        }
        out["OutputStreamBitRate"] = plain(bitrate.min(MAX_BITRATE).floor());
    }
    Ok(Order::Start(json!({
        "MixStreamSessionId": session,
        "MixStreamTemplateId": plain(template),
        "InputStreamList": inputs,
        "OutputParams": out,
    })))
}

const PIXELS: [(&str, &str); 4] = [
    ("image_width", "ImageWidth"),
    ("image_height", "ImageHeight"),
    ("location_x", "LocationX"),
    ("location_y", "LocationY"),
];
const CROP: [(&str, &str); 4] = [
    ("crop_width", "CropWidth"),
    ("crop_height", "CropHeight"),
    ("crop_x", "CropStartLocationX"),
    ("crop_y", "CropStartLocationY"),
];

/// By how much the whole picture must shrink to fit API 3.0's limits.
fn scale(inputs: &[Value]) -> f64 {
    let sizes = inputs.iter().flat_map(|i| PIXELS.iter().filter_map(|(old, _)| number(&i["layout_params"][*old])));
    MAX_PIXELS / sizes.fold(MAX_PIXELS, f64::max)
}

fn input(input: &Value, streams: &Mixable, scale: f64) -> Result<Value, MixOutcome> {
    let Some(name) = id(&input["input_stream_id"]) else { return refuse(-2, "input_stream_id") };
    let layout = &input["layout_params"];
    let kind = number(&layout["input_type"]).unwrap_or_default();
    // Pictures (2) and canvases (3) are no streams: their ids are made up.
    if !(streams.may_mix(name) || kind == 2.0 || kind == 3.0) {
        return refuse(-2, "input_stream_id is no stream of this room, and none of a pusher of another room");
    }
    if !matches!(kind as u8, 0 | 2..=5) {
        return refuse(-2, "input_type");
    }
    let layer = number(&layout["image_layer"]).filter(|n| (1.0..=16.0).contains(n) && n.fract() == 0.0);
    let Some(layer) = layer else { return refuse(-11, "image_layer: 1 to 16") };
    let mut new = Map::new();
    new.insert("ImageLayer".into(), plain(layer));
    if kind != 0.0 {
        new.insert("InputType".into(), plain(kind));
    }
    for (old, name) in PIXELS {
        match number(&layout[old]) {
            None => {}
            Some(n) if n < 0.0 => return refuse(-4, old),
            // Up to 1, it is a share of the background.
            Some(n) if n <= 1.0 => _ = new.insert(name.into(), plain(n)),
            Some(n) => _ = new.insert(name.into(), plain((n * scale).round())),
        }
    }
    if let Some(color) = layout["color"].as_str() {
        new.insert("Color".into(), color.into());
    }
    if let Some(picture) = number(&layout["picture_id"]) {
        new.insert("WatermarkId".into(), plain(picture));
    }
    let mut translated = json!({ "InputStreamName": name, "LayoutParams": new });
    let crop: Map<_, _> = CROP
        .iter()
        .filter_map(|(old, name)| Some(((*name).to_owned(), plain(number(&input["crop_params"][*old])?))))
        .collect();
    if !crop.is_empty() {
        translated["CropParams"] = crop.into();
    }
    Ok(translated)
}

/// Whether the same mix may go better in a moment.
#[must_use]
pub fn passes(code: i32) -> bool {
    matches!(code, NOT_PUSHED_YET | NO_SIZE_YET | TRIGGER_FAILED)
}

/// The old number for what API 3.0 said.
#[must_use]
pub fn outcome(said: &Result<Value, Trouble>, implied_cancel: bool) -> MixOutcome {
    let code = match said {
        Ok(_) => 0,
        Err(Trouble::Away(_) | Trouble::HeldBack) => TRIGGER_FAILED,
        Err(Trouble::Said { code, message }) => old_code(code, message),
    };
    let gone = matches!(code, NO_SESSION | -31001 | -31002);
    match (code, said) {
        (0, _) => done(),
        _ if gone && implied_cancel => done(),
        (code, Err(trouble)) => MixOutcome { code, message: trouble.to_string() },
        (code, Ok(_)) => MixOutcome { code, message: String::new() },
    }
}

fn old_code(code: &str, message: &str) -> i32 {
    // The service often repeats the number of the API behind it.
    let numbers = message.match_indices('-').filter_map(|(at, _)| {
        let digits: String = message[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        let before = message[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
        (before && (1..=5).contains(&digits.len())).then(|| digits.parse::<i32>().ok()).flatten()
    });
    match (code, numbers.into_iter().next()) {
        (_, Some(number)) if number > 0 => -number,
        ("FailedOperation.HasNotLivingStream" | "FailedOperation.StreamNotExist", _) => NOT_PUSHED_YET,
        ("FailedOperation.GetStreamResolutionError", _) => NO_SIZE_YET,
        ("FailedOperation.GetPictureUrlError", _) => -33,
        ("FailedOperation.CancelSessionNotExist" | "InvalidParameter.CancelSessionNotExist", _) => NO_SESSION,
        (code, _) if code.starts_with("InvalidParameter") || code.starts_with("MissingParameter") => -2,
        _ => TRIGGER_FAILED,
    }
}

#[cfg(test)]
mod tests;
