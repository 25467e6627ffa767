//! The images that an index is built on, by architecture.

use std::collections::{BTreeMap, BTreeSet};

use iib_oci::{Arch, Pinned};
use iib_ports::Registry;
use iib_request::SCRATCH;

use super::inputs::pull_spec;
use crate::{InputError, StageError, image};

/// The image of each architecture to build on; none for an index that is built on nothing.
pub(crate) type Bases = BTreeMap<Arch, Option<Pinned>>;

/// The binary image pinned, and the image of each architecture to build on.
///
/// # Errors
/// [`StageError`], with the texts of worker flows §4.4.
pub(crate) async fn find(
    registry: &dyn Registry,
    binary_image: &str,
    mut wanted: BTreeSet<Arch>,
    add_arches: &[String],
) -> Result<(String, Bases), StageError> {
    if binary_image == SCRATCH {
        // Without a binary there is nothing that runs on one architecture only.
        return Ok((SCRATCH.to_owned(), BTreeMap::from([(Arch::amd64(), None)])));
    }
    for arch in add_arches {
        wanted.insert(arch.parse().map_err(InputError::Arch)?);
    }
    let spec = pull_spec("binary_image", binary_image)?;
    let image = image::resolve(registry, &spec).await?;
    if wanted.is_empty() {
        return Err(InputError::NoArches.into());
    }
    let mut available = image.by_arch(registry).await?;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|arch| !available.contains_key(*arch))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Err(InputError::MissingArches(missing.join(", ")).into());
    }
    available.retain(|arch, _| wanted.contains(arch));
    let images = available
        .into_iter()
        .map(|(arch, pinned)| (arch, Some(pinned)))
        .collect();
    Ok((image.resolved.to_string(), images))
}
