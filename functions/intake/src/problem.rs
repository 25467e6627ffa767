//! From errors to answers.

mod document;
pub(crate) mod types;

use std::borrow::Cow;
use std::error::Error;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use iib_pipeline::intake::IntakeError;
use iib_ports::{SecretError, StoreError, TokenError, chain};
use iib_request::Refusal;
use serde_json::json;
use tracing::{error, info};

use document::Told;
pub(crate) use document::{PAGES, into_document, is_accepted, told};
use types::ProblemType;

use crate::answer::ANSWER_LIMIT;

/// Seconds after which somebody may ask again who has too many requests that go on: some end in that time.
const RETRY_AFTER: u32 = 30;

/// An answer that is an error: `{"error": "<text>"}`. Clients compare these objects as a whole,
/// so there is nothing else in them (spec rest-api §1).
#[derive(Debug)]
pub(crate) struct Problem {
    kind: &'static ProblemType,
    text: Cow<'static, str>,
    /// The parameter that it is about.
    field: Option<&'static str>,
    /// Seconds after which the same call may be taken.
    retry_after: Option<u32>,
    /// What it takes to be let in, for `WWW-Authenticate`.
    challenge: Option<Cow<'static, str>>,
    /// For our logs, never for the client.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    pub(crate) fn new(kind: &'static ProblemType, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            field: None,
            retry_after: None,
            challenge: None,
            cause: None,
        }
    }

    fn caused_by(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    pub(crate) fn malformed() -> Self {
        Self::new(
            &types::MALFORMED,
            "The browser (or proxy) sent a request that this server could not understand.",
        )
    }

    pub(crate) fn not_an_object() -> Self {
        Self::new(
            &types::NOT_AN_OBJECT,
            "The input data must be a JSON object",
        )
    }

    pub(crate) fn no_json() -> Self {
        Self::new(
            &types::MEDIA_TYPE,
            "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
        )
    }

    pub(crate) fn not_a_worker() -> Self {
        Self::new(
            &types::NOT_A_WORKER,
            "This API endpoint is restricted to IIB workers",
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            &types::UNAUTHORIZED,
            "The server could not verify that you are authorized to access the URL requested. You either supplied the wrong credentials (e.g. a bad password), or your browser doesn't understand how to supply the credentials required.",
        )
    }

    /// A token is needed, and there is none.
    pub(crate) fn no_token() -> Self {
        Self {
            challenge: Some("Bearer".into()),
            ..Self::unauthorized()
        }
    }

    /// There is a token that says nothing about its user. The contract's text says the same of all; what is
    /// wrong stands in the challenge (RFC 6750, section 3).
    pub(crate) fn bad_token(why: &str) -> Self {
        // What is quoted there has no quotes in it.
        let why = why.replace(
            |c: char| c == '"' || c == '\\' || !(' '..='~').contains(&c),
            "",
        );
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{why}\"");
        Self {
            challenge: Some(challenge.into()),
            ..Self::unauthorized()
        }
    }

    /// The token says who its user is, and that he may do other things (RFC 6750, section 3.1).
    pub(crate) fn no_scope(scopes: &str) -> Self {
        let why = format!("it has none of the scopes {scopes}");
        let challenge = format!(
            "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", error_description=\"{why}\""
        );
        Self {
            challenge: Some(challenge.into()),
            ..Self::new(
                &types::NO_SCOPE,
                format!("The token is not for this: {why}"),
            )
        }
    }

    pub(crate) fn answer_too_large(instead: &str) -> Self {
        Self::new(
            &types::ANSWER_TOO_LARGE,
            format!("The answer would be larger than {ANSWER_LIMIT} bytes: {instead}."),
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(&types::NOT_FOUND, "The requested resource was not found")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            &types::METHOD,
            "The method is not allowed for the requested URL.",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            &types::INTERNAL,
            "The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.",
        )
    }

    pub(crate) fn unhealthy(cause: StoreError) -> Self {
        Self::new(&types::UNHEALTHY, "Database health check failed.").caused_by(cause)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Refused(why) => {
                info!(why, "a token is not accepted");
                Self::bad_token(why)
            }
            TokenError::Scope(scopes) => {
                info!(scopes, "a token is for other things");
                Self::no_scope(scopes)
            }
            _ => Self {
                retry_after: Some(RETRY_AFTER),
                ..Self::new(
                    &types::NO_ISSUER,
                    "Nobody can be let in with a token now: the issuer's keys cannot be read. Try again later.",
                )
            }
            .caused_by(error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            field: refusal.field(),
            ..Self::new(types::of(&refusal), refusal.to_string())
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match &error {
            IntakeError::NotFound(_) | IntakeError::NoDocument(_) => Self::not_found(),
            IntakeError::Failed(..)
            | IntakeError::NeverKept(..)
            | IntakeError::PutBack(..)
            | IntakeError::NoCatalog(..) => Self::new(&types::NO_DOCUMENT, error.to_string()),
            IntakeError::NotFinished(..) | IntakeError::NotPlanned(_) => {
                Self::new(&types::NOT_FINISHED, error.to_string())
            }
            IntakeError::OtherKind { .. } => Self::new(&types::OTHER_KIND, error.to_string()),
            IntakeError::NoPackages(_)
            | IntakeError::SeveralPackages { .. }
            | IntakeError::OtherPackages { .. } => Self::new(&types::PACKAGE, error.to_string()),
            IntakeError::GraphTooLarge { .. } => {
                Self::new(&types::ANSWER_TOO_LARGE, error.to_string())
            }
            IntakeError::Expired(_) | IntakeError::ExpiredInFolder(..) => {
                Self::new(&types::EXPIRED, error.to_string())
            }
            IntakeError::NotInFolder(..) | IntakeError::NotCustomized(..) => {
                Self::new(&types::DOCUMENT_MISSING, error.to_string()).caused_by(error)
            }
            IntakeError::Schedule { .. } => {
                Self::new(&types::NOT_SCHEDULED, error.to_string()).caused_by(error)
            }
            IntakeError::Refused(refusal) => refusal.clone().into(),
            IntakeError::SomebodyElses(_) => Self::new(&types::SOMEBODY_ELSES, error.to_string()),
            IntakeError::NotCancelled(..) => Self::new(&types::NOT_CANCELLED, error.to_string()),
            IntakeError::OtherCall(_) => Self::new(&types::OTHER_CALL, error.to_string()),
            IntakeError::TooManyLive { .. } => Self {
                retry_after: Some(RETRY_AFTER),
                ..Self::new(&types::TOO_MANY_LIVE, error.to_string())
            },
            IntakeError::Secret {
                source: SecretError::TooLarge { .. },
                ..
            } => Self::new(&types::SECRET_TOO_LARGE, error.to_string()),
            IntakeError::Store(_)
            | IntakeError::Secret { .. }
            | IntakeError::Nothing
            | IntakeError::Artifact(_)
            | IntakeError::Unreadable { .. } => Self::internal().caused_by(error),
        }
    }
}

