//! Where a bundle's CSVs name images (regenerate-bundle §3, §5).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::document::{FileFault, MANIFESTS, first_document};
use crate::json::Json;
use crate::read::{BundleFiles, is_csv};
use crate::{BundleError, Unreadable};

/// A pull spec as bundles hold it: nothing but its parts, of which most may be missing (§3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// The registry; none where the text has none that looks like one.
    pub registry: Option<String>,
    /// The first part of the path, where it has several.
    pub namespace: Option<String>,
    /// The rest of the path.
    pub repo: String,
    /// The tag, or the digest with its algorithm.
    pub tag: String,
}

impl ImageName {
    /// Takes a text apart; every text is a name.
    pub fn of(text: &str) -> Self {
        let parts: Vec<&str> = text.splitn(3, '/').collect();
        let is_registry = |part: &str| part.contains(['.', ':']);
        let (registry, namespace, rest) = match parts.as_slice() {
            [registry, namespace, rest] => (Some(*registry), Some(*namespace), *rest),
            [registry, rest] if is_registry(registry) => (Some(*registry), None, *rest),
            [namespace, rest] => (None, Some(*namespace), *rest),
            _ => (None, None, text),
        };
        let (repo, tag) = match rest.rsplit_once('@').or_else(|| rest.rsplit_once(':')) {
            Some((repo, tag)) => (repo, tag),
            None => (rest, "latest"),
        };
        Self {
            registry: registry.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            repo: repo.to_owned(),
            tag: tag.to_owned(),
        }
    }
}

impl ImageName {
    /// The same image by its digest.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        let text = self.to_string();
        Self::of(&format!("{}@{digest}", without_reference(&text)))
    }
}

/// A pull spec without tag and digest (§3): what stands before an `@`, or else before the last colon, unless that is the
/// one of a port.
pub fn without_reference(text: &str) -> &str {
    if let Some((name, _)) = text.split_once('@') {
        return name;
    }
    match text.rsplit_once(':') {
        Some((host, rest)) if rest.contains('/') && !host.contains('/') => text,
        Some((name, _)) => name,
        None => text,
    }
}

/// The text, with the tag spelt out.
impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.registry, &self.namespace].into_iter().flatten();
        for part in parts.filter(|part| !part.is_empty()) {
            write!(out, "{part}/")?;
        }
        out.write_str(&self.repo)?;
        match self.tag.as_str() {
            "" => Ok(()),
            digest if digest.contains(':') => write!(out, "@{digest}"),
            tag => write!(out, ":{tag}"),
        }
    }
}

/// Images that cannot be told from a bundle.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RelatedImagesError {
    /// A file passes a limit.
    #[error(transparent)]
    File(#[from] BundleError),
    /// A file is neither YAML nor JSON.
    #[error("{0}")]
    Unreadable(Unreadable),
    /// A variable that names an image takes its value from elsewhere, where nobody can read it.
    #[error("{file}: {variable}: \"valueFrom\" references are not supported")]
    ValueFrom {
        /// The file.
        file: String,
        /// The variable.
        variable: String,
    },
}

/// Every image that the CSVs of a bundle name, each once, in the order of their texts.
///
/// # Errors
/// [`RelatedImagesError`], the first in the order of the files.
pub fn related_pull_specs(files: &BundleFiles) -> Result<Vec<ImageName>, RelatedImagesError> {
    let mut found = BTreeMap::new();
    for (name, bytes) in &files.manifests {
        let file = format!("{MANIFESTS}{name}");
        if name.starts_with('.') || bytes.is_empty() {
            continue;
        }
        let document = match first_document(&file, bytes) {
            Ok(document) => document,
            Err(FileFault::Limit(error)) => return Err(error.into()),
            Err(FileFault::Unreadable(fault)) => return Err(RelatedImagesError::Unreadable(fault)),
        };
        if !is_csv(&document.value) {
            continue;
        }
        let texts = in_csv(&document.value).map_err(|variable| RelatedImagesError::ValueFrom {
            file: file.clone(),
            variable,
        })?;
        for text in texts {
            let name = ImageName::of(text);
            found.insert(name.to_string(), name);
        }
    }
    Ok(found.into_values().collect())
}

