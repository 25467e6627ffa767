//! Whether a bundle has to say up to which platform it works (worker flows §11).

use crate::document::MANIFESTS;
use crate::json::{Json, parse_json};

/// The property that says so.
const PROPERTY: &str = "olm.maxOpenShiftVersion";

/// Kinds of APIs that platform 4.9 removed, by group; all of them in version v1beta1.
const REMOVED: [(&str, &[&str]); 12] = [
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "rbac.authorization.k8s.io",
        &["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"],
    ),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["TokenReview"]),
    (
        "authorization.k8s.io",
        &[
            "LocalSubjectAccessReview",
            "SelfSubjectAccessReview",
            "SubjectAccessReview",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("coordination.k8s.io", &["Lease"]),
    ("extensions", &["Ingress"]),
    ("networking.k8s.io", &["Ingress", "IngressClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
    ),
    ("certificates.k8s.io", &["CertificateSigningRequest"]),
];

/// An object of an API that newer platforms do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}: {kind} of {api_version} is gone from OpenShift 4.{minor} on, so a cluster there does not take the bundle"
)]
pub struct RemovedApi {
    /// The file, by its path in the bundle.
    pub file: String,
    /// The API, with its version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The first platform without it: this of 4.
    pub minor: u64,
}

/// APIs that were removed after platform 4.9, with their version and the kinds; the first platform without them: this
/// of 4 (the deprecation guide of Kubernetes; platform 4.N has Kubernetes 1.(N+13)).
const REMOVED_LATER: [(u64, &str, &[&str]); 13] = [
    (12, "batch/v1beta1", &["CronJob"]),
    (12, "discovery.k8s.io/v1beta1", &["EndpointSlice"]),
    (12, "events.k8s.io/v1beta1", &["Event"]),
    (12, "autoscaling/v2beta1", &["HorizontalPodAutoscaler"]),
    (
        12,
        "policy/v1beta1",
        &["PodDisruptionBudget", "PodSecurityPolicy"],
    ),
    (12, "node.k8s.io/v1beta1", &["RuntimeClass"]),
    (13, "autoscaling/v2beta2", &["HorizontalPodAutoscaler"]),
    (13, "flowcontrol.apiserver.k8s.io/v1beta1", FLOWS),
    (14, "storage.k8s.io/v1beta1", &["CSIStorageCapacity"]),
    (16, "flowcontrol.apiserver.k8s.io/v1beta2", FLOWS),
    (19, "flowcontrol.apiserver.k8s.io/v1beta3", FLOWS),
    (
        3,
        "extensions/v1beta1",
        &[
            "Deployment",
            "DaemonSet",
            "ReplicaSet",
            "NetworkPolicy",
            "PodSecurityPolicy",
        ],
    ),
    (
        3,
        "apps/v1beta2",
        &["Deployment", "DaemonSet", "ReplicaSet", "StatefulSet"],
    ),
];

const FLOWS: &[&str] = &["FlowSchema", "PriorityLevelConfiguration"];

