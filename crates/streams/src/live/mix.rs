//! `mergeParams` read: which streams are mixed and where each is seen, with the error numbers that clients know
//! (docs/protocol.md, merge_stream). Pure; starts nothing.

mod fields;
mod template;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use media::mix::{self, Crop, Input, Layout, Mixer, Output, Place};
use media::{Hub, StreamName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MixOutcome, Mixable};
use fields::{Fields, Size};

/// An input is not there yet: clients ask again.
pub const NOT_THERE_YET: i32 = -505;
/// The size of an input is not known yet: clients ask again, too.
const SIZE_UNKNOWN: i32 = -507;
/// Most inputs of one mix.
const MOST: usize = 16;
/// Largest coordinate and size, in pixels.
const FARTHEST: f64 = 3000.0;
/// The canvases that clients lay their pixels out for, when they do not say how large the background is.
const NOMINAL: [(f64, f64); 2] = [(360.0, 640.0), (480.0, 640.0)];

/// `[mix]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program.
    pub ffmpeg: PathBuf,
    /// Most mixes at a time.
    pub most: usize,
    /// How much they give way to others.
    pub nice: u8,
    /// Seconds that the program may take to its first frame.
    pub start_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let mix::Settings { ffmpeg, most, nice, start, .. } = mix::Settings::default();
        Self { ffmpeg, most, nice, start_seconds: start.as_secs() }
    }
}

impl Settings {
    /// The mixer that these settings make.
    #[must_use]
    pub fn mixer(&self, hub: &Hub) -> Mixer {
        Mixer::new(hub.clone(), self.making(self.most))
    }

    /// How so many mixes, or other things that the program makes, are made at a time.
    #[must_use]
    pub fn making(&self, most: usize) -> mix::Settings {
        let start = Duration::from_secs(self.start_seconds.max(1));
        mix::Settings { ffmpeg: self.ffmpeg.clone(), most, nice: self.nice, start, ..mix::Settings::default() }
    }
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// No more mixing.
    Stop {
        /// The session.
        session: String,
        /// Where its mix is seen.
        output: StreamName,
    },
    /// A mix, new or changed.
    Mix {
        /// The session.
        session: String,
        /// Where it is seen.
        output: Output,
        /// How it looks.
        layout: Layout,
    },
}

/// What is known of a stream that is pushed: the size of its video, 0 by 0 while unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A refusal with its number.
pub fn refuse(code: i32, message: impl Into<String>) -> MixOutcome {
    MixOutcome { code, message: message.into() }
}

type Read<T> = Result<T, MixOutcome>;

/// One input as it was written.
struct Item {
    id: String,
    kind: Kind,
    layer: i64,
    width: Option<Size>,
    height: Option<Size>,
    x: Size,
    y: Size,
    color: u32,
    crop: Option<[Size; 4]>,
    pushed: Pushed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Both,
    Canvas,
    Sound,
    Picture,
}

/// The session that parameters speak of.
#[must_use]
pub fn session(params: &Value) -> Option<String> {
    Fields(params.pointer("/interface/para")?.as_object()?).text("mix_stream_session_id")
}

/// The names of those inputs that are streams, for a mix that is to be begun or changed; none where one is to end.
#[must_use]
pub fn streams(params: &Value) -> Vec<String> {
    let para = params.pointer("/interface/para").and_then(Value::as_object);
    if para.is_none_or(|para| Fields(para).text("interface").is_some_and(|i| i == "mix_streamv2.cancel_mix_stream")) {
        return Vec::new();
    }
    // As in `read`: a list of one ends the mix.
    let list =
        params.pointer("/interface/para/input_stream_list").and_then(Value::as_array).filter(|list| list.len() > 1);
    let list = list.into_iter().flatten().take(MOST).filter_map(Value::as_object);
    let is_stream = |input: &&serde_json::Map<String, Value>| {
        let layout = input.get("layout_params").and_then(Value::as_object);
        let kind = layout.and_then(|layout| Fields(layout).number("input_type").ok().flatten());
        !matches!(kind.unwrap_or_default() as i64, 2 | 3)
    };
    list.filter(is_stream).filter_map(|input| Fields(input).text("input_stream_id")).collect()
}

