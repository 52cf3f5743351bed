//! What a Redis keeps: values by key, each with the time at which it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::resp::Text;

/// The number of an entry of a stream.
pub type Id = (u64, u64);

/// An entry's fields and their values, as they came.
pub type Fields = Vec<Text>;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// What it holds.
    pub entries: BTreeMap<Id, Fields>,
    /// The greatest number that it ever had.
    pub last: Id,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text, which may be a number.
    Text(Text),
    /// Values by field.
    Hash(BTreeMap<Text, Text>),
    /// A list.
    List(VecDeque<Text>),
    /// A set.
    Set(BTreeSet<Text>),
    /// A set in the order of scores.
    Sorted(BTreeMap<Text, f64>),
    /// A stream.
    Stream(Stream),
}

/// All keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    values: BTreeMap<Text, (Value, Option<u64>)>,
    /// Milliseconds of Redis' own clock: the same throughout a script.
    pub now: u64,
}

/// Whether a value is what a command takes.
pub trait Kind: Sized + Default {
    /// It, if the value is one.
    fn of(value: &mut Value) -> Option<&mut Self>;
    /// A value that is one.
    fn made() -> Value;
    /// A key with it is as good as none.
    fn is_gone(&self) -> bool;
}

macro_rules! kind {
    ($inner:ty, $name:ident, $gone:expr) => {
        impl Kind for $inner {
            fn of(value: &mut Value) -> Option<&mut Self> {
                if let Value::$name(inner) = value { Some(inner) } else { None }
            }
            fn made() -> Value {
                Value::$name(Self::default())
            }
            fn is_gone(&self) -> bool {
                let gone: fn(&Self) -> bool = $gone;
                gone(self)
            }
        }
    };
}

kind!(Text, Text, |_| false);
kind!(BTreeMap<Text, Text>, Hash, BTreeMap::is_empty);
kind!(VecDeque<Text>, List, VecDeque::is_empty);
kind!(BTreeSet<Text>, Set, BTreeSet::is_empty);
kind!(BTreeMap<Text, f64>, Sorted, BTreeMap::is_empty);
kind!(Stream, Stream, |_| false);

/// What a command says of a value of another kind.
pub const WRONG: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

impl Keys {
    fn expire(&mut self, key: &[u8]) {
        if self.values.get(key).is_some_and(|(_, until)| until.is_some_and(|until| until <= self.now)) {
            self.values.remove(key);
        }
    }

    /// Looks at a value of this kind; at an empty one where there is none.
    pub fn see<K: Kind, T>(&mut self, key: &[u8], see: impl FnOnce(&K) -> T) -> Result<T, String> {
        self.expire(key);
        match self.values.get_mut(key) {
            None => Ok(see(&K::default())),
            Some((value, _)) => K::of(value).map(|value| see(value)).ok_or_else(|| WRONG.into()),
        }
    }

    /// Changes a value of this kind, made where there is none; it goes when it is empty.
    pub fn change<K: Kind, T>(&mut self, key: &[u8], change: impl FnOnce(&mut K) -> T) -> Result<T, String> {
        self.expire(key);
        let (value, _) = self.values.entry(key.to_vec()).or_insert_with(|| (K::made(), None));
        let value = K::of(value).ok_or(WRONG)?;
        let done = change(value);
        if value.is_gone() {
            self.values.remove(key);
        }
        Ok(done)
    }

    /// Puts a value in, until then.
    pub fn put(&mut self, key: &[u8], value: Value, until: Option<u64>) {
        self.values.insert(key.to_vec(), (value, until));
    }

    /// Whether there is one.
    pub fn has(&mut self, key: &[u8]) -> bool {
        self.expire(key);
        self.values.contains_key(key)
    }

    /// Takes one out. Says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.expire(key);
        self.values.remove(key).is_some()
    }

    /// When a key ends; none: there is no such key.
    pub fn end(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
        self.expire(key);
        self.values.get_mut(key).map(|(_, until)| until)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}
