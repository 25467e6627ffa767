//! What an organization wants of its bundles.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{Template, TemplateFault};

/// A step, which may come several times (regenerate-bundle §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Customization {
    /// Names images by their digests.
    ResolveImagePullspecs,
    /// Notes which of the images are bundles.
    RelatedBundles,
    /// Puts the bundles of the request in the places of those they replace.
    PerformBundleReplacements,
    /// Adds to the name of the package.
    PackageNameSuffix {
        /// What is added.
        #[serde(default)]
        suffix: String,
    },
    /// Puts registries in the places of others.
    RegistryReplacements {
        /// By the registries that they replace; may have a path.
        #[serde(default, deserialize_with = "null_is_none")]
        replacements: BTreeMap<String, String>,
    },
    /// Names images by their labels.
    ImageNameFromLabels {
        /// Of namespace and repository.
        #[serde(default)]
        template: Option<Template>,
    },
    /// Adds annotations to CSVs.
    CsvAnnotations {
        /// Their values, which may have the field `package_name`.
        #[serde(default, deserialize_with = "null_is_none")]
        annotations: BTreeMap<String, Template>,
    },
    /// Puts all images into one namespace.
    EncloseRepo {
        /// The namespace.
        #[serde(default)]
        namespace: String,
        /// Between the parts of the former name.
        #[serde(default)]
        enclosure_glue: String,
    },
}

/// What is wrong with a customization. `place` says which it is, such as `iib_organization_customizations.acme[0]`; the first
/// words are those of today's service, where it has any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustomizationFault {
    /// Not an object with a type that is known.
    #[error("Invalid customization in {setting} {found}: {place} is to be an object whose type is one of {}", TYPES.join(", "))]
    Type {
        /// The setting.
        setting: String,
        /// Where it is.
        place: String,
        /// What is there.
        found: Value,
    },
    /// Members that the type does not have.
    #[error("The keys {{{}}} in {place} are invalid.", .keys.join(", "))]
    Keys {
        /// Where it is.
        place: String,
        /// The members.
        keys: Vec<String>,
    },
    /// A member that the type has to have.
    #[error("The key {key} in {place} is missing")]
    Missing {
        /// Where it is.
        place: String,
        /// The member.
        key: &'static str,
    },
    /// A member that is no string.
    #[error("The value of {place}.{key} must be a string")]
    Text {
        /// Where it is.
        place: String,
        /// The member.
        key: &'static str,
    },
    /// A member that does not have strings.
    #[error("The values in {place}.{key} must be strings")]
    Texts {
        /// Where it is.
        place: String,
        /// The member.
        key: &'static str,
    },
    /// A text that is no template.
    #[error("The value of {place}.{key} is no template: {fault}")]
    Template {
        /// Where it is.
        place: String,
        /// The member, and the annotation in it.
        key: String,
        /// What is wrong; part of the message, so not a source.
        fault: TemplateFault,
    },
    /// A field that has no value.
    #[error(
        "The value of {place}.annotations.{annotation} has the field {field:?}, and only package_name has a value"
    )]
    Field {
        /// Where it is.
        place: String,
        /// The annotation.
        annotation: String,
        /// The field.
        field: String,
    },
    /// What no image can be named with.
    #[error(
        "The value of {place}.{key} is {found:?}, and no image can be named so: it is {wanted}"
    )]
    Name {
        /// Where it is.
        place: String,
        /// The member, and the registry in it.
        key: String,
        /// Its value.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A registry that is replaced by one that is replaced again.
    #[error("The values in {place}.replacements go round in a circle: {}", .circle.join(", "))]
    Circle {
        /// Where it is.
        place: String,
        /// The registries, each replaced by the next.
        circle: Vec<String>,
    },
}

fn null_is_none<'de, T, D>(from: D) -> Result<BTreeMap<String, T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The types, in the order of the default.
const TYPES: [&str; 8] = [
    "resolve_image_pullspecs",
    "related_bundles",
    "package_name_suffix",
    "registry_replacements",
    "perform_bundle_replacements",
    "image_name_from_labels",
    "csv_annotations",
    "enclose_repo",
];

/// The field of annotations.
pub(crate) const PACKAGE_NAME: &str = "package_name";

impl Customization {
    /// Those of whoever has none: the ones that act without settings, in the reference's order.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::ResolveImagePullspecs,
            Self::RelatedBundles,
            Self::PerformBundleReplacements,
        ]
    }

    /// Reads one as it is configured; what it does not say has no effect. None if its type is not known.
    ///
    /// # Errors
    /// What its members are.
    fn read(value: &Value) -> Option<Result<Self, serde_json::Error>> {
        let found = value.get("type").and_then(Value::as_str)?;
        TYPES.contains(&found).then(|| Self::deserialize(value))
    }
}

