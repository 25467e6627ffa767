//! Uploads that are registered for a request. Ours: the reference has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use iib_oci::Digest;
use iib_pipeline::intake::{self, IntakeDeps, Upload, UploadContent};
use iib_request::UploadKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::Id;

#[derive(Serialize, JsonSchema)]
#[schemars(
    rename = "Upload",
    description = "A file that was uploaded for a request."
)]
pub(crate) struct Shown<'a> {
    kind: UploadKind,
    name: &'a str,
    size: u64,
    #[schemars(with = "String")]
    digest: &'a Digest,
    uploaded: String,
    url: String,
}

impl<'a> Shown<'a> {
    /// `uploads` is the absolute URL of the listing.
    fn new(upload: &'a Upload, uploads: &str) -> Self {
        let (kind, hex) = (upload.kind, upload.digest.hex());
        Self {
            kind,
            name: &upload.name,
            size: upload.size,
            digest: &upload.digest,
            uploaded: format!("{:.0}", upload.uploaded),
            url: format!("{uploads}/{kind}/{hex}/{}", escape(&upload.name)),
        }
    }
}

/// A name as a part of a URL: everything but letters, digits and `-._~` is escaped.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// `GET /builds/<id>/uploads`.
pub(crate) async fn list(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    BuildsUrl(builds): BuildsUrl,
) -> Result<Response, Problem> {
    let uploads = intake::uploads(&deps, id).await?;
    let url = format!("{builds}/{id}/uploads");
    let shown: Vec<_> = uploads
        .iter()
        .map(|upload| Shown::new(upload, &url))
        .collect();
    answer::within_limit(&shown, "there are too many uploads to list them")
}

/// `GET /builds/<id>/uploads/<kind>/<digest>/<name>`, the digest without its algorithm.
pub(crate) async fn download(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Path(names): Path<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let named = |name: &str| names.get(name).map(String::as_str).unwrap_or_default();
    let kind = named("kind").parse().map_err(|_| Problem::not_found())?;
    let digest = format!("sha256:{}", named("digest"));
    let digest = digest.parse().map_err(|_| Problem::not_found())?;
    let content = intake::upload(&deps, id, kind, &digest, named("name")).await?;
    Ok(match content {
        UploadContent::At(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        UploadContent::Bytes(bytes) => {
            // Whatever is in it, no browser is to run it as a page of this service.
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment"),
            ];
            (headers, Body::from_stream(bytes)).into_response()
        }
    })
}
