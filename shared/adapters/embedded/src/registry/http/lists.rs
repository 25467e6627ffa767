//! Lists of repositories and tags, page by page.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::query;
use crate::registry::fault::Fault;
use crate::registry::name::Name;
use crate::registry::store::{ListPage, RegistryStore};

/// Entries on a page, also when the caller asks for more or does not say.
const PAGE_LIMIT: u32 = 1000;

#[derive(Deserialize)]
struct Parameters {
    n: Option<String>,
    #[serde(default)]
    last: String,
}

/// What a page begins after and how many entries it has.
fn page(head: &Parts) -> Result<(String, u32), Fault> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Fault::Unsupported);
    }
    let parameters: Parameters = query(head)?;
    let limit = match parameters.n {
        None => PAGE_LIMIT,
        Some(n) => n.parse::<u32>().map_err(|_| Fault::PageSize)?,
    };
    Ok((parameters.last, limit.min(PAGE_LIMIT)))
}

pub(super) async fn catalog(store: &RegistryStore, head: &Parts) -> Result<Response, Fault> {
    let (last, limit) = page(head)?;
    let list = store.repositories(last, limit).await?;
    let document = json!({"repositories": list.entries});
    Ok(answer("/v2/_catalog", &list, limit, document))
}

pub(super) async fn tags(
    store: &RegistryStore,
    name: &Name,
    head: &Parts,
) -> Result<Response, Fault> {
    let (last, limit) = page(head)?;
    let list = store.tags(name, last, limit).await?;
    let document = json!({"name": name.as_str(), "tags": list.entries});
    Ok(answer(
        &format!("/v2/{name}/tags/list"),
        &list,
        limit,
        document,
    ))
}

/// The document with a link to the next page, if there is one (RFC 5988). Names and tags hold
/// nothing that would have to be encoded.
fn answer(path: &str, list: &ListPage, limit: u32, document: Value) -> Response {
    let next = list
        .entries
        .last()
        .filter(|_| list.more)
        .map(|last| format!("<{path}?last={last}&n={limit}>; rel=\"next\""));
    match next {
        Some(link) => ([(header::LINK, link)], Json(document)).into_response(),
        None => Json(document).into_response(),
    }
}
