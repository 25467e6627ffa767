//! A CSV as one typed object. The reference decodes the CSV of a default channel's head like that, and
//! only that one, when it makes a catalog of an index (spec index-database §11.6); newer versions do so
//! with every CSV that they make `olm.csv.metadata` of (newest-opm §1).

use iib_catalog::Version;

use crate::deployment::{DEPLOYMENT_SPEC, LABEL_SELECTOR, OBJECT_META};
use crate::json::{Json, JsonError, parse_json};
use crate::typed::{Shape, TypeMismatch, items, member, text};

const STRINGS: Shape = Shape::List("[]string", &Shape::Str);
const STRING_MAP: Shape = Shape::Map("map[string]string", &Shape::Str);

static RULE: Shape = Shape::Struct(
    "v1.PolicyRule",
    &[
        ("verbs", STRINGS),
        ("apiGroups", STRINGS),
        ("resources", STRINGS),
        ("resourceNames", STRINGS),
        ("nonResourceURLs", STRINGS),
    ],
);
static PERMISSIONS: Shape = Shape::Struct(
    "v1alpha1.StrategyDeploymentPermissions",
    &[
        ("serviceAccountName", Shape::Str),
        ("rules", Shape::List("[]v1.PolicyRule", &RULE)),
    ],
);
static DEPLOYMENT: Shape = Shape::Struct(
    "v1alpha1.StrategyDeploymentSpec",
    &[
        ("name", Shape::Str),
        ("spec", Shape::Ref(&DEPLOYMENT_SPEC)),
        ("label", STRING_MAP),
    ],
);
static STRATEGY_SPEC: Shape = Shape::Struct(
    "v1alpha1.StrategyDetailsDeployment",
    &[
        (
            "deployments",
            Shape::List("[]v1alpha1.StrategyDeploymentSpec", &DEPLOYMENT),
        ),
        (
            "permissions",
            Shape::List("[]v1alpha1.StrategyDeploymentPermissions", &PERMISSIONS),
        ),
        (
            "clusterPermissions",
            Shape::List("[]v1alpha1.StrategyDeploymentPermissions", &PERMISSIONS),
        ),
    ],
);
static STRATEGY: Shape = Shape::Struct(
    "v1alpha1.NamedInstallStrategy",
    &[
        ("strategy", Shape::Str),
        ("spec", Shape::Ref(&STRATEGY_SPEC)),
    ],
);
static DESCRIPTOR: Shape = Shape::Struct(
    "v1alpha1.SpecDescriptor",
    &[
        ("path", Shape::Str),
        ("displayName", Shape::Str),
        ("description", Shape::Str),
        ("x-descriptors", STRINGS),
    ],
);
const DESCRIPTORS: Shape = Shape::List("[]v1alpha1.SpecDescriptor", &DESCRIPTOR);
static RESOURCE: Shape = Shape::Struct(
    "v1alpha1.APIResourceReference",
    &[
        ("name", Shape::Str),
        ("kind", Shape::Str),
        ("version", Shape::Str),
    ],
);
const RESOURCES: Shape = Shape::List("[]v1alpha1.APIResourceReference", &RESOURCE);
static CRD: Shape = Shape::Struct(
    "v1alpha1.CRDDescription",
    &[
        ("name", Shape::Str),
        ("version", Shape::Str),
        ("kind", Shape::Str),
        ("displayName", Shape::Str),
        ("description", Shape::Str),
        ("resources", RESOURCES),
        ("statusDescriptors", DESCRIPTORS),
        ("specDescriptors", DESCRIPTORS),
        ("actionDescriptors", DESCRIPTORS),
    ],
);
const CRD_LIST: Shape = Shape::List("[]v1alpha1.CRDDescription", &CRD);
static CRDS: Shape = Shape::Struct(
    "v1alpha1.CustomResourceDefinitions",
    &[("owned", CRD_LIST), ("required", CRD_LIST)],
);
static API_SERVICE: Shape = Shape::Struct(
    "v1alpha1.APIServiceDescription",
    &[
        ("name", Shape::Str),
        ("group", Shape::Str),
        ("version", Shape::Str),
        ("kind", Shape::Str),
        ("deploymentName", Shape::Str),
        ("containerPort", Shape::Int32),
        ("displayName", Shape::Str),
        ("description", Shape::Str),
        ("resources", RESOURCES),
        ("statusDescriptors", DESCRIPTORS),
        ("specDescriptors", DESCRIPTORS),
        ("actionDescriptors", DESCRIPTORS),
    ],
);
const API_SERVICE_LIST: Shape = Shape::List("[]v1alpha1.APIServiceDescription", &API_SERVICE);
static API_SERVICES: Shape = Shape::Struct(
    "v1alpha1.APIServiceDefinitions",
    &[("owned", API_SERVICE_LIST), ("required", API_SERVICE_LIST)],
);
static WEBHOOK_RULE: Shape = Shape::Struct(
    "v1.RuleWithOperations",
    &[
        ("operations", STRINGS),
        ("apiGroups", STRINGS),
        ("apiVersions", STRINGS),
        ("resources", STRINGS),
        ("scope", Shape::Str),
    ],
);
static WEBHOOK: Shape = Shape::Struct(
    "v1alpha1.WebhookDescription",
    &[
        ("generateName", Shape::Str),
        ("type", Shape::Str),
        ("deploymentName", Shape::Str),
        ("containerPort", Shape::Int32),
        ("targetPort", Shape::IntOrStr),
        (
            "rules",
            Shape::List("[]v1.RuleWithOperations", &WEBHOOK_RULE),
        ),
        ("failurePolicy", Shape::Str),
        ("matchPolicy", Shape::Str),
        ("objectSelector", Shape::Ref(&LABEL_SELECTOR)),
        ("sideEffects", Shape::Str),
        ("timeoutSeconds", Shape::Int32),
        ("admissionReviewVersions", STRINGS),
        ("reinvocationPolicy", Shape::Str),
        ("webhookPath", Shape::Str),
        ("conversionCRDs", STRINGS),
    ],
);
static NATIVE_API: Shape = Shape::Struct(
    "v1.GroupVersionKind",
    &[
        ("group", Shape::Str),
        ("version", Shape::Str),
        ("kind", Shape::Str),
    ],
);
static MAINTAINER: Shape = Shape::Struct(
    "v1alpha1.Maintainer",
    &[("name", Shape::Str), ("email", Shape::Str)],
);
static LINK: Shape = Shape::Struct(
    "v1alpha1.AppLink",
    &[("name", Shape::Str), ("url", Shape::Str)],
);
static ICON: Shape = Shape::Struct(
    "v1alpha1.Icon",
    &[("base64data", Shape::Str), ("mediatype", Shape::Str)],
);
static INSTALL_MODE: Shape = Shape::Struct(
    "v1alpha1.InstallMode",
    &[("type", Shape::Str), ("supported", Shape::Bool)],
);
static CLEANUP: Shape = Shape::Struct("v1alpha1.CleanupSpec", &[("enabled", Shape::Bool)]);
static RELATED_IMAGE: Shape = Shape::Struct(
    "v1alpha1.RelatedImage",
    &[("name", Shape::Str), ("image", Shape::Str)],
);
static SPEC: Shape = Shape::Struct(
    "v1alpha1.ClusterServiceVersionSpec",
    &[
        ("install", Shape::Ref(&STRATEGY)),
        ("version", Shape::Str),
        ("maturity", Shape::Str),
        ("customresourcedefinitions", Shape::Ref(&CRDS)),
        ("apiservicedefinitions", Shape::Ref(&API_SERVICES)),
        (
            "webhookdefinitions",
            Shape::List("[]v1alpha1.WebhookDescription", &WEBHOOK),
        ),
        (
            "nativeAPIs",
            Shape::List("[]v1.GroupVersionKind", &NATIVE_API),
        ),
        ("minKubeVersion", Shape::Str),
        ("displayName", Shape::Str),
        ("description", Shape::Str),
        ("keywords", STRINGS),
        (
            "maintainers",
            Shape::List("[]v1alpha1.Maintainer", &MAINTAINER),
        ),
        ("provider", Shape::Ref(&LINK)),
        ("links", Shape::List("[]v1alpha1.AppLink", &LINK)),
        ("icon", Shape::List("[]v1alpha1.Icon", &ICON)),
        (
            "installModes",
            Shape::List("[]v1alpha1.InstallMode", &INSTALL_MODE),
        ),
        ("replaces", Shape::Str),
        ("labels", STRING_MAP),
        ("annotations", STRING_MAP),
        ("selector", Shape::Ref(&LABEL_SELECTOR)),
        ("cleanup", Shape::Ref(&CLEANUP)),
        ("skips", STRINGS),
        (
            "relatedImages",
            Shape::List("[]v1alpha1.RelatedImage", &RELATED_IMAGE),
        ),
    ],
);
static CONDITION: Shape = Shape::Struct(
    "v1alpha1.ClusterServiceVersionCondition",
    &[
        ("phase", Shape::Str),
        ("message", Shape::Str),
        ("reason", Shape::Str),
        ("lastUpdateTime", Shape::Time),
        ("lastTransitionTime", Shape::Time),
    ],
);
static DEPENDENT: Shape = Shape::Struct(
    "v1alpha1.DependentStatus",
    &[
        ("group", Shape::Str),
        ("version", Shape::Str),
        ("kind", Shape::Str),
        ("status", Shape::Str),
        ("uuid", Shape::Str),
        ("message", Shape::Str),
    ],
);
static REQUIREMENT: Shape = Shape::Struct(
    "v1alpha1.RequirementStatus",
    &[
        ("group", Shape::Str),
        ("version", Shape::Str),
        ("kind", Shape::Str),
        ("name", Shape::Str),
        ("status", Shape::Str),
        ("message", Shape::Str),
        ("uuid", Shape::Str),
        (
            "dependents",
            Shape::List("[]v1alpha1.DependentStatus", &DEPENDENT),
        ),
    ],
);
static INSTANCE: Shape = Shape::Struct(
    "v1alpha1.ResourceInstance",
    &[("name", Shape::Str), ("namespace", Shape::Str)],
);
static PENDING: Shape = Shape::Struct(
    "v1alpha1.ResourceList",
    &[
        ("group", Shape::Str),
        ("kind", Shape::Str),
        (
            "instances",
            Shape::List("[]v1alpha1.ResourceInstance", &INSTANCE),
        ),
    ],
);
static CLEANUP_STATUS: Shape = Shape::Struct(
    "v1alpha1.CleanupStatus",
    &[(
        "pendingDeletion",
        Shape::List("[]v1alpha1.ResourceList", &PENDING),
    )],
);
static STATUS: Shape = Shape::Struct(
    "v1alpha1.ClusterServiceVersionStatus",
    &[
        ("phase", Shape::Str),
        ("message", Shape::Str),
        ("reason", Shape::Str),
        ("lastUpdateTime", Shape::Time),
        ("lastTransitionTime", Shape::Time),
        (
            "conditions",
            Shape::List("[]v1alpha1.ClusterServiceVersionCondition", &CONDITION),
        ),
        (
            "requirementStatus",
            Shape::List("[]v1alpha1.RequirementStatus", &REQUIREMENT),
        ),
        ("certsLastUpdated", Shape::Time),
        ("certsRotateAt", Shape::Time),
        ("cleanup", Shape::Ref(&CLEANUP_STATUS)),
    ],
);
static CSV: Shape = Shape::Struct(
    "v1alpha1.ClusterServiceVersion",
    &[
        ("kind", Shape::Str),
        ("apiVersion", Shape::Str),
        ("metadata", Shape::Ref(&OBJECT_META)),
        ("spec", Shape::Ref(&SPEC)),
        ("status", Shape::Ref(&STATUS)),
    ],
);

