//! Base64 as the reference reads it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Padding has to be there; bits that the last sign has too many are passed over.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A text that is in base64, written as the reference writes it again. `None` if it is not.
pub fn base64_anew(text: &str) -> Option<String> {
    let bytes = BASE64.decode(&*without_line_breaks(text)).ok()?;
    Some(BASE64.encode(bytes))
}

/// Line breaks inside play no part.
pub(crate) fn without_line_breaks(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r']) {
        Cow::Owned(text.split(['\n', '\r']).collect())
    } else {
        Cow::Borrowed(text)
    }
}
