//! The body of a call.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use iib_request::Members;
use serde_json::{Map, Value};

use crate::BODY_LIMIT;
use crate::problem::{Problem, types};

/// A body that is JSON. Checked in the order of spec rest-api §1: media type, JSON. Not `Debug`,
/// because tokens are in it.
pub(crate) struct Body(pub(crate) Value);

/// A body that is a JSON object, which is checked after that.
pub(crate) struct Payload(pub(crate) Map<String, Value>);

/// The same, which may be left out: then nothing is asked for besides.
pub(crate) struct OptionalPayload(pub(crate) Map<String, Value>);

/// The same, with its members in the order in which they were sent.
pub(crate) struct Ordered(pub(crate) Members);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|_| Problem::malformed())
    }
}

impl<S: Send + Sync> FromRequest<S> for OptionalPayload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let says_json = is_json(request.headers());
        let bytes = read_any(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        if !says_json {
            return Err(Problem::no_json());
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Problem::not_an_object()),
            Err(_) => Err(Problem::malformed()),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Body::from_request(request, state).await? {
            Body(Value::Object(members)) => Ok(Self(members)),
            Body(_) => Err(Problem::not_an_object()),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Ordered {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err(Problem::not_an_object()),
            Err(_) => return Err(Problem::malformed()),
        }
        let members = serde_json::from_slice(&bytes);
        members.map(Self).map_err(|_| Problem::malformed())
    }
}

/// The bytes of a body that says it is JSON.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::no_json());
    }
    read_any(request, state).await
}

async fn read_any<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                &types::BODY_TOO_LARGE,
                format!(
                    "The body is larger than {BODY_LIMIT} bytes, which is the most that is read: split it into several requests."
                ),
            ),
            // The client went away or broke the protocol while it sent.
            _ => Problem::malformed(),
        })
}

/// Whether the media type is `application/json` or `application/*+json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}
