//! The table of calls.

use axum::routing::{MethodRouter, get, patch, post};
use http::{Method, StatusCode};
use iib_fbc::Picture;
use iib_pipeline::intake::RequestDiff;
use iib_request::{
    BATCHES, BatchRow, CursorMeta, KINDS, KindRow, Meta, PlanView, Rollback, State, UploadKind,
    kind_names,
};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::api::Api;
use crate::endpoint::Endpoints;
use crate::reference::{self, Answer, Content, Operation, PREFIX, Parameter, call_of};
use crate::{cancel, changes, documents, events, health, logs, patch as patches};
use crate::{show, submit, uploads, wait};

impl Endpoints {
    /// The calls that are answered everywhere.
    pub(crate) fn of_the_api() -> Self {
        let kinds = KINDS.iter().fold(Self::default(), |endpoints, kind| {
            endpoints.with(builds(kind.name), post_of_kind(kind), submit_one(kind))
        });
        let both = BATCHES.iter().fold(kinds, |endpoints, batch| {
            endpoints.with(
                builds(batch.name),
                post_of_batch(batch),
                submit_several(batch),
            )
        });
        documents_of_requests(requests(both))
    }

    /// The one that only a process can answer.
    pub(crate) fn of_a_process() -> Self {
        Self::default().with(builds("{id}/events"), get(events::follow), follow())
    }
}

fn builds(rest: &str) -> String {
    format!("{PREFIX}/builds/{rest}")
}

fn post_of_kind(kind: &'static KindRow) -> MethodRouter<Api> {
    post(move |deps: _, listing: _, call: _, payload: _| {
        submit::submit(kind, deps, listing, call, payload)
    })
}

fn post_of_batch(batch: &'static BatchRow) -> MethodRouter<Api> {
    post(move |deps: _, listing: _, call: _, body: _| {
        submit::submit_batch(batch, deps, listing, call, body)
    })
}

/// Calls about requests themselves.
fn requests(endpoints: Endpoints) -> Endpoints {
    let request = || Content::named("Request");
    endpoints
        .with(
            format!("{PREFIX}/healthcheck"),
            get(health::check),
            Operation::read(
                "health",
                "Whether the service can work",
                Answer::json(
                    "It can.",
                    Content::Schema(json!({
                        "type": "object",
                        "required": ["status"],
                        "properties": {"status": {"type": "string"}},
                    })),
                )
                .with_header("Idempotency-Key", "`known`: calls may be repeated under a key.")
                .with_header("Dry-Run", "`known`: calls may be dry runs."),
            )
            .open(),
        )
        .with(
            format!("{PREFIX}/openapi.json"),
            get(reference::openapi),
            Operation::read(
                "openapi",
                "This document",
                Answer::json("OpenAPI 3.1.", Content::Schema(json!({"type": "object"}))),
            )
            .open(),
        )
        .with(format!("{PREFIX}/builds"), get(show::list), list())
        .with(builds("{id}"), get(show::one), show_one())
        .with(
            builds("{id}"),
            patch(patches::patch),
            Operation::change(
                Method::PATCH,
                "update_request",
                "Changes a request from outside",
                Answer::json("The request as it is now.", request()),
            )
            .about("Only for the users that the settings name as workers.")
            .with([id()])
            .body(
                Content::named(call_of("patch")),
                json!({"state": "failed", "state_reason": "The worker was stopped"}),
            )
            .fails([StatusCode::NOT_FOUND]),
        )
        .with(
            builds("{id}/cancel"),
            post(cancel::cancel),
            Operation::change(
                Method::POST,
                "cancel_request",
                "Ends a request, before anything is pushed",
                Answer::json("The request, which has failed now.", request()),
            )
            .about("It ends at the next safe point, and others move up in the line of its index. What is pushed stays: then the answer is 409. A body is not needed.")
            .with([id()])
            .fails([StatusCode::NOT_FOUND, StatusCode::CONFLICT]),
        )
        .with(
            builds("{id}/rollback"),
            post(submit::rollback),
            asks(
                Operation::change(
                    Method::POST,
                    "roll_back_request",
                    Rollback::ABOUT,
                    Answer::json("The request that does so.", Content::named("RollbackRequest"))
                        .with_status(StatusCode::CREATED),
                )
                .about("The tag is only put back if it still names the result of that request.")
                .with([id()])
                .optional_body(
                    Content::named(call_of("rollback")),
                    json!({"overwrite_from_index_token": "user:password"}),
                )
                .fails([StatusCode::NOT_FOUND]),
            ),
        )
}

