use std::path::Path;

use iib_catalog::{AddOptions, AlphaFeatures, Mode, Overwrite};
use iib_fbc::{BundleForm, Catalog, Channel, Rules, check, read_text, to_text};
use iib_indexdb::{ExportError, ExportFault, SqliteIndex};
use iib_ports::IndexDb as _;
use rusqlite::Connection;

use crate::made::{Made, basic, bundles};

const OPTIONS: AddOptions = AddOptions {
    mode: Mode::Replaces,
    overwrite: Overwrite::Refuse,
    alpha: AlphaFeatures::On,
};

fn exported(db: &Path) -> Result<Catalog, ExportError> {
    exported_in(BundleForm::Objects, db)
}

fn exported_in(form: BundleForm, db: &Path) -> Result<Catalog, ExportError> {
    let mut catalog = Catalog::default();
    let take = |_: &str, part| -> Result<(), ExportError> {
        catalog.extend(part);
        Ok(())
    };
    SqliteIndex.export(db, form, take)?;
    Ok(catalog)
}

/// Entries as `name`, `name > replaced`, `name > replaced - skipped`.
fn told(channel: &Channel) -> Vec<String> {
    let told = channel.entries.iter().map(|entry| {
        let mut text = entry.name.clone();
        if !entry.replaces.is_empty() {
            text += &format!(" > {}", entry.replaces);
        }
        for skipped in &entry.skips {
            text += &format!(" - {skipped}");
        }
        text.replace("basic.v", "")
    });
    told.collect()
}

fn index(made: &[Made]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    for made in made {
        SqliteIndex
            .add(&db, &bundles(std::slice::from_ref(made)), &OPTIONS)
            .unwrap();
    }
    (folder, db)
}