/// The first icon of a CSV: its data as it is written there, and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvIcon {
    /// In base64, unless somebody wrote something else.
    pub base64data: String,
    /// The media type.
    pub mediatype: String,
}

/// A stored CSV is not what its type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvFault {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member has the wrong type; our words stand behind those of the reference.
    #[error("{} ({})", .0, .0.told())]
    Type(TypeMismatch),
    /// Its version or release is none.
    #[error("{0}")]
    Version(String),
}

impl CsvIcon {
    /// The first icon of a CSV, of which everything has to be of its type.
    ///
    /// # Errors
    /// [`CsvFault`], the first.
    pub fn first_in(csv: &str) -> Result<Option<Self>, CsvFault> {
        let csv = parse_json(csv)?;
        let spec = checked_spec(&csv)?;
        let first = items(spec, "icon").first();
        Ok(first.map(|icon| Self {
            base64data: text(icon, "base64data"),
            mediatype: text(icon, "mediatype"),
        }))
    }
}

/// Checks a CSV, of which everything has to be of its type, the release too that newer versions know.
///
/// # Errors
/// [`CsvFault`], the first.
pub fn check_csv(csv: &str) -> Result<(), CsvFault> {
    let csv = parse_json(csv)?;
    check_release(checked_spec(&csv)?)
}