/// What there is to read of a request besides.
fn documents_of_requests(endpoints: Endpoints) -> Endpoints {
    let bundles = || Content::Schema(json!({"type": "array", "items": {"type": "string"}}));
    endpoints
        .with(
            builds("{id}/logs"),
            get(logs::read),
            read_of(
                "read_log",
                "The log of a request",
                Answer::of("text/plain", "Its lines, each with the time.", Content::Text),
            )
            .with([Parameter::query(
                "live",
                json!({"type": "string"}),
                "`true`: also while the request goes on, what there is so far. Anything else says nothing.",
            )])
            .or(StatusCode::FOUND, "It is long, and at this address for some minutes."),
        )
        .with(
            builds("{id}/related_bundles"),
            get(documents::related_bundles),
            read_of(
                "related_bundles",
                "The bundles that a new bundle names, of requests of the type regenerate-bundle",
                Answer::json("Their pull specs.", bundles()),
            ),
        )
        .with(
            builds("{id}/nested-bundles"),
            get(documents::nested_bundles),
            read_of(
                "nested_bundles",
                "The bundles behind a bundle, of requests of the type recursive-related-bundles",
                Answer::json("Their pull specs.", bundles()),
            ),
        )
        // As the member of the request's document is called, which is what some ask for.
        .with(
            builds("{id}/nested_bundles"),
            get(documents::nested_bundles),
            read_of(
                "nested_bundles_by_its_older_name",
                "The same by another name",
                Answer::json("Their pull specs.", bundles()),
            )
            .deprecated(),
        )
        .with(
            builds("{id}/deprecation-schema"),
            get(documents::deprecation_schema),
            read_of(
                "deprecation_schema",
                "What is deprecated, as it was sent, of requests of the type add-deprecations",
                Answer::json("That document.", Content::Schema(json!({}))),
            ),
        )
        .with(
            builds("{id}/plan"),
            get(changes::plan),
            read_of(
                "plan",
                "What was settled for a request, every image by its digest",
                Answer::json("The plan.", Content::of::<PlanView>()),
            ),
        )
        .with(
            builds("{id}/diff"),
            get(changes::diff),
            read_of(
                "diff",
                "What a request changed, or a dry run would change",
                Answer::json("In the catalog of its index, or in the files of its bundle.", Content::of::<RequestDiff>())
                    .or("text/plain", Content::Text)
                    .or("text/markdown", Content::Text),
            )
            .with([one_of(
                "format",
                &["json", "text", "markdown"],
                "`text` for people, `markdown` to paste into a pull request: with images and graphs.",
            )]),
        )
        .with(
            builds("{id}/graph"),
            get(changes::graph),
            read_of(
                "graph",
                "The upgrade graph of a package in the result",
                Answer::of("image/svg+xml", "The graph.", Content::Text)
                    .or("text/vnd.graphviz", Content::Text)
                    .or("text/plain", Content::Text)
                    .or("application/json", Content::of::<Picture>()),
            )
            .with([
                Parameter::query(
                    "package",
                    json!({"type": "string"}),
                    "Which package. It may be left out where the bundles of the request are all in one.",
                ),
                one_of(
                    "format",
                    &["svg", "dot", "mermaid", "json"],
                    "A picture, or a text that becomes one.",
                ),
            ]),
        )
        .with(
            builds("{id}/uploads"),
            get(uploads::list),
            read_of(
                "uploads",
                "What was uploaded for a request",
                Answer::json("The uploads.", Content::of::<Vec<uploads::Shown<'static>>>()),
            ),
        )
        .with(
            builds("{id}/uploads/{kind}/{digest}/{name}"),
            get(uploads::download),
            read_of(
                "download",
                "An upload",
                Answer::of("application/octet-stream", "Its bytes.", Content::Bytes),
            )
            .with([
                Parameter::path(
                    "kind",
                    json!({"type": "string", "enum": UploadKind::ALL.map(UploadKind::as_str)}),
                    "What it is.",
                ),
                Parameter::path(
                    "digest",
                    json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
                    "SHA-256 of its bytes.",
                ),
                Parameter::path("name", json!({"type": "string", "minLength": 1}), "Its name."),
            ])
            .or(StatusCode::FOUND, "It is at this address for some minutes."),
        )
}

/// What is said of a call that asks for one request.
fn submit_one(kind: &KindRow) -> Operation {
    let answer = Answer::json(
        "The request, which is worked on now.",
        Content::named("Request"),
    );
    let change = Operation::change(
        Method::POST,
        id_of(kind.name),
        kind.about,
        answer.with_status(StatusCode::CREATED),
    );
    asks(change.body(Content::named(call_of(kind.name)), example(kind)))
}

fn example(kind: &KindRow) -> Value {
    serde_json::from_str(kind.example).unwrap_or_default()
}

/// What is said of a call that asks for several.
fn submit_several(batch: &BatchRow) -> Operation {
    let answer = Answer::json(
        "The requests, in the order in which they were asked for.",
        Content::Several("Request"),
    );
    let change = Operation::change(
        Method::POST,
        id_of(batch.name),
        "Asks for several requests at once",
        answer.with_status(StatusCode::CREATED),
    );
    asks(
        change
            .about("None is made unless all of them can be read. Which kind a request is of is told by its parameters.")
            .body(
                Content::named(call_of(batch.name)),
                json!({"build_requests": batch.kinds.iter().map(|kind| example(kind)).collect::<Vec<_>>()}),
            ),
    )
}

/// What is said of every call that makes requests.
fn asks(operation: Operation) -> Operation {
    operation
        .with([
            Parameter::query(
                "dry_run",
                json!({"type": "boolean"}),
                "`true`: the request ends when it is known what it would change; nothing is pushed.",
            ),
            Parameter::header(
                "Idempotency-Key",
                json!({"type": "string", "minLength": 1, "maxLength": 255}),
                "A text of your own. The same call with the same key makes nothing new, for fourteen days: it is answered with what the first one made.",
            ),
        ])
        .fails([StatusCode::UNPROCESSABLE_ENTITY, StatusCode::TOO_MANY_REQUESTS])
}

fn list() -> Operation {
    let meta = |generator: &mut SchemaGenerator| {
        let page = generator.subschema_for::<Meta>();
        let piece = generator.subschema_for::<CursorMeta>();
        let schema = json!({
            "type": "object",
            "required": ["items", "meta"],
            "properties": {
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/Listed"}},
                "meta": {"anyOf": [page, piece]},
            },
        });
        schema.try_into().unwrap_or_default()
    };
    let text = || json!({"type": "string"});
    let positive = || json!({"type": "integer", "minimum": 1});
    let kinds: Vec<&str> = kind_names().chain(["generic"]).collect();
    Operation::read("list_requests", "Requests, the newest first", Answer::json("A page of them.", Content::Of(meta)))
        .about("Pages move when requests are made. To go through all of them, begin with an empty `cursor`, and take `next_cursor` of each answer.")
        .with([
            one_of("state", &State::ALL.map(State::as_str), "In this state."),
            Parameter::query("request_type", json!({"type": "string", "enum": kinds}), "Of this kind."),
            Parameter::query("user", text(), "Asked for by this user."),
            Parameter::query("batch", positive(), "In this batch."),
            Parameter::query("from_index", text(), "Starting from this index."),
            Parameter::query("from_index_startswith", text(), "Starting from an index whose pull spec begins so."),
            Parameter::query("index_image", text(), "With this result."),
            Parameter::query("dry_run", json!({"type": "boolean"}), "`true`: dry runs, and nothing else."),
            Parameter::query("verbose", json!({"type": "string"}), "`true`: with states and places of logs. Anything else says nothing."),
            Parameter::query("page", positive(), "Number of the page."),
            Parameter::query("per_page", positive(), "Requests on a page; the settings say how many at most."),
            Parameter::query("cursor", text(), "Where to go on; empty: with the newest. Not beside `page`."),
        ])
        .fails([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND])
}

fn show_one() -> Operation {
    let answer = Answer::json("The request.", Content::named("Request")).with_header(
        "ETag",
        "The version of the request, for `after` and `If-None-Match`.",
    );
    Operation::read("show_request", "A request", answer)
        .with([
            id(),
            Parameter::query(
                "after",
                json!({"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$"}),
                "A version that you know: with `wait`, a newer one is waited for.",
            ),
            Parameter::query(
                "wait",
                json!({"type": "integer", "minimum": 0, "maximum": wait::LONGEST}),
                "For how many seconds.",
            ),
            Parameter::header(
                "If-None-Match",
                json!({"type": "string"}),
                "ETags that you have.",
            ),
        ])
        .or(StatusCode::NOT_MODIFIED, "You have it.")
        .fails([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND])
}

fn follow() -> Operation {
    Operation::read(
        "follow_request",
        "A request as it goes on, as server-sent events",
        Answer::of("text/event-stream", "`state` with the request for each change, `log` with the lines that came since, then `end`.", Content::Text),
    )
    .about("Only where the service is one process. Behind an API gateway, wait for changes with `after` and `wait`.")
    .with([id()])
    .fails([StatusCode::NOT_FOUND])
}

/// A document of a request.
fn read_of(id: &str, summary: &'static str, answer: Answer) -> Operation {
    Operation::read(id, summary, answer)
        .with([self::id()])
        .fails([
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::GONE,
        ])
}

fn id() -> Parameter {
    Parameter::path(
        "id",
        json!({"type": "integer", "minimum": 1}),
        "Number of the request.",
    )
}

fn one_of(name: &'static str, names: &[&str], about: &'static str) -> Parameter {
    let schema: Value = json!({"type": "string", "enum": names});
    Parameter::query(name, schema, about)
}

/// `add-rm-batch` as `add_rm_batch`.
fn id_of(kind: &str) -> String {
    kind.replace('-', "_")
}
