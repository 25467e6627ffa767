//! The configuration of an image that is a base with one more layer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ConfigError, ImageConfig};
use crate::Digest;

/// Fields that older versions of Docker left in configurations. They describe how the base was
/// built, on which machine and from which image, and would be wrong for the new image.
const BUILD_REMAINS: [&str; 6] = [
    "container",
    "container_config",
    "docker_version",
    "id",
    "parent",
    "parent_id",
];

/// What a new image has beyond its base. All else is inherited: environment, user, working
/// directory and whatever the base's configuration holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// Digest of the unpacked layer that comes on top.
    pub diff_id: Digest,
    /// What the layer holds, for the image's history: `/database/index.db`.
    pub layer_content: String,
    /// Labels to set; those of the base stay unless they have the same name.
    pub labels: BTreeMap<String, String>,
    /// How the image is run, unless like the base.
    pub run: Option<RunSettings>,
    /// When the image is said to have been created: never the clock, so that equal input gives equal
    /// digests.
    pub created: Timestamp,
}

/// How an image is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// The program.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub cmd: Vec<String>,
    /// A port it listens on, such as `50051/tcp`. Those of the base stay.
    pub exposed_port: Option<String>,
}

impl RunSettings {
    /// A SQLite index served by opm: what opm's Dockerfile for an index says (recorded in the
    /// conformance cases, e.g. `e2e/add-one-four-arches.json`).
    pub fn serve_database() -> Self {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            entrypoint: own(&["/bin/opm"]),
            cmd: own(&["registry", "serve", "--database", "/database/index.db"]),
            exposed_port: Some("50051/tcp".to_owned()),
        }
    }

    /// A file-based catalog served by opm, from a cache that is made already (worker flows §15).
    pub fn serve_catalog() -> Self {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            entrypoint: own(&["/bin/opm"]),
            cmd: own(&["serve", "/configs", "--cache-dir=/tmp/cache"]),
            exposed_port: None,
        }
    }
}

impl ImageConfig {
    /// The configuration of an image that has this one's layers and one more.
    ///
    /// `base_layers` is the number of layers in the base's manifest.
    ///
    /// # Errors
    /// [`ConfigError::LayerCount`] and [`ConfigError::OnBuild`]: the base cannot be built on
    /// (class Reject).
    pub fn with_layer(&self, base_layers: usize, edit: &ConfigEdit) -> Result<Self, ConfigError> {
        if self.diff_ids.len() != base_layers {
            return Err(ConfigError::LayerCount {
                diff_ids: self.diff_ids.len(),
                layers: base_layers,
            });
        }
        let mut document = self.document.clone();
        for field in BUILD_REMAINS {
            document.remove(field);
        }
        document.insert("created".to_owned(), edit.created.to_string().into());
        let mut run = take_object(&mut document, "config");
        set_run(&mut run, edit)?;
        document.insert("config".to_owned(), Value::Object(run));
        let diff_ids: Vec<&str> = self
            .diff_ids
            .iter()
            .chain([&edit.diff_id])
            .map(Digest::as_str)
            .collect();
        let mut rootfs = take_object(&mut document, "rootfs");
        rootfs.insert("type".to_owned(), "layers".into());
        rootfs.insert("diff_ids".to_owned(), json!(diff_ids));
        document.insert("rootfs".to_owned(), Value::Object(rootfs));
        let mut entries = match document.remove("history") {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        entries.extend(history(edit));
        document.insert("history".to_owned(), Value::Array(entries));
        Self::from_document(document)
    }

    /// The configuration without the layer on top, if [`Self::with_layer`] put it there with this
    /// content; `None` if it did not. Settings stay.
    pub fn without_layer(&self, content: &str) -> Option<Self> {
        let mut entries = self.document.get("history")?.as_array()?.clone();
        let has_layer = |entry: &Value| entry.get("empty_layer") != Some(&Value::Bool(true));
        let top = entries.iter().rposition(has_layer)?;
        let made = entries.remove(top);
        if made.get("created_by")?.as_str()? != created_by(content) {
            return None;
        }
        let mut without = self.clone();
        without.diff_ids.pop()?;
        let diff_ids: Vec<&str> = without.diff_ids.iter().map(Digest::as_str).collect();
        let mut rootfs = take_object(&mut without.document, "rootfs");
        rootfs.insert("diff_ids".to_owned(), json!(diff_ids));
        without
            .document
            .insert("rootfs".to_owned(), Value::Object(rootfs));
        without
            .document
            .insert("history".to_owned(), Value::Array(entries));
        Some(without)
    }
}

/// What the history says of a layer with this content.
fn created_by(content: &str) -> String {
    format!("iib-serverless: add {content}")
}

fn set_run(run: &mut Map<String, Value>, edit: &ConfigEdit) -> Result<(), ConfigError> {
    if (run.get("OnBuild").and_then(Value::as_array)).is_some_and(|triggers| !triggers.is_empty()) {
        return Err(ConfigError::OnBuild);
    }
    // The image the base was built from: one of Docker's remains, like those at the top.
    run.remove("Image");
    if !edit.labels.is_empty() {
        let mut labels = take_object(run, "Labels");
        for (name, value) in &edit.labels {
            labels.insert(name.clone(), value.as_str().into());
        }
        run.insert("Labels".to_owned(), Value::Object(labels));
    }
    if let Some(settings) = &edit.run {
        run.insert("Entrypoint".to_owned(), json!(settings.entrypoint));
        run.insert("Cmd".to_owned(), json!(settings.cmd));
        if let Some(port) = &settings.exposed_port {
            let mut ports = take_object(run, "ExposedPorts");
            ports.insert(port.clone(), json!({}));
            run.insert("ExposedPorts".to_owned(), Value::Object(ports));
        }
    }
    Ok(())
}

/// One entry for the settings, if there are any, and one for the layer: there must be as many
/// entries with a layer as there are layers.
fn history(edit: &ConfigEdit) -> impl Iterator<Item = Value> {
    let created = edit.created.to_string();
    let mut settings: Vec<String> = edit.labels.keys().map(|l| format!("label {l}")).collect();
    if edit.run.is_some() {
        settings.push("entry point, arguments and port".to_owned());
    }
    let settings = (!settings.is_empty()).then(|| {
        json!({
            "created": created,
            "created_by": format!("iib-serverless: set {}", settings.join(", ")),
            "empty_layer": true,
        })
    });
    let layer = json!({
        "created": created,
        "created_by": created_by(&edit.layer_content),
    });
    settings.into_iter().chain([layer])
}

/// Takes the object out of this field; an empty one if it is absent or null. Its type was checked
/// when the configuration was read.
fn take_object(parent: &mut Map<String, Value>, field: &str) -> Map<String, Value> {
    match parent.remove(field) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
