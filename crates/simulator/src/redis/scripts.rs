//! Scripts, by the same Lua that Redis runs: they call the commands of the model, in one piece.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::{Function, Lua, Table, Value, Variadic};
use parking_lot::Mutex;

use super::commands;
use super::keys::Keys;
use super::resp::{Reply, Text};

/// What stands before a script that is refused as a whole.
const WHOLE: &str = "#!lua";

/// Runs scripts.
pub struct Engine {
    lua: Lua,
    compiled: Mutex<BTreeMap<Text, Function>>,
    running: Arc<Mutex<Running>>,
}

/// What the script that runs works on.
#[derive(Default)]
struct Running {
    keys: Keys,
    /// Why nothing may be written now.
    refuses: Option<String>,
    wrote: bool,
    failed: Option<String>,
}

/// What came of a script.
pub struct Ran {
    /// Its answer.
    pub reply: Reply,
    /// Whether it changed something, or may have.
    pub wrote: bool,
}

impl Engine {
    /// One that has run nothing.
    ///
    /// # Panics
    /// Lua has no memory.
    pub fn new() -> Self {
        let lua = Lua::new();
        let running: Arc<Mutex<Running>> = Arc::default();
        let inside = running.clone();
        let call = lua.create_function(move |lua, words: Variadic<Value>| call(lua, &inside, &words));
        let decode = lua.create_function(|lua, text: mlua::LuaString| decode(lua, &text.as_bytes()));
        let made = (|| {
            let redis = lua.create_table()?;
            redis.set("call", call?)?;
            lua.globals().set("redis", redis)?;
            let cjson = lua.create_table()?;
            cjson.set("decode", decode?)?;
            lua.globals().set("cjson", cjson)
        })();
        made.expect("tables and functions need nothing but memory");
        Self { lua, compiled: Mutex::default(), running }
    }

    /// Runs a script on these keys. `words`: how many keys it has, they, and its arguments.
    pub fn run(&self, code: &[u8], words: &[Text], keys: &mut Keys, refuses: Option<&str>) -> Ran {
        if let Some(why) = refuses
            && code.starts_with(WHOLE.as_bytes())
        {
            return Ran { reply: Reply::Error(why.to_owned()), wrote: false };
        }
        *self.running.lock() =
            Running { keys: std::mem::take(keys), refuses: refuses.map(str::to_owned), ..Running::default() };
        let done = self.answer(code, words);
        let running = std::mem::take(&mut *self.running.lock());
        *keys = running.keys;
        let said = |why: mlua::Error| {
            Reply::Error(running.failed.unwrap_or_else(|| format!("ERR {why}").replace(['\r', '\n'], " ")))
        };
        Ran { reply: done.unwrap_or_else(said), wrote: running.wrote }
    }

    fn answer(&self, code: &[u8], words: &[Text]) -> mlua::Result<Reply> {
        let known = self.compiled.lock().get(code).cloned();
        let function = match known {
            Some(function) => function,
            None => {
                let text = String::from_utf8_lossy(code);
                let text = if text.starts_with(WHOLE) { text.replacen(WHOLE, "--", 1) } else { text.into_owned() };
                let function = self.lua.load(text).set_name("=user_script").into_function()?;
                self.compiled.lock().insert(code.to_vec(), function.clone());
                function
            }
        };
        let bad = || mlua::Error::runtime("Number of keys can't be greater than number of args");
        let (count, words) = words.split_first().ok_or_else(bad)?;
        let count: usize = commands::number(count).map_err(mlua::Error::runtime)?;
        if count > words.len() {
            return Err(bad());
        }
        let (keys, arguments) = words.split_at(count);
        for (name, texts) in [("KEYS", keys), ("ARGV", arguments)] {
            let table = self.lua.create_table_with_capacity(texts.len(), 0)?;
            for text in texts {
                table.raw_push(self.lua.create_string(text)?)?;
            }
            self.lua.globals().set(name, table)?;
        }
        reply(function.call::<Value>(())?)
    }
}

/// `redis.call`.
fn call(lua: &Lua, running: &Mutex<Running>, words: &[Value]) -> mlua::Result<Value> {
    let word = |value: &Value| match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(number) => Ok(number.to_string().into()),
        // Only whole numbers are ever passed.
        Value::Number(number) => Ok(format!("{number}").into()),
        _ => Err(mlua::Error::runtime("Lua redis lib command arguments must be strings or integers")),
    };
    let words: Vec<Text> = words.iter().map(word).collect::<Result<_, _>>()?;
    let mut running = running.lock();
    let found = commands::find(words.first().map_or(&[], Vec::as_slice));
    let done = found.and_then(|command| {
        if command.writes
            && let Some(why) = &running.refuses
        {
            return Err(why.clone());
        }
        running.wrote |= command.writes;
        command.run(&mut running.keys, &words)
    });
    match done {
        Ok(reply) => {
            drop(running);
            value(lua, reply)
        }
        Err(why) => {
            running.failed = Some(why.clone());
            Err(mlua::Error::runtime(why))
        }
    }
}

/// What Lua sees of an answer.
fn value(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Word(word) => {
            let table = lua.create_table()?;
            table.set("ok", word)?;
            Value::Table(table)
        }
        Reply::Error(why) => return Err(mlua::Error::runtime(why)),
        Reply::Number(number) => Value::Number(number as f64),
        Reply::Text(text) => Value::String(lua.create_string(text)?),
        Reply::Nothing | Reply::NoList => Value::Boolean(false),
        Reply::List(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            for reply in list {
                table.raw_push(value(lua, reply)?)?;
            }
            Value::Table(table)
        }
    })
}

/// What an answer of Lua is to a client.
fn reply(value: Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::Nil | Value::Boolean(false) => Reply::Nothing,
        Value::Boolean(true) => Reply::Number(1),
        Value::Integer(number) => Reply::Number(number),
        Value::Number(number) => Reply::Number(number as i64),
        Value::String(text) => Reply::Text(text.as_bytes().to_vec()),
        Value::Table(table) => {
            if table.get::<Option<String>>("ok")?.is_some() {
                return Ok(Reply::Word("OK"));
            }
            let mut list = Vec::new();
            loop {
                match table.raw_get(list.len() + 1)? {
                    Value::Nil => return Ok(Reply::List(list)),
                    value => list.push(reply(value)?),
                }
            }
        }
        _ => return Err(mlua::Error::runtime("an answer that Redis does not know")),
    })
}

/// `cjson.decode`.
fn decode(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    let json: serde_json::Value = serde_json::from_slice(text).map_err(mlua::Error::external)?;
    lua_of(lua, &json)
}

fn lua_of(lua: &Lua, json: &serde_json::Value) -> mlua::Result<Value> {
    let table = |pairs: Vec<(Value, &serde_json::Value)>| -> mlua::Result<Table> {
        let table = lua.create_table()?;
        for (key, value) in pairs {
            table.set(key, lua_of(lua, value)?)?;
        }
        Ok(table)
    };
    Ok(match json {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(is) => Value::Boolean(*is),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::String(lua.create_string(text)?),
        serde_json::Value::Array(list) => {
            let numbered = list.iter().enumerate().map(|(n, value)| (Value::Number((n + 1) as f64), value));
            Value::Table(table(numbered.collect())?)
        }
        serde_json::Value::Object(fields) => {
            let named = fields.iter().map(|(name, value)| Ok((Value::String(lua.create_string(name)?), value)));
            Value::Table(table(named.collect::<mlua::Result<_>>()?)?)
        }
    })
}
