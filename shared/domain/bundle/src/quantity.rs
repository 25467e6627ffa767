//! Amounts of resources as the Kubernetes API takes them (`resource.Quantity` of apimachinery, and
//! "Resource units" of its documentation).

/// Suffixes with a power of ten.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// Suffixes with a power of two, and the power.
const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// From this power of two on, and from this one of ten down, the reference reads the digits in
/// another way, in which there has to be one.
const BINARY_WITH_DIGITS: u32 = 50;
const DECIMAL_WITH_DIGITS: i64 = -10;

/// Why a text is no quantity, in the reference's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuantityFault {
    /// It is not a number with something behind it.
    #[error("quantities must match the regular expression")]
    Form,
    /// What is behind the number means nothing.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// There is no digit where one has to be.
    #[error("unable to parse numeric part of quantity")]
    Digits,
}

/// Checks the text of a quantity. A number without digits is zero, as in the reference, which
/// takes `+`, `.` and `M`.
pub(crate) fn check_quantity(text: &str) -> Result<(), QuantityFault> {
    // The reference does not resolve escapes, and none has a place in a quantity.
    let is_escaped = |found: char| found.is_control() || matches!(found, '\u{2028}' | '\u{2029}');
    if text.contains(is_escaped) {
        return Err(QuantityFault::Form);
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(QuantityFault::Form);
    }
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let behind = number.trim_start_matches(|found: char| found.is_ascii_digit());
    let behind = behind.strip_prefix('.').map_or(behind, |fraction| {
        fraction.trim_start_matches(|found: char| found.is_ascii_digit())
    });
    let letters = behind.trim_start_matches(|found| "eEinumkKMGTP".contains(found));
    let digits = letters.strip_prefix(['+', '-']).unwrap_or(letters);
    if !digits.bytes().all(|found| found.is_ascii_digit()) {
        return Err(QuantityFault::Form);
    }
    let has_digits = || {
        let number = number.strip_suffix(behind).unwrap_or(number);
        number.contains(|found: char| found.is_ascii_digit())
    };
    let needs_digits = if DECIMAL.contains(&behind) {
        false
    } else if let Some((_, power)) = BINARY.iter().find(|(suffix, _)| *suffix == behind) {
        *power >= BINARY_WITH_DIGITS
    } else {
        let exponent = behind.strip_prefix(['e', 'E']).map(str::parse::<i64>);
        let Some(Ok(exponent)) = exponent else {
            return Err(QuantityFault::Suffix);
        };
        exponent <= DECIMAL_WITH_DIGITS
    };
    match needs_digits && !has_digits() {
        true => Err(QuantityFault::Digits),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{QuantityFault, check_quantity};

    #[test]
    fn numbers_with_the_suffixes_of_kubernetes_are_quantities() {
        for text in [
            "0",
            "1",
            "-1",
            "+1",
            "007",
            "0.5",
            ".5",
            "5.",
            "1.25Gi",
            "100M",
            "100Mi",
            "128974848",
            "129e6",
            "1e3",
            "1E3",
            "1e+3",
            "1e-3",
            "+1k",
            "1n",
            "1u",
            "250m",
            "1k",
            "1G",
            "1T",
            "1P",
            "1E",
            "1Ki",
            "1Ti",
            "1Pi",
            "1Ei",
            " 1 ",
            "-0",
            "0.0",
            "1.G",
            "+",
            ".",
            "M",
            "Ki",
            "99999999999999999999999999999999Ei",
        ] {
            assert_eq!(check_quantity(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        use QuantityFault::{Digits, Form, Suffix};
        for (text, fault) in [
            ("", Form),
            ("  ", Form),
            ("100MB", Form),
            ("two", Form),
            ("1 Gi", Form),
            ("1\tM", Form),
            ("1\n", Form),
            ("1,5", Form),
            ("1.5.1", Form),
            ("1+-2", Form),
            ("0x10", Form),
            ("٣", Form),
            ("1½", Form),
            ("{}", Form),
            ("1K", Suffix),
            ("1mi", Suffix),
            ("1Mi5", Suffix),
            ("1e", Suffix),
            ("1e+", Suffix),
            ("1e99999999999999999999", Suffix),
            ("1+2", Suffix),
            ("--1", Suffix),
            ("K", Suffix),
            ("Ei", Digits),
            (".e-10", Digits),
        ] {
            assert_eq!(check_quantity(text), Err(fault), "{text:?}");
        }
    }
}
