//! Tables of decisions, answered by the functions that the service uses.

mod bundles;
mod gating;
mod git;
mod images;
mod looked_up;
mod named;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use iib_catalog::{ServedBundle, fits_platform, latest_of, missing_in, unfit, unlabelled_fit};
use iib_request::Scope;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Table {
    table: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    input: Value,
}

/// An answer, or the words of an error.
type Answer = Result<Value, String>;

/// Answers a table.
pub(crate) fn run(input: &Path, output: &Path) -> anyhow::Result<()> {
    let text = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let table: Table = serde_json::from_slice(&text)?;
    let answer = match decision(&table.table) {
        Some(decide) => {
            let mut results = Map::new();
            for case in table.cases {
                let answer = match decide(case.input)? {
                    Ok(result) => json!({"result": result}),
                    Err(error) => json!({"error": error}),
                };
                results.insert(case.id, answer);
            }
            json!({"results": results})
        }
        None => json!({"unsupported": true}),
    };
    Ok(fs::write(output, answer.to_string())?)
}

fn decision(table: &str) -> Option<fn(Value) -> anyhow::Result<Answer>> {
    Some(match table {
        "binary_image" => |input| Ok(named::binary_image(&read(input)?)),
        "bundle_version_valid" => |input| Ok(bundle_version_valid(&read(input)?)),
        "bundles_latest_version" => |input| Ok(bundles_latest_version(&read(input)?)),
        "deprecation_bundles" => |input| now(looked_up::deprecation_bundles(&read(input)?)),
        "distribution_scope" => |input| Ok(distribution_scope(&read(input)?)),
        "docker_auth_key" => |input| Ok(named::docker_auth_key(&read(input)?)),
        "git_token" => |input| Ok(git::token(&read(input)?)),
        "git_url" => |input| Ok(git::url(&read(input)?)),
        "greenwave" => |input| now(gating::greenwave(read(input)?)),
        "image_arches" => |input| now(looked_up::image_arches(&read(input)?)),
        "image_name" => |input| Ok(bundles::image_name(&read(input)?)),
        "label_truth" => |input| Ok(bundles::label_truth(&read(input)?)),
        "merge_missing" => |input| Ok(merge_missing(&read(input)?)),
        "missing_bundles" => |input| Ok(named::missing_bundles(&read(input)?)),
        "recursive_related_bundles" => {
            |input| Ok(bundles::recursive_related_bundles(&read(input)?))
        }
        "org_config" => |input| Ok(bundles::org_config(&read(input)?)),
        "output_pull_spec" => |input| Ok(named::output_pull_spec(&read(input)?)),
        "prebuild" => |input| now(looked_up::prebuild(read(input)?)),
        "pullspec_heuristic" => |input| Ok(gating::pullspec_heuristic(&read(input)?)),
        "resolved_bundles" => |input| now(looked_up::resolved_bundles(&read(input)?)),
        "safe_package_name" => |input| Ok(git::safe_name(&read(input)?)),
        _ => return None,
    })
}

/// Runs what waits for nobody: the images of a case are in memory.
fn now(decided: impl Future<Output = Answer>) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(decided))
}

/// A text of the request; an empty one counts as not given, as intake has it.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// The scope that a request asks for.
fn scope(text: Option<&String>) -> Result<Option<Scope>, String> {
    let wanted = given(text).map(|text| Scope::parse(text).ok_or(format!("no scope: {text}")));
    wanted.transpose()
}

fn read<T: DeserializeOwned>(input: Value) -> anyhow::Result<T> {
    serde_json::from_value(input).context("a case cannot be read")
}

fn words(error: impl Display) -> String {
    error.to_string()
}

#[derive(Deserialize)]
struct VersionValid {
    label: Option<String>,
    index_version: String,
    allow_missing: bool,
}

fn bundle_version_valid(input: &VersionValid) -> Answer {
    let fits = fits_platform(
        input.label.as_deref(),
        &input.index_version,
        input.allow_missing,
    );
    fits.map(Value::from).map_err(words)
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "bundlePath")]
    image: String,
    #[serde(rename = "csvName")]
    name: String,
    #[serde(rename = "packageName")]
    package: String,
    version: String,
}

fn served(listed: &[Listed]) -> Vec<ServedBundle> {
    let served = listed.iter().map(|bundle| ServedBundle {
        package: bundle.package.clone(),
        name: bundle.name.clone(),
        image: bundle.image.clone(),
        version: bundle.version.clone(),
    });
    served.collect()
}

#[derive(Deserialize)]
struct LatestVersion {
    bundles: Vec<String>,
    bundle_images: Vec<Listed>,
}

fn bundles_latest_version(input: &LatestVersion) -> Answer {
    let latest = latest_of(&input.bundles, &served(&input.bundle_images));
    latest.map(Value::from).map_err(words)
}

#[derive(Deserialize)]
struct ScopeCase {
    resolved: Option<String>,
    requested: Option<String>,
}

fn distribution_scope(input: &ScopeCase) -> Answer {
    let wanted = scope(input.requested.as_ref())?;
    let settled = Scope::settle(input.resolved.as_deref(), wanted);
    settled.map(|scope| scope.to_string().into()).map_err(words)
}

#[derive(Deserialize)]
struct MergeMissing {
    source: Vec<Listed>,
    target: Vec<Listed>,
    version_labels: BTreeMap<String, Option<String>>,
    ocp_version: String,
    source_from_index: String,
    target_index: String,
    #[serde(default)]
    ignore_bundle_ocp_version: bool,
    #[serde(default)]
    allow_list: Vec<String>,
    user: Option<String>,
}

fn merge_missing(input: &MergeMissing) -> Answer {
    let (source, target) = (served(&input.source), served(&input.target));
    let missing = missing_in(&source, &target).map_err(words)?;
    let both: Vec<&ServedBundle> = missing.iter().copied().chain(&source).collect();
    if let Some(bundle) = both
        .iter()
        .find(|bundle| !input.version_labels.contains_key(&bundle.image))
    {
        return Err(format!(
            "Failed to inspect docker://{}. Make sure it exists and is accessible to IIB.",
            bundle.image
        ));
    }
    let label = |image: &str| input.version_labels.get(image)?.as_deref();
    let unlabelled = unlabelled_fit(
        input.ignore_bundle_ocp_version,
        &input.allow_list,
        &[&input.source_from_index, &input.target_index],
        input.user.as_deref(),
    );
    let unfit =
        unfit(both.iter().copied(), label, &input.ocp_version, unlabelled).map_err(words)?;
    let images = |bundles: &[&ServedBundle]| -> Vec<String> {
        bundles.iter().map(|bundle| bundle.image.clone()).collect()
    };
    Ok(json!({"missing": images(&missing), "invalid": images(&unfit)}))
}
