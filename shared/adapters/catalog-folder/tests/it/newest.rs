//! The newest rules and those of Konflux (newest-opm §2, §4), on folders.

use iib_catalog_folder::{CatalogFolder, FolderError};
use iib_fbc::{BundleForm, Catalog, Property, RelatedImage, Rules, check, read_text, to_text};

use crate::samples::{bundle, chain, folder};

fn text_of(catalog: &Catalog) -> String {
    catalog.blobs().map(to_text).collect()
}

/// What the reference says of a changed catalog: the same of the whole, of its outline, and of a
/// folder.
fn said(change: impl FnOnce(&mut Catalog)) -> String {
    let mut catalog = chain("foo");
    change(&mut catalog);
    let whole = check(&catalog, Rules::OpmNewest);
    let mut outline = Catalog::default();
    for blob in catalog.clone().into_blobs() {
        outline.push(blob.outlined(Rules::OpmNewest));
    }
    assert_eq!(check(&outline, Rules::OpmNewest), whole);
    let files = folder(&[("foo/catalog.json", &text_of(&catalog))]);
    let opened = CatalogFolder::open_by(files.path(), Rules::OpmNewest).unwrap();
    let reference = whole.as_reference().unwrap_or_default();
    let of_folder = opened.check().as_reference().unwrap_or_default();
    assert_eq!(of_folder, reference);
    reference
}

fn other(catalog: &mut Catalog, text: &str) {
    read_text(text, catalog).unwrap();
}

