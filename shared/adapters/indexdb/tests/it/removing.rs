use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iib_bundle::Typed;
use iib_catalog::{
    AddOptions, AlphaFeatures, DefaultHeads, DeprecateOptions, LoneBundle, Missing, Mode,
    Overwrite, PackageRemoval,
};
use iib_indexdb::SqliteIndex;
use iib_ports::{Class, Classify as _, IndexDb as _, IndexDbError};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::made::{Made, bundles, rows, select};

const REPLACES: AddOptions = AddOptions {
    mode: Mode::Replaces,
    overwrite: Overwrite::Refuse,
    alpha: AlphaFeatures::On,
};

/// Every table with its rows.
fn tables(db: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(db).unwrap();
    let names = rows(
        &connection,
        "SELECT name FROM sqlite_master WHERE type = 'table'",
    );
    let columns = |name: &str| match name {
        // Numbers of entries go on where they stopped.
        "channel_entry" => "channel_name, package_name, operatorbundle_name, depth",
        _ => "*",
    };
    names
        .into_iter()
        .map(|name| {
            let select = format!("SELECT {} FROM {name}", columns(&name));
            let found = rows(&connection, &select);
            (name, found)
        })
        .collect()
}

fn index(made: &[Made]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex.add(&db, &bundles(made), &REPLACES).unwrap();
    (folder, db)
}

