use std::collections::BTreeMap;

use super::{Bundle, BundleFiles};
use crate::{BundleError, Typed};

const CSV: &str = "
kind: ClusterServiceVersion
metadata:
  name: widget.v1.0.0
  annotations:
    olm.skipRange: '<1.0.0'
    olm.properties: '[{\"type\": \"t\", \"value\": {\"b\":1, \"a\": [ 2 ]}}]'
spec:
  version: 1.0.0
  replaces: widget.v0.9.0
  skips: [widget.v0.9.1, widget.v0.9.1]
  customresourcedefinitions:
    owned: [{kind: Widget, name: widgets.example.com, version: v1}]
    required: [{kind: Gear, name: gears.example.org, version: v2}]
  install:
    strategy: deployment
    spec:
      deployments:
      - name: op
        spec:
          template:
            spec:
              containers: [{name: a, image: quay.invalid/a}, {name: b}]
              initContainers: [{name: c, image: quay.invalid/c}]
  relatedImages: [{name: r, image: quay.invalid/r}]
";
const CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: {group: example.com, names: {kind: Widget, plural: widgets}, versions: [{name: v1}]}
";
const ANNOTATIONS: &str = "
annotations:
  operators.operatorframework.io.bundle.package.v1: widget
  operators.operatorframework.io.bundle.channels.v1: 4.10
  operators.operatorframework.io.bundle.channel.default.v1: yes
";

