//! Answers that could become too large.

use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;

use crate::problem::Problem;

/// Largest listing, bytes as it is carried. A Lambda function's response has at most 6 MB, and
/// the answer is a JSON text in it. The same limit holds everywhere, so that a client which works
/// on one machine works on all.
pub(crate) const ANSWER_LIMIT: usize = 5 * 1024 * 1024;

/// A document as an answer, unless it is too large.
pub(crate) fn within_limit(document: &impl Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_vec(document).map_err(|_| Problem::internal())?;
    if carried(&text) > ANSWER_LIMIT {
        return Err(Problem::answer_too_large());
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The size of a JSON document as a text in another one: quotes and backslashes are escaped
/// there; control characters are escaped in it already.
fn carried(text: &[u8]) -> usize {
    let escaped = text.iter().filter(|byte| matches!(byte, b'"' | b'\\'));
    text.len() + escaped.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_text_in_another_document() {
        let text = serde_json::to_string(&["a\"b", "c\\d", "e\nf"]).unwrap();
        let outer = serde_json::to_string(&text).unwrap();
        assert_eq!(carried(text.as_bytes()) + 2, outer.len());
    }
}
