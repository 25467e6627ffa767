//! Image registries.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use iib_oci::hosts::HostRefusal;
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository};

use crate::{Class, Classify, Secret};

/// A blob as it comes in. Size and digest are checked on the way: the last item is an error if
/// the content is not what the descriptor promised.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>;

/// Where the bytes of an upload come from. Opened anew for each attempt.
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// Opens the content from its beginning.
    ///
    /// # Errors
    /// [`RegistryError::Source`] if it cannot be read.
    async fn open(&self) -> Result<BlobStream, RegistryError>;
}

/// A small blob that is in memory already.
#[derive(Debug, Clone)]
pub struct InMemory(pub Bytes);

#[async_trait]
impl BlobSource for InMemory {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        Ok(Box::pin(futures::stream::iter([Ok(self.0.clone())])))
    }
}

/// A registry client. Calls retry passing faults themselves, within bounds; what they return is
/// the last word.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Reads a manifest or list, at most [`iib_oci::MANIFEST_LIMIT`] bytes. One asked for by
    /// digest has that digest.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError>;

    /// Opens a blob. Size and digest are checked while it streams.
    ///
    /// # Errors
    /// [`RegistryError`], also as an item of the stream.
    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError>;

    /// Whether a repository that is written to has the blob.
    ///
    /// # Errors
    /// [`RegistryError`], but not for a missing blob.
    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError>;

    /// Makes a blob of `from` visible in `to` without moving bytes. `false` if the registry
    /// would not (other registry, no right, not supported); then the blob is to be uploaded.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError>;

    /// Uploads a blob as one stream, without asking first whether it is there.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError>;

    /// What a tag of a repository that is written to names now; `None` if it is not there.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError>;

    /// Writes a manifest or list under a tag or its digest. A tag that cannot be moved and names
    /// it already is no failure.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError>;
}

/// Taking tags away. Apart from [`Registry`] because only cleaning up may do it.
#[async_trait]
pub trait Tags: Send + Sync {
    /// Removes a tag and leaves the manifest it named, which others may refer to by digest. The
    /// tag need not be there.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError>;
}

/// A user name and password for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Logins that are made rather than kept in a file, asked before the auth files.
#[async_trait]
pub trait RegistryLogins: Send + Sync {
    /// The login for a repository; `None` if this is no registry of theirs.
    ///
    /// # Errors
    /// What went wrong while one was made; a call may be tried again.
    async fn login(
        &self,
        repository: &Repository,
    ) -> Result<Option<Login>, Box<dyn std::error::Error + Send + Sync>>;
}

/// A document of logins that is kept elsewhere than in a file, in the form of docker's
/// `config.json`; asked after [`RegistryLogins`].
#[async_trait]
pub trait AuthDocument: Send + Sync {
    /// Where it is, as its keeper knows it.
    fn name(&self) -> &str;

    /// The document as it is now, or was some minutes ago.
    ///
    /// # Errors
    /// What went wrong; a call may be tried again.
    async fn read(&self) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>>;
}

/// A call to a registry failed. `what` names the thing as the user knows it: a pull spec, or
/// `blob sha256:… of registry/repository`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry has no such thing.
    #[error("{what} does not exist")]
    NotFound {
        /// The thing.
        what: String,
    },
    /// Credentials are missing or wrong (401), or do not suffice (403).
    #[error("{registry} refused access to {what} (status {status}): {login}")]
    Denied {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// Status code.
        status: u16,
        /// Which login was shown, or where one was looked for.
        login: String,
    },
    /// The service's own credentials cannot be read; it was not even asked with them.
    #[error("the service's credentials for {registry} cannot be used")]
    Credentials {
        /// The registry.
        registry: String,
        /// What is wrong with them, and what to do about it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry is overloaded, broken, or cannot be reached; retries did not help.
    #[error("{registry} did not serve {what} {}", tries(*.attempts, *.waited))]
    Unavailable {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// How often it was tried.
        attempts: u32,
        /// How long all of that took.
        waited: Duration,
        /// The last failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry cannot be reached, for a reason that will not pass by itself.
    #[error("{registry} cannot be reached for {what}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// Why, and what helps.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The host, or one it leads to, is none this service speaks to.
    #[error("{registry} is not asked for {what}")]
    HostRefused {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// Which host, why not, and the setting that decides.
        #[source]
        source: HostRefusal,
    },
    /// The registry refused the call for a reason of its own.
    #[error("{registry} refused {what} (status {status}): {reason}")]
    Refused {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// Status code.
        status: u16,
        /// Code and message of the registry's error document, cut to a few hundred characters.
        reason: String,
    },
    /// Content that is not what its digest or size promises.
    #[error("{what} has other content than it should: expected {expected}, got {got}")]
    Mismatch {
        /// The thing.
        what: String,
        /// Digest or size that was promised.
        expected: String,
        /// Digest or size that came.
        got: String,
    },
    /// More than is read of such a thing.
    #[error("{what} is larger than {limit} bytes, which is the most that is read of it")]
    TooLarge {
        /// The thing.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The registry's answer breaks the protocol.
    #[error(
        "{registry} gave an answer for {what} that breaks the distribution protocol: {problem}"
    )]
    Protocol {
        /// The registry.
        registry: String,
        /// The thing.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The content to upload could not be read on our side.
    #[error("the content of {what} could not be read for its upload")]
    Source {
        /// The thing.
        what: String,
        /// The failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How often and how long something was tried. Time below a second says nothing of a wait.
fn tries(attempts: u32, waited: Duration) -> String {
    let s = if attempts == 1 { "" } else { "s" };
    match waited.as_secs() {
        0 => format!("after {attempts} attempt{s}"),
        seconds => format!("after {attempts} attempt{s} in {seconds} s"),
    }
}

impl Classify for RegistryError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Unreachable { .. }
            | Self::HostRefused { .. }
            | Self::Refused { .. }
            | Self::Mismatch { .. }
            | Self::TooLarge { .. } => Class::Reject,
            Self::Unavailable { .. } | Self::Source { .. } => Class::Retry,
            // Somebody has to mend the service's files; the request is not to blame.
            Self::Credentials { .. } | Self::Protocol { .. } => Class::Bug,
        }
    }
}
