//! AMF0 values, as RTMP commands carry them. Depth and size are bounded; what comes from outside never panics.

use bytes::{BufMut, Bytes, BytesMut};

use crate::ended::Ended;

/// Deepest nesting taken.
pub const MAX_DEPTH: usize = 16;
/// Most values taken of one message.
const MAX_VALUES: usize = 4096;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; dates are their milliseconds.
    Number(f64),
    /// A boolean.
    Bool(bool),
    /// A string, short or long; bytes that are no UTF-8 are replaced.
    String(String),
    /// An object or ECMA array, in order.
    Object(Vec<(String, Value)>),
    /// A strict array.
    Array(Vec<Value>),
    /// Null, undefined, unsupported, and references.
    Null,
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// A property of an object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(properties) => properties.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Appends the value in its wire form. Keys longer than 65,535 bytes are cut.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Value::Number(n) => {
                out.put_u8(0);
                out.put_f64(*n);
            }
            Value::Bool(b) => out.put_slice(&[1, u8::from(*b)]),
            Value::String(s) if s.len() <= 0xffff => {
                out.put_u8(2);
                put_text(out, s);
            }
            Value::String(s) => {
                let bytes = &s.as_bytes()[..s.len().min(u32::MAX as usize)];
                out.put_u8(12);
                out.put_u32(bytes.len() as u32);
                out.put_slice(bytes);
            }
            Value::Object(properties) => {
                out.put_u8(3);
                for (name, value) in properties {
                    put_text(out, name);
                    value.write(out);
                }
                out.put_slice(&[0, 0, 9]);
            }
            Value::Array(values) => {
                out.put_u8(10);
                out.put_u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
                for value in values {
                    value.write(out);
                }
            }
            Value::Null => out.put_u8(5),
        }
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(0xffff)];
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::String(s.into())
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Number(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(properties: [(&str, Value); N]) -> Value {
        Value::Object(properties.into_iter().map(|(n, v)| (n.to_string(), v)).collect())
    }
}

/// All values of a message.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Ended> {
    let mut reader = Reader { bytes, values: 0 };
    let mut values = Vec::new();
    while !reader.bytes.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

