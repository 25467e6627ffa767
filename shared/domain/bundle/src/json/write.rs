//! Compact JSON with the reference's escapes (spec index-database §3 "Object text").

use super::Json;

pub(super) fn write_value(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => number.write(out),
        Json::String(text) => write_string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, member);
            }
            out.push('}');
        }
    }
}

/// Which characters are escaped besides those that have to be.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    /// What would end a script or an element in HTML, too.
    Html,
    /// Line separators only.
    Plain,
}

/// Writes a string with its quotes. `<`, `>`, `&` and the two line separators of Unicode are
/// escaped, so that the text can stand inside HTML and scripts.
pub(crate) fn write_string(out: &mut String, text: &str) {
    write_escaped(out, text, Escapes::Html);
}

fn write_escaped(out: &mut String, text: &str, escapes: Escapes) {
    out.push('"');
    let mut clean = 0;
    for (at, found) in text.char_indices() {
        let short = match found {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '<' | '>' | '&' if escapes == Escapes::Plain => continue,
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => "",
            _ => continue,
        };
        out.push_str(text.get(clean..at).unwrap_or_default());
        if short.is_empty() {
            out.push_str(&escape(found));
        } else {
            out.push_str(short);
        }
        clean = at + found.len_utf8();
    }
    out.push_str(text.get(clean..).unwrap_or_default());
    out.push('"');
}

/// A string as JSON text, with the reference's escapes.
pub fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

/// The same without the escapes for HTML, as catalogs have it (spec index-database §12).
pub fn json_plain_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_escaped(&mut out, text, Escapes::Plain);
    out
}

pub(super) fn escape(found: char) -> String {
    format!("\\u{:04x}", u32::from(found))
}
