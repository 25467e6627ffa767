//! The body of a call.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::BODY_LIMIT;
use crate::problem::Problem;

/// A body that is a JSON object. Checked in the order of spec rest-api §1: media type, JSON,
/// object. Not `Debug`, because tokens are in it.
pub(crate) struct Payload(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
            ));
        }
        let body = match Bytes::from_request(request, state).await {
            Ok(body) => body,
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "The body is larger than {BODY_LIMIT} bytes, which is the most that is read: split it into several requests."
                    ),
                ));
            }
            // The client went away or broke the protocol while it sent.
            Err(_) => return Err(Problem::malformed()),
        };
        match serde_json::from_slice(&body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "The input data must be a JSON object",
            )),
            Err(_) => Err(Problem::malformed()),
        }
    }
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
