//! Small images, pushed to a registry as any client would.
//!
//! Everything is pushed under `examples/` on the given host; what cannot be made or pushed fails
//! the test.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iib_oci::{
    Arch, ManifestList, ManifestListEntry, Platform, PullSpec, RawManifest, Reference, Repository,
    SmallImage,
};
use iib_ports::{InMemory, Registry};

/// The example bundles of the repository: `<operator>/<version>/{manifests,metadata}`.
const BUNDLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/bundles");

type Labels = BTreeMap<String, String>;

/// Pushes an example bundle, such as `lantern` `0.1.0`, as `examples/lantern:v0.1.0`.
pub async fn push_bundle(
    registry: &dyn Registry,
    host: &str,
    operator: &str,
    version: &str,
) -> PullSpec {
    let folder = Path::new(BUNDLES).join(operator).join(version);
    let files = ["manifests", "metadata"]
        .into_iter()
        .flat_map(|part| {
            let entries = fs::read_dir(folder.join(part)).unwrap();
            entries.map(move |entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (format!("{part}/{name}"), fs::read(entry.path()).unwrap())
            })
        })
        .collect();
    let labels = Labels::from([(
        "operators.operatorframework.io.bundle.package.v1".to_owned(),
        operator.to_owned(),
    )]);
    let repository = example(host, operator);
    let image = SmallImage::new(&Arch::amd64(), &files, labels).unwrap();
    push_blobs(registry, &repository, &image).await;
    push_as(
        registry,
        &repository,
        &format!("v{version}"),
        &image.manifest,
    )
    .await
}

/// Pushes a bundle that says it is one and whose CSV names these images, as `examples/<name>:v1`.
pub async fn push_bundle_naming(
    registry: &dyn Registry,
    host: &str,
    name: &str,
    images: &[&PullSpec],
) -> PullSpec {
    let images = images.iter().enumerate();
    let related: Vec<_> = images
        .map(|(number, image)| format!("{{name: image-{number}, image: \"{image}\"}}"))
        .collect();
    let csv = format!(
        "kind: ClusterServiceVersion\nmetadata: {{name: {name}.v1.0.0}}\nspec:\n  relatedImages: [{}]\n",
        related.join(", ")
    );
    let label = "operators.operatorframework.io.bundle.package.v1";
    let files = [
        (format!("manifests/{name}.clusterserviceversion.yaml"), csv),
        (
            "metadata/annotations.yaml".to_owned(),
            format!("annotations: {{{label}: {name}}}\n"),
        ),
    ];
    let files = files.map(|(path, text)| (path, text.into_bytes())).into();
    let labels = [
        (label.to_owned(), name.to_owned()),
        (
            "com.redhat.delivery.operator.bundle".to_owned(),
            "true".to_owned(),
        ),
    ];
    let repository = example(host, name);
    let image = SmallImage::new(&Arch::amd64(), &files, labels.into()).unwrap();
    push_blobs(registry, &repository, &image).await;
    push_as(registry, &repository, "v1", &image.manifest).await
}

/// Pushes a stand-in for the image with the program that serves an index, a list over these
/// architectures, as `examples/binary:v1`.
pub async fn push_binary_image(registry: &dyn Registry, host: &str, arches: &[Arch]) -> PullSpec {
    let repository = example(host, "binary");
    let files = BTreeMap::from([("bin/registry-server".to_owned(), b"no program".to_vec())]);
    push_list(registry, &repository, arches, &files, |arch| {
        Labels::from([("architecture".to_owned(), arch.label_name().to_owned())])
    })
    .await
}

/// Pushes an index of version `v4.6` and scope `stage` with this database, a list over these
/// architectures, as `examples/index:v1`.
pub async fn push_index(
    registry: &dyn Registry,
    host: &str,
    arches: &[Arch],
    database: Vec<u8>,
) -> PullSpec {
    let repository = example(host, "index");
    let files = BTreeMap::from([("database/index.db".to_owned(), database)]);
    push_list(registry, &repository, arches, &files, |_| {
        [
            (
                "operators.operatorframework.io.index.database.v1",
                "/database/index.db",
            ),
            ("com.redhat.index.delivery.version", "v4.6"),
            ("com.redhat.index.delivery.distribution_scope", "stage"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    })
    .await
}

/// Pushes an index with a file-based catalog, which has these files, a list over these
/// architectures, as `examples/catalog:v1`.
pub async fn push_catalog(
    registry: &dyn Registry,
    host: &str,
    arches: &[Arch],
    files: &BTreeMap<String, Vec<u8>>,
) -> PullSpec {
    let repository = example(host, "catalog");
    let files = files.iter();
    let files = files.map(|(path, content)| (format!("configs/{path}"), content.clone()));
    push_list(registry, &repository, arches, &files.collect(), |_| {
        let label = "operators.operatorframework.io.index.configs.v1";
        Labels::from([(label.to_owned(), "/configs".to_owned())])
    })
    .await
}

fn example(host: &str, name: &str) -> Repository {
    Repository::new(host, &format!("examples/{name}")).unwrap()
}

/// Pushes an image for each architecture by its digest, and a list over them as `v1`.
async fn push_list(
    registry: &dyn Registry,
    repository: &Repository,
    arches: &[Arch],
    files: &BTreeMap<String, Vec<u8>>,
    labels: impl Fn(&Arch) -> Labels,
) -> PullSpec {
    let mut entries = Vec::new();
    for arch in arches {
        let image = SmallImage::new(arch, files, labels(arch)).unwrap();
        push_blobs(registry, repository, &image).await;
        let by_digest = Reference::Digest(image.manifest.digest());
        registry
            .push_manifest(repository, &by_digest, &image.manifest)
            .await
            .unwrap();
        entries.push(ManifestListEntry {
            descriptor: image.descriptor(),
            platform: Some(Platform::linux(arch)),
            artifact_type: None,
        });
    }
    let list = ManifestList::docker(entries).to_raw().unwrap();
    push_as(registry, repository, "v1", &list).await
}

async fn push_blobs(registry: &dyn Registry, repository: &Repository, image: &SmallImage) {
    for (descriptor, bytes) in &image.blobs {
        let source = InMemory(bytes.clone().into());
        registry
            .push_blob(repository, descriptor, &source)
            .await
            .unwrap();
    }
}

async fn push_as(
    registry: &dyn Registry,
    repository: &Repository,
    tag: &str,
    manifest: &RawManifest,
) -> PullSpec {
    let reference = Reference::Tag(tag.to_owned());
    registry
        .push_manifest(repository, &reference, manifest)
        .await
        .unwrap();
    format!("{repository}:{tag}").parse().unwrap()
}
