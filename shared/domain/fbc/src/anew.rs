//! JSON as newer versions of the reference write it anew (newest-opm §3): keys sorted, of equal ones
//! the last, numbers through a double. Where version 1.26.4 writes a backspace or a form feed by its
//! number, they have short escapes.

use std::collections::BTreeMap;

use iib_bundle::{Json, Number, json_plain_string, json_string, parse_json};
use memchr::memchr2;

use crate::write::token;

/// How deep values may be nested; the limit keeps recursion off the end of the stack.
pub(crate) const MAX_DEPTH: usize = 256;

/// A value that cannot be written anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnewFault {
    /// A number no double can hold.
    #[error("json: cannot unmarshal number {0} into Go value of type float64: it is too large")]
    Range(String),
    /// Nested too deeply.
    #[error("the value is nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// No JSON.
    #[error("the value is no JSON")]
    Broken,
}

/// Which strings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strings {
    /// As version 1.26.4 does.
    Opm126,
    /// As the newest version does.
    Newest,
}

impl Strings {
    /// A string as JSON text that can stand inside HTML.
    pub(crate) fn html(self, text: &str) -> String {
        self.write(text, json_string)
    }

    /// The same without the escapes for HTML.
    pub(crate) fn plain(self, text: &str) -> String {
        self.write(text, json_plain_string)
    }

    fn write(self, text: &str, write: impl Fn(&str) -> String) -> String {
        const SHORT: [(char, &str); 2] = [('\u{8}', "\\b"), ('\u{c}', "\\f")];
        if self == Self::Opm126 || memchr2(b'\x08', b'\x0c', text.as_bytes()).is_none() {
            return write(text);
        }
        let mut out = String::from("\"");
        for part in text.split_inclusive(SHORT.map(|(sign, _)| sign)) {
            let ends = |(sign, short)| Some((part.strip_suffix(sign)?, short));
            let (body, short) = SHORT.into_iter().find_map(ends).unwrap_or((part, ""));
            let quoted = write(body);
            out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            out.push_str(short);
        }
        out.push('"');
        out
    }
}

/// A JSON text written anew, compact and without escapes for HTML.
pub(crate) fn json_anew(text: &str) -> Result<String, AnewFault> {
    let mut reader = Reader {
        rest: text.as_bytes(),
        depth: 0,
    };
    let mut out = String::with_capacity(text.len());
    reader.value(&mut out)?;
    Ok(out)
}

/// JSON text with the escapes for HTML that it lacks; only strings have these signs.
pub(crate) fn html_escaped(text: &str) -> String {
    if !text.contains(['<', '>', '&']) {
        return text.to_owned();
    }
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e");
    text.replace('&', "\\u0026")
}

/// Reads a text that is known to be JSON.
struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next sign that is no white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn token(&mut self) -> Result<&'a str, AnewFault> {
        let (token, after) = token(self.rest);
        self.rest = after;
        str::from_utf8(token).map_err(|_| AnewFault::Broken)
    }

    fn value(&mut self, out: &mut String) -> Result<(), AnewFault> {
        match self.peek().ok_or(AnewFault::Broken)? {
            b'{' => self.nested(out, Self::object),
            b'[' => self.nested(out, Self::list),
            b'"' => {
                let text = string(self.token()?)?;
                out.push_str(&Strings::Newest.plain(&text));
                Ok(())
            }
            b't' | b'f' | b'n' => {
                out.push_str(self.token()?);
                Ok(())
            }
            _ => number(self.token()?, out),
        }
    }

    fn nested(
        &mut self,
        out: &mut String,
        read: impl FnOnce(&mut Self, &mut String) -> Result<(), AnewFault>,
    ) -> Result<(), AnewFault> {
        if self.depth == MAX_DEPTH {
            return Err(AnewFault::Depth);
        }
        self.depth += 1;
        self.skip();
        read(self, out)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self, out: &mut String) -> Result<(), AnewFault> {
        let mut members: BTreeMap<String, String> = BTreeMap::new();
        loop {
            match self.peek().ok_or(AnewFault::Broken)? {
                b'}' => break self.skip(),
                b',' => self.skip(),
                _ => {
                    let name = string(self.token()?)?;
                    if self.peek() != Some(b':') {
                        return Err(AnewFault::Broken);
                    }
                    self.skip();
                    let mut value = String::new();
                    self.value(&mut value)?;
                    members.insert(name, value);
                }
            }
        }
        let members = members
            .iter()
            .map(|(name, value)| format!("{}:{value}", Strings::Newest.plain(name)));
        out.push('{');
        out.push_str(&members.collect::<Vec<_>>().join(","));
        out.push('}');
        Ok(())
    }

    fn list(&mut self, out: &mut String) -> Result<(), AnewFault> {
        out.push('[');
        loop {
            match self.peek().ok_or(AnewFault::Broken)? {
                b']' => break self.skip(),
                b',' => {
                    self.skip();
                    out.push(',');
                }
                _ => self.value(out)?,
            }
        }
        out.push(']');
        Ok(())
    }
}

