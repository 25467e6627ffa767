//! Pull specs: references to images as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, DigestError, TAG_GRAMMAR, is_tag};

/// A repository on a registry, without tag or digest: `registry.example:5000/team/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repository {
    registry: String,
    path: String,
}

/// What stands behind the repository in a pull spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A movable name.
    Tag(String),
    /// Fixed content. A tag beside it is only a remark and is not used.
    Digest(Digest),
}

/// A reference to an image: registry, repository and a tag or a digest.
///
/// The text is kept as it was given; it is what users see again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PullSpec {
    text: String,
    repository: Repository,
    reference: Reference,
}

/// An image pinned to a digest: `registry/repository@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pinned {
    repository: Repository,
    digest: Digest,
}

/// The text is not a pull spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullSpecError {
    /// No registry host in front of the first slash.
    #[error("`{0}` names no registry: write it as registry/repository:tag")]
    NoRegistry(String),
    /// The repository has a part that registries do not accept.
    #[error("`{0}` does not hold a valid repository: use lower-case letters, digits and . _ - /")]
    Repository(String),
    /// Neither tag nor digest.
    #[error("`{0}` has neither a tag nor a digest")]
    NoReference(String),
    /// The tag has characters that registries do not accept, or is too long.
    #[error("`{0}` does not hold a valid tag: {grammar}", grammar = TAG_GRAMMAR)]
    Tag(String),
    /// The digest is malformed.
    #[error("`{text}` does not hold a valid digest")]
    Digest {
        /// The pull spec.
        text: String,
        /// What is wrong with its digest.
        source: DigestError,
    },
    /// A pinned reference was asked for and the text has only a tag.
    #[error("`{0}` is not pinned to a digest")]
    NotPinned(String),
}

/// The longest repository path registries take (distribution).
const REPOSITORY_LIMIT: usize = 255;

/// The names of the Docker Hub (distribution's reference grammar, "familiar names").
pub(crate) const DOCKER_HUB: [&str; 2] = ["docker.io", "index.docker.io"];

