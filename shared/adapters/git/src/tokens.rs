//! The tokens of repositories: an object of JSON, repository by `name:value`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use async_trait::async_trait;
use iib_ports::{AuthDocument, RepositoryError, Secret};
use iib_request::token_of;

/// Largest file of tokens that is read, bytes: as much as a secret of Secrets Manager may have, many times.
const LARGEST: u64 = 1024 * 1024;

/// A file with tokens, read anew for each use.
#[derive(Debug, Clone)]
pub struct TokensFile {
    path: PathBuf,
    name: String,
}

/// What has the tokens cannot be read. Nothing that stands there is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// It is no such object.
    #[error(
        "it is no object of JSON with a text `name:value` for each repository ({category} at line {line}, column {column})"
    )]
    Form {
        /// What is wrong with it.
        category: &'static str,
        /// Where.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// The file is too large.
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
}

impl TokensFile {
    /// The file at this path. Nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        let name = path.display().to_string();
        Self { path, name }
    }
}

#[async_trait]
impl AuthDocument for TokensFile {
    fn name(&self) -> &str {
        &self.name
    }

    async fn read(&self) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        if tokio::fs::metadata(&self.path).await?.len() > LARGEST {
            return Err(TokensError::TooLarge.into());
        }
        Ok(Secret::new(tokio::fs::read_to_string(&self.path).await?))
    }
}

/// What is wrong with tokens for these repositories, all of it, for people.
///
/// # Errors
/// [`TokensError`] if the text is none at all.
pub fn check_tokens<'r>(
    text: &Secret,
    repositories: impl IntoIterator<Item = &'r str>,
) -> Result<Vec<String>, TokensError> {
    let tokens = read(text)?;
    let faults = repositories
        .into_iter()
        .filter_map(|repository| token_of(&tokens, repository).err());
    Ok(faults.map(|fault| fault.to_string()).collect())
}

/// Name and value for a repository.
pub(crate) async fn token(
    document: &dyn AuthDocument,
    repository: &str,
) -> Result<(Secret, Secret), RepositoryError> {
    let text = document.read().await.map_err(RepositoryError::Tokens)?;
    let tokens = read(&text).map_err(|error| RepositoryError::Tokens(error.into()))?;
    let (name, value) = token_of(&tokens, repository)?;
    Ok((Secret::new(name), Secret::new(value)))
}

fn read(text: &Secret) -> Result<BTreeMap<String, String>, TokensError> {
    use serde_json::error::Category;
    serde_json::from_str(text.expose()).map_err(|error| TokensError::Form {
        category: match error.classify() {
            Category::Io | Category::Eof => "it ends",
            Category::Syntax => "no JSON",
            Category::Data => "something else",
        },
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_and_nothing_of_a_token() {
        let text = Secret::new(r#"{"https://g/a": "n:v", "https://g/b": "hunter2"}"#);
        let faults = check_tokens(&text, ["https://g/a", "https://g/b", "https://g/c"]).unwrap();
        assert_eq!(faults.len(), 2);
        assert!(faults.iter().all(|fault| !fault.contains("hunter2")));
        for odd in ["hunter2", r#"{"a": {"b": "hunter2"}}"#, r#"{"a": "hunter2"#] {
            let error = check_tokens(&Secret::new(odd), []).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