/// Whether these parameters could be mixed, were all of these streams pushed.
#[must_use]
pub fn is_sound(params: &Value, streams: &Mixable) -> bool {
    let size = Pushed { width: 360, height: 640 };
    let read = read(params, streams, |name| streams.may_mix(name).then_some(size));
    // Pictures of a gallery are mixed by others.
    matches!(read, Ok(Asked::Mix { .. }) | Err(MixOutcome { code: -33, .. }))
}

/// Reads the parameters. `streams` are the only ones that may be mixed; `pushed` says of each whether it is there.
///
/// # Errors
/// What is wrong, with the number that clients know.
pub fn read(params: &Value, streams: &Mixable, pushed: impl Fn(&str) -> Option<Pushed>) -> Read<Asked> {
    let para = params.pointer("/interface/para").and_then(Value::as_object).ok_or_else(|| refuse(-1, "no para"))?;
    let para = Fields(para);
    let output = para.text("output_stream_id").ok_or_else(|| refuse(-2, "output_stream_id is missing"))?;
    let session = para.text("mix_stream_session_id").ok_or_else(|| refuse(-2, "mix_stream_session_id is missing"))?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.~@:+=,".contains(c);
    if session.is_empty() || session.len() > 256 || !session.chars().all(fine) {
        return Err(refuse(-2, "mix_stream_session_id: letters, digits and _"));
    }
    let output_name = StreamName::new(&output).map_err(|_| refuse(-2, "output_stream_id is no stream's name"))?;
    if para.text("interface").is_some_and(|i| i == "mix_streamv2.cancel_mix_stream") {
        return Ok(Asked::Stop { session, output: output_name });
    }
    let list = para.get("input_stream_list").and_then(Value::as_array);
    let list = list.ok_or_else(|| refuse(-2, "input_stream_list is missing"))?;
    if list.is_empty() || list.len() > MOST {
        return Err(refuse(-3, "1 to 16 inputs can be mixed"));
    }
    if list.len() == 1 {
        // As clients end a mix: the creator alone is no mix.
        return Ok(Asked::Stop { session, output: output_name });
    }
    let number = para.number("mix_stream_template_id")?.unwrap_or(0.0);
    let mut items = Vec::with_capacity(list.len());
    for value in list {
        items.push(item(value, streams, &pushed, number == 0.0)?);
    }
    let output = target(&para, output_name, &items, streams, &pushed)?;
    let bitrate = match para.number("output_stream_bitrate")? {
        None | Some(0.0) => None,
        Some(kbps) if (1.0..=50_000.0).contains(&kbps) => Some(kbps as u32 * 1000),
        Some(_) => return Err(refuse(-31004, "output_stream_bitrate: 1 to 50000")),
    };
    let mut layout = if number == 0.0 { by_layers(items)? } else { template::layout(number as i64, items)? };
    layout.bitrate = bitrate;
    if layout.inputs.is_empty() {
        return Err(refuse(-21, "there is no stream to mix"));
    }
    Ok(Asked::Mix { session, output, layout })
}

