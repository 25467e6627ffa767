//! Uploading blobs: in one call, in two, or in pieces; or mounting what is there.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde::Deserialize;

use super::{created, query};
use crate::registry::fault::{Fault, upload_range};
use crate::registry::name::{Name, parse_digest};
use crate::registry::store::{RegistryStore, Upload, UploadState};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

#[derive(Deserialize)]
struct Parameters {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
}

/// `POST …/blobs/uploads/`.
pub(super) async fn begin(
    store: &RegistryStore,
    name: &Name,
    head: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    if head.method != Method::POST {
        return Err(Fault::Unsupported);
    }
    let parameters: Parameters = query(head)?;
    if let (Some(digest), Some(from)) = (&parameters.mount, &parameters.from) {
        let digest = parse_digest(digest)?;
        let from = from.parse()?;
        if store.mount_blob(name, &from, &digest).await? {
            return Ok(created(&format!("/v2/{name}/blobs/{digest}"), &digest));
        }
        // What cannot be mounted is uploaded; the answer is that of a new upload.
    }
    let Some(digest) = parameters.digest else {
        let state = store.begin_upload(name).await?;
        return Ok(progress(StatusCode::ACCEPTED, name, &state));
    };
    let digest = parse_digest(&digest)?;
    let state = store.begin_upload(name).await?;
    let upload = store.upload(name, &state.id).await?;
    match upload.append(body.into_data_stream()).await {
        Ok(upload) => {
            store.finish_upload(upload, &digest).await?;
            Ok(created(&format!("/v2/{name}/blobs/{digest}"), &digest))
        }
        Err(fault) => {
            // The client was never told of the upload, so nobody could go on with it.
            let upload = store.upload(name, &state.id).await?;
            store.cancel_upload(upload).await?;
            Err(fault)
        }
    }
}

/// Everything below `…/blobs/uploads/<id>`.
pub(super) async fn answer(
    store: &RegistryStore,
    name: &Name,
    id: &str,
    head: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    let upload = store.upload(name, id).await?;
    match head.method {
        Method::GET => Ok(progress(StatusCode::NO_CONTENT, name, &upload.state())),
        Method::DELETE => {
            store.cancel_upload(upload).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Method::PATCH => {
            let upload = append(name, upload, &head.headers, body).await?;
            Ok(progress(StatusCode::ACCEPTED, name, &upload.state()))
        }
        Method::PUT => {
            let parameters: Parameters = query(head)?;
            let digest = parameters.digest.unwrap_or_default();
            let digest = parse_digest(&digest)?;
            let upload = append(name, upload, &head.headers, body).await?;
            store.finish_upload(upload, &digest).await?;
            Ok(created(&format!("/v2/{name}/blobs/{digest}"), &digest))
        }
        _ => Err(Fault::Unsupported),
    }
}

/// Appends the body of a request that says, or need not say, where it begins.
async fn append(
    name: &Name,
    upload: Upload,
    headers: &HeaderMap,
    body: Body,
) -> Result<Upload, Fault> {
    if let Some(given) = headers.get(header::CONTENT_RANGE) {
        let state = upload.state();
        let given = given.to_str().unwrap_or_default();
        let number = |header: &HeaderName| {
            let text = headers.get(header)?.to_str().ok()?;
            text.parse::<u64>().ok()
        };
        let length = number(&header::CONTENT_LENGTH);
        let fits = given.split_once('-').is_some_and(|(first, last)| {
            let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
                return false;
            };
            let promised = last.checked_sub(first).map(|span| span.saturating_add(1));
            first == state.size && promised.is_some() && (length.is_none() || length == promised)
        });
        if !fits {
            return Err(Fault::UploadRange {
                given: given.to_owned(),
                size: state.size,
                location: location(name, &state),
            });
        }
    }
    upload.append(body.into_data_stream()).await
}

fn location(name: &Name, state: &UploadState) -> String {
    format!("/v2/{name}/blobs/uploads/{}", state.id)
}

/// How far an upload is and where it goes on.
fn progress(status: StatusCode, name: &Name, state: &UploadState) -> Response {
    let headers = [
        (header::LOCATION, location(name, state)),
        (header::RANGE, upload_range(state.size)),
        (UPLOAD_ID, state.id.clone()),
    ];
    (status, headers).into_response()
}
