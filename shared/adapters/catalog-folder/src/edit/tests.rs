use std::fmt::Write as _;

use iib_fbc::read_text;
use tempfile::TempDir;

use super::*;
use crate::folder::read_folder;

fn catalog(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// A package with a channel of one bundle.
fn package(name: &str, version: &str) -> String {
    format!(
        r#"{{"schema": "olm.package", "name": "{name}", "defaultChannel": "stable"}}
{{"schema": "olm.channel", "package": "{name}", "name": "stable", "entries": [{{"name": "{name}.{version}"}}]}}
{{"schema": "olm.bundle", "package": "{name}", "name": "{name}.{version}", "image": "r.example/{name}:{version}", "properties": [{{"type": "olm.package", "value": {{"packageName": "{name}", "version": "{}.0.0"}}}}]}}
"#,
        version.trim_start_matches('v')
    )
}

fn own(package: &str, word: &str) -> String {
    format!("{{\"schema\": \"my.own\", \"package\": \"{package}\", \"word\":   \"{word}\"}}\n")
}

fn deprecations(package: &str, word: &str) -> String {
    format!(
        r#"{{"schema": "olm.deprecations", "package": "{package}", "entries": [{{"reference": {{"schema": "olm.package"}}, "message": "{word}"}}]}}
"#
    )
}

/// What is there, by file; the outline that is held has to be that of the files.
fn shown(folder: &CatalogFolder) -> String {
    let again = CatalogFolder::open(&folder.root).unwrap();
    let parts = |folder: &CatalogFolder| folder.outline().clone().by_package();
    assert_eq!(parts(folder), parts(&again));
    let faults = |folder: &CatalogFolder| {
        let faults = folder.check().faults.into_iter();
        let mut faults: Vec<String> = faults.map(|fault| format!("{fault:?}")).collect();
        faults.sort();
        faults
    };
    assert_eq!(faults(folder), faults(&again));
    for name in again.packages() {
        assert_eq!(folder.package(name).unwrap(), again.package(name).unwrap());
    }
    let mut shown = String::new();
    for entry in WalkDir::new(&folder.root).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&folder.root).unwrap();
        if entry.file_type().is_file() {
            let mut text = fs::read_to_string(entry.path()).unwrap();
            text.retain(|sign| sign != '\n');
            writeln!(shown, "{}: {text}", path.display()).unwrap();
        } else if fs::read_dir(entry.path()).unwrap().next().is_none() {
            writeln!(shown, "{}/", path.display()).unwrap();
        }
    }
    shown
}

