//! What the suite asks for, and where the results go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use iib_oci::{Arch, Digest, PullSpec, Reference, Repository, SmallImage};
use iib_pipeline::intake::Submission;
use iib_ports::{InMemory, Registry, Secret};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_request::{AddRequest, CreateEmptyIndex};
use iib_testkit::Pull as _;
use iib_testkit::images;

use crate::drive::{record, start, submit, work};
use crate::platform::Platform;

/// The build tag of all requests.
pub(crate) const TAG: &str = "newest";

/// Comes with every request, and has to be forgotten with it.
pub(crate) const TOKEN: &str = "ann:hunter2";

/// Requests whose results differ.
pub(crate) struct Input {
    /// Adds a bundle to an index.
    pub(crate) request: Submission,
    /// Makes an index of another bundle.
    pub(crate) other: Submission,
    /// Makes an index without operators: the kind of request that does least.
    pub(crate) empty: Submission,
    client: RegistryClient,
    /// Where repositories for results begin: of this run and platform alone.
    results: String,
    repositories: AtomicUsize,
}

impl Input {
    /// Pushes what the requests name. The index they begin with is one that the service made, so
    /// that its layer is in pieces.
    pub(crate) async fn push(host: &str, platform: &dyn Platform) -> anyhow::Result<Self> {
        let client = RegistryClient::new(RegistryConfig {
            insecure_registries: [host.to_owned()].into(),
            ..RegistryConfig::default()
        })?;
        let arch = Arch::amd64();
        let binary = images::push_binary_image(&client, host, std::slice::from_ref(&arch)).await;
        let lantern = images::push_bundle(&client, host, "lantern", "0.1.0").await;
        let kettle = images::push_bundle(&client, host, "kettle", "1.0.0").await;
        let add = |bundle: PullSpec, from_index: Option<String>| Submission {
            secrets: [("overwrite_from_index_token", Secret::new(TOKEN))].into(),
            ..AddRequest {
                bundles: vec![bundle.to_string()],
                from_index,
                binary_image: Some(binary.to_string()),
                add_arches: vec![arch.to_string()],
                build_tags: vec![TAG.to_owned()],
                ..AddRequest::default()
            }
            .into()
        };
        let other = add(kettle, None);
        let results = format!("{host}/faults/{:08x}", fastrand::u32(..));
        let process = start(platform, &results).await?;
        let id = submit(&process.deps, &other)
            .await
            .context("not taken in")?;
        work(platform, &process.deps, None).await?;
        let index = record(&process.deps, id).await?.facts;
        let index = index
            .index_image_resolved
            .context("no index to begin with")?;
        Ok(Self {
            empty: CreateEmptyIndex {
                from_index: index.clone(),
                binary_image: Some(binary.to_string()),
                ..CreateEmptyIndex::default()
            }
            .into(),
            request: add(lantern, Some(index)),
            other,
            client,
            results,
            repositories: AtomicUsize::new(0),
        })
    }

    /// A repository for results in which nothing is yet: where blobs are, none are pushed.
    pub(crate) fn repository(&self) -> String {
        let number = self.repositories.fetch_add(1, Ordering::SeqCst);
        format!("{}-{number}", self.results)
    }

    /// Lets somebody else move the build tag of a repository. Gives what it names then.
    pub(crate) async fn move_tag(&self, repository: &str) -> anyhow::Result<Digest> {
        let tag: PullSpec = tag(repository)?;
        let files = BTreeMap::from([("of".to_owned(), b"somebody else".to_vec())]);
        let image = SmallImage::new(&Arch::amd64(), &files, BTreeMap::new())?;
        let to: &Repository = tag.repository();
        for (descriptor, bytes) in &image.blobs {
            let source = InMemory(bytes.clone().into());
            self.client.push_blob(to, descriptor, &source).await?;
        }
        let reference: &Reference = tag.reference();
        self.client
            .push_manifest(to, reference, &image.manifest)
            .await?;
        Ok(image.manifest.digest())
    }

    /// What the build tag of a repository names.
    pub(crate) async fn tagged(&self, repository: &str) -> anyhow::Result<Digest> {
        Ok(self.client.pull(&tag(repository)?).await?.digest())
    }
}

fn tag(repository: &str) -> anyhow::Result<PullSpec> {
    Ok(format!("{repository}:{TAG}").parse()?)
}
