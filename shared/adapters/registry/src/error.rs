//! Errors of the adapter itself. What calls return is [`iib_ports::RegistryError`].

use std::error::Error;
use std::io;

use iib_oci::hosts::HostNameError;
use iib_outward::OutwardError;
use iib_ports::{Class, Classify};
use rustls::CertificateError;

use crate::AuthFileError;

/// The client could not be made from its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryInitError {
    /// No attempt at all is allowed.
    #[error("the number of attempts for registry calls is 0: set it to at least 1")]
    NoAttempts,
    /// A host in the settings cannot be read.
    #[error(transparent)]
    HostName(#[from] HostNameError),
    /// An auth file is there but cannot be used.
    #[error("the credentials for registries cannot be used")]
    AuthFile(#[from] AuthFileError),
    /// The HTTP client could not be set up, for instance for want of TLS root certificates.
    #[error(
        "the HTTP client for registries could not be set up: check what SSL_CERT_FILE and SSL_CERT_DIR name, if they are set"
    )]
    Http(#[source] reqwest::Error),
    /// The way to other hosts cannot be taken as the environment has it.
    #[error(transparent)]
    Outward(#[from] OutwardError),
}

impl Classify for RegistryInitError {
    fn class(&self) -> Class {
        match self {
            // All of them are faults of the set-up; no request can cause or mend one.
            Self::NoAttempts
            | Self::HostName(_)
            | Self::AuthFile(_)
            | Self::Http(_)
            | Self::Outward(_) => Class::Bug,
        }
    }
}

/// Why one try of a call failed. It is the source of [`iib_ports::RegistryError::Unavailable`],
/// or, where no other try can change it, of [`iib_ports::RegistryError::Unreachable`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A status that asks to try again.
    #[error("{host} answered with status {status}: {reason}")]
    Status {
        /// Who answered.
        host: String,
        /// Status code: 408, 429, 5xx, or that of a refusal which passes.
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
    /// The other end speaks no TLS.
    #[error(
        "{host} does not speak TLS but, it seems, plain HTTP: if that is meant, name it in IIB_INSECURE_REGISTRIES"
    )]
    PlainHttp {
        /// The other end.
        host: String,
    },
    /// Nobody we trust vouches for the certificate.
    #[error(
        "the certificate of {host} is signed by an authority unknown here: name the file with the authority's certificate in IIB_CA_FILE, which adds it to those that the system trusts (SSL_CERT_FILE and SSL_CERT_DIR name others in their place)"
    )]
    UnknownAuthority {
        /// The other end.
        host: String,
    },
    /// The certificate is not good for another reason.
    #[error(
        "the certificate of {host} is not accepted ({problem}): the registry needs another one; if its authority is the trouble, name the file with that one's certificate in IIB_CA_FILE"
    )]
    Certificate {
        /// The other end.
        host: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The proxy asks for another login.
    #[error(
        "{host} is not reached: the proxy wants a login, or another one (status 407); put user and password into its URL in HTTPS_PROXY"
    )]
    ProxyLogin {
        /// The other end, with the proxy.
        host: String,
    },
    /// The name of the host is unknown.
    #[error(
        "no address is known for the name of {host}: check its spelling; if only a proxy can reach it, name that in HTTPS_PROXY"
    )]
    UnknownHost {
        /// The other end.
        host: String,
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
    #[error("{host} was silent for {:.1} seconds", .after.as_secs_f64())]
    Silent {
        /// The other end.
        host: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
}

impl Fault {
    /// Sorts an error of the HTTP client; what it says of the URL is left out, which can hold a
    /// signature.
    pub(crate) fn of_connection(error: reqwest::Error, host: String) -> Self {
        for cause in causes(&error) {
            match cause.downcast_ref::<rustls::Error>() {
                Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                    return Self::UnknownAuthority { host };
                }
                Some(rustls::Error::InvalidCertificate(problem)) => {
                    let problem = certificate_problem(problem);
                    return Self::Certificate { host, problem };
                }
                // What came in place of a TLS record is none.
                Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                    return Self::PlainHttp { host };
                }
                _ => {}
            }
            if is_unknown_name(cause) {
                return Self::UnknownHost { host };
            }
            // The HTTP client has no type for it.
            if cause.to_string() == "proxy authorization required" {
                return Self::ProxyLogin { host };
            }
        }
        Self::Connection {
            host,
            source: error.without_url(),
        }
    }

    /// Whether another try would end the same.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::PlainHttp { .. }
            | Self::UnknownAuthority { .. }
            | Self::Certificate { .. }
            | Self::ProxyLogin { .. }
            | Self::UnknownHost { .. } => true,
            Self::Status { .. }
            | Self::Connection { .. }
            | Self::EndedEarly { .. }
            | Self::Login(_)
            | Self::Silent { .. } => false,
        }
    }
}

/// What is wrong with a certificate, in words.
fn certificate_problem(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host".to_owned()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is that of an authority, and no server may show such a one".to_owned()
        }
        other => other.to_string(),
    }
}

/// An error and its causes. What an `io::Error` wraps is none of its causes, but is one here.
pub(crate) fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The resolver's answer that there is no such name. That it cannot tell now is another answer,
/// and passes. The standard library keeps the code to itself, so its text is looked at.
fn is_unknown_name(error: &(dyn Error + 'static)) -> bool {
    let Some(error) = error.downcast_ref::<io::Error>() else {
        return false;
    };
    let text = error.to_string();
    text.contains("failed to lookup address information") && !text.contains("emporary failure")
}
