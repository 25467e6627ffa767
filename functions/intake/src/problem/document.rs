//! Errors as problem documents (RFC 9457), for clients that say they take them. All others get exactly what today's
//! service answers.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use super::types::ProblemType;

const PROBLEM_JSON: &str = "application/problem+json";

/// Where the pages of the kinds are. Below it each has its name: so a kind has the same address at every service.
pub(crate) const PAGES: &str = "/problems";

/// What an error says, beside an answer that is one.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) kind: &'static ProblemType,
    pub(super) text: String,
    /// The parameter that it is about.
    pub(super) field: Option<&'static str>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

/// Whether a client takes problem documents: by their name, and not only because it takes everything.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(PROBLEM_JSON));
        let is_wanted = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
        };
        is_named && parts.all(is_wanted)
    })
}

/// The kind and the text of an answer that is an error.
pub(crate) fn told(answer: &Response) -> Option<(&'static ProblemType, String)> {
    let told = answer.extensions().get::<Told>()?;
    Some((told.kind, told.text.clone()))
}

/// An error's answer for a client that takes problem documents; other answers stay.
pub(crate) fn into_document(answer: Response, path: &str) -> Response {
    let Some(told) = answer.extensions().get::<Told>() else {
        return answer;
    };
    let document = Document {
        r#type: format!("{PAGES}/{}", told.kind.name),
        title: told.kind.title,
        status: told.kind.status.as_u16(),
        detail: &told.text,
        instance: path,
        field: told.field,
    };
    let Ok(text) = serde_json::to_vec(&document) else {
        return answer;
    };
    let (mut head, _) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let media_type = HeaderValue::from_static(PROBLEM_JSON);
    head.headers.insert(header::CONTENT_TYPE, media_type);
    Response::from_parts(head, Body::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_problem_documents_gets_them() {
        for (accept, accepted) in [
            ("application/problem+json", true),
            ("application/json, Application/Problem+JSON;q=0.5", true),
            ("application/problem+json;q=0", false),
            ("application/problem+json;q=x", false),
            ("*/*", false),
            ("application/*", false),
            ("application/json", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
            (";;,,q=", false),
        ] {
            let accept = HeaderValue::from_static(accept);
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.clone())]);
            assert_eq!(is_accepted(&headers), accepted, "{accept:?}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }
}
