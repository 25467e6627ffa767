//! Asking whether a bundle may be released.

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{Class, Classify};

/// What decides whether bundles may be released, as Greenwave does (worker flows §12).
#[async_trait]
pub trait Gates: Send + Sync {
    /// Asks for a decision. Whatever is answered comes back, refusals too: what it means is a matter of rules.
    ///
    /// # Errors
    /// [`GateError`] if nothing was answered, or more than is read.
    async fn decide(&self, question: &Map<String, Value>) -> Result<GateAnswer, GateError>;
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateAnswer {
    /// The status.
    pub status: u16,
    /// The body, in UTF-8 with what is none replaced.
    pub body: String,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// It could not be asked, or the answer broke off.
    #[error("{url} cannot be asked")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is larger than is read.
    #[error("{url} answered more than {limit} bytes")]
    TooLong {
        /// Its address.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Classify for GateError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Retry,
            Self::TooLong { .. } => Class::Reject,
        }
    }
}
