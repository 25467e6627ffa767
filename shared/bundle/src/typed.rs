//! Taking typed members out of values. The reference decodes parts of a CSV into typed structures
//! and refuses bundles that do not fit; its complaints are part of the interface.

use std::fmt;

use crate::json::{Json, Number};

/// A value of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMismatch(Box<Mismatch>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mismatch {
    found: String,
    field: Option<String>,
    wanted: String,
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch {
            found,
            field,
            wanted,
        } = &*self.0;
        match field {
            Some(field) => {
                write!(
                    out,
                    "json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
                )
            }
            None => write!(
                out,
                "json: cannot unmarshal {found} into Go value of type {wanted}"
            ),
        }
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
    /// A string or a number.
    Quantity,
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
            Self::Map(name, _) | Self::List(name, _) | Self::Struct(name, _) => name,
            Self::Ref(shape) => shape.type_name(),
        }
    }

    /// Checks a value.
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
            | (Shape::Str | Shape::IntOrStr | Shape::Quantity, Json::String(_))
            | (Shape::Bool, Json::Bool(_))
            | (Shape::Int64, Json::Number(Number::Int(_)))
            | (Shape::Quantity, Json::Number(_)) => Ok(()),
            (Shape::Int32 | Shape::IntOrStr, Json::Number(Number::Int(number)))
                if i32::try_from(*number).is_ok() =>
            {
                Ok(())
            }
            (Shape::Map(_, shape), Json::Object(members)) => members
                .values()
                .try_for_each(|member| self.check(shape, member)),
            (Shape::List(_, shape), Json::Array(items)) => {
                items.iter().try_for_each(|item| self.check(shape, item))
            }
            (Shape::Struct(name, fields), Json::Object(members)) => {
                let owner = std::mem::replace(&mut self.owner, short(name));
                for (key, member) in members {
                    let field = fields
                        .iter()
                        .find(|(name, _)| name.eq_ignore_ascii_case(key));
                    if let Some((name, shape)) = field {
                        self.path.push(name);
                        self.check(shape, member)?;
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
        let field =
            (!self.owner.is_empty()).then(|| format!("{}.{}", self.owner, self.path.join(".")));
        TypeMismatch(Box::new(Mismatch {
            found,
            field,
            wanted: shape.type_name().to_owned(),
        }))
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
