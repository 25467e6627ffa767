//! Reading JSON, with the complaints of the reference's reader.

use std::collections::BTreeMap;

use super::{Json, MAX_DEPTH, Number, write};

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text ends inside a value, or holds none.
    #[error("unexpected end of JSON input")]
    End,
    /// A character that cannot stand where it stands.
    #[error("invalid character {found} {place}")]
    Character {
        /// The character, quoted as the reference quotes it.
        found: String,
        /// Where it stands, in the words of the reference.
        place: String,
    },
    /// A number no double can hold.
    #[error("json: cannot unmarshal number {0} into Go value of type float64")]
    Range(String),
    /// Not UTF-8.
    #[error("the JSON text is not UTF-8")]
    Utf8,
    /// Nested too deeply.
    #[error("the JSON text is nested more than {MAX_DEPTH} levels deep")]
    Depth,
}

/// Reads a text that is one JSON value.
///
/// # Errors
/// The first fault in the text.
pub fn parse_json(text: &str) -> Result<Json, JsonError> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    let value = reader.value()?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(found) => Err(unexpected(found, "after top-level value")),
    }
}

/// Reads the first JSON value of a text; what follows is not looked at. A fault comes with the line
/// it is in, from 1.
pub(crate) fn first_value(text: &str) -> Result<(Json, &str), (usize, JsonError)> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    reader.space();
    let start = reader.at;
    let value = reader.value();
    let end = reader.at;
    let value = value.map_err(|fault| {
        let before = text.get(..end).unwrap_or_default().trim_end();
        (1 + before.matches('\n').count(), fault)
    })?;
    Ok((value, text.get(start..end).unwrap_or_default()))
}

/// The text of a JSON value without white space, its order of members and its escapes kept, and
/// the reference's escapes added.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for found in text.chars() {
        if quoted {
            match found {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&write::escape(found)),
                _ => out.push(found),
            }
            quoted = escaped || found != '"';
            escaped = !escaped && found == '\\';
        } else if !matches!(found, ' ' | '\t' | '\r' | '\n') {
            out.push(found);
            quoted = found == '"';
        }
    }
    out
}

fn unexpected(found: char, place: impl Into<String>) -> JsonError {
    let found = match found {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        '\n' => r"'\n'".to_owned(),
        '\r' => r"'\r'".to_owned(),
        '\t' => r"'\t'".to_owned(),
        '\0'..='\x1f' | '\x7f' => format!("'\\x{:02x}'", u32::from(found)),
        _ => format!("'{found}'"),
    };
    JsonError::Character {
        found,
        place: place.into(),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Result<char, JsonError> {
        let found = self.peek().ok_or(JsonError::End)?;
        self.at += found.len_utf8();
        Ok(found)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json, JsonError> {
        self.space();
        let start = self.at;
        match self.next()? {
            '{' => self.nested(Self::object),
            '[' => self.nested(Self::array),
            '"' => self.string().map(Json::String),
            't' => self.literal("rue", "true", Json::Bool(true)),
            'f' => self.literal("alse", "false", Json::Bool(false)),
            'n' => self.literal("ull", "null", Json::Null),
            found @ ('-' | '0'..='9') => self.number(start, found).map(Json::Number),
            found => Err(unexpected(found, "looking for beginning of value")),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json, JsonError>,
    ) -> Result<Json, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut members = BTreeMap::new();
        self.space();
        let mut found = self.next()?;
        if found == '}' {
            return Ok(Json::Object(members));
        }
        loop {
            if found != '"' {
                return Err(unexpected(
                    found,
                    "looking for beginning of object key string",
                ));
            }
            let key = self.string()?;
            self.space();
            match self.next()? {
                ':' => {}
                found => return Err(unexpected(found, "after object key")),
            }
            let value = self.value()?;
            members.insert(key, value);
            self.space();
            match self.next()? {
                ',' => {}
                '}' => return Ok(Json::Object(members)),
                found => return Err(unexpected(found, "after object key:value pair")),
            }
            self.space();
            found = self.next()?;
        }
    }

    fn array(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            match self.next()? {
                ',' => {}
                ']' => return Ok(Json::Array(items)),
                found => return Err(unexpected(found, "after array element")),
            }
        }
    }

    fn literal(&mut self, rest: &str, word: &str, value: Json) -> Result<Json, JsonError> {
        for wanted in rest.chars() {
            let found = self.next()?;
            if found != wanted {
                return Err(unexpected(
                    found,
                    format!("in literal {word} (expecting '{wanted}')"),
                ));
            }
        }
        Ok(value)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let mut out = String::new();
        loop {
            match self.next()? {
                '"' => return Ok(out),
                '\\' => self.escaped(&mut out)?,
                found @ '\0'..='\x1f' => return Err(unexpected(found, "in string literal")),
                found => out.push(found),
            }
        }
    }

    fn escaped(&mut self, out: &mut String) -> Result<(), JsonError> {
        out.push(match self.next()? {
            found @ ('"' | '\\' | '/') => found,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode()?,
            found => return Err(unexpected(found, "in string escape code")),
        });
        Ok(())
    }

    /// A `\u` escape; half a surrogate pair becomes the replacement character.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with("\\u"))
        {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let joined = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let found = self.next()?;
            let digit = found
                .to_digit(16)
                .ok_or_else(|| unexpected(found, "in \\u hexadecimal character escape"))?;
            value = value * 16 + digit;
        }
        Ok(value)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some('0'..='9')) {
            self.at += 1;
        }
    }

    fn digit(&mut self, place: &str) -> Result<char, JsonError> {
        match self.next()? {
            found @ '0'..='9' => Ok(found),
            found => Err(unexpected(found, place)),
        }
    }

    fn number(&mut self, start: usize, first: char) -> Result<Number, JsonError> {
        let lead = if first == '-' {
            self.digit("in numeric literal")?
        } else {
            first
        };
        if lead != '0' {
            self.digits();
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if let Ok(number) = text.parse() {
            return Ok(Number::Int(number));
        }
        if let Ok(number) = text.parse() {
            return Ok(Number::Big(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Double(number)),
            _ => Err(JsonError::Range(text.to_owned())),
        }
    }
}
