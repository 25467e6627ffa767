//! Bundles that are uploaded instead of pushed.

use iib_oci::Digest;
use iib_pipeline::artifact::{self, ArtifactDeps, ObjectCreated};
use iib_ports::ArtifactKey;
use iib_request::{AddRequest, UploadKind};

use crate::samples::bundle_files;
use crate::tar_file::{TarFile, gzip};
use crate::world::World;

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
        };
        artifact::run(&deps, &created).await.unwrap();
        let keys = world.artifacts.keys();
        assert!(keys.contains(&registered), "{keys:?}");
        assert!(!keys.contains(&upload));
    }
}
