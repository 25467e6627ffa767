//! Tables of decisions, answered by the functions that the service uses.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use iib_catalog::{
    ServedBundle, fits_platform, latest_of, missing_in, named_of, unfit, unlabelled_fit,
};
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
        "bundle_version_valid" => |input| Ok(bundle_version_valid(&read(input)?)),
        "bundles_latest_version" => |input| Ok(bundles_latest_version(&read(input)?)),
        "deprecation_bundles" => |input| Ok(deprecation_bundles(&read(input)?)),
        "distribution_scope" => |input| Ok(distribution_scope(&read(input)?)),
        "merge_missing" => |input| Ok(merge_missing(&read(input)?)),
        _ => return None,
    })
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
struct Deprecated {
    bundles: Vec<String>,
    deprecation_list: Vec<String>,
    images: BTreeMap<String, Raw>,
}

#[derive(Deserialize)]
struct Raw {
    raw: String,
}

/// Pull specs of the list become digests as the service's do: those of a list stand for its first entry.
fn deprecation_bundles(input: &Deprecated) -> Answer {
    let mut list = Vec::new();
    for text in &input.deprecation_list {
        let spec: iib_oci::PullSpec = text.parse().map_err(words)?;
        let raw = &input.images.get(text).ok_or("there is no such image")?.raw;
        list.push(pinned(&spec, raw)?);
    }
    let named = named_of(&list, input.bundles.iter().map(String::as_str));
    Ok(named.into())
}

fn pinned(spec: &iib_oci::PullSpec, raw: &str) -> Result<String, String> {
    let document: Value = serde_json::from_str(raw).map_err(words)?;
    let first = document
        .pointer("/manifests/0/digest")
        .and_then(Value::as_str);
    let digest = match first {
        Some(first) => first.parse().map_err(words)?,
        None => iib_oci::Digest::of(raw.as_bytes()),
    };
    Ok(spec.pin(digest).to_string())
}

#[derive(Deserialize)]
struct ScopeCase {
    resolved: Option<String>,
    requested: Option<String>,
}

fn distribution_scope(input: &ScopeCase) -> Answer {
    let wanted = input
        .requested
        .as_deref()
        .filter(|wanted| !wanted.is_empty());
    let wanted = wanted.map(|wanted| Scope::parse(wanted).ok_or(format!("no scope: {wanted}")));
    let settled = Scope::settle(input.resolved.as_deref(), wanted.transpose()?);
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
