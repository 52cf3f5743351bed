//! `ROOMSERVICE_SECTION__KEY` variables, laid over the file's table.

use serde::Deserialize;
use toml::{Table, Value};

use super::{Error, Settings};

const PREFIX: &str = "ROOMSERVICE_";

/// Lays the variables over the table. Names are matched without regard to case and underscores, so that
/// `ROOMSERVICE_LIVE__PUSHSECRETKEY` and `ROOMSERVICE_LIVE__PUSH_SECRET_KEY` both set `live.pushSecretKey`. Returns the table as it is then, too.
pub(super) fn apply(
    plain: Settings,
    mut table: Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(Settings, Table), Error> {
    let known = Table::try_from(Settings::default()).unwrap_or_default();
    let mut any = false;
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let fail = |text: String| Error::Variable { name: name.clone(), text };
        let parts: Vec<&str> = path.split("__").collect();
        let (parents, default) = find(&known, &parts).ok_or_else(|| fail("there is no such setting".into()))?;
        let value = parse(&text, default).map_err(fail)?;
        let mut at = &mut table;
        let (last, sections) = parents.split_last().expect("a found setting has a name");
        for section in sections {
            let entry = at.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            at = entry.as_table_mut().ok_or_else(|| fail(format!("{section} is not a section")))?;
        }
        at.insert(last.clone(), value);
        // Each variable by itself, so that the message names the right one.
        Settings::deserialize(table.clone()).map_err(|e| fail(super::such_as(&e.to_string())))?;
        any = true;
    }
    if !any {
        return Ok((plain, table));
    }
    let settings = Settings::deserialize(table.clone());
    Ok((settings.map_err(|e| Error::Variable { name: PREFIX.into(), text: e.to_string() })?, table))
}

fn flat(name: &str) -> String {
    name.chars().filter(|c| *c != '_').collect::<String>().to_lowercase()
}

fn find<'a>(known: &'a Table, parts: &[&str]) -> Option<(Vec<String>, &'a Value)> {
    let (first, rest) = parts.split_first()?;
    let (key, value) = known.iter().find(|(key, _)| flat(key) == flat(first))?;
    match (value, rest) {
        (Value::Table(inner), [_, ..]) => {
            let (mut path, value) = find(inner, rest)?;
            path.insert(0, key.clone());
            Some((path, value))
        }
        (Value::Table(_), []) | (_, [_, ..]) => None,
        (value, []) => Some((vec![key.clone()], value)),
    }
}

fn parse(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().map(Value::Integer).map_err(|_| "is not a whole number".into()),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).map_err(|_| "is neither true nor false".into()),
        Value::Array(_) => Ok(Value::Array(
            text.split(',').filter(|t| !t.is_empty()).map(|t| Value::String(t.trim().to_owned())).collect(),
        )),
        _ => Err("cannot be set by a variable".into()),
    }
}
