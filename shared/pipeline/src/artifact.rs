//! Files instead of calls: request documents and uploads that appear in the store of artifacts.
//!
//! Whoever may write there may ask: writing is the authentication, whether or not calls need a
//! login. Where the store says who wrote, that is the request's user; where it does not, a document
//! counts as sent by nobody in particular. What became of a document is
//! written beside it, below `results/`; then the document goes. An event may come twice, and an
//! attempt may end anywhere.

mod fragments;
mod inbox;
mod inspect;
mod upload;

use bytes::Bytes;
use futures::{StreamExt, stream};
use iib_ports::{ArtifactError, ArtifactKey, ArtifactRoot, Class, Classify, StoreError, TRACE};
use serde_json::Value;
use tracing::{debug, instrument, warn};

use crate::intake::{IntakeDeps, IntakeError};

/// What handling files works with.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct ArtifactDeps {
    /// What taking requests in works with: documents go the same way as calls.
    pub intake: IntakeDeps,
    /// Largest upload of a bundle, bytes, packed as well as unpacked.
    pub max_bundle_bytes: u64,
}

impl From<crate::Deps> for ArtifactDeps {
    fn from(deps: crate::Deps) -> Self {
        Self {
            max_bundle_bytes: deps.work.max_bundle_bytes,
            intake: deps.into(),
        }
    }
}

/// A file has appeared, or has other content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// The bucket it is in.
    pub bucket: String,
    /// Its name, decoded.
    pub key: String,
    /// Its size in bytes, as far as it was told.
    pub size: Option<u64>,
    /// Tells this content from earlier ones of the same name.
    pub version: String,
    /// Who wrote it, as the store names them; a folder does not know.
    pub principal: Option<String>,
}

/// A file could not be handled now; the event is to come again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactFault {
    /// The store of artifacts failed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The store of requests failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request of a document could not be taken in.
    #[error("the request of a document could not be taken in")]
    Intake(#[source] IntakeError),
    /// Somebody wrote other content while the upload was handled.
    #[error("the upload {0} changed while it was read")]
    Changed(ArtifactKey),
    /// A value of ours could not be written as JSON.
    #[error("a result could not be written")]
    Write(#[source] serde_json::Error),
    /// Looking at an upload panicked.
    #[error("looking at an upload broke off by a fault of this service")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl Classify for ArtifactFault {
    fn class(&self) -> Class {
        match self {
            Self::Artifact(source) => source.class(),
            Self::Store(source) => source.class(),
            Self::Intake(source) => source.class(),
            Self::Changed(_) => Class::Retry,
            Self::Write(_) | Self::BrokenOff(_) => Class::Bug,
        }
    }
}

/// Handles a file. What is wrong with the file itself is told in a result, and is no error here.
///
/// # Errors
/// [`ArtifactFault`], never of the class Reject: the event is to come again.
#[instrument(target = TRACE, name = "file", skip_all)]
pub async fn run(deps: &ArtifactDeps, created: &ObjectCreated) -> Result<(), ArtifactFault> {
    let Ok(key) = created.key.parse::<ArtifactKey>() else {
        // Nothing can be done with it by this name, not even removing it.
        warn!(key = created.key, "a file with a name that cannot be used");
        return Ok(());
    };
    match key.root() {
        ArtifactRoot::Inbox => inbox::handle(deps, created, &key).await,
        ArtifactRoot::Uploads => upload::handle(deps, created, &key).await,
        // What the service itself writes.
        ArtifactRoot::Results | ArtifactRoot::Work | ArtifactRoot::Kept => {
            debug!(%key, "nothing to do");
            Ok(())
        }
    }
}

/// Writes what became of a file, and removes the file.
async fn answer(
    deps: &ArtifactDeps,
    file: &ArtifactKey,
    result: Option<ArtifactKey>,
    document: &Value,
) -> Result<(), ArtifactFault> {
    match result {
        Some(result) => {
            let bytes = serde_json::to_vec(document).map_err(ArtifactFault::Write)?;
            let content = stream::iter([Ok(Bytes::from(bytes))]).boxed();
            deps.intake.artifacts.put(&result, content).await?;
        }
        // The file's name is as long as names may be.
        None => warn!(%file, %document, "its result has no name"),
    }
    deps.intake.artifacts.delete(file).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
