//! What a path below `/v2/` asks for.

use std::str::FromStr;

use iib_oci::Digest;

use crate::registry::fault::Fault;
use crate::registry::name::{ManifestName, Name, parse_digest};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Catalog,
    Tags(Name),
    Blob(Name, Digest),
    Uploads(Name),
    Upload(Name, String),
    Manifest(Name, ManifestName),
}

impl FromStr for Target {
    type Err = Fault;

    /// Reads a decoded path from its end, because repository names have slashes themselves and
    /// may hold the words of the protocol.
    fn from_str(path: &str) -> Result<Self, Fault> {
        if path == "_catalog" {
            return Ok(Self::Catalog);
        }
        let (rest, last) = path.rsplit_once('/').ok_or(Fault::Path)?;
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            let name = name.parse()?;
            return Ok(match last {
                "" => Self::Uploads(name),
                id => Self::Upload(name, id.to_owned()),
            });
        }
        let (name, kind) = rest.rsplit_once('/').ok_or(Fault::Path)?;
        match (kind, last) {
            ("tags", "list") => Ok(Self::Tags(name.parse()?)),
            ("blobs", "uploads") => Ok(Self::Uploads(name.parse()?)),
            ("blobs", digest) => Ok(Self::Blob(name.parse()?, parse_digest(digest)?)),
            ("manifests", reference) => Ok(Self::Manifest(name.parse()?, reference.parse()?)),
            _ => Err(Fault::Path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_even_with_odd_repository_names() {
        let digest = Digest::of(b"a");
        let name = |text: &str| text.parse::<Name>().unwrap();
        for (path, expected) in [
            ("_catalog".to_owned(), Target::Catalog),
            ("a/b/tags/list".to_owned(), Target::Tags(name("a/b"))),
            ("a/blobs/uploads/".to_owned(), Target::Uploads(name("a"))),
            ("a/blobs/uploads".to_owned(), Target::Uploads(name("a"))),
            (
                "a/blobs/uploads/xyz".to_owned(),
                Target::Upload(name("a"), "xyz".to_owned()),
            ),
            (
                format!("manifests/blobs/{digest}"),
                Target::Blob(name("manifests"), digest.clone()),
            ),
            (
                "a/tags/manifests/list".to_owned(),
                Target::Manifest(name("a/tags"), ManifestName::Tag("list".to_owned())),
            ),
        ] {
            assert_eq!(path.parse::<Target>().unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_leave_the_registry_are_refused() {
        for path in [
            "",
            "a",
            "a/b",
            "../manifests/x",
            "a/../../b/manifests/x",
            "/manifests/x",
            "a/manifests/..",
            "a/manifests/",
            "a/blobs/../../x",
            "a/blobs/sha256:../x",
            "a/tags/list/x",
        ] {
            assert!(path.parse::<Target>().is_err(), "{path}");
        }
    }
}
