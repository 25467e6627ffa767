use serde_json::json;

use super::*;
use crate::customizations;
use crate::{BUNDLE_LABEL, up_to_related_bundles};

const CSV: &str = "\
# Made by hand.
kind: ClusterServiceVersion
metadata:
  name: lantern.v1.0.0
  annotations:
    containerImage: 'r.example/team/lantern:v1'   # shown in the console
    alm-examples: |-
      [{\"image\": \"r.example/team/wick:v2\"}]
spec:
  description: >-
    Burns  oil.
  install:
    spec:
      deployments:
      - name: lantern
        spec:
          template:
            spec:
              containers:
              - {name: lantern, image: r.example/team/lantern:v1}
              - name: oil
                image: \"r.example/oil:v3\"
                env:
                - name: RELATED_IMAGE_DB
                  value: r.example/a/b/db@sha256:00
                - name: PLAIN
                  value: r.example/oil:v3
# The end.
";

const ANNOTATIONS: &str = "\
annotations:
  operators.operatorframework.io.bundle.package.v1: lantern # its name
";

fn bundle(csv: &str) -> Bundle {
    let files = [
        ("manifests/lantern.yaml", csv),
        ("metadata/annotations.yaml", ANNOTATIONS),
    ];
    Bundle {
        files: files
            .map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec()))
            .into(),
        has_organization: true,
        ..Bundle::default()
    }
}

fn steps(steps: &serde_json::Value) -> Vec<Customization> {
    customizations(steps.as_array().map(Vec::as_slice)).unwrap()
}

/// The digest of all images of a repository.
fn digest(repo: &str) -> String {
    let hex: String = repo.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex:0<64}")
}

/// A text with digests in the places of `sha256:<repo>`, and with what follows the colon in those of `hex:<repo>`.
fn with_digests(text: &str) -> String {
    let repos = [
        "lantern",
        "wick",
        "oil",
        "x",
        "TEAM--WICK--x-TEAM--WICK",
        "OIL--x-OIL",
    ];
    repos.iter().fold(text.to_owned(), |text, repo| {
        let digest = digest(repo);
        let hex = digest.trim_start_matches("sha256:");
        let named = text.replace(&format!("sha256:{repo}"), &digest);
        named.replace(&format!("hex:{repo}"), hex)
    })
}

