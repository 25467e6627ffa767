//! Which trace a request belongs to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// The place in a trace that work goes on from, in the form of W3C Trace Context, version 0:
/// `00-<trace>-<span>-<flags>`. It comes from callers and goes through queues, so nothing of another form is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TraceParent(String);

/// A text is no [`TraceParent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not `00-<32 digits>-<16 digits>-<2 digits>` in small hexadecimal digits, none of the first two all zero"
)]
pub struct NoTraceParent;

impl TraceParent {
    /// The place of a span.
    ///
    /// # Errors
    /// [`NoTraceParent`] where one of the first two is zero.
    pub fn new(trace: u128, span: u64, flags: u8) -> Result<Self, NoTraceParent> {
        format!("00-{trace:032x}-{span:016x}-{flags:02x}").parse()
    }

    /// The trace, the span and the flags.
    pub fn parts(&self) -> (u128, u64, u8) {
        // It was read before.
        read(&self.0).unwrap_or_default()
    }

    /// The text in a stored or sent document; nothing where another one stands there. What follows a request must
    /// not keep anybody from working on it.
    ///
    /// # Errors
    /// Those of the document.
    pub(crate) fn if_it_is_one<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Self>, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        Ok(value.as_str().and_then(|text| text.parse().ok()))
    }
}

/// Trace, span and flags of a text.
fn read(text: &str) -> Option<(u128, u64, u8)> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let mut parts = text.split('-');
    let mut digits = |count: usize| {
        let part = parts.next()?;
        (part.len() == count && part.bytes().all(is_digit)).then_some(part)
    };
    let (version, trace, span, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
    let trace = u128::from_str_radix(trace, 16).ok()?;
    let span = u64::from_str_radix(span, 16).ok()?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let is_one = version == "00" && trace != 0 && span != 0 && parts.next().is_none();
    is_one.then_some((trace, span, flags))
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        read(text)
            .map(|_| Self(text.to_owned()))
            .ok_or(NoTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_the_form_of_version_0_is_one() {
        let parent: TraceParent = GOOD.parse().unwrap();
        let parts = (
            0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            0xb7ad_6b71_6920_3331,
            1,
        );
        assert_eq!(parent.parts(), parts);
        let (trace, span, flags) = parts;
        assert_eq!(TraceParent::new(trace, span, flags), Ok(parent));
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-02",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-001",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c80319cé-b7ad6b716920333-01",
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(NoTraceParent), "{bad}");
        }
        assert!(TraceParent::new(0, 1, 0).is_err() && TraceParent::new(1, 0, 0).is_err());
    }
}
