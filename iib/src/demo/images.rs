//! Small images made on the spot and pushed as any client would.

use std::collections::BTreeMap;

use iib_oci::{
    Arch, ManifestList, ManifestListEntry, Platform, PullSpec, RawManifest, Reference, Repository,
    SmallImage,
};
use iib_ports::{InMemory, Registry};

use super::bundles::ExampleBundle;

/// Architectures of the demo's binary image.
const ARCHES: [&str; 2] = ["amd64", "arm64"];

/// Pushes a bundle image; gives its pull spec.
pub(crate) async fn push_bundle(
    registry: &dyn Registry,
    host: &str,
    bundle: &ExampleBundle,
) -> anyhow::Result<PullSpec> {
    let repository = Repository::new(host, &format!("examples/{}", bundle.operator))?;
    let labels = BTreeMap::from([(
        "operators.operatorframework.io.bundle.package.v1".to_owned(),
        bundle.operator.to_owned(),
    )]);
    let files = bundle
        .files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    let image = SmallImage::new(&Arch::amd64(), &files.collect(), labels)?;
    push_blobs(registry, &repository, &image).await?;
    push_as(
        registry,
        &repository,
        &format!("v{}", bundle.version),
        &image.manifest,
    )
    .await
}

/// Pushes an image for several architectures, for an index to be built on. The demo never runs
/// it, so it holds a note in place of a program.
pub(crate) async fn push_binary_image(
    registry: &dyn Registry,
    host: &str,
) -> anyhow::Result<PullSpec> {
    let repository = Repository::new(host, "examples/binary")?;
    let note = "Stands in for the image with the program that serves an index.\n";
    let files = BTreeMap::from([("etc/iib-demo".to_owned(), note.as_bytes().to_vec())]);
    let mut entries = Vec::new();
    for name in ARCHES {
        let arch: Arch = name.parse()?;
        let labels = BTreeMap::from([("architecture".to_owned(), arch.label_name().to_owned())]);
        let image = SmallImage::new(&arch, &files, labels)?;
        push_blobs(registry, &repository, &image).await?;
        push_as(
            registry,
            &repository,
            &format!("v1-{arch}"),
            &image.manifest,
        )
        .await?;
        entries.push(ManifestListEntry {
            descriptor: image.descriptor(),
            platform: Some(Platform::linux(&arch)),
            artifact_type: None,
        });
    }
    push_as(
        registry,
        &repository,
        "v1",
        &ManifestList::docker(entries).to_raw()?,
    )
    .await
}

/// Pushes an image of these files for amd64.
pub(crate) async fn push_image(
    registry: &dyn Registry,
    repository: &Repository,
    tag: &str,
    files: &BTreeMap<String, Vec<u8>>,
    labels: BTreeMap<String, String>,
) -> anyhow::Result<PullSpec> {
    let image = SmallImage::new(&Arch::amd64(), files, labels)?;
    push_blobs(registry, repository, &image).await?;
    push_as(registry, repository, tag, &image.manifest).await
}

async fn push_blobs(
    registry: &dyn Registry,
    repository: &Repository,
    image: &SmallImage,
) -> anyhow::Result<()> {
    for (descriptor, bytes) in &image.blobs {
        registry
            .push_blob(repository, descriptor, &InMemory(bytes.clone().into()))
            .await?;
    }
    Ok(())
}

async fn push_as(
    registry: &dyn Registry,
    repository: &Repository,
    tag: &str,
    manifest: &RawManifest,
) -> anyhow::Result<PullSpec> {
    let reference = Reference::Tag(tag.to_owned());
    registry
        .push_manifest(repository, &reference, manifest)
        .await?;
    Ok(format!("{repository}:{tag}").parse()?)
}
