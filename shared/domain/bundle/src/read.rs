//! Putting the parts of a bundle together.

use std::collections::{BTreeMap, BTreeSet};

use iib_catalog::Candidate;

use crate::csv::Csv;
use crate::document::{MANIFESTS, first_document};
use crate::json::Json;
use crate::platform::RemovedApi;
use crate::{ApiKey, BundleError, Typed, Unreadable, apis, images, metadata, platform, properties};

/// The files of a bundle image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BundleFiles {
    /// Files directly in `/manifests`, by name.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// Files directly in `/metadata`, by name; `None` when there is no such folder.
    pub metadata: Option<BTreeMap<String, Vec<u8>>>,
}

/// A bundle as an index stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// `metadata.name` of the CSV; never empty.
    pub name: String,
    /// The image reference, exactly as given.
    pub image: String,
    /// The package; may be empty.
    pub package: String,
    /// The channels in the order named, with repetitions.
    pub channels: Vec<String>,
    /// The default channel it asks for; empty for none.
    pub default_channel: String,
    /// `spec.version` as written, not checked; empty for none.
    pub version: String,
    /// `spec.replaces`; empty for none.
    pub replaces: String,
    /// `spec.skips`, in order and with repetitions.
    pub skips: Vec<String>,
    /// The annotation `olm.skipRange`; empty for none.
    pub skip_range: String,
    /// The annotation `olm.substitutesFor`; empty for none.
    pub substitutes_for: String,
    /// Text of the CSV, with a newline at its end.
    pub csv_text: String,
    /// Texts of all objects one after another, the CSV among them.
    pub objects_text: String,
    /// All images it names, its own among them.
    pub related_images: BTreeSet<String>,
    /// Dependencies of the file, in order and with repetitions, then one per required API.
    pub dependencies: Vec<Typed>,
    /// Properties, each once.
    pub properties: Vec<Typed>,
    /// APIs it provides.
    pub provided_apis: BTreeSet<ApiKey>,
    /// APIs it requires.
    pub required_apis: BTreeSet<ApiKey>,
    /// Whether it uses APIs that platform 4.9 removed, and does not say that it ends before
    /// (worker flows §11).
    pub needs_max_version: bool,
    /// Files that the reference passes over without a word, and so do we: to be told.
    pub passed_over: Vec<Unreadable>,
}

/// Reasons to refuse a bundle, in the order the reference finds them.
struct Refusals(Vec<BundleError>);

impl From<BundleError> for Refusals {
    fn from(refusal: BundleError) -> Self {
        Self(vec![refusal])
    }
}

impl Refusals {
    /// The value, or none and one more reason.
    fn keep<T>(&mut self, result: Result<T, BundleError>) -> Option<T> {
        result.map_err(|refusal| self.0.push(refusal)).ok()
    }
}

/// What was found when a bundle was looked through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// All reasons to refuse it, in the order the reference finds them; none: it can be added.
    pub refusals: Vec<BundleError>,
    /// Files that are passed over.
    pub passed_over: Vec<Unreadable>,
    /// Objects that newer platforms do not take.
    pub removed_apis: Vec<RemovedApi>,
}

impl Bundle {
    /// Reads a bundle from its files (spec index-database §3).
    ///
    /// # Errors
    /// The first reason to refuse it, in the order the reference finds them when the bundle is
    /// added alone.
    pub fn read(image: &str, files: &BundleFiles) -> Result<Self, BundleError> {
        let mut passed_over = Vec::new();
        match Self::read_noting(image, files, &mut passed_over) {
            Ok(bundle) => Ok(Self {
                passed_over,
                ..bundle
            }),
            Err(Refusals(refusals)) => {
                // There is one at least.
                let first = refusals.into_iter().next();
                Err(first
                    .unwrap_or(BundleError::NoObjects)
                    .for_want_of(passed_over))
            }
        }
    }

    /// Looks a bundle through for everything that is wrong with it.
    pub fn check(image: &str, files: &BundleFiles) -> Checked {
        let mut passed_over = Vec::new();
        let read = Self::read_noting(image, files, &mut passed_over);
        let refusals = read.err().map(|Refusals(refusals)| refusals);
        let refusals = refusals.unwrap_or_default().into_iter();
        // What cannot be read again is no reason of its own.
        let objects = read_objects(&files.manifests, &mut Vec::new());
        let objects = objects.map(|(names, objects)| platform::removed_apis(&names, &objects));
        Checked {
            refusals: refusals
                .map(|refusal| refusal.for_want_of(passed_over.clone()))
                .collect(),
            removed_apis: objects.unwrap_or_default(),
            passed_over,
        }
    }