fn item(value: &Value, streams: &Mixable, pushed: &impl Fn(&str) -> Option<Pushed>, layered: bool) -> Read<Item> {
    let empty = serde_json::Map::new();
    let input = Fields(value.as_object().ok_or_else(|| refuse(-1, "an input is no object"))?);
    let layout = Fields(input.get("layout_params").and_then(Value::as_object).unwrap_or(&empty));
    let id = input.text("input_stream_id").ok_or_else(|| refuse(-4, "input_stream_id is missing"))?;
    let kind = match layout.number("input_type")?.unwrap_or(0.0) as i64 {
        0 => Kind::Both,
        // A picture that fills an empty place: the place stays empty.
        2 if layered => Kind::Canvas,
        2 => return Err(refuse(-33, "pictures of a gallery are not kept here")),
        3 => Kind::Canvas,
        4 => Kind::Sound,
        5 => Kind::Picture,
        _ => return Err(refuse(-4, "input_type: 0, 3, 4 or 5")),
    };
    let layer = layout.number("image_layer")?.map_or(0, |layer| layer as i64);
    if layered && !(1..=MOST as i64).contains(&layer) {
        return Err(refuse(-11, "image_layer: 1 to 16"));
    }
    let mut there = Pushed::default();
    if kind != Kind::Canvas {
        if !streams.may_mix(&id) {
            return Err(refuse(-4, format!("{id} is no stream of this room, and none of a pusher of another room")));
        }
        there = pushed(&id).ok_or_else(|| refuse(NOT_THERE_YET, format!("{id} is not pushed yet")))?;
    }
    let crop = match input.get("crop_params").and_then(Value::as_object).map(Fields) {
        None => None,
        Some(crop) => {
            let size = |name| crop.size(name).map(Option::unwrap_or_default);
            let crop = [size("crop_x")?, size("crop_y")?, size("crop_width")?, size("crop_height")?];
            (!crop[2].is_zero() && !crop[3].is_zero()).then_some(crop)
        }
    };
    Ok(Item {
        id,
        kind,
        layer,
        width: layout.size("image_width")?.filter(|s| !s.is_zero()),
        height: layout.size("image_height")?.filter(|s| !s.is_zero()),
        x: layout.size("location_x")?.unwrap_or_default(),
        y: layout.size("location_y")?.unwrap_or_default(),
        color: layout.color()?,
        crop,
        pushed: there,
    })
}

/// Where the mix is seen. A stream of its own must belong to the room: its name begins with that of one of its streams.
fn target(
    para: &Fields<'_>,
    output: StreamName,
    items: &[Item],
    streams: &Mixable,
    pushed: &impl Fn(&str) -> Option<Pushed>,
) -> Read<Output> {
    let name = output.as_str();
    let input = items.iter().any(|item| item.kind != Kind::Canvas && item.id == name);
    match para.number("output_stream_type")?.unwrap_or(0.0) as i64 {
        0 if input && streams.in_room(name) => Ok(Output::Over(output)),
        0 => Err(refuse(-111, "output_stream_id must be one of the inputs, and of this room")),
        1 if input => Err(refuse(-111, "output_stream_id must not be an input")),
        1 if pushed(name).is_some() || streams.in_room(name) => Err(refuse(-300, "output_stream_id is in use")),
        1 if streams.name_own(name) => Ok(Output::Own(output)),
        1 => Err(refuse(-111, "output_stream_id must begin with a stream of the room and _")),
        _ => Err(refuse(-2, "output_stream_type: 0 or 1")),
    }
}

/// Template 0: every input says its layer, size and place.
fn by_layers(mut items: Vec<Item>) -> Read<Layout> {
    items.sort_by_key(|item| item.layer);
    if items.windows(2).any(|pair| pair[0].layer == pair[1].layer) {
        return Err(refuse(-11, "two inputs have the same image_layer"));
    }
    let Some(background) = items.first().filter(|item| item.layer == 1) else {
        return Err(refuse(-11, "no input has image_layer 1, the background"));
    };
    let (size, scale) = background_size(background, &items[1..])?;
    let color = if background.kind == Kind::Canvas { background.color } else { 0 };
    let mut inputs = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| item.kind != Kind::Canvas) {
        let place = match item.kind {
            Kind::Sound => None,
            _ if item.layer == 1 => Some((0.0, 0.0, f64::from(size.0), f64::from(size.1))),
            _ => {
                let across = |s: Size| s.pixels(size.0) * if s.is_fraction() { 1.0 } else { scale.0 };
                let down = |s: Size| s.pixels(size.1) * if s.is_fraction() { 1.0 } else { scale.1 };
                let own = |s: Option<Size>, own: u32, of: &dyn Fn(Size) -> f64| match s {
                    Some(s) => Ok(of(s)),
                    None if own > 0 => Ok(f64::from(own)),
                    None => Err(refuse(SIZE_UNKNOWN, format!("the size of {} is not known yet", item.id))),
                };
                let width = own(item.width, item.pushed.width, &across)?;
                let height = own(item.height, item.pushed.height, &down)?;
                Some((across(item.x), down(item.y), width, height))
            }
        };
        inputs.push(input(item, place)?);
    }
    Ok(Layout { size, color, inputs, bitrate: None, rate: mix::RATE, passes_sound: false })
}

