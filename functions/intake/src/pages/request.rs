//! One request as a page: how it stands, what to do, what came of it, how it went, and how to ask again.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use iib_pipeline::intake::{self, IntakeDeps, IntakeError, LogContent, LogPart, Upload};
use iib_request::{
    Form, KINDS, Parameters, Record, Request, RequestId, Rollback, State as RequestState,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::words::{Standing, Time, cut_to, short};
use super::{Root, filters, page};
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};
use crate::wait::version;

/// Bytes of a text that is part of the page; more of it is at its own address.
const TEXT_LIMIT: usize = 64 * 1024;
/// Bytes of a call that is shown.
const CALL_LIMIT: usize = 8 * 1024;
/// Bytes of what is shown of one member.
const MEMBER_LIMIT: usize = 16 * 1024;
/// Bytes of a reason.
const REASON_LIMIT: usize = 2 * 1024;
/// States that are shown, the latest ones.
const STEPS: usize = 200;
/// Values of a list that are shown.
const VALUES: usize = 100;
/// Graphs that are shown.
const GRAPHS: usize = 12;

#[derive(Template)]
#[template(path = "request.html")]
struct OneRequest {
    root: String,
    /// The address of its documents.
    url: String,
    id: RequestId,
    kind: &'static str,
    version: String,
    is_over: bool,
    has_plan: bool,
    is_dry_run: bool,
    standing: Standing,
    reason: String,
    ahead: Option<u64>,
    advice: Vec<String>,
    result: Vec<Said>,
    asked: Vec<Said>,
    steps: Vec<Step>,
    took: String,
    log: Option<Text>,
    changes: Option<Text>,
    graphs: Vec<String>,
    uploads: Vec<(String, String)>,
    /// What cannot be read now.
    unreadable: Vec<&'static str>,
    /// Secrets that the call has to have again.
    secrets: Vec<&'static str>,
    commands: Vec<String>,
    again: Option<String>,
}

/// A member of a request in words.
struct Said {
    label: &'static str,
    values: Vec<String>,
    more: usize,
    /// Whether they are indexes, which have pages of their own.
    are_indexes: bool,
}

/// A state that it was in.
struct Step {
    since: Time,
    took: String,
    reason: String,
}

/// The end, or the beginning, of a text.
struct Text {
    text: String,
    is_cut: bool,
}

/// `GET /requests/<id>`.
pub(crate) async fn one(
    State(deps): State<Arc<IntakeDeps>>,
    Root(root): Root,
    builds: BuildsUrl,
    Id(id): Id,
) -> Result<Response, Problem> {
    let record = intake::get(&deps, id).await?;
    let url = format!("{root}{}/{id}", BuildsUrl::PATH);
    let base = builds.base();
    let (ahead, log, changes, uploads, shower) = futures::join!(
        intake::ahead(&deps, &record),
        intake::logs(&deps, id, LogPart::SoFar),
        intake::changes(&deps, &record),
        intake::uploads(&deps, id),
        Shower::new(&deps, [&record], builds),
    );
    // The request is shown all the same.
    let ahead = ahead.unwrap_or_default();
    let shower = shower?;
    let view = serde_json::to_value(shower.show(&record, Form::Verbose));
    let view = view.map_err(|_| Problem::internal())?;
    // Where a document cannot be read the rest of the page is there all the same.
    let mut unreadable = Vec::new();
    let changes = there(changes, "what it changed", &mut unreadable);
    let uploads = there(uploads, "its uploads", &mut unreadable).unwrap_or_default();
    let graphs = changes.iter().flat_map(|(_, packages)| packages);
    let graphs: Vec<String> = graphs.take(GRAPHS).cloned().collect();
    let diff = changes.map(|(diff, _)| Text::beginning_of(&diff.to_string()));
    let page_of = OneRequest {
        url,
        id,
        kind: record.request.name(),
        version: version(&record, ahead),
        is_over: record.state().is_final(),
        has_plan: record.plan.is_some(),
        is_dry_run: record.is_dry_run,
        standing: Standing::of(&record),
        reason: cut_to(record.state_reason(), REASON_LIMIT),
        ahead,
        advice: advice(&record),
        result: said(&view, RESULT),
        asked: asked(&record, &view),
        steps: steps(&record, deps.clock.now()),
        took: took(&record, deps.clock.now()),
        log: deps.api.offer_logs.then(|| Text::of_log(log)),
        changes: diff,
        graphs,
        uploads: shown_uploads(&uploads),
        unreadable,
        secrets: secrets(&record),
        commands: commands(&record, base.map(|base| base.to_string())),
        again: again(&record),
        root,
    };
    page(&page_of)
}

/// What was read, if it is there; what cannot be read now is noted.
fn there<T>(
    read: Result<T, IntakeError>,
    name: &'static str,
    unreadable: &mut Vec<&'static str>,
) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(error) => {
            let problem = Problem::from(error);
            if problem.is_ours() {
                unreadable.push(name);
                let _logged = problem.into_text();
            }
            None
        }
    }
}

