use proptest::prelude::*;

use super::*;
use crate::layer::PathFault;
use crate::layer::fixture::{Archive, gzip, open};

fn build(layers: Vec<Archive>) -> Result<BundleContent, LayerError> {
    build_within(BundleLimits::default(), layers)
}

fn build_within(limits: BundleLimits, layers: Vec<Archive>) -> Result<BundleContent, LayerError> {
    let mut tree = BundleTree::new(limits);
    for layer in layers {
        tree.apply(&mut open(&gzip(&layer.end())))?;
    }
    Ok(tree.finish())
}

fn files(pairs: &[(&str, &str)]) -> Option<Files> {
    Some(
        pairs
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
            .collect(),
    )
}

fn base() -> Archive {
    Archive::default()
        .directory("manifests/")
        .file("manifests/csv.yaml", b"csv 1")
        .file("manifests/crd.yaml", b"crd 1")
        .directory("metadata/")
        .file("metadata/annotations.yaml", b"annotations 1")
}

#[test]
fn only_files_directly_in_the_two_directories_are_kept() {
    let layer = Archive::default()
        .file("root", b"x")
        .directory("./")
        .directory("./manifests")
        .file("./manifests/csv.yaml", b"csv")
        .directory("manifests/sub")
        .file("manifests/sub/deep.yaml", b"x")
        .file("metadata/annotations.yaml", b"annotations")
        .file("metadata/.wh..wh.aufs", b"")
        .file("tests/scorecard/config.yaml", b"x")
        .entry(b'2', b"bin", b"");
    let content = build(vec![layer]).unwrap();
    assert_eq!(content.manifests, files(&[("csv.yaml", "csv")]));
    assert_eq!(
        content.metadata,
        files(&[("annotations.yaml", "annotations")])
    );
}

#[test]
fn missing_and_empty_directories_are_told_apart() {
    let content = build(vec![Archive::default().directory("manifests/")]).unwrap();
    assert_eq!(content.manifests, files(&[]));
    assert_eq!(content.metadata, None);
}

#[test]
fn upper_layers_replace_and_hide_what_is_below() {
    let same = files(&[("crd.yaml", "crd 1"), ("csv.yaml", "csv 1")]);
    for (why, upper, expected) in [
        (
            "a file is replaced",
            Archive::default().file("manifests/csv.yaml", b"csv 2"),
            files(&[("crd.yaml", "crd 1"), ("csv.yaml", "csv 2")]),
        ),
        (
            "a file is deleted",
            Archive::default().file("manifests/.wh.crd.yaml", b""),
            files(&[("csv.yaml", "csv 1")]),
        ),
        (
            "the directory is emptied, and what the layer adds stays, before or after",
            Archive::default()
                .file("manifests/new.yaml", b"new")
                .file("manifests/.wh..wh..opq", b""),
            files(&[("new.yaml", "new")]),
        ),
        (
            "a file is deleted and added again",
            Archive::default()
                .file("manifests/csv.yaml", b"csv 2")
                .file("manifests/.wh.csv.yaml", b""),
            files(&[("crd.yaml", "crd 1"), ("csv.yaml", "csv 2")]),
        ),
        (
            "the directory is deleted",
            Archive::default().file(".wh.manifests", b""),
            None,
        ),
        (
            "everything is deleted",
            Archive::default().file(".wh..wh..opq", b""),
            None,
        ),
        (
            "the emptied directory stays a directory",
            Archive::default().file("manifests/.wh..wh..opq", b""),
            files(&[]),
        ),
        (
            "a directory takes a file's place",
            Archive::default().directory("manifests/crd.yaml"),
            files(&[("csv.yaml", "csv 1")]),
        ),
        (
            "whiteouts elsewhere hide nothing here",
            Archive::default()
                .file("etc/.wh.manifests", b"")
                .file("etc/.wh..wh..opq", b""),
            same.clone(),
        ),
    ] {
        let content = build(vec![base(), upper]).unwrap();
        assert_eq!(content.manifests, expected, "{why}");
    }
}

#[test]
fn devices_pipes_and_unknown_types_are_refused_in_the_bundle_and_passed_over_elsewhere() {
    for (kind, reason) in [
        (b'3', Refusal::Device),
        (b'4', Refusal::Device),
        (b'6', Refusal::Fifo),
        (b'S', Refusal::Sparse),
        (b'V', Refusal::UnknownType),
    ] {
        for path in [
            "manifests/odd",
            "metadata/odd",
            "manifests/below/odd",
            "manifests",
        ] {
            let layer = Archive::default().entry(kind, path.as_bytes(), b"");
            let error = build(vec![layer]).unwrap_err();
            let expected = LayerError::Refused {
                path: path.to_owned(),
                reason,
            };
            assert_eq!(error.to_string(), expected.to_string());
        }
        for path in ["dev/odd", "odd", "other/manifests/odd"] {
            let layer = base().entry(kind, path.as_bytes(), b"");
            assert_eq!(build(vec![layer]).unwrap(), build(vec![base()]).unwrap());
        }
    }
}