fn checked_spec(csv: &Json) -> Result<&Json, CsvFault> {
    CSV.check(csv).map_err(CsvFault::Type)?;
    let spec = member(csv, "spec");
    check_version(spec)?;
    Ok(spec)
}

/// Absent it is fine, null it is not, and neither is a number.
fn check_release(spec: &Json) -> Result<(), CsvFault> {
    let Json::Object(members) = spec else {
        return Ok(());
    };
    for (name, release) in members {
        if !name.eq_ignore_ascii_case("release") {
            continue;
        }
        let place = ["spec", name];
        RELEASE
            .check(release)
            .map_err(|fault| CsvFault::Type(fault.inside(&place)))?;
        let release = release.as_str().unwrap_or_default();
        Version::check_release(release)
            .map_err(|(_, fault)| CsvFault::Version(fault.to_string()))?;
    }
    Ok(())
}

static RELEASE: Shape = Shape::Str;

/// Absent it is fine, null it is not. Short ones and a `v` are forgiven.
fn check_version(spec: &Json) -> Result<(), CsvFault> {
    let Json::Object(members) = spec else {
        return Ok(());
    };
    if !members
        .keys()
        .any(|name| name.eq_ignore_ascii_case("version"))
    {
        return Ok(());
    }
    let version = text(spec, "version");
    let version = version.trim();
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut parts: Vec<String> = version.splitn(3, '.').map(without_zeros).collect();
    if parts.iter().all(String::is_empty) {
        let fault = "strconv.ParseUint: parsing \"\": invalid syntax";
        return Err(CsvFault::Version(fault.to_owned()));
    }
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        let fault = "Short version cannot contain PreRelease/Build meta data";
        return Err(CsvFault::Version(fault.to_owned()));
    }
    parts.resize(3, "0".to_owned());
    match Version::parse(&parts.join(".")) {
        Ok(_) => Ok(()),
        Err(fault) => Err(CsvFault::Version(fault.to_string())),
    }
}

