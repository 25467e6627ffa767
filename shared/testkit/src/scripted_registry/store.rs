//! What a scripted registry holds, and its usual answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use axum::http::{Method, Request, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use iib_oci::{Digest, DigestHasher, MediaType, RawManifest};
use url::form_urlencoded;

use super::answer::{error, respond, set};
use super::lock;

/// Uploads beyond this are hashed and counted, but not kept.
const KEPT: u64 = 16 * 1024 * 1024;

/// The piece that large blobs are made of.
static ZEROS: [u8; 128 * 1024] = [0; 128 * 1024];

type Named<T> = BTreeMap<(String, String), T>;

#[derive(Debug, Default)]
pub(super) struct Store {
    blobs: Mutex<Named<Blob>>,
    manifests: Mutex<Named<RawManifest>>,
    uploads: Mutex<BTreeSet<u64>>,
    next_upload: Mutex<u64>,
}

#[derive(Debug, Clone)]
enum Blob {
    Kept(Bytes),
    /// So many zero bytes, or an upload too large to keep.
    Size(u64),
}

impl Blob {
    fn size(&self) -> u64 {
        match self {
            Self::Kept(bytes) => bytes.len() as u64,
            Self::Size(size) => *size,
        }
    }
}

impl Store {
    pub(super) fn put_blob(&self, repository: &str, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.insert(repository, &digest, Blob::Kept(bytes));
        digest
    }

    pub(super) fn put_zeros(&self, repository: &str, size: u64) -> Digest {
        let mut hasher = DigestHasher::default();
        let mut left = size;
        while left > 0 {
            let piece = left.min(ZEROS.len() as u64);
            hasher.update(&ZEROS[..usize::try_from(piece).unwrap_or(ZEROS.len())]);
            left -= piece;
        }
        let digest = hasher.finish();
        self.insert(repository, &digest, Blob::Size(size));
        digest
    }

    pub(super) fn blob_size(&self, repository: &str, digest: &Digest) -> Option<u64> {
        self.blob(repository, digest.as_str())
            .map(|blob| blob.size())
    }

    pub(super) fn put_manifest(&self, repository: &str, tag: &str, manifest: &RawManifest) {
        let digest = manifest.digest().to_string();
        for name in [tag, &digest] {
            lock(&self.manifests)
                .insert((repository.to_owned(), name.to_owned()), manifest.clone());
        }
    }

    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<RawManifest> {
        let key = (repository.to_owned(), reference.to_owned());
        lock(&self.manifests).get(&key).cloned()
    }

    pub(super) fn open_uploads(&self) -> usize {
        lock(&self.uploads).len()
    }

