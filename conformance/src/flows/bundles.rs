//! Bundles that have no more than a trace says of them.

use std::collections::BTreeMap;

use iib_bundle::BundleFiles;
use serde_json::json;

use super::trace::Trace;

const PACKAGE: &str = "operators.operatorframework.io.bundle.package.v1";

/// The property whose absence the validator complains about (worker flows §11).
pub(super) const MAX_VERSION: &str = "olm.maxOpenShiftVersion";

/// The package that labels name.
pub(super) fn package_of(labels: &BTreeMap<String, String>) -> &str {
    labels.get(PACKAGE).map(String::as_str).unwrap_or_default()
}

/// A bundle.
#[derive(Debug)]
pub(super) struct Synthetic {
    /// The name of its ClusterServiceVersion.
    pub(super) name: String,
    /// The name of the bundle it takes the place of.
    pub(super) replaces: Option<String>,
    package: String,
    version: String,
    uses_removed_apis: bool,
}

impl Synthetic {
    /// One without more than names.
    pub(super) fn new(package: &str, version: &str) -> Self {
        Self {
            name: format!("{package}.v{version}"),
            replaces: None,
            package: package.to_owned(),
            version: version.to_owned(),
            uses_removed_apis: false,
        }
    }

    /// The one behind an image of a trace, with that in it for which validator and index tool say there what they
    /// say.
    pub(super) fn of(trace: &Trace, digest: &str, package: &str, version: &str) -> Self {
        let mut bundle = Self::new(package, version);
        bundle.uses_removed_apis = complaints(trace).any(|image| image.ends_with(digest));
        let mut refusals = trace.world.failing_commands.iter();
        bundle.replaces = refusals.find_map(|(_, said)| replaced(said, &bundle.name));
        bundle
    }

    /// Its files.
    pub(super) fn files(&self) -> BundleFiles {
        let mut spec = json!({
            "version": self.version,
            "install": {"strategy": "deployment", "spec": {"deployments": []}},
        });
        if let Some(replaces) = &self.replaces {
            spec["replaces"] = replaces.as_str().into();
        }
        let csv = json!({
            "apiVersion": "operators.coreos.com/v1alpha1",
            "kind": "ClusterServiceVersion",
            "metadata": {"name": self.name},
            "spec": spec,
        });
        let mut manifests = BTreeMap::from([("csv.yaml".to_owned(), csv.to_string().into())]);
        if self.uses_removed_apis {
            let role = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1beta1",
                "kind": "Role",
                "metadata": {"name": self.package},
            });
            manifests.insert("role.yaml".to_owned(), role.to_string().into());
        }
        let annotations = json!({"annotations": {
            "operators.operatorframework.io.bundle.mediatype.v1": "registry+v1",
            "operators.operatorframework.io.bundle.manifests.v1": "manifests/",
            "operators.operatorframework.io.bundle.metadata.v1": "metadata/",
            PACKAGE: self.package,
            "operators.operatorframework.io.bundle.channels.v1": "stable",
            "operators.operatorframework.io.bundle.channel.default.v1": "stable",
        }});
        let metadata = [(
            "annotations.yaml".to_owned(),
            annotations.to_string().into(),
        )];
        BundleFiles {
            manifests,
            metadata: Some(metadata.into()),
        }
    }

    /// The same as they lie in an image.
    pub(super) fn image_files(&self) -> BTreeMap<String, Vec<u8>> {
        let BundleFiles {
            manifests,
            metadata,
        } = self.files();
        let in_folder = |folder: &'static str, files: BTreeMap<String, Vec<u8>>| {
            let files = files.into_iter();
            files.map(move |(name, content)| (format!("{folder}/{name}"), content))
        };
        let metadata = in_folder("metadata", metadata.unwrap_or_default());
        in_folder("manifests", manifests).chain(metadata).collect()
    }
}

const REPLACES: &str = " replaces nonexistent bundle ";
const NOT_REMOVED: &str = "error removing operator package ";

/// Whether there is content for which the index tool says such a thing.
pub(super) fn is_reachable(said: &str) -> bool {
    said.contains(REPLACES) || said.contains(NOT_REMOVED)
}

/// The bundles of which the validator says that they need the property.
pub(super) fn complaints(trace: &Trace) -> impl Iterator<Item = &str> {
    let said = trace.world.validator_output.iter();
    let complaints = said.filter(|(_, output)| output.contains(MAX_VERSION));
    complaints.map(|(image, _)| image.as_str())
}

/// The missing bundle that a refusal says this one replaces.
fn replaced(said: &str, name: &str) -> Option<String> {
    let (_, rest) = said.split_once(&format!("bundle {name}{REPLACES}"))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The package that is not removed for want of an entry in a channel (spec index-database §8.3).
pub(super) fn without_entries(trace: &Trace) -> Option<&str> {
    let mut said = trace.world.failing_commands.iter();
    said.find_map(|(_, said)| {
        let (_, rest) = said.split_once(NOT_REMOVED)?;
        rest.split(['"', ':']).next()
    })
}
