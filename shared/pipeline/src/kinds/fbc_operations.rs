//! Putting fragments of file-based catalogs into an index (worker flows §10).
//!
//! - pin: fragments and inputs are resolved.
//! - mutate: the packages of each fragment take the place of those of the same name, in the order of
//!   the fragments; what the database behind the catalog has of them goes.
//! - push: the images with the new layer, and the tags.

use std::fs;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use iib_fbc::Rules;
use iib_oci::layer::EntryPath;
use iib_ports::Registry;
use iib_request::{Built, Facts, FbcOperations, IndexForm, IndexToRead, Plan, Unknown, Update};

use crate::flow::{Flow, Pushed};
use crate::index::catalog;
use crate::index::contents::Contents;
use crate::index::forms::Forms;
use crate::index::fragment::{self, Fragment};
use crate::index::push::Push;
use crate::index::{check_is_catalog, places, scratch};
use crate::job::Job;
use crate::labels::{self, label};
use crate::parts::{self, Copy};
use crate::steps::inputs::{self, Asked, pull_spec};
use crate::{IndexError, StageError, image};

/// Fragments looked up at the same time.
const LOOKUPS: usize = 8;

#[async_trait]
impl Flow for FbcOperations {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let registry = job.registry().await?;
        job.update(Update::doing("Resolving the fbc fragments"))
            .await?;
        let looks = self.fbc_fragments.iter();
        let looks: Vec<_> = looks
            .map(|fragment| look_at_fragment(&*registry, fragment))
            .collect();
        let fragments = stream::iter(looks).buffered(LOOKUPS).try_collect();
        let fragments: Vec<IndexToRead> = fragments.await?;
        let asked = Asked {
            from_index: Some(&self.from_index),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            add_arches: &self.add_arches,
            ..Asked::default()
        };
        let (mut plan, facts) = inputs::prepare(job, &asked).await?;
        let resolved: Vec<String> = fragments.iter().map(|f| f.resolved.to_string()).collect();
        let facts = Facts {
            fbc_fragment_resolved: resolved.first().filter(|_| self.single).cloned(),
            fbc_fragments_resolved: Some(resolved),
            ..facts
        };
        plan.fragments = fragments;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        let count = plan.fragments.len();
        let doing = format!("Extracting operator packages from {count} fbc fragment(s)");
        job.update(Update::doing(doing)).await?;
        check_is_catalog(&plan)?;
        let folder = job.scratch_folder()?;
        let of_index = folder.path().join("index");
        fs::create_dir(&of_index).map_err(scratch("created"))?;
        let mut contents = Contents::of_plan(job, &plan, &of_index).await?;
        let rules = Forms::of(&plan.version, &job.deps.work).rules;
        let mut fragments = Vec::new();
        for (number, fragment) in plan.fragments.iter().enumerate() {
            let folder = folder.path().join(format!("fragment-{number}"));
            fragments.push(fetch(job, fragment, folder, rules).await?);
        }
        for [package, earlier, later] in fragment::repeated(&fragments) {
            if job.deps.work.one_fragment_per_package {
                return Err(IndexError::InTwoFragments {
                    package,
                    earlier,
                    later,
                }
                .into());
            }
            let doing = format!(
                "The package {package} is in {earlier} and in {later}, of which the latter counts"
            );
            job.update(Update::doing(doing)).await?;
        }
        for (number, fragment) in (1..).zip(&fragments) {
            let packages: Vec<String> = fragment
                .packages
                .iter()
                .map(|name| format!("'{name}'"))
                .collect();
            let doing = format!(
                "Adding package(s) [{}] from fbc fragment {number}/{count} to from_index",
                packages.join(", ")
            );
            job.update(Update::doing(doing)).await?;
        }
        catalog::change(job, &mut contents, move |index| {
            fragment::merge(index, &fragments)
        })
        .await?;
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        Push::with_copy(&self.build_tags).run(job).await
    }
}

/// Where an image has its fragment: in the folder its label names, else in the usual one.
async fn look_at_fragment(
    registry: &dyn Registry,
    fragment: &str,
) -> Result<IndexToRead, StageError> {
    let found = image::resolve(registry, &pull_spec("fbc_fragments", fragment)?).await?;
    let variant = found.any()?;
    let (_, config) = variant.config(registry).await?;
    let path = label(&config, labels::CONFIGS).unwrap_or(places::CATALOG);
    let path = inputs::catalog_in_image(fragment, path)?;
    Ok(IndexToRead {
        resolved: found.resolved.clone(),
        image: variant.pinned.clone(),
        form: IndexForm::Catalog(path),
        hidden: None,
        unknown: Unknown::default(),
    })
}

/// Copies a fragment to a folder, and looks whether it is a catalog with a package, by these rules.
async fn fetch(
    job: &mut Job<'_>,
    fragment: &IndexToRead,
    folder: PathBuf,
    rules: Rules,
) -> Result<Fragment, StageError> {
    let image = fragment.resolved.to_string();
    let (IndexForm::Catalog(path) | IndexForm::Database(path)) = &fragment.form;
    let none = || IndexError::EmptyFragment(image.clone());
    let root = EntryPath::parse(path.as_bytes()).map_err(|_| none())?;
    let copies = [Copy::folder(root, folder.join("configs"))];
    fs::create_dir(&folder).map_err(scratch("created"))?;
    let (registry, deps) = (job.registry().await?, job.deps);
    let limit = deps.work.max_index_bytes;
    let copied = parts::copy(
        &*registry,
        &fragment.image,
        &copies,
        &folder,
        limit,
        &deps.unpacked,
    )
    .await?;
    if copied.found != [true] {
        return Err(none().into());
    }
    Fragment::read(deps.catalogs.clone(), image, folder.join("configs"), rules).await
}
