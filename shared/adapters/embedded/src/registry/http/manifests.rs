//! Manifests and tags.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use iib_oci::{MANIFEST_LIMIT, MediaType, RawManifest};

use super::{CONTENT_DIGEST, created};
use crate::registry::fault::Fault;
use crate::registry::name::{ManifestName, Name};
use crate::registry::store::RegistryStore;

pub(super) async fn answer(
    store: &RegistryStore,
    name: &Name,
    reference: &ManifestName,
    head: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    match head.method {
        Method::GET | Method::HEAD => read(store, name, reference, &head.method).await,
        Method::PUT => {
            let manifest = take_in(head, body).await?;
            let digest = store.put_manifest(name, reference, manifest).await?;
            Ok(created(&format!("/v2/{name}/manifests/{digest}"), &digest))
        }
        Method::DELETE => {
            store.delete_manifest(name, reference).await?;
            Ok(StatusCode::ACCEPTED.into_response())
        }
        _ => Err(Fault::Unsupported),
    }
}

/// The manifest as it was pushed, whatever the caller accepts: nothing is converted.
async fn read(
    store: &RegistryStore,
    name: &Name,
    reference: &ManifestName,
    method: &Method,
) -> Result<Response, Fault> {
    let stored = store.manifest(name, reference).await?;
    let bytes = stored.manifest.bytes;
    let headers = [
        (header::CONTENT_LENGTH, bytes.len().to_string()),
        (header::CONTENT_TYPE, stored.manifest.media_type.to_string()),
        (header::ETAG, format!("\"{}\"", stored.digest)),
        (CONTENT_DIGEST, stored.digest.to_string()),
    ];
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(bytes),
    };
    Ok((headers, body).into_response())
}

async fn take_in(head: &Parts, body: Body) -> Result<RawManifest, Fault> {
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = MediaType::new(content_type.unwrap_or_default());
    let bytes = axum::body::to_bytes(body, MANIFEST_LIMIT).await;
    let bytes = bytes.map_err(too_large_or_interrupted)?;
    Ok(RawManifest {
        media_type,
        bytes: bytes.into(),
    })
}

fn too_large_or_interrupted(error: axum::Error) -> Fault {
    let error = error.into_inner();
    if error.is::<http_body_util::LengthLimitError>() {
        return Fault::TooLarge {
            limit: MANIFEST_LIMIT as u64,
        };
    }
    Fault::Interrupted(axum::Error::new(error))
}
