//! What the contents of a bundle become in a catalog (spec index-database §11.4, §11.5, §12).

use std::collections::BTreeSet;

use ::base64::Engine as _;
use iib_bundle::{Bundle, Typed, json_plain_string};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base64::BASE64;
use crate::blob::{CatalogBundle, PACKAGE, Property, RelatedImage};
use crate::property::OBJECT;

/// A text in a bundle is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("bundle {bundle:?}: {what} is not what it should be: {problem}")]
pub struct ContentsFault {
    /// The bundle.
    pub bundle: String,
    /// Which text.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// What happens to dependencies of other types than `olm.gvk` and `olm.package`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherDependencies {
    /// They become properties: what the reference does for the image of a bundle.
    Keep,
    /// They go: what it does for the rows of an index.
    Drop,
}

/// A bundle as an image or an index has it.
#[derive(Debug, Clone)]
pub struct BundleContents<'a> {
    /// Its name.
    pub name: &'a str,
    /// The package it is in.
    pub package: &'a str,
    /// Its image.
    pub image: &'a str,
    /// Its version, for `olm.package` where no property says it.
    pub version: &'a str,
    /// Its properties; values are JSON.
    pub properties: Vec<Typed>,
    /// Its dependencies; values are JSON.
    pub dependencies: Vec<Typed>,
    /// The texts of its objects, one after the other; that of the CSV tells related images.
    pub objects: &'a [u8],
    /// All images it names; those its CSV has no name for get an empty one.
    pub images: BTreeSet<String>,
}

impl BundleContents<'_> {
    /// The bundle as an object of a catalog.
    ///
    /// # Errors
    /// [`ContentsFault`]: a value, an object or the list of related images is no JSON, or not of
    /// its shape.
    pub fn into_bundle(self, others: OtherDependencies) -> Result<CatalogBundle, ContentsFault> {
        let objects = self.object_texts()?;
        Ok(CatalogBundle {
            name: self.name.to_owned(),
            package: self.package.to_owned(),
            image: self.image.to_owned(),
            properties: self.catalog_properties(&objects, others)?,
            related_images: self.related_images(&objects)?,
        })
    }

    fn fault(&self, what: &'static str, problem: &impl ToString) -> ContentsFault {
        ContentsFault {
            bundle: self.name.to_owned(),
            what,
            problem: problem.to_string(),
        }
    }

    fn object_texts(&self) -> Result<Vec<&str>, ContentsFault> {
        let objects = serde_json::Deserializer::from_slice(self.objects).into_iter::<&RawValue>();
        let objects = objects.map(|object| object.map(RawValue::get));
        let objects: Result<Vec<&str>, _> = objects.collect();
        objects.map_err(|error| self.fault("its list of objects", &error))
    }

    /// Sorted by type and value; the objects come last, in their order.
    fn catalog_properties(
        &self,
        objects: &[&str],
        others: OtherDependencies,
    ) -> Result<Vec<Property>, ContentsFault> {
        let mut found: BTreeSet<(String, String)> = BTreeSet::new();
        for Typed { kind, value } in &self.properties {
            let value = match kind.as_str() {
                "olm.gvk" => api(value).map_err(|error| self.fault("a provided API", &error))?,
                OBJECT => continue,
                _ => value.clone(),
            };
            found.insert((kind.clone(), value));
        }
        for Typed { kind, value } in &self.dependencies {
            let property = match kind.as_str() {
                "olm.gvk" => {
                    let value = api(value);
                    let value = value.map_err(|error| self.fault("a required API", &error))?;
                    ("olm.gvk.required".to_owned(), value)
                }
                PACKAGE => {
                    let value = required_package(value)
                        .map_err(|error| self.fault("a dependency on a package", &error))?;
                    ("olm.package.required".to_owned(), value)
                }
                _ if others == OtherDependencies::Drop => continue,
                _ => (kind.clone(), value.clone()),
            };
            found.insert(property);
        }
        if !found.iter().any(|(kind, _)| kind == PACKAGE) {
            let value = Bundle::package_property(self.package, self.version);
            found.insert((PACKAGE.to_owned(), value));
        }
        let made = |what, kind: &str, value: &str| {
            Property::new(kind, value).map_err(|error| self.fault(what, &error))
        };
        let mut properties = Vec::with_capacity(found.len() + objects.len());
        for (kind, value) in found {
            properties.push(made("a property", &kind, &value)?);
        }
        for text in objects {
            let value = format!(r#"{{"data":"{}"}}"#, BASE64.encode(text));
            properties.push(made("an object", OBJECT, &value)?);
        }
        Ok(properties)
    }

    /// Those of the CSV with their names, then all others; sorted by image.
    fn related_images(&self, objects: &[&str]) -> Result<Vec<RelatedImage>, ContentsFault> {
        let mut images = Vec::new();
        if let Some(csv) = objects.iter().rev().find(|object| is_csv(object)) {
            let csv: Csv = serde_json::from_str(csv).map_err(|error| {
                self.fault("its CSV", &format!("json: cannot unmarshal: {error}"))
            })?;
            let listed = csv.spec.unwrap_or_default().related_images;
            images.extend(listed.into_iter().flatten().map(Option::unwrap_or_default));
        }
        let named: BTreeSet<&str> = images.iter().map(|found| found.image.as_str()).collect();
        let others: Vec<RelatedImage> = self
            .images
            .iter()
            .filter(|image| !named.contains(image.as_str()))
            .map(|image| RelatedImage {
                name: String::new(),
                image: image.clone(),
            })
            .collect();
        images.extend(others);
        images.sort_by(|low, high| low.image.cmp(&high.image));
        Ok(images)
    }
}