/// The objects of a bundle, in the files of these names, that newer platforms do not take.
pub(crate) fn removed_apis(names: &[&str], objects: &[Json]) -> Vec<RemovedApi> {
    let found = names.iter().zip(objects).filter_map(|(name, object)| {
        let text = |key| object.get(key).and_then(Json::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let later = REMOVED_LATER.iter();
        let mut later =
            later.filter(|(_, api, kinds)| *api == api_version && kinds.contains(&kind));
        let minor = match is_removed(object) {
            true => 9,
            false => later.next()?.0,
        };
        Some(RemovedApi {
            file: format!("{MANIFESTS}{name}"),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            minor,
        })
    });
    found.collect()
}

/// Whether a bundle uses an API that platform 4.9 removed and does not say that it ends before.
/// `annotation` is the CSV's `olm.properties`.
pub(crate) fn needs_max_version(objects: &[Json], annotation: Option<&str>) -> bool {
    objects.iter().any(is_removed) && !ends_before(annotation.unwrap_or_default())
}

fn is_removed(object: &Json) -> bool {
    let text = |key| object.get(key).and_then(Json::as_str).unwrap_or_default();
    let group = text("apiVersion").strip_suffix("/v1beta1");
    let kinds = REMOVED.iter().find(|(name, _)| Some(*name) == group);
    kinds.is_some_and(|(_, kinds)| kinds.contains(&text("kind")))
}

/// Whether the annotation ends the bundle's life in time, or cannot be judged as the reference
/// judges it.
fn ends_before(annotation: &str) -> bool {
    if annotation.is_empty() {
        return false;
    }
    let Some(entries) = entries(annotation) else {
        return !annotation.contains(PROPERTY);
    };
    let mut entries = entries.into_iter();
    let found = entries.find(|(kind, _)| kind == PROPERTY);
    found.is_some_and(|(_, value)| version(&value).is_none_or(|version| version < (4, 9)))
}

/// Types and values of the annotation; `None` if it is no list of such texts.
fn entries(annotation: &str) -> Option<Vec<(String, String)>> {
    let text = |entry: &Json, key| match entry.get(key) {
        None | Some(Json::Null) => Some(String::new()),
        Some(value) => value.as_str().map(str::to_owned),
    };
    match parse_json(annotation).ok()? {
        Json::Null => Some(Vec::new()),
        Json::Array(entries) => entries
            .iter()
            .map(|entry| match entry {
                Json::Object(_) | Json::Null => Some((text(entry, "type")?, text(entry, "value")?)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// Major and minor number of a version that may lack others; `None` for what is none.
fn version(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix('v').unwrap_or(text);
    let numbers = text.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>().ok());
    let (major, minor, patch) = (parts.next()?, parts.next(), parts.next());
    if minor == Some(None) || patch == Some(None) || parts.next().is_some() {
        return None;
    }
    Some((major?, minor.flatten().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{needs_max_version, removed_apis};
    use crate::parse_json;

    fn needs(object: &str, annotation: Option<&str>) -> bool {
        needs_max_version(&[parse_json(object).unwrap()], annotation)
    }

    const OLD: &str = r#"{"apiVersion": "extensions/v1beta1", "kind": "Ingress"}"#;

    #[test]
    fn only_removed_apis_count() {
        assert!(needs(OLD, None));
        let crd =
            r#"{"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "CustomResourceDefinition"}"#;
        assert!(needs(crd, None));
        for object in [
            crd.replace("v1beta1", "v1"),
            OLD.replace("Ingress", "Deployment"),
            OLD.replace("extensions", "policy"),
            "{}".to_owned(),
        ] {
            assert!(!needs(&object, None), "{object}");
        }
    }

    #[test]
    fn each_api_is_told_with_the_first_platform_without_it() {
        for (object, minor) in [
            (OLD, Some(9)),
            (
                r#"{"apiVersion": "batch/v1beta1", "kind": "CronJob"}"#,
                Some(12),
            ),
            (
                r#"{"apiVersion": "extensions/v1beta1", "kind": "Deployment"}"#,
                Some(3),
            ),
            (r#"{"apiVersion": "batch/v1", "kind": "CronJob"}"#, None),
        ] {
            let found = removed_apis(&["a.yaml"], &[parse_json(object).unwrap()]);
            let found = found.first().map(|found| (&*found.file, found.minor));
            assert_eq!(
                found,
                minor.map(|minor| ("manifests/a.yaml", minor)),
                "{object}"
            );
        }
    }

    #[test]
    fn the_annotation_decides() {
        let entry =
            |value: &str| format!(r#"[{{"type": "olm.maxOpenShiftVersion", "value": {value}}}]"#);
        for (annotation, expect) in [
            (String::new(), true),
            ("[]".to_owned(), true),
            (r#"[{"type": "other", "value": "4.8"}]"#.to_owned(), true),
            (entry("\"4.9\""), true),
            (entry("\"4.10\""), true),
            (entry("\"5\""), true),
            (entry("\"4.8\""), false),
            (entry("\"4.8.1\""), false),
            (entry("\"v4.6\""), false),
            (entry("\"soon\""), false),
            (entry("4.8"), true),
            (r#"[{"type": "x", "value": {}}]"#.to_owned(), false),
            ("nonsense".to_owned(), false),
        ] {
            assert_eq!(needs(OLD, Some(&annotation)), expect, "{annotation}");
        }
        let two = r#"[{"type": "olm.maxOpenShiftVersion", "value": "4.8"},
                      {"type": "olm.maxOpenShiftVersion", "value": "4.10"}]"#;
        assert!(!needs(OLD, Some(two)));
    }
}
