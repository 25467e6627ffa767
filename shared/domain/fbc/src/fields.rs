//! JSON objects as the reference reads them (Go's `encoding/json`): the case of a member's name does
//! not matter, of members with one name the last counts, null is as good as absent, and the type of
//! every value has to be right.

use std::borrow::Cow;
use std::fmt;

use iib_bundle::{Json, parse_json};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, with their values' texts.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Texts by their names.
pub(crate) type Texts<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A value of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("json: cannot unmarshal {found} into {}, which has to be {wanted}", self.shown())]
pub struct WrongType {
    found: &'static str,
    wanted: &'static str,
    /// The way to it, such as `entries[2].name`.
    place: String,
}

impl WrongType {
    fn new(value: &RawValue, wanted: &'static str) -> Self {
        Self {
            found: kind_of(value),
            wanted,
            place: String::new(),
        }
    }

    fn shown(&self) -> &str {
        match self.place.as_str() {
            "" => "the value",
            place => place,
        }
    }

    pub(crate) fn inside(mut self, outer: &str) -> Self {
        let dot = match self.place.is_empty() || self.place.starts_with('[') {
            true => "",
            false => ".",
        };
        self.place = format!("{outer}{dot}{}", self.place);
        self
    }
}

/// What a value is, in the reference's words.
pub(crate) fn kind_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

impl<'a> Fields<'a> {
    /// The members of an object; none of null.
    pub(crate) fn of(value: &'a RawValue) -> Result<Self, WrongType> {
        let wrong = || WrongType::new(value, "an object");
        match value.get().as_bytes().first() {
            Some(b'n') => Ok(Self::default()),
            Some(b'{') => {
                // It was read before, as far as its syntax goes.
                serde_json::from_str(value.get()).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    /// All members, in their order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// The value of a member; `None` if it is not there.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter().rev();
        let found = members.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    /// Whether a member is there and not null.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.present(name).is_some()
    }

    fn present(&self, name: &str) -> Option<&'a RawValue> {
        self.raw(name).filter(|value| value.get() != "null")
    }

    /// A text; empty if it is not there.
    pub(crate) fn text(&self, name: &str) -> Result<Cow<'a, str>, WrongType> {
        let Some(value) = self.present(name) else {
            return Ok(Cow::Borrowed(""));
        };
        text(value).map_err(|wrong| wrong.inside(name))
    }

    /// The same as a value of its own.
    pub(crate) fn string(&self, name: &str) -> Result<String, WrongType> {
        self.text(name).map(Cow::into_owned)
    }

    /// A whole number; 0 if it is not there.
    pub(crate) fn integer(&self, name: &str) -> Result<i64, WrongType> {
        let Some(value) = self.present(name) else {
            return Ok(0);
        };
        let number = serde_json::from_str(value.get());
        number.map_err(|_| WrongType::new(value, "a whole number").inside(name))
    }

    /// A whole number of 32 bits; 0 if it is not there.
    pub(crate) fn short_integer(&self, name: &str) -> Result<i32, WrongType> {
        let Some(value) = self.present(name) else {
            return Ok(0);
        };
        let number = serde_json::from_str(value.get());
        number.map_err(|_| WrongType::new(value, "a whole number of 32 bits").inside(name))
    }

    /// True or false; false if it is not there.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, WrongType> {
        let Some(value) = self.present(name) else {
            return Ok(false);
        };
        let flag = serde_json::from_str(value.get());
        flag.map_err(|_| WrongType::new(value, "true or false").inside(name))
    }

    /// An object of texts, in its order; null is an empty text.
    pub(crate) fn texts(&self, name: &str) -> Result<Texts<'a>, WrongType> {
        let members = self.object(name)?.unwrap_or_default().0.into_iter();
        let texts = members.map(|(key, value)| match text(value) {
            Ok(text) => Ok((key, text)),
            Err(wrong) => Err(wrong.inside(&key).inside(name)),
        });
        texts.collect()
    }

    /// A list, each part of which is read in the same way; empty if it is not there.
    pub(crate) fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&'a RawValue) -> Result<T, WrongType>,
    ) -> Result<Vec<T>, WrongType> {
        let Some(value) = self.present(name) else {
            return Ok(Vec::new());
        };
        let wrong = || WrongType::new(value, "a list").inside(name);
        if !value.get().starts_with('[') {
            return Err(wrong());
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        let parts = deserializer.deserialize_seq(Parts).map_err(|_| wrong())?;
        let read = |(at, part)| read(part).map_err(|wrong| wrong.inside(&format!("{name}[{at}]")));
        parts.into_iter().enumerate().map(read).collect()
    }

    /// An object, if it is there.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, WrongType> {
        let read = |value| Fields::of(value).map_err(|wrong| wrong.inside(name));
        self.present(name).map(read).transpose()
    }
}

/// A text; empty for null.
pub(crate) fn text(value: &RawValue) -> Result<Cow<'_, str>, WrongType> {
    let wrong = || WrongType::new(value, "a string");
    match value.get().as_bytes().first() {
        Some(b'n') => Ok(Cow::Borrowed("")),
        Some(b'"') => match serde_json::from_str(value.get()) {
            Ok(Text(text)) => Ok(text),
            // Half a character, which the reference forgives.
            Err(_) => match parse_json(value.get()) {
                Ok(Json::String(text)) => Ok(Cow::Owned(text)),
                _ => Err(wrong()),
            },
        },
        _ => Err(wrong()),
    }
}

/// Without a copy where there is no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members).map(Self)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(parts)
    }
}
