//! Looking a repository up in one auth file.
//!
//! The rules are those of the containers-auth.json(5) manual page and of docker's `config.json`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use iib_oci::Repository;
use iib_ports::GivenLogin;
use serde_json::{Map, Value};

use super::credential::{Credential, Secret};
use super::{AuthFileError, Outcome};

/// The names Docker Hub goes by, in pull specs and in auth files.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The key under which `docker login` files Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What docker's file was called before it held more than entries.
pub(super) const OLD_DOCKER_FILE: &str = ".dockercfg";

/// Files are written with padding, and by hand without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One parsed auth file. No `Debug`: it is full of secrets.
pub(crate) struct AuthFile {
    path: PathBuf,
    auths: Map<String, Value>,
    helpers: Map<String, Value>,
    store: Option<String>,
}

/// What a file says about a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// The credential of the entry with this key.
    Entry {
        key: String,
        credential: Credential,
    },
    /// To be had from `docker-credential-<helper>` for `server`.
    Helper {
        helper: String,
        server: String,
    },
}

impl AuthFile {
    /// Reads the parts of a file that matter. Parsed to plain values, because the errors of
    /// typed parsing show the value they stumble over.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, AuthFileError> {
        let shape = |at: &str, problem| AuthFileError::Shape {
            path: path.to_owned(),
            at: at.to_owned(),
            problem,
        };
        let value = serde_json::from_slice(bytes).map_err(|error| AuthFileError::NotJson {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        let Value::Object(mut root) = value else {
            return Err(shape("(the whole)", "must be an object"));
        };
        if path.file_name().is_some_and(|name| name == OLD_DOCKER_FILE) {
            // It is the entries and nothing else.
            root = Map::from_iter([("auths".to_owned(), Value::Object(root))]);
        }
        let mut object = |key: &str| match root.remove(key) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(shape(key, "must be an object")),
        };
        let (auths, helpers) = (object("auths")?, object("credHelpers")?);
        let store = match root.remove("credsStore") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
            Some(_) => return Err(shape("credsStore", "must be a string")),
        };
        Ok(Self {
            path: path.to_owned(),
            auths,
            helpers,
            store,
        })
    }

    /// Helpers named for the registry come first, then entries, then the common store. Within
    /// each the most specific key wins.
    pub(crate) fn find(&self, repository: &Repository) -> Result<Found, AuthFileError> {
        let wanted = keys(repository);
        if let Some((key, helper)) = best(&self.helpers, &wanted) {
            let helper = helper
                .as_str()
                .ok_or_else(|| self.shape("credHelpers", key, "must be a string"))?;
            if !helper.is_empty() {
                return self.helper(helper, key);
            }
        }
        if let Some((key, entry)) = best(&self.auths, &wanted)
            && let Some(credential) = self.credential(key, entry)?
        {
            return Ok(Found::Entry {
                key: key.to_owned(),
                credential,
            });
        }
        let Some(store) = &self.store else {
            return Ok(Found::Nothing);
        };
        let server = match repository.registry() {
            hub if DOCKER_HUB.contains(&hub) => DOCKER_HUB_KEY,
            registry => registry,
        };
        self.helper(store, server)
    }

    /// The name becomes part of a program's name, so it must not lead anywhere else.
    fn helper(&self, helper: &str, server: &str) -> Result<Found, AuthFileError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !helper.chars().all(plain) {
            return Err(self.shape(
                "credHelpers or credsStore",
                server,
                "is not the name of a credential helper",
            ));
        }
        Ok(Found::Helper {
            helper: helper.to_owned(),
            server: server.to_owned(),
        })
    }

    /// `None` for an entry without content, which docker leaves behind when a store has it.
    fn credential(&self, key: &str, entry: &Value) -> Result<Option<Credential>, AuthFileError> {
        let Value::Object(entry) = entry else {
            return Err(self.shape("auths", key, "must be an object"));
        };
        let text = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.shape("auths", key, "has a field that must be a string")),
        };
        if let Some(token) = text("identitytoken")? {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(token) = text("registrytoken")? {
            return Ok(Some(Credential::Bearer(Secret::new(token))));
        }
        if let Some(auth) = text("auth")? {
            return self.decode(key, auth).map(Some);
        }
        let (user, password) = (text("username")?, text("password")?);
        Ok(user
            .zip(password)
            .map(|(user, password)| Credential::Basic {
                user: user.to_owned(),
                password: Secret::new(password),
            }))
    }

    fn decode(&self, key: &str, auth: &str) -> Result<Credential, AuthFileError> {
        let pair = BASE64
            .decode(auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| self.shape("auths", key, "has an `auth` that is not base64 of text"))?;
        let (user, password) = pair.split_once(':').ok_or_else(|| {
            self.shape(
                "auths",
                key,
                "has an `auth` that is not `user:password` in base64",
            )
        })?;
        Ok(Credential::Basic {
            user: user.to_owned(),
            // Old versions of docker padded the pair with zero bytes.
            password: Secret::new(password.trim_end_matches('\0')),
        })
    }

    fn shape(&self, part: &str, key: &str, problem: &'static str) -> AuthFileError {
        AuthFileError::Shape {
            path: self.path.clone(),
            at: format!("{part}.{key}"),
            problem,
        }
    }
}

