//! Members of stored documents that this version has no name for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a newer version has put into a document of a format we know. It is written back where it
/// was, so that going back a version, and forth again, loses nothing (ten kinds §3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unknown(Map<String, Value>);
