//! Docker and podman auth files.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use iib_oci::Repository;
use iib_ports::{Class, Classify};

use super::credential::{Credential, Secret};
use super::lookup::{AuthFile, Found};
use super::search::{Outcome, Place};

/// The largest auth file that is read. Real ones have a few KiB.
const FILE_LIMIT: u64 = 1024 * 1024;

/// How long a credential helper may take; those of clouds ask a server.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// What helpers print when they have nothing for a registry (the docker-credential-helpers
/// protocol); it is no failure.
const HELPER_HAS_NONE: &str = "credentials not found";

/// An auth file cannot be used. No message shows any of its values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthFileError {
    /// It is there but cannot be read.
    #[error("the auth file `{path}` cannot be read: check its owner and permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("`{path}` is larger than {FILE_LIMIT} bytes: it cannot be an auth file")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not JSON.
    #[error(
        "the auth file `{path}` is not valid JSON (line {line}, column {column}): log in again to have it written anew"
    )]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A part of it is not what it should be.
    #[error("`{at}` in the auth file `{path}` {problem}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where in it, by keys.
        at: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The credential helper it names did not give credentials.
    #[error(
        "the credential helper `docker-credential-{helper}`, named in the auth file `{path}`, {problem}"
    )]
    Helper {
        /// The file.
        path: PathBuf,
        /// The helper's name without the prefix.
        helper: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Classify for AuthFileError {
    fn class(&self) -> Class {
        match self {
            // None of them is the requester's doing; somebody has to mend the service's files.
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::NotJson { .. }
            | Self::Shape { .. }
            | Self::Helper { .. } => Class::Bug,
        }
    }
}

/// The auth files in order of precedence.
#[derive(Debug)]
pub(crate) struct AuthFiles {
    paths: Vec<PathBuf>,
}

impl AuthFiles {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }

    /// Reads every file there is once, so that a broken one is noticed at the start.
    pub(crate) fn check(&self) -> Result<(), AuthFileError> {
        self.paths.iter().try_for_each(|path| read(path).map(drop))
    }

    /// Looks for a repository's credential: that of the first file that has one. The files are
    /// read anew, so that logging in takes effect without a restart. What was looked at is added
    /// to `places`.
    pub(crate) async fn credential(
        &self,
        repository: &Repository,
        places: &mut Vec<Place>,
    ) -> Result<Option<Credential>, AuthFileError> {
        for path in &self.paths {
            let owned = path.clone();
            let reading = tokio::task::spawn_blocking(move || read(&owned));
            let found = match joined(reading.await, path)?? {
                Some(file) => credential(path, &file, repository, places).await?,
                None => {
                    places.push(Place::new(path.display(), Outcome::Missing));
                    None
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The credential for a repository in a document that is no file.
pub(crate) async fn in_document(
    name: &str,
    text: &Secret,
    repository: &Repository,
    places: &mut Vec<Place>,
) -> Result<Option<Credential>, AuthFileError> {
    let path = Path::new(name);
    let file = AuthFile::parse(path, text.expose().as_bytes())?;
    credential(path, &file, repository, places).await
}

async fn credential(
    path: &Path,
    file: &AuthFile,
    repository: &Repository,
    places: &mut Vec<Place>,
) -> Result<Option<Credential>, AuthFileError> {
    let (outcome, credential) = match file.find(repository)? {
        Found::Nothing => (Outcome::NoEntry, None),
        Found::Entry { key, credential } => {
            let form = credential.form();
            (Outcome::Entry { key, form }, Some(credential))
        }
        Found::Helper { helper, server } => match ask_helper(path, helper.clone(), server).await? {
            Some(credential) => {
                let form = credential.form();
                (Outcome::Helper { helper, form }, Some(credential))
            }
            None => (Outcome::HelperHasNone { helper }, None),
        },
    };
    places.push(Place::new(path.display(), outcome));
    Ok(credential)
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<AuthFile>, AuthFileError> {
    let failed = |source| AuthFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(AuthFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    AuthFile::parse(path, &bytes).map(Some)
}

/// Runs a credential helper. `docker_credential` knows their protocol; it is handed a file that
/// holds nothing but the helper, because its own look-up in real files does not know paths.
async fn ask_helper(
    path: &Path,
    helper: String,
    server: String,
) -> Result<Option<Credential>, AuthFileError> {
    let file =
        serde_json::json!({"credHelpers": {(server.as_str()): (helper.as_str())}}).to_string();
    let asking = tokio::task::spawn_blocking(move || {
        docker_credential::get_credential_from_reader(file.as_bytes(), &server)
    });
    let failed = |problem| AuthFileError::Helper {
        path: path.to_owned(),
        helper: helper.clone(),
        problem,
    };
    let Ok(asked) = tokio::time::timeout(HELPER_TIMEOUT, asking).await else {
        return Err(failed("did not answer within 30 seconds"));
    };
    match joined(asked, path)? {
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok(Some(Credential::Identity(Secret::new(token))))
        }
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Credential::Basic {
            user,
            password: Secret::new(password),
        })),
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if stdout.contains(HELPER_HAS_NONE) || stderr.contains(HELPER_HAS_NONE) =>
        {
            Ok(None)
        }
        // What a helper prints is not passed on; it could hold a secret.
        Err(CredentialRetrievalError::HelperFailure { .. }) => Err(failed(
            "reported a failure: run it by hand with `get` to see why",
        )),
        Err(CredentialRetrievalError::HelperCommunicationError) => Err(failed(
            "could not be run: install it where the service finds programs",
        )),
        Err(_) => Err(failed(
            "gave an answer that is not that of a credential helper",
        )),
    }
}

/// The result of work on a blocking thread; the runtime only takes such work back when it stops.
fn joined<T>(result: Result<T, tokio::task::JoinError>, path: &Path) -> Result<T, AuthFileError> {
    result.map_err(|error| AuthFileError::Read {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        Repository::new("r.example", "ns/app").unwrap()
    }

    fn with_user(user: &str) -> String {
        format!(r#"{{"auths":{{"r.example":{{"username":"{user}","password":"p"}}}}}}"#)
    }

    #[tokio::test]
    async fn the_first_file_that_knows_the_repository_decides_and_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("empty"), r#"{"auths":{"other.example":{}}}"#).unwrap();
        std::fs::write(path("first"), with_user("first")).unwrap();
        std::fs::write(path("second"), with_user("second")).unwrap();
        let files = AuthFiles::new(vec![
            path("missing"),
            path("empty"),
            path("first"),
            path("second"),
        ]);
        let user = async || {
            let found = files.credential(&repository(), &mut Vec::new()).await;
            match found.unwrap() {
                Some(Credential::Basic { user, .. }) => user,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(user().await, "first");
        std::fs::write(path("first"), with_user("renamed")).unwrap();
        assert_eq!(user().await, "renamed");
        std::fs::remove_file(path("first")).unwrap();
        assert_eq!(user().await, "second");
    }

    #[test]
    fn a_broken_file_is_named_without_showing_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        let too_large = "x".repeat(usize::try_from(FILE_LIMIT).unwrap() + 1);
        for (content, says) in [
            ("{\n  \"auths\": hunter2", "line 2, column"),
            (r#"{"auths": "hunter2"}"#, "`auths`"),
            (r#"["hunter2"]"#, "must be an object"),
            (too_large.as_str(), "larger than"),
        ] {
            std::fs::write(&path, content).unwrap();
            let files = AuthFiles::new(vec![path.clone()]);
            let error = files.check().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("auth.json"), "{shown}");
            assert!(shown.contains(says), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore":"iib-no-such-helper"}"#).unwrap();
        let error = AuthFiles::new(vec![path])
            .credential(&repository(), &mut Vec::new())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("docker-credential-iib-no-such-helper"),
            "{text}"
        );
        assert!(text.contains("install it"), "{text}");
    }
}
