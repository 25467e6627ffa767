//! Git repositories that have what indexes have (worker flows §14): which one an index is mapped to, who logs in
//! there, and what is said in commits.

use std::collections::BTreeMap;

use crate::RequestId;

/// Git repositories by index, without tag. The setting `work.git_repositories`.
pub type GitRepositories = BTreeMap<String, String>;

/// What stands for a part that an index's name does not have, in maps of today's service.
const NO_PART: &str = "None";

/// The folder of a repository that has the catalog.
pub const CATALOG_IN_GIT: &str = "configs";

/// The repository of an index, if it has one, and what of it is its branch: the tag.
///
/// An index is looked for under its name without tag, then as today's service looks for it, which writes `None` for a
/// registry or a namespace that is not there (table git_url). One that is named by a digest has no branch, so no repository.
pub fn repository_of<'m>(map: &'m GitRepositories, index: &str) -> Option<&'m str> {
    if index.contains('@') {
        return None;
    }
    let name = match branch_of(index) {
        Some(_) => index.rsplit_once(':').map_or(index, |(name, _)| name),
        None => index,
    };
    let found = map.get(name).or_else(|| map.get(&spelled_out(name)));
    found.map(String::as_str)
}

/// The branch of an index: its tag.
pub fn branch_of(index: &str) -> Option<&str> {
    let (_, tag) = index.rsplit_once(':')?;
    // A colon before a slash is that of a port.
    (!tag.contains('/') && !index.contains('@')).then_some(tag)
}

/// `registry/namespace/repository`, whatever there is of it.
fn spelled_out(name: &str) -> String {
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (registry, path) = match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry, path),
        Some(_) | None => (NO_PART, name),
    };
    let (namespace, repository) = path.rsplit_once('/').unwrap_or((NO_PART, path));
    format!("{registry}/{namespace}/{repository}")
}

/// There is no login for a repository. The texts are the reference's (worker flows §14).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitTokenError {
    /// Nobody has given one.
    #[error("Missing key '{0}' in 'iib_index_configs_gitlab_tokens_map'")]
    Missing(String),
    /// What was given is none.
    #[error(
        "Invalid token format for '{0}' in 'iib_index_configs_gitlab_tokens_map'. Expected 'token_name:token_value'."
    )]
    Format(String),
}

/// Name and value of the token for a repository, of texts `name:value` by repository. What stands behind a second colon
/// does not count, as in the reference (table git_token).
///
/// # Errors
/// [`GitTokenError`], without anything of what was given.
pub fn token_of<'t>(
    tokens: &'t BTreeMap<String, String>,
    repository: &str,
) -> Result<(&'t str, &'t str), GitTokenError> {
    let token = tokens.get(repository);
    let token = token.ok_or_else(|| GitTokenError::Missing(repository.to_owned()))?;
    let mut parts = token.split(':');
    match (parts.next(), parts.next()) {
        (Some(name), Some(value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
        (_, _) => Err(GitTokenError::Format(repository.to_owned())),
    }
}

/// Whether the name of a package may be that of a folder in a repository (table safe_package_name): small letters, digits, dots and
/// dashes, a letter or a digit first and last.
pub fn is_safe_package_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(|b| is_plain(*b)))
        && bytes.iter().all(|b| is_plain(*b) || b"-.".contains(b))
}

/// What the commit of a request says.
pub fn commit_message(id: RequestId) -> String {
    format!("IIB: Update for request id {id} (overwrite_from_index)\n")
}

/// What the commit says that takes the commit of a request back.
pub fn revert_message(id: RequestId, commit: &str) -> String {
    format!(
        "IIB: Revert the update for request id {id}\n\nThe index image was not overwritten, so what commit {commit} changed is as before.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        entries.iter().map(owned).collect()
    }

    #[test]
    fn an_index_is_looked_for_without_its_tag() {
        let map = map(&[
            ("q.io/ns/index", "https://git.example/prod.git"),
            ("q.io/plain", "plain"),
            ("q.io/None/index", "recorded"),
            ("None/None/index", "bare"),
            ("q.io:443/ns/index", "port"),
            ("q.io/a/b/c", "deep"),
        ]);
        for (index, wanted) in [
            ("q.io/ns/index:v4.6", Some("https://git.example/prod.git")),
            ("q.io/ns/index", Some("https://git.example/prod.git")),
            ("q.io/ns/other:v4.6", None),
            ("q.io/plain:v1", Some("plain")),
            ("q.io/index:v1", Some("recorded")),
            ("index:v1", Some("bare")),
            ("q.io:443/ns/index:v1", Some("port")),
            ("q.io:444/ns/index", None),
            ("q.io/a/b/c:v1", Some("deep")),
            ("q.io/ns/index:v4.6@sha256:00", None),
        ] {
            assert_eq!(repository_of(&map, index), wanted, "{index}");
        }
    }

    #[test]
    fn the_tag_is_the_branch() {
        for (index, wanted) in [
            ("q.io/ns/index:v4.6", Some("v4.6")),
            ("q.io:443/ns/index", None),
            ("q.io/ns/index@sha256:00", None),
        ] {
            assert_eq!(branch_of(index), wanted, "{index}");
        }
    }

    #[test]
    fn a_token_has_a_name_and_a_value() {
        let tokens = map(&[
            ("a", "name:value"),
            ("b", "novalue"),
            ("c", ":value"),
            ("d", "name:"),
        ]);
        assert_eq!(token_of(&tokens, "a"), Ok(("name", "value")));
        for odd in ["b", "c", "d"] {
            let refused = token_of(&tokens, odd).unwrap_err();
            assert_eq!(refused, GitTokenError::Format(odd.to_owned()));
            assert!(!refused.to_string().contains("novalue"));
        }
        assert_eq!(
            token_of(&tokens, "e").unwrap_err().to_string(),
            "Missing key 'e' in 'iib_index_configs_gitlab_tokens_map'"
        );
    }

    #[test]
    fn a_safe_name_leads_nowhere_else() {
        for (name, is_safe) in [
            ("lantern", true),
            ("my.operator-2", true),
            ("0", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("A", false),
            ("a_b", false),
            ("a\n", false),
            (".git", false),
        ] {
            assert_eq!(is_safe_package_name(name), is_safe, "{name:?}");
        }
    }
}
