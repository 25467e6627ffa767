//! `iib catalog … --to` an image.

use std::fs;

use serde_json::Value;

use crate::engine::Bench;

const OWN: &str = "{\"schema\": \"my.own\", \"package\": \"kettle\",   \"kept\": true}\n";

impl Bench {
    /// The image that a request ends with.
    fn made(&self, words: &[&str]) -> String {
        let binary = self.image("binary:v1");
        let more = ["--binary-image", &binary, "--wait", "--json", "--url"];
        let out = self.prints(&[words, &more, &[&self.server.api]].concat());
        let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!(last["state"], "complete", "{last}");
        last["index_image_resolved"].as_str().unwrap().to_owned()
    }

    /// An index for two architectures with a catalog and the database behind it.
    fn catalog_index(&self) -> String {
        let empty = ["create-empty-index", "--output-fbc", "--from-index"];
        let empty = self.made(&[&empty[..], &[&self.image("lamp-index:v1")]].concat());
        let [lantern, kettle] = ["lantern:v0.1.0", "kettle:v1.0.0"].map(|name| self.image(name));
        self.made(&[
            "add",
            "--from-index",
            &empty,
            "--bundle",
            &lantern,
            "--bundle",
            &kettle,
        ])
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[words, &["--json"]].concat())).unwrap()
    }
}

/// What an image has behind its name.
fn digest(image: &str) -> &str {
    image.split_once('@').unwrap().1
}

