//! What the contents of a bundle become in a catalog (spec index-database §11.4, §11.5, §12).

use std::collections::{BTreeMap, BTreeSet};

use ::base64::Engine as _;
use iib_bundle::{Bundle, Typed, json_plain_string};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base64::BASE64;
use crate::blob::{CatalogBundle, PACKAGE, Property, RelatedImage};
use crate::fields::Fields;
use crate::property::{OBJECT, known_value};

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
        let (bundle, left_out) = self.into_readable(others)?;
        match left_out.into_iter().next() {
            None => Ok(bundle),
            Some(fault) => Err(fault),
        }
    }

    /// The same without the properties and dependencies that no catalog can hold, and what is wrong
    /// with these.
    ///
    /// # Errors
    /// [`ContentsFault`]: an object or the list of related images is no JSON, or not of its shape.
    pub fn into_readable(
        self,
        others: OtherDependencies,
    ) -> Result<(CatalogBundle, Vec<ContentsFault>), ContentsFault> {
        let objects = self.object_texts()?;
        let mut left_out = Vec::new();
        let bundle = CatalogBundle {
            name: self.name.to_owned(),
            package: self.package.to_owned(),
            image: self.image.to_owned(),
            properties: self.catalog_properties(&objects, others, &mut left_out)?,
            related_images: self.related_images(&objects)?,
        };
        Ok((bundle, left_out))
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
        left_out: &mut Vec<ContentsFault>,
    ) -> Result<Vec<Property>, ContentsFault> {
        let mut found = Found::new();
        let properties = self.properties.iter().filter(|given| given.kind != OBJECT);
        for given in properties {
            match property_of(given) {
                Ok(property) => found.extend([property]),
                Err(problem) => left_out.push(self.unreadable("the property", given, &problem)),
            }
        }
        for given in &self.dependencies {
            match dependency_of(given, others) {
                Ok(property) => found.extend(property),
                Err(problem) => left_out.push(self.unreadable("the dependency", given, &problem)),
            }
        }
        if !found.keys().any(|(kind, _)| kind == PACKAGE) {
            let value = Bundle::package_property(self.package, self.version);
            let property = written(PACKAGE, value).map_err(|error| self.fault(PACKAGE, &error))?;
            found.extend([property]);
        }
        let mut properties: Vec<Property> = found.into_values().collect();
        for text in objects {
            let value = format!(r#"{{"data":"{}"}}"#, BASE64.encode(text));
            let object = Property::new(OBJECT, &value);
            properties.push(object.map_err(|error| self.fault("an object", &error))?);
        }
        Ok(properties)
    }

    fn unreadable(&self, what: &'static str, given: &Typed, problem: &str) -> ContentsFault {
        let Typed { kind, value } = given;
        let value = match value.trim() {
            "" => "no value".to_owned(),
            value => {
                let shown: String = value.chars().take(SHOWN).collect();
                format!("the value {}", json_plain_string(&shown))
            }
        };
        let kind: String = kind.chars().take(SHOWN).collect();
        let kind = json_plain_string(&kind);
        self.fault(what, &format!("type {kind}, {value}: {problem}"))
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
        let mut places = 0..;
        properties.retain(|found| {
            let at = places.next();
            found.kind != PACKAGE || at == package
        });
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

pub(crate) fn is_csv(object: &str) -> bool {
    #[derive(Deserialize)]
    struct Object {
        kind: String,
    }
    // Objects are large, so most are told apart without parsing them.
    let kind = "ClusterServiceVersion";
    memchr::memmem::find(object.as_bytes(), kind.as_bytes()).is_some()
        && serde_json::from_str::<Object>(object).is_ok_and(|found| found.kind == kind)
}

/// Longest part of a type or value that is shown, in characters.
const SHOWN: usize = 60;

/// Properties of a catalog by type and value, each once.
type Found = BTreeMap<(String, String), Property>;
type Entry = ((String, String), Property);

fn written(kind: &str, value: String) -> Result<Entry, String> {
    let property = Property::new(kind, &value).map_err(|error| error.to_string())?;
    Ok(((kind.to_owned(), value), property))
}

/// A property of the catalog, or what is wrong.
fn property_of(given: &Typed) -> Result<Entry, String> {
    let Typed { kind, value } = given;
    match kind.as_str() {
        "olm.gvk" => return written(kind, api(value)?),
        PACKAGE => drop(fields(value)?),
        _ => {}
    }
    let entry = written(kind, value.clone())?;
    known_value(&entry.1)?;
    Ok(entry)
}

/// The same of a dependency; `None` for one that no catalog has.
fn dependency_of(given: &Typed, others: OtherDependencies) -> Result<Option<Entry>, String> {
    let Typed { kind, value } = given;
    Ok(match kind.as_str() {
        "olm.gvk" => Some(written("olm.gvk.required", api(value)?)?),
        PACKAGE => Some(written("olm.package.required", required_package(value)?)?),
        _ if others == OtherDependencies::Drop => None,
        _ => Some(property_of(given)?),
    })
}

/// The members of a value that has to have some: null has none.
fn fields(value: &str) -> Result<Fields<'_>, String> {
    let value: &RawValue = serde_json::from_str(value).map_err(|error| error.to_string())?;
    if value.get() == "null" {
        return Err("a mapping is expected".to_owned());
    }
    Fields::of(value).map_err(|wrong| wrong.to_string())
}

/// An API with its members in their order, so that each is there once.
fn api(value: &str) -> Result<String, String> {
    let fields = fields(value)?;
    let text = |name| fields.string(name).map_err(|wrong| wrong.to_string());
    Ok(format!(
        r#"{{"group":{},"kind":{},"version":{}}}"#,
        json_plain_string(&text("group")?),
        json_plain_string(&text("kind")?),
        json_plain_string(&text("version")?)
    ))
}

/// A dependency on a package as a property of the catalog.
fn required_package(value: &str) -> Result<String, String> {
    let fields = fields(value)?;
    let text = |name| fields.string(name).map_err(|wrong| wrong.to_string());
    Ok(format!(
        r#"{{"packageName":{},"versionRange":{}}}"#,
        json_plain_string(&text("packageName")?),
        json_plain_string(&text("version")?)
    ))
}

#[cfg(test)]
mod tests {
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
    fn the_package_that_the_csv_names_counts() {
        let csv = CSV.replace(r#"\"1.0.0\""#, r#"\"2.0.0\""#);
        let metadata = METADATA.replace("properties:", "properties:\n      - {type: a, value: 1}");
        let files = |name: &str, text: &str| BTreeMap::from([(name.into(), text.into())]);
        let files = BundleFiles {
            manifests: files("csv.json", &csv),
            metadata: Some(files("all.yaml", &metadata)),
        };
        let bundle = Bundle::read("r.example/lamp:1", &files).unwrap();
        let bundle = CatalogBundle::of_image(&bundle).unwrap();
        let mut packages = bundle
            .properties
            .iter()
            .filter(|found| found.kind == PACKAGE);
        let only = packages.next().unwrap().text();
        assert_eq!(only, r#"{"packageName":"lamp","version":"2.0.0"}"#);
        assert_eq!(packages.count(), 0);
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
            (&[("a", "{")][..], "", "the property"),
            (&[("a", "")], "", "the property"),
            (&[("olm.gvk", "[1]x")], "", "the property"),
            (&[("olm.gvk", r#"{"group": 5}"#)], "", "the property"),
            (&[("olm.package", "null")], "", "the property"),
            (&[("olm.package.required", "[]")], "", "the property"),
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
        // As the reference reads them.
        let good = of(
            &[
                ("olm.gvk", r#"{"Group": "g", "kind": null}"#),
                ("a", "null"),
            ],
            "",
        );
        let shown: Vec<String> = (good.unwrap().properties.iter())
            .map(|found| format!("{} {}", found.kind, found.text()))
            .collect();
        assert_eq!(
            shown,
            [
                "a null",
                r#"olm.gvk {"group":"g","kind":"","version":""}"#,
                r#"olm.package {"packageName":"lamp","version":"1.0.0"}"#,
            ]
        );
    }

    #[test]
    fn what_no_catalog_can_hold_is_left_out_and_told() {
        let typed = |kind: &str, value: &str| Typed {
            kind: kind.to_owned(),
            value: value.to_owned(),
        };
        let contents = BundleContents {
            name: "lamp.v1",
            package: "lamp",
            image: "",
            version: "1.0.0",
            properties: vec![
                typed("olm.package", "\"x\""),
                typed("a", "1"),
                typed("b", ""),
            ],
            dependencies: vec![typed("olm.gvk", "5"), typed("olm.label", "")],
            objects: b"",
            images: BTreeSet::new(),
        };
        let (bundle, left_out) = contents.into_readable(OtherDependencies::Drop).unwrap();
        let kinds: Vec<&str> = bundle.properties.iter().map(|found| &*found.kind).collect();
        // The package is known without its property.
        assert_eq!(kinds, ["a", "olm.package"]);
        let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        for (told, words) in left_out.iter().zip([
            "bundle \"lamp.v1\": the property is not what it should be: type \"olm.package\", the value",
            "the property is not what it should be: type \"b\", no value: ",
            "the dependency is not what it should be: type \"olm.gvk\", the value \"5\": ",
        ]) {
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(left_out.len(), 3);
    }
}
