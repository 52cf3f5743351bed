//! Ready-made layouts, by their numbers. Inputs take their places in the order of the list; one that is only heard has
//! none. The canvas of 390 and 590 is the input of that kind (or the first input's size, if there is none).

use media::mix::{Layout, RATE};

use super::{Item, Kind, Pushed, Read, even, input, refuse};

/// Left, top, width, height, as fractions of the whole.
type Part = (f64, f64, f64, f64);

const WHOLE: Part = (0.0, 0.0, 1.0, 1.0);
const THIRD: f64 = 1.0 / 3.0;

/// The places of a template, and whether it has a canvas; `None` for numbers that are none.
fn places(number: i64) -> Option<(&'static [Part], bool)> {
    Some(match number {
        // One large, one small: at the bottom right, the bottom left, the top right.
        10 => (&[WHOLE, (0.68, 0.68, 0.3, 0.3)], false),
        20 => (&[WHOLE, (0.02, 0.68, 0.3, 0.3)], false),
        30 => (&[WHOLE, (0.68, 0.02, 0.3, 0.3)], false),
        // Two of the same size: side by side, one above the other.
        40 => (&[(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)], false),
        50 => (&[(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 0.5)], false),
        // One large, two small above each other at the right.
        310 => (&[WHOLE, (0.68, 0.36, 0.3, 0.3), (0.68, 0.68, 0.3, 0.3)], false),
        // On a canvas: two side by side (a contest), two above each other.
        390 => (&[(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)], true),
        391 => (&[(0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 0.5)], true),
        410 => (&[(0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 0.5, 0.5), (0.0, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)], false),
        // One large at the left, four above each other at the right.
        510 => (
            &[
                (0.0, 0.0, 0.75, 1.0),
                (0.75, 0.0, 0.25, 0.25),
                (0.75, 0.25, 0.25, 0.25),
                (0.75, 0.5, 0.25, 0.25),
                (0.75, 0.75, 0.25, 0.25),
            ],
            false,
        ),
        590 => (&[(0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 0.5, 0.5), (0.0, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)], true),
        // One large, two at its right, three below.
        610 => (
            &[
                (0.0, 0.0, 2.0 * THIRD, 2.0 * THIRD),
                (2.0 * THIRD, 0.0, THIRD, THIRD),
                (2.0 * THIRD, THIRD, THIRD, THIRD),
                (0.0, 2.0 * THIRD, THIRD, THIRD),
                (THIRD, 2.0 * THIRD, THIRD, THIRD),
                (2.0 * THIRD, 2.0 * THIRD, THIRD, THIRD),
            ],
            false,
        ),
        _ => return None,
    })
}

pub(super) fn layout(number: i64, items: Vec<Item>) -> Read<Layout> {
    let (places, has_canvas) = places(number).ok_or_else(|| refuse(-20, "no such mix_stream_template_id"))?;
    let (canvas, streams): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.kind == Kind::Canvas);
    if streams.len() < 2 {
        return Err(refuse(-21, "a template needs two streams at least"));
    }
    let (heard, seen): (Vec<_>, Vec<_>) = streams.into_iter().partition(|item| item.kind == Kind::Sound);
    // The numbers promise a count of inputs, the canvas among them.
    if seen.len() != places.len() || canvas.len() > usize::from(has_canvas) {
        return Err(refuse(-20, format!("template {number} is for {} pictures", places.len())));
    }
    let size = match canvas.first() {
        Some(Item { width: Some(width), height: Some(height), .. }) => even(width.pixels(0), height.pixels(0)),
        Some(_) => return Err(refuse(-28, "the canvas has no size")),
        None => match seen[0].pushed {
            Pushed { width: 0, .. } | Pushed { height: 0, .. } => {
                return Err(refuse(-507, "the size of the first input is not known yet"));
            }
            Pushed { width, height } => even(f64::from(width), f64::from(height)),
        },
    };
    let width = f64::from(size.0);
    let height = f64::from(size.1);
    let placed = seen
        .iter()
        .zip(places)
        .map(|(item, (x, y, w, h))| input(item, Some((x * width, y * height, w * width, h * height))));
    let inputs = placed.chain(heard.iter().map(|item| input(item, None))).collect::<Read<_>>()?;
    Ok(Layout {
        size,
        color: canvas.first().map_or(0, |c| c.color),
        inputs,
        bitrate: None,
        rate: RATE,
        passes_sound: false,
    })
}
