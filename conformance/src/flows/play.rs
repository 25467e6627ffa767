//! A trace, played by the service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use futures::TryStreamExt as _;
use iib_edge::Config;
use iib_local::Local;
use iib_oci::{Digest, ImageConfig, PullSpec, Reference, Repository, Resolved};
use iib_pipeline::IndexCopy;
use iib_pipeline::intake::{IntakeDeps, get, read, submit};
use iib_ports::{ArtifactKey, GateAnswer, GateError, Gates, Notifier, Registry as _};
use iib_request::{GitRepositories, KINDS, Record, Stage, Update, branch_of, repository_of};
use iib_testkit::memory::{Files, MemoryRegistries, MemoryRegistry, MemoryRepositories};
use serde_json::{Map, Value, json};

use super::bundles::MAX_VERSION;
use super::images::{self, Digests};
use super::trace::Trace;
use crate::request::{InProcess, deliver};

/// Where results go.
const REGISTRY: &str = "registry.example.com";
/// The name of the result.
pub(super) const OUTPUT: &str = "registry.example.com/iib-build:7";
/// The number of every request.
const NUMBER: &str = "7";

/// What became of a request.
pub(super) enum Outcome {
    /// It was not taken.
    Refused(String),
    /// It was worked on.
    Ended(Ended),
}

/// How the work on a request ended. Digests are those of the trace.
pub(super) struct Ended {
    /// What a worker of the reference would have sent.
    pub(super) patches: Vec<Value>,
    /// The names that have the result, and those that have its images.
    pub(super) names: BTreeSet<String>,
    /// Its labels by architecture.
    pub(super) labels: BTreeMap<String, BTreeMap<String, String>>,
    /// The bundles in its database that end with the last platform that has the APIs of before.
    pub(super) limited: BTreeSet<String>,
    /// The lists that it wrote, by the names that the reference gives them.
    pub(super) artifacts: Map<String, Value>,
    pub(super) state: String,
    pub(super) reason: String,
    /// What the commit says that stands in the Git repository of the index, if there is one.
    pub(super) commit: Option<String>,
}

/// Plays a trace.
pub(super) async fn play(trace: &Trace) -> anyhow::Result<Outcome> {
    let registry = Arc::new(MemoryRegistry::default());
    let mut digests = images::push_all(trace, &registry).await?;
    let mut before = registry.tags();
    if let Some(index) = trace.copy_that_fails() {
        registry.lock_tag(index);
    }

    let folder = tempfile::tempdir()?;
    let heard = Arc::new(Heard::default());
    let queue = Arc::new(InProcess::default());
    let mut config = settings(trace)?;
    config.data_folder = folder.path().to_owned();
    let mut deps = Local::with_notifier(&config, heard.clone())?.deps;
    deps.queue = queue.clone();
    deps.registry = registry.clone();
    deps.registries = Arc::new(MemoryRegistries(registry.clone()));
    let git = Git::of(trace)?;
    deps.work.git_repositories = git.map.clone();
    deps.repositories = Some(Arc::new(git.repositories.clone()));
    deps.gates = config.work.greenwave_url.is_some().then(|| gate(trace));

    let intake = IntakeDeps::from(deps.clone());
    let kind = KINDS.iter().find(|kind| kind.name == trace.task);
    let kind = kind.with_context(|| format!("no requests of the kind {}", trace.task))?;
    let user = trace.arguments.get("username").and_then(Value::as_str);
    let submission = match read(&intake, kind, &payload(trace), user) {
        Ok(submission) => submission,
        Err(refusal) => return Ok(Outcome::Refused(refusal.to_string())),
    };
    let id = submit(&intake, user.map(str::to_owned), submission)
        .await?
        .id;
    let mut moves = index_that_moves(trace)?;
    while let Some(task) = queue.take() {
        if task.stage == Stage::Push
            && let Some(index) = moves.take()
        {
            touch(&registry, &index).await?;
            before = registry.tags();
        }
        deliver(&deps, &queue, task).await?;
    }
    let record = get(&intake, id).await?;

    let after = registry.tags();
    let mut made = Made::default();
    if let Some(result) = after.get(OUTPUT) {
        made = Made::read(&registry, result.clone()).await?;
        digests.note_made(OUTPUT, result);
    }
    made.leave_out(&inherited(trace));
    let mut artifacts = Map::new();
    for (key, name) in [
        (ArtifactKey::related_bundles(id), "related_bundles"),
        (ArtifactKey::nested_bundles(id), "recursive_related_bundles"),
    ] {
        let Ok(content) = deps.artifacts.get(&key).await else {
            continue;
        };
        let pieces: Vec<_> = content.try_collect().await?;
        let text = digests.to_recorded(&String::from_utf8(pieces.concat())?);
        artifacts.insert(
            format!("{NUMBER}_{name}.json"),
            serde_json::from_str(&text)?,
        );
    }
    let mut limited = BTreeSet::new();
    if made.serves_database() {
        let found = limited_in(&registry, config.work.max_index_bytes).await?;
        limited.extend(found.iter().map(|image| digests.to_recorded(image)));
    }
    Ok(Outcome::Ended(Ended {
        patches: heard.in_terms_of(&digests)?,
        names: made.names(&before, &after),
        labels: made.labels,
        limited,
        artifacts,
        state: record.state().to_string(),
        reason: digests.to_recorded(record.state_reason()),
        commit: git.commit(),
    }))
}

