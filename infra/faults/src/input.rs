//! What the suite asks for, and where the results go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use iib_oci::{Arch, Digest, PullSpec, Reference, Repository, Resolved, SmallImage};
use iib_pipeline::intake::Submission;
use iib_ports::{InMemory, Registry, Secret};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_request::{
    AddDeprecations, AddRequest, CreateEmptyIndex, FbcOperations, MergeIndexImage,
    RecursiveRelatedBundles, RegenerateBundle, RmRequest,
};
use iib_testkit::Pull as _;
use iib_testkit::images;

use crate::drive::{record, start, submit, work};
use crate::git::Git;
use crate::platform::Platform;

/// The build tag of all requests.
pub(crate) const TAG: &str = "newest";

/// Comes with every request, and has to be forgotten with it.
pub(crate) const TOKEN: &str = "ann:hunter2";

/// What is asked for.
pub(crate) enum Asked {
    /// A result of its own.
    Apart(Box<Submission>),
    /// One that takes the place of an index.
    Overwriting(Box<Overwriting>),
}

/// A request that takes the place of an index.
pub(crate) struct Overwriting {
    /// What is asked for, of the name of the index.
    pub(crate) ask: Box<dyn Fn(String) -> Submission + Send + Sync>,
    /// What the index is before.
    pub(crate) from: PullSpec,
    /// What somebody else makes of it before the request is pushed the first time.
    pub(crate) moved: Option<PullSpec>,
    /// The file that the request puts into the Git repository of the index.
    pub(crate) in_git: Option<&'static str>,
}

