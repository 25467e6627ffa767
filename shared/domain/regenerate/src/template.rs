//! Texts with fields.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text with `{fields}`; `{{` and `}}` stand for braces (regenerate-bundle §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFault {
    /// A brace that opens or closes nothing.
    #[error(
        "the template {0:?} has a single brace: write {{{{ or }}}} for one that stands for itself"
    )]
    Brace(String),
    /// A field that is no plain name.
    #[error(
        "the template {template:?} has the field {field:?}: a field is a name of letters, digits, '-' and '_'"
    )]
    Field {
        /// The template.
        template: String,
        /// What stands between the braces.
        field: String,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateFault`]. Forms beyond fields, which the reference has from Python's format strings, are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let brace = || TemplateFault::Brace(text.to_owned());
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let field = from.strip_prefix('{').and_then(|from| from.split_once('}'));
                let (field, after) = field.ok_or_else(brace)?;
                let is_name = |sign: char| sign.is_alphanumeric() || "-_".contains(sign);
                let is_index = field.bytes().all(|byte| byte.is_ascii_digit());
                if is_index || !field.chars().all(is_name) {
                    let (template, field) = (text.to_owned(), field.to_owned());
                    return Err(TemplateFault::Field { template, field });
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Field(field.to_owned()));
                rest = after;
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Names of the fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(&**name),
            Part::Text(_) => None,
        })
    }

    /// The text with values in the places of the fields; none if one has no value.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(&**text),
            Part::Field(name) => value(name),
        });
        parts.collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateFault;

    fn try_from(text: String) -> Result<Self, TemplateFault> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_filled_in() {
        let fill = |text: &str| {
            let template = Template::parse(text).unwrap();
            template.fill(|name| (name == "a-b").then_some("x"))
        };
        assert_eq!(fill("{{y}}/{a-b}{a-b}-").as_deref(), Some("{y}/xx-"));
        assert_eq!(fill("").as_deref(), Some(""));
        assert_eq!(fill("{c}"), None);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "{", "a}", "{a", "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
