//! ECR's own calls: large layers, taking tags away.
//!
//! The emulator takes parts of layers and drops them, and knows no manifest lists when it deletes
//! images, so the other end here is a server of ours that does what ECR's reference says of these
//! calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use iib_aws::EcrRegistry;
use iib_oci::{Descriptor, Digest, MediaType, Reference, Repository};
use iib_ports::{
    BlobSource, BlobStream, Class, Classify as _, Registry as _, RegistryError, Tags as _,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stack::clients_at;
use crate::{ecr_client, ecr_clients};

const MIB: usize = 1024 * 1024;

#[derive(Default)]
struct Server {
    repositories: BTreeSet<String>,
    layers: BTreeSet<String>,
    tags: BTreeSet<String>,
    /// What came in the upload that is open, part by part.
    parts: Vec<Vec<u8>>,
    /// Calls that are still to be answered with a fault that passes.
    faults: usize,
    /// Operations that the caller's role does not allow.
    denied: BTreeSet<&'static str>,
}

type Shared = Arc<Mutex<Server>>;

fn refuse(code: &str) -> (StatusCode, Json<Value>) {
    let body = json!({"__type": code, "message": "as ECR would say"});
    (StatusCode::BAD_REQUEST, Json(body))
}

impl Server {
    fn answer(&mut self, operation: &str, call: &Value) -> (StatusCode, Json<Value>) {
        if self.faults > 0 {
            self.faults -= 1;
            let body = json!({"__type": "ServerException", "message": "it passes"});
            return (StatusCode::INTERNAL_SERVER_ERROR, Json(body));
        }
        if operation == "GetAuthorizationToken" {
            let token = STANDARD.encode("AWS:token");
            let data = json!([{"authorizationToken": token}]);
            return (StatusCode::OK, Json(json!({"authorizationData": data})));
        }
        if self.denied.contains(operation) {
            let said = format!(
                "User: arn:aws:sts::123456789012:assumed-role/push/iib-push is not authorized to perform: \
                 ecr:{operation} on resource: arn:aws:ecr:us-east-1:123456789012:repository/iib-build"
            );
            let body = json!({"__type": "AccessDeniedException", "message": said});
            return (StatusCode::BAD_REQUEST, Json(body));
        }
        let name = call["repositoryName"].as_str().unwrap_or_default();
        if operation == "CreateRepository" {
            return match self.repositories.insert(name.to_owned()) {
                true => (StatusCode::OK, Json(json!({}))),
                false => refuse("RepositoryAlreadyExistsException"),
            };
        }
        if !self.repositories.contains(name) {
            return refuse("RepositoryNotFoundException");
        }
        match operation {
            "InitiateLayerUpload" => {
                self.parts.clear();
                let begun = json!({"uploadId": "one", "partSize": 10 * MIB});
                (StatusCode::OK, Json(begun))
            }
            "BatchDeleteImage" => (StatusCode::OK, Json(self.delete(call))),
            "UploadLayerPart" => self.part(call),
            "CompleteLayerUpload" => self.complete(call),
            other => panic!("{other}"),
        }
    }

    /// A tag is taken away; not the last one of an image that a list refers to.
    fn delete(&mut self, call: &Value) -> Value {
        let tag = call["imageIds"][0]["imageTag"].as_str().unwrap();
        let failed = |code: &str| {
            let failure = json!({
                "imageId": {"imageTag": tag}, "failureCode": code, "failureReason": "as ECR would say",
            });
            json!({"imageIds": [], "failures": [failure]})
        };
        match tag {
            "listed" => failed("ImageReferencedByManifestList"),
            _ if self.tags.remove(tag) => json!({"imageIds": [{"imageTag": tag}], "failures": []}),
            _ => failed("ImageNotFound"),
        }
    }

    fn part(&mut self, call: &Value) -> (StatusCode, Json<Value>) {
        let bytes = STANDARD.decode(call["layerPartBlob"].as_str().unwrap());
        let (bytes, had) = (bytes.unwrap(), self.parts.concat().len());
        let (first, last) = (&call["partFirstByte"], &call["partLastByte"]);
        if (first, last) != (&json!(had), &json!(had + bytes.len() - 1)) {
            return refuse("InvalidLayerPartException");
        }
        // Only the last part may be small, and none may be large.
        let small = self.parts.last().is_some_and(|part| part.len() < 5 * MIB);
        if small || bytes.len() > 20 * MIB {
            return refuse("LayerPartTooSmallException");
        }
        self.parts.push(bytes);
        (StatusCode::OK, Json(json!({"uploadId": "one"})))
    }

    fn complete(&mut self, call: &Value) -> (StatusCode, Json<Value>) {
        let wanted = call["layerDigests"][0].as_str().unwrap();
        if Digest::of(&self.parts.concat()).as_str() != wanted {
            return refuse("InvalidLayerException");
        }
        match self.layers.insert(wanted.to_owned()) {
            true => (StatusCode::OK, Json(json!({"layerDigest": wanted}))),
            false => refuse("LayerAlreadyExistsException"),
        }
    }
}

async fn serve() -> (Shared, String) {
    let server = Shared::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = async |State(server): State<Shared>, headers: HeaderMap, body: Bytes| {
        let target = headers["x-amz-target"].to_str().unwrap();
        let operation = target.rsplit_once('.').unwrap().1.to_owned();
        let call: Value = serde_json::from_slice(&body).unwrap();
        server.lock().unwrap().answer(&operation, &call)
    };
    // The registry's own protocol, which lets nobody in.
    let denied = json!({"errors": [{"code": "DENIED", "message": "User: x is not authorized"}]});
    let refusal = async || (StatusCode::FORBIDDEN, Json(denied));
    let router = axum::Router::new()
        .route("/", post(answer))
        .fallback(refusal)
        .layer(DefaultBodyLimit::disable())
        .with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, host)
}