/// The steps for an organization: those that are configured for it, or else the defaults (regenerate-bundle
/// §7). Types that are not known are passed over, as by today's service; the settings are checked when the service starts
/// ([`check_customizations`]).
///
/// # Errors
/// What is wrong with the first that cannot be read.
pub fn customizations(configured: Option<&[Value]>) -> Result<Vec<Customization>, String> {
    match configured {
        None | Some([]) => Ok(Customization::defaults()),
        Some(configured) => {
            let read = configured.iter().enumerate().filter_map(|(number, value)| {
                let read = Customization::read(value)?;
                Some(read.map_err(|error| {
                    format!(
                        "the customization [{number}] of the organization cannot be read: {error}"
                    )
                }))
            });
            read.collect()
        }
    }
}

/// The steps that come before the bundles of a bundle are listed, where nothing else is wanted of it
/// (regenerate-bundle §8): all of them, if none lists the bundles.
pub fn up_to_related_bundles(mut steps: Vec<Customization>) -> Vec<Customization> {
    let lists = |step: &Customization| matches!(step, Customization::RelatedBundles);
    steps.truncate(steps.iter().position(lists).unwrap_or(steps.len()));
    steps
}

/// What a member of a customization is.
#[derive(Clone, Copy)]
enum Member {
    Text,
    Texts,
    Template,
    Templates,
}

/// The members of a type, all of which it has to have.
fn members_of(kind: &str) -> Option<&'static [(&'static str, Member)]> {
    Some(match kind {
        "resolve_image_pullspecs" | "related_bundles" | "perform_bundle_replacements" => &[],
        "package_name_suffix" => &[("suffix", Member::Text)],
        "registry_replacements" => &[("replacements", Member::Texts)],
        "image_name_from_labels" => &[("template", Member::Template)],
        "csv_annotations" => &[("annotations", Member::Templates)],
        "enclose_repo" => &[
            ("enclosure_glue", Member::Text),
            ("namespace", Member::Text),
        ],
        _ => return None,
    })
}

/// Every fault of the customizations of organizations, in their order. `setting` is what they are set by.
pub fn check_customizations(
    setting: &str,
    organizations: &BTreeMap<String, Vec<Value>>,
) -> Vec<CustomizationFault> {
    let mut faults = Vec::new();
    for (organization, configured) in organizations {
        for (number, value) in configured.iter().enumerate() {
            let place = format!("{setting}.{organization}[{number}]");
            check(setting, &place, value, &mut faults);
        }
    }
    faults
}

fn check(setting: &str, place: &str, value: &Value, faults: &mut Vec<CustomizationFault>) {
    let place = || place.to_owned();
    let kind = value.get("type").and_then(Value::as_str);
    let (Some(members), Some(object)) = (kind.and_then(members_of), value.as_object()) else {
        faults.push(CustomizationFault::Type {
            setting: setting.to_owned(),
            place: place(),
            found: value.clone(),
        });
        return;
    };
    let is_member = |key: &str| key == "type" || members.iter().any(|(name, _)| *name == key);
    let keys = object.keys().filter(|key| !is_member(key));
    let keys: Vec<String> = keys.map(|key| format!("'{key}'")).collect();
    if !keys.is_empty() {
        faults.push(CustomizationFault::Keys {
            place: place(),
            keys,
        });
    }
    for (key, member) in members {
        let Some(value) = object.get(*key) else {
            faults.push(CustomizationFault::Missing {
                place: place(),
                key,
            });
            continue;
        };
        match member {
            Member::Text | Member::Template => {
                let Some(text) = value.as_str() else {
                    faults.push(CustomizationFault::Text {
                        place: place(),
                        key,
                    });
                    continue;
                };
                if !matches!(member, Member::Template) {
                    continue;
                }
                let key = (*key).to_owned();
                if let Err(fault) = Template::parse(text) {
                    faults.push(CustomizationFault::Template {
                        place: place(),
                        key,
                        fault,
                    });
                } else if !may_be_path(text) {
                    faults.push(CustomizationFault::Name {
                        place: place(),
                        key,
                        found: text.to_owned(),
                        wanted: "a repository, with or without a namespace, such as \"{name}-{version}\"",
                    });
                }
            }
            Member::Texts | Member::Templates => {
                let texts = match value {
                    Value::Null => Some(BTreeMap::new()),
                    value => BTreeMap::<String, String>::deserialize(value).ok(),
                };
                let Some(texts) = texts else {
                    faults.push(CustomizationFault::Texts {
                        place: place(),
                        key,
                    });
                    continue;
                };
                match member {
                    Member::Templates => faults.extend(annotation_faults(&place(), &texts)),
                    _ => {
                        let unusable = texts.iter().filter(|(_, new)| !may_be_registry(new));
                        faults.extend(unusable.map(|(old, new)| CustomizationFault::Name {
                            place: place(),
                            key: format!("replacements.{old}"),
                            found: new.clone(),
                            wanted: "a registry without a scheme, with or without a path, such as \"registry.example.com/mirror\"",
                        }));
                        let circle = circle_in(&texts);
                        let place = place();
                        faults.extend(
                            circle.map(|circle| CustomizationFault::Circle { place, circle }),
                        );
                    }
                }
            }
        }
    }
}

