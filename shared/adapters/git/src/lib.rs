#![doc = include_str!("../README.md")]

mod advertisement;
mod branch;
mod fault;
mod objects;
mod packet;
mod remote;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iib_oci::hosts::HostRules;
use iib_ports::{AuthDocument, CatalogBranch, CatalogRepositories, RepositoryError};

use branch::{Branch, Wanted};
use fault::Fault;
use remote::{GitHttp, Remote};
pub use tokens::{TokensError, TokensFile, check_tokens};

/// What [`GitRepositories`] are made from.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct GitConfig {
    /// Who has the tokens: an object of JSON, `name:value` by repository.
    pub tokens: Arc<dyn AuthDocument>,
    /// Which hosts are spoken to, and how.
    pub hosts: HostRules,
    /// What the client of all calls is made of.
    pub client: reqwest::ClientBuilder,
    /// Folder for what is fetched.
    pub scratch: PathBuf,
    /// Most bytes of one fetch.
    pub max_bytes: u64,
    /// How long a server may be silent at most.
    pub patience: Duration,
}

/// Git repositories over HTTP; made once and shared.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct GitRepositories {
    http: GitHttp,
    tokens: Arc<dyn AuthDocument>,
    scratch: PathBuf,
    max_bytes: u64,
}

/// No HTTP client can be set up.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be set up for Git repositories")]
pub struct GitInitError(#[from] reqwest::Error);

impl GitRepositories {
    /// Repositories that are reached with these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// [`GitInitError`].
    pub fn new(config: GitConfig) -> Result<Self, GitInitError> {
        Ok(Self {
            http: GitHttp::new(config.client, config.hosts, config.patience)?,
            tokens: config.tokens,
            scratch: config.scratch,
            max_bytes: config.max_bytes,
        })
    }

    async fn remote(&self, repository: &str) -> Result<Remote, RepositoryError> {
        let (name, value) = tokens::token(&*self.tokens, repository).await?;
        let login = (name.expose(), value.expose());
        Remote::new(&self.http, repository, login).map_err(|fault: Fault| RepositoryError::Fetch {
            repository: repository.to_owned(),
            class: fault.class(),
            source: fault.into(),
        })
    }
}

#[async_trait]
impl CatalogRepositories for GitRepositories {
    async fn fetch(
        &self,
        repository: &str,
        branch: &str,
    ) -> Result<Box<dyn CatalogBranch>, RepositoryError> {
        let remote = self.remote(repository).await?;
        let wanted = Wanted {
            repository,
            branch,
            scratch: &self.scratch,
            limit: self.max_bytes,
        };
        Ok(Box::new(Branch::fetch(remote, wanted).await?))
    }
}
