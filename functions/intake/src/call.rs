//! How a call came that asks for something.

use axum::extract::{FromRequestParts, Query};
use http::header;
use http::request::Parts;
use iib_pipeline::intake::Asker;
use iib_request::{BaseUrl, dry_run};
use serde_json::{Value, json};

use crate::api::Api;
use crate::caller::Caller;
use crate::key::IdempotencyKey;
use crate::problem::{Problem, types};
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

/// A call that does what it says: one that is only to show what it would do is refused where there is nothing to show.
pub(crate) struct ForReal;

impl FromRequestParts<Api> for ForReal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, api).await;
        match dry_run(&query.map(|Query(query)| query).unwrap_or_default())? {
            false => Ok(Self),
            true => Err(Problem::new(
                &types::PARAMETER,
                "\"dry_run\" is for calls that make requests: this one would be done, so leave it away",
            )),
        }
    }
}

/// A call that no page of another site makes: a browser says whose page it is, and whoever has logged in there, or is
/// let in because of the address, would do what the page wants.
pub(crate) struct SameSite;

impl FromRequestParts<Api> for SameSite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let Some(origin) = parts.headers.get(header::ORIGIN) else {
            return Ok(Self);
        };
        let page = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"));
        let public = api.intake.api.public_url.as_ref().map(BaseUrl::host);
        let mut own = header(header::HOST).into_iter().chain(public);
        match page {
            Some((_, page)) if own.any(|own| own.eq_ignore_ascii_case(page)) => Ok(Self),
            _ => Err(Problem::new(
                &types::FOREIGN_PAGE,
                "A page of another site called: nothing was done",
            )),
        }
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
