//! Scalars that can be changed.

use std::borrow::Cow;
use std::ops::Range;

use libyaml_safer::ScalarStyle;

use crate::yaml::core_type;
use crate::yaml::scalar::{Scalar, resolve};

/// What a scalar is by the rules of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number {
        is_zero: bool,
    },
    /// A time, or something with a tag of its own.
    Other,
    Text,
}

/// A scalar, what the text has and what is to be there.
#[derive(Debug, Clone)]
pub(super) struct ScalarNode {
    pub(super) kind: Kind,
    pub(super) style: ScalarStyle,
    /// The tag, where the text has one.
    pub(super) tag: Option<String>,
    /// As the text has it.
    pub(super) original: String,
    pub(super) now: Now,
}

/// What a scalar is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    AsItWas,
    /// Parts of the original, from first to last, and what takes their places.
    Parts(Vec<(Range<usize>, String)>),
    Whole(String),
}

impl ScalarNode {
    pub(super) fn read(original: String, style: ScalarStyle, tag: Option<String>) -> Self {
        Self {
            kind: kind(&original, style, tag.as_deref()),
            style,
            tag,
            original,
            now: Now::AsItWas,
        }
    }

    /// A string that is in no text.
    pub(super) fn new(text: &str) -> Self {
        Self {
            kind: Kind::Text,
            style: ScalarStyle::Plain,
            tag: None,
            original: text.to_owned(),
            now: Now::AsItWas,
        }
    }

    /// Whether both are read as the same value.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && match self.kind {
                Kind::Null | Kind::Bool(_) => true,
                Kind::Number { .. } => self.original == other.original,
                Kind::Other => self.original == other.original && self.tag == other.tag,
                Kind::Text => self.text() == other.text() && self.is_merge() == other.is_merge(),
            }
    }

    pub(super) fn is_merge(&self) -> bool {
        self.style == ScalarStyle::Plain && self.original == "<<"
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        match &self.now {
            Now::AsItWas => Cow::Borrowed(&self.original),
            Now::Whole(text) => Cow::Borrowed(text),
            Now::Parts(parts) => Cow::Owned(self.text_with(parts)),
        }
    }

    /// The original with these parts replaced.
    pub(super) fn text_with(&self, parts: &[(Range<usize>, String)]) -> String {
        let mut text = String::with_capacity(self.original.len());
        let mut copied = 0;
        for (part, new) in parts {
            text.push_str(self.original.get(copied..part.start).unwrap_or_default());
            text.push_str(new);
            copied = part.end;
        }
        text.push_str(self.original.get(copied..).unwrap_or_default());
        text
    }

    pub(super) fn set(&mut self, text: &str) {
        self.kind = Kind::Text;
        self.now = Now::Whole(text.to_owned());
    }

    /// Replaces a part of the text that it is now.
    pub(super) fn set_part(&mut self, part: Range<usize>, new: &str) {
        if let Now::AsItWas = self.now {
            self.now = Now::Parts(Vec::new());
        }
        if let Now::Parts(parts) = &mut self.now
            && replace_part(parts, &part, new)
        {
            return;
        }
        let now = self.text();
        let before = now.get(..part.start).unwrap_or_default();
        let after = now.get(part.end..).unwrap_or_default();
        let whole = [before, new, after].concat();
        self.now = Now::Whole(whole);
    }
}

/// Replaces a part of the text that these parts of an original make of it, or tells that it is not clear what of the
/// original that is.
fn replace_part(parts: &mut Vec<(Range<usize>, String)>, part: &Range<usize>, new: &str) -> bool {
    // The original and what it is now, up to the part that is looked at.
    let (mut original, mut now) = (0, 0);
    let mut at = parts.len();
    for (number, (old, text)) in parts.iter_mut().enumerate() {
        let start = now + (old.start - original);
        let end = start + text.len();
        if part.end <= start {
            at = number;
            break;
        }
        if part.start < end {
            // Within what is new already, or else across its edge.
            let is_within = start <= part.start && part.end <= end;
            if is_within {
                text.replace_range(part.start - start..part.end - start, new);
            }
            return is_within;
        }
        (original, now) = (old.end, end);
    }
    let of_original = original + (part.start - now)..original + (part.end - now);
    parts.insert(at, (of_original, new.to_owned()));
    true
}

