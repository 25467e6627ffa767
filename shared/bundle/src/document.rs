//! The first document of a file (spec index-database §3 "Manifests").

use std::borrow::Cow;

use crate::json::{self, Json, JsonError};
use crate::yaml::{self, YamlFault};
use crate::{BundleError, Limit};

/// The largest file that is read, in bytes. An object that a cluster can hold is below 2 MiB.
pub(crate) const MAX_FILE: usize = 16 << 20;

/// How a document is written; the reference treats the values of the two differently.
pub(crate) enum Source<'a> {
    /// JSON, with its text.
    Json(Cow<'a, str>),
    /// YAML.
    Yaml,
}

/// The first document of a file.
pub(crate) struct Document<'a> {
    pub(crate) value: Json,
    pub(crate) source: Source<'a>,
}

/// Reads the first document; `None` when the reference would pass the file over because it
/// cannot be parsed.
///
/// # Errors
/// A limit is passed: such a file is refused rather than passed over, since the reference would
/// have read it.
pub(crate) fn first_document<'a>(
    file: &str,
    bytes: &'a [u8],
) -> Result<Option<Document<'a>>, BundleError> {
    let beyond = |limit| {
        Err(BundleError::Limit {
            file: file.to_owned(),
            limit,
        })
    };
    if bytes.len() > MAX_FILE {
        return beyond(Limit::FileSize);
    }
    // The reference looks for the brace in bytes of any encoding, and reads JSON leniently.
    let lenient = String::from_utf8_lossy(bytes);
    if lenient.trim_start().starts_with('{') {
        return match json::first_value(&lenient) {
            Ok((value, text)) => {
                let source = Source::Json(Cow::Owned(text.to_owned()));
                Ok(Some(Document { value, source }))
            }
            Err(JsonError::Depth) => beyond(Limit::Depth),
            Err(_) => Ok(None),
        };
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(None);
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match yaml::parse_yaml(first_part(text)) {
        Ok(value) => Ok(Some(Document {
            value,
            source: Source::Yaml,
        })),
        Err(error) => match error.fault {
            YamlFault::Depth => beyond(Limit::Depth),
            YamlFault::Size => beyond(Limit::Expansion),
            _ => Ok(None),
        },
    }
}

/// The text up to the first line that is `---` and nothing else, such lines at the start left
/// out. The reference cuts the file before it parses it, so a comment before the first separator
/// is a document of its own.
fn first_part(text: &str) -> &str {
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let separator = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim_end().is_empty());
        if separator && at > start {
            return text.get(start..at).unwrap_or_default();
        }
        at += line.len();
        if separator {
            start = at;
        }
    }
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE, first_document, first_part};

    fn text(file: &str) -> Option<String> {
        let document = first_document("f", file.as_bytes()).unwrap();
        document.map(|document| document.value.to_text())
    }

    #[test]
    fn the_file_is_cut_at_separator_lines() {
        for (file, part) in [
            ("a: 1\n---\nb: 2\n", "a: 1\n"),
            ("---\na: 1\n--- \nb", "a: 1\n"),
            ("---\n---\na", "a"),
            ("# note\n---\na: 1", "# note\n"),
            ("a: 1\n--- # more\nb", "a: 1\n--- # more\nb"),
            ("---", ""),
        ] {
            assert_eq!(first_part(file), part, "{file:?}");
        }
    }

    #[test]
    fn a_brace_makes_it_json() {
        assert_eq!(text(" \n{\"a\": 1} trailing"), Some("{\"a\":1}".to_owned()));
        assert_eq!(text("{a: 1}"), None);
        assert_eq!(text("[a, b]"), Some("[\"a\",\"b\"]".to_owned()));
    }

    #[test]
    fn a_file_that_is_too_large_or_too_deep_is_refused() {
        let large = vec![b' '; MAX_FILE + 1];
        assert!(first_document("f", &large).is_err());
        let deep = format!("{}1", "{\"a\":".repeat(1000));
        let error = first_document("f.json", deep.as_bytes()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "file f.json of the bundle is nested more than 256 levels deep"
        );
    }
}