/// The variables of containers that name images begin so.
const VARIABLES: &str = "RELATED_IMAGE_";
/// The annotation whose whole value is one.
const CONTAINER_IMAGE: &str = "containerImage";

/// The texts of a CSV that name images, source by source.
///
/// # Errors
/// The variable whose value is elsewhere.
fn in_csv(csv: &Json) -> Result<Vec<&str>, String> {
    let mut found: Vec<&str> = Vec::new();
    let related = list(at(csv, &["spec", "relatedImages"]));
    found.extend(related.iter().filter_map(|image| text(image, "image")));
    let mut annotations = Vec::new();
    collect_annotations(csv, &mut annotations);
    for (name, value) in annotations {
        match name {
            CONTAINER_IMAGE => found.push(value),
            _ => found.extend(
                pull_specs_in_text(value)
                    .into_iter()
                    .filter_map(|range| value.get(range)),
            ),
        }
    }
    let deployments = list(at(csv, &["spec", "install", "spec", "deployments"]));
    for deployment in deployments {
        let pod = at(deployment, &["spec", "template", "spec"]);
        for kind in ["containers", "initContainers"] {
            for container in list(pod.and_then(|pod| pod.get(kind))) {
                found.extend(text(container, "image"));
                for variable in list(container.get("env")) {
                    let name = text(variable, "name").unwrap_or_default();
                    if !name.starts_with(VARIABLES) {
                        continue;
                    }
                    if variable.get("valueFrom").is_some() {
                        return Err(name.to_owned());
                    }
                    found.extend(text(variable, "value"));
                }
            }
        }
    }
    found.retain(|text| !text.is_empty());
    Ok(found)
}

