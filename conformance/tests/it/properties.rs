//! What has to hold for every index, held against real operators (spec mutable-registry B2, C1, C3,
//! X1; index-database §8, §12).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use iib_bundle::Bundle;
use iib_catalog::{AddOptions, DeprecateOptions, Missing, Mode};
use iib_catalog_folder::{CatalogFolder, FolderWriter, read_folder};
use iib_fbc::{BundleForm, Catalog};
use iib_indexdb::{ExportError, SqliteIndex};
use iib_ports::{IndexDb as _, IndexDbError};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::corpus::operators;

struct Index {
    _folder: TempDir,
    db: PathBuf,
}

impl Index {
    fn of(bundles: &[Bundle]) -> Self {
        let folder = TempDir::new().unwrap();
        let db = folder.path().join("index.db");
        let index = Self {
            _folder: folder,
            db,
        };
        index.add(bundles, Mode::Replaces).unwrap();
        index
    }

    fn add(&self, bundles: &[Bundle], mode: Mode) -> Result<(), IndexDbError> {
        let options = AddOptions {
            mode,
            ..AddOptions::default()
        };
        SqliteIndex.add(&self.db, bundles, &options).map(|_| ())
    }

    fn content(&self) -> BTreeMap<String, Vec<String>> {
        content(&self.db)
    }
}

/// Every row of every table, sorted.
fn content(db: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(db).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = connection.prepare(tables).unwrap();
    let names = tables.query_map([], |row| row.get(0)).unwrap();
    let names: Vec<String> = names.map(Result::unwrap).collect();
    let rows_of = |table: &String| {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|column| row.get::<_, Value>(column));
            values.collect::<Result<Vec<Value>, _>>()
        });
        let rows = rows.unwrap().map(|row| format!("{:?}", row.unwrap()));
        let mut rows: Vec<String> = rows.collect();
        rows.sort();
        rows
    };
    names
        .iter()
        .map(|name| (name.clone(), rows_of(name)))
        .collect()
}

fn packages(bundles: &[Bundle]) -> Vec<String> {
    let names: BTreeSet<&String> = bundles.iter().map(|bundle| &bundle.package).collect();
    names.into_iter().cloned().collect()
}

/// Two operators, which share no package with the others.
const THERE: [&str; 2] = ["etcd", "keda"];

fn index_with_two() -> Option<Index> {
    let operators = operators()?;
    let there: Vec<Bundle> = THERE
        .iter()
        .flat_map(|name| operators[*name].clone())
        .collect();
    Some(Index::of(&there))
}

#[test]
#[ignore = "takes a minute, and the corpus"]
fn a_package_that_comes_and_goes_leaves_nothing() {
    let Some(index) = index_with_two() else {
        return;
    };
    let before = index.content();
    let mut came = 0;
    for (operator, bundles) in operators().unwrap() {
        let names = packages(bundles);
        let known = names.iter().any(|name| THERE.contains(&name.as_str()));
        if known || index.add(bundles, Mode::Replaces).is_err() {
            continue;
        }
        came += 1;
        assert_ne!(index.content(), before, "{operator}");
        SqliteIndex
            .remove(&index.db, &names, Missing::Refuse)
            .unwrap();
        assert!(
            index.content() == before,
            "{operator} left something behind"
        );
    }
    assert!(came > 30, "{came}");
}

#[test]
#[ignore = "takes a minute, and the corpus"]
fn the_order_of_a_batch_changes_nothing() {
    let Some(operators) = operators() else {
        return;
    };
    let modes = [Mode::Replaces, Mode::Semver, Mode::SemverSkippatch];
    for name in ["keda", "hyperfoil-bundle", "snapscheduler", "oadp-operator"] {
        let bundles = &operators[name];
        for mode in modes {
            let outcome = |bundles: &[Bundle]| {
                let index = Index::of(&[]);
                let said = index
                    .add(bundles, mode)
                    .map_err(|refused| refused.to_string());
                (said, index.content())
            };
            let expected = outcome(bundles);
            for turn in [1, bundles.len() / 2, bundles.len() - 1] {
                let mut turned = bundles.clone();
                turned.rotate_left(turn);
                assert!(outcome(&turned) == expected, "{name} {mode:?} {turn}");
                turned.reverse();
                turned.swap(0, turn / 2);
                assert!(outcome(&turned) == expected, "{name} {mode:?} -{turn}");
            }
        }
    }
}