/// Requests whose results differ.
pub(crate) struct Input {
    /// Adds a bundle to an index.
    pub(crate) request: Submission,
    /// Makes an index of another bundle.
    pub(crate) other: Submission,
    /// One of each kind. The first makes an index without operators and does least; the second is the one that
    /// adds a bundle to an index.
    pub(crate) kinds: Vec<(&'static str, Asked)>,
    /// Repositories of indexes that are overwritten.
    pub(crate) git: Git,
    client: RegistryClient,
    /// Where repositories for results begin: of this run and platform alone.
    results: String,
    repositories: AtomicUsize,
}

/// With a login for the registry of the suite, which asks for none.
fn with_login(host: &str, submission: Submission) -> Submission {
    let auth = BASE64.encode(TOKEN);
    let auths = serde_json::json!({"auths": {(host): {"auth": auth}}});
    Submission {
        secrets: [("registry_auths", Secret::new(auths.to_string()))].into(),
        ..submission
    }
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
        let make = async |submission: &Submission| -> anyhow::Result<String> {
            let id = submit(&process.deps, submission)
                .await
                .context("not taken in")?;
            work(platform, &process.deps, None, None).await?;
            let record = record(&process.deps, id).await?;
            let made = record.facts.index_image_resolved;
            made.with_context(|| format!("no index to begin with: {}", record.history.len()))
        };
        let index = make(&other).await?;
        let binary_image = Some(binary.to_string());
        let empty = |output_fbc: Option<bool>| CreateEmptyIndex {
            from_index: index.clone(),
            binary_image: binary_image.clone(),
            output_fbc,
            ..CreateEmptyIndex::default()
        };
        // Merged into one with a catalog, the index has one, too.
        let empty_catalog = make(&empty(Some(true)).into()).await?;
        let empty_index = make(&empty(None).into()).await?;
        let merge = |target: String| MergeIndexImage {
            source_from_index: index.clone(),
            target_index: Some(target),
            binary_image: binary_image.clone(),
            ignore_bundle_ocp_version: Some(true),
            ..MergeIndexImage::default()
        };
        let catalog = make(&merge(empty_catalog).into()).await?;
        let lantern_index = make(&add(lantern.clone(), None)).await?;
        let files = [("lamp/catalog.json".to_owned(), FRAGMENT.into())].into();
        let arches = std::slice::from_ref(&arch);
        let fragment = images::push_catalog(&client, host, arches, &files).await;
        let rm = |from_index: &String| RmRequest {
            operators: vec!["kettle".to_owned()],
            from_index: from_index.clone(),
            binary_image: binary_image.clone(),
            ..RmRequest::default()
        };
        let fbc = FbcOperations {
            fbc_fragments: vec![fragment.to_string()],
            from_index: catalog.clone(),
            binary_image: binary_image.clone(),
            ..FbcOperations::default()
        };
        let deprecations = AddDeprecations {
            operator_package: "kettle".to_owned(),
            deprecation_schema: DEPRECATIONS.to_owned(),
            from_index: catalog.clone(),
            binary_image: binary_image.clone(),
            ..AddDeprecations::default()
        };
        let overwriting = {
            let (bundle, binary_image) = (lantern.to_string(), binary_image.clone());
            move |index: String| Submission {
                secrets: [("overwrite_from_index_token", Secret::new(TOKEN))].into(),
                ..AddRequest {
                    bundles: vec![bundle.clone()],
                    from_index: Some(index),
                    binary_image: binary_image.clone(),
                    overwrite_from_index: true,
                    ..AddRequest::default()
                }
                .into()
            }
        };
        let over_another = {
            let overwriting = overwriting.clone();
            Overwriting {
                ask: Box::new(overwriting),
                from: index.parse()?,
                moved: Some(empty_index.parse()?),
                in_git: None,
            }
        };
        let into_git = {
            let fbc = fbc.clone();
            let ask = move |index: String| Submission {
                secrets: [("overwrite_from_index_token", Secret::new(TOKEN))].into(),
                ..FbcOperations {
                    from_index: index,
                    overwrite_from_index: true,
                    ..fbc.clone()
                }
                .into()
            };
            Overwriting {
                ask: Box::new(ask),
                from: catalog.parse()?,
                moved: None,
                in_git: Some("configs/lamp/catalog.json"),
            }
        };
        let overwriting = Overwriting {
            ask: Box::new(overwriting),
            from: index.parse()?,
            moved: None,
            in_git: None,
        };
        let inner = images::push_bundle_naming(&client, host, "inner", &[&binary]).await;
        let outer = images::push_bundle_naming(&client, host, "outer", &[&binary, &inner]).await;
        let anew = RegenerateBundle {
            from_bundle_image: outer.to_string(),
            ..RegenerateBundle::default()
        };
        let behind = RecursiveRelatedBundles {
            parent_bundle_image: outer.to_string(),
            ..RecursiveRelatedBundles::default()
        };
        let request = add(lantern.clone(), Some(index.clone()));
        let apart = |submission: Submission| Asked::Apart(Box::new(submission));
        let kinds = vec![
            ("create-empty-index", apart(empty(None).into())),
            ("add", apart(request.clone())),
            (
                "add, overwriting",
                Asked::Overwriting(Box::new(overwriting)),
            ),
            (
                "add, overwriting what another one moves",
                Asked::Overwriting(Box::new(over_another)),
            ),
            (
                "fbc-operations, overwriting, with Git",
                Asked::Overwriting(Box::new(into_git)),
            ),
            (
                "add to a catalog",
                apart(add(lantern, Some(catalog.clone()))),
            ),
            ("rm", apart(rm(&index).into())),
            ("rm from a catalog", apart(rm(&catalog).into())),
            ("merge-index-image", apart(merge(lantern_index).into())),
            ("fbc-operations", apart(fbc.into())),
            ("add-deprecations", apart(deprecations.into())),
            ("regenerate-bundle", apart(with_login(host, anew.into()))),
            (
                "recursive-related-bundles",
                apart(with_login(host, behind.into())),
            ),
        ];
        Ok(Self {
            kinds,
            git: Git::start().await?,
            request,
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

    /// Puts an index where the runs of a repository overwrite it.
    pub(crate) async fn place(&self, index: &PullSpec, repository: &str) -> anyhow::Result<()> {
        let from = index.repository();
        let to: PullSpec = index_of(repository).parse()?;
        let raw = self.client.pull(index).await?;
        let Resolved::List(list) = raw.read()? else {
            bail!("{index} is no list");
        };
        for entry in &list.manifests {
            let reference = Reference::Digest(entry.descriptor.digest.clone());
            let image = self.client.manifest(from, &reference).await?;
            let Resolved::Image(manifest) = image.read()? else {
                bail!("{reference:?} is no image");
            };
            for blob in manifest.layers.iter().chain([&manifest.config]) {
                let mounted = self.client.mount_blob(to.repository(), from, &blob.digest);
                ensure!(mounted.await?, "{} cannot be had", blob.digest);
            }
            let pushed = self
                .client
                .push_manifest(to.repository(), &reference, &image);
            pushed.await?;
        }
        let pushed = self
            .client
            .push_manifest(to.repository(), to.reference(), &raw);
        Ok(pushed.await?)
    }

    /// Lets somebody else move a tag. Gives what it names then.
    pub(crate) async fn move_tag(&self, tag: &str) -> anyhow::Result<Digest> {
        let tag: PullSpec = tag.parse()?;
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

    /// What a tag names.
    pub(crate) async fn named(&self, tag: &str) -> anyhow::Result<Digest> {
        Ok(self.client.pull(&tag.parse()?).await?.digest())
    }
}

/// The build tag in a repository of results.
pub(crate) fn tag_of(repository: &str) -> String {
    format!("{repository}:{TAG}")
}

/// The index that runs with this repository for their results overwrite.
pub(crate) fn index_of(repository: &str) -> String {
    format!("{repository}-index:v1")
}

/// A package that is in no database.
const FRAGMENT: &str = r#"{"schema": "olm.package", "name": "lamp", "defaultChannel": "stable"}
{"schema": "olm.channel", "package": "lamp", "name": "stable", "entries": [{"name": "lamp.v1.0.0"}]}
{"schema": "olm.bundle", "package": "lamp", "name": "lamp.v1.0.0", "image": "registry.invalid/lamp:1",
"properties": [{"type": "olm.package", "value": {"packageName": "lamp", "version": "1.0.0"}}]}
"#;

const DEPRECATIONS: &str = r#"{"schema": "olm.deprecations", "package": "kettle", "entries": [
{"reference": {"schema": "olm.package"}, "message": "It is old."}]}"#;