/// What to do about a request that has failed.
fn advice(record: &Record) -> Vec<String> {
    if record.state() != RequestState::Failed {
        return Vec::new();
    }
    let id = record.id;
    let mut advice = Vec::new();
    match record.is_cancelled {
        true => advice.push(
            "Somebody stopped it; nothing was pushed. The call below asks for the same again."
                .to_owned(),
        ),
        false => {
            advice.push(
                "The reason says what was wrong, and the end of the log what came before it."
                    .to_owned(),
            );
            advice.push("If that was outside of the request, a registry that did not answer for example, ask for the same again with the call below; else change what the reason names.".to_owned());
        }
    }
    if let Some(overwritten) = &record.overwritten {
        let index = &overwritten.index;
        advice.push(format!("`{index}` may name its result already: `iib rollback {id}` puts back what it named before."));
    }
    advice
}

/// Members of the result, and what they are called.
const RESULT: &[(&str, &str)] = &[
    ("index_image", "Index"),
    ("index_image_resolved", "Index, by digest"),
    ("internal_index_image_copy", "Under the service's own name"),
    ("internal_index_image_copy_resolved", "The same, by digest"),
    ("bundle_image", "Bundle"),
    ("arches", "Architectures"),
];

/// Members of what was asked for.
const ASKED: &[(&str, &str)] = &[
    ("user", "User"),
    ("batch", "Batch"),
    ("batch_annotations", "Noted on the batch"),
    ("rolled_back", "Request that is undone"),
    ("from_index", "Index to start from"),
    ("from_index_resolved", "The same, by digest"),
    ("source_from_index", "Index that is put into the other"),
    ("source_from_index_resolved", "The same, by digest"),
    ("target_index", "The other index"),
    ("target_index_resolved", "The same, by digest"),
    ("bundles", "Bundles"),
    ("removed_operators", "Operators to take out"),
    ("operator_package", "Package"),
    ("fbc_fragment", "Fragment"),
    ("fbc_fragment_resolved", "The same, by digest"),
    ("fbc_fragments", "Fragments"),
    ("fbc_fragments_resolved", "The same, by digest"),
    ("from_bundle_image", "Bundle that it is made of"),
    ("from_bundle_image_resolved", "The same, by digest"),
    ("bundle_replacements", "Replacements"),
    ("parent_bundle_image", "Bundle to begin with"),
    ("parent_bundle_image_resolved", "The same, by digest"),
    ("deprecation_list", "Bundles to deprecate"),
    ("binary_image", "Image it is built on"),
    ("binary_image_resolved", "The same, by digest"),
    ("graph_update_mode", "How the graph is updated"),
    ("distribution_scope", "Scope"),
    ("build_tags", "Further tags"),
    ("labels", "Labels"),
    ("organization", "Organization"),
    ("check_related_images", "Related images are checked"),
    (
        "ignore_bundle_ocp_version",
        "Versions of bundles are ignored",
    ),
    ("output_format", "Documents"),
];

/// Members of what was asked for that no document of the API shows.
const UNSHOWN: &[(&str, &str)] = &[
    ("overwrite_from_index", "The index names the result then"),
    (
        "overwrite_target_index",
        "The other index names the result then",
    ),
    ("add_arches", "Architectures to add"),
];

/// What was asked for.
fn asked(record: &Record, view: &Value) -> Vec<Said> {
    let stored = serde_json::to_value(&record.request).unwrap_or_default();
    let mut asked = said(view, ASKED);
    asked.extend(said(&stored, UNSHOWN));
    asked
}

fn said(view: &Value, members: &[(&'static str, &'static str)]) -> Vec<Said> {
    let of = |(name, label): &(&'static str, &'static str)| {
        let value = view.get(name)?;
        let values = in_texts(value);
        let count = values.len();
        let mut left = MEMBER_LIMIT;
        let shown = values.into_iter().take(VALUES).map_while(|value| {
            let value = cut_to(&value, left);
            left = left.saturating_sub(value.len());
            (left > 0).then_some(value)
        });
        let values: Vec<String> = shown.collect();
        let more = count - values.len();
        (count > 0).then_some(Said {
            label,
            values,
            more,
            are_indexes: matches!(*name, "index_image" | "from_index"),
        })
    };
    members.iter().filter_map(of).collect()
}

fn in_texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Bool(true) => vec!["yes".to_owned()],
        Value::Bool(false) => vec!["no".to_owned()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(in_texts).collect(),
        Value::Object(members) => {
            let pairs = members.iter();
            pairs
                .map(|(name, value)| format!("{name}: {}", in_texts(value).join(", ")))
                .collect()
        }
    }
}

/// Its states, oldest first, each with how long it lasted.
fn steps(record: &Record, now: Timestamp) -> Vec<Step> {
    let ends = record
        .history
        .iter()
        .skip(1)
        .map(|entry| Some(entry.updated));
    let last = (!record.state().is_final()).then_some(now);
    let entries = record.history.iter().zip(ends.chain([last]));
    let earlier = record.history.len().saturating_sub(STEPS);
    entries
        .skip(earlier)
        .map(|(entry, end)| Step {
            since: Time(entry.updated),
            took: end
                .map(|end| lasted(end.duration_since(entry.updated)))
                .unwrap_or_default(),
            reason: cut_to(&entry.state_reason, REASON_LIMIT),
        })
        .collect()
}