impl CatalogBundle {
    /// A bundle that was read from its image.
    ///
    /// # Errors
    /// [`ContentsFault`], see [`BundleContents::into_bundle`].
    pub fn of_image(bundle: &Bundle) -> Result<Self, ContentsFault> {
        let mut properties = bundle.properties.clone();
        // Of several the last counts: the CSV's own word.
        let package = properties.iter().rposition(|found| found.kind == PACKAGE);
        let mut at = 0..;
        properties.retain(|found| found.kind != PACKAGE || at.next() == package);
        let contents = BundleContents {
            name: &bundle.name,
            package: &bundle.package,
            image: &bundle.image,
            version: &bundle.version,
            properties,
            dependencies: bundle.dependencies.clone(),
            objects: bundle.objects_text.as_bytes(),
            images: bundle.related_images.clone(),
        };
        contents.into_bundle(OtherDependencies::Keep)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Csv {
    spec: Option<Spec>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    related_images: Option<Vec<Option<RelatedImage>>>,
}

fn is_csv(object: &str) -> bool {
    #[derive(Deserialize)]
    struct Object {
        kind: String,
    }
    // Objects are large, so most are told apart without parsing them.
    let kind = "ClusterServiceVersion";
    memchr::memmem::find(object.as_bytes(), kind.as_bytes()).is_some()
        && serde_json::from_str::<Object>(object).is_ok_and(|found| found.kind == kind)
}

/// An API with its members in their order, so that each is there once.
fn api(value: &str) -> Result<String, serde_json::Error> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Api {
        group: String,
        kind: String,
        version: String,
    }
    let found: Api = serde_json::from_str(value)?;
    Ok(format!(
        r#"{{"group":{},"kind":{},"version":{}}}"#,
        json_plain_string(&found.group),
        json_plain_string(&found.kind),
        json_plain_string(&found.version)
    ))
}

/// A dependency on a package as a property of the catalog.
fn required_package(value: &str) -> Result<String, serde_json::Error> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Dependency {
        package_name: String,
        version: String,
    }
    let found: Dependency = serde_json::from_str(value)?;
    Ok(format!(
        r#"{{"packageName":{},"versionRange":{}}}"#,
        json_plain_string(&found.package_name),
        json_plain_string(&found.version)
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use iib_bundle::BundleFiles;

    use super::*;

    const CSV: &str = r#"{
      "kind": "ClusterServiceVersion", "apiVersion": "operators.coreos.com/v1alpha1",
      "metadata": {"name": "lamp.v1", "annotations": {"olm.properties":
        "[{\"type\":\"olm.package\",\"value\":{\"packageName\":\"lamp\",\"version\":\"1.0.0\"}}]"}},
      "spec": {
        "version": "1.0.0",
        "relatedImages": [{"name": "bulb", "image": "r.example/bulb:1"}],
        "customresourcedefinitions": {"required": [
          {"name": "sockets.e.example", "version": "v1", "kind": "Socket"}]},
        "install": {"strategy": "deployment", "spec": {"deployments": [
          {"spec": {"template": {"spec": {"containers": [{"image": "r.example/a:1"}]}}}}]}}
      }}"#;
    const METADATA: &str = r#"
      annotations: {operators.operatorframework.io.bundle.package.v1: lamp}
      dependencies:
      - {type: olm.package, value: {packageName: socket, version: ">1"}}
      - {type: my.own, value: {b: 1, a: 2}}
      properties:
      - {type: olm.package, value: {packageName: other, version: "9.0.0"}}"#;

    fn lamp() -> Bundle {
        let files = |name: &str, text: &str| BTreeMap::from([(name.into(), text.into())]);
        let files = BundleFiles {
            manifests: files("csv.json", CSV),
            metadata: Some(files("all.yaml", METADATA)),
        };
        Bundle::read("r.example/lamp:1", &files).unwrap()
    }

    #[test]
    fn an_image_of_a_bundle_becomes_one_object_of_a_catalog() {
        let bundle = CatalogBundle::of_image(&lamp()).unwrap();
        let (objects, others): (Vec<_>, Vec<_>) =
            (bundle.properties.iter()).partition(|found| found.kind == OBJECT);
        let shown: Vec<String> = others
            .iter()
            .map(|found| format!("{} {}", found.kind, found.value.as_ref().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                r#"my.own {"a":2,"b":1}"#,
                r#"olm.gvk.required {"group":"e.example","kind":"Socket","version":"v1"}"#,
                r#"olm.package {"packageName":"lamp","version":"1.0.0"}"#,
                r#"olm.package.required {"packageName":"socket","versionRange":">1"}"#,
            ]
        );
        assert_eq!(objects.len(), 1);
        let images: Vec<(&str, &str)> = (bundle.related_images.iter())
            .map(|found| (found.name.as_str(), found.image.as_str()))
            .collect();
        assert_eq!(
            images,
            [
                ("", "r.example/a:1"),
                ("bulb", "r.example/bulb:1"),
                ("", "r.example/lamp:1")
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_the_bundle() {
        let of = |properties: &[(&str, &str)], objects: &str| {
            let properties = properties.iter().map(|(kind, value)| Typed {
                kind: (*kind).to_owned(),
                value: (*value).to_owned(),
            });
            let contents = BundleContents {
                name: "lamp.v1",
                package: "lamp",
                image: "",
                version: "1.0.0",
                properties: properties.collect(),
                dependencies: Vec::new(),
                objects: objects.as_bytes(),
                images: BTreeSet::new(),
            };
            contents.into_bundle(OtherDependencies::Drop)
        };
        for (properties, objects, what) in [
            (&[("a", "{")][..], "", "a property"),
            (&[("olm.gvk", "[1]x")], "", "a provided API"),
            (&[], "{\"a\":1}{", "its list of objects"),
            (
                &[],
                r#"{"kind":"ClusterServiceVersion","spec":{"relatedImages":5}}"#,
                "its CSV",
            ),
        ] {
            let fault = of(properties, objects).unwrap_err();
            assert_eq!((fault.what, fault.bundle.as_str()), (what, "lamp.v1"));
        }
    }
}