#[test]
#[ignore = "takes a minute, and the corpus"]
fn a_refused_call_leaves_the_index_as_it_was() {
    let Some(index) = index_with_two() else {
        return;
    };
    let before = index.content();
    let operators = operators().unwrap();
    let mut refused: Vec<IndexDbError> = Vec::new();
    let keda = &operators["keda"];
    refused.push(index.add(&keda[..1], Mode::Replaces).unwrap_err());
    // Good ones before a bad one: without those that the last one stands on, it replaces nothing.
    let mut broken = operators["snapscheduler"].clone();
    broken.extend(
        operators["oadp-operator"]
            .last()
            .cloned()
            .map(|bundle| Bundle {
                replaces: "nothing.v1".to_owned(),
                ..bundle
            }),
    );
    refused.push(index.add(&broken, Mode::Replaces).unwrap_err());
    let names = ["keda", "nothing"].map(str::to_owned);
    let db = &index.db;
    refused.push(SqliteIndex.remove(db, &names, Missing::Refuse).unwrap_err());
    refused.push(SqliteIndex.prune(db, &names, Missing::Refuse).unwrap_err());
    let shape = SqliteIndex.shape(db).unwrap();
    let package = &shape.packages["keda"];
    let head = package.channels[package.default_channel.as_ref().unwrap()].clone();
    let bundles = SqliteIndex.bundles(db).unwrap();
    let head = bundles
        .iter()
        .find(|bundle| Some(&bundle.name) == head.as_ref());
    let image = [head.unwrap().image.clone()];
    let options = DeprecateOptions::default();
    refused.push(SqliteIndex.deprecate(db, &image, &options).unwrap_err());
    for refusal in &refused {
        assert!(matches!(refusal, IndexDbError::Refused(_)), "{refusal}");
    }
    assert!(
        index.content() == before,
        "a refused call left something behind"
    );
}

#[test]
#[ignore = "takes a minute, and the corpus"]
fn a_catalog_that_was_written_reads_the_same() {
    let Some(operators) = operators() else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let (first, again) = (folder.path().join("first"), folder.path().join("again"));
    let mut writer = FolderWriter::new(&first).unwrap();
    let mut written: BTreeMap<String, Catalog> = BTreeMap::new();
    for bundles in operators.values() {
        let index = Index::of(&[]);
        if index.add(bundles, Mode::Replaces).is_err() {
            continue;
        }
        let take = |name: &str, catalog: Catalog| -> Result<(), ExportError> {
            writer.package(name, &catalog).unwrap();
            written.insert(name.to_owned(), catalog);
            Ok(())
        };
        // A head whose CSV has a wrong type somewhere is in an index and in no catalog.
        let _ = SqliteIndex.export(&index.db, BundleForm::Objects, take);
    }
    writer.finish().unwrap();
    assert!(written.len() > 30, "{}", written.len());
    assert!(CatalogFolder::open(&first).unwrap().check().is_clean());
    let read = read_folder(&first).unwrap().by_package();
    assert_eq!(read.len(), written.len());
    for (name, catalog) in &read {
        assert!(*catalog == written[name], "{name} came back as another");
    }
    // An index may have escapes for HTML in its values, which are undone when a catalog is read: from
    // then on the text stays.
    let texts_of = |catalogs: &BTreeMap<String, Catalog>, root: &Path| -> Vec<Vec<u8>> {
        let mut writer = FolderWriter::new(root).unwrap();
        for (name, catalog) in catalogs {
            writer.package(name, catalog).unwrap();
        }
        writer.finish().unwrap();
        let file = |name: &String| fs::read(root.join(name).join("catalog.json")).unwrap();
        catalogs.keys().map(file).collect()
    };
    let texts = texts_of(&read, &again);
    let read_again = read_folder(&again).unwrap().by_package();
    assert!(texts == texts_of(&read_again, &folder.path().join("third")));
}

/// Entries of all channels, with the names behind the numbers.
fn edges(db: &Path) -> BTreeSet<[Option<String>; 4]> {
    let connection = Connection::open(db).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT e.package_name, e.channel_name, e.operatorbundle_name, r.operatorbundle_name
             FROM channel_entry e LEFT JOIN channel_entry r ON r.entry_id = e.replaces",
        )
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Where no bundle fell out of a channel that it names on the way, because a later one did not lead
/// to it: such bundles are refused when all come at once.
#[test]
#[ignore = "takes a minute, and the corpus"]
fn an_index_can_be_built_again_from_its_list() {
    let Some(operators) = operators() else {
        return;
    };
    let mut grown = 0;
    // The made-up ones have odd things in them, such as a deprecation of their own.
    let real = operators
        .iter()
        .filter(|(name, bundles)| !name.starts_with("synth-") && bundles.len() < 20);
    for (operator, bundles) in real {
        let mut in_order = bundles.clone();
        in_order.sort_by(|low, high| low.candidate().handling_cmp(&high.candidate()));
        let index = Index::of(&[]);
        for bundle in &in_order {
            // Those that do not fit are not in the list either.
            let _ = index.add(std::slice::from_ref(bundle), Mode::Replaces);
        }
        let listed = SqliteIndex.bundles(&index.db).unwrap();
        let edges_of_grown = edges(&index.db);
        let of_list = |bundle: &&Bundle| listed.iter().any(|found| found.image == bundle.image);
        let listed: Vec<Bundle> = bundles.iter().filter(of_list).cloned().collect();
        let is_in = |channel: &String, name: &String| {
            let mut edges = edges_of_grown.iter();
            edges.any(|edge| edge[1].as_ref() == Some(channel) && edge[2].as_ref() == Some(name))
        };
        let is_placed = |bundle: &Bundle| {
            let mut channels = bundle.channels.iter();
            channels.all(|channel| is_in(channel, &bundle.name))
        };
        if listed.is_empty() || !listed.iter().all(is_placed) {
            continue;
        }
        let again = Index::of(&listed);
        let shape = |db: &Path| SqliteIndex.shape(db).unwrap();
        assert_eq!(shape(&again.db), shape(&index.db), "{operator}");
        assert_eq!(edges(&again.db), edges_of_grown, "{operator}");
        grown += 1;
    }
    assert!(grown > 20, "{grown}");
}
