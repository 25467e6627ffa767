//! Answers that could become too large.

use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;

use crate::problem::Problem;

/// Largest answer that is made, bytes as it is carried. A Lambda function's response has at most
/// 6 MB, and the answer is a JSON text in it. The same limit holds everywhere, so that a client
/// which works on one machine works on all.
pub(crate) const ANSWER_LIMIT: usize = 5 * 1024 * 1024;

/// What to do about a listing that is too large.
pub(crate) const SMALLER_PAGE: &str = "ask for a smaller \"per_page\", or without \"verbose\"";

/// A document as an answer, unless it is too large; then the client reads what to do instead.
pub(crate) fn within_limit(document: &impl Serialize, instead: &str) -> Result<Response, Problem> {
    let text = serde_json::to_string(document).map_err(|_| Problem::internal())?;
    text_within_limit(text, "application/json", instead)
}

/// The same for a text of any type.
pub(crate) fn text_within_limit(
    text: String,
    media_type: &'static str,
    instead: &str,
) -> Result<Response, Problem> {
    if carried(&text) > ANSWER_LIMIT {
        return Err(Problem::answer_too_large(instead));
    }
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

/// The size of a text in a JSON document: quotes and backslashes are escaped there, and control
/// characters, some of them at length.
fn carried(text: &str) -> usize {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    });
    text.len() + escapes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_text_in_another_document() {
        let text = serde_json::to_string(&["a\"b", "c\\d", "e\nf"]).unwrap();
        for text in [
            text.as_str(),
            "<svg a=\"b\">\n\t\r\u{8}\u{c}\u{1}\u{1f}é</svg>",
        ] {
            let outer = serde_json::to_string(&text).unwrap();
            assert_eq!(carried(text) + 2, outer.len());
        }
    }
}
