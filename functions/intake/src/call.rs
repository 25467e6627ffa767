//! How a call came that asks for something.

use axum::extract::FromRequestParts;
use http::request::Parts;
use iib_pipeline::intake::Asker;
use serde_json::Value;

use crate::api::Api;
use crate::caller::Caller;
use crate::key::IdempotencyKey;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;

/// Who asks, and how: all that a call says beside its body.
pub(crate) struct Call {
    /// The user, if known.
    pub(crate) user: Option<String>,
    /// The address that was called.
    pub(crate) builds: BuildsUrl,
    key: IdempotencyKey,
}

impl FromRequestParts<Api> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Caller(user) = Caller::from_request_parts(parts, api).await?;
        let key = IdempotencyKey::from_request_parts(parts, api).await?;
        let Ok(builds) = BuildsUrl::from_request_parts(parts, api).await;
        Ok(Self { user, builds, key })
    }
}

impl Call {
    /// Who asks; with the call's key if it has one, by which it is known together with what it says: what is called,
    /// and the body.
    pub(crate) fn asker(&self, says: impl FnOnce() -> Vec<Value>) -> Asker {
        let asker = Asker {
            user: self.user.clone(),
            asked_at: self.builds.base(),
            ..Asker::default()
        };
        match &self.key {
            IdempotencyKey(Some(key)) => asker.with_key(key, &Value::Array(says())),
            IdempotencyKey(None) => asker,
        }
    }
}
