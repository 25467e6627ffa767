//! What can go wrong, and how the protocol says so.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use iib_oci::{Digest, DigestError, TAG_GRAMMAR};
use serde_json::{Value, json};

use super::name::{ManifestName, Name};
use crate::DatabaseError;

/// A call that was refused or failed. What is shown to the caller never holds more than
/// `Display` says; causes go to the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the repository name `{0}` is not valid: use lower-case letters, digits and . _ - /")]
    NameInvalid(String),
    #[error("the tag `{0}` is not valid: {grammar}", grammar = TAG_GRAMMAR)]
    TagInvalid(String),
    #[error("the digest `{text}` cannot be used: write sha256: and 64 lower-case hex digits")]
    DigestInvalid { text: String, source: DigestError },
    #[error("the content has digest {got}, not {expected}: send it again")]
    DigestMismatch { expected: Digest, got: Digest },
    #[error("the repository {0} is not known to this registry")]
    NameUnknown(Name),
    #[error("the blob {digest} is not in repository {name}: push or mount it first")]
    BlobUnknown { name: Name, digest: Digest },
    #[error("there is no such upload in repository {0}: begin a new one")]
    UploadUnknown(Name),
    #[error("too many uploads are under way: end some and try again")]
    TooManyUploads,
    #[error("the upload goes on at byte {size}, not where `{given}` says")]
    UploadRange {
        given: String,
        size: u64,
        /// Where the upload goes on.
        location: String,
    },
    #[error("the range `{given}` is outside of the blob's {size} bytes")]
    BlobRange { given: String, size: u64 },
    #[error("the content is larger than {limit} bytes, the most that is taken")]
    TooLarge { limit: u64 },
    #[error("the content ended early")]
    Interrupted(#[source] axum::Error),
    #[error("the manifest {reference} is not in repository {name}")]
    ManifestUnknown { name: Name, reference: ManifestName },
    #[error("the manifest is not valid: {0}")]
    ManifestInvalid(&'static str),
    #[error("the manifest is not the JSON document its type promises")]
    ManifestMalformed(#[source] serde_json::Error),
    #[error("repository {name} lacks what the manifest refers to: push or mount it first")]
    ManifestReferences { name: Name, missing: Vec<Digest> },
    #[error("the query parameter `n` is to be a number")]
    PageSize,
    #[error("the query cannot be read: {0}")]
    Query(&'static str),
    #[error("authentication is required")]
    Unauthorized,
    #[error("this registry does not support the call")]
    Unsupported,
    #[error("there is nothing at this path: paths begin with /v2/ and a repository name")]
    Path,
    #[error("the registry could not {action}")]
    Storage {
        action: &'static str,
        source: std::io::Error,
    },
    #[error("the registry could not {action}")]
    Database {
        action: &'static str,
        source: DatabaseError,
    },
}

impl Fault {
    /// Status and code (OCI distribution specification, "Error Codes", and distribution's own
    /// for what is missing there).
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NameInvalid(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::TagInvalid(_) => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
            Self::DigestInvalid { .. } | Self::DigestMismatch { .. } => {
                (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
            }
            Self::NameUnknown(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::BlobUnknown { .. } => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::UploadUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::TooManyUploads => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Self::UploadRange { .. } | Self::BlobRange { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID")
            }
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::Interrupted(_) => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::ManifestInvalid(_) | Self::ManifestMalformed(_) => {
                (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")
            }
            Self::ManifestReferences { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::PageSize => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Path => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Storage { .. } | Self::Database { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")
            }
        }
    }

    /// The protocol's list of errors: one for each thing that is missing.
    fn errors(&self, code: &str) -> Vec<Value> {
        let message = self.to_string();
        match self {
            Self::ManifestReferences { missing, .. } => missing
                .iter()
                .map(|digest| json!({"code": code, "message": message, "detail": {"digest": digest}}))
                .collect(),
            Self::ManifestMalformed(source) => {
                vec![json!({"code": code, "message": message, "detail": source.to_string()})]
            }
            _ => vec![json!({"code": code, "message": message, "detail": null})],
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        if status.is_server_error() {
            let error: &dyn std::error::Error = &self;
            tracing::error!(error, "a call to the registry failed");
        }
        let mut response = (status, Json(json!({"errors": self.errors(code)}))).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthorized => {
                let challenge = http::HeaderValue::from_static("Basic realm=\"iib\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Self::UploadRange { size, location, .. } => {
                for (name, text) in [
                    (header::RANGE, upload_range(*size)),
                    (header::LOCATION, location.clone()),
                ] {
                    if let Ok(value) = text.try_into() {
                        headers.insert(name, value);
                    }
                }
            }
            Self::BlobRange { size, .. } => {
                if let Ok(value) = format!("bytes */{size}").try_into() {
                    headers.insert(header::CONTENT_RANGE, value);
                }
            }
            _ => {}
        }
        response
    }
}

/// The bytes of an upload that are there, as the protocol writes it: the end is inclusive, and
/// an empty upload looks like one of one byte.
pub(super) fn upload_range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}
