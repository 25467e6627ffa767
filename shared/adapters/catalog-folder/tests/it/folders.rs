use std::fs;

use iib_catalog_folder::{CatalogFolder, FolderError, read_folder, write_folder};
use iib_fbc::{Catalog, Documents, Icon, Property, RelatedImage, Rules, check, read_text};
use proptest::prelude::*;

use crate::samples::{chain, files, folder};

fn text_of(catalog: &Catalog) -> String {
    let texts = catalog.blobs().map(iib_fbc::to_text);
    texts.collect()
}

#[test]
fn what_is_written_is_read_again() {
    let mut catalog = chain("foo");
    catalog.extend(chain("bar"));
    catalog.packages[0].icon = Some(Icon {
        base64data: Some("PHN2Zy8+".to_owned()),
        mediatype: "image/svg+xml".to_owned(),
    });
    catalog.packages[0].description = "<\"&ö\u{2028}".to_owned();
    catalog.bundles[0].related_images = vec![RelatedImage {
        name: "r".to_owned(),
        image: "registry.invalid/r:1".to_owned(),
    }];
    let strange = r#"{"schema": "my.own", "package": "foo", "x": [1.50, {"b": 1, "a": "\u003c"}]}"#;
    read_text(strange, &mut catalog).unwrap();
    let root = folder(&[]);
    write_folder(catalog.clone(), root.path()).unwrap();
    let written = files(root.path());
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["bar/catalog.json", "foo/catalog.json"]);

    let read = read_folder(root.path()).unwrap();
    assert_eq!(read.clone().by_package(), catalog.by_package());
    let again = folder(&[]);
    write_folder(read, again.path()).unwrap();
    assert!(files(again.path()) == written);
}

#[test]
fn a_single_file_is_a_catalog_with_the_objects_beside_it() {
    let with = |path: &str| {
        let value = format!(r#"{{"ref": "{path}"}}"#);
        let mut catalog = chain("foo");
        let property = Property::new("olm.bundle.object", &value).unwrap();
        catalog.bundles[0].properties.push(property);
        text_of(&catalog)
    };
    let root = folder(&[
        ("a/foo.json", &with("objects/role.json")),
        ("a/objects/role.json", r#"{"kind": "Role"}"#),
        ("a/out.json", &with("../secret.json")),
        ("secret.json", "{}"),
        (".indexignore", "*\n"),
    ]);
    let opened = CatalogFolder::open_file(&root.path().join("a/foo.json"), Rules::Opm126).unwrap();
    assert_eq!(opened.packages().collect::<Vec<_>>(), ["foo"]);
    assert!(opened.check().is_clean());
    let properties = &opened.package("foo").unwrap().bundles[0].properties;
    assert_eq!(
        properties[1].text(),
        r#"{"data":"eyJraW5kIjogIlJvbGUifQ=="}"#
    );
    for refused in ["a/out.json", "a", "none.json"] {
        let opened = CatalogFolder::open_file(&root.path().join(refused), Rules::Opm126);
        assert!(opened.is_err(), "{refused}");
    }
    let all = CatalogFolder::open(root.path()).unwrap();
    assert_eq!((all.found().files, all.found().left_out), (0, 4));
}

#[test]
fn yaml_and_json_and_split_files_are_the_same() {
    let json = text_of(&chain("foo")) + r#"{"package": "foo", "schema": "my.own"}"#;
    let yaml = "---\nschema: olm.package\nname: foo\ndefaultChannel: stable\n--- # next\n\
                schema: olm.channel\nname: stable\npackage: foo\nentries:\n- name: foo.v1.0.0\n\
                - name: foo.v1.1.0\n  replaces: foo.v1.0.0\n- {name: foo.v1.2.0, replaces: \
                foo.v1.1.0, skips: null}\n---\n{schema: my.own, package: foo}\n";
    let bundles = Catalog {
        bundles: chain("foo").bundles,
        ..Catalog::default()
    };
    let one = folder(&[("catalog.json", &json)]);
    let parts = folder(&[
        ("a/graph.yaml", yaml),
        ("b/c/bundles.json", &text_of(&bundles)),
        (".indexignore", "README*\n*.txt\n!keep.txt\n"),
        ("README.md", "not a catalog"),
        ("notes.txt", "nor is this"),
        ("d/.indexignore", "/x\n"),
        ("d/x/catalog.json", "{"),
    ]);
    assert_eq!(
        read_folder(one.path()).unwrap(),
        read_folder(parts.path()).unwrap()
    );
    assert!(check(&read_folder(parts.path()).unwrap(), Rules::Opm126).is_clean());
}

#[test]
fn documents_of_yaml_are_parted_as_the_reference_parts_them() {
    let package = "schema: olm.package\nname: foo\n";
    let reads = |text: &str| read_text(text, &mut Catalog::default());
    for text in [
        String::new(),
        format!("---\n{package}---\n---\n{package}---\n"),
        format!("# licence\n{package}--- # more\n{package}"),
    ] {
        assert!(reads(&text).is_ok(), "{text:?}");
    }
    for text in [
        "\n",
        "# nothing\n",
        "---\n---\n",
        &format!("# licence\n---\n{package}"),
        &format!("{package}--- foo\n{package}"),
        &format!("{package}----\n{package}"),
    ] {
        assert!(reads(text).is_err(), "{text:?}");
    }
}

/// A stream that is longer than what is read at once, cut anywhere.
#[test]
fn a_document_is_found_again_where_it_was() {
    let mut text = String::from("\u{feff} \n");
    for number in 0..40 {
        let filling = "x\\u003c".repeat(number * 997);
        text.push_str(&format!(
            r#"{{"schema": "my.own", "name": "{number}", "x": "{filling}"}} "#
        ));
    }
    assert!(text.len() > 3 << 20);
    let documents: Vec<_> = Documents::new(text.as_bytes())
        .map(Result::unwrap)
        .collect();
    assert_eq!(documents.len(), 40);
    for document in documents {
        let at = document.at.start as usize..document.at.end as usize;
        let again: Vec<_> = Documents::of_part(text[at].as_bytes(), document.form).collect();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].as_ref().unwrap().blob, document.blob);
    }
}

