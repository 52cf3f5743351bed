//! The custom fields of a room as a value: small named values that the app sets and counts (likes, scores).

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::rules::MAX_CUSTOM_FIELDS;

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
pub struct Custom(Vec<(Box<str>, Value)>);

impl Custom {
    /// Whether none was ever set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
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
