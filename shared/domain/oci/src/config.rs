//! Image configurations: what is read of them, and the one of a new image on top of a base.

mod derive;
mod error;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use derive::{ConfigEdit, RunSettings};
pub use error::ConfigError;

use crate::{Arch, Digest};

/// The largest configuration that is read, in bytes. Real ones have some KiB; containers' own
/// image library stops at 4 MiB.
pub const CONFIG_LIMIT: usize = 4 * 1024 * 1024;

/// An image configuration of either family.
///
/// Whatever the document has beside the fields known here is kept. The fields that are read were
/// checked once, when the document was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageConfig {
    document: Map<String, Value>,
    labels: BTreeMap<String, String>,
    diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`]; the image cannot be used (class Reject).
    pub fn read(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > CONFIG_LIMIT {
            return Err(ConfigError::TooLarge {
                size: bytes.len(),
                limit: CONFIG_LIMIT,
            });
        }
        Self::from_document(serde_json::from_slice(bytes).map_err(ConfigError::Malformed)?)
    }

    /// The configuration of an image without layers, for Linux on this architecture: what
    /// building on `scratch` starts from.
    pub fn scratch(arch: &Arch) -> Self {
        let mut document = Map::new();
        document.insert("architecture".to_owned(), arch.as_str().into());
        document.insert("os".to_owned(), "linux".into());
        document.insert("config".to_owned(), json!({}));
        document.insert("history".to_owned(), json!([]));
        document.insert(
            "rootfs".to_owned(),
            json!({"type": "layers", "diff_ids": []}),
        );
        Self {
            document,
            labels: BTreeMap::new(),
            diff_ids: Vec::new(),
        }
    }

    fn from_document(document: Map<String, Value>) -> Result<Self, ConfigError> {
        for field in ["architecture", "os", "variant"] {
            expect(&document, field, field, Value::is_string, "text")?;
        }
        expect(&document, "history", "history", Value::is_array, "a list")?;
        expect(&document, "rootfs", "rootfs", Value::is_object, "an object")?;
        expect(&document, "config", "config", Value::is_object, "an object")?;
        let empty = Map::new();
        let run = document
            .get("config")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        for (field, path) in [
            ("Labels", "config.Labels"),
            ("ExposedPorts", "config.ExposedPorts"),
        ] {
            expect(run, field, path, Value::is_object, "an object")?;
        }
        let labels = read_labels(run)?;
        let diff_ids = read_diff_ids(&document)?;
        Ok(Self {
            document,
            labels,
            diff_ids,
        })
    }

    /// The same saying what it is for, where it did not: an OCI configuration has to (OCI image
    /// specification 1.1, `config.md`).
    #[must_use]
    pub fn stating_platform(mut self, arch: &Arch) -> Self {
        for (field, value) in [("architecture", arch.as_str()), ("os", "linux")] {
            let is_stated = self
                .document
                .get(field)
                .is_some_and(|stated| !stated.is_null());
            if !is_stated {
                self.document.insert(field.to_owned(), value.into());
            }
        }
        self
    }

    /// The architecture, if stated.
    pub fn architecture(&self) -> Option<&str> {
        self.document.get("architecture").and_then(Value::as_str)
    }

    /// The operating system, if stated.
    pub fn os(&self) -> Option<&str> {
        self.document.get("os").and_then(Value::as_str)
    }

    /// The variant of the architecture (`v8`), if stated.
    pub fn variant(&self) -> Option<&str> {
        self.document.get("variant").and_then(Value::as_str)
    }

    /// When the image was created, if it says so in a way that can be read.
    pub fn created(&self) -> Option<Timestamp> {
        self.document.get("created")?.as_str()?.parse().ok()
    }

    /// The labels, by name.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Digests of the unpacked layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.diff_ids
    }

    /// The whole document.
    pub fn document(&self) -> &Map<String, Value> {
        &self.document
    }

    /// The bytes to push: without blanks and with sorted names, so that equal configurations
    /// have equal digests.
    ///
    /// # Errors
    /// Never for values made here; the error is that of the JSON writer.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut document = Value::Object(self.document.clone());
        // Names are sorted anyway unless some crate of the build switches `preserve_order` on.
        document.sort_all_objects();
        serde_json::to_vec(&document)
    }
}

/// A field that is absent or null, or of this type.
fn expect(
    object: &Map<String, Value>,
    field: &str,
    path: &'static str,
    is_type: fn(&Value) -> bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if is_type(value) => Ok(()),
        Some(_) => Err(ConfigError::Field { path, expected }),
    }
}

fn read_labels(run: &Map<String, Value>) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(labels) = run.get("Labels").and_then(Value::as_object) else {
        return Ok(BTreeMap::new());
    };
    let text = |(name, value): (&String, &Value)| match value.as_str() {
        Some(value) => Ok((name.clone(), value.to_owned())),
        None => Err(ConfigError::Label(name.clone())),
    };
    labels.iter().map(text).collect()
}

fn read_diff_ids(document: &Map<String, Value>) -> Result<Vec<Digest>, ConfigError> {
    let diff_ids = document
        .get("rootfs")
        .and_then(|rootfs| rootfs.get("diff_ids"))
        .filter(|diff_ids| !diff_ids.is_null());
    let Some(diff_ids) = diff_ids else {
        return Ok(Vec::new());
    };
    let wrong = ConfigError::Field {
        path: "rootfs.diff_ids",
        expected: "a list of texts",
    };
    let Some(diff_ids) = diff_ids.as_array() else {
        return Err(wrong);
    };
    let mut digests = Vec::with_capacity(diff_ids.len());
    for (number, diff_id) in diff_ids.iter().enumerate() {
        let Some(text) = diff_id.as_str() else {
            return Err(wrong);
        };
        let digest = text
            .parse()
            .map_err(|source| ConfigError::DiffId { number, source })?;
        digests.push(digest);
    }
    Ok(digests)
}

#[cfg(test)]
mod tests;
