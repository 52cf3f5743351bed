//! The custom fields of a room as a value: small named values that the app sets and counts (likes, scores).

use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use crate::refusal::Refusal;
use crate::rules::{MAX_CUSTOM, MAX_CUSTOM_FIELDS, MAX_FIELD_VALUE};

/// A field's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A whole number; counting saturates.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text.
    Text(Box<str>),
    /// Any other JSON, as text.
    Json(Box<str>),
}

impl Eq for Value {}

impl Value {
    /// Its bytes as JSON.
    fn bytes(&self) -> usize {
        match self {
            Self::Int(n) => n.to_string().len(),
            Self::Float(n) => format!("{n:?}").len(),
            Self::Text(text) => quoted(text),
            Self::Json(text) => text.len(),
        }
    }

    /// A value that is not too long.
    pub(crate) fn checked(self) -> Result<Self, Refusal> {
        let bytes = match &self {
            Self::Text(text) => quoted(text) - 2,
            _ => self.bytes(),
        };
        if bytes > MAX_FIELD_VALUE {
            return Err(Refusal::TooLong { field: "value", max: MAX_FIELD_VALUE });
        }
        Ok(self)
    }
}

/// Bytes of a text as JSON, with its quotes.
fn quoted(text: &str) -> usize {
    let extra = |b| match b {
        b'"' | b'\\' | 8 | b'\t' | b'\n' | 12 | b'\r' => 1,
        0..32 => 5,
        _ => 0,
    };
    2 + text.len() + text.bytes().map(extra).sum::<usize>()
}

/// What to do to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Give it this value.
    Set(Value),
    /// Add this much; a field that is not there counts from 0.
    Add(i64),
}

/// The fields in order of their first setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custom(ThinVec<(Box<str>, Value)>);

impl Custom {
    /// Whether none was ever set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Bytes of all fields as a JSON object.
    fn bytes(&self) -> usize {
        // Each has a colon, and a comma or a brace behind it.
        1 + self.iter().map(|(name, value)| quoted(name) + value.bytes() + 2).sum::<usize>()
    }

    pub(crate) fn apply(&mut self, name: &str, operation: Operation) -> Result<(), Refusal> {
        let at = self.0.iter().position(|(n, _)| **n == *name);
        let value = match (operation, at.map(|i| &self.0[i].1)) {
            (Operation::Set(value), _) => value,
            (Operation::Add(n), None) => Value::Int(n),
            (Operation::Add(n), Some(Value::Int(old))) => Value::Int(old.saturating_add(n)),
            #[allow(clippy::cast_precision_loss)]
            (Operation::Add(n), Some(Value::Float(old))) => Value::Float(old + n as f64),
            // The iOS clients of 2019 set numbers as text.
            (Operation::Add(n), Some(Value::Text(old))) => {
                let old: i64 = old.parse().map_err(|_| Refusal::NotANumber)?;
                Value::Int(old.saturating_add(n))
            }
            (Operation::Add(_), Some(Value::Json(_))) => return Err(Refusal::NotANumber),
        };
        // Those that were set when more was allowed may be counted on, and made shorter.
        let (more, less) = match at {
            Some(i) => (value.bytes(), self.0[i].1.bytes()),
            None => (quoted(name) + value.bytes() + 2, 0),
        };
        if more > less && self.bytes() + more - less > MAX_CUSTOM {
            return Err(Refusal::TooLong { field: "custom", max: MAX_CUSTOM });
        }
        match at {
            Some(i) => self.0[i].1 = value,
            None if self.0.len() >= MAX_CUSTOM_FIELDS => {
                return Err(Refusal::TooManyFields { max: MAX_CUSTOM_FIELDS });
            }
            None => self.0.push((name.into(), value)),
        }
        Ok(())
    }
}
