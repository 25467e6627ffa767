//! The images that bundles name (worker flows §7.1).

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use iib_bundle::{ImageName, related_pull_specs};
use iib_oci::PullSpec;
use iib_ports::{Class, Classify as _, Registry, RegistryError};

use super::bundles::Resolved;
use crate::bundle_image::read_layers;
use crate::job::Job;
use crate::{ImageError, InputError, StageError};

/// Images looked for at the same time.
const LOOKUPS: usize = 8;

/// Sees that every image is there which the CSVs of the bundles name, at the registries which the settings have
/// for the user in place of others.
///
/// # Errors
/// [`InputError::RelatedImages`] with all that are not; [`InputError::RelatedUnread`]; [`StageError`] for a
/// bundle that cannot be read, or a registry that does not answer.
pub(crate) async fn check(
    job: &Job<'_>,
    registry: &dyn Registry,
    bundles: &[Resolved],
) -> Result<(), StageError> {
    let mut names = BTreeSet::new();
    let limit = job.deps.work.max_bundle_bytes;
    for bundle in bundles {
        let (pinned, name) = (bundle.pinned(), bundle.pinned().to_string());
        let (manifest, _) = bundle.config(registry).await?;
        let layers = &manifest.layers;
        let files = read_layers(registry, pinned.repository(), &name, layers, limit).await?;
        let found = related_pull_specs(&files);
        names.extend(found.map_err(|source| InputError::RelatedUnread {
            bundle: name,
            source,
        })?);
    }
    let replacements = &job.deps.work.related_image_registry_replacement;
    let replacements = job
        .record
        .user
        .as_ref()
        .and_then(|user| replacements.get(user));
    let lookups: Vec<_> = names
        .iter()
        .map(|name| async {
            let there = is_there(registry, &replaced(name, replacements)).await?;
            Ok::<_, StageError>((!there).then(|| name.to_string()))
        })
        .collect();
    let lookups = stream::iter(lookups).buffered(LOOKUPS);
    let missing: Vec<Option<String>> = lookups.try_collect().await?;
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(InputError::RelatedImages(missing).into()),
    }
}

/// The image at the registry that stands for its own.
fn replaced(name: &ImageName, replacements: Option<&BTreeMap<String, String>>) -> ImageName {
    let own = name.registry.as_ref();
    let other = own.and_then(|own| replacements?.get(own));
    ImageName {
        registry: other.or(own).cloned(),
        ..name.clone()
    }
}

/// Whether an image can be had. What is no pull spec cannot, nor what this service may not ask for.
async fn is_there(registry: &dyn Registry, name: &ImageName) -> Result<bool, ImageError> {
    let Ok(spec) = name.to_string().parse::<PullSpec>() else {
        return Ok(false);
    };
    match registry.manifest(spec.repository(), spec.reference()).await {
        Ok(_) => Ok(true),
        // Our own login is not the image's fault.
        Err(source @ RegistryError::Credentials { .. }) => Err(not_seen(&spec, source)),
        Err(source) if source.class() != Class::Retry => Ok(false),
        Err(source) => Err(not_seen(&spec, source)),
    }
}

fn not_seen(spec: &PullSpec, source: RegistryError) -> ImageError {
    ImageError::Inspect {
        image: spec.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_replaced_as_a_whole() {
        let map = BTreeMap::from([("r.example".to_owned(), "mirror.example/of".to_owned())]);
        let of = |text: &str| replaced(&ImageName::of(text), Some(&map)).to_string();
        assert_eq!(of("r.example/a/b:1"), "mirror.example/of/a/b:1");
        assert_eq!(of("other.example/a/b"), "other.example/a/b:latest");
        assert_eq!(of("a/b:1"), "a/b:1");
        assert_eq!(
            replaced(&ImageName::of("r.example/a:1"), None).to_string(),
            "r.example/a:1"
        );
    }
}
