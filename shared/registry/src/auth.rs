//! Who we are to a registry.

mod challenge;
mod credential;
mod files;
mod lookup;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use iib_ports::{AuthDocument, Login, RegistryLogins};
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::Instant;

use self::challenge::Challenge;
use self::credential::Credential;
pub(crate) use self::credential::Secret;
pub use self::files::AuthFileError;
use self::files::AuthFiles;
use crate::Fault;
use crate::retry::Failure;
use crate::target::{Scopes, Target};
use crate::transport::Transport;

/// How long user names and passwords are kept before the auth files are read again. It spares a
/// credential helper a start per request; a changed file counts after a minute or at a 401.
const CREDENTIAL_LIFE: Duration = Duration::from_secs(60);

/// The most authorizations that are kept; beyond it all are forgotten and fetched anew. One is
/// a few KiB, and one process serves some tens of repositories.
const CACHE_LIMIT: usize = 1024;

/// An `Authorization` header, and the parts of it that `oci-client` asks for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    header: HeaderValue,
    pub(crate) kind: AuthorizationKind,
}

/// What an [`Authorization`] was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthorizationKind {
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

/// Finds the authorization for a call: challenge, credentials, token.
pub(crate) struct Authorizer {
    transport: Arc<Transport>,
    logins: Option<Arc<dyn RegistryLogins>>,
    document: Option<Arc<dyn AuthDocument>>,
    files: AuthFiles,
    /// What each registry asked for last.
    challenges: Mutex<BTreeMap<String, Challenge>>,
    granted: Mutex<BTreeMap<GrantKey, Grant>>,
}

/// Authorizations are kept per registry and scopes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GrantKey {
    registry: String,
    scopes: Scopes,
}

#[derive(Debug)]
struct Grant {
    authorization: Authorization,
    until: Instant,
}

impl Authorization {
    fn basic(user: String, password: Secret) -> Option<Self> {
        let pair = format!("{user}:{}", password.expose());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let header = sensitive(&format!("Basic {encoded}"))?;
        Some(Self {
            header,
            kind: AuthorizationKind::Basic { user, password },
        })
    }

