//! Fetching a token (distribution's token and OAuth2 documentation).

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode};
use url::{Url, form_urlencoded};

use super::Authorization;
use super::credential::{Credential, Secret};
use crate::body::{ReadFailure, read_document};
use crate::hosts;
use crate::refusal;
use crate::retry::{Failure, is_passing};
use crate::target::Target;
use crate::transport::{Outgoing, Redirects, Transport};

/// The largest answer of a token server. Tokens that list many groups reach some tens of KiB.
const TOKEN_LIMIT: usize = 256 * 1024;

/// How long a token lasts when the server does not say (the token documentation).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// The longest a token is kept, whatever the server says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Tokens are replaced this long before they end, so that none ends on its way. Of shorter ones
/// half the life is used.
const MARGIN: Duration = Duration::from_secs(10);

/// What is wrong with a token that no header can carry.
pub(crate) const NOT_SENDABLE: &str = "the token has characters that no header can carry";

/// How we name ourselves to OAuth2 token servers, which ask for it.
const CLIENT_ID: &str = "iib-serverless";

/// A token server's answer. A token comes under either name; an empty one is none. No `Debug`: it is
/// a secret.
#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    /// In seconds; what is no whole number says nothing.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Answer {
    fn token(&self) -> Option<&str> {
        let tokens = [&self.token, &self.access_token].into_iter().flatten();
        tokens.map(String::as_str).find(|token| !token.is_empty())
    }
}

/// Fetches a token for the target's scopes, and how long to use it.
pub(crate) async fn fetch(
    transport: &Transport,
    target: &Target,
    realm: &str,
    service: Option<&str>,
    credential: &Credential,
) -> Result<(Authorization, Duration), Failure> {
    let realm = checked_realm(transport, target, realm)?;
    let (outgoing, authorization) = request(target, realm, service, credential)?;
    let response = transport
        .send(&outgoing, authorization.as_ref().map(Authorization::header))
        .await
        .map_err(|failure| failure.during(target))?;
    let status = response.status();
    if is_passing(status) {
        return Err(refusal::passing(response).await);
    }
    if !status.is_success() {
        let denied = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => true,
            // OAuth2 has it for a refresh token that is no longer good.
            StatusCode::BAD_REQUEST => matches!(credential, Credential::Identity(_)),
            _ => false,
        };
        return Err(if denied {
            target.denied(StatusCode::UNAUTHORIZED).into()
        } else {
            // Not the registry's 404: the image may well be there.
            refusal::refused(target, response).await.into()
        });
    }
    let document = match read_document(response, TOKEN_LIMIT, transport.idle_timeout()).await {
        Ok(document) => document,
        Err(ReadFailure::Fault(fault)) => return Err(fault.into()),
        Err(ReadFailure::TooLarge) => {
            return Err(target
                .protocol("its token server's answer is too large")
                .into());
        }
    };
    let answer: Answer = serde_json::from_slice(&document)
        .map_err(|_| target.protocol("its token server's answer holds no token"))?;
    let token = answer
        .token()
        .ok_or_else(|| target.protocol("its token server's answer holds no token"))?;
    let authorization =
        Authorization::bearer(&Secret::new(token)).ok_or_else(|| target.protocol(NOT_SENDABLE))?;
    Ok((authorization, life(answer.expires_in.as_u64())))
}

/// The token server's URL. Whether it may be asked is decided where all calls are sent; but plain
/// HTTP is never for a registry that is itself spoken to over TLS: its credentials would leave that.
fn checked_realm(transport: &Transport, target: &Target, realm: &str) -> Result<Url, Failure> {
    let realm = Url::parse(realm)
        .map_err(|_| target.protocol("the realm in its WWW-Authenticate header is not a URL"))?;
    let registry = hosts::api(transport.rules(), &target.repository);
    let registry_is_plain = registry.is_some_and(|url| url.scheme() == "http");
    if realm.scheme() == "http" && !registry_is_plain {
        let problem = "it is spoken to over TLS, and its token server over plain HTTP";
        return Err(target.protocol(problem).into());
    }
    Ok(realm)
}

