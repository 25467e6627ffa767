//! Showing requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use iib_pipeline::intake::{self, IntakeDeps};
use iib_ports::{Listing, PageQuery};
use iib_request::{Form, ListingQuery, Meta, RequestId, Stub, View};
use serde::Serialize;
use tracing::error;

use crate::answer;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;

/// The id in a path. Anything but digits makes the path unknown (spec rest-api §1).
#[derive(Debug)]
pub(crate) struct Id(pub(crate) RequestId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // By its name: some paths have more in them.
        let path = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
        let id = path
            .ok()
            .and_then(|Path(names)| names.get("id")?.parse().ok());
        id.map(Self).ok_or_else(Problem::not_found)
    }
}

/// `GET /builds/<id>` (spec rest-api §5).
pub(crate) async fn one(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    BuildsUrl(builds): BuildsUrl,
) -> Result<Response, Problem> {
    let record = intake::get(&deps, id).await?;
    let view = View::new(&record, Form::Verbose, &builds, &deps.api);
    Ok(Json(view).into_response())
}

#[derive(Serialize)]
struct Requests<'a> {
    items: Vec<Item<'a>>,
    meta: Meta,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Request(Box<View<'a>>),
    Stub(Stub),
}

/// `GET /builds` (spec rest-api §7).
pub(crate) async fn list(
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    BuildsUrl(builds): BuildsUrl,
    query: Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = ListingQuery::read(&query, &deps.api)?;
    let page = PageQuery {
        page: asked.page.into(),
        per_page: asked.per_page,
    };
    let page = intake::list(&*listing, page).await?;
    let meta = asked.meta(page.total, &builds)?;
    let mut items = Vec::with_capacity(page.items.len());
    for listed in &page.items {
        items.push(match listed {
            Ok(record) => {
                let view = View::new(record, asked.form, &builds, &deps.api);
                Item::Request(Box::new(view))
            }
            Err(unreadable) => {
                let id = unreadable.id.0;
                error!(event = "record_unreadable", request.id = id, error = %unreadable);
                Item::Stub(Stub::new(unreadable.id))
            }
        });
    }
    answer::within_limit(&Requests { items, meta }, answer::SMALLER_PAGE)
}
