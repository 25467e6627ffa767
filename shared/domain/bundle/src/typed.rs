//! Taking typed members out of values. The reference decodes parts of a CSV into typed structures
//! and refuses bundles that do not fit; its complaints are part of the interface.

use std::fmt;

use crate::json::{Json, Number};
use crate::quantity::check_quantity;
use crate::time::is_time;

/// A value that is not what it has to be. `Display` is what the reference says of it;
/// [`TypeMismatch::told`] is what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMismatch(Box<Mismatch>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mismatch {
    /// The way to the value, from the innermost step out.
    way: Vec<Step>,
    /// The value, as far as it is short.
    found: String,
    wanted: &'static str,
    words: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

/// Longest text that is shown of a value, in characters.
const SHOWN: usize = 60;

impl TypeMismatch {
    fn new(shape: &Shape, value: &Json, words: String) -> Self {
        Self(Box::new(Mismatch {
            way: Vec::new(),
            found: shown(value),
            wanted: shape.wanted(value),
            words,
        }))
    }

    /// A value that has to be a text and is none.
    pub(crate) fn of_no_text(value: &Json) -> Self {
        let words = format!(
            "json: cannot unmarshal {} into Go value of type string",
            value.kind()
        );
        Self::new(&Shape::Str, value, words)
    }

    /// The same, the value being in this place.
    fn within(mut self, step: Step) -> Self {
        self.0.way.push(step);
        self
    }

    /// The same, seen from further out: the checked value is this member of a member and so on.
    #[must_use]
    pub(crate) fn inside(mut self, members: &[&str]) -> Self {
        let members = members.iter().rev();
        (self.0.way).extend(members.map(|name| Step::Member((*name).to_owned())));
        self
    }

    /// The same, the value being this item of a list.
    #[must_use]
    pub(crate) fn in_item(self, at: usize) -> Self {
        self.within(Step::Item(at))
    }

    /// Where the value is, what stands there and what is expected, such as
    /// `spec.version is 1, expected a text: write it in quotes`.
    pub fn told(&self) -> String {
        let Mismatch {
            way, found, wanted, ..
        } = &*self.0;
        let mut place = String::new();
        for step in way.iter().rev() {
            match step {
                Step::Member(name) if is_plain(name) => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(name);
                }
                Step::Member(name) => {
                    let name = Json::String(name.chars().take(SHOWN).collect()).to_text();
                    place.push_str(&format!("[{name}]"));
                }
                Step::Item(at) => place.push_str(&format!("[{at}]")),
            }
        }
        if place.is_empty() {
            place.push_str("the object");
        }
        format!("{place} is {found}, expected {wanted}")
    }
}

/// Whether a name needs no quotes in a path.
fn is_plain(name: &str) -> bool {
    let is_sign = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'_' | b'-');
    !name.is_empty() && name.len() <= SHOWN && name.bytes().all(is_sign)
}

fn shown(value: &Json) -> String {
    match value {
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a mapping".to_owned(),
        Json::String(text) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("{}…", Json::String(start).to_text())
        }
        other => other.to_text(),
    }
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.words)
    }
}

impl std::error::Error for TypeMismatch {}

