//! Provided, required and owned APIs (spec index-database §3 "Owned CRDs", "APIs").

use std::collections::BTreeSet;
use std::fmt;

use crate::BundleError;
use crate::csv::{Csv, Definition};
use crate::deployment::OBJECT_META;
use crate::json::Json;
use crate::typed::{Shape, TypeMismatch, items, member, text};

/// An API by group, version, kind and plural.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey {
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The plural, or the name of an API service.
    pub plural: String,
}

impl ApiKey {
    /// The JSON text `{"group","kind","version"}` stored as property and dependency value.
    pub fn gvk_text(&self) -> String {
        let mut out = String::from("{\"group\":");
        crate::json::write_string(&mut out, &self.group);
        out.push_str(",\"kind\":");
        crate::json::write_string(&mut out, &self.kind);
        out.push_str(",\"version\":");
        crate::json::write_string(&mut out, &self.version);
        out.push('}');
        out
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}/{}/{} ({})",
            self.group, self.version, self.kind, self.plural
        )
    }
}

/// What is wrong with a bundle's APIs.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiFault {
    /// An owned CRD is not among the provided ones.
    #[error("couldn't find {wanted} in bundle. found: map[{}]", printed(.found))]
    Missing {
        /// The one that is owned.
        wanted: Box<ApiKey>,
        /// Those that are provided.
        found: BTreeSet<ApiKey>,
    },
    /// A CRD name without a dot.
    #[error("couldn't parse plural.group from crd name: {0}")]
    CrdName(String),
    /// The lists of the CSV have wrong types.
    #[error("{0}")]
    Definitions(TypeMismatch),
    /// The list of API services has wrong types.
    #[error("error getting apiservice definitions: {0}")]
    Services(TypeMismatch),
    /// The list of API services itself has the wrong type, or `spec` has.
    #[error("error getting apiservice definitions: error unmarshaling into object map: {0}")]
    ServiceMap(TypeMismatch),
    /// The CSV has no `spec`.
    #[error(
        "error getting apiservice definitions: error unmarshaling into object map: unexpected end of JSON input"
    )]
    NoSpec,
}

impl ApiFault {
    /// What is wrong, in words for people.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Missing { wanted, found } => {
                let found = match found.is_empty() {
                    true => "no API".to_owned(),
                    false => {
                        let found: Vec<String> = found.iter().map(ApiKey::to_string).collect();
                        format!("only {}", found.join(", "))
                    }
                };
                format!("the CSV owns the CRD {wanted}, but the manifests define {found}")
            }
            Self::CrdName(name) => format!(
                "spec.customresourcedefinitions names the CRD {}, expected plural.group",
                Json::String(name.clone()).to_text()
            ),
            Self::Definitions(fault) | Self::Services(fault) | Self::ServiceMap(fault) => {
                fault.told()
            }
            Self::NoSpec => "spec is missing, expected a mapping".to_owned(),
        }
    }
}

fn printed(found: &BTreeSet<ApiKey>) -> String {
    let found: Vec<String> = found.iter().map(|key| format!("{key}:{{}}")).collect();
    found.join(" ")
}

static CRD_NAMES: Shape = Shape::Struct(
    "v1.CustomResourceDefinitionNames",
    &[
        ("plural", Shape::Str),
        ("singular", Shape::Str),
        ("kind", Shape::Str),
        ("listKind", Shape::Str),
    ],
);
static CRD_VERSION: Shape = Shape::Struct(
    "v1.CustomResourceDefinitionVersion",
    &[
        ("name", Shape::Str),
        ("served", Shape::Bool),
        ("storage", Shape::Bool),
    ],
);
static CRD_SPEC: Shape = Shape::Struct(
    "v1.CustomResourceDefinitionSpec",
    &[
        ("group", Shape::Str),
        ("names", Shape::Ref(&CRD_NAMES)),
        ("scope", Shape::Str),
        ("version", Shape::Str),
        (
            "versions",
            Shape::List(
                "[]v1.CustomResourceDefinitionVersion",
                &Shape::Ref(&CRD_VERSION),
            ),
        ),
    ],
);
static CRD: Shape = Shape::Struct(
    "v1.CustomResourceDefinition",
    &[
        ("metadata", Shape::Ref(&OBJECT_META)),
        ("spec", Shape::Ref(&CRD_SPEC)),
    ],
);