/// What a request's logins have for a repository, by the same keys as files.
pub(super) fn given(logins: &[GivenLogin], repository: &Repository) -> (Credential, Outcome) {
    let wanted = keys(repository);
    let found = wanted.iter().find_map(|wanted| {
        logins
            .iter()
            .find(|given| normalize(&given.scope) == *wanted)
    });
    let Some(GivenLogin { scope, login }) = found else {
        return (Credential::Anonymous, Outcome::NoEntry);
    };
    let credential = Credential::Basic {
        user: login.user.clone(),
        password: login.password.clone(),
    };
    let (key, form) = (scope.clone(), credential.form());
    (credential, Outcome::Entry { key, form })
}

/// The keys that cover a repository, the most specific first: the repository, the namespaces
/// above it, the registry; for Docker Hub under each of its names.
pub(super) fn keys(repository: &Repository) -> Vec<String> {
    let registry = repository.registry();
    let names = if DOCKER_HUB.contains(&registry) {
        DOCKER_HUB.as_slice()
    } else {
        &[registry]
    };
    let mut paths = vec![repository.path()];
    while let Some((parent, _)) = paths.last().and_then(|path| path.rsplit_once('/')) {
        paths.push(parent);
    }
    let below = paths
        .iter()
        .flat_map(|path| names.iter().map(move |name| format!("{name}/{path}")));
    below
        .chain(names.iter().map(|name| (*name).to_owned()))
        .collect()
}

/// The entry with the most specific key.
fn best<'a>(entries: &'a Map<String, Value>, wanted: &[String]) -> Option<(&'a str, &'a Value)> {
    wanted.iter().find_map(|wanted| {
        entries
            .iter()
            .find(|(key, _)| normalize(key) == *wanted)
            .map(|(key, value)| (key.as_str(), value))
    })
}

