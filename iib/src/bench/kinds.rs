//! `iib bench kinds`: a request of each kind on an index with a database, and on one with a catalog.
//!
//! Every request runs in a process of its own, so that its memory is its own, and nothing is known of its index
//! beforehand; beside it stands the same index with bytes only moved. For requests that follow each
//! other on one index, one process does three, and the shortest of the later ones is told.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use iib_oci::{PullSpec, Repository};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SmallRegistry;
use super::images::{self, Images, Input};
use super::stages::{Cost, Stages};
use crate::Exit;
use crate::cli::{BenchKindsOptions, BenchStage};
use crate::demo::images::push_image;
use crate::say;

/// A request, as a process gets it. `{result}` in its body is the index that the one before made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The kind, as in the path of the API.
    pub(super) kind: String,
    /// The body of the call.
    pub(super) body: Value,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    form: Form,
    bundles: usize,
    /// Who wrote the layer of the index.
    input: Input,
    /// The request in a process of its own.
    alone: Cost,
    /// A later one in a process that made its index.
    following: Option<Cost>,
    /// The same bytes moved, without thinking.
    moved: Cost,
}

/// What an index serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Database,
    Catalog,
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Catalog => "catalog",
        }
    }
}

/// Runs the benchmark and prints its table.
pub(super) async fn run(options: &BenchKindsOptions) -> anyhow::Result<Exit> {
    let folder = tempfile::Builder::new().prefix("iib-bench-").tempdir()?;
    let registry = SmallRegistry::start(&folder.path().join("registry")).await?;
    let images = Images::push_common(&registry.host).await?;
    let mut rows = Vec::new();
    for bundles in options.bundles.iter().map(|&bundles| bundles as usize) {
        say::aside(format_args!("{bundles} bundles: making the indexes"));
        let bench = Bench::new(folder.path(), &registry.host, &images, bundles).await?;
        for form in [Form::Database, Form::Catalog] {
            for input in [Input::Foreign, Input::Ours] {
                rows.extend(bench.rows(form, input, options.runs).await?);
            }
        }
    }
    registry.stop().await?;
    match options.json {
        true => say::line(serde_json::to_string_pretty(&rows)?)?,
        false => say::text(table(&rows))?,
    }
    Ok(Exit::Done)
}

/// The indexes of one size.
struct Bench<'a> {
    folder: &'a Path,
    host: &'a str,
    images: &'a Images,
    bundles: usize,
    /// By form and writer of the layer.
    indexes: BTreeMap<(&'static str, &'static str), PullSpec>,
    /// The bundles that come next.
    next: Vec<PullSpec>,
    fragment: PullSpec,
}

impl<'a> Bench<'a> {
    async fn new(
        folder: &'a Path,
        host: &'a str,
        images: &'a Images,
        bundles: usize,
    ) -> anyhow::Result<Self> {
        let database = images::generate(folder, bundles)?;
        let mut indexes = BTreeMap::new();
        for input in [Input::Foreign, Input::Ours] {
            let index = images.push_index(folder, &database, bundles, input).await?;
            indexes.insert((Form::Database.word(), input.word()), index);
        }
        let raw = images.push_catalog(folder, &database, bundles).await?;
        std::fs::remove_file(&database)?;
        let mut next = Vec::new();
        for number in bundles..bundles + FOLLOWING {
            next.push(images.push_bundle(number).await?);
        }
        let mut bench = Self {
            folder,
            host,
            images,
            bundles,
            indexes,
            next,
            fragment: push_fragment(images, host).await?,
        };
        // A request that finds nothing to do makes an index of ours of it, with a serve cache.
        let asked = bench.ask(
            "rm",
            json!({"from_index": raw.as_str(), "operators": ["absent"]}),
        );
        let (_, catalog) = bench.run("catalog", &[asked]).await?;
        let foreign = images
            .push_repacked(folder, &catalog, &format!("c{bundles}"))
            .await?;
        let form = Form::Catalog.word();
        bench.indexes.insert((form, Input::Ours.word()), catalog);
        bench.indexes.insert((form, Input::Foreign.word()), foreign);
        Ok(bench)
    }

    fn index(&self, form: Form, input: Input) -> anyhow::Result<&PullSpec> {
        let index = self.indexes.get(&(form.word(), input.word()));
        index.context("an index that was not made")
    }

    fn ask(&self, kind: &str, mut body: Value) -> Asked {
        if let Value::Object(members) = &mut body {
            members.insert(
                "binary_image".to_owned(),
                json!(self.images.binary.as_str()),
            );
        }
        Asked {
            kind: kind.to_owned(),
            body,
        }
    }

    /// One row for each kind that there is for the form.
    async fn rows(&self, form: Form, input: Input, runs: u32) -> anyhow::Result<Vec<Row>> {
        let index = self.index(form, input)?.to_string();
        let stages = self.stages("moved");
        let mut moved: Cost = stages
            .process(BenchStage::Moved, Some(&index), None)
            .await?;
        for _ in 1..runs {
            let again = stages
                .process(BenchStage::Moved, Some(&index), None)
                .await?;
            moved = moved.faster(again);
        }
        std::fs::remove_dir_all(&stages.folder)?;
        let mut rows = Vec::new();
        for (kind, asked) in self.requests(form, &index) {
            say::aside(format_args!(
                "{} bundles, {}, {input}: {kind}",
                self.bundles,
                form.word()
            ));
            let name = format!("{kind}-{}-{input}", form.word());
            let first = asked.get(..1).context("no request")?;
            let (mut alone, mut following) = (None, None);
            for _ in 0..runs.max(1) {
                let (costs, _) = self.run(&name, first).await?;
                alone = shortest(alone, costs);
                if asked.len() > 1 {
                    let (costs, _) = self.run(&name, &asked).await?;
                    following = shortest(following, costs.into_iter().skip(1).collect());
                }
            }
            rows.push(Row {
                kind,
                form,
                bundles: self.bundles,
                input,
                alone: alone.context("no run")?,
                following,
                moved,
            });
        }
        Ok(rows)
    }

