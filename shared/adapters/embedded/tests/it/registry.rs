//! The registry, as a client of the distribution protocol sees it.

mod access;
mod blobs;
mod manifests;
mod serving;
mod uploads;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use iib_embedded::registry::{Auth, RegistryStore, router};
use iib_oci::{Digest, MediaType};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// A registry without a socket.
struct Registry {
    router: Router,
    place: TempDir,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Registry {
    fn new(auth: Auth) -> Self {
        let place = tempfile::tempdir().unwrap();
        let store = RegistryStore::open(place.path().join("registry")).unwrap();
        let router = router(store, auth);
        Self { router, place }
    }

    fn open() -> Self {
        Self::new(Auth::None)
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    /// Uploads a blob in one call.
    async fn push_blob(&self, name: &str, content: &'static [u8]) -> Digest {
        let digest = Digest::of(content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let answer = self.call(Method::POST, &path, content).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        digest
    }

    async fn push_manifest(&self, path: &str, media_type: &str, document: &Value) -> Answer {
        let request = Request::put(path).header("content-type", media_type);
        let body = serde_json::to_vec(document).unwrap();
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Pushes an image whose only layer is `layer`.
    async fn push_image(&self, name: &str, tag: &str, layer: &'static [u8]) -> Digest {
        let config = self.push_blob(name, b"{}").await;
        let layer = self.push_blob(name, layer).await;
        let path = format!("/v2/{name}/manifests/{tag}");
        let document = image(&config, &layer);
        let answer = self
            .push_manifest(&path, MediaType::DOCKER_MANIFEST, &document)
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.header("docker-content-digest").parse().unwrap()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and the code of the first error.
    fn refusal(&self) -> (u16, String) {
        let code = self.json()["errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned();
        (self.status.as_u16(), code)
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn image(config: &Digest, layer: &Digest) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::DOCKER_MANIFEST,
        "config": {"mediaType": MediaType::DOCKER_CONFIG, "size": 2, "digest": config},
        "layers": [{"mediaType": MediaType::DOCKER_LAYER, "size": 1, "digest": layer}],
    })
}
