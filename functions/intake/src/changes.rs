//! What was settled for a request, and what it changed in the catalog of its index. Ours: the reference has nothing of it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderValue, header};
use iib_pipeline::intake::{self, IntakeDeps, RequestDiff};

use crate::answer;
use crate::problem::{Problem, types};
use crate::show::Id;

/// The parameters of a call in their order.
type Parameters = Query<Vec<(String, String)>>;

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// `GET /builds/<id>/plan`: what was settled, every image by its digest.
pub(crate) async fn plan(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let plan = intake::plan(&deps, id).await?;
    answer::within_limit(&plan, "ask for the request itself")
}

#[derive(Clone, Copy)]
enum DiffFormat {
    Json,
    Text,
    Markdown,
}

const DIFF_FORMATS: [(&str, DiffFormat); 3] = [
    ("json", DiffFormat::Json),
    ("text", DiffFormat::Text),
    ("markdown", DiffFormat::Markdown),
];

/// `GET /builds/<id>/diff`: what changed, with `format=text` as lines for people, with `format=markdown` to paste into a
/// pull request.
pub(crate) async fn diff(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Query(query): Parameters,
) -> Result<Response, Problem> {
    let format = format(&query, &DIFF_FORMATS)?.unwrap_or(DiffFormat::Json);
    let as_text = match format {
        DiffFormat::Json => false,
        DiffFormat::Text => true,
        DiffFormat::Markdown => {
            let report = intake::report(&deps, id).await?;
            return answer::text_within_limit(report, MARKDOWN, "ask for \"format=text\"");
        }
    };
    let diff = intake::diff(&deps, id).await?;
    let instead = match &diff {
        RequestDiff::Catalog(_) => "compare the two index images with `iib catalog diff`",
        RequestDiff::Files(_) => "compare the files of the two bundle images",
    };
    match as_text {
        false => answer::within_limit(&diff, instead),
        true => answer::text_within_limit(diff.to_string(), PLAIN_TEXT, instead),
    }
}

#[derive(Clone, Copy)]
enum GraphFormat {
    Svg,
    Dot,
    Mermaid,
    Json,
}

const GRAPH_FORMATS: [(&str, GraphFormat); 4] = [
    ("svg", GraphFormat::Svg),
    ("dot", GraphFormat::Dot),
    ("mermaid", GraphFormat::Mermaid),
    ("json", GraphFormat::Json),
];

/// `GET /builds/<id>/graph`: the upgrade graph of a package as a picture.
pub(crate) async fn graph(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Query(query): Parameters,
) -> Result<Response, Problem> {
    let format = format(&query, &GRAPH_FORMATS)?.unwrap_or(GraphFormat::Svg);
    let picture = intake::graph(&deps, id, parameter(&query, "package")).await?;
    let instead = "ask for another \"format\", or draw the index image with `iib catalog graph`";
    let (text, media_type) = match format {
        GraphFormat::Svg => (picture.to_svg(), "image/svg+xml"),
        GraphFormat::Dot => (picture.to_dot(), "text/vnd.graphviz; charset=utf-8"),
        // It is there to be read and pasted; browsers would only save `application/vnd.mermaid`.
        GraphFormat::Mermaid => (picture.to_mermaid(), PLAIN_TEXT),
        GraphFormat::Json => return answer::within_limit(&picture, instead),
    };
    let mut answer = answer::text_within_limit(text, media_type, instead)?;
    // Names in the picture are strangers' texts; a browser is to run nothing of it.
    answer.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    Ok(answer)
}

/// The first parameter of this name.
fn parameter<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str())
}

/// What `format` asks for, if it is there; it has to be one of these.
fn format<T: Copy>(
    query: &[(String, String)],
    formats: &[(&str, T)],
) -> Result<Option<T>, Problem> {
    let Some(asked) = parameter(query, "format") else {
        return Ok(None);
    };
    match formats.iter().find(|(name, _)| *name == asked) {
        Some((_, format)) => Ok(Some(*format)),
        None => {
            let names: Vec<&str> = formats.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            Err(Problem::new(
                &types::PARAMETER,
                format!("\"format\" is \"{asked}\", but has to be one of: {names}"),
            ))
        }
    }
}
