//! Pages for people. They are made whole on the server, need no script, and say in a policy that nothing of a stranger
//! runs in them: names and logs are strangers' texts.

pub(crate) mod assets;
pub(crate) mod indexes;
pub(crate) mod problems;
pub(crate) mod reference;
mod request;
mod requests;
mod words;

use std::convert::Infallible;

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tracing::error;

use crate::api::Api;
use crate::problem::types::ProblemType;
use crate::problem::{PAGES, Problem, told};
use crate::public_url::BuildsUrl;

/// What a page may load: what comes from this service, and nothing that is written into the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the paths of this service's pages begin with: nothing, or what is in front of it.
#[derive(Debug)]
pub(crate) struct Root(pub(crate) String);

impl FromRequestParts<Api> for Root {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let builds = BuildsUrl::from_request_parts(parts, api).await?;
        Ok(Self(builds.root().to_owned()))
    }
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| {
        error!(%error, "a page cannot be made");
        Problem::internal()
    })?;
    let mut answer = Html(text).into_response();
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in headers {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

/// An answer with another status.
fn with_status(status: StatusCode, mut answer: Response) -> Response {
    *answer.status_mut() = status;
    answer
}

/// The pages, whose errors are pages, too.
pub(crate) fn router(api: &Api) -> Router<Api> {
    Router::new()
        .route("/", get(requests::list))
        .route("/requests/{id}", get(request::one))
        .route("/indexes", get(indexes::show))
        .route("/docs", get(reference::docs))
        .route(PAGES, get(problems::list))
        .route(&format!("{PAGES}/{{name}}"), get(problems::one))
        .layer(from_fn_with_state(api.clone(), in_pages))
        .route("/assets/style.css", get(assets::style))
        .route("/assets/follow.js", get(assets::follow))
        .route("/assets/icon.svg", get(assets::icon))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    root: String,
    kind: &'static ProblemType,
    text: String,
}

/// Answers errors with a page, as those who look at pages read it.
async fn in_pages(Root(root): Root, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    let Some((kind, text)) = told(&answer) else {
        return answer;
    };
    let status = answer.status();
    match page(&ErrorPage { root, kind, text }) {
        Ok(page) => with_status(status, page),
        Err(_) => answer,
    }
}

/// Filters of the templates.
#[expect(unreachable_pub, reason = "what the macro makes is public")]
pub(crate) mod filters {
    use std::fmt::Write as _;

    use askama::filters::Safe;

    use super::words::Time;

    /// A time, for programs, too.
    #[askama::filter_fn]
    pub(crate) fn time(time: &Time, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
        // Digits and signs.
        Ok(Safe(format!(
            "<time datetime=\"{:.0}\">{time}</time>",
            time.0
        )))
    }

    /// A text in which code stands between backquotes; the rest is escaped.
    #[askama::filter_fn]
    pub(crate) fn code(text: &str, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
        let mut marked = String::with_capacity(text.len());
        for (index, part) in text.split('`').enumerate() {
            let part = askama::filters::escape(part, askama::filters::Html)?;
            match index % 2 {
                0 => write!(marked, "{part}")?,
                _ => write!(marked, "<code>{part}</code>")?,
            }
        }
        Ok(Safe(marked))
    }
}
