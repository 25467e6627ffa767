#![doc = include_str!("../README.md")]

mod keys;

use std::collections::HashSet;

use async_trait::async_trait;
use iib_ports::{TokenError, Tokens};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

pub use keys::IssuerError;
use keys::Keys;

/// Longest token that is looked at, bytes; gateways take no longer headers.
const LONGEST: usize = 16 * 1024;

/// Signatures of key pairs. With a secret that both know, whoever can verify could sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An issuer of tokens. Its keys are read when the first token comes.
#[derive(Debug)]
pub struct Issuer {
    keys: Keys,
    audiences: HashSet<String>,
    scopes: Vec<String>,
}

impl Issuer {
    /// The issuer with this address, as it stands in `iss`; its keys are asked for with a client that is
    /// made of this one to be. Tokens have to be for
    /// one of the audiences.
    ///
    /// # Errors
    /// [`IssuerError`] if the address is none, or no HTTP client can be set up.
    pub fn new(
        issuer: &str,
        audiences: impl IntoIterator<Item = String>,
        client: reqwest::ClientBuilder,
    ) -> Result<Self, IssuerError> {
        Ok(Self {
            keys: Keys::new(issuer, client)?,
            audiences: audiences.into_iter().collect(),
            scopes: Vec::new(),
        })
    }

    /// The same, whose tokens have to have one of these scopes; none: whatever they have will do.
    #[must_use]
    pub fn with_scopes(self, scopes: Vec<String>) -> Self {
        Self { scopes, ..self }
    }

    /// What a valid token has to have beside its signature.
    fn rules(&self, algorithm: Algorithm) -> Validation {
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[self.keys.issuer()]);
        rules.set_required_spec_claims(&["exp", "iss"]);
        rules.validate_nbf = true;
        // Looked at here, because it may stand in another claim.
        rules.validate_aud = false;
        rules
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let is_ours = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| self.audiences.contains(text))
        };
        match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => claims.get("client_id").is_some_and(is_ours),
        }
    }

    /// Whether the token lets its user do what is done here: `scope` (RFC 8693, section 4.2), words with spaces between, or
    /// `scp` of those issuers that call it so, words or a list.
    fn has_scope(&self, claims: &Map<String, Value>) -> bool {
        let is_asked = |word: &str| self.scopes.iter().any(|scope| scope == word);
        let mut given = ["scope", "scp"].iter().filter_map(|name| claims.get(*name));
        self.scopes.is_empty()
            || given.any(|given| match given {
                Value::String(words) => words.split(' ').any(is_asked),
                Value::Array(list) => list.iter().filter_map(Value::as_str).any(is_asked),
                _ => false,
            })
    }
}

#[async_trait]
impl Tokens for Issuer {
    async fn claims(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        if token.len() > LONGEST {
            return Err(refused(format!("it is longer than {LONGEST} bytes")));
        }
        let header = decode_header(token).map_err(|_| {
            refused("it is no JSON Web Token, or signed in a way that is not known here")
        })?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(refused("it is not signed with one of a pair of keys"));
        }
        let key = self.keys.find(header.kid.as_deref()).await?;
        let key = key.ok_or_else(|| refused("the issuer has no such key"))?;
        let named = key.common.key_algorithm;
        if named.is_some_and(|named| named != header.alg.into()) {
            return Err(refused("its key is for another algorithm"));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| refused("its key cannot be used"))?;
        let token = decode::<Map<String, Value>>(token, &key, &self.rules(header.alg));
        let claims = token.map_err(|error| refused(why(error.kind())))?.claims;
        if !self.is_for_us(&claims) {
            return Err(refused("it is for another audience"));
        }
        match self.has_scope(&claims) {
            true => Ok(claims),
            false => Err(TokenError::Scope(self.scopes.join(" "))),
        }
    }
}

fn refused(why: impl Into<String>) -> TokenError {
    TokenError::Refused(why.into())
}

/// Nothing of the token itself is told: some errors have pieces of it in their text.
fn why(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => {
            "it does not say when it expires, in seconds"
        }
        ErrorKind::MissingRequiredClaim(_) => "it does not say whose it is",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => "its key is of another kind",
        _ => "it cannot be read",
    }
}