    fn read_noting(
        image: &str,
        files: &BundleFiles,
        unreadable: &mut Vec<Unreadable>,
    ) -> Result<Self, Refusals> {
        let (names, objects) = read_objects(&files.manifests, unreadable)?;
        if objects.is_empty() {
            return Err(BundleError::NoObjects.into());
        }
        let csv_object = objects.iter().position(is_csv);
        let Some((csv_object, csv_file)) =
            csv_object.and_then(|at| Some((objects.get(at)?, *names.get(at)?)))
        else {
            // A CRD that cannot be decoded comes first, as in the reference.
            let mut refusals = Refusals(Vec::new());
            refusals.keep(apis::crd_apis(&objects, &names));
            refusals.0.push(BundleError::NoCsv);
            return Err(refusals);
        };
        let csv = Csv::read(csv_object);
        let csv = csv.map_err(|fault| BundleError::CsvMetadata { fault }.in_file(csv_file))?;
        let mut refusals = Refusals(Vec::new());
        let crds = refusals.keep(apis::crd_apis(&objects, &names));
        match Self::of_csv(image, files, &objects, csv_object, &csv, crds, unreadable) {
            Ok(bundle) if refusals.0.is_empty() => Ok(bundle),
            Ok(_) => Err(refusals),
            Err(Refusals(of_csv)) => {
                let of_csv = of_csv.into_iter();
                refusals
                    .0
                    .extend(of_csv.map(|refusal| refusal.in_file(csv_file)));
                Err(refusals)
            }
        }
    }

    /// `crds` is none where they cannot be decoded, for which there is a reason already.
    fn of_csv(
        image: &str,
        files: &BundleFiles,
        objects: &[Json],
        csv_object: &Json,
        csv: &Csv<'_>,
        crds: Option<BTreeSet<ApiKey>>,
        unreadable: &mut Vec<Unreadable>,
    ) -> Result<Self, Refusals> {
        let mut refusals = Refusals(Vec::new());
        let name = csv.name();
        let in_bundle = |fault| BundleError::ProvidedApis {
            bundle: name.clone(),
            fault,
        };
        let are_known = crds.is_some();
        let provided = apis::provided(csv, crds.unwrap_or_default());
        let provided = refusals
            .keep(provided.map_err(in_bundle))
            .unwrap_or_default();
        if are_known {
            refusals.keep(apis::check_owned(csv, &provided).map_err(in_bundle));
        }
        let files = files.metadata.as_ref().ok_or(BundleError::NoMetadata);
        let metadata = files.and_then(|files| metadata::read(files, unreadable));
        let metadata::Metadata {
            annotations,
            dependencies,
            properties: listed,
        } = refusals.keep(metadata).unwrap_or_default();
        let version = csv
            .version()
            .map_err(|fault| BundleError::Version { fault });
        let version = refusals.keep(version).unwrap_or_default();
        let replaces = csv.replaces().map_err(|fault| BundleError::Replaces {
            bundle: name.clone(),
            image: image.to_owned(),
            fault,
        });
        let replaces = refusals.keep(replaces).unwrap_or_default();
        let skips = csv.skips().map_err(|fault| BundleError::Skips {
            bundle: name.clone(),
            image: image.to_owned(),
            fault,
        });
        let skips = refusals.keep(skips).unwrap_or_default();
        if name.is_empty() {
            refusals.0.push(BundleError::NoName);
        }
        let related_images =
            images::images(image, csv).map_err(|fault| BundleError::Images { fault });
        let related_images = refusals.keep(related_images).unwrap_or_default();
        let required = apis::required(csv).map_err(|fault| BundleError::Dependencies { fault });
        let required = refusals.keep(required).unwrap_or_default();
        let annotated =
            properties::annotated(csv).map_err(|fault| BundleError::Properties { fault });
        let annotated = refusals.keep(annotated).unwrap_or_default();
        if !refusals.0.is_empty() {
            return Err(refusals);
        }
        let package = (!annotations.package.is_empty())
            .then(|| properties::package(&annotations.package, &version));
        let annotation = |key| csv.annotation(key).unwrap_or_default().to_owned();
        Ok(Self {
            image: image.to_owned(),
            package: annotations.package,
            channels: split_channels(&annotations.channels),
            default_channel: annotations.default_channel,
            version,
            replaces,
            skips,
            skip_range: annotation("olm.skipRange"),
            substitutes_for: annotation("olm.substitutesFor"),
            csv_text: object_text(csv_object),
            objects_text: objects.iter().map(object_text).collect(),
            related_images,
            dependencies: with_required(dependencies, &required),
            properties: properties::assemble(listed, package, annotated, &provided),
            provided_apis: provided,
            required_apis: required,
            needs_max_version: platform::needs_max_version(
                objects,
                csv.annotation("olm.properties"),
            ),
            passed_over: Vec::new(),
            name,
        })
    }

