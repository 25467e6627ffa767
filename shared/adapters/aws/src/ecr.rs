//! ECR: logins that are made, repositories that are created, layers in parts.

mod host;
mod layer;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::create_repository::CreateRepositoryError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository};
use iib_ports::{
    BlobSource, BlobStream, Clock, Keyring, Login, Registries, Registry, RegistryError,
    RegistryLogins, Secret,
};
use jiff::{SignedDuration, Timestamp};

pub use self::tags::EcrTags;

use self::host::EcrHost;
use crate::Clients;
use crate::failure::source;

/// How long before its end a token is no longer used: an upload that begins with it must be able
/// to end with it.
const RESERVE: SignedDuration = SignedDuration::from_mins(30);
/// How long a token counts whose end is not told; they last twelve hours.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(6);

/// What is ECR, and what may be done there.
#[derive(Debug, Clone, Default)]
pub struct EcrSettings {
    /// Registries that are ECR although their names do not say so: an emulator's.
    pub hosts: BTreeSet<String>,
    /// Whether a repository that is missing is created when something is pushed to it.
    pub create_repositories: bool,
}

/// The service: clients for its regions, tokens, repositories known to exist. Clones share all.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct Ecr {
    clients: Clients,
    settings: Arc<EcrSettings>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By registry: a token is good for the registry of an account in a region.
    tokens: BTreeMap<String, Token>,
    existing: BTreeSet<Repository>,
}

#[derive(Clone)]
struct Token {
    login: Login,
    until: Timestamp,
}

/// ECR gave a token that is none.
#[derive(Debug, thiserror::Error)]
#[error("ECR gave an authorization token of an unknown form")]
struct NoToken;

impl Ecr {
    /// ECR as seen from this process. Nothing is called yet.
    pub fn new(clients: Clients, settings: EcrSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            clients,
            settings: Arc::new(settings),
            clock,
            state: Arc::default(),
        }
    }

    /// What is known of a registry if it is ECR.
    fn host(&self, registry: &str) -> Option<EcrHost> {
        EcrHost::parse(registry)
            .or_else(|| (self.settings.hosts.contains(registry)).then(EcrHost::default))
    }

    fn client(&self, host: &EcrHost) -> Client {
        self.clients.ecr(host.region.as_deref())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in it is right after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch_token(&self, host: &EcrHost) -> Result<Token, Box<dyn Error + Send + Sync>> {
        let answer = self
            .client(host)
            .get_authorization_token()
            .send()
            .await
            .map_err(source)?;
        let data = answer.authorization_data.unwrap_or_default();
        let data = data.into_iter().next().ok_or(NoToken)?;
        let encoded = data.authorization_token.ok_or(NoToken)?;
        let pair = STANDARD.decode(encoded).map_err(|_| NoToken)?;
        let pair = Secret::new(String::from_utf8(pair).map_err(|_| NoToken)?);
        let (user, password) = pair.expose().split_once(':').ok_or(NoToken)?;
        let now = self.clock.now();
        let end = data
            .expires_at
            .and_then(|end| Timestamp::from_second(end.secs()).ok())
            .and_then(|end| end.saturating_sub(RESERVE).ok());
        Ok(Token {
            login: Login {
                user: user.to_owned(),
                password: Secret::new(password),
            },
            until: match end {
                Some(end) => end,
                None => now.saturating_add(TOKEN_LIFE)?,
            },
        })
    }

    /// Creates a repository if it is missing and the settings allow it; once for a process.
    ///
    /// Needs `ecr:CreateRepository`.
    async fn ensure(&self, repository: &Repository) -> Result<(), RegistryError> {
        let Some(host) = self.host(repository.registry()) else {
            return Ok(());
        };
        if !self.settings.create_repositories || self.state().existing.contains(repository) {
            return Ok(());
        }
        let created = self
            .client(&host)
            .create_repository()
            .set_registry_id(host.account.clone())
            .repository_name(repository.path())
            .send()
            .await;
        match created {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(CreateRepositoryError::is_repository_already_exists_exception) =>
            {
                return Err(layer::failed(
                    repository,
                    format!("repository {repository}"),
                    error,
                ));
            }
            Ok(_) | Err(_) => {}
        }
        self.state().existing.insert(repository.clone());
        Ok(())
    }
}

#[async_trait]
impl RegistryLogins for Ecr {
    /// Needs `ecr:GetAuthorizationToken`.
    async fn login(
        &self,
        repository: &Repository,
    ) -> Result<Option<Login>, Box<dyn Error + Send + Sync>> {
        let registry = repository.registry();
        let Some(host) = self.host(registry) else {
            return Ok(None);
        };
        let known = self.state().tokens.get(registry).cloned();
        if let Some(token) = known.filter(|token| token.until > self.clock.now()) {
            return Ok(Some(token.login));
        }
        let token = self.fetch_token(&host).await?;
        let login = token.login.clone();
        self.state().tokens.insert(registry.to_owned(), token);
        Ok(Some(login))
    }
}

/// Clients that know what is different at ECR, one for each identity.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct EcrRegistries {
    inner: Arc<dyn Registries>,
    ecr: Ecr,
}

impl EcrRegistries {
    /// Puts ECR's ways around clients whose own logins come from the same `ecr`.
    pub fn new(inner: Arc<dyn Registries>, ecr: Ecr) -> Self {
        Self { inner, ecr }
    }
}

impl Registries for EcrRegistries {
    fn with(&self, keyring: Keyring) -> Arc<dyn Registry> {
        Arc::new(EcrRegistry::new(self.inner.with(keyring), self.ecr.clone()))
    }
}

/// A registry client that knows what is different at ECR; everything else it leaves to the one
/// inside.
///
/// Blobs are mounted as elsewhere: the pipeline mounts only layers it read from a manifest of the
/// source repository, which are the only ones ECR mounts.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct EcrRegistry {
    inner: Arc<dyn Registry>,
    ecr: Ecr,
}

impl EcrRegistry {
    /// Puts ECR's ways around a client whose logins come from the same `ecr`.
    pub fn new(inner: Arc<dyn Registry>, ecr: Ecr) -> Self {
        Self { inner, ecr }
    }
}

#[async_trait]
impl Registry for EcrRegistry {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        self.inner.manifest(repository, reference).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        self.inner.blob(repository, descriptor).await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.inner.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.ecr.ensure(to).await?;
        self.inner.mount_blob(to, from, digest).await
    }

    /// Large blobs go through ECR's own calls, in parts that are tried again one by one: ECR
    /// loses data of uploads by chunks, and one PUT of a gigabyte begins anew at every fault.
    ///
    /// Needs `ecr:InitiateLayerUpload`, `ecr:UploadLayerPart`, `ecr:CompleteLayerUpload`.
    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        self.ecr.ensure(repository).await?;
        match self.ecr.host(repository.registry()) {
            Some(host) if descriptor.size > layer::PART as u64 => {
                let client = self.ecr.client(&host);
                layer::upload(&client, &host, repository, descriptor, source).await
            }
            Some(_) | None => self.inner.push_blob(repository, descriptor, source).await,
        }
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        self.inner.tagged(repository, tag).await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        self.ecr.ensure(repository).await?;
        self.inner
            .push_manifest(repository, reference, manifest)
            .await
    }
}
