use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use iib_catalog_folder::{CacheError, CatalogFolder, write_cache, write_folder};
use iib_fbc::ServeForm::{Newest, Opm126};
use iib_fbc::{Catalog, Deprecations, Property, ServeForm, read_text, to_text};
use iib_ports::{CACHE_DIGEST_BYTES, CacheContent, CacheMember, Stretch};
use tempfile::TempDir;

use crate::samples::{chain, files, folder};

fn older(catalog: &Path, cache: &Path) -> String {
    write_cache(catalog, cache, Opm126).unwrap().digest
}

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
    assert_eq!(older(catalog.path(), &cache), "ce76a6ef61868b35");
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
    let digest = older(source.path(), root.path());
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
    assert_eq!(older(source.path(), root.path()), digest);
    assert_eq!(stamp(), before);
    fs::write(root.path().join("cache/packages.json"), "{}").unwrap();
    assert_eq!(older(source.path(), root.path()), digest);
    assert!(files(root.path()) == written);
}

#[test]
fn a_faulty_catalog_and_a_foreign_folder_are_refused() {
    let mut catalog = chain("foo");
    catalog.packages[0].default_channel.clear();
    let (source, root) = (folder(&[]), folder(&[("mine", "text")]));
    write_folder(catalog, source.path()).unwrap();
    let refused = write_cache(source.path(), &root.path().join("new"), Opm126).unwrap_err();
    assert!(refused.to_string().contains("default channel must be set"));
    assert!(!root.path().join("new").exists());

    let sound = folder(&[]);
    write_folder(chain("foo"), sound.path()).unwrap();
    let refused = write_cache(sound.path(), root.path(), Opm126).unwrap_err();
    assert!(matches!(refused, CacheError::Unexpected(_)), "{refused}");
    assert_eq!(files(root.path()).len(), 1);
}

/// A catalog with the chain of `foo` and more, written by hand.
fn catalog_with(more: &str) -> TempDir {
    let source = folder(&[]);
    write_folder(chain("foo"), source.path()).unwrap();
    fs::write(source.path().join("more.json"), more).unwrap();
    source
}

/// One bundle, of package `bar`, with these properties besides that of its package.
fn bundle_with(properties: &str) -> String {
    format!(
        r#"{{"schema": "olm.package", "name": "bar", "defaultChannel": "c"}}
        {{"schema": "olm.channel", "package": "bar", "name": "c", "entries": [{{"name": "bar.v1"}}]}}
        {{"schema": "olm.bundle", "package": "bar", "name": "bar.v1", "image": "r.invalid/bar:1",
        "properties": [{{"type": "olm.package", "value": {{"version": "1.0.0", "packageName": "bar"}}}},
        {properties}]}}"#
    )
}

const DEPRECATIONS: &str = r#"{"schema": "olm.deprecations", "package": "foo", "entries": [
    {"reference": {"schema": "olm.package"}, "message": "<old>"},
    {"reference": {"schema": "olm.channel", "name": "stable"}, "message": "c"},
    {"reference": {"schema": "olm.bundle", "name": "foo.v1.2.0"}, "message": "b"},
    {"reference": {"schema": "olm.bundle", "name": "foo.v9"}, "message": "gone"}]}"#;

fn text(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join("cache").join(name)).unwrap()
}

