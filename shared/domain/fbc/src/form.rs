//! Catalogs and bundles as newer versions of the reference write them (newest-opm §2, §3).

use iib_bundle::{Bundle, check_csv};
use serde_json::value::RawValue;

use crate::anew::{AnewFault, Strings, json_anew};
use crate::blob::{Catalog, CatalogBundle, Other, PACKAGE, Property};
use crate::contents::{ContentsFault, is_csv};
use crate::csv_metadata::{CSV_METADATA, metadata_of};
use crate::fields::{Fields, WrongType};
use crate::members::Members;
use crate::property::{OBJECT, newest_objects};
use crate::rules::BundleForm;

/// Why a catalog cannot be written as newer versions write it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormFault {
    /// What is in the image of a bundle.
    #[error(transparent)]
    Contents(#[from] ContentsFault),
    /// A CSV that no metadata can be made of.
    #[error("package {package:?}, bundle {bundle:?}: migrate: {problem}")]
    Csv {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// What is wrong.
        problem: String,
    },
    /// A value that cannot be written anew.
    #[error("package {package:?}, {schema} {name:?}: {problem}")]
    Value {
        /// The package; empty for none.
        package: String,
        /// The schema of the object that has it.
        schema: String,
        /// The name of that object; empty for none.
        name: String,
        /// What is wrong; part of the message.
        problem: AnewFault,
    },
}

impl CatalogBundle {
    /// A bundle that was read from its image, as [`CatalogBundle::of_image`] has it, in this form. Where
    /// that is one of newer versions, the release that the CSV states stands beside the version
    /// (newest-opm §6).
    ///
    /// # Errors
    /// [`FormFault::Contents`] and [`FormFault::Csv`].
    pub fn of_image_in(bundle: &Bundle, form: BundleForm) -> Result<Self, FormFault> {
        let mut made = Self::of_image(bundle)?;
        if form == BundleForm::Objects {
            return Ok(made);
        }
        made.sort_objects();
        made.convert(form)?;
        let release = release_of(&bundle.csv_text).map_err(|wrong| made.csv_fault(&wrong))?;
        let derived = Bundle::package_property(&bundle.package, &bundle.version);
        if !release.is_empty() {
            // What the bundle says itself in a property stays.
            let mut properties = made.properties.iter_mut();
            let own = |found: &&mut Property| found.kind == PACKAGE && found.text() == derived;
            if let Some(property) = properties.find(own) {
                let mut value = Members::new(Strings::Newest);
                value.string("packageName", &bundle.package);
                value.string("version", &bundle.version);
                value.string("release", &release);
                property.value = RawValue::from_string(value.finish()).ok();
            }
        }
        Ok(made)
    }

    /// Brings what the CSV says into a form: of the objects the first CSV counts. A bundle without an
    /// image or without a CSV, or with `olm.csv.metadata`, stays as it is, and none is brought back
    /// to objects.
    ///
    /// # Errors
    /// [`FormFault::Csv`]: an object cannot be read, or something in the CSV has not the type that it
    /// should have.
    pub fn convert(&mut self, form: BundleForm) -> Result<(), FormFault> {
        if !self.is_to_convert(form) {
            return Ok(());
        }
        let objects = newest_objects(self).map_err(|fault| self.csv_fault(&fault))?;
        match objects.iter().find(|object| is_csv(object)) {
            Some(csv) => self.put_metadata(csv),
            None => Ok(()),
        }
    }

    /// The same of a bundle of an index database, where the CSV is what its row has for it; an empty
    /// text is none.
    ///
    /// # Errors
    /// [`FormFault::Csv`].
    pub fn convert_with(&mut self, form: BundleForm, csv: &str) -> Result<(), FormFault> {
        if form == BundleForm::CsvMetadata {
            self.sort_objects();
        }
        match self.is_to_convert(form) && !csv.is_empty() {
            true => self.put_metadata(csv),
            false => Ok(()),
        }
    }

    fn is_to_convert(&self, form: BundleForm) -> bool {
        let mut properties = self.properties.iter();
        form == BundleForm::CsvMetadata
            && !self.image.is_empty()
            && !properties.any(|found| found.kind == CSV_METADATA)
    }

