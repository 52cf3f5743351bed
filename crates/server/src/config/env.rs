//! `ROOMSERVICE_SECTION__KEY` variables, laid over the file's table, and `ROOMSERVICE_DEFAULT__SECTION__KEY`, laid under it.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Error, Settings};

const PREFIX: &str = "ROOMSERVICE_";
/// What holds where the file says nothing: for images and service units, which must not decide instead of an operator's file.
const DEFAULT: &str = "DEFAULT__";
/// What deploy/install.sh is told by; whoever exported these starts the server with them.
const OF_INSTALLER: [&str; 2] = ["FROM", "TO"];

/// Lays the variables over the table. Names are matched without regard to case and underscores, so that
/// `ROOMSERVICE_LIVE__PUSHSECRETKEY` and `ROOMSERVICE_LIVE__PUSH_SECRET_KEY` both set `live.pushSecretKey`. Returns the table as it is then, too.
pub(super) fn apply(
    plain: Settings,
    mut table: Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(Settings, Table), Error> {
    let known = Table::try_from(Settings::default()).unwrap_or_default();
    let file = table.clone();
    let mut notes = Vec::new();
    let mut of_services = Vec::new();
    let mut any = false;
    for (name, text) in in_order(variables) {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let fail = |text: String| Error::Variable { name: name.clone(), text };
        let lies_under = path.strip_prefix(DEFAULT);
        let parts: Vec<&str> = lies_under.unwrap_or(path).split("__").collect();
        let Some((place, default)) = find(&known, &parts) else {
            if OF_INSTALLER.contains(&path) {
                notes.push(format!(
                    "environment variable {name} is passed over: install.sh is told by it, and no server"
                ));
            } else if is_of_service(path, &text) {
                of_services.push(name);
            } else {
                return Err(fail("there is no such setting".into()));
            }
            continue;
        };
        let value = parse(&text, default).map_err(fail)?;
        match at(&file, &place) {
            Some(said) if lies_under.is_some() => {
                notes.extend(left_behind(&place, said, &text));
                continue;
            }
            Some(said) if *said != value => notes.push(format!(
                "environment variable {name} is used, and not what the file says of {}",
                place.join(".")
            )),
            _ => {}
        }
        lay(&mut table, &place, value).map_err(fail)?;
        // Each variable by itself, so that the message names the right one.
        Settings::deserialize(table.clone()).map_err(|e| fail(super::such_as(&e.to_string())))?;
        any = true;
    }
    if !of_services.is_empty() {
        notes.push(format!(
            "environment variables {} are passed over: Kubernetes gives them to pods beside a Service of such a name; enableServiceLinks: false in the pod's spec ends that",
            of_services.join(", ")
        ));
    }
    let settings = if any {
        Settings::deserialize(table.clone())
            .map_err(|e| Error::Variable { name: PREFIX.into(), text: e.to_string() })?
    } else {
        plain
    };
    Ok((Settings { notes, ..settings }, table))
}

/// What an operator has to know whose file names another directory of data than the one where the data is: versions before passed the
/// file over.
fn left_behind(place: &[String], said: &Value, default: &str) -> Option<String> {
    let said = said.as_str().filter(|_| place == ["data_dir"])?;
    let has_data = |dir: &str| Path::new(dir).join("journal").exists();
    (has_data(default) && !has_data(said)).then(|| {
        format!("data_dir is {said}, as the file says, and rooms of before are in {default}: move what is in it, or take the line out of the file")
    })
}

/// What lies under the file first, so that the other variables lie over it.
fn in_order(variables: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables: Vec<_> = variables.into_iter().collect();
    let lies_over = |name: &str| !name.strip_prefix(PREFIX).is_some_and(|path| path.starts_with(DEFAULT));
    variables.sort_by_cached_key(|(name, _)| (lies_over(name), name.clone()));
    variables
}

/// Whether Kubernetes makes such variables for a Service: `…SERVICE_HOST`, `…SERVICE_PORT_HTTP`, `…PORT` (a URL), `…PORT_1935_TCP_ADDR`.
fn is_of_service(path: &str, text: &str) -> bool {
    let words: Vec<&str> = path.split('_').collect();
    let protocols = ["TCP", "UDP", "SCTP"];
    let is_port = |at: &[&str]| at[0] == "PORT" && at[1].parse::<u16>().is_ok() && protocols.contains(&at[2]);
    !words.contains(&"")
        && (words.ends_with(&["SERVICE", "HOST"])
            || words.ends_with(&["PORT"]) && text.contains("://")
            || words.windows(2).any(|two| two == ["SERVICE", "PORT"])
            || words.windows(3).any(is_port))
}

fn at<'a>(table: &'a Table, place: &[String]) -> Option<&'a Value> {
    let (first, rest) = place.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_table()?, rest) }
}

fn lay(table: &mut Table, place: &[String], value: Value) -> Result<(), String> {
    let (last, sections) = place.split_last().expect("a found setting has a name");
    let mut at = table;
    for section in sections {
        let entry = at.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        at = entry.as_table_mut().ok_or_else(|| format!("{section} is not a section"))?;
    }
    at.insert(last.clone(), value);
    Ok(())
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
