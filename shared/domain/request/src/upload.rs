//! Files that users upload for a request.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a file is, which says how it is checked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum UploadKind {
    /// The log of a build elsewhere: text.
    #[serde(rename = "logs")]
    Log,
    /// A fragment of a file-based catalog: JSON or YAML documents, each with a `schema`.
    #[serde(rename = "fragments")]
    Fragment,
    /// A bundle's files: a tar archive, compressed or not.
    #[serde(rename = "bundles")]
    Bundle,
    /// Related bundles: a JSON list of pull specs.
    #[serde(rename = "related_bundles")]
    RelatedBundles,
}

/// A text names no kind of upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of upload: use logs, fragments, bundles or related_bundles")]
pub struct NoUploadKind;

impl UploadKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Log,
        Self::Fragment,
        Self::Bundle,
        Self::RelatedBundles,
    ];

    /// The name in keys and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "logs",
            Self::Fragment => "fragments",
            Self::Bundle => "bundles",
            Self::RelatedBundles => "related_bundles",
        }
    }
}

impl fmt::Display for UploadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UploadKind {
    type Err = NoUploadKind;

    fn from_str(text: &str) -> Result<Self, NoUploadKind> {
        let named = |kind: &Self| kind.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(NoUploadKind)
    }
}

/// Names a secret that the store of secrets keeps; by itself it is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);
