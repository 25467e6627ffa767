//! Files instead of calls: bundles that are uploaded, and handling that ends anywhere.

use iib_oci::Digest;
use iib_pipeline::artifact::{self, ArtifactDeps, ObjectCreated};
use iib_ports::{ArtifactKey, ArtifactRoot, Listing as _, PageQuery};
use iib_request::{AddRequest, Filters, RequestId, UploadKind};

use crate::crash::{self, Death, LastCall};
use crate::samples::bundle_files;
use crate::tar_file::{TarFile, gzip};
use crate::world::World;

fn first() -> PageQuery {
    PageQuery {
        filters: Filters::default(),
        page: 1,
        per_page: 1,
    }
}

#[tokio::test]
async fn a_bundles_archive_is_registered_packed_or_not() {
    let world = World::new().await;
    let id = world.submit(AddRequest::default()).await;
    let deps = ArtifactDeps::from(world.deps.clone());
    let files = bundle_files("lantern", "0.1.0");
    let entries = files.iter().map(|(path, bytes)| (&**path, &**bytes));
    let archive = TarFile::of(entries).end();
    for (name, content) in [("a.tar.gz", gzip(&archive)), ("a.tar", archive)] {
        let key = format!("uploads/{id}/bundles/{name}");
        let size = content.len() as u64;
        let registered = ArtifactKey::upload(id, UploadKind::Bundle, &Digest::of(&content), name);
        let bytes = Box::pin(futures::stream::iter([Ok(content.into())]));
        let upload = key.parse().unwrap();
        world.deps.artifacts.put(&upload, bytes).await.unwrap();
        let created = ObjectCreated {
            bucket: "b".to_owned(),
            key,
            size: Some(size),
            version: "1".to_owned(),
            principal: None,
        };
        artifact::run(&deps, &created).await.unwrap();
        let keys = world.artifacts.keys();
        assert!(keys.contains(&registered), "{keys:?}");
        assert!(!keys.contains(&upload));
    }
}

/// Puts a file, and gives the event of it.
async fn file(world: &World, key: String, content: &'static str) -> ObjectCreated {
    let bytes = Box::pin(futures::stream::iter([Ok(content.into())]));
    let name = key.parse().unwrap();
    world.deps.artifacts.put(&name, bytes).await.unwrap();
    ObjectCreated {
        bucket: "b".to_owned(),
        key,
        size: Some(content.len() as u64),
        version: "1".to_owned(),
        principal: None,
    }
}

#[tokio::test]
async fn a_file_whose_handling_ends_anywhere_is_handled_once_when_its_event_comes_again() {
    const DOCUMENT: &str = r#"{"from_index": "r.example/i:1", "binary_image": "r.example/b:1"}"#;
    let world = World::new().await;
    let good = ArtifactDeps::from(world.deps.clone());
    for last in [LastCall::Lost, LastCall::Unanswered] {
        for calls in 0..100 {
            let before = world.requests.page(&first()).await.unwrap().total;
            let document = file(&world, format!("inbox/{last:?}{calls}.json"), DOCUMENT).await;
            let (dying, crash) = crash::at(Death::After(calls), last, &world.deps);
            let ended = artifact::run(&dying.into(), &document).await;
            assert!(ended.is_ok() || !crash.is_alive(), "{ended:?}");
            artifact::run(&good, &document).await.unwrap();
            let id = RequestId(world.requests.page(&first()).await.unwrap().total);
            assert_eq!(id.0, before + 1, "{calls} calls");
            let log = file(&world, format!("uploads/{id}/logs/a"), "x").await;
            let (dying, uploading) = crash::at(Death::After(calls), last, &world.deps);
            let ended = artifact::run(&dying.into(), &log).await;
            assert!(ended.is_ok() || !uploading.is_alive(), "{ended:?}");
            artifact::run(&good, &log).await.unwrap();
            let kept = ArtifactKey::upload(id, UploadKind::Log, &Digest::of(b"x"), "a");
            let keys = world.artifacts.keys();
            assert!(keys.contains(&kept), "{calls} calls: {keys:?}");
            let left = |key: &ArtifactKey| {
                matches!(key.root(), ArtifactRoot::Inbox | ArtifactRoot::Uploads)
            };
            assert!(!keys.iter().any(left), "{calls} calls: {keys:?}");
            if crash.is_alive() && uploading.is_alive() {
                assert!(calls > 4, "only {calls} calls were seen");
                break;
            }
        }
    }
}
