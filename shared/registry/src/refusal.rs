//! Answers that are no success, as errors.

use iib_ports::RegistryError;
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Response, StatusCode};

use crate::Fault;
use crate::body::{host_of, read_error};
use crate::retry::{Failure, is_passing, retry_after};
use crate::target::{Access, Target};

/// The longest reason that is passed on, in characters.
const REASON_LIMIT: usize = 300;

/// The code of a digest that does not fit.
const DOUBTED_DIGEST: &str = "DIGEST_INVALID";

/// The answer if it is a success, otherwise what it means.
pub(crate) async fn accept(target: &Target, response: Response) -> Result<Response, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(failure(target, response).await)
}

/// The same for a manifest that was pushed. A registry that doubts a digest there read a file of
/// its own that somebody else was just writing, who pushes the same layers to the same repository
/// (distribution's links to layers are not written in one step): ours is calculated from the bytes.
pub(crate) async fn accept_manifest(
    target: &Target,
    response: Response,
) -> Result<Response, Failure> {
    if response.status() != StatusCode::BAD_REQUEST {
        return accept(target, response).await;
    }
    let (host, status) = (host_of(&response), response.status().as_u16());
    let reason = reason(&read_error(response).await);
    if reason.starts_with(DOUBTED_DIGEST) {
        let fault = Fault::Status {
            host,
            status,
            reason,
        };
        return Err(Failure::Passing { fault, after: None });
    }
    Err(RegistryError::Refused {
        registry: target.registry().to_owned(),
        what: target.what.clone(),
        status,
        reason,
    }
    .into())
}

/// What an answer other than a success means.
pub(crate) async fn failure(target: &Target, response: Response) -> Failure {
    let status = response.status();
    if is_passing(status) {
        return passing(response).await;
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => target.denied(status).into(),
        // For an upload it is the repository that is missing, or the session: the registry says.
        StatusCode::NOT_FOUND if target.access == Access::Read => target.not_found().into(),
        _ if status.is_redirection() => target
            .protocol("it redirects a call that registries answer themselves")
            .into(),
        _ => refused(target, response).await.into(),
    }
}

/// The answer as a refusal, with the reason it gives.
pub(crate) async fn refused(target: &Target, response: Response) -> RegistryError {
    RegistryError::Refused {
        registry: target.registry().to_owned(),
        what: target.what.clone(),
        status: response.status().as_u16(),
        reason: reason(&read_error(response).await),
    }
}

/// An answer whose status asks to try again.
pub(crate) async fn passing(response: Response) -> Failure {
    let host = host_of(&response);
    let status = response.status().as_u16();
    let after = retry_after(response.headers());
    let reason = reason(&read_error(response).await);
    Failure::Passing {
        fault: Fault::Status {
            host,
            status,
            reason,
        },
        after,
    }
}

/// Code and message of the first error in the document, on one line.
fn reason(document: &[u8]) -> String {
    let text = match serde_json::from_slice::<OciEnvelope>(document) {
        Ok(envelope) => envelope.errors.first().map(|error| {
            let code = code(&error.code);
            match error.message.trim() {
                "" => code,
                message => format!("{code}: {message}"),
            }
        }),
        Err(_) => None,
    };
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(document).into_owned());
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable = line.chars().filter(|c| !c.is_control());
    match printable.take(REASON_LIMIT).collect::<String>() {
        empty if empty.is_empty() => "it gave no reason".to_owned(),
        reason => reason,
    }
}

/// The code as it stands in the document.
fn code(code: &OciErrorCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => text,
        // Not reachable for the codes of 0.18, which are all written as strings.
        Ok(_) | Err(_) => format!("{code:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_code_and_message_or_the_text_cut_short() {
        let long = "x".repeat(1_000);
        for (document, expect) in [
            (
                r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest\n invalid","detail":{}}]}"#,
                "MANIFEST_INVALID: manifest invalid",
            ),
            (
                r#"{"errors":[{"code":"ARTIFACT_LOCKED","message":""},{"code":"DENIED"}]}"#,
                "ARTIFACT_LOCKED",
            ),
            (r#"{"errors":[]}"#, r#"{"errors":[]}"#),
            ("<html>\n  <p>Bad Gateway</p>", "<html> <p>Bad Gateway</p>"),
            ("", "it gave no reason"),
            (long.as_str(), &long[..REASON_LIMIT]),
        ] {
            assert_eq!(reason(document.as_bytes()), expect);
        }
    }
}
