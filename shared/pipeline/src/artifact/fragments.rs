//! Checking fragments of file-based catalogs: a stream of documents, each with a `schema`.

use iib_bundle::{Json, parse_yaml};
use serde_json::Value;

/// What a document has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Absent,
    Text(String),
    Other,
}

/// What a document is looked at for.
struct Meta {
    schema: Field,
    package: Field,
    name: Field,
}

/// Everything that is wrong with a fragment, each with the number of its document, the first
/// being number one. As in `opm`, a text that begins with a brace is JSON, any other YAML; empty
/// documents of the latter do not count.
pub(super) fn faults(bytes: &[u8]) -> Vec<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(fault) => return vec![format!("not UTF-8 text (byte {})", fault.valid_up_to())],
    };
    let documents = if text.trim_start().starts_with('{') {
        from_json(text)
    } else {
        from_yaml(text)
    };
    if documents.is_empty() {
        return vec!["the fragment holds no document".to_owned()];
    }
    let numbered = (1..).zip(documents);
    let faults = numbered.flat_map(|(number, document)| {
        let faults = match document {
            Ok(Some(meta)) => meta.faults(),
            Ok(None) => vec!["not an object".to_owned()],
            Err(fault) => vec![fault],
        };
        faults
            .into_iter()
            .map(move |fault| format!("document {number}: {fault}"))
    });
    faults.collect()
}

/// A document: what it is looked at for, `None` if it is no object, or why it cannot be read.
type Document = Result<Option<Meta>, String>;

/// JSON values one after another. Behind one that cannot be read nothing can be told apart.
fn from_json(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let broken = value.is_err();
        documents.push(match value {
            Ok(Value::Object(members)) => Ok(Some(Meta::new(|name| match members.get(name) {
                None => Field::Absent,
                Some(Value::String(text)) => Field::Text(text.clone()),
                Some(_) => Field::Other,
            }))),
            Ok(_) => Ok(None),
            Err(error) => Err(format!("not JSON: {error}")),
        });
        if broken {
            break;
        }
    }
    documents
}

fn from_yaml(text: &str) -> Vec<Document> {
    let parsed = parts(text).map(|(lines, part)| match parse_yaml(part) {
        Ok(Json::Null) => None,
        Ok(value @ Json::Object(_)) => Some(Ok(Some(Meta::new(|name| match value.get(name) {
            None => Field::Absent,
            Some(Json::String(text)) => Field::Text(text.clone()),
            Some(_) => Field::Other,
        })))),
        Ok(_) => Some(Ok(None)),
        Err(error) => Some(Err(error.below(lines).to_string())),
    });
    parsed.flatten().collect()
}

/// The documents of a YAML stream, each with the line that separates it from the one before, and
/// how many lines are before it.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .or_else(|| line.strip_prefix("..."));
        let is_marker = marker.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|next: char| next.is_whitespace())
        });
        if is_marker && at > 0 {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    let part = |window: &[usize]| {
        let (start, end) = (window.first()?, window.last()?);
        let part = text.get(*start..*end)?;
        let before = text.get(..*start)?.matches('\n').count();
        // The end of a document is none of the next one's.
        Some((before, part.strip_prefix("...").unwrap_or(part)))
    };
    let parts: Vec<(usize, &str)> = starts.windows(2).filter_map(part).collect();
    parts.into_iter()
}

impl Meta {
    fn new(field: impl Fn(&str) -> Field) -> Self {
        Self {
            schema: field("schema"),
            package: field("package"),
            name: field("name"),
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match &self.schema {
            Field::Absent => faults.push("it has no `schema`".to_owned()),
            Field::Text(text) if text.is_empty() => faults.push("its `schema` is empty".to_owned()),
            Field::Text(_) => {}
            Field::Other => faults.push("its `schema` is no text".to_owned()),
        }
        for (name, field) in [("package", &self.package), ("name", &self.name)] {
            if *field == Field::Other {
                faults.push(format!("its `{name}` is no text"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_fragments_have_no_faults() {
        for text in [
            r#"{"schema": "olm.package", "name": "lantern"}"#,
            "{\"schema\": \"a\"}\n{\"schema\": \"b\", \"package\": \"p\"} {\"schema\":\"c\"}",
            "schema: olm.package\nname: lantern\n",
            "---\nschema: a\n---\n# nothing\n---\nschema: b\n--- # more\nschema: c\n...\n",
            "\u{feff}schema: a",
        ] {
            assert_eq!(faults(text.as_bytes()), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_fault_is_told_with_its_document() {
        let text = "name: a\n---\nschema: b\nname: 1\n---\nschema: ''\npackage: [c]\n---\n- d\n---\nschema: e\n--- # more\n{schema: 5}\n---\n'\n";
        let told = faults(text.as_bytes());
        let expected = [
            "document 1: it has no `schema`",
            "document 2: its `name` is no text",
            "document 3: its `schema` is empty",
            "document 3: its `package` is no text",
            "document 4: not an object",
            "document 6: its `schema` is no text",
        ];
        assert_eq!(told[..6], expected);
        assert!(
            told[6].starts_with("document 7: line 15: the quotes"),
            "{told:?}"
        );
        assert_eq!(told.len(), 7);
    }

    #[test]
    fn json_is_told_from_yaml_by_its_brace() {
        let told = faults(b"{\"schema\": \"a\"}\n[1]\n{\"name\": \"b\"}\n{\"schema\": ");
        assert_eq!(
            told[..2],
            [
                "document 2: not an object",
                "document 3: it has no `schema`"
            ]
        );
        assert!(told[2].starts_with("document 4: not JSON: "), "{told:?}");
        for empty in ["", "---\n", "# nothing\n"] {
            assert_eq!(faults(empty.as_bytes()), ["the fragment holds no document"]);
        }
        assert_eq!(faults(b"schema: \xff"), ["not UTF-8 text (byte 8)"]);
    }
}
