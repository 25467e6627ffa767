//! The reference page: what `defaults.toml` says of each setting, with its variable, as Markdown.

use super::DEFAULTS;
use super::variables::{self, Variable};

/// What is between these lines of the page comes from here.
const BEGIN: &str =
    "<!-- From defaults.toml and variables.rs: `cargo run -p iib-edge --example settings-page` -->";
const END: &str = "<!-- Until here. -->";
/// Longest line, characters.
const WIDTH: usize = 118;
/// Settings that stand in no group.
const NO_GROUP: &str = "## Folders on this machine";

/// The page `docs/SETTINGS.md` with all settings as they are now; `None` if it has no place for them.
/// What is written around them by hand stays.
pub fn reference_page(page: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    let paragraphs = parts(DEFAULTS).iter().map(Part::shown).collect::<Vec<_>>();
    let settings = paragraphs.join("\n\n");
    Some(format!(
        "{head}{BEGIN}\n\n{NO_GROUP}\n\n{settings}\n\n{END}{tail}"
    ))
}

/// What stands in the defaults, with the comment in front of it.
enum Part<'a> {
    Group {
        name: &'a str,
        text: String,
    },
    Setting {
        variable: &'static Variable,
        /// As it stands there.
        value: Value<'a>,
        text: String,
    },
}

enum Value<'a> {
    Default(&'a str),
    /// There is no default; it could be this.
    Example(&'a str),
}

fn parts(defaults: &str) -> Vec<Part<'_>> {
    let (mut parts, mut comment, mut group) = (Vec::new(), Vec::new(), "");
    for line in defaults.lines() {
        let (bare, is_comment) = match line.strip_prefix('#') {
            Some(bare) => (bare.trim_start(), true),
            None => (line, false),
        };
        let header = bare
            .strip_prefix('[')
            .and_then(|bare| bare.strip_suffix(']'));
        let found = match (header, set_in(group, bare)) {
            (Some(header), _) => {
                group = header;
                variables::at(header).map(|variable| (variable, Value::Default("{}")))
            }
            (None, Some((variable, value))) if is_comment => {
                Some((variable, Value::Example(value)))
            }
            (None, Some((variable, value))) => Some((variable, Value::Default(value))),
            (None, None) => None,
        };
        match (found, header) {
            (Some((variable, value)), _) => parts.push(Part::Setting {
                variable,
                value,
                text: std::mem::take(&mut comment).join(" "),
            }),
            (None, Some(name)) => parts.push(Part::Group {
                name,
                text: std::mem::take(&mut comment).join(" "),
            }),
            (None, None) if is_comment => comment.push(bare),
            // A comment with nothing below it is about the file.
            (None, None) => comment.clear(),
        }
    }
    parts
}

/// The setting that a line of a group sets, and what it sets it to.
fn set_in<'a>(group: &str, line: &'a str) -> Option<(&'static Variable, &'a str)> {
    let (key, value) = line.split_once(" = ")?;
    let variable = match group {
        "" => variables::at(key),
        group => variables::at(&format!("{group}.{key}")),
    };
    Some((variable?, value))
}

impl Part<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Group { name, text } => format!("## `[{name}]`\n\n{}", wrapped(text)),
            Self::Setting {
                variable: Variable { name, place, form },
                value,
                text,
            } => {
                let form = form.name();
                let value = match value {
                    Value::Default(value) => format!("Default: `{value}`"),
                    Value::Example(value) => format!("Not set; it could be `{value}`"),
                };
                let text = wrapped(text.split(name).next().unwrap_or_default());
                format!("### `{place}`\n\n`{name}`, {form}. {value}.\n\n{text}")
            }
        }
    }
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::variables::{Form, VARIABLES};
    use super::*;

    const PAGE: &str = include_str!("../../../../../docs/SETTINGS.md");

    #[test]
    fn the_page_has_the_settings_of_now() {
        let now = reference_page(PAGE).unwrap();
        let mut lines = PAGE.lines().zip(now.lines()).enumerate();
        let differs = lines.find(|(_, (page, now))| page != now);
        assert!(
            PAGE == now,
            "docs/SETTINGS.md is not as defaults.toml and the table of variables are, first at {differs:?}; this makes it so: cargo run -p iib-edge --example settings-page"
        );
    }

    #[test]
    fn each_setting_is_told_once_below_a_comment_that_ends_with_its_variable() {
        let mut told = Vec::new();
        for part in parts(DEFAULTS) {
            match part {
                Part::Group { name, text } => assert!(!text.is_empty(), "[{name}] has no comment"),
                Part::Setting { variable, text, .. } => {
                    let Variable { name, place, form } = variable;
                    let end = match form {
                        Form::Text | Form::Number | Form::Flag => format!(" {name}"),
                        form => format!(" {name} ({})", form.name()),
                    };
                    assert!(text.ends_with(&end), "{place}: {text}");
                    let named =
                        ["IIB_", "OTEL_"].map(|start| text.matches(&format!(" {start}")).count());
                    assert_eq!(named.iter().sum::<usize>(), 1, "{place}: {text}");
                    told.push(variable.place);
                }
            }
        }
        let mut places = VARIABLES.map(|variable| variable.place);
        told.sort_unstable();
        places.sort_unstable();
        assert_eq!(told, places);
    }

    #[test]
    fn what_settings_of_today_have_become_is_there() {
        let (_, tail) = PAGE.split_once(END).unwrap();
        let mut named = 0;
        let rows = tail.lines().filter(|line| line.starts_with("| "));
        for row in rows {
            let here = row.split(" | ").nth(1).unwrap();
            for code in here.split('`').skip(1).step_by(2) {
                let is_place = variables::at(code).is_some();
                let is_variable = VARIABLES.iter().any(|variable| variable.name == code);
                // Words of the command, and variables that are not ours.
                let other = code.contains(' ') || code.starts_with("--") || code == "RUST_LOG";
                assert!(is_place || is_variable || other, "`{code}` in {row}");
                named += usize::from(is_place || is_variable);
            }
        }
        assert!(named > 15, "{named}");
    }

    #[test]
    fn what_is_around_the_settings_stays() {
        let page = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let new = reference_page(&page).unwrap();
        assert!(new.starts_with("head\n") && new.ends_with("\ntail\n"));
        assert!(!new.contains("\nold\n"), "{new}");
        assert_eq!(reference_page(&new), Some(new.clone()));
        for line in new.lines().filter(|line| !line.starts_with("<!--")) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert_eq!(reference_page("no place"), None);
    }
}
