//! Defaults, settings file and environment, one over the other.
//!
//! What file and variables set becomes values of TOML, each tried by itself on the defaults so that all of
//! them are told that have a wrong type, and then put over the defaults. Only the whole is given a type.

use std::path::Path;

use toml::{Table, Value};

use super::environment::{Environment, set};
use super::origin::{Faults, Origin};
use super::unknown::no_setting;
use super::variables::{self, ALIASES, VARIABLES, Variable};
use super::{Config, ConfigError, DEFAULTS};

/// A setting that was set.
struct Given {
    setting: &'static Variable,
    value: Value,
    origin: Origin,
}

/// The settings, and what is wrong so far: types and names, but no values. What cannot be used has its
/// default.
///
/// # Errors
/// [`ConfigError`]: the defaults themselves cannot be used, which tests exclude.
pub(super) fn read(
    file: Option<&Path>,
    environment: &Environment,
) -> Result<(Config, Faults), ConfigError> {
    let mut faults = Faults::default();
    let mut given = Vec::new();
    if let Some(path) = file {
        let origin = Origin::File(path.display().to_string());
        if let Some(settings) = parsed(path, &mut faults) {
            take_file(settings, "", &origin, &mut given, &mut faults);
        }
    }
    take_variables(environment, &mut given, &mut faults);
    let defaults = defaults();
    let mut settings = defaults.clone();
    for Given {
        setting,
        value,
        origin,
    } in given
    {
        match with(&defaults, setting.place, value.clone()) {
            Ok(_) => {
                put(&mut settings, setting.place, value);
                faults.note_origin(setting.place, origin);
            }
            Err(error) => faults.of_setting(setting.place, &origin, said(&error, setting.place)),
        }
    }
    let config = settings.try_into();
    let config = config.map_err(|error| vec![format!("the defaults: {}", said(&error, ""))])?;
    Ok((config, faults))
}

/// The defaults as a table; empty if they are no TOML, which tests exclude.
pub(super) fn defaults() -> Table {
    DEFAULTS.parse().unwrap_or_default()
}

/// The settings where only one has another value than its default.
pub(super) fn with(defaults: &Table, place: &str, value: Value) -> Result<Config, toml::de::Error> {
    let mut settings = defaults.clone();
    put(&mut settings, place, value);
    settings.try_into()
}

fn put(settings: &mut Table, place: &str, value: Value) {
    let Some((group, rest)) = place.split_once('.') else {
        settings.insert(place.to_owned(), value);
        return;
    };
    // All groups are in the defaults.
    if let Some(Value::Table(members)) = settings.get_mut(group) {
        put(members, rest, value);
    }
}

/// A settings file that can be read and is TOML.
fn parsed(path: &Path, faults: &mut Faults) -> Option<Table> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let text = format!(
                "the settings file cannot be read: {error}; --config or IIB_CONFIG names it"
            );
            faults.of_file(path, text);
            return None;
        }
    };
    match text.parse::<Table>() {
        Ok(settings) => Some(settings),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            let reason = one_line(error.message());
            faults.of_file(path, format!("this is not TOML: line {line}: {reason}"));
            None
        }
    }
}

/// What a settings file sets below a place.
fn take_file(
    table: Table,
    group: &str,
    origin: &Origin,
    given: &mut Vec<Given>,
    faults: &mut Faults,
) {
    for (key, value) in table {
        let place = match group {
            "" => key.clone(),
            group => format!("{group}.{key}"),
        };
        // A key in quotes may have dots, and would be taken for another place.
        if key.contains('.') {
            let text = format!("\"{key}\" in quotes is one key, and there is no such setting");
            faults.of_setting(&place, origin, text);
            continue;
        }
        let setting = variables::at(&place);
        match (setting, value) {
            (Some(setting), value) => given.push(Given {
                setting,
                value,
                origin: origin.clone(),
            }),
            (None, Value::Table(members)) if variables::is_group(&place) => {
                take_file(members, &place, origin, given, faults);
            }
            (None, value) if variables::is_group(&place) => {
                let found = value.type_str();
                let text = format!(
                    "this is of the type {found}, but holds settings: write them below [{place}]"
                );
                faults.of_setting(&place, origin, text);
            }
            (None, _) => faults.of_setting(&place, origin, no_setting(&place)),
        }
    }
}

/// What variables set.
fn take_variables(environment: &Environment, given: &mut Vec<Given>, faults: &mut Faults) {
    for setting in &VARIABLES {
        let own = set(environment, setting.name).map(|text| (setting.name, text));
        let Some((name, text)) = own.or_else(|| under_other_name(environment, setting.name)) else {
            continue;
        };
        let origin = Origin::Variable(name);
        if text.contains(char::REPLACEMENT_CHARACTER) {
            faults.of_setting(setting.place, &origin, "its text is not UTF-8");
            continue;
        }
        match setting.form.read(text) {
            Ok(value) => given.push(Given {
                setting,
                value,
                origin,
            }),
            Err(text) => faults.of_setting(setting.place, &origin, text),
        }
    }
}

/// What a variable sets that is another name of this one.
fn under_other_name<'a>(
    environment: &'a Environment,
    name: &str,
) -> Option<(&'static str, &'a str)> {
    let mut others = ALIASES.iter().filter(|(_, meant)| *meant == name);
    others.find_map(|(other, _)| Some((*other, set(environment, other)?)))
}

/// What was expected, in words for whoever writes it.
const EXPECTED: [(&str, &str); 7] = [
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0 up"),
    ("a boolean", "true or false, without quotes"),
    ("a sequence", "a list of texts, such as [\"a\", \"b\"]"),
    ("a string", "a text in quotes"),
    ("path string", "a text in quotes"),
    ("a map", "a table"),
];

/// What is wrong with the value at a place, on one line: what it is, what it must be, and where inside
/// the value that is.
fn said(error: &toml::de::Error, place: &str) -> String {
    let text = error.to_string();
    let message = one_line(error.message());
    let message = match message.split_once(", expected ") {
        Some((found, expected)) => {
            let words = EXPECTED.iter().find(|(name, _)| *name == expected);
            format!(
                "{found}; must be {}",
                words.map_or(expected, |(_, words)| words)
            )
        }
        None => message,
    };
    let inside = text.lines().find_map(|line| line.strip_prefix("in `"));
    let inside = inside.map(|inside| inside.trim_end_matches('`'));
    // A key is cut at its dots.
    let message = match message.starts_with("invalid type: map") {
        true => format!("{message}; a key with a dot, such as \"v4.6\", has to be in quotes"),
        false => message,
    };
    match inside.filter(|inside| *inside != place) {
        Some(inside) => format!("{message} (in {inside})"),
        None => message,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
