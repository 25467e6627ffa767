//! Secrets that users hand over with a request.

use std::fmt;

use async_trait::async_trait;
use iib_request::SecretRef;
use jiff::Timestamp;
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Class, Classify};

/// Longest secret, bytes. A `user:password` is far shorter; it is also the most a key of AWS's
/// Key Management Service encrypts by itself.
pub const SECRET_LIMIT: usize = 4096;

/// A text that is never shown, and wiped from memory when it is dropped: the one type for passwords and
/// tokens of every kind.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text in. One that is handed over as a `String` is wiped where it was; of a borrowed one
    /// the caller keeps theirs.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        // Not `SecretString::from(text)`: where that has room to spare, it may move without wiping.
        let secret = Self(SecretString::from(text.as_str()));
        text.zeroize();
        secret
    }

    /// The text itself, for the call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// For tests and lookups of one's own: how long it takes tells how much is equal, so what strangers send
/// is not held against a secret this way.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

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

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_not_shown_and_equals_its_copy() {
        let mut text = String::with_capacity(64);
        text.push_str("hunter2");
        let secret = Secret::new(text);
        assert_eq!(format!("{secret:?}"), "(redacted)");
        assert_eq!(secret.clone(), secret);
        assert_eq!(secret.expose(), "hunter2");
        assert_ne!(secret, Secret::new("hunter3"));
    }
}
