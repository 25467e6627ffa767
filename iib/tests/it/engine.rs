//! `iib index` and `iib catalog`: the engine on files, folders and images.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, iib};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A registry with the demo's images, and a folder to work in.
struct Bench {
    server: Server,
    _data: tempfile::TempDir,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let data = demo_folder();
        Self {
            server: Server::start(data.path(), "127.0.0.1:0", "127.0.0.1:0"),
            _data: data,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn image(&self, name: &str) -> String {
        format!("{}/examples/{name}", self.server.registry)
    }

    fn run(&self, words: &[&str]) -> Output {
        iib(words)
            .env("IIB_INSECURE_REGISTRIES", &self.server.registry)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// What a command that has to succeed prints.
    fn prints(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        text(&output.stdout)
    }

    /// What a command that has to end with this code says, and that it changed nothing.
    fn refuses(&self, code: i32, words: &[&str]) -> String {
        let before = fs::read(self.folder.path().join("index.db")).ok();
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(fs::read(self.folder.path().join("index.db")).ok() == before);
        text(&output.stderr)
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
    assert_eq!(bench.prints(&say("said")), "{\"changes\":[]}\n");
    let json = ["catalog", "graph", "said", "lantern", "--format", "json"];
    let graph: Value = serde_json::from_str(&bench.prints(&json)).unwrap();
    assert_eq!(graph["nodes"][1]["state"], "deprecated");
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

#[test]
fn an_index_image_is_as_good_as_a_file() {
    let bench = Bench::new();
    let listing = reqwest_get(&format!("{}/api/v1/builds/2", bench.server.api));
    let index = listing["index_image_resolved"].as_str().unwrap();
    let host = index.split('/').next().unwrap();
    let index = index.replacen(host, &bench.server.registry, 1);
    let listed = bench.prints(&["index", "list", &index]);
    assert!(listed.contains("lantern.v0.3.0"), "{listed}");
    bench.prints(&["catalog", "validate", &index]);
    bench.prints(&["index", "migrate", &index, "catalog"]);
    assert_eq!(bench.prints(&["catalog", "diff", &index, "catalog"]), "");
    let nothing = bench.run(&["index", "list", &bench.image("nothing:v1")]);
    assert_eq!(nothing.status.code(), Some(2));
}

fn reqwest_get(url: &str) -> Value {
    let url = url.to_owned();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
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
    assert!(said.contains("catalog.json: unexpected EOF"), "{said}");

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
