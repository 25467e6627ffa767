//! Who somebody is, by a token of an issuer that both trust.

use std::error::Error;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{Class, Classify};

/// Verifies tokens that callers show (RFC 6750).
#[async_trait]
pub trait Tokens: Send + Sync {
    /// What the issuer says of whoever shows this token: its claims.
    ///
    /// # Errors
    /// [`TokenError`]. None of its texts has the token in it.
    async fn claims(&self, token: &str) -> Result<Map<String, Value>, TokenError>;
}

/// A token says nothing about anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is none, not from the issuer, not for us, or its time is over.
    #[error("the token is not accepted: {0}")]
    Refused(String),
    /// It lets its user do other things than this.
    #[error("the token is not accepted: it has none of the scopes {0}")]
    Scope(String),
    /// The issuer's keys cannot be had.
    #[error("the keys of the issuer {issuer} cannot be read")]
    NoKeys {
        /// The issuer.
        issuer: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Classify for TokenError {
    fn class(&self) -> Class {
        match self {
            Self::Refused(_) | Self::Scope(_) => Class::Reject,
            Self::NoKeys { .. } => Class::Retry,
        }
    }
}
