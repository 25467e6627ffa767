//! Showing requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use iib_pipeline::intake::{self, IntakeDeps, IntakeError};
use iib_ports::{Listed, Listing, Watch};
use iib_request::{Cursor, Filters, Form, Operators, Record, RequestId, Shown, Stub, View, Window};
use serde::Serialize;
use tracing::error;

use crate::answer;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::wait::{Wait, is_known, tag};

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

/// What requests are shown with.
pub(crate) struct Shower<'a> {
    deps: &'a IntakeDeps,
    operators: Operators,
    builds: String,
}

impl<'a> Shower<'a> {
    /// For these requests.
    pub(crate) async fn new(
        deps: &'a IntakeDeps,
        records: impl IntoIterator<Item = &Record>,
        BuildsUrl(builds): BuildsUrl,
    ) -> Result<Self, Problem> {
        let operators = intake::operators_of(deps, records).await;
        Ok(Self {
            deps,
            operators: operators.map_err(IntakeError::from)?,
            builds,
        })
    }

    /// Shows one of them.
    pub(crate) fn show<'b>(&'b self, record: &'b Record, form: Form) -> View<'b> {
        self.show_behind(record, form, None)
    }

    /// The same of one that waits behind others.
    fn show_behind<'b>(&'b self, record: &'b Record, form: Form, ahead: Option<u64>) -> View<'b> {
        let shown = Shown {
            record,
            operators: &self.operators,
            builds: &self.builds,
            ahead,
            settings: &self.deps.api,
        };
        View::new(shown, form)
    }
}

/// `GET /builds/<id>` (spec rest-api §5). Ours: whoever names a version waits for a newer one, and whoever has the
/// document is told so.
pub(crate) async fn one(
    State(deps): State<Arc<IntakeDeps>>,
    State(watch): State<Arc<dyn Watch>>,
    Id(id): Id,
    wait: Wait,
    builds: BuildsUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Wait { after, patience } = wait;
    let record = intake::newer(&deps, &*watch, id, after, patience).await?;
    // The request is shown all the same.
    let ahead = intake::ahead(&deps, &record).await.unwrap_or_default();
    let tag = tag(&record, ahead);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let shower = Shower::new(&deps, [&record], builds).await?;
    let document = Json(shower.show_behind(&record, Form::Verbose, ahead));
    Ok(([(header::ETAG, tag)], document).into_response())
}

#[derive(Serialize)]
struct Requests<'a, M> {
    items: Vec<Item<'a>>,
    meta: M,
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
    builds: BuildsUrl,
    query: Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let filters = Filters::read(&query)?;
    let window = Window::read(&query, &deps.api);
    if let Some(cursor) = Cursor::read(&query)? {
        let window = window?;
        let older = intake::older(&*listing, filters.clone(), &window, cursor).await?;
        let meta = Cursor::meta(older.next, &window, &builds.0, &filters);
        return show_all(&deps, builds, &older.items, window.form, meta).await;
    }
    let (window, page) = intake::list(&*listing, filters.clone(), window).await?;
    let meta = window.meta(page.total, &builds.0, &filters)?;
    show_all(&deps, builds, &page.items, window.form, meta).await
}

/// Shows requests of a listing, and where they stand in it.
async fn show_all(
    deps: &IntakeDeps,
    builds: BuildsUrl,
    listed: &[Listed],
    form: Form,
    meta: impl Serialize,
) -> Result<Response, Problem> {
    let shower = Shower::new(deps, listed.iter().flatten(), builds).await?;
    let mut items = Vec::with_capacity(listed.len());
    for listed in listed {
        items.push(match listed {
            Ok(record) => Item::Request(Box::new(shower.show(record, form))),
            Err(unreadable) => {
                let id = unreadable.id.0;
                error!(event = "record_unreadable", request.id = id, error = %unreadable);
                Item::Stub(Stub::new(unreadable.id))
            }
        });
    }
    answer::within_limit(&Requests { items, meta }, answer::SMALLER_PAGE)
}