    /// `None` if the token has characters that no header can carry.
    fn bearer(token: Secret) -> Option<Self> {
        Some(Self {
            header: sensitive(&format!("Bearer {}", token.expose()))?,
            kind: AuthorizationKind::Bearer(token),
        })
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl AuthorizationKind {
    /// The same for `oci-client`.
    pub(crate) fn to_oci(&self) -> RegistryTokenType {
        match self {
            Self::Basic { user, password } => {
                RegistryTokenType::Basic(user.clone(), password.expose().to_owned())
            }
            Self::Bearer(token) => RegistryTokenType::Bearer(RegistryToken::Token {
                token: token.expose().to_owned(),
            }),
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorization").field(&self.kind).finish()
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("files", &self.files)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

impl Authorizer {
    /// Checks that the files there are can be read; later look-ups read them anew.
    pub(crate) fn new(
        transport: Arc<Transport>,
        logins: Option<Arc<dyn RegistryLogins>>,
        document: Option<Arc<dyn AuthDocument>>,
        paths: Vec<std::path::PathBuf>,
    ) -> Result<Self, AuthFileError> {
        let files = AuthFiles::new(paths);
        files.check()?;
        Ok(Self {
            transport,
            logins,
            document,
            files,
            challenges: Mutex::default(),
            granted: Mutex::default(),
        })
    }

    /// The authorization to begin with: none until the registry has asked for one.
    pub(crate) async fn current(&self, target: &Target) -> Result<Option<Authorization>, Failure> {
        let Some(challenge) = lock(&self.challenges).get(target.registry()).cloned() else {
            return Ok(None);
        };
        let now = Instant::now();
        if let Some(grant) = lock(&self.granted).get(&GrantKey::of(target))
            && grant.until > now
        {
            return Ok(Some(grant.authorization.clone()));
        }
        self.fetch(target, &challenge).await
    }

    /// Answers a 401: takes in what the registry asks for and fetches anew. `None` if it asks
    /// for nothing that can be had.
    pub(crate) async fn renew(
        &self,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<Option<Authorization>, Failure> {
        let texts = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let Some(challenge) = Challenge::choose(texts) else {
            return Ok(None);
        };
        lock(&self.granted).remove(&GrantKey::of(target));
        lock(&self.challenges).insert(target.registry().to_owned(), challenge.clone());
        self.fetch(target, &challenge).await
    }

    /// Logins that are made come before those in files: where there are any, the files hold at
    /// best an old one.
    async fn credential(&self, target: &Target) -> Result<Credential, Failure> {
        if let Some(logins) = &self.logins {
            let made = logins.login(&target.repository).await;
            let made = made.map_err(no_login)?;
            if let Some(Login { user, password }) = made {
                return Ok(Credential::Basic { user, password });
            }
        }
        if let Some(document) = &self.document {
            let text = document.read().await.map_err(no_login)?;
            let found = files::in_document(document.name(), &text, &target.repository).await;
            if let Some(credential) = found.map_err(|error| target.credentials(error))? {
                return Ok(credential);
            }
        }
        let found = self.files.credential(&target.repository).await;
        Ok(found.map_err(|error| target.credentials(error))?)
    }

    async fn fetch(
        &self,
        target: &Target,
        challenge: &Challenge,
    ) -> Result<Option<Authorization>, Failure> {
        let credential = self.credential(target).await?;
        let granted = match challenge {
            Challenge::Basic => match credential {
                Credential::Basic { user, password } => {
                    Authorization::basic(user, password).map(|basic| (basic, CREDENTIAL_LIFE))
                }
                Credential::Bearer(token) => {
                    Authorization::bearer(token).map(|bearer| (bearer, CREDENTIAL_LIFE))
                }
                // An identity token is only good at a token server.
                Credential::Anonymous | Credential::Identity(_) => None,
            },
            Challenge::Bearer { realm, service } => Some(match credential {
                Credential::Bearer(token) => (
                    Authorization::bearer(token)
                        .ok_or_else(|| target.protocol(token::NOT_SENDABLE))?,
                    CREDENTIAL_LIFE,
                ),
                credential => {
                    token::fetch(
                        &self.transport,
                        target,
                        realm,
                        service.as_deref(),
                        &credential,
                    )
                    .await?
                }
            }),
        };
        let Some((authorization, life)) = granted else {
            return Ok(None);
        };
        let now = Instant::now();
        let mut kept = lock(&self.granted);
        if kept.len() >= CACHE_LIMIT {
            kept.clear();
        }
        kept.insert(
            GrantKey::of(target),
            Grant {
                authorization: authorization.clone(),
                until: now + life,
            },
        );
        Ok(Some(authorization))
    }
}

fn no_login(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::Passing {
        fault: Fault::Login(error),
        after: None,
    }
}

impl GrantKey {
    fn of(target: &Target) -> Self {
        Self {
            registry: target.registry().to_owned(),
            scopes: target.scopes.clone(),
        }
    }
}

/// These maps are whole after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_an_authorization_nor_its_header_shows_the_secret() {
        let basic = Authorization::basic("ann".to_owned(), Secret::new("hunter2")).unwrap();
        let bearer = Authorization::bearer(Secret::new("t0ken")).unwrap();
        for authorization in [basic, bearer] {
            let shown = format!("{authorization:?} {:?}", authorization.header());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(!shown.contains("t0ken"), "{shown}");
            assert!(!shown.contains("YW5u"), "{shown}");
        }
    }

    #[test]
    fn a_token_that_would_add_a_header_line_is_refused() {
        assert_eq!(Authorization::bearer(Secret::new("x\r\nHost: y")), None);
    }
}