#[test]
fn names_that_are_no_text_are_refused_in_the_bundle_and_passed_over_elsewhere() {
    let layer = base()
        .entry(b'0', b"usr/caf\xe9", b"x")
        .entry(b'0', b".wh.\xe9", b"");
    assert_eq!(build(vec![layer]).unwrap(), build(vec![base()]).unwrap());
    for path in [&b"manifests/caf\xe9.yaml"[..], b"manifests/.wh.\xe9"] {
        let error = build(vec![base().entry(b'0', path, b"x")]).unwrap_err();
        assert!(
            matches!(
                &error,
                LayerError::Path {
                    source: PathFault::NotText,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn absolute_paths_are_those_of_the_image() {
    let layer = Archive::default()
        .directory("/")
        .directory("/manifests")
        .file("/manifests/csv.yaml", b"csv")
        .file("//metadata/annotations.yaml", b"annotations");
    let relative = Archive::default()
        .file("manifests/csv.yaml", b"csv")
        .file("metadata/annotations.yaml", b"annotations");
    let expected = build(vec![relative]).unwrap();
    assert_eq!(build(vec![layer]).unwrap(), expected);
    // Whiteouts, too, in either spelling.
    let without = build(vec![
        Archive::default()
            .file("/manifests/csv.yaml", b"csv")
            .file("/metadata/a", b""),
        Archive::default().file("/manifests/.wh.csv.yaml", b""),
    ]);
    assert_eq!(without.unwrap().manifests, Some(BTreeMap::new()));
}

/// The tree after these layers, and the links that are left.
fn tree(layers: Vec<Archive>) -> (BundleTree, Vec<Link>) {
    let mut tree = BundleTree::new(BundleLimits::default());
    for layer in layers {
        tree.apply(&mut open(&layer.end())).unwrap();
    }
    let links = tree.links();
    (tree, links)
}

#[test]
fn a_hard_link_in_the_bundle_is_the_file_it_names() {
    let layer = Archive::default()
        .file("manifests/a.yaml", b"a")
        .link("manifests/b.yaml", b"manifests/a.yaml")
        .link("metadata/c.yaml", b"/manifests/b.yaml")
        // Also if it comes first.
        .link("manifests/d.yaml", b"./manifests/e.yaml")
        .file("manifests/e.yaml", b"e");
    let (tree, links) = tree(vec![layer]);
    assert_eq!(links, []);
    let content = tree.finish();
    let manifests = content.manifests.unwrap();
    for (name, text) in [("a.yaml", "a"), ("b.yaml", "a"), ("d.yaml", "e")] {
        assert_eq!(manifests[name], text.as_bytes());
    }
    assert_eq!(content.metadata.unwrap()["c.yaml"], b"a");
}

#[test]
fn links_to_what_was_not_kept_are_left_with_their_layer() {
    let lower = Archive::default()
        .file("manifests/old.yaml", b"old")
        .link("manifests/gone.yaml", b"usr/x")
        .link("manifests/replaced.yaml", b"usr/x");
    let upper = Archive::default()
        .link("manifests/outside.yaml", b"usr/x")
        .link("manifests/old.yaml", b"usr/y")
        .link("manifests/below.yaml", b"metadata/there.yaml")
        .file("manifests/.wh.gone.yaml", b"")
        .file("manifests/replaced.yaml", b"new");
    let (mut tree, links) = tree(vec![lower, upper]);
    let left: Vec<_> = links
        .iter()
        .map(|link| (link.path.as_str(), link.target.as_str(), link.layer))
        .collect();
    assert_eq!(
        left,
        [
            ("manifests/below.yaml", "metadata/there.yaml", 1),
            ("manifests/old.yaml", "usr/y", 1),
            ("manifests/outside.yaml", "usr/x", 1),
        ]
    );
    for link in &links {
        tree.settle(link, link.target.as_str().into()).unwrap();
    }
    assert_eq!(tree.links(), []);
    let manifests = tree.finish().manifests.unwrap();
    let names: Vec<_> = manifests.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["below.yaml", "old.yaml", "outside.yaml", "replaced.yaml"]
    );
    assert_eq!(manifests["old.yaml"], b"usr/y");
    assert_eq!(manifests["replaced.yaml"], b"new");
}

#[test]
fn links_are_bound_like_files() {
    let limits = BundleLimits {
        file_size: 10,
        total_size: 25,
        files: 10,
    };
    // Three times ten bytes.
    let copies = Archive::default()
        .file("manifests/a", &[b'x'; 10])
        .link("manifests/b", b"manifests/a")
        .link("manifests/c", b"manifests/a");
    let error = build_within(limits, vec![copies]).unwrap_err();
    assert!(matches!(error, LayerError::FilesTooLarge { .. }), "{error}");
    let mut tree = BundleTree::new(limits);
    let layer = Archive::default().link("manifests/a", b"usr/x").end();
    tree.apply(&mut open(&layer)).unwrap();
    let link = tree.links().remove(0);
    let error = tree.settle(&link, vec![0; 11]).unwrap_err();
    assert!(matches!(error, LayerError::FileTooLarge { .. }), "{error}");

    let mut many = Archive::default();
    for number in 0..65 {
        many = many.link(&format!("manifests/{number}"), b"usr/x");
    }
    let error = build(vec![many]).unwrap_err();
    assert!(
        matches!(error, LayerError::TooManyLinks { limit: 64 }),
        "{error}"
    );
    let twice = Archive::default()
        .file("manifests/a", b"")
        .link("manifests/a", b"usr/x");
    let error = build(vec![twice]).unwrap_err();
    assert!(error.to_string().contains("occurs twice"), "{error}");
}

#[test]
fn unsafe_paths_anywhere_refuse_the_bundle() {
    for (path, fault) in [
        ("/../manifests/csv.yaml", PathFault::Parent),
        ("manifests/../../x", PathFault::Parent),
    ] {
        let error = build(vec![base().file(path, b"x")]).unwrap_err();
        assert!(
            matches!(&error, LayerError::Path { source, .. } if *source == fault),
            "{error:?}"
        );
    }
}

#[test]
fn links_are_refused_where_the_bundle_has_files_or_directories() {
    for (kind, path, expected) in [
        (b'2', "manifests/csv.yaml", Refusal::NotAFile),
        (b'1', "metadata/annotations.yaml", Refusal::LinkToNothing),
        (b'1', "metadata", Refusal::NotADirectory),
        (b'2', "manifests", Refusal::NotADirectory),
        (b'0', "metadata", Refusal::NotADirectory),
    ] {
        let layer = Archive::default().entry(kind, path.as_bytes(), b"");
        let error = build(vec![layer]).unwrap_err();
        assert!(
            matches!(&error, LayerError::Refused { reason, .. } if *reason == expected),
            "{path}: {error:?}"
        );
    }
}

#[test]
fn the_same_file_twice_in_one_layer_is_refused() {
    let layer = base().file("./manifests/csv.yaml", b"other");
    let error = build(vec![layer]).unwrap_err();
    assert!(error.to_string().contains("manifests/csv.yaml"), "{error}");
}

#[test]
fn limits_hold_for_one_file_all_files_and_their_number() {
    let limits = BundleLimits {
        file_size: 10,
        total_size: 25,
        files: 4,
    };
    let named = |name: &str, size: usize| Archive::default().file(name, &vec![b'x'; size]);
    assert!(matches!(
        build_within(limits, vec![named("manifests/a", 11)]),
        Err(LayerError::FileTooLarge {
            size: 11,
            limit: 10,
            ..
        })
    ));
    let three = ["manifests/a", "metadata/b", "manifests/c"];
    let layers = three.map(|name| named(name, 9)).into();
    assert!(matches!(
        build_within(limits, layers),
        Err(LayerError::FilesTooLarge { limit: 25 })
    ));
    let many = |count: usize| {
        (0..count).fold(Archive::default(), |archive, number| {
            archive.file(&format!("manifests/.wh.{number}"), b"")
        })
    };
    assert!(matches!(
        build_within(limits, vec![many(100)]),
        Err(LayerError::TooManyFiles { limit: 4 })
    ));
    // Large files elsewhere are skipped, not counted.
    assert!(build_within(limits, vec![named("usr/bin/large", 1000)]).is_ok());
}

#[test]
fn a_refused_layer_leaves_the_tree_as_it_was() {
    let mut tree = BundleTree::default();
    tree.apply(&mut open(&base().end())).unwrap();
    let bad = Archive::default()
        .file(".wh.manifests", b"")
        .file("../x", b"");
    tree.apply(&mut open(&bad.end())).unwrap_err();
    assert_eq!(tree.finish().manifests.unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_archive_never_panics_and_never_gives_unsafe_names(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut archive = base().end();
        let at = at.index(archive.len());
        archive[at] = byte;
        let mut tree = BundleTree::default();
        if tree.apply(&mut open(&archive)).is_ok() {
            let content = tree.finish();
            let names = [content.manifests, content.metadata].into_iter().flatten().flatten();
            for (name, _) in names {
                prop_assert!(!name.is_empty() && !name.contains('/') && name != "..");
            }
        }
    }
}
