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
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use tracing::error;

use crate::answer::text_within_limit;
use crate::api::Api;
use crate::caller::guarded;
use crate::problem::types::ProblemType;
use crate::problem::{PAGES, Problem, is_accepted, told};
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
    let mut answer = text_within_limit(text, "text/html; charset=utf-8", "ask the API for it")?;
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
        .route("/", guarded(get(requests::list), api))
        .route("/requests", get(requests::elsewhere))
        .route("/requests/{id}", guarded(get(request::one), api))
        .route("/indexes", guarded(get(indexes::show), api))
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

/// What answers at addresses where there is nothing: browsers read a page, but for addresses of the API.
pub(crate) async fn nowhere(Root(root): Root, uri: Uri, headers: HeaderMap) -> Response {
    let answer = Problem::not_found().into_response();
    let takes_pages = headers.get_all(header::ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/html"))
    });
    match takes_pages && !uri.path().starts_with("/api/") {
        true => in_page(root, answer),
        false => answer,
    }
}

/// Answers errors with a page, as those who look at pages read it; whoever takes problem documents gets one.
async fn in_pages(Root(root): Root, request: Request, next: Next) -> Response {
    let wants_document = is_accepted(request.headers());
    let answer = next.run(request).await;
    match wants_document {
        true => answer,
        false => in_page(root, answer),
    }
}

/// An error as a page, with what its headers say; other answers stay.
fn in_page(root: String, answer: Response) -> Response {
    let Some((kind, text)) = told(&answer) else {
        return answer;
    };
    let Ok(page) = page(&ErrorPage { root, kind, text }) else {
        return answer;
    };
    let mut page = with_status(answer.status(), page);
    for (name, value) in answer.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
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
