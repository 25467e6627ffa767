//! The text of a catalog (spec index-database §12): one JSON object after the other, indented by
//! four spaces, members in a fixed order.

use std::io::{self, Write};

use memchr::memchr2;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use serde_json::value::RawValue;

use crate::blob::Blob;

/// Writes the text of one object with the newline at its end.
///
/// # Errors
/// Those of the writer.
pub fn write_blob(blob: Blob<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Layout::default());
    match blob {
        Blob::Package(blob) => with_schema("olm.package", blob).serialize(&mut serializer),
        Blob::Channel(blob) => with_schema("olm.channel", blob).serialize(&mut serializer),
        Blob::Bundle(blob) => with_schema("olm.bundle", blob).serialize(&mut serializer),
        Blob::Other(other) => RawValue::serialize(&other.blob, &mut serializer),
    }?;
    out.write_all(b"\n")
}

/// The same as a text.
pub fn to_text(blob: Blob<'_>) -> String {
    let mut text = Vec::new();
    // A list takes all that is written.
    let _ = write_blob(blob, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[derive(Serialize)]
struct WithSchema<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    blob: &'a T,
}

fn with_schema<'a, T>(schema: &'static str, blob: &'a T) -> WithSchema<'a, T> {
    WithSchema { schema, blob }
}

const INDENT: &[u8] = b"    ";

/// JSON laid out in lines, that of values that are texts already included: their strings and
/// numbers stay as they are written.
#[derive(Default)]
struct Layout {
    depth: usize,
    /// Whether a list or object was just opened: an empty one stays on its line.
    opened: bool,
}

impl Layout {
    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: u8) -> io::Result<()> {
        self.depth += 1;
        self.opened = true;
        out.write_all(&[bracket])
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: u8) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if !std::mem::take(&mut self.opened) {
            self.line(out)?;
        }
        out.write_all(&[bracket])
    }

    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(INDENT))
    }

    /// Before a value of a list or a member of an object.
    fn next<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.opened = false;
        self.line(out)
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b'[')
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b']')
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b'{')
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b'}')
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    /// As the reference writes them: line separators never stand for themselves.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut rest = text;
        for (at, found) in text.match_indices(['\u{2028}', '\u{2029}']) {
            let begin = text.len() - rest.len();
            out.write_all(text.get(begin..at).unwrap_or_default().as_bytes())?;
            out.write_all(match found {
                "\u{2028}" => b"\\u2028",
                _ => b"\\u2029",
            })?;
            rest = text.get(at + found.len()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text = match escape {
            CharEscape::Backspace => "\\u0008",
            CharEscape::FormFeed => "\\u000c",
            other => return CompactFormatter.write_char_escape(out, other),
        };
        out.write_all(text.as_bytes())
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while let [found, after @ ..] = rest {
            let begin = rest;
            rest = after;
            match found {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'}' | b']' => self.close(out, *found)?,
                b',' => self.next(out, false)?,
                b':' => self.begin_object_value(out)?,
                _ => {
                    if std::mem::take(&mut self.opened) {
                        self.line(out)?;
                    }
                    match found {
                        b'{' | b'[' => self.open(out, *found)?,
                        _ => {
                            let (token, after) = token(begin);
                            out.write_all(token)?;
                            rest = after;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// JSON text without white space; the text of its strings and numbers stays.
pub(crate) fn compact(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [found, after @ ..] = rest {
        match found {
            b' ' | b'\t' | b'\r' | b'\n' => rest = after,
            b'{' | b'[' | b']' | b'}' | b',' | b':' => {
                out.push(*found);
                rest = after;
            }
            _ => {
                let (token, after) = token(rest);
                out.extend_from_slice(token);
                rest = after;
            }
        }
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The string, number or word at the beginning, and what follows it.
pub(crate) fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let end = if text.first() == Some(&b'"') {
        string_end(text)
    } else {
        let ends = |byte: &u8| b",:}] \t\r\n".contains(byte);
        text.iter().position(ends).unwrap_or(text.len())
    };
    text.split_at(end)
}

/// Where the string at the beginning of a text ends, quotes included.
fn string_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(rest) = text.get(at..)
        && let Some(found) = memchr2(b'"', b'\\', rest)
    {
        match rest.get(found) {
            Some(b'"') => return at + found + 1,
            _ => at += found + 2,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;
    use serde_json::value::RawValue;

    use super::{Layout, compact, string_end};

    fn laid_out(text: &str) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Layout::default());
        let value = RawValue::from_string(text.to_owned()).unwrap();
        [&value].serialize(&mut serializer).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_laid_out_with_four_spaces() {
        assert_eq!(
            laid_out(r#"{"a":[],"b":{"c":1.50,"d":[true,{}]},"e":"x\"{,}\\"}"#),
            "[\n    {\n        \"a\": [],\n        \"b\": {\n            \"c\": 1.50,\n            \
             \"d\": [\n                true,\n                {}\n            ]\n        },\n        \
             \"e\": \"x\\\"{,}\\\\\"\n    }\n]"
        );
    }

    #[test]
    fn a_layout_does_not_change_what_it_laid_out() {
        let text = laid_out(r#"[{"a": "ö — \u003c"}, -1e3 ,null]"#);
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        assert_eq!(laid_out(inner.unwrap()), text);
        assert_eq!(compact(&text), r#"[[{"a":"ö — \u003c"},-1e3,null]]"#);
    }

    #[test]
    fn a_string_ends_at_its_quote() {
        assert_eq!(string_end(br#""a\"b\\","c""#), br#""a\"b\\""#.len());
    }
}