    /// The requests of each kind on an index: more than one where they follow each other.
    fn requests(&self, form: Form, index: &str) -> Vec<(&'static str, Vec<Asked>)> {
        let on = |kind: &str, number: usize, mut body: Value| {
            let index = if number == 0 { index } else { "{result}" };
            if let Value::Object(members) = &mut body {
                members.insert("from_index".to_owned(), json!(index));
            }
            self.ask(kind, body)
        };
        let added = self.next.iter().enumerate();
        let added = added.map(|(n, bundle)| on("add", n, json!({"bundles": [bundle.as_str()]})));
        let removed =
            (0..FOLLOWING).map(|n| on("rm", n, json!({"operators": [images::package(n)]})));
        let emptied = on(
            "create-empty-index",
            0,
            json!({"output_fbc": form == Form::Catalog}),
        );
        let mut requests = vec![
            ("add", added.collect::<Vec<_>>()),
            ("rm", removed.collect()),
            ("create-empty-index", vec![emptied]),
        ];
        if form == Form::Catalog {
            let fragment = json!({"fbc_fragments": [self.fragment.as_str()]});
            let merged = (0..FOLLOWING).map(|n| on("fbc-operations", n, fragment.clone()));
            let deprecated = (0..FOLLOWING).map(|n| {
                let package = images::package(n);
                let schema = json!({
                    "schema": "olm.deprecations",
                    "package": package,
                    "entries": [{"reference": {"schema": "olm.package"}, "message": "It is old."}],
                });
                let body =
                    json!({"operator_package": package, "deprecation_schema": schema.to_string()});
                on("add-deprecations", n, body)
            });
            requests.push(("fbc-operations", merged.collect()));
            requests.push(("add-deprecations", deprecated.collect()));
        }
        requests
    }

    /// Runs requests one after the other in one process; gives what each took, and the last result.
    async fn run(&self, name: &str, asked: &[Asked]) -> anyhow::Result<(Vec<Cost>, PullSpec)> {
        let stages = self.stages(name);
        // Beside the data folder, which is the service's own.
        let file = self.folder.join("requests.json");
        std::fs::write(&file, serde_json::to_vec(asked)?)?;
        let ran: Ran = stages
            .process(BenchStage::Requests, None, Some(&file))
            .await?;
        ensure!(ran.costs.len() == asked.len(), "not every request was run");
        std::fs::remove_dir_all(&stages.folder)?;
        let result = ran.result.context("no result")?;
        Ok((ran.costs, result.parse()?))
    }

    fn stages(&self, name: &str) -> Stages {
        Stages {
            folder: self
                .folder
                .join(format!("kinds-{}", self.bundles))
                .join(name),
            host: self.host.to_owned(),
        }
    }
}

/// What a process of requests prints.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ran {
    pub(super) costs: Vec<Cost>,
    /// The index that the last one made, if that is what it does.
    pub(super) result: Option<String>,
}

/// Requests that follow each other.
const FOLLOWING: usize = 3;

pub(super) fn shortest(best: Option<Cost>, costs: Vec<Cost>) -> Option<Cost> {
    best.into_iter().chain(costs).reduce(Cost::faster)
}

/// A fragment with one small package.
const FRAGMENT: &str = r#"{"schema": "olm.package", "name": "fragment", "defaultChannel": "stable"}
{"schema": "olm.channel", "package": "fragment", "name": "stable", "entries": [{"name": "fragment.v1.0.0"}]}
{"schema": "olm.bundle", "package": "fragment", "name": "fragment.v1.0.0", "image": "registry.invalid/fragment:1",
"properties": [{"type": "olm.package", "value": {"packageName": "fragment", "version": "1.0.0"}}]}
"#;

async fn push_fragment(images: &Images, host: &str) -> anyhow::Result<PullSpec> {
    let files = [("configs/fragment/catalog.json".to_owned(), FRAGMENT.into())];
    let label = "operators.operatorframework.io.index.configs.v1";
    let labels = [(label.to_owned(), "/configs".to_owned())];
    let repository = Repository::new(host, "bench/fragment")?;
    push_image(
        &images.registry,
        &repository,
        "v1",
        &files.into(),
        labels.into(),
    )
    .await
}

/// All rows as text. Ratios are to the job that only moves the bytes of the same index.
fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "kind                form      bundles  input    alone s  following s  moved s  alone/moved  MiB\n",
    );
    for row in rows {
        let following = row.following.map(|cost| format!("{:.3}", cost.seconds));
        text.push_str(&format!(
            "{:18}  {:8}  {:7}  {:7}  {:7.3}  {:>11}  {:7.3}  {:11.2}  {:3.0}\n",
            row.kind,
            row.form.word(),
            row.bundles,
            row.input.word(),
            row.alone.seconds,
            following.unwrap_or_default(),
            row.moved.seconds,
            row.alone.seconds / row.moved.seconds.max(f64::EPSILON),
            row.alone.peak_mib,
        ));
    }
    text
}
