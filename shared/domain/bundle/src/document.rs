//! The first document of a file (spec index-database §3 "Manifests").

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{self, Json, JsonError};
use crate::yaml::{self, YamlError, YamlFault};
use crate::{BundleError, Limit, Unreadable};

/// The largest file that is read, in bytes. An object that a cluster can hold is below 2 MiB.
pub(crate) const MAX_FILE: usize = 16 << 20;

/// The folders of a bundle image, as its files are named in faults.
pub(crate) const MANIFESTS: &str = "manifests/";
pub(crate) const METADATA: &str = "metadata/";

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

/// Reads the first document of a file, which is named as people find it in the image.
///
/// # Errors
/// A limit is passed: such a file is refused rather than passed over, since the reference would
/// have read it. A file that the reference passes over because it cannot be read is
/// [`FileFault::Unreadable`].
pub(crate) fn first_document<'a>(file: &str, bytes: &'a [u8]) -> Result<Document<'a>, FileFault> {
    let beyond = |limit| {
        FileFault::Limit(BundleError::Limit {
            file: file.to_owned(),
            limit,
        })
    };
    let unreadable = |line, fault: String| {
        FileFault::Unreadable(Unreadable {
            file: file.to_owned(),
            line,
            fault,
        })
    };
    if bytes.len() > MAX_FILE {
        return Err(beyond(Limit::FileSize));
    }
    // The reference looks for the brace in bytes of any encoding, and reads JSON leniently.
    let text = yaml::yaml_text(bytes);
    let lenient = match &text {
        Ok(text) => Cow::Borrowed(*text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    if lenient.trim_start().starts_with('{') {
        return match json::first_value(&lenient) {
            Ok((value, text)) => {
                let source = Source::Json(Cow::Owned(text.to_owned()));
                Ok(Document { value, source })
            }
            Err((_, JsonError::Depth)) => Err(beyond(Limit::Depth)),
            Err((line, fault)) => Err(unreadable(line, fault.to_string())),
        };
    }
    match text.and_then(first_yaml) {
        Ok(value) => Ok(Document {
            value,
            source: Source::Yaml,
        }),
        Err(error) => Err(match error.fault {
            YamlFault::Depth => beyond(Limit::Depth),
            YamlFault::Size => beyond(Limit::Expansion),
            fault => unreadable(error.line, fault.to_string()),
        }),
    }
}

/// Why there is no document.
#[derive(Debug)]
pub(crate) enum FileFault {
    /// A limit is passed.
    Limit(BundleError),
    /// It is no JSON or YAML.
    Unreadable(Unreadable),
}

impl FileFault {
    /// Notes a file that is passed over.
    ///
    /// # Errors
    /// The limit that is passed.
    pub(crate) fn note(self, unreadable: &mut Vec<Unreadable>) -> Result<(), BundleError> {
        match self {
            Self::Limit(error) => Err(error),
            Self::Unreadable(file) => {
                unreadable.push(file);
                Ok(())
            }
        }
    }
}

fn first_yaml(text: &str) -> Result<Json, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let part = first_part(text);
    let before = text.get(..part.start).unwrap_or_default();
    let value = yaml::parse_yaml(text.get(part).unwrap_or_default());
    value.map_err(|error| error.below(before.matches('\n').count()))
}

/// The text up to the first line that is `---` and nothing else, such lines at the start left
/// out. The reference cuts the file before it parses it, so a comment before the first separator
/// is a document of its own.
fn first_part(text: &str) -> Range<usize> {
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let separator = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim_end().is_empty());
        if separator && at > start {
            return start..at;
        }
        at += line.len();
        if separator {
            start = at;
        }
    }
    start..at
}

#[cfg(test)]
mod tests {
    use super::{FileFault, MAX_FILE, first_document, first_part};

    fn text(file: &[u8]) -> String {
        match first_document("f", file) {
            Ok(document) => document.value.to_text(),
            Err(FileFault::Unreadable(file)) => file.to_string(),
            Err(FileFault::Limit(limit)) => panic!("{limit}"),
        }
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
            assert_eq!(&file[first_part(file)], part, "{file:?}");
        }
    }

    #[test]
    fn a_brace_makes_it_json() {
        assert_eq!(text(b" \n{\"a\": 1} trailing"), "{\"a\":1}");
        assert_eq!(text(b"[a, b]"), "[\"a\",\"b\"]");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line_in_the_file() {
        for (file, told) in [
            ("{\n a: 1}", "f: line 2: invalid character 'a'"),
            ("{\"a\": 1,\n\"b\":\n\n", "f: line 2: unexpected end"),
            (
                "---\n# c\na:\n\tb: 1\n---\nc: 2",
                "f: line 4: a tab indents",
            ),
            ("\u{feff}a: 'b\n", "f: line 1: the quotes"),
        ] {
            let text = text(file.as_bytes());
            assert!(text.starts_with(told), "{file:?}: {text}");
        }
        let latin = text(b"a: 1\nb: Caf\xe9\n");
        assert!(
            latin.starts_with("f: line 2: the byte 0xE9 is no text in UTF-8"),
            "{latin}"
        );
        // The reference reads such JSON.
        assert_eq!(text(b"{\"a\": \"Caf\xe9\"}"), "{\"a\":\"Caf\u{fffd}\"}");
    }

    #[test]
    fn a_file_that_is_too_large_or_too_deep_is_refused() {
        let large = vec![b' '; MAX_FILE + 1];
        assert!(matches!(
            first_document("f", &large),
            Err(FileFault::Limit(_))
        ));
        let deep = format!("{}1", "{\"a\":".repeat(1000));
        let Err(FileFault::Limit(error)) = first_document("f.json", deep.as_bytes()) else {
            panic!("it is too deep");
        };
        assert_eq!(
            error.to_string(),
            "file f.json of the bundle is nested more than 256 levels deep"
        );
    }
}
