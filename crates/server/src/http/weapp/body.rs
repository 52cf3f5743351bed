//! Bodies: JSON whatever its content type says, or form fields. Mistakes are named by field.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use percent_encoding::percent_decode;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::Value;

use super::reply::Fail;

/// Most fields of a form.
const MAX_FIELDS: usize = 64;

/// Text; a number is taken as its text, as some clients send ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(n.to_string())))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(n.to_string())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A whole number; text that spells one is taken too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Number, E> {
                Ok(Number(n))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Number, E> {
                i64::try_from(n).map(Number).map_err(|_| E::custom("the number is too large"))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Number, E> {
                // 20.0 is how some clients write 20.
                #[allow(clippy::cast_possible_truncation)]
                if n.fract() == 0.0 && n.abs() < 9e15 {
                    Ok(Number(n as i64))
                } else {
                    Err(E::custom("not a whole number"))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.trim().parse().map(Number).map_err(|_| E::custom("not a whole number"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The body as JSON: nothing at all is an object without fields, a form is an object of texts.
///
/// # Errors
/// The form is malformed.
pub fn to_json(headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, Fail> {
    let Some(begin) = bytes.iter().position(|b| !b.is_ascii_whitespace()) else {
        return Ok(Bytes::from_static(b"{}"));
    };
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded"));
    // Some clients send JSON under the name of a form.
    if is_form && bytes[begin] != b'{' { form(&bytes) } else { Ok(bytes) }
}

/// Reads the fields of a body that is JSON.
///
/// # Errors
/// Which field is wrong, and how.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fail> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(bytes, &error))
}

/// Says which field is wrong; worked out only for bodies that are.
fn explain<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: &serde_json::Error) -> Fail {
    if !error.is_data() {
        return Fail::malformed(&format_args!("the body is not JSON: {error}"));
    }
    let json = &mut serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(json) {
        Err(error) => Fail::malformed(&error),
        Ok(_) => Fail::malformed(error),
    }
}

fn form(bytes: &[u8]) -> Result<Bytes, Fail> {
    let mut fields = serde_json::Map::new();
    for pair in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == MAX_FIELDS {
            return Err(Fail::malformed("the form has too many fields"));
        }
        let (name, value) = match pair.iter().position(|b| *b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let name = decode(name)?;
        let value = decode(value)?;
        if fields.insert(name.clone(), Value::String(value)).is_some() {
            return Err(Fail::malformed(&format_args!("the form has {name} twice")));
        }
    }
    Ok(Value::Object(fields).to_string().into())
}

fn decode(bytes: &[u8]) -> Result<String, Fail> {
    let spaced: Vec<u8> = bytes.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| Fail::malformed("the form is not UTF-8"))?;
    Ok(text.into_owned())
}