/// Labels of the bundle that is made anew, which a trace does not say again.
fn inherited(trace: &Trace) -> BTreeMap<String, String> {
    let from = trace.arguments.get("from_bundle_image");
    let from = from.and_then(Value::as_str).unwrap_or_default();
    let image = trace.images.get(from);
    image.map(|image| image.labels.clone()).unwrap_or_default()
}

/// The settings that a trace names, as the reference has them, and those that its service passes to its workers with
/// the request.
fn settings(trace: &Trace) -> anyhow::Result<Config> {
    let argument = |name: &str| trace.arguments.get(name).map(Value::to_string);
    let mut variables = BTreeMap::from([
        ("IIB_REGISTRY".to_owned(), REGISTRY.to_owned()),
        ("IIB_REQUESTS_FIRST_NUMBER".to_owned(), NUMBER.to_owned()),
        ("IIB_PLAIN_REASONS".to_owned(), "true".to_owned()),
    ]);
    if let Some(images) = argument("binary_image_config") {
        variables.insert("IIB_BINARY_IMAGE_CONFIG".to_owned(), images);
    }
    if let Some(gating) = argument("greenwave_config") {
        variables.insert(
            "IIB_GREENWAVE_CONFIG".to_owned(),
            format!(r#"{{"null": {gating}}}"#),
        );
    }
    variables.extend(trace.config.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.to_uppercase(), value)
    }));
    let mut config = Config::load(None, &variables)?;
    // Traces begin behind the API, which asks for this one.
    let index = trace.arguments.get("from_index").and_then(Value::as_str);
    config.api.graph_mode_index_allow_list = index.into_iter().map(str::to_owned).collect();
    Ok(config)
}

/// The Git repository of the index.
struct Git {
    map: GitRepositories,
    repositories: MemoryRepositories,
    /// Where it is, and the branch.
    place: Option<(String, String)>,
    before: Files,
}

impl Git {
    fn of(trace: &Trace) -> anyhow::Result<Self> {
        let map = trace.arguments.get("index_to_gitlab_push_map").cloned();
        let map = map.map(serde_json::from_value).transpose()?;
        let map: GitRepositories = map.unwrap_or_default();
        let index = trace.arguments.get("from_index").and_then(Value::as_str);
        let place = index.and_then(|index| {
            let repository = repository_of(&map, index)?;
            Some((repository.to_owned(), branch_of(index)?.to_owned()))
        });
        let repositories = MemoryRepositories::default();
        let mut before = trace.world.git_branch.clone();
        // Of a task that does nothing with the map the world has nothing, though somebody will have it.
        if before.is_empty() && !trace.state_reason.starts_with("Remote branch") {
            before.insert("README.md".to_owned(), "x".to_owned());
        }
        if let Some((repository, branch)) = place.as_ref().filter(|_| !before.is_empty()) {
            let files = before.iter().map(|(path, text)| (&**path, &**text));
            repositories.begin(repository, branch, &files.collect::<Vec<_>>());
        }
        Ok(Self {
            map,
            repositories,
            place,
            before,
        })
    }

    /// What the commit says that stands there.
    fn commit(&self) -> Option<String> {
        let (repository, branch) = self.place.as_ref()?;
        if self.repositories.files(repository, branch) == self.before {
            return None;
        }
        let newest = self.repositories.messages(repository, branch);
        Some(newest.first()?.lines().next()?.to_owned())
    }
}

/// What a user would have sent: the arguments of the task without those that the API adds.
fn payload(trace: &Trace) -> Map<String, Value> {
    const ADDED: [&str; 5] = [
        "binary_image_config",
        "greenwave_config",
        "index_to_gitlab_push_map",
        "used_fbc_fragment",
        "username",
    ];
    let mut payload = trace.arguments.clone();
    payload.retain(|name, _| !ADDED.contains(&name.as_str()));
    if trace.arguments.get("used_fbc_fragment") == Some(&Value::Bool(true))
        && let Some(fragments) = payload.remove("fbc_fragments")
    {
        payload.insert("fbc_fragment".to_owned(), fragments[0].clone());
    }
    payload
}

/// The index that somebody else moves while the request is worked on. A trace shows it by its end alone.
fn index_that_moves(trace: &Trace) -> anyhow::Result<Option<PullSpec>> {
    if !trace
        .state_reason
        .contains("changed during the IIB request")
    {
        return Ok(None);
    }
    let index = trace.arguments.get("from_index").and_then(Value::as_str);
    Ok(index.map(str::parse).transpose()?)
}

/// Gives a tag the same content under another digest.
async fn touch(registry: &MemoryRegistry, spec: &PullSpec) -> anyhow::Result<()> {
    let (repository, reference) = (spec.repository(), spec.reference());
    let mut list = registry.manifest(repository, reference).await?;
    list.bytes.push(b'\n');
    Ok(registry.push_manifest(repository, reference, &list).await?)
}

