//! Where the API of a registry is.

use iib_oci::Repository;
use iib_oci::hosts::HostRules;
use oci_client::Reference;
use url::Url;

/// Where the registry says what it asks for: the API's own address.
pub(crate) fn base(rules: &HostRules, repository: &Repository) -> Option<Url> {
    api(rules, repository)?.join("/v2/").ok()
}

/// Where the registry's API for this repository begins, with a slash at the end.
/// `None` if the registry's name cannot be a host.
pub(crate) fn api(rules: &HostRules, repository: &Repository) -> Option<Url> {
    let host = api_host(repository);
    let plain = rules.is_plain(repository.registry()) || rules.is_plain(&host);
    let scheme = if plain { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{host}/v2/{}/", repository.path())).ok()
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
    use iib_oci::hosts::HostSettings;

    use super::*;

    #[test]
    fn the_api_is_where_the_registry_is_and_docker_hubs_is_elsewhere() {
        let rules = HostRules::new(&HostSettings {
            plain: ["r.example:5000".to_owned()].into(),
            ..HostSettings::default()
        })
        .unwrap();
        for (registry, api_url) in [
            ("r.example:5000", "http://r.example:5000/v2/a/b/"),
            ("r.example", "https://r.example/v2/a/b/"),
            ("docker.io", "https://index.docker.io/v2/a/b/"),
        ] {
            let repository = Repository::new(registry, "a/b").unwrap();
            assert_eq!(api(&rules, &repository).unwrap().as_str(), api_url);
        }
    }
}
