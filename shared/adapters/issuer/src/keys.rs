//! The issuer's keys: where they are, and how long they count.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iib_ports::TokenError;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tracing::warn;
use url::Url;

/// Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Age from which on keys are read again.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// Age up to which they count while the issuer cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after reading keys, or trying to, that is not done again: a token may name any key, and anybody can make
/// one.
const PAUSE: Duration = Duration::from_secs(60);
/// The same after a failure, while there are no keys at all.
const SHORT_PAUSE: Duration = Duration::from_secs(10);
/// Longest time for each of the two documents.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document, bytes.
const LARGEST: usize = 1024 * 1024;

/// No issuer can be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The address is none.
    #[error(
        "`{0}` is no address of an issuer: write it as in its tokens, such as https://id.example.com"
    )]
    Address(String),
    /// The HTTP client cannot be set up.
    #[error("no HTTP client can be set up")]
    Http(#[from] reqwest::Error),
}

#[derive(Debug)]
pub(crate) struct Keys {
    issuer: String,
    http: reqwest::Client,
    kept: Mutex<Kept>,
    /// Held by whoever reads them.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Vec<Jwk>,
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// Why they could not be read when that was tried last, if it failed.
    failure: Option<String>,
}

impl Kept {
    fn is_younger(&self, age: Duration) -> bool {
        self.read_at.is_some_and(|read_at| read_at.elapsed() < age)
    }

    /// The key, if it is known and was read within this time.
    fn known(&self, name: Option<&str>, age: Duration) -> Option<Jwk> {
        self.pick(name).filter(|_| self.is_younger(age)).cloned()
    }

    fn has_read(&mut self, keys: Vec<Jwk>) {
        self.keys = keys;
        self.failure = None;
        self.tried_at = Some(Instant::now());
        self.read_at = self.tried_at;
    }

    fn has_tried(&mut self, failure: String) {
        self.failure = Some(failure);
        self.tried_at = Some(Instant::now());
    }

    fn may_be_read(&self) -> bool {
        let pause = match self.is_younger(USABLE) {
            true => PAUSE,
            false => SHORT_PAUSE,
        };
        self.tried_at
            .is_none_or(|tried_at| tried_at.elapsed() >= pause)
    }

    fn pick(&self, name: Option<&str>) -> Option<&Jwk> {
        match (name, &self.keys[..]) {
            (Some(name), keys) => keys
                .iter()
                .find(|key| key.common.key_id.as_deref() == Some(name)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    /// Some may be of kinds that are not known here.
    keys: Vec<Value>,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0} is longer than {LARGEST} bytes")]
    TooLong(Url),
    #[error("{0} is not what it should be")]
    NotJson(Url, #[source] serde_json::Error),
    #[error("{0} says that it is {1}: set api.jwt_issuer to that, if it is meant")]
    OtherIssuer(Url, String),
    #[error("{0} has no key that can be used")]
    None(String),
    #[error("its keys are at `{0}`, which is no address, or not as safe as its own")]
    Place(String),
}

impl Keys {
    pub(crate) fn new(issuer: &str, client: ClientBuilder) -> Result<Self, IssuerError> {
        let url = Url::parse(issuer).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| IssuerError::Address(issuer.to_owned()))?;
        let http = client
            .timeout(TIMEOUT)
            .redirect(Policy::limited(3))
            .https_only(url.scheme() == "https")
            .build()?;
        Ok(Self {
            issuer: issuer.to_owned(),
            http,
            kept: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key with this name, or the only one.
    pub(crate) async fn find(&self, name: Option<&str>) -> Result<Option<Jwk>, TokenError> {
        if let Some(key) = self.kept().known(name, FRESH) {
            return Ok(Some(key));
        }
        let usable = self.kept().known(name, USABLE);
        // Whoever comes while they are read uses what is known, or waits for them, and reads none himself.
        let reading = match (self.reading.try_lock(), usable) {
            (Ok(reading), _) => reading,
            (Err(_), Some(key)) => return Ok(Some(key)),
            (Err(_), None) => self.reading.lock().await,
        };
        if let Some(key) = self.kept().known(name, FRESH) {
            return Ok(Some(key));
        }
        if self.kept().may_be_read() {
            // Also if whoever asks does not wait for the end of it.
            self.kept()
                .has_tried("reading them did not come to an end".to_owned());
            match self.read().await {
                Ok(keys) => self.kept().has_read(keys),
                Err(error) => {
                    let error = iib_ports::chain(&*error);
                    warn!(
                        event = "issuer_unreachable",
                        issuer = self.issuer,
                        error,
                        "the issuer's keys cannot be read"
                    );
                    self.kept().has_tried(error);
                }
            }
        }
        drop(reading);
        let kept = self.kept();
        // One that is not known may be a new one, if the keys could not be read.
        match (kept.known(name, USABLE), &kept.failure) {
            (Some(key), _) => Ok(Some(key)),
            (None, None) => Ok(None),
            (None, Some(failure)) => Err(TokenError::NoKeys {
                issuer: self.issuer.clone(),
                source: failure.clone().into(),
            }),
        }
    }

    // It is changed by nothing that can panic halfway.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Vec<Jwk>, Box<dyn Error + Send + Sync>> {
        let place = format!("{}{DISCOVERY}", self.issuer.trim_end_matches('/'));
        let place = Url::parse(&place)?;
        let found: Discovery = self.document(&place).await?;
        if found.issuer != self.issuer {
            return Err(Unusable::OtherIssuer(place, found.issuer).into());
        }
        let keys = Url::parse(&found.jwks_uri).ok();
        let keys = keys.filter(|keys| keys.scheme() == "https" || keys.scheme() == place.scheme());
        let keys = keys.ok_or_else(|| Unusable::Place(found.jwks_uri.clone()))?;
        let set: KeySet = self.document(&keys).await?;
        let known = |key| serde_json::from_value::<Jwk>(key).ok();
        let keys = set.keys.into_iter().filter_map(known);
        let signs = |key: &Jwk| {
            let uses = key.common.public_key_use.as_ref();
            uses.is_none_or(|uses| *uses == PublicKeyUse::Signature)
        };
        let keys: Vec<Jwk> = keys.filter(signs).collect();
        match keys.is_empty() {
            true => Err(Unusable::None(found.jwks_uri).into()),
            false => Ok(keys),
        }
    }

    async fn document<T: DeserializeOwned>(
        &self,
        place: &Url,
    ) -> Result<T, Box<dyn Error + Send + Sync>> {
        let mut answer = self
            .http
            .get(place.clone())
            .send()
            .await?
            .error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > LARGEST {
                return Err(Unusable::TooLong(place.clone()).into());
            }
        }
        let read = serde_json::from_slice(&text);
        Ok(read.map_err(|source| Unusable::NotJson(place.clone(), source))?)
    }
}