#[test]
fn names_in_any_case_and_twice_are_read_as_the_reference_reads_them() {
    let mut catalog = Catalog::default();
    let text = r#"{"Schema": "olm.package", "name": "a", "NAME": "b", "defaultchannel": null,
        "icon": {"base64data": "aGl=", "mediatype": "m"}}
        {"schema": "olm.channel", "package": "b", "name": "c", "entries": [null, {"skips": []}]}
        {"schema": "my.own", "name": 5}"#;
    read_text(text, &mut catalog).unwrap();
    assert_eq!(catalog.packages[0].name, "b");
    let icon = catalog.packages[0].icon.as_ref().unwrap();
    assert_eq!(icon.base64data.as_deref(), Some("aGk="));
    let empty = catalog.channels[0]
        .entries
        .iter()
        .map(|entry| entry.has_empty_skips);
    assert_eq!(empty.collect::<Vec<_>>(), [false, true]);
    for wrong in [
        r#"{"schema": "olm.channel", "entries": [["a"]]}"#,
        r#"{"schema": "olm.package", "icon": {"base64data": "!"}}"#,
        r#"{"schema": "olm.bundle", "properties": [{"type": 1}]}"#,
        r#"{"schema": ["olm.bundle"]}"#,
        r#"[{"schema": "olm.bundle"}]"#,
    ] {
        assert!(
            read_text(wrong, &mut Catalog::default()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn faults_name_their_files() {
    let bundles = text_of(&Catalog {
        bundles: chain("foo").bundles,
        ..Catalog::default()
    });
    let graph = text_of(&Catalog {
        bundles: Vec::new(),
        ..chain("foo")
    });
    let root = folder(&[
        ("graph.json", &graph.replace("foo.v1.2.0", "foo.v1.3.0")),
        ("bundles.json", &bundles),
        ("more.json", &bundles),
    ]);
    let report = CatalogFolder::open(root.path()).unwrap().check();
    let files: Vec<_> = report
        .faults
        .iter()
        .map(|fault| fault.files.join(" "))
        .collect();
    assert!(
        files.contains(&"bundles.json more.json".to_owned()),
        "{report}"
    );
    assert!(files.contains(&"graph.json".to_owned()), "{report}");
    assert!(report.to_string().contains("(in bundles.json, more.json)"));
    assert!(!report.as_reference().unwrap().contains("json"));
}

#[test]
fn objects_in_files_are_taken_in() {
    let mut catalog = chain("foo");
    let object = r#"{"ref": "objects/csv.json"}"#;
    let property = Property::new("olm.bundle.object", object).unwrap();
    catalog.bundles[0].properties.push(property);
    let text = text_of(&catalog);
    let root = folder(&[
        ("foo/catalog.json", &text),
        ("foo/objects/csv.json", r#"{"kind": "A"}"#),
        (".indexignore", "objects/\n"),
    ]);
    let read = read_folder(root.path()).unwrap();
    assert_eq!(
        read.bundles[0].properties[1].text(),
        r#"{"data":"eyJraW5kIjogIkEifQ=="}"#
    );
    fs::remove_file(root.path().join("foo/objects/csv.json")).unwrap();
    let missing = read_folder(root.path()).unwrap_err().to_string();
    assert!(
        missing.contains("get data for bundle object \"objects/csv.json\": open "),
        "{missing}"
    );
    let outside = text.replace("objects/csv.json", "../../../etc/passwd");
    fs::write(root.path().join("foo/catalog.json"), outside).unwrap();
    let outside = read_folder(root.path()).unwrap_err().to_string();
    assert!(
        outside.contains("outside the catalog's folder"),
        "{outside}"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    for (content, words) in [
        ("{\"schema\": \"olm.package\"", "unexpected EOF"),
        ("{\"schema\" \"olm.package\"}", "the JSON text is broken"),
        (
            "{\"name\": \"x\"}",
            "object '{\"name\": \"x\"}' is missing root schema field",
        ),
        ("just a text", "a document of the file is no object"),
        ("a: [", "error converting YAML to JSON: yaml:"),
        (
            "{\"schema\": \"olm.channel\", \"entries\": {}}",
            "parse channel: json: cannot unmarshal",
        ),
        (
            "{\"schema\": \"olm.bundle\", \"name\": \"b\", \"properties\": [{\"type\": \"x\"}]}",
            "package \"\", bundle \"b\": parse properties: parse property[0] of type \"x\": unexpected \
             end of JSON input",
        ),
        (
            "{\"schema\": \"olm.bundle\", \"properties\": [{\"type\": \"olm.gvk\", \"value\": [1]}]}",
            "parse property[0] of type \"olm.gvk\": json: cannot unmarshal",
        ),
        (
            "{\"schema\": \"olm.bundle\", \"properties\": [{\"type\": \"olm.bundle.object\", \
             \"value\": {\"data\": \"*\"}}]}",
            "illegal base64 data",
        ),
    ] {
        let root = folder(&[("foo/catalog.json", content)]);
        let error = read_folder(root.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("foo/catalog.json: "), "{text}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(std::error::Error::source(&error).is_none(), "{text}");
    }
}

#[test]
fn a_fault_is_told_with_its_line_in_the_file() {
    let good = "---\nschema: olm.package\nname: foo\n";
    let json = "{\"schema\": \"a\"}\n{\"schema\": \"b\",\n \"c\" 1}";
    for (content, told) in [
        (
            format!("{good}---\nschema: a\n\tb: c\n"),
            "line 6: error converting YAML to JSON: yaml: a tab",
        ),
        (
            format!("{good}---\nschema: a\nm: |\nThe text\n"),
            "line 7: error converting YAML to JSON: yaml: a key",
        ),
        (
            format!("{good}--- x\n"),
            "line 4: invalid Yaml document separator",
        ),
        (format!("{good}---\n\n# c\nname: a\n"), "line 7: object"),
        (
            format!("{good}---\n- a\n"),
            "line 5: json: cannot unmarshal: a document of the file is no object",
        ),
        (
            format!("\u{feff}{good}---\nschema: 'a\n"),
            "line 5: error converting YAML to JSON: yaml: the quotes",
        ),
        (
            json.to_owned(),
            "line 3: the JSON text is broken: expected `:`",
        ),
        (json.replace(" 1}", ":\n\n"), "line 3: unexpected EOF"),
        (
            "{\"schema\": \"a\"}\n\n[]".to_owned(),
            "line 3: json: cannot unmarshal: a document of the file is no object",
        ),
        ("{\"schema\": \"a\"}\n{}".to_owned(), "line 2: object '{}'"),
        // Behind what is read at once.
        (
            format!("{{\"schema\": \"a\"}}{}{{x", "\n".repeat(3 << 20)),
            "line 3145729: the JSON text is broken",
        ),
    ] {
        let root = folder(&[("foo/catalog.any", &content)]);
        let text = read_folder(root.path()).unwrap_err().to_string();
        let told = format!("foo/catalog.any: {told}");
        assert!(text.starts_with(&told), "{told}: {text}");
        assert!(!text.contains(" at line "), "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced_in_json_and_refused_in_yaml() {
    let root = folder(&[]);
    let file = root.path().join("catalog.any");
    fs::write(
        &file,
        b"schema: olm.package\nname: foo\ndescription: Caf\xe9\n",
    )
    .unwrap();
    let refused = read_folder(root.path()).unwrap_err().to_string();
    assert!(
        refused.contains("line 3: error converting YAML to JSON: yaml: the byte 0xE9"),
        "{refused}"
    );

    // Many, at the edges of what is read at once, and some of several bytes.
    let mut json = Vec::new();
    for number in 0..40_000 {
        let name = format!(
            "{{\"schema\": \"olm.package\", \"name\": \"p{number}\", \"description\": \"Caf"
        );
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\xe9 \xe2\x82 \xe2\x82\xac \xef\xbf\xbd\"}\n");
    }
    fs::write(&file, json).unwrap();
    let read = read_folder(root.path()).unwrap();
    assert_eq!(read.packages.len(), 40_000);
    for package in read.packages {
        assert_eq!(
            package.description,
            "Caf\u{fffd} \u{fffd}\u{fffd} \u{20ac} \u{fffd}"
        );
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let root = folder(&[("x", "mine")]);
    let refused = write_folder(chain("foo"), root.path()).unwrap_err();
    assert!(matches!(refused, FolderError::NotEmpty { .. }), "{refused}");
    assert_eq!(files(root.path()), [("x".to_owned(), b"mine".to_vec())]);
    let empty = folder(&[]);
    let refused = write_folder(chain(".."), &empty.path().join("new")).unwrap_err();
    assert!(matches!(refused, FolderError::PackageName(_)), "{refused}");
    assert!(files(empty.path()).is_empty());
}

#[test]
fn a_folder_may_be_there_or_not_and_end_in_a_slash() {
    let root = folder(&[]);
    fs::create_dir(root.path().join("there")).unwrap();
    for name in ["there", "new", "slash/", "deep/er/"] {
        let to = root.path().join(name);
        write_folder(chain("foo"), &to).unwrap();
        let names: Vec<String> = files(&to).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["foo/catalog.json"], "{name}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "{name}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4);
}

#[test]
fn what_never_ends_is_not_read() {
    let root = folder(&[]);
    std::os::unix::fs::symlink("/dev/zero", root.path().join("endless")).unwrap();
    let refused = read_folder(root.path()).unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("no regular file"), "{refused}: {cause}");
}

proptest! {
    /// Texts of any kind survive the way through a file.
    #[test]
    fn writing_and_reading_is_the_identity(
        name in "[a-z.-]{1,8}",
        text in any::<String>(),
        number in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()),
    ) {
        let mut catalog = chain(&name);
        catalog.packages[0].description = text.clone();
        let value = serde_json::json!({"t": text, "n": number, "e": [{}, []]}).to_string();
        catalog.bundles[0].properties.push(Property::new("x", &value).unwrap());
        let mut read = Catalog::default();
        read_text(&text_of(&catalog), &mut read).unwrap();
        prop_assert_eq!(&read, &catalog);
        prop_assert_eq!(text_of(&read), text_of(&catalog));
    }

    /// No text makes the reader or the checks panic.
    #[test]
    fn nothing_panics(text in "[ -~\n]{0,200}", json in "[\\[\\]{}:,\"a-z0-9 ]{0,80}") {
        for text in [text, format!("{{{json}")] {
            let mut catalog = Catalog::default();
            if read_text(&text, &mut catalog).is_ok() {
                let _ = check(&catalog, Rules::OpmNewest).to_string();
            }
        }
    }
}
