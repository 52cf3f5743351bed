//! Fields of `mergeParams`: numbers come as numbers or as text, sizes as pixels or as fractions.

use serde_json::{Map, Value};

use super::{FARTHEST, Read, refuse};

/// The fields of one object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a Map<String, Value>);

/// A length: pixels, or (below 1) a fraction of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size(f64);

impl Size {
    pub fn is_zero(self) -> bool {
        self.0 == 0.0
    }

    pub fn is_fraction(self) -> bool {
        self.0 > 0.0 && self.0 < 1.0
    }

    /// In pixels, where the whole is `whole` long.
    pub fn pixels(self, whole: u32) -> f64 {
        if self.is_fraction() { self.0 * f64::from(whole) } else { self.0 }
    }
}

impl<'a> Fields<'a> {
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// A text, or a number as text.
    pub fn text(self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A number, or a text that is one.
    pub fn number(self, name: &str) -> Read<Option<f64>> {
        let number = match self.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number.filter(|n| n.is_finite()) {
            None => Err(refuse(-2, format!("{name} is no number"))),
            number => Ok(number),
        }
    }

    pub fn size(self, name: &str) -> Read<Option<Size>> {
        match self.number(name)? {
            Some(n) if !(0.0..=FARTHEST).contains(&n) => Err(refuse(-4, format!("{name}: 0 to 3000, or a fraction"))),
            number => Ok(number.map(Size)),
        }
    }

    /// `color`, as `0xRRGGBB`; black if there is none.
    pub fn color(self) -> Read<u32> {
        let wrong = || refuse(-20, "color: 0xRRGGBB");
        match self.get("color") {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Number(number)) => {
                number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= 0xff_ffff).ok_or_else(wrong)
            }
            Some(Value::String(text)) if text.is_empty() => Ok(0),
            Some(Value::String(text)) => {
                let digits = text.trim_start_matches("0x").trim_start_matches('#');
                let fine = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                fine.then(|| u32::from_str_radix(digits, 16).ok()).flatten().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }
}
