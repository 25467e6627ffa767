//! `iib bench bundles`: bundles made anew, and the bundles behind a bundle, with a registry that answers at once and with
//! one that takes its time.
//!
//! Every request runs in a process of its own, which knows nothing of the images. Times are printed beside that of the
//! smallest bundle of the same registry, because that holds on any machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use iib_oci::{PullSpec, Repository};
use iib_registry::RegistryClient;
use serde::Serialize;
use serde_json::{Value, json};

use super::SmallRegistry;
use super::images::client;
use super::kinds::{Asked, Ran, shortest};
use super::stages::{Cost, Stages};
use crate::Exit;
use crate::cli::{BenchBundlesOptions, BenchStage};
use crate::demo::images::push_image;
use crate::say;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    /// Images that the bundle names; or bundles that are found, with itself.
    images: usize,
    /// What the registry takes for each answer, milliseconds.
    answers_after: u64,
    cost: Cost,
    /// To the row of the kind and registry with the fewest images.
    ratio: f64,
}

/// Runs the benchmark and prints its table.
pub(super) async fn run(options: &BenchBundlesOptions) -> anyhow::Result<Exit> {
    let folder = tempfile::Builder::new().prefix("iib-bench-").tempdir()?;
    let mut rows: Vec<Row> = Vec::new();
    for &delay in &[0, options.answers_after] {
        let path = folder.path().join(format!("registry-{delay}"));
        let registry = SmallRegistry::slow(&path, Duration::from_millis(delay)).await?;
        let bench = Bench {
            folder: folder.path(),
            host: &registry.host,
            registry: client(&registry.host)?,
        };
        say::aside(format_args!("answers after {delay} ms: making the bundles"));
        let requests = bench.requests(&options.images).await?;
        for (kind, images, body) in requests {
            say::aside(format_args!(
                "answers after {delay} ms, {images} images: {kind}"
            ));
            let asked = Asked {
                kind: kind.to_owned(),
                body,
            };
            let cost = bench.best_of(&asked, images, options.runs).await?;
            let of_kind = |row: &&Row| row.kind == kind && row.answers_after == delay;
            let first = rows.iter().find(of_kind).map_or(cost, |first| first.cost);
            rows.push(Row {
                kind,
                images,
                answers_after: delay,
                cost,
                ratio: cost.seconds / first.seconds.max(f64::EPSILON),
            });
        }
        registry.stop().await?;
    }
    match options.json {
        true => say::line(serde_json::to_string_pretty(&rows)?)?,
        false => say::text(table(&rows))?,
    }
    Ok(Exit::Done)
}

struct Bench<'a> {
    folder: &'a Path,
    host: &'a str,
    registry: RegistryClient,
}

impl Bench<'_> {
    /// Kind, how large it is, and body of each request, whose images are there.
    async fn requests(&self, sizes: &[u32]) -> anyhow::Result<Vec<(&'static str, usize, Value)>> {
        let mut requests = Vec::new();
        for size in sizes {
            let mut images = Vec::new();
            for number in 0..*size {
                let name = format!("i{size}-{number}");
                images.push(self.push(&name, &files(&name, &[])?, false).await?);
            }
            let name = format!("b{size}");
            let bundle = self.push(&name, &files(&name, &images)?, true).await?;
            let body = json!({"from_bundle_image": bundle.as_str()});
            requests.push(("regenerate-bundle", images.len(), body));
        }
        let mut behind = Vec::new();
        for name in ["r1", "r2"] {
            behind.push(self.push(name, &files(name, &[])?, true).await?);
        }
        let over = self.push("r3", &files("r3", &behind)?, true).await?;
        let beside = self.push("r4", &files("r4", &[])?, true).await?;
        let first = self
            .push("r5", &files("r5", &[over, beside])?, true)
            .await?;
        let body = json!({"parent_bundle_image": first.as_str()});
        requests.push(("recursive-related-bundles", FOUND, body));
        Ok(requests)
    }

    async fn push(
        &self,
        name: &str,
        files: &BTreeMap<String, Vec<u8>>,
        is_bundle: bool,
    ) -> anyhow::Result<PullSpec> {
        let repository = Repository::new(self.host, "bench/image")?;
        let labels = [
            (
                "operators.operatorframework.io.bundle.manifests.v1",
                "manifests/",
            ),
            (
                "operators.operatorframework.io.bundle.metadata.v1",
                "metadata/",
            ),
            ("com.redhat.delivery.operator.bundle", "true"),
        ];
        let labels = labels.into_iter().filter(|_| is_bundle);
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        push_image(&self.registry, &repository, name, files, labels.collect()).await
    }

    async fn best_of(&self, asked: &Asked, images: usize, runs: u32) -> anyhow::Result<Cost> {
        let file = self.folder.join("requests.json");
        std::fs::write(&file, serde_json::to_vec(&[asked])?)?;
        let mut best = None;
        for run in 0..runs.max(1) {
            // What it pushes is not there from the run before.
            let stages = Stages {
                folder: self
                    .folder
                    .join(format!("of-{images}"))
                    .join(format!("run-{run}")),
                host: self.host.to_owned(),
            };
            let ran: Ran = stages
                .process(BenchStage::Requests, None, Some(&file))
                .await?;
            best = shortest(best, ran.costs);
            std::fs::remove_dir_all(&stages.folder)?;
        }
        best.context("no run")
    }
}

/// Bundles of the search, with that in which it begins.
const FOUND: usize = 5;

/// The files of a bundle whose operator has these images.
fn files(name: &str, images: &[PullSpec]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let containers: Vec<_> = images
        .iter()
        .enumerate()
        .map(|(number, image)| json!({"name": format!("c{number}"), "image": image.as_str()}))
        .collect();
    let csv = json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {"name": format!("{name}.v1.0.0")},
        "spec": {"install": {"strategy": "deployment", "spec": {"deployments": [
            {"name": name, "spec": {"template": {"spec": {"containers": containers}}}},
        ]}}},
    });
    let annotations = json!({
        "annotations": {"operators.operatorframework.io.bundle.package.v1": name},
    });
    Ok(BTreeMap::from([
        (
            format!("manifests/{name}.clusterserviceversion.yaml"),
            serde_json::to_vec_pretty(&csv)?,
        ),
        (
            "metadata/annotations.yaml".to_owned(),
            serde_json::to_vec_pretty(&annotations)?,
        ),
    ]))
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "kind                       images  answers after ms  seconds  to the first  MiB\n",
    );
    for row in rows {
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "{:25}  {:6}  {:16}  {:7.3}  {:12.2}  {:3.0}",
            row.kind, row.images, row.answers_after, row.cost.seconds, row.ratio, row.cost.peak_mib,
        );
    }
    text
}
