//! Who we are to a registry.

mod challenge;
mod credential;
mod files;
mod lookup;
mod mask;
mod search;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iib_ports::{AuthDocument, Keyring, Login, RegistryLogins};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::Instant;

use self::challenge::Challenge;
use self::credential::Credential;
pub(crate) use self::credential::Secret;
pub use self::files::AuthFileError;
use self::files::AuthFiles;
use self::lookup::given;
pub use self::search::{LoginSearch, Outcome, Place};
use crate::Fault;
use crate::retry::Failure;
use crate::target::{Scopes, Target};
use crate::transport::Transport;

/// How long user names and passwords are kept before the auth files are read again. It spares a
/// credential helper a start per request; a changed file counts after a minute or at a 401.
const CREDENTIAL_LIFE: Duration = Duration::from_secs(60);

/// Where made logins come from, for messages.
const MADE: &str = "the service's own account (ECR)";

/// Where the logins of a keyring come from, for messages.
const GIVEN: &str = "what was given with the request";

/// The most authorizations that are kept; beyond it all are forgotten and fetched anew. One is
/// a few KiB, and one process serves some tens of repositories.
const CACHE_LIMIT: usize = 1024;

/// An `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authorization(HeaderValue);

/// Finds the authorization for a call: challenge, credentials, token. One for each identity, over
/// what all of them share.
pub(crate) struct Authorizer {
    shared: Arc<Shared>,
    keyring: Keyring,
    /// What registries granted to this identity.
    granted: Mutex<BTreeMap<GrantKey, Grant>>,
}

/// What does not depend on who asks: the service's own logins, and what registries ask for.
struct Shared {
    transport: Arc<Transport>,
    logins: Option<Arc<dyn RegistryLogins>>,
    document: Option<Arc<dyn AuthDocument>>,
    files: AuthFiles,
    /// What each registry asked for last.
    challenges: Mutex<BTreeMap<String, Challenge>>,
    /// Registries that ask nobody for a login, as they said at `/v2/`. Held while one is asked, so
    /// that all calls that were refused at once hear the one answer.
    open: tokio::sync::Mutex<BTreeSet<String>>,
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
    fn basic(user: &str, password: &Secret) -> Option<Self> {
        let pair = credential::pair(user, password);
        sensitive(&format!("Basic {}", pair.expose())).map(Self)
    }

    /// `None` if the token has characters that no header can carry.
    fn bearer(token: &Secret) -> Option<Self> {
        sensitive(&format!("Bearer {}", token.expose())).map(Self)
    }

    /// What stands behind the scheme, and the password that may be in it.
    fn secrets(&self) -> Vec<Secret> {
        match self.0.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some(("Basic", pair)) => credential::password(pair)
                .into_iter()
                .chain([Secret::new(pair)])
                .collect(),
            Some((_, token)) => vec![Secret::new(token)],
            None => Vec::new(),
        }
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorization").field(&self.0).finish()
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("files", &self.shared.files)
            .field("keyring", &self.keyring)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

impl Authorizer {
    /// The service's own identity. Checks that the files there are can be read; later look-ups read
    /// them anew.
    pub(crate) fn new(
        transport: Arc<Transport>,
        logins: Option<Arc<dyn RegistryLogins>>,
        document: Option<Arc<dyn AuthDocument>>,
        paths: Vec<std::path::PathBuf>,
    ) -> Result<Self, AuthFileError> {
        let files = AuthFiles::new(paths);
        files.check()?;
        let shared = Shared {
            transport,
            logins,
            document,
            files,
            challenges: Mutex::default(),
            open: tokio::sync::Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            keyring: Keyring::Own,
            granted: Mutex::default(),
        })
    }

