//! What Konflux asks of a catalog beyond the newest rules (newest-opm §2): a file of its own for each
//! package, bundles in the form of the platform, and something in it at all.

use std::collections::BTreeSet;

use crate::blob::Catalog;
use crate::check::{Fault, Place};
use crate::csv_metadata::CSV_METADATA;
use crate::property::OBJECT;
use crate::rules::BundleForm;

/// What can be told of the objects alone; nothing of the form where it is not known. An outline will
/// do.
pub(crate) fn faults(catalog: &Catalog, form: Option<BundleForm>) -> Vec<(Place, String)> {
    let mut faults = Vec::new();
    if catalog.packages.is_empty() {
        faults.push((Place::default(), "the catalog has no package".to_owned()));
    }
    let Some(form) = form else {
        return faults;
    };
    // A bundle that has neither has no CSV, which is not for this rule to tell.
    let (wanted, other) = match form {
        BundleForm::Objects => (OBJECT, CSV_METADATA),
        BundleForm::CsvMetadata => (CSV_METADATA, OBJECT),
    };
    for bundle in &catalog.bundles {
        if bundle.properties.iter().any(|found| found.kind == other) {
            let text = format!(
                "bundle has properties {other:?}: catalogs for this version of OpenShift have \
                 {wanted:?} in their place"
            );
            let place = Place::of(&bundle.package, None, Some(&bundle.name));
            faults.push((place, text));
        }
    }
    faults
}

/// That the objects of a package are not all in the one file that Konflux wants them in:
/// `catalog.json` or `catalog.yaml` in a folder of the package's name. `files` are those they are in,
/// relative to the catalog's folder.
pub fn layout_fault(package: &str, files: &BTreeSet<&str>) -> Option<Fault> {
    let wanted = ["json", "yaml"].map(|form| format!("{package}/catalog.{form}"));
    let mut found = files.iter();
    if let (Some(only), None) = (found.next(), found.next())
        && wanted.iter().any(|file| file == only)
    {
        return None;
    }
    let [json, yaml] = wanted;
    let text = format!("package has to be in one file, {json} or {yaml}");
    let files = files.iter().map(ToString::to_string).collect();
    Some(Fault::of_layout(package, text, files))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{faults, layout_fault};
    use crate::{BundleForm, Catalog, read_text};

    #[test]
    fn a_package_has_a_file_of_its_own() {
        for file in ["foo/catalog.json", "foo/catalog.yaml"] {
            assert_eq!(layout_fault("foo", &BTreeSet::from([file])), None);
        }
        for files in [
            &["catalog.json"][..],
            &["bar/catalog.json"],
            &["foo/index.json"],
            &["foo/catalog.yml"],
            &["foo/sub/catalog.json"],
            &["foo/catalog.json", "foo/catalog.yaml"],
            &["foo/catalog.json", "foo/channels.json"],
        ] {
            let fault = layout_fault("foo", &files.iter().copied().collect()).unwrap();
            assert_eq!(fault.files, files);
            let words = "package has to be in one file, foo/catalog.json or foo/catalog.yaml";
            assert_eq!(fault.text, words);
        }
    }

    #[test]
    fn bundles_have_the_form_of_the_platform() {
        let mut catalog = Catalog::default();
        let text = r#"{"schema": "olm.package", "name": "p"}
            {"schema": "olm.bundle", "package": "p", "name": "old", "properties": [
                {"type": "olm.bundle.object", "value": {"data": "e30="}}]}
            {"schema": "olm.bundle", "package": "p", "name": "new", "properties": [
                {"type": "olm.csv.metadata", "value": {}}]}
            {"schema": "olm.bundle", "package": "p", "name": "neither"}"#;
        read_text(text, &mut catalog).unwrap();
        let refused = |form| -> Vec<String> {
            let faults = faults(&catalog, form).into_iter();
            faults.filter_map(|(place, _)| place.bundle).collect()
        };
        assert_eq!(refused(Some(BundleForm::CsvMetadata)), ["old"]);
        assert_eq!(refused(Some(BundleForm::Objects)), ["new"]);
        assert!(refused(None).is_empty());
    }

    #[test]
    fn an_empty_catalog_is_none() {
        let none = faults(&Catalog::default(), None);
        assert_eq!(none.len(), 1);
        assert_eq!(none[0].1, "the catalog has no package");
    }
}