/// What a value has to look like. Null fits everywhere and stands for absence.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// A string.
    Str,
    /// `true` or `false`.
    Bool,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A string or an integer.
    IntOrStr,
    /// An amount of a resource.
    Quantity,
    /// A point in time.
    Time,
    /// An object with values of one shape; the type's name, the shape.
    Map(&'static str, &'static Shape),
    /// A list; the type's name, the shape of its items.
    List(&'static str, &'static Shape),
    /// An object with members of known shapes; the type's name, the members. Others are ignored.
    Struct(&'static str, &'static [(&'static str, Shape)]),
    /// A structure defined elsewhere.
    Ref(&'static Shape),
}

impl Shape {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Str => "string",
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::IntOrStr => "intstr.IntOrString",
            Self::Quantity => "resource.Quantity",
            // Their own code reads the text.
            Self::Time => "string",
            Self::Map(name, _) | Self::List(name, _) | Self::Struct(name, _) => name,
            Self::Ref(shape) => shape.type_name(),
        }
    }

    /// What is expected in place of a value, in words for people.
    fn wanted(&self, value: &Json) -> &'static str {
        match (self, value) {
            (Self::Ref(shape), _) => shape.wanted(value),
            (Self::Any, _) => "something else",
            (Self::Str, Json::Bool(_) | Json::Number(_)) => "a text: write it in quotes",
            (Self::Str, _) => "a text",
            (Self::Bool, Json::String(_)) => "true or false, without quotes",
            (Self::Bool, _) => "true or false",
            (Self::Int32 | Self::Int64, Json::String(_)) => "a whole number, without quotes",
            (Self::Int32, _) => "a whole number of 32 bits",
            (Self::Int64, _) => "a whole number of 64 bits",
            (Self::IntOrStr, _) => "a whole number of 32 bits or a text",
            (Self::Quantity, _) => {
                "a quantity: a number, maybe with a suffix of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, \
                 Ti, Pi, Ei or an exponent such as e3"
            }
            (Self::Time, _) => "a time such as \"2006-01-02T15:04:05Z\" (RFC 3339), or null",
            (Self::Map(..) | Self::Struct(..), _) => "a mapping",
            (Self::List(..), _) => "a list",
        }
    }

    /// Checks a value as the reference decodes JSON.
    ///
    /// # Errors
    /// The first member that does not fit, in the order of the stored text.
    pub(crate) fn check(&'static self, value: &Json) -> Result<(), TypeMismatch> {
        Place {
            owner: "",
            path: Vec::new(),
        }
        .check(self, value)
    }
}

struct Place {
    /// The structure the member is in, without its package.
    owner: &'static str,
    path: Vec<&'static str>,
}

impl Place {
    fn check(&mut self, shape: &'static Shape, value: &Json) -> Result<(), TypeMismatch> {
        match (shape, value) {
            (Shape::Ref(shape), _) => self.check(shape, value),
            (Shape::Any, _)
            | (_, Json::Null)
            | (Shape::Str | Shape::IntOrStr, Json::String(_))
            | (Shape::Bool, Json::Bool(_))
            | (Shape::Int64, Json::Number(Number::Int(_)))
            | (Shape::Quantity, Json::Number(_)) => Ok(()),
            (Shape::Int32 | Shape::IntOrStr, Json::Number(Number::Int(number)))
                if i32::try_from(*number).is_ok() =>
            {
                Ok(())
            }
            (Shape::Quantity, value) => check_amount(shape, value),
            (Shape::Time, Json::String(text)) => check_time(shape, value, text),
            (Shape::Map(_, shape), Json::Object(members)) => {
                members.iter().try_for_each(|(key, member)| {
                    let checked = self.check(shape, member);
                    checked.map_err(|fault| fault.within(Step::Member(key.clone())))
                })
            }
            (Shape::List(_, shape), Json::Array(items)) => {
                items.iter().enumerate().try_for_each(|(at, item)| {
                    let checked = self.check(shape, item);
                    checked.map_err(|fault| fault.within(Step::Item(at)))
                })
            }
            (Shape::Struct(name, fields), Json::Object(members)) => {
                let owner = std::mem::replace(&mut self.owner, short(name));
                for (key, member) in members {
                    let field = fields
                        .iter()
                        .find(|(name, _)| name.eq_ignore_ascii_case(key));
                    if let Some((name, shape)) = field {
                        self.path.push(name);
                        let checked = self.check(shape, member);
                        checked.map_err(|fault| fault.within(Step::Member(key.clone())))?;
                        self.path.pop();
                    }
                }
                self.owner = owner;
                Ok(())
            }
            (shape, value) => Err(self.mismatch(shape, value)),
        }
    }

    fn mismatch(&self, shape: &Shape, value: &Json) -> TypeMismatch {
        let found = match (shape, value) {
            (Shape::Int32 | Shape::Int64 | Shape::IntOrStr, Json::Number(_)) => {
                format!("number {}", value.to_text())
            }
            _ => value.kind().to_owned(),
        };
        let wanted = shape.type_name();
        let place = match self.owner {
            "" => "value".to_owned(),
            owner => format!("struct field {owner}.{}", self.path.join(".")),
        };
        let words = format!("json: cannot unmarshal {found} into Go {place} of type {wanted}");
        TypeMismatch::new(shape, value, words)
    }
}