fn chain(package: &'static str) -> Vec<Made> {
    vec![
        Made::new(package, "1.0.0"),
        Made::replacing(package, "1.1.0", "1.0.0"),
        Made::replacing(package, "1.2.0", "1.1.0"),
    ]
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn image(version: &str) -> String {
    format!("registry.invalid/basic:{version}")
}

#[test]
fn a_package_that_comes_and_goes_leaves_nothing() {
    let (_folder, db) = index(&chain("other"));
    let before = tables(&db);
    SqliteIndex
        .add(&db, &bundles(&chain("basic")), &REPLACES)
        .unwrap();
    assert_ne!(tables(&db), before);
    let report = SqliteIndex
        .remove(&db, &names(&["basic"]), Missing::Refuse)
        .unwrap();
    assert_eq!(tables(&db), before);
    assert!(report.changes.to_string().starts_with("- package basic\n"));
    assert_eq!(select(&db, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(select(&db, "PRAGMA foreign_key_check"), [""; 0]);
}

#[test]
fn what_is_refused_changes_nothing() {
    let (_folder, db) = index(&[chain("basic"), chain("other")].concat());
    let before = fs::read(&db).unwrap();
    let deprecate = |images: &[String], package_removal| {
        let options = DeprecateOptions {
            package_removal,
            ..DeprecateOptions::default()
        };
        SqliteIndex.deprecate(&db, images, &options).map(drop)
    };
    let property = Typed {
        kind: "a".to_owned(),
        value: "1".to_owned(),
    };
    let again = Made {
        tag: "-rebuilt",
        ..Made::new("basic", "1.0.0+2")
    };
    let semver = AddOptions {
        mode: Mode::Semver,
        ..REPLACES
    };
    let calls: [(Result<(), IndexDbError>, &str); 7] = [
        (
            SqliteIndex
                .remove(&db, &names(&["basic", "gone"]), Missing::Refuse)
                .map(drop),
            "no package found for packagename gone",
        ),
        (
            SqliteIndex
                .remove(&db, &names(&["basic", "basic"]), Missing::Refuse)
                .map(drop),
            "no package found for packagename basic",
        ),
        (
            SqliteIndex
                .prune(&db, &names(&["basic", "gone"]), Missing::Refuse)
                .map(drop),
            "no package found for packagename gone",
        ),
        (
            deprecate(&[image("1.0.0"), image("9.0.0")], PackageRemoval::Allowed),
            "missing from registry: [registry.invalid/basic:9.0.0]",
        ),
        (
            deprecate(&[image("1.0.0"), image("1.2.0")], PackageRemoval::Refused),
            "error deprecating bundle registry.invalid/basic:1.2.0: Bundle deprecation causing",
        ),
        (
            SqliteIndex.add_property(&db, &[image("1.0.0"), image("9.0.0")], &property),
            "no bundle of the index has these images: [registry.invalid/basic:9.0.0]",
        ),
        (
            SqliteIndex.add(&db, &[again.bundle()], &semver).map(drop),
            "Bundle version 1.0.0+2 already added to index",
        ),
    ];
    for (call, words) in calls {
        let error = call.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!((error.class(), error.exit_code()), (Class::Reject, 1));
    }
    assert!(fs::read(&db).unwrap() == before);
}

#[test]
fn unknown_names_may_be_passed_over() {
    let (_folder, db) = index(&[chain("basic"), chain("other")].concat());
    let report = SqliteIndex
        .remove(&db, &names(&["gone", "basic"]), Missing::PassOver)
        .unwrap();
    assert_eq!(report.passed_over, ["gone"]);
    assert_eq!(select(&db, "SELECT name FROM package"), ["other"]);
    let options = DeprecateOptions {
        missing: Missing::PassOver,
        ..DeprecateOptions::default()
    };
    let images = names(&["registry.invalid/other:1.0.0", "registry.invalid/gone:1"]);
    let report = SqliteIndex.deprecate(&db, &images, &options).unwrap();
    assert_eq!(report.passed_over, ["registry.invalid/gone:1"]);
}

#[test]
fn heads_of_default_channels_are_passed_over_if_told() {
    for package_removal in [PackageRemoval::Refused, PackageRemoval::Allowed] {
        let edge = Made {
            channels: "edge",
            ..Made::new("basic", "0.9.0")
        };
        let (_folder, db) = index(&[chain("basic"), chain("other"), vec![edge]].concat());
        let heads = select(&db, "SELECT name, head_operatorbundle_name FROM channel");
        let refused = DeprecateOptions {
            package_removal,
            ..DeprecateOptions::default()
        };
        let options = DeprecateOptions {
            default_heads: DefaultHeads::PassOver,
            ..refused
        };
        // The head of the default channel, without that of `edge`.
        let images =
            ["basic:1.2.0", "other:1.0.0"].map(|image| format!("registry.invalid/{image}"));
        let [head, _] = images.clone();
        SqliteIndex.deprecate(&db, &images, &refused).unwrap_err();
        let report = SqliteIndex.deprecate(&db, &images, &options).unwrap();
        assert_eq!(report.passed_over, [head]);
        let after = select(&db, "SELECT name, head_operatorbundle_name FROM channel");
        assert_eq!(after, heads);
        let deprecated = select(&db, "SELECT * FROM deprecated");
        assert_eq!(deprecated, ["other.v1.0.0"]);
    }
}

#[test]
fn pruning_keeps_what_is_named() {
    let (_folder, db) = index(&[chain("basic"), chain("other"), chain("third")].concat());
    let report = SqliteIndex
        .prune(&db, &names(&["other", "gone"]), Missing::PassOver)
        .unwrap();
    assert_eq!(report.passed_over, ["gone"]);
    assert_eq!(select(&db, "SELECT name FROM package"), ["other"]);
    let (_folder, alone) = index(&chain("other"));
    assert_eq!(
        select(&db, "SELECT name, bundlepath FROM operatorbundle"),
        select(&alone, "SELECT name, bundlepath FROM operatorbundle")
    );
}

/// Many at once are removed with indexes, a few without; both do the same and leave no trace.
#[test]
fn removing_many_is_removing_a_few_several_times() {
    let packages = ["a", "b", "c", "d", "e", "f", "g", "h", "kept"];
    let made: Vec<Made> = packages.into_iter().flat_map(chain).collect();
    let (_one, at_once) = index(&made);
    let (_other, in_turn) = index(&made);
    let report = SqliteIndex
        .prune(&at_once, &names(&["kept"]), Missing::Refuse)
        .unwrap();
    assert_eq!(report.changes.changes.len(), 8 * 7);
    for package in packages.into_iter().filter(|name| *name != "kept") {
        SqliteIndex
            .remove(&in_turn, &names(&[package]), Missing::Refuse)
            .unwrap();
    }
    assert_eq!(tables(&at_once), tables(&in_turn));
    let schema = "SELECT type, name, sql FROM sqlite_master";
    assert_eq!(select(&at_once, schema), select(&in_turn, schema));
    assert_eq!(select(&at_once, "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn stranded_bundles_go_and_deprecated_ones_stay() {
    let (_folder, db) = index(&chain("basic"));
    // It replaces nothing, so everything below it is stranded.
    SqliteIndex
        .add(&db, &[Made::new("basic", "2.0.0").bundle()], &REPLACES)
        .unwrap();
    let all = "SELECT name FROM operatorbundle";
    assert_eq!(select(&db, all).len(), 4);
    Connection::open(&db)
        .unwrap()
        .execute("INSERT INTO deprecated VALUES ('basic.v1.0.0')", [])
        .unwrap();
    let report = SqliteIndex.prune_stranded(&db).unwrap();
    assert!(report.changes.is_empty());
    assert_eq!(select(&db, all), ["basic.v1.0.0", "basic.v2.0.0"]);
}

#[test]
fn a_head_of_no_package_goes_with_the_stranded_ones_and_takes_its_channels_along() {
    let (_folder, db) = index(&chain("basic"));
    Connection::open(&db)
        .unwrap()
        .execute(
            "UPDATE properties SET value = '{\"packageName\":\"gone\",\"version\":\"1.2.0\"}'
             WHERE type = 'olm.package' AND operatorbundle_name = 'basic.v1.2.0'",
            [],
        )
        .unwrap();
    let report = SqliteIndex.prune_stranded(&db).unwrap();
    let told = report.changes.to_string();
    assert!(told.contains("- package basic"), "{told}");
}

#[test]
fn a_deprecated_bundle_ends_its_channels_and_is_not_served() {
    let (_folder, db) = index(&chain("basic"));
    let report = SqliteIndex
        .deprecate(&db, &[image("1.1.0")], &DeprecateOptions::default())
        .unwrap();
    assert_eq!(
        report.changes.to_string(),
        "~ package basic\n  \
         ~ channel basic/alpha: - entry basic.v1.0.0\n  \
         ~ channel basic/alpha: entry basic.v1.1.0: replaces basic.v1.0.0 -> none\n  \
         ~ channel basic/stable: - entry basic.v1.0.0\n  \
         ~ channel basic/stable: entry basic.v1.1.0: replaces basic.v1.0.0 -> none\n  \
         - bundle basic/basic.v1.0.0\n  \
         ~ bundle basic/basic.v1.1.0: + property olm.deprecated {}\n"
    );
    assert_eq!(
        select(&db, "SELECT name FROM operatorbundle"),
        ["basic.v1.1.0", "basic.v1.2.0"]
    );
    let served = SqliteIndex.bundles(&db).unwrap();
    let served: Vec<&str> = served.iter().map(|bundle| bundle.name.as_str()).collect();
    assert_eq!(served, ["basic.v1.2.0"]);
    assert_eq!(
        select(&db, "SELECT operatorbundle_name FROM deprecated"),
        ["basic.v1.1.0"]
    );
    assert_eq!(select(&db, "PRAGMA foreign_key_check"), [""; 0]);
}

#[test]
fn a_package_whose_heads_are_all_deprecated_goes_if_it_may() {
    let (_folder, db) = index(&[chain("basic"), chain("other")].concat());
    let options = DeprecateOptions {
        package_removal: PackageRemoval::Allowed,
        ..DeprecateOptions::default()
    };
    SqliteIndex
        .deprecate(&db, &[image("1.0.0"), image("1.2.0")], &options)
        .unwrap();
    assert_eq!(select(&db, "SELECT name FROM package"), ["other"]);
    assert_eq!(select(&db, "SELECT * FROM deprecated"), [""; 0]);
}

#[test]
fn a_property_is_written_as_given() {
    let (_folder, db) = index(&chain("basic"));
    let property = Typed {
        kind: "olm.maxOpenShiftVersion".to_owned(),
        value: "4.8".to_owned(),
    };
    SqliteIndex
        .add_property(&db, &[image("1.1.0")], &property)
        .unwrap();
    assert_eq!(
        select(
            &db,
            "SELECT value, operatorbundle_name, operatorbundle_version, operatorbundle_path
             FROM properties WHERE type = 'olm.maxOpenShiftVersion'"
        ),
        ["4.8 | basic.v1.1.0 | 1.1.0 | registry.invalid/basic:1.1.0"]
    );
}

#[test]
fn free_pages_are_zero_when_few_and_given_back_when_many() {
    let packages = ["a", "b", "basic", "c", "d", "e", "f", "other"];
    let made: Vec<Made> = packages.into_iter().flat_map(chain).collect();
    let (_folder, db) = index(&made);
    let free = || {
        let free = select(&db, "PRAGMA freelist_count");
        free[0].parse::<u64>().unwrap()
    };
    let contains = |text: &str| {
        let left = fs::read(&db).unwrap();
        left.windows(text.len()).any(|part| part == text.as_bytes())
    };
    SqliteIndex
        .remove(&db, &names(&["basic"]), Missing::Refuse)
        .unwrap();
    assert!(free() > 0, "the file was written anew");
    assert!(contains("other.v1.0.0") && !contains("basic.v1.0.0"));
    SqliteIndex
        .prune(&db, &names(&["other"]), Missing::Refuse)
        .unwrap();
    assert_eq!(free(), 0);
    assert!(contains("other.v1.0.0") && !contains("c.v1.0.0"));
}

#[test]
fn values_that_other_tools_stored_as_blobs_are_read() {
    let (_folder, db) = index(&[chain("basic"), chain("other")].concat());
    let blobs = "UPDATE properties SET value = CAST(value AS BLOB)";
    Connection::open(&db).unwrap().execute_batch(blobs).unwrap();
    SqliteIndex
        .remove(&db, &names(&["basic"]), Missing::Refuse)
        .unwrap();
    assert_eq!(select(&db, "SELECT name FROM package"), ["other"]);
}

fn without_latest(made: &[Made], package: &str, lone: LoneBundle) -> (Vec<String>, Option<String>) {
    let (_folder, db) = index(made);
    let refused = SqliteIndex.remove_latest(&db, package, lone).err();
    let heads = "SELECT name, head_operatorbundle_name FROM channel ORDER BY name";
    (
        select(&db, heads),
        refused.map(|refused| refused.to_string()),
    )
}

#[test]
fn the_latest_bundle_goes_and_what_it_replaced_is_the_head() {
    let made = chain("basic");
    let (_folder, grown) = index(&made);
    let (_folder_before, before) = index(&made[..made.len() - 1]);
    SqliteIndex
        .remove_latest(&grown, "basic", LoneBundle::Refuse)
        .unwrap();
    assert_eq!(tables(&grown), tables(&before));
}

#[test]
fn channels_are_not_emptied_unasked() {
    let mut made = chain("basic");
    made.push(Made {
        channels: "beta",
        default_channel: made[0].default_channel,
        ..Made::new("basic", "2.0.0")
    });
    let (heads, refused) = without_latest(&made, "basic", LoneBundle::Refuse);
    assert_eq!(heads.len(), 3);
    assert!(refused.unwrap().contains("only bundle in channel beta"));
    let (heads, refused) = without_latest(&made, "basic", LoneBundle::DropChannel);
    assert_eq!((heads.len(), refused), (2, None));
    assert!(!heads.concat().contains("beta"), "{heads:?}");

    let one = [Made::new("one", "1.0.0")];
    let (_, refused) = without_latest(&one, "one", LoneBundle::Refuse);
    assert!(refused.is_some());
    assert_eq!(
        without_latest(&one, "one", LoneBundle::DropChannel),
        (vec![], None)
    );
    let (_, refused) = without_latest(&one, "other", LoneBundle::DropChannel);
    assert!(refused.unwrap().contains("other"));
}

#[test]
fn a_graph_made_by_versions_is_not_torn() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let made: Vec<Made> = ["1.0.0", "1.1.0", "1.2.0"]
        .map(|version| Made::new("p", version))
        .into();
    let options = AddOptions {
        mode: Mode::Semver,
        ..AddOptions::default()
    };
    SqliteIndex.add(&db, &bundles(&made), &options).unwrap();
    let before = fs::read(&db).unwrap();
    let refused = SqliteIndex
        .remove_latest(&db, "p", LoneBundle::Refuse)
        .unwrap_err();
    assert!(
        refused.to_string().contains("is not reached any more"),
        "{refused}"
    );
    assert!(fs::read(&db).unwrap() == before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// By version, the order of a batch plays no part, nor whether it is a batch.
    #[test]
    fn batches_by_version_do_not_depend_on_order(
        order in Just(vec!["1.0.0", "1.0.1", "1.1.0", "2.0.0-rc.1", "2.0.0"]).prop_shuffle(),
    ) {
        let batch = by_version(&[&order], Mode::Semver);
        let singles: Vec<&[&str]> = order.chunks(1).collect();
        prop_assert_eq!(&batch, &by_version(&singles, Mode::Semver));
        prop_assert_eq!(&batch, &by_version(&[&sorted(&order)], Mode::Semver));
    }

    /// With patches skipped, single calls depend on their order in the reference; batches do not.
    #[test]
    fn batches_that_skip_patches_do_not_depend_on_order(
        order in Just(vec!["1.0.0", "1.0.1", "1.0.2", "1.0.3"]).prop_shuffle(),
    ) {
        let batch = by_version(&[&order], Mode::SemverSkippatch);
        prop_assert_eq!(batch, by_version(&[&sorted(&order)], Mode::SemverSkippatch));
    }
}

fn sorted(versions: &[&'static str]) -> Vec<&'static str> {
    let mut versions = versions.to_vec();
    versions.sort_unstable();
    versions
}

/// The tables after these calls.
fn by_version(calls: &[&[&'static str]], mode: Mode) -> BTreeMap<String, Vec<String>> {
    let (folder, options) = (
        tempfile::tempdir().unwrap(),
        AddOptions { mode, ..REPLACES },
    );
    let db = folder.path().join("index.db");
    for call in calls {
        let made: Vec<Made> = call
            .iter()
            .map(|version| Made::new("basic", version))
            .collect();
        SqliteIndex.add(&db, &bundles(&made), &options).unwrap();
    }
    tables(&db)
}

#[test]
fn of_an_index_that_is_emptied_nothing_is_left_in_the_file() {
    let (folder, db) = index(&[chain("lantern"), chain("kettle")].concat());
    // What no package names, and what a removal by names does not reach.
    let odd = "
        INSERT INTO operatorbundle (name, csv, bundlepath) VALUES ('stray.v1', 'stray csv', 'r/s@1');
        INSERT INTO deprecated VALUES ('stray.v1');
        INSERT INTO properties (type, value, operatorbundle_name) VALUES ('olm.package', 'p', 'gone');
        INSERT INTO package (name) VALUES ('hollow');";
    Connection::open(&db).unwrap().execute_batch(odd).unwrap();
    let changes = SqliteIndex.remove_all(&db).unwrap().to_string();
    for package in ["kettle", "lantern"] {
        let gone = format!("- package {package}\n");
        assert!(changes.contains(&gone), "{changes}");
    }
    for (table, rows) in tables(&db) {
        assert_eq!(rows.is_empty(), table != "schema_migrations", "{table}");
    }
    let file = fs::read(&db).unwrap();
    for text in ["lantern", "stray", "hollow"] {
        let found = file.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!found, "{text}");
    }
    // The same as of nothing at all, and again.
    let nothing = folder.path().join("nothing.db");
    assert!(SqliteIndex.remove_all(&nothing).unwrap().is_empty());
    assert_eq!(fs::read(&nothing).unwrap(), file);
    assert!(SqliteIndex.remove_all(&db).unwrap().is_empty());
    assert_eq!(fs::read(&db).unwrap(), file);
    // What is no index is left as it is.
    let other = folder.path().join("other.db");
    fs::write(&other, "no index").unwrap();
    SqliteIndex.remove_all(&other).unwrap_err();
    assert_eq!(fs::read(&other).unwrap(), b"no index");
}