/// Greenwave, with the answer that a trace shows by its end alone.
fn gate(trace: &Trace) -> Arc<dyn Gates> {
    let unsatisfied = trace
        .state_reason
        .strip_prefix("Unsatisfied Greenwave policy for ");
    let cases = unsatisfied.and_then(|text| text.split_once(" and test cases: "));
    let cases = cases.into_iter().flat_map(|(_, cases)| cases.split(", "));
    let cases: Vec<Value> = cases.map(|case| json!({"testcase": case})).collect();
    let body = json!({
        "policies_satisfied": unsatisfied.is_none(),
        "unsatisfied_requirements": cases,
    });
    Arc::new(Answer(body.to_string()))
}

struct Answer(String);

#[async_trait]
impl Gates for Answer {
    async fn decide(&self, _: &Map<String, Value>) -> Result<GateAnswer, GateError> {
        let body = self.0.clone();
        Ok(GateAnswer { status: 200, body })
    }
}

/// Somebody who remembers the updates of a request.
#[derive(Default)]
struct Heard(Mutex<Vec<Update>>);

#[async_trait]
impl Notifier for Heard {
    async fn updated(&self, record: &Record, update: &Update) {
        // What intake itself writes is no update of a worker.
        if record.work.stage != Stage::Queued {
            let mut updates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            updates.push(update.clone());
        }
    }
}

impl Heard {
    fn in_terms_of(&self, digests: &Digests) -> anyhow::Result<Vec<Value>> {
        let updates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let patches = updates.iter().map(|update| {
            let text = serde_json::to_string(update)?;
            Ok(serde_json::from_str(&digests.to_recorded(&text))?)
        });
        patches.collect()
    }
}

/// What was made.
#[derive(Debug, Default)]
struct Made {
    /// The digests of its list and of what is in it.
    digests: BTreeSet<Digest>,
    /// Labels by architecture.
    labels: BTreeMap<String, BTreeMap<String, String>>,
}

impl Made {
    async fn read(registry: &MemoryRegistry, list: Digest) -> anyhow::Result<Self> {
        let output: PullSpec = OUTPUT.parse()?;
        let repository = output.repository();
        let mut made = Self::default();
        let reference = Reference::Digest(list.clone());
        let raw = registry.manifest(repository, &reference).await?;
        let Resolved::List(entries) = raw.read()? else {
            bail!("{OUTPUT} is no list");
        };
        for entry in entries.manifests {
            let digest = entry.descriptor.digest;
            let config = config_of(registry, repository, &digest).await?;
            let arch = config.architecture().unwrap_or_default().to_owned();
            made.labels.insert(arch, config.labels().clone());
            made.digests.insert(digest);
        }
        made.digests.insert(list);
        Ok(made)
    }

    /// Leaves out labels that are as they were.
    fn leave_out(&mut self, inherited: &BTreeMap<String, String>) {
        for labels in self.labels.values_mut() {
            labels.retain(|name, value| inherited.get(name) != Some(value));
        }
    }

    fn serves_database(&self) -> bool {
        const DATABASE: &str = "operators.operatorframework.io.index.database.v1";
        let mut labels = self.labels.values();
        labels.any(|labels| labels.contains_key(DATABASE))
    }

    /// The names that have changed. Whatever has got something else than was made is told as such.
    fn names(
        &self,
        before: &BTreeMap<String, Digest>,
        after: &BTreeMap<String, Digest>,
    ) -> BTreeSet<String> {
        let changed = after
            .iter()
            .filter(|(name, digest)| before.get(*name) != Some(digest));
        let names = changed.map(|(name, digest)| match self.digests.contains(digest) {
            true => name.clone(),
            false => format!("{name}, which is not the result"),
        });
        names.collect()
    }
}

async fn config_of(
    registry: &MemoryRegistry,
    repository: &Repository,
    image: &Digest,
) -> anyhow::Result<ImageConfig> {
    let reference = Reference::Digest(image.clone());
    let raw = registry.manifest(repository, &reference).await?;
    let Resolved::Image(manifest) = raw.read()? else {
        bail!("{image} is a list in a list");
    };
    let blob = registry.blob(repository, &manifest.config).await?;
    let pieces: Vec<_> = blob.try_collect().await?;
    Ok(ImageConfig::read(&pieces.concat())?)
}

/// The bundles of the result whose property says so as the reference writes it (worker flows §11).
async fn limited_in(registry: &MemoryRegistry, limit: u64) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let index = IndexCopy::fetch(registry, &OUTPUT.parse()?, folder.path(), limit).await?;
    let connection = rusqlite::Connection::open(index.database())?;
    let query = "SELECT operatorbundle_path FROM properties WHERE type = ?1 AND value = '4.8'";
    let mut query = connection.prepare(query)?;
    let images = query.query_map([MAX_VERSION], |row| row.get(0))?;
    Ok(images.collect::<Result<_, _>>()?)
}
