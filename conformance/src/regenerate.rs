//! Vectors of regenerating bundles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use iib_regenerate::{
    Answer, Answers, Bundle, Lookup, Next, RegenerateError, Regenerated, Regeneration,
    customizations, up_to_related_bundles,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a vector asks for.
#[derive(Debug, Deserialize)]
struct Vector {
    organization: Option<String>,
    #[serde(default)]
    customizations: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    pinned_by_iib: bool,
    #[serde(default)]
    recursive_related_bundles: bool,
    #[serde(default)]
    bundle_replacements: BTreeMap<String, String>,
    registry: BTreeMap<String, Image>,
    input: BTreeMap<String, String>,
}

/// An image that the registry of a vector has.
#[derive(Debug, Deserialize)]
struct Image {
    digest: String,
    labels: Option<BTreeMap<String, String>>,
}

/// Answers one vector.
pub(crate) fn one(vector: &Path, out: &Path) -> anyhow::Result<()> {
    let text = fs::read(vector).with_context(|| format!("reading {}", vector.display()))?;
    let vector: Vector = serde_json::from_slice(&text)?;
    let answer = match regenerate(vector) {
        Ok(done) => json!({
            "error": null,
            "labels": done.labels,
            "related_bundles": done.related_bundles,
            "files": done.files,
        }),
        Err(error) => json!({
            "error": error,
            "labels": {},
            "related_bundles": null,
            "files": {},
        }),
    };
    let written = fs::write(out, serde_json::to_vec(&answer)?);
    written.with_context(|| format!("writing {}", out.display()))
}

/// Answers all vectors of a folder into files of the same names in another one.
pub(crate) fn all(vectors: &Path, answers: &Path) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(vectors).with_context(|| format!("listing {}", vectors.display()))?;
    for entry in entries {
        let entry = entry?;
        one(&entry.path(), &answers.join(entry.file_name()))?;
    }
    Ok(())
}

/// The result, or what whoever asked is told.
fn regenerate(vector: Vector) -> Result<Regenerated, String> {
    let Vector {
        organization,
        customizations: configured,
        pinned_by_iib,
        recursive_related_bundles,
        bundle_replacements,
        registry,
        input,
    } = vector;
    let organization = organization.filter(|name| !name.is_empty());
    let configured = organization.as_ref().and_then(|name| configured.get(name));
    let steps = customizations(configured.map(Vec::as_slice))?;
    let steps = match recursive_related_bundles {
        true => up_to_related_bundles(steps),
        false => steps,
    };
    let files = input.into_iter();
    let bundle = Bundle {
        files: files
            .map(|(file, text)| (file, text.into_bytes()))
            .collect(),
        has_organization: organization.is_some(),
        is_pinned: pinned_by_iib,
        replacements: bundle_replacements,
    };
    let told = |error: RegenerateError| error.to_string();
    let mut regeneration = Regeneration::new(bundle, steps).map_err(told)?;
    let mut answers = Answers::new();
    loop {
        match regeneration.next(&answers).map_err(told)? {
            Next::Done(done) => return Ok(done),
            Next::Ask(questions) => {
                let found = questions.into_iter().map(|question| {
                    let answer = answer(&registry, &question);
                    (question, answer)
                });
                answers.extend(found);
            }
        }
    }
}

fn answer(registry: &BTreeMap<String, Image>, question: &Lookup) -> Answer {
    match (registry.get(question.image()), question) {
        (None, _) => Answer::Unreadable,
        (Some(image), Lookup::Digest(_)) => Answer::Digest(image.digest.clone()),
        (Some(image), Lookup::Labels(_)) => {
            Answer::Labels(image.labels.clone().unwrap_or_default())
        }
    }
}
