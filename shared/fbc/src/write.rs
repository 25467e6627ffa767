//! The text of a catalog (spec index-database §12): one JSON object after the other, indented by
//! four spaces, members in a fixed order.

use serde::Serialize;

use crate::blob::Blob;

/// The text of one object with the newline at its end.
///
/// # Errors
/// None that a catalog gives reason to: a value of ours is no JSON.
pub fn to_text(blob: Blob<'_>) -> Result<String, serde_json::Error> {
    let compact = match blob {
        Blob::Package(package) => with_schema("olm.package", package)?,
        Blob::Channel(channel) => with_schema("olm.channel", channel)?,
        Blob::Bundle(bundle) => with_schema("olm.bundle", bundle)?,
        Blob::Other(other) => other.blob.get().to_owned(),
    };
    Ok(indented(&compact))
}

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    blob: &'a T,
}

fn with_schema(schema: &'static str, blob: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(&WithSchema { schema, blob })
}

const INDENT: &str = "    ";

/// JSON text laid out anew; the text of its strings and numbers stays.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(INDENT);
        }
    };
    let mut rest = text;
    // Whether a list or object was just opened: an empty one stays on its line.
    let mut opened = false;
    while let Some(found) = rest.chars().next() {
        let at = found.len_utf8();
        match found {
            ' ' | '\t' | '\r' | '\n' => {}
            '}' | ']' => {
                depth -= usize::from(depth > 0);
                if !opened {
                    line(&mut out, depth);
                }
                out.push(found);
                opened = false;
            }
            _ => {
                if opened {
                    line(&mut out, depth);
                    opened = false;
                }
                match found {
                    '{' | '[' => {
                        out.push(found);
                        depth += 1;
                        opened = true;
                    }
                    ',' => {
                        out.push(',');
                        line(&mut out, depth);
                    }
                    ':' => out.push_str(": "),
                    '"' => {
                        let end = string_end(rest);
                        out.push_str(rest.get(..end).unwrap_or(rest));
                        rest = rest.get(end..).unwrap_or_default();
                        continue;
                    }
                    _ => out.push(found),
                }
            }
        }
        rest = rest.get(at..).unwrap_or_default();
    }
    out.push('\n');
    out
}

/// JSON text without white space; the text of its strings and numbers stays.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.chars().next() {
        let end = match found {
            '"' => string_end(rest),
            _ => found.len_utf8(),
        };
        if !matches!(found, ' ' | '\t' | '\r' | '\n') {
            out.push_str(rest.get(..end).unwrap_or(rest));
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    out
}

/// Where the string at the beginning of a text ends, quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{compact, indented, string_end};

    #[test]
    fn json_is_laid_out_with_four_spaces() {
        assert_eq!(
            indented(r#"{"a":[],"b":{"c":1.50,"d":[true,{}]},"e":"x\"{,}\\"}"#),
            "{\n    \"a\": [],\n    \"b\": {\n        \"c\": 1.50,\n        \"d\": [\n            \
             true,\n            {}\n        ]\n    },\n    \"e\": \"x\\\"{,}\\\\\"\n}\n"
        );
    }

    #[test]
    fn a_layout_does_not_change_what_it_laid_out() {
        let text = indented(r#"[{"a": "ö — \u003c"}, -1e3]"#);
        assert_eq!(indented(&text), text);
        assert_eq!(compact(&text), r#"[{"a":"ö — \u003c"},-1e3]"#);
    }

    #[test]
    fn a_string_ends_at_its_quote() {
        assert_eq!(string_end(r#""a\"b\\","c""#), r#""a\"b\\""#.len());
    }
}
