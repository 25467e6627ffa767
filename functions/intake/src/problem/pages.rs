//! The pages of the kinds of errors.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};

use super::Problem;
use super::document::PAGES;
use super::types::{ProblemType, TYPES};

/// `GET /problems`: all kinds.
pub(crate) async fn list() -> Response {
    let mut items = String::new();
    for kind in TYPES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            items,
            "<li><a href=\"{PAGES}/{0}\">{0}</a> ({1}): {2}</li>",
            kind.name,
            kind.status.as_u16(),
            kind.title
        );
    }
    page("Errors of the API", &format!("<ul>\n{items}</ul>"))
}

/// `GET /problems/<name>`: one kind, and what to do.
pub(crate) async fn one(Path(name): Path<String>) -> Result<Response, Problem> {
    let kind = TYPES.iter().find(|kind| kind.name == name);
    let kind: &ProblemType = kind.ok_or_else(Problem::not_found)?;
    let content = format!(
        "<p>Status {}, type <code>{PAGES}/{}</code></p>\n<p>{}</p>\n<p><a href=\"{PAGES}\">All errors</a></p>",
        kind.status.as_u16(),
        kind.name,
        kind.advice.replace('&', "&amp;").replace('<', "&lt;"),
    );
    Ok(page(kind.title, &content))
}

/// A page without script and style of its own.
fn page(title: &str, content: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    );
    let mut answer = Html(text).into_response();
    let headers = answer.headers_mut();
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}
