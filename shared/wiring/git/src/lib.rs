#![doc = include_str!("../README.md")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_edge::Config;
use iib_git::{GitConfig, GitInitError, GitRepositories, TokensFile, check_tokens};
use iib_oci::hosts::{Addresses, HostNameError};
use iib_outward::OutwardError;
use iib_ports::{AuthDocument, CatalogRepositories, Secret};

/// Git repositories cannot be spoken to as the settings say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitRepositoriesError {
    /// No client can be set up.
    #[error(transparent)]
    Init(#[from] GitInitError),
    /// The settings name hosts in a way that cannot be read.
    #[error(transparent)]
    Hosts(#[from] HostNameError),
    /// The proxies of the environment cannot be read.
    #[error(transparent)]
    Outward(#[from] OutwardError),
    /// The tokens are not as they have to be; all that is wrong with them.
    #[error("the tokens of Git repositories in {} cannot be used: {what}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything that stands there.
        what: String,
    },
}

/// The repositories, if the settings name a file with tokens. Each one has to have a token, which is seen at once; it is
/// read anew for each use.
///
/// # Errors
/// [`GitRepositoriesError`].
pub fn with_file(
    config: &Config,
    addresses: Addresses,
    scratch: &Path,
) -> Result<Option<Arc<dyn CatalogRepositories>>, GitRepositoriesError> {
    let Some(path) = &config.work.git_tokens_file else {
        return Ok(None);
    };
    let failed = |what: String| GitRepositoriesError::Tokens {
        path: path.clone(),
        what,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let names = config.work.git_repositories.values().map(String::as_str);
    let names = names.filter(|name| !name.is_empty());
    let faults = check_tokens(&Secret::new(text), names);
    let faults = faults.map_err(|error| failed(error.to_string()))?;
    if !faults.is_empty() {
        return Err(failed(faults.join("; ")));
    }
    let tokens = Arc::new(TokensFile::new(path.clone()));
    with_tokens(config, tokens, addresses, scratch).map(Some)
}

/// The repositories with tokens of the caller's.
///
/// # Errors
/// [`GitRepositoriesError`].
pub fn with_tokens(
    config: &Config,
    tokens: Arc<dyn AuthDocument>,
    addresses: Addresses,
    scratch: &Path,
) -> Result<Arc<dyn CatalogRepositories>, GitRepositoriesError> {
    Ok(Arc::new(GitRepositories::new(GitConfig {
        tokens,
        hosts: config.git_host_rules(addresses)?,
        client: config.outward()?.client(),
        scratch: scratch.to_owned(),
        max_bytes: config.work.max_index_bytes,
        patience: config.work.call_patience(),
    })?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repository_has_a_token_when_the_service_starts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.json");
        let mut config = Config::load(None, &Default::default()).unwrap();
        let open = |config: &Config| {
            let opened = with_file(config, Addresses::Any, folder.path());
            opened
                .map(|repositories| repositories.is_some())
                .map_err(|error| error.to_string())
        };
        assert_eq!(open(&config), Ok(false));
        config.work.git_tokens_file = Some(file.clone());
        let repository = |name: &str| format!("https://git.example/{name}.git");
        let map = ["a", "b"].map(|name| (format!("r.example/{name}"), repository(name)));
        config.work.git_repositories = map.into();
        let told = open(&config).unwrap_err();
        assert!(told.contains("tokens.json cannot be used"), "{told}");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let a = r#""https://git.example/a.git": "ann:hunter2""#;
        let b = r#""https://git.example/b.git": "ann:hunter2""#;
        write(&format!("{{{a}, {b}}}"));
        assert_eq!(open(&config), Ok(true));
        for (text, wanted) in [
            (
                format!("{{{a}}}"),
                "Missing key 'https://git.example/b.git'",
            ),
            (
                r#"{"https://git.example/b.git": "hunter2"}"#.to_owned(),
                "Invalid token format for 'https://git.example/b.git'",
            ),
            ("hunter2".to_owned(), "no object of JSON"),
        ] {
            write(&text);
            let told = open(&config).unwrap_err();
            assert!(told.contains(wanted) && !told.contains("hunter2"), "{told}");
        }
    }
}