/// A refresh token is posted as OAuth2 has it; everything else is the older GET, which every
/// token server knows.
fn request(
    target: &Target,
    mut realm: Url,
    service: Option<&str>,
    credential: &Credential,
) -> Result<(Outgoing, Option<Authorization>), Failure> {
    if let Credential::Identity(token) = credential {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("refresh_token", token.expose())
            .append_pair("scope", &target.scopes.iter().collect::<Vec<_>>().join(" "));
        if let Some(service) = service {
            form.append_pair("service", service);
        }
        let mut outgoing = Outgoing::new(Method::POST, realm);
        outgoing.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        outgoing.body = Bytes::from(form.finish());
        return Ok((outgoing, None));
    }
    {
        let mut query = realm.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in target.scopes.iter() {
            query.append_pair("scope", scope);
        }
    }
    let authorization = match credential {
        Credential::Basic { user, password } => Some(
            Authorization::basic(user, password).ok_or_else(|| target.protocol(NOT_SENDABLE))?,
        ),
        Credential::Anonymous | Credential::Identity(_) | Credential::Bearer(_) => None,
    };
    let mut outgoing = Outgoing::new(Method::GET, realm);
    outgoing.redirects = Redirects::Follow;
    Ok((outgoing, authorization))
}

fn life(expires_in: Option<u64>) -> Duration {
    let life = expires_in
        .map_or(DEFAULT_LIFE, Duration::from_secs)
        .min(LONGEST_LIFE);
    life.saturating_sub(MARGIN).max(life / 2)
}

#[cfg(test)]
mod tests {
    use iib_oci::Repository;

    use super::*;

    #[test]
    fn a_token_is_used_for_a_little_less_than_it_lasts() {
        for (expires_in, seconds) in [
            (None, 50),
            (Some(300), 290),
            (Some(8), 4),
            (Some(0), 0),
            (Some(u64::MAX), 24 * 60 * 60 - 10),
        ] {
            assert_eq!(life(expires_in), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_plain_token_server_is_never_for_a_registry_over_tls() {
        let config = crate::RegistryConfig {
            insecure_registries: ["plain.example:5000", "auth.example:80"]
                .map(str::to_owned)
                .into(),
            ..crate::RegistryConfig::default()
        };
        let transport = Transport::new(&config).unwrap();
        for (registry, realm, accepted) in [
            ("plain.example:5000", "http://auth.example/token", true),
            ("plain.example:5000", "https://any.example/token", true),
            ("tls.example", "https://any.example/token", true),
            ("tls.example", "http://auth.example/token", false),
            ("tls.example", "/token", false),
        ] {
            let target = Target::logins(&Repository::new(registry, "a").unwrap());
            let checked = checked_realm(&transport, &target, realm);
            assert_eq!(checked.is_ok(), accepted, "{registry} {realm}");
        }
    }

    #[test]
    fn a_token_is_read_under_either_name() {
        for document in [
            r#"{"token":"t"}"#,
            r#"{"access_token":"t","expires_in":300,"issued_at":"2026-01-01T00:00:00Z"}"#,
            r#"{"token":"t","access_token":"t","refresh_token":"r"}"#,
        ] {
            let answer: Answer = serde_json::from_str(document).unwrap();
            assert_eq!(answer.token(), Some("t"));
        }
        for (document, token) in [
            (r#"{"token":"","access_token":"t"}"#, Some("t")),
            (
                r#"{"token":null,"access_token":"t","expires_in":-1}"#,
                Some("t"),
            ),
            (r#"{"token":"t","expires_in":"300"}"#, Some("t")),
            (r#"{"expires_in":60}"#, None),
            (r#"{"token":""}"#, None),
        ] {
            let answer: Answer = serde_json::from_str(document).unwrap();
            assert_eq!(answer.token(), token, "{document}");
        }
    }
}
