//! Adapting a bundle whose CSV has 1 MB: all images pinned, registries replaced, names changed, annotations added.
//!
//! *What follows reading* is all that is ours: the steps, the new text, and reading again what was changed. Beside it
//! stands reading the same text into a value, as is done for an index.

#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot run has nobody to report to"
)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iib_bundle::{YamlDocument, parse_yaml};
use iib_regenerate::{
    Answer, Answers, Bundle, Customization, Lookup, Next, Regenerated, Regeneration, customizations,
};
use serde_json::json;

/// The size of the CSV, about.
const SIZE: usize = 1_000_000;

/// Like large ones: descriptions of owned APIs, an example in JSON, and some containers with variables.
fn csv() -> String {
    let mut csv =
        "kind: ClusterServiceVersion\nmetadata:\n  name: large.v1.0.0\n  annotations:\n    \
                   containerImage: r.example/team/large:v1\n    alm-examples: |-\n      [\n"
            .to_owned();
    for number in 0..200 {
        writeln!(
            csv,
            "        {{\"kind\": \"K{number}\", \"image\": \"r.example/team/k{}:v2\"}},",
            number % 20
        )
        .unwrap();
    }
    csv.push_str("      {}]\nspec:\n  customresourcedefinitions:\n    owned:\n");
    let mut number = 0;
    while csv.len() < SIZE {
        number += 1;
        write!(
            csv,
            "    - kind: Kind{number}\n      description: >-\n        What it is for, in some words that\n        fill two \
             lines, as they do.\n      specDescriptors:\n      - path: spec.replicas\n        displayName: \"Replicas of \
             {number}\"\n        x-descriptors:\n        - urn:alm:descriptor:com.tectonic.ui:podCount\n"
        )
        .unwrap();
    }
    csv.push_str("  install:\n    spec:\n      deployments:\n      - name: large\n        spec:\n          template:\n            spec:\n              containers:\n");
    for number in 0..25 {
        write!(
            csv,
            "              - name: c{number}\n                image: r.example/team/c{number}:v1\n                env:\n                \
             - name: RELATED_IMAGE_V{number}\n                  value: r.example/team/v{number}:v1\n"
        )
        .unwrap();
    }
    csv
}

fn read(csv: &str, steps: Vec<Customization>) -> Regeneration {
    let annotations = "annotations:\n  operators.operatorframework.io.bundle.package.v1: large\n";
    let files = [
        ("manifests/large.yaml", csv),
        ("metadata/annotations.yaml", annotations),
    ];
    let bundle = Bundle {
        files: files
            .map(|(file, text)| (file.to_owned(), text.into()))
            .into(),
        has_organization: true,
        ..Bundle::default()
    };
    Regeneration::new(bundle, steps).unwrap()
}

fn adapt(mut regeneration: Regeneration) -> Regenerated {
    let mut answers = Answers::new();
    loop {
        match regeneration.next(&answers).unwrap() {
            Next::Done(done) => return done,
            Next::Ask(questions) => answers.extend(questions.into_iter().map(|question| {
                let answer = match question {
                    Lookup::Digest(_) => Answer::Digest(format!("sha256:{:064}", 1)),
                    Lookup::Labels(_) => {
                        Answer::Labels([("name".to_owned(), "n".to_owned())].into())
                    }
                };
                (question, answer)
            })),
        }
    }
}

fn adapting(criterion: &mut Criterion) {
    let csv = csv();
    let steps = json!([
        {"type": "resolve_image_pullspecs"},
        {"type": "registry_replacements", "replacements": {"r.example": "n.example"}},
        {"type": "enclose_repo", "namespace": "one", "enclosure_glue": "-"},
        {"type": "csv_annotations", "annotations": {"of": "{package_name}"}},
    ]);
    let steps = customizations(steps.as_array().map(Vec::as_slice)).unwrap();
    let mut group = criterion.benchmark_group("adapt");
    group.throughput(Throughput::Bytes(csv.len() as u64));
    group.bench_function("all", |bench| {
        bench.iter(|| black_box(adapt(read(&csv, steps.clone()))));
    });
    group.bench_function("what follows reading", |bench| {
        let read = || read(&csv, steps.clone());
        bench.iter_batched(read, |read| black_box(adapt(read)), BatchSize::PerIteration);
    });
    group.bench_function("read with places", |bench| {
        bench.iter(|| black_box(YamlDocument::parse(&csv).unwrap()));
    });
    group.bench_function("read as a value", |bench| {
        bench.iter(|| black_box(parse_yaml(&csv).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, adapting);
criterion_main!(benches);