/// Bytes that no compression hides, in pieces that fit no part.
struct Layer(Vec<u8>);

impl Layer {
    fn of(size: usize) -> Self {
        let mut state = 1_u32;
        let byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Self(std::iter::repeat_with(byte).take(size).collect())
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_LAYER),
            size: self.0.len() as u64,
            digest: Digest::of(&self.0),
        }
    }
}

#[async_trait]
impl BlobSource for Layer {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let pieces: Vec<_> = (self.0.chunks(777_777))
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(stream::iter(pieces).boxed())
    }
}

#[tokio::test]
async fn a_large_layer_goes_in_parts_and_is_whole() {
    let (server, host) = serve().await;
    let client = ecr_client(clients_at(&format!("http://{host}")).await, &host);
    let repository = Repository::new(&host, "iib-build").unwrap();
    // A part and some more; whole parts; one byte over.
    for (size, parts) in [(11_000_000, 2), (20 * MIB, 2), (10 * MIB + 1, 2)] {
        let layer = Layer::of(size);
        let descriptor = layer.descriptor();
        server.lock().unwrap().faults = 2;
        // A second time, as after a crash.
        for _ in 0..2 {
            let pushed = client.push_blob(&repository, &descriptor, &layer).await;
            pushed.unwrap();
            let server = server.lock().unwrap();
            assert_eq!(server.parts.len(), parts);
            assert!(server.parts.concat() == layer.0, "{size}");
            assert!(server.layers.contains(descriptor.digest.as_str()));
        }
    }
}

#[tokio::test]
async fn a_layer_that_is_not_as_promised_never_becomes_one() {
    let (server, host) = serve().await;
    let client = ecr_client(clients_at(&format!("http://{host}")).await, &host);
    let repository = Repository::new(&host, "iib-build").unwrap();
    let layer = Layer::of(11_000_000);
    let right = layer.descriptor();
    let other_digest = Descriptor {
        digest: Digest::of(b"another"),
        ..right.clone()
    };
    let other_size = Descriptor {
        size: right.size + 1,
        ..right
    };
    for promised in [other_digest, other_size] {
        let refused = client.push_blob(&repository, &promised, &layer).await;
        assert!(
            matches!(refused, Err(RegistryError::Mismatch { .. })),
            "{refused:?}"
        );
        assert_eq!(server.lock().unwrap().layers, BTreeSet::new());
    }
}