    /// The bundle as the upgrade graph sees it.
    pub fn candidate(&self) -> Candidate {
        Candidate {
            name: self.name.clone(),
            image: self.image.clone(),
            package: self.package.clone(),
            channels: self.channels.clone(),
            default_channel: self.default_channel.clone(),
            version: self.version.clone(),
            replaces: self.replaces.clone(),
            skips: self.skips.clone(),
            substitutes_for: self.substitutes_for.clone(),
        }
    }

    /// Value of the `olm.package` property as JSON text.
    pub fn package_property(package: &str, version: &str) -> String {
        properties::package_text(package, version)
    }

    /// The package that such a value names; `None` if it cannot be read.
    pub fn package_of_property(value: &str) -> Option<String> {
        let value = crate::parse_json(value).ok()?;
        Some(value.get("packageName")?.as_str()?.to_owned())
    }
}

/// The files that hold objects and the objects, in the order of the files; of several CSVs the
/// first.
fn read_objects<'f>(
    manifests: &'f BTreeMap<String, Vec<u8>>,
    unreadable: &mut Vec<Unreadable>,
) -> Result<(Vec<&'f str>, Vec<Json>), BundleError> {
    let (mut names, mut objects) = (Vec::new(), Vec::new());
    let mut csv_found = false;
    for (name, bytes) in manifests {
        if name.starts_with('.') {
            continue;
        }
        let file = format!("{MANIFESTS}{name}");
        let document = match first_document(&file, bytes) {
            Ok(document) => document,
            Err(fault) => {
                fault.note(unreadable)?;
                continue;
            }
        };
        let mut object = document.value;
        let kind = object
            .get("kind")
            .and_then(Json::as_str)
            .unwrap_or_default();
        if kind.is_empty() {
            unreadable.push(Unreadable {
                file,
                line: 1,
                fault: no_object(&object).to_owned(),
            });
            continue;
        }
        if is_csv(&object) && csv_found {
            continue;
        }
        csv_found |= is_csv(&object);
        object.settle_numbers();
        names.push(name.as_str());
        objects.push(object);
    }
    Ok((names, objects))
}

/// Why a document is no object of a cluster.
fn no_object(document: &Json) -> &'static str {
    match document {
        Json::Null => "nothing stands there, expected an object with apiVersion and kind",
        Json::Object(_) => "the object has no kind",
        Json::Array(_) => "a list stands there, expected one object with apiVersion and kind",
        _ => "no mapping stands there, expected an object with apiVersion and kind",
    }
}

pub(crate) fn is_csv(object: &Json) -> bool {
    object.get("kind").and_then(Json::as_str) == Some("ClusterServiceVersion")
}

fn object_text(object: &Json) -> String {
    let mut text = object.to_text();
    text.push('\n');
    text
}

fn split_channels(channels: &str) -> Vec<String> {
    if channels.is_empty() {
        return Vec::new();
    }
    channels.split(',').map(str::to_owned).collect()
}

fn with_required(mut dependencies: Vec<Typed>, required: &BTreeSet<ApiKey>) -> Vec<Typed> {
    dependencies.extend(required.iter().map(|key| Typed {
        kind: "olm.gvk".to_owned(),
        value: key.gvk_text(),
    }));
    dependencies
}

#[cfg(test)]
mod tests;