/// Of images named `oil` the labels say that they are bundles.
fn answer(question: &Lookup) -> Answer {
    let image = ImageName::of(question.image());
    match question {
        _ if image.repo == "gone" => Answer::Unreadable,
        Lookup::Digest(_) => Answer::Digest(digest(&image.repo)),
        Lookup::Labels(_) => Answer::Labels(
            [
                (BUNDLE_LABEL, (image.repo == "oil").to_string()),
                ("name", image.repo.to_uppercase()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        ),
    }
}

/// Answers all questions; gives the result and how many rounds of questions there were.
fn run(bundle: Bundle, steps: Vec<Customization>) -> Result<(Regenerated, usize), RegenerateError> {
    let mut regeneration = Regeneration::new(bundle, steps)?;
    let mut answers = Answers::new();
    for rounds in 0.. {
        match regeneration.next(&answers)? {
            Next::Done(done) => return Ok((done, rounds)),
            Next::Ask(questions) => {
                assert!(
                    questions
                        .iter()
                        .all(|question| !answers.contains_key(question))
                );
                answers.extend(questions.into_iter().map(|question| {
                    let answer = answer(&question);
                    (question, answer)
                }));
            }
        }
    }
    unreachable!("it ends");
}

/// The CSV after the steps.
fn csv_after(csv: &str, steps: Vec<Customization>) -> String {
    let (done, _) = run(bundle(csv), steps).unwrap();
    done.files
        .get("manifests/lantern.yaml")
        .cloned()
        .unwrap_or_else(|| csv.to_owned())
}

fn fails(csv: &str, steps: Vec<Customization>) -> String {
    run(bundle(csv), steps).unwrap_err().to_string()
}

#[test]
fn images_are_pinned_in_their_places() {
    let (done, rounds) = run(bundle(CSV), Customization::defaults()).unwrap();
    let expected = CSV
        .replace("lantern:v1", "lantern@sha256:lantern")
        .replace("wick:v2", "wick@sha256:wick")
        .replace("oil:v3", "oil@sha256:oil")
        .replace(
            "# The end.",
            "  relatedImages:
  - name: lantern-hex:lantern-annotation
    image: r.example/team/lantern@sha256:lantern
  - name: lantern
    image: r.example/team/lantern@sha256:lantern
  - name: oil
    image: r.example/oil@sha256:oil
  - name: db
    image: r.example/a/b/db@sha256:00
  - name: wick-hex:wick-annotation
    image: r.example/team/wick@sha256:wick
# The end.",
        );
    let expected = with_digests(&expected);
    assert_eq!(
        done.files.into_iter().collect::<Vec<_>>(),
        [("manifests/lantern.yaml".to_owned(), expected)]
    );
    assert_eq!(
        done.labels.into_iter().collect::<Vec<_>>(),
        [(PINNED_LABEL.to_owned(), "true".to_owned())]
    );
    assert_eq!(
        done.related_bundles.unwrap(),
        [with_digests("r.example/oil@sha256:oil")]
    );
    assert!(done.notes.is_empty());
    // One for digests, one for labels.
    assert_eq!(rounds, 2);
}

#[test]
fn steps_see_what_those_before_them_made() {
    let all = steps(&json!([
        {"type": "package_name_suffix", "suffix": "-acme"},
        {"type": "registry_replacements", "replacements": {"r.example": "n.example/cm"}},
        {"type": "image_name_from_labels", "template": "{name}/x-{name}"},
        {"type": "enclose_repo", "namespace": "one", "enclosure_glue": "--"},
        {"type": "csv_annotations", "annotations": {"of": "{package_name}", "containerImage": "n.example/x:1"}},
        {"type": "unknown"},
        {"type": "resolve_image_pullspecs"},
    ]));
    let (done, _) = run(bundle(CSV), all).unwrap();
    let csv = &done.files["manifests/lantern.yaml"];
    for line in [
        "containerImage: 'n.example/x@sha256:x'   # shown in the console",
        "    of: lantern-acme",
        "[{\"image\": \"n.example/one/TEAM--WICK--x-TEAM--WICK@sha256:TEAM--WICK--x-TEAM--WICK\"}]",
        "image: \"n.example/one/OIL--x-OIL@sha256:OIL--x-OIL\"",
    ] {
        let line = with_digests(line);
        assert!(csv.contains(&line), "{line}: {csv}");
    }
    assert_eq!(
        done.files["metadata/annotations.yaml"],
        ANNOTATIONS.replace("lantern #", "lantern-acme #")
    );
    assert_eq!(done.labels[PACKAGE], "lantern-acme");
}

#[test]
fn a_shared_value_that_is_to_differ_is_written_out() {
    let csv = "\
kind: ClusterServiceVersion
metadata:
  labels:
    metadata:
      annotations: {kept: &image 'r.example/x:1'}
spec:
  image: *image
  relatedImages: [{name: x, image: 'r.example/x:1'}]
";
    let (done, _) = run(bundle(csv), Customization::defaults()).unwrap();
    let expected = csv.replace("*image", "r.example/x@sha256:x").replace(
        "image: 'r.example/x:1'}]",
        "image: 'r.example/x@sha256:x'}]",
    );
    assert_eq!(
        done.files["manifests/lantern.yaml"],
        with_digests(&expected)
    );
    assert_eq!(done.notes.len(), 1, "{:?}", done.notes);
    assert!(done.notes[0].starts_with("manifests/lantern.yaml: line 7:"));
    // Where it is to be the same, it stays shared.
    let same = "kind: ClusterServiceVersion\nspec:\n  a: &i r.example/x:1\n  b: *i\n  relatedImages: [{name: x, image: *i}]\n";
    let expected = with_digests(&same.replace("x:1", "x@sha256:x"));
    assert_eq!(csv_after(same, Customization::defaults()), expected);
}

/// A bundle whose CSV is this, annotated with `support: New`, and with registry `q.io` replaced: the CSV as it is read
/// then.
fn annotated(csv: &str) -> serde_json::Value {
    let steps = steps(&json!([
        {"type": "csv_annotations", "annotations": {"support": "New"}},
        {"type": "registry_replacements", "replacements": {"q.io": "z.io"}},
    ]));
    let (done, _) = run(bundle(csv), steps).unwrap_or_else(|error| panic!("{csv}: {error}"));
    let text = &done.files["manifests/lantern.yaml"];
    let read =
        iib_bundle::parse_yaml(text).unwrap_or_else(|error| panic!("{csv}:\n{text}\n{error}"));
    serde_json::from_str(&read.to_text()).unwrap()
}

#[test]
fn however_a_csv_is_written_the_result_says_what_was_meant() {
    let kind = "kind: ClusterServiceVersion\n";
    let image = "containerImage: q.io/ns/a:1";
    for (csv, annotations) in [
        // A list at the column of its key.
        (
            format!(
                "metadata:\n  annotations:\n    support:\n    - a\n    - b\n\n    # about x\n    x: z\n    {image}\n"
            ),
            json!({"support": "New", "x": "z", "containerImage": "z.io/ns/a:1"}),
        ),
        // Keys without values.
        (
            format!("metadata:\n  annotations:\n    ? support\n    {image}\n"),
            json!({"support": "New", "containerImage": "z.io/ns/a:1"}),
        ),
        (
            format!("spec:\n  ? relatedImages\nmetadata:\n  annotations:\n    {image}\n"),
            json!({"support": "New", "containerImage": "z.io/ns/a:1"}),
        ),
        (
            "metadata: {annotations}\n".to_owned(),
            json!({"support": "New"}),
        ),
        (
            "metadata:\n  ? annotations\n".to_owned(),
            json!({"support": "New"}),
        ),
        (
            "metadata:\n  annotations: {support, x: y}\n".to_owned(),
            json!({"support": "New", "x": "y"}),
        ),
        (
            "spec: {relatedImages}\n".to_owned(),
            json!({"support": "New"}),
        ),
        (
            "metadata:\n  annotations: !!null\nspec:\n  relatedImages: !!null\n".to_owned(),
            json!({"support": "New"}),
        ),
        // Anchors: only the annotation is to be another one.
        (
            "metadata:\n  annotations:\n    support: &z Example\n    s2: *z\n".to_owned(),
            json!({"support": "New", "s2": "Example"}),
        ),
        (
            "base: &b {x: y}\nmetadata:\n  annotations:\n    <<: *b\n".to_owned(),
            json!({"support": "New", "x": "y"}),
        ),
    ] {
        let csv = format!("{kind}{csv}");
        for csv in [
            csv.clone(),
            csv.replace('\n', "\r\n"),
            csv.replace('\n', "\r"),
        ] {
            let mut read = annotated(&csv);
            let found = read["metadata"]["annotations"].as_object_mut().unwrap();
            if let Some(merged) = found.remove("<<") {
                found.extend(merged.as_object().unwrap().clone());
            }
            assert_eq!(read["metadata"]["annotations"], annotations, "{csv:?}");
        }
    }
    let shared = annotated(&format!(
        "{kind}spec: &s {{displayName: a}}\nother: *s\nmetadata: &m {{annotations: {{a: b}}}}\ntpl: {{metadata: *m}}\n"
    ));
    assert_eq!(shared["other"], json!({"displayName": "a"}));
    assert_eq!(shared["tpl"]["metadata"]["annotations"], json!({"a": "b"}));
    let keys = annotated(&format!(
        "{kind}image: &i q.io/ns/a:1\nby: {{*i : v}}\nmetadata: {{annotations: {{containerImage: q.io/ns/a:1}}}}\n"
    ));
    assert_eq!(keys["by"], json!({"q.io/ns/a:1": "v"}));
}

#[test]
fn what_does_not_change_is_not_written() {
    let pinned = Bundle {
        is_pinned: true,
        ..bundle(CSV)
    };
    let (done, _) = run(pinned, steps(&json!([{"type": "resolve_image_pullspecs"}]))).unwrap();
    assert_eq!(done, Regenerated::default());
    let (done, rounds) = run(
        bundle(CSV),
        steps(&json!([{"type": "perform_bundle_replacements"}])),
    )
    .unwrap();
    assert_eq!((done, rounds), (Regenerated::default(), 0));
    let until = steps(
        &json!([{"type": "related_bundles"}, {"type": "package_name_suffix", "suffix": "x"}]),
    );
    let until = up_to_related_bundles(until);
    let (done, _) = run(bundle(CSV), until).unwrap();
    assert_eq!(done, Regenerated::default());
}

#[test]
fn bundles_are_replaced_as_they_are_asked_for() {
    let replacements = [
        ("r.example/oil:v3", "r.example/new/oil:v4"),
        // No bundle.
        ("r.example/team/lantern:v1", "r.example/never:1"),
    ];
    let bundle = Bundle {
        replacements: replacements
            .map(|(old, new)| (old.to_owned(), new.to_owned()))
            .into(),
        ..bundle(CSV)
    };
    let (done, _) = run(
        bundle,
        steps(&json!([{"type": "perform_bundle_replacements"}])),
    )
    .unwrap();
    let csv = &done.files["manifests/lantern.yaml"];
    assert!(csv.contains("image: \"r.example/new/oil:v4\"\n"), "{csv}");
    assert!(!csv.contains("never"), "{csv}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let pin = Customization::defaults;
    let two = CSV.replace("name: oil", "name: lantern");
    let conflict = "manifests/lantern.yaml - Found conflicts when setting relatedImages:\ncontainer lantern: \
                    r.example/team/lantern@sha256:lantern X container lantern: r.example/oil@sha256:oil";
    assert_eq!(fails(&two, pin()), with_digests(conflict));
    let elsewhere = CSV.replace("value: r.example/a/b/db@sha256:00", "valueFrom: {}");
    assert_eq!(
        fails(&elsewhere, pin()),
        "manifests/lantern.yaml: RELATED_IMAGE_DB: \"valueFrom\" references are not supported"
    );
    for (old, new, told) in [
        (
            "image: \"r.example/oil:v3\"",
            "command: [x]",
            "line 21: the container oil is to have a text as its `image`",
        ),
        (
            "containerImage: 'r.example/team/lantern:v1'",
            "containerImage: [x]",
            "line 6: an annotation is to have a text as its `containerImage`",
        ),
        (
            "# The end.",
            "  relatedImages: [{name: x}]",
            "line 28: a related image is to have a text as its `image`",
        ),
        (
            "# The end.",
            "  relatedImages: x",
            "line 28: `relatedImages` is to be a list",
        ),
    ] {
        let csv = CSV.replace(old, new);
        assert_eq!(
            fails(&csv, pin()),
            format!("manifests/lantern.yaml: {told}")
        );
    }
    assert_eq!(
        fails(&CSV.replace("/oil:", "/gone:"), pin()),
        "Failed to inspect docker://r.example/gone:v3. Make sure it exists and is accessible to IIB."
    );
    let unnamed =
        steps(&json!([{"type": "image_name_from_labels", "template": "{name}-{nothing}"}]));
    assert_eq!(
        fails(CSV, unnamed),
        format!(
            "Pull spec r.example/team/lantern:v1 is missing one or more label(s) required in the \
                 image_name_from_labels {{name}}-{{nothing}}. Available labels: {BUNDLE_LABEL}, name"
        )
    );
    let unknown = steps(&json!([{"type": "csv_annotations", "annotations": {"a": "{version}"}}]));
    let told = fails(CSV, unknown);
    assert!(
        told.starts_with("the annotation a of the customization csv_annotations"),
        "{told}"
    );
    assert!(fails("a: 1\n---\nb: 1\n", pin()).starts_with(
        "The Operator Manifest is not in a valid YAML format: manifests/lantern.yaml: line 2: a second document"
    ));
}

#[test]
fn nulls_count_as_nothing() {
    let csv = "kind: ClusterServiceVersion\nmetadata:\n  annotations:\nspec:\n  relatedImages:\n  a: r.example/x:1\n";
    let note = steps(&json!([{"type": "csv_annotations", "annotations": {"a": "b"}}]));
    assert_eq!(
        csv_after(csv, note),
        csv.replace("annotations:", "annotations:\n    a: b")
    );
    let enclose =
        steps(&json!([{"type": "enclose_repo", "namespace": "n", "enclosure_glue": "-"}]));
    assert_eq!(
        csv_after(csv, enclose),
        csv.replace("relatedImages:", "relatedImages: []")
    );
}

#[test]
fn two_images_that_get_one_name_are_told() {
    let csv = |one: &str, other: &str| {
        format!(
            "kind: ClusterServiceVersion\nspec:\n  relatedImages:\n  - {{name: a, image: '{one}'}}\n  - {{name: b, image: '{other}'}}\n"
        )
    };
    let steps = steps(&json!([{"type": "enclose_repo", "namespace": "n", "enclosure_glue": "-"}]));
    let (one, other) = ("r.example/a/b-c", "r.example/a-b/c");
    let tags = csv(&format!("{one}:1"), &format!("{other}:1"));
    let (done, _) = run(bundle(&tags), steps.clone()).unwrap();
    let told = "r.example/a/b-c:1 and r.example/a-b/c:1 have one name now, r.example/n/a-b-c:1";
    let told_other =
        "r.example/a-b/c:1 and r.example/a/b-c:1 have one name now, r.example/n/a-b-c:1";
    assert!(
        done.notes == [told] || done.notes == [told_other],
        "{:?}",
        done.notes
    );
    // With a digest they are one.
    let digest = "sha256:0123";
    let digests = csv(&format!("{one}@{digest}"), &format!("{other}@{digest}"));
    let (done, _) = run(bundle(&digests), steps).unwrap();
    assert_eq!(done.notes, [""; 0]);
}

#[test]
fn what_states_the_package_gets_its_new_name() {
    let csv = "\
kind: ClusterServiceVersion
metadata:
  annotations:
    olm.properties: '[{\"type\":\"olm.package\",\"value\":{\"packageName\":\"lantern\",\"version\":\"1.0.0\"}}]' # told
";
    let properties = "properties:\n# told\n- type: olm.package\n  value: {packageName: lantern, version: 1.0.0}\n- type: other\n  value: lantern\n";
    let mut bundle = bundle(csv);
    bundle
        .files
        .insert("metadata/properties.yaml".to_owned(), properties.into());
    bundle
        .files
        .insert("metadata/other.txt".to_owned(), "properties: [".into());
    let steps = steps(&json!([
        {"type": "package_name_suffix", "suffix": "-x"},
        {"type": "package_name_suffix", "suffix": "-y"},
    ]));
    let (done, _) = run(bundle, steps).unwrap();
    let renamed = |text: &str, old: &str| text.replacen(old, "lantern-x-y", 1);
    assert_eq!(
        done.files["manifests/lantern.yaml"],
        csv.replace("\"lantern\"", "\"lantern-x-y\"")
    );
    assert_eq!(
        done.files["metadata/properties.yaml"],
        renamed(properties, "lantern")
    );
    assert_eq!(
        done.files["metadata/annotations.yaml"],
        renamed(ANNOTATIONS, "lantern")
    );
    assert_eq!(done.files.len(), 3);
}

#[test]
fn an_image_that_gets_the_name_of_another_one_is_told() {
    let csv = "kind: ClusterServiceVersion\nspec:\n  relatedImages:\n  - {name: a, image: 'a.example/x:1'}\n  - {name: b, image: 'b.example/x:1'}\n";
    let steps = steps(
        &json!([{"type": "registry_replacements", "replacements": {"a.example": "b.example"}}]),
    );
    let (done, _) = run(bundle(csv), steps).unwrap();
    let told = ["a.example/x:1 and b.example/x:1 have one name now, b.example/x:1"];
    assert_eq!(done.notes, told);
}
