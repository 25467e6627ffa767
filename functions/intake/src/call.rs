//! How a call came that asks for something.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use iib_pipeline::intake::Asker;
use iib_request::dry_run;
use serde_json::{Value, json};

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
    /// Whether it is only to be seen what would be done.
    is_dry_run: bool,
}

impl FromRequestParts<Api> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Caller(user) = Caller::from_request_parts(parts, api).await?;
        let key = IdempotencyKey::from_request_parts(parts, api).await?;
        let Ok(builds) = BuildsUrl::from_request_parts(parts, api).await;
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, api).await;
        let is_dry_run = dry_run(&query.map(|Query(query)| query).unwrap_or_default())?;
        Ok(Self {
            user,
            builds,
            key,
            is_dry_run,
        })
    }
}

impl Call {
    /// Who asks; with the call's key if it has one, by which it is known together with what it says: what is called,
    /// and the body.
    pub(crate) fn asker(&self, says: impl FnOnce() -> Vec<Value>) -> Asker {
        let asker = Asker {
            user: self.user.clone(),
            asked_at: self.builds.base(),
            is_dry_run: self.is_dry_run,
            ..Asker::default()
        };
        let IdempotencyKey(Some(key)) = &self.key else {
            return asker;
        };
        let mut says = says();
        says.extend(self.is_dry_run.then(|| json!("dry run")));
        asker.with_key(key, &Value::Array(says))
    }
}
