//! Errors of the adapter itself. What calls return is [`iib_ports::RegistryError`].

use iib_ports::{Class, Classify};

use crate::AuthFileError;

/// The client could not be made from its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryInitError {
    /// No attempt at all is allowed.
    #[error("the number of attempts for registry calls is 0: set it to at least 1")]
    NoAttempts,
    /// A registry for plain HTTP is not written as host or host:port.
    #[error(
        "insecure registry `{0}` is not a host or host:port: write it as it stands in pull specs, without scheme and path"
    )]
    InsecureRegistry(String),
    /// An auth file is there but cannot be used.
    #[error("the credentials for registries cannot be used")]
    AuthFile(#[from] AuthFileError),
    /// The HTTP client could not be set up, for instance for want of TLS root certificates.
    #[error("the HTTP client for registries could not be set up")]
    Http(#[source] reqwest::Error),
    /// `oci-client` could not be set up.
    #[error("the OCI client for registries could not be set up")]
    Oci(#[source] oci_client::errors::OciDistributionError),
}

impl Classify for RegistryInitError {
    fn class(&self) -> Class {
        match self {
            // All of them are faults of the set-up; no request can cause or mend one.
            Self::NoAttempts
            | Self::InsecureRegistry(_)
            | Self::AuthFile(_)
            | Self::Http(_)
            | Self::Oci(_) => Class::Bug,
        }
    }
}

/// Why one try of a call failed, in a way that may pass. It is the source of
/// [`iib_ports::RegistryError::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A status that asks to try again.
    #[error("{host} answered with status {status}: {reason}")]
    Status {
        /// Who answered.
        host: String,
        /// Status code: 408, 429 or 5xx.
        status: u16,
        /// Code and message of the error document.
        reason: String,
    },
    /// The connection could not be made, or broke.
    #[error("the connection to {host} failed")]
    Connection {
        /// The other end.
        host: String,
        /// The failure, without the URL (which can hold a signature).
        source: reqwest::Error,
    },
    /// An answer without a length ended before all of it had come.
    #[error("{host} ended its answer after {received} of {size} bytes")]
    EndedEarly {
        /// The other end.
        host: String,
        /// Bytes that came, over all tries so far.
        received: u64,
        /// Bytes there should be.
        size: u64,
    },
    /// A login could not be made.
    #[error("no login for the registry could be made")]
    Login(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing came or went for too long.
    #[error("{host} was silent for {} ms", .after.as_millis())]
    Silent {
        /// The other end.
        host: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
}