/// The reference reads whatever stands there as the text of a quantity.
fn check_amount(shape: &Shape, value: &Json) -> Result<(), TypeMismatch> {
    let checked = match value {
        Json::String(text) => check_quantity(text),
        other => check_quantity(&other.to_text()),
    };
    checked.map_err(|fault| TypeMismatch::new(shape, value, fault.to_string()))
}

fn check_time(shape: &Shape, value: &Json, text: &str) -> Result<(), TypeMismatch> {
    match is_time(text) {
        true => Ok(()),
        false => {
            let words = format!("parsing time {}", shown(value));
            Err(TypeMismatch::new(shape, value, words))
        }
    }
}

impl Shape {
    /// Checks a value as the reference converts the metadata of objects, which is stricter about
    /// names of members and has complaints of its own.
    ///
    /// # Errors
    /// The first member that does not fit, in the order of the structures.
    pub(crate) fn check_converted(&'static self, value: &Json) -> Result<(), TypeMismatch> {
        match (self, value) {
            (Self::Ref(shape), _) => shape.check_converted(value),
            (Self::Any, _)
            | (_, Json::Null)
            | (Self::Str | Self::IntOrStr, Json::String(_))
            | (Self::Bool, Json::Bool(_))
            | (Self::Int32 | Self::Int64, Json::Number(Number::Int(_))) => Ok(()),
            (Self::Quantity | Self::Time, _) => self.check(value),
            (Self::Int32 | Self::Int64, Json::Number(Number::Double(number)))
                if number.fract() == 0.0 =>
            {
                Ok(())
            }
            (Self::Map(_, shape), Json::Object(members)) => {
                members.iter().try_for_each(|(key, member)| {
                    let checked = shape.check_converted(member);
                    checked.map_err(|fault| fault.within(Step::Member(key.clone())))
                })
            }
            (Self::List(_, shape), Json::Array(items)) => {
                items.iter().enumerate().try_for_each(|(at, item)| {
                    let checked = shape.check_converted(item);
                    checked.map_err(|fault| fault.within(Step::Item(at)))
                })
            }
            (Self::Struct(_, fields), Json::Object(members)) => {
                fields.iter().try_for_each(|(name, shape)| {
                    let checked = (members.get(*name)).map_or(Ok(()), |m| shape.check_converted(m));
                    checked.map_err(|fault| fault.within(Step::Member((*name).to_owned())))
                })
            }
            (shape, value) => Err(TypeMismatch::new(
                shape,
                value,
                shape.conversion_fault(value),
            )),
        }
    }

    fn conversion_fault(&self, value: &Json) -> String {
        let found = match value {
            Json::Null => "nil",
            Json::Bool(_) => "bool",
            Json::Number(Number::Int(_)) => "int64",
            Json::Number(_) => "float64",
            Json::String(_) => "string",
            Json::Array(_) => "slice",
            Json::Object(_) => "map",
        };
        match (self, value) {
            (Self::Map(..), _) => format!("cannot restore map from {found}"),
            (Self::List(..), _) => format!("cannot restore slice from {found}"),
            (Self::Struct(..), _) => format!("cannot restore struct from: {found}"),
            // The two can be converted in the reference's language, but are not.
            (Self::Str, Json::Number(Number::Int(_)))
            | (Self::Int32 | Self::Int64, Json::Number(_)) => {
                format!("cannot convert {found} to {}", self.type_name())
            }
            _ => format!("unrecognized type: {}", self.type_name()),
        }
    }
}

fn short(name: &'static str) -> &'static str {
    name.rsplit_once('.').map_or(name, |(_, short)| short)
}

/// A member of an object by its name, whatever its case, as the reference finds it.
pub(crate) fn member<'a>(value: &'a Json, name: &str) -> &'a Json {
    let Json::Object(members) = value else {
        return &Json::Null;
    };
    let found = members
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .map(|(_, member)| member)
        .next_back()
        .unwrap_or(&Json::Null)
}

/// The text of a string member; empty when it is absent or null. To be called on checked values.
pub(crate) fn text(value: &Json, name: &str) -> String {
    member(value, name).as_str().unwrap_or_default().to_owned()
}

/// The items of a list member; none when it is absent or null. To be called on checked values.
pub(crate) fn items<'a>(value: &'a Json, name: &str) -> &'a [Json] {
    match member(value, name) {
        Json::Array(items) => items,
        _ => &[],
    }
}