    fn put_metadata(&mut self, csv: &str) -> Result<(), FormFault> {
        let property = metadata_property(csv).map_err(|problem| self.csv_fault(&problem))?;
        self.properties.retain(|found| found.kind != OBJECT);
        self.properties.push(property);
        Ok(())
    }

    fn csv_fault(&self, problem: &impl ToString) -> FormFault {
        FormFault::Csv {
            package: self.package.clone(),
            bundle: self.name.clone(),
            problem: problem.to_string(),
        }
    }

    /// Puts objects behind all other properties, ordered by their texts in base64.
    fn sort_objects(&mut self) {
        self.properties.sort_by_cached_key(|found| {
            let is_object = found.kind == OBJECT;
            let data = is_object.then(|| {
                Fields::of(found.value.as_deref()?)
                    .ok()?
                    .string("data")
                    .ok()
            });
            (is_object, data.flatten())
        });
    }
}

/// `spec.release`; empty if there is none.
fn release_of(csv: &str) -> Result<String, WrongType> {
    let Ok(csv) = serde_json::from_str::<&RawValue>(csv) else {
        // It was read before, and may hold half a character, which has no place in a release.
        return Ok(String::new());
    };
    let spec = Fields::of(csv)?.object("spec")?.unwrap_or_default();
    spec.string("release").map_err(|wrong| wrong.inside("spec"))
}

fn metadata_property(csv: &str) -> Result<Property, String> {
    check_csv(csv).map_err(|fault| fault.to_string())?;
    let csv: &RawValue = serde_json::from_str(csv).map_err(|error| error.to_string())?;
    let value = metadata_of(csv).map_err(|wrong| wrong.to_string())?;
    Property::new(CSV_METADATA, &value).map_err(|error| error.to_string())
}

impl Catalog {
    /// Brings every bundle into a form, and its objects, if it keeps them, into the order that newer
    /// versions have.
    ///
    /// # Errors
    /// As of [`CatalogBundle::convert`].
    pub fn convert(&mut self, form: BundleForm) -> Result<(), FormFault> {
        self.bundles.iter_mut().try_for_each(|bundle| {
            bundle.sort_objects();
            bundle.convert(form)
        })
    }

    /// Writes all that is kept unread anew, as newer versions do with what a catalog had before.
    ///
    /// # Errors
    /// [`FormFault::Value`]: a number is too large, or a value nested too deeply.
    pub fn write_anew(&mut self) -> Result<(), FormFault> {
        for package in &mut self.packages {
            let owner = ("", "olm.package", package.name.as_str());
            properties_anew(&mut package.properties, owner)?;
        }
        for channel in &mut self.channels {
            let owner = (&*channel.package, "olm.channel", &*channel.name);
            properties_anew(&mut channel.properties, owner)?;
        }
        for bundle in &mut self.bundles {
            let owner = (&*bundle.package, "olm.bundle", &*bundle.name);
            properties_anew(&mut bundle.properties, owner)?;
        }
        for other in &mut self.others {
            let Other {
                package,
                schema,
                name,
                blob,
            } = other;
            *blob = anew(blob, (package, schema, name))?;
        }
        Ok(())
    }
}

/// Package, schema and name of an object.
type Owner<'a> = (&'a str, &'a str, &'a str);

fn properties_anew(properties: &mut [Property], owner: Owner<'_>) -> Result<(), FormFault> {
    for value in properties
        .iter_mut()
        .filter_map(|found| found.value.as_mut())
    {
        *value = anew(value, owner)?;
    }
    Ok(())
}