fn string(token: &str) -> Result<String, AnewFault> {
    if !token.contains('\\') {
        let inside = token
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        return inside.map(str::to_owned).ok_or(AnewFault::Broken);
    }
    // Half a character becomes a replacement, which not every reader forgives.
    match parse_json(token) {
        Ok(Json::String(text)) => Ok(text),
        _ => Err(AnewFault::Broken),
    }
}

fn number(token: &str, out: &mut String) -> Result<(), AnewFault> {
    let number: f64 = token.parse().map_err(|_| AnewFault::Broken)?;
    if !number.is_finite() {
        return Err(AnewFault::Range(token.to_owned()));
    }
    out.push_str(&Json::Number(Number::Double(number)).to_text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AnewFault, Strings, html_escaped, json_anew};

    #[test]
    fn keys_are_sorted_and_numbers_become_doubles() {
        for (text, anew) in [
            (
                r#" { "z" : 1.0, "a" : 12345678901234567890, "m":[1e3, -0, 0.10, 1e-7,1e21 ] } "#,
                r#"{"a":12345678901234567000,"m":[1000,-0,0.1,1e-7,1e+21],"z":1}"#,
            ),
            (
                r#"{"b":{"d":null,"c":true},"b":[{}, []]}"#,
                r#"{"b":[{},[]]}"#,
            ),
            (
                r#"["<é>", "\u003c\/\ud800", "\u2028\b\u000c\u0001\"\\u"]"#,
                "[\"<é>\",\"</\u{fffd}\",\"\\u2028\\b\\f\\u0001\\\"\\\\u\"]",
            ),
            ("{}", "{}"),
            ("null", "null"),
        ] {
            assert_eq!(json_anew(text).unwrap(), anew, "{text}");
            assert_eq!(json_anew(anew).unwrap(), anew, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_anew_is_refused() {
        let range = json_anew(r#"{"a":[1e400]}"#).unwrap_err();
        assert_eq!(range, AnewFault::Range("1e400".to_owned()));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        json_anew(&deep(256)).unwrap();
        assert_eq!(json_anew(&deep(257)), Err(AnewFault::Depth));
        for broken in ["", "{", "[1", "{\"a\"}", "\"", "x"] {
            assert_eq!(json_anew(broken), Err(AnewFault::Broken), "{broken}");
        }
    }

    #[test]
    fn strings_are_escaped_as_each_version_does() {
        let text = "<\u{8}a\u{c}>\\u0008";
        assert_eq!(
            Strings::Opm126.html(text),
            r#""\u003c\u0008a\u000c\u003e\\u0008""#
        );
        assert_eq!(Strings::Newest.html(text), r#""\u003c\ba\f\u003e\\u0008""#);
        assert_eq!(Strings::Newest.plain(text), r#""<\ba\f>\\u0008""#);
        assert_eq!(html_escaped(r#"["<&>"]"#), r#"["\u003c\u0026\u003e"]"#);
    }
}
