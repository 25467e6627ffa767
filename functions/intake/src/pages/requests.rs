//! The list of requests as a page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use iib_pipeline::intake;
use iib_ports::{Listed, Listing};
use iib_request::{
    Cursor, Filters, Form, Record, Refusal, Request, RequestId, State as RequestState, Window,
    kind_names,
};

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
    /// Whether it begins with the newest.
    is_first: bool,
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
    updated: Time,
}

/// `GET /`.
pub(crate) async fn list(
    State(listing): State<Arc<dyn Listing>>,
    Root(root): Root,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = Asked::of(&query);
    let (shown, fault) = match read(&query) {
        Ok((filters, cursor)) => match piece(&*listing, filters, cursor).await {
            Ok(older) => (Some((older, cursor)), None),
            Err(intake::IntakeError::Refused(refusal)) => (None, Some(refusal.to_string())),
            Err(error) => return Err(error.into()),
        },
        Err(refusal) => (None, Some(refusal.to_string())),
    };
    let status = match fault {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let (items, next, is_first) = match shown {
        Some((older, cursor)) => (older.items, older.next, cursor.before.is_none()),
        None => (Vec::new(), None, true),
    };
    let requests = Requests {
        next: next.map(|next| asked.address(&root, next)),
        root,
        asked,
        kinds: kind_names().collect(),
        rows: items.iter().map(row).collect(),
        is_first,
        fault,
    };
    Ok(with_status(status, page(&requests)?))
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
            updated: Time(record.updated()),
        },
        Err(unreadable) => Row {
            id: unreadable.id,
            kind: "",
            standing: Standing::unreadable(),
            about: Vec::new(),
            more: 0,
            index: None,
            user: String::new(),
            updated: Time(jiff::Timestamp::UNIX_EPOCH),
        },
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

    /// The same from a request on.
    fn address(&self, root: &str, next: RequestId) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("cursor", &next.to_string());
        for (name, value) in [
            ("state", &self.state),
            ("request_type", &self.kind),
            ("user", &self.user),
            ("from_index_startswith", &self.index),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if self.dry_runs {
            query.append_pair("dry_run", "true");
        }
        format!("{root}/?{}", query.finish())
    }

    fn states() -> [(&'static str, &'static str); 3] {
        RequestState::ALL.map(|state| (state.as_str(), in_words(state)))
    }
}
