//! Whether a repository has a blob.

use iib_oci::{Digest, Repository};
use iib_ports::RegistryError;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use reqwest::{Method, StatusCode};

use crate::RegistryConfig;
use crate::auth::{Authorization, AuthorizationKind};
use crate::call::Caller;
use crate::hosts::Hosts;
use crate::refusal;
use crate::retry::Failure;
use crate::target::Target;
use crate::transport::{Outgoing, Redirects, USER_AGENT};

/// Asks with `oci-client`.
pub(crate) struct Presence {
    client: oci_client::Client,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    pub(crate) fn new(
        config: &RegistryConfig,
        hosts: &Hosts,
    ) -> Result<Self, OciDistributionError> {
        let client = oci_client::Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(hosts.plain().cloned().collect()),
            connect_timeout: Some(config.connect_timeout),
            read_timeout: Some(config.idle_timeout),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        })?;
        Ok(Self { client })
    }

    async fn ask(
        &self,
        repository: &Repository,
        digest: &Digest,
        authorization: Option<&Authorization>,
    ) -> Result<bool, OciDistributionError> {
        let reference = Reference::with_digest(
            repository.registry().to_owned(),
            repository.path().to_owned(),
            digest.to_string(),
        );
        if let Some(authorization) = authorization {
            // The client looks for a token only once it knows of some authentication; with a
            // bearer one it never starts a token exchange of its own, which has no bounds.
            let known = match &authorization.kind {
                AuthorizationKind::Basic { .. } => RegistryAuth::Anonymous,
                AuthorizationKind::Bearer(token) => RegistryAuth::Bearer(token.expose().to_owned()),
            };
            self.client
                .store_auth_if_needed(reference.resolve_registry(), &known)
                .await;
            self.client
                .tokens
                .insert(
                    &reference,
                    RegistryOperation::Pull,
                    authorization.kind.to_oci(),
                )
                .await;
        }
        self.client.blob_exists(&reference, digest.as_str()).await
    }
}

impl Caller {
    /// See [`iib_ports::Registry::has_blob`]. A plain yes or no comes from `oci-client`. Its
    /// errors do not carry what a registry asks for (`WWW-Authenticate`, `Retry-After`), so on
    /// any of them the question is put again with a request of our own.
    pub(crate) async fn has_blob(
        &self,
        presence: &Presence,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let target = Target::blob(repository, digest);
        if let Ok(authorization) = self.authorizer.current(&target).await
            && let Ok(there) = presence
                .ask(repository, digest, authorization.as_ref())
                .await
        {
            return Ok(there);
        }
        let mut outgoing =
            Outgoing::new(Method::HEAD, self.url(&target, &format!("blobs/{digest}"))?);
        outgoing.redirects = Redirects::Follow;
        self.with_retry(&target, || self.head_once(&target, &outgoing))
            .await
    }

    async fn head_once(&self, target: &Target, outgoing: &Outgoing) -> Result<bool, Failure> {
        let response = self.attempt(target, outgoing).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(refusal::failure(target, response).await),
        }
    }
}
