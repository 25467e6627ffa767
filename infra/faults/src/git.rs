//! Git repositories of indexes, at a real server.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use iib_git::{GitConfig, GitRepositories};
use iib_oci::hosts::{HostRules, HostSettings};
use iib_ports::{AuthDocument, CatalogRepositories, Secret};
use iib_testkit::git_server::GitServer;
use tempfile::TempDir;

use crate::input::TOKEN;

/// The token, as it stands in a header.
const LOGIN: &str = "YW5uOmh1bnRlcjI=";
/// The branch of an index: its tag.
const BRANCH: &str = "v1";
/// What somebody else has in each repository.
const BEFORE: [(&str, &str); 1] = [("README.md", "read me")];
/// Bytes of a repository that are read at most.
const LIMIT: u64 = 16 << 20;
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and a client for all of its repositories.
pub(crate) struct Git {
    server: GitServer,
    tokens: Arc<Tokens>,
    client: Arc<dyn CatalogRepositories>,
    _scratch: TempDir,
}

/// Of the repositories that there are by now.
#[derive(Default)]
struct Tokens(Mutex<BTreeMap<String, &'static str>>);

#[async_trait]
impl AuthDocument for Tokens {
    fn name(&self) -> &str {
        "the fault suite"
    }

    async fn read(&self) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Secret::new(serde_json::to_string(&*tokens)?))
    }
}

impl Git {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let server = GitServer::start(LOGIN).await;
        let (tokens, scratch) = (Arc::<Tokens>::default(), tempfile::tempdir()?);
        let hosts = HostRules::new(&HostSettings {
            plain: BTreeSet::from([server.host().to_owned()]),
            ..HostSettings::default()
        })?;
        let client = GitRepositories::new(GitConfig {
            tokens: tokens.clone(),
            hosts,
            client: reqwest::Client::builder().no_proxy(),
            scratch: scratch.path().to_owned(),
            max_bytes: LIMIT,
            patience: PATIENCE,
        })?;
        Ok(Self {
            server,
            tokens,
            client: Arc::new(client),
            _scratch: scratch,
        })
    }

    pub(crate) fn client(&self) -> Arc<dyn CatalogRepositories> {
        self.client.clone()
    }

    /// Makes the repository of an index, and gives its address.
    pub(crate) fn create(&self, index: &str) -> String {
        let name = name_of(index);
        self.server.create(name, BRANCH, &BEFORE);
        let url = self.url(index);
        let mut tokens = self.tokens.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(url.clone(), TOKEN);
        url
    }

    /// The address of the repository of an index.
    pub(crate) fn url(&self, index: &str) -> String {
        self.server.url(name_of(index))
    }

    /// The first lines of what the commits say that came upon those of before, the newest first.
    pub(crate) fn commits(&self, index: &str) -> Vec<String> {
        let mut subjects = self.server.subjects(name_of(index), BRANCH);
        subjects.pop();
        subjects
    }

    /// The files of the branch.
    pub(crate) fn files(&self, index: &str) -> BTreeMap<String, String> {
        self.server.files(name_of(index), BRANCH)
    }
}

/// The name of a repository, which is that of its index without host and tag.
fn name_of(index: &str) -> &str {
    let path = index.split_once('/').map_or(index, |(_, path)| path);
    path.rsplit_once(':').map_or(path, |(path, _)| path)
}