#[test]
fn metadata_are_made_of_the_csv_of_the_row() {
    let (_folder, db) = index(&basic());
    let kinds = |catalog: &Catalog| -> Vec<String> {
        let bundles = catalog.bundles.iter();
        let last = bundles.map(|bundle| bundle.properties.last().unwrap().kind.clone());
        last.collect()
    };
    let converted = exported_in(BundleForm::CsvMetadata, &db).unwrap();
    assert_eq!(kinds(&converted), ["olm.csv.metadata"; 4]);
    let before = exported(&db).unwrap();
    assert_eq!(kinds(&before), ["olm.bundle.object"; 4]);
    assert_eq!(converted.channels, before.channels);
    let connection = Connection::open(&db).unwrap();
    let change = "UPDATE operatorbundle SET csv = ?1 WHERE name = 'basic.v1.0.0'";
    connection.execute(change, [None::<String>]).unwrap();
    let without = exported_in(BundleForm::CsvMetadata, &db).unwrap();
    assert_eq!(without.bundles[0], before.bundles[0]);
    assert_eq!(without.bundles[1..], converted.bundles[1..]);
    connection
        .execute(change, [r#"{"spec": {"displayName": 1}}"#])
        .unwrap();
    let refused = exported_in(BundleForm::CsvMetadata, &db).unwrap_err();
    assert!(matches!(refused, ExportError::Content(_)), "{refused}");
    let words = "package \"basic\", bundle \"basic.v1.0.0\": migrate: json: cannot unmarshal";
    assert!(refused.to_string().starts_with(words), "{refused}");
    assert_eq!(exported(&db).unwrap().bundles, before.bundles);
}

#[test]
fn the_worked_example_gives_the_catalog_of_the_specification() {
    let (_folder, db) = index(&basic());
    let catalog = exported(&db).unwrap();
    assert!(check(&catalog, Rules::Opm126).is_clean());
    assert_eq!(catalog.packages[0].default_channel, "stable");
    let names: Vec<&str> = catalog
        .channels
        .iter()
        .map(|channel| &*channel.name)
        .collect();
    assert_eq!(names, ["alpha", "beta", "stable"]);
    assert_eq!(
        told(&catalog.channels[0]),
        ["1.0.0", "1.1.0 > 1.0.0", "1.2.0 > 1.1.0"]
    );
    assert_eq!(
        told(&catalog.channels[2]),
        ["1.0.0", "1.1.0 > 1.0.0", "1.2.0", "1.3.0 > 1.1.0 - 1.2.0"]
    );
    assert_eq!(catalog.channels[2].entries[3].skip_range, "<1.3.0");
    let head = &catalog.bundles[3];
    let kinds: Vec<&str> = head.properties.iter().map(|found| &*found.kind).collect();
    assert_eq!(
        kinds,
        [
            "olm.gvk",
            "olm.gvk.required",
            "olm.package",
            "olm.bundle.object",
            "olm.bundle.object"
        ]
    );
    assert_eq!(
        head.properties[2].text(),
        r#"{"packageName":"basic","version":"1.3.0"}"#
    );
    let images: Vec<String> = head
        .related_images
        .iter()
        .map(|image| format!("{}={}", image.name, image.image))
        .collect();
    assert_eq!(
        images,
        [
            "=quay.invalid/init:1.3.0",
            "=quay.invalid/op:1.3.0",
            "r=quay.invalid/related:1.3.0",
            "=registry.invalid/basic:1.3.0"
        ]
    );

    let mut read = Catalog::default();
    for blob in catalog.blobs() {
        read_text(&to_text(blob), &mut read).unwrap();
    }
    assert_eq!(read, catalog);
}

#[test]
fn deprecated_bundles_are_left_out() {
    let (_folder, db) = index(&basic()[..3]);
    let image = ["registry.invalid/basic:1.1.0".to_owned()];
    SqliteIndex
        .deprecate(&db, &image, &iib_catalog::DeprecateOptions::default())
        .unwrap();
    let catalog = exported(&db).unwrap();
    assert_eq!(told(&catalog.channels[0]), ["1.2.0 > 1.1.0"]);
    assert_eq!(catalog.bundles.len(), 1);
}

#[test]
fn what_is_no_catalog_is_refused_with_its_place() {
    for (sql, words) in [
        ("DELETE FROM channel_entry", "invalid channel \"alpha\":\n"),
        (
            "UPDATE operatorbundle SET bundle = '{'",
            "bundle \"basic.v1.0.0\": its list of objects is not what it should be",
        ),
        (
            "UPDATE operatorbundle SET csv = '{\"spec\": {\"version\": \"\"}}'",
            "populate package icons: unmarshal CSV json for bundle \"basic.v1.0.0\": strconv",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM channel",
            "package basic not found",
        ),
    ] {
        let (_folder, db) = index(&basic()[..1]);
        Connection::open(&db).unwrap().execute_batch(sql).unwrap();
        let refused = exported(&db).unwrap_err();
        assert!(refused.to_string().contains(words), "{sql}: {refused}");
        let is_told = match &refused {
            ExportError::Invalid(_) => true,
            ExportError::Content(faults) => matches!(
                faults.as_slice(),
                [ExportFault::NoChannel(_) | ExportFault::Contents(_) | ExportFault::Icon { .. }]
            ),
            _ => false,
        };
        assert!(is_told, "{refused:?}");
    }
}

/// Packages that are read in spite of what is wrong, and what is told.
fn readable(db: &Path) -> (Vec<String>, Vec<String>) {
    let mut packages = Vec::new();
    let exported = SqliteIndex.export(
        db,
        BundleForm::Objects,
        |name, _| -> Result<(), ExportError> {
            packages.push(name.to_owned());
            Ok(())
        },
    );
    let told = match exported {
        Ok(left_out) => left_out.iter().map(ToString::to_string).collect(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    };
    (packages, told)
}

#[test]
fn rows_that_no_catalog_can_hold_are_left_out_and_told() {
    for (sql, words) in [
        (
            "INSERT INTO properties VALUES ('t', '', @)",
            "type \"t\", no value",
        ),
        (
            "INSERT INTO properties VALUES ('t', NULL, @)",
            "type \"t\", no value",
        ),
        (
            "INSERT INTO properties VALUES ('t', '{', @)",
            "type \"t\", the value \"{\"",
        ),
        (
            "INSERT INTO properties VALUES ('t', x'22ff', @)",
            "type \"t\", the value",
        ),
        (
            "INSERT INTO properties VALUES ('olm.gvk', '[]', @)",
            "type \"olm.gvk\"",
        ),
        (
            "INSERT INTO properties VALUES ('olm.package', '\"basic\"', @)",
            "type \"olm.package\"",
        ),
        (
            "INSERT INTO properties VALUES ('olm.package.required', '{\"versionRange\": 1}', @)",
            "type \"olm.package.required\"",
        ),
        (
            "INSERT INTO dependencies VALUES ('olm.gvk', NULL, @)",
            "type \"olm.gvk\", no value",
        ),
        (
            "INSERT INTO dependencies VALUES ('olm.package', '5', @)",
            "type \"olm.package\"",
        ),
    ] {
        let (_folder, db) = index(&basic()[..1]);
        let before = exported(&db).unwrap();
        let owner = "'basic.v1.0.0', '1.0.0', 'registry.invalid/basic:1.0.0'";
        let connection = Connection::open(&db).unwrap();
        connection.execute_batch(&sql.replace('@', owner)).unwrap();
        drop(connection);
        let (packages, told) = readable(&db);
        assert_eq!(packages, ["basic"], "{sql}");
        assert_eq!(told.len(), 1, "{sql}: {told:?}");
        assert!(
            told[0].starts_with("package \"basic\", bundle \"basic.v1.0.0\": the "),
            "{told:?}"
        );
        assert!(told[0].contains(words), "{told:?}");
        assert_eq!(exported(&db).unwrap(), before, "{sql}");
        // It is no obstacle for what comes next.
        assert_eq!(SqliteIndex.bundles(&db).unwrap().len(), 1);
        (SqliteIndex.add(&db, &bundles(&basic()[1..2]), &OPTIONS)).unwrap();
        assert_eq!(readable(&db).0, ["basic"], "{sql}");
        SqliteIndex
            .remove(&db, &["basic".to_owned()], iib_catalog::Missing::Refuse)
            .unwrap();
    }
}

#[test]
fn texts_that_are_none_are_shown_as_far_as_they_go() {
    for (sql, image) in [
        ("INSERT INTO related_image VALUES (x'61ff', @)", "a\u{fffd}"),
        ("UPDATE related_image SET image = CAST(image AS BLOB)", ""),
        (
            "PRAGMA foreign_keys = OFF; UPDATE operatorbundle SET skiprange = CAST('<1' AS BLOB)",
            "",
        ),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO related_image VALUES ('a', x'ff')",
            "",
        ),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO properties (type, value, operatorbundle_name) VALUES ('a', 'b', x'ff')",
            "",
        ),
    ] {
        let (_folder, db) = index(&basic()[..1]);
        let sql = sql.replace('@', "'basic.v1.0.0'");
        Connection::open(&db).unwrap().execute_batch(&sql).unwrap();
        let catalog = exported(&db).unwrap();
        let images = &catalog.bundles[0].related_images;
        assert!(
            image.is_empty() || images.iter().any(|found| found.image == image),
            "{sql}"
        );
    }
}

#[test]
fn a_package_that_cannot_be_read_does_not_hide_the_others() {
    for (sql, told) in [
        (
            "UPDATE operatorbundle SET bundle = '{' WHERE name LIKE 'basic%'",
            "bundle \"basic.v1.0.0\": its list of objects",
        ),
        (
            "UPDATE operatorbundle SET csv = '{' WHERE name LIKE 'basic%'",
            "populate package icons",
        ),
        (
            "DELETE FROM channel_entry WHERE package_name = 'basic'",
            "invalid index",
        ),
    ] {
        let (_folder, db) = index(&basic()[..1]);
        let other = Made::new("other", "1.0.0");
        SqliteIndex.add(&db, &bundles(&[other]), &OPTIONS).unwrap();
        Connection::open(&db).unwrap().execute_batch(sql).unwrap();
        let (packages, faults) = readable(&db);
        assert_eq!(packages, ["other"], "{sql}");
        assert!(faults[0].starts_with(told), "{faults:?}");
    }
}
