//! Putting the image of one architecture together.

use std::collections::BTreeMap;

use bytes::Bytes;
use iib_oci::{Arch, ConfigEdit, Descriptor, Digest, ImageFormat, Manifest, RunSettings};
use jiff::Timestamp;

use super::{Base, LayeredImage, TopLayer};
use crate::{ImageError, StageError, WorkError};

/// What an image says beyond what it is built on.
pub(crate) struct Edit<'a> {
    /// What the layer holds, for the image's history.
    pub(crate) layer_content: &'a str,
    /// Labels to set.
    pub(crate) labels: BTreeMap<String, String>,
    /// How the image is run, unless as the base.
    pub(crate) run: Option<RunSettings>,
    /// When it is said to have been created.
    pub(crate) created: Timestamp,
    /// Which documents it has.
    pub(crate) format: ImageFormat,
}

impl LayeredImage {
    /// Puts configuration and manifest of one architecture together: the layers of the base, and
    /// the new layer on top.
    ///
    /// # Errors
    /// [`StageError`] for a base that cannot be built on.
    pub(crate) fn on(
        base: Base,
        arch: &Arch,
        layer: &TopLayer,
        edit: &Edit<'_>,
    ) -> Result<Self, StageError> {
        check_arch_label(&base, arch)?;
        let variant = base.config.variant().map(ToOwned::to_owned);
        let format = edit.format;
        let base_layers = layers_in(format, &base)?;
        let edit = ConfigEdit {
            diff_id: layer.diff_id.clone(),
            layer_content: edit.layer_content.to_owned(),
            labels: edit.labels.clone(),
            run: edit.run.clone(),
            created: edit.created,
        };
        let config = base.config.with_layer(base_layers.len(), &edit);
        let config = config.map_err(|source| ImageError::Config {
            image: base.name.clone(),
            source,
        })?;
        let config = match format {
            ImageFormat::Docker => config,
            ImageFormat::Oci => config.stating_platform(arch),
        };
        let config_bytes = Bytes::from(config.to_bytes().map_err(WorkError::Write)?);
        let config = Descriptor {
            media_type: format.config_type(),
            size: config_bytes.len() as u64,
            digest: Digest::of(&config_bytes),
        };
        let layers = base_layers.iter().chain([&layer.descriptor]).cloned();
        let manifest = Manifest::of(format, config.clone(), layers.collect())
            .to_raw()
            .map_err(WorkError::Write)?;
        Ok(Self {
            arch: arch.clone(),
            variant,
            manifest,
            config,
            config_bytes,
            base_layers,
            base: base.repository,
        })
    }
}

/// The base's own word on its architecture, if it has one (worker flows §5.1).
fn check_arch_label(base: &Base, arch: &Arch) -> Result<(), ImageError> {
    match base.config.labels().get("architecture") {
        Some(label) if label != arch.label_name() && label != arch.as_str() => {
            Err(ImageError::WrongArch {
                image: base.name.clone(),
                arch: arch.clone(),
                label: label.clone(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// The layers of the base as a manifest of this format names them. Their bytes stay what they are.
fn layers_in(format: ImageFormat, base: &Base) -> Result<Vec<Descriptor>, ImageError> {
    base.layers
        .iter()
        .map(|layer| match format.layer_type(&layer.media_type) {
            Some(media_type) => Ok(Descriptor {
                media_type,
                ..layer.clone()
            }),
            None => Err(ImageError::LayerType {
                image: base.name.clone(),
                digest: layer.digest.to_string(),
                media_type: layer.media_type.clone(),
                format,
            }),
        })
        .collect()
}