/// The size of the background, and by how much pixels of others are scaled: clients lay them out for a background of
/// 360 or 480 by 640 when they do not give its size.
fn background_size(background: &Item, others: &[Item]) -> Read<((u32, u32), (f64, f64))> {
    if let (Some(width), Some(height)) = (background.width, background.height)
        && !width.is_fraction()
        && !height.is_fraction()
    {
        return Ok((even(width.pixels(0), height.pixels(0)), (1.0, 1.0)));
    }
    let Pushed { width, height } = background.pushed;
    match background.kind {
        Kind::Canvas | Kind::Sound => return Err(refuse(-28, "the background's size is missing")),
        _ if width == 0 || height == 0 => {
            return Err(refuse(SIZE_UNKNOWN, "the size of the background is not known yet"));
        }
        _ => {}
    }
    let size = (f64::from(width), f64::from(height));
    let right = |item: &Item| match item.width {
        Some(w) if !w.is_fraction() && !item.x.is_fraction() => w.pixels(0) + item.x.pixels(0),
        _ => 0.0,
    };
    let edge = others.iter().map(right).fold(0.0, f64::max);
    let nominal = NOMINAL.into_iter().find(|(w, _)| *w == edge);
    let scale = nominal.map_or((1.0, 1.0), |(w, h)| (size.0 / w, size.1 / h));
    Ok((even(size.0, size.1), scale))
}

/// An input at a place (x, y, width, height in pixels); `None`: only heard.
fn input(item: &Item, place: Option<(f64, f64, f64, f64)>) -> Read<Input> {
    let stream = StreamName::new(&item.id).map_err(|_| refuse(-4, "input_stream_id is no stream's name"))?;
    let place = match place {
        None => None,
        Some((x, y, width, height)) => {
            let (width, height) = even(width, height);
            let crop = item.crop.map(|crop| cropped(crop, item.pushed)).transpose()?;
            Some(Place { x: x.round() as i32, y: y.round() as i32, width, height, crop })
        }
    };
    Ok(Input { stream, place, heard: item.kind != Kind::Picture })
}

fn cropped([x, y, width, height]: [Size; 4], pushed: Pushed) -> Read<Crop> {
    if pushed.width == 0 || pushed.height == 0 {
        return Err(refuse(SIZE_UNKNOWN, "the size of a stream to be cropped is not known yet"));
    }
    let across = |s: Size| s.pixels(pushed.width).round() as u32;
    let down = |s: Size| s.pixels(pushed.height).round() as u32;
    let x = across(x);
    let y = down(y);
    let width = across(width);
    let height = down(height);
    if width < 2 || height < 2 || x + width > pushed.width || y + height > pushed.height {
        return Err(refuse(-29, "crop_params reach beyond the picture"));
    }
    Ok(Crop { x, y, width, height, of: (pushed.width, pushed.height) })
}

fn even(width: f64, height: f64) -> (u32, u32) {
    // Encoders want even sizes; a picture of nothing is none.
    let even = |v: f64| ((v.round() as u32) & !1).clamp(2, FARTHEST as u32);
    (even(width), even(height))
}