/// The files that are there.
fn names(folder: &CatalogFolder) -> Vec<String> {
    let shown = shown(folder);
    let names = shown.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

fn one_line(texts: &[String]) -> String {
    texts.concat().replace('\n', "")
}

#[test]
fn a_package_goes_with_its_folder_and_what_is_said_of_it_elsewhere() {
    let both = [
        package("a", "v1"),
        package("b", "v1"),
        own("a", "x"),
        own("b", "y"),
    ]
    .concat();
    let files = catalog(&[
        (
            "a/catalog.json",
            &package("a", "v2").replace("olm.package", "my.other"),
        ),
        ("a/README.md", "no catalog"),
        ("a/.indexignore", "README.md"),
        ("both.json", &both),
        ("_deprecated/a/a.json", &deprecations("a", "old")),
        (
            "c/index.yaml",
            "---\nschema: olm.package\nname: c\n---\nschema: my.own\npackage: a\n---\nschema: my.own\npackage: c\n",
        ),
    ]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    assert!(folder.remove("a").unwrap());
    assert_eq!(
        shown(&folder),
        format!(
            "both.json: {}\nc/index.yaml: ---schema: olm.packagename: c---schema: my.ownpackage: c\n",
            one_line(&[package("b", "v1"), own("b", "y")])
        )
    );
    assert!(!folder.remove("a").unwrap());
    assert!(folder.remove("b").unwrap());
    assert!(folder.remove("c").unwrap());
    assert_eq!(shown(&folder), "/\n");
    assert!(files.path().is_dir());
}

#[test]
fn a_folder_in_which_others_have_something_stays() {
    let files = catalog(&[
        ("a/a.json", &package("a", "v1")),
        ("a/b.json", &package("b", "v1")),
    ]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    assert!(folder.remove("a").unwrap());
    assert_eq!(
        shown(&folder),
        format!("a/b.json: {}\n", one_line(&[package("b", "v1")]))
    );
}

#[test]
fn objects_of_other_schemas_outlive_what_they_stand_beside() {
    let new = {
        let mut new = Catalog::default();
        read_text(&package("a", "v2"), &mut new).unwrap();
        new
    };
    let mut text = Vec::new();
    new.blobs()
        .for_each(|blob| write_blob(blob, &mut text).unwrap());
    let text = String::from_utf8(text).unwrap();
    for (before, after) in [
        // In the file that is replaced their very bytes stay.
        (
            vec![("a/catalog.json", package("a", "v1") + &own("a", "x"))],
            vec![("a/catalog.json", text.clone() + &own("a", "x"))],
        ),
        (
            vec![
                ("_deprecated/a/a.json", deprecations("a", "old")),
                ("a/catalog.json", package("a", "v1")),
                ("a/own.json", own("a", "x")),
            ],
            vec![
                ("_deprecated/a/a.json", deprecations("a", "old")),
                ("a/catalog.json", text.clone()),
                ("a/own.json", own("a", "x")),
            ],
        ),
        // Other packages stand in the file of that name, or it is no JSON.
        (
            vec![(
                "a/catalog.json",
                package("b", "v1") + &package("a", "v1") + &own("a", "x"),
            )],
            vec![
                ("a/catalog-2.json", text.clone()),
                ("a/catalog.json", package("b", "v1") + &own("a", "x")),
            ],
        ),
        (
            vec![("a/catalog.json", "schema: my.own\npackage: a\n".to_owned())],
            vec![
                ("a/catalog-2.json", text.clone()),
                ("a/catalog.json", "schema: my.own\npackage: a\n".to_owned()),
            ],
        ),
        (
            vec![("index.json", package("a", "v1") + &package("b", "v1"))],
            vec![
                ("a/catalog.json", text.clone()),
                ("index.json", package("b", "v1")),
            ],
        ),
    ] {
        let before: Vec<(&str, &str)> = before.iter().map(|(f, t)| (*f, t.as_str())).collect();
        let files = catalog(&before);
        let mut folder = CatalogFolder::open(files.path()).unwrap();
        folder.replace("a", &new).unwrap();
        let after = after
            .iter()
            .map(|(file, text)| format!("{file}: {}\n", text.replace('\n', "")));
        assert_eq!(shown(&folder), after.collect::<String>());
    }
}

#[test]
fn deprecations_replace_those_of_the_package_wherever_they_are() {
    let files = catalog(&[
        (
            "a/catalog.json",
            &(package("a", "v1") + &deprecations("a", "old") + &own("a", "x")),
        ),
        ("_deprecated/a/a.json", &deprecations("a", "older")),
        ("_deprecated/b/b.json", &deprecations("b", "stays")),
        ("b/catalog.json", &package("b", "v1")),
    ]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    for word in ["new", "newest"] {
        let text = deprecations("a", word);
        let new = Deprecations::read(text.as_bytes()).unwrap();
        folder.deprecate("_deprecated", &new).unwrap();
        let whole = read_folder(files.path()).unwrap();
        let told: Vec<&str> = whole.others.iter().map(|other| other.blob.get()).collect();
        let told = told.join("\n");
        assert!(
            told.contains(word) && told.contains("stays") && told.contains("my.own"),
            "{told}"
        );
        assert!(!told.contains("old"), "{told}");
        assert!(files.path().join("_deprecated/a/a.json").is_file());
        shown(&folder);
    }
}

#[test]
fn packages_of_a_fragment_come_as_they_are() {
    let files = catalog(&[
        ("a/catalog.json", &package("a", "v1")),
        ("a/own.json", &own("a", "gone")),
        ("b/catalog.json", &package("b", "v1")),
    ]);
    let fragment = catalog(&[
        (
            "a/index.yaml",
            "# words\nschema: olm.package\nname: a\n---\nschema: my.own\npackage: a\n",
        ),
        (
            "a/of-none.json",
            "{\"schema\": \"my.own\", \"of\": \"none\"}",
        ),
        ("a/more/README.md", "more"),
        ("a/.indexignore", "README.md"),
        (
            "rest.json",
            &(package("c", "v1") + "{\"schema\": \"my.own\", \"of\": \"all\"}"),
        ),
    ]);
    let fragment = CatalogFolder::open(fragment.path()).unwrap();
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    folder.merge(&fragment).unwrap();
    let shown = shown(&folder);
    for part in [
        "a/.indexignore: README.md\n",
        "a/index.yaml: # wordsschema: olm.packagename: a---schema: my.ownpackage: a\n",
        "a/more/README.md: more\n",
        "a/of-none.json: {\"schema\": \"my.own\", \"of\": \"none\"}\n",
        "b/catalog.json: ",
        "c/catalog.json: ",
        "catalog.json: {    \"schema\": \"my.own\",    \"of\": \"all\"}\n",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert_eq!(shown.lines().count(), 7, "{shown}");
    let names: Vec<&str> = folder.packages().collect();
    assert_eq!(names, ["", "a", "b", "c"]);
}

#[test]
fn what_an_ignore_file_above_leaves_out_stays_out() {
    let fragment = catalog(&[
        (".indexignore", "draft.json"),
        ("a/catalog.json", &package("a", "v1")),
        ("a/draft.json", &package("a", "v2")),
    ]);
    let fragment = CatalogFolder::open(fragment.path()).unwrap();
    let files = catalog(&[]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    folder.merge(&fragment).unwrap();
    assert_eq!(folder.package("a").unwrap(), fragment.package("a").unwrap());
    assert_eq!(shown(&folder).lines().count(), 1);
}

#[test]
fn a_package_without_a_name_for_a_folder_is_refused() {
    for name in ["..", ".", "a/b", "a\0"] {
        let fragment = catalog(&[("x.json", &package(&name.replace('\0', "\\u0000"), "v1"))]);
        let fragment = CatalogFolder::open(fragment.path()).unwrap();
        let files = catalog(&[]);
        let mut folder = CatalogFolder::open(files.path()).unwrap();
        let refused = folder.merge(&fragment);
        assert!(
            matches!(refused, Err(FolderError::PackageName(_))),
            "{refused:?}"
        );
        let refused = folder.replace(name, &Catalog::default());
        assert!(
            matches!(refused, Err(FolderError::PackageName(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn any_documents_of_a_file_may_go() {
    let document = |package: &str, word: &str| {
        format!("# {word}\nschema: my.own\npackage: {package}\nword: {word}\n")
    };
    let owners = ["a", "a", "b", "a", "b", "b"];
    // Each way to give six documents to a package that goes and to one that stays.
    for choice in 0..1_u32 << owners.len() {
        let owner = |at: usize| {
            if choice >> at & 1 == 1 {
                "gone"
            } else {
                "stays"
            }
        };
        let texts: Vec<String> = (0..owners.len())
            .map(|at| document(owner(at), &format!("w{at}")))
            .collect();
        for (file, text) in [
            ("x.yaml", texts.join("---\n")),
            (
                "x.yaml",
                format!("---\n{}...\n", texts.join("--- # next\n")),
            ),
            (
                "x.yaml",
                (0..owners.len())
                    .map(|at| format!("---\n{}", own(owner(at), &format!("w{at}"))))
                    .collect::<String>(),
            ),
            (
                "x.json",
                (0..owners.len())
                    .map(|at| own(owner(at), &format!("w{at}")))
                    .collect::<String>(),
            ),
            (
                "x.json",
                (0..owners.len())
                    .map(|at| own(owner(at), &format!("w{at}")).replace('\n', ""))
                    .collect::<String>(),
            ),
        ] {
            let files = catalog(&[(file, &text)]);
            let mut folder = CatalogFolder::open(files.path()).unwrap();
            folder.remove("gone").unwrap();
            shown(&folder);
            let left = read_folder(files.path()).unwrap();
            let stayed = (0..owners.len()).filter(|at| owner(*at) == "stays");
            assert_eq!(left.others.len(), stayed.count(), "{choice:b} {text}");
        }
    }
}

#[test]
fn a_fragment_takes_nothing_from_others() {
    // The folder of one holds another, too.
    let files = catalog(&[(
        "a/catalog.json",
        &(package("a", "v1") + &package("b", "v1")),
    )]);
    let fragment = catalog(&[
        ("a/catalog.json", &package("a", "v2")),
        ("rest.json", "{\"schema\": \"my.own\", \"of\": \"all\"}"),
    ]);
    let fragment = CatalogFolder::open(fragment.path()).unwrap();
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    for _ in 0..2 {
        folder.merge(&fragment).unwrap();
        let shown = shown(&folder);
        assert!(
            shown.contains("a/catalog.json: ") && shown.contains("b.v1"),
            "{shown}"
        );
        assert!(shown.contains("a.v2") && !shown.contains("a.v1"), "{shown}");
        // What belongs to nobody comes once.
        assert_eq!(shown.matches("\"of\"").count(), 1, "{shown}");
    }
}

#[test]
fn a_folder_is_not_taken_for_a_package() {
    let files = catalog(&[("common/own.json", "{\"schema\": \"my.own\"}")]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    assert!(!folder.remove("common").unwrap());
    assert_eq!(shown(&folder).lines().count(), 1);
}

#[test]
fn a_file_in_the_place_of_a_folder_is_nobodys_folder() {
    let files = catalog(&[("a", &package("b", "v1"))]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    let fragment = catalog(&[("a/catalog.json", &package("a", "v2"))]);
    let fragment = CatalogFolder::open(fragment.path()).unwrap();
    folder.merge(&fragment).unwrap();
    assert_eq!(names(&folder), ["a", "a-2/catalog.json"]);
    assert!(folder.remove("b").unwrap());
    assert!(folder.remove("a").unwrap());
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_folder_with_objects_of_anothers_bundle_stays() {
    let bundle = package("b", "v1").replace(
        r#""properties": ["#,
        r#""properties": [{"type": "olm.bundle.object", "value": {"ref": "../a/o/1.json"}}, "#,
    );
    let files = catalog(&[
        ("a/catalog.json", &package("a", "v1")),
        (".indexignore", "a/o"),
        ("a/o/1.json", r#"{"kind": "Secret"}"#),
        ("b/catalog.json", &bundle),
    ]);
    let mut folder = CatalogFolder::open(files.path()).unwrap();
    assert!(folder.remove("a").unwrap());
    assert_eq!(
        names(&folder),
        [".indexignore", "a/o/1.json", "b/catalog.json"]
    );
}

#[test]
fn a_file_that_is_missing_is_named_as_in_the_catalog() {
    let bundle = package("b", "v1").replace(
        r#""properties": ["#,
        r#""properties": [{"type": "olm.bundle.object", "value": {"ref": "no.json"}}, "#,
    );
    let files = catalog(&[("b/catalog.json", &bundle)]);
    let refused = CatalogFolder::open(files.path()).unwrap_err().to_string();
    assert!(
        refused.contains("open b/no.json: no such file"),
        "{refused}"
    );
    let root = files.path().to_string_lossy().into_owned();
    assert!(!refused.contains(&root), "{refused}");
}