/// The string that a message begins with, and the bytes after it.
pub fn leading_str(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(&[2])?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// The bytes of a message, a name and an object or ECMA array, without these properties. `None` where there are none of them,
/// or it is something else.
pub fn without(message: &[u8], names: &[&str]) -> Option<Bytes> {
    let (_, rest) = leading_str(message)?;
    let head = message.len() - rest.len() + if rest.first() == Some(&8) { 5 } else { 1 };
    let mut reader = Reader { bytes: message.get(head..).filter(|_| [3, 8].contains(&rest[0]))?, values: 0 };
    let mut out = BytesMut::from(message.get(..head)?);
    let mut left_out = 0u32;
    while !reader.bytes.is_empty() && !reader.bytes.starts_with(&[0, 0, 9]) {
        let property = reader.bytes;
        let length = reader.u16().ok()?;
        let name = reader.text(length).ok()?;
        reader.value(1).ok()?;
        if names.contains(&name.as_str()) {
            left_out += 1;
        } else {
            out.extend_from_slice(&property[..property.len() - reader.bytes.len()]);
        }
    }
    out.extend_from_slice(reader.bytes);
    if rest[0] == 8 {
        let count = out[head - 4..head].try_into().map_or(0, u32::from_be_bytes);
        out[head - 4..head].copy_from_slice(&count.saturating_sub(left_out).to_be_bytes());
    }
    (left_out > 0).then(|| out.freeze())
}

struct Reader<'a> {
    bytes: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Ended> {
        let cut = || Ended::Protocol("AMF0 is cut short".into());
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(cut)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<usize, Ended> {
        self.take(2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))
    }

    fn u32(&mut self) -> Result<usize, Ended> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
    }

    fn text(&mut self, len: usize) -> Result<String, Ended> {
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Ended> {
        self.values += 1;
        if depth > MAX_DEPTH {
            return Err(Ended::Limit("AMF0 nesting"));
        }
        if self.values > MAX_VALUES {
            return Err(Ended::Limit("AMF0 values"));
        }
        Ok(match self.take(1)?[0] {
            0 => Value::Number(self.number()?),
            1 => Value::Bool(self.take(1)?[0] != 0),
            2 => {
                let len = self.u16()?;
                Value::String(self.text(len)?)
            }
            3 => self.object(depth)?,
            5 | 6 | 13 => Value::Null,
            7 => {
                self.u16()?;
                Value::Null
            }
            8 => {
                // The count is a hint: the end marker counts.
                self.u32()?;
                self.object(depth)?
            }
            10 => {
                let mut values = Vec::new();
                for _ in 0..self.u32()? {
                    values.push(self.value(depth + 1)?);
                }
                Value::Array(values)
            }
            11 => {
                let ms = self.number()?;
                self.take(2)?;
                Value::Number(ms)
            }
            12 | 15 => {
                let len = self.u32()?;
                Value::String(self.text(len)?)
            }
            16 => {
                let len = self.u16()?;
                self.take(len)?;
                self.object(depth)?
            }
            marker => return Err(Ended::Protocol(format!("AMF0 marker {marker}"))),
        })
    }

    fn number(&mut self) -> Result<f64, Ended> {
        let b = self.take(8)?;
        Ok(f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Ended> {
        let mut properties = Vec::new();
        loop {
            let len = self.u16()?;
            if len == 0 && self.bytes.first() == Some(&9) {
                self.take(1)?;
                return Ok(Value::Object(properties));
            }
            let name = self.text(len)?;
            properties.push((name, self.value(depth + 1)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut out = BytesMut::new();
        value.write(&mut out);
        out.to_vec()
    }

    #[test]
    fn known_bytes() {
        assert_eq!(written(&"ab".into()), b"\x02\0\x02ab");
        assert_eq!(written(&1.0.into()), b"\0\x3f\xf0\0\0\0\0\0\0");
        assert_eq!(written(&[("a", true.into())].into()), b"\x03\0\x01a\x01\x01\0\0\x09");
        let ecma = b"\x08\0\0\0\x63\0\x01a\x05\0\0\x09\x0b\x3f\xf0\0\0\0\0\0\0\0\0";
        assert_eq!(read_all(ecma).unwrap(), [[("a", Value::Null)].into(), 1.0.into()]);
        assert_eq!(leading_str(b"\x02\0\x01x\x05"), Some(("x", &b"\x05"[..])));
        assert_eq!(leading_str(b"\x02\0\x05x"), None);
    }

    #[test]
    fn bombs_are_refused() {
        assert_eq!(read_all(&b"\x03\0\x01a".repeat(20_000)), Err(Ended::Limit("AMF0 nesting")));
        assert_eq!(read_all(&b"\x0a\0\0\0\x01".repeat(10_000)), Err(Ended::Limit("AMF0 nesting")));
        assert_eq!(read_all(&[5; 60_000]), Err(Ended::Limit("AMF0 values")));
        // Four billion elements declared, none there.
        assert!(matches!(read_all(b"\x0a\xff\xff\xff\xff"), Err(Ended::Protocol(_))));
        assert!(matches!(read_all(b"\x0c\xff\xff\xff\xffx"), Err(Ended::Protocol(_))));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| Value::Number(f64::from(n))),
            any::<bool>().prop_map(Value::Bool),
            ".{0,20}".prop_map(Value::String),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::vec(("[a-z]{1,9}", inner), 0..8).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values()) {
            prop_assert_eq!(read_all(&written(&value)).unwrap(), [value]);
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
            let _ = leading_str(&bytes);
        }

        #[test]
        fn mutated_values_do_not_panic(value in values(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = written(&value);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read_all(&bytes);
        }
    }
}