/// A key as `registry[/path]`. Old keys are URLs, whose path (`/v1/`) is no repository.
fn normalize(key: &str) -> &str {
    let without_scheme = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    match without_scheme {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => key.trim_end_matches('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &str, registry: &str, path: &str) -> Result<Found, AuthFileError> {
        let repository = Repository::new(registry, path).unwrap();
        AuthFile::parse(Path::new("/etc/auth.json"), file.as_bytes())
            .unwrap()
            .find(&repository)
    }

    fn user(found: Result<Found, AuthFileError>) -> String {
        match found.unwrap() {
            Found::Nothing => "-".to_owned(),
            Found::Entry { credential, .. } => match credential {
                Credential::Basic { user, password } => format!("{user}:{}", password.expose()),
                Credential::Identity(token) => format!("identity {}", token.expose()),
                Credential::Bearer(token) => format!("bearer {}", token.expose()),
                Credential::Anonymous => "anonymous".to_owned(),
            },
            Found::Helper { helper, server } => format!("{helper} for {server}"),
        }
    }

    #[test]
    fn the_most_specific_entry_wins() {
        // base64 of "host:h", "ns:n", "repo:a:b" (the password has a colon), "port:p"
        let file = r#"{"auths": {
            "r.example": {"auth": "aG9zdDpo"},
            "r.example/ns": {"auth": "bnM6bg"},
            "r.example/ns/app": {"auth": "cmVwbzphOmI="},
            "r.example:5000": {"auth": "cG9ydDpw"},
            "id.example": {"auth": "aG9zdDpo", "identitytoken": "idt"},
            "reg.example": {"registrytoken": "regt"},
            "plain.example": {"username": "u", "password": "p"},
            "https://url.example/v1/": {"auth": "aG9zdDpo"},
            "empty.example": {}
        }}"#;
        for (registry, path, expect) in [
            ("r.example", "ns/app", "repo:a:b"),
            ("r.example", "ns/app/deeper", "repo:a:b"),
            ("r.example", "ns/other", "ns:n"),
            ("r.example", "nsx/app", "host:h"),
            ("r.example", "x", "host:h"),
            ("r.example:5000", "ns/app", "port:p"),
            ("r.example:5001", "ns/app", "-"),
            ("sub.r.example", "ns/app", "-"),
            ("id.example", "x", "identity idt"),
            ("reg.example", "x", "bearer regt"),
            ("plain.example", "x", "u:p"),
            ("url.example", "v1/x", "host:h"),
            ("empty.example", "x", "-"),
        ] {
            assert_eq!(
                user(find(file, registry, path)),
                expect,
                "{registry}/{path}"
            );
        }
    }

    #[test]
    fn docker_hub_is_found_under_all_its_names() {
        for key in [
            DOCKER_HUB_KEY,
            "https://index.docker.io/v1",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
        ] {
            let file = format!(r#"{{"auths": {{"{key}": {{"auth": "aG9zdDpo"}}}}}}"#);
            assert_eq!(
                user(find(&file, "docker.io", "library/x")),
                "host:h",
                "{key}"
            );
        }
    }

    #[test]
    fn helpers_are_asked_before_entries_and_the_store_after_them() {
        let file = r#"{
            "auths": {"r.example": {"auth": "aG9zdDpo"}, "left.example": {}},
            "credHelpers": {"r.example": "ecr-login", "off.example": ""},
            "credsStore": "secretservice"
        }"#;
        for (registry, expect) in [
            ("r.example", "ecr-login for r.example"),
            ("off.example", "secretservice for off.example"),
            ("left.example", "secretservice for left.example"),
            ("docker.io", "secretservice for https://index.docker.io/v1/"),
        ] {
            assert_eq!(user(find(file, registry, "x")), expect);
        }
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_named_without_its_secret() {
        for (entry, says) in [
            (r#"{"auth": "!!!"}"#, "not base64"),
            (r#"{"auth": "aHVudGVyMg=="}"#, "not `user:password`"),
            (r#""hunter2""#, "must be an object"),
            (r#"{"identitytoken": ["hunter2"]}"#, "must be a string"),
        ] {
            let file = format!(r#"{{"auths": {{"r.example": {entry}}}}}"#);
            let text = find(&file, "r.example", "x").unwrap_err().to_string();
            assert!(text.contains("`auths.r.example`"), "{text}");
            assert!(text.contains("/etc/auth.json"), "{text}");
            assert!(text.contains(says), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_helper_that_is_a_path_is_refused() {
        let error = find(r#"{"credsStore": "../../bin/sh"}"#, "r.example", "x").unwrap_err();
        assert!(error.to_string().contains("not the name"), "{error}");
    }
}
