//! What is done with an input. An ordinary test of `conformance` does the same with every file in
//! `fuzz/corpus`.

use std::collections::BTreeMap;
use std::fs;

use iib_bundle::{Bundle, BundleFiles};
use iib_catalog::AddOptions;
use iib_fbc::{
    BundleForm, Catalog, Documents, Picture, Rules, ServeFault, ServeForm, ServePlan, check,
    read_text, to_text,
};
use iib_indexdb::{ExportError, SqliteIndex};
use iib_oci::hosts::HostRules;
use iib_ports::IndexDb as _;
use iib_request::{
    ApiSettings, BATCHES, BatchId, BinaryImages, KINDS, KindRow, Members, Patch, ReadContext,
    Record, Request, RequestId,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Files of a bundle, parted by null bytes: annotations, dependencies, then manifests. It is read or
/// refused.
pub fn bundle(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let metadata = ["annotations.yaml", "dependencies.yaml"];
    let metadata = metadata.map(str::to_owned).into_iter().zip(&mut parts);
    let metadata: BTreeMap<String, Vec<u8>> = metadata.collect();
    let files = BundleFiles {
        manifests: (0..)
            .map(|at: u32| format!("{at}.yaml"))
            .zip(parts)
            .collect(),
        metadata: Some(metadata),
    };
    if let Ok(bundle) = Bundle::read("registry.invalid/fuzz:1", &files) {
        let _ = bundle.candidate();
    }
}

/// A catalog file. What can be read is written and read again as the same, checked, drawn and
/// served.
pub fn catalog(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut read = Catalog::default();
    if read_text(&text, &mut read).is_err() {
        return;
    }
    let texts: String = read.blobs().map(to_text).collect();
    let mut again = Catalog::default();
    read_text(&texts, &mut again).expect("what was written can be read");
    // An empty list is not written.
    for entry in read
        .channels
        .iter_mut()
        .flat_map(|channel| &mut channel.entries)
    {
        entry.has_empty_skips = false;
    }
    assert!(read == again, "what was written reads the same");
    let report = check(&read, Rules::Opm126);
    drop(check(&read, Rules::OpmNewest).to_string());
    for document in Documents::new(text.as_bytes()).by(Rules::OpmNewest) {
        let Ok(document) = document else { break };
        drop(document.blob.outlined(Rules::OpmNewest));
    }
    let mut newer = read.clone();
    if newer.write_anew().is_ok() && newer.convert(BundleForm::CsvMetadata).is_ok() {
        let texts: String = newer.blobs().map(to_text).collect();
        read_text(&texts, &mut Catalog::default()).expect("what was converted can be read");
    }
    let _ = report.to_string();
    for package in &read.packages {
        if let Some(picture) = Picture::of(&read, &package.name) {
            let _ = (picture.to_svg(), picture.to_dot(), picture.to_mermaid());
        }
    }
    if report.is_clean() {
        for form in [ServeForm::Opm126, ServeForm::Newest] {
            serve(&read, form);
        }
    }
}

/// The files of a serve cache stay inside its folder.
fn serve(catalog: &Catalog, form: ServeForm) {
    let Ok(plan) = ServePlan::new(catalog, form) else {
        return;
    };
    let _ = plan.packages(catalog);
    for part in catalog.clone().by_package().values() {
        let _ = plan.package(part, |file| {
            let outside = file
                .path
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."));
            assert!(!outside, "{}", file.path);
            Ok::<_, ServeFault>(())
        });
    }
}

/// A database file. It is read or refused; what is not added leaves every byte as it was.
pub fn database(data: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let db = folder.path().join("index.db");
    fs::write(&db, data).expect("there is room for a file");
    let _ = SqliteIndex.bundles(&db);
    let _ = SqliteIndex.shape(&db);
    let _ = SqliteIndex.export(&db, BundleForm::Objects, |_, _| Ok::<_, ExportError>(()));
    let added = SqliteIndex.add(&db, &[added_bundle()], &AddOptions::default());
    let left = fs::read(&db).expect("the file is there");
    assert!(
        added.is_ok() || left == data,
        "a refused add changed the file"
    );
}

/// The body of a call, read as each kind of request. What is taken is kept and read again as the same.
pub fn payload(data: &[u8]) {
    let Ok(Value::Object(payload)) = serde_json::from_slice(data) else {
        return;
    };
    let members: Members = serde_json::from_slice(data).expect("it is an object");
    let context = ReadContext {
        api: &ApiSettings::default(),
        binary_images: &BinaryImages::default(),
        hosts: &HostRules::default(),
        user: None,
    };
    let body = Value::Object(payload.clone());
    for batch in &BATCHES {
        let read = |kind: &KindRow, payload: &_| (kind.read)(payload, &context);
        let _ = batch.read(&body, context.api, |kind, payload| read(kind, payload));
    }
    for kind in &KINDS {
        let request = json!({"request_type": kind.name});
        let request: Request = serde_json::from_value(request).expect("all has a default");
        let (id, now) = (RequestId(1), Timestamp::UNIX_EPOCH);
        let mut record = Record::new(id, BatchId(1), None, request, now);
        if let Ok(patch) = Patch::read(&members, &record) {
            patch.apply(&mut record, now).expect("it goes on");
        }
        match (kind.read)(&payload, &context) {
            Ok(request) => {
                let kept = serde_json::to_string(&request).expect("a request can be kept");
                let again: Request = serde_json::from_str(&kept).expect("it can be read again");
                assert!(again == request, "{kept}");
            }
            Err(refusal) => {
                let _ = refusal.to_string();
            }
        }
    }
}

fn added_bundle() -> Bundle {
    let manifest =
        br#"{"kind": "ClusterServiceVersion", "apiVersion": "operators.coreos.com/v1alpha1",
        "metadata": {"name": "fuzz.v1.0.0"}, "spec": {"version": "1.0.0"}}"#;
    let annotations = b"annotations:
  operators.operatorframework.io.bundle.package.v1: fuzz
  operators.operatorframework.io.bundle.channels.v1: stable
  operators.operatorframework.io.bundle.channel.default.v1: stable
";
    let files = BundleFiles {
        manifests: BTreeMap::from([("csv.json".to_owned(), manifest.to_vec())]),
        metadata: Some(BTreeMap::from([(
            "annotations.yaml".to_owned(),
            annotations.to_vec(),
        )])),
    };
    Bundle::read("registry.invalid/fuzz:1", &files).expect("a bundle of ours can be read")
}