#[tokio::test]
async fn a_tag_goes_unless_a_list_needs_its_image() {
    let (server, host) = serve().await;
    let (_, client) = ecr_clients(clients_at(&format!("http://{host}")).await, &host);
    let repository = Repository::new(&host, "iib-build").unwrap();
    // Where there is no repository, there is no tag.
    client.remove_tag(&repository, "1-amd64").await.unwrap();
    {
        let mut server = server.lock().unwrap();
        server.repositories.insert("iib-build".to_owned());
        server.tags = ["1-amd64", "1"].map(ToOwned::to_owned).into();
        server.faults = 2;
    }
    for _again in 0..2 {
        client.remove_tag(&repository, "1-amd64").await.unwrap();
        let left = server.lock().unwrap().tags.clone();
        assert_eq!(left, ["1".to_owned()].into());
    }
    // What stays is told, as something that another try does not change.
    let refused = client.remove_tag(&repository, "listed").await.unwrap_err();
    assert_eq!(refused.class(), Class::Reject, "{refused:?}");
    assert!(
        refused.to_string().contains("as ECR would say"),
        "{refused}"
    );
}

async fn push(
    client: &EcrRegistry,
    repository: &Repository,
    layer: &Layer,
) -> Result<(), RegistryError> {
    let descriptor = layer.descriptor();
    client.push_blob(repository, &descriptor, layer).await
}

#[tokio::test]
async fn a_role_that_may_create_no_repository_pushes_to_one_that_is_there() {
    let (server, host) = serve().await;
    let client = ecr_client(clients_at(&format!("http://{host}")).await, &host);
    let repository = Repository::new(&host, "iib-build").unwrap();
    let layer = Layer::of(11_000_000);
    server.lock().unwrap().denied = ["CreateRepository"].into();
    let missing = push(&client, &repository, &layer).await.unwrap_err();
    assert_eq!(missing.class(), Class::Reject);
    for part in [
        "there is no such repository",
        "lacks ecr:CreateRepository",
        "EcrCreateRepositories=true",
        "EcrOverwriteRepositories",
    ] {
        assert!(missing.to_string().contains(part), "{missing}");
    }
    let made = "iib-build".to_owned();
    server.lock().unwrap().repositories.insert(made);
    push(&client, &repository, &layer).await.unwrap();
}

#[tokio::test]
async fn a_repository_elsewhere_is_not_created() {
    let (server, host) = serve().await;
    let clients = clients_at(&format!("http://{host}")).await;
    let client = crate::ecr_client_creating_in(clients, &host, []);
    let repository = Repository::new(&host, "of-another-account").unwrap();
    let layer = Layer::of(11_000_000);
    let missing = push(&client, &repository, &layer).await.unwrap_err();
    let missing = missing.to_string();
    assert!(
        missing.contains("create it, or set what lets push do so"),
        "{missing}"
    );
    assert_eq!(server.lock().unwrap().repositories, BTreeSet::new());
}

#[tokio::test]
async fn a_right_that_the_role_lacks_is_named_with_its_parameter() {
    let (server, host) = serve().await;
    let (client, tags) = ecr_clients(clients_at(&format!("http://{host}")).await, &host);
    let repository = Repository::new(&host, "iib-build").unwrap();
    {
        let mut server = server.lock().unwrap();
        server.repositories.insert("iib-build".to_owned());
        server.denied = ["InitiateLayerUpload", "BatchDeleteImage"].into();
    }
    let manifest = client
        .manifest(&repository, &Reference::Tag("1".to_owned()))
        .await;
    let large = push(&client, &repository, &Layer::of(11_000_000)).await;
    let small = push(&client, &repository, &Layer::of(1)).await;
    for (failure, right, parameter) in [
        (
            large.unwrap_err(),
            "lacks ecr:InitiateLayerUpload:",
            "EcrOverwriteRepositories",
        ),
        (
            tags.remove_tag(&repository, "1").await.unwrap_err(),
            "lacks ecr:BatchDeleteImage:",
            "EcrOverwriteRepositories",
        ),
        // Of the registry's own protocol only what it is about is known.
        (
            small.unwrap_err(),
            "ecr:PutImage:",
            "EcrOverwriteRepositories",
        ),
        (
            manifest.unwrap_err(),
            "lacks ecr:BatchGetImage,",
            "EcrReadRepositories",
        ),
    ] {
        assert!(
            matches!(failure, RegistryError::Denied { status: 403, .. }),
            "{failure:?}"
        );
        let text = failure.to_string();
        assert_eq!(text.matches("role lacks").count(), 1, "{text}");
        assert!(text.contains(right) && text.contains(parameter), "{text}");
    }
}
