//! What a call is about: repository, rights, and the name for messages.

use iib_oci::hosts::HostRefusal;
use iib_oci::{Digest, Reference, Repository};
use iib_ports::RegistryError;
use reqwest::StatusCode;

use crate::AuthFileError;

/// What a call needs tokens for, in the form of the token protocol
/// (`repository:<path>:<actions>`). Sorted, so that equal sets share a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Whether a call reads or writes. It decides what a 404 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The repository a call goes to, what it is about and which rights it needs.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) repository: Repository,
    pub(crate) scopes: Scopes,
    pub(crate) access: Access,
    /// The thing in the user's terms.
    pub(crate) what: String,
}

impl Target {
    /// No call, but the logins a call would show.
    pub(crate) fn logins(repository: &Repository) -> Self {
        Self::read(repository, repository.to_string())
    }

    pub(crate) fn image(repository: &Repository, reference: &Reference) -> Self {
        Self::read(repository, image_name(repository, reference))
    }

    pub(crate) fn blob(repository: &Repository, digest: &Digest) -> Self {
        Self::read(repository, blob_name(repository, digest))
    }

    pub(crate) fn blob_upload(repository: &Repository, digest: &Digest) -> Self {
        Self::write(repository, blob_name(repository, digest))
    }

    /// A look at a blob of a repository that is written to.
    pub(crate) fn blob_look(repository: &Repository, digest: &Digest) -> Self {
        Self {
            access: Access::Read,
            ..Self::blob_upload(repository, digest)
        }
    }

    /// A look at a tag of a repository that is written to.
    pub(crate) fn image_look(repository: &Repository, reference: &Reference) -> Self {
        Self {
            access: Access::Read,
            ..Self::image_upload(repository, reference)
        }
    }

    pub(crate) fn image_upload(repository: &Repository, reference: &Reference) -> Self {
        Self::write(repository, image_name(repository, reference))
    }

    /// Removing is a right of its own; whoever has it may have to write besides, see
    /// [`iib_ports::Tags`].
    pub(crate) fn removal(repository: &Repository, reference: &Reference) -> Self {
        Self {
            scopes: Scopes(vec![format!(
                "repository:{}:delete,pull,push",
                repository.path()
            )]),
            ..Self::image_upload(repository, reference)
        }
    }

    /// A mount takes from one repository and gives to another; the token must be good for both
    /// (distribution's token scope documentation).
    pub(crate) fn mount(to: &Repository, from: &Repository, digest: &Digest) -> Self {
        let mut target = Self::write(to, blob_name(to, digest));
        if from.path() != to.path() {
            target
                .scopes
                .0
                .push(format!("repository:{}:pull", from.path()));
            target.scopes.0.sort();
        }
        target
    }

    fn read(repository: &Repository, what: String) -> Self {
        Self {
            repository: repository.clone(),
            scopes: Scopes(vec![format!("repository:{}:pull", repository.path())]),
            access: Access::Read,
            what,
        }
    }

    fn write(repository: &Repository, what: String) -> Self {
        Self {
            repository: repository.clone(),
            scopes: Scopes(vec![format!("repository:{}:pull,push", repository.path())]),
            access: Access::Write,
            what,
        }
    }

    pub(crate) fn registry(&self) -> &str {
        self.repository.registry()
    }

    pub(crate) fn denied(&self, status: StatusCode) -> RegistryError {
        RegistryError::Denied {
            registry: self.registry().to_owned(),
            what: self.what.clone(),
            status: status.as_u16(),
            // Filled in where the call ends, see `Caller::last_word`.
            login: String::new(),
        }
    }

    pub(crate) fn credentials(&self, error: AuthFileError) -> RegistryError {
        RegistryError::Credentials {
            registry: self.registry().to_owned(),
            source: Box::new(error),
        }
    }

    pub(crate) fn not_found(&self) -> RegistryError {
        RegistryError::NotFound {
            what: self.what.clone(),
        }
    }

    pub(crate) fn protocol(&self, problem: &'static str) -> RegistryError {
        RegistryError::Protocol {
            registry: self.registry().to_owned(),
            what: self.what.clone(),
            problem,
        }
    }

    pub(crate) fn host_refused(&self, refusal: HostRefusal) -> RegistryError {
        RegistryError::HostRefused {
            registry: self.registry().to_owned(),
            what: self.what.clone(),
            source: refusal,
        }
    }

    pub(crate) fn mismatch(&self, expected: &impl ToString, got: &impl ToString) -> RegistryError {
        RegistryError::Mismatch {
            what: self.what.clone(),
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }

    pub(crate) fn too_large(&self, limit: usize) -> RegistryError {
        RegistryError::TooLarge {
            what: self.what.clone(),
            limit: limit as u64,
        }
    }
}

/// The image as a pull spec names it.
fn image_name(repository: &Repository, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn blob_name(repository: &Repository, digest: &Digest) -> String {
    format!("blob {digest} of {repository}")
}