fn map(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn files(csv: &str) -> BundleFiles {
    BundleFiles {
        manifests: map(&[
            ("a-crd.yaml", CRD),
            ("csv.yaml", csv),
            (".hidden", "kind: X"),
        ]),
        metadata: Some(map(&[("annotations.yaml", ANNOTATIONS)])),
    }
}

fn read(files: &BundleFiles) -> Result<Bundle, BundleError> {
    Bundle::read("r/widget@1", files)
}

fn refusal(from: &str, to: &str) -> String {
    assert!(CSV.contains(from), "{from}");
    read(&files(&CSV.replace(from, to)))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_bundle_is_read_from_its_files() {
    let bundle = read(&files(CSV)).unwrap();
    assert_eq!(bundle.name, "widget.v1.0.0");
    assert_eq!(bundle.channels, ["4.1"]);
    assert_eq!(bundle.default_channel, "true");
    assert_eq!(bundle.skips, ["widget.v0.9.1", "widget.v0.9.1"]);
    assert_eq!(bundle.skip_range, "<1.0.0");
    let images: Vec<&str> = bundle.related_images.iter().map(String::as_str).collect();
    assert_eq!(
        images,
        [
            "",
            "quay.invalid/a",
            "quay.invalid/c",
            "quay.invalid/r",
            "r/widget@1"
        ]
    );
    let typed = |kind: &str, value: &str| Typed {
        kind: kind.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        bundle.properties,
        [
            typed(
                "olm.package",
                r#"{"packageName":"widget","version":"1.0.0"}"#
            ),
            typed("t", r#"{"b":1,"a":[2]}"#),
            typed(
                "olm.gvk",
                r#"{"group":"example.com","kind":"Widget","version":"v1"}"#
            ),
        ]
    );
    assert_eq!(
        bundle.dependencies,
        [typed(
            "olm.gvk",
            r#"{"group":"example.org","kind":"Gear","version":"v2"}"#
        )]
    );
    assert!(
        bundle
            .objects_text
            .starts_with(r#"{"apiVersion":"apiextensions.k8s.io/v1","#)
    );
    assert!(bundle.objects_text.ends_with(&bundle.csv_text));
    assert!(bundle.csv_text.ends_with("}\n"));
}

#[test]
fn a_faulty_csv_is_refused_in_the_words_of_the_reference() {
    for (from, to, message) in [
        (
            "version: 1.0.0",
            "version: 1",
            "failed to derive properties: json: cannot unmarshal number into Go value of type string",
        ),
        (
            "replaces: widget.v0.9.0",
            "replaces: [a]",
            "failed to validate replaces for bundle widget.v1.0.0(r/widget@1): json: cannot \
             unmarshal array into Go value of type string",
        ),
        (
            "skips: [widget.v0.9.1, widget.v0.9.1]",
            "skips: widget.v0.9.1",
            "failed to validate skipped entries for bundle widget.v1.0.0(r/widget@1): json: \
             cannot unmarshal string into Go value of type []string",
        ),
        ("name: widget.v1.0.0", "name: ''", "csv name not found"),
        ("'<1.0.0'", "yes", "unrecognized type: string"),
        ("'<1.0.0'", "1", "cannot convert int64 to string"),
        (
            "name: widgets.example.com",
            "name: widgets",
            "error checking provided apis in bundle widget.v1.0.0: couldn't parse plural.group \
             from crd name: widgets",
        ),
        (
            "name: widgets.example.com",
            "name: others.example.com",
            "error checking provided apis in bundle widget.v1.0.0: couldn't find \
             example.com/v1/Widget (others) in bundle. found: map[example.com/v1/Widget \
             (widgets):{}]",
        ),
        (
            "name: gears.example.org",
            "name: gears",
            "failed to add dependencies : couldn't parse plural.group from crd name: gears",
        ),
        (
            "version: v1}",
            "version: 1}",
            "error checking provided apis in bundle widget.v1.0.0: json: cannot unmarshal number \
             into Go struct field DefinitionKey.owned.version of type string",
        ),
        (
            "image: quay.invalid/c",
            "image: {}",
            "unable to obtain images : json: cannot unmarshal object into Go struct field \
             Container.Install.spec.Deployments.Spec.template.spec.initContainers.image of type \
             string",
        ),
        (
            "template:\n",
            "replicas: '1'\n          template:\n",
            "unable to obtain images : json: cannot unmarshal string into Go struct field \
             DeploymentSpec.Install.spec.Deployments.Spec.replicas of type int32",
        ),
        (
            "[{name: r, image: quay.invalid/r}]",
            "r",
            "unable to obtain images : json: cannot unmarshal string into Go value of type \
             []registry.relatedImage",
        ),
        (
            "'[{\"type\": \"t\"",
            "'[{\"type\": 1",
            "failed to add properties : json: cannot unmarshal number into Go struct field \
             Property.type of type string",
        ),
        (
            "'[{\"type\"",
            "'{[{\"type\"",
            "failed to add properties : invalid character '[' \
          looking for beginning of object key string",
        ),
        (
            "kind: ClusterServiceVersion",
            "kind: Other",
            "no csv in bundle",
        ),
    ] {
        assert_eq!(refusal(from, to), message, "{from}");
    }
}

#[test]
fn a_csv_without_a_spec_is_refused() {
    let csv = "kind: ClusterServiceVersion\nmetadata: {name: a}";
    assert_eq!(
        read(&files(csv)).unwrap_err().to_string(),
        "error checking provided apis in bundle a: error getting apiservice definitions: error \
         unmarshaling into object map: unexpected end of JSON input"
    );
}

#[test]
fn missing_files_are_refused() {
    let mut bundle = files(CSV);
    bundle.metadata = Some(map(&[("notes.yaml", "annotations: {a: b}")]));
    assert_eq!(read(&bundle), Err(BundleError::NoAnnotations));
    bundle.metadata = None;
    assert_eq!(read(&bundle), Err(BundleError::NoMetadata));
    bundle.manifests = map(&[
        ("empty.yaml", ""),
        ("list.yaml", "[a]"),
        ("text.yaml", "a b c"),
    ]);
    assert_eq!(read(&bundle), Err(BundleError::NoObjects));
}

#[test]
fn the_first_metadata_file_with_a_part_yields_it() {
    let mut bundle = files(CSV);
    bundle.metadata = Some(map(&[
        ("a.yaml", "dependencies: []\nproperties: {a: b}"),
        (
            "b.json",
            r#"{"dependencies": [{"type": "d", "value": { "x": "<1" }}],
                       "properties": [{"type": "p", "value": { "z": "<1", "y": 1.0 }}]}"#,
        ),
        ("c.yaml", "dependencies: [{type: late, value: 1}]"),
        ("d.yaml", ANNOTATIONS),
    ]));
    let bundle = read(&bundle).unwrap();
    assert_eq!(bundle.dependencies[0].value, "{ \"x\": \"<1\" }");
    assert_eq!(bundle.properties[0].value, "{\"z\":\"\\u003c1\",\"y\":1.0}");
}

#[test]
fn of_several_csvs_the_first_by_file_name_counts() {
    let mut bundle = files(CSV);
    let other = CSV
        .replace("widget.v1.0.0", "widget.v9.9.9")
        .replace("1.0.0", "9.9.9");
    bundle
        .manifests
        .insert("z.yaml".to_owned(), other.into_bytes());
    let bundle = read(&bundle).unwrap();
    assert_eq!(bundle.name, "widget.v1.0.0");
    assert_eq!(bundle.objects_text.lines().count(), 2);
}

#[test]
fn both_kinds_of_crds_and_api_services_provide_apis() {
    let mut bundle = files(&CSV.replace(
        "  install:",
        "  apiservicedefinitions:\n    owned: [{group: g, version: v1, kind: K, name: ks}]\n  install:",
    ));
    let crd = CRD
        .replace("k8s.io/v1", "k8s.io/v1beta1")
        .replace("kind: W", "kind: O")
        .replace("versions: [{name: v1}]", "version: v0");
    bundle
        .manifests
        .insert("b.yaml".to_owned(), crd.into_bytes());
    let provided: Vec<String> = read(&bundle)
        .unwrap()
        .provided_apis
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        provided,
        [
            "example.com/v0/Oidget (widgets)",
            "example.com/v1/Widget (widgets)",
            "g/v1/K (ks)"
        ]
    );
}

/// The refusal when a file has another text.
fn refused_with(folder: &str, name: &str, text: &[u8]) -> BundleError {
    let mut files = files(CSV);
    let folder = match folder {
        "manifests" => &mut files.manifests,
        _ => files.metadata.as_mut().unwrap(),
    };
    folder.insert(name.to_owned(), text.to_vec()).unwrap();
    read(&files).unwrap_err()
}

#[test]
fn a_file_that_cannot_be_read_is_the_reason_and_not_what_is_missing_without_it() {
    let csv = CSV.replace("  replaces:", "\treplaces:");
    let crd = CRD.replace("kind:", "  kind:");
    let latin = [ANNOTATIONS.as_bytes(), b"# Caf\xe9\n"].concat();
    let json = b"{\"annotations\":\n {\"a\" 1}}".to_vec();
    for (folder, name, text, told, missing) in [
        (
            "manifests",
            "csv.yaml",
            csv.into_bytes(),
            "line 10: a tab indents",
            "no csv in bundle",
        ),
        (
            "manifests",
            "a-crd.yaml",
            crd.into_bytes(),
            "line 3: a \": \" where",
            "couldn't find example.com/v1/Widget",
        ),
        (
            "metadata",
            "annotations.yaml",
            latin,
            "line 6: the byte 0xE9",
            "Could not find annotations file",
        ),
        (
            "metadata",
            "annotations.yaml",
            json,
            "line 2: invalid character",
            "Could not find annotations file",
        ),
    ] {
        let error = refused_with(folder, name, &text);
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("{folder}/{name}: {told}")),
            "{shown}"
        );
        assert!(shown.contains(missing), "{shown}");
        assert_eq!(error.hint(), Some("correct the file at that line"));
    }
}

#[test]
fn a_file_that_cannot_be_read_and_is_not_needed_is_passed_over() {
    let good = read(&files(CSV)).unwrap();
    let mut files = files(CSV);
    files.manifests.extend(map(&[("notes.yaml", "a: b: c")]));
    let broken = map(&[("dependencies.yaml", "dependencies: [")]);
    files.metadata.as_mut().unwrap().extend(broken.clone());
    assert_eq!(read(&files).unwrap(), good);
    // One of the manifests is no reason for what is missing from the metadata.
    files.metadata = Some(broken);
    let shown = read(&files).unwrap_err().to_string();
    assert!(
        shown.starts_with("metadata/dependencies.yaml: line 1"),
        "{shown}"
    );
    files.metadata = Some(map(&[]));
    assert_eq!(read(&files), Err(BundleError::NoAnnotations));
}