    /// Another identity, which has been granted nothing yet.
    pub(crate) fn with(&self, keyring: Keyring) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            keyring,
            granted: Mutex::default(),
        }
    }

    /// Registries that ask nobody for a login, for the time it takes to ask one more.
    pub(crate) async fn open(&self) -> tokio::sync::MutexGuard<'_, BTreeSet<String>> {
        self.shared.open.lock().await
    }

    /// The authorization to begin with: none until the registry has asked for one.
    pub(crate) async fn current(&self, target: &Target) -> Result<Option<Authorization>, Failure> {
        let Some(challenge) = lock(&self.shared.challenges)
            .get(target.registry())
            .cloned()
        else {
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
        lock(&self.shared.challenges).insert(target.registry().to_owned(), challenge.clone());
        self.fetch(target, &challenge).await
    }

    /// Whether there is a login to show, should the registry ask for one.
    pub(crate) async fn has_login(&self, target: &Target) -> Result<bool, Failure> {
        Ok(self.credential(target).await? != Credential::Anonymous)
    }

    /// Where a login for the target is looked for.
    pub(crate) async fn search(&self, target: &Target) -> Result<LoginSearch, Failure> {
        let (_, places) = self.look_up(target).await?;
        Ok(LoginSearch::new(&target.repository, places))
    }

    /// The user name and password for the target, if that is what there is.
    pub(crate) async fn login(&self, target: &Target) -> Result<Option<Login>, Failure> {
        Ok(match self.credential(target).await? {
            Credential::Basic { user, password } => Some(Login { user, password }),
            Credential::Anonymous | Credential::Identity(_) | Credential::Bearer(_) => None,
        })
    }

    /// A text of a registry, without the login that was shown to it.
    pub(crate) async fn masked(&self, target: &Target, text: String) -> String {
        let mut secrets: Vec<Secret> = lock(&self.granted)
            .iter()
            .filter(|(key, _)| key.registry == target.registry())
            .flat_map(|(_, grant)| grant.authorization.secrets())
            .collect();
        // Where none can be found now, what was shown before is known by its grant.
        if let Ok(credential) = self.credential(target).await {
            secrets.extend(credential.secrets());
        }
        mask::mask(text, &secrets)
    }

    async fn credential(&self, target: &Target) -> Result<Credential, Failure> {
        Ok(self.look_up(target).await?.0)
    }

    /// Logins of the request come first. Those that are made come before those in files: where there
    /// are any, the files hold at best an old one.
    async fn look_up(&self, target: &Target) -> Result<(Credential, Vec<Place>), Failure> {
        let repository = &target.repository;
        let mut places = Vec::new();
        if let Keyring::Given(logins) = &self.keyring {
            let (credential, outcome) = given(logins, repository);
            places.push(Place::new(GIVEN, outcome));
            if credential != Credential::Anonymous {
                return Ok((credential, places));
            }
        }
        if let Some(logins) = &self.shared.logins
            && let Some(Login { user, password }) =
                logins.login(repository).await.map_err(no_login)?
        {
            places.push(Place::new(MADE, Outcome::Made));
            return Ok((Credential::Basic { user, password }, places));
        }
        if let Some(document) = &self.shared.document {
            let text = document.read().await.map_err(no_login)?;
            let found = files::in_document(document.name(), &text, repository, &mut places).await;
            if let Some(credential) = found.map_err(|error| target.credentials(error))? {
                return Ok((credential, places));
            }
        }
        let found = self.shared.files.credential(repository, &mut places).await;
        let found = found.map_err(|error| target.credentials(error))?;
        Ok((found.unwrap_or(Credential::Anonymous), places))
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
                    Authorization::basic(&user, &password).map(|basic| (basic, CREDENTIAL_LIFE))
                }
                Credential::Bearer(token) => {
                    Authorization::bearer(&token).map(|bearer| (bearer, CREDENTIAL_LIFE))
                }
                // An identity token is only good at a token server.
                Credential::Anonymous | Credential::Identity(_) => None,
            },
            Challenge::Bearer { realm, service } => Some(match credential {
                Credential::Bearer(token) => (
                    Authorization::bearer(&token)
                        .ok_or_else(|| target.protocol(token::NOT_SENDABLE))?,
                    CREDENTIAL_LIFE,
                ),
                credential => {
                    token::fetch(
                        &self.shared.transport,
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
        let basic = Authorization::basic("ann", &Secret::new("hunter2")).unwrap();
        let bearer = Authorization::bearer(&Secret::new("t0ken")).unwrap();
        for authorization in [basic, bearer] {
            let shown = format!("{authorization:?} {:?}", authorization.header());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(!shown.contains("t0ken"), "{shown}");
            assert!(!shown.contains("YW5u"), "{shown}");
        }
    }

    #[test]
    fn a_token_that_would_add_a_header_line_is_refused() {
        assert_eq!(Authorization::bearer(&Secret::new("x\r\nHost: y")), None);
    }
}