/// The APIs the CRDs among the objects provide. The objects come with their files.
///
/// # Errors
/// A CRD with members of the wrong type.
pub(crate) fn crd_apis(objects: &[Json], files: &[&str]) -> Result<BTreeSet<ApiKey>, BundleError> {
    let mut provided = BTreeSet::new();
    for (at, object) in objects.iter().enumerate() {
        if object.get("kind").and_then(Json::as_str) != Some("CustomResourceDefinition") {
            continue;
        }
        let api_version = object
            .get("apiVersion")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let version = match api_version
            .rsplit_once('/')
            .map_or(api_version, |(_, short)| short)
        {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => continue,
        };
        CRD.check(object).map_err(|fault| {
            let file = files.get(at).copied().unwrap_or_default();
            BundleError::Crd { version, fault }.in_file(file)
        })?;
        let spec = member(object, "spec");
        let names = member(spec, "names");
        let mut provide = |version: String| {
            provided.insert(ApiKey {
                group: text(spec, "group"),
                version,
                kind: text(names, "kind"),
                plural: text(names, "plural"),
            })
        };
        for version in items(spec, "versions") {
            provide(text(version, "name"));
        }
        let single = text(spec, "version");
        if version == "v1beta1" && !single.is_empty() {
            provide(single);
        }
    }
    Ok(provided)
}

/// Adds the owned API services to the APIs of the CRDs.
pub(crate) fn provided(
    csv: &Csv<'_>,
    crds: BTreeSet<ApiKey>,
) -> Result<BTreeSet<ApiKey>, ApiFault> {
    let mut provided = crds;
    provided.extend(services(csv)?.0);
    Ok(provided)
}

/// Checks that every CRD the CSV owns is provided.
pub(crate) fn check_owned(csv: &Csv<'_>, provided: &BTreeSet<ApiKey>) -> Result<(), ApiFault> {
    let owned = csv.crd_definitions().map_err(ApiFault::Definitions)?.owned;
    let owned: BTreeSet<ApiKey> = owned.iter().map(crd_key).collect::<Result<_, _>>()?;
    match owned.into_iter().find(|key| !provided.contains(key)) {
        None => Ok(()),
        Some(wanted) => Err(ApiFault::Missing {
            wanted: Box::new(wanted),
            found: provided.clone(),
        }),
    }
}

/// The APIs the CSV requires.
pub(crate) fn required(csv: &Csv<'_>) -> Result<BTreeSet<ApiKey>, ApiFault> {
    let crds = csv
        .crd_definitions()
        .map_err(ApiFault::Definitions)?
        .required;
    let mut required: BTreeSet<ApiKey> = crds.iter().map(crd_key).collect::<Result<_, _>>()?;
    required.extend(services(csv)?.1);
    Ok(required)
}

type Services = (Vec<ApiKey>, Vec<ApiKey>);

fn services(csv: &Csv<'_>) -> Result<Services, ApiFault> {
    if !csv.has_spec() {
        return Err(ApiFault::NoSpec);
    }
    // A `spec` of the wrong type fails here first, in words of its own.
    let definitions = csv
        .api_service_definitions()
        .map_err(|fault| match csv.spec() {
            Json::Object(_) => ApiFault::Services(fault),
            _ => ApiFault::ServiceMap(fault),
        })?;
    let keys = |list: Vec<Definition>| list.into_iter().map(service_key).collect();
    Ok((keys(definitions.owned), keys(definitions.required)))
}

fn service_key(definition: Definition) -> ApiKey {
    let Definition {
        group,
        version,
        kind,
        name,
    } = definition;
    ApiKey {
        group,
        version,
        kind,
        plural: name,
    }
}

fn crd_key(definition: &Definition) -> Result<ApiKey, ApiFault> {
    let Some((plural, group)) = definition.name.split_once('.') else {
        return Err(ApiFault::CrdName(definition.name.clone()));
    };
    Ok(ApiKey {
        group: group.to_owned(),
        version: definition.version.clone(),
        kind: definition.kind.clone(),
        plural: plural.to_owned(),
    })
}