fn took(record: &Record, now: Timestamp) -> String {
    let end = match record.state().is_final() {
        true => record.updated(),
        false => now,
    };
    let begin = record.history.first().map_or(end, |entry| entry.updated);
    lasted(end.duration_since(begin))
}

fn lasted(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60, seconds) {
        (0, 0, 0..10) => format!("{:.2} s", time.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes, _) => format!("{hours} h {} min", minutes % 60),
    }
}

impl Text {
    fn beginning_of(text: &str) -> Self {
        let end = text.floor_char_boundary(TEXT_LIMIT);
        Self {
            text: text.get(..end).unwrap_or_default().to_owned(),
            is_cut: end < text.len(),
        }
    }

    /// The end, from where a line begins.
    fn end_of(text: &str) -> Self {
        let start = text.ceil_char_boundary(text.len().saturating_sub(TEXT_LIMIT));
        let end = text.get(start..).unwrap_or_default();
        let whole_lines = match start {
            0 => end,
            _ => end.split_once('\n').map_or(end, |(_, lines)| lines),
        };
        Self {
            text: whole_lines.to_owned(),
            is_cut: start > 0,
        }
    }

    fn of_log(log: Result<LogContent, IntakeError>) -> Self {
        match log {
            Ok(LogContent::Text(text)) => Self::end_of(&text),
            Ok(LogContent::At(_)) => Self {
                text: String::new(),
                is_cut: true,
            },
            Err(error) => Self {
                text: Problem::from(error).into_text(),
                is_cut: false,
            },
        }
    }
}

fn shown_uploads(uploads: &[Upload]) -> Vec<(String, String)> {
    let shown = uploads.iter().take(VALUES);
    shown
        .map(|upload| {
            (
                format!("{}: {}", upload.kind, short(&upload.name)),
                format!("{} bytes", upload.size),
            )
        })
        .collect()
}

/// Commands that look at it, or at what came of it.
fn commands(record: &Record, base: Option<String>) -> Vec<String> {
    let id = record.id;
    let mut commands: Vec<String> = base
        .map(|base| format!("export IIB_URL={base}"))
        .into_iter()
        .collect();
    commands.push(format!("iib show {id}"));
    if !record.state().is_final() {
        commands.push(format!("iib wait {id}"));
        commands.push(format!("iib cancel {id}"));
        return commands;
    }
    commands.push(format!("iib logs {id}"));
    let facts = &record.facts;
    let made = facts
        .index_image_resolved
        .as_ref()
        .or(facts.index_image.as_ref());
    let made = made.filter(|_| record.state() == RequestState::Complete);
    if let Some(made) = made {
        if let Some(before) = &facts.from_index_resolved {
            commands.push(format!(
                "iib catalog diff {} {}",
                quoted(before),
                quoted(made)
            ));
        }
        commands.push(format!("podman pull {}", quoted(made)));
    }
    if let Some(bundle) = &facts.bundle_image {
        commands.push(format!("podman pull {}", quoted(bundle)));
    }
    if record.overwritten.is_some() {
        commands.push(format!("iib rollback {id}"));
    }
    commands
}

/// Where such a request is asked for, and what with.
fn call_of(record: &Record) -> Option<(String, Parameters)> {
    let kind = KINDS.iter().find(|kind| kind.name == record.request.name());
    match &record.request {
        Request::Rollback(rollback) => {
            let path = format!("{}/rollback", rollback.rolled_back);
            Some((path, Rollback::PARAMETERS))
        }
        _ => kind.map(|kind| (kind.name.to_owned(), kind.parameters)),
    }
}

/// Secrets that such a call may need: they are not kept.
fn secrets(record: &Record) -> Vec<&'static str> {
    let names = call_of(record).map(|(_, parameters)| parameters.secrets().collect());
    names.unwrap_or_default()
}

/// The call that asks for the same, if it is not too long to be shown.
fn again(record: &Record) -> Option<String> {
    let (path, parameters) = call_of(record)?;
    let stored = serde_json::to_value(&record.request).ok()?;
    let mut sent = Map::new();
    for parameter in parameters.iter() {
        let Some(value) = stored.get(parameter.name) else {
            continue;
        };
        let says_nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        if !says_nothing {
            sent.insert(parameter.name.to_owned(), value.clone());
        }
    }
    let body = serde_json::to_string_pretty(&Value::Object(sent)).ok()?;
    let dry_run = match record.is_dry_run {
        true => "?dry_run=true",
        false => "",
    };
    let call = format!(
        "curl --request POST \"$IIB_URL{}/{path}{dry_run}\" \\\n  --header 'Content-Type: application/json' \\\n  --data {}",
        BuildsUrl::PATH,
        quoted(&plain(&body))
    );
    (call.len() <= CALL_LIMIT).then_some(call)
}

/// A JSON text in which no character stands that a terminal would not show, or would show elsewhere.
fn plain(json: &str) -> String {
    let is_odd = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let characters = json.chars();
    let written = characters.map(|c| match is_odd(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    });
    written.collect()
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
