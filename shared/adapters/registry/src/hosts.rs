//! Which hosts are spoken to how.

use std::collections::BTreeSet;

use iib_oci::Repository;
use oci_client::Reference;
use url::Url;

use crate::RegistryInitError;

/// The hosts for which plain HTTP is allowed. For all others it is TLS.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    plain: BTreeSet<String>,
}

impl Hosts {
    /// # Errors
    /// [`RegistryInitError::InsecureRegistry`] for a name with a scheme, a path or user names.
    pub(crate) fn new(plain: BTreeSet<String>) -> Result<Self, RegistryInitError> {
        for name in &plain {
            // The path of a repository is immaterial here; the type checks the host.
            if Repository::new(name, "x").is_err() {
                return Err(RegistryInitError::InsecureRegistry(name.clone()));
            }
        }
        Ok(Self { plain })
    }

    /// Where the registry says what it asks for: the API's own address.
    pub(crate) fn base(&self, repository: &Repository) -> Option<Url> {
        self.api(repository)?.join("/v2/").ok()
    }

    /// Where the registry's API for this repository begins, with a slash at the end.
    /// `None` if the registry's name cannot be a host.
    pub(crate) fn api(&self, repository: &Repository) -> Option<Url> {
        let host = api_host(repository);
        let scheme = if self.plain.contains(repository.registry()) || self.plain.contains(&host) {
            "http"
        } else {
            "https"
        };
        Url::parse(&format!("{scheme}://{host}/v2/{}/", repository.path())).ok()
    }

    /// Whether a URL that a registry handed out may be followed: TLS always, plain HTTP only to
    /// hosts the configuration names.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => url.has_host(),
            "http" => url.host_str().is_some_and(|host| {
                let port = url.port_or_known_default().unwrap_or_default();
                self.plain.contains(&format!("{host}:{port}"))
                    || (port == 80 && self.plain.contains(host))
            }),
            _ => false,
        }
    }
}

/// The host that serves the API. Only Docker Hub's differs from the registry's name, which
/// `oci-client` knows.
fn api_host(repository: &Repository) -> String {
    let reference = Reference::with_tag(
        repository.registry().to_owned(),
        repository.path().to_owned(),
        String::new(),
    );
    reference.resolve_registry().to_owned()
}

/// Same scheme, host and port: what credentials are good for.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Hosts {
        Hosts::new(names.iter().map(|n| (*n).to_owned()).collect()).unwrap()
    }

    #[test]
    fn plain_http_is_only_for_hosts_that_are_named_exactly() {
        let hosts = hosts(&["r.example:5000", "plain.example"]);
        for (url, allowed) in [
            ("http://r.example:5000/x", true),
            ("http://r.example:5001/x", false),
            ("http://r.example/x", false),
            ("http://plain.example/x", true),
            ("http://plain.example:80/x", true),
            ("http://sub.plain.example/x", false),
            ("https://anything.example/x", true),
            ("ftp://plain.example/x", false),
            ("data:text/plain,x", false),
        ] {
            assert_eq!(hosts.allow(&Url::parse(url).unwrap()), allowed, "{url}");
        }
    }

    #[test]
    fn the_api_is_where_the_registry_is_and_docker_hubs_is_elsewhere() {
        let hosts = hosts(&["r.example:5000"]);
        for (registry, api) in [
            ("r.example:5000", "http://r.example:5000/v2/a/b/"),
            ("r.example", "https://r.example/v2/a/b/"),
            ("docker.io", "https://index.docker.io/v2/a/b/"),
        ] {
            let repository = Repository::new(registry, "a/b").unwrap();
            assert_eq!(hosts.api(&repository).unwrap().as_str(), api);
        }
    }

    #[test]
    fn an_insecure_registry_with_a_scheme_or_path_is_refused() {
        for name in ["http://r.example", "r.example/x", "", "user@r.example"] {
            let names = BTreeSet::from([name.to_owned()]);
            let error = Hosts::new(names).unwrap_err();
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }
}
