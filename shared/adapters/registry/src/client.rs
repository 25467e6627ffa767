//! The client as the rest of the program sees it.

use std::sync::Arc;

use async_trait::async_trait;
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository};
use iib_ports::{
    Backoff, BlobSource, BlobStream, Keyring, Login, Registries, Registry, RegistryError,
    Transferred,
};

use crate::auth::Authorizer;
use crate::call::Caller;
use crate::pull::pull_blob;
use crate::retry::RetryPolicy;
use crate::target::Target;
use crate::transport::Transport;
use crate::{LoginSearch, RegistryConfig, RegistryInitError};

/// A client for all registries with the service's own identity; made once and shared. Cloning it is
/// cheap and shares connections and tokens. [`Registries::with`] shares connections only.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    caller: Arc<Caller>,
}

impl RegistryClient {
    /// A client with these settings.
    ///
    /// # Errors
    /// [`RegistryInitError`] for settings that cannot be meant, and for auth files that are
    /// there but broken.
    pub fn new(config: RegistryConfig) -> Result<Self, RegistryInitError> {
        if config.attempts == 0 {
            return Err(RegistryInitError::NoAttempts);
        }
        let transport = Arc::new(Transport::new(&config)?);
        let retry = RetryPolicy {
            attempts: config.attempts,
            backoff: Backoff::new(config.backoff_base, config.backoff_cap).with_jitter(1.0),
            retry_after_cap: config.retry_after_cap,
            patience: config.patience,
        };
        let authorizer = Authorizer::new(
            Arc::clone(&transport),
            config.logins,
            config.auth_document,
            config.auth_files,
        )?;
        Ok(Self {
            caller: Arc::new(Caller {
                transport,
                authorizer,
                retry,
            }),
        })
    }

    /// Where a login for a repository is looked for, and what is there. Credential helpers that are
    /// named for it are run.
    ///
    /// # Errors
    /// [`RegistryError`] for auth files that cannot be used.
    pub async fn explain_login(
        &self,
        repository: &Repository,
    ) -> Result<LoginSearch, RegistryError> {
        self.caller.explain_login(&Target::logins(repository)).await
    }

    /// The user name and password for a repository; `None` if there is nothing, or a token in their place.
    ///
    /// # Errors
    /// As [`RegistryClient::explain_login`].
    pub async fn login(&self, repository: &Repository) -> Result<Option<Login>, RegistryError> {
        self.caller.login(&Target::logins(repository)).await
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Registries for RegistryClient {
    fn with(&self, keyring: Keyring) -> Arc<dyn Registry> {
        Arc::new(match keyring {
            Keyring::Own => self.clone(),
            given @ Keyring::Given(_) => Self {
                caller: Arc::new(self.caller.with(given)),
            },
        })
    }

    fn take_transferred(&self) -> Transferred {
        self.caller.transport.counted.take()
    }
}

#[async_trait]
impl Registry for RegistryClient {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        self.caller.pull_manifest(repository, reference).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        pull_blob(&self.caller, repository, descriptor).await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.caller.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.caller.mount_blob(to, from, digest).await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        self.caller.push_blob(repository, descriptor, source).await
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        self.caller.tagged(repository, tag).await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        self.caller
            .push_manifest(repository, reference, manifest)
            .await
    }
}