fn anew(value: &RawValue, owner: Owner<'_>) -> Result<Box<RawValue>, FormFault> {
    let written = json_anew(value.get());
    let written =
        written.and_then(|text| RawValue::from_string(text).map_err(|_| AnewFault::Broken));
    written.map_err(|problem| {
        let (package, schema, name) = owner;
        FormFault::Value {
            package: package.to_owned(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            problem,
        }
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use iib_bundle::{Bundle, BundleFiles};

    use crate::base64::BASE64;
    use crate::{BundleForm, Catalog, CatalogBundle, FormFault, Property, read_text};

    const CSV: &str = r#"{"kind": "ClusterServiceVersion", "spec": {"displayName": "D"}}"#;
    const METADATA: &str =
        r#"{"apiServiceDefinitions":{},"crdDescriptions":{},"displayName":"D","provider":{}}"#;

    fn object(text: &str) -> Property {
        let value = format!(r#"{{"data": "{}"}}"#, BASE64.encode(text));
        Property::new("olm.bundle.object", &value).unwrap()
    }

    fn bundle(properties: &[Property]) -> CatalogBundle {
        CatalogBundle {
            name: "b.v1".to_owned(),
            package: "b".to_owned(),
            image: "r.invalid/b:1".to_owned(),
            properties: properties.to_vec(),
            ..CatalogBundle::default()
        }
    }

    fn shown(bundle: &CatalogBundle) -> Vec<(&str, &str)> {
        let properties = bundle.properties.iter();
        properties
            .map(|found| (&*found.kind, found.text()))
            .collect()
    }

    #[test]
    fn the_metadata_comes_in_place_of_all_objects_and_last() {
        let others = ["z", "a"].map(|kind| Property::new(kind, "1").unwrap());
        let [first, second] = others.clone();
        let second_csv = CSV.replace("\"D\"", "\"second\"");
        let objects = ["kind: Role\n", CSV, &second_csv].map(object);
        let [role, csv, second_csv] = objects;
        let mut converted = bundle(&[role, first, csv, second_csv, second]);
        converted.convert(BundleForm::CsvMetadata).unwrap();
        let expected = [("z", "1"), ("a", "1"), ("olm.csv.metadata", METADATA)];
        assert_eq!(shown(&converted), expected);
        // Once is enough.
        let again = converted.clone();
        converted.convert(BundleForm::CsvMetadata).unwrap();
        assert_eq!(converted, again);
    }

    #[test]
    fn a_csv_may_be_yaml() {
        let yaml = "spec:\n  displayName: D\nkind: ClusterServiceVersion\n";
        let mut converted = bundle(&[object(yaml)]);
        converted.convert(BundleForm::CsvMetadata).unwrap();
        assert_eq!(shown(&converted), [("olm.csv.metadata", METADATA)]);
    }

    #[test]
    fn the_release_of_an_image_stands_beside_its_version() {
        let of = |spec: &str, form| {
            let csv = format!(
                r#"{{"kind": "ClusterServiceVersion", "apiVersion": "operators.coreos.com/v1alpha1",
                "metadata": {{"name": "p-v1.0.0-1"}}, "spec": {{"version": "1.0.0"{spec}}}}}"#
            );
            let annotations = "annotations: {operators.operatorframework.io.bundle.package.v1: p}";
            let files = |name: &str, text: &str| [(name.to_owned(), text.into())].into();
            let files = BundleFiles {
                manifests: files("csv.json", &csv),
                metadata: Some(files("annotations.yaml", annotations)),
            };
            let bundle = Bundle::read("r.invalid/p:1", &files).unwrap();
            CatalogBundle::of_image_in(&bundle, form)
        };
        let plain = r#"{"packageName":"p","version":"1.0.0"}"#;
        let with = r#"{"packageName":"p","version":"1.0.0","release":"1"}"#;
        let release = r#", "release": "1""#;
        for (spec, form, value, last) in [
            (release, BundleForm::CsvMetadata, with, "olm.csv.metadata"),
            ("", BundleForm::CsvMetadata, plain, "olm.csv.metadata"),
            (release, BundleForm::Objects, plain, "olm.bundle.object"),
        ] {
            let made = of(spec, form).unwrap();
            let shown = shown(&made);
            assert_eq!(shown[0], ("olm.package", value));
            assert_eq!(shown[1].0, last);
        }
        let number = of(r#", "release": 1"#, BundleForm::CsvMetadata).unwrap_err();
        assert!(matches!(number, FormFault::Csv { .. }), "{number}");
    }

    #[test]
    fn some_bundles_stay_as_they_are() {
        let metadata = Property::new("olm.csv.metadata", r#"{"x": 1}"#).unwrap();
        let no_image = CatalogBundle {
            image: String::new(),
            ..bundle(&[object(CSV)])
        };
        for stays in [
            no_image,
            bundle(&[object("{}")]),
            bundle(&[object(CSV), metadata]),
            bundle(&[]),
        ] {
            let mut after = stays.clone();
            after.convert(BundleForm::CsvMetadata).unwrap();
            assert_eq!(after, stays);
        }
        let objects = bundle(&[object(CSV)]);
        let mut after = objects.clone();
        after.convert(BundleForm::Objects).unwrap();
        assert_eq!(after, objects);
    }

    #[test]
    fn the_row_of_an_index_has_its_own_csv() {
        let mut converted = bundle(&[object("{}")]);
        converted.convert_with(BundleForm::CsvMetadata, "").unwrap();
        assert_eq!(converted, bundle(&[object("{}")]));
        converted
            .convert_with(BundleForm::CsvMetadata, CSV)
            .unwrap();
        assert_eq!(shown(&converted), [("olm.csv.metadata", METADATA)]);
    }

    #[test]
    fn a_wrong_type_anywhere_in_the_csv_is_refused() {
        for (spec, words) in [
            (r#"{"displayName": 5}"#, "json: cannot unmarshal number"),
            (
                r#"{"install": {"spec": {"deployments": [1]}}}"#,
                "json: cannot unmarshal number",
            ),
            (r#"{"version": "one"}"#, "Invalid character(s)"),
            (r#"{"release": 1}"#, "json: cannot unmarshal number"),
            (r#"{"release": ""}"#, "Prerelease is empty"),
        ] {
            let csv = format!(r#"{{"kind": "ClusterServiceVersion", "spec": {spec}}}"#);
            let mut refused = bundle(&[object(&csv)]);
            let fault = refused.convert(BundleForm::CsvMetadata).unwrap_err();
            let words = format!("package \"b\", bundle \"b.v1\": migrate: {words}");
            assert!(fault.to_string().starts_with(&words), "{fault}");
            assert_eq!(refused, bundle(&[object(&csv)]));
        }
    }

    #[test]
    fn what_is_kept_unread_is_written_anew() {
        let mut catalog = Catalog::default();
        let text = r#"{"schema": "olm.package", "name": "p",
                "properties": [{"type": "x", "value": {"b": 1.0, "a": 1}}]}
            {"schema": "olm.channel", "package": "p", "name": "c",
                "properties": [{"type": "x", "value": {"b": 1.0, "a": 1}}]}
            {"schema": "olm.bundle", "package": "p", "name": "b",
                "properties": [{"type": "x", "value": {"b": 1.0, "a": 1}}]}
            {"schema": "my.own", "b": 1.0, "a": 1}"#;
        read_text(text, &mut catalog).unwrap();
        catalog.write_anew().unwrap();
        let anew = r#"{"a":1,"b":1}"#;
        assert_eq!(catalog.packages[0].properties[0].text(), anew);
        assert_eq!(catalog.channels[0].properties[0].text(), anew);
        assert_eq!(catalog.bundles[0].properties[0].text(), anew);
        let other = r#"{"a":1,"b":1,"schema":"my.own"}"#;
        assert_eq!(catalog.others[0].blob.get(), other);
        read_text(
            r#"{"schema": "my.own", "name": "n", "a": 1e999}"#,
            &mut catalog,
        )
        .unwrap();
        let fault = catalog.write_anew().unwrap_err();
        assert!(matches!(fault, FormFault::Value { .. }), "{fault}");
        assert!(
            fault
                .to_string()
                .contains("my.own \"n\": json: cannot unmarshal number")
        );
    }

    #[test]
    fn objects_come_last_by_their_texts() {
        let objects = ["c", "a", "b"].map(|name| object(&format!(r#"{{"n": "{name}"}}"#)));
        let [c, a, b] = objects;
        let other = Property::new("z", "1").unwrap();
        let mut catalog = Catalog {
            bundles: vec![bundle(&[c.clone(), other.clone(), a.clone(), b.clone()])],
            ..Catalog::default()
        };
        for form in [BundleForm::Objects, BundleForm::CsvMetadata] {
            catalog.convert(form).unwrap();
            assert_eq!(
                catalog.bundles,
                [bundle(&[other.clone(), a.clone(), b.clone(), c.clone()])]
            );
        }
    }
}
