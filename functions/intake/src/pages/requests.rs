//! The list of requests as a page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Redirect, Response};
use http::StatusCode;
use iib_pipeline::intake;
use iib_ports::{Listed, Listing};
use iib_request::{
    Cursor, Filters, Form, Record, Refusal, Request, RequestId, State as RequestState, Window,
    kind_names,
};
use tracing::error;

use super::words::{Standing, Time, in_words, short};
use super::{Root, filters, page, with_status};
use crate::problem::Problem;

/// Requests on a page: with the longest names it has no more than 30 KB.
const PER_PAGE: u32 = 20;
/// Names of what a request is about that are shown of it.
const NAMES: usize = 2;

#[derive(Template)]
#[template(path = "requests.html")]
struct Requests {
    root: String,
    asked: Asked,
    kinds: Vec<&'static str>,
    rows: Vec<Row>,
    /// The address of the next piece.
    next: Option<String>,
    /// The address of the newest, unless it begins with them.
    newest: Option<String>,
    /// What it is filtered by that the form does not have.
    besides: Vec<(&'static str, String)>,
    is_filtered: bool,
    /// What is wrong with the call.
    fault: Option<String>,
}

/// What the form asks for, as it was sent.
#[derive(Default)]
struct Asked {
    state: String,
    kind: String,
    user: String,
    index: String,
    dry_runs: bool,
}

pub(super) struct Row {
    id: RequestId,
    kind: &'static str,
    standing: Standing,
    about: Vec<String>,
    more: usize,
    index: Option<String>,
    user: String,
    updated: Option<Time>,
}

/// `GET /`.
pub(crate) async fn list(
    State(listing): State<Arc<dyn Listing>>,
    Root(root): Root,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = Asked::of(&query);
    let (shown, fault) = match read(&query) {
        Ok((filters, cursor)) => match piece(&*listing, filters.clone(), cursor).await {
            Ok(older) => (Some((older, filters, cursor)), None),
            Err(intake::IntakeError::Refused(refusal)) => (None, Some(refusal.to_string())),
            Err(error) => return Err(error.into()),
        },
        Err(refusal) => (None, Some(refusal.to_string())),
    };
    let status = match fault {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let (items, next, newest, filters) = match shown {
        Some((older, filters, cursor)) => {
            let next = older.next.map(|next| address(&root, &filters, Some(next)));
            let newest = cursor.before.map(|_| address(&root, &filters, None));
            (older.items, next, newest, filters)
        }
        None => (Vec::new(), None, None, Filters::default()),
    };
    let besides = filters.query().into_iter();
    let besides = besides.filter(|(name, _)| ["batch", "from_index", "index_image"].contains(name));
    let requests = Requests {
        next,
        newest,
        besides: besides.collect(),
        is_filtered: !filters.query().is_empty(),
        root,
        asked,
        kinds: kind_names().collect(),
        rows: items.iter().map(row).collect(),
        fault,
    };
    Ok(with_status(status, page(&requests)?))
}

/// The address of the requests that these filters hold for, from a request on.
fn address(root: &str, filters: &Filters, next: Option<RequestId>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(next) = next {
        query.append_pair("cursor", &next.to_string());
    }
    format!("{root}/?{}", query.extend_pairs(filters.query()).finish())
}

/// `GET /requests`: they are listed at the root.
pub(crate) async fn elsewhere(Root(root): Root) -> Redirect {
    Redirect::permanent(&format!("{root}/"))
}

fn read(query: &[(String, String)]) -> Result<(Filters, Cursor), Refusal> {
    let filters = Filters::read(query)?;
    let cursor = Cursor::read(query)?;
    Ok((filters, cursor.unwrap_or(Cursor { before: None })))
}

pub(super) async fn piece(
    listing: &dyn Listing,
    filters: Filters,
    cursor: Cursor,
) -> Result<iib_ports::Older, intake::IntakeError> {
    let window = Window {
        page: 1,
        per_page: PER_PAGE,
        form: Form::Short,
    };
    intake::older(listing, filters, &window, cursor).await
}

pub(super) fn row(listed: &Listed) -> Row {
    match listed {
        Ok(record) => Row {
            id: record.id,
            kind: record.request.name(),
            standing: Standing::of(record),
            about: about(&record.request, NAMES),
            more: names(&record.request).len().saturating_sub(NAMES),
            index: index(record),
            user: record.user.as_deref().map(short).unwrap_or_default(),
            updated: Some(Time(record.updated())),
        },
        Err(unreadable) => {
            let id = unreadable.id.0;
            error!(event = "record_unreadable", request.id = id, error = %unreadable);
            Row {
                id: unreadable.id,
                kind: "",
                standing: Standing::unreadable(),
                about: Vec::new(),
                more: 0,
                index: None,
                user: String::new(),
                updated: None,
            }
        }
    }
}

/// The index that a request changes, or starts from.
fn index(record: &Record) -> Option<String> {
    let index = record.request.overwritten();
    index.or(record.request.listed_index()).map(short)
}

/// What a request is about.
fn names(request: &Request) -> Vec<String> {
    match request {
        Request::Add(add) => add.bundles.clone(),
        Request::Rm(rm) => rm.operators.clone(),
        Request::RegenerateBundle(bundle) => vec![bundle.from_bundle_image.clone()],
        Request::MergeIndexImage(merge) => vec![merge.source_from_index.clone()],
        Request::CreateEmptyIndex(_) => Vec::new(),
        Request::RecursiveRelatedBundles(related) => vec![related.parent_bundle_image.clone()],
        Request::FbcOperations(fbc) => fbc.fbc_fragments.clone(),
        Request::AddDeprecations(deprecations) => vec![deprecations.operator_package.clone()],
        Request::Rollback(rollback) => vec![format!("request {}", rollback.rolled_back)],
    }
}

fn about(request: &Request, count: usize) -> Vec<String> {
    let names = names(request).into_iter().take(count);
    names.map(|name| short(&name)).collect()
}

impl Asked {
    fn of(query: &[(String, String)]) -> Self {
        let value = |wanted: &str| {
            let found = query.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Self {
            state: value("state"),
            kind: value("request_type"),
            user: value("user"),
            index: value("from_index_startswith"),
            dry_runs: value("dry_run") == "true",
        }
    }

    fn states() -> [(&'static str, &'static str); 3] {
        RequestState::ALL.map(|state| (state.as_str(), in_words(state)))
    }
}