#[test]
fn the_catalog_of_an_index_image_is_changed_as_by_a_request() {
    let bench = Bench::new();
    let (from, binary) = (bench.image("lamp-index:v1"), bench.image("binary:v1"));
    bench.prints(&["index", "prune-stranded", &bench.index(), "--to", &from]);
    let index = bench.catalog_index();
    let target = bench.image("changed:v1");
    let to = ["--to", &*target];
    let onto = [&to[..], &["--binary-image", &binary]].concat();

    let said = bench.prints(&[&["catalog", "rm", &index, "kettle"], &to[..]].concat());
    assert!(said.starts_with("- package kettle\n"), "{said}");
    let pinned = said.lines().last().unwrap();
    assert!(
        pinned.starts_with(&bench.image("changed@sha256:")),
        "{said}"
    );
    assert_eq!(bench.shape(&target), bench.shape(&index));
    let diff = bench.prints(&["catalog", "diff", &index, &target]);
    assert!(
        diff.starts_with("- package kettle\n") && !diff.contains("lantern"),
        "{diff}"
    );
    let requested = bench.made(&["rm", "--from-index", &index, "--operator", "kettle"]);
    assert_eq!(bench.prints(&["catalog", "diff", &requested, &target]), "");
    let removed = bench.json(&[&["catalog", "rm", &index, "kettle"], &onto[..]].concat());
    let removed = removed["index_image"].as_str().unwrap();
    assert_eq!(digest(removed), digest(&requested));
    let kept = [
        &["catalog", "prune", &index, "--keep", "lantern"],
        &onto[..],
    ]
    .concat();
    assert_eq!(bench.json(&kept)["index_image"], removed);

    // The tag is the input, and what is gone is gone.
    let again = [&["catalog", "rm", &target, "kettle"], &to[..]].concat();
    let again = bench.refuses(2, &again);
    assert!(
        again.contains("has no package kettle: check its spelling"),
        "{again}"
    );
    let spelled = [&["catalog", "prune", &target, "--keep", "lntern"], &to[..]].concat();
    let spelled = bench.refuses(2, &spelled);
    assert!(spelled.contains("has no package lntern"), "{spelled}");

    // From a folder of this machine, a file and an image alike.
    bench.prints(&[
        "catalog", "prune", &index, "--keep", "kettle", "--to", "fragment",
    ]);
    let own = bench.folder.path().join("fragment/kettle/own.json");
    fs::write(own, OWN).unwrap();
    let fragment = bench.push_catalog("fragment");
    let merged = bench.image("merged:v1");
    let merge = |from: &str| {
        let onto = ["--to", &merged, "--binary-image", &binary];
        let words = [&["catalog", "merge", &target, from], &onto[..]].concat();
        bench.json(&words)["index_image"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let requested = bench.made(&["fbc", "--from-index", &target, "--fragment", &fragment]);
    assert_eq!(digest(&merge("fragment")), digest(&requested));
    assert_eq!(digest(&merge(&fragment)), digest(&requested));
    let rendered = bench.prints(&["catalog", "render", &merged]);
    assert!(rendered.contains("my.own"), "{rendered}");

    let words = "schema: olm.deprecations\npackage: lantern\nentries:\n\
        - reference: {schema: olm.bundle, name: lantern.v0.1.0}\n  message: too old\n";
    fs::write(bench.folder.path().join("words.yaml"), words).unwrap();
    let say = [
        "catalog",
        "deprecations",
        &target,
        "words.yaml",
        "--to",
        &target,
    ];
    let said = bench.json(&say);
    assert_eq!(said["changes"][0]["after"], "too old", "{said}");
    let image = said["index_image"].as_str().unwrap();
    assert_eq!(bench.prints(&["catalog", "diff", image, &target]), "");
    let wrong = words.replace("v0.1.0", "v7.0.0");
    fs::write(bench.folder.path().join("words.yaml"), wrong).unwrap();
    let refused = bench.refuses(2, &say);
    for part in [
        "words.yaml cannot be used",
        "which the package does not have",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(bench.prints(&["catalog", "diff", image, &target]), "");
}

/// Versions of lantern in a channel, and a deprecation of the lowest.
const LANTERN: &str = "schema: olm.package\nname: lantern\ndefaultChannel: stable\n\
    ---\nschema: olm.channel\npackage: lantern\nname: stable\nentries:\n\
    - {name: lantern.v3, replaces: lantern.v2}\n- {name: lantern.v2, replaces: lantern.v1}\n\
    - {name: lantern.v1}\n\
    ---\nschema: olm.channel\npackage: lantern\nname: old\nentries:\n- {name: lantern.v1}\n\
    ---\n{schema: my.own, package: lantern, kept: true}\n\
    ---\n{schema: my.own, kept: always}\n\
    ---\nschema: olm.deprecations\npackage: lantern\nentries:\n\
    - {reference: {schema: olm.bundle, name: lantern.v1}, message: old}\n\
    - {reference: {schema: olm.bundle, name: lantern.v2}, message: older}\n";

fn lantern() -> String {
    let mut text = LANTERN.to_owned();
    for major in 1..=3 {
        text += &format!(
            "---\nschema: olm.bundle\npackage: lantern\nname: lantern.v{major}\n\
             image: r.example/lantern:{major}\nproperties:\n\
             - {{type: olm.package, value: {{packageName: lantern, version: {major}.0.0}}}}\n"
        );
    }
    text
}

#[test]
fn a_catalog_is_filtered_alike_in_folders_and_images() {
    let bench = Bench::new();
    let index = bench.index();
    bench.prints(&["index", "migrate", &index, "catalog"]);
    fs::write(bench.folder.path().join("catalog/lantern/catalog.json"), "").unwrap();
    fs::write(
        bench.folder.path().join("catalog/lantern/catalog.yaml"),
        lantern(),
    )
    .unwrap();
    let image = bench.push_catalog("catalog");
    let target = bench.image("less:v1");
    let filter = |catalog, more: &[&str], to| {
        let words = [
            "catalog",
            "filter",
            catalog,
            "--package",
            "lantern",
            "--to",
            to,
        ];
        [&words[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let prints =
        |words: &[String]| bench.prints(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let two = ["--versions", "lantern:>=2.0.0 <3.0.0"];
    let said = prints(&filter("catalog", &two, "less"));
    assert!(said.contains("- package kettle\n"), "{said}");
    assert!(said.contains("lantern.v3"), "{said}");
    prints(&filter(&image, &two, &target));
    assert_eq!(bench.prints(&["catalog", "diff", "less", &target]), "");
    let rendered = bench.prints(&["catalog", "render", &target]);
    for (part, is_there) in [
        ("\"replaces\": \"lantern.v1\"", true),
        ("lantern.v3", false),
        ("\"older\"", true),
        ("\"old\"", false),
        ("\"always\"", true),
        ("kettle", false),
    ] {
        assert_eq!(rendered.contains(part), is_there, "{part}: {rendered}");
    }
    assert_eq!(bench.prints(&["catalog", "validate", &target]), "");
    // The same once more changes nothing.
    let again = filter(&target, &[&two[..], &["--json"]].concat(), &target);
    let again: Value = serde_json::from_str(&prints(&again)).unwrap();
    assert_eq!(again["changes"], serde_json::json!([]));
    let old = [
        "--channel",
        "lantern:old",
        "--default-channel",
        "lantern:old",
    ];
    prints(&filter("catalog", &old, "old"));
    prints(&filter(&image, &old, &target));
    assert_eq!(bench.prints(&["catalog", "diff", "old", &target]), "");

    for to in ["none", &*target] {
        for (more, word) in [
            (
                &["--channel", "lantern:old"][..],
                "--default-channel lantern:CHANNEL, of old",
            ),
            (
                &["--channel", "lantern:fast"],
                "has no channel fast, but old, stable",
            ),
            (
                &["--versions", "lantern:>9.0.0"],
                "there are 1.0.0, 2.0.0, 3.0.0",
            ),
            (
                &["--versions", "lantern:1.x"],
                "`1.x` compares with no version",
            ),
            (&["--versions", ">=1.0.0"], "write PACKAGE:RANGE"),
            (&["--channel", "kettle:stable"], "add --package kettle"),
            (&["--package", "lntern"], "no package lntern"),
        ] {
            let catalog = if to == "none" { "catalog" } else { &image };
            let words = filter(catalog, more, to);
            let said = bench.refuses(2, &words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(said.contains(word), "{said}");
        }
    }
    assert_eq!(bench.prints(&["catalog", "diff", "old", &target]), "");
}

#[test]
fn folders_become_images_and_images_folders() {
    let bench = Bench::new();
    let index = bench.index();
    bench.prints(&["index", "migrate", &index, "catalog"]);
    fs::write(bench.folder.path().join("catalog/kettle/own.json"), OWN).unwrap();
    let target = bench.image("made:v1");
    bench.prints(&[
        "catalog", "prune", "catalog", "--keep", "kettle", "--to", &target,
    ]);
    assert_eq!(bench.shape(&target), [("amd64".to_owned(), 1)]);
    bench.prints(&[
        "catalog", "prune", "catalog", "--keep", "kettle", "--to", "less",
    ]);
    assert_eq!(bench.prints(&["catalog", "diff", "less", &target]), "");
    bench.prints(&["catalog", "rm", "catalog", "lantern", "--to", "same"]);
    assert_eq!(bench.prints(&["catalog", "diff", "less", "same"]), "");
    let binary = bench.image("binary:v1");
    let onto = ["--to", &target, "--binary-image", &binary];
    let words = [
        "catalog",
        "rm",
        "catalog",
        "lantern",
        "--output-format",
        "oci",
    ];
    bench.prints(&[&words[..], &onto].concat());
    assert_eq!(bench.shape(&target).len(), 2);
    assert_eq!(bench.prints(&["catalog", "diff", "less", &target]), "");
    let own = bench.prints(&["catalog", "render", &target]);
    assert!(own.contains("my.own"), "{own}");

    // An image of somebody else: what is below is not seen any more.
    let foreign = bench.push_catalog("catalog");
    bench.prints(&["catalog", "rm", &foreign, "lantern", "--to", &target]);
    assert_eq!(bench.shape(&target), [("amd64".to_owned(), 2)]);
    assert_eq!(bench.prints(&["catalog", "diff", "less", &target]), "");
    bench.prints(&["catalog", "rm", &target, "kettle", "--to", &target]);
    assert_eq!(bench.shape(&target), [("amd64".to_owned(), 2)]);
    let none = bench.run(&["catalog", "validate", &target]);
    let said = crate::engine::text(&none.stderr);
    assert!(said.contains("has no package"), "{said}");
}

#[test]
fn targets_that_cannot_be_are_told_before_any_work() {
    let bench = Bench::new();
    let index = bench.index();
    bench.prints(&["index", "migrate", &index, "catalog"]);
    let rm = |catalog, to: &[&str]| {
        let words = [&["catalog", "rm", catalog, "kettle", "--to"], to].concat();
        bench.refuses(2, &words)
    };
    let (binary, tag) = (bench.image("binary:v1"), bench.image("made:v1"));
    for (catalog, to, word) in [
        (&*index, &[&*index][..], "name a tag"),
        (
            "catalog",
            &["registry.example/team/index"],
            "names a repository and no tag",
        ),
        (
            "catalog",
            &["less", "--binary-image", &binary],
            "is a folder, which is not built on",
        ),
        (
            "catalog",
            &["less", "--output-format", "oci"],
            "is a folder, which has no documents",
        ),
        (
            &index,
            &[&tag],
            "has a database and no file-based catalog: use `iib index`",
        ),
        (&binary, &[&tag], "label"),
        ("./nothing", &[&tag], "there is no ./nothing"),
    ] {
        let said = rm(catalog, to);
        assert!(said.contains(word), "{said}");
    }
    bench.prints(&["index", "create", "index.db"]);
    let database = rm("index.db", &[&tag]);
    assert!(database.contains("iib index migrate"), "{database}");
    // What would be no catalog any more is shown as one with faults, and nothing is pushed.
    let broken = bench.folder.path().join("catalog/lantern/catalog.json");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, text.replace("\"olm.bundle\"", "\"my.bundle\"")).unwrap();
    let words = ["catalog", "rm", "catalog", "kettle", "--to", &tag];
    let said = bench.refuses(1, &words);
    assert!(said.contains("invalid package \"lantern\""), "{said}");
    assert_eq!(
        bench.run(&["catalog", "render", &tag]).status.code(),
        Some(2)
    );
}
