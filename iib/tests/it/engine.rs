//! `iib index` and `iib catalog`: the engine on files, folders and images.

use std::fs;
use std::process::Output;

use iib_oci::Arch;
use iib_registry::{RegistryClient, RegistryConfig};
use iib_testkit::images;
use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, iib};

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A registry with the demo's images, and a folder to work in.
pub(crate) struct Bench {
    pub(crate) server: Server,
    _data: tempfile::TempDir,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let data = demo_folder();
        Self {
            server: Server::start(data.path(), "127.0.0.1:0", "127.0.0.1:0"),
            _data: data,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/examples/{name}", self.server.registry)
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        iib(words)
            .env("IIB_INSECURE_REGISTRIES", &self.server.registry)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// What a command that has to succeed prints.
    pub(crate) fn prints(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        text(&output.stdout)
    }

    /// What a command that has to end with this code says, and that it changed nothing.
    pub(crate) fn refuses(&self, code: i32, words: &[&str]) -> String {
        let before = fs::read(self.folder.path().join("index.db")).ok();
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(fs::read(self.folder.path().join("index.db")).ok() == before);
        text(&output.stderr)
    }

    /// The index that the demo made.
    pub(crate) fn index(&self) -> String {
        let made = reqwest_get(&format!("{}/api/v1/builds/2", self.server.api));
        let index = made["index_image_resolved"].as_str().unwrap();
        let host = index.split('/').next().unwrap();
        index.replacen(host, &self.server.registry, 1)
    }

    /// Architectures of an image, and the number of layers for each.
    pub(crate) fn shape(&self, image: &str) -> Vec<(String, usize)> {
        let (_, name) = image.split_once('/').unwrap();
        let at = name.find(['@', ':']).unwrap();
        let manifests = format!(
            "http://{}/v2/{}/manifests",
            self.server.registry,
            &name[..at]
        );
        let list = reqwest_get(&format!("{manifests}/{}", &name[at + 1..]));
        let images = list["manifests"].as_array().unwrap().iter();
        let images = images.map(|entry| {
            let arch = entry["platform"]["architecture"].as_str().unwrap();
            let digest = entry["digest"].as_str().unwrap();
            let image = reqwest_get(&format!("{manifests}/{digest}"));
            (arch.to_owned(), image["layers"].as_array().unwrap().len())
        });
        images.collect()
    }

    /// Pushes a catalog folder as an image.
    pub(crate) fn push_catalog(&self, folder: &str) -> String {
        let root = self.folder.path().join(folder);
        let files = walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file());
        let files = files.map(|entry| {
            let path = entry.path().strip_prefix(&root).unwrap();
            let content = fs::read(entry.path()).unwrap();
            (path.to_str().unwrap().to_owned(), content)
        });
        let host = &self.server.registry;
        let registry = RegistryClient::new(RegistryConfig {
            insecure_registries: [host.clone()].into(),
            ..RegistryConfig::default()
        });
        let (registry, files, arches) = (registry.unwrap(), files.collect(), [Arch::amd64()]);
        let push = images::push_catalog(&registry, host, &arches, &files);
        let pushed = tokio::runtime::Runtime::new().unwrap().block_on(push);
        pushed.to_string()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn an_index_is_made_changed_listed_and_served() {
    let bench = Bench::new();
    let missing = bench.refuses(2, &["index", "rm", "index.db", "lantern"]);
    assert!(missing.contains("iib index create"), "{missing}");
    bench.prints(&["index", "create", "index.db"]);
    bench.refuses(2, &["index", "create", "index.db"]);

    let (first, second) = (bench.image("lantern:v0.1.0"), bench.image("lantern:v0.2.0"));
    let kettle = bench.image("kettle:v1.0.0");
    let added = bench.prints(&[
        "index", "add", "index.db", "--bundle", &first, "--bundle", &kettle,
    ]);
    assert!(added.contains("+ package kettle\n") && added.contains("+ bundle lantern/"));
    let again = bench.refuses(1, &["index", "add", "index.db", "--bundle", &first]);
    assert!(
        again.contains(&format!("Bundle {first} already exists")),
        "{again}"
    );
    fs::copy(
        bench.folder.path().join("index.db"),
        bench.folder.path().join("before.db"),
    )
    .unwrap();
    let report = bench.prints(&["index", "add", "index.db", "--bundle", &second, "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["changes"][0]["change"], "default_channel");

    let diff = bench.prints(&["catalog", "diff", "before.db", "index.db"]);
    assert!(diff.contains("+ bundle lantern/lantern.v0.2.0\n"), "{diff}");
    let listed: Value =
        serde_json::from_str(&bench.prints(&["index", "list", "index.db", "--json"])).unwrap();
    assert_eq!(listed[1]["image"], first.as_str());
    assert_eq!(listed.as_array().unwrap().len(), 3);

    let latest = bench.folder.path().join("latest.db");
    fs::copy(bench.folder.path().join("index.db"), &latest).unwrap();
    let without = bench.prints(&["index", "rm-latest", "latest.db", "lantern"]);
    assert!(
        without.contains("- bundle lantern/lantern.v0.2.0\n"),
        "{without}"
    );
    let alone = bench.refuses(1, &["index", "rm-latest", "latest.db", "kettle"]);
    assert!(alone.contains("is the only bundle in channel"), "{alone}");
    fs::remove_file(latest).unwrap();

    // As the README writes them, with a slash at the end.
    bench.prints(&["index", "migrate", "index.db", "catalog/"]);
    bench.prints(&["catalog", "validate", "catalog/"]);
    assert_eq!(
        bench.prints(&["catalog", "render", "catalog"]),
        bench.prints(&["catalog", "render", "index.db"])
    );
    assert_eq!(
        bench.prints(&["catalog", "diff", "catalog", "index.db"]),
        ""
    );
    bench.prints(&["catalog", "cache", "catalog/", "cache/"]);
    let digest = fs::read_to_string(bench.folder.path().join("cache/digest")).unwrap();
    assert_eq!(digest.len(), 16);

    let svg = bench.prints(&["catalog", "graph", "index.db", "lantern"]);
    assert!(svg.starts_with("<svg") && svg.contains("head of "), "{svg}");
    let mermaid = [
        "catalog", "graph", "catalog", "lantern", "--format", "mermaid",
    ];
    assert!(bench.prints(&mermaid).contains("==> n0"));
    bench.refuses(2, &["catalog", "graph", "index.db", "nothing"]);

    let less = ["catalog", "rm", "catalog", "kettle", "--to", "less/"];
    assert!(bench.prints(&less).contains("- package kettle\n"));
    let more = ["catalog", "merge", "less", "index.db", "--to", "more"];
    assert!(bench.prints(&more).contains("+ package kettle\n"));
    assert_eq!(bench.prints(&["catalog", "diff", "more", "catalog"]), "");
    bench.refuses(2, &["catalog", "rm", "catalog", "nothing", "--to", "none"]);

    let words = bench.folder.path().join("words.yaml");
    let deprecations = "schema: olm.deprecations\npackage: lantern\nentries:\n\
        - reference: {schema: olm.bundle, name: lantern.v0.1.0}\n  message: too old\n";
    fs::write(&words, deprecations).unwrap();
    let said = ["catalog", "deprecations", "catalog", "words.yaml", "--to"];
    let say = |to| [said.as_slice(), &[to, "--json"]].concat();
    let said: Value = serde_json::from_str(&bench.prints(&say("said"))).unwrap();
    assert_eq!(said["changes"][0]["change"], "deprecation");
    assert_eq!(said["changes"][0]["after"], "too old");
    let json = ["catalog", "graph", "said", "lantern", "--json"];
    let graph: Value = serde_json::from_str(&bench.prints(&json)).unwrap();
    assert_eq!(graph["nodes"][1]["state"], "deprecated");
    caches_say_what_they_carry(&bench);
    fs::write(&words, deprecations.replace("v0.1.0", "v0.0.0")).unwrap();
    let refused = bench.refuses(2, &say("none"));
    assert!(
        refused.contains("which the package does not have"),
        "{refused}"
    );
    fs::remove_file(words).unwrap();
    for gone in ["less", "more", "said"] {
        fs::remove_dir_all(bench.folder.path().join(gone)).unwrap();
    }

    let unknown = bench.refuses(1, &["index", "prune", "index.db", "--keep", "nothing"]);
    assert!(unknown.contains("check its spelling"), "{unknown}");
    let pruned = bench.prints(&["index", "prune", "index.db", "--keep", "lantern"]);
    assert!(pruned.contains("- package kettle\n"), "{pruned}");
    bench.prints(&["index", "deprecate", "index.db", &first]);
    let listed = bench.prints(&["index", "list", "index.db"]);
    assert_eq!(listed, format!("lantern lantern.v0.2.0 {second}\n"));
    bench.prints(&[
        "index",
        "rm",
        "index.db",
        "gone",
        "lantern",
        "--pass-over-missing",
    ]);
    assert_eq!(bench.prints(&["index", "list", "index.db"]), "");
    bench.prints(&["index", "prune-stranded", "index.db"]);
    assert_eq!(bench.files(), ["before.db", "cache", "catalog", "index.db"]);
}

/// Of the catalog `said`, which deprecates a bundle of lantern.
fn caches_say_what_they_carry(bench: &Bench) {
    let cache = |more: &[&str]| {
        let words = [&["catalog", "cache", "said", "served", "--json"], more].concat();
        serde_json::from_str::<Value>(&bench.prints(&words)).unwrap()
    };
    let carried = || {
        let folder = bench.folder.path().join("served/cache");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let files = files.filter(|file| file.is_file());
        let texts: String = files
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        texts.contains(r#""deprecation":{"message":"too old"}"#)
    };
    let newest = cache(&[]);
    assert_eq!(newest["warnings"], serde_json::json!([]));
    assert!(carried());
    let older = cache(&["--as", "opm-1.26"]);
    let warning = older["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("1 object of schema olm.deprecations"),
        "{warning}"
    );
    assert!(!carried());
    assert_ne!(older["digest"], newest["digest"]);
    bench.refuses(2, &["catalog", "cache", "said", "served", "--as", "opm-2"]);
    fs::remove_dir_all(bench.folder.path().join("served")).unwrap();
}

#[test]
fn an_index_image_is_as_good_as_a_file() {
    let bench = Bench::new();
    let index = bench.index();
    let listed = bench.prints(&["index", "list", &index]);
    assert!(listed.contains("lantern.v0.3.0"), "{listed}");
    bench.prints(&["catalog", "validate", &index]);
    bench.prints(&["index", "migrate", &index, "catalog"]);
    assert_eq!(bench.prints(&["catalog", "diff", &index, "catalog"]), "");
    let nothing = bench.run(&["index", "list", &bench.image("nothing:v1")]);
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn an_index_image_is_changed_into_another_one() {
    let bench = Bench::new();
    let (index, changed) = (bench.index(), bench.image("changed:v1"));
    let whereto = bench.refuses(2, &["index", "rm", &index, "kettle"]);
    assert!(whereto.contains("--to"), "{whereto}");
    let digest = bench.refuses(2, &["index", "rm", &index, "kettle", "--to", &index]);
    assert!(digest.contains("name a tag"), "{digest}");

    let said = bench.prints(&["index", "rm", &index, "kettle", "--to", &changed]);
    assert!(said.starts_with("- package kettle\n"), "{said}");
    let pinned = said.lines().last().unwrap();
    let pinned = pinned.strip_prefix(&bench.image("changed")).unwrap();
    assert!(pinned.starts_with("@sha256:"), "{said}");
    let diff = bench.prints(&["catalog", "diff", &index, &changed]);
    assert!(diff.starts_with("- package kettle\n"), "{diff}");
    let shape = |image: &str| bench.shape(image);
    assert_eq!(shape(&changed), shape(&index));
    assert_eq!(
        shape(&changed),
        [("amd64".to_owned(), 2), ("arm64".to_owned(), 2)]
    );

    // The tag it was read from is moved, and a refused change pushes nothing.
    let again = [
        "index",
        "rm-latest",
        &changed,
        "lantern",
        "--to",
        &changed,
        "--json",
    ];
    let report: Value = serde_json::from_str(&bench.prints(&again)).unwrap();
    let image = report["index_image"].as_str().unwrap();
    assert_eq!(bench.prints(&["catalog", "diff", image, &changed]), "");
    assert!(
        !bench
            .prints(&["index", "list", &changed])
            .contains("v0.3.0")
    );
    let unknown = ["index", "rm", &changed, "kettle", "--to", &changed];
    let unknown = bench.refuses(1, &unknown);
    assert!(unknown.contains("kettle"), "{unknown}");
    assert_eq!(bench.prints(&["catalog", "diff", image, &changed]), "");

    // Into a file, and from there into an image that is built on another one.
    bench.prints(&["index", "prune-stranded", &changed, "--to", "file.db"]);
    bench.refuses(2, &["index", "prune-stranded", &changed, "--to", "file.db"]);
    let (based, binary) = (bench.image("based:v1"), bench.image("binary:v1"));
    let based_on = ["--binary-image", binary.as_str(), "--to", based.as_str()];
    bench.prints(&[&["index", "prune-stranded", "file.db"], &based_on[..]].concat());
    assert_eq!(bench.prints(&["catalog", "diff", "file.db", &based]), "");
    assert_eq!(shape(&based), shape(&index));
    let kept = [&["index", "prune-stranded", &index], &based_on[..]].concat();
    bench.prints(&kept);
    assert_eq!(bench.prints(&["catalog", "diff", &index, &based]), "");
    let onto_file = ["index", "create", "other.db", "--binary-image", &binary];
    bench.refuses(2, &onto_file);

    let fresh = bench.image("fresh:v1");
    bench.prints(&["index", "create", &fresh]);
    assert_eq!(bench.prints(&["index", "list", &fresh]), "");
    let there = bench.refuses(2, &["index", "create", &fresh]);
    assert!(there.contains("is there already"), "{there}");
    let first = bench.image("lantern:v0.1.0");
    bench.prints(&["index", "add", &fresh, "--bundle", &first, "--to", &fresh]);
    assert_eq!(shape(&fresh), [("amd64".to_owned(), 1)]);
    assert_eq!(bench.files(), ["file.db"]);
}

#[test]
fn catalogs_and_bundles_are_read_from_images() {
    let bench = Bench::new();
    let index = bench.index();
    bench.prints(&["index", "migrate", &index, "catalog"]);
    let catalog = bench.push_catalog("catalog");
    for words in [&["catalog", "render"][..], &["catalog", "validate"]] {
        let of = |source| bench.prints(&[words, &[source]].concat());
        assert_eq!(of(&catalog), of("catalog"));
    }
    assert_eq!(bench.prints(&["catalog", "diff", &catalog, &index]), "");
    let list = bench.prints(&["catalog", "render", &catalog, "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["schema"], "olm.package");
    bench.prints(&["index", "create", "empty.db"]);
    let none = bench.prints(&["catalog", "render", "empty.db", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&none).unwrap(),
        serde_json::json!([])
    );
    let cached = |source: &str, to| bench.prints(&["catalog", "cache", source, to]);
    assert_eq!(cached(&catalog, "one"), cached("catalog", "two"));
    let database = bench.refuses(2, &["catalog", "cache", &index, "three"]);
    assert!(database.contains("iib index migrate"), "{database}");

    let lantern = bench.image("lantern:v0.1.0");
    let bundle = bench.prints(&["catalog", "render", &lantern]);
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    assert_eq!(bundle["schema"], "olm.bundle");
    assert_eq!(bundle["image"], lantern.as_str());
    let alone = bench.refuses(1, &["catalog", "validate", &lantern]);
    assert!(alone.contains("unknown package \"lantern\""), "{alone}");
    let other = bench.refuses(2, &["catalog", "render", &bench.image("binary:v1")]);
    assert!(other.contains("neither an index nor a bundle"), "{other}");
}

#[test]
fn a_diff_shows_what_changed_whatever_form_the_catalogs_have() {
    let bench = Bench::new();
    let index = bench.index();
    bench.prints(&["index", "migrate", &index, "catalog"]);
    let file = bench.folder.path().join("catalog/lantern/catalog.json");
    let before = fs::read_to_string(&file).unwrap();
    let after = before.replace("examples/lantern@", "prod/lantern@");
    assert_ne!(before, after);
    fs::write(&file, after).unwrap();
    for (before, after, sign) in [
        (
            &*index,
            "catalog",
            "~ package lantern\n  ~ bundle lantern/lantern.v",
        ),
        (
            "catalog",
            &*index,
            "~ package lantern\n  ~ bundle lantern/lantern.v",
        ),
        // One file by itself has no other package.
        ("catalog", "catalog/lantern/catalog.json", "- package "),
    ] {
        let diff = bench.prints(&["catalog", "diff", before, after]);
        assert!(diff.starts_with(sign), "{diff}");
        let output = bench.run(&["catalog", "diff", before, after, "--json", "--exit-code"]);
        assert_eq!(output.status.code(), Some(1));
        let changes: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        assert!(changes[0]["package"].is_string(), "{changes}");
        let same = ["catalog", "diff", before, before, "--json", "--exit-code"];
        assert_eq!(bench.prints(&same), "[]\n");
    }
    // A failure is no difference.
    let damaged = bench.folder.path().join("damaged.json");
    fs::write(&damaged, "{\"schema\": ").unwrap();
    for words in [["catalog", "damaged.json"], ["damaged.json", "catalog"]] {
        let diff = [&["catalog", "diff", "--exit-code"], &words[..]].concat();
        let said = bench.refuses(2, &diff);
        assert!(said.contains("damaged.json"), "{said}");
    }
}

const LAMP: &str = "schema: olm.package\nname: lamp\ndefaultChannel: stable\n\
    ---\nschema: olm.channel\npackage: lamp\nname: stable\nentries:\n- name: lamp.v1\n\
    ---\nschema: olm.bundle\npackage: lamp\nname: lamp.v1\nimage: r.example/lamp:1\nproperties:\n\
    - {type: olm.bundle.object, value: {data: eyJraW5kIjoiQiJ9}}\n\
    - {type: olm.package, value: {packageName: lamp, version: 1.0.0}}\n\
    - {type: olm.bundle.object, value: {data: eyJraW5kIjoiQSJ9}}\n\
    relatedImages:\n- {name: z, image: r.example/z}\n- {name: a, image: r.example/a}\n";

/// A folder to work in, without a service.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(folder)
    }

    /// How a command ended, what it printed and what it said.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = iib(words).current_dir(self.0.path()).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out, err)
    }

    fn prints(&self, words: &[&str]) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!((code, &*err), (Some(0), ""), "{words:?}");
        out
    }
}

#[test]
fn a_catalog_file_is_taken_by_every_command() {
    let desk = Desk::new(&[
        ("lamp.yaml", LAMP),
        ("folder/catalog.yaml", LAMP),
        (
            "words.yaml",
            "schema: olm.deprecations\npackage: lamp\nentries:\n\
             - reference: {schema: olm.bundle, name: lamp.v1}\n  message: old\n",
        ),
    ]);
    std::os::unix::fs::symlink("lamp.yaml", desk.0.path().join("link.yaml")).unwrap();
    let rendered = desk.prints(&["catalog", "render", "folder"]);
    fs::write(desk.0.path().join("lamp.json"), &rendered).unwrap();
    for (number, file) in ["lamp.yaml", "link.yaml", "lamp.json"]
        .into_iter()
        .enumerate()
    {
        let to = |what: &str| format!("{what}-{number}");
        assert_eq!(desk.prints(&["catalog", "render", file]), rendered);
        assert_eq!(desk.prints(&["catalog", "validate", file]), "");
        assert_eq!(desk.prints(&["catalog", "diff", file, "folder"]), "");
        let graph = desk.prints(&["catalog", "graph", file, "lamp", "--format", "dot"]);
        assert!(graph.contains("lamp.v1"), "{graph}");
        let gone = desk.prints(&["catalog", "rm", file, "lamp", "--to", &to("less")]);
        assert!(gone.starts_with("- package lamp\n"), "{gone}");
        let merged = ["catalog", "merge", &to("less"), file, "--to", &to("more")];
        assert!(desk.prints(&merged).starts_with("+ package lamp\n"));
        let said = [
            "catalog",
            "deprecations",
            file,
            "words.yaml",
            "--to",
            &to("said"),
        ];
        let said = desk.prints(&said);
        assert!(
            said.contains("+ deprecation of bundle lamp/lamp.v1: \"old\""),
            "{said}"
        );
        assert_eq!(
            desk.prints(&["catalog", "cache", file, &to("cache")]).len(),
            17
        );
    }
}

#[test]
fn what_is_no_catalog_is_told_with_what_is_expected() {
    let desk = Desk::new(&[
        ("note.txt", "hello"),
        ("pod.yaml", "kind: Pod\n"),
        ("broken.json", "{\"schema\": 1"),
        ("archive.tgz", "\u{1f}"),
        ("image", "a\0b"),
    ]);
    fs::write(desk.0.path().join("archive.tgz"), b"\x1f\x8b\x08\0").unwrap();
    for (file, words) in [
        ("./note.txt", &["note.txt is no catalog", "no object"][..]),
        ("./pod.yaml", &["pod.yaml", "missing root schema field"]),
        ("./broken.json", &["broken.json", "unexpected EOF"]),
        (
            "./archive.tgz",
            &[
                "a gzip archive",
                "a folder, a file in JSON or YAML, or an index database",
            ],
        ),
        (
            "./image",
            &[
                "binary",
                "a folder, a file in JSON or YAML, or an index database",
            ],
        ),
        (
            "./nothing",
            &["there is no ./nothing", "a catalog is a folder"],
        ),
        ("nothing.yaml", &["there is no nothing.yaml"]),
        ("/dev/null", &["neither a file nor a folder"]),
    ] {
        for command in ["validate", "render"] {
            let (code, out, err) = desk.run(&["catalog", command, file]);
            assert_eq!((code, &*out), (Some(2), ""), "{file}: {err}");
            for word in words {
                assert!(err.contains(word), "{file}: {err}");
            }
        }
        let (code, _, err) = desk.run(&["catalog", "cache", file, "cache"]);
        assert_eq!(code, Some(2), "{file}: {err}");
    }
}

#[test]
fn a_catalog_without_packages_and_a_template_are_told() {
    let semver = "schema: olm.semver\nstable: {bundles: [{image: r.example/lamp:1}]}\n";
    let desk = Desk::new(&[
        ("none/.indexignore", "*.yaml\n"),
        ("none/catalog.yaml", LAMP),
        ("empty.yaml", ""),
        ("template/semver.yaml", semver),
        ("basic.yaml", "schema: olm.template.basic\nentries: []\n"),
        (
            "parts.yaml",
            "schema: olm.composite.catalogs\ncatalogs: []\n",
        ),
        ("mixed/catalog.yaml", LAMP),
        ("mixed/semver.yaml", semver),
    ]);
    fs::create_dir(desk.0.path().join("nothing")).unwrap();
    desk.prints(&["index", "create", "index.db"]);
    for (catalog, word) in [
        (
            "nothing",
            "nothing has no package: there is no file in it\n",
        ),
        (
            "none",
            "none has no package: its .indexignore leaves out every file\n",
        ),
        ("empty.yaml", "empty.yaml has no package: "),
        ("index.db", "index.db has no package: the index is empty\n"),
        (
            "template",
            "template: semver.yaml is a template (olm.semver), not a catalog: ",
        ),
        (
            "basic.yaml",
            "is a template (olm.template.basic), not a catalog: ",
        ),
        (
            "parts.yaml",
            "is a template (olm.composite.catalogs), not a catalog: ",
        ),
    ] {
        let (code, out, err) = desk.run(&["catalog", "validate", catalog]);
        assert_eq!((code, &*out), (Some(0), ""), "{catalog}: {err}");
        assert!(err.contains(word), "{catalog}: {err}");
    }
    let (code, _, err) = desk.run(&["catalog", "validate", "mixed"]);
    assert_eq!(code, Some(0));
    assert!(err.contains("semver.yaml is a template"), "{err}");
    assert!(!err.contains("no package"), "{err}");
    // Faults are faults.
    let bad = Desk::new(&[("bad.yaml", &LAMP.replace("name: stable", "name: fast"))]);
    let (code, _, err) = bad.run(&["catalog", "validate", "bad.yaml"]);
    assert_eq!(code, Some(1), "{err}");
}

#[test]
fn a_catalog_is_printed_in_the_order_of_the_reference() {
    let desk = Desk::new(&[("lamp.yaml", LAMP)]);
    let list = desk.prints(&["catalog", "render", "lamp.yaml", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let all = |list: &Value, of: &str| -> Vec<String> {
        let parts = list.as_array().unwrap().iter();
        parts.map(|part| part[of].to_string()).collect()
    };
    let bundle = &list[2];
    let images = all(&bundle["relatedImages"], "name");
    assert_eq!(images, ["\"a\"", "\"z\""]);
    let properties = all(&bundle["properties"], "value");
    assert_eq!(
        properties[1..],
        [
            r#"{"data":"eyJraW5kIjoiQiJ9"}"#,
            r#"{"data":"eyJraW5kIjoiQSJ9"}"#
        ]
    );
    // A package that is only passed on stays as it was written, as files that are copied do.
    let other = LAMP.replace("lamp", "other");
    fs::write(desk.0.path().join("other.yaml"), other).unwrap();
    desk.prints(&[
        "catalog",
        "merge",
        "lamp.yaml",
        "other.yaml",
        "--to",
        "both",
    ]);
    let kept = fs::read_to_string(desk.0.path().join("both/lamp/catalog.json")).unwrap();
    assert!(
        kept.find("r.example/z") < kept.find("r.example/a\""),
        "{kept}"
    );
}

fn reqwest_get(url: &str) -> Value {
    let url = url.to_owned();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
}

#[test]
fn a_row_that_no_catalog_can_hold_is_left_out_with_a_word() {
    let bench = Bench::new();
    let (lantern, kettle) = (bench.image("lantern:v0.1.0"), bench.image("kettle:v1.0.0"));
    bench.prints(&["index", "create", "index.db"]);
    bench.prints(&[
        "index", "add", "index.db", "--bundle", &lantern, "--bundle", &kettle,
    ]);
    let rendered = bench.prints(&["catalog", "render", "index.db"]);
    assert_eq!(bench.prints(&["catalog", "validate", "index.db"]), "");
    let database = rusqlite::Connection::open(bench.folder.path().join("index.db")).unwrap();
    let bad = "INSERT INTO properties SELECT 'my.own', '', name, version, bundlepath
               FROM operatorbundle WHERE name = 'lantern.v0.1.0'";
    database.execute_batch(bad).unwrap();
    drop(database);

    for words in [
        &["catalog", "render", "index.db"][..],
        &["index", "migrate", "index.db", "catalog"],
    ] {
        let output = bench.run(words);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        let told = "warning: package \"lantern\", bundle \"lantern.v0.1.0\": the property is not what \
                    it should be: type \"my.own\", no value";
        assert!(said.starts_with(told), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        if words.contains(&"render") {
            assert_eq!(text(&output.stdout), rendered);
        }
    }
    assert_eq!(bench.prints(&["catalog", "validate", "catalog"]), "");
    let listed = bench.prints(&["index", "list", "index.db"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    // Who asks whether all is well is told that it is not.
    let said = bench.refuses(1, &["catalog", "validate", "index.db"]);
    assert!(said.contains("type \"my.own\", no value"), "{said}");
    // And it is no obstacle.
    let next = bench.image("lantern:v0.2.0");
    bench.prints(&["index", "add", "index.db", "--bundle", &next]);
}

#[test]
fn bundles_are_written_in_either_form() {
    let bench = Bench::new();
    let lantern = bench.image("lantern:v0.1.0");
    bench.prints(&["index", "create", "index.db"]);
    bench.prints(&["index", "add", "index.db", "--bundle", &lantern]);
    bench.prints(&["index", "migrate", "index.db", "older"]);
    bench.prints(&["index", "migrate", "index.db", "newer", "--csv-metadata"]);
    let newer = bench.prints(&["catalog", "render", "newer"]);
    assert!(newer.contains("\"olm.csv.metadata\""), "{newer}");
    assert!(!newer.contains("\"olm.bundle.object\""), "{newer}");
    // The other ways there give the same, but for the keys of values.
    bench.prints(&[
        "catalog",
        "migrate",
        "index.db",
        "from-index",
        "--csv-metadata",
    ]);
    assert_eq!(bench.prints(&["catalog", "render", "from-index"]), newer);
    let rendered = bench.prints(&["catalog", "render", "index.db", "--csv-metadata"]);
    assert_eq!(rendered, newer);
    let packages = bench.prints(&[
        "catalog",
        "migrate",
        "older",
        "from-older",
        "--csv-metadata",
        "--json",
    ]);
    assert_eq!(packages, "{\"packages\":[\"lantern\"]}\n");
    let json = |text: &str| -> Vec<Value> {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        values.map(Result::unwrap).collect()
    };
    let from_older = bench.prints(&["catalog", "render", "from-older"]);
    assert_eq!(json(&from_older), json(&newer));
    let rendered = bench.prints(&["catalog", "render", "older", "--csv-metadata"]);
    assert_eq!(json(&rendered), json(&newer));
    let alone = bench.prints(&["catalog", "render", &lantern, "--csv-metadata"]);
    assert_eq!(json(&alone), json(&newer)[2..]);
    // Objects are not made up.
    bench.prints(&["catalog", "migrate", "newer", "again"]);
    let again = bench.prints(&["catalog", "render", "again"]);
    assert_eq!(json(&again), json(&newer));
    for (folder, version, code) in [
        ("newer", "v4.17", 0),
        ("newer", "v4.16", 1),
        ("older", "v4.17", 1),
    ] {
        let rules = ["--rules", "konflux", "--ocp-version", version];
        let words = [&["catalog", "validate", folder][..], &rules].concat();
        assert_eq!(
            bench.run(&words).status.code(),
            Some(code),
            "{folder} {version}"
        );
    }
}

#[test]
fn a_catalog_is_checked_by_the_rules_that_are_named() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("catalog");
    fs::create_dir(&folder).unwrap();
    let catalog = r#"{"schema": "olm.package", "name": "a", "defaultChannel": "c"}
        {"schema": "olm.channel", "package": "a", "name": "c", "entries": [
            {"name": "a.v1", "skipRange": "<1"}]}
        {"schema": "olm.bundle", "package": "a", "name": "a.v1", "image": "r.invalid/a:1",
            "properties": [{"type": "olm.package", "value": {"packageName": "a",
            "version": "1.0.0"}}, {"type": "olm.bundle.object", "value": {"data": "e30="}}]}"#;
    fs::write(folder.join("catalog.json"), catalog).unwrap();
    let validate = ["catalog", "validate", "catalog"];
    let with = |more: &[&'static str]| [&validate[..], more].concat();
    assert_eq!(bench.prints(&with(&["--rules", "opm-1.26"])), "");
    let newest = bench.refuses(1, &validate);
    assert!(newest.contains("invalid skipRange \"<1\""), "{newest}");
    let konflux = bench.refuses(1, &with(&["--rules", "konflux"]));
    for part in [
        "invalid skipRange",
        "a/catalog.json or a/catalog.yaml",
        "--ocp-version",
    ] {
        assert!(konflux.contains(part), "{konflux}");
    }
    let form = with(&["--rules", "konflux", "--ocp-version", "v4.17"]);
    let form = bench.refuses(1, &form);
    assert!(
        form.contains("bundle has properties \"olm.bundle.object\""),
        "{form}"
    );
    bench.refuses(2, &with(&["--rules", "none"]));
    bench.refuses(2, &with(&["--ocp-version", "latest"]));
}

#[test]
fn faults_of_a_catalog_are_shown_all_at_once() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("catalog");
    fs::create_dir(&folder).unwrap();
    let catalog = r#"{"schema": "olm.package", "name": "a"}
        {"schema": "olm.channel", "package": "b", "name": "c"}"#;
    fs::write(folder.join("catalog.json"), catalog).unwrap();
    let said = bench.refuses(1, &["catalog", "validate", "catalog"]);
    for part in ["default channel must be set", "unknown package \"b\""] {
        assert!(said.contains(part), "{said}");
    }
    let output = bench.run(&["catalog", "validate", "catalog", "--json"]);
    let faults: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(faults[0]["channel"], "c");
    assert_eq!(faults[0]["files"][0], "catalog.json");
    fs::write(folder.join("catalog.json"), "{").unwrap();
    let said = bench.refuses(2, &["catalog", "validate", "catalog"]);
    assert!(
        said.contains("catalog.json: line 1: unexpected EOF"),
        "{said}"
    );

    // What is damaged is named.
    fs::write(bench.folder.path().join("bad.db"), "SQLite format 3\0").unwrap();
    for words in [
        &["index", "list", "bad.db"][..],
        &["index", "prune-stranded", "bad.db"],
        &["index", "migrate", "bad.db", "out"],
        &["catalog", "render", "bad.db"],
    ] {
        let said = bench.refuses(2, words);
        assert!(said.contains("bad.db"), "{words:?}: {said}");
    }
    fs::remove_file(bench.folder.path().join("bad.db")).unwrap();

    // A database whose catalog has faults is as faulty as a folder.
    bench.prints(&["index", "create", "index.db"]);
    let database = rusqlite::Connection::open(bench.folder.path().join("index.db")).unwrap();
    let empty = "PRAGMA foreign_keys = OFF; INSERT INTO package VALUES ('p', 'c');
                 INSERT INTO channel VALUES ('c', 'p', NULL)";
    database.execute_batch(empty).unwrap();
    drop(database);
    for words in [
        &["catalog", "validate", "index.db"][..],
        &["catalog", "render", "index.db"],
        &["index", "migrate", "index.db", "out"],
    ] {
        let said = bench.refuses(1, words);
        assert!(
            said.contains("channel must contain at least one bundle"),
            "{said}"
        );
    }
    assert_eq!(bench.files(), ["catalog", "index.db"]);
}