fn without_zeros(part: &str) -> String {
    if part.len() < 2 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    match rest.starts_with(|found: char| found.is_ascii_digit()) {
        true => rest.to_owned(),
        false => format!("0{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvIcon, check_csv};

    fn refused(spec: &str) -> String {
        let csv = format!(r#"{{"kind": "ClusterServiceVersion", "spec": {spec}}}"#);
        CsvIcon::first_in(&csv).unwrap_err().to_string()
    }

    #[test]
    fn every_member_has_its_type() {
        for spec in [
            r#"{"description": 5}"#,
            r#"{"keywords": "x"}"#,
            r#"{"install": "x"}"#,
            r#"{"provider": "x"}"#,
            r#"{"minKubeVersion": 1}"#,
            r#"{"install": {"spec": {"deployments": [{"spec": {"replicas": "1"}}]}}}"#,
            r#"{"installModes": [{"supported": "yes"}]}"#,
            r#"{"icon": [{"base64data": 1}]}"#,
        ] {
            assert!(refused(spec).contains("json: cannot unmarshal"), "{spec}");
        }
        assert_eq!(
            CsvIcon::first_in("").unwrap_err().to_string(),
            "unexpected end of JSON input"
        );
    }

    #[test]
    fn versions_are_read_tolerantly() {
        for version in ["\"\"", "null", "\"x\"", "\"1.2-a\"", "\"1.2.3.4\""] {
            refused(&format!(r#"{{"version": {version}}}"#));
        }
        for version in ["1.2.3", "v1.2.3", " 1.2 ", "1", "01.2.3", "1.2.3-a+b"] {
            let csv = format!(r#"{{"spec": {{"version": "{version}"}}}}"#);
            assert_eq!(CsvIcon::first_in(&csv), Ok(None), "{version}");
        }
        assert_eq!(CsvIcon::first_in("{}"), Ok(None));
    }

    #[test]
    fn the_status_has_its_types_too() {
        for status in [
            r#"{"phase": 1}"#,
            r#"{"conditions": [{"reason": {}}]}"#,
            r#"{"requirementStatus": {}}"#,
            r#"{"requirementStatus": [{"dependents": [{"uuid": 1}]}]}"#,
            r#"{"cleanup": {"pendingDeletion": [{"instances": [{"name": []}]}]}}"#,
        ] {
            let fault = check_csv(&format!(r#"{{"status": {status}}}"#)).unwrap_err();
            assert!(
                fault.to_string().starts_with("json: cannot unmarshal"),
                "{fault}"
            );
        }
        let good = r#"{"status": {"requirementStatus": [{"name": "n", "dependents": null}],
            "cleanup": {"pendingDeletion": [null]}, "more": 1}}"#;
        assert_eq!(check_csv(good), Ok(()));
    }

    #[test]
    fn a_release_is_a_text_of_good_parts() {
        let with = |spec: &str| {
            let csv = format!(r#"{{"kind": "ClusterServiceVersion", "spec": {spec}}}"#);
            (CsvIcon::first_in(&csv).map(drop), check_csv(&csv))
        };
        for spec in [
            "{}",
            r#"{"release": "1.a-b"}"#,
            r#"{"Release": "20240101"}"#,
        ] {
            assert_eq!(with(spec), (Ok(()), Ok(())), "{spec}");
        }
        for release in ["1", "[]", "null", "\"\"", "\"01\"", "\"a..b\"", "\"a_b\""] {
            // Older versions do not know it.
            let (older, newer) = with(&format!(r#"{{"release": {release}}}"#));
            assert_eq!(older, Ok(()), "{release}");
            newer.unwrap_err();
        }
    }

    #[test]
    fn the_first_icon_is_taken() {
        let csv = r#"{"spec": {"icon": [{"base64data": "YQ==", "mediatype": "m"}, {}]}}"#;
        let icon = CsvIcon::first_in(csv).unwrap().unwrap();
        assert_eq!((&*icon.base64data, &*icon.mediatype), ("YQ==", "m"));
    }
}