impl Problem {
    /// Its text, for an answer that has more in it; what caused it is logged.
    pub(crate) fn into_text(self) -> String {
        self.log();
        self.text.into_owned()
    }

    /// Whether it is the service that failed.
    pub(crate) fn is_ours(&self) -> bool {
        self.kind.status.is_server_error()
    }

    fn log(&self) {
        if let Some(cause) = &self.cause {
            let status = self.kind.status.as_u16();
            error!(
                http.status = status,
                error = chain(cause.as_ref()),
                "call failed"
            );
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let document = Json(json!({ "error": self.text }));
        let mut answer = (self.kind.status, document).into_response();
        let vary = HeaderValue::from_static("accept");
        answer.headers_mut().insert(header::VARY, vary);
        answer.extensions_mut().insert(Told {
            kind: self.kind,
            text: self.text.into_owned(),
            field: self.field,
        });
        if let Some(seconds) = self.retry_after {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = &self.challenge
            && let Ok(challenge) = HeaderValue::from_str(challenge)
        {
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_logged_as_a_chain_and_not_returned() {
        let store = StoreError::Unavailable {
            action: "be opened",
            source: "disk full".into(),
        };
        let problem = Problem::from(IntakeError::Store(store));
        assert_eq!(problem.text, Problem::internal().text);
        assert_eq!(
            chain(problem.cause.unwrap().as_ref()),
            "the store of requests failed: the request store could not be opened: disk full"
        );
    }
}
