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

#[test]
fn all_that_is_wrong_is_found_and_the_first_is_what_adding_says() {
    let whole = Bundle::check("r/widget@1", &files(CSV));
    assert_eq!(whole.refusals, []);
    let mut wrong = files(
        &CSV.replace("replaces: widget.v0.9.0", "replaces: [1]")
            .replace("skips: [widget.v0.9.1, widget.v0.9.1]", "skips: 7")
            .replace("name: widget.v1.0.0", "name: ''"),
    );
    wrong.manifests.insert(
        "job.yaml".to_owned(),
        b"apiVersion: batch/v1beta1\nkind: CronJob\n".to_vec(),
    );
    wrong.metadata = None;
    let found = Bundle::check("r/widget@1", &wrong);
    let told: Vec<String> = found.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:#?}");
    assert_eq!(read(&wrong).unwrap_err().to_string(), told[0]);
    for (told, part) in told.iter().zip(["metadata", "replaces", "skips", "name"]) {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(found.removed_apis.len(), 1);
    assert_eq!(found.removed_apis[0].file, "manifests/job.yaml");
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
fn a_faulty_csv_is_refused_with_its_member_and_in_the_words_of_the_reference() {
    for (from, to, told, words) in [
        (
            "version: 1.0.0",
            "version: 1",
            "spec.version is 1, expected a text: write it in quotes",
            "failed to derive properties: json: cannot unmarshal number into Go value of type string",
        ),
        (
            "replaces: widget.v0.9.0",
            "replaces: [a]",
            "spec.replaces is a list, expected a text",
            "failed to validate replaces for bundle widget.v1.0.0(r/widget@1): json: cannot \
             unmarshal array into Go value of type string",
        ),
        (
            "skips: [widget.v0.9.1, widget.v0.9.1]",
            "skips: widget.v0.9.1",
            "spec.skips is \"widget.v0.9.1\", expected a list",
            "failed to validate skipped entries for bundle widget.v1.0.0(r/widget@1): json: \
             cannot unmarshal string into Go value of type []string",
        ),
        ("name: widget.v1.0.0", "name: ''", "", "csv name not found"),
        (
            "'<1.0.0'",
            "yes",
            "metadata.annotations[\"olm.skipRange\"] is true, expected a text: write it in quotes",
            "unrecognized type: string",
        ),
        (
            "'<1.0.0'",
            "1",
            "metadata.annotations[\"olm.skipRange\"] is 1, expected a text: write it in quotes",
            "cannot convert int64 to string",
        ),
        (
            "'<1.0.0'",
            "[a]",
            "metadata.annotations[\"olm.skipRange\"] is a list, expected a text",
            "unrecognized type: string",
        ),
        (
            "  annotations:",
            "  ownerReferences: [{}, {controller: 'yes'}]\n  annotations:",
            "metadata.ownerReferences[1].controller is \"yes\", expected true or false, without \
             quotes",
            "unrecognized type: bool",
        ),
        (
            "  annotations:",
            "  labels: a\n  annotations:",
            "metadata.labels is \"a\", expected a mapping",
            "cannot restore map from string",
        ),
        (
            "  annotations:",
            "  finalizers: a\n  annotations:",
            "metadata.finalizers is \"a\", expected a list",
            "cannot restore slice from string",
        ),
        (
            "  annotations:",
            "  generation: 1.5\n  annotations:",
            "metadata.generation is 1.5, expected a whole number of 64 bits",
            "cannot convert float64 to int64",
        ),
        (
            "  annotations:",
            "  creationTimestamp: ''\n  annotations:",
            "metadata.creationTimestamp is \"\", expected a time such as \
             \"2006-01-02T15:04:05Z\" (RFC 3339), or null",
            "parsing time \"\"",
        ),
        (
            "  annotations:",
            "  creationTimestamp: 5\n  annotations:",
            "metadata.creationTimestamp is 5, expected a time such as \
             \"2006-01-02T15:04:05Z\" (RFC 3339), or null",
            "json: cannot unmarshal number into Go value of type string",
        ),
        (
            "name: widgets.example.com",
            "name: widgets",
            "spec.customresourcedefinitions names the CRD \"widgets\", expected plural.group",
            "error checking provided apis in bundle widget.v1.0.0: couldn't parse plural.group \
             from crd name: widgets",
        ),
        (
            "name: widgets.example.com",
            "name: others.example.com",
            "",
            "the CSV owns the CRD example.com/v1/Widget (others), but the manifests define only \
             example.com/v1/Widget (widgets): error checking provided apis in bundle \
             widget.v1.0.0: couldn't find \
             example.com/v1/Widget (others) in bundle. found: map[example.com/v1/Widget \
             (widgets):{}]",
        ),
        (
            "name: gears.example.org",
            "name: gears",
            "spec.customresourcedefinitions names the CRD \"gears\", expected plural.group",
            "failed to add dependencies : couldn't parse plural.group from crd name: gears",
        ),
        (
            "version: v1}",
            "version: 1}",
            "spec.customresourcedefinitions.owned[0].version is 1, expected a text: write it in quotes",
            "error checking provided apis in bundle widget.v1.0.0: json: cannot unmarshal number \
             into Go struct field DefinitionKey.owned.version of type string",
        ),
        (
            "image: quay.invalid/c",
            "image: {}",
            "spec.install.spec.deployments[0].spec.template.spec.initContainers[0].image is a mapping, expected a text",
            "unable to obtain images : json: cannot unmarshal object into Go struct field \
             Container.Install.spec.Deployments.Spec.template.spec.initContainers.image of type \
             string",
        ),
        (
            "template:\n",
            "replicas: '1'\n          template:\n",
            "spec.install.spec.deployments[0].spec.replicas is \"1\", expected a whole number, without quotes",
            "unable to obtain images : json: cannot unmarshal string into Go struct field \
             DeploymentSpec.Install.spec.Deployments.Spec.replicas of type int32",
        ),
        (
            "[{name: r, image: quay.invalid/r}]",
            "r",
            "spec.relatedImages is \"r\", expected a list",
            "unable to obtain images : json: cannot unmarshal string into Go value of type \
             []registry.relatedImage",
        ),
        (
            "'[{\"type\": \"t\"",
            "'[{\"type\": 1",
            "metadata.annotations[\"olm.properties\"][0].type is 1, expected a text: write it in quotes",
            "failed to add properties : json: cannot unmarshal number into Go struct field \
             Property.type of type string",
        ),
        (
            "'[{\"type\"",
            "'{[{\"type\"",
            "metadata.annotations[\"olm.properties\"] is not JSON: invalid character '[' looking for beginning of object key string",
            "failed to add properties : invalid character '[' \
          looking for beginning of object key string",
        ),
        (
            "kind: ClusterServiceVersion",
            "kind: Other",
            "",
            "no csv in bundle",
        ),
    ] {
        let message = match told {
            "" => words.to_owned(),
            told => format!("manifests/csv.yaml: {told}: {words}"),
        };
        assert_eq!(refusal(from, to), message, "{from}");
    }
}

#[test]
fn a_crd_is_named_with_its_file() {
    let mut bundle = files(CSV);
    let crd = CRD.replace("plural: widgets", "plural: [widgets]");
    bundle.manifests.insert("a-crd.yaml".into(), crd.into());
    assert_eq!(
        read(&bundle).unwrap_err().to_string(),
        "manifests/a-crd.yaml: spec.names.plural is a list, expected a text: error decoding v1 CRD: \
         json: cannot unmarshal array into Go struct field \
         CustomResourceDefinitionNames.spec.names.plural of type string"
    );
    let crd = format!("{CRD}metadata: {{annotations: {{a: 1}}}}\n");
    bundle.manifests.insert("a-crd.yaml".into(), crd.into());
    let refusal = read(&bundle).unwrap_err().to_string();
    assert!(
        refusal.starts_with("manifests/a-crd.yaml: metadata.annotations.a is 1, expected a text"),
        "{refusal}"
    );
}

/// What stands in a pod is checked wherever it is; the place is below the deployment's.
#[test]
fn amounts_and_times_in_deployments_are_those_of_kubernetes() {
    const POD: &str = "spec.install.spec.deployments[0].spec.template";
    let containers = "containers: [{name: a, image: quay.invalid/a}, {name: b}]";
    let with = |place: &str, value: &str| match place {
        "" => (
            "          template:\n",
            format!("          template:\n            metadata: {{creationTimestamp: {value}}}\n"),
        ),
        place => (containers, place.replace('@', value)),
    };
    let places = [
        ("", ".metadata.creationTimestamp"),
        (
            "containers: [{name: a, resources: {limits: {memory: @}}}]",
            ".spec.containers[0].resources.limits.memory",
        ),
        (
            "containers: [{}, {resources: {requests: {'nvidia.com/gpu': @}}}]",
            ".spec.containers[1].resources.requests[\"nvidia.com/gpu\"]",
        ),
        (
            "containers: [{env: [{valueFrom: {resourceFieldRef: {divisor: @}}}]}]",
            ".spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor",
        ),
        (
            "ephemeralContainers: [{resources: {limits: {cpu: @}}}]",
            ".spec.ephemeralContainers[0].resources.limits.cpu",
        ),
        (
            "volumes: [{emptyDir: {sizeLimit: @}}]",
            ".spec.volumes[0].emptyDir.sizeLimit",
        ),
        (
            "volumes: [{downwardAPI: {items: [{resourceFieldRef: {divisor: @}}]}}]",
            ".spec.volumes[0].downwardAPI.items[0].resourceFieldRef.divisor",
        ),
        (
            "volumes: [{ephemeral: {volumeClaimTemplate: {spec: {resources: {requests: {storage: \
             @}}}}}}]",
            ".spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests.storage",
        ),
        ("overhead: {cpu: @}", ".spec.overhead.cpu"),
    ];
    let read_with = |(from, to): (&str, String)| {
        assert!(CSV.contains(from), "{from}");
        read(&files(&CSV.replace(from, &to)))
    };
    for (place, told) in places {
        let (good, bad) = match place {
            "" => (
                [
                    "null",
                    "2024-05-01T10:00:00Z",
                    "'2024-05-01T10:00:00.5+02:00'",
                ],
                ["''", "yesterday", "2024-05-01"],
            ),
            _ => (["null", "100Mi", "0.5"], ["''", "100MB", "1K"]),
        };
        for value in good {
            let read = read_with(with(place, value));
            assert!(read.is_ok(), "{told}: {value}: {read:?}");
        }
        for value in bad {
            let refused = read_with(with(place, value)).unwrap_err().to_string();
            let shown = value.trim_matches('\'');
            let front = format!("manifests/csv.yaml: {POD}{told} is \"{shown}\", expected a ");
            assert!(refused.starts_with(&front), "{refused}");
        }
    }
    // Whatever is no text is read like one.
    let list = with(places[1].0, "[1]");
    let refused = read_with(list).unwrap_err().to_string();
    assert!(
        refused.contains("limits.memory is a list, expected a quantity"),
        "{refused}"
    );
    let ports = |port: &str| {
        let probe = format!("containers: [{{livenessProbe: {{httpGet: {{port: {port}}}}}}}]");
        read_with((containers, probe))
    };
    for good in ["http", "8080", "'8080'", "null"] {
        assert!(ports(good).is_ok(), "{good}");
    }
    for bad in ["1.5", "true", "3000000000", "[1]"] {
        let refused = ports(bad).unwrap_err().to_string();
        assert!(
            refused.contains("livenessProbe.httpGet.port is "),
            "{refused}"
        );
    }
}

#[test]
fn properties_that_could_not_be_read_back_are_refused_with_their_file() {
    for (list, refused) in [
        ("{type: a, value: 1}", ""),
        ("{type: a, value: []}", ""),
        (
            "{type: olm.package, value: {packageName: p, version: '1'}}",
            "",
        ),
        ("{type: olm.gvk, value: {group: g, Kind: null}}", ""),
        ("{type: 5, value: 1}", ""),
        (
            "{type: olm.maxOpenShiftVersion}",
            "[0] has the type \"olm.maxOpenShiftVersion\" and no value",
        ),
        (
            "{type: a, value: 1}, {type: a, value: }",
            "[1] has the type \"a\" and no value",
        ),
        ("{value: 1}", "[0] has no type"),
        (
            "{type: olm.package, value: x}",
            "[0].value is \"x\", expected a mapping",
        ),
        (
            "{type: olm.package, value: {packageName: p, version: 1}}",
            "[0].value.version is 1, expected a text: write it in quotes",
        ),
        (
            "{type: olm.gvk, value: [a]}",
            "[0].value is a list, expected a mapping",
        ),
        (
            "{type: olm.gvk.required, value: {group: [g]}}",
            "[0].value.group is a list, expected a text",
        ),
        (
            "{type: olm.package.required, value: {packageName: p, versionRange: 1.5}}",
            "[0].value.versionRange is 1.5, expected a text: write it in quotes",
        ),
        (
            "{type: olm.channel, value: {priority: a}}",
            "[0].value.priority is \"a\", expected",
        ),
        ("a", "[0] is \"a\", expected a mapping"),
        (
            "{type: [a], value: 1}",
            "[0].type is a list, expected a text",
        ),
    ] {
        for name in ["properties", "dependencies"] {
            let mut bundle = files(CSV);
            let text = format!("{ANNOTATIONS}\n{name}: [{list}]");
            bundle.metadata = Some(map(&[("all.yaml", &text)]));
            match (read(&bundle), refused) {
                (Ok(_), "") => {}
                (Err(error), refused) if !refused.is_empty() => {
                    let error = error.to_string();
                    let front = format!("metadata/all.yaml: {name}{refused}");
                    assert!(error.starts_with(&front), "{error}");
                }
                (other, _) => panic!("{list}: {other:?}"),
            }
        }
    }
}

#[test]
fn properties_of_the_annotation_are_checked_as_those_of_files() {
    let place = "manifests/csv.yaml: metadata.annotations[\"olm.properties\"]";
    for (item, told, words) in [
        (
            r#"{"type": "a"}"#,
            "[0] has the type \"a\" and no value",
            "unexpected end of JSON input",
        ),
        (
            r#"{"type": "olm.package", "value": "x"}"#,
            "[0].value is \"x\", expected a mapping",
            "json: cannot unmarshal string into Go value of type registry.PackageProperty",
        ),
    ] {
        let from = r#"{"type": "t", "value": {"b":1, "a": [ 2 ]}}"#;
        assert_eq!(
            refusal(from, item),
            format!("{place}{told}: failed to add properties : {words}")
        );
    }
}

#[test]
fn a_csv_without_a_spec_is_refused() {
    let csv = "kind: ClusterServiceVersion\nmetadata: {name: a}";
    assert_eq!(
        read(&files(csv)).unwrap_err().to_string(),
        "manifests/csv.yaml: spec is missing, expected a mapping: error checking provided apis in \
         bundle a: error getting apiservice definitions: error unmarshaling into object map: unexpected end of JSON input"
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
    let refusal = read(&bundle).unwrap_err().to_string();
    for told in [
        "manifests/empty.yaml: line 1: nothing",
        "manifests/list.yaml: line 1: a list",
        "manifests/text.yaml: line 1: no mapping",
        "passed over, and so: no bundle objects found",
    ] {
        assert!(refusal.contains(told), "{refusal}");
    }
    bundle.manifests.clear();
    assert_eq!(read(&bundle), Err(BundleError::NoObjects));
}

#[test]
fn the_first_metadata_file_with_a_part_yields_it() {
    let mut bundle = files(CSV);
    bundle.metadata = Some(map(&[
        ("a.yaml", "dependencies: []\nproperties:\n"),
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
            "manifests",
            "csv.yaml",
            b"# soon\n".to_vec(),
            "line 1: nothing stands there",
            "no csv in bundle",
        ),
        (
            "manifests",
            "csv.yaml",
            CSV.replace("kind: ClusterServiceVersion", "").into_bytes(),
            "line 1: the object has no kind",
            "no csv in bundle",
        ),
        (
            "manifests",
            "csv.yaml",
            b"- kind: ClusterServiceVersion".to_vec(),
            "line 1: a list stands there",
            "no csv in bundle",
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
    let bundle = read(&files).unwrap();
    let told: Vec<String> = (bundle.passed_over.iter())
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("manifests/notes.yaml: line 1: "),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("metadata/dependencies.yaml: line "),
        "{told:?}"
    );
    let passed_over = Vec::new();
    assert_eq!(
        Bundle {
            passed_over,
            ..bundle
        },
        good
    );
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
