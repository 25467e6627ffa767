use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use iib_catalog_folder::{CacheError, write_cache, write_folder};
use iib_fbc::Property;

use crate::samples::{chain, files, folder};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The digest was made of the same bytes by other means: tar streams laid out by hand.
#[test]
fn an_empty_catalog_has_the_digest_of_the_reference() {
    let catalog = folder(&[(".indexignore", "")]);
    fs::set_permissions(catalog.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ignore = catalog.path().join(".indexignore");
    fs::set_permissions(ignore, fs::Permissions::from_mode(0o644)).unwrap();
    let root = folder(&[]);
    let cache = root.path().join("cache");
    assert_eq!(
        write_cache(catalog.path(), &cache).unwrap(),
        "ce76a6ef61868b35"
    );
    assert_eq!(
        files(&cache),
        [
            ("cache/packages.json".to_owned(), b"{}".to_vec()),
            ("digest".to_owned(), b"ce76a6ef61868b35".to_vec())
        ]
    );
    assert_eq!((mode(&cache), mode(&cache.join("cache"))), (0o750, 0o750));
    assert_eq!(mode(&cache.join("digest")), 0o640);
    assert_eq!(mode(&cache.join("cache/packages.json")), 0o640);
}

#[test]
fn every_bundle_has_a_file_in_each_of_its_channels() {
    let mut catalog = chain("foo");
    let object = r#"{"data": "eyJraW5kIjoiQ2x1c3RlclNlcnZpY2VWZXJzaW9uIn0="}"#;
    let properties = &mut catalog.bundles[2].properties;
    for (kind, value) in [
        ("olm.gvk", r#"{"group": "g", "kind": "K", "version": "v1"}"#),
        (
            "olm.package.required",
            r#"{"packageName": "b", "versionRange": ">1"}"#,
        ),
        ("olm.bundle.object", object),
    ] {
        properties.push(Property::new(kind, value).unwrap());
    }
    let (source, root) = (folder(&[]), folder(&[]));
    write_folder(catalog, source.path()).unwrap();
    let digest = write_cache(source.path(), root.path()).unwrap();
    let written = files(root.path());
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cache/foo_stable_foo.v1.0.0.json",
            "cache/foo_stable_foo.v1.1.0.json",
            "cache/foo_stable_foo.v1.2.0.json",
            "cache/packages.json",
            "digest"
        ]
    );
    assert_eq!(
        String::from_utf8_lossy(&written[2].1),
        concat!(
            r#"{"csvName":"foo.v1.2.0","packageName":"foo","channelName":"stable","#,
            r#""csvJson":"{\"kind\":\"ClusterServiceVersion\"}","#,
            r#""object":["{\"kind\":\"ClusterServiceVersion\"}"],"#,
            r#""bundlePath":"registry.invalid/foo:1.2.0","#,
            r#""providedApis":[{"group":"g","version":"v1","kind":"K"}],"version":"1.2.0","#,
            r#""dependencies":[{"type":"olm.package","#,
            r#""value":"{\"packageName\":\"b\",\"version\":\"\u003e1\"}"}],"#,
            r#""properties":[{"type":"olm.package","#,
            r#""value":"{\"packageName\":\"foo\",\"version\":\"1.2.0\"}"},"#,
            r#"{"type":"olm.gvk","value":"{\"group\":\"g\",\"kind\":\"K\",\"version\":\"v1\"}"},"#,
            r#"{"type":"olm.package.required","#,
            r#""value":"{\"packageName\":\"b\",\"versionRange\":\"\u003e1\"}"}],"#,
            r#""replaces":"foo.v1.1.0"}"#
        )
    );

    // A cache that fits is left alone; one that does not is made anew.
    let stamp = || {
        let digest = fs::metadata(root.path().join("cache/packages.json"));
        digest.unwrap().modified().unwrap()
    };
    let before = stamp();
    assert_eq!(write_cache(source.path(), root.path()).unwrap(), digest);
    assert_eq!(stamp(), before);
    fs::write(root.path().join("cache/packages.json"), "{}").unwrap();
    assert_eq!(write_cache(source.path(), root.path()).unwrap(), digest);
    assert!(files(root.path()) == written);
}

#[test]
fn a_faulty_catalog_and_a_foreign_folder_are_refused() {
    let mut catalog = chain("foo");
    catalog.packages[0].default_channel.clear();
    let (source, root) = (folder(&[]), folder(&[("mine", "text")]));
    write_folder(catalog, source.path()).unwrap();
    let refused = write_cache(source.path(), &root.path().join("new")).unwrap_err();
    assert!(refused.to_string().contains("default channel must be set"));
    assert!(!root.path().join("new").exists());

    let sound = folder(&[]);
    write_folder(chain("foo"), sound.path()).unwrap();
    let refused = write_cache(sound.path(), root.path()).unwrap_err();
    assert!(matches!(refused, CacheError::Unexpected(_)), "{refused}");
    assert_eq!(files(root.path()).len(), 1);
}
