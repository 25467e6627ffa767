//! The contract of [`iib_ports::Tags`].

use std::sync::Arc;

use bytes::Bytes;
use iib_oci::{
    Descriptor, Digest, Manifest, ManifestList, ManifestListEntry, MediaType, Platform, PullSpec,
    RawManifest, Reference, Repository,
};
use iib_ports::{InMemory, Registry, RegistryError, Tags};

use crate::Pull as _;

/// Runs the suite; `make` gives a client of an empty registry and the registry's host and port.
pub async fn tags<R: Registry + Tags + 'static>(make: impl AsyncFn() -> (Arc<R>, String)) {
    let (client, host) = make().await;
    a_tag_goes_and_what_it_named_stays(&*client, &host).await;
    let (client, host) = make().await;
    other_tags_stay_also_those_of_the_same_image(&*client, &host).await;
    let (client, host) = make().await;
    what_is_not_there_need_not_be_taken_away(&*client, &host).await;
    let (client, host) = make().await;
    a_tag_may_be_given_again(&*client, &host).await;
}

fn repository(host: &str) -> Repository {
    Repository::new(host, "team/index").unwrap()
}

fn tag(name: &str) -> Reference {
    Reference::Tag(name.to_owned())
}

async fn blob(client: &dyn Registry, to: &Repository, bytes: &'static [u8]) -> Descriptor {
    let descriptor = Descriptor {
        media_type: MediaType::new(MediaType::DOCKER_LAYER),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    };
    let source = InMemory(Bytes::from_static(bytes));
    client.push_blob(to, &descriptor, &source).await.unwrap();
    descriptor
}

/// Pushes an image under a tag.
async fn push(client: &dyn Registry, to: &Repository, name: &str) -> RawManifest {
    let config = blob(client, to, b"{}").await;
    let layer = blob(client, to, b"layer").await;
    let manifest = Manifest::docker(config, vec![layer]).to_raw().unwrap();
    client
        .push_manifest(to, &tag(name), &manifest)
        .await
        .unwrap();
    manifest
}

async fn named(
    client: &dyn Registry,
    repository: &Repository,
    name: &str,
) -> Result<RawManifest, RegistryError> {
    let spec: PullSpec = format!("{repository}:{name}").parse().unwrap();
    client.pull(&spec).await
}

async fn is_missing(client: &dyn Registry, repository: &Repository, name: &str) -> bool {
    let found = named(client, repository, name).await;
    matches!(found, Err(RegistryError::NotFound { .. }))
}

async fn a_tag_goes_and_what_it_named_stays<R: Registry + Tags>(client: &R, host: &str) {
    let here = repository(host);
    let image = push(client, &here, "1-amd64").await;
    let list = ManifestList::docker(vec![ManifestListEntry {
        descriptor: Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_MANIFEST),
            size: image.bytes.len() as u64,
            digest: image.digest(),
        },
        platform: Some(Platform::linux(&"amd64".parse().unwrap())),
        artifact_type: None,
    }]);
    let list = list.to_raw().unwrap();
    client.push_manifest(&here, &tag("1"), &list).await.unwrap();

    client.remove_tag(&here, "1-amd64").await.unwrap();
    assert!(is_missing(client, &here, "1-amd64").await);
    assert_eq!(named(client, &here, "1").await.unwrap(), list);
    let by_digest: PullSpec = format!("{here}@{}", image.digest()).parse().unwrap();
    assert_eq!(client.pull(&by_digest).await.unwrap(), image);
}

async fn other_tags_stay_also_those_of_the_same_image<R: Registry + Tags>(client: &R, host: &str) {
    let here = repository(host);
    let image = push(client, &here, "1-amd64").await;
    for name in ["1-arm64", "2-amd64"] {
        assert_eq!(push(client, &here, name).await, image);
    }
    client.remove_tag(&here, "1-amd64").await.unwrap();
    client.remove_tag(&here, "1-arm64").await.unwrap();
    assert!(is_missing(client, &here, "1-amd64").await);
    assert!(is_missing(client, &here, "1-arm64").await);
    assert_eq!(named(client, &here, "2-amd64").await.unwrap(), image);
}

async fn what_is_not_there_need_not_be_taken_away<R: Registry + Tags>(client: &R, host: &str) {
    let here = repository(host);
    client.remove_tag(&here, "1-amd64").await.unwrap();
    let image = push(client, &here, "2-amd64").await;
    for _ in 0..2 {
        client.remove_tag(&here, "1-amd64").await.unwrap();
        assert!(is_missing(client, &here, "1-amd64").await);
    }
    assert_eq!(named(client, &here, "2-amd64").await.unwrap(), image);
}

async fn a_tag_may_be_given_again<R: Registry + Tags>(client: &R, host: &str) {
    let here = repository(host);
    for _ in 0..2 {
        let image = push(client, &here, "1-amd64").await;
        assert_eq!(named(client, &here, "1-amd64").await.unwrap(), image);
        client.remove_tag(&here, "1-amd64").await.unwrap();
        assert!(is_missing(client, &here, "1-amd64").await);
    }
}