#[test]
fn steps_come_in_their_order() {
    assert_eq!(said(|_| ()), "");
    assert_eq!(
        said(|catalog| {
            catalog.packages[0].name = "Foo.bar".to_owned();
            catalog.bundles[0].image = "UPPER/case".to_owned();
        })
        .split('[')
        .next(),
        Some("invalid package name \"Foo.bar\": ")
    );
    let gvk = || Property::new("olm.gvk", "[]").unwrap();
    assert_eq!(
        said(|catalog| {
            catalog.bundles[0].properties.push(gvk());
            catalog.channels[0].entries[1].skip_range = "none".to_owned();
            other(catalog, r#"{"schema": "olm.deprecations"}"#);
        })
        .split(": json")
        .next(),
        Some("parse properties for bundle \"foo.v1.0.0\": parse property[1] of type \"olm.gvk\"")
    );
    let related = |image: &str| RelatedImage {
        name: String::new(),
        image: image.to_owned(),
    };
    assert_eq!(
        said(|catalog| catalog.bundles[1].related_images =
            vec![related("r.invalid/a:1"), related("r.invalid/a:")]),
        "package \"foo\" bundle \"foo.v1.1.0\" relatedImages[1].image: invalid image pull spec \
         \"r.invalid/a:\": invalid reference format"
    );
    assert_eq!(
        said(|catalog| {
            catalog.channels[0].entries[1].skip_range = "none".to_owned();
            other(catalog, r#"{"schema": "olm.deprecations"}"#);
        }),
        "package name must be set for deprecation item 0"
    );
}

#[test]
fn the_metadata_of_a_csv_has_its_types() {
    let with = |value: &str| {
        said(|catalog| {
            let property = Property::new("olm.csv.metadata", value).unwrap();
            catalog.bundles[0].properties.push(property);
        })
    };
    assert_eq!(with(r#"{"keywords": ["a"], "unknown": 1}"#), "");
    let wrong = with(r#"{"keywords": "a"}"#);
    let words = "parse properties for bundle \"foo.v1.0.0\": parse property[1] of type \
                 \"olm.csv.metadata\": json: cannot unmarshal string";
    assert!(wrong.starts_with(words), "{wrong}");
}

#[test]
fn the_tree_knows_versions_ranges_and_chains() {
    let tree = said(|catalog| {
        // It stands for the chain below what is skipped, too.
        catalog.channels[0].entries[2].skips = vec!["foo.v1.1.0".to_owned()];
        catalog.channels[0].entries[1].skip_range = "<1.1".to_owned();
        catalog.bundles[0].properties = bundle("foo", "1.2.0").properties;
        other(
            catalog,
            r#"{"schema": "olm.deprecations", "package": "foo", "entries": [
            {"reference": {"schema": "olm.bundle", "name": "foo.v1.0.0"}},
            {"reference": {"schema": "olm.channel", "name": "stable"}},
            {"reference": {"schema": "olm.package"}}]}"#,
        );
    });
    assert_eq!(
        tree,
        "invalid index:\n\
         └── invalid package \"foo\":\n    \
             ├── duplicate versions found in bundles: [{1.2.0: [foo.v1.0.0, foo.v1.2.0]}]\n    \
             ├── invalid deprecation: message must be set\n    \
             └── invalid channel \"stable\":\n        \
                 ├── invalid deprecation: message must be set\n        \
                 ├── channel contains one or more stranded bundles: foo.v1.0.0\n        \
                 ├── invalid bundle \"foo.v1.0.0\":\n        \
                 │   └── invalid deprecation: message must be set\n        \
                 └── invalid bundle \"foo.v1.1.0\":\n            \
                     └── invalid skipRange \"<1.1\": Could not parse Range \"<1.1\": Could not \
         parse version \"1.1\" in \"<1.1\": No Major.Minor.Patch elements found"
    );
}

#[test]
fn deprecations_name_what_is_there_once() {
    let with = |entry: &str| {
        said(|catalog| {
            let text = format!(
                r#"{{"schema": "olm.deprecations", "package": "foo", "entries": [{entry}]}}"#
            );
            other(catalog, &text);
        })
    };
    let entry = |schema: &str, name: &str| {
        format!(r#"{{"reference": {{"schema": "{schema}", "name": "{name}"}}, "message": "m"}}"#)
    };
    let twice = [
        entry("olm.bundle", "foo.v1.0.0"),
        entry("olm.bundle", "foo.v1.0.0"),
    ];
    for (entries, words) in [
        (
            entry("", "x"),
            "schema must be set for deprecation entry [0] for package \"foo\"",
        ),
        (twice.join(","), "duplicate deprecation entry"),
        (
            entry("olm.bundle", "x"),
            "cannot deprecate bundle \"x\" for package \"foo\": ",
        ),
        (
            entry("olm.channel", "x"),
            "cannot deprecate channel \"x\" for package \"foo\": ",
        ),
        (
            entry("olm.package", "foo"),
            "package name must be empty for deprecated package \"foo\" (specified \"foo\")",
        ),
        (entry("custom", "x"), "cannot deprecate object"),
    ] {
        let told = with(&entries);
        assert!(told.starts_with(words), "{told}");
    }
    assert_eq!(with(&entry("olm.package", "")), "");
    let again = said(|catalog| {
        for _ in 0..2 {
            other(
                catalog,
                r#"{"schema": "olm.deprecations", "package": "foo"}"#,
            );
        }
    });
    assert_eq!(
        again,
        "expected a maximum of one deprecation per package: \"foo\""
    );
    let unknown = said(|catalog| {
        other(
            catalog,
            r#"{"schema": "olm.deprecations", "package": "bar"}"#,
        );
    });
    assert_eq!(
        unknown,
        "cannot apply deprecations to an unknown package \"bar\""
    );
}

#[test]
fn releases_are_part_of_versions_and_names() {
    let with = |name: &str, version: &str, release: &str| {
        said(|catalog| {
            let value = format!(
                r#"{{"packageName": "foo", "version": "{version}", "release": "{release}"}}"#
            );
            catalog.bundles[2].properties = vec![Property::new("olm.package", &value).unwrap()];
            name.clone_into(&mut catalog.bundles[2].name);
            name.clone_into(&mut catalog.channels[0].entries[2].name);
        })
    };
    assert_eq!(with("foo-v1.1.0-1.a", "1.1.0", "1.a"), "");
    for (name, version, release, words) in [
        (
            "foo.v2",
            "2.0.0",
            "1",
            "name \"foo.v2\" does not match normalized name \"foo-v2.0.0-1\"",
        ),
        (
            "foo-v2.0.0+5-1",
            "2.0.0+5",
            "1",
            "cannot use build metadata",
        ),
        (
            "x",
            "2.0.0",
            "01",
            "error parsing bundle \"x\" release version \"01\": invalid release",
        ),
        (
            "x",
            "2.0.0",
            "123456789012345678901",
            "exceeds maximum length of 20",
        ),
    ] {
        let told = with(name, version, release);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let package = r#"{"schema": "olm.package", "name": "foo"}"#;
    for (text, words) in [
        ("just words", "json: cannot unmarshal"),
        (
            r#"{"schema": "s", "Name": "a", "name": "b"}"#,
            "duplicate keys for key \"name\": [Name name]",
        ),
        (
            r#"{"schema": "s", "Props": 1, "pROPS": 1}"#,
            "duplicate keys for key \"props\"",
        ),
        (
            r#"{"schema": "s", "name": null}"#,
            "expected value for key \"name\" to be a string, got null",
        ),
        (
            r#"{"schema": "s", "Package": 1}"#,
            "expected value for key \"Package\" to be a string",
        ),
        (r#"{"schema": true}"#, "expected value for key \"schema\""),
        (
            "schema: s\nname: [a]\n",
            "expected value for key \"name\" to be a string, got array",
        ),
        (r#"{"name": "a"}"#, "is missing root schema field"),
        (
            r#"{"schema": "olm.deprecations", "entries": {}}"#,
            "parse deprecation: json: cannot unmarshal object",
        ),
        (
            r#"{"schema": "olm.bundle", "name": "b", "package": "foo", "properties": [{"type": "x"},
            {"type": "olm.bundle.object", "value": {"data": "!"}}]}"#,
            "read bundle objects: package \"foo\", bundle \"b\": parse property at index 1 as bundle \
             object: illegal base64 data",
        ),
        (
            r#"{"schema": "olm.bundle", "name": "b", "package": "foo", "properties": [
            {"type": "olm.bundle.object", "value": {"data": "Ow=="}},
            {"type": "olm.bundle.object", "value": {"data": "e30gfQ=="}},
            {"type": "olm.bundle.object", "value": {"data": "YTogYjogYw=="}}]}"#,
            "convert bundle object property at index 2 to JSON: error converting YAML",
        ),
    ] {
        let files = folder(&[("a.json", package), ("b.json", text)]);
        let refused = CatalogFolder::open_by(files.path(), Rules::OpmNewest);
        let refused = refused
            .map(|opened| opened.check())
            .unwrap_err()
            .to_string();
        assert!(refused.contains(words), "{text}: {refused}");
    }
}

#[test]
fn names_in_any_case_are_read() {
    let files = folder(&[("a.json", r#"{"Schema": "s", "NAME": "a", "x": 1, "x": 2}"#)]);
    let opened = CatalogFolder::open_by(files.path(), Rules::OpmNewest).unwrap();
    assert_eq!(opened.outline().others[0].name, "a");
}

#[test]
fn files_of_objects_are_not_gone_to() {
    let mut catalog = chain("foo");
    let property = Property::new("olm.bundle.object", r#"{"ref": "none.json"}"#).unwrap();
    catalog.bundles[0].properties.push(property.clone());
    catalog.bundles[0].image.clear();
    let files = folder(&[("foo.json", &text_of(&catalog))]);
    let opened = CatalogFolder::open_by(files.path(), Rules::OpmNewest).unwrap();
    assert!(opened.check().is_clean());
    let bundles = opened.package("foo").unwrap().bundles;
    assert_eq!(bundles[0].properties[1], property);
    let older = CatalogFolder::open(files.path());
    assert!(matches!(older, Err(FolderError::Objects { .. })));
}

#[test]
fn objects_are_in_the_order_of_newer_versions() {
    let other = |schema: &str, name: &str| {
        format!(r#"{{"schema": "{schema}", "package": "foo", "name": "{name}"}}"#)
    };
    let (deprecations, z, y) = (
        other("olm.deprecations", ""),
        other("z", "b"),
        other("z", "a"),
    );
    let files = folder(&[("a.json", &[deprecations, z, other("b", "c"), y].concat())]);
    let names = |rules| -> Vec<String> {
        let folder = CatalogFolder::open_by(files.path(), rules).unwrap();
        let others = folder.package("foo").unwrap().others.into_iter();
        others
            .map(|other| format!("{} {}", other.schema, other.name))
            .collect()
    };
    // Equal schemas keep the order of the file.
    assert_eq!(
        names(Rules::OpmNewest),
        ["b c", "z b", "z a", "olm.deprecations "]
    );
    assert_eq!(
        names(Rules::Opm126),
        ["b c", "olm.deprecations ", "z a", "z b"]
    );
}

#[test]
fn konflux_wants_a_file_for_each_package_and_one_form() {
    let (mut foo, bar) = (chain("foo"), chain("bar"));
    let property = Property::new("olm.csv.metadata", "{}").unwrap();
    foo.bundles[0].properties.push(property);
    let rules = |form| Rules::Konflux(Some(form));
    let faults = |files: &[(&str, &str)], rules| -> Vec<String> {
        let files = folder(files);
        let report = CatalogFolder::open_by(files.path(), rules).unwrap().check();
        report
            .faults
            .iter()
            .map(|fault| format!("{}{}", fault.place, fault.text))
            .collect()
    };
    let (foo, bar) = (text_of(&foo), text_of(&bar));
    let good = [("foo/catalog.json", &*foo), ("bar/catalog.json", &*bar)];
    assert!(faults(&good, rules(BundleForm::CsvMetadata)).is_empty());
    assert!(faults(&good, Rules::Konflux(None)).is_empty());
    let form = faults(&good, rules(BundleForm::Objects));
    assert_eq!(form.len(), 1);
    assert!(form[0].starts_with("package \"foo\", bundle \"foo.v1.0.0\": bundle has properties"));
    let one = faults(
        &[("foo/catalog.json", &[&*foo, &*bar].concat())],
        Rules::Konflux(None),
    );
    let words =
        "package \"bar\": package has to be in one file, bar/catalog.json or bar/catalog.yaml";
    assert_eq!(one, [words]);
    assert_eq!(
        faults(&[], Rules::Konflux(None)),
        ["the catalog has no package"]
    );
}