/// Whether a template can be a path, as far as its own characters show. An empty one has no effect.
fn may_be_path(template: &str) -> bool {
    !template.starts_with('/') && !template.ends_with('/')
}

/// Whether images can be at a registry with such a name.
fn may_be_registry(name: &str) -> bool {
    let is_strange = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    !name.is_empty() && may_be_path(name) && !name.contains("//") && !name.contains(is_strange)
}

fn annotation_faults(
    place: &str,
    annotations: &BTreeMap<String, String>,
) -> Vec<CustomizationFault> {
    let faults = annotations.iter().filter_map(|(annotation, text)| {
        let place = place.to_owned();
        match Template::parse(text) {
            Err(fault) => {
                let key = format!("annotations.{annotation}");
                Some(CustomizationFault::Template { place, key, fault })
            }
            Ok(template) => {
                let field = template.fields().find(|field| *field != PACKAGE_NAME)?;
                Some(CustomizationFault::Field {
                    place,
                    annotation: annotation.clone(),
                    field: field.to_owned(),
                })
            }
        }
    });
    faults.collect()
}

/// Registries that replace one another in a circle. Each is looked up once, so it would end; but hardly anybody means it.
fn circle_in(replacements: &BTreeMap<String, String>) -> Option<Vec<String>> {
    replacements.keys().find_map(|first| {
        let mut circle = vec![first.clone()];
        let mut next = replacements.get(first)?;
        while next != first {
            if circle.contains(next) {
                return None;
            }
            circle.push(next.clone());
            next = replacements.get(next)?;
        }
        Some(circle)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_faults_are_told_with_their_places() {
        let organizations = json!({
            "a": [{"type": "csv_annotations", "annotations": {"x": "{version}", "y": "{"}}, {"type": "other"}, "x"],
            "b": [
                {"type": "enclose_repo", "namespace": null, "z": 1},
                {"type": "image_name_from_labels", "template": "{}"},
                {"type": "registry_replacements", "replacements": {"a": "b", "b": "c", "c": "a"}},
                {"type": "registry_replacements", "replacements": {"a": 1}},
            ],
            "c": [
                {"type": "registry_replacements", "replacements": {"a": "b", "b": "c", "d": "a"}},
                {"type": "csv_annotations", "annotations": null},
                {"type": "resolve_image_pullspecs"},
                {"type": "registry_replacements", "replacements": {"a": "https://b", "b": "", "c": "d/e:1", "d": "e/"}},
                {"type": "image_name_from_labels", "template": "/{name}"},
                {"type": "image_name_from_labels", "template": ""},
            ],
        });
        let organizations = serde_json::from_value(organizations).unwrap();
        let faults = check_customizations("s", &organizations);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let expected = [
            "The value of s.a[0].annotations.x has the field \"version\"",
            "The value of s.a[0].annotations.y is no template: the template \"{\" has a single brace",
            "Invalid customization in s {\"type\":\"other\"}: s.a[1] is to be an object whose type is one of resolve",
            "Invalid customization in s \"x\": s.a[2] is",
            "The keys {'z'} in s.b[0] are invalid.",
            "The key enclosure_glue in s.b[0] is missing",
            "The value of s.b[0].namespace must be a string",
            "The value of s.b[1].template is no template: the template \"{}\" has the field \"\"",
            "The values in s.b[2].replacements go round in a circle: a, b, c",
            "The values in s.b[3].replacements must be strings",
            "The value of s.c[3].replacements.a is \"https://b\", and no image can be named so: it is a registry without",
            "The value of s.c[3].replacements.b is \"\", and",
            "The value of s.c[3].replacements.d is \"e/\", and",
            "The value of s.c[4].template is \"/{name}\", and no image can be named so: it is a repository",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn what_is_not_said_has_no_effect() {
        let configured = json!([{"type": "csv_annotations", "annotations": null}, {"type": "enclose_repo"}, {"type": "new"}]);
        let read = customizations(configured.as_array().map(Vec::as_slice)).unwrap();
        assert_eq!(read.len(), 2);
        let wrong = json!([{"type": "related_bundles"}, {"type": "enclose_repo", "namespace": 1}]);
        let told = customizations(wrong.as_array().map(Vec::as_slice)).unwrap_err();
        assert!(
            told.starts_with("the customization [1] of the organization"),
            "{told}"
        );
        assert_eq!(
            customizations(Some(&[])).unwrap(),
            Customization::defaults()
        );
    }
}
