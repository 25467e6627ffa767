//! The key under which a call may be repeated.

use axum::extract::FromRequestParts;
use http::HeaderName;
use http::request::Parts;
use iib_pipeline::intake::{Key, KeyError};

use crate::api::Api;
use crate::problem::{Problem, types};

/// The header that has it.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// It says in an answer that the call was answered before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The `Idempotency-Key` of a call, if it has one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(pub(crate) Option<Key>);

impl FromRequestParts<Api> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(&IDEMPOTENCY_KEY).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => match value.to_str() {
                Ok(text) => text.parse(),
                Err(_) => Err(KeyError::Characters),
            },
            (Some(_), Some(_)) => Err(KeyError::Several),
        };
        let key = key.map_err(|fault| Problem::new(&types::PARAMETER, fault.to_string()))?;
        Ok(Self(Some(key)))
    }
}
