//! Scalars of YAML 1.1, resolved as the reference resolves them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{YamlFault, core_type};
use crate::json::{Json, Number, short_f32};

/// A typed scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    /// Infinite or no number; has no counterpart in JSON, but is allowed as a key.
    Special(&'static str),
    Text(String),
}

impl Scalar {
    pub(super) fn into_json(self) -> Result<Json, YamlFault> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(number) => Json::Number(number),
            Self::Special(_) => return Err(YamlFault::Value("an infinite number")),
            Self::Text(text) => Json::String(text),
        })
    }

    pub(super) fn into_key(self) -> Result<String, YamlFault> {
        Ok(match self {
            Self::Null => return Err(YamlFault::Value("a null key")),
            Self::Bool(value) => value.to_string(),
            Self::Number(Number::Int(number)) => number.to_string(),
            Self::Number(Number::Big(_)) => {
                return Err(YamlFault::Value("a key of more than 63 bits"));
            }
            Self::Number(Number::Double(number)) => short_f32(number),
            Self::Special(name) => name.to_owned(),
            Self::Text(text) => text,
        })
    }
}

/// A scalar as a string, where the reference expects one: typed first and then written back, so
/// `4.10` is `4.1`. `None` for what stays what it is.
pub(crate) fn string_form(value: &Json) -> Option<String> {
    match value {
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(Number::Int(number)) => Some(number.to_string()),
        Json::Number(Number::Big(number)) => Some(number.to_string()),
        Json::Number(Number::Double(number)) => Some(short_f32(*number)),
        Json::Null | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

pub(super) fn resolve(text: String, plain: bool, tag: Option<&str>) -> Result<Scalar, YamlFault> {
    let kind = match tag.map(core_type) {
        None if plain => return Ok(plain_scalar(text)),
        None | Some(None) => return Ok(Scalar::Text(text)),
        Some(Some(kind)) => kind,
    };
    match (kind, plain_scalar(text.clone())) {
        ("binary", _) => {
            let bytes = STANDARD
                .decode(text.split_ascii_whitespace().collect::<String>())
                .map_err(|_| YamlFault::Value("a binary value that is not base64"))?;
            // JSON holds text only; other bytes become replacement characters there.
            Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        ("int", typed @ Scalar::Number(Number::Int(_) | Number::Big(_)))
        | ("float", typed @ (Scalar::Number(Number::Double(_)) | Scalar::Special(_)))
        | ("bool", typed @ Scalar::Bool(_))
        | ("null", typed @ Scalar::Null) => Ok(typed),
        ("float", Scalar::Number(Number::Int(number))) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "the tag asks for a double")]
            Ok(Scalar::Number(Number::Double(number as f64)))
        }
        ("int" | "float" | "bool" | "null", _) => {
            Err(YamlFault::Value("a value that contradicts its tag"))
        }
        _ => Ok(Scalar::Text(text)),
    }
}

fn plain_scalar(text: String) -> Scalar {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Special(".nan"),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Special(".inf"),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Special("-.inf"),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => double(&text),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let bare = text.replace('_', "");
            integer(&bare).or_else(|| double(&bare))
        }
        _ => None,
    };
    number.map_or(Scalar::Text(text), Scalar::Number)
}

/// An integer with an optional sign and base; a leading zero alone means octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match lower.as_deref() {
        Some("0x") => (16, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        Some(start) if start.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (i64::try_from(size), negative) {
        (Ok(size), false) => Some(Number::Int(size)),
        (Ok(size), true) => Some(Number::Int(-size)),
        // The lowest integer has no positive counterpart; an unsigned number takes no sign.
        (Err(_), true) => (size == 1 << 63).then_some(Number::Int(i64::MIN)),
        (Err(_), false) => (!text.starts_with('+')).then_some(Number::Big(size)),
    }
}

/// A decimal double: digits with at most one point, and an optional exponent.
fn double(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if bare.is_empty() || !digits(bare) {
            return None;
        }
    }
    // Too large for a double: the reference leaves it a string.
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .map(Number::Double)
}
