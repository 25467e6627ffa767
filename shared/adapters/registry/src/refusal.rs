//! Answers that are no success, as errors.

use std::time::Duration;

use iib_ports::RegistryError;
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Response, StatusCode};

use crate::Fault;
use crate::body::{host_of, read_error};
use crate::retry::{Failure, is_passing, retry_after};
use crate::target::{Access, Target};

/// The longest reason that is passed on, in characters.
const REASON_LIMIT: usize = 300;

/// How long to wait at least before something is pushed again that was refused for the lack of
/// what was pushed just before.
const LAG: Duration = Duration::from_secs(1);

/// Refusals of a manifest that pass. The first four are of a registry of several replicas, one
/// of which does not know yet what another has stored. A doubted digest is of a registry that
/// read a file of its own which somebody else was just writing, who pushes the same layers to the
/// same repository (distribution's links to layers are not written in one step): ours is
/// calculated from the bytes.
const PASSING_FOR_MANIFEST: [&str; 5] = [
    "MANIFEST_BLOB_UNKNOWN",
    "BLOB_UNKNOWN",
    "MANIFEST_UNKNOWN",
    "NAME_UNKNOWN",
    "DIGEST_INVALID",
];

/// Refusals of an upload that a new upload answers (Docker Registry HTTP API V2, "Blob Upload").
/// What was sent was checked on the way.
const PASSING_FOR_UPLOAD: [&str; 6] = [
    "BLOB_UPLOAD_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UNKNOWN",
    "DIGEST_INVALID",
    "SIZE_INVALID",
    "RANGE_INVALID",
];

/// The answer if it is a success, otherwise what it means.
pub(crate) async fn accept(target: &Target, response: Response) -> Result<Response, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(failure(target, response).await)
}

/// The same for a manifest that was pushed.
pub(crate) async fn accept_manifest(
    target: &Target,
    response: Response,
) -> Result<Response, Failure> {
    match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            accept_unless(target, response, &PASSING_FOR_MANIFEST).await
        }
        _ => accept(target, response).await,
    }
}

/// The same for an upload that is opened. What is not there may be the repository, so only what
/// speaks of uploads passes.
pub(crate) async fn accept_opening(
    target: &Target,
    response: Response,
) -> Result<Response, Failure> {
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => {
            Err(Complaint::read(response).await.passing(Some(LAG)))
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
            accept_unless(target, response, &PASSING_FOR_UPLOAD).await
        }
        _ => accept(target, response).await,
    }
}

/// The same for the content of an upload. One whose range does not fit, or that is not there, is
/// no upload any more, whatever else the registry says of it.
pub(crate) async fn accept_upload(
    target: &Target,
    response: Response,
) -> Result<Response, Failure> {
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND => {
            Err(Complaint::read(response).await.passing(Some(LAG)))
        }
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            accept_unless(target, response, &PASSING_FOR_UPLOAD).await
        }
        _ => accept(target, response).await,
    }
}

/// A refusal, which passes if it has one of these codes.
async fn accept_unless(
    target: &Target,
    response: Response,
    passing: &[&str],
) -> Result<Response, Failure> {
    let complaint = Complaint::read(response).await;
    let code = complaint.reason.split(':').next().unwrap_or_default();
    if passing.contains(&code) {
        return Err(complaint.passing(Some(LAG)));
    }
    Err(complaint.refused(target).into())
}

/// An answer that is no success, read.
struct Complaint {
    host: String,
    status: u16,
    /// Code and message.
    reason: String,
}

impl Complaint {
    async fn read(response: Response) -> Self {
        Self {
            host: host_of(&response),
            status: response.status().as_u16(),
            reason: reason(&read_error(response).await),
        }
    }

    fn passing(self, after: Option<Duration>) -> Failure {
        let Self {
            host,
            status,
            reason,
        } = self;
        Failure::Passing {
            fault: Fault::Status {
                host,
                status,
                reason,
            },
            after,
        }
    }

    fn refused(self, target: &Target) -> RegistryError {
        RegistryError::Refused {
            registry: target.registry().to_owned(),
            what: target.what.clone(),
            status: self.status,
            reason: self.reason,
        }
    }
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
    Complaint::read(response).await.refused(target)
}

/// An answer whose status asks to try again.
pub(crate) async fn passing(response: Response) -> Failure {
    let after = retry_after(response.headers());
    Complaint::read(response).await.passing(after)
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