    pub(super) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let uri = request.uri().clone();
        let Some(path) = uri.path().strip_prefix("/v2/") else {
            return error(404, "NOT_FOUND", "not the API");
        };
        if let Some((name, id)) = path.split_once("/blobs/uploads/") {
            return match method {
                Method::POST => self.open_upload(name, uri.query().unwrap_or_default()),
                Method::PUT => self.finish_upload(name, id, request).await,
                Method::DELETE => self.close_upload(id),
                _ => error(405, "UNSUPPORTED", "no such method for uploads"),
            };
        }
        if let Some((name, digest)) = path.split_once("/blobs/") {
            return match self.blob(name, digest) {
                Some(blob) => send_blob(&request, &blob),
                None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        match path.split_once("/manifests/") {
            Some((name, reference)) if method == Method::PUT => {
                self.store_manifest(name, reference, request).await
            }
            Some((name, reference)) => match self.manifest(name, reference) {
                Some(manifest) => {
                    let mut response = respond(200, Body::from(manifest.bytes));
                    set(&mut response, "content-type", manifest.media_type.as_str());
                    response
                }
                None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            None => error(200, "", ""),
        }
    }

    fn blob(&self, repository: &str, digest: &str) -> Option<Blob> {
        let key = (repository.to_owned(), digest.to_owned());
        lock(&self.blobs).get(&key).cloned()
    }

    fn insert(&self, repository: &str, digest: &Digest, blob: Blob) {
        lock(&self.blobs).insert((repository.to_owned(), digest.to_string()), blob);
    }

    /// A mount if the source has the blob, otherwise an upload.
    fn open_upload(&self, name: &str, query: &str) -> Response<Body> {
        let mount = value(query, "mount").zip(value(query, "from"));
        if let Some((digest, from)) = mount
            && let Some(blob) = self.blob(&from, &digest)
        {
            lock(&self.blobs).insert((name.to_owned(), digest), blob);
            return error(201, "", "");
        }
        let mut next = lock(&self.next_upload);
        *next += 1;
        lock(&self.uploads).insert(*next);
        let mut response = error(202, "", "");
        // The state must come back; registries keep such things in the query.
        let location = format!("/v2/{name}/blobs/uploads/{next}?_state=a%2Fb%3D");
        set(&mut response, "location", &location);
        response
    }

    async fn finish_upload(&self, name: &str, id: &str, request: Request<Body>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let known = id.parse().is_ok_and(|id| lock(&self.uploads).contains(&id));
        if !known || !query.contains("_state=a%2Fb%3D") {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
        }
        let length = request.headers().get(CONTENT_LENGTH).cloned();
        let Some(length) = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) else {
            return error(411, "SIZE_INVALID", "length required");
        };
        let mut hasher = DigestHasher::default();
        let mut kept = Vec::new();
        let mut size = 0;
        let mut body = request.into_body().into_data_stream();
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else {
                return error(400, "BLOB_UPLOAD_INVALID", "the upload broke off");
            };
            hasher.update(&chunk);
            size += chunk.len() as u64;
            if length <= KEPT {
                kept.extend_from_slice(&chunk);
            }
        }
        let digest = hasher.finish();
        if value(&query, "digest").as_deref() != Some(digest.as_str()) {
            return error(400, "DIGEST_INVALID", "provided digest did not match");
        }
        let blob = if length <= KEPT {
            Blob::Kept(kept.into())
        } else {
            Blob::Size(size)
        };
        self.insert(name, &digest, blob);
        self.close_upload(id);
        error(201, "", "")
    }

    fn close_upload(&self, id: &str) -> Response<Body> {
        let closed = id.parse().is_ok_and(|id| lock(&self.uploads).remove(&id));
        if closed {
            error(204, "", "")
        } else {
            error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        }
    }

    async fn store_manifest(
        &self,
        name: &str,
        reference: &str,
        request: Request<Body>,
    ) -> Response<Body> {
        let media_type = request.headers().get(CONTENT_TYPE).cloned();
        let Some(media_type) = media_type.as_ref().and_then(|value| value.to_str().ok()) else {
            return error(400, "MANIFEST_INVALID", "no media type");
        };
        let Ok(bytes) = axum::body::to_bytes(request.into_body(), 4 * 1024 * 1024).await else {
            return error(413, "MANIFEST_INVALID", "too large");
        };
        let manifest = RawManifest {
            media_type: MediaType::new(media_type),
            bytes: bytes.to_vec(),
        };
        self.put_manifest(name, reference, &manifest);
        let mut response = error(201, "", "");
        set(
            &mut response,
            "docker-content-digest",
            manifest.digest().as_str(),
        );
        response
    }
}

fn send_blob(request: &Request<Body>, blob: &Blob) -> Response<Body> {
    let size = blob.size();
    let start = request
        .headers()
        .get(RANGE)
        .and_then(|value| {
            value
                .to_str()
                .ok()?
                .strip_prefix("bytes=")?
                .strip_suffix('-')
        })
        .and_then(|start| start.parse::<u64>().ok());
    let (status, start) = start.map_or((200, 0), |start| (206, start.min(size)));
    let body = if *request.method() == Method::HEAD {
        Body::empty()
    } else {
        match blob {
            Blob::Kept(bytes) => {
                Body::from(bytes.slice(usize::try_from(start).unwrap_or(bytes.len())..))
            }
            Blob::Size(size) => zeros(size - start),
        }
    };
    let mut response = respond(status, body);
    set(&mut response, "content-length", &(size - start).to_string());
    if status == 206 {
        let range = format!("bytes {start}-{}/{size}", size.saturating_sub(1));
        set(&mut response, "content-range", &range);
    }
    response
}

fn zeros(size: u64) -> Body {
    Body::from_stream(stream::unfold(size, |left| async move {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        let zeros = Ok::<_, std::io::Error>(Bytes::from_static(&ZEROS[..piece]));
        (piece > 0).then(|| (zeros, left - piece as u64))
    }))
}

fn value(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
