//! Putting the image of one architecture together.

use std::collections::BTreeMap;

use bytes::Bytes;
use iib_oci::{
    Arch, ConfigEdit, Descriptor, Digest, ImageConfig, Manifest, MediaType, Pinned, RawManifest,
    Repository, RunSettings,
};
use iib_ports::Registry;
use iib_request::{Built, Plan};

use crate::mutate::DATABASE_PATH;
use crate::pin::{DATABASE_LABEL, SCOPE_LABEL, VERSION_LABEL};
use crate::{StageError, image};

/// An image ready to be pushed.
pub(super) struct IndexImage {
    pub(super) arch: Arch,
    pub(super) variant: Option<String>,
    pub(super) manifest: RawManifest,
    pub(super) config: Descriptor,
    pub(super) config_bytes: Bytes,
    /// Layers of the binary image and where they are.
    pub(super) base_layers: Vec<Descriptor>,
    pub(super) base: Option<Repository>,
}

/// Puts configuration and manifest of one architecture together: the layers of the binary
/// image, and the index layer on top.
pub(super) async fn assemble(
    registry: &dyn Registry,
    arch: &Arch,
    base: Option<&Pinned>,
    plan: &Plan,
    built: &Built,
) -> Result<IndexImage, StageError> {
    let (base_layers, base_config) = match base {
        Some(base) => {
            let (manifest, config) = image::config(registry, base).await?;
            check_arch_label(base, arch, &config)?;
            (docker_layers(base, manifest.layers)?, config)
        }
        None => (Vec::new(), ImageConfig::scratch(arch)),
    };
    let edit = ConfigEdit {
        diff_id: built.diff_id.clone(),
        layer_content: DATABASE_PATH.to_owned(),
        labels: BTreeMap::from([
            (DATABASE_LABEL.to_owned(), DATABASE_PATH.to_owned()),
            (VERSION_LABEL.to_owned(), plan.version.clone()),
            (SCOPE_LABEL.to_owned(), plan.scope.to_string()),
        ]),
        // Without a binary image there is no program to run.
        run: base.map(|_| RunSettings::serve_database()),
    };
    let config = base_config
        .with_layer(base_layers.len(), &edit)
        .map_err(|source| {
            let image = base.map_or_else(|| "scratch".to_owned(), ToString::to_string);
            StageError::ImageConfig { image, source }
        })?;
    let config_bytes = Bytes::from(config.to_bytes().map_err(StageError::Write)?);
    let config = Descriptor {
        media_type: MediaType::new(MediaType::DOCKER_CONFIG),
        size: config_bytes.len() as u64,
        digest: Digest::of(&config_bytes),
    };
    let layers = base_layers.iter().chain([&built.layer]).cloned().collect();
    let manifest = Manifest::docker(config.clone(), layers)
        .to_raw()
        .map_err(StageError::Write)?;
    Ok(IndexImage {
        arch: arch.clone(),
        variant: base_config.variant().map(ToOwned::to_owned),
        manifest,
        config,
        config_bytes,
        base_layers,
        base: base.map(|base| base.repository().clone()),
    })
}

/// The binary image's own word on its architecture, if it has one (worker flows §5.1).
fn check_arch_label(base: &Pinned, arch: &Arch, config: &ImageConfig) -> Result<(), StageError> {
    match config.labels().get("architecture") {
        Some(label) if label != arch.label_name() && label != arch.as_str() => {
            Err(StageError::WrongArch {
                image: base.to_string(),
                arch: arch.clone(),
                label: label.clone(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// The layers of the binary image as a Docker manifest names them.
fn docker_layers(base: &Pinned, layers: Vec<Descriptor>) -> Result<Vec<Descriptor>, StageError> {
    layers
        .into_iter()
        .map(|layer| match layer.media_type.as_docker_layer() {
            Some(media_type) => Ok(Descriptor {
                media_type,
                ..layer
            }),
            None => Err(StageError::LayerType {
                image: base.to_string(),
                digest: layer.digest.to_string(),
                media_type: layer.media_type.to_string(),
            }),
        })
        .collect()
}
