//! Numbers as text.

use std::fmt::Write as _;

use super::Number;

impl Number {
    /// See [`super::Json::settle_numbers`].
    pub(super) fn settled(self) -> Self {
        match self {
            Self::Int(_) => self,
            // Exactness ends here in the reference too.
            #[expect(
                clippy::cast_precision_loss,
                reason = "the reference turns it into a double"
            )]
            Self::Big(number) => Self::Double(number as f64),
            Self::Double(number) => {
                let mut text = String::new();
                write_double(&mut text, number);
                text.parse().map_or(self, Self::Int)
            }
        }
    }

    pub(super) fn write(self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Int(number) => write!(out, "{number}"),
            Self::Big(number) => write!(out, "{number}"),
            Self::Double(number) => {
                write_double(out, number);
                Ok(())
            }
        };
    }
}

/// Writes a double in its shortest form: with an exponent below 1e-6 and from 1e21 on.
fn write_double(out: &mut String, number: f64) {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                out.push_str(digits);
                out.push_str("e+");
                out.push_str(exponent);
            }
            _ => out.push_str(&text),
        }
    } else {
        let _ = write!(out, "{number}");
    }
}

/// A double written the way the reference turns YAML numbers into strings: rounded to 32 bits,
/// shortest digits, with an exponent of at least two digits below 1e-4 and from 1e6 on.
pub(crate) fn short_f32(number: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reference rounds to 32 bits"
    )]
    let number = number as f32;
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    let power: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", power.abs())
    } else {
        format!("{number}")
    }
}