impl Repository {
    /// A repository from its two parts. A path of one part names an official image of the Docker
    /// Hub there, which is below `library`; all clients read it so, and the Hub has no other.
    ///
    /// # Errors
    /// [`PullSpecError::NoRegistry`] and [`PullSpecError::Repository`].
    pub fn new(registry: &str, path: &str) -> Result<Self, PullSpecError> {
        let text = || format!("{registry}/{path}");
        if !is_registry(registry) {
            return Err(PullSpecError::NoRegistry(text()));
        }
        let official = DOCKER_HUB.contains(&registry) && !path.contains('/');
        let path = match official {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        if path.len() > REPOSITORY_LIMIT || !path.split('/').all(is_path_component) {
            return Err(PullSpecError::Repository(text()));
        }
        Ok(Self {
            registry: registry.to_owned(),
            path,
        })
    }

    /// Host and, if given, port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, without a leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a login that came for one image is shown to: this repository, or the whole registry where
    /// the repository is right below it (worker flows §3, table `docker_auth_key`).
    pub fn login_scope(&self) -> String {
        match self.path.contains('/') {
            true => self.to_string(),
            false => self.registry.clone(),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl PullSpec {
    /// The repository the image is in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Tag or digest.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same repository at a digest.
    pub fn pin(&self, digest: Digest) -> Pinned {
        Pinned {
            repository: self.repository.clone(),
            digest,
        }
    }
}

impl FromStr for PullSpec {
    type Err = PullSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = || text.to_owned();
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest
                    .parse::<Digest>()
                    .map_err(|source| PullSpecError::Digest {
                        text: own(),
                        source,
                    })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = name
            .split_once('/')
            .ok_or_else(|| PullSpecError::NoRegistry(own()))?;
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let repository = Repository::new(registry, path).map_err(|error| match error {
            PullSpecError::Repository(_) => PullSpecError::Repository(own()),
            _ => PullSpecError::NoRegistry(own()),
        })?;
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(PullSpecError::Tag(own()));
        }
        let reference = match (digest, tag) {
            (Some(digest), _) => Reference::Digest(digest),
            (None, Some(tag)) => Reference::Tag(tag.to_owned()),
            (None, None) => return Err(PullSpecError::NoReference(own())),
        };
        Ok(Self {
            text: own(),
            repository,
            reference,
        })
    }
}

impl TryFrom<String> for PullSpec {
    type Error = PullSpecError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PullSpec> for String {
    fn from(spec: PullSpec) -> Self {
        spec.text
    }
}

impl fmt::Display for PullSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pinned {
    /// An image of this repository.
    pub fn new(repository: Repository, digest: Digest) -> Self {
        Self { repository, digest }
    }

    /// The repository the image is in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The digest it is pinned to.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The pull spec this is.
    pub fn to_pull_spec(&self) -> PullSpec {
        PullSpec {
            text: self.to_string(),
            repository: self.repository.clone(),
            reference: Reference::Digest(self.digest.clone()),
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

impl FromStr for Pinned {
    type Err = PullSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let spec: PullSpec = text.parse()?;
        match spec.reference {
            Reference::Digest(digest) => Ok(Self {
                repository: spec.repository,
                digest,
            }),
            Reference::Tag(_) => Err(PullSpecError::NotPinned(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Pinned {
    type Error = PullSpecError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Pinned> for String {
    fn from(pinned: Pinned) -> Self {
        pinned.to_string()
    }
}

/// A first component is a registry when it could not be a repository part: it has a dot, a
/// port, or is `localhost` (the rule of Docker references).
pub(crate) fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host_valid = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let port_valid = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    host_valid && port_valid && (host.contains('.') || port.is_some() || host == "localhost")
}

fn is_path_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(*b) || b"._-".contains(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parts_of_a_pull_spec_are_told_apart() {
        let hex = "0".repeat(64);
        for (text, registry, path, reference) in [
            ("r.example/a/b:v1", "r.example", "a/b", "v1".to_owned()),
            (
                "127.0.0.1:5000/a:1.0.0-rc_1",
                "127.0.0.1:5000",
                "a",
                "1.0.0-rc_1".to_owned(),
            ),
            ("localhost/a:x", "localhost", "a", "x".to_owned()),
            (
                &format!("r.example/a:v1@sha256:{hex}"),
                "r.example",
                "a",
                format!("sha256:{hex}"),
            ),
        ] {
            let spec: PullSpec = text.parse().unwrap();
            assert_eq!(spec.repository().registry(), registry);
            assert_eq!(spec.repository().path(), path);
            assert_eq!(spec.reference().to_string(), reference);
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pull_spec_is_refused() {
        for text in [
            "",
            "a",
            "a:b",
            "a/b:c",
            "r.example/a",
            "r.example/:v1",
            "r.example/A:v1",
            "r.example/a:",
            "r.example/a:-x",
            "r.example/a@sha256:12",
            "r.example/a/../b:v1",
            "r.example:0/a:b",
            "r.example:99999/a:b",
            "r.example//a:b",
            "http://r.example/a:b",
        ] {
            assert!(text.parse::<PullSpec>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_a_pinned_reference_and_reading_it_gives_it_back(
            path in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}", bytes in any::<Vec<u8>>()
        ) {
            let repository = Repository::new("r.example:5000", &path).unwrap();
            let pinned = Pinned::new(repository, Digest::of(&bytes));
            prop_assert_eq!(pinned.to_string().parse::<Pinned>().unwrap(), pinned);
        }
    }

    #[test]
    fn a_login_is_for_as_little_as_can_be() {
        for (image, wanted) in [
            ("quay.example/ns/repo:1", "quay.example/ns/repo"),
            ("quay.example/repo:1", "quay.example"),
            ("localhost:5000/repo:1", "localhost:5000"),
            ("localhost:5000/ns/repo:1", "localhost:5000/ns/repo"),
            ("a.b/c/d/e/f:1", "a.b/c/d/e/f"),
        ] {
            let spec: PullSpec = image.parse().unwrap();
            assert_eq!(spec.repository().login_scope(), wanted);
        }
    }

    #[test]
    fn an_official_image_of_the_docker_hub_is_below_library() {
        for (text, repository) in [
            ("docker.io/lantern:1", "docker.io/library/lantern"),
            (
                "index.docker.io/lantern:1",
                "index.docker.io/library/lantern",
            ),
            ("docker.io/library/lantern:1", "docker.io/library/lantern"),
            ("docker.io/team/lantern:1", "docker.io/team/lantern"),
            ("quay.example/lantern:1", "quay.example/lantern"),
        ] {
            let spec: PullSpec = text.parse().unwrap();
            assert_eq!(spec.repository().to_string(), repository);
            // Users see again what they wrote.
            assert_eq!(spec.to_string(), text);
        }
        // The longest path is told by what registries see.
        for (length, taken) in [(247, true), (248, false)] {
            let text = format!("docker.io/{}:1", "a".repeat(length));
            assert_eq!(text.parse::<PullSpec>().is_ok(), taken, "{length}");
        }
    }
}
