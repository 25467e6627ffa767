//! How a broker is reached.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iib_ports::Secret;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;
use url::Url;

/// How a broker is reached, and what is told to it.
#[derive(Clone)]
pub struct BrokerSettings {
    /// Addresses, `amqps://host:port` or `amqp://host:port`, tried in this order.
    pub urls: Vec<Url>,
    /// Where messages about requests go, as the broker names it; nowhere: none are sent.
    pub requests_to: Option<String>,
    /// Where messages about batches go.
    pub batches_to: Option<String>,
    /// Whether the broker is to keep messages through a restart.
    pub durable: bool,
    /// How long it may take to connect, and to confirm a message.
    pub timeout: Duration,
    /// Certificates.
    pub tls: TlsFiles,
    /// User and password, if it asks for them.
    pub login: Option<BrokerLogin>,
}

/// Certificates and a key, as PEM.
#[derive(Clone, Default)]
pub struct TlsFiles {
    /// Authorities that are trusted; without any the system's are.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and those between it and an authority.
    pub certificate: Option<Vec<u8>>,
    /// Its key.
    pub key: Option<Secret>,
}

/// A user of a broker.
#[derive(Debug, Clone)]
pub struct BrokerLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A broker cannot be spoken to with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerInitError {
    /// A file is not what it should be.
    #[error("the {what} for the message broker is no PEM, or has none in it")]
    Pem {
        /// Which.
        what: &'static str,
    },
    /// One of two that go together is missing.
    #[error("the certificate for the message broker and its key go together: set both or none")]
    Half,
    /// The login is none.
    #[error(
        "the login for the message broker has to have a user and a password; as a file (messaging.login_file) one line, `user:password`"
    )]
    Login,
    /// Nobody may see the password on its way.
    #[error("{0} would get the password in clear: use amqps")]
    InClear(Url),
    /// Certificates that are shown to nobody.
    #[error(
        "certificates are for amqps, and all brokers are spoken to without TLS: use amqps, or give no certificates"
    )]
    WithoutTls,
    /// The certificates cannot be used.
    #[error("the certificates for the message broker cannot be used")]
    Tls(#[from] rustls::Error),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl fmt::Debug for BrokerSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BrokerSettings")
            .field("urls", &self.urls)
            .field("requests_to", &self.requests_to)
            .field("batches_to", &self.batches_to)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TlsFiles")
    }
}

const CAS: &str = "certificates of authorities";

impl BrokerSettings {
    /// Whether it shows a certificate of its own.
    pub(crate) fn has_certificate(&self) -> bool {
        self.tls.certificate.is_some()
    }

    /// Whether all of it goes together.
    pub(crate) fn check(&self) -> Result<(), BrokerInitError> {
        if let Some(login) = &self.login {
            if login.user.is_empty() || login.password.expose().is_empty() {
                return Err(BrokerInitError::Login);
            }
            let open = |url: &&Url| url.scheme() == "amqp" && !is_loopback(url);
            if let Some(url) = self.urls.iter().find(open) {
                return Err(BrokerInitError::InClear(url.clone()));
            }
        }
        let is_plain = self.urls.iter().all(|url| url.scheme() == "amqp");
        match is_plain && (self.tls.ca.is_some() || self.tls.certificate.is_some()) {
            true => Err(BrokerInitError::WithoutTls),
            false => Ok(()),
        }
    }

    pub(crate) fn tls_connector(&self) -> Result<Option<TlsConnector>, BrokerInitError> {
        if self.urls.iter().all(|url| url.scheme() != "amqps") {
            return Ok(None);
        }
        let mut roots = rustls::RootCertStore::empty();
        match &self.tls.ca {
            Some(pem) => {
                // Collections of a system have some that are not understood.
                let found = certificates(pem, CAS)?;
                if let (0, _) = roots.add_parsable_certificates(found) {
                    return Err(BrokerInitError::Pem { what: CAS });
                }
            }
            None => {
                // One that cannot be read is one that is not trusted.
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match (&self.tls.certificate, &self.tls.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "certificate")?;
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
                let key = key.map_err(|_| BrokerInitError::Pem { what: "key" })?;
                config.with_client_auth_cert(chain, key)?
            }
            _ => return Err(BrokerInitError::Half),
        };
        Ok(Some(Arc::new(config).into()))
    }
}

/// Of schemes that it does not know the URL says nothing about addresses.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, BrokerInitError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or(BrokerInitError::Pem { what })
}
