//! What pin decides about images, each decision by itself: for whoever holds them against those of
//! others, as the conformance suite does with its tables. The stages call the same functions.

use std::collections::{BTreeMap, BTreeSet};

use iib_oci::{Arch, Pinned, PullSpec, Repository};
use iib_ports::Registry;
use iib_request::{BinaryImages, Facts};

use crate::kinds::recursive_related_bundles;
pub use crate::steps::inputs::{Asked, Merge};
use crate::steps::{bundles, inputs};
use crate::{InputError, StageError, image, login};

/// What is told while [`inputs`] looks the inputs up.
pub const RESOLVING: &str = inputs::RESOLVING;

/// What is told while the bundles behind a bundle are looked for, in this order (worker flows §13, table
/// `recursive_related_bundles`).
pub fn told_behind(parent: &str) -> [String; 3] {
    [
        recursive_related_bundles::RESOLVING.to_owned(),
        recursive_related_bundles::finding(parent),
        recursive_related_bundles::WRITING.to_owned(),
    ]
}

/// The architectures of an image (worker flows §4, table `image_arches`).
///
/// # Errors
/// [`StageError`] naming the image.
pub async fn arches(
    registry: &dyn Registry,
    image: &PullSpec,
) -> Result<BTreeSet<Arch>, StageError> {
    let image = image::resolve(registry, image).await?;
    Ok(image.by_arch(registry).await?.into_keys().collect())
}

/// The bundles of a request by digest, each once (worker flows §4, table `resolved_bundles`).
///
/// # Errors
/// [`StageError`] naming the pull spec.
pub async fn resolved(
    registry: &dyn Registry,
    requested: &[String],
) -> Result<BTreeSet<Pinned>, StageError> {
    let found = bundles::resolve(registry, requested).await?;
    Ok(found.iter().map(|bundle| bundle.pinned().clone()).collect())
}

/// The bundles of a request by package (worker flows §4.5).
///
/// # Errors
/// [`StageError`] naming the pull spec.
pub async fn mapping(
    registry: &dyn Registry,
    requested: &[String],
) -> Result<BTreeMap<String, Vec<String>>, StageError> {
    let found = bundles::resolve(registry, requested).await?;
    let found = bundles::label_with_packages(registry, found).await?;
    Ok(bundles::mapping(&found))
}

/// What is settled about the inputs of a request.
#[derive(Debug)]
pub struct Settled {
    /// What is told of it.
    pub facts: Facts,
    /// What is built for.
    pub arches: Vec<Arch>,
    /// Version of the index to start from, where there is one.
    pub version: Option<String>,
    /// Version of the index that it is merged into, where there is one.
    pub target_version: Option<String>,
}

/// Settles the inputs of a request (worker flows §4, table `prebuild`).
///
/// # Errors
/// [`StageError`], with the texts of worker flows §4.
pub async fn inputs(
    registry: &dyn Registry,
    binary_images: &BinaryImages,
    asked: &Asked<'_>,
) -> Result<Settled, StageError> {
    let found = inputs::Inputs::settle(registry, binary_images, asked).await?;
    Ok(Settled {
        facts: found.facts,
        arches: found.bases.into_keys().collect(),
        version: found.index.map(|index| index.version),
        target_version: found.target.map(|index| index.version),
    })
}

/// The repository of an index for which a login comes with the request (worker flows §3, table
/// `docker_auth_key`); [`Repository::login_scope`] is what the login is for.
///
/// # Errors
/// [`InputError::NoRegistry`], [`InputError::PullSpec`].
pub fn repository_of_login(image: &str) -> Result<Repository, InputError> {
    login::repository_of("from_index", image)
}
