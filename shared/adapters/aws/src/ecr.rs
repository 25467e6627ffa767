//! ECR: logins that are made, repositories that are created, layers in parts.

mod host;
mod layer;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::ProvideErrorMetadata as _;
use aws_sdk_ecr::operation::create_repository::CreateRepositoryError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository};
use iib_ports::{
    BlobSource, BlobStream, Clock, Keyring, Login, Registries, Registry, RegistryError,
    RegistryLogins, Secret, Transferred,
};
use jiff::{SignedDuration, Timestamp};
use tracing::debug;

pub use self::tags::EcrTags;

use self::host::EcrHost;
use crate::Clients;
use crate::failure::{advice, is_denied, source};

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
    /// Registries in which a repository that is missing is created when something is pushed to it:
    /// those of results. What is overwritten elsewhere is there, and other accounts let nobody create.
    pub create_in: BTreeSet<String>,
}

/// The service: clients for its regions, tokens, repositories that were seen to. Clones share all.
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
    /// Repositories that need not be created any more, or may not be.
    settled: BTreeSet<Repository>,
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

    /// Creates a repository if it is missing and the settings allow it; once for a process. A role
    /// that may not create any goes on: the repository may be there, and if it is not, the push says so.
    ///
    /// Needs `ecr:CreateRepository`.
    async fn ensure(&self, repository: &Repository) -> Result<(), RegistryError> {
        let Some(host) = self.host(repository.registry()) else {
            return Ok(());
        };
        if !self.settings.create_in.contains(repository.registry())
            || self.state().settled.contains(repository)
        {
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
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(CreateRepositoryError::is_repository_already_exists_exception) => {
            }
            // The second is what the registry of another account may say.
            Err(error)
                if is_denied(&error) || error.code() == Some("InvalidParameterException") =>
            {
                let said = error.message().unwrap_or_default();
                debug!(%repository, said, "it may not be created");
            }
            Err(error) => {
                return Err(layer::failed(
                    repository,
                    format!("repository {repository}"),
                    error,
                ));
            }
        }
        self.state().settled.insert(repository.clone());
        Ok(())
    }

    /// The error of a call that was sent with the service's own login, with what it means at ECR: which right is
    /// lacking, or that there is no such repository, and the parameter that mends it.
    fn explained(
        &self,
        repository: &Repository,
        access: Access,
        error: RegistryError,
    ) -> RegistryError {
        if self.host(repository.registry()).is_none() {
            return error;
        }
        match (error, access) {
            (
                RegistryError::Denied {
                    registry,
                    what,
                    status: 403,
                    login,
                },
                access,
            ) => RegistryError::Denied {
                registry,
                what,
                status: 403,
                login: format!("{login}; {}", access.advice()),
            },
            (error, Access::Write) => self.missing(repository, error),
            (error, Access::Read) => error,
        }
    }

    /// The error of a call that writes, with what brings about a repository that is not there.
    fn missing(&self, repository: &Repository, error: RegistryError) -> RegistryError {
        let (what, reason) = match error {
            RegistryError::Refused {
                what,
                status: 404,
                reason,
                ..
            } if reason.starts_with("NAME_UNKNOWN") => (what, reason),
            // Of what is uploaded, not of the layer that it is read from elsewhere.
            RegistryError::NotFound { what } if what.ends_with(&format!(" of {repository}")) => {
                (what, "there is no such repository".to_owned())
            }
            other => return other,
        };
        RegistryError::Refused {
            registry: repository.registry().to_owned(),
            what,
            status: 404,
            reason: format!("{reason}; {}", self.creation(repository)),
        }
    }

    /// What brings about a repository that is not there.
    fn creation(&self, repository: &Repository) -> String {
        let create = advice("ecr:CreateRepository");
        match self.settings.create_in.contains(repository.registry()) {
            true => {
                format!(
                    "the function's role lacks ecr:CreateRepository for it, or it is another account's: {create}"
                )
            }
            false => format!("create it, or set what lets push do so: {create}"),
        }
    }
}

/// What a call wants of a repository.
#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl Access {
    /// The rights that the registry's own protocol needs at ECR, and where they come from.
    fn advice(self) -> String {
        let (rights, one) = match self {
            Self::Read => (
                "ecr:BatchGetImage, ecr:BatchCheckLayerAvailability or ecr:GetDownloadUrlForLayer",
                "ecr:BatchGetImage",
            ),
            Self::Write => (
                "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload or ecr:PutImage",
                "ecr:PutImage",
            ),
        };
        format!("at ECR the function's role lacks {rights}: {}", advice(one))
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
        let is_own = matches!(keyring, Keyring::Own);
        Arc::new(EcrRegistry {
            is_own,
            ..EcrRegistry::new(self.inner.with(keyring), self.ecr.clone())
        })
    }

    fn take_transferred(&self) -> Transferred {
        self.inner.take_transferred()
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
    /// Whether calls show the service's own login, whose rights are those of the role.
    is_own: bool,
}

impl EcrRegistry {
    /// Puts ECR's ways around a client whose logins come from the same `ecr`.
    pub fn new(inner: Arc<dyn Registry>, ecr: Ecr) -> Self {
        Self {
            inner,
            ecr,
            is_own: true,
        }
    }

    fn explained<T>(
        &self,
        repository: &Repository,
        access: Access,
        answer: Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        answer.map_err(|error| match self.is_own {
            true => self.ecr.explained(repository, access, error),
            false => error,
        })
    }
}

#[async_trait]
impl Registry for EcrRegistry {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let answer = self.inner.manifest(repository, reference).await;
        self.explained(repository, Access::Read, answer)
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let answer = self.inner.blob(repository, descriptor).await;
        self.explained(repository, Access::Read, answer)
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let answer = self.inner.has_blob(repository, digest).await;
        self.explained(repository, Access::Read, answer)
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
                let uploaded = layer::upload(&client, &host, repository, descriptor, source);
                let uploaded = uploaded.await;
                uploaded.map_err(|error| self.ecr.missing(repository, error))
            }
            Some(_) | None => {
                let answer = self.inner.push_blob(repository, descriptor, source).await;
                self.explained(repository, Access::Write, answer)
            }
        }
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let answer = self.inner.tagged(repository, tag).await;
        self.explained(repository, Access::Read, answer)
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        self.ecr.ensure(repository).await?;
        let answer = self
            .inner
            .push_manifest(repository, reference, manifest)
            .await;
        self.explained(repository, Access::Write, answer)
    }
}
