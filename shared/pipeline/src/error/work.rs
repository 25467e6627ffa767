//! What goes wrong on our side.

use iib_oci::PullSpecError;
use iib_oci::layer::PackError;
use iib_ports::{Class, Classify as _, SecretError};

use super::Meaning;

/// Something on our side failed: a user can do nothing about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The setting with the name of results gives none.
    #[error("the setting `image_push_template` does not give the name of an image")]
    OutputName(#[source] PullSpecError),
    /// A file of ours could not be used.
    #[error("a scratch file could not be {action}: is the disk full?")]
    Scratch {
        /// What was tried, as a participle.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The new layer cannot be written.
    #[error("the index layer could not be packed")]
    Pack(#[source] PackError),
    /// The artifact store has other bytes than were sent to it.
    #[error("the artifact store holds {got} where {sent} was written")]
    StoredOther {
        /// What was written.
        sent: String,
        /// What the store reports.
        got: String,
    },
    /// A secret that came with the request cannot be read.
    #[error("a secret of the request cannot be read")]
    Secret(#[source] SecretError),
    /// The stage's time ran out.
    #[error("the work was not done within {0} seconds")]
    Timeout(u32),
    /// A stage before this one left nothing behind.
    #[error("the record lacks what stage {0} should have left in it")]
    Incomplete(&'static str),
    /// A value of ours could not be written as JSON.
    #[error("a JSON document could not be written")]
    Write(#[source] serde_json::Error),
    /// The work panicked; the process's log has where.
    #[error("the work broke off by a fault of this service")]
    Panicked,
    /// A blocking task ended without a result.
    #[error("a computation broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl WorkError {
    pub(super) fn means(&self) -> Meaning {
        let class = match self {
            Self::Scratch { .. } | Self::Timeout(_) => Class::Retry,
            Self::Secret(source) => source.class(),
            Self::Pack(source) if source.is_transient() => Class::Retry,
            Self::OutputName(_)
            | Self::Pack(_)
            | Self::StoredOther { .. }
            | Self::Incomplete(_)
            | Self::Write(_)
            | Self::Panicked
            | Self::BrokenOff(_) => Class::Bug,
        };
        (class, None)
    }
}
