#![doc = include_str!("../README.md")]

mod proxies;

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};

pub use proxies::{Proxies, ProxyError};

/// Largest file with certificates that is read, bytes. All that a system trusts is a quarter of that.
const LIMIT: u64 = 1 << 20;

/// The way to other hosts.
#[derive(Debug, Clone, Default)]
pub struct Outward {
    proxies: Proxies,
    authorities: Vec<Certificate>,
}

/// The way to other hosts cannot be taken as the settings have it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutwardError {
    /// The proxies of the environment cannot be read.
    #[error(transparent)]
    Proxies(#[from] ProxyError),
    /// The file with certificates cannot be read.
    #[error("the certificates in {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is in the file are no certificates.
    #[error(
        "{} {problem}: it is to have certificates of authorities as PEM, one after another, each from BEGIN CERTIFICATE to END CERTIFICATE",
        path.display()
    )]
    NoCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Outward {
    /// Through the proxies of this process's environment, trusting the authorities in this file, too.
    ///
    /// # Errors
    /// [`OutwardError`].
    pub fn new(ca_file: Option<&Path>) -> Result<Self, OutwardError> {
        Ok(Self {
            proxies: Proxies::of_environment()?,
            authorities: match ca_file {
                Some(file) => authorities(file)?,
                None => Vec::new(),
            },
        })
    }

    /// Through these proxies, trusting whom the system trusts.
    pub fn through(proxies: Proxies) -> Self {
        Self {
            proxies,
            authorities: Vec::new(),
        }
    }

    /// The proxies.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// A client to be that goes this way. Certificates are looked at when it is built.
    pub fn client(&self) -> ClientBuilder {
        let proxy = self.proxies.clone().into_reqwest();
        self.trusting(reqwest::Client::builder()).proxy(proxy)
    }

    /// The same past all proxies.
    pub fn direct(&self) -> ClientBuilder {
        self.trusting(reqwest::Client::builder()).no_proxy()
    }

    fn trusting(&self, client: ClientBuilder) -> ClientBuilder {
        match self.authorities.is_empty() {
            true => client,
            false => client.tls_certs_merge(self.authorities.iter().cloned()),
        }
    }
}

/// The certificates in a file. Each is looked at, so that a broken one is told at once and not by a host that is not
/// trusted.
fn authorities(file: &Path) -> Result<Vec<Certificate>, OutwardError> {
    use std::io::Read as _;

    let read = || {
        let mut pem = Vec::new();
        let content = std::fs::File::open(file)?;
        content.take(LIMIT + 1).read_to_end(&mut pem)?;
        Ok(pem)
    };
    let pem = read().map_err(|source| OutwardError::File {
        path: file.to_owned(),
        source,
    })?;
    let none = |problem: String| OutwardError::NoCertificates {
        path: file.to_owned(),
        problem,
    };
    if pem.len() as u64 > LIMIT {
        return Err(none(format!("has more than {LIMIT} bytes")));
    }
    let found = Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| none(format!("cannot be understood ({error})")))?;
    if found.is_empty() {
        return Err(none("has no certificate".to_owned()));
    }
    let client = reqwest::Client::builder().tls_certs_only(found.iter().cloned());
    if let Err(error) = client.build() {
        let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        return Err(none(format!(
            "has a certificate that cannot be used ({cause})"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(content: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, content).unwrap();
        authorities(&file).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for (content, problem) in [
            ("", "has no certificate"),
            ("words", "has no certificate"),
            (broken, "cannot be used"),
            (cut, ""),
        ] {
            let text = told(content);
            assert!(text.contains(problem), "{text}");
            assert!(text.contains("ca.pem"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let error = Outward::new(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
