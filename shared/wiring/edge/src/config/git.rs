//! The Git repositories of indexes, which are made of several settings.

use iib_oci::hosts::{Addresses, HostNameError, HostRefusal, HostRules, HostSettings};
use iib_request::branch_of;
use url::Url;

use super::Config;
use super::origin::Faults;

const PLACE: &str = "work.git_repositories";

/// Each index is named without a tag, each repository has an address that may be spoken to, and somebody has tokens.
pub(super) fn check(config: &Config, faults: &mut Faults) {
    let work = &config.work;
    // Its own faults are told with its group.
    let rules = config.git_host_rules(Addresses::Any).ok();
    for (index, repository) in &work.git_repositories {
        if index.is_empty() || index.contains('@') || branch_of(index).is_some() {
            let text = format!(
                "`{index}` is no index without its tag: write registry/namespace/repository"
            );
            faults.of_value(PLACE, text);
        }
        // Nothing there: the index has none, as in today's service.
        if repository.is_empty() {
            continue;
        }
        let Some(url) = address(repository) else {
            // What stands there may be a login, so it is not told.
            let text = format!(
                "`{index}` has no address of a Git repository: write it as https://host/path.git, without a login"
            );
            faults.of_value(PLACE, text);
            continue;
        };
        let refused = rules.as_ref().and_then(|rules| rules.check(&url).err());
        if let Some(HostRefusal::PlainHttp { host }) = refused {
            let text = format!(
                "`{repository}` would be spoken to over plain HTTP, and the token with it: write https, or name {host} in registries.insecure if that is meant"
            );
            faults.of_value(PLACE, text);
        }
    }
    let has_tokens = work.git_tokens_file.is_some() || !config.aws.git_tokens_secret.is_empty();
    if work.git_repositories.values().any(|name| !name.is_empty()) && !has_tokens {
        let text = "they need tokens: name the file with them in work.git_tokens_file (on AWS the secret in aws.git_tokens_secret)";
        faults.of_value(PLACE, text);
    }
}

/// The address of a repository.
fn address(repository: &str) -> Option<Url> {
    let url = Url::parse(repository).ok()?;
    let has_login = !url.username().is_empty() || url.password().is_some();
    let has_more = url.query().is_some() || url.fragment().is_some();
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_http && !has_login && !has_more && url.path().len() > 1).then_some(url)
}

impl Config {
    /// Which hosts Git repositories may be at: those of the settings' repositories, and those that are spoken to
    /// anyway.
    ///
    /// # Errors
    /// [`HostNameError`] for settings that were not checked.
    pub fn git_host_rules(&self, addresses: Addresses) -> Result<HostRules, HostNameError> {
        let repositories = self.work.git_repositories.values();
        let urls = repositories.filter_map(|repository| address(repository));
        let hosts = urls.filter_map(|url| {
            let host = url.host_str()?;
            Some(match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            })
        });
        HostRules::new(&HostSettings {
            allowed: self.registries.allowed.clone(),
            plain: self.registries.insecure.clone(),
            own: hosts.collect(),
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::vars;
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        Config::load(None, &vars(variables)).map_err(|error| error.to_string())
    }

    #[test]
    fn repositories_have_addresses_and_somebody_has_tokens() {
        let map = r#"{"r.example/team/index": "https://git.example/team/catalog.git", "r.example/old": ""}"#;
        let file = ("IIB_GIT_TOKENS_FILE", "/etc/iib/tokens");
        let taken = load(&[("IIB_INDEX_TO_GITLAB_PUSH_MAP", map), file]).unwrap();
        assert_eq!(taken.work.git_repositories.len(), 2);
        let rules = taken.git_host_rules(Addresses::OnlyOutside).unwrap();
        let url = Url::parse("https://git.example/team/catalog.git").unwrap();
        assert!(!rules.minds_address(&url));
        let told = load(&[("IIB_INDEX_TO_GITLAB_PUSH_MAP", map)]).unwrap_err();
        assert!(told.contains("they need tokens"), "{told}");
        load(&[("IIB_GIT_TOKENS_FILE", "/etc/iib/tokens")]).unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_login_is() {
        let map = r#"{
            "r.example/tagged:v1": "https://git.example/a.git",
            "r.example/login": "https://ann:hunter2@git.example/a.git",
            "r.example/ssh": "git@git.example:a.git",
            "r.example/plain": "http://git.example/a.git"
        }"#;
        let told = load(&[("IIB_INDEX_TO_GITLAB_PUSH_MAP", map)]).unwrap_err();
        for part in [
            "`r.example/tagged:v1` is no index without its tag",
            "`r.example/login` has no address",
            "`r.example/ssh` has no address",
            "name git.example in registries.insecure",
            "they need tokens",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
        let plain = r#"{"r.example/plain": "http://git.example:8080/a.git"}"#;
        load(&[
            ("IIB_INDEX_TO_GITLAB_PUSH_MAP", plain),
            ("IIB_INSECURE_REGISTRIES", "git.example:8080"),
            ("IIB_GIT_TOKENS_FILE", "/etc/iib/tokens"),
        ])
        .unwrap();
    }
}