fn kind(text: &str, style: ScalarStyle, tag: Option<&str>) -> Kind {
    match tag.map(core_type) {
        None if style == ScalarStyle::Plain => plain_kind(text),
        // `!` alone makes it a string.
        None | Some(Some("str")) => Kind::Text,
        Some(None) if tag == Some("!") => Kind::Text,
        Some(Some("bool" | "int" | "float" | "null")) => plain_kind(text),
        Some(_) => Kind::Other,
    }
}

/// By the core schema of YAML 1.2, and times.
fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Kind::Number { is_zero: false },
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => {}
        _ => return Kind::Text,
    }
    if is_time(text) {
        return Kind::Other;
    }
    match is_number(text) {
        true => Kind::Number {
            is_zero: !text
                .bytes()
                .any(|byte| byte.is_ascii_hexdigit() && byte != b'0'),
        },
        false => Kind::Text,
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all = |digits: &str, is: fn(&u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|byte| is(&byte) || byte == b'_')
    };
    let based = [
        ("0x", u8::is_ascii_hexdigit as fn(&u8) -> bool),
        ("0o", |byte| (b'0'..=b'7').contains(byte)),
        ("0b", |byte| matches!(byte, b'0' | b'1')),
    ];
    let is_based = |(prefix, is): &(&str, fn(&u8) -> bool)| {
        unsigned
            .strip_prefix(prefix)
            .is_some_and(|rest| all(rest, *is))
    };
    if based.iter().any(is_based) {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        all(digits, u8::is_ascii_digit)
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    mantissa.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && all(&digits, u8::is_ascii_digit)
        && exponent.is_none_or(is_exponent)
}

/// A date, perhaps with a time.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let is = |text: &str, counts: Range<usize>| {
        counts.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let after = rest.get(day..).unwrap_or_default();
    let is_time = after.is_empty() || (after.starts_with(['T', 't', ' ']) && after.contains(':'));
    is(year, 4..5) && is(month, 1..3) && (1..3).contains(&day) && is_time
}

/// Signs that mean nothing in any style, wherever they stand.
fn is_safe(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "-._/@:+".contains(sign)
}

/// Whether a text may take the place of a part of a scalar in any style, and a word stays a word.
pub(super) fn is_safe_part(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(is_safe)
        && !text.ends_with(':')
}

/// Whether any reader takes a text without quotes, in which nothing means something else, for a string.
pub(super) fn is_string(text: &str) -> bool {
    let has_letter_first = text.starts_with(|first: char| first.is_ascii_alphabetic());
    // What begins with a digit is a number or a time for some reader, unless it is a path.
    let is_word = has_letter_first || text.contains('/');
    let resolved = || resolve(text.to_owned(), true, None);
    is_word && plain_kind(text) == Kind::Text && matches!(resolved(), Ok(Scalar::Text(_)))
}

/// Whether a text without quotes is that string, for any reader and in any context.
fn is_plain(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(is_safe) && !word.ends_with(':');
    let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    starts && text.split(' ').all(is_word) && is_string(text)
}

/// A key as a text has it: without quotes where YAML 1.2 takes it for that string.
pub(super) fn key(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic());
    match is_word
        && text.chars().all(is_safe)
        && !text.ends_with(':')
        && plain_kind(text) == Kind::Text
    {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A string as a text has it: without quotes if any reader takes it for that string.
pub(super) fn string(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// In single quotes, if it can be.
pub(super) fn single_quoted(text: &str) -> Option<String> {
    let is_simple = |sign: char| {
        !sign.is_control() && !('\u{2028}'..='\u{2029}').contains(&sign) && sign != '\u{feff}'
    };
    text.chars()
        .all(is_simple)
        .then(|| format!("'{}'", text.replace('\'', "''")))
}

/// In double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(sign)));
            }
            _ if sign.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(sign))),
            _ => out.push(sign),
        }
    }
    out.push('"');
    out
}
