//! Why a bundle cannot be adapted.

use iib_bundle::YamlError;

/// Why a bundle cannot be adapted. All of it is the fault of what was asked for (class Reject); the texts are
/// those of today's service where it shows one (regenerate-bundle §12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegenerateError {
    /// A manifest that is no YAML.
    #[error("The Operator Manifest is not in a valid YAML format: {file}: {fault}")]
    Yaml {
        /// The file.
        file: String,
        /// What is wrong; part of the message, so not a source.
        fault: YamlError,
    },
    /// The file with the annotations of the bundle is not there.
    #[error("metadata/annotations.yaml does not exist in the bundle")]
    NoAnnotations,
    /// It is no YAML.
    #[error("metadata/annotations.yaml is not valid YAML")]
    AnnotationsYaml(#[source] YamlError),
    /// It has no mapping.
    #[error(
        "metadata/annotations.yaml has no annotations: its member `annotations` is to be a mapping with the names of package and channels"
    )]
    AnnotationsEmpty,
    /// Its annotations are no mapping.
    #[error("The value of metadata/annotations.yaml must be a dictionary")]
    AnnotationsShape,
    /// The package is not named.
    #[error("{PACKAGE} is not set in metadata/annotations.yaml")]
    NoPackage,
    /// The name of the package is no string.
    #[error("The value of {PACKAGE} in metadata/annotations.yaml is not a string")]
    PackageShape,
    /// Images that nobody could tell about.
    #[error("{}", not_inspected(.0))]
    Images(Vec<String>),
    /// An image without a label that its name is made of.
    #[error(
        "Pull spec {image} is missing one or more label(s) required in the image_name_from_labels {template}. Available labels: {}", first(.available, Clone::clone, ", ")
    )]
    Label {
        /// The image.
        image: String,
        /// The template.
        template: String,
        /// The labels that it has.
        available: Vec<String>,
    },
    /// An annotation with a field that has no value.
    #[error(
        "the annotation {annotation} of the customization csv_annotations cannot be made of {template:?}: only package_name has a value"
    )]
    Field {
        /// The annotation.
        annotation: String,
        /// Its template.
        template: String,
    },
    /// Several images under one name.
    #[error("{file} - Found conflicts when setting relatedImages:\n{}", first(.conflicts, Clone::clone, "\n"))]
    Conflicts {
        /// The file.
        file: String,
        /// Two places each, and what they name.
        conflicts: Vec<String>,
    },
    /// A variable that takes its value from elsewhere.
    #[error("{file}: {variable}: \"valueFrom\" references are not supported")]
    ValueFrom {
        /// The file.
        file: String,
        /// The variable.
        variable: String,
    },
    /// A file whose changes cannot be written.
    #[error(
        "{0} cannot be changed: it is written in a way that this service does not know to write; write it without tags, anchors and keys that are no texts"
    )]
    Unwritten(String),
    /// A CSV that is not made as one.
    #[error("{file}: line {line}: {fault}")]
    Shape {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what is expected.
        fault: String,
    },
}

/// The annotation and label with the name of the package.
pub(crate) const PACKAGE: &str = "operators.operatorframework.io.bundle.package.v1";

/// How many of a list are told: what is told goes into the record of a request.
const TOLD: usize = 50;

/// The first of a list, and how many more there are.
fn first<T>(list: &[T], told: impl Fn(&T) -> String, between: &str) -> String {
    let more = list.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("… and {more} more"));
    let first = list.iter().take(TOLD).map(told);
    first.chain(more).collect::<Vec<_>>().join(between)
}

/// The sentence users know, once for each image.
fn not_inspected(images: &[String]) -> String {
    let sentence = |image: &String| {
        format!("Failed to inspect docker://{image}. Make sure it exists and is accessible to IIB.")
    };
    first(images, sentence, " ")
}
