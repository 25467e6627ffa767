use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use iib_catalog::{AddOptions, DeprecateOptions};
use iib_fbc::{BundleForm, EdgeKind, Node, NodeState, Picture};
use iib_indexdb::SqliteIndex;
use iib_ports::IndexDb as _;
use rusqlite::Connection;

use crate::made::{Made, basic, bundles};

fn index(made: &[Made]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let options = AddOptions::default();
    for made in made {
        let made = bundles(std::slice::from_ref(made));
        SqliteIndex.add(&db, &made, &options).unwrap();
    }
    (folder, db)
}

fn drawn(db: &Path, packages: &[&str]) -> Vec<Picture> {
    let packages: BTreeSet<String> = packages.iter().map(ToString::to_string).collect();
    SqliteIndex.pictures(db, &packages).unwrap()
}

/// Nodes as `name state`.
fn nodes(picture: &Picture) -> Vec<String> {
    let nodes = picture.nodes.iter();
    nodes
        .map(|Node { name, state }| format!("{name} {state:?}"))
        .collect()
}

#[test]
fn packages_are_drawn_as_their_catalog_is() {
    let mut made = basic();
    made.push(Made::new("other", "1.0.0"));
    made.push(Made::new("third", "1.0.0"));
    let (_folder, db) = index(&made);
    let pictures = drawn(&db, &["other", "basic", "nothing"]);
    let names: Vec<&str> = pictures.iter().map(|found| &*found.package).collect();
    assert_eq!(names, ["basic", "other"]);
    for picture in pictures {
        let mut exported = None;
        SqliteIndex
            .export(&db, BundleForm::Objects, |package, catalog| {
                if package == picture.package {
                    exported = Picture::of(&catalog, package);
                }
                Ok::<_, iib_indexdb::ExportError>(())
            })
            .unwrap();
        assert_eq!(Some(picture), exported);
    }
}

#[test]
fn deprecated_bundles_are_in_the_picture_and_told_apart() {
    let made = [
        Made::new("basic", "1.0.0"),
        Made::replacing("basic", "1.1.0", "1.0.0"),
        Made::replacing("basic", "1.2.0", "1.1.0"),
    ];
    let (_folder, db) = index(&made);
    let images = ["registry.invalid/basic:1.1.0".to_owned()];
    SqliteIndex
        .deprecate(&db, &images, &DeprecateOptions::default())
        .unwrap();
    let pictures = drawn(&db, &["basic"]);
    let [picture] = pictures.as_slice() else {
        panic!("{pictures:?}");
    };
    assert_eq!(
        nodes(picture),
        ["basic.v1.2.0 Present", "basic.v1.1.0 Deprecated"]
    );
    let edges: Vec<_> = picture.edges.iter().map(|edge| edge.kind).collect();
    assert_eq!(edges, [EdgeKind::Replaces]);
    assert_eq!(picture.nodes[1].state, NodeState::Deprecated);
}

#[test]
fn what_bundles_contain_plays_no_part() {
    let (_folder, db) = index(&basic());
    let before = drawn(&db, &["basic"]);
    Connection::open(&db)
        .unwrap()
        .execute_batch("UPDATE operatorbundle SET csv = 'no JSON', bundle = 'none either'")
        .unwrap();
    assert_eq!(drawn(&db, &["basic"]), before);
}
