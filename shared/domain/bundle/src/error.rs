//! Why a bundle is refused. `Display` ends with the reference's message (kinds in the conformance
//! suite's `errors.json`); file and member stand in front of it, and what to do about it is in
//! [`BundleError::hint`].

use crate::apis::ApiFault;
use crate::document::{MANIFESTS, MAX_FILE, METADATA};
use crate::json::MAX_DEPTH;
use crate::properties::PropertyFault;
use crate::typed::TypeMismatch;
use crate::yaml::{MAX_NODES, MAX_TEXT};

/// A limit on foreign files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of a file.
    #[error("larger than {MAX_FILE} bytes")]
    FileSize,
    /// Levels of nesting.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// Values and text with aliases written out.
    #[error("larger than {MAX_NODES} values or {MAX_TEXT} bytes once its aliases are written out")]
    Expansion,
}

/// A file that the reference passes over because it is neither JSON nor YAML, or no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}: {fault}")]
pub struct Unreadable {
    /// The folder and the file's name.
    pub file: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: String,
}

/// Why the files of a bundle image are no bundle (spec index-database §3).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// No manifest is an object.
    #[error("no bundle objects found")]
    NoObjects,
    /// No manifest is a ClusterServiceVersion.
    #[error("no csv in bundle")]
    NoCsv,
    /// A member of the CSV's metadata has the wrong type.
    #[error("{fault}")]
    CsvMetadata {
        /// The reference's words; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// A CRD cannot be decoded.
    #[error("error decoding {version} CRD: {fault}")]
    Crd {
        /// `v1` or `v1beta1`.
        version: &'static str,
        /// What is wrong; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// An owned API is not in the bundle, or cannot be read.
    #[error("{}error checking provided apis in bundle {bundle}: {fault}", missing(.fault))]
    ProvidedApis {
        /// The bundle's name.
        bundle: String,
        /// What is wrong; part of the message, so not a source.
        fault: ApiFault,
    },
    /// There is no folder `metadata`.
    #[error("open metadata: no such file or directory")]
    NoMetadata,
    /// No file of `metadata` holds annotations.
    #[error("Could not find annotations file")]
    NoAnnotations,
    /// The version has the wrong type.
    #[error("failed to derive properties: {fault}")]
    Version {
        /// What is wrong; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// `spec.replaces` has the wrong type.
    #[error("failed to validate replaces for bundle {bundle}({image}): {fault}")]
    Replaces {
        /// The bundle's name.
        bundle: String,
        /// Its image.
        image: String,
        /// What is wrong; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// `spec.skips` has the wrong type.
    #[error("failed to validate skipped entries for bundle {bundle}({image}): {fault}")]
    Skips {
        /// The bundle's name.
        bundle: String,
        /// Its image.
        image: String,
        /// What is wrong; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// The CSV has no name.
    #[error("csv name not found")]
    NoName,
    /// The deployments or related images cannot be read.
    #[error("unable to obtain images : {fault}")]
    Images {
        /// What is wrong; part of the message, so not a source.
        fault: TypeMismatch,
    },
    /// The required APIs cannot be read.
    #[error("failed to add dependencies : {fault}")]
    Dependencies {
        /// What is wrong; part of the message, so not a source.
        fault: ApiFault,
    },
    /// The annotation `olm.properties` cannot be read.
    #[error("failed to add properties : {fault}")]
    Properties {
        /// What is wrong; part of the message, so not a source.
        fault: PropertyFault,
    },
    /// Something is missing, and there are files that cannot be read.
    #[error("{}; it is passed over, and so: {refusal}", joined(.files))]
    Unreadable {
        /// The files; at least one.
        files: Vec<Unreadable>,
        /// What is missing without them; part of the message, so not a source.
        refusal: Box<BundleError>,
    },
    /// Something in a file is not what it has to be, or one of the above because of that.
    #[error("{file}: {told}: {refusal}")]
    Member {
        /// The folder and the file's name.
        file: String,
        /// Which member, what stands there, what is expected.
        told: String,
        /// The refusal in the reference's words; part of the message, so not a source.
        refusal: Box<BundleError>,
    },
    /// A property or dependency in a file of `metadata` that nobody could read back from the index.
    #[error("{file}: {}", .fault.told())]
    Property {
        /// The folder and the file's name.
        file: String,
        /// What is wrong; part of the message, so not a source.
        fault: PropertyFault,
    },
    /// A file passes a limit of this implementation.
    #[error("file {file} of the bundle is {limit}")]
    Limit {
        /// The folder and the file's name.
        file: String,
        /// The limit; part of the message, so not a source.
        limit: Limit,
    },
}

/// What an API that is missing means, to stand in front of the reference's words.
fn missing(fault: &ApiFault) -> String {
    match fault {
        ApiFault::Missing { .. } => format!("{}: ", fault.told()),
        _ => String::new(),
    }
}

fn joined(files: &[Unreadable]) -> String {
    let files: Vec<String> = files.iter().map(Unreadable::to_string).collect();
    files.join("; ")
}

impl BundleError {
    /// The same with the reason in front, if something is missing that may be in a file that was
    /// passed over.
    pub(crate) fn for_want_of(self, mut passed_over: Vec<Unreadable>) -> Self {
        let folder = match self {
            Self::NoObjects
            | Self::NoCsv
            | Self::ProvidedApis {
                fault: ApiFault::Missing { .. },
                ..
            } => MANIFESTS,
            Self::NoAnnotations => METADATA,
            _ => return self,
        };
        passed_over.retain(|file| file.file.starts_with(folder));
        if passed_over.is_empty() {
            return self;
        }
        Self::Unreadable {
            files: passed_over,
            refusal: Box::new(self),
        }
    }

    /// The same with the file and the member in front, where it is about a member.
    pub(crate) fn in_file(self, file: &str) -> Self {
        let told = match &self {
            Self::CsvMetadata { fault }
            | Self::Crd { fault, .. }
            | Self::Version { fault }
            | Self::Replaces { fault, .. }
            | Self::Skips { fault, .. }
            | Self::Images { fault } => fault.told(),
            Self::ProvidedApis { fault, .. } | Self::Dependencies { fault } => match fault {
                ApiFault::Missing { .. } => return self,
                _ => fault.told(),
            },
            Self::Properties { fault } => fault.told(),
            _ => return self,
        };
        Self::Member {
            file: format!("{MANIFESTS}{file}"),
            told,
            refusal: Box::new(self),
        }
    }

    /// What the user can do, as a sentence of its own; `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoObjects | Self::NoCsv => Some(
                "put the ClusterServiceVersion and the other objects, one per file, directly into \
                 /manifests of the image",
            ),
            Self::NoMetadata | Self::NoAnnotations => Some(
                "put a file with the bundle's annotations (package, channels) into /metadata of \
                 the image",
            ),
            Self::Member { refusal, .. } => refusal.hint(),
            Self::Property { .. } => Some(
                "write properties and dependencies as {type, value}, values as their type has them",
            ),
            Self::ProvidedApis {
                fault: ApiFault::Missing { .. },
                ..
            } => Some(
                "put every CRD the CSV owns into /manifests, with the same group, version, kind \
                 and plural",
            ),
            Self::Version { .. } => Some("write spec.version as a string, in quotes"),
            Self::NoName => Some("set metadata.name of the ClusterServiceVersion"),
            Self::Images { .. } => Some(
                "correct the type in spec.install or spec.relatedImages of the \
                 ClusterServiceVersion; bare y, yes, no, on and off are booleans in YAML",
            ),
            Self::Properties { .. } => {
                Some("write the annotation olm.properties as a JSON list of {type, value}")
            }
            Self::Unreadable { .. } => Some("correct the file at that line"),
            Self::Limit { .. } => Some("split the object or remove what the cluster does not need"),
            Self::ProvidedApis { .. }
            | Self::CsvMetadata { .. }
            | Self::Crd { .. }
            | Self::Replaces { .. }
            | Self::Skips { .. }
            | Self::Dependencies { .. } => None,
        }
    }
}