/// The annotations of all mappings in a value, but of those below a `metadata`.
fn collect_annotations<'a>(value: &'a Json, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Json::Object(members) => {
            if let Some(Json::Object(annotations)) = at(value, &["metadata", "annotations"]) {
                let texts = annotations.iter();
                found.extend(texts.filter_map(|(name, text)| Some((&**name, text.as_str()?))));
            }
            for (name, member) in members {
                if name != "metadata" {
                    collect_annotations(member, found);
                }
            }
        }
        Json::Array(items) => items
            .iter()
            .for_each(|item| collect_annotations(item, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn at<'a>(value: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn list(value: Option<&Json>) -> &[Json] {
    match value {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

fn text<'a>(value: &'a Json, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The pull specs in a text, as ranges of bytes (§5 "Heuristic"): words that have a registry with a dot and a
/// tag, or a whole digest.
pub fn pull_specs_in_text(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let ends = text.char_indices().map(Some).chain([None]);
    for next in ends {
        let (at, in_word) = match next {
            Some((at, sign)) => (at, is_of_word(sign)),
            None => (text.len(), false),
        };
        match (start, in_word) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                found.extend(pull_spec_in(text, from..at));
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    found
}

fn is_of_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "/-._@:".contains(sign)
}

/// The word without what is around it, if that is a pull spec.
fn pull_spec_in(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let is_edge = |sign: char| !sign.is_ascii_alphanumeric();
    let whole = text.get(word.clone())?;
    let inner = whole.trim_start_matches(is_edge);
    let start = word.end - inner.len();
    let inner = inner.trim_end_matches(is_edge);
    is_pull_spec(inner).then_some(start..start + inner.len())
}

fn is_pull_spec(text: &str) -> bool {
    let Some((registry, path)) = text.split_once('/') else {
        return false;
    };
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let is_host = is_name(host) && host.contains('.') && port.is_none_or(is_port);
    let (path, has_reference) = match path.split_once('@') {
        Some((path, digest)) => (path, is_sha256(digest)),
        None => match path.rsplit_once(':') {
            Some((path, tag)) => (path, is_name(tag)),
            None => return false,
        },
    };
    is_host && has_reference && path.split('/').all(is_name)
}

fn is_name(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_inner)
}

fn is_sha256(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_written_again() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, parts, written) in [
            ("app", (None, None, "app", "latest"), "app:latest"),
            ("ns/app:1", (None, Some("ns"), "app", "1"), "ns/app:1"),
            (
                "host:5000/app",
                (Some("host:5000"), None, "app", "latest"),
                "host:5000/app:latest",
            ),
            (
                "host/a/b/c:1",
                (Some("host"), Some("a"), "b/c", "1"),
                "host/a/b/c:1",
            ),
            (
                "r.example/app:",
                (Some("r.example"), None, "app", ""),
                "r.example/app",
            ),
        ] {
            let name = ImageName::of(text);
            let (registry, namespace, repo, tag) = parts;
            assert_eq!(name.registry.as_deref(), registry, "{text}");
            assert_eq!(name.namespace.as_deref(), namespace, "{text}");
            assert_eq!((&*name.repo, &*name.tag), (repo, tag), "{text}");
            assert_eq!(name.to_string(), written);
        }
        let pinned = format!("host/ns/app@{digest}");
        let name = ImageName::of(&pinned);
        assert_eq!((&*name.repo, &*name.tag), ("app", &*digest));
        assert_eq!(name.to_string(), pinned);
        assert_eq!(
            ImageName::of(&format!("host/ns/app:v1@{digest}")).repo,
            "app:v1"
        );
    }

    #[test]
    fn pull_specs_are_found_in_texts() {
        let found = |text: &'static str| -> Vec<&str> {
            pull_specs_in_text(text)
                .into_iter()
                .map(|range| &text[range])
                .collect()
        };
        assert_eq!(
            found("uses (r.example/a/b:1), r.example:5000/c:v2. And ..."),
            ["r.example/a/b:1", "r.example:5000/c:v2"]
        );
        for none in [
            "r.example/a/b",
            "https://r.example/a:1",
            "localhost/a:1",
            "r.example/a:1@sha256:ab",
            "r.example//a:1",
            "r.example:x/a:1",
        ] {
            assert_eq!(found(none), [""; 0], "{none}");
        }
        assert_eq!(found("ä r.example/a:1ü"), ["r.example/a:1"]);
    }

    fn bundle(csv: &str) -> BundleFiles {
        BundleFiles {
            manifests: [
                ("csv.yaml".to_owned(), csv.as_bytes().to_vec()),
                ("empty.yaml".to_owned(), Vec::new()),
                (
                    "crd.yaml".to_owned(),
                    b"kind: CustomResourceDefinition\nimage: r.example/not:1\n".to_vec(),
                ),
            ]
            .into(),
            metadata: None,
        }
    }

    #[test]
    fn images_come_from_every_source_and_once() {
        let csv = r#"
kind: ClusterServiceVersion
metadata:
  annotations:
    containerImage: r.example/annotated
    description: see r.example/told:1
spec:
  relatedImages: [{name: a, image: r.example/related:1}, {name: b, image: "r.example/c:1"}]
  description: r.example/not:2
  install:
    spec:
      deployments:
      - spec:
          template:
            metadata:
              annotations: {hint: "r.example/pod:1"}
            spec:
              containers:
              - image: r.example/c:1
                env:
                - {name: RELATED_IMAGE_DB, value: "r.example/db:1"}
                - {name: OTHER, value: "r.example/not:3"}
              initContainers:
              - image: r.example/init
"#;
        let found = related_pull_specs(&bundle(csv)).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "r.example/annotated:latest",
                "r.example/c:1",
                "r.example/db:1",
                "r.example/init:latest",
                "r.example/pod:1",
                "r.example/related:1",
                "r.example/told:1",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let csv = "kind: ClusterServiceVersion\nspec:\n  install:\n    spec:\n      deployments:\n      - spec: {template: {spec: {containers: [{env: [{name: RELATED_IMAGE_X, valueFrom: {}}]}]}}}\n";
        let refused = related_pull_specs(&bundle(csv)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "manifests/csv.yaml: RELATED_IMAGE_X: \"valueFrom\" references are not supported"
        );
        let broken = related_pull_specs(&bundle("a: [")).unwrap_err();
        assert!(
            matches!(broken, RelatedImagesError::Unreadable(_)),
            "{broken}"
        );
    }
}