#[test]
fn the_newest_form_has_deprecations_and_other_objects() {
    let source = catalog_with(&format!(
        r#"{DEPRECATIONS} {{"x": [1.0, "<é>"], "schema": "my.own", "b": 1e2, "package": "foo"}}
        {{"schema": "my.own"}} {{"schema": "my.own"}}"#
    ));
    let root = folder(&[]);
    let written = write_cache(source.path(), root.path(), Newest).unwrap();
    assert_eq!(written.warnings.len(), 1, "{:?}", written.warnings);
    assert!(
        written.warnings[0].contains("foo.v9"),
        "{:?}",
        written.warnings
    );
    let names: Vec<String> = files(root.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // The names were made of the texts by other means.
    let (alone, of_package) = ("64a01e5283d9f334.json", "foo/2a981299e4daed42.json");
    assert_eq!(
        names,
        [
            "cache/foo_stable_foo.v1.0.0.json",
            "cache/foo_stable_foo.v1.1.0.json",
            "cache/foo_stable_foo.v1.2.0.json",
            &format!("cache/metas/my.own/{alone}"),
            &format!("cache/metas/my.own/{of_package}"),
            "cache/packages.json",
            "digest"
        ]
    );
    let below = root.path().join("cache/metas");
    for folder in ["", "my.own", "my.own/foo"] {
        assert_eq!(mode(&below.join(folder)), 0o750, "{folder}");
    }
    assert_eq!(mode(&below.join("my.own").join(alone)), 0o640);
    assert_eq!(
        text(root.path(), &format!("metas/my.own/{of_package}")),
        "{\"b\":100,\"package\":\"foo\",\"schema\":\"my.own\",\"x\":[1,\"<é>\"]}\n"
    );
    let packages = text(root.path(), "packages.json");
    let end = r#"}},"deprecation":{"message":"c"}}},"deprecation":{"message":"\u003cold\u003e"}}}"#;
    assert!(packages.ends_with(end), "{packages}");
    let bundle = text(root.path(), "foo_stable_foo.v1.2.0.json");
    let end = r#""replaces":"foo.v1.1.0","deprecation":{"message":"b"}}"#;
    assert!(bundle.ends_with(end), "{bundle}");
    assert!(!text(root.path(), "foo_stable_foo.v1.1.0.json").contains("deprecation"));
}

#[test]
fn the_newest_form_puts_a_csv_together() {
    let source = catalog_with(&bundle_with(
        r#"{"type": "my.own", "value": {"z": 1.0, "a": "<"}},
        {"type": "olm.csv.metadata", "value": {"displayName": "Bar"}}"#,
    ));
    let root = folder(&[]);
    let written = write_cache(source.path(), root.path(), Newest).unwrap();
    assert_eq!(written.warnings, Vec::<String>::new());
    let csv = concat!(
        r#""{\"kind\":\"ClusterServiceVersion\","#,
        r#"\"apiVersion\":\"operators.coreos.com/v1alpha1\",\"metadata\":{\"name\":\"bar.v1\"},"#,
        r#"\"spec\":{\"install\":{\"strategy\":\"deployment\",\"spec\":{\"deployments\":null}},"#,
        r#"\"version\":\"1.0.0\",\"customresourcedefinitions\":{},"#,
        r#"\"apiservicedefinitions\":{},\"displayName\":\"Bar\",\"provider\":{},"#,
        r#"\"cleanup\":{\"enabled\":false}},\"status\":{\"cleanup\":{}}}""#
    );
    let expected = [
        r#"{"csvName":"bar.v1","packageName":"bar","channelName":"c","csvJson":"#,
        csv,
        r#","object":["#,
        csv,
        r#"],"bundlePath":"r.invalid/bar:1","version":"1.0.0","properties":[{"type":"olm.package","#,
        r#""value":"{\"packageName\":\"bar\",\"version\":\"1.0.0\"}"},"#,
        r#"{"type":"my.own","value":"{\"a\":\"\u003c\",\"z\":1}"}]}"#,
    ];
    assert_eq!(text(root.path(), "bar_c_bar.v1.json"), expected.concat());

    // A CSV that is there stays, and so do objects.
    let config = "eyJraW5kIjoiQ29uZmlnTWFwIn0=";
    let source = catalog_with(&bundle_with(&format!(
        r#"{{"type": "olm.bundle.object", "value": {{"data": "{config}"}}}},
        {{"type": "olm.csv.metadata", "value": {{}}}}"#
    )));
    write_cache(source.path(), root.path(), Newest).unwrap();
    let bundle = text(root.path(), "bar_c_bar.v1.json");
    assert!(
        bundle.contains(r#""csvJson":"{\"kind\":\"ClusterService"#),
        "{bundle}"
    );
    assert!(
        bundle.contains(r#""object":["{\"kind\":\"ConfigMap\"}"],"#),
        "{bundle}"
    );
    let csv = "eyJraW5kIjoiQ2x1c3RlclNlcnZpY2VWZXJzaW9uIn0=";
    let source = catalog_with(&bundle_with(&format!(
        r#"{{"type": "olm.csv.metadata", "value": {{}}}},
        {{"type": "olm.bundle.object", "value": {{"data": "{csv}"}}}}"#
    )));
    write_cache(source.path(), root.path(), Newest).unwrap();
    let bundle = text(root.path(), "bar_c_bar.v1.json");
    let own = r#""csvJson":"{\"kind\":\"ClusterServiceVersion\"}","object":["#;
    assert!(bundle.contains(own), "{bundle}");
}

#[test]
fn what_the_newest_version_refuses_is_told_up_to_a_limit() {
    let mut catalog = chain("foo");
    catalog.channels[0].entries[1].skip_range = "<1".to_owned();
    let written = |catalog: &Catalog| {
        let text: String = catalog.blobs().map(to_text).collect();
        let source = folder(&[("catalog.json", &text)]);
        write_cache(source.path(), folder(&[]).path(), Newest)
            .unwrap()
            .warnings
    };
    let told = written(&catalog);
    let words = "the newest opm refuses the catalog: package \"foo\", channel \"stable\", bundle \
                 \"foo.v1.1.0\": invalid skipRange";
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(words), "{told:?}");
    for at in 0..25 {
        catalog.extend(chain(&format!("Bar{at}")));
    }
    let told = written(&catalog);
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told[5].contains("96 more reasons"), "{told:?}");
}

#[test]
fn the_older_form_says_what_it_leaves_out() {
    let metadata = r#"{"type": "olm.csv.metadata", "value": {"b": 1.0, "a": 2}}"#;
    let source = catalog_with(&format!(
        r#"{DEPRECATIONS} {{"schema": "my.own"}} {}"#,
        bundle_with(metadata)
    ));
    let root = folder(&[]);
    let written = write_cache(source.path(), root.path(), Opm126).unwrap();
    let told = written.warnings.join("\n");
    for part in [
        "1 object of schema olm.deprecations",
        "schema \"my.own\"",
        "such as bar.v1",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!root.path().join("cache/metas").exists());
    let bundle = text(root.path(), "bar_c_bar.v1.json");
    let kept = r#"{"type":"olm.csv.metadata","value":"{\"b\":1.0,\"a\":2}"}]}"#;
    assert!(bundle.ends_with(kept), "{bundle}");
    assert!(!text(root.path(), "packages.json").contains("deprecation"));

    // Either form takes the place of the other, and is left alone where it is.
    let before = files(root.path());
    write_cache(source.path(), root.path(), Newest).unwrap();
    assert!(root.path().join("cache/metas/my.own").is_dir());
    let stamp = || {
        let packages = fs::metadata(root.path().join("cache/packages.json"));
        packages.unwrap().modified().unwrap()
    };
    let written = stamp();
    let again = write_cache(source.path(), root.path(), Newest).unwrap();
    assert_eq!((stamp(), again.warnings.len()), (written, 1));
    older(source.path(), root.path());
    assert!(files(root.path()) == before);
}

/// Nothing is written, and the cache that was there is as it was.
fn refused(more: &str) -> String {
    let root = folder(&[]);
    let cache = root.path().join("deep/cache");
    let sound = catalog_with("");
    write_cache(sound.path(), &cache, Newest).unwrap();
    let before = files(root.path());
    let source = catalog_with(more);
    let said = write_cache(source.path(), &cache, Newest).unwrap_err();
    assert!(files(root.path()) == before, "{more}");
    assert!(!cache.join(".cache.partial").exists(), "{more}");
    let new = root.path().join("new");
    write_cache(source.path(), &new, Newest).unwrap_err();
    assert!(!new.exists(), "{more}");
    said.to_string()
}

#[test]
fn a_bad_csv_metadata_is_refused() {
    let wrong = r#"{"type": "olm.csv.metadata", "value": {"links": [{"url": 1}]}}"#;
    assert_eq!(
        refused(&bundle_with(wrong)),
        "package \"bar\", bundle \"bar.v1\": parse properties: parse property[1] of type \
         \"olm.csv.metadata\": json: cannot unmarshal number into links[0].url, which has to be a \
         string"
    );
    let one = r#"{"type": "olm.csv.metadata", "value": {}}"#;
    let said = refused(&bundle_with(&format!("{one}, {one}")));
    assert!(
        said.contains("bundle \"bar.v1\"") && said.contains("at most 1"),
        "{said}"
    );
    let large = r#"{"type": "my.own", "value": [1e999]}"#;
    let said = refused(&bundle_with(large));
    assert!(said.contains("parse property[1] of type \"my.own\"") && said.contains("1e999"));
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    let long = "x".repeat(256);
    for name in ["..", ".", "a/b", "../../../out", "/out", "a\\u0000b", &long] {
        let of_schema = refused(&format!(r#"{{"schema": "{name}"}}"#));
        let of_package = refused(&format!(r#"{{"schema": "my.own", "package": "{name}"}}"#));
        for said in [of_schema, of_package] {
            assert!(
                said.contains("a file's name, which the cache needs"),
                "{name}: {said}"
            );
        }
    }
    // As long as it may be.
    let longest = "x".repeat(255);
    let source = catalog_with(&format!(r#"{{"schema": "{longest}", "package": "...a"}}"#));
    let root = folder(&[]);
    write_cache(source.path(), root.path(), Newest).unwrap();
    assert!(
        root.path()
            .join("cache/metas")
            .join(longest)
            .join("...a")
            .is_dir()
    );
}

#[test]
fn bad_deprecations_and_objects_are_refused() {
    let said = refused(r#"{"schema": "olm.deprecations", "package": "foo", "entries": ["all"]}"#);
    assert!(
        said.starts_with("package \"foo\": parse deprecations: "),
        "{said}"
    );
    assert!(said.contains("entries[0]"), "{said}");
    let said = refused(r#"{"schema": "my.own", "package": "foo", "name": "n", "x": -1e999}"#);
    assert!(said.contains("object \"n\" of schema \"my.own\"") && said.contains("-1e999"));
}

#[test]
fn what_an_interrupted_run_left_does_no_harm() {
    let source = catalog_with("");
    let root = folder(&[(".cache.partial/metas/old.json", "{}")]);
    write_cache(source.path(), root.path(), Newest).unwrap();
    let names: Vec<String> = files(root.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

/// Another name for every file, in another folder.
fn linked(root: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        fs::hard_link(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// The stretches of a cache, by the paths of its files.
fn stretches(catalog: &CatalogFolder) -> BTreeMap<String, Stretch> {
    let members = catalog.cache_members().into_iter();
    let stored = members.filter_map(|member| match member.content {
        CacheContent::Stored(stretch) => Some((member.path, stretch)),
        CacheContent::Folder | CacheContent::Digest => None,
    });
    stored.collect()
}

fn content(store: &Path, stretch: &Stretch) -> Vec<u8> {
    let file = fs::read(store.join(&*stretch.file)).unwrap();
    let (at, size) = (stretch.at as usize, stretch.size as usize);
    file[at..at + size].to_vec()
}

/// A cache in its store, as a folder.
fn laid_out(catalog: &CatalogFolder, store: &Path) -> TempDir {
    let root = folder(&[]);
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
    for CacheMember {
        path,
        mode,
        content: what,
    } in catalog.cache_members()
    {
        let path = root.path().join(path);
        match what {
            CacheContent::Folder => fs::create_dir(&path).unwrap(),
            CacheContent::Stored(stretch) => fs::write(&path, content(store, &stretch)).unwrap(),
            CacheContent::Digest => {
                let digest = catalog.cache_digest(store).unwrap();
                assert_eq!(digest.len() as u64, CACHE_DIGEST_BYTES);
                fs::write(&path, digest).unwrap();
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    root
}

/// Every folder and file with its permission bits.
fn modes(root: &Path) -> Vec<(String, u32)> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().min_depth(1);
    let entries = entries.into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry
                    .path()
                    .strip_prefix(root)
                    .unwrap()
                    .display()
                    .to_string(),
                mode(entry.path()),
            )
        })
        .collect()
}

/// A catalog, its cache and what was done to both.
struct Changing {
    source: TempDir,
    store: TempDir,
    catalog: CatalogFolder,
    form: ServeForm,
}

impl Changing {
    fn new(form: ServeForm, catalog: Catalog) -> Self {
        let (source, store) = (folder(&[]), folder(&[]));
        write_folder(catalog, source.path()).unwrap();
        let mut catalog = CatalogFolder::open(source.path()).unwrap();
        catalog.store_cache(store.path(), form).unwrap();
        Self {
            source,
            store,
            catalog,
            form,
        }
    }

    /// Changes the catalog, and holds the cache against one that is made from nothing. Gives the number of its
    /// files that were not made anew.
    fn change(&mut self, change: impl FnOnce(&mut CatalogFolder)) -> usize {
        let before = linked(self.store.path());
        let texts = files(before.path());
        let old = stretches(&self.catalog);
        change(&mut self.catalog);
        let said = self
            .catalog
            .store_cache(self.store.path(), self.form)
            .unwrap();
        let fresh = folder(&[]);
        let wanted = write_cache(self.source.path(), fresh.path(), self.form).unwrap();
        assert_eq!(said, wanted.warnings);
        let laid_out = laid_out(&self.catalog, self.store.path());
        assert!(files(laid_out.path()) == files(fresh.path()));
        assert_eq!(modes(laid_out.path()), modes(fresh.path()));
        // What others have links to is as it was.
        assert!(files(before.path()) == texts);
        let new = stretches(&self.catalog);
        let same = |(path, stretch): &(&String, &Stretch)| old.get(*path) == Some(*stretch);
        new.iter().filter(same).count()
    }
}

#[test]
fn what_did_not_change_is_left_in_the_cache() {
    let other = r#"{"schema": "my.own", "package": "bar", "name": "n", "word": 1}"#;
    for form in [Opm126, Newest] {
        let mut content = chain("foo");
        for name in ["bar", "bar_stable"] {
            let more = chain(name);
            content.extend(more);
        }
        let mut world = Changing::new(form, content);
        assert_eq!(world.change(|_| ()), 3 * 3);
        let mut shorter = chain("foo");
        shorter.bundles.remove(0);
        shorter.channels[0].entries.remove(0);
        shorter.channels[0].entries[0].replaces.clear();
        let replaced = world.change(|catalog| catalog.replace("foo", &shorter).unwrap());
        assert_eq!(replaced, 2 * 3);
        let text = DEPRECATIONS.replace("foo.v9", "foo.v1.1.0");
        let deprecations = Deprecations::read(text.as_bytes()).unwrap();
        world.change(|catalog| catalog.deprecate("d", &deprecations).unwrap());
        let fragment = folder(&[]);
        let mut content = chain("bar");
        read_text(other, &mut content).unwrap();
        write_folder(content, fragment.path()).unwrap();
        let fragment = CatalogFolder::open(fragment.path()).unwrap();
        let merged = world.change(|catalog| catalog.merge(&fragment).unwrap());
        assert_eq!(merged, 3 + 2);
        let removed = world.change(|catalog| assert!(catalog.remove("bar").unwrap()));
        assert_eq!(removed, 3 + 2);
        let left = stretches(&world.catalog);
        assert!(!left.keys().any(|path| path.contains("metas")));
        world.change(|catalog| {
            catalog.remove("foo").unwrap();
            catalog.remove("bar_stable").unwrap();
        });
    }
}

#[test]
fn packages_whose_files_have_the_same_names_are_written_together() {
    // `a_b` with the channel `c` and `a` with the channel `b_c` have one file for the bundle `n`.
    let package = |name: &str, channel: &str, image: &str| {
        let text = format!(
            r#"{{"schema": "olm.package", "name": "{name}", "defaultChannel": "{channel}"}}
            {{"schema": "olm.channel", "package": "{name}", "name": "{channel}", "entries": [{{"name": "n"}}]}}
            {{"schema": "olm.bundle", "package": "{name}", "name": "n", "image": "r.invalid/{image}:1",
            "properties": [{{"type": "olm.package", "value": {{"version": "1.0.0", "packageName": "{name}"}}}}]}}"#
        );
        let mut catalog = Catalog::default();
        read_text(&text, &mut catalog).unwrap();
        catalog
    };
    for form in [Opm126, Newest] {
        let mut world = Changing::new(form, package("a", "b_c", "a"));
        world.change(|catalog| catalog.replace("a_b", &package("a_b", "c", "b")).unwrap());
        world.change(|catalog| catalog.replace("a", &package("a", "b_c", "other")).unwrap());
        world.change(|catalog| {
            let more = package("a_b", "c", "more");
            catalog.replace("a_b", &more).unwrap();
        });
        world.change(|catalog| assert!(catalog.remove("a_b").unwrap()));
    }
}

#[test]
fn a_store_that_is_not_whole_is_made_anew() {
    let (source, store) = (folder(&[]), folder(&[("left", "behind")]));
    write_folder(chain("foo"), source.path()).unwrap();
    let mut catalog = CatalogFolder::open(source.path()).unwrap();
    assert_eq!(catalog.cache_members(), []);
    for _ in 0..2 {
        catalog.store_cache(store.path(), Opm126).unwrap();
        let fresh = folder(&[]);
        older(source.path(), fresh.path());
        let laid_out = laid_out(&catalog, store.path());
        assert!(files(laid_out.path()) == files(fresh.path()));
        assert!(!store.path().join("left").exists());
        let (name, _) = files(store.path()).remove(0);
        fs::remove_file(store.path().join(name)).unwrap();
    }
}

/// However often a catalog is changed, its store has few files and not much more than its cache.
#[test]
fn a_store_is_tidied() {
    let mut large = chain("foo");
    large.packages[0].description = "word ".repeat(20_000);
    let mut content = large.clone();
    content.extend(chain("bar"));
    let mut world = Changing::new(Opm126, content);
    let bytes = |root: &Path| -> usize { files(root).iter().map(|(_, text)| text.len()).sum() };
    for _ in 0..50 {
        world.catalog.replace("foo", &large).unwrap();
        let form = world.form;
        world.catalog.store_cache(world.store.path(), form).unwrap();
        let used: u64 = stretches(&world.catalog).values().map(|at| at.size).sum();
        assert!(bytes(world.store.path()) as u64 <= 2 * used + (1 << 20));
        assert!(files(world.store.path()).len() <= 64);
    }
    world.change(|_| ());
    let mut many = Catalog::default();
    for number in 0..70 {
        many.extend(chain(&format!("p{number}")));
    }
    let mut world = Changing::new(Opm126, many);
    let mut counts = Vec::new();
    for number in 0..70 {
        let name = format!("p{number}");
        world.catalog.replace(&name, &chain(&name)).unwrap();
        world
            .catalog
            .store_cache(world.store.path(), Opm126)
            .unwrap();
        counts.push(files(world.store.path()).len());
    }
    assert!(counts.iter().all(|count| *count <= 64), "{counts:?}");
    // All of it was moved together, and not each time.
    let moved = counts.iter().filter(|count| **count == 1).count();
    assert!((1..5).contains(&moved), "{counts:?}");
    assert_eq!(world.change(|_| ()), 70 * 3);
}
