//! Secrets that users hand over with a request.

use std::fmt;

use async_trait::async_trait;
use iib_request::SecretRef;
use jiff::Timestamp;

use crate::{Class, Classify};

/// Longest secret, bytes. A `user:password` is far shorter; it is also the most a key of AWS's
/// Key Management Service encrypts by itself.
pub const SECRET_LIMIT: usize = 4096;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Where secrets of requests are while the requests go on. Records and messages carry references
/// only.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Keeps a secret until `expires`, or somewhat longer.
    ///
    /// # Errors
    /// [`SecretError`].
    async fn keep(&self, secret: &Secret, expires: Timestamp) -> Result<SecretRef, SecretError>;

    /// Reads a secret; `None` if it was forgotten or never kept.
    ///
    /// # Errors
    /// [`SecretError`].
    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError>;

    /// Forgets a secret; it need not be there.
    ///
    /// # Errors
    /// [`SecretError`].
    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError>;
}

/// A secret could not be kept, read or forgotten. No variant holds any of its text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// More than is kept.
    #[error("a secret has {size} bytes; at most {SECRET_LIMIT} are kept: send a shorter one")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// What is stored is no secret of ours, or was altered.
    #[error("the stored secret cannot be read: send the request again")]
    Altered,
    /// The store failed.
    #[error("the store of secrets could not {action}")]
    Unavailable {
        /// What was tried, as a verb.
        action: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for SecretError {
    fn class(&self) -> Class {
        match self {
            Self::TooLarge { .. } | Self::Altered => Class::Reject,
            Self::Unavailable { .. } => Class::Retry,
        }
    }
}
